--
-- Into the outbox: hs_assoc_enqueue, and what people do with what is there
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

CREATE ROLE regress_hubspot_clara;
CREATE ROLE regress_hubspot_dan;
CREATE ROLE regress_hubspot_staff;
GRANT USAGE ON SCHEMA sim TO PUBLIC;
CREATE TABLE links (no int, contact bigint, company text, type int, label text);
INSERT INTO links VALUES
	(1, 101, '9001', 279, 'Boss'),
	(2, 102, '9001', 1, 'Owner'),
	(3, 101, '9001', 279, 'Boss');
CREATE VIEW waiting AS
SELECT operation, from_type, from_id, to_type, to_id, type_ids, category, labels, keep_labels
FROM hs_assoc_outbox ORDER BY id;

--
-- The operations
--
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id FROM links ORDER BY no');
SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, type AS type_id FROM links ORDER BY no');
SELECT hs_assoc_enqueue('archive', '0-1', '2-12345',
	$$ SELECT 'a-1'::varchar AS to_id, '7  '::char(5) AS from_id $$);
SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies',
	'SELECT contact AS from_id, company AS to_id, label FROM links WHERE no < 3 ORDER BY no');
TABLE waiting;
-- each of them is due at once, on behalf of the role that enqueued it
SELECT DISTINCT server, role = current_user::regrole AS mine, link_table, attempts,
	not_before >= enqueued_at AS due FROM hs_assoc_outbox;
DELETE FROM hs_assoc_outbox;

-- numbers that are not ids: nothing is enqueued
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1::numeric AS from_id, 2 AS to_id UNION ALL SELECT 70100401.00, 2');
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 1e15::float8 AS to_id');
TABLE waiting;

-- types in all forms
SELECT hs_assoc_enqueue('create', 'contacts', 'companies', $$
	SELECT * FROM (VALUES
		(1, 2, '{279,1}'::int[], NULL::text, NULL::text[]),
		(2, 2, '{}', 'USER_DEFINED', '{Boss,"Owner, too"}'),
		(3, 2, '{5}', 'INTEGRATOR_DEFINED', '{}'),
		(4, 2, NULL, NULL, '{"quoted \" and \\"}')) AS v (from_id, to_id, type_ids, category, labels) $$,
	keep_labels => true);
SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id, 7::bigint AS type_id, ''USER_DEFINED'' AS category');
TABLE waiting;
DELETE FROM hs_assoc_outbox;

-- no row
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false');
TABLE waiting;

-- large ones are inserted by fewer at once: 1 MB
CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING '% inserted', (SELECT count(*) FROM new_rows);
	RETURN NULL;
END $$;
CREATE TRIGGER count_rows AFTER INSERT ON hs_assoc_outbox REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION count_rows();
SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies', $$
	SELECT i AS from_id, 2 AS to_id, array_fill(repeat('x', 990), ARRAY[100]) AS labels
	FROM generate_series(1, 25) AS i $$);
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT i AS from_id, 2 AS to_id FROM generate_series(1, 2001) AS i');
DROP TRIGGER count_rows ON hs_assoc_outbox;
DROP FUNCTION count_rows;
SELECT operation, count(*), count(DISTINCT from_id), sum(length(labels[1])) FROM hs_assoc_outbox GROUP BY 1 ORDER BY 1;
DELETE FROM hs_assoc_outbox;

--
-- Rows without an id are left out
--
SET client_min_messages = notice;
SELECT hs_assoc_enqueue('create', 'contacts', 'companies', $$
	SELECT * FROM (VALUES
		('1', '2', 279),
		(NULL, '2', 279),
		('3', NULL, 279),
		(NULL, NULL, NULL),
		(NULL, 'not valid', 0),
		('6', '2', 279)) AS v (from_id, to_id, type_id) $$);
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, NULL::int AS to_id');
SET client_min_messages = warning;
TABLE waiting;
SELECT skipped FROM hs_assoc_stat() WHERE server = 'hubspot';
DELETE FROM hs_assoc_outbox;

--
-- What could never be sent is an error, and nothing is enqueued
--
SELECT operation, query, outcome, message
FROM (VALUES
	('archive', 'SELECT i AS from_id, CASE i WHEN 3 THEN ''9 001'' ELSE ''9001'' END AS to_id FROM generate_series(1, 5) AS i'),
	('archive', 'SELECT '''' AS from_id, 1 AS to_id'),
	('archive', 'SELECT repeat(''1'', 101) AS from_id, 1 AS to_id'),
	('create_default', 'SELECT nullif(i, 2) AS from_id, nullif(i, 1500)::text || nullif(i, 2500) || ''é'' AS to_id FROM generate_series(1500, 3000) AS i'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, NULL::int AS type_id'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, NULL::int AS type_id, NULL AS label'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, 0 AS type_id'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, 2147483648 AS type_id'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, ARRAY[1, NULL] AS type_ids'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, ARRAY(SELECT generate_series(1, 101)) AS type_ids'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, ARRAY[NULL]::text[] AS labels'),
	('archive_labels', 'SELECT 1 AS from_id, 2 AS to_id, ''{}''::text[] AS labels'),
	('archive_labels', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id, ''mine'' AS category')) AS v (operation, query),
	LATERAL sim.try(format('SELECT hs_assoc_enqueue(%L, %L, %L, %L)', operation, 'contacts', 'companies', query));
-- a block of rows is inserted before the wrong one comes
SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
	'SELECT i AS from_id, 2 AS to_id, 2500 - i AS type_id FROM generate_series(1, 5000) AS i');
\echo :LAST_ERROR_SQLSTATE
TABLE waiting;

--
-- Columns
--
SELECT operation, query, outcome, message, hint
FROM (VALUES
	('archive', 'SELECT 1 AS from_id'),
	('archive', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id'),
	('create_default', 'SELECT 1, 2'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id, ARRAY[3] AS type_ids'),
	('create', 'SELECT 1 AS from_id, 2 AS to_id, ''3'' AS type_id'),
	('archive_labels', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id, 4 AS number'),
	('archive', 'DELETE FROM links'),
	('archive', 'SELECT 1/0 AS from_id, 2 AS to_id')) AS v (operation, query),
	LATERAL sim.try(format('SELECT hs_assoc_enqueue(%L, %L, %L, %L)', operation, 'contacts', 'companies', query))
\gx

--
-- Arguments
--
CREATE FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE SERVER "no HubSpot" FOREIGN DATA WRAPPER regress_hubspot_other;
SELECT call, outcome, message, detail, hint
FROM (VALUES
	('hs_assoc_enqueue(NULL, ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue('''', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''remove'', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''batch_archive'', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''archives'', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''CREATE'', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''create-default'', ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(repeat(''é'', 300), ''a'', ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''archive'', NULL, ''b'', ''TABLE links'')'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b c'', ''TABLE links'')'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b'', NULL)'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b'', '''')'),
	('hs_assoc_enqueue(''create'', ''a'', ''b'', ''TABLE links'', NULL)'),
	('hs_assoc_enqueue(''create_default'', ''a'', ''b'', ''TABLE links'', true)'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b'', ''TABLE links'', server => ''nobody'')'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b'', ''TABLE links'', server => ''no HubSpot'')'),
	('hs_assoc_pause(''nobody'')'),
	('hs_assoc_pause(''no HubSpot'')'),
	('hs_assoc_resume(''nobody'')'),
	('hs_assoc_outbox_wake()')) AS v (call),
	LATERAL sim.try('SELECT ' || call)
\gx
TABLE waiting;
-- null is the setting's server
CREATE SERVER other FOREIGN DATA WRAPPER hubspot_assoc;
SET hubspot_assoc.server = 'other';
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => 'hubspot');
RESET hubspot_assoc.server;
SELECT id - min(id) OVER () AS no, server FROM hs_assoc_outbox ORDER BY id;
DELETE FROM hs_assoc_outbox;

--
-- In the transaction, and in its order
--
BEGIN;
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
SAVEPOINT s;
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
ROLLBACK TO s;
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 3 AS from_id, 2 AS to_id');
COMMIT;
BEGIN;
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
ROLLBACK;
TABLE waiting;
DELETE FROM hs_assoc_outbox;

-- many rows stay in the order of the query
SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT i AS from_id, 5001 - i AS to_id FROM generate_series(1, 5000) AS i ORDER BY i % 7, i');
SELECT count(*), count(*) FILTER (WHERE no <> wanted) AS wrong
FROM (SELECT row_number() OVER (ORDER BY id) AS no,
		row_number() OVER (ORDER BY from_id::int % 7, from_id::int) AS wanted FROM hs_assoc_outbox) AS s;

-- the query doesn't see what it enqueues, and may enqueue, too
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT from_id, to_id FROM hs_assoc_outbox');
SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies', $$
	SELECT i AS from_id, 2 AS to_id, hs_assoc_enqueue('create', 'contacts', 'companies',
		'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id') AS type_id FROM generate_series(1, 1500) AS i $$);
SELECT operation, count(*), count(DISTINCT from_id) AS contacts FROM hs_assoc_outbox GROUP BY operation ORDER BY operation;
TRUNCATE hs_assoc_outbox;

--
-- Who may enqueue
--
GRANT SELECT ON links TO regress_hubspot_dan;
SET ROLE regress_hubspot_clara;
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- USAGE is enough; a user mapping is needed when it is sent
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_clara, regress_hubspot_staff;
GRANT regress_hubspot_staff TO regress_hubspot_dan;
SET ROLE regress_hubspot_clara;
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
-- ... of which nothing is said where nothing is enqueued
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id WHERE false');
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS id, 2 AS to_id');
-- ... and nothing can be done to the tables
SELECT what, outcome, message
FROM (VALUES
	('TABLE hs_assoc_outbox'),
	('INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id) VALUES (''hubspot'', ''regress_hubspot_dan'', ''archive'', ''a'', ''1'', ''b'', ''2'')'),
	('DELETE FROM hs_assoc_outbox'),
	('TABLE hs_assoc_dead_letter'),
	('TABLE hs_assoc_account_pause'),
	('SELECT hs_assoc_pause()'),
	('SELECT hs_assoc_resume()'),
	('SELECT hs_assoc_retry()'),
	('SELECT hs_assoc_discard()'),
	('CALL hs_assoc_flush()')) AS v (what), LATERAL sim.try(what);
RESET ROLE;

-- the query has the caller's rights, from its first row to its last
SET ROLE regress_hubspot_clara;
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT contact AS from_id, company AS to_id FROM links');
\echo :LAST_ERROR_SQLSTATE
SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies', 'SELECT i AS from_id, current_user AS to_id, 1 AS type_id FROM generate_series(1, 2500) AS i');
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT id AS from_id, 1 AS to_id FROM hs_assoc_outbox');
SET ROLE regress_hubspot_dan;
SELECT hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT contact AS from_id, company AS to_id, label FROM links');
RESET ROLE;
SELECT role, operation, to_id, count(*) FROM hs_assoc_outbox GROUP BY 1, 2, 3 ORDER BY min(id);

-- a function with its owner's rights enqueues on behalf of the owner
CREATE FUNCTION enqueue() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 5 AS from_id, 2 AS to_id') $$;
ALTER FUNCTION enqueue() OWNER TO regress_hubspot_staff;
SET ROLE regress_hubspot_clara;
SELECT enqueue();
RESET ROLE;

-- who may read sees the rows of its own roles
GRANT SELECT ON hs_assoc_outbox, hs_assoc_dead_letter TO PUBLIC;
CREATE VIEW mine WITH (security_invoker) AS
SELECT role, count(*) FROM hs_assoc_outbox GROUP BY role ORDER BY role::text;
GRANT SELECT ON mine TO PUBLIC;
SET ROLE regress_hubspot_clara;
TABLE mine;
SET ROLE regress_hubspot_dan;
TABLE mine;
SET ROLE regress_hubspot_staff;
TABLE mine;
RESET ROLE;
TABLE mine;
-- ... and changes nothing, whatever it was granted
GRANT ALL ON hs_assoc_outbox TO regress_hubspot_clara;
GRANT USAGE ON SEQUENCE hs_assoc_outbox_id_seq TO regress_hubspot_clara;
SET ROLE regress_hubspot_clara;
DELETE FROM hs_assoc_outbox;
UPDATE hs_assoc_outbox SET role = 'regress_hubspot_dan';
INSERT INTO hs_assoc_outbox (id, server, role, operation, from_type, from_id, to_type, to_id)
VALUES (1000000, 'hubspot', 'regress_hubspot_dan', 'archive', 'contacts', '1', 'companies', '2');
RESET ROLE;
TABLE mine;
REVOKE ALL ON hs_assoc_outbox FROM regress_hubspot_clara;
TRUNCATE hs_assoc_outbox;

--
-- Pause and resume
--
CREATE VIEW paused AS
SELECT server, role::text LIKE 'regress_hubspot%' AS by_bob FROM hs_assoc_account_pause ORDER BY server;
INSERT INTO hs_assoc_backoff (server, role, failures, retry_at)
VALUES ('hubspot', 'regress_hubspot_clara', 1, 'infinity'), ('hubspot', 'regress_hubspot_dan', 2, 'infinity'),
	('other', 'regress_hubspot_dan', 2, 'infinity');
SELECT hs_assoc_pause(), hs_assoc_pause('hubspot') AS again, hs_assoc_pause('other') AS other;
TABLE paused;
SELECT hs_assoc_resume(), hs_assoc_resume('hubspot') AS again;
TABLE paused;
SELECT server, role FROM hs_assoc_backoff;
SELECT hs_assoc_resume('other');
BEGIN;
SELECT hs_assoc_pause();
ROLLBACK;
TABLE paused;
-- those who manage need no rights on the tables
GRANT EXECUTE ON FUNCTION hs_assoc_pause, hs_assoc_resume, hs_assoc_retry, hs_assoc_discard TO regress_hubspot_dan;
SET ROLE regress_hubspot_dan;
SELECT hs_assoc_pause();
TABLE hs_assoc_account_pause;
RESET ROLE;
TABLE paused;
-- writers go on
SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
SET ROLE regress_hubspot_dan;
SELECT hs_assoc_resume();
RESET ROLE;
TABLE paused;
DELETE FROM hs_assoc_outbox;

--
-- Dead letters: retried or discarded
--
INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id,
	type_ids, category, labels, keep_labels, link_table, enqueued_at, attempts, http_status, error_message)
SELECT -i, CASE WHEN i > 3 THEN 'other' ELSE 'hubspot' END,
	CASE WHEN i % 2 = 1 THEN 'regress_hubspot_clara' ELSE 'regress_hubspot_dan' END::regrole,
	'create', 'contacts', i, 'companies', 2, '{279}', 'HUBSPOT_DEFINED', '{Boss}', true, 'links', 'epoch', i, 400, 'no'
FROM generate_series(1, 6) AS i;
SET ROLE regress_hubspot_clara;
SELECT id, server FROM hs_assoc_dead_letter ORDER BY id;
SET ROLE regress_hubspot_dan;
SELECT id, server FROM hs_assoc_dead_letter ORDER BY id;
SELECT hs_assoc_retry('{}'), hs_assoc_retry('{-1,-2,7}') AS two, hs_assoc_retry('{-3}', 'other') AS elsewhere;
SELECT hs_assoc_discard('{-3}'), hs_assoc_discard('{-3}') AS again;
-- a query that finds no id is not all of them
SELECT hs_assoc_discard((SELECT array_agg(id) FROM hs_assoc_dead_letter WHERE http_status = 418));
SELECT hs_assoc_retry(NULL, 'hubspot');
SELECT hs_assoc_discard(ARRAY(SELECT id FROM hs_assoc_dead_letter WHERE http_status = 418)), hs_assoc_retry(ARRAY[NULL]::bigint[]), hs_assoc_retry('{{7},{8}}');
RESET ROLE;
SELECT id FROM hs_assoc_dead_letter ORDER BY id;
SELECT hs_assoc_retry(server => 'other');
SELECT hs_assoc_discard();
SELECT server, role, operation, from_type, from_id, to_type, to_id, type_ids, category, labels, keep_labels,
	link_table, enqueued_at = 'epoch' AS kept, not_before > now() - interval '1 hour' AS due, attempts, http_status
FROM hs_assoc_outbox ORDER BY id;
-- in their old place
SELECT string_agg(id || ':' || from_id, ' ' ORDER BY id) AS contacts FROM hs_assoc_outbox;
INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
SELECT i, CASE i WHEN 1 THEN 'other' ELSE 'hubspot' END, 'regress_hubspot_clara', 'archive', 'a', 1, 'b', 2, false, 'epoch', 1 FROM generate_series(1, 3) AS i;
SELECT hs_assoc_discard(server => 'hubspot');
SELECT hs_assoc_discard();
DELETE FROM hs_assoc_outbox;

-- nothing was asked of HubSpot in all of this
SELECT count(*) AS requests FROM sim.requests();

--
-- The extension comes and goes while the session lives
--
PREPARE enqueue AS SELECT hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id');
CREATE FUNCTION enqueue_again() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT 4 AS from_id, 2 AS to_id, ARRAY[3] AS type_ids');
END $$;
EXECUTE enqueue;
SELECT enqueue_again();
SELECT hs_assoc_pause();
DROP EXTENSION hubspot_assoc CASCADE;
\set VERBOSITY terse
EXECUTE enqueue;
SELECT enqueue_again();
\set VERBOSITY default
CREATE EXTENSION hubspot_assoc;
CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc;
EXECUTE enqueue;
SELECT enqueue_again();
SELECT hs_assoc_pause(), hs_assoc_resume();
SELECT from_id, to_id, type_ids FROM hs_assoc_outbox ORDER BY id;

-- into another schema, where tables of the same names are found first
DROP EXTENSION hubspot_assoc CASCADE;
CREATE SCHEMA "regress %s Hub;Spot";
CREATE EXTENSION hubspot_assoc SCHEMA "regress %s Hub;Spot";
CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_clara;
GRANT USAGE ON SCHEMA "regress %s Hub;Spot" TO regress_hubspot_clara;
SET search_path = "regress %s Hub;Spot";
EXECUTE enqueue;
SELECT public.enqueue_again();
CREATE TABLE public.hs_assoc_outbox (LIKE hs_assoc_outbox);
CREATE TABLE public.hs_assoc_account_pause (LIKE hs_assoc_account_pause);
SET search_path = public, pg_temp;
SET ROLE regress_hubspot_clara;
SELECT "regress %s Hub;Spot".hs_assoc_enqueue('archive_labels', 'contacts', 'companies',
	'SELECT 5 AS from_id, 2 AS to_id, ''Boss'' AS label');
RESET ROLE;
SELECT "regress %s Hub;Spot".hs_assoc_pause(), "regress %s Hub;Spot".hs_assoc_resume();
SELECT operation, from_id, to_id, type_ids, labels FROM "regress %s Hub;Spot".hs_assoc_outbox ORDER BY id;
INSERT INTO "regress %s Hub;Spot".hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
SELECT i, 'hubspot', 'regress_hubspot_clara', 'archive', 'a', 1, 'b', 2, false, 'epoch', 1 FROM generate_series(1001, 1002) AS i;
SELECT "regress %s Hub;Spot".hs_assoc_retry('{1001}'), "regress %s Hub;Spot".hs_assoc_discard();
-- moved by hand
ALTER SCHEMA "regress %s Hub;Spot" RENAME TO regress_hubspot;
SELECT regress_hubspot.hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 6 AS from_id, 2 AS to_id');
SELECT count(*) FROM regress_hubspot.hs_assoc_outbox;
SELECT count(*) FROM public.hs_assoc_outbox;

DEALLOCATE enqueue;
DROP TABLE public.hs_assoc_outbox, public.hs_assoc_account_pause, links;
DROP FUNCTION enqueue, enqueue_again;
DROP FOREIGN DATA WRAPPER regress_hubspot_other CASCADE;
\set ECHO none
\i :end
DROP SCHEMA regress_hubspot;
DROP ROLE regress_hubspot_clara, regress_hubspot_dan, regress_hubspot_staff;
