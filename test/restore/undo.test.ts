import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { UserError } from '../../src/errors.ts'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import { connect, type Session } from '../../src/postgres/connection/session.ts'
import {
  isPreviousDatabaseName,
  previousDatabaseName,
  parseMark,
  commentWithMark,
} from '../../src/postgres/server/previous-databases.ts'
import { dropPreviousDatabases } from '../../src/restore/clean.ts'
import { confirmationOf } from '../../src/restore/confirmation.ts'
import type { BackupRestoreOptions } from '../../src/restore/options.ts'
import { restore } from '../../src/restore/restore.ts'
import { plainText } from '../../src/text.ts'
import { newStore } from '../support/copies.ts'
import {
  freshDatabase,
  newestServer,
  query,
  type Server,
  newestAndOldest,
} from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/**
 * A restore can be taken back, and that too; what was kept is dropped when its time is over. Only
 * what bears our mark is ever touched.
 */
const template = {
  name: 'undo shop',
  sql: `CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 500) g; CREATE TABLE moment (at text)`,
}
const server = newestServer()

interface Shop {
  name: string
  connection: Connection
  options: BackupRestoreOptions
  asked: Omit<BackupRestoreOptions, 'task'>
  /** Names, oid and comment of all databases that have to do with it, by name. */
  around: () => Promise<Record<string, unknown>[]>
  /** What stands in the table `moment` of one of them: which state of the data it is. */
  moment: (database?: string) => Promise<string>
}

/**
 * A database that says "backed up" in its backup, and "live" when it is restored. All that a test
 * leaves of it is dropped.
 */
async function shop(on: Server = server): Promise<Shop> {
  const { name, connection } = await freshDatabase(on, template)
  const like = `datname LIKE '${name}%'`
  after(async () => {
    const names = (
      await query(on, 'postgres', `SELECT datname FROM pg_database WHERE ${like}`)
    ).map(({ datname }) => String(datname))
    for (const each of names)
      await query(on, 'postgres', `DROP DATABASE IF EXISTS "${each}" WITH (FORCE)`)
  })
  await query(on, name, `INSERT INTO moment VALUES ('backed up')`)
  const store = await newStore()
  await store.backup(connection)
  await query(on, name, `UPDATE moment SET at = 'live'`)
  const options: BackupRestoreOptions = {
    ...store.reading,
    target: connection,
    confirm: confirmationOf(name, name),
    dryRun: false,
    safetyBackup: false,
  }
  return {
    name,
    connection,
    options,
    asked: { ...options, sources: [] },
    around: () =>
      query(
        on,
        'postgres',
        `SELECT datname, oid::int, shobj_description(oid, 'pg_database') AS comment FROM pg_database
          WHERE ${like} ORDER BY 1`,
      ),
    moment: async (database = name) =>
      String((await query(on, database, 'SELECT at FROM moment'))[0]?.['at']),
  }
}

/** Makes a database that looks as if a restore had replaced it so long ago. */
async function keptSince(
  name: string,
  age: number,
  on: Server = server,
  marked = true,
): Promise<string> {
  const until = `${new Date(Date.now() - age).toISOString().slice(0, 19)}Z`
  const kept = previousDatabaseName(name, until)
  await query(on, 'postgres', `CREATE DATABASE "${kept}" TEMPLATE template0`)
  if (marked)
    await query(
      on,
      'postgres',
      `COMMENT ON DATABASE "${kept}"
        IS '${commentWithMark(null, { database: name, until, by: 'backup 1 took its place' })}'`,
    )
  return kept
}
const day = 86_400_000

describe('the mark', () => {
  const mark = {
    database: 'a "shop"\nof ours',
    until: '2026-11-21T10:00:00Z',
    by: 'backup 20261121T031500Z-7gk823 took its place',
  }
  test('is the last line of a comment, and is parsed together with the rest of it', () => {
    for (const comment of [
      null,
      'it’s\nthe shop\n',
      'Kept by Holdfast: this was "x" until then',
      commentWithMark('first', mark),
    ])
      assert.deepEqual(parseMark(commentWithMark(comment, mark)), { mark, comment })
    assert.equal(
      commentWithMark('of ours', { ...mark, database: 'shop' }),
      'of ours\nKept by Holdfast: this was "shop" until 2026-11-21T10:00:00Z, ' +
        'when backup 20261121T031500Z-7gk823 took its place.',
    )
  })
  test('is not recognised in a comment that only resembles one', () => {
    const whole = commentWithMark(null, mark)
    for (const comment of [
      null,
      '',
      'a comment',
      `not ${whole}`,
      `${whole} and more`,
      `${whole}\n`,
      whole.replace('2026-11-21T', '21 Nov '),
    ])
      assert.deepEqual(parseMark(comment), { comment })
  })
  test('goes with the name of a previous database, also if that name is truncated', () => {
    const long = 'é'.repeat(31)
    for (const name of ['shop', long, 'x_before_20261121T031500'])
      assert.ok(isPreviousDatabaseName(previousDatabaseName(name, mark.until), name))
    assert.equal(Buffer.byteLength(previousDatabaseName(long, mark.until)) <= 63, true)
    for (const [name, of] of [
      ['shop_before_20261121T100000', 'sho'],
      ['shop_kept', 'shop'],
      ['shop_before_20261121T100000x', 'shop'],
    ] as const)
      assert.equal(isPreviousDatabaseName(name, of), false)
  })
})

for (const each of newestAndOldest())
  test(`PostgreSQL ${each.major}: an undo brings back the database and its comment; a second reverts it`, async () => {
    const { name, options, asked, around, moment } = await shop(each)
    await query(each, 'postgres', `COMMENT ON DATABASE ${name} IS 'it''s the \\ shop'`)
    const before = await around()
    const restored = await restore(options, quietWork())
    const kept = restored.previousDatabase as string
    const [now, old, ...more] = await around()
    assert.deepEqual(
      [more, now?.['comment'], old?.['oid']],
      [[], `it's the \\ shop`, before[0]?.['oid']],
    )
    assert.match(
      String(old?.['comment']),
      new RegExp(
        `^it's the \\\\ shop\\nKept by Holdfast: this was "${name}" until ` +
          `\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ, when backup ${restored.id} took its place\\.$`,
      ),
    )
    assert.equal(
      previousDatabaseName(name, parseMark(String(old?.['comment'])).mark?.until as string),
      kept,
      'name and mark have one time',
    )
    assert.ok(
      restored.plan.some(({ step }) => step.includes(kept)),
      'the time that the plan showed',
    )
    assert.equal(await moment(), 'backed up')

    await query(each, name, `UPDATE moment SET at = 'written since'`)
    const undone = await restore({ ...asked, task: 'undo' }, quietWork())
    assert.equal(await moment(), 'live')
    assert.deepEqual(
      [undone.database, undone.by, undone.plan.every(({ done }) => done)],
      [kept, `backup ${restored.id} took its place`, true],
    )
    const [back, since, ...others] = await around()
    assert.deepEqual(
      [back, others],
      [before[0], []],
      'the same database, under its name and with its comment',
    )
    assert.equal(since?.['datname'], undone.previousDatabase)
    assert.equal(
      await moment(undone.previousDatabase),
      'written since',
      'nothing is lost by an undo',
    )

    const again = await restore({ ...asked, task: 'undo' }, quietWork())
    assert.equal(again.database, undone.previousDatabase)
    assert.equal(await moment(), 'written since')
    assert.deepEqual(
      (await around()).map(({ oid }) => oid),
      [now?.['oid'], before[0]?.['oid']],
    )
    assert.equal((await around())[0]?.['comment'], `it's the \\ shop`)
  })

test('an undo succeeds while clients reconnect, and needs no superuser', async () => {
  const { name, connection, options, moment } = await shop()
  await query(
    server,
    'postgres',
    `DO $$ BEGIN CREATE ROLE undo_owner LOGIN CREATEDB PASSWORD 'pw' IN ROLE pg_signal_backend;
        EXCEPTION WHEN duplicate_object THEN END $$;
    DO $$ BEGIN CREATE ROLE undo_client LOGIN PASSWORD 'pw'; EXCEPTION WHEN duplicate_object THEN END $$`,
  )
  await query(server, 'postgres', `ALTER DATABASE ${name} OWNER TO undo_owner`)
  for (const sql of [
    'ALTER TABLE orders OWNER TO undo_owner',
    'ALTER TABLE moment OWNER TO undo_owner',
    'GRANT SELECT ON moment TO undo_client',
  ])
    await query(server, name, sql)
  const store = await newStore()
  await store.backup(connection)
  const owner: Connection = { ...connection, user: 'undo_owner', password: 'pw' }
  const restored = await restore(
    { ...options, ...store.reading, target: owner, safetyBackup: true },
    quietWork(),
  )
  assert.ok(restored.safetyBackup && restored.previousDatabase)
  await query(server, name, `UPDATE moment SET at = 'restored'`)
  let running = true
  const client = async (database: string): Promise<void> => {
    while (running) {
      try {
        const session = await connect(
          { ...connection, user: 'undo_client', password: 'pw', database },
          quietWork(),
        )
        void session.lost
        while (running) await session.query('SELECT * FROM public.moment')
        await session.end()
      } catch {
        // ended by the swap: come back at once
      }
    }
  }
  const clients = [
    ...Array.from({ length: 6 }, () => client(name)),
    client(restored.previousDatabase),
    client(restored.previousDatabase),
  ]
  try {
    await new Promise((resolve) => setTimeout(resolve, 300))
    const undone = await restore({ ...options, target: owner, task: 'undo' }, quietWork())
    assert.ok(undone.sessionsEnded >= 8, String(undone.sessionsEnded))
    assert.ok((undone.inUse?.sessions ?? 0) >= 1)
    assert.equal(await moment(), 'live')
    const cleaned = await restore(
      { ...options, target: owner, task: 'clean', keepPrevious: 1 },
      quietWork(),
    )
    assert.deepEqual(
      cleaned.dropped.map(({ database }) => database),
      [undone.previousDatabase],
    )
  } finally {
    running = false
    await Promise.all(clients)
  }
})

test('a dry run of an undo shows the database, its date, size and sessions, and changes nothing', async () => {
  const { name, options, asked, around } = await shop()
  const restored = await restore(options, quietWork())
  const before = await around()
  const reader = await connect(server.to(name), quietWork())
  const dry = await restore(
    { ...asked, task: 'undo', dryRun: true, confirm: confirmationOf(name, '') },
    quietWork(),
  )
  await reader.end()
  assert.deepEqual(await around(), before)
  assert.equal(dry.database, restored.previousDatabase)
  assert.ok(Math.abs(Date.parse(dry.until) - Date.now()) < 60_000)
  assert.ok((dry.bytes ?? 0) > 1e6 && (dry.inUse?.bytes ?? 0) > 1e6)
  assert.equal(dry.inUse?.sessions, 1)
  assert.deepEqual([dry.previousDatabase, dry.plan.map(({ done }) => done)], [undefined, [false]])
})

test('nothing to undo: a database with the right name but no mark is listed, not used', async () => {
  const { name, asked, around } = await shop()
  await assert.rejects(
    restore({ ...asked, task: 'undo' }, quietWork()),
    (error: UserError) => error.code === 'nothing-to-undo' && !error.message.includes('_before_'),
  )
  const unmarked = await keptSince(name, day, server, false)
  const before = await around()
  await assert.rejects(
    restore({ ...asked, task: 'undo' }, quietWork()),
    (error: UserError) =>
      error.code === 'nothing-to-undo' &&
      error.message.includes(unmarked) &&
      error.hint.includes(`RENAME TO "${name}"`),
  )
  assert.deepEqual(await around(), before)
})

test('a mark on a database of another owner is ignored', async () => {
  const { name, options, asked, around, moment } = await shop()
  await query(
    server,
    'postgres',
    `DO $$ BEGIN CREATE ROLE undo_stranger NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$`,
  )
  const offered = await keptSince(name, -60_000)
  await query(server, 'postgres', `ALTER DATABASE "${offered}" OWNER TO undo_stranger`)
  const before = await around()
  await assert.rejects(
    restore({ ...asked, task: 'undo' }, quietWork()),
    (error: UserError) =>
      error.code === 'nothing-to-undo' && error.message.includes('"undo_stranger"'),
  )
  assert.deepEqual(await around(), before)
  const { previousDatabase: kept } = await restore(options, quietWork())
  const undone = await restore({ ...asked, task: 'undo' }, quietWork())
  assert.deepEqual([undone.database, await moment()], [kept, 'live'])
  assert.ok(undone.warnings.some((warning) => plainText(warning).includes(offered)))
})

test('if the target was dropped, an undo gives its name to the newest previous database', async () => {
  const { name, options, asked, moment, around } = await shop()
  await restore(options, quietWork())
  await query(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`)
  const undone = await restore({ ...asked, task: 'undo' }, quietWork())
  assert.deepEqual(
    [undone.inUse, undone.previousDatabase, await moment()],
    [undefined, undefined, 'live'],
  )
  assert.equal((await around()).length, 1)
})

test('a wrong confirm, a slot or a prepared transaction prevents an undo', async () => {
  const { name, options, asked, around } = await shop()
  const { previousDatabase: kept = '' } = await restore(options, quietWork())
  const before = await around()
  await assert.rejects(
    restore({ ...asked, task: 'undo', confirm: confirmationOf(name, kept) }, quietWork()),
    (error: UserError) => error.code === 'confirm-mismatch' && error.hint.includes(name),
  )
  for (const database of [name, kept]) {
    const slot = `slot_${database.toLowerCase()}`.slice(0, 60)
    await query(
      server,
      database,
      `SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`,
    )
    await assert.rejects(
      restore({ ...asked, task: 'undo', dryRun: database === kept }, quietWork()),
      (error: UserError) => error.code === 'swap-unsafe' && error.message.includes(slot),
    )
    await query(server, database, `SELECT pg_drop_replication_slot('${slot}')`)
    await query(
      server,
      database,
      `BEGIN; INSERT INTO moment VALUES ('x'); PREPARE TRANSACTION 'pending ${database}'`,
    )
    await assert.rejects(
      restore({ ...asked, task: 'undo' }, quietWork()),
      (error: UserError) =>
        error.code === 'swap-unsafe' && error.message.includes(`pending ${database}`),
    )
    await query(server, database, `ROLLBACK PREPARED 'pending ${database}'`)
  }
  assert.deepEqual(await around(), before)
})

test('keep-previous drops older databases, but none that is new, in use, unmarked or renamed', async () => {
  const { name, connection, options, around } = await shop()
  const old = await keptSince(name, 3 * day)
  const young = await keptSince(name, day / 2)
  const used = await keptSince(name, 4 * day)
  const unmarked = await keptSince(name, 5 * day, server, false)
  const renamed = `${name}_wanted`
  await query(
    server,
    'postgres',
    `ALTER DATABASE "${await keptSince(name, 6 * day)}" RENAME TO ${renamed}`,
  )
  const other = await keptSince(`${name}x`, 7 * day)
  const reader = await connect({ ...connection, database: used }, quietWork())
  const all = (await around()).map(({ datname }) => datname)
  try {
    const dry = await restore({ ...options, keepPrevious: day, dryRun: true }, quietWork())
    assert.deepEqual(
      dry.cleaned?.dropped.map(({ database }) => database),
      [old],
    )
    assert.deepEqual(
      (await around()).map(({ datname }) => datname),
      all,
    )
    const result = await restore({ ...options, keepPrevious: day }, quietWork())
    const { dropped = [], left = [], kept = [] } = result.cleaned ?? {}
    assert.deepEqual(
      dropped.map(({ database }) => database),
      [old],
    )
    assert.ok((dropped[0]?.bytes ?? 0) > 1e6)
    assert.deepEqual(
      left.map(({ database, why }) => [database, why]),
      [
        [used, '1 session is connected to it'],
        [renamed, 'it was renamed, so it is kept'],
      ],
    )
    assert.deepEqual(
      kept.map(({ database }) => database),
      [result.previousDatabase, young],
    )
    assert.deepEqual(
      (await around()).map(({ datname }) => datname),
      [...all.filter((each) => each !== old), result.previousDatabase].sort(),
    )
    // even of no time at all, what was just kept stays: it is what undo needs
    const { previousDatabase: last } = await restore({ ...options, keepPrevious: 1 }, quietWork())
    assert.deepEqual(
      (await around()).map(({ datname }) => datname),
      [name, last, used, unmarked, renamed, other].sort(),
    )
  } finally {
    await reader.end()
  }
})

test('clean drops only databases older than keep-previous; a dry run lists them', async () => {
  const { name, asked, around } = await shop()
  const old = await keptSince(name, 3 * day)
  const young = await keptSince(name, day)
  const clean = { ...asked, task: 'clean', keepPrevious: 2 * day } as const
  await assert.rejects(
    restore({ ...clean, confirm: confirmationOf(name, 'other') }, quietWork()),
    (error: UserError) => error.code === 'confirm-mismatch',
  )
  const dry = await restore(
    { ...clean, dryRun: true, confirm: confirmationOf(name, '') },
    quietWork(),
  )
  assert.deepEqual(
    [dry.dropped.map(({ database }) => database), (await around()).length],
    [[old], 3],
  )
  const result = await restore(clean, quietWork())
  assert.deepEqual(
    [result.dropped.map(({ database }) => database), result.kept.map(({ database }) => database)],
    [[old], [young]],
  )
  assert.deepEqual(
    (await around()).map(({ datname }) => datname),
    [name, young],
  )
})

test('clean does not end a session that connects just before the drop', async () => {
  const { name, connection, around } = await shop()
  const old = await keptSince(name, day)
  const session = await connect(server.to('postgres'), quietWork())
  let reader: Session | undefined
  const query: Session['query'] = async (text, values) => {
    if (text.startsWith('DROP'))
      reader = await connect({ ...connection, database: old }, quietWork())
    return session.query(text, values)
  }
  const cleaned = await dropPreviousDatabases(
    { ...session, query },
    name,
    1,
    { dryRun: false },
    quietWork(),
  )
  assert.deepEqual(
    cleaned.left.map(({ database, why }) => [database, why]),
    [[old, 'a session connected to it']],
  )
  assert.deepEqual(await reader?.query('SELECT 1 AS one'), [{ one: 1 }])
  assert.equal((await around()).length, 2)
  await reader?.end()
  await session.end()
})

test('after an undo, the database has no mark and can be restored again', async () => {
  const { name, options, asked, around } = await shop()
  await restore(options, quietWork())
  await restore({ ...asked, task: 'undo' }, quietWork())
  // named back by hand, with the mark still on it
  await query(
    server,
    'postgres',
    `COMMENT ON DATABASE ${name} IS 'mine\nKept by Holdfast: this was "${name}" ` +
      `until 2026-11-21T10:00:00Z, when backup 1 took its place.'`,
  )
  const { previousDatabase: kept } = await restore(options, quietWork())
  const comments = new Map(
    (await around()).map(({ datname, comment }) => [datname, String(comment)]),
  )
  assert.equal(comments.get(name), 'mine')
  assert.equal(comments.get(kept)?.split('\n').length, 2)
})

describe('previous databases and swaps that are left alone', () => {
  test('undo skips a previous database that was renamed, and warns about it', async () => {
    const { name, options, asked } = await shop()
    const first = await restore(options, quietWork())
    await query(
      server,
      'postgres',
      `ALTER DATABASE "${first.previousDatabase}" RENAME TO "${name}_reports"`,
    )
    await assert.rejects(
      restore({ ...asked, task: 'undo' }, quietWork()),
      (error: UserError) => error.code === 'nothing-to-undo',
    )
    const second = await restore(options, quietWork())
    const undone = await restore({ ...asked, task: 'undo' }, quietWork())
    assert.equal(undone.database, second.previousDatabase)
    assert.match(
      undone.warnings.map((each) => plainText(each)).join(),
      new RegExp(`${name}_reports.*was renamed`),
    )
  })

  test('without the target, clean drops none of its previous databases', async () => {
    const { name, asked, moment } = await shop()
    await query(server, 'postgres', `DROP DATABASE "${name}"`)
    const kept = await keptSince(name, day)
    const clean = restore({ ...asked, task: 'clean', keepPrevious: 1000 }, quietWork())
    await assert.rejects(
      clean,
      (error: UserError) => error.code === 'database-missing' && error.hint.includes('undo'),
    )
    assert.equal(
      (await query(server, 'postgres', `SELECT FROM pg_database WHERE datname = '${kept}'`)).length,
      1,
    )
    await assert.rejects(moment())
  })

  test('a replication slot created during the restore prevents the swap', async () => {
    const { name, options, moment } = await shop()
    const slot = `slot_${name}`
    const quiet = quietWork()
    let made: Promise<unknown> | undefined
    const info = (text: string): void => {
      if (text.startsWith('Done: Restore'))
        made = query(
          server,
          name,
          `SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`,
        )
    }
    try {
      await assert.rejects(
        restore(options, { ...quiet, log: { ...quiet.log, info } }),
        (error: UserError) => error.code === 'swap-unsafe' && error.message.includes(slot),
      )
      assert.ok(made)
      assert.equal(await moment(), 'live')
    } finally {
      await made
      await query(server, 'postgres', `SELECT pg_drop_replication_slot('${slot}')`)
    }
  })
})
