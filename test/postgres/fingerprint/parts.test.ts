import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Session } from '../../../src/postgres/connection/session.ts'
import {
  addHashes,
  mergePrints,
  measureParts,
  type MeasureOptions,
  type Part,
  rowText,
  type TablePrint,
} from '../../../src/postgres/fingerprint/content.ts'
import { sortPrints, splitWork } from '../../../src/postgres/fingerprint/fingerprint.ts'
import {
  type Column,
  splitThreshold,
  type Table,
} from '../../../src/postgres/fingerprint/tables.ts'

const MiB = 1024 * 1024
const table = (oid: number, bytes: number, rest: Partial<Table> = {}): Table => ({
  oid,
  schema: 's',
  name: `t${oid}`,
  columns: [],
  bytes,
  ...rest,
})

test('a large table is split into adjacent ranges of blocks; other tables are not split', () => {
  const buckets = splitWork(
    [
      table(1, 5000 * MiB, { blocks: 640_000 }),
      table(2, 100 * MiB),
      table(3, 80 * MiB, { blocks: 10_240, condition: 'WHERE true' }),
      table(4, 1),
    ],
    3,
  )
  assert.equal(buckets.length, 3)
  const of = (oid: number): Part[] => buckets.flat().filter((part) => part.table.oid === oid)
  const ranges = of(1).sort((a, b) => (a.from ?? 0) - (b.from ?? 0))
  assert.ok(ranges.length >= 10)
  assert.deepEqual([ranges[0]?.from, ranges.at(-1)?.to], [undefined, undefined])
  for (const [i, { from }] of ranges.slice(1).entries()) assert.equal(from, ranges[i]?.to)
  for (const oid of [2, 3, 4])
    assert.deepEqual(
      of(oid).map(({ from, to }) => [from, to]),
      [[undefined, undefined]],
    )
  const sums = buckets.map((bucket) => bucket.reduce((sum, { bytes }) => sum + bytes, 0))
  assert.ok(Math.max(...sums) < 1.4 * Math.min(...sums), 'each bucket has about the same')
})

test('a table is split only if it is large, has blocks, and is no extension’s', () => {
  const partsOf = (given: Table, readers = 4): Part[] => splitWork([given], readers).flat()
  const blocks = 10_000
  assert.equal(partsOf(table(1, splitThreshold, { blocks })).length, 1)
  assert.equal(partsOf(table(1, splitThreshold + 1, { blocks })).length, 4)
  assert.equal(partsOf(table(1, splitThreshold + 1, { blocks }), 1).length, 1)
  assert.equal(partsOf(table(1, splitThreshold + 1, { blocks: 3 })).length, 3)
  assert.equal(partsOf(table(1, splitThreshold + 1)).length, 1)
  assert.equal(partsOf(table(1, splitThreshold + 1, { blocks, condition: '' })).length, 4)
  assert.deepEqual(partsOf(table(1, 7, { blocks })), [{ table: table(1, 7, { blocks }), bytes: 7 }])
  // no query reads more than 512 MiB
  assert.equal(partsOf(table(1, 1024 * MiB, { blocks }), 1).length, 2)
  assert.equal(partsOf(table(1, 1024 * MiB + 1, { blocks }), 1).length, 3)
  const given = table(1, 100 * MiB, { blocks: 10 })
  assert.deepEqual(partsOf(given, 4), [
    { table: given, bytes: 25 * MiB, to: 2 },
    { table: given, bytes: 25 * MiB, from: 2, to: 5 },
    { table: given, bytes: 25 * MiB, from: 5, to: 7 },
    { table: given, bytes: 25 * MiB, from: 7 },
  ])
})

test('work is shared by size, the largest first, among as many readers as it needs', () => {
  const oids = (sizes: number[], readers: number): number[][] =>
    splitWork(
      sizes.map((bytes, i) => table(i, bytes)),
      readers,
    ).map((bucket) => bucket.map((part) => part.table.oid))
  assert.deepEqual(oids([10, 70_000, 30_000, 30_000], 2), [[1], [2, 3, 0]])
  assert.deepEqual(oids([10], 8), [[0]])
  assert.deepEqual(oids([], 8), [[]])
  assert.deepEqual(oids([1, 2], 0), [[1, 0]])
  // a table takes time, however small it is
  assert.deepEqual(oids([0, 0, 0, 0], 2), [
    [0, 2],
    [1, 3],
  ])
  assert.deepEqual(oids([20_000, 1, 1, 1], 2), [[0], [1, 2, 3]])
})

describe('prints', () => {
  const print = (name: string, rows: number, rest: Partial<TablePrint> = {}): TablePrint => ({
    table: name,
    rows,
    bytes: 5,
    ...rest,
  })

  test('of parts add up to that of their table', () => {
    const parts = [
      print('a', 1, { hash: '9223372036854775807', generated: '-1' }),
      print('b', 2),
      print('a', 3, { hash: '9223372036854775807', generated: '-2' }),
      print('b', 4),
      print('c', 1, { hash: '1' }),
      print('c', 1, { hash: '2' }),
    ]
    assert.deepEqual(mergePrints(parts), [
      print('a', 4, { hash: '18446744073709551614', generated: '-3' }),
      print('b', 6),
      print('c', 2, { hash: '3' }),
    ])
    assert.equal(parts[0]?.rows, 1, 'what was given is as it was')
  })

  test('are sorted by the code units of their names', () => {
    const names = ['public.é', 'public.b', 'public.B', 'public.a']
    assert.deepEqual(
      sortPrints(names.map((name) => print(name, 1))).map((each) => each.table),
      ['public.B', 'public.a', 'public.b', 'public.é'],
    )
  })

  test('have hashes that add up beyond what a number holds', () => {
    assert.equal(addHashes('9223372036854775807', '-1'), '9223372036854775806')
    assert.equal(addHashes(undefined, '5'), '5')
    assert.equal(addHashes('5'), '5')
  })
})

const column = (name: string, base = 23): Column => ({
  name,
  number: 1,
  type: 'x',
  base,
  generated: 'no',
})

test('the text of a row has of each column what no other value gives', () => {
  assert.equal(rowText([]), "''")
  assert.equal(
    rowText([column('n'), column('t', 25), column('a', 1007)]),
    `pg_catalog.concat("n", E'\\x1f', pg_catalog.octet_length("t"), ':', "t", E'\\x1f', ` +
      `ROW("a")::pg_catalog.text, E'\\x1f')`,
  )
})

test('the text of a type is how a stored fingerprint has it', () => {
  const forms = {
    text: (name: string) => `pg_catalog.octet_length(${name}), ':', ${name}, E'\\x1f'`,
    bare: (name: string) => `${name}, E'\\x1f'`,
    record: (name: string) => `ROW(${name})::pg_catalog.text, E'\\x1f'`,
  }
  const types: Record<keyof typeof forms, number[]> = {
    // text, char(n), varchar
    text: [25, 1042, 1043],
    // bool, bytea, int8, int2, int4, oid, json, float4, float8, date, time, timestamp, timestamptz,
    // interval, timetz, numeric, uuid, jsonb
    bare: [
      16, 17, 20, 21, 23, 26, 114, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 3802,
    ],
    // "char", name, xml, int4[], inet, bit, an enum
    record: [18, 19, 142, 1007, 869, 1560, 16_400],
  }
  for (const [form, bases] of Object.entries(types) as [keyof typeof forms, number[]][])
    for (const base of bases)
      assert.equal(
        rowText([column('c', base)]),
        `pg_catalog.concat(${forms[form]('"c"')})`,
        `${base}`,
      )
})

test('the text of a row of many columns takes calls of at most 100 arguments', () => {
  const many = (count: number): string =>
    rowText(Array.from({ length: count }, (_, i) => column(`c${i}`, 25)))
  assert.equal(many(24).split('concat').length, 1 + 1)
  const calls = many(1600).split('pg_catalog.concat(').slice(2)
  assert.equal(calls.length, Math.ceil(1600 / 24))
  assert.ok(calls.every((call) => call.split(', ').length <= 100 + 1))
})

describe('small tables are measured together', () => {
  /** How many tables each statement reads. */
  const batches = async (parts: Part[], rest: Partial<MeasureOptions> = {}): Promise<number[]> => {
    const counts: number[] = []
    const query = (sql: string): Promise<object[]> => {
      const count = sql.split(' AS i,').length - 1
      counts.push(count)
      return Promise.resolve(
        Array.from({ length: count }, (_, i) => ({ i, rows: '1', hash: '1', generated: null })),
      )
    }
    const prints = await measureParts({ query } as unknown as Session, parts, {
      inTransaction: false,
      depth: 'content',
      ...rest,
    })
    assert.deepEqual(
      prints.map((print) => print.table),
      parts.map((part) => `s.${part.table.name}`),
    )
    return counts
  }
  const parts = (count: number, bytes = 1, columns = 1): Part[] =>
    Array.from({ length: count }, (_, i) => ({
      table: table(i, bytes, { columns: Array.from({ length: columns }, () => column('a')) }),
      bytes,
    }))

  test('fifty in one query', async () => {
    assert.deepEqual(await batches(parts(101)), [50, 50, 1])
    assert.deepEqual(await batches([]), [])
  })

  test('up to two thousand columns in one query', async () => {
    assert.deepEqual(await batches(parts(9, 1, 500)), [4, 4, 1])
    assert.deepEqual(await batches(parts(4, 1, 667)), [2, 2])
    assert.deepEqual(await batches(parts(2, 1, 2001)), [1, 1])
  })

  test('but not large ones', async () => {
    assert.deepEqual(await batches(parts(3, splitThreshold)), [3])
    assert.deepEqual(await batches(parts(3, splitThreshold + 1)), [1, 1, 1])
  })

  test('and the caller is notified before and after each query', async () => {
    const calls: string[] = []
    await batches(parts(51, 3), {
      before: (tables) => Promise.resolve(void calls.push(`before ${tables.length}`)),
      onRead: (bytes) => calls.push(`read ${bytes}`),
    })
    assert.deepEqual(calls, ['before 50', 'read 150', 'before 1', 'read 3'])
  })
})
