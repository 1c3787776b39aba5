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
  /** What is around the dump, from the outside in. */
  layers: ExternalDump['layers']
  /** At most `restored`: nothing tells what the database held. */
  level: Level
  /** Why it went no further than it should have, when something speaks against it. */
  stoppedBy?: string
  /** What no file of this kind can show, and why. */
  limit: string
  /** As stored. */
  bytes: number
  /** What was there after the restore, for a person to judge. */
  found?: { tables: number; rows: number; largeObjects: number }
  /** Versions, as pg_dump wrote them: of the server and its own; and of the scratch server. */
  versions: { server?: string; client?: string; scratch?: string }
  /** Roles that it names: made in the scratch, where they cannot log in. */
  roles: string[]
  warnings: string[]
  /** Milliseconds. */
  timings: { restore?: number; total: number }
}

const limit =
  'Nothing tells what the database held when this file was made, so that it restores is all that can be shown. Whether these are all its tables and rows is for you to judge.'
const faults = ['file-damaged', 'restore-failed']

/**
 * Proves a dump that another tool made as far as it can be: that it is there (`stored`), can be
 * read to its end (`readable`), and goes into an empty database (`restored`). One without a table
 * is not called restored: an empty dump is the commonest of bad ones. What is no dump at all, or
 * cannot be opened, is a UserError of `openBareFile`.
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
  // what pg_dump wrote is in the language of its own major, whatever the server's was
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
        'It restores, and holds no table: an empty dump. pg_dump of the wrong database, or of a role that sees nothing, makes such a file.'
    else result.level = 'restored'
  } finally {
    await scratch.close()
  }
}
