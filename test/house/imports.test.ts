import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { describe, test } from 'node:test'
import { offences } from './import-rule.ts'

const root = dirname(dirname(import.meta.dirname))

test('the source keeps the import rule', () => {
  const files = globSync('src/**/*.ts', { cwd: root }).map((file) => file.split(sep).join('/'))
  assert.ok(files.length > 20, `only ${files.length} source files were found`)
  const found = files.flatMap((file) => offences(file, readFileSync(join(root, file), 'utf8')))
  assert.deepEqual(found.map(({ file, line, what }) => `${file}:${line} ${what}`), [])
})

describe('the rule is broken by', () => {
  const broken: [title: string, file: string, text: string, says: RegExp][] = [
    ['an import that points up', 'src/stream/pipe.ts', "import { backup } from '../core/backup.ts'", /stream may import nothing/],
    ['a type that points up', 'src/postgres/dump.ts', "import type { BackupResult } from '../core/backup.ts'", /postgres may import stream/],
    ['an import across', 'src/postgres/dump.ts', "import { openStorage } from '../storage/open.ts'", /postgres may import stream/],
    ['an export from above', 'src/core/backup.ts', "export { addMask } from '../github/mask.ts'", /core may import postgres, storage, stream/],
    ['an import when needed', 'src/storage/s3.ts', "const it = await import('../core/manifest.ts')", /storage may import stream/],
    ["a type's own import", 'src/stream/digest.ts', "export type A = import('../storage/storage.ts').Storage", /stream may import nothing/],
    ['a computed import', 'src/core/backup.ts', 'const it = await import(name)', /computed/],
    ['an action that reaches past the core', 'src/actions/backup.ts', "import { dump } from '../postgres/dump.ts'", /actions may import github, core, report/],
    ['a report with code of the core', 'src/report/verify.ts', "import { type VerifyResult, verify } from '../core/verify.ts'", /report may import nothing/],
    ['a runner package below the edge', 'src/core/backup.ts', "import * as core from '@actions/core'", /only src\/github/],
    ['a runner package in the report', 'src/report/text.ts', "import type { InputOptions } from '@actions/core'", /only src\/github/],
    ['the environment, read in the core', 'src/core/backup.ts', 'const url = process.env.PGHOST', /process\.env/],
    ['the environment by brackets', 'src/storage/s3.ts', "const url = process['env']", /process\.env/],
    ['the environment, taken apart', 'src/storage/s3.ts', 'const { env } = process', /process\.env/],
    ['the environment by its module', 'src/storage/s3.ts', "import { env } from 'node:process'", /node:process/],
    ['the environment, read by the command line: dist/cli.js passes it', 'src/cli/cli.ts', 'const home = process.env.HOME', /process\.env/],
    ['an action that knows the command line', 'src/actions/run.ts', "import { cli } from '../cli/cli.ts'", /actions may import github, core, report/],
    ['shared code that imports', 'src/errors.ts', "import { digest } from './stream/digest.ts'", /imports nothing/],
  ]
  for (const [title, file, text, says] of broken) {
    test(title, () => {
      const found = offences(file, `// a first line\n${text}\n`)
      assert.equal(found.length, 1)
      assert.match(found[0]?.what ?? '', says)
      assert.equal(found[0]?.line, 2)
    })
  }
})

describe('the rule allows', () => {
  const kept: [title: string, file: string, text: string][] = [
    ['an import that points down', 'src/core/backup.ts', "import { dump } from '../postgres/dump.ts'"],
    ['a neighbour', 'src/stream/pipe.ts', "import { digest } from './digest.ts'"],
    ['errors and work, by all', 'src/stream/pipe.ts', "import { UserError } from '../errors.ts'\nimport type { Work } from '../work.ts'"],
    ['a report that knows the shape of what the core tells', 'src/report/verify.ts', "import type { VerifyResult } from '../core/verify.ts'"],
    ['the command line, which runs what the actions run', 'src/cli/run.ts', "import { backupStep } from '../actions/backup.ts'"],
    ['types marked one by one', 'src/report/verify.ts', "import { type Level, type Difference } from '../core/level.ts'"],
    ['the environment at the edge', 'src/actions/run.ts', 'const debug = process.env.RUNNER_DEBUG'],
    ['a runner package at the edge', 'src/github/inputs.ts', "import { getInput } from '@actions/core'"],
  ]
  for (const [title, file, text] of kept) test(title, () => assert.deepEqual(offences(file, text), []))
})
