# Tables that are kept in sync, where one session doesn't show it: the order of
# several writers, old snapshots, other backends' caches, dumps, replication.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(
	'wal_level' => 'logical',
	'max_wal_senders' => 5,
	'max_replication_slots' => 5,
	'max_prepared_transactions' => 5);
my $sql_account = q{
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'http://127.0.0.1:9');
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token');
};
# nothing is to be sent here
$node->safe_psql('postgres', "CREATE EXTENSION hubspot_assoc; $sql_account SELECT hs_assoc_pause()");

# What was enqueued since the last look, in its order.
sub enqueued
{
	my ($dbname) = @_;
	return $node->safe_psql($dbname // 'postgres', q{
		WITH gone AS (DELETE FROM hs_assoc_outbox RETURNING *)
		SELECT string_agg(format('%s %s>%s', operation, from_id, to_id), ', ' ORDER BY id) FROM gone});
}

sub enable
{
	my ($table, $more) = @_;
	return "SELECT hs_assoc_enable_sync('$table', 'contacts', 'contact_id', 'companies', 'company_id'"
	  . ($more // '') . ')';
}

$node->safe_psql('postgres', q{
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	INSERT INTO links VALUES (1, 1);
});
my ($one, $two) = map { start_session($node) } 1 .. 2;

#
# Enabling waits for who is writing, and then has all rows; whoever comes later
# is enqueued by the triggers
#
$one->query('BEGIN; INSERT INTO links VALUES (2, 2)');
$two->send(enable('links', ', backfill => true'));
wait_for_lock($node, $two);
$one->query('COMMIT');
is(($two->finish)[0], '2', 'the backfill has waited for a writer');
is(enqueued(), 'create_default 1>1, create_default 2>2', 'both rows are enqueued');

$two->query("SELECT hs_assoc_disable_sync('links')");
$two->query('BEGIN; ' . enable('links', ', backfill => true'));
$one->send('INSERT INTO links VALUES (3, 3)');
wait_for_lock($node, $one);
$two->query('COMMIT');
is(($one->finish)[1], '', 'a writer goes on afterwards');
is(enqueued(), 'create_default 1>1, create_default 2>2, create_default 3>3',
	'its row is enqueued once');

#
# A name that comes to stand for somebody else's table while a command waits
#
$node->safe_psql('postgres', q{
	CREATE ROLE thief;
	CREATE SCHEMA evil AUTHORIZATION thief;
	SET ROLE thief;
	CREATE TABLE evil.whole (contact_id int, company_id int) PARTITION BY RANGE (contact_id);
	CREATE TABLE evil.links PARTITION OF evil.whole FOR VALUES FROM (0) TO (100);
});
my $thief = start_session($node);
$one->query('BEGIN; SELECT count(*) FROM evil.whole');
$thief->query('SET ROLE thief; SET search_path = evil, public');
$thief->send('ALTER TABLE evil.whole DETACH PARTITION links CONCURRENTLY');
wait_for_lock($node, $thief);
$two->query('ALTER SCHEMA evil RENAME TO evil_no_more');
$one->query('COMMIT');
is(($thief->finish)[1], '', 'the partition is detached');
$thief->quit;
is($node->safe_psql('postgres', 'SELECT link_table, active FROM hs_assoc_sync'),
	'links|t', 'the other table by that name is still kept in sync');
$node->safe_psql('postgres', 'DROP OWNED BY thief CASCADE; DROP ROLE thief');

#
# Writers of the same pair: the order in the outbox is that of the commits
#
$one->query('BEGIN; DELETE FROM links WHERE contact_id = 3');
$two->send('INSERT INTO links VALUES (3, 3)');
wait_for_lock($node, $two);
$one->query('INSERT INTO links VALUES (4, 4); COMMIT');
$two->finish;
is(enqueued(), 'archive 3>3, create_default 4>4, create_default 3>3', 'an INSERT after a DELETE');

$one->query('BEGIN; UPDATE links SET company_id = 5 WHERE contact_id = 4');
$two->send('UPDATE links SET company_id = company_id + 1 WHERE contact_id = 4');
wait_for_lock($node, $two);
$one->query('COMMIT');
$two->finish;
is(enqueued(),
	'archive 4>4, create_default 4>5, archive 4>5, create_default 4>6',
	'an UPDATE after an UPDATE');

$one->query('BEGIN; UPDATE links SET company_id = 7 WHERE contact_id = 4');
$two->send('INSERT INTO links VALUES (4, 6), (4, 7) ON CONFLICT DO NOTHING');
wait_for_lock($node, $two);
$one->query('ROLLBACK');
$two->finish;
is(enqueued(), 'create_default 4>7', 'an INSERT after an UPDATE that is rolled back');

$one->query(q{BEGIN; DELETE FROM links WHERE contact_id = 4; PREPARE TRANSACTION 'p'});
$two->send('INSERT INTO links VALUES (4, 6)');
wait_for_lock($node, $two);
$one->query(q{COMMIT PREPARED 'p'});
$two->finish;
is(enqueued(), 'archive 4>6, archive 4>7, create_default 4>6', 'an INSERT after a prepared DELETE');

# Many at once, of few pairs: the last operation on each says what is there.
my $script = $node->basedir . '/writer.sql';
append_to_file($script, q{
\set contact random(1, 5)
\set company random(1, 3)
\set what random(1, 6)
BEGIN;
\if :what < 3
INSERT INTO links VALUES (:contact, :company) ON CONFLICT DO NOTHING;
\elif :what = 3
INSERT INTO links VALUES (:contact, :company) ON CONFLICT (contact_id, company_id) DO UPDATE SET company_id = links.company_id;
\elif :what = 4
DELETE FROM links WHERE contact_id = :contact AND company_id = :company;
\elif :what = 5
UPDATE links SET company_id = :company + 10 WHERE contact_id = :contact AND company_id = :company
	AND NOT EXISTS (SELECT FROM links WHERE contact_id = :contact AND company_id = :company + 10);
\else
DELETE FROM links WHERE contact_id = :contact AND company_id > 10;
\endif
SELECT random() < 0.2 AS undo \gset
\if :undo
ROLLBACK;
\else
COMMIT;
\endif
});

my $disagree = q{
	SELECT count(*) FROM (
		SELECT DISTINCT ON (from_id, to_id) from_id::int AS contact_id, to_id::int AS company_id,
			operation = 'create_default' AS there
		FROM hs_assoc_outbox ORDER BY from_id, to_id, id DESC
	) AS last
	FULL JOIN (SELECT contact_id, company_id, true AS there FROM links) AS now USING (contact_id, company_id)
	WHERE coalesce(last.there, false) <> coalesce(now.there, false)};

sub write_together
{
	my ($name) = @_;
	$node->safe_psql('postgres', 'DELETE FROM links; DELETE FROM hs_assoc_outbox');
	$node->command_ok(
		[ 'pgbench', '-n', '-c', 4, '-t', 250, '-f', $script, $node->connstr('postgres') ],
		"$name: many writers");
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox'),
		'>', 100, "$name: they were enqueued");
	is($node->safe_psql('postgres', $disagree), '0',
		"$name: the last operations are what the table says");
	return;
}

write_together('a table');

$node->safe_psql('postgres', q{
	DROP TABLE links;
	CREATE TABLE links (contact_id int, company_id int, UNIQUE (company_id, contact_id)) PARTITION BY LIST (company_id);
	CREATE TABLE links_1 PARTITION OF links FOR VALUES IN (1);
	CREATE TABLE links_rest PARTITION OF links DEFAULT;
} . enable('links'));
write_together('a partitioned table');

#
# Old snapshots
#
$node->safe_psql('postgres', 'DROP TABLE links; DELETE FROM hs_assoc_outbox;
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id))');
$one->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM links');
$two->query('INSERT INTO links VALUES (1, 1); ' . enable('links'));
$one->query('INSERT INTO links VALUES (2, 2)');
$two->query('INSERT INTO links VALUES (3, 3)');
$one->query('TRUNCATE links; COMMIT');
is(enqueued(),
	'create_default 2>2, create_default 3>3, archive 1>1, archive 2>2, archive 3>3',
	'an older transaction is enqueued, and truncates what it does not see');

$two->query("SELECT hs_assoc_disable_sync('links')");
$one->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM links');
$two->query('INSERT INTO links VALUES (1, 1)');
is($one->query(enable('links', ', backfill => true') . '; COMMIT'), '1',
	'a backfill has what its transaction does not see');
is(enqueued(), 'create_default 1>1', 'it is enqueued');

$one->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$two->query("SELECT hs_assoc_disable_sync('links'); " . enable('links'));
$one->query('ALTER TABLE links RENAME company_id TO firm_id; INSERT INTO links VALUES (2, 2); COMMIT');
is(enqueued(), 'create_default 2>2', 'a column renamed by an older transaction');

#
# What a backend remembers of a table
#
$one->query('INSERT INTO links VALUES (3, 3)');
$two->query('ALTER TABLE links RENAME firm_id TO company_id');
$one->query('INSERT INTO links VALUES (4, 4)');
$two->query(q{SELECT hs_assoc_enable_sync('links', 'companies', 'company_id', 'contacts', 'contact_id')});
$one->query('INSERT INTO links VALUES (5, 6)');
$two->query('ALTER TABLE links ALTER contact_id TYPE text');
$one->query(q{INSERT INTO links VALUES ('six', 6)});
is(enqueued(),
	'create_default 3>3, create_default 4>4, create_default 5>6, create_default 6>5, '
	  . 'create_default six>6, create_default 6>six',
	'a backend follows what others change');
$two->query(q{SELECT hs_assoc_disable_sync('links')});
$one->query('INSERT INTO links VALUES (7, 7)');
is(enqueued(), '', '... and that they end it');

# Values that triggers don't see
SKIP:
{
	skip 'there are no virtual generated columns before 18', 1 if $node->pg_version < 18;
	$node->safe_psql('postgres',
		'CREATE TABLE virtual (contact_id int PRIMARY KEY, company_id int GENERATED ALWAYS AS (contact_id * 2))');
	like(
		($node->psql('postgres', enable('virtual')))[2],
		qr/"company_id" of table "virtual" is a virtual generated column/,
		'a virtual column is refused');
	$node->safe_psql('postgres', 'DROP TABLE virtual');
}

#
# pg_dump: columns have other numbers in the copy
#
$node->safe_psql('postgres', q{
	DROP TABLE links;
	CREATE TABLE links (gone int, contact_id int, gone_too int, old_name int, type int, PRIMARY KEY (contact_id, old_name));
	ALTER TABLE links DROP gone, DROP gone_too;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'old_name', type_id_column => 'type', category => 'USER_DEFINED');
	SELECT hs_assoc_enable_sync('links', 'companies', 'old_name', 'contacts', 'contact_id', label => 'It''s');
	ALTER TABLE links RENAME old_name TO company_id;
	INSERT INTO links VALUES (1, 2, 3);
	CREATE TABLE parts (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY LIST (contact_id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE parts_2 (company_id int NOT NULL, contact_id int NOT NULL);
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2);
} . enable('parts') . '; INSERT INTO parts VALUES (1, 2), (2, 3)');
my $show = q{
	SELECT link_table, from_type, from_column, to_type, to_column, type_id, label, type_id_column, label_column,
		category, server, role, enabled_at, problem IS NOT DISTINCT FROM hs_assoc_held() FROM hs_assoc_sync ORDER BY id;
	SELECT tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE 'hs\_assoc\_sync%' ORDER BY 1, 2;
	TABLE hs_assoc_outbox ORDER BY id};
my $before = $node->safe_psql('postgres', $show);
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->basedir . '/dump', $node->connstr('postgres') ], 'pg_dump');

foreach my $jobs (1, 2)
{
	my $db = "copy$jobs";
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->command_ok(
		[ 'pg_restore', '-j', $jobs, '-d', $node->connstr($db), $node->basedir . '/dump' ],
		"pg_restore -j $jobs");
	is($node->safe_psql($db, $show), $before, 'the syncs, their triggers and the outbox are there');
	enqueued($db);
	$node->safe_psql($db, 'INSERT INTO links VALUES (4, 5, 6); INSERT INTO parts VALUES (2, 7);
		INSERT INTO parts_2 VALUES (8, 2); ALTER TABLE links RENAME company_id TO firm_id;
		DELETE FROM links WHERE firm_id = 2');
	is(enqueued($db),
		'create 4>5, create 5>4, create_default 2>7, create_default 2>8, archive_labels 1>2, archive_labels 2>1',
		'they work');
	like(
		($node->psql($db, 'ALTER TABLE links DROP firm_id'))[2],
		qr/cannot drop column "firm_id" of table "links" because it is kept in sync/,
		'... and know what they need');
	like(
		($node->psql($db, 'DROP TABLE links'))[2],
		qr/NOTICE:  table "links" is no longer kept in sync/,
		'... and when they are at an end');
}

# in a database that is being restored, what isn't there yet isn't missed
$node->safe_psql('postgres', 'CREATE DATABASE half');
$node->command_ok(
	[ 'pg_restore', '--section=pre-data', '--section=data', '-d', $node->connstr('half'), $node->basedir . '/dump' ],
	'a restore without triggers and indexes');
$node->safe_psql('half', 'CREATE TABLE other (a int PRIMARY KEY, b int UNIQUE); CREATE INDEX other_idx ON other (a);
	ALTER TABLE other DROP b; DROP INDEX other_idx; DROP TABLE other');
is($node->safe_psql('half', 'SELECT count(*) FROM hs_assoc_sync'), '3', 'the syncs wait for them');

#
# An extension in a schema of its own
#
$node->safe_psql('postgres', 'CREATE DATABASE apart');
$node->safe_psql('apart', qq{
	CREATE SCHEMA "Hub Spot";
	CREATE EXTENSION hubspot_assoc SCHEMA "Hub Spot";
	$sql_account
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	CREATE TABLE hs_assoc_outbox (id int);
	SELECT "Hub Spot".hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
	INSERT INTO links VALUES (1, 2);
	ALTER SCHEMA "Hub Spot" RENAME TO hub;
	INSERT INTO links VALUES (3, 4);
	CREATE SCHEMA another;
	ALTER EXTENSION hubspot_assoc SET SCHEMA another;
	INSERT INTO links VALUES (5, 6);
	TRUNCATE links;
	ALTER TABLE links RENAME contact_id TO c;
	INSERT INTO links VALUES (1, 2);
});
is($node->safe_psql('apart', 'SELECT count(*) FROM another.hs_assoc_outbox'), '7',
	'the extension may be in another schema');

#
# Logical replication: rows are enqueued where they are written
#
$node->safe_psql('postgres', 'DROP TABLE links; DELETE FROM hs_assoc_outbox;
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));'
	  . enable('links') . q{;
	INSERT INTO links VALUES (1, 1);
	CREATE PUBLICATION pub FOR TABLE links;
	CREATE DATABASE subscriber});
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('sub', 'pgoutput')});
$node->safe_psql('subscriber', "CREATE EXTENSION hubspot_assoc; $sql_account
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));"
	  . enable('links'));
my $connstr = $node->connstr('postgres');
$node->safe_psql('subscriber',
	"CREATE SUBSCRIPTION sub CONNECTION \$\$$connstr\$\$ PUBLICATION pub WITH (create_slot = false)");

sub wait_for_rows
{
	my ($expected) = @_;
	wait_until(sub {
		$node->safe_psql('subscriber',
			q{SELECT coalesce(string_agg(contact_id || '>' || company_id, ' ' ORDER BY contact_id), '') FROM links}) eq $expected
	});
	return;
}

wait_for_rows('1>1');
$node->safe_psql('postgres', 'INSERT INTO links VALUES (2, 2), (3, 3); UPDATE links SET company_id = 4 WHERE contact_id = 3;
	DELETE FROM links WHERE contact_id = 1');
wait_for_rows('2>2 3>4');
$node->safe_psql('postgres', 'TRUNCATE links; INSERT INTO links VALUES (5, 5)');
wait_for_rows('5>5');
is(enqueued('subscriber'), '', 'the subscriber has enqueued nothing');
is(enqueued(),
	'create_default 1>1, create_default 2>2, create_default 3>3, archive 3>3, create_default 3>4, '
	  . 'archive 1>1, archive 2>2, archive 3>4, create_default 5>5',
	'the publisher has');
$node->safe_psql('subscriber', 'INSERT INTO links VALUES (6, 6)');
is(enqueued('subscriber'), 'create_default 6>6', 'what is written at the subscriber is enqueued there');
$node->safe_psql('subscriber', 'DROP SUBSCRIPTION sub');

$_->quit foreach ($one, $two);
done_testing();
