import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { listStored, type StoredBackup } from '../../src/repository/listing.ts'
import { newestProof, newestProofs } from '../../src/repository/newest-proof.ts'
import { newStore, type Store } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { folderOf, loggingWork, prove, putBackup } from './backup-index.ts'

const id = '20261101T030000Z-aa0001'
const other = '20261102T030000Z-aa0002'
const unreachable = new UserError('storage-unreachable', 'no answer', 'wait')

async function store(...ids: string[]): Promise<Store> {
  const made = await newStore()
  for (const each of ids) putBackup(made, each)
  return made
}

const storedIn = async ({ storage }: Store, each = id): Promise<StoredBackup> => {
  const found = (await listStored(storage, 'test', quietWork())).get('test')?.get(each)
  assert.ok(found)
  return found
}

/** When the newest proof in some stores was made. */
const newest = async (...stores: Store[]): Promise<string | undefined> => {
  const at = await Promise.all(stores.map((each) => storedIn(each)))
  return (await newestProof(id, at, quietWork()))?.at
}

const [early, later] = ['2026-11-10T00:00:00.000Z', '2026-11-11T00:00:00.000Z']

describe('the newest proof', () => {
  test('is that of any destination', async () => {
    const [one, two] = [await store(id), await store(id)]
    assert.equal(await newest(one, two), undefined)
    prove(one, id, { at: early })
    assert.equal(await newest(one, two), early)
    prove(two, id, { at: later })
    assert.equal(await newest(one, two), later)
    assert.equal(await newest(two, one), later)
  })

  test('is a full one, if there is one anywhere', async () => {
    const [one, two] = [await store(id), await store(id)]
    prove(one, id, { at: early }, 'stored')
    prove(one, id, { at: later }, 'counted')
    assert.equal(await newest(one, two), later)
    prove(two, id, { at: early })
    assert.equal(await newest(one, two), early)
  })

  test('proves nothing where the backup is not finished', async () => {
    const [one, two] = [await store(id), await store(id)]
    prove(two, id, { at: early })
    prove(one, id, { at: later })
    rmSync(join(folderOf(one, id), 'manifest.json'))
    assert.equal(await newest(one, two), early)
  })

  test('that was removed since proves nothing; one that cannot be fetched is an error', async () => {
    const one = await store(id)
    const proof = prove(one, id)
    const stored = await storedIn(one)
    rmSync(proof)
    assert.equal(await newestProof(id, [stored], quietWork()), undefined)
    const storage = override(one.storage, { read: () => Promise.reject(unreachable) })
    await assert.rejects(
      newestProof(id, [{ ...stored, storage }], quietWork()),
      (error) => error === unreachable,
    )
  })

  test('belongs to a manifest that ends as ours do', async () => {
    const one = await store(id)
    prove(one, id, { at: early })
    const file = join(folderOf(one, id), 'manifest.json')
    for (const text of ['', '{}', `{ "sha256": "${'0'.repeat(64)}", "more": 1 }\n`]) {
      writeFileSync(file, text)
      assert.equal(await newest(one), undefined, text)
    }
  })
})

describe('the newest proofs of several backups', () => {
  const proofsOf = async (
    made: Store,
    work = quietWork(),
    storage = made.storage,
  ): Promise<unknown> => {
    const backups = [id, other].map(async (each) => ({
      id: each,
      at: [{ ...(await storedIn(made, each)), storage }],
    }))
    const found = await newestProofs(await Promise.all(backups), work)
    return [...found].map(([each, { at }]) => [each, at])
  }

  test('are those of the backups that have one', async () => {
    const made = await store(id, other)
    prove(made, other, { at: early })
    assert.deepEqual(await proofsOf(made), [[other, early]])
    writeFileSync(prove(made, id, { at: later }), 'no proof')
    assert.deepEqual(await proofsOf(made), [[other, early]])
  })

  test('one of which cannot be fetched are a warning', async () => {
    const made = await store(id, other)
    for (const each of [id, other]) prove(made, each, { at: early })
    const { work, lines } = loggingWork()
    const storage = override(made.storage, {
      read: (key: string) =>
        key.includes(other) ? Promise.reject(unreachable) : made.storage.read(key),
    })
    assert.deepEqual(await proofsOf(made, work, storage), [[id, early]])
    assert.deepEqual(lines, [`A proof of ${other} could not be read: no answer`])
  })

  test('are no more read when the work is cancelled', async () => {
    const made = await store(id, other)
    prove(made, id)
    const { work, stop, lines } = loggingWork()
    const reason = new Error('cancelled')
    const storage = override(made.storage, {
      read: () => {
        stop(reason)
        return Promise.reject(unreachable)
      },
    })
    await assert.rejects(proofsOf(made, work, storage), (error) => error === reason)
    assert.deepEqual(lines, [])
  })
})
