-- Half of the database: one table of events with wide jsonb. Rows are stored in the order of their numbers.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
INSERT INTO events
SELECT id, 1 + floor(power(seed.share(id, :seed + 10), 2) * :accounts)::bigint,
  timestamptz '2024-01-01 00:00:00+00' + id * interval '0.83 seconds' + seed.share(id, :seed + 11) * interval '40 seconds',
  kinds[1 + floor(power(seed.share(id, :seed + 12), 3) * 12)::int],
  CASE WHEN seed.share(id, :seed + 13) < 0.6 THEN round((exp(seed.share(id, :seed + 14) * 8))::numeric, 2) END,
  jsonb_build_object(
    'request', md5((id + :seed)::text)::uuid, 'path', '/' || split_part(line, ' ', 2) || '/' || split_part(line, ' ', 5) || '/' || id % 9973,
    'status', (ARRAY[200, 200, 200, 200, 204, 301, 304, 404, 500])[1 + floor(seed.share(id, :seed + 15) * 9)::int],
    'took_ms', round((exp(seed.share(id, :seed + 16) * 7))::numeric, 3), 'agent', agents[1 + floor(power(seed.share(id, :seed + 17), 2) * 6)::int],
    'client', format('10.%s.%s.%s', id % 7, (id / 7) % 251, floor(seed.share(id, :seed + 18) * 254)::int), 'retry', seed.share(id, :seed + 19) < 0.05,
    'geo', jsonb_build_object('lat', round((seed.share(id, :seed + 20) * 180 - 90)::numeric, 5), 'lon', round((seed.share(id, :seed + 21) * 360 - 180)::numeric, 5)),
    'cart', jsonb_build_array(
      jsonb_build_object('sku', 'S-' || floor(seed.share(id, :seed + 22) * 40000)::int, 'quantity', 1 + id % 4, 'price', round((seed.share(id, :seed + 23) * 200)::numeric, 2)),
      jsonb_build_object('sku', 'S-' || floor(seed.share(id, :seed + 24) * 40000)::int, 'quantity', 1 + id % 3, 'price', round((seed.share(id, :seed + 25) * 90)::numeric, 2))),
    'labels', to_jsonb(string_to_array(substr(line, 100 + (id % 300)::int, 60), ' ')), 'message', substr(line, 200 + (id % 400)::int, 40 + (id % 160)::int)),
  CASE WHEN seed.share(id, :seed + 26) < 0.5 THEN substr(line, 1 + (id % 600)::int, 20 + floor(exp(seed.share(id, :seed + 27) * 5.5))::int) END
FROM generate_series(1::bigint, :events) AS id
JOIN seed.lines ON n = floor(seed.share(id, :seed + 28) * :lines)::int,
  (SELECT ARRAY['view', 'search', 'click', 'cart', 'login', 'order', 'payment', 'refund', 'logout', 'invite', 'export', 'error'] AS kinds,
    ARRAY['Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148', 'shop-app/7.41.2 (Android 14)', 'shop-app/7.40.0 (iOS 17.5)', 'curl/8.8.0'] AS agents) AS chosen;
