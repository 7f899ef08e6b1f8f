--
-- A database in which the pages of the documentation can be typed word for word:
-- with what they take for granted, and with the simulator in HubSpot's place
--
-- For psql, as a superuser, in the top of the tree:
--   psql -v simulator=http://127.0.0.1:PORT -v control=http://127.0.0.1:PORT -f test/try/start.sql
--
\ir ../fixture.sql

-- A server whose address is HubSpot's, by default or by name, gets the simulator's.
CREATE SCHEMA demo;
SELECT format($function$
CREATE FUNCTION demo.use_simulator() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
	simulator CONSTANT text := %L;
	server    record;
BEGIN
	FOR server IN
		SELECT srvname, option_value AS url
		FROM pg_event_trigger_ddl_commands() JOIN pg_foreign_server AS s ON classid = 'pg_foreign_server'::regclass AND objid = s.oid
			JOIN pg_foreign_data_wrapper AS w ON srvfdw = w.oid AND fdwname = 'hubspot_assoc'
			LEFT JOIN pg_options_to_table(srvoptions) ON option_name = 'base_url'
		WHERE coalesce(option_value, 'https://api.hubapi.com') LIKE 'https://%%.hubapi.com'
	LOOP
		EXECUTE format('ALTER SERVER %%I OPTIONS (%%s base_url %%L)', server.srvname,
			CASE WHEN server.url IS NULL THEN 'ADD' ELSE 'SET' END, simulator);
	END LOOP;
END $$
$function$, :'simulator') \gexec
CREATE EVENT TRIGGER use_simulator ON ddl_command_end WHEN TAG IN ('CREATE SERVER', 'ALTER SERVER')
	EXECUTE FUNCTION demo.use_simulator();
