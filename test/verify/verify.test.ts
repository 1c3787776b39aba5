import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { generateX25519Identity } from 'age-encryption'
import { UserError } from '../../src/errors.ts'
import { type Level, verdictOf } from '../../src/repository/level.ts'
import type { Manifest, StoredArchive } from '../../src/repository/manifest.ts'
import { type Proof, readProof } from '../../src/repository/proof.ts'
import { isOpen } from '../../src/repository/find-backup.ts'
import type { VerifyOptions, VerifyResult } from '../../src/verify/result.ts'
import { verify } from '../../src/verify/verify.ts'
import { version } from '../../src/version.ts'
import type { Held, Work } from '../../src/work.ts'
import { again, folderOf, manifestOf, rewrite } from '../repository/backup-index.ts'
import { newStore, type Store } from '../support/copies.ts'
import { freshDatabase, newestServer, query, newestAndOldest } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

const server = newestServer()
const scratch = server.to('postgres')
const shop = {
  name: 'a shop',
  sql: `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS v, now() AS at FROM generate_series(1, 500) g;
    CREATE TABLE "A small""one" (a int); INSERT INTO "A small""one" VALUES (1);
    CREATE SCHEMA "odd schema"; CREATE TABLE "odd schema"."two words" AS SELECT 1 AS a;
    CREATE TABLE none (); CREATE SEQUENCE s; CREATE VIEW recent AS SELECT * FROM orders WHERE id > 400;
    CREATE FOREIGN DATA WRAPPER w; CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (password 'production');
    SELECT lo_from_bytea(4711, '\\x01')`,
}
const seed = await newStore()
let seedId = ''
/** Taken a moment later, of the same database with a row more. */
let laterId = ''

before(async () => {
  const { connection, name } = await freshDatabase(server, shop)
  // the two large ones have archives of their own
  seedId = (await seed.backup(connection, { largeTable: 16384 })).id
  await query(server, name, 'INSERT INTO orders VALUES (501)')
  laterId = (await seed.backup(connection, { largeTable: 16384 })).id
})

/** A store with the good backup in it, under an id of its own. */
async function oneBackup(
  id = '20261120T030000Z-aa0001',
): Promise<{ store: Store; id: string; options: VerifyOptions }> {
  const store = await newStore()
  again(seed, seedId, id, { snapshot: manifestOf(seed, seedId).snapshot }, store)
  return { store, id, options: { ...store.reading, identities: [seed.identity], scratch } }
}

/** Changes what the manifest says of tables, or of objects. */
function retable(
  store: Store,
  id: string,
  change: (tables: Manifest['fingerprint']['tables']) => Manifest['fingerprint']['tables'],
): void {
  rewrite(store, id, (manifest) => ({
    ...manifest,
    fingerprint: { ...manifest.fingerprint, tables: change(manifest.fingerprint.tables) },
  }))
}
function reobject(
  store: Store,
  id: string,
  change: (object: StoredArchive) => StoredArchive,
): void {
  rewrite(store, id, (manifest) => ({ ...manifest, objects: manifest.objects.map(change) }))
}

function proofsOf(store: Store, id: string): Proof[] {
  const folder = join(folderOf(store, id), 'proofs')
  return readdirSync(folder)
    .sort()
    .map((file) => readProof(readFileSync(join(folder, file), 'utf8')) as Proof)
}

const flip = (file: string): void => {
  const bytes = readFileSync(file)
  bytes[bytes.length - 30] = (bytes[bytes.length - 30] as number) ^ 1
  writeFileSync(file, bytes)
}
const refused =
  (code: string, pattern: RegExp) =>
  (error: unknown): boolean =>
    error instanceof UserError &&
    error.code === code &&
    pattern.test(`${error.message} ${error.hint}`)

/** Work that notes what is held: databases, clusters, folders, roles. */
function holding(): { work: Work; held: Held[] } {
  const held: Held[] = []
  return {
    held,
    work: { ...quietWork(), hold: (one) => void (one.kind !== 'process' && held.push(one)) },
  }
}

describe('each level', () => {
  const reached: [asked: VerifyResult['asked'], level: Level, proven: boolean][] = [
    ['stored', 'stored', false],
    ['readable', 'readable', false],
    ['restored', 'restored', false],
    ['counted', 'counted', false],
    ['identical', 'identical', true],
    [undefined, 'identical', true],
  ]
  for (const [asked, level, proven] of reached)
    test(`${asked ?? 'all of it'}: a good backup comes just there, and its proof says what that is worth`, async () => {
      const { store, id, options } = await oneBackup()
      const { work, held } = holding()
      const result = await verify({ ...options, ...(asked ? { level: asked } : {}) }, work)
      assert.deepEqual(
        [result.level, result.proven, result.stoppedBy, result.differences],
        [level, proven, undefined, []],
      )
      const [proof] = proofsOf(store, id)
      assert.deepEqual(
        [proof?.level, proof?.proven, proof?.asked, proof?.backup, proof?.versions.holdfast],
        [level, proven, asked, id, version],
      )
      assert.equal(
        readdirSync(join(folderOf(store, id), 'proofs'))[0]?.includes(`-${asked}.`),
        !proven,
        'its name tells one that is no verdict',
      )
      const serverless = asked === 'stored' || asked === 'readable'
      assert.deepEqual(
        held.map(({ kind }) => kind).sort(),
        serverless ? [] : ['database', 'folder'],
        'whether a server was asked',
      )
      assert.deepEqual(
        [proof?.scratch?.server, result.timings.restore === undefined],
        serverless ? [undefined, true] : [server.version, false],
      )
      assert.equal(proof?.versions.client, asked === 'stored' ? undefined : server.version)
    })

  test('stored needs no key; readable does, and one that does not fit is no verdict on the backup', async () => {
    const { store, id, options } = await oneBackup()
    const stranger = await generateX25519Identity()
    for (const identities of [[], [stranger]])
      assert.equal(
        (await verify({ ...options, identities, level: 'stored' }, quietWork())).level,
        'stored',
      )
    const before = proofsOf(store, id).length
    for (const level of ['readable', 'identical'] as const) {
      await assert.rejects(
        verify({ ...options, identities: [], level }, quietWork()),
        refused('key-missing', /encrypted/),
      )
      await assert.rejects(
        verify({ ...options, identities: [stranger], level }, quietWork()),
        refused('wrong-key', /does not open the backup/),
      )
    }
    assert.equal(proofsOf(store, id).length, before)
  })

  const rows = 'rows/01.dump.age'
  const damages: Record<
    string,
    { spoil: (store: Store, id: string) => void; level: Level; says: RegExp }
  > = {
    'an object that is missing': {
      spoil: (store, id) => rmSync(join(folderOf(store, id), rows)),
      level: 'none',
      says: /rows\/01\.dump\.age is missing/,
    },
    'the recovery guide changed': {
      spoil: (store, id) => writeFileSync(join(folderOf(store, id), 'RECOVER.md'), 'run this'),
      level: 'none',
      says: /RECOVER\.md.*damaged/,
    },
    'a byte flipped in the base archive': {
      spoil: (store, id) => flip(join(folderOf(store, id), 'base.dump.age')),
      level: 'none',
      says: /base\.dump\.age.*damaged/,
    },
    'a byte flipped in rows': {
      spoil: (store, id) => flip(join(folderOf(store, id), rows)),
      level: 'none',
      says: /rows\/01\.dump\.age.*damaged/,
    },
    'an archive of another backup': {
      spoil: (store, id) =>
        copyFileSync(join(folderOf(seed, laterId), rows), join(folderOf(store, id), rows)),
      level: 'none',
      says: /rows\/01\.dump\.age/,
    },
    'other digests of what is inside': {
      spoil: (store, id) =>
        reobject(store, id, (each) =>
          each.plain ? { ...each, plain: { ...each.plain, sha256: '0'.repeat(64) } } : each,
        ),
      level: 'stored',
      says: /decrypted: damaged: its SHA-256/,
    },
    'a table of contents that lacks a table': {
      spoil: (store, id) =>
        reobject(store, id, (each) =>
          each.tables ? { ...each, tables: [...each.tables, 'public."A small""one"'] } : each,
        ),
      level: 'stored',
      says: new RegExp(
        /rows\/01\.dump\.age: its table of contents /.source +
          /lacks the rows of public\."A small""one"/.source +
          '|' +
          /base\.dump\.age: its .* has rows of public\.A small"one/.source,
      ),
    },
    'a table of contents that has a table more': {
      spoil: (store, id) =>
        retable(store, id, (tables) => tables.filter(({ table }) => !table.includes('two words'))),
      level: 'stored',
      says: /has rows of odd\.schema two words, which the manifest does not list/,
    },
    'rows that the copy does not have': {
      spoil: (store, id) =>
        retable(store, id, (tables) => tables.map((each) => ({ ...each, rows: each.rows + 1 }))),
      level: 'restored',
      says: /differences from the fingerprint, the first: .*expected 2 rows, found 1 row/,
    },
    'content that the copy does not have': {
      spoil: (store, id) =>
        retable(store, id, (tables) =>
          tables.map((each) => (each.table === 'public.orders' ? { ...each, hash: '1' } : each)),
        ),
      level: 'counted',
      says: /One difference.*public\.orders: expected content 1/,
    },
  }
  for (const [what, { spoil, level, says }] of Object.entries(damages))
    test(`${what}: is found at whichever level promises it, and nothing above is reached`, async () => {
      const { store, id, options } = await oneBackup()
      spoil(store, id)
      const ladder = ['stored', 'readable', 'restored', 'counted', 'identical'] as const
      for (const asked of [...ladder, undefined]) {
        const result = await verify({ ...options, ...(asked ? { level: asked } : {}) }, quietWork())
        const sound =
          asked !== undefined && ladder.indexOf(asked) <= ladder.indexOf(level as 'stored')
        assert.equal(result.level, sound ? asked : level, asked)
        if (sound) assert.equal(result.stoppedBy, undefined)
        else assert.match(result.stoppedBy ?? '', says, asked)
        assert.equal(result.proven, false)
      }
      assert.ok(proofsOf(store, id).every(({ proven }) => !proven))
    })

  for (const each of newestAndOldest())
    test(`PostgreSQL ${each.major}: every odd name is known in the tables of contents`, async () => {
      const { connection } = await freshDatabase(each, {
        name: 'odd tables',
        sql: readFileSync(new URL('../support/odd-names.sql', import.meta.url), 'utf8'),
      })
      const store = await newStore()
      await store.backup(connection, { largeTable: 1 })
      const result = await verify({ ...store.reading, level: 'readable' }, quietWork())
      assert.deepEqual([result.level, result.stoppedBy], ['readable', undefined])
    })
})

describe('an extension', () => {
  type Extensions = Record<string, string>
  const withExtensions = async (
    change: (extensions: Extensions) => Extensions,
  ): Promise<{ result: VerifyResult; proof: Proof; name: string }> => {
    const { store, id, options } = await oneBackup()
    const { fingerprint } = manifestOf(store, id)
    const supplement = {
      ...fingerprint.supplement,
      extensions: change(fingerprint.supplement.extensions),
    }
    rewrite(store, id, (manifest) => ({ ...manifest, fingerprint: { ...fingerprint, supplement } }))
    const result = await verify(options, quietWork())
    return {
      result,
      proof: proofsOf(store, id)[0] as Proof,
      name: readdirSync(join(folderOf(store, id), 'proofs'))[0] as string,
    }
  }

  test('in another version on the scratch server is a limit of that server, not of the backup', async () => {
    const { result, proof, name } = await withExtensions(({ plpgsql }) => ({
      plpgsql: plpgsql?.replace(/^\S+/, '0.9') ?? '',
    }))
    assert.deepEqual(
      [result.level, result.proven, result.stoppedBy, result.differences, verdictOf(result)],
      ['counted', false, undefined, [], 'limited'],
    )
    assert.match(
      result.limit ?? '',
      /another version of the extension plpgsql than the database had \(0\.9 in pg_catalog; here 1\.0 in pg_catalog\)/,
    )
    assert.match(name, /-counted\.json$/)
    assert.deepEqual([proof.partial, isOpen(proof)], [true, true], 'still to be found out')
  })

  test('in another schema, or not in the copy at all, is a difference', async () => {
    const moved = await withExtensions(() => ({ plpgsql: '1.0 in elsewhere' }))
    assert.match(
      moved.result.stoppedBy ?? '',
      /plpgsql: expected 1\.0 in elsewhere, found 1\.0 in pg_catalog/,
    )
    assert.doesNotMatch(moved.name, /counted/)
    const [other] = await query(
      server,
      'postgres',
      `SELECT name::text, default_version AS version FROM pg_available_extensions
       WHERE name <> 'plpgsql' ORDER BY 1 LIMIT 1`,
    )
    assert.ok(other, 'the server has an extension to spare')
    const { result } = await withExtensions((extensions) => ({
      ...extensions,
      [String(other['name'])]: `${String(other['version'])} in public`,
    }))
    assert.deepEqual(
      [result.level, result.differences.map(({ kind, found }) => [kind, found]), verdictOf(result)],
      ['counted', [['extension', 'missing']], 'bad'],
    )
  })
})

describe('checks', () => {
  const sql: [name: string, sql: string, said: RegExp | true][] = [
    ['true', 'SELECT true', true],
    ['by the copy’s own search path', 'SELECT count(*) = 500 FROM orders', true],
    [
      'with a comment and a semicolon',
      '-- enough\nSELECT max(id) >= 500 FROM recent; -- yes',
      true,
    ],
    ['mappings are cut', 'SELECT count(*) = 0 FROM pg_user_mappings', true],
    ['false', 'SELECT count(*) > 9000 FROM orders', /^gave false$/],
    ['NULL', 'SELECT max(a) > 1 FROM (SELECT NULL::int AS a) x', /^gave NULL$/],
    ['no row', 'SELECT true FROM orders WHERE id < 0', /^gave no row$/],
    ['many rows', 'SELECT true FROM orders, orders o, orders p', /^gave more than one row$/],
    ['two columns of one name', 'SELECT true, true', /^gave 2 columns/],
    ['a number', 'SELECT 1', /^gave the value 1, which is not true$/],
    [
      'a text',
      `SELECT repeat('secret ', 1000)`,
      /^gave the value (secret ){8}sec…, which is not true$/,
    ],
    ['an error', 'SELECT true FROM customers', /^failed: relation "customers" does not exist$/],
    [
      'a write',
      `SELECT nextval('s') > 0`,
      /^failed: cannot execute nextval\(\) in a read-only transaction$/,
    ],
    [
      'a second statement',
      'SELECT true; COMMIT; DROP TABLE orders',
      /^failed: cannot insert multiple commands/,
    ],
    ['a statement that is no query', 'DELETE FROM orders', /^failed: syntax error/],
    [
      'one that hangs',
      'SELECT pg_sleep(60) IS NOT NULL',
      /^was still running after its timeout of 1 s, and was stopped$/,
    ],
  ]
  test('each must give one true; all run, whatever the others say; the copy is only read', async () => {
    const { store, id, options } = await oneBackup()
    const command = {
      command:
        'echo "on $PGDATABASE"; psql -Atqc "SELECT count(*) FROM orders" "$DATABASE_URL"; test -z "$SECRET"; exit 3',
      workingDirectory: store.folder,
      timeout: 20_000,
      environment: {},
    }
    const result = await verify(
      {
        ...options,
        checks: sql.map(([name, text]) => ({ name, sql: text })),
        checkCommand: command,
        timeout: 1000,
      },
      quietWork(),
    )
    assert.deepEqual(
      result.checks.map(({ name }) => name),
      [...sql.map(([name]) => name), 'check-command'],
    )
    for (const [i, [name, , said]] of sql.entries()) {
      const check = result.checks[i]
      assert.equal(check?.passed, said === true, name)
      assert.match(check?.outcome ?? '', said === true ? /^gave true$/ : said, name)
    }
    const last = result.checks.at(-1)
    assert.match(last?.outcome ?? '', /^ended with exit code 3/)
    assert.match(last?.output ?? '', /^on holdfast_scratch_\w+\n500$/)
    assert.deepEqual(
      [result.level, result.proven],
      ['identical', true],
      'the backup itself is good',
    )
    assert.match(
      result.stoppedBy ?? '',
      /^13 of 17 checks failed, the first: "false" gave false\.$/,
    )
    const [proof] = proofsOf(store, id)
    assert.deepEqual(
      [proof?.proven, proof?.level, proof?.checks.length, proof?.checks[4]],
      [true, 'identical', 17, { name: 'false', passed: false, outcome: 'gave false' }],
    )
  })

  test('that pass make an identical copy accepted; alone, they do not make a changed one so', async () => {
    const { store, id, options } = await oneBackup()
    const checks = [{ name: 'orders', sql: 'SELECT count(*) = 500 FROM orders' }]
    const checkCommand = {
      command: 'psql -c "DELETE FROM orders" "$DATABASE_URL"',
      workingDirectory: store.folder,
      timeout: 20_000,
      environment: {},
    }
    const good = await verify({ ...options, checks, checkCommand }, quietWork())
    assert.deepEqual(
      [good.level, good.proven, good.stoppedBy, good.checks.map(({ passed }) => passed)],
      ['accepted', true, undefined, [true, true]],
    )
    assert.equal(proofsOf(store, id)[0]?.level, 'accepted')
    assert.equal(
      (await verify({ ...options, checks, level: 'accepted' }, quietWork())).level,
      'accepted',
    )
    retable(store, id, (tables) => tables.map((each) => ({ ...each, hash: '1' })))
    const bad = await verify({ ...options, checks }, quietWork())
    assert.deepEqual([bad.level, bad.proven, bad.checks[0]?.passed], ['counted', false, true])
  })

  test('leave no value, no message and no output in the proof', async () => {
    const { store, id, options } = await oneBackup()
    const checks = [
      { name: 'an error with a row', sql: 'SELECT v::int > 0 FROM orders WHERE id = 1' },
      { name: 'a value', sql: 'SELECT v FROM orders WHERE id = 1' },
    ]
    const checkCommand = {
      command: 'echo "error: token s3cr3t-t0ken"; exit 3',
      workingDirectory: store.folder,
      timeout: 20_000,
      environment: {},
    }
    const shown = JSON.stringify(await verify({ ...options, checks, checkCommand }, quietWork()))
    const row = 'c4ca4238a0b923820dcc509a6f75849b'
    assert.ok(shown.includes(row) && shown.includes('s3cr3t-t0ken'), 'the report says more')
    await verify({ ...options, checkCommand }, quietWork())
    const stored = proofsOf(store, id)
    assert.doesNotMatch(JSON.stringify(stored), /c4ca4238|s3cr3t/)
    assert.deepEqual(
      stored[0]?.checks.map(({ outcome }) => outcome),
      ['failed with SQLSTATE 22P02', 'gave another value than true', 'ended with exit code 3'],
    )
    assert.equal(stored[1]?.stoppedBy, 'The check "check-command" ended with exit code 3.')
  })

  test('a command that hangs is ended', async () => {
    const { store, options } = await oneBackup()
    const { checks, level } = await verify(
      {
        ...options,
        checkCommand: {
          command: 'sleep 60',
          workingDirectory: store.folder,
          timeout: 500,
          environment: {},
        },
      },
      quietWork(),
    )
    assert.deepEqual([level, checks[0]?.passed], ['identical', false])
    assert.match(checks[0]?.outcome ?? '', /still running after its timeout of 0\.5 s/)
  })

  test('run where the fingerprint shows less, too, and prove nothing then', async () => {
    const { connection } = await freshDatabase(server, shop)
    for (const fingerprint of ['counts', 'none'] as const) {
      const store = await newStore()
      await store.backup(connection, { fingerprint })
      const look = (sqlText: string): Promise<VerifyResult> =>
        verify({ ...store.reading, scratch, checks: [{ name: 'c', sql: sqlText }] }, quietWork())
      const good = await look('SELECT count(*) = 500 FROM orders')
      assert.deepEqual(
        [good.level, good.proven, good.stoppedBy, good.checks[0]?.passed],
        [fingerprint === 'counts' ? 'counted' : 'restored', false, undefined, true],
      )
      assert.equal((await look('SELECT false')).checks[0]?.passed, false)
    }
  })
})
