import { posix } from 'node:path'
import ts from 'typescript'
import { alternatives, innerLayers, layers, typesOnly } from './layers.ts'

/**
 * The import rule of docs/architecture.md: imports point down, by the layers of `layers.ts`, and
 * never in a circle.
 */

/** Where the runner's own packages and the process's environment may be met. */
const runnerPackages = (file: string): boolean => file.startsWith('src/github/')
const environmentReaders = (file: string): boolean =>
  file.startsWith('src/github/') || file.startsWith('src/actions/')

export interface Offence {
  file: string
  line: number
  what: string
}

/**
 * What in one source file breaks the rule. `file` is its path from the root, with forward slashes,
 * for example `src/backup/backup.ts`.
 */
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
    if (readsEnvironment(node) && !environmentReaders(file))
      note(node, 'reads process.env, which only src/github and src/actions may')
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** The module that a node imports: by import, export … from, import(…) or a type's import('…'). */
function importOf(node: ts.Node): { name: string; typeOnly: boolean } | undefined {
  if (ts.isImportDeclaration(node)) return text(node.moduleSpecifier, isTypeOnly(node.importClause))
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined)
    return text(node.moduleSpecifier, node.isTypeOnly)
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
    return text(node.argument.literal, true)
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
  if (name === 'process' || name === 'node:process')
    return environmentReaders(file)
      ? undefined
      : `imports ${name}, by which the environment could be read`
  if (name.startsWith('@actions/'))
    return runnerPackages(file) ? undefined : `imports ${name}, which only src/github may`
  if (!name.startsWith('.')) return undefined
  const target = posix.join(posix.dirname(file), name)
  const why = refusal(file, target, typeOnly)
  return why === undefined ? undefined : `imports ${target}${typeOnly ? ' (a type)' : ''}: ${why}`
}

/** Why `file` must not import `target`; undefined if it may. */
function refusal(file: string, target: string, typeOnly: boolean): string | undefined {
  const [from, to] = [roomOf(file), roomOf(target)]
  if (from === to) return refusalWithin(from, file, target)
  const [upper, lower] = [levelOf(layers, from), levelOf(layers, to)]
  if (upper === -1 || lower === -1)
    return `src/${upper === -1 ? from : to} is in no layer of test/house/layers.ts`
  if (lower <= upper)
    return `${from} may import only what stands below it: ${
      layers
        .slice(upper + 1)
        .flat()
        .join(', ') || 'nothing'
    }`
  const code = typesOnly[from]
  if (code && !typeOnly && levelOf(layers, 'errors') > lower && !code.includes(target))
    return `${from} may import only types of ${to}`
  return undefined
}

function refusalWithin(room: string, file: string, target: string): string | undefined {
  const [from, to] = [subRoomOf(file), subRoomOf(target)]
  if (from === to || to === undefined) {
    const dispatcher = alternatives[room]
    return dispatcher !== undefined && from !== undefined && target === dispatcher
      ? `only what stands above ${room} imports ${dispatcher}`
      : undefined
  }
  const dispatcher = alternatives[room]
  if (dispatcher !== undefined)
    return file === dispatcher ? undefined : `only ${dispatcher} imports a sub-folder of ${room}`
  const inner = innerLayers[room]
  if (inner === undefined) return undefined
  const [upper, lower] = [from === undefined ? -1 : levelOf(inner, from), levelOf(inner, to)]
  if (lower === -1 || (from !== undefined && upper === -1))
    return `src/${room}/${lower === -1 ? to : from} is in no layer of test/house/layers.ts`
  return lower > upper
    ? undefined
    : `${room}/${from} may import only what stands below it: ${
        inner
          .slice(upper + 1)
          .flat()
          .join(', ') || 'nothing'
      }`
}

/**
 * The first circle among the files, as the path that closes it, types included; undefined if there
 * is none.
 */
export function circleAmong(files: ReadonlyMap<string, string>): string[] | undefined {
  const done = new Set<string>()
  const search = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const target of importedBy(file, files.get(file) ?? '')) {
      const circle = search(target, [...path, file])
      if (circle) return circle
    }
    done.add(file)
    return undefined
  }
  for (const file of files.keys()) {
    const circle = search(file, [])
    if (circle) return circle
  }
  return undefined
}

/** The project's own files that a file imports. */
function importedBy(file: string, content: string): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    const imported = importOf(node)
    if (imported?.name.startsWith('.')) found.push(posix.join(posix.dirname(file), imported.name))
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true))
  return found
}

function levelOf(of: readonly (readonly string[])[], room: string): number {
  return of.findIndex((layer) => layer.includes(room))
}

/** The folder under src that a file is in; for a file in src itself its name. */
function roomOf(file: string): string {
  return file.split('/')[1]?.replace(/\.ts$/, '') ?? ''
}

/** The folder within that; undefined for a file in the room itself. */
function subRoomOf(file: string): string | undefined {
  const [, , sub, ...rest] = file.split('/')
  return rest.length > 0 ? sub : undefined
}

/** `process.env`, `process['env']`, `const { env } = process`, and the same by globalThis. */
function readsEnvironment(node: ts.Node): boolean {
  if (ts.isPropertyAccessExpression(node))
    return node.name.text === 'env' && isProcess(node.expression)
  if (ts.isElementAccessExpression(node)) return isProcess(node.expression)
  return (
    ts.isVariableDeclaration(node) && node.initializer !== undefined && isProcess(node.initializer)
  )
}

function isProcess(node: ts.Expression): boolean {
  return (
    (ts.isIdentifier(node) && node.text === 'process') ||
    (ts.isPropertyAccessExpression(node) &&
      node.name.text === 'process' &&
      ts.isIdentifier(node.expression) &&
      node.expression.text === 'globalThis')
  )
}
