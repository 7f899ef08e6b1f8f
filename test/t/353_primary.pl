# The primary types: by object types and numbers, whatever their labels are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);

# The bodies of the requests since the last look, by their methods and paths; and no look-up of labels among them.
sub requests
{
	my @requests = map { $_->{path} =~ s{.*/2026-03/}{}; "$_->{method} $_->{path} $_->{body}" } @{ $hubspot->log };
	$hubspot->clear_log;
	return @requests;
}

sub types
{
	my (@ids) = @_;
	return '[' . join(',', map { qq({"associationCategory":"HUBSPOT_DEFINED","associationTypeId":$_}) } @ids) . ']';
}

# What a statement says, or its error.
sub told
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$err =~ s/^LOCATION:.*\n?//mg;
	return $err || $out;
}

#
# Each direction, and each way to name the object types
#
my %primary = (
	'contacts,companies' => [ 1, 'Primary' ],
	'companies,contacts' => [ 2, 'Contact with Primary Company' ],
	'deals,companies' => [ 5, 'Primary' ],
	'companies,deals' => [ 6, 'Deal with Primary Company' ],
	'tickets,companies' => [ 26, 'Primary' ],
	'companies,tickets' => [ 25, 'Ticket with Primary Company' ]);
my %names = (
	contacts => [qw(contacts contact 0-1)],
	companies => [qw(companies company 0-2)],
	deals => [qw(deals deal 0-3)],
	tickets => [qw(tickets ticket 0-5)]);

foreach my $direction (sort keys %primary)
{
	my ($from, $to) = split /,/, $direction;
	my ($id, $label) = @{ $primary{$direction} };

	foreach my $i (0 .. 2)
	{
		my ($from_name, $to_name) = ($names{$from}[$i], $names{$to}[ 2 - $i ]);
		is($session->query("SELECT ok, labels FROM hs_assoc_create('$from_name', 1, '$to_name', 2, is_primary => true)"),
			't|' . ($label =~ / / ? qq({"$label"}) : "{$label}"), "$from_name to $to_name");
		is_deeply([requests()], [ "PUT $from_name/1/associations/$to_name/2 " . types($id) ], "$from_name to $to_name: what is sent");
	}
	is($session->query("SELECT type_id, label, is_primary FROM hs_assoc_list('$from', 1, '$to')"), "$id|$label|t", "$direction: list");
	is($session->query("SELECT type_id, label, is_primary FROM hs_assoc_batch_read('$from', '$to', '{1}'::text[])"), "$id|$label|t", "$direction: read");
	is($session->query("SELECT type_id, label, is_primary FROM hs_assoc_labels('$from', '$to') WHERE is_primary"), "$id|$label|t", "$direction: labels");
	$hubspot->reset;
}

# A number is only one's own within its category.
$hubspot->put_label('contacts', 'companies', 'Manager');
is($session->query(q{SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}', 'USER_DEFINED')}), 't', 'a USER_DEFINED type 1');
is($session->query(q{SELECT category, type_id, is_primary FROM hs_assoc_list('contacts', 1, 'companies')}), 'USER_DEFINED|1|f', 'is not the primary one');
is($session->query(q{SELECT bool_or(t.is_primary) FROM hs_assoc_create_default('contacts', 1, 'companies', 2) AS r, unnest(r.types) AS t}), 'f', 'nor is the default one');

#
# Where there are more ways to say it
#
# false and null are as if it weren't given
is($session->query(q{SELECT error_message FROM unnest('{f,NULL}'::bool[]) AS p, hs_assoc_create('contacts', 1, 'companies', 2, is_primary => p)}),
	"there is neither a type_id nor a label\n" . 'there is neither a type_id nor a label', 'false, null: no type');
is($session->query(q{SELECT ok FROM unnest('{f,NULL}'::bool[]) AS p, hs_assoc_create('contacts', 1, 'companies', 2, '{279}', is_primary => p)}), "t\nt", 'false, null: another type');
$hubspot->clear_log;

# a batch: a column, or the argument
is($session->query(q{SELECT input_no, ok, labels, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies', $$
	SELECT * FROM (VALUES (11, 21, true, NULL, NULL), (12, 21, false, 279, NULL), (13, 21, NULL, NULL, 'Manager'), (14, 21, true, 279, NULL),
		(15, 21, true, NULL, 'Manager'), (16, 21, false, NULL, NULL)) AS v (from_id, to_id, is_primary, type_id, label)$$) ORDER BY input_no}),
	join("\n", '1|t|{Primary}||', '2|t|{}||', '3|t|{Manager}||',
		(map { "$_|f||INVALID_INPUT|is_primary is true, but there is a type_id or a label as well" } 4, 5),
		'6|f||INVALID_INPUT|there is neither a type_id nor a label'), 'a column');
like((requests())[-1], qr/POST contacts\/companies\/batch\/create \{"inputs":\[\{"from":\{"id":"11"\},"to":\{"id":"21"\},"types":\Q@{[ types(1) ]}\E\}/, 'what is sent');
foreach my $source (q{'SELECT 31 AS from_id, 41 AS to_id'}, q{'{"(31,41,,,)"}'::hs_assoc_input[]})
{
	is($session->query("SELECT ok, labels FROM hs_assoc_batch_create('contacts', 'companies', $source, is_primary => true)"), 't|{Primary}', "the argument: $source");
	is_deeply([requests()], [ 'POST contacts/companies/batch/create {"inputs":[{"from":{"id":"31"},"to":{"id":"41"},"types":' . types(1) . '}]}' ], 'what is sent');
	is($session->query("SELECT ok FROM hs_assoc_batch_archive_labels('contacts', 'companies', $source, is_primary => true)"), 't', "archive_labels: $source");
	is_deeply([requests()], [ 'POST contacts/companies/batch/labels/archive {"inputs":[{"from":{"id":"31"},"to":{"id":"41"},"types":' . types(1) . '}]}' ], 'what is sent');
}
is($session->query(q{SELECT ok FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 11 AS from_id, 21 AS to_id, true AS is_primary')}), 't', 'archive_labels: a column');
is_deeply($hubspot->associations('contacts', 'companies', from_id => 11), [], 'it is gone');
is($session->query(q{SELECT input_no, error_message FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[('1', '2', '{279}', NULL, NULL), ('1', '2', NULL, 'USER_DEFINED', NULL)]::hs_assoc_input[],
	is_primary => true) ORDER BY 1}), qq(1|is_primary is true, but there is a type_id or a label as well\n2|is_primary is true, but the category is "USER_DEFINED"; the primary type is HUBSPOT_DEFINED), 'the argument, and types in the array');

# the labels that there are stay
is($session->query(q{SELECT labels FROM hs_assoc_create('contacts', 13, 'companies', 21, is_primary => true, keep_labels => true)}), '{Primary,Manager}', 'keep_labels');
is($session->query(q{SELECT string_agg(category || type_id, ' ' ORDER BY category, type_id) FROM hs_assoc_list('contacts', 13, 'companies')}), 'HUBSPOT_DEFINED1 USER_DEFINED1', 'both are there');

#
# What is refused, and how
#
$hubspot->clear_log;
my $none = 'there is one between companies and contacts, deals or tickets, in either direction';
is($session->query(q{SELECT error_category, error_message FROM hs_assoc_create('contacts', 1, 'deals', 2, is_primary => true)}), "INVALID_INPUT|there is no primary type from contacts to deals; $none", 'no primary type');
is($session->query(q{SELECT error_message FROM hs_assoc_create('0-2', 1, '2-77', 2, is_primary => true)}), "there is no primary type from 0-2 to 2-77; $none", 'nor with a custom object');
like(told(q{SELECT hs_assoc_create('companies', 1, 'companies', 2, is_primary => true, on_error => 'raise')}), qr/ERROR:  22023: could not associate.*\nDETAIL:  INVALID_INPUT: there is no primary type from companies to companies; \Q$none\E/, 'as an ERROR');
is($session->query(q{SELECT error_message FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => '{Manager}', is_primary => true)}), 'is_primary is true, but there is a type_id or a label as well', 'besides a label');
is($session->query(q{SELECT error_message FROM hs_assoc_create('contacts', 1, 'companies', 2, '{1}', is_primary => true)}), 'is_primary is true, but there is a type_id or a label as well', 'besides its own number');
is($session->query(q{SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 2, category => 'HUBSPOT_DEFINED', is_primary => true)}), 't', 'with its category');
my %refused = (
	q{hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, true AS is_primary', is_primary => true)} => qr/42611: the query has a column "is_primary", but argument "is_primary" is true\nHINT:  The argument gives all rows/,
	q{hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 3 AS type_id', is_primary => true)} => qr/42611: the query has a column "type_id", but argument/,
	q{hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, ''a'' AS label', is_primary => true)} => qr/42611: the query has a column "label", but argument/,
	q{hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 1 AS is_primary')} => qr/42804: column "is_primary" of the query is of type integer, not boolean\nHINT:  Cast it to boolean/,
	q{hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, true AS is_primary')} => qr/42611: the query has a column "is_primary" that the operation does not know/,
	q{hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', is_primary => true)} => qr/22023: argument "is_primary" is only for operations "create" and "archive_labels"/,
	q{hs_assoc_enqueue('create', 'contacts', 'deals', 'SELECT 1 AS from_id, 2 AS to_id, true AS is_primary')} => qr/22023: could not enqueue input 1: there is no primary type from contacts to deals; \Q$none\E/);
like(told("SELECT * FROM $_"), qr/^(psql:.*?)?ERROR:  $refused{$_}/, $_) foreach sort keys %refused;
is(scalar(grep { !/PUT/ } requests()), 0, 'none of that is sent');

#
# The outbox and tables in sync: the number is stored
#
is($session->query(q{SELECT hs_assoc_enqueue('create', 'deals', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', is_primary => true)}), 1, 'enqueue: the argument');
is($session->query(q{SELECT hs_assoc_enqueue('create', 'companies', 'tickets', 'SELECT n AS from_id, 2 AS to_id, n = 3 AS is_primary, CASE n WHEN 4 THEN 340 END AS type_id FROM generate_series(3, 4) n')}), 2, 'enqueue: a column');
$session->query('CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)); INSERT INTO links VALUES (7, 8)');
like(told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'deals', 'company_id', is_primary => true)}), qr/22023: there is no primary type from contacts to deals; \Q$none\E/, 'sync: no primary type');
like(told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', is_primary => true, type_id => 1)}), qr/22023: only one of the arguments/, 'sync: two types');
like(told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', is_primary => true, category => 'USER_DEFINED')}),
	qr/22023: argument "is_primary" is true, but "category" is "USER_DEFINED"\nHINT:  The primary type is HUBSPOT_DEFINED/, 'sync: another category');
is($session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', is_primary => true, backfill => true)}), 1, 'sync');
is($session->query('SELECT type_id, label, category FROM hs_assoc_sync'), '1||', 'it is a number like any other');
$session->query('INSERT INTO links VALUES (9, 8)');
is($session->query('SELECT operation, from_type, from_id, type_ids, category, labels FROM hs_assoc_outbox ORDER BY id'),
	join("\n", 'create|deals|1|{5}||', 'create|companies|3|{25}||', 'create|companies|4|{340}||', 'create|contacts|7|{1}||', 'create|contacts|9|{1}||'), 'what is enqueued');
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_outbox') + $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'all is sent');
is($session->query(q{SELECT type_id FROM hs_assoc_list('deals', 1, 'companies')}), 5, 'a deal');
is($session->query(q{SELECT type_id FROM hs_assoc_list('companies', 3, 'tickets')}), 25, 'a ticket');
is($session->query(q{SELECT string_agg(from_id, ' ' ORDER BY from_id) FROM hs_assoc_batch_read('contacts', 'companies', '{7,9}'::text[]) WHERE is_primary}), '7 9', 'contacts');
$session->query('DELETE FROM links');
$session->query('CALL hs_assoc_flush()');
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies', '{7,9}'::text[]) WHERE is_primary}), 0, 'and no longer');

done_testing();
