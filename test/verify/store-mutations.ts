import { createHash } from 'node:crypto'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import type { Level } from '../../src/repository/level.ts'
import { type Manifest, readManifest, writeManifest } from '../../src/repository/manifest.ts'

/**
 * A backup in a folder of its own, to be damaged; and an older one of the same database, with other
 * rows, content and large objects.
 */
export interface StoredBackup {
  folder: string
  older: string
  identity: string
}

export type Kind = 'base' | 'rows' | 'large-objects'

/** What is done to a stored backup, and the level that it may still reach. */
export interface StoreMutation {
  level: Level
  damage: (backup: StoredBackup) => void | Promise<void>
  /** The last major on which there is such a thing. */
  until?: number
}

const none = (damage: StoreMutation['damage']): StoreMutation => ({ level: 'none', damage })

export function manifestOf(folder: string): Manifest {
  return readManifest(readFileSync(join(folder, 'manifest.json'), 'utf8'), folder)
}

function fileOf(folder: string, kind: Kind): string {
  const object = manifestOf(folder).objects.find((one) => one.kind === kind)
  if (!object) throw new Error(`${folder} has no object of the kind ${kind}`)
  return join(folder, object.name)
}

const bytes =
  (kind: Kind, change: (content: Buffer) => Uint8Array) =>
  ({ folder }: StoredBackup): void => {
    const file = fileOf(folder, kind)
    writeFileSync(file, change(readFileSync(file)))
  }

const flip =
  (place: (length: number) => number) =>
  (content: Buffer): Buffer => {
    content.writeUInt8(content.readUInt8(place(content.length)) ^ 4, place(content.length))
    return content
  }

/**
 * The manifest with something else in it and the digest that belongs to that: what whoever may
 * write to the store can do.
 */
const rewritten =
  (change: (manifest: Manifest) => Partial<Manifest>) =>
  ({ folder }: StoredBackup): void => {
    const manifest = manifestOf(folder)
    writeFileSync(
      join(folder, 'manifest.json'),
      writeManifest({ ...manifest, ...change(manifest) }),
    )
  }

const fingerprint = (
  change: (print: Manifest['fingerprint']) => Partial<Manifest['fingerprint']>,
): StoreMutation['damage'] =>
  rewritten((manifest) => ({
    fingerprint: { ...manifest.fingerprint, ...change(manifest.fingerprint) },
  }))

const objects = (
  change: (objects: Manifest['objects']) => Manifest['objects'],
): StoreMutation['damage'] => rewritten((manifest) => ({ objects: change(manifest.objects) }))

const table = (
  name: string,
  change: (print: Manifest['fingerprint']['tables'][number]) => object,
): StoreMutation['damage'] =>
  fingerprint(({ tables }) => ({
    tables: tables.map((print) => (print.table === name ? { ...print, ...change(print) } : print)),
  }))

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')

/**
 * Puts another content in an object's place, and its digests into the manifest: only what is inside
 * can tell.
 */
async function replace(
  backup: StoredBackup,
  kind: Kind,
  stored: Uint8Array,
  plain?: Uint8Array,
): Promise<void> {
  writeFileSync(fileOf(backup.folder, kind), stored)
  await objects((all) =>
    all.map((object) =>
      object.kind !== kind
        ? object
        : {
            ...object,
            bytes: stored.length,
            sha256: sha256(stored),
            ...(plain && object.plain
              ? { plain: { ...object.plain, bytes: plain.length, sha256: sha256(plain) } }
              : {}),
          },
    ),
  )(backup)
}

async function open(
  { folder, identity }: Pick<StoredBackup, 'folder' | 'identity'>,
  kind: Kind,
): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  return decrypter.decrypt(readFileSync(fileOf(folder, kind)))
}

async function sealed(plain: Uint8Array, identity: string): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(identity))
  return encrypter.encrypt(plain)
}

/** Opens, changes and seals anew, all digests right. */
const resealed =
  (kind: Kind, change: (plain: Buffer) => Uint8Array) =>
  async (backup: StoredBackup): Promise<void> => {
    const plain = change(Buffer.from(await open(backup, kind)))
    await replace(backup, kind, await sealed(plain, backup.identity), plain)
  }

/**
 * The sealed chunks of an age file, of which there must be enough, put together otherwise; digests
 * of the file right.
 */
const chunks =
  (change: (chunks: Buffer[]) => Buffer[]) =>
  async (backup: StoredBackup): Promise<void> => {
    const file = readFileSync(fileOf(backup.folder, 'rows'))
    const start = file.indexOf('\n', file.indexOf('\n--- ') + 1) + 1 + 16
    const all: Buffer[] = []
    for (let at = start; at < file.length; at += 65552) all.push(file.subarray(at, at + 65552))
    if (all.length < 4) throw new Error(`only ${all.length} chunks`)
    await replace(backup, 'rows', Buffer.concat([file.subarray(0, start), ...change(all)]))
  }

const fromOlder =
  (kind: Kind) =>
  async (backup: StoredBackup): Promise<void> => {
    const older = { folder: backup.older, identity: backup.identity }
    await replace(backup, kind, readFileSync(fileOf(older.folder, kind)), await open(older, kind))
  }

const text =
  (change: (text: string) => string) =>
  ({ folder }: StoredBackup): void => {
    const file = join(folder, 'manifest.json')
    const [before, after] = [readFileSync(file, 'utf8'), change(readFileSync(file, 'utf8'))]
    if (before === after) throw new Error('nothing was changed')
    writeFileSync(file, after)
  }

/** The usual accidents of a file, for each kind of archive. */
const accidents: Record<string, (kind: Kind) => StoreMutation['damage']> = {
  'a byte of the header flipped': (kind) =>
    bytes(
      kind,
      flip(() => 60),
    ),
  'a byte in the middle flipped': (kind) =>
    bytes(
      kind,
      flip((length) => length >> 1),
    ),
  'a byte of the last chunk flipped': (kind) =>
    bytes(
      kind,
      flip((length) => length - 20),
    ),
  'the last byte cut off': (kind) => bytes(kind, (content) => content.subarray(0, -1)),
  'half of it cut off': (kind) =>
    bytes(kind, (content) => content.subarray(0, content.length >> 1)),
  'a byte more': (kind) => bytes(kind, (content) => Buffer.concat([content, Buffer.alloc(1)])),
  empty: (kind) => bytes(kind, () => Buffer.alloc(0)),
  missing:
    (kind) =>
    ({ folder }) =>
      rmSync(fileOf(folder, kind)),
  'the older backup’s':
    (kind) =>
    ({ folder, older }) =>
      cpSync(fileOf(older, kind), fileOf(folder, kind)),
}
const kinds: Kind[] = ['base', 'rows', 'large-objects']

/**
 * What is promised: presence, sizes and digests by `stored`; that it opens and can be read to its
 * end by `readable`; the rest as for a copy.
 */
export const storeMutations: Record<string, StoreMutation> = {
  ...Object.fromEntries(
    kinds.flatMap((kind) =>
      Object.entries(accidents).map(([what, damage]) => [`${kind}: ${what}`, none(damage(kind))]),
    ),
  ),
  'two objects swapped': none(({ folder }) => {
    const [base, rows] = [fileOf(folder, 'base'), fileOf(folder, 'rows')]
    const content = readFileSync(base)
    cpSync(rows, base)
    writeFileSync(rows, content)
  }),
  'an object encrypted to another key': none(async (backup) =>
    writeFileSync(
      fileOf(backup.folder, 'rows'),
      await sealed(await open(backup, 'rows'), await generateX25519Identity()),
    ),
  ),
  'RECOVER.md changed': none(({ folder }) =>
    writeFileSync(
      join(folder, 'RECOVER.md'),
      readFileSync(join(folder, 'RECOVER.md'), 'utf8').replace('age', 'gae'),
    ),
  ),
  'RECOVER.md missing': none(({ folder }) => rmSync(join(folder, 'RECOVER.md'))),

  'the manifest: a digit changed': none(
    text((all) => all.replace(/"rows": (\d+)/, (_, rows: string) => `"rows": ${Number(rows) + 1}`)),
  ),
  'the manifest: its digest changed': none(
    text((all) =>
      all.replace(/([0-9a-f])"\s*\}\s*$/, (end, digit: string) =>
        end.replace(digit, digit === '0' ? '1' : '0'),
      ),
    ),
  ),
  'the manifest: cut': none(text((all) => all.slice(0, all.length >> 1))),
  'the manifest: empty': none(text(() => '')),
  'the manifest: of a newer format': none(text((all) => all.replace('"format": 1', '"format": 2'))),
  'the older backup’s manifest in this one’s folder': none(({ folder, older }) =>
    cpSync(join(older, 'manifest.json'), join(folder, 'manifest.json')),
  ),
  'the whole older backup in this one’s folder': none(({ folder, older }) => {
    rmSync(folder, { recursive: true })
    cpSync(older, folder, { recursive: true })
  }),
  'the older backup’s manifest by this one’s id': none(({ folder, older }) => {
    writeFileSync(
      join(folder, 'manifest.json'),
      writeManifest({ ...manifestOf(older), id: basename(folder) }),
    )
  }),

  'the manifest, digest right: another label': none(rewritten(() => ({ label: 'other' }))),
  'the manifest, digest right: another id': none(
    rewritten(({ id }) => ({ id: id.replace(/^2/, '3') })),
  ),
  'the manifest, digest right: an object’s digest': none(
    objects((all) =>
      all.map((object) =>
        object.kind === 'rows' ? { ...object, sha256: '0'.repeat(64) } : object,
      ),
    ),
  ),
  'the manifest, digest right: an object’s size': none(
    objects((all) =>
      all.map((object) =>
        object.kind === 'base' ? { ...object, bytes: object.bytes + 1 } : object,
      ),
    ),
  ),
  'the manifest, digest right: an object that is not there': none(
    objects((all) => [
      ...all,
      {
        ...(all.find(({ kind }) => kind === 'rows') as (typeof all)[number]),
        name: 'rows/9.dump.age',
      },
    ]),
  ),
  'the manifest, digest right: no base': none(
    objects((all) => all.filter(({ kind }) => kind !== 'base')),
  ),
  'the manifest, digest right: a key that nobody has': none(async (backup) => {
    const recipient = await identityToRecipient(await generateX25519Identity())
    rewritten(() => ({ encryption: { recipients: [recipient] } }))(backup)
  }),
  'the manifest, digest right: not encrypted': {
    level: 'stored',
    damage: rewritten(() => ({ encryption: 'none' })),
  },
  'the manifest, digest right: what an object is inside': {
    level: 'stored',
    damage: objects((all) =>
      all.map((object) =>
        object.kind === 'rows' && object.plain
          ? { ...object, plain: { ...object.plain, sha256: '0'.repeat(64) } }
          : object,
      ),
    ),
  },
  'the manifest, digest right: an archive of rows left out': {
    level: 'stored',
    damage: objects((all) => all.filter(({ kind }) => kind !== 'rows')),
  },
  'the manifest, digest right: large objects left out': {
    level: 'restored',
    damage: objects((all) => all.filter(({ kind }) => kind !== 'large-objects')),
  },
  'the manifest, digest right: a table’s rows': {
    level: 'restored',
    damage: table('public.people', ({ rows }) => ({ rows: rows - 1 })),
  },
  'the manifest, digest right: a table left out': {
    level: 'stored',
    damage: fingerprint(({ tables }) => ({ tables: tables.slice(1) })),
  },
  'the manifest, digest right: a table’s hash': {
    level: 'counted',
    damage: table('public.people', ({ hash = '' }) => ({ hash: String(BigInt(hash) + 1n) })),
  },
  'the manifest, digest right: a hash of generated columns': {
    level: 'counted',
    damage: table('public.people', ({ generated = '' }) => ({
      generated: String(BigInt(generated) + 1n),
    })),
  },
  'the manifest, digest right: a sequence': {
    level: 'restored',
    damage: fingerprint(({ sequences }) => ({
      sequences: {
        ...sequences,
        'public.numbers': {
          before: { last: '1', called: true },
          after: { last: '1', called: true },
        },
      },
    })),
  },
  'the manifest, digest right: an entry of the schema': {
    level: 'counted',
    damage: fingerprint(({ schema }) => ({
      schema: { ...schema, 'TABLE public.people': '0'.repeat(32) },
    })),
  },
  'the manifest, digest right: an entry left out of the schema': {
    level: 'counted',
    damage: fingerprint(({ schema }) => ({
      schema: Object.fromEntries(
        Object.entries(schema).filter(([entry]) => entry !== 'VIEW public.heavy'),
      ),
    })),
  },
  'the manifest, digest right: an extension’s version': {
    level: 'counted',
    damage: fingerprint(({ supplement }) => ({
      supplement: { ...supplement, extensions: { plpgsql: '0.9 in pg_catalog' } },
    })),
  },
  'the manifest, digest right: the bytes of large objects': {
    level: 'counted',
    damage: fingerprint(({ largeObjects }) => ({
      largeObjects: { ...largeObjects, count: 3, bytes: 1 },
    })),
  },
  'the manifest, digest right: how many large objects': {
    level: 'restored',
    damage: fingerprint(({ largeObjects }) => ({ largeObjects: { ...largeObjects, count: 4 } })),
  },

  'digests right: a chunk of the age stream removed': {
    level: 'stored',
    damage: chunks((all) => all.toSpliced(1, 1)),
  },
  'digests right: its last chunk removed': {
    level: 'stored',
    damage: chunks((all) => all.slice(0, -1)),
  },
  'digests right: two chunks in the other order': {
    level: 'stored',
    damage: chunks(([first, second, ...rest]) => [second as Buffer, first as Buffer, ...rest]),
  },
  'digests right: a chunk twice': {
    level: 'stored',
    damage: chunks((all) => all.toSpliced(1, 0, all[1] as Buffer)),
  },
  'digests right: a byte of a chunk flipped': {
    level: 'stored',
    damage: chunks((all) =>
      all.with(1, flip((length) => length >> 1)(Buffer.from(all[1] as Buffer))),
    ),
  },
  'digests right: a byte behind the last chunk': {
    level: 'stored',
    damage: chunks((all) => [...all, Buffer.alloc(1)]),
  },
  'digests right: encrypted to another key': {
    level: 'stored',
    damage: async (backup) =>
      replace(
        backup,
        'rows',
        await sealed(await open(backup, 'rows'), await generateX25519Identity()),
      ),
  },
  'all digests right: the archive inside cut': {
    level: 'stored',
    damage: resealed('rows', (plain) => plain.subarray(0, plain.length >> 1)),
  },
  'all digests right: the base archive inside cut by a byte': {
    level: 'stored',
    damage: resealed('base', (plain) => plain.subarray(0, -1)),
  },
  'all digests right: the base archive inside no archive': {
    level: 'stored',
    damage: resealed('base', () => Buffer.from('<html>Not found</html>')),
  },
  'all digests right: a zstd frame cut': {
    level: 'stored',
    damage: resealed('large-objects', (plain) => plain.subarray(0, -3)),
    until: 15,
  },
  'all digests right: a byte in a zstd frame flipped': {
    level: 'stored',
    damage: resealed(
      'rows',
      flip((length) => length >> 1),
    ),
    until: 15,
  },
  'all digests right: the older backup’s base': { level: 'restored', damage: fromOlder('base') },
  'all digests right: the older backup’s rows, as many': {
    level: 'counted',
    damage: fromOlder('rows'),
  },
  'all digests right: the older backup’s large objects, as many': {
    level: 'counted',
    damage: fromOlder('large-objects'),
  },
}
