# Cancel, statement_timeout and pg_terminate_backend act within 100 ms in every
# phase of a call, and leave nothing behind.
#
# The time is that from the signal (or the moment at which statement_timeout is
# due) to the error in the server's log, without the time for which the backend
# had to wait for a CPU (HubSpotTest::Stopwatch), and without what a cancel of
# pg_sleep() takes by the same rule at the same time. The bound is put to the
# median of three. Cancels under load are those of 270_cancels.pl.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max sum);
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(sleep time);

my $limit = patience(0.1);
my $tries = 3;
my $statement_timeout = patience(0.25);

#
# A server in which the lookup of hangs.example hangs, if there is a compiler.
#
my $dir = PostgreSQL::Test::Utils::tempdir;
my $shim = "$dir/hanging_lookup.so";
my $compiler = $ENV{CC} // 'cc';
my $can_hang = system("$compiler -shared -fPIC -o $shim "
	  . "$FindBin::Bin/../unit/hanging_lookup.c -ldl >$dir/cc.log 2>&1") == 0;
my $seen = "$dir/seen";
my $fifo = "$dir/fifo";
mkfifo($fifo, 0600) or die "mkfifo: $!";

my $node;
{
	local $ENV{HANGING_LOOKUP_SEEN} = $seen;
	local $ENV{HANGING_LOOKUP_FIFO} = $fifo;
	local $ENV{LD_PRELOAD} = $shim if $can_hang;
	$node = start_node(
		'shared_preload_libraries' => 'hubspot_assoc',
		'log_duration' => 'on',
		'log_timezone' => 'UTC',
		'max_files_per_process' => 100,
		'hubspot_assoc.allowed_hosts' => '127.0.0.1, hangs.example, *.invalid');
}
my $hubspot = start_simulator();

#
# Every phase is a server, or a record that the simulator treats specially.
#
my $silent = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1')
  or die "could not listen: $!";
my $comes = IO::Select->new($silent);
my $black_hole = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
  or die "could not listen: $!";
my @fillers = fill_backlog($black_hole->sockport);

create_account($node, $hubspot, rate_limit => 0);
create_account($node, $hubspot, name => 'one_by_one', concurrency => 2, batch_size => 1, rate_limit => 0);
create_account($node, $hubspot, name => 'black_hole', connect_timeout => '60s',
	base_url => 'http://127.0.0.1:' . $black_hole->sockport);
create_account($node, $hubspot, name => 'tls', connect_timeout => '60s',
	base_url => 'https://127.0.0.1:' . $silent->sockport);
create_account($node, $hubspot, name => 'invalid', base_url => 'https://name.invalid', max_retries => 0);
create_account($node, $hubspot, name => 'lookup', connect_timeout => '60s',
	base_url => 'https://hangs.example');

$hubspot->rules([
	{ match => { id => '601' }, action => { hang => \1 } },
	{ match => { id => '602' }, action => { drip => { bytes => 1, interval_ms => 200 } } },
	{ match => { id => '603' }, action => { status => 503, headers => { 'Retry-After' => '30' } } },
	{ match => { id => '604' }, action => { status => 429, headers => { 'Retry-After' => '30' } } },
	{ match => { id => '605', first => 1 }, action => { status => 429, headers => { 'Retry-After' => '4' } } },
]);

my $monitor = start_session($node);
my $yardstick = start_session($node);
my $stopwatch = start_stopwatch($node);
my $call = q{SELECT hs_assoc_create_default('contacts', %s, 'companies', 2, server => '%s')};

my @phases = (
	{
		name => 'looking up a name',
		sql => sprintf($call, 1, 'lookup'),
		skip => $can_hang ? undef : "no C compiler: $compiler",
		before => sub { $_[0]{seen} = lookups() },
		reached => sub { lookups() > $_[0]{seen} }
	},
	{
		name => 'connecting',
		sql => sprintf($call, 1, 'black_hole'),
		skip => @fillers ? undef : 'the backlog of a socket could not be filled',
		reached => sub { waits($_[0]) }
	},
	{
		name => 'in the TLS handshake',
		sql => sprintf($call, 1, 'tls'),
		before => sub { $silent->accept while $comes->can_read(0) },
		# the hello of TLS is all that it ever gets
		reached => sub { $comes->can_read(0) && ($_[0]{peer} = $silent->accept) && $_[0]{peer}->sysread(my $hello, 1) }
	},
	{
		name => 'waiting for the first byte',
		sql => sprintf($call, 601, 'hubspot'),
		reached => sub { $hubspot->stats->{in_flight} == 1 }
	},
	{
		name => 'in mid-body',
		sql => sprintf($call, 602, 'hubspot'),
		reached => sub { $hubspot->stats->{in_flight} == 1 && waits($_[0]) }
	},
	{
		name => 'throttled',
		account => { rate_limit => 1 },
		sql => sprintf($call, 1, 'fresh'),
		prepare => sprintf($call, 1, 'fresh'),
		reached => sub { waits($_[0]) }
	},
	{
		name => 'backing off',
		sql => sprintf($call, 603, 'hubspot'),
		reached => sub { $hubspot->stats->{requests} > $_[0]{requests}
			  && $hubspot->stats->{in_flight} == 0 && waits($_[0]) }
	},
	{
		name => 'parked by a 429',
		account => {},
		sql => sprintf($call, 604, 'fresh'),
		reached => sub { $hubspot->stats->{requests} > $_[0]{requests}
			  && $hubspot->stats->{in_flight} == 0 && waits($_[0]) }
	},
	{
		name => 'while the query runs',
		sql => q{SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT 1 AS from_id, 2 AS to_id FROM pg_sleep(60)')},
		reached => sub { waits($_[0], 'PgSleep') }
	},
	{
		name => 'while the query runs and a request is in flight',
		sql => q{SELECT * FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT CASE i WHEN 1 THEN 601 ELSE i END AS from_id, i AS to_id
			FROM generate_series(1, 20) i, pg_sleep(CASE i WHEN 20 THEN 60 ELSE 0 END)',
			server => 'one_by_one')},
		reached => sub { $hubspot->stats->{in_flight} == 1 && waits($_[0], 'PgSleep') }
	});

# Each way to end a call: how, and what it says.
my %ways = (
	cancel => '57014: canceling statement due to user request',
	timeout => '57014: canceling statement due to statement timeout',
	terminate => '57P01: terminating connection due to administrator command');

foreach my $phase (@phases)
{
  SKIP:
	{
		skip "$phase->{name}: $phase->{skip}", 2 * keys %ways if $phase->{skip};
		test_phase($phase, $_) foreach sort keys %ways;
	}
}

sub test_phase
{
	my ($phase, $way) = @_;
	my (@times, @problems);
	my $reached = 0;
	my $timeout = $statement_timeout;

	foreach my $try (1 .. $tries)
	{
		my $session = start_session($node);
		my $state = { pid => $session->pid };
		my ($out, $err);

		fresh_account(%{ $phase->{account} }) if $phase->{account};
		$session->query($phase->{prepare}) if $phase->{prepare};
		$session->query("SET statement_timeout = '" . $timeout * 1000 . "ms'")
		  if $way eq 'timeout';
		$state->{requests} = $hubspot->stats->{requests};
		$phase->{before}->($state) if $phase->{before};

		$stopwatch->begin($session->pid, $way eq 'timeout' ? $timeout : undef);
		$stopwatch->begin($yardstick->pid);
		$yardstick->send('SELECT pg_sleep(600)');
		wait_until(sub { $stopwatch->has_begun($yardstick->pid) });
		$session->send($phase->{sql});
		if ($way eq 'timeout')
		{
			# the time may be over before we have seen it: then the next one has more
			if (eval { wait_until(sub { $phase->{reached}->($state) }, 0.6 * $timeout) })
			{
				$reached++;
			}
			else
			{
				$timeout *= 4;
			}
		}
		else
		{
			wait_until(sub { $phase->{reached}->($state) });
			$reached++;
			$stopwatch->from_now($session->pid);
			$session->$way;
		}
		$stopwatch->from_now($yardstick->pid);
		$yardstick->cancel;
		my %ends = $stopwatch->wait($session->pid, $yardstick->pid);
		$yardstick->finish;
		($out, $err) = $session->finish;
		push @times, max(0, $ends{ $session->pid }{late} - $ends{ $yardstick->pid }{late});
		push @problems, "the client got: $out$err"
		  unless $err =~ /(ERROR|FATAL):  \Q$ways{$way}\E/ && $out eq '';
		my $requests = $hubspot->stats->{requests};

		# only when the backend does something could it send something
		if ($way ne 'terminate')
		{
			$session->query('SET statement_timeout = 0');
			my $next = $session->query(
				q{SELECT ok FROM hs_assoc_create_default('contacts', 5, 'companies', 6)});
			push @problems, "the next call: $next" unless $next eq 't';
			push @problems, 'requests were sent after the end'
			  unless $hubspot->stats->{requests} == $requests + 1;
			$session->quit;
		}
		else
		{
			wait_until(sub { !kill 0, $state->{pid} });
			push @problems, 'requests were sent after the end'
			  unless $hubspot->stats->{requests} == $requests;
		}
	}

	push @problems, 'the phase was never reached' unless $reached;
	is_deeply(\@problems, [], "$phase->{name}, $way: the right error, and nothing after it");
	within_limit("$phase->{name}, $way", @times);
	return;
}

#
# Connections that were cut off are gone at the other side as well.
#
my $open = wait_until(sub { $hubspot->stats->{connections_open} == 0 ? 'none' : '' });
is($open, 'none', 'sessions that ended have closed their connections');

#
# A parked account goes on when its time is over, in the same session.
#
{
	my $session = start_session($node);
	my $requests = $hubspot->stats->{requests};

	fresh_account();
	$session->send(sprintf $call, 605, 'fresh');
	wait_until(sub { $hubspot->stats->{requests} > $requests
		  && $hubspot->stats->{in_flight} == 0
		  && waits({ pid => $session->pid }) });
	$session->cancel;
	my (undef, $err) = $session->finish;
	like($err, qr/57014/, 'a call that waits for a parked account is canceled');
	is($session->query(q{SELECT ok FROM
			hs_assoc_create_default('contacts', 605, 'companies', 2, server => 'fresh')}),
		't', 'the account goes on after its wait');
	is($hubspot->stats->{requests}, $requests + 2, 'with one request');
	$session->quit;
}

#
# A lookup that comes back after its call was canceled harms nobody.
#
SKIP:
{
	skip "no C compiler: $compiler", 2 unless $can_hang;
	my $session = start_session($node);
	my $before = lookups();

	$session->send(sprintf $call, 1, 'lookup');
	wait_until(sub { lookups() > $before });
	$session->cancel;
	my (undef, $err) = $session->finish;
	like($err, qr/57014/, 'a call that looks a name up is canceled');
	my $threads = threads($session->pid);
	open my $release, '>', $fifo or die "$fifo: $!";
	wait_until(sub { threads($session->pid) < $threads }) if $threads > 1;
	close $release;
	is($session->query(sprintf "SELECT ok FROM ($call) c(r), LATERAL (SELECT (r).ok) x", 1, 'hubspot'),
		't', 'the session works after the lookup has come back');
	$session->quit;
}

#
# 1,000 cancels in one session: by statement_timeout, in flight.
#
{
	my $session = start_session($node);
	my $text = q{SELECT hs_assoc_create_default('contacts', 601, 'companies', 2);};

	# in ms; as long as it is too short to send something, the next ones have more
	my $timeout = patience(3);
	my ($ended, $requests) = (0, 0);
	my @first;
	foreach my $hundred (1 .. 10)
	{
		my $before = $hubspot->stats->{requests};
		$session->query("SET statement_timeout = $timeout");
		$ended += canceled($session, $text x 100);
		@first = leftovers($session) if $hundred == 1;
		my $sent = $hubspot->stats->{requests} - $before;
		$requests += $sent;
		$timeout *= 2 if $sent < 75;
	}
	my @last = leftovers($session);

	is($ended, 1000, '1,000 calls are canceled');
	cmp_ok($requests, '>=', 500, 'most of them in flight')
	  or diag("requests: $requests");
	same_leftovers(\@first, \@last, 'after 1,000 cancels');
	$session->quit;
}

#
# More connections given up than a process may have descriptors of libraries: a third
# of max_files_per_process. They no longer count.
#
SKIP:
{
	skip 'the backlog of a socket could not be filled', 4 unless @fillers;
	my $session = start_session($node);

	# its number is the next one's, which is a name lookup's
	$session->query("SET statement_timeout = '" . patience(200) . "ms'");
	canceled($session, sprintf "$call;", 1, 'black_hole');
	$session->query('RESET statement_timeout');
	like($session->query(sprintf "SELECT (r).ok, (r).error_message FROM ($call) c(r)", 1, 'invalid'),
		qr/^f\|could not reach/, 'a name is looked up after a connection was given up');

	$session->query('SET statement_timeout = ' . patience(5));
	my $text = sprintf("$call;", 1, 'black_hole');
	canceled($session, $text);
	my $before = descriptors($session->pid);
	is(canceled($session, $text x 200), 200, '200 calls are canceled while they connect');
	$session->query('RESET statement_timeout');
	cmp_ok(descriptors($session->pid), '<=', $before + 2, '... no more descriptors');
	is($session->query(sprintf "SELECT ok FROM ($call) c(r), LATERAL (SELECT (r).ok) x", 1, 'hubspot'),
		't', '... and a new connection can be made');
	$session->quit;
}

#
# 1,000 cancels at any moment of calls of all kinds, the seed being printed.
#
{
	my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
	note("SEED=$seed");
	srand $seed;

	my $session = start_session($node);
	my @texts = (
		q{SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8);},
		q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series(1, 3) i', server => 'one_by_one');},
		q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series(10001, 12000) i');},
		q{SELECT http_status FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/7/associations/companies');});
	my $ended = 0;
	my $statements = 0;
	my @first;

	$session->query($_) foreach @texts;			# what is kept is there
	$session->query('SET hubspot_assoc.progress_interval = 1');
	while ($ended < 1000 && $statements < 20_000)
	{
		my @batch = map { $texts[ rand @texts ] } 1 .. 100;
		$statements += @batch;
		$session->send(join "\n", @batch);
		my $sender = fork // die "fork: $!";
		if ($sender == 0)
		{
			while (1)
			{
				sleep rand 0.006;
				kill 'INT', $session->pid;
			}
		}
		my ($out, $err) = $session->finish;
		kill 'KILL', $sender;
		waitpid $sender, 0;
		my @others = grep { /(ERROR|FATAL|PANIC|WARNING):/ && !/57014/ } split /\n/, $err;
		is_deeply(\@others, [], 'nothing but cancels') if @others;
		$ended += () = $err =~ /57014: canceling statement due to user request/g;
		@first = leftovers($session) if !@first && $ended >= 100;
	}
	my @last = leftovers($session);

	cmp_ok($ended, '>=', 1000, 'more than 1,000 of many calls are canceled at random moments')
	  or diag("SEED=$seed");
	same_leftovers(\@first, \@last, "after random cancels (SEED=$seed)");
	is($session->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8)}),
		't', 'the session works');
	$session->quit;
}

#
# A backend in the middle of a call notices that the postmaster is gone.
#
my @times;
foreach my $try (1 .. $tries)
{
	my $session = start_session($node);

	wait_until(sub { $hubspot->stats->{connections_open} == 0 });
	$session->send(sprintf $call, 601, 'hubspot');
	wait_until(sub { $hubspot->stats->{in_flight} == 1 });

	# it says nothing, so the simulator has to; nobody's waits for a CPU count
	my @processes = ($session->pid, $hubspot->pid, $$);
	my @all = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	my @before = map { HubSpotTest::Stopwatch::queued($_) } @processes;
	my @after = @before;
	$node->kill9;
	my $start = time;
	wait_until(sub {
		@after = map { HubSpotTest::Stopwatch::queued($processes[$_]) // $after[$_] } 0 .. $#processes;
		$hubspot->stats->{connections_open} == 0 });
	my $end = time;
	push @times, max(0, $end - $start - sum(@after) + sum(@before));
	# the next one starts when all of its processes have noticed it
	wait_until(sub { !grep { kill 0, $_ } @all });
	$node->start if $try < $tries;
}
within_limit('the postmaster is gone', @times);

done_testing();

# The server "fresh", which nobody has used: with the library preloaded, a throttle
# that is full, or parked, is so for all sessions.
sub fresh_account
{
	my (%options) = @_;
	$node->safe_psql('postgres', 'SET client_min_messages = warning; DROP SERVER IF EXISTS fresh CASCADE');
	create_account($node, $hubspot, name => 'fresh', %options);
	return;
}

# The median of the times, and each of them for whoever wants to see.
sub within_limit
{
	my ($name, @times) = @_;
	my @sorted = sort { $a <=> $b } @times;
	my $median = $sorted[ @sorted / 2 ];

	note(sprintf '%s: median %.1f ms, longest %.1f ms', $name, $median * 1000, $sorted[-1] * 1000);
	return cmp_ok($median, '<', $limit, "$name: within " . $limit * 1000 . ' ms');
}

# Does the backend wait: on our wait events, or on the one named?
sub waits
{
	my ($state, $event) = @_;
	my $found = $monitor->query(
		"SELECT wait_event FROM pg_stat_activity WHERE pid = $state->{pid} AND state = 'active'");
	return $event ? $found eq $event : $found =~ /^(Extension|HubspotAssoc)$/;
}

# How often the name that hangs has been looked up.
sub lookups { return -s $seen // 0 }

sub threads
{
	my ($pid) = @_;
	my ($threads) = slurp_file("/proc/$pid/status") =~ /^Threads:\s+(\d+)/m;
	return $threads;
}

# Connect to the port until nobody answers; the sockets that keep it so. On
# loopback a connection is there before connect() returns, or not at all.
sub fill_backlog
{
	my ($port) = @_;
	my @sockets;

	foreach (1 .. 16)
	{
		my $socket = IO::Socket::INET->new(
			PeerAddr => '127.0.0.1', PeerPort => $port, Blocking => 0);
		return @sockets unless $socket && $socket->connected;
		push @sockets, $socket;
	}
	return;
}

# Runs the statements; how many of them were canceled.
sub canceled
{
	my ($session, $text) = @_;
	$session->send($text);
	my (undef, $err) = $session->finish;
	return scalar(() = $err =~ /57014/g);
}

# Descriptors, memory in kB, and connections as the simulator sees them.
sub leftovers
{
	my ($session) = @_;
	return (
		descriptors($session->pid),
		anonymous_memory($session->pid),
		$hubspot->stats->{connections_open});
}

sub same_leftovers
{
	my ($first, $last, $when) = @_;

	note("$when: descriptors @$first[0] -> @$last[0], memory @$first[1] kB -> @$last[1] kB,"
		  . " connections @$first[2] -> @$last[2]");
	cmp_ok($last->[0], '<=', $first->[0] + 2, "$when: no more descriptors");
	takes_at_most($last->[1] - $first->[1], 1024, "$when: memory since the 100th");

	# the simulator may still have to work off what the calls left behind
	ok(eval { wait_until(sub { $hubspot->stats->{connections_open} <= $first->[2] + 2 }, 30) },
		"$when: no more connections");
	return;
}
