/**
 * Checks the words of every text that people read: pages, descriptions of inputs, comments and
 * messages. Prints each finding as file:line, and exits with 1 if there is one.
 *
 *   node scripts/prose.ts           everything; only the pages while `sourceIsClean` is false
 *   node scripts/prose.ts --all     everything, also while `sourceIsClean` is false
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

/** Whether comments, messages and descriptions of inputs are checked without `--all`. */
const sourceIsClean = true

/** A word or phrase that the project does not use, and what to write. */
interface Rule {
  pattern: RegExp
  instead: string
}

export const rules: readonly Rule[] = [
  { pattern: /\bwho(m)?ever\b/i, instead: 'anyone who, the user who' },
  {
    // not 'nobody' as a value: that is the system user
    pattern: /(?!(?<=')nobody')\b(nobody|somebody|anybody|everybody)\b/i,
    instead: 'no one, someone; or who it is',
  },
  { pattern: /\bso many\b/i, instead: 'N, the number of' },
  { pattern: /\banew\b/i, instead: 're-create, again' },
  { pattern: /\bin (its|their|his|our) turn\b/i, instead: 'leave it out' },
  { pattern: /\bmend(s|ed|ing)?\b/i, instead: 'fix' },
  { pattern: /\bsp(eaks?|oke|oken|eaking) (against|for it|of)\b/i, instead: 'a fault was found' },
  { pattern: /\bspeaks? well\b/i, instead: 'passes' },
  { pattern: /\bwhat there (is|are|was)\b/i, instead: 'what exists, name it' },
  { pattern: /\bbeside\b/i, instead: 'next to, as well as' },
  { pattern: /\bbesides\b/i, instead: 'also' },
  { pattern: /\btold\b/i, instead: 'reported, named, receives' },
  { pattern: /\b(is|are|was|were) asked\b/i, instead: 'queries, requests; name who asks' },
  { pattern: /\bof (ours|theirs|his own)\b/i, instead: 'Holdfast’s, its' },
  { pattern: /\bto be had\b/i, instead: 'available' },
  { pattern: /\b(is|are|was|were) to be \w+/i, instead: 'must be' },
  { pattern: /\bside by side\b/i, instead: 'in parallel' },
  {
    pattern: /\bone an? (line|table|part|archive|destination|label|entry)\b/i,
    instead: 'one per …',
  },
  { pattern: /\bbut for\b/i, instead: 'except' },
  {
    pattern: /\bnor (does|do|is|are|was|were|did|has|have|can|may|will)\b/i,
    instead: 'and does not',
  },
  {
    pattern: /, for (it|they|he|she|we|there|one|this is|that is|these|those) /i,
    instead: 'because',
  },
  {
    pattern: /\b(hitherto|thereof|whence|thus|lest|hence|wherein|thereby|whereby|upon|whither)\b/i,
    instead: 'a word of today',
  },
  { pattern: /\b(stands?|stood|standing) in the way\b/i, instead: 'blocks, prevents' },
  { pattern: /\blet(s|ting)? go\b/i, instead: 'release' },
  { pattern: /\b(simply|obviously|of course|please)\b/i, instead: 'leave it out' },
  { pattern: /(?:^|[/*]\s+)Gives\b/, instead: 'Returns' },
]

/** The most words of one sentence on a page. */
const maxWords = 30

export interface Finding {
  line: number
  /** What was found, as it is written. */
  found: string
  instead: string
}

/** Returns the rules that a text breaks. What stands in backticks is code and is not checked. */
export function checkWords(text: string): Finding[] {
  return text.split('\n').flatMap((line, i) => {
    const words = line.replace(/`[^`]*`/g, (code) => ' '.repeat(code.length))
    return rules.flatMap(({ pattern, instead }) => {
      const found = pattern.exec(words)?.[0].trim()
      return found === undefined ? [] : [{ line: i + 1, found, instead }]
    })
  })
}

/** Returns what to change on a Markdown page: words, and sentences that are too long. */
export function checkPage(page: string, generated: 'skip' | 'check' = 'skip'): Finding[] {
  const blank = (part: string): string => part.replace(/[^\n]/g, '')
  let text = page.replace(/^```.*?^```$/gms, blank)
  if (generated === 'skip') text = text.replace(/<!-- generated: .*?<!-- end -->/gs, blank)
  return [...checkWords(text), ...longSentences(text)]
}

/** Returns the sentences in paragraphs and list items that have more than `maxWords` words. */
function longSentences(text: string): Finding[] {
  const found: Finding[] = []
  let line = 1
  for (const part of text.split(/\n(?=\s*\n|\s*[-*] |\s*\d+\. |[|#])/)) {
    if (!/^\s*[|#]/.test(part)) {
      const plain = part.replace(/`[^`]*`/g, 'code').replace(/\s+/g, ' ')
      for (const sentence of plain.split(/(?<=[.?!][)*"'”]{0,2}) /)) {
        const words = sentence.split(' ').filter((word) => /[\p{L}\p{N}]/u.test(word))
        if (words.length > maxWords)
          found.push({
            line: line + (/^\n*/.exec(part)?.[0].length ?? 0),
            found: `${words.length} words: ${words.slice(0, 6).join(' ')} …`,
            instead: `sentences of at most ${maxWords} words`,
          })
      }
    }
    line += part.split('\n').length
  }
  return found
}

/** Returns the rules that the comments, strings and templates of a TypeScript file break. */
export function checkSource(file: string, text: string): Finding[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const ranges = new Map<number, number>()
  const visit = (node: ts.Node): void => {
    for (const range of ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
      ranges.set(range.pos, range.end)
    for (const range of ts.getTrailingCommentRanges(text, node.getEnd()) ?? [])
      ranges.set(range.pos, range.end)
    if (ts.isImportDeclaration(node) || ts.isImportTypeNode(node)) return
    if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node)
    )
      ranges.set(node.getStart(), node.getEnd())
    for (const child of node.getChildren(source)) visit(child)
  }
  visit(source)
  return [...ranges].flatMap(([from, to]) => {
    const { line } = source.getLineAndCharacterOfPosition(from)
    return checkWords(text.slice(from, to)).map((found) => ({ ...found, line: line + found.line }))
  })
}

/**
 * Returns every finding as `file:line: found "…": write …`.
 *
 * @param all Whether to check the source, action files and generated parts of pages, too.
 */
export function checkProject(root: string, all = sourceIsClean): string[] {
  const read = (file: string): string => readFileSync(join(root, file), 'utf8')
  const files = (patterns: string[]): string[] =>
    globSync(patterns, { cwd: root, exclude: ['node_modules/**', 'dist/**'] })
      .map((file) => file.replaceAll('\\', '/'))
      .sort()
  const pages = files(['*.md', 'docs/**/*.md', 'actions/**/*.md', '.github/**/*.md']).filter(
    (file) => all || file !== 'docs/errors.md',
  )
  const found: [file: string, findings: Finding[]][] = pages.map((file) => [
    file,
    checkPage(read(file), all ? 'check' : 'skip'),
  ])
  if (all) {
    for (const file of files(['action.yml', 'actions/*/action.yml', '.github/workflows/*.yml']))
      found.push([file, checkWords(read(file))])
    for (const file of files(['src/**/*.ts'])) found.push([file, checkSource(file, read(file))])
  }
  return found.flatMap(([file, findings]) =>
    findings
      .toSorted((a, b) => a.line - b.line)
      .map(({ line, found: words, instead }) => `${file}:${line}: "${words}": write ${instead}`),
  )
}

if (import.meta.main) {
  const all = sourceIsClean || process.argv.includes('--all')
  const found = checkProject(dirname(import.meta.dirname), all)
  for (const finding of found) console.error(finding)
  console.log(found.length === 0 ? 'prose: clean' : `prose: ${found.length} findings`)
  process.exitCode = found.length === 0 ? 0 : 1
}
