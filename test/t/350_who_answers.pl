# Whose an answer is: only what HubSpot itself says of a row is the row's. What others
# say, or HubSpot of the account, makes the account wait, and costs its rows nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $rows = 5000;
my $first = 1;				# each case has pairs of its own, which are not damped
my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 1, max_retry_delay => '1ms');
my $session = start_session($node);
my $html = '<html>no</html>';

sub outbox
{
	return $session->query('SELECT (SELECT count(*) FROM hs_assoc_outbox), (SELECT coalesce(max(attempts), 0) FROM hs_assoc_outbox),
		(SELECT count(*) FROM hs_assoc_dead_letter), (SELECT count(*) FROM hs_assoc_backoff)');
}

sub single
{
	return $session->query(q{SELECT http_status, error_category, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2)});
}

#
# The outbox: thousands of rows wait while somebody else answers, and all go afterwards.
#
foreach my $case (
	(map { [ "$_ without a body", { status => $_, text => '' } ] } 300, 302, 307, 402, 405, 407, 410, 421, 425, 431, 451),
	(map { [ "$_ of a proxy", { status => $_, text => $html, content_type => 'text/html' } ] } 400, 403, 404, 409, 422, 437),
	[ 'JSON of a gateway', { status => 400, body => { message => 'Bad Request' }, headers => { 'x-hubspot-correlation-id' => undef } } ],
	[ 'a path that leads nowhere', { status => 404, body => { status => 'error', message => 'resource not found', correlationId => 'c' } } ],
	[ 'another region', { status => 488, body => { status => 'error', message => 'wrong hublet', correctHublet => 'eu1' } } ])
{
	my ($name, $action) = @$case;

	$hubspot->reset;
	$hubspot->rules({ action => $action });
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series($first, $first + $rows - 1) i')});
	$first += $rows;
	$session->query('CALL hs_assoc_flush()') foreach 1 .. 3;
	is(outbox(), "$rows|0|0|1", "$name: the account waits, and its rows lose nothing");
	cmp_ok($hubspot->log_count, '<=', 20, "$name: few requests");
	$hubspot->clear_rules;
	$session->query('SELECT hs_assoc_resume()');
	$session->query('CALL hs_assoc_flush()');
	is(outbox(), '0|0|0|0', "$name: all is sent afterwards");
	is($hubspot->association_count('contacts', 'companies'), $rows, "$name: and held");
}

# What may have been done is tried again by the row.
foreach my $status (408, 499)
{
	$hubspot->reset;
	$hubspot->rules({ action => { status => $status, text => '' } });
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')});
	$session->query('CALL hs_assoc_flush()');
	like(outbox(), qr/^1\|1\|0\|1$/, "$status: nobody knows what HubSpot did");
	is($session->query(q{SELECT error_category FROM hs_assoc_outbox WHERE server = 'hubspot'}), 'UNCONFIRMED', "$status: and it says so");
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_backoff, hs_assoc_doubt');
}

#
# A statement ends its sending, and says why.
#
$hubspot->reset;
$hubspot->rules({ action => { status => 407, text => $html }, match => { after => 1 } });
is($session->query(q{SET client_min_messages = error; SELECT string_agg(error_category || ' ' || n, ', ' ORDER BY error_category) FROM (
	SELECT error_category, count(*) AS n FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series(1, 40000) i') WHERE NOT ok GROUP BY 1) AS c}) =~ s/\d+/n/gr,
	'HTTP_n n, NOT_SENT n', 'rows after a foreign answer are not sent');
$session->send(q{RESET client_min_messages; SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 40000) i')});
like(($session->finish)[1], qr/WARNING:  08P01: the answers are not HubSpot's; nothing more is sent/, 'and the statement says so');
$hubspot->reset;

#
# Limits
#
foreach my $case (
	[ 'daily by its words', { status => 429, body => { status => 'error', message => 'You have reached your daily limit.', requestId => 'r' } }, 1 ],
	[ 'daily by a header', { status => 429, body => { status => 'error', message => 'Too many.' }, headers => { 'X-HubSpot-RateLimit-Daily-Remaining' => '0' } }, 1 ],
	[ 'some are left of the day', { status => 429, body => { status => 'error', message => 'Too many.' }, headers => { 'X-HubSpot-RateLimit-Daily-Remaining' => '10' } }, 2 ],
	[ 'a limit as a 500', { status => 500, body => { status => 'error', category => 'RATE_LIMITS', message => 'Slow down.' } }, 2 ],
	[ 'any other 500', { status => 500, body => { status => 'error', category => 'INTERNAL', message => 'Oh.' } }, 2 ])
{
	my ($name, $action, $requests) = @$case;

	$hubspot->reset;
	$hubspot->rules({ action => $action });
	my $row = single();
	is($hubspot->log_count, $requests, "$name: requests");
	like($row, $name =~ /other/ ? qr/^500\|UNCONFIRMED/ : qr/^(429\|HTTP_429|500\|RATE_LIMITS)\|/, "$name: row");
	$hubspot->reset;
}
is($session->query(q{SELECT rate_limited > 0 FROM hs_assoc_stat()}), 't', 'a limit that came as a 500 is counted as one');
like(do { $hubspot->rules({ action => { status => 488, body => { status => 'error', message => 'wrong hublet', correctHublet => 'eu1' } } }); single() },
	qr/^488\|HTTP_488\|wrong hublet \(the account is in the region eu1/, 'another region: it is named');
$hubspot->reset;

#
# A token of OAuth that has expired, in whatever words
#
$hubspot->oauth({ client_id => 'client', client_secret => 'secret', refresh_token => 'refresh' });
$session->query(sprintf q{CREATE SERVER oauth FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '%s', rate_limit '0', max_retries '0');
	CREATE USER MAPPING FOR CURRENT_USER SERVER oauth OPTIONS (client_id 'client', client_secret 'secret', refresh_token 'refresh')}, $hubspot->url);
foreach my $case (
	[ 'a body of old', { status => 401, body => { status => 'error', message => 'This oauth-token (x) is expired! expiresAt: 1, now: 2', correlationId => 'c' } }, 2 ],
	[ 'another category', { status => 401, body => { status => 'error', message => 'The OAuth token used to make this call expired 9 day(s) ago.', category => 'INVALID_AUTHENTICATION' } }, 2 ],
	[ 'no body', { status => 401, text => '' }, 2 ],
	[ 'a token that is none', { status => 401, body => { status => 'error', message => 'This token is bad.', category => 'INVALID_AUTHENTICATION' } }, 1 ])
{
	my ($name, $action, $requests) = @$case;

	$hubspot->rules({ match => { path => '^/crm', first => 1 }, action => $action });
	my $ok = $session->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'oauth')});
	is($ok, $requests == 2 ? 't' : 'f', "$name: " . ($requests == 2 ? 'is sent again with a new token' : 'is refused'));
	$hubspot->clear_rules;
}

$session->quit;
done_testing();
