import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { parse } from 'yaml'
import { type Asked, readArguments } from '../../src/cli/arguments.ts'
import { commands, examples, hasVariable, inputsOf, variableOf } from '../../src/cli/commands.ts'
import { keysFrom, stepEnvironment } from '../../src/cli/environment.ts'
import { helpText } from '../../src/cli/help.ts'
import { renderMarkdown } from '../../src/report/render/markdown.ts'
import { plainText } from '../../src/text.ts'
import { UserError } from '../../src/errors.ts'
import type { CommandName } from '../../src/github/descriptions/inputs.ts'

const actionNames = ['backup', 'verify', 'test-migration', 'restore'] as const
interface ActionFile {
  inputs: Record<string, unknown>
}
const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
after(() => rmSync(folder, { recursive: true }))

const asked = (...argv: string[]): Asked => readArguments(argv) as Asked
const refused = (...argv: string[]): UserError => {
  try {
    readArguments(argv)
  } catch (error) {
    assert.ok(error instanceof UserError)
    return error
  }
  return assert.fail(`nothing was refused in ${argv.join(' ')}`)
}

test('the flags of a command are the inputs of its action', () => {
  for (const name of actionNames)
    assert.deepEqual(
      inputsOf(name).map((input) => input.name),
      Object.keys((parse(read(`actions/${name}/action.yml`)) as ActionFile).inputs),
      name,
    )
  assert.deepEqual(
    inputsOf('status').map(({ name }) => name),
    ['storage', 'label', 'max-age'],
  )
})

describe('a command line', () => {
  test('takes a value after a space and after =, and a list by several flags', () => {
    const { command, values, json } = asked(
      'verify',
      '--storage',
      'file:///a',
      '--storage=s3://b/c?region=x',
      '--label=a=b',
      '--json',
    )
    assert.deepEqual(
      [command, json, values.get('storage'), values.get('label')],
      ['verify', true, ['file:///a', 's3://b/c?region=x'], ['a=b']],
    )
  })
  test('takes a value that begins with one hyphen, and a switch that is turned off', () => {
    const { values, json, debug } = asked(
      'verify',
      '--label',
      '-h',
      '--backup=--help',
      '--json=false',
      '--debug=TRUE',
    )
    assert.deepEqual(
      [values.get('label'), values.get('backup'), json, debug],
      [['-h'], ['--help'], false, true],
    )
  })
  test('takes a word of its own, which may be given a value', () => {
    assert.deepEqual(asked('restore', '--dry-run').values.get('dry-run'), ['true'])
    assert.deepEqual(asked('restore', '--dry-run=false', '--label', 'x').values.get('dry-run'), [
      'false',
    ])
  })
  test('is asked for help', () => {
    for (const argv of [[], ['help'], ['--help'], ['-h']])
      assert.deepEqual(readArguments(argv), { help: 'all' })
    for (const argv of [
      ['help', 'restore'],
      ['restore', '--help'],
      ['restore', '--label', 'x', '-h'],
    ])
      assert.deepEqual(readArguments(argv), { help: 'restore' })
  })
  test('is asked for the version', () => {
    for (const word of ['version', '--version', '-V'])
      assert.deepEqual(readArguments([word]), { version: true })
  })
  const wrong: [string[], string, RegExp][] = [
    [['restor'], 'unknown-command', /no command restor\. Did you mean restore\?/],
    [['postgres://u:hunter22@h/d'], 'unknown-command', /^The first word is not a command\.$/],
    [
      ['restore', '--targt-url=x'],
      'bad-arguments',
      /no flag --targt-url\. Did you mean --target-url\?/,
    ],
    [['restore', '--lable', 'x'], 'bad-arguments', /Did you mean --label\?/],
    [['restore', '--confrim=x'], 'bad-arguments', /Did you mean --confirm\?/],
    [['restore', '--decrypt-with-flie=x'], 'bad-arguments', /Did you mean --decrypt-with-file\?/],
    [['restore', '--zzzzzzzz'], 'bad-arguments', /has no flag --zzzzzzzz\.$/],
    [['backup', '--target-url', 'x'], 'bad-arguments', /backup has no flag --target-url/],
    [['restore', '--label-file', 'x'], 'bad-arguments', /has no flag --label-file/],
    [['restore', '--label'], 'bad-arguments', /--label needs a value/],
    [['restore', '--label', '--json'], 'bad-arguments', /--label needs a value/],
    [['restore', '--label', 'a', '--label', 'b'], 'bad-arguments', /--label is given twice/],
    [['restore', '--dry-run', '--dry-run=false'], 'bad-arguments', /--dry-run is given twice/],
    [['restore', '--json=false', '--json'], 'bad-arguments', /--json is given twice/],
    [['status', '-storage', 'x'], 'bad-arguments', /Word 2 .*hyphen\. Did you mean --storage\?/],
    [['status', '-storage=x'], 'bad-arguments', /Did you mean --storage\?/],
    [['status', '-pass22'], 'bad-arguments', /Word 2 .*begins with one hyphen\.$/],
    [
      ['restore', 'hunter22'],
      'bad-arguments',
      /^Word 2 of the command line is neither a flag nor the value of one/,
    ],
    [
      ['restore', '--dry-run=perhaps'],
      'bad-arguments',
      /--dry-run takes no value but true or false/,
    ],
    [
      ['restore', '--target-url-file', 'a', '--target-url', 'postgres://u@h/d'],
      'bad-arguments',
      /are both given/,
    ],
  ]
  for (const [argv, code, says] of wrong)
    test(`is refused: ${argv.join(' ')}`, () => {
      const error = refused(...argv)
      assert.equal(error.code, code)
      assert.match(error.message, says)
    })
})

test('several values after one flag: the hint repeats the flag, without the values', () => {
  const hint = (...argv: string[]): string => {
    const { code, hint } = refused('restore', ...argv)
    assert.equal(code, 'bad-arguments')
    return hint
  }
  assert.match(
    hint('--label', 'x', '--tables', 'orders', 'hunter22'),
    /^To give several values, repeat the flag: --tables ONE --tables TWO\. /,
  )
  assert.match(
    hint('--decrypt-with-file', 'a', 'b'),
    /--decrypt-with-file ONE --decrypt-with-file TWO\./,
  )
  assert.match(hint('--label', 'a', 'b'), /A value with spaces needs quotes/)
  assert.match(hint('--dry-run', 'b'), /A value with spaces needs quotes/)
})

test('the name of a file in the place of a secret: the flag that reads it is suggested', () => {
  const file = join(folder, 'own key.txt')
  writeFileSync(file, 'AGE-SECRET-KEY-1QQQQ')
  const { code, message, hint } = refused('verify', '--decrypt-with', file)
  assert.equal(code, 'bad-arguments')
  assert.ok(message.endsWith(`Did you mean --decrypt-with-file '${file}'?`), message)
  assert.doesNotMatch(message + hint, /history|QQQQ/)
})

describe('a secret in a command line is refused, and not shown', () => {
  const secrets: [string[], string, RegExp][] = [
    [
      ['restore', '--target-url', 'postgres://u:hunter22@h/d'],
      'hunter22',
      /PGPASSWORD.*--target-url-file FILE, or set HOLDFAST_TARGET_URL/,
    ],
    [['restore', '--target-url=postgres://u:postgres@h/d'], ':postgres@', /--target-url-file/],
    [
      ['restore', '--target-url=postgres://u@h/d?password=hunter22'],
      'hunter22',
      /--target-url-file/,
    ],
    [['restore', '--target-url=host=h password=hunter22'], 'hunter22', /--target-url-file/],
    [['verify', '--scratch-url', 'postgres://u:hunter22@h/d'], 'hunter22', /HOLDFAST_SCRATCH_URL/],
    [['backup', '--database-url', 'postgres://u:hu/nter22@h/d'], 'nter22', /HOLDFAST_DATABASE_URL/],
    [
      ['verify', '--decrypt-with', 'AGE-SECRET-KEY-1QQQQ'],
      '1QQQQ',
      /--decrypt-with-file FILE, or set HOLDFAST_DECRYPT_WITH/,
    ],
    [['test-migration', '--github-token', 'ghs_abcdefgh'], 'abcdefgh', /HOLDFAST_GITHUB_TOKEN/],
    [
      ['backup', '--encrypt-to', 'AGE-SECRET-KEY-1QQQQ'],
      '1QQQQ',
      /This is a private key\. Pass the public key/,
    ],
    [['verify', '--storage', 's3://key:hunter22@bucket/x'], 'hunter22', /AWS_ACCESS_KEY_ID/],
  ]
  for (const [argv, secret, says] of secrets)
    test(argv.slice(0, 2).join(' ').replace(secret, '…'), () => {
      const error = refused(...argv)
      assert.equal(error.code, 'secret-in-arguments')
      assert.match(error.hint, says)
      assert.ok(!`${error.message}${error.hint}`.includes(secret))
    })
  test('a URL without a password is not one', () =>
    assert.deepEqual(
      asked('restore', '--target-url', 'postgres://u@h:5433/d?sslmode=require').values.get(
        'target-url',
      ),
      ['postgres://u@h:5433/d?sslmode=require'],
    ))
})

describe('what an action’s code is given', () => {
  const file = (name: string, text: string, mode = 0o600): string => {
    writeFileSync(join(folder, name), text, { mode })
    return join(folder, name)
  }
  const warnings: string[] = []
  const step = (
    argv: string[],
    env: Record<string, string> = {},
  ): Record<string, string | undefined> =>
    stepEnvironment(asked(...argv), { HOME: folder, ...env }, (text) => warnings.push(text))
  const restore = ['restore', '--storage', 'file:///a', '--storage', 'file:///b']

  test('inputs, from flags, from files and from the environment; and nothing that only looks like one', () => {
    const key = file('key.txt', '# created\nAGE-SECRET-KEY-1\n')
    const given = step([...restore, '--decrypt-with-file', key, '--dry-run'], {
      HOLDFAST_TARGET_URL: 'postgres://u:secret@h/d',
      INPUT_CONFIRM: 'd',
      INPUT_JOBS: '3',
      STATE_held: '[]',
      KEPT: 'yes',
    })
    assert.equal(given['INPUT_STORAGE'], 'file:///a\nfile:///b')
    assert.equal(given['INPUT_DECRYPT-WITH'], '# created\nAGE-SECRET-KEY-1\n')
    assert.equal(given['INPUT_TARGET-URL'], 'postgres://u:secret@h/d')
    assert.deepEqual(
      [
        given['INPUT_DRY-RUN'],
        given['INPUT_CONFIRM'],
        given['INPUT_JOBS'],
        given['STATE_held'],
        given['KEPT'],
      ],
      ['true', '', '', undefined, 'yes'],
    )
    // a migration that is rehearsed inherits the rest
    assert.deepEqual(
      Object.keys(given).filter((name) => name.startsWith('HOLDFAST')),
      [],
    )
  })
  test('a target is needed for all restores but a list', () => {
    const without = (...flags: string[]): string | undefined =>
      step(['restore', '--storage=file:///a', ...flags])['INPUT_TARGET-URL']
    assert.equal(without('--list'), '')
    assert.equal(without('--list=TRUE'), '')
    for (const flags of [[], ['--list=false'], ['--dry-run']])
      assert.throws(() => without(...flags), /restore needs --target-url/)
  })
  test('a flag wins over the environment', () => {
    assert.equal(
      step([...restore, '--target-url=postgres://u@flag/d'], {
        HOLDFAST_TARGET_URL: 'postgres://u@variable/d',
      })['INPUT_TARGET-URL'],
      'postgres://u@flag/d',
    )
  })
  test('a password that the URL lacks comes from PGPASSWORD, then from a private password file', () => {
    const argv = [...restore, '--target-url=postgres://u@h:5433/d?sslmode=disable']
    const passfile = file('passfile', 'other:*:*:*:no\nh:5433:*:u:fr\\:om f@ile\n')
    const url = (env: Record<string, string>): string | undefined =>
      step(argv, env)['INPUT_TARGET-URL']
    assert.equal(
      url({ PGPASSWORD: 'from env' }),
      'postgres://u:from%20env@h:5433/d?sslmode=disable',
    )
    assert.equal(
      url({ PGPASSFILE: passfile }),
      'postgres://u:fr%3Aom%20f%40ile@h:5433/d?sslmode=disable',
    )
    assert.equal(
      url({ PGPASSFILE: passfile, PGPASSWORD: 'first' }),
      'postgres://u:first@h:5433/d?sslmode=disable',
    )
    file('.pgpass', '*:*:*:*:home')
    assert.equal(url({}), 'postgres://u:home@h:5433/d?sslmode=disable')
    rmSync(join(folder, '.pgpass'))
    assert.equal(
      url({ PGPASSFILE: file('open', '*:*:*:*:x', 0o644) }),
      'postgres://u@h:5433/d?sslmode=disable',
    )
    assert.match(warnings.at(-1) ?? '', /not used.*chmod 600/)
    assert.equal(
      step([...restore, '--target-url-file', file('url', 'postgres://u:own@h/d\n')], {
        PGPASSWORD: 'other',
      })['INPUT_TARGET-URL'],
      'postgres://u:own@h/d',
    )
  })
  test('libpq’s variables, and their password from the file', () => {
    const given = step(['backup', '--storage=file:///a', '--encrypt-to=none'], {
      PGHOST: 'h',
      PGUSER: 'u',
      PGDATABASE: 'd',
      PGPASSFILE: file('passfile2', 'h:5432:d:u:pw'),
    })
    assert.deepEqual([given['INPUT_DATABASE-URL'], given['PGPASSWORD']], ['', 'pw'])
  })
  test('an error for what is missing, that names every way to give it', () => {
    assert.throws(
      () => step(['restore', '--storage=file:///a']),
      (error: UserError) =>
        error.code === 'input-missing' &&
        /--target-url URL, or --target-url-file FILE, or the variable HOLDFAST_TARGET_URL/.test(
          error.hint,
        ),
    )
    assert.throws(
      () =>
        step([
          ...restore,
          '--decrypt-with-file',
          join(folder, 'gone'),
          '--target-url=postgres://u@h/d',
        ]),
      (error: UserError) => error.code === 'file-unreadable',
    )
  })
})

test('an error about keys can name the files, or the variable', () => {
  const from = (...argv: string[]): string => plainText(keysFrom(asked('verify', ...argv)))
  assert.equal(
    from('--decrypt-with-file', 'a.txt', '--decrypt-with-file', 'b.txt'),
    'The keys were read from a.txt and b.txt.',
  )
  assert.equal(from(), 'The keys were read from HOLDFAST_DECRYPT_WITH.')
})

describe('help', () => {
  test('shows every flag, and no secret as a flag that takes its value', () => {
    for (const command of Object.keys(commands) as CommandName[]) {
      const text = renderMarkdown(helpText(command))
      for (const input of inputsOf(command))
        assert.match(
          text,
          new RegExp(`\`--${input.name}(-file FILE| …)?\``),
          `${command} --${input.name}`,
        )
      assert.doesNotMatch(text, /--(decrypt-with|github-token) …/)
    }
  })
  test('shows every variable that gives an input', () => {
    for (const command of Object.keys(commands) as CommandName[])
      for (const input of inputsOf(command).filter(hasVariable))
        assert.ok(
          renderMarkdown(helpText(command)).includes(`\`${variableOf(input.name)}\``),
          `${command} ${input.name}`,
        )
  })
  test('begins with examples that are whole command lines', () => {
    for (const command of Object.keys(commands) as CommandName[]) {
      assert.ok(examples[command].length > 0)
      for (const example of examples[command]) {
        assert.ok(renderMarkdown(helpText(command)).includes(`node dist/cli.js ${example}\n`))
        const words = [...example.matchAll(/'([^']*)'|(\S+)/g)].map(
          ([, quoted, word]) => quoted ?? word ?? '',
        )
        const given = asked(...words)
        assert.equal(given.command, command)
        const required = inputsOf(command).filter((input) => input.required?.includes(command))
        for (const { name } of required)
          assert.ok(given.values.has(name) || given.files.has(name), `${example}: ${name}`)
      }
    }
  })
})
