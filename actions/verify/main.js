import { verify } from '../../dist/index.js'
await verify()
