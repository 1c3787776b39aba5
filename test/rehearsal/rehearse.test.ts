import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { describe, test } from 'node:test'
import {
  rehearse,
  type RehearsalResult,
  type RehearseOptions,
} from '../../src/rehearsal/rehearse.ts'
import { migrationEnvironment } from '../../src/github/environment.ts'
import { newStore, temporaryFolder } from '../support/copies.ts'
import { startOwnServer } from '../support/own-server.ts'
import { quietWork } from '../support/start-servers.ts'

/**
 * What a rehearsal finds, by real migrations on a real copy; and what it must not take for a loss.
 */
const production = `
  SELECT lo_from_bytea(4712, '\\x0102'); CREATE SEQUENCE counter; SELECT setval('counter', 7);
  CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, nickname text,
    code varchar(20), fixed char(10), born timestamptz, unused int);
  INSERT INTO people SELECT g, 'name ' || g, CASE WHEN g % 2 = 0 THEN 'nick ' || g END, 'code-' || g, 'f' || g,
    timestamptz '2026-01-01 12:00+00' + g * interval '1 day' FROM generate_series(1, 1000) g;
  CREATE TABLE prices (id int PRIMARY KEY, amount numeric(10, 2), whole numeric(10, 2),
    entry numeric(10, 2), weight float8);
  INSERT INTO prices SELECT g, g + 0.25, g, CASE WHEN g % 2 = 0 THEN 10.50 ELSE -10.50 END, g / 10.0
    FROM generate_series(1, 100) g;
  CREATE TABLE events (id int NOT NULL, year int NOT NULL, kind text);
  INSERT INTO events SELECT g, 2020 + g % 5, CASE WHEN g % 4 <> 0 THEN 'kind ' || g END FROM generate_series(1, 400) g;
  CREATE TABLE parts (id int NOT NULL, year int NOT NULL) PARTITION BY LIST (year);
  CREATE TABLE parts_2020 PARTITION OF parts FOR VALUES IN (2020);
  CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
  INSERT INTO parts SELECT g, 2020 + g % 5 FROM generate_series(1, 100) g;
  CREATE TABLE nothing (a int); CREATE TABLE named_of (name text); CREATE VIEW named AS SELECT name FROM named_of;
  CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER neighbour FOREIGN DATA WRAPPER elsewhere;
  CREATE USER MAPPING FOR PUBLIC SERVER neighbour OPTIONS (password 'of-the-neighbour');
  CREATE USER MAPPING FOR holdfast SERVER neighbour OPTIONS (password 'of-the-neighbour')`

const server = await startOwnServer()
const store = await newStore()
await server.create('production', production)
await store.backup(server.to('production'))

async function rehearsed(
  command: string,
  options: Partial<RehearseOptions> = {},
): Promise<RehearsalResult> {
  const result = await rehearse(
    {
      ...store.reading,
      scratch: { ...server.to('postgres'), input: 'scratch-url' },
      command,
      workingDirectory: temporaryFolder(),
      timeout: 60_000,
      environment: migrationEnvironment(process.env),
      ...options,
    },
    quietWork(),
  )
  assert.deepEqual(await server.databases(), ['postgres', 'production'], 'the copy is gone')
  return result
}

const sql = (text: string): string => `psql -qX -v ON_ERROR_STOP=1 <<'SQL'\n${text}\nSQL`
/** `code object lost`, without what every rewrite brings with it. */
const short = (result: RehearsalResult): string[] =>
  result.findings.map(
    ({ code, object, lost }) => `${code} ${object}${lost === undefined ? '' : ` ${lost}`}`,
  )

/**
 * A migration in SQL, and all that is to be found, errors first. The verdict is fail exactly if
 * something is lost.
 */
const cases: Record<string, [migration: string, findings: string[]]> = {
  nothing: ['SELECT 1', []],
  'a table dropped, with its values': ['DROP TABLE events', ['table-dropped public.events 1100']],
  'an empty table dropped': ['DROP TABLE nothing', ['table-dropped public.nothing']],
  'a column dropped, with its values': [
    'ALTER TABLE people DROP COLUMN nickname',
    ['column-dropped public.people.nickname 500'],
  ],
  'an empty column dropped': [
    'ALTER TABLE people DROP COLUMN unused',
    ['column-dropped public.people.unused'],
  ],
  'a leaf dropped': ['DROP TABLE parts_2020', ['table-dropped public.parts_2020 40']],
  'rows deleted': ['DELETE FROM people WHERE id <= 10', ['rows-deleted public.people 10']],
  'a table emptied': ['TRUNCATE people', ['rows-deleted public.people 1000']],
  'values emptied': [
    `UPDATE people SET nickname = NULL WHERE id <= 100`,
    ['values-emptied public.people.nickname 50'],
  ],
  'values emptied while rows came': [
    `UPDATE people SET nickname = NULL WHERE id <= 100;
     INSERT INTO people (id, name) SELECT g, 'new' FROM generate_series(1001, 1500) g`,
    ['values-emptied public.people.nickname 50'],
  ],
  'values emptied while rows went': [
    `UPDATE people SET code = NULL WHERE id <= 100; DELETE FROM people WHERE id > 995`,
    ['rows-deleted public.people 5', 'values-emptied public.people.code 100'],
  ],
  'numbers rounded': [
    'ALTER TABLE prices ALTER amount TYPE int',
    ['values-changed public.prices.amount 100', 'table-rewritten public.prices'],
  ],
  'numbers rounded so that their sum stays': [
    'ALTER TABLE prices ALTER entry TYPE int',
    ['values-changed public.prices.entry 100', 'table-rewritten public.prices'],
  ],
  'fewer digits after the point': [
    'ALTER TABLE prices ALTER amount TYPE numeric(10, 1)',
    ['values-changed public.prices.amount 100', 'table-rewritten public.prices'],
  ],
  'texts cut': [
    'ALTER TABLE people ALTER code TYPE varchar(6) USING left(code, 6)',
    ['values-shortened public.people.code 1000', 'table-rewritten public.people'],
  ],
  'a table replaced by a partitioned one that lacks a row': [
    partitioned('WHERE id <> 7'),
    ['table-dropped public.events 1100'],
  ],
  'a table replaced by one in which a value is another': [
    `CREATE TABLE new AS SELECT id, year, CASE WHEN id = 7 THEN 'x' ELSE kind END AS kind FROM events;
     DROP TABLE events; ALTER TABLE new RENAME TO events`,
    ['table-dropped public.events 1100'],
  ],
  'a table replaced by one that lacks a column': [
    'CREATE TABLE new AS SELECT id, year FROM events; DROP TABLE events; ALTER TABLE new RENAME TO events',
    ['table-dropped public.events 1100'],
  ],
  'a leaf from which a row was not moved': [
    'ALTER TABLE parts DETACH PARTITION parts_2020; ' +
      'INSERT INTO parts SELECT * FROM parts_2020 OFFSET 1; DROP TABLE parts_2020',
    ['table-dropped public.parts_2020 40'],
  ],

  'a table replaced by a partitioned one with the same rows': [
    partitioned(''),
    ['table-replaced public.events'],
  ],
  'a table replaced by one of the same rows in another order': [
    'CREATE TABLE new AS SELECT kind, year::bigint, id FROM events ORDER BY kind; ' +
      'DROP TABLE events; ALTER TABLE new RENAME TO events',
    ['table-replaced public.events'],
  ],
  'a leaf whose rows were moved to another one': [
    'ALTER TABLE parts DETACH PARTITION parts_2020; ' +
      'INSERT INTO parts SELECT * FROM parts_2020; DROP TABLE parts_2020',
    ['table-replaced public.parts_2020'],
  ],
  'rows moved out of the default leaf': [
    'CREATE TABLE parts_2021 (LIKE parts); ' +
      'WITH moved AS (DELETE FROM parts_rest WHERE year = 2021 RETURNING *) ' +
      'INSERT INTO parts_2021 SELECT * FROM moved; ' +
      'ALTER TABLE parts ATTACH PARTITION parts_2021 FOR VALUES IN (2021)',
    [],
  ],
  renames: [
    'ALTER TABLE people RENAME COLUMN nickname TO nick; ALTER TABLE people RENAME TO persons; ' +
      'CREATE SCHEMA crm; ALTER TABLE persons SET SCHEMA crm',
    [],
  ],
  'a column and an index added': [
    `ALTER TABLE people ADD COLUMN note text DEFAULT 'x'; CREATE INDEX ON people (note)`,
    [],
  ],
  'rows added': [`INSERT INTO people (id, name) VALUES (1001, 'x')`, []],
  'a wider number': ['ALTER TABLE people ALTER id TYPE bigint', ['table-rewritten public.people']],
  'whole numbers that only looked otherwise': [
    'ALTER TABLE prices ALTER whole TYPE int',
    ['table-rewritten public.prices'],
  ],
  'a wider text': ['ALTER TABLE people ALTER code TYPE text', []],
  'a fixed text to one that is not padded': [
    'ALTER TABLE people ALTER fixed TYPE text',
    ['table-rewritten public.people'],
  ],
  'values updated': [`UPDATE people SET name = upper(name)`, ['values-updated public.people.name']],
  'a time that becomes a date': [
    'ALTER TABLE people ALTER born TYPE date',
    ['table-rewritten public.people', 'values-rewritten public.people.born'],
  ],
  'a type changed while rows came': [
    'ALTER TABLE prices ALTER amount TYPE int; INSERT INTO prices (id) VALUES (101)',
    ['table-rewritten public.prices', 'values-unchecked public.prices.amount'],
  ],
  'a large object removed': ['SELECT lo_unlink(4712)', ['large-objects-removed large objects 1']],
  'a sequence set back': [`SELECT setval('counter', 3)`, ['sequence-moved-back public.counter']],
  'a view dropped': ['DROP VIEW named', ['view-dropped public.named']],
  'a table rewritten in place': ['VACUUM FULL people', ['table-rewritten public.people']],
}

function partitioned(where: string): string {
  return `ALTER TABLE events RENAME TO events_old;
    CREATE TABLE events (id int NOT NULL, year int NOT NULL, kind text) PARTITION BY RANGE (year);
    CREATE TABLE events_early PARTITION OF events FOR VALUES FROM (2000) TO (2022);
    CREATE TABLE events_late PARTITION OF events FOR VALUES FROM (2022) TO (2100);
    INSERT INTO events SELECT * FROM events_old ${where}; DROP TABLE events_old`
}

describe('a migration, and what is found', () => {
  for (const [what, [migration, expected]] of Object.entries(cases))
    test(what, async () => {
      const result = await rehearsed(sql(migration))
      assert.equal(result.exitCode, 0, result.output)
      assert.deepEqual(short(result), expected)
      const losses = result.findings.filter(({ lost }) => lost !== undefined)
      assert.ok(
        losses.every(
          ({ severity, lost, evidence }) =>
            severity === 'error' && evidence.includes((lost ?? 0).toLocaleString('en-US')),
        ),
        'a loss is an error, and tells its figure',
      )
      assert.equal(result.verdict, losses.length ? 'fail' : 'pass')
    })

  test('the report has the tables, the rows and the schema before and after', async () => {
    const result = await rehearsed(
      sql(
        'DROP TABLE events; ALTER TABLE people RENAME TO persons; CREATE TABLE fresh (a int); ' +
          'INSERT INTO fresh VALUES (1), (2); ALTER TABLE persons ADD COLUMN note text',
      ),
    )
    const tables = result.tables.map(
      ({ table, was, change, rowsBefore, rowsAfter, rewritten }) => ({
        table,
        was,
        change,
        rowsBefore,
        rowsAfter,
        rewritten,
      }),
    )
    assert.deepEqual(
      tables.sort((a, b) => a.table.localeCompare(b.table)),
      [
        {
          table: 'public.events',
          was: undefined,
          change: 'dropped',
          rowsBefore: 400,
          rowsAfter: undefined,
          rewritten: false,
        },
        {
          table: 'public.fresh',
          was: undefined,
          change: 'created',
          rowsBefore: undefined,
          rowsAfter: 2,
          rewritten: false,
        },
        {
          table: 'public.persons',
          was: 'public.people',
          change: 'changed',
          rowsBefore: 1000,
          rowsAfter: 1000,
          rewritten: false,
        },
      ],
    )
    assert.deepEqual(result.rows, { before: 1600, after: 1202 })
    assert.ok(
      result.schema.added.includes('TABLE public.fresh') &&
        result.schema.removed.includes('TABLE public.events'),
      JSON.stringify(result.schema),
    )
    assert.ok(
      result.timings.migration > 0 &&
        result.timings.total >= result.timings.restore + result.timings.migration,
    )
  })
})

describe('the command', () => {
  test('that fails within a pipe, or in the middle, fails', async () => {
    for (const [command, code] of [
      ['false | cat', 1],
      ['(exit 7) | tee /dev/null', 7],
      ['false; echo later', 1],
      ['psql -c "SELECT broken" | cat', 1],
    ] as const) {
      const result = await rehearsed(command)
      assert.deepEqual(
        [result.verdict, result.exitCode, result.findings.map((finding) => finding.code)],
        ['fail', code, ['migration-failed']],
        command,
      )
    }
  })

  test('that fails half way still shows what it has done', async () => {
    const result = await rehearsed(sql('DROP TABLE events; SELECT broken'))
    assert.deepEqual(short(result), [
      'migration-failed migrate-command',
      'table-dropped public.events 1100',
    ])
    assert.match(result.findings[0]?.evidence ?? '', /exit code 3; it said: .*ERROR/)
  })

  test('that is killed by a signal tells so', async () => {
    const result = await rehearsed('kill -9 $$')
    assert.match(result.findings[0]?.evidence ?? '', /signal SIGKILL/)
  })

  test('that hangs is ended at its timeout, with what it started', async () => {
    const folder = temporaryFolder()
    const from = Date.now()
    const result = await rehearsed(
      `trap '' TERM; sleep 400 & (trap '' TERM; sleep 401) & echo begun; sleep 402; sleep 403`,
      { timeout: 1500, workingDirectory: folder },
    )
    assert.deepEqual(
      [result.timedOut, result.verdict, result.findings.map(({ code }) => code), result.output],
      [true, 'fail', ['migration-timed-out'], 'begun'],
    )
    assert.ok(Date.now() - from < 12_000)
    assert.deepEqual(processesIn(folder), [])
  })

  test('may leave processes behind: they neither hold it up nor stay in its group', async () => {
    const folder = temporaryFolder()
    const from = Date.now()
    const result = await rehearsed('sleep 404 & nohup sleep 405 >/dev/null 2>&1 & echo done', {
      workingDirectory: folder,
    })
    assert.deepEqual([result.verdict, result.timedOut, result.output], ['pass', false, 'done'])
    assert.ok(Date.now() - from < 15_000)
    assert.deepEqual(processesIn(folder), [])
    // one that has left the group and still holds the output
    const held = await rehearsed('setsid sleep 20 & echo done')
    assert.deepEqual([held.verdict, held.timedOut, held.output], ['pass', false, 'done'])
    assert.ok(held.timings.migration < 5000, `${held.timings.migration} ms`)
  })

  test('is ended at its timeout although something that has left its group holds its output', async () => {
    const from = Date.now()
    const result = await rehearsed('setsid sleep 20 & sleep 21', { timeout: 1000 })
    assert.equal(result.timedOut, true)
    assert.ok(Date.now() - from < 15_000, `${Date.now() - from} ms`)
  })

  test('finds the copy, and nothing of ours, in its environment', async () => {
    const environment = migrationEnvironment({
      ...process.env,
      'INPUT_DECRYPT-WITH': 'of-the-runner',
      'INPUT_GITHUB-TOKEN': 'of-the-runner',
      STATE_held: 'of-the-runner',
      GITHUB_OUTPUT: 'of-the-runner',
      ACTIONS_RUNTIME_TOKEN: 'of-the-runner',
      PGHOST: 'production.invalid',
      PGSERVICE: 'production',
      PGPASSFILE: 'of-the-runner',
      PGSSLMODE: 'verify-full',
      DATABASE_URL: 'postgres://production.invalid/x',
      RAILS_ENV: 'test',
    })
    const result = await rehearsed(
      `env; echo "at $(psql -Atc 'SELECT current_database()') ` +
        `$(psql -X "$DATABASE_URL" -Atc 'SELECT current_database()')"; psql --version; command -v psql`,
      { environment },
    )
    assert.equal(result.exitCode, 0, result.output)
    assert.doesNotMatch(result.output, /of-the-runner|INPUT_|STATE_|production\.invalid|PGSERVICE/)
    assert.match(result.output, /^at (holdfast_scratch_[0-9a-f]{12}) \1$/m)
    assert.match(result.output, new RegExp(`^psql \\(PostgreSQL\\) ${server.version}\\b`, 'm'))
    assert.ok(result.output.endsWith(`\n${server.bindir}/psql`), result.output)
    assert.match(result.output, /^RAILS_ENV=test$/m)
    assert.match(result.output, /^PGPASSWORD=/m)
  })

  test('runs in its folder, with what it writes to both streams kept in order, the last of it', async () => {
    const folder = temporaryFolder()
    const result = await rehearsed('pwd; echo one >&2; echo two; echo "::error::three" >&2', {
      workingDirectory: folder,
    })
    assert.equal(result.output, `${folder}\none\ntwo\n::error::three`)
    const long = await rehearsed(`head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end`)
    assert.ok(long.output.length < 20_000 && long.output.endsWith('x\nend'))
    assert.match(long.output, /^\(the last/)
  })

  test('cannot reach other systems through the copy: user mappings are dropped there', async () => {
    const result = await rehearsed(`psql -Atc 'SELECT count(*) FROM pg_user_mappings'`)
    assert.equal(result.output, '0')
    assert.ok(
      result.warnings.some((warning) => /neighbour/.test(warning)),
      result.warnings.join(),
    )
    assert.deepEqual(result.findings, [])
    assert.ok(!JSON.stringify(result).includes('of-the-neighbour'))
    assert.deepEqual(
      await server.query('production', 'SELECT count(*)::int AS n FROM pg_user_mappings'),
      [{ n: 2 }],
      'and are as they were in the source',
    )
  })

  test('never touches the source', async () => {
    await rehearsed(sql('DROP TABLE people; DROP TABLE events; UPDATE prices SET amount = 0'))
    assert.deepEqual(
      await server.query(
        'production',
        'SELECT (SELECT count(*) FROM people)::int AS people, (SELECT sum(amount) FROM prices)::text AS amount',
      ),
      [{ people: 1000, amount: '5075.00' }],
    )
  })
})

/** Processes that have this folder as their own. */
function processesIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === folder
          ? [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
          : []
      } catch {
        return []
      }
    })
}
