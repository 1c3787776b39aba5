/**
 * A process that stores archives as a backup does, each the output of a child, and says how much
 * memory it took at most, in MiB: `store-process.ts ARCHIVES BYTES URL…`.
 */
import { readFileSync } from 'node:fs'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { storeArchive } from '../../src/repository/write.ts'
import { openStorage } from '../../src/storage/open.ts'
import { start } from '../../src/stream/process.ts'
import { quietWork } from '../support/start-servers.ts'

const [archives = '1', bytes = '0', ...urls] = process.argv.slice(2)
const work = quietWork()
const destinations = urls.map((url) => openStorage(url))
const recipients = [await identityToRecipient(await generateX25519Identity())]
const stored = await Promise.all(
  Array.from({ length: Number(archives) }, async (_, i) => {
    const child = start(
      '/bin/sh',
      ['-c', 'exec head -c "$1" /dev/zero', 'sh', bytes],
      { env: { ...work.env }, stdout: 'pipe' },
      work,
    )
    return await storeArchive(
      child.stdout as NonNullable<typeof child.stdout>,
      { name: `${i}.dump`, folder: 'shop/id/', compressed: true, recipients, destinations },
      work,
    )
  }),
)
await Promise.all(destinations.map((destination) => destination.close()))
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024
console.log(JSON.stringify({ peak, bytes: stored.map((object) => object.plain?.bytes) }))
