# While an access token is fetched, and the endpoint takes its time, nothing stands still
# but what needs that token: statements within the statement, of other accounts or of the
# same one, what is in flight, a cancel, a time limit, and the rows of the outbox.

use strict;
use warnings;

use Errno qw(ENOMEM);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

# AddressSanitizer stands in between
my $fuse = instrumented() eq 'AddressSanitizer' ? undef : start_fuse();
my $node = start_node(fuse => $fuse, log_duration => 'on', log_timezone => 'UTC');
my $hubspot = start_simulator();
my %client = (client_id => 'id', client_secret => 'secret', refresh_token => 'refresh');

# An account whose tokens are fetched, each of which a session can have but once.
sub create_slow
{
	my ($name, %options) = @_;
	create_account($node, $hubspot, rate_limit => 0, max_retries => 0, batch_size => 1, concurrency => 8, %options, name => $name);
	$node->safe_psql('postgres', qq{SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER $name;
		CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (client_id 'id', client_secret 'secret', refresh_token 'refresh')});
	return;
}

sub token_rule { my ($action, %match) = @_; $hubspot->rules({ match => { path => '^/oauth/', %match }, action => $action }); return }

# Everything as if nothing had been sent.
sub start_over
{
	$hubspot->reset;
	$hubspot->clear_rules;
	$hubspot->oauth({%client});
	return start_session($node);
}

# A batch of the slow account, whose query makes a call for each row from some row on,
# which gives the id to associate with.
sub batch
{
	my ($count, $id, $from) = @_;
	return sprintf q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
		$$SELECT i AS from_id, CASE WHEN i >= %d THEN %s ELSE i::text END AS to_id FROM generate_series(1, %d) AS i$$, server => 'slow')},
	  $from, $id, $count;
}

sub single { return "(hs_assoc_create_default('contacts', i, 'deals', i, server => '$_[0]')).to_id" }
sub done { return $hubspot->association_count('contacts', $_[0]) }
sub fetched { return $hubspot->log_count('^/oauth/') }

# The process waits for HubSpot.
sub wait_until_it_waits
{
	my ($session) = @_;
	return wait_until(sub { $node->safe_psql('postgres', 'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $session->pid) eq 'Extension' });
}

# Runs a statement, while the tokens that it asks for come as late as can be: when
# nothing is left for it but to wait for them.
sub run_late
{
	my ($session, $sql, $tokens) = @_;
	$session->send($sql);
	wait_until(sub { fetched() == $tokens });
	wait_until_it_waits($session);
	$hubspot->release;
	return $session->finish;
}

create_slow('slow');
create_slow('slow_too');
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, name => 'quick');

#
# Another account's calls, in the same statement
#
my $watch = start_stopwatch($node);
my @late;
foreach my $end ('cancel', 'cancel', 'cancel', 'statement_timeout')
{
	my $session = start_over();
	token_rule({ hang => \1 });
	$session->query('SET statement_timeout = ' . ($end eq 'cancel' ? 0 : 1000 * patience(5)));
	$watch->begin($session->pid, $end eq 'cancel' ? undef : patience(5));
	$session->send(batch(6, single('quick'), 1));
	wait_until(sub { done('deals') == 6 });
	is(fetched(), 1, "$end: the other account's rows are done while a token is fetched");
	is(done('companies'), 0, "$end: and those that need it are not sent");
	if ($end eq 'cancel')
	{
		my (undef, $err, $late) = $watch->cancel($session);
		like($err, qr/ERROR:  57014: canceling statement due to user request/, "$end: ends it");
		push @late, $late;
	}
	else
	{
		like(($session->finish)[1], qr/ERROR:  57014: canceling statement due to statement timeout/, "$end: ends it");
		my %results = $watch->wait($session->pid);
		cmp_ok($results{ $session->pid }{late}, '<', patience(0.1), "$end: within 100 ms");
	}
	$hubspot->clear_rules;
	$session->query('RESET statement_timeout');
	is($session->query(batch(6, single('quick'), 1)), 6, "$end: and the next statement has a token");
	$session->quit;
}
cmp_ok((sort { $a <=> $b } @late)[1], '<', patience(0.1), 'cancel: within 100 ms');

my $session = start_over();
token_rule({ hold => 1 });
$session->send(batch(6, single('quick'), 1));
wait_until(sub { done('deals') == 6 });
is(done('companies'), 0, 'a token that takes its time: the other account\'s rows are done before it comes');
$hubspot->release;
is(($session->finish)[0], 6, '... and then all');
is(fetched(), 1, '... and one was fetched');
$session->quit;

#
# The same account's, in a statement within it: there is one token for both
#
$session = start_over();
token_rule({ hold => 1 });
is((run_late($session, batch(6, single('slow'), 4), 1))[0], 6, 'a statement within one that fetches a token');
is(done('deals'), 3, '... is done');
is(fetched(), 1, '... and one was fetched');
$session->quit;

# Another account's, which needs one, too: each has its own.
$session = start_over();
token_rule({ hold => 1 });
is((run_late($session, batch(6, single('slow_too'), 4), 2))[0], 6, 'a statement within one that fetches a token, for an account that has none either');
is(done('deals'), 3, '... is done');
is(fetched(), 2, '... and two were fetched');
$session->quit;

$session = start_over();
token_rule({ hold => 1, status => 503 }, first => 1);
$session->query(q{ALTER SERVER slow OPTIONS (SET max_retries '1', ADD max_retry_delay '50ms')});
is((run_late($session, batch(6, single('slow'), 4), 1))[0], 6, 'it moves on what has to be tried again');
is(fetched(), 2, '... once');
$session->query(q{ALTER SERVER slow OPTIONS (SET max_retries '0')});
$session->quit;

$session = start_over();
token_rule({ hold => 1, status => 400, body => { error => 'invalid_grant', message => 'No.' } });
is((run_late($session, batch(6, single('slow'), 4), 1))[0], 0, 'a token that is refused is for both');
is(fetched(), 1, '... by one answer');
$session->quit;

# An ERROR of the inner one, amid the answer, which is caught: the outer one begins anew.
SKIP:
{
	skip 'what watches memory has its own malloc', 4 if instrumented();
	$session = start_over();
	$session->query(sprintf q{CREATE FUNCTION caught(i bigint, OUT to_id text) LANGUAGE plpgsql AS $f$
		BEGIN
			to_id := i;
			PERFORM %s;
		EXCEPTION WHEN out_of_memory THEN
			RAISE WARNING 'caught';
		END $f$}, single('slow'));
	token_rule({ hold => 1, status => 200, body => { access_token => 'x' x 4000, expires_in => 1800 } }, first => 1);
	$session->query('LOAD \'hubspot_assoc\'');
	$fuse->blow_in('hubspot_token_take_reply', $session->pid, 'malloc', 1, ENOMEM) or skip 'no symbols', 4;
	my ($out, $err) = run_late($session, batch(6, 'caught(i)', 4), 1);
	ok($fuse->has_blown, 'no memory for the token');
	$fuse->replace;
	like($err, qr/WARNING:  01000: caught/, '... in the inner statement');
	is($out, 6, '... and the outer one fetches another');
	is(done('deals') . ' ' . fetched(), '2 2', '... which is for all that follow');
	$session->quit;
}

# A cancel that is caught ends the fetch, whatever wanted the token: what follows in
# the transaction asks anew.
foreach my $case (
	[ 'a call', q{hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'slow')} ],
	[ 'labels', q{hs_assoc_create('contacts', 1, 'companies', 2, labels => '{Primary}', server => 'slow')} ])
{
	my ($name, $call) = @$case;
	$session = start_over();
	token_rule({ hang => \1 }, first => 1);
	$session->send(qq{DO \$\$
		DECLARE
			result hs_assoc_result;
		BEGIN
			BEGIN
				result := $call;
			EXCEPTION WHEN query_canceled THEN
				RAISE WARNING 'caught';
			END;
			result := $call;
			RAISE WARNING '%', result.ok;
		END \$\$});
	wait_until(sub { fetched() == 1 });
	$session->cancel;
	like(($session->finish)[1], qr/WARNING:  01000: caught\n.*WARNING:  01000: t\n/s, "$name: a cancel that is caught");
	is(fetched(), 2, '... and another fetch');
	$session->quit;
}

#
# What is in flight comes back while another token is fetched
#
sub expired { return { status => 401, body => { status => 'error', category => 'EXPIRED_AUTHENTICATION', message => 'expired' } } }

$session = start_over();
$hubspot->rules([
	{ match => { path => '^/oauth/', after => 1 }, action => { hang => \1 } },
	{ match => { path => '^/crm', nth => 1 }, action => expired() },
	{ match => { path => '^/crm', nth => 2 }, action => { status => 400, hold => 1, body => { status => 'error', category => 'ODD', message => 'Odd.' } } } ]);
$session->send(q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 2) AS i', on_error => 'raise', server => 'slow')});
wait_until(sub { fetched() == 2 && $hubspot->hits->{rules}[2]{hits} });
$hubspot->release;
like(($session->finish)[1], qr/ERROR:  22023: .*\n.*Odd\./, 'a failure ends the statement, which another row waits for a token in');
is(fetched(), 2, '... that was asked for');
$session->quit;

# A sender records what has come back.
$session = start_over();
$hubspot->rules([
	{ match => { path => '^/oauth/', after => 1 }, action => { hang => \1 } },
	{ match => { path => '^/crm', nth => 1 }, action => expired() },
	{ match => { path => '^/crm', nth => 2 }, action => { hold => 1 } } ]);
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT i AS from_id, i AS to_id FROM generate_series(1, 2) AS i', server => 'slow')});
my $sender = start_session($node);
$sender->send('CALL hs_assoc_flush()');
wait_until(sub { fetched() == 2 && $hubspot->hits->{rules}[2]{hits} });
$hubspot->release;
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') == 1 });
is(fetched(), 2, 'a sender records a row while the other one waits for a token');
wait_until_it_waits($sender);
is($session->query('SELECT count(xact_start), count(backend_xmin) FROM pg_stat_activity WHERE pid = ' . $sender->pid), '1|0',
	'... holding back no vacuum');
$hubspot->clear_rules;
$sender->cancel;
$sender->finish;
$sender->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... which is sent with the next one');
$_->quit foreach $session, $sender;

done_testing();
