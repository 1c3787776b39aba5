import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { goTool } from '../support/go-tool.ts'

const root = dirname(dirname(import.meta.dirname))
const workflows = globSync('.github/workflows/*.yml', { cwd: root }).sort()
const actions = ['action.yml', ...globSync('actions/*/action.yml', { cwd: root }).sort()]

interface Step {
  id?: string
  uses?: string
  run?: string
  if?: string
  env?: Record<string, string>
  with?: Record<string, string>
}
interface Workflow {
  on: Record<string, unknown>
  permissions?: Record<string, string>
  concurrency?: { group: string; 'cancel-in-progress': boolean }
  jobs: Record<
    string,
    { permissions?: Record<string, string>; steps: Step[]; outputs?: Record<string, string> }
  >
}
interface Action {
  inputs?: Record<string, { description?: string; required?: boolean; default?: unknown }>
  outputs?: Record<string, { description?: string; value?: string }>
  runs: { using: string; main?: string; post?: string; steps?: Step[] }
}

const readWorkflow = (file: string): Workflow =>
  parse(readFileSync(join(root, file), 'utf8')) as Workflow
const readAction = (file: string): Action => parse(readFileSync(join(root, file), 'utf8')) as Action

/** The only rights to write that a job of a workflow may have. */
const mayWrite: Record<string, string[]> = {
  // the comment on the pull request
  'migration-check.yml': ['pull-requests'],
  // the findings of the analysis
  'codeql.yml': ['security-events'],
}

/** Every list of steps that the repository has: of each job and each composite action. */
const stepLists = [
  ...workflows.flatMap((file) =>
    Object.entries(readWorkflow(file).jobs).map(([job, { steps }]) => ({
      where: `${file}, job ${job}`,
      steps,
    })),
  ),
  ...actions.map((file) => ({ where: file, steps: readAction(file).runs.steps ?? [] })),
]

test('there are the workflows and actions that we promise', () => {
  for (const name of ['ci', 'nightly', 'migration-check'])
    assert.ok(workflows.includes(`.github/workflows/${name}.yml`), name)
  for (const name of ['backup', 'verify', 'test-migration', 'restore', 'nightly'])
    assert.ok(actions.includes(`actions/${name}/action.yml`), name)
})

describe('steps that use our actions', () => {
  for (const { where, steps } of stepLists) {
    for (const { id, uses = '', with: given = {} } of steps) {
      const own = /^(?:\$|\.)\/(actions\/[\w-]+)$/.exec(uses)?.[1]
      if (own === undefined) continue
      test(`${where}: ${id ?? uses} gives inputs that exist, and all that are required`, () => {
        const { inputs = {} } = readAction(join(own, 'action.yml'))
        assert.deepEqual(
          Object.keys(given).filter((name) => !(name in inputs)),
          [],
        )
        assert.deepEqual(
          Object.entries(inputs)
            .filter(([name, { required }]) => required === true && !(name in given))
            .map(([name]) => name),
          [],
        )
      })
    }
    test(`${where}: outputs that are read exist`, () => {
      const text = JSON.stringify(
        where.startsWith('.github') ? readWorkflow(where.split(',')[0] ?? '') : readAction(where),
      )
      for (const [, id = '', output = ''] of text.matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)) {
        const step = steps.find((candidate) => candidate.id === id)
        const own = /^(?:\$|\.)\/(actions\/[\w-]+)$/.exec(step?.uses ?? '')?.[1]
        if (own !== undefined)
          assert.ok(
            output in (readAction(join(own, 'action.yml')).outputs ?? {}),
            `${own} has no output ${output}`,
          )
      }
    })
    test(`${where}: no expression stands in a script`, () => {
      // whoever can choose the value would choose what runs: pass it by env
      assert.deepEqual(
        steps.filter(({ run = '' }) => run.includes('${{')).map(({ run }) => run),
        [],
      )
    })
  }
})

describe('the contract of each action', () => {
  for (const file of actions) {
    test(file, () => {
      const { inputs = {}, outputs = {}, runs } = readAction(file)
      for (const [name, { description = '' }] of Object.entries({ ...inputs, ...outputs })) {
        assert.match(name, /^[a-z]+(?:-[a-z]+)*$/)
        assert.ok(description.length > 10, `${name} is not described`)
      }
      for (const name of ['storage', 'label']) assert.ok(name in inputs, `no input ${name}`)
      for (const name of ['outcome', 'error-code']) assert.ok(name in outputs, `no output ${name}`)
      if (runs.using === 'composite') return
      assert.equal(runs.using, 'node24')
      for (const script of [runs.main, runs.post])
        if (script !== undefined) assert.ok(existsSync(join(root, dirname(file), script)), script)
    })
  }

  test('nightly takes every input of backup and verify, but which backup', () => {
    const { inputs = {} } = readAction('actions/nightly/action.yml')
    const names = ['backup', 'verify'].flatMap((name) =>
      Object.keys(readAction(`actions/${name}/action.yml`).inputs ?? {}),
    )
    assert.deepEqual(
      Object.keys(inputs).sort(),
      [...new Set(names)].filter((name) => name !== 'backup').sort(),
    )
  })
})

describe('the workflows', () => {
  for (const file of workflows) {
    test(`${file}: nothing is permitted but what a job asks for, and no job may write more than it needs`, () => {
      const { permissions, jobs } = readWorkflow(file)
      assert.deepEqual(permissions, {})
      for (const job of Object.values(jobs)) {
        const writes = Object.entries(job.permissions ?? {})
          .filter(([, right]) => right !== 'read')
          .map(([scope]) => scope)
        assert.deepEqual(writes, mayWrite[file.split('/').at(-1) ?? ''] ?? [])
      }
    })
  }

  test('nightly runs on a schedule off the hour, by hand, and when called; one that runs is never cut off', () => {
    const { on, concurrency } = readWorkflow('.github/workflows/nightly.yml')
    assert.deepEqual(Object.keys(on), ['schedule', 'workflow_dispatch', 'workflow_call'])
    const [{ cron }] = on.schedule as [{ cron: string }]
    assert.notEqual(Number(cron.split(' ')[0]) % 15, 0)
    assert.equal(concurrency?.['cancel-in-progress'], false)
  })

  test('the migration check runs on pull requests and calls, never on pull_request_target', () => {
    assert.deepEqual(Object.keys(readWorkflow('.github/workflows/migration-check.yml').on), [
      'pull_request',
      'workflow_call',
    ])
  })
})

describe('a reusable workflow installs the programs of one major version of PostgreSQL', () => {
  const packages = { nightly: 'postgresql-17', 'migration-check': 'postgresql-client-17' }
  for (const [name, wanted] of Object.entries(packages))
    test(name, () => {
      const { on, jobs } = readWorkflow(`.github/workflows/${name}.yml`)
      const { inputs } = on['workflow_call'] as { inputs: Record<string, { default?: string }> }
      assert.equal(inputs['postgres-version']?.default, '17')
      const steps = Object.values(jobs).flatMap((job) => job.steps)
      const at = steps.findIndex(({ env }) => env?.['VERSION'] !== undefined)
      assert.ok(at >= 0 && at < steps.findIndex(({ uses = '' }) => uses.startsWith('$/actions/')))
      const { if: condition, env, run = '' } = steps[at] ?? {}
      for (const source of ['inputs.postgres-version', 'vars.HOLDFAST_POSTGRES_VERSION']) {
        assert.ok(condition?.includes(`${source} != ''`))
        assert.ok(env?.['VERSION']?.includes(source))
      }
      const script = `sudo() { echo "$@"; }; set -e\n${run}`
      const { stdout } = spawnSync('bash', ['-c', script], {
        env: { ...process.env, VERSION: '17' },
        encoding: 'utf8',
      })
      assert.deepEqual(stdout.trim().split('\n'), [
        '/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y',
        `apt-get install -y ${wanted}`,
      ])
    })
})

test('every workflow checks out with the same version of the action', () => {
  const pages = globSync(['*.md', 'docs/**/*.md', 'actions/*/README.md'], { cwd: root })
  const used = [...workflows, ...pages].flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/actions\/checkout@(\S+)/g)].map(
      ([, version]) => version,
    ),
  )
  assert.ok(used.length > 4)
  assert.deepEqual([...new Set(used)], ['v5'])
})

test('the whole workflow of each action installs the programs that it needs', () => {
  for (const file of globSync('actions/*/README.md', { cwd: root })) {
    const page = readFileSync(join(root, file), 'utf8')
    assert.match(page, /sudo apt-get install -y postgresql-/, file)
    assert.equal(
      page.match(/<!-- generated:/g)?.length,
      page.match(/<!-- end -->/g)?.length,
      `${file}: each marker has one end`,
    )
  }
})

const actionlint = goTool('actionlint')
test(
  'actionlint has nothing to say but that it does not know `$/`',
  { skip: actionlint === undefined && 'NOT SHOWN: neither actionlint nor Go is here' },
  () => {
    // $/ (the repository of the running workflow) is younger than actionlint's checks
    const known = 'specifying action "\\$/actions/[a-z-]+" in invalid format because ref is missing'
    const { status, stdout, stderr } = spawnSync(
      actionlint ?? '',
      ['-no-color', '-ignore', known, ...workflows],
      { cwd: root, encoding: 'utf8' },
    )
    assert.equal(status, 0, stdout + stderr)
  },
)
