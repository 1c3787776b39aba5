import {
  blocks,
  type Fact,
  facts,
  paragraph,
  type Report,
  table,
  verdict,
} from '../report/blocks.ts'
import { code, strong, text } from '../text.ts'
import { commands, type CommandName, type Input, inputsOf, variableOf } from './commands.ts'

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
    paragraph(
      'The code of the GitHub Actions, for the day when GitHub is down: the flags are their inputs.',
    ),
    paragraph(text`${code(`${program} COMMAND --flag VALUE …`)}`),
    facts(Object.entries(commands).map(([name, summary]) => [text`${code(name)}`, summary])),
    paragraph(text`The flags of each: ${code(`${program} COMMAND --help`)}`),
  )
}

function helpOf(command: CommandName): Report {
  const all = inputsOf(command)
  const needed = (input: Input): boolean => input.required?.includes(command) ?? false
  const rows = [...all.filter(needed), ...all.filter((input) => !needed(input))].map(
    (input): Fact => [
      text`${code(
        input.flag
          ? `--${input.name}`
          : input.secret === 'always'
            ? `--${input.name}-file FILE`
            : `--${input.name} …`,
      )}`,
      `${needed(input) && input.name !== 'confirm' ? '(needed) ' : ''}${plain(input.help)}${input.fallback && !input.flag ? ` Default: ${input.fallback}.` : ''}${input.lines ? ' May be there several times.' : ''}`,
    ],
  )
  const secrets = all.filter(({ secret }) => secret)
  return blocks(
    verdict(undefined, text`${code(`${program} ${command}`)}`),
    paragraph(commands[command]),
    facts([
      ...rows,
      [
        text`${code('--json')}`,
        'The outputs as one JSON object on the standard output; all else on the standard error.',
      ],
      [text`${code('--debug')}`, 'Say more of what is done.'],
    ]),
    secrets.length === 0
      ? undefined
      : [
          paragraph(
            text`${strong('A secret')} is never read from the command line, which other users can see, but from a file or the environment.`,
          ),
          table(
            ['File', 'Environment'],
            secrets.map(({ name }) => [
              text`${code(`--${name}-file FILE`)}`,
              text`${code(variableOf(name))}`,
            ]),
          ),
          paragraph(
            text`A URL without a password may be on the command line. The password then comes from ${code('PGPASSWORD')} or the password file (${code('~/.pgpass')}), as for psql.`,
          ),
        ],
    command === 'restore'
      ? paragraph(
          text`Without ${code('--confirm')}, on a terminal, the plan is shown and the name asked for.`,
        )
      : undefined,
    paragraph('Exit codes: 0 done, 1 failed, 130 and 143 stopped by a signal (after cleaning up).'),
  )
}

/** The words of action.yml, for somebody at a terminal. */
function plain(help: string): string {
  return help
    .replace(/, one a line(?= -)/, '')
    .replace('on the runner', 'on this machine')
    .replace(' from `env`.', '.')
    .replace('The word `true` prints', 'Prints')
    .replaceAll('`', '')
}
