import { actionNames, inputsOf, outputsOf } from './actions.ts'
import type { Generated } from './generated.ts'

/** The tables of inputs and outputs in each action's README, between their markers. */
export const readmeTables: Generated[] = actionNames.map((name) => ({
  file: `actions/${name}/README.md`,
  content: (current) =>
    between(
      between(current, 'inputs', inputsTable(inputsOf(name))),
      'outputs',
      outputsTable(outputsOf(name)),
    ),
}))

function inputsTable(entries: ReturnType<typeof inputsOf>): string {
  const rows = entries.map(
    ({ name, required, default: usual, description }) =>
      `| \`${name}\` | ${required ? 'yes' : ''} | ${usual ? `\`${usual}\`` : ''} | ${description} |`,
  )
  return [
    '| Input | Required | Default | Description |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function outputsTable(entries: ReturnType<typeof outputsOf>): string {
  const rows = entries.map(({ name, description }) => `| \`${name}\` | ${description} |`)
  return ['| Output | Description |', '| --- | --- |', ...rows].join('\n')
}

/** Replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->`. */
export function between(page: string, name: string, content: string): string {
  const start = `<!-- generated: ${name} -->\n`
  const from = page.indexOf(start)
  const to = page.indexOf('<!-- end -->', from)
  if (from < 0 || to < 0) throw new Error(`no ${start.trim()} … <!-- end --> in it`)
  return `${page.slice(0, from)}${start}\n${content}\n\n${page.slice(to)}`
}
