# What is one pair, and whose: object types by all of their names, roles by their
# logins.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
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
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff, hs_assoc_doubt');
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
	$session->query(q{DELETE FROM hs_assoc_backoff; DELETE FROM hs_assoc_doubt; UPDATE hs_assoc_outbox SET not_before = now() + interval '1 h'});
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

#
# Two roles with logins of two HubSpot accounts on one server
#
$session->query(q{CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol;
	GRANT USAGE ON FOREIGN SERVER hubspot TO alice, bob, carol;
	CREATE USER MAPPING FOR alice SERVER hubspot OPTIONS (access_token 'alice-token')});

sub association_count { return $hubspot->association_count('contacts', 'companies', $_[0] ? (token => $_[0]) : ()) }

sub roles
{
	start_over();
	$hubspot->account({ token => 'alice-token' });
	return;
}

roles();
enqueue('create_default', 'contacts', 11, 'companies', 12, 'alice');
enqueue('archive', 'contacts', 11, 'companies', 12, 'bob');
enqueue('create_default', 'contacts', 21, 'companies', 22, 'bob');
enqueue('archive', 'contacts', 21, 'companies', 22, 'alice');
flush();
is(outbox(), 'empty', 'two logins: all is sent, and neither waits for the other');
is(association_count('alice-token') . association_count(), '11', '... and nothing is left out because of the other');

# ... one of which HubSpot refuses: it neither loses its rows nor overrides
roles();
enqueue('create_default', 'contacts', 21, 'companies', 22, 'bob');
$hubspot->rules({ match => { token => 'alice-token' }, action => { status => 401 } });
enqueue('create_default', 'contacts', 31, 'companies', 32, 'alice');
enqueue('archive', 'contacts', 21, 'companies', 22, 'alice');
enqueue('create_default', 'contacts', 31, 'companies', 32, 'bob');
flush();
is(association_count(), 2, 'a login is refused: another one is served, also after it on the same pair');
is(outbox(), 'create_default contacts 31 companies 32, archive contacts 21 companies 22', '... and its own rows wait');

# The same login, but not the privilege to use it: what cannot be sent overrides
# nothing that can
roles();
enqueue('create_default', 'contacts', 41, 'companies', 42, 'carol');
$session->query('REVOKE USAGE ON FOREIGN SERVER hubspot FROM carol');
flush();
is($session->query('SELECT role, failures FROM hs_assoc_backoff'), 'carol|1', 'the same login, without USAGE: it waits');
enqueue('create_default', 'contacts', 51, 'companies', 52, 'bob');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	VALUES ('hubspot', 'carol', 'archive', 'contacts', '51', 'companies', '52')});
enqueue('archive', 'contacts', 41, 'companies', 42, 'bob');
flush();
is(association_count(), 1, '... and overrides nothing');
is(outbox(), 'archive contacts 51 companies 52', '... but is overridden by one that can be sent');

# A dead letter of another login stays, and is still to be retried
roles();
$hubspot->rules({ match => { token => 'alice-token' }, action => { status => 400 } });
enqueue('create_default', 'contacts', 11, 'companies', 12, 'alice');
flush();
enqueue('archive', 'contacts', 11, 'companies', 12, 'bob');
flush();
is($session->query('SELECT role FROM hs_assoc_dead_letter'), 'alice', 'a dead letter of another login stays');
$hubspot->clear_rules;
enqueue('archive', 'contacts', 11, 'companies', 12, 'alice');
flush();
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, '... until one of its own comes');

# Thousands of rows of one pair, none of which overrides another: each is compared with a few
start_over();
sub tuples_read
{
	$session->query('SELECT pg_stat_force_next_flush()');
	return $session->query(q{SELECT pg_stat_get_tuples_returned('hs_assoc_outbox_pair_idx'::regclass)});
}
$hubspot->rules({ action => { status => 503 } });
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id, i AS type_id FROM generate_series(1, 4000) i')});
my $before = tuples_read();
flush();
my $read = tuples_read() - $before;
cmp_ok($read, '<', 400_000, "4,000 rows of one pair: $read looks at others");
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 4000, '... none of which is lost');
$hubspot->clear_rules;
$session->query('DELETE FROM hs_assoc_outbox WHERE id > (SELECT min(id) + 199 FROM hs_assoc_outbox);
	TRUNCATE hs_assoc_backoff, hs_assoc_doubt; UPDATE hs_assoc_outbox SET not_before = now()');
enqueue('archive', 'contacts', 1, 'companies', 2);
$hubspot->clear_log;
flush();
is(outbox(), 'empty', 'rows that are far before one that overrides them: all are done');
like(paths(), qr{^(contacts/companies/batch/create, ){1,5}contacts/companies/batch/archive$}, '... few of them are sent, and it is the last one');

done_testing();
