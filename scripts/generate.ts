/**
 * Writes the pages and tables that are made from the source.
 *
 *   npm run generate             writes them
 *   npm run generate -- --check  writes nothing, and fails if one is not current
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { generatedFiles } from './generate/all.ts'

export type { Generated } from './generate/generated.ts'

const root = dirname(import.meta.dirname)
const check = process.argv.includes('--check')
const stale: string[] = []
for (const { file, content } of generatedFiles) {
  const path = join(root, file)
  const current = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const next = await content(current)
  if (next === current) continue
  stale.push(file)
  if (!check) writeFileSync(path, next)
}
if (stale.length === 0) console.log(`generated files: current`)
else if (!check) console.log(`generated files: wrote ${stale.join(', ')}`)
else {
  console.error(`generated files: ${stale.join(', ')} not current. Type: npm run generate`)
  process.exitCode = 1
}
