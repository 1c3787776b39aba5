/** Dumps that other tools made: recognises, checks and restores them. */
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { UserError } from '../errors.ts'
import { createArchiveFolder } from '../postgres/pg-restore/archive-folder.ts'
import type { ExternalSelector } from '../repository/selector.ts'
import { input, text } from '../text.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import { decompressing } from '../stream/compress.ts'
import { decrypting } from '../stream/decrypt.ts'
import { capture } from '../stream/process.ts'
import type { Work } from '../work.ts'

/**
 * The format of pg_dump: SQL, one archive (`-Fc`), its own tar (`-Ft`), or a folder (`-Fd`) that was
 * put into a tar.
 */
export type ExternalFormat = 'sql' | 'custom' | 'tar' | 'directory'

/**
 * A dump that another tool made, recognised by its content. It can be read several times.
 */
export interface ExternalDump {
  /** The input's words, for messages. */
  name: string
  format: ExternalFormat
  /** Compression and encryption around it, from the outside in. */
  layers: ('age' | 'gzip' | 'zstd')[]
  /** The size as stored. */
  bytes: number
  /**
   * Opens the dump as a stream without its layers, for `sql` and `custom`. Damage of a layer ends
   * the stream with an error that `asDamagedFile` explains.
   */
  stages(): Promise<[Readable, ...Transform[]]>
  /** The archive in a private folder, for `tar` and `directory`. */
  path?: string
  /** Removes that folder. */
  close(): Promise<void>
}

export interface ExternalDumpOptions {
  sources: readonly Storage[]
  identities: readonly string[]
  /** The folder that `file:` is relative to, and stays within. */
  workspace: string
}

interface FoundFile {
  bytes: number
  read: () => Promise<Readable>
}

/**
 * Opens a dump in the workspace (`file`) or in a storage (`store`: a key below its prefix, in the
 * first source that has it). Throws UserErrors: `file-missing`, `file-empty`, `file-unknown`,
 * `file-refused`, `file-damaged`, `key-missing`, `wrong-key`.
 */
export async function openExternalDump(
  location: ExternalSelector,
  options: ExternalDumpOptions,
  work: Work,
): Promise<ExternalDump> {
  const name = `${location.scheme}: ${location.name}`
  const { bytes, read } =
    location.scheme === 'file'
      ? await findInWorkspace(location.name, options.workspace)
      : await findInStorage(location.name, options.sources, work)
  if (bytes === 0) throw new UserError('file-empty', `${name} is empty.`)
  const layers: ExternalDump['layers'] = []
  const stages = async (): Promise<[Readable, ...Transform[]]> => [
    await read(),
    ...layers.map((layer) => openLayer(layer, options.identities)),
  ]
  for (;;) {
    const head = await headOf(await stages(), name)
    const layer = layerOf(head)
    if (layer === undefined)
      return { ...(await recognise(head, name, stages, work)), name, layers, bytes, stages }
    if (layer === 'age' && options.identities.length === 0)
      throw new UserError(
        'key-missing',
        text`${name} is encrypted with age, and ${input('decrypt-with')} is empty.`,
        text`Give the age identity that opens it:
          ${input('decrypt-with', { secret: 'BACKUP_IDENTITY' })}`,
      )
    if (layers.push(layer) > 4)
      throw new UserError(
        'file-unknown',
        `${name} has more than four layers of compression or encryption.`,
        'Unpack it first.',
      )
  }
}

async function findInWorkspace(name: string, workspace: string): Promise<FoundFile> {
  const path = resolve(workspace, name)
  if (!path.startsWith(resolve(workspace) + sep))
    throw new UserError(
      'file-missing',
      `file: ${name} is outside the workspace.`,
      'Name a file in the workspace, with a path relative to it.',
    )
  try {
    const { size } = await stat(path).then((found) =>
      found.isFile() ? found : Promise.reject(new Error('it is not a file')),
    )
    return { bytes: size, read: async () => createReadStream(path) }
  } catch (cause) {
    throw new UserError(
      'file-missing',
      `file: ${name} cannot be read: ${(cause as Error).message}.`,
      'The path is relative to the workspace. An earlier step must put the file there.',
      { cause },
    )
  }
}

const keyHint = 'Write the key below the storage’s prefix, without a leading slash.'

async function findInStorage(
  key: string,
  sources: readonly Storage[],
  work: Work,
): Promise<FoundFile> {
  if (!key.split('/').every((part) => /^[A-Za-z0-9._=-]+$/.test(part) && !/^\.\.?$/.test(part)))
    throw new UserError(
      'file-missing',
      `store: ${key} is not a key of a storage.`,
      `${keyHint} Between slashes, it has letters, digits and ._=- only.`,
    )
  for (const storage of sources) {
    const bytes = await storage.size(key, { signal: work.signal })
    if (bytes !== undefined)
      return {
        bytes,
        read: () => storage.read(key, { signal: work.signal }).catch(rethrowMissing(key)),
      }
  }
  throw new UserError(
    'file-missing',
    `store: ${key} does not exist in ${sources.map(({ url }) => url).join(' and ')}.`,
    keyHint,
  )
}

function rethrowMissing(key: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ObjectMissing)
      throw new UserError(
        'file-missing',
        `store: ${key} was removed while it was read.`,
        'Run this again.',
        { cause: error },
      )
    throw error
  }
}

function layerOf(head: Buffer): ExternalDump['layers'][number] | undefined {
  const text = head.toString('latin1')
  if (text.startsWith('age-encryption.org/v1\n')) return 'age'
  if (text.startsWith('\x1f\x8b')) return 'gzip'
  return text.startsWith('\x28\xb5\x2f\xfd') ? 'zstd' : undefined
}

function openLayer(
  layer: ExternalDump['layers'][number],
  identities: readonly string[],
): Transform {
  return layer === 'age'
    ? decrypting(identities)
    : layer === 'gzip'
      ? createGunzip()
      : decompressing()
}

/** Reads the first 4096 bytes, which identify a layer or a format. */
async function headOf(stages: [Readable, ...Transform[]], name: string): Promise<Buffer> {
  const last = stages.at(-1) as Readable
  const flowing =
    stages.length === 1 ? Promise.resolve() : pipeline(stages as [Readable, Transform])
  flowing.catch(() => {}) // damage after these bytes is found by whatever reads the whole dump
  let head: Buffer = Buffer.alloc(0)
  try {
    for await (const piece of last)
      if ((head = Buffer.concat([head, piece as Buffer])).length >= 4096) break
  } catch (error) {
    throw asDamagedFile(error, name)
  } finally {
    stages[0].destroy()
  }
  return head
}

/** Returns damage of a layer as a UserError `file-damaged`, and any other error unchanged. */
export function asDamagedFile(error: unknown, name: string): unknown {
  const { code = '', message } = error as Error & { code?: string }
  if (/^(Z_|ZSTD_)/.test(code))
    return damagedFile(`${name} does not decompress to its end: ${message}.`, error)
  return code === 'object-damaged' ? damagedFile(`${name}: ${message}`, error) : error
}

function damagedFile(message: string, cause: unknown): UserError {
  return new UserError('file-damaged', message, undefined, { cause })
}

/** Files that are often mistaken for a dump, by their first bytes. */
const mistaken: readonly { pattern: RegExp; what: string; hint: string }[] = [
  {
    pattern: /^\s*<(!doctype|html|\?xml)/i,
    what: 'is a web page or an XML message, not a dump',
    hint: 'The download failed and its error message was stored. Download it with curl --fail.',
  },
  {
    pattern: /^-- PostgreSQL database cluster dump$/m,
    what: 'is a dump of a whole cluster (pg_dumpall)',
    hint:
      'It creates roles and databases, so it cannot go into one database. Dump each database ' +
      'with pg_dump.',
  },
  {
    pattern: /^-----BEGIN AGE/,
    what: 'is an armored age file',
    hint: 'Encrypt it without -a (--armor).',
  },
]

/** Recognises a dump by its first bytes, and unpacks a tar. */
async function recognise(
  head: Buffer,
  name: string,
  stages: ExternalDump['stages'],
  work: Work,
): Promise<Pick<ExternalDump, 'format' | 'path' | 'close'>> {
  const text = head.toString('latin1')
  const close = async (): Promise<void> => {}
  if (text.startsWith('PGDMP')) return { format: 'custom', close }
  if (text.slice(257, 262) === 'ustar') return unpack(name, stages, work)
  if (head.length === 0)
    throw new UserError(
      'file-empty',
      `${name} is empty once it is unpacked.`,
      'The tool that made it failed: a pipe into gzip writes such a file if its first command fails.',
    )
  for (const { pattern, what, hint } of mistaken)
    if (pattern.test(text)) throw new UserError('file-unknown', `${name} ${what}.`, hint)
  if (/^-- PostgreSQL database dump$/m.test(text)) return { format: 'sql', close }
  throw new UserError('file-unknown', `${name} is in none of pg_dump’s formats.`)
}

/** Stores a tar in a private folder, and unpacks it if it holds a folder that pg_dump -Fd wrote. */
async function unpack(
  name: string,
  stages: ExternalDump['stages'],
  work: Work,
): Promise<Pick<ExternalDump, 'format' | 'path' | 'close'>> {
  const { directory, remove: close } = await createArchiveFolder(work)
  try {
    const path = join(directory, 'archive.tar')
    const file = createWriteStream(path, { flags: 'wx', mode: 0o600 })
    await pipeline([...(await stages()), file], { signal: work.signal }).catch((error: unknown) => {
      throw asDamagedFile(error, name)
    })
    const { entries, toc } = await listTar(path, name, work)
    // only pg_dump -Ft writes a restore.sql into its tars, which pg_restore reads as they are
    if (entries.includes('restore.sql')) return { format: 'tar', path, close }
    const target = join(directory, 'unpacked')
    await mkdir(target, { mode: 0o700 })
    await runTar(
      name,
      ['-xf', path, '-C', target, '--no-same-owner', '--no-same-permissions'],
      work,
    )
    await rm(path)
    const folder = join(target, dirname(toc))
    await makePrivate(folder)
    return { format: 'directory', path: folder, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Lists a tar. Refuses links, devices, and paths that lead out of its folder. */
async function listTar(
  path: string,
  name: string,
  work: Work,
): Promise<{ entries: string[]; toc: string }> {
  const described = (await runTar(name, ['-tvf', path], work)).split('\n')
  const special = described.find((line) => line && !/^[-d]/.test(line))
  const entries = (await runTar(name, ['-tf', path], work)).split('\n').filter(Boolean)
  const outside = entries.find((entry) => entry.startsWith('/') || entry.split('/').includes('..'))
  if (special !== undefined || outside !== undefined)
    throw new UserError(
      'file-refused',
      `${name} contains more than plain files: ${outside ?? special}.`,
      'The tar of a dump has only files and folders. Ask the person who made it.',
    )
  const toc = entries.find((entry) => /(^|\/)toc\.dat$/.test(entry))
  if (toc === undefined)
    throw new UserError(
      'file-unknown',
      `${name} is a tar without a toc.dat.`,
      'Supported are tars of pg_dump -Ft, and a tar of the folder that pg_dump -Fd wrote.',
    )
  return { entries, toc }
}

async function runTar(name: string, args: readonly string[], work: Work): Promise<string> {
  const env = { ...work.env, LC_ALL: 'C' }
  const { code, stdout, stderr } = await capture('tar', args, { env }, work)
  if (code !== 0)
    throw new UserError(
      'file-damaged',
      `${name}: tar cannot read it: ${stderr.trim().split('\n')[0] ?? ''}`,
      'It was truncated or changed, or it is no tar of a folder that pg_dump -Fd wrote.',
    )
  return stdout
}

async function makePrivate(folder: string): Promise<void> {
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true }))
    await chmod(join(file.parentPath, file.name), file.isDirectory() ? 0o700 : 0o600)
}
