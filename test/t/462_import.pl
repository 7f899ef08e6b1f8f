# IMPORT FOREIGN SCHEMA: which tables it makes, of which object types, and what it refuses.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query(q{CREATE SCHEMA hs; CREATE SCHEMA "Other ""one"""});
$hubspot->schema({ type => '2-77', name => 'machine', singular => 'Machine', plural => 'Machines' });
$hubspot->generate_associations('contacts', 'companies', { count => 9, per_from => 2 });

imports('LIMIT TO (contacts_companies, line_items_deals)', 0, "contacts_companies contacts companies\nline_items_deals line_items deals", 'named ones');
is($session->query("SELECT to_id, type_id FROM hs.contacts_companies WHERE from_id = '2' ORDER BY to_id"), "3|279\n4|279", '... which can be read');
is($session->query("SELECT string_agg(attname || ' ' || atttypid::regtype || CASE WHEN attnotnull THEN '!' ELSE '' END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'hs.contacts_companies'::regclass AND attnum > 0"),
	'from_id text!, to_id text!, category text, type_id integer, label text', '... and its columns');
imports('', 1, join("\n", sort 'labels ', 'object_types ', map { my $f = $_; map { my $t = $_; ($f =~ s/2-77/machine/r) . '_' . ($t =~ s/2-77/machine/r) . " $f $t" } qw(contacts companies deals tickets 2-77) } qw(contacts companies deals tickets 2-77)), 'all');
imports('EXCEPT (contacts_contacts, machine_machine)', 1, qr/^companies_companies companies companies\n(?!.*(contacts_contacts|machine_machine))(.*\n){23}.*$/s, 'all but some');
imports('LIMIT TO (contacts_machine)', 1, 'contacts_machine contacts 2-77', "the account's own");
imports(q{LIMIT TO (contacts_companies) OPTIONS (ids 'bigint', types 'false', rows_per_key '2')}, 0, 'contacts_companies contacts companies', 'with options', 'keep');
is($session->query("SELECT from_id + 1, to_id FROM hs.contacts_companies WHERE from_id = 2 ORDER BY to_id"), "3|3\n3|4", '... as they say');
is($session->query(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'hs.contacts_companies'::regclass AND attnum > 0}), '2', '... without types');

fails('IMPORT FOREIGN SCHEMA hubspt FROM SERVER hubspot INTO hs', qr/HV00Q: schema "hubspt" is not present.*The one schema of an account is "hubspot"/s, 'another schema');
fails('IMPORT FOREIGN SCHEMA hubspot LIMIT TO (contact_companies) FROM SERVER hubspot INTO hs', qr/HV00R: schema "hubspot" has no table "contact_companies".*Perhaps you meant "contacts_companies"/s, 'a misspelt table');
fails('IMPORT FOREIGN SCHEMA hubspot LIMIT TO (everything) FROM SERVER hubspot INTO hs', qr/has no table "everything".*two object types in the plural/s, 'no table');
fails(q{IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs OPTIONS (id 'text')}, qr/HV00D: invalid option "id"/, 'another option');
fails(q{IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs OPTIONS (type 'true')}, qr/Perhaps you meant the option "types"/, 'a misspelt option');
fails(q{IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs OPTIONS (ids 'int')}, qr/invalid value for option "ids": "int".*"text" or "bigint"/s, 'a type');
fails(q{IMPORT FOREIGN SCHEMA hubspot LIMIT TO (deals_contacts) FROM SERVER hubspot INTO hs OPTIONS (writes 'no')}, qr/invalid value for option "writes": "no"/, 'a word');
fails(q{IMPORT FOREIGN SCHEMA hubspot LIMIT TO (deals_contacts) FROM SERVER hubspot INTO hs OPTIONS (rows_per_key '0')}, qr/invalid value for option "rows_per_key": "0"/, 'a number');
is($session->query(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'hs'::regnamespace AND relkind = 'f'}), '1', '... and nothing is made');

imports('LIMIT TO (labels, object_types)', 0, "labels \nobject_types ", 'what the account defines');
imports('EXCEPT (labels, object_types)', 1, qr/^(?!.*object_types)companies_companies/s, '... or all but that');

# Two that are called alike
$hubspot->schema({ type => '2-90', name => 'machine', singular => 'M', plural => 'M' });
$hubspot->schema({ type => '2-91', name => 'deals', singular => 'M', plural => 'M' });
imports('', 1, qr/\n2-90_contacts 2-90 contacts\n.*\n2-91_contacts 2-91 contacts\n.*\ndeals_contacts deals contacts\n.*\nmachine_contacts 2-77 contacts\n/s, 'object types of one name: one by its id');
$hubspot->control('DELETE', "/schemas?type=$_") foreach qw(2-90 2-91);

# A name that would be SQL, and a token that may not list objects
$hubspot->schema({ type => '2-78', name => 'a_b', singular => 'A', plural => 'B' });
imports('LIMIT TO (a_b_contacts)', 1, 'a_b_contacts 2-78 contacts', 'a name with an underscore');
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 200, body => { results => [ { objectTypeId => '2-79', name => 'x"; DROP', fullyQualifiedName => qq{p1_x" (); DROP SCHEMA hs CASCADE; --}, labels => {} } ] } } });
imports(q{LIMIT TO ("x"" (); DROP SCHEMA hs CASCADE; --_contacts")}, 1, 'x" (); DROP SCHEMA hs CASCADE; --_contacts 2-79 contacts', 'a hostile name');
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 200, body => { results => [ { objectTypeId => q{2-79'); DROP SCHEMA hs; --}, name => 'x', labels => {} } ] } } });
fails('IMPORT FOREIGN SCHEMA hubspot LIMIT TO (x_contacts) FROM SERVER hubspot INTO hs', qr/ERROR/, 'a hostile id');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } } });
$session->query('DROP SCHEMA hs CASCADE; CREATE SCHEMA hs');
like($session->told('IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs'), qr/WARNING:  42501: custom objects are left out.*crm\.schemas\.custom\.read/s, 'a token that may not list custom objects: a WARNING');
is($session->query(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'hs'::regnamespace AND relkind = 'f'}), '18', '... and the others are made');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 500 } });
fails('IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs', qr/could not list the custom objects/, 'HubSpot fails');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'schemas' }, action => { status => 200, body => { results => 7 } } });
fails('IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs', qr/08P01: could not list the custom objects.*the answer is not a list of object types/s, 'an answer that is none');
$hubspot->clear_rules;
$session->query('CREATE ROLE nobody');
$session->query('GRANT CREATE, USAGE ON SCHEMA hs TO nobody; SET ROLE nobody');
fails('IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO hs', qr/42501: permission denied for foreign server hubspot/, 'a role without USAGE');

$session->quit;
done_testing();

# The tables that are made, with their options, and for how many requests
sub imports
{
	my ($what, $requests, $expected, $name, $keep) = @_;
	my ($list, $options) = $what =~ /^(.*?)\s*(OPTIONS.*)?$/;
	$session->query('DROP SCHEMA hs CASCADE; CREATE SCHEMA hs');
	my $count = $hubspot->stats->{requests};
	$session->query("SET client_min_messages = error; IMPORT FOREIGN SCHEMA hubspot $list FROM SERVER hubspot INTO hs " . ($options // '') . '; RESET client_min_messages');
	is($hubspot->stats->{requests} - $count, $requests, "$name: $requests requests");
	my $got = $session->query(q{SELECT relname || ' ' || coalesce((SELECT string_agg(substr(o, strpos(o, '=') + 1), ' ' ORDER BY o) FROM unnest(ftoptions) o WHERE o ~ '_type='), '')
		FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = 'hs'::regnamespace});
	$got = join "\n", sort split /\n/, $got;
	ref $expected ? like($got, $expected, $name) : is($got, $expected, $name);
	return;
}

sub fails { my ($sql, $error, $name) = @_; return like($session->told($sql), $error, "refused: $name") }
