import { testMigration } from '../../dist/index.js'
await testMigration()
