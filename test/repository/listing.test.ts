import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import {
  backupNotFound,
  type BackupIndex,
  listBackups,
  listStored,
  openBackup,
  openBackupIndex,
} from '../../src/repository/listing.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { newStore, type Store } from '../support/copies.ts'
import { override } from '../support/override.ts'
import { quietWork } from '../support/start-servers.ts'
import { folderOf, loggingWork, prove, putBackup, rewrite, unlisted } from './backup-index.ts'

const [first, second] = ['20261101T030000Z-aa0001', '20261102T030000Z-aa0002']
const taken = '20261103T030000Z-aa0003-pre-restore'
const unreachable = new UserError('storage-unreachable', 'no answer', 'wait')

const put = (store: Store, key: string, text: string): void => {
  const file = join(store.folder, key)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

const open = (sources: Storage[], label?: string, work = quietWork()): Promise<BackupIndex> =>
  openBackupIndex(sources, label, work)

const refused =
  (code: string, message: string | RegExp, hint: string | RegExp = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof UserError, String(error))
    assert.equal(error.code, code)
    for (const [text, expected] of [
      [error.message, message],
      [error.hint, hint],
    ] as const)
      if (typeof expected === 'string') assert.equal(text, expected)
      else assert.match(text, expected)
    return true
  }

describe('a listing', () => {
  test('has of each backup its bytes without proofs, its proofs in order, and if it is finished', async () => {
    const store = await newStore()
    put(store, `test/${first}/rows/01.dump`, '12345')
    put(store, `test/${first}/base.dump`, '123')
    put(store, `test/${first}/proofs/20261110T000000000Z-bb.json`, 'longer than both')
    put(store, `test/${first}/proofs/20261109T000000000Z-cc.json`, '')
    put(store, `a=2Fb/${second}/manifest.json`, '1234567')
    const stored = (folder: string, finished: boolean, bytes: number, proofs: string[]) => ({
      storage: store.storage,
      folder,
      finished,
      bytes,
      proofs,
    })
    const of = (only?: string): Promise<unknown> => listStored(store.storage, only, quietWork())
    const other = new Map([[second, stored(`a=2Fb/${second}/`, true, 7, [])]])
    assert.deepEqual(
      await of(),
      new Map([
        ['a/b', other],
        [
          'test',
          new Map([
            [
              first,
              stored(`test/${first}/`, false, 8, [
                `test/${first}/proofs/20261109T000000000Z-cc.json`,
                `test/${first}/proofs/20261110T000000000Z-bb.json`,
              ]),
            ],
          ]),
        ],
      ]),
    )
    assert.deepEqual(await of('a/b'), new Map([['a/b', other]]))
  })

  test('sorts proofs, whatever order a store gives', async () => {
    const store = await newStore()
    const key = (name: string): string => `test/${first}/proofs/${name}.json`
    const storage = override(store.storage, {
      async *list() {
        for (const name of ['2', '3', '1'])
          yield await Promise.resolve({ key: key(name), bytes: 1 })
      },
    })
    const found = await listStored(storage, undefined, quietWork())
    assert.deepEqual(found.get('test')?.get(first)?.proofs, [key('1'), key('2'), key('3')])
  })

  test('leaves out what is no backup', async () => {
    const store = await newStore()
    for (const key of ['notes.txt', 'test/readme.txt', 'test/old/manifest.json', `${first}/x`])
      put(store, key, 'x')
    assert.deepEqual(await listStored(store.storage, undefined, quietWork()), new Map())
  })

  test('gives the ids that "latest" can select: finished, and not taken before a restore', async () => {
    const store = await newStore()
    for (const id of [first, second, taken]) putBackup(store, id)
    assert.deepEqual(await listBackups(store.storage, 'test', quietWork()), [first, second])
    rmSync(join(folderOf(store, first), 'manifest.json'))
    assert.deepEqual(await listBackups(store.storage, 'test', quietWork()), [second])
    assert.deepEqual(await listBackups(store.storage, 'other', quietWork()), [])
  })
})

describe('an index', () => {
  test('has the finished backups of all sources, in the order of the sources', async () => {
    const [one, other] = [await newStore(), await newStore()]
    putBackup(one, second)
    for (const id of [first, second, taken]) putBackup(other, id)
    putBackup(one, '20261104T030000Z-aa0004')
    rmSync(join(folderOf(one, '20261104T030000Z-aa0004'), 'manifest.json'))
    const { label, ids, stored, failures } = await open([one.storage, other.storage], 'test')
    assert.deepEqual([label, ids, failures], ['test', [first, second], []])
    const where = [...stored].map(([id, at]) => [id, at.map(({ storage }) => storage)])
    assert.deepEqual(Object.fromEntries(where), {
      [first]: [other.storage],
      [second]: [one.storage, other.storage],
      [taken]: [other.storage],
    })
  })

  test('keeps the failure of a source, and has the backups of the others', async () => {
    const store = await newStore()
    putBackup(store, first)
    const index = await open([unlisted(store.storage, unreachable), store.storage])
    assert.deepEqual([index.label, index.ids, index.failures], ['test', [first], [unreachable]])
  })

  test('that is cancelled has the reason of that, not the failure that it caused', async () => {
    const store = await newStore()
    for (const label of ['test', undefined]) {
      const { work, stop } = loggingWork()
      const reason = new Error('cancelled')
      const source = unlisted(store.storage, unreachable, () => stop(reason))
      await assert.rejects(open([source], label, work), (error) => error === reason)
    }
  })

  test('without a label has the only one that is stored', async () => {
    const store = await newStore()
    putBackup(store, first)
    put(store, `killed/${second}/base.dump`, 'without a manifest')
    put(store, 'readme/manifest.json', 'too high')
    put(store, `deep/er/${second}/manifest.json`, 'too deep')
    put(store, `a=xy/${second}/manifest.json`, 'not a label')
    assert.equal((await open([store.storage])).label, 'test')
  })

  test('without a label is refused if several are stored, or none', async () => {
    const [store, empty] = [await newStore(), await newStore()]
    putBackup(store, first)
    put(store, `a=2Fb/${second}/manifest.json`, '')
    const where = `${store.storage.url} and ${empty.storage.url}`
    await assert.rejects(
      open([store.storage, empty.storage]),
      refused(
        'label-needed',
        `${where} holds backups of several databases: a/b, test.`,
        'Set label to the one that you mean.',
      ),
    )
    await assert.rejects(
      open([empty.storage]),
      refused('no-backup', `No backup was found in ${empty.storage.url}.`, /run the backup action/),
    )
  })

  test('without a label reports why no source can be read, but not if another one has it', async () => {
    const store = await newStore()
    const broken = unlisted(store.storage, unreachable)
    await assert.rejects(open([broken, store.storage]), (error) => error === unreachable)
    putBackup(store, first)
    assert.equal((await open([broken, store.storage])).label, 'test')
  })
})

describe('a backup that is not found', () => {
  const why = async (store: Store, what: string, label = 'test'): Promise<unknown> =>
    backupNotFound(await open([store.storage], label), what, quietWork())

  test('may be in a source that cannot be read: its failure is reported', async () => {
    const store = await newStore()
    putBackup(store, first)
    const index = await open([unlisted(store.storage, unreachable), store.storage], 'test')
    assert.equal(await backupNotFound(index, second, quietWork()), unreachable)
  })

  test('is reported with the ten newest', async () => {
    const store = await newStore()
    const ids = Array.from({ length: 12 }, (_, i) => `202611${i + 10}T030000Z-aa0001`)
    for (const id of [...ids, '20261130T030000Z-aa0001-pre-restore']) putBackup(store, id)
    refused(
      'unknown-backup',
      `There is no backup ${first} of "test" in ${store.storage.url}.`,
      `"latest" is ${ids[11]}. The newest are: ${ids.toReversed().slice(0, 10).join(', ')}.`,
    )(await why(store, first))
  })

  test('that a restore took is reported with others of that kind', async () => {
    const store = await newStore()
    putBackup(store, taken)
    putBackup(store, first)
    refused(
      'unknown-backup',
      /./,
      `"latest" is ${first}. The newest are: ${taken}, ${first}.`,
    )(await why(store, `${second}-pre-restore`))
  })

  test('of a label without backups is reported with the labels that have some', async () => {
    const store = await newStore()
    putBackup(store, first)
    put(store, `a=2Fb/${second}/manifest.json`, '')
    refused(
      'no-backup',
      `No backup of "tset" was found in ${store.storage.url}.`,
      'The storage has these labels: a/b, test. Set label to one of them.',
    )(await why(store, 'latest', 'tset'))
    refused(
      'no-backup',
      /"tset"/,
      /^Nothing is stored there yet/,
    )(await why(await newStore(), 'latest', 'tset'))
  })
})

describe('opening a backup', () => {
  const at = async (store: Store): Promise<BackupIndex> => {
    putBackup(store, first)
    return open([store.storage], 'test')
  }

  test('gives its manifest and its place', async () => {
    const store = await newStore()
    const found = await openBackup(await at(store), first, quietWork())
    assert.deepEqual(
      [found.manifest.id, found.folder, found.location, found.storage],
      [first, `test/${first}/`, `${store.storage.url}/test/${first}`, store.storage],
    )
  })

  test('fails if its manifest was copied from another backup or label', async () => {
    const store = await newStore()
    const index = await at(store)
    for (const [change, whose] of [
      [{ id: second }, `test, ${second}`],
      [{ label: 'other', id: first }, `other, ${first}`],
    ] as const) {
      rewrite(store, first, (manifest) => ({ ...manifest, ...change }))
      await assert.rejects(
        openBackup(index, first, quietWork()),
        refused('manifest-damaged', new RegExp(`belongs to another backup \\(${whose}\\)`)),
      )
    }
  })

  test('fails if it was removed since, or is damaged', async () => {
    const store = await newStore()
    const index = await at(store)
    writeFileSync(join(folderOf(store, first), 'manifest.json'), '{')
    await assert.rejects(
      openBackup(index, first, quietWork()),
      refused(
        'manifest-damaged',
        `The manifest of ${store.storage.url}/test/${first} is damaged: it is not complete JSON.`,
      ),
    )
    rmSync(folderOf(store, first), { recursive: true })
    await assert.rejects(
      openBackup(index, first, quietWork()),
      refused('unknown-backup', /was removed while it was being opened/),
    )
  })

  test('that the index does not have is a mistake of the caller', async () => {
    await assert.rejects(
      openBackup(await at(await newStore()), second, quietWork()),
      new Error(`${second} is not in the index`),
    )
  })
})

test('proofs do not make a backup', async () => {
  const store = await newStore()
  putBackup(store, first)
  prove(store, first)
  rmSync(join(folderOf(store, first), 'manifest.json'))
  assert.deepEqual((await open([store.storage], 'test')).ids, [])
})
