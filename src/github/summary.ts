import { appendFileSync, statSync } from 'node:fs'
import type { Report } from '../report/blocks.ts'
import { renderMarkdown } from '../report/render/markdown.ts'
import { truncate } from '../report/render/truncate.ts'
import type { Env } from './inputs/input.ts'

/** GitHub drops the whole summary of a step that has more bytes. */
export const summaryLimit = 1024 * 1024

/**
 * Appends a report to the job summary, cut to GitHub's limit. Returns false if the runner has no
 * summary, or no room for one.
 */
export function writeSummary(report: Report, env: Env): boolean {
  const file = env['GITHUB_STEP_SUMMARY']
  if (!file) return false
  const used = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const room = summaryLimit - used - 1
  if (room < 1000) return false
  appendFileSync(file, truncate(renderMarkdown(report), room, 'bytes'))
  return true
}
