# A link table on a server that takes no extension, whose changes are written down there
# by plain SQL, and pulled by another one, over postgres_fdw: nothing is lost or doubled,
# whoever is killed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $soon = patience(60);
my $node = start_node('hubspot_assoc.workers' => 0);
plan(skip_all => 'postgres_fdw is missing')
  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) == 0;
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);

# The managed server: its owner of tables is no superuser
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN CREATEDB; CREATE ROLE writer LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE managed OWNER owner', extra_params => [ '-U', 'owner' ]);
my $script = "$FindBin::Bin/../../managed/hubspot_changes.sql";
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'owner', '-d', 'managed', '-f', $script ], 'the script, by the owner of the database');
$node->command_fails_like([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'owner', '-d', 'managed', '-f', $script ], qr/schema "hubspot_changes" already exists\n\z/, '... which is there then');
unlike(slurp_file($script), qr/^\s*\\/m, 'it is SQL, and nothing for psql, whose settings stay as they are');
my $managed = start_session($node, 'managed');
$managed->query(q{GRANT CREATE, USAGE ON SCHEMA public TO owner; SET ROLE owner;
	CREATE TABLE links (contact_id int, company_id int, note text, PRIMARY KEY (contact_id, company_id));
	CREATE TABLE "My Labels" (contact_id int, company_id int, label text, id int PRIMARY KEY);
	SELECT hubspot_changes.follow('links', 'contact_id', 'company_id');
	SELECT hubspot_changes.follow('"My Labels"', 'contact_id', 'company_id', 'label');
	GRANT ALL ON ALL TABLES IN SCHEMA public TO writer});
$managed->query('CREATE TABLE parted (contact_id int, company_id int) PARTITION BY LIST (company_id); CREATE TABLE part PARTITION OF parted DEFAULT');
foreach my $case (
	[ q{SELECT hubspot_changes.follow('links', 'company_id')}, qr/ERROR:  42710: table public\.links is followed already\n.*DETAIL:  The columns are: 'contact_id', 'company_id'\.\n.*HINT:  To follow it anew: SELECT hubspot_changes\.unfollow\('public\.links'\), hubspot_changes\.follow\('public\.links', \.\.\.\)\.\n/ ],
	[ q{SELECT hubspot_changes.follow('managed_only', 'contact_id', 'nothing')}, qr/ERROR:  42703: table public\.managed_only has no column nothing\n/ ],
	[ q{SELECT hubspot_changes.unfollow('managed_only')}, qr/ERROR:  42704: table public\.managed_only is not followed\n/ ],
	[ q{SELECT hubspot_changes.follow('managed_only')}, qr/ERROR:  42883/ ],
	[ q{SELECT hubspot_changes.follow('managed_only', VARIADIC '{}')}, qr/ERROR:  22004: neither the table nor a column may be null, and there must be a column\n/ ],
	[ q{SELECT hubspot_changes.follow('managed_only', 'contact_id', NULL)}, qr/ERROR:  22004/ ],
	[ q{SELECT hubspot_changes.follow(NULL, 'contact_id')}, qr/ERROR:  22004/ ])
{
	$managed->query('CREATE TABLE IF NOT EXISTS managed_only (contact_id int)');
	like($managed->told($case->[0]), $case->[1], $case->[0]);
}
$managed->query(q{DROP TRIGGER hubspot_changes_truncate ON "My Labels"; SELECT hubspot_changes.unfollow('"My Labels"'), hubspot_changes.follow('"My Labels"', 'contact_id', 'company_id', 'label')});
foreach my $table (qw(parted part))
{
	like($managed->told(qq{SELECT hubspot_changes.follow('$table', 'contact_id', 'company_id')}), qr/ERROR:  42809: table (public\.)?$table is partitioned, or a partition/, "a table that is followed by its name alone: $table");
}
$managed->query('CREATE VIEW seen AS SELECT * FROM parted');
like($managed->told(q{SELECT hubspot_changes.follow('seen', 'contact_id', 'company_id')}), qr/ERROR:  42809: public\.seen is not a table\n/, 'a view');
$managed->query('CREATE TABLE parent (contact_id int, company_id int); CREATE TABLE child () INHERITS (parent); CREATE UNLOGGED TABLE unlogged (contact_id int, company_id int)');
like($managed->told(q{SELECT hubspot_changes.follow('parent', 'contact_id', 'company_id')}), qr/ERROR:  42809: table public\.parent has tables that inherit from it\n/, 'rows that are in other tables');
unlike($managed->told(q{SELECT hubspot_changes.follow('child', 'contact_id', 'company_id')}), qr/ERROR/, '... which may be followed');
foreach my $key ('', ', UNIQUE (contact_id, company_id) DEFERRABLE', ', UNIQUE (contact_id, note)')
{
	my $told = qr/WARNING:  01000: table public\.loose has no unique index for these columns\n.*HINT:  .*CREATE UNIQUE INDEX ON public\.loose \(contact_id, company_id\)/s;

	$managed->query("CREATE TABLE loose (contact_id int, company_id int, note text$key)");
	like($managed->told(q{SELECT hubspot_changes.follow('loose', 'contact_id', 'company_id')}), $told, "rows that may be equal$key");
	$managed->query('SELECT hubspot_changes.unfollow($$loose$$); CREATE UNIQUE INDEX ON loose (contact_id) WHERE note IS NULL; CREATE UNIQUE INDEX ON loose ((company_id + 1))');
	like($managed->told(q{SELECT hubspot_changes.follow('loose', 'contact_id', 'company_id')}), $told, '... also with others');
	$managed->query('SELECT hubspot_changes.unfollow($$loose$$); CREATE UNIQUE INDEX ON loose (company_id)');
	unlike($managed->told(q{SELECT hubspot_changes.follow('loose', 'contact_id', 'company_id')}), qr/WARNING/, '... and that are not');
	$managed->query('DROP TABLE loose');
}
like($managed->told(q{SELECT hubspot_changes.follow('unlogged', 'contact_id', 'company_id')}), qr/ERROR:  42809: table public\.unlogged is temporary or unlogged\n/, 'rows that a crash removes');
$managed->query('DROP TABLE parent CASCADE; DROP TABLE unlogged');
sub written { return $managed->query('SELECT count(*) FROM hubspot_changes.changes') }

my $car;
sub connect_car { $car = start_session($node); return }
connect_car();
my $port = $node->port;
my $host = $node->host;
$car->query(qq{
	CREATE EXTENSION postgres_fdw; CREATE SCHEMA managed;
	CREATE SERVER managed FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'managed');
	CREATE USER MAPPING FOR CURRENT_USER SERVER managed OPTIONS (user 'owner');
	CREATE FOREIGN TABLE managed.changes (id bigint, link text, old_row jsonb, new_row jsonb) SERVER managed OPTIONS (schema_name 'hubspot_changes', table_name 'changes');
	CREATE FOREIGN TABLE managed.links (contact_id int, company_id int) SERVER managed OPTIONS (schema_name 'public', table_name 'links');
	CREATE SERVER replica FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'managed');
	CREATE FOREIGN TABLE managed.late (contact_id int, company_id int) SERVER replica OPTIONS (schema_name 'public', table_name 'links');
	CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	CREATE TABLE labels (contact_id int, company_id int, label text, UNIQUE (contact_id, company_id, label));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
	SELECT hs_assoc_enable_sync('labels', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'label')});

sub pull { my ($more) = @_; return $car->told(q{CALL hs_assoc_pull('links', 'managed.changes'} . ($more // '') . ')') }
sub waiting
{
	my $waiting = $car->query(q{SELECT coalesce(string_agg(concat_ws(' ', replace(operation, 'create_default', '+'), from_id, to_id, labels[1]), ', '
		ORDER BY operation, from_id, to_id, labels[1]), 'nothing') FROM hs_assoc_outbox}) =~ s/archive(_labels)?/-/gr;
	$car->query('DELETE FROM hs_assoc_outbox');
	return $waiting;
}
sub pulled { my ($more) = @_; my $err = pull($more); unlike($err, qr/ERROR/, 'pulled'); return waiting() }

like(pull(), qr/NOTICE:  00000: pulled 0 changes of public\.links\n.*DETAIL:  No changes wait\.\n/, 'nothing yet');
$managed->query('RESET ROLE; SET ROLE writer; INSERT INTO links VALUES (1, 1), (2, 1), (3, 1); RESET ROLE');
is(written(), 3, 'a writer without privileges there has his changes written down');
like(pull(q{, link => 'links'}), qr/pulled 0 changes of links\n.*DETAIL:  There are changes of public\.links\.\n/, 'by a name that no table has over there: which have');
like(pull(), qr/pulled 3 changes/, 'and they are pulled');
is(waiting(), '+ 1 1, + 2 1, + 3 1', 'INSERT');
is(written(), 0, '... and nothing of it is left over there');
$managed->query('UPDATE links SET note = $$x$$; UPDATE links SET company_id = 2 WHERE contact_id = 1; DELETE FROM links WHERE contact_id = 2');
is(written(), 2, 'a column that is not followed is not written down');
is(pulled(), '- 1 1, - 2 1, + 1 2', 'UPDATE, DELETE');
$managed->query('INSERT INTO links VALUES (4, 1); DELETE FROM links WHERE contact_id = 4; DELETE FROM links WHERE contact_id = 3; INSERT INTO links VALUES (3, 1)');
is(pulled(), 'nothing', 'what comes to nothing');
$managed->query('INSERT INTO links VALUES (5, 1); TRUNCATE links; INSERT INTO links VALUES (3, 1), (6, 1)');
is(pulled(), '- 1 2, + 6 1', 'TRUNCATE, and what comes after it');
$managed->query('BEGIN; INSERT INTO links VALUES (7, 1); ROLLBACK');
is(pulled(), 'nothing', 'what is rolled back');
$managed->query('INSERT INTO links SELECT i, 1 FROM generate_series(101, 125) AS i; DELETE FROM links WHERE contact_id > 120');
like(pull(', max_rows => 7'), qr/pulled 30 changes/, 'in several batches');
is($car->query('SELECT count(*) FROM links WHERE contact_id > 100'), 20, '... all of them');
$car->query('DELETE FROM hs_assoc_outbox');

$managed->query('INSERT INTO "My Labels" VALUES (1, 1, $$Boss$$, 1), (2, 1, NULL, 2); UPDATE "My Labels" SET label = $$Clerk$$ WHERE id = 1; UPDATE "My Labels" SET label = $$Boss$$ WHERE id = 2');
$car->query(q{CALL hs_assoc_pull('labels', 'managed.changes', link => 'public."My Labels"')});
is(waiting(), 'create 1 1 Clerk, create 2 1 Boss', 'another table, of another name, with labels');
is($car->query('SELECT count(*) FROM labels'), 2, '... and nulls');

# A column of the sync that is not written down
$managed->query('SELECT hubspot_changes.unfollow($$"My Labels"$$), hubspot_changes.follow($$"My Labels"$$, $$contact_id$$, $$company_id$$); INSERT INTO "My Labels" VALUES (3, 1, $$Boss$$, 3)');
like($car->told(q{CALL hs_assoc_pull('labels', 'managed.changes', link => 'public."My Labels"')}), qr/55000: the changes of public\."My Labels" lack label, which table "labels" has\n.*HINT:  Over there, call hubspot_changes\.unfollow, .*all_rows/s, 'a column of the sync that is not followed');
is(waiting() . written(), 'nothing1', '... and nothing is lost');
$managed->query('DELETE FROM hubspot_changes.changes; SELECT hubspot_changes.unfollow($$"My Labels"$$), hubspot_changes.follow($$"My Labels"$$, $$contact_id$$, $$company_id$$, $$label$$)');

# ... where the side-car's table is a partition, whose sync is that of the whole table
$managed->query('CREATE TABLE lacking (contact_id int); SELECT hubspot_changes.follow($$lacking$$, $$contact_id$$); INSERT INTO lacking VALUES (1)');
$car->query(q{CREATE TABLE parted (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY LIST (contact_id); CREATE TABLE lacking PARTITION OF parted DEFAULT;
	SELECT hs_assoc_enable_sync('parted', 'contacts', 'contact_id', 'companies', 'company_id')});
like($car->told(q{CALL hs_assoc_pull('lacking', 'managed.changes')}), qr/55000: the changes of public\.lacking lack company_id, which table "lacking" has\n/, 'a partition');
is($car->query('SELECT count(*) FROM parted') . written(), '01', '... and nothing is lost');
$managed->query('DROP TABLE lacking; DELETE FROM hubspot_changes.changes');
$car->query('DROP TABLE parted');

# A column that is renamed, or dropped, over there: it is not known any more what a row was
$managed->query('CREATE TABLE renamed (contact_id int, company_id int); SELECT hubspot_changes.follow($$renamed$$, $$contact_id$$, $$company_id$$); INSERT INTO renamed VALUES (1, 1); ALTER TABLE renamed RENAME company_id TO company');
$car->query(q{CREATE TABLE renamed (contact_id int, company_id int, UNIQUE (contact_id, company_id)); SELECT hs_assoc_enable_sync('renamed', 'contacts', 'contact_id', 'companies', 'company_id')});
foreach my $case ([ 'UPDATE renamed SET company = 2' ], [ 'INSERT INTO renamed VALUES (2, 1)' ], [ 'DELETE FROM renamed WHERE contact_id = 1' ],
	[ 'ALTER TABLE renamed DROP contact_id; INSERT INTO renamed VALUES (3)', 'company_id, contact_id' ], [ 'UPDATE renamed SET company = 4', 'company_id, contact_id' ])
{
	my ($sql, $lacking) = @$case;
	my $columns = $lacking // 'company_id';

	$managed->query($sql);
	like($car->told(q{CALL hs_assoc_pull('renamed', 'managed.changes')}), qr/55000: the changes of public\.renamed lack $columns, which table "renamed" has\n/, "a column that is no longer there: $sql");
	cmp_ok(written(), '>', 0, '... and nothing is lost');
	$managed->query('DELETE FROM hubspot_changes.changes');
}
is($car->query('SELECT count(*) FROM renamed'), 0, '... nor pulled as null');
$managed->query('DROP TABLE renamed');
$car->query(q{SELECT hs_assoc_disable_sync('renamed'); DROP TABLE renamed});

# A trigger over there that changes the row again
$managed->query(q{CREATE TABLE again (contact_id int, company_id int);
	CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE again SET company_id = company_id + 1 WHERE contact_id = NEW.contact_id AND company_id < 9; RETURN NULL; END';
	CREATE TRIGGER "A" AFTER INSERT OR UPDATE ON again FOR EACH ROW EXECUTE FUNCTION again();
	SELECT hubspot_changes.follow('again', 'contact_id', 'company_id')});
$car->query(q{CREATE TABLE again (contact_id int, company_id int, UNIQUE (contact_id, company_id)); SELECT hs_assoc_enable_sync('again', 'contacts', 'contact_id', 'companies', 'company_id')});
$managed->query('INSERT INTO again VALUES (1, 7); UPDATE again SET company_id = 6');
$car->told(q{CALL hs_assoc_pull('again', 'managed.changes')});
is($car->query('SELECT string_agg(company_id::text, $$,$$) FROM again') . '; ' . waiting() . written(), '9; + 1 90', 'what triggers over there have changed again');
$managed->query('DROP TABLE again; DROP FUNCTION again');
$car->query(q{SELECT hs_assoc_disable_sync('again'); DROP TABLE again});

# Of all that waits, a batch is fetched, and no more
$managed->query(q{INSERT INTO links SELECT i, 1 FROM generate_series(2001, 4000) AS i; ALTER DATABASE managed SET log_statement = 'all'});
connect_car();
my $log = -s $node->logfile;
like(pull(', max_rows => 200'), qr/pulled 2000 changes/, 'ten batches');
$managed->query('ALTER DATABASE managed RESET log_statement; DELETE FROM links WHERE contact_id > 2000');
connect_car();
pull();
cmp_ok(scalar(() = slurp_file($node->logfile, $log) =~ /FETCH 100 FROM/g), '<', 50, '... of two hundred rows each');
$car->query('DELETE FROM hs_assoc_outbox');

# What would not be sent is not pulled: with triggers that don't fire, or a sync that is
# disabled while a pull is under way
$managed->query('INSERT INTO links SELECT i, 1 FROM generate_series(401, 410) AS i');
my $unsent = qr/ERROR:  55000: what is written to table "links" is not sent\n.*DETAIL:  What is pulled would be deleted over there, and never be sent\.\n/;
$car->query('ALTER TABLE links DISABLE TRIGGER hs_assoc_sync_insert');
like(pull(), $unsent, 'a trigger that is disabled');
$car->query('ALTER TABLE links ENABLE TRIGGER hs_assoc_sync_insert; SET session_replication_role = replica');
like(pull(), $unsent, 'as a replica');
$car->query('RESET session_replication_role');
{
	my $holder = start_session($node);
	my $other = start_session($node);

	$holder->query('BEGIN; LOCK TABLE links IN SHARE MODE');
	$car->query('SET default_transaction_isolation = serializable');
	$car->send(q{CALL hs_assoc_pull('links', 'managed.changes', max_rows => 3)});
	wait_for_lock($node, $car);
	$other->send(q{SELECT hs_assoc_disable_sync('links')});
	wait_for_lock($node, $other);
	$holder->query('COMMIT');
	$other->finish;
	like(($car->finish)[1], $unsent, 'a sync that is disabled meanwhile');
	$car->query('RESET default_transaction_isolation');
}
my $left = written();
cmp_ok($left, '>=', 7, '... and what was not pulled before waits over there');
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), $car->query('SELECT count(*) FROM links WHERE contact_id > 400'), '... and all that was pulled is sent');
$car->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')});
like(pull(), qr/pulled $left changes/, '... until it is enabled again');
$managed->query('DELETE FROM links WHERE contact_id > 400');
pull();
$car->query('DELETE FROM hs_assoc_outbox');

# Types that are not PostgreSQL's own
$managed->query(q{CREATE TYPE mood AS ENUM ('Boss', 'it''s %s'); CREATE DOMAIN number AS int; CREATE DOMAIN moody AS mood;
	CREATE TABLE typed (contact_id number, company_id int, "the \ 'label'" mood, other moody, note text);
	SELECT hubspot_changes.follow('typed', 'contact_id', 'company_id', $$the \ 'label'$$, 'other');
	INSERT INTO typed VALUES (1, 1, 'Boss', 'Boss'), (2, 1, 'it''s %s', NULL); UPDATE typed SET note = 'x'; UPDATE typed SET "the \ 'label'" = NULL WHERE contact_id = 1});
is($managed->query('SELECT string_agg(concat(old_row, new_row), chr(10) ORDER BY id) FROM hubspot_changes.changes'), join("\n",
	q({"other": "Boss", "company_id": 1, "contact_id": "1", "the \\\\ 'label'": "Boss"}), q({"other": null, "company_id": 1, "contact_id": "2", "the \\\\ 'label'": "it's %s"}),
	q({"other": "Boss", "company_id": 1, "contact_id": "1", "the \\\\ 'label'": "Boss"}{"other": "Boss", "company_id": 1, "contact_id": "1", "the \\\\ 'label'": null})), 'types of their own are written down as text');
$car->query(q{CREATE TABLE typed (contact_id int, company_id int, "the \ 'label'" text, other text, UNIQUE (contact_id, company_id)); SELECT hs_assoc_enable_sync('typed', 'contacts', 'contact_id', 'companies', 'company_id')});
like($car->told(q{CALL hs_assoc_pull('typed', 'managed.changes')}), qr/pulled 3 changes/, '... and pulled');
is($car->query('SELECT string_agg(concat_ws($$ $$, contact_id, company_id, "the \\ \'label\'", other), $$, $$ ORDER BY contact_id) FROM typed'), q{1 1 Boss, 2 1 it's %s}, '... with their nulls');
$managed->query('TRUNCATE typed');
like($car->told(q{CALL hs_assoc_pull('typed', 'managed.changes')}), qr/pulled 1 change /, '... TRUNCATE, too');
is($car->query('SELECT count(*) FROM typed'), 0, '... by which they go');
$managed->query('DROP TABLE typed');
$car->query(q{SELECT hs_assoc_disable_sync('typed'); DROP TABLE typed; DELETE FROM hs_assoc_outbox});

# ... whose casts are another role's, of which nothing is run with the rights of the script's owner
$managed->query(q{CREATE ROLE eve; GRANT CREATE, USAGE ON SCHEMA public TO eve; CREATE TABLE ran (by name); GRANT INSERT ON ran TO PUBLIC; SET ROLE eve;
	CREATE TABLE hers (contact_id int, company_id int); GRANT TRIGGER ON hers TO owner; CREATE TYPE trap AS ENUM ('x'); CREATE DOMAIN trapped AS trap;
	CREATE FUNCTION run(trap) RETURNS json LANGUAGE sql AS 'INSERT INTO ran VALUES (current_user) RETURNING $$1$$::json'; CREATE CAST (trap AS json) WITH FUNCTION run(trap);
	SET ROLE owner; SELECT hubspot_changes.follow('hers', 'contact_id', 'company_id'); SET ROLE eve;
	ALTER TABLE hers ADD a trap, ADD b trapped, ADD c trap[]; INSERT INTO hers VALUES (1, 1, 'x', 'x', '{x}'); UPDATE hers SET contact_id = 2; ALTER TABLE hers ALTER company_id TYPE trap USING 'x'; UPDATE hers SET contact_id = 3; RESET ROLE});
is($managed->query('SELECT count(*) FROM ran'), 0, 'no cast of another role is called');
is($managed->query('SELECT string_agg(concat(old_row, new_row), $$ $$ ORDER BY id) FROM hubspot_changes.changes'),
	'{"company_id": 1, "contact_id": 1} {"company_id": 1, "contact_id": 1}{"company_id": 1, "contact_id": 2} {"company_id": "x", "contact_id": 2}{"company_id": "x", "contact_id": 3}', '... and all is written down');
like($managed->told(q{SET ROLE owner; SELECT hubspot_changes.unfollow('hers')}), qr/ERROR:  42501: must be owner of relation hers\n/, 'another role cannot unfollow her table');
$managed->query(q{RESET ROLE; GRANT USAGE ON SCHEMA hubspot_changes TO eve; SET ROLE eve; SELECT hubspot_changes.unfollow('hers'); RESET ROLE});
is($managed->query(q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'hers'::regclass}), 0, '... she can');
$managed->query('DELETE FROM hubspot_changes.changes; DROP TABLE hers, ran; DROP OWNED BY eve CASCADE; DROP ROLE eve');

# Names that the statements could have for something else
$managed->query('CREATE TABLE latest (id int, added int, image text); SELECT hubspot_changes.follow($$latest$$, $$id$$, $$added$$, $$image$$); INSERT INTO latest VALUES (1, 1, $$x$$), (2, 1, NULL); DELETE FROM latest WHERE id = 1; INSERT INTO latest VALUES (3, 1, $$y$$)');
foreach my $name (qw(latest events))
{
	$car->query(qq{CREATE TABLE $name (id int, added int, image text, UNIQUE (id, added)); INSERT INTO $name VALUES (1, 1, 'x');
		SELECT hs_assoc_enable_sync('$name', 'contacts', 'id', 'companies', 'added')});
	$managed->query('UPDATE latest SET image = $$z$$ WHERE id = 3; INSERT INTO latest VALUES (1, 1, $$x$$); DELETE FROM latest WHERE id = 1') if $name eq 'events';
	$car->query(qq{CALL hs_assoc_pull('$name', 'managed.changes', link => 'public.latest')});
	is($car->query(qq{SELECT string_agg(concat_ws(' ', id, added, image), ', ' ORDER BY id) FROM $name}), $name eq 'events' ? '3 1 z' : '2 1, 3 1 y', "a table named $name with columns named id, added, image");
}
$car->query('DELETE FROM hs_assoc_outbox');

# Operators that others have made, before those of PostgreSQL,
$car->query(q{CREATE SCHEMA trap; CREATE FUNCTION trap.trap(bigint, int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
	CREATE OPERATOR trap.= (leftarg = bigint, rightarg = int, function = trap.trap); CREATE OPERATOR trap.< (leftarg = bigint, rightarg = int, function = trap.trap)});
foreach my $type (qw(text name oid int bigint boolean "char" jsonb regclass text[] bigint[] jsonb[]))
{
	$car->query("CREATE FUNCTION trap.trap($type, $type) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END'");
	$car->query("CREATE OPERATOR trap.$_ (leftarg = $type, rightarg = $type, function = trap.trap)") foreach qw(= <> < > <= >= || & + ?);
}
# ... and types, one of the name of the table
$car->query(q{CREATE FUNCTION trap.trap() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END'});
$car->query("CREATE DOMAIN trap.$_->[0] AS $_->[1].$_->[0] CHECK (trap.trap())")
  foreach (map { [ $_, 'pg_catalog' ] } qw(text jsonb name oid regclass regtype "char" int8 int4 bool)), [ 'links', 'public' ];
$car->query('SET search_path = trap, pg_catalog, public');
like(pull(), qr/NOTICE:  00000: pulled 0 changes of public\.links/, 'operators and types that others have made are not used');
$managed->query('INSERT INTO links VALUES (900, 1); UPDATE links SET contact_id = 901 WHERE contact_id = 900');
like(pull(), qr/NOTICE:  00000: pulled 2 changes of public\.links/, '... where there is something to pull');
$managed->query('DELETE FROM links WHERE contact_id = 901');
like(pull(q{, all_rows => 'managed.links'}), qr/NOTICE:  00000: took all rows of managed\.links: 0 added, 1 removed/, '... and for all rows');
$car->query('RESET search_path');
$car->query('DELETE FROM hs_assoc_outbox');

# All rows
$managed->query('ALTER TABLE links DISABLE TRIGGER USER; DELETE FROM links WHERE contact_id < 110; INSERT INTO links VALUES (200, 1); ALTER TABLE links ENABLE TRIGGER USER; INSERT INTO links VALUES (201, 1)');
like(pull(), qr/NOTICE:  00000: pulled 1 change of public\.links\n/, 'a change');
is(waiting(), '+ 201 1', '... what was not written down is not pulled');
$managed->query('INSERT INTO links VALUES (202, 1)');
is(pulled(q{, all_rows => 'managed.links'}), join(', ', map({ "- $_ 1" } sort (101 .. 109, 3, 6)), '+ 200 1', '+ 202 1'), 'all rows: what differs');
is(written(), 0, '... with what was written down');
$managed->query('ALTER TABLE links DISABLE TRIGGER USER; INSERT INTO links VALUES (203, 1), (204, 1); DELETE FROM links WHERE contact_id = 200; ALTER TABLE links ENABLE TRIGGER USER; INSERT INTO links VALUES (205, 1)');
like(pull(q{, all_rows => 'managed.links'}), qr/NOTICE:  00000: took all rows of managed\.links: 3 added, 1 removed\n.*DETAIL:  They include 1 change of public\.links that had been written down\.\n/, '... and is told');
like(pull(q{, all_rows => 'managed.links'}), qr/NOTICE:  00000: took all rows of managed\.links: 0 added, 0 removed\n.*DETAIL:  They include 0 changes of public\.links/, '... also where nothing differs');
$managed->query('DELETE FROM links WHERE contact_id < 1000');
pull();
$car->query('DELETE FROM hs_assoc_outbox');

# None, though the table has some
$managed->query('INSERT INTO links VALUES (300, 1)');
pull();
$car->query('DELETE FROM hs_assoc_outbox');
$managed->query('TRUNCATE links');
like(pull(q{, all_rows => 'managed.links'}), qr/ERROR:  55000: table "managed\.links" is empty, and all rows of table "links" would be removed\n.*HINT:  .*may_be_empty => true\)/s, 'an empty table is refused');
is(join(' ', waiting(), written()), 'nothing 1', '... nothing was enqueued, and what was written down waits');
like(pull(q{, all_rows => 'managed.links', may_be_empty => true}), qr/NOTICE:  00000: took all rows of managed\.links: 0 added, \d+ removed\n/, '... unless it may be');
like(waiting(), qr/^- .*\b300 1/, '... which is sent');
like(pull(q{, all_rows => 'managed.links'}), qr/NOTICE:  00000: took all rows of managed\.links: 0 added, 0 removed\n/, '... and where both are empty there is nothing to refuse');
$car->query('DELETE FROM hs_assoc_outbox');

# Rows that have a null where there can be none here stop no others
$managed->query(q{CREATE TABLE nulls (contact_id int, company_id int, label text, UNIQUE (contact_id, company_id, label)); GRANT SELECT ON nulls TO owner; SELECT hubspot_changes.follow('nulls', 'contact_id', 'company_id', 'label');
	INSERT INTO nulls VALUES (1, 1, 'Boss'), (2, 1, NULL), (3, 1, 'Boss'); UPDATE nulls SET label = NULL WHERE contact_id = 3; INSERT INTO nulls VALUES (NULL, 1, 'Boss'), (4, 1, 'Boss')});
$car->query(q{CREATE DOMAIN company AS int NOT NULL; CREATE TABLE nulls (contact_id int, company_id company, label text, PRIMARY KEY (contact_id, company_id, label));
	CREATE FOREIGN TABLE managed.nulls (contact_id int, company_id int, label text) SERVER managed OPTIONS (schema_name 'public');
	SELECT hs_assoc_enable_sync('nulls', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'label')});
like($car->told(q{CALL hs_assoc_pull('nulls', 'managed.changes', max_rows => 2)}), qr/NOTICE:  00000: pulled 6 changes of public\.nulls\n.*DETAIL:  Left out, as they have a null in a column that is NOT NULL here: 3\.\n/, 'rows with nulls are left out');
is(waiting(), 'create 1 1 Boss, create 4 1 Boss', '... the others are pulled');
$managed->query(q{UPDATE nulls SET label = 'Clerk' WHERE contact_id = 2; UPDATE nulls SET company_id = NULL WHERE contact_id = 4});
like($car->told(q{CALL hs_assoc_pull('nulls', 'managed.changes')}), qr/pulled 2 changes .*\n.*DETAIL:  Left out, .* here: 1\.\n/, '... and come and go as they get them');
is(waiting(), '- 4 1 Boss, create 2 1 Clerk', '... as the table has it');
$managed->query(q{INSERT INTO nulls VALUES (5, 1, 'Boss')});
like($car->told(q{CALL hs_assoc_pull('nulls', 'managed.changes', all_rows => 'managed.nulls')}), qr/took all rows of managed\.nulls: 1 added, 0 removed\n.*DETAIL:  They include 1 change of public\.nulls that had been written down\. Left out, .* here: 3\.\n/, '... and of all rows');
is(waiting(), 'create 5 1 Boss', '... the others are taken');
$managed->query('DROP TABLE nulls');
$car->query(q{SELECT hs_assoc_disable_sync('nulls'); DROP TABLE nulls});

# Strings that differ by case alone, for the type of the column and not for PostgreSQL's operator
SKIP:
{
	skip('citext is missing', 2) if $car->query(q{SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'}) == 0;
	$managed->query(q{CREATE EXTENSION citext; CREATE TABLE cases (contact_id int, company_id int, label citext, UNIQUE (contact_id, company_id, label));
		SELECT hubspot_changes.follow('cases', 'contact_id', 'company_id', 'label'); INSERT INTO cases VALUES (1, 1, 'Boss'), (2, 1, 'Boss')});
	$car->query(q{CREATE EXTENSION citext; CREATE TABLE cases (contact_id int, company_id int, label citext, UNIQUE (contact_id, company_id, label));
		SELECT hs_assoc_enable_sync('cases', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'label'); CALL hs_assoc_pull('cases', 'managed.changes')});
	$managed->query(q{UPDATE cases SET label = 'bOSS' WHERE contact_id = 1; UPDATE cases SET label = 'boss' WHERE contact_id = 2; UPDATE cases SET label = 'Boss' WHERE contact_id = 2});
	like($car->told(q{CALL hs_assoc_pull('cases', 'managed.changes')}), qr/pulled 3 changes/, 'another spelling of a citext');
	is($car->query('SELECT string_agg(concat_ws($$ $$, contact_id, label), $$, $$ ORDER BY contact_id) FROM cases'), '1 bOSS, 2 Boss', '... is the one that counts');
	$managed->query('DROP TABLE cases');
	$car->query(q{SELECT hs_assoc_disable_sync('cases'); DROP TABLE cases; DELETE FROM hs_assoc_outbox});
}

# A value that the table does not take, and the way out of it
$managed->query(q{CREATE TABLE larger (contact_id bigint, company_id int, UNIQUE (contact_id, company_id)); GRANT SELECT ON larger TO owner; SELECT hubspot_changes.follow('larger', 'contact_id', 'company_id');
	INSERT INTO larger VALUES (1, 1), (3000000000, 1), (2, 1)});
$car->query(q{CREATE TABLE larger (contact_id int, company_id int, UNIQUE (contact_id, company_id)); CREATE FOREIGN TABLE managed.larger (contact_id int, company_id int) SERVER managed OPTIONS (schema_name 'public');
	SELECT hs_assoc_enable_sync('larger', 'contacts', 'contact_id', 'companies', 'company_id')});
like($car->told(q{CALL hs_assoc_pull('larger', 'managed.changes')}), qr/ERROR:  22003: value "3000000000" is out of range for type integer\n/, 'a value of a larger type');
$managed->query('DELETE FROM larger WHERE contact_id > 2');
like($car->told(q{CALL hs_assoc_pull('larger', 'managed.changes')}), qr/ERROR:  22003/, '... also once it has gone');
like($car->told(q{CALL hs_assoc_pull('larger', 'managed.changes', all_rows => 'managed.larger')}), qr/took all rows of managed\.larger: 2 added, 0 removed\n.*DETAIL:  They include 4 changes of public\.larger/, '... but not of all rows');
is(waiting(), '+ 1 1, + 2 1', '... after which all is as over there');
$managed->query('DROP TABLE larger');
$car->query(q{SELECT hs_assoc_disable_sync('larger'); DROP TABLE larger});

# Whatever a writer, or whoever pulls, has set: the name of the table, and each value, are the same
$managed->query(q{CREATE TABLE styled (id int GENERATED ALWAYS AS IDENTITY, contact_id int, company_id int, valid daterange, span interval, share float8, UNIQUE (contact_id, company_id));
	SELECT hubspot_changes.follow('styled', 'id', 'contact_id', 'company_id', 'valid', 'span', 'share')});
$car->query(q{CREATE TABLE styled (id int GENERATED ALWAYS AS IDENTITY, contact_id int, company_id int, valid daterange, span interval, share float8, UNIQUE (contact_id, company_id));
	CREATE FOREIGN TABLE managed.styled (id int, contact_id int, company_id int, valid daterange, span interval, share float8) SERVER managed OPTIONS (schema_name 'public');
	SELECT hs_assoc_enable_sync('styled', 'contacts', 'contact_id', 'companies', 'company_id')});
$managed->query(q{GRANT SELECT ON styled TO owner; SET quote_all_identifiers = on; SET datestyle = 'SQL, DMY'; SET intervalstyle = sql_standard; SET extra_float_digits = 0;
	INSERT INTO styled (contact_id, company_id, valid, span, share) VALUES (1, 1, '[01/02/2026,03/04/2026)', '-1 day -2 hours', 0.1::float8 + 0.2);
	RESET quote_all_identifiers; RESET datestyle; RESET intervalstyle; RESET extra_float_digits});
$car->query('SET quote_all_identifiers = on');
like($car->told(q{CALL hs_assoc_pull('styled', 'managed.changes')}), qr/pulled 1 change of public\.styled\n/, 'what a writer has set that changes names and values');
$car->query('RESET quote_all_identifiers');
is($car->query('SELECT concat_ws($$ $$, id, contact_id, company_id, valid, span, share) FROM styled'), '1 1 1 [2026-02-01,2026-04-03) -1 days -02:00:00 0.30000000000000004', '... does not, and an identity column has the value of over there');
$managed->query('UPDATE styled SET company_id = 2; INSERT INTO styled (contact_id, company_id) VALUES (2, 1)');
like($car->told(q{CALL hs_assoc_pull('styled', 'managed.changes')}), qr/pulled 2 changes/, '... so that the row is found again');
$managed->query('ALTER TABLE styled DISABLE TRIGGER USER; INSERT INTO styled (contact_id, company_id) VALUES (3, 1)');
like($car->told(q{CALL hs_assoc_pull('styled', 'managed.changes', all_rows => 'managed.styled')}), qr/took all rows of managed\.styled: 1 added, 0 removed\n/, '... also of all rows');
is($car->query('SELECT string_agg(concat_ws($$ $$, id, contact_id, company_id), $$, $$ ORDER BY id) FROM styled'), '1 1 2, 2 2 1, 3 3 1', '... all is as over there');
$managed->query('DROP TABLE styled');
$car->query(q{SELECT hs_assoc_disable_sync('styled'); DROP TABLE styled; DELETE FROM hs_assoc_outbox});

# A role that has no more than is needed
$managed->query('INSERT INTO links VALUES (700, 1)');
$car->query(q{CREATE ROLE puller; GRANT USAGE ON SCHEMA managed TO puller; GRANT SELECT, DELETE ON managed.changes TO puller; GRANT SELECT ON managed.links TO puller;
	GRANT SELECT, INSERT, DELETE ON links TO puller; CREATE USER MAPPING FOR puller SERVER managed OPTIONS (user 'owner', password_required 'false'); SET ROLE puller});
like(pull(), qr/pulled 1 change /, 'a role that may read, insert and delete');
like(pull(q{, all_rows => 'managed.links'}), qr/took all rows of managed\.links: 0 added, 0 removed/, '... all rows, too');
# ... unless it may not see all, and so would keep what is to go
$managed->query('DELETE FROM links WHERE contact_id = 700');
$car->query('RESET ROLE; CREATE POLICY few ON links TO puller USING (contact_id < 700) WITH CHECK (true); ALTER TABLE links ENABLE ROW LEVEL SECURITY; SET ROLE puller');
my $hidden = qr/ERROR:  42501: row-level security may hide rows of table "links"\n.*DETAIL:  What is pulled would be deleted over there, and maybe not be applied\.\n.*HINT: /;
like(pull(), $hidden, '... but none from which rows are hidden');
like(pull(q{, all_rows => 'managed.links'}), $hidden, '... nor all rows');
is(written(), 1, '... so that nothing is lost');
$car->query('RESET ROLE; ALTER TABLE links DISABLE ROW LEVEL SECURITY; DROP POLICY few ON links; SET ROLE puller');
like(pull(), qr/pulled 1 change /, '... it is pulled once it sees all');
is($car->query('SELECT count(*) FROM links WHERE contact_id = 700'), 0, '... and goes');
my $misuse = qr/ERROR:  55000: only hs_assoc_pull can call function "hs_assoc_keep_locked"\n/;
like($car->told(q{SELECT hs_assoc_keep_locked('links', true)}), $misuse, '... but keep no lock');
like($car->told(q{SELECT hs_assoc_keep_locked(NULL, true)}), $misuse, '... of nothing');
like($car->told(q{DO $$BEGIN PERFORM hs_assoc_keep_locked('links', true); END$$}), $misuse, '... without having it');
$car->query('RESET ROLE; DELETE FROM links WHERE contact_id = 700; DROP USER MAPPING FOR puller SERVER managed; DROP OWNED BY puller; DROP ROLE puller; DELETE FROM hs_assoc_outbox');
$managed->query('DELETE FROM links WHERE contact_id = 700');
pull();

# A pull that begins while another one deletes what it has applied: it would apply some of that
# once more, and not what came after it
{
	my $other = start_session($node);
	my $holder = start_session($node, 'managed');

	$managed->query('INSERT INTO links VALUES (800, 1), (801, 1); DELETE FROM links WHERE contact_id = 800');
	$holder->query('BEGIN; SELECT count(*) FROM (SELECT FROM hubspot_changes.changes FOR UPDATE) AS c');
	$car->send(q{CALL hs_assoc_pull('links', 'managed.changes')});
	wait_until(sub { $managed->query(q{SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')}) }, $soon);
	$other->send(q{CALL hs_assoc_pull('links', 'managed.changes', max_rows => 2)});
	wait_for_lock($node, $other);
	$holder->query('COMMIT');
	like(($car->finish)[1], qr/pulled 3 changes/, 'the first of two pulls');
	like(($other->finish)[1], qr/pulled 0 changes/, '... after which nothing is left for the other one');
	is($car->query('SELECT string_agg(contact_id::text, $$ $$) FROM links WHERE contact_id >= 800'), '801', '... which has undone nothing');
	is($car->query(q{SELECT count(*) FROM pg_locks WHERE relation = 'links'::regclass AND mode = 'ShareUpdateExclusiveLock'}), 0, 'no lock is left');
	$managed->query('CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION $x$not now$x$; END$$; CREATE TRIGGER no BEFORE DELETE ON hubspot_changes.changes EXECUTE FUNCTION no(); DELETE FROM links WHERE contact_id = 801');
	like(pull(), qr/not now/, 'a pull that fails where it has the lock');
	is($car->query(q{SELECT count(*) FROM pg_locks WHERE relation = 'links'::regclass AND mode = 'ShareUpdateExclusiveLock'}), 0, '... leaves none either');
	$managed->query('DROP FUNCTION no CASCADE');
	pull();
	$car->query('DELETE FROM hs_assoc_outbox');
}

# Errors
my $shape = qr/It must show hubspot_changes\.changes over there, as CREATE FOREIGN TABLE \.\.\. \(id bigint, link text, old_row jsonb, new_row jsonb\) SERVER \.\.\. OPTIONS \(schema_name 'hubspot_changes', table_name 'changes'\) does\./;
my $not_alone = qr/ERROR:  2D000: hs_assoc_pull cannot run inside a transaction block or a function\n.*DETAIL:  It commits while it pulls\.\n.*HINT:  CALL it on its own\.\n/;
foreach my $case (
	[ q{CALL hs_assoc_pull('links', 'labels')}, qr/22023: invalid value for argument "changes": "labels"\n.*DETAIL:  It has no column id, link, old_row, new_row\.\n.*HINT:  $shape\n/ ],
	[ q{CREATE TABLE shape (id int, link text, old_row json, new_row jsonb); CALL hs_assoc_pull('links', 'shape')}, qr/22023: invalid value for argument "changes": "shape"\n.*DETAIL:  Column id has type integer instead of bigint\. Column old_row has type json instead of jsonb\.\n.*HINT:  $shape\n/ ],
	[ q{ALTER TABLE shape DROP old_row; CALL hs_assoc_pull('links', 'shape')}, qr/"shape"\n.*DETAIL:  Column id has type integer instead of bigint\. It has no column old_row\.\n/ ],
	[ q{CALL hs_assoc_pull('managed.changes', 'links')}, qr/22023: invalid value for argument "changes": "links"\n.*DETAIL: .*\n.*HINT:  The arguments are in the wrong order: CALL hs_assoc_pull\('links', 'managed\.changes'\)\.\n/ ],
	[ q{CALL hs_assoc_pull('links', 'managed.changes', all_rows => 'managed.changes')}, qr/22023: invalid value for argument "all_rows": "managed\.changes"\n.*DETAIL:  Of the columns of table links, it lacks contact_id, company_id\.\n.*HINT:  It must be a foreign table of the same table over there, with the columns contact_id, company_id\.\n/ ],
	[ q{CALL hs_assoc_pull('links', 'managed.changes', all_rows => 'links')}, qr/22023: invalid value for argument "all_rows": "links"\n.*DETAIL:  What was written down would be deleted.*\n.*HINT:  It must be a foreign table of what links is over there\.\n/ ],
	[ q{CALL hs_assoc_pull('links', 'managed.changes', all_rows => 'managed.late')}, qr/22023: invalid value for argument "all_rows": "managed\.late"\n.*DETAIL:  It is of another server than managed\.changes, and may lack what is written down there\.\n/ ],
	[ q{CALL hs_assoc_pull('labels', 'managed.changes', all_rows => 'managed.links')}, qr/DETAIL:  Of the columns of table labels, it lacks label\.\n/ ],
	[ q{CALL hs_assoc_pull(NULL, 'managed.changes')}, qr/22004: argument "link_table" must not be null/ ],
	[ q{CALL hs_assoc_pull('links', NULL)}, qr/22004: argument "changes" must not be null/ ],
	[ q{CALL hs_assoc_pull('links', 'managed.changes', max_rows => 0)}, qr/22023: invalid value for argument "max_rows": 0\n/ ],
	[ q{CALL hs_assoc_pull('links', 'managed.changes', max_rows => NULL)}, qr/22023: invalid value for argument "max_rows": null\n/ ],
	[ q{CREATE TABLE apart (LIKE links); CALL hs_assoc_pull('apart', 'managed.changes')}, qr/55000: table "apart" is not kept in sync\n.*HINT: /s ],
	[ q{BEGIN; CALL hs_assoc_pull('links', 'managed.changes')}, $not_alone ],
	[ q{CREATE FUNCTION pulls() RETURNS void LANGUAGE plpgsql AS $$BEGIN CALL hs_assoc_pull('links', 'managed.changes'); END$$; SELECT pulls()}, $not_alone ],
	[ q{DO $$BEGIN CALL hs_assoc_pull('links', 'managed.changes'); EXCEPTION WHEN division_by_zero THEN NULL; END$$}, $not_alone ],
	[ q{CREATE PROCEDURE sets() SET work_mem = '1MB' LANGUAGE plpgsql AS $$BEGIN CALL hs_assoc_pull('links', 'managed.changes'); END$$; CALL sets()}, $not_alone ],
	[ q{CREATE ROLE eve; SET ROLE eve; CALL hs_assoc_pull('links', 'managed.changes')}, qr/42501: permission denied/ ])
{
	like($car->told($case->[0]), $case->[1], $case->[0]);
	$car->query('ROLLBACK; RESET ROLE');
}
$car->query('DROP ROLE eve');
$car->send(q{DO $$BEGIN CALL hs_assoc_pull('links', 'managed.changes'); CALL hs_assoc_pull('links', 'managed.changes'); END$$});
is(() = ($car->finish)[1] =~ /NOTICE:  00000: pulled 0 changes/g, 2, 'a block that may commit');
is($car->query('SELECT hs_assoc_may_commit()'), 'f', 'hs_assoc_may_commit by itself');

#
# Nothing is lost or doubled, whoever is killed: each pair is enqueued once
#
my $next = 10_000;
foreach my $kill (1 .. 16)
{
	foreach (1 .. 20)
	{
		$managed->query("INSERT INTO links SELECT i, 1 FROM generate_series($next, @{[ $next + 24 ]}) AS i");
		$next += 25;
	}
	# the first ones of every few go away again, perhaps after they were pulled
	my $pid = $car->pid;
	my $before = $car->query('SELECT count(*) FROM links');
	$car->send(q{CALL hs_assoc_pull('links', 'managed.changes', max_rows => 20)});
	wait_until(sub { $managed->query(q{SELECT count(*) FROM hubspot_changes.changes}) < 500 - 20 * ($kill % 5) }, $soon);
	if ($kill % 4 == 0)
	{
		$node->stop('immediate');
		$node->start;
		$managed = start_session($node, 'managed');
	}
	else
	{
		$managed->query("SELECT pg_terminate_backend($pid)");
	}
	connect_car();
}
like(pull(), qr/NOTICE:  00000: pulled \d+ changes/, 'the rest');
is($car->query('SELECT count(*), count(DISTINCT from_id), min(from_id::int), max(from_id::int) FROM hs_assoc_outbox'),
	join('|', (16 * 20 * 25) x 2, 10_000, $next - 1), 'each change is enqueued once');
is($car->query('SELECT count(*) FROM links'), $managed->query('SELECT count(*) FROM links'), 'and the tables are the same');

# Stopped between the two transactions of a batch, and again: what is applied twice is
# no change, also where a row has gone meanwhile
$car->query('DELETE FROM hs_assoc_outbox');
$managed->query('INSERT INTO links VALUES (1, 1), (2, 1)');
$managed->query('CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION $x$not now$x$; END$$; CREATE TRIGGER refuse BEFORE DELETE ON hubspot_changes.changes FOR EACH ROW EXECUTE FUNCTION refuse()');
like(pull(), qr/not now/, 'applied, but not deleted over there');
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 2, '... and enqueued');
$managed->query('DELETE FROM links WHERE contact_id = 2; DROP TRIGGER refuse ON hubspot_changes.changes');
pull();
is(waiting(), '- 2 1, + 1 1, + 2 1', 'the next time, only what is new');
is($car->query('SELECT count(*) FROM links WHERE contact_id < 100'), 1, '... as over there');

$managed->query('SET ROLE owner; SELECT hubspot_changes.unfollow($$links$$); INSERT INTO links VALUES (300, 1); RESET ROLE');
is(written(), 0, 'no longer followed');

done_testing();
