-- The other half: documents, numbers, orders, accounts, and some hundreds of small tables.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
INSERT INTO accounts
SELECT id, initcap(split_part(line, ' ', 3) || ' ' || split_part(line, ' ', 8)), format('%s%s@example.org', lower(split_part(line, ' ', 4)), id),
  (ARRAY['AT', 'BR', 'CA', 'DE', 'FR', 'IN', 'JP', 'NG', 'PL', 'US'])[1 + floor(power(seed.share(id, :seed + 40), 2) * 10)::int],
  timestamptz '2019-01-01 00:00:00+00' + seed.share(id, :seed + 41) * interval '1800 days', round((seed.share(id, :seed + 42) * 90000 - 9000)::numeric, 2),
  jsonb_build_object('theme', CASE WHEN id % 3 = 0 THEN 'dark' ELSE 'light' END, 'newsletter', id % 5 = 0, 'about', substr(line, 40, (id % 120)::int))
FROM generate_series(1::bigint, :accounts) AS id JOIN seed.lines ON n = floor(seed.share(id, :seed + 43) * :lines)::int;

INSERT INTO documents
SELECT id, 1 + floor(seed.share(id, :seed + 50) * :accounts)::bigint, substr(min(line), 10, 30 + (id % 40)::int),
  string_agg(substr(line, 1 + (id % 97)::int), E'\n' ORDER BY part), string_to_array(substr(min(line), 300, 50), ' '), date '2015-01-01' + (id % 3650)::int
FROM generate_series(1::bigint, :documents) AS id, LATERAL generate_series(1, 1 + (id % 7)::int) AS part
JOIN LATERAL (SELECT floor(seed.share(id * 8 + part, :seed + 51) * :lines)::int AS n) AS drawn ON true JOIN seed.lines USING (n)
GROUP BY id ORDER BY id;

INSERT INTO orders
SELECT id, 1 + floor(power(seed.share(id, :seed + 60), 2) * :accounts)::bigint, timestamptz '2022-01-01 00:00:00+00' + id * interval '31 seconds',
  (ARRAY['paid', 'paid', 'paid', 'sent', 'sent', 'open', 'returned'])[1 + floor(seed.share(id, :seed + 61) * 7)::int], round((exp(seed.share(id, :seed + 62) * 9))::numeric, 2)
FROM generate_series(1::bigint, :orders) AS id;

INSERT INTO order_lines
SELECT id, line, floor(power(seed.share(id * 8 + line, :seed + 63), 2) * 40000)::int, 1 + ((id + line) % 5)::int, round((exp(seed.share(id * 8 + line, :seed + 64) * 7))::numeric, 2),
  CASE WHEN seed.share(id, :seed + 65) < 0.8 THEN date '2022-01-02' + (id / 2800)::int END
FROM generate_series(1::bigint, :orders) AS id, LATERAL generate_series(1, 1 + (id % 7)::int) AS line;

INSERT INTO readings
SELECT id, (id % 5000)::int, timestamptz '2023-01-01 00:00:00+00' + (id / 5000) * interval '5 minutes', 20 + 8 * sin(id / 700.0) + seed.share(id, :seed + 70),
  (seed.share(id, :seed + 71) * 100)::smallint, CASE WHEN id % 9 > 0 THEN round((seed.share(id, :seed + 72) * 99999)::numeric, 4) END, date '2023-01-01' + (id / 1440000)::int
FROM generate_series(1::bigint, :readings) AS id;

SELECT format($sql$INSERT INTO lookup_%1$s
  SELECT id, 'C-' || id || '-%1$s', substr(line, 1 + id %% 500, 15 + id %% 70), 1 + floor(seed.share(id, %2$s) * %3$s)::bigint, round((seed.share(id, %2$s + 1) * 9999)::numeric, 3), date '2020-01-01' + id %% 2000
  FROM generate_series(1, %4$s * (1 + %5$s %% 9) / 5) AS id JOIN seed.lines ON n = floor(seed.share(id, %2$s + 2) * %6$s)::int$sql$,
  to_char(n, 'FM000'), :seed + 100 + 10 * n, :accounts, :lookup_rows, n, :lines) FROM generate_series(1, :lookups) AS n \gexec
