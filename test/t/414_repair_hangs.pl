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
	RESET ROLE});

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

$session->quit;
done_testing();
