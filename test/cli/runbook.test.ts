import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { Client } from 'pg'
import { newFolder } from '../actions/watched-run.ts'
import { nextSecond, untilOlderThanASecond } from '../support/clock.ts'
import { type OwnServer, startOwnServer } from '../support/own-server.ts'
import { type RunningS3, startS3 } from '../support/s3.ts'
import { dist } from './typed.ts'

/**
 * docs/runbook.md, command by command, in its order, as bash takes them: each disaster is made to
 * happen first, and what its section promises is looked for afterwards. A block of `export` lines
 * has the reader's own values; here they are the test's.
 */
const page = readFileSync(join(import.meta.dirname, '../../docs/runbook.md'), 'utf8')
const sections = new Map(
  [...page.matchAll(/^## ([^\n]*)\n(.*?)(?=^## |$(?![\s\S]))/gms)].map(
    ([, title = '', text = '']) => [
      title,
      [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block),
    ],
  ),
)
const told = new Set<string>()

let first: OwnServer
let other: OwnServer
let s3: RunningS3
let home: string
let env: Record<string, string>

before(async () => {
  first = await startOwnServer()
  other = await startOwnServer()
  s3 = await startS3(['far'])
  home = newFolder()
  symlinkSync(dist, join(home, 'dist'))
  const temporary = newFolder()
  chmodSync(temporary, 0o755) // a server of a run's own has another user
  const [key, offline] = [await generateX25519Identity(), await generateX25519Identity()]
  for (const [name, identity] of Object.entries({ 'key.txt': key, 'offline-key.txt': offline }))
    writeFileSync(join(home, name), `${identity}\n`, { mode: 0o600 })
  await first.query('postgres', 'CREATE ROLE app; CREATE ROLE reader')
  await first.create(
    'shop',
    `
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 100) g;
    CREATE TABLE orders (
      id serial PRIMARY KEY, customer int REFERENCES customers, total numeric CHECK (total > 0)
    );
    CREATE INDEX by_customer ON orders (customer);
    INSERT INTO orders (customer, total) SELECT g % 100 + 1, g FROM generate_series(1, 1000) g;
    ALTER TABLE orders OWNER TO app;
    GRANT SELECT ON orders TO reader`,
  )
  const recipients = await Promise.all([key, offline].map(identityToRecipient))
  env = {
    PATH: `${first.bindir}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    LANG: 'C.UTF-8',
    TMPDIR: temporary,
    ...s3.env,
    STORAGE: `file://${newFolder()}`,
    LABEL: 'production',
    TARGET: '',
    PGPASSWORD: '',
    ENCRYPT_TO: recipients.join('\n'),
  }
  at(first)
  await bash(
    [
      `node dist/cli.js backup --storage "$STORAGE" --storage '${s3.url('dr')}'`,
      '--label "$LABEL" --database-url "$TARGET"',
      ...recipients.map((each) => `--encrypt-to ${each}`),
    ].join(' '),
  )
  const globals = await bash('pg_dumpall --globals-only --no-role-passwords -d "$TARGET"')
  writeFileSync(
    join(home, 'globals.sql'),
    globals
      .split('\n')
      .filter((line) => !/\bholdfast\b/.test(line))
      .join('\n'),
  )
})
after(() => s3.stop())

/** What TARGET and PGPASSWORD name from here on. */
function at(server: OwnServer): void {
  const { host, port } = server.to('shop')
  Object.assign(env, {
    TARGET: `postgres://holdfast@${host}:${port}/shop`,
    PGPASSWORD: server.password,
  })
}

async function bash(script: string, good = true): Promise<string> {
  const child = spawn(
    'bash',
    ['--noprofile', '--norc', '-e', '-u', '-o', 'pipefail', '-c', script],
    { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => (said += piece))
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (good) assert.equal(code, 0, `${script}\n${said}`)
  else assert.notEqual(code, 0, `${script}\n${said}`)
  return said
}

/** The section's blocks, each run when asked for; `left` asserts that there is no other. */
function reading(title: string): { next: () => Promise<string>; left: () => void } {
  const blocks = (sections.get(title) ?? []).filter((block) => {
    if (!block.startsWith('export ')) return true
    for (const [, name = ''] of block.matchAll(/\b([A-Z_]+)=/g))
      assert.ok(name in env || name === 'BEFORE', `${name} is given a value`)
    return false
  })
  assert.ok(blocks.length > 0, `there is a section "${title}" with commands`)
  told.add(title)
  return {
    next: () => bash(blocks.shift() ?? assert.fail(`"${title}" has no further command`)),
    left: () => assert.deepEqual(blocks, []),
  }
}

const orders = async (server = first): Promise<unknown> =>
  (
    await server.query(
      'shop',
      'SELECT count(*)::int AS rows, sum(total)::int AS total FROM public.orders',
    )
  )[0]
const whole = { rows: 1000, total: 500_500 }

test('before you begin: what there is', async () => {
  const { next, left } = reading('Before you begin')
  assert.match(await next(), /production[\s\S]*Newest backup/)
  left()
})

test('a dropped table is back with its index, key, owner and grants; others keep newer rows', async () => {
  const about = `
    SELECT pg_get_userbyid(relowner) AS owner, relacl::text,
           (SELECT count(*)::int FROM pg_index WHERE indrelid = c.oid) AS indexes,
           (SELECT count(*)::int FROM pg_constraint
             WHERE conrelid = c.oid AND contype IN ('f', 'c')) AS checks
      FROM pg_class c WHERE oid = 'public.orders'::regclass`
  const before = await first.query('shop', about)
  await first.query('shop', `INSERT INTO customers VALUES (101, 'newer'); DROP TABLE orders`)
  const { next, left } = reading('A table was dropped')
  await next()
  assert.deepEqual(
    await first.query('shop', `SELECT to_regclass('public.orders') AS there`),
    [{ there: null }],
    'a dry run touches nothing',
  )
  await next()
  left()
  assert.deepEqual(await orders(), whole)
  assert.deepEqual(await first.query('shop', about), before)
  assert.deepEqual(await first.query('shop', 'SELECT count(*)::int AS n FROM customers'), [
    { n: 101 },
  ])
})

test('rows were overwritten: the backup’s come into a schema of their own', async () => {
  await first.query(
    'shop',
    'UPDATE orders SET total = 1; INSERT INTO orders (customer, total) VALUES (1, 7)',
  )
  const { next, left } = reading('Rows were deleted or overwritten')
  await next()
  left()
  const [schema] = await first.query(
    'shop',
    `SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'public_restored%'`,
  )
  assert.deepEqual(
    await first.query(
      'shop',
      `SELECT count(*)::int AS rows, sum(total)::int AS total FROM "${String(schema?.['name'])}".orders`,
    ),
    [whole],
  )
  assert.deepEqual(await orders(), { rows: 1001, total: 1007 }, 'the live table is as it was')
  await first.query(
    'shop',
    `UPDATE orders o SET total = b.total FROM "${String(schema?.['name'])}".orders b
      WHERE b.id = o.id;
     DROP SCHEMA "${String(schema?.['name'])}" CASCADE`,
  )
  assert.deepEqual(await orders(), { rows: 1001, total: 500_507 })
})

test('a wrong migration is restored, the restore undone, and the rest cleaned up', async () => {
  await nextSecond()
  env['BEFORE'] = new Date().toISOString().replace(/\.\d+/, '')
  await nextSecond()
  await first.query('shop', 'ALTER TABLE orders DROP COLUMN total; CREATE TABLE migrated ()')
  const { next, left } = reading('A migration went wrong')
  assert.match(await next(), /TABLE public\.migrated/)
  await next()
  left()
  assert.deepEqual(await orders(), whole)
  const wrong = reading('The restore was wrong')
  await wrong.next()
  assert.deepEqual(
    await first.query('shop', `SELECT to_regclass('public.migrated')::text AS there`),
    [{ there: 'migrated' }],
  )
  const kept = async (): Promise<string[]> =>
    (await first.databases()).filter((name) => name.startsWith('shop_before'))
  const [previous = '', ...more] = await kept()
  assert.deepEqual(more, [])
  await untilOlderThanASecond(previous)
  await wrong.next()
  wrong.left()
  assert.deepEqual(await kept(), [])
})

test('data is damaged: the backup says so, and another server gets what was proven', async () => {
  await bash(
    'node dist/cli.js verify --storage "$STORAGE" --label "$LABEL" --decrypt-with-file key.txt',
  )
  await first.query('shop', 'CREATE TABLE damaged AS SELECT g FROM generate_series(1, 100000) g')
  await damage('public.damaged')
  assert.match(
    await bash(
      `node dist/cli.js backup --storage "$STORAGE" --label "$LABEL" --database-url "$TARGET" --encrypt-to none --json`,
      false,
    ),
    /data-damaged/,
  )
  for (const role of ['app', 'reader']) await other.query('postgres', `CREATE ROLE ${role}`)
  at(other)
  const { next, left } = reading('Data is damaged')
  await next()
  left()
  assert.deepEqual(await orders(other), whole)
})

test('the server is lost: roles, then the database; or all of it for one role', async () => {
  await first.stop()
  await other.query('postgres', 'DROP DATABASE shop')
  for (const role of ['app', 'reader']) await other.query('postgres', `DROP ROLE ${role}`)
  const { next, left } = reading('The server is lost')
  await next()
  await next()
  const owner = async (): Promise<unknown> =>
    (
      await other.query(
        'shop',
        `SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relname = 'orders'`,
      )
    )[0]?.['owner']
  assert.deepEqual([await orders(other), await owner()], [whole, 'app'])
  await other.query('postgres', 'DROP DATABASE shop')
  for (const role of ['app', 'reader']) await other.query('postgres', `DROP ROLE ${role}`)
  await next()
  left()
  assert.deepEqual([await orders(other), await owner()], [whole, 'holdfast'])
})

test('the region is lost: the other storage has it all', async () => {
  rmSync(env['STORAGE']?.replace('file://', '') ?? '', { recursive: true })
  env['STORAGE'] = s3.url('dr')
  const { next, left } = reading('The region is lost, and the first storage with it')
  assert.match(await next(), /production[\s\S]*Newest backup/)
  left()
})

test('the key is lost: the other one opens, and a new one takes its place', async (t) => {
  if (spawnSync('age-keygen', ['--version']).error) {
    told.add('The key is lost') // not run, which this line says and the last test need not
    return t.skip('NOT SHOWN: stock age-keygen is not on this machine')
  }
  rmSync(join(home, 'key.txt'))
  const { next, left } = reading('The key is lost')
  assert.match(await next(), /identical/)
  await next()
  await next()
  assert.match(await next(), /identical/)
  left()
})

test('no section has a command that was not run', () => {
  assert.deepEqual(
    [...sections]
      .filter(([title, blocks]) => blocks.length > 0 && !told.has(title))
      .map(([title]) => title),
    [],
  )
})

/**
 * Overwrites the header of a page in the table's file, as a bad disk would; the server, which has
 * crashed since, has nothing of it in memory.
 */
async function damage(table: string): Promise<void> {
  const [row] = await first.query(
    'shop',
    `SELECT current_setting('data_directory') || '/' || pg_relation_filepath('${table}') AS path`,
  )
  await first.query('shop', 'CHECKPOINT')
  const handle = openSync(String(row?.['path']), 'r+')
  writeSync(handle, Buffer.alloc(24, 0xff), 0, 24, 8192)
  closeSync(handle)
  const client = new Client({ connectionString: first.url('postgres') })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  process.kill(rows[0]?.pid ?? assert.fail(), 'SIGKILL')
  for (let i = 0; ; i++) {
    await sleep(100)
    try {
      return void (await first.query('postgres', 'SELECT 1'))
    } catch (error) {
      if (i > 100) throw error
    }
  }
}
