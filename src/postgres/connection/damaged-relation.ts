type Query = (text: string, values: unknown[]) => Promise<{ name: string }[]>

/**
 * Returns `schema.name` of the relation that an error about damaged data is about, or undefined if
 * the error does not identify one. For TOAST, returns the table. The server names a file
 * (`base/5/16390`), an index or a TOAST table. `query` must use the same database, outside a failed
 * transaction.
 */
export async function damagedRelation(text: string, query: Query): Promise<string | undefined> {
  const [condition, ...values] = conditionOf(text)
  const rows = await query(
    `SELECT pg_catalog.format('%I.%I', n.nspname, coalesce(t.relname, c.relname)) AS name
     FROM pg_catalog.pg_class c
       LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = c.oid
       JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(t.relnamespace, c.relnamespace)
     WHERE ${condition}`,
    values,
  )
  return rows.length === 1 ? rows[0]?.name : undefined
}

/** Returns the condition that finds the relation `c`, and its parameters. */
function conditionOf(text: string): [condition: string, ...values: string[]] {
  const [, tablespace = '0', file] =
    /(?:base|pg_tblspc\/(\d+)\/[^/"\s]+)\/\d+\/(\d+)/.exec(text) ?? []
  if (file)
    return [
      'c.oid = pg_catalog.pg_filenode_relation($1::pg_catalog.oid, $2::pg_catalog.oid)',
      tablespace,
      file,
    ]
  const [, toastOf] = /pg_toast_(\d+)/.exec(text) ?? []
  if (toastOf) return ['c.oid = $1::pg_catalog.oid', toastOf]
  const [, index = ''] = /index "([^"]+)"/.exec(text) ?? []
  return ["c.relkind = 'i' AND c.relname = $1", index]
}
