# A large table costs a worker a read for a thousand records in a pass, and what differs in it
# is found; its memory does not grow with the table.
#
# ROWS=n makes it so large.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $rows = $ENV{ROWS} // 50_000;
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'work_mem' => '4MB');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);

$hubspot->generate_associations('contacts', 'companies', { first_from => 1_000_001, count => $rows + 0 });
$session->query(qq{SET client_min_messages = error; CREATE TABLE links (f bigint, t bigint, PRIMARY KEY (f, t));
	INSERT INTO links SELECT 1000000 + i, i FROM generate_series(1, $rows) i; ANALYZE links});
$session->query(q{SET client_min_messages = error; SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', verify => '1 day')});
sub worker { return $session->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' LIMIT 1}) }
my ($memory, $most) = (0, 0);
wait_until(sub {
	my $pid = worker();
	my $now = $pid ? eval { anonymous_memory($pid) } // 0 : 0;
	$memory ||= $now;
	$most = $now if $now > $most;
	$session->query('SELECT last_ended_at IS NOT NULL FROM hs_assoc_verify_stat') eq 't';
}, 1800);
is($session->query('SELECT last_records, last_missing, last_extra, last_unknown FROM hs_assoc_verify_stat'), "$rows|0|0|0", 'all is read, and nothing differs');
my $reads = $hubspot->log_count('batch/read');
cmp_ok($reads, '<=', $rows / 1000, "by $reads reads");
takes_at_most($most - $memory, 32 * 1024, 'of memory');
note($session->query('SELECT last_ended_at - last_began_at FROM hs_assoc_verify_stat'));

# A tenth of the rows are others than HubSpot has, in the next pass
$session->query(q{SET session_replication_role = replica; UPDATE links SET t = t + 10000000 WHERE f % 10 = 7; RESET session_replication_role;
	UPDATE hs_assoc_verify SET next_at = now(); SELECT hs_assoc_start()});
wait_until(sub { $session->query('SELECT last_missing > 0 FROM hs_assoc_verify_stat') eq 't' }, 1800);
my $differ = $session->query('SELECT count(*) FROM links WHERE f % 10 = 7');
is($session->query('SELECT last_records, last_missing, last_extra, open FROM hs_assoc_verify_stat'), "$rows|$differ|$differ|@{[ $differ + 1000 ]}", 'what differs is found, and what is too much counted, but not all logged');
cmp_ok($hubspot->log_count('batch/read') - $reads, '<=', $rows / 1000, 'by as many reads');

$session->quit;
done_testing();
