--
-- What can go wrong with HubSpot and on the way to it, as rows and as ERRORs
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- no second attempts but where they are asked for, no long waits
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms', ADD request_timeout '60s');

-- A call that the simulator meets with an action: its row, and its ERROR with on_error => 'raise'.
CREATE FUNCTION meet(action jsonb,
	OUT ok boolean, OUT http_status int, OUT category text, OUT message text,
	OUT code text, OUT detail text, OUT hint text, OUT error jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	caught record;
BEGIN
	SET LOCAL client_min_messages = error;
	CALL sim.rule(action);
	SELECT r.ok, r.http_status, r.error_category, r.error_message, r.error
	INTO ok, http_status, category, message, error
	FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS r;
	caught := sim.try($q$SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, 'raise')$q$);
	code := caught.outcome;
	detail := caught.detail;
	hint := caught.hint;
	CALL sim.no_rule();
END $$;

--
-- Every HTTP status: category, SQLSTATE, and what to do. Some are waited for, but not that long.
--
SELECT status, category, code
FROM (VALUES (300), (302), (304), (400), (401), (403), (404), (405), (409), (413), (414), (415), (418), (422), (423),
		(429), (437), (451), (477), (500), (501), (502), (503), (504), (520), (521), (522), (523), (524), (530), (599)) AS v (status),
	LATERAL meet(jsonb_build_object('status', status, 'headers', '{"Retry-After": "3600"}'::jsonb))
ORDER BY status;
SELECT code, array_agg(status ORDER BY status) AS statuses, hint
FROM (VALUES (302), (400), (401), (403), (404), (423), (429), (477), (500), (503), (530)) AS v (status),
	LATERAL meet(jsonb_build_object('status', status, 'headers', '{"Retry-After": "3600"}'::jsonb))
GROUP BY code, hint ORDER BY code
\gx
-- redirects are not followed
SELECT ok, http_status, category, code FROM meet(jsonb_build_object('redirect', :'simulator' || '/elsewhere'));
SELECT count(*) FROM sim.requests() WHERE request LIKE '%elsewhere%';

--
-- What HubSpot says: its category, message and correlation id, and the error as it came
--
SELECT category, message, detail, error
FROM (VALUES
	(1, '{"status": "error", "message": "No.", "category": "OBJECT_NOT_FOUND", "correlationId": "c0ffee"}'),
	(2, '{"message": "Ärger 日本 \"x\""}'),
	(3, '{"category": "CONFLICT", "correlationId": "c0ffee"}'),
	(4, '{"message": 5, "category": ["A"], "correlationId": {"a": 1}}'),
	(5, '{"message": null, "category": null, "context": null, "errors": null}'),
	(6, '{"errors": [{"message": "inner", "context": "text"}, 7, null, []], "message": "outer", "context": 8}'),
	(7, '{}'),
	(8, '[]'),
	(9, '"a text"'),
	(10, '12'),
	(11, 'null')) AS v (n, body),
	LATERAL meet(jsonb_build_object('status', 409, 'body', body::jsonb, 'headers', '{"x-hubspot-correlation-id": null}'::jsonb))
ORDER BY n
\gx (null='(null)')
-- the header has the correlation id where the body has none
SELECT detail FROM meet('{"status": 409, "body": {"message": "No."}, "headers": {"X-HubSpot-Correlation-Id": "c0ffee"}}');
SELECT correlation_id = error->>'correlationId' AS same FROM hs_assoc_create_default('contacts', 1, 'widgets', 2);
SELECT correlation_id IS NOT NULL AS known FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

-- what is not JSON, or not text
SELECT n, category, message, code, error
FROM (VALUES
	(1, '{"status": 502, "text": "<html><h1>Bad Gateway</h1></html>", "content_type": "text/html"}'),
	(2, '{"status": 404, "text": "not found"}'),
	(3, '{"status": 400, "text": ""}'),
	(4, '{"status": 400, "text": "{\"message\": \"cut"}'),
	(5, '{"status": 400, "text": "{\"message\": \"twice\"} {}"}'),
	(6, '{"status": 400, "text": "{\"message\": \"a\\u0000b \\ud83d c\"}"}'),
	(7, '{"status": 400, "text": "{\"message\": \"\\ud83d\\ude00 \\u00e4\"}"}'),
	(8, '{"status": 400, "body": {"message": "Müll"}, "encoding": "latin-1"}'),
	(9, '{"status": 400, "base64": "eyJtZXNzYWdlIjogImEAYiJ9"}'),
	(10, '{"status": 200, "text": "<html>"}'),
	(11, '{"status": 200, "text": "[]"}'),
	(12, '{"status": 200, "text": "null"}'),
	(13, '{"status": 200, "body": {}}'),
	(14, '{"status": 200, "text": "{\"results\": [{\"from\": {\"id\": \"1\"}, \"to\": {\"id\": \"2\"}}]"}'),
	(15, '{"status": 200, "body": {"results": "none", "errors": "none", "status": 5}}'),
	(17, '{"status": 200, "text": "{\"results\": [], \"other\": [[1, ], 2]}"}'),
	(18, '{"status": 200, "text": "{\"results\": [], \"other\": [[1 2], 2]}"}'),
	(19, '{"status": 200, "text": "{\"results\": [], \"other\": {\"a\": {\"b\" 1}}}"}'),
	(20, '{"status": 200, "text": "{\"results\": [], \"other\": {\"a\": [1, 2"}'),
	(16, '{"status": 200, "body": {"results": [null, 1, "x", [], {}, {"from": 1, "to": 2}, {"from": {"id": [1]}, "to": {"id": {}}}]}}')) AS v (n, action),
	LATERAL meet(action::jsonb)
ORDER BY n;

--
-- The message has what the context of an error says, if that says more, and within bounds
--
CREATE FUNCTION message(body jsonb, OUT length int, OUT message text) LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(jsonb_build_object('status', 400, 'body', '{"category": "VALIDATION_ERROR"}' || body));
	SELECT octet_length(error_message), left(error_message, 120) INTO length, message
	FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
	CALL sim.no_rule();
END $$;
SELECT m.* FROM (VALUES
	(1, '{"message": "Wrong type", "context": {"type": ["280"], "reason": ["type 280 is of the other direction"]}}'),
	(2, '{"message": "Wrong type", "context": "{type=[280]}"}'),
	(3, '{"message": "Wrong type", "errors": [{"message": "inner", "context": {"label": "Primary"}}, {"context": {"label": "other"}}]}'),
	(4, '{"message": "Wrong type", "context": {"label": "Primary"}, "errors": [{"context": {"label": "other"}}]}'),
	(5, '{"message": "No pair", "context": {"fromObjectId": ["1"], "toObjectId": ["2"], "fromObjectType": ["contact"]}}'),
	(6, '{"message": "No company", "context": {"toObjectId": ["2"], "toObjectType": ["company"]}}'),
	(7, '{"message": "2 is missing", "context": {"fromObjectId": ["1"], "toObjectId": ["2", 3]}}'),
	(8, '{"message": "12 is missing", "context": {"ids": ["2", "12", "x-2", ""]}}'),
	(9, '{"message": "Odd", "context": {"ids": {"deep": ["er"]}, "none": null, "list": [[1], {}, null, true, 1.5]}}'),
	(10, '{"message": "Odd", "context": []}'),
	(11, '{"message": "Odd", "context": 7}'),
	(12, '{"context": {"ids": ["2"]}}')) AS v (n, body), LATERAL message(body::jsonb) AS m ORDER BY n;
SELECT m.length, right(m.message, 60) AS message FROM (VALUES
	(1, jsonb_build_object('message', 'Many', 'context', jsonb_build_object('ids', ARRAY(SELECT generate_series(1, 100000))))),
	(2, jsonb_build_object('message', 'Same', 'context', jsonb_build_object('ids', array_fill(7, ARRAY[100000])))),
	(3, jsonb_build_object('message', 'Long', 'context', jsonb_build_object('a', repeat('é', 100000), repeat('k', 100000), 'v'))),
	(4, jsonb_build_object('message', 'Text', 'context', repeat('€', 100000))),
	(5, jsonb_build_object('message', repeat('m', 990), 'context', '{"ids": ["some", "more"]}'::jsonb))) AS v (n, body),
	LATERAL message(body) AS m ORDER BY n;
DROP FUNCTION message;

--
-- No answer: nobody knows whether HubSpot acted
--
SELECT action, http_status, category, code, split_part(message, ':', 1) AS message
FROM (VALUES
	('{"reset": "before"}'),
	('{"reset": "headers"}'),
	('{"reset": "body"}'),
	('{"close": "before"}'),
	('{"status": 200, "truncate": 10}'),
	('{"status": 400, "truncate": 10}')) AS v (action),
	LATERAL meet(action::jsonb);
-- nobody there
ALTER SERVER hubspot OPTIONS (SET base_url 'http://127.0.0.1:1');
SELECT ok, http_status, error_category, split_part(error_message, ':', 1) AS error_message, correlation_id, error
FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
SELECT outcome, message, split_part(detail, ':', 2) AS detail, hint
FROM sim.try($$SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, 'raise')$$)
\gx
SELECT input_no, ok, error_category FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, n AS to_id FROM generate_series(1, 3) AS n') ORDER BY input_no;
ALTER SERVER hubspot OPTIONS (SET base_url :'simulator');

-- the last of several attempts says how many there were; an earlier failure is none
ALTER SERVER hubspot OPTIONS (SET max_retries '3');
SELECT ok, code, detail FROM meet('{"status": 503, "body": {"message": "Busy"}, "headers": {"x-hubspot-correlation-id": "c0ffee"}}');
SELECT ok, message FROM meet('{"status": 400, "body": {"message": "Not tried again"}}');
CALL sim.rule('{"status": 502}', '{"first": 3}');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
CALL sim.rule('{"reset": "before"}', '{"first": 2}');
SELECT input_no, ok, http_status, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT n AS from_id, n AS to_id, 279 AS type_id FROM generate_series(1, 2) AS n') ORDER BY input_no;
ALTER SERVER hubspot OPTIONS (SET max_retries '0');

--
-- A batch with bad inputs: however HubSpot says so, the bad ones fail, and the good ones are created
--
CREATE TABLE links (no int, contact bigint, company bigint, type int);
INSERT INTO links SELECT n, n, 100 + n, 279 FROM generate_series(1, 10) AS n;
-- 3 and 8 don't exist; 8's company doesn't either; 5 is a contact, and a company that doesn't exist
UPDATE links SET company = 5 WHERE no = 9;

-- The outcomes in the order of the inputs, + ok, x refused, ? unconfirmed, and otherwise a letter;
-- whether the simulator holds just what is ok; and the requests this took.
CREATE FUNCTION send(labelled boolean, settings jsonb,
	OUT outcomes text, OUT held boolean, OUT requests bigint, OUT categories text)
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	PERFORM sim.control('DELETE', '/associations');
	CALL sim.forget_requests();
	CALL sim.set(settings);
	IF labelled THEN
		CREATE TEMP TABLE sent ON COMMIT DROP AS SELECT * FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links ORDER BY no');
	ELSE
		CREATE TEMP TABLE sent ON COMMIT DROP AS SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no');
	END IF;
	SELECT CASE WHEN array_agg(input_no ORDER BY input_no) <> ARRAY(SELECT generate_series(1::bigint, (SELECT count(*) FROM links)))
			THEN 'inputs are not answered one by one: ' ELSE '' END ||
		string_agg(CASE WHEN ok THEN '+' WHEN error_category = 'UNCONFIRMED' THEN '?'
				WHEN error_category = 'NOT_SENT' THEN 'N' WHEN error_category = 'INVALID_INPUT' THEN 'I'
				ELSE 'x' END, '' ORDER BY input_no),
		string_agg(DISTINCT error_category, ' ')
	INTO outcomes, categories FROM sent;
	SELECT NOT EXISTS (
		(SELECT from_id, to_id FROM sent WHERE ok EXCEPT SELECT from_id, to_id FROM sim.holds('contacts', 'companies'))
		UNION ALL
		(SELECT from_id, to_id FROM sim.holds('contacts', 'companies') EXCEPT SELECT from_id, to_id FROM sent WHERE ok))
	INTO held;
	SELECT count(*) INTO requests FROM sim.requests();
	DROP TABLE sent;
END $$;

CALL sim.missing('contacts', '3', '8');
CALL sim.missing('companies', '108', '5');
CREATE VIEW contexts AS
SELECT bad_batch, b, context, c
FROM unnest('{partial,partial200,whole,canceled}'::text[]) WITH ORDINALITY AS modes (bad_batch, b),
	unnest('{NULL,pair,from,to,objectId,ids,id,INVALID_OBJECT_IDS,associationSpec,string,none}'::text[])
		WITH ORDINALITY AS forms (context, c)
UNION ALL VALUES ('unnamed', 5, NULL, 1), ('canceled-unnamed', 6, NULL, 1), ('silent', 7, NULL, 1);
SELECT bad_batch, coalesce(context, '(default)') AS context, d.outcomes AS "default", d.requests,
	l.outcomes AS labelled, l.requests, d.held AND l.held AS held, array_remove(ARRAY[d.categories, nullif(l.categories, d.categories)], NULL) AS categories
FROM contexts,
	LATERAL send(false, jsonb_build_object('bad_batch', bad_batch, 'context', context)) AS d,
	LATERAL send(true, jsonb_build_object('bad_batch', bad_batch, 'context', context)) AS l
WHERE context IS DISTINCT FROM 'associationSpec'
ORDER BY b, c;

-- bad types
CALL sim.forget();
UPDATE links SET type = CASE WHEN no IN (2, 7) THEN 280 WHEN no = 4 THEN 999 ELSE 279 END, company = 100 + no;
SELECT bad_batch, coalesce(context, '(default)') AS context, outcomes, requests, held, categories
FROM contexts, LATERAL send(true, jsonb_build_object('bad_batch', bad_batch, 'context', context))
WHERE context IS NULL OR context IN ('pair', 'objectId', 'associationSpec', 'none')
ORDER BY b, c;

-- all are bad, or the one there is
UPDATE links SET type = 280;
SELECT bad_batch, outcomes, requests, held FROM unnest('{partial,whole,unnamed,canceled-unnamed,silent}'::text[]) AS bad_batch,
	LATERAL send(true, jsonb_build_object('bad_batch', bad_batch, 'context', NULL));
UPDATE links SET type = 279;
CALL sim.missing('contacts', '1');
BEGIN;
DELETE FROM links WHERE no > 1;
SELECT bad_batch, context, outcomes, requests, categories
FROM unnest('{partial,whole,unnamed,canceled-unnamed,silent}'::text[]) WITH ORDINALITY AS b (bad_batch, b),
	unnest('{pair,none}'::text[]) WITH ORDINALITY AS c (context, c),
	LATERAL send(false, jsonb_build_object('bad_batch', bad_batch, 'context', context))
ORDER BY b, c;
ROLLBACK;

-- a batch that is too large is halved until it isn't
CALL sim.forget();
SELECT outcomes, held, requests FROM send(true, '{"max_body_bytes": 400}');
SELECT outcomes, held, requests, categories FROM send(true, '{"max_body_bytes": 50}');
-- what halving cannot mend, isn't
CALL sim.forget();
CALL sim.rule('{"status": 404}');
SELECT outcomes, requests, categories FROM send(true, '{}');
CALL sim.no_rule();
SELECT error_category, error_message, count(*) FROM hs_assoc_batch_create_default('contacts', 'widgets',
	'SELECT n AS from_id, n AS to_id FROM generate_series(1, 100) AS n') GROUP BY 1, 2;
SELECT status, count(*) FROM sim.requests() GROUP BY status;

--
-- Answers that are not what they should be: a row for each input, ok only where the answer says so
--
CALL sim.forget();
CREATE FUNCTION distort(action jsonb, OUT "default" text, OUT labelled text)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule('{"act": true}'::jsonb || action);
	"default" := (send(false, '{}')).outcomes;
	labelled := (send(true, '{}')).outcomes;
	CALL sim.no_rule();
END $$;
SELECT action, d.*
FROM (VALUES
	('{"results": ["shuffle"]}'),
	('{"results": ["reverse"]}'),
	('{"results": ["double"]}'),
	('{"results": ["foreign"]}'),
	('{"results": ["numbers"]}'),
	('{"results": ["unknown_keys"]}'),
	('{"results": ["drop:2"]}'),
	('{"results": ["drop_pair:4:104", "shuffle", "double", "foreign", "numbers", "unknown_keys"]}'),
	('{"results": ["empty"]}'),
	('{"envelope": {"results": null}}'),
	('{"envelope": {"results": [], "status": "PENDING"}}'),
	('{"envelope": {"status": "PENDING"}}'),
	('{"envelope": {"status": null, "startedAt": null, "completedAt": null}}'),
	('{"status": 207}'),
	('{"status": 202}'),
	('{"status": 204}'),
	('{"nest": 10000}'),
	('{"pad": 1000000}'),
	('{"pad": 17000000}'),
	('{"content_type": "text/plain"}'),
	('{"content_type": "application/json;charset=latin-1"}'),
	('{"chunked": true}'),
	('{"drip": {"bytes": 500, "interval_ms": 1}}'),
	('{"truncate": 300}'),
	('{"text": ""}'),
	('{"text": "{\"results\": ["}'),
	('{"errors": [{"message": "about nobody"}]}'),
	('{"errors": [{"message": "a", "context": {"fromObjectId": ["2"], "toObjectId": ["102"]}}]}'),
	('{"errors": [{"message": "a", "context": {"fromObjectId": ["2", "6"], "toObjectId": ["102", "106"]}}]}'),
	('{"errors": [{"message": "a", "context": {"fromObjectId": ["2"]}}, {"message": "b", "context": {"ids": ["7"]}}]}'),
	('{"errors": [{"message": "a", "context": {"fromObjectId": ["2"], "toObjectId": ["103"]}}]}'),
	('{"errors": [7, null, "text", [], {"context": 5}, {"context": {"ids": 9, "fromObjectId": {}}}, {"context": {"id": [null, 2.5]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"ids": ["2"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"id": "102"}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"id": 2}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "errors": [{"context": {"objectId": ["2"], "objectType": ["CONTACT"]}}]}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"objectId": ["2"], "objectType": ["COMPANY"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": "{fromObjectId=[2]}"}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"objectId": ["2"], "objectType": ["DEAL"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"INVALID_OBJECT_IDS": ["2 is not valid"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"ids": ["2"], "INVALID_OBJECT_IDS": ["CONTACT=2 is not valid"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a", "context": {"fromObjectId": ["2"], "associationSpec": ["some", "HUBSPOT_DEFINED=x"]}}]}'),
	('{"results": ["drop_pair:2:102"], "errors": [{"message": "a"}]}')) AS v (action), LATERAL distort(action::jsonb) AS d;
-- what an unconfirmed input's row says, where the error may be about another one
CALL sim.rule('{"act": true, "results": ["drop_pair:2:102", "drop_pair:3:103"], "errors": [{"message": "One of them is bad", "category": "SOME", "correlationId": "c0ffee"}]}');
SELECT input_no, ok, http_status, error_category, error_message, error,
	CASE WHEN NOT ok THEN correlation_id IS NOT NULL END AS has_correlation_id
FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links WHERE no <= 3 ORDER BY no')
ORDER BY input_no;
SELECT outcome, detail, hint FROM sim.try($$SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links WHERE no = 2', 'raise')$$);
-- a pair that comes back with several types, one of them twice
CALL sim.rule('{"body": {"results": [
	{"from": {"id": "1"}, "to": {"id": "101"}, "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}},
	{"from": {"id": "1"}, "to": {"id": "101"}, "associationSpec": {"associationCategory": "USER_DEFINED", "associationTypeId": 7}},
	{"from": {"id": "1"}, "to": {"id": "101"}, "associationSpec": {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}}]}}');
SELECT input_no, ok, types FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 101 AS to_id');
CALL sim.no_rule();

--
-- The account is refused, or its day's quota is gone: nothing more is sent
--
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
CALL sim.forget();
CALL sim.set('{"rate_limit": {"max": 2, "policy": "DAILY"}}');
SELECT input_no, ok, http_status, error_category, error_message,
	CASE WHEN NOT ok THEN correlation_id IS NOT NULL END AS has_correlation_id, error->'policyName' AS policy
FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links ORDER BY no') ORDER BY input_no;
SELECT status FROM sim.requests();
SELECT count(*) FROM sim.holds('contacts', 'companies');
-- a single call's row says all there is to say
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
-- or its ERROR
SELECT outcome, message, detail LIKE 'RATE_LIMITS: You have reached your daily limit. (HTTP status 429, correlation id %' AS detail, hint
FROM sim.try($$SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, 'raise')$$);

-- refused tokens, missing scopes, a wait that is too long
CREATE FUNCTION refuse(action jsonb, OUT outcomes text, OUT categories text, OUT requests bigint)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.forget();
	CALL sim.rule(action, '{"after": 2}');
	SELECT r.outcomes, r.categories, r.requests INTO outcomes, categories, requests FROM send(true, '{}') AS r;
END $$;
SELECT action, r.*
FROM (VALUES
	('{"status": 401}'),
	('{"status": 403}'),
	('{"status": 530}'),
	('{"status": 429, "headers": {"Retry-After": "86400"}}'),
	('{"status": 429, "body": {"policyName": "DAILY"}}'),
	('{"status": 429, "text": "slow down", "headers": {"Retry-After": "86400"}}'),
	('{"status": 423, "headers": {"Retry-After": "86400"}}'),
	('{"status": 477, "headers": {"Retry-After": "86400"}}'),
	('{"status": 503}')) AS v (action), LATERAL refuse(action::jsonb) AS r;
CALL sim.forget();
CALL sim.account('limited-token', '{crm.objects.contacts.write}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'limited-token');
SELECT input_no, ok, http_status, error_category, error->'errors' AS errors
FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links WHERE no < 4 ORDER BY no') ORDER BY input_no;
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'unknown-token');
SELECT input_no, ok, http_status, error_category, error_message
FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links WHERE no < 4 ORDER BY no') ORDER BY input_no;
-- an ERROR instead of rows and WARNING
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');
CALL sim.rule('{"status": 401, "body": {"message": "The token expired", "category": "EXPIRED_AUTHENTICATION"}}');
SELECT outcome, message, hint FROM sim.try($$SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no', 'raise')$$)
\gx
SELECT status FROM sim.requests();

--
-- What an argument may be is said where it is null or empty, too
--
SELECT command, outcome, message, hint
FROM (VALUES
	($$hs_assoc_enqueue(NULL, 'contacts', 'companies', 'SELECT 1')$$),
	($$hs_assoc_enqueue('', 'contacts', 'companies', 'SELECT 1')$$),
	($$hs_assoc_request(NULL, '/crm')$$),
	($$hs_assoc_request('', '/crm')$$),
	($$hs_assoc_request('GET', NULL)$$),
	($$hs_assoc_request('GET', '')$$),
	($$hs_assoc_adopt('')$$),
	($$hs_assoc_batch_read('contacts', 'companies', NULL::text[])$$),
	($$hs_assoc_resolve('contacts:email', (SELECT array_agg(email) FROM (SELECT ''::text AS email LIMIT 0) AS nobody))$$),
	($$hs_assoc_plan('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 1 AS type_id', managed => '{NULL}')$$)) AS v (command),
	LATERAL sim.try('SELECT ' || command) \gx

DROP VIEW contexts;
DROP TABLE links;
DROP FUNCTION meet, send, distort, refuse;
\set ECHO none
\i :end
