# Without preloading: the dynamic worker of a database compares tables with HubSpot, stays for
# that, comes back, and makes way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 2, 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
my $session = start_session($node);

sub held { return join ' ', map { "$_->{from_id},$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } }
sub worker { return $session->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'hubspot_assoc%' AND datname = current_database()}) }

# Somebody takes an association away, and it is back.
sub comes_back
{
	my ($from, $to, $what) = @_;
	$session->query("SELECT hs_assoc_archive('contacts', $from, 'companies', $to)");
	wait_until(sub { held() =~ /$from,$to/ });
	return pass($what);
}

$session->query(q{SET client_min_messages = error; CREATE TABLE links (f int PRIMARY KEY, t int); INSERT INTO links SELECT 100 + i, 200 + i FROM generate_series(1, 8) i;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', backfill => true, verify => '1 second', on_drift => 'add')});
wait_for_empty_outbox($session);
comes_back(101, 201, 'a change by hand is found');
my $pid = worker();
wait_until(sub { $session->query('SELECT last_ended_at > enabled_at + interval \'8 s\' FROM hs_assoc_verify_stat JOIN hs_assoc_sync ON id = sync') eq 't' });
is(worker(), $pid, 'the worker stays');
$session->query("SELECT pg_terminate_backend($pid)");
comes_back(102, 202, 'and comes back');

# A sync that is enabled later, with nothing to be sent
$session->query(q{SET client_min_messages = error; SELECT hs_assoc_disable_sync('links')});
wait_until(sub { worker() eq '' });
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', verify => '1 second', on_drift => 'add')});
comes_back(103, 203, 'a worker is started for a sync without anything to be sent');

# The server is restarted: the next start goes on
$session->quit;
$node->restart;
$session = start_session($node);
$session->query('SELECT hs_assoc_start()');
comes_back(104, 204, 'it goes on after a restart');

# In nobody's way
my $template = start_session($node, 'template1');
$session->quit;
$template->query('CREATE DATABASE copy TEMPLATE postgres');
pass('a database is copied');
$session = start_session($node, 'copy');
is($session->query('SELECT hs_assoc_held() IS NOT NULL, (SELECT count(*) FROM hs_assoc_verify_stat)'), 't|1', 'its copy is not compared');
$session->quit;
$template->query('DROP DATABASE copy; DROP DATABASE postgres');
pass('and dropped');

$template->quit;
done_testing();
