--
-- Many associations: hs_assoc_batch_create_default, hs_assoc_batch_create
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

CREATE TABLE links (no int, contact bigint, company text, type int);
INSERT INTO links VALUES
	(1, 101, '9001', 279),
	(2, 102, '9001', 1),
	(3, 103, '9002', 279),
	(4, 404, '9001', 279),
	(5, NULL, '9001', 279),
	(6, 106, 'ACME', 279),
	(7, 107, '9 001', 279),
	(8, 108, '9001', 280),
	(9, 109, '9001', NULL);
CALL sim.missing('contacts', '404');

-- The requests since the last look; a line for each input.
CREATE VIEW requests AS
SELECT request, status, replace(body, '},{"from"', E'},\n{"from"') AS body FROM sim.requests();

-- Is there one row for each of so many inputs?
CREATE FUNCTION complete(numbers bigint[], inputs bigint) RETURNS boolean
LANGUAGE sql AS $$
	SELECT coalesce(array_agg(n ORDER BY n), '{}') = ARRAY(SELECT generate_series(1, inputs)) FROM unnest(numbers) AS n
$$;

--
-- One row back for each row of the query, joined to where it came from
--
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message
FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no')
ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies');
TABLE requests;

CREATE TABLE sent AS
SELECT * FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links ORDER BY no');
SELECT no, contact, company, type, ok, labels, types, http_status, error_category, error_message
FROM sent JOIN links ON no = input_no ORDER BY no;
SELECT * FROM sim.holds('contacts', 'companies');
TABLE requests;
-- the failures of HubSpot, with the error as it came
SELECT input_no, error_category, error, correlation_id IS NOT NULL AS has_correlation_id
FROM sent WHERE http_status > 299 OR error IS NOT NULL ORDER BY input_no;
DROP TABLE sent;

--
-- The same for an array
--
CALL sim.forget();
SELECT input_no, from_id, to_id, ok, types, error_category, error_message
FROM hs_assoc_batch_create_default('contacts', 'companies', ARRAY[
	('1', '2', NULL, NULL, NULL),
	('3', '2', NULL, NULL, NULL),
	(NULL, '2', NULL, NULL, NULL),
	('5', '', NULL, NULL, NULL),
	NULL,
	('6', '2', '{279}', NULL, NULL),
	('7', '2', NULL, 'HUBSPOT_DEFINED', NULL)]::hs_assoc_input[])
ORDER BY input_no;
SELECT input_no, from_id, to_id, ok, labels, error_category, error_message
FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[
	('1', '2', '{1}', NULL, NULL),
	('3', '2', '{279,1}', 'HUBSPOT_DEFINED', NULL),
	('4', '2', NULL, NULL, NULL),
	('5', '2', '{}', NULL, NULL),
	('6', '2', '{279,NULL}', NULL, NULL),
	('7', '2', '{0}', NULL, NULL),
	('8', '2', '{279}', 'none', NULL),
	NULL]::hs_assoc_input[])
ORDER BY input_no;
SELECT request, body FROM requests;
-- of any shape
SELECT input_no, from_id, ok FROM hs_assoc_batch_create_default('contacts', 'companies',
	ARRAY[[('1', '2', NULL, NULL, NULL), ('3', '2', NULL, NULL, NULL)], [('5', '2', NULL, NULL, NULL), ('7', '2', NULL, NULL, NULL)]]::hs_assoc_input[])
ORDER BY input_no;
SELECT count(*), bool_and(ok) FROM links, hs_assoc_batch_create('contacts', 'companies',
	ARRAY[ROW(contact, company, ARRAY[type], NULL, NULL)::hs_assoc_input]) WHERE no <= 3;
SELECT input_no, from_id, ok FROM hs_assoc_batch_create('contacts', 'companies',
	(SELECT array_agg(ROW(contact, company, ARRAY[type], NULL, NULL)::hs_assoc_input ORDER BY no) FROM links WHERE no <= 3))
ORDER BY input_no;

--
-- Every version of the API has paths of its own; the body is the same
--
CALL sim.forget();
CREATE FUNCTION send_both() RETURNS text
LANGUAGE sql AS $$
	SELECT string_agg(d.ok || ' ' || c.ok, ', ' ORDER BY d.input_no)
	FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT * FROM (VALUES (1, 2), (3, 4)) AS v (from_id, to_id)') AS d (input_no, f, t, ok)
	JOIN hs_assoc_batch_create('contacts', 'companies',
			'WITH v (from_id, to_id, type_id) AS (VALUES (1, 2, 1), (3, 4, 279)) TABLE v') AS c (input_no, f, t, ok)
		USING (input_no)
$$;
ALTER SERVER hubspot OPTIONS (ADD api_version 'v4');
SELECT send_both();
ALTER SERVER hubspot OPTIONS (SET api_version '2025-09');
SELECT send_both();
ALTER SERVER hubspot OPTIONS (SET api_version '2026-03');
SELECT send_both();
ALTER SERVER hubspot OPTIONS (SET api_version '2026-09');
SELECT send_both();
ALTER SERVER hubspot OPTIONS (DROP api_version);
SELECT request, status, body FROM requests ORDER BY request COLLATE "C";
DROP FUNCTION send_both;

--
-- Columns: found by name, in any order, of any type that has a text form
--
CALL sim.forget();
CREATE DOMAIN inexact AS float8;
CREATE DOMAIN record_id AS text CHECK (VALUE <> '0');
CREATE TYPE kind AS ENUM ('HUBSPOT_DEFINED', 'USER_DEFINED');
CREATE FUNCTION try_columns(query text, OUT ok boolean, OUT from_id text, OUT to_id text, OUT error_message text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT ok, from_id, to_id, error_message FROM hs_assoc_batch_create('contacts', 'companies', query)
$$;
SELECT query, r.* FROM (VALUES
	(1, 'SELECT 279 AS type_id, 1::smallint AS to_id, ''HUBSPOT_DEFINED'' AS category, 2::int AS from_id'),
	(2, 'SELECT 3::bigint AS from_id, ''4''::text AS to_id, 279::bigint AS type_id'),
	(3, 'SELECT ''5''::varchar(9) AS from_id, ''6''::char(9) AS to_id, 279::smallint AS type_id'),
	(4, 'SELECT 7::numeric AS from_id, ''8''::record_id AS to_id, ''{279}''::int[] AS type_ids'),
	(5, 'SELECT ''9''::name AS from_id, ''8''::"char" AS to_id, 279 AS type_id, ''HUBSPOT_DEFINED''::kind AS category'),
	(6, 'SELECT ''11'' AS from_id, 12::oid AS to_id, 279 AS type_id, ''HUBSPOT_DEFINED''::char(20) AS category'),
	(7, 'SELECT 13 AS from_id, ''{"a": 1}''::jsonb AS to_id, 279 AS type_id'),
	(8, 'SELECT 15 AS from_id, 16 AS to_id, 4294967575 AS type_id'),
	(9, 'SELECT 17 AS from_id, 18 AS to_id, -1::smallint AS type_id'),
	(10, 'SELECT 19 AS from_id, 20 AS to_id, 279 AS type_id, NULL AS category'),
	(11, 'SELECT NULL AS from_id, NULL AS to_id, NULL::int AS type_id, NULL AS category')) AS v (n, query),
	try_columns(query) AS r ORDER BY n;
SELECT body FROM requests;

-- numbers whose text is not an id are not sent; a text may look like one
CALL sim.forget();
SET extra_float_digits = -9;
SELECT id, r.ok, r.from_id, r.http_status, r.error_category, r.error_message FROM (VALUES
	(1, '70100401.00'), (2, '70100401::float8'), (3, '1e15::float8'), (4, '70100401::numeric'), (5, '''NaN''::numeric'),
	(6, '''-Infinity''::float4'), (7, '70100401::money'), (8, '(70100401.00)::bigint'), (9, '''7.01e+07''::text'),
	(10, '0.5::inexact'), (11, '1000::float4'), (12, '-5::numeric')) AS v (n, id),
	hs_assoc_batch_create_default('contacts', 'companies', format('SELECT %s AS from_id, 1 AS to_id', id)) AS r ORDER BY n;
RESET extra_float_digits;
SELECT from_id FROM sim.holds('contacts', 'companies');
SELECT error_message FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2.50 AS to_id');
SELECT from_id, error_category, error_message FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT 1.0 AS from_id');
DROP DOMAIN inexact;
CALL sim.forget_requests();

SELECT try_columns('SELECT 1 AS from_id, 279 AS type_id');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id, now() AS changed_at');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id, 1 AS type_id');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id, ''{1}''::int[] AS type_ids');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id, ''279'' AS type_id');
\echo :LAST_ERROR_SQLSTATE
SELECT try_columns('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_ids');
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id');
\echo :LAST_ERROR_SQLSTATE
SELECT query, outcome, message, hint
FROM (VALUES
	('SELECT 2 AS to_id, 279 AS type_id'),
	('SELECT 1 AS "FROM_ID", 2 AS to_id, 279 AS type_id'),
	('SELECT 1, 2, 3'),
	('SELECT 1 AS from_id, 1 AS from_id, 2 AS to_id, 279 AS type_id'),
	('SELECT 1 AS from_id, 2 AS to_id, 279.0 AS type_id'),
	('SELECT 1 AS from_id, 2 AS to_id, ''{279}''::bigint[] AS type_ids'),
	('SELECT 1 AS from_id, 2 AS to_id, ''{279}''::text AS type_ids'),
	('SELECT 1 AS from_id, 2 AS to_id, ''{279}''::int[] AS type_id'),
	('SELECT 1 AS from_id, 2 AS to_id, ''Primary'' AS type_id'),
	('SELECT 1 AS from_id, 2 AS to_id, ''Primary'' AS labels'),
	('SELECT 1 AS from_id, 2 AS to_id, ''{Primary}''::varchar[] AS labels'),
	('SELECT 1 AS from_id, 2 AS to_id, ''{Primary}''::text[] AS label'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS type'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS typeid'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS "associationTypeId"'),
	('SELECT 1 AS "from", 2 AS "to"'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id, 1 AS lable')) AS v (query),
	LATERAL sim.try(format('SELECT try_columns(%L)', query));
-- nothing of this was sent
SELECT count(*) FROM sim.requests();

-- what is not a query, or more than one
SELECT query, outcome, message, hint FROM (VALUES
	(''),
	(E' \t\n'),
	(';;'),
	('-- nothing'),
	('/* nothing */ ;'),
	('nothing'),
	('SELECT FROM links'),
	('INSERT INTO links VALUES (99)'),
	('DELETE FROM links RETURNING contact'),
	('VALUES (1, 2, 279)'),
	('SELECT contact AS from_id, company AS to_id, type AS type_id INTO copy FROM links'),
	('SHOW server_version'),
	('EXPLAIN SELECT 1'),
	('CREATE TABLE copy ()'),
	('COPY links TO STDOUT'),
	('COMMIT WORK'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id; SELECT 3 AS from_id, 4 AS to_id, 279 AS type_id'),
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id; DELETE FROM links'),
	('CREATE TABLE copy AS SELECT 1 AS from_id; TABLE copy'),
	('SELECT 1 AS from_id;; SELECT 2'),
	('SELECT $1 AS from_id, 2 AS to_id, 279 AS type_id')) AS v (query),
	LATERAL sim.try(format('SELECT try_columns(%L)', query));
-- an array without a cast is taken for a query
SELECT t.outcome, t.message, t.hint FROM (VALUES
	('batch_create(''contacts'', ''companies'', ''{"(1,2,{279},,)"}'')'),
	('batch_create_default(''contacts'', ''companies'', E''\n [{"from_id": 1, "to_id": 2}]'')'),
	('batch_archive(''contacts'', ''companies'', ''[0:0]={"(1,2,,,)"}'')'),
	('batch_archive_labels(''contacts'', ''companies'', ''{'' || repeat(''é'', 1000))'),
	('batch_read(''contacts'', ''companies'', ''{1,2}'')'),
	('enqueue(''archive'', ''contacts'', ''companies'', ''{1,2}'')')) AS v (call),
	LATERAL sim.try('SELECT hs_assoc_' || call) AS t;
SELECT count(*) AS links FROM links;
SELECT query, ok FROM (VALUES
	('SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id;'),
	('SELECT contact AS from_id, company AS to_id, type AS type_id FROM links WHERE no = 1 FOR UPDATE'),
	('(SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id) UNION ALL SELECT 3, 4, 279')) AS v (query),
	LATERAL hs_assoc_batch_create('contacts', 'companies', query);
-- anything that returns rows will do
BEGIN;
SELECT input_no, from_id, ok FROM hs_assoc_batch_create('contacts', 'companies',
	'DELETE FROM links WHERE no <= 3 RETURNING contact AS from_id, company AS to_id, type AS type_id') ORDER BY input_no;
SELECT min(no) FROM links;
ROLLBACK;
SELECT ok FROM hs_assoc_batch_create('contacts', 'companies', NULL::text);
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', NULL::hs_assoc_input[]);
\echo :LAST_ERROR_SQLSTATE
SELECT call, outcome, message
FROM (VALUES
	('hs_assoc_batch_create_default(NULL, ''companies'', ''TABLE links'')'),
	('hs_assoc_batch_create(''contacts'', ''..'', ''TABLE links'')'),
	('hs_assoc_batch_create(''con tacts'', ''companies'', ''{}''::hs_assoc_input[])'),
	('hs_assoc_batch_create(''contacts'', ''companies'', ''{}''::hs_assoc_input[], ''stop'')')) AS v (call),
	LATERAL sim.try('SELECT ' || call);
-- an error while the query runs, after some of it was sent
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, 1 / (n - 10) AS to_id FROM generate_series(1, 100) AS n');
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);

--
-- No rows: no request
--
CALL sim.forget();
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false');
SELECT count(*) FROM hs_assoc_batch_create('contacts', 'companies', '{}'::hs_assoc_input[]);
-- nor for rows that cannot be sent
SELECT count(*), count(*) FILTER (WHERE error_category = 'INVALID_INPUT') AS invalid
FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT NULL AS from_id, n AS to_id FROM generate_series(1, 5000) AS n');
SELECT count(*) FROM sim.requests();

--
-- How inputs are cut into requests
--
SELECT count(*), bool_and(ok) AS ok, complete(array_agg(input_no), 4001)
FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT n AS from_id, n % 10 + 1 AS to_id FROM generate_series(1, 4001) AS n');
SELECT entry->'inputs' AS inputs FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry ORDER BY 1 DESC;
SELECT sim.control('GET', '/associations/count?from_type=contacts&to_type=companies');
CALL sim.forget();
SELECT count(*), bool_and(ok) AS ok, complete(array_agg(input_no), 4001)
FROM hs_assoc_batch_create('contacts', 'companies', (SELECT array_agg(ROW(n, 1, '{1}', NULL, NULL)::hs_assoc_input) FROM generate_series(1, 4001) AS n));
SELECT entry->'inputs' AS inputs FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry ORDER BY 1 DESC;
SELECT sim.control('GET', '/associations/count?from_type=contacts&to_type=companies');

-- one after the other, so that the order is known
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD concurrency '1');
SELECT input_no, from_id, to_id, ok FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, 100 + n AS to_id FROM generate_series(1, 5) AS n') ORDER BY input_no;
SELECT body FROM requests;

--
-- Rows of one pair: merged, never sent apart if they follow each other, a row back for each
--
SELECT input_no, from_id, to_id, ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 2, 279), (1, 2, 1), (3, 4, 1), (3, 4, 279), (3, 4, 1), (5, 6, 279), (1, 2, 279)) AS v (from_id, to_id, type_id)')
ORDER BY input_no;
SELECT body FROM requests;
SELECT * FROM sim.holds('contacts', 'companies') WHERE to_id < '9' AND length(to_id) = 1;
-- not following each other, within a request
ALTER SERVER hubspot OPTIONS (SET batch_size '4');
SELECT input_no, from_id, to_id, ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 2, 279), (3, 4, 1), (1, 2, 1), (3, 4, 279), (5, 6, 279), (1, 2, 1)) AS v (from_id, to_id, type_id)')
ORDER BY input_no;
SELECT body FROM requests;
-- and with the default type
SELECT input_no, from_id, to_id, ok, types FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 2), (1, 2), (3, 4), (1, 2)) AS v (from_id, to_id)') ORDER BY input_no;
SELECT body FROM requests;
-- categories are kept apart; invalid rows don't come between
SELECT reply.body->'results'->0 AS label
FROM hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/labels', '{"label": "Advisor", "name": "advisor"}') AS reply;
CALL sim.forget_requests();
SELECT input_no, ok, labels, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (1, 2, 1, NULL), (1, 2, 0, NULL), (1, 2, 1, 'USER_DEFINED'), (1, NULL, 1, 'WORK'), (1, 2, 1, 'HUBSPOT_DEFINED'))
		AS v (from_id, to_id, type_id, category)$$)
ORDER BY input_no;
SELECT body FROM requests;
SELECT * FROM sim.holds('contacts', 'companies') WHERE to_id = '2';
-- a failure is that of all rows of the pair
CALL sim.missing('contacts', '404');
SELECT input_no, from_id, ok, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT * FROM (VALUES (404, 2, 1), (5, 2, 1), (404, 2, 279), (404, 3, 1)) AS v (from_id, to_id, type_id)') ORDER BY input_no;
CALL sim.forget_requests();

-- the reverse of a pair goes in another request, unless both sides have one object type;
-- types are those of the direction asked for, also of a pair of equal numbers
SELECT input_no, from_id, to_id, ok, types FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 2), (2, 1), (3, 3)) AS v (from_id, to_id)') ORDER BY input_no;
SELECT input_no, from_id, to_id, ok, types FROM hs_assoc_batch_create_default('companies', 'companies',
	'SELECT * FROM (VALUES (1, 2), (2, 1), (3, 4)) AS v (from_id, to_id)') ORDER BY input_no;
SELECT body FROM requests ORDER BY body COLLATE "C";
SELECT * FROM sim.holds('companies', 'companies');
-- a later request with the same pair waits for the earlier one, here a slow one: the later row wins
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (SET batch_size '1', SET concurrency '4');
CALL sim.rule('{"delay_ms": 200}', '{"pair": ["1", "2"], "first": 1}');
SELECT input_no, from_id, to_id, ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT * FROM (VALUES (1, 2, 279), (3, 4, 279), (5, 6, 279), (1, 2, 1)) AS v (from_id, to_id, type_id)') ORDER BY input_no;
SELECT count(*), max((entry->'in_flight')::int) FILTER (WHERE entry->>'body' LIKE '%Id":1}%') AS in_flight_before_the_last
FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry;
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);

--
-- Wherever SQL has place for rows
--
CALL sim.forget();
CREATE TABLE done AS
SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT n AS from_id, 1 AS to_id FROM generate_series(1, 3) AS n');
INSERT INTO done
SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT from_id, to_id::int + 1 AS to_id FROM done');
SELECT from_id, to_id, ok FROM done ORDER BY from_id, to_id;
DROP TABLE done;
-- in the select list, in part, and several at once
SELECT (hs_assoc_batch_create_default('contacts', 'companies', 'SELECT n AS from_id, 1 AS to_id FROM generate_series(4, 5) AS n')).ok;
SELECT count(*) FROM (SELECT FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT n AS from_id, 1 AS to_id FROM generate_series(6, 9) AS n') LIMIT 1) AS one;
SELECT company, count(*), bool_and(ok)
FROM (VALUES (1), (2)) AS v (company),
	hs_assoc_batch_create_default('contacts', 'companies', format('SELECT n AS from_id, %s AS to_id FROM generate_series(1, 3) AS n', company))
GROUP BY company ORDER BY company;
-- in PL/pgSQL, with a cursor that is closed early
DO $$
DECLARE
	result hs_assoc_result;
	outcomes CURSOR FOR SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT n AS from_id, 9 AS to_id FROM generate_series(1, 3) AS n');
BEGIN
	SET LOCAL client_min_messages = notice;
	FOR result IN
		SELECT * FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, n AS to_id, n AS type_id FROM generate_series(1, 2) AS n')
		ORDER BY input_no
	LOOP
		RAISE NOTICE '% % % %', result.input_no, result.to_id, result.ok, result.labels;
	END LOOP;
	OPEN outcomes;
	MOVE outcomes;
	CLOSE outcomes;
END $$;
SELECT count(*) FROM sim.holds('contacts', 'companies') WHERE to_id = '9';
-- the query calls one of our functions, too
SELECT input_no, from_id, to_id, ok FROM hs_assoc_batch_create_default('contacts', 'deals',
	$$SELECT from_id, 70 + input_no AS to_id FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT (hs_assoc_create_default(''contacts'', n, ''tickets'', n)).from_id, n AS to_id FROM generate_series(1, 3) AS n')$$)
ORDER BY input_no;
SELECT (SELECT count(*) FROM sim.holds('contacts', 'tickets')) AS tickets,
	(SELECT count(*) FROM sim.holds('contacts', 'companies') WHERE from_id = to_id) AS companies,
	(SELECT count(*) FROM sim.holds('contacts', 'deals')) AS deals;
-- the query sees what its transaction has changed; a rollback takes nothing back from HubSpot
BEGIN;
INSERT INTO links VALUES (10, 110, '9001', 279);
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links WHERE no = 10');
ROLLBACK;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '110';

-- an id that is far too long comes back as it was, and takes no other row with it
SELECT input_no, length(from_id), ok, error_category FROM hs_assoc_batch_create_default('contacts', 'companies',
	$$SELECT CASE n WHEN 2 THEN repeat('1', 200000) ELSE '101' END AS from_id, 9000 + n AS to_id FROM generate_series(1, 3) AS n$$)
ORDER BY input_no;
-- an id is sent as it is, whatever characters of JSON it has
CALL sim.forget_requests();
CALL sim.rule('{"status": 400, "body": {"message": "No."}}');
SELECT input_no, from_id, ok, error_category FROM hs_assoc_batch_create_default('contacts', 'companies',
	$$SELECT 'a"b\c' AS from_id, 9001 AS to_id$$);
SELECT body::jsonb->'inputs'->0->'from'->>'id' AS from_id FROM sim.requests();
CALL sim.no_rule();

--
-- on_error => 'raise'
--
CALL sim.forget();
CALL sim.missing('contacts', '404');
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links WHERE no <= 3', 'raise');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links WHERE no <= 4', 'raise')$$)
\gx
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links WHERE no = 5', 'raise');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[NULL]::hs_assoc_input[], 'raise');

--
-- One by one: in a select list, and so in a cursor
--
CALL sim.forget();
CALL sim.missing('contacts', '404');
SELECT (r).* FROM (SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links WHERE no <= 3 ORDER BY no') AS r) s;
SELECT count(*), count((r).ok) FROM (SELECT hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links') AS r) s;
-- what was done and is not fetched is told
BEGIN;
DECLARE c CURSOR FOR SELECT (r).input_no, (r).ok, (r).error_category FROM (SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no') AS r) s;
FETCH 4 FROM c;
CLOSE c;
-- an argument is looked at with the first row
DECLARE c CURSOR FOR SELECT hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id');
FETCH 1 FROM c;
ROLLBACK;
-- a failure is an error when it comes
SELECT (r).ok FROM (SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links WHERE no = 5', 'raise') AS r) s;

DROP TABLE links;
DROP VIEW requests;
DROP FUNCTION complete, try_columns;
DROP DOMAIN record_id;
DROP TYPE kind;
\set ECHO none
\i :end
