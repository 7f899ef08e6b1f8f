# Tables that another server's changes come into, pulled or by a subscription, while sessions
# write over there, and pull, and whoever takes part is killed, at random: in the end the
# side-car's tables and HubSpot have what the tables over there say, and no ERROR is an
# internal one.
#
# The table plain, of default associations, and labels are pulled; copied is subscribed to, and
# has labels, too.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $STEPS = 60;
my %offset = (plain => 1000, labels => 2000, copied => 3000);
my @pulled = qw(plain labels);

# What others' DDL does to a statement of PostgreSQL's own, too
my $CONCURRENT = qr/tuple concurrently (?:updated|deleted)/;

my @seeds = seeds(3, 8);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', deadlock_timeout => '100ms', max_connections => 40, log_error_verbosity => 'verbose', replication_settings());
plan(skip_all => 'postgres_fdw is missing')
  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) == 0;
my $hubspot = start_simulator(latency => 2);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', request_timeout => patience(2) . 's');
$node->safe_psql('postgres', 'CREATE DATABASE managed');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'managed', '-f', "$FindBin::Bin/../../managed/hubspot_changes.sql" ], 'changes are written down over there');
my $managed = start_session($node, 'managed');
my $car = start_session($node);
my ($host, $port) = ($node->host, $node->port);

$_->query('SET client_min_messages = error') foreach $managed, $car;
$managed->query('CREATE TABLE copied (id int PRIMARY KEY, f int, t int, label text, note text, UNIQUE (f, t, label)); CREATE SEQUENCE ids');
$car->query(qq{
	CREATE TABLE copied (id int PRIMARY KEY, f int, t int, label text, note text, UNIQUE (f, t, label));
	SELECT hs_assoc_enable_sync('copied', 'contacts', 'f', 'companies', 't', label_column => 'label', replicated => true);
	CREATE EXTENSION postgres_fdw; CREATE SCHEMA managed;
	CREATE SERVER managed FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'managed');
	CREATE USER MAPPING FOR CURRENT_USER SERVER managed;
	CREATE FOREIGN TABLE managed.changes (id bigint, link text, old_row jsonb, new_row jsonb) SERVER managed OPTIONS (schema_name 'hubspot_changes', table_name 'changes');
	CREATE FOREIGN TABLE managed.plain (f int, t int) SERVER managed OPTIONS (schema_name 'public');
	CREATE FOREIGN TABLE managed.labels (f int, t int, label text) SERVER managed OPTIONS (schema_name 'public')});
subscribe($node, $managed, $car, 'copied', 'streaming = on');

# Two sessions write over there, two are the side-car's.
my %other;
connect_other($_) foreach qw(writer1 writer2 car1 car2);
my %done = map { $_ => 0 } qw(steps errors kills pulls all_rows);

# What a seed's steps have said; the step of each table's last change that was not written down;
# whether workers are killed, after which what they were sending is in doubt for 12 s
my (@log, @errors, %unwritten, $kills_workers);

# What a session's statement is to do, while it runs
my %busy;

# Each seed has records of its own: what is sent of a pair that changes all the time is damped.
my $first = 0;

try_seed($_, \&run_seed, sub { return @log }) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{errors}, '<', $done{steps}, 'some steps had no error');
my @internal = grep { $_ !~ $CONCURRENT } slurp_file($node->logfile) =~ /^(.*(?:(?:ERROR|FATAL|PANIC):  XX\d{3}|PANIC:  |terminated by signal (?!15)|TRAP: ).*)$/mg;
is(join("\n", @internal), '', "the server's log has no internal error");
$_->quit foreach $managed, $car, values %other;
done_testing();

sub connect_other
{
	my ($name) = @_;
	$other{$name} = start_session($node, $name =~ /writer/ ? 'managed' : 'postgres');
	$other{$name}->query(qq{SET lock_timeout = '@{[ patience(500) ]}ms'; SET statement_timeout = '@{[ patience(5) ]}s'});
	return;
}

sub run_seed
{
	my ($seed) = @_;

	start_over();
	foreach my $n (1 .. $STEPS)
	{
		step($n);
		$done{steps}++;
	}
	take_errors($_) foreach sort keys %busy;

	$car->query(q{ALTER SUBSCRIPTION s ENABLE; SELECT hs_assoc_resume('hubspot')});
	foreach my $table (@pulled)
	{
		my $all_rows = $unwritten{$table} ? ", all_rows => 'managed.$table', may_be_empty => true" : '';
		push @log, "at last: pull of $table$all_rows";
		$car->query("CALL hs_assoc_pull('$table', 'managed.changes', max_rows => @{[ any(3, 1000) ]}$all_rows)");
	}
	push @errors, 'changes are left over there' if $managed->query('SELECT count(*) FROM hubspot_changes.changes') != 0;
	wait_until_applied($managed);
	wait_for_empty_outbox($car);
	return (@errors, (map { problems($_) } sort keys %offset), dead_letters());
}

sub start_over
{
	take_errors($_) foreach sort keys %busy;
	@log = @errors = ();
	%unwritten = ();
	$kills_workers = rand() < 0.15;
	$first += 10_000;
	$managed->query('DROP TABLE IF EXISTS plain, labels; TRUNCATE copied, hubspot_changes.changes');
	$car->query('ALTER SUBSCRIPTION s ENABLE');
	wait_until_applied($managed);
	$car->query(q{SELECT hs_assoc_disable_sync(link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync WHERE link_table <> 'copied'::regclass) AS s;
		DROP TABLE IF EXISTS plain, labels; TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter; SELECT hs_assoc_resume('hubspot')});
	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);

	# Where columns are NOT NULL here, rows with nulls are left out.
	my ($plain, $labels) = map { any('PRIMARY KEY', 'UNIQUE') } 1, 2;
	$car->query(qq{CREATE TABLE plain (f int, t int, $plain (f, t)); CREATE TABLE labels (f int, t int, label text, $labels (f, t, label))});
	$car->query(enable($_)) foreach @pulled;
	$managed->query(q{CREATE TABLE plain (f int, t int, note text, UNIQUE (f, t)); CREATE TABLE labels (f int, t int, label text, note text, UNIQUE (f, t, label))});
	$managed->query(follow($_)) foreach @pulled;
	return;
}

sub enable
{
	my ($table) = @_;
	my $more = $table eq 'plain' ? '' : q{, label_column => 'label'};
	return "SELECT hs_assoc_enable_sync('$table', 'contacts', 'f', 'companies', 't'$more)";
}

sub follow { my ($table) = @_; return "SELECT hubspot_changes.follow('$table', 'f', 't'" . ($table eq 'plain' ? '' : q{, 'label'}) . ')' }

# A session's statements have come to their end.
sub take_errors
{
	my ($name) = @_;
	my $what = delete $busy{$name} or return;
	my (undef, $err) = $other{$name}->finish;
	# what another server has said has no SQLSTATE
	my @said = $err =~ /^(?:psql:\S+ )?((?:ERROR|FATAL|PANIC):  \w{5}: .*)/mg;

	push @log, map { "	$name: $_" } @said;
	$done{errors}++ if @said;
	push @errors, grep { /XX\d{3}|PANIC/ && $_ !~ $CONCURRENT || /^FATAL/ && !$what->{killed} } @said;

	# all that was not written down by the time of this pull is here
	my ($table, $n) = @$what{qw(table step)};
	delete $unwritten{$table} if $err =~ /took all rows/ && ($unwritten{$table} // $n) < $n;
	connect_other($name) if $what->{killed};
	return;
}

sub run
{
	my ($n, $name, $sql, %what) = @_;
	take_errors($name);
	push @log, "$n, $name: $sql";
	$other{$name}->send($sql);
	$busy{$name} = { step => $n, %what };
	return;
}

sub step
{
	my ($n) = @_;
	my $how = rand;
	my $car_session = any('car1', 'car2');
	my $table = any(@pulled);

	if ($how < 0.55) { run($n, any('writer1', 'writer2'), writing()) }
	elsif ($how < 0.75) { run($n, $car_session, pull($table), table => $table) }
	elsif ($how < 0.85) { run($n, $car_session, control()) }
	elsif ($how < 0.95) { kill_some($n) }
	else
	{
		# nothing of this is under way when a pull begins that makes up for it
		my $loses = rand() < 0.5;
		run($n, 'writer1', join '; ', 'BEGIN', "SELECT hubspot_changes.unfollow('$table')", $loses ? dml($table) : (), follow($table), 'COMMIT');
		take_errors('writer1');
		$unwritten{$table} = $n if $loses;
	}
	return;
}

# A transaction over there
sub writing
{
	my @statements = map { dml(any(sort keys %offset)) } 1 .. 1 + int rand 4;
	@statements = map { rand() < 0.15 ? "SAVEPOINT a; $_; ROLLBACK TO a" : rand() < 0.1 ? "SAVEPOINT b; $_; RELEASE b" : $_ } @statements;
	return join '; ', 'BEGIN', @statements, rand() < 0.85 ? 'COMMIT' : 'ROLLBACK';
}

sub pull
{
	my ($table) = @_;
	my $max_rows = any(1, 2, 3, 5, 10_000);
	my $all_rows = rand() < 0.15 ? ", all_rows => 'managed.$table'" . any('', ', may_be_empty => true') : '';

	$done{ $all_rows ? 'all_rows' : 'pulls' }++;
	return "CALL hs_assoc_pull('$table', 'managed.changes', max_rows => $max_rows$all_rows)";
}

# What the side-car's own may do
sub control
{
	return any('ALTER SUBSCRIPTION s DISABLE', ('ALTER SUBSCRIPTION s ENABLE') x 2, 'ALTER SUBSCRIPTION s REFRESH PUBLICATION',
		q{SELECT hs_assoc_pause('hubspot')}, (q{SELECT hs_assoc_resume('hubspot')}) x 2);
}

sub kill_some
{
	my ($n) = @_;
	my @pulling = grep { /^car/ } sort keys %busy;
	my $who = any($kills_workers ? 'worker' : (), 'apply worker', 'over there', @pulling);
	my %which = (
		'worker' => q{backend_type = 'hubspot_assoc worker'},
		'apply worker' => q{backend_type LIKE 'logical replication%worker'},
		'over there' => q{application_name = 'postgres_fdw'});

	push @log, "$n: kill of $who";
	$done{kills}++;
	select undef, undef, undef, rand 0.02;
	if ($which{$who})
	{
		$car->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $which{$who}");
		return;
	}
	$busy{$who}{killed} = 1;
	$other{$who}->terminate;
	take_errors($who);
	return;
}

# In what a table, its copy here, and HubSpot differ
sub problems
{
	my ($table) = @_;
	my $row = $table eq 'plain' ? q{f || ' ' || t} : q{f || ' ' || t || ' ' || label};
	my $sql = "SELECT $row FROM $table WHERE $row IS NOT NULL";
	my %wanted = map { $_ => 1 } split /\n/, $managed->query($sql);
	my %here = map { $_ => 1 } split /\n/, $car->query($sql);
	my %held;

	foreach my $pair (@{ $hubspot->associations('contacts', 'companies') })
	{
		next if int(($pair->{from_id} - $first) / 1000) * 1000 != $offset{$table};
		my $name = "$pair->{from_id} $pair->{to_id}";
		$held{$_} = 1 foreach $table eq 'plain' ? $name : map { "$name $_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $pair->{types} };
	}
	return (differences("$table here", \%here, \%wanted), differences("$table in HubSpot", \%held, \%wanted),
		$table eq 'copied' && $car->query(q{SELECT problem FROM hs_assoc_sync WHERE NOT active AND link_table = 'copied'::regclass}) || ());
}

sub differences
{
	my ($where, $has, $wanted) = @_;
	return ((map { "$where: $_ is missing" } grep { !$has->{$_} } sort keys %$wanted), (map { "$where: $_ should not be there" } grep { !$wanted->{$_} } sort keys %$has));
}

sub dead_letters { return split /\n/, $car->query(q{SELECT concat_ws(' ', 'dead letter:', operation, from_id, to_id, error_message) FROM hs_assoc_dead_letter}) }

sub any { return $_[ rand @_ ] }
sub f { return rand() < 0.05 ? 'NULL' : $first + $offset{ $_[0] } + int rand 8 }
sub t { return rand() < 0.05 ? 'NULL' : 9000 + int rand 7 }
sub label { return rand() < 0.1 ? 'NULL' : any(q{'Alpha'}, q{'Beta'}) }

sub dml
{
	my ($table) = @_;
	my ($f, $g, $t, $label) = (f($table), f($table), t(), label());
	my $low = $first + $offset{$table};
	my ($columns, $row) = ('f, t', "$f, $t");

	($columns, $row) = ("$columns, label", "$row, $label") if $table ne 'plain';
	($columns, $row) = ("id, $columns", "nextval('ids'), $row") if $table eq 'copied';
	my $rest = $columns =~ s/id, f/nextval('ids'), f/r;
	my $shifted = $rest =~ s/\bf\b/f + 1/r;
	return any(
		("INSERT INTO $table ($columns) VALUES ($row) ON CONFLICT DO NOTHING") x 3,
		("INSERT INTO $table ($columns) SELECT $shifted FROM $table WHERE f < $low + 7 ON CONFLICT DO NOTHING") x 2,
		"DELETE FROM $table WHERE f = $f",
		"DELETE FROM $table WHERE t = $t",
		"DELETE FROM $table WHERE f IS NULL OR t IS NULL",
		"UPDATE $table SET t = $t WHERE f = $f AND t = (SELECT max(t) FROM $table WHERE f = $f)",
		"UPDATE $table SET f = $g WHERE f = $f AND t = $t",
		"UPDATE $table SET note = 'x' WHERE f = $f",
		"UPDATE $table SET t = t + 100 WHERE t = 9001; UPDATE $table SET t = 9001 WHERE t = 9002; UPDATE $table SET t = 9002 WHERE t = 9101",
		"UPDATE $table SET f = f + 100 WHERE f IN ($f, $g); UPDATE $table SET f = CASE f WHEN $f + 100 THEN $g ELSE $f END WHERE f >= $low + 100",
		"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM $table; TRUNCATE $table; INSERT INTO $table SELECT * FROM kept WHERE t <> $t; DROP TABLE kept",
		"WITH gone AS (DELETE FROM $table WHERE f = $f RETURNING *) INSERT INTO $table ($columns) SELECT $rest FROM gone ON CONFLICT DO NOTHING",
		"DELETE FROM $table WHERE f = $f; INSERT INTO $table ($columns) VALUES ($row) ON CONFLICT DO NOTHING",
		"TRUNCATE $table",
		$table eq 'plain' ? "INSERT INTO plain (f, t) SELECT $low + i % 8, 9000 + i % 5 FROM generate_series(1, 12) AS i ON CONFLICT DO NOTHING" : "UPDATE $table SET label = $label WHERE f = $f AND t = $t");
}
