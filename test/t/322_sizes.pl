# However large an answer, and whatever it is full of: what is made of it takes
# time and memory in proportion to its size, and can be canceled.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Socket::INET;
use Test::More;

my $MB = 1_000_000;
my $node = start_node(log_duration => 'on', log_timezone => 'UTC');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, request_timeout => patience(60) . 's',
	concurrency => 1);
my $session = start_session($node);
my $watch = start_stopwatch($node);

sub answer_with
{
	my ($status, $text, %more) = @_;
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '^/', %{ delete $more{match} // {} } },
		action => { status => $status, text => $text, content_type => 'application/json', %more } });
	return;
}

sub batch
{
	my ($n, $what) = @_;
	$what //= 'count(*), count(error), min(error_category)';
	return qq{SELECT $what FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id, 279 AS type_id FROM generate_series(1, $n) i')};
}

sub fill { my ($piece, $size) = @_; return join ',', ($piece) x ($size / (1 + length $piece)) }

# A statement takes the CPU no longer, and no more memory, than that; its output.
sub bounded
{
	my ($name, $sql, $seconds, $memory) = @_;
	my $fresh = start_session($node);	# one keeps what it had
	my $before = cpu_time($fresh->pid);
	my ($out, $peak) = measure($fresh, $sql);
	my $took = cpu_time($fresh->pid) - $before;
	$fresh->quit;
	cmp_ok($took, '<', patience($seconds), sprintf '%s: takes %.2f s', $name, $took);
	takes_at_most($peak, $memory, $name);
	return $out;
}

my $request = q{SELECT http_status, jsonb_typeof(body), length(body::text) FROM hs_assoc_request('GET', '/x')};
bounded('the first call', $request, 5, 30_000);

#
# hs_assoc_request: what jsonb takes
#
my %full = (
	'zeros' => [ '[' . fill('0', 5 * $MB) . ']', 'string' ],
	'empty arrays' => [ '[' . fill('[]', 5 * $MB) . ']', 'string' ],
	'empty objects' => [ '[' . fill('{}', 5 * $MB) . ']', 'string' ],
	'depth' => [ '[' x (5 * $MB), 'string' ],
	'escapes' => [ '"' . '\u0041' x (5 * $MB / 6) . '"', 'string' ],
	'a number' => [ '1' x (5 * $MB), 'string' ],
	'spaces' => [ ' ' x (5 * $MB) . '{}', 'object' ],
	'associations' => [ '{"results": [' . fill('{"toObjectId":123456789,"associationTypes":[{"category":"HUBSPOT_DEFINED",'
		. '"typeId":279,"label":null}]}', 4 * $MB) . ']}', 'object' ]);
foreach my $name (sort keys %full)
{
	answer_with(200, $full{$name}[0]);
	like(bounded("jsonb of $name", $request, 8, $name eq 'associations' ? 120_000 : 90_000),
		qr/^200\|$full{$name}[1]\|/, "jsonb of $name: what it is");
}
answer_with(200, '[' . fill('0', 300_000) . ']');
like($session->query($request), qr/^200\|array\|/, 'an array of 150,000 zeros is one');

answer_with(200, '{}');
{
	my $peer = start_peer('headers');
	create_account($node, $hubspot, name => 'headers', base_url => "http://127.0.0.1:$peer", rate_limit => 0);
	like(bounded('headers of one name',
			q{SELECT length(headers ->> 'a') FROM hs_assoc_request('GET', '/x', server => 'headers')}, 3, 10_000),
		qr/^4\d{4}$/, 'are one list');
}

#
# Errors that name ids
#
my $ids = sub { my ($n, $from) = @_; join ',', map { '"' . ($from + $_) . '"' } 1 .. $n };
my %contexts = (
	'40,000 unknown ids' => [ 'ids', $ids->(40_000, 100_000) ],
	'known ids again and again' => [ 'ids', join ',', ($ids->(2000, 0)) x 100 ],
	'500,000 unknown ids' => [ 'ids', $ids->(500_000, 1_000_000) ],
	'ids with types' => [ 'INVALID_OBJECT_IDS', join ',', map { "\"CONTACT=$_ is not valid\"" } 3000 .. 153_000 ],
	'one side' => [ 'fromObjectId', $ids->(300_000, 1_000_000) ],
	'types' => [ 'INVALID_ASSOCIATION_TYPE_ID', join ',', map { "\"USER_DEFINED=$_\"" } 1 .. 200_000 ]);
foreach my $name (sort keys %contexts)
{
	my ($key, $list) = @{ $contexts{$name} };
	answer_with(400, qq({"category": "VALIDATION_ERROR", "message": "no", "context": {"$key": [$list, "1"]}}), match => { first => 1 });
	is(bounded("an error of $name", batch(2000, 'count(*)'), 3, 50_000), '2000', "an error of $name: all rows");
}
answer_with(400, '{"category": "VALIDATION_ERROR", "message": "no", "errors": ['
	. fill('{"context":{"fromObjectId":["1","2"],"toObjectId":["1"]}}', 4 * $MB) . ']}', match => { first => 1 });
is(bounded('an error of 70,000 contexts', batch(2000, 'count(*)'), 5, 50_000), '2000', 'all rows');

# Both sides, of which all are named: the same pairs in both lists.
answer_with(400, '{"category": "VALIDATION_ERROR", "message": "no", "context": {"fromObjectId": ['
	. $ids->(2000, 0) . '], "toObjectId": [' . $ids->(2000, 0) . ']}}');
$hubspot->clear_log;
is(bounded('an error of all pairs', batch(2000, 'count(*), count(error)'), 6, 40_000), '2000|2000', 'they have it');
is($hubspot->log_count, 1, 'after one request');

#
# Results that are no use
#
my $pair = sub { my ($from, $to, $more) = @_; qq({"from":{"id":"$from"},"to":{"id":"$to"}$more}) };
my %results = (
	'unknown ids' => '{"results": [' . fill($pair->(70, 71, ',"associationSpec":{"associationCategory":"A","associationTypeId":1}'), 5 * $MB) . ']}',
	'many types' => '{"results": [' . join(',', map { my $t = $_; map { $pair->($_, $_,
			qq(,"associationSpec":{"associationCategory":"A","associationTypeId":$t})) } 1 .. 1500 } 1 .. 90) . ']}',
	'many labels' => '{"results": [' . fill($pair->(1, 1, ',"labels":[' . fill('""', 30_000) . ']'), 5 * $MB) . ']}',
	'errors' => '{"results": [], "errors": [' . fill('{}', 5 * $MB) . ']}',
	'errors with contexts' => '{"results": [], "errors": ['
		. fill('{"message":"no","context":{"ids":["y","z"]}}', 5 * $MB) . ']}');
foreach my $name (sort keys %results)
{
	answer_with(200, $results{$name});
	is(bounded("results of $name", batch(2000, 'count(*)'), 8, 80_000), '2000', 'all rows');
}

#
# One page for many rows, and words without end
#
answer_with(404, '<html>' . 'x' x 300_000 . '</html>');
is(bounded('a page of 300 kB for 2,000 rows', batch(2000, 'count(*), count(error), max(length(error::text))'), 6, 40_000),
	'2000|2000|65538', 'cut off');
my $word = 'w' x 100_000;
answer_with(400, qq({"category": "$word", "message": "$word", "correlationId": "$word", "subCategory": "$word"}));
is($session->query(q{SELECT length(error_category), length(error_message), length(correlation_id), jsonb_typeof(error)
	FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), '100|1003|100|string', 'long words are cut off');
answer_with(200, qq({"status": "$word", "results": []}));
is($session->query(q{SELECT length(error_message) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id')}), '141', 'so is a status');
answer_with(400, '{"message": "' . "\x{20ac}" x 30_000 . '"}');
like($session->query(q{SELECT right(error #>> '{}', 3) FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}),
	qr/^(\xe2\x82\xac){3}$/, 'an object is cut at a character');

#
# A cancel, while some MB are worked on
#
foreach my $case ([ 400, '{"category": "VALIDATION_ERROR", "context": {"ids": [' . $ids->(500_000, 1_000_000) . ']}}', batch(2000) ],
	[ 200, $full{associations}[0], $request ])
{
	my ($status, $text, $sql) = @$case;
	answer_with($status, $text);
	my @late;
	# by then it has the answer, and makes something of it
	foreach my $try (1 .. 20)
	{
		last if @late == 3;
		my $victim = start_session($node);
		my $pid = $victim->pid;
		$watch->begin($pid);
		$victim->send($sql);
		# or is through with it already, and another one is tried
		wait_until(sub { anonymous_memory($pid) > 16_000 || $session->query("SELECT state FROM pg_stat_activity WHERE pid = $pid AND query LIKE '%hs\\_assoc%'") eq 'idle' });
		$watch->from_now($pid);
		$victim->cancel;
		my ($out, $err) = $victim->finish;
		my %results = $watch->wait($pid);
		push @late, $results{$pid}{late} if $err =~ /57014/;
		$victim->quit;
	}
	@late = sort { $a <=> $b } @late;
	is(scalar @late, 3, 'canceled');
	cmp_ok($late[ @late / 2 ], '<', patience(0.15), "a cancel acts at once: @late");
}
$session->quit;

#
# Values of somebody's own
#
my $other = start_session($node);
my $long = 'l' x (2 * $MB);
foreach my $case (
	[ "ALTER SERVER hubspot OPTIONS (SET base_url 'https://localhost/$long')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (SET base_url 'https://@{[ '1.' x 4_500_000 ]}localhost')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD proxy 'http://$long:1')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD ca_file '/$long')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD user_agent '$long')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD api_version '$long')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD batch_size '$long')", 'HV00D' ],
	[ "ALTER SERVER hubspot OPTIONS (ADD connect_timeout '1$long')", 'HV00D' ],
	[ "ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '$long')", 'HV00D' ],
	[ "SELECT hs_assoc_request('GET', '/$long')", '22023' ],
	[ "SELECT hs_assoc_request('GET', '$long')", '22023' ],
	[ "SELECT hs_assoc_request('$long', '/')", '22023' ],
	[ "SELECT hs_assoc_create_default('$long', 1, 'companies', 2)", '22023' ],
	[ "SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => '$long')", '22023' ],
	[ "SELECT hs_assoc_create('contacts', '$long', 'companies', '2', ARRAY[1], on_error => 'raise')", '22023' ],
	[ "SELECT hs_assoc_enqueue('$long', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')", '22023' ],
	[ "SELECT set_config('hubspot_assoc.server', '$long', false), hs_assoc_labels('contacts', 'companies')", '42704' ])
{
	my ($sql, $code) = @$case;
	$other->send($sql);
	my $err = ($other->finish)[1];
	my $name = substr($sql, 0, 70) =~ s/l{5,}/lll/r;
	like($err, qr/ERROR:  $code: /, $name) or diag(substr $err, 0, 500);
	my ($message) = $err =~ /(ERROR:.*?)(?=\n(?:LINE|LOCATION|STATEMENT)|\z)/s;
	cmp_ok(length($message // $err), '<', 1000, 'a short message');
}
$other->quit;

done_testing();

# A peer that answers one request with as many headers as there may be, for libcurl 8,
# too (5,000); its port.
sub start_peer
{
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
	my $pid = fork // die "fork: $!";
	return $listener->sockport if $pid;
	my $client = $listener->accept;
	sysread $client, my $head, 65536;
	syswrite $client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" . "a:bbbbbbbb\r\n" x 4_900 . "\r\n{}";
	sysread $client, $head, 1;
	POSIX::_exit(0);
}
