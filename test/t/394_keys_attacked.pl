# What is looked up late, because a look-up has failed or an index is late, undoes nothing
# that came later for its records; and the end of a day of HubSpot's does not hold up the next one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
my $session = start_session($node);
my $failing = { match => { path => 'objects/.*/(batch/read|search)' }, action => { status => 500 } };

sub start_over
{
	$hubspot->reset;
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_doubt');
	$hubspot->property({ type => 'contacts', name => 'ref' });
	$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'one@example.com', hs_additional_emails => '1@example.com' } } ]);
	$hubspot->put_records(companies => [ { id => 201, properties => { domain => 'd1.example' } } ]);
	$hubspot->clear_log;
	return;
}

# Of the one pair, the contact under that name
sub enqueue
{
	my ($operation, $type, $name, $more) = @_;
	return $session->query("SELECT hs_assoc_enqueue('$operation', '$type', 'companies', \$\$SELECT '$name' AS from_id, 201 AS to_id" . ($more // '') . '$$)');
}

sub flush { return $session->query('CALL hs_assoc_flush()') }

sub state
{
	my $held = join ' ', map { s/,HUBSPOT.*//r } split /\n/, $hubspot->association_table('contacts', 'companies');
	return $held . '; ' . $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_type, from_id), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox});
}

# A look-up that fails, while a later operation goes under another name
foreach my $name ([ 'contacts', 101 ], [ 'contacts:email', 'one@example.com' ])
{
	foreach my $case ([ 'archive', 'create_default', '101,201' ], [ 'archive', 'create', '101,201', ', 279 AS type_id' ], [ 'create_default', 'archive', '' ])
	{
		my ($first, $then, $held, $more) = @$case;
		start_over();
		$hubspot->rules($failing);
		enqueue($first, 'contacts:email', '1@example.com');
		flush();
		$hubspot->clear_rules;
		enqueue($then, @$name, $more);
		$session->query('SELECT hs_assoc_resume()');
		$session->query(qq{UPDATE hs_assoc_outbox SET not_before = now() + CASE WHEN operation = '$first' THEN interval '1 h' ELSE '0' END});
		flush();
		is(state(), "$held; $first contacts:email 1\@example.com", "$first cannot be looked up; $then of $name->[1] is sent");
		$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
		flush();
		is(state(), "$held; empty", 'and stays so');
	}
}

# A removal whose record is found late
foreach my $case ([ 'create_default' ], [ 'create', ', 279 AS type_id' ])
{
	my ($operation, $more) = @$case;
	start_over();
	enqueue('archive', 'contacts:ref', 'late');
	flush();
	is(state(), '; archive contacts:ref late', 'a removal waits for an index');
	enqueue($operation, 'contacts', 101, $more);
	flush();
	$hubspot->put_records(contacts => [ { id => 101, properties => { ref => 'late' } } ]);
	$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
	flush();
	is(state(), '101,201; empty', "and takes nothing away that $operation has made by id");
}

# What another login has sent is of another account, for all we know
start_over();
$hubspot->account({ token => 'other-token' });
$session->query(q{CREATE ROLE other; GRANT USAGE ON FOREIGN SERVER hubspot TO other});
$session->query(q{CREATE USER MAPPING FOR other SERVER hubspot OPTIONS (access_token 'other-token')});
enqueue('create_default', 'contacts', 101);
flush();
enqueue('archive', 'contacts:ref', 'late');
flush();
$session->query('SET ROLE other');
enqueue('create_default', 'contacts', 101);
$session->query('RESET ROLE');
flush();
is($session->query('SELECT count(*) FROM hs_assoc_sent'), 1, 'another login makes the pair, while a removal waits');
$hubspot->put_records(contacts => [ { id => 101, properties => { ref => 'late' } } ]);
$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
flush();
is(state(), '; empty', 'and the removal is sent');

# A worker has nearly used up the day while many rows wait; then a new one begins
my $preloaded = start_node(shared_preload_libraries => 'hubspot_assoc');
create_account($preloaded, $hubspot, rate_limit => 100);
$hubspot->reset;
$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com" } } } 1 .. 2 ]);
$hubspot->put_records(companies => [ { id => 201, properties => { domain => 'd1.example' } } ]);
my $other = start_session($preloaded);

sub day_left { return $hubspot->rules({ match => { path => '/' }, action => { headers => { 'X-HubSpot-RateLimit-Daily' => 250_000, 'X-HubSpot-RateLimit-Daily-Remaining' => $_[0] } } }) }

# They wait, or are sent
sub enqueue_in
{
	my ($session, $emails) = @_;
	return $session->query("SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', \$\$SELECT e AS from_id, 201 AS to_id FROM $emails AS e\$\$)");
}
sub all_asked { return wait_until(sub { $other->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE waited = '0' OR waited IS NULL}) == 0 }) }

day_left(20);
enqueue_in($other, q{unnest('{c1@example.com}'::text[])});
all_asked();
enqueue_in($other, q{(SELECT array_agg(i || '@nowhere.example') AS a FROM generate_series(1, 300) i) AS v, unnest(a)});
all_asked();
is($other->query(q{SELECT count(*), max(waited) <= '1 h 1 min' FROM hs_assoc_outbox}), '300|t', 'rows wait, but an hour at most');
$hubspot->clear_rules;
day_left(240_000);
enqueue_in($other, q{unnest('{c2@example.com}'::text[])});
all_asked();
enqueue_in($other, q{unnest('{new@nowhere.example}'::text[])});
all_asked();
is($other->query(q{SELECT waited < '1 min' FROM hs_assoc_outbox WHERE from_id = 'new@nowhere.example'}), 't', 'the next day has its own pace');

# What is asked for again has its part of a round, however many rows come for the first time
start_over();
enqueue('create_default', 'contacts:email', $_) foreach 'w1@example.com', 'w2@example.com';
flush();
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies',
	$$SELECT 'n' || i || '@example.com' AS from_id, 201 AS to_id FROM generate_series(1, 3000) i$$);
	SELECT hs_assoc_resume()});
$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() - CASE from_id WHEN 'w1@example.com' THEN interval '2 min' WHEN 'w2@example.com' THEN '0' ELSE '1 min' END});
$hubspot->clear_log;
flush();
my @asked = map { Cpanel::JSON::XS::encode_json($_) } grep { $_->{operation} eq 'read_records' } @{ $hubspot->log };
my ($place) = grep { $asked[$_] =~ /w2\@example/ } 0 .. $#asked;
cmp_ok($place, '<', 21, 'rows that wait share a round with those that come for the first time');
cmp_ok(scalar @asked, '>=', 30, 'of which there are more than one has room for');

done_testing();
