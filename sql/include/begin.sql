-- What each file begins with: the extension, the simulator as the account of
-- the server "hubspot", and the schema sim, to see and set what it does.

\getenv port HUBSPOT_SIMULATOR_PORT
\getenv control_port HUBSPOT_SIMULATOR_CONTROL_PORT
\set simulator 'http://127.0.0.1:' :port
\set control 'http://127.0.0.1:' :control_port
\set SHOW_CONTEXT never
-- what is set for the server is not for the tests
ALTER DATABASE :"DBNAME" SET hubspot_assoc.server = 'hubspot';
ALTER DATABASE :"DBNAME" SET hubspot_assoc.progress_interval = '10s';
ALTER DATABASE :"DBNAME" SET hubspot_assoc.max_requests = 0;
ALTER DATABASE :"DBNAME" SET hubspot_assoc.allowed_hosts = '*.hubapi.com, localhost, 127.0.0.1, [::1]';
\c -
SET client_min_messages = warning;
-- of what comes with the years
SET hubspot_assoc.version_warnings = off;
-- a server under valgrind needs longer
\set slowdown 1
\getenv slowdown TEST_SLOWDOWN
SELECT 60 * :slowdown || 's' AS patience \gset
SET statement_timeout = :'patience';

CREATE EXTENSION hubspot_assoc;
CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc
	OPTIONS (base_url :'simulator', rate_limit '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token 'test-token');
CREATE SERVER sim_control FOREIGN DATA WRAPPER hubspot_assoc
	OPTIONS (base_url :'control', rate_limit '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER sim_control OPTIONS (access_token 'none');

CREATE SCHEMA sim;

-- One request to the simulator's control port; its answer.
CREATE FUNCTION sim.control(method text, path text, body jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
	reply record;
BEGIN
	SELECT * INTO STRICT reply FROM hs_assoc_request(method, path, $3, 'sim_control');
	IF reply.http_status <> 200 THEN
		RAISE 'simulator: % % %', method, path, reply.body;
	END IF;
	RETURN reply.body;
END $$;

-- Change settings: bad_batch, context, id_form, ...
CREATE PROCEDURE sim.set(settings jsonb)
LANGUAGE plpgsql AS $$ BEGIN PERFORM sim.control('POST', '/settings', settings); END $$;

-- Another account, empty; with scopes it may do no more than these.
CREATE PROCEDURE sim.account(token text, scopes text[] DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/accounts', jsonb_build_object('token', token, 'scopes', scopes));
END $$;

-- Have these records of a type, and no others, not exist.
CREATE PROCEDURE sim.missing(type text, VARIADIC ids text[])
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/objects', jsonb_build_object('type', type, 'missing', ids));
END $$;

-- Records that look-ups find: of a list of {"id", "properties"}, or as many as
-- "generate" says. Those that are there get other values.
CREATE PROCEDURE sim.records(type text, records jsonb DEFAULT NULL, generate jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/records', jsonb_strip_nulls(
		jsonb_build_object('type', type, 'generate', generate)) ||
		CASE WHEN records IS NULL THEN '{}' ELSE jsonb_build_object('records', records) END);
END $$;

-- One record, or other values of it.
CREATE PROCEDURE sim.record(type text, id text, properties jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.records(type, jsonb_build_array(jsonb_build_object('id', id, 'properties', properties)));
END $$;

CREATE PROCEDURE sim.delete_record(type text, id text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('DELETE', format('/records?type=%s&id=%s', type, id));
END $$;

-- Makes one record of two: variant is survivor, new or vanished. The id that stays.
CREATE FUNCTION sim.merge(type text, id text, into_id text, variant text DEFAULT 'survivor', new_id text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN sim.control('POST', '/records/merge', jsonb_build_object(
		'type', type, 'id', id, 'into', into_id, 'variant', variant, 'new_id', new_id))->>'id';
END $$;

-- A property of the account's own.
CREATE PROCEDURE sim.property(type text, name text, is_unique bool DEFAULT false)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/properties', jsonb_build_object('type', type, 'name', name, 'unique', is_unique));
END $$;

-- Have the requests that match answered by an action, instead of earlier rules.
CREATE PROCEDURE sim.rule(action jsonb, match jsonb DEFAULT '{}')
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('DELETE', '/rules');
	PERFORM sim.control('POST', '/rules', jsonb_build_object('match', match, 'action', action));
END $$;

CREATE PROCEDURE sim.no_rule()
LANGUAGE plpgsql AS $$ BEGIN PERFORM sim.control('DELETE', '/rules'); END $$;

-- The requests since the last look.
CREATE FUNCTION sim.requests(OUT request text, OUT status int, OUT body text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
DECLARE
	log jsonb := sim.control('GET', '/log');
BEGIN
	PERFORM sim.control('DELETE', '/log');
	RETURN QUERY
	SELECT (entry->>'method') || ' ' || (entry->>'path') ||
		CASE WHEN entry->>'query' <> '' THEN '?' || (entry->>'query') ELSE '' END,
		(entry->>'status')::int, entry->>'body'
	FROM jsonb_array_elements(log->'requests') WITH ORDINALITY AS entries (entry, n)
	ORDER BY n;
END $$;

CREATE PROCEDURE sim.forget_requests()
LANGUAGE plpgsql AS $$ BEGIN PERFORM sim.control('DELETE', '/log'); END $$;

-- How many requests came as far as an operation, and with how many inputs, since the start.
CREATE FUNCTION sim.counts(operation text, OUT requests int, OUT inputs int)
LANGUAGE plpgsql AS $$
DECLARE
	counts jsonb := sim.control('GET', '/stats')->'operations'->operation;
BEGIN
	requests := coalesce(counts->>'requests', '0');
	inputs := coalesce(counts->>'inputs', '0');
END $$;

-- The associations that an account holds; their types as "category=number".
CREATE FUNCTION sim.holds(from_type text, to_type text, token text DEFAULT 'test-token',
	OUT from_id text, OUT to_id text, OUT types text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY
	SELECT a->>'from_id', a->>'to_id',
		(SELECT string_agg((t->>'category') || '=' || (t->>'type_id'), ', '
				ORDER BY t->>'category', (t->>'type_id')::int)
			FROM jsonb_array_elements(a->'types') AS t)
	FROM jsonb_array_elements(sim.control('GET',
			format('/associations?from_type=%s&to_type=%s&token=%s', from_type, to_type, token))
		->'associations') AS a
	ORDER BY (a->>'from_id')::numeric, (a->>'to_id')::numeric;
END $$;

-- Leave no association, no rule, no request in the log, and no record missing.
CREATE PROCEDURE sim.forget()
LANGUAGE plpgsql AS $$ BEGIN PERFORM sim.control('POST', '/reset'); END $$;

-- The outcome of a command: "ok" (it is rolled back nevertheless), or its error.
CREATE FUNCTION sim.try(command text,
	OUT outcome text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RAISE SQLSTATE 'ALLOK';
EXCEPTION
	WHEN SQLSTATE 'ALLOK' THEN
		outcome := 'ok';
	WHEN OTHERS THEN
		outcome := SQLSTATE;
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			hint = PG_EXCEPTION_HINT;
END $$;

\set ECHO all
