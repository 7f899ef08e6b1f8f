--
-- hubspot_assoc.max_requests: a statement that sends more asks first
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- Somebody else, for whom the setting does not count what arranges the test.
CREATE FUNCTION sent() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM sim.requests() $$;
CREATE FUNCTION pairs(n int) RETURNS hs_assoc_input[] LANGUAGE sql AS
$$ SELECT array_agg((i, 9, NULL, NULL, NULL)::hs_assoc_input) FROM generate_series(1, n) AS i $$;
ALTER SERVER hubspot OPTIONS (batch_size '10');

-- none by default
SHOW hubspot_assoc.max_requests;
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', pairs(100));
SELECT sent();

--
-- Where the number is known, nothing is sent
--
SET hubspot_assoc.max_requests = 9;
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', pairs(91));
SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies', (SELECT array_agg(i::text) FROM generate_series(1, 91) AS i));
SET hubspot_assoc.max_requests = 0;
SELECT sent();
SET hubspot_assoc.max_requests = 9;
SELECT count(*), bool_and(ok) FROM hs_assoc_batch_create_default('contacts', 'companies', pairs(90));
SET hubspot_assoc.max_requests = 0;
SELECT sent();

--
-- Where it is not, the one that is too many is not sent, whatever the rows would have been
--
SET hubspot_assoc.max_requests = 3;
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, 9 AS to_id FROM generate_series(1, 31) AS i');
SELECT count(*), bool_and(ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, 9 AS to_id FROM generate_series(1, 30) AS i', on_error => 'raise');
SET hubspot_assoc.max_requests = 0;
SELECT sent();

--
-- Several calls of a statement count together, and each statement by itself
--
SET hubspot_assoc.max_requests = 3;
SELECT count(r.ok) FROM generate_series(1, 3) AS i, hs_assoc_create_default('contacts', i, 'companies', 7) AS r;
SELECT count(r.ok) FROM generate_series(1, 4) AS i, hs_assoc_create_default('contacts', i, 'companies', 8) AS r;
SELECT ok FROM hs_assoc_create_default('contacts', 5, 'companies', 7);
DO $$ BEGIN FOR i IN 1..4 LOOP PERFORM hs_assoc_create_default('contacts', i, 'companies', 6); END LOOP; END $$;
SELECT count(*) FROM hs_assoc_labels('contacts', 'companies');
-- retries, pages and look-ups are requests, too
SET hubspot_assoc.max_requests = 0;
SELECT sent();
CALL sim.rule('{"status": 503}', '{"path": "labels", "first": 3}');
SET hubspot_assoc.max_requests = 3;
SELECT count(*) FROM hs_assoc_labels('contacts', 'companies');
SET hubspot_assoc.max_requests = 0;
SELECT sent();
CALL sim.no_rule();
CALL sim.set('{"page_size": 1}');
SET hubspot_assoc.max_requests = 3;
SELECT count(*) FROM hs_assoc_list('contacts', 1, 'companies');
SET hubspot_assoc.max_requests = 1;
SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 7, labels => '{Primary}');
SELECT http_status FROM hs_assoc_request('GET', '/crm/v4/objects/contacts/1/associations/companies');
SET hubspot_assoc.max_requests = 0;
CALL sim.set('{"page_size": 500}');

--
-- An ERROR that is caught does not make room
--
CALL sim.forget_requests();
SET hubspot_assoc.max_requests = 2;
DO $$
BEGIN
	FOR i IN 1..4 LOOP
		BEGIN
			PERFORM hs_assoc_create_default('contacts', i, 'companies', 5);
		EXCEPTION WHEN program_limit_exceeded THEN
			RAISE WARNING '%: %', i, SQLERRM;
		END;
	END LOOP;
END $$;
SET hubspot_assoc.max_requests = 0;
SELECT sent();

--
-- The outbox has no such limit
--
SET hubspot_assoc.max_requests = 1;
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT i AS from_id, 4 AS to_id FROM generate_series(1, 30) AS i');
CALL hs_assoc_flush();
SELECT count(*) FROM hs_assoc_outbox;
SET hubspot_assoc.max_requests = 0;
SELECT sent() >= 3 AS several;

SET hubspot_assoc.max_requests = -1;
\set ECHO none
RESET hubspot_assoc.max_requests;
DROP FUNCTION pairs;
DROP FUNCTION sent;
\i :end
