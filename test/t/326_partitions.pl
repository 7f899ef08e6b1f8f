# Partitions that come with rows and go with them: old snapshots, writers at the
# same time, and pg_partman's functions, where it is installed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
# nothing is to be sent here
$node->safe_psql('postgres', q{
	CREATE EXTENSION hubspot_assoc;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'http://127.0.0.1:9');
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token');
	SELECT hs_assoc_pause();
	CREATE TABLE links (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY RANGE (contact_id);
	CREATE TABLE links_0 PARTITION OF links FOR VALUES FROM (0) TO (100);
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
my ($one, $two, $three) = map { start_session($node) } 1 .. 3;

# What was enqueued since the last look, in its order.
sub enqueued
{
	return $node->safe_psql('postgres', q{
		WITH gone AS (DELETE FROM hs_assoc_outbox RETURNING *)
		SELECT string_agg(format('%s %s>%s', operation, from_id, to_id), ', ' ORDER BY id) FROM gone});
}

#
# Attached: whoever writes at the same time is enqueued, once
#
my $attach = 'ALTER TABLE links ATTACH PARTITION staged FOR VALUES FROM (100) TO (200)';
$one->query('CREATE TABLE staged (LIKE links); BEGIN; INSERT INTO staged VALUES (101, 1)');
$two->send($attach);
wait_for_lock($node, $two);
$one->query('COMMIT');
is(($two->finish)[1], '', 'a partition is attached after who writes to it');
is(enqueued(), 'create_default 101>1', 'and has its row');
$two->query('ALTER TABLE links DETACH PARTITION staged');
is(enqueued(), 'archive 101>1', 'which goes with it');

$two->query("BEGIN; $attach");
$one->send('INSERT INTO staged VALUES (102, 1)');
wait_for_lock($node, $one);
$two->query('COMMIT');
is(($one->finish)[1], '', 'who writes goes on when it is attached');
is(enqueued(), 'create_default 101>1, create_default 102>1', 'and is enqueued once');

$two->query('BEGIN; ALTER TABLE links DETACH PARTITION staged');
$one->send('INSERT INTO staged VALUES (103, 1)');
wait_for_lock($node, $one);
$two->query('COMMIT');
is(($one->finish)[1], '', 'who writes goes on when it is detached');
is(enqueued(), 'archive 101>1, archive 102>1', 'and is not enqueued');

$one->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM staged');
$two->query('INSERT INTO staged VALUES (104, 1)');
$one->query("$attach; COMMIT");
is(enqueued(), join(', ', map { "create_default $_>1" } 101 .. 104), 'an older snapshot attaches what it does not see');
$one->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM links');
$two->query('INSERT INTO staged VALUES (105, 1); DELETE FROM staged WHERE contact_id = 101');
$one->query('DROP TABLE staged; COMMIT');
is(enqueued(), 'create_default 105>1, archive 101>1, ' . join(', ', map { "archive $_>1" } 102 .. 105),
	'and drops what it does not see');

#
# CONCURRENTLY: until it is done, the partition is followed
#
$two->query('CREATE TABLE staged (LIKE links); INSERT INTO staged VALUES (101, 1); ' . $attach);
enqueued();
$one->query('BEGIN; SELECT count(*) FROM links');
$two->send('ALTER TABLE links DETACH PARTITION staged CONCURRENTLY');
wait_for_lock($node, $two);
$three->query('INSERT INTO staged VALUES (102, 1)');
$one->query('COMMIT');
is(($two->finish)[1], '', 'detached concurrently');
is(enqueued(), 'create_default 102>1, archive 101>1, archive 102>1', 'with a row that came meanwhile');
$two->query($attach);
enqueued();
$one->query('BEGIN; SELECT count(*) FROM links');
$two->send('ALTER TABLE links DETACH PARTITION staged CONCURRENTLY');
wait_for_lock($node, $two);
$node->safe_psql('postgres', 'SELECT pg_cancel_backend(' . $two->pid . ')');
like(($two->finish)[1], qr/canceling statement/, 'canceled when it has begun');
$one->query('COMMIT');
$two->query('INSERT INTO staged VALUES (103, 1)');
is(enqueued(), 'create_default 103>1', 'it is still followed');
$two->query('ALTER TABLE links DETACH PARTITION staged FINALIZE');
is(enqueued(), join(', ', map { "archive $_>1" } 101 .. 103), 'until it is finalized');

# Left halfway, it goes along with its table: the sync is made anew, or ends, or the partition
# above it leaves
sub leave_halfway
{
	my ($table, $partition) = @_;
	$one->query("BEGIN; SELECT count(*) FROM $table");
	$two->send("ALTER TABLE $table DETACH PARTITION $partition CONCURRENTLY");
	wait_for_lock($node, $two);
	$two->cancel;
	like(($two->finish)[1], qr/canceling statement/, "$partition is left halfway");
	$one->query('COMMIT');
	return;
}
sub triggers { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_trigger WHERE tgrelid = '$_[0]'::regclass") }

my $enable = q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')};
$two->query($attach);
enqueued();
leave_halfway('links', 'staged');
$two->query("BEGIN; SELECT hs_assoc_disable_sync('links'); $enable; COMMIT; INSERT INTO staged VALUES (104, 1)");
is(enqueued(), 'create_default 104>1', 'a sync that is made anew follows it');
$two->query('ALTER TABLE links DETACH PARTITION staged FINALIZE');
is(enqueued(), join(', ', map { "archive $_>1" } 101 .. 104), '... until it is finalized');
$two->query($attach);
leave_halfway('links', 'staged');
$two->query(q{SELECT hs_assoc_disable_sync('links')});
is(triggers('staged'), 0, 'a sync that ends leaves no trigger behind');
is($two->told('INSERT INTO staged VALUES (105, 1); ALTER TABLE links DETACH PARTITION staged FINALIZE; DELETE FROM staged WHERE contact_id = 105'), '', '... which would stop writers');
$two->query("CREATE TABLE above (LIKE links INCLUDING ALL) PARTITION BY LIST (company_id); CREATE TABLE below PARTITION OF above FOR VALUES IN (1); $enable; ALTER TABLE links ATTACH PARTITION above FOR VALUES FROM (200) TO (300); INSERT INTO above VALUES (201, 1)");
enqueued();
leave_halfway('above', 'below');
$two->query('ALTER TABLE links DETACH PARTITION above');
is(enqueued(), 'archive 201>1', 'with a partition that leaves, what is leaving that is gone');
is(triggers('below'), 0, '... with its triggers');
$two->query('ALTER TABLE above DETACH PARTITION below FINALIZE; ALTER TABLE above ATTACH PARTITION below FOR VALUES IN (1); ALTER TABLE links ATTACH PARTITION above FOR VALUES FROM (200) TO (300)');
enqueued();
leave_halfway('above', 'below');
is($two->told('DROP TABLE above'), '', 'it may be dropped with the one above it');
is(enqueued(), 'archive 201>1', '... and its rows are removed');

#
# PostgreSQL renames the column of the whole table alone if it waited until a partition is
# being detached
#
$two->query($attach);
enqueued();
my $four = start_session($node);
$one->query('BEGIN; LOCK staged IN ACCESS EXCLUSIVE MODE');
$two->send('ALTER TABLE links DETACH PARTITION staged CONCURRENTLY');
wait_for_lock($node, $two);
$three->query('BEGIN');
$three->send('ALTER TABLE links RENAME COLUMN company_id TO other_id');
wait_for_lock($node, $three);
$four->query('BEGIN; SELECT 1');
$one->query('COMMIT');
is(($three->finish)[1], '', 'a column is renamed while a partition is being detached');
$three->query('ALTER TABLE links RENAME COLUMN other_id TO company_id; COMMIT');
$four->query('COMMIT');
my $missing = qr/ERROR:  42703: column "company_id" of table "staged", which is kept in sync, does not exist\nHINT:  .*SELECT public\.hs_assoc_disable_sync\('public\.links'\)/;
# from 18 on, PostgreSQL itself refuses to detach such a partition
my $undetached = qr/$missing|ERROR:  42804: could not convert row type/;
like(($two->finish)[1], $undetached, '... whose column has the other name: it is not detached');
is($node->safe_psql('postgres', q{SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'staged'::regclass AND attnum > 0}), 'contact_id, other_id', '... as PostgreSQL has left it');
like($two->told('DROP TABLE staged'), $missing, 'dropped: an ERROR says what is wrong');
like($two->told('ALTER TABLE links DETACH PARTITION staged FINALIZE'), $undetached, '... and when it is to be detached at last');
is(enqueued(), '', '... and nothing is enqueued');
$two->query(q{SELECT hs_assoc_disable_sync('links'); DROP TABLE staged});
$two->told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true)});
$two->query('INSERT INTO links VALUES (1, 1); DELETE FROM links');
is(enqueued(), 'create_default 1>1, archive 1>1', 'what the hint says helps');
$four->quit;

#
# A name that means another table when PostgreSQL looks it up
#
$two->query(q{
	CREATE SCHEMA a; CREATE SCHEMA b;
	CREATE TABLE a.part PARTITION OF links FOR VALUES FROM (300) TO (400);
	CREATE TABLE b.part PARTITION OF links FOR VALUES FROM (400) TO (500);
	INSERT INTO links VALUES (301, 1), (401, 1)});
enqueued();
# as another command would in that moment
$two->query(q{
	CREATE FUNCTION swap() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
		ALTER SCHEMA a RENAME TO c; ALTER SCHEMA b RENAME TO a; END $$;
	CREATE EVENT TRIGGER zwap ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION swap()});
eval { $two->query('DROP TABLE a.part'); 1 } and fail('must not be dropped');
like($@, qr/cannot drop partition "part" because table "links" is kept in sync/, 'another table is not dropped in its place');
is(enqueued(), '', 'and nothing is enqueued');
$two->query('DROP EVENT TRIGGER zwap');

#
# While DROP TABLE waits, its name comes to stand for another table: the partition stays
#
$two->query(q{CREATE TABLE part PARTITION OF links FOR VALUES FROM (600) TO (700); INSERT INTO links VALUES (601, 1)});
enqueued();
foreach my $case ([ 'a table takes its name', 'CREATE TABLE part (x int)', 'DROP TABLE part' ],
	[ 'nothing has it', 'SELECT 1', 'DROP TABLE IF EXISTS part' ])
{
	my ($name, $other, $drop) = @$case;

	$one->query("BEGIN; ALTER TABLE part RENAME TO part_old; $other");
	$two->send($drop);
	wait_for_lock($node, $two);
	$one->query('COMMIT');
	unlike(($two->finish)[1], qr/ERROR/, "$name: DROP TABLE goes on");
	is(enqueued(), '', "$name: nothing is enqueued");
	is($two->query('SELECT count(*) FROM links WHERE contact_id = 601'), 1, "$name: the partition is there");
	$two->query('ALTER TABLE part_old RENAME TO part');
}
$two->query('DROP TABLE part');
is(enqueued(), 'archive 601>1', 'it can be dropped by its name');

#
# A partition's owner who takes his own privileges away, or hides the rows from himself, keeps nobody from anything: rows
# that come or go with a table are read as PostgreSQL reads those of a partition, without a look at its privileges
#
$two->query(q{
	CREATE ROLE parts_owner; CREATE ROLE truncating;
	GRANT TRUNCATE ON links TO truncating; GRANT CREATE ON SCHEMA public TO parts_owner});
my %hindrances = (
	'no privilege' => 'REVOKE SELECT ON hidden FROM parts_owner',
	'row-level security' => 'ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden FORCE ROW LEVEL SECURITY');
foreach my $name (sort keys %hindrances)
{
	my $attach = 'ALTER TABLE links ATTACH PARTITION hidden FOR VALUES FROM (700) TO (800)';
	$two->query("CREATE TABLE hidden (LIKE links); INSERT INTO hidden VALUES (701, 1); ALTER TABLE hidden OWNER TO parts_owner;
		SET ROLE parts_owner; $hindrances{$name}; RESET ROLE; DELETE FROM hs_assoc_outbox");
	$two->query($attach);
	is(enqueued(), 'create_default 701>1', "$name: attached");
	$two->query('ALTER TABLE links DETACH PARTITION hidden');
	is(enqueued(), 'archive 701>1', "$name: detached");
	$two->query($attach);
	enqueued();
	$two->query('SET ROLE truncating; TRUNCATE links; RESET ROLE');
	like(enqueued(), qr/\barchive 701>1\b/, "$name: truncated with the whole table");
	$two->query('INSERT INTO links VALUES (702, 1)');
	enqueued();
	$two->query('DROP TABLE hidden');
	is(enqueued(), 'archive 702>1', "$name: dropped");
}
$two->query('REVOKE ALL ON links FROM truncating; REVOKE CREATE ON SCHEMA public FROM parts_owner');

#
# pg_partman
#
SKIP:
{
	skip 'pg_partman is not installed', 1
	  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_partman' AND default_version LIKE '4.%'}) eq '0';
	partman();
}

# Pairs whose last operation is not what the table says.
sub disagree
{
	return $node->safe_psql('postgres', q{
	SELECT count(*) FROM (
		SELECT DISTINCT ON (from_id, to_id) from_id::int AS contact_id, to_id::int AS company_id,
			operation = 'create_default' AS there
		FROM hs_assoc_outbox ORDER BY from_id, to_id, id DESC
	) AS last
	FULL JOIN (SELECT contact_id, company_id, true AS there FROM people) AS now USING (contact_id, company_id)
	WHERE coalesce(last.there, false) <> coalesce(now.there, false)});
}

sub partman
{
	$node->safe_psql('postgres', q{
		DELETE FROM hs_assoc_outbox;
		CREATE SCHEMA partman;
		CREATE EXTENSION pg_partman SCHEMA partman;
		CREATE TABLE people (contact_id int NOT NULL, company_id int NOT NULL, UNIQUE (contact_id, company_id))
			PARTITION BY RANGE (contact_id);
		CREATE TABLE plain (LIKE people);
		SELECT partman.create_parent('public.people', 'contact_id', 'native', '100', p_premake => 2);
		SELECT hs_assoc_enable_sync('people', 'contacts', 'contact_id', 'companies', 'company_id');
		INSERT INTO people SELECT i, i % 7 FROM generate_series(1, 1000) AS i});
	my $in_default = 'SELECT count(*) FROM people_default';
	my $partitions = q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'people'::regclass};
	cmp_ok($node->safe_psql('postgres', $in_default), '>', 500, 'rows are in the default partition');
	is(disagree(), 0, 'all are enqueued');

	$node->safe_psql('postgres', q{CALL partman.partition_data_proc('public.people')});
	is($node->safe_psql('postgres', $in_default), 0, 'partition_data_proc has moved them');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM people'), 1000, 'all are there');
	is(disagree(), 0, 'and stay enqueued');

	my $before = $node->safe_psql('postgres', $partitions);
	$node->safe_psql('postgres', 'CALL partman.run_maintenance_proc()');
	cmp_ok($node->safe_psql('postgres', $partitions), '>', $before, 'run_maintenance_proc makes partitions');
	is($node->safe_psql('postgres', 'SELECT bool_and(active) FROM hs_assoc_sync'), 't', 'with our triggers');
	foreach my $keep ('true', 'false')
	{
		my $left = $keep eq 'true' ? 500 : 200;
		$node->safe_psql('postgres', "UPDATE partman.part_config SET retention = '$left', retention_keep_table = $keep,
			infinite_time_partitions = true; CALL partman.run_maintenance_proc()");
		my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM people');
		cmp_ok($rows, '<', $left + 200, "retention, keep $keep: some are gone");
		cmp_ok($rows, '>', 0, 'not all');
		is(disagree(), 0, 'they are removed');
	}
	$node->safe_psql('postgres', q{CALL partman.undo_partition_proc('public.people', p_target_table => 'public.plain', p_keep_table => false)});
	is($node->safe_psql('postgres', 'SELECT count(*) FROM people'), 0, 'undo_partition_proc has moved all into another table');
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM plain'), '>', 0, 'where they are');
	is(disagree(), 0, 'which is not in sync');
	return;
}

$_->quit foreach $one, $two, $three;
done_testing();
