--
-- Labels, limits and the high-usage report
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

--
-- Labels: what there is, new ones for one direction or both, other words, none any more
--
SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Employee', 'employee_employer', 'Employer');
SELECT * FROM hs_assoc_label_create('contacts', 'contacts', 'Friend', 'friend');
SELECT * FROM hs_assoc_label_create('deals', '2-77', label => 'Part of', name => 'part', inverse_label => NULL, server => 'hubspot');
SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT * FROM hs_assoc_labels('0-2', '0-1');
SELECT * FROM hs_assoc_labels('deals', '2-77');
SELECT hs_assoc_label_update('contacts', 'companies', 1, 'Boss') IS NOT NULL AS void;
SELECT * FROM hs_assoc_labels('companies', 'contacts');
SELECT hs_assoc_label_update('contacts', 'companies', 3, 'Worker', 'Company') IS NOT NULL AS void;
SELECT hs_assoc_label_update('companies', 'contacts', 4, 'Firm', 'Worker') IS NOT NULL AS void;
-- for a pair of labels, both have to be given
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]*', 'correlation id') AS detail, hint
FROM sim.try($$SELECT hs_assoc_label_update('companies', 'contacts', 4, 'Company', inverse_label => NULL)$$)
\gx
SELECT * FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED';
SELECT * FROM hs_assoc_labels('companies', 'contacts') WHERE category = 'USER_DEFINED';
-- the pairs that have a label lose it
SELECT ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id, ''{1,3}''::int[] AS type_ids, ''USER_DEFINED'' AS category');
SELECT hs_assoc_label_delete('contacts', 'companies', 1) IS NOT NULL AS void;
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM hs_assoc_labels('companies', 'contacts') WHERE category = 'USER_DEFINED';

-- none: the plain association of a custom object
CALL sim.forget_requests();
SELECT * FROM hs_assoc_label_create('2-123', 'companies', '', 'plain');
SELECT * FROM hs_assoc_label_create('2-124', 'companies', NULL, 'plain', '');
SELECT request, status, body FROM sim.requests();
SELECT ok FROM hs_assoc_create_default('2-123', 1, 'companies', 2);
SELECT * FROM sim.holds('2-123', 'companies');
SELECT * FROM sim.holds('companies', '2-123');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]*', 'correlation id') AS detail, hint
FROM unnest('{2-123,contacts}'::text[]) AS type,
	LATERAL sim.try(format($$SELECT hs_assoc_label_create(%L, 'companies', '', 'plain')$$, type))
\gx

-- any text
CREATE TABLE words (n int, label text, inverse text);
INSERT INTO words VALUES (1, 'Führungskraft', 'Untergebene'), (2, E'a "quoted" \\ and / one', E'tab\t and \\n'), (3, '日本語', '😀'),
	(4, '%s {} '' $1', ' x '), (5, E'\x01', repeat('ä', 300)), (6, 'null', 'true');
CALL sim.forget_requests();
SELECT n, count(*), bool_and(t.label IN (words.label, inverse)) AS same
FROM words, LATERAL hs_assoc_label_create('tickets', 'deals', words.label, 'l' || n, inverse) AS t GROUP BY n ORDER BY n;
SELECT count(*) FROM hs_assoc_labels('tickets', 'deals') JOIN words USING (label);
SELECT count(*) FROM hs_assoc_labels('deals', 'tickets') AS t JOIN words ON t.label = inverse;
SELECT body FROM sim.requests() WHERE body <> '';
SELECT hs_assoc_label_update('tickets', 'deals', type_id, label || ' "2"', 'inverse of ' || label)
FROM hs_assoc_labels('tickets', 'deals') WHERE category = 'USER_DEFINED' ORDER BY type_id;
SELECT label FROM hs_assoc_labels('tickets', 'deals') WHERE category = 'USER_DEFINED' ORDER BY type_id;
SELECT label FROM hs_assoc_labels('deals', 'tickets') WHERE category = 'USER_DEFINED' ORDER BY type_id;
DROP TABLE words;

-- in a query: each row's own call; a rename of all that have a word in them
CALL sim.forget();
SELECT label, count(*), count(t.label) AS labelled FROM (VALUES ('a b'), ('b c'), ('c d')) AS v (l),
	hs_assoc_label_create('contacts', 'companies', l, replace(l, ' ', '_')) AS t GROUP BY label ORDER BY label;
SELECT count(hs_assoc_label_update('contacts', 'companies', type_id, replace(label, 'b', 'B')))
FROM hs_assoc_labels('contacts', 'companies') WHERE label LIKE '%b%';
SELECT label FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED' ORDER BY label;
SELECT count(*) FROM generate_series(1, 30) AS n, hs_assoc_label_create('contacts', 'companies', 'Label ' || n, 'label_' || n);

--
-- Limits
--
CALL sim.forget();
SELECT count(*) FROM hs_assoc_limits();
SELECT count(*) FROM hs_assoc_limits('contacts', 'companies');
SELECT type_id, label FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
SELECT hs_assoc_limit_create('contacts', 'companies', 'USER_DEFINED', 1, 5) IS NOT NULL AS void;
SELECT hs_assoc_limit_create('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 2147483647) IS NOT NULL AS void;
SELECT hs_assoc_limit_create('deals', 'contacts', category => 'HUBSPOT_DEFINED', type_id => 3, max_to_ids => 1) IS NOT NULL AS void;
SELECT * FROM hs_assoc_limits('contacts', 'companies');
SELECT * FROM hs_assoc_limits('0-3', 'contact');
SELECT * FROM hs_assoc_limits();
SELECT * FROM hs_assoc_limits(server => 'hubspot') LIMIT 1;
-- it is a limit indeed
SELECT input_no, ok, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT 1 AS from_id, n AS to_id, 1 AS type_id, ''USER_DEFINED'' AS category FROM generate_series(1, 7) AS n') ORDER BY input_no;
SELECT hs_assoc_limit_update('contacts', 'companies', 'USER_DEFINED', 1, 7) IS NOT NULL AS void;
SELECT type_id, label, max_to_ids FROM hs_assoc_limits('contacts', 'companies');
SELECT hs_assoc_limit_purge('contacts', 'companies', 'USER_DEFINED', 1) IS NOT NULL AS void;
SELECT hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279) IS NOT NULL AS void;
SELECT type_id, label, max_to_ids FROM hs_assoc_limits();
-- no limit, 0, and numbers as strings
CALL sim.rule('{"body": {"results": [
	{"category": "HUBSPOT_DEFINED", "typeId": 1, "userEnforcedMaxToObjectIds": null, "label": null},
	{"category": "HUBSPOT_DEFINED", "typeId": 2, "more": {"label": "x", "typeId": 9}},
	{"userEnforcedMaxToObjectIds": 0, "label": "", "typeId": "3", "category": "NEW"},
	{"userEnforcedMaxToObjectIds": "4", "label": "Four", "typeId": 4, "category": "WORK"}]}}');
SELECT * FROM hs_assoc_limits() \gx (null='(null)')
SELECT * FROM hs_assoc_limits('contacts', 'companies');
SELECT * FROM hs_assoc_labels('contacts', 'companies');
CALL sim.no_rule();

--
-- The report
--
SET timezone = 'UTC';
SET datestyle = 'German, DMY';
CALL sim.rule('{"body": {"userId": 17, "userEmail": "jo@example.com", "enqueueTime": "2026-02-03T04:05:06.789Z"}}');
SELECT * FROM hs_assoc_high_usage_report(17);
SET datestyle = 'ISO';
SELECT user_id, user_email, enqueue_time FROM hs_assoc_high_usage_report(17, server => 'hubspot');
SELECT request, body FROM sim.requests() WHERE request LIKE '%usage%';
CALL sim.no_rule();
SELECT user_id, user_email, enqueue_time > '2020-01-01' AS recent FROM hs_assoc_high_usage_report(999999999);
-- what else HubSpot may say of it
CREATE FUNCTION report(answer jsonb, OUT user_id bigint, OUT user_email text, OUT enqueue_time timestamptz, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(jsonb_build_object('headers', '{"x-hubspot-correlation-id": null}'::jsonb, 'body',
		'{"userId": 1, "userEmail": "jo@example.com", "enqueueTime": "2026-01-01T00:00:00Z"}'::jsonb || answer));
	SELECT r.user_id, r.user_email, r.enqueue_time INTO user_id, user_email, enqueue_time FROM hs_assoc_high_usage_report(1) AS r;
EXCEPTION WHEN protocol_violation THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
END $$;
SELECT answer, report.*
FROM (VALUES
	('{"userId": "12345678901"}'), ('{"userId": 9223372036854775807}'), ('{"userId": 9223372036854775808}'), ('{"userId": "me"}'),
	('{"userId": ""}'), ('{"userId": 1.5}'), ('{"userId": null}'), ('{"userEmail": null}'), ('{"userEmail": 5}'), ('{"more": []}'),
	('{"enqueueTime": "2024-02-29T23:59:59.1234567Z"}'), ('{"enqueueTime": "2026-06-30T12:00:00+02:00"}'),
	('{"enqueueTime": "2026-06-30T12:00:00.5-05:30"}'), ('{"enqueueTime": "0001-01-01T00:00:00Z"}'),
	('{"enqueueTime": "2026-02-29T00:00:00Z"}'), ('{"enqueueTime": "2026-13-01T00:00:00Z"}'), ('{"enqueueTime": "2026-00-01T00:00:00Z"}'),
	('{"enqueueTime": "2026-01-01T24:00:00Z"}'), ('{"enqueueTime": "2026-01-01T00:00:00"}'), ('{"enqueueTime": "2026-01-01"}'),
	('{"enqueueTime": "2026-01-01T00:00:00+25:00"}'), ('{"enqueueTime": "2026-01-01T00:00:00Zulu"}'), ('{"enqueueTime": "now"}'),
	('{"enqueueTime": ""}'), ('{"enqueueTime": 1767225600}'), ('{"enqueueTime": null}')) AS v (answer), LATERAL report(answer::jsonb);
DROP FUNCTION report;
CALL sim.no_rule();
RESET datestyle;
RESET timezone;

--
-- Every version of the API has paths of its own
--
ALTER SERVER hubspot OPTIONS (ADD api_version '2026-03');
CREATE FUNCTION everything(version text, OUT no bigint, OUT request text, OUT status int, OUT body text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.forget();
	EXECUTE format('ALTER SERVER hubspot OPTIONS (SET api_version %L)', version);
	ASSERT (SELECT array_agg(type_id) FROM hs_assoc_label_create('contacts', 'p1_pets', 'Owner', 'owner', 'Pet')) = '{3,4}';
	PERFORM hs_assoc_label_update('contacts', 'p1_pets', 3, 'Holder', 'Pet');
	PERFORM hs_assoc_limit_create('contacts', 'p1_pets', 'USER_DEFINED', 3, 10);
	PERFORM hs_assoc_limit_update('contacts', 'p1_pets', 'USER_DEFINED', 3, 20);
	ASSERT (SELECT t::text FROM hs_assoc_limits('contacts', 'p1_pets') AS t) = '(contacts,p1_pets,USER_DEFINED,3,Holder,20)';
	ASSERT (SELECT t::text FROM hs_assoc_limits() AS t) = '(,,USER_DEFINED,3,Holder,20)';
	PERFORM hs_assoc_limit_purge('contacts', 'p1_pets', 'USER_DEFINED', 3);
	ASSERT (SELECT array_agg(label) FROM hs_assoc_labels('contacts', 'p1_pets')) = '{NULL,Holder}';
	PERFORM hs_assoc_label_delete('contacts', 'p1_pets', 3);
	ASSERT (SELECT user_email FROM hs_assoc_high_usage_report(5)) = 'user5@example.com';
	RETURN QUERY SELECT row_number() OVER (), r.request, r.status, r.body FROM sim.requests() AS r;
END $$;
SELECT version, e.request, e.status, e.body
FROM unnest('{v4,2025-09,2026-03,2026-09}'::text[]) WITH ORDINALITY AS v (version, v), LATERAL everything(version) AS e
ORDER BY v, no;
DROP FUNCTION everything;
ALTER SERVER hubspot OPTIONS (DROP api_version);

--
-- Arguments: refused before anything is sent
--
CALL sim.forget();
SELECT call, outcome, message, hint
FROM (VALUES
	('hs_assoc_labels(NULL, ''companies'')'),
	('hs_assoc_labels(''contacts'', NULL)'),
	('hs_assoc_labels(''contacts'', '''')'),
	('hs_assoc_labels(''con tacts'', ''companies'')'),
	('hs_assoc_labels(''..'', ''companies'')'),
	('hs_assoc_labels(''Müll'', ''companies'')'),
	('hs_assoc_label_create(''contacts'', ''companies'', NULL, ''name'', ''inverse'')'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''label'', NULL)'),
	('hs_assoc_label_create(''contacts'', ''companies'', '''', ''name'', ''inverse'')'),
	('hs_assoc_label_create(''contacts'', ''companies'', NULL, '''')'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''label'', '''')'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''label'', ''name'', '''')'),
	('hs_assoc_label_create(NULL, ''companies'', ''label'', ''name'')'),
	('hs_assoc_label_update(''contacts'', ''companies'', NULL, ''label'')'),
	('hs_assoc_label_update(''contacts'', ''companies'', 0, ''label'')'),
	('hs_assoc_label_update(''contacts'', ''companies'', 1, NULL)'),
	('hs_assoc_label_update(''contacts'', ''companies'', 1, '''')'),
	('hs_assoc_label_update(''contacts'', ''companies'', 1, ''label'', '''')'),
	('hs_assoc_label_delete(''contacts'', ''companies'', -2147483648)'),
	('hs_assoc_label_delete(''contacts'', ''companies'', NULL)'),
	('hs_assoc_limits(''contacts'', NULL)'),
	('hs_assoc_limits(to_type => ''companies'')'),
	('hs_assoc_limits('''', ''companies'')'),
	('hs_assoc_limit_create(''contacts'', ''companies'', NULL, 1, 5)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''user_defined'', 1, 5)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', '''', 1, 5)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', NULL, 5)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 0, 5)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 1, NULL)'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 1, 0)'),
	('hs_assoc_limit_update(''contacts'', ''companies'', ''USER_DEFINED'', 1, -1)'),
	('hs_assoc_limit_purge(''contacts'', ''companies'', repeat(''É'', 200), 1)'),
	('hs_assoc_limit_purge(''contacts'', NULL, ''USER_DEFINED'', 1)'),
	('hs_assoc_high_usage_report(NULL)'),
	('hs_assoc_high_usage_report(0)'),
	('hs_assoc_labels(''contacts'', ''companies'', ''nowhere'')'),
	('hs_assoc_limit_purge(''contacts'', ''companies'', ''USER_DEFINED'', 1, ''nowhere'')')) AS v (call),
	LATERAL sim.try('SELECT ' || call);
SELECT count(*) FROM sim.requests();
-- who may
CREATE ROLE regress_hubspot_stranger;
GRANT USAGE ON SCHEMA public TO regress_hubspot_stranger;
SET ROLE regress_hubspot_stranger;
SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT hs_assoc_label_delete('contacts', 'companies', 1);
SELECT hs_assoc_limits();
SELECT hs_assoc_high_usage_report(1);
RESET ROLE;
REVOKE USAGE ON SCHEMA public FROM regress_hubspot_stranger;
DROP ROLE regress_hubspot_stranger;

--
-- What HubSpot refuses
--
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms', ADD request_timeout '60s');
CREATE FUNCTION attempt(call text, OUT outcome text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE sql AS $$
	SELECT outcome, message, regexp_replace(regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)'),
		'(no complete answer|could not reach HubSpot): .*', '\1'), hint
	FROM sim.try('SELECT ' || call);
$$;
-- the 51st label of a pair of object types
CALL sim.forget();
SELECT count(*) FROM generate_series(1, 50) AS n, hs_assoc_label_create('contacts', 'companies', 'Label ' || n, 'label_' || n);
SELECT * FROM attempt($$hs_assoc_label_create('contacts', 'companies', 'One "more"', 'one_more')$$)
\gx
CALL sim.forget();
SELECT count(*) FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
SELECT call, a.*
FROM (VALUES
	('hs_assoc_labels(''contacts'', ''widgets'')'),
	('hs_assoc_labels(''contcts'', ''companies'')'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''Manager'', ''boss'')'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''Manager 2'', ''manager-2'')'),
	('hs_assoc_label_update(''contacts'', ''companies'', 279, ''No label'')'),
	('hs_assoc_label_delete(''contacts'', ''companies'', 99)'),
	('hs_assoc_label_delete(''companies'', ''contacts'', 1)'),
	('hs_assoc_limits(''contacts'', ''widgets'')'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 99, 5)'),
	('hs_assoc_limit_update(''contacts'', ''companies'', ''USER_DEFINED'', 1, 5)'),
	('hs_assoc_limit_purge(''contacts'', ''companies'', ''USER_DEFINED'', 2)')) AS v (call), LATERAL attempt(call) AS a
\gx
-- scopes and tokens
CALL sim.account('reader', '{crm.objects.contacts.read,crm.objects.companies.read}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'reader');
SELECT count(*) FROM hs_assoc_labels('contacts', 'companies');
SELECT * FROM attempt($$hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager')$$)
\gx
SELECT outcome, message FROM attempt($$hs_assoc_label_delete('contacts', 'companies', 1)$$);
SELECT outcome, message FROM attempt($$hs_assoc_labels('contacts', 'deals')$$);
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'nobody');
SELECT * FROM attempt('hs_assoc_limits()')
\gx
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');

--
-- Whatever can happen to each of the functions: its SQLSTATE, and what may have been done
--
CREATE TABLE calls (n int, call text);
INSERT INTO calls VALUES
	(1, 'hs_assoc_labels(''contacts'', ''companies'')'),
	(2, 'hs_assoc_label_create(''contacts'', ''companies'', ''Owner'', ''owner'')'),
	(3, 'hs_assoc_label_update(''contacts'', ''companies'', 1, ''Boss'')'),
	(4, 'hs_assoc_label_delete(''contacts'', ''companies'', 1)'),
	(5, 'hs_assoc_limits()'),
	(6, 'hs_assoc_limits(''contacts'', ''companies'')'),
	(7, 'hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 1, 5)'),
	(8, 'hs_assoc_limit_update(''contacts'', ''companies'', ''USER_DEFINED'', 1, 6)'),
	(9, 'hs_assoc_limit_purge(''contacts'', ''companies'', ''USER_DEFINED'', 1)'),
	(10, 'hs_assoc_high_usage_report(1)');
-- The numbers of the calls with each outcome.
CREATE FUNCTION meet(action jsonb, OUT outcome text, OUT calls int[], OUT detail text, OUT hint text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(action || '{"headers": {"x-hubspot-correlation-id": null}}');
	RETURN QUERY
	SELECT a.outcome, array_agg(n ORDER BY n), a.detail, a.hint FROM calls AS c, LATERAL attempt(c.call) AS a
	GROUP BY a.outcome, a.detail, a.hint ORDER BY 2;
	CALL sim.no_rule();
END $$;
SELECT action, m.*
FROM (VALUES
	(1, '{"status": 400, "body": {"message": "No", "category": "VALIDATION_ERROR"}}'),
	(2, '{"status": 404, "body": {"message": "No such label", "category": "OBJECT_NOT_FOUND"}}'),
	(3, '{"status": 401, "body": {"message": "Who?", "category": "INVALID_AUTHENTICATION"}}'),
	(4, '{"status": 429, "body": {"message": "Stop", "policyName": "DAILY", "category": "RATE_LIMITS"}}'),
	(5, '{"status": 302, "text": ""}'),
	(6, '{"status": 500, "body": {"message": "Ouch"}}')) AS v (n, action), LATERAL meet(action::jsonb) AS m
ORDER BY n, calls
\gx
-- successes that are not successes, or cannot be read
SELECT action, outcome, calls, detail
FROM (VALUES
	(1, '{"status": 200, "text": ""}'),
	(2, '{"status": 200, "text": "<html>"}'),
	(3, '{"status": 204, "text": ""}'),
	(4, '{"status": 202, "body": {}}'),
	(5, '{"status": 200, "body": []}'),
	(6, '{"status": 200, "body": {"results": {}}}'),
	(16, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED", "typeId": 1, "userEnforcedMaxToObjectIds": "many"}]}}'),
	(17, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED", "typeId": 1, "userEnforcedMaxToObjectIds": 1.5}]}}'),
	(7, '{"status": 200, "body": {"results": []}}'),
	(8, '{"status": 200, "body": {"status": "COMPLETE"}}'),
	(9, '{"status": 202, "body": {"status": "PENDING", "results": []}}'),
	(10, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED"}]}}'),
	(11, '{"status": 200, "body": {"results": [{"typeId": 5}]}}'),
	(12, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED", "typeId": 5, "userEnforcedMaxToObjectIds": 2147483648}]}}'),
	(13, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED", "typeId": 5, "label": "x"}]}}'),
	(14, '{"status": 200, "body": {"results": [{"category": "USER_DEFINED", "typeId": 2147483648}]}}'),
	(15, '{"status": 200, "text": "{\"results\": ["}')) AS v (n, action), LATERAL meet(action::jsonb)
ORDER BY n, calls;
-- envelopes that tell of errors
SELECT action, outcome, calls, detail
FROM (VALUES
	(1, '{"status": 207, "body": {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [{"status": "error", "category": "VALIDATION_ERROR", "message": "The limit is too low"}]}}'),
	(2, '{"status": 200, "body": {"errors": [{"message": "first"}, {"message": "second"}], "results": [{"category": "USER_DEFINED", "typeId": 5}]}}'),
	(3, '{"status": 200, "body": {"status": "CANCELED", "results": []}}'),
	(4, '{"status": 207, "body": {"status": "COMPLETE", "results": [], "numErrors": 2}}'),
	(5, '{"status": 200, "body": {"status": "COMPLETE", "results": [], "numErrors": 0, "errors": []}}')) AS v (n, action),
	LATERAL meet(action::jsonb)
ORDER BY n, calls;
-- no answer
SELECT action, m.*
FROM (VALUES
	('{"close": "before"}'),
	('{"reset": "before"}'),
	('{"reset": "headers"}')) AS v (action), LATERAL meet(action::jsonb) AS m
ORDER BY action, calls;
SELECT outcome, calls, detail, hint FROM meet('{"pad": 17000000, "body": {"results": []}}');
ALTER SERVER hubspot OPTIONS (SET base_url 'http://127.0.0.1:1');
SELECT outcome, array_agg(n ORDER BY n) AS calls, detail, hint
FROM calls, LATERAL attempt(call) GROUP BY 1, 3, 4 ORDER BY 2;
ALTER SERVER hubspot OPTIONS (SET base_url :'simulator');

--
-- Sent again: all of them if HubSpot cannot have acted, and otherwise only what may be done twice
--
ALTER SERVER hubspot OPTIONS (SET max_retries '3', SET max_retry_delay '1ms');
CREATE FUNCTION requests(action jsonb, match jsonb DEFAULT '{}', OUT outcome text, OUT requests bigint, OUT calls int[]) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE seen (n int, outcome text, requests bigint) ON COMMIT DROP;
	FOR i IN 1..10 LOOP
		CALL sim.forget();
		PERFORM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
		IF i IN (8, 9) THEN
			PERFORM hs_assoc_limit_create('contacts', 'companies', 'USER_DEFINED', 1, 5);
		END IF;
		CALL sim.forget_requests();
		CALL sim.rule(action, match);
		INSERT INTO seen SELECT i, a.outcome FROM calls AS c, LATERAL attempt(c.call) AS a WHERE c.n = i;
		UPDATE seen SET requests = (SELECT count(*) FROM sim.requests()) WHERE n = i;
	END LOOP;
	RETURN QUERY SELECT s.outcome, s.requests, array_agg(n ORDER BY n) FROM seen AS s GROUP BY 1, 2 ORDER BY 3;
	DROP TABLE seen;
	CALL sim.forget();
END $$;
SELECT action, match, r.*
FROM (VALUES
	(1, '{"status": 429}', '{"first": 2}'),
	(2, '{"status": 429}', '{}'),
	(3, '{"status": 477}', '{"first": 2}'),
	(4, '{"status": 500}', '{"first": 2}'),
	(5, '{"status": 503, "act": true}', '{"first": 1}'),
	(6, '{"reset": "before"}', '{"first": 2}'),
	(7, '{"reset": "body", "act": true}', '{"first": 1}'),
	(8, '{"status": 400}', '{"first": 1}'),
	(9, '{"status": 404, "body": {"message": "No such label", "category": "OBJECT_NOT_FOUND"}}', '{"first": 1}')) AS v (n, action, match),
	LATERAL requests(action::jsonb, match::jsonb) AS r
ORDER BY n, calls;
-- what a failed attempt has removed isn't there for the next one, which is as good
CREATE FUNCTION remove(rules jsonb, OUT outcome text, OUT detail text, OUT labels bigint)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.forget();
	PERFORM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
	PERFORM sim.control('POST', '/rules', rules);
	SELECT a.outcome, a.detail INTO outcome, detail FROM attempt('hs_assoc_label_delete(''contacts'', ''companies'', 1)') AS a;
	CALL sim.no_rule();
	SELECT count(*) INTO labels FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED';
END $$;
SELECT rules, r.*
FROM (VALUES
	(1, '[{"action": {"status": 502, "act": true}, "match": {"first": 1}}]'),
	(2, '[{"action": {"reset": "headers", "act": true}, "match": {"first": 1}}]'),
	(3, '[{"action": {"status": 500}, "match": {"nth": 1}}, {"action": {"status": 404, "body": {"message": "No such label", "category": "OBJECT_NOT_FOUND"}}}]'),
	(4, '[{"action": {"status": 500}, "match": {"nth": 1}}, {"action": {"status": 404, "text": "<html>", "headers": {"x-hubspot-correlation-id": null}}}]'),
	(5, '[{"action": {"status": 429}, "match": {"nth": 1}}, {"action": {"status": 404, "body": {"message": "No such label"}, "headers": {"x-hubspot-correlation-id": null}}}]'),
	(6, '[{"action": {"status": 404, "body": {"message": "No such label"}, "headers": {"x-hubspot-correlation-id": null}}}]'),
	(7, '[{"action": {"close": "before", "act": true}, "match": {"first": 1}}]'),
	(8, '[{"action": {"reset": "before", "act": true}, "match": {"first": 1}}]')) AS v (n, rules),
	LATERAL remove(rules::jsonb) AS r
ORDER BY n;
CALL sim.rule('{"status": 500}', '{"first": 1}');
SELECT count(hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279)) AS done;
CALL sim.no_rule();

DROP FUNCTION attempt, meet, requests, remove;
DROP TABLE calls;

--
-- A database in another encoding
--
SELECT current_database() AS database \gset
CREATE DATABASE regress_hubspot_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\set ECHO none
\i :end
\connect regress_hubspot_latin1
\set ECHO none
\i :begin
CALL sim.forget();
SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Führungskraft', 'boss', 'Größe "ä" \ ');
SELECT body FROM sim.requests();
SELECT hs_assoc_label_update('contacts', 'companies', 1, 'Überlegene', 'Unterlegene') IS NOT NULL AS void;
SELECT label, length(label) FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED';
SELECT outcome, message, detail FROM sim.try($$SELECT hs_assoc_labels('Müll', 'companies')$$);
-- what it doesn't know is replaced
CALL sim.rule('{"text": "{\"results\": [{\"category\": \"USER_DEFINED\", \"typeId\": 9, \"label\": \"\\u65e5 \\u00e9\"}]}"}');
SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT * FROM hs_assoc_limits('contacts', 'companies');
\set ECHO none
\i :end
\connect :database
DROP DATABASE regress_hubspot_latin1;
