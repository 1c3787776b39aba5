/**
 * A process that calls one method of a storage and prints the outcome: `storage-process.ts URL
 * create|read|remove|probe [KEY] [BYTES|forever]`.
 */
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { UserError } from '../../src/errors.ts'
import { openStorage } from '../../src/storage/open.ts'

const [url = '', question, key = '', size = '1'] = process.argv.slice(2)
const storage = openStorage(url)

async function* bytes(): AsyncGenerator<Buffer> {
  if (size !== 'forever') return void (yield Buffer.alloc(Number(size), 7))
  for (;;) {
    yield Buffer.alloc(1000)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

try {
  if (question === 'create') await storage.create(key, Readable.from(bytes()))
  else if (question === 'read') await buffer(await storage.read(key))
  else if (question === 'remove') await storage.remove([key])
  else await storage.probe()
  console.log('ended well')
} catch (error) {
  console.log(error instanceof UserError ? `${error.code} ${error.message}` : String(error))
}
