import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { describe, test } from 'node:test'
import { circleAmong, offences } from './import-rule.ts'
import { layers } from './layers.ts'

const root = dirname(dirname(import.meta.dirname))

const files = globSync('src/**/*.ts', { cwd: root }).map((file) => file.split(sep).join('/'))

test('the source keeps the import rule', () => {
  assert.ok(files.length > 200, `only ${files.length} source files were found`)
  const found = files.flatMap((file) => offences(file, readFileSync(join(root, file), 'utf8')))
  assert.deepEqual(
    found.map(({ file, line, what }) => `${file}:${line} ${what}`),
    [],
  )
})

test('no file imports itself by way of others, types included', () => {
  assert.equal(
    circleAmong(new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')])))?.join(
      ' → ',
    ),
    undefined,
  )
})

test('each folder stands in one layer, and each layer has a folder or file', () => {
  const rooms = [
    ...new Set(files.map((file) => file.split('/')[1]?.replace(/\.ts$/, '') ?? '')),
  ].sort()
  assert.deepEqual(layers.flat().toSorted(), rooms)
})

describe('a circle is found', () => {
  const circles: [title: string, sources: Record<string, string>, circle: string | undefined][] = [
    [
      'of two',
      { 'src/a.ts': "import { b } from './b.ts'", 'src/b.ts': "import { a } from './a.ts'" },
      'src/a.ts → src/b.ts → src/a.ts',
    ],
    [
      'of types',
      {
        'src/a.ts': "import type { B } from './b.ts'",
        'src/b.ts': "import type { A } from './a.ts'",
      },
      'src/a.ts → src/b.ts → src/a.ts',
    ],
    [
      'of three, behind a way in',
      {
        'src/x.ts': "import './a.ts'",
        'src/a.ts': "import './b.ts'",
        'src/b.ts': "export * from './c/c.ts'",
        'src/c/c.ts': "const a = import('../a.ts')",
      },
      'src/a.ts → src/b.ts → src/c/c.ts → src/a.ts',
    ],
    [
      'by a type in place',
      { 'src/a.ts': "type B = import('./b.ts').B", 'src/b.ts': "import './a.ts'" },
      'src/a.ts → src/b.ts → src/a.ts',
    ],
    [
      'only where there is one',
      {
        'src/a.ts': "import './b.ts'\nimport './c.ts'",
        'src/b.ts': "import './c.ts'",
        'src/c.ts': '',
      },
      undefined,
    ],
  ]
  for (const [title, sources, circle] of circles)
    test(title, () =>
      assert.equal(circleAmong(new Map(Object.entries(sources)))?.join(' → '), circle),
    )
})

describe('the rule is broken by', () => {
  const broken: [title: string, file: string, text: string, says: RegExp][] = [
    [
      'an import that points up',
      'src/stream/pipe.ts',
      "import { backup } from '../backup/backup.ts'",
      /stream may import only what stands below it: errors, work, text, version/,
    ],
    [
      'a type that points up',
      'src/postgres/pg-dump/pg-dump.ts',
      "import type { BackupResult } from '../../backup/backup.ts'",
      /postgres may import only/,
    ],
    [
      'an import across',
      'src/postgres/pg-dump/pg-dump.ts',
      "import { openStorage } from '../../storage/open.ts'",
      /postgres may import only/,
    ],
    [
      'an export from above',
      'src/backup/backup.ts',
      "export { addMask } from '../github/mask.ts'",
      /backup may import only/,
    ],
    [
      'an import when needed',
      'src/storage/s3/s3.ts',
      "const it = await import('../../repository/manifest.ts')",
      /storage may import only/,
    ],
    [
      "a type's own import",
      'src/stream/digest.ts',
      "export type A = import('../storage/storage.ts').Storage",
      /stream may import only/,
    ],
    ['a computed import', 'src/backup/backup.ts', 'const it = await import(name)', /computed/],
    [
      'a folder that nobody placed',
      'src/utils/strings.ts',
      "import { UserError } from '../errors.ts'",
      /src\/utils is in no layer/,
    ],
    [
      'an import of such a folder',
      'src/backup/backup.ts',
      "import { pad } from '../utils/strings.ts'",
      /src\/utils is in no layer/,
    ],
    [
      'a neighbour of the same layer',
      'src/verify/verify.ts',
      "import { restore } from '../restore/restore.ts'",
      /verify may import only/,
    ],
    [
      'a report with code of what it shows',
      'src/report/verify/verify.ts',
      "import { type VerifyResult, verify } from '../../verify/verify.ts'",
      /report may import only types of verify/,
    ],
    [
      'one way to restore that imports another',
      'src/restore/swap/swap.ts',
      "import { replace } from '../tables/replace.ts'",
      /only src\/restore\/restore\.ts imports a sub-folder of restore/,
    ],
    [
      'a file that goes round the dispatcher',
      'src/restore/undo.ts',
      "import { restoreBySwap } from './swap/swap.ts'",
      /only src\/restore\/restore\.ts imports/,
    ],
    [
      'a way to restore that calls the dispatcher',
      'src/restore/swap/swap.ts',
      "import { restore } from '../restore.ts'",
      /only what stands above restore imports/,
    ],
    [
      'a store that knows another',
      'src/storage/local/local.ts',
      "import { S3Storage } from '../s3/s3.ts'",
      /only src\/storage\/open\.ts imports/,
    ],
    [
      'a lower part of postgres that imports a higher',
      'src/postgres/fingerprint/schema.ts',
      "import { dump } from '../pg-dump/pg-dump.ts'",
      /postgres\/fingerprint may import only what stands below it: programs, connection/,
    ],
    [
      'parts of postgres side by side',
      'src/postgres/pg-dump/pg-dump.ts',
      "import { startCluster } from '../server/cluster.ts'",
      /postgres\/pg-dump may import only/,
    ],
    [
      'an unknown part of postgres',
      'src/postgres/misc/a.ts',
      "import { connect } from '../connection/session.ts'",
      /src\/postgres\/misc is in no layer/,
    ],
    [
      'a runner package below the edge',
      'src/backup/backup.ts',
      "import * as core from '@actions/core'",
      /only src\/github/,
    ],
    [
      'a runner package in the report',
      'src/report/text.ts',
      "import type { InputOptions } from '@actions/core'",
      /only src\/github/,
    ],
    [
      'the environment, read below the edge',
      'src/backup/backup.ts',
      'const url = process.env.PGHOST',
      /process\.env/,
    ],
    [
      'the environment by brackets',
      'src/storage/s3/s3.ts',
      "const url = process['env']",
      /process\.env/,
    ],
    [
      'the environment, taken apart',
      'src/storage/s3/s3.ts',
      'const { env } = process',
      /process\.env/,
    ],
    [
      'the environment by its module',
      'src/storage/s3/s3.ts',
      "import { env } from 'node:process'",
      /node:process/,
    ],
    [
      'the environment, read by the command line: dist/cli.js passes it',
      'src/cli/cli.ts',
      'const home = process.env.HOME',
      /process\.env/,
    ],
    [
      'an action that knows the command line',
      'src/actions/run.ts',
      "import { cli } from '../cli/cli.ts'",
      /actions may import only/,
    ],
    [
      'shared code that imports',
      'src/work.ts',
      "import { digest } from './stream/digest.ts'",
      /work may import only what stands below it: text, version/,
    ],
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
    [
      'an import that points down',
      'src/backup/backup.ts',
      "import { dump } from '../postgres/pg-dump/pg-dump.ts'",
    ],
    ['a neighbour in the folder', 'src/stream/pipe.ts', "import { digest } from './digest.ts'"],
    [
      'errors and work, by all',
      'src/stream/pipe.ts',
      "import { UserError } from '../errors.ts'\nimport type { Work } from '../work.ts'",
    ],
    [
      'a report that knows the shape of what it shows',
      'src/report/verify/verify.ts',
      "import type { VerifyResult } from '../../verify/verify.ts'",
    ],
    [
      'types marked one by one',
      'src/report/verify/verify.ts',
      "import { type Difference, levels } from '../../repository/level.ts'",
    ],
    [
      'the command line, which runs what the actions run',
      'src/cli/run.ts',
      "import { backupStep } from '../actions/backup.ts'",
    ],
    [
      'a way to restore that uses what all of them share',
      'src/restore/swap/swap.ts',
      "import { planOf } from '../plan.ts'",
    ],
    [
      'the dispatcher, which knows them all',
      'src/restore/restore.ts',
      "import { restoreBySwap } from './swap/swap.ts'",
    ],
    ['the environment at the edge', 'src/actions/run.ts', 'const debug = process.env.RUNNER_DEBUG'],
    [
      'a runner package at the edge',
      'src/github/inputs/inputs.ts',
      "import { getInput } from '@actions/core'",
    ],
  ]
  for (const [title, file, text] of kept)
    test(title, () => assert.deepEqual(offences(file, text), []))
})
