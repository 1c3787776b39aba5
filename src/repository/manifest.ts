import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { messageOf, UserError } from '../errors.ts'

/**
 * The manifest describes a backup. It is written last and create-only: without it there is no
 * backup.
 *
 * Its last member is its own SHA-256, of the whole text with 64 zeros in that place, so a changed
 * byte anywhere is detected. A reader refuses a newer `format`. docs/format.md describes each member.
 */
export const formatVersion = 1

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const integerText = v.pipe(v.string(), v.regex(/^-?\d+$/))
const time = v.pipe(v.string(), v.isoTimestamp())
const sequenceValue = v.object({ last: integerText, called: v.boolean() })

const fingerprintSchema = v.object({
  /** `counts`: no hashes. `none`: no tables, no large objects and no schema either. */
  kind: v.optional(v.picklist(['content', 'counts', 'none']), 'content'),
  tables: v.array(
    v.object({
      table: v.string(),
      rows: count,
      hash: v.exactOptional(integerText),
      generated: v.exactOptional(integerText),
      comparedAt: v.exactOptional(v.string()),
      bytes: count,
    }),
  ),
  schema: v.record(v.string(), v.string()),
  sequences: v.record(v.string(), v.object({ before: sequenceValue, after: sequenceValue })),
  largeObjects: v.exactOptional(
    v.object({
      count,
      bytes: v.exactOptional(count),
      hash: v.exactOptional(integerText),
      attributes: v.exactOptional(integerText),
    }),
  ),
  supplement: v.object({
    extensions: v.record(v.string(), v.string()),
    matviews: v.record(v.string(), v.boolean()),
    invalidIndexes: v.array(v.string()),
    idleKeys: v.exactOptional(v.array(v.string())),
  }),
})

const manifestSchema = v.object({
  format: v.literal(formatVersion),
  id: v.string(),
  /** `pre-restore`: taken of a database before a restore; absent for an ordinary backup. */
  kind: v.exactOptional(v.picklist(['pre-restore'])),
  label: v.string(),
  createdAt: time,
  snapshot: v.object({ at: time, lsn: v.string() }),
  source: v.object({
    database: v.string(),
    server: v.string(),
    major: count,
    bytes: count,
    locale: v.object({
      encoding: v.string(),
      provider: v.picklist(['libc', 'icu', 'builtin']),
      collate: v.string(),
      ctype: v.string(),
      locale: v.exactOptional(v.string()),
      icuRules: v.exactOptional(v.string()),
    }),
    roles: v.object({ superuser: v.string(), names: v.array(v.string()) }),
    /** Those that its tables and indexes use, except the default. */
    tablespaces: v.exactOptional(v.array(v.string())),
    /** The cluster's system identifier: shows whether a target is the server of this backup. */
    system: v.exactOptional(v.string()),
  }),
  /** The pg_dump that wrote the archives, for example `17.11`. */
  client: v.string(),
  run: v.exactOptional(v.string()),
  encryption: v.union([
    v.literal('none'),
    v.object({ recipients: v.pipe(v.array(v.string()), v.minLength(1)) }),
  ]),
  objects: v.pipe(
    v.array(
      v.object({
        name: v.pipe(
          v.string(),
          v.regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/),
          v.check((name) => !name.split('/').some((part) => /^\.\.?$/.test(part))),
        ),
        kind: v.picklist(['base', 'rows', 'large-objects', 'recovery-guide']),
        /**
         * For `rows`: the tables whose rows it has, named as in the fingerprint. The base archive
         * has the rows of all others.
         */
        tables: v.exactOptional(v.array(v.string())),
        bytes: count,
        sha256,
        /**
         * For archives: before encryption. `compression` is around the archive; pg_dump's own
         * compression is inside it.
         */
        plain: v.exactOptional(
          v.object({ bytes: count, sha256, compression: v.picklist(['none', 'zstd']) }),
        ),
      }),
    ),
    v.minLength(1),
  ),
  fingerprint: fingerprintSchema,
  warnings: v.array(v.string()),
  sha256,
})

export type Manifest = v.InferOutput<typeof manifestSchema>
export type StoredArchive = Manifest['objects'][number]

/** Totals of a backup: stored bytes, and the rows and tables that were measured. */
export function totalsOf({ objects, fingerprint }: Pick<Manifest, 'objects' | 'fingerprint'>): {
  bytes: number
  rows: number
  tables: number
} {
  return {
    bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    rows: fingerprint.tables.reduce((sum, { rows }) => sum + rows, 0),
    tables: fingerprint.tables.length,
  }
}

const zeros = '0'.repeat(64)

/** Returns the manifest's text, with its digest. */
export function writeManifest(manifest: Omit<Manifest, 'sha256'>): string {
  const text = `${JSON.stringify({ ...manifest, sha256: zeros }, null, 1)}\n`
  return withDigest(text, createHash('sha256').update(text).digest('hex'))
}

/**
 * Parses and checks a manifest. Throws the UserErrors `newer-format` and `manifest-damaged`.
 *
 * @param where its place, for messages: `The manifest ${where} …`
 */
export function readManifest(text: string, where: string): Manifest {
  const damaged = (how: string, cause?: unknown): UserError =>
    new UserError('manifest-damaged', `The manifest ${where} is damaged: ${how}.`, undefined, {
      cause,
    })
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (cause) {
    throw damaged(text.trim() ? 'it is not complete JSON' : 'it is empty', cause)
  }
  const format =
    typeof data === 'object' && data !== null && 'format' in data ? data.format : undefined
  if (typeof format === 'number' && Number.isInteger(format) && format > formatVersion)
    throw new UserError(
      'newer-format',
      `The manifest ${where} has format ${format}; this version of Holdfast reads formats ` +
        `up to ${formatVersion}.`,
    )
  const checked = v.safeParse(manifestSchema, data)
  if (!checked.success)
    throw damaged(
      checked.issues.map((issue) => `${v.getDotPath(issue) ?? 'it'}: ${issue.message}`)[0] ??
        'it has the wrong structure',
    )
  const { sha256 } = checked.output
  if (createHash('sha256').update(withDigest(text, zeros)).digest('hex') !== sha256)
    throw damaged('its digest does not match its text')
  return checked.output
}

/** Replaces the digest, which is the last 64 hexadecimal digits of the text. */
function withDigest(text: string, digest: string): string {
  const end = text.lastIndexOf('"')
  return text.slice(0, end - 64) + digest + text.slice(end)
}

/** Checks a manifest before it is written, so that a bug shows then and not when it is needed. */
export function assertManifest(text: string): void {
  try {
    readManifest(text, 'just written')
  } catch (error) {
    throw new Error(`the manifest cannot be read back: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
