# Two-phase commit: COMMIT PREPARED wakes a worker, like any other commit, whoever
# runs it, and serves a database whose extension came with that transaction.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	max_prepared_transactions => 5,
	restart_after_crash => 'on',
	'hubspot_assoc.poll_interval' => '10min',
	log_min_messages => 'debug1');
my $hubspot = start_simulator();

sub outbox { return $node->safe_psql($_[0], 'SELECT count(*) FROM hs_assoc_outbox') }
sub sent { return $hubspot->association_table('contacts', 'companies') =~ s/,HUBSPOT_DEFINED=279\n/ /gr }

# Everything in one transaction
my $setup = qq{
	BEGIN;
	CREATE EXTENSION hubspot_assoc;
	CREATE SERVER hubspot FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '@{[ $hubspot->url ]}', rate_limit '0');
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token');
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id');
	INSERT INTO links VALUES (%d, 1);
	PREPARE TRANSACTION 'all'};
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(one two without);
$node->safe_psql('one', sprintf $setup, 1);
is(sent(), '', 'what is prepared is not sent');
$node->safe_psql('one', q{COMMIT PREPARED 'all'});
wait_until(sub { outbox('one') == 0 });
is(sent(), '1,1 ', 'an extension that came with COMMIT PREPARED: its database is served');

# no worker is left, and the one that prepares is another one than that which commits
wait_until(sub { $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) == 0 });
$node->safe_psql('one', q{BEGIN; INSERT INTO links VALUES (2, 1); PREPARE TRANSACTION 'rows'});
$node->safe_psql('one', q{COMMIT PREPARED 'rows'});
wait_until(sub { outbox('one') == 0 });
is(sent(), '1,1 2,1 ', 'COMMIT PREPARED wakes a worker');

$node->safe_psql('one', q{BEGIN; INSERT INTO links VALUES (3, 1); PREPARE TRANSACTION 'rows'});
$node->safe_psql('two', sprintf $setup, 4);
my $offset = -s $node->logfile;
my $oid = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'without'});
my $worker = qr/starting background worker process "hubspot_assoc worker for database $oid"/;
$node->stop('immediate');
$node->start;
$node->safe_psql('one', q{COMMIT PREPARED 'rows'});
$node->safe_psql('two', q{COMMIT PREPARED 'all'});
wait_until(sub { outbox('one') == 0 && outbox('two') == 0 });
is(sent(), '1,1 2,1 3,1 4,1 ', '... after a crash, too');

# where the extension is not, it starts nothing
wait_until(sub { slurp_file($node->logfile, $offset) =~ $worker });	# which the launcher has, to begin with
$offset = -s $node->logfile;
$node->safe_psql('without', q{BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'other'});
$node->safe_psql('without', q{COMMIT PREPARED 'other'});
$node->safe_psql('one', q{BEGIN; INSERT INTO links VALUES (5, 1); PREPARE TRANSACTION 'rows'});
$node->safe_psql('one', q{ROLLBACK PREPARED 'rows'});
$node->safe_psql('one', 'INSERT INTO links VALUES (6, 1)');
wait_until(sub { outbox('one') == 0 });
is(sent(), '1,1 2,1 3,1 4,1 6,1 ', 'ROLLBACK PREPARED leaves nothing to be sent');
unlike(slurp_file($node->logfile, $offset), $worker, 'without the extension, no worker is started');

done_testing();
