# Answers whose results are nearly the same: each result says of its input what it would say
# if it were alone in its answer.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
my $documents = $ENV{DOCUMENTS} // 40;
note("SEED=$seed DOCUMENTS=$documents");
srand $seed;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query('SET client_min_messages = error');

sub pick { return $_[ rand @_ ] }
sub rarely { return rand() < 0.1 }

# A number of an answer, in any form; for a result that is to be like others, in the usual one.
sub number
{
	my ($usual) = @_;
	my $digits = join '', int(1 + rand 9), map { int rand 10 } 1 .. pick(0, 1, 7, 8, 9, 14, 18, 19, 20);

	return $usual ? $digits : pick($digits, qq("$digits"), qq("0$digits"), qq("\\u0031$digits"), qq("${digits}a"), qq(-$digits), "$digits.0", ($digits % 8) . 'e1');
}

my @types = (
	'{"category":"HUBSPOT_DEFINED","typeId":279,"label":null}',
	'{"category":"HUBSPOT_DEFINED","typeId":279,"label":null},{"category":"USER_DEFINED","typeId":3,"label":"Partner"}',
	'{"category":"USER_DEFINED","typeId":3,"label":"Partner"}',
	'{"category":"USER_DEFINED","typeId":13,"label":"Partner"}',
	'{"category":"USER_DEFINED","typeId":0,"label":"Partner"}',
	'1', '');

# A record with its associations
sub record
{
	my ($from) = @_;
	my $types = rarely() ? pick(@types) : $types[0];
	my $space = rarely() ? ' ' : '';
	my @to = map { sprintf '{"toObjectId":%s%s,"associationTypes":[%s]}', $space, number(!rarely()), rarely() ? pick(@types) : $types }
	  1 .. pick(0, 1, 1, 1, 1, 2, 2, 3);
	my @members = (rarely() ? qq("from":{"id":$from}) : qq("from":{"id":"$from"}), '"to":[' . join(',', @to) . ']');

	push @members, pick('"x":{"from":{"id":"7"}}', '"paging":{}', '"paging":{"next":{}}', '"to":null') if rarely();
	@members = reverse @members if rarely();
	return '{' . join(',', @members) . '}';
}

# A pair, as created
sub pair
{
	my ($from, $to) = @_;
	my @specs = map { qq("associationSpec":{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":$_}) } 279, 280;

	return qq({"from":{"id":"$from"},"to":{"id":"$to"},$specs[0]},{"from":{"id":"$to"},"to":{"id":"$from"},$specs[1]}) if !rarely();
	return pick(
		qq({"from":{"id":"$from"},"to":{"id":"$to"},$specs[0]}),
		qq({"to":{"id":"$to"},"from":{"id":"$from"},$specs[0]}),
		qq({"from":{"id":$from},"to":{"id":$to},$specs[0]}),
		qq({"from":{"id":"$from"},"to":{"id":"\\u00${\ sprintf '%x', ord $to}${\ substr $to, 1}"},$specs[0]}),
		qq({"fromObjectTypeId":"0-1","fromObjectId":$from,"toObjectTypeId":"0-2","toObjectId":$to,"labels":["Partner"]}),
		qq({"fromObjectTypeId":"0-1","fromObjectId":$from,"toObjectTypeId":"0-2","toObjectId":$to,"labels":[]}),
		qq({"from":{"id":"0$from"},"to":{"id":"$to"},$specs[0]}),
		qq({"from":{"id":"$from"},"to":{"id":"${to}0"},$specs[0]}),
		qq({"from":{"id":"$from"},"to":{"id":"$to"}}),
		qq({"from":{"id":"$from"},$specs[0]}));
}

sub answer { my ($text) = @_; $hubspot->rules([ { match => {}, action => { status => 200, text => $text } } ]); return }

# What is said of each input, in the order of its rows
sub outcomes
{
	my ($call, $results) = @_;
	my @outcomes;

	answer(qq({"status":"COMPLETE","results":[$results]}));
	foreach my $row (split /\n/, $session->query(qq{SELECT input_no, to_jsonb(r) - 'input_no' - 'correlation_id' - 'error' FROM $call AS r}))
	{
		my ($no, $json) = $row =~ /^(\d+)\|(.*)$/ or die $row;
		push @{ $outcomes[ $no - 1 ] }, $json;
	}
	$hubspot->clear_rules;
	return map { join "\n", @{ $_ // [] } } @outcomes;
}

my %kinds = (
	read => sub {
		my @ids = @_;
		return sprintf q{hs_assoc_batch_read('contacts', 'companies', '{%s}'::text[])}, join ',', map { $_->[0] } @ids;
	},
	create => sub {
		my @ids = @_;
		return sprintf q{hs_assoc_batch_create('contacts', 'companies', $$SELECT * FROM (VALUES %s) AS v (from_id, to_id, type_id)$$)},
		  join ', ', map { "('$_->[0]', '$_->[1]', 279)" } @ids;
	});
my %found;

foreach my $document (1 .. $documents)
{
	foreach my $kind (sort keys %kinds)
	{
		my @ids = map { [ 100 * $_ + int rand 100, 7_000_000 + $_ ] } 1 .. pick(2, 12, 30);
		my @results = map { $kind eq 'read' ? record($_->[0]) : pair(@$_) } @ids;
		# who has no associations has no row
		my @together = outcomes($kinds{$kind}->(@ids), join ',', @results);
		my @alone = map { (outcomes($kinds{$kind}->($ids[$_]), $results[$_]))[0] // '' } 0 .. $#ids;
		my @differ;

		foreach my $i (0 .. $#ids)
		{
			$together[$i] //= '';

			# of what an answer leaves out, others tell nothing but that it is left out
			my $failed = ($alone[$i] =~ /"error_category": "/ && $together[$i] =~ /"error_category": "/);
			push @differ, "$results[$i]\n  alone: $alone[$i]\n  among others: $together[$i]" unless $failed || $alone[$i] eq $together[$i];
			$found{"$kind, " . ($failed ? 'failed' : 'succeeded')}++;
		}
		is(join("\n", @differ), '', "document $document, $kind: as if alone") or diag("SEED=$seed");
	}
}
is(join('; ', sort keys %found), 'create, failed; create, succeeded; read, failed; read, succeeded', 'both happened to both');
note(encode_json(\%found));

# A record that is looked up.  So that some are alike, odd is a place that is odd in many of
# them, and form the way in which a value is.
sub found_record
{
	my ($id, $key, $property, $odd, $form) = @_;
	my $is_odd = sub { my ($place) = @_; return $place eq $odd && rand() < 0.8 || rand() < 0.03 };
	my $value = sub {
		my ($text) = @_;
		my @forms = (
			qq(["$text","y$text"]), 'null', 77, 'true', qq({"x":"$text"}), '"\u00' . sprintf('%x', ord $text) . substr($text, 1) . '"',
			qq("\U$text\E"), qq(" $text"), qq("$text;x$text"), '""', '"same"', '"\u0073ame"');
		return $is_odd->('value') ? $forms[ $form % @forms ] : $is_odd->('any') ? pick(@forms) : qq("$text");
	};
	my @properties = (
		'"createdate":"2026-12-0' . int(rand 9) . '"',
		qq("$property":) . $value->($key),
		'"hs_additional_emails":' . (rand() < 0.7 ? 'null' : qq("second.$key;third.$key")),
		'"hs_merged_object_ids":' . (rand() < 0.7 ? '""' : qq("${id}1;${id}2")));

	push @properties, $properties[ rand @properties ] if $is_odd->('twice');
	@properties = reverse @properties if $is_odd->('order');
	my @members = (
		'"id":' . ($is_odd->('id') ? pick($id, 7, qq("0$id"), qq("$id "), 'null', '"\u0031' . substr($id, 1) . '"') : qq("$id")),
		'"properties":{' . join(',', @properties) . '}', '"createdAt":"2026-12-0' . int(rand 9) . '"', '"archived":false');

	push @members, pick('"id":"7"', '"properties":null', qq("properties":{"$property":"z$key"}), '"x":{"id":"7"}', qq("$property":"$key"))
	  if $is_odd->('member');
	push @members, map { qq("p$_":"$_") } 1 .. pick(9 .. 12) if $is_odd->('many');
	@members = reverse @members if $is_odd->('order');
	return '{' . join(',', @members) . '}';
}

# A text that is no longer JSON
sub broken { my ($text) = @_; my $place = int rand length $text; substr $text, $place, 1, pick('', '"', ',', '{', '\\'); return $text; }

# What is said of keys and ids that were looked up is the same if no record is like another one
my %resolved;

foreach my $document (1 .. 2 * $documents)
{
	my ($type, $property) = @{ pick([ 'contacts:email', 'email' ], [ 'deals:number', 'number' ], [ 'contacts', 'email' ]) };
	my @ids = map { 100 * $_ + int rand 100 } 1 .. pick(2, 12, 30);
	my @keys = $type eq 'contacts' ? @ids : map { "key$_\@example.com" } @ids;
	my ($odd, $form) = (pick('value', 'value', 'any', 'twice', 'order', 'id', 'member', 'many', ''), int rand 100);
	my @records = map { rarely() ? () : found_record($ids[$_], $keys[ rarely() ? rand @keys : $_ ], $property, $odd, $form) } 0 .. $#ids;
	my $call = sprintf q{hs_assoc_resolve('%s', '{%s}'::text[])}, $type, join ',', map { rand() < 0.05 ? (pick("x$_", "y$_", "second.$_")) : $_ } @keys;

	$records[-1] = broken($records[-1]) if @records && rarely();
	my @apart = map { my $spaces = ' ' x $_; $records[$_] =~ s/(?<=\{)/$spaces/r } 0 .. $#records;
	my ($alike, $apart) = map { join "\n", outcomes($call, join ',', @$_) } \@records, \@apart;

	is($alike, $apart, "document $document, $type: as if no record were like another one") or diag("SEED=$seed\n" . join "\n", @records);
	$resolved{$1}++ while $alike =~ /"error_category": (null|"\w+")/g;
}
ok($resolved{$_}, "some were $_") foreach 'null', '"RECORD_NOT_FOUND"';
note(encode_json(\%resolved));

# What is like another result but for one thing
my @usual = map { qq({"from":{"id":"$_"},"to":[{"toObjectId":1$_,"associationTypes":[$types[0]]}]}) } 1 .. 3;
foreach my $case (
	[ 'a number with a leading zero', '13,', '013,' ], [ 'half a number', '13,', '13e,' ], [ 'no number', '13,', ',' ],
	[ 'a bracket that is missing', ']}]}', ']}}' ], [ 'an end that is missing', ']}]}', ']}]' ], [ 'a comma too much', ']}]}', ']}]},' ])
{
	my ($what, $from, $to) = @$case;
	my @other = @usual;
	my $n = $other[2] =~ s/\Q$from\E/$to/;

	is($n, 1, "$what: it is there");
	is(scalar(grep { /"error_category": "/ && !/"to_id": "/ } outcomes($kinds{read}->([1], [2], [3]), join ',', @other)), 3, "$what: nothing is believed");
}
is(join(' ', map { /"to_id": "(\d+)"/ } outcomes($kinds{read}->([1], [2], [3]), join ',', @usual)), '11 12 13', 'otherwise all is');

$session->quit;
done_testing();
