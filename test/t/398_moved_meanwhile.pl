# ALTER EXTENSION ... SET SCHEMA is committed while another command waits for a lock: that
# command finds the extension's tables and functions where they are now.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
# nothing is to be sent here
$node->safe_psql('postgres', q{
	CREATE EXTENSION hubspot_assoc;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'http://127.0.0.1:9');
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token');
	CREATE SCHEMA a; CREATE SCHEMA b;
	ALTER DATABASE postgres SET search_path = a, b, public;
	CREATE TABLE links (contact_id int, company_id int, UNIQUE (contact_id, company_id)) PARTITION BY RANGE (contact_id);
	CREATE TABLE plain (contact_id int, company_id int, UNIQUE (contact_id, company_id));
	CREATE TABLE next (contact_id int, company_id int, UNIQUE (contact_id, company_id))});
my $enable = q{SELECT hs_assoc_enable_sync('%s', 'contacts', 'contact_id', 'companies', 'company_id')};
$node->safe_psql('postgres', sprintf($enable, $_)) foreach qw(links plain);
my ($writer, $waiter) = map { start_session($node) } 1 .. 2;
my $schema = 'public';

# What was enqueued since the last look, in its order.
sub enqueued
{
	return $node->safe_psql('postgres', q{
		WITH gone AS (DELETE FROM hs_assoc_outbox RETURNING *)
		SELECT string_agg(format('%s %s>%s', operation, from_id, to_id), ', ' ORDER BY id) FROM gone});
}

# Runs a command that has to wait for who writes to a table, until the extension is elsewhere;
# what it prints. Its session has run another one before, and knows where all is.
sub wait_for_move
{
	my ($table, $sql) = @_;

	$waiter->query('CREATE TABLE other (a int); DROP TABLE other; SELECT count(*) FROM hs_assoc_sync');
	$writer->query("BEGIN; LOCK TABLE $table IN ROW EXCLUSIVE MODE");
	$waiter->send($sql);
	wait_for_lock($node, $waiter);
	$schema = $schema eq 'a' ? 'b' : 'a';
	$node->safe_psql('postgres', "ALTER EXTENSION hubspot_assoc SET SCHEMA $schema");
	$writer->query('COMMIT');
	return join '', $waiter->finish;
}

sub create_part
{
	$waiter->query('CREATE TABLE part PARTITION OF links FOR VALUES FROM (0) TO (100); INSERT INTO links VALUES (1, 2)');
	enqueued();
	return;
}

create_part();
unlike(wait_for_move('part', 'DROP TABLE part'), qr/ERROR/, 'a partition is dropped');
is(enqueued(), 'archive 1>2', '... and its rows are removed');

create_part();
unlike(wait_for_move('links', 'ALTER TABLE links DETACH PARTITION part'), qr/ERROR/, 'a partition is detached');
is(enqueued(), 'archive 1>2', '... and its rows are removed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'part'::regclass}), 0, '... with its triggers');
unlike(wait_for_move('part', 'ALTER TABLE links ATTACH PARTITION part FOR VALUES FROM (0) TO (100)'), qr/ERROR/, 'a partition is attached');
is(enqueued(), 'create_default 1>2', '... and its rows are added');

unlike(wait_for_move('links', 'ALTER TABLE links RENAME company_id TO company'), qr/ERROR/, 'a column is renamed');
is($node->safe_psql('postgres', q{SELECT to_column, active FROM hs_assoc_sync WHERE link_table = 'links'::regclass}), 'company|t', '... and followed');

unlike(wait_for_move('plain', 'INSERT INTO plain VALUES (3, 4); TRUNCATE plain; INSERT INTO plain VALUES (5, 6)'), qr/ERROR/, 'a table is emptied');
is(enqueued(), 'create_default 3>4, archive 3>4, create_default 5>6', '... and filled');

like(wait_for_move('plain', sprintf($enable, 'plain')), qr/ERROR:  42710: columns "contact_id" and "company_id" of table "plain" are already kept in sync/, 'a sync is not enabled twice');
like(wait_for_move('plain', q{SELECT hs_assoc_disable_sync('plain')}), qr/^1$/m, 'a sync is ended');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'plain'::regclass}), 0, '... with its triggers');
is($node->safe_psql('postgres', q{SELECT count(*) FROM hs_assoc_sync WHERE link_table = 'plain'::regclass}), 0, '... and is gone');

# What needs a table of the extension itself, which is on its way, or is locked and moved then: a
# session that has never asked for it, and one that has.
$node->safe_psql('postgres', q{CREATE TABLE again (contact_id int, company_id int, UNIQUE (contact_id, company_id)); TRUNCATE hs_assoc_outbox});
$node->safe_psql('postgres', sprintf($enable, $_)) foreach qw(plain again);
my %needs = (
	'INSERT INTO plain VALUES (7, 8)' => 'create_default 7>8',
	'TRUNCATE plain' => 'archive 5>6, archive 7>8',
	q{SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')} => 'archive 1>2',
	'SELECT hs_assoc_pause()' => '',
	'SELECT hs_assoc_retry()' => '',
	q{SELECT hs_assoc_disable_sync('again')} => '',
	sprintf($enable, 'again') => '');
foreach my $times (1 .. 4)
{
	my $is_new = $times % 2;
	foreach my $sql (grep { $times < 3 || !/able_sync/ } sort keys %needs)
	{
		my $other = $is_new ? start_session($node) : $waiter;
		$schema = $schema eq 'a' ? 'b' : 'a';
		my $move = "ALTER EXTENSION hubspot_assoc SET SCHEMA $schema";
		$writer->query('BEGIN; ' . ($times > 2 ? 'LOCK TABLE hs_assoc_outbox, hs_assoc_account_pause, hs_assoc_dead_letter' : $move));
		$other->send($sql);
		wait_for_lock($node, $other);
		$writer->query($times > 2 ? "$move; COMMIT" : 'COMMIT');
		unlike(join('', $other->finish), qr/ERROR/, "$sql waits for the move ($times)");
		is(enqueued(), $needs{$sql}, '... and is done');
		$other->quit if $is_new;
	}
	$node->safe_psql('postgres', 'INSERT INTO plain VALUES (5, 6)');
	enqueued();
}
$_->quit foreach $writer, $waiter;
done_testing();
