# Records that HubSpot does not have: however many rows wait for them, asking again takes a
# tenth of the rate, and of what is left of the day; nothing else waits for it; and what
# comes to be is linked soon.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '200ms');
my $hubspot = start_simulator();

# 1,000 requests in 10 s, of which a tenth is one each 100 ms
create_account($node, $hubspot, rate_limit => 1000, max_retries => 0);
my $session = start_session($node);
$session->query(q{CREATE TABLE leads (email text, domain text, PRIMARY KEY (email, domain));
	SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies', 'domain')});

sub lookups { return $session->query('SELECT lookups FROM hs_assoc_stat()') }
sub waiting { return $session->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE waited > '0'}) }

# 20,000 rows are asked for once as fast as that goes
my $rows = 20_000;
$session->query("INSERT INTO leads SELECT 'n' || i || '\@example.com', '201' FROM generate_series(1, $rows) i");
wait_until(sub { waiting() == $rows });
pass("$rows rows wait");
cmp_ok(lookups(), '>=', 200, 'each key was asked for');

# All due at once, at the worst; so many may go at first, and then one each 100 ms
my $before = lookups();
my $start = time;
$session->query('SELECT hs_assoc_resume()');
sleep 6;
my $asked = lookups() - $before;
my $passed = time - $start;
cmp_ok($asked, '>=', 10, "$asked look-ups");
cmp_ok($asked, '<=', 8 + $passed * 10 * 1.2, "in $passed s are a tenth of the rate");
is(waiting(), $rows, 'all of them still wait');
is($session->query('SELECT count(*) FROM hs_assoc_outbox WHERE attempts > 0') + $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'and nothing is charged');

# Others of the account
$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'here@example.com' } } ]);
$start = time;
$session->query(q{INSERT INTO leads VALUES ('here@example.com', '201')});
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 1 });
cmp_ok(time - $start, '<=', patience(5), 'a row whose record is there goes at once');

# One that comes to be while so many others wait
$session->query(q{INSERT INTO leads VALUES ('late@example.com', '201')});
wait_until(sub { waiting() == $rows + 1 });
$hubspot->put_records(contacts => [ { id => 102, properties => { email => 'late@example.com' } } ]);
$start = time;
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 2 });
cmp_ok(time - $start, '<=', patience(10), 'what comes to be is linked within 10 s');
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was given up');

# Rows that go, go
$session->query("DELETE FROM leads WHERE email LIKE 'n%'");
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 });
is(waiting(), 0, 'rows that go are done');

done_testing();
