# Whoever leaves a transaction open that has locked rows or tables of the outbox holds
# up nobody but these rows: a sender waits for no lock.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(max_prepared_transactions => 5);
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 0, sent_retention => '1h');
create_account($node, $hubspot, %options);
$hubspot->account({ token => 'second-token' });
create_account($node, $hubspot, %options, name => 'second', token => 'second-token');
my $session = start_session($node);
my $sender = start_session($node);
my $operator = start_session($node);
$session->query('CREATE ROLE operator; GRANT pg_monitor TO operator');
$session->query(qq{GRANT EXECUTE ON FUNCTION hs_assoc_$_ TO operator})
  foreach 'retry(bigint[], name)', 'discard(bigint[], name)', 'pause(name)', 'resume(name)';
$session->query('GRANT USAGE ON FOREIGN SERVER hubspot, second TO operator');
$sender->query(sprintf q{SET statement_timeout = '%ds'}, patience(30));

sub enqueue
{
	my ($operation, $from_id, $to_id, $server) = @_;
	$session->query(sprintf q{SELECT hs_assoc_enqueue('%s', 'contacts', 'companies', $$SELECT %d AS from_id, %d AS to_id$$, server => '%s')},
		$operation, $from_id, $to_id, $server // 'hubspot');
	return;
}

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_id), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox});
}

sub letters { return $session->query('SELECT count(*) FROM hs_assoc_dead_letter') }

# The inputs that were sent, counted
sub sent { return $hubspot->stats->{inputs} }

# A dead letter, rows of every table
sub prepare
{
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_lease, hs_assoc_outdated, hs_assoc_account_pause');
	$hubspot->reset;
	$hubspot->account({ token => 'second-token' });
	$hubspot->objects({ type => 'companies', missing => ['11'] });
	enqueue('create_default', 1, 11);
	enqueue('create_default', 2, 12);
	$sender->query('CALL hs_assoc_flush()');
	$hubspot->objects({ type => 'companies', missing => [] });
	is(letters(), 1, 'a dead letter') or die;
	$session->query(q{INSERT INTO hs_assoc_backoff (server, role, failures, retry_at) VALUES ('hubspot', 'postgres', 1, now());
		INSERT INTO hs_assoc_account_pause (server, role) VALUES ('third', 'postgres');
		UPDATE hs_assoc_sent SET keep_until = now() - interval '1 s';
		INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, not_before)
			VALUES ('hubspot', 'postgres', 'create_default', 'contacts', '3', 'companies', '13', now() + interval '1 h'),
				('hubspot', 'postgres', 'create_default', 'contacts', '4', 'companies', '14', now() - interval '1 h')});
	return;
}

my $all = join '; ', map { "SELECT FROM hs_assoc_$_ FOR UPDATE" } qw(outbox dead_letter sent lease backoff account_pause outdated);
my %locks = (
	'all rows of all tables' => $all,
	'a lock that another one waits for' => q{SELECT FROM hs_assoc_dead_letter FOR SHARE; SELECT FROM hs_assoc_backoff FOR KEY SHARE},
	'hs_assoc_discard' => 'SET ROLE operator; SELECT hs_assoc_discard()',
	'hs_assoc_retry' => 'SET ROLE operator; SELECT hs_assoc_retry()',
	'hs_assoc_resume' => q{SET ROLE operator; SELECT hs_assoc_resume('hubspot')},
	'hs_assoc_pause' => q{SET ROLE operator; SELECT hs_assoc_pause('hubspot')},
	'what pg_monitor may lock' => 'SET ROLE operator; LOCK TABLE hs_assoc_lease, hs_assoc_account_pause IN ACCESS SHARE MODE; SELECT count(server) FROM hs_assoc_backoff',
);
foreach my $name (sort keys %locks)
{
	foreach my $end ('ROLLBACK', 'COMMIT')
	{
		prepare();
		$operator->query("BEGIN; $locks{$name}");
		my $before = sent();
		my $locked = $name =~ /^all/;

		enqueue('archive', 1, 11);
		enqueue('create_default', 5, 15);
		enqueue('create_default', 6, 16, 'second');
		my ($out, $err) = do { $sender->send('CALL hs_assoc_flush()'); $sender->finish };
		unlike($err, qr/ERROR|WARNING/, "$name: a sender does not wait");
		is(outbox(), $locked ? 'create_default 3, create_default 4' : 'create_default 3', "$name: all that is due is sent, but what is locked");
		is($hubspot->association_count('contacts', 'companies', token => 'second-token'), 1, "$name: another account's, too");
		is(sent() - $before, $locked ? 3 : 4, "$name: each once");
		$sender->query('CALL hs_assoc_flush()') foreach 1, 2;
		is(sent() - $before, $locked ? 3 : 4, "$name: and not again");

		# the dead letter would undo the later removal
		$operator->query("$end; RESET ROLE");
		$session->query(q{DELETE FROM hs_assoc_account_pause});
		$sender->query('CALL hs_assoc_flush()');
		enqueue('create_default', 7, 17);
		$sender->query('CALL hs_assoc_flush()');
		is(letters(), 0, "$name, $end: no dead letter is left");
		is($session->query('SELECT hs_assoc_retry()'), 0, '... nor comes back');
		is($session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE from_id <> '3'}), 0, '... nor is anything else left');
		is($session->query('SELECT count(*) FROM hs_assoc_outdated'), 0, '... or remembered');
		unlike($hubspot->association_table('contacts', 'companies'), qr/^1,/m, '... and the last operation counts');
	}
}
like(($node->psql('postgres', 'BEGIN; SET ROLE operator; LOCK TABLE hs_assoc_lease IN ROW SHARE MODE'))[2], qr/permission denied/,
	'more than that pg_monitor may not lock');

# An account that fails while somebody has locked its back-off: it rests all the same
foreach my $lock (q{SELECT FROM hs_assoc_backoff FOR UPDATE}, q{SELECT hs_assoc_resume('hubspot')})
{
	foreach my $why ('refused', 'no user mapping')
	{
		prepare();
		$operator->query("BEGIN; $lock");
		$hubspot->rules({ match => { token => 'test-token' }, action => { status => 401 } }) if $why eq 'refused';
		$session->query('DROP USER MAPPING FOR PUBLIC SERVER hubspot') if $why ne 'refused';
		enqueue('create_default', 6, 16, 'second');
		my $before = $hubspot->log_count;
		$sender->query('CALL hs_assoc_flush()');
		is($hubspot->association_count('contacts', 'companies', token => 'second-token'), 1, "$why: another account is served");
		is($hubspot->log_count - $before, $why eq 'refused' ? 2 : 1, '... and this one is tried once');
		is($session->query('SELECT failures FROM hs_assoc_backoff'), 1, '... which cannot be recorded');
		$operator->query('ROLLBACK');
		$hubspot->clear_rules;
		$session->query(q{CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')}) if $why ne 'refused';
	}
}

done_testing();
