import type { CommandName, InputDescription } from '../github/descriptions/inputs.ts'
import { descriptionForTerminal, exampleText } from '../github/descriptions/text.ts'
import {
  blocks,
  codeBlock,
  type Fact,
  facts,
  paragraph,
  type Part,
  type Report,
  table,
  verdict,
} from '../report/blocks.ts'
import { code, strong, text } from '../text.ts'
import { commands, examples, hasVariable, inputsOf, variableOf } from './commands.ts'

const program = 'node dist/cli.js'

/** Returns what `--help` shows. */
export function helpText(of: CommandName | 'all'): Report {
  return of === 'all' ? overview() : helpOf(of)
}

function overview(): Report {
  return blocks(
    verdict(
      undefined,
      'Holdfast: PostgreSQL backups that are proven, and restores that can be undone',
    ),
    paragraph('Runs the code of the GitHub Actions without GitHub. The flags are their inputs.'),
    paragraph(text`${code(`${program} COMMAND --flag VALUE …`)}`),
    facts(Object.entries(commands).map(([name, summary]) => [text`${code(name)}`, summary])),
    paragraph(text`The flags of each command: ${code(`${program} COMMAND --help`)}`),
  )
}

function helpOf(command: CommandName): Report {
  const inputs = inputsOf(command)
  const isRequired = (input: InputDescription): boolean =>
    input.required?.includes(command) ?? false
  const sorted = [...inputs.filter(isRequired), ...inputs.filter((input) => !isRequired(input))]
  return blocks(
    verdict(undefined, text`${code(`${program} ${command}`)}`),
    paragraph(commands[command]),
    codeBlock(examples[command].map((example) => `${program} ${example}`).join('\n'), 'bash'),
    facts([
      ...sorted.map((input) => flagRow(command, input, isRequired(input))),
      [
        text`${code('--json')}`,
        'Write the outputs as one JSON object to standard output; all else goes to standard error.' +
          (command === 'test-migration'
            ? ' A file of the temporary folder has the full result: the output report names it.'
            : ''),
      ],
      [text`${code('--debug')}`, 'Show debug messages.'],
    ]),
    secretsPart(inputs),
    command === 'restore'
      ? paragraph(
          text`Without ${code('--confirm')}, on a terminal, it shows the plan and asks for the name.`,
        )
      : undefined,
    paragraph(
      'Exit codes: 0 success, 1 failure, 130 and 143 stopped by a signal (after cleaning up).',
    ),
  )
}

function flagRow(command: CommandName, input: InputDescription, required: boolean): Fact {
  const { name, flag, secret, description, more = [], lines, example } = input
  const sentences = [
    required ? 'Required.' : undefined,
    description,
    ...more.filter(({ of }) => of.includes(command)).map((each) => each.text),
    defaultText(input),
    lines ? 'Can be given several times.' : undefined,
    exampleText(example),
  ].filter((sentence) => sentence !== undefined)
  const names = inputsOf(command).map((each) => each.name)
  const syntax = flag ? `--${name}` : secret === 'always' ? `--${name}-file FILE` : `--${name} …`
  return [text`${code(syntax)}`, descriptionForTerminal(sentences.join(' '), names)]
}

function defaultText({ name, flag, default: value }: InputDescription): string | undefined {
  if (flag) return value === 'true' ? `Default: true; --${name}=false turns it off.` : undefined
  // an expression is the runner's
  if (value === undefined || value.startsWith('${{')) return undefined
  return /^\w/.test(value) ? `Default: ${value}.` : `Default: "${value}".`
}

function secretsPart(inputs: readonly InputDescription[]): Part {
  const given = inputs.filter(hasVariable)
  if (!given.some(({ secret }) => secret))
    return given.map(({ name }) =>
      paragraph(text`${code(`--${name}`)} can also be given by ${code(variableOf(name))}.`),
    )
  return [
    paragraph(text`Do not put ${strong('secrets')} on the command line: other users can see them.`),
    table(
      ['File', 'Variable'],
      given.map(({ name, secret }) => [
        secret ? text`${code(`--${name}-file FILE`)}` : '',
        text`${code(variableOf(name))}`,
      ]),
    ),
    paragraph(
      text`If the URL has no password, ${code('PGPASSWORD')} or ${code('~/.pgpass')} is used, as with psql.`,
    ),
  ]
}
