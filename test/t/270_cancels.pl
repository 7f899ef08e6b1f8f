# Cancels, terminates, time-outs and lost clients under load: 1,000 of them, at
# random moments of all kinds of calls, in several sessions at once, while the
# simulator is slow, stalls, says 429 and breaks connections, and a worker sends
# what is written to a table in sync. The seed is printed; SEED in the
# environment repeats what is chosen, though not the moments.
#
# What is judged is when the backend acted, as the server's log has it, without
# the time for which it had to wait for a CPU (HubSpotTest::Stopwatch). Beside
# the sessions another one is canceled in pg_sleep() each time: what that one
# took, by the same rule, is what the machine makes of it at this time, and is
# taken off as well. The rest has to be less than 100 ms, for each of them. On an
# idle machine both are next to nothing, and it is the plain time; a backend that
# computes, or sleeps where a signal doesn't wake it, is late on any.
#
# The phases of a call, one by one, are those of 060_cancel.pl.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $limit = patience(0.1);
my $wanted = 1000;

# How often a backend looks whether its client is there.
my $check_client = 0.02;

# Connections that a session may keep are 64 (src/http/transport.c); the rest are
# files and libcurl's own.
my $most_descriptors = 64 + 16;

my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
note("SEED=$seed");
srand $seed;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	log_duration => 'on', log_timezone => 'UTC',
	client_connection_check_interval => $check_client * 1000 . 'ms');
my $hubspot = start_simulator();
my %options = (rate_limit => 0, request_timeout => int(patience(2000)) . 'ms', max_retry_delay => '50ms', batch_size => 20, concurrency => 4);
create_account($node, $hubspot, %options);
my @flushed = map { "flushed_$_" } 1 .. 20;
create_account($node, $hubspot, %options, name => $_) foreach @flushed;
create_account($node, $hubspot, %options, name => 'clean', token => 'clean-token');
# whose searches wait for their limit
create_account($node, $hubspot, %options, name => 'searching', rate_limit => 1000);
my $stopwatch = start_stopwatch($node);
my $monitor = start_session($node);

$monitor->query(q{
	CREATE TABLE links (contact_id bigint, company_id bigint, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot')});
$hubspot->account({ token => 'clean-token' });
$hubspot->settings({ latency_ms => 3, page_size => 20 });
$hubspot->put_label('contacts', 'companies', 'Partner');
$hubspot->generate_associations('contacts', 'companies', { count => 40, per_from => 200, first_to => 100_001, to_count => 8000 });
$hubspot->generate_records(contacts => { count => 1000, properties => { email => 'c{n}@example.com' } });
$hubspot->generate_records(companies => { count => 1000, properties => { domain => 'd{n}.example' } });
my %loaded = (token => 'test-token');
$hubspot->rules([
	{ match => { %loaded, every => 13 }, action => { hang => \1 } },
	{ match => { %loaded, every => 11 }, action => { reset => 'headers' } },
	{ match => { %loaded, every => 9 }, action => { drip => { bytes => 40, interval_ms => 10 } } },
	{ match => { %loaded, every => 7 }, action => { status => 429 } },
	{ match => { %loaded, every => 5 }, action => { delay_ms => 60 } },
	{ match => { %loaded, every => 4 }, action => { delay_body_ms => 40 } } ]);

# Each of them: a statement, and what has to be there before: for a flush rows, of an
# account that doesn't wait after a failure, and that a worker is hardly busy with.
my $flushed;
my %calls = (
	single => sub { sprintf q{SELECT hs_assoc_create_default('contacts', %d, 'companies', 2, server => 'hubspot') FROM generate_series(1, 5)}, 1 + rand 1e6 },
	labelled => sub { sprintf q{SELECT hs_assoc_create('contacts', %d, 'companies', 2, labels => '{Partner}', keep_labels => true, server => 'hubspot')}, 1 + rand 1e6 },
	batch => sub { sprintf q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT %d + i AS from_id, i AS to_id FROM generate_series(1, 400) i', server => 'hubspot')}, 1 + rand 1e6 },
	'batch of a slow query' => sub { q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series(1, 400) i, pg_sleep(0.001 * (i % 5))', server => 'hubspot')} },
	'labelled batch' => sub { q{SELECT count(*) FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id, ''Partner'' AS label FROM generate_series(1, 200) i', keep_labels => true, server => 'hubspot')} },
	removal => sub { sprintf q{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies',
		'SELECT %d + i AS from_id, i AS to_id FROM generate_series(1, 400) i', server => 'hubspot')}, 100 + rand 1e6 },
	list => sub { q{SELECT count(*) FROM hs_assoc_list('contacts', 7, 'companies', server => 'hubspot')} },
	read => sub { q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 40) i', server => 'hubspot')} },
	'keys that are read' => sub { sprintf q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts:email', 'companies',
		'SELECT ''c'' || %d + i || ''@example.com'' AS from_id, i AS to_id FROM generate_series(1, 400) i', server => 'hubspot')}, rand 1000 },
	'keys that are searched for' => sub { sprintf q{SELECT count(*) FROM hs_assoc_batch_archive('companies:domain', 'contacts',
		'SELECT ''d'' || %d + i || ''.example'' AS from_id, i AS to_id FROM generate_series(1, 200) i', server => '%s')}, rand 1000, pick('hubspot', 'searching') },
	labels => sub { q{SELECT count(*) FROM hs_assoc_labels('contacts', 'companies', server => 'hubspot'), generate_series(1, 3)} },
	request => sub { q{SELECT http_status FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/7/associations/companies', server => 'hubspot')} },
	flush => sub { qq{CALL hs_assoc_flush(server => '$flushed')} },
	'rows in sync' => sub { sprintf q{INSERT INTO links SELECT %d + i, i FROM generate_series(1, 3000) i ON CONFLICT DO NOTHING}, 1 + rand 1e9 });
my %before = (
	flush => sub {
		$flushed = pick(@flushed);
		return sprintf q{SELECT hs_assoc_resume('%1$s'), hs_assoc_enqueue('create_default', 'contacts', 'companies',
			'SELECT %2$d + i AS from_id, i AS to_id FROM generate_series(1, 200) i', server => '%1$s')},
		  $flushed, 1 + rand 1e6;
	});

# How they end, and how often each comes: what the log says, and what is done.
my @ways = (
	(map { { name => 'cancel', says => qr/canceling statement due to user request/, act => sub { $_[0]->cancel } } } 1 .. 8),
	(map { { name => 'pg_cancel_backend', says => qr/canceling statement due to user request/,
		act => sub { by_monitor('pg_cancel_backend', $_[0]) } } } 1 .. 4),
	(map { { name => 'statement_timeout', says => qr/canceling statement due to statement timeout/ } } 1 .. 4),
	{ name => 'pg_terminate_backend', says => qr/terminating connection due to administrator command/, ends => 1,
		act => sub { by_monitor('pg_terminate_backend', $_[0]) } },
	{ name => 'terminate', says => qr/terminating connection due to administrator command/, ends => 1, act => sub { $_[0]->terminate } },
	{ name => 'lost client', says => qr/connection to client lost|could not send data to client|gone/, ends => 1, delay => $check_client,
		act => sub { lose_client($_[0]) } });

# Two sessions live through all of it.
my @slots = map { { survives => $_ <= 2, session => new_session() } } 1 .. 5;
my $yardstick = start_session($node);
my (@acted, @problems, @yard);
warm_up($_->{session}) foreach grep { $_->{survives} } @slots;
my $start = time;

while (@acted < $wanted)
{
	run_round();
	last if @problems > 20;
}

my $seconds = time - $start;
is_deeply([ @problems[ 0 .. ($#problems < 20 ? $#problems : 20) ] ], [], "each acts in time, with the right words, and the next call works (SEED=$seed)");
cmp_ok(scalar @acted, '>=', $wanted, scalar(@acted) . ' statements were ended');
distribution();
my %ways = map { $_->{way} => 1 } @acted;
my %kinds = map { $_->{call} => 1 } @acted;
is(join(', ', sort keys %ways), join(', ', sort { $a cmp $b } keys %{ { map { $_->{name} => 1 } @ways } }), 'in each way');
is(join(', ', sort keys %kinds), join(', ', sort keys %calls), 'calls of each kind');

#
# What is left over
#
foreach my $slot (grep { $_->{survives} } @slots)
{
	my $session = $slot->{session};
	my $descriptors = descriptors($session->pid);

	cmp_ok($slot->{ended}, '>=', 100, "a session lived through $slot->{ended} of them");
	cmp_ok($descriptors, '<=', $most_descriptors, "no more descriptors than are kept: $descriptors");
	# malloc may not have given back yet what the last ones took
	takes_at_most(min(@{ $slot->{memory} }[ -10 .. -1 ]) - max(@{ $slot->{memory} }[ 20 .. 69 ]), 2048, 'memory that is left over');
}
$hubspot->clear_rules;
$_->{session}->quit foreach @slots;
$_->quit foreach $yardstick, $monitor;
$node->stop;
ok(eval { wait_until(sub { $hubspot->stats->{connections_open} == 0 }) }, 'no connection outlives its session');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|server process .* exited with|\bTRAP\b/, 'nothing crashed');

done_testing();

sub new_session
{
	my $session = start_session($node);
	next_call($session);
	return $session;
}

# A session keeps plans and types of each kind of call: it has them before its memory
# is looked at. It may be that a worker has been quicker than one flush.
sub warm_up
{
	my ($session) = @_;
	foreach my $call ((sort keys %calls) x 3)
	{
		$session->query($before{$call}->()) if $before{$call};
		$session->send($calls{$call}->());
		$session->finish;
	}
	return;
}

sub next_call
{
	my ($session) = @_;
	return $session->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8, server => 'clean')});
}

# The SQL function, called by somebody else
sub by_monitor
{
	my ($function, $session) = @_;
	$stopwatch->begin($monitor->pid);
	$monitor->query("SELECT $function(" . $session->pid . ')');
	$stopwatch->from_end_of($session->pid, $monitor->pid);
	return;
}

# What counts is when the connection is closed.
sub lose_client
{
	my ($session) = @_;
	my $client = $session->{psql}{KIDS}[0]{PID};
	kill 'KILL', $client;
	wait_until(sub { slurp_file("/proc/$client/stat") =~ /\) Z / });
	$stopwatch->from_now($session->pid, $check_client);
	return;
}

# A statement in each session, and each ended at some moment; beside them the
# yardstick.
sub run_round
{
	my @busy;

	foreach my $slot (@slots)
	{
		my $session = $slot->{session};
		my $way = $slot->{way} = pick(grep { !($slot->{survives} && $_->{ends}) } @ways);
		my $call = $slot->{call} = pick(sort keys %calls);
		my $timeout = $way->{act} ? 0 : 1 + int rand 60;

		$session->query("SET statement_timeout = $timeout") if $timeout != ($slot->{timeout} // 0) && !$before{$call};
		if ($before{$call})
		{
			$session->query('RESET statement_timeout; ' . $before{$call}->());
			$session->query("SET statement_timeout = $timeout");
		}
		$slot->{timeout} = $timeout;
		$stopwatch->begin($session->pid, $timeout ? $timeout / 1000 : undef);
		$session->send($calls{$call}->());
	}
	$stopwatch->begin($yardstick->pid);
	$yardstick->send('SELECT pg_sleep(600)');
	foreach my $session ($yardstick, map { $_->{session} } @slots)
	{
		wait_until(sub { $stopwatch->has_begun($session->pid) });
	}
	sleep rand 0.06;
	foreach my $slot (@slots)
	{
		$slot->{hit} = !$slot->{way}{act} || $stopwatch->from_now($slot->{session}->pid, $slot->{way}{delay});
		$slot->{way}{act}->($slot->{session}) if $slot->{way}{act} && $slot->{hit};
	}
	$stopwatch->from_now($yardstick->pid);
	$yardstick->cancel;

	my %ends = $stopwatch->wait($yardstick->pid, map { $_->{session}->pid } @slots);
	$yardstick->finish;
	my $yard = $ends{ $yardstick->pid };
	push @yard, $yard;
	judge($_, $ends{ $_->{session}->pid }, $yard) foreach @slots;
	return;
}

sub judge
{
	my ($slot, $end, $yard) = @_;
	my ($session, $way) = @$slot{qw(session way)};
	my $what = "$slot->{call}, $way->{name}";
	my ($out, $err) = $session->finish;

	if ($slot->{hit} && $end->{text} =~ $way->{says})
	{
		push @acted, { way => $way->{name}, call => $slot->{call}, %$end };
		push @problems, sprintf '%s: %.0f ms (%.0f ms with waits for a CPU; pg_sleep: %.0f ms)',
		  $what, map { $_ * 1000 } $end->{late}, $end->{wall}, $yard->{late}
		  if $end->{late} - $yard->{late} > $limit;
		$slot->{ended}++;
	}
	elsif ($end->{text} =~ /^(FATAL|PANIC)|gone|canceling/)
	{
		push @problems, "$what: $end->{text}";
	}

	# who was idle by then is ended as well, without a word
	if ($way->{ends} && $slot->{hit})
	{
		wait_until(sub { !kill 0, $session->pid });
		$slot->{session} = new_session();
		$slot->{timeout} = 0;
		return;
	}
	# where all takes longer, a timeout of 1 ms ends this, too
	wait_until(sub { $session->send('RESET statement_timeout'); ($session->finish)[1] !~ /57014/ }) if $slot->{timeout};
	$slot->{timeout} = 0;
	my $next = next_call($session);
	push @problems, "$what: the next call: $next" if $next ne 't';
	push @{ $slot->{memory} }, anonymous_memory($session->pid) if $slot->{survives};
	return;
}

sub pick { return $_[ rand @_ ] }

# The distribution, for whoever wants to see
sub distribution
{
	note(sprintf '%d in %.0f s', scalar @acted, $seconds);
	foreach my $by (qw(way call))
	{
		foreach my $one (sort keys %{ { map { $_->{$by} => 1 } @acted } })
		{
			note(line($one, grep { $_->{$by} eq $one } @acted));
		}
	}
	note(line('all', @acted));
	note(line('pg_sleep, canceled', @yard));
	return;
}

sub line
{
	my ($name, @ends) = @_;
	my $percentiles = sub {
		my ($key) = @_;
		my @sorted = sort { $a <=> $b } map { $_->{$key} * 1000 } @ends;
		return join ' / ', map { sprintf '%.1f', $sorted[ $_ * $#sorted ] } 0.5, 0.9, 0.99, 1;
	};
	return sprintf '%s: %d; ms at 50 / 90 / 99 / 100 %%: %s; with waits for a CPU: %s',
	  $name, scalar @ends, $percentiles->('late'), $percentiles->('wall');
}
