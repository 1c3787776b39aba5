/**
 * A process that reads archives back as a restore does, and prints how many bytes each had and how
 * much memory the process took at most, in MiB: `read-process.ts URL`, with the backup on stdin.
 */
import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import type { FoundBackup } from '../../src/repository/listing.ts'
import { withArchive } from '../../src/repository/read.ts'
import { openStorage } from '../../src/storage/open.ts'
import { quietWork } from '../support/start-servers.ts'

/** What the process reads from stdin. */
export interface ReadRequest {
  manifest: Pick<FoundBackup['manifest'], 'objects' | 'encryption'>
  folder: string
  identity: string
}

const [url = ''] = process.argv.slice(2)
const { manifest, folder, identity } = JSON.parse(await text(process.stdin)) as ReadRequest
const storage = openStorage(url)
const backup = { storage, folder, location: url, manifest } as unknown as FoundBackup
const bytes = await Promise.all(
  manifest.objects.map((object) =>
    withArchive(
      backup,
      object,
      [identity],
      async (archive) => {
        let read = 0
        for await (const chunk of archive) {
          read += (chunk as Buffer).length
          await nextTurn() // slower than the store: what is read ahead stays in memory
        }
        return read
      },
      quietWork(),
    ),
  ),
)
await storage.close()
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024
console.log(JSON.stringify({ peak, bytes }))
