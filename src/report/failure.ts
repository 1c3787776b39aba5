import { code, link, strong, type Text, text } from '../text.ts'
import { blocks, paragraph, type Report, verdict } from './blocks.ts'

/** A step that failed or was cancelled before it had a result to report. */
export interface Failure {
  /** `backup`, `verify`, `test-migration`, `restore`. */
  action: string
  cancelled: boolean
  code: string
  message: Text
  hint: Text
  /** The address of the code's section in the reference of errors; undefined for our own bugs. */
  page?: string
  /** What is true after the failure. Empty if a report before it has said so. */
  state: Text
}

/** What is true after a failure of each action, before it has a result or has changed anything. */
const states: Readonly<Record<string, Text>> = {
  backup: 'Earlier backups are unchanged. This run stored no backup that you can rely on.',
  verify: 'This run verified nothing.',
  'test-migration': 'This run did not test the migration.',
  restore: 'Nothing was changed.',
}

/** Returns what is true if an action fails at its very beginning. */
export function initialState(action: string): Text {
  return states[action] ?? ''
}

export function failureReport(failure: Failure): Report {
  const { state } = failure
  return blocks(
    failure.cancelled
      ? verdict('stopped', `${failure.action}: cancelled`)
      : verdict('fail', `${failure.action} failed`),
    failure.cancelled ? undefined : causeAndFix(failure),
    state === '' ? undefined : paragraph(state),
    failure.cancelled ? undefined : paragraph(codeText(failure)),
  )
}

function causeAndFix({ message, hint }: Failure): Report {
  return blocks(paragraph(text`${strong(message)}`), hint === '' ? undefined : paragraph(hint))
}

function codeText({ code: word, page }: Failure): Text {
  if (page === undefined) return text`Error code: ${code(word)}`
  return page.startsWith('https://')
    ? text`Error code: ${link([code(word)], page)}`
    : text`Error code: ${code(word)}, explained in ${page}`
}
