import { accessSync, constants, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../../errors.ts'
import { capture } from '../../stream/process.ts'
import type { Work } from '../../work.ts'

/** PostgreSQL's programs of one major version, all in one folder. */
export interface Programs {
  directory: string
  major: number
  /** For example `17.11`. */
  version: string
}

/**
 * Where packages put PostgreSQL's programs: Debian and Ubuntu, PGDG's RPMs, builds under /opt,
 * Homebrew, a source build.
 */
const usual = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/postgres/*/bin',
  '/opt/postgresql/*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/pgsql/bin',
]

/**
 * Finds the folder that holds `needed` programs of exactly this major. `bindirs` are looked into
 * first, then the usual places, then PATH (never Debian's wrapper, which picks a major by itself).
 * Throws a UserError `client-missing` that names what was found.
 */
export async function findPrograms(
  major: number,
  needed: readonly string[],
  bindirs: readonly string[],
  work: Work,
): Promise<Programs> {
  const seen: string[] = []
  for (const directory of new Set([
    ...bindirs,
    ...usual.flatMap(expand),
    ...(work.env['PATH'] ?? '').split(':'),
  ])) {
    if (!directory || !isProgram(join(directory, needed[0] as string))) continue
    const version = await versionOf(join(directory, needed[0] as string), work)
    if (!version) continue
    seen.push(`${version} in ${directory}`)
    if (
      Number.parseInt(version, 10) === major &&
      needed.every((name) => isProgram(join(directory, name)))
    )
      return { directory, major, version }
  }
  const server = needed.includes('initdb')
  throw new UserError(
    'client-missing',
    `PostgreSQL ${major}'s ${needed.join(', ')} ${needed.length > 1 ? 'are' : 'is'} not on this machine (found: ${[...new Set(seen)].join('; ') || 'none of any version'}).`,
    `A dump is made and restored with the programs of its own major version. Install them in a step before: sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && sudo apt-get install -y postgresql-${server ? '' : 'client-'}${major}` +
      ` ; or name their folder in postgres-bin${server ? '; or give scratch-url, a server of that major such as a service container' : ''}.`,
  )
}

/** The path of one program. */
export function program(programs: Programs, name: string): string {
  return join(programs.directory, name)
}

async function versionOf(path: string, work: Work): Promise<string | undefined> {
  try {
    const { stdout } = await capture(path, ['--version'], { env: { ...work.env } }, work)
    return /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1]
  } catch {
    work.signal.throwIfAborted()
    return undefined
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return !realpathSync(path).endsWith('pg_wrapper')
  } catch {
    return false
  }
}

function expand(pattern: string): string[] {
  const [before, after] = pattern.split('*')
  if (after === undefined) return [pattern]
  const parent = (before as string).slice(0, (before as string).lastIndexOf('/'))
  const start = (before as string).slice(parent.length + 1)
  try {
    return readdirSync(parent)
      .filter((name) => name.startsWith(start))
      .sort()
      .map((name) => join(parent, name) + after)
  } catch {
    return []
  }
}
