import { topics } from '../../src/errors/catalogue.ts'
import type { Generated } from './generated.ts'
import { wrap } from './wrap.ts'

/** `docs/errors.md`: a heading for each code, so that an error can link to it. */
export const errorsPage: Generated = { file: 'docs/errors.md', content: () => page }

const page = `<!-- Generated from src/errors by npm run generate. Do not edit. -->

# Error codes

Every failure has a code. Find the code on this page for what it means and what to do.

You see the code:

- at the end of an error message, in the log, in the job summary and on a terminal;
- in the output \`error-code\` of every action, for example
  \`if: failure() && steps.backup.outputs.error-code == 'storage-full'\`;
- in the JSON that a command prints with \`--json\`, as \`error-code\`.

The message of an error names the server, the table or the file, and its hint is often more specific
than this page. Messages may change from one version to the next. Codes do not.

| topic | codes |
| --- | --- |
${topics.map(({ title, errors }) => `| [${title}](#${anchorOf(title)}) | ${linksOf(errors)} |`).join('\n')}

${topics.map(sectionOf).join('\n')}`

function sectionOf({ title, about, errors }: (typeof topics)[number]): string {
  const entries = sorted(errors).map(
    ([code, { message, hint }]) =>
      `### ${code}\n\n${wrap(`**${escaped(message)}**`)}\n\n${wrap(escaped(hint))}\n`,
  )
  return `## ${title}\n\n${about}\n\n${entries.join('\n')}`
}

function linksOf(errors: (typeof topics)[number]['errors']): string {
  return sorted(errors)
    .map(([code]) => `[\`${code}\`](#${code})`)
    .join(', ')
}

function sorted<T>(entries: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(entries).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Returns the anchor that GitHub makes of a heading of letters and spaces. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(' ', '-')
}

/** Texts of the catalogue are plain text: nothing in them is markup. */
function escaped(text: string): string {
  return text
    .split(/(https?:\/\/\S*\w)/)
    .map((part, i) =>
      i % 2 === 1 ? `\`${part}\`` : part.replace(/[\\`*<>[\]|]|(?<!\w)_|_(?!\w)/g, '\\$&'),
    )
    .join('')
}
