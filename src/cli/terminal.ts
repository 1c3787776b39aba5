import { jsonLine, withoutControls } from '../escape.ts'
import type { Annotation } from '../github/annotations.ts'
import type { Secrets } from '../github/mask.ts'
import { mapReport, mapText, type Report } from '../report/blocks.ts'
import { paint, type Screen } from '../report/render/layout.ts'
import { renderTerminal } from '../report/render/terminal.ts'
import { plainText, type Text } from '../text.ts'
import type { Log } from '../work.ts'

/** The terminal of a run: results go to standard output, warnings and errors to standard error. */
export interface Terminal {
  log: Log
  /** Whether someone can be asked a question. */
  interactive: boolean
  /** Shows a report on standard output; with `json`, on standard error. */
  report(report: Report): void
  /** Shows a report on standard error. */
  failure(report: Report): void
  annotate(annotations: readonly Annotation[]): void
  /** Writes a line to standard output. */
  print(text: string): void
  /** Writes a result for another program. With `json`, nothing else goes to standard output. */
  result(value: unknown): void
}

export interface TerminalOptions {
  json: boolean
  debug: boolean
  /** No colours, because of NO_COLOR or a dumb terminal. */
  plain: boolean
  secrets: Pick<Secrets, 'redact' | 'redactAll'>
}

export function openTerminal({ json, debug, plain: noColour, secrets }: TerminalOptions): Terminal {
  const { redact, redactAll } = secrets
  const [stdin, stdout, stderr] = [process.stdin, process.stdout, process.stderr]
  const out = json ? stderr : stdout
  const { write, draw } = openStreams()
  const screenOf = (stream: NodeJS.WriteStream): Screen => ({
    width: Math.max(40, Math.min(stream.columns || 110, 130)),
    colour: stream.isTTY && !noColour,
  })
  const plain = (text: Text): string =>
    withoutControls(redact(plainText(mapText(text, redact), 'terminal')))
  const line = (stream: NodeJS.WriteStream, text: Text): void => write(stream, plain(text))
  const show = (stream: NodeJS.WriteStream, report: Report): void =>
    write(stream, `\n${renderTerminal(mapReport(report, redact), screenOf(stream))}\n`)
  const warning = (text: Text): void => line(stderr, `⚠ ${plainText(text, 'terminal')}`)
  const log: Log = {
    info: (text) => line(out, text),
    debug: (text) => {
      if (debug) line(stderr, `· ${text}`)
    },
    warning,
    async group(title, body) {
      write(out, paint(`━━ ${plain(title)}`, 'bold', screenOf(out)))
      return body()
    },
    ...(stderr.isTTY
      ? { progress: (text: string, share: number) => draw(plain(text), share) }
      : {}),
  }
  return {
    log,
    interactive: stdin.isTTY && stderr.isTTY,
    report: (report) => show(out, report),
    failure: (report) => show(stderr, report),
    annotate(annotations) {
      for (const { severity, title, message } of annotations) {
        const words = plainText(message, 'terminal')
        const text = title === undefined ? words : `${title}: ${words}`
        if (severity === 'note') line(out, text)
        else if (severity === 'warning') warning(text)
        else line(stderr, `✗ ${text}`)
      }
    },
    print: (text) => line(out, text),
    result: (value) => write(stdout, jsonLine(redactAll(value))),
  }
}

/** Writes lines to both streams, and a progress bar below them on standard error. */
function openStreams(): {
  write: (stream: NodeJS.WriteStream, text: string) => void
  draw: (text: string, share: number) => void
} {
  const [stdout, stderr] = [process.stdout, process.stderr]
  // a reader that is gone (`| head`, a closed terminal) must not end a restore
  for (const stream of [stdout, stderr]) stream.on('error', () => {})
  const clearLine = '\r\u001b[2K'
  let drawn = false
  return {
    write: (stream, text) => {
      // the progress bar makes room
      if (drawn) stderr.write(clearLine)
      drawn = false
      stream.write(`${text}\n`)
    },
    draw: (text, share) => {
      stderr.write(clearLine + drawProgress(text, share, (stderr.columns || 80) - 1))
      drawn = true
    },
  }
}

/** Returns a bar, followed by as much of the text as the line has room for. */
export function drawProgress(text: string, share: number, columns: number): string {
  const width = Math.min(24, Math.floor(columns / 3))
  const full = Math.round(width * Math.max(0, Math.min(1, share)))
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${text}`.slice(0, Math.max(0, columns))
}
