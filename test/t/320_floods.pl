# A peer that sends without end, as fast as it is read, holds nobody: whatever it
# sends, request_timeout, statement_timeout, a cancel, pg_terminate_backend and a
# fast shutdown act.
#
# A process beside it keeps another CPU busy, without which libcurl now and then
# reads faster than a peer can send.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $dir = PostgreSQL::Test::Utils::tempdir;

# A process to end with the test, however it ends.
my $busy;
my $test = $$;
END { local $?; end_busy() if $test == $$ }

my %certificate = make_certificate($dir, 'peer');

my $node = start_node('shared_preload_libraries' => 'hubspot_assoc', log_duration => 'on', log_timezone => 'UTC');
my $hubspot = start_simulator();
create_account($node, $hubspot);
my $session = start_session($node);
my $watch = start_stopwatch($node);

$busy = fork // die "fork: $!";
if ($busy == 0) { 1 while getppid == $test; POSIX::_exit(0) }

# What any of these has to be done within, where what the backend waits for a CPU
# doesn't count. A call may keep one busy for a second (src/http/guard.c).
my $soon = patience(3);

#
# The time limit of a request
#
foreach my $case (
	map({ "$_ tls" } qw(pings settings windows headers data)),
	map({ ("$_ plain", "$_ tls") } qw(continues header extensions)),
	map({ "$_ plain" } qw(line extension trailers)))
{
	my ($mode, $tls) = split / /, $case;
	my $peer = peer($mode, $tls eq 'tls', request_timeout => patience(500) . 'ms', max_retries => 0);
	$watch->begin($session->pid, 0);
	my $row = $session->query(call($mode));
	my $took = took($session->pid);

	like($row, qr/^f\|UNCONFIRMED\|(no complete answer|the answer )/, "$case: no answer");
	cmp_ok($took, '<', $soon, "$case: in time");
	note(sprintf '%.2f s: %s', $took, $row);
	is($session->query(call('hubspot')), 't||', "$case: the session goes on with another account");
	$peer->stop;
	$session->query("DROP SERVER $mode CASCADE");
}

#
# Interrupts, while the request has a minute
#
my $flood = peer('pings', 1, request_timeout => '60s', max_retries => 5);
foreach my $case (
	[ 'statement_timeout', qr/ERROR:  57014: canceling statement due to statement timeout/ ],
	[ 'a cancel', qr/ERROR:  57014: canceling statement due to user request/ ],
	[ 'pg_terminate_backend', qr/FATAL:  57P01/ ])
{
	my ($name, $error) = @$case;
	my $victim = start_session($node);
	my $before = $flood->begun;

	$victim->query(q{SET statement_timeout = '200ms'}) if $name eq 'statement_timeout';
	$watch->send($victim, call('pings'));
	wait_until(sub { $flood->begun > $before });
	$watch->from_now($victim->pid);
	$victim->cancel if $name eq 'a cancel';
	$session->query('SELECT pg_terminate_backend(' . $victim->pid . ')') if $name eq 'pg_terminate_backend';
	like(($victim->finish)[1], $error, $name);
	my $took = took($victim->pid);
	cmp_ok($took, '<', $soon, "$name: in time");
	note(sprintf '%.2f s', $took);
	next if $name eq 'pg_terminate_backend';
	is($victim->query(call('hubspot')), 't||', "$name: the session goes on");
	$victim->quit;
}

#
# A worker
#
my $before = $flood->begun;
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id', server => 'pings')});
wait_until(sub { $flood->begun > $before });
$session->quit;
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', patience(10), 'a fast shutdown, with a worker');
note(sprintf '%.2f s', time - $start);

done_testing();

# How long the statement took, that is to be measured and has ended.
sub took
{
	my ($pid) = @_;
	my %results = $watch->wait($pid);
	return $results{$pid}{late};
}

sub call
{
	my ($server) = @_;
	return qq{SELECT ok, error_category, error_message
		FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '$server')};
}

# A peer that is the account of that name.
sub peer
{
	my ($mode, $tls, %options) = @_;
	my $peer = start_peer($mode, $tls ? %certificate : ());

	create_account($node, $hubspot, name => $mode, %options, base_url => $peer->url, $tls ? (ca_file => $certificate{tls_cert}) : ());
	return $peer;
}

sub end_busy
{
	return unless $busy;
	kill 'TERM', $busy;
	waitpid $busy, 0;
	return;
}
