# The throttle and the statistics of an account in shared memory: one budget and
# one sum for all backends, with the library in shared_preload_libraries.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

my %preloaded = (
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0);
my $node = start_node(%preloaded, restart_after_crash => 'on');
my $small = start_node(%preloaded, 'hubspot_assoc.max_accounts' => 2);
my $hubspot = start_simulator();
my ($first, $second, $third) = map { start_session($node) } 1 .. 3;

create_account($node, $hubspot, rate_limit => 0);

sub single
{
	my ($server, $id) = @_;
	$id //= 1;
	return "SELECT ok FROM hs_assoc_create_default('contacts', $id, 'companies', 1, server => '$server')";
}

sub invalid { return single($_[0], 0) =~ s/contacts', 0/contacts', NULL::bigint/r }

sub batch
{
	my ($server, $first_id, $last_id) = @_;
	return "SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, 1 AS to_id FROM generate_series($first_id, $last_id) i', server => '$server')";
}

# Columns of a server's row of hs_assoc_stat or hs_assoc_throttle, as that session
# sees them.
sub row
{
	my ($session, $function, $server, @columns) = @_;
	return $session->query(
		'SELECT ' . join(', ', @columns) . " FROM hs_assoc_$function() WHERE server = '$server'");
}

sub stat_row { my ($session, $server, @columns) = @_; return row($session, 'stat', $server, @columns) }
sub throttle_row { my ($session, $server, @columns) = @_; return row($session, 'throttle', $server, @columns) }
sub servers { return $_[0]->query('SELECT server FROM hs_assoc_stat()') =~ tr/\n/ /r }

#
# What takes ten seconds, begun here and looked at below: slots that are full ...
#
my ($owner, $other) = map { start_session($small) } 1, 2;
create_account($small, $hubspot, name => $_) foreach qw(a b c d e);
my $offset = -s $small->logfile;

# what sends nothing gives its slot away at once
$owner->query(invalid($_)) foreach qw(d e);
is(servers($other), 'd e', 'two slots: two accounts');
$other->query('SELECT pg_advisory_lock(1)');
$owner->send(q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id FROM (SELECT pg_advisory_xact_lock_shared(1) OFFSET 0) AS locked', server => 'd')});
$small->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)})
  or die 'it does not wait';
is($other->query(single('a')), 't', 'an account without a slot: a request');
is(servers($other), 'a e', 'it takes the one that was idle the longest');
is($other->query(single('b')), 't', 'another one: a request');
is(servers($other), 'a b', 'it takes the other one');

# and who had it meanwhile finds out
unlike(slurp_file($small->logfile, $offset), qr/max_accounts/, 'nothing was said about it');
$other->query('SELECT pg_advisory_unlock(1)');
is(($owner->finish)[0], '1', 'the account whose slot was taken: a request');
is(servers($other), 'a b', 'slots of accounts that have just sent are not taken');
is(stat_row($other, $_, qw(requests inputs errors)), '1|1|{}', "what $_ did is counted, no more") foreach qw(a b);
is(throttle_row($other, 'a', 'used'), '1', 'and so is its throttle');
is(stat_row($owner, 'd', qw(requests inputs confirmed errors)), '1|1|1|{}', 'the session counts for itself');
is(throttle_row($owner, 'd', 'used'), '1', 'and throttles itself');
is(throttle_row($other, 'd', qw(rate_limit used)), '100|0', 'others see nothing of it');
is($owner->query(single('c')), 't', 'one more: a request');
$owner->query(invalid('c'));
like($owner->query(q{SELECT error_category FROM hs_assoc_resolve('companies:domain', '{none.example}'::text[], server => 'c')}),
	qr/^RECORD_NOT_FOUND$/, 'and a search');
my $log = slurp_file($small->logfile, $offset);
is(scalar(() = $log =~ /LOG:  no room in shared memory for another HubSpot account/g), 1, 'the log says so once');
like($log, qr/HINT:  Consider increasing hubspot_assoc.max_accounts/, 'and what to do');

#
# ... and a budget of five requests for two backends
#
my $slow = start_simulator();
create_account($node, $slow, name => 'slow', rate_limit => 5, batch_size => 1);
my $begin = clock_gettime(CLOCK_MONOTONIC);
$first->send(batch('slow', 1, 4));
$second->send(batch('slow', 5, 8));
wait_until(sub { $slow->log_count == 5 });
is(throttle_row($third, 'slow', 'rate_limit', 'used', 'parked_until', q{free_at - now() BETWEEN '0 s' AND '11 s'}),
	'5|5||t', 'one budget: hs_assoc_throttle');

# The places that are taken: five, unless the ten seconds of one may be over by now
sub has_used_five
{
	my ($name) = @_;
	my $used = throttle_row($third, 'slow', 'used');
	cmp_ok($used, clock_gettime(CLOCK_MONOTONIC) > $begin + 10 ? '<=' : '==', 5, $name);
	return;
}

# who is canceled or terminated while he waits leaves no lock behind
foreach my $signal (qw(cancel terminate))
{
	my $session = start_session($node);

	$session->send(single('slow', 9));
	wait_until(sub {
		$third->query('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $session->pid) eq 'Extension' });
	$session->$signal;
	like(($session->finish)[1], $signal eq 'cancel' ? qr/ERROR:  57014/ : qr/FATAL:  57P01/, "one budget: $signal in the wait");
	has_used_five("one budget: $signal takes no place");
	$session->quit if $signal eq 'cancel';
}
my $fourth = start_session($node);

#
# A park holds for all
#
$hubspot->reset;
$hubspot->rules({ match => { first => 1 }, action => { status => 429, headers => { 'Retry-After' => '3' } } });
$third->send(single('hubspot'));
wait_until(sub { throttle_row($fourth, 'hubspot', 'parked_until IS NOT NULL') eq 't' });
is($fourth->query(single('hubspot')), 't', 'a park: another backend goes on');
is(($third->finish)[0], 't', 'a park: so does the one that met it');
my @times = map { $_->{time_ms} } @{ $hubspot->log };
is(scalar @times, 3, 'a park: requests');
cmp_ok($times[1] - $times[0], '>=', 3000, 'a park: nobody has sent before its end');
is(stat_row($fourth, 'hubspot', qw(requests retries rate_limited inputs confirmed)), '3|0|1|2|2', 'a park: counted');

#
# Counters of all backends, also of those that have ended
#
is($third->query('SELECT hs_assoc_stat_reset()'), '', 'reset');
is(stat_row($fourth, 'hubspot', qw(requests inputs)), '0|0', 'reset for all');
is(stat_row($fourth, 'slow', 'requests'), '0', 'of all accounts');
has_used_five('the throttle goes on as it was');
$third->query(batch('hubspot', 1, 10));
$fourth->query(batch('hubspot', 11, 30));
$fourth->query(invalid('hubspot'));
is(stat_row($_, 'hubspot', qw(requests inputs confirmed failed errors)),
	'2|31|30|1|{"INVALID_INPUT": 1}', 'counters add up') foreach $third, $fourth;
is($node->safe_psql('postgres', q{SELECT hs_assoc_stat_reset('slow')}), '', 'reset of another one, by a session that has used none');
is(stat_row($fourth, 'hubspot', 'requests'), '2', 'leaves the counters alone');
$_->quit foreach $third, $fourth;
$third = start_session($node);
is(stat_row($third, 'hubspot', qw(requests inputs confirmed failed errors)),
	'2|31|30|1|{"INVALID_INPUT": 1}', 'they survive their backends');
is(stat_row($third, 'hubspot', "since BETWEEN pg_postmaster_start_time() AND now()"), 't', 'since');

#
# Many at once take no place twice, and leave none
#
create_account($node, $hubspot, name => 'crowd', rate_limit => 300);
{
	my @crowd = map { start_session($node) } 1 .. 6;
	$hubspot->clear_log;
	$_->send(q{SELECT (hs_assoc_create_default('contacts', i, 'companies', 1, server => 'crowd')).ok
		FROM generate_series(1, 400) i}) foreach @crowd;
	wait_until(sub { stat_row($third, 'crowd', 'inputs') >= 300 });
	$_->cancel foreach @crowd;
	like(($_->finish)[1], qr/ERROR:  57014/, 'a crowd: all have to wait') foreach @crowd;
	is($hubspot->log_count, 300, 'a crowd: as many requests as the limit');
	is(throttle_row($third, 'crowd', 'used'), '300', 'a crowd: used');
	is(stat_row($third, 'crowd', qw(requests inputs confirmed)), '300|300|300', 'a crowd: counted');
	$_->quit foreach @crowd;
}

#
# Another database, a server of the same name
#
$node->safe_psql('postgres', 'CREATE DATABASE other');
create_account($node, $hubspot, dbname => 'other', rate_limit => 2);
{
	my $elsewhere = start_session($node, 'other');

	is(servers($elsewhere), '', 'another database: nothing yet');
	$elsewhere->query(single('hubspot')) foreach 1, 2;
	is(servers($elsewhere), 'hubspot', 'another database: its account');
	is(stat_row($elsewhere, 'hubspot', 'requests'), '2', 'another database: its counters');
	is(throttle_row($elsewhere, 'hubspot', 'used', 'free_at IS NULL'), '2|f', 'another database: its throttle');
	is(stat_row($third, 'hubspot', 'requests'), '2', 'two databases: the counters of one');
	is(throttle_row($third, 'hubspot', 'free_at IS NULL'), 't', 'two databases: the throttle of one');
	$third->query('SELECT hs_assoc_stat_reset()');
	is(stat_row($elsewhere, 'hubspot', 'requests'), '2', 'two databases: a reset of one');
	$elsewhere->quit;
}

#
# A server that is dropped, and one that takes its name
#
$third->query('DROP SERVER crowd CASCADE');
is(servers($third), 'hubspot slow', 'DROP SERVER: it is gone');
create_account($node, $hubspot, name => 'crowd', rate_limit => 300);
is(servers($third), 'hubspot slow', 'another one of its name: nothing yet');
is(throttle_row($third, 'crowd', 'used'), '0', 'another one of its name: nothing used');
is($third->query(single('crowd')), 't', 'another one of its name: a request');
is(stat_row($third, 'crowd', 'requests'), '1', 'another one of its name: its counters');

#
# What took ten seconds: the budget of five ...
#
is(($_->finish)[0], '4', 'one budget: all are created') foreach $first, $second;
{
	my @times = map { $_->{time_ms} } @{ $slow->log };

	# counted from when the first one was about to be sent, and a tenth of a second
	# longer (src/account/throttle.c)
	my @early = grep { $_ < 1000 * $begin + 10_100 } @times[ 5 .. $#times ];

	is(scalar @times, 8, 'one budget: requests');
	is_deeply(\@early, [], 'one budget: never more than five in ten seconds');
	cmp_ok($times[4] - $times[0], '<', patience(5000), 'one budget: five went at once');
}

# ... and slots that are free again
wait_until(sub { throttle_row($other, 'a', 'used') eq '0' });
is($owner->query(single('c')), 't', 'slots are free again: a request');
is(servers($other), 'b c', 'it takes the one that was idle the longest');
is(stat_row($other, 'c', qw(requests lookups inputs errors)), '4|2|4|{"INVALID_INPUT": 1, "RECORD_NOT_FOUND": 1}', 'what the session had counted goes into it');
cmp_ok(throttle_row($other, 'c', 'used'), '>=', 1, 'and its throttle');
$_->quit foreach $owner, $other;

#
# A crash resets all
#
$first->send(single('slow'));
kill 'KILL', $first->pid;
$first->finish;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM hs_assoc_stat()') or die 'no restart';
$third = start_session($node);
is($third->query("SELECT count(*), sum(used) FROM hs_assoc_throttle()"), '3|0', 'after a crash: no throttle');
is($third->query(single('slow')), 't', 'after a crash: a request');
is(stat_row($third, 'slow', 'requests'), '1', 'after a crash: counted');

$third->quit;
done_testing();
