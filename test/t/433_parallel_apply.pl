# A table in sync that a subscription fills with streaming = parallel: large transactions are
# applied before their commit, by processes of their own, and each of their rows is enqueued
# once, over savepoints, two-phase commit, and kills of these processes and of the server.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $soon = patience(60);
my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 1,
	'hubspot_assoc.poll_interval' => '10min',
	replication_settings(),
	max_logical_replication_workers => 8,
	logical_decoding_work_mem => '64kB');
plan(skip_all => 'there is no parallel apply before PostgreSQL 16') if $node->pg_version < 16;
my $hubspot = start_simulator();
$node->safe_psql('postgres', 'CREATE DATABASE managed');
create_account($node, $hubspot, rate_limit => 0);
my ($managed, $other, $car);
sub connect_all { ($managed, $other, $car) = (start_session($node, 'managed'), start_session($node, 'managed'), start_session($node)); return }
connect_all();

my $worker = q{FROM pg_stat_activity WHERE backend_type = 'logical replication parallel worker'};
# How often the pairs of the outbox are there, and in what they differ from the table
sub enqueued
{
	wait_until_applied($managed);
	my $enqueued = $car->query(q{SELECT count(*), count(DISTINCT (from_id, to_id)), (SELECT count(*) FROM links AS l
		FULL JOIN hs_assoc_outbox AS o ON o.from_id = l.contact_id::text AND o.to_id = l.company_id::text AND o.operation = 'create_default'
		WHERE l.contact_id IS NULL OR o.id IS NULL) FROM hs_assoc_outbox});
	$managed->query('TRUNCATE links');
	wait_until_applied($managed);
	$car->query('DELETE FROM hs_assoc_outbox');
	return $enqueued;
}
# A worker that has changed rows of a transaction that has not ended, and how many do
sub wait_for_workers { my ($number) = @_; wait_until(sub { $car->query("SELECT count(*) $worker AND backend_xid IS NOT NULL") >= $number }, $soon); return }
sub rows { my ($from, $number) = @_; return "INSERT INTO links SELECT i, 1 FROM generate_series($from, @{[ $from + $number - 1 ]}) AS i" }

$_->query('CREATE TABLE links (contact_id int, company_id int, note text, PRIMARY KEY (contact_id, company_id))') foreach $managed, $car;
$car->query(q{SELECT hs_assoc_pause(); SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)});
subscribe($node, $managed, $car, 'links', 'streaming = parallel, two_phase = true');
is($car->query('SELECT active FROM hs_assoc_sync'), 't', 'active');

$managed->query('BEGIN; ' . rows(1, 20_000));
wait_for_workers(1);
pass('a process applies it before it is committed');
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... which enqueues nothing yet');
$managed->query('COMMIT');
is(enqueued(), '20000|20000|0', '... and then each row once');

$managed->query('BEGIN; ' . rows(1, 20_000) . '; SAVEPOINT a; UPDATE links SET company_id = 2 WHERE contact_id % 2 = 0; SAVEPOINT b; DELETE FROM links; ROLLBACK TO b; DELETE FROM links WHERE contact_id % 4 = 0; SAVEPOINT c; ' . rows(30_001, 5000) . '; ROLLBACK TO a; SAVEPOINT d; '
	  . rows(40_001, 5000) . '; RELEASE d; DELETE FROM links WHERE contact_id <= 1000; COMMIT');
is(enqueued(), '24000|24000|0', 'savepoints');
$managed->query('BEGIN; ' . rows(1, 20_000));
wait_for_workers(1);
$managed->query('ROLLBACK');
wait_until(sub { $car->query("SELECT count(*) $worker AND backend_xid IS NOT NULL") == 0 }, $soon);
is(enqueued(), '0|0|0', 'what is rolled back');

$managed->query('BEGIN; ' . rows(1, 10_000));
$other->query('BEGIN; ' . rows(50_001, 10_000));
wait_for_workers(2);
$other->query('COMMIT');
$managed->query(rows(20_001, 5000) . '; COMMIT');
is(enqueued(), '25000|25000|0', 'two at the same time');

$managed->query('BEGIN; ' . rows(1, 20_000) . q{; PREPARE TRANSACTION 'x'});
wait_until_applied($managed);
is($car->query('SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()'), 1, 'prepared there and here');
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... with what it enqueues');
$managed->query(q{COMMIT PREPARED 'x'});
is(enqueued(), '20000|20000|0', '... until it is committed');

# Killed while they apply, and the transaction is applied anew
foreach my $kill (1 .. 6)
{
	$managed->query('BEGIN; ' . rows(1, 10_000));
	wait_for_workers(1);
	if ($kill % 3 == 0)
	{
		# the transaction is lost there, too: another one is written, and its beginning is applied when the server goes
		$managed->query('COMMIT; BEGIN; ' . rows(60_001, 10_000));
		$node->stop('immediate');
		$node->start;
		connect_all();
	}
	else
	{
		my $pid = $car->query("SELECT min(pid) $worker AND backend_xid IS NOT NULL");
		kill $kill % 3 == 1 ? 'TERM' : 'INT', $pid;
		$managed->query(rows(20_001, 10_000) . '; COMMIT');
	}
	wait_until(sub { $managed->query(q{SELECT count(*) FROM pg_replication_slots WHERE slot_name = 's' AND active}) }, $soon);
	is(enqueued(), $kill % 3 == 0 ? '10000|10000|0' : '20000|20000|0', "each row once, kill $kill");
}

$car->query('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$car->query('DROP SUBSCRIPTION s');

done_testing();
