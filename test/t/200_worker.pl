# The worker: woken at commit, in every database that has the extension, as many
# as there may be; in nobody's way, and back after whatever ends it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# With this poll interval, what happens in a few seconds has been woken.
my $soon = patience(30);
my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	max_prepared_transactions => 5,
	restart_after_crash => 'on',
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
my $monitor = start_session($node);
my $next_id = 1;

sub setting
{
	my ($name, $value) = @_;
	$monitor->query("ALTER SYSTEM SET hubspot_assoc.$name = $value");
	$monitor->query('SELECT pg_reload_conf()');
	return;
}

sub enqueue_sql
{
	my ($count, $server) = @_;
	my ($first, $last) = ($next_id, $next_id + ($count // 1) - 1);
	$next_id = $last + 1;
	return sprintf q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT i AS from_id, 1 AS to_id FROM generate_series(%d, %d) i', server => '%s')},
	  $first, $last, $server // 'hubspot';
}

sub enqueue { my ($session, @more) = @_; $session->query(enqueue_sql(@more)); return }
sub outbox { return $_[0]->query('SELECT count(*) FROM hs_assoc_outbox') }
sub wait_for_empty { my ($session, $time) = @_; return wait_for_empty_outbox($session, $time // $soon) }
sub wait_for_request { wait_until(sub { $hubspot->stats->{in_flight} > 0 }, $soon); return }

# The processes, "database pid state" of each.
sub processes
{
	my ($kind, $condition) = @_;
	return split /\n/, $monitor->query(
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc $kind' AND "
		  . ($condition ? "($condition)" : 'true'));
}

sub workers { return processes('worker', @_) }
sub launcher { return (processes('launcher'))[0] }
sub in_database { return "datname = '$_[0]'" }

# Without a process, kill would end our own group.
sub terminate
{
	my ($pid) = @_;
	die 'there is no such process' unless $pid;
	kill 'TERM', $pid;
	return;
}

# How long it takes until a process is gone.
sub end_of
{
	my ($pid) = @_;
	my $start = time;
	wait_until(sub { !kill 0, $pid });
	return time - $start;
}

sub activity
{
	my ($pid) = @_;
	return $monitor->query(qq{SELECT concat_ws('|', backend_type, datname, state, query)
		FROM pg_stat_activity WHERE pid = $pid});
}

# A database whose account is the same simulator's, with a token of its own.
sub create_database
{
	my ($name, %options) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$hubspot->account({ token => "token-$name" });
	create_account($node, $hubspot, dbname => $name, token => "token-$name", rate_limit => 0, %options);
	return start_session($node, $name);
}

sub drop_database
{
	my ($session, $name) = @_;
	$session->quit;
	$node->safe_psql('postgres', "DROP DATABASE $name");
	return;
}

#
# Found without a restart, and woken
#
wait_until(sub { defined launcher() }, $soon);
is(activity(launcher()), 'hubspot_assoc launcher|idle|', 'the launcher, in no database');
wait_until(sub { workers() == 0 }, $soon);
pass('no worker where the extension is not');

create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
enqueue($session, 3);
wait_for_empty($session);
is($hubspot->association_count('contacts', 'companies'), 3, 'an extension made later: sent, without a restart');
wait_until(sub { grep { activity($_) =~ /^hubspot_assoc worker\|postgres\|idle\|/ } workers() }, $soon);
pass('and waits for more');

my @latencies;
foreach (1 .. 20)
{
	my $seen = $hubspot->log_count;
	enqueue($session);
	my $start = time;
	wait_until(sub { $hubspot->log_count > $seen }, $soon);
	push @latencies, (time - $start) * 1000;
}
@latencies = sort { $a <=> $b } @latencies;
note sprintf 'commit to request: median %.0f ms, longest %.0f ms', $latencies[10], $latencies[-1];
cmp_ok($latencies[10], '<', patience(500), 'at once after the commit');
wait_for_empty($session);

# What is not committed, or only later
$session->query('BEGIN');
enqueue($session, 2);
$session->query('ROLLBACK');
$session->query('BEGIN');
$session->query('SAVEPOINT s');
enqueue($session, 2);
$session->query('ROLLBACK TO s');
enqueue($session);
my $sent = $hubspot->association_count('contacts', 'companies');
$session->query('COMMIT');
wait_for_empty($session);
is($hubspot->association_count('contacts', 'companies'), $sent + 1, 'what is rolled back is not sent');

# Nothing is held while nothing happens, or HubSpot takes its time
my $held = 'xact_start IS NOT NULL OR backend_xmin IS NOT NULL OR backend_xid IS NOT NULL';
my $locks = q{SELECT string_agg(concat_ws(' ', locktype, mode), ', ') FROM pg_locks WHERE pid = %d AND locktype <> 'userlock'};
my $idle = eval
{
	# one may just have been woken, for nothing; and there may be another one
	wait_until(
		sub {
			my @workers = workers();
			@workers && workers("state = 'idle'") == @workers && workers($held) == 0
			  && !grep { $monitor->query(sprintf $locks, $_) ne '' } @workers;
		}, $soon);
};
ok($idle, 'idle: no transaction, no snapshot, no lock');
$hubspot->rules({ action => { hold => 1 } });
enqueue($session);
wait_for_request();
my ($sender) = workers(q{query LIKE 'create_default %'});		# another one may look for something to do
is(scalar workers("pid = $sender AND ($held)"), 0, 'sending: no transaction, no snapshot');
is($monitor->query(sprintf $locks, $sender), '', 'sending: no lock');
like(activity($sender), qr/^hubspot_assoc worker\|postgres\|active\|create_default of 1 pairs, contacts to companies, server hubspot$/,
	'sending: what, and where to');
$hubspot->clear_rules;
$hubspot->release;
wait_for_empty($session);

# Each of many commits wakes; the callback is registered once. The time is what the
# backend has had of a CPU, in ticks.
{
	my @times = split /\n/, $session->query(q{
		CREATE TEMP TABLE times (n int, t bigint);
		DO $$
		BEGIN
			FOR i IN 0 .. 50000 LOOP
				IF i % 5000 = 0 THEN
					INSERT INTO times SELECT i, split_part(s, ' ', 14)::bigint + split_part(s, ' ', 15)::bigint
						FROM pg_read_file('/proc/self/stat') AS s;
				END IF;
				INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
					VALUES ('hubspot', 'postgres', 'create_default', 'contacts', 1000000 + i, 'companies', '1');
				COMMIT;
			END LOOP;
		END $$;
		SELECT t - lag(t) OVER (ORDER BY n) FROM times ORDER BY n OFFSET 1});
	note '5,000 commits, in ticks: ', join ' ', @times;
	cmp_ok(min(@times[ 7 .. 9 ]), '<', 2 * max(@times[ 0 .. 2 ]), '50,000 commits: the last 5,000 about as fast as the first');
	wait_for_empty($session, patience(120));
}

# Idle for a while: no process is left
wait_until(sub { workers() == 0 }, patience(60));
pass('no process is left where nothing happens');

#
# The poll
#
$session->query('ALTER TABLE hs_assoc_outbox DISABLE TRIGGER hs_assoc_outbox_wake');
enqueue($session);
$session->query('ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_wake');
is(outbox($session), 1, 'what fires no trigger wakes nobody');
setting('poll_interval', q{'200ms'});
wait_for_empty($session);
pass('the poll finds it');
setting('poll_interval', q{'10min'});

# A row that was refused for a while
$hubspot->rules({ action => { status => 502 } });
enqueue($session);
wait_until(sub { outbox($session) == 1 && $session->query('SELECT count(*) FROM hs_assoc_backoff') == 1 }, $soon);
my $retry_at = $session->query('SELECT extract(epoch FROM max(retry_at)) FROM hs_assoc_backoff');
$hubspot->clear_rules;
wait_for_empty($session, patience(60));
my $late = time - $retry_at;
note sprintf 'sent again %.0f ms after it was due', $late * 1000;
cmp_ok($late, '>', -0.01, 'what waits for its time is not sent before');
# it may just have been refused once more; the poll would be ten minutes later
cmp_ok($late, '<', patience(30), 'but then');

#
# As many as there may be
#
my %others = map { $_ => create_database($_) } qw(a b c);
setting('workers', 2);
$hubspot->rules({ action => { delay_ms => 1000 } });
{
	my $most = 0;
	enqueue($_, 5) foreach values %others, $session;
	wait_until(
		sub {
			$most = max($most, scalar workers());
			!grep { outbox($_) > 0 } values %others, $session;
		}, patience(60));
	is($most, 2, 'four databases, two workers: never more, and all are served');
	is($hubspot->association_count('contacts', 'companies', token => "token-$_"), 5, "database $_")
	  foreach sort keys %others;
}
setting('workers', 0);
wait_until(sub { workers() == 0 }, $soon);
pass('workers = 0: they go');
enqueue($others{$_}) foreach qw(a b);
is(join(' ', map { outbox($others{$_}) } qw(a b)), '1 1', 'workers = 0: nothing is sent');
setting('workers', 1);
wait_for_empty($others{$_}, patience(60)) foreach qw(a b);
pass('workers = 1: what waited is sent');
setting('workers', 4);
$hubspot->clear_rules;

# Many new databases at a time, with something that woke nobody
{
	my $offset = -s $node->logfile;
	my @copies = map { "copy$_" } 1 .. 10;
	$others{c}->query('ALTER TABLE hs_assoc_outbox DISABLE TRIGGER hs_assoc_outbox_wake');
	enqueue($others{c});
	$others{c}->query('ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_wake');
	$others{c}->quit;
	foreach my $copy (@copies)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $copy TEMPLATE c");
		# as hs_assoc_adopt, which would wake somebody
		$node->safe_psql($copy, 'UPDATE hs_assoc_identity SET database = (SELECT oid FROM pg_database WHERE datname = current_database())');
	}
	setting('poll_interval', q{'200ms'});
	wait_until(
		sub { !grep { $node->safe_psql($_, 'SELECT count(*) FROM hs_assoc_outbox') } @copies, 'c' }, patience(120));
	pass('ten new databases are found and served');
	setting('poll_interval', q{'10min'});
	unlike(slurp_file($node->logfile, $offset), qr/background worker slots/, 'with no more processes than there may be');
	$node->safe_psql('postgres', "DROP DATABASE $_") foreach @copies;
	$others{c} = start_session($node, 'c');
}

# A worker learns what happened to an account since it has listed what there is to do:
# it was held up by the first account, a flush has been refused by the second, and the
# third one was paused
{
	my @accounts = qw(first second third);
	setting('workers', 0);
	wait_until(sub { workers() == 0 }, $soon);
	create_account($node, $hubspot, name => $_, token => $_, rate_limit => 0) foreach @accounts;
	$hubspot->account({ token => $_ }) foreach @accounts;
	$hubspot->rules({ match => { token => 'second' }, action => { status => 401 } });
	$session->query(q{
		CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END';
		CREATE TRIGGER hold_up BEFORE DELETE ON hs_assoc_outbox
			FOR EACH ROW WHEN (OLD.server = 'first') EXECUTE FUNCTION hold_up();
		SELECT pg_advisory_lock(1)});
	foreach (1 .. 2)			# the second of which overrides the first one
	{
		enqueue($session, 1, 'first');
		$next_id--;
	}
	enqueue($session, 1, $_) foreach qw(second third);
	my $locker = start_session($node);
	$locker->query(q{BEGIN; SELECT id FROM hs_assoc_outbox WHERE server = 'first' ORDER BY id DESC LIMIT 1 FOR UPDATE});
	setting('workers', 1);
	my $held_up = wait_until(sub { (workers(q{wait_event = 'advisory'}))[0] }, $soon);
	$monitor->query(q{CALL hs_assoc_flush(server => 'second')});
	is($session->query(q{UPDATE hs_assoc_backoff SET retry_at = now() + '1 hour' RETURNING server}),
		'second', 'an account is refused while a worker is held up');
	my $hits = $hubspot->hits->{rules}[0]{hits};
	is($session->query(q{SELECT hs_assoc_pause('third')}), 't', '... and another one is paused');

	# An update of the extension waits for it, too, and has locked no table until then.
	my $updater = start_session($node);
	my $waits = q{FROM pg_locks WHERE pid = } . $updater->pid . q{ AND NOT granted};
	my $tables = q{SELECT count(*) FROM pg_locks JOIN pg_class AS c ON c.oid = relation
		WHERE relname LIKE 'hs\_assoc\_%' AND pid = } . $updater->pid;
	$updater->send('ALTER EXTENSION hubspot_assoc UPDATE');
	wait_until(sub { $monitor->query("SELECT 1 $waits") }, $soon);
	is($monitor->query("SELECT locktype, classid::regclass, mode $waits"), 'object|pg_extension|AccessExclusiveLock',
		'an update of the extension waits for the end of its transaction');
	is($monitor->query($tables), 0, '... and locks nothing else before');

	$session->query('SELECT pg_advisory_unlock(1)');
	unlike(join('', $updater->finish), qr/ERROR/, '... and then goes on');
	$updater->quit;
	wait_until(sub { !workers("pid = $held_up AND state <> 'idle'") }, $soon);
	is($hubspot->hits->{rules}[0]{hits}, $hits, 'the worker does not try the account again');
	is($hubspot->stats(token => 'third')->{requests}, 0, '... and sends nothing to the paused one');
	$session->query(q{SELECT hs_assoc_resume('third')});
	wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'third'}) == 0 }, $soon);
	is($hubspot->stats(token => 'third')->{requests}, 1, '... until it is resumed');
	$locker->query('ROLLBACK');
	$locker->quit;
	$session->query('DROP TRIGGER hold_up ON hs_assoc_outbox; DROP FUNCTION hold_up; DELETE FROM hs_assoc_outbox');
	$session->query('DELETE FROM hs_assoc_backoff');
	$hubspot->clear_rules;
	setting('workers', 4);
}

# Nor does the extension's move to another schema meet a sender halfway: it has the
# lock of the extension before that of a table.
{
	my ($reader, $mover) = map { start_session($node) } 1 .. 2;
	my $locks = 'FROM pg_locks WHERE pid = ' . $mover->pid;

	$reader->query('BEGIN; LOCK TABLE hs_assoc_outbox IN ACCESS SHARE MODE');
	$mover->query('CREATE SCHEMA moved; BEGIN');
	$mover->send('ALTER EXTENSION hubspot_assoc SET SCHEMA moved');
	wait_until(sub { $monitor->query("SELECT 1 $locks AND NOT granted AND relation IS NOT NULL") }, $soon);
	is($monitor->query("SELECT granted $locks AND classid = 'pg_extension'::regclass AND mode = 'AccessExclusiveLock'"),
		't', 'a move of the extension waits with its lock');
	$reader->query('ROLLBACK');
	unlike(join('', $mover->finish), qr/ERROR/, '... and then goes on');
	$mover->query('ROLLBACK; DROP SCHEMA moved');
	$_->quit foreach $reader, $mover;
}

# An account that stalls holds nobody else up
create_account($node, $hubspot, name => 'stalled', token => 'stalled', rate_limit => 0, request_timeout => patience(120) . 's');
$hubspot->account({ token => 'stalled' });
$hubspot->rules({ match => { token => 'stalled' }, action => { hang => \1 } });
enqueue($session, 1, 'stalled');
wait_for_request();
{
	my @times;
	foreach (1 .. 20)
	{
		my $start = time;
		enqueue($session);
		wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'hubspot'}) == 0 }, $soon);
		push @times, time - $start;
	}
	note sprintf 'beside a stalled account: longest %.0f ms', max(@times) * 1000;
	cmp_ok(max(@times), '<', patience(10), 'beside a stalled account: in time');
	# one may be about to end, which takes a while when its memory is looked through; it
	# would be longer until one has nothing to do for so long that it ends
	ok(eval { wait_until(sub { workers(in_database('postgres')) <= 3 }, instrumented() ? $soon : 3) },
		'beside a stalled account: no crowd');
}

# Accounts that failed and then stall take half of the workers at most
{
	setting('workers', 2);
	create_account($node, $hubspot, name => $_, token => $_, rate_limit => 0, request_timeout => patience(120) . 's')
	  foreach qw(bad worse);
	$hubspot->account({ token => $_ }) foreach qw(bad worse);
	$hubspot->rules([ map { { match => { token => $_ }, action => { status => 401 } } } qw(bad worse) ]);
	$session->query(q{DELETE FROM hs_assoc_outbox WHERE server = 'stalled'});
	kill 'TERM', stalled();
	enqueue($session, 1, $_) foreach qw(bad worse);
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_backoff') == 2 }, $soon);
	$hubspot->clear_rules;
	$hubspot->rules([ map { { match => { token => $_ }, action => { hang => \1 } } } qw(bad worse) ]);
	$session->query('UPDATE hs_assoc_backoff SET retry_at = now()');
	enqueue($session);
	# of a slow server, the other one may have been and gone
	wait_until(sub { $hubspot->stats->{in_flight} == 1 && (workers() == 2 || instrumented()) }, $soon);
	my $start = time;
	enqueue($session);
	wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'hubspot'}) == 0 }, $soon);
	note sprintf 'beside two that failed and stall: %.0f ms', (time - $start) * 1000;
	is($hubspot->stats->{in_flight}, 1, 'of two workers, one alone serves accounts that have failed');
	$session->query('DELETE FROM hs_assoc_outbox');
	kill 'TERM', workers(q{query ~ 'server (bad|worse)'});
	setting('workers', 4);
	$hubspot->clear_rules;
	$hubspot->rules({ match => { token => 'stalled' }, action => { hang => \1 } });
	enqueue($session, 1, 'stalled');
	wait_for_request();
}

#
# SIGTERM
#
sub stalled { my ($session) = @_; return (workers(q{query LIKE '%server stalled'}))[0] }
{
	my $pid = wait_until(sub { stalled() }, $soon);
	terminate($pid);
	cmp_ok(end_of($pid), '<', patience(5), 'SIGTERM while sending: ends at once');
	$pid = wait_until(sub { my $new = stalled(); $new && $new != $pid && $new }, $soon);
	pass('and another one sends it again');
	$session->query(q{DELETE FROM hs_assoc_outbox WHERE server = 'stalled'});
	terminate($pid);
	end_of($pid);
	$hubspot->clear_rules;

	wait_until(sub { workers() == 0 }, patience(60));
	enqueue($session);
	wait_for_empty($session);
	# one of two, if the answer took so long that another one had a look
	$pid = wait_until(sub { (workers("state = 'idle'"))[0] }, $soon);
	terminate($pid);
	cmp_ok(end_of($pid), '<', patience(5), 'SIGTERM while idle: ends at once');
	enqueue($session);
	wait_for_empty($session);
	pass('and the next commit is served');

	$pid = launcher();
	terminate($pid);
	cmp_ok(end_of($pid), '<', patience(5), 'SIGTERM of the launcher: ends at once');
	enqueue($others{a});
	wait_for_empty($others{a}, patience(60));
	pass('and it comes back');
}

# A worker that is ended by an error is started again, not too often. (Most errors
# are charged to a row or an account, and end nobody; a cancel does.)
{
	my $offset = -s $node->logfile;
	setting('workers', 1);		# two may be started for rows that wait for long
	$others{b}->query(q{
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled USING MESSAGE = 'no hs_assoc_lease'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON hs_assoc_lease FOR EACH ROW EXECUTE FUNCTION refuse()});
	enqueue($others{b});
	my @times;
	wait_until(
		sub {
			my $log = slurp_file($node->logfile, $offset);
			@times = ();
			push @times, 3600 * $1 + 60 * $2 + $3 while $log =~ /^\S+ (\d+):(\d+):([\d.]+) .*ERROR:.*hs_assoc_lease/mg;
			return @times >= 3;
		}, patience(60));
	my @pauses = map { ($times[$_] - $times[ $_ - 1 ]) % 86_400 } 1, 2;		# in whole seconds
	SKIP:
	{
		skip 'a slow worker may not be the only one that fails', 2 if instrumented();
		cmp_ok($pauses[0], '>=', 1, 'an error: tried again after a second');
		cmp_ok($pauses[1], '>=', 2, 'and another one: after two');
	}
	enqueue($others{a});
	wait_for_empty($others{a});
	pass('another database is served');
	$others{b}->query('DROP TRIGGER refuse ON hs_assoc_lease');
	wait_for_empty($others{b}, patience(60));
	pass('and this one when it can be');
	setting('workers', 4);
}

#
# DROP, CREATE and ALTER DATABASE, DROP EXTENSION
#
$hubspot->rules([
	map { { match => { token => "token-$_" }, action => { hang => \1 } } } qw(a b c)
]);
my $c = create_busy('c');

# Has that database a request that isn't answered.
sub create_busy
{
	my ($name) = @_;
	my $busy = q{query LIKE '%server hubspot' AND } . in_database($name);
	enqueue($others{$name}) if outbox($others{$name}) == 0;
	wait_until(sub { workers($busy) > 0 }, $soon);
	return (workers($busy))[0];
}

sub timed
{
	my ($sql, $name) = @_;
	my $start = time;
	my ($status, undef, $err) = $node->psql('postgres', $sql);
	is($err, '', $name);
	cmp_ok(time - $start, '<', patience(20), "$name: nothing hangs");
	return;
}

$monitor->query('CREATE ROLE nobody LOGIN');
{
	my ($status, undef, $err) = $node->psql('postgres', 'SET ROLE nobody; DROP DATABASE c');
	like($err, qr/must be owner of database c/, 'DROP DATABASE of another user');
	ok((grep { $_ == $c } workers(in_database('c'))), 'leaves its worker alone');
	$node->psql('postgres', 'ALTER DATABASE c SET TABLESPACE nowhere', on_error_stop => 0);
	wait_until(sub { my @pids = workers(in_database('c')); @pids && !grep { $_ == $c } @pids }, $soon);
	pass('after one that fails, another worker comes');
}
$others{c}->quit;
timed('CREATE DATABASE copy TEMPLATE c', 'CREATE DATABASE of a busy template');
timed('ALTER DATABASE c RENAME TO d', 'ALTER DATABASE RENAME while busy');
$others{d} = start_session($node, 'd');
create_busy('d');
$others{d}->quit;
timed('DROP DATABASE d', 'DROP DATABASE while busy');
timed('DROP DATABASE copy', 'DROP DATABASE of the copy');

my $b = create_busy('b');
my $start = time;
$others{b}->query('DROP EXTENSION hubspot_assoc CASCADE');
cmp_ok(time - $start, '<', patience(20), 'DROP EXTENSION while busy: nothing hangs');
ok((grep { $_ == $b } workers(in_database('b'))), 'DROP EXTENSION while busy: the worker is not disturbed');
$hubspot->clear_rules;
terminate($b);
end_of($b);
enqueue($session);
wait_for_empty($session);
wait_until(sub { workers(in_database('b')) == 0 }, patience(60));
pass('a database without the extension has no worker');
create_account($node, $hubspot, dbname => 'b', token => 'token-b', rate_limit => 0);
enqueue($others{b});
wait_for_empty($others{b});
pass('and has one again with it');

#
# kill -9
#
{
	# All sessions end with it.
	my $crash = sub {
		my ($pid, $name) = @_;
		my $a = $others{a};
		enqueue($a, 3);
		kill 'KILL', $pid;
		wait_until(sub { !eval { $monitor->query('SELECT 1'); 1 } }, $soon);
		wait_until(sub { eval { $node->psql('postgres', 'SELECT 1') == 0 } });
		$monitor = start_session($node);
		$session = start_session($node);
		$others{$_} = start_session($node, $_) foreach qw(a b);
		wait_for_empty($others{a}, patience(60));
		pass("kill -9 of $name: goes on");
	};
	$crash->(launcher(), 'the launcher');
	$hubspot->rules({ match => { token => 'token-b', first => 1 }, action => { hang => \1 } });
	enqueue($others{b});
	wait_for_request();
	$crash->((workers(in_database('b')))[0], 'a worker');
	wait_for_empty($others{b}, patience(60));
	pass('what it was sending is sent again');
	$hubspot->clear_rules;
}

#
# One place, two databases: a busy one gives it away after ten seconds
#
setting('workers', 1);
$hubspot->rules({ match => { token => 'token-a' }, action => { delay_ms => 200 } });
{
	# a request at a time, of one pair
	$others{a}->query(q{ALTER SERVER hubspot OPTIONS (ADD batch_size '1', ADD concurrency '1')});
	enqueue($others{a}, 300);
	wait_until(sub { workers(in_database('a')) == 1 }, $soon);
	my $start = time;
	enqueue($others{b});
	wait_for_empty($others{b}, patience(60));
	note sprintf 'it waited %.1f s', time - $start;
	cmp_ok(outbox($others{a}), '>', 0, 'beside a busy database, another one gets its turn');
	$hubspot->clear_rules;
	wait_for_empty($others{a}, patience(60));
	pass('and the busy one the rest');
}
setting('workers', 4);

#
# Shutdown, with a request under way; and what is not started at all
#
foreach my $mode (qw(smart fast))
{
	$hubspot->rules({ match => { token => 'token-a', first => 1 }, action => { hang => \1 } });
	enqueue($others{a});
	wait_for_request();
	$_->quit foreach $session, $monitor, @others{qw(a b)};
	my $start = time;
	$node->stop($mode);
	cmp_ok(time - $start, '<', patience(20), "$mode shutdown while sending");
	$node->start;
	$monitor = start_session($node);
	$session = start_session($node);
	$others{$_} = start_session($node, $_) foreach qw(a b);
	wait_for_empty($others{a}, patience(60));
	pass("$mode shutdown: what was not sent is sent after it");
}
$_->quit foreach $session, $monitor, @others{qw(a b)};

$node->stop;
# enough for the launcher of logical replication, and ours
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
{
	my $offset = -s $node->logfile;
	$node->start;
	my $complaint = qr/LOG: .*out of background worker slots.*HINT: .*max_worker_processes/s;
	$session = start_session($node);
	$monitor = start_session($node);
	wait_until(sub { slurp_file($node->logfile, $offset) =~ $complaint }, $soon);
	pass('no background worker is left: the log says what to do');
	enqueue($session);
	enqueue($session);
	my @complaints = slurp_file($node->logfile, $offset) =~ /out of background worker slots/g;
	is(scalar @complaints, 1, 'once');
	is(outbox($session), 2, 'and writers go on');
	$_->quit foreach $session, $monitor;
}
$node->stop;

# As pg_upgrade starts it
{
	local $ENV{PGOPTIONS};
	system_or_bail('pg_ctl', '-s', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hubspot%'}),
		0, 'nothing is started during pg_upgrade');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox'), 2, 'and nothing sent');
	system_or_bail('pg_ctl', '-s', '-w', '-D', $node->data_dir, '-m', 'fast', 'stop');
}

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP:|was terminated by signal (?!9)/, 'nothing crashed');

done_testing();
