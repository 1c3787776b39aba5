import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { heldBefore, heldInState } from '../../src/github/state.ts'
import type { Held } from '../../src/work.ts'
import { readCommands } from '../support/mini-runner.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-step-'))
after(() => rmSync(folder, { recursive: true }))
const source = new URL('../../src/', import.meta.url).href
let count = 0

interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  ms: number
  out: string
  outputs: Record<string, string>
  state: Record<string, string>
  summary: string
}

/**
 * Runs a story as an action's step, in a process of its own. `kill`: the signal, once the story
 * says "ready".
 */
async function step(
  story: string,
  { env = {}, kill }: { env?: Record<string, string>; kill?: NodeJS.Signals } = {},
): Promise<Ended> {
  const file = (name: string): string => {
    const path = join(folder, `${name}-${count}`)
    writeFileSync(path, '')
    return path
  }
  count++
  const [output, state, summary] = [file('output'), file('state'), file('summary')]
  const code = `
    import { run } from '${source}actions/run.ts'
    import { Cancelled, UserError } from '${source}errors.ts'
    import { verdict } from '${source}report/blocks.ts'
    const aborted = (signal) => new Promise((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason)))
    await run('backup', async ({ work, output, report, secrets }) => { ${story} })`
  const started = Date.now()
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    env: {
      PATH: process.env['PATH'],
      RUNNER_TEMP: folder,
      GITHUB_OUTPUT: output,
      GITHUB_STATE: state,
      GITHUB_STEP_SUMMARY: summary,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      out += data.toString()
      if (kill && /^ready$/m.test(out) && !child.killed) child.kill(kill)
    })
  }
  const [exit, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on('close', (...ended) => resolve(ended)),
  )
  return {
    code: exit,
    signal,
    ms: Date.now() - started,
    out,
    outputs: readCommands(output),
    state: readCommands(state),
    summary: readFileSync(summary, 'utf8'),
  }
}
const errors = (ended: Ended): string[] =>
  ended.out.split('\n').filter((line) => line.startsWith('::error'))

describe('a step that ends well', () => {
  test('exits with 0, has its outputs, and leaves nothing held', async () => {
    const ended = await step(`output('bytes', 12); report([verdict('pass', 'fine')])`)
    assert.equal(ended.code, 0)
    assert.deepEqual(ended.outputs, { bytes: '12', outcome: 'success', 'error-code': '' })
    assert.equal(ended.summary, '## ✅ fine\n')
    assert.equal(ended.state['held'], '[]')
  })
  test('ends although a connection is left open, soon', async () => {
    const ended = await step(`(await import('node:net')).createServer().listen(0, '127.0.0.1')`)
    assert.equal(ended.code, 0)
    assert.ok(ended.ms < 5000)
  })
})

describe('a step that fails', () => {
  test('by the user’s mistake: one line with the hint, no stack, exit code 1, and its outputs so far', async () => {
    const ended = await step(
      `output('proven', false); throw new UserError('no-such-bucket', 'There is no bucket x.', 'Make it.')`,
    )
    assert.equal(ended.code, 1)
    assert.deepEqual(errors(ended), [
      '::error title=backup failed::There is no bucket x.%0AMake it.%0Adocs/errors.md#no-such-bucket',
    ])
    assert.doesNotMatch(ended.out, /\n\s+at /)
    assert.deepEqual(ended.outputs, {
      proven: 'false',
      outcome: 'failure',
      'error-code': 'no-such-bucket',
    })
    assert.match(
      ended.summary,
      /^## ❌ backup failed\n\n\*\*There is no bucket x\.\*\*\n\nMake it\./,
    )
  })
  test('shows its hint and its code, however long the message is', async () => {
    const ended = await step(
      `throw new UserError('no-such-bucket', '<a>'.repeat(500000), 'Make it.')`,
    )
    assert.match(errors(ended)[0] ?? '', / …%0AMake it\.%0Adocs\/errors\.md#no-such-bucket$/)
    assert.match(ended.summary, /Make it\.\n[^]*`no-such-bucket`/)
    assert.doesNotMatch(ended.summary, /was cut/)
  })
  test('of a published action leads to the section of its code at that version', async () => {
    const ended = await step(`throw new UserError('no-such-bucket', 'm', 'h')`, {
      env: {
        GITHUB_SERVER_URL: 'https://github.example',
        GITHUB_ACTION_REPOSITORY: 'acme/holdfast',
        GITHUB_ACTION_REF: 'v1',
      },
    })
    const page = 'https://github.example/acme/holdfast/blob/v1/docs/errors.md#no-such-bucket'
    assert.deepEqual(errors(ended), [`::error title=backup failed::m%0Ah%0A${page}`])
    assert.ok(ended.summary.includes(`](${page})`))
  })
  test('with a report of its own: no second one', async () => {
    assert.equal(
      (await step(`report([verdict('fail', 'mine')]); throw new UserError('x', 'm', 'h')`)).summary,
      '## ❌ mine\n',
    )
  })
  test('by our mistake: with its stack, and what caused it', async () => {
    const ended = await step(`throw new TypeError('oops', { cause: new Error('deeper') })`)
    assert.equal(ended.code, 1)
    assert.equal(errors(ended).length, 1)
    assert.match(ended.out, /TypeError: oops\n\s+at /)
    assert.match(ended.out, /Caused by: Error: deeper\n\s+at /)
    assert.equal(ended.outputs['error-code'], 'internal')
  })
  test('shows a user’s mistake with its stack when the runner debugs', async () => {
    const ended = await step(`throw new UserError('x', 'm', 'h')`, { env: { RUNNER_DEBUG: '1' } })
    assert.match(ended.out, /^::debug::UserError: m%0A +at /m)
  })
  test('shows no secret, in the log, the summary or the outputs', async () => {
    const env = {
      'INPUT_DATABASE-URL': 'postgres://o:p%40ss%2Fw%3Ard@h/app',
      PGPASSWORD: 'another-secret',
    }
    const ended = await step(
      `work.log.info('p@ss/w:rd'); work.log.warning('p@ss/w:rd')
       throw new Error('for postgres://o:p%40ss%2Fw%3Ard@h/app and p@ss/w:rd and another-secret')`,
      { env },
    )
    const said = ended.out
      .split('\n')
      .filter((line) => !line.startsWith('::add-mask::'))
      .join('\n')
    for (const secret of ['p%40ss', 'p@ss/w:rd', 'another-secret'])
      assert.ok(!`${said}${ended.summary}`.includes(secret), secret)
    assert.match(ended.out.split('\n')[0] ?? '', /^::add-mask::/, 'masks come first')
  })
})

describe('a step that is cancelled', () => {
  for (const [kill, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`by ${kill}: cleans up to the end, says so, and exits with ${code}`, async () => {
      const ended = await step(
        `const timer = setInterval(() => {}, 1000)
         try { work.log.info('ready'); await aborted(work.signal) }
         finally {
           await new Promise((go) => setTimeout(go, 1500))
           clearInterval(timer); work.log.info('cleaned up')
         }`,
        { kill },
      )
      assert.equal(ended.code, code)
      assert.match(ended.out, /cleaned up/)
      assert.deepEqual(errors(ended), [])
      assert.deepEqual(ended.outputs, { outcome: 'cancelled', 'error-code': 'cancelled' })
      assert.match(ended.summary, /^## ⏹️ backup: cancelled/)
      assert.equal(ended.state['held'], '[]')
    })
  }
  test('is cancelled whatever error the stopping made', async () => {
    const ended = await step(
      `const timer = setInterval(() => {}, 1000); work.log.info('ready')
       await aborted(work.signal)
         .catch(() => { clearInterval(timer); throw new Error('pipe broke') })`,
      { kill: 'SIGTERM' },
    )
    assert.equal(ended.outputs['outcome'], 'cancelled')
    assert.deepEqual(errors(ended), [])
  })
  test('by a kill: what it held, itself first, is in the state', async () => {
    const ended = await step(
      `work.hold({ kind: 'database', name: 'x', input: 'scratch-url' }); work.log.info('ready')
       setInterval(() => {}, 1000); await aborted(work.signal)`,
      { kill: 'SIGKILL' },
    )
    assert.equal(ended.signal, 'SIGKILL')
    const held = heldBefore({ STATE_held: ended.state['held'] })
    assert.deepEqual(
      held.map(({ kind }) => kind),
      ['process', 'database'],
    )
    assert.match(
      (held[0] as { startTicks: string }).startTicks,
      process.platform === 'linux' ? /^\d+$/ : /^$/,
    )
  })
})

test(
  'a step that still runs when its clean-up begins is ended, and cleans up itself',
  { skip: process.platform !== 'linux' },
  async () => {
    let seen: string | undefined
    const state = join(folder, `state-${count + 1}`)
    const running = step(
      `const timer = setInterval(() => {}, 1000)
       try { await aborted(work.signal) } finally { clearInterval(timer); work.log.info('cleaned up') }`,
    )
    while (!(seen = readCommands(state)['held']))
      await new Promise((resolve) => setTimeout(resolve, 20))
    const code = `import { post } from '${source}actions/post.ts'; await post()`
    const post = spawn(process.execPath, ['--input-type=module', '-e', code], {
      env: { PATH: process.env['PATH'], RUNNER_TEMP: folder, STATE_held: seen },
      stdio: 'inherit',
    })
    const exit = await new Promise<number | null>((resolve) => post.on('close', resolve))
    assert.equal(exit, 0)
    const ended = await running
    assert.equal(ended.code, 143)
    assert.match(ended.out, /cleaned up/)
    assert.equal(ended.outputs['outcome'], 'cancelled')
  },
)

test('what a migration writes can give the runner no command', async () => {
  const ended = await step(
    `work.log.info('plain')
     work.log.info('a line\\n  ::set-output name=x::forged\\n::add-mask::e')
     work.log.info('##[error]x')
     work.log.info('a\\r\\u0085::warning::forged')
     work.log.info('\\u00a0::warning::forged')
     work.log.info('\\u001b[8mhidden\\u202e')
     work.log.info('\\n'.repeat(100000) + 'x')`,
  )
  const lines = ended.out.trim().split('\n')
  assert.equal(lines[0], 'plain')
  let token = ''
  for (const line of lines) {
    const begin = /^::stop-commands::(\S+)$/.exec(line)?.[1]
    if (begin && !token) token = begin
    else if (token && line === `::${token}::`) token = ''
    else if (/^[\s\u0085]*::/.test(line))
      assert.notEqual(token, '', `${line} stands where the runner obeys`)
  }
  assert.equal(token, '', 'and after it, commands are obeyed again')
  assert.doesNotMatch(ended.out, /##\[|\u001b|\u202e|\u0085/)
  assert.ok(ended.ms < 5000, 'a long output takes no longer than its length')
})

describe('the state of held things', () => {
  const cluster: Held = { kind: 'cluster', directory: '/t/c' }
  const database: Held = { kind: 'database', name: 'x', input: 'scratch-url' }
  test('is saved at each change, as a whole', () => {
    const saved: string[] = []
    const state = heldInState((name, value) => saved.push(`${name}=${value}`))
    state.hold(cluster)
    state.hold(database)
    state.release({ kind: 'cluster', directory: '/t/c' })
    state.release({ kind: 'cluster', directory: '/t/other' })
    assert.deepEqual(
      saved,
      [[cluster], [cluster, database], [database]].map((held) => `held=${JSON.stringify(held)}`),
    )
    assert.deepEqual(heldBefore({ STATE_held: saved.at(-1)?.slice('held='.length) }), [database])
  })
  test('is empty when there is none, or it cannot be read', () => {
    for (const state of [undefined, '', '{', 'null', '{}', '[1,null]'])
      assert.deepEqual(heldBefore({ STATE_held: state }), [])
  })
})
