import {
  blocks,
  code,
  md,
  table,
  text,
  type Markdown,
  type Piece,
} from '../report/markdown/markdown.ts'
import { commands, type CommandName, type Input, inputsOf, variableOf } from './commands.ts'

const program = 'node dist/cli.js'

/** What `--help` shows, as Markdown. */
export function helpText(of: CommandName | 'all'): string {
  return (of === 'all' ? overview() : helpOf(of)).markdown
}

function overview(): Markdown {
  return blocks(
    md`## Holdfast: PostgreSQL backups that are proven, and restores that can be undone`,
    md`The code of the GitHub Actions, for the day when GitHub is down: the flags are their inputs.`,
    md`${code(`${program} COMMAND --flag VALUE …`)}`,
    table(
      ['Command', ''],
      Object.entries(commands).map(([name, summary]) => [code(name), summary]),
    ),
    md`The flags of each: ${code(`${program} COMMAND --help`)}`,
  )
}

function helpOf(command: CommandName): Markdown {
  const all = inputsOf(command)
  const needed = (input: Input): boolean => input.required?.includes(command) ?? false
  const rows = [...all.filter(needed), ...all.filter((input) => !needed(input))].map(
    (input): Piece[] => [
      code(
        input.flag
          ? `--${input.name}`
          : input.secret === 'always'
            ? `--${input.name}-file FILE`
            : `--${input.name} …`,
      ),
      text(
        `${needed(input) && input.name !== 'confirm' ? '(needed) ' : ''}${plain(input.help)}${input.fallback && !input.flag ? ` Default: ${input.fallback}.` : ''}${input.lines ? ' May be there several times.' : ''}`,
      ),
    ],
  )
  const secrets = all.filter(({ secret }) => secret)
  return blocks(
    md`## ${code(`${program} ${command}`)}`,
    text(commands[command]),
    table(
      ['Flag', ''],
      [
        ...rows,
        [
          code('--json'),
          'The outputs as one JSON object on the standard output; all else on the standard error.',
        ],
        [code('--debug'), 'Say more of what is done.'],
      ],
    ),
    secrets.length === 0
      ? undefined
      : blocks(
          md`**What holds a secret** is never taken from the command line, which others can see: by a file, or from the environment.`,
          table(
            ['File', 'Environment'],
            secrets.map(({ name }) => [code(`--${name}-file FILE`), code(variableOf(name))]),
          ),
          md`A URL may be in the command line when it holds no password. The password is then that of ${code('PGPASSWORD')} or the password file (${code('~/.pgpass')}), as for psql.`,
        ),
    command === 'restore'
      ? md`Without ${code('--confirm')}, on a terminal, the plan is shown and the name asked for.`
      : undefined,
    md`Exit codes: 0 done, 1 failed, 130 and 143 stopped by a signal (what it had begun is cleaned up).`,
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
