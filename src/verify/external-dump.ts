import { UserError } from '../errors.ts'
import {
  type ExternalDump,
  type ExternalFormat,
  type ExternalDumpOptions,
  openExternalDump,
} from '../formats/detect.ts'
import { findNewestPrograms, readExternalDump, loadExternalDump } from '../formats/load-external.ts'
import type { CopyOptions } from '../load/options.ts'
import { openScratch, type Scratch } from '../load/scratch.ts'
import { measureCopy } from '../postgres/fingerprint/fingerprint.ts'
import { findPrograms, type Programs } from '../postgres/programs/find-programs.ts'
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

/** Goes through the levels as far as requested, and adds to `result` what each one shows. */
async function runLevels(
  file: ExternalDump,
  asked: Level,
  options: Pick<CopyOptions, 'scratch' | 'bindirs'>,
  result: ExternalDumpResult,
  work: Work,
): Promise<void> {
  const reader = await findNewestPrograms(['pg_restore', 'psql'], options.bindirs, work)
  await readToEnd(file, reader, result, work)
  if (!reaches(asked, 'restored')) return
  const { client, server } = result.versions
  // pg_dump writes for its own major, not for the server's
  const major = Number.parseInt(client ?? server ?? `${reader.major}`, 10)
  const programs = await findScratchPrograms(major, options, work)
  const scratch = await openScratchForDump(programs, result, options, work)
  try {
    await loadAndCount(file, scratch, programs, result, work)
  } finally {
    await scratch.close()
  }
}

async function readToEnd(
  file: ExternalDump,
  reader: Programs,
  result: ExternalDumpResult,
  work: Work,
): Promise<void> {
  work.log.info(`Reading ${file.name} to its end (${[...file.layers, file.format].join(', ')})`)
  const { server, client, roles } = await readExternalDump(file, reader, work)
  result.versions = {
    ...(server === undefined ? {} : { server }),
    ...(client === undefined ? {} : { client }),
  }
  result.roles = [...roles].sort()
  result.level = 'readable'
}

/** Finds the programs of a major version; if it is not installed, of the newest after it. */
async function findScratchPrograms(
  major: number,
  { scratch, bindirs }: Pick<CopyOptions, 'scratch' | 'bindirs'>,
  work: Work,
): Promise<Programs> {
  const clients = ['pg_restore', 'psql', 'pg_dump']
  const needed = scratch ? clients : ['postgres', 'initdb', ...clients]
  return findPrograms(major, needed, bindirs, work).catch(() =>
    findNewestPrograms(needed, bindirs, work, major),
  )
}

/** A dump does not say which locale its database had. */
const locale = {
  encoding: 'UTF8',
  provider: 'libc',
  collate: 'C.UTF-8',
  ctype: 'C.UTF-8',
} as const

async function openScratchForDump(
  programs: Programs,
  { versions, roles }: ExternalDumpResult,
  options: Pick<CopyOptions, 'scratch' | 'bindirs'>,
  work: Work,
): Promise<Scratch> {
  const source = {
    major: programs.major,
    server: versions.client ?? programs.version,
    roles: { superuser: 'postgres', names: roles },
    locale,
  }
  const needs = { manifest: { source, fingerprint: { supplement: { extensions: {} } } } }
  const bindirs = [programs.directory, ...options.bindirs]
  return openScratch(needs, { ...options, bindirs }, work)
}

async function loadAndCount(
  file: ExternalDump,
  scratch: Scratch,
  programs: Programs,
  result: ExternalDumpResult,
  work: Work,
): Promise<void> {
  const from = Date.now()
  const { warnings } = await loadExternalDump(file, scratch.connection, programs, work)
  result.warnings.push(...warnings)
  result.timings.restore = Date.now() - from
  result.versions.scratch = scratch.server.version
  const { tables, largeObjects } = await measureCopy(
    scratch.programs.server,
    scratch.connection,
    { encoding: locale.encoding, readers: 2, depth: 'counts' },
    work,
  )
  result.found = {
    tables: tables.length,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    largeObjects: largeObjects?.count ?? 0,
  }
  if (result.found.tables === 0)
    result.stoppedBy =
      'It restores, but has no table: an empty dump. pg_dump writes one for the wrong database, ' +
      'or for a role that sees nothing.'
  else result.level = 'restored'
}
