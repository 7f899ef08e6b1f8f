--
-- Records by what people call them: keys instead of ids
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- What sessions keep of keys has a test of its own, 386_key_cache.pl.
ALTER SERVER hubspot OPTIONS (ADD key_cache '0s');

CALL sim.record('contacts', '101', '{"email": "ann@example.com", "hs_additional_emails": "ann@home.example;a@b.example"}');
CALL sim.record('contacts', '102', '{"email": "bob@example.com"}');
CALL sim.record('companies', '201', '{"domain": "acme.com"}');
CALL sim.record('companies', '202', '{"domain": "dup.com"}');
CALL sim.record('companies', '203', '{"domain": "dup.com"}');
CALL sim.property('deals', 'erp_number', true);
CALL sim.record('deals', '301', '{"erp_number": "A-1"}');
CALL sim.record('deals', '302', '{"erp_number": "0042"}');
CALL sim.property('deals', 'sku', false);
CALL sim.record('deals', '303', '{"sku": "X1"}');
CALL sim.record('deals', '304', '{"sku": "x1"}');
CALL sim.record('deals', '305', '{"sku": "y2"}');
CALL sim.record('deals', '306', '{"sku": "Z3 é"}');

-- One pair.
\x
SELECT from_id, to_id, ok, types, http_status, error_category, from_record, to_record
FROM hs_assoc_create_default('contacts:email', ' Ann@Example.COM ', 'companies:domain', 'ACME.com');
\x
SELECT request, status, body FROM sim.requests() ORDER BY request;
-- The way is known now.
SELECT ok, from_record, to_record FROM hs_assoc_create_default('contacts', '102', 'companies:domain', 'acme.com');
SELECT ok, from_record, to_record FROM hs_assoc_create_default('contacts:email', 'bob@example.com', 'companies', '201');
SELECT request, status FROM sim.requests() ORDER BY request;

SELECT requests, lookups, inputs, confirmed FROM hs_assoc_stat() WHERE server = 'hubspot';
-- What is compared how.
SELECT input_no, left(key, 20) AS key, record_id, error_category, left(error_message, 80) AS error_message FROM hs_assoc_resolve('contacts:email',
	ARRAY['ann@example.com', 'ANN@example.com' || chr(160), 'nobody@example.com', 'ann@home.example', 'A@B.example',
	      '', '  ', NULL, repeat('x', 1001), E'a\tb@example.com', E'a\u0085b']);
SELECT input_no, key, record_id, candidates, error_category, error_message FROM hs_assoc_resolve('companies:domain',
	'SELECT * FROM (VALUES (''acme.com''), (''dup.com''), (''none.example'')) AS domains (key)');
SELECT input_no, key, record_id, candidates, error_category, error_message, error FROM hs_assoc_resolve('deals:erp_number',
	'SELECT * FROM (VALUES (''A-1''), (''a-1''), (''0042''), (''42'')) AS numbers (key)');
SELECT input_no, key, record_id, candidates, error_category, error_message FROM hs_assoc_resolve('deals:sku',
	'{X1,x1,Y2,y2,"z3 é","Z3 é"}'::text[]);
SELECT input_no, key, record_id, error_category, error_message FROM hs_assoc_resolve('contacts', '{101,999,a/b}'::text[]);
CALL sim.forget_requests();
SELECT input_no, left(key, 25) AS key, record_id, error_category, left(error_message, 75) AS error_message FROM hs_assoc_resolve('contacts',
	ARRAY['{abc}', '101', 'ann@example.com', '007', '12345678901234567890', ' 101', '', NULL, repeat('x', 101)]);
SELECT input_no, error_category FROM hs_assoc_resolve('contacts', 'SELECT ''x'' AS key');
SELECT * FROM hs_assoc_resolve('contacts', ARRAY['{abc}'], on_error => 'raise');
SELECT request, status FROM sim.requests() ORDER BY request;
SELECT input_no, key, record_id FROM hs_assoc_resolve('deals:erp_number', 'SELECT ''0042''::char(10) AS key');

-- Merged records.
SELECT sim.merge('contacts', '102', '101');
SELECT input_no, key, record_id FROM hs_assoc_resolve('contacts', '{101,102}'::text[]);

-- Pairs are pairs of records: one input for the three.
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, ok, error_category, error_message, from_record, to_record
FROM hs_assoc_batch_create('contacts:email', 'companies:domain', $$
	SELECT * FROM (VALUES ('ann@example.com', 'acme.com', 279), ('ann@home.example', 'Acme.com', 1),
		(' ANN@example.com', 'acme.com', 279), ('nobody@example.com', 'acme.com', 279), ('ann@example.com', 'dup.com', 279),
		(NULL, 'acme.com', 279)) AS pairs (from_id, to_id, type_id) $$) ORDER BY input_no;
SELECT request, status, body FROM sim.requests() WHERE request LIKE '%associations%';
SELECT input_no, from_id, to_id, ok, from_record, to_record
FROM hs_assoc_batch_create_default('contacts:email', 'companies', ARRAY[('ann@example.com', '202', NULL, NULL, NULL)]::hs_assoc_input[]);

-- Reads.
SELECT input_no, from_id, to_id, type_id, error_category, error_message, from_record, to_record
FROM hs_assoc_batch_read('contacts:email', 'companies', '{ann@example.com,nobody@example.com,ann@home.example}'::text[])
ORDER BY input_no, to_id, type_id;
SELECT from_id, to_id, type_id, from_record FROM hs_assoc_list('contacts:email', 'Ann@example.com', 'companies') ORDER BY to_id, type_id;
SELECT * FROM hs_assoc_list('contacts:email', 'nobody@example.com', 'companies');

-- The other side by what people call it; a record without that has no name.
CALL sim.record('companies', '204', '{"name": "No domain"}');
CALL sim.record('companies', '205', '{"domain": "Größe-und-mehr-Größe.example"}');
SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', $$
	SELECT 101 AS from_id, company AS to_id FROM unnest('{201,204,205,999}'::text[]) AS company $$) WHERE ok;
CALL sim.forget_requests();
SELECT input_no, from_id, to_id, type_id, error_category, from_record, to_record
FROM hs_assoc_batch_read('contacts:email', 'companies:domain', '{ann@example.com,nobody@example.com,ann@home.example}'::text[])
ORDER BY input_no, to_record, type_id;
SELECT request, status, body FROM sim.requests() ORDER BY request;
SELECT from_id, to_id, type_id, from_record, to_record FROM hs_assoc_list('contacts', '101', 'companies:domain') ORDER BY to_record, type_id;
-- A look-up that fails is the row's error.
CALL sim.rule('{"status": 400, "body": {"status": "error", "message": "No", "category": "VALIDATION_ERROR"}}', '{"path": "objects/.*/companies/batch/read"}');
SELECT from_id, to_id, type_id, from_record, to_record, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies:domain', '{101}'::text[]) ORDER BY to_record, type_id;
CALL sim.no_rule();

-- Removals: what can be read and isn't there is removed; what is searched for may be new.
SELECT input_no, from_id, to_id, ok, error_category, from_record, to_record
FROM hs_assoc_batch_archive('contacts:email', 'companies:domain', $$
	SELECT * FROM (VALUES ('ann@example.com', 'acme.com'), ('nobody@example.com', 'acme.com'), ('ann@example.com', 'none.example'))
	AS pairs (from_id, to_id) $$) ORDER BY input_no;
SELECT ok, error_category FROM hs_assoc_archive('contacts:email', 'nobody@example.com', 'companies', '202');

-- Failures.
SELECT * FROM hs_assoc_create_default('contacts:email', 'ann@example.com', 'companies:domain', 'dup.com', 'raise');
SELECT * FROM hs_assoc_create_default('contacts:email', 'nobody@example.com', 'companies', '201', 'raise');
SELECT * FROM hs_assoc_resolve('contacts:email', '{nobody@example.com}'::text[], 'raise');
-- a key in the place of an id
SELECT message, hint FROM sim.try($$SELECT hs_assoc_create_default('contacts', 'ann@example.com', 'companies', '201', 'raise')$$);
SELECT message, hint FROM sim.try($$SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT 101 AS from_id, ''acme.com'' AS to_id', 'raise')$$);
SELECT message, hint FROM sim.try($$SELECT hs_assoc_list('contct', 'ann@example.com', 'companies')$$);
SELECT input_no, record_id, error_category, error_message FROM hs_assoc_resolve('companies:doman', '{acme.com,x}'::text[]);
SELECT * FROM hs_assoc_scan('companies:doman', 'contacts');
SELECT input_no, record_id, error_category, error_message FROM hs_assoc_resolve('widgets:name', '{acme.com}'::text[]);
SELECT * FROM hs_assoc_resolve('contacts:Email', '{x}'::text[]);
SELECT * FROM hs_assoc_resolve('contacts:', '{x}'::text[]);
SELECT * FROM hs_assoc_resolve('contacts:a:b', '{x}'::text[]);
SELECT * FROM hs_assoc_resolve('contacts:' || repeat('x', 101), '{x}'::text[]);
SELECT * FROM hs_assoc_resolve(':email', '{x}'::text[]);
SELECT * FROM hs_assoc_resolve(NULL, '{x}'::text[]);
SELECT * FROM hs_assoc_resolve('contacts:email', 'SELECT 1 AS id');
SELECT * FROM hs_assoc_resolve('contacts:email', 'SELECT 1 AS keys');
SELECT * FROM hs_assoc_resolve('contacts:email', 'ann@example.com');
SELECT outcome, message, hint
FROM sim.try($$SELECT hs_assoc_resolve('contacts:nobody', 'SELECT''x''key', on_error => 'raise')$$);
SELECT * FROM hs_assoc_labels('contacts:email', 'companies');
-- Operations in the outbox wait for records; what could never be sent is an ERROR now.
SELECT hs_assoc_enqueue('create_default', 'contacts:Email', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT ' ' AS from_id, 2 AS to_id$$);
SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT repeat(' ', 1000) || 'x' AS from_id, 2 AS to_id$$);
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', wait_for_records => '1 hour');
SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', wait_for_records => '-1 s');
SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', wait_for_records => '11 years');
SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT ' Ann@Example.com' AS from_id, 2 AS to_id$$, wait_for_records => '2 hours');
SELECT from_type, from_id, to_type, to_id, wait_for_records, waited FROM hs_assoc_outbox;
DELETE FROM hs_assoc_outbox;
SELECT t, k, '"' || hs_assoc_normal_key(t, k) || '"' AS normal FROM (VALUES ('contacts:email', ' Ann@Example.com '), ('0-1:email', 'ANN@x.org'),
	('contacts:ref', ' A-1 '), ('contacts', ' 101'), ('contacts:email', ''), ('companies:Domain', ' X ')) AS v (t, k);

-- Without a scope to read contacts, nothing is sent.
CALL sim.account('no-reader', '{crm.objects.companies.read,crm.objects.companies.write,crm.objects.contacts.write}');
ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (SET access_token 'no-reader');
SELECT input_no, ok, error_category, error_message
FROM hs_assoc_batch_create_default('contacts:email', 'companies', ARRAY[('ann@example.com', '201', NULL, NULL, NULL), ('bob@example.com', '201', NULL, NULL, NULL)]::hs_assoc_input[]);

\set ECHO none
\i :end
