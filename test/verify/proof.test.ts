import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { UserError } from '../../src/errors.ts'
import { libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { verdictOf } from '../../src/repository/level.ts'
import { findReadable } from '../../src/repository/find-readable.ts'
import { readProof } from '../../src/repository/proof.ts'
import { verify } from '../../src/verify/verify.ts'
import { plainText, type Text } from '../../src/text.ts'
import type { Held } from '../../src/work.ts'
import { newStore, temporaryFolder } from '../support/copies.ts'
import { dropOddSubscription, loadOddObjects, loadOddParts } from '../support/odd-objects.ts'
import { freshDatabase, newestAndOldest, query, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/** One small thing of each of the usual kinds. */
const small = `
  CREATE SEQUENCE numbers; SELECT nextval('numbers'), nextval('numbers');
  CREATE TYPE mood AS ENUM ('sad', 'fine');
  CREATE TABLE people (id int PRIMARY KEY, name text, mood mood, weight float8, note text DEFAULT 'x',
    double int GENERATED ALWAYS AS (id * 2) STORED);
  INSERT INTO people SELECT g, 'name ' || g, 'fine', 0.1 * g, '' FROM generate_series(1, 100) g;
  CREATE TABLE pets (id serial PRIMARY KEY, owner int REFERENCES people, name varchar(20) CHECK (name <> 'none'));
  INSERT INTO pets (owner, name) SELECT g, 'pet' FROM generate_series(1, 50) g;
  CREATE INDEX by_name ON people (name);
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE TRIGGER watch BEFORE DELETE ON pets FOR EACH STATEMENT EXECUTE FUNCTION refuse();
  CREATE VIEW heavy AS SELECT * FROM people WHERE weight > 5;
  CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM people;
  ALTER TABLE pets ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON pets USING (owner = 1);
  COMMENT ON TABLE people IS 'who'; GRANT SELECT ON people TO PUBLIC;
  SELECT lo_from_bytea(4711, '\\x010203')`

for (const server of servers()) {
  test(`PostgreSQL ${server.major}: odd objects are proven identical, on a server of ours or a given one`, async () => {
    const { name, connection } = await freshDatabase(server)
    // `check`: rows whose CHECK reads a table that comes later; `login` (17 and newer): a trigger
    // that writes at each login
    await loadOddObjects(server, name, server.major >= 17 ? ['check', 'login'] : ['check'])
    try {
      const store = await newStore()
      const made = await store.backup(connection)
      assert.ok((made.rows ?? 0) > 500 && made.tables > 80)
      const scratches: string[] = []
      const log: string[] = []
      const quiet = quietWork()
      const work = {
        ...quiet,
        log: { ...quiet.log, info: (text: Text) => void log.push(plainText(text)) },
        hold: (held: Held) => void (held.kind === 'database' && scratches.push(held.name)),
      }
      for (const scratch of [undefined, server.to('postgres')]) {
        const result = await verify({ ...store.reading, ...(scratch ? { scratch } : {}) }, work)
        assert.deepEqual(
          [result.differences, result.level, result.stoppedBy],
          [[], 'identical', undefined],
        )
        assert.match(result.allowed.join(), /a_checked.*loaded in another pass/)
        const again = log.splice(0).find((line) => line.startsWith('Loading again'))
        assert.match(
          again ?? '',
          /^Loading again what came before the rows that it depends on: .*TABLE DATA a_checked /,
        )
      }
      const proofs = join(store.folder, 'test', made.id, 'proofs')
      for (const file of readdirSync(proofs))
        assert.equal(readProof(readFileSync(join(proofs, file), 'utf8'))?.level, 'identical')
      assert.equal(scratches.length, 1)
      assert.deepEqual(
        await query(
          server,
          'postgres',
          `SELECT datname FROM pg_database WHERE datname = '${scratches.join()}'`,
        ),
        [],
        'no scratch database stays',
      )
    } finally {
      await dropOddSubscription(server, name)
    }
  })

  test(`PostgreSQL ${server.major}: RECOVER.md's own commands restore with stock tools alone`, async (t) => {
    for (const tool of ['age', 'zstd'])
      if (spawnSync(tool, ['--version']).error)
        return t.skip(`NOT SHOWN: stock ${tool} is not on this machine`)
    // without large objects, which have an archive of their own: one archive, one pipe
    const source = await freshDatabase(server, {
      name: 'small, one archive',
      sql: small.slice(0, small.lastIndexOf(';')),
    })
    const store = await newStore()
    const made = await store.backup(source.connection)
    const folder = join(store.folder, 'test', made.id)
    const commands = [
      ...readFileSync(join(folder, 'RECOVER.md'), 'utf8').matchAll(/```sh\n(.*?)```/gs),
    ].map(([, text = '']) => text.replaceAll('restored', `restored_${server.major}`))
    assert.equal(commands.length, 3)
    const key = join(temporaryFolder(), 'key')
    writeFileSync(key, store.identity)
    const env = {
      ...process.env,
      ...libpqEnvironment(server.to('postgres')),
      PATH: `${server.bindir}:${process.env.PATH}`,
    }
    try {
      for (const command of commands) {
        const ran = spawnSync('bash', ['-o', 'pipefail', '-c', command.replace('key.txt', key)], {
          cwd: folder,
          env,
          encoding: 'utf8',
        })
        assert.equal(ran.status, 0, `${command}\n${ran.stderr}`)
      }
      assert.deepEqual(
        await query(
          server,
          `restored_${server.major}`,
          'SELECT count(*)::int AS n, sum(double)::int AS s FROM people',
        ),
        [{ n: 100, s: 10100 }],
      )
    } finally {
      await query(
        server,
        'postgres',
        `DROP DATABASE IF EXISTS restored_${server.major} WITH (FORCE)`,
      )
    }
  })
}

for (const server of servers()) {
  const locales = [
    ...(newestAndOldest().includes(server)
      ? [`ENCODING 'LATIN1' LOCALE 'C'`, `ENCODING 'SQL_ASCII' LOCALE 'C'`]
      : []),
    `ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'`,
    ...(server.major >= 17
      ? [`ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8'`]
      : []),
  ]
  for (const [i, locale] of locales.entries())
    test(`PostgreSQL ${server.major}: ${locale} is the same in a proven copy`, async () => {
      const name = `locale_${i}_${process.pid}`
      await query(server, 'postgres', `CREATE DATABASE ${name} TEMPLATE template0 ${locale}`)
      try {
        await query(
          server,
          name,
          `CREATE TABLE "T é" AS SELECT 'ÄÖé' || g AS "naïve", g FROM generate_series(1, 100) g;
           CREATE INDEX ON "T é" ("naïve")`,
        )
        const store = await newStore()
        const made = await store.backup(server.to(name))
        assert.equal(made.rows, 100)
        const scratch = server.to('postgres')
        const result = await verify({ ...store.reading, scratch }, quietWork())
        assert.deepEqual([result.differences, result.level], [[], 'identical'])
      } finally {
        await query(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`)
      }
    })

  test(`PostgreSQL ${server.major}: what no dump can bring back is never called proven, and says why`, async () => {
    const lossy = await freshDatabase(server)
    await loadOddParts(server, lossy.name, ['lossy'])
    const store = await newStore()
    await store.backup(lossy.connection)
    const result = await verify(store.reading, quietWork())
    assert.equal(result.proven, false)
    assert.ok(
      result.differences.some(({ object }) => object === 'TRIGGER lossy.renamed note'),
      JSON.stringify(result.differences),
    )
    const broken = await freshDatabase(server)
    await loadOddParts(server, broken.name, ['broken'])
    const other = await newStore()
    await assert.rejects(
      other.backup(broken.connection),
      (error: UserError) => error.code === 'table-unreadable' && /search_path/.test(error.hint),
    )
  })
}

test('a newer scratch server proves rows and content, and says what it cannot; an older one is refused', async (t) => {
  const [newest, oldest] = [servers()[0], servers().at(-1)]
  if (!newest || !oldest || newest === oldest) return t.skip('NOT SHOWN: only one major is here')
  const [old, recent] = [
    await freshDatabase(oldest, { name: 'small', sql: small }),
    await freshDatabase(newest, { name: 'small', sql: small }),
  ]
  const store = await newStore()
  await store.backup(old.connection)
  const result = await verify({ ...store.reading, scratch: newest.to('postgres') }, quietWork())
  // what this server cannot show says nothing against the backup: a limit, with the way to see the
  // rest, and no fault of the backup's
  assert.deepEqual(
    [result.level, result.proven, result.differences, result.stoppedBy, verdictOf(result)],
    ['counted', false, [], undefined, 'limited'],
  )
  assert.match(
    result.limit ?? '',
    new RegExp(`Definitions were not compared.*scratch server of PostgreSQL ${oldest.major},`),
  )
  // and it neither takes a good proof away nor gives one
  const provenIs = async (): Promise<string> =>
    (await findReadable({ ...store.reading, backup: { kind: 'latest-proven' } }, quietWork()))
      .manifest.id
  await assert.rejects(provenIs(), (error: UserError) => error.code === 'no-proven-backup')
  const { proven, id } = await verify(
    { ...store.reading, scratch: oldest.to('postgres') },
    quietWork(),
  )
  assert.ok(proven)
  for (const level of [undefined, 'identical'] as const) {
    const looked = await verify(
      { ...store.reading, ...(level ? { level } : {}), scratch: newest.to('postgres') },
      quietWork(),
    )
    assert.deepEqual(
      [looked.level, looked.proven, looked.stoppedBy],
      ['counted', false, undefined],
      level,
    )
    assert.equal(await provenIs(), id, level)
  }
  assert.equal(
    readdirSync(join(store.folder, 'test', id, 'proofs')).filter((file) =>
      file.endsWith('-counted.json'),
    ).length,
    3,
  )
  await store.backup(recent.connection)
  await assert.rejects(
    verify({ ...store.reading, scratch: oldest.to('postgres') }, quietWork()),
    (error: UserError) => error.code === 'server-older',
  )
})
