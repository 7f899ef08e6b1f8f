# Without preloading, where a worker fails: it takes no more than its place among the
# background workers, comes back by itself, and stays away from where it is not wanted.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $soon = patience(20);
my $node = start_node(
	'hubspot_assoc.workers' => 4,
	'hubspot_assoc.poll_interval' => '10min',
	max_worker_processes => 4,
	max_logical_replication_workers => 0,
	log_min_messages => 'debug1');
my $hubspot = start_simulator();
my $monitor = start_session($node, 'postgres');
my $next_id = 1;

sub enqueue
{
	my ($session) = @_;
	my $id = $next_id++;
	$session->query("SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $id AS from_id, 1 AS to_id')");
	return $id;
}

sub wait_for_empty { my ($session) = @_; return wait_for_empty_outbox($session, $soon) }
sub holds { my ($id) = @_; return $hubspot->association_table('contacts', 'companies') =~ /^$id,1,/m }
sub log_from { return slurp_file($node->logfile, $_[0]) }
sub log_end { return -s $node->logfile }

sub workers
{
	my ($database) = @_;
	return split /\n/, $monitor->query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND datname = '$database'");
}

sub set
{
	my ($name, $value) = @_;
	$monitor->query($_) foreach "ALTER SYSTEM SET $name = $value", 'SELECT pg_reload_conf()';
	return;
}

# How many processes for the database are registered, by the log from there
sub registered
{
	my ($from, $database) = @_;
	my $oid = $monitor->query("SELECT oid FROM pg_database WHERE datname = '$database'");
	my @all = log_from($from) =~ /DEBUG:  (registering|unregistering) background worker "hubspot_assoc worker for database $oid"/g;
	return (grep { $_ eq 'registering' } @all) - grep { $_ eq 'unregistering' } @all;
}

foreach my $name (qw(one two))
{
	$monitor->query("CREATE DATABASE $name");
	create_account($node, $hubspot, dbname => $name, rate_limit => 0, max_retries => 0);
}
my ($one, $two) = map { start_session($node, $_) } qw(one two);

#
# An ERROR that is nobody's: the process ends, and a successor comes after a rest, which
# sessions find there
#
my $from = log_end();
$one->query('ALTER TABLE hs_assoc_lease RENAME TO gone');
my @ids = map { enqueue($one) } 1 .. 40;
wait_until(sub { log_from($from) =~ /ERROR: .*hs_assoc_lease/ }, $soon);
push @ids, map { enqueue($one) } 1 .. 40;
wait_until(sub { my $failed = () = log_from($from) =~ /ERROR: .*hs_assoc_lease/g; $failed >= 2 }, $soon);
push @ids, map { enqueue($one) } 1 .. 40;
wait_until(sub { registered($from, 'one') == 1 }, $soon);
pass('a worker that fails has one place among the background workers, whatever is committed');
my $id = enqueue($two);
wait_for_empty($two);
ok(holds($id), '... so there is one for another database');
$one->query('ALTER TABLE gone RENAME TO hs_assoc_lease');
wait_for_empty($one);
is(scalar(grep { !holds($_) } @ids), 0, '... and all is sent without another commit when nothing is in the way any more');

#
# The library cannot be loaded
#
wait_until(sub { registered(0, 'one') == 0 && registered(0, 'two') == 0 }, $soon);
pass('all have ended');
$from = log_end();
set('dynamic_library_path', q{'/nowhere'});
wait_until(sub { $_->query('SHOW dynamic_library_path') eq '/nowhere' }, $soon) foreach $one, $two;
my $start = 0;
for my $session (($one, $two) x 10)
{
	enqueue($session);
	$start++;
	# each tries once
	wait_until(sub { my @failed = log_from($from) =~ /could not access file "hubspot_assoc"/g; @failed >= $start }, $soon);
}
wait_until(sub { registered($from, 'one') == 0 && registered($from, 'two') == 0 }, $soon);
pass('a process that cannot load the library leaves nothing behind');
$monitor->query($_) foreach 'ALTER SYSTEM RESET dynamic_library_path', 'SELECT pg_reload_conf()';
wait_until(sub { $_->query('SHOW dynamic_library_path') ne '/nowhere' }, $soon) foreach $one, $two;
enqueue($_) foreach $one, $two;
wait_for_empty($_) foreach $one, $two;
pass('... and the next commit brings one again');

#
# Ended before it has connected
#
$from = log_end();
$one->query('ALTER TABLE hs_assoc_lease RENAME TO gone');
$id = enqueue($one);
$one->quit;
wait_until(sub { log_from($from) =~ /ERROR: .*hs_assoc_lease/ }, $soon);
$monitor->query($_) foreach 'BEGIN', 'ALTER DATABASE one RENAME TO renamed';
my $waiting = q{SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND NOT granted};
my $pid = wait_until(sub { $two->query($waiting) }, $soon);
$from = log_end();
kill 'TERM', $pid;
wait_until(sub { my $other = $two->query($waiting); $other && $other != $pid }, $soon);
pass('a process that is ended before it has connected is followed by another one');
like(log_from($from), qr/FATAL:  terminating background worker "hubspot_assoc worker" due to administrator command/, '... as the log says');
$monitor->query('ROLLBACK');
$one = start_session($node, 'one');
$one->query('ALTER TABLE gone RENAME TO hs_assoc_lease');
wait_for_empty($one);
ok(holds($id), '... and the row is sent');

#
# Terminated while it rests, or by a setting
#
$one->query('ALTER TABLE hs_assoc_lease RENAME TO gone');
$from = log_end();
$id = enqueue($one);
wait_until(sub { log_from($from) =~ /ERROR: .*hs_assoc_lease/ }, $soon);
my $resting = wait_until(sub {
	my ($sender) = $one->query('SELECT hs_assoc_sender()') =~ /process (\d+)/;
	return $sender && !(grep { $_ == $sender } workers('one')) && $sender;
}, $soon);
kill 'TERM', $resting;
wait_until(sub { my ($sender) = $one->query('SELECT hs_assoc_sender()') =~ /process (\d+)/; $sender && $sender != $resting }, $soon);
pass('a successor that is terminated has one, too');
set('hubspot_assoc.workers', 0);
wait_until(sub { registered(0, 'one') == 0 }, $soon);
pass('with no workers allowed, none comes any more');
set('hubspot_assoc.workers', 4);
wait_until(sub { $one->query('SHOW hubspot_assoc.workers') == 4 }, $soon);
$one->query($_) foreach 'ALTER TABLE gone RENAME TO hs_assoc_lease', 'SELECT hs_assoc_start()';
wait_for_empty($one);
ok(holds($id), 'until they are');

#
# The only one that there may be
#
$_->quit foreach $one, $two, $monitor;
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
$monitor = start_session($node, 'postgres');
($one, $two) = map { start_session($node, $_) } qw(one two);
$id = enqueue($one);
wait_for_empty($one);
ok(holds($id), 'where there is room for one process alone, it sends');
$_->quit foreach $one, $two, $monitor;
$node->append_conf('postgresql.conf', 'max_worker_processes = 4');
$node->restart;
$monitor = start_session($node, 'postgres');

#
# DROP DATABASE ... WITH (FORCE) by an owner who is no superuser
#
$monitor->query('CREATE ROLE olga LOGIN; CREATE ROLE eve LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE hers OWNER olga');
create_account($node, $hubspot, dbname => 'hers', rate_limit => 0, max_retries => 0);
my $hers = start_session($node, 'hers');
$hubspot->rules({ match => { path => 'batch' }, action => { status => 503 } });
enqueue($hers);
wait_until(sub { $hers->query('SELECT count(*) FROM hs_assoc_backoff') == 1 }, $soon);
$hers->query(q{UPDATE hs_assoc_backoff SET retry_at = clock_timestamp() + interval '1 hour'});
$hers->quit;
($pid) = workers('hers');
my ($code, $out, $err) = $node->psql('postgres', "SELECT pg_terminate_backend($pid)", extra_params => [ '-U', 'eve' ]);
like($err, qr/must be a member|permission denied/, 'the worker is not for everybody to end');
$from = log_end();
($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE hers WITH (FORCE)', extra_params => [ '-U', 'olga' ]);
is($err, '', 'an owner who is no superuser drops the database, with its worker in it');
wait_until(sub { log_from($from) =~ /FATAL:  database \d+ does not exist/ }, $soon);
wait_until(sub { log_from($from) =~ /FATAL:  database \d+ does not exist.*unregistering background worker/s }, $soon);
pass('... and nobody comes for it again');
$hubspot->clear_rules;

#
# ALTER EXTENSION and a sender do not meet halfway
#
($one, $two) = map { start_session($node, 'one') } 1 .. 2;
$one->query(q{
	CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN OLD; END';
	CREATE TRIGGER hold_up BEFORE DELETE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION hold_up();
	SELECT pg_advisory_lock(1)});
enqueue($one);
wait_until(sub { $one->query(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'}) == 1 }, $soon);
my $waits = 'FROM pg_locks WHERE NOT granted AND pid = ' . $two->pid;
my $tables = q{SELECT count(*) FROM pg_locks JOIN pg_class AS c ON c.oid = relation WHERE relname LIKE 'hs\_assoc\_%' AND pid = } . $two->pid;
foreach my $statement ('UPDATE', 'SET SCHEMA public')
{
	$two->send("ALTER EXTENSION hubspot_assoc $statement");
	wait_until(sub { $one->query("SELECT 1 $waits") }, $soon);
	is($one->query("SELECT locktype, classid::regclass, mode $waits"), 'object|pg_extension|AccessExclusiveLock', "ALTER EXTENSION ... $statement waits for a sender");
	is($one->query($tables), 0, '... and locks nothing else before');
	if ($statement eq 'UPDATE')
	{
		$two->cancel;
		like(join('', $two->finish), qr/57014/, '... until it is cancelled');
	}
}
$one->query('SELECT pg_advisory_unlock(1)');
unlike(join('', $two->finish), qr/ERROR/, '... and then goes on');
wait_for_empty($one);

# What is about another extension, or no business of the role's, waits for nothing.
$one->query('BEGIN; LOCK TABLE hs_assoc_outbox IN ACCESS SHARE MODE');
$two->query('CREATE SCHEMA another; ALTER EXTENSION plpgsql UPDATE');
$two->send('SET ROLE eve; ALTER EXTENSION hubspot_assoc UPDATE');
like(join('', $two->finish), qr/must be owner of extension hubspot_assoc/, 'who may not update it takes no lock');
is($one->query('COMMIT; SELECT 1'), 1, 'done');

done_testing();
