# A large table costs a request for a thousand records, and what differs a little more;
# and memory that does not grow with it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('work_mem' => '4MB');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
my $rows = 200_000;

$session->query(qq{SET client_min_messages = error;
	CREATE TABLE links (f bigint, t bigint, label text, UNIQUE (f, t));
	CREATE TABLE others (t bigint, f bigint, UNIQUE (t, f));
	INSERT INTO links SELECT 1000000 + i, 1 + i % 1000 FROM generate_series(1, $rows) i;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't');
	SELECT hs_assoc_enable_sync('others', 'companies', 't', 'contacts', 'f');
	ANALYZE links});

# Nothing of it is in HubSpot
$hubspot->clear_log;
my $before = anonymous_memory($session->pid);
my $time = cpu_time($session->pid);
is($session->query(q{SELECT count(*) FROM hs_assoc_drift('links') WHERE action = 'create'}), $rows, 'all are missing');
my $requests = $hubspot->log_count;
cmp_ok($requests, '<=', $rows / 1000, "$rows records are read in $requests requests");
takes_at_most(anonymous_memory($session->pid) - $before, 32 * 1024, 'as many differences as rows');
note(sprintf '%.1f s of CPU', cpu_time($session->pid) - $time);

# All but few
$session->query(q{UPDATE links SET label = 'x'});
$session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT f AS from_id, t AS to_id FROM links WHERE f % 1000 <> 7')});
$session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT f AS from_id, t + 5000 AS to_id FROM links WHERE f % 500 = 3')});
$session->query(q{INSERT INTO others SELECT t + 5000, f FROM links WHERE f % 1000 = 3});
$session->query(q{TRUNCATE hs_assoc_outbox});
$hubspot->clear_log;
$time = cpu_time($session->pid);
is($session->query(q{SELECT string_agg(action || ' ' || n, ', ' ORDER BY action) FROM (SELECT action, count(*) AS n FROM hs_assoc_drift('links') GROUP BY action) a}),
	'archive 200, create 200', 'what differs');
cmp_ok($hubspot->log_count, '<=', $rows / 1000, 'and that takes no more requests');
note(sprintf '%.1f s of CPU', cpu_time($session->pid) - $time);
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror')}), 400, 'is enqueued');
is($session->query('SELECT count(*), count(DISTINCT id), max(id) < 0 FROM hs_assoc_outbox'), '400|400|t', 'before all others');

$session->quit;
done_testing();
