import { error, notice, warning } from '@actions/core'

export interface Annotation {
  severity: 'error' | 'warning' | 'note'
  title?: string
  message: string
}

/** GitHub shows ten of each kind a step. One error is left for the step's own verdict. */
const most = 9
const longest = 4096

/**
 * Annotates the run with the first of each severity, in the order given; the rest stands in the
 * summary.
 */
export function annotate(annotations: readonly Annotation[]): void {
  const say = { error, warning, note: notice }
  for (const severity of ['error', 'warning', 'note'] as const) {
    for (const each of annotations.filter((one) => one.severity === severity).slice(0, most)) {
      say[severity](shorten(each.message), each.title === undefined ? {} : { title: each.title })
    }
  }
}

/** To the length that an annotation can have. */
function shorten(message: string): string {
  return message.length <= longest
    ? message
    : `${message.slice(0, longest - 60)} … (cut; the whole of it is in the job summary)`
}
