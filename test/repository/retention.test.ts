import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { listBackups } from '../../src/repository/listing.ts'
import { prune, pruneAll, removeBackup } from '../../src/repository/retention.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { newStore, type Store } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { folderOf, loggingWork, prove, putBackup, unlisted } from './backup-index.ts'

const ids = [
  '20261101T030000Z-aa0001',
  '20261102T030000Z-aa0002',
  '20261103T030000Z-aa0003',
  '20261104T030000Z-aa0004',
] as const
const [first, second, third, fourth] = ids

async function storeOf(backups: readonly string[] = ids): Promise<Store> {
  const store = await newStore()
  for (const id of backups) putBackup(store, id)
  return store
}

const left = (store: Store): Promise<string[]> => listBackups(store.storage, 'test', quietWork())
const keep = (store: Store, count: number, storage = store.storage): Promise<string[]> =>
  prune(storage, 'test', count, quietWork())

const unreachable = new UserError('storage-unreachable', 'gone', 'wait')
/** A destination whose proofs cannot be read. */
const withoutProofs = (storage: Storage): Storage =>
  override(storage, {
    read: async (key: string) => {
      if (key.includes('/proofs/')) throw unreachable
      return storage.read(key)
    },
  })

describe('retention', () => {
  test('keeps the newest, and removes the others, newest first', async () => {
    const store = await storeOf()
    assert.deepEqual(await keep(store, 2), [second, first])
    assert.deepEqual(await left(store), [third, fourth])
    assert.ok(!existsSync(folderOf(store, first)), 'its objects, too')
    assert.deepEqual(await keep(store, 2), [])
  })

  test('always keeps the newest', async () => {
    const store = await storeOf()
    assert.deepEqual(await keep(store, 0), [third, second, first])
    assert.deepEqual(await left(store), [fourth])
  })

  test('removes nothing where nothing is', async () => {
    assert.deepEqual(await keep(await newStore(), 1), [])
  })

  test('keeps the newest proven backup, too, and says so', async () => {
    const store = await storeOf()
    prove(store, first)
    prove(store, second)
    const { work, lines } = loggingWork()
    assert.deepEqual(await prune(store.storage, 'test', 2, work), [first])
    assert.deepEqual(await left(store), [second, third, fourth])
    assert.deepEqual(lines, [
      `Keeping ${second} in addition to the newest 2: it is the newest proven backup.`,
    ])
  })

  test('removes nothing where the only other one is the newest proven', async () => {
    const store = await storeOf()
    prove(store, first)
    assert.deepEqual(await keep(store, 3), [])
    assert.deepEqual(await left(store), ids)
  })

  test('keeps no other where one of the newest is proven', async () => {
    const store = await storeOf()
    for (const id of [first, second, third]) prove(store, id)
    const { work, lines } = loggingWork()
    assert.deepEqual(await prune(store.storage, 'test', 2, work), [second, first])
    assert.deepEqual(lines, [])
  })

  test('keeps no other where none is proven', async () => {
    const store = await storeOf()
    prove(store, second, { manifest: '0'.repeat(64) })
    const { work, lines } = loggingWork()
    assert.deepEqual(await prune(store.storage, 'test', 2, work), [second, first])
    assert.deepEqual(lines, [])
  })

  test('stops at a proof that cannot be fetched, instead of removing the only good backup', async () => {
    const store = await storeOf()
    prove(store, first)
    const failing = withoutProofs(store.storage)
    await assert.rejects(keep(store, 2, failing), (error) => error === unreachable)
    assert.deepEqual(await left(store), ids)
    assert.deepEqual(await keep(store, 4, failing), [], 'with nothing to remove, it reads none')
  })

  test('removes what a restore took if it is older than all that are kept', async () => {
    const before = '20261102T020000Z-bb0001-pre-restore'
    const oldest = '20261101T040000Z-bb0002-pre-restore'
    const between = '20261103T040000Z-bb0003-pre-restore'
    const unfinished = '20261101T050000Z-bb0004-pre-restore'
    const store = await storeOf([...ids, oldest, before, between, unfinished])
    rmSync(join(folderOf(store, unfinished), 'manifest.json'))
    assert.deepEqual(await keep(store, 4), [], 'the oldest is kept')
    prove(store, first)
    assert.deepEqual(await keep(store, 2), [second], 'the proven one is the oldest that is kept')
    prove(store, fourth)
    assert.deepEqual(await keep(store, 2), [first, before, oldest])
    assert.ok(existsSync(folderOf(store, between)))
    assert.ok(existsSync(folderOf(store, unfinished)), 'a killed run left it')
  })

  test('keeps what restores took where no other backup is', async () => {
    const store = await storeOf(['20261101T020000Z-bb0002-pre-restore'])
    assert.deepEqual(await keep(store, 1), [])
  })
})

test('a manifest is removed before all else, finished or not', async () => {
  const store = await storeOf()
  const calls: string[] = []
  const storage = override(store.storage, {
    remove: async (keys: readonly string[]) => {
      calls.push(`remove ${keys.join()}`)
      await store.storage.remove(keys)
    },
    removeAll: async (prefix: string) => {
      calls.push(`remove all ${prefix}`)
      assert.ok(!existsSync(join(store.folder, prefix, 'manifest.json')))
      await store.storage.removeAll(prefix)
    },
  })
  await removeBackup(storage, `test/${first}/`, quietWork().signal)
  assert.deepEqual(calls, [`remove test/${first}/manifest.json`, `remove all test/${first}/`])
  assert.ok(!existsSync(folderOf(store, first)))
})

describe('retention of every destination', () => {
  test('returns what was removed where, and a failure is only a warning', async () => {
    const [one, other, short] = [await storeOf(), await storeOf(), await storeOf([fourth])]
    const warnings: string[] = []
    assert.deepEqual(
      await pruneAll(
        [unlisted(one.storage, unreachable), short.storage, other.storage],
        'test',
        3,
        warnings,
        quietWork(),
      ),
      [{ url: other.storage.url, ids: [first] }],
    )
    assert.deepEqual(warnings, [
      `The backup is stored, but old backups could not be removed from ${one.storage.url}: gone`,
    ])
  })

  test('ends when the work is cancelled', async () => {
    const store = await storeOf()
    const { work, stop } = loggingWork()
    const reason = new Error('cancelled')
    const failing = unlisted(store.storage, unreachable, () => stop(reason))
    await assert.rejects(pruneAll([failing], 'test', 1, [], work), (error) => error === reason)
  })
})
