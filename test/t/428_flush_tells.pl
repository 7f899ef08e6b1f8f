# What hs_assoc_flush says in the end: what was sent and what failed, and what still
# waits, and why; nothing, if there was nothing to do; and no word of a record.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_attempts => 2);
my $session = start_session($node);
my $other = start_session($node);

sub enqueue
{
	my ($query, %options) = @_;
	my $server = $options{server} // 'hubspot';
	my $from = $options{from} // 'contacts';
	$session->query("SET client_min_messages = error; SELECT hs_assoc_enqueue('create_default', '$from', 'companies', \$\$$query\$\$, server => '$server'); RESET client_min_messages");
	return;
}

sub flush
{
	$session->send('CALL hs_assoc_flush(' . ($_[0] // '') . ')');
	return ($session->finish)[1] =~ s/^psql:\S+ |^LOCATION: .*\n?//gmr =~ s/\n\z//r;
}

sub start_over { $session->query('DELETE FROM hs_assoc_outbox; DELETE FROM hs_assoc_dead_letter; DELETE FROM hs_assoc_backoff'); return }
my $due = 'due: call hs_assoc_flush again, unless another process is sending, or something is to be sent first.';
sub waits { my ($sent, $failed, $waiting) = @_; return "NOTICE:  00000: outbox: $sent sent, $failed failed, $waiting still waiting" }
sub resume { my ($server) = @_; return "\nHINT:  SELECT hs_assoc_resume('$server') ends the pause." }

is(flush(), '', 'a new database: nothing to do, nothing to say');
enqueue('SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 250) AS i');
is(flush(), waits(250, 0, 0), 'what was sent, in several requests');
is(flush(), '', 'nothing to do, nothing to say');
enqueue('SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 30) AS i');
is(flush(10), waits(10, 0, 20) . "\nDETAIL:  hubspot: 20 wait: $due", 'as many as it was to send');
is(flush(), waits(20, 0, 0), 'the rest');

$hubspot->rules({ match => { id => '7' }, action => { status => 400 } });
enqueue('SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 10) AS i');
my $retry = "\nHINT:  SELECT * FROM hs_assoc_dead_letter says why, and SELECT hs_assoc_retry() has dead letters sent again.";
is(flush(), waits(9, '1', 0) =~ s/failed/failed (a dead letter)/r . $retry, 'what failed for good');
$session->query('SELECT hs_assoc_retry()');
enqueue('SELECT 7 AS from_id, 2 AS to_id');
is(flush(q{server => 'hubspot'}), waits(0, 2, 0) =~ s/failed/failed (dead letters)/r . $retry =~ s/retry\(\)/retry(server => 'hubspot')/r, '... and several, of one server');
$hubspot->clear_rules;
$session->query(q{SELECT hs_assoc_retry(server => 'hubspot')});
is(flush(), waits(2, 0, 0), '... are sent when that is done');
$hubspot->rules({ match => { id => '7' }, action => { status => 400 } });
create_account($node, $hubspot, name => q{"it's"}, rate_limit => 0);
enqueue('SELECT 1 AS from_id, 1 AS to_id', server => "it''s");
$session->query("SELECT hs_assoc_pause('it''s')");
enqueue('SELECT 7 AS from_id, 3 AS to_id');
is(flush(), waits(0, 1, 1) =~ s/failed/failed (a dead letter)/r . "\nDETAIL:  it's: 1 waits: the account is paused.$retry SELECT hs_assoc_resume('it''s') ends the pause.", '... beside an account that is paused');
$session->query("SELECT hs_assoc_resume('it''s')");
$hubspot->clear_rules;
start_over();

$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, keep_labels, attempts, not_before)
	VALUES ('hubspot', 'postgres', 'create_default', 'contacts', '8', 'companies', '1', false, 1, now() + '1 hour')});
is(flush(), waits(0, 0, 1) . "\nDETAIL:  hubspot: 1 waits: to be tried again later.", 'what has to wait after a failed attempt');
$session->query('UPDATE hs_assoc_outbox SET attempts = 0');
is(flush(), waits(0, 0, 1) . "\nDETAIL:  hubspot: 1 waits: for others of their records that come first, or because these change often.", '... and what was not tried yet');
start_over();

$hubspot->rules({ match => { path => 'batch' }, action => { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'contact 4711 is out of scope' } } });
enqueue('SELECT 1 AS from_id, 1 AS to_id UNION ALL SELECT 2, 1');
is(flush(), waits(0, 0, 2) . "\nDETAIL:  hubspot: 2 wait: put off (MISSING_SCOPES)."
	  . "\nHINT:  SELECT * FROM hs_assoc_diagnose('hubspot') says why rows are put off; once that is mended, SELECT hs_assoc_resume('hubspot') has them tried at once.", 'what the token may not, without HubSpot\'s words');
$hubspot->clear_rules;
$session->query(q{SELECT hs_assoc_resume('hubspot')});
is(flush(), waits(2, 0, 0), '... and once it may');
start_over();

enqueue(q{SELECT 'nobody' || i || '@example.com' AS from_id, 1 AS to_id FROM generate_series(1, 3) AS i}, from => 'contacts:email');
is(flush(), waits(0, 0, 3) . "\nDETAIL:  hubspot: 3 wait: for records that HubSpot does not have.", 'records that are not there');
start_over();

$hubspot->rules({ match => { path => 'batch' }, action => { status => 503, body => { message => 'contact 4711 is at lunch' } } });
enqueue('SELECT 1 AS from_id, 1 AS to_id UNION ALL SELECT 2, 1');
my $told = flush();
my ($retry_at) = $session->query(q{SELECT date_trunc('second', retry_at) FROM hs_assoc_backoff});
is($told, waits(0, 0, 2) . "\nDETAIL:  hubspot: 2 wait: the account failed (503), and is tried again at $retry_at."
	  . "\nHINT:  SELECT * FROM hs_assoc_backoff says why an account failed; once that is mended, SELECT hs_assoc_resume('hubspot') has it tried at once.", 'an account that fails, without HubSpot\'s words');
$hubspot->clear_rules;
start_over();

# Another process has the account
create_account($node, $hubspot, name => 'second', rate_limit => 0);
$hubspot->rules({ match => { path => 'batch' }, action => { delay_ms => 60_000 } });
enqueue('SELECT 1 AS from_id, 1 AS to_id');
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
$hubspot->clear_rules;
enqueue('SELECT 1 AS from_id, 2 AS to_id', server => 'second');
is(flush(), waits(1, 0, 1) . "\nDETAIL:  hubspot: 1 waits: $due", 'another process sends it');
is(flush(q{server => 'second'}), '', 'of one server, only what is of that one');
$other->cancel;
$other->finish;
start_over();

# Paused ones, more than are told one by one, and more rows than are counted
foreach my $i (1 .. 22)
{
	create_account($node, $hubspot, name => "paused_$i", rate_limit => 0);
	$session->query("SELECT hs_assoc_pause('paused_$i')");
	enqueue("SELECT i AS from_id, 1 AS to_id FROM generate_series(1, $i) AS i", server => "paused_$i");
}
$told = flush();
my $count = 22 * 23 / 2;
like($told, qr/\A\Q${\ waits(0, 0, $count)}\E\nDETAIL:  paused_22: 22 wait: the account is paused\.\npaused_21: 21 wait/, 'what is paused, most of it first');
like($told, qr/\npaused_3: 3 wait: the account is paused\.\nThere are 2 more reasons; hs_assoc_outbox_stat and hs_assoc_backoff have them all\.\Q${\ resume('paused_22')}\E\z/, '... and not all of it');
$session->query('DELETE FROM hs_assoc_outbox WHERE server = $$paused_1$$');
like(flush(), qr/\nThere is 1 more reason; hs_assoc_outbox_stat/, '... but one');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, keep_labels)
	SELECT 'paused_1', 'postgres', 'create_default', 'contacts', i, 'companies', i, false FROM generate_series(1, 100001) AS i});
like(flush(), qr/\A\Q${\ waits(0, 0, '100000 or more')}\E\nDETAIL:  paused_1: \d+ wait: the account is paused/, 'very many are not all counted');

# Where nothing could be recorded of what is sent
is($session->told('SET default_transaction_read_only = on; CALL hs_assoc_flush(); RESET default_transaction_read_only') =~ /^.*?(ERROR:.*)$/m && $1,
	'ERROR:  25006: cannot execute hs_assoc_flush() in a read-only transaction', 'in a session whose transactions are read-only, it is an ERROR');

# Who may call it and nothing else is told no more
$session->query('CREATE ROLE operator; GRANT EXECUTE ON PROCEDURE hs_assoc_flush TO operator; DELETE FROM hs_assoc_outbox WHERE server <> $$paused_3$$');
$session->query('SET ROLE operator');
is(flush(), waits(0, 0, 3) . "\nDETAIL:  paused_3: 3 wait: the account is paused." . resume('paused_3'), 'a role that may call it, and has no privilege on the tables');
$session->query('RESET ROLE');

done_testing();
