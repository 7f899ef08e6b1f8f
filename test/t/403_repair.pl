# A table is repaired while it is written to: HubSpot and the table are equal in the end, and
# no link that the table held all the time was ever taken away.
#
# A seed makes a table of ids, of labels, or of keys, with links that nobody touches.
# Writers insert, delete and update the others at random, some of them slow to commit; in
# half of the seeds, somebody changes associations by hand; and repairs follow each other, in
# both modes. Without changes by hand, the table and HubSpot are equal once the outbox is
# empty; else after one more repair.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use WritersTest;

my @seeds = seeds(3, 4);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', max_connections => 30);
my $hubspot = start_simulator(latency => 3);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
my %other = map { $_ => start_session($node) } qw(writer1 writer2 writer3 hand repair);
my %done = map { $_ => 0 } qw(repairs repaired removals);

$session->query('SET client_min_messages = error');
create_writers($session, statement => 'IF random() < 0.3 THEN PERFORM pg_sleep(random() * 0.03); END IF', hand => 'PERFORM pg_sleep(random() * 0.02)');
$session->query(q{
	CREATE TABLE finished (yes bool);
	CREATE TABLE repaired (mode text, enqueued bigint);
	CREATE PROCEDURE repair() LANGUAGE plpgsql AS $$
	DECLARE how text; many bigint;
	BEGIN
		WHILE NOT EXISTS (SELECT FROM finished) LOOP
			how := CASE WHEN random() < 0.3 THEN 'add' ELSE 'mirror' END;
			many := hs_assoc_repair('links', CASE WHEN random() < 0.3 THEN 'SELECT f AS from_id FROM names' END, how, 1000);
			INSERT INTO repaired VALUES (how, many);
			COMMIT;
		END LOOP;
	END $$});

try_seed($_, \&run_seed) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{removals}, '>', 0, 'some repairs have removed something') unless @seeds < 6;
$_->quit foreach $session, values %other;
done_testing();

sub run_seed
{
	my ($seed) = @_;
	my $shape = (qw(ids labels keys))[ rand 3 ];
	my $hand = rand() < 0.5;
	my @problems;

	$session->query('TRUNCATE finished, repaired');
	start_links($session, $hubspot, $shape);
	drain();
	$other{$_}->query("SELECT setseed($seed % 1000000 / 1000000.0)") foreach sort keys %other;
	$other{$_}->query('SET client_min_messages = error') foreach sort keys %other;
	$hubspot->clear_log;
	$other{repair}->send('CALL repair()');
	$other{$_}->send('CALL write(60)') foreach qw(writer1 writer2 writer3);
	$other{hand}->send("CALL by_hand(40, @{[ $shape eq 'labels' ? 'true' : 'false' ]})") if $hand;
	foreach my $name (qw(writer1 writer2 writer3), $hand ? 'hand' : ())
	{
		my (undef, $err) = $other{$name}->finish;
		push @problems, "$name: $err" if $err;
	}
	$session->query('INSERT INTO finished VALUES (true)');
	my (undef, $err) = $other{repair}->finish;
	push @problems, "repair: $err" if $err;
	drain();
	if ($hand)
	{
		$session->query(q{SELECT hs_assoc_repair('links', 'SELECT f AS from_id FROM names', 'mirror', 1000)});
		drain();
	}
	my ($removals, @removed) = removed_although_kept($session, $hubspot, $shape);
	$done{removals} += $removals;
	push @problems, unequal($session, $hubspot, $shape), @removed;
	push @problems, 'dead letters: ' . $session->query('SELECT count(*) FROM hs_assoc_dead_letter') if $session->query('SELECT count(*) FROM hs_assoc_dead_letter') > 0;
	push @problems, 'a drift is left: ' . $session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id, label), ', ') FROM hs_assoc_drift('links', 'SELECT f AS from_id FROM names')})
	  if $session->query(q{SELECT count(*) FROM hs_assoc_drift('links', 'SELECT f AS from_id FROM names')}) > 0;
	my ($repairs, $repaired) = split /\|/, $session->query('SELECT count(*), coalesce(sum(enqueued), 0) FROM repaired');
	$done{repairs} += $repairs;
	$done{repaired} += $repaired;
	return map { "$shape" . ($hand ? ', by hand' : '') . ": $_" } @problems;
}

sub drain { return wait_for_empty_outbox($session) }
