import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { type LabelStatus, status, type StatusResult } from '../../src/repository/status.ts'
import { openStorage } from '../../src/storage/open.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { newStore, type Store, temporaryFolder } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import {
  folderOf,
  loggingWork,
  manifestOf,
  prove,
  putBackup,
  rewrite,
  unlisted,
} from './backup-index.ts'

const ids = [
  '20261101T030000Z-aa0001',
  '20261102T030000Z-aa0002',
  '20261103T030000Z-aa0003',
  '20261104T030000Z-aa0004',
  '20261105T030000Z-aa0005',
] as const
const [first, second, third, fourth, fifth] = ids
const taken = '20261106T030000Z-aa0006-pre-restore'
const unreachable = new UserError('storage-unreachable', 'no answer', 'wait')

async function storeOf(...backups: string[]): Promise<Store> {
  const store = await newStore()
  for (const id of backups) putBackup(store, id)
  return store
}

const statusOf = (...sources: Storage[]): Promise<StatusResult> => status({ sources }, quietWork())

async function labelOf(...sources: Storage[]): Promise<LabelStatus> {
  const [label] = (await statusOf(...sources)).labels
  assert.ok(label)
  return label
}

const manifestFile = (store: Store, id: string): string =>
  join(folderOf(store, id), 'manifest.json')
const bytesOf = (store: Store, id: string): number =>
  Buffer.byteLength(JSON.stringify(manifestOf(store, id), null, 1)) + 1 + 1100

/** Asserts an age in milliseconds: what has passed since a time, measured a moment ago. */
function assertAge(age: number | undefined, since: string): void {
  const now = Date.now() - Date.parse(since)
  assert.ok(age !== undefined && age <= now && age > now - 60_000, `${age}, and not ${now}`)
}

const refused =
  (code: string, pattern: RegExp) =>
  (error: UserError): boolean =>
    error instanceof UserError &&
    error.code === code &&
    pattern.test(`${error.message} ${error.hint}`)

describe('the newest backup', () => {
  test('is described as its manifest says', async () => {
    const store = await storeOf(first, second)
    const { newest, proven } = await labelOf(store.storage)
    assert.ok(newest)
    const { age, ...rest } = newest
    assertAge(age, '2026-11-02T03:00:00Z')
    assert.deepEqual(rest, {
      id: second,
      snapshotAt: '2026-11-02T03:00:00Z',
      bytes: 3100,
      tables: 2,
      rows: 23,
      server: '18.1',
      encrypted: true,
      locations: [`${store.storage.url}/test/${second}`],
    })
    assert.equal(proven, undefined)
  })

  test('has no figures if nothing was measured, and says if it is not encrypted', async () => {
    const store = await storeOf(first)
    rewrite(store, first, (manifest) => ({
      ...manifest,
      encryption: 'none',
      fingerprint: { ...manifest.fingerprint, kind: 'none' },
    }))
    const { newest } = await labelOf(store.storage)
    assert.ok(newest)
    assert.deepEqual(
      [newest.encrypted, 'tables' in newest, 'rows' in newest],
      [false, false, false],
    )
  })

  test('is one with a readable manifest; the others are listed as damaged', async () => {
    const store = await storeOf(first, second, third, fourth, fifth)
    writeFileSync(manifestFile(store, fifth), '{')
    rewrite(store, fourth, (manifest) => ({ ...manifest, id: first }))
    rewrite(store, third, (manifest) => ({ ...manifest, label: 'other' }))
    const gone = override(store.storage, {
      read: (key: string) => {
        if (key.includes(second)) rmSync(manifestFile(store, second))
        return store.storage.read(key)
      },
    })
    const { newest, damaged } = await labelOf(gone)
    assert.equal(newest?.id, first)
    assert.deepEqual(damaged, [
      {
        id: fifth,
        why: `The manifest of ${store.storage.url}/test/${fifth} is damaged: it is not complete JSON.`,
      },
      { id: fourth, why: 'it belongs to another backup' },
      { id: third, why: 'it belongs to another backup' },
      { id: second, why: 'it was removed while the status was read' },
    ])
  })

  test('is read from the next destination if the first one has it damaged', async () => {
    const [one, other] = [await storeOf(first), await storeOf(first)]
    writeFileSync(manifestFile(one, first), '{')
    const { newest, damaged } = await labelOf(one.storage, other.storage)
    assert.equal(newest?.id, first)
    assert.deepEqual(damaged, [])
  })

  test('counts a destination only if it is finished there', async () => {
    const [one, other] = [await storeOf(first), await storeOf(first)]
    rmSync(manifestFile(one, first))
    writeFileSync(join(folderOf(one, first), 'base.dump.age'), 'x')
    const { newest, unfinished } = await labelOf(one.storage, other.storage)
    assert.deepEqual(newest?.locations, [`${other.storage.url}/test/${first}`])
    const [{ age, ...rest } = { age: undefined }] = unfinished
    assertAge(age, '2026-11-01T03:00:00Z')
    assert.deepEqual(rest, {
      id: first,
      startedAt: '2026-11-01T03:00:00Z',
      bytes: 1,
      location: `${one.storage.url}/test/${first}`,
    })
    assert.equal(unfinished.length, 1)
  })

  test('stops being read when the work is cancelled', async () => {
    const store = await storeOf(first)
    const { work, stop } = loggingWork()
    const reason = new Error('cancelled')
    const storage = override(store.storage, {
      read: () => {
        stop(reason)
        return Promise.reject(unreachable)
      },
    })
    await assert.rejects(status({ sources: [storage] }, work), (error) => error === reason)
  })
})

describe('the newest proven backup', () => {
  test('is described with its proof', async () => {
    const store = await storeOf(first, second, third)
    prove(store, first)
    prove(store, second, { level: 'accepted', at: '2026-11-20T12:00:00.000Z' })
    const { newest, proven } = await labelOf(store.storage)
    assert.equal(newest?.id, third)
    assert.ok(proven)
    const { id, proof, bytes } = proven
    assertAge(proof.age, '2026-11-20T12:00:00.000Z')
    assert.deepEqual(
      [id, bytes, proof.level, proof.at, proof.restore],
      [second, 3100, 'accepted', '2026-11-20T12:00:00.000Z', 1000],
    )
  })

  test('has no time of a restore if nothing was restored', async () => {
    const store = await storeOf(first)
    prove(store, first, { timings: { total: 5 } })
    const { newest, proven } = await labelOf(store.storage)
    assert.equal(newest?.id, first, 'it is the newest, too')
    assert.ok(proven && !('restore' in proven.proof))
  })

  test('has a readable manifest', async () => {
    const store = await storeOf(first, second, third)
    prove(store, first)
    prove(store, second)
    const { sha256 } = manifestOf(store, second)
    // its proof belongs to it by its digest, and its text does not
    writeFileSync(manifestFile(store, second), `{\n "sha256": "${sha256}"\n}\n`)
    const { proven, damaged } = await labelOf(store.storage)
    assert.equal(proven?.id, first)
    assert.deepEqual(
      damaged.map(({ id }) => id),
      [second],
    )
  })

  test('is looked for without reading manifests of others', async () => {
    const store = await storeOf(first, second, third, fourth)
    for (const id of [first, second]) prove(store, id)
    const read: string[] = []
    const storage = override(store.storage, {
      read: (key: string) => {
        read.push(key)
        return store.storage.read(key)
      },
    })
    assert.equal((await labelOf(storage)).proven?.id, second)
    // those of proven ones twice: for the digest that their proofs name, and as a whole
    const count = (id: string): number =>
      read.filter((key) => key === `test/${id}/manifest.json`).length
    assert.deepEqual([first, second, third, fourth].map(count), [1, 2, 0, 1])
  })
})

describe('a label', () => {
  test('has of each backup what its proofs say, and all ids', async () => {
    const store = await storeOf(...ids, taken)
    prove(store, fifth, { manifest: '0'.repeat(64) })
    prove(store, fourth, { level: 'accepted' })
    prove(store, third, { proven: false, level: 'counted', limit: 'counts' })
    prove(store, second, { proven: false, level: 'stored', asked: 'stored' }, 'stored')
    prove(store, first, { proven: false, level: 'none', stoppedBy: 'gone' })
    const label = await labelOf(store.storage)
    const at = '2026-11-20T12:00:00.000Z'
    assert.deepEqual([label.newest?.id, label.proven?.id], [fifth, fourth])
    assert.deepEqual(
      [label.unproven, label.limited, label.failed],
      [[fifth, second], [{ id: third, level: 'counted', at }], [{ id: first, level: 'none', at }]],
    )
    assert.equal(label.backups, 5)
    const listed = (id: string, snapshotAt: string, rest: object = {}): object => ({
      id,
      snapshotAt,
      bytes: bytesOf(store, id),
      kind: 'backup',
      ...rest,
    })
    assert.deepEqual(label.all, [
      listed(taken, '2026-11-06T03:00:00Z', { kind: 'pre-restore' }),
      listed(fifth, '2026-11-05T03:00:00Z'),
      listed(fourth, '2026-11-04T03:00:00Z', { level: 'accepted', provenAt: at }),
      listed(third, '2026-11-03T03:00:00Z', { level: 'counted' }),
      listed(second, '2026-11-02T03:00:00Z', { level: 'stored' }),
      listed(first, '2026-11-01T03:00:00Z', { level: 'none' }),
    ])
    assert.equal(
      label.bytes,
      ids.reduce((sum, id) => sum + bytesOf(store, id), 0),
    )
  })

  test('has the bytes of one destination: the most, if they differ', async () => {
    const [one, other] = [await storeOf(first), await storeOf(first)]
    writeFileSync(join(folderOf(one, first), 'base.dump.age'), '')
    const { bytes, backups } = await labelOf(one.storage, other.storage)
    assert.deepEqual([bytes, backups], [bytesOf(other, first), 1])
  })

  test('has what restores took, from the first destination that has it whole', async () => {
    const earlier = '20261101T020000Z-bb0001-pre-restore'
    const [one, other] = [await storeOf(taken), await storeOf(earlier, taken)]
    rmSync(manifestFile(one, taken))
    const { preRestore, backups, newest, unproven } = await labelOf(one.storage, other.storage)
    assert.deepEqual([backups, newest, unproven], [0, undefined, []])
    assert.deepEqual(preRestore, [
      {
        id: taken,
        startedAt: '2026-11-06T03:00:00Z',
        age: preRestore[0]?.age,
        bytes: bytesOf(other, taken),
        location: `${other.storage.url}/test/${taken}`,
      },
      {
        id: earlier,
        startedAt: '2026-11-01T02:00:00Z',
        age: preRestore[1]?.age,
        bytes: bytesOf(other, earlier),
        location: `${other.storage.url}/test/${earlier}`,
      },
    ])
  })

  test('does not call unfinished what has proofs alone', async () => {
    const store = await storeOf(first, second)
    prove(store, first)
    rmSync(manifestFile(store, first))
    rmSync(join(folderOf(store, first), 'base.dump.age'))
    const { unfinished, all } = await labelOf(store.storage)
    assert.deepEqual(unfinished, [])
    assert.deepEqual(
      all.map(({ id }) => id),
      [second],
    )
  })
})

describe('a destination', () => {
  test('that cannot be read is a warning if another one can', async () => {
    const store = await storeOf(first)
    const broken = unlisted(store.storage, unreachable)
    const found = await statusOf(broken, store.storage)
    assert.deepEqual(found.sources, [store.storage.url, store.storage.url])
    assert.equal(found.labels[0]?.newest?.id, first)
    assert.deepEqual(found.warnings, [`${store.storage.url} could not be read: no answer`])
    await assert.rejects(statusOf(broken), (error) => error === unreachable)
    const empty = await newStore()
    await assert.rejects(statusOf(empty.storage, broken), (error) => error === unreachable)
  })

  test('that lacks the newest backup is a warning', async () => {
    const [one, other] = [await storeOf(first, second), await storeOf(first)]
    assert.deepEqual((await statusOf(one.storage, other.storage)).warnings, [
      'The newest backup of test is in only 1 of 2 destinations.',
    ])
    putBackup(other, second)
    assert.deepEqual((await statusOf(one.storage, other.storage)).warnings, [])
    const broken = unlisted(one.storage, unreachable)
    assert.equal((await statusOf(one.storage, other.storage, broken)).warnings.length, 1)
  })

  test('that is read when the work is cancelled ends it', async () => {
    const store = await storeOf(first)
    const { work, stop } = loggingWork()
    const reason = new Error('cancelled')
    const storage = unlisted(store.storage, unreachable, () => stop(reason))
    await assert.rejects(
      status({ sources: [storage, store.storage] }, work),
      (error) => error === reason,
    )
  })
})

test('several labels are in the order of their names', async () => {
  const store = await storeOf(first)
  for (const label of ['zoo', 'apes']) {
    const other = await storeOf(first)
    rewrite(other, first, (manifest) => ({ ...manifest, label }))
    await store.storage.create(
      `${label}/${first}/manifest.json`,
      await other.storage.read(`test/${first}/manifest.json`),
    )
  }
  const { labels } = await statusOf(store.storage)
  assert.deepEqual(
    labels.map(({ label, newest }) => [label, newest?.id]),
    [
      ['apes', first],
      ['test', first],
      ['zoo', first],
    ],
  )
})

test('nothing at all says where it looked, instead of ending well', async () => {
  const folder = join(temporaryFolder(), 'not-there')
  const gone = openStorage(`file://${folder}`)
  await assert.rejects(
    statusOf(gone),
    refused(
      'no-backup',
      new RegExp(
        `^No complete or partial backup was.*${folder}.*${folder} does not exist: check the spelling`,
      ),
    ),
  )
  const store = await storeOf(...ids)
  await assert.rejects(
    status({ sources: [store.storage], label: 'tset' }, quietWork()),
    refused(
      'no-backup',
      /^No complete or partial backup of "tset".*has these labels: test\. Set label/,
    ),
  )
  // a backup that was killed is something
  for (const id of ids.slice(1)) rmSync(folderOf(store, id), { recursive: true })
  rmSync(manifestFile(store, first))
  const { unfinished, newest } = await labelOf(store.storage, gone)
  assert.deepEqual([unfinished.length, newest], [1, undefined])
})
