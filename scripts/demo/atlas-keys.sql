-- The sample database "atlas", once its rows are in.
ALTER TABLE regions ADD FOREIGN KEY (country) REFERENCES countries;
ALTER TABLE districts ADD FOREIGN KEY (region) REFERENCES regions;
ALTER TABLE cities ADD FOREIGN KEY (country) REFERENCES countries, ADD FOREIGN KEY (region) REFERENCES regions, ADD FOREIGN KEY (district) REFERENCES districts;
ALTER TABLE flights ADD FOREIGN KEY (origin) REFERENCES airports, ADD FOREIGN KEY (destination) REFERENCES airports;
ALTER TABLE renamed ADD FOREIGN KEY (city) REFERENCES cities ON DELETE CASCADE;

CREATE INDEX cities_by_name ON cities (country, name);
CREATE INDEX late_flights ON flights (origin, departs) WHERE delay > 60;
CREATE INDEX earthquake_details ON earthquakes USING gin (details jsonb_path_ops);

CREATE FUNCTION severity_of(magnitude float8) RETURNS severity LANGUAGE sql IMMUTABLE
  AS $$ SELECT CASE WHEN magnitude < 4 THEN 'light'::severity WHEN magnitude < 6 THEN 'moderate' ELSE 'strong' END $$;
ALTER FUNCTION severity_of SET search_path = public;
CREATE FUNCTION note_rename() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN INSERT INTO public.renamed (city, was, now) VALUES (OLD.id, OLD.name, NEW.name); RETURN NULL; END $$;
CREATE TRIGGER note_rename AFTER UPDATE OF name ON cities FOR EACH ROW WHEN (OLD.name::text <> NEW.name::text) EXECUTE FUNCTION note_rename();

CREATE VIEW places AS
  SELECT c.id, c.name, d.name AS district, r.name AS region, n.name AS country
  FROM cities c JOIN countries n ON n.code = c.country LEFT JOIN regions r ON r.code = c.region LEFT JOIN districts d ON d.code = c.district;
CREATE VIEW strong_earthquakes AS SELECT id, at, magnitude, details ->> 'place' AS place FROM earthquakes WHERE severity_of(magnitude) = 'strong';
CREATE MATERIALIZED VIEW cities_a_country AS
  SELECT n.code, n.name, count(c.id) AS cities FROM countries n LEFT JOIN cities c ON c.country = n.code GROUP BY n.code, n.name;
CREATE UNIQUE INDEX ON cities_a_country (code);

COMMENT ON TABLE cities IS 'Populated places of GeoNames (geonames.org, CC BY 4.0)';
COMMENT ON COLUMN cities.quadrant IS 'N or S of the equator, E or W of Greenwich';
COMMENT ON TABLE earthquakes IS 'One week of the US Geological Survey''s feed';

DO $$ BEGIN
  CREATE ROLE atlas_reader NOLOGIN;
EXCEPTION WHEN duplicate_object THEN NULL; -- roles belong to the whole server
END $$;
GRANT SELECT ON cities, countries, places TO atlas_reader;
GRANT UPDATE (name) ON cities TO atlas_reader;

UPDATE cities SET name = 'Wien' WHERE name = 'Vienna' AND country = 'AT';
ANALYZE;
