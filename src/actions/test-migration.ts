import type { ErrorCode } from '../errors/catalogue.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rehearse, type RehearsalResult } from '../rehearsal/rehearse.ts'
import { UserError } from '../errors.ts'
import { either, text } from '../text.ts'
import { postComment } from '../github/comment.ts'
import { migrationEnvironment } from '../github/environment.ts'
import { readTestMigrationInputs } from '../github/inputs/inputs.ts'
import { mapReport, mapText } from '../report/blocks.ts'
import { rehearsalReport, rehearsalVerdict } from '../report/rehearsal.ts'
import { withStorages } from './destinations.ts'
import { run, type Step } from './run.ts'

export const testMigration = (): Promise<void> => run('test-migration', testMigrationStep)

export async function testMigrationStep({
  env,
  work,
  secrets,
  output,
  report,
  annotate,
  keepsFiles,
}: Step): Promise<void> {
  const { storage, token, ...inputs } = readTestMigrationInputs(env)
  const environment = migrationEnvironment(env)
  const result = secrets.redactAll(
    await withStorages(storage, env, (sources) =>
      rehearse({ ...inputs, sources, environment }, work),
    ),
  )
  output('verdict', result.verdict)
  if (keepsFiles) {
    const file = join(work.temporary, `holdfast-rehearsal-${result.id}-${process.pid}.json`)
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
    output('report', file)
  }
  const blocks = mapReport(rehearsalReport(result), secrets.redact)
  report(blocks)
  const comment = await postComment(blocks, result.label, token, env)
  if (comment.posted === 'no') {
    // a terminal has no pull request to miss a comment on
    if (env['GITHUB_EVENT_PATH'])
      annotate([
        {
          severity: comment.broken ? 'warning' : 'note',
          message: mapText(comment.why, secrets.redact),
        },
      ])
  } else
    work.log.info(`The report is a comment on the pull request (${comment.posted}): ${comment.url}`)
  annotate(
    result.findings
      .filter((finding) => finding.severity !== 'note')
      .map((finding) => ({
        severity: finding.severity,
        title: `${finding.object}: ${finding.code}`,
        message: `${finding.evidence} ${finding.remedy}`,
      })),
  )
  if (result.verdict === 'fail')
    throw new UserError(
      errorCode(result),
      rehearsalVerdict(result),
      text`${either('The job summary', 'The report above')} shows every finding and the output of the command.`,
    )
  work.log.info(rehearsalVerdict(result))
}

/** Returns the code of the most severe finding. */
function errorCode(result: RehearsalResult): ErrorCode {
  const worst = result.findings.find((finding) => finding.severity === 'error')?.code
  return worst ?? (result.timedOut ? 'migration-timed-out' : 'migration-failed')
}
