
# A batch that is refused because of some of its inputs: those fail, their
# neighbours are created, and it doesn't take many requests.

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
create_account($node, $hubspot, %options, name => 'small', batch_size => 5);
my $session = start_session($node);

my %operations = (
	default => {
		call => 'hs_assoc_batch_create_default',
		columns => '',
	},
	labelled => {
		call => 'hs_assoc_batch_create',
		columns => ', 279 AS type_id',
	});

# The simulator as at its start, with these records missing and settings set.
sub prepare
{
	my ($missing, %settings) = @_;
	$hubspot->reset;
	foreach my $type (keys %$missing)
	{
		$hubspot->objects({ type => $type, missing => [ map { "$_" } @{ $missing->{$type} } ] });
	}
	$hubspot->settings(\%settings);
	return;
}

# The result rows of a query's inputs; "more" goes into the call.
sub rows
{
	my ($operation, $query, $more, @types) = @_;
	my ($from_type, $to_type) = @types ? @types : qw(contacts companies);
	$query =~ s/^(SELECT .*?)(?= FROM)/$1$operations{$operation}{columns}/;
	return @{
		decode_json(
			$session->query(
				"SELECT coalesce(jsonb_agg(to_jsonb(r) - 'error' ORDER BY input_no), '[]')"
				  . " FROM $operations{$operation}{call}('$from_type', '$to_type', \$\$$query\$\$"
				  . ($more // '') . ') r'))
	};
}

# Runs a query whose inputs are $count, and checks everything about the rows:
# the inputs in %$failed have these categories, the others are created.
sub check
{
	my ($name, $operation, $query, $count, $failed, $most, %more) = @_;
	my @rows = rows($operation, $query, $more{more}, @{ $more{types} // [] });
	my $requests = $hubspot->log_count;
	my %held = map { ("$_->{from_id}-$_->{to_id}" => 1) }
	  @{ $hubspot->associations(@{ $more{types} // [qw(contacts companies)] }) };
	my @got = map { "$_->{input_no} " . ($_->{ok} ? 'ok' : $_->{error_category}) } @rows;
	my @expected = map { "$_ " . ($failed->{$_} // 'ok') } 1 .. $count;
	my $ok = 1;

	$ok &= is_deeply(\@got, \@expected, "$name: rows");
	$ok &= is_deeply(
		[ grep { ($_->{ok} xor $held{"$_->{from_id}-$_->{to_id}"}) } @rows ],
		[], "$name: ok is what HubSpot holds");
	$ok &= is_deeply([ grep { !$_->{ok} && !length($_->{error_message} // '') } @rows ],
		[], "$name: each failure has a message");
	if (ref $most)
	{
		$ok &= cmp_ok($requests, '<=', $$most, "$name: requests");
	}
	else
	{
		$ok &= is($requests, $most, "$name: requests");
	}
	note("$name: $requests requests");
	return @rows;
}

# Of 20 pairs, one whose contact is missing, one whose company, and one whose
# both are.
my $twenty = 'SELECT 100 + i AS from_id, 9000 + i AS to_id FROM generate_series(1, 20) i';
my %missing = (contacts => [qw(105 115)], companies => [qw(9010 9015)]);
my @bad = (5, 10, 15);

# the most that three of 20 can cost when nobody is named
my $bisected = 1 + 3 * 2 * 5;

foreach my $operation (sort keys %operations)
{
	foreach my $mode (qw(partial partial200 whole unnamed canceled canceled-unnamed silent))
	{
		foreach my $context (qw(pair from to objectId ids id INVALID_OBJECT_IDS string none), undef)
		{
			my $name = join ' ', $operation, $mode, $context // 'as usual';
			my $unnamed = ($mode =~ /unnamed/ || ($context // '') eq 'none');
			my $category =
			    $mode eq 'silent' || $unnamed && $mode =~ /partial/ ? 'UNCONFIRMED'
			  : $mode =~ /partial/ ? 'OBJECT_NOT_FOUND'
			  : 'VALIDATION_ERROR';
			my $most =
			    $mode =~ /partial|silent/ ? 1
			  : $unnamed || $context && $context eq 'string' ? \$bisected
			  : 2;

			prepare(\%missing, bad_batch => $mode, context => $context);
			check($name, $operation, $twenty, 20, { map { ($_ => $category) } @bad }, $most);
		}
	}
}

# Named or not, in a full batch
my $full = 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 2000) i';
foreach my $operation (sort keys %operations)
{
	foreach my $id (1, 1000, 1777, 2000)
	{
		prepare({ contacts => [$id] }, bad_batch => 'unnamed');
		check("$operation: $id of 2,000, unnamed", $operation, $full, 2000,
			{ $id => 'VALIDATION_ERROR' }, \24);
	}
	prepare({ companies => [1234] }, bad_batch => 'canceled-unnamed');
	check("$operation: one of 2,000, canceled and unnamed", $operation, $full, 2000,
		{ 1234 => 'VALIDATION_ERROR' }, \24);
	prepare({ contacts => [1234] }, bad_batch => 'whole', context => 'pair');
	check("$operation: one of 2,000, named", $operation, $full, 2000,
		{ 1234 => 'VALIDATION_ERROR' }, 2);
}
{
	my @several = (3, 4, 700, 1300, 1999);

	prepare({ contacts => \@several }, bad_batch => 'unnamed');
	check('five of 2,000, unnamed', 'default', $full, 2000,
		{ map { ($_ => 'VALIDATION_ERROR') } @several }, \(1 + 5 * 22));
	prepare({ contacts => \@several }, bad_batch => 'whole');
	check('five of 2,000, named', 'labelled', $full, 2000,
		{ map { ($_ => 'VALIDATION_ERROR') } @several }, 2);

	prepare({ contacts => [ 101 .. 120 ] }, bad_batch => 'unnamed');
	check('all of 20, unnamed', 'default', $twenty, 20,
		{ map { ($_ => 'VALIDATION_ERROR') } 1 .. 20 }, \39);
	prepare({ contacts => [ 101 .. 120 ] }, bad_batch => 'whole');
	check('all of 20, named', 'default', $twenty, 20,
		{ map { ($_ => 'VALIDATION_ERROR') } 1 .. 20 }, 1);

	prepare({ contacts => [ 102, 119 ] }, bad_batch => 'whole');
	check('two of four batches', 'default', $twenty, 20,
		{ map { ($_ => 'VALIDATION_ERROR') } 2, 19 }, 6, more => ", server => 'small'");
}

# Ids that other inputs have, too
my $shared = q{SELECT from_id, to_id FROM (VALUES
	(101, 9001), (101, 9005), (102, 9005), (102, 9002), (103, 9003)) v(from_id, to_id)};
foreach my $mode (qw(partial whole canceled))
{
	foreach my $context ('pair', undef)
	{
		my $category = $mode eq 'partial' ? 'OBJECT_NOT_FOUND' : 'VALIDATION_ERROR';

		prepare({ companies => [9005] }, bad_batch => $mode, context => $context);
		check("shared ids, $mode, " . ($context // 'as usual'), 'default', $shared, 5,
			{ 2 => $category, 3 => $category }, $mode eq 'partial' ? 1 : 2);
	}
}
prepare({ companies => [9005] }, bad_batch => 'partial', context => 'from');
check('shared ids, partial, the good side named', 'labelled', $shared, 5,
	{ 2 => 'OBJECT_NOT_FOUND', 3 => 'OBJECT_NOT_FOUND' }, 1);

# Ids that stand on both sides: contact 7 exists, company 7 doesn't.
my $both = q{SELECT from_id, to_id FROM (VALUES
	(1, 11), (2, 12), (7, 13), (3, 7), (4, 14), (5, 15)) v(from_id, to_id)};
foreach my $case (
	[ 'INVALID_OBJECT_IDS', 2 ], [ 'objectId', 2 ], [ undef, 2 ],
	[ 'ids', 5 ], [ 'id', 5 ])
{
	my ($context, $requests) = @$case;

	prepare({ companies => [7] }, bad_batch => 'whole', context => $context);
	check('an id of both sides, ' . ($context // 'as usual'), 'default', $both, 6,
		{ 4 => 'VALIDATION_ERROR' }, \$requests);
	prepare({ companies => [7] }, bad_batch => 'partial', context => $context);
	check('an id of both sides, partial, ' . ($context // 'as usual'), 'default', $both, 6,
		{ 4 => 'OBJECT_NOT_FOUND' }, 1);
}

# Both sides of one object type: contact 7 is wrong on either side.
prepare({ contacts => [7] }, bad_batch => 'whole', context => 'ids');
check('contacts with contacts', 'default', $both, 6,
	{ 3 => 'VALIDATION_ERROR', 4 => 'VALIDATION_ERROR' }, 2,
	types => [qw(contacts contacts)]);

# Association types that don't exist, or hold for the other direction
my $types = q{SELECT from_id, to_id, type_ids FROM (VALUES
	(101, 9001, '{279}'::int[]), (102, 9002, '{999}'), (103, 9003, '{279, 999}'),
	(104, 9004, '{1}'), (105, 9005, '{280}'), (106, 9006, '{1, 279}'))
	v(from_id, to_id, type_ids)};
$operations{typed} = { %{ $operations{labelled} }, columns => '' };
foreach my $mode (qw(partial whole canceled unnamed))
{
	foreach my $context ('associationSpec', undef)
	{
		prepare({}, bad_batch => $mode, context => $context);
		check("types, $mode, " . ($context // 'as usual'), 'typed', $types, 6,
			{ map { ($_ => 'VALIDATION_ERROR') } 2, 3, 5 },
			$mode eq 'unnamed' ? \(2 * 6 - 1) : $mode eq 'partial' ? 1 : $context ? 2 : \3);
	}
}

# Named inside of errors[] of a refusal
prepare({});
$hubspot->rules({
	match => { pair => [ '103', '9003' ] },
	action => {
		status => 400,
		body => {
			status => 'error', category => 'VALIDATION_ERROR', message => 'two are wrong',
			errors => [
				{ message => 'a', context => { fromObjectId => ['103'], toObjectId => ['9003'] } },
				{ message => 'b', context => { objectId => ['9004'], objectType => ['COMPANY'] } }
			]
		}
	}
});
check('named in errors of a refusal', 'default', $twenty, 20,
	{ 3 => 'VALIDATION_ERROR', 4 => 'VALIDATION_ERROR' }, 2);

# A server that doesn't listen: it ends, and nothing is said to be created.
foreach my $case (
	[ 'one that is gone', { fromObjectId => ['105'] }, 38 ],
	[ 'one that was never there', { fromObjectId => ['777'], toObjectId => ['888'] }, 39 ],
	[ 'everyone', { fromObjectId => [ map { "$_" } 101 .. 120 ] }, 1 ])
{
	my ($name, $context, $most) = @$case;

	prepare({});
	$hubspot->rules({
		action => { status => 400, body => { message => 'no', context => $context } } });
	check("naming $name each time", 'default', $twenty, 20,
		{ map { ($_ => 'HTTP_400') } 1 .. 20 }, \$most);
}

# Bodies that are too long, until they are short enough
foreach my $operation (sort grep { $_ ne 'typed' } keys %operations)
{
	my $one = '{"from":{"id":"101"},"to":{"id":"9001"}}';
	my $types = $operation eq 'default' ? '' :
	  ',"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":279}]';
	my $size = length($one) + length($types);

	# room for 6 of 20, but not for 7
	prepare({}, max_body_bytes => 7 * $size);
	check("$operation: 413 until there are six", $operation, $twenty, 20, {}, \7);
	prepare({}, max_body_bytes => 10);
	check("$operation: 413 even for one", $operation, $twenty, 20,
		{ map { ($_ => 'HTTP_413') } 1 .. 20 }, \(20 + 5));
}

# Statuses that may be about one input, and those that are about none
foreach my $status (400, 409, 413, 422, 437)
{
	prepare({});
	$hubspot->rules({ match => { pair => [ '105', '9005' ] }, action => { status => $status } });
	check("status $status", 'default', $twenty, 20,
		{ 5 => $status == 400 ? 'VALIDATION_ERROR' : "HTTP_$status" }, \($status == 413 ? 14 : 11));
}
foreach my $status (304, 402, 404, 405, 406, 410, 415, 418, 451)
{
	prepare({});
	$hubspot->rules({ match => { pair => [ '105', '9005' ] }, action => { status => $status } });
	check("status $status", 'labelled', $twenty, 20,
		{ map { ($_ => "HTTP_$status") } 1 .. 20 }, 1);
}

# An object type that HubSpot doesn't know is none of the inputs' fault.
{
	prepare({});
	my @rows = rows('default', $twenty, '', 'widgets', 'companies');
	is(scalar(grep { !$_->{ok} && $_->{error_category} eq 'HTTP_400' } @rows),
		20, 'unknown object type: all fail');
	is($hubspot->log_count, 1, 'unknown object type: one request');
	like($rows[0]{error_message}, qr/Unable to infer object type from: widgets/,
		'unknown object type: message');
}

# Rows of one pair fail together.
prepare({ contacts => [105] }, bad_batch => 'whole');
check('rows of one pair', 'default',
	q{SELECT from_id, to_id FROM (VALUES (105, 1), (101, 1), (105, 1), (101, 1)) v(from_id, to_id)},
	4, { 1 => 'VALIDATION_ERROR', 3 => 'VALIDATION_ERROR' }, 2);

# What is refused before sending is not sent, nor counted.
prepare({ contacts => [105] }, bad_batch => 'unnamed');
check('inputs that cannot be sent', 'default',
	q{SELECT from_id, to_id FROM (VALUES ('101', '1'), ('', '2'), ('105', '3'), ('a b', '4'), ('103', '5'))
	v(from_id, to_id)},
	5, { 2 => 'INVALID_INPUT', 3 => 'VALIDATION_ERROR', 4 => 'INVALID_INPUT' }, 5);

$session->quit;
done_testing();
