# A streaming standby sends nothing until it is promoted. Promoted under load it
# goes on where the primary was, and nothing is lost.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $hubspot = start_simulator();
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--no-locale', '-E', 'UTF8' ]);
$primary->append_conf('postgresql.conf', qq{
	shared_preload_libraries = 'hubspot_assoc'
	hubspot_assoc.poll_interval = '10min'
	restart_after_crash = on
	log_statement = none
});
$primary->start;
create_account($primary, $hubspot, rate_limit => 0);
$primary->safe_psql('postgres', q{
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id');
});

create_account($primary, $hubspot, name => 'rotates', rate_limit => 0);
$hubspot->oauth({ client_id => 'id', client_secret => 'secret', refresh_token => 'refresh', rotate => Cpanel::JSON::XS::true });
$primary->safe_psql('postgres', q{
	DROP USER MAPPING FOR PUBLIC SERVER rotates;
	CREATE USER MAPPING FOR PUBLIC SERVER rotates OPTIONS (client_id 'id', client_secret 'secret', refresh_token 'refresh')});

my $standby = PostgreSQL::Test::Cluster->new('standby');
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# What was committed, as far as anybody has seen it, is on the standby.
$primary->safe_psql('postgres', q{ALTER SYSTEM SET synchronous_standby_names = '*'});
$primary->safe_psql('postgres', 'SELECT pg_reload_conf()');
$primary->poll_query_until('postgres',
	q{SELECT sync_state = 'sync' FROM pg_stat_replication}) or die 'no standby';

my $processes = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'hubspot_assoc%'};
my $outbox = 'SELECT count(*) FROM hs_assoc_outbox';

# Four clients that insert and delete links.
my $script = PostgreSQL::Test::Utils::tempdir . '/load.sql';
append_to_file($script, q{\set f random(1, 5000)
\set t random(1, 20)
\set n random(1, 3)
\if :n = 1
DELETE FROM links WHERE from_id = :f;
\else
INSERT INTO links VALUES (:f, :t) ON CONFLICT DO NOTHING;
\endif
});

sub start_load
{
	my ($node) = @_;
	return IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', patience(120), '-f', $script, $node->connstr('postgres') ],
		'>', '/dev/null', '2>', '/dev/null');
}

sub wait_for_more_requests
{
	my ($count) = @_;
	my $until = $hubspot->stats->{requests} + $count;
	wait_until(sub { $hubspot->stats->{requests} >= $until });
	return;
}

#
# Both run
#
my $load = start_load($primary);
wait_for_more_requests(20);
is($standby->safe_psql('postgres', $processes), 0, 'a standby has no launcher and no worker');
is($standby->safe_psql('postgres', q{SELECT hs_assoc_sender() || '; ' || state || ': ' || replace(detail, E'\n', ' ') FROM hs_assoc_diagnose('hubspot') WHERE topic = 'workers'}),
	'nobody: this is a standby; warning: this is a standby: workers run on the primary server alone', '... which is said there');
cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM links'), '>', 0, 'but what was written');

{
	my $err;
	$standby->psql('postgres', 'ALTER EXTENSION hubspot_assoc UPDATE', stderr => \$err);
	like($err, qr/cannot execute ALTER EXTENSION in a read-only transaction/,
		'an update of the extension is refused as the server does');
}

# Where no refresh token can be stored, a session goes on with the one it has.
{
	my $session = start_session($standby);
	my $call = q{SELECT ok FROM hs_assoc_create_default('deals', %d, 'companies', 1, server => 'rotates')};
	$session->send(sprintf $call, 1);
	my ($out, $err) = $session->finish;
	is($out, 't', 'a standby sends what it is asked to');
	like($err, qr/^.*WARNING:  01000: could not store the new refresh token of server "rotates" in the user mapping\nDETAIL:  The server is a standby\./m,
		'and says that a refresh token is not stored');
	is($session->query(sprintf $call, 2), 't', 'the session goes on');
	$session->quit;
}

#
# The primary is lost while clients write and requests are under way
#
$hubspot->rules({ action => { delay_ms => 50 } });
wait_for_more_requests(5);
$primary->stop('immediate');
$load->finish;
$hubspot->clear_rules;
is($standby->safe_psql('postgres', $processes), 0, 'nor after the primary is gone');
my $waiting = $standby->safe_psql('postgres', $outbox);
my $requests = $hubspot->stats->{requests};
note "$waiting rows in the outbox after $requests requests";
cmp_ok($waiting, '>', 0, 'something was not sent yet');
is($hubspot->stats->{requests}, $requests, 'and nobody sends it');

#
# Promoted under load: sessions of the standby become writers at once
#
$standby->promote;
$load = start_load($standby);
wait_for_more_requests(20);
is($standby->safe_psql('postgres', $processes) > 0, 1, 'the promoted standby has them');
$load->signal('TERM');
$load->finish;
wait_until(sub { $standby->safe_psql('postgres', $outbox) == 0 });
is($standby->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was refused');

my $held = join '', map { s/,HUBSPOT_DEFINED.*$//r . "\n" } split /\n/,
  $hubspot->association_table('contacts', 'companies');
my $links = $standby->safe_psql('postgres',
	q{SELECT coalesce(string_agg(from_id || ',' || to_id || E'\n', '' ORDER BY from_id, to_id), '') FROM links});
cmp_ok(length $links, '>', 1000, 'there are many links');
ok($held eq $links, 'HubSpot has what the table has')
  or diag(scalar(split /\n/, $held) . ' associations, ' . scalar(split /\n/, $links) . ' links');

done_testing();
