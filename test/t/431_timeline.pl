# hubspot_assoc.hold_after_promotion: after a promotion, and a restore to a point in time,
# a database sends nothing until it is adopted; a crash changes nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = start_node(
	'hubspot_assoc.workers' => 0,
	'hubspot_assoc.hold_after_promotion' => 'on',
	wal_level => 'replica',
	max_wal_senders => 5);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $next = 1;
my $why = qr/This server was promoted, or restored to an earlier time: its timeline is \d+, and was \d+ when this database began to send\./;

# Enqueues a row and flushes: whether it was sent, and what was said
sub try
{
	my ($on) = @_;
	my $id = $next++;
	my ($code, $out, $err) = $on->psql('postgres', "SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $id AS from_id, 1 AS to_id'); CALL hs_assoc_flush()");
	return ($hubspot->association_table('contacts', 'companies') =~ /^$id,1,/m ? 'sent' : 'not sent', $err);
}
sub sends { my ($on, $name) = @_; is((try($on))[0], 'sent', $name); return }
sub held { my ($on, $name) = @_; my ($sent, $err) = try($on); is($sent, 'not sent', $name); like($err, $why, '... and it is said'); return }
sub set { my ($on, $value) = @_; $on->append_conf('postgresql.conf', "hubspot_assoc.hold_after_promotion = $value"); $on->reload; return }

sends($node, 'the first database');
$node->backup('backup');
sends($node, '... goes on beside a backup');
$node->stop('immediate');
$node->start;
sends($node, '... and after a crash');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', 'SELECT hs_assoc_held() IS NULL'), 't', 'a standby has nothing to say');
$standby->promote;
wait_until(sub { $standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' });
held($standby, 'promoted, it holds');
like($standby->safe_psql('postgres', 'SELECT hs_assoc_held()'), qr/its timeline is 2, and was 1 when/, '... and says which timelines');
like(($standby->psql('postgres', "SELECT hs_assoc_create_default('contacts', 1, 'companies', 1)"))[2], qr/nothing is sent from this database until hs_assoc_adopt is called/, '... nor sends at once');
sends($node, '... while the other one goes on');
set($standby, 'off');
wait_until(sub { $standby->safe_psql('postgres', 'SELECT hs_assoc_held() IS NULL') eq 't' });
sends($standby, 'without the setting it sends');
set($standby, 'on');
wait_until(sub { $standby->safe_psql('postgres', 'SELECT hs_assoc_held() IS NULL') eq 'f' });
is($standby->safe_psql('postgres', q{SELECT hs_assoc_adopt('discard') >= 0}), 't', 'adopted');
sends($standby, '... it sends');
$standby->restart;
sends($standby, '... and after a restart');
$standby->stop;

# To a point in time: recovery ends with another timeline, too
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'backup');
$restored->append_conf('postgresql.conf', "restore_command = 'cp \"" . $node->data_dir . "/pg_wal/%f\" \"%p\"'\nrecovery_target = 'immediate'\nrecovery_target_action = 'promote'");
$restored->set_recovery_mode;
$restored->start;
wait_until(sub { $restored->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' });
held($restored, 'restored to a point in time, it holds');

done_testing();
