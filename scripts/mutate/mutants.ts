import ts from 'typescript'

/** One small change of a source file that a good test notices. */
export interface Mutant {
  file: string
  line: number
  /** Offsets in the file of what is replaced. */
  start: number
  end: number
  /** What stands there instead. */
  text: string
  /** What stood there. */
  was: string
}

const swaps: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: '!==',
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: '===',
  [ts.SyntaxKind.LessThanToken]: '<=',
  [ts.SyntaxKind.LessThanEqualsToken]: '<',
  [ts.SyntaxKind.GreaterThanToken]: '>=',
  [ts.SyntaxKind.GreaterThanEqualsToken]: '>',
  [ts.SyntaxKind.AmpersandAmpersandToken]: '||',
  [ts.SyntaxKind.BarBarToken]: '&&',
  [ts.SyntaxKind.MinusToken]: '+',
  [ts.SyntaxKind.AsteriskToken]: '/',
  [ts.SyntaxKind.SlashToken]: '*',
}

const methods: Record<string, string> = {
  some: 'every',
  every: 'some',
  max: 'min',
  min: 'max',
  startsWith: 'endsWith',
  endsWith: 'startsWith',
  toSorted: 'slice',
  toReversed: 'slice',
  floor: 'ceil',
  ceil: 'floor',
}

/**
 * Returns every mutant of a source file: comparisons and logic turned round, conditions fixed,
 * negations dropped, numbers one higher, booleans turned, statements left out, methods exchanged.
 * Strings stay: what a sentence says is for its reader to judge.
 */
export function mutantsOf(file: string, content: string): Mutant[] {
  const source = ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true)
  const found: Mutant[] = []
  const add = (node: ts.Node, text: string): void => {
    const [start, end] = [node.getStart(), node.getEnd()]
    const { line } = source.getLineAndCharacterOfPosition(start)
    found.push({ file, line: line + 1, start, end, text, was: content.slice(start, end) })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node))
      return
    if (ts.isBinaryExpression(node)) {
      const swap = swaps[node.operatorToken.kind]
      if (swap !== undefined) add(node.operatorToken, swap)
    } else if (ts.isPrefixUnaryExpression(node)) {
      if (node.operator === ts.SyntaxKind.ExclamationToken) add(node, node.operand.getText())
    } else if (ts.isConditionalExpression(node)) fix(node.condition)
    else if (ts.isIfStatement(node)) fix(node.expression)
    else if (node.kind === ts.SyntaxKind.TrueKeyword) add(node, 'false')
    else if (node.kind === ts.SyntaxKind.FalseKeyword) add(node, 'true')
    else if (ts.isNumericLiteral(node)) add(node, `(${node.text} + 1)`)
    else if (ts.isExpressionStatement(node)) add(node, ';')
    else if (ts.isPropertyAccessExpression(node) && ts.isCallExpression(node.parent)) {
      const other = Object.hasOwn(methods, node.name.text) ? methods[node.name.text] : undefined
      if (other !== undefined) add(node.name, other)
    }
    ts.forEachChild(node, visit)
  }
  const fix = (condition: ts.Expression): void => {
    // the type checker is not asked: a condition that narrows is fixed all the same
    add(condition, 'true')
    add(condition, 'false')
  }
  visit(source)
  return found
}
