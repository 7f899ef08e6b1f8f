# A restore of rows alone leaves all triggers of a table enabled alike: a sync that then follows
# no subscription any more says so, and how it does again.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(replication_settings());
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
$node->safe_psql('postgres', 'CREATE DATABASE managed');
my $managed = start_session($node, 'managed');
my $car = start_session($node);
$_->query('CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id))') foreach $managed, $car;
my $enable = q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)};
$car->query($enable);
subscribe($node, $managed, $car, 'links');

sub brought
{
	my ($sql) = @_;
	$managed->query($sql);
	wait_until_applied($managed);
	return $car->query(q{WITH gone AS (DELETE FROM hs_assoc_outbox RETURNING id, operation, from_id) SELECT string_agg(operation || ' ' || from_id, ', ' ORDER BY id) FROM gone});
}
sub state_of { return $car->query(q{SELECT concat_ws(' ', active, problem) FROM hs_assoc_sync}) }
sub triggers { return $car->query(q{SELECT string_agg(concat_ws(' ', tgname, tgenabled), ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'links'::regclass AND NOT tgisinternal}) }

is(brought('INSERT INTO links VALUES (1, 1)'), 'create_default 1', 'what a subscription applies');
my $before = triggers();

# The rows alone, without triggers
my $dump = $node->basedir . '/links.dump';
$node->command_ok([ 'pg_dump', '-Fc', '--data-only', '-t', 'links', '-f', $dump, $node->connstr('postgres') ], 'a dump of the rows');
$car->query('ALTER SUBSCRIPTION s DISABLE; DELETE FROM links; DELETE FROM hs_assoc_outbox');
$node->command_ok([ 'pg_restore', '--data-only', '--disable-triggers', '-d', $node->connstr('postgres'), $dump ], '... is restored');
$car->query('ALTER SUBSCRIPTION s ENABLE');
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and nothing of it is enqueued');
unlike(triggers(), qr/ R\b/, '... after which no trigger is for replicas');
like(state_of(), qr/^f A trigger of table "links" that follows what a subscription applies is missing, disabled, or not as hs_assoc_enable_sync makes it\.$/, '... which the view says');
like($car->query(q{SELECT replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'triggers' AND state = 'problem'}),
	qr/hs_assoc_disable_sync\('public\.links'\) and enable the sync anew, with replicated => true\./, '... and what to do');
$car->query("SELECT hs_assoc_disable_sync('links'); $enable");
is(triggers(), $before, '... by which it is as it was');
is(state_of(), 't', '... and active');
is(brought('INSERT INTO links VALUES (2, 1)'), 'create_default 2', '... what a subscription applies is enqueued');
is(brought('TRUNCATE links'), 'archive 1, archive 2', '... TRUNCATE, too');

$car->query('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$car->query('DROP SUBSCRIPTION s');

done_testing();
