--
-- What the pages of the documentation take for granted: tables, roles, and
-- records of the simulator
--
-- For psql, as a superuser, in a database that the pages are to be tried in:
--   psql -v control=http://127.0.0.1:PORT -f test/fixture.sql
-- where PORT is the simulator's control port. The extension need not be there
-- yet, and is not there afterwards if it was not before.
--
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- Records that the simulator has not: two contacts that were merged into others,
-- and a company; and some that have e-mails and domains. A batch tells of them in its answer, as HubSpot's does. What
-- this takes of the database is rolled back.
BEGIN;
CREATE SCHEMA fixture;
CREATE EXTENSION IF NOT EXISTS hubspot_assoc SCHEMA fixture;
SELECT extnamespace::regnamespace AS schema FROM pg_extension WHERE extname = 'hubspot_assoc' \gset
CREATE SERVER simulator_control FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url :'control');
CREATE USER MAPPING FOR CURRENT_USER SERVER simulator_control OPTIONS (access_token 'none');
SELECT http_status = 200 AS ready
FROM :schema.hs_assoc_request('POST', '/objects',
	'{"type": "contacts", "missing": ["70100007", "70100008"]}', 'simulator_control') \gset
\if :ready \else \warn 'no simulator answers' \quit \endif
SELECT FROM :schema.hs_assoc_request('POST', '/objects',
	'{"type": "companies", "missing": ["9404"]}', 'simulator_control') \g /dev/null
SELECT FROM :schema.hs_assoc_request('POST', '/records',
	'{"type": "contacts", "records": [
		{"id": "70100401", "properties": {"email": "ann@example.com", "hs_additional_emails": "ann.ames@home.example"}},
		{"id": "70100402", "properties": {"email": "bob@example.com"}}]}', 'simulator_control') \g /dev/null
SELECT FROM :schema.hs_assoc_request('POST', '/records',
	'{"type": "companies", "records": [
		{"id": "9001019", "properties": {"domain": "acme.example"}},
		{"id": "9001020", "properties": {"domain": "shared.example"}},
		{"id": "9001021", "properties": {"domain": "shared.example"}}]}', 'simulator_control') \g /dev/null
SELECT FROM :schema.hs_assoc_request('POST', '/settings',
	'{"bad_batch": "partial"}', 'simulator_control') \g /dev/null
ROLLBACK;

-- doc/operations.md, doc/security.md
SELECT format('CREATE ROLE %I', role) FROM unnest('{operator,sales}'::text[]) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

-- doc/recipes.md
CREATE TABLE my_companies (company_id text);
INSERT INTO my_companies VALUES ('9001'), ('9002'), ('9003'), ('ACME-17');
CREATE TABLE contacts (contact_id text PRIMARY KEY);
INSERT INTO contacts VALUES ('101'), ('102'), ('103'), ('104'), ('105'), ('107'), ('ACME');
CREATE TABLE primary_moves (
	contact_id     text PRIMARY KEY,
	company_id     text NOT NULL,
	ok             boolean,
	error_category text,
	error_message  text
);
INSERT INTO primary_moves (contact_id, company_id) VALUES ('101', '9002'), ('102', '9002'), ('103', '9404');

-- The outbox is as empty as it gets: what is left waits for a person, for a record that
-- HubSpot does not have, or for an account that has failed.
CREATE PROCEDURE until_sent(seconds float8 DEFAULT 60) LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + seconds * interval '1 s';
	waits    boolean := to_regclass('hs_assoc_outbox') IS NOT NULL;
BEGIN
	WHILE waits LOOP
		-- by its text: the extension may be made anew
		EXECUTE 'SELECT EXISTS (SELECT FROM hs_assoc_outbox AS o
			WHERE NOT coalesce(o.waited > ''0'', false)
				AND NOT EXISTS (SELECT FROM hs_assoc_account_pause AS p WHERE p.server = o.server)
				AND NOT EXISTS (SELECT FROM hs_assoc_backoff AS b WHERE (b.server, b.role) = (o.server, o.role)))' INTO waits;
		IF waits AND clock_timestamp() > deadline THEN
			RAISE 'the outbox is not empty yet';
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
