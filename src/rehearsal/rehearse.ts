/**
 * Runs a migration on a copy of production, and reports what it changed and what data it lost.
 */
import { loadBackup } from '../load/load-backup.ts'
import { type CopyOptions, jobsOf } from '../load/options.ts'
import { openScratch, type Scratch } from '../load/scratch.ts'
import { connect, type Session } from '../postgres/connection/session.ts'
import { readStates, type TableState } from '../postgres/fingerprint/columns.ts'
import { measureLargeObjects } from '../postgres/fingerprint/large-objects.ts'
import {
  compareSchemaPrints,
  printSchema,
  type SchemaPrint,
} from '../postgres/fingerprint/schema.ts'
import { readSequences } from '../postgres/fingerprint/sequences.ts'
import {
  type Command,
  type CommandEnd,
  endOf,
  runCommand,
} from '../postgres/programs/user-command.ts'
import { dropUserMappings } from '../postgres/server/user-mappings.ts'
import { findReadable } from '../repository/find-readable.ts'
import type { Work } from '../work.ts'
import {
  compareSequencesAndLargeObjects,
  compareStates,
  droppedViews,
  type SequencesAndLargeObjects,
} from './data-loss.ts'
import type { Finding, TableChange } from './finding.ts'

export type RehearseOptions = CopyOptions & Command

export interface RehearsalResult {
  id: string
  label: string
  snapshotAt: string
  server: { backup: string; scratch: string; own: boolean }
  verdict: 'pass' | 'fail'
  command: string
  exitCode: number | null
  timedOut: boolean
  /** Errors first. */
  findings: Finding[]
  /** Schema entries, as `TYPE schema.name`. */
  schema: { added: string[]; removed: string[]; changed: string[] }
  tables: TableChange[]
  rows: { before: number; after: number }
  /** Milliseconds. */
  timings: { restore: number; migration: number; total: number }
  /** The last lines that the command wrote to stdout and stderr, in their order. */
  output: string
  warnings: string[]
}

/**
 * Rehearses a migration: restores the backup into a scratch database, reads the state of every
 * column, runs the project's own command, reads the state again, and compares the two. Destroys the
 * copy afterwards.
 *
 * Returns a result also if the migration fails, hangs or loses data. Throws a UserError only if the
 * rehearsal itself is not possible: those of `findReadable`, `openScratch` and `loadBackup`.
 */
export async function rehearse(options: RehearseOptions, work: Work): Promise<RehearsalResult> {
  const started = Date.now()
  const backup = await findReadable(options, work)
  const { manifest } = backup
  const { encoding } = manifest.source.locale
  work.log.info(`Rehearsing on a copy of ${backup.location} (snapshot of ${manifest.snapshot.at})`)
  const scratch = await openScratch(backup, options, work)
  try {
    const warnings = await loadBackup(
      backup,
      options.identities,
      scratch.programs.archive,
      scratch.connection,
      { tablespaces: false, jobs: jobsOf(options) },
      work,
    )
    const session = await connect(scratch.connection, work)
    try {
      warnings.push(...(await prepareCopy(session)))
      const restored = Date.now()
      const { before, ran, after } = await migrate(session, scratch, options, encoding, work)
      const { findings: losses, ...changes } = compareDatabases(before, after)
      const findings = worstFirst([...commandFindings(options, ran), ...losses])
      return {
        id: manifest.id,
        label: manifest.label,
        snapshotAt: manifest.snapshot.at,
        server: {
          backup: manifest.source.server,
          scratch: scratch.server.version,
          own: scratch.server.own,
        },
        verdict: findings.some(({ severity }) => severity === 'error') ? 'fail' : 'pass',
        command: options.command,
        exitCode: ran.exitCode,
        timedOut: ran.timedOut,
        findings,
        ...changes,
        timings: { restore: restored - started, migration: ran.took, total: Date.now() - started },
        output: ran.output,
        warnings,
      }
    } finally {
      await session.end()
    }
  } finally {
    await scratch.close()
  }
}

/** What a database holds, before or after the migration. */
interface DatabaseState extends SequencesAndLargeObjects {
  states: Map<number, TableState>
  schema: SchemaPrint
}

/** Makes a restored copy ready for a migration. Returns a warning for each thing left out of it. */
async function prepareCopy(session: Session): Promise<string[]> {
  const dropped = await dropUserMappings(session)
  await session.query('ANALYZE')
  return dropped.map(
    (what) => `Left out of the copy: ${what}, so that nothing can reach other systems from there.`,
  )
}

/** Runs the migration on the copy, and reads what the copy holds before and after it. */
async function migrate(
  session: Session,
  scratch: Scratch,
  options: RehearseOptions,
  encoding: string,
  work: Work,
): Promise<{ before: DatabaseState; ran: CommandEnd; after: DatabaseState }> {
  const before = await readState(session, scratch, encoding, work)
  const ran = await runCommand(options, scratch.connection, scratch.programs.server, work)
  await endOthers(session)
  return { before, ran, after: await readState(session, scratch, encoding, work) }
}

function compareDatabases(
  before: DatabaseState,
  after: DatabaseState,
): Pick<RehearsalResult, 'schema' | 'tables' | 'rows' | 'findings'> {
  const { tables, findings } = compareStates(before.states, after.states)
  const schema = compareSchemaPrints(before.schema, after.schema)
  return {
    schema,
    tables,
    rows: { before: rowsOf(before.states), after: rowsOf(after.states) },
    findings: [
      ...findings,
      ...compareSequencesAndLargeObjects(before, after),
      ...droppedViews(schema.removed),
    ],
  }
}

async function readState(
  session: Session,
  scratch: Scratch,
  encoding: string,
  work: Work,
): Promise<DatabaseState> {
  const states = await readStates(session)
  const sequences = await readSequences(session)
  await session.query('BEGIN')
  const largeObjects = await measureLargeObjects(session)
  await session.query('ROLLBACK')
  return {
    states,
    sequences,
    largeObjects,
    schema: await printSchema(scratch.programs.server, scratch.connection, { encoding }, work),
  }
}

/**
 * Terminates what the command left running on the server, for up to 15 seconds: a statement whose
 * client has gone continues, and holds its locks.
 */
async function endOthers(session: Session): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
    const [row] = await session.query<{ count: number }>(
      `SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))::int4 AS count
       FROM pg_catalog.pg_stat_activity
       WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()`,
    )
    if (!row?.count) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const severities = ['error', 'warning', 'note']

function worstFirst(findings: readonly Finding[]): Finding[] {
  const rank = ({ severity }: Finding): number => severities.indexOf(severity)
  return [...findings].sort((a, b) => rank(a) - rank(b))
}

function commandFindings(options: Command, end: CommandEnd): Finding[] {
  const object = 'migrate-command'
  const evidence = `The command ${endOf(end, options)}.`
  if (end.timedOut)
    return [
      {
        code: 'migration-timed-out',
        severity: 'error',
        object,
        evidence,
        remedy:
          'It takes as long on production: make it shorter, or raise timeout if that is acceptable.',
      },
    ]
  if (end.exitCode === 0) return []
  return [
    {
      code: 'migration-failed',
      severity: 'error',
      object,
      evidence,
      remedy:
        'The end of its output is in the report. DATABASE_URL and PG* point to the copy while it runs.',
    },
  ]
}

function rowsOf(states: ReadonlyMap<number, TableState>): number {
  return [...states.values()].reduce((sum, { rows }) => sum + rows, 0)
}
