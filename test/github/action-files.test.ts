import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { generatedFiles } from '../../scripts/generate/all.ts'
import { inputs } from '../../src/github/descriptions/inputs.ts'
import { outputs } from '../../src/github/descriptions/outputs.ts'
import { descriptionFor } from '../../src/github/descriptions/text.ts'
import {
  type Env,
  inputAge,
  inputCount,
  inputDuration,
  inputShare,
  inputSize,
} from '../../src/github/inputs/input.ts'
import { findSecrets } from '../../src/github/mask.ts'
import * as entry from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const names = ['backup', 'verify', 'test-migration', 'restore'] as const

interface ActionFile {
  name: string
  description: string
  branding: { icon: string; color: string }
  inputs: Record<string, { description: string; required: boolean; default?: string }>
  outputs: Record<string, { description: string }>
  runs: { using: string; main: string; post: string }
}
interface WorkflowStep {
  uses?: string
  with?: Record<string, unknown>
}
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const actionFile = (path: string): ActionFile => parse(read(path)) as ActionFile

/** The inputs and outputs that issue and users rely on: they may grow, and are never renamed. */
const contract: Record<(typeof names)[number], { inputs: string[]; outputs: string[] }> = {
  backup: {
    inputs: [
      'database-url',
      'storage',
      'label',
      'encrypt-to',
      'keep',
      'fingerprint',
      'large-table',
      'jobs',
      'postgres-bin',
    ],
    outputs: ['backup-id', 'location', 'bytes', 'rows', 'duration-ms'],
  },
  verify: {
    inputs: [
      'storage',
      'label',
      'backup',
      'decrypt-with',
      'scratch-url',
      'level',
      'checks',
      'check-command',
      'working-directory',
      'timeout',
      'max-age',
      'max-restore-time',
      'max-size-change',
      'jobs',
      'postgres-bin',
    ],
    outputs: ['backup-id', 'level', 'proven', 'checked', 'valid', 'age-ms', 'restore-ms'],
  },
  'test-migration': {
    inputs: [
      'storage',
      'label',
      'backup',
      'decrypt-with',
      'scratch-url',
      'migrate-command',
      'working-directory',
      'timeout',
      'github-token',
      'jobs',
      'postgres-bin',
    ],
    outputs: ['verdict', 'report'],
  },
  restore: {
    inputs: [
      'storage',
      'label',
      'backup',
      'decrypt-with',
      'target-url',
      'confirm',
      'environment',
      'mode',
      'dry-run',
      'list',
      'undo',
      'keep-previous',
      'clean',
      'safety-backup',
      'tables',
      'schemas',
      'contents',
      'replace',
      'prepare',
      'owner',
      'post-command',
      'working-directory',
      'timeout',
      'max-restore-time',
      'jobs',
      'postgres-bin',
    ],
    outputs: [
      'backup-id',
      'database',
      'schema',
      'previous-database',
      'safety-backup-id',
      'lost-ms',
      'duration-ms',
    ],
  },
}

describe('the descriptions', () => {
  const described = [...inputs, ...outputs]
  const texts = described.flatMap((each) => [
    { name: each.name, text: each.description },
    ...(each.more ?? []).map(({ text }) => ({ name: each.name, text })),
  ])
  test('are sentences of at most 26 words, marked up with nothing but code', () => {
    for (const { name, text } of texts) {
      assert.match(text, /^[\p{Lu}`][^]{8,}\.$/u, name)
      assert.doesNotMatch(text.replaceAll(/`[^`]+`/g, ''), /[|<>*_[\]`]/, name)
      for (const sentence of text.replaceAll(/\([^)]*\)/g, '').split(/(?<=[.:;])\s/))
        assert.ok(sentence.split(/\s+/).length <= 26, `${name}: ${sentence}`)
    }
  })
  test('name each input and output once, and commands that exist', () => {
    for (const list of [inputs, outputs])
      assert.equal(new Set(list.map(({ name }) => name)).size, list.length)
    for (const { name, of, more = [] } of described) {
      assert.ok(of.length > 0, name)
      for (const each of more)
        assert.ok(
          each.of.every((command) => of.includes(command)),
          `${name}: ${each.text}`,
        )
    }
    for (const { name, of, required = [] } of inputs)
      assert.ok(
        required.every((command) => of.includes(command)),
        name,
      )
  })
  test('show an example that the input accepts', () => {
    const readers = {
      keep: (env: Env) => inputCount(env, 'keep', 1),
      jobs: (env: Env) => inputCount(env, 'jobs', 1),
      'large-table': (env: Env) => inputSize(env, 'large-table', 0),
      timeout: (env: Env) => inputDuration(env, 'timeout', 0),
      'keep-previous': (env: Env) => inputAge(env, 'keep-previous'),
      'max-age': (env: Env) => inputAge(env, 'max-age'),
      'max-restore-time': (env: Env) => inputAge(env, 'max-restore-time'),
      'max-size-change': (env: Env) => inputShare(env, 'max-size-change'),
    }
    for (const [name, read] of Object.entries(readers)) {
      const example = inputs.find((input) => input.name === name)?.example
      assert.ok(example && read({ [`INPUT_${name.toUpperCase()}`]: example }), name)
    }
  })
  test('mark every input that can hold a secret', () => {
    const secret = 'postgres://u:hunter22@h/d'
    for (const { name, secret: marked, variable } of inputs) {
      const { values } = findSecrets({ [`INPUT_${name.toUpperCase()}`]: secret })
      assert.ok(values.length === 0 || marked || variable, name)
    }
  })
})

test('every generated file is current', async () => {
  for (const { file, content } of generatedFiles) {
    const current = read(file)
    assert.equal(await content(current), current, `${file}: type npm run generate`)
  }
})

test('a reusable workflow describes its inputs and outputs as the actions do', () => {
  for (const file of ['nightly', 'migration-check']) {
    const workflow = parse(read(`.github/workflows/${file}.yml`)) as {
      on: { workflow_call: Record<'inputs' | 'outputs', ActionFile['outputs']> }
    }
    const own = workflow.on.workflow_call
    for (const [kind, known] of [
      ['inputs', inputs],
      ['outputs', outputs],
    ] as const)
      for (const { name, description } of known)
        assert.ok(own[kind][name]?.description.startsWith(description) ?? true, `${file}: ${name}`)
  }
})

for (const name of names) {
  describe(`actions/${name}`, () => {
    const action = actionFile(`actions/${name}/action.yml`)
    test('has the inputs and outputs of the contract', () => {
      assert.deepEqual(Object.keys(action.inputs), contract[name].inputs)
      assert.deepEqual(Object.keys(action.outputs), [
        ...contract[name].outputs,
        'outcome',
        'error-code',
      ])
    })
    test('is YAML that says what the descriptions say', () => {
      for (const input of inputs.filter(({ of }) => of.includes(name)))
        assert.deepEqual(action.inputs[input.name], {
          description: descriptionFor(input, name),
          required: input.required?.includes(name) ?? false,
          ...(input.default === undefined ? {} : { default: input.default }),
        })
      for (const output of outputs.filter(({ of }) => of.includes(name)))
        assert.deepEqual(action.outputs[output.name], {
          description: descriptionFor(output, name),
        })
    })
    test('runs on Node 24, by two lines that call the bundle', () => {
      assert.deepEqual(action.runs, { using: 'node24', main: 'main.js', post: 'post.js' })
      for (const file of ['main.js', 'post.js']) {
        const [, called] =
          /^import \{ (\w+) \} from '\.\.\/\.\.\/dist\/index\.js'\nawait \1\(\)\n$/.exec(
            read(`actions/${name}/${file}`),
          ) ?? []
        assert.equal(
          called,
          file === 'post.js' ? 'post' : name === 'test-migration' ? 'testMigration' : name,
        )
        assert.ok(called && called in entry, 'the bundle has it')
      }
    })
    test('has a README whose tables have a row for each input and output', () => {
      const readme = read(`actions/${name}/README.md`)
      for (const [table, entries] of [
        ['inputs', action.inputs],
        ['outputs', action.outputs],
      ] as const) {
        const [, rows = ''] =
          new RegExp(`<!-- generated: ${table} -->\\n([^]*?)<!-- end -->`).exec(readme) ?? []
        assert.deepEqual(
          [...rows.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, row]) => row),
          Object.keys(entries),
        )
      }
    })
    test('has a README with a workflow that is YAML, names its permissions, and uses inputs that exist', () => {
      const [, source = ''] = /```yaml\n([\s\S]*?)```/.exec(read(`actions/${name}/README.md`)) ?? []
      const workflow = parse(source) as {
        permissions: unknown
        jobs: Record<string, { steps: WorkflowStep[] }>
      }
      assert.ok(workflow.permissions)
      const used = Object.values(workflow.jobs)
        .flatMap(({ steps }) => steps)
        .find(({ uses = '' }) => uses.includes(`/actions/${name}@`))
      assert.ok(used)
      for (const input of Object.keys(used.with ?? {})) assert.ok(input in action.inputs, input)
      for (const [input, { required }] of Object.entries(action.inputs))
        assert.ok(!required || input in (used.with ?? {}), `${input} is required`)
    })
  })
}

describe('the root action', () => {
  const action = actionFile('action.yml')
  test('has every input and output of the four, with the same defaults, and says whose each is', () => {
    const inputs = new Map<string, string[]>()
    const outputs = new Map<string, string[]>()
    for (const name of names) {
      const own = actionFile(`actions/${name}/action.yml`)
      for (const [input, { default: usual }] of Object.entries(own.inputs)) {
        assert.equal(action.inputs[input]?.default, usual, input)
        inputs.set(input, [...(inputs.get(input) ?? []), name])
      }
      for (const output of Object.keys(own.outputs))
        outputs.set(output, [...(outputs.get(output) ?? []), name])
    }
    assert.deepEqual(Object.keys(action.inputs).sort(), ['command', ...inputs.keys()].sort())
    assert.deepEqual(Object.keys(action.outputs).sort(), [...outputs.keys()].sort())
    const whose = (of: string[]): string =>
      of.length === names.length ? '(all) ' : `(${of.join(', ')}) `
    for (const [input, of] of inputs)
      assert.ok(action.inputs[input]?.description.startsWith(whose(of)), input)
    for (const [output, of] of outputs)
      assert.ok(action.outputs[output]?.description.startsWith(whose(of)), output)
  })
  test('runs files that are there', () => {
    assert.equal(action.runs.using, 'node24')
    for (const file of [action.runs.main, action.runs.post]) assert.ok(existsSync(join(root, file)))
    assert.equal(
      read(action.runs.main),
      "import { holdfast } from '../dist/index.js'\nawait holdfast()\n",
    )
  })
})
