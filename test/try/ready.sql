--
-- What test/try/start.sql makes, and the account and the tables of the demo: for
-- everything that comes after the README's start
--
\ir start.sql

CREATE EXTENSION hubspot_assoc;
CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc;
CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token 'test-token');

-- the tables of test/demo/demo.sql
CREATE TABLE demo.leads (email text, domain text);
INSERT INTO demo.leads VALUES
	('Ann@Example.com', 'acme.example'), ('bob@example.com', 'shared.example'), ('nobody@example.com', 'acme.example');
CREATE TABLE demo.crm_links (
	link_no    bigint GENERATED ALWAYS AS IDENTITY,
	contact_id bigint,
	company_id text,
	type_id    int,
	source     text,
	note       text
);
\copy demo.crm_links (contact_id, company_id, type_id, source, note) from test/demo/crm_links.csv csv header
CREATE TABLE demo.deal_companies (deal_id bigint, company_id bigint, PRIMARY KEY (deal_id, company_id));
INSERT INTO demo.deal_companies VALUES (5200011, 9001002), (5200012, 9001003);
RESET client_min_messages;
