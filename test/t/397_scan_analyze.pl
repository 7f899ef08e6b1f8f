# ANALYZE of foreign tables whose option scan is 'all': it counts all rows, keeps a sample of
# them, and so lets the planner know what a scan costs; by the table's owner, or not at all.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $list = 'objects/2026-03/contacts$';
my $node = start_node('jit' => 'off');
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
$hubspot->generate_associations('contacts', 'companies', { count => 2500, per_from => 3 });

# Who may
$session->query(q{CREATE ROLE reader; CREATE ROLE owner; GRANT SELECT ON t TO reader; GRANT CREATE ON SCHEMA public TO owner; SET ROLE reader});
fails('ANALYZE t', qr/WARNING: .*skipping/, 'who reads may not analyze');
$session->query('RESET ROLE; ALTER FOREIGN TABLE t OWNER TO owner');
fails('ANALYZE t', qr/ERROR:  42501: permission denied for foreign server hubspot/, 'the owner needs USAGE, also if a superuser asks for it');
$session->query('GRANT USAGE ON FOREIGN SERVER hubspot TO owner; SET ROLE owner');
takes_requests($session, $hubspot, 'ANALYZE t', 28, '', 'with it, the owner may');
$session->query('RESET ROLE');

# What it finds out
is($session->query("SELECT reltuples FROM pg_class WHERE relname = 't'"), 7500, 'ANALYZE counts the rows');
is($session->query("SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'category'"), 1, '... and knows their values');
like($session->query("SELECT most_common_freqs[1] FROM pg_stats WHERE tablename = 't' AND attname = 'type_id'"), qr/^1$/, '... and how often');
like($session->query('EXPLAIN SELECT * FROM t'), qr/cost=400\.00\.\.3\d{3}\.\d\d rows=7500 /, 'so the planner knows what it costs');
like($session->query("EXPLAIN SELECT FROM l a, l b, t WHERE from_id = a.id || b.id"), qr/all of the account/, '... where the account has fewer records than are asked for');
like($session->query("EXPLAIN SELECT FROM l, t WHERE from_id = id"), qr/HubSpot Records: from_id/, '... or more');
$session->query('SET default_statistics_target = 1');
like($session->told('ANALYZE VERBOSE t'), qr/INFO: .*"t": read 2500 records by 28 requests, with 7500 rows; 300 rows in sample/, 'a sample is some of the rows');
cmp_ok($session->query("SELECT n_distinct FROM pg_stats WHERE tablename = 't' AND attname = 'to_id'"), '==', -1, '... of all records, each once');
$session->query('ANALYZE pairs');
is($session->query("SELECT max(b) > 6500 AND min(b) < 1000 FROM (SELECT unnest(histogram_bounds::text::bigint[]) AS b FROM pg_stats WHERE tablename = 'pairs' AND attname = 'b') AS s"), 't', '... old and new');
$hubspot->generate_records(contacts => { first_id => 1, count => 10, properties => { email => 'c{n}@example.com' } });
$session->query('RESET default_statistics_target; ANALYZE checked; ANALYZE keyed');
is($session->query("SELECT null_frac FROM pg_stats WHERE tablename = 'keyed' AND attname = 'from_id'"), '0.996', '... nulls, too');
like($session->told('ANALYZE named'), qr/WARNING: .*skipping "named" --- cannot analyze this foreign table/, "scan 'keys' cannot be");
$session->query("CREATE FOREIGN TABLE types (object_type_id text) SERVER hubspot OPTIONS (kind 'object_types')");
like($session->told('ANALYZE types'), qr/WARNING: .*skipping "types" --- cannot analyze this foreign table/, 'nor other kinds of tables');
$hubspot->rules({ match => { path => $list, after => 4 }, action => { status => 503 } });
fails('ANALYZE t', qr/ERROR:  38000: could not list the records of contacts after the first 400\n/, 'what cannot be read to its end is no sample');
$hubspot->clear_rules;
$session->query('CREATE TABLE other AS SELECT 1 AS a');
takes_requests($session, $hubspot, 'ANALYZE', 0, '', 'nothing does it by itself');
is($session->query("SELECT reltuples FROM pg_class WHERE relname = 'other'"), 1, '... what else is done is');
$session->query(q{CREATE TABLE parent (from_id text, to_id text) PARTITION BY LIST (from_id);
CREATE FOREIGN TABLE part PARTITION OF parent DEFAULT SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all'); ANALYZE parent});
is($session->query("SELECT reltuples FROM pg_class WHERE relname = 'parent'"), 7500, 'a partition');
is($session->query("SELECT count(*) FROM parent"), 7500, '... is read');

$session->quit;

done_testing();

sub fails { my ($sql, $pattern, $name) = @_; return like($session->told($sql), $pattern, $name) }
