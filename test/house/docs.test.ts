/**
 * The documents say what is so: what they name exists, what they show works, and nothing in them is
 * of one machine.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { readManifest } from '../../src/repository/manifest.ts'

const root = dirname(dirname(import.meta.dirname))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = globSync(['*.md', 'docs/**/*.md', 'actions/**/*.md'], { cwd: root }).sort()

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
}
interface Workflow {
  on: { workflow_call?: { inputs?: Names; secrets?: Names } }
}
interface Use {
  uses: string
  with?: Record<string, unknown>
  secrets?: Record<string, unknown>
}

/**
 * Every step and job in a snippet (a workflow, some jobs, or a list of steps) that uses something
 * of ours.
 */
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

/** As GitHub makes an anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

test('the pages that we promise are there', () => {
  for (const page of [
    'README.md',
    'docs/architecture.md',
    'docs/format.md',
    'docs/threat-model.md',
    'docs/recipes.md',
  ])
    assert.ok(pages.includes(page), page)
  assert.match(read('LICENSE'), /^MIT License\n/)
})

for (const page of pages) {
  describe(page, () => {
    test('links to what is there', () => {
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

    test('names files of ours that are there', () => {
      for (const [, path = ''] of read(page).matchAll(
        /(?<![\w./-])((?:src|test|scripts|docs|dist|\.ci)\/[\w./-]*\w)/g,
      ))
        assert.ok(existsSync(join(root, path)), path)
    })

    test('names nothing of one machine', () => {
      const paths = [...read(page).matchAll(/(?<![\w.-])\/(?:work|tmp|home|root|Users)\/\S*/g)].map(
        ([path]) => path,
      )
      assert.deepEqual(paths, [])
    })

    for (const [i, text] of blocks(page, 'yaml').entries()) {
      test(`workflow ${i + 1}: is YAML, gives our actions the right inputs, and names its permissions`, () => {
        const snippet = parse(text) as Record<string, unknown>
        if ('on' in snippet) assert.ok('permissions' in snippet, 'no permissions')
        const found = uses(snippet)
        assert.ok(found.length > 0, 'it uses nothing of ours')
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

test('README.md has one workflow for each action', () => {
  const used = blocks('README.md', 'yaml').map((text) =>
    uses(parse(text)).map((use) => /actions\/([\w-]+)@/.exec(use.uses)?.[1]),
  )
  assert.deepEqual(used, [['backup'], ['verify'], ['test-migration'], ['restore']])
})

test('docs/architecture.md has a line for each dependency, and names each folder of the source', () => {
  const page = read('docs/architecture.md')
  const project = JSON.parse(read('package.json')) as Record<string, Record<string, string>>
  const [shipped = '', others = ''] = page
    .slice(page.indexOf('\n## Dependencies'))
    .split('For building and testing only')
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
  for (const folder of globSync('src/*/', { cwd: root }))
    assert.ok(page.includes(`\`${folder.replace(/\/?$/, '/')}\``), folder)
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
