/** The first line of a report. */
export const firstLine = (report: string): string => report.split('\n')[0] as string

/** The rows of all tables, cell by cell, outside of fences. */
export function rows(report: string): string[][] {
  const lines = report.replace(/^(`{3,})[\s\S]*?\n\1$/gm, '').split('\n')
  return lines
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
}
