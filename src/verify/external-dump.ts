import { UserError } from '../errors.ts'
import {
  type ExternalDump,
  type ExternalFormat,
  type ExternalDumpOptions,
  openExternalDump,
} from '../formats/detect.ts'
import { findNewestPrograms, readExternalDump, loadExternalDump } from '../formats/load-external.ts'
import type { CopyOptions } from '../load/options.ts'
import { openScratch } from '../load/scratch.ts'
import { measureCopy } from '../postgres/fingerprint/fingerprint.ts'
import { findPrograms } from '../postgres/programs/find-programs.ts'
import { type Level, reaches } from '../repository/level.ts'
import type { ExternalSelector } from '../repository/selector.ts'
import type { Work } from '../work.ts'

export interface ExternalDumpResult {
  name: string
  format: ExternalFormat
  /** Compression and encryption around the dump, outermost first. */
  layers: ExternalDump['layers']
  /** At most `restored`: there is no fingerprint to compare with. */
  level: Level
  /** The fault that ended the verification, if any. */
  stoppedBy?: string
  /** What a file of this kind cannot show, and why. */
  limit: string
  /** As stored. */
  bytes: number
  /** What the restored database holds, for a person to judge. */
  found?: { tables: number; rows: number; largeObjects: number }
  /** Versions of the dumped server and of pg_dump, as in the file; and of the scratch server. */
  versions: { server?: string; client?: string; scratch?: string }
  /** Roles that the dump names; they are created in the scratch database without login. */
  roles: string[]
  warnings: string[]
  /** Milliseconds. */
  timings: { restore?: number; total: number }
}

const limit =
  'This file does not record what the database held, so verification can only show that it ' +
  'restores. Check yourself that these are all its tables and rows.'
const faults = ['file-damaged', 'restore-failed']

/**
 * Verifies a dump of another tool as far as possible: that it exists (`stored`), can be read to its
 * end (`readable`), and loads into an empty database (`restored`). A dump without a table does not
 * count as restored, because an empty dump is the most common fault. Throws the UserErrors of
 * `openExternalDump`.
 */
export async function verifyExternalDump(
  selector: ExternalSelector,
  options: ExternalDumpOptions & Pick<CopyOptions, 'scratch' | 'bindirs'> & { level?: Level },
  work: Work,
): Promise<ExternalDumpResult> {
  const started = Date.now()
  const asked = options.level ?? 'restored'
  const file = await openExternalDump(selector, options, work)
  const { name, format, layers, bytes } = file
  const result: ExternalDumpResult = {
    name,
    format,
    layers,
    level: 'stored',
    limit,
    bytes,
    versions: {},
    roles: [],
    warnings: [],
    timings: { total: 0 },
  }
  try {
    if (reaches(asked, 'readable')) await runLevels(file, asked, options, result, work)
  } catch (error) {
    if (!(error instanceof UserError) || !faults.includes(error.code)) throw error
    result.stoppedBy = error.message
  } finally {
    await file.close()
  }
  result.timings.total = Date.now() - started
  return result
}

async function runLevels(
  file: ExternalDump,
  asked: Level,
  options: Pick<CopyOptions, 'scratch' | 'bindirs'>,
  result: ExternalDumpResult,
  work: Work,
): Promise<void> {
  const reader = await findNewestPrograms(['pg_restore', 'psql'], options.bindirs, work)
  work.log.info(`Reading ${file.name} to its end (${[...file.layers, file.format].join(', ')})`)
  const seen = await readExternalDump(file, reader, work)
  const { server, client } = seen
  result.versions = {
    ...(server === undefined ? {} : { server }),
    ...(client === undefined ? {} : { client }),
  }
  result.roles = [...seen.roles].sort()
  result.level = 'readable'
  if (!reaches(asked, 'restored')) return
  // pg_dump writes for its own major, not for the server's
  const major = Number.parseInt(client ?? server ?? `${reader.major}`, 10)
  const own = options.scratch
    ? ['pg_restore', 'psql', 'pg_dump']
    : ['postgres', 'initdb', 'pg_restore', 'psql', 'pg_dump']
  const programs = await findPrograms(major, own, options.bindirs, work).catch(() =>
    findNewestPrograms(own, options.bindirs, work, major),
  )
  const locale = {
    encoding: 'UTF8',
    provider: 'libc',
    collate: 'C.UTF-8',
    ctype: 'C.UTF-8',
  } as const
  const source = {
    major: programs.major,
    server: client ?? programs.version,
    roles: { superuser: 'postgres', names: result.roles },
    locale,
  }
  const needs = { manifest: { source, fingerprint: { supplement: { extensions: {} } } } }
  const scratch = await openScratch(
    needs,
    { ...options, bindirs: [programs.directory, ...options.bindirs] },
    work,
  )
  try {
    const from = Date.now()
    result.warnings.push(
      ...(await loadExternalDump(file, scratch.connection, programs, work)).warnings,
    )
    result.timings.restore = Date.now() - from
    result.versions.scratch = scratch.server.version
    const print = await measureCopy(
      scratch.programs.server,
      scratch.connection,
      { encoding: locale.encoding, readers: 2, depth: 'counts' },
      work,
    )
    const rows = print.tables.reduce((sum, table) => sum + table.rows, 0)
    result.found = {
      tables: print.tables.length,
      rows,
      largeObjects: print.largeObjects?.count ?? 0,
    }
    if (result.found.tables === 0)
      result.stoppedBy =
        'It restores, but has no table: an empty dump. pg_dump writes one for the wrong database, ' +
        'or for a role that sees nothing.'
    else result.level = 'restored'
  } finally {
    await scratch.close()
  }
}
