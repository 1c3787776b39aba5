import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline, Transform } from 'node:stream'
import { test } from 'node:test'
import { backup } from '../../src/backup/backup.ts'
import { listBackups } from '../../src/repository/listing.ts'
import { parseSelector } from '../../src/repository/selector.ts'
import { verify } from '../../src/verify/verify.ts'
import { Cancelled, UserError } from '../../src/errors.ts'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import { connect } from '../../src/postgres/connection/session.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Held, Work } from '../../src/work.ts'
import { until } from '../support/clock.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { freshDatabase, newestServer, query } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { plainText, type Text } from '../../src/text.ts'

const server = newestServer()
const thousand = {
  name: 'thousand',
  sql: `CREATE TABLE t AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 1000) g;
    CREATE TABLE u (a int); INSERT INTO u VALUES (1)`,
}
const large = {
  name: 'large',
  sql: `CREATE TABLE fat AS SELECT g AS id, repeat(md5(g::text), 20) AS v FROM generate_series(1, 60000) g`,
}
/**
 * More than all pipes and buffers on the way hold, compressed: its pg_dump stands still while
 * nothing is taken.
 */
const dense = {
  name: 'dense',
  sql: `CREATE TABLE fat AS
    SELECT g AS id, ${Array.from('abcdefgh', (letter) => `md5('${letter}' || g)`).join(' || ')} AS v
    FROM generate_series(1, 60000) g`,
}
/** Where to prove a backup. */
const onScratch = (store: Store): Store['reading'] & { scratch: Connection } => ({
  ...store.reading,
  scratch: server.to('postgres'),
})
const manifests = (folder: string): string[] => globSync('**/manifest.json', { cwd: folder })
const everything = (folder: string): string[] =>
  globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)

/** Work whose debug lines are watched, for doing something at the moment a child is started. */
function watching(onChild: (command: string) => void, signal?: AbortSignal): Work {
  const work = quietWork(signal)
  return { ...work, log: { ...work.log, debug: (text) => onChild(text) } }
}

test('a pg_dump that is killed half way leaves no manifest, nothing else either, and an error', async () => {
  const { connection } = await freshDatabase(server, large)
  const store = await newStore()
  const running = new Set<Held>()
  const work = {
    ...quietWork(),
    hold: (held: Held) => void running.add(held),
    release: (held: Held) => void running.delete(held),
  }
  const slow = openStorage(`file://${store.folder}`)
  let killed = false
  const create: typeof slow.create = async (key, source, options) => {
    source.once('data', () => {
      killed = true
      for (const held of running) if (held.kind === 'process') process.kill(held.pid, 'SIGKILL')
    })
    return store.storage.create(key, source, options)
  }
  await assert.rejects(
    store.backup(connection, { destinations: [override(slow, { create })] }, work),
    (error: UserError) => error.code === 'dump-failed' && /SIGKILL/.test(error.message),
  )
  assert.ok(killed)
  assert.deepEqual(everything(store.folder), [])
})

test('a cancelled backup leaves nothing, and no session on the server', async () => {
  const { name, connection } = await freshDatabase(server, large)
  const store = await newStore()
  const stop = new AbortController()
  const work = watching(
    (command) => void (/-Fc/.test(command) && setTimeout(() => stop.abort(new Cancelled()), 150)),
    stop.signal,
  )
  await assert.rejects(store.backup(connection, {}, work), Cancelled)
  assert.deepEqual(everything(store.folder), [])
  await until('the end of its sessions', async () => (await sessions(name)) === 0)
})

async function sessions(database: string): Promise<number> {
  const [row] = await query(
    server,
    'postgres',
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${database}'`,
  )
  return Number(row?.['n'])
}

test('a table refilled between snapshot and locks is never stored empty: the backup starts over', async () => {
  const { name, connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  let truncations = 0
  // the snapshot is taken before the first child starts; what commits now, pg_dump does not see and
  // must not read past
  const pending: Promise<unknown>[] = []
  const work = watching((command) => {
    if (!/pg_dump -Fc/.test(command) || truncations === 2) return
    truncations++
    pending.push(
      query(
        server,
        name,
        'BEGIN; TRUNCATE t; INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 1000) g; COMMIT',
      ),
    )
  })
  // whether the truncation or the first lock comes first is chance: until it was the truncation
  let made = await store.backup(connection, {}, work)
  for (let i = 0; i < 15 && made.attempts === 1; i++) {
    truncations = 0
    made = await store.backup(connection, {}, work)
    assert.equal(made.rows, 1001)
  }
  await Promise.all(pending)
  assert.equal(made.rows, 1001)
  assert.ok(made.attempts >= 2, `${made.attempts} attempts`)
  assert.equal((await verify(onScratch(store), quietWork())).level, 'identical')
})

test('behind a lock that is held, the backup lets the holder go first, and never makes it wait for us', async () => {
  const { name, connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  const holder = await connect(connection, quietWork())
  await holder.query('BEGIN')
  await holder.query('LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE')
  const quiet = quietWork()
  let retried = (): void => {}
  const firstRetry = new Promise<void>((resolve) => (retried = resolve))
  const info = (text: string): void => void (/attempt/i.test(text) && retried())
  const running = store.backup(connection, {}, { ...quiet, log: { ...quiet.log, info } })
  await Promise.race([firstRetry, running])
  const from = Date.now()
  await holder.query('ALTER TABLE public.u ADD COLUMN b int') // a table that the backup would have locked
  assert.ok(Date.now() - from < 2000)
  await holder.query('COMMIT')
  await holder.end()
  const made = await running
  assert.ok(made.attempts >= 2)
  assert.equal(
    (await query(server, name, `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted`))[0]?.[
      'n'
    ],
    0,
  )
})

test('two backups at once both end well, and each verifies', async () => {
  const { connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  const both = await Promise.all([store.backup(connection), store.backup(connection)])
  for (const { id } of both)
    assert.equal(
      (await verify({ ...onScratch(store), backup: parseSelector(id) }, quietWork())).level,
      'identical',
    )
})

test('several destinations hold the same bytes; when one fails, none has a manifest', async () => {
  const { connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  const second = temporaryFolder()
  const made = await store.backup(connection, {
    destinations: [store.storage, openStorage(`file://${second}`)],
  })
  for (const { name } of made.objects)
    assert.deepEqual(
      readFileSync(join(store.folder, 'test', made.id, name)),
      readFileSync(join(second, 'test', made.id, name)),
      name,
    )
  const broken = openStorage(`file://${temporaryFolder()}`)
  const failing = override(broken, {
    create: async () => Promise.reject(new UserError('disk-full', 'no space', 'make some')),
  })
  await assert.rejects(
    store.backup(connection, { destinations: [store.storage, failing] }),
    /no space/,
  )
  assert.equal(manifests(store.folder).length, 1)
})

test('a destination that refuses at once ends the backup before the database is read', async () => {
  const { connection } = await freshDatabase(server, dense)
  const store = await newStore()
  const whole = await store.backup(connection)
  const second = temporaryFolder()
  writeFileSync(join(second, 'test'), 'a file where the label’s folder belongs')
  const occupied = openStorage(`file://${second}`)
  const refusing = override(openStorage(`file://${temporaryFolder()}`), {
    create: async () => Promise.reject(new UserError('disk-full', 'no space')),
  })
  for (const destination of [occupied, refusing]) {
    const { storage, received } = countingStore(store)
    await assert.rejects(
      store.backup(connection, { destinations: [storage, destination] }),
      UserError,
    )
    // what waits in the streams between them: a few pieces of at most 256 KiB
    assert.ok(
      received() < 1 << 20,
      `${received()} of ${whole.bytes} bytes were read for the other destination`,
    )
  }
  assert.equal(manifests(store.folder).length, 1)
})

/** The store, with a count of the bytes that arrived there. */
function countingStore(store: Store): { storage: Store['storage']; received: () => number } {
  let bytes = 0
  const create: Store['storage']['create'] = async (key, source, options) => {
    const counted = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        done(null, chunk)
      },
    })
    pipeline(source, counted, () => {})
    return store.storage.create(key, counted, options)
  }
  return { storage: override(store.storage, { create }), received: () => bytes }
}

test('keep removes the oldest, never the newest, and never the last one that was proven', async () => {
  const { connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  const first = await store.backup(connection)
  const proven = await store.backup(connection)
  assert.equal((await verify(onScratch(store), quietWork())).proven, true)
  const third = await store.backup(connection, { keep: 1 })
  assert.deepEqual(
    third.removed.flatMap(({ ids }) => ids),
    [first.id],
  )
  assert.deepEqual(
    await listBackups(store.storage, 'test', quietWork()),
    [proven.id, third.id].sort(),
  )
  assert.equal((await verify(onScratch(store), quietWork())).proven, true)
  const fourth = await store.backup(connection, { keep: 2 })
  assert.deepEqual(
    fourth.removed.flatMap(({ ids }) => ids),
    [proven.id],
    'the third is proven and kept, so the second may go',
  )
  assert.ok(
    !existsSync(join(store.folder, 'test', proven.id)),
    'its folder is gone with all objects',
  )
})

test('a backup that is not encrypted says so, and restores', async () => {
  const { connection } = await freshDatabase(server, thousand)
  const store = await newStore()
  const made = await store.backup(connection, { recipients: 'none' })
  assert.deepEqual(
    made.objects.map(({ name }) => name),
    ['base.dump', 'RECOVER.md'],
  )
  assert.equal(
    (await verify({ ...onScratch(store), identities: [] }, quietWork())).level,
    'identical',
  )
})

test('rows that the role may not see stop the backup before it starts, with the table and what to type', async () => {
  const { name, connection } = await freshDatabase(server, thousand)
  await query(
    server,
    name,
    `DO $$ BEGIN CREATE ROLE reader_of_little LOGIN PASSWORD 'pw';
       EXCEPTION WHEN duplicate_object THEN END $$;
     GRANT SELECT ON u TO reader_of_little`,
  )
  const reader = { ...connection, user: 'reader_of_little', password: 'pw' }
  const store = await newStore()
  await assert.rejects(
    store.backup(reader),
    (error: UserError) =>
      error.code === 'no-permission' &&
      /may not read public\.t\./.test(error.message) &&
      /GRANT pg_read_all_data/.test(error.hint),
  )
  await query(
    server,
    name,
    'GRANT SELECT ON t TO reader_of_little; ALTER TABLE t ENABLE ROW LEVEL SECURITY',
  )
  await assert.rejects(
    store.backup(reader),
    (error: UserError) => error.code === 'row-security' && /public\.t/.test(error.message),
  )
  await query(server, name, 'ALTER TABLE t DISABLE ROW LEVEL SECURITY')
  assert.equal((await store.backup(reader)).rows, 1001)
})

test('a server whose major has no programs here is refused with their name and how to get them', async () => {
  const { connection } = await freshDatabase(server, thousand)
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin/pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 9.6.1"\n', {
    mode: 0o755,
  })
  const store = await newStore()
  const { findPrograms } = await import('../../src/postgres/programs/find-programs.ts')
  await assert.rejects(
    findPrograms(96, ['pg_dump'], [join(folder, 'bin')], quietWork()),
    (error: UserError) =>
      error.code === 'client-missing' &&
      /9\.6 in/.test(error.message) &&
      /postgresql-client-96/.test(error.hint),
  )
  // an old one that comes first is passed over, not used
  assert.equal((await store.backup(connection, { bindirs: [join(folder, 'bin')] })).rows, 1001)
})

test('validation comes before the first connection', async () => {
  const nowhere = {
    host: '127.0.0.1',
    port: 1,
    user: 'x',
    database: 'x',
    settings: {},
    input: 'database-url',
  }
  const store = await newStore()
  await assert.rejects(
    backup(
      {
        database: nowhere,
        destinations: [store.storage],
        recipients: ['age1x'],
        bindirs: [],
        jobs: 2,
        largeTable: 16 << 20,
        fingerprint: 'content' as const,
      },
      quietWork(),
    ),
    /encrypt-to holds/,
  )
  await assert.rejects(store.backup(nowhere), (error: UserError) => error.code === 'unreachable')
})

/**
 * A destination that takes nothing until it is let: a backup stands still with all its locks held.
 */
function gatedStore(store: Store): {
  storage: Store['storage']
  open: () => void
  reading: Promise<void>
} {
  let open = (): void => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  let begun = (): void => {}
  const reading = new Promise<void>((resolve) => (begun = resolve))
  const create: Store['storage']['create'] = async (key, source, options) => {
    if (/\.dump/.test(key)) {
      begun()
      await gate
    }
    return store.storage.create(key, source, options)
  }
  return { storage: override(store.storage, { create }), open, reading }
}

test('a long backup tells its progress, and who waits behind its locks, with the statement and the table', async () => {
  const { name, connection } = await freshDatabase(server, dense)
  const store = await newStore()
  const { storage, open, reading } = gatedStore(store)
  const said: string[] = []
  const hear = (text: Text): void => void said.push(plainText(text))
  const work = quietWork()
  const running = store.backup(
    connection,
    { destinations: [storage], fingerprint: 'none' },
    { ...work, log: { ...work.log, info: hear, warning: hear } },
  )
  await reading
  const blocked = async (): Promise<number> =>
    (await query(server, name, 'SELECT FROM pg_locks WHERE NOT granted')).length
  const progressLine = /^(\d+) of (\d+) MB read \((\d+) %\), \d+ MB\/s/
  const altering = query(server, name, 'ALTER TABLE fat ADD COLUMN told int')
  await until('an ALTER TABLE that waits', async () => (await blocked()) === 1)
  const selecting = query(server, name, 'SELECT count(*) FROM fat')
  await until('a SELECT behind it', async () => (await blocked()) === 2)
  await until(
    'a warning and progress',
    () => /behind it/.test(said.join()) && said.some((line) => progressLine.test(line)),
  )
  open()
  const made = await running
  await Promise.all([altering, selecting])
  assert.deepEqual(
    made.waiters.map(({ kind, table, mode, behind }) => [kind, table, mode, behind]),
    [['ALTER TABLE', 'public.fat', 'ACCESS EXCLUSIVE', 1]],
  )
  assert.ok((made.waiters[0]?.waited ?? 0) >= 3000)
  const progress = said.map((line) => progressLine.exec(line)).find(Boolean)
  assert.ok(progress, `long work says how far it has come: ${said.join('\n')}`)
  assert.ok(
    Number(progress[1]) > 0 &&
      Number(progress[1]) < Number(progress[2]) &&
      Number(progress[3]) < 100,
    progress[0],
  )
})

test('when the session that holds the snapshot is ended, so is the backup, and it says why', async () => {
  const { name, connection } = await freshDatabase(server, dense)
  const store = await newStore()
  const { storage, open, reading } = gatedStore(store)
  const running = store.backup(connection, { destinations: [storage] })
  const outcome = assert.rejects(
    running,
    (error: UserError) =>
      error.code === 'connection-lost' && /administrator command/.test(error.message),
  )
  await reading
  await query(
    server,
    'postgres',
    `SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
     WHERE datname = '${name}' AND application_name LIKE 'holdfast-%'
       AND backend_xmin IS NOT NULL AND query NOT LIKE 'COPY%'
     ORDER BY backend_start LIMIT 1`,
  )
  open()
  await outcome
  assert.deepEqual(everything(store.folder), [])
})
