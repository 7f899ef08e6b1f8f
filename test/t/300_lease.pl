# Who sends to a server has its lease, and nobody else sends: not because of what
# any role can lock or what the table of leases says, nor by the clock.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, batch_size => 1, concurrency => 1);
my $session = start_session($node);
my $sender = start_session($node);
my $mallory = start_session($node);
$session->query('CREATE ROLE mallory');
$mallory->query('SET ROLE mallory');

sub enqueue
{
	my ($operation, @pairs) = @_;
	my $values = join ', ', map { "('$_->[0]', '$_->[1]')" } @pairs;
	$session->query(qq{SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies',
		\$\$SELECT * FROM (VALUES $values) AS pairs (from_id, to_id)\$\$)});
	return;
}

sub outbox { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }
sub lease { return $session->query(q{SELECT classid, objid, objsubid FROM pg_locks WHERE locktype = 'userlock' AND pid = } . $_[0]) }

# A session that sends, and another one that would, meanwhile.
sub send_slowly
{
	$hubspot->settings({ latency_ms => $_[0] // 60_000 });
	$sender->send('CALL hs_assoc_flush()');
	wait_until(sub { $hubspot->stats->{in_flight} == 1 });
	return;
}

sub finish
{
	$sender->cancel;
	$sender->finish;
	$hubspot->settings({ latency_ms => 0 });
	return;
}

# What SQL can lock with these numbers
sub lock_all
{
	my ($class, $object, $pid) = @_;
	my @ints = unpack 'll', pack 'LL', $class, $object;
	my $bigint = unpack 'q', pack 'LL', $object, $class;
	$mallory->query("SELECT pg_advisory_lock($ints[0], $ints[1]), pg_advisory_lock('$bigint'), pg_advisory_lock(x'68756273'::int, $pid)");
	return;
}

enqueue('create_default', [ 1, 11 ]);
send_slowly();
my ($class, $object, $subid) = split /\|/, lease($sender->pid);
ok($subid, 'who sends has a lock');
enqueue('archive', [ 1, 11 ]);
lock_all("$class", "$object", $sender->pid);
$session->query('CALL hs_assoc_flush()');
is($hubspot->log_count, 1, 'somebody has all advisory locks of these numbers: nobody else sends');
is(outbox(), 2, '... and the rows are there');

foreach my $change ('UPDATE hs_assoc_lease SET holder = pg_backend_pid()',
	q{UPDATE hs_assoc_lease SET since = '-infinity'}, q{UPDATE hs_assoc_lease SET holder = NULL}, 'TRUNCATE hs_assoc_lease')
{
	$session->query($change);
	$session->query('CALL hs_assoc_flush()');
	is($hubspot->log_count, 1, "$change: nobody else sends");
}
finish();
is(lease($sender->pid), '', 'canceled: it has no lock any more');
$hubspot->clear_log;
$session->query('CALL hs_assoc_flush()');
is(outbox() . '|' . $hubspot->association_count('contacts', 'companies'), '0|0', 'these locks keep nobody from sending either');

# in a session that goes on, with a transaction that is prepared
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', $$SELECT 2 AS from_id, 12 AS to_id$$)});
$sender->query('CALL hs_assoc_flush()');
is(lease($sender->pid), '', 'all is sent: no lock is left');
is($session->query('SELECT holder IS NULL, since IS NULL, in_flight FROM hs_assoc_lease'), 't|t|0', '... and the table tells');

#
# Nothing is sent without the lock: here something of the owner's releases all of
# the session's, which is noticed with the next answer
#
$session->query(q{
	CREATE FUNCTION release() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_unlock_all(); RETURN OLD; END';
	CREATE TRIGGER release BEFORE DELETE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION release()});
enqueue('create_default', map { [ $_, 10 + $_ ] } 3 .. 6);
$hubspot->clear_log;
$sender->query('CALL hs_assoc_flush(1)');
is(outbox(), 3, 'one at a time: with the lock of each');
$sender->query(q{ALTER SERVER hubspot OPTIONS (SET concurrency '4')});
$hubspot->clear_log;
$session->query('ALTER TABLE hs_assoc_outbox DISABLE TRIGGER release');
enqueue('create_default', map { [ $_, 10 + $_ ] } 7 .. 20);
$session->query('ALTER TABLE hs_assoc_outbox ENABLE TRIGGER release');
$sender->query('CALL hs_assoc_flush(4)');
cmp_ok($hubspot->log_count, '<=', 4, 'the lock is gone: nothing more is begun');
$session->query('DROP TRIGGER release ON hs_assoc_outbox');
$sender->query('CALL hs_assoc_flush()');
is(outbox(), 0, 'all is sent with it');

#
# Two processes, one server, all the time: never two requests at once
#
$session->query(q{ALTER SERVER hubspot OPTIONS (SET concurrency '1', SET batch_size '5')});
$hubspot->reset;
$hubspot->settings({ latency_ms => 5 });
my @others = map { start_session($node) } 1 .. 3;
enqueue('create_default', map { [ $_, 1000 + $_ ] } 1 .. 200);
foreach my $round (1 .. 5)
{
	$_->send('CALL hs_assoc_flush()') foreach @others;
	enqueue($round % 2 ? 'archive' : 'create_default', map { [ $_, 1000 + $_ ] } 1 .. 200);
	$_->finish foreach @others;
}
$session->query('CALL hs_assoc_flush()');
is($hubspot->stats->{max_in_flight}, 1, 'four senders: one request at a time');
is(outbox() . '|' . $hubspot->association_count('contacts', 'companies'), '0|0', '... and the last operation counts');

#
# The clock is set back, as the table of clocks has it: what waits, waits no longer
# than it had to; set forward, what may still be done keeps its time
#
$hubspot->reset;
enqueue('create_default', [ 1, 11 ], [ 2, 12 ]);
$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() + CASE from_id WHEN '1' THEN interval '59 min' ELSE '61 min' END;
	INSERT INTO hs_assoc_backoff (server, role, failures, retry_at) VALUES ('hubspot', 'postgres', 1, now() + '59 min');
	INSERT INTO hs_assoc_doubt (server, pair, id, until) VALUES ('hubspot', 1, 1, now() + '61 min')});
my $due = q{SELECT string_agg(from_id || (not_before > now() + '10 min'), ' ' ORDER BY from_id) FROM hs_assoc_outbox};
$session->query('CALL hs_assoc_flush()');
is($session->query($due), '1true 2true', 'the clock is as it was: what waits, waits');
$session->query(q{UPDATE hs_assoc_clock SET wall = wall + '1 h'});
$session->query('CALL hs_assoc_flush()');
is($session->query($due) . $hubspot->association_count('contacts', 'companies'), '2false1', 'set back by an hour: what is due is sent');
is($session->query(q{SELECT (SELECT count(*) FROM hs_assoc_backoff) || (SELECT until < now() + '2 min' FROM hs_assoc_doubt)::text}),
	'0true', '... and the account and doubts are as before');
$session->query(q{UPDATE hs_assoc_clock SET wall = wall - interval '1 h'});
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT until > now() + '59 min' FROM hs_assoc_doubt}), 't', 'set forward by an hour: doubts last as long as they have to');
$session->query(q{UPDATE hs_assoc_clock SET wall = wall + '1 h', postmaster = postmaster - interval '1 s'});
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT until > now() + '59 min' FROM hs_assoc_doubt}), 't', 'another postmaster: its clocks count for nothing');
is($session->query('SELECT count(*) FROM hs_assoc_clock'), 1, '... and are forgotten');

done_testing();
