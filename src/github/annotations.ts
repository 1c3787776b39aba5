import { error, notice, warning } from '@actions/core'
import { flatten, logLines } from '../escape.ts'
import { plainText, type Text } from '../text.ts'

export interface Annotation {
  severity: 'error' | 'warning' | 'note'
  title?: string
  message: Text
}

/** GitHub shows ten of each severity for a step. One error is left for the step's own verdict. */
const maxShown = 9
const maxLength = 4096

/** Annotates the run with the first annotations of each severity, in their order. */
export function annotate(annotations: readonly Annotation[]): void {
  const commands = { error, warning, note: notice }
  for (const severity of ['error', 'warning', 'note'] as const) {
    const shown = annotations.filter((each) => each.severity === severity).slice(0, maxShown)
    for (const { message, title } of shown)
      commands[severity](
        shorten(logLines(plainText(message))),
        title === undefined ? {} : { title: flatten(title) },
      )
  }
}

/** Cuts a message to the length that an annotation can have. */
function shorten(message: string): string {
  return message.length <= maxLength
    ? message
    : `${message.slice(0, maxLength - 60)} … (cut; the job summary has the full text)`
}
