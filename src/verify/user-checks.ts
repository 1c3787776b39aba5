import { UserError } from '../errors.ts'
import type { Connection } from '../postgres/connection/connection.ts'
import { connect, type ClientSession } from '../postgres/connection/session.ts'
import { dropUserMappings } from '../postgres/server/isolate.ts'
import type { Work } from '../work.ts'
import { type Command, endOf, runCommand } from '../postgres/programs/user-command.ts'
import type { Scratch } from '../load/scratch.ts'

/** A check of the user's: one query that gives one row with one value, `true`. */
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
   * What it did, as the rest of a sentence that begins with its name: `gave true`, `gave no row`.
   * No more of the data than one short value.
   */
  outcome: string
  /**
   * The same without anything of the data or of what was written: what a proof, which is stored in
   * the clear, says. Only where it differs.
   */
  stored?: string
  /** Milliseconds. */
  took: number
  /** The last that the command wrote. */
  output?: string
}

/** What the result of the command is called. */
export const commandCheck = 'check-command'

/**
 * Runs all checks on a restored copy, whatever the ones before outcome: queries first, then the
 * command, which may change the copy. The copy's ties to the outside are cut beforehand. A check
 * that does not pass is a result; a server that fails is a UserError.
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

/** Each has a session of its own: what one sets, or breaks, is not the next one's. */
async function runCheck(
  { name, sql }: Check,
  timeout: number,
  connection: Connection,
  work: Work,
): Promise<CheckResult> {
  const session = await connect(connection, work)
  const from = Date.now()
  try {
    const answer = await ask(session, sql, timeout).catch((error: unknown) =>
      whatItSaid(error, Date.now() - from, timeout),
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

/** What a check outcome; and what a proof may say of it, where that is less. */
type Answer = string | { outcome: string; stored: string }

/**
 * Settings are those that a client of the copy would meet, its search path among them, not those
 * that we measure with. A cursor lets nothing run but one query, and no more than two rows be
 * fetched of it.
 */
async function ask(session: ClientSession, sql: string, timeout: number): Promise<Answer> {
  await session.query('RESET ALL')
  await session.query(
    `SELECT pg_catalog.set_config(name, value, false) FROM json_each_text($1) AS s(name, value) WHERE name IN (SELECT lower(name) FROM pg_catalog.pg_settings)`,
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

/**
 * What an error means for a check. One of the server's or the network's own is thrown: nothing was
 * found out.
 */
function whatItSaid(error: unknown, took: number, timeout: number): Answer {
  if (error instanceof UserError && error.code === 'query-cancelled')
    return took >= timeout
      ? `was still running after its timeout of ${timeout / 1000} s, and was stopped`
      : 'was cancelled on the server'
  const { code, message } = error as { code?: string; message: string }
  if (error instanceof UserError || !/^[0-9A-Z]{5}$/.test(code ?? '')) throw error
  return {
    outcome: `failed: ${shortened(message, 200)}`,
    stored: `failed with SQLSTATE ${code ?? ''}`,
  }
}

function shortened(text: string, most: number): string {
  const flat = text.replace(/\s+/g, ' ').trim()
  return flat.length > most ? `${flat.slice(0, most - 1)}…` : flat
}

/** The results as a proof says them. */
export function storable(results: readonly CheckResult[]): CheckResult[] {
  return results.map(({ name, passed, outcome, stored, took }) => ({
    name,
    passed,
    outcome: stored ?? outcome,
    took,
  }))
}

/** What failed, in one sentence; undefined when all passed. */
export function whatFailed(results: readonly CheckResult[]): string | undefined {
  const failed = results.filter(({ passed }) => !passed)
  const [first] = failed
  if (!first) return undefined
  const one = `"${first.name}" ${first.outcome}.`
  return failed.length === 1
    ? `The check ${one}`
    : `${failed.length} of ${results.length} checks failed, the first: ${one}`
}
