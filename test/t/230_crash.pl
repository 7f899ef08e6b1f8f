
# Nothing is lost and nothing stays behind when processes die: the worker, the
# backends of writers, the postmaster and HubSpot's end are killed again and
# again, at random moments under load.  In the end HubSpot has what the tables
# have.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(shuffle);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# How often each (OFTEN=20 for more), writers, and how long they go on between two kills
# at most.  Each is a crash recovery, which takes a minute under valgrind.
my $often = $ENV{OFTEN} // (instrumented() eq 'valgrind' ? 4 : 12);
my %kills = (worker => $often, launcher => $often / 4, writer => $often, postmaster => $often, simulator => $often);
my $writers = 3;
my $most_pause = 0.4;

my $seed = $ENV{SEED} // int(time) % 1_000_000;
srand $seed;
note "SEED=$seed";

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	restart_after_crash => 'on',
	shared_buffers => '16MB',
	deadlock_timeout => '20ms',
	log_statement => 'none',
	log_min_messages => 'fatal');

# A while on the way, so that there is something in flight most of the time
my $hubspot = start_simulator(
	latency => 20,
	journal => PostgreSQL::Test::Utils::tempdir() . '/journal');
create_account(
	$node, $hubspot,
	rate_limit => 0,
	connect_timeout => patience(1) . 's',
	request_timeout => patience(2) . 's',
	batch_size => 100,
	max_attempts => 1000);

# The writers have no more than they need.
$node->safe_psql('postgres', q{
	CREATE TABLE link (contact bigint, company bigint, PRIMARY KEY (contact, company));
	CREATE TABLE role_link (contact bigint, deal bigint, role text, PRIMARY KEY (contact, deal, role));
	SELECT hs_assoc_label_create('contacts', 'deals', name, name) FROM unnest(ARRAY['boss', 'buyer', 'clerk']) AS name;
	SELECT hs_assoc_enable_sync('link', 'contacts', 'contact', 'companies', 'company');
	SELECT hs_assoc_enable_sync('role_link', 'contacts', 'contact', 'deals', 'deal',
		label_column => 'role', category => 'USER_DEFINED');
	CREATE ROLE writer LOGIN;
	GRANT SELECT, INSERT, UPDATE, DELETE ON link, role_link TO writer;
	CREATE SEQUENCE fresh;
	GRANT USAGE ON fresh TO writer});

#
# Load
#

# A transaction of a writer.  Rows come, change and go; most of the pairs are
# few and the same, so that they flip; some are new.  Writers collide: then one
# of them has an error, which is no concern of ours.
sub transaction
{
	my $contact = 1 + int rand 60;
	my $company = 1000 + int rand 20;
	my $role = (qw(boss buyer clerk))[ rand 3 ];
	my @statements = (
		"INSERT INTO link SELECT $contact, 1000 + i FROM generate_series(0, 19) i ON CONFLICT DO NOTHING",
		"DELETE FROM link WHERE contact = $contact",
		"DELETE FROM link WHERE company = $company",
		"UPDATE link SET company = company + 100 WHERE contact = $contact AND company < 1100",
		"UPDATE link SET company = company - 100 WHERE contact = $contact AND company >= 1100",
		"DELETE FROM link WHERE (contact, company) = ($contact, $company); INSERT INTO link VALUES ($contact, $company)",
		"INSERT INTO link VALUES ($contact, $company) ON CONFLICT DO NOTHING",
		"INSERT INTO link SELECT nextval('fresh') + 1000, 2000 + i FROM generate_series(1, 5) i",
		"DELETE FROM link WHERE contact IN (SELECT contact FROM link WHERE contact > 1000 ORDER BY 1 LIMIT 3)",
		"INSERT INTO role_link VALUES ($contact, $company, '$role') ON CONFLICT DO NOTHING",
		"INSERT INTO role_link SELECT $contact, $company, unnest(ARRAY['boss', 'clerk']) ON CONFLICT DO NOTHING",
		"UPDATE role_link SET role = '$role' WHERE contact = $contact AND role <> '$role' AND deal = $company",
		"DELETE FROM role_link WHERE contact = $contact AND role = '$role'",
	);
	my $count = 1 + int rand 3;
	return join ";\n", 'BEGIN', (map { $statements[ rand @statements ] } 1 .. $count),
	  (rand() < 0.1 ? 'ROLLBACK' : 'COMMIT'), 'SELECT pg_sleep(0.03)', '';
}

# A process that writes until it is told to end, or we are gone; a lost connection
# is but the end of its session.
sub start_writer
{
	my ($number) = @_;
	my $parent = $$;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;

	my $ended = 0;
	local $SIG{TERM} = sub { $ended = 1 };
	local $SIG{PIPE} = 'IGNORE';
	srand $seed + $number;
	open STDOUT, '>', '/dev/null' or POSIX::_exit(1);
	open STDERR, '>', '/dev/null' or POSIX::_exit(1);
	until ($ended || getppid() != $parent)
	{
		open my $psql, '|-', 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' user=writer'
		  or POSIX::_exit(1);
		print $psql transaction() foreach 1 .. 100;
		sleep 0.1 unless close $psql;		# perhaps there is no server
	}
	POSIX::_exit(0);
}

#
# Victims
#

# The processes of the server, with their parent dead or alive.  Those that have
# died and are not collected yet aren't there any more.
sub processes
{
	my ($parent) = @_;
	my @pids;
	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		my $stat = eval { slurp_file($file) } // '';
		my ($pid, $state, $ppid) = $stat =~ /^(\d+) \(.*\) (\S) (\d+)/s or next;
		push @pids, $pid if $ppid == $parent && $state ne 'Z';
	}
	return @pids;
}

# Dead, collected or not.
sub is_gone
{
	my ($pid) = @_;
	my $stat = eval { slurp_file("/proc/$pid/stat") } // '';
	return $stat !~ /^\d+ \(.*\) [^ZX]/s;
}

# In pg_stat_activity
my %victims = (
	worker => q{backend_type = 'hubspot_assoc worker'},
	launcher => q{backend_type = 'hubspot_assoc launcher'},
	writer => q{usename = 'writer'});

# Kills one of the server's processes, when there is one, and when there is a
# server that tells which.
sub kill_process
{
	my ($victim) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $pid;
	wait_until(sub {
		my (undef, $listed) = eval { $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $victims{$victim}") };
		my %alive = map { $_ => 1 } processes($postmaster);
		my @pids = grep { $alive{$_} } split /\n/, $listed // '';
		$pid = $pids[ rand @pids ];
		return $pid && kill 'KILL', $pid;
	});
	wait_until(sub { is_gone($pid) });
	return;
}

# Its children have to see for themselves that it is gone; until the last one
# has, and it is collected, no other postmaster may begin.
sub kill_postmaster
{
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my @children = processes($postmaster);
	$node->kill9;
	wait_until(sub { !kill(0, $postmaster) && !grep { !is_gone($_) } @children });
	$node->start;
	return;
}

sub kill_simulator
{
	$hubspot->kill;
	sleep rand $most_pause;
	$hubspot->start;
	return;
}

my %kill = (
	(map { my $victim = $_; $victim => sub { kill_process($victim) } } keys %victims),
	postmaster => \&kill_postmaster,
	simulator => \&kill_simulator);

# What the last failure has delayed is tried now, unless there is no server at
# the moment (psql may then be gone before it has read its script).
sub resume
{
	eval { $node->psql('postgres', 'SELECT hs_assoc_resume()') };
	return;
}

# The load is on, and HubSpot is told of it.
sub is_sending
{
	my ($inputs) = @_;
	resume();
	return $hubspot->stats->{inputs} > $inputs;
}

my $started = time;
my @writers = map { start_writer($_) } 1 .. $writers;
wait_until(sub { is_sending(0) });
my $count = 0;
my %killed;
foreach my $victim (shuffle map { ($_) x $kills{$_} } sort keys %kills)
{
	sleep rand $most_pause;		# the random moment
	$kill{$victim}->();
	$killed{$victim}++;
	my $inputs = $hubspot->stats->{inputs};
	wait_until(sub { is_sending($inputs) });
}
is_deeply(\%killed, \%kills, 'all were killed, and each time it went on');
my $stopped = time;

kill 'TERM', @writers;
is(waitpid($_, 0) == $_ ? $? : 'lost', 0, 'a writer ended well') foreach @writers;

#
# What came of it
#

# Pairs that flipped a lot go out less and less often, the last time after up to
# half a minute.
my $waiting = sub { $node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox') };
note 'waiting when the writers ended: ' . $waiting->();
wait_until(sub { resume(); return $waiting->() == 0 });
note sprintf '%.0f s of load, %.0f s until all was sent, %d inputs since the last restart of the simulator',
  $stopped - $started, time - $stopped, $hubspot->stats->{inputs};

# The differences of two lists of lines, a few of them.
sub differences
{
	my ($table, $held) = @_;
	my %table = map { $_ => 1 } split /\n/, $table;
	my %held = map { $_ => 1 } split /\n/, $held;
	my @differences = ((map { "table alone: $_" } grep { !$held{$_} } sort keys %table),
		(map { "HubSpot alone: $_" } grep { !$table{$_} } sort keys %held));
	splice @differences, 20;
	return \@differences;
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'no dead letters');
is($node->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_backoff'), 0, 'the account is well');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM link WHERE contact < 1000'), '>', 0, 'there are pairs that flipped');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM link WHERE contact > 1000'), '>', 0, 'and new ones');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM role_link'), '>', 0, 'and roles');
is_deeply(
	differences(
		$node->safe_psql('postgres', q{SELECT contact || ',' || company || ',HUBSPOT_DEFINED=279' FROM link}),
		$hubspot->association_table('contacts', 'companies')),
	[], 'HubSpot has what the table has');

# Of a pair whose last label goes, the plain association stays
my %type = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT type_id, label FROM hs_assoc_labels('contacts', 'deals') WHERE label IS NOT NULL});
my $roles = '';
foreach my $line (split /\n/, $hubspot->association_table('contacts', 'deals'))
{
	my ($contact, $deal, $types) = split /,/, $line;
	$roles .= "$contact,$deal,$type{$_}\n" foreach $types =~ /USER_DEFINED=(\d+)/g;
}
is_deeply(
	differences(
		$node->safe_psql('postgres', q{SELECT contact || ',' || deal || ',' || role FROM role_link}), $roles),
	[], 'HubSpot has the roles that the table has');

$node->stop;
done_testing();
