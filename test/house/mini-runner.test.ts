import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runAction } from '../support/mini-runner.ts'

test('inputs and their defaults, outputs, state, summary, environment and the post step', async () => {
  const root = action({
    inputs:
      "  two-words:\n    default: 'usual'\n  given:\n    description: x\n  token:\n    default: ${{ github.token }}\n",
    main: `
      const { appendFileSync } = await import('node:fs')
      const { env } = process
      appendFileSync(env.GITHUB_OUTPUT, 'seen<<END\\n' +
        [env['INPUT_TWO-WORDS'], env.INPUT_GIVEN, env.INPUT_TOKEN].join('\\n') +
        '\\nEND\\nplain=a=b\\n')
      appendFileSync(env.GITHUB_STATE, 'held=database\\n')
      appendFileSync(env.GITHUB_ENV, 'LATER=yes\\n')
      appendFileSync(env.GITHUB_STEP_SUMMARY, '# Title')
      process.exitCode = 3`,
    post: 'console.log("post", process.env.STATE_held, process.env.LATER, process.env.INPUT_GIVEN)',
  })
  const run = await runAction('try', { given: 'mine' }, { root, token: 'tok' })
  assert.equal(run.code, 3)
  assert.deepEqual(run.outputs, { seen: 'usual\nmine\ntok', plain: 'a=b' })
  assert.deepEqual(run.state, { held: 'database' })
  assert.equal(run.summary, '# Title')
  assert.match(run.log, /post database yes mine/)
  assert.equal(run.postCode, 0)
  await assert.rejects(runAction('try', { unknown: 'x' }, { root }), /no input unknown/)
})

test('a secret is masked from where it is named, in the log and in annotations', async () => {
  const root = action({
    main: `
      console.log('early s3cret')
      console.log('::add-mask::s3cret')
      console.log('late s3cret')
      console.log('::error title=No s3cret,file=a.ts::wrong s3cret%0Anext')`,
  })
  const run = await runAction('try', {}, { root })
  assert.equal(run.log, 'early s3cret\nlate ***\nError: wrong ***\nnext\n')
  assert.match(run.raw, /late s3cret/)
  assert.deepEqual(run.annotations, [
    { level: 'error', message: 'wrong ***\nnext', properties: { title: 'No ***', file: 'a.ts' } },
  ])
})

test('commands that are stopped are only text', async () => {
  const root = action({
    main: `const lines = ['::stop-commands::word', '::error::not one', '::word::', '::warning::one']
      for (const line of lines) console.log(line)`,
  })
  const run = await runAction('try', {}, { root })
  assert.deepEqual(
    run.annotations.map(({ message }) => message),
    ['one'],
  )
})

test('a summary over 1 MiB is dropped whole', async () => {
  const root = action({
    main: `(await import('node:fs')).writeFileSync(process.env.GITHUB_STEP_SUMMARY, 'x'.repeat(1024 * 1024 + 1))`,
  })
  assert.equal((await runAction('try', {}, { root })).summary, '')
})

test('a cancel is SIGINT, SIGTERM after 7.5 s, SIGKILL after 2.5 s more; the post step runs all the same', async () => {
  const root = action({
    main: `
      const began = Date.now()
      for (const name of ['SIGINT', 'SIGTERM']) 
        process.on(name, () => console.log(name, Math.round((Date.now() - began) / 500) / 2))
      setInterval(() => {}, 1000)
      console.log('ready')`,
    post: "console.log('post')",
  })
  const run = await runAction('try', {}, { root, signal: { name: 'SIGINT', when: /ready/ } })
  assert.equal(run.code, 137)
  assert.match(run.log, /^ready\nSIGINT 0(?:\.5)?\nSIGTERM (?:7\.5|8)\npost\n$/)
  assert.ok(run.ms >= 9_900 && run.ms < 12_000, `${run.ms} ms`)
})

test('a child that keeps the step open is seen', async () => {
  const root = action({
    main: "(await import('node:child_process')).spawn('sleep', ['7'], { stdio: 'inherit', detached: true }).unref()",
  })
  assert.equal((await runAction('try', {}, { root })).leftOpen, true)
})

function action({
  inputs = '',
  main,
  post,
}: {
  inputs?: string
  main: string
  post?: string
}): string {
  const root = mkdtempSync(join(tmpdir(), 'action-'))
  after(() => rmSync(root, { recursive: true }))
  const folder = join(root, 'actions', 'try')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  writeFileSync(
    join(folder, 'action.yml'),
    `inputs:\n${inputs || '  none:\n'}runs:\n  using: node24\n  main: main.js\n` +
      (post === undefined ? '' : '  post: post.js\n'),
  )
  writeFileSync(join(folder, 'main.js'), main)
  if (post !== undefined) writeFileSync(join(folder, 'post.js'), post)
  return root
}
