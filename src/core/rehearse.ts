import { Cancelled } from '../errors.ts'
import { readStates, type TableState } from '../postgres/columns.ts'
import { connectionUrl, libpqEnvironment } from '../postgres/connection.ts'
import { measureLargeObjects } from '../postgres/large-objects.ts'
import { printSchema, type SchemaPrint } from '../postgres/schema.ts'
import { readSequences } from '../postgres/sequences.ts'
import { connect, type Session } from '../postgres/session.ts'
import { still } from '../postgres/still.ts'
import { start } from '../stream/process.ts'
import type { Work } from '../work.ts'
import { compareOutside, compareSchemaPrints, compareStates, droppedViews, type Outside } from './changes.ts'
import { type CopyOptions, findReadable, jobsOf } from './copy.ts'
import { restoreInto } from './load-backup.ts'
import { openScratch, type Scratch } from './scratch.ts'

export interface RehearseOptions extends CopyOptions {
  /** Run by bash. */
  command: string
  workingDirectory: string
  /** Milliseconds. */
  timeout: number
  /** The environment that the command gets, before DATABASE_URL and PG* are set: already without our inputs and tokens. */
  environment: Record<string, string>
}

/** One thing that the rehearsal saw. */
export interface Finding {
  /** Stable kebab-case, for example `column-dropped`. */
  code: string
  severity: 'error' | 'warning' | 'note'
  /** For example `public.orders.total`. */
  object: string
  /** What was seen, one sentence, with figures. */
  evidence: string
  /** What to do, one sentence. */
  remedy: string
  /** How many values or rows are gone, where the finding is a loss. */
  lost?: number
}

export interface TableChange {
  table: string
  /** The name before, if renamed. */
  was?: string
  change: 'created' | 'dropped' | 'changed'
  rowsBefore?: number
  rowsAfter?: number
  /** The table's file was written anew, which locks it for as long as that takes. */
  rewritten: boolean
  /** Size before, bytes. */
  bytes?: number
}

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

const shownOutput = 16 * 1024

/**
 * Rehearses a migration on a copy of production: restores the backup into a scratch database, reads what it holds column by
 * column, runs the project's own command against it, reads again, and tells what is gone. The copy is destroyed afterwards.
 *
 * A migration that fails, hangs or loses data is a result; what keeps us from rehearsing it is a UserError.
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
    const warnings = await restoreInto(backup, options.identities, scratch.programs.archive, scratch.connection, how, work)
    const session = await connect(scratch.connection, work)
    try {
      for (const what of await still(session)) warnings.push(`Not in the copy: ${what}, so that nothing run there can reach other systems.`)
      await session.query('ANALYZE')
      const restored = Date.now()
      const look = (): Promise<Seen> => see(session, scratch, encoding, work)
      const before = await look()
      const ran = await runCommand(options, scratch, work)
      await endOthers(session)
      const after = await look()
      const changes = compareStates(before.states, after.states)
      const schema = compareSchemaPrints(before.schema, after.schema)
      const weight = ({ severity }: Finding): number => order.indexOf(severity)
      const seen = [...ran.findings, ...changes.findings, ...compareOutside(before, after), ...droppedViews(schema.removed)]
      const findings = seen.sort((a, b) => weight(a) - weight(b))
      return {
        id: manifest.id,
        label: manifest.label,
        snapshotAt: manifest.snapshot.at,
        server: { backup: manifest.source.server, scratch: scratch.server.version, own: scratch.server.own },
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

async function see(session: Session, scratch: Scratch, encoding: string, work: Work): Promise<Seen> {
  const states = await readStates(session)
  const sequences = await readSequences(session)
  await session.query('BEGIN')
  const largeObjects = await measureLargeObjects(session)
  await session.query('ROLLBACK')
  return { states, sequences, largeObjects, schema: await printSchema(scratch.programs.server, scratch.connection, { encoding }, work) }
}

/** Ends what the command left running on the server: a statement whose client is gone goes on, and holds its locks. */
async function endOthers(session: Session): Promise<void> {
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; ) {
    const [row] = await session.query<{ count: number }>(
      'SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))::int4 AS count FROM pg_catalog.pg_stat_activity WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()',
    )
    if (!row?.count) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const order = ['error', 'warning', 'note']

interface Ran {
  exitCode: number | null
  timedOut: boolean
  /** Milliseconds. */
  took: number
  output: string
  findings: Finding[]
}

/**
 * Runs the command by bash (`-e -o pipefail`: a failure in the middle or in a pipe is a failure), with the copy's connection in its environment
 * and PostgreSQL's programs of the copy's major first on its PATH. What it leaves running is ended with it.
 */
async function runCommand(options: RehearseOptions, scratch: Scratch, work: Work): Promise<Ran> {
  // our own quieting of event triggers is not the migration's: it meets them as on production
  const settings = Object.fromEntries(Object.entries(scratch.connection.settings).filter(([name]) => name !== 'PGOPTIONS'))
  const connection = { ...scratch.connection, settings }
  const env = {
    ...options.environment,
    ...libpqEnvironment(connection),
    DATABASE_URL: connectionUrl(connection),
    PATH: [scratch.programs.server.directory, options.environment['PATH'] ?? work.env['PATH'] ?? ''].join(':'),
  }
  const deadline = new AbortController()
  const timer = setTimeout(() => deadline.abort(new Cancelled('timeout')), options.timeout)
  const from = Date.now()
  let output = ''
  try {
    const child = start('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', `exec 2>&1\n${options.command}`], { env, cwd: options.workingDirectory, stdout: 'pipe', endGroup: true }, { ...work, signal: AbortSignal.any([work.signal, deadline.signal]) })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4 * shownOutput)
    })
    const exit = await child.exit
    work.signal.throwIfAborted()
    const timedOut = deadline.signal.aborted
    const shown = tail(output.trimEnd())
    if (shown) await work.log.group('What the command wrote', async () => work.log.info(shown))
    const findings = commandFindings(options, exit.code, exit.signal, timedOut, shown)
    return { exitCode: exit.code, timedOut, took: Date.now() - from, output: shown, findings }
  } finally {
    clearTimeout(timer)
  }
}

function commandFindings(options: RehearseOptions, code: number | null, signal: string | null, timedOut: boolean, output: string): Finding[] {
  const object = 'migrate-command'
  const lines = output.split('\n')
  const said = lines.findLast((line) => /\bERROR\b|\berror:/i.test(line)) ?? lines.at(-1)
  if (timedOut)
    return [{ code: 'migration-timed-out', severity: 'error', object, evidence: `The command was still running after its timeout of ${options.timeout / 1000} s, and was ended with all that it had started.`, remedy: 'If it takes that long on a copy, it takes that long on production: make it shorter, or raise timeout if that is acceptable.' }]
  if (code === 0) return []
  return [{ code: 'migration-failed', severity: 'error', object, evidence: `The command ended with ${code === null ? `signal ${signal}` : `exit code ${code}`}${said ? `; it said: ${said}` : ''}.`, remedy: 'Its whole output is in the report; DATABASE_URL and PG* point at the copy while it runs.' }]
}

function tail(text: string): string {
  return text.length <= shownOutput ? text : `(the last ${shownOutput} characters)\n${text.slice(-shownOutput)}`
}

function rowsOf(states: ReadonlyMap<number, TableState>): number {
  return [...states.values()].reduce((sum, { rows }) => sum + rows, 0)
}
