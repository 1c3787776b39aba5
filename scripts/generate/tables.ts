import { actionNames, inputsOf, outputsOf } from './actions.ts'
import { type Generated, replaceBetween } from './generated.ts'

/** The tables of inputs and outputs in each action's README, between their markers. */
export const readmeTables: Generated[] = actionNames.map((name) => ({
  file: `actions/${name}/README.md`,
  content: (current) =>
    replaceBetween(
      replaceBetween(current, 'inputs', inputsTable(inputsOf(name))),
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
