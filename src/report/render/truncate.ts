/**
 * Cuts a rendered report to a limit, in bytes of UTF-8 or in JavaScript's characters. The cut is at
 * the end of a line, closes what is open there, and says so. A report within the limit comes back
 * unchanged.
 */
export function truncate(markdown: string, limit: number, unit: 'bytes' | 'characters'): string {
  const measure = (part: string): number =>
    unit === 'bytes' ? Buffer.byteLength(part) : part.length
  const size = measure(markdown)
  if (size <= limit) return markdown
  const room = limit - 400
  const figures = [size, limit].map((value) => value.toLocaleString('en-US'))
  const note = `**This report was cut: it has ${figures[0]} ${unit}, and GitHub shows ${figures[1]}.**`
  const kept: string[] = []
  let used = 0
  // the longest beginning that has room for what closes it: a fence can be of any length
  let best = { lines: 0, ending: note }
  let fenced = ''
  const open: string[] = []
  for (const line of markdown.split('\n')) {
    used += measure(line) + 1
    if (used > room) break
    kept.push(line)
    // a fence ends as it begins, and is longer than every run of backticks in it
    if (fenced !== '') {
      if (line === fenced) fenced = ''
    } else if (line.startsWith('```')) fenced = /^`+/.exec(line)?.[0] ?? ''
    else if (line === '<details>') open.push('</details>')
    else if (line === '</details>') open.pop()
    const closers = [...(fenced ? [fenced] : []), ...open.toReversed().flatMap((tag) => ['', tag])]
    const ending = [...closers, '', note].join('\n')
    if (used + measure(ending) <= limit) best = { lines: kept.length, ending }
  }
  return [...kept.slice(0, best.lines), best.ending].join('\n')
}
