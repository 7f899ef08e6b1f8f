
# Several rows of one pair: sent together where they follow each other, one
# after the other where not, and each with a row of its own; and pairs whose
# answers could be taken for one another.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(shuffle uniq);
use Test::More;

my $node = start_node(work_mem => '4MB');
my $hubspot = start_simulator();
my %options = (max_retries => 2, max_retry_delay => '100ms', rate_limit => 0);

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => "size_$_", batch_size => $_) foreach 1 .. 5;
my $session = start_session($node);

$session->query('CREATE TABLE rows (n int PRIMARY KEY, from_id bigint, to_id bigint, type_id int, category text)');

# Label definitions, whose type ids are for the user to find out
my @labels;

sub prepare
{
	my (%settings) = @_;
	$hubspot->reset;
	@labels = map {
		$session->query(
			qq{SELECT r->>'typeId' FROM
			hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/labels',
				jsonb_build_object('label', 'Label $_', 'name', 'label_$_')),
			jsonb_array_elements(body->'results') r WHERE r->>'label' = 'Label $_'
			ORDER BY (r->>'typeId')::int LIMIT 1})
	} 1 .. 4;
	$hubspot->settings(\%settings);
	$hubspot->clear_log;
	return;
}

# Sends the rows, [from, to, type] each (the type is a label's, or 279), and
# checks that there is one result for each; returns them by number.
sub send_rows
{
	my ($name, $operation, $server, @rows) = @_;
	my $n = 0;
	my $values = join ', ',
	  map {
		my ($from, $to, $type) = @$_;
		sprintf '(%d, %d, %d, %d, %s)', ++$n, $from, $to, $type // 279,
		  ($type // 279) == 279 ? "'HUBSPOT_DEFINED'" : "'USER_DEFINED'"
	  } @rows;
	my $columns = $operation eq 'hs_assoc_batch_create' ? ', type_id, category' : '';

	$session->query("TRUNCATE rows; INSERT INTO rows VALUES $values");
	my $results = decode_json($session->query(
		"SELECT coalesce(jsonb_agg(to_jsonb(r) - 'error' ORDER BY input_no), '[]')
		FROM $operation('contacts', 'companies',
			'SELECT from_id, to_id$columns FROM rows ORDER BY n', server => '$server') r"));
	is_deeply(
		[ map { "$_->{input_no} $_->{from_id}-$_->{to_id}" } @$results ],
		[ map { "$_ $rows[$_ - 1][0]-$rows[$_ - 1][1]" } 1 .. @rows ],
		"$name: one result for each row");
	return @$results;
}

# What was sent: for each request its time, and its pairs with their types.
sub sent
{
	my @requests;

	foreach my $entry (@{ $hubspot->log })
	{
		my $inputs = decode_json($entry->{body})->{inputs};
		my @pairs = map { "$_->{from}{id}-$_->{to}{id}" } @$inputs;
		my %types = map {
			("$_->{from}{id}-$_->{to}{id}" =>
				  [ sort { $a <=> $b } map { $_->{associationTypeId} } @{ $_->{types} // [] } ])
		} @$inputs;

		is(scalar(uniq @pairs), scalar @pairs, 'no pair stands twice in a request')
		  if uniq(@pairs) != @pairs;
		push @requests, { time => $entry->{time_ms}, types => \%types };
	}
	return @requests;
}

# The type ids that HubSpot holds, by pair
sub held
{
	return map {
		("$_->{from_id}-$_->{to_id}" => [ sort { $a <=> $b } map { $_->{type_id} } @{ $_->{types} } ])
	} @{ $hubspot->associations('contacts', 'companies') };
}

sub all_ok
{
	my ($name, @results) = @_;
	is_deeply([ map { "$_->{input_no}: $_->{error_message}" } grep { !$_->{ok} } @results ],
		[], "$name: all are ok");
	return;
}

# Rows of a pair that follow each other, whatever the border of a batch cuts
foreach my $size (1 .. 5)
{
	my $name = "sorted, batches of $size";
	my (@rows, %types);

	prepare();
	foreach my $pair (1 .. 12)
	{
		my @types = ((279, @labels, $labels[0])[ 0 .. $pair % 6 ]);

		push @rows, map { [ 100 + $pair, 9000 + $pair, $_ ] } @types;
		$types{ (100 + $pair) . '-' . (9000 + $pair) } = [ sort { $a <=> $b } uniq @types ];
	}
	all_ok($name, send_rows($name, 'hs_assoc_batch_create', "size_$size", @rows));
	my @sent = sent();
	is(scalar(map { keys %{ $_->{types} } } @sent), 12, "$name: each pair was sent once");
	is_deeply({ map { %{ $_->{types} } } @sent }, \%types, "$name: with all of its types");
	cmp_ok(scalar @sent, '>=', int((12 + $size - 1) / $size), "$name: in batches that small");
	is_deeply({ held() }, \%types, "$name: which HubSpot holds");
}

# Rows of a pair anywhere: requests with a common pair one after the other,
# those without at the same time; the last row of a pair wins.
srand 1;
foreach my $size (1, 2, 5)
{
	my $name = "unsorted, batches of $size";
	my $latency = 20;
	my (@rows, %last, %expected);

	prepare(latency_ms => $latency);
	@rows = shuffle map {
		my $pair = $_;
		map { [ 100 + $pair, 9000 + $pair, $labels[ ($pair + $_) % 4 ] ] } 1 .. 1 + $pair % 5
	} 1 .. 15;
	all_ok($name, send_rows($name, 'hs_assoc_batch_create', "size_$size", @rows));

	my @sent = sort { $a->{time} <=> $b->{time} } sent();
	my (%time, @together);
	foreach my $request (@sent)
	{
		foreach my $pair (keys %{ $request->{types} })
		{
			push @together, $pair
			  if exists $time{$pair} && $request->{time} < $time{$pair} + $latency;
			$time{$pair} = $request->{time};
			$expected{$pair} = $request->{types}{$pair};
		}
	}
	$last{"$_->[0]-$_->[1]"} = $_->[2] foreach @rows;
	my %held = held();
	is_deeply(\@together, [], "$name: no pair was in flight twice at the same time");
	is_deeply(\%held, \%expected, "$name: HubSpot holds what was sent last");
	is_deeply([ grep { my $pair = $_; !grep { $_ == $last{$pair} } @{ $held{$pair} } } keys %last ],
		[], "$name: the last row of each pair among it");
	cmp_ok($hubspot->stats->{max_in_flight}, '>', 1, "$name: others were in flight together");
}

# The later request waits also while the earlier one is sent again...
{
	my $name = 'an earlier request that is sent again';

	prepare();
	$hubspot->rules({ match => { pair => [ '101', '9001' ], first => 2 }, action => { status => 503 } });
	all_ok($name, send_rows($name, 'hs_assoc_batch_create', 'size_2',
			[ 101, 9001, $labels[0] ], [ 102, 9002, $labels[0] ],
			[ 103, 9003, $labels[0] ], [ 101, 9001, $labels[1] ],
			[ 104, 9004, $labels[0] ], [ 105, 9005, $labels[0] ]));
	is_deeply([ map { $_->{types}{'101-9001'} // () } sent() ],
		[ ([ $labels[0] ]) x 3, [ $labels[1] ] ], "$name: the later one comes after it");
	is_deeply({ held() }->{'101-9001'}, [ $labels[1] ], "$name: the later one wins");
}

# ... or taken apart, and goes also when that one failed.
{
	my $name = 'an earlier request that is refused';

	prepare(bad_batch => 'unnamed', latency_ms => 10);
	my @results = send_rows($name, 'hs_assoc_batch_create', 'size_4',
		[ 101, 9001, $labels[0] ], [ 102, 9002, $labels[0] ],
		[ 103, 9003, 999 ], [ 104, 9004, $labels[0] ],
		[ 105, 9005, $labels[0] ], [ 104, 9004, $labels[1] ],
		[ 103, 9003, $labels[1] ], [ 106, 9006, $labels[0] ]);
	is(join(' ', map { $_->{ok} ? 'ok' : $_->{error_category} } @results),
		'ok ok VALIDATION_ERROR ok ok ok ok ok', "$name: rows");
	my %held = held();
	is_deeply([ @held{qw(103-9003 104-9004)} ], [ ([ $labels[1] ]) x 2 ],
		"$name: the later one wins");
}

# Nothing waits for what will never be sent.
{
	my $name = 'a refused account';

	prepare(latency_ms => 20);
	$hubspot->rules({ action => { status => 401 } });
	my @results = send_rows($name, 'hs_assoc_batch_create', 'size_1',
		map { [ 101 + $_ % 2, 9001, $labels[ $_ % 4 ] ] } 1 .. 40);
	is_deeply([ uniq map { $_->{error_category} } @results ],
		[qw(INVALID_AUTHENTICATION NOT_SENT)], "$name: categories");
	cmp_ok($hubspot->log_count, '<=', 2, "$name: requests");
}

# The default operation has nothing to replace.
{
	my $name = 'default, unsorted';
	my @rows = shuffle map { my $pair = $_; map { [ 100 + $pair, 9000 + $pair ] } 1 .. 4 } 1 .. 10;

	prepare(latency_ms => 10);
	all_ok($name, send_rows($name, 'hs_assoc_batch_create_default', 'size_3', @rows));
	is(scalar(grep { "@$_" eq '279' } values %{ { held() } }), 10, "$name: HubSpot holds all");
	sent();
}
{
	my $name = 'default, sorted';
	my @rows = map { my $pair = $_; map { [ 100 + $pair, 9000 + $pair ] } 1 .. 4 } 1 .. 10;

	prepare();
	all_ok($name, send_rows($name, 'hs_assoc_batch_create_default', 'size_3', @rows));
	is(scalar(map { keys %{ $_->{types} } } sent()), 10, "$name: each pair was sent once");
}

# It may have a pair in two requests at the same time, which are answered in any
# order, and each for itself.
{
	my $name = 'default, the later request is answered first';

	prepare();
	$hubspot->rules([
		{ match => { pair => [ '102', '9002' ] }, action => { delay_ms => patience(2000) } },
		{ match => { pair => [ '103', '9003' ] }, action => { results => ['drop_pair:101:9001'] } } ]);
	my @results = send_rows($name, 'hs_assoc_batch_create_default', 'size_2',
		[ 101, 9001 ], [ 102, 9002 ], [ 103, 9003 ], [ 101, 9001 ]);
	is(join(' ', map { $_->{error_category} // 'ok' } @results), 'ok ok ok UNCONFIRMED', "$name: rows");
	is($hubspot->stats->{max_in_flight}, 2, "$name: both were under way");
}

# Rows of one pair that cannot be sent leave the others alone.
prepare();
is($session->query(
		q{SELECT string_agg(coalesce(error_category, 'ok'), ' ' ORDER BY input_no)
		FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT 101 AS from_id, 9001 AS to_id, t AS type_id
			FROM unnest(''{279, null, 0, 1, -5, 279}''::int[]) WITH ORDINALITY u(t, n) ORDER BY n')}),
	'ok INVALID_INPUT INVALID_INPUT ok INVALID_INPUT ok',
	'rows without a type among others');
is_deeply({ held() }, { '101-9001' => [ 1, 279 ] }, 'rows without a type: the others are done');
is($hubspot->log_count, 1, 'rows without a type: one request');

# A million rows of one pair, and of two that alternate
my $rows = instrumented() eq 'valgrind' ? 50_000 : 1_000_000;
my $many = "SELECT 101 AS from_id, 9001 AS to_id%s FROM generate_series(1, $rows)";
foreach my $case (
	[ 'default', 'hs_assoc_batch_create_default', sprintf($many, ''), 1 ],
	[ 'labelled', 'hs_assoc_batch_create', sprintf($many, ', 279 AS type_id'), 1 ],
	[
		'alternating', 'hs_assoc_batch_create',
		"SELECT 100 + i % 2 AS from_id, 9001 AS to_id, 279 AS type_id FROM generate_series(1, $rows) i",
		200
	])
{
	my ($name, $function, $query, $most) = @$case;
	my $before;

	$hubspot->reset;
	$session->quit;
	$session = start_session($node);
	$session->query("SELECT count(*) FROM $function('contacts', 'companies', '$query LIMIT 1')");
	$before = anonymous_memory($session->pid);
	$hubspot->clear_log;
	is($session->query(
			"SELECT count(*), count(*) FILTER (WHERE ok), min(input_no), max(input_no)
			FROM $function('contacts', 'companies', '$query')"),
		"$rows|$rows|1|$rows",
		"$rows rows, $name: results");
	cmp_ok($hubspot->log_count, '<=', $most, "$rows rows, $name: requests");
	takes_at_most(anonymous_memory($session->pid) - $before, 32 * 1024, "$rows rows, $name: memory");
}

# Ids of contacts and companies can be equal: then the answer to one input
# looks like the other direction of another one's.
my %operations = (
	default => [ 'hs_assoc_batch_create_default', '' ],
	labelled => [ 'hs_assoc_batch_create', ', 279 AS type_id' ]);
foreach my $operation (sort keys %operations)
{
	my ($function, $column) = @{ $operations{$operation} };
	my $call = "$function('contacts', 'companies',
		'SELECT from_id, to_id$column FROM (VALUES %s) v(from_id, to_id)')";
	my $outcome = "SELECT string_agg(from_id || '-' || to_id || ' ' || coalesce(error_category, 'ok'),
		', ' ORDER BY input_no) FROM $call";
	my $outcomes = sub { return $session->query(sprintf $outcome, $_[0]) };

	foreach my $results (qw(both forward))
	{
		my $name = "$operation, results $results";

		foreach my $missing (1, 2)
		{
			# 1 and 2 as contact and company, and the other way round
			$hubspot->reset;
			$hubspot->settings({ bad_batch => 'silent', default_results => $results });
			$hubspot->objects({ type => 'contacts', missing => ["$missing"] });
			is($outcomes->('(1, 2), (2, 1)'),
				$missing == 1 ? '1-2 UNCONFIRMED, 2-1 ok' : '1-2 ok, 2-1 UNCONFIRMED',
				"$name: mirrored, contact $missing missing");
			is($outcomes->('(2, 1), (3, 4), (1, 2), (4, 3)'),
				$missing == 1 ? '2-1 ok, 3-4 ok, 1-2 UNCONFIRMED, 4-3 ok' :
				'2-1 UNCONFIRMED, 3-4 ok, 1-2 ok, 4-3 ok',
				"$name: mirrored apart, contact $missing missing");
			foreach my $request (sent())
			{
				my $types = $request->{types};
				ok(!grep({ /(.*)-(.*)/ && exists $types->{"$2-$1"} } keys %$types),
					"$name: no mirrored pairs in a request");
			}
		}
		$hubspot->reset;
		$hubspot->settings({ bad_batch => 'silent', default_results => $results });
		is($outcomes->('(1, 2), (2, 1), (1, 2), (5, 5), (2, 1)'),
			'1-2 ok, 2-1 ok, 1-2 ok, 5-5 ok, 2-1 ok', "$name: mirrored and repeated");
		is($hubspot->association_count('contacts', 'companies'), 3, "$name: HubSpot holds them");
	}

	# an answer to one of the two doesn't confirm the other, whoever comes first
	$hubspot->reset;
	$hubspot->rules({ match => { pair => [ '1', '2' ] }, action => { results => ['empty'] } });
	is($outcomes->('(1, 2), (2, 1)'), '1-2 UNCONFIRMED, 2-1 ok',
		"$operation: mirrored, no result for the first");
	$hubspot->clear_rules;
	$hubspot->rules({ match => { pair => [ '1', '2' ] }, action => { results => ['empty'], delay_ms => 100 } });
	is($outcomes->('(2, 1), (1, 2)'), '2-1 ok, 1-2 UNCONFIRMED',
		"$operation: mirrored, no result for the second");
}

# Between records of one type, a pair and its reverse are one association.
foreach my $types ([qw(contacts contacts)], [qw(contacts 0-1)], [qw(contact contacts)])
{
	my ($from_type, $to_type) = @$types;
	my $name = "$from_type and $to_type";

	$hubspot->reset;
	is($session->query(
			qq{SELECT string_agg(from_id || '-' || to_id || ' ' || coalesce(error_category, 'ok'), ', ' ORDER BY input_no)
			FROM hs_assoc_batch_create_default('$from_type', '$to_type',
				'SELECT from_id, to_id FROM (VALUES (1, 2), (2, 1), (3, 4), (1, 2), (5, 5)) v(from_id, to_id)')}),
		'1-2 ok, 2-1 ok, 3-4 ok, 1-2 ok, 5-5 ok', "$name: rows");
	is_deeply(
		[ sort map { "$_->{from_id}-$_->{to_id}" } @{ $hubspot->associations('contacts', 'contacts') } ],
		[qw(1-2 2-1 3-4 4-3 5-5)], "$name: HubSpot holds them");
}

# A result for the one direction says nothing of the other, where types differ
# by direction: parent (13) and child (14) company.
$hubspot->reset;
$hubspot->rules({ action => { results => ['drop_pair:1:2'] } });
is($session->query(
		q{SELECT string_agg(coalesce(error_category, 'ok'), ', ' ORDER BY input_no)
		FROM hs_assoc_batch_create('companies', 'companies',
			'SELECT from_id, to_id, type_id FROM (VALUES (1, 2, 13), (3, 4, 13), (4, 3, 14)) v(from_id, to_id, type_id)')}),
	'UNCONFIRMED, ok, ok', 'companies with companies');

# A pair's types are bounded, however many rows give it one.
$hubspot->reset;
is($session->query(
		q{SELECT count(*), count(*) FILTER (WHERE error_category = 'INVALID_INPUT'),
			min(input_no) FILTER (WHERE error_category = 'INVALID_INPUT')
		FROM hs_assoc_batch_create('companies', 'companies',
			'SELECT 1 AS from_id, 2 AS to_id, i AS type_id FROM generate_series(1, 250) i')}),
	'250|150|101', 'too many types in the rows of a pair');
my $types = join ',', map { qq({"associationCategory":"HUBSPOT_DEFINED","associationTypeId":$_}) } 1 .. 100;
is_deeply(
	[ map { $_->{headers}{'content-length'} } @{ $hubspot->log(path => 'batch') } ],
	[ length qq({"inputs":[{"from":{"id":"1"},"to":{"id":"2"},"types":[$types]}]}) ],
	'100 of them were sent');
is($session->query(
		q{SELECT error_category, error_message
		FROM hs_assoc_create('companies', 1, 'companies', 2, ARRAY(SELECT generate_series(1, 101)))}),
	'INVALID_INPUT|there are more than 100 type_ids and labels', 'too many types in a call');

$session->quit;
done_testing();
