-- A database full of odd but legal objects. Each of them has misled some tool that reads, dumps, restores or compares
-- databases. Everything in here survives `pg_dump -Fc` and `pg_restore --exit-on-error --no-subscriptions` by the same
-- major; what does not is in odd-check.sql (fails on restore) and odd-lossy.sql (comes back different).
--
-- Loaded by psql with ON_ERROR_STOP by a superuser into a database with UTF8, by odd-objects.ts. PostgreSQL 14 to 18.
-- Roles are made when missing: several databases of one cluster can hold this zoo, also when loaded at the same time.

SET client_min_messages = warning;
SET check_function_bodies = on;

SELECT :SERVER_VERSION_NUM >= 150000 AS pg15, :SERVER_VERSION_NUM >= 160000 AS pg16,
       :SERVER_VERSION_NUM >= 170000 AS pg17, :SERVER_VERSION_NUM >= 180000 AS pg18,
       EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') AS has_icu,
       (SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression') AS has_lz4,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS has_citext,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') AS has_hstore,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'ltree') AS has_ltree,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') AS has_btree_gist,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw') AS has_postgres_fdw,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw') AS has_file_fdw \gset

DO $$ BEGIN
  PERFORM '<a/>'::text::xml;
  PERFORM set_config('odd.xml', 'on', false);
EXCEPTION WHEN feature_not_supported THEN
  PERFORM set_config('odd.xml', 'off', false);
END $$;
SELECT current_setting('odd.xml') AS has_xml \gset

DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['odd_owner', 'odd "quoted" owner''s', 'Odd Reader', 'odd_granter', 'odd_grantee'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database's load was first
    END;
  END LOOP;
END $$;

CREATE SCHEMA "pg-odd";
CREATE SCHEMA empty_schema;
SET search_path = "pg-odd", public;

\ir odd-names.sql
\ir odd-types.sql
\ir odd-tables.sql
\ir odd-code.sql
\ir odd-owners.sql
