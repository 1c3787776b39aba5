import type { Work } from '../../work.ts'
import type { Connection } from '../connection/connection.ts'
import { connect, quoteName } from '../connection/session.ts'

/** Drops a schema and all objects in it, if it exists. */
export async function dropSchema(connection: Connection, name: string, work: Work): Promise<void> {
  const session = await connect(connection, work)
  try {
    await session.query(`DROP SCHEMA IF EXISTS ${quoteName(name)} CASCADE`)
  } finally {
    await session.end()
  }
}
