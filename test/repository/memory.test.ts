import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { storeArchive } from '../../src/repository/write.ts'
import { openStorage } from '../../src/storage/open.ts'
import { startS3 } from '../support/s3.ts'
import { quietWork } from '../support/start-servers.ts'
import type { ReadRequest } from './read-process.ts'

const writer = fileURLToPath(new URL('store-process.ts', import.meta.url))
const reader = fileURLToPath(new URL('read-process.ts', import.meta.url))

test(
  'memory stays below 256 MiB with three larger archives on their way to S3 and a folder',
  { skip: !existsSync('/proc/self/status') && 'no /proc' },
  async (t) => {
    const server = await startS3(['backups'])
    t.after(() => server.stop())
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-memory-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const each = 270 << 20
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [writer, '3', String(each), server.url('p'), `file://${folder}`],
      { env: { ...process.env, ...server.env } },
    )
    const { peak, bytes } = JSON.parse(stdout) as { peak: number; bytes: number[] }
    assert.deepEqual(bytes, [each, each, each])
    assert.ok(peak > 40 && peak < 256, `${Math.round(peak)} MiB`)
  },
)

test(
  'memory stays below 256 MiB with two larger archives on their way back',
  { skip: !existsSync('/proc/self/status') && 'no /proc' },
  async (t) => {
    const server = await startS3(['backups'])
    t.after(() => server.stop())
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-memory-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const urls = [server.url('p'), `file://${folder}`]
    const each = 270 << 20
    const request = await storeZeros(each, urls, server.env)
    for (const url of urls) {
      const reading = promisify(execFile)(process.execPath, [reader, url], {
        env: { ...process.env, ...server.env },
      })
      reading.child.stdin?.end(JSON.stringify(request))
      const { peak, bytes } = JSON.parse((await reading).stdout) as {
        peak: number
        bytes: number[]
      }
      assert.deepEqual(bytes, [each, each])
      assert.ok(peak > 40 && peak < 256, `${Math.round(peak)} MiB from ${url}`)
    }
  },
)

/** Stores two archives of zeros, as they are and compressed; returns what reads them back. */
async function storeZeros(
  bytes: number,
  urls: readonly string[],
  env: Record<string, string>,
): Promise<ReadRequest> {
  Object.assign(process.env, env)
  const destinations = urls.map((url) => openStorage(url))
  const identity = await generateX25519Identity()
  const recipients = [await identityToRecipient(identity)]
  const folder = 'shop/id/'
  const objects = []
  for (const compressed of [true, false]) {
    const zeros = spawn('head', ['-c', String(bytes), '/dev/zero']).stdout
    const options = { name: `${compressed}.dump`, folder, compressed, recipients, destinations }
    objects.push(await storeArchive(zeros, options, quietWork()))
  }
  await Promise.all(destinations.map((destination) => destination.close()))
  return { manifest: { objects, encryption: { recipients } }, folder, identity }
}
