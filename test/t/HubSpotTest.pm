
=pod

=head1 NAME

HubSpotTest - a server, a simulator of HubSpot and sessions, for the TAP tests

=head1 SYNOPSIS

  use FindBin;
  use lib $FindBin::Bin;
  use HubSpotTest;
  use Test::More;

  my $node = start_node('work_mem' => '64kB');
  my $hubspot = start_simulator('latency' => 500);
  create_account($node, $hubspot, 'max_retries' => 0);

  my $session = start_session($node);
  $session->send(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 2)});
  wait_until(sub { $hubspot->stats->{in_flight} == 1 });
  $session->cancel;
  my ($out, $err) = $session->finish;
  like($err, qr/57014/);

=head1 DESCRIPTION

Where the extension is found is not decided here: make test says it through
TEMP_CONFIG, make installcheck has it installed.

=cut

package HubSpotTest;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Basename;
use IPC::Run ();
use List::Util qw(max min);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(start_node start_simulator start_peer create_account start_session start_fuse
  wait_until wait_for_empty_outbox wait_for_lock descriptors cpu_time anonymous_memory
  peak_memory measure leaks takes_at_most takes_requests same_lines patience instrumented
  start_stopwatch create_own_reading make_certificate run_with_input seeds try_seed
  replication_settings subscribe wait_until_copied wait_until_applied);

my $nodes = 0;
my @nodes;

=head1 FUNCTIONS

=over

=item start_node([initdb => [options],] [fuse => fuse,] setting => value, ...)

A running PostgreSQL::Test::Cluster with these settings; by default without a
locale, in UTF8; test/template/initdb makes it. Where the library is not preloaded, no
worker sends, unless hubspot_assoc.workers is given. A fuse is one of start_fuse(). At the test's end it is stopped
at once, and with the environment variable TEST_STOP=fast so that its processes
come to a regular end, which is when they say what they have counted.

=cut

sub start_node
{
	my (%settings) = @_;
	my $initdb = delete $settings{initdb} // [ '--no-locale', '-E', 'UTF8' ];
	my $fuse = delete $settings{fuse};
	my $node = PostgreSQL::Test::Cluster->new('node' . ++$nodes);

	# Where all takes longer, a batch is not to speak of its progress earlier.
	# What comes with the years is no test's but one's.
	%settings = ('hubspot_assoc.progress_interval' => patience(60) . 's', 'hubspot_assoc.version_warnings' => 'off', %settings);
	$settings{'hubspot_assoc.workers'} //= 0 unless ($settings{shared_preload_libraries} // '') =~ /hubspot_assoc/;

	local @ENV{ 'FAILING_CALLS', 'LD_PRELOAD' } = (
		$fuse->{file}, join ' ', grep { $_ } $ENV{LD_PRELOAD}, $fuse->{library})
	  if $fuse;
	{
		local $ENV{PATH} = dirname(__FILE__) . "/../template:$ENV{PATH}";
		$node->init(extra => $initdb);
	}
	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'")
	  foreach sort keys %settings;
	$node->start;
	push @nodes, $node;
	return $node;
}

# Before the one of PostgreSQL::Test::Cluster, which then has nothing to stop.
END
{
	if (($ENV{TEST_STOP} // '') eq 'fast')
	{
		local $?;
		$_->stop('fast', fail_ok => 1) foreach @nodes;
	}
}

=item start_simulator(option => value, ...)

A HubSpotTest::Simulator of its own; the options are those of
test/simulator, with _ for -: tls_cert, latency, token, journal, ...

=cut

sub start_simulator
{
	return HubSpotTest::Simulator->new(@_);
}

=item start_peer($mode[, make_certificate(...)])

A HubSpotTest::Peer of its own: test/peer.py in that mode, by TLS if there is a certificate.

=cut

sub start_peer
{
	return HubSpotTest::Peer->new(@_);
}

=item create_account($node, $simulator, option => value, ...)

Makes the simulator the server "hubspot" of database postgres, with these server
options and a user mapping for PUBLIC. The option name, if any, is the server's
name, dbname the database, token the token. Keeps the token out of the log.

=cut

sub create_account
{
	my ($node, $simulator, %options) = @_;
	my $name = delete $options{name} // 'hubspot';
	my $dbname = delete $options{dbname} // 'postgres';
	my $token = delete $options{token} // 'test-token';

	$options{base_url} //= $simulator->url;
	my $list = join ', ', map { "$_ " . quote($options{$_}) } sort keys %options;

	$node->safe_psql(
		$dbname, qq{
		SET log_statement = none;
		SET client_min_messages = warning;
		CREATE EXTENSION IF NOT EXISTS hubspot_assoc;
		CREATE SERVER $name FOREIGN DATA WRAPPER hubspot_assoc OPTIONS ($list);
		CREATE USER MAPPING FOR PUBLIC SERVER $name
			OPTIONS (access_token @{[ quote($token) ]});
	});
	return;
}

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

=item start_session($node[, dbname])

A HubSpotTest::Session: a psql that lives on, and its backend.

=cut

sub start_session
{
	return HubSpotTest::Session->new(@_);
}

=item start_fuse()

A HubSpotTest::Fuse, which makes calls of the extension fail in servers that are
started with it. Skips the test file if there is no C compiler, and under
AddressSanitizer, which stands between the extension and what it calls.

=cut

sub start_fuse
{
	Test::More::plan(skip_all => 'AddressSanitizer stands in between') if instrumented() eq 'AddressSanitizer';
	return HubSpotTest::Fuse->new // Test::More::plan(skip_all => 'no C compiler');
}

=item wait_until(sub { condition }[, seconds])

Asks again after 10 ms, and later after a twentieth of the time that has passed, at
most 100 ms, until the condition is true, and returns what it returned; dies after
the given time (default: the test suite's time-out, which is PG_TEST_TIMEOUT_DEFAULT).

=cut

sub wait_until
{
	my ($condition, $seconds) = @_;
	my $begin = time;
	my $end = $begin + ($seconds // $PostgreSQL::Test::Utils::timeout_default);

	while (1)
	{
		my $result = $condition->();
		return $result if $result;
		croak 'waited in vain' if time > $end;
		sleep min(0.1, max(0.01, (time - $begin) / 20));
	}
}

=item wait_for_empty_outbox($session[, seconds])

Waits until nothing is in the outbox of the session's database, as wait_until().

=cut

sub wait_for_empty_outbox
{
	my ($session, $seconds) = @_;
	return wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 }, $seconds);
}

=item wait_for_lock($node, $session)

Waits until the statement of the session waits for a lock.

=cut

sub wait_for_lock
{
	my ($node, $session) = @_;
	my $sql = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $session->pid;
	return wait_until(sub { $node->safe_psql('postgres', $sql) eq 't' });
}

=item patience(seconds)

The time, multiplied by what the environment variable TEST_SLOWDOWN says
(default 1): all limits of time go through this, since a server under valgrind
is 30 times as slow. That is what must be done after this time, and what an option
or a setting allows the server for something that is to succeed. A whole number
stays one, as in

  request_timeout => patience(200) . 'ms'

=cut

sub patience
{
	my ($seconds) = @_;
	my $slow = $seconds * ($ENV{TEST_SLOWDOWN} || 1);
	return $seconds == int $seconds ? int POSIX::ceil($slow) : $slow;
}

=item instrumented()

The name of what watches the server's memory, from the environment variable
TEST_INSTRUMENTED ("AddressSanitizer", "valgrind"), or an empty string. What
the server takes of memory says nothing about the extension then.

=cut

sub instrumented
{
	return $ENV{TEST_INSTRUMENTED} // '';
}

=item descriptors($pid, $kind)

How many files and sockets the process has open; or how many of a kind, as /proc
names it: socket, pipe, anon_inode.

=cut

sub descriptors
{
	my ($pid, $kind) = @_;
	opendir my $dir, "/proc/$pid/fd" or croak "/proc/$pid/fd: $!";
	return scalar grep { !/^\./ && (!$kind || (readlink("/proc/$pid/fd/$_") // '') =~ /^$kind:/) } readdir $dir;
}

=item cpu_time($pid)

The seconds for which the process has had a CPU.

=cut

sub cpu_time
{
	my ($pid) = @_;
	my @fields = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

=item anonymous_memory($pid)

The memory, in kB, that the process has, without files and shared memory: pages
of libraries and of the shared buffers become private when others that have them
end. What it has from its parent is in it.

=cut

sub anonymous_memory
{
	my ($pid) = @_;
	my ($kB) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $kB;
}

=item peak_memory($pid)

The most memory, in kB, that the process has had so far, with files and shared memory.

=cut

sub peak_memory
{
	my ($pid) = @_;
	my ($kB) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
	return $kB;
}

=item takes_at_most($added, $most, name)

A test that so many kB of memory, of anonymous_memory() or measure(), are no more
than $most; skipped where the server is instrumented().

=cut

sub takes_at_most
{
	my ($added, $most, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	Test::More::note("$name: $added kB");
	return Test::More::cmp_ok($added, '<=', $most, "$name: at most $most kB more")
	  unless instrumented();
	SKIP:
	{
		Test::More::skip("$name: memory under " . instrumented(), 1);
	}
	return 1;
}

=item takes_requests($session, $simulator, sql, $requests, $expected, name)

A test that a statement takes so many requests (undef: any number), and gives these rows,
in their order if it asks for one; or prints what a regex matches. The simulator's log then
has that statement's requests.

=cut

sub takes_requests
{
	my ($session, $simulator, $sql, $requests, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$simulator->clear_log;
	my $before = $simulator->stats->{requests};
	$session->send($sql);
	my ($out, $err) = $session->finish;
	my $sent = $simulator->stats->{requests} - $before;
	if (ref $expected) { Test::More::like($out . $err, $expected, $name) }
	else
	{
		my ($got, $rows) = map {
			my @lines = split /\n/, $_, -1;
			[ $sql =~ /ORDER BY|FETCH/ ? @lines : sort @lines ]
		} $out, $expected;
		Test::More::is_deeply($got, $rows, $name) or Test::More::diag($err);
	}
	Test::More::is($sent, $requests, "... $requests requests") if defined $requests;
	return;
}

=item same_lines($got, $expected, name)

A test: that two texts are equal. If not, it shows the first lines that differ.

=cut

sub same_lines
{
	my ($got, $expected, $name) = @_;
	my @got = split /\n/, $got;
	my @expected = split /\n/, $expected;
	my @differ;

	foreach my $i (0 .. max($#got, $#expected))
	{
		my ($a, $b) = map { $_->[$i] // '(nothing)' } \@got, \@expected;
		push @differ, "got $a, not $b" if $a ne $b;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::ok(!@differ, $name)
	  || Test::More::diag(join "\n", splice(@differ, 0, 5), @differ ? '...' : ());
}

=item create_own_reading($session)

Creates own_reading(text): what the server itself takes a text for as jsonb, or null.

=cut

sub create_own_reading
{
	my ($session) = @_;
	return $session->query(q{
		CREATE FUNCTION own_reading(t text) RETURNS jsonb LANGUAGE plpgsql AS $$
		BEGIN
			RETURN t::jsonb;
		EXCEPTION WHEN data_exception OR statement_too_complex OR program_limit_exceeded THEN
			RETURN NULL;
		END $$});
}

=item make_certificate($dir, $name[, $address])

Makes a certificate of its own, $dir/$name.crt, and its key, $dir/$name.key, for an address
as subjectAltName has it (default: IP:127.0.0.1). Returns them as options of start_simulator().

=cut

sub make_certificate
{
	my ($dir, $name, $address) = @_;
	my ($key, $certificate, $output) = ("$dir/$name.key", "$dir/$name.crt", '');

	IPC::Run::run([ 'openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
			'-nodes', '-days', '10', '-subj', "/CN=$name", '-addext', 'subjectAltName=' . ($address // 'IP:127.0.0.1'),
			'-keyout', $key, '-out', $certificate ], '>&', \$output)
	  or croak "openssl: $output";
	return (tls_cert => $certificate, tls_key => $key);
}

=item run_with_input($input, @command)

Runs a command with that as its standard input; its exit code, and all that it prints.

=cut

sub run_with_input
{
	my ($input, @command) = @_;
	my $output = '';
	IPC::Run::run(\@command, '<', \$input, '>&', \$output, IPC::Run::timeout(patience(300)));
	return ($? >> 8, $output);
}

=item seeds($least, $usual)

The seeds of a test of random cases: that of the environment variable SEED alone, or as many
as SEEDS says, from a random one on. By default they are as many as is usual, and fewer,
down to the least, where all takes longer.

=cut

sub seeds
{
	my ($least, $usual) = @_;
	my $first = $ENV{SEED} // int(rand(2**31));
	my $count = $ENV{SEED} ? 1 : $ENV{SEEDS} // max($least, int($usual / ($ENV{TEST_SLOWDOWN} || 1)));

	Test::More::note("SEED=$first ($count of them)");
	return $first .. $first + $count - 1;
}

=item try_seed($seed, sub { ...; return @problems }[, sub { more to be said of a problem }])

A test that the case of a seed has no problem; to die is one.

=cut

sub try_seed
{
	my ($seed, $run, $more) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	srand $seed;
	my @problems;
	eval { @problems = $run->($seed); 1 } or @problems = ($@);
	return Test::More::is(join("\n", @problems[ 0 .. min($#problems, 3) ]), '', "seed $seed")
	  || Test::More::diag(join "\n", "again: SEED=$seed make test PROVE_TESTS=test/t/" . basename($0), $more ? $more->() : ());
}

=item replication_settings()

Settings of start_node() with which one of its databases can subscribe to another one.

=item subscribe($node, $publisher, $subscriber, $tables[, $options])

Lets the database of a session subscribe to the tables of another one's, or to a publication
without any, and waits until their rows have been copied. The publication is "p"; the slot
and the subscription, which may have more options, are "s".

=item wait_until_copied($subscriber), wait_until_applied($publisher)

Wait until the subscriptions have the rows that their tables have; and what was committed so far.

=cut

sub replication_settings
{
	return (
		wal_level => 'logical',
		max_wal_senders => 10,
		max_replication_slots => 10,
		max_prepared_transactions => 5,
		max_worker_processes => 16,
		wal_retrieve_retry_interval => '200ms');
}

sub subscribe
{
	my ($node, $publisher, $subscriber, $tables, $options) = @_;
	my $connection = quote($node->connstr($publisher->query('SELECT current_database()')));
	my $two_phase = ($options // '') =~ /two_phase = true/ ? 'true' : 'false';
	my $list = join ', ', 'create_slot = false', 'slot_name = s', $options // ();

	$publisher->query('CREATE PUBLICATION p' . ($tables ? " FOR TABLE $tables" : ''));
	$publisher->query("SELECT pg_create_logical_replication_slot('s', 'pgoutput', false, $two_phase)");
	$subscriber->query("CREATE SUBSCRIPTION s CONNECTION $connection PUBLICATION p WITH ($list)");
	return wait_until_copied($subscriber);
}

sub wait_until_copied
{
	my ($subscriber) = @_;
	return wait_until(sub { $subscriber->query(q{SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'}) == 0 });
}

sub wait_until_applied
{
	my ($publisher) = @_;
	my $lsn = $publisher->query('SELECT pg_current_wal_insert_lsn()');
	my $sql = qq{SELECT bool_and(confirmed_flush_lsn >= '$lsn') FROM pg_replication_slots WHERE active AND slot_name = 's'};
	return wait_until(sub { $publisher->query($sql) eq 't' });
}

=item measure($session, sql)

Runs the statement in a HubSpotTest::Session; its output, and how much memory,
in kB, that added to its backend at the most, and at the end, see anonymous_memory().
The backend is looked at every 5 ms.

=cut

sub measure
{
	my ($session, $sql) = @_;
	my $before = anonymous_memory($session->pid);

	pipe my $read, my $write or croak "pipe: $!";
	my $sampler = fork // croak "fork: $!";
	if ($sampler == 0)
	{
		my ($peak, $ended) = (0, 0);
		local $SIG{TERM} = sub { $ended = 1 };
		until ($ended)
		{
			my $now = anonymous_memory($session->pid);
			$peak = $now if $now > $peak;
			sleep 0.005;
		}
		syswrite $write, $peak;
		POSIX::_exit(0);
	}
	close $write;
	my $out = $session->query($sql);
	my $after = anonymous_memory($session->pid);
	kill 'TERM', $sampler;
	my $peak = <$read>;
	waitpid $sampler, 0;
	return ($out, max($peak, $after) - $before, $after - $before);
}

=item leaks($session, $calls, sub { a call })

Makes so many calls, three times. Of each time, it takes the least that is left after one of
them of the memory, in kB, of the session's backend, and returns the smaller one of its two
rises. What malloc keeps for itself comes and goes; what leaks adds up, and so many calls' leak
is what this returns.

=cut

sub leaks
{
	my ($session, $calls, $call) = @_;
	my @least = map {
		min map { $call->(); anonymous_memory($session->pid) } 1 .. $calls
	} 1 .. 3;

	return min($least[1] - $least[0], $least[2] - $least[1]);
}

=item start_stopwatch($node)

A HubSpotTest::Stopwatch: how soon backends act. The node needs log_duration
and log_timezone UTC (and log_statement, which Cluster.pm sets).

=cut

sub start_stopwatch
{
	return HubSpotTest::Stopwatch->new(@_);
}

=back

=head1 HubSpotTest::Stopwatch

Measures, on a machine that may be busy with other things, how long a backend
takes from a moment, such as a signal to it, to the end of its statement.

The end is what the server's log says of it, so that neither psql nor this
process count. From the time in between is taken off for how long the process
was ready to run and had to wait for a CPU, which Linux tells in
/proc/PID/schedstat (nothing elsewhere): a machine with more to do than CPUs
makes any process late by that. What is left is what the backend computed or
slept, and that is its own doing.

=over

=item begin($pid[, seconds])

The backend's next statement is the one to be measured: from so many seconds
after its start, or from what from_now() says.

=item has_begun($pid)

Whether the server has the statement; a cancel before that would be lost.

=item from_now($pid[, seconds])

From now, or in so many seconds. False if the statement has ended already.

=item from_end_of($pid, $other)

From the end of the other backend's statement, which was measured as well and
has come back: it sent the signal.

=item send($session, sql)

Begins a statement in a HubSpotTest::Session, the one to be measured.

=item cancel($session)

Cancels that, and returns its standard output and error, and in how many seconds
it has ended, as "late" below.

=item wait($pid, ...)

Waits until the statement of each of these has ended, or the backend is gone.
A hash: for each, seconds from its moment to its end as "late", the same with
what was taken off as "wall", and the log's words as "text".

=back

=cut

package HubSpotTest::Stopwatch;

use strict;
use warnings;

use Carp;
use List::Util qw(max);
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

sub new
{
	my ($class, $node) = @_;
	open my $log, '<', $node->logfile or croak $node->logfile . ": $!";
	return bless { log => $log, rest => '', marks => {} }, $class;
}

sub begin
{
	my ($self, $pid, $seconds) = @_;
	$self->look;				# what was before is nobody's
	$self->{marks}{$pid} = { seconds => $seconds };
	$self->{marks}{$pid}{before} = queued($pid) // 0;
	return;
}

sub has_begun
{
	my ($self, $pid) = @_;
	$self->look;
	return $self->{marks}{$pid}{begun};
}

sub from_now
{
	my ($self, $pid, $seconds) = @_;
	my $mark = $self->{marks}{$pid};
	$self->look;
	@$mark{qw(from before)} = (time + ($seconds // 0), queued($pid) // 0) unless $mark->{end};
	return !$mark->{end};
}

sub from_end_of
{
	my ($self, $pid, $other) = @_;
	$self->wait($other);
	$self->{marks}{$pid}{from} = $self->{marks}{$other}{end}{at};
	return;
}

sub send
{
	my ($self, $session, $sql) = @_;
	$self->begin($session->pid);
	$session->send($sql);
	return;
}

sub cancel
{
	my ($self, $session) = @_;
	my $pid = $session->pid;
	$self->from_now($pid);
	$session->cancel;
	my @printed = $session->finish;
	my %results = $self->wait($pid);
	return (@printed, $results{$pid}{late});
}

# Seconds for which the process has waited for a CPU so far; undef: it is gone.
sub queued
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/schedstat" or return -d "/proc/$pid" ? 0 : undef;
	my $line = readline $file;
	return defined $line ? (split ' ', $line)[1] / 1e9 : undef;
}

sub wait
{
	my ($self, @pids) = @_;
	my $give_up = time + $PostgreSQL::Test::Utils::timeout_default;
	my %results;

	while (@pids)
	{
		my @pending;
		my %gone;

		foreach my $pid (@pids)
		{
			my $queued = queued($pid);
			if (defined $queued) { $self->{marks}{$pid}{queued} = $queued }
			else { $gone{$pid} = time }
		}
		$self->look;			# after that, so that the end is in it
		foreach my $pid (@pids)
		{
			my $mark = $self->{marks}{$pid};
			my $end = $mark->{end} // ($gone{$pid} ? { at => $gone{$pid}, text => 'gone' } : undef);

			if (!$end)
			{
				push @pending, $pid;
				next;
			}
			my $wall = max(0, $end->{at} - ($mark->{from} // $end->{at}));
			my $queued = max(0, ($mark->{queued} // $mark->{before}) - $mark->{before});
			$results{$pid} = { wall => $wall, late => max(0, $wall - $queued), text => $end->{text} };
		}
		@pids = @pending;
		croak "the statements of @pids do not end" if time > $give_up;
		sleep 0.002 if @pids;
	}
	return %results;
}

# Reads what is new in the log.
sub look
{
	my ($self) = @_;
	seek $self->{log}, 0, 1;
	my $new = do { local $/; readline $self->{log} } // '';
	my @lines = split /\n/, $self->{rest} . $new, -1;

	$self->{rest} = pop @lines // '';
	foreach my $line (@lines)
	{
		my ($y, $mon, $d, $h, $min, $s, $pid, $text) = $line =~
		  /^(\d+)-(\d+)-(\d+) (\d+):(\d+):([\d.]+) UTC \[(\d+)\] .*?((?:ERROR|FATAL|PANIC):  .*|LOG:  (?:duration|statement): .*)/
		  or next;
		my $mark = $self->{marks}{$pid};
		next if !$mark || $mark->{end};
		my $at = timegm(int $s, $min, $h, $d, $mon - 1, $y) + ($s - int $s);

		if ($text =~ /^LOG:  statement/)
		{
			$mark->{begun} = 1;
			$mark->{from} = $at + $mark->{seconds} if defined $mark->{seconds};
		}
		else
		{
			$mark->{end} = { at => $at, text => $text };
		}
	}
	return;
}

=head1 HubSpotTest::Simulator

A process of test/simulator, which ends with the object. Its methods are the
requests of its control port, which control.py there describes: with what they
send as their argument, and what is answered as their result.

=over

=item port, control_port, url

=item pid

The process's; undef while there is none.

=item settings({...}), reset

=item stats([token => ...])

Of everything, or of one account.

=item rules({...} | [...]), hits, clear_rules

=item release

Answers what rules whose action has hold => 1 have kept back: so a test says when,
and need not be quick.

=item objects({...}), account({...}), oauth({...}), expire_oauth

=item put_records(type, [{ id => ..., properties => {...} }, ...]), generate_records(type, {...})

Records that look-ups find, or other values of those that are there; so many of
them as { count => ..., properties => { email => 'contact{n}@example.com' } }
says. How many there are of the type then.

=item records(type[, id => ...]), delete_records(type[, id => ...])

=item merge_records(type, id, into[, variant => ..., new_id => ...])

The id of the record that two have become: variant is survivor (the default),
new or vanished.

=item property({...}), schema({...})

=item put_associations(from_type, to_type, [[from_id, to_id], ...][, types => ..., token => ...])

=item generate_associations(from_type, to_type, {...}[, types => ..., token => ...])

Those that { first_from => ..., count => ..., per_from => ..., first_to => ..., to_count => ... }
says, each of which is 1 unless it is given.

=item put_label(from_type, to_type, label[, name => ..., inverse_label => ...])

A label, and its type; its name is the label in lower case unless it is given.

=item associations(from_type, to_type[, token => ..., from_id => ...])

The list of them.

=item association_count(from_type, to_type[, token => ...])

=item association_table(from_type, to_type[, token => ...])

All of them as text, "from,to,types" in each line, in the order of the ids; to
be used where there are many.

=item log([path => regex,] [operation => name,] [limit => n])

The list of requests. The operations that look up records are read_records,
search_records, list_properties and read_property.

=item log_count([path regex]), clear_log

=item control(method, path[, body])

Any other request.

=item stop

=item kill

The same with SIGKILL; both wait until the process is gone.

=item start

Starts it again after that, with the options and on the ports it had. What it
still knows then is what a journal has kept.

=back

=cut

package HubSpotTest::Simulator;

use strict;
use warnings;

use Carp;
use File::Basename;
use HTTP::Tiny;
use Cpanel::JSON::XS;

my $script = dirname(__FILE__) . '/../simulator';

sub new
{
	my ($class, %options) = @_;
	my $self = bless {
		options => {%options},
		scheme => $options{tls_cert} ? 'https' : 'http',
		http => HTTP::Tiny->new(timeout => HubSpotTest::patience(120), proxy => undef, keep_alive => 0),
	}, $class;

	$self->launch or croak "$script did not start";
	return $self;
}

# Starts the process, and keeps its ports for the next time; whether it runs.
sub launch
{
	my ($self) = @_;
	my $options = $self->{options};
	my @arguments;

	foreach my $name (sort keys %$options)
	{
		(my $flag = "--$name") =~ tr/_/-/;
		push @arguments, $flag, $options->{$name};
	}
	$self->{pid} = open $self->{output}, '-|', 'python3', $script, @arguments
	  or croak "could not start $script: $!";
	my $line = readline($self->{output}) // '';
	if ($line =~ /^port=(\d+) control=(\d+)$/)
	{
		@$options{qw(port control_port)} = ($1, $2);
		return 1;
	}
	$self->stop;
	return 0;
}

sub start
{
	my ($self) = @_;
	croak 'the simulator runs already' if $self->{pid};

	# Meanwhile somebody's connection may have been given one of the ports.
	HubSpotTest::wait_until(sub { $self->launch }, HubSpotTest::patience(60));
	return;
}

sub pid { return $_[0]{pid} }
sub port { return $_[0]{options}{port} }
sub control_port { return $_[0]{options}{control_port} }
sub url { return "$_[0]{scheme}://127.0.0.1:" . $_[0]->port }

sub control
{
	my $content = request(@_);
	return $content ? decode_json($content) : undef;
}

# What the control port answers, as it is.
sub request
{
	my ($self, $method, $path, $body, %parameters) = @_;
	my $query = $self->{http}->www_form_urlencode(\%parameters);
	my $reply = $self->{http}->request(
		$method,
		'http://127.0.0.1:' . $self->control_port . $path . ($query ? "?$query" : ''),
		{ content => defined $body ? encode_json($body) : '' });

	croak "simulator: $method $path: $reply->{status} $reply->{content}"
	  unless $reply->{success};
	return $reply->{content};
}

sub settings { return $_[0]->control('POST', '/settings', $_[1]) }
sub stats { return shift->control('GET', '/stats', undef, @_) }
sub reset { return $_[0]->control('POST', '/reset') }
sub rules { return $_[0]->control('POST', '/rules', $_[1]) }
sub hits { return $_[0]->control('GET', '/rules') }
sub clear_rules { return $_[0]->control('DELETE', '/rules') }
sub release { return $_[0]->control('POST', '/release') }
sub objects { return $_[0]->control('POST', '/objects', $_[1]) }
sub account { return $_[0]->control('POST', '/accounts', $_[1]) }
sub property { return $_[0]->control('POST', '/properties', $_[1]) }
sub schema { return $_[0]->control('POST', '/schemas', $_[1]) }
sub oauth { return $_[0]->control('POST', '/oauth', $_[1]) }
sub expire_oauth { return $_[0]->control('POST', '/oauth/expire') }
sub clear_log { return $_[0]->control('DELETE', '/log') }

sub put_records
{
	my ($self, $type, $records) = @_;
	return $self->control('POST', '/records', { type => $type, records => $records })->{count};
}

sub generate_records
{
	my ($self, $type, $how) = @_;
	return $self->control('POST', '/records', { type => $type, generate => $how })->{count};
}

sub records
{
	my ($self, $type, %which) = @_;
	return $self->control('GET', '/records', undef, type => $type, %which)->{records};
}

sub delete_records
{
	my ($self, $type, %which) = @_;
	return $self->control('DELETE', '/records', undef, type => $type, %which);
}

sub merge_records
{
	my ($self, $type, $id, $into, %more) = @_;
	return $self->control('POST', '/records/merge',
		{ variant => 'survivor', %more, type => $type, id => $id, into => $into })->{id};
}

sub put_associations
{
	my ($self, $from_type, $to_type, $pairs, %more) = @_;
	return $self->control('POST', '/associations', { %more, from_type => $from_type, to_type => $to_type, pairs => $pairs });
}

sub generate_associations
{
	my ($self, $from_type, $to_type, $how, %more) = @_;
	return $self->control('POST', '/associations', { %more, from_type => $from_type, to_type => $to_type, generate => $how });
}

sub put_label
{
	my ($self, $from_type, $to_type, $label, %more) = @_;
	return $self->control('POST', '/labels', { name => lc $label, %more, from_type => $from_type, to_type => $to_type, label => $label });
}

sub associations
{
	my ($self, $from_type, $to_type, %more) = @_;
	return $self->control('GET', '/associations', undef,
		from_type => $from_type, to_type => $to_type, %more)->{associations};
}

sub association_count
{
	my ($self, $from_type, $to_type, %more) = @_;
	return $self->control('GET', '/associations/count', undef,
		from_type => $from_type, to_type => $to_type, %more)->{count};
}

sub association_table
{
	my ($self, $from_type, $to_type, %more) = @_;
	return $self->request('GET', '/associations/table', undef,
		from_type => $from_type, to_type => $to_type, %more);
}

sub log
{
	my ($self, %which) = @_;
	return $self->control('GET', '/log', undef, %which)->{requests};
}

sub log_count
{
	my ($self, $path) = @_;
	return $self->control('GET', '/log/count', undef,
		defined $path ? (path => $path) : ())->{count};
}

sub stop { return $_[0]->end('TERM') }
sub kill { return $_[0]->end('KILL') }

sub end
{
	my ($self, $signal) = @_;
	return unless $self->{pid};
	local ($?, $!);
	CORE::kill($signal, delete $self->{pid});
	close $self->{output};			# waits for it
	return;
}

sub DESTROY { $_[0]->stop; return }

=head1 HubSpotTest::Peer

Something that speaks HTTP, but not as HubSpot does. It ends with the test.

=over

=item url

=item begun

How often it has begun to say something.

=item stop

=back

=cut

package HubSpotTest::Peer;

use strict;
use warnings;

use Carp;
use File::Basename;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $mode, %certificate) = @_;
	my $script = dirname(__FILE__) . '/../peer.py';
	my $self = bless { begun => PostgreSQL::Test::Utils::tempdir . '/begun', test => $$ }, $class;

	append_to_file($self->{begun}, '');
	$self->{pid} = open $self->{output}, '-|', 'python3', $script, $self->{begun}, $mode, map { $certificate{$_} // () } qw(tls_cert tls_key)
	  or croak "$script: $!";
	chomp(my $port = readline $self->{output} // croak "$script did not start");
	$self->{url} = (%certificate ? 'https' : 'http') . "://127.0.0.1:$port";
	return $self;
}

sub url { return $_[0]{url} }
sub begun { return -s $_[0]{begun} || 0 }

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{test} == $$;
	local ($?, $!);
	CORE::kill('TERM', -delete $self->{pid});	# a process group
	close $self->{output};			# waits for it
	return;
}

sub DESTROY { $_[0]->stop; return }

=head1 HubSpotTest::Fuse

What test/unit/failing_calls.c looks at.

=over

=item blow(function, number, result)

From now on, that call of the function fails, if the extension makes it: 1 is the
next one. The result is what it returns, or its errno.

=item blow_in(step, pid, function, number, result)

The same, of the calls that the extension or the server makes while it is in the
extension's function of that name, as the process has it; of several, as in a|b, the
first that there is, since a compiler may make one a part of the other. False: nobody
knows where that lies.

=item has_blown

Whether it came to that.

=item replace

No call fails (any more).

=item ahead(seconds)

The extension's monotonic clock jumps ahead. It never goes back.

=back

=cut

package HubSpotTest::Fuse;

use strict;
use warnings;

use Carp;
use File::Basename;
use PostgreSQL::Test::Utils;

my $source = dirname(__FILE__) . '/../unit/failing_calls.c';
my $layout = 'Z32 l l q Q Q';

sub new
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $self = bless { file => "$dir/fuse", library => "$dir/failing_calls.so", ahead => 0 }, $class;
	my $compiler = $ENV{CC} // 'cc';
	my $curl = $ENV{CURL_CONFIG} // 'curl-config';
	my $log = "$dir/cc.log";

	return if system("$compiler --version >$log 2>&1") != 0;
	my $watched = HubSpotTest::instrumented() ? '-DMEMORY_IS_WATCHED' : '';
	system("$compiler -shared -fPIC $watched `$curl --cflags` -o $self->{library} $source -ldl >$log 2>&1") == 0
	  or croak "could not compile $source: " . slurp_file($log);
	append_to_file($self->{file}, '');
	$self->replace;
	return $self;
}

sub blow { my ($self, @what) = @_; return $self->write(@what) }
sub replace { return $_[0]->write('', 0, 0) }
sub ahead { my ($self, $seconds) = @_; $self->{ahead} += $seconds; return $self->replace }

sub blow_in
{
	my ($self, $step, $pid, @what) = @_;
	my ($library) = slurp_file("/proc/$pid/maps") =~ m{(/\S+/hubspot_assoc\.so)$}m or return 0;
	my $symbols = `nm -S '$library'`;
	foreach my $name (split /\|/, $step)
	{
		my ($start, $size) = $symbols =~ /^(\w+) (\w+) t \Q$name\E(?:\.(?:isra|constprop|part)\.\d+)*$/mi or next;
		$self->write(@what, hex $start, hex($start) + hex $size);
		return 1;
	}
	return 0;
}

sub has_blown { return $_[0]->left == 0 }

# How many calls it is until the one that fails.
sub left
{
	my ($self) = @_;
	my (undef, $calls) = unpack $layout, slurp_file($self->{file});
	return $calls;
}

# In place, since servers have it mapped.
sub write
{
	my ($self, $function, $calls, $result, @step) = @_;
	my $bytes = pack $layout, $function, $calls, $result, $self->{ahead}, @step ? @step : (0, 0);

	open my $handle, '+<', $self->{file} or croak "$self->{file}: $!";
	binmode $handle;
	syswrite($handle, $bytes) == length $bytes or croak "$self->{file}: $!";
	close $handle;
	return;
}

=head1 HubSpotTest::Session

A psql of one session, in verbose mode: an error shows its SQLSTATE.

=over

=item pid

The backend's.

=item query(sql)

Its output; dies of an error.

=item told(sql)

What it prints on standard error.

=item send(sql), finish

Begins a statement; waits for its end, and returns its standard output and
error. finish takes it as the end, too, when the connection is lost.

=item cancel, terminate

As pg_cancel_backend() and pg_terminate_backend().

=item quit

=back

=cut

package HubSpotTest::Session;

use strict;
use warnings;

use Carp;
use IPC::Run;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $node, $dbname) = @_;
	my $self = bless { in => '', out => '', err => '', statements => 0 }, $class;

	$self->{psql} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr($dbname // 'postgres'), '-f', '-'
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		$self->{timeout} = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$self->{pid} = $self->query('SELECT pg_catalog.pg_backend_pid()');
	return $self;
}

sub pid { return $_[0]{pid} }

sub send
{
	my ($self, $sql) = @_;
	my $number = ++$self->{statements};

	$self->{timeout}->start;		# counts for each statement anew

	# The first line back shows that psql has the rest as well; only then is
	# there nothing to wait for but the statement.
	$self->{in} .= "\\echo begin $number\n$sql\n;\n"
	  . "\\echo end $number\n\\warn end $number\n";
	$self->{psql}->pump
	  until !length $self->{in} && $self->{out} =~ s/^begin $number\n//;
	return;
}

sub finish
{
	my ($self) = @_;
	my $end = qr/end $self->{statements}\n/;

	$self->{psql}->pump
	  until ($self->{out} =~ $end && $self->{err} =~ $end)
	  || !$self->{psql}->pumpable;
	my ($out, $err) = @$self{qw(out err)};
	@$self{qw(out err)} = ('', '');
	s/$end//, chomp foreach ($out, $err);
	return ($out, $err);
}

sub query
{
	my ($self, $sql) = @_;
	$self->send($sql);
	my ($out, $err) = $self->finish;
	croak $err if $err =~ /^(psql:.*?)?(ERROR|FATAL|PANIC):/m;
	return $out;
}

sub told
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return ($self->finish)[1];
}

sub cancel { kill 'INT', $_[0]{pid}; return }
sub terminate { kill 'TERM', $_[0]{pid}; return }

sub quit
{
	my ($self) = @_;
	$self->{in} .= "\\q\n";
	$self->{psql}->finish;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);
	eval { $self->{psql}->kill_kill } if $self->{psql};
	return;
}

1;
