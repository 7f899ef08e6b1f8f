--
-- Make HubSpot hold what a query says: hs_assoc_plan, hs_assoc_apply
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin
SET client_min_messages = notice;

-- Somebody holds this.
CREATE PROCEDURE sim.hold(pairs text[], types jsonb DEFAULT NULL, from_type text DEFAULT 'contacts', to_type text DEFAULT 'companies')
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/associations', jsonb_strip_nulls(jsonb_build_object('from_type', from_type, 'to_type', to_type,
		'pairs', (SELECT jsonb_agg(string_to_array(p, '-')) FROM unnest(pairs) AS p), 'types', types)));
END $$;
CREATE TABLE links (contact text, company text);
INSERT INTO links VALUES ('101', '201'), ('101', '204'), ('102', '201'), ('104', '201'), ('101', '201');
CALL sim.hold('{101-201,101-202,102-201,103-203}');

--
-- Pairs: what is not wanted of the records that have wanted rows
--
CALL sim.forget_requests();
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links');
SELECT request, body FROM sim.requests();
SELECT * FROM hs_assoc_apply('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links');
SELECT request, body FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies');
-- There is nothing left to do.
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links');
SELECT * FROM hs_assoc_apply('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links');
SELECT count(*) FROM sim.requests() WHERE request NOT LIKE '%batch/read';

-- mode 'add' removes nothing.
CALL sim.hold('{101-209}');
SELECT change_no, action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT contact AS from_id, company AS to_id FROM links UNION VALUES ('105', '201') $$, mode => 'add');

-- A scope: 103 is in it, and nothing is wanted of it; 104 is not.
SELECT change_no, action, from_id, to_id FROM hs_assoc_plan('contacts', 'companies',
	$$ SELECT contact AS from_id, company AS to_id FROM links WHERE contact < '103' $$,
	$$ SELECT * FROM (VALUES (101), (102), (103), (103)) AS v (from_id) $$);
SELECT * FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT contact AS from_id, company AS to_id FROM links $$, $$ SELECT 102 AS from_id $$);
-- Nothing is wanted of nobody.
CALL sim.forget_requests();
SELECT * FROM hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false');
SELECT * FROM sim.requests();

-- Rows that cannot be resolved: 101 keeps what it has.
SELECT action, from_id, to_id, ok, error_category, error_message FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT * FROM (VALUES ('101', NULL), ('101', '207'), (NULL, '201'), ('a b', '201'), ('102', '201')) AS v (from_id, to_id) $$)
ORDER BY change_no;
SELECT * FROM hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, NULL AS to_id', on_error => 'raise');
SELECT * FROM sim.holds('contacts', 'companies');

-- Records that cannot be read: an id that none can have; one whose answer is about another; one that fails.
CALL sim.rule('{"status": 200, "body": {"status": "COMPLETE", "results": [{"from": {"id": "999"}, "to": []}]}}', '{"id": "102", "path": "batch/read"}');
SELECT action, from_id, to_id, ok, http_status, error_category FROM hs_assoc_apply('contacts', 'companies', $$ SELECT 102 AS from_id, 208 AS to_id $$);
CALL sim.no_rule();
SELECT action, from_id, to_id, ok, http_status, error_category, error_message
FROM hs_assoc_apply('contacts', 'companies', $$ SELECT unnest('{ACME,102}'::text[]) AS from_id, 201 AS to_id $$) ORDER BY change_no;
SELECT outcome, message FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT ''ACME'' AS from_id, 201 AS to_id', on_error => 'raise') $$);

-- Removals that fail: what their records were to get is not sent.
CALL sim.rule('{"status": 503}', '{"id": "101", "path": "batch/archive"}');
ALTER SERVER hubspot OPTIONS (ADD max_retries '0');
SELECT action, from_id, to_id, ok, error_category, error_message FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT * FROM (VALUES (101, 204), (101, 205), (102, 202), (104, 201)) AS v (from_id, to_id) $$, max_removals => 9) ORDER BY change_no;
CALL sim.no_rule();
SELECT * FROM sim.holds('contacts', 'companies');

-- What others do meanwhile is skipped, and what they have made stays.
CALL sim.rule('{"meanwhile": [["contacts", "101", "companies", "205", [["HUBSPOT_DEFINED", 279]]], ["contacts", "101", "companies", "201", []],
	["contacts", "101", "companies", "206", [["HUBSPOT_DEFINED", 279]]]]}', '{"path": "batch/read", "first": 1}');
SELECT action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT * FROM (VALUES (101, 204), (101, 205), (101, 207)) AS v (from_id, to_id) $$, max_removals => 9) ORDER BY change_no;
CALL sim.no_rule();
SELECT * FROM sim.holds('contacts', 'companies');

--
-- The guard
--
SELECT outcome, message, detail, hint FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, 299 AS to_id') $$);
SELECT outcome, message, detail FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, 299 AS to_id', max_removals => 3) $$);
SELECT outcome, message, detail FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, unnest(ARRAY[204, 205, 206]) AS to_id', max_removals => 0) $$);
SELECT outcome, message, detail FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false', 'SELECT 101 AS from_id') $$);
SELECT array_agg('500-' || n) AS pairs FROM generate_series(1000, 3999) AS n \gset
CALL sim.hold(:'pairs');
SELECT outcome, message, detail FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 500 AS from_id, n AS to_id FROM generate_series(2001, 3999) AS n') $$);
SELECT action, ok, count(*) FROM hs_assoc_apply('contacts', 'companies', 'SELECT 500 AS from_id, n AS to_id FROM generate_series(2000, 3999) AS n') GROUP BY 1, 2;
SELECT action, ok, count(*) FROM hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false', 'SELECT 500 AS from_id', max_removals => 2000) GROUP BY 1, 2;

--
-- Types
--
CALL sim.forget();
SELECT type_id FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
SELECT type_id FROM hs_assoc_label_create('contacts', 'companies', 'Owner', 'owner');
CALL sim.hold('{101-201,101-202,102-201,102-202}');
CALL sim.hold('{101-201}', '[{"category": "USER_DEFINED", "type_id": 1}, {"category": "HUBSPOT_DEFINED", "type_id": 1}]');
CALL sim.hold('{101-202,102-201}', '[{"category": "USER_DEFINED", "type_id": 3}]');
SELECT * FROM sim.holds('contacts', 'companies');
CREATE TABLE roles (contact int, company int, role text);
INSERT INTO roles VALUES (101, 201, 'Owner'), (102, 201, 'owner'), (102, 203, 'Billing'), (102, 203, 'Owner');
-- Without managed, types are only added.
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label FROM roles');
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label FROM roles', managed => '{billing,USER_DEFINED:3}');
CALL sim.forget_requests();
SELECT action, from_id, to_id, category, type_id, label, ok FROM hs_assoc_apply('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label FROM roles', managed => '{billing,USER_DEFINED:3}');
SELECT request, body FROM sim.requests();
SELECT * FROM sim.holds('contacts', 'companies');
SELECT * FROM hs_assoc_plan('contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, role AS label FROM roles', managed => '{billing,USER_DEFINED:3}');
-- The default type goes only with the last of the others.
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts', 'companies',
	$$ SELECT contact AS from_id, company AS to_id, role AS label FROM roles WHERE role = 'Billing' $$, 'SELECT 101 + i AS from_id FROM generate_series(0, 1) AS i',
	managed => '{HUBSPOT_DEFINED:279,Owner}');
-- The primary company.
SELECT action, from_id, to_id, category, type_id, label, ok FROM hs_assoc_apply('contacts', 'companies',
	'SELECT 101 AS from_id, 202 AS to_id, true AS is_primary', managed => '{Primary}');
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '101';
-- A label that is nobody's, a type that is null.
SELECT action, from_id, to_id, type_id, ok, error_category, error_message FROM hs_assoc_apply('contacts', 'companies',
	$$ SELECT 101 AS from_id, 201 AS to_id, unnest('{Owner,Ownr,NULL}'::text[]) AS label $$, managed => '{Billing,Owner}');
-- What labels others have added meanwhile is kept.
CALL sim.rule('{"meanwhile": [["contacts", "103", "companies", "201", [["USER_DEFINED", 3]]]]}', '{"path": "batch/read", "first": 1}');
SELECT action, from_id, to_id, type_id, ok FROM hs_assoc_apply('contacts', 'companies', $$ SELECT 103 AS from_id, 201 AS to_id, 'Billing' AS label $$);
CALL sim.no_rule();
SELECT * FROM sim.holds('contacts', 'companies') WHERE from_id = '103';

-- Categories of others, more types than most pairs have, and an id of more digits than a number holds.
CALL sim.forget();
SELECT jsonb_build_object('status', 200, 'body', jsonb_build_object('status', 'COMPLETE', 'results', jsonb_build_array(
	jsonb_build_object('from', jsonb_build_object('id', '101'), 'to', jsonb_build_array(
		jsonb_build_object('toObjectId', 201, 'associationTypes', jsonb_build_array(
			jsonb_build_object('category', 'HUBSPOT_DEFINED', 'typeId', 279, 'label', NULL),
			jsonb_build_object('category', 'PARTNER_DEFINED', 'typeId', 7, 'label', 'Seven'),
			jsonb_build_object('category', 'PARTNER_DEFINED', 'typeId', 8, 'label', 'Eight'))),
		jsonb_build_object('toObjectId', 202, 'associationTypes', (SELECT jsonb_agg(
			jsonb_build_object('category', 'OTHER_DEFINED', 'typeId', n, 'label', 'Other ' || n)) FROM generate_series(1, 12) AS n))))))) AS answer \gset
CALL sim.rule(:'answer', '{"path": "companies/batch/read"}');
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts', 'companies',
	$$ SELECT 101 AS from_id, '1234567890123456789' AS to_id, 'PARTNER_DEFINED' AS category, 7 AS type_id
	UNION ALL SELECT 101, '201', 'PARTNER_DEFINED', 8 UNION ALL SELECT 101, '202', 'OTHER_DEFINED', n FROM generate_series(3, 13) AS n $$,
	managed => '{PARTNER_DEFINED:7,PARTNER_DEFINED:8,OTHER_DEFINED:1,OTHER_DEFINED:2,OTHER_DEFINED:12,HUBSPOT_DEFINED:279}');
CALL sim.no_rule();
-- The same, by keys.
CALL sim.record('contacts', '101', '{"email": "ann@example.com"}');
CALL sim.rule(:'answer', '{"path": "companies/batch/read"}');
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT 'ann@example.com' AS from_id, 201 AS to_id, 'PARTNER_DEFINED' AS category, 9 AS type_id $$, managed => '{PARTNER_DEFINED:7,OTHER_DEFINED:1}');
-- A plan does without labels that cannot be asked for, and with pairs that have no type.
CALL sim.rule('{"status": 503}', '{"path": "labels"}');
SELECT action, from_id, to_id, category, type_id, label FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205 AS to_id, 279 AS type_id');
CALL sim.no_rule();
CALL sim.rule('{"status": 200, "body": {"status": "COMPLETE", "results": [{"from": {"id": "101"}, "to": [{"toObjectId": 206, "associationTypes": []}]}]}}', '{"path": "companies/batch/read"}');
SELECT action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, 207 AS to_id', max_removals => 1);
SELECT action, from_id, to_id, type_id, ok FROM hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, 206 AS to_id, 279 AS type_id', max_removals => 1);
CALL sim.no_rule();
-- The login is refused after the first removals: nothing more is sent.
CALL sim.hold('{101-211,102-212}');
CALL sim.rule('{"status": 401, "body": {"status": "error", "category": "INVALID_AUTHENTICATION", "message": "Gone."}}', '{"path": "batch/archive"}');
SELECT action, from_id, to_id, ok, error_category FROM hs_assoc_apply('contacts', 'companies',
	'SELECT v.* FROM (VALUES (101, 208), (102, 208)) AS v (from_id, to_id)', max_removals => 9) ORDER BY change_no;
CALL sim.no_rule();
-- What others do meanwhile to a pair with such an id is skipped.
CALL sim.forget();
CALL sim.hold('{101-1234567890123456789}');
CALL sim.rule('{"meanwhile": [["contacts", "101", "companies", "1234567890123456789", []]]}', '{"path": "batch/read", "first": 1}');
SELECT action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'companies', $$ SELECT 101 AS from_id, '201' AS to_id $$, max_removals => 1);
CALL sim.no_rule();
CALL sim.rule('{"meanwhile": [["contacts", "101", "companies", "1234567890123456789", [["HUBSPOT_DEFINED", 279]]]]}', '{"path": "batch/read", "first": 1}');
SELECT action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'companies', $$ SELECT 101 AS from_id, '1234567890123456789' AS to_id $$, max_removals => 1);
CALL sim.no_rule();

--
-- One object type on both sides: a pair is wanted if it is from either
--
CALL sim.hold('{101-102,103-101,103-104}', from_type => 'contacts', to_type => 'contacts');
SELECT action, from_id, to_id FROM hs_assoc_plan('contacts', 'contacts', $$ SELECT * FROM (VALUES (102, 101), (103, 105), (101, 106)) AS v (from_id, to_id) $$);
SELECT action, from_id, to_id, ok FROM hs_assoc_apply('contacts', 'contacts', $$ SELECT * FROM (VALUES (102, 101), (103, 105), (101, 106)) AS v (from_id, to_id) $$,
	max_removals => 10);
SELECT from_id, to_id FROM sim.holds('contacts', 'contacts');
SELECT * FROM hs_assoc_plan('contacts', 'contacts', $$ SELECT * FROM (VALUES (102, 101), (103, 105), (101, 106)) AS v (from_id, to_id) $$);

--
-- Keys
--
CALL sim.forget();
CALL sim.record('contacts', '101', '{"email": "ann@example.com", "hs_additional_emails": "ann@home.example"}');
CALL sim.record('contacts', '102', '{"email": "bob@example.com"}');
CALL sim.record('companies', '201', '{"domain": "acme.example"}');
CALL sim.record('companies', '202', '{"domain": "two.example"}');
CALL sim.record('companies', '203', '{"domain": "two.example"}');
CALL sim.hold('{101-205,102-206}');
CREATE TABLE leads (email text, domain text);
INSERT INTO leads VALUES ('ANN@example.com', 'acme.example'), ('ann@home.example', ' Acme.example'), ('bob@example.com', 'two.example'), ('eve@example.com', 'acme.example');
SELECT action, from_id, to_id, from_record, to_record, error_category, error_message FROM hs_assoc_plan('contacts:email', 'companies:domain',
	'SELECT email AS from_id, domain AS to_id FROM leads');
SELECT action, from_id, to_id, from_record, to_record, ok FROM hs_assoc_apply('contacts:email', 'companies:domain',
	'SELECT email AS from_id, domain AS to_id FROM leads', max_removals => 1);
SELECT * FROM sim.holds('contacts', 'companies');
-- A key that is given twice, once with an error: the record is spared all the same.
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT * FROM (VALUES ('bob@example.com', 201), ('BOB@example.com', NULL)) AS v (from_id, to_id) $$);
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT * FROM (VALUES ('ann@example.com', 202), ('ann@home.example', NULL)) AS v (from_id, to_id) $$);
-- One object type on both sides, and a key of the other side that has no record
CALL sim.hold('{101-102}', from_type => 'contacts', to_type => 'contacts');
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts', 'contacts:email',
	$$ SELECT 103 AS from_id, 'eve@example.com' AS to_id $$, $$ SELECT * FROM (VALUES (102), (103)) AS v (from_id) $$);
-- Who cannot be asked for may be anybody.
CALL sim.rule('{"status": 503}', '{"path": "contacts/batch/read", "first": 1}');
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT 'bob@example.com' AS from_id, 201 AS to_id $$, $$ SELECT 'bob@example.com' AS from_id $$);
CALL sim.no_rule();
SELECT outcome, message, detail FROM sim.try($$ SELECT hs_assoc_plan('contacts:email', 'companies',
	'SELECT ''bob@example.com'' AS from_id, 201 AS to_id', 'SELECT ''ann@example.com'' AS from_id') $$);

-- A row without a to_id whose key has no record, or too many to name: then it may be about anybody, or it is about nobody.
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT * FROM (VALUES ('bob@example.com', 201), ('nobody@example.com', NULL)) AS v (from_id, to_id) $$);
SELECT jsonb_agg(jsonb_build_object('id', n::text, 'properties', '{"domain": "many.example"}'::jsonb)) AS records FROM generate_series(301, 325) AS n \gset
CALL sim.records('companies', :'records');
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('companies:domain', 'contacts',
	$$ SELECT * FROM (VALUES ('acme.example', 102), ('many.example', NULL)) AS v (from_id, to_id) $$);
CALL sim.rule('{"status": 503}', '{"path": "contacts/batch/read", "id": "nobody@example.com"}');
SELECT action, from_id, to_id, from_record, to_record, error_category FROM hs_assoc_plan('contacts:email', 'companies',
	$$ SELECT * FROM (VALUES ('bob@example.com', 201), ('nobody@example.com', NULL)) AS v (from_id, to_id) $$);
CALL sim.no_rule();

--
-- What is an error
--
SELECT call, t.outcome, t.message, t.detail, t.hint
FROM (VALUES
	('''SELECT 1 AS from_id, 2 AS to_id'', mode => ''copy'''),
	('''SELECT 1 AS from_id, 2 AS to_id'', mode => NULL'),
	('''SELECT 1 AS from_id, 2 AS to_id'', managed => ''{Billing}'''),
	('''SELECT 1 AS from_id, 2 AS to_id'', managed => ''{Primary}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ''{Billing,NULL}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ''{NULL}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ''{Bill}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ''{user defined:17}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ARRAY[repeat(''x'', 1025)]'),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => ''{USER_DEFINED:99999999999}'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'', managed => array_fill(''x''::text, ''{101}'')'),
	('NULL'),
	('''links'''),
	('''SELECT 1 AS from_id'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS kind'''),
	('''SELECT 1 AS from_id, 2 AS to_id, 3 AS category'''),
	('''SELECT 1 AS from_id, 2 AS to_id'', ''SELECT 1 AS id'''),
	('''SELECT 1 AS from_id, 2 AS to_id'', ''contacts'''),
	('''SELECT 1 AS from_id, 2 AS to_id'', server => ''nobody''')) AS v (call),
	LATERAL sim.try('SELECT hs_assoc_plan(''contacts'', ''companies'', ' || call || ')') AS t;
SELECT outcome, message, hint FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', max_removals => -1) $$);
SELECT outcome, message, hint FROM sim.try($$ SELECT hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', on_error => 'stop') $$);
SELECT outcome, message, hint FROM sim.try($$ SELECT hs_assoc_plan('contacts', 'companies:Domain', 'SELECT 1 AS from_id, 2 AS to_id') $$);

-- Both queries see one moment, even if somebody adds rows between them.
CREATE FUNCTION adds_a_row() RETURNS text LANGUAGE sql AS $$ INSERT INTO links VALUES ('109', '209') RETURNING '101' $$;
SELECT action, from_id, to_id FROM hs_assoc_plan('contacts', 'companies', 'SELECT adds_a_row() AS from_id, 205 AS to_id',
	'SELECT ''101'' AS from_id UNION SELECT contact FROM links WHERE contact = ''109''');
SELECT count(*) FROM links WHERE contact = '109';

-- What is wrong with a query, and with which of the two.
\set SHOW_CONTEXT errors
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205', 'SELECT 101 AS from_id');
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205 AS to_id', 'SELECT 101');
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205 AS to_id', '');
\set SHOW_CONTEXT never

-- In the select list, and where nobody may do it.
SELECT (hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205 AS to_id')).action;
CREATE ROLE regress_hubspot_planner;
SET ROLE regress_hubspot_planner;
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 205 AS to_id');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_planner;
CREATE USER MAPPING FOR regress_hubspot_planner SERVER hubspot OPTIONS (access_token 'test-token');
SET ROLE regress_hubspot_planner;
SELECT action, from_id, to_id FROM hs_assoc_plan('contacts', 'companies', 'SELECT 101 AS from_id, 207 AS to_id', mode => 'add');
SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM public.links');
RESET ROLE;
-- An account that is refused: everything is unreadable, and nothing is changed.
ALTER USER MAPPING FOR regress_hubspot_planner SERVER hubspot OPTIONS (SET access_token 'nobody');
SET ROLE regress_hubspot_planner;
SELECT action, from_id, ok, error_category FROM hs_assoc_apply('contacts', 'companies', 'SELECT 101 AS from_id, 207 AS to_id', mode => 'add');
RESET ROLE;
DROP OWNED BY regress_hubspot_planner;
DROP ROLE regress_hubspot_planner;
DROP FUNCTION adds_a_row;
DROP TABLE links, roles, leads;

\set ECHO none
\i :end
