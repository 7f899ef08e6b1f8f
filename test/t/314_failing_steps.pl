# A sender runs out of memory, or cannot wait, at each step of a delivery: the ERROR is
# charged to whom it belongs, another account's row is sent within a second, nothing is
# lost, and no sender ends.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use Errno qw(EBADF);
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $fuse = start_fuse();
plan skip_all => 'what watches memory has its own malloc' if instrumented();
my $node = start_node(
	fuse => $fuse,
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, name => $_, rate_limit => 0, max_retries => 0) foreach qw(bad good);
my $session = start_session($node);
$session->query(q{SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER bad;
	CREATE USER MAPPING FOR PUBLIC SERVER bad OPTIONS (client_id 'id', client_secret 'secret', refresh_token 'refresh');
	CREATE ROLE other; GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO other});

# Accounts of several owners don't share a round.
$session->query('ALTER SERVER good OWNER TO other');

my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'};
my $next = 1;
my $login = 0;
my %failed;

# A row of the one, or so many of its pair, which is due first, and one of the other.
sub enqueue_both
{
	my ($rows) = @_;
	$next++;
	$session->query('BEGIN');
	$session->query(qq{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT $next AS from_id, $next AS to_id, \$\$Primary\$\$ AS label', server => 'bad')})
	  foreach 1 .. $rows // 1;
	$session->query(q{UPDATE hs_assoc_outbox SET not_before = not_before - interval '1 s'});
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies', 'SELECT $next AS from_id, $next AS to_id', server => 'good')});
	$session->query('COMMIT');
	return;
}

sub held { my ($type) = @_; return scalar grep { $_->{from_id} == $next } @{ $hubspot->associations($type, 'companies') } }
sub waiting { return $session->query("SELECT count(*) FROM hs_assoc_outbox WHERE server = '$_[0]'") }

# With a login for which no session has a token.
sub start_over
{
	$login++;
	$hubspot->oauth({ client_id => 'id', client_secret => 'secret', refresh_token => "refresh$login" });
	$session->query("ALTER USER MAPPING FOR PUBLIC SERVER bad OPTIONS (SET refresh_token 'refresh$login')");
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff, hs_assoc_lease, hs_assoc_doubt');
	return;
}

# Was an account, or a row of it, charged?
sub charged
{
	return $session->query("SELECT (SELECT count(*) FROM hs_assoc_backoff WHERE server = '$_[0]')
		+ (SELECT count(*) FROM hs_assoc_outbox WHERE server = '$_[0]' AND attempts > 0)");
}

# What became of the bad one's row.
sub outcome
{
	return 'sent' if waiting('bad') == 0 && held('contacts');
	return 'lost' if waiting('bad') == 0;
	return 'row' if $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'bad' AND attempts = 1
		AND error_message ~ 'out of memory|epoll_wait'});
	return 'account' if $session->query(q{SELECT count(*) FROM hs_assoc_backoff WHERE server = 'bad' AND error_message ~ 'out of memory|epoll_wait'});
	return 'nobody';
}

# The function, by what is in there; or where the compiler may have made it a part of another one, both. A buffer for an answer is tried again; where a window of rows is picked, these are picked
# again, and fewer, before anybody is charged. The first buffer of a connect may be that of the server's own table of locks,
# which PostgreSQL 15 does not survive if it is asked for the same lock again in the transaction.
my @steps = (
	[ connect => 'connect_by_mapping|hubspot_connect', 'malloc', qr/^account$/, undef, 2 ],
	[ 'pick what is alone' => 'hubspot_pick_alone', 'malloc', qr/^sent$/ ],
	[ prune => 'hubspot_claim_prune', 'malloc', qr/^sent$/, 2 ],
	[ pick => 'hubspot_pick', 'malloc', qr/^sent$/, 2 ],
	[ describe => 'hubspot_lease_describe', 'malloc', qr/^account$/ ],
	[ authorize => 'hubspot_authorize', 'malloc', qr/^(?:account|sent)$/ ],
	[ 'wait for a token' => 'hubspot_authorize', 'epoll_wait', qr/^account$/ ],
	[ labels => 'hubspot_labels_look_up', 'malloc', qr/^(?:row|sent)$/ ],
	[ put => 'hubspot_batch_put', 'malloc', qr/^row$/ ],
	[ 'wait for answers' => 'hubspot_calls_wait_for_any', 'epoll_wait', qr/^row$/ ],
	[ record => 'hubspot_settle_done', 'malloc', qr/^row$/ ]);

# An answer that is there when it is looked for is not waited for.
sub slow_answers
{
	my ($call) = @_;
	$hubspot->settings({ latency_ms => $call eq 'epoll_wait' ? 200 : 0 });
	return;
}

# What each ERROR has to leave, after so much time.
sub check
{
	my ($name, $expected, $begun) = @_;
	cmp_ok(time - $begun, '<', patience(3), "$name: the other account's row is sent without a wait");
	is(held('deals') . waiting('good'), '10', "$name: and done");
	return unless $expected;
	like(outcome(), $expected, "$name: charged to whom it belongs")
	  or diag($session->query('SELECT server, attempts, error_message FROM hs_assoc_outbox UNION ALL SELECT server, null, error_message FROM hs_assoc_backoff'));
	return;
}

foreach my $step (@steps)
{
	my ($what, $function, $call, $expected, $rows, $from) = @$step;
	slow_answers($call);
	foreach my $number (($from // 1) .. 10)
	{
		my $name = "flush, $what, $call $number";
		my $sender = start_session($node);	# one that has no memory from before
		start_over();
		enqueue_both($rows);
		$fuse->blow_in($function, $sender->pid, $call, $number, EBADF) or plan skip_all => 'no symbols';
		my $begun = time;
		$sender->send('CALL hs_assoc_flush()');
		my (undef, $err) = $sender->finish;
		# the other one comes to the same step, later
		my $blown = $fuse->has_blown && $err !~ /server "good"/ && !charged('good');
		$fuse->replace;
		if ($blown)
		{
			$failed{$what}++;
			unlike($err, qr/ERROR|FATAL/, "$name: the sender goes on");
			check($name, $expected, $begun);
			$session->query(q{TRUNCATE hs_assoc_backoff; UPDATE hs_assoc_outbox SET not_before = now()});
			my $other = start_session($node);	# what one remembers is not for others
			$other->query('CALL hs_assoc_flush()');
			$other->quit;
			is(outcome(), 'sent', "$name: nothing is lost");
		}
		$sender->quit;
		last unless $blown;
	}
}
foreach my $step (@steps)
{
	my ($what) = @$step;
	cmp_ok($failed{$what} // 0, '>', 0, "flush, $what: " . ($failed{$what} // 0) . ' ERRORs');
}

#
# Accounts that share a round: the ERROR is charged to nobody, and each goes alone
#
$session->query('ALTER SERVER good OWNER TO CURRENT_USER');
foreach my $step (grep { $_->[0] =~ /^(?:put|wait for answers|record)$/ } @steps)
{
	my ($what, $function, $call) = @$step;
	my $name = "shared round, $what";
	slow_answers($call);
	my $sender = start_session($node);
	start_over();
	enqueue_both();
	$fuse->blow_in($function, $sender->pid, $call, 1, EBADF);
	$sender->send('CALL hs_assoc_flush()');
	my (undef, $err) = $sender->finish;
	ok($fuse->has_blown, "$name: there was an ERROR");
	$fuse->replace;
	like($err, qr/WARNING: .*(?:out of memory|epoll_wait)/, "$name: it is told");
	unlike($err, qr/ERROR|FATAL/, "$name: the sender goes on");
	is(outcome() . waiting('good') . charged('bad') . charged('good'), 'sent000', "$name: all is sent, and nobody charged");
	$sender->quit;
}
$session->query('ALTER SERVER good OWNER TO other');

#
# The same by a worker; what one remembers is not for the next one
#
# Its process id, which the postmaster may tell of after it is no longer seen.
sub end_worker
{
	my $pid = $session->query($worker) || return 0;
	$session->query("SELECT pg_terminate_backend($pid)");
	wait_until(sub { $session->query("SELECT count(*) FROM ($worker) AS w") == 0 });
	return $pid;
}

$session->query('ALTER SYSTEM SET hubspot_assoc.workers = 1');
$session->query('SELECT pg_reload_conf()');
foreach my $step (@steps)
{
	my ($what, $function, $call, $expected, $rows) = @$step;
	slow_answers($call);
	foreach my $number (1, 2)
	{
		my $name = "worker, $what, $call $number";
		my $ended = end_worker();
		start_over();
		my $seen = -s $node->logfile;
		$fuse->blow_in($function, $session->pid, $call, $number, EBADF);
		my $begun = time;
		enqueue_both($rows);
		wait_until(sub { held('deals') && waiting('good') == 0 || charged('good') });
		my $blown = $fuse->has_blown && !charged('good');
		$fuse->replace;
		last unless $blown;
		check($name, undef, $begun);
		wait_until(sub { outcome() ne 'nobody' });
		like(outcome(), $expected, "$name: charged to whom it belongs");
		unlike(slurp_file($node->logfile, $seen), qr/ERROR: |FATAL: |\(PID (?!$ended\))\d+\) exited with exit code/, "$name: the worker goes on");
	}
}

$session->quit;
done_testing();
