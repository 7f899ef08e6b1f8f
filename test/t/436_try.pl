# make try: psql on a terminal is interactive, with Ctrl-C its own, beside a simulator that stays.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $seconds = patience(60);
my $node = start_node(shared_preload_libraries => 'hubspot_assoc');

chdir $top or die "$top: $!";
local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, $node->safe_psql('postgres', 'SELECT current_user'), 'postgres');
delete @ENV{qw(PSQLRC PAGER PSQL_PAGER)};

# psql without a terminal
my ($status, $output) = run_with_input("SELECT ok FROM hs_assoc_create_default('contacts:email', 'ann\@example.com', 'companies:domain', 'acme.example');\n",
	qw(test/with_simulator test/try/run));
is($status, 0, 'make try: takes what comes on standard input');
is($output, " ok \n----\n t\n(1 row)\n\n", 'and says nothing of its own');

# psql on a terminal, started as test/with_cluster starts it
$node->safe_psql('postgres', "DROP DATABASE $_ (FORCE)") foreach qw(start ready try);
my $prompt = sub { "(?m)^$_[0]=# " };
my @steps = (
	[ $prompt->('try'), "SELECT count(*) AS links FROM demo.crm_links;\n" ],
	[ $prompt->('try'), "DO \$\$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(1000); END \$\$;\n" ],
	[ 'NOTICE:  asleep', "\cC" ],
	# Only at the prompt: a terminal drops what it was about to show when Ctrl-Z comes
	[ $prompt->('try'), "\cZSELECT ok, to_record FROM hs_assoc_create_default('contacts:email', 'ann\@example.com', 'companies:domain', 'acme.example');\n" ],
	[ $prompt->('try'), "CREATE DATABASE again TEMPLATE ready;\n" ],
	[ $prompt->('try'), "\\c again\n" ],
	[ $prompt->('again'), "SELECT 'again: ' || count(*) FROM demo.crm_links;\n" ],
	[ $prompt->('again'), "\\c start\n" ],
	[ $prompt->('start'), "CREATE EXTENSION hubspot_assoc; CREATE SERVER mine FOREIGN DATA WRAPPER hubspot_assoc;\n" ],
	[ $prompt->('start'), "SELECT srvoptions[1] FROM pg_foreign_server;\n" ],
	[ $prompt->('start'), "\\q\n" ]);
($status, $output) = run_with_input(join("\n", map { encode_json($_) } @steps),
	'python3', 'test/try/type.py', $seconds, 'bash', '-c', q{set -m
		trap 'kill -TERM -- "-$job"; exit 143' TERM
		test/in_foreground test/with_simulator test/try/run &
		job=$!
		wait $job && status=0 || status=$?
		test/in_foreground --back
		read -r -t 1 line || [ $? -gt 128 ] && echo "the terminal is back"
		exit $status});
is($status, 0, 'on a terminal: ends well') or diag($output);
like($output, qr/All of it is gone when you leave/, 'says what there is');
like($output, qr/ links \r\n-+\r\n +300\r\n/, 'the tables are there');
like($output, qr/ t  \| 9001019\r\n/, 'the simulator answers after Ctrl-C');
like($output, qr/again: 300/, 'and there is as good a database again');
like($output, qr/base_url=http:\/\/127\.0\.0\.1:\d+/, 'a server without an address has that of the simulator');
like($output, qr/the terminal is back/, 'the terminal is the script\'s again');

done_testing();
