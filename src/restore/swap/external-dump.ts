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
import type { Work } from '../../work.ts'
import { checkConfirmation } from '../confirmation.ts'
import type { RestoreOptions } from '../options.ts'
import { lastSteps, step, type Steps } from '../plan.ts'
import { emptyRestored, type Restored } from '../result.ts'
import { lookAtTarget } from '../target-facts.ts'
import { restoreAsNew } from './new-database.ts'
import { analyze, type SidePrograms } from './side-database.ts'
import type { Built, Place, Source } from './source.ts'
import { restoreBySwap } from './swap.ts'

/**
 * What cannot be asked of a file is not among them: a part of it, definitions alone, a place inside
 * the target, other owners.
 */
export interface RestoreExternalOptions extends Omit<
  RestoreOptions,
  'task' | 'mode' | 'tables' | 'schemas' | 'contents' | 'replace' | 'lockPatience' | 'owner'
> {
  backup: ExternalSelector
  mode?: 'swap' | 'new'
  owner?: 'keep' | 'drop'
  /** The folder that `file:` is relative to, and stays within. */
  workspace: string
}

/**
 * `tables` and `rows` are what was counted: nothing tells what there should be, nor of which moment
 * it is.
 */
export interface RestoreExternalResult extends Restored {
  task: 'restore-file'
  mode: 'swap' | 'new'
  file: Pick<ExternalDump, 'name' | 'format' | 'layers'>
  /** As pg_dump wrote them: of the server, and its own. */
  versions: { server?: string; client?: string }
  /** Roles that it names. */
  roles: string[]
  owner: 'keep' | 'drop'
  largeObjects: number
}

/**
 * Puts a database back, or makes a new one, from a dump that another tool made. It is read to its
 * end before anything else: one that is cut, empty or not safe fails while nothing is made. Then
 * all goes as with a backup, but for the comparison: tables and rows are counted, and none at all
 * is an error.
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
        `owner is drop, and ${file.name} is plain SQL, which names its owners and grants itself.`,
        'Leave owner out, and create the roles; or dump again with pg_dump --no-owner --no-privileges, or as a custom archive (-Fc).',
      )
    const reader = await findNewestPrograms(['pg_restore', 'psql'], options.bindirs, work)
    work.log.info(`Reading ${file.name} to its end (${[...file.layers, file.format].join(', ')})`)
    const source = await fromFile(
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

async function fromFile(
  file: ExternalDump,
  seen: DumpFacts,
  started: number,
  options: RestoreExternalOptions,
  work: Work,
): Promise<Source<RestoreExternalResult>> {
  const { name, format, layers, bytes } = file
  const { identities, target, owner = 'keep' } = options
  const { server, client } = seen
  const roles = [...seen.roles].sort()
  // what pg_dump wrote is in the language of its own major, whatever the server's was
  const writer = client ?? server
  const recipients = await recipientsOf(identities)
  return {
    noun: 'file',
    started,
    needs: {
      manifest: {
        source: {
          major: writer === undefined ? 0 : Number.parseInt(writer, 10),
          server: `${writer ?? ''} (the pg_dump that made it)`,
          roles: { superuser: '', names: roles },
        },
        fingerprint: {
          supplement: {
            extensions: Object.fromEntries(
              [...seen.extensions].map((extension) => [extension, '']),
            ),
          },
        },
      },
    },
    safety: {
      label: options.label ?? target.database,
      encryption: recipients.length ? { recipients } : undefined,
    },
    // the mark is one line
    by: name.replace(/\s+/g, ' '),
    programs: (session) => programsFor(session, writer, options.bindirs, work),
    steps: (database, previous) => stepsOf(file, database, previous),
    result: (mode, session, steps) => ({
      task: 'restore-file',
      mode,
      ...emptyRestored(options, steps),
      file: { name, format, layers },
      versions: {
        ...(server === undefined ? {} : { server }),
        ...(client === undefined ? {} : { client }),
      },
      roles,
      owner,
      server: { backup: writer ?? 'not known', target: session.version },
      bytes,
      rows: 0,
      tables: 0,
      largeObjects: 0,
    }),
    facts: async (guarded, obstacles) => {
      const facts = await lookAtTarget(guarded, obstacles)
      facts.notes.push(
        'Definitions and rows were not compared: what a file of another tool holds is known only when it is restored.',
      )
      return facts
    },
    build: (place, done) => build(file, place, options, done, work),
  }
}

/**
 * The archive's own major where it is at hand; that of the server, which is not older, reads it too
 * and says nothing that the server does not know.
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
      ? 'in UTF8 and with the server’s own locale, since the file does not tell those that it had'
      : `with the encoding and locale of "${target}" as it is now`
  return {
    create: step(`Create an empty database beside "${target}", ${like}`),
    load: step(`Restore ${name}, a file that another tool made, into it`),
    compare: step(
      'Count its tables and rows: nothing tells what there should be, so they are not compared',
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
      `${file.name} restores, and holds no table: an empty dump. Nothing was replaced.`,
      'pg_dump of the wrong database, or of a role that sees nothing, makes such a file. Use another one.',
    )
  done('compare')
  await analyze(connection, work)
  return { warnings, timings: { restore, compare: Date.now() - from }, counted }
}

/** The target's own; where there is none, that of the server's first database, in UTF8. */
async function localeFor(session: Session, target: string): Promise<Locale> {
  const own = await readLocale(session, target)
  if (own) return own
  const first = await readLocale(session, 'template0')
  if (!first) throw new Error('the server has no template0')
  return { ...first, encoding: 'UTF8' }
}
