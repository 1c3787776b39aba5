import { tmpdir } from 'node:os'
import { findPostgres } from '../../scripts/postgres-programs.mjs'
import { startCluster, type Cluster } from '../../src/postgres/server/cluster.ts'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import type { Work } from '../../src/work.ts'

/** A running server of one major, as text that an environment variable can carry. */
export interface ServerDescription {
  major: number
  version: string
  /** The folder of this major's programs. */
  bindir: string
  /** As superuser, to the database `postgres`. */
  connection: Connection
}

/**
 * What tests need beyond our scratch clusters' settings: slots and prepared transactions, which a
 * restore has to refuse.
 */
const settings = {
  wal_level: 'logical',
  max_wal_senders: '5',
  max_replication_slots: '5',
  max_prepared_transactions: '5',
  max_connections: '100',
  shared_buffers: '128MB',
}

/**
 * Starts one throwaway cluster for every PostgreSQL major on this machine. Stops those that run if
 * one of them does not start.
 */
export async function startServers(
  signal: AbortSignal,
): Promise<{ servers: ServerDescription[]; stop: () => Promise<void> }> {
  const started: Cluster[] = []
  const stop = async (): Promise<void> => {
    await Promise.allSettled(started.map((cluster) => cluster.stop()))
  }
  const work = quietWork(signal)
  try {
    const servers = await Promise.all(
      findPostgres(process.env).map(async ({ major, version, bindir }) => {
        const cluster = await startCluster(
          { directory: bindir, major, version },
          { superuser: 'holdfast', settings },
          work,
        )
        started.push(cluster)
        return { major, version, bindir, connection: cluster.connection }
      }),
    )
    return { servers, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Work that logs nothing and holds nothing: for what a test does around the thing it tests. */
export function quietWork(signal: AbortSignal = new AbortController().signal): Work {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
  return {
    signal,
    env,
    temporary: tmpdir(),
    log: { info() {}, debug() {}, warning() {}, group: (_title, body) => body() },
    hold() {},
    release() {},
  }
}
