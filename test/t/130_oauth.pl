# Access tokens from OAuth: fetched once, renewed in time, and nothing said of
# the secrets, whatever the token endpoint answers.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Socket::INET;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node(log_duration => 'on', log_timezone => 'UTC');
my $hubspot = start_simulator();
my %usual = (rate_limit => 0, max_retries => 1, max_retry_delay => '50ms');
my $output = '';			# all that clients have seen
my @secrets;				# all that nobody may see

# Characters that mean something in a form.
my $odd = '+/=&%41;"\'~';

# A client of OAuth, and a server with PUBLIC's mapping for it. What isn't the
# client's is a server option.
sub create_client
{
	my ($name, %options) = @_;
	my %client = (
		client_id => "id-$name",
		client_secret => "s3cr3t-$name$odd",
		refresh_token => "r3fr3sh-$name$odd",
		map { $_ => delete $options{$_} } grep { exists $options{$_} } qw(expires_in rotate token));
	my $user = delete $options{user} // 'PUBLIC';

	$hubspot->oauth(\%client);
	create_account($node, $hubspot, %usual, %options, name => $name);
	set_mapping($name, 'DROP USER MAPPING FOR PUBLIC');
	set_mapping($name, "CREATE USER MAPPING FOR $user", %client);
	return;
}

# A command about user mappings, with the three options after what begins each.
sub set_mapping
{
	my ($name, $command, %client) = @_;
	my @options;

	foreach my $option (qw(client_id client_secret refresh_token))
	{
		next unless exists $client{$option};
		push @options, ($command =~ /^ALTER/ ? 'SET ' : '') . "$option '" . $client{$option} =~ s/'/''/gr . "'";
		push @secrets, $client{$option} unless $option eq 'client_id';
	}
	$node->safe_psql('postgres', "SET log_statement = none; $command SERVER $name"
		  . (@options ? ' OPTIONS (' . join(', ', @options) . ')' : ''));
	return;
}

sub outcome
{
	my ($session, $sql) = @_;
	$session->send($sql);
	return outcome_of($session);
}

# The same of a statement that was sent.
sub outcome_of
{
	my ($out, $err) = $_[0]->finish;
	$output .= "$out\n$err\n";
	return $err eq '' ? $out : "$out\n$err";
}

my $call = q{SELECT ok, http_status, error_category, error_message
	FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '%s')};

sub call { return outcome($_[0], sprintf $call, $_[1]) }

sub raise
{
	return outcome($_[0],
		"SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise', server => '$_[1]')");
}

# So many requests, one input each.
sub batch
{
	my ($session, @which) = @_;
	send_batch($session, @which);
	return outcome_of($session);
}

sub send_batch
{
	my ($session, $server, $count) = @_;
	$session->send(qq{SELECT string_agg(c || ' ' || n, ', ' ORDER BY c) FROM (
		SELECT coalesce(error_category, 'ok') AS c, count(*) AS n
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series(1, $count) i', server => '$server')
		GROUP BY 1) AS counts});
	return;
}

# Requests to the token endpoint, and others by their status, since the last look.
sub fetched
{
	my $count = $hubspot->log_count('^/oauth/');
	$hubspot->clear_log;
	return $count;
}

sub answers
{
	my %count;
	$count{ $_->{path} =~ m{^/oauth/} ? 'token' : $_->{status} }++ foreach @{ $hubspot->log };
	$hubspot->clear_log;
	return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

# What the token endpoint says from now on.
sub token_rule
{
	my ($action, %match) = @_;
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '^/oauth/', %match }, action => $action });
	$hubspot->clear_log;
	return;
}

#
# Fetched for the first request, kept over statements, one for each session
#
create_client('plain');
create_client('old', api_version => 'v4');
my $session = start_session($node);
$hubspot->clear_log;
is(call($session, 'plain'), 't|200||', 'a call');
my ($fetch, $sent) = @{ $hubspot->log };
is("$fetch->{method} $fetch->{path} $fetch->{status}", 'POST /oauth/2026-03/token 200', 'the token is fetched first');
is($fetch->{token_hash}, undef, 'without a token');
is($fetch->{content_type}, 'application/x-www-form-urlencoded', 'by a form');
is($fetch->{body}, 'grant_type=refresh_token&client_id=id-plain&client_secret=...&refresh_token=...',
	'with what it is to have');
isnt($sent->{token_hash}, undef, 'then the call is sent with it');
fetched();
is(call($session, 'plain'), 't|200||', 'a second statement');
is(batch($session, 'plain', 3), 'ok 3', 'a batch');
like(outcome($session, q{SELECT http_status FROM hs_assoc_request('GET',
		'/crm/objects/2026-03/contacts/1/associations/companies', server => 'plain')}), qr/^200$/, 'a request');
is(fetched(), 0, 'have the same token');
is(call($session, 'old'), 't|200||', 'a call of v4');
is($hubspot->log(path => '^/oauth')->[0]{path}, '/oauth/v3/token', 'has the path of its time');
my $other = start_session($node);
fetched();
is(call($other, 'plain'), 't|200||', 'another session');
is(fetched(), 1, 'has a token of its own');
is(outcome($other, q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
		$$SELECT (hs_assoc_create_default('contacts', i, 'companies', i, server => 'old')).from_id, i AS to_id
		FROM generate_series(1, 5) i$$, server => 'old')}), '5', 'statements in one another');
is(fetched(), 1, 'share one');

#
# Renewed before it expires
#
create_client('brief', expires_in => patience(3), concurrency => 1, batch_size => 1);
$hubspot->settings({ latency_ms => patience(500) });
is(batch($session, 'brief', 8), 'ok 8', 'a batch that takes longer than a token lives');
$hubspot->settings({ latency_ms => 0 });
# two if nothing takes longer than it should
like(answers(), qr/^200: 8, token: [2-8]$/, 'meets no expired token');

#
# Expired on the way: by HubSpot's word
#
create_client('wide', concurrency => 16, batch_size => 1);
is(call($session, 'wide'), 't|200||', 'a token');
$hubspot->reset;
$hubspot->oauth({ client_id => 'id-wide', client_secret => "s3cr3t-wide$odd", refresh_token => "r3fr3sh-wide$odd" });
is(call($session, 'wide'), 'f|401|INVALID_AUTHENTICATION|Authentication credentials are not valid.',
	'a token that was revoked');
is(answers(), '401: 1', 'is not renewed in the statement');
is(call($session, 'wide'), 't|200||', 'but in the next one');
is(answers(), '200: 1, token: 1', 'once');

$hubspot->expire_oauth;
$hubspot->rules({ match => { path => '^/crm', first => 16 }, action => { hold => 1 } });
send_batch($session, 'wide', 48);
wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 16 });
$hubspot->release;
is(outcome_of($session), 'ok 48', 'no row fails if the token expires');
is(answers(), '200: 48, 401: 16, token: 1', 'with 16 requests in flight, and one is fetched');
$hubspot->clear_rules;

$hubspot->expire_oauth;
like(outcome($session, q{SELECT http_status FROM hs_assoc_request('POST', '/crm/associations/2026-03/0-1/0-2/labels',
		'{"label": "Sent once", "name": "sent_once"}', server => 'wide')}), qr/^20\d$/,
	'what is not repeatable is sent again, too, as HubSpot has not acted');
is(answers(), '200: 1, 401: 1, token: 1', 'once');

sub refused
{
	return { status => 401, body => { status => 'error', category => $_[0], message => 'No.' } };
}

$hubspot->rules({ match => { path => '^/crm' }, action => refused('EXPIRED_AUTHENTICATION') });
is(call($session, 'wide'), 'f|401|EXPIRED_AUTHENTICATION|No.', 'a token that expires at once');
is(answers(), '401: 2, token: 1', 'is renewed only once');
like(raise($session, 'wide'), qr/ERROR:  28000:/, 'and is an error');
is(answers(), '401: 2, token: 2', 'the next statement begins anew');
$hubspot->clear_rules;

#
# What the answer says of the time
#
create_client('timed', concurrency => 1, batch_size => 1);
foreach my $case (
	[ 'missing', undef, 1 ], [ 'null', \'null', 1 ], [ 'a word', '"soon"', 1 ], [ 'an object', '{}', 1 ],
	[ 'a number as a string', '"1800"', 1 ], [ 'too large', '99999999999', 1 ], [ 'a fraction', '1800.5', 1 ],
	[ 'zero', '0', 3 ], [ 'negative', '-5', 3 ])
{
	my ($name, $value, $count) = @$case;
	$value = $$value if ref $value;
	token_rule({ status => 200, content_type => 'application/json',
		text => '{"access_token": "test-token"' . (defined $value ? ", \"expires_in\": $value" : '') . '}' });
	my $fresh = start_session($node);
	is(batch($fresh, 'timed', 3), 'ok 3', "expires_in is $name");
	is(answers(), "200: 3, token: $count", '... how often it is fetched');
	$fresh->quit;
}
$hubspot->clear_rules;

#
# Refusals of the token endpoint
#
my %wrong = (
	id => { client_id => 'id-unknown', client_secret => "wr0ng-s3cr3t$odd", refresh_token => "wr0ng-r3fr3sh$odd" },
	secret => { client_id => 'id-wide', client_secret => "wr0ng-s3cr3t$odd", refresh_token => "r3fr3sh-wide$odd" },
	refresh => { client_id => 'id-wide', client_secret => "s3cr3t-wide$odd", refresh_token => "wr0ng-r3fr3sh$odd" });
my %categories = (id => 'BAD_CLIENT_ID', secret => 'BAD_CLIENT_SECRET', refresh => 'BAD_REFRESH_TOKEN');
my %words = (id => 'missing or unknown client id', secret => 'missing or invalid client secret',
	refresh => 'missing or invalid refresh token');

foreach my $kind (sort keys %wrong)
{
	my $name = "wrong_$kind";
	create_account($node, $hubspot, %usual, name => $name, batch_size => 1);
	set_mapping($name, 'DROP USER MAPPING FOR PUBLIC');
	set_mapping($name, 'CREATE USER MAPPING FOR PUBLIC', %{ $wrong{$kind} });
	$hubspot->clear_log;
	is(call($session, $name), "f|400|NOT_SENT|could not get an access token: $categories{$kind}: $words{$kind}",
		"wrong $kind: a row in HubSpot's words");
	is(answers(), 'token: 1', 'nothing else is sent');
	like(raise($session, $name), qr/ERROR:  28000: could not associate contacts 1 with companies 2
DETAIL:  NOT_SENT: could not get an access token: $categories{$kind}: $words{$kind} \(HTTP status 400, correlation id [-\w]+\)\.
HINT:  Set valid options with ALTER USER MAPPING/, 'an error');
	like(outcome($session, "SELECT * FROM hs_assoc_request('GET', '/x', server => '$name')"),
		qr/ERROR:  28000: could not get an answer to GET \/x\n.*$words{$kind}/, 'also of any request');
	$hubspot->clear_log;
	like(batch($session, $name, 100), qr/^NOT_SENT 100\n.*WARNING:  28000: .*$words{$kind}/s,
		'a batch ends, with a warning');
	is(answers(), 'token: 1', 'after one fetch');
	is(outcome($session, qq{SELECT error IS NULL, correlation_id IS NOT NULL
			FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '$name')}), 't|t',
		'the object is not passed on, the correlation id is');
}

# A token that runs out midway and can't be renewed: what was sent counts.
is(call($session, 'wide'), 't|200||', 'a token');
$hubspot->rules([
	{ match => { path => '^/oauth/' }, action => { status => 400, body => { status => 'BAD_REFRESH_TOKEN', message => 'gone' } } },
	{ match => { path => '^/crm', after => 20 }, action => refused('EXPIRED_AUTHENTICATION') } ]);
like(batch($session, 'wide', 100), qr/^(EXPIRED_AUTHENTICATION \d+, )?NOT_SENT \d+, ok 20\n.*WARNING:  28000: .*BAD_REFRESH_TOKEN: gone/s, 'the confirmed are confirmed');
$hubspot->clear_rules;

# The forms that a refusal can have.
my @refusals = (
	[ 'no JSON', { status => 400, text => '<html>no</html>' }, qr/could not get an access token: HTTP status 400 without a reason/ ],
	[ 'empty', { status => 403, text => '' }, qr/could not get an access token: HTTP status 403 without/ ],
	[ 'of OAuth alone', { status => 400, body => { error => 'invalid_grant' } }, qr/.*: invalid_grant$/ ],
	[ 'described', { status => 401, body => { error => 'x', error_description => 'It is gone.' } }, qr/.*: It is gone\.$/ ],
	[ 'of the API', { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'bad form' } },
		qr/.*: VALIDATION_ERROR: bad form$/ ],
	[ 'of odd kinds', { status => 400, body => { status => 5, message => [], error => {} } }, qr/could not get/ ],
	[ 'malformed token', { status => 530, body => { message => 'malformed' } }, qr/.*: malformed/ ],
	[ 'of the day', { status => 429, body => { policyName => 'DAILY', message => 'no more' } }, qr/.*: no more/ ]);
create_client('refused');
foreach my $case (@refusals)
{
	my ($name, $action, $expected) = @$case;
	token_rule($action);
	like(call($session, 'refused'), qr/^f\|$action->{status}\|NOT_SENT\|$expected/, "a refusal: $name");
	is(answers(), 'token: 1', '... not repeated');
}

#
# The token endpoint fails: nothing was sent, and it is tried again
#
my @failures = (
	[ '500', { status => 500, body => { message => 'Oops' } }, 'f|500|NOT_SENT|could not get an access token: Oops (after 2 attempts)', '38000', 2 ],
	[ '503', { status => 503, text => '' },
		'f|503|NOT_SENT|could not get an access token: HTTP status 503 without a reason (after 2 attempts)', '38000', 2 ],
	[ 'a reset', { reset => 'before' }, qr/^f\|\|NOT_SENT\|could not get an access token: no complete answer: .* \(after 2 attempts\)/, '08006' ],
	[ 'redirect', { redirect => 'http://127.0.0.1:1/' }, qr/^f\|30\d\|NOT_SENT\|could not get an access token: /, '08P01', 1 ],
	[ 'no JSON', { status => 200, text => '<html>' },
		'f|200|NOT_SENT|could not get an access token: the answer holds no valid access token', '08P01', 1 ],
	[ 'cut off', { status => 200, text => '{"access_token": "test-token"' }, qr/^f\|200\|NOT_SENT\|/, '08P01', 1 ],
	[ 'empty', { status => 200, text => '' }, qr/^f\|200\|NOT_SENT\|/, '08P01', 1 ],
	[ '204', { status => 204 }, qr/^f\|204\|NOT_SENT\|/, '08P01', 1 ],
	[ 'an array', { status => 200, text => '[]' }, qr/^f\|200\|NOT_SENT\|/, '08P01', 1 ],
	[ 'no token', { status => 200, text => '{"expires_in": 1800}' }, qr/^f\|200\|NOT_SENT\|/, '08P01', 1 ],
	[ 'too large', { status => 200, pad => 17 * 1024 * 1024 }, qr/^f\|200\|NOT_SENT\|.*larger than/, '08P01', 1 ],
	(map { [ "token $_->[0]", { status => 200, body => { access_token => $_->[1] } }, qr/^f\|200\|NOT_SENT\|/, '08P01', 1 ] }
		[ 'is empty', '' ], [ 'is null', undef ], [ 'is an object', {} ], [ 'has spaces', 'test token' ],
		[ 'has lines', "test-token\r\nX-Evil: 1" ], [ 'is not ASCII', "test-t\x{f6}ken" ], [ 'is too long', 'x' x 4097 ],
		[ 'has a NUL', "test-token\0" ]));
foreach my $case (@failures)
{
	my ($name, $action, $expected, $sqlstate, $requests) = @$case;
	token_rule($action);
	my $row = call($session, 'refused');
	ok(ref $expected ? $row =~ $expected : $row eq $expected, "a failure: $name") or diag $row;
	my $answers = answers();
	is($answers, "token: $requests", '... how often it is tried') if $requests;
	like(raise($session, 'refused'), qr/ERROR:  $sqlstate: .*NOT_SENT.*Nothing was sent|ERROR:  $sqlstate: .*NOT_SENT.*Redirects/s,
		'... its error');
}
token_rule({ status => 429 }, first => 1);
is(call($session, 'refused'), 't|200||', 'a 429 is waited for');
is(answers(), '200: 1, token: 2', '... and tried again');
$hubspot->clear_rules;
is(call($session, 'refused'), 't|200||', 'the session still works');

# a port that is taken, but nobody listens at
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "bind: $!";
my $closed_port = $closed->sockport;
create_client('down', base_url => "http://127.0.0.1:$closed_port");
like(batch($session, 'down', 3), qr/^NOT_SENT 3.*WARNING:  08006: .*could not reach HubSpot.* \(after 2 attempts\)/s, 'nobody is there');
like(raise($session, 'down'), qr/ERROR:  08006: .*NOT_SENT: could not get an access token: could not reach HubSpot/s, 'an error');

#
# The endpoint hangs: cancel acts at once, and what can be seen has no secret
#
create_client('hangs');
# the session that has made it shows its statement as long as it is there
wait_until(sub { $other->query(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%USER MAPPING%' AND pid <> pg_backend_pid()}) == 0 });
token_rule({ hang => \1 });
my $watch = start_stopwatch($node);
my @late;
my $views = '';
foreach my $try (1 .. 3)
{
	$watch->send($session, sprintf $call, 'hangs');
	wait_until(sub { $hubspot->log_count('^/oauth/') == $try });
	$views .= outcome($other, "SELECT v::text FROM $_ v")
	  foreach qw(pg_stat_activity pg_settings pg_foreign_server pg_backend_memory_contexts
		information_schema.foreign_server_options);
	outcome($other, 'SELECT pg_log_backend_memory_contexts(' . $session->pid . ')');
	my ($out, $err, $late) = $watch->cancel($session);
	push @late, $late;
	$output .= $out . $err;
	like($err, qr/ERROR:  57014:/, 'a cancel');
}
cmp_ok((sort { $a <=> $b } @late)[1], '<', patience(0.1), 'acts within 100 ms');
$output .= $views;
like($views, qr/hs_assoc_create_default.*hangs/, 'the views were asked while the call was under way');
$node->safe_psql('postgres', "ALTER SERVER hangs OPTIONS (ADD request_timeout '@{[ patience(100) ]}ms')");
like(call($session, 'hangs'), qr/^f\|\|NOT_SENT\|could not get an access token: .*request_timeout has passed/, 'a time-out');
$node->safe_psql('postgres', 'ALTER SERVER hangs OPTIONS (DROP request_timeout)');
$hubspot->clear_rules;
is(call($session, 'hangs'), 't|200||', 'and then it works');

#
# An endpoint that repeats what it got
#
create_client('echo');
my ($secret, $refresh) = ("s3cr3t-echo$odd", "r3fr3sh-echo$odd");
my $form = join '&', map { s/([^-.~\w])/sprintf '%%%02x', ord $1/ger } $secret, $refresh;
foreach my $text ("$secret and $refresh", $form, uc $form, uc $secret, "$secret$secret", ('x' x 990) . $secret)
{
	foreach my $body (
		{ message => $text }, { error_description => $text }, { error => $text },
		{ status => $text, message => 'no' }, { message => 'no', correlationId => $text },
		{ category => $text }, { message => 'no', other => $text, access_token => $text },
		{ message => "no: n3w-r3fr3sh$odd", refresh_token => "n3w-r3fr3sh$odd" })
	{
		token_rule({ status => 400, body => $body, headers => { 'X-HubSpot-Correlation-Id' => $secret } });
		like(outcome($session, q{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'echo')}),
			qr/\|f\|.*could not get an access token/, 'an echo');
	}
	like(raise($session, 'echo'), qr/ERROR:  28000:/, 'an echo that is an error');
}
token_rule({ status => 400, body => { message => "Client s3cr3t-echo$odd is not allowed." } });
like(call($session, 'echo'), qr/: Client \*+ is not allowed\.$/, 'the rest is shown');
token_rule({ status => 200, body => { access_token => "bad $secret", message => $secret } });
like(call($session, 'echo'), qr/^f\|/, 'a bad answer with an echo');
$hubspot->clear_rules;

#
# Changed options count from the next call
#
$hubspot->account({ token => 'second-account' });
create_client('changed', expires_in => 1800);
create_client('second', token => 'second-account');
is(call($session, 'changed'), 't|200||', 'before the change');
fetched();
my $before = $hubspot->association_count('contacts', 'companies', token => 'second-account');
set_mapping('changed', 'ALTER USER MAPPING FOR PUBLIC', client_id => 'id-second',
	client_secret => "s3cr3t-second$odd", refresh_token => "r3fr3sh-second$odd");
is(call($session, 'changed'), 't|200||', 'after the change');
is(fetched(), 1, 'another token is fetched');
is($hubspot->association_count('contacts', 'companies', token => 'second-account'), $before + 1, 'that of the other account');
set_mapping('changed', 'ALTER USER MAPPING FOR PUBLIC', client_secret => "wr0ng-s3cr3t$odd");
like(call($session, 'changed'), qr/^f\|400\|NOT_SENT\|.*BAD_CLIENT_SECRET/, 'a wrong secret is not hidden by an old token');
set_mapping('changed', 'ALTER USER MAPPING FOR PUBLIC', client_secret => "s3cr3t-second$odd", refresh_token => "wr0ng-r3fr3sh$odd");
like(call($session, 'changed'), qr/^f\|400\|NOT_SENT\|.*BAD_REFRESH_TOKEN/, 'nor a wrong refresh token');
set_mapping('changed', 'ALTER USER MAPPING FOR PUBLIC', refresh_token => "r3fr3sh-second$odd");
is(call($session, 'changed'), 't|200||', 'the right one again');
my $elsewhere = start_simulator();
$node->safe_psql('postgres', "ALTER SERVER changed OPTIONS (SET base_url '@{[ $elsewhere->url ]}')");
like(call($session, 'changed'), qr/^f\|400\|NOT_SENT\|.*BAD_CLIENT_ID/, 'a token goes to no other host');
is($elsewhere->log_count('^/crm'), 0, 'not even once');
$elsewhere->stop;
$node->safe_psql('postgres', 'SET log_statement = none; ALTER USER MAPPING FOR PUBLIC SERVER changed
	OPTIONS (DROP client_id, DROP client_secret, DROP refresh_token, ADD access_token \'test-token\');'
	  . "ALTER SERVER changed OPTIONS (SET base_url '@{[ $hubspot->url ]}')");
fetched();
is(call($session, 'changed'), 't|200||', 'a static token');
is(fetched(), 0, 'is not fetched');

#
# A new refresh token is stored in the user mapping
#
my $could_not = qr/WARNING:  01000: could not store the new refresh token of server "\w+" in the user mapping/;

# What the mapping has is what HubSpot wants: another session can begin with it.
sub is_stored
{
	my ($server, $name, $role) = @_;
	my $fresh = start_session($node);
	$fresh->query("SET ROLE $role") if $role;
	is(call($fresh, $server), 't|200||', $name);
	$fresh->quit;
	return;
}

$node->safe_psql('postgres', 'CREATE ROLE sender; CREATE ROLE owner; CREATE ROLE beggar');
create_client('rotates', rotate => 1);
$node->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER rotates TO sender, beggar; ALTER SERVER rotates OPTIONS (ADD concurrency '1', ADD batch_size '1')");
is(call($session, 'rotates'), 't|200||', "PUBLIC's mapping, by a superuser");
is_stored('rotates', 'it was stored');
is_stored('rotates', 'and again');
is(call($session, 'rotates'), 't|200||', 'the session that was there before goes on');

# In the midst of a query, with a cursor open, whose snapshot it must not touch.
create_client('midway', rotate => 1, concurrency => 2, batch_size => 1);
is(outcome($session, q{BEGIN; DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 3) i; FETCH c; SAVEPOINT s}), '1', 'a cursor');
is(batch($session, 'midway', 5), 'ok 5', 'stored from inside a query');
is(outcome($session, 'FETCH c'), '2', 'the cursor goes on');
is(outcome($session, 'COMMIT'), '', 'and the transaction');
is_stored('midway', 'it was stored');

# In the midst of a query that writes, and with a token so long that it is toasted
create_client('writes', rotate => 1);
is(outcome($session, q{CREATE TEMP TABLE written AS
		SELECT (hs_assoc_create_default('contacts', i, 'companies', i, server => 'writes')).ok FROM generate_series(1, 5) i;
	INSERT INTO written SELECT (hs_assoc_create_default('contacts', i, 'companies', i, server => 'writes')).ok
		FROM generate_series(1, 5) i;
	SELECT count(*) FILTER (WHERE ok), count(*) FROM written}), '10|10', 'a query that writes goes on');
is_stored('writes', 'it was stored');
foreach my $try (1, 2)
{
	my $long = 'r3fr3sh-' . join '', map { chr(33 + int rand 94) } 1 .. 4000;
	token_rule({ status => 200, body => { access_token => 'test-token', refresh_token => $long, expires_in => 1 } });
	my $fresh = start_session($node);
	is(call($fresh, 'writes'), 't|200||', 'a long one');
	is($fresh->query(q{SELECT length(o) FROM pg_user_mapping u JOIN pg_foreign_server s ON s.oid = umserver,
		unnest(umoptions) o WHERE srvname = 'writes' AND o LIKE 'refresh_token=%'}), 4008 + length('refresh_token='), 'is stored in full');
	$fresh->quit;
}
$hubspot->clear_rules;

# A role's own mapping
create_client('own', rotate => 1, user => 'sender');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER own TO sender');
my $sender = start_session($node);
$sender->query('SET ROLE sender');
is(call($sender, 'own'), 't|200||', "a role's own mapping");
is_stored('own', 'it was stored', 'sender');

# The owner of the server may change PUBLIC's, who only uses it may not.
create_client('owned', rotate => 1);
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO owner; ALTER SERVER owned OWNER TO owner;
	GRANT USAGE ON FOREIGN SERVER owned TO beggar');
is_stored('owned', "PUBLIC's mapping, by the owner", 'owner');
is_stored('owned', 'it was stored', 'owner');
my $beggar = start_session($node);
$beggar->query('SET ROLE beggar');
my $mapping = q{SELECT md5(umoptions::text) FROM pg_user_mapping JOIN pg_foreign_server s ON s.oid = umserver WHERE srvname = '%s'};
my $old = $other->query(sprintf $mapping, 'owned');
like(call($beggar, 'owned'), qr/^t\|200\|\|.*$could_not.*DETAIL:  Must be owner of foreign server owned\..*HINT/s, 'by another one');
is($other->query(sprintf $mapping, 'owned'), $old, 'it was not');
fetched();
like(call($beggar, 'owned'), qr/^t\|200\|\|.*$could_not/s, 'the session goes on, and says it again');
is(fetched(), 0, 'with what it has');
$hubspot->expire_oauth;
like(outcome($beggar, q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series(1, 5) i', server => 'owned')}),
	qr/^5\n.*$could_not/s, 'also when the token expires, amidst a batch');
is(answers(), '200: 1, 401: 1, token: 1', 'with the refresh token that it got');
my $warnings = () = outcome($beggar, q{SELECT hs_assoc_create_default('contacts', i, 'companies', i, server => 'owned')
	FROM generate_series(1, 5) i}) =~ /$could_not/g;
is($warnings, 1, 'once a statement');
$node->safe_psql('postgres', 'GRANT owner TO beggar');
is(call($beggar, 'owned'), 't|200||', 'when it may, it is stored');
is_stored('owned', 'for others, too', 'owner');

# Transactions that are read-only, or rolled back
create_client('undone', rotate => 1);
my $undone = start_session($node);
outcome($undone, 'BEGIN READ ONLY');
like(call($undone, 'undone'), qr/^t\|200\|\|.*$could_not.*DETAIL:  The transaction is read-only\./s, 'a read-only transaction');
outcome($undone, 'COMMIT');
is(call($undone, 'undone'), 't|200||', 'the next one stores it');
is_stored('undone', 'so that all others have it');

# that session has replaced what the first one has: which notices it
outcome($undone, 'BEGIN');
is(call($undone, 'undone'), 't|200||', 'a transaction');
like(outcome($undone, 'ROLLBACK'), qr/WARNING:  01000: the new refresh token of OAuth is no longer in the user mapping/,
	'says what it undoes');
fetched();
is(call($undone, 'undone'), 't|200||', 'the next one stores it again');
is(fetched(), 0, 'without a fetch');
is_stored('undone', 'so that all others have it');

outcome($undone, 'BEGIN; SAVEPOINT s; SAVEPOINT t');
is(call($undone, 'undone'), 't|200||', 'a savepoint');
is(outcome($undone, 'RELEASE t'), '', 'is kept');
like(outcome($undone, 'ROLLBACK TO s'), qr/WARNING:  01000: the new refresh token/, 'the one around it is undone');
is(call($undone, 'undone'), 't|200||', 'it is stored again');
is(outcome($undone, 'COMMIT'), '', 'and stays');
is_stored('undone', 'for all others');

outcome($undone, 'BEGIN');
is(call($undone, 'undone'), 't|200||', 'a transaction');
like(outcome($undone, 'SELECT 1/0'), qr/^(?=.*ERROR:  22012).*WARNING:  01000: the new refresh token/s, 'that fails');
is(outcome($undone, 'ROLLBACK'), '', 'is rolled back');
is(call($undone, 'undone'), 't|200||', 'it is stored again');
is(outcome($undone, 'BEGIN;' . sprintf($call, 'undone') . '; COMMIT'), 't|200||', 'a transaction that needs no store says nothing');

my $no_longer = qr/WARNING:  01000: the new refresh token of OAuth is no longer in the user mapping/;

# Two of them, one in a savepoint: each is told of.
outcome($undone, 'BEGIN');
$hubspot->expire_oauth;
is(call($undone, 'undone'), 't|200||', 'a transaction that stores one');
outcome($undone, 'SAVEPOINT s');
$hubspot->expire_oauth;
fetched();
is(call($undone, 'undone'), 't|200||', 'and another one in a savepoint');
is(fetched(), 1, 'which was fetched there');
like(outcome($undone, 'ROLLBACK TO s'), $no_longer, 'that one is undone');
like(outcome($undone, 'ROLLBACK'), $no_longer, 'and then the first one');
is(call($undone, 'undone'), 't|200||', 'the last one is stored again');
is_stored('undone', 'for all others');

# Undone amid a statement: what comes after it in the same one stores it again.
create_client('blocks', rotate => 1);
$hubspot->rules({ match => { path => '^/crm', first => 1 }, action => { status => 400 } });
fetched();
my $seen = outcome($undone, q{
	CREATE TEMP TABLE outcomes (i int, outcome text);
	DO $$
	BEGIN
		FOR i IN 1 .. 4 LOOP
			BEGIN
				PERFORM hs_assoc_create_default('contacts', i, 'companies', i, on_error => 'raise', server => 'blocks');
				INSERT INTO outcomes VALUES (i, 'ok');
			EXCEPTION WHEN invalid_parameter_value THEN
				INSERT INTO outcomes VALUES (i, 'failed');
			END;
		END LOOP;
	END $$;
	SELECT string_agg(outcome, ' ' ORDER BY i) FROM outcomes});
like($seen, qr/^failed ok ok ok\n/, 'blocks, of which the first one fails');
my @told = $seen =~ /$no_longer/g;
is(scalar @told, 1, '... and is told of once');
is(fetched(), 1, '... one token was fetched');
$hubspot->clear_rules;
is_stored('blocks', 'the next one has stored it');
is_stored('blocks', 'for all others');

create_client('parts', rotate => 1);
$node->safe_psql('postgres', q{CREATE PROCEDURE parts(ends text[]) LANGUAGE plpgsql AS $$
	DECLARE
		how text;
	BEGIN
		FOREACH how IN ARRAY ends LOOP
			PERFORM hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise', server => 'parts');
			IF how = 'COMMIT' THEN COMMIT; ELSE ROLLBACK; END IF;
		END LOOP;
	END $$});
foreach my $ends ([ 'ROLLBACK', 'COMMIT' ], [ 'ROLLBACK', 'ROLLBACK', 'COMMIT', 'COMMIT' ])
{
	my $name = join ', ', @$ends;
	my $fresh = start_session($node);
	my @warnings = outcome($fresh, "CALL parts('{$name}')") =~ /$no_longer/g;
	is(scalar @warnings, scalar(grep { $_ eq 'ROLLBACK' } @$ends), "a procedure: $name");
	$fresh->quit;
	is_stored('parts', 'what is committed is stored');
}

# Another session replaces the refresh token while a statement goes on with the old one.
create_client('shared', rotate => 1, batch_size => 1, concurrency => 1);
my ($long, $short) = (start_session($node), start_session($node));
is(call($long, 'shared'), 't|200||', 'a session');
$other->query('SELECT pg_advisory_lock(7)');
$long->send(q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 4) AS i
	WHERE CASE WHEN i = 4 THEN pg_advisory_lock_shared(7) IS NOT NULL ELSE true END', server => 'shared')});
wait_until(sub { $other->query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) == 1 });
$hubspot->expire_oauth;
is(call($short, 'shared'), 't|200||', 'another one gets a new refresh token');
$hubspot->expire_oauth;
$hubspot->clear_log;
$other->query('SELECT pg_advisory_unlock(7)');
is(outcome_of($long), '4', 'which the first one takes up amidst a statement');
is(answers() =~ /token: 2$/, 1, 'after the old one was refused');
$_->quit foreach $long, $short;

# Somebody else is about to change the mapping.
create_client('locked', rotate => 1);
outcome($other, q{BEGIN; ALTER USER MAPPING FOR PUBLIC SERVER locked OPTIONS (SET client_id 'id-locked')});
my $begin = time;
like(call($session, 'locked'), qr/^t\|200\|\|.*$could_not.*DETAIL:  Another transaction is changing the user mapping\./s, 'a lock');
cmp_ok(time - $begin, '<', patience(5), 'is not waited for');
outcome($other, 'ROLLBACK');
is(outcome($session, 'SHOW lock_timeout'), '0', 'the setting is as before');
is(call($session, 'locked'), 't|200||', 'it is stored afterwards');
is_stored('locked', 'for all others');

# Somebody changes the mapping, drops it, or the server, while a new token is fetched.
foreach my $case (
	[ 'altered', q{ALTER USER MAPPING FOR PUBLIC SERVER altered OPTIONS (SET client_id 'id-other')}, 'The user mapping has been changed' ],
	[ 'unmapped', 'DROP USER MAPPING FOR PUBLIC SERVER unmapped', 'User mapping for user .* not found' ],
	[ 'dropped', 'DROP SERVER dropped CASCADE', 'The server has been dropped' ])
{
	my ($name, $change, $why) = @$case;
	create_client($name, rotate => 1);
	token_rule({ hold => 1 });
	$session->send(sprintf $call, $name);
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
	$node->safe_psql('postgres', $change);
	$hubspot->release;
	like(outcome_of($session), qr/^t\|200\|\|.*$could_not.*DETAIL:  $why\./s, "a mapping that is $name meanwhile");
	$hubspot->clear_rules;
}

# The same, while HubSpot refuses the old refresh token: there is no other one.
create_client('gone', rotate => 1);
token_rule({ status => 400, hold => 1, body => { error => 'invalid_grant', message => 'No.' } });
$session->send(sprintf $call, 'gone');
wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
$node->safe_psql('postgres', 'DROP USER MAPPING FOR PUBLIC SERVER gone');
$hubspot->release;
like(outcome_of($session), qr/^f\|400\|NOT_SENT\|/, 'a mapping that is dropped before the token is refused');
is(answers(), 'token: 1', 'is not looked for anew');

# Calls of one statement that is refused a token ask once; a statement about labels, too.
create_client('calls');
token_rule({ status => 400, body => { error => 'invalid_grant', message => 'No.' } });
is(outcome($session, q{SELECT string_agg(r.error_category, ' ') FROM generate_series(1, 3) AS i,
	LATERAL hs_assoc_create_default('contacts', i, 'companies', i, server => 'calls') AS r}) =~ /^NOT_SENT NOT_SENT NOT_SENT(\n|$)/,
	1, 'calls of one statement: refused');
is(answers(), 'token: 1', '... by one answer');
like(outcome($session, q{SELECT count(*) FROM hs_assoc_labels('contacts', 'companies', server => 'calls')}),
	qr/ERROR:  28000: could not read the labels.*NOT_SENT: could not get an access token: No\./s, 'labels: refused');
is(answers(), 'token: 1', '... by another one');
$hubspot->clear_rules;

# The request for a token has its place among the others, and waits for it.
create_client('tight', expires_in => 1, rate_limit => 2);
is(call($session, 'tight'), 't|200||', 'a token and a call: all that may be sent');
my $expired = time + 1.1;
wait_until(sub { time > $expired });
fetched();
$session->query(q{SET statement_timeout = '300ms'});
like(call($session, 'tight'), qr/ERROR:  57014:/, 'the next token has to wait');
is($hubspot->log_count, 0, 'it was not asked for');
$session->query('RESET statement_timeout');

# In a parallel worker, where nothing can be written.
create_client('workers', rotate => 1);
outcome($other, q{SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
$node->safe_psql('postgres', 'ALTER FUNCTION hs_assoc_create_default(text, bigint, text, bigint, text, name) PARALLEL SAFE');
like(call($other, 'workers'), qr/^t\|200\|\|.*$could_not.*DETAIL:  A parallel operation is under way\./s, 'a parallel worker');
$node->safe_psql('postgres', 'ALTER FUNCTION hs_assoc_create_default(text, bigint, text, bigint, text, name) PARALLEL UNSAFE');

# A new one that can't be one.
foreach my $new ('with spaces', '', 'x' x 4097)
{
	token_rule({ status => 200, body => { access_token => 'test-token', refresh_token => $new } });
	my $fresh = start_session($node);
	like(call($fresh, 'refused'), qr/^t\|200\|\|.*WARNING:  08P01: could not store the new refresh token of server "refused"/s,
		'a refresh token that is none');
	$fresh->quit;
}
$hubspot->clear_rules;
is_stored('refused', 'the old one is kept');

#
# Nobody has seen a secret
#
$_->quit foreach $session, $other, $sender, $beggar, $undone;
my $log = slurp_file($node->logfile);
my @parts = ('s3cr3t', 'r3fr3sh', encode_form($odd), $odd);
sub encode_form { return $_[0] =~ s/([^-.~\w])/sprintf '%%%02X', ord $1/ger }
foreach my $text ([ 'the clients', $output ], [ 'the log', $log ])
{
	foreach my $part (@parts)
	{
		my $place = index lc $text->[1], lc $part;
		is($place < 0 ? undef : substr($text->[1], $place < 200 ? 0 : $place - 200, 400), undef, "$text->[0]: nothing of a secret");
	}
	unlike($text->[1], qr/(access|refresh)-[0-9a-f]{32}/, "$text->[0]: and no token");
}
cmp_ok(length $output, '>', 20_000, 'though they have seen much');
like($log, qr/WARNING:  could not store the new refresh token/, 'and the log has much in it');

done_testing();
