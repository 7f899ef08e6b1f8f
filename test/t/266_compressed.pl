# Compressed answers: they are asked for, and read, also those that nobody asked for,
# up to the same bound; and a byte order mark before a text is no error.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Compress::Gzip qw(gzip $GzipError);
use MIME::Base64;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $token = 'pat-na1-5ec2e7-t0k3n-9f8e7d6c5b4a';
my $node = start_node();
my $hubspot = start_simulator(token => $token);
create_account($node, $hubspot, token => $token, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my $many = q{SELECT count(*), count(*) FILTER (WHERE ok), min(error_message)
	FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT i AS from_id, %d AS to_id FROM generate_series(1, 5000) i')};
my $one = q{SELECT ok, error_category, error_message FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id')};
my $raw = q{SELECT http_status, body FROM hs_assoc_request('GET', '/raw')};

# They are asked for.
is($session->query(sprintf $many, 1), '5000|5000|', 'without');
foreach my $encoding ('gzip', 'deflate')
{
	my $before = received();
	is($session->query(sprintf $many, 1), '5000|5000|', "$encoding: not yet");
	my $plain = received() - $before;
	$hubspot->rules({ action => { compress => $encoding } });
	$before = received();
	is($session->query(sprintf $many, 2), '5000|5000|', $encoding);
	cmp_ok(received() - $before, '>=', $plain, "$encoding: the bytes that count are those of the text");
	is($hubspot->log(path => 'batch', limit => 1)->[0]{headers}{'accept-encoding'} =~ /\b$encoding\b/, 1, "$encoding: it was asked for");
	like($session->query(q{SELECT ok, error_message FROM hs_assoc_create('contacts', 1, 'companies', 2, type_ids => '{12345}')}), qr/^f\|\S/, "$encoding: an error");
	$hubspot->clear_rules;
}

# What comes unasked, or in pieces
foreach my $chunked (\0, \1)
{
	is(answer(packed('{"a": "b"}'), 'gzip', chunked => $chunked), '200|{"a": "b"}', 'gzip by hand');
	like(answer(packed("{\"a\": \"$token\"}"), 'gzip', chunked => $chunked), qr/^200\|\{"a": "\*+"\}$/, 'a token in it is not shown');
}
is(answer('{"a": 1}', 'identity'), '200|{"a": 1}', 'not at all');

# What can't be read
foreach my $case ([ 'no gzip', 'gzip' ], [ 'x', 'unheard-of' ], [ substr(packed('{"a": 1}'), 0, 12), 'gzip' ])
{
	my ($body, $encoding) = @$case;
	$hubspot->rules({ match => { path => 'batch' }, action => { status => 200, base64 => encode_base64($body, ''), headers => { 'Content-Encoding' => $encoding } } });
	like($session->query($one),
		qr/^f\|UNCONFIRMED/, "$encoding: unreadable");
	$hubspot->clear_rules;
}

# A bomb: 1 GB in 1 MB, and the same once more
my $layer = packed('[' . ' ' x 2**20 x 64);
foreach my $case ([ packed(' ' x 2**20 x 64), 'gzip', qr/^f\|UNCONFIRMED\|the answer is larger than 16 MB/ ],
	[ packed($layer x 16), 'gzip, gzip', qr/^f\|UNCONFIRMED\|.*compressed several times/ ])
{
	my ($body, $encoding, $expected) = @$case;
	$hubspot->rules({ match => { path => 'batch' }, action => { status => 200, base64 => encode_base64($body, ''), headers => { 'Content-Encoding' => $encoding } } });
	my ($outcome, $most) = measure($session, $one);
	like($outcome, $expected, "a bomb, $encoding");
	takes_at_most($most, 64 * 1024, "a bomb, $encoding");
	$hubspot->clear_rules;
}

# Some kB without an end: empty blocks, packed again and again, of which nothing comes out.
# In one call of libcurl no time limit and no cancel would act.
my $endless = packed_raw("\x00\x00\x00\xff\xff" x 2**20);
foreach my $header ('Content-Encoding', 'Transfer-Encoding')
{
	foreach my $names ('gzip, gzip', 'gzip,deflate', 'GZIP , x-gzip', 'deflate, gzip, gzip, gzip', 'gzip, br', 'zstd')
	{
		my $coding = $header eq 'Transfer-Encoding' ? "$names, chunked" : $names;
		$hubspot->rules({ match => { path => '/raw' }, action => { status => 200, base64 => encode_base64($endless, ''), headers => { $header => $coding } } });
		my $start = time;
		my ($out, $err) = do { $session->send($raw); $session->finish };
		like($err, qr/ERROR:  08P01/, "$header: $coding: is refused");
		cmp_ok(time - $start, '<', patience(20), "$header: $coding: at once");
		$hubspot->clear_rules;
	}
}

# A large one takes some time to unpack.  Signals that ask for no end, as those that come with
# changes of the catalogs, do not break it off.
my $large = join '', map { sprintf '%08x', rand 2**32 } 1 .. 1_900_000;
$hubspot->rules({ match => { path => '/raw' }, action => { status => 200, base64 => encode_base64(packed(qq("$large")), ''), headers => { 'Content-Encoding' => 'gzip' } } });
foreach my $nth (1 .. 5)
{
	my $busy = start_session($node);
	my $pid = $busy->pid;
	my $signals = fork // die "fork: $!";
	if ($signals == 0)
	{
		kill USR1 => $pid and usleep(1000) while getppid != 1;
		POSIX::_exit(0);
	}
	$busy->send(q{SELECT http_status, length(body::text) FROM hs_assoc_request('GET', '/raw')});
	my ($out, $err) = $busy->finish;
	kill TERM => $signals;
	waitpid $signals, 0;
	is("$out$err", '200|' . (2 + length $large), "a large one beside signals, $nth");
}
$hubspot->clear_rules;

# A byte order mark
my $mark = "\xef\xbb\xbf";
is(answer(qq($mark\{"a": 1})), '200|{"a": 1}', 'a byte order mark');
is(answer(packed(qq($mark\{"a": 1})), 'gzip'), '200|{"a": 1}', 'compressed, too');
is(answer($mark), '200|', 'alone');
is($session->query(sprintf $many, 3), '5000|5000|', 'and all goes on');

done_testing();

sub received { return $session->query(q{SELECT coalesce(sum(bytes_received), 0) FROM hs_assoc_stat()}) }

# The same twice around what is no gzip file of its own
sub packed_raw
{
	my ($stream) = @_;
	return packed(packed("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" . $stream));
}

sub packed
{
	my ($text) = @_;
	gzip(\$text => \my $result) or die $GzipError;
	return $result;
}

# What a request says to an answer with that body.
sub answer
{
	my ($body, $encoding, %action) = @_;
	$hubspot->rules({ match => { path => '/raw' },
		action => { %action, status => 200, base64 => encode_base64($body, ''), headers => { $encoding ? ('Content-Encoding' => $encoding) : () } } });
	my $result = $session->query($raw);
	$hubspot->clear_rules;
	return $result;
}
