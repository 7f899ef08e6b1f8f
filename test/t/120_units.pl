# Parts that can be tested with values: the throttle, the memory of keys, and what looks at
# several bytes at once, by C programs that are linked with nothing else, and the reading of
# JSON, against jsonb's own.

use strict;
use warnings;

use Encode qw(decode encode);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
note("SEED=$seed");
srand $seed;

#
# Programs of test/unit, each with the source that it is about, unless that is a header
#
sub test_unit
{
	my ($unit, @sources) = @_;
	my $compiler = $ENV{CC} // 'cc';
	my $top = "$FindBin::Bin/../..";
	my $program = PostgreSQL::Test::Utils::tempdir . "/${unit}_test";
	my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
	my $log = "$program.log";

  SKIP:
	{
		skip "no C compiler: $compiler", 1 if system("$compiler --version >$log 2>&1") != 0;
		chomp(my $headers = `$pg_config --includedir-server`);
		my $status = system("$compiler -std=gnu99 -O1 -I$headers -I$top/src"
			  . " -o $program $top/test/unit/${unit}_test.c @{[ map { qq($top/src/$_) } @sources ]}"
			  . " -Wl,--defsym=ExceptionalCondition=failed_assertion >$log 2>&1");
		is($status, 0, "$unit: it compiles without the server") or diag(slurp_file($log));
		skip 'it did not compile', 1 if $status != 0;

		foreach my $line (split /\n/, `$program $seed`)
		{
			my ($result, $name) = split /\t/, $line;
			ok($result eq 'ok', "$unit: $name") or diag("SEED=$seed");
		}
		is($?, 0, "$unit: it comes to its end");
	}
	return;
}

test_unit('throttle', 'account/throttle.c');
test_unit('key_ring', 'call/key_ring.c');
test_unit('bytes');

#
# JSON, as the body of an answer
#
my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);

create_own_reading($session);
$session->query('CREATE TABLE document (n int PRIMARY KEY, name text, expected text, as_text boolean)');

my @documents;				# name, bytes, expected: JSON, or undef: jsonb's own reading

sub same { push @documents, map { [ $_, $_, undef, 0 ] } @_; return }
sub becomes { my ($name, $bytes, $json) = @_; push @documents, [ $name, $bytes, $json, 0 ]; return }
sub is_text { my ($name, $bytes, $string) = @_; push @documents, [ $name, $bytes, $string // $bytes, 1 ]; return }

# What jsonb accepts is read as jsonb reads it.
same(qw(null true false 0 -0 1 -1 1.0 1.50 1e0 1E5 1e+5 1e-5 1.5e300 1e1000 1e-1000 -1.25E-10
	123456789012345678901234567890 0.000000000000000000000000000001 9007199254740993
	12345678901234567890.12345678901234567890 "" "a" [] {} [[]] [{}] {"":1} {"a":{}}));
same('[1,2,3]', ' [ 1 , 2 ] ', "\t{\n\"a\" :\r\n1 }\n", '{"a":1,"a":2,"b":3,"a":[4]}', '{"b":1,"a":2,"aa":0}',
	'["\u00e4\u20AC\uffff","\ud83d\ude00","\u0001\u001f\u007f"]', '"\"\\\\\/\b\f\n\r\t"',
	"\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"", '{"\u0061":1,"a":2}', '[true,false,null,"true"]',
	'[' . join(',', 1 .. 5000) . ']', '"' . 'x' x 1_000_000 . '"', '9' x 900, '0.' . '1' x 900,
	nested('[', ']', 200), nested('{"a":', '}', 200), '[' x 200 . ']' x 200);

# What numeric might not hold is given as a text, and so is what nests too deeply.
becomes('a huge exponent', '[1e1001]', '["1e1001"]');
becomes('a tiny exponent', '[1E-1001]', '["1E-1001"]');
becomes('an exponent of many digits', '{"a":1e99999999999999999999}', '{"a":"1e99999999999999999999"}');
becomes('a long number', '[' . '9' x 1001 . ']', '["' . '9' x 1001 . '"]');
becomes('leading zeroes of an exponent', '[1e0000000000000000005]', '[1e5]');
is_text('201 levels of arrays', '[' x 201 . ']' x 201);
is_text('201 levels of objects', nested('{"a":', '}', 201));
is_text('201 levels of both', nested('[{"a":', '}]', 100) =~ s/1/[1]/r);
is_text('10,000 levels', '[' x 10_000 . ']' x 10_000);
is_text('1,000,000 levels without an end', '[' x 1_000_000);

# What no text of the server can hold is replaced.
my $replaced = "\xef\xbf\xbd";
becomes('NUL', '["a\u0000b"]', "[\"a${replaced}b\"]");
becomes('NUL in a key', '{"a\u0000b":1}', "{\"a${replaced}b\":1}");
becomes('the first half of a pair', '["\ud83d"]', "[\"$replaced\"]");
becomes('the second half of a pair', '["\ude00"]', "[\"$replaced\"]");
becomes('a first half before a letter', '["\ud83dx"]', "[\"${replaced}x\"]");
becomes('a first half before an escape', '["\ud83d\n"]', "[\"$replaced\\n\"]");
becomes('a first half before another letter\'s escape', '["\ud83d\u0041"]', "[\"${replaced}A\"]");
becomes('two first halves and a second', '["\ud83d\ud83d\ude00"]', "[\"$replaced\xf0\x9f\x98\x80\"]");
becomes('halves the wrong way round', '["\ude00\ud83d"]', "[\"$replaced$replaced\"]");
becomes('the last pair there is', '["\udbff\udfff"]', "[\"\xf4\x8f\xbf\xbf\"]");
becomes('a byte that is not UTF-8', "[\"a\xffb\"]", "[\"a${replaced}b\"]");
becomes('a character that is cut by the end of the string', "[\"a\xc3\"]", "[\"a${replaced}\"]");
becomes('a character that is cut by a letter', "[\"\xe2a\"]", "[\"${replaced}a\"]");
becomes('an overlong NUL', "[\"\xc0\x80\"]", "[\"$replaced$replaced\"]");
becomes('a surrogate in UTF-8', "[\"\xed\xa0\x80\"]", "[\"$replaced$replaced$replaced\"]");
becomes('beyond Unicode', "[\"\xf5\x80\x80\x80\"]", "[\"" . $replaced x 4 . "\"]");
becomes('a key that is not UTF-8', "{\"\xff\":1}", "{\"$replaced\":1}");

# What is no JSON is given as the text that it is.
is_text($_, $_) foreach '{', '}', '[', ']', '[1,]', '[,1]', '{"a"}', '{"a":}', '{"a":1,}', '{a:1}', '{1:2}',
  '{"a" 1}', '[1 2]', '[1}', '{"a":1]', '"', '"a', '\'a\'', 'nul', 'nulll', 'True', 'NaN', 'Infinity',
  '01', '1.', '.1', '-', '+1', '1e', '1e+', '0x10', '1_000', '1 2', '{} {}', '[] x', '// comment', '"\x"', '"\u12"',
  '"\u12g4"', "\"a\nb\"", "\"a\tb\"", "\"\x01\"", '  ', "\n", '<html><body>502</body></html>', 'ok', ',', ':';
becomes('a byte-order mark', "\xef\xbb\xbf{}", '{}');
is_text('a NUL byte', "{\"a\":\0}", "{\"a\":$replaced}");
is_text('NUL bytes only', "\0\0\0", $replaced x 3);
is_text('a control character between', "[\x0b1]");
is_text('no UTF-8 between', "[\xff]", "[$replaced]");
is_text('only an end of UTF-8', "\x80\x81", "$replaced$replaced");

my $values = @documents;

# Random documents, as they are and with some byte changed; some of these are
# JSON nonetheless.
while (@documents < $values + 500)
{
	my $document = encode('UTF-8', random_value(0));
	my $bytes = $document;

	if (@documents % 2)
	{
		my $place = int rand length $bytes;
		my $kind = int rand 3;
		substr $bytes, $place, $kind == 0 ? 1 : 0, $kind == 2 ? '' : substr '{}[],:"\\0eE+-.tn x', int rand 19, 1;
		substr $bytes, $place, 1, '' if $kind == 2;
		next unless length $bytes && eval { decode('UTF-8', my $copy = $bytes, Encode::FB_CROAK) };
		next if $bytes =~ /\\u(0000|d[89a-f])|e[+-]?\d{4}/i;
	}
	push @documents, [ "random $seed/" . @documents, $bytes, undef, 0 ];
}

load_documents();
$session->query('SET statement_timeout = 0');
my @bad = split /\n/, $session->query(q{
	SELECT d.n FROM document d, hs_assoc_request('GET', '/document/' || d.n) r
	WHERE r.body::text IS DISTINCT FROM
		CASE WHEN d.as_text THEN to_jsonb(d.expected)
			ELSE coalesce(own_reading(d.expected), to_jsonb(d.expected)) END::text
	ORDER BY d.n});
my %is_bad = map { $_ => 1 } @bad;
foreach my $n (0 .. $values - 1)
{
	ok(!$is_bad{$n}, 'JSON: ' . shown($documents[$n][0])) or explain_document($n);
}
is(scalar(grep { $_ >= $values } @bad), 0, '500 random documents are read as jsonb reads them')
  or explain_document((grep { $_ >= $values } @bad)[0]);
cmp_ok($session->query("SELECT count(*) FROM document WHERE n >= $values AND own_reading(expected) IS NULL"),
	'>=', 50, 'many of them are no JSON');

is($session->query("SELECT body IS NULL FROM hs_assoc_request('GET', '/empty')"), 't', 'an empty body is null');

# The same reader fills structs from batches: whatever stands around and within
# what it looks for, the pair is confirmed or it isn't.
my %answers = (
	'{"results":[{"fromObjectId":1,"toObjectId":2,"labels":[]}]}' => 't',
	'{"results":[{"toObjectId":"2","x":[[{}]],"fromObjectId":"1","labels":[null,"a",{"b":[]}]}],"errors":[]}' => 't',
	'{"status":null,"results":[null,1,"x",[],{},{"fromObjectId":1,"toObjectId":2,"labels":["a"]}],"results2":1}' => 't',
	'{"results":[{"fromObjectId":"\u0031","toObjectId":"2","labels":["a"]}]}' => 't',
	'{"results":[{"fromObjectId":1.0,"toObjectId":2,"labels":["a"]}]}' => 'f',
	'{"results":[{"fromObjectId":1,"toObjectId":"2 ","labels":["a"]}]}' => 'f',
	'{"results":[{"fromObjectId":[1],"toObjectId":2,"labels":["a"]}]}' => 'f',
	'{"results":{"fromObjectId":1,"toObjectId":2,"labels":["a"]}}' => 'f',
	'{"results":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}' => 'f',
	'{"results":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]}x' => 'f',
	'[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]' => 'f',
	'{"Results":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]}' => 'f',
	'{"result":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]}' => 'f',
	'{"resultsx":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]}' => 'f',
	'{"":[{"fromObjectId":1,"toObjectId":2,"labels":["a"]}]}' => 'f');
foreach my $answer (sort keys %answers)
{
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '/batch/' }, action => { text => $answer } });
	is($session->query(q{SELECT ok FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT 1 AS from_id, 2 AS to_id, 279 AS type_id')}),
		$answers{$answer}, "a batch's answer: $answer");
}

$session->quit;
done_testing();

sub nested
{
	my ($open, $close, $levels) = @_;
	return $open x $levels . '1' . $close x $levels;
}

sub shown
{
	my ($name) = @_;
	$name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
	return length $name > 60 ? substr($name, 0, 57) . '...' : $name;
}

# To the simulator as what it answers, and to the server as what to expect.
sub load_documents
{
	my @rules = map
	{
		+{ match => { path => "^/document/$_\$" }, action => { base64 => encode_base64($documents[$_][1], '') } }
	} 0 .. $#documents;
	my $csv = '';

	$hubspot->rules([ @rules, { match => { path => '^/empty$' }, action => { text => '' } } ]);
	foreach my $n (0 .. $#documents)
	{
		my ($name, $bytes, $expected, $as_text) = @{ $documents[$n] };
		$expected //= $bytes;
		s/"/""/g foreach $expected;
		$csv .= qq($n,"","$expected",$as_text\n);
	}
	my $file = PostgreSQL::Test::Utils::tempdir . '/documents.csv';
	append_to_file($file, $csv);
	$session->query("COPY document FROM '$file' (FORMAT csv, ENCODING 'UTF8')");
	return;
}

sub explain_document
{
	my ($n) = @_;
	diag("SEED=$seed, document: " . substr($documents[$n][1], 0, 1000));
	diag($session->query("SELECT left(r.body::text, 1000), left(d.expected, 1000), left(own_reading(d.expected)::text, 1000)
		FROM document d, hs_assoc_request('GET', '/document/' || d.n) r WHERE d.n = $n"));
	return;
}

# A JSON text, as characters.
sub random_value
{
	my ($depth) = @_;
	my $kind = int rand($depth > 6 ? 5 : 8);

	return (qw(true false null))[ rand 3 ] if $kind == 0;
	return random_number() if $kind == 1;
	return random_string() if $kind <= 4;
	return '[' . join(random_space() . ',', map { random_space() . random_value($depth + 1) } 1 .. rand 5) . random_space() . ']'
	  if $kind <= 6;
	return '{' . join(',', map { random_space() . random_string() . random_space() . ':' . random_space() . random_value($depth + 1) }
			1 .. rand 5) . random_space() . '}';
}

sub random_space { return join '', map { (" ", "\t", "\n", "\r")[ rand 4 ] } 1 .. (rand 4) - 2 }

sub random_number
{
	return (rand() < 0.3 ? '-' : '')
	  . (rand() < 0.2 ? '0' : join '', 1 + int rand 9, map { int rand 10 } 1 .. rand 25)
	  . (rand() < 0.4 ? '.' . join('', map { int rand 10 } 0 .. rand 25) : '')
	  . (rand() < 0.3 ? (qw(e E))[ rand 2 ] . ('', '+', '-')[ rand 3 ] . int rand 400 : '');
}

sub random_string
{
	my @kinds = (
		sub { ('a' .. 'e', 'A', '0', ' ', '/', '{', ']', ',')[ rand 12 ] },
		sub { '\\' . (qw(" \\ / b f n r t))[ rand 8 ] },
		sub { sprintf '\\u%04x', 1 + int rand 0xd7ff },
		sub { sprintf '\\uD8%02X\\udc%02x', int rand 256, int rand 256 },
		sub { chr 0xa0 + int rand 0x1000 },
		sub { chr 0x10000 + int rand 0x1000 });
	return '"' . join('', map { $kinds[ rand() < 0.5 ? 0 : rand @kinds ]->() } 1 .. rand 12) . '"';
}
