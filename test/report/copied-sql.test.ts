import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sqlIdentifier, sqlLiteral } from '../../src/escape.ts'
import { freshDatabase, newestAndOldest, query } from '../support/servers.ts'

/** Each would name another table, or run a statement, if a character of it was lost. */
const names = [
  'shop\u0001',
  'shop\u200b',
  'shop\u2028; DROP TABLE shop; --',
  'two\nlines\\',
  '\\"; DROP TABLE shop; --',
  "'; DROP TABLE shop; --",
  '\u001b[8mshop\u202e',
  '漢字\u{e0041}😀',
]

for (const server of newestAndOldest())
  test(`SQL to copy names what it shows on PostgreSQL ${server.major}`, async () => {
    const { name } = await freshDatabase(server, {
      name: 'copied sql',
      sql: [
        'CREATE TABLE shop ()',
        ...names.map((name) => `CREATE TABLE ${sqlIdentifier(name)} ()`),
      ].join(';\n'),
    })
    const shown = [...names, 'shop'].map(sqlLiteral).join(', ')
    const sql = `SELECT relname AS name FROM pg_class WHERE relname IN (${shown})`
    const rows = await query(server, name, sql)
    assert.deepEqual(rows.map((row) => row['name']).sort(), [...names, 'shop'].sort())
  })
