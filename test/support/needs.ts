/** What a test file needs besides Node, seen from what it imports: so that nothing else is started. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

const root = dirname(dirname(import.meta.dirname))

/** Modules of test/support by what they start. */
const modules: Record<string, Need> = {
  'test/support/servers.ts': 'servers',
  'test/support/own-server.ts': 'own servers',
  'test/support/standby.ts': 'own servers',
  'test/support/s3.ts': 's3',
  'test/support/act.ts': 'runner',
  'test/support/mini-runner.ts': 'runner',
}

/** Files that need no server, and seconds all the same: gigabytes written, processes awaited. */
const slow = [
  'test/storage/local/local.test.ts',
  'test/bench/measure.test.ts',
  'test/repository/write.test.ts',
  'test/stream/process.test.ts',
]

/** `servers`: those that all files share. `runner`: a process that runs the bundle as a step. */
export type Need = 'servers' | 'own servers' | 's3' | 'runner' | 'time'

/** What a test file, or anything that it imports under test/, needs. `file` is a path from the root. */
export function needsOf(file: string, seen = new Set<string>()): Set<Need> {
  const needs = new Set<Need>()
  if (seen.has(file)) return needs
  seen.add(file)
  const own = modules[file]
  if (own !== undefined) needs.add(own)
  if (slow.includes(file)) needs.add('time')
  const path = join(root, file)
  if (!existsSync(path)) return needs
  for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(
    /(?:from|import|new URL\()\s*\(?\s*'(\.[^']+\.ts)'/g,
  )) {
    const imported = relative(root, join(dirname(path), name))
      .split(sep)
      .join('/')
    if (imported.startsWith('test/')) for (const need of needsOf(imported, seen)) needs.add(need)
  }
  return needs
}
