import type { Level } from '../../src/repository/level.ts'

/**
 * Roles that the database below names, made where they are missing: another of the server's
 * databases may need them, too.
 */
export const roles = ['mutant_owner', 'mutant_reader']

/**
 * One small thing of each kind that a database may hold, so that there is something to change.
 * Nothing in it moves or differs at a restore: a copy that was left alone has to be identical.
 */
export const whole = `
  DO $$ DECLARE role text; BEGIN FOREACH role IN ARRAY ARRAY['${roles.join(`', '`)}'] LOOP
    BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END; END LOOP; END $$;
  CREATE SEQUENCE numbers; SELECT nextval('numbers'), nextval('numbers');
  CREATE TYPE mood AS ENUM ('sad', 'fine', 'glad');
  CREATE TYPE place AS (street text, number int);
  CREATE DOMAIN grade AS int DEFAULT 3 CHECK (VALUE BETWEEN 1 AND 6);
  CREATE TYPE span AS RANGE (subtype = int4);
  CREATE TABLE people (id int PRIMARY KEY, name text COLLATE "C", mood mood, weight float8,
    light float4, note text DEFAULT 'x', double int GENERATED ALWAYS AS (id * 2) STORED);
  INSERT INTO people SELECT g, 'name ' || g, 'fine', 0.1 * g, 0.1 * g, '' FROM generate_series(0, 100) g;
  CREATE TABLE pets (id serial PRIMARY KEY, owner int REFERENCES people ON DELETE CASCADE,
    name varchar(20) CHECK (name <> 'none'), since date NOT NULL DEFAULT '2020-02-02',
    UNIQUE (owner, name));
  INSERT INTO pets (owner, name) SELECT g, 'pet' FROM generate_series(1, 50) g;
  CREATE INDEX by_name ON people (name);
  CREATE INDEX by_note ON people (lower(note)) WHERE id > 10;
  CREATE INDEX by_mood ON people (mood DESC) INCLUDE (id);
  CREATE STATISTICS together (ndistinct) ON id, name FROM people;
  CREATE TABLE odd (id int PRIMARY KEY, amount numeric, word text, raw json, list int[],
    at timestamptz, took interval, bits bytea, net inet, fixed char(5) COLLATE "C", where_ place,
    ruled span, grade grade);
  INSERT INTO odd VALUES (1, 1.0, E'caf\\u00e9', '{"a": 1}', '{1,2}', '2026-01-01 00:00:00.000001Z',
    '1 day', '\\x00', '10.0.0.1', 'a', ROW('x', 1), '[1,5)', 3),
    (2, 0, 'b ', 'null', '{}', '-infinity', '0', '', '::1', '', NULL, 'empty', NULL);
  INSERT INTO odd SELECT * FROM (SELECT 3, 12, '3', '{"a":1,"b":2}'::json, NULL::int[], now(),
    '1 mon'::interval, '\\x0a0b'::bytea, NULL::inet, 'zz', ROW(NULL, NULL)::place, NULL::span, 1)
    three;
  CREATE TABLE plain (a text, b text, c int, d int);
  INSERT INTO plain VALUES ('1', '23', 4, 56), ('1', '23', 4, 56), ('1', '23', 4, 56),
    ('x', NULL, 7, NULL), ('', 'y', NULL, 8);
  CREATE TABLE days (day date NOT NULL, what text) PARTITION BY RANGE (day);
  CREATE TABLE days_one PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
  CREATE TABLE days_two PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
  CREATE TABLE days_far PARTITION OF days FOR VALUES FROM ('2030-01-01') TO ('2030-02-01');
  CREATE TABLE days_rest PARTITION OF days DEFAULT;
  CREATE INDEX by_day ON days (day);
  INSERT INTO days SELECT date '2026-01-01' + g, 'day ' || g FROM generate_series(0, 80) g;
  CREATE TABLE spread (id int NOT NULL) PARTITION BY HASH (id);
  CREATE TABLE spread_0 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE spread_1 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  INSERT INTO spread SELECT generate_series(1, 40);
  CREATE TABLE parent (id int, said text);
  CREATE TABLE child (more text) INHERITS (parent);
  INSERT INTO parent SELECT g, 'p' FROM generate_series(1, 5) g;
  INSERT INTO child SELECT g, 'c', 'm' FROM generate_series(6, 9) g;
  CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY (START 10), body text)
    WITH (fillfactor = 70);
  ALTER TABLE counted ALTER body SET STORAGE EXTERNAL;
  INSERT INTO counted (body) VALUES ('one'), ('two');
  CREATE TABLE slots (during int4range, EXCLUDE USING gist (during WITH &&) DEFERRABLE);
  CREATE UNLOGGED TABLE passing (id int); INSERT INTO passing VALUES (1), (2);
  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
  CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE STRICT SET search_path = '' AS 'SELECT n * 2';
  CREATE TABLE derived (id int, made int GENERATED ALWAYS AS (twice(id)) STORED);
  INSERT INTO derived SELECT generate_series(1, 5);
  CREATE PROCEDURE act() LANGUAGE sql AS 'SELECT 1';
  CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
  CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq, COMMUTATOR = ===);
  CREATE OPERATOR FAMILY kin USING btree;
  CREATE OPERATOR CLASS kind FOR TYPE int USING btree FAMILY kin AS OPERATOR 1 <, OPERATOR 2 <=,
    OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
  CREATE FUNCTION street(place) RETURNS text LANGUAGE sql AS 'SELECT $1.street';
  CREATE CAST (place AS text) WITH FUNCTION street(place) AS ASSIGNMENT;
  CREATE TRIGGER watch BEFORE DELETE ON pets FOR EACH STATEMENT EXECUTE FUNCTION refuse();
  CREATE VIEW heavy WITH (security_barrier) AS SELECT id, weight FROM people WHERE weight > 5 WITH CHECK OPTION;
  CREATE RULE quiet AS ON DELETE TO plain DO INSTEAD NOTHING;
  CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM people;
  ALTER TABLE pets ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON pets FOR SELECT TO mutant_reader USING (owner = 1);
  CREATE FUNCTION noticed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE EVENT TRIGGER on_drop ON sql_drop EXECUTE FUNCTION noticed();
  CREATE PUBLICATION chosen FOR TABLE people (id, name) WHERE (id > 5); CREATE PUBLICATION more FOR TABLE pets;
  CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
  CREATE TEXT SEARCH CONFIGURATION speech (COPY = simple);
  ALTER TEXT SEARCH CONFIGURATION speech ALTER MAPPING FOR asciiword WITH words;
  CREATE FOREIGN DATA WRAPPER away;
  CREATE SERVER there FOREIGN DATA WRAPPER away OPTIONS (host 'a');
  CREATE USER MAPPING FOR mutant_reader SERVER there OPTIONS (password 'secret');
  CREATE FOREIGN TABLE theirs (id int) SERVER there OPTIONS (name 'x');
  CREATE COLLATION mine (LOCALE = 'C'); CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
  CREATE SCHEMA side AUTHORIZATION mutant_owner; CREATE SCHEMA bare; CREATE TABLE side.thing (id int, at date);
  ALTER DEFAULT PRIVILEGES IN SCHEMA side GRANT SELECT ON TABLES TO mutant_reader;
  GRANT SELECT, INSERT ON people TO mutant_reader;
  GRANT SELECT ON people TO PUBLIC;
  GRANT UPDATE (name) ON people TO mutant_reader;
  GRANT USAGE ON SEQUENCE numbers TO mutant_reader;
  GRANT USAGE ON SCHEMA side TO mutant_reader; REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
  COMMENT ON TABLE people IS 'who';
  COMMENT ON COLUMN people.name IS 'called';
  COMMENT ON CONSTRAINT pets_owner_fkey ON pets IS 'whose';
  COMMENT ON FUNCTION twice IS 'two';
  COMMENT ON SCHEMA side IS 'aside';
  SELECT lo_from_bytea(4711, '\\x010203'), lo_from_bytea(4712, decode(repeat('ab', 5000), 'hex')),
    lo_from_bytea(4713, '');
  GRANT SELECT ON LARGE OBJECT 4711 TO mutant_reader; COMMENT ON LARGE OBJECT 4711 IS 'three'`

/**
 * SQL that changes a copy, the level that it may still reach, and the first major on which there is
 * such a thing.
 */
export interface CopyMutation {
  sql: string
  level: Level
  from?: number
}

const rows = (sql: string): CopyMutation => ({ sql, level: 'restored' })
/** Rows and sequences are all there: something else is otherwise. */
const other = (sql: string, from?: number): CopyMutation => ({
  sql,
  level: 'counted',
  ...(from === undefined ? {} : { from }),
})

/**
 * What is promised: numbers of rows and large objects, and sequences, by `counted`; all else by
 * `identical`.
 */
export const copyMutations: Record<string, CopyMutation> = {
  'a row gone': rows('DELETE FROM people WHERE id = 77'),
  'a row more': rows(`INSERT INTO people (id) VALUES (1000)`),
  'a row of an unlogged table gone': rows('DELETE FROM passing WHERE id = 2'),
  'rows of a table without columns': rows(
    'CREATE TABLE hollow (); INSERT INTO hollow DEFAULT VALUES',
  ),
  'a row moved to another partition': rows(
    `UPDATE days SET day = '2026-02-10' WHERE day = '2026-01-10'`,
  ),
  'a row moved to an inheritance child': rows(
    `WITH moved AS (DELETE FROM ONLY parent WHERE id = 3 RETURNING *) INSERT INTO child (id, said) SELECT * FROM moved`,
  ),
  'a table gone': rows('DROP TABLE odd'),
  'a table more': rows('CREATE TABLE surplus ()'),
  'a table by another name': rows('ALTER TABLE plain RENAME TO plane'),
  'a table in another schema': rows('ALTER TABLE plain SET SCHEMA side'),
  'a partition emptied': rows('TRUNCATE days_rest'),
  'a large object gone': rows('SELECT lo_unlink(4711)'),
  'an empty large object gone': rows('SELECT lo_unlink(4713)'),
  'a large object more': rows('SELECT lo_create(4800)'),
  'a sequence one behind': rows(`SELECT setval('numbers', 1)`),
  'a sequence one ahead': rows(`SELECT nextval('numbers')`),
  'a sequence not yet called': rows(`SELECT setval('numbers', 2, false)`),
  'an identity’s sequence behind': rows(`SELECT setval('counted_id_seq', 10)`),
  'a sequence gone': rows('DROP SEQUENCE numbers'),

  'a row there twice, another gone': other(
    `ALTER TABLE plain DISABLE RULE quiet;
      INSERT INTO plain SELECT * FROM plain WHERE a = 'x';
      DELETE FROM plain WHERE a = '';
      ALTER TABLE plain ENABLE RULE quiet`,
  ),
  'rows there an even number of times': other(
    `UPDATE plain SET a = 'x', b = NULL, c = 7, d = NULL WHERE ctid IN (SELECT ctid FROM plain WHERE a = '1' LIMIT 2)`,
  ),
  'a row moved between hash partitions': other('UPDATE spread SET id = 1000 + id WHERE id = 7'),
  'two values swapped between rows': other(
    `UPDATE people SET name = 'name ' || (3 - id) WHERE id IN (1, 2)`,
  ),
  'two columns swapped': other(`UPDATE plain SET a = b, b = a WHERE a = 'x'`),
  'a character moved to the next column': other(`UPDATE plain SET a = '12', b = '3' WHERE a = '1'`),
  'a digit moved to the next column': other(`UPDATE plain SET c = 45, d = 6 WHERE c = 4`),
  'NULL moved to the next column': other(`UPDATE plain SET c = NULL, d = 7 WHERE a = 'x'`),
  'NULL for an empty text': other('UPDATE people SET note = NULL WHERE id = 5'),
  'an empty array for NULL': other(`UPDATE odd SET list = '{}' WHERE id = 3`),
  'NULL for a composite of NULLs': other('UPDATE odd SET where_ = NULL WHERE id = 3'),
  'NULL for an empty bytea': other('UPDATE odd SET bits = NULL WHERE id = 2'),
  'a bit of a bytea': other(`UPDATE odd SET bits = '\\x01' WHERE id = 1`),
  'a float8’s last digit': other('UPDATE people SET weight = weight + 1e-15 WHERE id = 3'),
  'a float4’s last digit': other('UPDATE people SET light = light + 3e-8::float4 WHERE id = 3'),
  '−0 for 0': other(`UPDATE people SET weight = '-0' WHERE id = 0`),
  'NaN for a number': other(`UPDATE odd SET amount = 'NaN' WHERE id = 2`),
  '1.00 for 1.0': other('UPDATE odd SET amount = 1.00 WHERE id = 1'),
  'json’s white space': other(`UPDATE odd SET raw = '{"a":1}' WHERE id = 1`),
  'the order of json’s keys': other(`UPDATE odd SET raw = '{"b":2,"a":1}' WHERE id = 3`),
  'SQL’s NULL for json’s null': other('UPDATE odd SET raw = NULL WHERE id = 2'),
  'NFD for NFC': other(`UPDATE odd SET word = normalize(word, NFD) WHERE id = 1`),
  'a blank at the end of a text': other(`UPDATE odd SET word = 'b' WHERE id = 2`),
  'an array’s bounds': other(`UPDATE odd SET list = '[0:1]={1,2}' WHERE id = 1`),
  'a timestamp off by a microsecond': other(
    `UPDATE odd SET at = at + interval '1 microsecond' WHERE id = 1`,
  ),
  '24 hours for a day': other(`UPDATE odd SET took = '24 hours' WHERE id = 1`),
  'a range’s bound': other(`UPDATE odd SET ruled = '[1,6)' WHERE id = 1`),
  'an enum’s value in a row': other(`UPDATE people SET mood = 'sad' WHERE id = 9`),
  'a stored generated value otherwise, its expression the same': other(
    `CREATE OR REPLACE FUNCTION twice(n int) RETURNS int
        LANGUAGE sql IMMUTABLE STRICT SET search_path = '' AS 'SELECT n * 3';
      UPDATE derived SET id = id;
      CREATE OR REPLACE FUNCTION twice(n int) RETURNS int
        LANGUAGE sql IMMUTABLE STRICT SET search_path = '' AS 'SELECT n * 2'`,
  ),
  'a large object’s byte': other(`SELECT lo_put(4712, 4000, '\\x09')`),
  'a large object cut': other('SELECT lo_truncate(lo_open(4712, 131072), 4999)'),
  'the content of two large objects swapped': other(`SELECT lo_put(4711, 0, '\\x030201')`),
  'a large object’s owner': other('ALTER LARGE OBJECT 4711 OWNER TO mutant_owner'),
  'a large object’s grant': other('REVOKE SELECT ON LARGE OBJECT 4711 FROM mutant_reader'),
  'a large object’s comment': other(`COMMENT ON LARGE OBJECT 4711 IS NULL`),

  'a sequence’s increment': other('ALTER SEQUENCE numbers INCREMENT 2'),
  'a sequence’s upper end': other('ALTER SEQUENCE numbers MAXVALUE 100'),
  'a sequence’s role': other('ALTER SEQUENCE numbers OWNER TO mutant_owner'),
  'a sequence belongs to no column any more': other('ALTER SEQUENCE pets_id_seq OWNED BY NONE'),
  'an index gone': other('DROP INDEX by_name'),
  'an index more': other('CREATE INDEX ON people (weight)'),
  'an index not valid': other(
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_name'::regclass`,
  ),
  'an index not ready': other(
    `UPDATE pg_index SET indisready = false WHERE indexrelid = 'by_name'::regclass`,
  ),
  'a partitioned index not valid': other(
    `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_day'::regclass`,
  ),
  'an index of another operator class': other(
    'DROP INDEX by_name; CREATE INDEX by_name ON people (name text_pattern_ops)',
  ),
  'an index’s predicate': other(
    'DROP INDEX by_note; CREATE INDEX by_note ON people (lower(note)) WHERE id > 11',
  ),
  'an index’s expression': other(
    'DROP INDEX by_note; CREATE INDEX by_note ON people (upper(note)) WHERE id > 10',
  ),
  'an index’s order': other(
    'DROP INDEX by_mood; CREATE INDEX by_mood ON people (mood) INCLUDE (id)',
  ),
  'an index’s further column': other(
    'DROP INDEX by_mood; CREATE INDEX by_mood ON people (mood DESC)',
  ),
  'an index unique': other('DROP INDEX by_name; CREATE UNIQUE INDEX by_name ON people (name)'),
  'the index that a table is clustered on': other('ALTER TABLE people CLUSTER ON by_name'),
  'a primary key gone': other('ALTER TABLE odd DROP CONSTRAINT odd_pkey'),
  'a unique key gone': other('ALTER TABLE pets DROP CONSTRAINT pets_owner_name_key'),
  'a check gone': other('ALTER TABLE pets DROP CONSTRAINT pets_name_check'),
  'a check otherwise': other(
    `ALTER TABLE pets DROP CONSTRAINT pets_name_check, ADD CONSTRAINT pets_name_check CHECK (name <> 'nine')`,
  ),
  'a check not validated': other(
    `ALTER TABLE pets DROP CONSTRAINT pets_name_check, ADD CONSTRAINT pets_name_check CHECK (name <> 'none') NOT VALID`,
  ),
  'a foreign key gone': other('ALTER TABLE pets DROP CONSTRAINT pets_owner_fkey'),
  'a foreign key not validated': other(
    `UPDATE pg_constraint SET convalidated = false WHERE conname = 'pets_owner_fkey'`,
  ),
  'a foreign key deferrable': other('ALTER TABLE pets ALTER CONSTRAINT pets_owner_fkey DEFERRABLE'),
  'a foreign key’s ON DELETE': other(
    `ALTER TABLE pets DROP CONSTRAINT pets_owner_fkey,
        ADD CONSTRAINT pets_owner_fkey FOREIGN KEY (owner) REFERENCES people;
      COMMENT ON CONSTRAINT pets_owner_fkey ON pets IS 'whose'`,
  ),
  'a foreign key that is not enforced': other(
    'ALTER TABLE pets ALTER CONSTRAINT pets_owner_fkey NOT ENFORCED',
    18,
  ),
  'a foreign key whose own triggers are disabled': other(
    'ALTER TABLE pets DISABLE TRIGGER ALL; ALTER TABLE pets ENABLE TRIGGER USER',
  ),
  'an exclusion gone': other('ALTER TABLE slots DROP CONSTRAINT slots_during_excl'),
  'NOT NULL gone': other('ALTER TABLE pets ALTER since DROP NOT NULL'),
  'a trigger disabled': other('ALTER TABLE pets DISABLE TRIGGER watch'),
  'a trigger for replicas only': other('ALTER TABLE pets ENABLE REPLICA TRIGGER watch'),
  'a trigger gone': other('DROP TRIGGER watch ON pets'),
  'a trigger at another time': other(
    'CREATE OR REPLACE TRIGGER watch AFTER DELETE ON pets FOR EACH STATEMENT EXECUTE FUNCTION refuse()',
  ),
  'an event trigger disabled': other('ALTER EVENT TRIGGER on_drop DISABLE'),
  'a rule gone': other('DROP RULE quiet ON plain'),
  'a rule disabled': other('ALTER TABLE plain DISABLE RULE quiet'),
  'a policy gone': other('DROP POLICY mine ON pets'),
  'a policy’s condition': other('ALTER POLICY mine ON pets USING (true)'),
  'a policy for another role': other('ALTER POLICY mine ON pets TO PUBLIC'),
  'row security off': other('ALTER TABLE pets DISABLE ROW LEVEL SECURITY'),
  'row security forced': other('ALTER TABLE pets FORCE ROW LEVEL SECURITY'),

  'a grant lost': other('REVOKE SELECT ON people FROM PUBLIC'),
  'a grant with the option to pass it on': other(
    'GRANT SELECT ON people TO mutant_reader WITH GRANT OPTION',
  ),
  'a grant to another role': other(
    'REVOKE INSERT ON people FROM mutant_reader; GRANT INSERT ON people TO mutant_owner',
  ),
  'a column’s grant lost': other('REVOKE UPDATE (name) ON people FROM mutant_reader'),
  'a sequence’s grant lost': other('REVOKE USAGE ON SEQUENCE numbers FROM mutant_reader'),
  'a function that all may call again': other('GRANT EXECUTE ON FUNCTION twice TO PUBLIC'),
  'a schema’s grant lost': other('REVOKE USAGE ON SCHEMA side FROM mutant_reader'),
  'default privileges lost': other(
    'ALTER DEFAULT PRIVILEGES IN SCHEMA side REVOKE SELECT ON TABLES FROM mutant_reader',
  ),
  'a comment lost': other('COMMENT ON TABLE people IS NULL'),
  'a column’s comment': other(`COMMENT ON COLUMN people.name IS 'named'`),
  'a constraint’s comment lost': other('COMMENT ON CONSTRAINT pets_owner_fkey ON pets IS NULL'),
  'a table’s owner': other('ALTER TABLE people OWNER TO mutant_owner'),
  'a schema’s owner': other('ALTER SCHEMA side OWNER TO CURRENT_USER'),
  'an empty schema gone': other('DROP SCHEMA bare'),

  'a default changed': other(`ALTER TABLE people ALTER note SET DEFAULT 'y'`),
  'a default gone': other('ALTER TABLE pets ALTER since DROP DEFAULT'),
  'a serial’s default gone': other('ALTER TABLE pets ALTER id DROP DEFAULT'),
  'a column’s collation': other('ALTER TABLE odd ALTER fixed TYPE char(5) COLLATE "POSIX"'),
  'a generated column’s expression': other(
    'ALTER TABLE people DROP COLUMN double, ADD COLUMN double int GENERATED ALWAYS AS (id + id) STORED',
  ),
  'a generated column no longer generated': other(
    'ALTER TABLE people ALTER double DROP EXPRESSION',
  ),
  'an identity of the other kind': other('ALTER TABLE counted ALTER id SET GENERATED BY DEFAULT'),
  'an identity’s increment': other('ALTER TABLE counted ALTER id SET INCREMENT 5'),
  'a column’s name': other('ALTER TABLE plain RENAME c TO e'),
  'a column gone': other('ALTER TABLE plain DROP COLUMN d'),
  'a column more': other('ALTER TABLE plain ADD COLUMN e int'),
  'the order of columns': other(
    'ALTER TABLE side.thing DROP COLUMN id; ALTER TABLE side.thing ADD COLUMN id int',
  ),
  'a column’s length': other('ALTER TABLE pets ALTER name TYPE varchar(30)'),
  'a column’s type': other('ALTER TABLE side.thing ALTER id TYPE bigint'),
  'a column’s storage': other('ALTER TABLE counted ALTER body SET STORAGE EXTENDED'),
  'a column’s statistics': other('ALTER TABLE people ALTER name SET STATISTICS 500'),
  'a storage parameter': other('ALTER TABLE counted SET (fillfactor = 80)'),
  'an unlogged table logged': other('ALTER TABLE passing SET LOGGED'),
  'a table’s access method': other('ALTER TABLE side.thing SET ACCESS METHOD other'),
  'a materialized view’s access method': other(
    'ALTER MATERIALIZED VIEW counts SET ACCESS METHOD other',
  ),
  'a table’s replica identity': other('ALTER TABLE people REPLICA IDENTITY FULL'),
  'an inheritance gone': other('ALTER TABLE child NO INHERIT parent'),
  'a partition detached': other('ALTER TABLE days DETACH PARTITION days_rest'),
  'a partition’s bounds': other(
    `ALTER TABLE days DETACH PARTITION days_far;
      ALTER TABLE days ATTACH PARTITION days_far FOR VALUES FROM ('2030-01-01') TO ('2030-03-01')`,
  ),

  'an enum’s value more': other(`ALTER TYPE mood ADD VALUE 'good'`),
  'an enum’s order': other(
    `UPDATE pg_enum SET enumsortorder = 10 - enumsortorder WHERE enumtypid = 'mood'::regtype`,
  ),
  'an enum’s value by another name': other(`ALTER TYPE mood RENAME VALUE 'glad' TO 'merry'`),
  'a domain’s check gone': other('ALTER DOMAIN grade DROP CONSTRAINT grade_check'),
  'a domain’s default': other('ALTER DOMAIN grade SET DEFAULT 4'),
  'a composite type’s attribute': other(`ALTER TYPE place RENAME ATTRIBUTE number TO no`),
  'a type’s owner': other('ALTER TYPE mood OWNER TO mutant_owner'),
  'a view otherwise': other(
    `CREATE OR REPLACE VIEW heavy WITH (security_barrier) AS SELECT id, weight FROM people
      WHERE weight > 6 WITH CHECK OPTION`,
  ),
  'a view’s security_barrier': other('ALTER VIEW heavy RESET (security_barrier)'),
  'a view’s check option': other('ALTER VIEW heavy RESET (check_option)'),
  'a view’s owner': other('ALTER VIEW heavy OWNER TO mutant_owner'),
  'a view gone': other('DROP VIEW heavy'),
  'a materialized view empty': other('REFRESH MATERIALIZED VIEW counts WITH NO DATA'),
  'a materialized view otherwise': other(
    'DROP MATERIALIZED VIEW counts; CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM pets',
  ),
  'a function’s body': other(
    `CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
  ),
  'a function’s volatility': other('ALTER FUNCTION street(place) STABLE'),
  'a function’s owner': other('ALTER FUNCTION twice OWNER TO mutant_owner'),
  'a function SECURITY DEFINER': other('ALTER FUNCTION refuse SECURITY DEFINER'),
  'a function’s setting': other('ALTER FUNCTION twice RESET search_path'),
  'a function’s default': other(
    `CREATE OR REPLACE FUNCTION twice(n int DEFAULT 1) RETURNS int
      LANGUAGE sql IMMUTABLE STRICT SET search_path = '' AS 'SELECT n * 2'`,
  ),
  'a procedure gone': other('DROP PROCEDURE act'),
  'an aggregate’s start': other(
    `CREATE OR REPLACE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '1')`,
  ),
  'an operator without its commutator': other(
    'DROP OPERATOR === (int, int); CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq)',
  ),
  'an operator class gone': other('DROP OPERATOR CLASS kind USING btree'),
  'a cast that is now implicit': other(
    'DROP CAST (place AS text); CREATE CAST (place AS text) WITH FUNCTION street(place) AS IMPLICIT',
  ),
  'a statistics object gone': other('DROP STATISTICS together'),
  'a statistics object of another kind': other(
    'DROP STATISTICS together; CREATE STATISTICS together (dependencies) ON id, name FROM people',
  ),
  'a publication gone': other('DROP PUBLICATION more'),
  'a publication’s table gone': other('ALTER PUBLICATION more DROP TABLE pets'),
  'a publication’s condition': other(
    'ALTER PUBLICATION chosen SET TABLE people (id, name) WHERE (id > 6)',
  ),
  'a publication of inserts only': other(`ALTER PUBLICATION more SET (publish = 'insert')`),
  'a text search mapping': other(
    'ALTER TEXT SEARCH CONFIGURATION speech ALTER MAPPING FOR asciiword WITH simple',
  ),
  'a text search dictionary’s option': other('ALTER TEXT SEARCH DICTIONARY words (Accept = false)'),
  'a foreign server’s option': other(`ALTER SERVER there OPTIONS (SET host 'b')`),
  'a foreign table’s option': other(`ALTER FOREIGN TABLE theirs OPTIONS (SET name 'y')`),
  'a user mapping gone': other('DROP USER MAPPING FOR mutant_reader SERVER there'),
  'a collation gone': other('DROP COLLATION mine'),
  'an extension’s version': other(
    `UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'plpgsql'`,
  ),
  'an extension’s schema': other(
    `UPDATE pg_extension SET extnamespace = 'side'::regnamespace WHERE extname = 'plpgsql'`,
  ),
}
