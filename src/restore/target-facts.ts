import { messageOf, type UserError } from '../errors.ts'
import type { ErrorCode } from '../errors/catalogue.ts'
import { withEventTriggersOff } from '../postgres/connection/session-options.ts'
import { connectToRead } from '../postgres/connection/session.ts'
import { compareSchemaPrints, printSchema } from '../postgres/fingerprint/schema.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import {
  estimateRows,
  type ClientCount,
  listClients,
  freeSpace,
  walBytesSince,
} from '../postgres/server/statistics.ts'
import { readSystemIdentifier } from '../postgres/server/database.ts'
import { type FoundBackup, openBackupIndex } from '../repository/listing.ts'
import { newestProof } from '../repository/newest-proof.ts'
import type { Text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreCheck } from './preconditions.ts'

/** Maximum number of backups whose proofs are read to estimate a restore's duration. */
const maxProofs = 10

/** The target as it is, for a dry run. A restore does not need these facts. */
export interface TargetFacts {
  /** Size of the database in bytes; undefined if it does not exist. */
  bytes?: number
  /** Estimated size of the restored database in bytes: the source's. Undefined if unknown. */
  needed?: number
  /** Free bytes in the server's data directory; undefined if unknown. */
  free?: number
  /** Sessions of the target. */
  connected: ClientCount[]
  /**
   * Estimated duration in milliseconds, and the backup whose verification it is based on (`by`).
   */
  expected?: { took: number; by: string; at: string }
  /**
   * Set if the target is the database that was backed up. `written`: bytes of write-ahead log that
   * its server has written since the snapshot.
   */
  source?: { written?: number }
  /** What prevents the restore. */
  obstacles: { code: ErrorCode; message: Text; hint: Text }[]
  /** Schema entries that the restore changes; undefined if not compared. */
  changes?: SchemaChanges
  /**
   * Tables whose number of rows changes, the largest change first. `now` is an estimate from the
   * server's statistics.
   */
  rows: { table: string; now: number | undefined; then: number | undefined }[]
  notes: Text[]
}

/** Schema entries as `TYPE schema.name`. */
export interface SchemaChanges {
  /** In the backup, but not in the target. */
  comeBack: string[]
  /** In the target, but not in the backup. */
  goAway: string[]
  /** Defined differently in the backup. */
  change: string[]
}

/** Returns the facts that need no backup: sizes, sessions, free space. */
export async function readTargetFacts(
  { session, target, exists, backup }: RestoreCheck,
  obstacles: readonly UserError[],
): Promise<TargetFacts> {
  const { bytes: needed } = backup.manifest.source
  const free = await freeSpace(session)
  const facts: TargetFacts = {
    ...(needed === undefined ? {} : { needed }),
    ...(free === undefined ? {} : { free }),
    connected: exists ? await listClients(session, target.database) : [],
    obstacles: obstacles.map(({ code, texts }) => ({ code, ...texts })),
    rows: [],
    notes: [],
  }
  if (!exists) return facts
  const [size] = await session
    .query<{ bytes: string }>(
      'SELECT pg_catalog.pg_database_size($1::pg_catalog.name)::pg_catalog.text AS bytes',
      [target.database],
    )
    .catch(() => [])
  if (size) facts.bytes = Number(size.bytes)
  return facts
}

/** A check of a restore from a backup. */
type BackupCheck = RestoreCheck & { backup: FoundBackup }

/** Returns the facts about a target, and what restoring the backup would change in it. */
export async function describeTarget(
  check: BackupCheck,
  obstacles: readonly UserError[],
  programs: Programs,
  work: Work,
): Promise<TargetFacts> {
  const { session, target, exists, backup } = check
  const { manifest } = backup
  const facts = await readTargetFacts(check, obstacles)
  const expected = await expectedTime(backup, work)
  if (expected) facts.expected = expected
  if (!exists) return facts
  if (
    manifest.source.database === target.database &&
    manifest.source.system !== undefined &&
    manifest.source.system === (await readSystemIdentifier(session))
  ) {
    const written = await walBytesSince(session, manifest.snapshot.lsn)
    facts.source = written === undefined ? {} : { written }
  }
  if (session.major > manifest.source.major)
    facts.notes.push(
      `The server is PostgreSQL ${session.version}, a newer major version than the backup's ` +
        `${manifest.source.server}: definitions are compared by name only.`,
    )
  try {
    Object.assign(facts, await compareTarget(check, programs, work))
  } catch (error) {
    work.signal.throwIfAborted()
    facts.notes.push(
      `The changes to "${target.database}" could not be determined: ${messageOf(error)}`,
    )
  }
  return facts
}

/** Compares schema and row counts of the target with the fingerprint. */
async function compareTarget(
  { session, target, backup }: BackupCheck,
  programs: Programs,
  work: Work,
): Promise<Pick<TargetFacts, 'changes' | 'rows'>> {
  const { source, fingerprint } = backup.manifest
  const connection = await withEventTriggersOff(session, target)
  const inside = await connectToRead(connection, work)
  try {
    const now = await estimateRows(inside)
    const then = new Map(fingerprint.tables.map(({ table, rows }) => [table, rows]))
    const rows =
      fingerprint.kind === 'none'
        ? []
        : [...new Set([...now.keys(), ...then.keys()])].map((table) => ({
            table,
            now: now.get(table),
            then: then.get(table),
          }))
    const change = (a: number | undefined, b: number | undefined): number =>
      Math.abs((a ?? 0) - (b ?? 0))
    const changed = rows
      .filter((row) => row.now !== row.then)
      .sort((a, b) => change(b.now, b.then) - change(a.now, a.then))
    if (fingerprint.kind === 'none') return { rows: [] }
    const print = await printSchema(
      programs,
      connection,
      { encoding: source.locale.encoding, lockWait: 2000 },
      work,
    )
    const schema = Object.fromEntries(
      Object.entries(print).filter(
        ([entry]) => !/^DATABASE|^(ACL|COMMENT|SECURITY LABEL) DATABASE$/.test(entry),
      ),
    )
    const entries = compareSchemaPrints(schema, fingerprint.schema)
    // pg_dump of two major versions writes different text for the same definition.
    return {
      rows: changed,
      changes: {
        comeBack: entries.added,
        goAway: entries.removed,
        change: programs.major === source.major ? entries.changed : [],
      },
    }
  } finally {
    await inside.end()
  }
}

/**
 * Estimates how long a restore takes, from the newest proof of this backup that measured it. Without
 * one, uses the newest other backup of the label, scaled by the stored sizes. A verification
 * restores and compares, which is also most of a restore.
 */
async function expectedTime(
  { storage, manifest }: FoundBackup,
  work: Work,
): Promise<TargetFacts['expected']> {
  const index = await openBackupIndex([storage], manifest.label, work)
  const bytesOf = (id: string): number => index.stored.get(id)?.[0]?.bytes ?? 0
  const others = index.ids.filter((id) => id !== manifest.id).toReversed()
  for (const id of [manifest.id, ...others].slice(0, maxProofs)) {
    const proof = await newestProof(id, index.stored.get(id) ?? [], work)
    const { restore, compare = 0 } = proof?.timings ?? {}
    if (proof && restore !== undefined && bytesOf(id) > 0)
      return {
        took: (restore + compare) * (bytesOf(manifest.id) / bytesOf(id)),
        by: id,
        at: proof.at,
      }
  }
  return undefined
}
