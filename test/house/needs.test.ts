import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { needsOf } from '../support/needs.ts'

const root = dirname(dirname(import.meta.dirname))

describe('what a test file needs', () => {
  const cases: [file: string, needs: string[]][] = [
    ['test/house/docs.test.ts', []],
    ['test/text.test.ts', []],
    ['test/backup/backup.test.ts', ['servers']],
    ['test/postgres/connection/session.test.ts', ['own servers', 's3']],
    ['test/storage/contract.test.ts', ['s3']],
    ['test/storage/local/local.test.ts', ['time']],
  ]
  for (const [file, needs] of cases)
    test(`${file}: ${needs.join(', ') || 'nothing'}`, () =>
      assert.deepEqual([...needsOf(file)].filter((need) => need !== 'runner').sort(), needs))

  test('is never nothing where a file starts PostgreSQL or an S3 server by itself', () => {
    for (const file of globSync('test/**/*.test.ts', { cwd: root })) {
      if (file.startsWith('test/house/')) continue
      const starts = /startCluster|startServers\(|startS3|findS3Server/.test(
        readFileSync(join(root, file), 'utf8'),
      )
      if (starts) assert.notEqual(needsOf(file).size, 0, file)
    }
  })
})
