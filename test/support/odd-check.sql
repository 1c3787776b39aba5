-- Constraints whose functions read another table. pg_dump knows nothing of that: it loads the checked table first (23514),
-- so a plain pg_restore --exit-on-error fails. Loading the failed table again, after the rest, succeeds.
CREATE SCHEMA rules;
CREATE TABLE rules.z_allowed (kind text PRIMARY KEY);
INSERT INTO rules.z_allowed VALUES ('a'), ('b');
CREATE FUNCTION rules.is_allowed(kind text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM rules.z_allowed z WHERE z.kind = $1) $$;
CREATE TABLE rules.a_checked (id int PRIMARY KEY, kind text CHECK (rules.is_allowed(kind)));
INSERT INTO rules.a_checked VALUES (1, 'a'), (2, 'b'), (3, 'b');
CREATE DOMAIN rules.allowed AS text CHECK (rules.is_allowed(VALUE));
CREATE TABLE rules.b_by_domain (id int PRIMARY KEY, kind rules.allowed);
INSERT INTO rules.b_by_domain VALUES (1, 'a'), (2, 'a');
