import type { ColumnState } from '../postgres/fingerprint/columns.ts'
import { figure, type Finding } from './finding.ts'

/**
 * Returns a finding for what a migration did to the values of one column, if anything. `is` is
 * undefined if the column was dropped. `missing` is the number of rows that the table lost, negative
 * if it gained rows: after that, the values cannot be compared one to one.
 */
export function compareColumn(
  table: string,
  was: ColumnState,
  is: ColumnState | undefined,
  missing: number,
): Finding[] {
  const object = `${table}.${was.name}`
  if (!is) return [droppedColumn(object, was)]
  // a deleted row accounts for at most one value, and is reported for the table
  const lost = was.values - is.values - Math.max(0, missing)
  if (lost > 0) return [emptiedValues(object, was, lost, missing)]
  if (missing !== 0) return was.type === is.type ? [] : [uncheckedValues(object, was, is)]
  if (was.hash === is.hash) return []
  return was.type === is.type ? [updatedValues(object, was, is)] : convertedValues(object, was, is)
}

function droppedColumn(object: string, was: ColumnState): Finding {
  if (was.values === 0)
    return {
      code: 'column-dropped',
      severity: 'note',
      object,
      evidence: 'The column was dropped; it held no values.',
      remedy: 'Nothing was lost.',
    }
  return {
    code: 'column-dropped',
    severity: 'error',
    object,
    evidence: `The column was dropped with ${figure(was.values, 'value')} in it.`,
    remedy:
      'Stop reading and writing the column first, keep its values elsewhere if you may need ' +
      'them, and drop it in a later release.',
    lost: was.values,
  }
}

/** Values that became NULL. `missing` is not 0 if rows came or went, which can hide more of them. */
function emptiedValues(object: string, was: ColumnState, lost: number, missing: number): Finding {
  return {
    code: 'values-emptied',
    severity: 'error',
    object,
    evidence:
      `${missing === 0 ? '' : 'At least '}${figure(lost, 'value')} ` +
      `of ${figure(was.values, 'value')} became NULL.`,
    remedy:
      'Correct the conversion, or keep the old values in another column until the new ones ' +
      'are verified.',
    lost,
  }
}

function uncheckedValues(object: string, was: ColumnState, is: ColumnState): Finding {
  return {
    code: 'values-unchecked',
    severity: 'warning',
    object,
    evidence:
      `The type changed from ${was.type} to ${is.type} while rows were added or deleted, ` +
      'so the values could not be compared.',
    remedy: 'Change types and rows in two migrations, and rehearse each of them.',
  }
}

function updatedValues(object: string, was: ColumnState, is: ColumnState): Finding {
  return {
    code: 'values-updated',
    severity: 'note',
    object,
    evidence:
      'The migration changed values of this column ' +
      `(${figure(was.values, 'value')} before, ${figure(is.values, 'value')} after).`,
    remedy: 'Check that this is intended.',
  }
}

/** Values whose text changed with the column's type: the same, lost in part, or unknown. */
function convertedValues(object: string, was: ColumnState, is: ColumnState): Finding[] {
  const change = `The type changed from ${was.type} to ${is.type}, and`
  const remedy =
    'Compare the values on the copy, and convert with a USING clause that keeps what matters.'
  const numbers = was.kind === 'number' && is.kind === 'number'
  if (numbers && was.exact === is.exact) return []
  if (numbers)
    return [
      {
        code: 'values-changed',
        severity: 'error',
        object,
        evidence:
          `${change} the numbers changed: their sum was ${was.total} and is ` +
          `${was.total === is.total ? 'the same' : is.total} (${figure(was.values, 'value')}).`,
        remedy,
        lost: was.values,
      },
    ]
  if (was.kind === 'text' && is.kind === 'text' && is.bytes < was.bytes)
    return [
      {
        code: 'values-shortened',
        severity: 'error',
        object,
        evidence:
          `${change} text was truncated: ${was.bytes.toLocaleString('en-US')} bytes became ` +
          `${is.bytes.toLocaleString('en-US')} (${figure(was.values, 'value')}).`,
        remedy,
        lost: was.values,
      },
    ]
  return [
    {
      code: 'values-rewritten',
      severity: 'warning',
      object,
      evidence: `${change} the values are written differently.`,
      remedy,
    },
  ]
}
