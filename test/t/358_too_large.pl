
# Requests that are too large (413): the size that passes is found in a few
# requests, and kept to from then on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
my %options = (max_retries => 0, rate_limit => 0);

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'alone', concurrency => 1);
my $session = start_session($node);

# What a pair takes of a body, with its comma, and what all of them have around them
my %row = (
	hs_assoc_batch_create_default => '{"from":{"id":"1000001"},"to":{"id":"5000001"}},',
	hs_assoc_batch_create => '{"from":{"id":"1000001"},"to":{"id":"5000001"},"types":'
	  . '[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":279}]},',
	hs_assoc_batch_archive => '{"from":{"id":"1000001"},"to":[{"id":"5000001"}]},');
my $around = length('{"inputs":[]}');

# Sends so many rows; how many are ok, and the requests.
sub send_rows
{
	my ($operation, $count, $server) = @_;
	my $columns = $operation eq 'hs_assoc_batch_create' ? ', 279 AS type_id' : '';

	$hubspot->clear_log;
	my $ok = $session->query(
		"SELECT count(*) FILTER (WHERE ok) FROM $operation('contacts', 'companies',
			'SELECT 1000000 + i AS from_id, 5000000 + i AS to_id$columns FROM generate_series(1, $count) AS i', server => '$server')");
	return ($ok, $hubspot->log_count);
}

foreach my $operation (sort keys %row)
{
	my $most = $operation =~ /archive/ ? 100 : 2000;

	foreach my $room (map { int($_ * $most) } 0.999, 0.55, 0.35, 0.1)
	{
		foreach my $server (qw(alone hubspot))
		{
			my $name = "$operation, room for $room, $server";
			my $count = 20 * $most;

			$hubspot->reset;
			$hubspot->settings({ max_body_bytes => $room * length($row{$operation}) + $around });
			my ($ok, $requests) = send_rows($operation, $count, $server);
			my $needed = $count / $room;

			is($ok, $count, "$name: all are done");
			# what several have in flight is refused at a time
			cmp_ok($requests, '<=', 1.15 * $needed + ($server eq 'alone' ? 12 : 50),
				sprintf '%s: %d requests, where %.0f can be enough', $name, $requests, $needed);
		}
	}
}

# Not even one passes
foreach my $count (20, 2000, 6000)
{
	$hubspot->reset;
	$hubspot->settings({ max_body_bytes => 10 });
	my ($ok, $requests) = send_rows('hs_assoc_batch_create_default', $count, 'alone');
	is($ok, 0, "no room for one of $count: none is done");
	cmp_ok($requests, '<=', 50 + 6 * $count / 2000, "no room for one of $count: $requests requests");
}
is($session->query(
	q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT 1000000 + i AS from_id, 5000000 + i AS to_id FROM generate_series(1, 2000) AS i')
	WHERE error_category = 'HTTP_413'}), 2000, 'no room for one: each row has the error');

# None passes at first, so that it looks as if none could: those that were not sent then are.
foreach my $first (6 .. 9)
{
	$hubspot->reset;
	$hubspot->rules({ match => { first => $first }, action => { status => 413 } });
	my ($ok, $requests) = send_rows('hs_assoc_batch_create_default', 60, 'alone');
	is($ok, 60 - grep({ $_->{inputs} == 1 && $_->{status} == 413 } @{ $hubspot->log }), "the first $first don't pass: all but those that were refused alone are done");
	is($hubspot->association_count('contacts', 'companies'), $ok, "the first $first don't pass: and held");
	cmp_ok($requests, '<=', $first + 40, "the first $first don't pass: $requests requests");
}

# A firewall that dislikes one row says the same, and is no reason to send all others in small requests.
$hubspot->reset;
$hubspot->rules({ match => { id => '1000777' }, action => { status => 413 } });
{
	my ($ok, $requests) = send_rows('hs_assoc_batch_create_default', 40_000, 'alone');
	is($ok, 39_999, 'one row of 40,000 is disliked: the others are done');
	cmp_ok($requests, '<=', 20 + 40, "one row of 40,000 is disliked: $requests requests");
}

# The outbox, whose rounds are of 10,000 rows, remembers it from one to the next.
$hubspot->reset;
$hubspot->settings({ max_body_bytes => 300 * length($row{hs_assoc_batch_create_default}) + $around });
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT 1000000 + i AS from_id, 5000000 + i AS to_id FROM generate_series(1, 40000) AS i')});
$hubspot->clear_log;
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, 'outbox: all is sent');
{
	my $requests = $hubspot->log_count;
	my $refused = grep { $_->{status} == 413 } @{ $hubspot->log };

	is($hubspot->association_count('contacts', 'companies'), 40_000, 'outbox: and done');
	cmp_ok($requests, '<=', 1.25 * 40_000 / 300 + 40, "outbox: $requests requests");
	cmp_ok($refused, '<=', 40, "outbox: $refused of them were too large");
}

# It has become less since.
$hubspot->reset;
$hubspot->settings({ max_body_bytes => 120 * length($row{hs_assoc_batch_create_default}) + $around });
foreach my $turn (1 .. 4)
{
	# of each operation it is remembered
	my $operation = $turn < 3 ? 'create_default' : 'create';
	my $columns = $turn < 3 ? '' : ', 279 AS type_id';
	my $room = 120 * length($row{hs_assoc_batch_create_default}) / length($row{"hs_assoc_batch_$operation"});

	$session->query(qq{SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies',
		'SELECT 1000000 + i AS from_id, 5000000 + i AS to_id$columns FROM generate_series(1, 8000) AS i')});
	$hubspot->clear_log;
	$session->query('CALL hs_assoc_flush()');
	my $requests = $hubspot->log_count;
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, "outbox, a smaller size, turn $turn: all is sent");
	cmp_ok($requests, '<=', 1.25 * 8000 / $room + ($turn % 2 == 1 ? 60 : 10), "outbox, a smaller size, turn $turn: $requests requests");
}
is($hubspot->association_count('contacts', 'companies'), 8000, 'outbox, a smaller size: and done');

$session->quit;
done_testing();
