
# HubSpot's limits, and our own: who waits, who doesn't, and when sending ends.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

my $node = start_node(log_min_messages => 'notice');
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 0, max_retry_delay => '2s', batch_size => 1);
my $inputs = 'SELECT i AS from_id, i AS to_id FROM generate_series(1, %d) i';

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'serial', concurrency => 1);
create_account($node, $hubspot, %options, name => 'pairs', concurrency => 1, batch_size => 2);
create_account($node, $hubspot, %options, name => 'parked', max_retry_delay => '10s');
create_account($node, $hubspot, %options, name => 'hasty', max_retries => 2, max_retry_delay => '50ms');
my $session = start_session($node);

# What takes ten seconds goes on beside all else, each with a HubSpot and a
# session of its own.
my (%slow, %slow_session);
foreach my $name (qw(ten_secondly first second third))
{
	$slow{$name} = start_simulator();
	create_account($node, $slow{$name}, %options, name => $name,
		$name eq 'ten_secondly' ? (max_retry_delay => '15s') : (rate_limit => 3));
}
$slow_session{$_} = start_session($node) foreach qw(policy statements batch);

# in ms, by the clock of the simulators' logs
my $begin = 1000 * clock_gettime(CLOCK_MONOTONIC);

# a 429 that doesn't say how long, and has the policy of ten seconds
$slow{ten_secondly}->rules({ match => { first => 1 }, action => { status => 429 } });
$slow_session{policy}->send(
	q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 1, server => 'ten_secondly')});

# three in ten seconds on one account, with another in between
$slow_session{statements}->query('SET hubspot_assoc.progress_interval = 0');
$slow_session{statements}->send(
	join ";\n",
	map { "SELECT ok FROM hs_assoc_create_default('contacts', $_, 'companies', $_, server => '"
		  . ($_ % 2 ? 'first' : 'second') . "')" } 1 .. 7);

# and of a batch that has more
$slow_session{batch}->send(
	qq{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'} . sprintf($inputs, 5) . q{', server => 'third')});

# The categories of the rows of a batch, in their order of input: "ok" if none.
# Returns them and what else was said.
sub categories
{
	my ($server, $count, $function) = @_;
	my $columns = $function ? ', 279 AS type_id' : '';
	my $query = sprintf $inputs, $count;
	$function //= 'hs_assoc_batch_create_default';
	$query =~ s/ FROM/$columns FROM/;
	$session->send(
		"SELECT input_no || ' ' || coalesce(error_category, 'ok') FROM $function('contacts', 'companies',
			'$query', server => '$server') ORDER BY input_no");
	my ($out, $err) = $session->finish;
	my @rows = map { [split] } split /\n/, $out;
	is_deeply([ map { $_->[0] } @rows ], [ 1 .. $count ], 'one row for each input')
	  or diag($err);
	return ($err, map { $_->[1] } @rows);
}

sub counts
{
	my %counts;
	$counts{$_}++ foreach @_;
	return \%counts;
}

sub create
{
	my ($server) = @_;
	return "hs_assoc_create_default('contacts', 101, 'companies', 9001, server => '$server')";
}

# Too many requests a second: no attempt is lost, and all wait.
{
	$hubspot->settings({ rate_limit => { max => 5, interval_ms => 900, policy => 'SECONDLY', retry_after => undef } });
	my ($err, @categories) = categories('serial', 15);
	my @log = @{ $hubspot->log };
	my @refused = grep { $_->{status} == 429 } @log;

	is_deeply(counts(@categories), { ok => 15 }, 'SECONDLY: all are created');
	is($err, '', 'SECONDLY: nothing said');
	is(scalar @log, 15 + @refused, 'SECONDLY: each was sent again once');
	cmp_ok(scalar @refused, '>=', 1, 'SECONDLY: some were refused');
	is(scalar(grep { $log[ $_->{n} ]{time_ms} < $_->{time_ms} + 1000 } @refused),
		0, 'SECONDLY: a second of silence after each');

	$hubspot->reset;
	$hubspot->settings({ rate_limit => { max => 5, interval_ms => 900, policy => 'SECONDLY', retry_after => 1 } });
	($err, @categories) = categories('hubspot', 12, 'hs_assoc_batch_create');
	is_deeply(counts(@categories), { ok => 12 }, 'Retry-After, four at once: all are created');
	is($err, '', 'Retry-After, four at once: nothing said');

	# what was in flight when the first was refused came at about that time
	my ($first) = grep { $_->{status} == 429 } @{ $hubspot->log };
	my @early = grep { $_->{n} > $first->{n} && $_->{time_ms} < $first->{time_ms} + 1000 } @{ $hubspot->log };
	cmp_ok(scalar @early, '<=', 3, 'Retry-After, four at once: no more until then');
}

# One that is parked in a statement is in the next ones of the session, too;
# other accounts aren't.
{
	my $other = start_simulator();
	create_account($node, $other, %options, name => 'other');

	$hubspot->reset;
	$hubspot->rules({
		match => { first => 1 }, action => { status => 429, headers => { 'Retry-After' => '4' } } });
	$session->query(q{SET hubspot_assoc.progress_interval = '10ms'});
	my $offset = -s $node->logfile;
	$session->send('SELECT ok FROM ' . create('parked'));
	$node->wait_for_log(qr/NOTICE: .* 1 rate-limited/, $offset);
	$session->cancel;
	my ($out, $err) = $session->finish;
	$session->query('RESET hubspot_assoc.progress_interval');
	like($err, qr/ERROR:  57014/, 'parked: canceled');
	is($session->query('SELECT ok FROM ' . create('other')), 't', 'parked: another account goes on');
	is($session->query('SELECT ok FROM ' . create('parked')), 't', 'parked: it goes on later');
	my @times = map { $_->{time_ms} } @{ $hubspot->log };
	is(scalar @times, 2, 'parked: requests');
	cmp_ok($times[1] - $times[0], '>=', 4000, 'parked: waited');
	$other->stop;
}

# A 429 as final answer: longer than we may wait
foreach my $case (
	[ 'Retry-After: 3600', 'hubspot', { status => 429, headers => { 'Retry-After' => '3600' } }, 'HTTP_429|RATE_LIMITS' ],
	[ 'Retry-After: a date', 'hubspot', { status => 429, headers => { 'Retry-After' => 'Fri, 31 Dec 2099 23:59:59 GMT' } }, 'HTTP_429|RATE_LIMITS' ],
	[ 'HTML', 'hubspot', { status => 429, text => '<html></html>', headers => { 'Retry-After' => '60' } }, 'HTTP_429' ],
	[ 'DAILY', 'hubspot', { status => 429, body => { policyName => 'DAILY', category => 'RATE_LIMITS' }, headers => { 'Retry-After' => '1' } }, 'RATE_LIMITS' ])
{
	my ($name, $server, $action, $category) = @$case;

	$hubspot->reset;
	$hubspot->rules({ action => $action });
	my ($out) = $session->query(
		"SELECT http_status, error_category, ok, error_message LIKE '%attempts%' FROM " . create($server));
	like($out, qr/^429\|(?:$category)\|f\|f$/, "final 429, $name: row");
	is($hubspot->log_count, 1, "final 429, $name: requests");
}
is($session->query(q{SELECT http_status FROM hs_assoc_request('GET', '/crm/any')}),
	'429', 'final 429: a row of hs_assoc_request');
like($session->told(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 1, on_error => 'raise')}), qr/ERROR:  53400: /, 'final 429: raised');

# A pause that nobody asked for may be cut short by max_retry_delay. Then it may
# not have been enough, and so costs an attempt.
foreach my $policy ('TEN_SECONDLY_ROLLING', 'SECONDLY')
{
	my $action = { status => 429, body => { policyName => $policy, category => 'RATE_LIMITS', message => 'too many' } };

	$hubspot->reset;
	$hubspot->rules({ match => { first => 2 }, action => $action });
	is($session->query('SELECT ok FROM ' . create('hasty')), 't', "a short pause, $policy: created");
	is($hubspot->log_count, 3, "a short pause, $policy: requests");
	$hubspot->reset;
	$hubspot->rules({ action => $action });
	is($session->query('SELECT error_category, error_message FROM ' . create('hasty')),
		'RATE_LIMITS|too many (after 3 attempts)', "a short pause, $policy, not enough: row");
	is($hubspot->log_count, 3, "a short pause, $policy, not enough: requests");
}

# The day's quota: nothing more is sent, and every later input says so, those
# too that weren't read yet.
foreach my $function ('hs_assoc_batch_create_default', 'hs_assoc_batch_create')
{
	$hubspot->reset;
	$hubspot->settings({ rate_limit => { max => 3, interval_ms => 86_400_000, policy => 'DAILY', retry_after => undef } });
	my ($err, @categories) = categories('pairs', 20_000, $function =~ /default/ ? undef : $function);

	is_deeply(
		[ @categories[ 0 .. 9 ] ],
		[ ('ok') x 6, ('RATE_LIMITS') x 2, ('NOT_SENT') x 2 ],
		"$function, DAILY: rows");
	is_deeply(counts(@categories), { ok => 6, RATE_LIMITS => 2, NOT_SENT => 19_992 },
		"$function, DAILY: all of them");
	is($hubspot->log_count, 4, "$function, DAILY: requests");
	is(scalar(() = $err =~ /WARNING:/g), 1, "$function, DAILY: one warning");
	like($err, qr/WARNING:  53400: .*\nDETAIL:  .*RATE_LIMITS.*daily.*\nHINT: .*NOT_SENT/i,
		"$function, DAILY: which says why");
}
$hubspot->clear_log;
is($session->query('SELECT error_category FROM ' . create('hubspot')),
	'RATE_LIMITS', 'the next statement asks again');
is($hubspot->log_count, 1, 'the next statement: requests');
is($session->query(
		"SELECT http_status IS NULL, error IS NULL, error_message LIKE '%daily%', correlation_id IS NULL
		FROM hs_assoc_batch_create_default('contacts', 'companies', '" . sprintf($inputs, 9) . "')
		WHERE error_category = 'NOT_SENT' LIMIT 1"),
	't|t|t|t', 'a row that was not sent');

# Four at once: what is in flight may be refused as well, or succeed.
{
	$hubspot->reset;
	$hubspot->settings({
		latency_ms => 10,
		rate_limit => { max => 30, interval_ms => 86_400_000, policy => 'DAILY', retry_after => undef }
	});
	my ($err, @categories) = categories('hubspot', 1000);
	my $counts = counts(@categories);

	is($counts->{ok}, 30, 'DAILY, four at once: created');
	cmp_ok($counts->{RATE_LIMITS}, '<=', 4, 'DAILY, four at once: refused');
	is($counts->{NOT_SENT}, 1000 - 30 - $counts->{RATE_LIMITS}, 'DAILY, four at once: not sent');
	is($hubspot->log_count, 30 + $counts->{RATE_LIMITS}, 'DAILY, four at once: requests');
	is($hubspot->association_count('contacts', 'companies'), 30, 'DAILY, four at once: HubSpot holds them');
	is(scalar(() = $err =~ /WARNING:/g), 1, 'DAILY, four at once: one warning');
}

# So do a token that is refused and scopes that are missing.
my %refusals = (
	401 => [ '28000', 'INVALID_AUTHENTICATION' ],
	403 => [ '42501', 'MISSING_SCOPES' ],
	530 => [ '28000', 'HTTP_530' ]);
foreach my $status (sort keys %refusals)
{
	my ($sqlstate, $category) = @{ $refusals{$status} };
	my $action = { status => 0 + $status };

	foreach my $function (undef, 'hs_assoc_batch_create')
	{
		my $name = "$status, " . ($function // 'default');

		$hubspot->reset;
		$hubspot->rules({ match => { after => 2 }, action => $action });
		my ($err, @categories) = categories('pairs', 5000, $function);
		is_deeply(counts(@categories), { ok => 4, $category => 2, NOT_SENT => 4994 }, "$name: rows");
		is($hubspot->log_count, 3, "$name: requests");
		is(scalar(() = $err =~ /WARNING:/g), 1, "$name: one warning");
		like($err, qr/WARNING:  $sqlstate: /, "$name: its SQLSTATE");
		unlike($err, qr/test-token/, "$name: not the token");
	}

	# what waits for its retry is not sent again, but has had its answer
	$hubspot->reset;
	$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_retries '3')});
	$hubspot->rules([
		{ match => { pair => [ '1', '1' ] }, action => { status => 503, headers => { 'Retry-After' => '1' } } },
		{ match => { pair => [ '9', '9' ] }, action => $action }
	]);
	my ($err, @categories) = categories('hubspot', 100);
	is($categories[0], 'UNCONFIRMED', "$status while another waits for its retry: that one");
	is($categories[8], $category, "$status while another waits for its retry: this one");
	is($categories[99], 'NOT_SENT', "$status while another waits for its retry: the last one");
	# the refusal may be answered after some that were sent with it and after it
	cmp_ok($hubspot->log_count, '<=', 20, "$status while another waits for its retry: requests");
	$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_retries '0')});
}

# Progress
{
	my $line = qr/NOTICE:  \d+: (\d+) inputs? read, (\d+) confirmed, (\d+) failed; (\d+) requests?, (\d+) retr(?:y|ies), (\d+) rate-limited; \d+ inputs\/s/;
	my $batch = "SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', '"
	  . sprintf($inputs, 40) . "', server => '%s')";

	$hubspot->reset;
	$hubspot->settings({ latency_ms => 20 });
	$hubspot->objects({ type => 'contacts', missing => ['2'] });
	$session->query(q{SET hubspot_assoc.progress_interval = '50ms'});
	$session->send(sprintf $batch, 'hubspot');
	my ($out, $err) = $session->finish;
	my @lines = map { [ /$line/ ] } grep { /NOTICE/ } split /\n/, $err;
	is($out, '40', 'progress: result');
	cmp_ok(scalar @lines, '>=', 2, 'progress: notices') or diag($err);
	is(scalar(grep { @$_ != 6 } @lines), 0, 'progress: their form') or diag($err);
	foreach my $column (0 .. 5)
	{
		my @values = map { $_->[$column] } @lines;
		is_deeply(\@values, [ sort { $a <=> $b } @values ], "progress: number $column grows");
	}
	is($lines[-1][2], 1, 'progress: one has failed');
	unlike($err, qr/waiting/, 'progress: nothing waits');
	is(scalar(grep { $_->[1] + $_->[2] > $_->[0] } @lines), 0, 'progress: no more than were read');

	# also when nothing comes back for long
	$hubspot->rules({ match => { first => 1 }, action => { status => 429, headers => { 'Retry-After' => '2' } } });
	$session->send('SELECT count(*) FROM hs_assoc_batch_create_default(\'contacts\', \'companies\', \''
		  . sprintf($inputs, 1) . '\')');
	($out, $err) = $session->finish;
	cmp_ok(scalar(() = $err =~ /$line/g), '>=', 5, 'progress: while the account waits');
	like($err, qr/0 confirmed, 0 failed; 1 request, 0 retries, 1 rate-limited; 0 inputs\/s; waiting as long as HubSpot has asked for \(HTTP status 429\)/,
		'progress: which it says');

	# so for the rate that the server allows
	my $limited = start_simulator();
	create_account($node, $limited, %options, name => 'limited', rate_limit => 1, batch_size => 1);
	my $offset = -s $node->logfile;
	$session->send(sprintf $batch, 'limited');
	$node->wait_for_log(qr/NOTICE: .* 0 rate-limited; \d+ inputs\/s; waiting for the rate limit \(1 request in 10 s\)/, $offset);
	$session->cancel;
	($out, $err) = $session->finish;
	like($err, qr/ERROR:  57014/, 'progress: the wait can be canceled');

	foreach my $interval ('0', '10s')
	{
		$session->query("SET hubspot_assoc.progress_interval = '$interval'");
		$session->send(sprintf $batch, 'hubspot');
		($out, $err) = $session->finish;
		is($err, '', "progress: none with an interval of $interval");
	}
}

# What took ten seconds
{
	my ($out, $err) = $slow_session{policy}->finish;
	my @times = map { $_->{time_ms} } @{ $slow{ten_secondly}->log };
	is($out, 't', 'TEN_SECONDLY: created');
	is(scalar @times, 2, 'TEN_SECONDLY: requests');
	cmp_ok($times[1] - $times[0], '>=', 10_000, 'TEN_SECONDLY: ten seconds of silence');

	($out, $err) = $slow_session{statements}->finish;
	is($out, join("\n", ('t') x 7), 'throttle: all are created');
	is($err, '', 'throttle: nothing said');

	# counted from when the first one was about to be sent, and a tenth of a second
	# longer (src/account/throttle.c)
	my $again = $begin + 10_100;
	my @first = map { $_->{time_ms} } @{ $slow{first}->log };
	my @second = map { $_->{time_ms} } @{ $slow{second}->log };
	is(scalar @first, 4, 'throttle: requests of the first account');
	is(scalar @second, 3, 'throttle: requests of the second account');
	cmp_ok($first[2] - $first[0], '<', patience(5000), 'throttle: three went at once');
	cmp_ok($second[2] - $second[0], '<', patience(5000), 'throttle: also of the second account');
	cmp_ok($first[3], '>=', $again, 'throttle: the fourth went ten seconds later');

	($out, $err) = $slow_session{batch}->finish;
	is($out, '5', 'throttle, batch: all are created');
	my @times_of_batch = map { $_->{time_ms} } @{ $slow{third}->log };
	is(scalar @times_of_batch, 5, 'throttle, batch: requests');
	cmp_ok($times_of_batch[2] - $times_of_batch[0], '<', patience(5000), 'throttle, batch: three went at once');
	cmp_ok($times_of_batch[3], '>=', $again, 'throttle, batch: then ten seconds');
	cmp_ok($times_of_batch[4], '>=', $again, 'throttle, batch: for each');
	cmp_ok(max(map { $_->{in_flight} } @{ $slow{third}->log }), '<', 4, 'throttle, batch: within concurrency');
}

$_->quit foreach $session, values %slow_session;
done_testing();
