import { appendFileSync, statSync } from 'node:fs'
import { truncate } from '../report/markdown/markdown.ts'
import type { Env } from './inputs/input.ts'

/** Over this, GitHub drops a step's whole summary. */
export const summaryLimit = 1024 * 1024

/**
 * Adds a report to the job summary; false where the runner has none. Cut, and said so, where it is
 * too long.
 */
export function writeSummary(markdown: string, env: Env): boolean {
  const file = env['GITHUB_STEP_SUMMARY']
  if (!file) return false
  const used = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const room = summaryLimit - used - 1
  if (room < 1000) return false
  appendFileSync(file, truncate(markdown, room, 'bytes'))
  return true
}
