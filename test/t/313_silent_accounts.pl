# Accounts that take requests and never answer, of whoever may create servers: those of
# others are served in no time, by any number of workers but one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $accounts = 100;	# more than three workers serve at a time

# What is to be within a second or two, on a machine that is busy; the silent ones would
# take an hour.
my $soon = patience(10);

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.poll_interval' => '10min',
	max_worker_processes => 16);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);

# It accepts and never answers.
my $peer = start_peer('silence');

sub workers { return $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) }
sub busy { return $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '% server silent%' AND backend_type = 'hubspot_assoc worker'}) }

sub setting
{
	my ($workers) = @_;
	$session->query("ALTER SYSTEM SET hubspot_assoc.workers = $workers");
	$session->query('SELECT pg_reload_conf()');
	return;
}

# So many silent accounts of a role, which has rows for each of them.
sub create_silent
{
	my ($role, @names) = @_;
	my $own = start_session($node);
	$own->query("SET SESSION AUTHORIZATION $role");
	foreach my $name (@names)
	{
		$own->query(qq{
			CREATE SERVER $name FOREIGN DATA WRAPPER hubspot_assoc
				OPTIONS (base_url '${\ $peer->url}', request_timeout '1h', connect_timeout '1h', rate_limit '0');
			CREATE USER MAPPING FOR $role SERVER $name OPTIONS (access_token 'test-token');
			SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => '$name')});
	}
	$own->quit;
	return;
}

my $next = 1;

# A row of an account is sent, and that again and again: the longest time that took.
sub check_sent
{
	my ($name, $server, $times) = @_;
	my $longest = 0;
	foreach my $time (1 .. $times)
	{
		$next++;
		my $begun = time;
		$session->query("SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
			'SELECT $next AS from_id, 1 AS to_id', server => '$server')");
		my $sent = eval { wait_until(sub { $session->query("SELECT count(*) FROM hs_assoc_outbox WHERE server = '$server'") == 0 }, $soon) };
		$longest = time - $begun if time - $begun > $longest;
		return fail("$name: not sent, at the ${time}th time") unless $sent;
	}
	note(sprintf '%s: %.0f ms at most', $name, $longest * 1000);
	return cmp_ok($longest, '<', $soon, "$name: sent in no time, $times times");
}

# The worst case: they are all in flight that can be, and rows of others come then.
sub settle_down
{
	my ($most) = @_;
	return wait_until(sub { busy() >= $most });
}

$session->query(q{
	SET log_statement = none;
	CREATE ROLE tenant LOGIN;
	GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO tenant;
	GRANT INSERT ON hs_assoc_outbox TO tenant});

foreach my $workers (4, 2)
{
	setting($workers);
	create_silent('tenant', map { "silent$_" } 1 .. $accounts) if $workers == 4;
	settle_down($workers - 1);
	check_sent("$workers workers, $accounts silent accounts, the first time", 'hubspot', 1);
	check_sent("$workers workers, $accounts silent accounts", 'hubspot', 20);
	create_account($node, $hubspot, name => "new$workers", rate_limit => 0);
	check_sent("$workers workers, an account that is new", "new$workers", 5);
	is(busy(), $workers - 1, "$workers workers: the silent ones have all but one");

	# they have to be let go to have fewer workers
	setting(0);
	$session->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
	wait_until(sub { workers() == 0 });
}

#
# Accounts of an owner that has all: those that are proven have a worker left
#
$session->query(q{DELETE FROM hs_assoc_outbox; DROP OWNED BY tenant CASCADE; GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO tenant;
	GRANT INSERT ON hs_assoc_outbox TO tenant}) ;
setting(4);
# one after the other: those that wait together are sent to by one worker
foreach my $number (1 .. 5)
{
	create_silent('postgres', "silent_own$number");
	settle_down($number) if $number <= 3;
}
check_sent('silent accounts of the same owner', 'hubspot', 10);
is(busy(), 3, 'the silent ones have all workers but one');

#
# One that is slow, but answers, has the time that it needs
#
create_account($node, $hubspot, name => 'slow', rate_limit => 0, max_retries => 0, request_timeout => '1h');
$session->query(q{DELETE FROM hs_assoc_outbox WHERE server LIKE 'silent%';
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '% server silent%' AND backend_type = 'hubspot_assoc worker' LIMIT 1});
$hubspot->clear_log;
$hubspot->rules({ match => { path => '/deals/' }, action => { delay_ms => 5000 } });
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => 'slow')});
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
check_sent('a slow account', 'hubspot', 5);
wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'slow'}) == 0 });
is($hubspot->log_count('/deals/'), 1, 'a slow account: its answer is waited for');
is($hubspot->association_count('deals', 'companies'), 1, 'a slow account: the row is sent');

$session->quit;
$peer->stop;
done_testing();
