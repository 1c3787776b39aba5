type Ask = (text: string, values: unknown[]) => Promise<{ name: string }[]>

/**
 * Which relation an error about damaged data speaks of, as people write it; the table, where it is
 * a table's TOAST. The server names a file (`base/5/16390`), an index, or a TOAST table. Undefined
 * where it cannot be told. `query` asks the same database, outside any transaction that has failed.
 */
export async function damagedRelation(text: string, query: Ask): Promise<string | undefined> {
  const [, space, file] = /(?:base|pg_tblspc\/(\d+)\/[^/"\s]+)\/\d+\/(\d+)/.exec(text) ?? []
  const [, toasted] = /pg_toast_(\d+)/.exec(text) ?? []
  const [, index] = /index "([^"]+)"/.exec(text) ?? []
  const [condition, values] = file
    ? [
        'c.oid = pg_catalog.pg_filenode_relation($1::pg_catalog.oid, $2::pg_catalog.oid)',
        [space ?? '0', file],
      ]
    : toasted
      ? ['c.oid = $1::pg_catalog.oid', [toasted]]
      : ["c.relkind = 'i' AND c.relname = $1", [index ?? '']]
  const rows = await query(
    `SELECT pg_catalog.format('%I.%I', n.nspname, coalesce(t.relname, c.relname)) AS name
     FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.reltoastrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(t.relnamespace, c.relnamespace)
     WHERE ${condition}`,
    values,
  )
  return rows.length === 1 ? rows[0]?.name : undefined
}
