import { blocks, md, text, type Markdown } from './markdown/markdown.ts'

/**
 * What the summary says when there is nothing else to report: what was tried, what went wrong, and
 * what to do.
 */
export interface Failure {
  /** `backup`, `verify`, `test-migration`, `restore`. */
  action: string
  cancelled: boolean
  code: string
  message: string
  hint: string
}

const nothingHappened: Record<string, string> = {
  backup: 'Earlier backups are as they were. Do not count on a backup of this run.',
  verify: 'Nothing was proven by this run.',
  'test-migration': 'The migration was not judged: nothing is known about it from this run.',
  restore:
    'Until the swap the target database keeps its name and its data; after it, the database as it was is kept beside. The log says how far this run came.',
}

export function failureReport(failure: Failure): string {
  const verdict = failure.cancelled
    ? md`## ⏹️ ${failure.action}: cancelled`
    : md`## ❌ ${failure.action} failed`
  const state: Markdown = text(nothingHappened[failure.action] ?? '')
  if (failure.cancelled) return `${blocks(verdict, state).markdown}\n`
  return `${blocks(verdict, md`**${failure.message}**`, failure.hint ? md`${failure.hint}` : undefined, state, md`Error code: \`${text(failure.code)}\``).markdown}\n`
}
