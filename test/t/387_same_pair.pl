# A transaction that changes one pair thousands of times, and pairs for which thousands of rows
# wait: what a change reads of the outbox has a bound, and HubSpot comes to hold what the table has.
# And triggers that are run within ours: what a session keeps in memory has one, too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('autovacuum' => 'off', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
$session->query(q{SET client_min_messages = error;
	CREATE TABLE links (contact int, company int, PRIMARY KEY (contact, company));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact', 'companies', 'company');
	INSERT INTO links VALUES (1, 1), (9, 9)});
$session->query('CALL hs_assoc_flush()');
is($hubspot->association_count('contacts', 'companies'), 2, 'two associations to begin with');

# What statements read of the index of pairs, deleted rows included.
sub read_by
{
	my ($statement) = @_;
	my $sum = q{SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE indexrelname LIKE 'hs_assoc_%_pair_idx'};
	$session->query('SELECT pg_stat_force_next_flush()');
	my $before = $node->safe_psql('postgres', $sum);
	$session->query($statement);
	$session->query('SELECT pg_stat_force_next_flush()');
	return $node->safe_psql('postgres', $sum) - $before;
}

sub changes { return "DO 'BEGIN FOR i IN 1 .. $_[0] LOOP $_[1]; END LOOP; END'" }

# In one transaction, each of them
my %ways = (
	'moves to another record and back' => 'UPDATE links SET company = 1 + i % 2 WHERE contact = 1',
	'goes and comes' => 'DELETE FROM links WHERE contact = 1; INSERT INTO links VALUES (1, 1)',
	'comes and goes' => 'INSERT INTO links VALUES (1, 3); DELETE FROM links WHERE company = 3');
foreach my $way (sort keys %ways)
{
	cmp_ok(read_by(changes(1500, $ways{$way})), '<', 40_000, "a row that $way 1,500 times");
	$session->query('CALL hs_assoc_flush()') for 1 .. 2;
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... all is sent');
	is_deeply([ sort map { "$_->{from_id}>$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } ],
		[ '1>1', '9>9' ], '... and HubSpot has what the table has');
}

# Not in one: the rows of earlier transactions wait.
$session->query('SELECT hs_assoc_pause()');
$session->query(changes(2000, 'UPDATE links SET company = 1 + i % 2 WHERE contact = 1'));
cmp_ok($session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE to_id = '1'}), '>', 1500, 'a pair has many rows that wait');
my $read = 0;
$read += read_by('BEGIN; DELETE FROM links WHERE contact = 1; INSERT INTO links VALUES (1, 1); COMMIT') foreach 1 .. 20;
cmp_ok($read, '<', 20 * 1200, 'later transactions do not read all of them');

# Other pairs of such a transaction are as ever.
$session->query('TRUNCATE hs_assoc_outbox');
$session->query('BEGIN;' . changes(200, 'DELETE FROM links WHERE contact = 1; INSERT INTO links VALUES (1, 1)')
	  . '; DELETE FROM links WHERE contact = 9; INSERT INTO links VALUES (9, 9); COMMIT');
is($session->query(q{SELECT count(*) FILTER (WHERE from_id = '1') > 0, count(*) FILTER (WHERE from_id = '9') FROM hs_assoc_outbox}),
	't|0', 'another row that goes and comes back in it is no change');

# A trigger that is run within ours alters another table, and writes to it: what we knew of that
# before is forgotten once ours have ended, by an ERROR as well.
$session->query(q{TRUNCATE hs_assoc_outbox;
	CREATE TABLE others (a int, b int, PRIMARY KEY (a, b));
	SELECT hs_assoc_enable_sync('others', 'contacts', 'a', 'deals', 'b');
	CREATE FUNCTION write_to_others() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			IF pg_trigger_depth() < 3 THEN
				ALTER TABLE public.others SET (fillfactor = 90);
				INSERT INTO public.others SELECT count(*), 1 FROM public.others;
			END IF;
			RETURN NULL;
		END $$;
	CREATE TRIGGER write_to_others AFTER INSERT ON hs_assoc_outbox FOR EACH STATEMENT EXECUTE FUNCTION write_to_others()});
$session->query("INSERT INTO links VALUES ($_, 100)") foreach 1001 .. 1030;
$session->query('DO $$ BEGIN FOR i IN 1 .. 30 LOOP BEGIN INSERT INTO links VALUES (2000 + i, 100); PERFORM 1 / (i % 2); EXCEPTION WHEN division_by_zero THEN END; END LOOP; END $$');
is($session->query('SELECT count(*) FROM others'), 45, 'triggers within triggers');
cmp_ok($session->query(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'hubspot_assoc link table'}), '<=', 4,
	'... keep nothing of what they have read');

done_testing();
