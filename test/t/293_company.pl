# In the company of others: libraries that hook into the server as well, and
# statements that want a database for themselves, from several sides.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

# One that comes before us in each hook that we have, if it is installed.
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
chomp(my $libraries = `$pg_config --pkglibdir`);
my $has_company = -e "$libraries/pg_stat_statements.so";
my $node = start_node(
	shared_preload_libraries => $has_company ? 'pg_stat_statements,hubspot_assoc' : 'hubspot_assoc',
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND datname = '%s'};

# A database with a worker that has something to do for a while, until a rule is gone.
sub create_busy
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$hubspot->account({ token => "token-$name" });
	create_account($node, $hubspot, dbname => $name, token => "token-$name", rate_limit => 0);
	$hubspot->rules({ match => { token => "token-$name" }, action => { hang => \1 } });
	$node->safe_psql($name, q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id')});
	wait_until(sub { $session->query(sprintf $workers, $name) == 1 }, patience(30));
	return;
}

SKIP:
{
	skip 'pg_stat_statements is not installed', 3 unless $has_company;
	$session->query('CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()');
	create_busy('one');
	$session->query('DROP DATABASE one');
	is($session->query(q{SELECT string_agg(query, ', ' ORDER BY query) FROM pg_stat_statements WHERE query LIKE '%DATABASE one'}),
		'CREATE DATABASE one, DROP DATABASE one', 'both have seen the statements');
	is($session->query(sprintf $workers, 'one'), 0, 'and the worker has made way');
	is($session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id')}), 1, 'the outbox');
	wait_for_empty_outbox($session, patience(30));
	pass('is sent');
}

#
# Statements that want no database for themselves disturb nobody
#
create_busy('two');
my $pid = $session->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND datname = 'two'});
$session->query('ALTER DATABASE two CONNECTION LIMIT 50');
$session->query('ALTER DATABASE two SET work_mem = 1000');
$session->query(q{COMMENT ON DATABASE two IS 'busy'});
is($session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), 1, 'ALTER DATABASE: the worker stays');

#
# Whoever may create databases may copy a template, and nobody else's database
#
$node->safe_psql('postgres', 'CREATE ROLE copier CREATEDB LOGIN');
$session->query('SET ROLE copier');
like($session->told('CREATE DATABASE stolen TEMPLATE two'), qr/ERROR:  42501: permission denied to copy database "two"/, "another's database is not copied");
is($session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), 1, 'and its worker stays');
$session->query('RESET ROLE');
$session->query('ALTER DATABASE two IS_TEMPLATE true');
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN; CREATE ROLE owner LOGIN');
$session->query('SET ROLE nobody');
like($session->told('CREATE DATABASE stolen TEMPLATE two'), qr/ERROR:  42501: permission denied to create database/, 'who may create none copies no template');
is($session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), 1, 'and its worker stays');
$session->query('RESET ROLE; ALTER DATABASE two OWNER TO owner; SET ROLE owner');
like($session->told('CREATE DATABASE stolen TEMPLATE two'), qr/ERROR:  42501: permission denied to create database/, 'nor does the owner');
is($session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), 1, 'and its worker stays');
$session->query('RESET ROLE; ALTER DATABASE two OWNER TO postgres; SET ROLE copier');
$session->query('CREATE DATABASE copied TEMPLATE two');
$session->query('RESET ROLE');
is($session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid"), 0, 'a template: its worker makes way');
is($node->safe_psql('copied', 'SELECT count(*) FROM hs_assoc_outbox'), 1, 'and it is copied, with its outbox');
$session->query('DROP DATABASE copied');
$session->query('ALTER DATABASE two IS_TEMPLATE false');

#
# Two at a time: each of two databases that are dropped keeps its workers out
#
create_busy('three');
wait_until(sub { $session->query(sprintf $workers, 'two') == 1 }, patience(30));
my @open = map { start_session($node, $_) } qw(two three);	# in their way, so that they wait
my @droppers = map { start_session($node) } 1, 2;
$droppers[0]->send('DROP DATABASE two');
$droppers[1]->send('DROP DATABASE three');
wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND datname IN ('two', 'three')}) == 0 }, patience(30));
pass('two at a time: both workers have made way');
$_->quit foreach @open;
is(join('', map { ($_->finish)[1] } @droppers), '', 'two at a time: both are dropped');
$_->quit foreach @droppers;
is($session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 2 AS from_id, 2 AS to_id')}), 1, 'the others');
wait_for_empty_outbox($session, patience(30));
pass('go on');

$session->quit;
done_testing();
