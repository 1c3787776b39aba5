-- Keys and indexes, once the rows are in.
ALTER TABLE accounts ADD PRIMARY KEY (id), ADD UNIQUE (email);
CREATE INDEX accounts_created ON accounts (created);
ALTER TABLE events ADD PRIMARY KEY (id), ADD FOREIGN KEY (account) REFERENCES accounts;
CREATE INDEX events_account_at ON events (account, at);
CREATE INDEX events_kind ON events (kind) WHERE kind <> 'view';
CREATE INDEX events_status ON events ((payload ->> 'status'));
ALTER TABLE documents ADD PRIMARY KEY (id), ADD FOREIGN KEY (account) REFERENCES accounts;
CREATE INDEX documents_written ON documents (written);
CREATE INDEX documents_title ON documents (title);
ALTER TABLE orders ADD PRIMARY KEY (id), ADD FOREIGN KEY (account) REFERENCES accounts;
CREATE INDEX orders_placed ON orders (placed);
ALTER TABLE order_lines ADD PRIMARY KEY (order_id, line), ADD FOREIGN KEY (order_id) REFERENCES orders;
CREATE INDEX order_lines_product ON order_lines (product);
ALTER TABLE readings ADD PRIMARY KEY (id);
CREATE INDEX readings_sensor_at ON readings (sensor, at);
SELECT format('ALTER TABLE lookup_%1$s ADD PRIMARY KEY (id), ADD UNIQUE (code), ADD FOREIGN KEY (account) REFERENCES accounts', to_char(n, 'FM000'))
FROM generate_series(1, :lookups) AS n \gexec
DROP SCHEMA seed CASCADE;
VACUUM (ANALYZE);
CHECKPOINT;
