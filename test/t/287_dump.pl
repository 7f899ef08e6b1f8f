# Dump and restore: all that the extension keeps is in the copy, which sends what
# the original would have sent, and goes on as it would have.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = start_node();
my $hubspot = start_simulator();
my $dir = PostgreSQL::Test::Utils::tempdir;
my $schema = '"hub 2"';

sub state_of { return $_[1]->safe_psql($_[0], slurp_file("$top/test/state.sql")) }

# What a database sends to an empty HubSpot, and what is there then.
sub send_all
{
	my ($db, $in) = @_;
	$hubspot->reset;
	$in->safe_psql($db, "CALL $schema.hs_assoc_flush()");
	my @sent;
	foreach my $entry (@{ $hubspot->log })
	{
		push @sent, join ' ', $entry->{method}, $entry->{path}, $entry->{body} // '';
	}
	return join "\n", (sort @sent), map { $hubspot->association_table(@$_) } [ 'contacts', 'companies' ], [ 'deals', 'companies' ];
}

sub outbox
{
	my ($db, $in) = @_;
	return $in->safe_psql($db, "SELECT operation, from_id, to_id, link_table FROM $schema.hs_assoc_outbox ORDER BY id");
}

sub restore_ok
{
	my ($command, $name) = @_;
	my ($stdout, $stderr);
	ok(IPC::Run::run($command, '>', \$stdout, '2>', \$stderr), $name) or diag($stderr);
	return $stderr;
}

sub create_database { $node->safe_psql('postgres', "CREATE DATABASE $_[0]"); return $node->connstr($_[0]) }

#
# A database with something of everything, in a schema that isn't the first one
#
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE "E T L" LOGIN');
my $source = create_database('source');
my $account = "FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '@{[ $hubspot->url ]}', rate_limit '0', max_retry_delay '20ms', sent_retention '1h')";
my $token = q{OPTIONS (access_token 'test-token')};
$node->safe_psql('source', qq{
	CREATE SCHEMA "Hub Spot";
	CREATE EXTENSION hubspot_assoc SCHEMA "Hub Spot";
	GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO app;
	GRANT USAGE ON SCHEMA "Hub Spot" TO app, "E T L";
	GRANT SELECT ON "Hub Spot".hs_assoc_dead_letter TO "E T L";
	GRANT EXECUTE ON FUNCTION "Hub Spot".hs_assoc_retry TO "E T L";
	GRANT ALL ON SCHEMA public TO app;
	SET ROLE app;
	CREATE SERVER hubspot $account;
	CREATE SERVER "HubSpot EU" $account;
	GRANT USAGE ON FOREIGN SERVER hubspot, "HubSpot EU" TO "E T L";
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot $token;
	CREATE USER MAPPING FOR app SERVER "HubSpot EU" $token;
	CREATE USER MAPPING FOR "E T L" SERVER "HubSpot EU" $token;
	CREATE TABLE links (gone int, contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	ALTER TABLE links DROP gone;
	CREATE TABLE "Parts" (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)) PARTITION BY RANGE (contact_id);
	CREATE TABLE parts_1 PARTITION OF "Parts" FOR VALUES FROM (0) TO (100);
	CREATE TABLE parts_2 (company_id int NOT NULL, contact_id int NOT NULL) PARTITION BY LIST (company_id);
	CREATE TABLE parts_2_1 PARTITION OF parts_2 DEFAULT;
	ALTER TABLE "Parts" ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200);
	CREATE TABLE roles (contact_id int, company_id int, role text, PRIMARY KEY (contact_id, company_id, role));
	SELECT "Hub Spot".hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	SELECT "Hub Spot".hs_assoc_disable_sync('links');
	SELECT "Hub Spot".hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	SELECT "Hub Spot".hs_assoc_enable_sync('"Parts"', 'deals', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	SELECT "Hub Spot".hs_assoc_enable_sync('roles', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role', server => 'HubSpot EU');
	INSERT INTO links SELECT i, 1 FROM generate_series(1, 10) AS i;
});
$hubspot->rules({ match => { id => '7' }, action => { status => 400 } });
$node->safe_psql('source', 'CALL "Hub Spot".hs_assoc_flush()');
$hubspot->clear_rules;
# one that fails, and is to be sent again
$hubspot->rules({ match => { path => 'contacts/companies' }, action => { status => 500 } });
$node->safe_psql('source', qq{
	ALTER SERVER hubspot OPTIONS (ADD max_retries '0');
	INSERT INTO links VALUES (11, 1);
	CALL "Hub Spot".hs_assoc_flush();
	UPDATE "Hub Spot".hs_assoc_outbox SET attempts = 3, not_before = now() - '1 s'::interval;
	DELETE FROM "Hub Spot".hs_assoc_backoff;
	ALTER SERVER hubspot OPTIONS (DROP max_retries)});
$hubspot->clear_rules;
$node->safe_psql('source', qq{
	CREATE SCHEMA "hub 2";
	ALTER EXTENSION hubspot_assoc SET SCHEMA "hub 2";
	DROP SCHEMA "Hub Spot";
	GRANT USAGE ON SCHEMA "hub 2" TO app, "E T L";
	SET ROLE "E T L";
	SELECT $schema.hs_assoc_enqueue('create', 'contacts', 'companies', \$\$ SELECT i AS from_id, 2 AS to_id, '{1}'::int[] AS type_ids,
		'HUBSPOT_DEFINED' AS category FROM generate_series(1, 10) AS i \$\$, keep_labels => true, server => 'HubSpot EU');
	SELECT $schema.hs_assoc_enqueue('create', 'contacts', 'companies', \$\$ SELECT 20 AS from_id, 2 AS to_id, 'It''s, "one"' AS label \$\$, server => 'hubspot');
	SELECT $schema.hs_assoc_enqueue('archive_labels', 'contacts', 'companies', 'SELECT 20 AS from_id, 3 AS to_id, 1 AS type_id', server => 'hubspot');
	SET ROLE app;
	INSERT INTO roles VALUES (1, 1, 'Primary'), (2, 1, E'two\\nlines\\t\\\\N');
	INSERT INTO "Parts" SELECT i * 10, 1 FROM generate_series(1, 19) AS i;
	DELETE FROM links WHERE contact_id > 8;
	RESET ROLE;
	SELECT $schema.hs_assoc_pause('HubSpot EU')});
my $before = state_of('source', $node);
like($before, qr/^hs_assoc_$_\|/m, "there are rows in hs_assoc_$_") foreach qw(outbox dead_letter sent account_pause sync_config);
like($before, qr/^hs_assoc_outbox\|.*\|3\|500\|/m, '... one that has failed');
my $grants = q{SELECT oid::regclass, relacl::text FROM pg_class WHERE relname LIKE 'hs\_assoc\_%' UNION ALL
	SELECT oid::regprocedure, proacl::text FROM pg_proc WHERE proname LIKE 'hs\_assoc\_%' UNION ALL
	SELECT oid::regtype::text, typacl::text FROM pg_type WHERE typname LIKE 'hs\_assoc\_%' ORDER BY 1, 2};
my $granted = $node->safe_psql('source', $grants =~ s/regclass|regprocedure/$&::text/gr);

# Where the byte order is another one, so is the hash of a pair: no dump has it.
my $hash = 'hs_assoc_pair(server, from_type, from_id, to_type, to_id)';
my @hashes = split /\n/, $node->safe_psql('source', qq{
	SET search_path = $schema;
	INSERT INTO hs_assoc_doubt SELECT server, $hash, id, now() FROM hs_assoc_outbox;
	INSERT INTO hs_assoc_difference (sync, from_id, to_id, removes, category, type_id, pair)
	SELECT 0, from_id, to_id, false, '', id, $hash FROM hs_assoc_dead_letter;
	SELECT pair FROM hs_assoc_doubt UNION ALL SELECT pair FROM hs_assoc_difference});

$node->command_ok([ 'pg_dump', '-f', "$dir/$_->[0]", @$_[ 1 .. $#$_ ], $source ], "pg_dump, $_->[0]")
  foreach [qw(custom -Fc)], ['plain'], [qw(directory -Fd -j 2)], [qw(tar -Ft)], [qw(inserts --inserts --rows-per-insert=3)],
  [qw(definitions --schema-only -Fc)], [qw(rows --data-only -Fc)];
$node->command_ok([ 'pg_dumpall', '-f', "$dir/all", '-h', $node->host, '-p', $node->port ], 'pg_dumpall');
my $plain = slurp_file("$dir/plain");
cmp_ok(scalar @hashes, '>', 10, 'there are hashes of pairs');
is(join(' ', grep { index($plain, $_) >= 0 } @hashes), '', '... which no dump has');
$node->safe_psql('source', "TRUNCATE $schema.hs_assoc_doubt, $schema.hs_assoc_difference");

my $sent = send_all('source', $node);
cmp_ok(scalar(() = $sent =~ m{/batch/}g), '>', 2, 'the original sends');

#
# The copy
#
sub check_copy
{
	my ($db, $in) = @_;
	same_lines(state_of($db, $in), $before, '... everything is there');
	is($in->safe_psql($db, $grants =~ s/regclass|regprocedure/$&::text/gr), $granted, '... and granted');
	unlike(send_all($db, $in), qr/batch/, '... nothing is sent');
	$in->safe_psql($db, "SELECT $schema.hs_assoc_adopt('send')");
	same_lines(send_all($db, $in), $sent, '... until it is adopted: what was waiting is sent as by the original');
	is($in->safe_psql($db, "SELECT bool_and(server = 'HubSpot EU') FROM $schema.hs_assoc_outbox"), 't', '... but what is paused');

	my ($last) = $in->safe_psql($db, "SELECT max(id) FROM (SELECT id FROM $schema.hs_assoc_outbox UNION ALL SELECT id FROM $schema.hs_assoc_sent
		UNION ALL SELECT id FROM $schema.hs_assoc_dead_letter) AS ids");
	my $sql = qq{SET ROLE app;
		INSERT INTO links VALUES (50, 1);
		INSERT INTO "Parts" VALUES (5, 2), (105, 2);
		TRUNCATE parts_1;
		ALTER TABLE links RENAME contact_id TO c;
		DELETE FROM links WHERE c = 1;
		ALTER TABLE links RENAME c TO contact_id;
		CREATE TABLE parts_3 PARTITION OF "Parts" FOR VALUES FROM (200) TO (300);
		INSERT INTO parts_3 VALUES (205, 2);
		CREATE TABLE more (contact_id int PRIMARY KEY, company_id int);
		SELECT $schema.hs_assoc_enable_sync('more', 'tickets', 'contact_id', 'companies', 'company_id', server => 'hubspot')};
	$in->safe_psql($db, $sql);
	is($in->safe_psql($db, "SELECT string_agg(concat_ws(' ', operation, from_id, to_id), ', ' ORDER BY id) FROM $schema.hs_assoc_outbox WHERE id > $last"),
		'create_default 50 1, create_default 5 2, create_default 105 2, '
		  . join('', map { "archive $_ 1, " } map { $_ * 10 } 1 .. 9) . 'archive 5 2, archive 1 1, create_default 205 2',
		'... its tables are in sync');
	is($in->safe_psql($db, "SELECT count(*), count(DISTINCT id), bool_and(active) FROM $schema.hs_assoc_sync"), '4|4|t', '... and so is a new one');
	is($in->safe_psql($db, "SELECT $schema.hs_assoc_retry(), $schema.hs_assoc_resume('HubSpot EU')"), '2|t', '... dead letters and pauses are of use');
	$hubspot->reset;
	$in->safe_psql($db, "CALL $schema.hs_assoc_flush()");
	is($in->safe_psql($db, "SELECT count(*) FROM $schema.hs_assoc_outbox"), 0, '... and all of it can be sent');
	return;
}

foreach my $restore (
	[ custom => 'pg_restore', '-d' ], [ directory => 'pg_restore', '-j', '2', '-d' ], [ tar => 'pg_restore', '-1', '-d' ],
	[ plain => 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d' ], [ inserts => 'psql', '-Xq1', '-v', 'ON_ERROR_STOP=1', '-d' ])
{
	my ($format, $program, @options) = @$restore;
	my $copy = create_database("copy_$format");
	restore_ok([ $program, @options, $copy, $program eq 'psql' ? '-f' : (), "$dir/$format" ], "$program, $format");
	check_copy("copy_$format", $node);
}

# the whole cluster
my $other = start_node();
restore_ok([ 'psql', '-Xq', '-d', $other->connstr('postgres'), '-f', "$dir/all" ], 'psql, pg_dumpall');
check_copy('source', $other);
$other->stop;

#
# Definitions without rows: tables have their triggers, but the syncs are rows
#
sub fails { return ($node->psql(@_))[2] }
my $refused = qr/ERROR:  table "\w+" has triggers of hs_assoc_sync_rows, but is not kept in sync\n.*HINT:  Drop them with SELECT (.*disable_sync\('.*'\)), or keep it/;

foreach my $db (qw(definitions with_triggers enabled))
{
	restore_ok([ 'pg_restore', '-d', create_database($db), "$dir/definitions" ], 'pg_restore, --schema-only');
}
is($node->safe_psql('definitions', "SELECT (SELECT count(*) FROM $schema.hs_assoc_sync), (SELECT count(*) FROM $schema.hs_assoc_outbox)"),
	'0|0', '... nothing is in sync or waits');
my $err = fails('enabled', 'INSERT INTO links VALUES (1, 2)');
like($err, $refused, '... a table that was in sync tells who writes to it');
my ($hint) = $err =~ $refused;
$node->safe_psql('enabled', "SELECT $hint; INSERT INTO links VALUES (1, 2)");
is(outbox('enabled', $node), '', '... and is a plain table again when that is followed');
$node->safe_psql('enabled', qq{SELECT $schema.hs_assoc_enable_sync('"Parts"', 'deals', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	INSERT INTO "Parts" VALUES (1, 2)});
is(outbox('enabled', $node), 'create_default|1|2|"Parts"', '... or in sync again');
is($node->safe_psql('enabled', "SELECT $schema.hs_assoc_held() IS NULL"), 't', '... it counts as a new database, which no copy is');
like(send_all('enabled', $node), qr{^POST /\S+/batch/associate/default }m, '... and sends at once, with the tokens of the dump');

# the rows after that
restore_ok([ 'pg_restore', '--data-only', '--disable-triggers', '-d', $node->connstr('definitions'), "$dir/rows" ],
	'pg_restore, --data-only --disable-triggers');
check_copy('definitions', $node);
my ($stdout, $stderr);
ok(!IPC::Run::run([ 'pg_restore', '--data-only', '-d', $node->connstr('with_triggers'), "$dir/rows" ], '>', \$stdout, '2>', \$stderr),
	'pg_restore, --data-only: triggers fire');
like($stderr, qr/enqueuing the changes of table|is not kept in sync/, '... and that is told');

#
# By who is no superuser: the extension is there already, its tables are left out
#
my @as_app = ('-U', 'app');
$node->safe_psql('postgres', 'CREATE DATABASE owned OWNER app; ALTER DATABASE source OWNER TO app');
$node->safe_psql('owned', q{CREATE SCHEMA "hub 2"; CREATE EXTENSION hubspot_assoc SCHEMA "hub 2";
	GRANT ALL ON SCHEMA "hub 2", public TO app; GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO app});
$node->command_fails_like([ 'pg_dump', @as_app, '-f', "$dir/refused", $source ], qr/(permission denied for|failed to get data for) (table|sequence) "?hs_assoc_/,
	'pg_dump by the owner of the database');
$node->command_ok([ 'pg_dump', @as_app, '--exclude-table-data=*.hs_assoc_*', '-Fc', '-f', "$dir/owned", $source ],
	'... without the rows of the extension');
IPC::Run::run([ 'pg_restore', @as_app, '--no-comments', '--no-privileges', '-d', $node->connstr('owned'), "$dir/owned" ],
	'>', \$stdout, '2>', \$stderr);
is(join(' ', $stderr =~ /^pg_restore: error: (.*)$/mg), 'could not execute query: ERROR:  schema "hub 2" already exists',
	'pg_restore by the owner of the database');
is($node->safe_psql('owned', 'SELECT count(*) FROM "Parts"'), $node->safe_psql('source', 'SELECT count(*) FROM "Parts"'), '... has the rows of tables');
like(fails('owned', 'INSERT INTO links VALUES (100, 2)', extra_params => \@as_app), $refused, '... which are to be put in sync again');
is($node->safe_psql('owned', qq{SET ROLE app;
	SELECT $schema.hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	INSERT INTO links VALUES (100, 2)}), 0, '... by their owner');
is(outbox('owned', $node), 'create_default|100|2|links', '... which works');

done_testing();
