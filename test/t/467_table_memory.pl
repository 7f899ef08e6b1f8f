# What a scan of a foreign table keeps is bounded by work_mem: of records that are told
# ahead, however many a row names, and of rows that come while others are waited for.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off', 'work_mem' => '1MB');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
$node->safe_psql('postgres', q{
CREATE FOREIGN TABLE t (from_id text, to_id text, category text, type_id int, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE TABLE u AS SELECT i AS no, ARRAY(SELECT (i * 1000 + j)::text FROM generate_series(0, 999) AS j) AS ids FROM generate_series(1, 400) AS i;
ANALYZE u;
});
$hubspot->generate_associations('contacts', 'companies', { first_from => 1000, count => 2000, per_from => 10 });

takes("SELECT count(*), count(DISTINCT from_id) FROM u JOIN t ON from_id = ANY (u.ids)", '20000|2000', 'arrays of 400,000 records');
takes("SELECT count(*), count(DISTINCT from_id) FROM u, unnest(u.ids) AS id JOIN t ON from_id = id WHERE no <= 3", '20000|2000', 'rows of a thousand records, told ahead');

done_testing();

# A query gives that, and a session of its own needs little memory for it.
sub takes
{
	my ($sql, $expected, $name) = @_;
	my $session = start_session($node);
	$session->query("SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT FROM t WHERE from_id = '1000'");
	like($session->query("EXPLAIN $sql"), qr/HubspotAhead/, "$name: told ahead");
	my $before = peak_memory($session->pid);
	is($session->query($sql), $expected, $name);
	my $more = peak_memory($session->pid) - $before;
	note("$more kB");
	cmp_ok($more, '<', 25_000, '... in bounded memory') unless instrumented();
	$session->quit;
	return;
}

