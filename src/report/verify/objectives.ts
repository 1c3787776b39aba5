import type { ErrorCode } from '../../errors/catalogue.ts'
import { input, type Text, text } from '../../text.ts'
import type { ObjectiveResult, SizeChange } from '../../verify/objectives.ts'
import { type Report, section, symbols, table } from '../blocks.ts'
import { formatAge, formatBytes, formatCount, formatDuration, formatMany } from '../format.ts'

type Named<N extends ObjectiveResult['name']> = Extract<ObjectiveResult, { name: N }>

/** One sentence with the figures that an objective was judged by. */
export function objectiveText(objective: ObjectiveResult): Text {
  switch (objective.name) {
    case 'max-age':
      return ageText(objective)
    case 'max-restore-time':
      return restoreTimeText(objective)
    case 'max-size-change':
      return sizeText(objective)
  }
}

function ageText({ newest, found, met, limit }: Named<'max-age'>): Text {
  return text`The newest backup (${newest}) is ${formatAge(found)} old,
    ${met ? 'within' : 'more than'} the ${formatAge(limit)} of ${input('max-age')}.`
}

function restoreTimeText({ met, found, bytes, fills, limit }: Named<'max-restore-time'>): Text {
  if (found === undefined || bytes === undefined || fills === undefined)
    return 'The restore did not finish, so its time was not measured.'
  const until = met
    ? `at this speed the limit is reached when the database has ${formatBytes(fills)} on its server`
    : `at this speed only ${formatBytes(fills)} can be restored within the limit`
  return text`The whole restore (${formatBytes(bytes)} on its server) took ${formatDuration(found)},
    ${met ? 'within' : 'more than'} the ${formatDuration(limit)} of ${input('max-restore-time')};
    ${until}.`
}

function sizeText({ changes, met, limit }: Named<'max-size-change'>): Text {
  if (changes.length === 0) return 'There is no earlier backup to compare its size with.'
  const beyond = met ? 'within' : 'beyond'
  return text`${changes.map(changeText).join('; ')}: ${beyond} the ${percent(limit)} of
    ${input('max-size-change')}.`
}

/** For example `1.2 MiB stored, 60 % less than the median of the 7 backups before it (3.0 MiB)`. */
function changeText({ of, now, median, before }: SizeChange): string {
  const show = (value: number): string =>
    of === 'bytes' ? formatBytes(value) : formatCount(Math.round(value))
  const share = now / median - 1
  const how =
    Math.abs(share) < 0.005
      ? 'as much as'
      : `${percent(Math.abs(share))} ${share < 0 ? 'less' : 'more'} than`
  const figure = of === 'bytes' ? `${show(now)} stored` : formatMany(now, 'row')
  const others =
    before === 1 ? 'the backup before it' : `the median of the ${before} backups before it`
  return `${figure}, ${how} ${others} (${show(median)})`
}

function percent(share: number): string {
  return `${formatCount(Math.round(share * 100))} %`
}

/** A warning about figures that fell, where no objective sets a limit. */
export function fallenText(id: string, fallen: readonly SizeChange[]): Text[] {
  if (fallen.length === 0) return []
  return [
    text`${id} is far smaller than the backups before it: ${fallen.map(changeText).join('; ')}. If
      that is expected, set ${input('max-size-change')}.`,
  ]
}

export function objectiveBlocks(objectives: readonly ObjectiveResult[]): Report {
  if (objectives.length === 0) return []
  const mark = ({ met }: ObjectiveResult): string =>
    met === undefined ? symbols.none : met ? symbols.pass : symbols.fail
  return [
    section('Objectives'),
    table(
      ['', 'Objective', 'Result'],
      objectives.map((each) => [mark(each), text`${input(each.name)}`, objectiveText(each)]),
    ),
  ]
}

/** An objective that was not met, for the failure of a step. */
export interface MissedObjective {
  name: ObjectiveResult['name']
  text: Text
}

/** The error code of an objective that was not met. */
export const objectiveCodes: Record<ObjectiveResult['name'], ErrorCode> = {
  'max-age': 'backup-too-old',
  'max-restore-time': 'restore-too-slow',
  'max-size-change': 'size-anomaly',
}

/** What to do about an objective that was not met. */
export const objectiveHints: Record<ObjectiveResult['name'], Text> = {
  'max-age': 'Find out why the scheduled backup did not run or failed, and run a backup now.',
  'max-restore-time': text`Restore on a larger machine, raise ${input('jobs')}, or raise
    ${input('max-restore-time')} if an outage may last that long.`,
  'max-size-change': text`Check whether data was deleted or added by mistake before retention
    removes older backups. If the change is expected, raise ${input('max-size-change')}.`,
}
