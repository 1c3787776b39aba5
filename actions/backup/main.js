import { backup } from '../../dist/index.js'
await backup()
