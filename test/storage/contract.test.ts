import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { temporaryName } from '../../src/storage/local/files.ts'
import { openStorage } from '../../src/storage/open.ts'
import { S3Storage } from '../../src/storage/s3/s3.ts'
import { findMinio, findS3Server, type S3Server, startS3 } from '../support/s3.ts'
import { type Bench, keepsTheContract } from './contract.ts'
import { bucketOf } from './bucket.ts'

const partSize = 5 << 20

async function local(): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-local-'))
  const root = join(folder, 'made/by us')
  const storage = openStorage(`file://${folder}/made/by%20us`)
  return {
    storage,
    partSize,
    showsHalves: true,
    everything: async () =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .map((name) => join(folder, name))
        .filter((file) => statSync(file).isFile())
        .map((file) => relative(root, file))
        .sort(),
    async leaveHalf(key) {
      mkdirSync(dirname(join(root, key)), { recursive: true })
      writeFileSync(temporaryName(join(root, key)), 'half')
    },
    async close() {
      await storage.close()
      rmSync(folder, { recursive: true })
    },
  }
}

const s3 = (server: S3Server) => async (): Promise<Bench> => {
  const running = await startS3(['backups'], server)
  Object.assign(process.env, running.env)
  const storage = new S3Storage(running.url('team/shop'), { partSize, bufferBudget: 4 * partSize })
  const bucket = bucketOf(running, 'backups')
  return {
    storage,
    partSize,
    showsHalves: server.kind !== 'stand-in',
    everything: async () =>
      (await bucket.everything()).map((name) => name.replace(/^(half:)?team\/shop\//, '$1')),
    leaveHalf: (key) => bucket.leaveHalf(`team/shop/${key}`),
    async close() {
      await storage.close()
      bucket.close()
      await running.stop()
    },
  }
}

keepsTheContract('file', local)
const server = findS3Server()
keepsTheContract(`s3 (${server.kind})`, s3(server))
const minio = findMinio()
if (minio) keepsTheContract('s3 (minio)', s3(minio))
