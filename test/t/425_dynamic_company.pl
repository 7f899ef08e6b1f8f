# A worker that a commit has started, in the company of others: statements that want its
# database for themselves, the extension dropped, a standby that is promoted, copies.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $soon = patience(30);
my $node = start_node(
	'hubspot_assoc.workers' => 4,
	'hubspot_assoc.poll_interval' => '10min',
	wal_level => 'replica',
	max_wal_senders => 5,
	log_min_messages => 'debug1');
my $hubspot = start_simulator();
my $next_id = 1;

sub enqueue
{
	my ($database, $on) = @_;
	my $id = $next_id++;
	($on // $node)->safe_psql($database, qq{SET client_min_messages = error;
		SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $id AS from_id, 1 AS to_id')});
	return $id;
}

sub outbox { return ($_[1] // $node)->safe_psql($_[0], 'SELECT count(*) FROM hs_assoc_outbox') }
sub wait_for_empty { my ($database, $on) = @_; return wait_until(sub { outbox($database, $on) == 0 }, patience(60)) }
sub holds { my ($id) = @_; return $hubspot->association_table('contacts', 'companies') =~ /^$id,1,/m }

sub workers
{
	my ($database, $on) = @_;
	return split /\n/, ($on // $node)->safe_psql('template1', qq{SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'hubspot_assoc worker' AND datname = '$database'});
}

sub create_database
{
	my ($name) = @_;
	$node->safe_psql('template1', "CREATE DATABASE $name");
	create_account($node, $hubspot, dbname => $name, rate_limit => 0, max_retries => 0);
	return;
}

# Runs a statement of the server's; how long it took
sub run
{
	my ($sql) = @_;
	my $start = time;
	$node->safe_psql('template1', $sql);
	return time - $start;
}

# A row that waits for minutes, and the worker that waits for it
sub have_wait
{
	my ($database) = @_;
	$hubspot->rules({ match => { path => 'batch' }, action => { status => 503 } });
	my $id = enqueue($database);
	wait_until(sub { $node->safe_psql($database, 'SELECT count(*) FROM hs_assoc_backoff') == 1 }, patience(60));
	$node->safe_psql($database, q{UPDATE hs_assoc_backoff SET retry_at = clock_timestamp() + interval '1 hour'});
	$hubspot->clear_rules;
	return $id;
}

sub have_request
{
	my ($database) = @_;
	$hubspot->rules({ match => { path => 'batch' }, action => { delay_ms => 120_000 } });
	my $id = enqueue($database);
	wait_until(sub { $hubspot->stats->{in_flight} > 0 }, $soon);
	$hubspot->clear_rules;
	return $id;
}

#
# DROP DATABASE, CREATE DATABASE ... TEMPLATE, ALTER DATABASE, while the worker lingers,
# waits for a row, or for an answer
#
create_database($_) foreach qw(lingers waits asks);
my %oids = map { split /=/ } split /\n/, $node->safe_psql('template1',
	q{SELECT datname || '=' || oid FROM pg_database WHERE datname IN ('lingers', 'waits', 'asks')});
enqueue('lingers');
wait_for_empty('lingers');
is(scalar workers('lingers'), 1, 'a worker that lingers');
cmp_ok(run('DROP DATABASE lingers'), '<', patience(20), '... is out of the way of DROP DATABASE');

my $id = have_wait('waits');
is(scalar workers('waits'), 1, 'a worker that waits for a row');
cmp_ok(run('CREATE DATABASE copy TEMPLATE waits'), '<', patience(20), '... is out of the way of CREATE DATABASE ... TEMPLATE');
wait_until(sub { workers('waits') == 1 }, patience(60));
pass('... and back afterwards');
is(outbox('copy'), 1, 'the copy has the row');
enqueue('copy');
wait_until(sub { workers('copy') == 0 }, patience(60));
is(outbox('copy'), 2, '... and a commit there sends nothing');
like($node->safe_psql('copy', 'SELECT held FROM hs_assoc_outbox_stat LIMIT 1'), qr/\S/, '... which is said');
cmp_ok(run('ALTER DATABASE waits RENAME TO renamed'), '<', patience(20), '... of ALTER DATABASE ... RENAME');
wait_until(sub { workers('renamed') == 1 }, patience(60));
$node->safe_psql('renamed', 'SELECT hs_assoc_resume()');
wait_for_empty('renamed');
ok(holds($id), '... and goes on under the new name');
have_wait('renamed');
cmp_ok(run('DROP DATABASE renamed'), '<', patience(20), '... of DROP DATABASE');

$id = have_request('asks');
cmp_ok(run('CREATE DATABASE another TEMPLATE asks'), '<', patience(20), 'a worker that waits for an answer is out of the way, too');
wait_for_empty('asks');
ok(holds($id), '... and sends the row afterwards');
have_request('asks');
cmp_ok(run('DROP DATABASE asks'), '<', patience(20), '... of DROP DATABASE');
run("DROP DATABASE $_") foreach qw(copy another);

# One that comes back and finds no database is forgotten.
foreach my $name (sort keys %oids)
{
	my $worker = qr/hubspot_assoc worker for database $oids{$name}/;
	wait_until(sub { slurp_file($node->logfile) =~ /FATAL:  database $oids{$name} does not exist.*unregistering background worker "$worker"/s }, patience(60));
	my $log = slurp_file($node->logfile);
	is(scalar(() = $log =~ /FATAL:  database $oids{$name} does not exist/g), 1, "nobody comes for database $name again");
}

#
# The extension is dropped, and made again
#
create_database('drops');
have_wait('drops');
$node->safe_psql('drops', 'SET client_min_messages = error; DROP EXTENSION hubspot_assoc CASCADE');
create_account($node, $hubspot, dbname => 'drops', rate_limit => 0);
$id = enqueue('drops');
wait_for_empty('drops');
ok(holds($id), 'an extension that was made again is served');

#
# A database that takes no connections
#
have_wait('drops');
$node->safe_psql('template1', 'ALTER DATABASE drops ALLOW_CONNECTIONS false');
my ($pid) = workers('drops');
kill 'TERM', $pid;
wait_until(sub { workers('drops') == 0 }, $soon);
my ($oid) = $node->safe_psql('template1', q{SELECT oid FROM pg_database WHERE datname = 'drops'});
wait_until(sub { slurp_file($node->logfile) =~ /FATAL:  database "drops" is not currently accepting.*unregistering background worker "hubspot_assoc worker for database $oid"/s }, patience(60));
is(scalar workers('drops'), 0, 'a database that takes no connections is left alone');
$node->safe_psql('template1', 'ALTER DATABASE drops ALLOW_CONNECTIONS true');
is($node->safe_psql('drops', 'SELECT hs_assoc_start()'), 't', '... until somebody asks for a worker');
is($node->safe_psql('drops', 'SELECT hs_assoc_resume()'), 'f', 'not paused');
wait_for_empty('drops');

#
# A standby
#
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->safe_psql('template1', 'ALTER SYSTEM SET synchronous_commit = remote_apply');
$node->safe_psql('template1', q{ALTER SYSTEM SET synchronous_standby_names = '*'});
$node->safe_psql('template1', 'SELECT pg_reload_conf()');
have_wait('drops');
wait_until(sub { outbox('drops', $standby) == 1 }, $soon);
is($standby->safe_psql('drops', 'SELECT hs_assoc_sender()'), 'nobody: this is a standby', 'a standby sends nothing, and says so');
my ($code, $out, $err) = $standby->psql('drops', 'SELECT hs_assoc_start()');
like($err, qr/could not start a worker of hubspot_assoc.*This is a standby/s, '... nor when it is asked to');
$node->stop('immediate');
$standby->promote;
wait_until(sub { $standby->safe_psql('drops', 'SELECT pg_is_in_recovery()') eq 'f' }, patience(60));
$standby->safe_psql('template1', q{ALTER SYSTEM RESET synchronous_standby_names});
$standby->safe_psql('template1', 'SELECT pg_reload_conf()');
$standby->safe_psql('drops', q{UPDATE hs_assoc_backoff SET retry_at = clock_timestamp()});
is(scalar workers('drops', $standby), 0, 'promoted: no worker yet');
$id = enqueue('drops', $standby);
wait_for_empty('drops', $standby);
ok(holds($id), '... but with the next commit');

done_testing();
