# make installcheck beside a server that preloads the library, has workers and settings of
# its own: the workers let the tests have the outbox, and are then as many as before.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '1s',
	'hubspot_assoc.server' => 'theirs', 'hubspot_assoc.max_requests' => 3, 'hubspot_assoc.progress_interval' => '1h',
	'hubspot_assoc.allowed_hosts' => '*.hubapi.com');
my $folder = PostgreSQL::Test::Utils::tempdir();

chdir $top or die "$top: $!";
local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, $node->safe_psql('postgres', 'SELECT current_user'), 'postgres');
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES REGRESS_SHLIB)};

sub setting
{
	return $node->safe_psql('postgres', "SELECT setting, sourcefile LIKE '%auto.conf' FROM pg_settings WHERE name = 'hubspot_assoc.workers'");
}

my $before = setting();
my ($status, $output) = run_with_input('', 'make', '-s', 'installcheck', 'TAP_TESTS=', 'REGRESS=options enqueue sync max_requests',
	"EXTRA_REGRESS_OPTS=--outputdir=$folder");
is($status, 0, 'tests that look at the outbox pass') or diag($output, -e "$folder/regression.diffs" ? slurp_file("$folder/regression.diffs") : '');
is(scalar(() = $output =~ /^(?:test \S+ +\.\.\. ok|ok \d)/mg), 4, 'all four');
is(setting(), $before, 'the workers are as many as before');

# what was set is set again, however the command ends
$node->safe_psql('postgres', 'ALTER SYSTEM SET hubspot_assoc.workers = 3');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok(wait_until(sub { setting() =~ /^3/ }), 'there may be 3 workers');
($status, $output) = run_with_input('', 'test/with_idle_workers', 'sh', '-c', 'psql -XAtq -c "SHOW hubspot_assoc.workers"; exit 7');
is("$status $output", "7 0\n", 'none sends while a command runs, and its exit code is passed on');
ok(wait_until(sub { setting() =~ /^3\|t/ }), 'then there may be 3 again');

done_testing();
