-- A login trigger that writes (PostgreSQL 17 and newer; nothing on older ones): whoever connects to a restored copy changes it,
-- unless the connection sets event_triggers to off. The row count is the number of connections made.
SELECT :SERVER_VERSION_NUM >= 170000 AS pg17 \gset
\if :pg17
CREATE TABLE public.logins (at timestamptz DEFAULT clock_timestamp(), who name DEFAULT session_user);
CREATE FUNCTION public.log_login() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.logins DEFAULT VALUES; END $$;
CREATE EVENT TRIGGER "log login" ON login EXECUTE FUNCTION public.log_login();
\endif
