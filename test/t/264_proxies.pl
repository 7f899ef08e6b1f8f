# A proxy that doesn't connect is as good as no connection: nothing was sent to
# HubSpot, so nothing is charged, and what must not be done twice may be sent again.
# And its login, which is in no message.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $file = "$dir/proxy";
my $password = 'pr0xy-passw0rd';

my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator(make_certificate($dir, 'ca'));
my $plain = start_simulator();

append_to_file($file, "open\n");
# not a lexical, which would be waited for when the test dies
our $output;
my $pid = open $output, '-|', 'python3', "$FindBin::Bin/../proxy.py", $file or die "proxy.py: $!";
END { local $?; kill 'TERM', -$pid if $pid }
chomp(my $port = readline $output // die 'proxy.py did not start');

my @schemes = qw(http socks5h);
my %options = (ca_file => "$dir/ca.crt", rate_limit => 0, max_retry_delay => '100ms');
create_account($node, $hubspot, %options, name => $_, proxy => "$_://127.0.0.1:$port", max_retries => 0) foreach @schemes;
create_account($node, $hubspot, %options, name => "again_$_", proxy => "$_://127.0.0.1:$port", max_retries => 2) foreach @schemes;
create_account($node, $plain, rate_limit => 0, max_retries => 0, name => 'plain', proxy => "http://127.0.0.1:$port");
my $call = q{SELECT ok, http_status, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '%s')};

#
# What it may do instead of connecting: by each kind of proxy, and what is said.
#
my %refusals = (
	http => {
		(map { +"status $_" => qr/the proxy's answer has HTTP status $_$/ } 301, 403, 429, 500, 502 .. 504),
		'status 407' => qr/the proxy's answer has HTTP status 407: it wants a login other than the user mapping's$/,
		'status 401' => qr/the proxy's answer has HTTP status 401: it wants a login other than the user mapping's$/,
		'login user other' => qr/the proxy's answer has HTTP status 407: it wants a login other than the user mapping's$/,
		close => qr/./, garbage => qr/./, long => qr/./,
	},
	socks5h => {
		(map { +"refuse $_" => qr/SOCKS5/ } 1 .. 8),
		methods => qr/authentication method/, close => qr/./, 'login user other' => qr/./,
	});
my $pause = start_session($node);
foreach my $scheme (@schemes)
{
	foreach my $refusal (sort keys %{ $refusals{$scheme} })
	{
		my $session = start_session($node);
		my $requests = $hubspot->stats->{requests};
		my $name = "$scheme, $refusal";

		proxy_does($refusal);
		my $outcome = $session->query(sprintf $call, $scheme);
		like($outcome, qr/^f\|\d*\|could not reach HubSpot: /, "$name: no connection");
		like($outcome, $refusals{$scheme}{$refusal}, "$name: that is said");
		$session->send(qq{SELECT hs_assoc_label_create('contacts', 'companies', 'A', 'a', server => 'again_$scheme')});
		my ($out, $err) = $session->finish;
		like($err, qr/ERROR:  08006: .*could not reach HubSpot: .*after 3 attempts/s, "$name: what is done once is sent again");
		is($hubspot->stats->{requests}, $requests, "$name: nothing has come to HubSpot");
		proxy_does('open');
		like($session->query(sprintf $call, $scheme), qr/^t\|200\|/, "$name: then it connects");
	}
}

# Without a tunnel, its answers look like HubSpot's; but no other server says 407.
proxy_does('status 407');
like($pause->query(sprintf $call, 'plain'), qr/^f\|407\|could not reach HubSpot: the proxy's answer has HTTP status 407: it wants/, 'without TLS: 407 is its own');
proxy_does('status 404');
like($pause->query(sprintf $call, 'plain'), qr/^f\|404\|HTTP status 404/, 'without TLS: others may be HubSpot\'s');

#
# The outbox: nothing is charged to a row, and all goes on when the proxy connects.
#
foreach my $refusal ('status 407', 'status 503', 'close')
{
	my $count = $hubspot->association_count('deals', 'companies');
	proxy_does($refusal);
	# the worker's connection would go on
	$pause->query(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
	$pause->query(q{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies',
		'SELECT i AS from_id, } . $count . q{ + 1 AS to_id FROM generate_series(1, 3) i', server => 'http')});
	wait_until(sub { $pause->query('SELECT count(*) FROM hs_assoc_backoff') > 0 });
	is($pause->query('SELECT count(*), max(attempts) FROM hs_assoc_outbox'), '3|0', "outbox, $refusal: nothing is charged");
	proxy_does('open');
	wait_for_empty_outbox($pause);
	is($hubspot->association_count('deals', 'companies'), $count + 3, "outbox, $refusal: all is sent then");
}

#
# A login for the proxy
#
foreach my $scheme (@schemes)
{
	my $mapping = "ALTER USER MAPPING FOR PUBLIC SERVER $scheme OPTIONS";

	proxy_does("login someone $password");
	$pause->query("$mapping (ADD proxy_username 'someone', ADD proxy_password '$password')");
	my $session = start_session($node);
	like($session->query(sprintf $call, $scheme), qr/^t\|200\|/, "$scheme: a login");
	is((logins())[-1], "someone:$password", "$scheme: it is the one that was set");
	$session->quit;

	$pause->query("$mapping (SET proxy_password 'wr0ng-passw0rd')");
	my $outcome = start_session($node)->query(sprintf $call, $scheme);
	like($outcome, qr/^f\|\d*\|could not reach HubSpot: /, "$scheme: a wrong one");
	unlike($outcome, qr/wr0ng|someone/, "$scheme: is not shown");
	is((logins())[-1], 'someone:wr0ng-passw0rd', "$scheme: though it was sent");
	$pause->query("$mapping (DROP proxy_username, DROP proxy_password)");
}

# A proxy without TLS repeats what it was sent, and HubSpot's answer is what it says.
{
	$pause->query(q{ALTER USER MAPPING FOR PUBLIC SERVER plain OPTIONS (ADD proxy_username 'someone', ADD proxy_password 'pr0xy-passw0rd')});
	proxy_does('status 404');
	my $shown = start_session($node)->query(q{SELECT r FROM hs_assoc_request('GET', '/x', server => 'plain') AS r});
	is((logins())[-1], "someone:$password", 'an answer that repeats the request: the login was sent');
	like($shown, qr/x-echo/i, 'an answer that repeats the request: it is shown');
	unlike($shown, qr/passw0rd|c29tZW9uZ/, 'an answer that repeats the request: without the login');
	like($shown, qr/\*{8}/, 'an answer that repeats the request: with asterisks');
}
unlike(slurp_file($node->logfile), qr/c29tZW9uZ/, 'nor is it in the log');

# Only a superuser sets it.
$node->safe_psql('postgres', q{CREATE ROLE alice; GRANT USAGE ON FOREIGN SERVER http TO alice});
foreach my $options (q{proxy_username 'x'}, q{proxy_username 'x', proxy_password 'x'})
{
	my ($status, $out, $err) = $node->psql('postgres', qq{
		SET ROLE alice;
		CREATE USER MAPPING FOR alice SERVER http OPTIONS (access_token 'x', $options)});
	like($err, qr/permission denied to set option "proxy_username"/, "$options: not for others");
}

done_testing();

sub proxy_does
{
	my ($what) = @_;
	append_to_file("$file.new", "$what\n");
	rename "$file.new", $file or die "$file: $!";
	return;
}

sub logins { return split /\n/, slurp_file("$file.logins") }
