
# Refusals in shapes that are rare: errors that say things twice, or in more words than
# one list holds; answers that come while it is still looked for those that are to blame.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
my %options = (max_retries => 0, rate_limit => 0);

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'small', batch_size => 100);
my $session = start_session($node);

my $alike = qr/ \(so HubSpot refused all /;

# The outcomes of a call, in the order of its inputs
sub outcomes
{
	my ($operation, $from_type, $to_type, $query, $server) = @_;
	return @{
		decode_json(
			$session->query(
				"SELECT coalesce(jsonb_agg(jsonb_build_object('ok', ok, 'category', error_category, 'message', error_message,
					'types', (SELECT jsonb_agg(t.category || '=' || t.type_id) FROM unnest(types) AS t)) ORDER BY input_no), '[]')
				FROM hs_assoc_batch_$operation('$from_type', '$to_type', '$query', server => '" . ($server // 'hubspot') . "')"))
	};
}

sub refusal
{
	my ($context, %more) = @_;
	return { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', correlationId => 'c', message => 'No.',
		context => $context, %more } };
}

# The first request gets that answer; which rows fail with it?
sub refused_by
{
	my ($action, $operation, $from_type, $to_type, $query) = @_;

	$hubspot->reset;
	$hubspot->rules({ match => { nth => 1 }, action => $action });
	my @rows = outcomes($operation, $from_type, $to_type, $query);
	is(join(' ', map { $_->{message} } grep { !$_->{ok} && $_->{message} !~ /^No\.( \([^()]*\))?$/ } @rows), '', 'no other failure');
	is($hubspot->log_count, 2, 'and two requests');
	return join ' ', map { $_ + 1 } grep { !$rows[$_]{ok} } 0 .. $#rows;
}

sub pairs { return join ' UNION ALL ', map { "SELECT $_->[0] AS from_id, $_->[1] AS to_id" } @_ }

# Who is named, and how
is(refused_by(refusal({ fromObjectId => [ '1', '3' ], toObjectId => [ '2', '4' ] }),
		'create_default', 'contacts', 'contacts', pairs([ 2, 1 ], [ 1, 2 ], [ 3, 4 ], [ 4, 3 ], [ 5, 6 ])),
	'2 3', 'pairs whose reverses were sent, too');
is(refused_by(refusal({ fromObjectId => [ '1', '1', '2' ], toObjectId => [ '5', '6' ] }),
		'create_default', 'contacts', 'companies', pairs([ 1, 5 ], [ 1, 6 ], [ 2, 5 ], [ 3, 5 ], [ 1, 9 ])),
	'1 2 3', 'all pairs of two lists, one of which has an id twice');
is(refused_by(refusal({ objectId => ['1'], objectType => ['CONTACT'] },
			errors => [ { message => 'No.', context => { objectId => ['1'], objectType => ['CONTACT'] } } ]),
		'create_default', 'contacts', 'companies', pairs([ 1, 5 ], [ 2, 6 ])),
	'1', 'a record that an error and one within it name');

# A type among many, twice
{
	my $types = sub { return refusal({ associationSpec => ["USER_DEFINED=$_[0]"] },
		errors => [ { message => 'No.', context => { INVALID_ASSOCIATION_TYPE_ID => ["USER_DEFINED=$_[0] is not a valid association definition id"] } } ]) };
	my $unknown = { status => 400, body => { status => 'error', message => 'Unable to infer object type from: contacts', correlationId => 'c' } };

	$hubspot->reset;
	$hubspot->rules([ { match => { nth => 1 }, action => $types->(7) }, { match => { nth => 2 }, action => $types->(19) }, { action => $unknown } ]);
	my @rows = outcomes('create', 'contacts', 'companies', q{SELECT i AS from_id, i AS to_id, i AS type_id, ''USER_DEFINED'' AS category FROM generate_series(1, 40) AS i});
	is(join(' ', map { $_ + 1 } grep { $rows[$_]{message} =~ /^No\./ } 0 .. $#rows), '7 19', 'the rows of the types that are named');
	is(scalar(grep { $_->{message} =~ /^Unable to infer/ } @rows), 38, 'and those of the others were sent again');
	is($hubspot->log_count, 3, 'in one request each time');
}

# An answer with many types of one pair
$hubspot->reset;
$hubspot->rules({ action => { status => 201, body => { status => 'COMPLETE', results => [
	map { { from => { id => '1' }, to => { id => '5' }, associationSpec => { associationCategory => 'USER_DEFINED', associationTypeId => $_ } } } 1 .. 9, 3 ] } } });
is_deeply([ outcomes('create_default', 'contacts', 'companies', pairs([ 1, 5 ])) ],
	[ { ok => Cpanel::JSON::XS::true, category => undef, message => undef, types => [ map { "USER_DEFINED=$_" } 1 .. 9 ] } ], 'nine types of a pair');

# Types of one number and two categories come apart, as other ones do
$hubspot->reset;
$hubspot->settings({ bad_batch => 'unnamed' });
{
	my @rows = outcomes('create', 'contacts', 'companies', q{SELECT i AS from_id, i AS to_id, 279 AS type_id,
		(ARRAY[''HUBSPOT_DEFINED'', ''USER_DEFINED''])[1 + i % 2] AS category FROM generate_series(1, 100) AS i});
	is(join('', map { $_->{ok} ? 1 : 0 } @rows), '01' x 50, 'two categories: those of the right one are done');
	cmp_ok($hubspot->log_count, '<=', 40, 'two categories: requests');
}

# More types than are told apart, all refused
$hubspot->reset;
$hubspot->settings({ bad_batch => 'unnamed' });
{
	my @rows = outcomes('create', 'contacts', 'companies',
		q{SELECT i AS from_id, i AS to_id, 5000 + i / 24 AS type_id FROM generate_series(1, 24 * 120) AS i});
	is(scalar(grep { !$_->{ok} && $_->{category} =~ /^(VALIDATION_ERROR|NOT_SENT)$/ } @rows), 24 * 120, '120 types: all have failed');
	cmp_ok($hubspot->log_count, '<=', 120 * 24 / 2, '120 types: requests');
}

# A half that has become too large, since another request was
$hubspot->reset;
$hubspot->rules([
	{ match => { id => '700000000000001', first => 1 }, action => { delay_ms => 1500, status => 400, body => { category => 'VALIDATION_ERROR', message => 'No.' } } },
	{ match => { id => '1', first => 1 }, action => { status => 413 } } ]);
{
	my @rows = outcomes('create_default', 'contacts', 'companies',
		q{SELECT 700000000000000 + i AS from_id, 700000000000000 + i AS to_id FROM generate_series(1, 100) AS i
		UNION ALL SELECT i, i FROM generate_series(1, 100) AS i}, 'small');
	my ($half) = sort { $b <=> $a } map { $_->{inputs} } grep { $_->{status} < 300 && $_->{body} =~ /70000/ } @{ $hubspot->log };

	is(scalar(grep { $_->{ok} } @rows), 200, 'halves that are too large: all rows are done');
	cmp_ok($half, '<', 50, "halves that are too large: they were made smaller, to $half");
}

# One that is accepted while others with its types are tried, each of which is refused
$hubspot->reset;
$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } 1 .. 100 ] });
$hubspot->settings({ bad_batch => 'unnamed', latency_ms => 60 });
$hubspot->rules({ match => { id => '200' }, action => { delay_ms => 2000 } });
{
	my @rows = outcomes('create_default', 'contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 200) AS i', 'small');

	is(join('', map { $_->{ok} ? 1 : 0 } @rows), '0' x 100 . '1' x 100, 'accepted meanwhile: those that are good are done');
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), 0, 'accepted meanwhile: and each of the others was sent alone');
}

$session->quit;
done_testing();
