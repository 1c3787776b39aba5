/** The catalogue of error codes: each is in use, each says what to do, and the page is current. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'
import { errorsPage } from '../../scripts/generate/errors.ts'
import { catalogue, outcomes, topics } from '../../src/errors/catalogue.ts'

const root = dirname(dirname(import.meta.dirname))
const entries = Object.entries({ ...catalogue, ...outcomes })
/**
 * Returns the strings of a file that can become a code: not types, and not what a value is compared
 * with.
 */
function stringsOf(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || isComparison(node)) return
    if (ts.isStringLiteralLike(node)) found.push(node.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest))
  return found
}

function isComparison(node: ts.Node): boolean {
  return (
    ts.isBinaryExpression(node) &&
    [ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken].includes(
      node.operatorToken.kind,
    )
  )
}

describe('the catalogue of errors', () => {
  test('has no code that the source never uses', () => {
    const files = globSync('src/**/*.ts', { cwd: root, exclude: ['src/errors/**'] })
    assert.ok(files.length > 100)
    const used = new Set(files.flatMap(stringsOf))
    assert.deepEqual(
      entries.flatMap(([code]) => (used.has(code) ? [] : [code])),
      [],
    )
  })

  test('says what happened in one sentence of at most 160 characters', () => {
    const wrong = entries.filter(
      ([, { message }]) => !/^([A-Z]|pg_).*[^.…]\.$/.test(message) || message.length > 160,
    )
    assert.deepEqual(
      wrong.map(([code, { message }]) => `${code}: ${message}`),
      [],
    )
  })

  test('says what to do, in sentences that may end with what to type', () => {
    const wrong = entries.filter(
      ([, { hint }]) => hint.length < 20 || !/^([A-Z]|pg_).*([^.…]\.|: [^.]+)$/.test(hint),
    )
    assert.deepEqual(
      wrong.map(([code, { hint }]) => `${code}: ${hint}`),
      [],
    )
  })

  test('has no placeholders, except for names in SQL and in keys', () => {
    const allowed = /(\b[A-Z]{2,} |\(|= |age1)…/g
    const wrong = entries.filter(([, { message, hint }]) =>
      (message + hint.replace(allowed, '')).includes('…'),
    )
    assert.deepEqual(
      wrong.map(([code]) => code),
      [],
    )
  })

  test('has each code under one topic', () => {
    const codes = topics.flatMap(({ errors }) => Object.keys(errors))
    assert.deepEqual(codes.toSorted(), entries.map(([code]) => code).toSorted())
  })
})

describe('docs/errors.md', () => {
  const page = readFileSync(join(root, errorsPage.file), 'utf8')

  test('is what npm run generate writes', async () =>
    assert.equal(page, await errorsPage.content(page)))

  test('has one heading for each code, whose anchor is the code', () => {
    const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading)
    for (const [code] of entries) {
      assert.match(code, /^[a-z]+(-[a-z]+)*$/)
      const same = headings.filter((heading) => heading.toLowerCase().replaceAll(' ', '-') === code)
      assert.deepEqual(same, [code])
    }
  })
})
