# Workers compare a table with HubSpot, and put it right in both modes, while it is written to
# and somebody changes associations by hand: in the end both are equal, and no link that the
# table held all the time was ever taken away by the outbox.
#
# A seed makes a table of ids, of labels, or of keys, with links that nobody touches.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use WritersTest;

my @seeds = seeds(2, 3);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', max_connections => 30);
my $hubspot = start_simulator(latency => 3);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
my %other = map { $_ => start_session($node) } qw(writer1 writer2 hand);
my %done = map { $_ => 0 } qw(repaired removals);

$session->query('SET client_min_messages = error');
create_writers($session, statement => 'PERFORM pg_sleep(random() * 0.1)', hand => 'PERFORM pg_sleep(random() * 0.2)');

try_seed($_, \&run_seed) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{repaired}, '>', 0, 'something was put right');
$_->quit foreach $session, values %other;
done_testing();

sub run_seed
{
	my ($seed) = @_;
	my $shape = (qw(ids labels keys))[ rand 3 ];
	my $mode = rand() < 0.3 ? 'add' : 'mirror';
	my @problems;

	start_links($session, $hubspot, $shape, "verify => '1 second', on_drift => '$mode'");
	drain();
	foreach my $name (sort keys %other)
	{
		$other{$name}->query("SELECT setseed($seed % 1000000 / 1000000.0)");
		$other{$name}->query('SET client_min_messages = error');
	}
	$hubspot->clear_log;
	$other{$_}->send('CALL write(60)') foreach qw(writer1 writer2);
	$other{hand}->send("CALL by_hand(25, @{[ $shape eq 'labels' ? 'true' : 'false' ]})");
	foreach my $name (sort keys %other)
	{
		my (undef, $err) = $other{$name}->finish;
		push @problems, "$name: $err" if $err;
	}
	drain();

	# what was changed back and forth may be contested by now, and the guard may not allow the rest
	passes(3);
	drain();
	$session->query(q{SELECT hs_assoc_repair('links', NULL, 'mirror', 1000)}) if contested() || $mode eq 'add';
	drain();
	my ($removals, @removed) = removed_although_kept($session, $hubspot, $shape);
	$done{removals} += $removals;
	push @problems, unequal($session, $hubspot, $shape, records => 'named'), @removed;
	push @problems, 'dead letters: ' . $session->query('SELECT count(*) FROM hs_assoc_dead_letter') if $session->query('SELECT count(*) FROM hs_assoc_dead_letter') > 0;
	$done{repaired} += $session->query('SELECT sum(all_repaired) FROM hs_assoc_verify_stat');
	return map { "$shape, $mode: $_" } @problems;
}

sub contested { return $session->query('SELECT contested + open > 0 OR held_back IS NOT NULL FROM hs_assoc_verify_stat') eq 't' }
sub drain { return wait_for_empty_outbox($session) }

# So many passes that begin from now on
sub passes
{
	my ($count) = @_;
	foreach my $i (1 .. $count)
	{
		my $now = $session->query('SELECT clock_timestamp()');
		wait_until(sub { $session->query("SELECT coalesce(last_began_at > '$now', false) FROM hs_assoc_verify_stat") eq 't' });
	}
	return;
}
