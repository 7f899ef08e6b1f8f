# While a worker that compares a table in sync with HubSpot waits for a lock on it, another
# table takes its name, and it is dropped: the worker finds that it is gone, and goes on. So it
# does where that comes between its choice of the table and its first look at it, or where a
# column gets another name by then.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', log_min_messages => 'warning');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my ($session, $other) = map { start_session($node) } 1 .. 2;
my $waits = q{SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
	WHERE NOT l.granted AND l.locktype = 'relation' AND a.backend_type = 'hubspot_assoc worker'};
my $started = $session->query('SELECT pg_postmaster_start_time(), backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()');

foreach my $times (1 .. 3)
{
	$session->query(q{CREATE TABLE IF NOT EXISTS links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
		INSERT INTO links VALUES (1, 2);
		SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', verify => '1 second', on_drift => 'add')});
	wait_until(sub { $other->query('SELECT count(last_ended_at) FROM hs_assoc_verify_stat') == 1 });
	$session->query('BEGIN; ALTER TABLE links RENAME TO old; CREATE TABLE links (LIKE old INCLUDING ALL)');
	wait_until(sub { $other->query($waits) eq 't' });
	$session->query('DROP TABLE old; COMMIT');
	wait_until(sub { $other->query($waits) eq 'f' });
	is($session->query('SELECT count(*) FROM hs_assoc_sync'), 0, "the sync has ended ($times)");
}
# Between the two, the worker notes that it tries.
my $notes = q{SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
	WHERE NOT l.granted AND l.relation = 'hs_assoc_verify'::regclass AND a.backend_type = 'hubspot_assoc worker' AND a.query !~ '^comparing'};
foreach my $ddl ('ALTER TABLE links RENAME COLUMN company_id TO other_id', 'DROP TABLE links')
{
	$session->query(q{DROP TABLE links; CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
		SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', verify => '1 second')});
	wait_until(sub { $other->query('SELECT count(last_ended_at) FROM hs_assoc_verify_stat') == 1 });
	# what waits for longer than a worker does is a failure of its own
	$session->query('BEGIN; LOCK TABLE hs_assoc_verify IN SHARE MODE');
	wait_until(sub { $other->query($notes) eq 't' });
	$session->query($ddl);
	my $from = -s $node->logfile;
	my $now = $other->query('SELECT clock_timestamp()');
	$session->query('COMMIT');
	wait_until(sub { $other->query($notes) eq 'f' });
	wait_until(sub { $other->query("SELECT count(*) FILTER (WHERE last_ended_at < '$now') FROM hs_assoc_verify_stat") == 0 });
	unlike(slurp_file($node->logfile, $from), qr/could not compare (?!.*lock timeout)/, "$ddl: nothing fails");
}
is($session->query('SELECT pg_postmaster_start_time(), backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()'), $started, 'nobody has crashed');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 7 AS from_id, 8 AS to_id')});
wait_for_empty_outbox($session);
pass('and the worker goes on');

$_->quit foreach $session, $other;
done_testing();
