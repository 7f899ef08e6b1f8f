# A function in an index of a table that is compared, whose owner has it catch what would end
# it: the worker ends all the same, sends what others have enqueued, and comes back to that
# role's tables later and later.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 1, 'hubspot_assoc.poll_interval' => '1s');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);

$session->query(q{CREATE ROLE alice; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER hubspot TO alice;
	SET client_min_messages = error; SET ROLE alice;
	CREATE FUNCTION hang() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF current_user LIKE 'pg|_%' ESCAPE '|' THEN
			LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN RAISE LOG 'alice has caught it'; END; END LOOP;
		END IF;
		RETURN 0;
	END$$;
	CREATE TABLE trap (f int, t int, PRIMARY KEY (f, t));
	INSERT INTO trap VALUES (1, 2);
	CREATE INDEX ON trap ((f + hang()));
	SELECT hs_assoc_enable_sync('trap', 'contacts', 'f', 'companies', 't', verify => '1 second');
	RESET ROLE});
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hubspot_assoc%' AND wait_event = 'PgSleep'}) == 1 }, patience(60));
pass('the worker hangs');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id')});
wait_for_empty_outbox($session, patience(150));
pass('what others have enqueued is sent');
like(slurp_log(), qr/alice has caught it/, 'though what was to end it was caught');
is($session->query('SELECT attempts >= 1 AND attempt_at IS NOT NULL FROM hs_assoc_verify'), 't', 'it is known which table that was');

# One that does not catch it, and is given more time after that; nothing of it is left
$session->query(q{DROP TABLE trap; SET client_min_messages = error; SET ROLE alice;
	CREATE FUNCTION dawdle() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF current_user LIKE 'pg|_%' ESCAPE '|' THEN PERFORM pg_sleep(1000); END IF;
		RETURN 0;
	END$$;
	CREATE TABLE slow (f int, t int, PRIMARY KEY (f, t));
	INSERT INTO slow VALUES (1, 2);
	CREATE INDEX slow_idx ON slow ((f + dawdle()));
	SELECT hs_assoc_enable_sync('slow', 'contacts', 'f', 'companies', 't', verify => '1 second');
	RESET ROLE});
wait_until(sub { $session->query(q{SELECT error_message FROM hs_assoc_verify_stat}) eq 'it took longer than 20 s' }, patience(90));
pass('a slice that takes too long fails');
$session->query('DROP INDEX slow_idx');
wait_until(sub { $session->query('SELECT failures = 0 AND last_ended_at IS NOT NULL FROM hs_assoc_verify_stat') eq 't' }, patience(150));
pass('... and goes on when it can');
$session->query('DROP TABLE slow');

# An account that is silent holds a worker up for ten seconds, whatever its timeouts are, not for a minute
$hubspot->put_records('contacts', [ { id => '1', properties => { email => 'a@example.com' } } ]);
$hubspot->rules({ match => { path => 'batch/read' }, action => { delay_ms => 300_000 } });
$session->query(q{CREATE TABLE mute (f int PRIMARY KEY, t int); INSERT INTO mute VALUES (1, 2);
	SELECT hs_assoc_enable_sync('mute', 'contacts', 'f', 'companies', 't', verify => '1 second')});
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
my $began = time;
wait_until(sub { $session->query('SELECT failures > 0 FROM hs_assoc_verify_stat') eq 't' }, patience(60));
cmp_ok(time - $began, '<', patience(30), 'a silent account');
like($session->query('SELECT error_message FROM hs_assoc_verify_stat'), qr/^could not read records from HubSpot: .*(?:timed out|did not answer|Timeout)/i, '... which is said');
$session->query('DROP TABLE mute');
$hubspot->clear_rules;

# One that is slow, but answers
$hubspot->rules({ match => { path => 'batch/read' }, action => { delay_ms => 6000 } });
$session->query(q{CREATE TABLE keyed (f text PRIMARY KEY, t int); INSERT INTO keyed VALUES ('a@example.com', 2);
	SELECT hs_assoc_enable_sync('keyed', 'contacts:email', 'f', 'companies', 't', verify => '1 second', on_drift => 'report')});
wait_until(sub { $session->query('SELECT coalesce(last_missing, 0) = 1 AND failures = 0 FROM hs_assoc_verify_stat') eq 't' }, patience(120));
pass('a slow account is waited for');
$hubspot->clear_rules;
my $now = $session->query('SELECT clock_timestamp()');
wait_until(sub { $session->query("SELECT last_began_at > '$now' FROM hs_assoc_verify_stat") eq 't' }, patience(120));
pass('... and when it is fast again, that is noticed');

done_testing();

sub slurp_log { return PostgreSQL::Test::Utils::slurp_file($node->logfile) }
