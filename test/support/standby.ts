import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Connection,
  libpqEnvironment,
  withDatabase,
} from '../../src/postgres/connection/connection.ts'
import { connect } from '../../src/postgres/connection/session.ts'
import { signalGroup, start } from '../../src/stream/process.ts'
import type { OwnServer } from './own-server.ts'
import { freePort } from './s3.ts'
import { quietWork } from './start-servers.ts'

/** Settings of a primary that a standby can follow; for `startOwnServer`. */
export const primarySettings = {
  wal_level: 'replica',
  max_wal_senders: '4',
  hot_standby_feedback: 'off',
}

/** A hot standby that follows a primary, with the same databases, roles and passwords. */
export interface Standby {
  /** Its input is `database-url`. */
  to(database: string): Connection
  /**
   * Settles when it has replayed all that the primary has written until now; with a conflict, once
   * it has its way.
   */
  caughtUp(): Promise<void>
  /**
   * How many sessions of a database were cancelled for a conflict so far, by kind
   * (pg_stat_database_conflicts).
   */
  conflicts(database: string): Promise<Record<string, number>>
  stop(): Promise<void>
}

const started: (() => Promise<void>)[] = []
// registered here, for the file: a hook that is registered inside `before` would run as soon as
// that is over
after(() => Promise.all(started.map((stop) => stop())))

/**
 * Copies the primary with pg_basebackup and starts the copy as a hot standby. `settings` are the
 * standby's own: with `max_standby_streaming_delay: '100ms'`, what is replayed wins over our
 * sessions at once. It ends with the test file.
 */
export async function startStandby(
  primary: OwnServer,
  settings: Record<string, string> = {},
): Promise<Standby> {
  const data = String(
    (await primary.query('postgres', 'SHOW data_directory'))[0]?.['data_directory'],
  )
  const { uid, gid } = statSync(data) // who runs the primary runs this too: neither is root
  const user = process.getuid?.() === 0 ? { uid, gid } : undefined
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-standby-'))
  const own = join(directory, 'data')
  const work = quietWork()
  if (user) execFileSync('chown', [`${uid}:${gid}`, directory])
  chmodSync(directory, 0o700)
  const source = primary.to('postgres')
  execFileSync(
    join(primary.bindir, 'pg_basebackup'),
    ['-D', own, '-R', '-c', 'fast', '-X', 'stream', '--no-sync'],
    {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...work.env, ...libpqEnvironment(source), PGDATABASE: '' },
      ...(user ?? {}),
    },
  )
  const lines = {
    hot_standby: 'on',
    max_standby_streaming_delay: '30s',
    hot_standby_feedback: 'off',
    ...settings,
    unix_socket_directories: directory,
  }
  appendFileSync(
    join(own, 'postgresql.auto.conf'),
    `${Object.entries(lines)
      .map(([name, value]) => `${name} = '${value}'`)
      .join('\n')}\n`,
  )
  const port = await freePort()
  const log = openSync(join(directory, 'log'), 'a')
  const child = start(
    join(primary.bindir, 'postgres'),
    ['-D', own, '-p', String(port)],
    {
      env: { ...work.env, LC_ALL: 'C' },
      cwd: '/',
      stdout: log,
      stderr: log,
      ...(user ? { user } : {}),
    },
    work,
  )
  closeSync(log)
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      signalGroup(child.pid, 'SIGQUIT')
      await Promise.race([child.exit, sleep(3000)])
      await child.stop()
      rmSync(directory, { recursive: true, force: true })
    })())
  started.push(stop)
  const to = (database: string): Connection => ({
    ...withDatabase(source, database),
    port,
    input: 'database-url',
  })
  const ask = async (sql: string): Promise<Record<string, unknown> | undefined> => {
    const session = await connect(to('postgres'), work)
    try {
      return (await session.query<Record<string, unknown>>(sql))[0]
    } finally {
      await session.end()
    }
  }
  for (let i = 0; ; i++) {
    try {
      await ask('SELECT 1')
      break
    } catch (error) {
      if (i > 300)
        throw new Error(
          `The standby does not start: ${readFileSync(join(directory, 'log'), 'utf8')}`,
          { cause: error },
        )
      await sleep(100)
    }
  }
  return {
    to,
    stop,
    async caughtUp() {
      // a commit that waits for the disk takes all that was written before along
      await primary.query(
        'postgres',
        `SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'test', '')`,
      )
      const lsn = String(
        (await primary.query('postgres', 'SELECT pg_current_wal_flush_lsn()::text AS lsn'))[0]?.[
          'lsn'
        ],
      )
      for (let i = 0; i < 600; i++) {
        if (
          (await ask(`SELECT pg_last_wal_replay_lsn() >= '${lsn}'::pg_lsn AS there`))?.['there'] ===
          true
        )
          return
        await sleep(50)
      }
      throw new Error(`The standby has not replayed up to ${lsn} in 30 s`)
    },
    async conflicts(database) {
      const row = await ask(
        `SELECT row_to_json(c) AS c FROM pg_stat_database_conflicts c WHERE datname = '${database}'`,
      )
      return Object.fromEntries(
        Object.entries(row?.['c'] as Record<string, unknown>).filter(
          ([name, value]) => name.startsWith('confl') && Number(value) > 0,
        ),
      ) as Record<string, number>
    },
  }
}
