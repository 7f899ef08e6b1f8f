# One row, or one account, must not stop the others: an ERROR at each step of a
# sender is charged to whom it belongs, and another account's row is sent within a
# second; by hs_assoc_flush and by the worker.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, name => $_, rate_limit => 0, max_retries => 0) foreach qw(bad good);
my $session = start_session($node);
my $next = 1;

# So many rows, of pairs that nobody has seen; the object type tells the server.
my %types = (bad => 'contacts', good => 'deals');

sub enqueue
{
	my ($server, $count, $operation) = @_;
	my ($first, $last) = ($next, $next + $count - 1);
	$next += $count;
	$session->query(sprintf q{SELECT hs_assoc_enqueue('%s', '%s', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series(%d, %d) i', server => '%s')},
		$operation // 'create_default', $types{$server}, $first, $last, $server);
	return $first;
}

sub held { return $hubspot->association_count($types{ $_[0] }, 'companies') }
sub waiting { return $session->query("SELECT count(*) FROM hs_assoc_outbox WHERE server = '$_[0]'") }

sub start_over
{
	$session->query('SET client_min_messages = error;
		DROP FUNCTION IF EXISTS refuse() CASCADE;
		RESET client_min_messages;
		TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_lease');
	$session->query("ALTER SERVER $_ OPTIONS (SET max_retries '0')") foreach qw(bad good);
	$hubspot->reset;
	return;
}

# Makes the event on the table an ERROR where the condition, on the variable r, is true.
sub refuse
{
	my ($table, $event, $condition, $code) = @_;
	$code //= 'P0001';
	my $row = $event eq 'DELETE' ? 'old' : 'new';
	$session->query(qq{
		CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$
		DECLARE r record := $row;
		BEGIN
			IF $condition THEN
				RAISE 'refused: % of %', lower(tg_op), tg_table_name USING ERRCODE = '$code';
			END IF;
			RETURN r;
		END \$\$;
		CREATE TRIGGER refuse BEFORE $event ON $table FOR EACH ROW EXECUTE FUNCTION refuse()});
	return;
}

#
# Each step, by a trigger on the table that it writes. What comes of the bad one's
# rows: "sent" (it didn't matter), "done" (it is too late to matter), "row" (charged),
# "account" (backs off), or "memory" (it cannot be charged, and rests).
#
my $bad = q{r.server = 'bad'};
my @cases = (
	{ name => 'what is being sent is noted the first time', table => 'hs_assoc_lease', event => 'INSERT', then => 'account' },
	{ name => 'nothing is being sent any more', table => 'hs_assoc_lease', event => 'UPDATE', where => "$bad AND r.holder IS NULL",
		lease => 1, then => 'done' },
	{ name => 'what is being sent is noted', table => 'hs_assoc_lease', event => 'UPDATE',
		where => "$bad AND r.holder IS NOT NULL", lease => 1, then => 'account' },
	{ name => 'needless rows are deleted', table => 'hs_assoc_outbox', event => 'DELETE', twice => 1, then => 'row' },
	{ name => 'sent rows are deleted', table => 'hs_assoc_outbox', event => 'DELETE', then => 'row' },
	{ name => 'sent rows are kept', table => 'hs_assoc_sent', event => 'INSERT', keep => 1, then => 'row' },
	{ name => 'rows are charged', table => 'hs_assoc_outbox', event => 'UPDATE', status => 500, then => 'account' },
	{ name => 'rows are put off', table => 'hs_assoc_outbox', event => 'UPDATE', status => 403, then => 'account' },
	{ name => 'refused rows become dead letters', table => 'hs_assoc_dead_letter', event => 'INSERT', status => 400, then => 'row' },
	{ name => 'an account is to back off', table => 'hs_assoc_backoff', event => 'INSERT', status => 401, then => 'memory' },
	{ name => 'an account is to back off without a login', table => 'hs_assoc_backoff', event => 'INSERT', login => 0, then => 'memory' },
	{ name => 'old rows are forgotten', table => 'hs_assoc_sent', event => 'DELETE', old => 1, then => 'sent' });

sub set_up
{
	my ($case) = @_;
	start_over();
	if ($case->{status})
	{
		my %body = $case->{status} == 400 ? (body => { status => 'error', message => 'No', category => 'VALIDATION_ERROR' }) : ();
		$hubspot->rules({ match => { path => '/contacts/' }, action => { status => $case->{status}, %body } });
	}
	$session->query(q{INSERT INTO hs_assoc_lease (server) VALUES ('bad')}) if $case->{lease};
	$session->query('DROP USER MAPPING FOR PUBLIC SERVER bad') if exists $case->{login};
	$session->query(q{ALTER SERVER bad OPTIONS (ADD sent_retention '1h')}) if $case->{keep};
	$session->query(q{INSERT INTO hs_assoc_sent SELECT i, 'bad', 'postgres', 'create_default', 'contacts', '1', 'companies', '1', null, null,
		null, false, null, now(), now() - interval '1 h', now() - interval '1 s', 0 FROM generate_series(-10, -1) i})
	  if $case->{old};
	refuse($case->{table}, $case->{event}, $case->{where} // $bad);
	return;
}

# The rows of the one are due before those of the other.
sub enqueue_both
{
	my ($case) = @_;
	$session->query('BEGIN');
	enqueue('bad', 3);
	if ($case->{twice})
	{
		$next -= 3;
		enqueue('bad', 3);
	}
	$session->query(q{UPDATE hs_assoc_outbox SET not_before = not_before - interval '1 s'}) if $case->{event} ne 'UPDATE';
	enqueue('good', 2);
	$session->query('COMMIT');
	return;
}

# Whom was it charged to?
sub check_bad
{
	my ($case, $name) = @_;
	my $charged = $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE error_category = 'INTERNAL' AND attempts = 1
		AND error_message ~ '^refused: '});
	my $account = $session->query(q{SELECT count(*) FROM hs_assoc_backoff WHERE server = 'bad' AND error_category = 'INTERNAL'
		AND error_message ~ '^refused: '});
	if ($case->{then} eq 'sent')
	{
		is(waiting('bad'), 0, "$name: all is sent");
		is($session->query('SELECT count(*) FROM hs_assoc_sent'), 10, "$name: they are there");
		return;
	}
	cmp_ok(waiting('bad') + held('bad'), '>=', 3, "$name: nothing is lost");
	is(waiting('bad'), $case->{then} eq 'done' ? 0 : $case->{twice} ? 6 : 3, "$name: what is not done waits");
	cmp_ok($charged, '>=', 1, "$name: a row is charged") if $case->{then} eq 'row';
	is($charged, 0, "$name: no row is charged") if $case->{then} ne 'row';
	is($account, 1, "$name: the account backs off") if $case->{then} =~ /account|done/;
	is($account, 0, "$name: nor is the account") if $case->{then} eq 'memory';
	return;
}

sub tear_down
{
	my ($case) = @_;
	$session->query(q{ALTER SERVER bad OPTIONS (DROP sent_retention)}) if $case->{keep};
	$session->query(q{SET log_statement = none; CREATE USER MAPPING FOR PUBLIC SERVER bad OPTIONS (access_token 'test-token')})
	  if exists $case->{login};
	return;
}

# What one remembers is not for the next one.
sub end_worker
{
	my $worker = q{FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'};
	$session->query("SELECT pg_terminate_backend(pid) $worker");
	wait_until(sub { $session->query("SELECT count(*) $worker") == 0 });
	return;
}

foreach my $case (@cases)
{
	my $name = "flush, $case->{name}";
	set_up($case);
	enqueue_both($case);
	my $begun = time;
	$session->send('CALL hs_assoc_flush()');
	my (undef, $err) = $session->finish;
	cmp_ok(time - $begun, '<', patience(3), "$name: it ends without a wait for the account, which has some seconds");
	unlike($err, qr/ERROR/, "$name: no ERROR");
	like($err, qr/WARNING: .*: refused: /, "$name: it is said why");
	is(held('good'), 2, "$name: the other account's rows are sent");
	is(waiting('good'), 0, "$name: and done");
	is($session->query('SELECT current_user || current_setting($$search_path$$) || current_setting($$enable_seqscan$$)'),
		'postgres"$user", publicon', "$name: the session is as before");
	check_bad($case, $name);
	tear_down($case);
}

#
# One row of many: the others are sent, in a bounded number of requests
#
start_over();
my $poison = enqueue('bad', 500) + 250;
refuse('hs_assoc_outbox', 'DELETE', "r.from_id = '$poison'");
$session->send('CALL hs_assoc_flush()');
my (undef, $warning) = $session->finish;
is(() = $warning =~ /WARNING/g, 1, 'one row of many: one warning') or diag($warning);
is($session->query('SELECT string_agg(concat_ws($$ $$, from_id, attempts, error_category, error_message, not_before > now()), $$, $$)
	FROM hs_assoc_outbox'), "$poison 1 INTERNAL refused: delete of hs_assoc_outbox t", 'one row of many: it alone is left, and charged');
is(held('bad'), 500, 'one row of many: all were sent');
cmp_ok($hubspot->log_count('associate/default'), '<', 60, 'one row of many: in few requests');
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'one row of many: the account is well');
is($session->query('SELECT count(*) FROM hs_assoc_lease WHERE holder IS NOT NULL'), 0, 'one row of many: the lease is free');
$session->query('DROP FUNCTION refuse CASCADE; UPDATE hs_assoc_outbox SET not_before = now()');
like(($session->send('CALL hs_assoc_flush()'), $session->finish)[-1], qr/\A\S+ NOTICE:  00000: outbox: 1 sent, 0 failed, 0 still waiting\n/, 'one row of many: nothing is wrong with it');
is(waiting('bad'), 0, 'one row of many: it is sent');

# Many such rows: the account backs off after some, and each has its turn.
start_over();
enqueue('bad', 20);
enqueue('good', 1);
refuse('hs_assoc_outbox', 'DELETE', $bad);
$session->query('SET client_min_messages = error; CALL hs_assoc_flush(); RESET client_min_messages');
is($session->query('SELECT count(*) FILTER (WHERE attempts = 1), count(*) FILTER (WHERE attempts = 0) FROM hs_assoc_outbox'),
	'3|17', 'many such rows: three are charged');
is($session->query(q{SELECT server, error_category FROM hs_assoc_backoff}), 'bad|INTERNAL', 'many such rows: then the account backs off');
is(held('good'), 1, 'many such rows: the other account is served');

# After max_attempts it is a dead letter.
start_over();
$session->query(q{ALTER SERVER bad OPTIONS (ADD sent_retention '1h', ADD max_attempts '1')});
$poison = enqueue('bad', 2);
refuse('hs_assoc_sent', 'INSERT', "r.from_id = '$poison'");
$session->query('SET client_min_messages = error; CALL hs_assoc_flush(); RESET client_min_messages');
is($session->query('SELECT string_agg(concat_ws($$ $$, from_id, attempts, error_category, error_message), $$, $$) FROM hs_assoc_dead_letter'),
	"$poison 1 INTERNAL refused: insert of hs_assoc_sent", 'after max_attempts it is a dead letter');
is(waiting('bad'), 0, 'and nothing is left');
$session->query(q{ALTER SERVER bad OPTIONS (DROP sent_retention, DROP max_attempts)});

# A cancel is nobody's failure.
start_over();
enqueue('bad', 2);
refuse('hs_assoc_outbox', 'DELETE', $bad, '57014');
like($session->told('CALL hs_assoc_flush()'), qr/ERROR:  57014: refused/, 'a cancel ends it');
is($session->query('SELECT sum(attempts) FROM hs_assoc_outbox'), 0, 'a cancel is charged to nobody');
$session->send('BEGIN; SELECT 1; COMMIT');
is(join('', $session->finish), '1', 'after a cancel, the session is as before');
$session->query('DROP FUNCTION refuse CASCADE; UPDATE hs_assoc_outbox SET not_before = now()');
$session->query('CALL hs_assoc_flush()');
is(waiting('bad'), 0, 'and the rows are sent');

$session->query(q{ALTER SYSTEM SET hubspot_assoc.workers = 1});
$session->query('SELECT pg_reload_conf()');
foreach my $case (@cases)
{
	my $name = "worker, $case->{name}";
	end_worker();
	set_up($case);
	my $seen = -s $node->logfile;
	enqueue_both($case);
	my $begun = time;
	wait_until(sub { held('good') == 2 && waiting('good') == 0 });
	cmp_ok(time - $begun, '<', patience(3), "$name: the other account's rows are sent without a wait");
	wait_until(sub { slurp_file($node->logfile, $seen) =~ /WARNING: .*: refused: / });
	unlike(slurp_file($node->logfile, $seen), qr/ERROR:  (?!.*DROP)/, "$name: no ERROR");
	wait_until(sub {
			$session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'bad' AND error_category = 'INTERNAL'})
			  || $session->query('SELECT count(*) FROM hs_assoc_backoff') }) if $case->{then} =~ /row|account|done/;
	wait_until(sub { waiting('bad') == 0 }) if $case->{then} eq 'sent';
	check_bad($case, $name);
	tear_down($case);
}
$session->query(q{ALTER SYSTEM SET hubspot_assoc.workers = 0});
$session->query('SELECT pg_reload_conf()');
end_worker();

$session->quit;
done_testing();
