# A host has several addresses, and some of them are dead: HubSpot is reached by one
# that works, in the time that connect_timeout gives; and by a new one soon after the
# host's addresses have changed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Socket qw(AF_INET6 SOCK_STREAM);
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'AddressSanitizer stands in between' if instrumented() eq 'AddressSanitizer';

#
# A server in which names in .example have the addresses that test/unit/addresses.c
# says: w and x work, s and t are silent, r and q refuse, u and v are unroutable; the
# first of each two is one of IPv4.
#
my $dir = PostgreSQL::Test::Utils::tempdir;
my $shim = "$dir/addresses.so";
my ($file, $seen) = ("$dir/addresses", "$dir/seen");
my $compiler = $ENV{CC} // 'cc';

plan skip_all => 'no C compiler'
  if system("$compiler -shared -fPIC -o $shim $FindBin::Bin/../unit/addresses.c -ldl >$dir/cc.log 2>&1") != 0;

my $black_hole = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
my @fillers = fill_backlog($black_hole->sockport) or plan skip_all => 'the backlog of a socket could not be filled';
my $six = socket my $probe, AF_INET6, SOCK_STREAM, 0;

my $hubspot = start_simulator(make_certificate($dir, 'ca', 'DNS:*.hosts.example'));
my $node;
{
	local @ENV{ 'ADDRESSES', 'ADDRESSES_SEEN' } = ($file, $seen);
	local $ENV{LD_PRELOAD} = join ' ', grep { $_ } $ENV{LD_PRELOAD}, $shim;
	$node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.allowed_hosts' => '*.hosts.example');
}
has_addresses('w');

my $limit = patience(16);
my $call = q{SELECT ok, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '%s')};

#
# Addresses that are dead, before one that works. All at the same time, since those
# that are silent take long: each takes half of the time that is left.
#
my @hosts = map { my $dead = $_; map { $dead . $_ } 'w', 'x' } map { ($_, $_ x 2) } qw(s r u t q v);
push @hosts, map { $_ x 29 . 'w' } qw(r u q v);
push @hosts, qw(sssw tttx rusw rusvqtx srsrsrw stw tsw rtw qsx wt xs), 'ru' x 14 . 'sw';
@hosts = grep { $six || !/[tqvx]/ } @hosts;
my %sessions;

foreach my $host (@hosts)
{
	create_account($node, $hubspot, name => $host, base_url => "https://$host.hosts.example",
		ca_file => "$dir/ca.crt", connect_timeout => "${limit}s", max_retries => 0, rate_limit => 0);
	$sessions{$host} = start_session($node);
}
foreach my $host (@hosts)
{
	$sessions{$host}{from} = time;
	$sessions{$host}->send(sprintf $call, $host);
}
foreach my $host (@hosts)
{
	my ($out, $err) = $sessions{$host}->finish;
	is("$out$err", 't|', "$host: reached");
	cmp_ok(time - $sessions{$host}{from}, '<', 2 * $limit, "$host: in time");
}

# The connection is kept, and nothing wakes the session any more.
is($sessions{$hosts[0]}->query(sprintf $call, $hosts[0]), 't|', 'again');
my $connections = connections();
is($sessions{$hosts[0]}->query(sprintf $call, $hosts[0]), 't|', 'and again');
is(connections(), $connections, 'on the connection that was made');
{
	my $pid = $sessions{$hosts[0]}->pid;
	$hubspot->rules({ match => { path => '/contacts/' }, action => { delay_ms => 3000 } });
	my $before = switches($pid);
	is($sessions{$hosts[0]}->query(sprintf $call, $hosts[0]), 't|', 'a slow answer');
	cmp_ok(switches($pid) - $before, '<', 30, 'what waits for an answer is not woken all the time');
	$hubspot->clear_rules;
}

#
# All of them are dead: nothing was sent.
#
foreach my $host ('s', 'r', 'u', 'ss', 'rr', 'rsr', 'r' x 30)
{
	create_account($node, $hubspot, name => "dead_$host", base_url => "https://$host.hosts.example",
		ca_file => "$dir/ca.crt", connect_timeout => patience(2) . 's', max_retries => 0, rate_limit => 0);
	my $from = time;
	my $outcome = $sessions{$hosts[0]}->query(sprintf $call, "dead_$host");
	like($outcome, qr/^f\|could not reach HubSpot: /, "dead, $host: that is said");
	cmp_ok(time - $from, '<', patience(2) + patience(10), "dead, $host: after connect_timeout");
}

#
# The time that the query takes doesn't count.
#
create_account($node, $hubspot, name => 'away', base_url => 'https://sw.hosts.example', batch_size => 1,
	ca_file => "$dir/ca.crt", connect_timeout => patience(4) . 's', max_retries => 0, rate_limit => 0);
is(start_session($node)->query(sprintf q{SELECT string_agg(coalesce(error_message, 'ok'), ', ' ORDER BY input_no)
	FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 2) i WHERE i = 1 OR pg_sleep(%d) IS NULL',
		server => 'away')}, patience(6)), 'ok', 'connected although the query took longer');

#
# Addresses that change: they are asked for again, though all was within a minute.
#
{
	my $session = start_session($node);
	my $enqueue = q{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => 'changing')};

	has_addresses('r');
	create_account($node, $hubspot, name => 'changing', base_url => 'https://changing.hosts.example',
		ca_file => "$dir/ca.crt", max_retries => 0, rate_limit => 0);
	like($session->query(sprintf $call, 'changing'), qr/^f\|could not reach/, 'a host that is dead');
	$session->query($enqueue);
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_backoff') > 0 });
	like($session->query(sprintf $call, 'changing'), qr/^f\|could not reach/, 'it is still');
	has_addresses('w');
	my $from = time;
	wait_until(sub { $session->query(sprintf $call, 'changing') =~ /^t/ });
	note(sprintf 'seen by the session after %.1f s', time - $from);
	cmp_ok(time - $from, '<', patience(5) + 20, 'it moves: the session sees that');
	wait_until(sub { $hubspot->association_count('deals', 'companies') == 1 });
	note(sprintf 'by the worker after %.1f s', time - $from);
	cmp_ok(time - $from, '<', patience(10) + 30, 'and so does the worker');
}

done_testing();

sub fill_backlog
{
	my ($port) = @_;
	my @sockets;

	foreach (1 .. 16)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Blocking => 0);
		return @sockets unless $socket && $socket->connected;
		push @sockets, $socket;
	}
	return;
}

# What changing.example has from now on, and where those that work lead to.
sub has_addresses
{
	my ($letters, $port) = @_;
	append_to_file("$file.new", join(' ', $port // $hubspot->port, $black_hole->sockport, $letters) . "\n");
	rename "$file.new", $file or die "$file: $!";
	return;
}

sub connections { return $hubspot->stats->{connections_accepted} }

# How often a process has waited so far.
sub switches { return slurp_file("/proc/$_[0]/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : die 'no status' }
