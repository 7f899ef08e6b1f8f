# Databases that are not in UTF-8: what exists in their encoding comes and goes
# as it is; what doesn't is replaced, and never an error.

use strict;
use warnings;
use utf8;

use Encode qw(encode);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use Test::More;

$ENV{PGCLIENTENCODING} = 'UTF8';

my $node = start_node();
my $hubspot = start_simulator();

# From several alphabets, one beyond 16 bits, and some ASCII that needs escapes.
my $text = "Größe „é“ – 日本 ½ Ж € 😀 \\ \"/ end";
my $labels = '/crm/associations/2026-03/contacts/companies/labels';

# What each character is in an encoding, according to the server itself.
$node->safe_psql('postgres', q{
	CREATE FUNCTION kept(ch text, encoding name) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM convert_to(ch, encoding);
		RETURN ch;
	EXCEPTION WHEN untranslatable_character OR undefined_function THEN
		RETURN '?';
	END $$;
	CREATE FUNCTION replaced(t text, encoding name) RETURNS text LANGUAGE sql AS $$
		SELECT string_agg(CASE WHEN encoding = 'SQL_ASCII' AND ascii(ch) > 127 THEN '?'
			ELSE kept(ch, encoding) END, '' ORDER BY n)
		FROM regexp_split_to_table(t, '') WITH ORDINALITY s(ch, n) $$});

foreach my $encoding (qw(UTF8 LATIN1 WIN1252 LATIN2 KOI8R EUC_JP EUC_KR SQL_ASCII))
{
	$node->safe_psql('postgres',
		"CREATE DATABASE in_$encoding TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	create_account($node, $hubspot, dbname => lc "in_$encoding", rate_limit => 0, max_retries => 0);
	test_encoding($encoding);
}

# One that no text can be converted from: what is ASCII is the same there
{
	local $ENV{PGCLIENTENCODING} = 'SQL_ASCII';
	$node->safe_psql('postgres', q{CREATE DATABASE in_mule TEMPLATE template0 ENCODING 'MULE_INTERNAL' LC_COLLATE 'C' LC_CTYPE 'C'});
	create_account($node, $hubspot, dbname => 'in_mule', rate_limit => 0, max_retries => 0);
	$hubspot->reset;
	$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'ann@example.com' } } ]);
	my $session = start_session($node, 'in_mule');
	is($session->query("SELECT record_id, error_category, error_message FROM hs_assoc_resolve('contacts:email', '{Ann\@example.com,\x81\xe4\@example.com}'::text[])"),
		"101||\n|INVALID_INPUT|key \"\x81\xe4\@example.com\" is not valid: it cannot be converted to UTF-8", 'MULE_INTERNAL: keys');
	$session->quit;
}

done_testing();

sub test_encoding
{
	my ($encoding) = @_;
	my $reference = start_session($node);
	my $session = start_session($node, lc "in_$encoding");
	my $expected = $reference->query(
		'SELECT encode(convert_to(replaced(' . literal($text) . ", '$encoding'), 'UTF8'), 'hex')");
	my $query = sub { return $session->query($_[0]) };
	my $fetch = sub
	{
		my ($expression, $from) = @_;
		return $query->("SELECT encode(convert_to($expression, 'UTF8'), 'hex') FROM $from");
	};

	note("$encoding: " . pack 'H*', $expected);

	#
	# In: errors and labels, in columns and in jsonb
	#
	foreach my $form ('utf-8', 'escapes')
	{
		my $json = to_json($text, $form);
		$hubspot->rules([
			{ match => { id => '1' }, action => { status => 400, text =>
				  qq({"status":"error","message":$json,"category":"VALIDATION_ERROR","context":{$json:[$json]}}) } },
			{ match => { id => '2' }, action => { text =>
				  qq({"fromObjectId":"2","toObjectId":"3","labels":[$json,"plain",$json]}) } },
			{ match => { id => '4' }, action => { status => 207, text =>
				  qq({"status":"COMPLETE","results":[{"fromObjectId":5,"toObjectId":6,"labels":[$json]}],)
				  . qq("errors":[{"message":$json,"category":$json,"context":{"fromObjectId":["4"],"x":[$json]}}]}) } },
			{ match => { path => '/echo' }, action => { text => qq({$json:[$json,{"a":$json}]}) } },
			{ match => { path => '/scalar' }, action => { text => $json } },
			{ match => { path => '/text' }, action => { text => "<p>$text</p>", content_type => 'text/html' } }]);
		my $call = q{hs_assoc_create_default('contacts', 1, 'companies', 2)};

		is($fetch->('error_message', $call), $expected, "$encoding, $form: error_message");
		is($fetch->("error ->> 'message'", $call), $expected, "$encoding, $form: error, a value");
		is($fetch->("(SELECT jsonb_object_keys(error -> 'context'))", $call), $expected,
			"$encoding, $form: error, a key");
		is($fetch->('labels[3]', q{hs_assoc_create('contacts', 2, 'companies', 3, '{279}')}),
			$expected, "$encoding, $form: labels");
		is($fetch->("string_agg(coalesce(error_message || '|' || error_category, labels[1]), '|' ORDER BY input_no)",
				q{hs_assoc_batch_create('contacts', 'companies',
					'SELECT * FROM (VALUES (4, 6, 279), (5, 6, 279)) v(from_id, to_id, type_id)')}),
			join('7c', $expected . unpack('H*', ' (fromObjectId: 4)'), ($expected) x 2), "$encoding, $form: a batch");
		my $request = sub { "hs_assoc_request('GET', '/$_[0]')" };
		is($fetch->("(SELECT key || '|' || (value ->> 0) || '|' || (value -> 1 ->> 'a') FROM jsonb_each(body))",
				$request->('echo')),
			join('7c', ($expected) x 3), "$encoding, $form: hs_assoc_request");
		is($fetch->("body #>> '{}'", $request->('scalar')), $expected, "$encoding, $form: a scalar");
		is($fetch->("body #>> '{}'", $request->('text')), "3c703e${expected}3c2f703e",
			"$encoding, $form: no JSON");

		# as an error, as the client sees it
		$session->send(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise')});
		my ($out, $err) = $session->finish;
		like(unpack('H*', $err), qr/\Q$expected\E/, "$encoding, $form: an error");
		$hubspot->clear_rules;
	}

	# A charset other than UTF-8, whatever the answer says: no error either.
	$hubspot->rules({ match => {}, action => { status => 400, encoding => 'latin-1',
				body => { message => "M\x{fc}ller", category => 'X' } } });
	is($query->(q{SELECT category || '|' || left(message, 1) || '|' || right(message, 4)
			FROM (SELECT error_category AS category, error_message AS message
				FROM hs_assoc_create_default('contacts', 1, 'companies', 2)) s}),
		'X|M|ller', "$encoding: a body in Latin-1");
	$hubspot->clear_rules;

	# A character in a header, in an escape that is none, and at the end of the text.
	$hubspot->rules({ match => {}, action => { text => '"\ud83d \udc00 \ufffd \u0000"',
				headers => { 'X-Name' => 'M%C3%BCller' } } });
	is($query->(q{SELECT (headers ->> 'x-name') || '|' || length(body #>> '{}') FROM hs_assoc_request('GET', '/x')}),
		'M%C3%BCller|7', "$encoding: halves of a pair, and NUL");
	$hubspot->clear_rules;

	#
	# Out: what the database can hold goes out as UTF-8
	#
	my $kept = $reference->query(
		'SELECT string_agg(ch, \'\') FROM regexp_split_to_table(' . literal($text) . ", '') ch
		WHERE replaced(ch, '$encoding') = ch AND ch <> '?'");
	my $name = 'label_' . lc $encoding;
	$hubspot->clear_log;
	is($query->("SELECT http_status FROM hs_assoc_request('POST', '$labels',
			jsonb_build_object('label', " . literal_bytes($kept) . ", 'name', '$name'))"),
		'200', "$encoding: a label is created");
	my $body = $hubspot->log(path => 'labels$')->[0]{body};
	is(encode('UTF-8', Cpanel::JSON::XS->new->decode($body)->{label}), $kept,
		"$encoding: HubSpot got it");
	my $type = $query->("SELECT (r ->> 'typeId')::int FROM hs_assoc_request('GET', '$labels'),
			jsonb_array_elements(body -> 'results') r WHERE r ->> 'label' = " . literal_bytes($kept));
	like($type, qr/^\d+$/, "$encoding: and tells it");
	is($query->("SELECT labels = ARRAY[" . literal_bytes($kept) . "] FROM hs_assoc_create('contacts', 7, 'companies', 8, '{$type}', 'USER_DEFINED')"),
		't', "$encoding: an association has it");

	# Ids and object types are ASCII, in any encoding; the message is not harmed.
	my ($letter) = $encoding =~ /^(EUC_JP|EUC_KR)$/ ? '日' : $encoding eq 'KOI8R' ? 'Ж' : 'ö';
	my $id = "convert_from('\\x" . unpack('H*', encode('UTF-8', $letter)) . "', 'UTF8')";
	$id = "E'\\xc3\\xb6'" if $encoding eq 'SQL_ASCII';
	is($query->("SELECT error_category, from_id = $id FROM hs_assoc_create_default('contacts', $id, 'companies', '1')"),
		'INVALID_INPUT|t', "$encoding: an id");
	is($query->("SELECT error_category FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT ' || quote_literal($id) || ' AS from_id, 1 AS to_id')"),
		'INVALID_INPUT', "$encoding: in a batch");
	like($session->told("SELECT hs_assoc_create_default($id, '1', 'companies', '1')"), qr/22023: invalid object type "\Q@{[ encode('UTF-8', $letter) ]}\E"/,
		"$encoding: an object type");
	like($session->told("SELECT hs_assoc_request('GET', '/' || $id)"), qr/22023: invalid path "\/\Q@{[ encode('UTF-8', $letter) ]}\E"/,
		"$encoding: a path");

	# Keys go out as UTF-8, without blanks around them, and in small letters where
	# case counts for nothing.  What cannot be is a row's, and no error.
	$hubspot->reset;
	$hubspot->put_records(contacts => [ { id => 101, properties => { email => "$letter\@example.com" } } ]);
	is($query->("SELECT record_id, key = $id || '\@EXAMPLE.com ' FROM hs_assoc_resolve('contacts:email', ARRAY[$id || '\@EXAMPLE.com '])"),
		'101|t', "$encoding: a key");
	is($query->("SELECT ok, from_record, from_id = $id || '\@Example.com' FROM hs_assoc_batch_create_default('contacts:email', 'companies',
			'SELECT ' || quote_literal($id) || ' || ''\@Example.com'' AS from_id, 1 AS to_id')"),
		't|101|t', "$encoding: a key in a batch");
	is($query->("SELECT error_category FROM hs_assoc_resolve('contacts:email', ARRAY[$id || 'x'])"), 'RECORD_NOT_FOUND', "$encoding: a key of nobody");
	my %bytes = (
		LATIN1 => [ 'xd6', 'xa0' ], WIN1252 => [ 'xd6', 'xa0' ], LATIN2 => [ 'xd6', 'xa0' ],
		KOI8R => [ 'xf6', 'x9a' ]);
	if ($bytes{$encoding})
	{
		my ($capital, $blank) = @{ $bytes{$encoding} };
		is($query->("SELECT record_id FROM hs_assoc_resolve('contacts:email', ARRAY[E'\\$blank\\$capital\@example.com\\$blank'])"), '101',
			"$encoding: a capital letter, between blanks of its own");
	}
	my %none = (SQL_ASCII => ['xe4'], EUC_JP => ['xa9\xa1'], EUC_KR => ['xc9\xa1'], WIN1252 => [ 'x81', 'x9d' ], LATIN1 => ['x85'], KOI8R => ['x01']);
	foreach my $bytes (map { "E'a\\$_'" } @{ $none{$encoding} // [] })
	{
		is($query->("SELECT ok, error_category FROM hs_assoc_create_default('contacts:email', $bytes, 'companies', '1')"), 'f|INVALID_INPUT', "$encoding: $bytes is nobody's key");
		is($query->("SELECT string_agg(coalesce(error_category, record_id), ' ' ORDER BY input_no) FROM hs_assoc_resolve('contacts:email',
				ARRAY[$bytes, $id || '\@example.com', $bytes || repeat(' ', 2000), repeat($id, 600000)])"),
			'INVALID_INPUT 101 INVALID_INPUT INVALID_INPUT', "$encoding: ... among others");
		is($query->("SELECT error_category FROM hs_assoc_batch_archive('contacts:email', 'companies',
				'SELECT ' || quote_literal($bytes) || ' AS from_id, 1 AS to_id')"), 'INVALID_INPUT', "$encoding: ... in a batch");
	}

	# A database without an encoding can hold what is no text at all.
	if ($encoding eq 'SQL_ASCII')
	{
		like($session->told(q{SELECT hs_assoc_request('POST', '/x', jsonb_build_object('a', E'\xe4'))}), qr/ERROR:  22021: /, "$encoding: bytes that are not UTF-8 are not sent");
	}
	$session->quit;
	$reference->quit;
	return;
}

sub literal
{
	my ($string) = @_;
	$string = encode('UTF-8', $string);
	$string =~ s/'/''/g;
	return "'$string'";
}

# The same of bytes that came from psql.
sub literal_bytes
{
	my ($string) = @_;
	$string =~ s/'/''/g;
	return "'$string'";
}

# A JSON string, with characters or with escapes.
sub to_json
{
	my ($string, $form) = @_;
	my $json = Cpanel::JSON::XS->new->allow_nonref;
	$json->ascii if $form eq 'escapes';
	return $json->encode($string);
}
