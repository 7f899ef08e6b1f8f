# What is one pair, and whose: object types by all of their names, roles by their
# logins.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use JSON::PP;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, %options);
my $session = start_session($node);

sub enqueue
{
	my ($operation, $from_type, $from_id, $to_type, $to_id, $role) = @_;
	$session->query(sprintf q{%sSELECT hs_assoc_enqueue('%s', '%s', '%s', $$SELECT '%s' AS from_id, '%s' AS to_id$$)%s},
		$role ? "SET ROLE $role; " : '', $operation, $from_type, $to_type, $from_id, $to_id, $role ? '; RESET ROLE' : '');
	return;
}

sub flush { $session->query('CALL hs_assoc_flush()'); return }

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_type, from_id, to_type, to_id), ', ' ORDER BY id), 'empty')
		FROM hs_assoc_outbox});
}

# What was asked for since the last look, in order
sub paths { my @paths = map { $_->{path} =~ m{/associations/[^/]+/(.*)$} } @{ $hubspot->log }; $hubspot->clear_log; return join ', ', @paths }

sub start_over
{
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff');
	$hubspot->reset;
	return;
}

# Requests for these object types fail, so that the rows wait for another attempt.
sub refuse { $hubspot->rules({ match => { path => $_[0] }, action => { status => 503 } }); return }

sub fail_first
{
	my ($operation, $from_type, $to_type) = @_;
	start_over();
	refuse("/$from_type/$to_type/");
	enqueue($operation, $from_type, 11, $to_type, 12);
	flush();
	$session->query('DELETE FROM hs_assoc_backoff');
	$hubspot->clear_rules;
	$hubspot->clear_log;
	return;
}

# Other object types: not the same pair
fail_first('create_default', 'line_items', 'deals');
enqueue('create_default', 'contacts', 11, 'companies', 12);
flush();
is(outbox(), 'create_default line_items 11 deals 12', 'records of other types with the same ids do not wait');
is($hubspot->association_count('contacts', 'companies'), 1, '... and are sent');

# One pair by other names: the later operation counts
foreach my $names ([ '0-1', '0-2' ], [ 'contact', 'company' ], [ 'CONTACTS', 'Companies' ])
{
	fail_first('create_default', 'contacts', 'companies');
	enqueue('archive', $names->[0], 11, $names->[1], 12);
	flush();
	is(outbox(), 'empty', "@$names: the same pair");
	like(paths(), qr{^[^,]*batch/archive$}, '... whose earlier operation is not sent');
}

# ... in the other direction it waits
fail_first('create_default', 'contacts', 'companies');
enqueue('archive', '0-2', 12, 'contact', 11);
flush();
is(outbox(), 'create_default contacts 11 companies 12, archive 0-2 12 contact 11', 'the other direction, by other names: waits');
is(paths(), '', '... and is not sent');

# Names that are unknown may stand for the same type: one waits for the other, and
# nothing is left out
fail_first('create_default', '2-100', 'contacts');
enqueue('archive', 'p123_cars', 11, 'contacts', 12);
enqueue('create_default', 'p123_cars', 21, 'contacts', 22);
flush();
is(outbox(), 'create_default 2-100 11 contacts 12, archive p123_cars 11 contacts 12', 'custom objects of two names: one waits');
is(paths(), 'p123_cars/contacts/batch/associate/default', '... and others go');
$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
flush() foreach 1, 2;
$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
flush();
is(outbox(), 'empty', '... until it is its turn');
like(paths(), qr{^2-100/contacts/batch/associate/default, p123_cars/contacts/batch/archive$}, '... in order');

# A dead letter ends with a later removal by other names
start_over();
$hubspot->objects({ type => 'companies', missing => ['12'] });
enqueue('create_default', 'contacts', 11, 'companies', 12);
flush();
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 1, 'a dead letter');
enqueue('archive', '0-1', 11, '0-2', 12);
flush();
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, '... ends with a later removal by other names');

done_testing();
