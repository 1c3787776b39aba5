import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { UserError } from '../../src/errors.ts'
import { inCode, lexLine, type LexerState } from '../../src/formats/plain-sql-lexer.ts'
import { type DumpFacts, emptyDumpFacts, plainSqlReader } from '../../src/formats/plain-sql.ts'

/**
 * What the lexer says of an SQL text, line by line. `ends` is where the text ends: `code`,
 * `comment 2` (its depth), `E string`, or the mark that would close the quote. `command` is the
 * number of the first line with a psql command.
 */
function lex(sql: string): { code: string; ends: string; command?: number } {
  const codes: string[] = []
  let state: LexerState = inCode
  for (const [index, line] of sql.split('\n').entries()) {
    const lexed = lexLine(Buffer.from(line).toString('latin1'), state)
    codes.push(lexed.code)
    state = lexed.state
    if (lexed.psqlCommand)
      return { code: codes.join('\n'), ends: nameOf(state), command: index + 1 }
  }
  return { code: codes.join('\n'), ends: nameOf(state) }
}

function nameOf(state: LexerState): string {
  switch (state.kind) {
    case 'code':
      return 'code'
    case 'block-comment':
      return `comment ${state.depth}`
    case 'escape-string':
      return 'E string'
    case 'quoted':
      return state.until
  }
}

type Case = [sql: string, code: string, ends: string]

/** Whole texts without a psql command: their code, and where they end. */
const cases: Record<string, Case[]> = {
  'a line comment ends at the end of its line': [
    ["a -- it's \\! $$ /*", 'a ', 'code'],
    ['a --\nb', 'a \nb', 'code'],
    ['a - - b', 'a - - b', 'code'],
    ['a -b', 'a -b', 'code'],
    ['a ---- b\nc', 'a \nc', 'code'],
  ],
  'a carriage return ends a line comment': [
    ["-- c\ra 'b", "\ra '", "'"],
    ['-- c\r/* d', '\r ', 'comment 1'],
    ['-- c\r-- d\re', '\r\re', 'code'],
  ],
  'a block comment nests and goes on over lines': [
    ["a /* it's \\! -- $$ */ b", 'a   b', 'code'],
    ['a /* b', 'a  ', 'comment 1'],
    ['/* a /* b', ' ', 'comment 2'],
    ['/* a /* b */ c', ' ', 'comment 1'],
    ['/* a /* b */ c */ d', '  d', 'code'],
    ['/* a\n/* b\n*/ c\n*/ d', ' \n\n\n d', 'code'],
    ['/*/ a', ' ', 'comment 1'],
    ['/**/ a', '  a', 'code'],
    ['/*/**/*/ a', '  a', 'code'],
    ['a / * b', 'a / * b', 'code'],
    ['a */ b', 'a */ b', 'code'],
  ],
  'a string ends at its next quote, and a doubled quote is part of it': [
    ["a 'b' c", "a ' c", 'code'],
    ["a 'b", "a '", "'"],
    ["a 'b''c", "a ''", "'"],
    ["a 'b''c' d", "a '' d", 'code'],
    ["'' a", "' a", 'code'],
    ["'a\nb' c", "'\n c", 'code'],
    ["'/* -- $$ \" ' a", "' a", 'code'],
  ],
  'a plain string has no backslash escapes': [
    ["'a\\' b", "' b", 'code'],
    ["'\\\\' b", "' b", 'code'],
    ["'a\\'' b", "''", "'"],
    ["U&'\\0041' b", "U&' b", 'code'],
  ],
  'an E string has backslash escapes': [
    ["E'a\\'b' c", "E' c", 'code'],
    ["e'a\\'b' c", "e' c", 'code'],
    ["E'a\\\\' b", "E' b", 'code'],
    ["E'a\\'", "E'", 'E string'],
    ["E'a''b' c", "E' c", 'code'],
    ["E'a''", "E'", 'E string'],
    ["E'a\\\nb' c", "E'\n c", 'code'],
    ["(E'\\'' )", "(E' )", 'code'],
    ["a=E'\\'' b", "a=E' b", 'code'],
    ["$E'\\'' b", "$E' b", 'code'],
    ["1.5,.5+E'\\'' b", "1.5,.5+E' b", 'code'],
  ],
  'an E string goes on in the next quote after a carriage return': [
    ["E'a'\r'\\' ' b", "E' b", 'code'],
    ["E'a' -- c\r'\\' ' b", "E' b", 'code'],
    ["E'a' \r -- c\r\r '\\'", "E'", 'E string'],
    ["E'a' '\\' b", "E' ' b", 'code'],
    ["E'a'\n'\\' b", "E'\n' b", 'code'],
    ["E'a' /* c */ \r '\\' b", "E'   \r ' b", 'code'],
    ["'a'\r'\\' b", "'\r' b", 'code'],
  ],
  'a quote after a name that ends with e begins a plain string': [
    ["date'a\\' b", "date' b", 'code'],
    ["_e'a\\' b", "_e' b", 'code'],
    ["ée'a\\' b", "\xc3\xa9e' b", 'code'],
    ["E 'a\\' b", "E ' b", 'code'],
    [":E'a\\' b", ":E' b", 'code'],
  ],
  'a quoted identifier ends at its next double quote': [
    ['a "b" c', 'a " c', 'code'],
    ['"a\'b" c', '" c', 'code'],
    ['"a""b" c', '"" c', 'code'],
    ['"a\\" b', '" b', 'code'],
    ['"a\nb', '"\n', '"'],
    ['"$$ -- /*" a', '" a', 'code'],
  ],
  'a dollar quote ends at the same mark': [
    ["a $$ it's \\! /* -- $$ b", 'a   b', 'code'],
    ['$$ a', ' ', '$$'],
    ['$a$ b $$ c $b$ d', ' ', '$a$'],
    ['$a$ b $A$', ' ', '$a$'],
    ['$a$ b $a$ c', '  c', 'code'],
    ['$_1$ a $_1$ b', '  b', 'code'],
    ['$é$ a $é$ b', '  b', 'code'],
    ['$$a\nb$$ c', ' \n c', 'code'],
    ["$$a$$$$ ' $$ b", '   b', 'code'],
    ["1$$ ' $$ b", '1  b', 'code'],
    ["$1$$ ' $$ b", '$1  b', 'code'],
    ["1.5$$ ' $$ b", '1.5  b', 'code'],
    ["'a'$$ ' $$ b", "'  b", 'code'],
    [":a$$ ' $$ b", ':a  b', 'code'],
    ["::a$$ ' b", "::a$$ '", "'"],
    [":::a$$ ' $$ b", ':::a  b', 'code'],
  ],
  'a dollar sign that opens no quote is code': [
    ['$1 $2', '$1 $2', 'code'],
    ['$1$ a', '$1$ a', 'code'],
    ['$1a$ b', '$1a$ b', 'code'],
    ['$', '$', 'code'],
    ['a$b$ c', 'a$b$ c', 'code'],
    ['a$$ b', 'a$$ b', 'code'],
    ['a1$$ b', 'a1$$ b', 'code'],
    ['1a$$ b', '1a$$ b', 'code'],
    ['1_0$$ b', '1_0$$ b', 'code'],
    ['é$$ b', '\xc3\xa9$$ b', 'code'],
    ['$-$ a', '$-$ a', 'code'],
  ],
}

for (const [title, inputs] of Object.entries(cases)) {
  test(title, () => {
    for (const [sql, code, ends] of inputs) assert.deepEqual(lex(sql), { code, ends }, sql)
  })
}

test('a backslash in code is a psql command, wherever a quote or comment ended before it', () => {
  const commands: [sql: string, line: number][] = [
    ['\\! id', 1],
    ['a \\gexec', 1],
    ['  \\copy t from x', 1],
    ["'a' \\!", 1],
    ["'a\\' \\!", 1],
    ["E'\\\\' \\!", 1],
    ["date'a\\' \\!", 1],
    ['"a" \\!', 1],
    ['/* a */ \\!', 1],
    ['/* /* a */ */ \\!', 1],
    ['$$ a $$ \\!', 1],
    ['a$$ \\! $$', 1],
    ['$1$ \\! $1$', 1],
    ['-- a\r\\!', 1],
    ["$$a$$$$ ' $$ \\! '", 1],
    ["1$$ ' $$ \\! '", 1],
    ["$1$$ ' $$ \\! '", 1],
    [":a$$ ' $$ \\! '", 1],
    [":e'\\' \\! '", 1],
    ["$e'\\' ' \\! '", 1],
    ["E'a'\r'\\' ' \\! '", 1],
    ["E'a' -- c\r'\\' ' \\! '", 1],
    ["E'a' \r -- c\r\r '\\' ' \\! '", 1],
    ["'a\n' \\!", 2],
    ['/* a\nb */ c\n\\!', 3],
    ['$a$\n$b$\n$a$ \\!', 3],
  ]
  for (const [sql, line] of commands) assert.equal(lex(sql).command, line, sql)
})

test('a backslash in a quote or a comment is no psql command', () => {
  const texts = [
    "'\\!'",
    '"\\!"',
    "E'\\!'",
    "E'\\'\\!'",
    '$$ \\! $$',
    '$a$ $$ \\! $a$',
    '-- \\!',
    '/* \\! */',
    '/* /* */ \\! */',
    "'\n\\!\n'",
    '$$\n\\!\n$$',
    '/*\n\\!\n*/',
  ]
  for (const sql of texts) assert.equal(lex(sql).command, undefined, sql)
})

test('a text that versions of psql read differently counts as a psql command', () => {
  for (const sql of ["1e'\\'", "1.5E'a'", "$1e'a'", "1_ae'a'", ".5e'a'"])
    assert.equal(lex(sql).command, 1, sql)
  for (const sql of ["1e5 'a'", "1 e'a'", "1a'a'", "e1'a'"])
    assert.equal(lex(sql).command, undefined, sql)
})

test('a long line is read in a time that grows with its length', () => {
  const parts = ["E'a' -- ", "E'a' \r", '-- ', '$a', '/*', "e'", '1.', '$1a']
  for (const part of parts) {
    const started = performance.now()
    lexLine(part.repeat(20_000), inCode)
    assert.ok(performance.now() - started < 2000, part)
  }
})

/** What the reader passes on of a dump, and what it noted. The text arrives in pieces of `size`. */
async function read(
  text: string,
  { forPsql = true, size = 7 } = {},
): Promise<{ passed: string; facts: DumpFacts }> {
  const facts = emptyDumpFacts()
  const whole = Buffer.from(text)
  const pieces: Buffer[] = []
  for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size))
  const passed: Buffer[] = []
  for await (const line of Readable.from(pieces).compose(plainSqlReader(facts, { forPsql })))
    passed.push(line as Buffer)
  return { passed: Buffer.concat(passed).toString(), facts }
}

function refused(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError, String(error))
    assert.equal(error.code, 'file-refused')
    assert.match(error.message, message)
    return true
  }
}

describe('the reader of a plain dump', () => {
  test('passes every other line on byte for byte, whatever the pieces it arrives in', async () => {
    const dump =
      "SELECT 'é\\', E'\\'';\r\n\nCREATE FUNCTION f() AS $$\n\\! id\n$$;\nCOPY t FROM stdin;\n" +
      "1\t\\N\n\\! id\n'\n\\.\nSELECT 1; -- no line end"
    for (const size of [1, 2, 3, 5, 8, 1000])
      assert.equal((await read(dump, { size })).passed, dump, `pieces of ${size}`)
  })

  test('leaves out what concerns the database itself and the restricted mode of psql', async () => {
    for (const line of [
      '\\restrict abc',
      '\\unrestrict abc',
      '\\connect shop',
      '\\connect -reuse-previous=on "dbname=\'shop\'"',
      "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8';",
      'ALTER DATABASE shop OWNER TO bob;',
      'DROP DATABASE shop;',
      "COMMENT ON DATABASE shop IS 'x';",
      'GRANT CONNECT ON DATABASE shop TO bob;',
      'REVOKE ALL ON DATABASE shop FROM PUBLIC;',
    ]) {
      assert.equal((await read(`SELECT 1;\n${line}\nSELECT 2;\n`)).passed, 'SELECT 1;\nSELECT 2;\n')
      assert.equal((await read(`${line}\r\nSELECT 2;\n`)).passed, 'SELECT 2;\n')
    }
  })

  test('keeps such lines inside a statement, a string, a comment, a body and COPY rows', async () => {
    for (const text of [
      "SELECT '\n\\restrict a\n\\connect b\n';\n",
      '/*\n\\restrict a\n*/\n',
      'CREATE FUNCTION f() AS $$\nDROP DATABASE x;\n$$;\n',
      'COPY t FROM stdin;\n\\restrict a\nDROP DATABASE x;\n\\.\n',
      'CREATE RULE r AS ON INSERT TO t DO\nDROP DATABASE x;\n',
    ])
      assert.equal((await read(text)).passed, text)
    await assert.rejects(read('SELECT 1\n\\restrict a\n'), refused(/\\restrict a/))
  })

  test('refuses every other psql command outside rows, strings, comments and bodies', async () => {
    for (const text of [
      '\\! id',
      '\\restricted x',
      '  \\restrict x',
      '\\copy t from x',
      'SELECT 1 \\gexec\n',
      "SELECT 'a\\'; \\! id\n",
      '-- a\r\\! id\n',
      "SELECT 1;\n\\! id'\n",
      '$$ $$ \\! id\n',
      'COPY t FROM stdin;\n\\.\n\\! id\n',
      'COPY t FROM stdin;\r\n\\.\r\n\\! id\n',
    ])
      for (const forPsql of [true, false])
        await assert.rejects(read(text, { forPsql }), refused(/command for psql itself/), text)
  })

  test('reads COPY rows up to their end mark, and only after one statement alone', async () => {
    for (const copy of [
      'COPY t FROM stdin;',
      'COPY public.t (a, b) FROM stdin;',
      'copy t from stdin;',
      'COPY "a b" (a) FROM stdin WITH (FORMAT csv);',
      'COPY t FROM stdin (FORMAT csv);',
      'COPY t\n(a)\nFROM stdin;',
      'COPY t FROM stdin; -- rows follow',
    ])
      assert.equal((await read(`${copy}\n\\! id\n\\.\n`)).passed, `${copy}\n\\! id\n\\.\n`)
    for (const other of [
      'SELECT 1; COPY t FROM stdin;',
      'COPY t FROM stdin; SELECT 1;',
      "COPY t FROM '/tmp/stdin';",
      'COPY t TO stdout;',
      "SELECT 'COPY t FROM stdin;';",
      '-- COPY t FROM stdin;',
      '/* COPY t FROM stdin; */',
      'COPY t FROM stdin; /*\n*/',
    ])
      await assert.rejects(read(`${other}\n\\! id\n\\.\n`), refused(/\\! id/), other)
  })

  test('refuses to have standard_conforming_strings changed, where psql reads on', async () => {
    const own = 'SET standard_conforming_strings = on;\n-- standard_conforming_strings\n'
    assert.equal((await read(own)).passed, own)
    for (const text of [
      'SET standard_conforming_strings = off;\n',
      'set STANDARD_conforming_strings to off;\n',
      "SELECT set_config('standard_conforming_strings', 'off', false);\n",
      'SET standard_conforming_strings = on; SELECT 1;\n',
      '/* standard_conforming_strings */\n',
      '-- a\rSET standard_conforming_strings = off;\n',
      'SET\nstandard_conforming_strings = off;\n',
    ]) {
      await assert.rejects(read(text), refused(/names standard_conforming_strings/), text)
      assert.equal((await read(text, { forPsql: false })).passed, text)
    }
    // rows may hold the name
    const rows = 'COPY t FROM stdin;\nSET standard_conforming_strings = off;\n\\.\n'
    assert.equal((await read(rows)).passed, rows)
  })

  test('notes versions, roles, extensions, subscriptions and the last line', async () => {
    const { facts } = await read(
      [
        '-- Dumped from database version 16.3 (Debian 16.3-1)',
        '-- Dumped by pg_dump version 17.2',
        'CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;',
        'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;',
        'CREATE EXTENSION hstore;',
        'ALTER TABLE public.t OWNER TO owner;',
        'ALTER TABLE public."x y" OWNER TO "the ""owner""";',
        'GRANT SELECT ON TABLE public.t TO reader WITH GRANT OPTION;',
        'GRANT SELECT ON TABLE public.t TO PUBLIC;',
        'GRANT SELECT ON TABLE public.t TO pg_monitor;',
        'REVOKE ALL ON TABLE public.t FROM "été";',
        'ALTER DEFAULT PRIVILEGES FOR ROLE maker GRANT SELECT ON TABLES TO taker;',
        'CREATE POLICY p ON public.t TO first, "second one" USING (true);',
        'CREATE USER MAPPING FOR mapped SERVER s;',
        "SELECT 'ALTER TABLE t OWNER TO nobody';",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);",
        '-- PostgreSQL database dump complete',
        '',
      ].join('\n'),
    )
    assert.equal(facts.server, '16.3')
    assert.equal(facts.client, '17.2')
    assert.deepEqual([...facts.extensions], ['uuid-ossp', 'hstore'])
    assert.deepEqual(
      [...facts.roles].sort(),
      ['first', 'maker', 'mapped', 'owner', 'reader', 'second one', 'taker']
        .concat('the "owner"', 'été')
        .sort(),
    )
    assert.equal(facts.subscriptions, true)
    assert.equal(facts.complete, true)
  })

  test('notes nothing that stands in rows, strings or bodies', async () => {
    const lines =
      '-- Dumped from database version 9.9\nALTER TABLE t OWNER TO bob;\n' +
      'CREATE EXTENSION h;\nCREATE SUBSCRIPTION s;\n-- PostgreSQL database dump complete\n'
    for (const text of [
      `COPY t FROM stdin;\n${lines}\\.\n`,
      `SELECT '\n${lines}';\n`,
      `CREATE FUNCTION f() AS $$\n${lines}$$;\n`,
      `/*\n${lines}*/\n`,
    ])
      assert.deepEqual((await read(text)).facts, emptyDumpFacts(), text)
  })
})
