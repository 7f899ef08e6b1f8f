# Both directions of a pair: in requests of their own where one could be taken for the
# other, or keeps the labels that the other adds; but not in one request for each row.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(uniq);
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => "size_$_", batch_size => $_) foreach 1, 2, 3, 7;
my $session = start_session($node);
$session->query('CREATE TABLE rows (n int PRIMARY KEY, from_id int, to_id int, type_id int)');
my ($boss, $report, $peer, $friend);

sub start_over
{
	my ($from_type, $to_type, %settings) = @_;
	my @labels = (
		[ 'Boss', inverse_label => 'Report' ],
		['Peer'], ['Friend']);
	$hubspot->reset;
	($boss, $report, $peer, $friend) = map {
		my $types = $hubspot->put_label($from_type, $to_type, @$_)->{types};
		map { $_->{type_id} } @$_ > 1 ? @$types[ 0, 1 ] : $types->[0]
	} @labels;
	$hubspot->settings(\%settings);
	$hubspot->clear_log;
	return;
}

# Sends [from, to, type] each; all of them have to be confirmed
sub send_rows
{
	my ($name, $server, $from_type, $to_type, $more, @rows) = @_;
	my $n = 0;
	$session->query('TRUNCATE rows; INSERT INTO rows VALUES '
		  . join ', ', map { sprintf '(%d, %d, %d, %d)', ++$n, @$_ } @rows);
	is($session->query(qq{SELECT count(*) || ' ' || count(DISTINCT input_no) || ' ' || count(*) FILTER (WHERE ok)
			|| ' ' || count(*) FILTER (WHERE (r.from_id, r.to_id) = (rows.from_id::text, rows.to_id::text))
		FROM hs_assoc_batch_create('$from_type', '$to_type', 'SELECT from_id, to_id, type_id, ''USER_DEFINED'' AS category FROM rows ORDER BY n',
			server => '$server'$more) r JOIN rows ON n = input_no}),
		join(' ', (scalar @rows) x 4), "$name: each row is confirmed");
	return;
}

# What was sent since the last look, by operation
sub requests
{
	my %count;
	$count{ $_->{path} =~ m{batch/(\w+)$} ? $1 : $_->{path} }++ foreach @{ $hubspot->log };
	return join ', ', map { "$_ $count{$_}" } sort keys %count;
}

# The types of all pairs that HubSpot holds; of those that the account has defined
sub held
{
	my ($from_type, $to_type) = @_;
	return { map {
			("$_->{from_id}-$_->{to_id}" => join ' ', sort { $a <=> $b }
				  map { $_->{category} eq 'USER_DEFINED' ? $_->{type_id} : () } @{ $_->{types} })
		} @{ $hubspot->associations($from_type, $to_type) } };
}

my $keep = ', keep_labels => true';

sub in_turn { my ($n, @types) = @_; return map { ([ 2 * $_ - 1, 2 * $_, $types[0] ], [ 2 * $_, 2 * $_ - 1, $types[1] ]) } 1 .. $n }

# As many requests as the ids need
start_over('contacts', 'contacts');
send_rows('in turn', 'hubspot', 'contacts', 'contacts', '', in_turn(500, $peer, $peer));
is(requests(), 'create 1', 'in turn: one request');
start_over('contacts', 'contacts');
send_rows('in turn, labels are kept', 'hubspot', 'contacts', 'contacts', $keep, in_turn(500, $boss, $peer));
is(requests(), 'create 2, read 2', 'in turn, labels are kept: one for each direction');
my @both = (join(' ', sort { $a <=> $b } $boss, $peer), join(' ', sort { $a <=> $b } $report, $peer));
is_deeply(held('contacts', 'contacts'), { map { (2 * $_ - 1 . '-' . 2 * $_ => $both[0], 2 * $_ . '-' . (2 * $_ - 1) => $both[1]) } 1 .. 500 },
	'in turn, labels are kept: what the one adds, the other keeps');
start_over('contacts', 'companies');
send_rows('in turn, of two object types', 'hubspot', 'contacts', 'companies', '', in_turn(500, $boss, $peer));
is(requests(), 'create 2', 'in turn, of two object types: one for each direction');
start_over('contacts', 'companies');
send_rows('in turn, of two object types, labels are kept', 'hubspot', 'contacts', 'companies', $keep, in_turn(500, $boss, $peer));
is(requests(), 'create 2, read 2', 'in turn, of two object types, labels are kept: one for each direction');
is_deeply([ uniq sort values %{ held('contacts', 'companies') } ], [ sort $boss, $peer ],
	'in turn, of two object types, labels are kept: they are different pairs');

# More than go into a request, and the earlier ones slow
start_over('contacts', 'contacts');
$hubspot->rules({ match => { path => 'batch/create$', first => 2 }, action => { delay_ms => 200 } });
send_rows('in turn, several requests', 'hubspot', 'contacts', 'contacts', $keep, in_turn(5000, $boss, $peer));
is(requests(), 'create 6, read 10', 'in turn, several requests: as few as there may be');
is_deeply([ uniq sort values %{ held('contacts', 'contacts') } ], [ sort @both ], 'in turn, several requests: all are kept');

# A few reverses among many rows cost no requests
start_over('contacts', 'contacts');
send_rows('few reverses', 'hubspot', 'contacts', 'contacts', $keep,
	map { $_ % 1000 ? [ 10 * $_, 10 * $_ + 1, $peer ] : ([ 10 * $_, 10 * $_ + 1, $boss ], [ 10 * $_ + 1, 10 * $_, $peer ]) } 1 .. 5999);
is(requests(), 'create 4, read 7', 'few reverses: in the request after them');

# A row that has been refused does not stand in the other one's way
start_over('contacts', 'contacts');
$hubspot->objects({ type => 'contacts', missing => ['3'] });
is($session->query(qq{SELECT string_agg(coalesce(error_category, 'ok'), ' ' ORDER BY input_no)
		FROM hs_assoc_batch_create('contacts', 'contacts', 'SELECT *, $peer AS type_id, ''USER_DEFINED'' AS category
			FROM (VALUES (1, 2), (2, 1), (3, 4), (4, 3), (5, 6), (6, 5)) AS v (from_id, to_id)', keep_labels => true)}),
	'ok ok OBJECT_NOT_FOUND OBJECT_NOT_FOUND ok ok', 'a record that there is not: both of its rows, and no others');

# Any rows in any order, or sorted: what is held in the end are the labels of all of them, in both
# directions, and no pair is part of two requests at once, nor of one beside its reverse.
my $seed = $ENV{SEED} // time;
srand $seed;
note "SEED=$seed";
foreach my $size (1, 2, 3, 7)
{
	foreach my $round (1 .. 4)
	{
		my $name = "at random, $round, batches of $size";
		my $records = 3 + int rand 12;
		start_over('contacts', 'contacts', latency_ms => 3);
		my %other = ($boss => $report, $report => $boss, $peer => $peer, $friend => $friend);
		my @types = keys %other;
		my %expected;
		my @rows = map {
			my ($from, $to) = map { 1 + int rand $records } 1, 2;
			$to = $from % $records + 1 if $from == $to;
			my $type = $types[ rand @types ];
			$expected{"$from-$to"}{$type} = $expected{"$to-$from"}{ $other{$type} } = 1;
			my $row = [ $from, $to, $type ];
			rand() < 0.3 ? ($row, [ $to, $from, $type ]) : $row
		} 1 .. 30;
		@rows = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @rows if $round % 2;
		$expected{"$_->[0]-$_->[1]"}{ $_->[2] } = $expected{"$_->[1]-$_->[0]"}{ $other{ $_->[2] } } = 1 foreach @rows;
		send_rows($name, "size_$size", 'contacts', 'contacts', $keep, @rows);
		my %kept = map { ($_ => join ' ', sort { $a <=> $b } keys %{ $expected{$_} }) } keys %expected;
		is_deeply(held('contacts', 'contacts'), \%kept, "$name: all labels are there");
		my ($beside, $together, %until) = (0, 0);
		foreach my $request (sort { $a->{time_ms} <=> $b->{time_ms} } @{ $hubspot->log(path => 'batch/create$') })
		{
			my @pairs = map { join '-', sort { $a <=> $b } $_->{from}{id}, $_->{to}{id} } @{ decode_json($request->{body})->{inputs} };
			$beside += @pairs - uniq @pairs;
			$together += grep { ($until{$_} // 0) > $request->{time_ms} } @pairs;
			$until{$_} = $request->{time_ms} + 3 foreach @pairs;
		}
		is("$beside $together", '0 0', "$name: each pair by itself");
	}
}

$session->quit;
done_testing();
