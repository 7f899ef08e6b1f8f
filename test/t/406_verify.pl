# Tables in sync whose sync has verify: workers find what differs from HubSpot, and do what
# on_drift says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
my $listener = start_session($node);
$listener->query('LISTEN hs_assoc');

sub associate { return $hubspot->put_associations('contacts', 'companies', $_[0]) }
sub dissociate { $session->query("SELECT hs_assoc_archive('contacts', $_->[0], 'companies', $_->[1])") foreach @_; return }
sub held { return join ' ', map { "$_->{from_id},$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } }
sub drain { return wait_for_empty_outbox($session) }
sub found { return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', action, from_id, to_id, from_key, to_key, label, state), ', ' ORDER BY from_id, to_id, action), 'nothing') FROM hs_assoc_drift_log}) }
sub stat_of { my ($columns) = @_; return $session->query("SELECT $columns FROM hs_assoc_verify_stat") }

# A pass that has begun from now on, to its end
sub wait_for_pass
{
	my $now = $session->query('SELECT clock_timestamp()');
	return wait_until(sub { $session->query("SELECT bool_and(coalesce(last_began_at > '$now', false)) FROM hs_assoc_verify_stat") eq 't' });
}

sub sync
{
	my ($more, $from, $to) = @_;
	$session->query(qq{SET client_min_messages = error; SELECT hs_assoc_disable_sync('links');
		SELECT hs_assoc_enable_sync('links', '@{[ $from // 'contacts' ]}', 'f', '@{[ $to // 'companies' ]}', 't', backfill => true, verify => '1 second', $more); RESET client_min_messages});
	return drain();
}

$session->query('CREATE TABLE links (f text, t text, label text, UNIQUE (f, t)); INSERT INTO links SELECT 100 + i, 200 + i FROM generate_series(1, 8) i');

# Reported
sync(q{on_drift => 'report'});
wait_for_pass();
is(found(), 'nothing', 'nothing differs');
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^ok\|syncs\s+that\s+are\s+compared\s+with\s+HubSpot:\s+1;\s+no\s+difference\s+was\s+found\s+by\s+the\s+last\s+passes,\s+the\s+oldest\s+of\s+which\s+ended\s+\d+\s+m?s\s+ago/s, 'as a diagnosis says');
my $later = q{sync = (SELECT id FROM hs_assoc_sync_config WHERE link_table = 'later'::regclass)};
$session->query(q{CREATE TABLE later (f text, t text, UNIQUE (f, t)); SELECT hs_assoc_enable_sync('later', 'contacts', 'f', 'companies', 't', verify => '1 day')});
wait_until(sub { $session->query("SELECT count(last_ended_at) FROM hs_assoc_verify WHERE $later") });
$session->query("UPDATE hs_assoc_verify SET last_began_at = NULL, last_ended_at = NULL, next_at = now() + interval '1 day' WHERE $later");
like($session->query(q{SELECT state, replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^ok\|syncs that are compared with HubSpot: 2, 1 of them not to the end yet; no difference was found/, '... and which were not compared yet');
$session->query('BEGIN; UPDATE hs_assoc_verify SET last_began_at = NULL, last_ended_at = NULL');
like($session->query(q{SELECT state, replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^ok\|syncs that are compared with HubSpot: 2, none to its end yet$/, '... and if none were');
$session->query('ROLLBACK');
$session->query(q{SELECT hs_assoc_disable_sync('later'); DROP TABLE later});
is(stat_of('last_records, last_missing, last_extra, last_unknown, open, contested, failures'), '8|0|0|0|0|0|0', 'and all was read');
associate([ [ 101, 209 ], [ 999, 209 ] ]);
dissociate([ 103, 203 ]);
wait_until(sub { found() ne 'nothing' });
wait_for_pass();
is(found(), 'archive 101 209 open, create 103 203 open', 'made and removed by hand, of records in the table');
is(stat_of('last_missing, last_extra, open'), '1|1|2', 'in figures');
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^warning\|HubSpot\s+differs\s+from\s+table\s+public\.links:\s+2/s, 'and in a diagnosis');
wait_for_pass();
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, 'nothing is done about it');
is(stat_of('all_differences, all_repaired'), '2|0', 'and each counts once');
my @told;
wait_until(sub { push @told, map { decode_json($_) } $listener->query('SELECT') =~ /notification "hs_assoc" with payload "(.*)" received/g; @told });
is("$told[0]{kind} $told[0]{server}", 'drift hubspot', 'listeners are told');
like($told[0]{count}, qr/^[12]$/, 'of how many');
associate([ [ 103, 203 ] ]);
wait_until(sub { found() eq 'archive 101 209 open' });
pass('what is right again is forgotten');

# Added
dissociate([ 103, 203 ]);
sync(q{on_drift => 'add'});
wait_until(sub { held() =~ /103,203/ });
dissociate([ 104, 204 ], [ 105, 205 ]);
wait_until(sub { held() =~ /104,204 105,205/ });
drain();
is(found(), 'archive 101 209 open, create 104 204 repaired, create 105 205 repaired', 'what is missing is added, and nothing removed');
is(held(), '101,201 101,209 102,202 103,203 104,204 105,205 106,206 107,207 108,208 999,209', 'so HubSpot has it');

# Mirrored
sync(q{on_drift => 'mirror'});
wait_until(sub { held() !~ /101,209/ });
dissociate([ 106, 206 ]);
associate([ [ 107, 208 ] ]);
wait_until(sub { held() =~ /106,206 107,207 108,208/ });
drain();
is(held(), '101,201 102,202 103,203 104,204 105,205 106,206 107,207 108,208 999,209', 'what is not in the table is removed, of its records');
wait_for_pass();
is(found(), 'archive 101 209 repaired, create 106 206 repaired, archive 107 208 repaired', 'as the log says');
is(stat_of('open, contested, held_back, all_repaired'), '0|0||3', 'and the figures');

# Contested: it comes back after two repairs, and is left alone until somebody repairs
foreach my $i (1 .. 2)
{
	dissociate([ 101, 201 ]);
	wait_until(sub { $session->query(q{SELECT repairs FROM hs_assoc_drift_log WHERE (from_id, to_id) = ('101', '201')}) eq $i });
	wait_until(sub { held() =~ /101,201/ });
	drain();
	wait_for_pass();
}
dissociate([ 101, 201 ]);
wait_until(sub { stat_of('contested') eq '1' });
wait_for_pass();
unlike(held(), qr/101,201/, 'what comes back after two repairs is left alone');
like(found(), qr/^create 101 201 contested/, 'and said to be contested');
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^warning\|.*left\s+alone:\s+1/s, 'also in a diagnosis');
is($session->query(q{SELECT hs_assoc_repair('links')}), 1, 'somebody repairs it');
drain();
is(stat_of('contested'), 0, 'then it is forgotten');
dissociate([ 101, 201 ]);
wait_until(sub { held() =~ /101,201/ });
pass('and repaired again');

# The guard
drain();
my $before = held();
my @others = map { [ 102, 300 + $_ ] } 1 .. 12;
associate([ @others, [ 103, 303 ] ]);
dissociate([ 104, 204 ]);
wait_until(sub { stat_of('held_back') });
is(stat_of('held_back'), '13 associations would be removed. Without the argument max_removals at most half of the 20 that the scope holds are removed.', 'a pass that removes too much');
wait_for_pass();
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, 'puts nothing right,');
unlike(held(), qr/104,204/, 'not even what is missing');
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^warning\|.*put\s+right:\s+13/s, 'which a diagnosis says');
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 13)}), 14, 'somebody allows it');
drain();
wait_until(sub { held() eq $before && (stat_of(q{coalesce(held_back, '-')}) eq '-') });
pass('and all goes on');
associate([ [ 901, 903 ] ]);
$session->query(q{CREATE TABLE lone (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)); INSERT INTO lone VALUES (901, 902);
	SELECT hs_assoc_enable_sync('lone', 'contacts', 'contact_id', 'companies', 'company_id', verify => '1 s', on_drift => 'mirror')});
wait_until(sub { stat_of('bool_or(held_back IS NOT NULL)') eq 't' });
is(stat_of('max(held_back)'), '1 association would be removed. Without the argument max_removals at most half of the 1 that the scope holds are removed.', 'nor does one go, where it is all that there is');
$session->query(q{SELECT hs_assoc_disable_sync('lone'); DROP TABLE lone});
dissociate([ 901, 903 ]);

# Metrics
my %metric = map { split /\|/ } split /\n/, $session->query(q{SELECT name, value FROM hs_assoc_metrics() WHERE name ~ 'compared|differences|verify' AND labels->>'server' = 'hubspot'});
cmp_ok($metric{hubspot_assoc_compared_records_total}, '>', 8, 'metrics count what was compared,');
cmp_ok($metric{hubspot_assoc_differences_total}, '>=', $metric{hubspot_assoc_repaired_differences_total}, 'found');
cmp_ok($metric{hubspot_assoc_repaired_differences_total}, '>', 3, 'and put right');
is("@metric{qw(hubspot_assoc_open_differences hubspot_assoc_contested_differences hubspot_assoc_verify_late_seconds)}", '0 0 0', 'and what is left');

# Who sees it
$session->query('CREATE ROLE stranger; GRANT SELECT ON hs_assoc_drift_log, hs_assoc_verify_stat TO stranger');
is($session->query('SET ROLE stranger; SELECT count(*) FROM hs_assoc_drift_log; RESET ROLE'), 0, 'a stranger sees no difference');

# Labels
$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
my %type = split /[|\n]/, $session->query(q{SELECT label, type_id FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED'});
sub labels { return join ' ', map { my $pair = "$_->{from_id},$_->{to_id}"; map { "$pair,$_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $_->{types} } } @{ $hubspot->associations('contacts', 'companies') } }
$session->query(q{SELECT hs_assoc_disable_sync('links'); UPDATE links SET label = CASE WHEN t::int % 2 = 1 THEN 'Alpha' ELSE 'Beta' END});
sync(q{label_column => 'label', on_drift => 'mirror'});
my $labels = labels();
$session->query(q{SELECT * FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 101 AS from_id, 201 AS to_id, ''Alpha'' AS label')});
$session->query(q{SELECT hs_assoc_create('contacts', 102, 'companies', 202, labels => '{Alpha,Beta}')});
wait_until(sub { $session->query('SELECT all_repaired FROM hs_assoc_verify_stat') >= 2 });
drain();
is(labels(), $labels, 'labels are put right');
like(found(), qr/^add 101 201 Alpha repaired, remove 102 202 Alpha repaired$/, 'each by itself');

# Keys
$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com" } } } 1 .. 8 ]);
$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. 9 ]);
$session->query(q{SELECT hs_assoc_disable_sync('links'); UPDATE links SET f = 'C' || (f::int - 100) || '@example.com', t = 'd' || (t::int - 200) || '.example'});
sync(q{on_drift => 'mirror'}, 'contacts:email', 'companies:domain');
wait_for_pass();
associate([ [ 103, 209 ] ]);
dissociate([ 104, 204 ]);
wait_until(sub { $session->query('SELECT all_repaired FROM hs_assoc_verify_stat') >= 2 });
drain();
like(held(), qr/103,203 104,204/, 'tables of keys');
is($session->query(q{SELECT from_id, to_id, from_key, to_key, action FROM hs_assoc_drift_log WHERE from_id = '104'}), '104|204|C4@example.com|d4.example|create', 'whose keys the log has');
$session->query(q{INSERT INTO links VALUES ('nobody@example.com', 'd1.example')});
wait_until(sub { stat_of('last_unknown') eq '1' });
pass('rows whose record is not there are counted');

# A diagnosis says all that is wrong, the worst first
$session->query(q{SELECT hs_assoc_disable_sync('links'); SELECT hs_assoc_pause()});
foreach my $i (1 .. 12)
{
	$session->query(qq{CREATE TABLE many$i (f int, t int, PRIMARY KEY (f, t)); SET client_min_messages = error;
		SELECT hs_assoc_enable_sync('many$i', 'contacts', 'f', 'companies', 't', verify => '1 day')});
}
$session->query(q{INSERT INTO hs_assoc_verify (sync) SELECT id FROM hs_assoc_sync_config ON CONFLICT DO NOTHING;
	UPDATE hs_assoc_verify AS v SET failures = CASE WHEN link_table = 'many3'::regclass THEN 1 ELSE 0 END, error_message = 'no reason',
		held_back = CASE WHEN link_table IN ('many2'::regclass, 'many3'::regclass) THEN 'too much' END
	FROM hs_assoc_sync_config AS c WHERE c.id = v.sync;
	INSERT INTO hs_assoc_difference (sync, from_id, to_id, removes, category, type_id, pair, state)
	SELECT id, '1', '1', false, '', 0, 0, 'open' FROM hs_assoc_sync_config WHERE link_table = 'many1'::regclass});
is($session->query(q{SELECT replace(detail, E'\n', ' '), replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'drift'}),
	'table public.many3 cannot be compared with HubSpot: no reason 3 more: - nothing of table public.many2 was put right: too much - nothing of table public.many3 was put right: too much - HubSpot differs from table public.many1: 1 difference'
	  . '|It is tried again, later each time. See hs_assoc_verify_stat.', 'a diagnosis tells how many there are, the worst first');
$session->query('UPDATE hs_assoc_verify SET failures = 0, error_message = NULL, held_back = NULL');
is($session->query(q{SELECT replace(detail, E'\n', ' '), replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'drift'}),
	q{HubSpot differs from table public.many1: 1 difference|See hs_assoc_drift_log. SELECT hs_assoc_repair('public.many1') enqueues what HubSpot lacks, and with mode => 'mirror' also removals.},
	'... what HubSpot lacks can be put right without removing anything');
$session->query(q{UPDATE hs_assoc_verify SET held_back = 'too much of this for a table like that'});
like($session->query(q{SELECT replace(detail, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^nothing of table public\.many1 was put right.* 12 more: .*\.\.\.$/, '... and shows as many as fit');

$_->quit foreach $session, $listener;
done_testing();
