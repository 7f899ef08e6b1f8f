# hs_assoc_sync calls no sync active whose changes are not sent, and says why; a table
# of a distributed engine is refused, with what works, and who enables the sync of a
# table that a subscription fills is warned.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(wal_level => 'logical', max_wal_senders => 4);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);

sub problem { return $session->query(q{SELECT concat_ws(' ', active, problem) FROM hs_assoc_sync WHERE link_table = '} . ($_[0] // 'links') . q{'::regclass}) }
sub outbox { return $session->query('WITH d AS (DELETE FROM hs_assoc_outbox RETURNING from_id) SELECT count(*) FROM d') }
sub told { return $session->told($_[0]) }

# What a change that is not enqueued, or not sent, makes of the view; and what
# it says when all is well again.
sub not_active
{
	my ($sql, $back, $problem, $name) = @_;
	$session->query($sql);
	is(problem(), "f $problem", $name);
	$session->query($back);
	is(problem(), 't', '... and then it is well again');
	return;
}

$session->query(q{
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)) PARTITION BY RANGE (contact_id);
	CREATE TABLE links_1 PARTITION OF links FOR VALUES FROM (0) TO (1000);
	CREATE TABLE links_2 PARTITION OF links FOR VALUES FROM (1000) TO (2000) PARTITION BY LIST (company_id);
	CREATE TABLE links_2_1 PARTITION OF links_2 DEFAULT;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
is(problem(), 't', 'active');
is($session->query('SELECT hs_assoc_sync_problem(NULL, NULL) IS NULL, hs_assoc_sync_problem(77, 1) IS NULL'), 't|t', 'of no sync, there is nothing to say');

#
# Triggers
#
foreach my $table (qw(links links_1 links_2 links_2_1))
{
	my $problem = qq{A trigger of table "$table" is missing, disabled, or not as hs_assoc_enable_sync makes it.};
	my $all = 'ENABLE TRIGGER hs_assoc_sync_insert';
	not_active("ALTER TABLE ONLY $table DISABLE TRIGGER hs_assoc_sync_insert", "ALTER TABLE ONLY $table $all", $problem, "$table: disabled");
	not_active("ALTER TABLE ONLY $table ENABLE REPLICA TRIGGER hs_assoc_sync_insert", "ALTER TABLE ONLY $table $all", $problem, "$table: of replicas only");
	$session->query("ALTER TABLE ONLY $table ENABLE ALWAYS TRIGGER hs_assoc_sync_insert");
	is(problem(), 't', "$table: always");
	$session->query("ALTER TABLE ONLY $table $all");
}
not_active('ALTER EVENT TRIGGER hs_assoc_sync_ddl DISABLE; CREATE TABLE links_3 PARTITION OF links FOR VALUES FROM (2000) TO (3000); ALTER EVENT TRIGGER hs_assoc_sync_ddl ENABLE ALWAYS',
	'DROP TABLE links_3', 'A trigger of table "links_3" is missing, disabled, or not as hs_assoc_enable_sync makes it.', 'a partition without triggers');
not_active("ALTER EVENT TRIGGER $_ DISABLE", "ALTER EVENT TRIGGER $_ ENABLE ALWAYS",
	qq{Event trigger "$_", which follows what becomes of partitions, is missing or disabled.}, "event trigger $_")
  foreach qw(hs_assoc_sync_ddl hs_assoc_sync_drop hs_assoc_sync_before_drop);

#
# session_replication_role, of the session or of all in the database
#
my $replica = q{The setting session_replication_role is "replica": triggers of table "links" do not fire.};
not_active('SET session_replication_role = replica', 'RESET session_replication_role', $replica, 'a session that fires no triggers');
$session->query('ALTER DATABASE postgres SET session_replication_role = replica');
is($node->safe_psql('postgres', 'SET session_replication_role = origin; SELECT active, problem FROM hs_assoc_sync'), "f|$replica", 'a database whose sessions fire none');
sub enable
{
	foreach my $table (qw(links links_1 links_2 links_2_1))
	{
		$session->query("ALTER TABLE ONLY $table ENABLE $_[0] TRIGGER hs_assoc_sync_$_") foreach qw(insert update delete truncate);
	}
	return;
}
enable('ALWAYS');
is($node->safe_psql('postgres', 'INSERT INTO links VALUES (1, 2); SELECT active, problem FROM hs_assoc_sync'), 't|', '... but those that always fire');
is(outbox(), 1, '... as they do');
enable('');
$session->query('ALTER DATABASE postgres RESET session_replication_role');
is($node->safe_psql('postgres', 'SELECT active FROM hs_assoc_sync'), 't', '... and then it is well again');

#
# event_triggers, of the session or of all in the database
#
SKIP:
{
	skip 'there is no such setting before PostgreSQL 17', 5 if $node->pg_version < 17;
	my $off = 'The setting event_triggers is "off": what becomes of partitions is not followed.';
	not_active('SET event_triggers = off', 'RESET event_triggers', $off, 'a session without event triggers');
	$session->query('ALTER DATABASE postgres SET event_triggers = off');
	is($node->safe_psql('postgres', 'SET event_triggers = on; SELECT active, problem FROM hs_assoc_sync'), "f|$off", 'a database whose sessions have none');
	is($node->safe_psql('postgres', q{SELECT state, replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'triggers'}),
		'problem|event_triggers is off: DDL on tables in sync is not followed', '... which hs_assoc_diagnose says');
	$session->query('ALTER DATABASE postgres RESET event_triggers');
	is($node->safe_psql('postgres', 'SELECT active FROM hs_assoc_sync'), 't', '... and then it is well again');
}

#
# Another table in its place
#
$session->query('ALTER TABLE links RENAME TO links_old');
is(problem('links_old'), 't', 'under another name');
$session->query('CREATE TABLE links (LIKE links_old INCLUDING ALL)');
is(problem('links_old'), 'f Another table has the name that it had, "links", and is not kept in sync.', 'another table in its place');
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
is(problem('links_old') . problem('links'), 'tt', '... which is kept in sync, too');
$session->query('DROP TABLE links; CREATE SCHEMA other; CREATE TABLE other.links (a int); CREATE VIEW links AS SELECT 1');
is(problem('links_old'), 't', '... neither a view nor one in another schema');
$session->query('DROP VIEW links; DROP SCHEMA other CASCADE; ALTER TABLE links_old RENAME TO links');

#
# What the sync needs
#
not_active('ALTER SERVER hubspot RENAME TO renamed', 'ALTER SERVER renamed RENAME TO hubspot', 'Server "hubspot" does not exist.', 'without its server');
not_active("UPDATE hs_assoc_sync_config SET to_column = 'gone'", "UPDATE hs_assoc_sync_config SET to_column = 'company_id'",
	'The table has no column "gone" any more: nothing can be written to it.', 'without a column');
$session->query(q{BEGIN; INSERT INTO hs_assoc_sync_config (link_table, from_type, from_column, to_type, to_column, server, role)
	VALUES (99999, 'contacts', 'a', 'companies', 'b', 'hubspot', current_user::regrole)});
is($session->query('SELECT active, problem FROM hs_assoc_sync WHERE link_table = 99999'), 'f|The table does not exist any more.', 'without its table');
$session->query('ROLLBACK');

# on behalf of a role that cannot use the server; who enables the sync is told
$session->query('DROP USER MAPPING FOR PUBLIC SERVER hubspot; CREATE ROLE "No One"; GRANT CREATE ON SCHEMA public TO "No One"; GRANT USAGE ON FOREIGN SERVER hubspot TO "No One"');
my ($unmapped, $as) = ('Role "No One" has no user mapping for server "hubspot".', 'SET ROLE "No One"');
like(told(qq{$as; CREATE TABLE theirs (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('theirs', 'contacts', 'contact_id', 'companies', 'company_id'); RESET ROLE}),
	qr/WARNING:  01000: changes of table "theirs" are enqueued, but cannot be sent yet\n.*DETAIL:  Role "No One" has no user mapping for server "hubspot"\.\n.*HINT:  CREATE USER MAPPING FOR "No One" SERVER hubspot OPTIONS \(access_token '\.\.\.'\);\n/,
	'no user mapping: a warning');
is(problem('theirs'), "f $unmapped", '... and not active');
$session->query('CREATE USER MAPPING FOR "No One" SERVER hubspot');
is(problem('theirs'), 'f The user mapping of role "No One" for server "hubspot" has no login.', 'a user mapping without a login');
$session->query(q{ALTER USER MAPPING FOR "No One" SERVER hubspot OPTIONS (ADD client_id 'a', ADD client_secret 'b', ADD refresh_token 'c')});
is(problem('theirs'), 't', '... with that of OAuth');
$session->query(q{DROP USER MAPPING FOR "No One" SERVER hubspot; CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')});
is(problem('theirs'), 't', "... or PUBLIC's");
unlike(told(qq{$as; SELECT hs_assoc_disable_sync('theirs'); SELECT hs_assoc_enable_sync('theirs', 'contacts', 'contact_id', 'companies', 'company_id'); RESET ROLE}),
	qr/WARNING/, '... and no warning');
sub problem_of_theirs { return $session->query(q{SELECT problem FROM hs_assoc_sync WHERE link_table = 'theirs'::regclass}) }
$session->query('REVOKE USAGE ON FOREIGN SERVER hubspot FROM "No One"');
is(problem_of_theirs(), 'Role "No One" has no USAGE on server "hubspot".', 'without USAGE');
$session->query('REASSIGN OWNED BY "No One" TO CURRENT_USER; DROP OWNED BY "No One"; DROP ROLE "No One"');
is(problem_of_theirs(), 'The role on whose behalf it is sent was dropped.', 'a role that was dropped');
$session->query('DROP TABLE theirs');

# a copy of the database
$session->query('CREATE DATABASE template_of_copy');
create_account($node, $hubspot, dbname => 'template_of_copy');
$node->safe_psql('template_of_copy', q{CREATE TABLE links (contact_id int PRIMARY KEY, company_id int);
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
$session->query('CREATE DATABASE copy TEMPLATE template_of_copy');
is($node->safe_psql('copy', 'SELECT active, problem FROM hs_assoc_sync'),
	'f|This database was copied from another one, as by CREATE DATABASE ... TEMPLATE.', 'in a copy');
is($node->safe_psql('copy', 'SELECT hs_assoc_adopt(); SELECT active, problem FROM hs_assoc_sync'), "0\nt|", '... until it is adopted');

#
# Subscriptions: a table in sync whose rows come from elsewhere
#
$node->safe_psql('template_of_copy', q{
	SELECT hs_assoc_disable_sync('links');
	CREATE TABLE links_2_1 (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	CREATE PUBLICATION p FOR TABLE links_2_1;
	INSERT INTO links_2_1 VALUES (1001, 5);
	SELECT pg_create_logical_replication_slot('s', 'pgoutput')});
my $connection = $node->connstr('template_of_copy') =~ s/'/''/gr;
$session->query("CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p WITH (create_slot = false)");
wait_until(sub { $session->query('SELECT count(*) FROM links_2_1') == 1 });
is(outbox(), 0, 'what a subscription brings is not enqueued');
is(problem(), 'f Table "links_2_1" is filled by a subscription: what that applies fires no trigger.', '... as the sync says');
$session->query('INSERT INTO links VALUES (1002, 5)');
is(outbox(), 1, '... though what is written beside is');
$session->query(q{SELECT hs_assoc_disable_sync('links')});
my $err = told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
like($err, qr/WARNING:  01000: table "links_2_1" is filled by a subscription, and what that applies is not sent\n.*?DETAIL:  It fires no statement triggers\.\n.*?HINT:  Enable the sync with replicated => true, or where the rows are written\./s,
	'who enables its sync is told');
$session->query('ALTER SUBSCRIPTION s DISABLE');
like(problem(), qr/^f Table "links_2_1" is filled/, '... and that it may begin again');
$session->query('ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$session->query('DROP SUBSCRIPTION s');
is(problem(), 't', 'without the subscription, it is active');

#
# A distributed engine: a stand-in for its catalog
#
$session->query(q{SET allow_system_table_mods = on; CREATE TABLE pg_catalog.pg_dist_partition (other int, logicalrelid regclass PRIMARY KEY)});
is(problem(), 't', 'a table that is not among the distributed ones');
$session->query(q{CREATE TABLE "It's" (contact_id int PRIMARY KEY, company_id int);
	INSERT INTO pg_catalog.pg_dist_partition VALUES (1, '"It''s"')});
$err = told(q{SELECT hs_assoc_enable_sync('"It''s"', 'contacts', 'contact_id', 'companies', 'company_id')});
like($err, qr/ERROR:  0A000: table "It's" cannot be kept in sync, because it is distributed\n.*?DETAIL:  .*\n.*?HINT:  With the extension on each node, keep the shards in sync: SELECT run_command_on_shards\('public\."It''s"', \$\$ SELECT public\.hs_assoc_enable_sync\('%s', \.\.\.\) \$\$\)\./s,
	'a distributed table is refused, with what works');
is($session->query(q{SELECT count(*) FROM pg_trigger WHERE tgrelid = '"It''s"'::regclass}), 0, '... and has no trigger');
not_active("INSERT INTO pg_catalog.pg_dist_partition VALUES (2, 'links')", "DELETE FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'links'::regclass",
	'Table "links" is distributed: what is written into its shards fires no trigger here.', 'one that is distributed later');
$session->query("INSERT INTO pg_catalog.pg_dist_partition VALUES (2, 'links')");
is($session->query(q{SELECT replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'triggers'}),
	q{SELECT hs_assoc_disable_sync('public.links') and enable the sync of its shards.}, '... and what to do');
$session->query("DELETE FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'links'::regclass");
$session->query('ALTER TABLE pg_catalog.pg_dist_partition ALTER logicalrelid TYPE text');
is(problem(), 't', 'a catalog that is not like that of the engine is let alone');
$session->query('DROP TABLE pg_catalog.pg_dist_partition');

done_testing();
