# Workers and servers are killed while they compare a table with HubSpot and put it right:
# no difference is lost, and none is repaired twice.
#
# KILLS=n makes so many.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(usleep);

my $kills = $ENV{KILLS} // max(4, int(20 / ($ENV{TEST_SLOWDOWN} // 1)));
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', restart_after_crash => 'on');
my $hubspot = start_simulator(latency => 3);
create_account($node, $hubspot, rate_limit => 0, max_retries => 2, max_retry_delay => '20ms');

# The server may be starting, or be about to crash.
sub ask
{
	my ($sql) = @_;
	my $out;
	wait_until(sub { my ($status, $stdout) = eval { $node->psql('postgres', $sql) }; $out = $stdout; defined $status && $status == 0 });
	return $out;
}

sub worker { return ask(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' LIMIT 1}) }
sub held { return join "\n", sort map { "$_->{from_id},$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } }
sub wanted { return ask(q{SELECT string_agg(f || ',' || t, E'\n' ORDER BY (f || ',' || t) COLLATE "C") FROM links}) }

sub kill_something
{
	my ($kind) = @_;
	my $pid = $kind < 2 ? worker() : 0;

	if ($kind > 1)
	{
		$node->stop($kind == 2 ? 'immediate' : 'fast');
		$node->start;
	}
	elsif (!$pid) { return 0 }
	elsif ($kind == 0) { ask("SELECT pg_terminate_backend($pid)") }
	else { kill 'KILL', $pid }
	return 1;
}

ask(q{SET client_min_messages = error; CREATE TABLE links (f int, t int, PRIMARY KEY (f, t));
	INSERT INTO links SELECT 1000 + i, 9000 + i % 7 FROM generate_series(1, 2500) i;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', backfill => true, verify => '1 second', on_drift => 'mirror')});
wait_until(sub { ask('SELECT count(*) FROM hs_assoc_outbox') == 0 });
my $wanted = wanted();
is(held(), $wanted, 'HubSpot has the table');

my $seed = $ENV{SEED} || int(rand(2**31));
note("SEED=$seed");
srand($seed);
my ($made, $killed, $right) = (0, 0, 0);
foreach my $i (1 .. $kills)
{
	# other records each time, at the beginning and at the end of the table, or a pair were contested
	my @records = map { (1000 + 10 * $i + $_, 3500 - 10 * $i - $_) } 1 .. 3;
	$hubspot->put_associations('contacts', 'companies', [ map { [ $_, 9100 ] } @records ]);
	ask(qq{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT f AS from_id, t AS to_id FROM links WHERE f IN (@{[ join ',', map { $_ + 3 } @records ]})')});
	$made += 2 * @records;
	usleep(rand 1_500_000);
	$killed += kill_something($i % 4);
	usleep(rand 300_000);
	$killed += kill_something(1) if $i % 5 == 0;
	wait_until(sub { held() eq $wanted && ask('SELECT count(*) FROM hs_assoc_outbox') == 0 });
	$right++ if ask('SELECT all_repaired FROM hs_assoc_verify_stat') == $made;
}
is($right, $kills, "$killed kills: each difference was put right, and once");
is(ask('SELECT all_repaired FROM hs_assoc_verify_stat'), $made, "$made in all");
is(ask('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was refused');
is(ask(q{SELECT count(*) FROM hs_assoc_drift_log WHERE repairs > 1 OR state = 'contested'}), 0, 'nothing was repaired again');
is(wanted(), $wanted, 'the table is what it was');

done_testing();
