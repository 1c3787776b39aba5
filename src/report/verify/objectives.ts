import type { ErrorCode } from '../../errors/catalogue.ts'
import type { ObjectiveResult, SizeChange } from '../../verify/objectives.ts'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMany,
} from '../markdown/format.ts'
import { blocks, md, table, text, type Markdown } from '../markdown/markdown.ts'

/** What was found of an objective, in one sentence with its figures. */
export function objectiveText(objective: ObjectiveResult): string {
  switch (objective.name) {
    case 'max-age':
      return `The newest backup (${objective.newest}) is ${formatAge(objective.found)} old, ${objective.met ? 'within' : 'more than'} the ${formatAge(objective.limit)} of max-age.`
    case 'max-restore-time': {
      const { found, bytes, fills, limit } = objective
      if (found === undefined || bytes === undefined || fills === undefined)
        return `How long a restore takes was not measured: it did not come to its end.`
      const until = objective.met
        ? `at this speed the limit is reached when the database has ${formatBytes(fills)} on its server`
        : `at this speed only ${formatBytes(fills)} can be restored within the limit`
      return `The whole restore (${formatBytes(bytes)} on the server it came from) took ${formatDuration(found)}, ${objective.met ? 'within' : 'more than'} the ${formatDuration(limit)} of max-restore-time; ${until}.`
    }
    case 'max-size-change': {
      if (objective.changes.length === 0)
        return 'There is no backup before it to compare its size with.'
      const beyond = objective.met ? 'within' : 'beyond'
      return `${objective.changes.map(changeText).join('; ')}: ${beyond} the ${percent(objective.limit)} of max-size-change.`
    }
  }
}

/** For example `1.2 MiB stored, 60 % less than the median of the 7 before it (3.0 MiB)`. */
function changeText({ of, now, median, before }: SizeChange): string {
  const show = (value: number): string =>
    of === 'bytes' ? formatBytes(value) : formatCount(Math.round(value))
  const share = now / median - 1
  const how =
    Math.abs(share) < 0.005
      ? 'as much as'
      : `${percent(Math.abs(share))} ${share < 0 ? 'less' : 'more'} than`
  return `${of === 'bytes' ? `${show(now)} stored` : formatMany(now, 'row')}, ${how} the median of the ${before === 1 ? 'one' : before} before it (${show(median)})`
}

function percent(share: number): string {
  return `${formatCount(Math.round(share * 100))} %`
}

/** Where no objective says what is too much. */
export function fallenText(id: string, fallen: readonly SizeChange[]): string[] {
  return fallen.length === 0
    ? []
    : [
        `${id} is far smaller than the backups before it: ${fallen.map(changeText).join('; ')}. If that is as it should be, say so by max-size-change.`,
      ]
}

export function objectivesPart(objectives: readonly ObjectiveResult[]): Markdown | undefined {
  if (objectives.length === 0) return undefined
  const mark = ({ met }: ObjectiveResult): string => (met === undefined ? '–' : met ? '✅' : '❌')
  return blocks(
    md`### Objectives`,
    table(
      ['', 'Objective', 'Found'],
      objectives.map((each) => [mark(each), each.name, text(objectiveText(each))]),
    ),
  )
}

/** By which word of `error-code` a script knows an objective that was not met. */
export const objectiveCodes: Record<ObjectiveResult['name'], ErrorCode> = {
  'max-age': 'backup-too-old',
  'max-restore-time': 'restore-too-slow',
  'max-size-change': 'size-anomaly',
}
