import { setTimeout as sleep } from 'node:timers/promises'
import type * as Sdk from '@aws-sdk/client-s3'
import { failureOf, isTransient, neverConnected, type Operation, S3Failure } from './failure.ts'
import type { S3Address } from './url.ts'

/** What a request is made with. */
export interface Session {
  sdk: typeof Sdk
  client: Sdk.S3Client
  options: { abortSignal?: AbortSignal }
}

/** How often and how long a request is tried. All times in milliseconds. */
export interface Timeouts {
  /** How often one request is sent at most. */
  attempts: number
  /** The longest wait before the second attempt. It doubles with each further attempt. */
  pause: number
  /** How long connecting may take. */
  connect: number
  /** How long a connection may be silent in both directions during a request. */
  idle: number
}

export const defaultTimeouts: Timeouts = { attempts: 6, pause: 400, connect: 4_000, idle: 60_000 }

/** Attempts at a server that has never answered: a wrong endpoint must show within seconds. */
const attemptsBeforeFirstAnswer = 2

/**
 * Sends requests for one bucket to one server.
 *
 * The SDK is loaded with the first request. Its own retries are off: to repeat a create-only write
 * one must know what became of the first attempt, and reading, writing and resuming share one rule
 * for which failures are transient.
 */
export class S3Connection {
  readonly address: S3Address
  readonly timeouts: Timeouts
  /** False once the store has refused a checksum. */
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
   * Sends one request, and repeats it while its failure is transient. Rejects with an S3Failure, or
   * the signal's reason. `send` must be safe to repeat.
   */
  async request<T>(
    operation: Operation,
    send: (session: Session) => Promise<T>,
    signal?: AbortSignal,
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
        const failure = failureOf(error, operation)
        if (!(failure instanceof S3Failure)) throw failure
        if (failure.status !== undefined) this.#answered = true
        if (!isTransient(failure) || attempt >= this.#maxAttempts(failure)) throw failure
      }
      await this.pause(attempt, signal)
    }
  }

  #maxAttempts(failure: S3Failure): number {
    const { attempts } = this.timeouts
    const isUnknownServer = neverConnected(failure) && !this.#answered
    return isUnknownServer ? Math.min(attemptsBeforeFirstAnswer, attempts) : attempts
  }

  /**
   * Waits before attempt number `attempt + 1`: longer each time, with jitter so that many clients
   * do not return at once.
   */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const longest = Math.min(this.timeouts.pause * 2 ** (attempt - 1), 10_000)
    await sleep(longest * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {}).catch(
      () => signal?.throwIfAborted(),
    )
  }

  /** Sends with a checksum. Once the store has refused one, sends without from then on. */
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
      // Holdfast sends checksums in headers, which every store with checksums accepts. The SDK sends
      // trailers, which some refuse.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It would need a separate connection for every part.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: this.timeouts.connect,
        socketTimeout: this.timeouts.idle,
        httpAgent: new HttpAgent(agent),
        httpsAgent: new HttpsAgent(agent),
      },
    })
    const direct = Object.keys(this.#proxyEnv).length === 0
    const isProtected = ({ protocol, hostname }: Outgoing): boolean =>
      protocol === 'https:' || (direct && isLoopback(hostname))
    client.middlewareStack.add(unsignedPayloadIf(isProtected), {
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
 * Returns a middleware that leaves the body out of the signature where the transport protects it.
 *
 * Every request is signed with its headers. Without TLS the signature also covers the body's
 * SHA-256: nothing else would detect a body replaced on the way. TLS protects the body already, and
 * so does a connection that stays on this machine. There, the CRC32 in the signed headers tells the
 * store whether the body is complete, and a second digest would only cost time on both sides.
 */
function unsignedPayloadIf(isProtected: (request: Outgoing) => boolean) {
  return <Args extends { request: unknown }, Result>(next: (args: Args) => Promise<Result>) =>
    async (args: Args): Promise<Result> => {
      const request = args.request as Outgoing
      if (isProtected(request) && 'x-amz-checksum-crc32' in request.headers)
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

/** Node's agents read these variables since 24.5 (`proxyEnv`); an older Node ignores them. */
function proxyVariables(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return Object.fromEntries(proxyNames.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}
