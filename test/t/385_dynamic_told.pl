# Without preloading: what people are told of a worker while there is one; it comes back for
# what somebody else was about to send, and ends where the extension is dropped.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

# With this poll interval, what happens in a few seconds has been waited for.
my $node = start_node('hubspot_assoc.workers' => 4, 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my $other = start_session($node);

sub enqueue
{
	my ($id) = @_;
	return $session->query("SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $id AS from_id, 1 AS to_id')");
}

sub workers { return $session->query(q{SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) }

sub allow_workers
{
	my ($count) = @_;
	$session->query($_) foreach "ALTER SYSTEM SET hubspot_assoc.workers = $count", 'SELECT pg_reload_conf()';
	wait_until(sub { $session->query('SHOW hubspot_assoc.workers') == $count });
	return;
}

sub held { return join ' ', map { $_->{from_id} } @{ $hubspot->associations('contacts', 'companies') } }

is($session->query(q{SELECT state, replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'workers'}),
	'ok|no worker is in this database; the next commit that enqueues starts one', 'none so far');

#
# A worker that waits for a row to be due
#
$hubspot->rules({ match => { path => 'associate' }, action => { status => 503 } });
enqueue(101);
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox WHERE attempts > 0') == 1 });
my $pid = workers();
like($pid, qr/^\d+$/, 'a worker');
is($session->query('SELECT hs_assoc_sender()'), "a dynamic worker, process $pid", 'it is named');
is($session->query(q{SELECT state, replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'workers'}), "ok|a dynamic worker is in this database: process $pid", '... by hs_assoc_diagnose, too');
is($session->query(q{SELECT value FROM hs_assoc_metrics() WHERE name = 'hubspot_assoc_workers'}), '1', '... and counted');

#
# A copy, which sends nothing
#
$session->query('UPDATE hs_assoc_identity SET database = 1');
$session->send('SELECT hs_assoc_start() IS NOT NULL');
my ($out, $err) = $session->finish;
is($out, 't', 'in a copy, a worker may be started');
like($err, qr/WARNING:  01000: nothing is sent from this database until hs_assoc_adopt is called/, '... and a WARNING says that it sends nothing');
$session->query('UPDATE hs_assoc_identity SET database = (SELECT oid FROM pg_database WHERE datname = current_database())');

#
# Another sender has the account
#
$hubspot->clear_rules;
$session->query('SELECT hs_assoc_resume(); SELECT hs_assoc_start()');
wait_until(sub { held() eq '101' });
allow_workers(0);
wait_until(sub { workers() eq '' }, patience(60));
$session->query("SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 102 AS from_id, 1 AS to_id')");
$hubspot->rules({ match => { path => 'associate' }, action => { hang => \1 } });
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
allow_workers(4);
enqueue(103);
my $looked = q{SELECT max(state_change) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND state = 'idle'};
my $before;
wait_until(sub { $before = $session->query($looked) });
wait_until(sub { my $now = $session->query($looked); $now && $now ne $before }, patience(60));
is(held(), '101', 'while another sender has the account, a worker waits and looks again');
$hubspot->clear_rules;
$other->cancel;
$other->finish;
wait_until(sub { held() eq '101 102 103' }, patience(60));
is(held(), '101 102 103', '... and sends all, without another commit');

#
# The extension is dropped meanwhile
#
$hubspot->rules({ match => { path => 'associate' }, action => { status => 503 } });
enqueue(104);
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox WHERE attempts > 0') == 1 });
like(workers(), qr/^\d+$/, 'a worker that waits');
$session->query('SET client_min_messages = error; DROP EXTENSION hubspot_assoc CASCADE');
wait_until(sub { workers() eq '' }, patience(60));
is(workers(), '', '... ends where the extension is dropped');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/hubspot_assoc worker.*(ERROR|FATAL)/, '... without an ERROR');

$session->quit;
$other->quit;
done_testing();
