
# Refusals that name nobody: where all inputs of a batch are refused alike, it
# takes few requests to know; and where some are not, each of those is done.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use JSON::PP;
use Test::More;

my $seed = $ENV{SEED} // int rand 1_000_000;
srand $seed;
note("SEED=$seed");

my $node = start_node();
my $hubspot = start_simulator();
my %options = (max_retries => 0, rate_limit => 0);

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'small', batch_size => 100);
create_account($node, $hubspot, %options, name => 'alone', concurrency => 1);
my $session = start_session($node);

$session->query('CREATE TABLE rows (n int PRIMARY KEY, from_id bigint, to_id bigint, type_id int)');

# What was said of rows that were not sent alone
my $alike = qr/ \(so HubSpot refused all (\d+) inputs of a request, and each of the (\d+) of them that were sent alone\)$/;

sub prepare
{
	my ($missing, %settings) = @_;
	$hubspot->reset;
	$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } @$missing ] }) if @$missing;
	$hubspot->settings(\%settings);
	return;
}

# Sends so many rows; the type of each is what the sub says of its number (default: none).
sub send_rows
{
	my ($count, %how) = @_;
	my $type = $how{type} ? 'type_id' : 'NULL';
	my $operation = $how{type} ? 'hs_assoc_batch_create' : 'hs_assoc_batch_create_default';
	my $columns = $how{type} ? ', type_id' : '';
	my $more = join '', map { ", $_" } $how{more} // ();

	$session->query("TRUNCATE rows; INSERT INTO rows SELECT i, 100000 + i, 500000 + i, "
		  . ($how{type} // 'NULL') . " FROM generate_series(1, $count) AS i");
	return @{
		decode_json(
			$session->query(
				"SELECT coalesce(jsonb_agg(jsonb_build_object('n', input_no, 'ok', ok, 'from', from_id, 'to', to_id,
					'category', error_category, 'message', error_message) ORDER BY input_no), '[]')
				FROM $operation('contacts', 'companies', 'SELECT from_id, to_id$columns FROM rows ORDER BY n',
					server => '@{[ $how{server} // 'hubspot' ]}'$more)"))
	};
}

# The requests for single pairs
sub sent_alone
{
	return grep { $_->{inputs} == 1 } @{ $hubspot->log };
}

# All of so many rows are refused, in no more than so many requests.
sub all_refused
{
	my ($name, $count, $most, %how) = @_;
	my @rows = send_rows($count, %how);
	my $requests = $hubspot->log_count;
	my @told = grep { ($_->{message} // '') =~ $alike } @rows;

	is(scalar(grep { !$_->{ok} && $_->{category} eq 'VALIDATION_ERROR' } @rows), $count, "$name: all rows have failed");
	cmp_ok($requests, '<=', $most, "$name: $requests requests");
	is(scalar(@rows) - @told, scalar(sent_alone()), "$name: those that don't say that they were not sent alone were sent alone");
	is($hubspot->association_count('contacts', 'companies'), 0, "$name: nothing was done");
	return @rows;
}

# The types are of the other direction, or the records aren't there
foreach my $mode (qw(unnamed canceled-unnamed))
{
	foreach my $count (21, 33, 500, 2000)
	{
		prepare([], bad_batch => $mode);
		my @rows = all_refused("$mode, $count of the wrong type", $count, 40, type => '280');
		like($rows[1]{message}, qr/^One or more associations are invalid/, "$mode, $count: HubSpot's words");
		$rows[1]{message} =~ $alike and is("$1 $2", "$count 32", "$mode, $count: how many were tried") if $count > 100;

		prepare([ map { 100000 + $_ } 1 .. $count ], bad_batch => $mode);
		all_refused("$mode, $count missing", $count, 40);
	}
}
prepare([], bad_batch => 'unnamed');
all_refused('one request at a time', 500, 40, type => '280', server => 'alone');

# The answer has another correlation id each time, also in its message
prepare([]);
$hubspot->rules([ map { { match => { nth => $_ }, action => { status => 400, body => {
	status => 'error', category => 'VALIDATION_ERROR', correlationId => "c0ffee-$_", subCategory => 'associations.X',
	message => "invalid from object type 0-8 (c0ffee-$_)"
} } } } 1 .. 100 ]);
all_refused('an object type', 2000, 40);

# Several batches of one statement
prepare([], bad_batch => 'unnamed');
all_refused('10,000 in five batches', 10_000, 40, type => '280');
prepare([], bad_batch => 'unnamed');
all_refused('3,000 in thirty batches', 3000, 40 + 5 * 25, type => '280', server => 'small');

# What is accepted tells the others: several types, interleaved
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(500, type => 'CASE WHEN i % 2 = 0 THEN 279 ELSE 280 END');
	is_deeply([ grep { $_->{ok} xor $_->{n} % 2 == 0 } @rows ], [], 'two types: those of the right one are done');
	cmp_ok($hubspot->log_count, '<=', 40, 'two types: requests');
	is($hubspot->association_count('contacts', 'companies'), 250, 'two types: held');
}
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(500, type => '(ARRAY[279, 280, 1, 281, 9999])[1 + i % 5]');
	is_deeply([ grep { $_->{ok} xor ($_->{n} % 5 == 0 || $_->{n} % 5 == 2) } @rows ], [], 'five types: those that fit are done');
	cmp_ok($hubspot->log_count, '<=', 3 * 40, 'five types: requests');
}

# One good row of 500: found if it was accepted once; else the others' errors say what was tried.
foreach my $good (1, 500)
{
	prepare([ map { 100000 + $_ } grep { $_ != $good } 1 .. 500 ], bad_batch => 'unnamed');
	my @rows = send_rows(500);
	is_deeply([ map { $_->{n} } grep { $_->{ok} } @rows ], [$good], "all but row $good");
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), 0, "all but row $good: each was sent alone");
}
# Which of the others are tried alone is left to chance.
foreach my $good (250, 333)
{
	prepare([ map { 100000 + $_ } grep { $_ != $good } 1 .. 500 ], bad_batch => 'unnamed');
	my @rows = send_rows(500);
	my @done = map { $_->{n} } grep { $_->{ok} } @rows;
	my $tried = @done > 0;
	is_deeply(\@done, [$good], "all but row $good, which was tried") if $tried;
	like($rows[ $good - 1 ]{message}, $alike, "all but row $good, which was not tried: its error says so") if !$tried;
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), $tried ? 0 : 500 - 32, "all but row $good: so do all errors of those that were not, or none");
	cmp_ok($hubspot->log_count, '<=', $tried ? 1200 : 40, "all but row $good: requests");
}

# A batch before it was accepted: then it is a matter of the rows
prepare([ map { 100000 + $_ } 101 .. 200 ], bad_batch => 'unnamed');
{
	my @rows = send_rows(200, server => 'small');
	is(scalar(grep { $_->{ok} } @rows), 100, 'after a batch that was accepted');
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), 0, 'after a batch that was accepted: each was sent alone');
}

# Words that differ from row to row
prepare([]);
$hubspot->rules([ map {
	{ match => { id => "" . (100000 + $_) }, action => { status => 400, body => {
		category => 'VALIDATION_ERROR', message => "there is something about $_" } } }
} 1 .. 60 ]);
{
	my @rows = send_rows(60);
	is_deeply([ map { $_->{message} } @rows ], [ map { "there is something about $_" } 1 .. 60 ], 'each has its own words');
}

# What is asked before labels are replaced is refused, for all records
prepare([]);
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 400, body => {
	category => 'VALIDATION_ERROR', message => 'not readable' } } });
{
	my @rows = send_rows(500, type => '279', more => 'keep_labels => true');
	is(scalar(grep { !$_->{ok} && $_->{message} =~ /not readable/ } @rows), 500, 'labels cannot be read: all rows have failed');
	cmp_ok($hubspot->log_count, '<=', 40, 'labels cannot be read: requests');
}

# Any sets of bad rows: of the rows with one type, either none was accepted, or each good one.
foreach my $round (1 .. ($ENV{ROUNDS} // 40))
{
	my $count = 1 + int rand 250;
	my $share = (0, 0.02, 0.1, 0.5, 0.7, 0.9, 0.97, 1)[ int rand 8 ];
	my $typed = rand() < 0.4;
	my @bad = grep { rand() < $share } 1 .. $count;
	# all together, or in a few stretches
	@bad = grep { int($_ / 20) % 3 != 1 } 1 .. $count if rand() < 0.25;
	my %bad = map { $_ => 1 } @bad;
	my $server = (qw(hubspot hubspot small alone))[ int rand 4 ];
	my $name = sprintf 'round %d, %d of %d bad%s, %s', $round, scalar @bad, $count, $typed ? ', two types' : '', $server;

	prepare([ map { 100000 + $_ } @bad ], bad_batch => (qw(unnamed canceled-unnamed))[ rand 2 ]);
	my @rows = send_rows($count, server => $server, $typed ? (type => 'CASE WHEN i % 3 = 0 THEN 1 ELSE 279 END') : ());
	my %held = map { $_->{from_id} - 100000 => 1 } @{ $hubspot->associations('contacts', 'companies') };
	my $ok = is_deeply([ map { $_->{n} } @rows ], [ 1 .. $count ], "$name: a row for each");

	$ok &= is_deeply([ grep { ($_->{ok} xor $held{ $_->{n} }) || $_->{ok} && $bad{ $_->{n} } } @rows ], [], "$name: ok is what is held");
	foreach my $third (0, 1)
	{
		my @same = grep { !$typed || ($_->{n} % 3 == 0) == $third } @rows;
		my @wronged = grep { !$_->{ok} && !$bad{ $_->{n} } } @same;
		my @accepted = grep { $_->{ok} } @same;

		# with one batch there is no answer that comes too late
		next if $count > 100 && $server eq 'small' && $share > 0.8;
		$ok &= ok(!@wronged || !@accepted, "$name: each good row is done, where one was accepted");
		$ok &= is(scalar @wronged, 0, "$name: each good row is done") if $share <= 0.7;
		$ok &= is(scalar(grep { $_->{message} !~ $alike } @wronged), 0, "$name: who was not sent alone is told");
	}
	diag("SEED=$seed") unless $ok;
}

$session->quit;
done_testing();
