import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  compareCounts,
  compareFingerprints,
  isOtherVersion,
  levelOf,
  otherVersionText,
} from '../../src/load/compare-fingerprints.ts'
import type { Fingerprint } from '../../src/postgres/fingerprint/fingerprint.ts'
import type { SequenceValue } from '../../src/postgres/fingerprint/sequences.ts'
import type { Difference } from '../../src/repository/level.ts'

const hash = (letter: string): string => letter.repeat(32)
const called = (last: string): SequenceValue => ({ last, called: true })
const fresh = (last: string): SequenceValue => ({ last, called: false })

/** What a small shop's database holds: one thing of each kind. */
const shop = (): Fingerprint => ({
  kind: 'content',
  tables: [
    { table: 'public.customers', rows: 1, hash: '12', bytes: 8192 },
    {
      table: 'public.orders',
      rows: 1200,
      hash: '-9876543210987654321',
      generated: '77',
      bytes: 81_920,
    },
    { table: 'public.spread_0', rows: 2, hash: '5', comparedAt: 'public.spread', bytes: 8192 },
    { table: 'public.spread_1', rows: 3, hash: '-9', comparedAt: 'public.spread', bytes: 8192 },
  ],
  schema: {
    DATABASE: hash('1'),
    'DATABASE PROPERTIES': hash('2'),
    'ACL DATABASE': hash('3'),
    'COMMENT DATABASE': hash('4'),
    'SECURITY LABEL DATABASE': hash('5'),
    'SUBSCRIPTION feed': hash('6'),
    'COMMENT SUBSCRIPTION feed': hash('7'),
    'TABLE public.orders': `${hash('a')}:aaaaaaaa`,
    'FUNCTION public.sum(integer)': `${hash('b')}:aaaaaaaa,${hash('c')}:bbbbbbbb`,
    'ACL public.TABLE orders': hash('d'),
    'DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES': hash('e'),
    'INDEX public.by_day': hash('f'),
  },
  sequences: {
    'public.orders_id_seq': { before: called('100'), after: called('110') },
    'public.still': { before: fresh('1'), after: fresh('1') },
  },
  largeObjects: { count: 2, bytes: 3000, hash: '1234567890123', attributes: '42' },
  supplement: {
    extensions: { pg_trgm: '1.6 in public', plpgsql: '1.0 in pg_catalog' },
    matviews: { 'public.totals': true, 'public.unread': false },
    invalidIndexes: ['public.broken'],
    idleKeys: ['public.orders orders_customer_fkey'],
  },
})

/** What a restored copy of it holds: the sequences were read once. */
const copyOf = (print: Fingerprint): Fingerprint => ({
  ...print,
  sequences: Object.fromEntries(
    Object.entries(print.sequences).map(([name, { after }]) => [name, { before: after, after }]),
  ),
})

type Change = (copy: Fingerprint) => void

const changed = (change: Change): Fingerprint => {
  const copy = copyOf(shop())
  change(copy)
  return copy
}

const table = (print: Fingerprint, name: string): Fingerprint['tables'][number] => {
  const found = print.tables.find((each) => each.table === name)
  assert.ok(found)
  return found
}

const lines = (differences: Difference[]): string[] =>
  differences.map(
    ({ kind, object, expected, found }) => `${kind} ${object}: ${expected} → ${found}`,
  )

const found = (change: Change, sameMajor = true, options = {}): string[] =>
  lines(compareFingerprints(shop(), changed(change), sameMajor, options))

/** Each change to a copy, and the one difference that it makes. */
const differences: Record<string, [change: Change, difference: string]> = {
  'a missing row': [
    (copy) => (table(copy, 'public.orders').rows = 1199),
    'rows public.orders: 1,200 rows → 1,199 rows',
  ],
  'a row too many': [
    (copy) => (table(copy, 'public.customers').rows = 2),
    'rows public.customers: 1 row → 2 rows',
  ],
  'other content in as many rows': [
    (copy) => (table(copy, 'public.orders').hash = '123456789012'),
    'content public.orders: content …210987654321 → content 123456789012, in the same number of rows',
  ],
  'content that has no hash': [
    (copy) => delete table(copy, 'public.customers').hash,
    'content public.customers: content 12 → content none, in the same number of rows',
  ],
  'other content of generated columns': [
    (copy) => (table(copy, 'public.orders').generated = '78'),
    'content public.orders: generated columns 77 → generated columns 78',
  ],
  'generated columns that were removed': [
    (copy) => delete table(copy, 'public.orders').generated,
    'content public.orders: generated columns 77 → generated columns none',
  ],
  'generated columns that were added': [
    (copy) => (table(copy, 'public.customers').generated = '0'),
    'content public.customers: generated columns none → generated columns 0',
  ],
  'a missing table': [
    (copy) => copy.tables.shift(),
    'rows public.customers: 1 row → no such table',
  ],
  'a table too many': [
    (copy) => copy.tables.push({ table: 'public.more', rows: 0, hash: '0', bytes: 0 }),
    'rows public.more: no such table → 0 rows',
  ],
  'a missing row of a hash partition': [
    (copy) => (table(copy, 'public.spread_1').rows = 2),
    'rows public.spread (all partitions): 5 rows → 4 rows',
  ],
  'other content of a hash partition': [
    (copy) => (table(copy, 'public.spread_0').hash = '6'),
    'content public.spread (all partitions): content -4 → content -3, in the same number of rows',
  ],
  'generated columns in the second hash partition': [
    (copy) => (table(copy, 'public.spread_1').generated = '8'),
    'content public.spread (all partitions): generated columns none → generated columns 8',
  ],
  'generated columns in the first hash partition': [
    (copy) => (table(copy, 'public.spread_0').generated = '8'),
    'content public.spread (all partitions): generated columns none → generated columns 8',
  ],
  'a missing sequence': [
    (copy) => delete copy.sequences['public.still'],
    'sequence public.still: 1, not yet called → no such sequence',
  ],
  'a sequence too many': [
    (copy) => (copy.sequences['public.more'] = { before: fresh('1'), after: fresh('1') }),
    'sequence public.more: no such sequence → present',
  ],
  'a sequence before its range': [
    (copy) =>
      (copy.sequences['public.orders_id_seq'] = { before: called('105'), after: fresh('100') }),
    'sequence public.orders_id_seq: 100 to 110 → 100, not yet called',
  ],
  'a sequence behind its range': [
    (copy) =>
      (copy.sequences['public.orders_id_seq'] = { before: called('105'), after: fresh('111') }),
    'sequence public.orders_id_seq: 100 to 110 → 111, not yet called',
  ],
  'a sequence whose first value was called': [
    (copy) => (copy.sequences['public.still'] = { before: fresh('1'), after: called('1') }),
    'sequence public.still: 1, not yet called → 1',
  ],
  'a missing large object': [
    (copy) =>
      (copy.largeObjects = { count: 1, bytes: 3000, hash: '1234567890123', attributes: '42' }),
    'rows large objects: 2 → 1',
  ],
  'other bytes in large objects': [
    (copy) => (copy.largeObjects = { ...copy.largeObjects, count: 2, bytes: 2999 }),
    'large-objects large objects: 3000 bytes, content …234567890123 → 2999 bytes, content …234567890123',
  ],
  'other content of large objects': [
    (copy) => (copy.largeObjects = { ...copy.largeObjects, count: 2, hash: '9' }),
    'large-objects large objects: 3000 bytes, content …234567890123 → 3000 bytes, content 9',
  ],
  'other attributes of large objects': [
    (copy) => (copy.largeObjects = { ...copy.largeObjects, count: 2, attributes: '43' }),
    'large-objects large objects: the owners, grants and comments of the source → different ones',
  ],
  'a missing schema entry': [
    (copy) => delete copy.schema['INDEX public.by_day'],
    'schema INDEX public.by_day: present → missing',
  ],
  'a schema entry too many': [
    (copy) => (copy.schema['VIEW public.extra'] = hash('9')),
    'schema VIEW public.extra: absent → present',
  ],
  'another definition': [
    (copy) => (copy.schema['INDEX public.by_day'] = hash('8')),
    'schema INDEX public.by_day: definition ffffffff → a different definition (88888888)',
  ],
  'another owner': [
    (copy) => (copy.schema['TABLE public.orders'] = `${hash('a')}:cccccccc`),
    'schema TABLE public.orders: the same owner → a different owner',
  ],
  'another owner of one of two functions': [
    (copy) =>
      (copy.schema['FUNCTION public.sum(integer)'] = `${hash('b')}:bbbbbbbb,${hash('c')}:bbbbbbbb`),
    'schema FUNCTION public.sum(integer): the same owner → a different owner',
  ],
  'other grants': [
    (copy) => (copy.schema['ACL public.TABLE orders'] = hash('8')),
    'schema ACL public.TABLE orders: definition dddddddd → a different definition (88888888)',
  ],
  'no default grants': [
    (copy) => delete copy.schema['DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES'],
    'schema DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES: present → missing',
  ],
  'a comment on an extension': [
    (copy) => (copy.schema['COMMENT EXTENSION pg_trgm'] = hash('8')),
    'schema COMMENT EXTENSION pg_trgm: absent → present',
  ],
  'a function that is called like a subscription': [
    (copy) => (copy.schema['FUNCTION public.SUBSCRIPTION feed'] = hash('8')),
    'schema FUNCTION public.SUBSCRIPTION feed: absent → present',
  ],
  'a missing extension': [
    (copy) => delete copy.supplement.extensions.pg_trgm,
    'extension pg_trgm: 1.6 in public → missing',
  ],
  'an extension too many': [
    (copy) => (copy.supplement.extensions.hstore = '1.8 in public'),
    'extension hstore: absent → 1.8 in public',
  ],
  'another version of an extension': [
    (copy) => (copy.supplement.extensions.pg_trgm = '1.7 in public'),
    'extension pg_trgm: 1.6 in public → 1.7 in public',
  ],
  'a materialized view that is empty': [
    (copy) => (copy.supplement.matviews['public.totals'] = false),
    'matview public.totals: populated → not populated',
  ],
  'a materialized view that is filled': [
    (copy) => (copy.supplement.matviews['public.unread'] = true),
    'matview public.unread: not populated → populated',
  ],
  'an index that is not valid': [
    (copy) => copy.supplement.invalidIndexes.push('public.by_day'),
    'index public.by_day: valid → not valid',
  ],
  'a key that is not enforced': [
    (copy) => copy.supplement.idleKeys?.push('public.pets pets_owner_fkey'),
    'schema public.pets pets_owner_fkey: enforced → not enforced: its triggers are disabled',
  ],
}

/** Each change to a copy that is no difference. */
const none: Record<string, Change> = {
  'the order of tables': (copy) => copy.tables.reverse(),
  'the size of a table': (copy) => (table(copy, 'public.orders').bytes = 1),
  'a row that moved from one hash partition to another': (copy) => {
    Object.assign(table(copy, 'public.spread_0'), { rows: 3, hash: '7' })
    Object.assign(table(copy, 'public.spread_1'), { rows: 2, hash: '-11' })
  },
  'a sequence at the start of its range': (copy) =>
    (copy.sequences['public.orders_id_seq'] = { before: fresh('1'), after: called('100') }),
  'a sequence within its range': (copy) =>
    (copy.sequences['public.orders_id_seq'] = { before: fresh('1'), after: fresh('105') }),
  'a sequence at the end of its range': (copy) =>
    (copy.sequences['public.orders_id_seq'] = { before: fresh('1'), after: called('110') }),
  'the entries of the database itself': (copy) => {
    for (const entry of ['DATABASE', 'DATABASE PROPERTIES', 'ACL DATABASE']) copy.schema[entry] = ''
    delete copy.schema['COMMENT DATABASE']
    delete copy.schema['SECURITY LABEL DATABASE']
  },
  subscriptions: (copy) => {
    delete copy.schema['SUBSCRIPTION feed']
    delete copy.schema['COMMENT SUBSCRIPTION feed']
    copy.schema['ACL SUBSCRIPTION other'] = hash('8')
    copy.schema['SUBSCRIPTION TABLE other'] = hash('8')
  },
  'the order of two functions with one header': (copy) =>
    (copy.schema['FUNCTION public.sum(integer)'] = `${hash('b')}:aaaaaaaa,${hash('c')}:bbbbbbbb`),
  'an index that became valid': (copy) => (copy.supplement.invalidIndexes = []),
  'a key that is enforced again': (copy) => delete copy.supplement.idleKeys,
  'large objects that were not measured': (copy) => delete copy.largeObjects,
}

describe('of a copy', () => {
  test('that is the same, no difference is found', () =>
    assert.deepEqual(
      found(() => {}),
      [],
    ))

  for (const [what, [change, difference]] of Object.entries(differences))
    test(`${what} is a difference`, () => assert.deepEqual(found(change), [difference]))

  for (const [what, change] of Object.entries(none))
    test(`${what}: no difference`, () => assert.deepEqual(found(change), []))

  test('several differences are in the order of kinds, then of names', () =>
    assert.deepEqual(
      found((copy) => {
        copy.supplement.idleKeys = ['public.z key', 'public.orders orders_customer_fkey']
        copy.supplement.invalidIndexes = ['public.by_day']
        copy.supplement.matviews = {}
        copy.supplement.extensions = { zhparser: '2 in public' }
        copy.schema = {}
        delete copy.largeObjects
        copy.sequences = {}
        copy.tables = []
      }).map((line) => line.replace(/:.*/, '')),
      [
        'rows public.customers',
        'rows public.orders',
        'rows public.spread (all partitions)',
        'sequence public.orders_id_seq',
        'sequence public.still',
        'schema ACL public.TABLE orders',
        'schema DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES',
        'schema FUNCTION public.sum(integer)',
        'schema INDEX public.by_day',
        'schema TABLE public.orders',
        'extension pg_trgm',
        'extension plpgsql',
        'extension zhparser',
        'matview public.totals',
        'matview public.unread',
        'index public.by_day',
        'schema public.z key',
      ],
    ))

  test('a first key that is not enforced is a difference', () => {
    const source = shop()
    delete source.supplement.idleKeys
    assert.deepEqual(
      compareFingerprints(source, copyOf(shop()), true).map(({ object }) => object),
      ['public.orders orders_customer_fkey'],
    )
  })

  test('large objects that the backup did not measure are no difference', () => {
    const source = shop()
    delete source.largeObjects
    assert.deepEqual(compareFingerprints(source, copyOf(shop()), true), [])
  })
})

describe('a sequence between two readings', () => {
  const at = (before: SequenceValue, after: SequenceValue, value: SequenceValue): string[] => {
    const source = shop()
    source.sequences = { 'public.s': { before, after } }
    const copy = copyOf(source)
    copy.sequences = { 'public.s': { before: value, after: value } }
    return lines(compareFingerprints(source, copy, true))
  }
  const [low, high] = [fresh('-1'), called('-3')]

  test('that descends may have any value on its way', () => {
    for (const value of [low, called('-1'), fresh('-2'), called('-2'), high])
      assert.deepEqual(at(low, high, value), [], JSON.stringify(value))
  })

  test('that descends has no value from before or after its way', () => {
    assert.deepEqual(at(low, high, called('0')), [
      'sequence public.s: -1, not yet called to -3 → 0',
    ])
    assert.deepEqual(at(low, high, fresh('-4')), [
      'sequence public.s: -1, not yet called to -3 → -4, not yet called',
    ])
  })

  test('that was called once has either value', () => {
    assert.deepEqual(at(fresh('1'), called('1'), fresh('1')), [])
    assert.deepEqual(at(fresh('1'), called('1'), called('1')), [])
    assert.deepEqual(at(fresh('1'), called('1'), fresh('2')), [
      'sequence public.s: 1, not yet called to 1 → 2, not yet called',
    ])
  })

  test('that was reset to its first value has either value', () => {
    assert.deepEqual(at(called('1'), fresh('1'), fresh('1')), [])
    assert.deepEqual(at(called('1'), fresh('1'), called('1')), [])
    assert.deepEqual(at(called('1'), fresh('1'), called('2')), [
      'sequence public.s: 1, not yet called to 1 → 2',
    ])
  })

  test('is compared exactly, beyond what a number holds', () => {
    const [last, next] = [called('9223372036854775806'), called('9223372036854775807')]
    assert.deepEqual(at(last, last, last), [])
    assert.deepEqual(at(last, last, next), [
      'sequence public.s: 9223372036854775806 → 9223372036854775807',
    ])
  })
})

describe('on another major version', () => {
  test('definitions, owners and entries that are new are not compared', () =>
    assert.deepEqual(
      found((copy) => {
        copy.schema['INDEX public.by_day'] = hash('8')
        copy.schema['TABLE public.orders'] = `${hash('a')}:cccccccc`
        copy.schema['CONSTRAINT public.orders not_null'] = hash('8')
      }, false),
      [],
    ))

  test('a missing entry is a difference', () =>
    assert.deepEqual(
      found((copy) => {
        delete copy.schema['INDEX public.by_day']
        copy.schema['TABLE public.orders'] = `${hash('a')}:cccccccc`
      }, false),
      ['schema INDEX public.by_day: present → missing'],
    ))
})

describe('of a copy with other owners', () => {
  const options = { owners: false }

  for (const what of [
    'another owner',
    'another owner of one of two functions',
    'other grants',
    'no default grants',
    'other attributes of large objects',
  ])
    test(`${what}: no difference`, () =>
      assert.deepEqual(found((differences[what] as [Change, string])[0], true, options), []))

  test('all else is a difference', () => {
    for (const what of [
      'another definition',
      'a missing large object',
      'other bytes in large objects',
      'other content of large objects',
    ]) {
      const [change, difference] = differences[what] as [Change, string]
      assert.deepEqual(found(change, true, options), [difference])
    }
  })

  test('an entry whose name only ends like that of grants is compared', () =>
    assert.deepEqual(
      found((copy) => (copy.schema['TABLE public.DEFAULT ACL '] = hash('8')), true, options),
      ['schema TABLE public.DEFAULT ACL : absent → present'],
    ))
})

describe('counting', () => {
  const counted = (change: Change): string[] => lines(compareCounts(shop(), changed(change)))

  test('finds missing rows, sequences and large objects', () =>
    assert.deepEqual(
      counted((copy) => {
        table(copy, 'public.orders').rows = 1
        table(copy, 'public.spread_0').rows = 0
        delete copy.sequences['public.still']
        copy.largeObjects = { count: 3 }
      }),
      [
        'rows public.orders: 1,200 rows → 1 row',
        'rows public.spread (all partitions): 5 rows → 3 rows',
        'sequence public.still: 1, not yet called → no such sequence',
        'rows large objects: 2 → 3',
      ],
    ))

  test('finds nothing else, whether the copy was hashed or only counted', () => {
    assert.deepEqual(
      counted((copy) => {
        copy.kind = 'counts'
        for (const each of copy.tables) {
          delete each.hash
          delete each.generated
        }
        copy.largeObjects = { count: 2 }
      }),
      [],
    )
    assert.deepEqual(
      counted((copy) => {
        table(copy, 'public.orders').hash = '1'
        table(copy, 'public.orders').generated = '1'
        copy.largeObjects = { count: 2, bytes: 1, hash: '1', attributes: '1' }
        copy.schema = {}
        copy.supplement = { extensions: {}, matviews: {}, invalidIndexes: ['public.by_day'] }
      }),
      [],
    )
  })

  test('adds up hash partitions, between which rows may have moved', () =>
    assert.deepEqual(
      counted((copy) => {
        table(copy, 'public.spread_0').rows = 5
        table(copy, 'public.spread_1').rows = 0
      }),
      [],
    ))

  test('compares no large objects where one side did not count them', () =>
    assert.deepEqual(
      counted((copy) => delete copy.largeObjects),
      [],
    ))
})

describe('another version of an extension', () => {
  const of = (expected: string, found: string, kind: Difference['kind'] = 'extension'): boolean =>
    isOtherVersion({ kind, object: 'pg_trgm', expected, found })

  test('is one in the same schema', () => {
    assert.ok(of('1.6 in public', '1.7 in public'))
    assert.ok(of('1.6 in my in schema', '1.7 in my in schema'))
  })

  test('is none in another schema, where one is missing, or of another kind', () => {
    assert.ok(!of('1.6 in public', '1.7 in extra'))
    assert.ok(!of('1.6 in a in public', '1.7 in b in public'))
    assert.ok(!of('1.6 in public', 'missing'))
    assert.ok(!of('absent', '1.6 in public'))
    assert.ok(!of('absent', 'missing'))
    assert.ok(!of('1.6 in public', '1.7 in public', 'schema'))
  })

  test('is reported with both versions', () =>
    assert.equal(
      otherVersionText({
        kind: 'extension',
        object: 'pg_trgm',
        expected: '1.6 in public',
        found: '1.7 in public',
      }),
      'The extension pg_trgm has the version that this server offers (1.7 in public), ' +
        "not the backup's (1.6 in public).",
    ))
})

describe('the level of a copy', () => {
  const of = (...kinds: Difference['kind'][]): Difference[] =>
    kinds.map((kind) => ({ kind, object: 'x', expected: 'a', found: 'b' }))

  test('without a difference is as high as the depth shows', () => {
    assert.equal(levelOf([], 'content'), 'identical')
    assert.equal(levelOf([], 'counts'), 'counted')
    assert.equal(levelOf([], 'none'), 'restored')
  })

  test('is restored if rows or sequences differ, among others', () => {
    assert.equal(levelOf(of('content', 'rows'), 'content'), 'restored')
    assert.equal(levelOf(of('sequence', 'schema'), 'content'), 'restored')
    assert.equal(levelOf(of('rows'), 'counts'), 'restored')
    assert.equal(levelOf(of('schema'), 'none'), 'restored')
  })

  test('is counted if all else differs', () => {
    const others = of('content', 'schema', 'large-objects', 'extension', 'index', 'matview')
    assert.equal(levelOf(others, 'content'), 'counted')
    assert.equal(levelOf(others, 'counts'), 'counted')
  })
})
