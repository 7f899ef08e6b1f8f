# Statements that are canceled in steps that take next to no time, as a rule: while a login is
# looked up for another role, and while an answer becomes a template for the next ones. The
# session is as before, and the next call does what it should.
#
# Where a cancel came is told by the backtrace of its ERROR, in the server's log; so these tests
# need one with the names of functions that others than the library cannot call.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan(skip_all => 'it is about moments of some ms') if instrumented();
my $node = start_node(backtrace_functions => 'ProcessInterrupts', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, request_timeout => patience(60) . 's');
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, name => 'oauth');
$hubspot->oauth({ client_id => 'id', client_secret => 's3cr3t', refresh_token => 'first', rotate => \1 });
$node->safe_psql('postgres', q{CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER oauth TO alice;
	CREATE USER MAPPING FOR alice SERVER oauth OPTIONS (client_id 'id', client_secret 's3cr3t', refresh_token 'first')});
my $session = start_session($node);
my $other = start_session($node);

$hubspot->rules({ match => {}, action => { hang => \1 } });
$session->told(q{SET statement_timeout = '500ms'; SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2); RESET statement_timeout});
$hubspot->clear_rules;
plan(skip_all => "the server's log names no functions of the library") if slurp_file($node->logfile) !~ /BACKTRACE:.*\(hubspot_/s;

# Runs a statement until a time-out hits it within a function; true: it did, and how the session
# is then is tested.
sub times_out_in
{
	my ($function, $sql, $name, @timeouts) = @_;
	my $caught = '';

	foreach my $timeout (@timeouts)
	{
		my $from = -s $node->logfile;
		$session->send("SET statement_timeout = $timeout;\n$sql;\nRESET statement_timeout");
		my (undef, $err) = $session->finish;
		last if $err =~ /25P02/;
		my $log = slurp_file($node->logfile, $from);
		if ($err =~ /57014/ && $log =~ /\($function\+/) { $caught = $timeout; last }
	}
	$session->told('RESET statement_timeout');
	ok($caught, "$name: it is canceled there");
	is($other->query('SELECT state FROM pg_stat_activity WHERE pid = ' . $session->pid), 'idle', '... no transaction is left open');
	is($other->query('SELECT count(*) FROM pg_locks WHERE pid = ' . $session->pid), '0', '... nor a lock');
	is($session->query('SELECT current_user = session_user, 1'), 't|1', '... the next statement runs, as who it was');
	is($session->query(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name ~ '^hubspot_assoc (sender|round|batch|call|chunk|drift|statement|look-up)'}), '0', '... and no memory of it is kept');
	return;
}

# The session has a newer refresh token than alice's user mapping, since the transaction was
# rolled back that had stored it; it tries again with each statement, and waits up to 100 ms
# for who changes the mapping.
$session->query($_) foreach 'SET client_min_messages = error', 'SET ROLE alice',
  'CREATE TABLE links (f int, t int, PRIMARY KEY (f, t)); INSERT INTO links VALUES (3, 4)',
  q{SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', server => 'oauth')},
  q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id', server => 'oauth')},
  q{BEGIN; SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'oauth'); ROLLBACK}, 'RESET ROLE';
$other->query(q{BEGIN; ALTER USER MAPPING FOR alice SERVER oauth OPTIONS (SET client_secret 's3cr3t')});
my @during = map { ($_) x 4 } 20, 40, 60, 80, 95, 120, 150, 200;
times_out_in('hubspot_connect_as', q{SELECT * FROM hs_assoc_drift('links')}, 'a login for a comparison', @during);
times_out_in('hubspot_connect_as', 'CALL hs_assoc_flush()', 'a login for a flush', @during);
$other->query('ROLLBACK');
is($session->query(q{SELECT action, from_id, to_id FROM hs_assoc_drift('links')}), 'create|3|4', 'once the mapping is free, the table is compared');
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), '0', '... and what waits is sent');
isnt($other->query(q{SELECT array_to_string(umoptions, ' ') FROM pg_user_mappings WHERE srvname = 'oauth' AND usename = 'alice'}), 'client_id=id client_secret=s3cr3t refresh_token=first', '... and the new refresh token is stored');

# A record with a list of millions of numbers is read, and then looked at once more for what
# the next ones may have in common with it.
my $list = join ',', (1) x 1_500_000;
my $answer = qq({"status":"COMPLETE","results":[{"id":"7","properties":{"email":"ann\@example.com"},"x":[$list]},{"id":"8","properties":{"email":"bob\@example.com"},"x":[]}]});
$hubspot->rules({ match => { path => 'contacts/batch/read' }, action => { text => $answer, content_type => 'application/json' } });
my $sql = q{SELECT record_id FROM hs_assoc_resolve('contacts:email', '{ann@example.com,bob@example.com}'::text[])};
times_out_in('hubspot_template_set_strings', $sql, 'a record that becomes a template', map { 10 + 5 * ($_ % 50) } 1 .. 200);
is($session->query($sql), "7\n8", '... and the same answer is read to its end');

$_->quit foreach $session, $other;
done_testing();
