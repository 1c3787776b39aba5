-- Code: functions, operators, views, rules, triggers, policies, text search, event triggers.

-- Bodies and texts that read as lines of a dump.
CREATE FUNCTION "looks like a dump"() RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
  RETURN $x$
--
-- Name: x; Type: TABLE; Schema: y; Owner: z
--

SET search_path = 'nowhere';
SELECT pg_catalog.set_config('search_path', '', false);
\restrict abcdef
\connect elsewhere
COPY public.t (a) FROM stdin;
1
\.
\unrestrict abcdef
-- Name: x; Type: COMMENT; Schema: -; Owner: -
ALTER TABLE public.t OWNER TO nobody;
$x$;
END
$body$;
CREATE FUNCTION "f(int, text); --"("a ""b""" int, VARIADIC "rest's" text[] DEFAULT '{}', OUT "out" text) LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 7 AS $$ SELECT a || array_to_string(b, ',') FROM (SELECT $1, $2) s (a, b) $$;
CREATE FUNCTION over(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION over(text) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION over("Pair", mood[] DEFAULT '{"it''s \"odd\", {so}"}') RETURNS TABLE (a int, "b c" text) LANGUAGE sql ROWS 3 AS $$ SELECT 1, 'x' $$;
CREATE FUNCTION atomic(a int DEFAULT 3) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM "select" WHERE "from" < a; END;
CREATE FUNCTION defined_elsewhere() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = "pg-odd", pg_temp SET datestyle = 'SQL, DMY' AS $$ SELECT current_date::text $$;
CREATE FUNCTION "late
binding"() RETURNS SETOF record LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT * FROM no_such_table'; END $$;
CREATE PROCEDURE proceed(INOUT a int, IN b text DEFAULT NULL) LANGUAGE plpgsql AS $$ BEGIN COMMIT; a := a + 1; END $$;
CREATE FUNCTION "call plodd"() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION "run plodd"(internal) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION "check plodd"(oid) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE LANGUAGE plodd HANDLER "call plodd" INLINE "run plodd" VALIDATOR "check plodd";
CREATE FUNCTION in_plodd() RETURNS int LANGUAGE plodd AS 'BEGIN RETURN 1; END';

CREATE FUNCTION keep_last(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $2';
CREATE AGGREGATE "last one" (text) (SFUNC = keep_last, STYPE = text, INITCOND = 'it''s', PARALLEL = SAFE);
CREATE AGGREGATE quartile (float8 ORDER BY float8) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_cont_float8_final);
CREATE AGGREGATE star(*) (SFUNC = int8inc, STYPE = int8, INITCOND = 0);

CREATE FUNCTION backwards_lt(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > $2';
CREATE FUNCTION backwards_gt(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
CREATE FUNCTION backwards_cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR <<| (LEFTARG = int, RIGHTARG = int, FUNCTION = backwards_lt, COMMUTATOR = |>>, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR |>> (LEFTARG = int, RIGHTARG = int, FUNCTION = backwards_gt, COMMUTATOR = <<|);
CREATE FUNCTION negate(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -$1';
CREATE OPERATOR @#@ (RIGHTARG = int, FUNCTION = negate);
CREATE OPERATOR FAMILY "odd family" USING btree;
CREATE OPERATOR CLASS "backwards ops" FOR TYPE int USING btree FAMILY "odd family" AS OPERATOR 1 <<|, OPERATOR 3 pg_catalog.=(int, int), OPERATOR 5 |>>, FUNCTION 1 backwards_cmp(int, int);
CREATE INDEX backwards ON indexed (id "backwards ops");

-- A cast from a row to text that says nothing of the row.
CREATE TABLE silent (a int, secret text);
INSERT INTO silent VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION say_nothing(silent) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'nothing' $$;
CREATE CAST (silent AS text) WITH FUNCTION say_nothing(silent) AS IMPLICIT;
CREATE CAST (mood AS int) WITH INOUT AS ASSIGNMENT;
CREATE CAST (shout AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));

-- Names of PostgreSQL's own functions, found first when search_path puts public before pg_catalog (odd-owners.sql does).
CREATE FUNCTION public.hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
CREATE FUNCTION public.octet_length(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0';
CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';

-- Views.
CREATE VIEW v1 AS SELECT "from" AS "select", "table" FROM "select" WHERE "from" > 0;
CREATE VIEW v2 AS SELECT *, '
-- Name: x; Type: VIEW; Schema: y; Owner: z
' AS header FROM v1 WHERE "select" < 100;
CREATE VIEW checked AS SELECT "select", "table" FROM v1 WHERE "select" > 1 WITH CASCADED CHECK OPTION;
CREATE VIEW barrier WITH (security_barrier, check_option = local) AS SELECT a FROM silent WHERE a > 0;
CREATE RECURSIVE VIEW counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 10;
CREATE VIEW "no columns view" AS SELECT FROM "no columns";
-- Valid by the primary key alone, so pg_dump writes it twice: as a stand-in, and after the key.
CREATE VIEW by_key AS SELECT e.id, e.hen, count(*) FROM egg e JOIN hen h ON h.id = e.hen GROUP BY e.id;
CREATE VIEW over_by_key AS SELECT id FROM by_key;
CREATE TABLE will_rename (a int, b int);
CREATE VIEW renamed AS SELECT a, b FROM will_rename;
ALTER TABLE will_rename RENAME a TO "a again";
ALTER VIEW renamed ALTER COLUMN b SET DEFAULT 5;
\if :pg15
CREATE VIEW invoked WITH (security_invoker = true) AS SELECT * FROM silent;
\endif
CREATE MATERIALIZED VIEW filled AS SELECT b, count(*) AS n FROM indexed GROUP BY b;
CREATE UNIQUE INDEX ON filled (b);
CREATE MATERIALIZED VIEW "on filled" AS SELECT sum(n) AS total FROM filled WITH DATA;
CREATE MATERIALIZED VIEW not_filled AS SELECT * FROM filled WITH NO DATA;
CREATE MATERIALIZED VIEW stale AS SELECT now() AS made, count(*) AS n FROM "same rows";
INSERT INTO "same rows" VALUES (3, 'after the materialized view');

-- Rules and triggers.
CREATE TABLE ruled (a int);
INSERT INTO ruled VALUES (1);
CREATE TABLE rule_log (a int, at text DEFAULT 'rule');
CREATE RULE "also log" AS ON INSERT TO ruled DO ALSO INSERT INTO rule_log VALUES (NEW.a);
CREATE RULE "never delete" AS ON DELETE TO ruled WHERE OLD.a > 0 DO INSTEAD NOTHING;
ALTER TABLE ruled ENABLE REPLICA RULE "never delete";
CREATE RULE "insert a view" AS ON INSERT TO v1 DO INSTEAD INSERT INTO "select" ("from") VALUES (NEW."select") RETURNING "from", "table";
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trigger % of % was fired', TG_NAME, TG_TABLE_NAME; END $$;
CREATE FUNCTION change_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.i := NEW.i + 1000; RETURN NEW; END $$;
-- pg_dump gives both the same header. One always fires: it would change the rows, were it there when they are loaded.
CREATE TABLE "a b c" (i int);
CREATE TABLE "a b c d" (i int);
INSERT INTO "a b c" VALUES (1);
INSERT INTO "a b c d" VALUES (2);
CREATE TRIGGER "d e" BEFORE INSERT OR UPDATE OF i ON "a b c" FOR EACH ROW WHEN (NEW.i > 0) EXECUTE FUNCTION change_row();
CREATE TRIGGER "e" BEFORE INSERT ON "a b c d" FOR EACH ROW EXECUTE FUNCTION change_row();
ALTER TABLE "a b c d" ENABLE ALWAYS TRIGGER "e";
CREATE TRIGGER "off" BEFORE TRUNCATE ON "same rows" EXECUTE FUNCTION refuse('it''s', '\', E'\n');
ALTER TABLE "same rows" DISABLE TRIGGER "off";
CREATE TRIGGER "in replica" AFTER DELETE ON replicated REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION refuse();
ALTER TABLE replicated ENABLE REPLICA TRIGGER "in replica";
CREATE CONSTRAINT TRIGGER "checked last" AFTER INSERT ON hen FROM egg DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER instead INSTEAD OF UPDATE ON v2 FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER on_parts AFTER DELETE ON by_range FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE by_range_2 DISABLE TRIGGER on_parts;

-- Row security that also holds its owner.
CREATE TABLE hidden (id int PRIMARY KEY, owner name, secret text);
INSERT INTO hidden VALUES (1, 'nobody', 'a'), (2, 'nobody', 'b');
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY "own rows" ON hidden USING (owner = current_user) WITH CHECK (owner = current_user AND secret NOT LIKE '%''%');
CREATE POLICY "odd ""policy""" ON hidden AS RESTRICTIVE FOR SELECT TO "Odd Reader", "odd ""quoted"" owner's" USING (EXISTS (SELECT FROM silent s WHERE s.a = hidden.id));
CREATE TABLE no_policy (a int);
INSERT INTO no_policy VALUES (1);
ALTER TABLE no_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY asleep ON silent FOR DELETE USING (false);

-- Text search, conversions, publications, event triggers.
CREATE TEXT SEARCH DICTIONARY "odd dict" (TEMPLATE = simple, StopWords = english, Accept = false);
CREATE TEXT SEARCH CONFIGURATION "odd search" (COPY = english);
ALTER TEXT SEARCH CONFIGURATION "odd search" ALTER MAPPING FOR asciiword, word WITH "odd dict", english_stem;
ALTER TEXT SEARCH CONFIGURATION "odd search" DROP MAPPING FOR url;
CREATE TEXT SEARCH TEMPLATE odd_template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH PARSER odd_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE CONVERSION "odd conversion" FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
SET client_min_messages = error; -- it warns of wal_level
CREATE PUBLICATION "some tables" FOR TABLE "Upper", ONLY parent WITH (publish = 'insert', publish_via_partition_root = true);
CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert');
CREATE PUBLICATION nothing;
\if :pg15
CREATE PUBLICATION "some rows" FOR TABLE egg WHERE (id > 1), TABLES IN SCHEMA x, "x.y" WITH (publish = 'insert');
CREATE PUBLICATION "some columns" FOR TABLE egg (id, hen) WITH (publish = 'insert');
\endif
-- Belongs to no server: never connects. A database that holds it can only be dropped after DROP SUBSCRIPTION.
CREATE SUBSCRIPTION "odd subscription" CONNECTION 'host=127.0.0.1 port=1 user=far password=subscription-password dbname=x' PUBLICATION a, "b c" WITH (connect = false, slot_name = NONE, enabled = false, create_slot = false);
SET client_min_messages = warning;
CREATE TABLE ddl_log (at timestamptz DEFAULT now(), tag text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "pg-odd".ddl_log (tag) VALUES (tg_tag); END $$;
CREATE FUNCTION refuse_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % here', tg_tag; END $$;
CREATE EVENT TRIGGER "log ddl" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION log_ddl();
ALTER EVENT TRIGGER "log ddl" ENABLE REPLICA;
CREATE EVENT TRIGGER "refuse drops" ON sql_drop EXECUTE FUNCTION refuse_ddl();
ALTER EVENT TRIGGER "refuse drops" DISABLE;
\if :pg17
CREATE FUNCTION greet() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('odd.greeted', session_user, false); END $$;
CREATE EVENT TRIGGER "at login" ON login EXECUTE FUNCTION greet();
ALTER EVENT TRIGGER "at login" ENABLE ALWAYS;
\endif
