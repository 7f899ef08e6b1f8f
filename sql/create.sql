--
-- One association: hs_assoc_create_default, hs_assoc_create
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

--
-- The default type, by ids as text and as bigint
--
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message,
	correlation_id <> '' AS has_correlation_id, error
FROM hs_assoc_create_default('contacts', '101', 'companies', '9001')
\gx (null='(null)')
SELECT from_id, to_id, ok, types, http_status
FROM hs_assoc_create_default('contacts', 102::bigint, 'companies', 9001::bigint);
-- numbers of any size, and literals, find their function
SELECT from_id, to_id, ok, types, http_status FROM hs_assoc_create_default('contacts', 103, 'companies', 9001);
SELECT from_id, to_id, ok FROM hs_assoc_create_default('0-1', 9223372036854775807, '0-2', '9001');
SELECT from_id, to_id, ok FROM hs_assoc_create_default('company', 9001, 'deal', 7);
-- associating again is not an error
SELECT ok, http_status FROM hs_assoc_create_default('contacts', 101, 'companies', 9001);
SELECT request, status, body FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM sim.holds('deals', 'companies');

--
-- Given types: in place of the pair's labels
--
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message,
	correlation_id <> '' AS has_correlation_id, error
FROM hs_assoc_create('contacts', '201', 'companies', '9001', '{1}')
\gx (null='(null)')
SELECT from_id, to_id, ok, labels, http_status
FROM hs_assoc_create('contacts', 202::bigint, 'companies', 9001::bigint, ARRAY[279, 1], 'HUBSPOT_DEFINED');
SELECT from_id, to_id, ok, labels FROM hs_assoc_create('contacts', 203, 'companies', 9001, '{279}', category => NULL);
-- two labels of the account; numbers repeat across categories
SELECT reply.body->'results'->0 AS label
FROM (VALUES (1, 'Advisor'), (2, 'Owner')) AS v (n, label),
	hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/labels',
		jsonb_build_object('label', label, 'name', lower(label))) AS reply;
CALL sim.forget_requests();
SELECT from_id, to_id, ok, labels
FROM hs_assoc_create('contacts', 202, 'companies', 9001, '{1,3}', 'USER_DEFINED');
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id LIKE '20_';
SELECT from_id, to_id, ok, labels
FROM hs_assoc_create('contacts', 202, 'companies', 9001, '{3}', 'USER_DEFINED');
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id LIKE '20_';
SELECT body FROM sim.requests();

--
-- Every version of the API has paths of its own
--
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (ADD api_version 'v4');
SELECT d.ok, c.ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS d,
	hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}') AS c;
ALTER SERVER hubspot OPTIONS (SET api_version '2025-09');
SELECT d.ok, c.ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS d,
	hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}') AS c;
ALTER SERVER hubspot OPTIONS (SET api_version '2026-03');
SELECT d.ok, c.ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS d,
	hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}') AS c;
ALTER SERVER hubspot OPTIONS (SET api_version '2026-09');
SELECT d.ok, c.ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS d,
	hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}') AS c;
ALTER SERVER hubspot OPTIONS (DROP api_version);
SELECT request, status, body FROM sim.requests();
-- what is sent along; the token tells the simulator which account it is
SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}');
SELECT (entry->'headers') - ARRAY['host', 'accept-encoding'] AS headers
FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry;
CALL sim.forget_requests();
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
SELECT entry->>'content_type' AS content_type, entry->'headers'->>'content-length' AS content_length
FROM jsonb_array_elements(sim.control('GET', '/log')->'requests') AS entry;

--
-- Every form of a reply
--
CALL sim.forget();
CALL sim.set('{"single_create_form": "entity"}');
SELECT ok, labels, types, http_status FROM hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}');
CALL sim.set('{"id_form": "number"}');
SELECT ok, labels, types FROM hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}');
SELECT ok, labels, types FROM hs_assoc_create_default('contacts', 9007199254740993, 'companies', 9223372036854775807);
CALL sim.set('{"id_form": "mixed", "single_create_form": "bare"}');
SELECT ok, labels, types FROM hs_assoc_create('contacts', 1, 'companies', 2, '{279,1}');
SELECT ok, labels, types FROM hs_assoc_create_default('contacts', 9007199254740993, 'companies', 9223372036854775807);
CALL sim.set('{"id_form": "string", "default_results": "forward"}');
SELECT ok, labels, types FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
CALL sim.set('{"default_results": "both"}');
-- both directions of a pair of one object type have one type
SELECT ok, types FROM hs_assoc_create_default('companies', 1, 'companies', 2);
SELECT ok, labels FROM hs_assoc_create('companies', 1, 'companies', 2, '{13}');
SELECT * FROM sim.holds('companies', 'companies');
-- any success, without a body or with another one
CALL sim.rule('{"status": 204}');
SELECT c.ok, c.labels, c.http_status, d.ok, d.types, d.http_status
FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}') AS c,
	hs_assoc_create_default('contacts', 1, 'companies', 2) AS d;
CALL sim.rule('{"status": 200, "text": ""}');
SELECT c.ok, c.error_category, c.error_message, d.ok, d.error_category, d.error_message
FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}') AS c,
	hs_assoc_create_default('contacts', 1, 'companies', 2) AS d;
CALL sim.rule('{"status": 200, "body": {"fromObjectId": 1, "toObjectId": "3", "labels": ["Primary"]}}');
SELECT ok, error_category, error_message FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}');
CALL sim.rule('{"status": 201, "body": {"fromObjectId": 1, "toObjectId": "2", "labels": ["Ä \"1\"", null, "", "日本"], "more": [{}]}}');
SELECT ok, labels, http_status FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}');
CALL sim.rule('{"status": 200, "body": {"entity": {"fromObjectId": 1, "toObjectId": "2"}}}');
SELECT ok, labels, http_status FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}');
CALL sim.rule('{"status": 200, "body": {"status": "PENDING", "results": []}}');
SELECT ok, error_category, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
CALL sim.rule('{"status": 200, "body": {"status": "CANCELED", "results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "no"}]}}');
SELECT ok, http_status, error_category, error_message, error FROM hs_assoc_create_default('contacts', 1, 'companies', 2);

--
-- Object types and ids that are odd, but not wrong: percent-encoded
--
CALL sim.forget();
SELECT from_type, from_id, ok, http_status, error_category, error_message
FROM (VALUES
	('2-12345', '7'),
	('p123_machines', '7'),
	('widgets', '7'),
	('a/b', '7'),
	('a?b=c&d#e', '7'),
	('%2e%2e', '7'),
	('...', '7'),
	('a;b_c@d,e+f', '7'),
	('"\', '7'),
	('contacts', '0'),
	('contacts', '-1'),
	('contacts', '007'),
	('contacts', 'a/b'),
	('contacts', '~user'),
	('contacts', repeat('9', 19)),
	('contacts', repeat('9', 20))) AS v (from_type, from_id),
	LATERAL hs_assoc_create_default(from_type, v.from_id, 'companies', '9001') AS r (n, f, t, ok);
SELECT request, status FROM sim.requests();

--
-- Ids and types that are wrong fail their call, and nothing is sent
--
SELECT to_json(left(f, 5)) AS from_id, to_json(left(t, 5)) AS to_id, input_no,
	r.from_id IS NOT DISTINCT FROM f AND r.to_id IS NOT DISTINCT FROM t AS as_given,
	ok, http_status, error_category, regexp_replace(error_message, '"[^"]*"', '(id)') AS error_message
FROM (VALUES
	(NULL, '1'),
	('1', NULL),
	('', '1'),
	('1', ''),
	('.', '1'),
	('1', '..'),
	('1 2', '1'),
	(' 1', '1'),
	(E'1\t', '1'),
	(E'1\n2', '1'),
	(E'1\u00a0', '1'),
	('ü', '1'),
	(repeat('1', 101), '1'),
	('1', repeat('1', 101)),
	(NULL, NULL)) AS v (f, t),
	LATERAL hs_assoc_create_default('contacts', f, 'companies', t) AS r;
SELECT from_id, to_id, ok, error_category, error_message
FROM hs_assoc_create_default('contacts', NULL::bigint, 'companies', 1);
SELECT type_ids, category, ok, error_category, error_message
FROM (VALUES
	(NULL, NULL),
	('{}', NULL),
	('{NULL}', NULL),
	('{1,NULL}', NULL),
	('{0}', NULL),
	('{279,-1}', NULL),
	('{1}', ''),
	('{1}', 'hubspot_defined'),
	('{1}', 'HUBSPOT DEFINED'),
	('{1}', 'USER_DEFINED"'),
	('{1}', repeat('X', 64))) AS v (type_ids, category),
	LATERAL hs_assoc_create('contacts', 1, 'companies', 2, type_ids::int[], category);
SELECT count(*) FROM sim.requests();
-- types that are merely unknown are for HubSpot to refuse, and those given twice go once
SELECT type_ids, category, ok, labels, error_category, error_message
FROM (VALUES
	('{2147483647}', NULL),
	('{1}', 'SOMETHING_NEW'),
	('{1,2}', 'SOMETHING_NEW'),
	('{1,1,279,1}', NULL),
	('{{1,279},{1,279}}', NULL)) AS v (type_ids, category),
	LATERAL hs_assoc_create('contacts', 1, 'companies', 2, type_ids::int[], category);
SELECT status, body FROM sim.requests();

-- arguments that make no sense are an ERROR
SELECT ok FROM hs_assoc_create_default(NULL, 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_create_default('contacts', 1, '..', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, 'ignore');
\echo :LAST_ERROR_SQLSTATE
SELECT call, outcome, message
FROM (VALUES
	('hs_assoc_create_default('''', 1, ''companies'', 2)'),
	('hs_assoc_create_default(''my contacts'', 1, ''companies'', 2)'),
	('hs_assoc_create_default(''contacts'', 1, NULL, 2)'),
	('hs_assoc_create_default(''contacts'', 1, ''companies'', 2, NULL)'),
	('hs_assoc_create_default(''contacts'', 1, ''companies'', 2, ''RAISE'')'),
	('hs_assoc_create(''contacts'', 1, ''.'', 2, ''{1}'')'),
	('hs_assoc_create(NULL, ''1'', ''companies'', ''2'', ''{1}'')'),
	('hs_assoc_create(''contacts'', 1, ''companies'', 2, ''{1}'', on_error => '''')')) AS v (call),
	LATERAL sim.try('SELECT ' || call);
SELECT count(*) FROM sim.requests();

--
-- on_error => 'raise': the first failure is an ERROR; a success is a row
--
CALL sim.missing('companies', '404');
SELECT ok, types FROM hs_assoc_create_default('contacts', 1, 'companies', 2, 'raise');
SELECT ok, http_status, error_category, error_message, error - 'correlationId' AS error
FROM hs_assoc_create_default('contacts', 1, 'companies', 404, 'row')
\gx
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_create_default('contacts', 1, 'companies', 404, 'raise')$$)
\gx
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_create('contacts', '1', 'companies', '2', '{2}', on_error => 'raise')$$)
\gx
SELECT hs_assoc_create_default('contacts', NULL, 'companies', '2', 'raise');
\echo :LAST_ERROR_SQLSTATE
SELECT hs_assoc_create('contacts', '1', 'companies', '2', '{}', on_error => 'raise');
\echo :LAST_ERROR_SQLSTATE
-- it can be caught; what is sent is sent
CALL sim.forget();
CALL sim.missing('companies', '404');
DO $$
BEGIN
	PERFORM hs_assoc_create_default('contacts', 1, 'companies', 2, 'raise');
	PERFORM hs_assoc_create_default('contacts', 1, 'companies', 404, 'raise');
	PERFORM hs_assoc_create_default('contacts', 1, 'companies', 5, 'raise');
EXCEPTION WHEN invalid_parameter_value THEN
	PERFORM hs_assoc_create_default('contacts', 1, 'companies', 3, 'raise');
END $$;
SELECT * FROM sim.holds('contacts', 'companies');
-- a failed transaction takes nothing back, and the session goes on
BEGIN;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 4);
\set VERBOSITY sqlstate
SELECT hs_assoc_create_default('contacts', 1, 'companies', 404, 'raise');
\set VERBOSITY default
ROLLBACK;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 6);
SELECT * FROM sim.holds('contacts', 'companies');

--
-- A call for each row, in whatever way SQL calls functions
--
CALL sim.forget();
CREATE TABLE links (contact_id bigint, company_id bigint, done boolean);
INSERT INTO links SELECT n, n % 3 + 1 FROM generate_series(1, 9) AS n;
UPDATE links SET done = (hs_assoc_create_default('contacts', contact_id, 'companies', company_id)).ok
WHERE contact_id <= 5;
SELECT contact_id, (hs_assoc_create('contacts', contact_id, 'companies', company_id, '{1}')).labels
FROM links WHERE contact_id > 7;
SELECT contact_id, r.ok, r.types FROM links,
	hs_assoc_create_default('contacts', contact_id, 'companies', company_id) AS r
WHERE contact_id IN (6, 7);
SELECT count(*), count(*) FILTER (WHERE done) AS done FROM links;
SELECT * FROM sim.holds('contacts', 'companies');
SELECT stats->'requests' AS requests, stats->'connections_accepted' <= '1' AS kept_connection
FROM sim.control('GET', '/stats') AS stats;
DROP TABLE links;

--
-- Several accounts, side by side
--
CALL sim.forget();
CALL sim.account('second-token');
CREATE SERVER "Second" FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url :'simulator', api_version 'v4');
CREATE USER MAPPING FOR CURRENT_USER SERVER "Second" OPTIONS (access_token 'second-token');
SELECT d.ok, c.ok, c.labels FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS d,
	hs_assoc_create('contacts', 3, 'companies', 4, '{1}', server => 'Second') AS c;
SET hubspot_assoc.server = 'Second';
SELECT ok FROM hs_assoc_create_default('contacts', 5, 'companies', 6);
SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8, server => 'hubspot');
RESET hubspot_assoc.server;
SELECT request FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM sim.holds('contacts', 'companies', 'second-token');

-- a new token or option counts from the next call, also of a prepared statement
PREPARE associate(bigint) AS SELECT ok, error_category FROM hs_assoc_create_default('contacts', $1, 'companies', 9);
EXECUTE associate(11);
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'second-token');
EXECUTE associate(12);
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'revoked-token');
SET client_min_messages = error;	-- no WARNING here; errors.sql has it
EXECUTE associate(13);
RESET client_min_messages;
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'test-token');
EXECUTE associate(14);
ALTER SERVER hubspot OPTIONS (ADD api_version '2026-09');
EXECUTE associate(15);
SELECT request, status FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies') WHERE to_id = '9';
SELECT * FROM sim.holds('contacts', 'companies', 'second-token') WHERE to_id = '9';
-- a base URL may end with a slash
\set slashed :simulator '/'
ALTER SERVER hubspot OPTIONS (SET base_url :'slashed');
EXECUTE associate(16);
SELECT request, status FROM sim.requests();
ALTER SERVER hubspot OPTIONS (SET base_url :'simulator');
DEALLOCATE associate;

--
-- Types of ids: each with each other, and none is ambiguous
--
SELECT f.type, string_agg(t.type, ' ' ORDER BY t.n) FILTER (WHERE r.outcome = 'ok') AS goes_with,
	string_agg(DISTINCT f.type || ' ' || t.type || ': ' || r.message, '; ') FILTER (WHERE r.outcome NOT IN ('ok', '42883')) AS ambiguous
FROM (VALUES (1, 'unknown', $$'1'$$), (2, 'null', 'NULL'), (3, 'integer', '1'), (4, 'smallint', '1::int2'), (5, 'bigint', '1::int8'),
		(6, 'text', $$'1'::text$$), (7, 'varchar', $$'1'::varchar$$), (8, 'char', $$'1'::char(5)$$), (9, 'name', $$'1'::name$$),
		(10, 'numeric', '1::numeric')) AS f (n, type, value),
	(VALUES (1, 'unknown', $$'1'$$), (2, 'null', 'NULL'), (3, 'integer', '1'), (4, 'smallint', '1::int2'), (5, 'bigint', '1::int8'),
		(6, 'text', $$'1'::text$$), (7, 'varchar', $$'1'::varchar$$), (8, 'char', $$'1'::char(5)$$), (9, 'name', $$'1'::name$$),
		(10, 'numeric', '1::numeric')) AS t (n, type, value),
	(VALUES ('create_default'), ('create'), ('archive')) AS c (call),
	sim.try(format('EXPLAIN SELECT hs_assoc_%s(%L, %s, %L, %s)', call, 'contacts', f.value, 'companies', t.value)) AS r
WHERE call = 'create_default' OR r.outcome NOT IN ('ok', '42883')
GROUP BY f.n, f.type ORDER BY f.n;
SELECT (r).from_id, (r).to_id, (r).ok FROM (VALUES
	(hs_assoc_create_default('contacts', 901, 'companies', '902'::text)),
	(hs_assoc_create_default('contacts', '903'::varchar, 'companies', 904::bigint)),
	(hs_assoc_create('contacts', 901, 'companies', '902'::text, '{279}', 'HUBSPOT_DEFINED')),
	(hs_assoc_create('contacts', '903'::text, 'companies', 904::smallint, '{279}', 'HUBSPOT_DEFINED')),
	(hs_assoc_archive('contacts', 901, 'companies', '902'::text)),
	(hs_assoc_archive('contacts', '903'::text, 'companies', 904))) AS v (r);
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id IN ('901', '903');

\set ECHO none
\i :end
