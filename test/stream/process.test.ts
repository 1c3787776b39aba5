import assert from 'node:assert/strict'
import { test } from 'node:test'
import { capture, start, startTicks } from '../../src/stream/process.ts'
import type { Held } from '../../src/work.ts'
import { quietWork } from '../support/start-servers.ts'

/** Waits, five seconds at most, for a process to be gone. */
async function gone(pid: number): Promise<void> {
  for (let i = 0; i < 100 && startTicks(pid) !== ''; i++)
    await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(startTicks(pid), '')
}

const env = { PATH: process.env.PATH ?? '' }

test('the exit code, both outputs and nothing of our environment', async () => {
  process.env.HOLDFAST_SECRET_PROBE = 'visible'
  const { code, stdout, stderr } = await capture(
    'sh',
    ['-c', 'echo out; echo err >&2; echo "[$HOLDFAST_SECRET_PROBE]"; exit 3'],
    { env },
    quietWork(),
  )
  delete process.env.HOLDFAST_SECRET_PROBE
  assert.deepEqual([code, stdout, stderr], [3, 'out\n[]\n', 'err\n'])
})

test('an abort ends the child and all that it started, also when they ignore the first signal', async () => {
  const stop = new AbortController()
  const work = quietWork(stop.signal)
  const child = start(
    'sh',
    ['-c', `trap '' TERM; sleep 61 & echo $!; wait`],
    { env, stdout: 'pipe' },
    work,
  )
  const grandchild = Number(
    await new Promise<Buffer>((resolve) => child.stdout?.once('data', resolve)),
  )
  assert.notEqual(startTicks(grandchild), '')
  stop.abort()
  const exit = await child.exit
  assert.equal(exit.signal, 'SIGKILL')
  await gone(grandchild)
})

test('a program that leaves something running behind is ended with it, where that is asked for', async () => {
  const from = Date.now()
  const { stdout } = await capture(
    'sh',
    ['-c', 'sleep 62 & echo $!'],
    { env, endGroup: true },
    quietWork(),
  )
  await gone(Number(stdout))
  assert.ok(Date.now() - from < 30_000)
})

test('a running child is noted for the clean-up after us, with its start time, and let go when it has ended', async () => {
  const held: Held[] = []
  const released: Held[] = []
  const work = {
    ...quietWork(),
    hold: (one: Held) => void held.push(one),
    release: (one: Held) => void released.push(one),
  }
  const child = start('sleep', ['0.2'], { env }, work)
  assert.deepEqual(held, [{ kind: 'process', pid: child.pid, startTicks: startTicks(child.pid) }])
  await child.exit
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(released, held)
})

test('a program that is not there is an error, not a silence', async () => {
  await assert.rejects(capture('/nowhere/at-all', [], { env }, quietWork()), /ENOENT/)
})
