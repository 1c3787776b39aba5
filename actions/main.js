import { holdfast } from '../dist/index.js'
await holdfast()
