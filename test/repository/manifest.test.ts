import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserError } from '../../src/errors.ts'
import {
  assertManifest,
  type Manifest,
  readManifest,
  totalsOf,
  writeManifest,
} from '../../src/repository/manifest.ts'

const plain: Omit<Manifest, 'sha256'> = {
  format: 1,
  id: '20261121T031500Z-ab12cd',
  label: 'production',
  createdAt: '2026-11-21T03:15:02.000Z',
  snapshot: { at: '2026-11-21T03:15:00.123Z', lsn: '0/1D52CC0' },
  source: {
    database: 'shop',
    server: '17.11',
    major: 17,
    bytes: 1,
    locale: { encoding: 'UTF8', provider: 'libc', collate: 'C', ctype: 'C' },
    roles: { superuser: 'postgres', names: ['postgres'] },
  },
  client: '17.11',
  encryption: { recipients: ['age1x'] },
  objects: [
    {
      name: 'base.dump.age',
      kind: 'base',
      bytes: 5,
      sha256: 'a'.repeat(64),
      plain: { bytes: 4, sha256: 'b'.repeat(64), compression: 'none' },
    },
  ],
  fingerprint: {
    kind: 'content',
    tables: [{ table: 'public.t', rows: 2, hash: '-12', bytes: 8192 }],
    schema: { 'TABLE public.t': 'ff' },
    sequences: {
      'public.s': {
        before: { last: '9223372036854775807', called: true },
        after: { last: '9223372036854775807', called: true },
      },
    },
    largeObjects: { count: 0, bytes: 0, hash: '0', attributes: '0' },
    supplement: { extensions: { plpgsql: '1.0 in pg_catalog' }, matviews: {}, invalidIndexes: [] },
  },
  warnings: [],
}
const text = writeManifest(plain)

test('what was written reads back', () => {
  const { sha256, ...read } = readManifest(text, 'here')
  assert.deepEqual(read, plain)
  assert.match(sha256, /^[0-9a-f]{64}$/)
})

test('a flipped bit in any byte is found', () => {
  for (let place = 0; place < text.length; place++) {
    for (const bit of [1, 0x20]) {
      const bytes = Buffer.from(text)
      bytes[place] = (bytes[place] as number) ^ bit
      assert.throws(
        () => readManifest(bytes.toString('utf8'), 'here'),
        /manifest here is damaged|has format/,
        `byte ${place} (${JSON.stringify(text[place])}), bit ${bit}`,
      )
    }
  }
})

test('a newer format is refused by its number, before anything else of it is looked at', () => {
  assert.throws(
    () => readManifest(text.replace('"format": 1', '"format": 2'), 'here'),
    (error: UserError) => error.code === 'newer-format' && /format 2/.test(error.message),
  )
})

for (const [what, wrong] of [
  ['nothing', ''],
  ['half of it', text.slice(0, 300)],
  ['null', 'null'],
  ['a list', '[]'],
  ['a deep nest', '['.repeat(100_000)],
  ['more behind it', `${text}x`],
] as const)
  test(`${what} is no manifest`, () =>
    assert.throws(
      () => readManifest(wrong, 'here'),
      (error: UserError) => error.code === 'manifest-damaged',
    ))

test('an object’s name cannot walk out of the backup’s folder', () => {
  for (const name of ['../x', 'a/../../x', '/etc/passwd', 'a//b', ''])
    assert.throws(
      () =>
        readManifest(
          writeManifest({
            ...plain,
            objects: [{ name, kind: 'recovery-guide', bytes: 1, sha256: 'a'.repeat(64) }],
          }),
          'here',
        ),
      /damaged/,
      name,
    )
})

test('a damaged manifest says how', () => {
  const how = (wrong: string): string => {
    try {
      readManifest(wrong, 'here')
    } catch (error) {
      return (error as Error).message
    }
    throw new Error('no error')
  }
  const where = 'The manifest here is damaged'
  assert.equal(how(' \n'), `${where}: it is empty.`)
  assert.equal(how('{'), `${where}: it is not complete JSON.`)
  // the first of several faults
  assert.match(how('{"format":1,"id":5,"label":6}'), /is damaged: id: .*string.*5\.$/)
  assert.equal(
    how(text.replace('"shop"', '"shoq"')),
    `${where}: its digest does not match its text.`,
  )
})

test('is written with a member a line', () => {
  assert.ok(text.startsWith('{\n "format": 1,\n "id": "20261121T031500Z-ab12cd",\n'))
  assert.ok(text.endsWith(`"\n}\n`))
})

test('is checked before it is written', () => {
  assertManifest(text)
  assert.throws(
    () => assertManifest(text.replace('"shop"', '"shoq"')),
    /^Error: the manifest cannot be read back: .*its digest/,
  )
})

test('its totals are those of all objects and tables', () => {
  const [object] = plain.objects
  const [table] = plain.fingerprint.tables
  assert.ok(object && table)
  const tables = [table, { ...table, rows: 5 }]
  assert.deepEqual(
    totalsOf({
      objects: [object, { ...object, bytes: 7 }],
      fingerprint: { ...plain.fingerprint, tables },
    }),
    { bytes: 12, rows: 7, tables: 2 },
  )
})
