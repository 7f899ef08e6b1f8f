# A comparison looks at other owners' tables, which may want what it would remove.  What such an
# owner has put into an index, a predicate, statistics or a partition's index holds up nobody:
# with such a table nothing is removed.  Expressions of PostgreSQL's own functions are no matter.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);

$session->query(q{CREATE ROLE alice; CREATE ROLE bob; GRANT CREATE ON SCHEMA public TO alice, bob;
	GRANT USAGE ON FOREIGN SERVER hubspot TO alice, bob;
	SET client_min_messages = error; SET ROLE alice;
	CREATE FUNCTION hang() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF current_user LIKE 'pg|_%' ESCAPE '|' THEN
			LOOP BEGIN PERFORM pg_sleep(1000); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
		END IF;
		RETURN 0;
	END$$;
	CREATE TABLE hers (f int, t int, PRIMARY KEY (f, t)); INSERT INTO hers VALUES (8, 8);
	SELECT hs_assoc_enable_sync('hers', 'contacts', 'f', 'companies', 't');
	SET ROLE bob;
	CREATE TABLE his (f int, t int, PRIMARY KEY (f, t)); INSERT INTO his VALUES (1, 1);
	SELECT hs_assoc_enable_sync('his', 'contacts', 'f', 'companies', 't', backfill => true);
	RESET ROLE; CALL hs_assoc_flush()});

# Whether bob's repair removes what his table does not have, and how long it takes
sub removes
{
	$session->query(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 9)});
	my $bob = start_session($node);
	$bob->query('SET ROLE bob');
	my $start = time;
	$bob->send(q{SELECT hs_assoc_repair('his', mode => 'mirror', max_removals => 10)});
	my ($out, $err) = $bob->finish;
	cmp_ok(time - $start, '<', patience(20), 'it is not held up');
	$session->query('DELETE FROM hs_assoc_outbox');
	return $out =~ /^(\d+)$/m ? $1 : $err;
}

is(removes(), 1, 'a table that has nothing: what is wanted by nobody is removed');
foreach my $index ('((f + hang()))', '(f) WHERE hang() = 0', q{((f + length(repeat('x', 1000))))})
{
	$session->query("CREATE INDEX i ON hers $index");
	is(removes(), 0, "index $index: nothing is removed");
	$session->query('DROP INDEX i');
}
$session->query('CREATE STATISTICS s ON (f + hang()), (t + 1) FROM hers');
is(removes(), 0, 'statistics: nothing is removed');
$session->query('DROP STATISTICS s');
$session->query('CREATE INDEX i ON hers ((f + t)) WHERE abs(t) > 0; ALTER TABLE hers ADD CHECK (hang() = 0)');
is(removes(), 1, q{PostgreSQL's own functions of a row's values, and a constraint: it is removed});
$session->query(q{SET client_min_messages = error; DROP TABLE hers; SET ROLE alice;
	CREATE TABLE hers (f int, t int, PRIMARY KEY (f, t)) PARTITION BY LIST (f);
	CREATE TABLE part PARTITION OF hers FOR VALUES IN (8);
	SELECT hs_assoc_enable_sync('hers', 'contacts', 'f', 'companies', 't');
	CREATE INDEX ON part ((f + hang())); RESET ROLE});
is(removes(), 0, 'an index of a partition: nothing is removed');

$session->quit;
done_testing();
