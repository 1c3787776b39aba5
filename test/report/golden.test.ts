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
import { checkGolden } from './golden.ts'

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
})
