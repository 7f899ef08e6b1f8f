# A function in an index of a table that is repaired, whose owner has it wait, and catch what would
# end that, while nothing is sent to the account for the repair: it is ended all the same.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 1, 'hubspot_assoc.poll_interval' => '1s');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);

$session->query(q{CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER hubspot TO alice;
	SET client_min_messages = error; SET ROLE alice;
	CREATE FUNCTION hang() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'userlock' AND granted) THEN
			LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN RAISE LOG 'alice has caught it'; END; END LOOP;
		END IF;
		RETURN 0;
	END$$;
	CREATE TABLE trap (f int, t int, PRIMARY KEY (f, t));
	CREATE INDEX trap_idx ON trap ((f + hang()));
	INSERT INTO trap VALUES (1, 2);
	SELECT hs_assoc_enable_sync('trap', 'contacts', 'f', 'companies', 't');
	RESET ROLE;
	-- as an owner can have it by pg_restore_relation_stats(), from PostgreSQL 18 on
	UPDATE pg_class SET reltuples = 1e12 WHERE relname = 'trap'});

# It is evaluated whenever PostgreSQL reads anew what the table is like; so it changes while
# HubSpot is asked.
$hubspot->rules({ match => { path => 'batch/read' }, action => { delay_ms => 5000 } });
my $alice = start_session($node);
$alice->query(q{SET ROLE alice; SET statement_timeout = '30s'});
$alice->send(q{SELECT hs_assoc_repair('trap')});
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
$session->query('ALTER INDEX trap_idx SET (fillfactor = 80)');
my $waits = wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) == 1 });
ok($waits, 'it waits, while it has the lease');
$hubspot->clear_rules;

$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id')});
wait_for_empty_outbox($session, patience(90));
pass('what others have enqueued is sent');
like(($alice->finish)[1], qr/57P01|server closed the connection/, 'its session was ended');
my $log = slurp_file($node->logfile);
like($log, qr/alice has caught it/, '... though what was to end its statement was caught');
like($log, qr/a session was ended, since hs_assoc_repair took 60 s to look at the tables again/, '... and is told');

$session->query('DROP INDEX trap_idx');
is($session->query(q{SELECT hs_assoc_repair('trap')}), 1, 'without it, the table is put right');

# A table in sync with two accounts, of which one is silent while something is sent to it: the other
# one's rows do not wait for that
my $silent = start_simulator();
create_account($node, $silent, name => 'silent', rate_limit => 0, max_retries => 0, request_timeout => '10min');
$session->query(q{SET client_min_messages = error; CREATE TABLE two (f int, t int, PRIMARY KEY (f, t)); INSERT INTO two VALUES (11, 12);
	SELECT hs_assoc_enable_sync('two', 'contacts', 'f', 'companies', 't'), hs_assoc_enable_sync('two', 'contacts', 'f', 'companies', 't', server => 'silent')});
$silent->rules({ match => { path => 'batch/associate/default' }, action => { delay_ms => 300_000 } });
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 7 AS from_id, 8 AS to_id', server => 'silent')});
wait_until(sub { $silent->stats->{in_flight} == 1 });
my $repairing = start_session($node);
$repairing->send(q{SELECT hs_assoc_repair('two')});
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'userlock' AND NOT granted}) == 1 });
like(($repairing->finish)[1], qr/55P03/, 'a repair waits for it for ten seconds');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 7 AS to_id')});
$session->query(q{CALL hs_assoc_flush(server => 'hubspot')});
is($session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'hubspot'}), 0, '... and what is to be sent to the other one is sent');
$silent->release;

$session->quit;
done_testing();
