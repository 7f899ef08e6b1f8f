--
-- Reading associations: hs_assoc_list, hs_assoc_batch_read
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- Have the simulator hold associations: pairs of ids, by default of the plain type.
CREATE PROCEDURE hold(from_type text, to_type text, pairs jsonb, category text DEFAULT NULL, type_id int DEFAULT NULL)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/associations', jsonb_build_object('from_type', from_type, 'to_type', to_type,
		'pairs', pairs, 'types', CASE WHEN type_id IS NULL THEN '[]'
			ELSE jsonb_build_array(jsonb_build_object('category', category, 'type_id', type_id)) END));
END $$;

-- Have the account define a label; its type id.
CREATE FUNCTION define(from_type text, to_type text, label text, inverse_label text DEFAULT NULL) RETURNS int
LANGUAGE sql AS $$
	SELECT (body->'results'->0->>'typeId')::int
	FROM hs_assoc_request('POST', format('/crm/associations/2026-03/%s/%s/labels', from_type, to_type),
		jsonb_strip_nulls(jsonb_build_object('label', label, 'name', translate(lower(label), ' ', '_'), 'inverseLabel', inverse_label)))
$$;

-- The requests since the last look; a line for each input.
CREATE VIEW requests AS
SELECT request, status, replace(body, '},{"id"', E'},\n{"id"') AS body FROM sim.requests();

--
-- One record
--
CALL hold('contacts', 'companies', '[[101, 9001], [101, 9002], [101, 9003], [102, 9001]]');
SELECT * FROM hs_assoc_list('contacts', '101', 'companies') ORDER BY to_id
\gx (null='(null)')
SELECT from_id, to_id, category, type_id, label FROM hs_assoc_list('companies', 9001, 'contacts') ORDER BY to_id;
SELECT from_id, to_id FROM hs_assoc_list('0-1', 102::bigint, '0-2');
-- nothing is associated, to records of that type
SELECT * FROM hs_assoc_list('contacts', 103, 'companies');
SELECT * FROM hs_assoc_list('contacts', 101, 'deals');
SELECT request, status, body FROM sim.requests();
-- a row for each type of a pair
SELECT define('contacts', 'companies', 'Advisor', 'Advised by') AS advisor, define('contacts', 'companies', 'Owner') AS owner;
SELECT labels FROM hs_assoc_create('contacts', 101, 'companies', 9002, '{1,3}', 'USER_DEFINED');
SELECT labels FROM hs_assoc_create('contacts', 101, 'companies', 9003, '{1}', 'HUBSPOT_DEFINED');
SELECT input_no, from_id, to_id, category, type_id, label FROM hs_assoc_list('contacts', 101, 'companies')
ORDER BY to_id, category, type_id;
SELECT to_id, category, type_id, label FROM hs_assoc_list('companies', 9002, 'contacts') ORDER BY category, type_id;
-- in pages
CALL sim.forget_requests();
CALL sim.set('{"page_size": 2}');
SELECT to_id, count(*) AS types FROM hs_assoc_list('contacts', 101, 'companies') GROUP BY to_id ORDER BY to_id;
SELECT request, status FROM sim.requests();
CALL sim.set('{"page_size": 1}');
SELECT to_id, count(*) AS types FROM hs_assoc_list('contacts', 101, 'companies') GROUP BY to_id ORDER BY to_id;
SELECT count(*) FROM sim.requests();
CALL sim.set('{"page_size": 500}');
-- records of one type
SELECT define('contacts', 'contacts', 'Manager', 'Report') AS manager, define('contacts', 'contacts', 'Peer') AS peer;
CALL hold('contacts', 'contacts', '[[1, 2], [1, 3]]', 'USER_DEFINED', 5);
CALL hold('contacts', 'contacts', '[[1, 3]]', 'USER_DEFINED', 7);
CALL hold('contacts', 'contacts', '[[1, 4]]');
SELECT from_id, to_id, category, type_id, label FROM hs_assoc_list('contacts', 1, 'contacts') ORDER BY to_id, type_id;
SELECT from_id, to_id, category, type_id, label FROM hs_assoc_list('contacts', 3, 'contact') ORDER BY to_id, type_id;

-- every failure is an ERROR
CALL sim.missing('contacts', '404');
SELECT * FROM hs_assoc_list('contacts', NULL::text, 'companies');
\echo :LAST_ERROR_SQLSTATE
CALL sim.forget_requests();
SELECT call, outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM (VALUES
	(1, '''contacts'', ''404'', ''companies'''),
	(2, '''contacts'', NULL::bigint, ''companies'''),
	(3, '''contacts'', '''', ''companies'''),
	(4, '''contacts'', ''..'', ''companies'''),
	(5, '''contacts'', ''1 2'', ''companies'''),
	(6, '''contacts'', ''A/C?M=E%2e'', ''companies'''),
	(7, '''widgets'', 1, ''companies'''),
	(8, '''contacts'', 1, ''companis'''),
	(9, 'NULL, 1, ''companies'''),
	(10, '''contacts'', 1, ''com panies'''),
	(11, '''contacts'', 1, ''companies'', ''nobody''')) AS v (n, call),
	LATERAL sim.try('SELECT * FROM hs_assoc_list(' || call || ')') ORDER BY n
\gx (null='(null)')
SELECT request, status FROM sim.requests();
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');
CREATE FUNCTION list(action jsonb, match jsonb DEFAULT '{}', OUT outcome text, OUT message text, OUT detail text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(action, match);
	RETURN QUERY SELECT t.outcome, t.message, regexp_replace(t.detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)')
	FROM sim.try('SELECT hs_assoc_list(''contacts'', 101, ''companies'')') AS t;
	CALL sim.no_rule();
END $$;
SELECT action, l.* FROM (VALUES
	(1, '{"status": 401}'),
	(2, '{"status": 403}'),
	(3, '{"status": 429, "headers": {"Retry-After": "3600"}}'),
	(4, '{"status": 500}'),
	(5, '{"status": 404, "text": "<html>", "content_type": "text/html"}'),
	(6, '{"status": 302}'),
	(7, '{"status": 200, "text": ""}'),
	(8, '{"status": 204}'),
	(9, '{"status": 200, "text": "<html>"}'),
	(10, '{"status": 200, "text": "{\"results\": [{\"toObjectId\": \"9001\""}'),
	(11, '{"status": 200, "text": "[]"}')) AS v (n, action), LATERAL list(action::jsonb) AS l
ORDER BY n;
SELECT outcome, split_part(detail, ':', 1) AS detail FROM list('{"reset": "before"}');
-- also on a later page
CALL sim.set('{"page_size": 1}');
SELECT outcome, message, detail FROM list('{"status": 500}', '{"nth": 2}');
CALL sim.set('{"page_size": 500}');
CALL sim.forget_requests();
ALTER SERVER hubspot OPTIONS (SET max_retries '2', SET max_retry_delay '10ms');
SELECT outcome FROM list('{"status": 500}', '{"first": 2}');
SELECT count(*) FROM sim.requests();
ALTER SERVER hubspot OPTIONS (DROP max_retries, DROP max_retry_delay);

--
-- Many records: a query
--
CALL sim.forget();
CREATE TABLE people (no int, id bigint, name text);
INSERT INTO people VALUES (1, 101, 'Ada'), (2, 102, 'Bob'), (3, 103, 'Cid'), (4, NULL, 'Dan'), (5, 101, 'Ada again');
CALL hold('contacts', 'companies', '[[101, 9001], [101, 9002], [102, 9001]]');
SELECT define('contacts', 'companies', 'Advisor', 'Advised by') AS advisor;
CALL hold('contacts', 'companies', '[[101, 9003], [102, 9003]]', 'HUBSPOT_DEFINED', 1);
CALL hold('contacts', 'companies', '[[101, 9003]]', 'USER_DEFINED', 1);
CALL sim.forget_requests();
SELECT * FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT id AS from_id FROM people ORDER BY no')
ORDER BY input_no, to_id, category, type_id;
TABLE requests;
-- joined to where it came from
SELECT name, to_id, label FROM people LEFT JOIN hs_assoc_batch_read('contacts', 'companies',
	'SELECT id AS from_id FROM people ORDER BY no') ON no = input_no
ORDER BY no, to_id, label;
-- an array, of any shape; the other way round
SELECT input_no, from_id, to_id, category, type_id, label
FROM hs_assoc_batch_read('companies', 'contacts', '{9001,9003,9004}'::text[]) ORDER BY input_no, to_id, category;
SELECT input_no, from_id, to_id FROM hs_assoc_batch_read('companies', 'contacts', '{{9001,9004},{9002,9001}}'::text[])
ORDER BY input_no, to_id;
SELECT count(*) FROM hs_assoc_batch_read('companies', 'contacts', '{}'::text[]);
SELECT count(*) FROM hs_assoc_batch_read('companies', 'contacts', 'SELECT 1 AS from_id WHERE false');
SELECT request, status, body FROM requests;
-- ids of any type that has a text form
SELECT query, input_no, from_id, to_id FROM (VALUES
	(1, 'SELECT 102::int AS from_id'),
	(2, 'SELECT ''102''::varchar(9) AS from_id'),
	(3, 'SELECT ''102''::char(9) AS from_id'),
	(4, 'SELECT 102::numeric AS from_id'),
	(5, 'SELECT ''102''::name AS from_id'),
	(6, 'SELECT 102::smallint AS from_id'),
	(7, 'VALUES (102), (103)'),
	(8, 'SELECT 102 AS from_id UNION ALL SELECT 101')) AS v (n, query),
	LATERAL hs_assoc_batch_read('contacts', 'companies', CASE WHEN query LIKE 'VALUES%'
		THEN format('WITH v (from_id) AS (%s) TABLE v', query) ELSE query END)
WHERE to_id = '9001' ORDER BY n, input_no;

-- columns
SELECT to_id FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT id FROM people');
\echo :LAST_ERROR_SQLSTATE
SELECT to_id FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT FROM people');
\echo :LAST_ERROR_SQLSTATE
SELECT to_id FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT id AS from_id, 9001 AS to_id FROM people');
\echo :LAST_ERROR_SQLSTATE
SELECT to_id FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT id AS from_id, id AS from_id FROM people');
\echo :LAST_ERROR_SQLSTATE
-- arguments
CALL sim.forget_requests();
SELECT call, outcome, message
FROM (VALUES
	('NULL, ''companies'', ''SELECT 1 AS from_id'''),
	('''contacts'', '''', ''SELECT 1 AS from_id'''),
	('''contacts'', ''..'', ''{1}''::text[]'),
	('''contacts'', ''companies'', NULL::text'),
	('''contacts'', ''companies'', NULL::text[]'),
	('''contacts'', ''companies'', ''SELECT 1 AS from_id'', ''ignore'''),
	('''contacts'', ''companies'', ''{1}''::text[], NULL'),
	('''contacts'', ''companies'', ''{1}''::text[], server => ''nobody'''),
	('''contacts'', ''companies'', ''nothing''')) AS v (call),
	LATERAL sim.try(format('SELECT hs_assoc_batch_read(%s)', call));
SELECT count(*) FROM sim.requests();

--
-- The same record twice, next to each other or not: asked for once, answered twice
--
SELECT input_no, from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies', '{102,102,103,101,102,103}'::text[])
WHERE to_id IS DISTINCT FROM '9003' ORDER BY input_no, to_id;
TABLE requests;
-- in different requests it may be asked for again
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
SELECT input_no, from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies', '{102,102,103,101,102,103,102}'::text[])
WHERE to_id IS DISTINCT FROM '9003' ORDER BY input_no, to_id;
SELECT body FROM requests;
-- ids are compared as they are given
SELECT input_no, from_id, to_id, error_category FROM hs_assoc_batch_read('contacts', 'companies', '{102,0102}'::text[])
WHERE to_id IS DISTINCT FROM '9003' ORDER BY input_no, to_id;
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);
CALL sim.forget_requests();

--
-- Ids that are wrong: here, or for HubSpot
--
SELECT input_no, left(from_id, 10) AS from_id, to_id, error_category, regexp_replace(error_message, '1{9,}', '1...') AS error_message, error
FROM hs_assoc_batch_read('contacts', 'companies', ARRAY[NULL, '102', '', '.', '1 2', 'ü', repeat('1', 101), E'1\n', '103'])
WHERE to_id IS DISTINCT FROM '9003' ORDER BY input_no, to_id;
SELECT input_no, from_id, to_id, error_category, error_message, error
FROM hs_assoc_batch_read('contacts', 'companies', '{ACME,102,0,-5,103}'::text[])
WHERE to_id IS DISTINCT FROM '9003' ORDER BY input_no, to_id
\gx (null='(null)')
SELECT status, body FROM requests;
-- nothing is sent for the sake of these
SELECT count(*), count(DISTINCT input_no) AS inputs, string_agg(DISTINCT error_category, ' ') AS categories
FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT NULL AS from_id FROM generate_series(1, 3000)');
SELECT count(*) FROM sim.requests();
-- a record that doesn't exist has nothing
CALL sim.missing('contacts', '404');
SELECT * FROM hs_assoc_batch_read('contacts', 'companies', '{404}'::text[]);
-- an object type that doesn't exist is every input's error
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, error_category, error_message FROM hs_assoc_batch_read('contacts', 'widgets', '{1,2}'::text[]) ORDER BY input_no;
SELECT status, count(*) FROM sim.requests() GROUP BY status;
-- on_error => 'raise'
SELECT input_no, to_id FROM hs_assoc_batch_read('contacts', 'companies', '{103,102}'::text[], 'raise') ORDER BY to_id;
SELECT call, outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM (VALUES
	(1, '''contacts'', ''companies'', ''{102,NULL}''::text[]'),
	(2, '''contacts'', ''companies'', ''SELECT 1.5::text AS from_id'''),
	(3, '''contacts'', ''widgets'', ''{102}''::text[]')) AS v (n, call),
	LATERAL sim.try(format('SELECT hs_assoc_batch_read(%s, ''raise'')', call)) ORDER BY n
\gx (null='(null)')

--
-- Pages: more of a record is asked for in the requests for others
--
CALL sim.forget();
SELECT define('contacts', 'companies', 'Advisor', 'Advised by') AS advisor;
-- contact 5 has the companies 51 to 55, and so on; 7 has none
CALL hold('contacts', 'companies', '[[1, 11], [2, 21], [2, 22], [3, 31], [3, 32], [3, 33], [4, 41], [4, 42], [4, 43], [4, 44],
	[5, 51], [5, 52], [5, 53], [5, 54], [5, 55], [6, 61], [6, 62], [6, 63], [6, 64], [6, 65], [6, 66]]');
CALL hold('contacts', 'companies', '[[3, 32], [6, 64], [6, 65]]', 'USER_DEFINED', 1);

-- What each input gets with such pages and requests, as "number id: company label, ...", and the number of requests
CREATE FUNCTION read(ids text[], page_size int, batch_size int, concurrency int, OUT associations text, OUT requests bigint)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.set(jsonb_build_object('page_size', page_size));
	EXECUTE format('ALTER SERVER hubspot OPTIONS (SET batch_size %L, SET concurrency %L)', batch_size, concurrency);
	CALL sim.forget_requests();
	SELECT string_agg(line, E'\n' ORDER BY input_no) INTO associations
	FROM (
		SELECT input_no, format('%s %s: %s', input_no, from_id, string_agg(
			coalesce(error_category, to_id || coalesce(' ' || label, '')), ', ' ORDER BY to_id, label NULLS FIRST)) AS line
		FROM hs_assoc_batch_read('contacts', 'companies', ids)
		GROUP BY input_no, from_id) AS lines;
	SELECT count(*) INTO requests FROM jsonb_array_elements(sim.control('GET', '/log')->'requests');
END $$;

ALTER SERVER hubspot OPTIONS (ADD batch_size '3', ADD concurrency '1');
SELECT associations, requests FROM read('{1,2,3,7,4,5,6}', 2, 3, 1);
-- a cursor of the simulator's holds the record and the last id of the page before
SELECT n, (SELECT string_agg((i->>'id') || coalesce(' ' || convert_from(decode(i->>'after', 'base64'), 'UTF8'), ''), ', ')
	FROM jsonb_array_elements(body::jsonb->'inputs') AS i) AS inputs
FROM sim.requests() WITH ORDINALITY AS r (request, status, body, n);
-- however pages and requests are cut, each association comes once for each input
CREATE TABLE cuts AS
SELECT page_size, batch_size, concurrency, r.*
FROM unnest('{1,2,3,4,5,500}'::int[]) AS page_size, unnest('{1,2,3,1000}'::int[]) AS batch_size, unnest('{1,4}'::int[]) AS concurrency,
	LATERAL read('{5,1,6,5,7,3,2,4,9 9}', page_size, batch_size, concurrency) AS r;
SELECT associations, count(*) AS cuts FROM cuts GROUP BY associations;
-- and as good as no request is sent that isn't full, or needed for the longest list
SELECT page_size, batch_size, concurrency, requests, needed
FROM cuts, LATERAL (
	SELECT greatest(max(pages), ceil(sum(pages) / batch_size)) AS needed
	FROM unnest('{5,1,6,5,1,3,2,4}'::int[]) AS companies, LATERAL ceil(companies::numeric / page_size) AS pages) AS n
WHERE requests > needed + 1;
-- ids as numbers, or mixed with texts, also beyond what a double can tell apart
CALL hold('contacts', 'companies', '[[9007199254740993, 9223372036854775807], [9007199254740993, 9223372036854775806], [9007199254740992, 1]]');
CALL sim.set('{"id_form": "number"}');
SELECT associations FROM read('{9007199254740992,9007199254740993,2}', 1, 3, 1);
CALL sim.set('{"id_form": "mixed"}');
SELECT associations FROM read('{9007199254740992,9007199254740993,2}', 2, 3, 1);
SELECT to_id FROM hs_assoc_list('contacts', 9007199254740993, 'companies') ORDER BY to_id;
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);

--
-- Answers that are not what they should be
--
CALL sim.forget();
CALL hold('contacts', 'companies', '[[1, 11], [1, 12], [2, 21], [2, 22], [3, 31], [3, 32], [5, 51], [5, 52], [6, 61], [6, 62]]');
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');

-- What becomes of contacts 1 to 6, of which all but 4 have two companies: a letter for each, + read as it is held,
-- 0 nothing, ! wrong, x refused, ? unconfirmed, N not sent, a number before it if so many associations came before the
-- error; the number of requests; and the categories of errors.
CREATE FUNCTION look(action jsonb, match jsonb DEFAULT '{}', OUT outcomes text, OUT requests bigint, OUT categories text)
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	CALL sim.rule(action, match);
	CALL sim.forget_requests();
	SELECT string_agg(CASE
			WHEN errors = 0 AND to_ids = '' THEN '0'
			WHEN errors = 0 AND to_ids = format('%s1 %s2', no, no) THEN '+'
			WHEN errors <> 1 THEN '!'
			ELSE coalesce(nullif(companies, 0)::text, '') ||
				CASE error WHEN 'UNCONFIRMED' THEN '?' WHEN 'NOT_SENT' THEN 'N' ELSE 'x' END
			END, '' ORDER BY no),
		string_agg(DISTINCT error, ' ')
	INTO outcomes, categories
	FROM (
		SELECT no, count(error_category) AS errors, count(to_id) AS companies, min(error_category) AS error,
			coalesce(string_agg(to_id, ' ' ORDER BY to_id), '') AS to_ids
		FROM generate_series(1, 6) AS no
		LEFT JOIN hs_assoc_batch_read('contacts', 'companies', '{1,2,3,4,5,6}'::text[]) ON input_no = no
		GROUP BY no) AS inputs;
	SELECT count(*) INTO requests FROM jsonb_array_elements(sim.control('GET', '/log')->'requests');
	CALL sim.no_rule();
END $$;

CREATE TABLE actions (n int GENERATED ALWAYS AS IDENTITY, action jsonb);
INSERT INTO actions (action) VALUES
	('{}'),
	('{"results": ["shuffle"]}'),
	('{"results": ["reverse"]}'),
	('{"results": ["double"]}'),
	('{"results": ["foreign"]}'),
	('{"results": ["numbers"]}'),
	('{"results": ["unknown_keys"]}'),
	('{"results": ["drop:2"]}'),
	('{"results": ["shuffle", "double", "foreign", "numbers", "unknown_keys"]}'),
	('{"results": ["empty"]}'),
	('{"envelope": {"results": null}}'),
	('{"envelope": {"errors": null}}'),
	('{"envelope": {"status": "PENDING"}}'),
	('{"envelope": {"status": null, "startedAt": null, "completedAt": null}}'),
	('{"status": 200}'),
	('{"status": 202}'),
	('{"status": 204}'),
	('{"nest": 10000}'),
	('{"pad": 1000000}'),
	('{"chunked": true}'),
	('{"drip": {"bytes": 500, "interval_ms": 1}}'),
	('{"truncate": 300}'),
	('{"text": ""}'),
	('{"text": "<html>"}'),
	('{"text": "{\"results\": ["}'),
	('{"text": "[]"}'),
	('{"errors": [{"message": "about nobody"}]}'),
	('{"errors": [7, null, "text", [], {"context": 5}, {"context": {"ids": 9, "fromObjectId": {}}}]}'),
	('{"results": ["drop:2"], "errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}]}'),
	('{"results": ["drop:2"], "errors": [{"category": "SOME", "message": "a", "context": {"ids": ["2", "5"]}}]}'),
	('{"results": ["drop:2"], "errors": [{"category": "SOME", "message": "a", "context": "{fromObjectId=[2, 5]}"}]}'),
	('{"results": ["drop:2"], "errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "message": "a", "context": {"fromObjectId": ["2"]}}]}'),
	('{"results": ["drop:2"], "errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": {"name": "x"}, "message": "a", "context": {"id": "2"}}]}'),
	('{"errors": [{"category": "SOME", "message": "a", "context": {"fromObjectId": ["2"]}}]}'),
	-- that there is nothing is belied by a result
	('{"errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "message": "a", "context": {"fromObjectId": ["2"]}}]}'),
	('{"errors": [{"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "message": "a", "context": {"ids": ["1", "2", "4"]}}]}'),
	('{"status": 400}'),
	('{"status": 401}'),
	('{"status": 403}'),
	('{"status": 404}'),
	('{"status": 413}'),
	('{"status": 429, "headers": {"Retry-After": "86400"}}'),
	('{"status": 500}'),
	('{"status": 503, "text": "<html>"}');
SELECT n, action, l.* FROM actions, LATERAL look(action) AS l ORDER BY n;
SELECT outcomes, categories FROM look('{"reset": "before"}');

-- members in any order, also such that the associations come before the record that they are of
CALL sim.rule(jsonb_build_object('text', $${"results": [
	{"paging": {"next": {"link": "x", "after": "YXQ+MToxMQ=="}}, "to": [
		{"associationTypes": [{"label": "L1", "typeId": 7, "category": "NEW_CATEGORY"}, {"typeId": 8, "category": "WORK"}], "toObjectId": 15},
		{"more": [{}], "toObjectId": "16", "associationTypes": [{"category": "A", "typeId": 1, "label": null}]}], "from": {"more": {}, "id": 1}},
	{"to": [], "from": {"id": "2"}},
	{"to": [{"toObjectId": 31, "associationTypes": []}, {"toObjectId": 32}, {"associationTypes": [{"category": "A", "typeId": 1}]}], "from": {"id": "3"}},
	{"to": [{"toObjectId": "41", "associationTypes": [{"category": "A", "typeId": 1}]}]},
	{"to": {}, "from": {"id": "5"}},
	{"from": {"id": "6"}}], "status": "COMPLETE"}$$), '{"first": 1}');
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, category, type_id, label, error_category
FROM hs_assoc_batch_read('contacts', 'companies', '{1,2,3,4,5,6}'::text[]) ORDER BY input_no, to_id, type_id;
TABLE requests;
-- what can't be read is not left out: nobody can tell what contact 2 has
CREATE FUNCTION odd(item text, paging text DEFAULT 'null', encoding text DEFAULT 'utf-8', OUT batch text, OUT list text, OUT detail text)
LANGUAGE plpgsql AS $$
DECLARE
	action jsonb := jsonb_build_object('encoding', encoding);
	items text := format('[{"toObjectId": 21}, %s {"toObjectId": 22}], "paging": %s', item || ',', paging);
BEGIN
	SELECT concat_ws(' ', outcomes, categories) INTO batch
	FROM look(action || jsonb_build_object('text', format('{"results": [
		{"from": {"id": 1}, "to": [{"toObjectId": 11}, {"toObjectId": 12}]}, {"from": {"id": 2}, "to": %s},
		{"from": {"id": 3}, "to": [{"toObjectId": 31}, {"toObjectId": 32}]}, {"from": {"id": 4}, "to": []},
		{"from": {"id": 5}, "to": [{"toObjectId": 51}, {"toObjectId": 52}]}, {"from": {"id": 6}, "to": [{"toObjectId": 61}, {"toObjectId": 62}]}]}',
		items)));
	SELECT l.outcome, substring(l.detail, '[^(]+') INTO list, detail FROM list(action || jsonb_build_object('text', format('{"results": %s}', items))) AS l;
END $$;
SELECT n, item, o.* FROM (VALUES
	(1, '{"associationTypes": [{"category": "A", "typeId": 1}]}'),
	(2, '{}'),
	(3, '{"toObjectId": null}'),
	(4, '{"toObjectId": ["9"]}'),
	(5, '{"id": "9", "type": "contact_to_company"}'),
	(6, '"9"'),
	(7, '9'),
	(8, 'null'),
	(9, '["9"]'),
	-- types without a number or a category: what isn't named can't be kept
	(10, '{"toObjectId": 9, "associationTypes": [{"typeId": 1}]}'),
	(11, '{"toObjectId": 9, "associationTypes": [{"category": "A"}]}'),
	(12, '{"toObjectId": 9, "associationTypes": [{"category": "A", "typeId": 1}, {"category": "A", "typeId": null}]}'),
	(13, '{"toObjectId": 9, "associationTypes": [{"category": "A", "typeId": 0}]}'),
	(14, '{"toObjectId": 9, "associationTypes": [{"category": "A", "typeId": 2147483648}]}'),
	(15, '{"toObjectId": 9, "associationTypes": [{"category": "A", "typeId": "none"}]}'),
	(16, '{"toObjectId": 9, "associationTypes": [1]}'),
	(17, '{"toObjectId": 9, "associationTypes": [null]}'),
	(18, '{"toObjectId": 9, "associationTypes": {"category": "A", "typeId": 1}}'),
	(19, '{"toObjectId": 9, "associationTypes": "A"}'),
	-- ids that are none, or not in any encoding
	(21, '{"toObjectId": ""}'),
	(22, '{"toObjectId": ".."}'),
	(23, '{"toObjectId": "9 9"}'),
	(24, '{"toObjectId": "9\n"}'),
	(25, '{"toObjectId": "9\u0000"}'),
	(26, '{"toObjectId": "9\u007f"}'),
	(27, '{"toObjectId": "\u00fc"}'),
	(28, '{"toObjectId": "\ud83d\ude00"}'),
	(29, '{"toObjectId": "9ü日"}')) AS v (n, item), LATERAL odd(item) AS o ORDER BY n;
SELECT o.* FROM odd('{"toObjectId": "9ü"}', encoding => 'latin-1') AS o;
SELECT length, o.* FROM unnest('{101,1000000}'::int[]) AS length, LATERAL odd(format('{"toObjectId": "%s"}', repeat('9', length))) AS o ORDER BY length;
CALL sim.rule(jsonb_build_object('base64', encode('{"results": [{"from": {"id": "1"}, "to": [{"toObjectId": "9\377\376"}]}]}', 'base64')));
SELECT input_no, from_id, to_id, error_category, error_message FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]);
-- a next page that nobody can find
SELECT n, paging, o.* FROM (VALUES
	(1, '{"next": {"link": "?after=YXQ%2BMToxMQ%3D%3D"}}'),
	(2, '{"next": {"link": "?after=YXQ%2BMToxMQ%3D%3D", "after": null}}'),
	(3, '{"next": {"after": "", "link": "?after=YXQ%2BMToxMQ%3D%3D"}}'),
	(4, '{"next": {"after": {"id": "22"}, "link": "?after=YXQ%2BMToxMQ%3D%3D"}}')) AS v (n, paging),
	LATERAL odd('{"toObjectId": 9}', paging) AS o ORDER BY n;
SELECT o.* FROM odd('{"toObjectId": 9}', format('{"next": {"after": "%s"}}', repeat('x', 1001))) AS o;
-- what can be read
CALL sim.rule(jsonb_build_object('text', format('{"results": [{"from": {"id": "1"}, "paging": {"next": null},
	"to": [{"toObjectId": "%s", "associationTypes": null}, {"toObjectId": 9}]}]}', repeat('9', 100))));
SELECT to_id, category, type_id, error_category FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]) ORDER BY to_id;
-- a record that is there twice: the same, or nobody knows what it has
SELECT n, l.* FROM (VALUES
	(1, '{"toObjectId": 21}, {"toObjectId": 22}'),
	(2, '{"toObjectId": "21"}, {"toObjectId": "22"}'),
	(3, '{"toObjectId": 21}'),
	(4, ''),
	(5, '{"toObjectId": 21}, {"toObjectId": 23}'),
	(6, '{"toObjectId": 21}, {"toObjectId": 22}, {"toObjectId": 23}'),
	(7, '{"toObjectId": 21}, {"toObjectId": 22}], "paging": {"next": {"after": "7"}}, "more": ['),
	(8, '{"toObjectId": 21}, {"toObjectId": 22, "associationTypes": [{"category": "A", "typeId": 1}]}'),
	(9, '{"toObjectId": 21}, {"toObjectId": 22}, {}')) AS v (n, items),
	LATERAL look(jsonb_build_object('text', format('{"results": [
		{"from": {"id": 1}, "to": [{"toObjectId": 11}, {"toObjectId": 12}]}, {"from": {"id": 2}, "to": [{"toObjectId": 21}, {"toObjectId": 22}]},
		{"from": {"id": 3}, "to": [{"toObjectId": 31}, {"toObjectId": 32}]}, {"from": {"id": 2}, "to": [%s]}, {"from": {"id": 4}, "to": []},
		{"from": {"id": 5}, "to": [{"toObjectId": 51}, {"toObjectId": 52}]}, {"from": {"id": 6}, "to": [{"toObjectId": 61}, {"toObjectId": 62}]}]}',
		items))) AS l ORDER BY n;
CALL sim.rule('{"text": "{\"results\": [{\"from\": {\"id\": 1}, \"to\": [{\"toObjectId\": 2}]}, {\"from\": {\"id\": 1}, \"to\": [{\"toObjectId\": 3}]}]}"}');
SELECT input_no, to_id, error_category, error_message FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]);
-- labels are texts
CALL sim.rule('{"body": {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": "2", "associationTypes": [
	{"category": "USER_DEFINED", "typeId": 1, "label": "Ä \"1\" \\ 日本"}, {"category": "USER_DEFINED", "typeId": 2, "label": ""}]}]}]}}');
SELECT to_id, type_id, label FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]) ORDER BY type_id;
CALL sim.rule('{"body": {"results": [{"associationTypes": [
	{"category": "USER_DEFINED", "typeId": 1, "label": "Ä \"1\" \\ 日本"}, {"category": "USER_DEFINED", "typeId": 2, "label": ""}], "toObjectId": 2}]}}');
SELECT from_id, to_id, type_id, label FROM hs_assoc_list('contacts', 1, 'companies') ORDER BY type_id;
-- pages that lead nowhere: the same place again and again
CALL sim.rule('{"status": 200, "body": {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": "2", "associationTypes": [
	{"category": "HUBSPOT_DEFINED", "typeId": 279, "label": null}]}], "paging": {"next": {"after": "YXQ+MToy"}}}]}}');
SELECT DISTINCT input_no, from_id, to_id, type_id, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]) ORDER BY to_id;
CALL sim.rule('{"status": 200, "body": {"results": [], "paging": {"next": {"after": "YXQ+MToy"}}}}');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail
FROM sim.try('SELECT count(*) FROM hs_assoc_list(''contacts'', 1, ''companies'')');
-- an empty list that tells of something else does not mean that there is nothing
CREATE FUNCTION empty_list(more jsonb, OUT outcome text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	CALL sim.rule(jsonb_build_object('status', 200, 'body', '{"results": []}' || more));
	SELECT t.outcome, regexp_replace(t.detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') INTO outcome, detail
	FROM sim.try('SELECT count(*) FROM hs_assoc_list(''contacts'', 1, ''companies'')') AS t;
END $$;
SELECT more, l.*
FROM (VALUES
	(1, '{}'),
	(2, '{"status": "COMPLETE", "numErrors": 0, "errors": [], "message": null}'),
	(3, '{"status": "PENDING"}'),
	(4, '{"status": "CANCELED", "numErrors": 1, "errors": [{"category": "VALIDATION_ERROR", "message": "No"}]}'),
	(5, '{"errors": [{"category": "OBJECT_NOT_FOUND", "message": "Nobody"}]}'),
	(6, '{"errors": [1]}'),
	(7, '{"numErrors": 1}'),
	(8, '{"message": "Internal error"}'),
	(9, '{"category": "RATE_LIMITS"}')) AS v (n, more), LATERAL empty_list(more::jsonb) AS l
ORDER BY n;
DROP FUNCTION empty_list;
-- or the same places again and again, after others or not; of 50 pages, the last of which leads nowhere
CREATE FUNCTION go_round(first int, length int, OUT associations bigint, OUT problem text, OUT requests bigint,
	OUT list text, OUT list_problem text, OUT list_requests bigint)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('DELETE', '/rules');
	PERFORM sim.control('POST', '/rules', jsonb_agg(jsonb_build_object('match', jsonb_build_object('method', method, 'nth', n),
		'action', jsonb_build_object('status', 200, 'text', format(body, n,
			CASE WHEN n < 50 THEN format('{"next": {"after": "%s"}}', CASE WHEN n > first THEN first + 1 + (n - first) % length ELSE n END)
				ELSE 'null' END)))
		ORDER BY n))
	FROM generate_series(1, 50) AS n, (VALUES
		('POST', '{"results": [{"from": {"id": "1"}, "to": [{"toObjectId": %s}], "paging": %s}]}'),
		('GET', '{"results": [{"toObjectId": %s}], "paging": %s}')) AS v (method, body);
	CALL sim.forget_requests();
	SELECT count(to_id), max(error_message) INTO associations, problem FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[]);
	SELECT count(*) INTO requests FROM sim.requests();
	SELECT outcome, substring(detail, '[^(]+') INTO list, list_problem FROM sim.try('SELECT count(*) FROM hs_assoc_list(''contacts'', 1, ''companies'')');
	SELECT count(*) INTO list_requests FROM sim.requests();
	CALL sim.no_rule();
END $$;
SELECT first, length, g.* FROM (VALUES (0, 1), (0, 2), (0, 3), (1, 1), (4, 2), (5, 3), (9, 7), (0, 50)) AS v (first, length),
	LATERAL go_round(first, length) AS g ORDER BY first, length;
CALL sim.no_rule();

-- what the row of a failure says
CALL sim.rule('{"results": ["drop:2"], "errors": [{"category": "SOME", "message": "No.", "correlationId": "c0ffee", "context": {"fromObjectId": ["2"]}}]}');
SELECT * FROM hs_assoc_batch_read('contacts', 'companies', '{1,2,3,4,5}'::text[]) WHERE to_id IS NULL ORDER BY input_no
\gx (null='(null)')

--
-- A failure that passes does not count; and one between two pages
--
ALTER SERVER hubspot OPTIONS (SET max_retries '3', SET max_retry_delay '10ms');
SELECT l.* FROM look('{"status": 502}', '{"first": 3}') AS l;
SELECT l.* FROM look('{"truncate": 300}', '{"first": 2}') AS l;
ALTER SERVER hubspot OPTIONS (SET max_retries '0', SET max_retry_delay '1ms');
CALL sim.set('{"page_size": 1}');
SELECT n, l.* FROM (VALUES
	(1, '{"status": 500}'), (2, '{"status": 400}'), (3, '{"status": 401}'), (4, '{"text": "<html>"}'), (5, '{"results": ["drop:2"]}')) AS v (n, action),
	LATERAL look(action::jsonb, '{"nth": 2}') AS l ORDER BY n;
CALL sim.set('{"page_size": 500}');

--
-- A batch that is refused whole, because of one of its inputs
--
SELECT n, l.* FROM (VALUES
	(1, '{"status": 400}'),
	(2, '{"status": 422}'),
	(3, '{"status": 400, "body": {"category": "VALIDATION_ERROR", "message": "No.", "context": {"fromObjectId": ["3"]}}}'),
	(4, '{"status": 400, "body": {"category": "VALIDATION_ERROR", "message": "No.", "context": {"objectId": ["3"], "objectType": ["CONTACT"]}}}'),
	(5, '{"status": 400, "body": {"category": "VALIDATION_ERROR", "message": "No.", "context": {"INVALID_OBJECT_IDS": ["CONTACT=3 is not valid"]}}}'),
	(6, '{"status": 400, "body": {"category": "VALIDATION_ERROR", "message": "No.", "context": {"id": ["3"]}}}'),
	(7, '{"status": 400, "body": {"category": "VALIDATION_ERROR", "message": "No.", "context": "{ids=[3]}"}}'),
	(8, '{"body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No."}]}}'),
	(9, '{"body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "No.", "context": {"fromObjectId": ["3"]}}]}}'),
	(10, '{"pad": 17000000}')) AS v (n, action),
	LATERAL look(action::jsonb, '{"id": "3"}') AS l ORDER BY n;
-- one that is too large is halved until it isn't
CALL sim.set('{"max_body_bytes": 40}');
SELECT l.* FROM look('{}') AS l;
CALL sim.set('{"max_body_bytes": 20}');
SELECT l.* FROM look('{}') AS l;
CALL sim.set('{"max_body_bytes": null}');
-- and so is one whose answer is
SELECT l.* FROM look('{"pad": 17000000}', '{"first": 1}') AS l;

--
-- The account is refused midway: no more is sent
--
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
SELECT n, l.* FROM (VALUES (1, '{"status": 401}'), (2, '{"status": 403}'), (3, '{"status": 429, "body": {"policyName": "DAILY"}}'),
	(4, '{"status": 530}'), (5, '{"status": 503}')) AS v (n, action),
	LATERAL look(action::jsonb, '{"after": 1}') AS l ORDER BY n;
CALL sim.rule('{"status": 401, "body": {"message": "The token expired", "category": "EXPIRED_AUTHENTICATION", "correlationId": "c0ffee"}}', '{"after": 1}');
SELECT input_no, from_id, to_id, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies', '{1,2,3,4,5,6}'::text[]) ORDER BY input_no, to_id;
SELECT outcome, message, hint FROM sim.try('SELECT hs_assoc_batch_read(''contacts'', ''companies'', ''{1,2,3,4,5,6}''::text[], ''raise'')');
CALL sim.no_rule();
-- scopes: to read is not to write
CALL sim.account('reader-token', '{crm.objects.contacts.read,crm.objects.companies.read}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'reader-token');
SELECT count(*) FROM hs_assoc_list('contacts', 1, 'companies');
SELECT input_no, to_id, error_category, error->'errors' AS errors FROM hs_assoc_batch_read('contacts', 'deals', '{1}'::text[]);
SELECT ok, error_category FROM hs_assoc_archive('contacts', 1, 'companies', 2);
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency, DROP max_retries, DROP max_retry_delay);

--
-- Wherever SQL has place for rows
--
CALL sim.forget();
CALL hold('contacts', 'companies', '[[101, 1], [101, 2], [102, 2], [1, 7]]');
CALL hold('companies', 'deals', '[[1, 11], [2, 21], [2, 22]]');
-- a call for each row
SELECT name, to_id FROM people, hs_assoc_list('contacts', id, 'companies') WHERE id IS NOT NULL ORDER BY no, to_id;
SELECT (hs_assoc_list('contacts', 101, 'companies')).to_id ORDER BY 1;
SELECT count(*) FROM (SELECT FROM hs_assoc_batch_read('contacts', 'companies', '{101,102}'::text[]) LIMIT 1) AS one;
-- the deals of a contact's companies: the query reads, too
SELECT c.from_id AS contact, c.to_id AS company, d.to_id AS deal
FROM hs_assoc_list('contacts', 101, 'companies') AS c
JOIN hs_assoc_batch_read('companies', 'deals', $$SELECT to_id AS from_id FROM hs_assoc_list('contacts', 101, 'companies')$$) AS d
	ON d.from_id = c.to_id
ORDER BY 2, 3;
-- what is read is associated elsewhere
SELECT from_id, to_id, ok FROM hs_assoc_batch_create_default('contacts', 'deals',
	$$SELECT c.from_id, d.to_id FROM hs_assoc_list('contacts', 101, 'companies') AS c, hs_assoc_list('companies', c.to_id, 'deals') AS d$$)
ORDER BY to_id;
SELECT * FROM sim.holds('contacts', 'deals');

--
-- The account's privileges, and the caller's
--
CREATE ROLE regress_hubspot_reader;
SET ROLE regress_hubspot_reader;
SELECT * FROM hs_assoc_list('contacts', 101, 'companies');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM hs_assoc_batch_read('contacts', 'companies', '{101}'::text[]);
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_reader;
SET ROLE regress_hubspot_reader;
SELECT * FROM hs_assoc_list('contacts', 101, 'companies');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
CREATE USER MAPPING FOR regress_hubspot_reader SERVER hubspot OPTIONS (access_token 'test-token');
SET ROLE regress_hubspot_reader;
SELECT from_id, to_id FROM hs_assoc_list('contacts', 102, 'companies');
SELECT from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies', '{102}'::text[]);
SELECT from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT id AS from_id FROM people');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- pages of a record that several rows ask for
CALL sim.forget();
CALL hold('contacts', 'companies', '[[1, 11], [1, 12], [1, 13], [2, 11]]');
CALL sim.set('{"page_size": 1}');
SELECT input_no, from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies',
	'SELECT unnest AS from_id FROM unnest(''{1,2,1,2,1,2,1}''::int[])') ORDER BY input_no, to_id;
CALL sim.set('{"page_size": 500}');
-- more types than are remembered
SELECT jsonb_build_object('body', jsonb_build_object('results', jsonb_build_array(jsonb_build_object('from', '{"id": "1"}'::jsonb,
		'to', jsonb_build_array(jsonb_build_object('toObjectId', '2', 'associationTypes',
			jsonb_agg(jsonb_build_object('category', 'USER_DEFINED', 'typeId', n, 'label', 'Label ' || n)))))))) AS action
	FROM generate_series(1, 300) AS n
\gset
CALL sim.rule(:'action');
SELECT count(*), count(DISTINCT type_id), bool_and(label = 'Label ' || type_id) AS labels
FROM hs_assoc_batch_read('contacts', 'companies', ARRAY['1']);
CALL sim.no_rule();

DROP TABLE people, cuts, actions;
DROP VIEW requests;
DROP FUNCTION define, list, read, look, odd, go_round;
DROP PROCEDURE hold;
DROP OWNED BY regress_hubspot_reader;
DROP ROLE regress_hubspot_reader;
\set ECHO none
\i :end
