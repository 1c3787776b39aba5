import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { UserError } from '../../../src/errors.ts'
import { publishWithoutLinks, temporaryName, writeAll } from '../../../src/storage/local/files.ts'
import { openStorage } from '../../../src/storage/open.ts'
import { inPieces, noise } from '../contract.ts'

const writer = fileURLToPath(new URL('../storage-process.ts', import.meta.url))
const isRoot = process.getuid?.() === 0

describe('a folder as storage', () => {
  let top: string
  let folder: string
  let count = 0
  before(() => (top = mkdtempSync(join(tmpdir(), 'holdfast-folder-'))))
  beforeEach(() => mkdirSync((folder = join(top, String(count++)))))
  after(() => rmSync(top, { recursive: true }))

  const codeOf =
    (code: string, says: RegExp) =>
    (error: unknown): boolean => {
      assert.ok(error instanceof UserError, String(error))
      assert.equal(error.code, code)
      assert.match(error.message, says)
      return true
    }

  test('is readable by its owner alone', async () => {
    const storage = openStorage(`file://${folder}/new`)
    await storage.create('label/id/object', inPieces(Buffer.from('x')))
    assert.equal(statSync(join(folder, 'new/label/id/object')).mode & 0o777, 0o600)
    for (const made of ['new', 'new/label', 'new/label/id'])
      assert.equal(statSync(join(folder, made)).mode & 0o777, 0o700)
  })

  test('tells of a folder that does not exist, and of no other', async () => {
    assert.equal(await openStorage(`file://${folder}/new`).missingFolder?.(), join(folder, 'new'))
    assert.equal(await openStorage(`file://${folder}`).missingFolder?.(), undefined)
  })

  test('probe removes the folders that it created, and no others', async () => {
    await openStorage(`file://${folder}/a/b/c`).probe()
    assert.deepEqual(readdirSync(folder), [])
    await openStorage(`file://${folder}`).probe()
    assert.ok(existsSync(folder))
  })

  test('remove and removeAll delete empty folders, and keep those with other files', async () => {
    const storage = openStorage(`file://${folder}`)
    await storage.create('l/1/a', inPieces(Buffer.from('x')))
    await storage.create('l/2/a', inPieces(Buffer.from('x')))
    writeFileSync(join(folder, 'l/2/a note of mine.txt'), 'keep me')
    await storage.remove(['l/1/a'])
    assert.deepEqual(readdirSync(join(folder, 'l')), ['2'])
    await storage.removeAll('l/')
    assert.deepEqual(readdirSync(join(folder, 'l/2')), ['a note of mine.txt'])
  })

  test('a file in place of the folder is reported', async () => {
    writeFileSync(join(folder, 'afile'), '')
    const storage = openStorage(`file://${folder}/afile/x`)
    await assert.rejects(storage.probe(), codeOf('storage-not-a-folder', /afile/))
    await assert.rejects(
      storage.create('a', inPieces(Buffer.from('x'))),
      codeOf('storage-not-a-folder', /afile/),
    )
    await assert.rejects(
      async () => {
        for await (const object of storage.list('')) assert.ok(object)
      },
      codeOf('storage-not-a-folder', /afile/),
    )
    await assert.rejects(
      openStorage(`file://${folder}/afile`).probe(),
      codeOf('storage-not-a-folder', /afile/),
    )
    assert.deepEqual(readdirSync(folder), ['afile'])
  })

  test(
    'a folder that cannot be created is reported',
    { skip: !existsSync('/proc/self') && 'no /proc' },
    async () => {
      await assert.rejects(
        openStorage('file:///proc/holdfast/x').probe(),
        codeOf('storage-access-denied', /\/proc/),
      )
    },
  )

  test(
    'a folder without permission to write or read is reported',
    { skip: !isRoot && 'takes root, to become somebody else' },
    async () => {
      chmodSync(top, 0o755)
      chmodSync(folder, 0o755)
      const storage = openStorage(`file://${folder}`)
      await storage.create('secret', inPieces(Buffer.from('x')))
      const asNobody = (...args: string[]) =>
        spawnSync(process.execPath, [writer, `file://${folder}`, ...args], {
          uid: 65534,
          gid: 65534,
          encoding: 'utf8',
        })
      for (const args of [['create', 'a'], ['probe'], ['read', 'secret'], ['remove', 'secret']]) {
        const ran = asNobody(...args)
        assert.match(
          ran.stdout,
          /^storage-access-denied .*permission denied/,
          `${args.join(' ')}: ${ran.stdout}${ran.stderr}`,
        )
      }
      assert.deepEqual(readdirSync(folder), ['secret'])
    },
  )

  test(
    'a full disk is reported, and nothing is left behind',
    { skip: spawnSync('unshare', ['-rm', 'true']).status !== 0 && 'takes a mount name space' },
    () => {
      const script = `mount -t tmpfs -o size=1m none "$1" && "$2" "$3" "file://$1" create big 4000000; ls -A "$1"`
      const ran = spawnSync(
        'unshare',
        ['-rm', 'sh', '-c', script, 'sh', folder, process.execPath, writer],
        { encoding: 'utf8' },
      )
      assert.match(ran.stdout, /^storage-full .*no space is left[^\n]*\n$/, ran.stdout + ran.stderr)
    },
  )

  test('a partial write continues where it ended', async () => {
    for (const most of [1, 7, 1000]) {
      const taken: Buffer[] = []
      const handle = {
        writev(pieces: Buffer[]) {
          assert.ok(pieces.length > 0 && pieces.length <= 1024)
          const some = Buffer.concat(pieces).subarray(0, most)
          taken.push(some)
          return Promise.resolve({ bytesWritten: some.length })
        },
      }
      const pieces = [
        noise(10),
        Buffer.alloc(0),
        noise(1),
        noise(30),
        ...Array.from({ length: most === 7 ? 2000 : 0 }, () => noise(3)),
      ]
      assert.equal(
        await writeAll(handle as unknown as FileHandle, pieces),
        Buffer.concat(pieces).length,
      )
      assert.ok(Buffer.concat(taken).equals(Buffer.concat(pieces)))
    }
  })

  test('a killed writer leaves a file that is not listed, and removeAll deletes it', async () => {
    const storage = openStorage(`file://${folder}`)
    const child = spawn(process.execPath, [writer, storage.url, 'create', 'l/id/half', 'forever'], {
      stdio: 'ignore',
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    for (
      let tries = 0;
      tries < 200 &&
      !(existsSync(join(folder, 'l/id')) && readdirSync(join(folder, 'l/id')).length > 0);
      tries++
    )
      await new Promise((resolve) => setTimeout(resolve, 25))
    child.kill('SIGKILL')
    await ended
    assert.equal(readdirSync(join(folder, 'l/id')).length, 1)
    for await (const { key } of storage.list('')) assert.fail(`${key} is listed`)
    assert.equal(await storage.size('l/id/half'), undefined)
    await storage.removeAll('l/id/')
    assert.deepEqual(readdirSync(folder), [])
  })

  test('a file that is truncated during a read fails the reader', async () => {
    const storage = openStorage(`file://${folder}`)
    await storage.create('object', inPieces(noise(8 << 20)))
    const reading = await storage.read('object')
    truncateSync(join(folder, 'object'), 3 << 20)
    await assert.rejects(buffer(reading), codeOf('storage-not-confirmed', /became shorter/))
  })

  test('symbolic links are followed to the folder, and not below it', async () => {
    mkdirSync(join(folder, 'real'))
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    const storage = openStorage(`file://${folder}/link`)
    await storage.create('a', inPieces(Buffer.from('x')))
    symlinkSync('/etc/passwd', join(folder, 'real/passwd'))
    symlinkSync(folder, join(folder, 'real/loop'))
    const keys: string[] = []
    for await (const { key } of storage.list('')) keys.push(key)
    assert.deepEqual(keys, ['a'])
    await storage.removeAll('')
    assert.ok(existsSync('/etc/passwd') && existsSync(join(folder, 'real/loop')))
  })

  test('without hard links, create is still create-only and atomic', async () => {
    const file = join(folder, 'object')
    const sources = ['1', '2', '3', '4', '5'].map((text) => {
      const temporary = temporaryName(file)
      writeFileSync(temporary, text)
      return { temporary, text }
    })
    const won = await Promise.all(
      sources.map(({ temporary }) => publishWithoutLinks(temporary, file)),
    )
    assert.equal(won.filter(Boolean).length, 1)
    const text = sources[won.indexOf(true)]?.text
    assert.equal(readFileSync(file, 'utf8'), text)
    assert.equal(
      await publishWithoutLinks(sources[won.indexOf(false)]?.temporary ?? '', file),
      false,
    )
    assert.equal(readFileSync(file, 'utf8'), text)
    assert.ok(!existsSync(`${file}~taken`))
  })
})
