--
-- What people compose of the functions: those of doc/recipes.md, with the same
-- SQL, which test/t/180_compositions.pl compares, and with rows that fail
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set copy_links :abs_srcdir '/sql/include/copy_links.sql'
\set ECHO none
\i :begin

-- small requests and pages, so that there are several, and no second attempts
ALTER SERVER hubspot OPTIONS (ADD batch_size '2', ADD max_retries '0');

-- Associations that an account is to hold at the beginning.
CREATE PROCEDURE sim.hold(from_type text, to_type text, pairs text[], types jsonb DEFAULT NULL,
	token text DEFAULT 'test-token')
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM sim.control('POST', '/associations?token=' || token, jsonb_strip_nulls(jsonb_build_object(
		'from_type', from_type, 'to_type', to_type, 'pairs', to_jsonb(pairs), 'types', types)));
END $$;

--
-- Everything that is associated to some companies
--
SELECT type_id, label FROM hs_assoc_label_create('contacts', 'companies', 'Decision maker', 'decision_maker');
CALL sim.hold('contacts', 'companies',
	'{{101,9001},{102,9001},{103,9001},{104,9001},{105,9001},{101,9002},{106,9004}}');
CALL sim.hold('contacts', 'companies', '{{102,9001}}', '[{"category": "USER_DEFINED", "type_id": 1}]');
CALL sim.hold('deals', 'companies', '{{501,9001},{502,9001},{503,9002}}');
CALL sim.hold('tickets', 'companies', '{{701,9002}}');
CALL sim.set('{"page_size": 2}');
CREATE TABLE my_companies (company_id text);
INSERT INTO my_companies VALUES ('9001'), ('9002'), ('9003'), ('ACME-17');
-- one request fails
CALL sim.rule('{"status": 503}', '{"path": "companies/deals/batch/read", "id": "9001", "nth": 1}');

CREATE TABLE company_links AS
SELECT to_type, a.*
FROM unnest('{contacts,deals,tickets}'::text[]) AS to_type,
	hs_assoc_batch_read('companies', to_type,
		'SELECT company_id AS from_id FROM my_companies') AS a;

SELECT from_id AS company_id, to_type, count(DISTINCT to_id), string_agg(DISTINCT label, ', ') AS labels
FROM company_links
WHERE to_id IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2;

SELECT to_type, from_id AS company_id, error_category, error_message
FROM company_links
WHERE to_id IS NULL ORDER BY 1, 2;

CREATE TEMP TABLE unread AS
SELECT DISTINCT to_type, from_id FROM company_links WHERE to_id IS NULL;

BEGIN;
DELETE FROM company_links AS l USING unread AS u
WHERE (l.to_type, l.from_id) = (u.to_type, u.from_id);
INSERT INTO company_links
SELECT to_type, a.*
FROM (SELECT DISTINCT to_type FROM unread) AS t,
	hs_assoc_batch_read('companies', to_type,
		format('SELECT from_id FROM unread WHERE to_type = %L', to_type)) AS a;
COMMIT;

SELECT to_type, from_id AS company_id, error_category, error_message
FROM company_links
WHERE to_id IS NULL ORDER BY 1, 2;
-- the table and the account differ in nothing
CREATE VIEW read_back AS
SELECT to_type, from_id, to_id,
	string_agg(category || '=' || type_id, ', ' ORDER BY category, type_id) AS types
FROM company_links WHERE to_id IS NOT NULL GROUP BY to_type, from_id, to_id;
CREATE VIEW held_there AS
SELECT to_type, h.*
FROM unnest('{contacts,deals,tickets}'::text[]) AS to_type, sim.holds('companies', to_type) AS h
WHERE h.from_id IN (SELECT company_id FROM my_companies);
SELECT count(*) FROM held_there;
(TABLE read_back EXCEPT TABLE held_there) UNION ALL (TABLE held_there EXCEPT TABLE read_back);

--
-- Copy the associations of one account to another
--
CALL sim.forget();
CALL sim.account('old-token');
CALL sim.account('new-token');
CREATE SERVER hubspot_old FOREIGN DATA WRAPPER hubspot_assoc
	OPTIONS (base_url :'simulator', rate_limit '0', batch_size '2');
CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot_old OPTIONS (access_token 'old-token');
CREATE SERVER hubspot_new FOREIGN DATA WRAPPER hubspot_assoc
	OPTIONS (base_url :'simulator', rate_limit '0', batch_size '2');
CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot_new OPTIONS (access_token 'new-token');
-- labels with other numbers, one of them in the old account only
SELECT a.* FROM unnest('{Billing,Manager,Landlord}'::text[]) AS l,
	hs_assoc_label_create('contacts', 'companies', l, lower(l), server => 'hubspot_old') AS a;
SELECT a.* FROM unnest('{Manager,Tenant,Billing}'::text[]) AS l,
	hs_assoc_label_create('contacts', 'companies', l, lower(l), server => 'hubspot_new') AS a;
SELECT from_id, to_id, ok, labels
FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[
	('101', '9001', '{1,279}', NULL, '{Billing,Manager}'),
	('101', '9002', '{279}', NULL, NULL),
	('102', '9001', '{279}', NULL, '{Landlord,Manager}'),
	('103', '9002', '{279}', NULL, NULL),
	('103', '9003', '{1}', NULL, '{Billing}'),
	('104', '9001', '{279}', NULL, NULL)]::hs_assoc_input[], server => 'hubspot_old')
ORDER BY input_no;
-- what was migrated, with which numbers; the new account has one of the pairs already
CREATE TABLE contact_ids (old_id text PRIMARY KEY, new_id text);
CREATE TABLE company_ids (old_id text PRIMARY KEY, new_id text);
INSERT INTO contact_ids VALUES ('101', '301'), ('102', '302'), ('103', '303'), ('104', '304'), ('105', '305'), ('ACME', '306');
INSERT INTO company_ids VALUES ('9001', '8001'), ('9002', '8002');
SELECT ok, labels FROM hs_assoc_create('contacts', 301, 'companies', 8001, labels => '{Tenant}', server => 'hubspot_new');
DO $$ BEGIN
	PERFORM sim.control('POST', '/objects', '{"type": "contacts", "missing": ["304"], "token": "new-token"}');
END $$;

SELECT label
FROM hs_assoc_labels('contacts', 'companies', server => 'hubspot_old')
WHERE category = 'USER_DEFINED'
EXCEPT
SELECT label
FROM hs_assoc_labels('contacts', 'companies', server => 'hubspot_new')
WHERE category = 'USER_DEFINED';

CREATE TABLE copied AS
SELECT *, NULL::boolean AS ok
FROM hs_assoc_batch_read('contacts', 'companies',
	'SELECT old_id AS from_id FROM contact_ids', server => 'hubspot_old');
ALTER TABLE copied ADD copy_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;

\i :copy_links
SELECT from_id, to_id, category, label, ok, error_category, error_message
FROM copied WHERE ok IS NOT TRUE ORDER BY from_id, to_id, category, type_id;
SELECT * FROM sim.holds('contacts', 'companies', 'old-token');
SELECT * FROM sim.holds('contacts', 'companies', 'new-token');

-- mended, and only the rest is sent
SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Landlord', 'landlord',
	server => 'hubspot_new');
INSERT INTO company_ids VALUES ('9003', '8003');
UPDATE contact_ids SET new_id = '314' WHERE new_id = '304';
CALL sim.forget_requests();
\set ECHO none
\i :copy_links
\set ECHO all
SELECT from_id, to_id, error_category, error_message FROM copied WHERE ok IS NOT TRUE;
SELECT * FROM sim.holds('contacts', 'companies', 'new-token');
SELECT request, count(*) FROM sim.requests() GROUP BY request ORDER BY request;
-- nothing is left to be done
\set ECHO none
\i :copy_links
\set ECHO all
SELECT request FROM sim.requests();

--
-- Rename a label, or merge two
--
CALL sim.forget();
SELECT a.* FROM (VALUES ('Billing contact', 'billing'), ('Decision maker', 'decision_maker'), ('Manager', 'manager'))
	AS v (label, name), hs_assoc_label_create('contacts', 'companies', label, name) AS a;
SELECT from_id, to_id, ok, labels
FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[
	('101', '9001', '{279,1}', NULL, '{Decision maker,Billing contact}'),
	('101', '9002', '{279}', NULL, '{Decision maker}'),
	('102', '9001', '{279}', NULL, '{Manager}'),
	('103', '9001', '{279}', NULL, '{Decision maker,Manager}'),
	('104', '9001', NULL, NULL, '{Decision maker}'),
	('105', '9001', NULL, NULL, '{Decision maker}')]::hs_assoc_input[])
ORDER BY input_no;

SELECT type_id, hs_assoc_label_update('contacts', 'companies', type_id, 'Invoices')
FROM hs_assoc_labels('contacts', 'companies')
WHERE (category, label) = ('USER_DEFINED', 'Billing contact');

SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT to_id, category, type_id, label FROM hs_assoc_list('contacts', 101, 'companies') ORDER BY 1, 2, 3;

CREATE TABLE contacts (contact_id text PRIMARY KEY);
INSERT INTO contacts VALUES ('101'), ('102'), ('103'), ('104'), ('105'), ('ACME');
-- 103 is in a request that fails where it is to get the label, 105 in one where
-- it is to lose the old one
DO $$ BEGIN
	PERFORM sim.control('POST', '/rules', '[
		{"match": {"path": "batch/create", "id": "103"}, "action": {"status": 500}},
		{"match": {"path": "labels/archive", "id": "105"}, "action": {"status": 500}}]');
END $$;

CREATE TABLE label_moves AS
SELECT from_id, to_id, false AS added, false AS removed, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT contact_id AS from_id FROM contacts')
WHERE (category, label) = ('USER_DEFINED', 'Decision maker') OR to_id IS NULL;

UPDATE label_moves AS m
SET added = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_create('contacts', 'companies',
		$$ SELECT from_id, to_id, 'USER_DEFINED' AS category, 'Manager' AS label
		   FROM label_moves WHERE to_id IS NOT NULL AND NOT added ORDER BY from_id, to_id $$,
		keep_labels => true) AS r
WHERE (m.from_id, m.to_id) = (r.from_id, r.to_id);

UPDATE label_moves AS m
SET removed = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_archive_labels('contacts', 'companies',
		$$ SELECT from_id, to_id, 'USER_DEFINED' AS category, 'Decision maker' AS label
		   FROM label_moves WHERE added AND NOT removed ORDER BY from_id, to_id $$) AS r
WHERE (m.from_id, m.to_id) = (r.from_id, r.to_id);

SELECT added, removed, error_category, count(*)
FROM label_moves GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT * FROM label_moves ORDER BY from_id, to_id;
SELECT * FROM sim.holds('contacts', 'companies');

-- the same two once more
CALL sim.no_rule();
UPDATE label_moves AS m
SET added = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_create('contacts', 'companies',
		$$ SELECT from_id, to_id, 'USER_DEFINED' AS category, 'Manager' AS label
		   FROM label_moves WHERE to_id IS NOT NULL AND NOT added ORDER BY from_id, to_id $$,
		keep_labels => true) AS r
WHERE (m.from_id, m.to_id) = (r.from_id, r.to_id);
UPDATE label_moves AS m
SET removed = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_archive_labels('contacts', 'companies',
		$$ SELECT from_id, to_id, 'USER_DEFINED' AS category, 'Decision maker' AS label
		   FROM label_moves WHERE added AND NOT removed ORDER BY from_id, to_id $$) AS r
WHERE (m.from_id, m.to_id) = (r.from_id, r.to_id);
SELECT * FROM label_moves ORDER BY from_id, to_id;
SELECT * FROM sim.holds('contacts', 'companies');

SELECT type_id, hs_assoc_label_delete('contacts', 'companies', type_id)
FROM hs_assoc_labels('contacts', 'companies')
WHERE (category, label) = ('USER_DEFINED', 'Decision maker');
SELECT * FROM hs_assoc_labels('contacts', 'companies');
SELECT * FROM sim.holds('contacts', 'companies');

--
-- Move contacts to another primary company
--
CALL sim.forget();
SELECT type_id, label FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager');
SELECT from_id, to_id, ok, labels
FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[
	('101', '9001', '{279,1}', NULL, '{Manager}'),
	('102', '9001', '{279,1}', NULL, NULL),
	('102', '9002', '{279}', NULL, '{Manager}'),
	('103', '9001', '{1}', NULL, NULL),
	('104', '9001', '{1}', NULL, NULL)]::hs_assoc_input[])
ORDER BY input_no;

SELECT ok, labels
FROM hs_assoc_create('contacts', 104, 'companies', 9002,
	is_primary => true, keep_labels => true);

CREATE TABLE primary_moves (
	contact_id     text PRIMARY KEY,
	company_id     text NOT NULL,
	ok             boolean,
	error_category text,
	error_message  text
);
INSERT INTO primary_moves VALUES ('101', '9002'), ('102', '9002'), ('103', '9404'), ('104', '9002'), ('105', '9002');
CALL sim.missing('companies', '9404');
CALL sim.rule('{"status": 500}', '{"path": "batch/archive", "id": "102"}');

CREATE TABLE old_primaries AS
SELECT from_id, to_id, false AS removed, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies',
	'SELECT contact_id AS from_id FROM primary_moves')
WHERE is_primary OR to_id IS NULL;

UPDATE primary_moves AS m
SET ok = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_create('contacts', 'companies',
		$$ SELECT contact_id AS from_id, company_id AS to_id
		   FROM primary_moves WHERE ok IS NOT TRUE ORDER BY contact_id $$,
		is_primary => true, keep_labels => true) AS r
WHERE m.contact_id = r.from_id;

SELECT * FROM primary_moves ORDER BY contact_id;
SELECT * FROM sim.holds('contacts', 'companies');

UPDATE old_primaries AS o
SET removed = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_archive('contacts', 'companies',
		$$ SELECT from_id, to_id
		   FROM old_primaries JOIN primary_moves ON contact_id = from_id
		   WHERE ok AND to_id <> company_id AND NOT removed $$) AS r
WHERE (o.from_id, o.to_id) = (r.from_id, r.to_id);

SELECT * FROM old_primaries ORDER BY from_id;
-- the same once more
CALL sim.no_rule();
UPDATE old_primaries AS o
SET removed = r.ok, error_category = r.error_category, error_message = r.error_message
FROM hs_assoc_batch_archive('contacts', 'companies',
		$$ SELECT from_id, to_id
		   FROM old_primaries JOIN primary_moves ON contact_id = from_id
		   WHERE ok AND to_id <> company_id AND NOT removed $$) AS r
WHERE (o.from_id, o.to_id) = (r.from_id, r.to_id);
SELECT * FROM old_primaries ORDER BY from_id;

SELECT contact_id, company_id, to_id AS primary_company_id, m.error_message
FROM primary_moves AS m
	LEFT JOIN hs_assoc_batch_read('contacts', 'companies',
		'SELECT contact_id AS from_id FROM primary_moves') AS r
		ON from_id = contact_id AND is_primary
WHERE to_id IS DISTINCT FROM company_id;
SELECT * FROM sim.holds('contacts', 'companies');

DROP TABLE my_companies, company_links, unread, contact_ids, company_ids, copied, contacts,
	label_moves, primary_moves, old_primaries CASCADE;
\set ECHO none
\i :end
