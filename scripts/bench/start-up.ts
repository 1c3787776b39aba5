/** Measures how soon a backup sends its first query, and how much code it loads. */
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { source } from './contest.ts'
import { call } from './ours.ts'
import type { Place } from './place.ts'
import type { StartUp } from './results.ts'

const dist = join(import.meta.dirname, '../../dist')

/**
 * Backs up an empty database to S3 `times` times, through a forwarder that sees the first query.
 */
export async function measureStartUp(
  place: Place,
  times: number,
  signal: AbortSignal,
): Promise<StartUp> {
  const database = `${source}_empty`
  await place.source.query('postgres', `CREATE DATABASE ${database} TEMPLATE template0`)
  const url = new URL(place.source.url(database))
  const firstQuery: number[] = []
  let loaded: string[] = []
  for (let i = 0; i < times + 1; i++) {
    const forwarder = await forward(url.hostname, Number(url.port))
    try {
      const through = new URL(url)
      through.port = String(forwarder.port)
      // The first run only records what is loaded, because recording takes time.
      const loads = i === 0 ? recordLoads(place.folder('loads')) : undefined
      let started = 0
      const began = performance.now()
      const run = await call({
        name: 'backup',
        folder: place.folder('runs'),
        signal,
        onStart: () => (started = began),
        inputs: {
          'database-url': through.href,
          storage: place.s3.url('start-up'),
          label: 'empty',
          'encrypt-to': place.recipient,
          fingerprint: 'none',
          'postgres-bin': place.postgres.bindir,
        },
        env: { ...place.s3.env, PATH: place.path, ...loads?.env },
      })
      if (run.code !== 0 || started === 0)
        throw new Error(`The backup of an empty database failed:\n${run.log}`)
      const asked = forwarder.firstQuery()
      if (asked === undefined) throw new Error('No query was seen on the wire.')
      if (loads !== undefined) loaded = loads.read()
      else firstQuery.push(asked - began)
    } finally {
      await forwarder.close()
    }
  }
  await place.source.query('postgres', `DROP DATABASE ${database}`)
  const size = (name: string): number => statSync(join(dist, name)).size
  const files = readdirSync(dist)
  const sum = (names: string[]): number => names.reduce((total, name) => total + size(name), 0)
  return {
    firstQuery,
    dist: {
      all: sum(files),
      scripts: sum(files.filter((name) => name.endsWith('.js'))),
      loaded: sum(loaded),
      loadedFiles: loaded,
    },
  }
}

/** Writes a module that records each file of dist/ that Node loads. */
function recordLoads(folder: string): { env: Record<string, string>; read(): string[] } {
  const place = mkdtempSync(join(folder, 'loads-'))
  const [hook, list] = [join(place, 'hook.mjs'), join(place, 'list')]
  writeFileSync(list, '')
  writeFileSync(
    hook,
    `import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({
  load(url, context, next) {
    if (url.startsWith('file:')) appendFileSync(${JSON.stringify(list)}, url + '\\n')
    return next(url, context)
  },
})
`,
  )
  return {
    env: { NODE_OPTIONS: `--import=${pathToFileURL(hook).href}` },
    read() {
      const paths = readFileSync(list, 'utf8')
        .trim()
        .split('\n')
        .map((url) => fileURLToPath(url))
      return [
        ...new Set(
          readdirSync(dist).filter(
            (name) => name.endsWith('.js') && paths.some((path) => path === join(dist, name)),
          ),
        ),
      ].sort()
    },
  }
}

interface Forwarder {
  port: number
  /** When the first query passed, in milliseconds of `performance.now()`. */
  firstQuery(): number | undefined
  close(): Promise<void>
}

/**
 * Forwards connections to a server, and records when the first client message passes that is a
 * query (`Q`) or a statement to prepare (`P`).
 */
async function forward(host: string, port: number): Promise<Forwarder> {
  let first: number | undefined
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(port, host)
    const messages = clientMessages()
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket
        .on('error', () => {})
        .on('close', () => [client, upstream].forEach((each) => each.destroy()))
    }
    client.on('data', (chunk) => {
      const types = messages(chunk)
      if (types.includes('Q') || types.includes('P')) first ??= performance.now()
    })
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(0, '127.0.0.1', resolve),
  )
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    firstQuery: () => first,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        sockets.forEach((socket) => socket.destroy())
      }),
  }
}

/**
 * Reads one client's stream by chunks, and returns the types of the messages that begin in each
 * (PostgreSQL's documentation, "Message Formats"): a type and a length of four bytes, but no type
 * in the first messages (start-up, or a request for TLS), which are returned as an empty text.
 */
export function clientMessages(): (chunk: Buffer) => string[] {
  let rest = Buffer.alloc(0)
  let skip = 0
  let started = false
  return (chunk) => {
    const types: string[] = []
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const skipped = Math.min(skip, rest.length)
      rest = rest.subarray(skipped)
      skip -= skipped
      const header = started ? 5 : 8
      if (skip > 0 || rest.length < header) return types
      types.push(started ? String.fromCharCode(rest[0] ?? 0) : '')
      skip = rest.readUInt32BE(started ? 1 : 0) + (started ? 1 : 0)
      // 3.0 is the protocol of a start-up message; requests for TLS and the like have numbers of
      // their own
      if (!started) started = rest.readUInt16BE(4) === 3
    }
  }
}
