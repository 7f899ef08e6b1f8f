# The token stands in no message, log, view or error, however much is logged
# and whatever fails; and it is dumped and restored as PostgreSQL does.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Socket::INET;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

my $token = 'pat-na1-5ec2e7-t0k3n-9f8e7d6c5b4a';
my $wrong = 'pat-na1-wr0n9-t0k3n-1a2b3c4d5e6f';

# Parts of them, in the forms in which they could stand somewhere.
my @secrets = map
{
	my $part = substr $_, 8, 16;
	($part, encode_base64($part, ''), unpack 'H*', $part)
} $token, $wrong;
ok(find_secret("Bearer $token"), 'the pattern finds what it is to find');

my $node = start_node();
my $hubspot = start_simulator(token => $token);
my $nobody = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!";
# taken, but nobody listens at it
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "bind: $!";
my %ports = (silent => $nobody->sockport, closed => $closed->sockport);

create_account($node, $hubspot, token => $token, rate_limit => 0, max_retries => 1, max_retry_delay => '10ms');
create_account($node, $hubspot, name => 'wrong', token => $wrong);
create_account($node, $hubspot, name => 'https', token => $token, max_retries => 0,
	base_url => "https://127.0.0.1:" . $hubspot->port, connect_timeout => patience(100) . 'ms');
create_account($node, $hubspot, name => $_, token => $token, max_retries => 0,
	base_url => "http://127.0.0.1:$ports{$_}", request_timeout => patience(100) . 'ms') foreach sort keys %ports;
create_account($node, $hubspot, name => 'proxied', token => $token, max_retries => 0,
	proxy => "http://127.0.0.1:$ports{closed}");

# Now that the mappings are there, log all that can be logged.
my $contrib = eval { $node->safe_psql('postgres', "LOAD 'auto_explain'"); 1 };
$node->append_conf('postgresql.conf', <<'EOF');
log_min_messages = debug5
client_min_messages = debug5
log_error_verbosity = verbose
log_min_duration_statement = 0
log_duration = on
debug_print_parse = on
debug_print_rewritten = on
debug_print_plan = on
track_activity_query_size = 16kB
EOF
$node->append_conf('postgresql.conf', <<'EOF') if $contrib;
session_preload_libraries = auto_explain
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
auto_explain.log_verbose = on
EOF
$node->restart;

my $session = start_session($node);
my $output = '';			# all that the client has seen

sub outcome
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$output .= "$out\n$err\n";
	return $out . $err;
}

# What of a secret a text holds, with what stands around it.
sub find_secret
{
	my ($text) = @_;
	my $lower = lc $text;

	foreach my $secret (@secrets)
	{
		my $place = index $lower, lc $secret;
		return substr $text, $place < 100 ? 0 : $place - 100, 200 if $place >= 0;
	}
	return;
}

sub has_no_secret
{
	my ($text, $name) = @_;
	return is(scalar find_secret($text), undef, $name);
}

#
# Calls, those that work and those that fail in every way there is
#
ok(outcome(q{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}) =~ /\|t\|/, 'a call');
like(outcome(q{SELECT * FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id, 279 AS type_id FROM generate_series(1, 5) i')}),
	qr/5\|5\|5\|t/, 'a batch');
like(outcome(q{SELECT * FROM hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies')}),
	qr/^200\|/m, 'a request');

# a gateway that repeats what it refuses
$hubspot->rules({ action => { status => 400, headers => { 'X-Refused' => "Bearer $token" },
		body => { category => 'REFUSED', message => "Authorization: Bearer $token, no", more => [ $token ] } } });
like(outcome(q{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), qr/Bearer \*+, no.*"more": \["\*+"\]/,
	'an answer that repeats the token');
like(outcome(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise')}), qr/DETAIL:  REFUSED: .*Bearer \*+, no/,
	'as an error');
like(outcome(q{SELECT * FROM hs_assoc_request('GET', '/x')}), qr/"x-refused": "Bearer \*+".*"more": \["\*+"\]/, 'as it came');
$hubspot->clear_rules;

my %actions = (
	(map { ("status $_" => { status => $_ }) } 302, 400, 401, 403, 404, 409, 413, 422, 423, 429, 437, 477, 500, 503, 530),
	'daily quota' => { status => 429, body => { policyName => 'DAILY', message => 'no more' } },
	'no JSON' => { text => '<html>oops</html>', content_type => 'text/html' },
	'no HTTP' => { reset => 'headers' },
	'reset' => { reset => 'before' },
	'broken off' => { truncate => 10 },
	'empty' => { text => '' },
	'too large' => { pad => 17 * 1024 * 1024 });
my @calls = (
	q{hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'row')},
	q{hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise')},
	q{hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', on_error => 'raise')},
	q{hs_assoc_request('GET', '/crm/objects/2026-03/contacts/1/associations/companies')});

foreach my $name (sort keys %actions)
{
	$hubspot->rules({ match => {}, action => $actions{$name} });
	my $outcomes = join '', map { outcome("SELECT * FROM $_") } @calls;
	ok($outcomes =~ /ERROR:/ && $outcomes =~ /\|f\|/, "a failure: $name");
	$hubspot->clear_rules;
}

my %servers = (
	wrong => qr/28000/, https => qr/08006/, silent => qr/08006/, closed => qr/08006/, proxied => qr/08006/);
like(outcome(qq{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2,
		on_error => 'raise', server => '$_')}), $servers{$_}, "a failure: $_")
  foreach sort keys %servers;
like(outcome(q{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'none')}),
	qr/42704/, 'no such server');
like(outcome(q{DO $$ BEGIN
		PERFORM hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise', server => 'wrong');
	END $$}), qr/28000.*CONTEXT/s, 'a context');

# While a request is under way, and when it is ended.
$hubspot->rules({ match => { id => '888888' }, action => { hang => \1 } });
my $monitor = start_session($node);
$session->send(q{SELECT * FROM hs_assoc_create_default('contacts', 888888, 'companies', 2)});
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
my $views = '';
foreach my $view (qw(pg_stat_activity pg_settings pg_file_settings pg_foreign_server pg_foreign_data_wrapper
	pg_prepared_statements pg_cursors pg_backend_memory_contexts pg_locks pg_stat_database pg_db_role_setting
	information_schema.foreign_server_options information_schema.foreign_servers
	information_schema.user_mappings pg_stat_user_functions pg_description))
{
	$views .= $monitor->query("SELECT v::text FROM $view v");
}
my $pid = $session->pid;
$monitor->query("SELECT pg_log_backend_memory_contexts($pid)");
$views .= slurp_file("/proc/$pid/cmdline");
$session->cancel;
my ($out, $err) = $session->finish;
$output .= $out . $err;
like($err, qr/57014/, 'a cancel');
like($views, qr/888888/, 'the views were asked while the call was under way');
has_no_secret($views, 'no view has the token');

#
# Options: a wrong value is not repeated, whatever is wrong with it.
#
# (The statements themselves are the server's to log, or not.)
$session->query('SET log_statement = none');
$session->query('SET log_min_error_statement = panic');
$session->query('SET log_min_duration_statement = -1');
$session->query("SET $_ = off") foreach qw(debug_print_parse debug_print_rewritten debug_print_plan);
foreach my $sql (
	"CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token '$token with spaces')",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token '$token\t')",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token '$token" . 'x' x 5000 . "')",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (acess_token '$token')",
	"ALTER SERVER hubspot OPTIONS (ADD access_token '$token')",
	"ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '')",
	"ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '$token ')")
{
	like(outcome($sql), qr/ERROR:  HV00D: invalid/, 'a wrong option: ' . substr $sql, 0, 60);
}
like(outcome(q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), qr/^t/, 'the session still works');
$session->quit;
$monitor->quit;

#
# What was said, and what was logged
#
has_no_secret($output, 'the client has not seen the token');
cmp_ok(length $output, '>', 50_000, 'though it has seen much');
ok($output =~ /^(psql:.*?)?DEBUG:/m, 'even debugging messages');

my $log = slurp_file($node->logfile);
ok($log =~ /LOG:  .*duration:/, 'statements were logged');
ok($log =~ /Query Text: /, 'auto_explain was at work') if $contrib;
ok($log =~ /DEBUG:  /, 'and everything else');

# The log of the time before holds what created the mappings: nothing of them.
has_no_secret($log, 'the log has no token');

#
# Who can read it: as PostgreSQL has it, superusers, and owners of what it is for.
#
$node->append_conf('postgresql.conf', "client_min_messages = warning\nlog_min_messages = warning\n"
	  . "log_min_duration_statement = -1\n"
	  . "debug_print_parse = off\ndebug_print_rewritten = off\ndebug_print_plan = off");
$node->restart;
$node->safe_psql('postgres', qq{
	CREATE ROLE db_owner LOGIN; CREATE ROLE user_role LOGIN; CREATE ROLE other_role LOGIN;
	CREATE DATABASE owned OWNER db_owner});
$node->safe_psql('owned', 'CREATE EXTENSION hubspot_assoc; GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO db_owner');
$node->safe_psql('owned', qq{
	SET ROLE db_owner;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '@{[ $hubspot->url ]}');
	GRANT USAGE ON FOREIGN SERVER hubspot TO user_role, other_role;
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token '$token');
	CREATE USER MAPPING FOR other_role SERVER hubspot OPTIONS (access_token '$wrong')});

my $mappings = q{SELECT string_agg(usename || ':' || coalesce(umoptions::text, '-'), ' ' ORDER BY usename)
	FROM pg_user_mappings};
is($node->safe_psql('owned', "SET ROLE user_role; $mappings"), 'other_role:- public:-',
	'who may use a mapping cannot read it');
is($node->safe_psql('owned', "SET ROLE user_role;
		SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2)"), 't', 'but use it');
is($node->safe_psql('owned', "SET ROLE other_role; $mappings"), "other_role:{access_token=$wrong} public:-",
	'one\'s own can be read');
is($node->safe_psql('owned', "SET ROLE db_owner; $mappings"), "other_role:- public:{access_token=$token}",
	'and PUBLIC\'s by the owner of the server');
my ($status, $stdout, $stderr) = $node->psql('owned', 'SET ROLE db_owner; SELECT * FROM pg_user_mapping');
like($stderr, qr/permission denied/, 'the catalog itself is for superusers');

#
# Dump and restore
#
my $dir = PostgreSQL::Test::Utils::tempdir;

foreach my $role (qw(db_owner postgres))
{
	my $user = $role eq 'postgres' ? $node->safe_psql('postgres', 'SELECT current_user') : $role;
	my $dump = "$dir/$role.sql";

	# the outbox is the extension's owner's
	my @without = $role eq 'postgres' ? () : '--exclude-table-data=hs_assoc_*';
	$node->command_ok([ 'pg_dump', '-U', $user, @without, '-f', $dump, '-d', $node->connstr('owned') ],
		"pg_dump by $role");
	my $text = slurp_file($dump);
	like($text, qr/^CREATE EXTENSION IF NOT EXISTS hubspot_assoc WITH SCHEMA public;/m, "$role: the extension");
	unlike($text, qr/CREATE (?:TABLE|FUNCTION|VIEW|SEQUENCE)/, "$role: but not what belongs to it");
	is(() = $text =~ /^(?:COPY|SELECT pg_catalog\.setval\().*hs_assoc_/mg, @without ? 0 : 10, "$role: or the rows of its tables");
	like($text, qr/^CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS \(/m, "$role: the server");
	like($text, qr/^CREATE USER MAPPING FOR public SERVER hubspot OPTIONS \(\n    access_token '$token'\n\);/m,
		"$role: PUBLIC's mapping");
	my $hidden = $role eq 'db_owner' ? '' : qr/ OPTIONS \(\n    access_token '$wrong'\n\)/;
	like($text, qr/^CREATE USER MAPPING FOR other_role SERVER hubspot$hidden;/m,
		"$role: another role's mapping, as far as it can be read");
}
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/postgres.sql",
		'-d', $node->connstr('restored') ], 'restored');
is($node->safe_psql('restored', "SET ROLE user_role;
		SELECT ok FROM hs_assoc_create_default('contacts', 3, 'companies', 4)"), 't', 'and it works');

done_testing();
