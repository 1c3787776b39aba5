import { restoreInto } from '../load/load-backup.ts'
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
import { dropUserMappings } from '../postgres/server/isolate.ts'
import { findReadable } from '../repository/open.ts'
import type { Work } from '../work.ts'
import { compareOutside, compareStates, droppedViews, type Outside } from './data-loss.ts'
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
  /** The last lines that the command wrote, stdout and stderr as they came. */
  output: string
  warnings: string[]
}

/**
 * Rehearses a migration on a copy of production: restores the backup into a scratch database, reads
 * what it holds column by column, runs the project's own command against it, reads again, and tells
 * what is gone. The copy is destroyed afterwards.
 *
 * A migration that fails, hangs or loses data is a result; what keeps us from rehearsing it is a
 * UserError.
 */
export async function rehearse(options: RehearseOptions, work: Work): Promise<RehearsalResult> {
  const started = Date.now()
  const backup = await findReadable(options, work)
  const { manifest } = backup
  const { encoding } = manifest.source.locale
  work.log.info(`Rehearsing on a copy of ${backup.location} (snapshot of ${manifest.snapshot.at})`)
  const scratch = await openScratch(backup, options, work)
  try {
    const how = { tablespaces: false, jobs: jobsOf(options) }
    const warnings = await restoreInto(
      backup,
      options.identities,
      scratch.programs.archive,
      scratch.connection,
      how,
      work,
    )
    const session = await connect(scratch.connection, work)
    try {
      for (const what of await dropUserMappings(session))
        warnings.push(
          `Not in the copy: ${what}, so that nothing run there can reach other systems.`,
        )
      await session.query('ANALYZE')
      const restored = Date.now()
      const look = (): Promise<Seen> => see(session, scratch, encoding, work)
      const before = await look()
      const ran = await runCommand(options, scratch.connection, scratch.programs.server, work)
      await endOthers(session)
      const after = await look()
      const changes = compareStates(before.states, after.states)
      const schema = compareSchemaPrints(before.schema, after.schema)
      const weight = ({ severity }: Finding): number => order.indexOf(severity)
      const seen = [
        ...commandFindings(options, ran),
        ...changes.findings,
        ...compareOutside(before, after),
        ...droppedViews(schema.removed),
      ]
      const findings = seen.sort((a, b) => weight(a) - weight(b))
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
        schema,
        tables: changes.tables,
        rows: { before: rowsOf(before.states), after: rowsOf(after.states) },
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

interface Seen extends Outside {
  states: Map<number, TableState>
  schema: SchemaPrint
}

async function see(
  session: Session,
  scratch: Scratch,
  encoding: string,
  work: Work,
): Promise<Seen> {
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
 * Ends what the command left running on the server: a statement whose client is gone goes on, and
 * holds its locks.
 */
async function endOthers(session: Session): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
    const [row] = await session.query<{ count: number }>(
      'SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))::int4 AS count FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()',
    )
    if (!row?.count) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const order = ['error', 'warning', 'note']

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
          'If it takes that long on a copy, it takes that long on production: make it shorter, or raise timeout if that is acceptable.',
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
        'Its whole output is in the report; DATABASE_URL and PG* point at the copy while it runs.',
    },
  ]
}

function rowsOf(states: ReadonlyMap<number, TableState>): number {
  return [...states.values()].reduce((sum, { rows }) => sum + rows, 0)
}
