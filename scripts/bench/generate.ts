/**
 * The bench's database, made by SQL in the server from a seed: the same seed and size give the same
 * rows everywhere.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** The number of rows of each kind of table, as the SQL scripts in this folder take them. */
export interface Rows {
  lookups: number
  lines: number
  accounts: number
  events: number
  documents: number
  orders: number
  readings: number
  lookup_rows: number
}

/**
 * Bytes on disk that a row of each table takes, with its share of pages and TOAST, measured on
 * PostgreSQL 18.
 */
const bytesOf = {
  accounts: 231,
  events: 859,
  documents: 3520,
  orders: 313,
  readings: 76,
  lookup_row: 135,
}
const lookups = 300

/**
 * Returns the numbers of rows that make tables of about `bytes` bytes on disk: half of it `events`,
 * 7 % in 300 small tables.
 */
export function rowsFor(bytes: number): Rows {
  const rows = (share: number, each: number): number =>
    Math.max(10, Math.round((bytes * share) / each))
  return {
    lookups,
    // 32 MB of text to cut from, or 8 MB for a small database
    lines: bytes < 5e8 ? 8192 : 32_768,
    accounts: rows(0.03, bytesOf.accounts),
    events: rows(0.5, bytesOf.events),
    documents: rows(0.18, bytesOf.documents),
    orders: rows(0.11, bytesOf.orders),
    readings: rows(0.11, bytesOf.readings),
    lookup_rows: rows(0.07 / lookups, bytesOf.lookup_row),
  }
}

/**
 * Fills the empty database that `env` (PG*) names, then adds indexes and keys, and runs VACUUM
 * ANALYZE. Uses two sessions at a time: about 20 seconds per gigabyte and core.
 */
export async function generate(
  psql: string,
  env: NodeJS.ProcessEnv,
  rows: Rows,
  seed: number,
  signal: AbortSignal,
): Promise<void> {
  const settings =
    '-c maintenance_work_mem=256MB -c synchronous_commit=off -c jit=off -c client_min_messages=warning'
  const run = async (script: string): Promise<void> => {
    const variables = Object.entries({ seed, ...rows }).flatMap(([name, value]) => [
      '-v',
      `${name}=${value}`,
    ])
    const args = [
      '-X',
      '-q',
      '-o',
      '/dev/null',
      '-v',
      'ON_ERROR_STOP=1',
      ...variables,
      '-f',
      join(import.meta.dirname, script),
    ]
    const child = spawn(psql, args, {
      env: { ...env, PGOPTIONS: settings },
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`${script} failed:\n${said}`)
  }
  await run('tables.sql')
  await Promise.all([run('events.sql'), run('others.sql')])
  await run('keys.sql')
}
