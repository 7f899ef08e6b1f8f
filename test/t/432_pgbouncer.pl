# A dynamic worker behind pgbouncer in transaction mode: sessions that are shared by many
# clients start it, wake it, and have it back. Skipped where there is no pgbouncer (Debian's
# package of that name), which the environment variable TEST_PGBOUNCER may name.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { defined $_ && -x $_ } $ENV{TEST_PGBOUNCER}, map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan(skip_all => 'there is no pgbouncer') unless $pgbouncer;

my $soon = patience(30);
my $node = start_node('hubspot_assoc.workers' => 2, 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
$node->safe_psql('postgres', q{CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});

# pgbouncer, on a socket and a port of its own
my $folder = PostgreSQL::Test::Utils::tempdir;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my ($host, $server_port) = ($node->host, $node->port);
append_to_file("$folder/users.txt", qq{"postgres" ""\n});
append_to_file("$folder/pgbouncer.ini", qq{[databases]
postgres = host=$host port=$server_port dbname=postgres user=postgres
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $folder
auth_type = trust
auth_file = $folder/users.txt
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
logfile = $folder/pgbouncer.log
});
my $pid = fork // die "fork: $!";
if ($pid == 0)
{
	open STDOUT, '>', "$folder/out" or die $!;
	open STDERR, '>&', \*STDOUT or die $!;
	exec $pgbouncer, '-q', "$folder/pgbouncer.ini" or POSIX::_exit(1);
}
END { local $?; kill 'TERM', $pid if $pid }
wait_until(sub { -S "$folder/.s.PGSQL.$port" }, $soon);

sub through
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $folder, '-p', $port, '-U', 'postgres', '-d', 'postgres', '-c', $sql ], '>', \$out, '2>', \$err)
	  or die "$sql: $err";
	chomp $out;
	return $out;
}
sub wait_for_empty { return wait_until(sub { $node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox') == 0 }, $soon) }
sub holds { my ($id) = @_; return $hubspot->association_table('contacts', 'companies') =~ /^$id,1,/m }
sub workers { return split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) }

through('INSERT INTO links VALUES (1, 1)');
wait_for_empty();
ok(holds(1), 'a commit through pgbouncer starts a worker, which sends');
my ($first) = workers();
through("INSERT INTO links VALUES ($_, 1)") foreach 2 .. 20;
wait_for_empty();
is(scalar(grep { holds($_) } 2 .. 20), 19, 'later ones, each by another client, wake it');
is(join(' ', workers()), $first, '... the same one');
is(through('SELECT hs_assoc_sender()'), "a dynamic worker, process $first", '... which a client can see');

# Many clients at once, with fewer sessions
my @clients = map { my $id = $_;
	my $start = IPC::Run::start([ 'psql', '-XAtq', '-h', $folder, '-p', $port, '-U', 'postgres', '-d', 'postgres', '-c',
		"BEGIN; INSERT INTO links VALUES ($id, 1); COMMIT" ], '>', \my $out, '2>', \my $err); $start } 101 .. 130;
$_->finish foreach @clients;
wait_for_empty();
is(scalar(grep { holds($_) } 101 .. 130), 30, 'many clients at once');
is($node->safe_psql('postgres', q{SELECT count(*) <= 3 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}), 't', '... in three sessions');

# Without a worker: it has ended, was terminated, or the server was restarted
wait_until(sub { !workers() }, $soon);
through('INSERT INTO links VALUES (201, 1)');
wait_for_empty();
ok(holds(201), 'it comes again');
kill 'TERM', workers();
through('INSERT INTO links VALUES (202, 1)');
wait_for_empty();
ok(holds(202), '... and after it was terminated');
$node->restart;
wait_until(sub { eval { through('SELECT 1') } }, $soon);
is(through('SELECT hs_assoc_start()'), 't', 'after a restart of the server, a client can have one started');

done_testing();
