--
-- Removing associations: hs_assoc_archive, hs_assoc_batch_archive, hs_assoc_batch_archive_labels
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- Have the simulator hold associations: pairs of ids, by default of the plain type.
CREATE PROCEDURE hold(pairs jsonb, category text DEFAULT NULL, type_id int DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/associations', jsonb_build_object('from_type', 'contacts', 'to_type', 'companies',
		'pairs', pairs, 'types', CASE WHEN type_id IS NULL THEN '[]'
			ELSE jsonb_build_array(jsonb_build_object('category', category, 'type_id', type_id)) END));
END $$;

-- Have the account define a label; its type id.
CREATE FUNCTION define(label text, inverse_label text DEFAULT NULL) RETURNS int
LANGUAGE sql AS $$
	SELECT (body->'results'->0->>'typeId')::int
	FROM hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/labels',
		jsonb_strip_nulls(jsonb_build_object('label', label, 'name', lower(label), 'inverseLabel', inverse_label)))
$$;

-- The requests since the last look; a line for each input.
CREATE VIEW requests AS
SELECT request, status, replace(body, '},{"from"', E'},\n{"from"') AS body FROM sim.requests();

-- The same, as the ids that were sent: "1: 2 3" for each record
CREATE VIEW groups AS
SELECT n, status, (SELECT string_agg((i->'from'->>'id') || ': ' ||
		(SELECT string_agg(t->>'id', ' ') FROM jsonb_array_elements(i->'to') AS t), ', ')
	FROM jsonb_array_elements(body::jsonb->'inputs') AS i) AS groups
FROM sim.requests() WITH ORDINALITY AS r (request, status, body, n);

--
-- One pair, with all of its types and in both directions
--
SELECT define('Advisor', 'Advised'), define('Owner');
CALL hold('[[101, 9001], [101, 9002], [101, 9003], [102, 9001], [102, 9002], [103, 9001]]');
CALL hold('[[101, 9001]]', 'USER_DEFINED', 1);
CALL hold('[[101, 9001]]', 'HUBSPOT_DEFINED', 1);
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message,
	correlation_id <> '' AS has_correlation_id, error
FROM hs_assoc_archive('contacts', '101', 'companies', '9001')
\gx (null='(null)')
SELECT from_id, to_id, ok, http_status FROM hs_assoc_archive('contacts', 101, 'companies', 9002);
SELECT from_id, to_id, ok, http_status FROM hs_assoc_archive('companies', 9001::bigint, 'contacts', 102::bigint);
SELECT from_id, to_id, ok, http_status FROM hs_assoc_archive('0-1', '103', '0-2', '9001');
SELECT request, status, body FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM sim.holds('companies', 'contacts');
-- one that isn't there any more is ok, whatever HubSpot says of it
SELECT ok, http_status, error_category, error_message, error FROM hs_assoc_archive('contacts', 101, 'companies', 9001);
CALL sim.set('{"archive_missing": 404}');
SELECT ok, http_status, error_category, error_message, error FROM hs_assoc_archive('contacts', 101, 'companies', 9001, 'raise');
CALL sim.set('{"archive_missing": 204}');
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');
CREATE FUNCTION archive(action jsonb, settings jsonb DEFAULT '{}', OUT ok boolean, OUT http_status int, OUT category text, OUT message text)
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	CALL sim.set(settings);
	CALL sim.rule(action);
	SELECT r.ok, r.http_status, r.error_category, r.error_message INTO ok, http_status, category, message
	FROM hs_assoc_archive('contacts', 101, 'companies', 9003) AS r;
	CALL sim.no_rule();
END $$;
SELECT n, action, a.*
FROM (VALUES
	(1, '{"status": 404, "body": {"message": "resource not found"}}'),
	(2, '{"status": 404, "body": {"correlationId": "c0ffee"}}'),
	(3, '{"status": 404, "body": {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "No.", "correlationId": "c0ffee"}}'),
	-- this isn't HubSpot
	(4, '{"status": 404, "text": "<html>Not found</html>", "content_type": "text/html"}'),
	(5, '{"status": 404, "text": ""}'),
	(6, '{"status": 404, "body": {}}'),
	(7, '{"status": 404, "body": []}'),
	(8, '{"status": 404, "body": "message"}'),
	(9, '{"status": 404, "body": {"error": "no such page"}}'),
	(10, '{"status": 410, "body": {"message": "gone"}}'),
	(11, '{"status": 404, "body": {"status": "error", "message": "Association does not exist", "correlationId": "c0ffee"}}'),
	(12, '{"status": 404, "body": {"status": "error", "message": "No.", "correlationId": "c0ffee"}}')) AS v (n, action),
	LATERAL archive(action::jsonb) AS a
ORDER BY n;
SELECT * FROM sim.holds('contacts', 'companies');
-- with and without a body, and others
SELECT n, a.* FROM (VALUES
	(1, '{}', '{"archive_status": 200}'),
	(2, '{}', '{"archive_status": 204}'),
	(3, '{}', '{"archive_status": null}'),
	(4, '{"status": 202, "text": ""}', '{}'),
	(5, '{"status": 200, "body": {}}', '{}'),
	(6, '{"status": 200, "body": {"status": "COMPLETE"}}', '{}'),
	(7, '{"status": 200, "body": {"status": "PENDING", "results": []}}', '{}'),
	(8, '{"status": 200, "body": {"status": "PROCESSING", "results": []}}', '{}'),
	(9, '{"status": 200, "body": {"status": "CANCELED", "results": []}}', '{}'),
	(10, '{"status": 200, "body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No."}]}}', '{}'),
	(11, '{"status": 207, "body": {"status": "COMPLETE", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No.", "context": {"fromObjectId": ["101"]}}]}}', '{}'),
	(12, '{"status": 207, "body": {"status": "COMPLETE", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No."}]}}', '{}'),
	(13, '{"status": 207, "body": {"status": "COMPLETE", "results": [], "errors": [{"category": "OBJECT_NOT_FOUND", "message": "No.", "context": {"fromObjectId": ["101"]}}]}}', '{}'),
	(14, '{"status": 200, "text": "<html>"}', '{}'),
	(15, '{"status": 200, "text": "{\"status\": \"COMPLETE\""}', '{}'),
	(16, '{"status": 200, "body": []}', '{}'),
	(17, '{"status": 400}', '{}'),
	(18, '{"status": 401}', '{}'),
	(19, '{"status": 403}', '{}'),
	(20, '{"status": 500}', '{}'),
	(21, '{"status": 302}', '{}'),
	-- errors in any form
	(31, '{"status": 200, "body": {"message": "Internal error", "correlationId": "c0ffee"}}', '{}'),
	(32, '{"status": 200, "body": {"category": "VALIDATION_ERROR"}}', '{}'),
	(33, '{"status": 200, "body": {"error": "nope"}}', '{}'),
	(34, '{"status": 200, "body": {"error": {"message": "nope"}}}', '{}'),
	(35, '{"status": 200, "body": {"status": "error"}}', '{}'),
	(36, '{"status": 200, "body": {"status": "COMPLETE", "errors": ["pair 101-9003 failed"]}}', '{}'),
	(37, '{"status": 200, "body": {"status": "COMPLETE", "errors": [null]}}', '{}'),
	(38, '{"status": 200, "body": {"status": "COMPLETE", "errors": {"message": "No."}}}', '{}'),
	(39, '{"status": 200, "body": {"status": "COMPLETE", "errors": "No."}}', '{}'),
	(40, '{"status": 200, "body": {"status": "COMPLETE", "errors": [{}]}}', '{}'),
	(41, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": 1}}', '{}'),
	(42, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": "1", "errors": []}}', '{}'),
	(43, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": 1.0, "errors": null}}', '{}'),
	(44, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": 1e3}}', '{}'),
	(45, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": 99999999999999999999}}', '{}'),
	(46, '{"status": 200, "body": {"numErrors": 1}}', '{}'),
	-- these are none
	(51, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": 0, "errors": []}}', '{}'),
	(52, '{"status": 200, "body": {"status": "COMPLETE", "numErrors": "0", "errors": null}}', '{}'),
	(53, '{"status": 200, "body": {"status": null, "errors": null, "message": null, "category": null, "error": null}}', '{}'),
	(54, '{"status": 202, "body": {"status": "COMPLETE"}}', '{}')) AS v (n, action, settings), LATERAL archive(action::jsonb, settings::jsonb) AS a
ORDER BY n;
ALTER SERVER hubspot OPTIONS (DROP max_retries, DROP max_retry_delay);
-- ids and arguments that are wrong
CALL sim.forget_requests();
SELECT to_json(f) AS from_id, to_json(t) AS to_id, ok, http_status, error_category, error_message
FROM (VALUES (NULL, '1'), ('1', NULL), ('', '1'), ('1', '..'), ('1 2', '1'), ('1', 'ü')) AS v (f, t),
	LATERAL hs_assoc_archive('contacts', f, 'companies', t);
SELECT from_id, to_id, ok, error_category, error_message FROM hs_assoc_archive('contacts', NULL::bigint, 'companies', 1);
SELECT call, outcome, message
FROM (VALUES
	(1, 'hs_assoc_archive(NULL, 1, ''companies'', 2)'),
	(2, 'hs_assoc_archive(''contacts'', 1, ''..'', 2)'),
	(3, 'hs_assoc_archive(''contacts'', 1, ''companies'', 2, ''ignore'')'),
	(4, 'hs_assoc_archive(''contacts'', 1, ''companies'', 2, NULL)'),
	(5, 'hs_assoc_archive(''contacts'', 1, ''companies'', 2, server => ''nobody'')'),
	(6, 'hs_assoc_archive(''contacts'', NULL::text, ''companies'', ''2'', ''raise'')'),
	(7, 'hs_assoc_batch_archive(''contacts'', '''', ''SELECT 1 AS from_id, 2 AS to_id'')'),
	(8, 'hs_assoc_batch_archive(''contacts'', ''companies'', NULL::text)'),
	(9, 'hs_assoc_batch_archive(''contacts'', ''companies'', NULL::hs_assoc_input[])'),
	(10, 'hs_assoc_batch_archive(''contacts'', ''companies'', ''SELECT 1 AS from_id'')'),
	(11, 'hs_assoc_batch_archive(''contacts'', ''companies'', ''SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id'')'),
	(12, 'hs_assoc_batch_archive(''contacts'', ''companies'', ''{}''::hs_assoc_input[], '''')'),
	(13, 'hs_assoc_batch_archive_labels(''contacts'', ''companies'', ''SELECT 1 AS from_id, 2 AS to_id'')'),
	(14, 'hs_assoc_batch_archive_labels(''contacts'', ''companies'', ''SELECT 1 AS from_id, 1 AS type_id'')'),
	(15, 'hs_assoc_batch_archive_labels(''contacts'', ''companies'', NULL::hs_assoc_input[])'),
	(16, 'hs_assoc_batch_archive_labels(''contacts'', ''com panies'', ''{}''::hs_assoc_input[])')) AS v (n, call),
	LATERAL sim.try('SELECT ' || call) ORDER BY n;
SELECT count(*) FROM sim.requests();
-- what HubSpot refuses
SELECT ok, http_status, error_category, error_message FROM hs_assoc_archive('contacts', 'ACME', 'companies', '9003');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_archive('contacts', '101', 'widgets', '9003');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_archive('contacts', '101', 'companies', 'ACME', 'raise')$$)
\gx

--
-- Many pairs, in any order: sorted, and grouped by the one record; a row for each
--
CALL sim.forget();
CREATE TABLE links (no int, contact text, company text);
INSERT INTO links VALUES
	(1, '103', '9001'), (2, '101', '9001'), (3, '102', '9001'), (4, '101', '9002'), (5, '103', '9001'), (6, '101', '9003'),
	(7, NULL, '9001'), (8, '102', ''), (9, '101', '9001'), (10, '104', '9004'), (11, '10', '9001');
CALL hold('[[103, 9001], [103, 9002], [101, 9001], [101, 9002], [101, 9003], [102, 9001], [102, 9002], [10, 9001]]');
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message, correlation_id, error
FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no')
ORDER BY input_no;
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies');
-- joined to where they came from: a number is that of the row in the query
SELECT bool_and(contact IS NOT DISTINCT FROM from_id AND company IS NOT DISTINCT FROM to_id) AS matches, count(*)
FROM links JOIN hs_assoc_batch_archive('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no')
	ON no = input_no;
-- an array; what stands beside the ids does not matter
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, error_category, error_message
FROM hs_assoc_batch_archive('contacts', 'companies', ARRAY[
	('2', '1', NULL, NULL, NULL),
	('1', '1', NULL, NULL, NULL),
	NULL,
	('2', NULL, NULL, NULL, NULL),
	('1', '1', '{279}', NULL, NULL),
	('1', '1', NULL, 'HUBSPOT_DEFINED', NULL),
	('1', '1', NULL, NULL, '{Advisor}'),
	('1', '3', NULL, NULL, NULL)]::hs_assoc_input[])
ORDER BY input_no;
TABLE requests;
-- no rows: no request
SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false');
SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', '{}'::hs_assoc_input[]);
SELECT count(*), string_agg(DISTINCT error_category, ' ') AS categories FROM hs_assoc_batch_archive('contacts', 'companies',
	'SELECT NULL AS from_id, n AS to_id FROM generate_series(1, 3000) AS n');
SELECT count(*) FROM sim.requests();
-- ids that are the same on both sides
SELECT bool_and(ok) AS ok FROM hs_assoc_batch_archive('contacts', 'companies',
	'SELECT a AS from_id, b AS to_id FROM generate_series(1, 3) AS a, generate_series(1, 3) AS b');
TABLE groups;
-- records of one type
SELECT ok FROM hs_assoc_batch_create_default('companies', 'companies', 'SELECT 1 AS from_id, n AS to_id FROM generate_series(2, 4) AS n');
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok FROM hs_assoc_batch_archive('companies', 'companies',
	'SELECT * FROM (VALUES (1, 2), (2, 1), (3, 1)) AS v (from_id, to_id)') ORDER BY input_no;
SELECT * FROM sim.holds('companies', 'companies');

--
-- 100 records a request, with as many others as they have
--
CALL sim.forget();
CREATE TABLE pairs AS SELECT f AS from_id, t AS to_id FROM generate_series(1, 250) AS f, generate_series(1, 4) AS t;
SELECT sim.control('POST', '/associations', '{"from_type": "contacts", "to_type": "companies",
	"generate": {"count": 250, "per_from": 4, "to_count": 4}}')->'count' AS held;
CALL sim.forget_requests();
SELECT count(*), count(DISTINCT input_no) AS inputs, bool_and(ok) AS ok, min(input_no), max(input_no)
FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT * FROM pairs ORDER BY to_id, from_id DESC');
SELECT entry->'inputs' AS records FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry ORDER BY 1;
SELECT count(*) FROM sim.holds('contacts', 'companies');
-- one record with more than go into a request
SELECT sim.control('POST', '/associations',
	'{"from_type": "contacts", "to_type": "companies", "generate": {"per_from": 25000}}')->'count' AS held;
SELECT count(*), count(DISTINCT input_no) AS inputs, bool_and(ok) AS ok
FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, n AS to_id FROM generate_series(1, 25000) AS n');
SELECT sim.control('GET', '/associations/count?from_type=contacts&to_type=companies')->'count' AS held;
-- smaller ones if wanted
CALL sim.forget_requests();
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
SELECT input_no, from_id, to_id, ok FROM hs_assoc_batch_archive('contacts', 'companies',
	'SELECT * FROM (VALUES (5, 1), (1, 1), (3, 1), (2, 1), (1, 2), (5, 2), (4, 1), (1, 3)) AS v (from_id, to_id)') ORDER BY input_no;
TABLE groups;
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);

--
-- Failures: of those that errors name; what no error names is done
--
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');
-- What becomes of eight pairs, 1-11, 1-12, 2-21, 2-22, 3-31, 3-32, 4-41, 4-42, in this order: + done, x refused, ? unconfirmed,
-- N not sent; whether the simulator holds just those that aren't done; the number of requests; the categories of errors.
CREATE FUNCTION remove(action jsonb, match jsonb DEFAULT '{}', settings jsonb DEFAULT '{"archive_status": 200}',
	OUT outcomes text, OUT held boolean, OUT requests bigint, OUT categories text)
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	CALL hold('[[1, 11], [1, 12], [2, 21], [2, 22], [3, 31], [3, 32], [4, 41], [4, 42]]');
	CALL sim.set(settings);
	CALL sim.rule(action, match);
	CALL sim.forget_requests();
	CREATE TEMP TABLE result AS SELECT * FROM hs_assoc_batch_archive('contacts', 'companies',
		'SELECT n / 2 AS from_id, 10 * (n / 2) + n % 2 + 1 AS to_id FROM generate_series(2, 9) AS n');
	SELECT count(*) INTO requests FROM jsonb_array_elements(sim.control('GET', '/log')->'requests');
	CALL sim.no_rule();
	SELECT string_agg(CASE WHEN input_no <> no THEN '!' WHEN ok THEN '+' WHEN error_category = 'UNCONFIRMED' THEN '?'
			WHEN error_category = 'NOT_SENT' THEN 'N' ELSE 'x' END, '' ORDER BY no),
		string_agg(DISTINCT error_category, ' ')
	INTO outcomes, categories FROM (SELECT *, row_number() OVER (ORDER BY input_no) AS no FROM result) AS r;
	SELECT array_agg(from_id || '-' || to_id ORDER BY from_id, to_id) IS NOT DISTINCT FROM
		(SELECT array_agg(from_id || '-' || to_id ORDER BY from_id, to_id) FROM sim.holds('contacts', 'companies'))
	INTO held FROM result WHERE NOT ok;
	DROP TABLE result;
END $$;

CREATE TABLE answers (n int GENERATED ALWAYS AS IDENTITY, action jsonb);
INSERT INTO answers (action) VALUES
	('{}'),
	('{"results": ["unknown_keys"]}'),
	('{"status": 207, "act": true}'),
	('{"status": 202, "act": true}'),
	('{"text": ""}'),
	('{"envelope": {"status": null}}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"], "toObjectId": ["22"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"toObjectId": ["22"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"ids": ["22", "31"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"objectId": ["2"], "objectType": ["CONTACT"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": "{fromObjectId=[2], toObjectId=[22]}"}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"], "toObjectId": ["22"]}}, {"category": "OTHER", "message": "b", "context": {"id": "41"}}]}'),
	('{"errors": [{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"fromObjectId": ["2"], "toObjectId": ["22"]}}]}'),
	('{"errors": [{"category": "SOME", "message": "about nobody"}]}'),
	('{"errors": [{"category": "SOME", "message": "about others", "context": {"fromObjectId": ["77"]}}]}'),
	('{"envelope": {"status": "PENDING"}}'),
	('{"envelope": {"status": "PROCESSING"}}'),
	('{"envelope": {"status": "CANCELED"}}'),
	('{"text": "<html>"}'),
	('{"text": "{\"status\": \"COMPLETE\""}'),
	('{"pad": 17000000}'),
	('{"truncate": 10}'),
	('{"status": 202, "act": true, "text": ""}'),
	('{"body": {"message": "Internal error", "correlationId": "c0ffee"}}'),
	('{"body": {"category": "VALIDATION_ERROR"}}'),
	('{"body": {"error": "nope"}}'),
	('{"body": {"error": {"message": "nope"}}}'),
	('{"body": {"status": "error"}}'),
	('{"envelope": {"errors": ["pair 2-21 failed"]}}'),
	('{"envelope": {"errors": {"message": "No."}}}'),
	('{"envelope": {"errors": "No."}}'),
	('{"envelope": {"errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}, "b"]}}'),
	('{"envelope": {"numErrors": 1}}'),
	('{"envelope": {"numErrors": "1"}}'),
	('{"envelope": {"numErrors": 1.0}}'),
	('{"envelope": {"numErrors": 2, "errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}]}}'),
	('{"envelope": {"numErrors": 1, "errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}]}}'),
	('{"envelope": {"numErrors": 0, "errors": []}}');
-- the simulator has removed them all, so what it holds agrees only where all are done
SELECT n, action, outcomes, requests, categories FROM answers, LATERAL remove(action) ORDER BY n;
-- without a body
SELECT r.* FROM remove('{}', settings => '{"archive_status": 204}') AS r;
-- refused whole, nothing done, because of one record or one pair
SELECT n, r.* FROM (VALUES
	(1, '{"status": 400}', '{"id": "3"}'),
	(2, '{"status": 400}', '{"pair": ["3", "32"]}'),
	(3, '{"status": 400, "body": {"message": "No.", "category": "VALIDATION_ERROR", "context": {"fromObjectId": ["3"]}}}', '{"id": "3"}'),
	(4, '{"status": 400, "body": {"message": "No.", "category": "VALIDATION_ERROR", "context": {"fromObjectId": ["3"], "toObjectId": ["32"]}}}', '{"pair": ["3", "32"]}'),
	(5, '{"status": 400, "body": {"message": "No.", "category": "VALIDATION_ERROR", "context": {"objectId": ["32"], "objectType": ["COMPANY"]}}}', '{"pair": ["3", "32"]}'),
	(6, '{"status": 400, "body": {"message": "No.", "category": "VALIDATION_ERROR", "context": {"INVALID_OBJECT_IDS": ["CONTACT=3 is not valid"]}}}', '{"id": "3"}'),
	(7, '{"status": 422, "body": {"message": "No.", "context": {"ids": ["3"]}}}', '{"id": "3"}'),
	(8, '{"status": 413}', '{"pair": ["3", "32"]}'),
	(9, '{"act": false, "body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No."}]}}', '{"pair": ["3", "32"]}'),
	(10, '{"act": false, "body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No.", "context": {"fromObjectId": ["3"]}}]}}', '{"id": "3"}'),
	(11, '{"status": 400, "body": {"message": "No.", "category": "VALIDATION_ERROR", "context": {"fromObjectId": ["77"]}}}', '{"id": "3"}'),
	(12, '{"status": 404}', '{"id": "3"}'),
	(13, '{"status": 400, "body": {"message": "Unable to infer object type from: x"}}', '{"id": "3"}'),
	(14, '{"status": 500}', '{"id": "3"}'),
	(15, '{"status": 500}', '{"first": 1}'),
	(16, '{"status": 401}', '{"id": "3"}')) AS v (n, action, match), LATERAL remove(action::jsonb, match::jsonb) AS r
ORDER BY n;
SELECT r.* FROM remove('{}', settings => '{"max_body_bytes": 100}') AS r;
CALL sim.set('{"max_body_bytes": null}');
-- sent again, where that may help
ALTER SERVER hubspot OPTIONS (SET max_retries '3', SET max_retry_delay '10ms');
SELECT n, r.* FROM (VALUES (1, '{"status": 503}'), (2, '{"reset": "before"}'), (3, '{"reset": "body", "act": true}'), (4, '{"close": "before", "act": true}')) AS v (n, action),
	LATERAL remove(action::jsonb, '{"first": 2}') AS r ORDER BY n;
ALTER SERVER hubspot OPTIONS (SET max_retries '0', SET max_retry_delay '1ms');
-- what the rows say
CALL sim.rule('{"status": 207, "act": true, "errors": [{"status": "error", "category": "SOME", "message": "No.", "correlationId": "c0ffee",
	"context": {"fromObjectId": ["2"], "toObjectId": ["1"]}}, {"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"fromObjectId": ["1"], "toObjectId": ["3"]}}]}');
SELECT * FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT * FROM (VALUES (2, 1), (1, 1), (1, 3)) AS v (from_id, to_id)')
ORDER BY input_no
\gx (null='(null)')
SELECT outcome, message, detail, hint FROM sim.try($$SELECT hs_assoc_batch_archive('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 3), (2, 1)) AS v (from_id, to_id)', 'raise')$$)
\gx
CALL sim.rule('{"envelope": {"status": "PENDING"}}');
SELECT from_id, ok, http_status, error_category, error_message, correlation_id <> '' AS has_correlation_id
FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
CALL sim.no_rule();
SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', 'raise');
SELECT hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, NULL AS to_id', 'raise');
\echo :LAST_ERROR_SQLSTATE
-- the account is refused midway: nothing more is sent
ALTER SERVER hubspot OPTIONS (ADD batch_size '1', ADD concurrency '1');
CALL sim.forget_requests();
CALL sim.rule('{"status": 401, "body": {"message": "No.", "category": "INVALID_AUTHENTICATION", "correlationId": "c0ffee"}}', '{"after": 2}');
SELECT input_no, from_id, ok, http_status, error_category
FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 5 - n AS from_id, 1 AS to_id FROM generate_series(1, 4) AS n')
ORDER BY input_no;
CALL sim.no_rule();
SELECT status FROM sim.requests();
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency, DROP max_retries, DROP max_retry_delay);

--
-- Only some types of a pair: by their numbers
--
CALL sim.forget();
SELECT define('Advisor', 'Advised'), define('Owner');
CALL hold('[[1, 1], [1, 2], [2, 1], [3, 1]]');
CALL hold('[[1, 1], [1, 2], [3, 1]]', 'USER_DEFINED', 1);
SELECT ok FROM hs_assoc_create('contacts', 2, 'companies', 1, '{1,3}', 'USER_DEFINED');
SELECT * FROM sim.holds('contacts', 'companies');
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message, correlation_id, error
FROM hs_assoc_batch_archive_labels('contacts', 'companies',
	$$SELECT * FROM (VALUES (2, 1, 3, 'USER_DEFINED'), (1, 1, 1, 'USER_DEFINED'), (2, 1, 279, NULL), (3, 1, 1, 'USER_DEFINED'),
		(1, 2, 0, NULL), (1, NULL, 1, NULL), (1, 2, NULL, NULL)) AS v (from_id, to_id, type_id, category)$$)
ORDER BY input_no;
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM sim.holds('companies', 'contacts');
-- the last type of a pair: nothing is left; and what isn't there is ok
SELECT input_no, ok FROM hs_assoc_batch_archive_labels('contacts', 'companies',
	'SELECT 3 AS from_id, 1 AS to_id, ''{279,1}''::int[] AS type_ids UNION ALL SELECT 3, 77, ''{1}''') ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies');
-- by their labels, and both; an array
SELECT input_no, from_id, to_id, ok, error_category, error_message
FROM hs_assoc_batch_archive_labels('contacts', 'companies', ARRAY[
	('1', '2', NULL, NULL, '{Advisor}'),
	('2', '1', '{279}', NULL, '{advisor,Owner}'),
	('2', '1', NULL, 'HUBSPOT_DEFINED', '{Owner}'),
	('2', '1', NULL, NULL, '{Advised}'),
	('2', '1', NULL, NULL, '{}'),
	('2', '1', NULL, NULL, NULL),
	NULL]::hs_assoc_input[])
ORDER BY input_no;
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies');
-- a query with a label, in the other direction
SELECT define('Boss');
CALL hold('[[1, 2]]', 'USER_DEFINED', 5);
SELECT input_no, ok FROM hs_assoc_batch_archive_labels('companies', 'contacts', 'SELECT 2 AS from_id, 1 AS to_id, ''Boss'' AS label');
SELECT input_no, ok FROM hs_assoc_batch_archive_labels('companies', 'contacts',
	'SELECT 2 AS from_id, 1 AS to_id, ''{Boss,Owner}''::text[] AS labels, NULL::int[] AS type_ids, ''USER_DEFINED'' AS category');
SELECT * FROM sim.holds('contacts', 'companies');
-- 100 pairs a request
CALL sim.forget_requests();
SELECT count(*), count(DISTINCT input_no) AS inputs, bool_and(ok) AS ok
FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT n AS from_id, 1 AS to_id, 279 AS type_id FROM generate_series(1, 201) AS n');
SELECT entry->'inputs' AS pairs FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry ORDER BY 1;
CALL sim.forget_requests();
-- a type that isn't one is refused, and the others go
SELECT input_no, ok, http_status, error_category, error_message
FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT n AS from_id, 1 AS to_id, CASE n WHEN 2 THEN 280 WHEN 4 THEN 999 ELSE 279 END AS type_id
	FROM generate_series(1, 5) AS n') ORDER BY input_no;
SELECT status FROM sim.requests();
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id, 999 AS type_id', 'raise')$$)
\gx
SELECT hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id, NULL::int AS type_id', 'raise');
-- a type that isn't there does not mean that the pair is gone: others of its types may have to go
CREATE FUNCTION remove_types(action jsonb, OUT input_no bigint, OUT ok boolean, OUT http_status int, OUT category text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(action, '{"first": 1}');
	RETURN QUERY SELECT r.input_no, r.ok, r.http_status, r.error_category FROM hs_assoc_batch_archive_labels('contacts', 'companies', ARRAY[
		('1', '2', '{1,3}', 'USER_DEFINED', NULL), ('3', '4', '{3}', 'USER_DEFINED', NULL), ('5', '6', '{1}', 'USER_DEFINED', NULL)]::hs_assoc_input[]) AS r;
END $$;
SELECT n, r.* FROM (VALUES
	(1, '{"status": 207, "act": false, "body": {"status": "COMPLETE", "results": [], "errors": [
		{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"associationSpec": ["USER_DEFINED=3"]}}]}}'),
	(2, '{"status": 207, "act": false, "body": {"status": "COMPLETE", "results": [], "errors": [
		{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"associationSpec": ["USER_DEFINED=3"]}},
		{"category": "OBJECT_NOT_FOUND", "message": "b", "context": {"fromObjectId": ["3"], "toObjectId": ["4"]}}]}}'),
	(3, '{"status": 404, "body": {"category": "OBJECT_NOT_FOUND", "message": "a", "correlationId": "c0ffee", "context": {"associationSpec": ["USER_DEFINED=3"]}}}'),
	-- 2^32 more is another one
	(4, '{"status": 207, "act": false, "body": {"status": "COMPLETE", "results": [], "errors": [
		{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"associationSpec": ["USER_DEFINED=4294967299"]}}]}}')) AS v (n, action),
	LATERAL remove_types(action::jsonb) AS r ORDER BY n, r.input_no;
-- that another input is gone says nothing of the only one
CALL sim.rule('{"status": 207, "act": false, "body": {"status": "COMPLETE", "results": [], "errors": [
	{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"fromObjectId": ["8"], "toObjectId": ["9"]}}]}}', '{"first": 1}');
SELECT ok, http_status, error_category FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
CALL sim.rule('{"status": 207, "act": false, "body": {"status": "COMPLETE", "results": [], "errors": [
	{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "message": "a", "context": {"fromObjectId": ["8"]}}]}}', '{"first": 1}');
SELECT input_no, to_id, error_category FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]);
CALL sim.forget_requests();
-- rows of a pair that follow each other are one input, and of a missing one all are ok
CALL sim.rule('{"errors": [{"category": "OBJECT_NOT_FOUND", "message": "a", "context": {"fromObjectId": ["1"], "toObjectId": ["1"]}}]}');
SELECT input_no, ok, http_status, error_category FROM hs_assoc_batch_archive_labels('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 1, 279), (1, 1, 1), (2, 1, 1)) AS v (from_id, to_id, type_id)') ORDER BY input_no;
SELECT body FROM requests;

DROP TABLE links, pairs, answers;
DROP VIEW requests, groups;
DROP FUNCTION define, archive, remove, remove_types;
DROP PROCEDURE hold;
\set ECHO none
\i :end
