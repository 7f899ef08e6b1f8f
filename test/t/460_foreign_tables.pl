# Foreign tables: what is asked for, by how many requests, with whose rights, and what is
# refused.

use strict;
use warnings;
use utf8;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off', 'log_temp_files' => '-1');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s');
my $session = start_session($node);
$session->query(q{
CREATE FOREIGN TABLE t (from_id text, to_id text, category text, type_id int, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE pairs (a bigint OPTIONS (role 'from_id'), b bigint OPTIONS (role 'to_id'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', rows_per_key '2');
CREATE FOREIGN TABLE keyed (from_id text, to_id text, is_primary boolean)
	SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies:domain');
CREATE TABLE l (id text, n int);
INSERT INTO l SELECT i, i % 3 FROM generate_series(1, 50) i;
ANALYZE l;
});
$hubspot->generate_associations('contacts', 'companies', { count => 3000, per_from => 2 });

#
# Which records are asked for, and by how many requests
#
asks("SELECT * FROM t WHERE from_id = '7'", 1, "7|13|HUBSPOT_DEFINED|279|\n7|14|HUBSPOT_DEFINED|279|", 'one record');
asks("SELECT * FROM t WHERE '7' = from_id AND to_id = '14'", 1, '7|14|HUBSPOT_DEFINED|279|', 'one, and a further condition');
asks("SELECT b FROM pairs WHERE a = 7", 1, "13\n14", 'numbers');
asks("SELECT b FROM pairs WHERE a = 7::smallint", 1, "13\n14", '... of another size');
asks("SELECT count(*) FROM t WHERE from_id = ANY (ARRAY(SELECT i::text FROM generate_series(1, 2500) i))", 3, '5000', '2,500 records');
asks("SELECT count(*) FROM pairs WHERE a IN (1, 2, 3)", 1, '6', 'a list');
asks("SELECT count(*) FROM t WHERE from_id = '1' OR from_id IN ('2', '3') AND label IS NULL", 1, '6', 'with OR');
asks("SELECT count(*) FROM t WHERE from_id = '1' OR to_id = '1'", undef, qr/cannot be read/, '... of both sides');
asks("SELECT count(*) FROM t WHERE from_id = '1' OR label = 'x' AND type_id = 3", undef, qr/cannot be read/, '... with AND that names none');
asks("SELECT count(*) FROM t WHERE from_id = ANY ('{" . join(',', 1 .. 300) . "}')", 1, '600', 'a list that is longer than the planner takes for all');
like($session->query("EXPLAIN SELECT FROM t WHERE from_id = ANY ('{" . join(',', 1 .. 300) . "}')"), qr/rows=1\d\d\d\b/, '... whose records have rows each, as it knows');
asks("SELECT count(*) FROM t WHERE (from_id, to_id) IN (('1', '1'), ('2', '4'), ('3', '1'))", 1, '2', 'rows');
asks("SELECT from_id, to_id FROM t WHERE to_id = '14'", 1, '7|14', 'from the other side');
asks("SELECT * FROM t WHERE to_id IN ('14', '1')", 2, "1|1|HUBSPOT_DEFINED|279|\n7|14|HUBSPOT_DEFINED|279|", '... with types, which are those of from -> to');
asks("SELECT a FROM pairs WHERE b = 14", 1, '7', '... and pairs');
asks("SELECT t FROM t WHERE to_id = '14'", 2, '(7,14,HUBSPOT_DEFINED,279,)', '... and whole rows');
asks("SELECT count(*) FROM pairs WHERE a = ANY (ARRAY(SELECT generate_series(1, 600))) AND b = 5", 1, '1', 'the side with fewer');

# Nothing, twice the same, and what is no id
asks("SELECT * FROM t WHERE from_id = NULL", 0, '', 'null');
asks("SELECT * FROM t WHERE from_id = ANY (NULL)", 0, '', 'a null array');
asks("SELECT * FROM t WHERE from_id = ANY ('{}')", 0, '', 'an empty array');
asks("SELECT * FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM l WHERE n > 5))", 0, '', 'an empty query');
asks("SELECT to_id FROM t WHERE from_id = ANY ('{7,NULL,7}')", 1, "13\n14", 'nulls, and the same twice');
asks("SELECT to_id FROM t WHERE from_id = ANY ('{{7},{8}}')", 1, "13\n14\n15\n16", 'two dimensions');
asks("SELECT count(*) FROM t WHERE from_id IN ('', 'no id', 'é', '..')", 0, '0', 'what no record can be called');
as('postgres', "SELECT FROM t WHERE from_id = '-1'", qr/could not read the associations of contacts -1 with companies\n.*"-1" is not a record id/s, '... but what HubSpot says is no id is an error');
asks("SELECT count(*) FROM t WHERE from_id = ' 7'", 0, qr/22023: a condition on from_id of foreign table public\.t has " 7", which the column holds in another form.*btrim/s, 'white space');
asks("SELECT count(*) FROM t WHERE from_id = E'7 \\t'", 0, qr/which the column holds in another form.*The column holds "7"/s, '... at its end');
asks("SELECT count(*) FROM t WHERE from_id = '999999'", 1, '0', 'a record that has none');
asks("SELECT count(*) FROM t WHERE from_id = (random() * 0 + 7)::int::text", undef, qr/0A000: foreign table public\.t cannot be read without a condition that names records.*from_id = ANY \(ARRAY\(SELECT/s, 'what changes from row to row');
asks("SELECT count(*) FROM t WHERE from_id <> ALL ('{1}')", undef, qr/cannot be read/, 'all others');
asks("SELECT count(*) FROM t", undef, qr/cannot be read/, 'all');
asks("SELECT count(*) FROM t WHERE from_id = current_setting('my.id')", 1, '2', 'a setting, which is stable', "SET my.id = '7'");

# Parameters, in custom and generic plans
foreach my $mode (qw(force_custom_plan force_generic_plan))
{
	$session->query("SET plan_cache_mode = $mode; DEALLOCATE ALL");
	$session->query("PREPARE one(text) AS SELECT to_id FROM t WHERE from_id = \$1; PREPARE many_(bigint[]) AS SELECT count(*) FROM pairs WHERE a = ANY (\$1)");
	asks("EXECUTE one('7')", 1, "13\n14", "$mode: a parameter");
	asks("EXECUTE one(NULL)", 0, '', "$mode: null");
	asks("EXECUTE many_('{7,8}')", 1, '4', "$mode: an array");
	asks("EXECUTE many_(NULL)", 0, '0', "$mode: a null array");
}
$session->query('RESET plan_cache_mode');

# LIMIT: no further pages
$hubspot->generate_associations('deals', 'contacts', { per_from => 60000 });
$session->query(q{CREATE FOREIGN TABLE many (from_id text, to_id text, label text, type_id int) SERVER hubspot OPTIONS (from_type 'deals', to_type 'contacts')});
asks("SELECT count(*) FROM (SELECT FROM many WHERE from_id = '1' LIMIT 10) s", 1, '10', '10 of 60,000');
asks("SELECT count(*), count(DISTINCT to_id) FROM many WHERE from_id = '1'", 120, '60000|60000', 'all of them');
asks("SELECT count(*) FROM (VALUES ('1'), ('2')) v(id), LATERAL (SELECT FROM many WHERE from_id = id LIMIT 600) s", 3, '600', 'some of them for a row of another table');
asks("SELECT EXISTS (SELECT FROM many WHERE from_id = '1')", 1, 't', 'is there any');

# Again and again
asks("SELECT count(*), sum(n) FROM l JOIN t ON from_id = CASE WHEN n = 0 THEN '7' ELSE '8' END", 1, '100|102', 'a join that needs two records: not asked for twice', 'SET enable_memoize = off');
asks("SELECT (SELECT count(*) FROM t WHERE from_id = (n + 1)::text) FROM l WHERE id::int < 7", 3, "2\n2\n2\n2\n2\n2", 'a subquery for each row');
asks("SELECT (SELECT count(*) FROM t WHERE from_id = '1' AND to_id <> l.id) FROM l WHERE id::int < 5", 1, "1\n1\n2\n2", '... of which only the filter differs');
asks("SELECT (SELECT count(*) FROM t WHERE from_id = '1' HAVING count(*) > n) FROM l WHERE id::int < 5", 2, "\n2\n2\n2", '... that nobody has expected to come again: asked for twice, and then kept');
$hubspot->generate_associations('deals', 'contacts', { first_from => 1000, count => 9000, first_to => 70000, to_count => 1 });
asks("SELECT count(*), count(type_id) FROM (VALUES ('70000'), ('1')) v(id), LATERAL (SELECT type_id FROM many WHERE to_id = id LIMIT 4000) s", undef, '4001|4001', '... in the middle of what is read from the other side');
asks("SELECT id, label FROM (VALUES ('1'), ('2')) v(id), LATERAL (SELECT label FROM many WHERE to_id = id LIMIT 1) s", undef, "1|\n2|", '... from the other side, of records with many, which are left in the middle');
asks("SELECT count(*) FROM l WHERE EXISTS (SELECT FROM t WHERE from_id = (5000 * n + 1)::text)", undef, '16', 'whether there is any');
asks("SELECT count(*) FROM l a, t x, t y WHERE x.from_id = '1' AND y.from_id = '2' AND a.id = '5'", 2, '4', 'two scans at once');
asks("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT to_id FROM t WHERE from_id IN ('1', '2'); FETCH 3 FROM c; MOVE ABSOLUTE 0 FROM c; FETCH ALL FROM c; FETCH BACKWARD 2 FROM c; COMMIT",
	1, "1\n2\n3\n1\n2\n3\n4\n4\n3", 'a cursor that goes back');
asks("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT to_id FROM t WHERE from_id IN ('1', '2'); FETCH 1 FROM c; COMMIT; FETCH ALL FROM c; CLOSE c", undef, "1\n2\n3\n4", 'a cursor that outlives its transaction');
asks("BEGIN; DECLARE c CURSOR FOR SELECT to_id FROM t WHERE from_id IN ('1', '2'); FETCH 1 FROM c; SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; FETCH 1 FROM c; SAVEPOINT s2; FETCH 1 FROM c; RELEASE s2; FETCH 5 FROM c; COMMIT",
	1, qr/^1\n2\n3\n4(psql|$)/, 'a subtransaction that fails in the middle of a scan');
$session->query("SET work_mem = '64kB'");
asks("SELECT count(*), count(DISTINCT to_id) FROM (VALUES ('1'), ('1')) v(id) JOIN LATERAL (SELECT * FROM many WHERE from_id = id OFFSET 0) s ON true", 120, '120000|60000', 'more rows than work_mem holds, twice');
asks("SELECT count(*) FROM generate_series(1, 2000) i JOIN LATERAL (SELECT * FROM t WHERE from_id = (i % 1000 + 1)::text OFFSET 0) s ON true", undef, '4000', 'more records than work_mem holds');
$session->query('RESET work_mem');

# Joins: the records of a thousand rows at once
$session->query(q{CREATE TABLE many_l (id text, n int); INSERT INTO many_l SELECT i, i % 7 FROM generate_series(1, 5000) i; ANALYZE many_l});
asks("SELECT count(*), count(DISTINCT from_id) FROM many_l JOIN t ON from_id = id", 5, '6000|3000', 'a join of 5,000 rows');
asks("SELECT count(*), count(from_id) FROM many_l LEFT JOIN t ON from_id = id AND to_id <> '1'", 5, '7999|5999', '... an outer one');
asks("SELECT count(*) FROM many_l WHERE EXISTS (SELECT FROM t WHERE from_id = id)", 5, '3000', '... whether there is any');
asks("SELECT count(*) FROM many_l WHERE NOT EXISTS (SELECT FROM t WHERE from_id = id)", 5, '2000', '... or none');
asks("SELECT count(*) FROM t WHERE from_id IN (SELECT id FROM many_l WHERE n = 3)", 1, '858', '... IN');
asks("SELECT id FROM many_l JOIN t ON from_id = id ORDER BY id::int LIMIT 2", 5, "1\n1", '... in order');
asks("SELECT count(*) FROM (SELECT FROM many_l JOIN t ON from_id = id LIMIT 10) s", 1, '10', '... 10 of them');
asks("SELECT count(*) FROM many_l JOIN t ON to_id = id", 5, '5000', '... from the other side');
asks("SELECT count(type_id), count(label) FROM many_l JOIN t ON to_id = id", 10, '5000|0', '... and with its types');
asks("SELECT count(*) FROM many_l JOIN t ON from_id = id AND to_id = (2 * id::int)::text", undef, '3000', '... by both sides');
asks("SELECT count(*) FROM l a, LATERAL (SELECT a.id AS x FROM generate_series(1, 2) OFFSET 0) b JOIN t ON from_id = b.x", undef, '200', '... of rows that each come from another one');
asks("SELECT count(*), count(type_id) FROM many_l LEFT JOIN LATERAL (SELECT type_id FROM t WHERE to_id IN (id, (id::int + 1)::text) LIMIT 1) s ON true WHERE id::int < 20", undef, '19|19', '... one of each, from the other side');
asks("SELECT count(*) FROM many_l a JOIN t ON from_id = a.id JOIN many_l b ON b.id = to_id WHERE a.n = 1", undef, qr/^\d+$/, '... of three');
asks("SELECT count(*) FROM t x JOIN t y ON x.to_id = y.to_id WHERE x.from_id IN ('1', '2', '3')", undef, '6', '... with itself');
like($session->query("EXPLAIN SELECT FROM many_l JOIN t ON from_id = id"), qr/HubspotAhead/, '... which EXPLAIN shows');
asks("SELECT count(*), sum((SELECT count(*) FROM l JOIN t ON from_id = l.id WHERE l.n = m.n)) FROM (VALUES (0), (1), (2), (0)) m(n)", 3, '4|132', '... again and again');
my $unparameterised = "SELECT count(*) FROM (VALUES (0), (1)) m(n) LEFT JOIN (many_l JOIN t ON from_id = id) ON many_l.n >= m.n";
$session->query("SET enable_$_ = off") foreach qw(material hashjoin mergejoin);
like($session->query("EXPLAIN $unparameterised"), qr/Values Scan.*\n.*Nested Loop.*\n.*HubspotAhead/, '... and of the same rows');
asks($unparameterised, undef, $session->query("SELECT sum(CASE WHEN n >= 1 THEN 2 ELSE 1 END) FROM many_l JOIN t ON from_id = id WHERE n >= 0"), '... with all of these');
$session->query("RESET enable_$_") foreach qw(material hashjoin mergejoin);
$session->query("SET work_mem = '64kB'");
asks("SELECT count(*), count(DISTINCT from_id) FROM many_l JOIN t ON from_id = id", 5, '6000|3000', '... of more records than work_mem holds');
$session->query('RESET work_mem');

# What belongs to rows
asks("SELECT tableoid::regclass, to_id FROM t WHERE from_id = '7'", 1, "t|13\nt|14", 'tableoid');
asks("SELECT ctid FROM t WHERE from_id = '7'", 1, "(4294967295,0)\n(4294967295,0)", 'ctid, which means nothing');
$session->query(q{
ALTER FOREIGN TABLE pairs DROP COLUMN a, ADD COLUMN x text OPTIONS (role 'label'), ADD COLUMN c text OPTIONS (role 'from_id');
CREATE TABLE parent (from_id text, to_id text, label text) PARTITION BY LIST (label);
CREATE FOREIGN TABLE part PARTITION OF parent DEFAULT SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE TABLE part_local PARTITION OF parent FOR VALUES IN ('here');
INSERT INTO parent VALUES ('7', '99', 'here');
});
asks("SELECT * FROM pairs WHERE c = '7'", 1, "13||7\n14||7", 'columns that were dropped and added');
asks("SELECT * FROM parent WHERE from_id = '7' ORDER BY to_id::int", 1, "7|13|\n7|14|\n7|99|here", 'a partition');
asks("SELECT p FROM parent p WHERE from_id = '7' ORDER BY to_id::int LIMIT 1", 1, '(7,13,)', '... and its whole rows');
asks("SELECT count(*) FROM parent JOIN l ON from_id = l.id WHERE l.id IN ('7', '8')", undef, '5', '... in a join');
$session->query('ALTER FOREIGN TABLE pairs ALTER COLUMN c TYPE bigint');
asks("SELECT c FROM pairs WHERE c = 7 LIMIT 1", 1, '7', 'a column of another type');
asks("ANALYZE t", 0, qr/WARNING:.*skipping "t"/s, 'ANALYZE');
asks("SELECT label FROM t WHERE from_id = '1' FOR UPDATE", 1, "\n", 'FOR UPDATE');

# Labels; a row for each type, or for each pair
$session->query(q{SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
	SELECT FROM hs_assoc_create('contacts', '7', 'companies', '13', labels => '{Billing}')});
asks("SELECT to_id, label FROM t WHERE from_id = '7' ORDER BY 1, 2 NULLS FIRST", 1, "13|\n13|Billing\n14|", 'a row for each type');
asks("SELECT count(*) FROM t WHERE to_id = '13'", 1, '2', '... from the other side, too');
asks("SELECT from_id, label FROM t WHERE to_id = '13' AND label = 'Billing'", 2, '7|Billing', '... and their labels');
$session->query("ALTER FOREIGN TABLE pairs DROP COLUMN x");
asks("SELECT * FROM pairs WHERE c = 7", 1, "13|7\n14|7", 'a row for each pair');

# Keys
$hubspot->put_records(contacts => [ { id => '7', properties => { email => 'ann@example.com' } }, { id => '8', properties => { email => 'bob@example.com' } } ]);
$hubspot->put_records(companies => [ { id => '13', properties => { domain => 'ACME.com' } }, { id => '14', properties => {} },
	{ id => '15', properties => { domain => 'dup.example' } }, { id => '17', properties => { domain => 'dup.example' } } ]);
asks("SELECT * FROM keyed WHERE from_id = 'ann\@example.com' ORDER BY to_id, 3", 3, "ann\@example.com|acme.com|f\nann\@example.com|acme.com|f\nann\@example.com||f", 'keys, in their normal form');
asks("SELECT DISTINCT from_id, to_id FROM keyed WHERE to_id = 'acme.com' AND NOT is_primary", undef, "ann\@example.com|acme.com", '... from the other side');
$session->query(q{CREATE FOREIGN TABLE numbered (from_id text, to_id bigint) SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies:domain')});
asks("SELECT * FROM numbered WHERE from_id = 'ann\@example.com'", undef, qr/22003: column to_id of foreign table public\.numbered is of type bigint, and "acme\.com" is not one.*Make the column of type text/s, '... which the column cannot hold');
asks("SELECT * FROM keyed WHERE from_id = 'nobody\@example.com'", 1, '', '... of nobody');
asks("SELECT * FROM keyed WHERE from_id = ' Ann\@Example.com'", 0, qr/22023.*The column holds "ann\@example\.com".*Compare from_id with lower\(btrim\(\.\.\.\)\)/s, '... in another form');
asks("SELECT * FROM keyed WHERE from_id = ''", 0, '', '... that none can be');
asks("SELECT * FROM keyed WHERE to_id = 'dup.example'", undef, qr/P0003|21000|ERROR/, '... of two records');

# What cannot be read is an error
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 500 } });
asks("SELECT * FROM t WHERE from_id = '7'", 1, qr/ERROR:  38000: could not read the associations of contacts 7 with companies/, 'a failure');
$hubspot->clear_rules;
$hubspot->settings({ bad_batch => 'partial' });
asks("SELECT count(*) FROM t WHERE from_id IN ('7', 'abc')", undef, qr/ERROR:.*could not read the associations of contacts abc/, 'an id that HubSpot refuses');
$hubspot->rules({ match => { path => 'batch/read' }, action => { results => ['numbers', 'double', 'foreign'] } });
asks("SELECT b FROM pairs WHERE c = 7", 1, "13\n14", 'odd answers');
$hubspot->clear_rules;

# What the scan fulfils is not looked for in a long array, but for each row of EvalPlanQual
unlike($session->query("EXPLAIN (COSTS off) SELECT FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM l))"), qr/Filter/, 'an array is not gone through for each row');
unlike($session->query("EXPLAIN (COSTS off) SELECT FROM (SELECT array_agg(id) AS ids FROM l OFFSET 0) u JOIN t ON from_id = ANY (ids)"), qr/Filter/, '... nor one of another table');
like($session->query("EXPLAIN (COSTS off) SELECT FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM l)) AND to_id = ANY (ARRAY(SELECT id FROM l))"), qr/Filter: \(to_id = ANY/, '... but another condition is');
like($session->query("EXPLAIN (COSTS off) SELECT FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM l)) OR from_id = '3'"), qr/Filter: /, '... or a part of one');

#
# What the planner takes it to cost: requests come first, and do not make small queries be compiled
#
$session->query(q{CREATE TABLE costs AS SELECT i::text AS id, i AS n FROM generate_series(1, 400) i; ANALYZE costs;
	CREATE FOREIGN TABLE whole (from_id text, to_id text, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all')});
like($session->query("EXPLAIN SELECT * FROM t WHERE from_id = '7'"), qr/cost=200\.00\.\.200\.\d\d rows=5 /, 'a record is a request');
like($session->query("EXPLAIN SELECT from_id FROM t WHERE to_id = '7'"), qr/cost=200\.00\.\.200\.\d\d rows=5 /, '... of the other side');
like($session->query("EXPLAIN SELECT * FROM t WHERE to_id = '7'"), qr/cost=200\.00\.\.400\.\d\d rows=5 /, '... with types two');
like($session->query("EXPLAIN SELECT * FROM t WHERE from_id = ANY ('{1,2,3}')"), qr/cost=200\.00\.\.200\.\d\d rows=15 /, 'three records are one');
ok($session->query("EXPLAIN SELECT * FROM t WHERE from_id = ANY ('{" . join(',', 1 .. 2500) . "}')") =~ /cost=2\d\d\.\d\d\.\.(?:[6-9]\d\d|10\d\d)\.\d\d rows=12500 /, '2,500 are three');
like($session->query("EXPLAIN SELECT * FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM costs))"), qr/rows=(?:49|50) /, 'an array of which nothing is known has ten');
like($session->query("EXPLAIN SELECT * FROM t JOIN costs ON from_id = id"), qr/HubspotAhead.*Foreign Scan on t  \(cost=0\.50\.\.0\.\d\d rows=5 /s, 'outer rows share a request');
like($session->query("EXPLAIN SELECT * FROM whole"), qr/cost=400\.00\.\.23400\.00 rows=1000 /, 'an account that was never analyzed');
foreach my $sql ("SELECT * FROM t WHERE from_id = '7'",
	"SELECT * FROM t WHERE to_id = ANY (ARRAY(SELECT id FROM costs)) AND label = 'x'",
	"SELECT * FROM t JOIN costs ON from_id = id", "SELECT * FROM t JOIN costs ON to_id = id", "SELECT * FROM costs WHERE NOT EXISTS (SELECT FROM t WHERE to_id = id)",
	"SELECT *, (SELECT count(*) FROM t WHERE from_id = id) FROM costs",
	"SELECT * FROM costs, LATERAL (SELECT * FROM t WHERE from_id = id LIMIT 3) AS s",
	"SELECT * FROM t AS a JOIN t AS b ON b.from_id = a.to_id JOIN t AS c ON c.from_id = b.to_id WHERE a.from_id = '7'",
	"SELECT count(*) FROM whole WHERE label = 'x'", "SELECT * FROM costs RIGHT JOIN whole ON from_id = id")
{
	my ($cost) = $session->query("EXPLAIN $sql") =~ /cost=[\d.]+\.\.([\d.]+)/;
	cmp_ok($cost, '<', 100_000, "less than jit_above_cost: $sql");
}

#
# EXPLAIN
#
is(explained("SELECT count(*) FROM t"), 'HubSpot Records: none named: an error', 'EXPLAIN of what cannot be read');
is(explained("SELECT * FROM t WHERE from_id = '7'"), 'HubSpot Records: from_id', 'EXPLAIN asks for nothing');
is(explained("SELECT label FROM t WHERE to_id = '7'", 'VERBOSE'), "HubSpot Records: to_id\nHubSpot Request: POST /crm/associations/2026-03/companies/contacts/batch/read\nHubSpot Second Request: POST /crm/associations/2026-03/contacts/companies/batch/read", 'EXPLAIN (VERBOSE)');
$hubspot->rules({ match => { first => 1 }, action => { status => 503 } });
$session->query("ALTER SERVER hubspot OPTIONS (SET max_retries '3', ADD max_retry_delay '20ms')");
is(explained("SELECT * FROM t WHERE from_id = '7'", 'ANALYZE, TIMING off, SUMMARY off'), "HubSpot Records: from_id\nHubSpot Requests: 2\nHubSpot Retries: 1", 'EXPLAIN (ANALYZE)');
$hubspot->clear_rules;
$session->query("ALTER SERVER hubspot OPTIONS (SET rate_limit '1')");
$session->query("SELECT FROM t WHERE from_id = '7'");
{
	$session->query("SET statement_timeout = '300ms'");
	$session->send("SELECT FROM t WHERE from_id = '8'");
	my (undef, $err) = $session->finish;
	like($err, qr/57014/, 'a scan that waits for the rate limit is canceled');
	$session->query("RESET statement_timeout");
}
$session->query("ALTER SERVER hubspot OPTIONS (SET rate_limit '0')");
like($session->query("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM t WHERE from_id = '7'"),
	qr/"HubSpot Requests": 1,\s+"HubSpot Retries": 0,\s+"HubSpot Throttled Time": 0\.000/, '... in other formats');

# A cancel, in flight
$hubspot->rules({ match => { path => 'batch/read' }, action => { hang => 1 } });
$session->send("SELECT FROM t WHERE from_id = '8'");
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
$session->cancel;
like(($session->finish)[1], qr/57014/, 'a scan in flight is canceled');
$hubspot->clear_rules;
asks("SELECT to_id FROM t WHERE from_id = '7' AND to_id = '14'", 1, '14', '... and the next one works');

#
# Whose rights
#
$session->query(q{
CREATE ROLE owner; CREATE ROLE reader; CREATE ROLE stranger;
CREATE SCHEMA own AUTHORIZATION owner; GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER hubspot TO owner;
SET ROLE owner;
CREATE FOREIGN TABLE own.t (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE VIEW own.v AS SELECT * FROM own.t;
CREATE VIEW own.invoker WITH (security_invoker) AS SELECT * FROM own.t;
CREATE VIEW own.barrier WITH (security_barrier) AS SELECT * FROM own.t WHERE to_id <> '14';
GRANT SELECT ON own.t TO reader;
GRANT SELECT ON own.v, own.invoker, own.barrier TO reader, stranger;
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER hubspot;
CREATE USER MAPPING FOR reader SERVER hubspot OPTIONS (access_token 'test-token');
});
as(reader => "SELECT count(*) FROM own.t WHERE from_id = '7'", '2', 'a reader without USAGE on the server');
as(reader => "SELECT FROM hs_assoc_list('contacts', 7, 'companies')", qr/42501: permission denied for foreign server/, '... who may do nothing else with the token');
as(stranger => "SELECT count(*) FROM own.t WHERE from_id = '7'", qr/42501: permission denied for foreign table t/, 'one without the privilege');
as(reader => "SELECT count(*) FROM own.v WHERE from_id = '7'", qr/user mapping for user "owner" and server "hubspot" not found/, "a view reads with its owner's mapping");
as(reader => "SELECT count(*) FROM own.invoker WHERE from_id = '7'", '2', "... and one of security_invoker with the caller's");
as(stranger => "SELECT count(*) FROM own.invoker WHERE from_id = '7'", qr/42501/, '... and privilege');
$session->query("DROP USER MAPPING FOR reader SERVER hubspot; CREATE USER MAPPING FOR owner SERVER hubspot OPTIONS (access_token 'test-token')");
as(stranger => "SELECT count(*) FROM own.v WHERE from_id = '7'", '2', 'a view that its owner may read');
as(reader => "SELECT count(*) FROM own.t WHERE from_id = '7'", qr/42704: user mapping for user "reader"/, 'a reader without a mapping');
as(reader => "EXPLAIN (COSTS off) SELECT FROM own.t WHERE from_id = '7'", qr/HubSpot Records: from_id/, '... may EXPLAIN');
$session->query(q{CREATE FUNCTION own.leak(text) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'leak %', $1; RETURN true; END$$});
as(stranger => "SELECT to_id FROM own.barrier WHERE from_id = '7' AND own.leak(to_id)", "13", 'a barrier holds', qr/leak 14/);
$session->query("REVOKE USAGE ON FOREIGN SERVER hubspot FROM owner");
as(owner => "SELECT count(*) FROM own.t WHERE from_id = '7'", qr/42501: permission denied for foreign server hubspot.*GRANT USAGE ON FOREIGN SERVER hubspot TO owner/s, "an owner who may no longer use the server");
as(owner => "CREATE FOREIGN TABLE own.u (from_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies')", qr/42501/, '... makes no further table');
$session->query("CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')");

#
# What is refused when a table is made, or when it is used
#
my $n = 0;
refused("from_id text", "from_type 'contacts'", qr/HV00J|HV00.*missing option "to_type"/, 'no to_type');
refused("from_id text", "from_type 'contacts', to_typ 'companies'", qr/HV00D: invalid option "to_typ".*Perhaps you meant the option "to_type"/s, 'a misspelt option');
refused("from_id text", "from_type 'contacts', to_type 'companies', concurrency '4'", qr/It is an option of servers, not of foreign tables/, "a server's option");
refused("from_id text", "from_type 'contacts', to_type ''", qr/HV00D: invalid value for option "to_type": "".*It is empty/s, 'an empty object type');
refused("from_id text", "from_type 'contacts:Email', to_type 'companies'", qr/capital letters.*write "email"/s, 'a property');
refused("from_id text", "from_type 'contacts', to_type 'companies', rows_per_key '0'", qr/from 1 to 1000000/, 'a number');
refused("from_id text OPTIONS (rol 'from_id')", "from_type 'contacts', to_type 'companies'", qr/Perhaps you meant the option "role"/, 'an option of a column');
refused("from_id text OPTIONS (role 'from')", "from_type 'contacts', to_type 'companies'", qr/invalid value for option "role"/, 'a role');
my $usual = "from_type 'contacts', to_type 'companies'";
unusable("from_id text", qr/HV005: foreign table public\.w\d+ has no column for to_id/, 'a column is missing');
unusable("from_id text, to_id text, lable text", qr/HV007: column "lable".*Perhaps it is meant to be label/s, 'a misspelt column');
unusable("from_id text, to_id text, remarks text", qr/column "remarks".*Give it the option role, with from_id, to_id,/s, 'another column');
unusable("from_id text, to_id int", qr/HV004: column "to_id".*of type integer.*must be of type text or bigint/s, 'a type');
unusable("from_id text, to_id text, x text OPTIONS (role 'to_id')", qr/two columns for to_id: "to_id" and "x"/, 'two for one');
unusable("from_id text, to_id text, label text GENERATED ALWAYS AS ('x') STORED", qr/is a generated column/, 'a generated column');

# A table whose options were changed behind the validator's back
$session->query(q{CREATE FOREIGN TABLE odd (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies'); SET allow_system_table_mods = on;
	UPDATE pg_foreign_table SET ftoptions = '{from_type=contacts}' WHERE ftrelid = 'odd'::regclass; RESET allow_system_table_mods});
asks("SELECT FROM odd WHERE from_id = '1'", 0, qr/HV00J: foreign table public\.odd has no valid option "to_type".*ALTER FOREIGN TABLE public\.odd OPTIONS \(ADD to_type/s, 'no to_type');
$session->query(q{DROP FOREIGN TABLE odd});

# A LATERAL subquery gives the scan without a condition columns of the outer side
$session->query('CREATE TABLE outer_rows AS SELECT i AS id, i AS x FROM generate_series(1, 3) AS i; CREATE ROLE nobody');
as(nobody => 'EXPLAIN SELECT o.id, s.* FROM outer_rows AS o LEFT JOIN LATERAL (SELECT f.to_id, o.x AS y FROM t AS f) AS s ON true',
	qr/permission denied/, 'it is planned before privileges are checked');
asks('SELECT o.id, s.* FROM outer_rows AS o LEFT JOIN LATERAL (SELECT f.to_id, o.x AS y FROM t AS f) AS s ON true', 0,
	qr/without a condition that names records/, 'LATERAL without a condition');

# A join of the partitions of two tables, one by one
$session->query(q{CREATE TABLE pt (id text) PARTITION BY LIST (id); CREATE TABLE pt1 PARTITION OF pt FOR VALUES IN ('7'); CREATE TABLE pt2 PARTITION OF pt FOR VALUES IN ('8');
	INSERT INTO pt VALUES ('7'), ('8'); ANALYZE pt;
	CREATE TABLE pf (from_id text, to_id text) PARTITION BY LIST (from_id);
	CREATE FOREIGN TABLE pf1 PARTITION OF pf FOR VALUES IN ('7') SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
	CREATE FOREIGN TABLE pf2 PARTITION OF pf FOR VALUES IN ('8') SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
	SET enable_partitionwise_join = on});
my $pairs = $session->query(q{SELECT count(DISTINCT (from_id, to_id)) FROM t WHERE from_id IN ('7', '8')});
cmp_ok($pairs, '>', 0, 'there are some');
asks('SELECT count(*) FROM pt JOIN pf ON pf.from_id = pt.id', 2, $pairs, 'a join of partitions');
asks('SELECT count(*) FROM pt LEFT JOIN pf ON pf.from_id = pt.id', 2, $pairs, '... from outside');
$session->query(q{CREATE TABLE pl (from_id text, to_id text, label text) PARTITION BY LIST (label);
	CREATE FOREIGN TABLE pl1 PARTITION OF pl FOR VALUES IN ('7') SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
	CREATE FOREIGN TABLE pl2 PARTITION OF pl FOR VALUES IN ('8') SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies')});
asks('SELECT * FROM pt LEFT JOIN LATERAL (SELECT f.label, f.to_id, pt.id AS y FROM pl AS f) AS s ON s.label = pt.id', 0, qr/without a condition that names records/, '... by what names no records');
asks('SELECT count(*) FROM t JOIN l ON from_id = to_id AND label = l.id', 0, qr/without a condition that names records/, '... nor does a join by a label');
asks('SELECT count(*) FROM pt LEFT JOIN LATERAL (SELECT f.from_id, f.to_id, pt.id AS y FROM pf AS f) AS s ON s.from_id = pt.id', undef, $pairs, '... with LATERAL');
$session->query('RESET enable_partitionwise_join');

# Two keys of one record, with types: each has its rows
$hubspot->put_records(companies => [ { id => '77', properties => { domain => 'two.example' } } ]);
$hubspot->put_records(contacts => [ { id => '99001', properties => { email => 'old@x.example', hs_additional_emails => 'new@x.example' } } ]);
$hubspot->put_associations('companies', 'contacts', [ [ '77', '99001' ] ]);
$session->query(q{CREATE FOREIGN TABLE by_mail (from_id text, to_id text, type_id int) SERVER hubspot OPTIONS (from_type 'companies', to_type 'contacts:email')});
asks(q{SELECT from_id, to_id, type_id FROM by_mail WHERE to_id IN ('old@x.example', 'new@x.example')}, undef,
	"77|new\@x.example|280\n77|old\@x.example|280", 'two keys of one record');

$session->quit;
done_testing();

# A statement gives these rows, in their order where it has one, or this error, for so many requests
sub asks
{
	my ($sql, $requests, $expected, $name, $before) = @_;
	$session->query($before) if $before;
	takes_requests($session, $hubspot, $sql, $requests, $expected, $name);
	$session->query('ROLLBACK') if $sql =~ /^BEGIN/;
	return;
}

# What EXPLAIN says of HubSpot
sub explained
{
	my ($sql, $options) = @_;
	my $plan = $session->query("EXPLAIN (COSTS off" . ($options ? ", $options" : '') . ") $sql");
	return join "\n", map { s/^\s+//r } grep { /HubSpot/ } split /\n/, $plan;
}

sub as
{
	my ($role, $sql, $expected, $name, $never) = @_;
	$session->query("SET ROLE $role");
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$session->query('RESET ROLE');
	ref $expected ? like("$out$err", $expected, $name) : is(join("\n", sort split /\n/, $out), $expected, $name) || diag($err);
	unlike($err, $never, "... and $name") if $never;
	return;
}

sub refused
{
	my ($columns, $options, $error, $name) = @_;
	$session->send("CREATE FOREIGN TABLE w ($columns) SERVER hubspot OPTIONS ($options)");
	my (undef, $err) = $session->finish;
	like($err, $error, "refused: $name");
	return;
}

sub unusable
{
	my ($columns, $error, $name) = @_;
	my $table = 'w' . ++$n;
	$session->query("CREATE FOREIGN TABLE $table ($columns) SERVER hubspot OPTIONS ($usual)");
	$session->send("EXPLAIN SELECT FROM $table WHERE from_id = '1'");
	my (undef, $err) = $session->finish;
	like($err, $error, "unusable: $name");
	return;
}
