/**
 * What the bench reads of processes: each figure is that of the whole tree, and comes from the
 * kernel.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bytesIn, cpuOf, cpuOfEndedChildren, watch } from '../../scripts/bench/measure.ts'

/**
 * A program that holds `memory` bytes, uses CPU until it had 400 ms, and then waits for its input
 * to end.
 */
const busy = (memory: number): string =>
  `const held = Buffer.alloc(${memory}, 1)
while (process.cpuUsage().user < 400000) held[0]++
console.log('ready')
process.stdin.resume()`

describe(
  'a process and what it starts',
  { skip: process.platform !== 'linux' && 'there is no /proc' },
  () => {
    let folder: string
    before(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-measure-'))))
    after(() => rmSync(folder, { recursive: true, force: true }))

    /** A shell that starts the program as its child; settles once that is ready. */
    async function startBusy(memory: number): Promise<ChildProcess> {
      const child = spawn('bash', ['-c', '"$0" -e "$1"; true', process.execPath, busy(memory)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      return child
    }

    test('memory is summed over the tree, and that of the first process is told apart', async () => {
      const child = await startBusy(150e6)
      const watching = watch(child.pid ?? 0, folder)
      child.stdin?.end()
      await once(child, 'close')
      const peaks = watching.stop()
      assert.ok(peaks.treeMemory > 150e6, `the tree held ${peaks.treeMemory}`)
      assert.ok(
        peaks.ownMemory > 0 && peaks.ownMemory < 50e6,
        `the shell alone held ${peaks.ownMemory}`,
      )
    })

    test('CPU of a living tree, and of one that has ended, has the children in it', async () => {
      const earlier = cpuOfEndedChildren()
      const child = await startBusy(1e6)
      const living = cpuOf([child.pid ?? 0])
      assert.ok(living >= 350, `${living} ms while it lives`)
      child.stdin?.end()
      await once(child, 'close')
      const ended = cpuOfEndedChildren() - earlier
      assert.ok(ended >= 350, `${ended} ms once it has ended`)
    })

    test('the peak of a folder counts what is gone at the end', async () => {
      const child = spawn(
        'bash',
        [
          '-c',
          'mkdir "$0/in"; head -c 3000000 /dev/zero > "$0/in/file"; echo ready; read _; rm -r "$0/in"',
          folder,
        ],
        { stdio: ['pipe', 'pipe', 'inherit'] },
      )
      const watching = watch(child.pid ?? 0, folder)
      await once(child.stdout, 'data')
      assert.equal(bytesIn(folder), 3_000_000)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      child.stdin.end('\n')
      await once(child, 'close')
      assert.deepEqual([watching.stop().disk, bytesIn(folder)], [3_000_000, 0])
    })
  },
)
