# What a look at the outbox finds, by accounts' horizons, against what plain SQL says is
# due: in random schedules of transactions that write, wait, are undone, prepared, and
# look back with old snapshots, while the clock is set.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $fuse = start_fuse();
my $node = start_node(
	fuse => $fuse,
	shared_preload_libraries => 'hubspot_assoc',
	max_prepared_transactions => 20,
	autovacuum => 'off',
	'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
my @servers = qw(one two three);
create_account($node, $hubspot, name => $_, rate_limit => 0) foreach @servers;
my $seed = $ENV{HORIZON_SEED} // int(rand(2**31));
my $rounds = $ENV{HORIZON_ROUNDS} // 400;
srand $seed;
note "HORIZON_SEED=$seed";

my ($monitor, $sender) = map { start_session($node) } 1 .. 2;
my @writers = map { { session => start_session($node), name => "w$_" } } 1 .. 4;
my @readers = map { start_session($node) } 1 .. 2;
my $next = 1;
my $prepared = 0;
my @prepared;

$monitor->query('SELECT hs_assoc_adopt()');	# what is put into the outbox by hand is its own

# between the moment that a row's time is taken and that of its entry in the index
$monitor->query(q{
	CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.labels = '{slow}' THEN PERFORM pg_sleep(0.02); NEW.labels := NULL; END IF; RETURN NEW; END $$;
	CREATE TRIGGER dawdle BEFORE INSERT ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION dawdle()});

sub pick { return $_[ int rand @_ ] }

# Rows of new pairs of a random account.
sub rows
{
	my ($count, $not_before, $slow) = @_;
	my ($first, $last) = ($next, $next + $count - 1);
	$next += $count;
	my ($column, $value) = $not_before ? (', not_before', ", $not_before") : ('', '');
	return sprintf q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, labels%s)
		SELECT '%s', 'postgres', 'create_default', 'contacts', i, 'companies', i, %s%s FROM generate_series(%d, %d) AS i},
	  $column, pick(@servers), $slow ? q{'{slow}'} : 'NULL', $value, $first, $last;
}

sub begin { my ($writer) = @_; return if $writer->{open}; $writer->{session}->query('BEGIN'); $writer->{open} = 1; return }

sub wait_for { my ($writer) = @_; return unless delete $writer->{busy}; my (undef, $err) = $writer->{session}->finish; BAIL_OUT($err) if $err; return }

sub end_transaction
{
	my ($writer, $how) = @_;
	return unless $writer->{open};
	if ($how eq 'PREPARE' && @prepared < 20)
	{
		push @prepared, 'p' . ++$prepared;
		$writer->{session}->query("PREPARE TRANSACTION '$prepared[-1]'");
	}
	else
	{
		$writer->{session}->query($how eq 'ROLLBACK' ? 'ROLLBACK' : 'COMMIT');
	}
	$writer->{open} = 0;
	return;
}

my $some = q{id = ANY (ARRAY(SELECT id FROM hs_assoc_outbox ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED))};
my %steps = (
	insert => [ 8, sub { my ($writer) = @_; begin($writer) if rand() < 0.6; $writer->{session}->query(rows(1 + int rand 5)) } ],
	slow => [ 3, sub { my ($writer) = @_; begin($writer) if rand() < 0.5; $writer->{session}->send(rows(1 + int rand 3, undef, 1)); $writer->{busy} = 1 } ],
	backdated => [ 1, sub { my ($writer) = @_; begin($writer) if rand() < 0.5; $writer->{session}->query(rows(1, q{now() - interval '5 s'})) } ],
	future => [ 2, sub { my ($writer) = @_; $writer->{session}->query(rows(2, q{clock_timestamp() + random() * interval '0.3 s'})) } ],
	moved => [ 1, sub { my ($writer) = @_; begin($writer) if rand() < 0.5; $writer->{session}->query("UPDATE hs_assoc_outbox SET not_before = now() - random() * interval '9 s' WHERE $some") } ],
	renamed => [ 1, sub { my ($writer) = @_; begin($writer) if rand() < 0.5; $writer->{session}->query(sprintf "UPDATE hs_assoc_outbox SET server = '%s' WHERE $some", pick(@servers)) } ],
	deleted => [ 2, sub { my ($writer) = @_; begin($writer); $writer->{session}->query("DELETE FROM hs_assoc_outbox WHERE $some") } ],
	undone => [ 2, sub { my ($writer) = @_; begin($writer); $writer->{session}->query('SAVEPOINT s; ' . rows(2) . "; DELETE FROM hs_assoc_outbox WHERE $some; ROLLBACK TO s") } ],
	commit => [ 8, sub { end_transaction($_[0], 'COMMIT') } ],
	rollback => [ 2, sub { end_transaction($_[0], 'ROLLBACK') } ],
	prepare => [ 2, sub { end_transaction($_[0], 'PREPARE') } ],
	decide => [ 3, sub { $monitor->query(pick('COMMIT', 'ROLLBACK') . " PREPARED '" . shift(@prepared) . q{'}) if @prepared } ],
	snapshot => [ 1, sub { pick(@readers)->query('ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hs_assoc_outbox') } ],
	vacuum => [ 1, sub { $monitor->query('VACUUM hs_assoc_outbox') } ],
	clock => [ 0.3, sub { $fuse->ahead(pick(1, 3)) } ],
	look => [ 8, sub { look() } ]);
my $weights = 0;
$weights += $_->[0] foreach values %steps;

sub random_step
{
	my $left = rand $weights;
	foreach my $name (sort keys %steps)
	{
		return $name if ($left -= $steps{$name}[0]) < 0;
	}
	return 'look';
}

# What is due, and nobody has locked, has to be gone when a look has ended.
my ($looks, $due_in_all, $missed) = (0, 0, 0);
my $trace = '';
sub look
{
	my $due = $monitor->query(q{SELECT id FROM hs_assoc_outbox WHERE not_before <= clock_timestamp() FOR UPDATE SKIP LOCKED});
	my $array = "'{" . join(',', split /\n/, $due) . "}'";
	$sender->query('CALL hs_assoc_flush()');
	my $left = $monitor->query("SELECT coalesce(string_agg(id || ' of ' || server || ' at ' || not_before, ', '), 'none')
		FROM (SELECT * FROM hs_assoc_outbox WHERE id = ANY ($array) FOR UPDATE SKIP LOCKED) AS o");
	$looks++;
	$due_in_all += split /\n/, $due;
	return if $left eq 'none';
	$missed++;
	diag("$trace: due and not sent: $left") if $missed < 4;
	return;
}

foreach my $round (1 .. $rounds)
{
	my $name = random_step();
	my $writer = pick(@writers);
	$trace = "seed $seed, round $round";
	wait_for($writer) if $name !~ /^(?:look|decide|snapshot|vacuum|clock)$/;
	$steps{$name}[1]->($writer);
}
wait_for($_), end_transaction($_, 'COMMIT') foreach @writers;
$monitor->query("COMMIT PREPARED '$_'") foreach @prepared;
look();
is($missed, 0, "seed $seed: $looks looks have found all that was due");
cmp_ok($due_in_all, '>', $rounds / 4, "... which were $due_in_all rows");

# those that were to wait
wait_until(sub { $sender->query('CALL hs_assoc_flush()'); return $monitor->query('SELECT count(*) FROM hs_assoc_outbox') == 0 });

# Rows of a server that has got another name, as doc/operations.md has them go on.
foreach my $changed ('server', 'role')
{
	my ($from, $to) = $changed eq 'server' ? qw(one two) : qw(pg_monitor postgres);
	my $row = q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
		VALUES ('%s', '%s', 'create_default', 'contacts', %d, 'companies', 1)};
	$monitor->query(q{SELECT hs_assoc_pause('one')}) if $changed eq 'server';
	$monitor->query(sprintf $row, ($changed eq 'server' ? 'one' : 'two'), ($changed eq 'server' ? 'postgres' : 'pg_monitor'), $next++);
	foreach (1 .. 3)
	{
		wait_until(sub { $monitor->query("SELECT clock_timestamp() > max(not_before) + interval '20 ms' FROM hs_assoc_outbox") eq 't' });
		$monitor->query(sprintf $row, 'two', 'postgres', $next++);
		$sender->query('CALL hs_assoc_flush()');
	}
	is($monitor->query('SELECT count(*) FROM hs_assoc_outbox'), 1, "another $changed: the row waits");
	$monitor->query("UPDATE hs_assoc_outbox SET $changed = '$to' WHERE CAST($changed AS text) = '$from'");
	$sender->query('CALL hs_assoc_flush()');
	is($monitor->query('SELECT count(*) FROM hs_assoc_outbox'), 0, "another $changed: the row is found at once");
}
$_->quit foreach $monitor, $sender, @readers, map { $_->{session} } @writers;
done_testing();
