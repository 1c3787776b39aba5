import { UserError } from '../errors.ts'
import { isServerError } from '../postgres/connection/server-error.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { connect, type ClientSession } from '../postgres/connection/session.ts'
import { dropUserMappings } from '../postgres/server/user-mappings.ts'
import type { Work } from '../work.ts'
import { type Command, endOf, runCommand } from '../postgres/programs/user-command.ts'
import type { Scratch } from '../load/scratch.ts'

/** A check of the user: one query that must return one row with one value, `true`. */
export interface Check {
  name: string
  sql: string
}

export interface Checks {
  checks: readonly Check[]
  command?: Command
  /** For each SQL check, milliseconds. */
  timeout: number
}

export interface CheckResult {
  name: string
  passed: boolean
  /**
   * What happened, as the rest of a sentence that starts with the check's name: `gave no row`. Has at
   * most one short value of the data.
   */
  outcome: string
  /** The same without data or output, if that differs: for the proof, which is not encrypted. */
  stored?: string
  /** Milliseconds. */
  took: number
  /** The end of what the command wrote. */
  output?: string
}

/** The name of the command's result. */
export const commandCheck = 'check-command'

/**
 * Runs all checks on a restored copy, also after one has failed: queries first, then the command,
 * which may change the copy. Drops the copy's user mappings before, so that no check can reach
 * another server. Returns a result for each check; throws a UserError if the server fails.
 */
export async function runChecks(
  { checks, command, timeout }: Checks,
  scratch: Pick<Scratch, 'connection' | 'programs'>,
  work: Work,
): Promise<CheckResult[]> {
  if (checks.length === 0 && !command) return []
  return work.log.group('Running checks on the copy', async () => {
    const session = await connect(scratch.connection, work)
    await dropUserMappings(session).finally(() => session.end())
    const results: CheckResult[] = []
    const note = (result: CheckResult): void => {
      results.push(result)
      work.log.info(`${result.passed ? 'Passed' : 'FAILED'}: ${result.name} ${result.outcome}`)
    }
    for (const check of checks) note(await runCheck(check, timeout, scratch.connection, work))
    if (command) {
      const end = await runCommand(command, scratch.connection, scratch.programs.server, work)
      const passed = end.exitCode === 0 && !end.timedOut
      note({
        name: commandCheck,
        passed,
        outcome: passed ? 'ended with exit code 0' : shortened(endOf(end, command), 300),
        stored: endOf({ ...end, output: '' }, command),
        took: end.took,
        output: end.output,
      })
    }
    return results
  })
}

/** Runs a query in a session of its own, so that its settings do not affect the next one. */
async function runCheck(
  { name, sql }: Check,
  timeout: number,
  connection: Connection,
  work: Work,
): Promise<CheckResult> {
  const session = await connect(connection, work)
  const from = Date.now()
  try {
    const answer = await runQuery(session, sql, timeout).catch((error: unknown) =>
      outcomeOfError(error, Date.now() - from, timeout),
    )
    const { outcome, stored } = typeof answer === 'string' ? { outcome: answer } : answer
    return {
      name,
      passed: outcome === passing,
      outcome,
      ...(stored === undefined ? {} : { stored }),
      took: Date.now() - from,
    }
  } finally {
    await session.end()
  }
}

const passing = 'gave true'

/** The outcome of a check, and what a proof may say of it if that is less. */
type Answer = string | { outcome: string; stored: string }

/**
 * Runs a query with the settings of an ordinary client of the copy, such as its search path. The
 * cursor allows only one query, of which at most two rows are fetched.
 */
async function runQuery(session: ClientSession, sql: string, timeout: number): Promise<Answer> {
  await session.query('RESET ALL')
  await session.query(
    `SELECT pg_catalog.set_config(name, value, false) FROM json_each_text($1) AS s(name, value)
     WHERE name IN (SELECT lower(name) FROM pg_catalog.pg_settings)`,
    [
      JSON.stringify({
        statement_timeout: String(timeout),
        client_connection_check_interval: '1000',
      }),
    ],
  )
  await session.query('BEGIN READ ONLY')
  await session.single(`DECLARE holdfast_check NO SCROLL CURSOR FOR\n${sql}`)
  const { columns, rows } = await session.single('FETCH 2 FROM holdfast_check')
  await session.query('ROLLBACK')
  if (columns !== 1) return `gave ${columns} columns, where one was expected`
  if (rows.length === 0) return 'gave no row'
  if (rows.length > 1) return 'gave more than one row'
  const value = rows[0]?.[0]
  if (value === true) return passing
  if (value === false) return 'gave false'
  if (value === null || value === undefined) return 'gave NULL'
  return {
    outcome: `gave the value ${shortened(valueText(value), 60)}, which is not true`,
    stored: 'gave another value than true',
  }
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** The outcome that an error means for a check. Rethrows errors of the server or the network. */
function outcomeOfError(error: unknown, took: number, timeout: number): Answer {
  if (error instanceof UserError && error.code === 'query-cancelled')
    return took >= timeout
      ? `was still running after its timeout of ${timeout / 1000} s, and was stopped`
      : 'was cancelled on the server'
  if (error instanceof UserError || !isServerError(error)) throw error
  return {
    outcome: `failed: ${shortened(error.message, 200)}`,
    stored: `failed with SQLSTATE ${error.code}`,
  }
}

function shortened(text: string, max: number): string {
  const flat = text.replace(/\s+/g, ' ').trim()
  return flat.length > max ? `${flat.slice(0, max - 1)}…` : flat
}

/** The results as a proof records them. */
export function storable(results: readonly CheckResult[]): CheckResult[] {
  return results.map(({ name, passed, outcome, stored, took }) => ({
    name,
    passed,
    outcome: stored ?? outcome,
    took,
  }))
}

/** Returns in one sentence which checks failed; undefined if all passed. */
export function whatFailed(results: readonly CheckResult[]): string | undefined {
  const failed = results.filter(({ passed }) => !passed)
  const [first] = failed
  if (!first) return undefined
  const sentence = `"${first.name}" ${first.outcome}.`
  return failed.length === 1
    ? `The check ${sentence}`
    : `${failed.length} of ${results.length} checks failed, the first: ${sentence}`
}
