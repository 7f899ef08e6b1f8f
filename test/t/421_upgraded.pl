# pg_upgrade makes no copy: what it has moved goes on sending, by copy and by link.
# From one version to the same one, so that any machine can do it; test/pg_upgrade
# has two.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $hubspot = start_simulator();
my %settings = (
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	'hubspot_assoc.instance' => 'here',
	fsync => 'off');
my $old = start_node(%settings);
my $bin = $old->config_data('--bindir');
create_account($old, $hubspot, rate_limit => 0);
$old->safe_psql('postgres', q{
	CREATE DATABASE renamed;
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id');
	INSERT INTO links VALUES (1, 2)});
create_account($old, $hubspot, dbname => 'renamed', rate_limit => 0);
$old->safe_psql('renamed', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 3 AS from_id, 4 AS to_id')});
$old->safe_psql('postgres', 'ALTER DATABASE renamed RENAME TO its_name');
$old->safe_psql('postgres', 'CREATE DATABASE a_copy TEMPLATE its_name');

foreach my $mode (qw(copy link))
{
	$old->stop if $mode eq 'copy';
	my $new = start_node(%settings);
	$new->stop;
	chdir PostgreSQL::Test::Utils::tempdir;
	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-s', $new->host,
			'-p', $old->port, '-P', $new->port, $mode eq 'link' ? '--link' : () ], "pg_upgrade, by $mode");
	$new->start;
	$hubspot->reset;
	isnt($new->safe_psql('a_copy', 'SELECT hs_assoc_held()'), '', 'a copy is one still');
	my ($status, $out, $err) = $new->psql('a_copy', 'CALL hs_assoc_flush()');
	like($err, qr/WARNING:  nothing is sent from this database/, '... and sends nothing');
	foreach my $db (qw(postgres its_name))
	{
		is($new->safe_psql($db, 'SELECT hs_assoc_held()'), '', 'another database is not held');
		($status, $out, $err) = $new->psql($db, 'CALL hs_assoc_flush()');
		is(join('', $err =~ /ERROR|WARNING/g) . $new->safe_psql($db, 'SELECT count(*) FROM hs_assoc_outbox'), 0, '... and sends what waited');
	}
	is($hubspot->association_table('contacts', 'companies'), "1,2,HUBSPOT_DEFINED=279\n3,4,HUBSPOT_DEFINED=279\n", '... which is there');
	$new->stop;
}

done_testing();
