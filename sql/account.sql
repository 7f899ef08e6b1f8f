--
-- Which account it is, what it has, and how much of that is used
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- A custom object type, and other names for it.
CREATE PROCEDURE sim.custom_object(type text, name text, singular text, plural text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/schemas', jsonb_build_object(
		'type', type, 'name', name, 'singular', singular, 'plural', plural));
END $$;

-- The outcome of a command, without what differs each time.
CREATE FUNCTION sim.outcome(command text, OUT outcome text, OUT message text, OUT detail text, OUT hint text)
BEGIN ATOMIC
	SELECT t.outcome, t.message, regexp_replace(t.detail, 'correlation id [-0-9a-f]*', 'correlation id'), t.hint
	FROM sim.try(command) AS t;
END;

--
-- The account
--
SELECT * FROM hs_assoc_account();
CALL sim.set('{"portal_id": 17, "account_type": "SANDBOX", "time_zone": "Europe/Vienna"}');
SELECT * FROM hs_assoc_account(server => 'hubspot');
SELECT request, status FROM sim.requests();
-- what may be missing, and what may not
CALL sim.rule('{"status": 200, "body": {"portalId": "123456789012345678", "accountType": null, "more": [1]}}');
SELECT * FROM hs_assoc_account() \gx
CALL sim.rule('{"status": 200, "body": {"accountType": "STANDARD"}}');
SELECT * FROM sim.outcome('SELECT hs_assoc_account()') \gx
CALL sim.rule('{"status": 200, "body": {"portalId": "none"}}');
SELECT outcome FROM sim.outcome('SELECT hs_assoc_account()');
CALL sim.rule('{"status": 200, "body": [1]}');
SELECT outcome FROM sim.outcome('SELECT hs_assoc_account()');
CALL sim.no_rule();
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'another');
SELECT * FROM sim.outcome('SELECT hs_assoc_account()') \gx
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');

--
-- The day's quota
--
CALL sim.set('{"daily_limit": 1000, "daily_usage": 400}');
SELECT name, daily_limit, used, remaining, resets_at > now() AS resets_later,
	collected_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' AS fresh, status
FROM hs_assoc_quota();
CALL sim.set('{"daily_usage": 1001, "fetch_status": "CACHED"}');
SELECT used, remaining, status FROM hs_assoc_quota();
CALL sim.rule('{"status": 200, "body": {"results": [
	{"name": "a", "usageLimit": 7, "fetchStatus": "TIMEOUT"},
	{"usageLimit": "5", "currentUsage": "3", "resetsAt": "tomorrow", "collectedAt": "2026-11-30T01:02:03+01:00"}, {}]}}');
SELECT name, daily_limit, used, remaining, resets_at, collected_at AT TIME ZONE 'UTC' AS collected_at, status
FROM hs_assoc_quota() \gx (null='(null)')
CALL sim.rule('{"status": 200, "body": {"results": []}}');
SELECT count(*) FROM hs_assoc_quota();
CALL sim.rule('{"status": 200, "body": {"results": ["a"]}}');
SELECT * FROM sim.outcome('SELECT hs_assoc_quota()') \gx
CALL sim.rule('{"status": 200, "body": {}}');
SELECT outcome FROM sim.outcome('SELECT hs_assoc_quota()');
CALL sim.no_rule();

--
-- Object types
--
CALL sim.forget();
CALL sim.custom_object('2-77', 'machine', 'Machine', 'Machines');
CALL sim.custom_object('2-78', 'site', 'Site', 'Sites of "ours"');
CALL sim.forget_requests();
SELECT * FROM hs_assoc_object_types() WHERE object_type_id IN ('0-1', '0-2', '0-3') OR object_type_id LIKE '2-%' ORDER BY 1;
SELECT request, status FROM sim.requests();
SELECT count(*) > 30 AS many, count(*) = count(DISTINCT object_type_id) AS distinct_ids, count(*) = count(DISTINCT name) AS distinct_names
FROM hs_assoc_object_types();
-- a name stands for a type wherever one is taken
SELECT ok FROM hs_assoc_create_default('p8001_machine', 1, 'contacts', 2);
SELECT from_id, to_id FROM hs_assoc_batch_read('2-77', 'p_site', '{1}'::text[]);
SELECT from_id, to_id FROM hs_assoc_batch_read('2-77', 'contacts', '{1}'::text[]);
SELECT count(*) FROM hs_assoc_labels('p8001_machine', 'p8001_site');
-- a token that may not list them, and other failures
CALL sim.account('limited', '{crm.objects.contacts.read}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'limited');
SET client_min_messages = error;
SELECT bool_and(object_type_id LIKE '0-%') AS standard, count(*) > 30 AS many FROM hs_assoc_object_types();
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT count(*) FROM hs_assoc_object_types() WHERE object_type_id LIKE '2-%';
\set VERBOSITY default
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');
CALL sim.rule('{"status": 200, "body": {"results": [{"name": "x"}]}}');
SELECT * FROM sim.outcome('SELECT hs_assoc_object_types()') \gx
CALL sim.rule('{"status": 200, "body": {"results": [{"objectTypeId": "2-9", "labels": {"singular": "x"}, "name": "x"},
	{"objectTypeId": "2-10", "fullyQualifiedName": "p1_x", "labels": null}]}}');
SELECT * FROM hs_assoc_object_types() WHERE object_type_id LIKE '2-%' \gx (null='(null)')
CALL sim.rule('{"status": 400, "body": {"status": "error", "message": "No", "category": "VALIDATION_ERROR"}}');
SELECT outcome FROM sim.outcome('SELECT hs_assoc_object_types()');
CALL sim.no_rule();

--
-- How many labels there are, and may be
--
SELECT count(*) FROM hs_assoc_label_usage();
SELECT * FROM hs_assoc_label_usage('contacts', 'companies');
SELECT count(*) FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
SELECT count(*) FROM hs_assoc_label_create('2-77', 'companies', 'Used "there"', 'used', 'Uses');
CALL sim.forget_requests();
SELECT * FROM hs_assoc_label_usage() ORDER BY 1, 2;
SELECT * FROM hs_assoc_label_usage('0-1', 'company');
SELECT labels FROM hs_assoc_label_usage('2-77', 'companies', 'hubspot');
SELECT request, status FROM sim.requests();
SELECT * FROM sim.outcome($$SELECT hs_assoc_label_usage('contacts')$$) \gx
SELECT * FROM sim.outcome($$SELECT hs_assoc_label_usage('contacts:email', 'companies')$$) \gx
-- HubSpot takes ids here: those of names are looked up
CALL sim.forget_requests();
SELECT labels FROM hs_assoc_label_usage('p8001_machine', 'companies');
SELECT labels FROM hs_assoc_label_usage('companies', 'p_machine');
SELECT count(*) FROM hs_assoc_records_near_limit('p8001_machine', 'p_site');
SELECT request, status FROM sim.requests();
SELECT * FROM sim.outcome($$SELECT hs_assoc_label_usage('p8001_machina', 'companies')$$) \gx
SELECT outcome FROM sim.outcome($$SELECT hs_assoc_label_usage('p9_', 'companies')$$);
SELECT outcome FROM sim.outcome($$SELECT hs_assoc_label_usage('widgets', 'companies')$$);
CALL sim.rule('{"status": 403, "body": {"status": "error", "message": "no scope", "category": "MISSING_SCOPES"}}', '{"path": "schemas"}');
SELECT * FROM sim.outcome($$SELECT hs_assoc_label_usage('p8001_machine', 'companies')$$) \gx
CALL sim.rule('{"status": 200, "body": {"results": 7}}', '{"path": "schemas"}');
SELECT * FROM sim.outcome($$SELECT hs_assoc_label_usage('p8001_machine', 'companies')$$) \gx
CALL sim.rule('{"status": 200, "body": {"results": [{"objectTypeId": "2-9"}, {"objectTypeId": "2-77", "fullyQualifiedName": "p8001_machine"}]}}', '{"path": "schemas"}');
SELECT labels FROM hs_assoc_label_usage('p8001_machine', 'companies');
CALL sim.no_rule();
CALL sim.rule('{"status": 200, "body": {"results": [{"fromObjectType": {"objectTypeId": "0-1"}, "toObjectType": {"objectTypeId": "0-2"}}]}}');
SELECT * FROM hs_assoc_label_usage() \gx (null='(null)')
CALL sim.rule('{"status": 200, "body": {"results": [{"fromObjectType": {"objectTypeId": "0-1"}, "limit": 50, "usage": 1}]}}');
SELECT outcome FROM sim.outcome('SELECT hs_assoc_label_usage()');
CALL sim.no_rule();

--
-- Records that are near their limit
--
SELECT count(*) FROM hs_assoc_records_near_limit('contacts', 'companies');
SELECT hs_assoc_limit_create('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 5) IS NOT NULL AS void;
SELECT bool_and(ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT f AS from_id, t AS to_id FROM generate_series(3, 5) AS f, generate_series(1, f) AS t');
CALL sim.forget_requests();
SELECT * FROM hs_assoc_records_near_limit('contacts', 'companies');
SELECT * FROM hs_assoc_records_near_limit('companies', '0-1');
SELECT request, status FROM sim.requests();
CALL sim.rule('{"status": 200, "body": {"limit": 5, "totalRecordsAtLimit": 3, "totalRecordsNearLimit": 0,
	"atLimitFromRecordSamples": [], "nearLimitFromRecordSamples": []}}');
SELECT * FROM hs_assoc_records_near_limit('contacts', 'companies') \gx (null='(null)')
CALL sim.rule('{"status": 200, "body": {"limit": 5, "totalRecordsAtLimit": 0, "totalRecordsNearLimit": 1,
	"atLimitFromRecordSamples": [], "nearLimitFromRecordSamples": [{"objectName": "Ann", "numAssociations": 4}]}}');
SELECT outcome FROM sim.outcome($$SELECT hs_assoc_records_near_limit('contacts', 'companies')$$);
CALL sim.rule('{"status": 200, "body": {"limit": 5, "totalRecordsAtLimit": 3}}');
SELECT * FROM sim.outcome($$SELECT hs_assoc_records_near_limit('contacts', 'companies')$$) \gx
CALL sim.no_rule();
SELECT * FROM sim.outcome($$SELECT hs_assoc_records_near_limit('contacts', NULL)$$) \gx
SELECT * FROM sim.outcome($$SELECT hs_assoc_records_near_limit('p8001_machine', 'companies')$$) \gx

--
-- In each version of the API
--
CALL sim.forget_requests();
DO $$
DECLARE
	version text;
BEGIN
	FOREACH version IN ARRAY '{v4,2025-09,2026-09,2026-09-beta}'::text[] LOOP
		EXECUTE format('ALTER SERVER hubspot OPTIONS (%s api_version %L)',
			CASE WHEN version = 'v4' THEN 'ADD' ELSE 'SET' END, version);
		PERFORM hs_assoc_account();
		PERFORM hs_assoc_quota();
		PERFORM hs_assoc_object_types();
		PERFORM hs_assoc_label_usage();
		PERFORM hs_assoc_label_usage('contacts', 'companies');
		PERFORM hs_assoc_records_near_limit('contacts', 'companies');
	END LOOP;
END $$;
SELECT request, status FROM sim.requests();

\set ECHO none
\i :end
