# What a session keeps of keys: for how long, of what, how much of it, and what becomes of
# rows whose records have become others meanwhile.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = start_node();
my $hubspot = start_simulator();
my %usual = (rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, %usual);
my $session = start_session($node);
$session->query('SET client_min_messages = warning');

sub start_over
{
	my ($settings) = @_;
	$hubspot->reset;
	$hubspot->settings({ check_records => \1, %{ $settings // {} } });
	$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com" } } } 1 .. 5 ]);
	$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. 5 ]);

	# which also has the session forget what it knows
	$session->query(q{ALTER SERVER hubspot OPTIONS (ADD key_cache '1h'); ALTER SERVER hubspot OPTIONS (DROP key_cache)});
	$hubspot->clear_log;
	return;
}

# What a query returns, and how many look-ups it makes
sub with_lookups
{
	my ($sql, $in) = @_;
	$hubspot->clear_log;
	my $result = ($in // $session)->query($sql);
	return "$result; " . (map { scalar @$_ } [ map { @{ $hubspot->log(operation => $_) } } 'read_records', 'search_records' ])[0] . ' look-ups';
}

sub create
{
	my ($email, $more) = @_;
	return "SELECT ok, error_category, from_record FROM hs_assoc_create_default('contacts:email', '$email', 'companies', '201'" . ($more // '') . ')';
}

# A call for each row
start_over();
like(with_lookups(create('c1@example.com')), qr/^t\|\|101; 1 look/, 'a key is looked up');
is(with_lookups(create(' C1@Example.com')), 't||101; 0 look-ups', 'and then known by its normal form');
is(with_lookups(create('c1@example.com'), start_session($node)), 't||101; 1 look-ups', 'but not to another session');
is( with_lookups(q{SELECT count(*) FILTER (WHERE (r).ok), count(DISTINCT (r).from_record) FROM (
		SELECT hs_assoc_create_default('contacts:email', 'c' || 1 + i % 5 || '@example.com', 'companies:domain', 'd' || 1 + i % 2 || '.example') AS r
		FROM generate_series(1, 100) i OFFSET 0) s}),
	'100|5; 7 look-ups', 'calls for 100 rows look up each of their keys once, and learn how');
is(with_lookups(create('c1@example.com', q{, 'raise'})), 't||101; 0 look-ups', 'keys are known whatever becomes of failures');

# What is not kept, and who does not take it
is(with_lookups(create('nobody@example.com')), 'f|RECORD_NOT_FOUND|; 1 look-ups', 'a key without a record');
is(with_lookups(create('nobody@example.com')), 'f|RECORD_NOT_FOUND|; 1 look-ups', 'is looked up again');
$hubspot->put_records(companies => [ map { { id => "21$_", properties => { domain => 'two.example' } } } 1, 2 ]);
is(with_lookups(q{SELECT record_id, candidates FROM hs_assoc_resolve('companies:domain', '{two.example}'::text[])}), "|{211,212}; 1 look-ups", 'one of two')
  for 1, 2;
is(with_lookups(q{SELECT record_id FROM hs_assoc_resolve('contacts:email', '{c1@example.com}'::text[])}), '101; 1 look-ups', 'who resolves wants to know')
  for 1, 2;
is(with_lookups(q{SELECT ok FROM hs_assoc_archive('contacts:email', 'c1@example.com', 'companies', '201')}), 't; 1 look-ups', 'who removes is not told')
  for 1, 2;
is(with_lookups(q{SELECT count(*) FROM hs_assoc_list('contacts:email', 'c2@example.com', 'companies')}), '2; 1 look-ups', 'nor is who lists')
  for 1, 2;
is(with_lookups(q{SELECT count(*) FROM hs_assoc_batch_read('contacts:email', 'companies', '{c2@example.com}'::text[])}), '2; 0 look-ups', 'who reads is');

# Options
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD key_cache '0s')});
is(with_lookups(create('c1@example.com')), 't||101; 1 look-ups', 'nothing is kept if that is turned off') for 1, 2;
$session->query(q{ALTER SERVER hubspot OPTIONS (SET key_cache '500ms')});
with_lookups(create('c1@example.com'));
wait_until(sub { with_lookups(create('c1@example.com')) =~ /1 look/ });
pass('what is kept gets old');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP key_cache)});
for my $change (
	q{ALTER SERVER hubspot OPTIONS (ADD concurrency '2')}, q{ALTER SERVER hubspot OPTIONS (DROP concurrency)},
	q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token 'test-token')})
{
	with_lookups(create('c1@example.com'));
	is(with_lookups(create('c1@example.com')), 't||101; 0 look-ups', 'it is known');
	$node->safe_psql('postgres', $change);
	is(with_lookups(create('c1@example.com')), 't||101; 1 look-ups', "and not after $change of another session");
}

# A statement within one that has the same keys, one that ends early, and one that fails
start_over();
$session->query(q{CREATE FUNCTION within(email text) RETURNS text LANGUAGE sql AS $$
	SELECT from_record FROM hs_assoc_create_default('contacts:email', $1, 'companies', '202') $$});
my $nested = q{SELECT count(*) FILTER (WHERE ok), count(DISTINCT from_record), min(from_id) FROM hs_assoc_batch_create_default('contacts:email', 'companies',
	'SELECT ''c'' || i || ''@example.com'' AS from_id, ''201'' AS to_id FROM generate_series(1, 5) i WHERE within(''c'' || i || ''@example.com'') = ''10'' || i')};
is(with_lookups($nested), '5|5|c1@example.com; 6 look-ups', 'a statement within another one has keys of its own');
is(with_lookups($nested), '5|5|c1@example.com; 5 look-ups', 'whatever was known');
is(with_lookups(create('c5@example.com')), 't||105; 0 look-ups', 'and the other one keeps its own');
my $other = start_session($node);
$other->query('SELECT pg_advisory_lock(1)');
$session->query(q{CREATE FUNCTION wait_and(email text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
	PERFORM pg_advisory_xact_lock_shared(1);
	RETURN within($1);
END $$});
$session->send($nested =~ s/within/wait_and/r);
$node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)') or die 'it does not wait';
$other->query(q{ALTER SERVER hubspot OPTIONS (ADD concurrency '2')});
$other->query('SELECT pg_advisory_unlock(1)');
is(($session->finish)[0], '5|5|c1@example.com', 'a statement within one, after a change');
is(with_lookups(create('c5@example.com')), 't||105; 1 look-ups', '... and none keeps what was known before that');
$other->query(q{ALTER SERVER hubspot OPTIONS (DROP concurrency)});
$other->quit;
my $early = q{SELECT (r).from_record FROM (SELECT hs_assoc_batch_create_default('contacts:email', 'companies',
	'SELECT ''c'' || 1 + i % 5 || ''@example.com'' AS from_id, ''201'' AS to_id FROM generate_series(0, 9999) i') AS r) s LIMIT 1};
like($session->query($early), qr/^10\d$/, 'rows that are left');
like(with_lookups(create('c5@example.com')), qr/^t\|\|105; [01] look/, 'leave nothing wrong behind');
$session->send(q{SELECT hs_assoc_batch_create_default('contacts:email', 'companies',
	'SELECT ''c'' || 1 + i % 5 || ''@example.com'' AS from_id, 1 / (9000 - i) AS to_id FROM generate_series(0, 9999) i')});
like(($session->finish)[1], qr/division by zero/, 'nor does a query');
is(with_lookups($nested) =~ s/; .*//r, '5|5|c1@example.com', 'that fails');

# Records that have become others since
sub moved
{
	my ($what, $change, $sql, $expected, $settings) = @_;
	start_over($settings);
	$session->query(create("c$_\@example.com")) for 1 .. 3;
	$change->();
	is(with_lookups($sql), $expected, $what);
	return;
}

my $batch = q{SELECT string_agg(concat_ws(' ', input_no, ok, from_record, error_category), ', ' ORDER BY input_no) FROM hs_assoc_batch_create(
	'contacts:email', 'companies', 'SELECT ''c'' || i || ''@example.com'' AS from_id, ''202'' AS to_id, 279 AS type_id FROM generate_series(1, 3) i')};
moved("merged, a new id: create", sub { $hubspot->merge_records(contacts => '101', '105', variant => 'new', new_id => '777') },
	create('c1@example.com'), 't||777; 1 look-ups', { missing_keys => 'named' });
is(with_lookups(create('c1@example.com')), 't||777; 0 look-ups', 'which is known then');
is($hubspot->association_count('contacts', 'companies'), 3, 'and the records have what they should have');
moved("merged, a new id: batch", sub { $hubspot->merge_records(contacts => '101', '105', variant => 'new', new_id => '777') },
	$batch, '1 t 777, 2 t 102, 3 t 103; 1 look-ups');
moved("merged, the old one vanished: batch", sub { $hubspot->merge_records(contacts => '101', '105', variant => 'vanished') },
	$batch, '1 t 105, 2 t 102, 3 t 103; 1 look-ups');
moved("merged, a new id: read", sub { $hubspot->merge_records(contacts => '101', '105', variant => 'new', new_id => '777') },
	q{SELECT to_id, from_record FROM hs_assoc_batch_read('contacts:email', 'companies', '{c1@example.com}'::text[]) LIMIT 1}, '201|777; 1 look-ups');
moved("deleted", sub { $hubspot->delete_records('contacts', id => '101') }, create('c1@example.com'), 'f|RECORD_NOT_FOUND|; 1 look-ups');
moved("deleted: batch", sub { $hubspot->delete_records('contacts', id => '101') },
	$batch, '1 f RECORD_NOT_FOUND, 2 t 102, 3 t 103; 1 look-ups');
moved("deleted, and its address is another one's", sub {
		$hubspot->delete_records('contacts', id => '101');
		$hubspot->put_records(contacts => [ { id => '888', properties => { email => 'c1@example.com' } } ]);
	}, $batch, '1 t 888, 2 t 102, 3 t 103; 1 look-ups');
moved("refused, and still the same", sub { $hubspot->objects({ type => 'contacts', missing => ['101'] }) },
	$batch =~ s/, error_category/, error_category = 'RECORD_NOT_FOUND'/r, '1 f 101 f, 2 t 102, 3 t 103; 1 look-ups');
moved("refused, and nobody says what it is now", sub {
		$hubspot->objects({ type => 'contacts', missing => ['101'] });

		# whose answers count for no look-up
		$hubspot->rules({ match => { path => 'contacts/batch/read' }, action => { status => 500 } });
	}, $batch =~ s/, error_category/, error_category = 'NOT_SENT'/r, '1 f 101 f, 2 t 102, 3 t 103; 0 look-ups');
$hubspot->clear_rules;
moved("nothing to read", sub { },
	q{SELECT count(*) FROM hs_assoc_batch_read('contacts:email', 'deals', '{c1@example.com}'::text[])}, '0; 1 look-ups');
is(with_lookups(q{SELECT count(*) FROM hs_assoc_batch_read('contacts:email', 'companies', '{c2@example.com}'::text[])}), '1; 0 look-ups', 'something to read');

# How much is kept
start_over();
sub kept
{
	return $session->query(q{SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name = 'hubspot_assoc kept keys'});
}
$hubspot->settings({ check_records => \0 });
$hubspot->property({ type => 'contacts', name => $_, unique => \1 }) for 'number_a', 'number_b';
my $long = 'x' x 60;
$hubspot->generate_records(contacts => { count => 60000, first_id => 1000000, properties => { number_a => "$long-a-{n}", number_b => "$long-b-{n}" } });
my $most = 0;
for my $property ('number_a', 'number_b', 'number_a')
{
	is( $session->query(qq{SELECT count(record_id) FROM hs_assoc_resolve('contacts:$property',
			'SELECT ''$long-@{[ substr $property, -1 ]}-'' || i AS key FROM generate_series(1, 60000) i')}), 60000, "60,000 keys by $property");
	my $now = kept();
	note "$now bytes are kept";
	$most = $now if $now > $most;
}
cmp_ok($most, '>', 4 * 1024 * 1024, 'much is kept');
cmp_ok($most, '<', 9 * 1024 * 1024, 'but no more than 8 MB');
$node->safe_psql('postgres', q{ALTER SERVER hubspot OPTIONS (ADD concurrency '3')});
$session->query(create('c1@example.com'));
cmp_ok(kept(), '<', 200 * 1024, 'and next to nothing after a change');

done_testing();
