# Tables in sync, while sessions of several roles write to them and do DDL of all kinds, in
# transactions that stay open beside each other, and whoever takes part is cancelled or killed, at
# random: no ERROR is an internal one, nothing is left behind, and in the end HubSpot has what the
# tables say, unless their sync has ended, or says that it is not active.
#
# A seed has the library preloaded or not. The table plain stands for default associations, the
# partitioned one for labels. If a seed ends syncs, has triggers off, or swaps tables, a repair
# comes before the comparison.
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
use Time::HiRes qw(sleep time);

my $STEPS = 25;
my @NAMES = qw(super1 super2 alice bob team);

# What others' DDL does to a statement of PostgreSQL's own, too
my $CONCURRENT = qr/tuple concurrently (?:updated|deleted)/;

# What its planner says of a session's own statement, whose snapshot still has a partition that is
# being detached, and so was not altered with the others
my $DETACHED = qr/does not match parent's type\n(?!.*CONTEXT:  ).*LOCATION:  make_inh_translation_list, /s;

my @seeds = seeds(2, 2);
my %node = map { $_ => undef } qw(preloaded dynamic);
my (%monitor, $node, $monitor);
my $hubspot = start_simulator(latency => 2);
my $first = 0;
my (@log, @errors, %may, $loose, $prepared);
my %done = map { $_ => 0 } qw(steps errors kills crashes compared repaired);

try_seed($_, \&run_seed, sub { return @log }) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
foreach my $kind (grep { $node{$_} } sort keys %node)
{
	is(join("\n", internal_errors($node{$kind})), '', "$kind: the server's log has no internal error of the extension's");
}
done_testing();

# Internal errors that the log tells of; but not PostgreSQL's own ones, in DDL that others' has
# overtaken: these are made in its sources, and called by nothing of the extension's
sub internal_errors
{
	my ($of) = @_;
	my @lines = split /\n/, slurp_file($of->logfile);
	my @found;
	foreach my $i (0 .. $#lines)
	{
		push @found, $lines[$i] if $lines[$i] =~ /PANIC:  |terminated by signal (?!9)|TRAP: /;
		my ($pid, $level) = $lines[$i] =~ /\[(\d+)\].* (ERROR|WARNING|FATAL):  XX000/ or next;
		my $to = $i;
		$to++ until $to >= $#lines || $to > $i + 60 || $lines[$to] =~ /\[$pid\].* STATEMENT:  /;
		my $entry = join "\n", @lines[ $i .. $to ];
		my ($calls) = $entry =~ /BACKTRACE:(.*?)(?:standard_ProcessUtility|\z)/s;
		my $is_theirs = $level eq 'ERROR' && $entry =~ /STATEMENT:  (?:ALTER|DROP|REASSIGN|REVOKE|GRANT|VACUUM|CLUSTER|REINDEX|CREATE)\b/ && ($calls // '') !~ /hubspot_assoc\.so/
		  && $entry !~ /LOCATION:  (?:hubspot|hs_assoc)_/;
		push @found, $entry if !$is_theirs && $entry !~ $CONCURRENT && $entry !~ $DETACHED;
	}
	return @found;
}

sub any { return $_[ rand @_ ] }
sub one_of { my ($from, $to) = @_; return $from + int rand($to - $from + 1) }

sub start
{
	my ($kind) = @_;
	my @preload = $kind eq 'preloaded' ? (shared_preload_libraries => 'hubspot_assoc') : ('hubspot_assoc.workers' => 2);
	my $new = start_node(@preload, deadlock_timeout => '50ms', max_connections => 40, max_prepared_transactions => 5, log_error_verbosity => 'verbose', restart_after_crash => 'on', backtrace_functions => 'relation_open', log_line_prefix => '%m [%p] %a ');

	$node{$kind} = $new;
	create_account($new, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', request_timeout => patience(2) . 's');
	$new->safe_psql('postgres', q{
		CREATE SCHEMA ext; CREATE SCHEMA other; CREATE ROLE team; CREATE ROLE alice LOGIN IN ROLE team; CREATE ROLE bob LOGIN IN ROLE team; CREATE ROLE spare;
		GRANT ALL ON SCHEMA public, other, ext TO PUBLIC; GRANT USAGE ON FOREIGN SERVER hubspot TO PUBLIC; GRANT CREATE ON DATABASE postgres TO team;
		GRANT EXECUTE ON FUNCTION hs_assoc_pause, hs_assoc_resume, hs_assoc_retry, hs_assoc_start TO team; GRANT EXECUTE ON PROCEDURE hs_assoc_flush TO team; GRANT pg_monitor TO team;
		ALTER DATABASE postgres SET search_path = public, ext, other;
		ALTER DATABASE postgres SET client_min_messages = error});
	$monitor{$kind} = start_session($new);
	return;
}

# Starts a session that runs a random script.
sub start_script
{
	my ($name, $steps) = @_;
	my $script = join '', map { "$_;\n" } "SET application_name = '$name'", "SET lock_timeout = '@{[ patience(300) ]}ms'", "SET statement_timeout = '@{[ patience(5) ]}s'",
	  "SET idle_in_transaction_session_timeout = '20s'", ($name =~ /super/ ? () : "SET SESSION AUTHORIZATION $name"), 'SET client_min_messages = error', map { transaction($name) } 1 .. $steps;
	$script .= "\\q\n";
	my %other = (name => $name, in => $script, out => '');
	$other{run} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-f', '-' ], '<', \$script, '>', \$other{out}, '2>&1', IPC::Run::timeout(patience(120)));
	$done{steps} += $steps;
	return \%other;
}

sub transaction
{
	my ($name) = @_;
	my $how = rand;
	my $pause = sub { rand() < 0.4 ? sprintf('SELECT pg_sleep(%.3f)', rand() ** 3 * 0.1) : () };

	return $pause->(), dml(any(qw(plain parts))) if $how < 0.2;
	return $pause->(), alone() if $how < 0.32;
	return $pause->(), control() if $how < 0.5;
	return any('COMMIT PREPARED', 'ROLLBACK PREPARED') . " 'g" . one_of(1, $prepared) . q{'} if $how < 0.53 && $prepared && $name =~ /super/;
	return 'BEGIN' . (rand() < 0.1 ? ' ISOLATION LEVEL ' . any('REPEATABLE READ', 'SERIALIZABLE') : ''), (map { (chunk(), $pause->()) } 1 .. one_of(1, 4)), end_of_transaction();
}

sub run_seed
{
	my ($seed) = @_;
	my $kind = $seed % 2 ? 'preloaded' : 'dynamic';

	@log = @errors = ();
	start($kind) if !$node{$kind};
	($node, $monitor) = ($node{$kind}, $monitor{$kind});
	%may = map { $_ => rand() < 0.35 } qw(lose server roles kill verify twophase rls);
	$may{crash} = $kind eq 'dynamic' && rand() < 0.1;
	push @log, "$kind, may: " . join ' ', grep { $may{$_} } sort keys %may;
	start_over();
	my @running = map { start_script($_, $STEPS) } @NAMES;
	while (@running)
	{
		foreach my $other (@running)
		{
			eval { $other->{run}->pump_nb; 1 } or $other->{over} = 1;
			$other->{over} = 1 if !$other->{run}->pumpable;
		}
		take_errors($_) foreach grep { $_->{over} } @running;
		@running = grep { !$_->{over} } @running;
		kill_some() if $may{kill} && rand() < 0.03 && @running;
		sleep 0.01;
	}
	settle();
	my @found = (@errors, problems(), left_behind());
	$monitor->query(q{SELECT hs_assoc_disable_sync(link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync) AS s; TRUNCATE hs_assoc_outbox});
	return @found;
}

sub start_over
{
	$loose = 0;
	$first += 10_000;
	$monitor->query($_) foreach q{SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name IN ('super1', 'super2', 'alice', 'bob', 'team')},
	  q{SELECT hs_assoc_disable_sync(link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync) AS s},
	  q{DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT oid FROM pg_class AS c WHERE relnamespace::regnamespace::text IN ('public', 'other') AND relkind IN ('r', 'p') AND NOT relispartition
			AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e') LOOP
			CONTINUE WHEN NOT EXISTS (SELECT FROM pg_class WHERE oid = t);
			EXECUTE 'DROP TABLE ' || t || ' CASCADE';
		END LOOP; END $$},
	  q{DO $$ DECLARE i regclass; BEGIN
		FOR i IN SELECT indexrelid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE NOT indisvalid AND relname ~ '_cc(new|old)' LOOP EXECUTE 'DROP INDEX ' || i; END LOOP; END $$},
	  'TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff; SELECT hs_assoc_resume()';
	$hubspot->clear_rules;
	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
	$monitor->query(qq{
		CREATE TABLE plain (f int, t int, note text, CONSTRAINT plain_key UNIQUE (f, t));
		CREATE TABLE twin (f int, t int, note text, UNIQUE (f, t));
		CREATE TABLE parts (f int, t int, label text, note text, UNIQUE (f, t, label)) PARTITION BY RANGE (f);
		CREATE TABLE p0 PARTITION OF parts @{[ range(0) ]};
		CREATE TABLE p1 PARTITION OF parts @{[ range(1) ]};
		CREATE TABLE p2 PARTITION OF parts @{[ range(2) ]} PARTITION BY LIST (t);
		CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (9000, 9001); CREATE TABLE p2b PARTITION OF p2 DEFAULT;
		INSERT INTO plain SELECT $first + 1000 + i % 6, 9000 + i % 5 FROM generate_series(1, 12) i;
		INSERT INTO parts SELECT $first + 2000 + i % 9, 9000 + i % 5, CASE i % 2 WHEN 0 THEN 'Alpha' ELSE 'Beta' END FROM generate_series(1, 18) i});
	$monitor->query("ALTER TABLE $_ OWNER TO " . any(qw(team team team team alice postgres))) foreach qw(plain twin parts p0 p1 p2 p2a p2b);
	foreach my $table (qw(plain parts))
	{
		my $role = any(qw(postgres alice team));
		my $owner = $monitor->query("SELECT relowner::regrole FROM pg_class WHERE oid = '$table'::regclass");
		$role = $owner if $role ne 'postgres' && $owner ne 'team';
		$monitor->query("SET ROLE $role; " . enable($table, ', backfill => true') . '; RESET ROLE');
	}
	return;
}

sub range
{
	my ($n) = @_;
	return sprintf 'FOR VALUES FROM (%d) TO (%d)', $first + 2000 + 3 * $n, $first + 2003 + 3 * $n;
}

sub enable
{
	my ($table, $more) = @_;
	$more .= q{, label_column => 'label'} if $table eq 'parts';
	$more .= q{, verify => '1 second', on_drift => '} . any(qw(report add mirror)) . q{'} if $may{verify} && rand() < 0.7;
	return "SELECT hs_assoc_enable_sync('$table', 'contacts', 'f', 'companies', 't', server => 'hubspot'$more)";
}

sub f { return $first + ($_[0] eq 'parts' ? 2000 + int rand 9 : 1000 + int rand 6) }
sub t { return rand() < 0.05 ? 'NULL' : 9000 + int rand 5 }
sub label { return rand() < 0.05 ? 'NULL' : any(q{'Alpha'}, q{'Beta'}) }

# A session has come to its end; if it was terminated, another one goes on.
sub take_errors
{
	my ($other) = @_;
	eval { $other->{run}->finish; 1 };
	my @said = $other->{out} =~ /((?:ERROR|FATAL|PANIC):  .*)/g;

	$done{errors} += @said;
	push @log, map { "	$other->{name}: $_" } grep { !/25P02/ } @said;
	push @errors, grep { /(?:ext|public)"?\."?hs_assoc|schema "ext|relation "hs_assoc\w+" does not/ } @said;
	push @errors, "$other->{name} has lost its connection" if $other->{out} =~ /connection to server was lost|server closed/ && !$may{crash} && $other->{out} !~ /57P01|25P03/;
	return;
}

sub end_of_transaction
{
	return "PREPARE TRANSACTION 'g" . ++$prepared . q{'} if $may{twophase} && rand() < 0.1;
	return rand() < 0.75 ? 'COMMIT' : 'ROLLBACK';
}

sub chunk
{
	my $table = any(qw(plain parts));
	my $sql = rand() < 0.5 ? dml($table) : ddl($table);
	return rand() < 0.15 ? "SAVEPOINT a; $sql; ROLLBACK TO a" : rand() < 0.2 ? "SAVEPOINT b; $sql; RELEASE b" : $sql;
}

sub dml
{
	my ($table) = @_;
	my ($f, $t, $label) = (f($table), t(), label());
	my ($columns, $row) = $table eq 'plain' ? ('f, t', "$f, $t") : ('f, t, label', "$f, $t, $label");
	my $partition = $table eq 'parts' && rand() < 0.3 ? any('p0', 'p1', 'p2', 'p2a', 'p2b') : $table;

	return any(
		("INSERT INTO $partition ($columns) VALUES ($row) ON CONFLICT DO NOTHING") x 4,
		"INSERT INTO $table ($columns) SELECT f + 1, " . ($table eq 'plain' ? 't' : 't, label') . " FROM $table WHERE (f - $first) % 1000 % 3 <> 2 ON CONFLICT DO NOTHING",
		"DELETE FROM $partition WHERE f = $f",
		"DELETE FROM $partition WHERE t = $t",
		"UPDATE $table SET t = $t WHERE f = $f AND t = (SELECT max(t) FROM $table WHERE f = $f)",
		"UPDATE $table SET f = f + 1 WHERE (f - $first) % 1000 % 3 < 2 AND t = $t",
		"UPDATE $table SET note = 'x' WHERE f = $f",
		"UPDATE $table SET t = 9000 + (t + 1) % 5",
		"TRUNCATE $partition",
		"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM $table; TRUNCATE $table; INSERT INTO $table SELECT * FROM kept WHERE t <> $t",
		"WITH gone AS (DELETE FROM $table WHERE f = $f RETURNING *) INSERT INTO $table SELECT * FROM gone ON CONFLICT DO NOTHING",
		"MERGE INTO $table AS m USING (VALUES ($row)) AS v ($columns) ON m.f = v.f AND m.t = v.t WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT ($columns) VALUES ($row)",
		$table eq 'parts' ? "UPDATE parts SET label = $label WHERE f = $f" : "DELETE FROM $table WHERE f = $f; INSERT INTO $table ($columns) VALUES ($row)");
}

sub ddl
{
	my ($table) = @_;
	my $n = one_of(0, 2);
	my ($range, $p) = (range($n), "p$n");
	my $dml = dml($table);
	my $role = any(qw(team alice bob postgres));
	my @any = (
		"ALTER TABLE $table ADD COLUMN x int DEFAULT 1", "ALTER TABLE $table DROP COLUMN IF EXISTS x",
		"ALTER TABLE $table ADD COLUMN y timestamptz DEFAULT clock_timestamp()", "ALTER TABLE $table DROP COLUMN IF EXISTS y",
		"ALTER TABLE $table ALTER COLUMN t TYPE " . any('int', 'bigint', 'bigint'),
		"ALTER TABLE $table RENAME COLUMN t TO u", "ALTER TABLE $table RENAME COLUMN u TO t", "ALTER TABLE $table RENAME COLUMN u TO t",
		"ALTER TABLE $table RENAME COLUMN t TO u; ALTER TABLE $table RENAME COLUMN u TO t",
		"ALTER TABLE $table RENAME COLUMN f TO t2; ALTER TABLE $table RENAME COLUMN t TO f; ALTER TABLE $table RENAME COLUMN t2 TO t; $dml; ALTER TABLE $table RENAME COLUMN f TO t2; ALTER TABLE $table RENAME COLUMN t TO f; ALTER TABLE $table RENAME COLUMN t2 TO t",
		"ALTER TABLE $table RENAME TO renamed; @{[ $dml =~ s/\b$table\b/renamed/gr ]}; ALTER TABLE renamed RENAME TO $table",
		"ALTER TABLE $table SET SCHEMA " . any('public', 'other'), "ALTER TABLE $table SET SCHEMA public",
		"ALTER TABLE $table OWNER TO $role",
		'ALTER EXTENSION hubspot_assoc SET SCHEMA ' . any('ext', 'public'),
		"CREATE UNIQUE INDEX ON $table (f, t" . ($table eq 'plain' ? '' : ', label') . ')',
		"ALTER TABLE $table SET UNLOGGED", "ALTER TABLE $table SET LOGGED",
		"ALTER TABLE $table ALTER COLUMN t SET NOT NULL", "ALTER TABLE $table ALTER COLUMN t DROP NOT NULL",
		"CREATE TABLE child () INHERITS (plain)", "ALTER TABLE twin INHERIT plain", "ALTER TABLE plain INHERIT twin",
		"ALTER TABLE $table ADD CHECK (t > 0) NOT VALID",
		"ALTER TABLE $table ALTER COLUMN note SET DATA TYPE varchar(30)",
		"ALTER TABLE $table DROP COLUMN t", "DROP INDEX plain_key",
		"LOCK TABLE $table IN " . any('ACCESS EXCLUSIVE', 'SHARE', 'ROW EXCLUSIVE') . ' MODE',
		q{SELECT hs_assoc_pause('hubspot')}, q{SELECT hs_assoc_resume('hubspot')},
		"SELECT hs_assoc_disable_sync('$table'); " . enable($table, $may{lose} ? ', backfill => true' : ''));
	my @parts = (
		("ALTER TABLE parts DETACH PARTITION $p") x 2,
		("ALTER TABLE parts ATTACH PARTITION $p $range") x 3,
		"ALTER TABLE parts DETACH PARTITION $p; ALTER TABLE parts ATTACH PARTITION $p $range",
		"ALTER TABLE parts DETACH PARTITION $p; INSERT INTO $p (f, t, label) VALUES (@{[ $first + 2000 + 3 * $n ]}, @{[ t() ]}, @{[ label() ]}) ON CONFLICT DO NOTHING; ALTER TABLE parts ATTACH PARTITION $p $range",
		"DROP TABLE $p; CREATE TABLE $p PARTITION OF parts $range",
		"DROP TABLE $p", "CREATE TABLE $p PARTITION OF parts $range",
		"DROP TABLE $p; CREATE TABLE $p (LIKE parts INCLUDING ALL); INSERT INTO $p (f, t, label) VALUES (@{[ $first + 2000 + 3 * $n ]}, @{[ t() ]}, @{[ label() ]}); ALTER TABLE parts ATTACH PARTITION $p $range",
		"ALTER TABLE p0 RENAME TO pt; ALTER TABLE p1 RENAME TO p0; ALTER TABLE pt RENAME TO p1",
		"ALTER TABLE $p RENAME TO px; TRUNCATE px; ALTER TABLE px RENAME TO $p",
		"ALTER TABLE $p SET SCHEMA " . any('public', 'other'), "ALTER TABLE $p OWNER TO $role",
		'ALTER TABLE p2 DETACH PARTITION p2a', 'ALTER TABLE p2 ATTACH PARTITION p2a FOR VALUES IN (9000, 9001)', 'ALTER TABLE p2 ATTACH PARTITION p2a FOR VALUES IN (9000, 9001)',
		'DROP TABLE p2a; CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (9000, 9001)', 'DROP TABLE p2a, p0');
	my @lose = (
		"ALTER TABLE $table DISABLE TRIGGER hs_assoc_sync_" . any(qw(insert update delete truncate)), "ALTER TABLE $table DISABLE TRIGGER USER", ("ALTER TABLE $table ENABLE TRIGGER USER") x 4,
		"SET LOCAL session_replication_role = replica; $dml; SET LOCAL session_replication_role = origin",
		"ALTER TABLE plain RENAME TO plain_old; ALTER TABLE twin RENAME TO plain; ALTER TABLE plain_old RENAME TO twin",
		"DROP TABLE twin; CREATE TABLE twin (f int, t int, note text, UNIQUE (f, t))",
		"DROP TABLE plain; CREATE TABLE plain (f int, t int, note text, CONSTRAINT plain_key UNIQUE (f, t)); " . enable('plain', ', backfill => true'),
		"ALTER TABLE $table DROP COLUMN t CASCADE; ALTER TABLE $table ADD t int", "DROP TRIGGER hs_assoc_sync_insert ON $table",
		"SELECT hs_assoc_disable_sync('$table')", enable($table, ', backfill => true'), enable($table, ', backfill => true'),
		'DROP SCHEMA other CASCADE; CREATE SCHEMA other; GRANT ALL ON SCHEMA other TO PUBLIC',
		'SELECT hs_assoc_discard()');
	my @server = (
		q{ALTER SERVER hubspot RENAME TO hubspot2}, q{ALTER SERVER hubspot2 RENAME TO hubspot}, q{ALTER SERVER hubspot2 RENAME TO hubspot},
		"ALTER SERVER hubspot OWNER TO " . any(qw(postgres)), q{ALTER SERVER hubspot OPTIONS (SET max_retries '1')}, q{ALTER SERVER hubspot OPTIONS (SET max_retries '0')},
		'DROP USER MAPPING IF EXISTS FOR PUBLIC SERVER hubspot', (q{CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')}) x 2,
		q{DROP SERVER hubspot CASCADE; } . make_server(), make_server(),
		'REVOKE USAGE ON FOREIGN SERVER hubspot FROM PUBLIC', ('GRANT USAGE ON FOREIGN SERVER hubspot TO PUBLIC') x 2);
	my @roles = (
		'ALTER ROLE alice RENAME TO alicia', ('ALTER ROLE alicia RENAME TO alice') x 2, 'REASSIGN OWNED BY alice TO bob', 'REASSIGN OWNED BY bob TO team', 'REASSIGN OWNED BY team TO alice',
		'REVOKE team FROM alice', 'GRANT team TO alice, bob', 'DROP OWNED BY spare', 'ALTER ROLE alice ' . any('NOLOGIN', 'LOGIN'), 'SET LOCAL ROLE ' . any(qw(alice bob team)), 'GRANT postgres TO bob', 'REVOKE postgres FROM bob',
		'REVOKE ALL ON ' . "$table FROM " . any(qw(alice team bob)), "GRANT ALL ON $table TO alice, team, bob",
		$may{lose} ? ('DROP OWNED BY alice CASCADE', 'DROP OWNED BY bob', 'DROP OWNED BY alice') : ());
	my @rls = (
		"ALTER TABLE $table ENABLE ROW LEVEL SECURITY", ("ALTER TABLE $table DISABLE ROW LEVEL SECURITY") x 2, "ALTER TABLE $table FORCE ROW LEVEL SECURITY", "ALTER TABLE $table NO FORCE ROW LEVEL SECURITY",
		"CREATE POLICY even ON $table USING (t % 2 = 0)", "DROP POLICY IF EXISTS even ON $table", "ALTER TABLE $p ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "ALTER TABLE $p DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY");
	my $sql = any(
		(\@any) x 3, (\@parts) x ($table eq 'parts' ? 4 : 0), $may{lose} ? \@lose : (), $may{server} ? \@server : (), $may{roles} ? \@roles : (), $may{rls} ? \@rls : ());
	$sql = any(@$sql);
	$loose = 1 if (grep { $_ eq $sql } @lose) || $sql =~ /DROP OWNED|disable_sync.*backfill/;
	return $sql;
}

sub make_server
{
	my $url = $hubspot->url;
	my $timeout = patience(2);
	return qq{CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '$url', rate_limit '0', max_retries '0', max_retry_delay '20ms', request_timeout '${timeout}s'); GRANT USAGE ON FOREIGN SERVER hubspot TO PUBLIC; CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')};
}

sub alone
{
	my $table = any(qw(plain parts p1 p0));
	my $p = any(qw(p0 p1 p2));
	return any("VACUUM FULL $table", "VACUUM ANALYZE $table", "REINDEX TABLE CONCURRENTLY $table", "ALTER TABLE parts DETACH PARTITION $p CONCURRENTLY", "ALTER TABLE parts DETACH PARTITION $p CONCURRENTLY",
		"ALTER TABLE parts DETACH PARTITION $p FINALIZE", 'CLUSTER plain USING plain_key', 'CREATE UNIQUE INDEX CONCURRENTLY ON plain (f, t)', 'REINDEX INDEX CONCURRENTLY plain_key',
		'DROP INDEX CONCURRENTLY IF EXISTS plain_f_t_idx', 'ALTER EXTENSION hubspot_assoc SET SCHEMA ' . any('ext', 'public'), 'CALL hs_assoc_flush()', 'VACUUM FULL hs_assoc_outbox');
}

sub control
{
	my $table = any(qw(plain parts));
	return any(
		"SELECT count(*) FROM hs_assoc_drift('$table')", "SELECT hs_assoc_repair('$table')", "SELECT hs_assoc_repair('$table', mode => 'mirror', max_removals => 100)",
		"SELECT hs_assoc_repair('$table', 'SELECT ' || @{[ f($table) ]})",
		q{CALL hs_assoc_flush()}, q{SELECT hs_assoc_retry()}, q{SELECT hs_assoc_pause('hubspot')}, q{SELECT hs_assoc_resume('hubspot')}, q{SELECT hs_assoc_resume('hubspot')},
		q{SELECT hs_assoc_adopt()}, q{SELECT hs_assoc_start()}, q{SELECT hs_assoc_sender()}, ('SELECT * FROM hs_assoc_sync') x 3, ('SELECT count(*) FROM hs_assoc_diagnose()') x 2, 'SELECT count(*) FROM hs_assoc_metrics()',
		'SELECT * FROM hs_assoc_outbox_stat', 'SELECT * FROM hs_assoc_verify_stat', 'SELECT hs_assoc_discard() WHERE false');
}

sub kill_some
{
	my $signal = $may{crash} && rand() < 0.05 ? 'KILL' : any('INT', 'INT', 'TERM');
	my @pids = split /\n/, $monitor->query(rand() < 0.5 ? q{SELECT pid FROM pg_stat_activity WHERE application_name IN ('super1', 'super2', 'alice', 'bob', 'team')} : q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'hubspot_assoc%'});
	return if !@pids;
	kill $signal, any(@pids);
	$done{kills}++;
	if ($signal eq 'KILL')
	{
		$done{crashes}++;
		sleep 0.2;
		wait_until(sub { eval { $monitor = start_session($node); 1 } }, 60);
		foreach my $kind (keys %node) { $monitor{$kind} = $monitor if $node{$kind} && $node{$kind} == $node }
	}
	return;
}

# All that keeps rows from being sent is put right.
sub settle
{
	foreach my $id (split /\n/, $monitor->query('SELECT gid FROM pg_prepared_xacts'))
	{
		$monitor->query(any('COMMIT', 'ROLLBACK') . " PREPARED '$id'");
	}
	try_to($_) foreach 'ALTER EXTENSION hubspot_assoc SET SCHEMA public', 'ALTER ROLE alicia RENAME TO alice', 'GRANT team TO alice, bob', 'REVOKE postgres FROM bob', 'ALTER SERVER hubspot2 RENAME TO hubspot', make_server(),
	  'GRANT USAGE ON FOREIGN SERVER hubspot TO PUBLIC', q{CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')}, 'DROP SERVER hubspot2 CASCADE',
	  'CREATE SCHEMA other; GRANT ALL ON SCHEMA other TO PUBLIC', (map { "ALTER TABLE parts DETACH PARTITION $_ FINALIZE" } qw(p0 p1 p2)), 'GRANT ALL ON SCHEMA public, other, ext TO PUBLIC; GRANT CREATE ON DATABASE postgres TO team', q{SELECT hs_assoc_adopt()}, q{SELECT hs_assoc_resume()};
	if ($may{kill} || $may{crash})
	{
		sleep 0.3;
		$monitor->query('DELETE FROM hs_assoc_doubt');
	}
	my $roles = $monitor->query(q{SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname IN ('alice', 'bob', 'team', 'postgres')});
	try_to("GRANT ALL ON $_ TO $roles; ALTER TABLE $_ DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY") foreach split /\n/, $monitor->query(q{SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('public', 'other') AND relname !~ '^hs_assoc'});
	drain();
	return;
}

sub drain
{
	try_to('SELECT hs_assoc_start()');
	eval { wait_for_empty_outbox($monitor, patience(30)); 1 } or push @errors, 'the outbox is not empty: ' . $monitor->query(q{SELECT string_agg(t::text, ' / ') FROM (SELECT o.*, b.error_message FROM hs_assoc_outbox o LEFT JOIN hs_assoc_backoff b USING (server, role) ORDER BY id LIMIT 3) t}) . ' ' . $monitor->query('SELECT hs_assoc_sender()') . $monitor->query(q{SELECT string_agg(t::text, E'\n') FROM hs_assoc_diagnose() t});
	return;
}

sub try_to
{
	my ($sql) = @_;
	$monitor->told("SET lock_timeout = '20s'");
	my $said = $monitor->told($sql);
	push @errors, $said if $said =~ /XX\d{3}/ || $said =~ /55P03/;
	push @log, "last: $sql: $said" if $said =~ /FINALIZE|55P03/;
	return;
}

# In what the tables and HubSpot differ
sub problems
{
	my @found;
	my @syncs = map { [ split /\|/, $_, -1 ] } split /\n/, $monitor->query('SELECT link_table::oid, link_table, active, from_column, to_column, label_column FROM hs_assoc_sync ORDER BY id');
	my $repaired = $loose || grep { $_->[2] eq 'f' } @syncs;
	my (%wanted, %missing, %extra, %from, %has_label);

	foreach my $sync (@syncs)
	{
		my ($oid, $name, $active, $f, $t, $label) = @$sync;
		my $kind = $label ? 'labels' : 'pairs';
		my $rows = $monitor->told("SELECT $f, $t FROM $name WHERE false") ? '' : $monitor->query($label ? "SELECT DISTINCT $f || ' ' || $t || ' ' || $label FROM $name WHERE $t IS NOT NULL AND $label IS NOT NULL" : "SELECT DISTINCT $f || ' ' || $t FROM $name WHERE $t IS NOT NULL");
		foreach my $row (split /\n/, $rows)
		{
			$wanted{$kind}{$row} = 1;
			next if $active eq 'f';
			$missing{$kind}{$row} = $name;
			my ($from_id, undef, $name_of_type) = split / /, $row;
			$from{$kind}{$from_id} = 1;
			$has_label{$name_of_type} = 1 if $name_of_type;
		}
		next if $active eq 'f';
		$done{compared}++;
		$from{$kind}{all} = 1 if !$repaired;
		next if !$repaired;
		my $said = $monitor->told("SELECT hs_assoc_repair(${oid}::regclass, mode => 'mirror', max_removals => 10000)");
		push @found, "repair of $name: $said" if $said =~ /ERROR/;
		$done{repaired}++;
	}
	drain() if $repaired;
	foreach my $pair (@{ $hubspot->associations('contacts', 'companies') })
	{
		my $kind = $pair->{from_id} < $first + 2000 ? 'pairs' : 'labels';
		my $name = "$pair->{from_id} $pair->{to_id}";
		foreach my $held ($kind eq 'pairs' ? $name : map { "$name $_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $pair->{types} })
		{
			delete $missing{$kind}{$held};
			# a repair takes away no label that the table has for no pair
			$extra{$held} = 1 if !$wanted{$kind}{$held} && ($from{$kind}{all} || $from{$kind}{ $pair->{from_id} } && ($kind eq 'pairs' || $has_label{ (split / /, $held)[2] }));
		}
	}
	foreach my $missing (values %missing)
	{
		push @found, map { "$missing->{$_}: $_ is missing" } sort keys %$missing;
	}
	push @found, map { "$_ should not be there" } sort keys %extra;
	if (!$loose)
	{
		push @found, 'a sync is gone' if $monitor->query('SELECT count(*) FROM hs_assoc_sync') != 2;
		push @found, $monitor->query('SELECT problem FROM hs_assoc_sync WHERE NOT active') || ();
	}
	push @found, $monitor->query(q{SELECT concat_ws(' ', 'dead letter:', operation, from_id, to_id, error_message) FROM hs_assoc_dead_letter}) || ();
	return @found;
}

sub left_behind
{
	my $locks = q{SELECT string_agg(concat_ws(' ', l.pid, locktype, relation::regclass, mode, backend_type, state, query), E'\n') FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.pid <> pg_backend_pid() AND locktype NOT IN ('virtualxid', 'userlock') AND backend_type <> 'autovacuum worker'};
	my @left = eval { wait_until(sub { $monitor->query($locks) eq '' }, patience(20)) } ? () : $monitor->query($locks);
	push @left, $monitor->query(q{SELECT 'triggers are left: ' || string_agg(tgrelid::regclass::text, ' ') FROM pg_trigger WHERE tgname LIKE 'hs_assoc_sync%' AND NOT EXISTS (SELECT FROM hs_assoc_sync_config WHERE link_table = tgrelid OR link_table IN (SELECT relid FROM pg_partition_ancestors(tgrelid)))}) || ();
	push @left, $monitor->query(q{SELECT string_agg(concat_ws(' ', topic, state, detail), E'\n') FROM hs_assoc_diagnose() WHERE state = 'error'}) || () if !$loose;
	return @left;
}
