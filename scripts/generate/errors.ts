import { catalogue } from '../../src/errors/catalogue.ts'
import type { Generated } from '../generate.ts'

/** `docs/errors.md`: a heading per code, so that an error can link to it. */
export const errorsPage: Generated = {
  file: 'docs/errors.md',
  content: () =>
    `# Errors

Every error has a code, which is the output \`error-code\`. Find the code here for what it means and what to do.

${Object.entries(catalogue)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([code, { message, hint }]) => `## ${code}\n\n${message}\n\n${hint}\n`)
  .join('\n')}`,
}
