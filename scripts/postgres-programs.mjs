// Where PostgreSQL's server and client programs are on this machine. Plain JavaScript: run.mjs
// needs it before Node 24 is there.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const needed = ['postgres', 'initdb', 'pg_ctl', 'pg_isready', 'psql', 'pg_dump', 'pg_restore']

/** Parents of version folders, and the shape of those folders. */
const places = [
  { parent: '/usr/lib/postgresql', folder: /^\d+$/ },
  { parent: '/usr', folder: /^pgsql-\d+$/ },
  { parent: '/opt/postgres', folder: /^\d+$/ },
  { parent: '/opt/homebrew/opt', folder: /^postgresql@\d+$/ },
]

/**
 * Every PostgreSQL major that has all its programs here, newest first; of one major the first
 * folder found, those named in HOLDFAST_TEST_BINDIRS before the usual ones before PATH. Below 15 is
 * left out: we do not support it. HOLDFAST_TEST_MAJORS, a list of majors, leaves out all others.
 *
 * @param {Record<string, string | undefined>} env
 * @returns {{ major: number, version: string, bindir: string }[]}
 */
export function findPostgres(env) {
  /** @type {Map<number, { major: number, version: string, bindir: string }>} */
  const found = new Map()
  const wanted = env.HOLDFAST_TEST_MAJORS?.split(/[ ,]+/).map(Number)
  for (const bindir of candidates(env)) {
    if (!needed.every((program) => existsSync(join(bindir, program)))) continue
    const version = versionOf(join(bindir, 'postgres'))
    const major = Number.parseInt(version ?? '', 10)
    if (wanted && !wanted.includes(major)) continue
    if (version !== undefined && major >= 15 && !found.has(major))
      found.set(major, { major, version, bindir })
  }
  return [...found.values()].sort((a, b) => b.major - a.major)
}

/** @param {Record<string, string | undefined>} env */
function candidates(env) {
  const named = (env.HOLDFAST_TEST_BINDIRS ?? '').split(':')
  const usual = places.flatMap(({ parent, folder }) =>
    existsSync(parent)
      ? readdirSync(parent)
          .filter((name) => folder.test(name))
          .map((name) => join(parent, name, 'bin'))
      : [],
  )
  const path = (env.PATH ?? '').split(delimiter)
  return [...named, ...usual, ...path].filter((directory) => directory !== '')
}

/** @param {string} postgres */
function versionOf(postgres) {
  try {
    return /\d+(?:\.\d+|(?:beta|rc)\d+)?/.exec(
      execFileSync(postgres, ['--version'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    )?.[0]
  } catch {
    return undefined
  }
}
