import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Cancelled } from '../../src/errors.ts'
import { compareFingerprints } from '../../src/load/compare-fingerprints.ts'
import { measure } from '../../src/load/measure.ts'
import { type Connection, libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { findPrograms } from '../../src/postgres/programs/find-programs.ts'
import { type Manifest, readManifest, writeManifest } from '../../src/repository/manifest.ts'
import type { VerifyResult } from '../../src/verify/result.ts'
import { verify } from '../../src/verify/verify.ts'
import type { Held, Work } from '../../src/work.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { dropOddSubscription, loadOddObjects } from '../support/odd-objects.ts'
import { freshDatabase, newestAndOldest, newestServer, query, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/**
 * Backups of several archives: restored side by side they give the same copy as one archive does,
 * or an error that names what is wrong.
 */
const shop = `
  DO $$ BEGIN CREATE ROLE fleet_owner NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
  DO $$ BEGIN CREATE ROLE fleet_reader NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
  CREATE TABLE customers (id int PRIMARY KEY, name text);
  INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 2000) g;
  CREATE TABLE "or""ders, é" (id serial PRIMARY KEY, customer int REFERENCES customers, note text);
  INSERT INTO "or""ders, é" (customer, note) SELECT g % 2000 + 1, md5(g::text) FROM generate_series(1, 5000) g;
  CREATE INDEX ON "or""ders, é" (note);
  ALTER TABLE customers OWNER TO fleet_owner;
  ALTER TABLE "or""ders, é" OWNER TO fleet_owner;
  REVOKE INSERT, REFERENCES ON customers, "or""ders, é" FROM fleet_owner;
  GRANT SELECT ON customers TO fleet_reader;
  ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO fleet_reader;
  CREATE FUNCTION refuse() RETURNS event_trigger
    LANGUAGE plpgsql AS 'BEGIN IF tg_tag = ''GRANT'' THEN RAISE ''no more grants''; END IF; END';
  CREATE MATERIALIZED VIEW z_totals AS SELECT count(*) AS n FROM customers;
  ALTER MATERIALIZED VIEW z_totals OWNER TO fleet_reader;
  CREATE FUNCTION totals() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT n FROM public.z_totals); END';
  CREATE MATERIALIZED VIEW a_of_totals AS SELECT totals() AS n; CREATE MATERIALIZED VIEW other AS SELECT 1 AS one;
  SELECT lo_from_bytea(4711, '\\x010203');
  GRANT SELECT ON LARGE OBJECT 4711 TO fleet_reader;
  COMMENT ON LARGE OBJECT 4711 IS 'lo';
  CREATE EVENT TRIGGER refuse_grants ON ddl_command_start EXECUTE FUNCTION refuse();
  COMMENT ON EVENT TRIGGER refuse_grants IS 'all were given'`

const server = newestServer()
const template = { name: 'fleet shop', sql: shop }

/**
 * A store with one backup of three archives and large objects. Gives the folder that its objects
 * are in.
 */
async function fleetOf(connection: Connection): Promise<{ store: Store; folder: string }> {
  const store = await newStore()
  const { id } = await store.backup(connection, { largeTable: 64 << 10 })
  assert.deepEqual(
    (await store.found()).manifest.objects.map(({ name }) =>
      name.replace(/\.age$|\.zst\.age$/, ''),
    ),
    ['base.dump', 'rows/01.dump', 'rows/02.dump', 'large-objects.dump', 'RECOVER.md'],
  )
  return { store, folder: join(store.folder, 'test', id) }
}

function rewrite(folder: string, change: (manifest: Manifest) => Manifest): void {
  const file = join(folder, 'manifest.json')
  const { sha256, ...manifest } = change(readManifest(readFileSync(file, 'utf8'), 'x'))
  assert.equal(sha256.length, 64)
  writeFileSync(file, writeManifest(manifest))
}

for (const each of servers()) {
  test(`PostgreSQL ${each.major}: odd objects are identical from several archives, with 1 job or many`, async () => {
    const { name, connection } = await freshDatabase(each)
    await loadOddObjects(each, name, each.major >= 17 ? ['check', 'login'] : ['check'])
    try {
      const store = await newStore()
      const made = await store.backup(connection, { largeTable: 1, jobs: 7 })
      assert.equal(made.archives, 16)
      for (const jobs of newestAndOldest().includes(each) ? [1, 3, 20] : [3]) {
        const scratch = each.to('postgres')
        const result = await verify({ ...store.reading, scratch, jobs }, quietWork())
        assert.deepEqual(
          [result.differences, result.level, result.stoppedBy],
          [[], 'identical', undefined],
        )
      }
    } finally {
      await dropOddSubscription(each, name)
    }
  })

  test(`PostgreSQL ${each.major}: the commands in RECOVER.md restore archives with stock tools alone`, async (t) => {
    for (const tool of ['age', 'zstd'])
      if (spawnSync(tool, ['--version']).error)
        return t.skip(`NOT SHOWN: stock ${tool} is not on this machine`)
    const source = await freshDatabase(each, template)
    // Stock pg_restore computes it too early, and fails.
    await query(each, source.name, 'DROP MATERIALIZED VIEW a_of_totals')
    const { store, folder } = await fleetOf(source.connection)
    const name = `restored_fleet_${each.major}`
    const commands = [
      ...readFileSync(join(folder, 'RECOVER.md'), 'utf8').matchAll(/```sh\n(.*?)```/gs),
    ].map(([, text = '']) => text.replaceAll('restored', name))
    assert.equal(commands.length, 5)
    const key = join(temporaryFolder(), 'key')
    writeFileSync(key, store.identity)
    const env = {
      ...process.env,
      ...libpqEnvironment(each.to('postgres')),
      PATH: `${each.bindir}:${process.env['PATH']}`,
    }
    try {
      for (const command of commands) {
        const ran = spawnSync(
          'bash',
          ['-e', '-o', 'pipefail', '-c', command.replaceAll('key.txt', key)],
          { cwd: folder, env, encoding: 'utf8' },
        )
        assert.equal(ran.status, 0, `${command}\n${ran.stderr}`)
      }
      const programs = await findPrograms(each.major, ['pg_dump'], [each.bindir], quietWork())
      const { manifest } = await store.found()
      const found = await measure(
        { connection: each.to(name), programs: { archive: programs, server: programs } },
        manifest,
        quietWork(),
      )
      assert.deepEqual(compareFingerprints(manifest.fingerprint, found, true), [])
      assert.deepEqual(
        readdirSync(folder).filter(
          (file) => !/\.age$|^(manifest\.json|RECOVER\.md|rows)$/.test(file),
        ),
        [],
        'nothing decrypted stays',
      )
    } finally {
      await query(each, 'postgres', `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    }
  })
}

test('grants, foreign keys and views of other roles are made in an order that works', async () => {
  const source = await freshDatabase(server, template)
  const { store } = await fleetOf(source.connection)
  for (const jobs of [1, 4]) {
    const commands: string[] = []
    const work = {
      ...quietWork(),
      log: {
        ...quietWork().log,
        debug: (text: string) => void (/pg_restore -.* -d /.test(text) && commands.push(text)),
      },
    }
    const result = await verify({ ...store.reading, jobs, scratch: server.to('postgres') }, work)
    assert.deepEqual(
      [result.differences, result.level, result.stoppedBy],
      [[], 'identical', undefined],
    )
    const before = commands.slice(
      0,
      commands.findIndex((command) => command.includes('--exit-on-error')),
    )
    assert.equal(
      before.filter((command) => command.includes(' -L ')).length,
      4,
      'two keys and an index of tables that left the base archive, each by itself, and sequences',
    )
  }
})

test('a thousand tables in the base archive are dealt out, and are all there', async () => {
  const source = await freshDatabase(server)
  await query(
    server,
    source.name,
    `DO $$ BEGIN FOR i IN 1..1100 LOOP
        EXECUTE format('CREATE TABLE t%s AS SELECT %s AS a', i, i); END LOOP; END $$;
      CREATE SEQUENCE s;
      SELECT nextval('s')`,
  )
  const store = await newStore()
  await store.backup(source.connection)
  const lists: string[] = []
  const work = {
    ...quietWork(),
    log: {
      ...quietWork().log,
      debug: (text: string) => void (/pg_restore --verbose .*-L/.test(text) && lists.push(text)),
    },
  }
  const result = await verify({ ...store.reading, jobs: 3, scratch: server.to('postgres') }, work)
  assert.deepEqual(
    [result.differences, result.level, lists.length],
    [[], 'identical', 3],
    'two parts, and the sequence',
  )
})

describe('what is wrong with one of the archives', () => {
  const verified = async (
    sql: string,
    spoil: (folder: string) => void,
    jobs = 3,
  ): Promise<VerifyResult & { commands: string[] }> => {
    const source = await freshDatabase(server, template)
    if (sql) await query(server, source.name, sql)
    const { store, folder } = await fleetOf(source.connection)
    spoil(folder)
    const commands: string[] = []
    const result = await verify(
      { ...store.reading, jobs, scratch: server.to('postgres') },
      {
        ...quietWork(),
        log: { ...quietWork().log, debug: (text: string) => void commands.push(text) },
      },
    )
    return { ...result, commands }
  }
  const flip = (file: string): void => {
    const data = readFileSync(file)
    data[data.length >> 1] = (data[data.length >> 1] as number) ^ 1
    writeFileSync(file, data)
  }

  for (const object of [
    'base.dump.age',
    'rows/01.dump.age',
    'rows/02.dump.age',
    'large-objects.dump.age',
  ]) {
    test(`${object}: damaged, is named`, async () => {
      const result = await verified('', (folder) => flip(join(folder, object)))
      assert.equal(result.level, 'none')
      assert.match(result.stoppedBy ?? '', new RegExp(`: ${object}: .*(damaged|changed)`))
      if (object === 'base.dump.age')
        assert.deepEqual(
          result.commands.filter((command) => /pg_restore (?!--version)/.test(command)),
          [],
          'pg_restore never saw it',
        )
    })
    test(`${object}: missing, is named`, async () => {
      const result = await verified('', (folder) => rmSync(join(folder, object)))
      assert.equal(result.level, 'none')
      assert.match(result.stoppedBy ?? '', new RegExp(`${object} is missing`))
    })
  }

  test('rows that no order lets in: the table is named, and the bytes are still said to be whole', async () => {
    const result = await verified(
      `CREATE FUNCTION at_home() RETURNS boolean
          LANGUAGE sql AS $$ SELECT current_database() NOT LIKE 'holdfast%' $$;
        CREATE TABLE homely (a int CHECK (at_home()));
        INSERT INTO homely VALUES (1)`,
      () => {},
    )
    assert.equal(result.level, 'readable')
    assert.match(
      result.stoppedBy ?? '',
      /violates check constraint "homely_check".*\(at TABLE DATA homely/,
    )
  })

  for (const jobs of [1, 2, 8])
    test(`indexes that cannot be made fail each time, in the server’s words, on ${jobs} connections`, async () => {
      const result = await verified(
        `CREATE FUNCTION at_home(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
           IF current_database() LIKE 'holdfast%' THEN RAISE 'never at home'; END IF;
           RETURN a; END $$;
         DO $$ BEGIN FOR i IN 1..40 LOOP
           EXECUTE format('CREATE TABLE w%s (a int); INSERT INTO w%s VALUES (1)', i, i);
           EXECUTE format('CREATE INDEX i%s ON w%s (at_home(a))', i, i);
         END LOOP; END $$`,
        () => {},
        jobs,
      )
      assert.equal(result.level, 'readable')
      assert.match(
        result.stoppedBy ?? '',
        /^pg_restore failed: could not execute query: ERROR: +never at home \(at .*\bINDEX i\d+/,
      )
    })
})

test('the base archive is a private file in a folder held before it exists, and always removed', async () => {
  const source = await freshDatabase(server, template)
  const { store, folder } = await fleetOf(source.connection)
  const temporary = temporaryFolder()
  const held = new Map<string, Held>()
  const seen: string[] = []
  const watching = (signal?: AbortSignal, onRestore = (): void => {}): Work => ({
    ...quietWork(signal),
    temporary,
    hold: (thing) => {
      if (thing.kind !== 'folder') return
      assert.deepEqual(readdirSync(temporary), [])
      held.set(thing.directory, thing)
    },
    release: (thing) => void (thing.kind === 'folder' && held.delete(thing.directory)),
    log: {
      ...quietWork().log,
      debug: (text) => {
        if (!/pg_restore .*-d /.test(text)) return
        for (const directory of held.keys())
          for (const path of [directory, join(directory, 'base.dump')])
            seen.push((statSync(path).mode & 0o777).toString(8))
        onRestore()
      },
    },
  })
  const gone = (): void => assert.deepEqual([readdirSync(temporary), held.size], [[], 0])
  assert.equal(
    (await verify({ ...store.reading, scratch: server.to('postgres') }, watching())).proven,
    true,
  )
  assert.deepEqual([...new Set(seen)].sort(), ['600', '700'])
  gone()
  const stop = new AbortController()
  await assert.rejects(
    verify(
      { ...store.reading, scratch: server.to('postgres') },
      watching(stop.signal, () => stop.abort(new Cancelled())),
    ),
    Cancelled,
  )
  gone()
  rmSync(join(folder, 'rows/02.dump.age'))
  assert.equal(
    (await verify({ ...store.reading, scratch: server.to('postgres') }, watching())).proven,
    false,
  )
  gone()
})

test('a fingerprint without content or counts is no fault: its level is reached, its limit is told', async () => {
  const source = await freshDatabase(server, template)
  const { store, folder } = await fleetOf(source.connection)
  rewrite(folder, (manifest) => ({
    ...manifest,
    fingerprint: {
      ...manifest.fingerprint,
      kind: 'counts',
      tables: manifest.fingerprint.tables.map(({ table, rows, bytes }) => ({ table, rows, bytes })),
      largeObjects: { count: 1 },
    },
  }))
  const counted = await verify({ ...store.reading, scratch: server.to('postgres') }, quietWork())
  assert.deepEqual(
    [counted.level, counted.proven, counted.stoppedBy, counted.differences],
    ['counted', false, undefined, []],
  )
  assert.match(counted.limit ?? '', /fingerprint: counts/)
  rewrite(folder, ({ fingerprint, ...manifest }) => ({
    ...manifest,
    fingerprint: {
      ...fingerprint,
      tables: fingerprint.tables.map((table) => ({ ...table, rows: table.rows + 1 })),
    },
  }))
  const fewer = await verify({ ...store.reading, scratch: server.to('postgres') }, quietWork())
  assert.deepEqual([fewer.level, fewer.limit], ['restored', undefined])
  assert.match(fewer.stoppedBy ?? '', /expected 5,001 rows|expected 2,001 rows/)
  rewrite(folder, ({ fingerprint: { sequences, supplement }, ...manifest }) => ({
    ...manifest,
    fingerprint: { kind: 'none', tables: [], schema: {}, sequences, supplement },
  }))
  const restored = await verify({ ...store.reading, scratch: server.to('postgres') }, quietWork())
  assert.deepEqual(
    [restored.level, restored.proven, restored.stoppedBy, restored.differences],
    ['restored', false, undefined, []],
  )
  assert.match(restored.limit ?? '', /fingerprint: none/)
})

test('when pg_restore is killed after a row was refused, nothing is called restored', async () => {
  const source = await freshDatabase(server)
  await query(
    server,
    source.name,
    `CREATE TABLE z_allowed AS SELECT 1 AS a;
    CREATE FUNCTION allowed(int) RETURNS boolean
      LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM public.z_allowed WHERE a = $1); END';
    CREATE TABLE a_checked (a int CHECK (allowed(a))); INSERT INTO a_checked VALUES (1);
    CREATE FUNCTION slowly(int) RETURNS boolean
      LANGUAGE plpgsql AS $$ BEGIN
      IF pg_catalog.current_database() LIKE 'holdfast%' THEN PERFORM pg_catalog.pg_sleep(0.01); END IF;
      RETURN true; END $$;
    CREATE TABLE m_slow (a int CHECK (slowly(a))); INSERT INTO m_slow SELECT generate_series(1, 1000)`,
  )
  const store = await newStore()
  await store.backup(source.connection, { fingerprint: 'none' })
  const running = new Set<Held>()
  let killed = 0
  const work: Work = {
    ...quietWork(),
    hold: (held) => void running.add(held),
    release: (held) => void running.delete(held),
  }
  const copying = `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE datname LIKE 'holdfast_scratch_%'
    AND query LIKE 'COPY public.m_slow%' AND state = 'active'`
  const killing = setInterval(
    () =>
      void query(server, 'postgres', copying).then(
        ([row]) => {
          if (killed > 0 || !row?.['n']) return
          for (const held of running) {
            if (held.kind !== 'process') continue
            process.kill(held.pid, 'SIGKILL')
            killed++
          }
        },
        () => {},
      ),
    20,
  )
  try {
    await assert.rejects(
      verify({ ...store.reading, jobs: 1, scratch: server.to('postgres') }, work),
      /pg_restore was ended by SIGKILL/,
    )
  } finally {
    clearInterval(killing)
  }
  assert.equal(killed, 1)
})
