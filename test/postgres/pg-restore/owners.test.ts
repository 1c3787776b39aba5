import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { findPrograms } from '../../../src/postgres/programs/find-programs.ts'
import { libpqEnvironment } from '../../../src/postgres/connection/connection.ts'
import { applyOwners, ownershipStatements } from '../../../src/postgres/pg-restore/owners.ts'
import type { UserError } from '../../../src/errors.ts'
import { temporaryFolder } from '../../support/copies.ts'
import { freshDatabase, query, servers } from '../../support/servers.ts'
import { quietWork } from '../../support/start-servers.ts'

const entry = (type: string, text: string): string[] =>
  ownershipStatements(
    { type, lines: text.split('\n') },
    { app: 'staging app', 'odd "role"': 'other' },
  )

test('only the role at the end of a line changes, not one in a name or a body before it', () => {
  assert.deepEqual(
    entry(
      'TABLE',
      'CREATE TABLE s."x OWNER TO app" (\n);\n\n\n' +
        'ALTER TABLE s."x OWNER TO app" OWNER TO app;\n\n' +
        "SET default_tablespace = '';\n",
    ),
    ['ALTER TABLE s."x OWNER TO app" OWNER TO "staging app"'],
  )
  assert.deepEqual(
    entry(
      'FUNCTION',
      'CREATE FUNCTION f() AS $$\nALTER TABLE t OWNER TO app;\n$$;\n\nALTER FUNCTION f() OWNER TO keeper;\n',
    ),
    ['ALTER FUNCTION f() OWNER TO keeper'],
  )
  assert.deepEqual(
    entry('FUNCTION', 'CREATE FUNCTION f() AS $$\nALTER TABLE t OWNER TO app;\n$$;\n'),
    [],
    'a line of its body is not its owner',
  )
  assert.deepEqual(
    entry(
      'ACL',
      'REVOKE ALL ON TABLE t FROM app;\n' +
        'GRANT SELECT ON TABLE t TO "odd ""role""" WITH GRANT OPTION;\n' +
        'SET SESSION AUTHORIZATION app;\n' +
        'GRANT SELECT(b) ON TABLE "a TO b" TO PUBLIC;\n' +
        'RESET SESSION AUTHORIZATION;\n',
    ),
    [
      'REVOKE ALL ON TABLE t FROM "staging app"',
      'GRANT SELECT ON TABLE t TO "other" WITH GRANT OPTION',
      'GRANT SELECT(b) ON TABLE "a TO b" TO PUBLIC',
    ],
  )
  assert.deepEqual(
    entry(
      'DEFAULT ACL',
      'ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA s GRANT SELECT ON TABLES TO "odd ""role""";\n',
    ),
    [
      'ALTER DEFAULT PRIVILEGES FOR ROLE "staging app" IN SCHEMA s GRANT SELECT ON TABLES TO "other"',
    ],
  )
})

for (const server of servers())
  test(`PostgreSQL ${server.major}: a copy gets the archive’s owners and grants, with roles replaced`, async () => {
    const roles = ['own_app', 'own "odd"', 'own_reader', 'own_new']
    for (const role of roles)
      await query(
        server,
        'postgres',
        `DO $$ BEGIN CREATE ROLE "${role.replaceAll('"', '""')}"; EXCEPTION WHEN duplicate_object THEN END $$`,
      )
    const source = await freshDatabase(server)
    await query(
      server,
      source.name,
      `
      CREATE SCHEMA s AUTHORIZATION own_app;
      CREATE TABLE s.t (a int PRIMARY KEY, b text); ALTER TABLE s.t OWNER TO own_app;
      CREATE VIEW s.v AS SELECT 1 AS x; ALTER VIEW s.v OWNER TO "own ""odd""";
      CREATE SEQUENCE s.q; ALTER SEQUENCE s.q OWNER TO own_app;
      CREATE TYPE s.mood AS ENUM ('a'); ALTER TYPE s.mood OWNER TO own_app;
      CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
      ALTER FUNCTION s.f() OWNER TO own_app; REVOKE ALL ON FUNCTION s.f() FROM PUBLIC;
      GRANT USAGE ON SCHEMA s TO own_reader, "own ""odd"""; GRANT SELECT ON s.t TO own_reader;
      GRANT SELECT (b) ON s.t TO "own ""odd""" WITH GRANT OPTION;
      ALTER DEFAULT PRIVILEGES FOR ROLE own_app IN SCHEMA s GRANT SELECT ON TABLES TO own_reader`,
    )
    const programs = await findPrograms(
      server.major,
      ['pg_restore', 'pg_dump'],
      [server.bindir],
      quietWork(),
    )
    const file = join(temporaryFolder(), 'archive')
    const run = (tool: string, args: string[], database: string): void => {
      const ran = spawnSync(join(server.bindir, tool), args, {
        env: { ...process.env, ...libpqEnvironment(server.to(database)) },
        encoding: 'utf8',
      })
      assert.equal(ran.status, 0, ran.stderr)
    }
    run('pg_dump', ['-Fc', '-f', file], source.name)
    const copy = await freshDatabase(server)
    run('pg_restore', ['--no-owner', '--no-privileges', '-d', copy.name, file], copy.name)
    await applyOwners(programs, server.to(copy.name), file, { own_app: 'own_new' }, quietWork())
    const owned = `SELECT string_agg(what, E'\\n' ORDER BY what) AS what FROM (
      SELECT relname || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') AS what
        FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'v', 'S')
      UNION ALL SELECT attname || ' ' || attacl::text
        FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid = 's.t'::regclass
      UNION ALL SELECT nspname || ' ' || nspowner::regrole || ' ' || nspacl::text
        FROM pg_namespace WHERE nspname = 's'
      UNION ALL SELECT proname || ' ' || proowner::regrole || ' ' || proacl::text
        FROM pg_proc WHERE pronamespace = 's'::regnamespace
      UNION ALL SELECT typname || ' ' || typowner::regrole
        FROM pg_type WHERE typnamespace = 's'::regnamespace AND typtype = 'e'
      UNION ALL SELECT defaclrole::regrole || ' ' || defaclacl::text
        FROM pg_default_acl) all_of_them`
    const before = String((await query(server, source.name, owned))[0]?.['what'])
    const after = String((await query(server, copy.name, owned))[0]?.['what'])
    assert.equal(after, before.replaceAll('own_app', 'own_new'))
    assert.match(after, /own_reader/)
    await assert.rejects(
      applyOwners(programs, server.to(copy.name), file, { own_app: 'nobody here' }, quietWork()),
      (error: UserError) => error.code === 'role-missing' && error.message.includes('nobody here'),
    )
    for (const { name } of [source, copy])
      await query(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`)
    for (const role of roles)
      await query(server, 'postgres', `DROP ROLE "${role.replaceAll('"', '""')}"`)
  })
