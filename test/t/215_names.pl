# Names that are moved while something looks them up with other rights: by the
# owner of the schema that the extension is in, of a link table's schema, and by a
# writer. Whatever of theirs is run with another's rights, notes whose they were,
# and makes its owner a superuser if it can.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

# How long names are swapped, in each of the loops; they run at the same time.
my $seconds = patience(10);

my $node = start_node(
	'shared_preload_libraries' => 'hubspot_assoc',
	'max_worker_processes' => 16);
my $hubspot = start_simulator();

#
# app is the database's owner, so that of public as well, but no superuser
#
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	CREATE ROLE boss LOGIN;
	CREATE ROLE writer LOGIN;
	CREATE DATABASE shop OWNER app;
	GRANT CREATE ON DATABASE shop TO writer;
});

sub as
{
	my ($role, $sql) = @_;
	my ($out, $err);
	$node->psql('shop', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role ]);
	return ($out, $err);
}

my (undef, $warning) = as('postgres', q{
	SET client_min_messages = warning;
	ALTER SCHEMA public OWNER TO pg_database_owner;		-- as it is from 15 on
	CREATE EXTENSION hubspot_assoc SCHEMA public});
like($warning, qr/WARNING:  schema "public" belongs to role "app", which is not a superuser/,
	'CREATE EXTENSION warns of a schema that somebody else owns');
my (undef, $silence) = as('postgres', q{
	SET client_min_messages = warning;
	DROP EXTENSION hubspot_assoc;
	CREATE SCHEMA of_superuser;
	CREATE EXTENSION hubspot_assoc SCHEMA of_superuser});
is($silence, '', '... and not of one that a superuser owns');
(undef, $warning) = as('postgres', q{
	SET client_min_messages = warning;
	DROP EXTENSION hubspot_assoc;
	GRANT CREATE ON SCHEMA of_superuser TO PUBLIC;
	CREATE EXTENSION hubspot_assoc SCHEMA of_superuser});
like($warning, qr/WARNING:  everybody may create objects in schema "of_superuser"/,
	'... but of one that everybody may create in');
as('postgres', q{DROP EXTENSION hubspot_assoc; CREATE EXTENSION hubspot_assoc SCHEMA public});

create_account($node, $hubspot, dbname => 'shop', rate_limit => 0);
as('postgres', q{
	GRANT USAGE ON FOREIGN SERVER hubspot TO app, boss, writer;
	GRANT EXECUTE ON FUNCTION hs_assoc_pause, hs_assoc_resume TO app});

#
# The schema of the extension
#
my (undef, $refusal) = as('app', 'ALTER SCHEMA public RENAME TO mine');
like($refusal, qr/ERROR:  must be superuser to rename schema "public", because extension "hubspot_assoc" is in it/,
	'its owner cannot rename it');
is((as('app', 'CREATE SCHEMA other; ALTER SCHEMA other RENAME TO another; DROP SCHEMA another'))[1], '',
	'others can be renamed');
as('postgres', 'ALTER SCHEMA public RENAME TO elsewhere; ALTER SCHEMA elsewhere RENAME TO public');
is($node->safe_psql('shop', "SELECT count(*) FROM pg_extension WHERE extname = 'hubspot_assoc'"), '1',
	'a superuser can');

# from here on without that, since nothing may depend on it
as('postgres', 'ALTER EVENT TRIGGER hs_assoc_sync_ddl DISABLE');

# Where traps write down who has stepped into them, and what they do then.
as('postgres', q{
	CREATE SCHEMA watch;
	GRANT USAGE ON SCHEMA watch TO PUBLIC;
	CREATE TABLE watch.caught (trap text, victim text);
	GRANT INSERT ON watch.caught TO PUBLIC});
my $evil = q{
	INSERT INTO watch.caught VALUES (TG_NAME_OR_VIEW, current_user);
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		EXECUTE 'ALTER ROLE OWNER_OF_TRAP SUPERUSER';
	END IF;};

# A schema with tables, of the names of ours and their form, that are traps.
sub set_trap
{
	my ($schema, $owner) = @_;
	(my $body = $evil) =~ s/OWNER_OF_TRAP/$owner/;
	(my $in_trigger = $body) =~ s/TG_NAME_OR_VIEW/TG_TABLE_NAME/;
	(my $in_function = $body) =~ s/TG_NAME_OR_VIEW/'function'/;
	my $tables = $node->safe_psql('shop', q{
		SELECT string_agg(relname, ' ') FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname LIKE 'hs\_assoc\_%'});
	my $sql = qq{
		CREATE SCHEMA $schema;
		GRANT USAGE ON SCHEMA $schema TO PUBLIC;
		CREATE FUNCTION $schema.spring() RETURNS trigger LANGUAGE plpgsql AS \$\$
			BEGIN $in_trigger RETURN NULL; END \$\$;
		CREATE FUNCTION $schema.hs_assoc_pair(text, text, text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS \$\$
			BEGIN $in_function RETURN 1; END \$\$;
	};
	foreach my $table (split ' ', $tables)
	{
		$sql .= qq{
			CREATE TABLE $schema.$table (LIKE public.$table INCLUDING DEFAULTS INCLUDING IDENTITY);
			GRANT ALL ON $schema.$table TO PUBLIC;
			CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON $schema.$table
				FOR EACH STATEMENT EXECUTE FUNCTION $schema.spring();};
	}
	is((as($owner, $sql))[1], '', "a trap in schema $schema");
	return;
}

# Who has stepped into a trap, beside those who may step into their own.
sub caught
{
	my (@own) = @_;
	my $own = join ', ', map { "'$_'" } @own;
	return $node->safe_psql('shop', qq{
		SELECT DISTINCT trap || ' as ' || victim FROM watch.caught WHERE victim NOT IN ($own)});
}

sub superusers
{
	return $node->safe_psql('shop', q{
		SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolsuper AND rolname <> 'postgres'});
}

as('postgres', q{GRANT SELECT ON ALL TABLES IN SCHEMA public TO app});
set_trap('trap', 'app');

# Without a race: the name moves while the query that is enqueued sleeps.
my $slow = start_session($node, 'shop');
$slow->query('SET ROLE app');
$slow->send(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
	'SELECT 1 AS from_id, 2 AS to_id FROM pg_sleep(2)')});
wait_until(sub {
	$node->safe_psql('shop', 'SELECT wait_event FROM pg_stat_activity WHERE pid = ' . $slow->pid) eq 'PgSleep'
});
is((as('app', 'ALTER SCHEMA public RENAME TO real; ALTER SCHEMA trap RENAME TO public'))[1], '',
	'the schemas have changed their names');
is(($slow->finish)[0], '1', 'what was begun before is enqueued');
eval { wait_until(sub { $hubspot->association_count('contacts', 'companies') == 1 }, patience(20)) };
is($@, '', '... and sent, from the tables that were meant');
is(superusers(), '', 'and its owner is no superuser');
is(caught('nobody'), '', 'nothing of the other schema was run');
is((as('app', 'ALTER SCHEMA public RENAME TO trap; ALTER SCHEMA real RENAME TO public'))[1], '',
	'all is as it was');

#
# In a loop, all at the same time. A loop's body may fail, since the names that it
# uses itself move as well.
#
sub loop
{
	my ($role, $body) = @_;
	my $session = start_session($node, 'shop');

	$session->query("SET SESSION AUTHORIZATION $role; SET client_min_messages = error");
	$session->send(qq{
		DO \$loop\$
		DECLARE
			ends timestamptz := clock_timestamp() + interval '$seconds s';
			done int := 0;
		BEGIN
			CREATE TEMP TABLE turns (done int);
			COMMIT;
			WHILE clock_timestamp() < ends LOOP
				BEGIN
					$body
					done := done + 1;
				EXCEPTION WHEN OTHERS THEN
					NULL;
				END;
				COMMIT;
			END LOOP;
			INSERT INTO turns VALUES (done);
		END \$loop\$});
	return $session;
}

# How often the body went well.
sub turns
{
	my ($session) = @_;
	my (undef, $err) = $session->finish;
	is($err, '', 'a loop has ended');
	return $session->query('SELECT done FROM turns');
}

# Swaps the names of two schemas.
sub swap
{
	my ($one, $other) = @_;
	return "EXECUTE 'ALTER SCHEMA $one RENAME TO between';
		EXECUTE 'ALTER SCHEMA $other RENAME TO $one';
		EXECUTE 'ALTER SCHEMA between RENAME TO $other';";
}

# a link table of boss in a schema that app owns, and a view of its name elsewhere
foreach my $who ([ 'app', 'links' ], [ 'writer', 'books' ])
{
	my ($owner, $schema) = @$who;
	(my $body = $evil) =~ s/OWNER_OF_TRAP/$owner/;
	$body =~ s/TG_NAME_OR_VIEW/'$schema'/;
	as('postgres', qq{
		CREATE SCHEMA $schema AUTHORIZATION $owner;
		CREATE SCHEMA ${schema}_trap AUTHORIZATION $owner;
		GRANT ALL ON SCHEMA $schema, ${schema}_trap TO PUBLIC;
		SET SESSION AUTHORIZATION boss;
		CREATE TABLE $schema.pairs (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
		INSERT INTO $schema.pairs VALUES (1, 1), (2, 2);
		GRANT ALL ON $schema.pairs TO writer;
		SET SESSION AUTHORIZATION $owner;
		CREATE FUNCTION ${schema}_trap.spring() RETURNS int LANGUAGE plpgsql VOLATILE AS \$\$
			BEGIN $body RETURN 1; END \$\$;
		CREATE VIEW ${schema}_trap.pairs AS SELECT ${schema}_trap.spring() AS contact_id, ${schema}_trap.spring() AS company_id;
		GRANT ALL ON ${schema}_trap.pairs TO PUBLIC});
}
my ($enabled, $error) = as('boss', q{SELECT hs_assoc_enable_sync('books.pairs', 'contacts', 'contact_id', 'deals', 'company_id')});
is($error, '', 'a table is kept in sync');
my $links = $node->safe_psql('shop', q{SELECT 'links.pairs'::regclass::oid});

# the functions stay where they can be found, by names of their own
as('postgres', q{
	CREATE FUNCTION watch.enable(t regclass) RETURNS bigint BEGIN ATOMIC
		SELECT hs_assoc_enable_sync(t, 'contacts', 'contact_id', 'companies', 'company_id', backfill => true); END;
	CREATE FUNCTION watch.disable(t regclass) RETURNS int BEGIN ATOMIC SELECT hs_assoc_disable_sync(t); END;
	CREATE FUNCTION watch.enqueue(id int) RETURNS bigint BEGIN ATOMIC
		SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', format('SELECT %s AS from_id, 3 AS to_id', id)); END;
	CREATE FUNCTION watch.pause() RETURNS boolean BEGIN ATOMIC SELECT hs_assoc_pause(); END;
	CREATE FUNCTION watch.resume() RETURNS boolean BEGIN ATOMIC SELECT hs_assoc_resume(); END});

my @swaps = map { loop(@$_) } (
	[ 'app', swap('public', 'trap') ],
	[ 'app', swap('links', 'links_trap') ],
	[ 'writer', swap('books', 'books_trap') ]);
my %calls = map { $_->[0] => loop(@$_[ 1, 2 ]) } (
	[ 'enqueue', 'app', 'PERFORM watch.enqueue(10 + (random() * 1000)::int);' ],
	[ 'pause', 'postgres', 'PERFORM watch.pause(); PERFORM watch.resume();' ],
	[ 'enable_sync', 'postgres', "PERFORM watch.enable($links); PERFORM watch.disable($links);" ],
	[ 'write', 'writer', q{
		EXECUTE 'WITH gone AS (DELETE FROM books.pairs RETURNING *)
			INSERT INTO books.pairs SELECT contact_id, company_id + 1 FROM gone';} ]);
cmp_ok(turns($_), '>', 100, 'names were swapped all the time') foreach @swaps;
cmp_ok(turns($calls{$_}), '>', 5, "$_: calls went well meanwhile") foreach sort keys %calls;
foreach my $schema ('public', 'links', 'books')
{
	my $moved = $schema eq 'public' ? "EXISTS (SELECT FROM pg_extension WHERE extname = 'hubspot_assoc' AND extnamespace <> 'public'::regnamespace)"
	  : "EXISTS (SELECT FROM pg_class WHERE relnamespace = '$schema'::regnamespace AND relname = 'pairs' AND relkind = 'v')";
	my $other = $schema eq 'public' ? 'trap' : "${schema}_trap";
	as('postgres', 'DO $$ BEGIN ' . swap($schema, $other) . ' END $$') if $node->safe_psql('shop', "SELECT $moved") eq 't';
}
is(caught('app', 'writer'), '', 'nothing of the traps was run with the rights of another');
is(superusers(), '', 'nobody is a superuser now');
cmp_ok($hubspot->association_count('contacts', 'companies'), '>', 1, 'the worker has sent meanwhile');

#
# Somebody who may write the extension's tables, by a grant, has no more by it
#
as('postgres', q{
	ALTER EVENT TRIGGER hs_assoc_sync_ddl ENABLE ALWAYS;
	DELETE FROM watch.caught;
	SELECT hs_assoc_pause();
	GRANT TRIGGER ON hs_assoc_outbox, hs_assoc_account_pause TO app});
(my $body = $evil) =~ s/OWNER_OF_TRAP/app/;
$body =~ s/TG_NAME_OR_VIEW/TG_TABLE_NAME/;
is((as('app', qq{
		CREATE SCHEMA app;
		GRANT USAGE ON SCHEMA app TO PUBLIC;
		CREATE FUNCTION app.spring() RETURNS trigger LANGUAGE plpgsql AS \$\$
			BEGIN $body RETURN NULL; END \$\$;
		CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON hs_assoc_outbox
			FOR EACH STATEMENT EXECUTE FUNCTION app.spring()}))[1],
	'', 'a trigger on the outbox');
is((as('writer', 'INSERT INTO books.pairs VALUES (7001, 1)'))[1], '', 'a writer steps into it');
as('postgres', 'SELECT hs_assoc_resume(), hs_assoc_retry()');
wait_until(sub { $hubspot->association_count('contacts', 'deals') > 0 });
is(caught('nobody'), 'hs_assoc_outbox as pg_checkpoint', '... and a superuser, and the worker; it has no rights');
is(superusers(), '', 'nobody is a superuser now');
as('postgres', q{
	DROP TRIGGER t ON hs_assoc_outbox;
	CREATE RULE r AS ON INSERT TO hs_assoc_outbox DO ALSO DELETE FROM watch.caught});
like((as('writer', 'INSERT INTO books.pairs VALUES (7002, 1)'))[1],
	qr/ERROR:  rules on tables of hubspot_assoc are not supported/, 'a rule is refused');

as('postgres', 'DROP RULE r ON hs_assoc_outbox');

#
# Code that is called on the way leaves no setting behind, and closes no cursor
#
as('postgres', q{
	CREATE ROLE weak LOGIN;
	GRANT TRIGGER ON hs_assoc_outbox, hs_assoc_account_pause TO weak;
	CREATE SCHEMA weak AUTHORIZATION weak;
	GRANT USAGE ON SCHEMA weak TO PUBLIC});
is((as('weak', q{
		CREATE FUNCTION weak.leave() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE c refcursor; r record;
		BEGIN
			PERFORM pg_catalog.set_config('search_path', 'weak', false);
			FOR r IN SELECT name FROM pg_cursors WHERE name <> 'victim' LOOP
				INSERT INTO watch.caught VALUES ('a cursor', r.name);
				BEGIN
					c := r.name;
					CLOSE c;
				EXCEPTION WHEN OTHERS THEN
				END;
			END LOOP;
			RETURN NULL;
		END $$;
		CREATE TRIGGER leave AFTER INSERT OR DELETE ON public.hs_assoc_outbox
			FOR EACH STATEMENT EXECUTE FUNCTION weak.leave();
		CREATE TRIGGER leave AFTER INSERT OR DELETE ON public.hs_assoc_account_pause
			FOR EACH STATEMENT EXECUTE FUNCTION weak.leave()}))[1], '', 'triggers that set something');
is((as('postgres', q{
		SET search_path = public; SELECT hs_assoc_pause();
		SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 3000) AS i');
		SHOW search_path}))[0], "t\n3000\npublic", 'nothing stays set, and all rows are enqueued');
is($node->safe_psql('shop', q{SELECT count(*) FROM watch.caught WHERE trap = 'a cursor' AND victim NOT LIKE '<unnamed portal%'}), '0',
	'the cursor of the query cannot be found');
as('postgres', 'DROP TRIGGER leave ON hs_assoc_outbox; DROP TRIGGER leave ON hs_assoc_account_pause; TRUNCATE hs_assoc_outbox; DELETE FROM watch.caught; SELECT hs_assoc_resume()');

#
# What the owner of a partition, or of a table in sync, has put into its statistics
# and indexes is called by the planner: with no rights, and nothing of it stays
#
(my $evaluated = $evil) =~ s/OWNER_OF_TRAP/weak/;
$evaluated =~ s/TG_NAME_OR_VIEW/'a partition'/;
is((as('postgres', qq{
		GRANT USAGE ON FOREIGN SERVER hubspot TO weak;
		CREATE TABLE public.parted (contact_id bigint, company_id bigint, PRIMARY KEY (contact_id, company_id)) PARTITION BY RANGE (contact_id);
		CREATE TABLE weak.part PARTITION OF public.parted FOR VALUES FROM (1) TO (1000);
		SELECT hs_assoc_enable_sync('public.parted', 'contacts', 'contact_id', 'companies', 'company_id');
		ALTER TABLE weak.part OWNER TO weak}))[1], '', 'a partition of somebody else');
is((as('weak', qq{
		CREATE FUNCTION weak.really(t text) RETURNS bigint LANGUAGE plpgsql AS \$\$
			BEGIN
				PERFORM pg_catalog.set_config('search_path', 'weak', false);
				$evaluated
				RETURN 1;
			END \$\$;
		CREATE FUNCTION weak.evil(t text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS \$\$
			BEGIN RETURN weak.really(t); END \$\$;
		INSERT INTO weak.part VALUES (1, 1);
		CREATE STATISTICS weak.st ON (contact_id + weak.evil('x')), company_id FROM weak.part;
		CREATE TABLE weak.own (contact_id bigint, company_id bigint, PRIMARY KEY (contact_id, company_id));
		CREATE STATISTICS weak.st2 ON (contact_id + weak.evil('x')), company_id FROM weak.own;
		INSERT INTO weak.own VALUES (5, 5)}))[1], '', 'its owner has the planner call something');
as('postgres', 'DELETE FROM watch.caught');
as('weak', 'WITH i AS (INSERT INTO weak.part VALUES (2, 2) RETURNING 1) DELETE FROM weak.part WHERE contact_id = 1');
is((as('postgres', q{
		SET search_path = public;
		SELECT hs_assoc_enable_sync('weak.own', 'contacts', 'contact_id', 'deals', 'company_id', backfill => true);
		SHOW search_path}))[0], "1\npublic", 'a backfill leaves no setting behind');
is(caught('weak', 'pg_checkpoint'), '', 'nobody else has run it');
is(superusers(), '', 'nobody is a superuser now');

#
# Where nobody else may call our functions, those who may write still can
#
as('postgres', q{
	REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
	TRUNCATE hs_assoc_outbox; DELETE FROM hs_assoc_backoff});
is((as('writer', 'INSERT INTO books.pairs VALUES (7003, 1)'))[1], '', 'without EXECUTE for PUBLIC, a writer writes');
eval { wait_until(sub { grep { $_->{from_id} == 7003 } @{ $hubspot->associations('contacts', 'deals') } }, patience(20)) };
is($@, '', '... and it is sent');

#
# Anybody can lock the extension, and for ever: what is due is sent all the same
#
my $holder = start_session($node, 'shop');
$holder->query(q{SET SESSION AUTHORIZATION weak; CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
	BEGIN; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION hubspot_assoc});
my $before = $hubspot->association_count('contacts', 'tickets');
as('postgres', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'tickets', 'SELECT 1 AS from_id, 2 AS to_id')});
eval { wait_until(sub { $hubspot->association_count('contacts', 'tickets') > $before }, patience(20)) };
is($@, '', 'with the extension locked by somebody, rows are sent');
$holder->query('ROLLBACK');

done_testing();
