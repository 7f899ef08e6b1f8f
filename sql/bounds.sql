--
-- Texts and arrays have a bound where they come in
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- A run of one character, shown as its length
CREATE FUNCTION short(text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(regexp_replace($1, run, '<' || length(substring($1 from run)) || '>'), $1)
	FROM (VALUES ('x{9,}|1{9,}|é{9,}')) AS v (run)
$$;
CREATE TABLE links (contact_id text, company_id text, role text, PRIMARY KEY (contact_id, company_id));

--
-- Directly: a row says so
--
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => ARRAY[repeat('x', 1000)])
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => ARRAY[repeat('x', 1001)])
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => ARRAY[repeat('é', 501)])
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => ARRAY[repeat('x', 50000000)])
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => array_fill('a'::text, ARRAY[101]))
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, type_ids => array_fill(0, ARRAY[10000000]))
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, type_ids => array_fill(1, ARRAY[60]), labels => array_fill('a'::text, ARRAY[60]))
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', repeat('1', 50000000), 'companies', '2', type_ids => '{1}')
UNION ALL
SELECT ok, error_category, short(error_message)
FROM hs_assoc_create('contacts', 1, 'companies', 2, type_ids => '{1}', category => repeat('X', 50000000));
SELECT input_no, ok, error_category, short(error_message)
FROM hs_assoc_batch_archive_labels('contacts', 'companies', $$
	SELECT 1 AS from_id, 2 AS to_id, repeat('x', 50000000) AS label UNION ALL SELECT 1, 2, 'Primary' $$);
SELECT requests FROM hs_assoc_stat();

--
-- Arguments
--
SELECT call, outcome, short(message)
FROM (VALUES
	('hs_assoc_create_default(repeat(''x'', 5000000), 1, ''b'', 1)'),
	('hs_assoc_enqueue(''archive'', ''a'', repeat(''x'', 5000000), ''SELECT 1'')'),
	('hs_assoc_label_create(''a'', ''b'', repeat(''x'', 1001), ''name'')'),
	('hs_assoc_label_create(''a'', ''b'', ''label'', repeat(''x'', 1001))'),
	('hs_assoc_label_create(''a'', ''b'', ''label'', ''name'', repeat(''x'', 1001))'),
	('hs_assoc_label_update(''a'', ''b'', 1, repeat(''x'', 1001))'),
	('hs_assoc_enable_sync(''links'', ''a'', ''contact_id'', ''b'', ''company_id'', label => repeat(''x'', 1001))'),
	('hs_assoc_enqueue(''create'', ''a'', ''b'', ''SELECT 1 AS from_id, 2 AS to_id, repeat(''''x'''', 1001) AS label'')'),
	('hs_assoc_enqueue(''create'', ''a'', ''b'', ''SELECT 1 AS from_id, repeat(''''1'''', 1001) AS to_id, 1 AS type_id'')'),
	('hs_assoc_enqueue(''create'', ''a'', ''b'', ''SELECT 1 AS from_id, 2 AS to_id, array_fill(1, ARRAY[5000000]) AS type_ids'')'))
	AS v (call), LATERAL sim.try('SELECT ' || call);

--
-- The outbox's own bounds
--
SELECT column_name, outcome, message
FROM (VALUES ('server', 'repeat(''s'', 1001)'), ('operation', 'repeat(''o'', 1001)'), ('from_type', 'repeat(''f'', 1001)'),
		('to_type', 'repeat(''t'', 1001)'), ('from_id', 'repeat(''é'', 501)'), ('to_id', 'repeat(''i'', 1001)'),
		('category', 'repeat(''c'', 1001)'), ('type_ids', 'array_fill(1, ARRAY[101])'), ('labels', 'array_fill(''l''::text, ARRAY[101])'),
		('labels', 'ARRAY[repeat(''l'', 100001)]'), ('labels', 'array_fill(repeat(''l'', 1000), ARRAY[100])')) AS v (column_name, value),
	LATERAL sim.try(format($$
		INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, type_ids, category, labels)
		SELECT r.server, current_user::regrole, r.operation, r.from_type, r.from_id, r.to_type, r.to_id, r.type_ids, r.category, r.labels
		FROM jsonb_to_record('{"server": "hubspot", "operation": "create", "from_type": "a", "from_id": "1", "to_type": "b", "to_id": "2"}'
				|| jsonb_build_object(%L, %s))
			AS r (server text, operation text, from_type text, from_id text, to_type text, to_id text, type_ids int[], category text, labels text[])
		RETURNING 1$$, column_name, value));
DELETE FROM hs_assoc_outbox;

--
-- What is too large in a synced table does not stop its writers: it is refused when it is to be sent
--
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
INSERT INTO links VALUES (repeat('1', 1000), '1', 'Primary'), (repeat('1', 100000), '2', 'Primary'),
	('1', repeat('é', 50000), 'Primary'), ('1', '4', repeat('x', 5000000)), ('1', '5', 'Primary');
SELECT short(from_id), short(to_id), short(labels[1]) FROM hs_assoc_outbox ORDER BY id;
CALL hs_assoc_flush();
SELECT short(from_id) AS from_id, short(to_id) AS to_id, error_category, short(error_message) AS error_message
FROM hs_assoc_dead_letter ORDER BY id;
SELECT count(*) FROM hs_assoc_outbox;
-- neither does an update that changes no id, nor one that does
UPDATE links SET role = role;
SELECT count(*) FROM hs_assoc_outbox;
UPDATE links SET company_id = '3' WHERE length(company_id) > 1;
SELECT operation, short(from_id), short(to_id) FROM hs_assoc_outbox ORDER BY id;
DELETE FROM links;
SELECT operation, short(from_id), short(to_id), short(labels[1]) FROM hs_assoc_outbox ORDER BY id;

DROP TABLE links;
DROP FUNCTION short;
\i :end
