import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { storeArchive, storeText } from '../../src/core/archive.ts'
import { folderOf, newId } from '../../src/core/catalog.ts'
import { type Manifest, type StoredArchive, writeManifest } from '../../src/core/manifest.ts'
import { recipe } from '../../src/core/recipe.ts'
import { type Connection, dumpEnvironment } from '../../src/postgres/connection.ts'
import { listTables } from '../../src/postgres/relations.ts'
import { encodingArguments } from '../../src/postgres/schema.ts'
import { connect, quoteName } from '../../src/postgres/session.ts'
import type { Store } from './copies.ts'
import { quietWork } from './start-servers.ts'

export interface FleetOptions {
  /** How many archives of rows. */
  archives: number
  /** Which tables are large: `schema.name` as they are. Default: all but every third. */
  large?: (table: string) => boolean
}

/** Stores a quiet database as a backup of several archives: the newest in the store, made of the one that is there. Gives its id. */
export async function storeFleet(store: Store, connection: Connection, server: { major: number; bindir: string }, options: FleetOptions): Promise<string> {
  const work = quietWork()
  const { manifest } = await store.found()
  const session = await connect(connection, work)
  const tables = (await listTables(session)).filter(({ condition, comparedAt }) => condition === undefined && comparedAt === undefined)
  await session.end()
  const chosen = tables.filter(({ schema, name }, i) => options.large?.(`${schema}.${name}`) ?? i % 3 !== 0)
  const id = newId(new Date(Date.now() + 1000))
  const folder = folderOf(manifest.label, id)
  const pattern = ({ schema, name }: { schema: string; name: string }): string => `${quoteName(schema)}.${quoteName(name)}`
  const compressed = server.major >= 16
  const dump = async (name: string, args: string[], more: Partial<StoredArchive>): Promise<StoredArchive> => {
    const child = spawn(join(server.bindir, 'pg_dump'), ['-Fc', compressed ? '--compress=zstd:1' : '--compress=0', ...encodingArguments(manifest.source.locale.encoding), ...args], {
      env: { ...work.env, ...dumpEnvironment(connection, server.major) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = new Promise((resolve) => child.once('close', resolve))
    const recipients = manifest.encryption === 'none' ? 'none' : manifest.encryption.recipients
    const storing = storeArchive(child.stdout, { name, folder, compressed, recipients, destinations: [store.storage] }, work)
    const [stored, code] = await Promise.allSettled([storing, ended])
    if (stored.status === 'rejected' || code.status === 'rejected' || code.value !== 0) throw new Error(`pg_dump ${args.join(' ')} failed: ${said}`, { cause: stored.status === 'rejected' ? stored.reason : undefined })
    return { ...stored.value, ...more }
  }
  const objects = [await dump('frame.dump', ['--no-blobs', ...chosen.map((table) => `--exclude-table-data=${pattern(table)}`)], { kind: 'frame' })]
  for (let i = 0; i < options.archives; i++) {
    const hand = chosen.filter((_table, n) => n % options.archives === i)
    objects.push(await dump(`rows/${String(i + 1).padStart(2, '0')}.dump`, ['--data-only', ...hand.flatMap((table) => ['-t', pattern(table)])], { kind: 'rows', tables: hand.map(({ schema, name }) => `${schema}.${name}`) }))
  }
  if (manifest.fingerprint.largeObjects?.count) objects.push(await dump('large-objects.dump', ['--data-only', '-b', '-T', '*.*'], { kind: 'large-objects' }))
  const draft: Omit<Manifest, 'sha256'> = { ...manifest, id, objects }
  draft.objects.push({ name: 'RECOVER.md', kind: 'recipe', ...(await storeText(recipe(draft), `${folder}RECOVER.md`, [store.storage], work)) })
  await storeText(writeManifest(draft), `${folder}manifest.json`, [store.storage], work)
  return id
}
