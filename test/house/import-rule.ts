import { posix } from 'node:path'
import ts from 'typescript'

/**
 * The import rule of docs/architecture.md. Imports point down only:
 * actions → {github, core, report}; core → {postgres, storage, stream}; postgres, storage → stream; github → {report, stream};
 * report ← plain data of core; cli, the other edge, → {actions, github, core, report}.
 */
const below: Record<string, readonly string[]> = {
  index: ['actions', 'cli'],
  cli: ['actions', 'github', 'core', 'report'],
  actions: ['github', 'core', 'report'],
  core: ['postgres', 'storage', 'stream'],
  postgres: ['stream'],
  storage: ['stream'],
  stream: [],
  github: ['report', 'stream'],
  report: [],
}

/** All may import these: they hold no story of their own. */
const shared = ['src/errors.ts', 'src/version.ts', 'src/work.ts']

/** Single files that a room may import from one that is not below it, and why. */
const doors: { from: string; to: string; typesOnly: boolean }[] = [
  // a report is made from what the core tells, and knows its shape and its words
  { from: 'report', to: 'src/core/', typesOnly: true },
  { from: 'report', to: 'src/core/level.ts', typesOnly: false },
  // inputs become what the core is given: a connection and storages
  { from: 'github', to: 'src/postgres/connection.ts', typesOnly: false },
  { from: 'actions', to: 'src/postgres/connection.ts', typesOnly: false },
  { from: 'actions', to: 'src/storage/open.ts', typesOnly: false },
  { from: 'actions', to: 'src/storage/storage.ts', typesOnly: true },
  // a password that a URL leaves out comes from libpq's file, before the actions' code reads the URL
  { from: 'cli', to: 'src/postgres/connection.ts', typesOnly: false },
  // a run that died is known by its pid and start
  { from: 'cli', to: 'src/stream/process.ts', typesOnly: false },
]

/** Where the runner's own packages and the process's environment may be met. */
const runnerPackages = (file: string): boolean => file.startsWith('src/github/') || file === 'src/storage/artifact.ts'
const environmentReaders = (file: string): boolean => file.startsWith('src/github/') || file.startsWith('src/actions/')

export interface Offence {
  file: string
  line: number
  what: string
}

/** What in one source file breaks the rule. `file` is its path from the root, with forward slashes, for example `src/core/backup.ts`. */
export function offences(file: string, text: string): Offence[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: Offence[] = []
  const note = (node: ts.Node, what: string): void => {
    found.push({ file, line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1, what })
  }
  const visit = (node: ts.Node): void => {
    const imported = importOf(node)
    if (imported !== undefined) {
      const what = judge(file, imported.name, imported.typeOnly)
      if (what !== undefined) note(node, what)
    }
    if (readsEnvironment(node) && !environmentReaders(file)) note(node, 'reads process.env, which only src/github and src/actions may')
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The module that a node imports: by import, export … from, import(…) or a type's import('…'). */
function importOf(node: ts.Node): { name: string; typeOnly: boolean } | undefined {
  if (ts.isImportDeclaration(node)) return text(node.moduleSpecifier, isTypeOnly(node.importClause))
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) return text(node.moduleSpecifier, node.isTypeOnly)
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return text(node.argument.literal, true)
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments
    return (argument && text(argument, false)) ?? { name: '(computed)', typeOnly: false }
  }
  return undefined
}

function text(node: ts.Node, typeOnly: boolean): { name: string; typeOnly: boolean } | undefined {
  return ts.isStringLiteralLike(node) ? { name: node.text, typeOnly } : undefined
}

/** True for `import type …` and for an import of which every name is marked `type`. */
function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  const names = clause.namedBindings
  if (clause.name !== undefined || names === undefined || !ts.isNamedImports(names)) return false
  return names.elements.length > 0 && names.elements.every((each) => each.isTypeOnly)
}

function judge(file: string, name: string, typeOnly: boolean): string | undefined {
  if (name === '(computed)') return 'imports a computed name, which nobody can check'
  if (name === 'process' || name === 'node:process') return environmentReaders(file) ? undefined : `imports ${name}, by which the environment could be read`
  if (name.startsWith('@actions/')) return runnerPackages(file) ? undefined : `imports ${name}, which only src/github and src/storage/artifact.ts may`
  if (!name.startsWith('.')) return undefined
  const target = posix.join(posix.dirname(file), name)
  const [from, to] = [roomOf(file), roomOf(target)]
  if (from === to || shared.includes(target)) return undefined
  if (shared.includes(file)) return `imports ${target}; what all may import imports nothing`
  if (below[from]?.includes(to)) return undefined
  if (doors.some((door) => door.from === from && target.startsWith(door.to) && (typeOnly || !door.typesOnly))) return undefined
  return `imports ${target}${typeOnly ? ' (a type)' : ''}: ${from} may import ${below[from]?.join(', ') || 'nothing'}`
}

/** The folder under src that a file is in; for a file in src itself its name. */
function roomOf(file: string): string {
  return file.split('/')[1]?.replace(/\.ts$/, '') ?? ''
}

/** `process.env`, `process['env']`, `const { env } = process`, and the same by globalThis. */
function readsEnvironment(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node)) return node.name.text === 'env' && isProcess(node.expression)
  if (ts.isElementAccessExpression(node)) return isProcess(node.expression)
  return ts.isVariableDeclaration(node) && node.initializer !== undefined && isProcess(node.initializer)
}

function isProcess(node: ts.Expression): boolean {
  return (ts.isIdentifier(node) && node.text === 'process') ||
    (ts.isPropertyAccessExpression(node) && node.name.text === 'process' && ts.isIdentifier(node.expression) && node.expression.text === 'globalThis')
}
