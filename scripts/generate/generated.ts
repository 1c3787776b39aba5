/** A file that is made from the source, whole or between two markers. */
export interface Generated {
  /** From the project's root. */
  file: string
  /** Returns the file's new content, given what it has now (empty if it does not exist). */
  content: (current: string) => string | Promise<string>
}

/**
 * Returns a page with other text between `<!-- generated: NAME -->` and `<!-- end -->`. Throws if the
 * page lacks these markers.
 */
export function replaceBetween(page: string, name: string, text: string): string {
  const begin = `<!-- generated: ${name} -->`
  const from = page.indexOf(begin)
  const to = page.indexOf('<!-- end -->', from)
  if (from === -1 || to === -1) throw new Error(`No ${begin} … <!-- end --> in the page`)
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`
}
