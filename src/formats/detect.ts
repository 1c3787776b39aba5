import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { UserError } from '../errors.ts'
import type { ExternalSelector } from '../repository/selector.ts'
import { ObjectMissing, type Storage } from '../storage/storage.ts'
import { decompressing } from '../stream/compress.ts'
import { decrypting } from '../stream/decrypt.ts'
import { capture } from '../stream/process.ts'
import type { Held, Work } from '../work.ts'

/**
 * How pg_dump wrote it: as SQL, as one archive (`-Fc`), a tar of its own (`-Ft`), or a folder
 * (`-Fd`) that somebody put into a tar.
 */
export type ExternalFormat = 'sql' | 'custom' | 'tar' | 'directory'

/**
 * A dump that another tool made, recognised by its content and made ready to be read as often as is
 * needed.
 */
export interface ExternalDump {
  /** As it was named, for messages. */
  name: string
  format: ExternalFormat
  /** What is around it, from the outside in. */
  layers: ('age' | 'gzip' | 'zstd')[]
  /** As stored. */
  bytes: number
  /**
   * The dump as it flows from where it is, without its layers: for `sql` and `custom`. Damage met
   * on the way is a UserError `file-damaged`.
   */
  stages(): Promise<[Readable, ...Transform[]]>
  /** For `tar` and `directory`: the archive in a private folder. */
  path?: string
  /** Lets go of that folder. */
  close(): Promise<void>
}

export interface ExternalDumpOptions {
  sources: readonly Storage[]
  identities: readonly string[]
  /** The folder that `file:` is relative to, and stays within. */
  workspace: string
}

/**
 * Opens a dump in the workspace (`file`) or in a storage (`store`: the key below its prefix; the
 * first source that has it). Throws UserErrors: `file-missing`, `file-empty`, `file-unknown`,
 * `file-refused`, `file-damaged`, `key-missing`, `wrong-key`.
 */
export async function openExternalDump(
  selector: ExternalSelector,
  options: ExternalDumpOptions,
  work: Work,
): Promise<ExternalDump> {
  const name = `${selector.scheme}: ${selector.name}`
  const { bytes, read } =
    selector.scheme === 'file'
      ? await inWorkspace(selector.name, options.workspace)
      : await inStore(selector.name, options.sources, work)
  if (bytes === 0)
    throw new UserError(
      'file-empty',
      `${name} is empty.`,
      'The tool that made it failed, or is still at work: a pipe to a file gives an empty file when its first command fails.',
    )
  const layers: ExternalDump['layers'] = []
  const stages = async (): Promise<[Readable, ...Transform[]]> => [
    await read(),
    ...layers.map((layer) => opening(layer, options.identities)),
  ]
  for (;;) {
    const head = await headOf(await stages(), name)
    const layer = layerOf(head)
    if (layer === undefined)
      return { ...(await recognised(head, name, stages, work)), name, layers, bytes, stages }
    if (layer === 'age' && options.identities.length === 0)
      throw new UserError(
        'key-missing',
        `${name} is encrypted with age, and decrypt-with is empty.`,
        'Give the age identity that opens it.',
      )
    if (layers.push(layer) > 4)
      throw new UserError(
        'file-unknown',
        `${name} is packed more than four times over.`,
        'Unpack it first.',
      )
  }
}

async function inWorkspace(
  name: string,
  workspace: string,
): Promise<{ bytes: number; read: () => Promise<Readable> }> {
  const path = resolve(workspace, name)
  if (!path.startsWith(resolve(workspace) + sep))
    throw new UserError(
      'file-missing',
      `file: ${name} leads out of the workspace.`,
      'Name a file below the folder in which the job works.',
    )
  try {
    const { size } = await stat(path).then((found) =>
      found.isFile() ? found : Promise.reject(new Error('it is no file')),
    )
    return { bytes: size, read: async () => createReadStream(path) }
  } catch (cause) {
    throw new UserError(
      'file-missing',
      `file: ${name} cannot be read: ${(cause as Error).message}.`,
      'The path is relative to the workspace. A step before has to fetch it there.',
      { cause },
    )
  }
}

async function inStore(
  key: string,
  sources: readonly Storage[],
  work: Work,
): Promise<{ bytes: number; read: () => Promise<Readable> }> {
  if (!key.split('/').every((part) => /^[A-Za-z0-9._=-]+$/.test(part) && !/^\.\.?$/.test(part)))
    throw new UserError(
      'file-missing',
      `store: ${key} is no key of a storage.`,
      'Write the key below the storage’s own prefix, without a slash at its beginning: letters, digits and ._=- between slashes.',
    )
  for (const storage of sources) {
    const bytes = await storage.size(key, { signal: work.signal })
    if (bytes !== undefined)
      return { bytes, read: () => storage.read(key, { signal: work.signal }).catch(gone(key)) }
  }
  throw new UserError(
    'file-missing',
    `There is no ${key} in ${sources.map(({ url }) => url).join(' and ')}.`,
    'Write the key below the storage’s own prefix, without a slash at its beginning.',
  )
}

function gone(key: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ObjectMissing)
      throw new UserError(
        'file-missing',
        `${key} was removed while it was being read.`,
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

function opening(layer: ExternalDump['layers'][number], identities: readonly string[]): Transform {
  return layer === 'age'
    ? decrypting(identities)
    : layer === 'gzip'
      ? createGunzip()
      : decompressing()
}

/** The first bytes, as many as tell what it is. */
async function headOf(stages: [Readable, ...Transform[]], name: string): Promise<Buffer> {
  const last = stages.at(-1) as Readable
  const flowing =
    stages.length === 1 ? Promise.resolve() : pipeline(stages as [Readable, Transform])
  flowing.catch(() => {}) // what is found too late for the first bytes is found by whoever reads it all
  let head: Buffer = Buffer.alloc(0)
  try {
    for await (const piece of last)
      if ((head = Buffer.concat([head, piece as Buffer])).length >= 4096) break
  } catch (error) {
    throw whyUnreadable(error, name)
  } finally {
    stages[0].destroy()
  }
  return head
}

/** Damage of a layer, as a UserError; what is none is given as it is. */
export function whyUnreadable(error: unknown, name: string): unknown {
  const { code = '', message } = error as Error & { code?: string }
  const hint = 'It was cut or changed on its way. Fetch or make it again.'
  if (/^(Z_|ZSTD_)/.test(code))
    return new UserError(
      'file-damaged',
      `${name} does not decompress to its end: ${message}.`,
      hint,
      { cause: error },
    )
  return code === 'object-damaged'
    ? new UserError('file-damaged', `${name}: ${message}`, hint, { cause: error })
    : error
}

async function recognised(
  head: Buffer,
  name: string,
  stages: ExternalDump['stages'],
  work: Work,
): Promise<Pick<ExternalDump, 'format' | 'path' | 'close'>> {
  const text = head.toString('latin1')
  const close = async (): Promise<void> => {}
  const unknown = (what: string, hint: string): UserError =>
    new UserError('file-unknown', `${name} ${what}.`, hint)
  if (text.startsWith('PGDMP')) return { format: 'custom', close }
  if (text.slice(257, 262) === 'ustar') return unpack(name, stages, work)
  if (head.length === 0)
    throw new UserError(
      'file-empty',
      `${name} holds nothing once it is unpacked.`,
      'The tool that made it failed: a pipe into gzip gives such a file when its first command fails.',
    )
  if (/^\s*<(!doctype|html|\?xml)/i.test(text))
    throw unknown(
      'is a web page or an XML message, not a dump',
      'The download failed, and its error message was stored. Fetch it again, and look at the status: curl --fail.',
    )
  if (/^-- PostgreSQL database cluster dump$/m.test(text))
    throw unknown(
      'is a dump of a whole cluster (pg_dumpall)',
      'It makes roles and databases by itself, and cannot go into one database. Dump each database with pg_dump.',
    )
  if (text.startsWith('-----BEGIN AGE'))
    throw unknown('is an armored age file', 'Store it as age writes it without -a.')
  if (/^-- PostgreSQL database dump$/m.test(text)) return { format: 'sql', close }
  throw unknown(
    'is none of pg_dump’s formats',
    'What can be read: plain SQL of pg_dump, custom archives (-Fc), tars (-Ft), and a tar of a folder (-Fd); each also in gzip, zstd or age.',
  )
}

/** Puts a tar into a private folder, and unpacks it if it holds a folder that pg_dump -Fd wrote. */
async function unpack(
  name: string,
  stages: ExternalDump['stages'],
  work: Work,
): Promise<Pick<ExternalDump, 'format' | 'path' | 'close'>> {
  const directory = join(work.temporary, `holdfast-restore-${randomBytes(6).toString('hex')}`)
  const held: Held = { kind: 'folder', directory }
  const close = async (): Promise<void> => {
    await rm(directory, { recursive: true, force: true })
    work.release(held)
  }
  work.hold(held)
  try {
    await mkdir(directory, { mode: 0o700 })
    const path = join(directory, 'archive.tar')
    await pipeline([...(await stages()), createWriteStream(path, { flags: 'wx', mode: 0o600 })], {
      signal: work.signal,
    }).catch((error: unknown) => {
      throw whyUnreadable(error, name)
    })
    const bad = (what: string): UserError =>
      new UserError(
        'file-damaged',
        `${name}: ${what}`,
        'It was cut or changed on its way, or is no tar of a folder that pg_dump -Fd wrote.',
      )
    const tar = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await capture(
        'tar',
        args,
        { env: { ...work.env, LC_ALL: 'C' } },
        work,
      )
      if (code !== 0) throw bad(`tar cannot read it: ${stderr.trim().split('\n')[0] ?? ''}`)
      return stdout
    }
    // the kind of each entry first: links and devices have no place in a dump, and could lead out
    // of the folder
    const odd = (await tar('-tvf', path)).split('\n').find((line) => line && !/^[-d]/.test(line))
    const entries = (await tar('-tf', path)).split('\n').filter(Boolean)
    const out = entries.find((entry) => entry.startsWith('/') || entry.split('/').includes('..'))
    if (odd !== undefined || out !== undefined)
      throw new UserError(
        'file-refused',
        `${name} holds more than plain files: ${out ?? odd}.`,
        'A tar of a dump has files and folders only. Ask whoever made it.',
      )
    const toc = entries.find((entry) => /(^|\/)toc\.dat$/.test(entry))
    if (toc === undefined)
      throw new UserError(
        'file-unknown',
        `${name} is a tar without a toc.dat.`,
        'What can be read: tars of pg_dump -Ft, and a tar of the folder that pg_dump -Fd wrote.',
      )
    const target = join(directory, 'unpacked')
    await mkdir(target, { mode: 0o700 })
    // what only pg_dump -Ft puts into its tars: they are read as they are
    if (entries.includes('restore.sql')) return { format: 'tar', path, close }
    await tar('-xf', path, '-C', target, '--no-same-owner', '--no-same-permissions')
    await rm(path)
    const folder = join(target, dirname(toc))
    const files = await readdir(folder, { recursive: true, withFileTypes: true })
    for (const file of files)
      await chmod(join(file.parentPath, file.name), file.isDirectory() ? 0o700 : 0o600)
    return { format: 'directory', path: folder, close }
  } catch (error) {
    await close()
    throw error
  }
}
