import { randomBytes } from 'node:crypto'
import type { Connection } from '../../src/postgres/connection/connection.ts'
import type { OwnServer } from '../support/own-server.ts'

/** Settings of a server whose databases have replication slots and prepared transactions. */
export const swapSettings = {
  wal_level: 'logical',
  max_prepared_transactions: '10',
  max_replication_slots: '10',
}

export interface Target {
  name: string
  connection: Connection
}

/** Creates a database on a server that only this test file uses, and fills it. */
export async function createTarget(server: OwnServer, sql: string): Promise<Target> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await server.create(name, sql)
  return { name, connection: server.to(name) }
}

/**
 * Returns every role, every database and every schema of a server, as one line each. A test compares
 * them before and after.
 */
export async function contentsOf(server: OwnServer): Promise<string[]> {
  const shared = await server.query(
    'postgres',
    `SELECT 'role ' || rolname AS line FROM pg_roles
     UNION ALL
     SELECT format('database %s %s %s %s %s %s', oid, datname, pg_get_userbyid(datdba), datacl,
       datconnlimit, shobj_description(oid, 'pg_database')) FROM pg_database
     ORDER BY 1`,
  )
  const lines = shared.map(({ line }) => String(line))
  const databases = await server.query(
    'postgres',
    'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1',
  )
  for (const { datname } of databases) {
    const schemas = await server.query(
      String(datname),
      `SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' ORDER BY 2`,
    )
    for (const { oid, nspname } of schemas)
      lines.push(`schema ${String(datname)} ${String(oid)} ${String(nspname)}`)
  }
  return lines
}

/** SQL for `prepare` that waits until the session with this process id holds no advisory lock. */
export function waitForSession(pid: number): string {
  return `DO $$ BEGIN
    WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = ${pid})
    LOOP PERFORM pg_sleep(0.02); END LOOP; END $$`
}
