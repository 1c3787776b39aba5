-- What restores without a word, and comes back different.
CREATE SCHEMA lossy;

-- The child's columns change places on restore; whole rows of it, kept as values elsewhere, do not
-- follow. Their text stays the same: only (r).own tells.
CREATE TABLE lossy.parent (a text);
CREATE TABLE lossy.child (own text) INHERITS (lossy.parent);
ALTER TABLE lossy.parent ADD COLUMN added text;
CREATE TABLE lossy.keeps_rows (id int, r lossy.child);
INSERT INTO lossy.keeps_rows VALUES (1, ROW('the parent''s', 'the child''s', 'the parent''s later one'));

-- A function that says IMMUTABLE and is not: the generated column is computed anew.
CREATE SEQUENCE lossy.calls;
CREATE FUNCTION lossy.not_immutable() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN nextval('lossy.calls'); END $$;
CREATE TABLE lossy.generated (id int, g bigint GENERATED ALWAYS AS (lossy.not_immutable() + id) STORED);
INSERT INTO lossy.generated (id) VALUES (1), (2);
SELECT setval('lossy.calls', 500) \g /dev/null

-- IS DISTINCT FROM can't name its operator: read back with an empty search_path, the trigger compares as text, no more without case.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') AS has_citext \gset
\if :has_citext
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TABLE lossy.renamed (name citext);
CREATE FUNCTION lossy.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON lossy.renamed FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION lossy.note();
\endif
