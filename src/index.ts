/**
 * The one entry of the bundle. Importing it does nothing; each action's main.js, and cli.js
 * next to it, calls its own function.
 */
export { backup } from './actions/backup.ts'
export { holdfast } from './actions/root.ts'
export { post } from './actions/post.ts'
export { restore } from './actions/restore.ts'
export { testMigration } from './actions/test-migration.ts'
export { verify } from './actions/verify.ts'
export { cli } from './cli/cli.ts'
