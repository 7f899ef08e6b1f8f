# A side-car that does not do what its operator thinks: a subscription whose changes nobody
# applies, or that has not copied its table, as hs_assoc_diagnose tells; and a database that was
# made of the side-car's, in which there is no subscription.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $soon = patience(60);
my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	replication_settings());
my $hubspot = start_simulator();
$node->safe_psql('postgres', 'CREATE DATABASE managed');
create_account($node, $hubspot, rate_limit => 0);
my $managed = start_session($node, 'managed');
my $car = start_session($node);

sub triggers
{
	return $car->query(q{SELECT concat_ws(': ', state, replace(detail, E'\n', ' '), replace(advice, E'\n', ' ')) FROM hs_assoc_diagnose() WHERE topic = 'triggers'});
}

#
# A subscription that is enabled, and whose changes nobody applies
#
$_->query('CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)); CREATE TABLE others (LIKE links INCLUDING ALL)') foreach $managed, $car;
$managed->query('INSERT INTO others VALUES (1, 1)');
$car->query(q{SELECT hs_assoc_enable_sync(t::regclass, 'contacts', 'contact_id', 'companies', 'company_id', replicated => true) FROM unnest('{links,others}'::text[]) AS t});
subscribe($node, $managed, $car, 'links, others');
wait_until(sub { triggers() eq 'ok: all are there and enabled' }, $soon);
pass('a subscription that works');
$car->query('INSERT INTO links VALUES (2, 1)');
$managed->query('INSERT INTO links VALUES (2, 1), (3, 1)');
like(wait_until(sub { my $told = triggers(); $told =~ /^warning/ && $told }, $soon),
	qr/^warning: nobody applies what subscription s brings to table public\.links; errors so far: \d+ 1 more: .*: If it lasts, this server's log says why: .* Mend that; what has come meanwhile is then applied, and sent\.$/,
	'a row that is here already stops it, as hs_assoc_diagnose says');
$car->query('DELETE FROM links');
wait_until(sub { triggers() eq 'ok: all are there and enabled' }, $soon);
wait_until_applied($managed);
is($car->query('SELECT count(*) FROM links'), 2, '... until that is mended');

# ... one that cannot copy
$car->query('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$car->query('DROP SUBSCRIPTION s');
wait_until(sub { $managed->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 's'}) eq 'f' }, $soon);
$managed->query(q{SELECT pg_drop_replication_slot('s'); SELECT pg_create_logical_replication_slot('s', 'pgoutput')});
$car->query('TRUNCATE links');
my $connection = HubSpotTest::quote($node->connstr('managed'));
$car->query("CREATE SUBSCRIPTION s CONNECTION $connection PUBLICATION p WITH (create_slot = false)");
like(wait_until(sub { my $told = triggers(); $told =~ /errors so far: [1-9]/ && $told !~ /1 more/ && $told }, $soon),
	qr/^warning: subscription s has not copied table public\.others yet; errors so far: \d+: If it lasts, this server's log says why: .*rows here before/, 'a table that has rows cannot be copied');
$car->query('TRUNCATE others');
wait_until_copied($car);
wait_until(sub { triggers() eq 'ok: all are there and enabled' }, $soon);
is($car->query('SELECT count(*) FROM others'), 1, '... and one that is empty is');

#
# A database that is made of the side-car's has no subscription, though its catalog has what
# the template's fill
#
$car->quit;
my $as_template = sub {
	$node->psql('template1', 'CREATE DATABASE twin TEMPLATE postgres');
	return $node->safe_psql('template1', q{SELECT count(*) FROM pg_database WHERE datname = 'twin'}) == 1;
};
$node->safe_psql('postgres', 'ALTER SUBSCRIPTION s DISABLE');
wait_until($as_template, $soon);
$node->safe_psql('postgres', 'ALTER SUBSCRIPTION s ENABLE');
my $twin = start_session($node, 'twin');
is($twin->query('SELECT count(*) FROM pg_subscription_rel'), 2, 'what the template has of its subscription');
$twin->query(q{SELECT hs_assoc_adopt('discard')});
sub state_of { my ($table) = @_; return $twin->query("SELECT concat_ws(' ', active, problem) FROM hs_assoc_sync WHERE link_table = '$table'::regclass") }
is(state_of('links'), 'f No subscription of this database fills table "links": only what is written here is sent.', '... does not make the sync active');
$twin->query('SELECT hs_assoc_disable_sync($$links$$)');
unlike($twin->told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')}), qr/subscription/, '... and one of the usual kind is not warned of it');
is(state_of('links'), 't', '... and is active');
$twin->quit;
$car = start_session($node);
$car->query('DROP DATABASE twin');
is($car->query(q{SELECT string_agg(concat_ws(' ', active, problem), ' ') FROM hs_assoc_sync}), 't t', 'those of the template are active as ever');

#
# The same where a subscription fills the outbox: a database that is made of it may be adopted
#
$node->safe_psql('managed', 'CREATE EXTENSION hubspot_assoc; CREATE PUBLICATION outbox FOR TABLE hs_assoc_outbox');
$managed->query(q{SELECT pg_create_logical_replication_slot('o', 'pgoutput')});
$node->safe_psql('postgres', 'CREATE DATABASE filled');
my $filled = start_session($node, 'filled');
$filled->query('CREATE EXTENSION hubspot_assoc');
$filled->query("CREATE SUBSCRIPTION o CONNECTION $connection PUBLICATION outbox WITH (create_slot = false, copy_data = false)");
like($filled->query('SELECT hs_assoc_held()'), qr/subscription/, 'a database whose outbox a subscription fills');
$filled->query('ALTER SUBSCRIPTION o DISABLE');
$filled->quit;
wait_until(sub { $node->psql('template1', 'CREATE DATABASE twin TEMPLATE filled'); $node->safe_psql('template1', q{SELECT count(*) FROM pg_database WHERE datname = 'twin'}) == 1 }, $soon);
$twin = start_session($node, 'twin');
$twin->query(q{SELECT hs_assoc_adopt('discard')});
is($twin->query('SELECT hs_assoc_held()'), '', '... and one that is made of it, which is filled by none');
$twin->quit;
$filled = start_session($node, 'filled');
$filled->query('ALTER SUBSCRIPTION o SET (slot_name = NONE)');
$filled->query('DROP SUBSCRIPTION o');
$filled->quit;
$managed->query(q{SELECT pg_drop_replication_slot('o')});
$car->query('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$car->query('DROP SUBSCRIPTION s');

done_testing();
