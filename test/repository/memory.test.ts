import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startS3 } from '../support/s3.ts'

const program = fileURLToPath(new URL('store-process.ts', import.meta.url))

test(
  'memory stays below 256 MiB with three archives on their way to S3 and a folder at once, each larger than that',
  { skip: !existsSync('/proc/self/status') && 'no /proc' },
  async (t) => {
    const server = await startS3(['backups'])
    t.after(() => server.stop())
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-memory-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const each = 270 << 20
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [program, '3', String(each), server.url('p'), `file://${folder}`],
      { env: { ...process.env, ...server.env } },
    )
    const { peak, bytes } = JSON.parse(stdout) as { peak: number; bytes: number[] }
    assert.deepEqual(bytes, [each, each, each])
    assert.ok(peak > 40 && peak < 256, `${Math.round(peak)} MiB`)
  },
)
