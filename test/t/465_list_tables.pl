# Foreign tables of what an account defines: object types, and labels.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$hubspot->schema({ type => '2-77', name => 'machine', singular => 'Machine', plural => 'Machines' });
$session->query(q{CREATE SCHEMA hs; IMPORT FOREIGN SCHEMA hubspot LIMIT TO (labels, object_types) FROM SERVER hubspot INTO hs;
CREATE FOREIGN TABLE few (t text OPTIONS (role 'to_type'), label text, f text OPTIONS (role 'from_type')) SERVER hubspot OPTIONS (kind 'labels');
CREATE TABLE wanted (f text, t text);
INSERT INTO wanted VALUES ('contacts', 'companies'), ('companies', 'contacts');
SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss', 'Report');
});

asks('SELECT * FROM hs.object_types', 1, qr/0-1\|contacts\|\n.*2-77\|[^\n]*machine\|Machines(\n|$)/s, 'object types');
asks("SELECT count(*) FROM hs.object_types EXCEPT SELECT count(*) FROM hs_assoc_object_types()", 2, '', '... as many as the function has');
asks("SELECT object_type_id FROM hs.object_types WHERE label = 'Machines'", 1, '2-77', '... by a condition');
asks("SELECT * FROM hs.labels WHERE from_type = 'contacts' AND to_type = 'companies' AND label = 'Boss'", 1, 'contacts|companies|USER_DEFINED|1|Boss|f', 'labels');
asks("SELECT category, type_id, label, is_primary FROM hs.labels WHERE from_type = 'contacts' AND to_type = 'companies' EXCEPT SELECT * FROM hs_assoc_labels('contacts', 'companies')", 2, '', '... those that the function has');
asks("SELECT label FROM few WHERE f IN ('contacts', 'companies', 'contacts') AND t = ANY ('{companies,contacts,NULL}') AND label IN ('Boss', 'Report')", 4, "Boss\nReport", '... of several directions, each asked for once');
asks("SELECT label FROM few WHERE f = NULL AND t = 'companies'", 0, '', '... of none');
asks("SELECT w.f, (SELECT count(*) FROM few WHERE few.f = w.f AND few.t = w.t AND label IN ('Boss', 'Report')) FROM wanted w", 2, "companies|1\ncontacts|1", '... for rows of another table');

# What a scan has read is freed before it reads again
my $taken = q{SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'hubspot_assoc list%'};
$session->query(q{BEGIN; DECLARE c CURSOR FOR SELECT (SELECT count(*) FROM few WHERE few.f = w.f AND few.t = w.t) FROM wanted w, generate_series(1, 300); MOVE 50 FROM c});
my $before = $session->query($taken);
$session->query('MOVE 500 FROM c');
my $after = $session->query($taken);
cmp_ok($before, '>', 0, 'a scan that is repeated has memory');
cmp_ok($after - $before, '<=', 4096, 'and ten times as many take no more');
$session->query('COMMIT');

asks("SELECT w.f, s.label FROM wanted w LEFT JOIN LATERAL (SELECT * FROM few WHERE few.f = 'contacts' AND few.t = 'companies' AND label = 'Boss' OFFSET 0) s ON true", 1, "companies|Boss\ncontacts|Boss", '... again and again: read once', 'SET enable_material = off');
$session->query("PREPARE p(text) AS SELECT label FROM few WHERE f = \$1 AND t = 'companies' AND label = 'Boss'; SET plan_cache_mode = force_generic_plan");
asks("EXECUTE p('contacts')", 1, 'Boss', '... by a parameter');
asks("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT label FROM few WHERE f = 'contacts' AND t = 'companies' AND label = 'Boss'; FETCH c; MOVE ABSOLUTE 0 FROM c; FETCH c; COMMIT", 1, "Boss\nBoss", '... by a cursor');
asks("SELECT count(*) FROM few", 0, qr/0A000: foreign table public\.few cannot be read without conditions on f and t.*f = 'contacts' AND t = 'companies'/s, 'labels of no object types');
asks("SELECT count(*) FROM few WHERE f = 'contacts'", 0, qr/cannot be read without conditions/, '... of one');
asks("SELECT count(*) FROM wanted JOIN few USING (f, t)", 0, qr/cannot be read without conditions/, '... in a join');
asks("SELECT count(*) FROM few WHERE f = 'contacts:email' AND t = 'companies'", 0, qr/22023: a condition on foreign table public\.few names "contacts:email", which is not an object type/, 'an object type with a property');
asks("SELECT count(*) FROM few WHERE f = '' AND t = 'companies'", 0, qr/names "", which is not/, 'an empty one');
asks("SELECT count(*) FROM few WHERE f = 'unicorns' AND t = 'companies'", 1, qr/ERROR:.*could not read the labels from unicorns to companies/, 'one that there is not');
$hubspot->rules({ match => { path => 'labels' }, action => { status => 200, body => { results => 'no' } } });
asks("SELECT count(*) FROM few WHERE f = 'contacts' AND t = 'companies'", 1, qr/08P01.*not a list of association types/s, 'an answer that is none');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 200, body => { results => 'no' } } });
asks('SELECT * FROM hs.object_types', 1, qr/08P01.*not a list of object types/s, '... of object types');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 500 } });
asks('SELECT * FROM hs.object_types', 1, qr/38000: could not list the custom objects/, 'a failure');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } } });
asks("SELECT name FROM hs.object_types WHERE object_type_id IN ('0-1', '2-77')", 1, qr/^contactspsql.*WARNING:  42501: custom objects are left out/s, 'a token that may not list custom objects');
$hubspot->clear_rules;

# EXPLAIN
like($session->query("EXPLAIN (COSTS off) SELECT count(*) FROM few"), qr/HubSpot Object Types: none named: an error/, 'EXPLAIN');
like($session->query("EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT count(*) FROM few WHERE f = 'contacts' AND t = 'companies'"), qr/HubSpot Requests: 1/, '... ANALYZE');

# What is refused
fails("INSERT INTO few VALUES ('a', 'b', 'c')", qr/0A000: foreign table public\.few cannot be written to.*hs_assoc_label_create/s, 'INSERT');
fails("DELETE FROM hs.object_types", qr/cannot be written to/, 'DELETE');
is($session->query("SELECT pg_relation_is_updatable('few', false)"), '0', '... which pg_relation_is_updatable says');
fails("CREATE FOREIGN TABLE x (label text) SERVER hubspot OPTIONS (kind 'label')", qr/HV\w+: invalid value for option "kind": "label"/, 'a kind');
fails("CREATE FOREIGN TABLE x (label text) SERVER hubspot OPTIONS (kind 'labels', from_type 'contacts')", qr/HV00D: invalid option "from_type".*kind is "labels" has no other option/s, 'an option of another kind');
fails("CREATE FOREIGN TABLE x (label text) SERVER hubspot OPTIONS (kind 'associations', from_type 'contacts')", qr/missing option "to_type"/, 'a missing option');
foreach (
	[ "from_type text, label text", 'labels', qr/HV005: foreign table public\.x has no column for to_type.*of type text/s ],
	[ "from_type text, to_type text, from_id text", 'labels', qr/column "from_id" of foreign table public\.x does not tell what of a label it holds/ ],
	[ "object_type text", 'object_types', qr/column "object_type" of foreign table public\.x does not tell what of an object type it holds.*object_type_id/s ],
	[ "something text", 'object_types', qr/with label, object_type_id or name, or drop it/ ],
	[ "name int", 'object_types', qr/HV004.*For name, it must be of type text\./s ])
{
	my ($columns, $kind, $error) = @$_;
	$session->query("CREATE FOREIGN TABLE x ($columns) SERVER hubspot OPTIONS (kind '$kind')");
	fails('SELECT * FROM x', $error, "columns $columns");
	$session->query('DROP FOREIGN TABLE x');
}

# Partitions, and whose rights
$session->query(q{CREATE TABLE parent (name text, label text) PARTITION BY LIST (name);
CREATE FOREIGN TABLE child PARTITION OF parent DEFAULT SERVER hubspot OPTIONS (kind 'object_types'); SET enable_partitionwise_join = on});
asks("SELECT count(*) FROM parent JOIN wanted ON name = f", 1, '2', 'a partition');
$session->query(q{CREATE ROLE reader; GRANT USAGE ON SCHEMA hs TO reader; GRANT SELECT ON hs.object_types TO reader; SET ROLE reader});
asks("SELECT count(*) > 4 FROM hs.object_types", 1, 't', 'a reader without USAGE on the server');
fails("SELECT count(*) FROM hs.labels WHERE from_type = 'contacts' AND to_type = 'companies'", qr/42501: permission denied for foreign table labels/, 'one without the privilege');
$session->query('RESET ROLE; DROP USER MAPPING FOR PUBLIC SERVER hubspot; SET ROLE reader');
fails('SELECT count(*) FROM hs.object_types', qr/42704: user mapping for user "reader"/, 'one without a mapping');

$session->quit;
done_testing();

# A statement gives these rows, or this error, for so many requests
sub asks
{
	my ($sql, $requests, $expected, $name, $before) = @_;
	$session->query($before) if $before;
	return takes_requests($session, $hubspot, $sql, $requests, $expected, $name);
}

sub fails { my ($sql, $error, $name) = @_; return like($session->told($sql), $error, "refused: $name") }
