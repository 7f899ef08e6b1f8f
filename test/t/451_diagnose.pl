# hs_assoc_diagnose: each set-up that is broken in some way, and what it says of that: the
# topic, the cause, and what to do. It is all ok before, and once more when that is mended;
# it never raises, sends ten requests at most, and changes nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use List::Util qw(min);
use PostgreSQL::Test::Utils;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

my $patience = patience(30);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator();
my ($admin, $bob);
my $next_id = 100;

create_account($node, $hubspot, rate_limit => 0, api_version => '2026-03', request_timeout => patience(20) . 's');
sessions();
is_healthy('a fresh one is all ok');
$admin->query($_) foreach
  'CREATE USER MAPPING FOR postgres SERVER hubspot OPTIONS (access_token \'test-token\')',
  'DROP USER MAPPING FOR PUBLIC SERVER hubspot',
  'CREATE ROLE bob LOGIN', 'CREATE ROLE carl LOGIN',
  'GRANT USAGE ON FOREIGN SERVER hubspot TO bob',
  'CREATE USER MAPPING FOR bob SERVER hubspot OPTIONS (access_token \'test-token\')',
  q{SELECT hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss')},
  'CREATE TABLE links (contact int, company int, PRIMARY KEY (contact, company))',
  q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact', 'companies', 'company', label => 'Boss')};

# Sessions of a superuser, and of somebody who is none
sub sessions
{
	$_ && $_->quit foreach $admin, $bob;
	$admin = start_session($node);
	$bob = start_session($node);
	return;
}

# A row for each topic: [state, detail, advice]; checks what holds for each look.
sub diagnose
{
	my ($session, $server) = @_;
	my %topics;

	$hubspot->clear_log;
	my $out = $session->query(q{SELECT concat_ws('|', topic, state, replace(detail, E'\n', ' '), replace(advice, E'\n', ' ')),
		greatest((SELECT max(length(l)) FROM regexp_split_to_table(detail, E'\n') AS l WHERE l LIKE '% %'),
			(SELECT max(length(l)) FROM regexp_split_to_table(advice, E'\n') AS l WHERE l LIKE '% %'))
		FROM hs_assoc_diagnose(} . ($server ? "'$server'" : '') . ')');
	foreach my $row (split /\n/, $out)
	{
		my ($topic, $state, $detail, @rest) = split /\|/, $row;
		my $width = pop @rest;
		$topics{$topic} = [ $state, $detail, join '|', @rest ];
		$topics{width} = $width if $width && $width > 60;
		# what is to be called can be copied: a table stands in quotes
		$topics{unquoted} = $topic if grep { !/^(?:'|$)/ } $topics{$topic}[2] =~ /SELECT (?:\w+\.)?hs_assoc_\w+\(([^)]*)/g;
	}
	my @requests = @{ $hubspot->log };
	my @others = grep { $_->{method} ne 'GET' && $_->{path} !~ m{^/oauth/} } @requests;
	$topics{requests} = @requests . ' requests' if @requests > 10;
	$topics{changes} = join ', ', map { $_->{path} } @others if @others;
	return \%topics;
}

sub bad
{
	my ($topics) = @_;
	return join ' ', sort map { ref $topics->{$_} ? ($topics->{$_}[0] eq 'ok' || $_ eq 'not seen' ? () : tr/ /_/r . ":$topics->{$_}[0]") : "$_=$topics->{$_}" } keys %$topics;
}

# Looks again as long as a worker may still be about to see what was mended.
sub is_healthy
{
	my ($name, $session) = @_;
	my $topics;

	eval { wait_until(sub { $topics = diagnose($session // $admin); bad($topics) eq '' }, $patience) };
	ok(bad($topics) eq '' && !$topics->{'not seen'} && keys %$topics == 24, $name)
	  or diag(map { "$_: " . (ref $topics->{$_} ? join ' | ', @{ $topics->{$_} } : $topics->{$_}) . "\n" } sort keys %$topics);
	return;
}

my $broken = 0;

# Breaks something, looks, and mends it. The topics are those that are not ok, each with
# what it says and advises.
sub broken
{
	my ($name, $break, $mend, %expected) = @_;
	my $session = delete $expected{session} // $admin;
	my $server = delete $expected{server};
	my $wait = delete $expected{wait};
	my $topics;
	my $states = join ' ', sort map { tr/ /_/r . ":$expected{$_}[0]" } keys %expected;

	$broken++;
	run($break);
	if ($wait)
	{
		eval { wait_until(sub { $topics = diagnose($session, $server); bad($topics) eq $states }, $patience) };
	}
	else
	{
		$topics = diagnose($session, $server);
	}
	is(bad($topics), $states, "$name: the topics");
	foreach my $topic (sort keys %expected)
	{
		my ($state, $detail, $advice) = @{ $expected{$topic} };
		like($topics->{$topic}[1], $detail, "$name: what it says of $topic");
		like($topics->{$topic}[2], $advice, "$name: what it advises") if $advice;
	}
	run(ref $mend eq 'SCALAR' ? $topics->{$$mend}[2] : $mend);
	return;
}

sub run { my ($what) = @_; ref $what eq 'CODE' ? $what->() : ref $what eq 'ARRAY' ? map { run($_) } @$what : $admin->query($what); return }
sub server { my ($options) = @_; return "ALTER SERVER hubspot OPTIONS ($options)" }
sub login { my ($options) = @_; return "DROP USER MAPPING IF EXISTS FOR bob SERVER hubspot; CREATE USER MAPPING FOR bob SERVER hubspot" . ($options ? " OPTIONS ($options)" : '') }
sub rule { my ($action, $path) = @_; return sub { $hubspot->clear_rules; $hubspot->rules({ $path ? (match => { path => $path }) : (), action => $action }) } }
sub as_bob { $bob->query($_[0] // 'SET ROLE bob'); return }

my $no_rule = sub { $hubspot->clear_rules };
my $own_login = login(q{access_token 'test-token'});
my $url = q{SET base_url '} . $hubspot->url . q{'};

is_healthy('a healthy one is all ok');
as_bob();
is_healthy('also for somebody who is not a superuser', $bob);
{
	my $topics = diagnose($bob);
	like($topics->{$_}[1], qr/of your roles; pg_monitor sees all/, "$_: it says what it may not see")
	  foreach 'syncs', 'back-off', 'waiting', 'dead letters';
	like($topics->{token}[1], qr/account 8001, STANDARD, time zone UTC/, 'which account it is');
}

#
# The server, and who may use it
#
{
	my $topics = diagnose($admin, 'hubspott');
	is(bad($topics), 'server:problem', 'no such server');
	like($topics->{server}[2], qr/Perhaps you meant the server "hubspot"/, 'no such server: the closest');
	like($topics->{'not seen'}[1], qr/^host, usage, login, connection, token, api version, scopes, quota, clock, throttle, labels$/, 'what is not seen then');
	$admin->query('CREATE FOREIGN DATA WRAPPER other; CREATE SERVER alien FOREIGN DATA WRAPPER other');
	$topics = diagnose($admin, 'alien');
	is(bad($topics), 'server:problem', 'a server of another wrapper');
	like($topics->{server}[1], qr/"alien" is not a server of hubspot_assoc/, 'a server of another wrapper: what it says');
	$admin->query(q{SET hubspot_assoc.server = ''});
	is(bad(diagnose($admin)), 'server:problem', 'no name at all');
	$admin->query('RESET hubspot_assoc.server');
	$broken += 3;
}
broken('a host that is not allowed', q{SET hubspot_assoc.allowed_hosts = '*.hubapi.com'}, 'RESET hubspot_assoc.allowed_hosts',
	host => [ 'problem', qr/host "127\.0\.0\.1" of server "hubspot" is not allowed/, qr/superuser can add the host/ ]);
broken('no USAGE', 'REVOKE USAGE ON FOREIGN SERVER hubspot FROM bob', 'GRANT USAGE ON FOREIGN SERVER hubspot TO bob', session => $bob,
	usage => [ 'problem', qr/permission denied for foreign server hubspot/, qr/GRANT USAGE ON FOREIGN SERVER hubspot TO bob;/ ]);

#
# The login
#
broken('no mapping', 'DROP USER MAPPING FOR bob SERVER hubspot', $own_login, session => $bob,
	login => [ 'problem', qr/user mapping for user "bob" and server "hubspot" not found/, qr/CREATE USER MAPPING FOR bob SERVER hubspot/ ]);
broken('a mapping without a token', login(), $own_login, session => $bob,
	login => [ 'problem', qr/has no access token/, qr/ALTER USER MAPPING/ ]);
broken('a file that is not there', login(q{access_token_file '/nonexistent/token'}), $own_login, session => $bob,
	login => [ 'problem', qr{access_token_file|/nonexistent/token} ]);
broken('a wrong token', login(q{access_token 'wrong'}), $own_login, session => $bob,
	token => [ 'problem', qr/INVALID_AUTHENTICATION/, qr/Give the user mapping a valid login/ ]);
broken('a malformed token', [ rule({ status => 530, body => { message => 'The access token is malformed.', status => 'error' } }) ], $no_rule,
	token => [ 'problem', qr/malformed/, qr/valid login/ ]);
broken('a refused refresh token', login(q{client_id 'id', client_secret 'secret', refresh_token 'wrong'}), $own_login, session => $bob,
	token => [ 'problem', qr/could not get an access token/, qr/SET client_id/ ]);
broken('another region', rule({ status => 488, body => { status => 'error', message => 'wrong region', correctHublet => 'eu1' } }), $no_rule,
	token => [ 'problem', qr/eu1/ ]);
$hubspot->account({ token => 'narrow', scopes => [] });
# what bob may know of are no syncs, so one pair is asked for
broken('a scope is missing', login(q{access_token 'narrow'}), $own_login, session => $bob,
	scopes => [ 'warning', qr/from contacts to companies: .*MISSING_SCOPES/, qr/Give the token's app or service key the scopes/ ]);
broken('the account may not be asked', rule({ status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } }, 'details'), $no_rule,
	token => [ 'warning', qr/which account it belongs to cannot be found out: MISSING_SCOPES/ ]);
broken('the quota may not be asked', rule({ status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } }, 'api-usage'), $no_rule,
	quota => [ 'warning', qr/it cannot be found out: MISSING_SCOPES/ ]);

#
# The network, and who answers
#
broken('nobody listens', server(q{SET base_url 'http://127.0.0.1:1'}), server($url),
	connection => [ 'problem', qr/^could not reach HubSpot: .*\. Nothing was sent\.$/, qr/^Check the server's options and the network\. The outbox goes on by itself\.$/ ]);
broken('no such name', [ q{SET hubspot_assoc.allowed_hosts = '*.invalid'}, server(q{SET base_url 'https://nothing.invalid'}) ],
	[ 'RESET hubspot_assoc.allowed_hosts', server($url) ],
	connection => [ 'problem', qr/could not reach HubSpot: .*nothing\.invalid/ ]);
broken('a page of somebody else', rule({ status => 404, text => '<html>not here</html>', content_type => 'text/html', headers => { 'x-hubspot-correlation-id' => undef } }), $no_rule,
	connection => [ 'problem', qr/the answer did not come from HubSpot/, qr/base_url/ ]);
broken('a redirect', rule({ status => 302, headers => { Location => 'https://example.com/' } }), $no_rule,
	connection => [ 'problem', qr/HTTP status 302/, qr/Redirects are never followed/ ]);
broken('HubSpot is down', rule({ status => 503 }), $no_rule,
	connection => [ 'problem', qr/503/, qr/^HubSpot fails: wait, and look again\. The outbox goes on by itself\.$/ ]);
broken('no answer', [ server(q{SET request_timeout '300ms'}), rule({ hang => Cpanel::JSON::XS::true() }) ], [ $no_rule, server("SET request_timeout '" . patience(20) . q{s'}) ],
	connection => [ 'problem', qr/request_timeout has passed/ ]);
broken('an old version', [ server(q{SET api_version 'v4'}), 'SET hubspot_assoc.version_warnings = on' ],
	[ server(q{SET api_version '2026-03'}), 'RESET hubspot_assoc.version_warnings' ],
	'api version' => [ time > POSIX::mktime(0, 0, 0, 30, 2, 127) ? 'problem' : 'warning', qr/2027-03-30/, qr/SET api_version '20\d\d-0[39]'/ ]);
broken('a version that HubSpot does not have', server(q{SET api_version '2031-03'}), server(q{SET api_version '2026-03'}),
	'api version' => [ 'problem', qr/HubSpot does not have 2031-03: .*resource not found/, qr/api_version/ ],
	token => [ 'warning', qr/resource not found/ ], quota => [ 'warning', qr/resource not found/ ]);
broken('the clock is off', rule({ act => Cpanel::JSON::XS::true(), headers => { Date => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time - 3700)) } }), $no_rule,
	clock => [ 'problem', qr/1 h 1 min ahead of HubSpot's/, qr/NTP/ ]);
broken('the clock is a little off', rule({ act => Cpanel::JSON::XS::true(), headers => { Date => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 240)) } }), $no_rule,
	clock => [ 'warning', qr/min behind HubSpot's/ ]);

broken('the clock is days off', rule({ act => Cpanel::JSON::XS::true(), headers => { Date => strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 3.5 * 86400)) } }), $no_rule,
	clock => [ 'problem', qr/3 days behind HubSpot's/ ]);
foreach my $date ('today', 'Sun, 06 Foo 1994 08:49:37 GMT')
{
	rule({ act => Cpanel::JSON::XS::true(), headers => { Date => $date } })->();
	like(diagnose($admin)->{clock}[1], qr/nothing to compare it with/, "a date that is none: $date");
	$no_rule->();
}
broken('an answer that names no account', rule({ body => { kind => 'STANDARD' } }, 'details'), $no_rule,
	token => [ 'warning', qr/the answer does not tell which account it belongs to/ ]);
broken('an answer that is not understood', rule({ status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => "two\nlines " . 'x' x 5000 } }, 'details'), $no_rule,
	token => [ 'warning', qr/which account it belongs to cannot be found out: VALIDATION_ERROR: two lines x+\.\.\.$/ ]);
broken('an answer without a quota', rule({ body => { results => 7 } }, 'api-usage'), $no_rule,
	quota => [ 'warning', qr/HubSpot's answer cannot be read/ ]);

#
# What HubSpot allows
#
broken('the quota is low', sub { $hubspot->settings({ daily_usage => 240_000 }) }, sub { $hubspot->settings({ daily_usage => undef }) },
	quota => [ 'warning', qr/^10000 of 250000 requests of the day are left/, qr/batches/ ]);
broken('the quota is used up', sub { $hubspot->settings({ daily_usage => 250_000 }) }, sub { $hubspot->settings({ daily_usage => undef }) },
	quota => [ 'problem', qr/^0 of 250000/ ]);
broken('the quota is not known', rule({ body => { results => [ { fetchStatus => 'TIMEOUT' } ] } }, 'api-usage'), $no_rule,
	quota => [ 'warning', qr/could not tell \(TIMEOUT\)/ ]);
broken('the day is over', rule({ status => 429, body => { status => 'error', policyName => 'DAILY', message => 'You have reached your daily limit.' } }), $no_rule,
	quota => [ 'problem', qr/daily limit/, qr/Wait/ ]);

# it ends with the pause that was asked for, here after the statement; one beyond
# max_retry_delay would end the statement
$hubspot->rules({ match => { path => 'labels' }, action => { status => 429, headers => { 'Retry-After' => '' . min(50, patience(10)) }, body => { policyName => 'TEN_SECONDLY_ROLLING', message => 'slow' } } });
$bob->send(q{SELECT count(*) FROM hs_assoc_labels('contacts', 'companies')});
wait_until(sub { $admin->query('SELECT count(parked_until) FROM hs_assoc_throttle()') });
broken('HubSpot has asked to wait', 'SELECT 1', sub { $bob->cancel; $bob->finish; $hubspot->clear_rules },
	throttle => [ 'warning', qr/HubSpot has asked to wait/, qr/rate_limit/ ]);
is_healthy('the account is mended');
$admin->query(server('SET rate_limit \'100\'')); # what was sent is counted
diagnose($admin) for 1 .. 2;
$admin->query(server('SET rate_limit \'1\''));
like($admin->query(q{SELECT state || ' ' || replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'throttle'}),
	qr/^ok \d+ requests in 10 s, before rate_limit was lowered to 1: the next ones wait, shared/, 'more was sent than may be now');
$admin->query(server('SET rate_limit \'0\''));
is_healthy('for others, too', $bob);

#
# Tables in sync
#
$admin->query('CREATE TABLE others (contact int, other int, PRIMARY KEY (contact, other))');
broken('a long label of two lines that HubSpot does not have',
	q{SELECT hs_assoc_enable_sync('others', 'contacts', 'contact', 'deals', 'other', label => E'two\nlines ' || repeat('x', 980))}, q{SELECT hs_assoc_disable_sync('others')},
	labels => [ 'problem', qr/"two lines x+\.\.\."/ ]);
broken('syncs of many pairs of object types', [ map { qq{SELECT hs_assoc_enable_sync('others', 'contacts', 'contact', '$_', 'other', label => 'Boss')} } qw(tickets deals calls emails meetings notes) ],
	q{SELECT hs_assoc_disable_sync('others')},
	labels => [ 'problem', qr/Boss/ ]);
$admin->query($_) foreach map { qq{SELECT hs_assoc_enable_sync('others', 'contacts', 'contact', '$_', 'other')} } qw(tickets deals calls emails meetings notes);
is(bad(diagnose($admin)), 'labels:warning', 'syncs of many pairs of object types: the topic');
like(diagnose($admin)->{labels}[1], qr/labels of further syncs were not looked up: 2/, 'syncs of many pairs of object types: what it says');
$admin->query(q{SELECT hs_assoc_disable_sync('others')});
$admin->query($_) foreach map { qq{SELECT hs_assoc_enable_sync('others', 'contacts:email', 'contact', '$_:subject', 'other')} } qw(tickets deals calls emails meetings notes);
is(bad(diagnose($admin)), 'labels:warning syncs:warning', 'syncs by keys of many object types: the topics');
like(diagnose($admin)->{syncs}[1], qr/^object types whose properties were not looked up, since there are many syncs: 6$/, 'syncs by keys of many object types: what it says');
$admin->query(q{SELECT hs_assoc_disable_sync('others'); SELECT hs_assoc_enable_sync('others', 'contacts:emial', 'contact', 'companies', 'other')});
like(diagnose($admin)->{syncs}[1], qr/"emial"/, 'a property that there is not');
foreach my $action ({ status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } }, { status => 200, body => { results => [] } })
{
	rule($action, 'crm/properties')->();
	is(bad(diagnose($admin)), '', "... is no finding if properties cannot be read: $action->{status}");
	$no_rule->();
}
$admin->query(q{SELECT hs_assoc_disable_sync('others'); DROP TABLE others});
broken('a label is gone', q{SELECT hs_assoc_label_delete('contacts', 'companies', 1)}, q{SELECT hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss')},
	labels => [ 'problem', qr/table public\.links: there is no label "Boss"/, qr/hs_assoc_label_create/ ]);
$admin->query($_) foreach
  q{SELECT hs_assoc_label_create('contacts', 'companies', 'Chief', 'chief')},
  'CREATE TABLE leads (email text, domain text, PRIMARY KEY (email, domain))',
  q{SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain', label => 'Chief')};
is_healthy('records that are called by keys have labels of their object types');
$admin->query(q{INSERT INTO leads VALUES ('nobody@example.com', 'acme.example')});
wait_until(sub { $admin->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE waited > '0'}) == 1 }, $patience);
like(diagnose($admin)->{waiting}[1], qr/^1 row, 0 after a failed attempt, 1 for records that HubSpot does not have$/, 'what waits for a record');
broken('a label of theirs is gone', q{SELECT hs_assoc_label_delete('contacts', 'companies', type_id) FROM hs_assoc_labels('contacts', 'companies') WHERE label = 'Chief'},
	q{SELECT hs_assoc_disable_sync('leads'); DELETE FROM hs_assoc_outbox},
	labels => [ 'problem', qr/table public\.leads: there is no label "Chief" from contacts to companies/, qr/hs_assoc_label_create/ ]);
broken('a trigger is disabled', 'ALTER TABLE links DISABLE TRIGGER USER', sub { $admin->query('ALTER TABLE links ENABLE TRIGGER USER') },
	triggers => [ 'problem', qr/changes of table public\.links are not followed: A trigger of table "links" is missing, disabled/, qr/ALTER TABLE public\.links ENABLE TRIGGER USER/ ]);
my $trigger = $admin->query(q{SELECT tgname FROM pg_trigger WHERE tgrelid = 'links'::regclass AND NOT tgisinternal ORDER BY 1 LIMIT 1});
broken('a trigger fires for replication alone', "ALTER TABLE links ENABLE REPLICA TRIGGER $trigger", "ALTER TABLE links ENABLE TRIGGER $trigger",
	triggers => [ 'problem', qr/A trigger of table "links" is missing, disabled/ ]);
broken('another table has its name', 'ALTER TABLE links RENAME TO links_old; CREATE TABLE links (a int)', 'DROP TABLE links; ALTER TABLE links_old RENAME TO links',
	triggers => [ 'problem', qr/changes of table public\.links_old are not followed: Another table has the name that it had/,
		qr/^If that one is to be in sync, SELECT hs_assoc_enable_sync\('public\.links', \.\.\.\).*SELECT hs_assoc_disable_sync\('public\.links_old'\)/ ]);
broken('DDL is not followed', 'ALTER EVENT TRIGGER hs_assoc_sync_drop DISABLE', \'triggers',
	triggers => [ 'problem', qr/event trigger hs_assoc_sync_drop/ ]);
broken('triggers do not fire', 'SET session_replication_role = replica', \'triggers',
	triggers => [ 'warning', qr/session_replication_role is replica/ ]);

my $carl_sync = q{CREATE TABLE carls (a int, b int, PRIMARY KEY (a, b)); ALTER TABLE carls OWNER TO carl; GRANT USAGE ON FOREIGN SERVER hubspot TO carl;
	CREATE USER MAPPING FOR carl SERVER hubspot OPTIONS (access_token 'test-token');
	SET ROLE carl; SELECT hs_assoc_enable_sync('carls', 'contacts', 'a', 'companies', 'b'); RESET ROLE};
$admin->query($carl_sync);
broken('a role lost USAGE', 'REVOKE USAGE ON FOREIGN SERVER hubspot FROM carl', \'syncs',
	syncs => [ 'problem', qr/carls is in sync on behalf of carl, which has no USAGE/, qr/^GRANT USAGE ON FOREIGN SERVER hubspot TO carl;$/ ]);
broken('a role lost its mapping', 'DROP USER MAPPING FOR carl SERVER hubspot', q{CREATE USER MAPPING FOR carl SERVER hubspot OPTIONS (access_token 'test-token')},
	syncs => [ 'problem', qr/carls is in sync on behalf of carl, which has no user mapping/, qr/CREATE USER MAPPING FOR carl SERVER hubspot/ ]);
broken('a role lost its login', 'ALTER USER MAPPING FOR carl SERVER hubspot OPTIONS (DROP access_token)', q{ALTER USER MAPPING FOR carl SERVER hubspot OPTIONS (ADD access_token 'test-token')},
	syncs => [ 'problem', qr/carls is in sync on behalf of carl, which has a user mapping without a login/, qr/^ALTER USER MAPPING \.\.\. SERVER hubspot OPTIONS \(ADD access_token/ ]);
broken('a role is gone', 'REASSIGN OWNED BY carl TO postgres; DROP OWNED BY carl; DROP USER MAPPING IF EXISTS FOR carl SERVER hubspot; DROP ROLE carl',
	q{SELECT hs_assoc_disable_sync('carls')},
	syncs => [ 'problem', qr/carls is in sync on behalf of a role that was dropped/, qr/hs_assoc_disable_sync\('public\.carls'\)/ ]);
broken('the server has another name', 'ALTER SERVER hubspot RENAME TO crm; SET hubspot_assoc.server = crm', 'ALTER SERVER crm RENAME TO hubspot; RESET hubspot_assoc.server',
	syncs => [ 'problem', qr/links is in sync with server "hubspot", which does not exist/, qr/Rename the server back/ ]);
{
	$admin->query('ALTER SERVER hubspot RENAME TO crm');
	my $topics = diagnose($admin);
	is(bad($topics), 'server:problem syncs:problem', 'the server is gone: the topics, and triggers are none of them');
	like($topics->{syncs}[2], qr/or create it again/, 'the server is gone: what it advises');
	$admin->query('ALTER SERVER crm RENAME TO hubspot');
}
broken('an object type is misspelt',
	q{CREATE TABLE misspelt (a int, b int, PRIMARY KEY (a, b)); SELECT hs_assoc_enable_sync('misspelt', 'contct', 'a', 'companies', 'b')},
	q{SELECT hs_assoc_disable_sync('misspelt')},
	syncs => [ 'problem', qr/misspelt, from contct to companies: .*contct$/, qr/hs_assoc_object_types\(\) lists them/ ]);
# Several findings of one topic: the worst, how many others there are, and of these what fits.
broken('many tables are not followed',
	q{DO $$ BEGIN FOR i IN 1..12 LOOP
		EXECUTE format('CREATE TABLE %I (a int, b int, PRIMARY KEY (a, b))', 'o''clock ' || i);
		PERFORM hs_assoc_enable_sync(format('%I', 'o''clock ' || i)::regclass, 'contacts', 'a', 'companies', 'b');
		EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', 'o''clock ' || i);
	END LOOP; END $$},
	q{DO $$ BEGIN FOR i IN 2..12 LOOP EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', 'o''clock ' || i); END LOOP; END $$},
	triggers => [ 'problem', qr/^changes of table public\."o'clock 1" are not followed: .*? 11 more: - changes of table public\."o'clock 2" are not.*\.\.\.$/,
		qr/^ALTER TABLE public\."o'clock 1" ENABLE TRIGGER USER; .* SELECT hs_assoc_disable_sync\('public\."o''clock 1"'\)/ ]);
broken('one table is not followed', 'SELECT 1', q{ALTER TABLE "o'clock 1" ENABLE TRIGGER USER},
	triggers => [ 'problem', qr/^changes of table public\."o'clock 1" are not followed: [^-]*$/, qr/^ALTER TABLE public\."o'clock 1" ENABLE/ ]);
broken('the server of quoted tables is gone', 'ALTER SERVER hubspot RENAME TO crm; SET hubspot_assoc.server = crm', 'ALTER SERVER crm RENAME TO hubspot; RESET hubspot_assoc.server',
	syncs => [ 'problem', qr/does not exist \d+ more: - table .* is in sync with server "hubspot", which does not exist/, qr/^Rename the server back/ ]);
{
	my (undef, undef, $refused) = $node->psql('postgres', q{ALTER TABLE "o'clock 1" DROP CONSTRAINT "o'clock 1_pkey"});
	my ($statement) = $refused =~ /(SELECT .*)\.$/m;

	is($statement, q{SELECT public.hs_assoc_disable_sync('public."o''clock 1"')}, 'the statement of a hint names a quoted table');
	is($admin->query($statement), 1, '... as one can run it');
}
$admin->query(q{SELECT hs_assoc_disable_sync(link_table) FROM hs_assoc_sync WHERE link_table::text ~ 'clock'});
$admin->query(q{DO $$ BEGIN FOR i IN 1..12 LOOP EXECUTE format('DROP TABLE %I', 'o''clock ' || i); END LOOP; END $$});
broken('a property is misspelt',
	q{CREATE TABLE keyed (a text, b text, PRIMARY KEY (a, b)); SELECT hs_assoc_enable_sync('keyed', 'contacts:emial', 'a', 'companies:domain', 'b')},
	q{SELECT hs_assoc_disable_sync('keyed')},
	syncs => [ 'problem', qr/^table public\.keyed, contacts: there is no property "emial"; did you mean "email"\?$/, qr/SELECT hs_assoc_disable_sync\('public\.keyed'\)/ ]);

# What pg_dump -s takes along of a sync is its triggers.
{
	my $dump = PostgreSQL::Test::Utils::tempdir . '/schema';
	$admin->query('CREATE TABLE parted (a int, b int, PRIMARY KEY (a, b)) PARTITION BY HASH (a); CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)');
	$admin->query(q{SELECT hs_assoc_enable_sync('parted', 'contacts', 'a', 'companies', 'b')});
	$node->safe_psql('postgres', 'CREATE DATABASE bare');
	command_ok([ 'pg_dump', '-s', '-f', $dump, $node->connstr('postgres') ], 'a dump without data');
	command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, $node->connstr('bare') ], '... restored');
	my $bare = start_session($node, 'bare');
	broken('a dump without data', sub { }, sub { $bare->query("SELECT hs_assoc_disable_sync('$_')") foreach 'links', 'parted', 'carls', 'leads', 'misspelt' }, session => $bare,
		triggers => [ 'problem', qr/^nobody can write to .*: public\.(\w+, public\.)*links(,|$)/, qr/^SELECT hs_assoc_enable_sync\('public\.\w+', \.\.\.\) .*; or SELECT hs_assoc_disable_sync\('public\.\w+'\)/ ]);
	is(bad(diagnose($bare)), '', '... and mended');
	$bare->quit;
	$node->safe_psql('postgres', q{DROP DATABASE bare; SELECT hs_assoc_disable_sync('parted'); DROP TABLE parted});
}
is_healthy('the syncs are mended');

#
# The outbox
#
broken("index $_ is gone", /pkey/ ? "ALTER TABLE hs_assoc_outbox DROP CONSTRAINT $_" : "DROP INDEX $_", sub { }, objects => [ 'problem', qr/index $_ is missing/, qr/$_|PRIMARY KEY/ ]),
  $admin->query(diagnose($admin)->{objects}[2] =~ s/ \(with the schema.*//r)
  foreach 'hs_assoc_outbox_due_idx', 'hs_assoc_outbox_pair_idx', 'hs_assoc_outbox_pkey', 'hs_assoc_outbox_keyed_idx', 'hs_assoc_outbox_unasked_idx',
	'hs_assoc_history_batch_keep_until_idx', 'hs_assoc_dead_letter_server_idx';
broken('nobody is woken', 'ALTER TABLE hs_assoc_outbox DISABLE TRIGGER hs_assoc_outbox_wake', 'ALTER TABLE hs_assoc_outbox ENABLE TRIGGER ALL',
	objects => [ 'problem', qr/trigger hs_assoc_outbox_wake is disabled/, qr/ENABLE TRIGGER/ ]);
{
	my $wake = $admin->query(q{SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'hs_assoc_outbox_wake' AND tgrelid = 'hs_assoc_outbox'::regclass});
	broken('... and nobody can be', 'DROP TRIGGER hs_assoc_outbox_wake ON hs_assoc_outbox', $wake,
		objects => [ 'problem', qr/trigger hs_assoc_outbox_wake is disabled or missing/, qr/create it as the extension's script does/ ]);
}
broken('it is a copy', 'UPDATE hs_assoc_identity SET database = 1', 'UPDATE hs_assoc_identity SET database = (SELECT oid FROM pg_database WHERE datname = current_database())',
	copy => [ 'problem', qr/cop/, qr/hs_assoc_adopt\('send'\)/ ]);
broken('the outbox is paused', q{SELECT hs_assoc_pause('hubspot')}, \'pause',
	pause => [ 'warning', qr/hs_assoc_pause has stopped the outbox/, qr/^SELECT hs_assoc_resume\('hubspot'\);$/ ]);
broken('a row is overdue', sub {
		$admin->query(q{SELECT hs_assoc_pause('hubspot')});
		$admin->query('INSERT INTO links VALUES (1, 2)');
		$admin->query(q{UPDATE hs_assoc_outbox SET not_before = now() - interval '3 h'});
	}, q{SELECT hs_assoc_resume('hubspot')},
	pause => [ 'warning', qr/stopped/ ], waiting => [ 'warning', qr/^1 row, the first due for 3 h 0 min/, qr/hs_assoc_outbox_stat/ ]);
$hubspot->objects({ type => 'contacts', missing => ['77'] });
broken('HubSpot refuses a row', 'INSERT INTO links VALUES (77, 2)', 'SELECT hs_assoc_discard()', wait => 1,
	'dead letters' => [ 'warning', qr/^1, (VALIDATION_ERROR|OBJECT_NOT_FOUND): /, qr/hs_assoc_retry\(\)/ ]);
{
	my $dies = sub {
		my ($label, $count) = @_;
		$admin->query(qq{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', \$\$ SELECT 78 AS from_id, 2 AS to_id, '$label' AS label \$\$)});
		wait_until(sub { $admin->query('SELECT count(*) FROM hs_assoc_dead_letter') eq $count }, $patience);
	};
	broken('of several dead letters, the newest is shown', sub { $dies->('Zulu', 1); $dies->('Alpha', 2) }, 'SELECT hs_assoc_discard()',
		'dead letters' => [ 'warning', qr/^2, all INVALID_INPUT, the newest: there is no label "Alpha"/ ]);
}
broken('nothing can be sent', sub {
		$admin->query(q{ALTER USER MAPPING FOR postgres SERVER hubspot OPTIONS (SET access_token 'wrong')});
		$admin->query('INSERT INTO links VALUES (78, 2)');
	}, q{ALTER USER MAPPING FOR postgres SERVER hubspot OPTIONS (SET access_token 'test-token'); SELECT hs_assoc_resume('hubspot')}, wait => 1,
	token => [ 'problem', qr/INVALID_AUTHENTICATION/ ],
	'back-off' => [ 'problem', qr/nothing could be sent for .*INVALID_AUTHENTICATION: .*credentials are not valid/, qr/hs_assoc_resume\('hubspot'\)/ ]);
my $is_sent = sub { wait_until(sub { $admin->query('SELECT count(*) FROM hs_assoc_outbox') eq '0' }, $patience) };
broken('the token may read, but not write', [ $is_sent, rule({ status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'write it may not' } }, 'batch/create'),
		'INSERT INTO links VALUES (78, 3), (78, 4)' ],
	[ $no_rule, q{SELECT hs_assoc_resume('hubspot')} ], wait => 1,
	waiting => [ 'problem', qr/^2 rows are put off: MISSING_SCOPES \(HTTP status 403\): write it may not$/, qr/^Fix the cause; SELECT hs_assoc_resume\('hubspot'\) tries at once\.$/ ]);
is_healthy('the outbox is mended');

# others' rows: their number and category for pg_monitor, nothing for anybody else
wait_for_empty_outbox($admin, $patience);
$admin->query('SELECT hs_assoc_pause()');
$admin->query("INSERT INTO links VALUES (79, 2)");
like(diagnose($bob)->{waiting}[1], qr/^nothing waits \(of your roles/, 'rows of others are not counted');
$admin->query('GRANT pg_monitor TO bob');
like(diagnose($bob)->{waiting}[1], qr/^1 row, 0 after a failed attempt$/, 'but for pg_monitor');
$admin->query('REVOKE pg_monitor FROM bob; SELECT hs_assoc_resume()');

#
# The processes
#
broken('no workers', 'ALTER SYSTEM SET hubspot_assoc.workers = 0; SELECT pg_reload_conf()', 'ALTER SYSTEM RESET hubspot_assoc.workers; SELECT pg_reload_conf()', wait => 1,
	workers => [ 'problem', qr/hubspot_assoc\.workers is 0/, qr/ALTER SYSTEM SET hubspot_assoc\.workers/ ]);
is_healthy('the workers are back');

# Nor the launcher, for some seconds; it may be back before somebody has looked
my $launcher = q{FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc launcher'};
wait_until(sub {
		$admin->query("SELECT pg_terminate_backend(pid) $launcher");
		$admin->query(q{SELECT hs_assoc_sender() || '; ' || detail FROM hs_assoc_diagnose() WHERE topic = 'workers'})
		  eq 'nobody for some seconds: the launcher is not running; the launcher of the workers is not running';
	}, $patience);
wait_until(sub { $admin->query("SELECT count(*) $launcher") == 1 }, $patience);
is_healthy('the launcher is back');
$admin->query(q{SELECT hs_assoc_pause('hubspot')});
$admin->query('INSERT INTO links VALUES (80, 2)');
$admin->query(q{UPDATE hs_assoc_outbox SET not_before = now() - interval '5 min'});

# as many as the launcher and the server's own take
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
sessions();
broken('no background worker is left', q{SELECT hs_assoc_resume('hubspot'); UPDATE hs_assoc_outbox SET not_before = now() - interval '5 min'}, 'SELECT 1', wait => 1,
	workers => [ 'problem', qr/no worker is in this database, though rows are due; 0 of 4 run, max_worker_processes is 2/, qr/raise max_worker_processes/ ]);
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nshared_preload_libraries = ''");
$node->restart;
sessions();
broken('not preloaded, and nobody has come since a restart', 'SELECT 1', 'SELECT hs_assoc_start()',
	workers => [ 'problem', qr/though rows are due, and none comes before the next commit that enqueues/, qr/hs_assoc_start/ ]);
wait_for_empty_outbox($admin, $patience);
like(diagnose($admin)->{workers}[1], qr/a dynamic worker is in this database: process \d+/, 'without preloading there is a worker, too');
like(diagnose($admin)->{preload}[1], qr/not preloaded: a commit that enqueues starts a worker/, '... which is said');
$admin->query(q{SELECT hs_assoc_disable_sync('links')});
{
	my $topics = diagnose($admin);
	is(bad($topics), '', 'without anything to be sent, that is no harm');
	like($topics->{throttle}[1], qr/no limit/, 'the throttle');
	like($topics->{preload}[1], qr/not preloaded, which functions do not need/, 'and it is said');
}

# a cancel is a cancel
$hubspot->rules({ action => { hang => Cpanel::JSON::XS::true() } });
$admin->send('SELECT * FROM hs_assoc_diagnose()');
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
$admin->cancel;
like(($admin->finish)[1], qr/57014/, 'a cancel ends it');
is($admin->told('SELECT 1; BEGIN; SELECT 1; COMMIT'), '', '... and nothing more: the session goes on');

cmp_ok($broken, '>=', 30, "$broken set-ups were broken");
$_->quit foreach $admin, $bob;
done_testing();
