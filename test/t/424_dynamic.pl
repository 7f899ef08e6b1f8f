# Without preloading: a commit that enqueues starts a worker for its database, which is
# woken by later ones, stays as long as a row will be due, and ends; in nobody's way, and
# back after whatever ends it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use List::Util qw(max);
use Time::HiRes qw(sleep time);

# With this poll interval, what happens in a few seconds has been woken.
my $soon = patience(30);
my $node = start_node(
	'hubspot_assoc.workers' => 4,
	'hubspot_assoc.poll_interval' => '10min',
	max_prepared_transactions => 5,
	max_worker_processes => 8,
	restart_after_crash => 'on');
my $hubspot = start_simulator();
my $monitor = start_session($node, 'template1');
my $next_id = 1;

sub enqueue
{
	my ($session, $server) = @_;
	my $id = $next_id++;
	$session->query(sprintf q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT %d AS from_id, 1 AS to_id', server => '%s')}, $id, $server // 'hubspot');
	return $id;
}

sub outbox { return $_[0]->query('SELECT count(*) FROM hs_assoc_outbox') }
sub wait_for_empty { my ($session, $time) = @_; return wait_for_empty_outbox($session, $time // $soon) }
sub holds { my ($id) = @_; return $hubspot->association_table('contacts', 'companies') =~ /^$id,1,/m }

sub workers
{
	my ($database) = @_;
	return split /\n/, $monitor->query(q{SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'hubspot_assoc worker'} . ($database ? " AND datname = '$database'" : ''));
}

sub no_worker { my ($database, $time) = @_; return wait_until(sub { workers($database) == 0 }, $time // patience(60)) }
# What a statement says that fails, or warns
sub sender { return $_[0]->query('SELECT hs_assoc_sender()') }

sub end_of
{
	my ($pid) = @_;
	die 'there is no such process' unless $pid;
	my $start = time;
	wait_until(sub { !kill 0, $pid }, patience(60));
	return time - $start;
}

sub set
{
	my ($name, $value) = @_;
	$monitor->query($_) foreach q{LOAD 'hubspot_assoc'}, "ALTER SYSTEM SET $name = $value", 'SELECT pg_reload_conf()';
	return;
}

#
# Started, woken, and gone
#
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
is(sender($session), 'nobody until the next commit that enqueues, or hs_assoc_start()', 'nobody sends yet, and it is said');
is(scalar workers(), 0, 'no process');

my $id = enqueue($session);
wait_for_empty($session);
ok(holds($id), 'a commit that enqueues starts a worker, which sends');
my ($first) = workers('postgres');
like(sender($session), qr/^a dynamic worker, process $first$/, '... and can be seen');
is($monitor->query("SELECT concat_ws('|', backend_type, datname, usename) FROM pg_stat_activity WHERE pid = $first"),
	'hubspot_assoc worker|postgres|postgres', '... in pg_stat_activity, too');

my @times;
for (1 .. 20)
{
	my $start = time;
	enqueue($session);
	wait_for_empty($session);
	push @times, time - $start;
}
is_deeply([ workers() ], [$first], 'later commits wake it');
is($hubspot->association_count('contacts', 'companies'), 21, '... and are sent');
@times = sort { $a <=> $b } @times;
cmp_ok($times[10], '<', patience(1), 'from commit to an empty outbox, the median of 20');
cmp_ok($times[-1], '<', patience(4), '... and the slowest');

# A rolled back row, and one of a subtransaction
$session->query($_) foreach 'BEGIN', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 9000 AS from_id, 1 AS to_id')}, 'ROLLBACK';
end_of($first);
is(scalar workers(), 0, 'it ends by itself when nothing is left');
is($session->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'userlock'}), 0, '... and leaves no lock');
$session->query($_) foreach 'BEGIN', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 9000 AS from_id, 1 AS to_id')}, 'ROLLBACK';
is(scalar workers(), 0, 'what is rolled back starts none');

# Commits at the moment at which it ends
{
	my @lost;
	for my $i (1 .. 8)
	{
		my ($pid) = do { enqueue($session); wait_for_empty($session); workers('postgres') };
		my $quiet = time;
		# somewhere around the end of its 5 s
		my $offset = 4.97 + $i * 0.008;
		sleep max(0, $offset - (time - $quiet));
		my $new = enqueue($session);
		push @lost, $new unless eval { wait_for_empty($session) };
	}
	is_deeply(\@lost, [], 'no commit is missed by a worker that is about to end');
}

# Many sessions that commit at once
no_worker();
{
	my @sessions = map { start_session($node) } 1 .. 12;
	$_->query(q{SELECT hs_assoc_sender()}) foreach @sessions;
	my @ids = map { $next_id++ } @sessions;
	$sessions[$_]->send(sprintf q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT %d AS from_id, 1 AS to_id')}, $ids[$_]) foreach 0 .. $#sessions;
	$_->finish foreach @sessions;
	wait_for_empty($session);
	is(scalar(grep { holds($_) } @ids), 12, 'sessions that commit at once');
	# others that were started may be about to find that they are not needed; one that does
	# not would stay for five seconds
	ok(eval { wait_until(sub { workers('postgres') == 1 }, patience(3)) }, '... have one worker');
	$_->quit foreach @sessions;
}

#
# It stays as long as a row will be due
#
$hubspot->rules({ match => { path => 'batch' }, action => { status => 503 } });
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD max_retries '0')});
$id = enqueue($session);
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_backoff') == 1 }, $soon);
my $start = time;
$session->query(q{UPDATE hs_assoc_backoff SET retry_at = clock_timestamp() + interval '12 s'});
$hubspot->clear_rules;
wait_for_empty($session, patience(60));
ok(holds($id), 'what has to wait is sent when it is due, without another commit');
cmp_ok(time - $start, '>=', 12, '... later than a worker stays for commits');

#
# A pause keeps none
#
$session->query('SELECT hs_assoc_pause()');
$id = enqueue($session);
no_worker('postgres');
is(outbox($session), 1, 'paused: the rows wait, and the worker ends');
$session->query('SELECT hs_assoc_resume()');
wait_for_empty($session);
ok(holds($id), 'hs_assoc_resume brings it back');

#
# Whatever ends it
#
($first) = workers('postgres');
kill 'TERM', $first;
end_of($first);
wait_until(sub { workers('postgres') == 1 }, patience(60));
pass('terminated: a successor comes');

# while a request is in flight
$hubspot->rules({ match => { path => 'batch' }, action => { delay_ms => 60000 } });
$id = enqueue($session);
wait_until(sub { $hubspot->stats->{in_flight} > 0 }, $soon);
($first) = workers('postgres');
$hubspot->clear_rules;
kill 'KILL', $first;
$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()', 't') or die 'no server';
$session = start_session($node);
$monitor = start_session($node, 'template1');
wait_for_empty($session, patience(60));
ok(holds($id), 'killed: the server restarts its processes, and the row is sent');
no_worker();

# after a restart of the server
$hubspot->rules({ match => { path => 'batch' }, action => { delay_ms => 60000 } });
$id = enqueue($session);
wait_until(sub { $hubspot->stats->{in_flight} > 0 }, $soon);
$node->stop('immediate');
$hubspot->clear_rules;
$node->start;
$session = start_session($node);
$monitor = start_session($node, 'template1');
is(outbox($session), 1, 'after a restart of the server, rows wait');
is(scalar workers(), 0, '... with no worker');
is($session->query('SELECT hs_assoc_start()'), 't', 'hs_assoc_start() brings one');
wait_for_empty($session, patience(60));
ok(holds($id), '... which sends them');
is($session->query('SELECT hs_assoc_start()'), 'f', 'there is one now');

# settings
set('hubspot_assoc.workers', 0);
no_worker(undef, $soon);
pass('hubspot_assoc.workers = 0: it ends');
wait_until(sub { $session->query('SHOW hubspot_assoc.workers') eq '0' }, $soon);		# a session may be told later
$id = enqueue($session);
is(sender($session), 'nobody: hubspot_assoc.workers is 0', '... none comes, and it is said');
like($session->told('SELECT hs_assoc_start()'), qr/55000: could not start a worker of hubspot_assoc.*hubspot_assoc.workers is 0/s, '... nor by hs_assoc_start()');
$session->query('CREATE TABLE compared (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE compared_too (LIKE compared INCLUDING ALL)');
my $uncompared = sub { return qr/WARNING:  01000: nobody compares table "$_[0]" with HubSpot\n.*DETAIL:  hubspot_assoc\.workers is 0, and hs_assoc_flush does not compare tables\.\n.*HINT:  Set hubspot_assoc\.workers to more than 0, or call hs_assoc_drift or hs_assoc_repair from a job\./ };
like($session->told(q{SELECT hs_assoc_enable_sync('compared', 'contacts', 'a', 'companies', 'b', verify => '1 day')}), $uncompared->('compared'), 'a table that is to be compared, and is not');
is($session->told(q{SELECT hs_assoc_enable_sync('compared', 'contacts', 'a', 'deals', 'b')}), '', '... which is not said of one that is not to be');
like($session->told(q{SELECT hs_assoc_enable_sync('compared_too', 'contacts', 'a', 'companies', 'b', verify => '1 day')}), $uncompared->('compared_too'), '... but of each that is, not once a session');
$session->query('DROP TABLE compared, compared_too');
set('hubspot_assoc.workers', 1);
wait_until(sub { $session->query('SHOW hubspot_assoc.workers') == 1 }, $soon);
$session->query('SELECT hs_assoc_start()');
wait_for_empty($session);

#
# Out of background workers
#
no_worker();
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
$session = start_session($node);
$monitor = start_session($node, 'template1');
$id = enqueue($session);
is(outbox($session), 1, 'no background worker to be had: the commit succeeds, and rows wait');
like($session->told('SELECT hs_assoc_start()'), qr/53400: could not start a worker of hubspot_assoc: out of background worker slots.*max_worker_processes/s, 'hs_assoc_start() says why');
$session->query('CREATE TABLE links (a int, b int, PRIMARY KEY (a, b))');
like($session->told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'a', 'companies', 'b')}), qr/WARNING:.*nobody sends what is enqueued.*All 0 of max_worker_processes.*HINT:.*hs_assoc_flush/s, 'hs_assoc_enable_sync warns');
$session->query('CALL hs_assoc_flush()');
ok(holds($id), 'hs_assoc_flush sends');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
$session = start_session($node);
$monitor = start_session($node, 'template1');

#
# Two-phase commit
#
$session->query($_) foreach 'BEGIN', 'INSERT INTO links VALUES (5000, 1)', q{PREPARE TRANSACTION 'one'};
is(scalar workers(), 0, 'PREPARE TRANSACTION starts none');
$session->query(q{COMMIT PREPARED 'one'});
enqueue($session);
wait_for_empty($session);
ok(holds(5000), 'what was prepared goes with the next commit');

done_testing();
