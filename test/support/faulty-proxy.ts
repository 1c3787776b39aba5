import { createServer, type IncomingMessage, request as send, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/**
 * What the proxy does to a request that it is meant for. Bodies pass as they come; signatures stay
 * valid, since the Host header does.
 */
export type Fault =
  /** Breaks the connection (RST) after so many bytes of the request's body. */
  | { kind: 'reset-upload'; after: number }
  /** Breaks the connection after so many bytes of the answer's body. */
  | { kind: 'reset-download'; after: number }
  /** Lets the server do the work, and breaks the connection instead of giving its answer. */
  | { kind: 'lose-answer' }
  /** Changes one byte of the request's body. */
  | { kind: 'flip-upload'; at: number }
  /** Answers so itself; the server hears nothing. */
  | { kind: 'answer'; status: number; body: string }
  /** The same, to a HEAD. */
  | { kind: 'answer-headers'; status: number; headers: Record<string, string> }
  /** Takes the request and never answers. */
  | { kind: 'stall' }

export interface Rule {
  method: string
  /** Matched on the path with its query. */
  url: RegExp
  fault: Fault
  /** How many requests it meets. Counted down to 0. */
  times: number
}

export interface FaultyProxy {
  endpoint: string
  /** The first rule that matches a request and has times left is used. */
  rules: Rule[]
  /** Every request as `METHOD path?query`, in order. */
  seen: string[]
  headers: IncomingMessage['headers'][]
  stop(): Promise<void>
}

/**
 * An HTTP proxy on the loopback interface before a server there, which breaks what it is told to
 * break.
 */
export async function startFaultyProxy(port: number): Promise<FaultyProxy> {
  const rules: Rule[] = []
  const seen: string[] = []
  const headers: FaultyProxy['headers'] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    headers.push(request.headers)
    const rule = rules.find(
      (one) => one.times > 0 && one.method === request.method && one.url.test(request.url ?? ''),
    )
    if (rule) rule.times--
    pass(port, request, response, rule?.fault)
  })
  server.on('connection', (socket) =>
    sockets.add(socket.once('close', () => sockets.delete(socket)).on('error', () => {})),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rules,
    seen,
    headers,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function pass(
  port: number,
  request: IncomingMessage,
  response: ServerResponse,
  fault?: Fault,
): void {
  request.on('error', () => {})
  response.on('error', () => {})
  if (fault?.kind === 'stall') return
  if (fault?.kind === 'answer') {
    request.resume()
    request.once('end', () =>
      response
        .writeHead(fault.status, {
          'content-type': 'application/xml',
          'content-length': Buffer.byteLength(fault.body),
        })
        .end(fault.body),
    )
    return
  }
  if (fault?.kind === 'answer-headers') {
    request.resume()
    request.once('end', () => response.writeHead(fault.status, fault.headers).end())
    return
  }
  const onward = send({
    host: '127.0.0.1',
    port,
    method: request.method,
    path: request.url,
    headers: request.headers,
    agent: false,
    setDefaultHeaders: false,
  })
  onward.on('error', () => request.socket.destroy())
  request.once('close', () => {
    if (!request.complete) onward.destroy()
  })
  let up = 0
  request.on('data', (chunk: Buffer) => {
    const flip = fault?.kind === 'flip-upload' ? fault.at - up : -1
    if (flip >= 0 && flip < chunk.length) chunk.writeUInt8(chunk.readUInt8(flip) ^ 1, flip)
    up += chunk.length
    if (fault?.kind === 'reset-upload' && up > fault.after) {
      onward.destroy()
      request.socket.resetAndDestroy()
    } else if (!onward.write(chunk)) {
      request.pause()
      onward.once('drain', () => request.resume())
    }
  })
  request.once('end', () => onward.end())
  onward.on('response', (answer) => {
    answer.on('error', () => response.destroy())
    if (fault?.kind === 'lose-answer') {
      answer.resume()
      answer.once('end', () => request.socket.resetAndDestroy())
      return
    }
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    response.flushHeaders()
    let down = 0
    answer.on('data', (chunk: Buffer) => {
      down += chunk.length
      if (fault?.kind === 'reset-download' && down > fault.after) {
        answer.destroy()
        // What was written before is to arrive: an RST would discard it in the reader's kernel too.
        setTimeout(() => request.socket.resetAndDestroy(), 20)
      } else if (!response.write(chunk)) {
        answer.pause()
        response.once('drain', () => answer.resume())
      }
    })
    answer.once('end', () => response.end())
  })
}
