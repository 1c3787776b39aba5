/** A rename by search and replace can land in a sentence: no sentence has a name of the code in it. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

const root = dirname(dirname(import.meta.dirname))
const files = globSync('src/**/*.ts', { cwd: root })

/**
 * The names that the source declares and that no English word looks like: two humps or more. Comments
 * name the classes of errors as they are.
 */
function declaredIn(source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) => {
    const name =
      ts.isFunctionDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement)
        ? (statement.name?.text ?? '')
        : ''
    return /^[A-Za-z][a-z]+[A-Z]/.test(name) ? [name] : []
  })
}

/** Sentences of a file: its comments, and its strings of four words or more. Code in backticks is cut. */
function sentencesOf(source: ts.SourceFile): string[] {
  const found = [...source.text.matchAll(/^\s*\/\*\*?[\s\S]*?\*\/|^\s*\/\/.*$/gm)].map(
    ([text]) => text,
  )
  const visit = (node: ts.Node): void => {
    if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node)
    )
      if (node.text.trim().split(/\s+/).length >= 4) found.push(node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found.map((text) => text.replace(/`[^`]*`/g, ''))
}

test('no comment and no message has a name of the code in it, outside of backticks', () => {
  const sources = files.map((file) =>
    ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true),
  )
  const names = new Set(sources.flatMap(declaredIn))
  assert.ok(names.size > 200, `${names.size} names`)
  const wrong = sources.flatMap((source) =>
    sentencesOf(source).flatMap((sentence) =>
      (sentence.match(/\b[A-Za-z]\w+\b/g) ?? [])
        .filter((word) => names.has(word))
        .map((word) => `${source.fileName}: ${word}`),
    ),
  )
  assert.deepEqual(wrong, [])
})
