import { UserError } from '../../errors.ts'
import { type ExternalDump, openExternalDump } from '../../formats/detect.ts'
import {
  findNewestPrograms,
  readExternalDump,
  loadExternalDump,
} from '../../formats/load-external.ts'
import type { DumpFacts } from '../../formats/plain-sql.ts'
import { jobsOf } from '../../load/options.ts'
import type { Session } from '../../postgres/connection/session.ts'
import { measureCopy } from '../../postgres/fingerprint/fingerprint.ts'
import { findPrograms } from '../../postgres/programs/find-programs.ts'
import { createDatabase, type Locale, readLocale } from '../../postgres/server/database.ts'
import type { ExternalSelector } from '../../repository/selector.ts'
import { checkIdentities, recipientsOf } from '../../stream/encrypt.ts'
import { input, join, text } from '../../text.ts'
import type { Work } from '../../work.ts'
import { checkConfirmation } from '../confirmation.ts'
import { type RestoreOptions } from '../options.ts'
import { lastSteps, planStep, type Steps } from '../plan.ts'
import type { ServerRequirements } from '../../load/requirements.ts'
import { emptyRestored, type Restored } from '../result.ts'
import { readTargetFacts } from '../target-facts.ts'
import { restoreAsNew } from './new-database.ts'
import { analyze, type SidePrograms } from './side-database.ts'
import type { Built, Place, Source } from './source.ts'
import { restoreBySwap } from './swap.ts'

/** Options for an external dump: it has no single tables, no mode `in-place`, no role mapping. */
export interface RestoreExternalOptions extends Omit<
  RestoreOptions,
  'task' | 'mode' | 'tables' | 'schemas' | 'contents' | 'replace' | 'lockTimeout' | 'owner'
> {
  backup: ExternalSelector
  mode?: 'swap' | 'new'
  owner?: 'keep' | 'drop'
  /** The folder that `file:` is relative to and must stay in. */
  workspace: string
}

/**
 * The result of restoring an external dump. `tables` and `rows` are counted after the restore,
 * because the file does not say what it holds, or when it was dumped.
 */
export interface RestoreExternalResult extends Restored {
  task: 'restore-file'
  mode: 'swap' | 'new'
  file: Pick<ExternalDump, 'name' | 'format' | 'layers'>
  /** The versions of the server and of pg_dump, as the file names them. */
  versions: { server?: string; client?: string }
  /** Roles that the file names. */
  roles: string[]
  owner: 'keep' | 'drop'
  largeObjects: number
}

/**
 * Restores a database, or creates a new one, from an external dump. Reads the file to its end
 * first, so that a truncated, empty or unsafe file fails before anything is created. Then restores
 * it like a backup, but counts tables and rows instead of comparing them. Throws `file-empty` if it
 * holds no table.
 */
export async function restoreExternalDump(
  options: RestoreExternalOptions,
  work: Work,
): Promise<RestoreExternalResult> {
  const started = Date.now()
  checkConfirmation(options.confirm, { optional: options.dryRun })
  checkIdentities(options.identities, 'decrypt-with')
  const file = await openExternalDump(options.backup, options, work)
  try {
    if (options.owner === 'drop' && file.format === 'sql')
      throw new UserError(
        'bad-input',
        text`${input('owner')} is drop, but ${file.name} is plain SQL, which sets owners and grants itself.`,
        join(
          [
            text`Leave out ${input('owner')} and create the roles. Or dump again,`,
            'with pg_dump --no-owner --no-privileges or as a custom archive (-Fc).',
          ],
          ' ',
        ),
      )
    const reader = await findNewestPrograms(['pg_restore', 'psql'], options.bindirs, work)
    work.log.info(`Reading ${file.name} to its end (${[...file.layers, file.format].join(', ')})`)
    const source = await externalDumpSource(
      file,
      await readExternalDump(file, reader, work),
      started,
      options,
      work,
    )
    return await (options.mode === 'new'
      ? restoreAsNew(source, options, work)
      : restoreBySwap(source, options, work))
  } finally {
    await file.close()
  }
}

/** Returns an external dump as the source of a side database. */
async function externalDumpSource(
  file: ExternalDump,
  seen: DumpFacts,
  started: number,
  options: RestoreExternalOptions,
  work: Work,
): Promise<Source<RestoreExternalResult>> {
  // A dump has the syntax of pg_dump's major version, not of the server's.
  const writer = seen.client ?? seen.server
  const recipients = await recipientsOf(options.identities)
  return {
    noun: 'file',
    started,
    needs: requirementsOf(seen, writer),
    safety: {
      label: options.label ?? options.target.database,
      encryption: recipients.length ? { recipients } : undefined,
    },
    // The mark must be one line.
    by: file.name.replace(/\s+/g, ' '),
    programs: (session) => programsFor(session, writer, options.bindirs, work),
    steps: (database, previous) => stepsOf(file, database, previous),
    result: (mode, session, steps) => ({
      ...emptyRestored(options, steps),
      ...emptyResultOf(file, seen, mode, options),
      server: { backup: writer ?? 'not known', target: session.version },
    }),
    facts: async (check, obstacles) => {
      const facts = await readTargetFacts(check, obstacles)
      facts.notes.push(
        'Definitions and rows were not compared: the contents of an external dump are known only ' +
          'after it is restored.',
      )
      return facts
    },
    build: (place, done) => build(file, place, options, done, work),
  }
}

/** What the result says of the file. Tables and rows are counted after the restore. */
function emptyResultOf(
  { name, format, layers, bytes }: ExternalDump,
  { server, client, roles }: DumpFacts,
  mode: 'swap' | 'new',
  { owner = 'keep' }: RestoreExternalOptions,
): Omit<RestoreExternalResult, keyof Restored> & Pick<Restored, 'bytes' | 'rows' | 'tables'> {
  return {
    task: 'restore-file',
    mode,
    file: { name, format, layers },
    versions: {
      ...(server === undefined ? {} : { server }),
      ...(client === undefined ? {} : { client }),
    },
    roles: [...roles].sort(),
    owner,
    bytes,
    rows: 0,
    tables: 0,
    largeObjects: 0,
  }
}

/** Returns what the dump needs from the server. `writer` is the version of its pg_dump. */
function requirementsOf(seen: DumpFacts, writer: string | undefined): ServerRequirements {
  const extensions = Object.fromEntries(
    [...seen.extensions].map((name): [string, string] => [name, '']),
  )
  return {
    manifest: {
      source: {
        major: writer === undefined ? 0 : Number.parseInt(writer, 10),
        server: `${writer ?? ''} (the pg_dump that made it)`,
        roles: { superuser: '', names: [...seen.roles].sort() },
      },
      fingerprint: { supplement: { extensions } },
    },
  }
}

/**
 * Finds programs of the dump's major version. If they are not installed, uses those of the server's
 * major version, which is not older: they read the dump, and only send what the server knows.
 */
async function programsFor(
  session: Session,
  writer: string | undefined,
  bindirs: readonly string[],
  work: Work,
): Promise<SidePrograms> {
  const server = await findPrograms(session.major, ['pg_dump', 'pg_restore', 'psql'], bindirs, work)
  const major = writer === undefined ? session.major : Number.parseInt(writer, 10)
  if (major === session.major) return { archive: server, server }
  const archive = await findPrograms(major, ['pg_restore', 'psql'], bindirs, work).catch(
    (error: unknown) => {
      if (error instanceof UserError && error.code === 'client-missing') return server
      throw error
    },
  )
  return { archive, server }
}

function stepsOf({ name }: ExternalDump, target: string, previous: string | undefined): Steps {
  const like =
    previous === undefined
      ? 'in UTF8 and with the server’s own locale, because the file does not name them'
      : `with the encoding and locale of "${target}" as it is now`
  return {
    create: planStep(`Create an empty database next to "${target}", ${like}`),
    load: planStep(`Restore ${name}, an external dump, into it`),
    compare: planStep(
      'Count its tables and rows; they are not compared, because the file does not say what it holds',
    ),
    ...lastSteps(target, previous),
  }
}

type Done = Parameters<Source['build']>[1]

async function build(
  file: ExternalDump,
  { session, programs, connection }: Place,
  options: RestoreExternalOptions,
  done: Done,
  work: Work,
): Promise<Built> {
  let from = Date.now()
  const locale = await localeFor(session, options.target.database)
  await createDatabase(session, connection.database, locale)
  done('create')
  const { warnings } = await loadExternalDump(
    file,
    connection,
    programs.archive,
    work,
    options.owner,
  )
  done('load')
  const restore = Date.now() - from
  from = Date.now()
  const print = await measureCopy(
    programs.server,
    connection,
    { encoding: locale.encoding, readers: jobsOf(options), depth: 'counts' },
    work,
  )
  const counted = {
    tables: print.tables.length,
    rows: print.tables.reduce((sum, { rows }) => sum + rows, 0),
    largeObjects: print.largeObjects?.count ?? 0,
  }
  if (counted.tables === 0)
    throw new UserError(
      'file-empty',
      `${file.name} was restored, but holds no table. Nothing was replaced.`,
      'pg_dump ran on the wrong database, or as a role that cannot see its tables. Use another file.',
    )
  done('compare')
  await analyze(connection, work)
  return { warnings, timings: { restore, compare: Date.now() - from }, counted }
}

/** Returns the target's locale; if it does not exist, that of template0, in UTF8. */
async function localeFor(session: Session, target: string): Promise<Locale> {
  const own = await readLocale(session, target)
  if (own) return own
  const first = await readLocale(session, 'template0')
  if (!first) throw new Error('the server has no template0')
  return { ...first, encoding: 'UTF8' }
}
