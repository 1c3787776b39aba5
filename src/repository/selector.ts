import { badInput } from '../errors/bad-input.ts'
import { suggestName } from '../errors/suggest.ts'
import { UserError } from '../errors.ts'
import { either, input, join, text, type Text } from '../text.ts'
import { isId } from './ids.ts'

/** One backup. It is an error if there is none. */
export type SingleSelector =
  | { kind: 'latest' }
  | { kind: 'latest-proven' }
  | { kind: 'id'; id: string }
  /** The newest whose snapshot is not later than `at`. */
  | { kind: 'before'; at: Date }

/** Several backups of one label, perhaps none. */
export type BatchSelector =
  | { kind: 'all' }
  /**
   * Backups that no proof decides on: never verified, or not to the end. A backup whose newest
   * proof is bad is not among them.
   */
  | { kind: 'unproven' }
  /** The oldest of the unproven, so that repeated runs verify each backup in time. */
  | { kind: 'oldest-unproven' }
  /** `count` backups by chance, each as likely as the others. */
  | { kind: 'sample'; count: number }

/** A dump that another tool made: a file of the workspace, or an object of a storage. */
export interface ExternalSelector {
  kind: 'external'
  scheme: 'file' | 'store'
  /** A path, or a key below the storage's prefix. */
  name: string
}

/** The value of the input `backup`. */
export type BackupSelector = SingleSelector | BatchSelector | ExternalSelector

interface Groups {
  one: SingleSelector
  several: BatchSelector
  external: ExternalSelector
}
/** What a command accepts in `backup`. */
export type SelectorGroup = keyof Groups
/** The selectors of some groups. */
export type SelectedBy<Group extends SelectorGroup> = Groups[Group]

/** The input, as the subject of a sentence. */
const subject = text`${either('The input ', '')}${input('backup')}`

const words = ['latest', 'latest-proven', 'all', 'unproven', 'oldest-unproven'] as const

/**
 * Parses the input `backup`: the one place that knows its grammar. `accepts` names what the command
 * can use; by default that is one backup.
 *
 * Throws UserErrors: `bad-input` and `bad-backup-id` for a text that names no backup,
 * `bad-backup-id` for several backups where one is accepted, `foreign-backup` for an external dump
 * where none is.
 */
export function parseSelector<Group extends SelectorGroup = 'one'>(
  typed: string,
  accepts: readonly Group[] = ['one' as Group],
): SelectedBy<Group> {
  const selector = parse(typed.trim(), accepts)
  if (isAccepted(selector, accepts)) return selector
  const shown = typed.trim().slice(0, 80)
  if (selector.kind === 'external')
    throw new UserError(
      'foreign-backup',
      text`${subject} is "${shown}", a dump that another tool made. This command cannot read it.`,
      text`${examples(accepts)}.`,
    )
  throw new UserError(
    'bad-backup-id',
    text`${subject} is "${shown}", which may be several backups. This command takes one.`,
    text`${examples(accepts)}.`,
  )
}

/** True for a selector of one backup. */
export function isSingle(selector: BackupSelector): selector is SingleSelector {
  return groupOf(selector) === 'one'
}

/** Returns the selector as it can be typed in `backup`. A time is in UTC. */
export function selectorText(selector: BackupSelector): string {
  switch (selector.kind) {
    case 'id':
      return selector.id
    case 'before':
      return `before: ${selector.at.toISOString()}`
    case 'sample':
      return `sample: ${selector.count}`
    case 'external':
      return `${selector.scheme}: ${selector.name}`
    default:
      return selector.kind
  }
}

function isAccepted<Group extends SelectorGroup>(
  selector: BackupSelector,
  accepts: readonly Group[],
): selector is SelectedBy<Group> {
  return accepts.some((group) => group === groupOf(selector))
}

function groupOf({ kind }: BackupSelector): SelectorGroup {
  if (kind === 'external') return 'external'
  return kind === 'latest' || kind === 'latest-proven' || kind === 'id' || kind === 'before'
    ? 'one'
    : 'several'
}

function parse(typed: string, accepts: readonly SelectorGroup[]): BackupSelector {
  const word = words.find((each) => each === typed)
  if (word !== undefined) return { kind: word }
  const [, kind, rest = ''] = /^(before|sample|file|store):\s*(\S.*)$/s.exec(typed) ?? []
  if (kind === 'file' || kind === 'store') return { kind: 'external', scheme: kind, name: rest }
  if (kind === 'sample' && /^[1-9]\d{0,5}$/.test(rest)) return { kind, count: Number(rest) }
  if (kind === 'before') return { kind, at: parseTime(rest) }
  if (isId(typed)) return { kind: 'id', id: typed }
  const shown = typed.slice(0, 80)
  // what could be an id gets another explanation than what could not
  if (kind === 'sample' || /^\w[\w.=-]*$/.test(typed))
    throw new UserError(
      'bad-backup-id',
      text`${subject} is "${shown}", which is neither a keyword nor a backup id.`,
      join([...suggestionFor(typed, accepts), idText, text`${examples(accepts)}.`], ' '),
    )
  throw badInput('backup', `is "${shown}", which names no backup`, text`${examples(accepts)}.`)
}

const idText = join(
  [
    'A backup id looks like 20261121T031500Z-ab12cd, and is written in full.',
    either(
      'The backup action returns it as its output backup-id.',
      'The command status lists all.',
    ),
  ],
  ' ',
)

/** The keyword that a misspelt word most likely stands for, among those that the command takes. */
function suggestionFor(typed: string, accepts: readonly SelectorGroup[]): Text[] {
  const allowed = words.filter((word) => accepts.includes(groupOf({ kind: word })))
  const near = suggestName(typed, allowed)
  return near === undefined ? [] : [text`Did you mean ${input('backup', near)}?`]
}

/**
 * Parses ISO 8601, with a space or a T. Without a zone it is UTC; without a time it is the start of
 * the day.
 */
function parseTime(typed: string): Date {
  const [, day = '', time = '00:00', zone = ''] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s?(Z|UTC|[+-]\d\d:?\d\d)?)?$/i.exec(
      typed,
    ) ?? []
  const at = new Date(
    `${day}T${time}${/^[+-]/.test(zone) ? zone.replace(/^(...)(\d\d)$/, '$1:$2') : 'Z'}`,
  )
  // JavaScript reads the 31st of a shorter month as the 1st of the next
  const [year, month, date] = day.split('-').map(Number) as [number, number, number]
  const real = date <= new Date(Date.UTC(year, month, 0)).getUTCDate()
  if (!Number.isNaN(at.getTime()) && real) return at
  throw new UserError(
    'bad-backup-id',
    text`${subject} is "before: ${typed.slice(0, 60)}", which is not a valid time.`,
    'Write it like "before: 2026-11-20T03:00:00Z". Without a zone the time is UTC; a date alone ' +
      'means the start of that day.',
  )
}

const forms: Record<SelectorGroup, readonly string[]> = {
  one: ['latest-proven', 'before: 2026-11-20T03:00:00Z', 'the id of a backup'],
  several: ['all', 'unproven', 'oldest-unproven', 'sample: 3'],
  external: ['file: dumps/shop.dump', 'store: shop.dump'],
}

/** What a command accepts, as the rest of a hint. */
function examples(accepts: readonly SelectorGroup[]): Text {
  const values = accepts.flatMap((group) => forms[group])
  return text`Write ${input('backup', 'latest')}, or one of: ${join(values, ', ')}`
}
