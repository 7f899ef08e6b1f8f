
# Whatever is answered: one row for each input, and ok only for what HubSpot
# confirmed and holds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use Cpanel::JSON::XS;
use MIME::Base64;
use Test::More;

$SIG{PIPE} = 'IGNORE';

my $node = start_node();
my $hubspot = start_simulator();
my $listener = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1',
	Listen => 16,
	Timeout => 60) or die "could not listen: $!";
my $raw_url = 'http://127.0.0.1:' . $listener->sockport;
my %options = (max_retries => 0, rate_limit => 0, request_timeout => '30s');

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'raw', base_url => $raw_url);
my $session = start_session($node);

# Four operations: two of five inputs, 101-9001 to 105-9005, two of the first.
my $type = 'HUBSPOT_DEFINED';
my %operations = (
	default_batch => {
		call => q{hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT 100 + i AS from_id, 9000 + i AS to_id FROM generate_series(1, 5) i'},
		inputs => 5,
		result => qq({"from":{"id":"%1\$s"},"to":{"id":"%2\$s"},"associationSpec":)
		  . qq({"associationCategory":"$type","associationTypeId":279}}),
	},
	labelled_batch => {
		call => q{hs_assoc_batch_create('contacts', 'companies',
			'SELECT 100 + i AS from_id, 9000 + i AS to_id, 279 AS type_id FROM generate_series(1, 5) i'},
		inputs => 5,
		result => '{"fromObjectTypeId":"0-1","fromObjectId":"%1$s",'
		  . '"toObjectTypeId":"0-2","toObjectId":"%2$s","labels":[]}',
	},
	default_single => {
		call => q{hs_assoc_create_default('contacts', 101, 'companies', 9001},
		inputs => 1,
	},
	labelled_single => {
		call => q{hs_assoc_create('contacts', 101, 'companies', 9001, '{279}'},
		inputs => 1,
	});
$operations{default_single}{result} = $operations{default_batch}{result};
$operations{labelled_single}{result} = $operations{labelled_batch}{result};

my @all = sort keys %operations;
my @batches = qw(default_batch labelled_batch);
my @lists = (@batches, 'default_single');		# which answer with "results"

# The results of some inputs of an operation, as JSON.
sub results
{
	my ($operation, @inputs) = @_;
	return join ',',
	  map { sprintf $operations{$operation}{result}, 100 + $_, 9000 + $_ } @inputs;
}

# The answer of an operation with these results, as JSON.
sub answer
{
	my ($operation, $results) = @_;
	return $operation eq 'labelled_single' ? $results :
	  qq({"status":"COMPLETE","results":[$results]});
}

# An action that answers with an edited answer to all inputs.
sub edited
{
	my ($edit) = @_;
	return sub {
		my ($operation) = @_;
		local $_ = answer($operation, results($operation, 1 .. $operations{$operation}{inputs}));
		$edit->();
		return { text => $_ };
	};
}

# An action that answers with an envelope of whatever members.
sub envelope
{
	my ($members) = @_;
	return { text => qq({"status":"COMPLETE",$members}) };
}

sub error_about
{
	my ($input, %members) = @_;
	return {
		status => 'error',
		category => 'OBJECT_NOT_FOUND',
		message => 'no such record',
		context => { fromObjectId => [ 100 + $input ], toObjectId => [ 9000 + $input ] },
		%members
	};
}

# A case is a name, an action of the simulator's rules (or a sub that makes it
# for an operation), and what is expected:
#	ok			the inputs that are (default: all)
#	category	that of the others (UNCONFIRMED)
#	message		of those
#	requests	(1)
#	status		the HTTP status of the rows (the answer's)
#	first		the action is for the first request only
#	on			the operations that it is about (all)
my @cases;
sub answered { push @cases, { name => @_ }; return }

# Results in any order and number
answered "results $_", action => { results => [$_] }, on => \@lists
  foreach qw(shuffle reverse double foreign numbers unknown_keys);
answered 'everything at once',
  action => { results => [qw(foreign double numbers unknown_keys shuffle)] },
  on => \@lists;
answered 'every second pair missing',
  action => { results => ['drop:2'] }, ok => [ 1, 3, 5 ], on => \@lists,
  message => qr/^not in HubSpot's answer$/;
answered 'a pair missing',
  action => { results => [ 'shuffle', 'drop_pair:101:9001' ] },
  ok => [ 2 .. 5 ], on => \@lists;
answered 'no results', action => { results => ['empty'] }, ok => [], on => \@lists;
answered 'results of others only',
  action => sub { return { text => answer($_[0], results($_[0], 6 .. 9)) } }, ok => [];
answered 'a pair crossed with another',
  action => sub {
	my $text = sprintf $operations{ $_[0] }{result}, 101, 9002;
	return { text => answer($_[0], $text) };
  },
  ok => [];
answered 'the directions swapped',
  action => sub {
	return {
		text => answer($_[0], join ',',
			map { sprintf $operations{ $_[0] }{result}, 9000 + $_, 100 + $_ } 1 .. 5)
	};
  },
  ok => [], on => \@lists;

# Success is any 2xx
answered "status $_", action => { status => $_, act => Cpanel::JSON::XS::true }
  foreach 200, 201, 202, 203, 206, 207, 226, 299;

# Errors beside results
answered 'an error that contradicts a result',
  action => { errors => [ error_about(2) ] }, ok => [ 1, 3, 4, 5 ], on => \@lists,
  category => 'OBJECT_NOT_FOUND', message => qr/^no such record$/;
answered 'an error and no result',
  action => { results => ['drop_pair:101:9001'], errors => [ error_about(1) ] },
  ok => [ 2 .. 5 ], on => \@lists, category => 'OBJECT_NOT_FOUND';
answered 'an error of one side takes no input that has a result',
  action => {
	results => ['drop_pair:101:9001'],
	errors => [
		error_about(1, context => { fromObjectId => ['101'] }),
		error_about(2, context => { toObjectId => ['9002'] })
	]
  },
  ok => [ 2 .. 5 ], on => \@lists, category => 'OBJECT_NOT_FOUND';
answered 'an error of nobody that was sent',
  action => { errors => [ error_about(77) ] }, on => \@lists;
answered 'an unnamed error, and the one that has no result',
  action => { results => ['drop_pair:102:9002'], errors => [ error_about(0, context => {}) ] },
  ok => [ 1, 3, 4, 5 ], on => \@batches,
  category => 'OBJECT_NOT_FOUND', message => qr/^no such record$/;
answered 'an error of a type that was not sent, and the one that has no result',
  action => { results => ['drop_pair:102:9002'], errors => [ error_about(0, context => { INVALID_ASSOCIATION_TYPE_ID => ['USER_DEFINED=77'] }) ] },
  ok => [ 1, 3, 4, 5 ], on => \@batches,
  category => 'OBJECT_NOT_FOUND', message => qr/^no such record/;
answered 'an unnamed error, and two that have no result',
  action => { results => ['drop_pair:102:9002', 'drop_pair:104:9004'], errors => [ error_about(0, context => {}) ] },
  ok => [ 1, 3, 5 ], on => \@batches, message => qr/^not in HubSpot's answer, which says: no such record$/;
answered 'two unnamed errors, and one that has no result',
  action => { results => ['drop_pair:102:9002'], errors => [ map { error_about(0, context => {}, message => $_) } 'one', 'two' ] },
  ok => [ 1, 3, 4, 5 ], on => \@batches, message => qr/^not in HubSpot's answer, which says: one$/;
answered 'an unnamed error, and more that are only counted',
  action => {
	results => ['drop_pair:102:9002'], errors => [ error_about(0, context => {}) ], envelope => { numErrors => 2 }
  },
  ok => [ 1, 3, 4, 5 ], on => \@batches, message => qr/^not in HubSpot's answer, which says: no such record$/;
answered 'an error of nobody that was sent, and one that has no result',
  action => { results => ['drop_pair:102:9002'], errors => [ error_about(77) ] },
  ok => [ 1, 3, 4, 5 ], on => \@batches, message => qr/^not in HubSpot's answer, which says: no such record/;
answered 'the unnamed error of a single pair',
  action => { results => ['empty'], errors => [ error_about(0, context => {}) ] },
  ok => [], on => ['default_single'],
  category => 'OBJECT_NOT_FOUND', message => qr/^no such record$/;
answered 'an error without a category',
  action => {
	results => ['drop_pair:101:9001'], status => 207, act => Cpanel::JSON::XS::true,
	errors => [ error_about(1, category => undef, message => undef) ]
  },
  ok => [ 2 .. 5 ], on => \@lists, category => 'HTTP_207';
answered "errors that are $_->[0]",
  action => { envelope => { errors => $_->[1] } }, on => \@lists
  foreach [ 'null', undef ], [ 'a string', 'no' ], [ 'a number', 5 ], [ 'an object', {} ],
  [ 'nothing much', [ undef, 1, 'x', [], {}, [ [] ] ] ];
answered "a context that is $_->[0]",
  action => { envelope => { errors => [ error_about(1, context => $_->[1]) ] } }, on => \@lists
  foreach [ 'null', undef ], [ 'a list', [ 1, 2 ] ], [ 'a number', 101 ], [ 'a word', 'x=[' ],
  [ 'of lists of lists', { fromObjectId => [ ['101'], { id => '101' } ] } ],
  [ 'empty', {} ], [ 'half a string', '{fromObjectId=[101' ];

# What the envelope says of itself
answered 'PENDING without results',
  action => { envelope => { status => 'PENDING' }, results => ['empty'] },
  ok => [], on => \@lists, message => qr/PENDING/;
answered 'PROCESSING with some results',
  action => { envelope => { status => 'PROCESSING' }, results => ['drop_pair:101:9001'] },
  ok => [ 2 .. 5 ], on => \@lists, message => qr/PROCESSING/;
answered 'CANCELED without errors',
  action => { envelope => { status => 'CANCELED' }, results => ['empty'], act => Cpanel::JSON::XS::false },
  ok => [], on => \@lists, message => qr/CANCELED/;
answered 'CANCELED, one named',
  action => {
	act => Cpanel::JSON::XS::false, results => ['empty'],
	envelope => { status => 'CANCELED' }, errors => [ error_about(3) ]
  },
  first => 1, ok => [ 1, 2, 4, 5 ], on => \@batches, requests => 2,
  category => 'OBJECT_NOT_FOUND';
answered 'CANCELED, nobody named',
  action => {
	act => Cpanel::JSON::XS::false, results => ['empty'],
	envelope => { status => 'CANCELED' }, errors => [ error_about(0, context => {}) ]
  },
  first => 1, on => \@batches, requests => 3;
answered 'CANCELED, each time',
  action => {
	act => Cpanel::JSON::XS::false, results => ['empty'],
	envelope => { status => 'CANCELED' }, errors => [ error_about(0, context => {}) ]
  },
  ok => [], on => \@batches, requests => 9, category => 'OBJECT_NOT_FOUND';
answered 'CANCELED, and results',
  action => { envelope => { status => 'CANCELED' }, errors => [ error_about(2) ] },
  ok => [ 1, 3, 4, 5 ], on => \@batches, category => 'OBJECT_NOT_FOUND';
answered "a status that is $_->[0]",
  action => { envelope => { status => $_->[1] } }, on => \@lists
  foreach [ 'missing', undef ], [ 'a number', 200 ], [ 'new', 'RECONSIDERED' ],
  [ 'an object', { is => 'COMPLETE' } ];
answered 'results that are missing', action => { envelope => { results => undef } },
  ok => [], on => \@lists;
answered "results that are $_", action => envelope(qq("results":$_)), ok => [], on => \@lists
  foreach 'null', '"none"', '5', 'true', '{}', '{"from":{"id":"101"},"to":{"id":"9001"}}',
  '[null,1,"x",true,[],{},[{"from":{"id":"101"},"to":{"id":"9001"}}]]';

# Kinds of values that are not usual
answered 'ids as numbers', action => edited(sub { s/"(\d+)"/$1/g });
answered 'ids as numbers on one side', action => edited(sub { s/"(10\d)"/$1/g });
answered 'type ids as strings', action => edited(sub { s/:279/:"279"/g });
answered 'ids with escapes', action => edited(sub { s/"1(0\d)"/"\\u0031$1"/g });
answered 'labels as numbers', action => edited(sub { s/\[\]/[5, 1e3]/g });
foreach my $labels ('null', '"one"', '{}', '[null, [], {}]')
{
	answered "labels that are $labels", on => [qw(labelled_batch labelled_single)],
	  action => edited(sub { s/"labels":\[\]/"labels":$labels/g });
}
{
	# each names no record, so nothing can be confirmed
	my %not_101 = (
		'null' => 'null', 'a boolean' => 'true', 'an object' => '{"id":"101"}',
		'a list' => '["101"]', 'empty' => '""', 'a fraction' => '101.5',
		'a prefix' => '10', 'longer' => '1010', 'padded' => '" 101"',
		'very long' => '1' x 10000, 'a very long string' => '"' . '1' x 10000 . '"',
		'NUL' => '"101\u0000"', 'half a surrogate pair' => '"\ud83d101"',
	);
	foreach my $name (sort keys %not_101)
	{
		answered "an id that is $name", ok => [ 2 .. 5 ],
		  action => edited(sub { s/"101"/$not_101{$name}/g });
	}

	# of a type that cannot be read, only the type is lost
	my %type_ids = (
		'null' => 'null', 'a fraction' => '279.5', 'too large' => '99999999999999999999',
		'negative' => '-1', 'very long' => '9' x 5000, 'a word' => '"primary"',
		'beyond a double' => '1e400',
	);
	foreach my $name (sort keys %type_ids)
	{
		answered "a type id that is $name", on => [qw(default_batch default_single)],
		  action => edited(sub { s/:279/:$type_ids{$name}/g });
	}
}
answered 'long numbers in unknown keys',
  action => edited(sub { s/^\{/'{"unknown":' . '9' x 100_000 . ',"more":-1.5E+99999,'/e });
answered 'a key twice, the same value',
  action => edited(sub { s/("fromObjectId":"\d+"|"from":\{.*?\}),/$1,$1,/g });
answered 'keys with escapes',
  action => edited(sub { s/"results"/"res\\u0075lts"/; s/"(\w*)Id"/"$1\\u0049d"/g }),
  ok => 'any';
answered 'results twice',
  action => edited(sub { s/("results":\[.*\])/$1,"results":[]/ }), on => \@lists, ok => 'any';
answered 'numbers in an error',
  action => {
	results => ['drop_pair:101:9001'],
	errors => [
		{
			category => 17, message => 18, correlationId => 19, status => 20,
			subCategory => 21, context => { fromObjectId => [101], toObjectId => 9001 }
		}
	]
  },
  ok => [ 2 .. 5 ], on => \@lists, category => '17', message => qr/^18$/;
answered 'objects in an error',
  action => {
	status => 207, act => Cpanel::JSON::XS::true, results => ['drop_pair:101:9001'],
	errors => [
		error_about(1, category => { a => 1 }, message => ['b'], correlationId => {},
			subCategory => { name => 'c' })
	]
  },
  ok => [ 2 .. 5 ], on => \@lists, category => 'HTTP_207';

# Nesting
answered "brackets nested $_ deep in an unknown key",
  action => { nest => $_ }, on => \@all
  foreach 10_000, 200_000;
answered 'objects nested 10,000 deep in an unknown key',
  action => edited(sub { s/\{/'{"unknown":' . '{"a":' x 10000 . '1' . '}' x 10000 . ','/eg });
answered 'a body nested 10,000 deep', ok => [],
  action => { text => '[' x 10_000 . ']' x 10_000 }, message => qr/not readable/;
answered 'a body nested 10,000 deep and not closed', ok => [],
  action => { text => '{"results":[' x 10_000 }, message => qr/not readable/;
answered 'results nested 10,000 deep', ok => [], on => \@lists,
  action => envelope('"results":' . '[' x 10_000 . ']' x 10_000);
answered 'a context nested 10,000 deep', on => \@lists, ok => [ 2 .. 5 ],
  category => 'VALIDATION_ERROR',
  action => sub {
	return { text => '{"status":"COMPLETE","results":[' . results($_[0], 2 .. 5)
		  . '],"errors":[{"category":"VALIDATION_ERROR","context":{"deep":'
		  . '[' x 10_000 . ']' x 10_000 . ',"fromObjectId":["101"],"toObjectId":["9001"]}}]}' };
  };
answered 'an error nested 10,000 deep', ok => [], category => 'DEEP',
  message => qr/^it is deep$/,
  action => {
	status => 404,
	text => '{"category":"DEEP","message":"it is deep","context":'
	  . '{"a":' x 10_000 . '1' . '}' x 10_000 . '}'
  };

# No JSON
answered "a body that is $_->[0]", action => { text => $_->[1] }, ok => [],
  message => qr/$_->[2]/
  foreach [ 'empty', '', 'empty' ], [ 'a space', ' ', 'not readable' ],
  [ 'null', 'null', 'not readable' ], [ 'a list', '[]', 'not readable' ],
  [ 'a number', '42', 'not readable' ], [ 'a string', '"done"', 'not readable' ],
  [ 'HTML', '<html><body>Welcome</body></html>', 'not readable' ],
  [ 'single-quoted', q({'status':'COMPLETE'}), 'not readable' ];
answered "JSON $_->[0]", action => edited($_->[1]), ok => [], message => qr/not readable/
  foreach
  [ 'without its end', sub { chop } ],
  [ 'cut in the middle', sub { $_ = substr $_, 0, length($_) / 2 } ],
  [ 'cut in a string', sub { s/(.*"\d+)".*/$1/ } ],
  [ 'cut in an escape', sub { s/(.*")\d+".*/$1\\u00/ } ],
  [ 'with something behind it', sub { $_ .= 'x' } ],
  [ 'twice', sub { $_ .= $_ } ],
  [ 'with a comma too many', sub { s/\}$/,}/ } ],
  [ 'with a bad escape', sub { s/"10(\d)"/"10\\x$1"/ } ],
  [ 'with a control character', sub { s/"10(\d)"/"10\n$1"/ } ],
  [ 'with an unknown word', sub { s/^\{/{"unknown":NaN,/ } ],
  [ 'with a broken number', sub { s/^\{/{"unknown":1.2.3,/ } ],
  [ 'with a mismatched bracket', sub { s/^\{/{"unknown":[1,{2]},/ } ],
  [ 'with a missing value', sub { s/^\{/{"unknown":,/ } ];
answered 'spaces around JSON', action => edited(sub { s/([\[\]{},:])/ \r\n\t$1 /g });
answered 'a byte order mark before JSON', action => edited(sub { s/^/\x{FEFF}/ }), ok => 'any';
answered 'no body where one belongs', ok => [], on => \@batches,
  action => { status => 204, act => Cpanel::JSON::XS::true }, message => qr/empty/;
answered 'no body', on => [qw(default_single labelled_single)],
  action => { status => 204, act => Cpanel::JSON::XS::true };

# Charsets and characters
answered 'latin-1 in labels', on => [qw(labelled_batch labelled_single)],
  action => sub {
	(my $text = edited(sub { s/\[\]/["Gr\xF6\xDFe"]/g })->(@_)->{text});
	return { base64 => encode_base64($text, '') };
  },
  labels => ["Gr\x{FFFD}\x{FFFD}e"];
answered 'UTF-8 in labels', on => [qw(labelled_batch labelled_single)],
  action => edited(sub { s/\[\]/["Gr\xF6\xDFe \x{1F600}","\\u00e9\\ud83d\\ude00"]/g }),
  labels => [ "Gr\xF6\xDFe \x{1F600}", "\xE9\x{1F600}" ];
answered 'UTF-16', action => { encoding => 'utf-16-le', content_type => 'application/json' },
  ok => [], message => qr/not readable/;
answered 'another content type', action => { content_type => 'text/plain; charset=koi8-r' };
answered 'NUL and half surrogate pairs in labels', on => [qw(labelled_batch labelled_single)],
  action => edited(sub { s/\[\]/["a\\u0000b","\\ud83d","\\ude00\\ud83d","\\ud83dx"]/g }),
  labels => [ "a\x{FFFD}b", "\x{FFFD}", "\x{FFFD}\x{FFFD}", "\x{FFFD}x" ];
answered 'NUL and half surrogate pairs in an error', on => \@lists, ok => [ 2 .. 5 ],
  category => "C\x{FFFD}", message => qr/^m\x{FFFD}\x{FFFD}x( \(\x{FFFD}: \x{FFFD}; fromObjectId: 101; toObjectId: 9001\))?$/,
  action => sub {
	return { text => '{"status":"COMPLETE","results":[' . results($_[0], 2 .. 5)
		  . '],"errors":[{"category":"C\u0000","message":"m\ud83d\u0000x","context":{"\u0000":["\ud83d"],'
		  . '"fromObjectId":["101"],"toObjectId":["9001"]}}]}' };
  };
answered 'NUL and half surrogate pairs in a refusal', ok => [],
  category => 'C', message => qr/^m\x{FFFD}x\x{FFFD}$/,
  action => { status => 404, text => '{"category":"C","message":"m\u0000x\udfff","\u0000":"\ud83d"}' };
answered 'latin-1 in a refusal', ok => [],
  category => 'C', message => qr/^gr\x{FFFD}n$/,
  action => {
	status => 404,
	base64 => encode_base64(qq({"category":"C","message":"gr\xFCn"}), '')
  };
answered 'NUL bytes', ok => [], message => qr/not readable/,
  action => { base64 => encode_base64("\0" x 100, '') };
answered 'a NUL byte in a string', ok => 'any',
  action => sub {
	return { base64 => encode_base64(edited(sub { s/^\{/{"unknown":"\0",/ })->(@_)->{text}, '') };
  };

# Proxies, refusals, redirects
answered 'HTML with 200', ok => [], message => qr/not readable/,
  action => { text => '<html>Log in to the Wi-Fi</html>', content_type => 'text/html' };
answered 'HTML with 502', ok => [], message => qr/^HTTP status 502/,
  action => { status => 502, text => '<html>Bad gateway</html>', content_type => 'text/html' };
answered 'HTML with 404', ok => [], category => 'HTTP_404',
  action => { status => 404, text => '<html>None</html>', content_type => 'text/html' };
answered 'HTML with 400', ok => [], category => 'HTTP_400', on => \@batches, requests => 1,
  action => { status => 400, text => '<html>No</html>', content_type => 'text/html' };
answered 'nothing with 500', ok => [], action => { status => 500, text => '' };
answered "a redirect $_", ok => [], category => "HTTP_$_",
  action => { status => $_, redirect => "$raw_url/elsewhere" }
  foreach 301, 302, 303, 307, 308;
answered 'a redirect on the same host', ok => [], category => 'HTTP_302',
  action => { redirect => '/' };

# How it comes over the wire
answered 'a chunked answer', action => { chunked => Cpanel::JSON::XS::true };
answered 'an answer in drops', action => { drip => { bytes => 50, interval_ms => 1 } };
answered 'chunks in drops',
  action => { chunked => Cpanel::JSON::XS::true, drip => { bytes => 50, interval_ms => 1 } };
answered 'an answer without a length', action => { headers => { 'Content-Length' => undef } };
answered "an answer that breaks off$_->[0]", ok => [], message => qr/^no complete answer: /,
  action => { truncate => 20, %{ $_->[1] } }
  foreach [ '', {} ], [ ' between chunks', { chunked => Cpanel::JSON::XS::true } ];
answered 'a connection closed without an answer', ok => [], status => undef,
  message => qr/^no complete answer: /, action => { close => 'before' };
answered 'a body past the cap', ok => [], message => qr/larger than 16 MB/,
  action => { pad => 17 * 1024 * 1024 };
answered 'a chunked body past the cap', ok => [], message => qr/larger than 16 MB/,
  action => { pad => 17 * 1024 * 1024, chunked => Cpanel::JSON::XS::true }, on => ['default_batch'];
answered 'a body just below the cap', action => { pad => 15 * 1024 * 1024 };
answered 'a refusal past the cap', ok => [], message => qr/larger than 16 MB/,
  action => { status => 404, text => 'x' x (17 * 1024 * 1024) }, on => ['default_batch'];
answered 'a long header', action => { headers => { 'X-Long' => 'x' x 30_000 } };
answered 'many headers',
  action => { headers => { map { ("X-Header-$_" => 'x' x 20) } 1 .. 500 } };
answered 'headers without end', ok => [],
  action => { headers => { map { ("X-Header-$_" => 'x' x 1000) } 1 .. 200 } };
answered 'a header of a megabyte', ok => [],
  action => { headers => { 'X-Long' => 'x' x 1_000_000 } };

# One answer to one call of an operation: what the rows say, in the form
# "input_no from-to ok|category status", and what was found wrong with them.
sub outcome
{
	my ($operation, $server) = @_;
	my $json = $session->query("SELECT coalesce(jsonb_agg(to_jsonb(r) - 'error' ORDER BY input_no), '[]')"
		  . " FROM $operations{$operation}{call}, server => '$server') r");
	return @{ decode_json($json) };
}

sub summary
{
	return map {
		join ' ', $_->{input_no}, "$_->{from_id}-$_->{to_id}",
		  $_->{ok} ? 'ok' : $_->{error_category}, $_->{http_status} // 'none'
	} @_;
}

# What no row may ever say.
sub impossible
{
	my ($held, @rows) = @_;
	return grep {
		   !defined $_->{ok}
		|| $_->{ok} && !$held->{"$_->{from_id}-$_->{to_id}"}
		|| $_->{ok} && (defined $_->{error_category} || defined $_->{error_message})
		|| !$_->{ok} && (!length($_->{error_category} // '') || !length($_->{error_message} // ''))
	} @rows;
}

sub expected
{
	my ($case, $operation, $status) = @_;
	my %ok = map { ($_ => 1) } @{ $case->{ok} // [ 1 .. 5 ] };
	$status = $case->{status} if exists $case->{status};
	return map {
		join ' ', $_, (100 + $_) . '-' . (9000 + $_),
		  $ok{$_} ? 'ok' : $case->{category} // 'UNCONFIRMED', $status // 'none'
	} 1 .. $operations{$operation}{inputs};
}

foreach my $case (@cases)
{
	foreach my $operation (@{ $case->{on} // \@all })
	{
		my $name = "$case->{name}: $operation";
		my $action = $case->{action};
		$action = $action->($operation) if ref $action eq 'CODE';
		$hubspot->control('DELETE', '/associations');
		$hubspot->clear_rules;
		$hubspot->clear_log;
		$hubspot->rules({
			match => { $case->{first} ? (first => $case->{first}) : () },
			action => $action
		});

		my @rows = outcome($operation, 'hubspot');
		my @log = @{ $hubspot->log };
		my %held = map { ("$_->{from_id}-$_->{to_id}" => 1) }
		  @{ $hubspot->associations('contacts', 'companies') };
		my $ok = 1;

		$ok &= is(scalar @log, $case->{requests} // 1, "$name: requests");
		$ok &= is_deeply([ impossible(\%held, @rows) ], [], "$name: nothing that cannot be");
		if (ref($case->{ok} // []))
		{
			$ok &= is_deeply([ summary(@rows) ],
				[ expected($case, $operation, $log[-1]{status}) ], "$name: rows");
		}
		else
		{
			$ok &= is(scalar @rows, $operations{$operation}{inputs}, "$name: number of rows");
		}
		if ($case->{message} && (my ($failed) = grep { !$_->{ok} } @rows))
		{
			$ok &= like($failed->{error_message}, $case->{message}, "$name: message");
		}
		if ($case->{labels})
		{
			$ok &= is_deeply($rows[0]{labels}, $case->{labels}, "$name: labels");
		}
		diag(substr Cpanel::JSON::XS->new->canonical->encode(\@rows), 0, 2000) unless $ok;
	}
}
ok(!IO::Select->new($listener)->can_read(0), 'no redirect was followed');

# JSON's grammar, down to its letters: what breaks a rule makes the whole answer
# unreadable, whatever else is in it; what doesn't is passed over.
my @valid = split ' ', <<'END';
0 -0 1 -1 10 0.5 -0.5e-7 1E+5 1e5 0e0 -0.0E-0 1.25 12345678901234567890123456789
null true false [] {} [[]] [{}] {"":{}} {"a":1,"a":2} [1,"2",null,true,false,-3.5e1]
{"status":5} {"from":{"id":"7"}} [{"results":[]}] {"results":[{"from":{}}]}
"" "a" "\"" "\\" "\/\b\f\n\r\t" "\u0041" "\u0000" "\ud83d" "\uDE00\uD83D" "\uffff" "{[,:]}"
END
push @valid, "\"\x7f\"", "\"\xc3\xa9\"", "\"\xf0\x9f\x98\x80\"",
  " \t\r\n1 \t\r\n", "[ \n1 \t, \r2 ]", "{ \n\"a\" \t: \r2 }",
  # no UTF-8, but in nothing that has to be read
  (map { "\"$_\"" } "\xff", "\xc3", "\xc3(", "\xf0\x9f\x98", "\xed\xa0\xbd", "\xc0\x80"),
  # escapes and ends wherever a word of the machine may end
  (map { '"' . 'x' x $_ . '\\"' . 'y' x 20 . '"' } 0 .. 40),
  (map { '"' . 'x' x $_ . '\\\\"' } 0 .. 40),
  (map { '"' . 'x' x $_ . '"' } 4090 .. 4100);
my @invalid = split ' ', <<'END';
01 -01 00 1. .5 - + +1 1e 1e+ 1.e5 0x1 1_000 1.2.3 1e5.5 --1 1- Infinity -Infinity NaN
tru truee True nul nulll fals undefined t n a
"a "\" "\u12 "\u12" "\u12G4" "\u" "\q" "\U0041" "\x41" "\0" 'a' a" \" "a""b" "a"b
[ ] { } [1,] [,1] [,] [1,,2] [1 [1} [}
{"a"} {"a":} {"a":1,} {,} {:} {a:1} {1:2} {null:1} {"a":1] {"a",1} {"a":1:2} {"a"::1} {[]:1} ({}) : 1:
/**/1 1// #1 1; (1)
END
push @invalid, '', ' ', '[1 2]', '["a" "b"]', '{"a" 1}', '{"a":1 "b":2}', '1 2',
  "\x0b1", "\x0c1", "\xa01", "\xc2\xa01", "\xef\xbb\xbf1", "\0", "1\0", "\x01", "\xff", "\x80",
  (map { '"' . 'x' x $_ . "\n" . 'y' x 20 . '"' } 0 .. 40),
  (map { '"' . 'x' x $_ . "\0" . 'y' x 20 . '"' } 0 .. 40),
  (map { '"' . 'x' x $_ . "\x1f\"" } 0 .. 40),
  (map { '"' . 'x' x $_ . '\\"' } 0 .. 40);

# Gives each of the answers to one call of a statement; which were accepted?
sub accepted
{
	my ($operation, @answers) = @_;
	my $call = $operations{$operation}{call};
	my $n = 0;

	# a call for each row, which is not what the arguments alone would ask for
	$call =~ s/101, ('\w+'), 9001/left(i::text, 0) || '101', $1, '9001'/;

	$hubspot->clear_rules;
	$hubspot->clear_log;
	$hubspot->rules([
		map { { match => { nth => ++$n }, action => { base64 => encode_base64($_, '') } } } @answers ]);
	my $rows = $session->query(
		"SELECT string_agg(CASE WHEN r.ok THEN 'ok' ELSE r.error_category END, ',' ORDER BY i)
		FROM generate_series(1, @{[ scalar @answers ]}) i, LATERAL $call, server => 'hubspot') r");
	is($hubspot->log_count, scalar @answers, "$operation: as many requests as answers");
	return split /,/, $rows;
}

foreach my $operation (qw(default_single labelled_single))
{
	my $good = answer($operation, results($operation, 1));
	my @values = (@valid, @invalid);
	my %places = (
		first => sub { $good =~ s/^\{/{"unknown":$_[0],/r },
		last => sub { $good =~ s/\}$/,"unknown":$_[0]}/r },
		'in the result' => sub { $good =~ s/"to/"unknown":$_[0],"to/r },
		'in a list' => sub { $good =~ s/^\{/{"unknown":[1,$_[0]],/r },
	);

	foreach my $place (sort keys %places)
	{
		my @got = accepted($operation, map { $places{$place}->($_) } @values);
		my @wrong = grep { $got[$_] ne ($_ < @valid ? 'ok' : 'UNCONFIRMED') } 0 .. $#values;
		is(scalar @wrong, 0, "$operation: values, $place")
		  or diag(Cpanel::JSON::XS->new->ascii->encode([ map { "$values[$_] is $got[$_]" } @wrong[ 0 .. 9 ] ]));
	}

	# cut anywhere
	my @got = accepted($operation, map { substr $good, 0, $_ } 0 .. length($good) - 1);
	is_deeply([ grep { $got[$_] ne 'UNCONFIRMED' } 0 .. $#got ], [], "$operation: no part is an answer");

	# any one byte wrong, whatever it makes of it: never another pair's result
	srand 1;
	@got = accepted($operation,
		map { my $answer = $good; substr($answer, $_, 1) = chr int rand 256; $answer } 0 .. length($good) - 1);
	is(scalar(grep { /^(ok|UNCONFIRMED)$/ } @got), length $good, "$operation: one byte wrong");
}

# What the simulator cannot say: bytes as they are.
my $body = answer('default_single', results('default_single', 1));
my $length = length $body;
my $good = "Content-Type: application/json\r\nContent-Length: $length\r\n\r\n$body";
my @unconfirmed = (qr/^1 101-9001 UNCONFIRMED /);
my @confirmed = (qr/^1 101-9001 ok 200$/);
my @raw = (
	[ 'HTTP/1.0', "HTTP/1.0 200 OK\r\n\r\n$body", @confirmed ],
	[ 'a status without a phrase', "HTTP/1.1 200\r\n$good", @confirmed ],
	[ 'line feeds only', "HTTP/1.1 200 OK\n" . $good =~ s/\r//gr, @confirmed ],
	[ 'a folded header', "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\n$good", @confirmed ],
	[ 'a header without a name', "HTTP/1.1 200 OK\r\n: nothing\r\n$good", @confirmed ],
	[ 'bytes that are no text in a header', "HTTP/1.1 200 OK\r\nX-Hubspot-Correlation-Id: \xFF\xFE\r\n$good", @confirmed ],
	[ '100 before it', "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n$good", @confirmed ],
	[ '103 before it', "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n$good", @confirmed ],
	[ 'many 102 before it', "HTTP/1.1 102 Processing\r\n\r\n" x 50 . "HTTP/1.1 200 OK\r\n$good", @confirmed ],
	[ 'only 100', "HTTP/1.1 100 Continue\r\n\r\n", @unconfirmed ],
	[ 'more than was announced', "HTTP/1.1 200 OK\r\n${good}HTTP/1.1 500 No\r\n\r\n", @confirmed ],
	[ 'less than was announced', "HTTP/1.1 200 OK\r\n" . substr($good, 0, -1), @unconfirmed, qr/^no complete answer/ ],
	[ 'a length that is no number', "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n$body", @unconfirmed ],
	[ 'a length below zero', "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n$body", @unconfirmed ],
	[ 'a length past the cap', "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n$body", @unconfirmed ],
	[ 'a length past all numbers', 'HTTP/1.1 200 OK' . "\r\nContent-Length: " . '9' x 40 . "\r\n\r\n$body", qr/^1 101-9001 (ok|UNCONFIRMED) / ],
	[ 'chunks that are none', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n$body", @unconfirmed ],
	[ 'a chunk without an end', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n$body", @unconfirmed ],
	[ 'an unknown encoding', "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\n\x0b\x01\x80\x03", @unconfirmed ],
	[ 'SSH', "SSH-2.0-OpenSSH_9.2\r\n", @unconfirmed ],
	[ 'mail', "220 mail.example.com ESMTP\r\n", @unconfirmed ],
	[ 'a database', "N", @unconfirmed ],
	[ 'TLS', "\x15\x03\x01\x00\x02\x02\x46", @unconfirmed ],
	[ 'noise', join('', map { chr(255 - $_ % 256) } 1 .. 5000), @unconfirmed ],
	[ 'NULs', "\0" x 1000, @unconfirmed ],
	[ 'line ends', "\r\n" x 1000, @unconfirmed ],
	[ 'JSON without HTTP', $body, @unconfirmed ],
	[ 'half a status line', 'HTTP/1.1 20', @unconfirmed ],
	[ 'half the headers', "HTTP/1.1 200 OK\r\nContent-Le", @unconfirmed ],
	[ 'HTTP/2 unasked', "\0\0\0\x04\0\0\0\0\0", @unconfirmed ],
	[ 'an unknown version', "HTTP/9.9 200 OK\r\n$good", @unconfirmed ],
	[ 'a status of two digits', "HTTP/1.1 20 OK\r\n$good", @unconfirmed ],
	[ 'an upgrade', "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", qr/^1 101-9001 \w+ / ],
	[ 'a status beyond 599', "HTTP/1.1 999 Request denied\r\nContent-Length: 0\r\n\r\n", qr/^1 101-9001 UNCONFIRMED 999$/ ],
);

foreach my $case (@raw)
{
	my ($name, $bytes, $row, $message) = @$case;

	my ($out, $err) = raw_answer(
		"SELECT to_jsonb(r) - 'error' FROM $operations{default_single}{call}, server => 'raw') r", $bytes);

	is($err, '', "$name: no error");
	my $result = decode_json($out);
	like((summary($result))[0], $row, "$name: row");
	like($result->{error_message}, $message // qr/./, "$name: message") unless $result->{ok};
	ok(!IO::Select->new($listener)->can_read(0), "$name: one request");
}

# Headers that come twice, or are no text.
{
	my ($out, $err) = raw_answer(q{SELECT headers FROM hs_assoc_request('GET', '/x', server => 'raw')},
		"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-\xFF\xFF: \xFE\r\nset-cookie: b=2\r\n$good");
	my $headers = decode_json($out);

	is($err, '', 'headers: no error');
	is($headers->{'set-cookie'}, 'a=1, b=2', 'headers: those of one name are one');
	is($headers->{"x-\x{FFFD}\x{FFFD}"}, "\x{FFFD}", 'headers: what is no text is replaced');
}

# The session is none the worse for all that.
$hubspot->clear_rules;
is(join(',', map { $_->{ok} ? 1 : 0 } outcome('labelled_batch', 'hubspot')),
	'1,1,1,1,1', 'the session goes on');
is($session->query('SELECT pg_backend_pid()'), $session->pid, 'in the same process');

$session->quit;
done_testing();

# The outcome of a statement whose one request is answered with these bytes.
sub raw_answer
{
	my ($sql, $bytes) = @_;

	$session->send($sql);
	my $connection = $listener->accept or die "no connection: $!";
	my $request = '';
	while ($request !~ /\r\n\r\n/ && sysread $connection, my $more, 65536)
	{
		$request .= $more;
	}
	syswrite $connection, $bytes;
	shutdown $connection, 1;
	my @outcome = $session->finish;
	close $connection;
	return @outcome;
}
