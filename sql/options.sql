--
-- Options of servers and user mappings, and settings
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

CREATE FUNCTION try_server_option(name text, value text,
	OUT outcome text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE sql AS $$
	SELECT (sim.try(format('CREATE SERVER tried FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (%I %L)', name, value))).*
$$;

CREATE FUNCTION try_token(value text,
	OUT outcome text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE sql AS $$
	SELECT (sim.try(format('CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token %L)', value))).*
$$;

--
-- Values that are right
--
SELECT name, value, outcome, message
FROM (VALUES
	('api_version', 'v4'),
	('api_version', '2025-09'),
	('api_version', '2026-03'),
	('api_version', '2026-09-beta'),
	('api_version', '2031-03'),
	('connect_timeout', '1ms'),
	('connect_timeout', '5s'),
	('connect_timeout', '0.5 s'),
	('connect_timeout', '1h'),
	('request_timeout', '1500ms'),
	('request_timeout', '2min'),
	('max_retries', '0'),
	('max_retries', '100'),
	('max_retry_delay', '1ms'),
	('max_retry_delay', '1d'),
	('concurrency', '1'),
	('concurrency', '64'),
	('batch_size', '1'),
	('key_cache', '0s'),
	('key_cache', '1h'),
	('batch_size', '2000'),
	('rate_limit', '0'),
	('rate_limit', '190'),
	('rate_limit', '1000'),
	('proxy', 'http://proxy.example:3128'),
	('proxy', 'https://proxy.example:3128'),
	('proxy', 'socks5h://proxy.example:1080'),
	('ca_file', '/etc/ssl/certs/private.pem'),
	('user_agent', 'nightly job/2.0 (etl@example.com)')) AS v (name, value),
	LATERAL try_server_option(name, value);

--
-- Values that are wrong: what is allowed stands in the hint
--
SELECT name, outcome, message, hint
FROM (VALUES
	('api_version', 'v3'),
	('base_url', 'api.hubapi.com'),
	('batch_size', 'many'),
	('ca_file', 'private.pem'),
	('concurrency', '0'),
	('connect_timeout', '10'),
	('max_retries', '-1'),
	('max_retry_delay', 'soon'),
	('proxy', 'proxy.example'),
	('rate_limit', 'none'),
	('request_timeout', '0s'),
	('user_agent', '')) AS v (name, value),
	LATERAL try_server_option(name, value)
\gx

SELECT name, replace(value, E'\n', '\n') AS value, outcome
FROM (VALUES
	('api_version', ''),
	('api_version', 'v'),
	('api_version', 'V4'),
	('api_version', 'v4/'),
	('api_version', '4'),
	('api_version', '2025-08'),
	('api_version', '2025-03'),
	('api_version', '2025-03-beta'),
	('api_version', '2026-04'),
	('api_version', '2026-12'),
	('api_version', '2026-09-alpha'),
	('api_version', '2026-09-BETA'),
	('api_version', '2026-09-beta2'),
	('api_version', '2026-09beta'),
	('api_version', 'v4-beta'),
	('api_version', '2026-3'),
	('api_version', '2026-00'),
	('api_version', '2026-13'),
	('api_version', '2026-03-01'),
	('api_version', '2026/03'),
	('api_version', '202a-03'),
	('api_version', ' 2026-03'),
	('api_version', E'2026-03\n'),
	('connect_timeout', ''),
	('connect_timeout', 's'),
	('connect_timeout', '5'),
	('connect_timeout', '0x10'),
	('connect_timeout', '0x1f'),
	('connect_timeout', '-5s'),
	('connect_timeout', '0ms'),
	('connect_timeout', '1us'),
	('connect_timeout', '5 seconds'),
	('connect_timeout', '5S'),
	('connect_timeout', '3601s'),
	('connect_timeout', '2h'),
	('request_timeout', '61min'),
	('request_timeout', '99999999999999999999s'),
	('max_retry_delay', '25h'),
	('max_retries', ''),
	('max_retries', '101'),
	('max_retries', '1.5'),
	('max_retries', '5s'),
	('max_retries', '99999999999'),
	('concurrency', '65'),
	('concurrency', '-1'),
	('concurrency', 'four'),
	('batch_size', '0'),
	('key_cache', '0'),
	('key_cache', '3601s'),
	('batch_size', '2001'),
	('rate_limit', '-1'),
	('rate_limit', '1001'),
	('rate_limit', '1.0'),
	('ca_file', ''),
	('ca_file', '../private.pem'),
	('proxy', ''),
	('proxy', 'proxy.example:3128'),
	('proxy', 'ftp://proxy.example'),
	('proxy', 'http://user:word@proxy.example:3128'),
	('proxy', 'http://proxy.example/path'),
	('proxy', 'http://proxy.example:99999'),
	('user_agent', E'two\nlines'),
	('user_agent', 'müßig')) AS v (name, value),
	LATERAL try_server_option(name, value);
SELECT length(value), outcome
FROM (VALUES (repeat('x', 4096)), (repeat('x', 4097))) AS v (value), try_server_option('user_agent', value);

--
-- base_url: a scheme, a host, a port and nothing else; plain http only to this machine
--
SELECT value, outcome, message
FROM (VALUES
	-- right
	('https://api.hubapi.com'),
	('https://api.hubapi.com/'),
	('https://api.hubapi.com:443'),
	('https://api-eu1.hubapi.com'),
	('HTTPS://API.HubAPI.com'),
	('https://localhost'),
	('https://[::1]:8443'),
	('http://localhost'),
	('http://LOCALHOST:1/'),
	('http://127.0.0.1:65535'),
	('http://[::1]:80/')) AS v (value),
	LATERAL try_server_option('base_url', value);

SELECT replace(value, E'\n', '\n') AS value, outcome
FROM (VALUES
	-- plain http to another machine, or to what only looks like this one
	('http://api.hubapi.com'),
	('http://localhost.'),
	('http://localhost.example.com'),
	('http://127.0.0.1.example.com'),
	('http://127.0.0.256'),
	('http://127.0.0.0001'),
	('http://127.1'),
	('http://2130706433'),
	('http://0x7f000001'),
	('http://0.0.0.0'),
	('http://128.0.0.1'),
	('http://[::]'),
	('http://[::2]'),
	('http://[::ffff:127.0.0.1]'),
	-- a user name, and hosts that hide behind one
	('https://user@api.hubapi.com'),
	('https://user:word@api.hubapi.com'),
	('https://api.hubapi.com@evil.example'),
	('http://localhost@evil.example'),
	('http://localhost:80@evil.example'),
	('http://localhost#@evil.example'),
	('http://localhost?@evil.example'),
	('http://localhost/@evil.example'),
	('http://localhost\@evil.example'),
	('http://localhost;@evil.example'),
	('http://localhost%40evil.example'),
	('http://localhost evil.example'),
	(E'http://localhost\nevil.example'),
	-- a path, a query, a fragment
	('https://api.hubapi.com/crm'),
	('https://api.hubapi.com//'),
	('https://api.hubapi.com/?'),
	('https://api.hubapi.com?portal=1'),
	('https://api.hubapi.com#'),
	-- ports
	('https://api.hubapi.com:'),
	('https://api.hubapi.com:0'),
	('https://api.hubapi.com:65536'),
	('https://api.hubapi.com:000443'),
	('https://api.hubapi.com:443x'),
	('https://api.hubapi.com:-1'),
	('https://api.hubapi.com:443:443'),
	-- hosts
	('https://'),
	('https:///'),
	('https://:443'),
	('https://api hubapi.com'),
	('https://api.hubapi.com%2eevil.example'),
	('https://api_1.hubapi.com'),
	('https://äpi.hubapi.com'),
	('https://api.hubapi.com,evil.example'),
	('https://*.hubapi.com'),
	('https://::1'),
	('https://[::1'),
	('https://[]'),
	('https://[::1]x'),
	('https://[fe80::1%25eth0]'),
	('https://[api.hubapi.com]'),
	-- schemes
	(''),
	('https'),
	('https:/api.hubapi.com'),
	('//api.hubapi.com'),
	(' https://api.hubapi.com'),
	('https://api.hubapi.com '),
	('file:///etc/passwd'),
	('gopher://localhost'),
	('ftp://localhost')) AS v (value),
	LATERAL try_server_option('base_url', value);

--
-- hubspot_assoc.allowed_hosts, when a server is created
--
SHOW hubspot_assoc.allowed_hosts;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'https://intranet.example.com');
\echo :LAST_ERROR_SQLSTATE
SELECT value, outcome, message
FROM (VALUES
	('https://hubapi.com'),					-- *.hubapi.com is below it
	('https://.hubapi.com'),
	('https://evilhubapi.com'),
	('https://api.hubapi.com.example.com'),
	('https://api.hubapi.com.'),
	('https://10.0.0.1'),
	('https://169.254.169.254'),
	('https://[fd00::1]'),
	('http://127.0.0.2')) AS v (value),
	LATERAL try_server_option('base_url', value);
ALTER SERVER hubspot OPTIONS (SET base_url 'https://intranet.example.com');
SET hubspot_assoc.allowed_hosts = 'intranet.example.com';
SELECT value, outcome, message
FROM (VALUES
	('https://intranet.example.com:8443'),
	('https://INTRANET.example.com'),
	('https://x.intranet.example.com'),
	('https://api.hubapi.com')) AS v (value),
	LATERAL try_server_option('base_url', value);

-- ... and when it is used, too
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM hs_assoc_request('GET', '/');
SET hubspot_assoc.allowed_hosts = '';
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
-- an account that has no base_url goes to api.hubapi.com, which isn't allowed here
CREATE SERVER plain FOREIGN DATA WRAPPER hubspot_assoc;
CREATE USER MAPPING FOR CURRENT_USER SERVER plain OPTIONS (access_token 'test-token');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'plain');
SET hubspot_assoc.allowed_hosts = 'localhost', '127.0.0.1';
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
RESET hubspot_assoc.allowed_hosts;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

-- ... and what it may hold itself
SELECT value, outcome, detail
FROM (VALUES
	('api.hubapi.com'),
	('*.hubapi.com,api.example.com'),
	('[::1], 10.0.0.1'),
	(''),
	('*'),
	('*.'),
	('*hubapi.com'),
	('api.*.com'),
	('https://api.hubapi.com'),
	('api.hubapi.com/'),
	('api.hubapi.com:443'),
	('localhost, [::1]:80'),
	('user@api.hubapi.com')) AS v (value),
	LATERAL sim.try(format('SET hubspot_assoc.allowed_hosts = %L', value));

-- only a superuser may set it, also before the library is loaded
CREATE ROLE regress_hubspot_user;
SET ROLE regress_hubspot_user;
SET hubspot_assoc.allowed_hosts = '*.example.com';
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
\c
SET hubspot_assoc.version_warnings = off;
SET client_min_messages = error;
SET SESSION AUTHORIZATION regress_hubspot_user;
-- a preloaded library refuses it at once
DO $$ BEGIN
	SET hubspot_assoc.allowed_hosts = '*.example.com';
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
SHOW hubspot_assoc.allowed_hosts;
RESET SESSION AUTHORIZATION;
RESET client_min_messages;

--
-- Names that are wrong: the closest right one is the hint
--
CREATE SERVER tried FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_ulr 'https://api.hubapi.com');
\echo :LAST_ERROR_SQLSTATE
SELECT name, outcome, message, hint
FROM (VALUES
	('Base_URL'),
	('baseurl'),
	('apiversion'),
	('batchsize'),
	('max_retry'),
	('max_retries_delay'),
	('request_timeouts'),
	('concurency'),
	('ratelimit'),
	('cafile'),
	('useragent')) AS v (name), LATERAL try_server_option(name, 'x');
CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (acces_token 'pat-secret');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (ADD token 'pat-secret');

-- Right names in the wrong place
CREATE SERVER tried FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (access_token 'pat-secret');
\echo :LAST_ERROR_SQLSTATE
CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (base_url 'https://api.hubapi.com');
ALTER FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (ADD base_url 'https://api.hubapi.com');
CREATE FOREIGN TABLE tried (id text) SERVER hubspot OPTIONS (base_url 'https://api.hubapi.com');

--
-- The token: shown by no error
--
CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'pat secret');
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token E'pat-secret\nX-Header: 1');
SELECT length(value) AS length, outcome, message, position('pat-' IN concat(message, detail, hint)) AS shown_at
FROM (VALUES
	('pat-na1-00000000-0000-0000-0000-000000000000'),
	('!~"''\'),
	(''),
	(' '),
	('pat-secret '),
	(E'pat-secret\t'),
	(E'pat-secret\u007f'),
	('pat-sécret'),
	(repeat('x', 4096)),
	('pat-' || repeat('x', 4093))) AS v (value), LATERAL try_token(value);

--
-- A user mapping has one source of tokens: a token, a file or OAuth's three options
--
CREATE FUNCTION try_mapping(options text,
	OUT outcome text, OUT message text, OUT hint text, OUT shown boolean)
LANGUAGE sql AS $$
	SELECT tried.outcome, tried.message, tried.hint,
		concat(tried.message, tried.detail, tried.hint) ~ 'shown'
	FROM sim.try(format('CREATE USER MAPPING FOR PUBLIC SERVER hubspot %s', options)) AS tried
$$;

SELECT options, outcome, message, hint
FROM (VALUES
	-- right
	(''),
	($$OPTIONS (access_token 'x')$$),
	($$OPTIONS (access_token_file '/run/secrets/hubspot')$$),
	($$OPTIONS (refresh_token 'x', client_secret 'x', client_id 'x')$$),
	($$OPTIONS (access_token 'x', proxy_username 'x')$$),
	($$OPTIONS (access_token 'x', proxy_username 'x', proxy_password 'x')$$),
	-- a password of nobody
	($$OPTIONS (access_token 'x', proxy_password 'x')$$),
	-- more than one
	($$OPTIONS (access_token 'x', access_token_file '/run/secrets/hubspot')$$),
	($$OPTIONS (access_token 'x', client_id 'x', client_secret 'x', refresh_token 'x')$$),
	($$OPTIONS (access_token_file '/x', client_id 'x', client_secret 'x', refresh_token 'x')$$),
	($$OPTIONS (access_token 'x', access_token_file '/x', refresh_token 'x')$$),
	-- a part of the three
	($$OPTIONS (client_id 'x')$$),
	($$OPTIONS (client_secret 'x')$$),
	($$OPTIONS (refresh_token 'x')$$),
	($$OPTIONS (client_id 'x', client_secret 'x')$$),
	($$OPTIONS (client_id 'x', refresh_token 'x')$$),
	($$OPTIONS (client_secret 'x', refresh_token 'x')$$)) AS v (options),
	LATERAL try_mapping(options)
\gx

-- wrong values, which are not shown but for a file's name
SELECT name, replace(value, E'\n', '\n') AS value, outcome, message, hint, shown
FROM (VALUES
	('access_token_file', ''),
	('access_token_file', 'token'),
	('access_token_file', '~/token'),
	('client_id', ''),
	('client_id', 'shown id'),
	('client_secret', ''),
	('client_secret', 'shown secret'),
	('client_secret', E'shown\n'),
	('refresh_token', ''),
	('refresh_token', 'shown tökén'),
	('proxy_username', ''),
	('proxy_username', 'shown:'),
	('proxy_password', 'shown password')) AS v (name, value),
	LATERAL try_mapping(format('OPTIONS (%I %L)', name, value))
\gx
SELECT name, outcome, shown
FROM (VALUES ('client_id'), ('client_secret'), ('refresh_token'), ('proxy_username'), ('proxy_password')) AS v (name),
	LATERAL try_mapping(format('OPTIONS (%I %L)', name, 'shown' || repeat('x', 4092)));
SELECT name, outcome, hint
FROM (VALUES ('acess_token_file'), ('clientid'), ('client_secrets'), ('refresh-token')) AS v (name),
	LATERAL try_mapping(format('OPTIONS (%I ''x'')', name));
CREATE SERVER tried FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (refresh_token 'x');

-- from one to another, in one command
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (ADD client_id 'x', ADD client_secret 'x', ADD refresh_token 'x');
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot
	OPTIONS (DROP access_token, ADD client_id 'x', ADD client_secret 'x', ADD refresh_token 'x');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (DROP client_secret);
\echo :LAST_ERROR_SQLSTATE
SELECT ok, error_category, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot
	OPTIONS (DROP client_id, DROP client_secret, DROP refresh_token, ADD access_token_file '/nonexistent/token');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (DROP access_token_file, ADD access_token 'test-token');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

--
-- ALTER: what is wrong is refused, what is right counts from the next call
--
ALTER SERVER hubspot OPTIONS (ADD concurrency '0');
ALTER SERVER hubspot OPTIONS (ADD api_version 'v5');
SELECT srvoptions[2:] AS options FROM pg_foreign_server WHERE srvname = 'hubspot';
CALL sim.forget_requests();
ALTER SERVER hubspot OPTIONS (ADD api_version 'v4', ADD user_agent 'options.sql');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER SERVER hubspot OPTIONS (SET api_version '2025-09', SET user_agent 'options.sql, changed');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER SERVER hubspot OPTIONS (DROP api_version, DROP user_agent);
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
SELECT entry->>'path' AS path, entry->'headers'->>'user-agent' AS user_agent
FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry
ORDER BY entry->'n';
SELECT srvoptions[2:] AS options FROM pg_foreign_server WHERE srvname = 'hubspot';

-- a mapping without a token, and with one again
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (DROP access_token);
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (ADD access_token 'test-token');
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

-- max_retries: attempts after the first
CALL sim.rule('{"status": 503}');
ALTER SERVER hubspot OPTIONS (ADD max_retries '2', ADD max_retry_delay '1ms');
SELECT ok, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER SERVER hubspot OPTIONS (SET max_retries '0');
SELECT ok, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

-- request_timeout
CALL sim.rule('{"hang": true}');
ALTER SERVER hubspot OPTIONS (ADD request_timeout '50ms');
SELECT ok, http_status, error_category FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER SERVER hubspot OPTIONS (DROP request_timeout, DROP max_retries, DROP max_retry_delay);
CALL sim.forget();

-- concurrency and batch_size
CALL sim.set('{"latency_ms": 100}');
ALTER SERVER hubspot OPTIONS (ADD concurrency '1', ADD batch_size '2');
SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, n AS to_id FROM generate_series(1, 7) AS n');
SELECT stats->'requests' AS requests, stats->'max_in_flight' AS max_in_flight
FROM sim.control('GET', '/stats') AS stats;
ALTER SERVER hubspot OPTIONS (SET concurrency '3');
SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, n AS to_id FROM generate_series(1, 7) AS n');
SELECT stats->'requests' AS requests, stats->'max_in_flight' AS max_in_flight
FROM sim.control('GET', '/stats') AS stats;
ALTER SERVER hubspot OPTIONS (DROP concurrency, DROP batch_size);
CALL sim.set('{"latency_ms": 0}');

--
-- Options that only a superuser may set
--
GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO regress_hubspot_user;
GRANT USAGE ON SCHEMA sim TO regress_hubspot_user;
SET ROLE regress_hubspot_user;
CREATE SERVER theirs FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (proxy 'http://localhost:3128');
\echo :LAST_ERROR_SQLSTATE
SELECT name, outcome, message, hint
FROM (VALUES
	('base_url', 'https://api.hubapi.com'),
	('base_url', 'https://10.0.0.1'),
	('api_version', 'v4'),
	('connect_timeout', '1s'),
	('request_timeout', '1s'),
	('max_retries', '1'),
	('max_retry_delay', '1s'),
	('concurrency', '1'),
	('batch_size', '1'),
	('rate_limit', '1'),
	('user_agent', 'me'),
	('proxy', 'http://localhost:3128'),
	('proxy', 'wrong, but not for them to know'),
	('ca_file', '/etc/passwd')) AS v (name, value),
	LATERAL try_server_option(name, value);
CREATE SERVER theirs FOREIGN DATA WRAPPER hubspot_assoc;
ALTER SERVER theirs OPTIONS (ADD ca_file '/etc/passwd');
CREATE USER MAPPING FOR CURRENT_USER SERVER theirs OPTIONS (access_token 'my-token');
RESET ROLE;
-- what a superuser has set, they may drop
ALTER SERVER theirs OPTIONS (ADD ca_file '/etc/ssl/certs/private.pem');
SET ROLE regress_hubspot_user;
ALTER SERVER theirs OPTIONS (SET ca_file '/etc/passwd');
ALTER SERVER theirs OPTIONS (DROP ca_file);
ALTER USER MAPPING FOR CURRENT_USER SERVER theirs OPTIONS (DROP access_token, ADD access_token_file '/etc/passwd');
\echo :LAST_ERROR_SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER theirs
	OPTIONS (DROP access_token, ADD client_id 'x', ADD client_secret 'x', ADD refresh_token 'x');
ALTER USER MAPPING FOR CURRENT_USER SERVER theirs OPTIONS (ADD proxy_username 'x');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

--
-- Settings
--
SHOW hubspot_assoc.server;
SHOW hubspot_assoc.progress_interval;
SET ROLE regress_hubspot_user;
SET hubspot_assoc.server = 'theirs';
SET hubspot_assoc.progress_interval = '1min';
SHOW hubspot_assoc.progress_interval;
SET hubspot_assoc.progress_interval = 0;
RESET ROLE;
SELECT outcome FROM sim.try('SET hubspot_assoc.progress_interval = -1');
SELECT outcome FROM sim.try('SET hubspot_assoc.progress_interval = ''soon''');
SELECT outcome FROM sim.try('SET hubspot_assoc.servr = ''hubspot''');
RESET hubspot_assoc.progress_interval;
SET hubspot_assoc.server = 'nobody';
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
SET hubspot_assoc.server = '';
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
-- the argument goes before it
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'hubspot');
RESET hubspot_assoc.server;

DROP OWNED BY regress_hubspot_user CASCADE;
DROP ROLE regress_hubspot_user;
DROP FUNCTION try_server_option, try_token, try_mapping;
\set ECHO none
\i :end
