/** Other programs: PostgreSQL's, in the right major, and the commands of a user. */
import { accessSync, constants, readdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../../errors.ts'
import { capture } from '../../stream/process.ts'
import { input, text, type Text } from '../../text.ts'
import type { Work } from '../../work.ts'

/** The folder with PostgreSQL's programs of one major version. */
export interface Programs {
  directory: string
  major: number
  /** For example `17.11`. */
  version: string
}

/**
 * Where packages install PostgreSQL's programs: Debian and Ubuntu, PGDG's RPMs, builds under /opt,
 * Homebrew, a source build.
 */
const installFolders = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/postgres/*/bin',
  '/opt/postgresql/*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/usr/local/pgsql/bin',
]

/**
 * Finds the folder that has all `needed` programs of exactly this major version. Searches `bindirs`
 * first, then the usual folders, then PATH; never uses Debian's wrapper, which picks a major by
 * itself. Throws a UserError `client-missing` that names what was found.
 */
export async function findPrograms(
  major: number,
  needed: readonly string[],
  bindirs: readonly string[],
  work: Work,
): Promise<Programs> {
  const path = (work.env['PATH'] ?? '').split(':')
  const folders = new Set([...bindirs, ...installFolders.flatMap(expand), ...path])
  const found = new Set<string>()
  for (const directory of folders) {
    const first = join(directory, needed[0] as string)
    if (!directory || !isProgram(first)) continue
    const version = await versionOf(first, work)
    if (!version) continue
    found.add(`${version} in ${directory}`)
    const isComplete = needed.every((name) => isProgram(join(directory, name)))
    if (Number.parseInt(version, 10) === major && isComplete) return { directory, major, version }
  }
  throw programsMissing(major, needed, [...found])
}

function programsMissing(
  major: number,
  needed: readonly string[],
  found: readonly string[],
): UserError {
  const server = needed.includes('initdb')
  const names = `${needed.join(', ')} ${needed.length > 1 ? 'are' : 'is'}`
  const other: Text = server
    ? text`, or set ${input('scratch-url', { secret: 'SCRATCH_URL' })} to a server of that major`
    : ''
  const install = installCommand(major, server)
  const folder = input('postgres-bin')
  return new UserError(
    'client-missing',
    `PostgreSQL ${major}'s ${names} not on this machine (found: ${found.join('; ') || 'no version'}).`,
    text`Install them in an earlier step: ${install} ; or name their folder in ${folder}${other}.`,
  )
}

function installCommand(major: number, server: boolean): string {
  const addRepository = '/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y'
  const packageName = `postgresql-${server ? '' : 'client-'}${major}`
  return `sudo ${addRepository} && sudo apt-get install -y ${packageName}`
}

/** Returns the path of one program. */
export function program(programs: Programs, name: string): string {
  return join(programs.directory, name)
}

async function versionOf(path: string, work: Work): Promise<string | undefined> {
  try {
    const { stdout } = await capture(path, ['--version'], { env: { ...work.env } }, work)
    return /\(PostgreSQL\) (\d+(?:\.\d+|(?:beta|rc)\d+)?)/.exec(stdout)?.[1]
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

/** Returns the folders that a pattern with at most one `*` stands for, in order of their names. */
function expand(pattern: string): string[] {
  const [before = '', after] = pattern.split('*')
  if (after === undefined) return [pattern]
  const cut = before.lastIndexOf('/')
  const parent = before.slice(0, cut)
  const start = before.slice(cut + 1)
  try {
    return readdirSync(parent)
      .filter((name) => name.startsWith(start))
      .sort()
      .map((name) => join(parent, name) + after)
  } catch {
    return []
  }
}
