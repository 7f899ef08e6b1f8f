# Memory that is gone before what lay in it is needed once more: of a comparison whose ERROR cannot
# even be charged, since what keeps it from being recorded lasts; and of the statement of a
# procedure that ends its transaction.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.poll_interval' => '1s',
	'hubspot_assoc.workers' => 1,
	log_lock_waits => 'on',
	deadlock_timeout => '100ms');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my $other = start_session($node);

sub times_in_log { my ($pattern) = @_; return scalar(() = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /$pattern/g) }

# It has read many rows, when somebody locks the table of the comparisons
$session->query(q{CREATE TABLE links (f int, t int, PRIMARY KEY (f, t)); INSERT INTO links SELECT i % 900, i FROM generate_series(1, 9000) i});
$hubspot->rules({ match => { path => 'batch/read' }, action => { hold => 1 } });
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', verify => '1 second')});
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
my $worker = $session->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
$other->query('BEGIN; LOCK TABLE hs_assoc_verify IN ACCESS EXCLUSIVE MODE');
$hubspot->clear_rules;
$hubspot->release;
wait_until(sub { times_in_log(qr/could not compare table "links" with HubSpot: canceling statement due to lock timeout/) == 1 }, patience(60));
wait_until(sub { times_in_log(qr/process $worker still waiting for \w+ on relation/) == 2 }, patience(60));
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_locks WHERE NOT granted}) == 0 }, patience(60));
is(times_in_log(qr/terminated by signal/), 0, 'the worker has not crashed');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id')});
wait_for_empty_outbox($session);
pass('what was enqueued is sent');
$other->query('ROLLBACK');
is($session->query('SELECT failures FROM hs_assoc_verify'), '0', 'the failure is known to the log alone');
$session->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
wait_until(sub { $session->query('SELECT last_ended_at IS NOT NULL FROM hs_assoc_verify_stat') eq 't' }, patience(60));
pass('the table is compared later');


# A procedure is called as drivers do it, with a parameter: its plan goes with its transaction.  It
# has others take the plan's place in memory.
$session->query(q{CREATE PROCEDURE ends_transaction(how int) LANGUAGE plpgsql AS $$
	DECLARE
		cursor_name refcursor;
		texts text[] := '{}';
	BEGIN
		IF how = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
		FOR i IN 1..300 LOOP cursor_name := 'c' || i; OPEN cursor_name FOR EXECUTE 'SELECT 1'; END LOOP;
		FOR i IN 1..300 LOOP cursor_name := 'c' || i; CLOSE cursor_name; END LOOP;
		FOR i IN 1..400 LOOP texts := texts || repeat('A', i * 100); END LOOP;
	END$$});
foreach my $how (0, 1)
{
	my $script = PostgreSQL::Test::Utils::tempdir() . "/call$how";
	PostgreSQL::Test::Utils::append_to_file($script, "\\set how $how\nCALL ends_transaction(:how);\n");
	my (undef, $out) = run_with_input('', 'pgbench', '-n', '-M', 'extended', '-t', 8, '-f', $script, $node->connstr('postgres'));
	like($out, qr{transactions actually processed: 8/8}, 'a procedure with ' . ($how ? 'COMMIT' : 'ROLLBACK')) or diag $out;
}
is(times_in_log(qr/terminated by signal/), 0, '... has not crashed');

$_->quit foreach $session, $other;
done_testing();
