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
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 }, patience(150));
pass('what others have enqueued is sent');
like(slurp_log(), qr/alice has caught it/, 'though what was to end it was caught');
is($session->query('SELECT attempts >= 1 AND attempt_at IS NOT NULL FROM hs_assoc_verify'), 't', 'it is known which table that was');

done_testing();

sub slurp_log { return PostgreSQL::Test::Utils::slurp_file($node->logfile) }
