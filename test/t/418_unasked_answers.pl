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
my %certificate = make_certificate($dir, 'peer');

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my $next = 1;

# A peer that gives these answers, the second one unasked, and the server that is it
sub peer
{
	my ($name, $answer, $unasked, $tls) = @_;

	append_to_file("$dir/$name.answer", $answer);
	append_to_file("$dir/$name.unasked", $unasked);
	my $peer = start_peer("unasked=$dir/$name.answer=$dir/$name.unasked", $tls ? %certificate : ());
	create_account($node, $hubspot, name => $name, base_url => $peer->url, rate_limit => 0, max_retries => 0,
		concurrency => 1, request_timeout => patience(5) . 's', $tls ? (ca_file => $certificate{tls_cert}) : ());
	return $peer;
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

	my $peer = peer($name, $done, $unasked{$unasked}, $tls);
	foreach my $nth (1 .. 3)
	{
		is(archive($name), 't|204||', "$name: request $nth is done");
		ok(wait_until(sub { $peer->begun == $nth }, patience(10)), '... on a connection of its own, which goes on to answer') or diag($peer->begun);
	}
}

# Many requests in a statement, of which most find a kept connection in use
my $many = peer('many', $done, $done, 0);
$session->query('ALTER SERVER many OPTIONS (SET concurrency \'4\', ADD batch_size \'1\')');
$session->query(q{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 4) i', server => 'many')});
ok(wait_until(sub { $many->begun >= 4 }, patience(10)), 'four connections');
is($session->query(q{SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(11, 14) i', server => 'many')}), 4,
	'four more requests are done');
ok(wait_until(sub { $many->begun == 8 }, patience(10)), '... on connections of their own') or diag($many->begun);

# A connection that is quiet is used again
$hubspot->clear_log;
$session->query("SELECT hs_assoc_archive('contacts', $_, 'companies', 1)") foreach 1 .. 5;
my %connections = map { $_->{connection} => 1 } @{ $hubspot->log };
is(keys %connections, 1, 'where nothing comes unasked, a connection is kept');

done_testing();
