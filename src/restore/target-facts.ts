import { messageOf, type UserError } from '../errors.ts'
import type { ErrorCode } from '../errors/catalogue.ts'
import { withEventTriggersOff } from '../postgres/connection/session-options.ts'
import { connect } from '../postgres/connection/session.ts'
import { compareSchemaPrints, printSchema } from '../postgres/fingerprint/schema.ts'
import type { Programs } from '../postgres/programs/find-programs.ts'
import {
  aboutRows,
  type Connected,
  connectedTo,
  freeSpace,
  writtenSince,
} from '../postgres/server/activity.ts'
import { readSystem } from '../postgres/server/database.ts'
import { type FoundBackup, openBackupIndex } from '../repository/listing.ts'
import { newestProof } from '../repository/newest-proof.ts'
import type { Text } from '../text.ts'
import type { Work } from '../work.ts'
import type { RestoreCheck } from './preconditions.ts'

/** The proofs of so many backups are looked into for how long a restore takes. */
const maxLookedAt = 10

/**
 * What there is in the place where a backup would go, for the plan of a restore. Nothing of it is
 * needed to do it.
 */
export interface TargetFacts {
  /** Size of the database now, bytes; undefined when there is none. */
  bytes?: number
  /**
   * Bytes that the restored database will take, about: what the source took. Undefined when nothing
   * tells.
   */
  needed?: number
  /** Free bytes where the server keeps its data, if that can be known from here. */
  free?: number
  connected: Connected[]
  /**
   * How long it is likely to take, by what a verification measured (milliseconds), and of which
   * backup that was.
   */
  expected?: { took: number; by: string; at: string }
  /**
   * It is the very database that was backed up; with how much write-ahead log its server has
   * written since the snapshot, bytes.
   */
  source?: { written?: number }
  /** What keeps a restore from being done. */
  obstacles: { code: ErrorCode; message: Text; hint: Text }[]
  /** What will be otherwise than now, by name; undefined when it was not compared. */
  changes?: SchemaChanges
  /**
   * Tables whose rows will be about so many more or fewer: by the server's statistics, the largest
   * change first.
   */
  rows: { table: string; now: number | undefined; then: number | undefined }[]
  notes: Text[]
}

/** Schema entries as `TYPE schema.name`. */
export interface SchemaChanges {
  /** In the backup, and not there now. */
  comeBack: string[]
  /** There now, and not in the backup. */
  goAway: string[]
  /** Defined otherwise in the backup. */
  change: string[]
}

/**
 * What can be told of a target whatever is restored: sizes, sessions, space. `session` is on
 * another database of the server.
 */
export async function lookAtTarget(
  { session, target, exists, backup }: RestoreCheck,
  obstacles: readonly UserError[],
): Promise<TargetFacts> {
  const { bytes: needed } = backup.manifest.source
  const free = await freeSpace(session)
  const facts: TargetFacts = {
    ...(needed === undefined ? {} : { needed }),
    ...(free === undefined ? {} : { free }),
    connected: exists ? await connectedTo(session, target.database) : [],
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

type GuardedBackup = RestoreCheck & { backup: FoundBackup }

/** The same, and what of it a backup would change. */
export async function describeTarget(
  guarded: GuardedBackup,
  obstacles: readonly UserError[],
  programs: Programs,
  work: Work,
): Promise<TargetFacts> {
  const { session, target, exists, backup } = guarded
  const { manifest } = backup
  const facts = await lookAtTarget(guarded, obstacles)
  const expected = await expectedTime(backup, work)
  if (expected) facts.expected = expected
  if (!exists) return facts
  if (
    manifest.source.database === target.database &&
    manifest.source.system !== undefined &&
    manifest.source.system === (await readSystem(session))
  ) {
    const written = await writtenSince(session, manifest.snapshot.lsn)
    facts.source = written === undefined ? {} : { written }
  }
  if (session.major > manifest.source.major)
    facts.notes.push(
      `The server is PostgreSQL ${session.version}, a newer major version than the backup's ${manifest.source.server}: definitions are compared by name only.`,
    )
  try {
    Object.assign(facts, await compareInside(guarded, programs, work))
  } catch (error) {
    work.signal.throwIfAborted()
    facts.notes.push(
      `What would change in "${target.database}" was not looked at: ${messageOf(error)}`,
    )
  }
  return facts
}

async function compareInside(
  { session, target, backup }: GuardedBackup,
  programs: Programs,
  work: Work,
): Promise<Pick<TargetFacts, 'changes' | 'rows'>> {
  const { source, fingerprint } = backup.manifest
  const connection = await withEventTriggersOff(session, target)
  const inside = await connect(connection, work)
  try {
    const now = await aboutRows(inside)
    const then = new Map(fingerprint.tables.map(({ table, rows }) => [table, rows]))
    const rows =
      fingerprint.kind === 'none'
        ? []
        : [...new Set([...now.keys(), ...then.keys()])].map((table) => ({
            table,
            now: now.get(table),
            then: then.get(table),
          }))
    const most = (a: number | undefined, b: number | undefined): number =>
      Math.abs((a ?? 0) - (b ?? 0))
    const changed = rows
      .filter((row) => row.now !== row.then)
      .sort((a, b) => most(b.now, b.then) - most(a.now, a.then))
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
    const { added, removed, changed: change } = compareSchemaPrints(schema, fingerprint.schema)
    // pg_dump's text of two major versions differs where nothing does
    return {
      rows: changed,
      changes: {
        comeBack: added,
        goAway: removed,
        change: programs.major === source.major ? change : [],
      },
    }
  } finally {
    await inside.end()
  }
}

/**
 * By the newest verification of this backup that restored it; or, where there is none, of the
 * newest other backup of its label, in the proportion of their sizes. Restoring and comparing is
 * what takes long in a restore, too.
 */
async function expectedTime(
  { storage, manifest }: FoundBackup,
  work: Work,
): Promise<TargetFacts['expected']> {
  const index = await openBackupIndex([storage], manifest.label, work)
  const bytesOf = (id: string): number => index.stored.get(id)?.[0]?.bytes ?? 0
  const others = index.ids.filter((id) => id !== manifest.id).toReversed()
  for (const id of [manifest.id, ...others].slice(0, maxLookedAt)) {
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
