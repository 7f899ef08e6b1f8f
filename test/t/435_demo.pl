# make demo: it does what it shows, without an error, and what it has installed can be
# told.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $node = start_node(shared_preload_libraries => 'hubspot_assoc');

chdir $top or die "$top: $!";
local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, $node->safe_psql('postgres', 'SELECT current_user'), 'postgres');

my ($status, $output) = run_with_input('', qw(test/with_simulator test/demo/run));
is($status, 0, 'the demo ends well') or diag($output);
my ($links, $held) = $output =~ /^The table has (\d+) different links, .* the simulator holds (\d+) associations\.$/m;
ok($links && $held > $links, 'and has done what it shows');
unlike($output, qr/^(ERROR|WARNING)/m, 'without an error');

# nothing of what test/setup needs is missing here; and nobody's home has been touched
my $home = PostgreSQL::Test::Utils::tempdir();
{
	local @ENV{qw(HOME XDG_CACHE_HOME)} = ($home, "$home/cache");
	($status, $output) = run_with_input('', qw(test/setup --run));
	is($status, 0, 'set-up: all is there');
	like($output, qr{^/\S*pg_config$}, 'and tells which server is used');
	is((run_with_input('', qw(test/setup --undo)))[1], '', 'there is nothing to undo');
	mkdir "$home/cache" and mkdir "$home/cache/hubspot_assoc" and mkdir "$home/cache/hubspot_assoc/postgresql-15";
	PostgreSQL::Test::Utils::append_to_file("$home/cache/hubspot_assoc/installed", "bash\nno-such-package\nbash\n");
	($status, $output) = run_with_input('', qw(test/setup --undo));
	is($output, "    sudo apt-get purge --autoremove bash\n" .
			"    rm -r $home/cache/hubspot_assoc/installed $home/cache/hubspot_assoc/postgresql-15\n",
		'what was installed and is still there is named, once');
}

done_testing();
