import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { supportsRestrict } from '../../src/formats/load-external.ts'
import { verifyExternalDump } from '../../src/verify/external-dump.ts'
import type { UserError } from '../../src/errors.ts'
import { libpqEnvironment } from '../../src/postgres/connection/connection.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Held } from '../../src/work.ts'
import { temporaryFolder } from '../support/copies.ts'
import { freshDatabase, newestServer, query, type Server, servers } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'

/**
 * Whatever may mislead a reader of plain dumps: quotes, backslashes and semicolons in strings,
 * bodies, names, comments and rows.
 */
const sql = `
  DO $$ BEGIN CREATE ROLE bare_owner NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
  DO $$ BEGIN CREATE ROLE "bare ""reader""" NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
  CREATE TABLE things (id int PRIMARY KEY, said text DEFAULT E'a\\\\b\\'c' CHECK (said !~ '\\\\!'), more text);
  INSERT INTO things SELECT g, 'row ' || g, E'\\\\! touch /tmp/never\\n\\\\.\\n' || g FROM generate_series(1, 200) g;
  CREATE TABLE "odd ; \\! 'name" (a int); INSERT INTO "odd ; \\! 'name" VALUES (1), (2);
  CREATE FUNCTION body() RETURNS text LANGUAGE sql AS $body$ SELECT 'it''s \\! /* no comment */ $$ ; --'::text $body$;
  COMMENT ON TABLE things IS E'two lines\\n\\\\! touch /tmp/never\\n-- no comment; ''quoted'' "twice" /* open';
  ALTER TABLE things OWNER TO bare_owner; GRANT SELECT ON things TO "bare ""reader""";
  SELECT lo_from_bytea(99, 'x')`

const kinds = {
  sql: ['-Fp'],
  inserts: ['-Fp', '--inserts'],
  create: ['-Fp', '-C', '--clean'],
  dump: ['-Fc'],
  tar: ['-Ft'],
}

function dump(server: Server, database: string, args: string[]): Buffer {
  const ran = spawnSync(join(server.bindir, 'pg_dump'), args, {
    env: { ...process.env, ...libpqEnvironment(server.to(database)) },
    maxBuffer: 1 << 28,
  })
  assert.equal(ran.status, 0, String(ran.stderr))
  return ran.stdout
}

async function sealed(content: Uint8Array, identity: string): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(identity))
  return encrypter.encrypt(content)
}

const refused =
  (code: string, said?: RegExp) =>
  (error: UserError): boolean => {
    assert.deepEqual([error.code, said?.test(error.message) ?? true], [code, true], error.stack)
    return true
  }

for (const server of servers())
  test(`PostgreSQL ${server.major}: a dump of any format and wrapping is restored, no more claimed`, async () => {
    const source = await freshDatabase(server, { name: 'bare', sql })
    const [workspace, identity] = [temporaryFolder(), await generateX25519Identity()]
    const folder = join(workspace, 'folder')
    dump(server, source.name, ['-Fd', '-f', folder])
    const tarred = (...args: string[]): Buffer =>
      spawnSync('tar', ['-C', ...args], { maxBuffer: 1 << 28 }).stdout
    const files: Record<string, Uint8Array> = {
      ...Object.fromEntries(
        Object.entries(kinds).map(([kind, args]) => [`a.${kind}`, dump(server, source.name, args)]),
      ),
      'folder.tar': tarred(workspace, '-cf', '-', 'folder'),
      'inside.tar': tarred(folder, '-cf', '-', '.'),
    }
    Object.assign(files, {
      'a.sql.gz': gzipSync(files['a.sql'] as Uint8Array),
      'a.sql.zst': zstdCompressSync(files['a.sql'] as Uint8Array),
      'folder.tar.gz': gzipSync(files['folder.tar'] as Uint8Array),
      'a.dump.age': await sealed(files['a.dump'] as Uint8Array, identity),
      'a.sql.gz.age': await sealed(gzipSync(files['a.sql'] as Uint8Array), identity),
    })
    const made = new Set<string>()
    mkdirSync(join(workspace, 'some'))
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(workspace, 'some', name), content)
      const held = new Set<Held>()
      const work = {
        ...quietWork(),
        hold: (one: Held) => {
          held.add(one)
          if (one.kind === 'database') made.add(one.name)
        },
        release: (one: Held) => void held.delete(one),
      }
      const result = await verifyExternalDump(
        { kind: 'external', scheme: 'file', name: `some/${name}` },
        {
          sources: [],
          identities: [identity],
          workspace,
          bindirs: [],
          scratch: server.to('postgres'),
        },
        work,
      )
      assert.deepEqual(
        [result.stoppedBy, result.level, result.found],
        [undefined, 'restored', { tables: 2, rows: 202, largeObjects: 1 }],
        name,
      )
      assert.match(result.limit, /does not record what the database held/)
      assert.deepEqual(
        [result.versions.server, result.versions.client],
        [server.version, server.version],
        name,
      )
      assert.ok(
        result.roles.includes('bare_owner') && result.roles.includes('bare "reader"'),
        result.roles.join(),
      )
      assert.deepEqual([...held], [], `${name} leaves nothing`)
    }
    assert.deepEqual(
      await query(
        server,
        'postgres',
        `SELECT datname FROM pg_database WHERE datname = ANY ('{${[...made].join()}}')`,
      ),
      [],
    )
    assert.equal(made.size, Object.keys(files).length)
    assert.equal(existsSync('/tmp/never'), false)
  })

const server = newestServer()

test('what is no whole dump is told by what it is: empty, cut, a web page, a cluster’s or encrypted', async () => {
  const source = await freshDatabase(server, { name: 'bare', sql })
  const [workspace, identity] = [temporaryFolder(), await generateX25519Identity()]
  const [plain, custom] = [dump(server, source.name, ['-Fp']), dump(server, source.name, ['-Fc'])]
  const prove = async (
    content: Uint8Array,
    identities: string[] = [],
  ): ReturnType<typeof verifyExternalDump> => {
    writeFileSync(join(workspace, 'file'), content)
    return verifyExternalDump(
      { kind: 'external', scheme: 'file', name: 'file' },
      { sources: [], identities, workspace, bindirs: [], scratch: server.to('postgres') },
      quietWork(),
    )
  }
  await assert.rejects(prove(Buffer.alloc(0)), refused('file-empty'))
  await assert.rejects(prove(gzipSync('')), refused('file-empty', /once it is unpacked/))
  await assert.rejects(
    prove(Buffer.from('<!DOCTYPE html><html><body>404</body></html>')),
    refused('file-unknown', /web page/),
  )
  await assert.rejects(
    prove(Buffer.from('hello')),
    refused('file-unknown', /none of pg_dump’s formats/),
  )
  await assert.rejects(prove(await sealed(custom, identity)), refused('key-missing'))
  await assert.rejects(
    prove(await sealed(custom, identity), [await generateX25519Identity()]),
    refused('wrong-key'),
  )
  const cluster = spawnSync(join(server.bindir, 'pg_dumpall'), ['--roles-only'], {
    env: { ...process.env, ...libpqEnvironment(server.to('postgres')) },
  })
  await assert.rejects(prove(cluster.stdout), refused('file-unknown', /pg_dumpall/))
  const age = Buffer.from(await sealed(plain, identity))
  const cut: Record<string, [Uint8Array, RegExp]> = {
    'half of a plain dump': [plain.subarray(0, plain.length >> 1), /half a dump/],
    'half of an archive': [custom.subarray(0, custom.length >> 1), /cannot read it to its end/],
    'an archive without its last byte': [custom.subarray(0, -1), /cannot read it to its end/],
    'a gzip without its last byte': [gzipSync(plain).subarray(0, -1), /does not decompress/],
    'half of a gzip': [gzipSync(plain).subarray(0, 2000), /does not decompress/],
    'an age file without its last byte': [age.subarray(0, -1), /damaged/],
    'half of a tar': [
      dump(server, source.name, ['-Ft']).subarray(0, 9000),
      /tar cannot read it|cannot read it to its end/,
    ],
  }
  for (const [what, [content, said]] of Object.entries(cut)) {
    const outcome = await prove(content, [identity]).catch((error: UserError) => ({
      level: 'stored',
      stoppedBy: error.message,
    }))
    assert.deepEqual(
      [outcome.level, said.test(outcome.stoppedBy ?? '')],
      ['stored', true],
      `${what}: ${outcome.stoppedBy}`,
    )
  }
})

test('an empty dump is never good, and one that does not restore says why', async () => {
  const [empty, workspace] = [await freshDatabase(server), temporaryFolder()]
  const prove = async (content: Uint8Array): ReturnType<typeof verifyExternalDump> => {
    writeFileSync(join(workspace, 'file'), content)
    return verifyExternalDump(
      { kind: 'external', scheme: 'file', name: 'file' },
      { sources: [], identities: [], workspace, bindirs: [], scratch: server.to('postgres') },
      quietWork(),
    )
  }
  for (const format of ['-Fp', '-Fc']) {
    const { level, stoppedBy } = await prove(dump(server, empty.name, [format]))
    assert.deepEqual([level, /no table/.test(stoppedBy ?? '')], ['readable', true], stoppedBy)
  }
  const source = await freshDatabase(server, { name: 'bare', sql })
  const twice = String(dump(server, source.name, ['-Fp'])).replace(
    'CREATE TABLE public.things',
    'CREATE TABLE public.things (); CREATE TABLE public.things',
  )
  const { level, stoppedBy } = await prove(Buffer.from(twice))
  assert.deepEqual([level, /already exists/.test(stoppedBy ?? '')], ['readable', true], stoppedBy)
})

test('no psql command hidden in a dump is ever run, nor does a tar write outside of its folder', async () => {
  const source = await freshDatabase(server, { name: 'bare', sql })
  const workspace = temporaryFolder()
  const mark = join(workspace, 'mark')
  const plain = String(dump(server, source.name, ['-Fp']))
  const prove = async (content: string | Uint8Array): ReturnType<typeof verifyExternalDump> => {
    writeFileSync(join(workspace, 'file'), content)
    return verifyExternalDump(
      { kind: 'external', scheme: 'file', name: 'file' },
      { sources: [], identities: [], workspace, bindirs: [], scratch: server.to('postgres') },
      quietWork(),
    )
  }
  const at = 'CREATE TABLE public.things'
  for (const command of [
    `\\! touch ${mark}\n`,
    `SELECT 1 \\! touch ${mark}\n`,
    `SELECT 'a''b'; \\! touch ${mark}\n`,
    `SELECT $$ $$ \\! touch ${mark}\n`,
    `/* /* */ */ \\! touch ${mark}\n`,
    `SELECT E'\\\\' \\! touch ${mark}\n`,
    `\\o |touch ${mark}\n`,
    `\\i ${mark}\n`,
    `\\connect postgres \\! touch ${mark}\n`,
  ])
    await prove(plain.replace(at, () => command + at)).then(
      ({ level }) => assert.ok(command.startsWith('\\connect') && level === 'restored', command),
      (error: UserError) => refused('file-refused')(error),
    )
  assert.equal(existsSync(mark), false)
  mkdirSync(join(workspace, 'd'))
  writeFileSync(join(workspace, 'd', 'toc.dat'), 'PGDMP')
  spawnSync('ln', ['-s', '/etc', join(workspace, 'd', 'link')])
  for (const args of [
    ['-cf', '-', 'd'],
    ['-cPf', '-', 'd/toc.dat', '--transform', 's,^d/,../,'],
  ])
    await assert.rejects(
      prove(spawnSync('tar', args, { cwd: workspace }).stdout),
      refused('file-refused'),
    )
})

test('a command that only psql would see is refused by the reader, or else by psql', async () => {
  // PostgreSQL 19 has standard strings only: there, the last of these attacks is impossible
  const lenient = servers().find(({ major }) => major < 19) ?? server
  const source = await freshDatabase(lenient, { name: 'bare', sql })
  const workspace = temporaryFolder()
  const mark = join(workspace, 'mark')
  const plain = String(dump(lenient, source.name, ['-Fp']))
  const prove = async (before: string): ReturnType<typeof verifyExternalDump> => {
    writeFileSync(
      join(workspace, 'file'),
      plain.replace('CREATE TABLE public.things', (at) => before + at),
    )
    return verifyExternalDump(
      { kind: 'external', scheme: 'file', name: 'file' },
      { sources: [], identities: [], workspace, bindirs: [], scratch: lenient.to('postgres') },
      quietWork(),
    )
  }
  // a string to the one, a string and a command to the other
  const hidden = `SELECT 'a\\' , ' \\! touch ${mark}\n';\n`
  const off = [
    'SET standard_conforming_strings TO off;',
    'SET LOCAL standard_conforming_strings = off;',
    'SET SESSION standard_conforming_strings = off;',
    `SET "standard_conforming_strings" = 'off';`,
    `SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);`,
    'SET\n Standard_Conforming_Strings\n= off;',
    'SET standard_conforming_strings = off;',
  ]
  const commands = [
    `-- x\r\\! touch ${mark}\n`,
    `SELECT 1; -- x\r\\! touch ${mark}\n`,
    ...off.map((set) => `${set}\n${hidden}`),
  ]
  const copy =
    'CREATE TABLE stdin ();\nCOPY stdin TO stdout; SELECT 1 FROM stdin;\n' +
    `\\! touch ${mark}\n\\.\n`
  for (const command of [...commands, copy])
    await assert.rejects(prove(command), refused('file-refused'), command)
  assert.equal(existsSync(mark), false)
  // the setting's name is made only on the server: the reader passes it, and the second guard is
  // psql's own
  const unseen = `SELECT set_config(E'standard\\x5fconforming_strings', 'off', false);\n${hidden}`
  const { level, stoppedBy } = await prove(unseen)
  assert.deepEqual(
    [
      level,
      /restricted|non-standard string literals are not supported/.test(stoppedBy ?? ''),
      existsSync(mark),
    ],
    ['readable', true, false],
    stoppedBy,
  )
  if (lenient.major >= 19) return
  spawnSync(join(lenient.bindir, 'psql'), ['-X', '-f', '-'], {
    input: unseen,
    env: { ...process.env, ...libpqEnvironment(lenient.to('postgres')) },
  })
  assert.equal(existsSync(mark), true, 'without it, the command would have been run')
})

test('a psql that cannot be told to refuse commands is known by its version', () => {
  const known = (version: string): boolean => supportsRestrict(version)
  assert.deepEqual(
    ['13.22', '15.14', '17.6', '18.0', '18rc1', '19.1'].filter((each) => !known(each)),
    [],
  )
  assert.deepEqual(['12.22', '13.21', '14.18', '15.13', '16.9', '17.5'].filter(known), [])
})

test('a file is read by its key in a storage, by its path in the workspace, and nowhere else', async () => {
  const source = await freshDatabase(server, { name: 'bare', sql })
  const [workspace, folder] = [temporaryFolder(), temporaryFolder()]
  mkdirSync(join(folder, 'old'))
  writeFileSync(join(folder, 'old', 'a.dump'), dump(server, source.name, ['-Fc']))
  const options = {
    sources: [openStorage(`file://${temporaryFolder()}`), openStorage(`file://${folder}`)],
    identities: [],
    workspace,
    bindirs: [],
  }
  // without a server given: on a cluster of our own
  const result = await verifyExternalDump(
    { kind: 'external', scheme: 'store', name: 'old/a.dump' },
    options,
    quietWork(),
  )
  assert.deepEqual(
    [result.level, result.found?.rows, result.bytes],
    ['restored', 202, readFileSync(join(folder, 'old', 'a.dump')).length],
  )
  for (const name of ['old/b.dump', '../old/a.dump', '/etc/passwd', ''])
    await assert.rejects(
      verifyExternalDump({ kind: 'external', scheme: 'store', name }, options, quietWork()),
      refused('file-missing'),
    )
  for (const name of ['none', '../x', '/etc/passwd', '.'])
    await assert.rejects(
      verifyExternalDump({ kind: 'external', scheme: 'file', name }, options, quietWork()),
      refused('file-missing'),
    )
})
