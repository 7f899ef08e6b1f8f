# Records that HubSpot does not have: however many rows wait for them, asking again takes a
# tenth of the rate, and of what is left of the day; nothing else waits for it; and what
# comes to be is linked soon.
#
# ROWS=n has so many rows, 1000000 for example, and looks on for a minute, and tells the CPU
# of that. The rows do not go in the end, which would take as long again.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max sum0);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '200ms');
my $hubspot = start_simulator();

# 1,000 requests in 10 s, of which a tenth is one each 100 ms
create_account($node, $hubspot, rate_limit => 1000, max_retries => 0);
my $session = start_session($node);
$session->query(q{CREATE TABLE leads (email text, domain text, PRIMARY KEY (email, domain));
	SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies', 'domain')});

# Most of this is many rows' time
my $rows = $ENV{ROWS} // 20_000;
my $patience = max(patience(180), $rows / 1000);

sub lookups { return $session->query('SELECT lookups FROM hs_assoc_stat()') }
sub waiting { return $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE waited > '0'}) }

# 20,000 rows are asked for once as fast as that goes
$session->query("INSERT INTO leads SELECT 'n' || i || '\@example.com', '201' FROM generate_series(1, $rows) i");
my $asked_first = wait_for($rows);
pass("$rows rows wait");
cmp_ok($asked_first, '>=', $rows / 100, 'each key was asked for');

# All due at once, at the worst; so many may go at first, and then one each 100 ms
my $before = lookups();
my $start = time;
my $cpu = server_cpu();
$session->query('SELECT hs_assoc_resume()');
sleep($rows > 20_000 ? 60 : 6);
$cpu = server_cpu() - $cpu;
my $asked = lookups() - $before;
my $passed = time - $start;
note(sprintf '%d look-ups in %.1f s, in which the server took %.2f s of CPU', $asked, $passed, $cpu);
cmp_ok($asked, '>=', 10, "$asked look-ups");
cmp_ok($asked, '<=', 8 + $passed * 10 * 1.2, "in $passed s are a tenth of the rate");
is(waiting(), $rows, 'all of them still wait');
is($session->query('SELECT count(*) FROM hs_assoc_outbox WHERE attempts > 0') + $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'and nothing is charged');

# Others of the account
$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'here@example.com' } } ]);
$start = time;
$session->query(q{INSERT INTO leads VALUES ('here@example.com', '201')});
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 1 });
cmp_ok(time - $start, '<=', patience(20), 'a row whose record is there goes at once');

# One that comes to be while so many others wait
$session->query(q{INSERT INTO leads VALUES ('late@example.com', '201')});
wait_for($rows + 1);
$hubspot->put_records(contacts => [ { id => 102, properties => { email => 'late@example.com' } } ]);
$start = time;
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 2 });
cmp_ok(time - $start, '<=', patience(20), 'what comes to be is linked within 10 s, or what a busy server makes of them');

# Likewise if it is to be asked for in a moment at which many others are, which have waited
# anew since hs_assoc_resume(), and so for less time: as many as waited for an answer
$session->query(q{INSERT INTO leads VALUES ('later@example.com', '201')});
wait_for($rows + 1);
$hubspot->put_records(contacts => [ { id => 103, properties => { email => 'later@example.com' } } ]);
wait_until(sub { $session->query(q{SELECT not_before < clock_timestamp() + interval '1 s' FROM hs_assoc_outbox WHERE from_id = 'later@example.com'}) eq 't' });
$hubspot->rules({ action => { hold => 1 } });
sleep 1.5;
$hubspot->clear_rules;
$before = lookups();
$hubspot->release;
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 3 });
cmp_ok(lookups() - $before, '<=', 60, 'in a crowd, what has come last is asked for first');
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was given up');

# Rows that go, go
if ($rows <= 20_000)
{
	$session->query("DELETE FROM leads WHERE email LIKE 'n%'");
	wait_for_empty_outbox($session);
	is(waiting(), 0, 'rows that go are done');
}

done_testing();

# Until so many rows wait; how many look-ups there were by then
sub wait_for
{
	my ($number) = @_;

	wait_until(sub { sleep 1 if $rows > 20_000; waiting() == $number }, $patience);
	return lookups();
}

# CPU seconds that all processes of the server have taken
sub server_cpu
{
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @gone = (split ' ', slurp_file("/proc/$postmaster/stat") =~ s/.*\) //sr)[ 13, 14 ];

	return sum0(@gone) / POSIX::sysconf(POSIX::_SC_CLK_TCK())
	  + sum0(map { eval { cpu_time($_) } // 0 } split /\n/, $session->query('SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()'));
}
