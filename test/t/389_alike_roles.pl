# What a sender's process has learned of the inputs of one role, all of which were refused,
# holds up no other role, though both use the account by PUBLIC's user mapping.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, max_retries => 0, rate_limit => 0, batch_size => 100);
$node->safe_psql('postgres', 'CREATE ROLE eve; CREATE ROLE bob; GRANT USAGE ON FOREIGN SERVER hubspot TO eve, bob');
my $session = start_session($node);

# As the role: pairs of so many contacts, from the first one on
sub enqueue
{
	my ($role, $first, $count) = @_;
	$session->query("SET ROLE $role; SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
		'SELECT i AS from_id, i AS to_id, 279 AS type_id FROM generate_series($first, @{[ $first + $count - 1 ]}) i')");
	$session->query('RESET ROLE');
	return;
}

# Contacts from 100,001 on are not there, and HubSpot names none of them.
$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } 100_001 .. 103_000 ] });
$hubspot->settings({ bad_batch => 'unnamed' });
enqueue('eve', 100_001, 3000);
$session->query('CALL hs_assoc_flush()');
my $unsent = $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE role = 'eve'::regrole AND error_category = 'NOT_SENT'});
cmp_ok($unsent, '>', 1000, "eve: $unsent rows are not sent after the others were refused");

# As many requests as bob's rows fill, and he doesn't learn of hers
$hubspot->clear_log;
enqueue('bob', 1, 500);
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE role = 'bob'::regrole}), 0, 'bob: none of his rows waits');
is($hubspot->association_count('contacts', 'companies'), 500, '... all are done');
is($hubspot->log_count, 5, '... in as many requests as they fill');

# Her own have the benefit of it.
$hubspot->clear_log;
$session->query(q{UPDATE hs_assoc_outbox SET not_before = clock_timestamp()});
$session->query('CALL hs_assoc_flush()');
cmp_ok($hubspot->log_count, '<=', 5, 'eve: hardly any of her rows is tried again');
cmp_ok($session->query('SELECT count(*) FROM hs_assoc_outbox'), '>', 1000, '... they wait');

$session->quit;
done_testing();
