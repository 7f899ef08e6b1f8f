# What somebody has set for a database, given roles beforehand or taken from all, changes neither
# who may do what, nor that workers send.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 2);
my $hubspot = start_simulator();

#
# Default privileges are for an application's own tables and functions
#
my $admin = start_session($node);
$admin->query(q{
	CREATE ROLE app;
	CREATE ROLE "App's ""readers""";
	ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO app;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO app;
	ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO app;
	ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO app;
	ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
	ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "App's ""readers""" WITH GRANT OPTION;
	CREATE TABLE own (a int);
	SET array_nulls = off;
	CREATE EXTENSION hubspot_assoc});
is($admin->query(q{SELECT has_table_privilege('app', 'own', 'DELETE'), has_table_privilege('App''s "readers"', 'own', 'SELECT')}), 't|t', 'roles have privileges by default');
my $acl = q{
	SELECT string_agg(DISTINCT o.what || ' ' || o.name || ' ' || a.grantee || ' ' || a.privilege_type, ', ')
	FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = refobjid AND extname = 'hubspot_assoc' AND refclassid = 'pg_extension'::regclass
		JOIN (SELECT 'relation' AS what, 'pg_class'::regclass AS class, oid, relname::text AS name, relowner AS owner, relacl AS acl FROM pg_class
			UNION ALL SELECT 'function', 'pg_proc'::regclass, oid, proname, proowner, proacl FROM pg_proc
			UNION ALL SELECT 'type', 'pg_type'::regclass, oid, typname, typowner, typacl FROM pg_type) AS o ON o.class = classid AND o.oid = objid,
		aclexplode(o.acl) AS a
	WHERE a.grantee <> o.owner AND a.grantee <> ALL ('{pg_monitor,pg_checkpoint}'::regrole[]::oid[]) AND NOT (a.grantee = 0 AND o.what <> 'relation')};
is($admin->query($acl), '', '... but none on what the extension has');
$admin->query('SET ROLE app');
like($admin->told($_->[0]), qr/ERROR:  42501: permission denied for (?:table|view|function|procedure) $_->[1]/, "... so that is refused: $_->[0]")
	foreach [ 'TABLE hs_assoc_history_batch', 'hs_assoc_history_batch' ], [ 'DELETE FROM hs_assoc_history_batch', 'hs_assoc_history_batch' ], [ q{UPDATE hs_assoc_sync_config SET role = 'postgres'}, 'hs_assoc_sync_config' ],
	[ 'TABLE hs_assoc_outbox', 'hs_assoc_outbox' ], [ q{SELECT hs_assoc_adopt('send')}, 'hs_assoc_adopt' ], [ 'SELECT hs_assoc_discard()', 'hs_assoc_discard' ], [ 'CALL hs_assoc_flush()', 'hs_assoc_flush' ];
$admin->query('RESET ROLE; RESET array_nulls');
is($admin->query('SELECT hs_assoc_retry(), hs_assoc_discard()'), '0|0', 'an extension that was made where array_nulls is off knows all dead letters from none');
$admin->query('GRANT SELECT ON hs_assoc_outbox TO app; GRANT EXECUTE ON FUNCTION hs_assoc_retry TO app; SET ROLE app');
is($admin->query('SELECT count(*), hs_assoc_retry() FROM hs_assoc_outbox'), '0|0', 'what is granted then, a role has');
$admin->query('RESET ROLE');

#
# Where nobody may call a function but who was granted it, what happens to tables is sent, and
# pg_monitor sees that
#
create_account($node, $hubspot, rate_limit => 0);
$admin->query(q{
	REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM PUBLIC;
	CREATE ROLE monitor IN ROLE pg_monitor;
	CREATE ROLE owner;
	GRANT CREATE ON SCHEMA public TO owner;
	GRANT USAGE ON FOREIGN SERVER hubspot TO owner;
	GRANT EXECUTE ON FUNCTION hs_assoc_enable_sync TO owner;
	SET ROLE owner;
	CREATE TABLE owned (a int, b int, PRIMARY KEY (a, b));
	GRANT INSERT ON owned TO app});
my $enable = q{SELECT hs_assoc_enable_sync('owned', 'contacts', 'a', 'companies', 'b', verify => '1 day')};
like($admin->told($enable), qr/ERROR:  42501: permission denied for function hs_assoc_sync_rows$/m, 'who enables a sync is told which function is missing');
$admin->query('RESET ROLE; GRANT EXECUTE ON FUNCTION hs_assoc_sync_rows TO owner; SET ROLE owner');
is($admin->query($enable), 0, '... and can, with that one');
$admin->query('SET ROLE app; INSERT INTO owned VALUES (801, 802); RESET ROLE');
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 1 });
$admin->query('SELECT hs_assoc_pause(); SET ROLE app; INSERT INTO owned VALUES (803, 804); SET ROLE monitor');
is($admin->query("SELECT count(*) FROM $_"), 1, "pg_monitor sees $_") foreach qw(hs_assoc_outbox_stat hs_assoc_sync hs_assoc_verify_stat hs_assoc_stat() hs_assoc_throttle());
cmp_ok($admin->query('SELECT count(*) FROM hs_assoc_metrics()'), '>', 1, '... and the figures');
$admin->query('RESET ROLE; DROP TABLE owned; TRUNCATE hs_assoc_outbox; SELECT hs_assoc_resume()');
$hubspot->reset;

#
# Workers send and compare, whatever the database has set for its sessions
#
my %settings = (
	role => 'app', search_path => 'evil, pg_catalog', session_replication_role => 'replica', row_security => 'off', exit_on_error => 'on',
	default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on',
	statement_timeout => '1ms', lock_timeout => '1ms', idle_in_transaction_session_timeout => '1ms', idle_session_timeout => '1ms',
	($node->pg_version >= 17 ? (transaction_timeout => '1ms') : ()),
	array_nulls => 'off', standard_conforming_strings => 'off', quote_all_identifiers => 'on', transform_null_equals => 'on',
	client_encoding => 'LATIN1', bytea_output => 'escape', extra_float_digits => -15,
	datestyle => 'SQL, DMY', intervalstyle => 'sql_standard', timezone => 'Asia/Kathmandu',
	work_mem => '64kB', enable_indexscan => 'off', enable_indexonlyscan => 'off', enable_nestloop => 'off', enable_sort => 'off',
	jit_above_cost => 0, from_collapse_limit => 1, join_collapse_limit => 1, geqo_threshold => 2, plan_cache_mode => 'force_generic_plan',
	($node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode') => 'on');
$admin->query(q{
	CREATE SCHEMA evil;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE $$evil$$; END';
	CREATE FUNCTION evil.now(interval) RETURNS timestamptz LANGUAGE plpgsql AS 'BEGIN RAISE $$evil$$; END';
	CREATE FUNCTION evil.different(text, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE $$evil$$; END';
	CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.different);
	CREATE TABLE links (contact_id int, company_id numeric, PRIMARY KEY (contact_id, company_id));
	INSERT INTO links VALUES (1, 11), (2, 12), (3, 13)});
$hubspot->put_associations('contacts', 'companies', [ [ 1, 11 ], [ 3, 13 ], [ 1, 99 ] ]);
$admin->query("ALTER DATABASE postgres SET $_ = $settings{$_}") foreach grep { /^(datestyle|search_path)$/ } keys %settings;
$admin->query("ALTER DATABASE postgres SET $_ = '$settings{$_}'") foreach grep { !/^(datestyle|search_path)$/ } keys %settings;
is($admin->query('SELECT cardinality(setconfig) FROM pg_db_role_setting WHERE setrole = 0'), scalar keys %settings, 'settings of the database');

my $since = $admin->query('SELECT clock_timestamp()');
$admin->query(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
$admin->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', verify => '1 day', on_drift => 'mirror')});
wait_until(sub { $admin->query('SELECT count(last_ended_at) FROM hs_assoc_verify_stat') == 1 });
is($admin->query('SELECT sqlstate, failures, last_records, last_missing, last_extra, all_repaired FROM hs_assoc_verify_stat'), '|0|3|1|1|2', 'a table is compared, and what differs is put right');
$admin->query('INSERT INTO links SELECT i, 10 + i % 7 FROM generate_series(4, 1002) AS i; DELETE FROM links WHERE contact_id > 1000');
wait_until(sub { $admin->query('SELECT count(*) FROM hs_assoc_outbox') == 0 });
is($admin->query('SELECT (SELECT count(*) FROM hs_assoc_dead_letter) + (SELECT count(*) FROM hs_assoc_backoff)'), 0, 'what is written is sent, without a failure');
my %holds = map { ("$_->{from_id}>$_->{to_id}" => 1) } @{ $hubspot->associations('contacts', 'companies') };
my %has = map { ($_ => 1) } split /\n/, $admin->query(q{SELECT contact_id || '>' || company_id FROM links});
is(scalar keys %has, 1000, 'of so many rows');
is(join(' ', (map { "-$_" } grep { !$holds{$_} } sort keys %has), (map { "+$_" } grep { !$has{$_} } sort keys %holds)), '', '... HubSpot holds each, and nothing else');
is($admin->query(qq{SELECT count(*) FILTER (WHERE backend_start > '$since') > 0, count(*) FILTER (WHERE backend_start <= '$since') FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND datname = 'postgres'}),
	't|0', '... by workers that have begun with these settings');

done_testing();
