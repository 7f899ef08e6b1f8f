# Connections are kept for later requests. What comes on one that no request uses, such as a
# second answer of a proxy that is out of step, or the 408 by which a server closes it, does
# not answer the next request.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my %processes;
my $test = $$;
END { local $?; end_peer($_) foreach $test == $$ ? keys %processes : () }

make_certificate($dir, 'peer');

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my $next = 1;

# A peer of test/peer.py that gives these answers, the second one unasked, and the server that is it
sub start_peer
{
	my ($name, $answer, $unasked, $tls) = @_;

	append_to_file("$dir/$name.answer", $answer);
	append_to_file("$dir/$name.unasked", $unasked);
	append_to_file("$dir/$name.begun", '');
	my $pid = open my $output, '-|', 'python3', "$FindBin::Bin/../peer.py", "$dir/$name.begun", "unasked=$dir/$name.answer=$dir/$name.unasked",
		$tls ? ("$dir/peer.crt", "$dir/peer.key") : ()
	  or die "peer.py: $!";
	$processes{$pid} = $output;	# which would be waited for when closed
	chomp(my $port = readline $output // die 'peer.py did not start');
	create_account($node, $hubspot, name => $name, base_url => ($tls ? 'https' : 'http') . "://127.0.0.1:$port", rate_limit => 0, max_retries => 0,
		concurrency => 1, request_timeout => patience(5) . 's', $tls ? (ca_file => "$dir/peer.crt") : ());
	return;
}

sub end_peer
{
	my ($pid) = @_;
	kill 'TERM', -$pid;			# a process group
	waitpid $pid, 0;
	delete $processes{$pid};
	return;
}

sub archive
{
	my ($name) = @_;
	my $id = $next++;
	return $session->query("SELECT ok, http_status, error_category, error_message FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT $id AS from_id, $id AS to_id', server => '$name')");
}

# The answer to an earlier request is none to a later one. Each connection of the peer answers
# its first request alone: if the second one is answered, then as the first of another.
my $done = "HTTP/1.1 204 No Content\r\n\r\n";
my %unasked = (done => $done, timed_out => "HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", no_answer => 'x');
foreach my $case (map { my $unasked = $_; map { [ $unasked, $_ ] } 0, 1 } sort keys %unasked)
{
	my ($unasked, $tls) = @$case;
	my $name = $unasked . ($tls ? '_by_tls' : '');

	start_peer($name, $done, $unasked{$unasked}, $tls);
	foreach my $nth (1 .. 3)
	{
		is(archive($name), 't|204||', "$name: request $nth is done");
		ok(wait_until(sub { -s "$dir/$name.begun" == $nth }, patience(10)), '... on a connection of its own, which goes on to answer') or diag(-s "$dir/$name.begun");
	}
}

# Many requests in a statement, of which most find a kept connection in use
start_peer('many', $done, $done, 0);
$session->query('ALTER SERVER many OPTIONS (SET concurrency \'4\', ADD batch_size \'1\')');
$session->query(q{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 4) i', server => 'many')});
ok(wait_until(sub { -s "$dir/many.begun" >= 4 }, patience(10)), 'four connections');
is($session->query(q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(11, 14) i', server => 'many')}), 4,
	'four more requests are done');
ok(wait_until(sub { -s "$dir/many.begun" == 8 }, patience(10)), '... on connections of their own') or diag(-s "$dir/many.begun");

# A connection that is quiet is used again
$hubspot->clear_log;
$session->query("SELECT hs_assoc_archive('contacts', $_, 'companies', 1)") foreach 1 .. 5;
my %connections = map { $_->{connection} => 1 } @{ $hubspot->log };
is(keys %connections, 1, 'where nothing comes unasked, a connection is kept');

done_testing();
