-- Names that break quoting, splitting, sorting and guessing. Each table has rows, so that a missed one is seen.

CREATE TABLE "Upper" (id int PRIMARY KEY, "Id" text);
CREATE TABLE "upper" (id int PRIMARY KEY, "Id" text);
INSERT INTO "Upper" VALUES (1, 'upper case');
INSERT INTO "upper" VALUES (1, 'lower case');

CREATE TABLE "with ""quotes"" and 'apostrophes'" ("a ""column""" int, "it's" text);
INSERT INTO "with ""quotes"" and 'apostrophes'" VALUES (1, 'x'), (2, 'y');

-- A newline and a space in the same place: pg_dump's own comments show both with a space.
CREATE TABLE "new
line" (a int, "b
c" int);
CREATE TABLE "new line" (a int, "b c" int);
INSERT INTO "new
line" VALUES (1, 2);
INSERT INTO "new line" VALUES (3, 4);

-- The same letter, composed and decomposed: two names that look alike.
CREATE TABLE U&"caf\00E9" (a int);
CREATE TABLE U&"cafe\0301" (a int);
INSERT INTO U&"caf\00E9" VALUES (1);
INSERT INTO U&"cafe\0301" VALUES (2);

-- 63 bytes, in 32 characters.
CREATE TABLE "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüx" ("üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüx" int PRIMARY KEY);
INSERT INTO "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüx" SELECT generate_series(1, 5);
CREATE TABLE "таблица 表 🐘" ("столбец" text, "列" int);
INSERT INTO "таблица 表 🐘" VALUES ('слон', 1), ('象', 2);

CREATE TABLE "select" ("from" int, "table" text, "user" text, "order" int, "null" text);
INSERT INTO "select" VALUES (1, 'a', 'b', 2, NULL), (2, 'a', 'b', 2, 'NULL'), (3, '', '\N', 2, '\\N');

-- Columns named like their table, and like what a comparing query might call things.
CREATE TABLE t (t text, "*" int, c int, ctid_ int, oid oid, "row" int, "count" int, "hash" int);
INSERT INTO t VALUES ('one', 1, 1, 1, 1, 1, 1, 1), ('two', 2, 2, 2, 2, 2, 2, 2);

CREATE TABLE "$1" ("$2" int, "$$" text);
CREATE TABLE "%s %I %%" ("%s" int);
CREATE TABLE "back\slash" ("\" int, "\n" text);
CREATE TABLE "*" (a int);
CREATE TABLE "?[a-z]*|(x)" (a int);
CREATE TABLE " leading and trailing " (" " int);
CREATE TABLE "--comment" ("/* c */" int, ";" int);
CREATE TABLE "tab	and U+001F" (a int);
CREATE TABLE "{""json"": [1]}" ("${{ x }}" int);
CREATE TABLE "<b>|`cell`|" ("<!-- -->" int);
INSERT INTO "$1" VALUES (1, '$body$');
INSERT INTO "%s %I %%" VALUES (1);
INSERT INTO "back\slash" VALUES (1, '\.');
INSERT INTO "*" VALUES (1);
INSERT INTO "?[a-z]*|(x)" VALUES (1);
INSERT INTO " leading and trailing " VALUES (1);
INSERT INTO "--comment" VALUES (1, 2);
INSERT INTO "tab	and U+001F" VALUES (1);
INSERT INTO "{""json"": [1]}" VALUES (1);
INSERT INTO "<b>|`cell`|" VALUES (1);

-- A table whose name reads as one of pg_dump's headers.
CREATE TABLE "x; Type: TABLE; Schema: y; Owner: z" (a int);
INSERT INTO "x; Type: TABLE; Schema: y; Owner: z" VALUES (1);

-- Written without quotes, both are x.y.z.
CREATE SCHEMA x;
CREATE SCHEMA "x.y";
CREATE TABLE x."y.z" (a int);
CREATE TABLE "x.y".z (a int);
INSERT INTO x."y.z" VALUES (1);
INSERT INTO "x.y".z VALUES (2), (3);
CREATE TABLE x.x (x int);
INSERT INTO x.x VALUES (1);

-- The same bare name in several schemas, one of them called like the temporary ones.
CREATE TABLE public."pg-odd" (a int);
CREATE TABLE x.t (t int);
CREATE SCHEMA "Pg_temp_1";
CREATE TABLE "Pg_temp_1".t (t int);
INSERT INTO public."pg-odd" VALUES (1);
INSERT INTO x.t VALUES (1);
INSERT INTO "Pg_temp_1".t VALUES (1), (2);

-- pg_dump's headers call a constraint or trigger "table name": these two pairs get the same header.
CREATE TABLE "a" (i int CONSTRAINT "b c" UNIQUE);
CREATE TABLE "a b" (i int CONSTRAINT "c" UNIQUE);
INSERT INTO "a" VALUES (1);
INSERT INTO "a b" VALUES (2);
