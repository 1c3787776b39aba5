/**
 * The pages are true: the files they name exist, the snippets they show are valid, and no path of
 * one machine is in them.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { folderTable, sourceFolders } from '../../scripts/generate/architecture.ts'
import { readManifest } from '../../src/repository/manifest.ts'
import { goTool } from '../support/go-tool.ts'

const root = dirname(dirname(import.meta.dirname))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = globSync(['*.md', 'docs/**/*.md', 'actions/**/*.md'], { cwd: root }).sort()
const sources = globSync(['src/**/*.ts', 'test/**/*.ts', 'scripts/**/*.{ts,mjs}'], { cwd: root })

/** The fenced blocks of one language. */
function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, of]) => of === language)
    .map(([, , text = '']) => text)
}

/** A page without its fenced blocks. */
const prose = (page: string): string => read(page).replace(/^```\w*\n.*?^```$/gms, '')

interface Names {
  [name: string]: { required?: boolean } | undefined
}
interface Action {
  inputs?: Names
  outputs?: Names
}
interface Workflow {
  on: { workflow_call?: { inputs?: Names; secrets?: Names } }
}
interface Use {
  id?: string
  uses: string
  with?: Record<string, unknown>
  secrets?: Record<string, unknown>
}

/** Returns every step and job in a snippet (a workflow, jobs, or steps) that uses Holdfast. */
function uses(value: unknown): Use[] {
  if (Array.isArray(value)) return value.flatMap(uses)
  if (typeof value !== 'object' || value === null) return []
  const own =
    'uses' in value && typeof value.uses === 'string' && value.uses.startsWith('OWNER/holdfast')
      ? [value as Use]
      : []
  return [...own, ...Object.values(value).flatMap(uses)]
}

function assertNames(given: object | undefined, known: Names | undefined, what: string): void {
  for (const name of Object.keys(given ?? {}))
    assert.ok(known && name in known, `${what} has no ${name}`)
  for (const [name, of] of Object.entries(known ?? {}))
    assert.ok(!of?.required || name in (given ?? {}), `${what} needs ${name}`)
}

/** Returns the anchor that GitHub makes for a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

/** The number of words in a page, without code blocks, comments and the lines of tables. */
const wordsOf = (page: string): number =>
  prose(page)
    .replace(/<!--.*?-->/gs, '')
    .split(/\s+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word)).length

test('there is one page per task, and the README links to every page', () => {
  for (const page of ['back-up', 'verify', 'test-migration', 'restore', 'undo-restore', 'runbook'])
    assert.ok(pages.includes(`docs/${page}.md`), page)
  const linked = ['README.md', 'docs/architecture.md', 'docs/decisions/README.md'].flatMap((page) =>
    [...prose(page).matchAll(/\]\(([^)#\s]+)[^)\s]*\)/g)].map(([, target = '']) =>
      join(dirname(page), target).replaceAll('\\', '/'),
    ),
  )
  assert.deepEqual(
    pages.filter((page) => page !== 'README.md' && !linked.includes(page)),
    [],
  )
  assert.match(read('LICENSE'), /^MIT License\n/)
})

test('README.md has fewer than 120 lines, docs/architecture.md fewer than 1,500 words', () => {
  assert.ok(read('README.md').split('\n').length <= 120)
  const words = wordsOf('docs/architecture.md')
  assert.ok(words < 1500, `${words} words`)
})

for (const page of pages) {
  describe(page, () => {
    test('has links that lead somewhere', () => {
      for (const [, target = ''] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https:\/\//.test(target)) continue
        const [file = '', anchor] = target.split('#')
        const path = file === '' ? page : join(dirname(page), file)
        assert.ok(existsSync(join(root, path)), `${target} leads nowhere`)
        if (anchor !== undefined)
          assert.ok(
            [...prose(path).matchAll(/^#+ (.*)$/gm)].some(
              ([, heading = '']) => anchorOf(heading) === anchor,
            ),
            `${path} has no heading #${anchor}`,
          )
      }
    })

    test('names files that exist', () => {
      for (const [, path = ''] of read(page).matchAll(
        /(?<![\w./-])((?:src|test|scripts|docs|dist|\.ci)\/[\w./-]*\w)/g,
      ))
        assert.ok(existsSync(join(root, path)), path)
      // with its folder or without: `backup.ts`, `pg-dump/snapshot.ts`
      for (const [, path = ''] of prose(page).matchAll(/`([\w@./-]+\.(?:ts|mjs))`/g))
        assert.ok(
          sources.some((file) => `/${file.replaceAll('\\', '/')}`.endsWith(`/${path}`)),
          `no source file ${path}`,
        )
    })

    test('names no path of one machine', () => {
      const paths = [...read(page).matchAll(/(?<![\w.-])\/(?:work|tmp|home|root|Users)\/\S*/g)].map(
        ([path]) => path,
      )
      assert.deepEqual(paths, [])
    })

    for (const [i, text] of blocks(page, 'yaml').entries()) {
      test(`workflow ${i + 1}: valid YAML, inputs that exist, all required ones, permissions`, () => {
        const snippet = parse(text) as Record<string, unknown>
        if ('on' in snippet) assert.ok('permissions' in snippet, 'no permissions')
        const found = uses(snippet)
        assert.ok(found.length > 0, 'it does not use Holdfast')
        for (const use of found) {
          const [, path = ''] = /^OWNER\/holdfast\/?(.*)@/.exec(use.uses) ?? []
          if (path.endsWith('.yml')) {
            const called = (parse(read(path)) as Workflow).on.workflow_call
            assert.ok(called, `${path} cannot be called`)
            assertNames(use.with, called.inputs, path)
            assertNames(use.secrets, called.secrets, path)
          } else {
            assertNames(use.with, (parse(read(join(path, 'action.yml'))) as Action).inputs, path)
          }
        }
      })
    }
  })
}

/** The actions that each workflow of a page uses; steps and jobs without `on` are left out. */
const workflowsOf = (page: string): (string | undefined)[][] =>
  blocks(page, 'yaml')
    .map((text) => parse(text) as Record<string, unknown>)
    .filter((snippet) => 'on' in snippet)
    .map((snippet) => uses(snippet).map((use) => /actions\/([\w-]+)@/.exec(use.uses)?.[1]))

test('README.md has one workflow, which backs up and proves', () => {
  assert.deepEqual(workflowsOf('README.md'), [['backup', 'verify']])
})

test('the page of each task begins with a whole workflow of its action', () => {
  for (const [page, action] of Object.entries({
    'back-up': 'backup',
    verify: 'verify',
    'test-migration': 'test-migration',
    restore: 'restore',
  }))
    assert.deepEqual(workflowsOf(`docs/${page}.md`)[0], [action], page)
})

test('steps of a snippet read outputs that exist', () => {
  for (const page of pages) {
    for (const text of blocks(page, 'yaml')) {
      const snippet: unknown = parse(text)
      for (const [, id = '', output = ''] of text.matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)) {
        const step = uses(snippet).find((use) => use.id === id)
        const path = /^OWNER\/holdfast\/(.*)@/.exec(step?.uses ?? '')?.[1]
        assert.ok(path !== undefined, `${page} has no step ${id}`)
        const { outputs } = parse(read(join(path, 'action.yml'))) as Action
        assert.ok(outputs && output in outputs, `${path} has no output ${output}`)
      }
    }
  }
})

const actionlint = goTool('actionlint')
test(
  'actionlint finds no fault in a whole workflow',
  { skip: actionlint === undefined && 'NOT SHOWN: neither actionlint nor Go is here' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
    try {
      const files = pages.flatMap((page) =>
        blocks(page, 'yaml')
          .filter((text) => /^on:/m.test(text))
          .map((text, i) => {
            const file = join(folder, `${page.replaceAll(/[\\/]/g, '_')}.${i + 1}.yml`)
            writeFileSync(file, text)
            return file
          }),
      )
      assert.ok(files.length > 8)
      const { status, stdout, stderr } = spawnSync(actionlint ?? '', ['-no-color', ...files], {
        encoding: 'utf8',
      })
      assert.equal(status, 0, stdout + stderr)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
)

test('docs/dependencies.md has a line for each dependency', () => {
  const page = read('docs/dependencies.md')
  const project = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const [shipped = '', others = ''] = page.split('For building and testing only')
  const lines = (part: string): string[] =>
    [...part.matchAll(/^\| (`.*?) \|/gm)]
      .flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
      .sort()
  assert.deepEqual(lines(shipped), Object.keys(project.dependencies ?? {}).sort())
  assert.deepEqual(
    lines(others),
    [
      ...Object.keys(project.devDependencies ?? {}),
      ...Object.keys(project.optionalDependencies ?? {}),
    ].sort(),
  )
})

test('docs/architecture.md has a row for each folder of the source, and for no other', () => {
  const rows = [...read('docs/architecture.md').matchAll(/^\| `(src\/[^`]*)\/` \|/gm)]
  const folders = globSync('src/**/*.ts', { cwd: root })
    .map((file) => dirname(file).replaceAll('\\', '/'))
    .filter((folder) => folder !== 'src')
  assert.deepEqual(rows.map(([, folder]) => folder).sort(), [...new Set(folders)].sort())
  assert.equal(sourceFolders().length, rows.length)
})

test('the table of folders has the first sentence of each main file, and fails without one', () => {
  const files = new Map([['a/a.ts', "/**\n * What a | has. More.\n */\nimport x from 'x'\n"]])
  const read = (file: string): string | undefined => files.get(file)
  assert.match(folderTable(['a'], read, true), /\n\| `src\/a\/` \| What a \\\| has\. \|$/)
  assert.throws(
    () => folderTable(['a', 'b', 'c/d'], read, true),
    /src\/b\/b\.ts, src\/c\/d\/d\.ts:/,
  )
})

test('each decision has a context, a decision, its consequences, and a line in the index', () => {
  const index = read('docs/decisions/README.md')
  const decisions = pages.filter((page) => /^docs\/decisions\/\d{4}-[a-z0-9-]+\.md$/.test(page))
  assert.ok(decisions.length > 10)
  for (const page of decisions) {
    const text = read(page)
    const [, number = '', title = ''] = /^# (\d{4}) (.+)\n/.exec(text) ?? []
    assert.ok(page.startsWith(`docs/decisions/${number}-`), page)
    assert.deepEqual(
      [...text.matchAll(/^## (.*)$/gm)]
        .map(([, heading]) => heading)
        .filter((heading) => heading !== 'Measurements'),
      ['Context', 'Decision', 'Consequences'],
      page,
    )
    assert.ok(index.includes(`[${number} ${title}](${page.slice('docs/decisions/'.length)})`), page)
  }
})

test('docs/threat-model.md names a test for each invariant', () => {
  const rows =
    /\| invariant \| shown by \|\n\| --- \| --- \|\n((?:\|.*\n)+)/
      .exec(read('docs/threat-model.md'))?.[1]
      ?.trim()
      .split('\n') ?? []
  assert.ok(rows.length > 10)
  for (const row of rows) assert.match(row, /`test\/[\w/-]+\.test\.ts`.*\|$/)
})

describe('docs/format.md', () => {
  const [example = ''] = blocks('docs/format.md', 'json')

  test('shows a manifest that reads, with its right digest', () =>
    assert.equal(readManifest(example, 'in docs/format.md').format, 1))

  test('describes each of its members', () => {
    const page = prose('docs/format.md')
    const named = (value: unknown, path: string[]): string[] => {
      // below these, names are the database's own
      if (['schema', 'extensions', 'matviews'].includes(path.at(-1) ?? '')) return []
      if (path.at(-1) === 'sequences')
        return named(Object.values(value as object)[0], [...path, '*'])
      if (Array.isArray(value)) return value.flatMap((each) => named(each, path))
      if (typeof value !== 'object' || value === null) return []
      return Object.entries(value).flatMap(([name, inner]) => [
        name,
        ...named(inner, [...path, name]),
      ])
    }
    const missing = [...new Set(named(JSON.parse(example), []))].filter(
      (name) => !new RegExp(`\`[\\w[\\].]*\\b${name}\\b[\\w[\\].]*\``).test(page),
    )
    assert.deepEqual(missing, [])
  })

  test('has a line of stock tools that tells a whole manifest from a damaged one', () => {
    const [check = ''] = blocks('docs/format.md', 'sh')
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
    const run = (manifest: string): { status: number | null; stdout: string } => {
      writeFileSync(join(folder, 'manifest.json'), manifest)
      return spawnSync('bash', ['-o', 'pipefail', '-c', check], { cwd: folder, encoding: 'utf8' })
    }
    try {
      assert.deepEqual([run(example).status, run(example).stdout], [0, '-: OK\n'])
      assert.notEqual(run(example.replace('"rows": 2', '"rows": 3')).status, 0)
      assert.notEqual(run(example.replace(/[0-9a-f]{64}(?="\n\}\n$)/, 'f'.repeat(64))).status, 0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
