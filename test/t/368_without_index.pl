# The index of what is due is there to be fast: without it, or with another one in its
# place, the outbox sends the same.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
my $session = start_session($node);
create_account($node, $hubspot, name => $_, rate_limit => 0) foreach qw(one two);

# servers of other wrappers, and of other owners, say nothing of ours
$session->query('CREATE ROLE stranger; CREATE FOREIGN DATA WRAPPER another; CREATE SERVER another FOREIGN DATA WRAPPER another');
$session->query('GRANT USAGE ON FOREIGN DATA WRAPPER another TO stranger; ALTER SERVER another OWNER TO stranger');

my %indexes = (
	'none' => '',
	'another order' => 'CREATE INDEX ON hs_assoc_outbox (server, role, not_before DESC, id)',
	'another column' => 'CREATE INDEX ON hs_assoc_outbox (server, role, id)',
	'an expression' => 'CREATE INDEX ON hs_assoc_outbox (server, role, (not_before), (id + 0))',
	'the same one again' => 'CREATE INDEX ON hs_assoc_outbox (server, role, not_before, id)');

# Sends all rows of both accounts, and keeps what is not due yet.
sub sends_all
{
	my ($first, $name) = @_;
	my $last = $first + 9;

	foreach my $server (qw(one two))
	{
		$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series($first, $last) AS i', server => '$server')});
	}
	$session->query(qq{UPDATE hs_assoc_outbox SET not_before = now() + interval '1 hour' WHERE from_id = '$last' AND server = 'one'});
	$session->query("CALL hs_assoc_flush(server => '$_')") foreach qw(one two);
	is($session->query('SELECT server, from_id FROM hs_assoc_outbox'), "one|$last", "$name: what is not due is left");
	$session->query('DELETE FROM hs_assoc_outbox');
	is($hubspot->association_count('contacts', 'companies'), 10, "$name: all the others are there");
	$hubspot->reset;
	return;
}

sends_all(1, 'with the index');
my $first = 101;
foreach my $name (sort keys %indexes)
{
	my $old = $session->query(q{SELECT string_agg(indexrelid::regclass::text, ', ') FROM pg_index
		WHERE indrelid = 'hs_assoc_outbox'::regclass AND indexrelid::regclass::text LIKE '%idx'
		AND indexrelid::regclass::text <> 'hs_assoc_outbox_pair_idx'});
	$session->query("DROP INDEX $old") if $old ne '';
	$session->query($indexes{$name}) if $indexes{$name};
	sends_all($first, $name);
	$first += 100;
}

done_testing;
