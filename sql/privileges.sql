--
-- Who may use an account, and what the extension brings
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

CALL sim.account('public-token');
CALL sim.account('alice-token');
CREATE ROLE regress_hubspot_alice;
CREATE ROLE regress_hubspot_bob;
CREATE ROLE regress_hubspot_group;
-- what each account holds
CREATE VIEW held AS
SELECT token, count(h.from_id), string_agg(h.from_id, ' ' ORDER BY h.from_id) AS contacts
FROM (VALUES ('test-token'), ('public-token'), ('alice-token')) AS v (token)
LEFT JOIN LATERAL sim.holds('contacts', 'companies', token) AS h ON true
GROUP BY token ORDER BY token;

--
-- No server, or none of ours
--
SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'nobody');
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE SERVER "no HubSpot" FOREIGN DATA WRAPPER regress_hubspot_other;
CREATE USER MAPPING FOR PUBLIC SERVER "no HubSpot" OPTIONS (access_token 'test-token');
SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'no HubSpot');
\echo :LAST_ERROR_SQLSTATE
SELECT call, nobody.outcome AS nobody, other.outcome AS other
FROM (VALUES
	('hs_assoc_create_default(''a'', ''1'', ''b'', ''2'', server => %L)'),
	('hs_assoc_create(''a'', 1, ''b'', 2, ''{3}'', server => %L)'),
	('hs_assoc_create(''a'', ''1'', ''b'', ''2'', ''{3}'', server => %L)'),
	('hs_assoc_batch_create_default(''a'', ''b'', ''TABLE nothing'', server => %L)'),
	('hs_assoc_batch_create_default(''a'', ''b'', ''{}''::hs_assoc_input[], server => %L)'),
	('hs_assoc_batch_create(''a'', ''b'', ''TABLE nothing'', server => %L)'),
	('hs_assoc_batch_create(''a'', ''b'', ''{}''::hs_assoc_input[], server => %L)'),
	('hs_assoc_request(''GET'', ''/'', server => %L)')) AS v (call),
	LATERAL sim.try('SELECT * FROM ' || format(call, 'nobody')) AS nobody,
	LATERAL sim.try('SELECT * FROM ' || format(call, 'no HubSpot')) AS other;

-- one that may have been meant, if the role may use it
CREATE SERVER "hub spot eu" FOREIGN DATA WRAPPER hubspot_assoc;
CREATE ROLE "Regress-HubSpot 'quoted'";
SELECT call, t.outcome, t.message, t.hint
FROM (VALUES
	('hs_assoc_list(''contacts'', 1, ''companies'', %L)', 'hubspto'),
	('hs_assoc_list(''contacts'', 1, ''companies'', %L)', 'HubSpot'),
	('hs_assoc_batch_read(''contacts'', ''companies'', ''{1}''::text[], server => %L)', 'hub_spot_eu'),
	('hs_assoc_scan(''contacts'', ''companies'', server => %L)', 'hubspo'),
	('hs_assoc_labels(''contacts'', ''companies'', %L)', 'hubspo'),
	('hs_assoc_request(''GET'', ''/'', server => %L)', 'hubspo'),
	('hs_assoc_enqueue(''archive'', ''a'', ''b'', ''TABLE nothing'', server => %L)', 'hubspo'),
	('hs_assoc_enable_sync(''pg_class'', ''a'', ''oid'', ''b'', ''oid'', server => %L)', 'hubspo'),
	('hs_assoc_pause(%L)', 'hubspo'),
	('hs_assoc_stat_reset(%L)', 'hubspo'),
	('hs_assoc_stat_reset(%L)', 'no_HubSpot'),
	('hs_assoc_stat_reset(%L)', 'hubspot_and_more'),
	('hs_assoc_stat_reset(%L)', 'no HubSpot')) AS v (format, name),
	format(format, name) AS call,
	LATERAL sim.try('SELECT * FROM ' || call) AS t;
SET client_min_messages = notice;
SELECT hs_assoc_retry(server => 'hubspo'), hs_assoc_discard(server => 'nowhere at all');
SELECT hs_assoc_retry(server => 'hubspot');
SET client_min_messages = warning;
SET ROLE regress_hubspot_alice;
SELECT * FROM hs_assoc_labels('contacts', 'companies', 'hubspo');
RESET ROLE;
SET ROLE "Regress-HubSpot 'quoted'";
SELECT * FROM hs_assoc_labels('contacts', 'companies', 'hub spot eu');
RESET ROLE;
DROP ROLE "Regress-HubSpot 'quoted'";
DROP SERVER "hub spot eu";

--
-- No USAGE, no mapping
--
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT http_status FROM hs_assoc_request('GET', '/');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_alice;
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id');
RESET ROLE;
TABLE held;

--
-- PUBLIC's mapping serves roles without one, and doesn't stand in for USAGE
--
CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'public-token');
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 11, 'companies', 2);
SET ROLE regress_hubspot_bob;
SELECT ok FROM hs_assoc_create_default('contacts', 12, 'companies', 2);
RESET ROLE;
-- one's own goes before it
CREATE USER MAPPING FOR regress_hubspot_alice SERVER hubspot OPTIONS (access_token 'alice-token');
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 13, 'companies', 2);
RESET ROLE;
-- ... also if it has no token
ALTER USER MAPPING FOR regress_hubspot_alice SERVER hubspot OPTIONS (DROP access_token);
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 14, 'companies', 2);
RESET ROLE;
ALTER USER MAPPING FOR regress_hubspot_alice SERVER hubspot OPTIONS (ADD access_token 'alice-token');
-- the superuser's own
SELECT ok FROM hs_assoc_create_default('contacts', 15, 'companies', 2);
TABLE held;

--
-- USAGE comes from a group, too; a mapping doesn't
--
DROP USER MAPPING FOR PUBLIC SERVER hubspot;
REVOKE USAGE ON FOREIGN SERVER hubspot FROM regress_hubspot_alice;
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 21, 'companies', 2);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_group;
CREATE USER MAPPING FOR regress_hubspot_group SERVER hubspot OPTIONS (access_token 'public-token');
GRANT regress_hubspot_group TO regress_hubspot_alice, regress_hubspot_bob;
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_create_default('contacts', 22, 'companies', 2);
SET ROLE regress_hubspot_bob;
SELECT ok FROM hs_assoc_create_default('contacts', 23, 'companies', 2);
RESET ROLE;
TABLE held;

--
-- SECURITY DEFINER: the owner's USAGE and mapping; SET ROLE: the role's
--
REVOKE USAGE ON FOREIGN SERVER hubspot FROM regress_hubspot_group;
CREATE FUNCTION associate(contact bigint, company bigint) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT ok FROM hs_assoc_create_default('contacts', contact, 'companies', company) $$;
SET ROLE regress_hubspot_bob;
SELECT associate(31, 2);
SELECT ok FROM hs_assoc_create_default('contacts', 32, 'companies', 2);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER hubspot TO regress_hubspot_alice;
SET SESSION AUTHORIZATION regress_hubspot_alice;
SELECT associate(33, 2);
SELECT ok FROM hs_assoc_create_default('contacts', 34, 'companies', 2);
RESET SESSION AUTHORIZATION;
TABLE held;

--
-- The query of a batch has the caller's rights, no more
--
CREATE TABLE links (from_id bigint, to_id bigint);
INSERT INTO links VALUES (41, 2);
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', 'TABLE links');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT SELECT ON links TO regress_hubspot_alice;
SET ROLE regress_hubspot_alice;
SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies', 'TABLE links');
RESET ROLE;
TABLE held;

--
-- The token is seen by the mapping's user (with USAGE) and superusers only
--
CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'public-token');
CREATE VIEW mappings AS
SELECT usename, umoptions FROM pg_user_mappings
WHERE srvname = 'hubspot' AND (usename = 'public' OR usename LIKE 'regress%')
ORDER BY usename COLLATE "C";
GRANT SELECT ON mappings TO PUBLIC;
TABLE mappings;
SET ROLE regress_hubspot_alice;
TABLE mappings;
SELECT count(*) AS tokens_of_others FROM pg_user_mappings
WHERE usename <> current_user AND umoptions::text LIKE '%token%';
SET ROLE regress_hubspot_bob;
TABLE mappings;
SELECT authorization_identifier, option_name, option_value FROM information_schema.user_mapping_options
WHERE foreign_server_name = 'hubspot' AND authorization_identifier LIKE 'regress%'
ORDER BY authorization_identifier COLLATE "C";
SELECT umoptions FROM pg_user_mapping;
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

--
-- Any schema will do, and need not be in the search path
--
CREATE SCHEMA regress_hubspot;
ALTER EXTENSION hubspot_assoc SET SCHEMA regress_hubspot;
SET search_path = pg_catalog;
SELECT ok, types FROM regress_hubspot.hs_assoc_create_default('contacts', 51, 'companies', 2);
SELECT ok, types FROM regress_hubspot.hs_assoc_batch_create_default('contacts', 'companies',
	ARRAY[('52', '2', NULL, NULL, NULL)]::regress_hubspot.hs_assoc_input[]);
SELECT http_status FROM regress_hubspot.hs_assoc_request('GET', '/crm/objects/2026-03/contacts/51/associations/companies');
RESET search_path;
ALTER EXTENSION hubspot_assoc SET SCHEMA public;
DROP SCHEMA regress_hubspot;

--
-- What the extension brings
--
CREATE VIEW members AS
SELECT classid, objid FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'hubspot_assoc');

SELECT proname AS function, pg_get_function_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
FROM pg_proc WHERE oid IN (SELECT objid FROM members WHERE classid = 'pg_proc'::regclass)
ORDER BY proname COLLATE "C", pg_get_function_arguments(oid) COLLATE "C"
\gx
SELECT provolatile AS volatile, proparallel AS parallel, proisstrict AS strict, prosecdef AS definer,
	proretset AS set, string_agg(DISTINCT proname, ' ' ORDER BY proname) AS functions
FROM pg_proc WHERE oid IN (SELECT objid FROM members WHERE classid = 'pg_proc'::regclass)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 6;
SELECT typname AS type, string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) AS columns
FROM pg_type JOIN pg_attribute ON attrelid = typrelid JOIN pg_class ON pg_class.oid = typrelid AND relkind = 'c'
WHERE pg_type.oid IN (SELECT objid FROM members WHERE classid = 'pg_type'::regclass) AND attnum > 0
GROUP BY typname ORDER BY typname
\gx
SELECT fdwname, fdwhandler::regproc, fdwvalidator::regproc FROM pg_foreign_data_wrapper
WHERE oid IN (SELECT objid FROM members WHERE classid = 'pg_foreign_data_wrapper'::regclass);
-- to create a server takes a grant
SELECT fdwacl FROM pg_foreign_data_wrapper WHERE fdwname = 'hubspot_assoc';
-- all of it is described
SELECT pg_describe_object(classid, objid, 0) AS without_comment
FROM members
WHERE obj_description(objid, classid::regclass::name) IS NULL
	AND NOT EXISTS (SELECT FROM pg_type LEFT JOIN pg_class ON pg_class.oid = typrelid
		WHERE pg_type.oid = objid AND (typelem <> 0 OR relkind <> 'c'));

DROP VIEW mappings, members, held;
DROP TABLE links;
DROP FUNCTION associate;
DROP FOREIGN DATA WRAPPER regress_hubspot_other CASCADE;
\set ECHO none
\i :end
DROP ROLE regress_hubspot_alice, regress_hubspot_bob, regress_hubspot_group;
