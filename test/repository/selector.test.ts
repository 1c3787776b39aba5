import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { openBackupIndex } from '../../src/repository/listing.ts'
import { findReadable } from '../../src/repository/open.ts'
import { prune } from '../../src/repository/retention.ts'
import { selectIds, parseSelector, type BatchSelector } from '../../src/repository/selector.ts'
import { status } from '../../src/repository/status.ts'
import { openStorage } from '../../src/storage/open.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { freshDatabase, newestServer } from '../support/servers.ts'
import { quietWork } from '../support/start-servers.ts'
import { again, folderOf, prove } from './backup-index.ts'

const server = newestServer()
const ids = [
  '20261101T030000Z-aa0001',
  '20261102T030000Z-aa0002',
  '20261103T030000Z-aa0003',
  '20261104T030000Z-aa0004',
  '20261105T030000Z-aa0005',
] as const
const [first, second, third, fourth, fifth] = ids
const seed = await newStore()
let seedId = ''

before(async () => {
  const { connection } = await freshDatabase(server, {
    name: 'one row',
    sql: 'CREATE TABLE t AS SELECT 1 AS a',
  })
  seedId = (await seed.backup(connection)).id
})

/** A store of five backups, each as good as the others. */
async function fiveBackups(): Promise<Store> {
  const store = await newStore()
  for (const id of ids) again(seed, seedId, id, {}, store)
  return { ...store, reading: { ...store.reading, identities: [seed.identity] } }
}

const one = async (store: Store, backup: string): Promise<string> =>
  (await findReadable({ ...store.reading, backup }, quietWork())).manifest.id
const several = async (store: Store, typed: string): Promise<string[]> =>
  selectIds(
    await openBackupIndex([store.storage], 'test', quietWork()),
    parseSelector(typed) as BatchSelector,
    quietWork(),
  )
const refused =
  (code: string, pattern: RegExp) =>
  (error: UserError): boolean =>
    error instanceof UserError &&
    error.code === code &&
    pattern.test(`${error.message} ${error.hint}`)

describe('one backup', () => {
  test('is the newest, one by its id, or the newest that is not later than a time', async () => {
    const store = await fiveBackups()
    assert.equal(await one(store, 'latest'), fifth)
    assert.equal(await one(store, second), second)
    // at or before; UTC where no zone is outcome; a day is its first moment
    for (const [typed, id] of [
      ['before: 2026-11-03T03:00:00Z', third],
      ['before: 2026-11-03T02:59:59Z', second],
      ['before:2026-11-03 03:00', third],
      ['before: 2026-11-03', second],
      ['before: 2026-11-03T04:00:00+01:00', third],
      ['before: 2026-11-03T03:30+0100', second],
      ['before: 2026-11-03T03:00:00 UTC', third],
      ['before: 2030-01-01', fifth],
    ] as const)
      assert.equal(await one(store, typed), id, typed)
    await assert.rejects(
      one(store, 'before: 2026-11-01T02:00:00Z'),
      refused(
        'unknown-backup',
        new RegExp(
          `from before 2026-11-01T02:00:00\\.000Z.*oldest is ${first}, the newest ${fifth}`,
        ),
      ),
    )
  })

  test('before a time was begun before it, and has its snapshot from before it too', async () => {
    const store = await fiveBackups()
    // it had to wait for its snapshot
    again(store, third, '20261106T030000Z-aa0006', {
      snapshot: { at: '2026-11-06T03:04:00.000Z', lsn: '0/1' },
    })
    assert.equal(await one(store, 'before: 2026-11-06T03:02:00Z'), fifth)
    assert.equal(await one(store, 'before: 2026-11-06T03:04:00Z'), '20261106T030000Z-aa0006')
  })

  test('what names none is refused, and what there is is named', async () => {
    const store = await fiveBackups()
    await assert.rejects(
      one(store, '20261103T030000Z-zzzzzz'),
      refused('unknown-backup', new RegExp(`newest there are: ${fifth}, ${fourth}`)),
    )
    for (const typed of ['before: 2026-11-31', 'before: yesterday', 'sample: 0', 'latest-prooven'])
      await assert.rejects(one(store, typed), refused('bad-backup-id', /backup is/), typed)
    await assert.rejects(one(store, 'all'), refused('bad-backup-id', /may be several/))
    await assert.rejects(one(store, 'file: dump.sql.gz'), refused('foreign-backup', /another tool/))
    await assert.rejects(
      findReadable({ ...store.reading, label: 'tset' }, quietWork()),
      refused('no-backup', /Labels there: test/),
    )
  })

  test('a backup that a restore took is found by its id, and chosen by nothing else', async () => {
    const store = await fiveBackups()
    const taken = '20261107T030000Z-aa0007-pre-restore'
    again(store, fifth, taken)
    prove(store, taken)
    assert.equal(await one(store, taken), taken)
    assert.equal(await one(store, 'latest'), fifth)
    assert.equal(await one(store, 'before: 2027-01-01'), fifth)
    await assert.rejects(
      one(store, 'latest-proven'),
      refused('no-proven-backup', /None of the 5 backups/),
    )
    assert.deepEqual(await several(store, 'all'), ids.toReversed())
  })
})

describe('the newest that is proven', () => {
  test('is one whose newest proof says so, of this very manifest', async () => {
    const store = await fiveBackups()
    await assert.rejects(
      one(store, 'latest-proven'),
      refused('no-proven-backup', new RegExp(`None of the 5 backups.*verify.*${fifth}`)),
    )
    prove(store, second)
    assert.equal(await one(store, 'latest-proven'), second)
    prove(store, fourth, { manifest: '0'.repeat(64) })
    assert.equal(
      await one(store, 'latest-proven'),
      second,
      'a proof of another manifest proves nothing',
    )
    prove(store, fourth, { backup: second })
    assert.equal(
      await one(store, 'latest-proven'),
      second,
      'a proof of another backup proves nothing',
    )
    prove(store, third, { level: 'accepted' })
    assert.equal(await one(store, 'latest-proven'), third)
    prove(store, third, {
      at: '2026-11-21T00:00:00.000Z',
      proven: false,
      level: 'none',
      stoppedBy: 'gone',
    })
    assert.equal(await one(store, 'latest-proven'), second, 'found bad since')
    writeFileSync(prove(store, second, { at: '2026-11-22T00:00:00.000Z' }), 'no proof')
    await assert.rejects(one(store, 'latest-proven'), refused('no-proven-backup', /None/))
  })

  test('stays so when it was only looked at again, and is no longer when that found it bad', async () => {
    const store = await fiveBackups()
    prove(store, third)
    prove(
      store,
      third,
      { at: '2026-11-21T00:00:00.000Z', proven: false, level: 'stored', asked: 'stored' },
      'stored',
    )
    assert.equal(await one(store, 'latest-proven'), third)
    // and looking alone never proves
    prove(store, fifth, { proven: false, level: 'counted', asked: 'counted' }, 'counted')
    assert.equal(await one(store, 'latest-proven'), third)
    prove(store, third, {
      at: '2026-11-22T00:00:00.000Z',
      proven: false,
      level: 'none',
      asked: 'stored',
      stoppedBy: 'base.dump.age is missing.',
    })
    await assert.rejects(one(store, 'latest-proven'), refused('no-proven-backup', /None/))
  })

  test('is what retention keeps, by the same reading', async () => {
    const store = await fiveBackups()
    prove(store, first)
    prove(store, second, { manifest: '0'.repeat(64) })
    assert.deepEqual(await prune(store.storage, 'test', 2, quietWork()), [third, second])
    assert.deepEqual((await openBackupIndex([store.storage], 'test', quietWork())).ids, [
      first,
      fourth,
      fifth,
    ])
  })

  test('a proof that cannot be fetched stops retention, instead of costing the only good backup', async () => {
    const store = await fiveBackups()
    prove(store, first)
    const { storage } = store
    const failing = override(storage, {
      read: async (key: string) => {
        if (key.includes('/proofs/')) throw new UserError('storage-unreachable', 'gone', 'wait')
        return storage.read(key)
      },
    })
    await assert.rejects(
      prune(failing, 'test', 2, quietWork()),
      refused('storage-unreachable', /gone/),
    )
    assert.equal((await openBackupIndex([storage], 'test', quietWork())).ids.length, 5)
  })
})

describe('several', () => {
  test('all, newest first', async () => {
    assert.deepEqual(await several(await fiveBackups(), 'all'), ids.toReversed())
  })

  test('those that no proof speaks of; one that was found bad is known, and one that was only looked at is not', async () => {
    const store = await fiveBackups()
    prove(store, fifth)
    prove(store, fourth, { proven: false, level: 'restored', stoppedBy: 'rows' })
    prove(store, third, { manifest: '0'.repeat(64) })
    prove(store, second, { proven: false, level: 'readable', asked: 'readable' }, 'readable')
    assert.deepEqual(await several(store, 'unproven'), [third, second, first])
    assert.deepEqual(await several(store, 'oldest-unproven'), [first])
    for (const id of [third, second, first])
      prove(store, id, { proven: false, level: 'counted', limit: 'counts' })
    assert.deepEqual(await several(store, 'unproven'), [])
    assert.deepEqual(await several(store, 'oldest-unproven'), [])
  })

  test('a sample is drawn by chance, none twice, and no more than there are', async () => {
    const store = await fiveBackups()
    const drawn = new Set<string>()
    for (let i = 0; i < 60 && drawn.size < 5; i++) {
      const sample = await several(store, 'sample: 2')
      assert.equal(new Set(sample).size, 2)
      assert.deepEqual(sample, sample.toSorted().reverse())
      for (const id of sample) drawn.add(id)
    }
    assert.equal(drawn.size, 5, 'each of five is among sixty draws')
    assert.deepEqual(await several(store, 'sample: 9'), ids.toReversed())
  })

  test('of a storage with nothing in it is an error', async () => {
    const empty = await newStore()
    for (const typed of ['all', 'unproven', 'sample: 1'])
      await assert.rejects(
        several(empty, typed),
        refused('no-backup', /run the backup action first/),
        typed,
      )
  })
})

describe('status', () => {
  test('tells of each backup what its proofs say, and lists all ids', async () => {
    const store = await fiveBackups()
    prove(store, fifth, { manifest: '0'.repeat(64) })
    prove(store, fourth, { level: 'accepted' })
    prove(store, third, { proven: false, level: 'counted', limit: 'counts' })
    prove(store, second, { proven: false, level: 'stored', asked: 'stored' }, 'stored')
    prove(store, first, { proven: false, level: 'none', stoppedBy: 'gone' })
    const taken = '20261106T030000Z-aa0006-pre-restore'
    again(store, fifth, taken)
    const [label] = (await status({ sources: [store.storage] }, quietWork())).labels
    assert.deepEqual(
      [label?.newest?.id, label?.proven?.id, label?.proven?.proof.level],
      [fifth, fourth, 'accepted'],
    )
    assert.deepEqual(
      [label?.unproven, label?.limited.map(({ id }) => id), label?.failed.map(({ id }) => id)],
      [[fifth, second], [third], [first]],
    )
    assert.equal(label?.backups, 5)
    assert.deepEqual(
      label.all.map(({ id, level, kind }) => [id, level, kind]),
      [
        [taken, undefined, 'pre-restore'],
        [fifth, undefined, 'backup'],
        [fourth, 'accepted', 'backup'],
        [third, 'counted', 'backup'],
        [second, 'stored', 'backup'],
        [first, 'none', 'backup'],
      ],
    )
    assert.deepEqual(
      label.all.map(({ provenAt }) => provenAt !== undefined),
      [false, false, true, false, false, false],
    )
    assert.deepEqual(label.all.map(({ snapshotAt }) => snapshotAt).slice(-2), [
      '2026-11-02T03:00:00Z',
      '2026-11-01T03:00:00Z',
    ])
    assert.ok(label.all.every(({ bytes }) => bytes > 1000))
  })

  test('of nothing at all says where it looked, instead of ending well', async () => {
    const folder = join(temporaryFolder(), 'not-there')
    const gone = openStorage(`file://${folder}`)
    await assert.rejects(
      status({ sources: [gone] }, quietWork()),
      refused('no-backup', new RegExp(`${folder}.*does not exist`)),
    )
    const store = await fiveBackups()
    await assert.rejects(
      status({ sources: [store.storage], label: 'tset' }, quietWork()),
      refused('no-backup', /"tset".*label/),
    )
    // a backup that was killed is something
    for (const id of ids.slice(1)) rmSync(folderOf(store, id), { recursive: true })
    rmSync(join(folderOf(store, first), 'manifest.json'))
    assert.equal(
      (await status({ sources: [store.storage, gone] }, quietWork())).labels[0]?.unfinished.length,
      1,
    )
  })
})
