import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  compareSchemaPrints,
  definitionOf,
  encodingArguments,
  entriesOf,
  ownerLine,
  type SchemaPrint,
  splitSchema,
  withoutTail,
} from '../../../src/postgres/fingerprint/schema.ts'

/** An entry as pg_dump writes it. */
const entry = (type: string, name: string, body: string, schema = 'public'): string =>
  `--\n-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: postgres\n--\n\n${body}\n\n\n`

const owner = (what: string, role: string): string => `\n\n\nALTER ${what} OWNER TO ${role};`
const view = (role: string): string =>
  entry('VIEW', 'v', `CREATE VIEW public.v AS\n SELECT 1;${owner('VIEW public.v', role)}`)

const one = (text: string): [entry: string, hash: string] => {
  const [found, ...more] = Object.entries(splitSchema(text))
  assert.ok(found && more.length === 0)
  return found
}
const hashOf = (text: string): string => one(text)[1]
const keyOf = (text: string): string => one(text)[0]

describe('the entries of a schema', () => {
  test('have a header of three lines each, and the lines up to the next', () => {
    const text = `SET x = 1;\n\n${entry('TABLE', 't', 'CREATE TABLE t ();')}${entry('ACL', 'TABLE t', 'GRANT', '-')}`
    assert.deepEqual(entriesOf(text), [
      {
        type: 'TABLE',
        schema: 'public',
        name: 't',
        lines: ['', 'CREATE TABLE t ();', '', ''],
      },
      { type: 'ACL', schema: '-', name: 'TABLE t', lines: ['', 'GRANT', '', '', ''] },
    ])
  })

  test('may hold text that only looks like a header', () => {
    const comment = "COMMENT ON TABLE t IS '\n-- Name: x; Type: TABLE; Schema: s; Owner: o\n--\n';"
    const odd = `${comment}\n--\nno header\n--\n--\n-- Name: x; Type: TABLE; Schema: s; Owner: o\nx`
    assert.deepEqual(
      entriesOf(entry('COMMENT', 'TABLE t', odd)).map(({ name, lines }) => [name, lines.length]),
      [['TABLE t', odd.split('\n').length + 4]],
    )
  })

  test('are named by type, schema and name', () => {
    assert.equal(keyOf(entry('TABLE', 'my t', 'x')), 'TABLE public.my t')
    assert.equal(keyOf(entry('EXTENSION', 'e', 'x', '-')), 'EXTENSION e')
    assert.equal(keyOf(entry('COMMENT', 'TABLE t', 'x')), 'COMMENT public.TABLE t')
  })

  test('of the database have no name of it, in key or definition', () => {
    const database = (name: string): string =>
      entry('DATABASE', name, `CREATE DATABASE ${name} WITH X;`, '-') +
      entry('DATABASE PROPERTIES', name, `ALTER DATABASE ${name} SET x TO 'y';`, '-') +
      entry('COMMENT', `DATABASE ${name}`, `COMMENT ON DATABASE ${name} IS 'shop';`, '-') +
      entry('ACL', `DATABASE ${name}`, `GRANT ALL ON DATABASE ${name} TO app;`, '-') +
      entry('SECURITY LABEL', `DATABASE ${name}`, `SECURITY LABEL ON DATABASE ${name} IS 'x';`, '-')
    const print = splitSchema(database('shop'))
    assert.deepEqual(Object.keys(print), [
      'DATABASE',
      'DATABASE PROPERTIES',
      'COMMENT DATABASE',
      'ACL DATABASE',
      'SECURITY LABEL DATABASE',
    ])
    assert.deepEqual(splitSchema(database('"odd ""name"')), print)
    assert.notDeepEqual(splitSchema(database('shop').replace("'y'", "'z'")), print)
    const connected = database('shop').replace('WITH X;', 'WITH X;\n\\connect shop\n\\restrict abc')
    assert.deepEqual(splitSchema(connected), print)
  })

  test('of other things keep their names', () => {
    const of = (name: string): string =>
      hashOf(entry('FUNCTION', 'f()', `CREATE FUNCTION f AS 'DROP DATABASE ${name}';`))
    assert.notEqual(of('a'), of('b'))
    assert.notEqual(
      hashOf(entry('TABLE', 't', 'x\n\\connect a')),
      hashOf(entry('TABLE', 't', 'x\n\\connect b')),
    )
    assert.equal(
      keyOf(entry('COMMENT', 'DATABASES', 'x', '-')),
      'COMMENT DATABASES',
      'and none is taken for the database',
    )
    assert.equal(keyOf(entry('TABLE', 'DATABASE x', 'x')), 'TABLE public.DATABASE x')
  })
})

describe('the hash of an entry', () => {
  const table = (body: string, name = 't'): string => entry('TABLE', name, body)

  test('is of 32 digits, and of 8 for its owner', () => {
    assert.match(hashOf(table('CREATE TABLE t ();')), /^[0-9a-f]{32}$/)
    assert.match(hashOf(view('app')), /^[0-9a-f]{32}:[0-9a-f]{8}$/)
  })

  test('is of its definition, and apart from it of its owner', () => {
    const [app, other] = [hashOf(view('app')), hashOf(view('"other ""role"'))]
    assert.notEqual(app, other)
    assert.equal(definitionOf(app), definitionOf(other))
    assert.equal(definitionOf(app), definitionOf(hashOf(view('app').replace(/\n+ALTER.*;/, ''))))
    assert.notEqual(definitionOf(app), definitionOf(hashOf(view('app').replace('SELECT 1', ''))))
    const short = entry('VIEW', 'v', 'CREATE VIEW v;\nALTER VIEW v OWNER TO app;')
    assert.equal(definitionOf(hashOf(short)), hashOf(entry('VIEW', 'v', 'CREATE VIEW v;')))
    assert.equal(ownerLine.exec('ALTER VIEW v OWNER TO app;')?.[2], 'app')
  })

  test('does not depend on what pg_dump writes between entries', () => {
    const plain = hashOf(table('CREATE TABLE t ();'))
    const tails = [
      "SET default_tablespace = '';\n\nSET default_with_oids = false;",
      '--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc',
      '\\restrict abc',
    ]
    for (const tail of tails) assert.equal(hashOf(table(`CREATE TABLE t ();\n\n${tail}\n`)), plain)
    assert.notEqual(hashOf(table('CREATE TABLE t ();\n\nSET other = 1;')), plain)
    assert.deepEqual(withoutTail(['', '--']), [])
    assert.deepEqual(withoutTail(['a', '', 'b', '', '--']), ['a', '', 'b'])
  })

  test('is one of each, sorted, for entries with one header', () => {
    const [a, b] = [view('app'), view('app').replace('SELECT 1', 'SELECT 2')]
    const both = hashOf(a + b)
    assert.equal(both, hashOf(b + a))
    assert.deepEqual(both.split(','), [hashOf(a), hashOf(b)].sort())
    const [swapped] = [hashOf(a + b.replace('TO app', 'TO zed'))]
    assert.notEqual(swapped, both)
    assert.equal(definitionOf(swapped), definitionOf(both))
  })

  test('has the access method that a setting before the entry names', () => {
    const set = (method: string): string =>
      `SET default_table_access_method = ${method};\n\n${table('CREATE TABLE t ();')}`
    const after = (method: string, body: string, type = 'TABLE'): string | undefined =>
      splitSchema(
        entry('SCHEMA', 's', `CREATE SCHEMA s;\n\nSET default_table_access_method = ${method};`) +
          entry(type, 't', body),
      )[`${type} public.t`]
    const [body, parted] = ['CREATE TABLE t ();', 'CREATE TABLE t ()\nPARTITION BY RANGE (a);']
    assert.equal(after('heap', body), hashOf(table(body)))
    assert.notEqual(after('columnar', body), hashOf(table(body)))
    assert.notEqual(after('columnar', body), after('other', body))
    assert.equal(after('columnar', parted), hashOf(table(parted)), 'it states its own')
    assert.notEqual(
      after('columnar', body, 'MATERIALIZED VIEW'),
      hashOf(entry('MATERIALIZED VIEW', 't', body)),
    )
    assert.equal(after('columnar', body, 'VIEW'), hashOf(entry('VIEW', 't', body)))
    assert.equal(hashOf(set('columnar')), hashOf(table(body)), 'before the first entry')
    const between = entry('INDEX', 'i', 'CREATE INDEX i;\n\nSET default_tablespace = x;')
    const kept = splitSchema(
      entry('SCHEMA', 's', 'CREATE SCHEMA s;\n\nSET default_table_access_method = columnar;') +
        between +
        table(body),
    )
    assert.equal(kept['TABLE public.t'], after('columnar', body), 'it applies until the next')
  })

  test('hides secrets, and nothing else, of user mappings and subscriptions', () => {
    for (const type of ['USER MAPPING', 'SUBSCRIPTION']) {
      const of = (secret: string, server = 's'): string =>
        hashOf(entry(type, 'x', `CREATE x SERVER ${server} OPTIONS (password '${secret}');`, '-'))
      assert.equal(of('one'), of("it''s another"))
      assert.notEqual(of('one'), of('one', 'other'))
    }
    const of = (text: string): string => hashOf(entry('VIEW', 'v', `SELECT '${text}';`))
    assert.notEqual(of('a'), of('b'))
  })

  test('does not depend on the order of an inheritance child’s columns', () => {
    const child = (first: string, second: string, rest = 'INHERITS (public.p);'): string =>
      hashOf(table(`CREATE TABLE public.t (\n    ${first},\n    ${second}\n)\n${rest}`))
    assert.equal(child('a int', 'b int'), child('b int', 'a int'))
    assert.notEqual(child('a int', 'b int'), child('a int', 'c int'))
    assert.notEqual(child('a int', 'b int', ';'), child('b int', 'a int', ';'))
    const other = (first: string, second: string): string =>
      hashOf(entry('FUNCTION', 'f', `${first}\n${second}\nINHERITS (p)`))
    assert.notEqual(other('a', 'b'), other('b', 'a'))
  })

  test('does not depend on the order of a policy’s roles', () => {
    const policy = (roles: string, rest = ' USING (true);', type = 'POLICY'): string =>
      hashOf(entry(type, 't p', `CREATE POLICY p ON public.t FOR SELECT TO ${roles}${rest}`))
    for (const rest of [' USING (true);', ' WITH CHECK (a > 1);', ';'])
      assert.equal(policy('app, "b, c", zed', rest), policy('zed, app, "b, c"', rest))
    assert.notEqual(policy('app, zed'), policy('app, zoe'))
    assert.notEqual(policy('app, zed', ';', 'RULE'), policy('zed, app', ';', 'RULE'))
  })
})

test('two prints have added, removed and changed entries, each in order', () => {
  const before: SchemaPrint = { b: '1', a: '1', d: '1', c: '1', same: '1' }
  const after: SchemaPrint = { same: '1', d: '2', c: '2', z: '1', y: '1' }
  assert.deepEqual(compareSchemaPrints(before, after), {
    added: ['y', 'z'],
    removed: ['a', 'b'],
    changed: ['c', 'd'],
  })
  assert.deepEqual(compareSchemaPrints(before, before), { added: [], removed: [], changed: [] })
})

test('pg_dump writes UTF-8, unless there is nothing to convert', () => {
  assert.deepEqual(encodingArguments('LATIN1'), ['--encoding=UTF8'])
  assert.deepEqual(encodingArguments('UTF8'), [])
  assert.deepEqual(encodingArguments('SQL_ASCII'), [])
})
