import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { openBackupIndex } from '../../src/repository/listing.ts'
import { findReadable } from '../../src/repository/find-readable.ts'
import { findBackup, isOpen, selectIds } from '../../src/repository/find-backup.ts'
import { parseSelector } from '../../src/repository/selector.ts'
import { newStore, type Store } from '../support/copies.ts'
import { quietWork } from '../support/start-servers.ts'
import { again, loggingWork, prove, putBackup, unlisted } from './backup-index.ts'

const ids = [
  '20261101T030000Z-aa0001',
  '20261102T030000Z-aa0002',
  '20261103T030000Z-aa0003',
  '20261104T030000Z-aa0004',
  '20261105T030000Z-aa0005',
] as const
const [first, second, third, fourth, fifth] = ids

/** A store of five backups, each as good as the others. */
async function fiveBackups(): Promise<Store> {
  const store = await newStore()
  for (const id of ids) putBackup(store, id)
  return store
}

const one = async (store: Store, backup: string): Promise<string> =>
  (await findReadable({ ...store.reading, backup: parseSelector(backup) }, quietWork())).manifest.id
const several = async (store: Store, typed: string): Promise<string[]> =>
  selectIds(
    await openBackupIndex([store.storage], 'test', quietWork()),
    parseSelector(typed, ['several']),
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

  test('an unknown id or label is refused, and the known ones are named', async () => {
    const store = await fiveBackups()
    await assert.rejects(
      one(store, '20261103T030000Z-zzzzzz'),
      refused('unknown-backup', new RegExp(`newest are: ${fifth}, ${fourth}`)),
    )
    await assert.rejects(
      findReadable({ ...store.reading, label: 'tset' }, quietWork()),
      refused('no-backup', /has these labels: test/),
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
})

describe('several', () => {
  test('all, newest first', async () => {
    assert.deepEqual(await several(await fiveBackups(), 'all'), ids.toReversed())
  })

  test('unproven: without a proof or a partial one; a backup found bad is not among them', async () => {
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

describe('a destination that cannot be read', () => {
  const unreachable = new UserError('storage-unreachable', 'no answer', 'wait')

  test('is a warning if another one has the backup', async () => {
    const store = await fiveBackups()
    const { work, lines } = loggingWork()
    const sources = [unlisted(store.storage, unreachable), store.storage]
    const found = await findBackup(sources, 'test', parseSelector('latest'), work)
    assert.equal(found.manifest.id, fifth)
    assert.deepEqual(lines, ['One destination could not be read: no answer'])
    await findBackup([store.storage], 'test', parseSelector('latest'), work)
    assert.equal(lines.length, 1)
  })

  test('may have a backup from before a time', async () => {
    const store = await fiveBackups()
    const sources = [store.storage, unlisted(store.storage, unreachable)]
    await assert.rejects(
      findBackup(sources, 'test', parseSelector('before: 2026-10-01'), quietWork()),
      (error) => error === unreachable,
    )
  })
})

test('no selector finds a backup in an empty storage', async () => {
  const empty = await newStore()
  for (const typed of ['latest', 'latest-proven', 'before: 2030-01-01', first])
    await assert.rejects(one(empty, typed), refused('no-backup', /run the backup action first/))
})

test('a backup is open that no proof decides on', () => {
  const proven = { proven: true }
  const bad = { proven: false, stoppedBy: 'gone' }
  assert.ok(isOpen(undefined))
  assert.ok(isOpen({ proven: false, partial: true }))
  assert.ok(!isOpen({ ...proven, partial: true }))
  assert.ok(!isOpen({ ...bad, partial: true }))
  assert.ok(!isOpen({ proven: false, partial: false, asked: 'stored' }))
  // a proof from before `partial`
  for (const asked of ['stored', 'readable', 'restored', 'counted']) {
    assert.ok(isOpen({ proven: false, asked }))
    assert.ok(!isOpen({ ...bad, asked }))
  }
  for (const rest of [{}, { asked: 'identical' }]) assert.ok(!isOpen({ proven: false, ...rest }))
})
