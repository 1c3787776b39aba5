/**
 * Where a line of SQL begins or ends: in plain code, in a block comment (they nest), or in a string,
 * a quoted identifier or a dollar-quoted text, which ends at `until`. Only an `E'…'` string has
 * backslash escapes.
 */
export type LexerState =
  | { readonly kind: 'code' }
  | { readonly kind: 'block-comment'; readonly depth: number }
  | { readonly kind: 'escape-string' }
  | { readonly kind: 'quoted'; readonly until: string }

export interface LexedLine {
  /** Where the next line begins. */
  readonly state: LexerState
  /**
   * What stands outside comments and quotes. A quote leaves its opening mark; a block comment and a
   * dollar quote leave a space.
   */
  readonly code: string
  /** A backslash outside comments and quotes: psql would read a command there. */
  readonly psqlCommand: boolean
}

/** The state before the first line. */
export const inCode: LexerState = { kind: 'code' }

/**
 * Reads one line as psql's own lexer does, with standard_conforming_strings on. `line` is Latin-1
 * text without its line end, so that each character is one byte. Stops at a psql command.
 */
export function lexLine(line: string, state: LexerState): LexedLine {
  return new LineLexer(line, state).read()
}

const codeToken = /[^'"\\$/-]+|--|\/\*|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$|[^]/y
const commentMark = /\*\/|\/\*/g
const escapeStringToken = /\\.|''|'/gs

class LineLexer {
  readonly #line: string
  #at = 0
  #state: LexerState
  #code = ''
  #psqlCommand = false

  constructor(line: string, state: LexerState) {
    this.#line = line
    this.#state = state
  }

  read(): LexedLine {
    while (this.#at < this.#line.length && !this.#psqlCommand) {
      const state = this.#state
      if (state.kind === 'block-comment') this.#readComment(state.depth)
      else if (state.kind === 'escape-string') this.#readEscapeString()
      else if (state.kind === 'quoted') this.#readQuoted(state.until)
      else this.#readCode()
    }
    return { state: this.#state, code: this.#code, psqlCommand: this.#psqlCommand }
  }

  #readComment(depth: number): void {
    const mark = this.#seek(commentMark)
    if (mark === '/*') this.#state = { kind: 'block-comment', depth: depth + 1 }
    else if (mark === '*/')
      this.#state = depth > 1 ? { kind: 'block-comment', depth: depth - 1 } : inCode
  }

  #readEscapeString(): void {
    if (this.#seek(escapeStringToken) === "'") this.#state = inCode
  }

  #readQuoted(until: string): void {
    const end = this.#line.indexOf(until, this.#at)
    this.#at = end < 0 ? this.#line.length : end + until.length
    if (end >= 0) this.#state = inCode
  }

  #readCode(): void {
    const before = this.#line.slice(Math.max(0, this.#at - 2), this.#at)
    codeToken.lastIndex = this.#at
    const [token = ''] = codeToken.exec(this.#line) ?? []
    this.#at += token.length
    if (token === '--') return this.#skipLineComment()
    if (token === '\\') {
      this.#psqlCommand = true
      return
    }
    if (token === '/*') this.#state = { kind: 'block-comment', depth: 1 }
    else if (token === "'" && /(^|[^\w$\x80-\xff])[eE]$/.test(before))
      this.#state = { kind: 'escape-string' }
    else if (token === "'" || token === '"') this.#state = { kind: 'quoted', until: token }
    else if (token.startsWith('$') && token.length > 1) this.#openDollarQuote(token, before)
    this.#code += token.startsWith('$') || token === '/*' ? ' ' : token
  }

  /** A dollar sign after a name's character is part of that name and opens nothing. */
  #openDollarQuote(token: string, before: string): void {
    if (/[\w$\x80-\xff]$/.test(before)) this.#at -= token.length - 1
    else this.#state = { kind: 'quoted', until: token }
  }

  /** A carriage return ends the comment, for psql as for the server. */
  #skipLineComment(): void {
    const end = this.#line.indexOf('\r', this.#at)
    this.#at = end < 0 ? this.#line.length : end
  }

  /** Moves behind the next match and returns it; moves to the end if there is none. */
  #seek(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#line)
    this.#at = found ? pattern.lastIndex : this.#line.length
    return found?.[0]
  }
}
