import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { annotate, type Annotation } from '../../src/github/annotations.ts'
import { childEnvironment, migrationEnvironment } from '../../src/github/environment.ts'
import { runUrl } from '../../src/github/run-url.ts'
import { summaryLimit, writeSummary } from '../../src/github/summary.ts'
import { list, paragraph, verdict } from '../../src/report/blocks.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-limits-'))
after(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'summary')
const env = { GITHUB_STEP_SUMMARY: file }

describe('the job summary', () => {
  beforeEach(() => writeFileSync(file, ''))
  test('is the report, after what is there already', () => {
    writeFileSync(file, 'before\n')
    assert.equal(writeSummary([verdict('pass', 'fine')], env), true)
    assert.equal(readFileSync(file, 'utf8'), 'before\n## ✅ fine\n')
  })
  test('never has more bytes than GitHub takes, for it would drop the whole of it', () => {
    writeFileSync(file, 'é'.repeat(1000))
    assert.equal(writeSummary([list(Array<string>(100_000).fill('漢字 in a line'))], env), true)
    assert.ok(statSync(file).size < summaryLimit && statSync(file).size > summaryLimit - 1000)
    assert.match(
      readFileSync(file, 'utf8').slice(-200),
      /\n\*\*This report was cut: it has 1,900,000 bytes/,
    )
  })
  test('is left out, and said so, where there is no room or no summary', () => {
    assert.equal(writeSummary([paragraph('x')], {}), false)
    writeFileSync(file, 'x'.repeat(summaryLimit - 100))
    assert.equal(writeSummary([paragraph('x')], env), false)
    assert.equal(statSync(file).size, summaryLimit - 100)
  })
})

describe('annotations', () => {
  /** The lines that annotating writes for the runner. */
  function lines(
    annotations: Annotation[],
    t: {
      mock: {
        method: (
          object: NodeJS.WriteStream,
          name: 'write',
          as: (text: string) => boolean,
        ) => { mock: { restore(): void } }
      }
    },
  ): string[] {
    const written: string[] = []
    const mocked = t.mock.method(process.stdout, 'write', (text) => {
      written.push(text)
      return true
    })
    try {
      annotate(annotations)
    } finally {
      mocked.mock.restore()
    }
    return written.map((line) => line.trimEnd())
  }
  test('leave one error for the verdict of the step: GitHub shows ten of a kind', (t) => {
    const written = lines(
      Array.from({ length: 30 }, (_, i) => ({
        severity: i % 2 ? ('error' as const) : ('warning' as const),
        title: `t${i}`,
        message: 'm',
      })),
      t,
    )
    assert.equal(written.filter((line) => line.startsWith('::error')).length, 9)
    assert.equal(written.filter((line) => line.startsWith('::warning')).length, 9)
    assert.equal(written[0], '::error title=t1::m')
  })
  test('show what cannot be seen, in their titles too', (t) => {
    const [line = ''] = lines(
      [{ severity: 'note', title: 'a\u202e\u001b[8m', message: 'b\u200b\u001b[2J\n##[error]x' }],
      t,
    )
    assert.equal(line, '::notice title=a\ufffd::b\ufffd%0A##\u200b[error]x')
  })
  test('are one line each, and not longer than GitHub takes', (t) => {
    const [line = ''] = lines(
      [{ severity: 'note', message: `first\nsecond::error::forged\r\n${'x'.repeat(5000)}` }],
      t,
    )
    assert.match(line, /^::notice::first%0Asecond::error::forged%0Ax+ … \(cut/)
    assert.ok(decodeURIComponent(line.slice('::notice::'.length)).length <= 4096)
  })
})

describe('an environment', () => {
  const step = {
    PATH: '/bin',
    HOME: '/home/u',
    LC_ALL: 'C',
    TZ: 'UTC',
    NODE_ENV: 'test',
    GITHUB_SHA: 'abc',
    GITHUB_WORKSPACE: '/w',
    EMPTY: undefined,
    'INPUT_DECRYPT-WITH': 'AGE-SECRET-KEY-1',
    STATE_held: '[]',
    ACTIONS_RUNTIME_TOKEN: 't',
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't',
    ACTIONS_ID_TOKEN_REQUEST_URL: 'u',
    AWS_ACCESS_KEY_ID: 'k',
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_SESSION_TOKEN: 't',
    AWS_WEB_IDENTITY_TOKEN_FILE: 'f',
    GITHUB_OUTPUT: 'f',
    GITHUB_STATE: 'f',
    GITHUB_ENV: 'f',
    GITHUB_PATH: 'f',
    GITHUB_STEP_SUMMARY: 'f',
    DATABASE_URL: 'postgres://production',
    PGHOST: 'production',
    PGHOSTADDR: '10.0.0.1',
    PGSERVICE: 'production',
    PGPASSWORD: 'p',
    PGPASSFILE: '/f',
    PGOPTIONS: '-c x=y',
    PGSSLMODE: 'disable',
  }
  test('of a migration has the step’s variables, but no input, token, runner file or database', () => {
    assert.deepEqual(Object.keys(migrationEnvironment(step)).sort(), [
      'GITHUB_SHA',
      'GITHUB_WORKSPACE',
      'HOME',
      'LC_ALL',
      'NODE_ENV',
      'PATH',
      'TZ',
    ])
  })
  test('of PostgreSQL’s programs has what they need, and no more', () => {
    assert.deepEqual(Object.keys(childEnvironment(step)).sort(), [
      'HOME',
      'LC_ALL',
      'PATH',
      'PGPASSFILE',
      'TZ',
    ])
  })
})

test('a run’s address needs a server, a repository and a run', () => {
  const runner = {
    GITHUB_SERVER_URL: 'https://github.example',
    GITHUB_REPOSITORY: 'acme/shop',
    GITHUB_RUN_ID: '42',
  }
  assert.equal(
    runUrl({ ...runner, GITHUB_RUN_ATTEMPT: '2' }),
    'https://github.example/acme/shop/actions/runs/42/attempts/2',
  )
  assert.equal(runUrl(runner), 'https://github.example/acme/shop/actions/runs/42')
  assert.equal(runUrl({ ...runner, GITHUB_RUN_ID: '' }), undefined)
})
