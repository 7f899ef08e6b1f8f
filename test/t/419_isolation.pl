# Transactions that are SERIALIZABLE or REPEATABLE READ, beside each other and beside senders: a
# sync adds no 40001 to those that PostgreSQL has for the table itself, what is done again then
# works, and in the end HubSpot holds what was committed, and nothing else. What is read-only, or
# runs in a parallel plan, changes nothing.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my @WRITERS = 1 .. 4;
my $STEPS = 30;

# What a session may have set beside its isolation level
my @SETTINGS = (
	'enable_seqscan = off', 'enable_indexscan = off', 'enable_sort = off', 'enable_hashagg = off', 'enable_nestloop = off', "work_mem = '64kB'", 'plan_cache_mode = force_generic_plan',
	"search_path = 'public', 'pg_catalog'", "default_transaction_isolation = 'serializable'", 'default_transaction_deferrable = on', 'standard_conforming_strings = off', 'row_security = off',
	"lock_timeout = '20ms'", 'jit_above_cost = 0', 'transform_null_equals = on', 'quote_all_identifiers = on', "intervalstyle = 'sql_standard'", 'synchronous_commit = off');

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', deadlock_timeout => '20ms', max_prepared_transactions => 10, 'hubspot_assoc.workers' => 2);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retry_delay => '20ms', history_retention => '1d');
my $session = start_session($node);
my $prepared = 0;
my $first = 0;		# pairs that change all the time are sent rarely, so each seed has its own
my %done = map { $_ => 0 } qw(transactions failures);

start_over();
writes_other_rows($_) foreach 'REPEATABLE READ', 'SERIALIZABLE';
writes_same_row($_) foreach 'REPEATABLE READ', 'SERIALIZABLE';
is_read_only();
is_parallel();
try_seed($_, \&run_seed) foreach seeds(2, 4);
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
done_testing();

sub any { return $_[ rand @_ ] }

# Two transactions of rows that are not the same, in turn, while a third session sends
sub writes_other_rows
{
	my ($level) = @_;
	my ($one, $two) = map { start_session($node) } 1 .. 2;
	my $n = 500;

	$session->query('INSERT INTO plain SELECT i, 1 FROM generate_series(501, 999) i; INSERT INTO labelled SELECT i, 1, $$Alpha$$ FROM generate_series(501, 999) i; ANALYZE plain, labelled');
	$session->query(q{CREATE FOREIGN TABLE IF NOT EXISTS associations (from_id bigint, to_id bigint) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies')});
	foreach my $sql ('INSERT INTO plain VALUES (%d, 2)', 'UPDATE plain SET t = 3 WHERE f = %d AND t = 1', 'DELETE FROM plain WHERE f = %d', 'DELETE FROM plain WHERE f = %d; INSERT INTO plain VALUES (%1$d, 1)',
		q{INSERT INTO labelled VALUES (%d, 2, 'Beta')}, q{UPDATE labelled SET label = 'Beta' WHERE f = %d}, 'DELETE FROM labelled WHERE f = %d', q{INSERT INTO keyed VALUES ('none%d@example.com', 1)},
		q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT %d AS from_id, 3 AS to_id')}, 'INSERT INTO associations VALUES (%d, 4)')
	{
		my @told;
		foreach my $flush (0, 1)
		{
			my ($a, $b) = (++$n, $n + 250);
			push @told, $_->told("BEGIN ISOLATION LEVEL $level; SELECT 1") foreach $one, $two;
			push @told, $one->told(sprintf $sql, $a);
			$session->query('CALL hs_assoc_flush()') if $flush;
			push @told, $two->told(sprintf $sql, $b), $one->told('COMMIT');
			$session->query('CALL hs_assoc_flush()') if $flush;
			push @told, $two->told('COMMIT');
		}
		is(join('', grep { $_ !~ /NOTICE/ } @told), '', "$level, other rows: " . sprintf $sql, $n);
	}
	$session->query('DELETE FROM plain; DELETE FROM labelled; DELETE FROM keyed');
	return;
}

# One of two that change the same row has to do it again
sub writes_same_row
{
	my ($level) = @_;
	my $one = start_session($node);

	$session->query('INSERT INTO plain VALUES (401, 1)');
	wait_for_empty_outbox($session);
	$one->query("BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM plain");
	$session->query('UPDATE plain SET t = 2 WHERE f = 401');
	like($one->told('DELETE FROM plain WHERE f = 401'), qr/ERROR:  40001/, "$level, the same row: one cannot");
	$one->query("ROLLBACK; BEGIN ISOLATION LEVEL $level; DELETE FROM plain WHERE f = 401; COMMIT");
	wait_for_empty_outbox($session);
	is(compare('plain', 'deals', ''), (), '... and once more, it can');
	return;
}

# Nothing is written, nor asked of HubSpot in vain
sub is_read_only
{
	my $rows = q{SELECT (SELECT count(*) FROM hs_assoc_sync_config), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'plain'::regclass)};
	my $before = $session->query($rows);

	$session->query('INSERT INTO plain VALUES (402, 1)');
	wait_for_empty_outbox($session);
	$hubspot->clear_log;
	foreach my $call (q{hs_assoc_disable_sync('plain')}, q{hs_assoc_repair('plain')}, q{hs_assoc_enable_sync('plain', 'companies', 't', 'contacts', 'f')})
	{
		my ($name) = $call =~ /^(\w+)/;
		like($session->told("SET default_transaction_read_only = on; SELECT $call"), qr/ERROR:  25006: cannot execute $name\(\) in a read-only transaction/, "read-only: $call");
	}
	$session->query('RESET default_transaction_read_only');
	is($session->query($rows), $before, '... and nothing has changed');
	is($hubspot->log_count, 0, '... nor was HubSpot asked');
	return;
}

# A function that is said to be PARALLEL SAFE, and calls what isn't
sub is_parallel
{
	my $safe = start_session($node);

	$session->query(q{CREATE FUNCTION safe(command text, i int) RETURNS text LANGUAGE plpgsql PARALLEL SAFE AS $$DECLARE result text; BEGIN EXECUTE command INTO result; RETURN result; END$$;
		CREATE TABLE one_row AS SELECT 1 AS i});
	$safe->query('SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0');
	like($safe->query(q{EXPLAIN SELECT safe('', i) FROM one_row}), qr/Gather/, 'a parallel plan');
	foreach my $call (q{hs_assoc_disable_sync('plain')}, q{hs_assoc_repair('plain')}, q{hs_assoc_drift('plain')}, q{hs_assoc_enqueue('create_default', 'contacts', 'deals', 'SELECT 1 AS from_id, 1 AS to_id')}, 'hs_assoc_pause()')
	{
		like($safe->told("SELECT safe(\$\$SELECT $call\$\$, i) FROM one_row"), qr/ERROR:  25000: cannot execute \S+ during a parallel operation/, "in parallel: $call");
	}
	is($safe->query(q{SELECT safe($$SELECT to_id FROM hs_assoc_list('contacts', 402, 'deals')$$, i) FROM one_row}), '1', '... while HubSpot can be read');
	return;
}

# Random transactions of several sessions; what HubSpot holds in the end that it should not, and
# what it lacks
sub run_seed
{
	my ($seed) = @_;
	start_over();
	my @running = map { start_writer() } @WRITERS;
	my @problems;
	foreach my $writer (@running)
	{
		$writer->{run}->finish;
		my @said = $writer->{out} =~ /((?:ERROR|FATAL|PANIC|WARNING):  .*)/g;
		$done{failures} += grep { /40001/ } @said;
		push @problems, grep { !/ERROR:  (?:40001|40P01|25P02|3B001|23505|55P03: canceling)|prepared transaction with identifier/ } @said;
		push @problems, 'the connection is lost' if $writer->{out} =~ /server closed/;
	}
	$session->query('SELECT hs_assoc_resume()');
	$session->query(qq{ROLLBACK PREPARED '$_'}) foreach split /\n/, $session->query('SELECT gid FROM pg_prepared_xacts');
	wait_for_empty_outbox($session);
	push @problems, map { "dead: $_" } split /\n/, $session->query('SELECT operation, from_id, to_id, error_message FROM hs_assoc_dead_letter');
	push @problems, compare('plain', 'deals', ''), compare('labelled', 'companies', q{|| ' ' || lower(label)}), compare('keyed', 'tickets', '');
	return @problems;
}

sub start_over
{
	$first += 1000;
	$session->query(q{
		DROP TABLE IF EXISTS plain, labelled, keyed; TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter});
	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
	$hubspot->put_records(contacts => [ map { { id => $_, properties => { email => "c$_\@example.com" } } } $first + 1 .. $first + 4 ]);
	$session->query(q{
		CREATE TABLE plain (f int, t int, note int DEFAULT 0, PRIMARY KEY (f, t)); CREATE TABLE labelled (f int, t int, label text, note int DEFAULT 0, UNIQUE (f, t, label));
		CREATE TABLE keyed (f text, t int, note int DEFAULT 0, PRIMARY KEY (f, t));
		SELECT hs_assoc_enable_sync('plain', 'contacts', 'f', 'deals', 't');
		SELECT hs_assoc_enable_sync('labelled', 'contacts', 'f', 'companies', 't', label_column => 'label');
		SELECT hs_assoc_enable_sync('keyed', 'contacts:email', 'f', 'tickets', 't')});
	return;
}

sub start_writer
{
	my $script = join '', map { "$_;\n" } 'SET client_min_messages = warning', (map { 'SET ' . any(@SETTINGS) } 1 .. 3), map { transaction() } 1 .. $STEPS;
	my $file = PostgreSQL::Test::Utils::tempdir_short() . '/script';
	my %writer = (out => '');

	append_to_file($file, $script);		# not a pipe, which only the writer that is waited for would get
	$done{transactions} += $STEPS;
	$writer{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-f', $file ], '>', \$writer{out}, '2>&1', IPC::Run::timeout(patience(120)));
	return \%writer;
}

sub transaction
{
	my @steps = map { step() } 0 .. rand 4;
	my $end = any(('COMMIT') x 6, 'ROLLBACK', 'PREPARE');
	my $id = 'p' . ++$prepared;

	push @steps, $end eq 'PREPARE' ? ("PREPARE TRANSACTION '$id'", any(('COMMIT') x 3, 'ROLLBACK') . " PREPARED '$id'") : $end;
	return 'CALL hs_assoc_flush()' if rand() < 0.1;
	return 'BEGIN ISOLATION LEVEL ' . any('SERIALIZABLE', 'SERIALIZABLE', 'REPEATABLE READ', 'READ COMMITTED'), @steps;
}

sub step
{
	my $sql = write_to(any(qw(plain labelled keyed)));
	my $how = rand;

	return any('SELECT hs_assoc_pause()', 'SELECT hs_assoc_resume()', 'SELECT hs_assoc_retry()') if $how > 0.97;
	return sprintf('SELECT pg_sleep(%.3f)', rand() ** 3 * 0.05) if $how < 0.15;
	return "SAVEPOINT s; $sql; ROLLBACK TO s" if $how < 0.25;
	return "SAVEPOINT s; $sql; RELEASE s" if $how < 0.35;
	return "DO \$do\$ BEGIN $sql; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN " . write_to(any(qw(plain labelled keyed))) . '; END $do$' if $how < 0.45;
	return $sql;
}

sub write_to
{
	my ($table) = @_;
	my $f = $first + 1 + int rand 4;
	my $t = 201 + int rand 4;
	$f = "'c$f\@example.com'" if $table eq 'keyed';
	my $label = any(q{'Alpha'}, q{'alpha'}, q{'Beta'});
	my ($columns, $row) = $table eq 'labelled' ? ('f, t, label', "$f, $t, $label") : ('f, t', "$f, $t");

	return any(
		("INSERT INTO $table ($columns) VALUES ($row) ON CONFLICT DO NOTHING") x 4,
		"INSERT INTO $table ($columns) VALUES ($row) ON CONFLICT ($columns) DO UPDATE SET note = $table.note + 1",
		("DELETE FROM $table WHERE f = $f AND t = $t") x 2, "DELETE FROM $table WHERE f = $f",
		"UPDATE $table SET note = note + 1 WHERE f = $f",
		"UPDATE $table AS x SET t = $t WHERE f = $f AND t = (SELECT max(t) FROM $table AS m WHERE m.f = x.f) AND NOT EXISTS (SELECT FROM $table AS m WHERE m.f = x.f AND m.t = $t)",
		"DELETE FROM $table WHERE f = $f; INSERT INTO $table ($columns) VALUES ($row)",
		"WITH gone AS (DELETE FROM $table WHERE f = $f RETURNING *) INSERT INTO $table SELECT * FROM gone ON CONFLICT DO NOTHING",
		$table eq 'labelled' ? "UPDATE labelled SET label = initcap(label) WHERE f = $f AND label = lower(label) AND NOT EXISTS (SELECT FROM labelled AS m WHERE m.f = labelled.f AND m.t = labelled.t AND m.label = initcap(labelled.label))" : "DELETE FROM $table WHERE t = $t");
}

sub compare
{
	my ($table, $type, $label) = @_;
	my $wanted = join "\n", sort split /\n/, $session->query("SELECT DISTINCT regexp_replace(f::text, '\\D', '', 'g') || ' ' || t$label FROM $table");
	my $held = join "\n", sort map {
		my $pair = "$_->{from_id} $_->{to_id}";
		$label ? map { "$pair " . lc $_->{label} } grep { $_->{category} eq 'USER_DEFINED' } @{ $_->{types} } : $pair
	} @{ $hubspot->associations('contacts', $type) };
	return $wanted eq $held ? () : "$table is\n$wanted\nHubSpot holds\n$held";
}
