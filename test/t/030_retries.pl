
# What is sent again, how often and when; and what is not.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use Cpanel::JSON::XS;
use POSIX qw(strftime);
use Socket qw(SOMAXCONN);
use Test::More;

$SIG{PIPE} = 'IGNORE';

my $node = start_node(log_min_messages => 'notice');
my $hubspot = start_simulator();

# A port that is taken, but nobody listens at.
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "could not bind: $!";

# Another one, at which somebody does in the end.
my $late = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "could not bind: $!";

# A port whose queue of connections is full, so that one more isn't answered.
my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "could not bind: $!";
listen $hole, 0 or die "could not listen: $!";
my @queue = map {
	IO::Socket::INET->new(
		PeerAddr => '127.0.0.1', PeerPort => $hole->sockport,
		Blocking => $_ == 1)
} 1 .. 4;

my %options = (rate_limit => 0, max_retries => 2, max_retry_delay => '20ms');
my %accounts = (
	hubspot => {},
	once => { max_retries => 0 },
	patient => { max_retries => 1, max_retry_delay => '3s' },
	slower => { max_retries => 3, max_retry_delay => '700ms' },
	hasty => { request_timeout => patience(800) . 'ms' },
	closed => { base_url => 'http://127.0.0.1:' . $closed->sockport },
	stubborn => { base_url => 'http://127.0.0.1:' . $late->sockport, max_retries => 100, max_retry_delay => '1s' },
	hole => { base_url => 'http://127.0.0.1:' . $hole->sockport, connect_timeout => '200ms' },
);
create_account($node, $hubspot, %options, %{ $accounts{$_} }, name => $_) foreach sort keys %accounts;
my $session = start_session($node);

# A session that has no connection yet
sub new_session
{
	$session->quit;
	$session = start_session($node);
	return;
}

my %operations = (
	single => q{hs_assoc_create_default('contacts', 101, 'companies', 9001},
	labelled => q{hs_assoc_create('contacts', 101, 'companies', 9001, '{279}'},
	batch => q{hs_assoc_batch_create('contacts', 'companies',
		'SELECT 101 AS from_id, 9001 AS to_id, 279 AS type_id'},
	default_batch => q{hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT 101 AS from_id, 9001 AS to_id'},
);

# The rows of a call, in the order in which they came.
sub rows
{
	my ($call, $server) = @_;
	$server //= 'hubspot';
	return @{ decode_json($session->query(
		"SELECT coalesce(jsonb_agg(to_jsonb(r) - 'error'), '[]') FROM $call, server => '$server') r")) };
}

# The simulator as at its start, with this rule.
sub misbehave
{
	my ($action, %match) = @_;
	$hubspot->reset;
	$hubspot->rules({ match => \%match, action => $action });
	return;
}

# One call against a rule that always holds: the failure and the requests.
sub check_failure
{
	my ($name, $operation, $server, $category, $status, $attempts, $message) = @_;
	my ($row, @more) = rows($operations{$operation}, $server);
	my $after = $attempts > 1 ? qr/ \(after $attempts attempts\)$/ : qr/^(?!.*\(after)/;

	is(scalar @more, 0, "$name: one row");
	ok(!$row->{ok}, "$name: not ok");
	is($row->{error_category}, $category, "$name: category");
	is($row->{http_status}, $status, "$name: HTTP status");
	like($row->{error_message}, $after, "$name: attempts in the message");
	like($row->{error_message}, $message, "$name: message") if $message;
	return $row;
}

sub check_success
{
	my ($name, $operation, $server) = @_;
	my ($row, @more) = rows($operations{$operation}, $server);

	is(scalar @more, 0, "$name: one row");
	ok($row->{ok}, "$name: ok") or diag($row->{error_message});
	is($hubspot->association_count('contacts', 'companies'), 1, "$name: HubSpot holds it");
	return;
}

# When the requests came, in ms.
sub request_times { return map { $_->{time_ms} } @{ $hubspot->log } }

# Statuses: which are worth another attempt
my %retried = map { ($_ => 1) } 408, 421, 425, 477, 499, 500, 502, 503, 504, 520 .. 527;
my %categories = (400 => 'VALIDATION_ERROR', 401 => 'INVALID_AUTHENTICATION', 403 => 'MISSING_SCOPES');
foreach my $status (
	300, 302, 304, 400 .. 418, 421, 422, 424 .. 426, 428, 431, 437, 451, 477, 488, 499,
	500 .. 508, 510, 511, 520 .. 527, 530, 599)
{
	my $attempts = $retried{$status} ? 3 : 1;
	my $category =
	  $status =~ /^(408|421|425|499)$/ || $status >= 500 && $status != 530 ? 'UNCONFIRMED' : $categories{$status} // "HTTP_$status";

	foreach my $operation ($attempts > 1 ? sort keys %operations : 'single')
	{
		my $name = "$status, $operation";

		misbehave({ status => $status });
		check_failure($name, $operation, 'hubspot', $category, $status, $attempts);
		is($hubspot->log_count, $attempts, "$name: requests");
		next if $attempts == 1;

		misbehave({ status => $status }, first => 2);
		check_success("$name, twice", $operation);
		is($hubspot->log_count, 3, "$name, twice: requests");
	}
}

# What can happen to a connection
my %faults = (
	'reset before the answer' => { reset => 'before' },
	'reset after the headers' => { reset => 'headers' },
	'reset in the body' => { reset => 'body' },
	'closed before the answer' => { close => 'before' },
	'cut in the body' => { truncate => 10 },
	'cut in the headers' => { cut_head => 40 },
	'no answer' => { hang => Cpanel::JSON::XS::true },
	'a late answer' => { delay_ms => 20_000 },
	'a late body' => { delay_body_ms => 20_000 },
	'a slow body' => { drip => { bytes => 1, interval_ms => 100 } },
);
foreach my $fault (sort keys %faults)
{
	my $timeout = $fault =~ /no answer|late|slow/;
	my $server = $timeout ? 'hasty' : 'hubspot';

	foreach my $operation ($timeout ? 'single' : ('single', 'batch'))
	{
		my $name = "$fault, $operation";
		my $status = $fault =~ /headers|body/ ? $operation eq 'batch' ? 201 : 200 : undef;

		# on a connection that was used before, libcurl itself may try again
		new_session();
		misbehave({ %{ $faults{$fault} }, act => Cpanel::JSON::XS::false });
		check_failure($name, $operation, $server, 'UNCONFIRMED', $status, 3,
			$timeout ? qr/^no complete answer: request_timeout has passed/ :
			qr/^no complete answer: /);
		is($hubspot->log_count, 3, "$name: requests");

		misbehave({ %{ $faults{$fault} }, act => Cpanel::JSON::XS::false }, first => 2);
		check_success("$name, twice", $operation, $server);
		is($hubspot->log_count, 3, "$name, twice: requests");
	}
}

# An answer that got lost doesn't make two of one association.
misbehave({ reset => 'body', act => Cpanel::JSON::XS::true }, first => 1);
check_success('done, but the answer lost', 'batch');

# No retries wanted
misbehave({ status => 503 });
check_failure('max_retries 0', 'batch', 'once', 'UNCONFIRMED', 503, 1);
is($hubspot->log_count, 1, 'max_retries 0: requests');
misbehave({ reset => 'headers' });
check_failure('max_retries 0, reset', 'batch', 'once', 'UNCONFIRMED', 201, 1);
is($hubspot->log_count, 1, 'max_retries 0, reset: requests');

# A batch is sent again as a whole, and each of its rows says so.
misbehave({ status => 502 });
my @rows = rows(
	q{hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 3) i'});
is_deeply(
	[ map { "$_->{input_no} $_->{error_category} $_->{error_message}" } @rows ],
	[ map { "$_ UNCONFIRMED This is a simulated error: Bad Gateway (after 3 attempts)" } 1 .. 3 ],
	'a batch');

# Retry-After, in whatever form
sub http_date { return strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $_[0]) }

foreach my $case (
	[ '1', 1000 ],
	[ 'a date', 0, 2 ],
	[ '0', 0 ], [ 'soon', 0 ], [ '-5', 0 ], [ '', 0 ], [ http_date(time - 3600), 0 ])
{
	my ($after, $least, $seconds) = @$case;

	my $date = time + ($seconds // 0);
	$after = http_date($date) if $seconds;
	misbehave({ status => 503, headers => { 'Retry-After' => $after } }, first => 1);
	check_success("Retry-After: \"$after\"", 'single', 'patient');
	my @times = request_times();
	is(scalar @times, 2, "Retry-After: \"$after\": requests");
	cmp_ok($times[1] - $times[0], '>=', $least, "Retry-After: \"$after\": waited");
	cmp_ok(time, '>=', $date, "Retry-After: \"$after\": until then") if $seconds;
}

# Longer than max_retry_delay: there is nothing to wait for.
foreach my $status (423, 477, 500, 503)
{
	foreach my $after ('4', '86400', 'Fri, 31 Dec 2099 23:59:59 GMT')
	{
		misbehave({ status => $status, headers => { 'Retry-After' => $after } });
		check_failure("$status, Retry-After: $after", 'batch', 'patient',
			$status < 500 ? "HTTP_$status" : 'UNCONFIRMED', $status, 1);
		is($hubspot->log_count, 1, "$status, Retry-After: $after: requests");
	}
}
misbehave({ status => 503, headers => { 'Retry-After' => '9' x 30 } });
ok(!(rows($operations{batch}, 'patient'))[0]{ok}, 'Retry-After past all numbers');
cmp_ok($hubspot->log_count, '<=', 2, 'Retry-After past all numbers: requests');

# A lock takes two seconds, which is more than the 20 ms of the other server.
misbehave({ status => 423 }, first => 1);
check_success('423', 'batch', 'patient');
{
	my @times = request_times();

	is(scalar @times, 2, '423: requests');
	cmp_ok($times[1] - $times[0], '>=', 2000, '423: waited');
}
misbehave({ status => 423 });
check_failure('423, no time for it', 'batch', 'hubspot', 'HTTP_423', 423, 1);
is($hubspot->log_count, 1, '423, no time for it: requests');

# One that waits doesn't hold up the others.
$session->query(q{ALTER SERVER patient OPTIONS (ADD batch_size '1', ADD concurrency '2')});
misbehave({ status => 503, headers => { 'Retry-After' => '3' } }, pair => [ '1', '1' ], first => 1);
@rows = rows(
	q{hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 20) i'}, 'patient');
is(scalar(grep { $_->{ok} } @rows), 20, 'one waits: all are created');
is($rows[-1]{input_no}, 1, 'one waits: the others come before it');
is((grep { $_->{path} } @{ $hubspot->log })[-1]{body} =~ /"1"/ ? 1 : 0,
	1, 'one waits: its retry is the last request');

# Nobody there
my $row = check_failure('nobody listens', 'single', 'closed', 'UNCONFIRMED', undef, 3,
	qr/^could not reach HubSpot: /);
is($row->{correlation_id}, undef, 'nobody listens: no correlation id');
check_failure('nobody listens, batch', 'batch', 'closed', 'UNCONFIRMED', undef, 3);
check_failure('no answer to a connection', 'single', 'hole', 'UNCONFIRMED', undef, 3,
	qr/^could not reach HubSpot: .*connect_timeout/);

# Nobody there, and then somebody
{
	my $offset = -s $node->logfile;

	$session->query(q{SET hubspot_assoc.progress_interval = '10ms'});
	$session->send("SELECT ok FROM $operations{default_batch}, server => 'stubborn')");
	$node->wait_for_log(qr/NOTICE: .*\b[1-9]\d* retries/, $offset);
	listen $late, SOMAXCONN or die "could not listen: $!";
	$late->timeout(patience(60));
	my $connection = $late->accept or die "no connection: $!";
	my $request = '';
	$request .= $_ while $request !~ /\}\]\}$/ && sysread $connection, $_, 65536;
	my $body = '{"results":[{"from":{"id":"101"},"to":{"id":"9001"}}]}';
	syswrite $connection, "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	my ($out, $err) = $session->finish;
	is($out, 't', 'somebody listens at last');
	$session->query('RESET hubspot_assoc.progress_interval');
}

# Connections that end while nobody uses them
new_session();
wait_until(sub { $hubspot->stats->{connections_open} == 0 });
misbehave({ close_after => Cpanel::JSON::XS::true, silent_close => Cpanel::JSON::XS::true });
foreach my $number (1 .. 5)
{
	check_success("closed when idle, call $number", 'single', 'once');
	wait_until(sub { $hubspot->stats->{connections_open} == 0 });
}
is($hubspot->log_count, 5, 'closed when idle: requests');
is($hubspot->stats->{connections_accepted}, 5, 'closed when idle: connections');

# The server starts anew.
{
	$hubspot->stop;
	$hubspot->start;
	check_success('a server that started anew', 'batch', 'once');
	is($hubspot->log_count, 1, 'a server that started anew: requests');
}

# hs_assoc_request() repeats no POST that may have been done.  Each is tried on
# a connection that was used before, and on a new one.
sub request
{
	my ($method, $server) = @_;
	$session->send("SELECT http_status FROM hs_assoc_request('$method', '/crm/any', "
		  . ($method eq 'GET' || $method eq 'DELETE' ? 'NULL' : q('{}')) . ", '$server')");
	return $session->finish;
}

foreach my $kept (0, 1)
{
	my $on = $kept ? 'kept connection' : 'new connection';

	foreach my $method (qw(GET PUT DELETE POST PATCH))
	{
		my $repeatable = ($method !~ /POST|PATCH/);

		foreach my $status (400, 500, 502, 503, 504, 521, 477)
		{
			my $requests = $status == 400 || !$repeatable && $status != 477 ? 1 : 3;

			misbehave({ status => $status });
			is((request($method, 'hubspot'))[0], $status, "$method, $status, $on: status");
			is($hubspot->log_count, $requests, "$method, $status, $on: requests");
		}
		foreach my $fault (
			'reset before the answer', 'reset after the headers', 'reset in the body',
			'closed before the answer', 'cut in the body', $repeatable ? () : 'no answer')
		{
			new_session();
			$hubspot->reset;
			request('GET', 'hubspot') if $kept;
			misbehave($faults{$fault}, method => $method);
			my ($out, $err) = request($method, $fault eq 'no answer' ? 'hasty' : 'hubspot');
			like($err, qr/ERROR:  08006: /, "$method, $fault, $on: error");
			if (!$repeatable)
			{
				is($hubspot->log_count, 1, "$method, $fault, $on: requests");
			}
			else
			{
				cmp_ok($hubspot->log_count, '>=', 3, "$method, $fault, $on: requests");
			}
		}
	}
}

# Of these it is known that nothing was done.
foreach my $action (
	{ status => 423 },
	{ status => 429, body => { policyName => 'SECONDLY' } })
{
	misbehave($action, first => 1);
	is((request('POST', 'patient'))[0], 404, "POST, $action->{status}: sent again");
	is($hubspot->log_count, 2, "POST, $action->{status}: requests");
}
like((request('POST', 'closed'))[1], qr/\(after 3 attempts\)/, 'POST, nobody listens: attempts');

$session->quit;
#
# Each wait may be twice as long as the one before
#
$hubspot->reset;
$hubspot->rules({ match => { first => 3 }, action => { status => 503 } });
like(start_session($node)->query(q{SELECT ok, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'slower')}),
	qr/^t\|$/, 'after three attempts, the fourth');
is(join(' ', map { $_->{status} } @{ $hubspot->log }), '503 503 503 200', 'no more and no less');

done_testing();
