import { setTimeout as sleep } from 'node:timers/promises'
import type * as Sdk from '@aws-sdk/client-s3'
import { type Doing, failureOf, isTransient, neverConnected, S3Failure } from './errors.ts'
import type { S3Address } from './url.ts'

/** What a request is made with. */
export interface Session {
  sdk: typeof Sdk
  client: Sdk.S3Client
  options: { abortSignal?: AbortSignal }
}

/** How patient we are. All times in milliseconds. */
export interface Timeouts {
  /** How often one request is sent, at most. */
  attempts: number
  /** The longest wait before the second attempt; doubled for each one after. */
  pause: number
  /** How long a connection may take to come about. */
  connect: number
  /** How long a connection may be silent, both ways, within a request. */
  idle: number
}

export const defaultTimeouts: Timeouts = { attempts: 6, pause: 400, connect: 4_000, idle: 60_000 }

/** Attempts at a server that never answered yet: a wrong endpoint must show within seconds. */
const firstAttempts = 2

/**
 * One bucket at one server, and how requests are sent there.
 *
 * The SDK is loaded with the first request. Its own retries are off: a write that is create-only
 * can't be repeated without care for what became of the first one, and which failures pass is the
 * same question for reading, writing and resuming.
 */
export class S3Connection {
  readonly address: S3Address
  readonly timeouts: Timeouts
  /** Whether this store takes a checksum with what is written; found out by asking. */
  checksums = true
  readonly #proxyEnv: NodeJS.ProcessEnv
  #session: Promise<{ sdk: typeof Sdk; client: Sdk.S3Client }> | undefined
  #answered = false
  #closed = false

  constructor(
    address: S3Address,
    options: {
      env?: Readonly<Record<string, string | undefined>>
      timeouts?: Partial<Timeouts>
    } = {},
  ) {
    this.address = address
    this.timeouts = { ...defaultTimeouts, ...options.timeouts }
    this.#proxyEnv = proxyVariables(options.env ?? {})
  }

  /**
   * Sends one request, again while its failure is one that may pass. Rejects with an S3Failure, or
   * the signal's reason. `send` must be safe to call again.
   */
  async ask<T>(
    doing: Doing,
    send: (session: Session) => Promise<T>,
    signal?: AbortSignal,
    attempts = this.timeouts.attempts,
  ): Promise<T> {
    if (this.#closed) throw new Error('this storage is closed')
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      try {
        const session = await (this.#session ??= this.#open())
        const answer = await send({ ...session, options: signal ? { abortSignal: signal } : {} })
        this.#answered = true
        return answer
      } catch (error) {
        signal?.throwIfAborted()
        const failure = failureOf(error, doing)
        if (!(failure instanceof S3Failure)) throw failure
        if (failure.status !== undefined) this.#answered = true
        const most =
          neverConnected(failure) && !this.#answered ? Math.min(firstAttempts, attempts) : attempts
        if (!isTransient(failure) || attempt >= most) throw failure
      }
      await this.pause(attempt, signal)
    }
  }

  /**
   * Waits before attempt number `attempt + 1`: longer each time, and by chance, so that many
   * clients don't come back all at once.
   */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const longest = Math.min(this.timeouts.pause * 2 ** (attempt - 1), 10_000)
    await sleep(longest * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {}).catch(
      () => signal?.throwIfAborted(),
    )
  }

  /**
   * Sends with a checksum, and without one from the first time on that the store could not take it.
   */
  async withChecksum<T>(
    refused: (failure: S3Failure) => boolean,
    send: (checksums: boolean) => Promise<T>,
  ): Promise<T> {
    const used = this.checksums
    try {
      return await send(used)
    } catch (error) {
      if (!used || !(error instanceof S3Failure) || !refused(error)) throw error
      this.checksums = false
      return await send(false)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const session = await this.#session?.catch(() => undefined)
    session?.client.destroy()
  }

  async #open(): Promise<{ sdk: typeof Sdk; client: Sdk.S3Client }> {
    const [sdk, { Agent: HttpAgent }, { Agent: HttpsAgent }] = await Promise.all([
      import('@aws-sdk/client-s3'),
      import('node:http'),
      import('node:https'),
    ])
    const agent = { keepAlive: true, maxSockets: 64, proxyEnv: this.#proxyEnv }
    const { endpoint, region, pathStyle } = this.address
    const client = new sdk.S3Client({
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      forcePathStyle: pathStyle,
      maxAttempts: 1,
      // Ours go into headers, where every store that has them takes them; the SDK's go into
      // trailers, which some refuse.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It would cost a connection of its own for every part.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: this.timeouts.connect,
        socketTimeout: this.timeouts.idle,
        httpAgent: new HttpAgent(agent),
        httpsAgent: new HttpsAgent(agent),
      },
    })
    const direct = Object.keys(this.#proxyEnv).length === 0
    const guarded = ({ protocol, hostname }: Outgoing): boolean =>
      protocol === 'https:' || (direct && isLoopback(hostname))
    client.middlewareStack.add(payloadUnsignedWhere(guarded), {
      step: 'build',
      name: 'holdfastPayload',
    })
    return { sdk, client }
  }
}

interface Outgoing {
  protocol?: string
  hostname?: string
  headers: Record<string, string>
}

/**
 * Every request is signed, its headers with it. The body too, by SHA-256, where it travels in the
 * clear: nothing else would notice a body that was swapped on the way. Over TLS the body is guarded
 * already, and what never leaves this machine passes nobody; the CRC32 in the signed headers tells
 * the store whether it came whole. There a second digest of everything would only cost time, on
 * both sides.
 */
function payloadUnsignedWhere(guarded: (request: Outgoing) => boolean) {
  return <Args extends { request: unknown }, Result>(next: (args: Args) => Promise<Result>) =>
    async (args: Args): Promise<Result> => {
      const request = args.request as Outgoing
      if (guarded(request) && 'x-amz-checksum-crc32' in request.headers)
        request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD'
      return await next(args)
    }
}

const isLoopback = (hostname = ''): boolean =>
  /^(localhost|127(\.\d+){3}|\[::1\]|::1)$/.test(hostname)

const proxyNames = [
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
]

/** Node's own agents know these variables since 24.5 (`proxyEnv`); an older one ignores them. */
function proxyVariables(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return Object.fromEntries(proxyNames.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}
