-- Owners, grants, comments, and what belongs to the database itself.

ALTER SCHEMA x OWNER TO odd_owner;
ALTER SCHEMA "x.y" OWNER TO "odd ""quoted"" owner's";
ALTER TABLE x.x OWNER TO odd_owner;
ALTER TABLE "x.y".z OWNER TO "odd ""quoted"" owner's";
ALTER TYPE mood OWNER TO odd_owner;
ALTER DOMAIN positive OWNER TO "Odd Reader";
ALTER FUNCTION over(text) OWNER TO odd_owner;
ALTER SEQUENCE never_called OWNER TO odd_owner;
ALTER VIEW barrier OWNER TO odd_owner;
ALTER LARGE OBJECT 800002 OWNER TO "odd ""quoted"" owner's";
ALTER PUBLICATION nothing OWNER TO odd_owner;
GRANT USAGE, CREATE ON SCHEMA "pg-odd" TO odd_owner;
GRANT USAGE ON SCHEMA "pg-odd" TO PUBLIC;

GRANT SELECT ON "Upper" TO PUBLIC;
GRANT SELECT (id), UPDATE ("Id") ON "Upper" TO "Odd Reader" WITH GRANT OPTION;
GRANT ALL ON "with ""quotes"" and 'apostrophes'" TO odd_granter WITH GRANT OPTION;
SET ROLE odd_granter;
GRANT SELECT ON "with ""quotes"" and 'apostrophes'" TO odd_grantee WITH GRANT OPTION;
SET ROLE odd_grantee;
GRANT SELECT ON "with ""quotes"" and 'apostrophes'" TO PUBLIC;
RESET ROLE;
GRANT USAGE ON SEQUENCE at_max TO "Odd Reader";
REVOKE EXECUTE ON FUNCTION over(int) FROM PUBLIC;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON DOMAIN positive TO odd_owner;
GRANT SELECT, UPDATE ON LARGE OBJECT 800002 TO "Odd Reader";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO "Odd Reader";
\if :has_hstore
REVOKE EXECUTE ON FUNCTION public.akeys(public.hstore) FROM PUBLIC;
\endif
\if :has_postgres_fdw
GRANT USAGE ON FOREIGN SERVER "far away" TO odd_owner;
ALTER SERVER "far away" OWNER TO odd_owner;
\endif
\if :pg17
GRANT MAINTAIN ON "upper" TO "Odd Reader";
\endif

-- An owner who may neither write nor read what is his.
CREATE TABLE disowned (id int PRIMARY KEY, a text);
INSERT INTO disowned VALUES (1, 'x'), (2, 'y');
CREATE TABLE refers_to_disowned (id int REFERENCES disowned);
INSERT INTO refers_to_disowned VALUES (1);
ALTER TABLE disowned OWNER TO odd_owner;
REVOKE ALL ON disowned FROM odd_owner;

ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner GRANT SELECT ON TABLES TO "Odd Reader";
ALTER DEFAULT PRIVILEGES FOR ROLE "odd ""quoted"" owner's" IN SCHEMA x GRANT ALL ON SEQUENCES TO odd_owner WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

COMMENT ON SCHEMA "pg-odd" IS 'it''s "odd"';
COMMENT ON TABLE "with ""quotes"" and 'apostrophes'" IS E'\n--\n-- Name: x; Type: TABLE; Schema: y; Owner: z\n--\n\nSET x = y;\n\\restrict abc\n';
COMMENT ON COLUMN "with ""quotes"" and 'apostrophes'"."a ""column""" IS E'tab\t, newline\n, \\ backslash';
COMMENT ON COLUMN "new
line"."b
c" IS 'a column with a newline';
COMMENT ON VIEW v1 IS '';
COMMENT ON VIEW v2 IS 'a view on a view';
COMMENT ON MATERIALIZED VIEW filled IS $$it's $1 %s$$;
COMMENT ON FUNCTION over(int) IS 'one of several';
COMMENT ON FUNCTION "late
binding"() IS 'x';
COMMENT ON PROCEDURE proceed IS 'x';
COMMENT ON AGGREGATE "last one"(text) IS 'x';
COMMENT ON OPERATOR <<| (int, int) IS 'x';
COMMENT ON OPERATOR CLASS "backwards ops" USING btree IS 'x';
COMMENT ON OPERATOR FAMILY "odd family" USING btree IS 'x';
COMMENT ON TYPE mood IS 'x';
COMMENT ON TYPE "Pair" IS 'x';
COMMENT ON COLUMN "Pair"."the ""y""" IS 'x';
COMMENT ON DOMAIN small_positive IS 'x';
COMMENT ON CONSTRAINT "it's small" ON DOMAIN small_positive IS 'x';
COMMENT ON CONSTRAINT "laid by" ON hen IS 'x';
COMMENT ON INDEX "an index's ""name""" IS 'x';
COMMENT ON SEQUENCE "Odd seq" IS 'x';
COMMENT ON TRIGGER "d e" ON "a b c" IS 'x';
COMMENT ON RULE "also log" ON ruled IS 'x';
COMMENT ON POLICY "own rows" ON hidden IS 'x';
COMMENT ON STATISTICS "odd stats" IS 'x';
COMMENT ON COLLATION "C too" IS 'x';
COMMENT ON CONVERSION "odd conversion" IS 'x';
COMMENT ON TEXT SEARCH CONFIGURATION "odd search" IS 'x';
COMMENT ON TEXT SEARCH DICTIONARY "odd dict" IS 'x';
COMMENT ON ACCESS METHOD odd_heap IS 'x';
COMMENT ON CAST (mood AS int) IS 'x';
COMMENT ON LANGUAGE plodd IS 'x';
COMMENT ON LARGE OBJECT 800002 IS E'a hole\nof 3 MB';
COMMENT ON PUBLICATION everything IS 'x';
COMMENT ON EVENT TRIGGER "log ddl" IS 'x';
\if :has_postgres_fdw
COMMENT ON SERVER "far away" IS 'x';
COMMENT ON FOREIGN TABLE "far table" IS 'x';
\endif
COMMENT ON DATABASE :"DBNAME" IS E'the database''s\nown comment';

-- Settings that later sessions start with: each has changed what a careless tool reads, or ended it.
ALTER DATABASE :"DBNAME" SET search_path = public, "pg-odd", pg_catalog;
ALTER DATABASE :"DBNAME" SET datestyle = 'SQL, DMY';
ALTER DATABASE :"DBNAME" SET intervalstyle = 'sql_standard';
ALTER DATABASE :"DBNAME" SET extra_float_digits = -5;
ALTER DATABASE :"DBNAME" SET bytea_output = 'escape';
ALTER DATABASE :"DBNAME" SET timezone = 'Asia/Kathmandu';
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'serializable';
-- PostgreSQL 19 has no strings but standard ones.
SELECT current_setting('server_version_num')::int < 190000 AS escapes \gset
\if :escapes
ALTER DATABASE :"DBNAME" SET standard_conforming_strings = off;
\endif
ALTER DATABASE :"DBNAME" SET quote_all_identifiers = on;
ALTER DATABASE :"DBNAME" SET idle_in_transaction_session_timeout = '3s';
ALTER DATABASE :"DBNAME" SET statement_timeout = '60s';
ALTER ROLE "Odd Reader" IN DATABASE :"DBNAME" SET work_mem = '123MB';
ALTER ROLE odd_owner IN DATABASE :"DBNAME" SET application_name = 'it''s odd';
\if :pg17
ALTER DATABASE :"DBNAME" SET transaction_timeout = '90s';
\endif
