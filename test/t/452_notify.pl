# NOTIFY hs_assoc: of dead letters, refused accounts and low quotas, once in a minute, with how
# many there were; a sender neither waits for it nor fails by it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.poll_interval' => '10min',
	max_prepared_transactions => 2, wal_level => 'replica', max_wal_senders => 1);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
create_account($node, $hubspot, name => 'second', rate_limit => 0);
my $session = start_session($node);
$session->query('CREATE ROLE reader');
my $listener = start_session($node);
$listener->query('SET SESSION AUTHORIZATION reader');
$listener->query('LISTEN hs_assoc');

# What has come since, payload by payload; all that has come is in @all.
my @all;
sub heard
{
	my $out = $listener->query('SELECT');
	my @payloads = map { decode_json($_) } $out =~ /notification "hs_assoc" with payload "(.*)" received/g;
	push @all, @payloads;
	return @payloads;
}

# The next ones, so many.
sub next_ones
{
	my ($count) = @_;
	my @got;
	wait_until(sub { push @got, heard(); @got >= $count });
	return @got;
}

sub enqueue
{
	my ($from, $count, $server) = @_;
	$server //= 'hubspot';
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT i AS from_id, 9 AS to_id FROM generate_series($from, $from + $count - 1) AS i', server => '$server')});
	return;
}
sub settled { return wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') eq '0' }) }
sub letters { return $session->query('SELECT count(*) FROM hs_assoc_dead_letter') }

# As if so much time had gone by since the last ones.
sub go_by
{
	my ($time) = @_;
	$session->query("UPDATE hs_assoc_event SET notified_at = notified_at - interval '$time' WHERE notified_at IS NOT NULL");
	return;
}

#
# Dead letters
#
$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } 1 .. 2000 ] });
enqueue(1, 3);
my ($first) = next_ones(1);
is_deeply([ sort keys %$first ], [qw(count kind server since)], 'what a payload has');
is("$first->{kind} $first->{server} $first->{count}", 'dead_letter hubspot 3', 'three dead letters');
is($session->query("SELECT '$first->{since}'::timestamptz BETWEEN now() - interval '1 hour' AND now()"), 't', 'since when');

enqueue(11, 2);
settled();
enqueue(21, 5);
settled();
is(letters(), 10, 'more of them');
enqueue(31, 1, 'second');
my ($second) = next_ones(1);
is("$second->{kind} $second->{server} $second->{count}", 'dead_letter second 1', 'another server');
is($session->query(q{SELECT sum(count) FROM hs_assoc_event WHERE server = 'hubspot'}), 7, 'those of the same minute are counted');
# no worker is still about to look for what is to be told
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND state <> 'idle'}) eq '0' });
go_by('61 s');
enqueue(41, 1);
my ($third) = next_ones(1);
is("$third->{kind} $third->{server} $third->{count}", 'dead_letter hubspot 8', '... and told of when it is over');

# a worker comes back for that, although nothing is committed
go_by('52 s');
enqueue(45, 4);
is((next_ones(1))[0]{count}, 4, 'a worker that has ended comes back when the minute is over');

# another sender, which is no worker, keeps to the same minute
$session->query('ALTER SYSTEM SET hubspot_assoc.workers = 0');
$session->query('SELECT pg_reload_conf()');
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) eq '0' });
enqueue(51, 1);
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT sum(count) FROM hs_assoc_event WHERE server = 'hubspot'}), 1, 'hs_assoc_flush keeps to the minute, too');
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 1, '... and tells of what has waited, although it has nothing to send');
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_event'), 0, 'nothing is kept for longer');

# the clock was set back by an hour
enqueue(53, 1);
$session->query('CALL hs_assoc_flush()');
next_ones(1);
go_by('-1 h');
enqueue(54, 1);
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 1, 'a time that lies ahead holds nothing up');
is(scalar heard(), 0, 'no more than that');

#
# What the option says
#
my ($code, undef, $err) = $node->psql('postgres', q{ALTER SERVER hubspot OPTIONS (ADD notify 'yes')});
like($err, qr/invalid value for option "notify": "yes"\nHINT:  It must be "off", "on" or "records"/, 'a wrong value');
($code, undef, $err) = $node->psql('postgres', q{ALTER SERVER hubspot OPTIONS (ADD notify 'record')});
like($err, qr/invalid value for option "notify": "record"\nHINT:  Perhaps you meant "records"/, '... that is nearly right');
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD notify 'records')});
go_by('61 s');
enqueue(61, 2);
$session->query('CALL hs_assoc_flush()');
my ($records) = next_ones(1);
is(join(' ', map { "$$_{operation} $$_{from_type} $$_{from_id} $$_{to_type} $$_{to_id} $$_{error_category};" } @{ $records->{dead_letters} }),
	'create_default contacts 61 companies 9 OBJECT_NOT_FOUND; create_default contacts 62 companies 9 OBJECT_NOT_FOUND;',
	'ids of records, if they are asked for');
is_deeply([ map { $$_{id} } @{ $records->{dead_letters} } ],
	[ split /\n/, $session->query(q{SELECT id FROM hs_assoc_dead_letter WHERE from_id IN ('61', '62') ORDER BY id}) ], 'ids of dead letters');
enqueue(63, 1);
$session->query('CALL hs_assoc_flush()');
$session->query(q{UPDATE hs_assoc_dead_letter SET error_category = NULL WHERE from_id = '63'});
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
($records) = next_ones(1);
is(join(' ', map { sort keys %$_ } @{ $records->{dead_letters} }), 'from_id from_type id operation to_id to_type', 'what a dead letter lacks is not told');
go_by('61 s');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	SELECT 'hubspot', 'postgres'::regrole, 'create_default', 'contacts', repeat('"', 900), 'companies', i::text FROM generate_series(1, 100) AS i});
$session->query('CALL hs_assoc_flush()');
my ($large) = next_ones(1);
is($large->{count}, 100, 'long ids: all are counted');
cmp_ok(length encode_json($large), '<', 5000, '... and those are told of for which there is room');
cmp_ok(scalar @{ $large->{dead_letters} }, '>', 0, '... some');
$session->query(q{ALTER SERVER hubspot OPTIONS (SET notify 'off')});
go_by('61 s');
enqueue(65, 1);
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*) FROM hs_assoc_event WHERE server = 'hubspot'}), 0, 'turned off: nothing is kept');
is(scalar heard(), 0, '... nor told');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP notify)});

#
# Accounts
#
$session->query(q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token 'wrong')});
enqueue(3001, 1);
$session->query('CALL hs_assoc_flush()');
my ($refused) = next_ones(1);
is("$refused->{kind} $refused->{server} $refused->{count}", 'account_refused hubspot 1', 'an account that is refused');
$session->query('DELETE FROM hs_assoc_backoff');
$session->query('CALL hs_assoc_flush()');
$session->query('DROP USER MAPPING FOR PUBLIC SERVER hubspot');
$session->query('DELETE FROM hs_assoc_backoff');
$session->query('CALL hs_assoc_flush()');
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 2, 'again, and without a user mapping');
$session->query(q{CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')});
$session->query('SELECT hs_assoc_resume()');
$session->query('CALL hs_assoc_flush()');

# HubSpot cannot be reached: that is not a refusal
$hubspot->rules({ match => { path => 'batch/associate' }, action => { status => 503 } });
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD max_retries '0')});
enqueue(3002, 1);
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
is(scalar heard(), 0, 'HubSpot is down: not a refusal');
$hubspot->clear_rules;
$session->query('SELECT hs_assoc_resume()');
$session->query('CALL hs_assoc_flush()');
settled();

# A server that is dropped meanwhile: of what has waited, listeners are told
create_account($node, $hubspot, name => 'third', rate_limit => 0);
foreach my $id (201, 202)
{
	enqueue($id, 1, 'third');
	$session->query('CALL hs_assoc_flush()');
}
is((next_ones(1))[0]{server}, 'third', 'another server');
$session->query('SET client_min_messages = error; DROP SERVER third CASCADE; RESET client_min_messages');
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
my ($late) = next_ones(1);
is("$late->{kind} $late->{server} $late->{count}", 'dead_letter third 1', '... which is dropped before all is told');

# A quota that is none
$hubspot->rules({ match => { path => 'default' }, action => { act => Cpanel::JSON::XS::true, headers => { 'X-HubSpot-RateLimit-Daily' => '250000', 'X-HubSpot-RateLimit-Daily-Remaining' => '0x' } } });
$session->query(q{SELECT hs_assoc_create_default('contacts', 4001, 'companies', 1); CALL hs_assoc_flush()});
is($hubspot->hits->{rules}[0]{hits}, 1, 'a quota that is no number');
is(scalar heard(), 0, '... is none');
$hubspot->clear_rules;

#
# Quota, used up by calls that are no sender's
#
$hubspot->settings({ rate_limit => { max => 20, interval_ms => 86_400_000, policy => 'DAILY', retry_after => undef } });
$session->query(q{SELECT hs_assoc_create_default('contacts', 4000 + i, 'companies', 1) FROM generate_series(1, 17) AS i});
$session->query('CALL hs_assoc_flush()');
is(scalar heard(), 0, 'a tenth of the quota is left');
$session->query(q{SELECT hs_assoc_create_default('contacts', 5000 + i, 'companies', 1) FROM generate_series(1, 2) AS i});
$session->query('CALL hs_assoc_flush()');
my ($low) = next_ones(1);
is("$low->{kind} $low->{server}", 'quota_low hubspot', 'less than a tenth');
go_by('59 min');
$session->query('CALL hs_assoc_flush()');
is(scalar heard(), 0, 'that is told once in an hour');
go_by('2 min');
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{kind}, 'quota_low', '... and then again');
$hubspot->settings({ rate_limit => undef });
$session->query('ALTER SYSTEM SET synchronous_commit = local');
$session->query(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$session->quit;
$node->restart;
($session, $listener) = (start_session($node), start_session($node));
$listener->query('LISTEN hs_assoc');

#
# Nothing of it holds up a sender: another process has the lock, as one that waits for a standby
# at its commit has
#
$session->query('DELETE FROM hs_assoc_event');
my $stuck = start_session($node);
$stuck->query('SET synchronous_commit = on');
$session->query('CREATE TABLE written (a int)');
$stuck->send(q{DO $$BEGIN INSERT INTO written VALUES (1); NOTIFY other; END$$});
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND objid = 0 AND granted}) eq '1' });
enqueue(101, 2);
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id IN ('101', '102')}), 2, 'who commits a NOTIFY holds up no sender');
is($session->query(q{SELECT sum(count) FROM hs_assoc_event}), 2, '... and nothing is lost');
is(scalar heard(), 0, 'nobody was told');
$session->query('ALTER SYSTEM RESET synchronous_standby_names');
$session->query('SELECT pg_reload_conf()');
$stuck->finish;
enqueue(103, 1);
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 3, '... until they are');

go_by('61 s');

# an ERROR: of somebody's trigger here, as that of a full queue would be
$session->query(q{CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$});
$session->query('CREATE TRIGGER fail BEFORE DELETE ON hs_assoc_event FOR EACH ROW EXECUTE FUNCTION fail()');
enqueue(111, 3);
$session->send('CALL hs_assoc_flush()');
(undef, $err) = $session->finish;
like($err, qr/WARNING:  .*could not notify the listeners of channel "hs_assoc": no/, 'an ERROR is a WARNING');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id IN ('111', '112', '113')}), 3, 'an ERROR undoes nothing');
$session->query('DROP TRIGGER fail ON hs_assoc_event');
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 3, '... and is tried again');

# a row that somebody has locked is told of later
my $other = start_session($node);
go_by('61 s');
$session->query(q{INSERT INTO hs_assoc_event (server, kind, count) VALUES ('hubspot', 'dead_letter', 5)});
$other->query('BEGIN; SELECT count FROM hs_assoc_event FOR UPDATE');
$session->query('CALL hs_assoc_flush()');
is(scalar heard(), 0, 'what somebody has locked');
enqueue(121, 1);
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 1, 'nobody waits for a lock');
$other->query('COMMIT');
go_by('61 s');
$session->query('CALL hs_assoc_flush()');
is((next_ones(1))[0]{count}, 5, '... and nothing is lost');

# a flood of them becomes one row
$session->query(q{INSERT INTO hs_assoc_event (server, kind, count) SELECT 'hubspot', 'dead_letter', 1 FROM generate_series(1, 3000)});
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*), sum(count) FROM hs_assoc_event WHERE count > 0}), '1|3000', 'a flood takes one row');

# transactions that enqueue have nothing to do with it
$session->query(q{BEGIN; SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 131 AS from_id, 9 AS to_id');
	PREPARE TRANSACTION 'p'});
$session->query(q{COMMIT PREPARED 'p'});
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id = '131'}), 1, 'they can be prepared');

#
# Whom it is for
#
is($session->query(q{SELECT string_agg(DISTINCT privilege_type, ',') FROM pg_class, aclexplode(relacl) WHERE relname = 'hs_assoc_event' AND grantee <> relowner}),
	'', 'the table is for nobody');
unlike(encode_json([ grep { !$_->{dead_letters} } @all ]), qr/contacts|companies|OBJECT_NOT_FOUND|postgres|wrong/, 'no payload has more than it may');
is(scalar(grep { !/^(count|kind|server|since|dead_letters)$/ } map { keys %$_ } @all), 0, '... nor other members');

$_->quit foreach $session, $listener, $other, $stuck;
done_testing();
