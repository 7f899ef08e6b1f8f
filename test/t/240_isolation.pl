
# An account that is stalled, refused, unreachable or parked holds back no other:
# beside all of these, single rows of a healthy account leave at once.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);

# How many single rows are committed, and the time between two.  There are more
# of them than the account may send requests in 10 seconds, all within these.
my $rows = 300;
my $interval = 0.02;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	log_statement => 'none');
my $hubspot = start_simulator(latency => 20);

# All of them at the same rate as by default.
my %accounts = (
	healthy => { sent_retention => '1h' },
	stalled => { request_timeout => patience(60) . 's' },
	refused => {},
	parked => {},
	unreachable => { base_url => 'http://127.0.0.1:1' });
foreach my $name (sort keys %accounts)
{
	create_account($node, $hubspot, %{ $accounts{$name} }, name => $name, token => "$name-token");
	$hubspot->account({ token => "$name-token" }) unless $name eq 'refused';
}
$hubspot->rules([
	{ match => { token => 'stalled-token' }, action => { hang => Cpanel::JSON::XS::true } },
	{ match => { token => 'parked-token' }, action => { status => 429, headers => { 'Retry-After' => '30' } } } ]);

my $session = start_session($node);
sub waiting { return $session->query("SELECT count(*) FROM hs_assoc_outbox WHERE server = '$_[0]'") }

foreach my $name (sort keys %accounts)
{
	$session->query(qq{
		CREATE TABLE link_$name (contact bigint, company bigint, PRIMARY KEY (contact, company));
		SELECT hs_assoc_enable_sync('link_$name', 'contacts', 'contact', 'companies', 'company', server => '$name')});
}

# The others have something to send all the time.
sub disturb
{
	my ($number) = @_;
	foreach my $name (grep { $_ ne 'healthy' } sort keys %accounts)
	{
		$session->query("INSERT INTO link_$name SELECT 1 + $number, i FROM generate_series(1, 100) i");
	}
	return;
}

sub stalled { return $hubspot->stats(token => 'stalled-token')->{requests} }

disturb(0);
wait_until(sub {
	return stalled() > 0
	  && $session->query(q{SELECT count(*) FROM hs_assoc_backoff WHERE server IN ('refused', 'unreachable')}) == 2
	  && $session->query(q{SELECT count(*) FROM hs_assoc_throttle() WHERE server = 'parked' AND parked_until > now() + '25 s'}) == 1;
});
is($session->query(q{SELECT in_flight FROM hs_assoc_lease WHERE server = 'stalled'}), 100, 'stalled: in flight');
like($session->query(q{SELECT http_status FROM hs_assoc_backoff WHERE server = 'refused'}), qr/^401$/, 'refused: 401');
like($session->query(q{SELECT error_message FROM hs_assoc_backoff WHERE server = 'unreachable'}), qr/could not reach/, 'unreachable');
is($session->query(q{SELECT count(*) FROM hs_assoc_backoff WHERE server = 'parked'}), 0, 'parked: for as long as HubSpot has said');

my $start = time;
foreach my $i (1 .. $rows)
{
	$session->query("INSERT INTO link_healthy VALUES ($i, $i)");
	disturb($i) if $i % 100 == 0;
	sleep $interval;
}
wait_until(sub { waiting('healthy') == 0 });
my $took = time - $start;
is(stalled(), 1, 'the stalled request is the same one still');
is($hubspot->association_count('contacts', 'companies', token => 'healthy-token'), $rows, 'healthy: all are there');

# Without pacing the rate's 100 requests would be gone after a few seconds, and
# rows would wait until these are 10 seconds old.
my ($p50, $p99, $most) = $session->query(q{
	SELECT percentile_disc(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY ms) FROM (
		SELECT round(1000 * extract(epoch FROM sent_at - enqueued_at)) AS ms
		FROM hs_assoc_sent WHERE server = 'healthy') AS delays}) =~ /(\d+)/g;
note "healthy, from commit to sent: median $p50 ms, 99th percentile $p99 ms, at most $most ms";
cmp_ok($most, '<', patience(4000), 'healthy: the rate is spread over the rows');
my $requests = $hubspot->stats(token => 'healthy-token')->{requests};
note sprintf 'healthy: %d requests for %d rows in %.1f s', $requests, $rows, $took;
cmp_ok($requests, '<=', 12 * max(10, $took), 'healthy: and kept');

foreach my $name (qw(stalled refused unreachable parked))
{
	is($session->query("SELECT count(*), max(attempts) FROM hs_assoc_outbox WHERE server = '$name'"),
		(1 + int($rows / 100)) * 100 . '|0', "$name: all rows wait, and are not charged");
}
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'no dead letters');

# When they are well again, all goes out.
$hubspot->clear_rules;
$hubspot->account({ token => 'refused-token' });
$session->query(qq{ALTER SERVER unreachable OPTIONS (SET base_url '@{[ $hubspot->url ]}')});
$session->query("SELECT hs_assoc_resume('$_')") foreach qw(refused unreachable);
wait_until(sub { waiting($_) == 0 }) foreach qw(refused unreachable);
is($hubspot->association_count('contacts', 'companies', token => "$_-token"), (1 + int($rows / 100)) * 100,
	"$_: all is sent when it is well") foreach qw(refused unreachable);
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'no dead letters then, either');

$node->stop;
done_testing();
