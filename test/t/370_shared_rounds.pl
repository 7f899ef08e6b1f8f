# Accounts that have few rows share a round of one worker: their requests are in flight at
# a time, and one that is slow keeps no other from being done.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $accounts = 20;
my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator(latency => 1000);
create_account($node, $hubspot, name => "account$_", rate_limit => 0, token => "token-$_", request_timeout => '60s') foreach 1 .. $accounts;
$hubspot->account({ token => "token-$_" }) foreach 1 .. $accounts;
my $session = start_session($node);
my $next = 1;

sub enqueue
{
	my ($rows) = @_;
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		format('SELECT %s + i AS from_id, i AS to_id FROM generate_series(1, %s) AS i', 1000 * ($next + a), $rows), server => 'account' || a)
		FROM generate_series(1, $accounts) AS a});
	$next += $accounts;
	return;
}

sub waiting { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }

sub workers
{
	my ($count) = @_;
	$session->query("ALTER SYSTEM SET hubspot_assoc.workers = $count");
	$session->query('SELECT pg_reload_conf()');
	return;
}

# known accounts, so that they have one standing
enqueue(1);
workers(1);
wait_until(sub { waiting() == 0 });
foreach my $rows (1, 100)
{
	$hubspot->clear_log;
	my $before = $hubspot->stats->{inputs};
	enqueue($rows);
	wait_until(sub { waiting() == 0 });
	is($hubspot->stats->{inputs} - $before, $accounts * $rows, "$rows rows each: each was sent once");
	is($hubspot->log_count, $accounts, "$rows rows each: by one request");
}
cmp_ok($hubspot->stats->{max_in_flight}, '>=', $accounts - 2, 'the requests were in flight at a time');

# Together they have no more in flight than one of them may have: answers to single rows, of 256 kB each at the most
$hubspot->reset;
$hubspot->account({ token => "token-$_" }) foreach 1 .. $accounts;
$hubspot->settings({ latency_ms => 300 });
$session->query("ALTER SERVER account$_ OPTIONS (ADD batch_size '1', ADD concurrency '64')") foreach 1 .. $accounts;
enqueue(20);
wait_until(sub { waiting() == 0 });
cmp_ok($hubspot->stats->{max_in_flight}, '<=', 24 * 4 + $accounts, 'as many answers in flight as 24 MB have room for');
$session->query("ALTER SERVER account$_ OPTIONS (DROP batch_size, DROP concurrency)") foreach 1 .. $accounts;

# Rows that are large go alone
$hubspot->reset;
$hubspot->account({ token => "token-$_" }) foreach 1 .. $accounts;
$hubspot->settings({ latency_ms => 300 });
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
	$$SELECT i AS from_id, i AS to_id, array_fill(279, ARRAY[100]) AS type_ids FROM generate_series(1, 190) AS i$$, server => 'account' || a)
	FROM generate_series(1, 4) AS a});
wait_until(sub { waiting() == 0 });
is($hubspot->stats->{max_in_flight}, 1, 'accounts with large rows go one by one');
$hubspot->settings({ latency_ms => 300 });

# One has no answer for long
$hubspot->rules({ match => { token => 'token-7' }, action => { hold => 1 } });
enqueue(1);
wait_until(sub { waiting() == 1 });
is($session->query('SELECT server FROM hs_assoc_outbox'), 'account7', 'all are done but the one that has no answer');
ok(eval { wait_until(sub { $session->query(q{SELECT string_agg(server, ' ') FROM hs_assoc_lease WHERE holder IS NOT NULL}) eq 'account7' }) }, '... and let go');
$hubspot->clear_rules;
$hubspot->release;
wait_until(sub { waiting() == 0 });
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'nobody is charged');
$session->quit;
done_testing();
