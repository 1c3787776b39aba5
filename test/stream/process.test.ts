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

test('capture returns the exit code and both outputs, and the child inherits no environment', async () => {
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

test('an abort ends the child and what it started, also if they ignore SIGTERM', async () => {
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

test('endGroup ends what a program leaves running', async () => {
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

test('a running child is recorded for clean-up with its start time until it has ended', async () => {
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

test('a program that does not exist is an error', async () => {
  await assert.rejects(capture('/nowhere/at-all', [], { env }, quietWork()), /ENOENT/)
})
