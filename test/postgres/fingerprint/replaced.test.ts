import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UserError } from '../../../src/errors.ts'
import { connect, connectToRead, type Session } from '../../../src/postgres/connection/session.ts'
import { readSequences } from '../../../src/postgres/fingerprint/sequences.ts'
import { listTables } from '../../../src/postgres/fingerprint/tables.ts'
import { Drift, openReader, takeSnapshot } from '../../../src/postgres/pg-dump/snapshot.ts'
import { lockTables } from '../../../src/postgres/tables/lock-tables.ts'
import { until } from '../../support/clock.ts'
import { majors, startOwnServer } from '../../support/own-server.ts'
import { quietWork } from '../../support/start-servers.ts'

/**
 * The attack of CVE-2024-7348: a role without rights owns one sequence, table or schema. While a
 * superuser's session waits for a lock, or between its lock and its reading, the role puts something
 * with a function of its own in the place of what will be read. The function must never run.
 */
const evidence = /ran as holdfast/
const schema = `
  DO $$ BEGIN CREATE ROLE mallory LOGIN PASSWORD 'pw'; EXCEPTION WHEN duplicate_object THEN END $$;
  GRANT CREATE ON DATABASE app TO mallory;
  CREATE SCHEMA m AUTHORIZATION mallory;
  SET ROLE mallory;
  CREATE SEQUENCE m.s START 5;
  CREATE TABLE m.t AS SELECT 'x'::text AS v;
  CREATE FUNCTION m.code() RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN RAISE 'code of another role ran as %', current_user; END $$;
  CREATE TYPE m.odd AS ENUM ('x');
  CREATE FUNCTION m.code(m.odd) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN RAISE 'code of another role ran as %', current_user; END $$;
  CREATE CAST (m.odd AS text) WITH FUNCTION m.code(m.odd) AS IMPLICIT`

const view = (name: string): string =>
  `CREATE VIEW ${name} AS SELECT m.code() AS last_value, true AS is_called, 1::oid AS tableoid`
const replacements = {
  'a view over a function': (name: string) => view(name),
  'a table with a column whose cast is a function': (name: string) =>
    `CREATE TABLE ${name} AS SELECT 'x'::m.odd AS last_value, true AS is_called`,
}

for (const major of majors())
  describe(`PostgreSQL ${major}: a role that replaces what a superuser reads runs no code`, async () => {
    const server = await startOwnServer(major)
    /** A session of the superuser and one of the attacker, in a new database. */
    const attacked = async (
      body: (victim: Session, attacker: Session) => Promise<void>,
      open = connectToRead,
    ): Promise<void> => {
      await server.query('postgres', 'DROP DATABASE IF EXISTS app WITH (FORCE)')
      await server.create('app', schema)
      const victim = await open(server.to('app'), quietWork())
      const attacker = await connect(
        { ...server.to('app'), user: 'mallory', password: 'pw' },
        quietWork(),
      )
      try {
        await body(victim, attacker)
      } finally {
        await Promise.all([victim.end(), attacker.end()])
      }
    }
    const waiting = (): Promise<void> =>
      until('a session that waits for a lock', async () => {
        const sql = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`
        return (await server.query('app', sql)).length > 0
      })
    /** Replaces `kind name`, and commits when somebody waits for it. */
    const replace = async (
      attacker: Session,
      kind: 'SEQUENCE' | 'TABLE',
      name: string,
      by: (name: string) => string,
    ): Promise<void> => {
      await attacker.query('BEGIN')
      await attacker.query(`ALTER ${kind} m.${name} RENAME TO old_${name}`)
      await attacker.query(by(`m.${name}`))
    }

    test('the attack works on a session that does not defend itself', () =>
      attacked(async (victim, attacker) => {
        await replace(attacker, 'SEQUENCE', 's', view)
        const reading = assert.rejects(victim.query('SELECT last_value FROM m.s'), evidence)
        await waiting()
        await attacker.query('COMMIT')
        await reading
      }, connect))

    for (const [what, by] of Object.entries(replacements))
      test(`a sequence becomes ${what}`, () =>
        attacked(async (victim, attacker) => {
          await replace(attacker, 'SEQUENCE', 's', by)
          const reading = readSequences(victim).then(
            (values) => values,
            (error: unknown) => error,
          )
          await waiting()
          await attacker.query('COMMIT')
          const got = await reading
          // by its oid, PostgreSQL 18 and newer read what was renamed
          if (major >= 18) assert.deepEqual(got, { 'm.s': { last: '5', called: false } })
          else
            assert.ok(
              got instanceof UserError &&
                got.code === 'relation-replaced' &&
                got.message.startsWith('m.s was renamed, dropped or replaced'),
              String(got),
            )
        }))

    test('a table becomes a view while its lock is awaited', () =>
      attacked(async (_victim, attacker) => {
        const snapshot = await takeSnapshot(server.to('app'), quietWork())
        try {
          const tables = await listTables(snapshot.session)
          await replace(
            attacker,
            'TABLE',
            't',
            (name) => `CREATE VIEW ${name} AS SELECT m.code() AS v`,
          )
          const opening = assert.rejects(
            openReader(
              snapshot,
              tables.map((table) => ({ table, bytes: table.bytes })),
              { lockFirst: true, depth: 'content' },
              quietWork(),
            ),
            Drift,
          )
          await waiting()
          await attacker.query('COMMIT')
          await opening
        } finally {
          await snapshot.end()
        }
      }))

    test('a table becomes a view while a replacement waits for its lock', () =>
      attacked(async (victim, attacker) => {
        const [table] = await victim.query<{ oid: number }>(`SELECT 'm.t'::regclass::int AS oid`)
        await replace(
          attacker,
          'TABLE',
          't',
          (name) => `CREATE VIEW ${name} AS SELECT m.code() AS v`,
        )
        await victim.query('BEGIN')
        const locking = assert.rejects(
          lockTables(victim, { replaced: [table?.oid ?? 0], others: [] }, 60_000, quietWork()),
          (error: UserError) => error.code === 'relation-replaced',
        )
        await waiting()
        await attacker.query('COMMIT')
        await locking
      }, connect))

    for (const lockFirst of [true, false])
      test(`a schema is exchanged ${lockFirst ? 'after the lock' : 'before lock and reading'}`, () =>
        attacked(async (_victim, attacker) => {
          const snapshot = await takeSnapshot(server.to('app'), quietWork())
          try {
            const tables = await listTables(snapshot.session)
            const reader = await openReader(
              snapshot,
              tables.map((table) => ({ table, bytes: table.bytes })),
              { lockFirst, depth: 'content' },
              quietWork(),
            )
            await attacker.query('ALTER SCHEMA m RENAME TO old')
            await attacker.query('CREATE SCHEMA m')
            await attacker.query(`CREATE TABLE m.t AS SELECT 'x'::old.odd AS v`)
            await assert.rejects(
              reader.measure(() => {}),
              Drift,
            )
            await reader.end()
          } finally {
            await snapshot.end()
          }
        }))
  })
