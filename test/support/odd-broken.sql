-- What lives in a database and can't be restored from its dump: a backup of it is not proven, and the report has to say why.
CREATE SCHEMA broken;

-- Names an index, as data: indexes are made after the data is in (42P01).
CREATE TABLE broken.names_an_index (id int PRIMARY KEY, i regclass);
INSERT INTO broken.names_an_index VALUES (1, 'broken.names_an_index_pkey');

-- A row that its constraint would refuse by now (23514).
CREATE FUNCTION broken.fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE TABLE broken.once_fine (a int CHECK (broken.fine(a)));
INSERT INTO broken.once_fine VALUES (-1);
CREATE OR REPLACE FUNCTION broken.fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';

-- An index and a materialized view whose function finds its table by search_path, which is empty during a restore (42P01).
CREATE TABLE public.looked_up (a int);
INSERT INTO public.looked_up VALUES (1);
CREATE FUNCTION broken.unqualified(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + count(*) FROM public.looked_up';
CREATE TABLE broken.indexed (a int);
INSERT INTO broken.indexed VALUES (1);
CREATE INDEX by_unqualified ON broken.indexed (broken.unqualified(a));
CREATE MATERIALIZED VIEW broken.unqualified_rows AS SELECT broken.unqualified(1) AS n;
SET check_function_bodies = off;
CREATE OR REPLACE FUNCTION broken.unqualified(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + count(*) FROM looked_up';
