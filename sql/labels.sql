--
-- Labels by name, and labels that stay: in hs_assoc_create, hs_assoc_batch_create, hs_assoc_batch_archive_labels
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- Have the account define a label; its type id. That of the other direction is one more.
CREATE FUNCTION define(from_type text, to_type text, label text, inverse_label text DEFAULT NULL) RETURNS int
LANGUAGE sql AS $$
	SELECT (body->'results'->0->>'typeId')::int
	FROM hs_assoc_request('POST', format('/crm/associations/2026-03/%s/%s/labels', from_type, to_type),
		jsonb_strip_nulls(jsonb_build_object('label', label, 'name', 'n' || md5(label), 'inverseLabel', inverse_label)))
$$;

-- The requests since the last look, without the version's path; a line for each input.
CREATE VIEW requests AS
SELECT replace(request, '/associations/2026-03', '') AS request, status, replace(body, '},{"from"', E'},\n{"from"') AS body
FROM sim.requests();

SELECT define('contacts', 'companies', 'Manager', 'Managed by') AS manager, define('contacts', 'companies', 'Advisor') AS advisor,
	define('contacts', 'companies', 'advisor') AS other_advisor, define('contacts', 'companies', 'Größe "日本" \ x') AS odd,
	define('contacts', 'contacts', 'Boss', 'Report') AS boss, define('contacts', 'contacts', 'Peer') AS peer;
CALL sim.forget_requests();

--
-- One pair
--
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message
FROM hs_assoc_create('contacts', '1', 'companies', '101', labels => '{Manager}')
\gx (null='(null)')
TABLE requests;
-- several; with numbers; in the other direction; those that HubSpot defines
SELECT ok, labels FROM hs_assoc_create('contacts', 2, 'companies', 102, labels => '{Manager,Advisor}');
SELECT ok, labels FROM hs_assoc_create('contacts', 3, 'companies', 103, '{279}', labels => '{Manager}');
SELECT ok, labels FROM hs_assoc_create('contacts', 4, 'companies', 104, '{1}', 'USER_DEFINED', '{Advisor}');
SELECT ok, labels FROM hs_assoc_create('companies', '105', 'contacts', '5', labels => '{Managed by}');
SELECT ok, labels FROM hs_assoc_create('contacts', '6', 'companies', '106', labels => '{Primary}');
SELECT ok, labels FROM hs_assoc_create('companies', '106', 'contacts', '7', labels => '{Contact with Primary Company}');
SELECT ok, labels FROM hs_assoc_create('contacts', '8', 'companies', '108', labels => ARRAY['Größe "日本" \ x']);
SELECT ok, labels FROM hs_assoc_create('0-1', '9', '0-2', '109', labels => '{{Manager},{Advisor}}');
-- both directions of record types that are the same
SELECT ok, labels FROM hs_assoc_create('contacts', 21, 'contacts', 22, labels => '{Boss}');
SELECT ok, labels FROM hs_assoc_create('contacts', 23, 'contacts', 24, labels => '{Report,Peer}');
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM sim.holds('contacts', 'contacts');
-- a label given twice, or also by its number, goes once
CALL sim.forget_requests();
SELECT ok, labels FROM hs_assoc_create('contacts', 10, 'companies', 110, '{1}', 'USER_DEFINED', '{Manager,Manager,manager,Advisor}');
TABLE requests;

--
-- As it is written; else in any case, if that is unambiguous
--
-- by Unicode's rules, whatever the locale
SELECT ok, labels FROM hs_assoc_create('contacts', '7', 'companies', '107', labels => '{"GRÖSSE \"日本\" \\ X"}');
SELECT ok, labels FROM hs_assoc_create('contacts', '7', 'companies', '107', labels => '{"GRÖßE \"日本\" \\ X"}');
SELECT hs_assoc_fold('ÜBERNEHMER ŠÍ ẞß KÅ İIıi ΣΣς ЯДЪ ꭰᏸ Ⱥ 𐐀 日本') AS folded, hs_assoc_fold('') AS empty, hs_assoc_fold(NULL);
-- longer than a label can be: as it is
SELECT length, hs_assoc_fold(repeat('X', length)) = repeat('x', length) AS folded FROM (VALUES (1000), (1001)) AS v (length);
SELECT label, ok, labels, error_category, error_message
FROM (VALUES (1, 'manager'), (2, 'MANAGER'), (3, 'Advisor'), (4, 'advisor'), (5, 'ADVISOR'), (6, 'primary'), (7, 'GRÖßE "日本" \ X'),
		(8, 'Manage'), (9, 'Managed by'), (10, 'Mangaer'), (11, ' Manager'), (12, 'nothing like it'), (13, ''), (14, '%'), (15, repeat('x', 300))) AS v (n, label),
	LATERAL hs_assoc_create('contacts', 11, 'companies', 111, labels => ARRAY[label])
ORDER BY n
\gx (null='(null)')
-- a category decides
SELECT define('contacts', 'companies', 'Primary') AS primary;
SELECT category, ok, labels, error_category, error_message
FROM (VALUES (1, NULL), (2, 'HUBSPOT_DEFINED'), (3, 'USER_DEFINED'), (4, 'INTEGRATOR_DEFINED'), (5, 'user_defined')) AS v (n, category),
	LATERAL hs_assoc_create('contacts', 12, 'companies', 112, category => category, labels => '{Primary}')
ORDER BY n;
SELECT category, ok, labels, error_category, error_message
FROM (VALUES (1, NULL), (2, 'HUBSPOT_DEFINED'), (3, 'USER_DEFINED')) AS v (n, category),
	LATERAL hs_assoc_create('contacts', 13, 'companies', 113, category => category, labels => '{primary}')
ORDER BY n;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id IN ('11', '12', '13');
-- labels that are not labels, and no type at all
CALL sim.forget_requests();
SELECT type_ids, labels, ok, error_category, error_message
FROM (VALUES
	(1, NULL, NULL),
	(2, NULL, '{}'),
	(3, '{}', '{}'),
	(4, NULL, '{NULL}'),
	(5, '{1}', '{Manager,NULL}'),
	(6, '{0}', '{Manager}'),
	(7, NULL, '{""}')) AS v (n, type_ids, labels),
	LATERAL hs_assoc_create('contacts', 14, 'companies', 114, type_ids::int[], labels => v.labels::text[]) AS r (no, from_id, to_id, ok, r_labels)
ORDER BY n;
SELECT ok, error_category FROM hs_assoc_create('contacts', NULL, 'companies', 114, labels => '{Manager}');
SELECT count(*) FROM requests WHERE request NOT LIKE 'GET %';
SELECT outcome, message, detail, hint FROM sim.try($$SELECT hs_assoc_create('contacts', 14, 'companies', 114, labels => '{Mangaer}', on_error => 'raise')$$)
\gx
SELECT outcome, message, detail, hint FROM sim.try($$SELECT hs_assoc_create('contacts', 14, 'companies', 114, labels => '{ADVISOR}', on_error => 'raise')$$)
\gx
-- where there are no labels at all
SELECT ok, error_category, error_message FROM hs_assoc_create('calls', 1, 'deals', 2, labels => '{Manager}');
SELECT ok, error_category, error_message FROM hs_assoc_create('contacts', 1, 'widgets', 2, labels => '{Manager}');

--
-- Many pairs: one look-up, and none without need
--
CALL sim.forget();
SELECT define('contacts', 'companies', 'Manager', 'Managed by') AS manager, define('contacts', 'companies', 'Advisor') AS advisor;
CREATE TABLE links (no int, contact bigint, company bigint, role text, types int[], category text);
INSERT INTO links VALUES
	(1, 1, 101, NULL, '{279}', NULL),
	(2, 2, 102, 'Manager', NULL, NULL),
	(3, 3, 103, 'Advisor', '{279}', NULL),
	(4, 4, 104, 'manager', NULL, 'USER_DEFINED'),
	(5, 5, 105, 'Bishop', NULL, NULL),
	(6, 6, 106, 'Bishop', '{279}', NULL),
	(7, 7, 107, 'Primary', NULL, 'USER_DEFINED'),
	(8, 8, 108, 'Primary', NULL, NULL),
	(9, 9, 109, NULL, NULL, NULL),
	(10, 10, 110, '', NULL, NULL),
	(11, NULL, 111, 'Manager', NULL, NULL),
	(12, 12, 112, 'Manager', NULL, 'none'),
	(13, 2, 102, 'Advisor', NULL, NULL);
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message
FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label, types AS type_ids, category FROM links ORDER BY no')
ORDER BY input_no;
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies');
-- a call for each row of a statement, too; another direction is looked up, and so is the next statement's
CALL sim.forget_requests();
SELECT n, ok, labels, error_category FROM generate_series(31, 33) AS n,
	LATERAL hs_assoc_create('contacts', n, 'companies', 101, labels => CASE WHEN n < 33 THEN '{Manager}' ELSE '{Bishop}' END::text[]) ORDER BY n;
SELECT n, ok, r.labels FROM (VALUES (31, 'contacts', 'companies', '{Manager}'), (101, 'companies', 'contacts', '{Managed by}')) AS v (n, one, other, wanted),
	LATERAL hs_assoc_create(one, n, other, 132 - n, labels => wanted::text[]) AS r ORDER BY n;
SELECT request, count(*) FROM requests GROUP BY request ORDER BY request COLLATE "C";
-- the column labels, alone and beside numbers
SELECT input_no, ok, labels, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (21, 101, '{Manager,Advisor}'::text[]), (22, 101, '{}'), (23, 101, NULL), (24, 101, '{Manager,NULL}')) AS v (from_id, to_id, labels)$$)
ORDER BY input_no;
SELECT input_no, ok, labels, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (21, 101, '{Manager}'::text[], 1), (22, 101, '{Advisor}', NULL), (23, 101, NULL, 279), (24, 101, '{}', 279), (25, 101, NULL, NULL))
		AS v (from_id, to_id, labels, type_id)$$)
ORDER BY input_no;
-- of any type that has a text form
CREATE DOMAIN role AS text;
CREATE TYPE rank AS ENUM ('Manager', 'Advisor');
SELECT query, ok, labels FROM (VALUES
	(1, '''Manager''::varchar(20) AS label'),
	(2, '''Manager''::char(20) AS label'),
	(3, '''Manager''::name AS label'),
	(4, '''Manager''::role AS label'),
	(5, '''Manager''::rank AS label')) AS v (n, query),
	LATERAL hs_assoc_batch_create('contacts', 'companies', 'SELECT 31 AS from_id, 131 AS to_id, ' || query) ORDER BY n;
SELECT query, outcome, message, hint FROM (VALUES
	(1, '1 AS from_id, 2 AS to_id'),
	(2, '1 AS from_id, 2 AS to_id, ''Manager'' AS labels'),
	(3, '1 AS from_id, 2 AS to_id, ''{1}''::int[] AS labels'),
	(4, '1 AS from_id, 2 AS to_id, ''Manager'' AS label, ''Manager'' AS label'),
	(5, '1 AS from_id, 2 AS to_id, ''Manager'' AS label, ''{Manager}''::text[] AS labels'),
	(6, '1 AS from_id, 2 AS to_id, ''Manager'' AS role'),
	(7, '1 AS from_id, ''Manager'' AS label')) AS v (n, query),
	LATERAL sim.try(format('SELECT hs_assoc_batch_create(''contacts'', ''companies'', %L)', 'SELECT ' || query)) ORDER BY n;
SELECT query, outcome FROM (VALUES ('1 AS from_id, 2 AS to_id, ''Manager'' AS label')) AS v (query),
	LATERAL sim.try(format('SELECT hs_assoc_batch_create_default(''contacts'', ''companies'', %L)', 'SELECT ' || query));
-- an array
CALL sim.forget_requests();
SELECT input_no, ok, labels, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[
	('41', '101', NULL, NULL, '{Manager,Advisor}'),
	('42', '101', '{279}', NULL, '{Manager}'),
	('43', '101', NULL, 'HUBSPOT_DEFINED', '{Primary}'),
	('44', '101', NULL, NULL, '{Bishop}'),
	('45', '101', '{1}', NULL, NULL),
	('46', '101', NULL, NULL, '{}')]::hs_assoc_input[])
ORDER BY input_no;
TABLE requests;
-- in the other direction
SELECT input_no, ok, labels, error_category, error_message FROM hs_assoc_batch_create('companies', 'contacts', ARRAY[
	('101', '51', NULL, NULL, '{Managed by}'),
	('101', '52', NULL, NULL, '{Manager}'),
	('101', '53', NULL, NULL, '{Primary}')]::hs_assoc_input[])
ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id IN ('51', '52');
-- none
CALL sim.forget_requests();
SELECT input_no, ok, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (1, 101, 279, NULL), (NULL, 101, NULL, 'Manager'), (2, 101, NULL, NULL)) AS v (from_id, to_id, type_id, label)$$)
ORDER BY input_no;
SELECT request FROM requests;
-- rows of a pair are one input, also by label and by number
SELECT input_no, ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (61, 101, NULL, 'Manager'), (61, 101, 1, NULL), (61, 101, NULL, 'MANAGER'), (61, 101, NULL, 'Advisor')) AS v (from_id, to_id, type_id, label)$$)
ORDER BY input_no;
TABLE requests;
-- on_error => 'raise'
SELECT outcome, message, detail, hint FROM sim.try($$SELECT hs_assoc_batch_create('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label FROM links WHERE no BETWEEN 4 AND 5 ORDER BY no', 'raise')$$)
\gx

--
-- The look-up fails: so do the rows with labels, which are not sent
--
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');
CREATE FUNCTION lookup(action jsonb, OUT input_no bigint, OUT ok boolean, OUT http_status int, OUT category text, OUT message text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	CALL sim.rule(action, '{"path": "/labels$"}');
	RETURN QUERY SELECT r.input_no, r.ok, r.http_status, r.error_category, r.error_message
	FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT contact AS from_id, company AS to_id, role AS label, types AS type_ids FROM links WHERE no <= 3 OR no = 10 ORDER BY no') AS r
	ORDER BY r.input_no;
	CALL sim.no_rule();
END $$;
CALL sim.forget_requests();
SELECT n, action, l.* FROM (VALUES
	(1, '{"status": 500}'),
	(2, '{"status": 503, "text": "<html>"}'),
	(3, '{"status": 404}'),
	(4, '{"text": "<html>"}'),
	(5, '{"text": ""}'),
	(6, '{"status": 204}'),
	(7, '{"body": []}'),
	(8, '{"body": {"results": "none"}}'),
	(9, '{"body": {}}'),
	(10, '{"body": {"results": [{"label": "Manager", "category": "USER_DEFINED"}]}}'),
	(11, '{"pad": 17000000}'),
	(12, '{"status": 302}')) AS v (n, action), LATERAL lookup(action::jsonb) AS l
ORDER BY n, l.input_no;
SELECT request, count(*) FROM requests GROUP BY request ORDER BY request;
SELECT input_no, ok, http_status, category, split_part(message, ':', 1) AS message FROM lookup('{"reset": "before"}');
-- one that refuses the account
CALL sim.forget_requests();
SELECT n, action, l.* FROM (VALUES
	(1, '{"status": 401}'),
	(2, '{"status": 403}'),
	(3, '{"status": 429, "headers": {"Retry-After": "3600"}}')) AS v (n, action), LATERAL lookup(action::jsonb) AS l
ORDER BY n, l.input_no;
SELECT request, count(*) FROM requests GROUP BY request ORDER BY request;
CALL sim.rule('{"status": 403}', '{"path": "/labels$"}');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Manager}');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Manager}', on_error => 'raise')$$)
\gx
CALL sim.rule('{"status": 500}', '{"path": "/labels$"}');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Manager}');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Manager}', on_error => 'raise')$$)
\gx
CALL sim.no_rule();
-- one that fails at first
ALTER SERVER hubspot OPTIONS (SET max_retries '3', SET max_retry_delay '10ms');
CALL sim.forget_requests();
CALL sim.rule('{"status": 502}', '{"path": "/labels$", "first": 2}');
SELECT ok, labels FROM hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Manager}');
CALL sim.no_rule();
SELECT request, status FROM requests;
ALTER SERVER hubspot OPTIONS (DROP max_retries, DROP max_retry_delay);
-- what definitions may be like
CALL sim.rule('{"body": {"more": 1, "results": [
	{"category": "INTEGRATOR_DEFINED", "typeId": 5, "label": "By an app", "more": {}},
	{"category": "USER_DEFINED", "typeId": 1, "label": "Twice"}, {"category": "USER_DEFINED", "typeId": 3, "label": "Twice"},
	{"category": "WORK", "typeId": 7, "label": "Same"}, {"category": "WORK", "typeId": 7, "label": "Same"},
	{"category": "USER_DEFINED", "typeId": 9}, {"category": "USER_DEFINED", "typeId": 10, "label": null}, {"category": "USER_DEFINED", "typeId": 11, "label": ""},
	{"typeId": 13, "label": "Any order", "category": "USER_DEFINED"}]}}', '{"path": "/labels$"}');
CALL sim.forget_requests();
SELECT label, r.ok, error_category, error_message
FROM (VALUES (1, 'By an app'), (2, 'Twice'), (3, 'Same'), (4, ''), (5, 'Any order')) AS v (n, label),
	LATERAL hs_assoc_create('contacts', 1, 'companies', 101, labels => ARRAY[label]) AS r
ORDER BY n;
SELECT status, body FROM requests WHERE body <> '';
CALL sim.no_rule();

--
-- Labels that stay: the pairs' own are read first, and sent, too
--
CALL sim.forget();
SELECT define('contacts', 'companies', 'Manager', 'Managed by') AS manager, define('contacts', 'companies', 'Advisor') AS advisor,
	define('contacts', 'companies', 'Owner') AS owner;
SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 101, '{1}', 'USER_DEFINED');
SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 101, '{1}', 'HUBSPOT_DEFINED', keep_labels => true);
CALL sim.forget_requests();
SELECT ok, labels FROM hs_assoc_create('contacts', 1, 'companies', 101, '{3}', 'USER_DEFINED', keep_labels => true);
SELECT * FROM sim.holds('contacts', 'companies');
TABLE requests;
-- without, it replaces them
SELECT ok, labels FROM hs_assoc_create('contacts', 1, 'companies', 101, labels => '{Owner}');
SELECT * FROM sim.holds('contacts', 'companies');
-- with a label by name; a new pair; one that it has already; the other direction
CALL sim.forget_requests();
SELECT ok, labels FROM hs_assoc_create('contacts', '1', 'companies', '101', labels => '{Advisor}', keep_labels => true);
SELECT ok, labels FROM hs_assoc_create('contacts', '2', 'companies', '101', labels => '{Advisor}', keep_labels => true);
SELECT ok, labels FROM hs_assoc_create('contacts', '2', 'companies', '101', labels => '{Advisor}', keep_labels => true);
SELECT ok, labels FROM hs_assoc_create('companies', '101', 'contacts', '1', labels => '{Managed by}', keep_labels => true);
SELECT * FROM sim.holds('contacts', 'companies');
-- nothing is read for what isn't sent
CALL sim.forget_requests();
SELECT ok, error_category FROM hs_assoc_create('contacts', '1', 'companies', '', '{3}', 'USER_DEFINED', keep_labels => true);
SELECT ok, error_category FROM hs_assoc_create('contacts', '1', 'companies', '101', '{}', keep_labels => true);
SELECT count(*) FROM requests;
SELECT outcome, message FROM sim.try($$SELECT hs_assoc_create('contacts', '1', 'companies', '101', '{1}', keep_labels => NULL)$$);

-- many pairs
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, labels, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (1, 101, 'Manager'), (2, 101, 'Owner'), (3, 101, 'Advisor'), (1, 102, 'Advisor'), (NULL, 101, 'Owner'), (4, 101, 'Bishop'), (2, 101, 'Manager'))
		AS v (from_id, to_id, label)$$, keep_labels => true)
ORDER BY input_no;
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies');
SELECT input_no, ok, labels FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[('3', '101', NULL, NULL, '{Owner}'), ('5', '101', '{279}', NULL, NULL)]::hs_assoc_input[],
	keep_labels => true) ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id IN ('3', '5');
-- a pair's rows in several requests: each adds to what the one before has left
CALL sim.forget_requests();
ALTER SERVER hubspot OPTIONS (ADD batch_size '1', ADD concurrency '4');
SELECT input_no, from_id, ok FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (6, 101, 'Manager'), (7, 101, 'Owner'), (6, 101, 'Owner'), (8, 101, 'Owner'), (6, 101, 'Advisor')) AS v (from_id, to_id, label)$$, keep_labels => true)
ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id IN ('6', '7', '8');
ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency);
-- pages
CALL sim.set('{"page_size": 2}');
SELECT sim.control('POST', '/associations', '{"from_type": "contacts", "to_type": "companies",
	"generate": {"first_from": 9, "count": 1, "per_from": 7, "first_to": 101}, "types": [{"category": "USER_DEFINED", "type_id": 1}]}')->'count' AS held;
CALL sim.forget_requests();
SELECT bool_and(ok) AS ok, count(*) FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT 9 AS from_id, n AS to_id, 'Owner' AS label FROM generate_series(101, 108) AS n$$, keep_labels => true);
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '9';
SELECT request, count(*) FROM requests GROUP BY request ORDER BY request;
CALL sim.set('{"page_size": 500}');
-- one that comes again, on the same page and on the next one, doesn't stand for another that comes later
SELECT input_no, ok FROM hs_assoc_batch_create('contacts', 'companies',
	$$SELECT * FROM (VALUES (21, 101, 'Manager'), (21, 102, 'Manager'), (21, 103, 'Advisor')) AS v (from_id, to_id, label)$$) ORDER BY input_no;
SELECT jsonb_array_length(sim.control('POST', '/rules', jsonb_agg(jsonb_build_object(
	'match', jsonb_build_object('path', '/read$', 'nth', n),
	'action', jsonb_build_object('status', 200, 'body', jsonb_build_object('results', jsonb_build_array(jsonb_build_object(
		'from', jsonb_build_object('id', 21), 'to', companies, 'paging', jsonb_build_object('next', jsonb_build_object('after', next)))))))))->'ids') AS pages
FROM (VALUES (1, '{101,105,101}', 'A'), (2, '{101,104,102}', 'B'), (3, '{102,103}', NULL)) AS v (n, ids, next),
	LATERAL (SELECT jsonb_agg(jsonb_build_object('toObjectId', id, 'associationTypes', jsonb_build_array(jsonb_build_object(
			'category', 'USER_DEFINED', 'typeId', CASE id WHEN 103 THEN 3 ELSE 1 END)))) AS companies
		FROM unnest(ids::int[]) AS id) AS c;
CALL sim.forget_requests();
SELECT input_no, ok, labels FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT 21 AS from_id, n AS to_id, ''Owner'' AS label FROM generate_series(101, 103) AS n', keep_labels => true) ORDER BY input_no;
CALL sim.no_rule();
TABLE requests;
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '21';
-- a type of the account's that has no label
SELECT ok FROM hs_assoc_create_default('contacts', 1, '2-77', 5);
SELECT define('contacts', '2-77', 'Renter') AS renter;
SELECT ok, labels FROM hs_assoc_create('contacts', 1, '2-77', 5, labels => '{Renter}', keep_labels => true);
SELECT ok, labels FROM hs_assoc_create('contacts', 1, '2-77', 5, labels => '{renter}', keep_labels => true);
SELECT * FROM sim.holds('contacts', '2-77');
-- records of one type: a pair's labels are those of its direction
SELECT define('contacts', 'contacts', 'Boss', 'Report') AS boss, define('contacts', 'contacts', 'Peer') AS peer;
SELECT ok, labels FROM hs_assoc_create('contacts', 1, 'contacts', 2, labels => '{Boss}');
SELECT input_no, ok, labels FROM hs_assoc_batch_create('contacts', 'contacts',
	$$SELECT * FROM (VALUES (1, 2, 'Peer'), (3, 1, 'Boss')) AS v (from_id, to_id, label)$$, keep_labels => true) ORDER BY input_no;
SELECT ok, labels FROM hs_assoc_create('contacts', 2, 'contacts', 1, labels => '{Boss}', keep_labels => true);
SELECT * FROM sim.holds('contacts', 'contacts');
-- both directions of a pair: what the one adds, the other keeps
SELECT input_no, ok, labels FROM hs_assoc_batch_create('contacts', 'contacts',
	$$SELECT * FROM (VALUES (11, 12, 'Peer'), (12, 11, 'Boss'), (13, 13, 'Peer')) AS v (from_id, to_id, label)$$, keep_labels => true) ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'contacts') WHERE from_id LIKE '1_';

--
-- The reading fails: the pair is left alone
--
CALL sim.forget();
SELECT define('contacts', 'companies', 'Manager', 'Managed by') AS manager, define('contacts', 'companies', 'Advisor') AS advisor;
SELECT bool_and(ok) AS ok FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT n AS from_id, 101 AS to_id, ''Manager'' AS label FROM generate_series(1, 3) AS n');
ALTER SERVER hubspot OPTIONS (ADD max_retries '0', ADD max_retry_delay '1ms');
CREATE FUNCTION keep(action jsonb, match jsonb, OUT input_no bigint, OUT ok boolean, OUT http_status int, OUT category text, OUT message text, OUT writes bigint) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL client_min_messages = error;
	CALL sim.forget_requests();
	CALL sim.rule(action, match);
	CREATE TEMP TABLE result AS SELECT * FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT n AS from_id, 101 AS to_id, 3 AS type_id, ''USER_DEFINED'' AS category FROM generate_series(1, 3) AS n', keep_labels => true);
	CALL sim.no_rule();
	SELECT count(*) INTO writes FROM jsonb_array_elements(sim.control('GET', '/log?path=create$')->'requests');
	RETURN QUERY SELECT r.input_no, r.ok, r.http_status, r.error_category, r.error_message, writes FROM result AS r ORDER BY r.input_no;
	DROP TABLE result;
END $$;
SELECT n, action, k.* FROM (VALUES
	(1, '{"status": 500}'),
	(2, '{"status": 401}'),
	(3, '{"status": 403}'),
	(4, '{"status": 400}'),
	(5, '{"status": 404}'),
	(6, '{"text": ""}'),
	(7, '{"text": "<html>"}'),
	(8, '{"text": "{\"results\": ["}'),
	(9, '{"body": {"status": "PENDING", "results": []}}')) AS v (n, action), LATERAL keep(action::jsonb, '{"path": "/read$"}') AS k
ORDER BY n, k.input_no;
SELECT * FROM sim.holds('contacts', 'companies');
-- that of one of them
SELECT n, action, k.* FROM (VALUES
	(1, '{"results": ["drop:2"]}', '{"path": "/read$"}'),
	(2, '{"results": ["drop:2"], "errors": [{"category": "SOME", "message": "No.", "context": {"fromObjectId": ["2"]}}]}', '{"path": "/read$"}'),
	(3, '{"status": 400}', '{"path": "/read$", "id": "2"}')) AS v (n, action, match), LATERAL keep(action::jsonb, match::jsonb) AS k
ORDER BY n, k.input_no;
-- half of what it has is not what it has
SELECT n, of_2, k.* FROM (VALUES
	(1, '[held, {"id": "101"}]'),
	(2, '[held, "101"]'),
	(3, '[held, {"toObjectId": "102", "associationTypes": [{"category": "USER_DEFINED"}]}]'),
	(4, '[held], "paging": {"next": {"link": "?after=YXQ%2BMjoxMDE%3D"}}'),
	(5, '[held]}, {"from": {"id": "2"}, "to": []')) AS v (n, of_2),
	LATERAL keep(jsonb_build_object('text', replace(
			format('{"results": [{"from": {"id": "1"}, "to": [held]}, {"from": {"id": "2"}, "to": %s}, {"from": {"id": "3"}, "to": [held]}]}', of_2),
			'held', '{"toObjectId": "101", "associationTypes": [{"category": "USER_DEFINED", "typeId": 1}]}')), '{"path": "/read$"}') AS k
ORDER BY n, k.input_no;
SELECT * FROM sim.holds('contacts', 'companies');
-- pages whose cursors repeat: circles of one page, of two and of three, before which there may be others; of 50, the last of which leads nowhere
CREATE FUNCTION go_round(first int, length int, OUT ok boolean, OUT category text, OUT message text, OUT reads bigint, OUT writes bigint)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('DELETE', '/rules');
	PERFORM sim.control('POST', '/rules', jsonb_agg(jsonb_build_object('match', jsonb_build_object('path', '/read$', 'nth', n),
		'action', jsonb_build_object('status', 200, 'text', format('{"results": [{"from": {"id": "51"}, "to": [{"toObjectId": %s}], "paging": %s}]}', n,
			CASE WHEN n < 50 THEN format('{"next": {"after": "%s"}}', CASE WHEN n > first THEN first + 1 + (n - first) % length ELSE n END)
				ELSE 'null' END)))
		ORDER BY n))
	FROM generate_series(1, 50) AS n;
	CALL sim.forget_requests();
	SELECT r.ok, r.error_category, r.error_message INTO ok, category, message
	FROM hs_assoc_create('contacts', 51, 'companies', 101, '{3}', 'USER_DEFINED', keep_labels => true) AS r;
	SELECT count(*) FILTER (WHERE request LIKE '%/read'), count(*) FILTER (WHERE request NOT LIKE '%/read') INTO reads, writes FROM sim.requests();
	CALL sim.no_rule();
END $$;
SELECT first, length, g.* FROM (VALUES (0, 1), (0, 2), (0, 3), (5, 1), (4, 2), (5, 3), (0, 50)) AS v (first, length),
	LATERAL go_round(first, length) AS g ORDER BY first, length;
-- with on_error => 'raise'
CALL sim.rule('{"status": 500}', '{"path": "/read$"}');
SELECT outcome, message, regexp_replace(detail, 'correlation id [-0-9a-f]{36}', 'correlation id (id)') AS detail, hint
FROM sim.try($$SELECT hs_assoc_batch_create('contacts', 'companies', 'SELECT 2 AS from_id, 101 AS to_id, ''Advisor'' AS label', 'raise', keep_labels => true)$$)
\gx
CALL sim.rule('{"status": 500}', '{"method": "GET"}');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create('contacts', 2, 'companies', 101, '{3}', 'USER_DEFINED', keep_labels => true);
CALL sim.rule('{"status": 500}', '{"path": "/read$"}');
SELECT ok, http_status, error_category, error_message FROM hs_assoc_create('contacts', 2, 'companies', 101, '{3}', 'USER_DEFINED', keep_labels => true);
CALL sim.no_rule();
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '2';
-- the writing fails as ever: refused whole because of one, the others go with what they have
SELECT ok FROM hs_assoc_create('contacts', 2, 'companies', 101, '{1}', 'USER_DEFINED');
CALL sim.missing('contacts', '3');
CALL sim.set('{"bad_batch": "whole"}');
SELECT input_no, ok, labels, error_category FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT n AS from_id, 101 AS to_id, ''Advisor'' AS label FROM generate_series(1, 3) AS n', keep_labels => true) ORDER BY input_no;
SELECT * FROM sim.holds('contacts', 'companies');

-- the labels that a pair keeps and those that it is to get are more than it can have
CALL sim.forget();
SELECT jsonb_build_object('body', jsonb_build_object('results', jsonb_build_array(jsonb_build_object('from', '{"id": "1"}'::jsonb,
		'to', jsonb_build_array(jsonb_build_object('toObjectId', '101', 'associationTypes',
			jsonb_agg(jsonb_build_object('category', 'USER_DEFINED', 'typeId', n)))))))) AS action
	FROM generate_series(1, 100) AS n
\gset
CALL sim.rule(:'action', '{"path": "/read$"}');
SELECT input_no, ok, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT 1 AS from_id, 101 AS to_id, ''USER_DEFINED'' AS category, 200 AS type_id', keep_labels => true);
CALL sim.no_rule();
SELECT request FROM sim.requests() WHERE request LIKE '%/create';
-- labels for which a message has no room
SELECT jsonb_build_object('body', jsonb_build_object('results',
		jsonb_agg(jsonb_build_object('category', 'USER_DEFINED', 'typeId', n, 'label', 'A long label, number ' || n)))) AS action
	FROM generate_series(1, 60) AS n
\gset
CALL sim.rule(:'action');
SELECT length(error_message), right(error_message, 40) AS ends
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => '{Something}');
SELECT jsonb_build_object('body', jsonb_build_object('results',
		jsonb_agg(jsonb_build_object('category', 'USER_DEFINED', 'typeId', n, 'label', repeat('a', 20))))) AS action
	FROM generate_series(1, 60) AS n
\gset
CALL sim.rule(:'action');
SELECT length(error_message), left(error_message, 90) AS begins, right(error_message, 60) AS ends
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => ARRAY[repeat('a', 20)]);
CALL sim.no_rule();
-- many rows, with the labels of the row before, and with others
SELECT define('contacts', 'companies', 'Manager') > 0 AS manager, define('contacts', 'companies', 'Advisor') > 0 AS advisor;
CREATE VIEW changing AS
SELECT i AS no, 1000 + i AS from_id, 5000 + i AS to_id,
	CASE WHEN i < 40 OR i % 7 = 0 THEN ARRAY['Manager'] WHEN i % 5 = 0 THEN ARRAY['Manager', 'Advisor'] ELSE ARRAY['Advisor'] END AS labels
FROM generate_series(1, 200) AS i;
SELECT count(*), count(*) FILTER (WHERE r.ok AND r.from_id = c.from_id::text AND r.to_id = c.to_id::text AND r.labels = c.labels) AS as_asked_for
FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT from_id, to_id, labels FROM changing ORDER BY no') AS r
JOIN changing AS c ON c.no = r.input_no;

DROP TABLE links;
DROP VIEW requests, changing;
DROP FUNCTION define, lookup, keep, go_round;
DROP DOMAIN role;
DROP TYPE rank;
\set ECHO none
\i :end
