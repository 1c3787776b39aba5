import { actionFiles } from './actions.ts'
import { architecturePage } from './architecture.ts'
import { errorsPage } from './errors.ts'
import type { Generated } from './generated.ts'
import { readmeTables } from './tables.ts'
import { workflowFiles } from './workflows.ts'

/** Every file that is made from the source. */
export const generatedFiles: readonly Generated[] = [
  architecturePage,
  errorsPage,
  ...actionFiles,
  ...workflowFiles,
  ...readmeTables,
]
