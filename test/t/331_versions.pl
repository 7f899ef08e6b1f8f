# Library and SQL of different versions, and what somebody has made of the SQL's
# types: nobody's DDL is refused for it, and later versions may change the tables.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	GRANT CREATE ON SCHEMA public TO app;
	CREATE EXTENSION hubspot_assoc;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'http://127.0.0.1:1');
	GRANT USAGE ON FOREIGN SERVER hubspot TO app;
	SET ROLE app;
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
});
my $admin = start_session($node);
my $app = start_session($node);
$app->query('SET ROLE app');

# What a session says to a statement.
# The kinds of DDL that the event triggers look at, by a role with no rights here
sub ddl_passes
{
	my ($name) = @_;
	is($app->told(q{
		CREATE TABLE theirs (id int PRIMARY KEY, other int, gone int) PARTITION BY RANGE (id);
		CREATE TABLE theirs_1 PARTITION OF theirs FOR VALUES FROM (0) TO (10);
		ALTER TABLE theirs RENAME other TO another;
		ALTER TABLE theirs ALTER another TYPE bigint USING another + 1;
		ALTER TABLE theirs DROP gone;
		ALTER TABLE theirs DETACH PARTITION theirs_1;
		DROP TABLE theirs, theirs_1;
		CREATE TYPE color AS ENUM ('red');
		ALTER TYPE color RENAME VALUE 'red' TO 'green';
		DROP TYPE color}), '', "$name: DDL on other tables");
	is($app->told(q{
		ALTER TABLE links RENAME contact_id TO c;
		ALTER TABLE links RENAME c TO contact_id;
		ALTER TABLE links ADD COLUMN note text;
		ALTER TABLE links DROP COLUMN note}), '', "$name: DDL on a table in sync");
	return;
}

#
# A newer version of the SQL: tables have more columns
#
my @tables = split ' ', $admin->query(q{
	SELECT string_agg(objid::regclass::text, ' ' ORDER BY 1) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND relkind = 'r'});
cmp_ok(scalar(@tables), '>=', 7, 'the tables');

# Nobody else has columns of their types.
my @relations = split ' ', $admin->query(q{
	SELECT string_agg(objid::regclass::text, ' ') FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
	WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND relkind IN ('r', 'v', 'm', 'p', 'f')});
my @allowed;
foreach my $relation (@relations)
{
	foreach my $type ($relation, "${relation}[]", "SETOF $relation")
	{
		my $sql = $type =~ /^SETOF/ ? "CREATE FUNCTION f() RETURNS $type LANGUAGE sql AS 'SELECT NULL'" : "CREATE TABLE t (c $type)";
		my $err = $app->told("BEGIN; $sql; ROLLBACK");
		push @allowed, "$type: $err" unless $err =~ /ERROR:  42501: permission denied for type/;
		$app->query('ROLLBACK');
	}
}
is(join("\n", @allowed), '', 'no column or function of a type of theirs');

# as ALTER EXTENSION UPDATE would
$admin->query("ALTER TABLE $_ ADD COLUMN note text NOT NULL DEFAULT 'none', ADD COLUMN counted int") foreach @tables;
ddl_passes('a newer version');
is($app->told('INSERT INTO links VALUES (1, 2)'), '', 'a newer version: writing');
is($app->query(q{SELECT count(*) FROM pg_stat_all_tables WHERE relname = 'hs_assoc_outbox'}), 1, 'a newer version: still there');
is($admin->query('SELECT from_id, to_id, note FROM hs_assoc_outbox'), '1|2|none', 'a newer version: and enqueuing');
is($app->told(q{SELECT hs_assoc_disable_sync('links');
	SET client_min_messages = error;		-- nobody sends here, of which it warns
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
	RESET client_min_messages}), '', 'a newer version: ending and beginning a sync');

#
# An older version of the SQL: columns of hs_assoc_sync_config are missing
#
sub older_config
{
	my (@columns) = @_;
	$admin->query(q{
		SET client_min_messages = error;
		CREATE TEMP TABLE IF NOT EXISTS kept AS TABLE hs_assoc_sync_config;
		ALTER EXTENSION hubspot_assoc DROP VIEW hs_assoc_sync;
		ALTER EXTENSION hubspot_assoc DROP VIEW hs_assoc_drift_log;
		ALTER EXTENSION hubspot_assoc DROP VIEW hs_assoc_verify_stat;
		DROP VIEW hs_assoc_sync, hs_assoc_drift_log, hs_assoc_verify_stat;
		ALTER EXTENSION hubspot_assoc DROP SEQUENCE hs_assoc_sync_config_id_seq;
		ALTER EXTENSION hubspot_assoc DROP TABLE hs_assoc_sync_config;
		DROP TABLE hs_assoc_sync_config}) if $admin->query(q{SELECT to_regclass('hs_assoc_sync') IS NOT NULL}) eq 't';
	$admin->query('DROP TABLE IF EXISTS hs_assoc_sync_config');
	$admin->query('CREATE TABLE hs_assoc_sync_config AS SELECT ' . join(', ', @columns) . ' FROM kept') if @columns;
	return;
}

my @all = qw(id link_table from_type from_column to_type to_column type_id label type_id_column label_column category server role);
older_config(@all);
ddl_passes('an older version');
is($app->told('INSERT INTO links VALUES (3, 4)'), '', 'an older version: a sync that has what it needs');
foreach my $columns (12, 10, 5, 3, 2, 1, 0)
{
	older_config(@all[ 0 .. $columns - 1 ]);
	ddl_passes("$columns columns");
	like($app->told('INSERT INTO links VALUES (5, 6)'), qr/ERROR:  55000: table "links" has triggers of hs_assoc_sync_rows, but is not kept in sync/,
		"$columns columns: no change of a table in sync gets lost without a word");
}
is($app->query('SELECT count(*) FROM links'), 2, 'nor is made');
is($admin->query('SELECT count(*) FROM hs_assoc_outbox'), 2, 'what was enqueued is there');

done_testing();
