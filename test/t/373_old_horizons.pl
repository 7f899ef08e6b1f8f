# An account's horizon passes what a prepared transaction could still write, which is
# nothing; and a row that comes below it, with nobody told, is found when it is old.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	max_prepared_transactions => 1,
	autovacuum => 'off',
	'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, name => $_, rate_limit => 0) foreach qw(steady busy);
my ($sender, $session, $reader) = map { start_session($node) } 1 .. 3;
my $rows = 20_000;

sub enqueue
{
	my ($server, $first, $last) = @_;
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series($first, $last) AS i', server => '$server')});
	return;
}

# How many pages of the outbox and its indexes a look of the busy account takes
sub look
{
	my ($contact) = @_;
	my $pages = q{SELECT pg_stat_force_next_flush(); SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)
		FROM pg_statio_all_tables WHERE relname = 'hs_assoc_outbox'};
	enqueue('busy', $contact, $contact);
	$sender->query('SELECT pg_stat_force_next_flush()');
	my ($before) = $session->query($pages) =~ /(\d+)$/;
	$sender->query(q{SELECT pg_stat_force_next_flush(); CALL hs_assoc_flush(server => 'busy'); SELECT pg_stat_force_next_flush()});
	my ($after) = $session->query($pages) =~ /(\d+)$/;
	return $after - $before;
}

# A row of which no trigger tells
enqueue('steady', 1, 1);
$sender->query(q{CALL hs_assoc_flush(server => 'steady')});
$session->query(q{ALTER TABLE hs_assoc_outbox DISABLE TRIGGER USER;
	INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, not_before)
	VALUES ('steady', 'postgres', 'create_default', 'contacts', '2', 'companies', '2', now() - interval '1 hour');
	ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_wake;
	ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_backdated;
	ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_moved});
$sender->query(q{CALL hs_assoc_flush(server => 'steady')});
is($session->query(q{SELECT from_id FROM hs_assoc_outbox}), 2, 'a row below the horizon, of which nobody was told, waits');

# Meanwhile: rows that were sent, which somebody could still see
$session->query('BEGIN; LOCK TABLE hs_assoc_outbox IN ROW EXCLUSIVE MODE');
$session->query(q{PREPARE TRANSACTION 'undecided'});
$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hs_assoc_outbox');
enqueue('busy', 101, 100 + $rows);
$sender->query(q{CALL hs_assoc_flush(server => 'busy')});
is($hubspot->association_count('contacts', 'companies'), 1 + $rows, 'many rows are sent beside a prepared transaction');
look(50_001);
my $pages = look(50_002);
note "$pages pages";
cmp_ok($pages, '<', 200, 'the next look does not walk past them');
is($hubspot->association_count('contacts', 'companies'), 3 + $rows, 'and finds what has come');
$session->query(q{ROLLBACK PREPARED 'undecided'});
$reader->query('COMMIT');

wait_until(sub { $sender->query(q{CALL hs_assoc_flush(server => 'steady')}); return $session->query('SELECT count(*) FROM hs_assoc_outbox') eq '0' });
is($hubspot->association_count('contacts', 'companies'), 4 + $rows, 'the row is found when the horizon is old');

$_->quit foreach $sender, $session, $reader;
done_testing();
