--
-- Tables that are kept in sync: changes of the tables themselves
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

--
-- Columns, indexes and triggers that a sync needs
--
CREATE TABLE deals (id int PRIMARY KEY, company_id int, contact_id int, amount int);
SELECT hs_assoc_enable_sync('deals', 'deals', 'id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('deals', 'deals', 'id', 'contacts', 'contact_id');
ALTER TABLE deals RENAME COLUMN company_id TO firm_id;
ALTER VIEW deals RENAME COLUMN id TO deal_id;
SELECT from_column, to_column FROM hs_assoc_sync ORDER BY id;
INSERT INTO deals VALUES (5, 50);
-- names that change their places
ALTER TABLE deals RENAME firm_id TO x;
ALTER TABLE deals RENAME contact_id TO firm_id;
ALTER TABLE deals RENAME x TO contact_id;
ALTER TABLE deals RENAME amount TO price;
UPDATE deals SET firm_id = 60 WHERE deal_id = 5;
ALTER TABLE deals RENAME TO offers;
CREATE SCHEMA s;
ALTER TABLE offers SET SCHEMA s;
INSERT INTO s.offers VALUES (6, 66);
SELECT link_table, from_column, to_column FROM hs_assoc_sync ORDER BY id;
SELECT * FROM enqueued();
ALTER TABLE s.offers SET SCHEMA public;
-- types may change, as far as they are still right
ALTER TABLE offers ALTER contact_id TYPE bigint, ALTER firm_id TYPE text;
INSERT INTO offers VALUES (7, 4000000000, 'x');
SELECT * FROM enqueued();
ALTER TABLE offers SET UNLOGGED;
-- what a sync needs is not dropped by itself
ALTER TABLE offers DROP COLUMN contact_id;
ALTER TABLE offers DROP CONSTRAINT deals_pkey;
DROP INDEX deals_pkey;
ALTER TABLE offers DROP COLUMN price;
CREATE UNIQUE INDEX offers_idx ON offers (deal_id);
ALTER TABLE offers DROP CONSTRAINT deals_pkey;
DROP INDEX offers_idx;
DROP INDEX CONCURRENTLY offers_idx;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'offers_idx'::regclass;
REINDEX INDEX offers_idx;
REINDEX INDEX CONCURRENTLY offers_idx;
SELECT * FROM offers ORDER BY 1;
-- a new column of the name is another one, whatever its name
ALTER TABLE offers DROP COLUMN contact_id, ADD COLUMN contact_id bigint;
ALTER TABLE offers ADD COLUMN IF NOT EXISTS contact_id bigint, DROP COLUMN IF EXISTS contact_id;
BEGIN;
ALTER TABLE offers RENAME contact_id TO x;
ALTER TABLE offers RENAME firm_id TO contact_id;
ALTER TABLE offers RENAME x TO firm_id;
SELECT from_column, to_column FROM hs_assoc_sync ORDER BY id;
ALTER TABLE offers DROP COLUMN firm_id, ADD COLUMN firm_id bigint;
ROLLBACK;
BEGIN;
ALTER TABLE offers DROP COLUMN contact_id CASCADE, ADD COLUMN contact_id bigint;
INSERT INTO offers (deal_id, firm_id, contact_id) VALUES (9, 'z', 90);
SELECT * FROM enqueued();
-- an index goes with its column, and the sync with both
ALTER TABLE offers DROP COLUMN deal_id CASCADE, ADD COLUMN deal_id serial PRIMARY KEY;
SELECT count(*) FROM hs_assoc_sync;
ROLLBACK;
SELECT from_column, to_column FROM hs_assoc_sync ORDER BY id;
-- with CASCADE, it ends that sync, and the last one takes the triggers with it
ALTER TABLE offers DROP COLUMN contact_id CASCADE;
INSERT INTO offers VALUES (8, 'y');
SELECT * FROM enqueued();
-- also a generated one, with the column that it is generated of
CREATE TABLE made (contact_id int PRIMARY KEY, firm int, company_id int GENERATED ALWAYS AS (firm * 10) STORED);
SELECT hs_assoc_enable_sync('made', 'contacts', 'contact_id', 'companies', 'company_id');
INSERT INTO made VALUES (1, 2);
ALTER TABLE made ALTER firm TYPE bigint;
-- there is this only since 17
SELECT outcome = CASE WHEN current_setting('server_version_num')::int >= 170000 THEN '55000' ELSE '42601' END AS refused
FROM sim.try('ALTER TABLE made ALTER company_id SET EXPRESSION AS (firm * 20)');
ALTER TABLE made DROP COLUMN firm;
ALTER TABLE made DROP COLUMN firm CASCADE;
INSERT INTO made VALUES (2);
SELECT * FROM enqueued();
DROP TABLE made;
-- tables that are not in sync may do what they like
CREATE TABLE elders (a int);
CREATE TABLE heirs (a int);
ALTER TABLE heirs INHERIT elders;
ALTER TABLE heirs SET UNLOGGED;
SELECT relpersistence, (SELECT count(*) FROM pg_inherits WHERE inhrelid = oid) AS parents FROM pg_class WHERE relname = 'heirs';
DROP TABLE elders, heirs;
-- with an index that is no longer valid, what counts is still what is in the table at last
CREATE TABLE found (contact_id int NOT NULL, company_id int NOT NULL);
CREATE UNIQUE INDEX found_idx ON found (contact_id, company_id);
SELECT hs_assoc_enable_sync('found', 'contacts', 'contact_id', 'companies', 'company_id');
INSERT INTO found VALUES (1, 2), (3, 4);
DROP INDEX CONCURRENTLY found_idx;
WITH gone AS (DELETE FROM found RETURNING *), come AS (INSERT INTO found VALUES (1, 2), (5, 6) RETURNING *)
SELECT count(*) FROM gone;
SELECT * FROM enqueued();
DROP TABLE found;
CREATE TABLE found (contact_id int NOT NULL, company_id int NOT NULL, role text NOT NULL);
CREATE UNIQUE INDEX found_idx ON found (contact_id, company_id, role);
SELECT hs_assoc_enable_sync('found', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
DROP INDEX CONCURRENTLY found_idx;
INSERT INTO found VALUES (1, 2, 'Boss'), (1, 2, 'boss');
DELETE FROM found WHERE role = 'boss';
SELECT * FROM enqueued();
DROP TABLE found;
CREATE DOMAIN id AS text;
ALTER TABLE offers ALTER COLUMN firm_id TYPE id;
DROP DOMAIN id;
DROP DOMAIN id CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'offers'::regclass;
DROP TABLE offers;
-- a column that went while the event trigger was disabled is missing; other indexes may go
CREATE TABLE untold (contact_id int PRIMARY KEY, company_id int UNIQUE, role text UNIQUE);
SELECT hs_assoc_enable_sync('untold', 'contacts', 'contact_id', 'companies', 'company_id');
BEGIN;
ALTER EVENT TRIGGER hs_assoc_sync_drop DISABLE;
ALTER TABLE untold DROP COLUMN contact_id;
ALTER EVENT TRIGGER hs_assoc_sync_drop ENABLE ALWAYS;
ALTER TABLE untold DROP CONSTRAINT untold_role_key;
SELECT count(*) FROM pg_index WHERE indrelid = 'untold'::regclass;
ROLLBACK;
DROP TABLE untold;
-- a trigger that is dropped ends all syncs of the table
CREATE TABLE links (contact_id int, company_id int, type_id int, UNIQUE (contact_id, company_id));
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('links', 'a', 'contact_id', 'b', 'company_id', type_id_column => 'type_id');
ALTER TABLE links ALTER type_id TYPE text;
DROP TRIGGER hs_assoc_sync_delete ON links;
INSERT INTO links VALUES (1, 2);
SELECT * FROM enqueued();
TABLE hs_assoc_sync;
-- one that is disabled doesn't, and may have another name
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TRIGGER hs_assoc_sync_insert ON links RENAME TO something_else;
ALTER TABLE links DISABLE TRIGGER something_else;
INSERT INTO links VALUES (3, 4);
SELECT active FROM hs_assoc_sync;
SELECT hs_assoc_enable_sync('links', 'a', 'contact_id', 'b', 'company_id');
ALTER TABLE links ENABLE REPLICA TRIGGER something_else;
SELECT active FROM hs_assoc_sync;
SELECT hs_assoc_enable_sync('links', 'a', 'contact_id', 'b', 'company_id');
ALTER TABLE links ENABLE TRIGGER something_else;
SELECT active FROM hs_assoc_sync;
SELECT hs_assoc_enable_sync('links', 'a', 'contact_id', 'b', 'company_id');
SELECT hs_assoc_disable_sync('links');
SELECT * FROM enqueued();
-- two tables: what ends the sync of one leaves the other alone
CREATE TABLE more_links (contact_id int, company_id int, UNIQUE (contact_id), UNIQUE (company_id));
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('more_links', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_disable_sync('more_links');
SELECT link_table, active FROM hs_assoc_sync;
SELECT hs_assoc_enable_sync('more_links', 'contacts', 'contact_id', 'companies', 'company_id');
DROP TRIGGER hs_assoc_sync_insert ON more_links;
SELECT link_table, active FROM hs_assoc_sync;
SELECT hs_assoc_enable_sync('more_links', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TABLE more_links DROP COLUMN contact_id CASCADE;
SELECT link_table, active FROM hs_assoc_sync;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'more_links'::regclass;
DROP TABLE more_links;
INSERT INTO links VALUES (5, 6);
SELECT hs_assoc_disable_sync('links');
SELECT * FROM enqueued();
-- a table OF a type
CREATE TYPE link AS (contact_id int, company_id int);
CREATE TABLE typed OF link (UNIQUE (contact_id, company_id));
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TYPE link RENAME ATTRIBUTE company_id TO firm_id CASCADE;
INSERT INTO typed VALUES (1, 2);
SELECT * FROM enqueued();
ALTER TYPE link DROP ATTRIBUTE firm_id;
BEGIN;
ALTER TYPE link DROP ATTRIBUTE firm_id CASCADE, ADD ATTRIBUTE firm_id int CASCADE;
TABLE hs_assoc_sync;
ROLLBACK;
ALTER TYPE link DROP ATTRIBUTE firm_id CASCADE;
DROP TABLE typed;

-- a table that is built anew, and takes the name of the one in sync
CREATE TABLE "Built" (contact_id int PRIMARY KEY, company_id int UNIQUE, role text);
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id', label => 'It''s', category => 'USER_DEFINED');
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id', type_id => 5);
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
INSERT INTO "Built" VALUES (1, 1), (2, 2);
DELETE FROM hs_assoc_outbox;
BEGIN;
CREATE TABLE built_new (LIKE "Built" INCLUDING ALL);
INSERT INTO built_new VALUES (2, 2), (3, 3);
ALTER TABLE "Built" RENAME TO built_old;
ALTER TABLE built_new RENAME TO "Built";
DROP TABLE built_old;
ROLLBACK;
-- where somebody else has enabled its sync
CREATE ROLE regress_hubspot_builder;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_builder;
GRANT regress_hubspot_builder TO CURRENT_USER;
BEGIN;
CREATE TABLE lent (contact_id int PRIMARY KEY, company_id int UNIQUE);
ALTER TABLE lent OWNER TO regress_hubspot_builder;
SET ROLE regress_hubspot_builder;
SELECT hs_assoc_enable_sync('lent', 'contacts:erp', 'contact_id', 'companies', 'company_id',
    wait_for_records => '90 min', replicated => true, verify => '1 day', on_drift => 'add');
RESET ROLE;
CREATE TABLE lent_new (LIKE lent INCLUDING ALL);
ALTER TABLE lent RENAME TO lent_old;
ALTER TABLE lent_new RENAME TO lent;
DROP TABLE lent_old;
ROLLBACK;
REVOKE ALL ON FOREIGN SERVER hubspot FROM regress_hubspot_builder;
DROP ROLE regress_hubspot_builder;
-- as doc/sync.md does it
SELECT hs_assoc_disable_sync('"Built"');
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id');
BEGIN;
CREATE TABLE built_new (LIKE "Built" INCLUDING ALL);
INSERT INTO built_new VALUES (2, 2), (3, 3);
ALTER TABLE "Built" RENAME TO built_old;
ALTER TABLE built_new RENAME TO "Built";
TRUNCATE built_old;
SELECT hs_assoc_enable_sync('"Built"', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true);
DROP TABLE built_old;
COMMIT;
SELECT operation, from_id, to_id FROM hs_assoc_outbox ORDER BY id;
DELETE FROM hs_assoc_outbox;
SELECT link_table, active FROM hs_assoc_sync WHERE link_table = '"Built"'::regclass;
-- other objects of the name are not such a table
BEGIN;
ALTER TABLE "Built" RENAME TO built_old;
CREATE VIEW "Built" AS SELECT 1;
DROP TABLE built_old;
ROLLBACK;
DROP TABLE "Built";

--
-- Types and values
--
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TABLE typed (i int, n numeric(9), u uuid, t text, v varchar(9), c char(9), s name, e color, x numeric, other int,
	PRIMARY KEY (i, t));
SELECT hs_assoc_enable_sync('typed', 'a', 'i', 'b', 't', label_column => 'e');
SELECT hs_assoc_enable_sync('typed', 'a', 'i', 'b', 't', label_column => column_name)
FROM unnest('{n,u,v,c,s,x}'::text[]) AS column_name;
INSERT INTO typed VALUES (7, 8, '00000000-0000-0000-0000-000000000001', 'x', 'v', 'c', 's', 'red', 1.50, 1);
SELECT alteration, outcome, message FROM unnest(ARRAY[
	-- each value keeps its text
	'i TYPE int8', 'i TYPE smallint', 'i TYPE numeric', 'i TYPE numeric(9)', 'i TYPE text', 'i TYPE varchar(9)', 'i TYPE char(9)',
	'n TYPE int', 'n TYPE numeric(12)', 'n TYPE numeric', 'n TYPE text',
	'u TYPE text', 'v TYPE text', 'v TYPE varchar(10)', 'v TYPE varchar', 't TYPE varchar', 'c TYPE text', 'c TYPE varchar(9)', 'c TYPE char(20)',
	's TYPE text', 's TYPE varchar(63)', 'e TYPE text', 'x TYPE numeric', 't TYPE text COLLATE "C"', 'other TYPE text USING 1',
	'i TYPE int8, ALTER t TYPE varchar, ALTER i SET DEFAULT 5, ALTER t SET STATISTICS 5',
	-- or may not
	'i TYPE int8 USING i + 1', 'i TYPE int USING i', 'i TYPE numeric(9, 2)', 'i TYPE numeric(9, -2)', 'i TYPE float8', 'i TYPE name',
	'n TYPE numeric(12, 2)', 'x TYPE bigint', 'x TYPE text', 'x TYPE numeric(9)', 't TYPE varchar(3)', 't TYPE char(9)', 't TYPE name',
	'v TYPE varchar(8)', 'v TYPE char(20)', 'c TYPE varchar(8)', 's TYPE varchar(62)', 'e TYPE char(9)', 'u TYPE char(36)',
	'other TYPE text, ALTER t TYPE text USING upper(t)']) AS alteration,
	sim.try('ALTER TABLE typed ALTER ' || alteration);
ALTER TABLE typed ALTER i TYPE int8 USING i + 1;
-- step by step
BEGIN;
ALTER TABLE typed ALTER i TYPE int8;
ALTER TABLE typed ALTER i TYPE text;
SAVEPOINT s;
ALTER TABLE typed ALTER i TYPE int USING i::int;
ROLLBACK TO s;
ALTER TABLE typed ALTER i TYPE varchar;
ALTER TABLE typed ALTER i TYPE varchar(1);
ROLLBACK;
-- by a cast of somebody's, and by another name of a value
CREATE FUNCTION other_text(color) RETURNS text LANGUAGE sql AS $$ SELECT 'other' $$;
CREATE CAST (color AS text) WITH FUNCTION other_text(color) AS ASSIGNMENT;
ALTER TABLE typed ALTER e TYPE text;
DROP FUNCTION other_text CASCADE;
ALTER TYPE color RENAME VALUE 'red' TO 'crimson';
ALTER TYPE color ADD VALUE 'blue';
ALTER TYPE color RENAME TO colour;
CREATE TYPE free AS ENUM ('red');
ALTER TYPE free RENAME VALUE 'red' TO 'crimson';
SELECT * FROM enqueued();
DROP TABLE typed;
DROP TYPE colour, free;
-- by the type of the table
CREATE TYPE typed_row AS (contact_id int, company_id text);
CREATE TABLE typed OF typed_row (UNIQUE (contact_id, company_id));
SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TYPE typed_row ALTER ATTRIBUTE contact_id TYPE bigint CASCADE;
ALTER TYPE typed_row ALTER ATTRIBUTE company_id TYPE varchar(3) CASCADE;
DROP TYPE typed_row CASCADE;
-- before the sync, in the same transaction
BEGIN;
CREATE TABLE fresh (contact_id numeric, company_id int, UNIQUE (contact_id, company_id));
ALTER TABLE fresh ALTER contact_id TYPE bigint USING contact_id + 1;
SELECT hs_assoc_enable_sync('fresh', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TABLE fresh ALTER contact_id TYPE text;
CREATE DOMAIN gone AS text;
ALTER TABLE fresh ALTER contact_id TYPE gone;
ALTER TABLE fresh ALTER contact_id TYPE text;
DROP DOMAIN gone;
ALTER TABLE fresh ALTER contact_id TYPE text;
ROLLBACK;
-- the index that orders the writers
CREATE TABLE ordered (contact_id int NOT NULL, company_id int NOT NULL);
CREATE UNIQUE INDEX ordered_idx ON ordered (contact_id, company_id);
SELECT hs_assoc_enable_sync('ordered', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TABLE ordered ADD UNIQUE USING INDEX ordered_idx DEFERRABLE;
ALTER TABLE ordered ADD UNIQUE USING INDEX ordered_idx;
ALTER TABLE ordered ADD UNIQUE (contact_id, company_id) DEFERRABLE;
DROP TABLE ordered;

--
-- Partitions
--
-- two levels, columns in different orders
CREATE TABLE parts (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY RANGE (contact_id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (company_id);
CREATE TABLE parts_low_low (junk int, company_id int NOT NULL, contact_id int NOT NULL);
ALTER TABLE parts_low_low DROP COLUMN junk;
ALTER TABLE parts_low ATTACH PARTITION parts_low_low FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
CREATE TABLE other (contact_id int, company_id int, region int, UNIQUE (contact_id, company_id, region)) PARTITION BY LIST (region);
SELECT hs_assoc_enable_sync('other', 'contacts', 'contact_id', 'companies', 'company_id');
DROP TABLE other;
CREATE TABLE other (contact_id int, company_id int) PARTITION BY LIST (contact_id);
SELECT hs_assoc_enable_sync('other', 'contacts', 'contact_id', 'companies', 'company_id');
CREATE TABLE other_one PARTITION OF other FOR VALUES IN (1) PARTITION BY HASH ((contact_id + company_id));
SELECT hs_assoc_enable_sync('other', 'contacts', 'contact_id', 'companies', 'company_id');
DROP TABLE other;
INSERT INTO parts VALUES (1, 2), (101, 102);
SELECT hs_assoc_enable_sync('parts_high', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('parts', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true);
SELECT * FROM enqueued();
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'hs\_assoc\_sync%' GROUP BY 1 ORDER BY 1;
-- by the table, by a partition, by one of that
INSERT INTO parts VALUES (3, 4), (103, 104);
INSERT INTO parts_low VALUES (5, 6);
INSERT INTO parts_low_low (contact_id, company_id) VALUES (7, 8);
INSERT INTO parts_high VALUES (107, 108);
SELECT * FROM enqueued();
UPDATE parts SET contact_id = contact_id + 100 WHERE contact_id = 3;
UPDATE parts_low_low SET company_id = company_id + 10 WHERE contact_id = 7;
DELETE FROM parts_high WHERE contact_id = 107;
SELECT * FROM enqueued();
-- a new partition, one that comes with rows, one below that, and one in a schema of its own
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (200) TO (300);
INSERT INTO parts_3 VALUES (200, 1);
CREATE TABLE parts_4 (company_id int NOT NULL, contact_id int NOT NULL) PARTITION BY RANGE (contact_id);
CREATE TABLE parts_4_1 PARTITION OF parts_4 FOR VALUES FROM (300) TO (400);
INSERT INTO parts_4_1 VALUES (1, 301);
ALTER TABLE parts ATTACH PARTITION parts_4 FOR VALUES FROM (300) TO (500);
INSERT INTO parts_4_1 VALUES (1, 302);
CREATE TABLE parts_4_2 PARTITION OF parts_4 FOR VALUES FROM (400) TO (500);
INSERT INTO parts_4_2 VALUES (1, 401);
CREATE SCHEMA more CREATE TABLE parts_5 PARTITION OF public.parts FOR VALUES FROM (500) TO (600);
INSERT INTO more.parts_5 VALUES (501, 1);
SELECT * FROM enqueued();
-- one whose name stands for another table
CREATE TEMP TABLE parts_7 (a int);
CREATE TABLE parts_7 PARTITION OF parts FOR VALUES FROM (700) TO (800);
INSERT INTO public.parts_7 VALUES (701, 1);
SELECT * FROM enqueued();
DROP TABLE pg_temp.parts_7, public.parts_7;
-- those that go take no trigger along, and their rows are removed
ALTER TABLE parts DETACH PARTITION parts_4;
INSERT INTO parts_4 VALUES (1, 303);
INSERT INTO parts_4_2 VALUES (1, 403);
DROP TABLE parts_4;
ALTER TABLE parts DETACH PARTITION parts_3 CONCURRENTLY;
INSERT INTO parts_3 VALUES (203, 1);
DROP TABLE more.parts_5;
SELECT * FROM enqueued();
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'hs\_assoc\_sync%' GROUP BY 1 ORDER BY 1;
-- partitions that can't be
CREATE UNIQUE INDEX ON parts_3 (contact_id, company_id);
SELECT hs_assoc_enable_sync('parts_3', 'contacts', 'contact_id', 'companies', 'company_id');
ALTER TABLE parts ATTACH PARTITION parts_3 FOR VALUES FROM (200) TO (300);
SELECT hs_assoc_disable_sync('parts_3');
CREATE FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE SERVER regress_hubspot_other FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE FOREIGN TABLE parts_f (contact_id int NOT NULL, company_id int NOT NULL) SERVER regress_hubspot_other;
CREATE TABLE parts_6 (contact_id int, company_id int) PARTITION BY RANGE (contact_id);
ALTER TABLE parts ATTACH PARTITION parts_f FOR VALUES FROM (600) TO (650);
ALTER TABLE parts_6 ATTACH PARTITION parts_f FOR VALUES FROM (600) TO (650);
SELECT hs_assoc_enable_sync('parts_6', 'contacts', 'contact_id', 'companies', 'company_id');
DROP FOREIGN DATA WRAPPER regress_hubspot_other CASCADE;
DROP TABLE parts_6;
-- one partition, or all; a partition's trigger is the table's
SELECT hs_assoc_disable_sync('parts_low');
TRUNCATE parts_high;
SELECT * FROM enqueued();
TRUNCATE parts;
SELECT * FROM enqueued();
CREATE TABLE contacts (id int PRIMARY KEY);
INSERT INTO contacts VALUES (1), (2), (101);
ALTER TABLE parts ADD FOREIGN KEY (contact_id) REFERENCES contacts ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO parts VALUES (1, 1), (2, 2), (101, 101);
UPDATE contacts SET id = 102 WHERE id = 1;
DELETE FROM contacts;
SELECT * FROM enqueued();
DROP TABLE contacts CASCADE;
ALTER TABLE parts DROP COLUMN company_id, ADD COLUMN company_id int;
ALTER TABLE parts_low_low DROP COLUMN company_id, ADD COLUMN company_id int;
ALTER TABLE parts RENAME company_id TO firm_id;
INSERT INTO parts_low_low (contact_id, firm_id) VALUES (9, 9);
SELECT * FROM enqueued();
DROP TRIGGER hs_assoc_sync_update ON parts_low_low;
ALTER TABLE parts_low_low DISABLE TRIGGER hs_assoc_sync_update;
SELECT active FROM hs_assoc_sync;
ALTER TABLE parts_low_low ENABLE ALWAYS TRIGGER hs_assoc_sync_update;
SELECT active FROM hs_assoc_sync;
-- rows are not to be lost by a crash
ALTER TABLE parts_low_low SET UNLOGGED;
CREATE UNLOGGED TABLE parts_8 PARTITION OF parts FOR VALUES FROM (800) TO (900);
CREATE UNLOGGED TABLE parts_8 (contact_id int NOT NULL, firm_id int NOT NULL);
ALTER TABLE parts ATTACH PARTITION parts_8 FOR VALUES FROM (800) TO (900);
-- what triggers a partition comes with
ALTER TABLE parts_8 SET LOGGED;
CREATE TRIGGER mine AFTER INSERT ON parts_8 REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	WHEN (false) EXECUTE FUNCTION hs_assoc_sync_rows();
ALTER TABLE parts ATTACH PARTITION parts_8 FOR VALUES FROM (800) TO (900);
DROP TRIGGER mine ON parts_8;
ALTER TABLE parts ATTACH PARTITION parts_8 FOR VALUES FROM (800) TO (900);
SELECT active FROM hs_assoc_sync;
DROP TRIGGER hs_assoc_sync_insert ON parts;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'hs\_assoc\_sync%';
ALTER TABLE parts_8 SET UNLOGGED;
SELECT hs_assoc_enable_sync('parts', 'contacts', 'contact_id', 'companies', 'firm_id');
DROP TABLE parts, parts_3;

--
-- Partitions of other owners
--
CREATE ROLE regress_hubspot_root;
CREATE ROLE regress_hubspot_part;
GRANT CREATE ON SCHEMA public TO regress_hubspot_root, regress_hubspot_part;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_root;
CREATE USER MAPPING FOR regress_hubspot_root SERVER hubspot OPTIONS (access_token 'test-token');
CREATE TABLE parts (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY RANGE (contact_id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
ALTER TABLE parts OWNER TO regress_hubspot_root;
ALTER TABLE parts_1 OWNER TO regress_hubspot_part;
ALTER TABLE parts_2 OWNER TO regress_hubspot_root;
SET ROLE regress_hubspot_root;
SELECT hs_assoc_enable_sync('parts', 'contacts', 'contact_id', 'companies', 'company_id');
INSERT INTO parts VALUES (1, 2), (101, 102);
SET ROLE regress_hubspot_part;
TRUNCATE parts_1;
INSERT INTO parts_1 VALUES (3, 4);
-- rows that the owner can't see go all the same
ALTER TABLE parts_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
TRUNCATE parts_1;
ALTER TABLE parts_1 NO FORCE ROW LEVEL SECURITY;
-- nor does the sync end
DROP TRIGGER hs_assoc_sync_insert ON parts_1;
RESET ROLE;
TRUNCATE parts;
SELECT * FROM enqueued();
SET ROLE regress_hubspot_root;
ALTER TABLE parts DETACH PARTITION parts_1;
RESET ROLE;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'hs\_assoc\_sync%' GROUP BY 1;

--
-- Rows that come and go with their partitions
--
CREATE TABLE moved (contact_id int, company_id int, role text, UNIQUE (contact_id, company_id)) PARTITION BY RANGE (contact_id);
CREATE TABLE moved_rest PARTITION OF moved DEFAULT;
SELECT hs_assoc_enable_sync('moved', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('moved', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role');
INSERT INTO moved VALUES (1, 10, 'Boss'), (2, 20, NULL), (101, 11, NULL), (201, 12, NULL);
SELECT * FROM enqueued();
-- out of the default partition by hand: what was removed is created again
BEGIN;
CREATE TABLE moved_1 (role text, contact_id int NOT NULL, company_id int NOT NULL);
WITH gone AS (DELETE FROM moved_rest WHERE contact_id < 100 RETURNING *)
INSERT INTO moved_1 SELECT role, contact_id, company_id FROM gone;
ALTER TABLE moved ATTACH PARTITION moved_1 FOR VALUES FROM (0) TO (100);
COMMIT;
SELECT * FROM enqueued();
-- by way of a partition that is partitioned itself, and that comes with a null
CREATE TABLE moved_2 (LIKE moved) PARTITION BY RANGE (contact_id);
CREATE TABLE moved_2_1 (LIKE moved);
INSERT INTO moved_2_1 VALUES (301, 13, 'Boss'), (302, 14, NULL);
ALTER TABLE moved_2 ATTACH PARTITION moved_2_1 FOR VALUES FROM (300) TO (400);
SELECT * FROM enqueued();
SELECT hs_assoc_stat_reset();
ALTER TABLE moved ATTACH PARTITION moved_2 FOR VALUES FROM (300) TO (500);
SELECT * FROM enqueued();
SELECT server, skipped FROM hs_assoc_stat() WHERE skipped > 0;
CREATE TABLE moved_2_2 (LIKE moved);
INSERT INTO moved_2_2 VALUES (401, 15, NULL);
ALTER TABLE moved_2 ATTACH PARTITION moved_2_2 FOR VALUES FROM (400) TO (500);
SELECT * FROM enqueued();
-- one that has all the triggers already, by somebody's hand
CREATE TABLE moved_3 (LIKE moved);
INSERT INTO moved_3 VALUES (501, 16, NULL);
CREATE TRIGGER a AFTER INSERT ON moved_3 REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
CREATE TRIGGER b AFTER UPDATE ON moved_3 REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION hs_assoc_sync_rows();
CREATE TRIGGER c AFTER DELETE ON moved_3 REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
CREATE TRIGGER d BEFORE TRUNCATE ON moved_3 FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_sync_rows();
ALTER TABLE moved ATTACH PARTITION moved_3 FOR VALUES FROM (500) TO (600);
SELECT * FROM enqueued();
-- detached, with what is below it; attached again in the same transaction
ALTER TABLE moved_2 DETACH PARTITION moved_2_2;
SELECT * FROM enqueued();
ALTER TABLE moved DETACH PARTITION moved_2;
SELECT * FROM enqueued();
BEGIN;
ALTER TABLE moved DETACH PARTITION moved_3;
ALTER TABLE moved ATTACH PARTITION moved_3 FOR VALUES FROM (500) TO (600);
ALTER TABLE moved DETACH PARTITION moved_1;
COMMIT;
SELECT * FROM enqueued();
-- undone
ALTER TABLE moved ATTACH PARTITION moved_2 FOR VALUES FROM (300) TO (500);
ALTER TABLE moved ATTACH PARTITION moved_1 FOR VALUES FROM (0) TO (100);
SELECT * FROM enqueued();
BEGIN;
SAVEPOINT s;
DROP TABLE moved_1;
ROLLBACK TO s;
ALTER TABLE moved ATTACH PARTITION moved_2_2 FOR VALUES FROM (0) TO (50);
ROLLBACK;
SELECT * FROM enqueued();
-- dropped by itself, or not at all
CREATE SCHEMA apart;
ALTER TABLE moved_3 SET SCHEMA apart;
\set VERBOSITY terse
DROP SCHEMA apart CASCADE;
BEGIN;
SAVEPOINT s;
DROP TABLE apart.moved_3;
ROLLBACK TO s;
DROP SCHEMA apart CASCADE;
ROLLBACK;
\set VERBOSITY default
DROP TABLE IF EXISTS nothing, apart.moved_3, moved_2;
SELECT * FROM enqueued();
DROP SCHEMA apart;
-- where TRUNCATE would not be enqueued, nor is this
ALTER TABLE moved_1 DISABLE TRIGGER hs_assoc_sync_truncate;
DROP TABLE moved_1;
INSERT INTO moved_2_2 VALUES (402, 17, NULL);
SET session_replication_role = replica;
ALTER TABLE moved ATTACH PARTITION moved_2_2 FOR VALUES FROM (400) TO (500);
DROP TABLE moved_2_2;
RESET session_replication_role;
SELECT * FROM enqueued();
-- with the whole table
CREATE TABLE moved_4 PARTITION OF moved FOR VALUES FROM (600) TO (700);
INSERT INTO moved VALUES (601, 18, NULL);
SELECT * FROM enqueued();
DROP TABLE moved_4, moved;
SELECT * FROM enqueued();
DROP TABLE IF EXISTS moved_3;

--
-- DDL that does nothing to a table, by somebody who may do nothing to it
--
CREATE TABLE big (contact_id int) PARTITION BY RANGE (contact_id);
CREATE TABLE big_1 PARTITION OF big FOR VALUES FROM (0) TO (100);
CREATE TABLE theirs (contact_id int, company_id int) PARTITION BY RANGE (contact_id);
ALTER TABLE theirs OWNER TO regress_hubspot_part;
SET ROLE regress_hubspot_part;
BEGIN;
ALTER TABLE IF EXISTS nothing DETACH PARTITION parts;
ALTER TABLE IF EXISTS nothing DETACH PARTITION parts_2;
ALTER TABLE IF EXISTS nothing DETACH PARTITION big;
ALTER TABLE IF EXISTS nothing DETACH PARTITION parts_2 FINALIZE;
ALTER TABLE IF EXISTS nothing ATTACH PARTITION parts FOR VALUES FROM (0) TO (100);
ALTER TABLE IF EXISTS nothing ATTACH PARTITION parts_2 FOR VALUES FROM (0) TO (100);
ALTER TABLE IF EXISTS nothing RENAME COLUMN contact_id TO id;
ALTER TABLE IF EXISTS nothing SET UNLOGGED;
CREATE TABLE IF NOT EXISTS parts_2 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE theirs_1 PARTITION OF theirs FOR VALUES FROM (0) TO (100);
ALTER TABLE theirs DETACH PARTITION theirs_1;
SAVEPOINT s;
DROP TABLE parts_2;
ROLLBACK TO s;
SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid()
	AND relation IN ('parts'::regclass, 'parts_2'::regclass, 'big'::regclass, 'big_1'::regclass);
COMMIT;
ALTER TABLE theirs DETACH PARTITION parts_2;
RESET ROLE;
SELECT link_table, from_column, active FROM hs_assoc_sync;
INSERT INTO parts_2 VALUES (103, 104);
SELECT * FROM enqueued();
DROP TABLE parts, parts_1, big, theirs, theirs_1;
DROP OWNED BY regress_hubspot_root, regress_hubspot_part;
DROP ROLE regress_hubspot_root, regress_hubspot_part;

-- partitions that go in other ways in the transaction in which one is detached
CREATE TABLE halves (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY LIST (contact_id);
CREATE TABLE halves_1 PARTITION OF halves FOR VALUES IN (1);
CREATE TABLE halves_2 PARTITION OF halves FOR VALUES IN (2);
CREATE TABLE halves_3 PARTITION OF halves FOR VALUES IN (3);
SELECT hs_assoc_enable_sync('halves', 'contacts', 'contact_id', 'companies', 'company_id');
BEGIN;
DROP TABLE halves_1;
ALTER TABLE halves DETACH PARTITION halves_3;
ALTER TABLE halves ATTACH PARTITION halves_3 FOR VALUES IN (3);
ALTER TABLE halves DETACH PARTITION halves_2;
COMMIT;
INSERT INTO halves_2 VALUES (2, 20);
INSERT INTO halves VALUES (3, 30);
SELECT * FROM enqueued();
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgrelid IN ('halves_2'::regclass, 'halves_3'::regclass) GROUP BY 1;
DROP TABLE halves, halves_2;

--
-- Inheritance
--
CREATE TABLE parent (contact_id int, company_id int, UNIQUE (contact_id, company_id));
SELECT hs_assoc_enable_sync('parent', 'contacts', 'contact_id', 'companies', 'company_id');
CREATE TABLE child () INHERITS (parent);
CREATE TABLE child (LIKE parent INCLUDING ALL);
ALTER TABLE child INHERIT parent;
SELECT hs_assoc_disable_sync('parent');
ALTER TABLE child INHERIT parent;
SELECT hs_assoc_enable_sync('parent', 'contacts', 'contact_id', 'companies', 'company_id');
SELECT hs_assoc_enable_sync('child', 'contacts', 'contact_id', 'companies', 'company_id');
DROP TABLE parent CASCADE;

DROP TABLE links;
DROP SCHEMA more, s;
DROP TYPE link;

--
-- The extension goes only if nothing is in sync any more
--
CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
\set VERBOSITY terse
DROP EXTENSION hubspot_assoc;
\set VERBOSITY default
DROP TABLE links;
TABLE hs_assoc_sync;

DROP FUNCTION enqueued;
\set ECHO none
\i :end
