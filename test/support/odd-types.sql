-- Types and values: what text forms hide, round, reorder or confuse.

CREATE TYPE mood AS ENUM ('sad', 'happy');
ALTER TYPE mood ADD VALUE 'glum' BEFORE 'happy';
ALTER TYPE mood ADD VALUE 'it''s "odd", {so}' BEFORE 'sad';
ALTER TYPE mood ADD VALUE '';
CREATE TYPE no_values AS ENUM ();

CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN small_positive AS positive DEFAULT 7 CONSTRAINT "it's small" CHECK (VALUE < 100) NOT NULL;
CREATE DOMAIN some_ints AS int[] CHECK (array_length(VALUE, 1) > 0);
CREATE DOMAIN late_check AS text;
CREATE TYPE "Pair" AS (x float8, "the ""y""" text, inner_mood mood);
CREATE DOMAIN right_pair AS "Pair" CHECK ((VALUE).x > -1);
CREATE TYPE nested AS (pairs "Pair"[], small small_positive, nothing "Pair");
CREATE TYPE no_attributes AS ();
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = "Float Ranges");
CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");

-- A base type: its functions and the type name each other.
CREATE TYPE shout;
CREATE FUNCTION shout_in(cstring) RETURNS shout LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION shout_out(shout) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE shout (INPUT = shout_in, OUTPUT = shout_out, LIKE = text, CATEGORY = 'U', DEFAULT = 'HEY');
CREATE TYPE never_defined;

CREATE TABLE own_types (
  id int PRIMARY KEY, m mood, ms mood[], p positive, s small_positive, l late_check, pair "Pair", pairs "Pair"[], rp right_pair,
  n nested, e no_attributes, fr float_range, frs "Float Ranges", tr text_range, sh shout DEFAULT 'AHOY', ints some_ints
);
INSERT INTO own_types (id, m, ms, p, l, pair, pairs, rp, n, fr, frs, tr, ints) VALUES
  (1, 'it''s "odd", {so}', '{happy,NULL,"",glum}', 1, 'ab', ROW(1.5, 'a,b)("', 'sad'), ARRAY[ROW(1, NULL, NULL), NULL]::"Pair"[],
   ROW(0, '', 'happy'), ROW(ARRAY[ROW(2, '\', NULL)]::"Pair"[], 3, NULL), '[1.5,2.5)', '{[1,2),(3,4]}', '["a,b\"",c]', '[3:5]={1,2,3}'),
  (2, '', '{}', NULL, '', ROW(NULL, NULL, NULL), '{}', NULL, NULL, 'empty', '{}', '(,)', NULL),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ROW(NULL, 1, NULL), NULL, NULL, NULL, '[-2:-1][5:6]={{1,NULL},{3,4}}');
ALTER DOMAIN late_check ADD CONSTRAINT "checked later" CHECK (length(VALUE) > 5) NOT VALID;

CREATE TABLE numbers (id int PRIMARY KEY, f4 float4, f8 float8, n numeric, n2 numeric(20, 6), i8 bigint, m money);
INSERT INTO numbers VALUES
  (1, 'NaN', 'NaN', 'NaN', 0, 9223372036854775807, '-92233720368547758.08'),
  (2, '-0', '-0', 1.0, 1, -9223372036854775808, 0.01), (3, 0, 0, 1.00, 1, 0, NULL), (4, 'Infinity', '-Infinity', 'Infinity', 1.1, 1, 1),
  (5, 1e-45, 5e-324, 1e-1000, 0.000001, 1, 1), (6, 3.4028235e38, 1.7976931348623157e308, repeat('9', 500)::numeric, 99999999999999.999999, 1, 1),
  (7, 0.1, 0.1, 0.1, 0.1, 1, 1), (8, 0.1::float4, 0.1::float8 + 2.7755575615628914e-17, '-Infinity', 0.100000, 1, 1);
\if :pg15
ALTER TABLE numbers ADD COLUMN rounded numeric(3, -2), ADD COLUMN tiny numeric(2, 5);
UPDATE numbers SET rounded = 12345, tiny = 0.00012 WHERE id = 1;
\endif

CREATE TABLE times (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, t time, ttz timetz, i interval, p0 timestamp(0), iy interval year to month);
INSERT INTO times VALUES
  (1, 'infinity', '-infinity', 'infinity', '24:00', '24:00+14', '-1 mons +1 day -00:00:01', 'infinity', '1 year'),
  (2, '0044-03-15 BC', '4713-01-01 00:00:00 BC', '0001-01-01 00:00:00+00 BC', '00:00', '00:00-15:59', '0', NULL, NULL),
  (3, '5874897-12-31', '294276-12-31 23:59:59.999999', '2024-03-31 02:30:00 Europe/Berlin', '23:59:59.999999', '12:00+05:45', '1 mon', NULL, NULL),
  (4, NULL, '2016-12-31 23:59:60', '1883-11-18 12:03:58 America/New_York', NULL, NULL, '30 days', NULL, NULL),
  (5, NULL, NULL, NULL, NULL, NULL, '720:00:00', NULL, NULL), (6, NULL, NULL, NULL, NULL, NULL, '178000000 years', NULL, NULL);
\if :pg17
INSERT INTO times (id, i) VALUES (7, 'infinity'), (8, '-infinity');
\endif

CREATE TABLE texts (id int PRIMARY KEY, a text, b text, v varchar(10), c char(5), n name, ch "char", by bytea);
INSERT INTO texts VALUES
  (1, '', NULL, '', '', '', '', ''), (2, NULL, '', NULL, NULL, NULL, NULL, NULL), (3, 'NULL', '\N', 'ab   ', 'ab', 'n', 'x', '\x00'),
  (4, E'\x1f', E'\x1e', E'\x01', E'\t', E'\n', E'\b', '\xdeadbeef'), (5, E'a\x1fb', 'c', NULL, NULL, NULL, NULL, '\x5c'),
  (6, 'a', E'b\x1fc', NULL, NULL, NULL, NULL, '\x5c78'), (7, E'line\nline\r\nline\r', E'\\.', E'\\.', NULL, NULL, NULL, decode(repeat('00ff', 3000), 'hex')),
  (8, U&'caf\00E9', U&'cafe\0301', NULL, NULL, NULL, NULL, NULL), (9, U&'\FEFFbom \200B\+01F418', U&'\FFFF', NULL, NULL, NULL, NULL, NULL),
  (10, E'\x7f', repeat(' ', 10), 'x', 'x    ', 'x', E'\x7f', NULL), (11, '2:ab', '1', NULL, NULL, NULL, NULL, NULL), (12, '2:ab1', '', NULL, NULL, NULL, NULL, NULL);
INSERT INTO texts (id, ch) SELECT 1000 + i, i::"char" FROM generate_series(-128, 127) i;

CREATE TABLE documents (id int PRIMARY KEY, j json, jb jsonb, jp jsonpath);
INSERT INTO documents VALUES (1, '{"a" :  1, "a":2}', '{"a" :  1, "a":2}', '$.a[*] ? (@ > 1)'), (2, '{"a":1,"a":2}', '{"b": [1.0, 1.00, 1e2], "a": null}', '$'),
  (3, 'null', 'null', 'strict $'), (4, E'\n[ ]\t', '[]', NULL), (5, NULL, NULL, NULL), (6, '"\u0000"', '"\ud83d\udc18"', NULL), (7, '1E400', '1e400', NULL);
\if :has_xml
ALTER TABLE documents ADD COLUMN x xml;
UPDATE documents SET x = '<?xml version="1.0"?><a  b="1"><!-- c --><![CDATA[<]]></a>' WHERE id = 1;
UPDATE documents SET x = XMLPARSE(CONTENT 'not a document <b/>') WHERE id = 2;
\endif

CREATE TABLE searched (id int PRIMARY KEY, v tsvector, q tsquery, bits bit(5), vb varbit, ip inet, net cidr, mac macaddr, mac8 macaddr8, u uuid);
INSERT INTO searched VALUES (1, 'a:1A,2B ''it''''s'':3 b', 'a & !(b | c:*A) <2> ''it''''s''', B'00000', B'', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:ff:fe:01:02:03', '00000000-0000-0000-0000-000000000000'),
  (2, '', '', B'10101', B'0', '::ffff:1.2.3.4', '::/0', NULL, NULL, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), (3, NULL, NULL, NULL, B'00', '10.1.2.3', '10.1.2.3', NULL, NULL, NULL);

CREATE TABLE shapes (id int PRIMARY KEY, p point, l line, s lseg, b box, pa path, po polygon, c circle);
INSERT INTO shapes VALUES (1, '(1,-0)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1>'),
  (2, '(NaN,Infinity)', NULL, NULL, '(0,0),(1,1)', '((0,0),(1,1))', NULL, '<(1e-300,0),0>');

-- Names of catalogue objects kept as data; 4000000000 stands for one that was dropped.
CREATE TABLE pointers (id int PRIMARY KEY, o oid, c regclass, f regproc, fp regprocedure, t regtype, op regoperator, ns regnamespace, r regrole, cfg regconfig, dict regdictionary, coll regcollation,
  lsn pg_lsn, x xid, x8 xid8, tid tid, snap pg_snapshot, iv int2vector, ov oidvector, acl aclitem, cur refcursor);
INSERT INTO pointers VALUES
  (1, 0, '"select"', 'now', 'shout_in(cstring)', '"Pair"[]', '+(int4,int4)', '"pg-odd"', '"odd ""quoted"" owner''s"', 'english', 'simple', '"C"', 'FFFFFFFF/FFFFFFFF', '4294967295', '18446744073709551615', '(4294967295,65535)', '10:20:10,14,15', '1 2 3', '1 2', '"Odd Reader"=rw/odd_owner', 'cur'),
  (2, 4294967295, 4000000000, '-', 0, 4000000000, 0, 4000000000, 4000000000, 4000000000, 4000000000, 4000000000, '0/0', '0', '0', '(0,0)', '1:1:', '', '', '=r/odd_owner', NULL),
  (3, 1259, 'pg_class', 0, 'shout_out(shout)', '"Float Ranges"', '-(none,int4)', 'pg_catalog', 'pg_monitor', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE arrays (id int PRIMARY KEY, a int[], t text[], aa int[][], b bytea[], f float8[], d date[], r int4range[], mr int4multirange, j json[]);
INSERT INTO arrays VALUES (1, '{}', '{NULL,"NULL","null","",a\\b,"a\"b","{","a,b"," "}', '{{1,2},{3,4}}', '{"\\x00",NULL}', '{NaN,-0,0}', '{infinity,-infinity,0001-01-01 BC}', '{"[1,5]",empty}', '{[1,3),[5,7)}', '{"{\"a\": 1}"}'),
  (2, '[0:2]={1,2,3}', '[2:3]={a,b}', '[-1:0][7:8]={{1,2},{3,4}}', NULL, NULL, NULL, NULL, '{}', NULL), (3, '{1,2,3}', '{a,b}', '{{{{1}}}}', '{}', '{}', '{}', '{}', NULL, '{}');

CREATE SCHEMA "ext'ra";
\if :has_citext
CREATE EXTENSION citext SCHEMA "ext'ra";
CREATE DOMAIN email AS "ext'ra".citext CHECK (VALUE OPERATOR("ext'ra".~) '@');
CREATE TABLE people (id int PRIMARY KEY, nick "ext'ra".citext UNIQUE, mail email);
INSERT INTO people VALUES (1, 'Ann', 'Ann@example.org'), (2, 'bob', 'BOB@example.org');
\endif
\if :has_hstore
CREATE EXTENSION hstore SCHEMA public;
CREATE TABLE pairs (id int PRIMARY KEY, h public.hstore);
INSERT INTO pairs VALUES (1, '"a"=>"1", "b"=>NULL, "c"=>"NULL", "it''s \"q\""=>""'), (2, '');
CREATE INDEX ON pairs USING gin (h);
\endif
\if :has_ltree
CREATE EXTENSION ltree SCHEMA "ext'ra";
CREATE TABLE branches (id int PRIMARY KEY, path "ext'ra".ltree, q "ext'ra".lquery);
INSERT INTO branches VALUES (1, 'Top.Science', '*.Science{1,}'), (2, '', NULL);
\endif

\if :has_icu
CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE folded (name text COLLATE ignore_case PRIMARY KEY, "also" text COLLATE ignore_case);
INSERT INTO folded VALUES ('Ann', 'a'), ('BOB', 'A'), ('bo', 'á');
\endif
CREATE COLLATION "C too" FROM "C";
CREATE TABLE collated (a text COLLATE "C too", b text COLLATE "POSIX");
CREATE INDEX ON collated (a COLLATE "C" DESC NULLS LAST, b);
INSERT INTO collated VALUES ('a', 'B'), ('B', 'a');
