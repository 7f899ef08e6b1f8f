# Look-ups in flight: rows that come one by one, that are left, canceled, held up by the
# limit of searches or by a token that has expired; and what they take of memory.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# What is freed goes back to the kernel at once, so that what is kept can be seen.
my $node = do
{
	local @ENV{ 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_' } = (131_072, 131_072);
	start_node(log_duration => 'on', log_timezone => 'UTC');
};
my $hubspot = start_simulator();
my %usual = (max_retries => 0, key_cache => '0s', batch_size => 100, concurrency => 2);
create_account($node, $hubspot, %usual, rate_limit => 0);
create_account($node, $hubspot, %usual, rate_limit => 0, name => 'small', concurrency => 1);
create_account($node, $hubspot, %usual, name => 'limited', rate_limit => 190, concurrency => 8);
my $session = start_session($node);
$session->query('SET client_min_messages = warning');

sub start_over
{
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	$hubspot->reset;
	$hubspot->generate_records(contacts => { count => 6000, properties => { email => 'c{n}@example.com' } });
	$hubspot->generate_records(companies => { count => 2000, properties => { domain => 'd{n}.example' } });
	$hubspot->clear_log;
	return;
}

# A call on the pairs 1 to $last, whose keys are all different
sub call
{
	my ($last, $server, $more, $from) = @_;
	return "hs_assoc_batch_create_default('" . ($from // 'contacts:email') . "', 'companies',
		'SELECT " . (($from // '') =~ /domain/ ? q{''d'' || i || ''.example''} : q{''c'' || i || ''@example.com''}) . " AS from_id, i AS to_id FROM generate_series(1, $last) i',
		server => '" . ($server // 'small') . "'" . ($more // '') . ')';
}

sub rows { return 'SELECT (made).* FROM (SELECT ' . call(@_) . ' AS made) s' }
sub stored { return $hubspot->association_count('contacts', 'companies') }
sub requests { my ($path) = @_; return $hubspot->log_count($path) }

sub outcome
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	return { out => $out, err => $err, unseen => [ $err =~ /before the rows of (\d+) of its inputs were fetched/g ] };
}

sub works
{
	my ($what) = @_;
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	$hubspot->clear_rules;
	is($session->query(q{SELECT ok, from_record FROM hs_assoc_create_default('contacts:email', 'C7@example.com', 'companies', '7')}), 't|7', "the next call works: $what");
	is($session->query(q{SELECT coalesce(string_agg(name, ', '), 'none') FROM pg_backend_memory_contexts
		WHERE name LIKE 'hubspot_assoc%' AND name NOT LIKE 'hubspot_assoc account%' AND name NOT LIKE 'hubspot_assoc token%'}), 'none', '... and nothing is left');
	return;
}

#
# The first rows come early, and a stream can be left
#
start_over();
$session->query('BEGIN; DECLARE c CURSOR FOR SELECT (r).input_no FROM (SELECT ' . call(6000) . ' AS r) s');
is($session->query('FETCH 50 FROM c'), join("\n", 1 .. 50), 'the first rows');
cmp_ok(requests('batch/read'), '<=', 55, 'after no more look-ups than rows are read ahead');
cmp_ok(stored(), '<=', 500, '... and few creates');
my $closed = outcome('CLOSE c');
is(@{ $closed->{unseen} }, 1, 'CLOSE says how many inputs are without a row');
$session->query('COMMIT');
my $sent = requests();
works('a stream that is closed');
is(requests(), $sent + 2, 'nothing else was sent');

start_over();
$hubspot->rules([ { match => { path => 'batch/read', nth => 3 }, action => { hang => \1 } } ]);
is(scalar(split /\n/, outcome(rows(20_000, 'hubspot') . ' LIMIT 30')->{out}), 30, 'a LIMIT, while a look-up hangs');
works('a LIMIT');

#
# Nested statements, loops, several at once
#
start_over();
is($session->query('SELECT count((a).ok), count((b).ok), count((b).from_record), count((a).from_record) FROM (SELECT ' . call(350) . ' AS a, ' . call(120, 'hubspot') . ' AS b) s'),
	'350|120|120|350', 'two in one list');
is($session->query('SELECT count(*), count(DISTINCT from_record) FROM (SELECT (hs_assoc_batch_create_default(\'contacts:email\', \'companies\', $$
	SELECT (r).from_id, (r).from_record AS to_id FROM (SELECT ' . call(300) . ' AS r) s$$, server => \'hubspot\')).*) s WHERE ok AND from_record = to_id'),
	'300|300', 'one in the query of another');
$session->query(q{CREATE FUNCTION find(key text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN RETURN (SELECT record_id FROM hs_assoc_resolve('companies:domain', ARRAY[key])); END $$});
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts:email', 'companies',
	'SELECT ''c'' || i || ''@example.com'' AS from_id, find(''d'' || i || ''.example'') AS to_id FROM generate_series(1, 30) i') WHERE ok AND from_record = to_id}),
	30, 'a look-up in the query of a call');
$session->query(q{CREATE TABLE seen (n bigint, record text)});
is(outcome(q{DO $$ DECLARE r record; BEGIN FOR r IN } . rows(500) . q{ LOOP INSERT INTO seen VALUES (r.input_no, r.from_record); END LOOP; END $$})->{err}, '', 'a loop');
is($session->query('SELECT count(*), count(DISTINCT n) FROM seen WHERE n::text = record'), '500|500', '... gets each row, once');
outcome(q{DO $$ DECLARE r record; BEGIN FOR r IN } . rows(5000) . q{ LOOP EXIT; END LOOP; END $$});
works('a loop that is left');
my $fails = outcome(rows(1000, undef, ", on_error => 'raise'", 'contacts:email') =~ s/c'' \|\| i/x'' || i/r);
like($fails->{err}, qr/ERROR:  P0002: could not associate contacts with email x/, 'a failure that is raised');
works('a failure that is raised');

#
# The limit of searches
#
start_over();
# as HubSpot's, but for what a busy machine makes of the time between two of them
$hubspot->settings({ search_rate_limit => { max => 5, interval_ms => 300 } });
my $start = time;
is($session->query('SELECT count(*) FROM ' . call(1200, 'limited', '', 'companies:domain') . ' WHERE ok'), 1200, '12 searches of an account with a limit');
cmp_ok(time - $start, '>=', 2, '... take two seconds or more');
is(scalar(grep { $_->{status} == 429 } @{ $hubspot->log }), 0, '... and none is refused');

# A search that is refused holds up searches alone
start_over();
create_account($node, $hubspot, name => 'patient', key_cache => '0s', rate_limit => 190, batch_size => 20, concurrency => 8, max_retries => 3);
is($session->query(q{SELECT record_id FROM hs_assoc_resolve('companies:domain', '{d1.example}'::text[], server => 'patient')}), 1, 'how domains are found is known');
$hubspot->rules([ { match => { path => '/search$', first => 1 }, action => { status => 429,
			body => { status => 'error', message => 'You have reached your secondly limit.', errorType => 'RATE_LIMIT', policyName => 'SECONDLY' } } } ]);
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('companies:domain', 'contacts:email',
	'SELECT ''d'' || 1 + i % 80 || ''.example'' AS from_id, ''c'' || i || ''@example.com'' AS to_id FROM generate_series(1, 600) i', server => 'patient') WHERE ok}), 600, 'a search is refused for a second: all is done');
my ($refused) = grep { $_->{status} == 429 } @{ $hubspot->log };
my @later = grep { $_->{n} > $refused->{n} } @{ $hubspot->log };
my ($search) = grep { $_->{path} =~ /search/ && $_->{body} eq $refused->{body} } @later;
my @beside = grep { $_->{path} !~ /search/ && $_->{time_ms} < $search->{time_ms} } @later;
cmp_ok($search->{time_ms} - $refused->{time_ms}, '>=', 990, '... it is sent again after that');
cmp_ok(scalar(grep { $_->{path} =~ /search/ && $_->{time_ms} < $refused->{time_ms} + 990 } @later), '<', 8, '... and no other one before, but what was in flight with it');
cmp_ok(scalar @beside, '>=', 5, '... and ' . @beside . ' other requests do not');

# One of all requests holds up all. None is in flight with it.
start_over();
$session->query(q{ALTER SERVER patient OPTIONS (SET concurrency '1')});
$hubspot->rules([ { match => { path => '/search$', first => 1 }, action => { status => 429, headers => { 'Retry-After' => '1' },
			body => { status => 'error', message => 'You have reached your ten_secondly_rolling limit.', policyName => 'TEN_SECONDLY_ROLLING' } } } ]);
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('companies:domain', 'contacts:email',
	'SELECT ''d'' || i || ''.example'' AS from_id, ''c'' || i || ''@example.com'' AS to_id FROM generate_series(1, 60) i', server => 'patient') WHERE ok}), 60, 'a limit of all requests');
my @log = @{ $hubspot->log };
($refused) = grep { $_->{status} == 429 } @log;
is(scalar(grep { $_->{n} > $refused->{n} && $_->{time_ms} < $refused->{time_ms} + 990 } @log), 0, '... nothing is sent meanwhile');
$session->query(q{ALTER SERVER patient OPTIONS (SET concurrency '8')});

# The day's quota is gone: nothing more is sent, and nothing is said to be done
start_over();
foreach my $kind ('read', 'search')
{
	my ($type, $path) = $kind eq 'read' ? ('contacts:email', 'contacts/batch/read') : ('companies:domain', 'companies/search');
	$hubspot->rules([ { match => { path => $path, after => 1 }, action => { status => 429,
				body => { status => 'error', message => 'You have reached your daily limit.', policyName => 'DAILY' } } } ]);
	$hubspot->clear_log;
	my $outcome = outcome('SELECT ok, error_category, count(*) FROM ' . call(1000, 'small', '', $type) . ' GROUP BY 1, 2 ORDER BY 1, 2');
	like($outcome->{out}, qr/^f\|(NOT_SENT|RATE_LIMITS?)\|\d+(\nt\|\|100)?$/, "the day's quota is gone at a $kind: the rest is not sent");
	cmp_ok(requests($path), '<=', 4, '... nor asked for');
	$hubspot->clear_rules;
}
works('a quota that is gone');

#
# A token that has expired at a look-up
#
{
	my %client = (client_id => 'id', client_secret => 's3cr3t', refresh_token => 'r3fr3sh');
	$hubspot->oauth(\%client);
	create_account($node, $hubspot, %usual, rate_limit => 0, name => 'oauth');
	$node->safe_psql('postgres', 'SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER oauth;
		CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (' . join(', ', map { "$_ '$client{$_}'" } sort keys %client) . ')');
	$hubspot->account({ token => 'test-token' });
	is($session->query('SELECT count(*) FROM ' . call(200, 'oauth') . ' WHERE ok OR error_category = \'RECORD_NOT_FOUND\''), 200, 'a call with OAuth');
	$hubspot->expire_oauth;
	is($session->query('SELECT count(*) FROM ' . call(200, 'oauth') . ' WHERE ok OR error_category = \'RECORD_NOT_FOUND\''), 200, 'its token has expired at the first look-up: another one is fetched');
}

#
# Cancel, time-out, termination, while look-ups are in flight or wait for their turn
#
my $stopwatch = start_stopwatch($node);
my %moments = (
	'reads that hang' => [ call(3000, 'hubspot'), { match => { path => 'batch/read' }, action => { hang => \1 } } ],
	'searches that hang' => [ call(1000, 'hubspot', '', 'companies:domain'), { match => { path => '/search' }, action => { hang => \1 } } ],
	'a slow answer' => [ call(3000, 'hubspot'), { match => { path => 'batch/read' }, action => { drip => { bytes => 10, interval_ms => 20 } } } ],
	'searches that wait for the limit' => [ call(2000, 'limited', '', 'companies:domain'), { match => { path => '/none' }, action => { hang => \1 } } ],
	'searches that are parked' => [ call(2000, 'patient', '', 'companies:domain'), { match => { path => '/search' }, action => { status => 429, body => { policyName => 'SECONDLY', message => 'x', status => 'error' } } } ]);
foreach my $name (sort keys %moments)
{
	my ($call, $rule) = @{ $moments{$name} };

	start_over();
	$hubspot->rules([$rule]);
	$stopwatch->begin($session->pid);
	$session->send("SELECT count(*) FROM $call");
	wait_until(sub { $stopwatch->has_begun($session->pid) && $hubspot->log_count('batch/read|search') > 0 || $hubspot->stats->{in_flight} > 0 });
	sleep 0.2;
	$stopwatch->from_now($session->pid);
	$session->cancel;
	my %ends = $stopwatch->wait($session->pid);
	my ($out, $err) = $session->finish;
	like($err, qr/57014/, "cancel: $name");
	cmp_ok($ends{ $session->pid }{late}, '<', patience(0.1), '... at once');
	works($name);
}

#
# What look-ups take of memory, and leave
#
start_over();
my $hundred = q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
	'SELECT ''c'' || 1 + i %% 6000 || ''@example.com'' AS from_id, ''d'' || 1 + i %% 2000 || ''.example'' AS to_id FROM generate_series(1, %d) i', server => 'hubspot') WHERE ok};
measure($session, sprintf $hundred, 12_000) foreach 1 .. 2;
my ($rows, $peak) = measure($session, sprintf $hundred, 12_000);
is($rows, 12_000, '12,000 rows, 6,000 e-mails');
takes_at_most($peak, 16 * 1024, '... at the most');
# After so many rows, malloc keeps up to 2 MB for itself, now more and now less; so what is left is
# seen in the server's memory contexts, and in calls with fewer rows
my $used = q{SELECT sum(used_bytes) / 1024 FROM pg_backend_memory_contexts};
my $before = $session->query($used);
$session->query(sprintf $hundred, 12_000);
takes_at_most($session->query($used) - $before, 64, '... afterwards, in memory contexts');
takes_at_most(leaks($session, 8, sub { $session->query(sprintf $hundred, 3000) }), 512, 'eight more calls');
$hubspot->rules([ { match => { path => 'batch/read', every => 3 }, action => { status => 400 } }, { match => { path => 'search', every => 2 }, action => { text => '<html>' } } ]);
$session->query(sprintf $hundred, 3000) foreach 1 .. 3;
takes_at_most(leaks($session, 6, sub { $session->query(sprintf $hundred, 3000) }), 512, 'calls whose look-ups fail');
works('all of it');

$session->quit;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|server process .* exited|\bTRAP\b/, 'nothing crashed');
done_testing();
