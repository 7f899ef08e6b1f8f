# The whole way once: a server, an account, a call, and what HubSpot then holds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot);

my $session = start_session($node);
is( $session->query(
		q{SELECT ok, http_status
		FROM hs_assoc_create_default('contacts', 101, 'companies', 9001)}),
	't|200',
	'a call is confirmed');
is_deeply(
	[ map { "$_->{from_id}-$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } ],
	['101-9001'],
	'HubSpot holds the association');
is($hubspot->log_count('/associations/default/'), 1, 'one request was sent');

$session->quit;
done_testing();
