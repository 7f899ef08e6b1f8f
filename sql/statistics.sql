--
-- What was sent, and how much of the rate is used. Without the library in
-- shared_preload_libraries it is this session's; test/t/190_shared.pl has the rest.
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

CREATE ROLE regress_hubspot_nobody;
CREATE ROLE regress_hubspot_monitor IN ROLE pg_monitor;
ALTER SERVER hubspot OPTIONS (ADD max_retries '1', ADD max_retry_delay '1ms');
CREATE VIEW counted AS
SELECT requests, retries, rate_limited AS "429", inputs, confirmed, failed, skipped, errors
FROM hs_assoc_stat() WHERE server = 'hubspot';
CREATE VIEW throttled AS
SELECT server, rate_limit, used, free_at - now() BETWEEN '5 s' AND '11 s' AS free_later,
	parked_until - now() BETWEEN '0' AND '5 s' AS parked
FROM hs_assoc_throttle() WHERE server <> 'sim_control';
CREATE PROCEDURE single(id bigint DEFAULT 1) LANGUAGE plpgsql AS
$$ BEGIN PERFORM hs_assoc_create_default('contacts', id, 'companies', 2); END $$;

--
-- Nobody has used the account
--
TABLE counted;
TABLE throttled;

--
-- Requests, inputs, and what became of them
--
CALL single();
TABLE counted;
SELECT hs_assoc_stat_reset('hubspot');
TABLE counted;

CALL sim.missing('contacts', '13', '14');
SELECT input_no, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT from_id, to_id, type_id FROM (VALUES (11, 21, 279), (12, 22, 279), (13, 23, 279), (14, 24, 279),
		(NULL, 25, 279), (16, NULL, 279), (12, 22, 1)) AS v (from_id, to_id, type_id)') ORDER BY 1;
TABLE counted;
-- the first failure ends the statement, but not what HubSpot has done
SELECT hs_assoc_stat_reset('hubspot');
SELECT outcome FROM sim.try($$SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(11, 20) AS i', on_error => 'raise')$$);
TABLE counted;
CALL sim.forget();

-- a record counts once, however many pages its associations have
SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT 1 + i / 4 AS from_id, i AS to_id FROM generate_series(1, 9) AS i');
SELECT hs_assoc_stat_reset('hubspot');
CALL sim.set('{"page_size": 2}');
SELECT count(to_id) FROM hs_assoc_batch_read('contacts', 'companies', '{1, 2, 3, 4}'::text[]);
SELECT inputs, confirmed, failed, requests > 1 AS pages FROM counted;
CALL sim.set('{"page_size": 500}');

-- what has no inputs
SELECT hs_assoc_stat_reset('hubspot');
SELECT count(*) > 0 AS found FROM hs_assoc_labels('contacts', 'companies');
SELECT http_status FROM hs_assoc_request('GET', '/crm/nothing');
TABLE counted;

--
-- Retries, and the answers that ask for less
--
SELECT hs_assoc_stat_reset('hubspot');
CALL sim.rule('{"status": 503}', '{"first": 1}');
CALL single();
TABLE counted;
CALL sim.rule('{"status": 503}');
CALL single();
TABLE counted;
CALL sim.rule('{"status": 429, "headers": {"Retry-After": "3600"}}');
CALL single();
TABLE counted;
CALL sim.no_rule();

--
-- Errors: so many categories are counted apart, the others together
--
SELECT hs_assoc_stat_reset('hubspot');
DO $$
DECLARE
	category text;
BEGIN
	FOR category IN
		SELECT 'CATEGORY_' || i FROM generate_series(1, 45) AS i
		UNION ALL VALUES ('other'), (repeat('x', 63)), (repeat('x', 64)), (E'"\\'), ('ONE_TOO_MANY'),
			('CATEGORY_45'), ('ONE_TOO_MANY')
	LOOP
		CALL sim.rule(jsonb_build_object('status', 400, 'body', jsonb_build_object('category', category)));
		CALL single();
	END LOOP;
	CALL sim.no_rule();
END $$;
SELECT failed, (SELECT sum(value::int) FROM jsonb_each_text(errors)) AS all_errors,
	(SELECT count(*) FROM jsonb_object_keys(errors)) AS categories FROM counted;
SELECT e.key, e.value FROM counted, jsonb_each(errors) AS e
WHERE e.key !~ '^CATEGORY_1?\d$' ORDER BY e.key COLLATE "C";

--
-- Bytes of bodies, and time
--
SELECT hs_assoc_stat_reset('hubspot');
CALL sim.forget_requests();
SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 10) AS i');
SELECT s.bytes_sent = (SELECT sum(octet_length(body)) FROM sim.requests()) AS sent,
	s.bytes_received > 1000 AS received
FROM hs_assoc_stat() AS s WHERE server = 'hubspot';
SELECT hs_assoc_stat_reset('hubspot');
CALL sim.rule('{"text": "{\"n\": 1}", "delay_ms": 40}', '{"nth": 2}');
SELECT (hs_assoc_request('GET', '/any')).http_status FROM generate_series(1, 2);
CALL sim.rule('{"text": "{\"n\": 1}"}');
SELECT body FROM hs_assoc_request('POST', '/any', '{"a": "ä"}');
SELECT bytes_sent, max_request_time BETWEEN 40 AND 10000 AS longest, request_time > max_request_time AS all_together
FROM hs_assoc_stat() WHERE server = 'hubspot';
SELECT hs_assoc_stat_reset('hubspot');
SELECT body FROM hs_assoc_request('GET', '/any');
SELECT bytes_sent, bytes_received, since BETWEEN statement_timestamp() - interval '1 min' AND clock_timestamp() AS since
FROM hs_assoc_stat() WHERE server = 'hubspot';
CALL sim.no_rule();

-- the request for an access token is one like others
SELECT sim.control('POST', '/oauth', '{"client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}') IS NOT NULL AS made;
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot
	OPTIONS (DROP access_token, ADD client_id 'id', ADD client_secret 'secret', ADD refresh_token 'refresh');
SELECT hs_assoc_stat_reset('hubspot');
CALL single();
CALL single();
TABLE counted;
SELECT bytes_sent > 0 AS sent FROM hs_assoc_stat() WHERE server = 'hubspot';

--
-- The throttle
--
CREATE SERVER slow FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url :'simulator', rate_limit '2');
CREATE USER MAPPING FOR PUBLIC SERVER slow OPTIONS (access_token 'test-token');
SET hubspot_assoc.server = slow;
SELECT * FROM throttled WHERE server = 'slow';
CALL single();
SELECT * FROM throttled WHERE server = 'slow';
CALL single();
SELECT * FROM throttled WHERE server = 'slow';
-- one too many waits, and takes no place when it is canceled
SET statement_timeout = '50ms';
CALL single();
SET statement_timeout = :'patience';
SELECT * FROM throttled WHERE server = 'slow';
-- counting anew doesn't free a place
SELECT hs_assoc_stat_reset();
SELECT * FROM throttled WHERE server = 'slow';
-- a changed limit holds at once
ALTER SERVER slow OPTIONS (SET rate_limit '3');
SELECT * FROM throttled WHERE server = 'slow';
CALL single();
ALTER SERVER slow OPTIONS (SET rate_limit '0');
CALL single();
SELECT * FROM throttled WHERE server = 'slow';
-- parked
CALL sim.rule('{"status": 429, "headers": {"Retry-After": "5"}}', '{"first": 1}');
SET statement_timeout = '300ms';
CALL single();
SET statement_timeout = :'patience';
SELECT * FROM throttled WHERE server = 'slow';
SELECT free_at = parked_until AS until_then FROM hs_assoc_throttle() WHERE server = 'slow';

--
-- Servers that are gone, and those that are not ours
--
SELECT server, requests FROM hs_assoc_stat() WHERE server <> 'sim_control' ORDER BY 1;
DROP SERVER slow CASCADE;
SELECT server FROM hs_assoc_stat();
SELECT server FROM hs_assoc_throttle();
CREATE SERVER slow FOREIGN DATA WRAPPER hubspot_assoc;
SELECT server FROM hs_assoc_stat();
CREATE FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE SERVER another FOREIGN DATA WRAPPER regress_hubspot_other;
SELECT server, rate_limit, free_at, parked_until FROM hs_assoc_throttle();
SELECT outcome, message FROM sim.try('SELECT hs_assoc_stat_reset(''another'')');
SELECT outcome, message FROM sim.try('SELECT hs_assoc_stat_reset(''nobody'')');
DROP FOREIGN DATA WRAPPER regress_hubspot_other CASCADE;
SET hubspot_assoc.server = hubspot;

-- all of them
SELECT hs_assoc_stat_reset(NULL);
SELECT server, requests FROM hs_assoc_stat();

--
-- Who may look, and who may set to zero
--
SELECT role, stat.outcome AS stat, throttle.outcome AS throttle, reset.outcome AS reset
FROM (VALUES ('regress_hubspot_nobody'), ('regress_hubspot_monitor')) AS r (role),
	LATERAL sim.try(format($$SET LOCAL ROLE %I; SELECT count(*) FROM hs_assoc_stat()$$, role)) AS stat,
	LATERAL sim.try(format($$SET LOCAL ROLE %I; SELECT count(*) FROM hs_assoc_throttle()$$, role)) AS throttle,
	LATERAL sim.try(format($$SET LOCAL ROLE %I; SELECT hs_assoc_stat_reset()$$, role)) AS reset;

DROP ROLE regress_hubspot_nobody, regress_hubspot_monitor;
\set ECHO none
\i :end
