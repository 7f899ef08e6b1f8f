# Without preloading, throttle and statistics are of all sessions together on PostgreSQL 17
# and later; on 15 and 16 they are each session's, and that is said.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node('hubspot_assoc.workers' => 1, 'restart_after_crash' => 'on');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 20);
my ($one, $two) = map { start_session($node) } 1 .. 2;
my $shared = $one->query(q{SELECT current_setting('server_version_num')::int >= 170000}) eq 't';
my $call = q{SELECT ok FROM hs_assoc_create_default('contacts', %d, 'companies', 1)};
my $throttle = q{SELECT detail FROM hs_assoc_diagnose() WHERE topic = 'throttle'};

$one->query(sprintf $call, $_) foreach 1 .. 20;
is($one->query('SELECT requests FROM hs_assoc_stat()'), 20, 'what a session has sent is counted');
my $start = time;
is($two->query(sprintf $call, 21), 't', 'another session sends');
if ($shared)
{
	cmp_ok(time - $start, '>', 1, '... when the rate of both lets it');
	is($two->query('SELECT requests FROM hs_assoc_stat()'), 21, '... and sees what both have sent');
	like($two->query($throttle), qr/shared\s+by\s+all\s+sessions/, '... which is said');
	$two->query('SELECT hs_assoc_stat_reset()');
	is($one->query('SELECT requests FROM hs_assoc_stat()'), 0, '... and reset for both');
}
else
{
	cmp_ok(time - $start, '<', patience(5), '... at a rate of its own');
	is($two->query('SELECT requests FROM hs_assoc_stat()'), 1, '... and counts for itself');
	like($two->query($throttle), qr/of\s+this\s+session\s+alone/, '... which is said');
}

# a worker
$one->query('SELECT hs_assoc_stat_reset()');
$one->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id')});
wait_for_empty_outbox($one);
is($one->query(q{SELECT coalesce(sum(inputs), 0) FROM hs_assoc_stat()}), $shared ? 1 : 0, 'what the worker sends');

# all of it begins anew after a crash
my $pid = $two->pid;
kill 'KILL', $pid;
$node->poll_query_until('postgres', 'SELECT true', 't') or die 'no server';
my $three;
wait_until(sub { eval { $three = start_session($node); 1 } });
is($three->query(sprintf $call, 30), 't', 'after a crash');
is($three->query('SELECT requests FROM hs_assoc_stat()'), 1, '... counting begins anew');

# nothing to be attached to, where there is no shared memory
SKIP:
{
	skip 'nothing is shared on this version', 2 unless $shared;
	$three->query($_) foreach 'BEGIN', 'SET LOCAL statement_timeout = 0', 'SAVEPOINT a';
	my $four = start_session($node);
	$four->query($_) foreach 'BEGIN', 'SAVEPOINT a';
	is($four->query(sprintf $call, 31), 't', 'attached to in a subtransaction');
	$four->query('ROLLBACK TO a');
	is($four->query('SELECT requests FROM hs_assoc_stat()'), 2, '... that is rolled back');
}

done_testing();
