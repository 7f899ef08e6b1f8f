-- An account of HubSpot is a server, its token a user mapping

CREATE EXTENSION hubspot_assoc;
CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc
    OPTIONS (base_url :'simulator');
CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot
    OPTIONS (access_token :'token');

-- A one-off fix: one call, one row back

SELECT * FROM hs_assoc_create_default('contacts', 70100001, 'companies', 9001000) \gx

-- People are known by their e-mails, companies by their domains: a property in place of ids

CREATE TABLE leads (email text, domain text);
INSERT INTO leads VALUES
    ('Ann@Example.com', 'acme.example'),
    ('bob@example.com', 'shared.example'),
    ('nobody@example.com', 'acme.example');

SELECT from_id, to_id, from_record, to_record, ok, error_message
FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
    'SELECT email AS from_id, domain AS to_id FROM leads')
ORDER BY input_no;

-- The nightly job: a table of links, as it came from elsewhere

CREATE TABLE crm_links (
    link_no    bigint GENERATED ALWAYS AS IDENTITY,
    contact_id bigint,
    company_id text,
    type_id    int,
    source     text,
    note       text
);
\copy crm_links (contact_id, company_id, type_id, source, note) from test/demo/crm_links.csv csv header

SELECT * FROM crm_links ORDER BY link_no LIMIT 5;

-- All of it to HubSpot: one result row per input row, whatever happens

CREATE TABLE sent AS
SELECT * FROM hs_assoc_batch_create('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id, type_id
     FROM crm_links ORDER BY link_no');

SELECT ok, error_category, count(*)
FROM sent GROUP BY 1, 2 ORDER BY 1 DESC, 2;

-- The failures, beside the rows they came from: input_no counts the query's rows

SELECT link_no, contact_id, company_id, type_id, note, error_category, error_message
FROM crm_links JOIN sent ON input_no = link_no
WHERE NOT ok ORDER BY link_no;

-- Put right, and sent again

UPDATE crm_links SET contact_id = 70100009 WHERE contact_id IN (70100007, 70100008);
UPDATE crm_links SET company_id = '9001017' WHERE company_id = 'ACME-17';
UPDATE crm_links SET type_id = 279 WHERE type_id = 280;
DELETE FROM crm_links WHERE company_id IS NULL;

SELECT input_no, from_id, to_id, ok, labels, http_status
FROM hs_assoc_batch_create('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id, type_id
     FROM crm_links JOIN sent ON input_no = link_no
     WHERE NOT ok ORDER BY link_no');

-- The notes know who is a key user: a label, given by its name

SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Key user', 'key_user');

SELECT ok, labels, count(*)
FROM hs_assoc_batch_create('contacts', 'companies',
    $$ SELECT contact_id AS from_id, company_id AS to_id, note AS label
       FROM crm_links WHERE note = 'key user' $$)
GROUP BY 1, 2;

-- ... and who has left: these associations are removed

SELECT ok, count(*)
FROM hs_assoc_batch_archive('contacts', 'companies',
    $$ SELECT contact_id AS from_id, company_id AS to_id
       FROM crm_links WHERE note = 'left in spring?' $$)
GROUP BY ok;

DELETE FROM crm_links WHERE note = 'left in spring?';

-- Read back: what HubSpot holds, and whether the table says the same

CREATE TABLE held AS
SELECT * FROM hs_assoc_batch_read('contacts', 'companies',
    'SELECT DISTINCT contact_id AS from_id FROM crm_links');

SELECT category, type_id, label, count(*)
FROM held GROUP BY 1, 2, 3 ORDER BY 1, 2;

SELECT contact_id::text, company_id FROM crm_links
EXCEPT
SELECT from_id, to_id FROM held;

-- HubSpot is to hold what the table says, and no more: what would have to change?

UPDATE crm_links SET company_id = '9001050' WHERE link_no IN (1, 2);

SELECT change_no, action, from_id, to_id
FROM hs_assoc_plan('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id FROM crm_links');

-- That is what was meant: apply it

SELECT change_no, action, from_id, to_id, ok
FROM hs_assoc_apply('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id FROM crm_links');

-- Somebody changes something by hand; the next plan finds it

SELECT from_id, ok FROM hs_assoc_batch_archive('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id FROM crm_links WHERE link_no = 1');

SELECT change_no, action, from_id, to_id, ok
FROM hs_assoc_apply('contacts', 'companies',
    'SELECT contact_id AS from_id, company_id AS to_id FROM crm_links');

-- A table that HubSpot follows: what is there, and each change from now on

CREATE TABLE deal_companies (
    deal_id    bigint,
    company_id bigint,
    PRIMARY KEY (deal_id, company_id)
);
INSERT INTO deal_companies VALUES (5200011, 9001002), (5200012, 9001003);

SELECT hs_assoc_enable_sync('deal_companies', 'deals', 'deal_id', 'companies', 'company_id',
                            backfill => true);

-- A change is in the outbox in its own transaction; after the commit a worker sends it

BEGIN;
INSERT INTO deal_companies VALUES (5200013, 9001004), (5200014, 9001005);
UPDATE deal_companies SET company_id = 9001006 WHERE deal_id = 5200012;
DELETE FROM deal_companies WHERE deal_id = 5200011;

SELECT operation, from_type, from_id, to_type, to_id FROM hs_assoc_outbox
WHERE enqueued_at = now() ORDER BY id;
COMMIT;

-- A moment later: the outbox is empty, and HubSpot holds what the table says

CALL until_sent();

SELECT from_id, to_id, label
FROM hs_assoc_batch_read('deals', 'companies', '{5200011,5200012,5200013,5200014}'::text[])
ORDER BY 1, 2;

-- Somebody changes two associations by hand, in HubSpot

SELECT ok FROM hs_assoc_archive('deals', 5200013, 'companies', 9001004);
SELECT ok FROM hs_assoc_create_default('deals', 5200013, 'companies', 9001007);

-- What differs from the table

SELECT sync, action, from_id, to_id FROM hs_assoc_drift('deal_companies') ORDER BY change_no;

-- Put right, by the outbox

SELECT hs_assoc_repair('deal_companies', mode => 'mirror');
CALL until_sent();

SELECT count(*) AS differences FROM hs_assoc_drift('deal_companies');

-- Workers find such changes by themselves, and put them right, if the sync has verify

SELECT hs_assoc_disable_sync('deal_companies');
SELECT hs_assoc_enable_sync('deal_companies', 'deals', 'deal_id', 'companies', 'company_id',
    verify => '1 second', on_drift => 'mirror');
SELECT ok FROM hs_assoc_archive('deals', 5200014, 'companies', 9001005);
SELECT ok FROM hs_assoc_create_default('deals', 5200014, 'companies', 9001007);
CALL until_repaired(2);

SELECT action, from_id, to_id, state, repairs FROM hs_assoc_drift_log ORDER BY action;
SELECT count(*) AS differences FROM hs_assoc_drift('deal_companies');

-- The leads in sync, by e-mail and domain: who isn't in HubSpot yet is waited for

CREATE TABLE lead_links (email text, domain text, PRIMARY KEY (email, domain));
SELECT hs_assoc_enable_sync('lead_links', 'contacts:email', 'email', 'companies:domain', 'domain');

INSERT INTO lead_links VALUES ('nobody@example.com', 'acme.example');
CALL until_sent();

SELECT from_id, to_id, wait_for_records, error_message FROM hs_assoc_outbox;

-- ... until there is such a contact

\! test/demo/new_contact 70100003 nobody@example.com
CALL until_found();

SELECT from_id, to_id, to_record FROM hs_assoc_list('contacts:email', 'nobody@example.com', 'companies:domain');

-- Another spelling is not a change, and nothing is sent

UPDATE lead_links SET email = 'Nobody@Example.com ';
SELECT count(*) AS enqueued FROM hs_assoc_outbox;

-- What HubSpot refuses is a dead letter: here a label that there isn't

SELECT hs_assoc_enqueue('create', 'deals', 'companies',
    $$ SELECT deal_id AS from_id, company_id AS to_id, 'Reseller' AS label
       FROM deal_companies WHERE deal_id > 5200012 $$, keep_labels => true);
CALL until_sent();

SELECT id, operation, from_id, to_id, labels, error_category, error_message
FROM hs_assoc_dead_letter ORDER BY id;

-- Mended, and sent again

SELECT * FROM hs_assoc_label_create('deals', 'companies', 'Reseller', 'reseller');

SELECT hs_assoc_retry();
CALL until_sent();

SELECT from_id, to_id, label
FROM hs_assoc_batch_read('deals', 'companies', '{5200011,5200012,5200013,5200014}'::text[])
WHERE label IS NOT NULL ORDER BY 1, 2;

SELECT requests, inputs, confirmed, failed, errors FROM hs_assoc_stat();
