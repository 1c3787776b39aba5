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
  /**
   * A backslash outside comments and quotes: psql would read a command there. Also true for a text
   * that some versions of psql read as an E string and others not.
   */
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

const name = String.raw`[A-Za-z_\x80-\xff][\w$\x80-\xff]*`
const dollarMark = String.raw`\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$`
/** A number or a parameter, with the name that may follow at once (an error for the server). */
const number = String.raw`(?:\$?\d+(?:\.\d*)?|\.\d+)(?:${name})?`
/** A psql variable; where it is not set, psql leaves its text as it is. */
const variable = String.raw`:[\w\x80-\xff]+`
const other = String.raw`[^'"\\$/.:\w\x80-\xff-]+`
const codeToken = new RegExp(
  `--|/\\*|(?<mark>${dollarMark})|${name}|(?<number>${number})|::|${variable}|${other}|[^]`,
  'y',
)
const commentMark = /\*\/|\/\*/g
const escapeStringToken = /\\.|''|'/gs
/** A string goes on in the next quote if a line break stands between; in a line, a lone `\r`. */
const continuation = /(?:[ \t\f\v]|--[^\r]*(?=\r))*\r(?:[ \t\r\f\v]|--[^\r]*\r)*'/y

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
    if (this.#seek(escapeStringToken) !== "'") return
    continuation.lastIndex = this.#at
    if (continuation.test(this.#line)) this.#at = continuation.lastIndex
    else this.#state = inCode
  }

  #readQuoted(until: string): void {
    const end = this.#line.indexOf(until, this.#at)
    this.#at = end < 0 ? this.#line.length : end + until.length
    if (end >= 0) this.#state = inCode
  }

  #readCode(): void {
    codeToken.lastIndex = this.#at
    const found = codeToken.exec(this.#line)
    const [token = ''] = found ?? []
    const { mark, number } = found?.groups ?? {}
    this.#at += token.length
    const isE = /e$/i.test(token) && this.#line[this.#at] === "'"
    if (token === '--') this.#skipLineComment()
    // psql 14 and older end a number before the E, and read an E string
    else if (token === '\\' || (number !== undefined && isE)) this.#psqlCommand = true
    else if (token === '/*') this.#open({ kind: 'block-comment', depth: 1 }, ' ')
    else if (mark !== undefined) this.#open({ kind: 'quoted', until: mark }, ' ')
    else if (token === "'" || token === '"') this.#open({ kind: 'quoted', until: token }, token)
    else if (token.length === 1 && isE) {
      this.#at++
      this.#open({ kind: 'escape-string' }, `${token}'`)
    } else this.#code += token
  }

  #open(state: LexerState, code: string): void {
    this.#state = state
    this.#code += code
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
