/** Renderers: turn the blocks of a report into GitHub Markdown or lines of a terminal. */
import {
  flatten,
  markdownCode,
  markdownText,
  withoutControls,
  yamlLines,
  yamlValue,
} from '../../escape.ts'
import { asYaml, type Inline, plainText, type Text } from '../../text.ts'
import {
  type Block,
  type Facts,
  isList,
  type Mark,
  type Next,
  type Report,
  type Setting,
  type Steps,
  symbols,
  type Table,
} from '../blocks.ts'
import { mermaid } from './mermaid.ts'
import { piecesFor } from './plain.ts'

/**
 * Returns a report as Markdown for GitHub. Names and messages come from databases and from
 * migrations of pull requests, so every string is escaped: none can break out of its place.
 */
export function renderMarkdown(report: Report): string {
  return `${renderBlocks(report)}\n`
}

function renderBlocks(report: Report): string {
  return report
    .map(renderBlock)
    .filter((block) => block !== '')
    .join('\n\n')
}

function renderBlock(block: Block): string {
  switch (block.kind) {
    case 'heading': {
      const mark = block.mark === undefined ? '' : `${symbols[block.mark]} `
      return `${'#'.repeat(block.level + 1)} ${mark}${renderText(block.text)}`
    }
    case 'paragraph':
      return renderText(block.text)
    case 'facts':
      return renderFacts(block)
    case 'table':
      return renderTable(block)
    case 'list':
      return block.items.map((item) => `- ${renderText(item)}`).join('\n')
    case 'steps':
      return renderSteps(block)
    case 'code':
      return fence(block.code, block.language)
    case 'settings':
      return fence(block.settings.map(yamlLine).join('\n'), 'yaml')
    case 'details':
      return renderDetails(block.title, block.blocks)
    case 'chart': {
      const source = mermaid(block)
      return source === undefined ? '' : fence(source, 'mermaid')
    }
    case 'callout':
      return [symbols[block.mark], calloutLabels[block.mark], renderText(block.text)]
        .filter((part) => part !== undefined)
        .join(' ')
    case 'next':
      return renderNext(block)
  }
}

/** A paragraph, because GitHub greys a quotation. */
const calloutLabels: Partial<Record<Mark, string>> = { warning: '**Warning:**', note: '**Note:**' }

/** A list, because a phone has no room for a table of two columns, and wraps a list. */
function renderFacts({ rows }: Facts): string {
  return rows.map(([key, value]) => `- **${renderText(key)}:** ${renderText(value)}`).join('\n')
}

function renderTable({ head, rows, align }: Table): string {
  const line = (cells: readonly Text[]): string =>
    `| ${head.map((_, i) => renderText(cells[i] ?? '')).join(' | ')} |`
  const rule = head.map((_, i) => (align[i] === 'right' ? '---:' : '---'))
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** A plan of which nothing is done yet needs no marks. */
function renderSteps({ steps }: Steps): string {
  const begun = steps.some(({ done }) => done)
  return steps
    .map(({ step, done }, i) => {
      const mark = begun ? `${done ? symbols.pass : '▢'} ` : ''
      return `${i + 1}. ${mark}${renderText(step)}`
    })
    .join('\n')
}

/** Folded until the reader opens it. GitHub reads no Markdown in the title. */
function renderDetails(title: Text, body: Report): string {
  const summary = markdownText(plainText(title)).trim()
  return `<details>\n<summary>${summary}</summary>\n\n${renderBlocks(body)}\n\n</details>`
}

function renderNext({ text, blocks }: Next): string {
  const first = renderText(text)
  const line = first === '' ? '**Next:**' : `**Next:** ${first}`
  return [line, renderBlocks(blocks)].filter((part) => part !== '').join('\n\n')
}

/** Returns one line of Markdown. */
export function renderText(text: Text): string {
  return piecesFor(text, 'workflow').map(renderInline).join('').trim()
}

function renderInline(piece: Exclude<Inline, { kind: 'either' }>): string {
  if (typeof piece === 'string') return markdownText(piece)
  switch (piece.kind) {
    case 'code':
      return markdownCode(piece.code)
    case 'input':
      return markdownCode(asYaml(piece))
    case 'strong': {
      const inner = renderText(piece.text)
      return inner === '' ? '' : `**${inner}**`
    }
    case 'link': {
      const inner = renderText(piece.text)
      return /^https?:\/\//.test(piece.href) ? `[${inner}](${address(piece.href)})` : inner
    }
  }
}

/** Percent-encodes what could end a link's target, or the cell that it is in. */
function address(href: string): string {
  return flatten(href).replace(/[\s()<>|\\"'`*_[\]]/g, (character) =>
    Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'),
  )
}

/** Lines as they are. No run of backticks in them can end the fence. */
function fence(raw: string, language: string): string {
  const clean = withoutControls(raw).replace(/(?<!\n)\n+$/, '')
  const longest = Math.max(2, ...(clean.match(/`+/g) ?? []).map((run) => run.length))
  const bar = '`'.repeat(longest + 1)
  return `${bar}${language}\n${clean}\n${bar}`
}

function yamlLine({ input, value }: Setting): string {
  if (isList(value)) return `${input}: ${yamlLines(value)}`
  return typeof value === 'string'
    ? `${input}: ${yamlValue(value, 'most')}`
    : asYaml({ kind: 'input', input, value })
}
