--
-- Any one request: hs_assoc_request
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

--
-- The whole answer comes back
--
SELECT http_status, body - ARRAY['startedAt', 'completedAt'] AS body, body ?& ARRAY['startedAt', 'completedAt'] AS has_times
FROM hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/batch/create',
	'{"inputs": [{"from": {"id": "1"}, "to": {"id": "2"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]}]}');
SELECT * FROM sim.holds('contacts', 'companies');
CALL sim.missing('contacts', '404');
SELECT http_status, body->'status' AS status, body->'numErrors' AS errors, body->'errors'->0->'category' AS category
FROM hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/batch/associate/default',
	'{"inputs": [{"from": {"id": "1"}, "to": {"id": "3"}}, {"from": {"id": "404"}, "to": {"id": "3"}}]}');
CALL sim.rule('{"act": true, "envelope": {"requestedAt": "2026-03-01T12:00:00Z", "links": {"more": "https://example.com"}, "status": "PENDING"}}');
SELECT body - ARRAY['startedAt', 'completedAt', 'results'] AS body
FROM hs_assoc_request('PUT', '/crm/objects/2026-03/contacts/1/associations/default/companies/2');
CALL sim.no_rule();

--
-- Every method, in upper or lower case; what the API answers
--
CALL sim.forget_requests();
SELECT http_status, body FROM hs_assoc_request('GET', '/crm/associations/2026-03/contacts/companies/labels');
SELECT http_status, body FROM hs_assoc_request('post', '/crm/associations/2026-03/contacts/companies/labels', '{"label": "Bürge", "name": "guarantor"}');
SELECT http_status, body FROM hs_assoc_request('Put', '/crm/associations/2026-03/contacts/companies/labels', '{"label": "Guarantor", "associationTypeId": 1}');
SELECT http_status, body - 'correlationId' AS body, headers->'allow' AS allow
FROM hs_assoc_request('patch', '/crm/associations/2026-03/contacts/companies/labels', '{}');
SELECT http_status, body FROM hs_assoc_request('GET', '/crm/v4/associations/contacts/companies/labels');
SELECT http_status, body FROM hs_assoc_request('DELETE', '/crm/v4/associations/contacts/companies/labels/1');
SELECT jsonb_array_length(body->'results') AS labels FROM hs_assoc_request('GET', '/crm/v4/associations/contacts/companies/labels');
SELECT * FROM sim.requests();

-- an error is a row
SELECT path, http_status, body - 'correlationId' AS body
FROM (VALUES
	('/'),
	('/crm/objects/2026-03/contacts/1/associations/widgets'),
	('/crm/objects/2026-03/contacts/1/associations/companies?limit=501')) AS v (path),
	LATERAL hs_assoc_request('GET', path);
CALL sim.account('limited-token', '{}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'limited-token');
SELECT http_status, body->'category' AS category FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'unknown-token');
SELECT http_status, body->'category' AS category FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');

-- a query, which is sent as it is: page after page
SELECT sim.control('POST', '/associations', '{"from_type": "contacts", "to_type": "companies", "pairs": [[7, 71], [7, 72], [7, 73]]}') - 'count' AS done;
WITH RECURSIVE pages AS (
	SELECT 1 AS page, r.body FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/7/associations/companies?limit=2') AS r
	UNION ALL
	SELECT page + 1, r.body FROM pages,
		hs_assoc_request('GET', '/crm/objects/2026-03/contacts/7/associations/companies?limit=2&after=' ||
			replace(replace(pages.body->'paging'->'next'->>'after', '+', '%2B'), '=', '%3D')) AS r
	WHERE pages.body->'paging' IS NOT NULL)
SELECT page, result->'toObjectId' AS company FROM pages, jsonb_array_elements(body->'results') AS result ORDER BY page, company;

--
-- Nothing but a path of the account's own host
--
SELECT http_status FROM hs_assoc_request('HEAD', '/');
\echo :LAST_ERROR_SQLSTATE
SELECT http_status FROM hs_assoc_request('GET', '//evil.example/');
\echo :LAST_ERROR_SQLSTATE
SELECT http_status FROM hs_assoc_request('GET', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT http_status FROM hs_assoc_request(NULL, '/');
CALL sim.forget_requests();
SELECT method, outcome FROM (VALUES ('OPTIONS'), ('CONNECT'), ('TRACE'), ('GETS'), ('GE'), (''), (' GET'), ('GET /x')) AS v (method),
	LATERAL sim.try(format('SELECT hs_assoc_request(%L, ''/'')', method));
SELECT to_json(path) AS path, outcome
FROM (VALUES
	(''),
	('crm'),
	('http://evil.example/'),
	('@evil.example/'),
	(':80/'),
	('.evil.example/'),
	('\evil.example'),
	('/\evil.example'),
	('//evil.example'),
	('?x'),
	('#x'),
	('/x#y'),
	('/x y'),
	(E'/x\ny'),
	(E'/x\r\ny'),
	(E'/x\u007f'),
	('/ü'),
	('/.'),
	('/..'),
	('/../x'),
	('/x/..'),
	('/x/./y'),
	('/x/../y'),
	('/x/..?y'),
	('/%2e'),
	('/%2e%2e/x'),
	('/x/.%2E/y'),
	('/x/%2E./y')) AS v (path),
	LATERAL sim.try(format('SELECT hs_assoc_request(''GET'', %L)', path));
SELECT count(*) FROM sim.requests();
SELECT path, http_status
FROM (VALUES
	('/x//y'),
	('/...'),
	('/.x'),
	('/x..'),
	('/x/?y=../z'),
	('/http://evil.example/'),
	('/@evil.example'),
	('/x:80'),
	('/%20%C3%BC%2F%23?a=b&c=%26'),
	('/x?y?z'),
	('/~x!$&()*+,;=''')) AS v (path),
	LATERAL hs_assoc_request('GET', path);
SELECT request FROM sim.requests();

--
-- The body: sent as the JSON it is
--
CALL sim.rule('{"status": 200}');
SELECT body, http_status
FROM (VALUES
	(1, '{"id": 12345678901234567890, "x": [1.50, null, true], "text": "Ü \"\\\n 日本 😀"}'),
	(2, '[]'),
	(3, '"text"'),
	(4, 'null')) AS v (n, body),
	LATERAL hs_assoc_request('POST', '/x', body::jsonb) AS r (http_status, headers, reply)
ORDER BY n;
SELECT http_status FROM hs_assoc_request('DELETE', '/x', '{"ids": [1]}');
SELECT http_status FROM hs_assoc_request('GET', '/x', '{"a": 1}');
SELECT http_status FROM hs_assoc_request('POST', '/x', NULL);
SELECT entry->'method' AS method, entry->>'body' AS body, entry->'content_type' AS content_type,
	entry->'headers'->'content-length' AS content_length
FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') WITH ORDINALITY AS entries (entry, n) ORDER BY n;

-- what comes back: JSON, a text that isn't, or nothing
CREATE FUNCTION answer(action jsonb, OUT http_status int, OUT body jsonb)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(action);
	SELECT r.http_status, r.body INTO http_status, body FROM hs_assoc_request('POST', '/x', '{}') AS r;
	CALL sim.no_rule();
END $$;
SELECT r.http_status, r.body, jsonb_typeof(r.body) AS type
FROM (VALUES
	(1, '{"status": 200, "text": "{\"a\": [1, 2.50, 12345678901234567890]}"}'),
	(2, '{"status": 200, "text": "[]"}'),
	(3, '{"status": 200, "text": " 5 "}'),
	(4, '{"status": 200, "text": "null"}'),
	(5, '{"status": 200, "text": "\"text\""}'),
	(6, '{"status": 200, "text": ""}'),
	(7, '{"status": 204}'),
	(8, '{"status": 502, "text": "<html>\n<h1>Bad \"Gateway\"</h1></html>", "content_type": "text/html"}'),
	(9, '{"status": 200, "text": "{\"a\": 1"}'),
	(10, '{"status": 200, "text": "{\"a\": 1} x"}'),
	(11, '{"status": 200, "text": "{\"a\": \"\\u0000\\ud800 \\ud83d\\ude00\"}"}'),
	(12, '{"status": 200, "body": {"a": "Müll"}, "encoding": "latin-1"}'),
	(13, '{"status": 200, "base64": "eyJtZXNzYWdlIjogImEAYiJ9"}'),
	(14, '{"status": 200, "text": "{\"a\": 1, \"a\": 2}"}'),
	(15, '{"status": 200, "body": [1, 2], "chunked": true}'),
	(16, '{"status": 200, "text": "{\"a\": [1] x}"}'),
	(17, '{"status": 200, "text": "{\"a\": [1] \u0001}"}')) AS v (n, action),
	LATERAL answer(action::jsonb) AS r
ORDER BY n;

--
-- Headers: names in lower case
--
CALL sim.rule('{"status": 200, "headers": {"X-Some-Thing": "  a: b, c  ", "X-Empty": "", "x-hubspot-correlation-id": "c0ffee"}}');
SELECT headers - ARRAY['date', 'content-length'] AS headers FROM hs_assoc_request('GET', '/x');
CALL sim.rule('{"redirect": "https://evil.example/"}');
SELECT http_status, headers->'location' AS location, body FROM hs_assoc_request('GET', '/x');
CALL sim.no_rule();
CALL sim.set('{"rate_limit": {"max": 10}}');
SELECT headers->'x-hubspot-ratelimit-max' AS max, headers->'x-hubspot-ratelimit-remaining' AS remaining
FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies');
CALL sim.set('{"rate_limit": null}');

--
-- Tried again: what is repeatable; POST and PATCH only if nothing can have been done,
-- also when a connection that was kept turns out to be dead
--
ALTER SERVER hubspot OPTIONS (ADD max_retries '2', ADD max_retry_delay '1ms');
CREATE FUNCTION attempts(method text, action jsonb, OUT http_status int, OUT error text, OUT requests bigint)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM hs_assoc_request('GET', '/');	-- leaves a connection
	CALL sim.rule(action);
	CALL sim.forget_requests();
	BEGIN
		SELECT r.http_status INTO http_status FROM hs_assoc_request(method, '/x') AS r;
	EXCEPTION WHEN OTHERS THEN
		error := SQLSTATE;
	END;
	SELECT count(*) INTO requests FROM sim.requests();
	CALL sim.no_rule();
END $$;
SELECT method, action, http_status, error, requests > 1 AS again
FROM (VALUES ('{"status": 503}'), ('{"reset": "before"}'), ('{"close": "before"}'), ('{"status": 400}'), ('{"status": 401}'), ('{"status": 530}'), ('{"status": 404}')) AS a (action),
	(VALUES ('GET'), ('PUT'), ('DELETE'), ('POST'), ('PATCH')) AS m (method),
	LATERAL attempts(method, action::jsonb);
CALL sim.rule('{"status": 503}', '{"first": 2}');
SELECT http_status FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies');

-- no answer at all is an ERROR
ALTER SERVER hubspot OPTIONS (SET max_retries '0');
CALL sim.rule('{"reset": "before"}');
SELECT outcome, message, substring(detail, '^[^:]*:[^:]*') AS detail, hint
FROM sim.try($$SELECT hs_assoc_request('GET', '/crm/x?y=z')$$)
\gx
CALL sim.rule('{"status": 200, "pad": 17000000}');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_request('POST', '/x')$$)
\gx
CALL sim.no_rule();
ALTER SERVER hubspot OPTIONS (SET base_url 'http://127.0.0.1:1');
\set VERBOSITY sqlstate
SELECT http_status FROM hs_assoc_request('GET', '/x');
\set VERBOSITY default

DROP FUNCTION answer, attempts;
\set ECHO none
\i :end
