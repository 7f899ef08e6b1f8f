# The file of certificate authorities: what it holds now counts, also for the
# connections that are open; and nothing that stands in its place is waited for.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(time);

my $dir = PostgreSQL::Test::Utils::tempdir;
my $ca = "$dir/ca.crt";

make_certificate($dir, $_) foreach 'one', 'two';
copy("$dir/one.crt", $ca);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator(tls_cert => "$dir/one.crt", tls_key => "$dir/one.key");
create_account($node, $hubspot, ca_file => $ca, rate_limit => 0);
my $session = start_session($node);
my $call = q{SELECT ok, error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2)};
my $refused = qr/^f\|could not establish a trusted connection: .*(certificate|signed)/;

# What to do with the file, from then on who is trusted.
sub in_place { append_to_file("$ca.new", slurp_file("$dir/$_[0].crt")); copy("$ca.new", $ca); unlink "$ca.new"; return }
sub renamed { copy("$dir/$_[0].crt", "$ca.new"); rename "$ca.new", $ca; return }

is($session->query($call), 't|', 'trusted');
my $accepted = $hubspot->stats->{connections_accepted};
is($session->query($call), 't|', 'again');
is($hubspot->stats->{connections_accepted}, $accepted, 'on the same connection');
foreach my $how ([ 'in place', \&in_place ], [ 'renamed', \&renamed ])
{
	my ($name, $put) = @$how;
	my $requests = $hubspot->stats->{requests};

	$put->('two');
	like($session->query($call), $refused, "$name: who was taken out is not trusted, though a connection is open");
	is($hubspot->stats->{requests}, $requests, "$name: nothing is sent");
	$put->('one');
	is($session->query($call), 't|', "$name: who was put in is, in the same session");
}

# An old file is not read again, and still seen to change.
utime time - 100, time - 100, $ca;
is($session->query($call), 't|', 'an old file');
unlink $ca;
like($session->query($call), qr/^f\|could not establish a trusted connection: could not open ca_file ".*": No such file/, 'a deleted file');
renamed('one');
is($session->query($call), 't|', 'is back');

#
# What is no file of certificates, and what would never end
#
my %places = (
	'a FIFO' => [ sub { mkfifo($ca, 0600) or die "mkfifo: $!" }, qr/is not a regular file/ ],
	'a directory' => [ sub { mkdir $ca }, qr/is not a regular file/ ],
	'a device' => [ sub { symlink '/dev/zero', $ca }, qr/is not a regular file/ ],
	'a link to itself' => [ sub { symlink $ca, $ca }, qr/could not open ca_file/ ],
	'an empty file' => [ sub { append_to_file($ca, '') }, qr/has no certificate/ ],
	'a large file' => [ sub { append_to_file($ca, 'x' x 5_000_000) }, qr/is larger than 4 MB/ ],
	'a broken file' => [ sub { append_to_file($ca, "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n") }, qr/ca_file/ ],
	'an unreadable file' => [ sub { renamed('one'); chmod 0, $ca }, qr/could not open ca_file .*: Permission denied/ ]);
foreach my $name (sort keys %places)
{
	my ($put, $error) = @{ $places{$name} };
	my $start = time;

	unlink $ca;
	$put->();
	like($session->query($call), qr/^f\|could not establish a trusted connection: .*\Q$ca\E.*/, "$name: refused")
	  && like($session->query($call), $error, "$name: with the reason");
	cmp_ok(time - $start, '<', patience(20), "$name: at once");
	rmdir $ca;
}

#
# A worker, which is busy with another account's rows meanwhile
#
my $plain = start_simulator();
create_account($node, $plain, name => 'plain', rate_limit => 0);
my $enqueue = q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 3 AS from_id, 4 AS to_id', server => '%s')};
unlink $ca;
mkfifo($ca, 0600) or die "mkfifo: $!";
$session->query(sprintf $enqueue, $_) foreach 'hubspot', 'plain';
wait_until(sub { $plain->association_count('contacts', 'companies') == 1 });
pass('the worker goes on with another account');
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_backoff') > 0 });
my $before = $hubspot->association_count('contacts', 'companies');
unlink $ca;
renamed('one');
wait_until(sub { $hubspot->association_count('contacts', 'companies') > $before }, patience(30));
pass('and sees the file when it is right');
$session->quit;
done_testing();
