import { UserError } from '../../errors.ts'
import type { KnownFacts } from '../../restore/options.ts'
import { code, type Text, text } from '../../text.ts'

/** What the failed run had to do. */
interface Asked {
  task: 'restore' | 'undo' | 'clean'
  mode: 'swap' | 'new' | 'in-place'
  target: { database: string }
  tables: readonly string[]
  schemas: readonly string[]
}

/** After these, the outcome of a commit is unknown. After other UserErrors, it was rolled back. */
const unknownOutcome = ['commit-unknown', 'connection-lost']

/** Returns what is true after a restore, an undo or a clean failed; as far as it is known. */
export function stateAfter(error: unknown, asked: Asked, known: KnownFacts): Text {
  if (known.progress === undefined) return 'Nothing was changed.'
  if (asked.task === 'clean')
    return 'The log names each database that was dropped. The others are unchanged.'
  if (known.progress === 'done') return afterChange(asked, known)
  const rolledBack = error instanceof UserError && !unknownOutcome.includes(error.code)
  return known.progress === 'begun' || rolledBack ? unchanged(asked) : eitherWay(asked)
}

function afterChange({ task, mode, target }: Asked, { previousDatabase }: KnownFacts): Text {
  const name = code(target.database)
  const done = task === 'undo' ? 'is swapped back' : mode === 'new' ? 'is created' : 'is restored'
  const kept = previousDatabase
    ? text` The previous database is kept as ${code(previousDatabase)}.`
    : ''
  return text`${name} ${done}: the failure came after that.${kept}`
}

function unchanged({ mode, target, tables, schemas }: Asked): Text {
  const name = code(target.database)
  if (tables.length + schemas.length > 0) return text`The existing tables of ${name} are unchanged.`
  return mode === 'new' ? text`${name} was not created.` : text`${name} is unchanged.`
}

function eitherWay({ task, mode, target }: Asked): Text {
  const name = code(target.database)
  if (task === 'undo') return text`${name} was either swapped back completely, or is unchanged.`
  return mode === 'new'
    ? text`${name} was either created completely, or not at all.`
    : text`${name} was either restored completely, or is unchanged.`
}
