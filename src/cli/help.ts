import { exampleText } from '../github/descriptions/text.ts'
import type { CommandName, InputDescription } from '../github/descriptions/inputs.ts'
import {
  blocks,
  code,
  md,
  table,
  text,
  type Markdown,
  type Piece,
} from '../report/markdown/markdown.ts'
import { commands, hasVariable, inputsOf, variableOf } from './commands.ts'

const program = 'node dist/cli.js'

/** Returns what `--help` shows, as Markdown. */
export function helpText(of: CommandName | 'all'): string {
  return (of === 'all' ? overview() : helpOf(of)).markdown
}

function overview(): Markdown {
  return blocks(
    md`## Holdfast: PostgreSQL backups that are proven, and restores that can be undone`,
    md`Runs the code of the GitHub Actions without GitHub. The flags are their inputs.`,
    md`${code(`${program} COMMAND --flag VALUE …`)}`,
    table(
      ['Command', ''],
      Object.entries(commands).map(([name, summary]) => [code(name), summary]),
    ),
    md`The flags of each command: ${code(`${program} COMMAND --help`)}`,
  )
}

function helpOf(command: CommandName): Markdown {
  const inputs = inputsOf(command)
  const isRequired = (input: InputDescription): boolean =>
    input.required?.includes(command) ?? false
  const sorted = [...inputs.filter(isRequired), ...inputs.filter((input) => !isRequired(input))]
  return blocks(
    md`## ${code(`${program} ${command}`)}`,
    text(commands[command]),
    table(
      ['Flag', ''],
      [
        ...sorted.map((input) => flagRow(command, input, isRequired(input))),
        [
          code('--json'),
          'Write the outputs as one JSON object to standard output; all else goes to standard error.',
        ],
        [code('--debug'), 'Show debug messages.'],
      ],
    ),
    secretsPart(inputs),
    command === 'restore'
      ? md`Without ${code('--confirm')}, on a terminal, it shows the plan and asks for the name.`
      : undefined,
    md`Exit codes: 0 success, 1 failure, 130 and 143 stopped by a signal (after cleaning up).`,
  )
}

function flagRow(command: CommandName, input: InputDescription, required: boolean): Piece[] {
  const { name, flag, secret, description, more = [], lines, example } = input
  const sentences = [
    // on a terminal, the name is asked for
    required && name !== 'confirm' ? 'Required.' : undefined,
    description,
    ...more.filter(({ of }) => of.includes(command)).map((each) => each.text),
    defaultText(input),
    lines ? 'Can be given several times.' : undefined,
    exampleText(example),
  ].filter((sentence) => sentence !== undefined)
  const syntax = flag ? `--${name}` : secret === 'always' ? `--${name}-file FILE` : `--${name} …`
  return [code(syntax), text(sentences.join(' ').replaceAll('`', ''))]
}

function defaultText({ name, flag, default: value }: InputDescription): string | undefined {
  if (flag) return value === 'true' ? `Default: true; --${name}=false turns it off.` : undefined
  // an expression is the runner's
  if (value === undefined || value.startsWith('${{')) return undefined
  return /^\w/.test(value) ? `Default: ${value}.` : `Default: "${value}".`
}

function secretsPart(inputs: readonly InputDescription[]): Markdown | undefined {
  const given = inputs.filter(hasVariable)
  if (!given.some(({ secret }) => secret)) return undefined
  return blocks(
    md`**Secrets** are not accepted on the command line, which other users can read.`,
    table(
      ['File', 'Variable'],
      given.map(({ name, secret }) => [
        secret ? code(`--${name}-file FILE`) : '',
        code(variableOf(name)),
      ]),
    ),
    md`For a URL without a password, it is ${code('PGPASSWORD')} or that of ${code('~/.pgpass')}, as with psql.`,
  )
}
