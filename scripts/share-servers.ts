import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startServers } from '../test/support/start-servers.ts'

/**
 * Lets test files share one throwaway PostgreSQL server for each major on this machine. They find
 * them through the environment variable HOLDFAST_TEST_SERVERS, which holds the returned `socket`: it
 * answers each connection with the servers' description, as one line of JSON. The first connection
 * starts them. `folder` is a temporary one, which `stop` removes.
 */
export async function shareServers(
  signal: AbortSignal,
): Promise<{ folder: string; socket: string; stop: () => Promise<void> }> {
  let starting: ReturnType<typeof startServers> | undefined
  const listener = createServer((socket) => {
    socket.on('error', () => {}) // a test file that was killed
    starting ??= startServers(signal)
    starting.then(
      ({ servers }) => socket.end(JSON.stringify({ servers })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    )
  })
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tests-'))
  const socket = join(folder, 'servers')
  await new Promise<void>((done) => listener.listen(socket, done))
  const stop = async (): Promise<void> => {
    listener.close()
    await starting?.then(
      (started) => started.stop(),
      () => {},
    )
    rmSync(folder, { recursive: true, force: true })
  }
  return { folder, socket, stop }
}
