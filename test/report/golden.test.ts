import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { backupExamples } from './examples/backup.ts'
import { rehearsalExamples } from './examples/rehearsal.ts'
import { restoreExamples } from './examples/restore.ts'
import { restoreFileExamples } from './examples/restore-file.ts'
import { restorePartExamples } from './examples/restore-part.ts'
import { statusExamples } from './examples/status.ts'
import { undoExamples } from './examples/undo.ts'
import { verifyExamples } from './examples/verify.ts'
import { verifyBatchExamples } from './examples/verify-batch.ts'
import { checkGolden, checkInTerminal, type Shown } from './golden.ts'

describe('every report is word for word as in test/report/golden:', () => {
  const examples = [
    ...backupExamples,
    ...verifyExamples,
    ...verifyBatchExamples,
    ...rehearsalExamples,
    ...restoreExamples,
    ...restorePartExamples,
    ...restoreFileExamples,
    ...undoExamples,
    ...statusExamples,
  ]
  for (const example of examples) test(example.name, () => checkGolden(example))
  test('in a terminal', () => {
    const named = (name: string, variant: string): Shown => {
      const shown = examples.find((each) => each.name === name)?.variants?.[variant]
      assert.ok(shown, `${name}: ${variant}`)
      return shown
    }
    checkInTerminal('terminal.txt', [
      named('failure', 'A bug of Holdfast'),
      named('backup', 'Statements waited'),
      named('verify-several', 'Faults of every kind'),
      named('restore', 'With all that a restore can have'),
      named('restore-dry-run', 'Facts about the target, and what was replaced before'),
    ])
  })
})
