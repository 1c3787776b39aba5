import type { Annotation } from '../github/annotations.ts'
import { paint, renderMarkdown, type Screen } from '../report/terminal.ts'
import type { Log } from '../work.ts'

/**
 * Where a run speaks: results to the standard output, what needs attention to the standard error.
 */
export interface Terminal {
  log: Log
  /** Somebody sits there who can be asked. */
  interactive: boolean
  /** A report, which is Markdown. */
  report(markdown: string): void
  /** The same, of a failure. */
  failure(markdown: string): void
  annotate(annotations: readonly Annotation[]): void
  /** Words as they are, to the standard output. */
  print(text: string): void
  /** A result for another program; the only thing that goes to the standard output with `json`. */
  result(text: string): void
}

export interface TerminalOptions {
  json: boolean
  debug: boolean
  /** No colour, as its user asked by NO_COLOR. */
  plain: boolean
  /** Takes secrets out. */
  redact: (text: string) => string
}

export function openTerminal({ json, debug, plain, redact }: TerminalOptions): Terminal {
  const [stdin, stdout, stderr] = [process.stdin, process.stdout, process.stderr]
  const out = json ? stderr : stdout
  for (const stream of [stdout, stderr]) stream.on('error', () => {}) // whoever read it has gone (`| head`, a terminal that closed): that ends no restore
  const screenOf = (stream: NodeJS.WriteStream): Screen => ({
    width: Math.max(40, Math.min(stream.columns || 110, 130)),
    colour: stream.isTTY && !plain,
  })
  let drawn = false
  const write = (stream: NodeJS.WriteStream, text: string): void => {
    // what is drawn of the progress makes room
    if (drawn) stderr.write('\r\u001b[2K')
    drawn = false
    stream.write(`${text}\n`)
  }
  const line = (stream: NodeJS.WriteStream, text: string): void =>
    write(stream, harmless(redact(text)))
  const show = (stream: NodeJS.WriteStream, markdown: string): void =>
    write(stream, `\n${renderMarkdown(harmless(redact(markdown)).trim(), screenOf(stream))}\n`)
  const warning = (text: string): void => line(stderr, `⚠ ${text}`)
  const log: Log = {
    info: (text) => line(out, text),
    debug: (text) => {
      if (debug) line(stderr, `· ${text}`)
    },
    warning,
    async group(title, body) {
      write(out, paint(`━━ ${harmless(redact(title))}`, 'bold', screenOf(out)))
      return body()
    },
    ...(stderr.isTTY
      ? {
          progress(text: string, share: number) {
            stderr.write(
              `\r\u001b[2K${drawProgress(harmless(redact(text)), share, (stderr.columns || 80) - 1)}`,
            )
            drawn = true
          },
        }
      : {}),
  }
  return {
    log,
    interactive: stdin.isTTY && stderr.isTTY,
    report: (markdown) => show(out, markdown),
    failure: (markdown) => show(stderr, markdown),
    annotate(annotations) {
      for (const { severity, title, message } of annotations) {
        const text = title === undefined ? message : `${title}: ${message}`
        if (severity === 'note') line(out, text)
        else if (severity === 'warning') warning(text)
        else line(stderr, `✗ ${text}`)
      }
    },
    print: (text) => line(out, text),
    result: (text) => write(stdout, redact(text)),
  }
}

/** A bar, and beside it as much of the text as the line has room for. */
export function drawProgress(text: string, share: number, columns: number): string {
  const width = Math.min(24, Math.floor(columns / 3))
  const full = Math.round(width * Math.max(0, Math.min(1, share)))
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${text}`.slice(0, Math.max(0, columns))
}

/**
 * Without what would act on a terminal: colours, cursor movements and other control characters,
 * which a migration may have written.
 */
function harmless(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '')
}
