# Tables in sync, while three sessions write to them and change how they are made, at random:
# in the end HubSpot has what the tables say, and no ERROR is an internal one.
#
# The table plain stands for default associations, the partitioned one for labels; each may
# name records by keys. A seed may also end syncs for a while; what HubSpot keeps then is not
# wrong, but nothing may be missing.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $STEPS = 60;
my $BY_KEY = 500_000_000;

# What others' DDL does to a statement of PostgreSQL's own, too
my $CONCURRENT = qr/tuple concurrently (?:updated|deleted)/;

my @seeds = seeds(3, 6);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', deadlock_timeout => '100ms', max_connections => 30);
my $hubspot = start_simulator(latency => 2);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', request_timeout => patience(2) . 's');
$node->safe_psql('postgres', 'CREATE SCHEMA ext; CREATE SCHEMA other; ALTER DATABASE postgres SET search_path = public, ext, other');
my $session = start_session($node);
my %other = map { $_ => start_session($node) } 1 .. 3;
$session->query('SET client_min_messages = error');
$_->query(qq{SET client_min_messages = error; SET lock_timeout = '@{[ patience(500) ]}ms'; SET statement_timeout = '@{[ patience(5) ]}s'}) foreach values %other;

my %done = map { $_ => 0 } qw(steps errors loose);

# What a seed's steps have said; whether it ends syncs; tables whose sync was ended, and whose
# records are named by keys
my (@log, @errors, $ends_syncs, %loose, %keyed);

# Each seed has records of its own: what is sent of a pair that changes all the time is damped.
my $first = 0;

try_seed($_, \&run_seed, sub { return @log }) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{errors}, '<', $done{steps}, 'some steps had no error');
$_->quit foreach $session, values %other;
done_testing();

sub run_seed
{
	my ($seed) = @_;
	my %busy;

	start_over();
	$ends_syncs = rand() < 0.3;
	foreach my $n (1 .. $STEPS)
	{
		my $name = 1 + int rand 3;
		take_errors($name) if delete $busy{$name};
		my $sql = step();
		push @log, "$n, session $name: $sql";
		$other{$name}->send($sql);
		$busy{$name} = 1;
		$done{steps}++;
	}
	take_errors($_) foreach sort keys %busy;
	$session->query('ALTER EXTENSION hubspot_assoc SET SCHEMA public') if $session->query(q{SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'hubspot_assoc'}) ne 'public';

	# until then, its rows stay in HubSpot; it cannot end where PostgreSQL has renamed the column of one table alone
	$loose{parts} = 1 if $session->told('ALTER TABLE parts DETACH PARTITION p1 FINALIZE') =~ /column .* which is kept in sync, does not exist|could not convert row type/;
	$session->query(q{SELECT hs_assoc_resume('hubspot')});
	wait_for_empty_outbox($session);
	$done{loose}++ if %loose;
	return (@errors, problems('plain'), problems('parts'), dead_letters());
}

sub start_over
{
	@log = @errors = ();
	%loose = ();
	$first += 10_000;
	$session->query(q{SELECT hs_assoc_disable_sync(link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync) AS s;
		DROP TABLE IF EXISTS plain, parts, p0, p1, other.plain; TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter});
	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
	$hubspot->property({ type => 'contacts', name => 'number', unique => \1 });
	$hubspot->property({ type => 'companies', name => 'code', unique => rand() < 0.5 ? \1 : \0 });
	$hubspot->put_records(contacts => [ map { { id => $BY_KEY + $_, properties => { number => "$_" } } } map { ($first + 1000 + $_, $first + 2000 + $_) } 0 .. 6 ]);
	$hubspot->put_records(companies => [ map { { id => $BY_KEY + $_, properties => { code => "$_" } } } 9000 .. 9005 ]);
	$session->query(qq{
		CREATE TABLE plain (f int, t int, note text, UNIQUE (f, t));
		CREATE TABLE parts (f int, t int, label text, note text, UNIQUE (f, t, label)) PARTITION BY RANGE (f);
		CREATE TABLE p0 PARTITION OF parts FOR VALUES FROM (@{[ $first + 2000 ]}) TO (@{[ $first + 2003 ]});
		CREATE TABLE p1 PARTITION OF parts @{[ range_of_p1() ]};
		INSERT INTO plain SELECT $first + 1000 + i % 6, 9000 + i % 5 FROM generate_series(1, 12) i;
		INSERT INTO parts SELECT $first + 2000 + i % 6, 9000 + i % 5, CASE i % 2 WHEN 0 THEN 'Alpha' ELSE 'Beta' END FROM generate_series(1, 12) i});
	foreach my $table (qw(plain parts))
	{
		$keyed{$table} = rand() < 0.3 ? 1 : 0;
		$session->query(enable($table, ', backfill => true'));
	}
	return;
}

# Keys are the numbers by which the tables call records, whose ids are $BY_KEY more.
sub enable
{
	my ($table, $more) = @_;
	my ($from, $to) = $keyed{$table} ? qw(contacts:number companies:code) : qw(contacts companies);

	$more .= q{, label_column => 'label'} if $table eq 'parts';
	return "SELECT hs_assoc_enable_sync('$table', '$from', 'f', '$to', 't'$more)";
}

# A session's statements have come to their end.
sub take_errors
{
	my ($name) = @_;
	my (undef, $err) = $other{$name}->finish;
	my @said = $err =~ /((?:ERROR|FATAL|PANIC):  .*)/g;

	push @log, map { "	session $name: $_" } @said;
	$done{errors}++ if @said;
	push @errors, grep { /XX\d{3}|FATAL|PANIC/ && $_ !~ $CONCURRENT } @said;
	return;
}

# In what a table and HubSpot differ
sub problems
{
	my ($table) = @_;
	my %wanted = map { $_ => 1 } split /\n/, $session->query($table eq 'plain' ? q{SELECT DISTINCT f || ' ' || t FROM plain WHERE f IS NOT NULL AND t IS NOT NULL}
		: q{SELECT DISTINCT f || ' ' || t || ' ' || label FROM parts WHERE t IS NOT NULL AND label IS NOT NULL});
	my %held;

	if (!$session->query("SELECT count(*) FROM hs_assoc_sync WHERE link_table = '$table'::regclass"))
	{
		return $loose{$table} ? () : "the sync of $table is gone";
	}
	foreach my $pair (@{ $hubspot->associations('contacts', 'companies') })
	{
		my $is_keyed = $pair->{from_id} > $BY_KEY ? 1 : 0;
		my ($from_id, $to_id) = map { $pair->{$_} - ($is_keyed ? $BY_KEY : 0) } qw(from_id to_id);
		next if ($from_id < $first + 2000) != ($table eq 'plain');
		my $name = ($is_keyed == $keyed{$table} ? '' : "by $pair->{from_id}: ") . "$from_id $to_id";
		$held{$_} = 1 foreach $table eq 'plain' ? $name : map { "$name $_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $pair->{types} };
	}
	my @missing = grep { !$held{$_} } sort keys %wanted;
	my @extra = $loose{$table} ? () : grep { !$wanted{$_} } sort keys %held;
	return ((map { "$table: $_ is missing" } @missing), (map { "$table: $_ should not be there" } @extra),
		$session->query("SELECT problem FROM hs_assoc_sync WHERE NOT active AND link_table = '$table'::regclass") || ());
}

sub dead_letters { return split /\n/, $session->query(q{SELECT concat_ws(' ', 'dead letter:', operation, from_id, to_id, error_message) FROM hs_assoc_dead_letter}) }

sub any { return $_[ rand @_ ] }
sub f { return $first + ($_[0] eq 'plain' ? 1000 : 2000) + int rand 6 }
sub range_of_p1 { return sprintf 'FOR VALUES FROM (%d) TO (%d)', $first + 2003, $first + 2006 }
sub t { return rand() < 0.05 ? 'NULL' : 9000 + int rand 5 }
sub label { return rand() < 0.05 ? 'NULL' : any(q{'Alpha'}, q{'Beta'}) }

# The statements of a step
sub step
{
	my $table = any('plain', 'parts');
	my $how = rand;

	return ddl_alone($table) if $how < 0.1;
	return end_or_begin($table) if $ends_syncs && $how < 0.16;
	my @statements = map { rand() < 0.7 ? dml($table) : ddl($table) } 1 .. 1 + int rand 4;
	@statements = map { rand() < 0.15 ? "SAVEPOINT a; $_; ROLLBACK TO a" : $_ } @statements;
	return join '; ', 'BEGIN', @statements, rand() < 0.85 ? 'COMMIT' : 'ROLLBACK';
}

sub dml
{
	my ($table) = @_;
	my ($f, $t, $label) = (f($table), t(), label());
	my ($columns, $row) = $table eq 'plain' ? ('f, t', "$f, $t") : ('f, t, label', "$f, $t, $label");
	my $partition = $table eq 'parts' && rand() < 0.2 ? any('p0', 'p1') : $table;

	return any(
		("INSERT INTO $partition ($columns) VALUES ($row) ON CONFLICT DO NOTHING") x 3,
		"INSERT INTO $table ($columns) SELECT f + 1, " . ($table eq 'plain' ? 't' : 't, label') . " FROM $table WHERE (f - $first) % 1000 % 3 <> 2 ON CONFLICT DO NOTHING",
		"DELETE FROM $partition WHERE f = $f",
		"DELETE FROM $partition WHERE t = $t",
		"UPDATE $table SET t = $t WHERE f = $f AND t = (SELECT max(t) FROM $table WHERE f = $f)",
		"UPDATE $table SET f = f + 1 WHERE (f - $first) % 1000 % 3 < 2 AND t = $t",
		"UPDATE $table SET note = 'x' WHERE f = $f",
		"UPDATE $table SET t = 9000 + (t + 1) % 5",
		"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM $table; TRUNCATE $table; INSERT INTO $table SELECT * FROM kept WHERE t <> $t",
		"WITH gone AS (DELETE FROM $table WHERE f = $f RETURNING *) INSERT INTO $table SELECT * FROM gone ON CONFLICT DO NOTHING",
		"TRUNCATE $partition",
		"MERGE INTO $table AS m USING (VALUES ($row)) AS v ($columns) ON m.f = v.f AND m.t = v.t WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT ($columns) VALUES ($row)",
		$table eq 'parts' ? "UPDATE parts SET label = $label WHERE f = $f" : "DELETE FROM $table WHERE f = $f; INSERT INTO $table ($columns) VALUES ($row)");
}

# DDL that can be in a transaction with others
sub ddl
{
	my ($table) = @_;
	my $range = range_of_p1();
	my $dml = dml($table);
	my $again = "SELECT hs_assoc_disable_sync('$table'); " . enable($table, $ends_syncs ? ', backfill => true' : '');
	my @any = (
		"ALTER TABLE $table ADD COLUMN x int", "ALTER TABLE $table DROP COLUMN IF EXISTS x",
		"ALTER TABLE $table ALTER COLUMN t TYPE " . any('int', 'bigint'),
		"ALTER TABLE $table RENAME COLUMN t TO u; INSERT INTO $table (f, u) VALUES (@{[ f($table) ]}, 9001) ON CONFLICT DO NOTHING; ALTER TABLE $table RENAME COLUMN u TO t",
		"ALTER TABLE $table RENAME TO renamed; @{[ $dml =~ s/\b$table\b/renamed/gr ]}; ALTER TABLE renamed RENAME TO $table",
		"ALTER TABLE $table SET SCHEMA other; $dml; ALTER TABLE $table SET SCHEMA public",
		"ALTER EXTENSION hubspot_assoc SET SCHEMA " . any('ext', 'public'),
		"CREATE UNIQUE INDEX ON $table (f, t" . ($table eq 'plain' ? '' : ', label') . ')',
		"$again; $dml", "$dml; $again",
		q{SELECT hs_assoc_pause('hubspot')}, q{SELECT hs_assoc_resume('hubspot')});
	my @parts = (
		"ALTER TABLE parts DETACH PARTITION p1",
		("ALTER TABLE parts ATTACH PARTITION p1 $range") x 2,
		"ALTER TABLE parts DETACH PARTITION p1; INSERT INTO p1 (f, t, label) VALUES (@{[ $first + 2004 ]}, @{[ t() ]}, @{[ label() ]}) ON CONFLICT DO NOTHING; ALTER TABLE parts ATTACH PARTITION p1 $range",
		"ALTER TABLE parts DETACH PARTITION p1; ALTER TABLE parts ATTACH PARTITION p1 $range; TRUNCATE p1",
		"DROP TABLE p1; CREATE TABLE p1 PARTITION OF parts $range",
		"DROP TABLE p1; CREATE TABLE p1 (LIKE parts INCLUDING ALL); INSERT INTO p1 (f, t, label) VALUES (@{[ $first + 2005 ]}, @{[ t() ]}, @{[ label() ]}); ALTER TABLE parts ATTACH PARTITION p1 $range",
		"ALTER TABLE p1 RENAME TO p2; TRUNCATE p2; ALTER TABLE p2 RENAME TO p1");

	return any($table eq 'parts' && rand() < 0.6 ? @parts : @any);
}

# DDL that cannot
sub ddl_alone
{
	my ($table) = @_;
	return any("VACUUM FULL $table", "VACUUM ANALYZE $table", "REINDEX TABLE CONCURRENTLY $table", 'ALTER TABLE parts DETACH PARTITION p1 CONCURRENTLY',
		'ALTER TABLE parts DETACH PARTITION p1 FINALIZE', 'CLUSTER plain USING plain_f_t_key', q{CALL hs_assoc_flush()},
		q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}, "SELECT count(*) FROM hs_assoc_drift('$table')");
}

sub end_or_begin
{
	my ($table) = @_;
	$loose{$table} = 1;
	return rand() < 0.4 ? "SELECT hs_assoc_disable_sync('$table')" : "BEGIN; SELECT hs_assoc_disable_sync('$table'); @{[ enable($table, ', backfill => true') ]}; COMMIT";
}
