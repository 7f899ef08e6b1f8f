# Who is talked to, and how: certificates, HTTP/2, redirects, proxies, allowed
# hosts, and connections that are kept.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;

# Processes to end with the test, however it ends.
my %processes;
my $test = $$;
END { local $?; end_process($_) foreach $test == $$ ? keys %processes : () }

# A listener that nobody is to talk to.
my $trap = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!";
my $trap_url = 'http://127.0.0.1:' . $trap->sockport;

# The server's environment names it as the proxy, but not for 127.0.0.1.
my $node;
{
	local @ENV{qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY)} = ($trap_url) x 5;
	local @ENV{qw(no_proxy NO_PROXY)} = ('127.0.0.1') x 2;
	$node = start_node();
}

#
# Certificates
#
make_ca('ca', 'a private CA');
make_ca('other_ca', 'another CA');
issue('good', 'ca', 'IP:127.0.0.1,DNS:localhost');
issue('wrong_host', 'ca', 'DNS:api.example.com,IP:127.0.0.2');
issue('expired', 'ca', 'IP:127.0.0.1', '20200101000000Z', '20200102000000Z');

my %simulators = map
{
	$_ => start_simulator(tls_cert => "$dir/$_.crt", tls_key => "$dir/$_.key")
} qw(good wrong_host expired);
my $hubspot = $simulators{good};
my $plain = start_simulator();

create_account($node, $simulators{$_}, name => $_, ca_file => "$dir/ca.crt", rate_limit => 0)
  foreach keys %simulators;
create_account($node, $plain, name => 'plain', rate_limit => 0);
create_account($node, $hubspot, name => 'named', rate_limit => 0,
	ca_file => "$dir/ca.crt", base_url => 'https://localhost:' . $hubspot->port);
create_account($node, $hubspot, name => 'system_ca');
create_account($node, $hubspot, name => 'other_ca', ca_file => "$dir/other_ca.crt");
create_account($node, $hubspot, name => 'no_ca', ca_file => "$dir/none.crt");
append_to_file("$dir/broken.crt", "this is no certificate\n");
create_account($node, $hubspot, name => 'broken_ca', ca_file => "$dir/broken.crt");
my $no_tls = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!";
create_account($node, $hubspot, name => 'no_tls', base_url => 'https://127.0.0.1:' . $no_tls->sockport,
	max_retries => 0);

my $session = start_session($node);
my $request_sql = sub { "SELECT * FROM hs_assoc_request('GET', "
	  . "'/crm/objects/2026-03/contacts/1/associations/companies', server => '$_[0]')" };

is(call('good'), 't|200|', 'a private CA');
is(call('named'), 't|200|', 'a host name');

# What is refused is refused once, and before the token is sent.
my %refused = (
	wrong_host => qr/does not match target host name|no alternative certificate subject name matches/,
	expired => qr/certificate has expired/,
	system_ca => qr/unable to get local issuer certificate|self.signed certificate/,
	other_ca => qr/unable to get local issuer certificate|self.signed certificate/,
	no_ca => qr{none\.crt},
	broken_ca => qr{broken\.crt});

foreach my $server (sort keys %refused)
{
	my $simulator = $simulators{$server} // $hubspot;
	my $requests = $simulator->stats->{requests};
	my $error = failure($server);

	like($error, qr/ERROR:  08006: could not get an answer to GET \//, "$server: refused");
	like($error, $refused{$server}, "$server: the reason is told");
	like($error, qr/could not establish a trusted connection/, "$server: and what it means");
	unlike($error, qr/attempts/, "$server: not tried again");
	like(call($server), qr/^f\|\|UNCONFIRMED$/, "$server: a row says so, too");
	is($simulator->stats->{requests}, $requests, "$server: no request was sent");
}

# Another certificate authority counts from the next call, whatever connection is open.
is(call('good'), 't|200|', 'a connection is open');
$session->query(qq{ALTER SERVER good OPTIONS (SET ca_file '$dir/other_ca.crt')});
like(failure('good'), qr/08006/, 'a changed ca_file counts at once');
$session->query(qq{ALTER SERVER good OPTIONS (SET ca_file '$dir/ca.crt')});
is(call('good'), 't|200|', 'and back');

# A peer that speaks no TLS, or too old a one.
$session->send($request_sql->('no_tls'));
{
	my $peer = $no_tls->accept;
	sysread $peer, my $hello, 1;
	syswrite $peer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
}
like(($session->finish)[1], qr/ERROR:  08006: .*(wrong version number|packet length)/s, 'no TLS at all');

# One that breaks off the handshake, with the end of the connection or a reset: that
# may go better the next time.
create_account($node, $hubspot, name => 'breaks_off', base_url => 'https://127.0.0.1:' . $no_tls->sockport,
	max_retries => 1, max_retry_delay => '10ms');
foreach my $how ('end', 'reset')
{
	$session->send($request_sql->('breaks_off'));
	foreach my $attempt (1, 2)
	{
		my $peer = $no_tls->accept;
		# what is left unread makes it a reset
		sysread $peer, my $hello, $how eq 'end' ? 65536 : 1;
		close $peer;
	}
	like(($session->finish)[1], qr/ERROR:  08006: .*could not reach HubSpot.*\(after 2 attempts\)/s, "a handshake that breaks off with the $how");
}

SKIP:
{
	my ($old, $port) = start_old_tls();
	skip 'openssl serves no TLS 1.1 here', 2 unless $old;
	create_account($node, $hubspot, name => 'old_tls', ca_file => "$dir/ca.crt",
		base_url => "https://127.0.0.1:$port");
	my $error = failure('old_tls');
	like($error, qr/ERROR:  08006: .*(protocol version|unsupported protocol)/s, 'TLS 1.1 is refused');
	unlike($error, qr/attempts/, 'and not tried again');
	end_process($old);
}

#
# Connections are kept for the session.
#
foreach my $server (qw(good plain))
{
	my $simulator = $simulators{$server} // $plain;
	my $accepted = $simulator->stats->{connections_accepted};
	my $other = start_session($node);

	$other->query(qq{SELECT hs_assoc_create_default('contacts', $_, 'companies', $_, server => '$server')})
	  foreach 1 .. 10;
	$other->query(qq{SELECT hs_assoc_create_default('contacts', i, 'companies', i, server => '$server')
		FROM generate_series(1, 10) i});
	is($simulator->stats->{connections_accepted} - $accepted, 1, "$server: 20 calls, one connection");
	my $versions = join ',', unique(map { $_->{http_version} } @{ $simulator->log(limit => 20) });
	is($versions, 'HTTP/1.1', "$server: HTTP/1.1");

	# A connection that the peer closed, with a word or without, is no failure.
	foreach my $action (qw(close_after silent_close))
	{
		$simulator->rules({ match => { id => '4711' }, action => { $action => \1 } });
		my $requests = $simulator->stats->{requests};
		is($other->query(qq{SELECT string_agg(ok::text, ',') FROM generate_series(1, 5) i,
				hs_assoc_create_default('contacts', 4711, 'companies', i, server => '$server')}),
			join(',', ('true') x 5), "$server, $action: a closed connection does no harm");
		is($simulator->stats->{requests} - $requests, 5, "$server, $action: each is sent once");
		$simulator->clear_rules;
	}
	$other->quit;
	ok(wait_until(sub { $simulator->stats->{connections_open} <= 2 }), "$server: they end with the session");
}

#
# Redirects are not followed.
#
my $elsewhere = start_simulator();
foreach my $server (qw(good plain))
{
	my $simulator = $simulators{$server} // $plain;

	foreach my $status (301, 302, 303, 307, 308)
	{
		$simulator->rules({ match => { id => '301' },
			action => { status => $status, redirect => $elsewhere->url . '/elsewhere' } });
		is(call($server, 301), "f|$status|HTTP_$status", "$server: status $status is a failure");
		$simulator->clear_rules;
	}
	$simulator->rules({ match => { path => 'redirected' }, action => { redirect => '/other' } });
	is($session->query(qq{SELECT http_status, headers ->> 'location'
			FROM hs_assoc_request('GET', '/redirected', server => '$server')}),
		'302|/other', "$server: hs_assoc_request shows it");
	is($simulator->log_count('^/other'), 0, "$server: nor within the host");
	$simulator->clear_rules;
}
is($elsewhere->stats->{connections_accepted}, 0, 'nobody came to where they point');

#
# Proxies: not the environment's, but the option's.
#
is($node->safe_psql('postgres', q{CREATE TABLE environment (line text);
		COPY environment FROM PROGRAM 'env | grep -i proxy';
		SELECT count(*) > 5 FROM environment}),
	't', 'the environment has proxies');
create_account($node, $plain, name => 'plain_named', base_url => 'http://localhost:' . $plain->port);
is(call('plain_named'), 't|200|', 'they are not used for http');
is(call('named'), 't|200|', 'nor for https');
ok(!IO::Select->new($trap)->can_read(0), 'nobody came to them');

my ($proxy, $proxy_port, $proxy_log) = start_proxy();
my %proxied = (
	plain => "PUT http://127.0.0.1:" . $plain->port . '/crm/objects/2026-03/contacts/77/associations/default/companies/2 HTTP/1.1',
	good => 'CONNECT 127.0.0.1:' . $hubspot->port . ' HTTP/1.1');
foreach my $server (sort keys %proxied)
{
	my $simulator = $simulators{$server} // $plain;

	$session->query(qq{ALTER SERVER $server OPTIONS (ADD proxy 'http://127.0.0.1:$proxy_port')});
	my $before = -s $proxy_log;
	my $requests = $simulator->stats->{requests};
	is(call($server, 77), 't|200|', "$server: through a proxy");
	is($simulator->stats->{requests} - $requests, 1, "$server: the request has arrived");
	my $seen = substr slurp_file($proxy_log), $before;
	like($seen, qr/^\Q$proxied{$server}\E$/m,
		"$server: the proxy was used, whatever the environment says");
	unlike($seen, qr/test-token|authorization/i, "$server: the proxy sees no token") if $server eq 'good';
	$session->query(qq{ALTER SERVER $server OPTIONS (DROP proxy)});
	$before = -s $proxy_log;
	is(call($server, 77), 't|200|', "$server: without the proxy");
	is(-s $proxy_log, $before, "$server: it was not used");
}
end_process($proxy);
# a port that is taken, but nobody listens at
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "bind: $!";
my $closed_port = $closed->sockport;
$session->query(qq{ALTER SERVER good OPTIONS (ADD proxy 'http://127.0.0.1:$closed_port', ADD max_retries '0')});
like(failure('good'), qr/ERROR:  08006: .*could not reach HubSpot: /s,
	'a proxy that is not there');
$session->query(q{ALTER SERVER good OPTIONS (DROP proxy, DROP max_retries)});

$node->safe_psql('postgres', q{
	CREATE ROLE alice;
	GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO alice;
	ALTER SERVER plain OWNER TO alice});
$session->query('SET ROLE alice');
foreach my $option (q{proxy 'http://127.0.0.1:1'}, q{ca_file '/etc/passwd'})
{
	my ($name) = split / /, $option;
	like(error(qq{ALTER SERVER plain OPTIONS (ADD $option)}),
		qr/ERROR:  42501: permission denied to set option "$name"/,
		"$name is the superuser's to set");
}

#
# Allowed hosts
#
like(error(q{CREATE SERVER inside FOREIGN DATA WRAPPER hubspot_assoc
		OPTIONS (base_url 'https://intranet.example.com')}),
	qr/ERROR:  42501: host "intranet\.example\.com" is not allowed\nDETAIL:  .*\*\.hubapi\.com.*\nHINT:  /,
	'a host that is not allowed');
like(error(q{ALTER SERVER plain OPTIONS (SET base_url 'https://api.hubapi.com.example.com')}),
	qr/ERROR:  42501: host "api\.hubapi\.com\.example\.com" is not allowed/, 'nor one that looks like it');
like(error(q{SET hubspot_assoc.allowed_hosts = '*.example.com'}),
	qr/ERROR:  42501: /, 'the setting is the superuser\'s');
$session->query('RESET ROLE');
$session->query(q{SET hubspot_assoc.allowed_hosts = '*.hubapi.com, localhost'});
like(failure('plain'), qr/ERROR:  42501: host "127\.0\.0\.1" of server "plain" is not allowed/,
	'a host that is no longer allowed');
is(call('plain_named'), 't|200|', 'while others are');
$session->query('RESET hubspot_assoc.allowed_hosts');

#
# HTTP/2
#
SKIP:
{
	my ($nginx, $port, $access_log) = start_nginx();
	skip 'no nginx', 8 unless $nginx;
	create_account($node, $plain, name => 'h2', base_url => "https://127.0.0.1:$port",
		ca_file => "$dir/ca.crt", rate_limit => 0, batch_size => 10, concurrency => 8);
	my $other = start_session($node);
	my $lines = sub { [ map { [ split ' ' ] } split /\n/, slurp_file($access_log) ] };

	$plain->settings({ latency_ms => patience(20) });
	$plain->rules({ match => { id => '888888' }, action => { hang => \1 } });
	is($other->query(q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series(1, 400) i', server => 'h2')}),
		'400', '40 requests over HTTP/2');
	wait_until(sub { @{ $lines->() } >= 40 });
	is(join(',', unique(map { $_->[0] } @{ $lines->() })), 'HTTP/2.0', 'that is what they are');
	is(scalar unique(map { $_->[1] } @{ $lines->() }), 1, 'they share one connection');
	cmp_ok($plain->stats->{max_in_flight}, '>=', 4, 'many at a time');

	# A cancel resets its stream, and not the connection.
	$other->send(q{SELECT hs_assoc_create_default('contacts', 888888, 'companies', 2, server => 'h2')});
	wait_until(sub { $plain->stats->{in_flight} == 1 });
	$other->cancel;
	like(($other->finish)[1], qr/57014/, 'a call over HTTP/2 is canceled');
	is($other->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8, server => 'h2')}),
		't', 'the next one works');
	# libcurl tells the peer with what it sends next
	ok(eval { wait_until(sub { $plain->stats->{in_flight} == 0 }, patience(20)) }, 'by then its request has ended');
	wait_until(sub { @{ $lines->() } >= 42 });
	is(scalar unique(map { $_->[1] } @{ $lines->() }), 1, 'on the same connection');
	$other->quit;
	end_process($nginx);
}

$session->quit;
done_testing();

sub end_process
{
	my ($pid) = @_;
	kill 'TERM', $pid;
	waitpid $pid, 0;
	delete $processes{$pid};
	return;
}

# The row of a call: ok, status, category.
sub call
{
	my ($server, $id) = @_;
	$id //= 1;
	return $session->query(qq{SELECT ok, http_status, error_category
		FROM hs_assoc_create_default('contacts', $id, 'companies', 2, server => '$server')});
}

# The error of a call.
sub failure
{
	my ($server) = @_;
	return error($request_sql->($server));
}

sub error
{
	my ($sql) = @_;
	$session->send($sql);
	my (undef, $err) = $session->finish;
	return $err;
}

sub unique { my %seen; return grep { !$seen{$_}++ } @_ }

sub openssl
{
	my (@arguments) = @_;
	my $output = '';
	IPC::Run::run([ 'openssl', @arguments ], '<', \undef, '>&', \$output)
	  or die "openssl @arguments: $output";
	return;
}

sub make_ca
{
	my ($name, $subject) = @_;
	openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
		'-nodes', '-days', '10', '-subj', "/CN=$subject",
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	return;
}

# Valid now and for some days, unless the dates say otherwise.
sub issue
{
	my ($name, $ca, $names, @dates) = @_;

	append_to_file("$dir/$name.cnf", <<"EOF");
[ca]
default_ca = here
[here]
database = $dir/$name.db
serial = $dir/$name.serial
new_certs_dir = $dir
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = $names
EOF
	append_to_file("$dir/$name.db", '');
	append_to_file("$dir/$name.serial", "01\n");
	openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
		'-nodes', '-subj', "/CN=$name", '-keyout', "$dir/$name.key", '-out', "$dir/$name.csr");
	openssl('ca', '-batch', '-notext', '-config', "$dir/$name.cnf", '-cert', "$dir/$ca.crt",
		'-keyfile', "$dir/$ca.key", '-in', "$dir/$name.csr", '-out', "$dir/$name.crt",
		@dates ? ('-startdate', $dates[0], '-enddate', $dates[1]) : ('-days', '9'));
	return;
}

# A peer of TLS 1.1 and no more: its process and port, or nothing.
sub start_old_tls
{
	my $pid = open my $output, '-|', 'openssl', 's_server', '-accept', '127.0.0.1:0',
	  '-cert', "$dir/good.crt", '-key', "$dir/good.key", '-tls1_1',
	  '-cipher', 'ALL:@SECLEVEL=0', '-www'
	  or return;
	$processes{$pid} = 1;
	while (my $line = <$output>)
	{
		return ($pid, $1, keep($output)) if $line =~ /^ACCEPT .*:(\d+)$/;
	}
	return;
}

# File handles that have to stay open.
my @kept;
sub keep { push @kept, @_; return }

# A forward proxy that also tunnels: its process, port and log of request heads.
sub start_proxy
{
	my $listener = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!";
	my $log = "$dir/proxy.log";
	append_to_file($log, '');

	my $pid = fork // die "fork: $!";
	$processes{$pid} = 1 if $pid;
	return ($pid, $listener->sockport, $log) if $pid;

	# not the test's, which stops the server
	local $SIG{TERM} = 'DEFAULT';
	local $SIG{CHLD} = 'IGNORE';
	while (my $client = $listener->accept)
	{
		my $child = fork;
		next if $child;
		serve_proxy($client, $log);
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}

sub serve_proxy
{
	my ($client, $log) = @_;
	my $head = '';

	sysread $client, $head, 1, length $head or return until $head =~ /\r\n\r\n$/;
	(my $lines = $head) =~ s/\r//g;
	append_to_file($log, $lines);
	my $tunnel = $head =~ /^CONNECT (\S+)/;
	my ($peer) = $head =~ m{^(?:CONNECT |\w+ http://)([^/\s]+)};
	my $server = IO::Socket::INET->new(PeerAddr => $peer) or return;

	if ($tunnel)
	{
		syswrite $client, "HTTP/1.1 200 OK\r\n\r\n";
	}
	else
	{
		$head =~ s{^(\w+) http://[^/]+}{$1 };
		syswrite $server, $head;
	}
	my $select = IO::Select->new($client, $server);
	while (1)
	{
		foreach my $from ($select->can_read)
		{
			sysread $from, my $data, 65536 or return;
			syswrite $from == $client ? $server : $client, $data;
		}
	}
}

# HTTP/2 and TLS before the plain simulator: its process, port and log, or nothing.
sub start_nginx
{
	my ($binary) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
	my $port = PostgreSQL::Test::Cluster::get_free_port();

	return unless $binary && system("$binary -v >/dev/null 2>&1") == 0;
	append_to_file("$dir/nginx.conf", <<"EOF");
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log $dir/nginx.error.log;
events { }
http {
	log_format short '\$server_protocol \$connection \$status \$request_uri';
	access_log $dir/nginx.access.log short;
	client_body_temp_path $dir/nginx.body;
	proxy_temp_path $dir/nginx.proxy;
	fastcgi_temp_path $dir/nginx.fastcgi;
	uwsgi_temp_path $dir/nginx.uwsgi;
	scgi_temp_path $dir/nginx.scgi;
	client_max_body_size 0;
	server {
		listen 127.0.0.1:$port ssl http2;
		ssl_certificate $dir/good.crt;
		ssl_certificate_key $dir/good.key;
		location / {
			proxy_pass http://127.0.0.1:@{[ $plain->port ]};
			proxy_http_version 1.1;
		}
	}
}
EOF
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		open STDERR, '>', "$dir/nginx.stderr";
		exec $binary, '-e', "$dir/nginx.error.log", '-p', $dir, '-c', "$dir/nginx.conf"
		  or POSIX::_exit(1);
	}
	$processes{$pid} = 1;
	my $up = eval
	{
		wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
			  || waitpid($pid, POSIX::WNOHANG()) == $pid && die 'it ended' }, patience(20));
	};
	die "nginx did not start: " . slurp_file("$dir/nginx.stderr") . slurp_file("$dir/nginx.error.log")
	  unless $up;
	return ($pid, $port, "$dir/nginx.access.log");
}
