import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { innerLayers, layers } from '../../test/house/layers.ts'
import { type Generated, replaceBetween } from './generated.ts'

const root = dirname(dirname(import.meta.dirname))

/**
 * The file whose first comment describes a folder, where it does not have the folder's name
 * (`backup/backup.ts`).
 */
const mainFiles: Readonly<Record<string, string>> = {
  actions: 'actions/root.ts',
  cleanup: 'cleanup/sweep.ts',
  errors: 'errors/catalogue.ts',
  formats: 'formats/detect.ts',
  github: 'github/work.ts',
  'github/descriptions': 'github/descriptions/inputs.ts',
  load: 'load/load-backup.ts',
  'postgres/connection': 'postgres/connection/session.ts',
  'postgres/programs': 'postgres/programs/find-programs.ts',
  'postgres/server': 'postgres/server/cluster.ts',
  'postgres/tables': 'postgres/tables/live-tables.ts',
  rehearsal: 'rehearsal/rehearse.ts',
  report: 'report/blocks.ts',
  'report/render': 'report/render/markdown.ts',
  repository: 'repository/listing.ts',
  stream: 'stream/pieces.ts',
}

/**
 * Whether a folder without a description fails the run. While it is false, the table shows
 * `(missing)` instead.
 */
const requireDescriptions = true

/** The layer diagram and the table of folders in `docs/architecture.md`. */
export const architecturePage: Generated = {
  file: 'docs/architecture.md',
  content: (current) =>
    replaceBetween(
      replaceBetween(
        current,
        'layers',
        `${layerDiagram(layers)}\n\n${innerOrder('postgres', innerLayers['postgres'] ?? [])}`,
      ),
      'folders',
      folderTable(sourceFolders(), (file) => {
        const path = join(root, 'src', file)
        return existsSync(path) ? readFileSync(path, 'utf8') : undefined
      }),
    ),
}

/** Returns the folders below `src` that have source files of their own, sorted by name. */
export function sourceFolders(): string[] {
  const files = globSync('**/*.ts', { cwd: join(root, 'src') })
  const folders = new Set(files.map((file) => dirname(file).replaceAll('\\', '/')))
  folders.delete('.')
  return [...folders].sort()
}

/** Returns a Mermaid diagram with one node per layer, the top one first. */
export function layerDiagram(all: readonly (readonly string[])[]): string {
  const arrows = all.slice(1).map((names, i) => {
    const [above = '', id = ''] = [all[i]?.[0], names[0]]
    return `  ${above} --> ${id}${names.length > 1 ? `["${names.join(', ')}"]` : ''}`
  })
  return ['```mermaid', 'flowchart TD', ...arrows, '```'].join('\n')
}

/** Returns a sentence on the order inside a folder whose sub-folders build on each other. */
export function innerOrder(folder: string, inner: readonly (readonly string[])[]): string {
  const order = inner.map((names) => names.map((name) => `\`${name}\``).join(', '))
  return `Inside \`${folder}\`, from the top: ${order.join('; ')}.`
}

/**
 * Returns a Markdown table with one row per folder, each with the first sentence of its main file's
 * first comment.
 *
 * @param read Returns the text of a file below `src`, undefined if it does not exist.
 * @throws If `required` is true and a folder has no such comment; the message names all of them.
 */
export function folderTable(
  folders: readonly string[],
  read: (file: string) => string | undefined,
  required = requireDescriptions,
): string {
  const missing: string[] = []
  const rows = folders.map((folder) => {
    const file = mainFiles[folder] ?? `${folder}/${basename(folder)}.ts`
    const description = describedBy(read(file) ?? '')
    if (description === undefined) missing.push(`src/${file}`)
    return `| \`src/${folder}/\` | ${description ?? '(missing)'} |`
  })
  if (required && missing.length > 0)
    throw new Error(
      `No comment at the start of ${missing.join(', ')}: write what is in the folder, in one or two sentences.`,
    )
  return ['| folder | contents |', '| --- | --- |', ...rows].join('\n')
}

/** Returns the first sentence of the comment that a source file begins with, for a table cell. */
function describedBy(source: string): string | undefined {
  const [, comment] = /^\/\*\*(.*?)\*\//s.exec(source) ?? []
  const text = comment
    ?.replaceAll(/^[ \t]*\*/gm, '')
    .replaceAll(/\s+/g, ' ')
    .trim()
  return text && (/^.*?[.](?= |$)/.exec(text)?.[0] ?? text).replaceAll('|', '\\|')
}
