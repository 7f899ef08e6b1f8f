# More accounts with rows that cannot be sent now than leases that one transaction
# takes: what is behind them is sent nevertheless.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $count = 120;			# more than twice MAX_LEASES of sender.c
my $node = start_node();
my $hubspot = start_simulator();
my ($session, $other) = map { start_session($node) } 1 .. 2;
my @servers = map { sprintf 'a%03d', $_ } 1 .. $count;
create_account($node, $hubspot, name => $_, rate_limit => 0) foreach @servers;

my $n = 0;
foreach my $server (@servers)
{
	$n++;
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT $n AS from_id, $n AS to_id', server => '$server')});
}
$other->query(qq{BEGIN; SELECT id FROM hs_assoc_outbox WHERE server <> '$servers[-1]' FOR UPDATE});
$session->query('CALL hs_assoc_flush()');
is($hubspot->association_count('contacts', 'companies'), 1, 'the one account whose row nobody has locked is served');
is($session->query('SELECT count(*), max(server) FROM hs_assoc_outbox'), ($count - 1) . "|$servers[-2]", 'the others wait');

$other->query('ROLLBACK');
wait_until(sub {
	$session->query('CALL hs_assoc_flush()');
	return $session->query('SELECT count(*) FROM hs_assoc_outbox') eq '0';
});
is($hubspot->association_count('contacts', 'companies'), $count, 'and are served when they can be');
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), '0', 'none has failed');

done_testing;
