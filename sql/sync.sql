--
-- Tables that are kept in sync: what their triggers enqueue
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set enqueued :abs_srcdir '/sql/include/enqueued.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin
\set ECHO none
\i :enqueued
SET client_min_messages = notice;

CREATE TABLE links (dropped int, contact_id bigint, company_id text, note text,
	PRIMARY KEY (contact_id, company_id));
ALTER TABLE links DROP COLUMN dropped;
INSERT INTO links VALUES (1, 'a'), (2, 'b');
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'dropped');
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'compani_id');
-- what was there before isn't enqueued, without backfill
SELECT * FROM enqueued();
SELECT link_table, from_type, from_column, to_type, to_column, type_id, label, type_id_column, label_column,
	category, server, role = current_user::regrole AS mine, active FROM hs_assoc_sync;
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'links'::regclass ORDER BY 1;

--
-- Statements
--
INSERT INTO links VALUES (3, 'c');
INSERT INTO links SELECT n, 'd' FROM generate_series(4, 6) AS n;
INSERT INTO links SELECT 7, 'e' WHERE false;
SELECT * FROM enqueued();
COPY links (contact_id, company_id) FROM stdin;
8	f
9	g
\.
SELECT * FROM enqueued();
-- an UPDATE of nothing, of no row, of a key, of all keys, and one that moves a value on
UPDATE links SET note = 'new', company_id = company_id;
UPDATE links SET company_id = 'x' WHERE contact_id = 77;
SELECT * FROM enqueued();
UPDATE links SET company_id = 'x' WHERE contact_id = 1;
SELECT * FROM enqueued();
UPDATE links SET company_id = upper(company_id) WHERE contact_id < 5;
SELECT * FROM enqueued();
CREATE TABLE chain (contact_id int, company_id int, UNIQUE (contact_id) DEFERRABLE, UNIQUE (contact_id, company_id));
INSERT INTO chain VALUES (1, 10), (2, 10), (3, 10);
SELECT hs_assoc_enable_sync('chain', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TABLE chain DROP CONSTRAINT chain_contact_id_company_id_key, ADD UNIQUE (company_id, contact_id);
UPDATE chain SET contact_id = contact_id + 1 WHERE contact_id = 3;
UPDATE chain SET contact_id = contact_id - 1;
SELECT * FROM enqueued();
DROP TABLE chain;
-- INSERT ... ON CONFLICT
INSERT INTO links VALUES (1, 'X', 'more'), (10, 'h', NULL) ON CONFLICT (contact_id, company_id) DO UPDATE SET note = excluded.note;
SELECT * FROM enqueued();
INSERT INTO links VALUES (1, 'X'), (11, 'i') ON CONFLICT (contact_id, company_id) DO UPDATE SET company_id = 'j';
SELECT * FROM enqueued();
INSERT INTO links VALUES (1, 'j'), (11, 'i') ON CONFLICT DO NOTHING;
SELECT * FROM enqueued();
-- MERGE: what goes comes before what comes
MERGE INTO links AS l USING (VALUES (1, 'j'), (2, 'k'), (12, 'l')) AS v (contact_id, company_id) ON l.contact_id = v.contact_id
WHEN MATCHED AND l.company_id = v.company_id THEN DELETE
WHEN MATCHED THEN UPDATE SET company_id = v.company_id
WHEN NOT MATCHED THEN INSERT (contact_id, company_id) VALUES (v.contact_id, v.company_id);
SELECT * FROM enqueued();
DELETE FROM links WHERE contact_id > 9;
DELETE FROM links WHERE contact_id > 9;
SELECT * FROM enqueued();
-- rolled back, all of it or a part
BEGIN;
INSERT INTO links VALUES (20, 'a');
ROLLBACK;
BEGIN;
INSERT INTO links VALUES (21, 'a');
SAVEPOINT s;
DELETE FROM links;
ROLLBACK TO s;
INSERT INTO links VALUES (22, 'a');
COMMIT;
SELECT * FROM enqueued();
TRUNCATE links;
SELECT * FROM enqueued();
TRUNCATE links;
SELECT * FROM enqueued();
-- cascades of foreign keys are one statement for each table
CREATE TABLE contacts (id bigint PRIMARY KEY);
INSERT INTO contacts SELECT generate_series(1, 4);
ALTER TABLE links ADD FOREIGN KEY (contact_id) REFERENCES contacts ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO links VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
UPDATE contacts SET id = id + 10 WHERE id < 3;
DELETE FROM contacts WHERE id > 3;
SELECT * FROM enqueued();
TRUNCATE contacts CASCADE;
SELECT * FROM enqueued();
ALTER TABLE links DROP CONSTRAINT links_contact_id_fkey;
DROP TABLE contacts;

--
-- What a transaction removes and adds again is not a change
--
INSERT INTO links VALUES (1, 'a'), (2, 'b'), (3, 'c');
SELECT * FROM enqueued();
BEGIN;
CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE links;
TRUNCATE links;
INSERT INTO links SELECT * FROM kept WHERE contact_id > 1;
INSERT INTO links VALUES (4, 'd');
COMMIT;
SELECT * FROM enqueued();
BEGIN;
DELETE FROM links WHERE contact_id = 2;
SAVEPOINT s;
DELETE FROM links WHERE contact_id = 3;
ROLLBACK TO s;
SAVEPOINT s;
DELETE FROM links WHERE contact_id = 4;
RELEASE s;
INSERT INTO links VALUES (2, 'b'), (4, 'd');
COMMIT;
SELECT * FROM enqueued();
-- what comes back is undone
BEGIN;
DELETE FROM links WHERE contact_id = 2;
SAVEPOINT s;
INSERT INTO links VALUES (2, 'b');
ROLLBACK TO s;
COMMIT;
SELECT * FROM enqueued();
-- by way of other values, and of one statement
BEGIN;
UPDATE links SET company_id = 'x' WHERE contact_id = 3;
UPDATE links SET company_id = 'c' WHERE contact_id = 3;
COMMIT;
SELECT * FROM enqueued();
WITH gone AS (DELETE FROM links WHERE contact_id = 3 RETURNING *) INSERT INTO links SELECT contact_id, 'y' FROM gone;
BEGIN;
WITH gone AS (DELETE FROM links WHERE contact_id = 3 RETURNING *) INSERT INTO links SELECT contact_id, 'c' FROM gone;
WITH gone AS (DELETE FROM links WHERE contact_id = 3 RETURNING *) INSERT INTO links SELECT contact_id, 'y' FROM gone;
COMMIT;
SELECT * FROM enqueued();
-- another transaction's removal stays
DELETE FROM links WHERE contact_id = 3;
BEGIN;
INSERT INTO links VALUES (3, 'y');
DELETE FROM links WHERE contact_id = 3;
INSERT INTO links VALUES (3, 'y');
COMMIT;
SELECT * FROM enqueued();
-- what else waits for the pair, was refused, or may still be done
BEGIN;
SELECT hs_assoc_enqueue('archive', 'companies', 'contacts', $$SELECT 'y' AS from_id, 3 AS to_id$$);
DELETE FROM links WHERE contact_id = 3;
INSERT INTO links VALUES (3, 'y');
COMMIT;
SELECT * FROM enqueued();
INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
VALUES (1, 'hubspot', current_user::regrole, 'create_default', 'contacts', '3', 'companies', 'y', false, now(), 1);
BEGIN;
DELETE FROM links WHERE contact_id = 3;
INSERT INTO links VALUES (3, 'y');
COMMIT;
SELECT * FROM enqueued();
DELETE FROM hs_assoc_dead_letter;
INSERT INTO hs_assoc_doubt VALUES ('hubspot', hs_assoc_pair('hubspot', 'contacts', '3', 'companies', 'y'), 1, now());
BEGIN;
DELETE FROM links WHERE contact_id = 3;
INSERT INTO links VALUES (3, 'y');
COMMIT;
SELECT * FROM enqueued();
DELETE FROM hs_assoc_doubt;
-- nor does it go by an older snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM links WHERE contact_id = 3;
INSERT INTO links VALUES (3, 'y');
COMMIT;
SELECT * FROM enqueued();
-- types: those that come back, if all do that go
CREATE TABLE typed (contact_id int, company_id int, role text, PRIMARY KEY (contact_id, company_id, role));
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
INSERT INTO typed VALUES (1, 2, 'Boss'), (1, 2, 'owner'), (3, 4, 'Boss'), (5, 6, 'Boss'), (5, 6, 'boss'), (7, 8, 'Boss');
SELECT * FROM enqueued();
BEGIN;
CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE typed;
TRUNCATE typed;
INSERT INTO typed SELECT * FROM kept WHERE role <> 'boss' AND contact_id < 7;
INSERT INTO typed VALUES (1, 2, 'friend'), (7, 8, 'BOSS');
COMMIT;
SELECT * FROM enqueued();
BEGIN;
DELETE FROM typed WHERE contact_id = 1;
INSERT INTO typed VALUES (1, 2, 'Boss');
INSERT INTO typed VALUES (1, 2, 'owner');
COMMIT;
SELECT * FROM enqueued();
DROP TABLE typed;
CREATE TABLE typed (contact_id int, company_id int, type bigint, other int, PRIMARY KEY (contact_id, company_id, type));
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id', type_id_column => 'type', category => 'USER_DEFINED');
INSERT INTO typed VALUES (1, 2, 3), (1, 2, 5);
SELECT hs_assoc_enable_sync('typed', 'deals', 'contact_id', 'companies', 'company_id', type_id => 7, category => 'USER_DEFINED');
SELECT * FROM enqueued();
BEGIN;
CREATE TEMP TABLE kept ON COMMIT DROP AS TABLE typed;
DELETE FROM typed;
INSERT INTO typed SELECT * FROM kept;
COMMIT;
SELECT * FROM enqueued();
-- a backfill is sent in any case
BEGIN;
DELETE FROM typed WHERE type = 5;
DELETE FROM typed;
INSERT INTO typed VALUES (1, 2, 3);
SELECT hs_assoc_disable_sync('typed');
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id', type_id_column => 'type', backfill => true);
COMMIT;
SELECT * FROM enqueued();
DROP TABLE typed;
-- what was added without having been enqueued before it is removed: by a statement around it,
CREATE FUNCTION come_again(id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM links WHERE contact_id = 9;
	RETURN id;
END $$;
DELETE FROM links;
DELETE FROM hs_assoc_outbox;
INSERT INTO links SELECT come_again(9), 'i' FROM generate_series(1, 2);
SELECT * FROM enqueued();
DELETE FROM links;
DELETE FROM hs_assoc_outbox;
CREATE FUNCTION go_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM links WHERE contact_id = NEW.contact_id;
	RETURN NULL;
END $$;
CREATE TRIGGER go_again AFTER INSERT ON links FOR EACH ROW WHEN (NEW.contact_id = 9) EXECUTE FUNCTION go_again();
BEGIN;
INSERT INTO links VALUES (9, 'i');
UPDATE links SET contact_id = 9;
DROP TRIGGER go_again ON links;
INSERT INTO links VALUES (9, 'i');
COMMIT;
SELECT * FROM enqueued();
DROP FUNCTION come_again, go_again;
-- with triggers disabled, or before the sync
DELETE FROM links;
DELETE FROM hs_assoc_outbox;
BEGIN;
ALTER TABLE links DISABLE TRIGGER hs_assoc_sync_insert;
INSERT INTO links VALUES (9, 'i');
ALTER TABLE links ENABLE TRIGGER hs_assoc_sync_insert;
DELETE FROM links;
INSERT INTO links VALUES (9, 'i');
SELECT * FROM enqueued();
COMMIT;
BEGIN;
CREATE TABLE fresh (contact_id int PRIMARY KEY, company_id int);
INSERT INTO fresh VALUES (9, 9);
SELECT hs_assoc_enable_sync('fresh', 'contacts', 'contact_id', 'companies', 'company_id');
DELETE FROM fresh;
INSERT INTO fresh VALUES (9, 9);
SELECT * FROM enqueued();
ROLLBACK;
TRUNCATE links;
DELETE FROM hs_assoc_outbox;

--
-- Statements within statements: what counts is what is in the table at last
--
WITH gone AS (DELETE FROM links RETURNING *), come AS (INSERT INTO links VALUES (1, 'a'), (2, 'b') RETURNING *)
SELECT count(*) FROM gone;
WITH come AS (INSERT INTO links VALUES (3, 'c') RETURNING *)
UPDATE links SET company_id = 'z' FROM come WHERE links.contact_id = 1;
SELECT * FROM enqueued();
-- a trigger that puts right what has come
CREATE FUNCTION put_right() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM links WHERE company_id = 'wrong';
	UPDATE links SET company_id = lower(company_id) WHERE company_id <> lower(company_id);
	RETURN NULL;
END $$;
CREATE TRIGGER put_right AFTER INSERT ON links FOR EACH ROW EXECUTE FUNCTION put_right();
INSERT INTO links VALUES (4, 'D'), (5, 'e'), (6, 'wrong');
SELECT * FROM enqueued();
DROP TRIGGER put_right ON links;
-- one that puts back what has gone, and one that takes away what it has become
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO links SELECT OLD.*;
	RETURN NULL;
END $$;
CREATE TRIGGER put_back AFTER DELETE ON links FOR EACH ROW WHEN (OLD.contact_id = 1) EXECUTE FUNCTION put_back();
DELETE FROM links WHERE contact_id < 3;
SELECT * FROM enqueued();
DROP TRIGGER put_back ON links;
CREATE FUNCTION take_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM links WHERE contact_id = NEW.contact_id;
	RETURN NULL;
END $$;
CREATE TRIGGER take_away AFTER UPDATE ON links FOR EACH ROW WHEN (OLD.contact_id = 3) EXECUTE FUNCTION take_away();
UPDATE links SET contact_id = contact_id + 30;
SELECT * FROM enqueued();
TABLE links ORDER BY 1;
DROP TRIGGER take_away ON links;

--
-- The end of it
--
SELECT hs_assoc_disable_sync('links');
SELECT hs_assoc_disable_sync('links');
DELETE FROM links;
SELECT * FROM enqueued();
TABLE hs_assoc_sync;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'links'::regclass;

--
-- Backfill
--
INSERT INTO links VALUES (1, 'a'), (2, 'b');
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true);
SELECT * FROM enqueued();
-- as the table is, not as a snapshot shows it
SELECT hs_assoc_disable_sync('links');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO links VALUES (3, 'c');
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true);
INSERT INTO links VALUES (4, 'd');
TRUNCATE links;
COMMIT;
SELECT * FROM enqueued();
DROP TABLE links;

--
-- Association types: one for all rows, or in a column
--
CREATE TABLE links (deal_id int NOT NULL, company_id int NOT NULL, type smallint, label varchar(20), big bigint,
	UNIQUE (deal_id, company_id));
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', type_id => 5);
SELECT hs_assoc_enable_sync('links', '0-3', 'deal_id', '0-2', 'company_id', type_id => 7, category => 'USER_DEFINED');
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', label => 'It''s "ours"');
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', label => 'ours', category => 'INTEGRATOR_DEFINED');
INSERT INTO links VALUES (1, 2);
DELETE FROM links;
SELECT * FROM enqueued();
SELECT hs_assoc_disable_sync('links');
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', type_id_column => 'type', category => 'USER_DEFINED');
SELECT hs_assoc_enable_sync('links', 'companies', 'company_id', 'deals', 'deal_id', label_column => 'label');
INSERT INTO links VALUES (1, 2, 3, 'left'), (2, 2, 4, 'left'), (3, 2, NULL, NULL);
SELECT * FROM enqueued();
UPDATE links SET type = 9 WHERE deal_id = 1;
UPDATE links SET label = 'both' WHERE deal_id < 3;
UPDATE links SET label = NULL;
SELECT * FROM enqueued();
TRUNCATE links;
SELECT * FROM enqueued();
SELECT hs_assoc_disable_sync('links');
-- numbers that are not type ids don't stop whoever writes them
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', type_id_column => 'big', backfill => true);
INSERT INTO links (deal_id, company_id, big) VALUES (1, 2, 3), (2, 2, 3000000000), (3, 2, -1);
SELECT * FROM enqueued();
SELECT hs_assoc_disable_sync('links');
-- a row of each type
ALTER TABLE links DROP CONSTRAINT links_deal_id_company_id_key;
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', type_id_column => 'type');
CREATE UNIQUE INDEX ON links (type, deal_id, company_id);
SELECT hs_assoc_enable_sync('links', 'deals', 'deal_id', 'companies', 'company_id', type_id_column => 'type');
INSERT INTO links VALUES (9, 9, 1), (9, 9, 2);
DELETE FROM links WHERE type = 1;
UPDATE links SET type = 3 WHERE type = 2;
SELECT * FROM enqueued();
DROP TABLE links;
-- two spellings of a label are two rows, but one type: it goes with the last of them
CREATE TABLE links (contact_id int, company_id int, role text, UNIQUE (role, contact_id, company_id));
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
INSERT INTO links VALUES (1, 2, 'Boss'), (1, 2, 'boss'), (1, 3, 'boss'), (4, 2, 'BOSS'), (1, 2, 'Ärger'), (1, 2, 'owner');
SELECT * FROM enqueued();
DELETE FROM links WHERE role = 'boss';
UPDATE links SET role = 'ärger' WHERE role = 'Ärger';
UPDATE links SET role = 'boss' WHERE role = 'owner';
SELECT * FROM enqueued();
WITH come AS (INSERT INTO links VALUES (1, 2, 'BOSS')) DELETE FROM links WHERE lower(role) = 'boss';
SELECT * FROM enqueued();
DELETE FROM links;
SELECT * FROM enqueued();
DROP TABLE links;

--
-- Types of ids, and names
--
CREATE TYPE color AS ENUM ('red', 'green');
CREATE DOMAIN id AS text CHECK (VALUE <> '');
CREATE DOMAIN padded AS char(8);
CREATE TYPE two AS (a int, b text);
-- casts that nobody calls
CREATE FUNCTION to_text(color) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE CAST (color AS text) WITH FUNCTION to_text(color) AS IMPLICIT;
CREATE FUNCTION to_text(two) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE CAST (two AS text) WITH FUNCTION to_text(two) AS IMPLICIT;
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."Odd ""table""" ("Uuid" uuid, "it's" id, enum color, "select" padded, numeric numeric, composite two,
	UNIQUE ("Uuid"), UNIQUE ("it's"), UNIQUE (enum), UNIQUE ("select"), UNIQUE (composite));
SELECT hs_assoc_enable_sync('"Odd schema"."Odd ""table"""', 'a', 'Uuid', 'b', 'it''s');
SELECT hs_assoc_enable_sync('"Odd schema"."Odd ""table"""', 'a', 'enum', 'b', 'select');
SELECT hs_assoc_enable_sync('"Odd schema"."Odd ""table"""', 'a', 'numeric', 'b', 'it''s');
INSERT INTO "Odd schema"."Odd ""table""" VALUES ('00000000-0000-0000-0000-000000000001', 'Ä b', 'red', 'x', 1.50, (1, 'q'));
SELECT * FROM enqueued();
UPDATE "Odd schema"."Odd ""table""" SET enum = 'green', numeric = 1.5, "it's" = 'Ä b';
SELECT * FROM enqueued();
-- the same, checked against the table
WITH come AS (INSERT INTO "Odd schema"."Odd ""table""" VALUES ('00000000-0000-0000-0000-000000000002', 'c', 'red', 'y', 2, (2, 'q')))
UPDATE "Odd schema"."Odd ""table""" SET "Uuid" = '00000000-0000-0000-0000-000000000003', enum = enum, "select" = 'z', composite = (3, 'q');
SELECT * FROM enqueued();
TRUNCATE "Odd schema"."Odd ""table""";
SELECT * FROM enqueued();
DROP SCHEMA "Odd schema" CASCADE;
TABLE hs_assoc_sync;
-- types whose text depends on the session, or is not an id
CREATE TABLE unfit (id text PRIMARY KEY, f4 float4, f8 float8, b bytea, d date, i interval, t timestamptz, m money,
	n numeric(12, 2), n_2 numeric(9, -2), z boolean, a int[], j jsonb, x "char", r regclass, row two,
	n_0 numeric(12), n_any numeric, s name, e color);
CREATE DOMAIN inexact AS float8;
ALTER TABLE unfit ADD dom inexact;
SELECT attname, outcome, message, detail, hint
FROM pg_attribute, sim.try(format('SELECT hs_assoc_enable_sync(%L, %L, %L, %L, %L)', 'unfit', 'a', 'id', 'b', attname))
WHERE attrelid = 'unfit'::regclass AND attnum > 1 ORDER BY attnum;
SELECT outcome, message FROM sim.try($$SELECT hs_assoc_enable_sync('unfit', 'a', 'id', 'b', 's', label_column => 'd')$$);
DROP TABLE unfit;
DROP DOMAIN inexact;
DROP TYPE color, two CASCADE;
DROP DOMAIN id, padded;

--
-- Nulls are left out
--
SELECT hs_assoc_stat_reset();
CREATE TABLE deals (id int PRIMARY KEY, company_id int, contact_id int, amount int);
SELECT hs_assoc_enable_sync('deals', 'deals', 'id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('deals', 'deals', 'id', 'contacts', 'contact_id', server => 'sim_control');
INSERT INTO deals VALUES (1, 10, 100), (2, NULL, 200), (3, NULL, NULL);
SELECT * FROM enqueued();
UPDATE deals SET amount = 1;
UPDATE deals SET company_id = 20 WHERE id = 2;
UPDATE deals SET company_id = NULL;
SELECT * FROM enqueued();
UPDATE deals SET id = id + 1 WHERE id = 3;
DELETE FROM deals;
SELECT * FROM enqueued();
INSERT INTO deals VALUES (1, 10), (2, NULL);
SELECT hs_assoc_disable_sync('deals');
SELECT hs_assoc_enable_sync('deals', 'deals', 'id', 'companies', 'company_id', backfill => true);
SELECT * FROM enqueued();
-- inserted, made null, and of the backfill
SELECT server, skipped FROM hs_assoc_stat() ORDER BY server;
-- a trigger that changes rows of the statement once more
CREATE FUNCTION take_company() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE deals SET company_id = 30 WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER take_company AFTER UPDATE ON deals FOR EACH ROW WHEN (NEW.company_id = 12) EXECUTE FUNCTION take_company();
UPDATE deals SET company_id = id + 10;
SELECT * FROM enqueued();
TABLE deals ORDER BY 1;
DROP TABLE deals;
DROP FUNCTION take_company();

--
-- Wrong arguments
--
CREATE TABLE t (a int, b int, c text, d int, generated int GENERATED ALWAYS AS (a + 1) STORED);
CREATE VIEW v AS TABLE t;
CREATE TEMP TABLE temporary (LIKE t);
CREATE UNLOGGED TABLE unlogged (LIKE t);
CREATE UNIQUE INDEX ON t (a, b, c);
CREATE UNIQUE INDEX ON t (a) WHERE b > 0;
CREATE UNIQUE INDEX ON t ((a + 1));
CREATE UNIQUE INDEX ON t (a, (b + 1));
CREATE INDEX ON t (a, b);
ALTER TABLE t ADD UNIQUE (b, a) DEFERRABLE;
SELECT v.call, t.outcome, t.message, t.detail, t.hint
FROM (VALUES
	('NULL, ''x'', ''a'', ''y'', ''b'''),
	('4294967295::oid, ''x'', ''a'', ''y'', ''b'''),
	('''v'', ''x'', ''a'', ''y'', ''b'''),
	('''t_a_b_idx'', ''x'', ''a'', ''y'', ''b'''),
	('''temporary'', ''x'', ''a'', ''y'', ''b'''),
	('''unlogged'', ''x'', ''a'', ''y'', ''b'''),
	('''pg_catalog.pg_class'', ''x'', ''oid'', ''y'', ''relname'''),
	('''hs_assoc_outbox'', ''x'', ''from_id'', ''y'', ''to_id'''),
	('''t'', NULL, ''a'', ''y'', ''b'''),
	('''t'', ''x'', NULL, ''y'', ''b'''),
	('''t'', ''x'', ''a'', ''y'', NULL'),
	('''t'', ''x y'', ''a'', ''y'', ''b'''),
	('''t'', ''x'', ''a'', ''y'', ''company'''),
	('''t'', ''x'', ''a'', ''y'', ''generate'''),
	('''t'', ''x'', ''a'', ''y'', ''ctid'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id_column => ''e'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id_column => ''c'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id => 0'),
	('''t'', ''x'', ''a'', ''y'', ''b'', label => '''''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id => 1, label => ''x'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id_column => ''c'', label_column => ''c'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', category => ''USER_DEFINED'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id => 1, category => ''user defined'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', server => ''nobody'''),
	('''t'', ''x'', ''a'', ''y'', ''b'''),
	('''t'', ''x'', ''a'', ''y'', ''a'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', label_column => ''c'''),
	('''t'', ''x'', ''a'', ''y'', ''b'', type_id_column => ''d''')) AS v (call),
	LATERAL sim.try('SELECT hs_assoc_enable_sync(' || call || ')') AS t;
SELECT * FROM sim.try('SELECT hs_assoc_disable_sync(NULL)');
CREATE UNIQUE INDEX ON t (b) INCLUDE (d);
SELECT hs_assoc_enable_sync('t', 'x', 'generated', 'y', 'b');
SELECT * FROM sim.try($$SELECT hs_assoc_enable_sync('t', 'x', 'generated', 'y', 'b')$$);
SELECT hs_assoc_enable_sync('t', 'x', 'generated', 'y', 'b', server => 'sim_control');
INSERT INTO t VALUES (1, 2);
SELECT * FROM enqueued();
DROP TABLE t, temporary, unlogged CASCADE;

--
-- Other triggers with the function
--
CREATE TABLE t (a int PRIMARY KEY, b int);
CREATE TRIGGER mine AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
INSERT INTO t VALUES (1, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT hs_assoc_disable_sync('t');
INSERT INTO t VALUES (1, 2);
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
CREATE TRIGGER row AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH ROW EXECUTE FUNCTION hs_assoc_sync_rows();
INSERT INTO t VALUES (2, 2);
DROP TRIGGER row ON t;
CREATE TRIGGER swapped AFTER UPDATE ON t REFERENCING NEW TABLE AS old_rows OLD TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
UPDATE t SET b = 3;
DROP TRIGGER swapped ON t;
CREATE TRIGGER before BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
INSERT INTO t VALUES (3, 2);
DROP TRIGGER before ON t;
SELECT * FROM enqueued();
SELECT hs_assoc_sync_rows();
SELECT hs_assoc_sync_ddl();
-- those that are like ours but for something
SELECT hs_assoc_disable_sync('t');
CREATE TRIGGER never AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
DROP TRIGGER never ON t;
CREATE TRIGGER none AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
DROP TRIGGER none ON t;
CREATE TRIGGER named AFTER DELETE ON t REFERENCING OLD TABLE AS others FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
DROP TRIGGER named ON t;
CREATE TRIGGER few AFTER UPDATE OF a ON t FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
DROP TRIGGER few ON t;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER hs_assoc_sync_delete AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION nothing();
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
SELECT hs_assoc_disable_sync('t');
SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass;
DROP TRIGGER hs_assoc_sync_delete ON t;
DROP FUNCTION nothing;
SELECT hs_assoc_enable_sync('t', 'x', 'a', 'y', 'b');
SELECT active FROM hs_assoc_sync;
CREATE OR REPLACE TRIGGER hs_assoc_sync_insert AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	WHEN (false) EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT active FROM hs_assoc_sync;
CREATE OR REPLACE TRIGGER hs_assoc_sync_insert AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION hs_assoc_sync_rows();
SELECT active FROM hs_assoc_sync;
-- where changes are applied that others have made
SET session_replication_role = replica;
INSERT INTO t VALUES (4, 2);
ALTER TABLE t RENAME b TO c;
RESET session_replication_role;
SELECT * FROM enqueued();
SELECT to_column FROM hs_assoc_sync;
DROP TABLE t;

--
-- Privileges
--
CREATE ROLE regress_hubspot_owner;
CREATE ROLE regress_hubspot_writer;
CREATE ROLE regress_hubspot_other;
GRANT CREATE ON SCHEMA public TO regress_hubspot_owner, regress_hubspot_other;
SET ROLE regress_hubspot_owner;
CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
GRANT INSERT, UPDATE, DELETE, SELECT, TRUNCATE ON links TO regress_hubspot_writer;
GRANT TRIGGER ON links TO regress_hubspot_other;
RESET ROLE;
GRANT USAGE ON SCHEMA sim TO regress_hubspot_owner, regress_hubspot_other;
SET ROLE regress_hubspot_owner;
SELECT * FROM sim.try($$SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_owner, regress_hubspot_other;
SET ROLE regress_hubspot_other;
SELECT * FROM sim.try($$SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')$$);
SELECT * FROM sim.try($$SELECT hs_assoc_disable_sync('links')$$);
-- DDL of whoever has no privilege here
CREATE TABLE theirs (contact_id int PRIMARY KEY, company_id int);
ALTER TABLE theirs RENAME contact_id TO id;
SET ROLE regress_hubspot_owner;
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true);
SET ROLE regress_hubspot_writer;
INSERT INTO links VALUES (1, 2), (3, 4);
UPDATE links SET company_id = 5 WHERE contact_id = 1;
DELETE FROM links WHERE contact_id = 3;
WITH come AS (INSERT INTO links VALUES (7, 8)) UPDATE links SET company_id = 6;
TRUNCATE links;
TABLE hs_assoc_outbox;
TABLE hs_assoc_sync_config;
RESET ROLE;
SELECT DISTINCT role FROM hs_assoc_outbox;
SELECT * FROM enqueued();
-- a role's own table brings in nobody else's rows, nor does its trigger on another role's table
SET ROLE regress_hubspot_other;
CREATE TRIGGER theirs AFTER INSERT ON theirs REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION hs_assoc_sync_rows('links', 'regress_hubspot_owner');
INSERT INTO theirs VALUES (1, 2);
CREATE TRIGGER theirs AFTER DELETE ON links REFERENCING OLD TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
SET ROLE regress_hubspot_owner;
INSERT INTO links VALUES (1, 2);
DELETE FROM links;
DROP TRIGGER theirs ON links;
ALTER TABLE links RENAME company_id TO firm_id;
DELETE FROM links;
-- row-level security that holds for the owner as well: all rows go, but are not backfilled
INSERT INTO links VALUES (1, 2), (3, 4);
ALTER TABLE links ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON links USING (contact_id < 2);
TRUNCATE links;
ALTER TABLE links NO FORCE ROW LEVEL SECURITY;
TRUNCATE links;
RESET ROLE;
SELECT * FROM enqueued();
SET ROLE regress_hubspot_owner;
SELECT hs_assoc_disable_sync('links');
INSERT INTO links VALUES (1, 2), (3, 4);
ALTER TABLE links FORCE ROW LEVEL SECURITY;
SELECT * FROM sim.try($$SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'firm_id', backfill => true)$$);
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'firm_id');
RESET ROLE;
-- superusers may do it for others, also for those that may not use our schema
SELECT hs_assoc_disable_sync('links');
CREATE SCHEMA s AUTHORIZATION regress_hubspot_owner;
ALTER TABLE links SET SCHEMA s;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM regress_hubspot_owner;
SELECT hs_assoc_enable_sync('s.links', 'contacts', 'contact_id', 'companies', 'firm_id');
SET ROLE regress_hubspot_owner;
ALTER TABLE s.links NO FORCE ROW LEVEL SECURITY;
INSERT INTO s.links VALUES (5, 6);
UPDATE s.links SET firm_id = 7 WHERE contact_id = 5;
DELETE FROM s.links WHERE contact_id = 5;
TRUNCATE s.links;
DROP TRIGGER hs_assoc_sync_insert ON s.links;
RESET ROLE;
SELECT * FROM enqueued();
SELECT count(*) FROM pg_trigger WHERE tgrelid = 's.links'::regclass;
GRANT USAGE ON SCHEMA public TO PUBLIC;
SELECT hs_assoc_enable_sync('s.links', 'contacts', 'contact_id', 'companies', 'firm_id');
-- a table with types: what counts is what is in the table at last
CREATE TABLE typed (contact_id int, company_id int, type_id int, PRIMARY KEY (contact_id, company_id, type_id));
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id',
	type_id_column => 'type_id', category => 'USER_DEFINED');
INSERT INTO typed VALUES (1, 2, 1), (1, 2, 3), (3, 4, 1);
SELECT * FROM enqueued();
WITH gone AS (DELETE FROM typed WHERE type_id = 1 RETURNING *), come AS (INSERT INTO typed VALUES (1, 2, 5), (5, 6, 5) RETURNING *)
SELECT count(*) FROM gone;
SELECT * FROM enqueued();
DROP TABLE typed;
DROP OWNED BY regress_hubspot_owner, regress_hubspot_writer, regress_hubspot_other CASCADE;
DROP ROLE regress_hubspot_owner, regress_hubspot_writer, regress_hubspot_other;
DROP FUNCTION put_right, put_back, take_away, enqueued;

\set ECHO none
\i :end
