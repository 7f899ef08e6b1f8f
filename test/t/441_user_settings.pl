# Whatever a user's session has set, and whatever its isolation level is: what the functions
# answer, what tables in sync and foreign tables enqueue, and what HubSpot holds in the end is
# what it is without that. Nothing is called that another schema has under a name of
# pg_catalog's.

use strict;
use warnings;

use Encode ();
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

# What is set in one go. If a group makes a difference, its settings are tried one by one, so
# that the test says which it is. Those that this version lacks are left out.
my @groups = (
	{ default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on', 'plpgsql.variable_conflict' => 'use_column', 'plpgsql.extra_errors' => 'all' },
	{ default_transaction_isolation => 'repeatable read', search_path => "''", 'plpgsql.variable_conflict' => 'use_variable', 'plpgsql.print_strict_params' => 'on' },
	{ search_path => 'hostile, pg_catalog', idle_in_transaction_session_timeout => '1ms', lock_timeout => '10s', (instrumented() ? () : (max_stack_depth => '100kB')) },
	{ standard_conforming_strings => 'off', escape_string_warning => 'off', backslash_quote => 'off', array_nulls => 'off', transform_null_equals => 'on', xmloption => 'document', row_security => 'off',
		check_function_bodies => 'off', default_toast_compression => 'pglz', default_text_search_config => 'pg_catalog.german', gin_fuzzy_search_limit => 1 },
	{ datestyle => 'German, DMY', intervalstyle => 'sql_standard', timezone => 'Asia/Kathmandu', timezone_abbreviations => 'India', extra_float_digits => -15, bytea_output => 'escape', quote_all_identifiers => 'on',
		client_encoding => 'SQL_ASCII', session_replication_role => 'local' },
	{ client_encoding => 'LATIN1', synchronous_commit => 'remote_apply', track_activities => 'off', track_counts => 'off', track_functions => 'all', stats_fetch_consistency => 'snapshot', log_min_messages => 'debug5',
		log_statement => 'all', log_parameter_max_length_on_error => -1, debug_print_parse => 'on', debug_print_rewritten => 'on', debug_print_plan => 'on', log_executor_stats => 'on' },
	{ plan_cache_mode => 'force_generic_plan', enable_indexscan => 'off', enable_indexonlyscan => 'off', enable_bitmapscan => 'off', enable_hashjoin => 'off', enable_mergejoin => 'off', enable_hashagg => 'off',
		work_mem => '64kB', maintenance_work_mem => '1MB', temp_buffers => 100, constraint_exclusion => 'on' },
	{ plan_cache_mode => 'force_custom_plan', enable_seqscan => 'off', enable_nestloop => 'off', enable_sort => 'off', enable_memoize => 'off', enable_material => 'off', enable_tidscan => 'off', enable_incremental_sort => 'off',
		enable_partition_pruning => 'off', geqo_threshold => 2, from_collapse_limit => 1, join_collapse_limit => 1, seq_page_cost => 1000000, cursor_tuple_fraction => 0, jit => 'off' },
	{ force_parallel_mode => 'regress', debug_parallel_query => 'regress', parallel_setup_cost => 0, parallel_tuple_cost => 0, min_parallel_table_scan_size => 0, min_parallel_index_scan_size => 0,
		enable_partitionwise_join => 'on', enable_partitionwise_aggregate => 'on', jit => 'off' });	# compiling all of it takes 20 seconds

my $node = start_node('hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
my $admin = start_session($node);
make_extension();
make_hostile();

my $expected = run({});
cmp_ok($expected =~ tr/\n//, '>', 350, 'so many lines are compared');
unlike($expected, qr/XX000|hostile|server closed/, '... of what works');
foreach my $group (@groups)
{
	my $got = run($group);
	is(count_settings(), scalar(known($group)), 'they are set');
	same_lines($got, $expected, join ', ', map { "$_ = $group->{$_}" } sort keys %$group) and next;
	foreach my $name (keys %$group > 1 ? sort keys %$group : ())
	{
		same_lines(run({ $name => $group->{$name} }), $expected, "... of which $name = $group->{$name}");
	}
}
waits_for_locks();
done_testing();

# A server whose statements are those of a role that has made none of the extension
sub make_extension
{
	$admin->query('CREATE SCHEMA hs; CREATE EXTENSION hubspot_assoc SCHEMA hs; SET client_min_messages = warning');
	create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s', history_retention => '1d', sent_retention => '1d');
	$admin->query(q{
		CREATE ROLE ulla LOGIN; GRANT CREATE ON DATABASE postgres TO ulla;
		GRANT USAGE ON SCHEMA hs TO ulla; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA hs TO ulla; GRANT SELECT ON ALL TABLES IN SCHEMA hs TO ulla;
		GRANT USAGE ON FOREIGN SERVER hubspot TO ulla; SELECT hs.hs_assoc_adopt();
		CREATE SCHEMA w AUTHORIZATION ulla;
		CREATE SCHEMA seen; CREATE VIEW seen.outbox AS TABLE hs.hs_assoc_outbox; CREATE VIEW seen.dead_letter AS TABLE hs.hs_assoc_dead_letter; CREATE VIEW seen.sent AS TABLE hs.hs_assoc_sent;
		GRANT USAGE ON SCHEMA seen TO ulla; GRANT SELECT ON ALL TABLES IN SCHEMA seen TO ulla});
	return;
}

# A schema with something of the name of all that pg_catalog and the extension have, as far as
# that can be made: it fails when it is called, and does not have the columns.
sub make_hostile
{
	$admin->query(q{
		CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO PUBLIC;
		DO $do$
		DECLARE
			command text;
			made int := 0;
		BEGIN
			FOR command IN
				SELECT format('CREATE %s hostile.%I(%s) %s LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION %L; END$$', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
					p.proname, pg_get_function_identity_arguments(p.oid), CASE p.prokind WHEN 'p' THEN '' ELSE 'RETURNS ' || pg_get_function_result(p.oid) END, 'hostile.' || p.proname || ' is called')
				FROM pg_proc AS p WHERE p.pronamespace = ANY ('{pg_catalog,hs}'::regnamespace[]) AND p.proargmodes IS NULL
				UNION ALL
				SELECT format('CREATE OPERATOR hostile.%s (%s FUNCTION = hostile.%I)', o.oprname,
					CASE WHEN o.oprleft <> 0 THEN 'LEFTARG = ' || format_type(o.oprleft, NULL) || ', ' ELSE '' END || 'RIGHTARG = ' || format_type(o.oprright, NULL) || ', ', p.proname)
				FROM pg_operator AS o JOIN pg_proc AS p ON p.oid = o.oprcode WHERE o.oprnamespace = 'pg_catalog'::regnamespace
				UNION ALL
				SELECT format('CREATE TABLE hostile.%I (hostile int)', relname) FROM pg_class WHERE relnamespace = ANY ('{pg_catalog,hs}'::regnamespace[]) AND relkind IN ('r', 'v')
				UNION ALL
				SELECT format('CREATE DOMAIN hostile.%I AS int CHECK (false)', typname) FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typelem = 0
			LOOP
				BEGIN
					EXECUTE command;
					made := made + 1;
				EXCEPTION WHEN others THEN NULL;	-- cannot be made
				END;
			END LOOP;
			ASSERT made > 3000, format('%s are made', made);
		END
		$do$});
	return;
}

# Those of the settings that there are
sub known
{
	my ($settings) = @_;
	my %known = map { $_ => 1 } split /\n/, $admin->query('SELECT lower(name) FROM pg_settings');
	return grep { $known{$_} || /^plpgsql\./ } sort keys %$settings;
}

# How many settings a session of ulla begins with
sub count_settings
{
	return $node->safe_psql('postgres', q{DO 'BEGIN END'; SELECT pg_catalog.count(*) FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'user'}, extra_params => [ '-U', 'ulla' ]);
}

# All that is shown, and what HubSpot holds in the end, with these settings
sub run
{
	my ($settings) = @_;
	my $latin = ($settings->{client_encoding} // '') eq 'LATIN1';
	my $script = script();
	my $out = '';

	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach 'Alpha', 'Be\\ta';
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com" } } } 1 .. 9 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 9 ]);
	$hubspot->put_associations('contacts', 'companies', [ map { my $i = $_; map { [ $i, 10 + $_ ] } 1 .. 3 } 1 .. 5 ]);
	$admin->query(q{DROP SCHEMA w CASCADE; TRUNCATE hs.hs_assoc_outbox, hs.hs_assoc_dead_letter, hs.hs_assoc_sent, hs.hs_assoc_history_batch;
		CREATE SCHEMA w AUTHORIZATION ulla; ALTER ROLE ulla RESET ALL; LOAD 'plpgsql'});
	foreach my $name (known($settings))
	{
		my $value = $name =~ /^(search_path|datestyle)$/ ? $settings->{$name} : "'$settings->{$name}'";
		$admin->query("ALTER ROLE ulla SET $name = $value");
	}
	Encode::from_to($script, 'UTF-8', 'LATIN1') if $latin;
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres') . ' user=ulla', '-f', '-' ], '<', \$script, '>&', \$out, IPC::Run::timeout(patience(180)));
	Encode::from_to($out, 'LATIN1', 'UTF-8') if $latin;
	# lines of the sources and of the script, and how names are written there
	$out =~ s/^(?:LOCATION|CONTEXT):.*\n//mg;
	$out =~ s/^psql:<stdin>:\d+: //mg;
	$out =~ s/"//g;
	return $out . join '', map { "$_: " . $hubspot->association_table(split / /) } 'contacts companies', 'contacts deals', 'deals companies', 'tickets contacts';
}

# The statements at the end of this file
sub script
{
	my $sql = slurp_file(__FILE__) =~ s/.*\n__END__\n//sr;
	return $sql =~ s/^-- (.*)$/\\echo == $1/mgr;
}

# What a session's lock_timeout ends is its own ERROR: no account fails, and no row
sub waits_for_locks
{
	my ($other, $impatient) = map { start_session($node) } 1 .. 2;

	$admin->query(q{TRUNCATE hs.hs_assoc_outbox, hs.hs_assoc_dead_letter; DROP SCHEMA w CASCADE; CREATE TABLE public.links (f int, t int, PRIMARY KEY (f, t)); SELECT hs.hs_assoc_enable_sync('public.links', 'contacts', 'f', 'deals', 't')});
	foreach my $table (qw(lease outbox dead_letter doubt backoff sent event))
	{
		$admin->query("INSERT INTO public.links SELECT coalesce(max(f), 0) + 1, 1 FROM public.links");
		$other->query("BEGIN; LOCK TABLE hs.hs_assoc_$table IN ACCESS EXCLUSIVE MODE");
		like($impatient->told("SET lock_timeout = '10ms'; CALL hs.hs_assoc_flush()"), qr/\A\S+ ERROR:  55P03: canceling statement due to lock timeout\n[^\n]*\z/, "lock_timeout, waiting for hs_assoc_$table");
		$other->query('ROLLBACK');
		is($admin->query('SELECT (SELECT count(*) FROM hs.hs_assoc_backoff) + (SELECT count(*) FROM hs.hs_assoc_dead_letter) + coalesce(sum(attempts), 0) FROM hs.hs_assoc_outbox'), 0, '... is nobody\'s failure');
		$admin->query('CALL hs.hs_assoc_flush()');
		is($admin->query('SELECT count(*) FROM hs.hs_assoc_outbox'), 0, '... and a patient session sends it');
	}
	return;
}
__END__
-- reads
SELECT to_id, category, type_id, label, is_primary FROM hs.hs_assoc_list('contacts', 1, 'companies') ORDER BY to_id;
CREATE TABLE w.ids (id int, other pg_catalog.text);
INSERT INTO w.ids SELECT i, i FROM pg_catalog.generate_series(1, 6) AS i;
SELECT input_no, from_id, to_id, type_id, error_category FROM hs.hs_assoc_batch_read('contacts', 'companies', 'SELECT id AS from_id FROM w.ids ORDER BY id') ORDER BY 1, 3;
SELECT input_no, from_id, to_id, error_message FROM hs.hs_assoc_batch_read('contacts', 'companies', ARRAY['1', NULL, 'x y', '3']) ORDER BY 1, 3;
SELECT from_id, to_id FROM hs.hs_assoc_scan('contacts', 'companies') ORDER BY 1, 2;
SELECT * FROM hs.hs_assoc_labels('contacts', 'companies') ORDER BY 1, 2;
SELECT category, label FROM hs.hs_assoc_label_create('contacts', 'companies', 'ährE', 'gamma', 'back');
SELECT * FROM hs.hs_assoc_label_usage('contacts', 'companies');
SELECT hs.hs_assoc_limit_create('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 50);
SELECT * FROM hs.hs_assoc_limits();
SELECT pg_catalog.count(*) FROM hs.hs_assoc_object_types();
SELECT * FROM hs.hs_assoc_account();
SELECT name, daily_limit FROM hs.hs_assoc_quota();
SELECT * FROM hs.hs_assoc_records_near_limit('contacts', 'companies');
SELECT http_status, body FROM hs.hs_assoc_request('GET', '/crm/associations/2026-03/contacts/companies/labels');
SELECT * FROM hs.hs_assoc_resolve('contacts:email', ARRAY['c1@example.com', 'none@example.com', NULL, 'C2@EXAMPLE.COM']) ORDER BY 1;
SELECT * FROM hs.hs_assoc_resolve('companies:domain', $$SELECT v.k AS key FROM (VALUES ('d1.example'), ('d9.example')) AS v (k)$$) ORDER BY 1;
-- writes
SELECT ok, labels FROM hs.hs_assoc_create_default('contacts:email', 'c1@example.com', 'companies:domain', 'd1.example');
SELECT ok, labels FROM hs.hs_assoc_create('contacts', 7, 'companies', 8, labels => ARRAY['alpha', $$Be\ta$$]);
SELECT ok, labels FROM hs.hs_assoc_create('contacts', 7, 'companies', 8, labels => ARRAY['ÄHRE'], keep_labels => true);
SELECT ok, labels, error_message FROM hs.hs_assoc_create('contacts', 7, 'companies', 8, labels => ARRAY['Delta']);
SELECT input_no, from_id, to_id, ok, labels, error_category FROM hs.hs_assoc_batch_create('contacts', 'companies', $q$SELECT v.* FROM (VALUES (20, 30, 'Alpha'), (21, 31, NULL), (22, 32, $$Be\ta$$)) AS v (from_id, to_id, label)$q$) ORDER BY 1;
SELECT input_no, ok, error_category FROM hs.hs_assoc_batch_create('contacts', 'companies', ARRAY[ROW('23', '33', ARRAY[279], NULL, NULL), ROW('24', NULL, NULL, NULL, ARRAY['Alpha'])]::hs.hs_assoc_input[]) ORDER BY 1;
SELECT input_no, ok FROM hs.hs_assoc_batch_create('contacts', 'companies', 'SELECT 25 AS from_id, 35 AS to_id', is_primary => true) ORDER BY 1;
SELECT input_no, ok FROM hs.hs_assoc_batch_create_default('contacts', 'companies', 'SELECT id AS from_id, 40 AS to_id FROM w.ids') ORDER BY 1;
SELECT input_no, ok FROM hs.hs_assoc_batch_archive_labels('contacts', 'companies', $$SELECT 20 AS from_id, 30 AS to_id, 'Alpha' AS label$$) ORDER BY 1;
SELECT input_no, ok FROM hs.hs_assoc_batch_archive('contacts', 'companies', 'SELECT id AS from_id, 11 AS to_id FROM w.ids') ORDER BY 1;
SELECT hs.hs_assoc_create_default('contacts', 'no id', 'companies', '1', on_error => 'raise');
SELECT * FROM hs.hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS id');
SELECT * FROM hs.hs_assoc_list('contacts', 1, 'companies', server => 'hubspt');
SELECT input_no, ok FROM hs.hs_assoc_batch_create_default('contacts', 'companies', $$INSERT INTO w.ids VALUES (9) RETURNING id AS from_id, 41 AS to_id$$) ORDER BY 1;
SELECT action, from_id, to_id, label, ok FROM hs.hs_assoc_plan('contacts', 'companies', $q$SELECT v.* FROM (VALUES (1, 12, 'Alpha'), (1, 13, $$Be\ta$$)) AS v (from_id, to_id, label)$q$) ORDER BY 2, 3, 1;
SELECT action, from_id, to_id, label, ok FROM hs.hs_assoc_apply('contacts', 'companies', $q$SELECT v.* FROM (VALUES (1, 12, 'Alpha'), (1, 13, $$Be\ta$$)) AS v (from_id, to_id, label)$q$, scope => 'SELECT v.i AS from_id FROM (VALUES (1), (2), (3)) AS v (i)', max_removals => 20) ORDER BY 2, 3, 1;
-- outbox
SELECT hs.hs_assoc_enqueue('create_default', 'contacts', 'deals', 'SELECT id AS from_id, id AS to_id FROM w.ids');
SELECT hs.hs_assoc_enqueue('create', 'contacts', 'companies', $q$SELECT 50 AS from_id, 60 AS to_id, $$Be\ta$$ AS label$q$, keep_labels => true);
SELECT hs.hs_assoc_enqueue('create', 'contacts', 'companies', $$SELECT 51 AS from_id, 60 AS to_id, 'Delta' AS label$$);
SELECT hs.hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT 'c3@example.com' AS from_id, 61 AS to_id$$, wait_for_records => '1 day');
SELECT hs.hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT 'nobody@example.com' AS from_id, 61 AS to_id$$, wait_for_records => '0');
SELECT hs.hs_assoc_enqueue('archive', 'contacts', 'deals', 'SELECT 6 AS from_id, 6 AS to_id');
SELECT operation, from_type, from_id, to_type, to_id, type_ids, category, labels, keep_labels, waited IS NULL FROM seen.outbox ORDER BY id;
SELECT server, role, operation, from_type, to_type, waiting, in_flight, retrying, dead FROM hs.hs_assoc_outbox_stat ORDER BY 3, 4, 5;
SELECT hs.hs_assoc_pause();
CALL hs.hs_assoc_flush();
SELECT hs.hs_assoc_resume();
CALL hs.hs_assoc_flush();
SELECT operation, from_id, to_id, error_category, error_message FROM seen.dead_letter ORDER BY operation, from_id;
SELECT operation, from_id, to_id, labels, outcome, enqueued_by FROM hs.hs_assoc_history ORDER BY 1, 2, 3;
SELECT pg_catalog.count(*) FROM seen.sent;
SELECT hs.hs_assoc_retry(ARRAY(SELECT id FROM seen.dead_letter WHERE operation OPERATOR(pg_catalog.=) 'create'));
CALL hs.hs_assoc_flush();
SELECT hs.hs_assoc_discard();
SELECT operation, from_id, to_id FROM seen.outbox ORDER BY id;
-- sync
CREATE TABLE w."Pl""ain" (f int, t pg_catalog.numeric, note pg_catalog.float8, PRIMARY KEY (f, t));
INSERT INTO w."Pl""ain" VALUES (1, 1), (2, 2.0);
SELECT hs.hs_assoc_enable_sync('w."Pl""ain"', 'contacts', 'f', 'deals', 't', backfill => true);
INSERT INTO w."Pl""ain" SELECT i, i FROM pg_catalog.generate_series(3, 8) AS i;
UPDATE w."Pl""ain" SET t = 7.00 WHERE f OPERATOR(pg_catalog.=) 3;
UPDATE w."Pl""ain" SET note = 0.1, t = 4.000 WHERE f OPERATOR(pg_catalog.=) 4;
DELETE FROM w."Pl""ain" WHERE f OPERATOR(pg_catalog.=) 5;
INSERT INTO w."Pl""ain" VALUES (6, 6) ON CONFLICT (f, t) DO UPDATE SET t = 66;
MERGE INTO w."Pl""ain" AS p USING w.ids AS i ON p.f OPERATOR(pg_catalog.=) i.id WHEN MATCHED AND i.id OPERATOR(pg_catalog.<) 2 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (i.id, 77);
BEGIN\; DELETE FROM w."Pl""ain" WHERE f OPERATOR(pg_catalog.=) 8\; SAVEPOINT s\; INSERT INTO w."Pl""ain" VALUES (90, 90)\; ROLLBACK TO s\; INSERT INTO w."Pl""ain" VALUES (8, 88)\; COMMIT;
ALTER TABLE w."Pl""ain" RENAME t TO "T, o";
ALTER TABLE w."Pl""ain" ALTER f TYPE bigint;
INSERT INTO w."Pl""ain" VALUES (91, 91);
CREATE TABLE w.labelled (f pg_catalog.text, t pg_catalog.text, label pg_catalog.text, UNIQUE (f, t, label));
SELECT hs.hs_assoc_enable_sync('w.labelled', 'contacts', 'f', 'companies', 't', label_column => 'label');
INSERT INTO w.labelled VALUES ('70', '80', 'alpha'), ('70', '80', NULL), ('71', '80', $$Be\ta$$), ('72', '80', 'ÄHRE');
UPDATE w.labelled SET label = 'Alpha' WHERE f OPERATOR(pg_catalog.=) '71';
DELETE FROM w.labelled WHERE label IS NULL;
CREATE TYPE w.which AS ENUM ('11', '12');
CREATE TABLE w.fixed (f w.which, t pg_catalog.bpchar(5), UNIQUE (f, t));
SELECT hs.hs_assoc_enable_sync('w.fixed', 'tickets', 'f', 'contacts', 't');
INSERT INTO w.fixed VALUES ('11', '5  '), ('12', '6');
CREATE TABLE w.keyed (f pg_catalog.varchar, t pg_catalog.text, UNIQUE (f, t));
SELECT hs.hs_assoc_enable_sync('w.keyed', 'contacts:email', 'f', 'companies:domain', 't', label => $$Be\ta$$, wait_for_records => '2 days 3 hours');
INSERT INTO w.keyed VALUES ('c4@example.com', 'd4.example'), ('C5@example.com', 'D5.example');
CREATE TABLE w.parts (f int, t int, UNIQUE (f, t)) PARTITION BY RANGE (f);
CREATE TABLE w.part PARTITION OF w.parts FOR VALUES FROM (1) TO (10);
SELECT hs.hs_assoc_enable_sync('w.parts', 'deals', 'f', 'companies', 't');
INSERT INTO w.parts VALUES (1, 1), (2, 2);
CREATE TABLE w.more (f int, t int, UNIQUE (f, t));
INSERT INTO w.more VALUES (11, 11);
ALTER TABLE w.parts ATTACH PARTITION w.more FOR VALUES FROM (10) TO (20);
UPDATE w.parts SET f = 12 WHERE f OPERATOR(pg_catalog.=) 2;
ALTER TABLE w.parts DETACH PARTITION w.part;
SELECT operation, from_type, from_id, to_type, to_id, type_ids, category, labels, link_table, wait_for_records IS NOT NULL FROM seen.outbox ORDER BY id;
SELECT link_table, from_type, from_column, to_type, to_column, label, label_column, problem FROM hs.hs_assoc_sync ORDER BY id;
INSERT INTO w.labelled VALUES ('70', 'no id', 'alpha');
CREATE FUNCTION w.writes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO w.parts VALUES (15, 15); RETURN NULL; END';
CREATE TRIGGER t AFTER INSERT ON w.fixed EXECUTE FUNCTION w.writes();
INSERT INTO w.fixed VALUES ('12', '7');
DO 'BEGIN INSERT INTO w.parts VALUES (16, 16); COMMIT; BEGIN INSERT INTO w.parts VALUES (17, 17); RAISE EXCEPTION SQLSTATE $$P0001$$; EXCEPTION WHEN raise_exception THEN INSERT INTO w.parts VALUES (18, 18); END; END';
CALL hs.hs_assoc_flush();
DO 'BEGIN INSERT INTO w.parts VALUES (19, 19); COMMIT; CALL hs.hs_assoc_flush(); END';
SELECT operation, from_id, to_id, error_category, error_message FROM seen.dead_letter ORDER BY operation, from_id;
SELECT action, from_id, to_id, label FROM hs.hs_assoc_drift('w.labelled', scope => 'SELECT 7 AS from_id UNION SELECT 71') ORDER BY 2, 3, 1, 4;
SELECT hs.hs_assoc_disable_sync('w.labelled');
TRUNCATE w.more;
ALTER TABLE w.fixed DROP COLUMN t;
DROP TABLE w.fixed;
ALTER SCHEMA w RENAME TO w2; ALTER SCHEMA w2 RENAME TO w;
SELECT operation, from_type, from_id, to_type, to_id FROM seen.outbox ORDER BY id;
CALL hs.hs_assoc_flush();
-- repair
ALTER TABLE w."Pl""ain" DISABLE TRIGGER USER;
INSERT INTO w."Pl""ain" VALUES (8, 9), (91, 92);
ALTER TABLE w."Pl""ain" ENABLE TRIGGER USER;
SELECT action, from_id, to_id FROM hs.hs_assoc_drift('w."Pl""ain"') ORDER BY 2, 3, 1;
SET default_transaction_isolation = 'read committed';
SELECT hs.hs_assoc_repair('w."Pl""ain"');
RESET default_transaction_isolation;
-- foreign tables
IMPORT FOREIGN SCHEMA hubspot LIMIT TO (contacts_companies, labels, object_types) FROM SERVER hubspot INTO w;
CREATE FOREIGN TABLE w.fdw (a bigint OPTIONS (role 'from_id'), b bigint OPTIONS (role 'to_id'), label pg_catalog.text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE w.direct (from_id pg_catalog.text, to_id pg_catalog.text) SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies', writes 'direct', scan 'all');
SELECT c.relname, c.relkind FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) 'w'::pg_catalog.regnamespace AND c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY 1;
SELECT label, type_id FROM w.labels WHERE from_type OPERATOR(pg_catalog.=) 'contacts' AND to_type OPERATOR(pg_catalog.=) 'companies' ORDER BY 2, 1;
SELECT a, b, label FROM w.fdw WHERE a OPERATOR(pg_catalog.=) ANY (ARRAY[1, 7, 70, 71]) ORDER BY 1, 2, 3;
SELECT i.id, f.b FROM w.ids AS i JOIN w.fdw AS f ON f.a OPERATOR(pg_catalog.=) i.id ORDER BY 1, 2;
SELECT from_id, to_id FROM w.direct ORDER BY 1, 2;
INSERT INTO w.direct VALUES ('c6@example.com', '206') RETURNING *;
DELETE FROM w.direct WHERE from_id OPERATOR(pg_catalog.=) 'c6@example.com' RETURNING to_id;
INSERT INTO w.fdw VALUES (200, 300, NULL), (201, 300, $$Be\ta$$);
UPDATE w.fdw SET b = 301 WHERE a OPERATOR(pg_catalog.=) 200;
CALL hs.hs_assoc_flush();
UPDATE w.fdw SET label = 'Alpha' WHERE a OPERATOR(pg_catalog.=) 201 AND label OPERATOR(pg_catalog.=) $$Be\ta$$;
DELETE FROM w.fdw WHERE a OPERATOR(pg_catalog.=) 2;
SELECT operation, from_id, to_id, labels FROM seen.outbox ORDER BY id;
CALL hs.hs_assoc_flush();
SELECT * FROM w.fdw;
-- pull
CREATE TABLE w.changes (id bigint PRIMARY KEY, link pg_catalog.text, old_row pg_catalog.jsonb, new_row pg_catalog.jsonb);
CREATE TABLE w.links (f int, t int, since pg_catalog.date, took pg_catalog.interval, PRIMARY KEY (f, t));
SELECT hs.hs_assoc_enable_sync('w.links', 'tickets', 'f', 'contacts', 't');
INSERT INTO w.changes VALUES (1, 'w.links', NULL, '{"f": 1, "t": 1, "since": "2026-03-04", "took": "-1 days +02:03:04"}'), (2, 'w.links', NULL, '{"f": 2, "t": 2, "since": null, "took": null}'),
	(3, 'w.links', '{"f": 1, "t": 1, "since": "2026-03-04", "took": "-1 days +02:03:04"}', '{"f": 1, "t": 3, "since": "2026-03-04", "took": "-1 days +02:03:04"}');
CALL hs.hs_assoc_pull('w.links', 'w.changes', max_rows => 2);
SELECT f, t, pg_catalog.date_part('day', since), pg_catalog.date_part('hour', took), pg_catalog.date_part('day', took) FROM w.links ORDER BY 1, 2;
CREATE TABLE w.all_rows (LIKE w.links);
INSERT INTO w.all_rows VALUES (2, 2), (3, 3);
CALL hs.hs_assoc_pull('w.links', 'w.changes', all_rows => 'w.all_rows');
CALL hs.hs_assoc_pull('w.ids', 'w.changes');
CALL hs.hs_assoc_pull('w.changes', 'w.links');
DO 'BEGIN CALL hs.hs_assoc_pull($$w.links$$, $$w.changes$$); EXCEPTION WHEN division_by_zero THEN NULL; END';
SELECT operation, from_id, to_id FROM seen.outbox ORDER BY id;
CALL hs.hs_assoc_flush();
-- views
SELECT topic, state FROM hs.hs_assoc_diagnose();
SELECT pg_catalog.count(DISTINCT name) FROM hs.hs_assoc_metrics();
SELECT link_table, verify FROM hs.hs_assoc_verify_stat;
SELECT hs.hs_assoc_pair('hubspot', 'contacts:email', 'A@b.example', '0-2', '7'), hs.hs_assoc_normal_key('companies:domain', 'D1.Example'), hs.hs_assoc_fold('ÄB');
SELECT hs.hs_assoc_held(), hs.hs_assoc_sender();
