# Whole answers, read by the extension and by jsonb: the rows are the same.
#
# Answers of every shape are made at random, with whatever JSON allows (white
# space, escapes, any order of members, unknown ones, duplicates, numbers in odd
# forms) and with values of other kinds than expected; some are cut off or have a
# byte changed. A server in Perl gives them to the SQL functions. What the rows
# should be is said by functions in SQL, which read the same text as jsonb.
#
# The two differ where jsonb refuses a text or changes it, and the extension is
# to have an answer nonetheless. So what jsonb gets has
#	- U+FFFD in place of \u0000 and of half a surrogate pair,
#	- null in place of a value that nests 5,000 levels deep.
# Duplicates of a member are of one kind, since the extension passes over a value
# of another kind, and jsonb takes the last one whatever it is; of lists, all but
# the last are empty. Ids are not written with an exponent, which jsonb would make
# another text of.

use strict;
use warnings;

use Encode qw(decode encode);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use Cpanel::JSON::XS ();
use List::Util qw(max shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
srand $seed;

# fewer where each takes longer, but enough to have all kinds
my $documents = $ENV{DOCUMENTS} // max(1000, int(3500 / ($ENV{TEST_SLOWDOWN} // 1)));
note("SEED=$seed DOCUMENTS=$documents");

# Stand for what the two are given differently.
my ($odd_character, $deep_value) = ("\x{e000}", "\x{e001}");

my %shapes = (
	envelope => {
		make => \&envelope,
		call => q{SELECT string_agg(format('%s %s %s %s %s', r.input_no, r.ok, r.error_category,
				(SELECT array_agg(row(t.category, t.type_id)::text ORDER BY n) FROM unnest(r.types) WITH ORDINALITY AS t (category, type_id, label, is_primary, n)),
				r.labels), E'\n' ORDER BY r.input_no)
			FROM hs_assoc_batch_create('ANSWER', 'companies',
				'SELECT 2 * i - 1 AS from_id, 2 * i AS to_id, 279 AS type_id FROM generate_series(1, 3) i') r},
	},
	silent => {
		make => \&silent,
		call => q{SELECT string_agg(format('%s %s %s', r.input_no, r.ok, r.error_category), E'\n' ORDER BY r.input_no)
			FROM hs_assoc_batch_archive('ANSWER', 'companies',
				'SELECT 2 * i - 1 AS from_id, 2 * i AS to_id FROM generate_series(1, 3) i') r},
	},
	records => {
		make => \&records,
		call => q{SELECT string_agg(format('%s %s %s %s %s %s', r.input_no, r.to_id, r.category, r.type_id, r.label, r.error_category), E'\n')
			FROM hs_assoc_batch_read('ANSWER', 'companies', ARRAY['1', '2', '3']) r},
	},
	page => {
		make => \&page,
		call => q{SELECT string_agg(format('%s %s %s %s', r.to_id, r.category, r.type_id, r.label), E'\n')
			FROM hs_assoc_list('ANSWER', '1', 'companies') r},
	},
	pair => {
		make => \&pair,
		call => q{SELECT format('%s %s', r.ok, r.labels)
			FROM hs_assoc_create('ANSWER', '1', 'companies', '2', '{279}') r},
	},
	definitions => {
		make => \&definitions,
		call => q{SELECT string_agg(format('%s %s %s', r.category, r.type_id, r.label), E'\n' ORDER BY r.category, r.type_id, r.label)
			FROM hs_assoc_labels('ANSWER', 'companies') r},
	},
	refusal => {
		make => \&refusal,
		status => 400,
		call => q{SELECT format('%s %s %s', r.error_category, r.error_message, r.correlation_id)
			FROM hs_assoc_batch_create_default('ANSWER', 'companies', 'SELECT 1 AS from_id, 2 AS to_id') r},
	});

#
# The answers: shape, bytes, and what jsonb gets
#
my @answers;
my $has_errors;				# the answer that is being made
while (@answers < $documents)
{
	my $shape = (sort keys %shapes)[ @answers % keys %shapes ];
	$has_errors = 0;
	my $text = $shapes{$shape}{make}->();
	my $as_jsonb = $text;

	if (rand() < 0.3)
	{
		# broken, or as good as before; nothing of what the two read differently
		next if $text =~ /[$odd_character$deep_value]/o;
		$text = $as_jsonb = damaged($text);
		next if $text =~ /\d[eE][+-]?\d|-0|\\u(0000|d[89a-f])/i;
	}
	$text =~ s/$odd_character/rand() < 0.5 ? '\\u0000' : sprintf '\\u%04x', 0xd800 + int rand 0x800/ge;

	# two halves that follow each other may be a pair
	next if $text =~ /\\ud[89ab]..\\ud[c-f]/i && $as_jsonb =~ /$odd_character/o;
	$text =~ s/$deep_value/'[' x 5000 . ']' x 5000/ge;
	$as_jsonb =~ s/$odd_character/\\ufffd/g;
	$as_jsonb =~ s/$deep_value/[[]]/g;
	push @answers, [ $shape, encode('UTF-8', $text), encode('UTF-8', $as_jsonb) ];
}

my ($port, $server) = start_server();
END { kill 'TERM', $server if $server }

my $node = start_node();
$node->safe_psql('postgres', qq{
	CREATE EXTENSION hubspot_assoc;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc
		OPTIONS (base_url 'http://127.0.0.1:$port', max_retries '0', rate_limit '0');
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'x')});
$node->safe_psql('postgres', expectations());

my $file = PostgreSQL::Test::Utils::tempdir . '/answers.csv';
my $csv = '';
foreach my $n (0 .. $#answers)
{
	my ($shape, undef, $as_jsonb) = @{ $answers[$n] };
	s/"/""/g foreach $as_jsonb;
	$csv .= qq($n,$shape,"$as_jsonb"\n);
}
append_to_file($file, $csv);

my $session = start_session($node);
$session->query('SET client_min_messages = warning');
$session->query("COPY answer (n, shape, document) FROM '$file' (FORMAT csv, ENCODING 'UTF8')");
create_own_reading($session);
$session->query('UPDATE answer SET j = own_reading(document)');
foreach my $shape (sort keys %shapes)
{
	my $name = "$shape: the rows are those that jsonb has";

	$session->query("UPDATE answer SET got = got(\$\$$shapes{$shape}{call}\$\$, n), expected = expected_$shape(j) WHERE shape = '$shape'");
	my ($all, $unreadable, $same) = split /\|/, $session->query(qq{
		SELECT count(*), count(*) FILTER (WHERE j IS NULL), count(*) FILTER (WHERE got IS NOT DISTINCT FROM expected)
		FROM answer WHERE shape = '$shape'});

	is($same, $all, "$name ($all answers, $unreadable of them no JSON)") or show($shape);

	# what is compared differs from answer to answer, and not all of it is refused
	cmp_ok($session->query("SELECT count(DISTINCT got) FROM answer WHERE shape = '$shape' AND j IS NOT NULL"),
		'>=', 5, "$shape: there are different rows");
	cmp_ok($unreadable, '>', 0, "$shape: there is no JSON among them");
}

# The differences, one by one
my %differences = (
	'{"fromObjectId":1e0,"toObjectId":2,"labels":[]}' => 'f',
	'{"fromObjectId":1,"toObjectId":2,"labels":[],"fromObjectId":null}' => 't',
	'{"fromObjectId":9,"fromObjectId":1,"toObjectId":2,"labels":[]}' => 't',
	'{"fromObjectId":1,"fromObjectId":9,"toObjectId":2,"labels":[]}' => 'f',
	'{"fromObjectId":1,"x\u0000":"\ud800","toObjectId":2,"labels":[]}' => 't',
	'{"fromObjectId":1,"x":' . '[' x 100_000 . ']' x 100_000 . ',"toObjectId":2,"labels":[]}' => 't',
	'{"fromObjectId":1,"x":' . '[' x 100_000 . ',"toObjectId":2,"labels":[]}' => 'f');
my $hubspot = start_simulator();
create_account($node, $hubspot, name => 'simulator', max_retries => 0);
foreach my $answer (sort keys %differences)
{
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '/associations/' }, action => { text => $answer } });
	is($session->query(q{SELECT ok FROM hs_assoc_create('contacts', '1', 'companies', '2', '{279}', server => 'simulator')}),
		$differences{$answer}, 'read otherwise than as jsonb: ' . substr($answer, 0, 70));
}

$session->quit;
done_testing();

# What is wrong, of one answer.
sub show
{
	my ($shape) = @_;
	diag("SEED=$seed DOCUMENTS=$documents");
	diag($session->query(qq{
		SELECT n, left(document, 3000), 'got:', got, 'expected:', expected FROM answer
		WHERE shape = '$shape' AND got IS DISTINCT FROM expected ORDER BY length(document) LIMIT 1}));
	return;
}

# A server that answers /crm/.../aN/... with the answer N.
sub start_server
{
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16)
	  or die "could not listen: $!";
	my $parent = $$;
	my $child = fork // die "fork: $!";
	return ($listener->sockport, $child) if $child;

	undef $server;
	$SIG{PIPE} = 'IGNORE';
	$SIG{TERM} = sub { POSIX::_exit(0) };
	my $select = IO::Select->new($listener);
	my %buffers;
	while (getppid == $parent)
	{
		foreach my $socket ($select->can_read(1))
		{
			if ($socket == $listener)
			{
				my $connection = $listener->accept;
				$select->add($connection) if $connection;
				next;
			}
			my $buffer = \($buffers{ fileno $socket } //= '');
			if (!sysread $socket, $$buffer, 65536, length $$buffer)
			{
				delete $buffers{ fileno $socket };
				$select->remove($socket);
				close $socket;
				next;
			}
			while ($$buffer =~ /^(.*?\r\n\r\n)/s)
			{
				my $head = $1;
				my $length = $head =~ /^Content-Length: *(\d+)/mi ? $1 : 0;
				last if length $$buffer < length($head) + $length;
				substr $$buffer, 0, length($head) + $length, '';
				my ($n) = $head =~ m{^\S+ \S*/a(\d+)/};
				my ($shape, $bytes) = @{ $answers[$n] };
				my $status = $shapes{$shape}{status} // 200;
				my $reply = "HTTP/1.1 $status Answer\r\nContent-Length: " . length($bytes) . "\r\n\r\n$bytes";
				while (length $reply)
				{
					my $written = syswrite $socket, $reply or last;
					substr $reply, 0, $written, '';
				}
			}
		}
	}
	POSIX::_exit(0);
}

#
# Random answers, as characters
#
sub pick { return $_[ rand @_ ] }
sub space { return rand() < 0.7 ? '' : join '', map { pick(" ", "\t", "\n", "\r") } 0 .. rand 3 }

# A text of JSON, some of its characters escaped.
sub text
{
	my ($value) = @_;
	return '"' . join('', map
		{
			/["\\]/ ? "\\$_" :
			/[$odd_character]/o ? $_ :
			rand() < 0.9 || ord > 0xffff ? $_ :
			sprintf(pick('\\u%04x', '\\u%04X'), ord)
		} split //, $value) . '"';
}

sub words
{
	return join '', map
	{
		pick('a' .. 'e', ' ', '{', ']', ',', ':', '"', '\\', "\x{e4}", "\x{20ac}", "\x{1f600}", $odd_character)
	} 0 .. rand shift;
}

sub number
{
	return (rand() < 0.3 ? '-' : '')
	  . (rand() < 0.2 ? '0' : join '', 1 + int rand 9, map { int rand 10 } 1 .. rand 25)
	  . (rand() < 0.4 ? '.' . join('', map { int rand 10 } 0 .. rand 25) : '')
	  . (rand() < 0.3 ? pick('e', 'E') . pick('', '+', '-') . int rand 400 : '');
}

sub array
{
	return '[' . join(',', map { space() . $_ . space() } @_) . ']' if @_;
	return '[' . space() . ']';
}

# Any value; not one of the kinds that begin with these characters.
sub other
{
	my ($not, $depth) = @_;
	$depth //= 0;
	while (1)
	{
		my $kind = int rand($depth > 3 ? 7 : 10);
		my $value = $kind == 0 ? pick(qw(true false)) : $kind == 1 ? 'null' : $kind == 2 ? number() :
		  $kind <= 5 ? text(words(6)) :
		  $kind == 6 ? (rand() < 0.05 ? $deep_value : '{}') :
		  $kind == 7 ? array(map { other('', $depth + 1) } 1 .. rand 4) :
		  '{' . join(',', map { text(words(3)) . ':' . other('', $depth + 1) } 1 .. rand 4) . '}';
		$value = 'null' if $value eq $deep_value && $not =~ /\[/;
		next if $not =~ /\Q${\ substr $value, 0, 1}/ || ($not =~ /0/ && $value =~ /^[-\d]/);
		return $value;
	}
}

# An object of these members, [ name, value[, what else it may be before] ].
sub object
{
	my @members;

	foreach my $member (shuffle @_)
	{
		my ($name, $value, $decoy) = @$member;
		push @members, [ $name, $decoy ] if defined $decoy && kind($decoy) eq kind($value) && rand() < 0.1;
		push @members, [ $name, $value ];
		push @members, [ 'x' . words(3), other('') ] if rand() < 0.2;
	}
	return '{' . space() . join(',', map { space() . text($_->[0]) . space() . ':' . space() . $_->[1] . space() } @members) . '}';
}

# What the extension reads alike: a number that is an int, in quotes or not, any
# other text or number, and so on.
sub kind
{
	my ($value) = @_;
	return $value =~ /^"?\d{1,9}"?$/ ? 'int' : $value =~ /^["\d-]/ ? 'scalar' : substr $value, 0, 1;
}

# Those of the members that are there, most of the time.
sub some { return grep { rand() < 0.95 } @_ }
sub mostly { my ($value, $not) = @_; return rand() < 0.95 ? $value : other($not) }

sub id
{
	my ($id) = @_;
	my $kind = rand;
	return $kind < 0.45 ? $id : $kind < 0.9 ? text($id) : pick("$id.0", "-$id", text("$id "), text("0$id"), other('0"'));
}

sub int32
{
	my ($number) = @_;
	my $kind = rand;
	return $kind < 0.6 ? $number : $kind < 0.9 ? text($number) :
	  pick("$number.0", '2147483647', '2147483648', '-2147483648', 0, -1, text('-'), text(''), text("1x"),
		'99999999999999999999', text('000000000000000000001'), other('0"'));
}

sub category { return mostly(text(pick(qw(HUBSPOT_DEFINED USER_DEFINED), words(5))), '"0') }
sub label { return pick('null', text(words(6)), other('0')) }

sub labels { return array(map { pick(text(words(4)), text(words(4)), number_without_exponent(), other('"0')) } 1 .. rand 4) }
sub number_without_exponent { return pick(0, 1, 17, -5, '1.50') }

sub result
{
	my ($from, $to) = @_;
	my @members = rand() < 0.5 ?
	  ([ 'fromObjectId', id($from), 77 ], [ 'toObjectId', id($to), text('77') ], [ 'labels', mostly(labels(), '['), '[]' ]) :
	  ([ 'from', mostly(object(some([ 'id', id($from) ])), '{'), '{}' ], [ 'to', mostly(object(some([ 'id', id($to) ])), '{'), '{}' ],
		[ 'associationSpec', mostly(object(some([ 'associationCategory', category(), text('X') ], [ 'associationTypeId', int32(pick(1, 279)), 5 ])), '{') ]);
	return object(some(@members));
}

sub errors
{
	return array(map
		{
			my $i = pick(1, 2, 3, 4);
			$has_errors = 1;
			mostly(object([ 'category', text('VALIDATION_ERROR') ], [ 'message', text(words(5)) ],
				[ 'context', object([ 'fromObjectId', array(text(2 * $i - 1)) ], [ 'toObjectId', array(text(2 * $i)) ]) ]), '{')
		} 1 .. rand() < 0.2 ? 2 : 0);
}

sub status { return pick(text('COMPLETE'), text('COMPLETE'), text('PENDING'), other('"')) }

sub envelope
{
	my @results = map { my $i = pick(1, 2, 3, 1, 2, 3, 8); mostly(result(2 * $i - 1, 2 * $i), '{') } 1 .. rand 7;
	return space() . object(some([ 'status', status() ], [ 'results', mostly(array(@results), '['), '[]' ], [ 'numErrors', pick(0, 1) ],
		[ 'errors', mostly(errors(), '['), '[]' ])) . space();
}

sub silent
{
	return space() . object(some([ 'status', status() ], [ 'results', array() ], [ 'errors', mostly(errors(), '[') ]),
		rand() < 0.3 ? [ 'numErrors', pick(0, 1, text('0'), text('2'), '-1', '1.5', text(''), other('"0')) ] : (),
		rand() < 0.1 ? [ pick(qw(message category error)), other('') ] : ());
}

sub association
{
	my @types = map { mostly(object(some([ 'category', category(), text('X') ], [ 'typeId', int32(pick(1 .. 300)), 1 ], [ 'label', label() ])), '{') } 1 .. rand 3;
	return mostly(object(some([ 'toObjectId', pick(id(pick(1 .. 99)), id(pick(1 .. 99)), text(pick('x', '.', '..', "a\x{e4}", 'b' x 100, 'b' x 101, ''))), 5 ],
		[ 'associationTypes', mostly(array(@types), '['), '[]' ])), '{');
}

# A list of those that can be read, most of the time.
sub associations { my $n = rand 4; return array(map { association() } 1 .. (rand() < 0.5 ? $n : 1)) }

sub paging
{
	return other('{') if rand() < 0.3;
	return object(some([ 'next', mostly(object(some([ 'after', pick(text(''), other('"0')) ], rand() < 0.2 ? [ 'link', text('?after=x') ] : ())), '{') ]));
}

sub records
{
	my @records = map
	{
		mostly(object(some([ 'from', mostly(object(some([ 'id', id($_) ])), '{') ], [ 'to', mostly(associations(), '['), '[]' ],
			rand() < 0.2 ? [ 'paging', paging() ] : ())), '{')
	} shuffle(1 .. 3, rand() < 0.1 ? 1 : (), 9);
	push @records, $records[0] if rand() < 0.1;
	return space() . object([ 'status', text('COMPLETE') ], some([ 'results', mostly(array(@records), '['), '[]' ])) . space();
}

sub page
{
	return object(some([ 'results', mostly(associations(), '['), '[]' ]), rand() < 0.2 ? [ 'paging', paging() ] : ());
}

sub pair
{
	my @members = some([ 'fromObjectId', id(1), 77 ], [ 'toObjectId', id(2), 77 ], [ 'labels', mostly(labels(), '['), '[]' ]);
	return rand() < 0.5 ? object(@members) : object([ 'entity', mostly(object(@members), '{'), '{}' ]);
}

sub definitions
{
	my $wrong = rand() < 0.3;
	my @definitions = map
	{
		$wrong ?
		  mostly(object(some([ 'category', category() ], [ 'typeId', int32(pick(1 .. 300)) ], [ 'label', label() ],
			[ 'userEnforcedMaxToObjectIds', pick(other('"0'), 0, 5, text('7'), '-1', '1.5', '2147483648', text('x'), text('')) ])), '{') :
		  object([ 'category', text(words(5)), text('X') ], [ 'typeId', pick(1 .. 300), 5 ], [ 'label', label() ])
	} 1 .. rand 5;
	return object(some([ 'results', mostly(array(@definitions), '['), '[]' ]));
}

sub refusal
{
	return object(some([ 'category', mostly(text(pick('VALIDATION_ERROR', words(5))), '"0'), text('X') ], [ 'message', mostly(text(words(9)), '"0'), text('x') ],
		[ 'correlationId', mostly(text(words(4)), '"0') ]));
}

# Cut off after a character or more (nothing at all is an answer of its own), or
# with a character more, less or changed. What names inputs is only cut off: an
# error says much in other words, too.
sub damaged
{
	my ($text) = @_;
	my $place = 1 + int rand(length($text) - 1);
	my $kind = $has_errors ? 0 : int rand 4;

	return substr $text, 0, $place if $kind == 0;
	substr $text, $place, $kind == 1 ? 0 : 1, $kind == 3 ? '' : pick(split //, '{}[],:"\\0eE+-.tn x');
	return $text;
}

#
# What the rows should be, from jsonb
#
sub expectations
{
	return <<'SQL';
CREATE TABLE answer (n int PRIMARY KEY, shape text, document text, j jsonb, got text, expected text);

-- what the call comes to, for the answer n
CREATE FUNCTION got(call text, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE replace(call, 'ANSWER', 'a' || n) INTO result;
	RETURN result;
EXCEPTION WHEN protocol_violation THEN
	RETURN 'unreadable';
END $$;

-- a text or a number as a text, else null
CREATE FUNCTION txt(v jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN jsonb_typeof(v) IN ('string', 'number') THEN v #>> '{}' END $$;

-- an int, or null
CREATE FUNCTION num(v jsonb) RETURNS int LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN txt(v) ~ '^-?[0-9]+$' AND txt(v)::numeric BETWEEN -2147483648 AND 2147483647 THEN txt(v)::int END $$;

CREATE FUNCTION members(v jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN jsonb_typeof(v) = 'object' THEN v END $$;

CREATE FUNCTION elements(v jsonb, OUT e jsonb, OUT n bigint) RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $$
	SELECT * FROM jsonb_array_elements(CASE WHEN jsonb_typeof(v) = 'array' THEN v ELSE '[]' END) WITH ORDINALITY $$;

-- the texts and numbers of an array; null if it is none
CREATE FUNCTION texts(v jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(array_agg(txt(e) ORDER BY n) FILTER (WHERE txt(e) IS NOT NULL), '{}') FROM elements(v) HAVING jsonb_typeof(v) = 'array' $$;

-- is the pair named by an error?
CREATE FUNCTION refused(errors jsonb, f text, t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT EXISTS (SELECT FROM elements(errors) WHERE texts(e -> 'context' -> 'fromObjectId') = ARRAY[f]
		AND texts(e -> 'context' -> 'toObjectId') = ARRAY[t]) $$;

CREATE FUNCTION expected_envelope(j jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text[];
	ok boolean;
	refused boolean;
	types text[];
	labels text[];
BEGIN
	FOR i IN 1 .. 3 LOOP
		WITH matching AS (
			SELECT e, n, txt(e -> 'associationSpec' -> 'associationCategory') AS category, num(e -> 'associationSpec' -> 'associationTypeId') AS type_id
			FROM elements(members(j) -> 'results')
			WHERE coalesce(txt(e -> 'fromObjectId'), txt(members(e -> 'from') -> 'id')) = (2 * i - 1)::text
				AND coalesce(txt(e -> 'toObjectId'), txt(members(e -> 'to') -> 'id')) = (2 * i)::text)
		SELECT count(*) > 0,
			(SELECT array_agg(row(category, type_id)::text ORDER BY first) FROM (
				SELECT category, type_id, min(n) AS first FROM matching WHERE category IS NOT NULL AND type_id <> 0
				GROUP BY category, type_id) AS t),
			(SELECT texts(e -> 'labels') FROM matching WHERE e ? 'labels' ORDER BY n DESC LIMIT 1)
		INTO ok, types, labels FROM matching;
		refused := refused(members(j) -> 'errors', (2 * i - 1)::text, (2 * i)::text);
		result := result || CASE WHEN refused THEN format('%s f VALIDATION_ERROR  ', i)
			WHEN ok THEN format('%s t  %s %s', i, types, labels)
			ELSE format('%s f UNCONFIRMED  ', i) END;
	END LOOP;
	RETURN array_to_string(result, E'\n');
END $$;

CREATE FUNCTION expected_silent(j jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN refused(members(j) -> 'errors', (2 * i - 1)::text, (2 * i)::text) THEN format('%s f VALIDATION_ERROR', i)
		WHEN done THEN format('%s t ', i) ELSE format('%s f UNCONFIRMED', i) END, E'\n' ORDER BY i)
	FROM generate_series(1, 3) AS i, (
		SELECT jsonb_typeof(j) = 'object'
			AND (txt(j -> 'status') = 'COMPLETE' OR coalesce(j -> 'status', 'null') = 'null' AND NOT EXISTS (
				SELECT FROM unnest('{message,category,error}'::text[]) AS k WHERE j -> k <> 'null'))
			-- all errors are told, can be read and name an input that there is
			AND coalesce(txt(j -> 'numErrors'), nullif(j -> 'numErrors', 'null')::text, '0') ~ '^[0-9]+$'
			AND coalesce(nullif(txt(j -> 'numErrors'), ''), '0')::numeric <= count(e) FILTER (WHERE jsonb_typeof(e) = 'object')
			AND coalesce(bool_and(jsonb_typeof(e) = 'object'), true)
			AND jsonb_typeof(coalesce(j -> 'errors', '[]')) IN ('array', 'null')
			AND coalesce(bool_and(jsonb_typeof(e) <> 'object' OR (e #>> '{context,fromObjectId,0}')::int < 7), true) AS done
		FROM (SELECT e FROM elements(members(j) -> 'errors')) AS errors) AS told
$$;

-- the rows of a list of associations, each type of a pair once, and those of a pair together; null: it cannot be read
CREATE FUNCTION associations(list jsonb, paging jsonb) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	ids text[] := '{}';
	types text[] := '{}';
	labels text[] := '{}';
	a jsonb;
	t jsonb;
BEGIN
	FOR a IN SELECT e FROM elements(list) ORDER BY n LOOP
		IF jsonb_typeof(a) <> 'object' OR txt(a -> 'toObjectId') IS NULL OR txt(a -> 'toObjectId') !~ '^[!-~]{1,100}$'
			OR txt(a -> 'toObjectId') IN ('.', '..') OR jsonb_typeof(coalesce(a -> 'associationTypes', '[]')) NOT IN ('array', 'null') THEN
			RETURN NULL;
		END IF;
		IF NOT EXISTS (SELECT FROM elements(a -> 'associationTypes')) THEN
			ids := ids || txt(a -> 'toObjectId');
			types := types || ' '::text;
			labels := labels || ''::text;
		END IF;
		FOR t IN SELECT e FROM elements(a -> 'associationTypes') ORDER BY n LOOP
			IF jsonb_typeof(t) <> 'object' OR txt(t -> 'category') IS NULL OR coalesce(num(t -> 'typeId'), 0) < 1 THEN
				RETURN NULL;
			END IF;
			ids := ids || txt(a -> 'toObjectId');
			types := types || format('%s %s', txt(t -> 'category'), num(t -> 'typeId'));
			labels := labels || coalesce(txt(t -> 'label'), '');
		END LOOP;
	END LOOP;
	-- it goes on where nobody can go: what is not a place is no end either
	IF paging <> 'null' AND jsonb_typeof(paging) <> 'object' OR members(paging) -> 'next' <> 'null' AND (
			jsonb_typeof(members(paging) -> 'next') <> 'object'
			OR coalesce(paging -> 'next' -> 'after', '""') <> 'null' OR length(txt(paging -> 'next' -> 'link')) > 0) THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(
		SELECT format('%s %s %s', id, type, label) FROM (
			SELECT DISTINCT ON (id, type) id, type, label, n
			FROM unnest(ids, types, labels) WITH ORDINALITY AS u (id, type, label, n) ORDER BY id, type, n) AS once
		ORDER BY min(n) OVER (PARTITION BY id), n);
END $$;

CREATE FUNCTION expected_page(j jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN jsonb_typeof(members(j) -> 'results') = 'array' AND rows IS NOT NULL
		THEN nullif(array_to_string(rows, E'\n'), '') ELSE 'unreadable' END
	FROM associations(members(j) -> 'results', j -> 'paging') AS rows
$$;

CREATE FUNCTION expected_records(j jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text[];
	lists jsonb[];
	rows text[];
BEGIN
	FOR i IN 1 .. 3 LOOP
		lists := (SELECT array_agg(e ORDER BY n) FROM elements(members(j) -> 'results')
			WHERE txt(members(e -> 'from') -> 'id') = i::text AND jsonb_typeof(e -> 'to') = 'array');
		rows := associations(lists[1] -> 'to', lists[1] -> 'paging');
		IF lists IS NULL OR rows IS NULL OR EXISTS (SELECT FROM unnest(lists) AS l
				WHERE associations(l -> 'to', l -> 'paging') IS DISTINCT FROM rows) THEN
			result := result || format('%s     UNCONFIRMED', i);
		ELSE
			result := result || (SELECT array_agg(format('%s %s ', i, r) ORDER BY n) FROM unnest(rows) WITH ORDINALITY AS u (r, n));
		END IF;
	END LOOP;
	RETURN nullif(array_to_string(result, E'\n'), '');
END $$;

CREATE FUNCTION expected_pair(j jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN txt(p -> 'fromObjectId') = '1' AND txt(p -> 'toObjectId') = '2' THEN format('t %s', texts(p -> 'labels')) ELSE 'f ' END
	FROM (SELECT CASE WHEN j ? 'entity' THEN members(j -> 'entity') ELSE members(j) END AS p) AS pair
$$;

CREATE FUNCTION expected_definitions(j jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN jsonb_typeof(members(j) -> 'results') = 'array' AND coalesce(bool_and(
			jsonb_typeof(e) = 'object' AND txt(e -> 'category') IS NOT NULL AND coalesce(num(e -> 'typeId'), 0) > 0
			AND (txt(e -> 'userEnforcedMaxToObjectIds') IS NULL OR txt(e -> 'userEnforcedMaxToObjectIds') ~ '^[0-9]+$'
				AND txt(e -> 'userEnforcedMaxToObjectIds')::numeric <= 2147483647)), true)
		THEN string_agg(format('%s %s %s', txt(e -> 'category'), num(e -> 'typeId'), txt(e -> 'label')), E'\n'
			ORDER BY txt(e -> 'category'), num(e -> 'typeId'), txt(e -> 'label'))
		ELSE 'unreadable' END
	FROM elements(members(j) -> 'results')
$$;

CREATE FUNCTION expected_refusal(j jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s %s %s', coalesce(nullif(txt(members(j) -> 'category'), ''), 'HTTP_400'),
		CASE WHEN txt(members(j) -> 'message') ~ E'[^ \\t\\r\\n]' THEN txt(members(j) -> 'message') ELSE 'HTTP status 400 without a reason' END,
		txt(members(j) -> 'correlationId'))
$$;
SQL
}
