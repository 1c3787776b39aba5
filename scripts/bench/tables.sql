-- The bench's database: what rows go into. Indexes and keys come after the rows, in keys.sql.
-- :seed makes it; the same seed and size give the same rows on every machine.
CREATE SCHEMA seed;

-- A number from 0 up to 1 that depends on nothing but its arguments.
CREATE FUNCTION seed.share(number bigint, salt bigint) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (hashint8extended(number, salt) & 4503599627370495) / 4503599627370496.0::double precision;

-- Words, the first ones short and used often, as in a language: the share of word n falls as 1/n.
CREATE TABLE seed.words (rank int PRIMARY KEY, word text NOT NULL);
INSERT INTO seed.words
SELECT rank, initcase || string_agg(syllables[1 + (seed.share(rank * 10 + part, :seed + 1) * 40)::int], '' ORDER BY part) || ending
FROM (SELECT rank, CASE WHEN rank > 50 AND seed.share(rank, :seed + 2) < 0.04 THEN 'É' ELSE '' END AS initcase,
    CASE WHEN seed.share(rank, :seed + 3) < 0.08 THEN ',' WHEN seed.share(rank, :seed + 3) < 0.13 THEN '.' ELSE '' END AS ending
  FROM generate_series(1, 6000) AS rank) AS ranks,
  LATERAL generate_series(1, 1 + (ln(rank) / 4 + seed.share(rank, :seed + 4))::int) AS part,
  (SELECT string_to_array('a be co da en fi gu ha in jo ka le ma no or pe qui ra so tu un ve wi xa yo ze sta tri blo gra sch pla ing ted mer lon est and ver ion ter', ' ') AS syllables) AS language
GROUP BY rank, initcase, ending;

-- Lines of some 1,000 characters. Rows cut their text from here at odd places: as hard to compress as the words are, since a line
-- comes again only after far more text than a compressor looks back upon.
CREATE TABLE seed.lines (n int PRIMARY KEY, line text NOT NULL);
INSERT INTO seed.lines
SELECT n, string_agg(word, ' ' ORDER BY k)
FROM generate_series(0, :lines - 1) AS n, generate_series(1, 180) AS k
JOIN LATERAL (SELECT 1 + floor(exp(seed.share(n::bigint * 1000 + k, :seed + 5) * ln(5999)))::int AS rank) AS drawn ON true
JOIN seed.words USING (rank)
GROUP BY n;
ANALYZE seed.lines;

CREATE TABLE accounts (
  id bigint NOT NULL, name text NOT NULL, email text NOT NULL, country char(2) NOT NULL,
  created timestamptz NOT NULL, balance numeric(14,2) NOT NULL, settings jsonb NOT NULL
);
CREATE TABLE events (
  id bigint NOT NULL, account bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, amount numeric(12,2), payload jsonb NOT NULL, note text
);
CREATE TABLE documents (id bigint NOT NULL, account bigint NOT NULL, title text NOT NULL, body text NOT NULL, tags text[] NOT NULL, written date NOT NULL);
CREATE TABLE orders (id bigint NOT NULL, account bigint NOT NULL, placed timestamptz NOT NULL, status text NOT NULL, total numeric(12,2) NOT NULL);
CREATE TABLE order_lines (order_id bigint NOT NULL, line smallint NOT NULL, product int NOT NULL, quantity int NOT NULL, price numeric(10,2) NOT NULL, ships date);
CREATE TABLE readings (
  id bigint NOT NULL, sensor int NOT NULL, at timestamptz NOT NULL, value double precision NOT NULL, quality smallint NOT NULL, raw numeric(10,4), day date NOT NULL
);
SELECT format('CREATE TABLE lookup_%s (id int NOT NULL, code text NOT NULL, label text NOT NULL, account bigint NOT NULL, weight numeric(8,3) NOT NULL, valid_from date NOT NULL)',
  to_char(n, 'FM000')) FROM generate_series(1, :lookups) AS n \gexec
