# What a session keeps of keys, when it has had more statements, properties, keys, or rows of
# one key than it can count: it asks HubSpot again, and takes nothing for something else.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, concurrency => 64);
my $session = start_session($node);
$session->query('SET client_min_messages = warning');

sub put_contact { my ($id, $email) = @_; $hubspot->put_records(contacts => [ { id => $id, properties => { email => $email } } ]); return }

# What a query returns, and how many requests for keys it makes
sub with_lookups
{
	my ($sql) = @_;
	$hubspot->clear_log;
	my $result = $session->query($sql);
	return "$result; " . (grep { ($_->{path} // '') =~ m{objects/.*/(batch/read|search)$} } @{ $hubspot->log }) . ' look-ups';
}

sub create { my ($email) = @_; return "SELECT ok, error_category, from_record FROM hs_assoc_create_default('contacts:email', '$email', 'companies', '201')" }

# Calls on the keys of numbers from 1 to $last; what they are made of, for SQL and for the simulator
my $long = 'x' x 970;
sub keys_of { my ($last, $key) = @_; return "hs_assoc_batch_create_default('contacts:email', 'companies', \$\$ SELECT $key AS from_id, i AS to_id FROM generate_series(1, $last) i \$\$)" }
sub long_key { return qq{'$long' || i || '\@example.com'} }

sub kept
{
	return $session->query(q{SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name = 'hubspot_assoc kept keys'});
}

#
# More keys than are kept: the ones that were needed last are
#
$hubspot->generate_records(contacts => { count => 8050, first_id => 1000, properties => { email => "${long}{n}\@example.com" } });
is(with_lookups('SELECT count(*) FROM ' . keys_of(8050, long_key()) . ' WHERE ok'), '8050; 81 look-ups', '8,050 long keys');
cmp_ok(kept(), '<', 9 * 1024 * 1024, '... of which as many are kept as take 8 MB');
is(with_lookups(create("${long}8050\@example.com")), 't||9049; 0 look-ups', '... the last ones');
is(with_lookups(create("${long}1\@example.com")), 't||1000; 1 look-ups', '... not the first ones');

# Short ones of a property that there is not, which nobody is asked for but the first
is(with_lookups(q{SELECT count(*) FROM hs_assoc_batch_create_default('companies:doman', 'contacts', $$ SELECT i AS from_id, 1 AS to_id
	FROM generate_series(1, 250000) i $$) WHERE error_category = 'NOT_SENT'}), '250000; 2 look-ups', '250,000 short keys');
cmp_ok(kept(), '<', 9 * 1024 * 1024, '... of which none is kept');

#
# More statements than are counted
#
put_contact(900101, 'ann@example.com');
is(with_lookups(create('ann@example.com')), 't||900101; 1 look-ups', 'a key is found');
# there are places between those keys that are needed for long, and others
is($session->query('SELECT count(*), count(from_record) FROM '
	  . keys_of(12_000, q{CASE WHEN i % 50 = 0 THEN 'ann@example.com' ELSE repeat('y', 500 + i % 490) || i END})),
	'12000|240', '12,000 keys of several lengths');
is(with_lookups(create('ann@example.com')), 't||900101; 0 look-ups', '... and it is known');
is($session->query('SELECT error_category, count(*) FROM ' . keys_of(60, q{'late' || i || '@example.com'}) . ' GROUP BY 1'), 'RECORD_NOT_FOUND|60', '60 keys have no record');
put_contact(500 + $_, "late$_\@example.com") foreach 1 .. 60;
$session->query(q{DO $$ BEGIN FOR i IN 1 .. 4065 LOOP
	PERFORM hs_assoc_batch_create_default('contacts:email', 'companies', 'SELECT 1 AS from_id, 1 AS to_id WHERE false');
	END LOOP; END $$});
# one of these statements has the number of the one that found nothing
is(join(' ', grep { $session->query(create("late$_\@example.com")) ne 't||' . (500 + $_) } 1 .. 60), '', '... until they have some, 4,095 statements later');
is(with_lookups(create('ann@example.com')), 't||900101; 0 look-ups', 'the key that was found is still known');

#
# More properties than are remembered
#
$hubspot->settings({ not_unique => 'plain' });
$hubspot->property({ type => 'deals', name => 'sku' });
foreach my $type (map { "2-$_" } 1 .. 64)
{
	$hubspot->property({ type => $type, name => 'code', unique => \1 });
	$hubspot->put_records($type => [ { id => 401, properties => { code => 'C1' } } ]);
}
$hubspot->put_records(deals => [ { id => 301, properties => { sku => 'S1' } } ]);
sub by_code { my ($n) = @_; return $session->query("SELECT record_id FROM hs_assoc_resolve('2-$n:code', '{C1}'::text[])") }
my $by_sku = q{SELECT record_id FROM hs_assoc_resolve('deals:sku', '{S1}'::text[])};
is(with_lookups($by_sku), '301; 2 look-ups', 'a property that has to be searched for');
is(with_lookups($by_sku), '301; 1 look-ups', '... which is remembered');
is(join(' ', grep { by_code($_) ne '401' } 1 .. 63), '', '... like 63 others');
is(with_lookups($by_sku), '301; 1 look-ups', '... beside these');
is(by_code(64), 401, 'one more');
is(with_lookups($by_sku), '301; 2 look-ups', '... and the first one is learned again');

#
# More rows that wait for one key than are counted: those that were sent with the record
# that an earlier statement has found, and that is another one by now
#
$session->query(q{ALTER SERVER hubspot OPTIONS (SET concurrency '63')});
is(with_lookups(create('ann@example.com')), 't||900101; 1 look-ups', 'the first key');
$hubspot->delete_records('contacts', id => '900101');
put_contact(102, 'ann@example.com');
$hubspot->rules([
	{ match => { path => 'associations/.*contacts/companies/batch', id => '900101' }, action => { status => 400, delay_ms => 1500,
			body => { status => 'error', category => 'VALIDATION_ERROR', message => 'There is no such contact', context => { fromObjectId => ['900101'] } } } },
	{ match => { path => 'contacts/batch/read' }, action => { delay_ms => 1500 } } ]);
is(with_lookups('SELECT from_record, count(*) FROM ' . keys_of(80_000, q{'ann@example.com'}) . ' WHERE ok GROUP BY 1'), '102|80000; 1 look-ups', 'a record that was replaced, in 80,000 rows');
$hubspot->clear_rules;
is(with_lookups(create('Ann@example.com')), 't||102; 0 look-ups', '... is known then');
is($session->query('SELECT count(*) FROM ' . keys_of(8050, long_key()) . ' WHERE ok'), 8050, '8,050 long keys');
cmp_ok(kept(), '<', 9 * 1024 * 1024, '... of which no more than 8 MB are kept');
is(with_lookups(create('ann@example.com')), 't||102; 1 look-ups', '... and it is asked for again');

$session->quit;
done_testing();
