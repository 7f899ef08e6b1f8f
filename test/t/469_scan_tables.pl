# Foreign tables whose option scan is 'all': a query that names no records goes through the
# account, with all rows or an error, never fewer; one that names some does not; LIMIT stops
# the paging; EXPLAIN tells the requests.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $list = 'objects/2026-03/contacts$';
my $node = start_node('jit' => 'off', 'log_duration' => 'on', 'log_timezone' => 'UTC', 'log_temp_files' => '-1');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 1, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
$session->query(q{
CREATE FOREIGN TABLE t (from_id text, to_id text, category text, type_id int, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all');
CREATE FOREIGN TABLE pairs (a bigint OPTIONS (role 'from_id'), b bigint OPTIONS (role 'to_id'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all');
CREATE FOREIGN TABLE keyed (from_id text, to_id text)
	SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies:domain', scan 'all');
CREATE FOREIGN TABLE checked (from_id text, to_id text, error_category text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all', on_error 'row');
CREATE FOREIGN TABLE named (from_id text, to_id text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'keys');
CREATE TABLE l AS SELECT i::text AS id, i AS n FROM generate_series(2001, 4000) AS i;
ANALYZE l;
});
make(2500);

# All rows, and what they cost: by pages 1, 2, 3 to 4 and 5 to 8, and then by thousands
asks('SELECT count(*), count(DISTINCT from_id), count(DISTINCT to_id) FROM t', 31, '7500|2500|7500', 'all rows');
asks('SELECT count(*), sum(a), max(b) FROM pairs', 31, '7500|9378750|7500', '... as pairs');
asks("SELECT count(*) FROM t WHERE from_id = '7' OR to_id = '40'", 31, '4', 'a condition that names no records of one side');
asks("SELECT count(*) FROM t WHERE from_id NOT IN ('7', '8')", 31, '7494', 'NOT IN');
asks("SELECT count(*), count(l.id) FROM l RIGHT JOIN t ON from_id = id", 31, '7500|1500', 'RIGHT JOIN');
asks("SELECT count(*), count(t.from_id) FROM l FULL JOIN t ON from_id = id", 31, '9000|7500', 'FULL JOIN');
asks("SELECT to_id FROM t WHERE label IS NULL LIMIT 3", 2, "1\n2\n3", 'LIMIT stops the paging');
asks("SELECT EXISTS (SELECT FROM t)", 2, 't', '... and so does EXISTS');
asks("SELECT count(*) FROM (SELECT FROM t LIMIT 301) AS s", 5, '301', '... when it has enough, with a page ahead');
asks("SELECT count(*) FROM (SELECT FROM t LIMIT 601) AS s", 8, '601', '... or has what two pages more have');
asks("SELECT count(*) FROM (SELECT FROM t LIMIT 1201) AS s", 13, '1201', '... or four');

# Where records are named, it does not go through the account
asks("SELECT count(*) FROM t WHERE from_id = '7'", 1, '3', 'a record');
asks("SELECT count(*) FROM t WHERE to_id = '7' AND label IS NULL", 2, '1', '... of the other side');
asks("SELECT count(*) FROM t WHERE from_id = ANY (ARRAY(SELECT id FROM l))", 2, '1500', 'many');
asks("SELECT count(*) FROM l JOIN t ON from_id = id", 2, '1500', 'a join');
asks("SELECT count(*) FROM l WHERE EXISTS (SELECT FROM t WHERE from_id = id)", 2, '500', 'a semi-join');
like($session->query("EXPLAIN SELECT FROM l JOIN t ON from_id = id"), qr/HubspotAhead.*HubSpot Records: from_id/s, '... by the records of the other table');
like($session->query("EXPLAIN SELECT * FROM l JOIN t ON to_id = id"), qr/HubspotAhead.*HubSpot Records: to_id/s, '... of the other side, with types');
like($session->query("EXPLAIN SELECT FROM l a, l b, t WHERE from_id = a.id || b.id"), qr/all of the account/, '... but not those of millions of rows');
asks("SELECT count(*) FROM named WHERE to_id <> '1'", 0, qr/ERROR:  0A000: foreign table public\.named cannot be read without a condition that names records/, "scan 'keys' is as it was");

# Scans that are done again do not ask again, in memory or in a file
foreach my $memory ('4MB', '64kB')
{
	$session->query("SET work_mem = '$memory'; SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off");
	my $reads = reads($session->pid);
	asks("SELECT n, (SELECT count(*) FROM t WHERE length(to_id) > n - 2000) FROM l WHERE n < 2005", 31, "2001|7491\n2002|7401\n2003|6501\n2004|0", "again and again, with $memory");
	cmp_ok(reads($session->pid) - $reads, '<', 3000, '... reading many rows of a file at a time');
	asks("SELECT count(*), count(DISTINCT to_id) FROM (VALUES (1), (2), (3)) AS v (x) CROSS JOIN t", 31, '22500|7500', '... in a nested loop');
	asks("SELECT count(*) FROM (VALUES (1), (2), (3)) AS v (x), LATERAL (SELECT FROM t WHERE length(to_id) > x LIMIT 5) AS s", undef, '15', '... each time to its LIMIT');
	asks("SELECT count(DISTINCT s.to_id) FROM (VALUES (40), (7600), (7600)) AS v (x), LATERAL (SELECT to_id FROM t WHERE length(to_id) < x LIMIT x) AS s", 31, '7500', '... and farther');
}
$session->query('RESET ALL; SET jit = off');
$session->query('BEGIN; DECLARE c SCROLL CURSOR FOR SELECT from_id FROM t');
is($session->query('FETCH 2 FROM c; MOVE BACKWARD 1 FROM c; FETCH BACKWARD 1 FROM c; FETCH LAST FROM c; FETCH FIRST FROM c; COMMIT'), "1\n1\n2500\n1", 'a cursor that goes back');

# EXPLAIN
is(explained('SELECT * FROM t', 'VERBOSE'), "HubSpot Records: all of the account\nHubSpot Request: GET /crm/objects/2026-03/contacts?limit=100&archived=false&properties=hs_object_id\nHubSpot Second Request: POST /crm/associations/2026-03/contacts/companies/batch/read", 'EXPLAIN (VERBOSE)');
is(explained('SELECT * FROM keyed', 'VERBOSE') =~ /properties=(\w+)/ ? $1 : '', 'email', '... with a key');
$hubspot->rules({ match => { path => $list, nth => 3 }, action => { status => 503 } });
is(explained('SELECT * FROM t', 'ANALYZE, TIMING off, SUMMARY off'), "HubSpot Records: all of the account\nHubSpot Requests: 32\nHubSpot Retries: 1", 'EXPLAIN (ANALYZE)');
$hubspot->clear_rules;
like($session->query('EXPLAIN (FORMAT json, ANALYZE) SELECT * FROM t'), qr/"HubSpot Records": "all of the account",\s*"HubSpot Requests": 31,\s*"HubSpot Retries": 0/, '... in JSON');

# What cannot be read is an error, or a row if the table has these
$hubspot->rules({ match => { path => $list, after => 4 }, action => { status => 503 } });
fails('SELECT count(*) FROM t', qr/ERROR:  38000: could not list the records of contacts after the first 400\n/, 'a page that fails');
fails('SELECT count(*) FROM checked', qr/ERROR:  38000: could not list the records of contacts\n/, "... also with on_error 'row'");
$hubspot->clear_rules;
my $bad = { path => 'batch/read$', id => '700' };
my $refusal = { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'no such thing', context => { fromObjectId => ['700'] } } };
$hubspot->rules({ match => $bad, action => $refusal });
fails('SELECT count(*) FROM t', qr/ERROR:  22023: could not read the associations of contacts 700 with companies/, 'a record that cannot be read');
asks('SELECT count(*), count(DISTINCT from_id), min(from_id) FILTER (WHERE to_id IS NULL), max(error_category) FROM checked', undef, '7498|2500|700|VALIDATION_ERROR', "... is a row with on_error 'row'");
asks('SELECT count(*) FROM (VALUES (1), (2)) AS v (x), LATERAL (SELECT FROM checked WHERE length(from_id) > x OFFSET 0) AS s', undef, '14672', '... and again');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => $list }, action => { envelope => { paging => { next => { after => 'x' } } } } });
fails('SELECT count(*) FROM t', qr/ERROR:  08P01: could not list the records of contacts after the first 100\n.*the paging cursor repeats|Invalid paging cursor/s, 'a list without an end');
$hubspot->clear_rules;

$hubspot->rules([ map { { match => { path => $list, nth => $_ }, action => { status => 200, body => { results => [ map { { id => "$_" } } @{ [ [ 1 .. 5 ], [ 5, 1, 6 ], [ 6, 7 ] ]->[$_ - 1] } ], $_ < 3 ? (paging => { next => { after => "c$_" } }) : () } } } } 1 .. 3 ]);
asks('SELECT count(*), count(DISTINCT from_id) FROM t', undef, '21|7', 'pages that shift: each record once');
$hubspot->clear_rules;
$session->query("CREATE FOREIGN TABLE wrong (from_id text, to_id text, error_category text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'nonsense', scan 'all', on_error 'row')");
asks('SELECT count(*) FROM wrong', 2, qr/ERROR:  22023: could not read the associations of contacts with nonsense\n.*Unable to infer object type from: nonsense/s, "an object type that is not there, also with on_error 'row'");

# Cancel
my $stopwatch = start_stopwatch($node);
foreach my $path ($list, 'batch/read$')
{
	$hubspot->rules({ match => { path => $path, nth => 2 }, action => { hang => Cpanel::JSON::XS::true() } });
	$stopwatch->send($session, 'SELECT count(*) FROM t');
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} });
	my ($out, $err, $late) = $stopwatch->cancel($session);
	like($err, qr/canceling statement due to user request/, "cancel in $path");
	cmp_ok($late, '<', 0.1, '... at once') unless instrumented();
	$hubspot->clear_rules;
}
asks('SELECT count(*) FROM t', 31, '7500', 'and the session goes on');

# Keys
$hubspot->generate_records(contacts => { first_id => 1, count => 10, properties => { email => 'C{n}@Example.com' } });
$hubspot->put_records(companies => [ { id => '1', properties => { domain => 'One.example' } } ]);
asks('SELECT count(*), count(from_id), count(DISTINCT from_id), count(to_id) FROM keyed', undef, '7500|30|10|1', 'by keys, with nulls for records without one');
asks('SELECT * FROM keyed WHERE to_id IS NOT NULL', undef, 'c1@example.com|one.example', '... in their normal form');
asks("SELECT count(*) FROM keyed WHERE from_id IN ('c1\@example.com')", undef, '3', '... that can be asked for');

# Who may
$session->query(q{CREATE ROLE reader; CREATE ROLE owner; GRANT SELECT ON t TO reader; GRANT CREATE ON SCHEMA public TO owner; SET ROLE reader});
asks('SELECT count(*) FROM t', 31, '7500', 'who reads needs no USAGE');
fails('SELECT count(*) FROM pairs', qr/ERROR:  42501: permission denied for foreign table pairs/, '... but SELECT');
$session->query('RESET ROLE; ALTER FOREIGN TABLE t OWNER TO owner');
fails('SELECT count(*) FROM t', qr/ERROR:  42501: permission denied for foreign server hubspot/, 'its owner needs USAGE');
$session->query('GRANT USAGE ON FOREIGN SERVER hubspot TO owner; SET ROLE owner');
asks('SELECT count(*) FROM t', 31, '7500', '... and has it');
$session->query('RESET ROLE');

# Writes
asks("DELETE FROM t WHERE to_id::int <= 6", 31, '', 'DELETE by other conditions');
asks("WITH d AS (DELETE FROM pairs WHERE b % 1000 = 999 RETURNING a) SELECT count(*), min(a) FROM d", 31, '7|333', '... of pairs');
is($session->query("SELECT operation, count(*) FROM hs_assoc_outbox GROUP BY 1"), 'archive|13', '... is enqueued');
$session->query('CALL hs_assoc_flush()');
asks('SELECT count(*) FROM t', 31, '7487', '... and done');
$session->query(q{SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
	SELECT FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT 1000 + i AS from_id, 3000 + i * 3 AS to_id, ''Billing'' AS label FROM generate_series(1, 5) i')});
$session->query('CREATE TABLE few AS SELECT i FROM generate_series(1001, 1003) i; ANALYZE few; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off');
asks(q{WITH d AS (DELETE FROM t USING few WHERE from_id::int = i AND label = 'Billing' RETURNING from_id, label) SELECT count(*), min(label), min(from_id) FROM d}, undef, '3|Billing|1001', '... of labels, by scans that are done again');
$session->query('RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material');
is($session->query("SELECT operation, count(*) FROM hs_assoc_outbox GROUP BY 1"), 'archive_labels|3', '... leaves the other types');

# Options
fails("CREATE FOREIGN TABLE x (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'every')", qr/ERROR:  HV00D: invalid value for option "scan": "every"\nHINT:  It must be "keys" or "all"/, 'another value');
fails("CREATE FOREIGN TABLE x (object_type_id text) SERVER hubspot OPTIONS (kind 'object_types', scan 'all')", qr/ERROR:.*"scan"/, 'of another kind of table');
$session->query("CREATE SCHEMA i; IMPORT FOREIGN SCHEMA hubspot LIMIT TO (contacts_companies, deals_companies) FROM SERVER hubspot INTO i OPTIONS (scan 'all')");
asks('SELECT count(*) FROM i.deals_companies', 1, '0', 'tables that are imported, and an object type without records');
$session->quit;

# Memory
$hubspot->reset;
$hubspot->generate_records(contacts => { first_id => 1, count => 200_000, properties => {} });
$hubspot->generate_associations('contacts', 'companies', { count => 20_000, per_from => 5 });
my $many = start_session($node);
$many->query("SET work_mem = '1MB'; SELECT count(*) FROM t WHERE from_id = '1'");
my $before = peak_memory($many->pid);
is($many->query('SELECT count(*), count(DISTINCT from_id) FROM t'), '100000|20000', '200,000 records, a tenth of which have something');
takes_at_most(peak_memory($many->pid) - $before, 16 * 1024, '... in bounded memory');
$many->quit;

done_testing();

# An account with so many contacts, with three companies each
sub make { my ($count) = @_; $hubspot->reset; return $hubspot->generate_associations('contacts', 'companies', { count => $count, per_from => 3 }) }

sub asks { return takes_requests($session, $hubspot, @_) }
sub fails { my ($sql, $pattern, $name) = @_; return like($session->told($sql), $pattern, $name) }

# What EXPLAIN says of HubSpot
sub explained
{
	my ($sql, $options) = @_;
	return join "\n", map { s/^\s+//r } grep { /HubSpot/ } split /\n/, $session->query("EXPLAIN ($options) $sql");
}

# How many times a process has read from a file
sub reads
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/io" or die "/proc/$pid/io: $!";
	local $/;
	return (<$file> =~ /^syscr:\s+(\d+)/m)[0];
}
