# hs_assoc_metrics: its names keep to what Prometheus wants, its figures are right, nothing in
# them names a record, and it does not read what waits.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
create_account($node, $hubspot, name => 'second', rate_limit => 50);
my $session = start_session($node);

# {name(label=value ...) => value}, without the database
sub figures
{
	return { map { /^(.*)\|(.*)$/ ? ($1 => $2) : () } split /\n/, $session->query(q{
		SELECT m.name || coalesce('(' || (SELECT string_agg(key || '=' || l.value, ' ' ORDER BY key COLLATE "C") FROM jsonb_each_text(labels) AS l WHERE key <> 'database') || ')', ''), m.value
		FROM hs_assoc_metrics() AS m}) };
}
sub figure { return figures()->{"hubspot_assoc_$_[0]"} }

#
# Names
#
is($session->query(q{SELECT name, labels FROM hs_assoc_metrics() WHERE name !~ '^hubspot_assoc_[a-z]+(_[a-z]+)*$' OR
	labels->>'database' <> 'postgres' OR kind NOT IN ('counter', 'gauge') OR (kind = 'counter') <> (name ~ '_total$') OR value < 0}), '', 'each is named as it is to be');
is($session->query('SELECT name FROM hs_assoc_metrics() GROUP BY name HAVING count(DISTINCT (kind, help)) > 1'), '', 'a name is of one kind');
is($session->query('SELECT name, labels FROM hs_assoc_metrics() GROUP BY 1, 2 HAVING count(*) > 1'), '', 'none comes twice');
is($session->query(q{SELECT has_function_privilege('pg_monitor', p.oid, 'EXECUTE'), count(*) FILTER (WHERE grantee = 0)
	FROM pg_proc AS p, aclexplode(proacl) WHERE proname = 'hs_assoc_metrics' GROUP BY p.oid}), 't|0', 'it is for pg_monitor');

#
# Figures
#
is(figure("requests_total(operation=$_ server=hubspot)"), 0, "$_: no request yet") foreach qw(create_default create archive archive_labels list read records_read records_search);
is(figure("requests_total(operation=$_ server=hubspot)"), undef, "$_: never used") foreach qw(labels token request unknown);
$session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT i AS from_id, CASE i WHEN 3 THEN ''x'' ELSE ''9'' END AS to_id FROM generate_series(1, 5) AS i')});
my $figures = figures();
is($figures->{"hubspot_assoc_$$_[0]"}, $$_[1], $$_[0]) foreach
  [ 'requests_total(operation=create_default server=hubspot)', $session->query(q{SELECT requests FROM hs_assoc_stat() WHERE server = 'hubspot'}) ],
  [ 'inputs_total(operation=create_default server=hubspot)', 5 ], [ 'confirmed_inputs_total(operation=create_default server=hubspot)', 4 ],
  [ 'inputs_total(operation=create server=hubspot)', 0 ],
  [ 'failed_inputs_total(category=OBJECT_NOT_FOUND operation=create_default server=hubspot)', 1 ],
  [ 'requests_total(operation=create_default server=second)', 0 ],
  [ 'rate_limit_requests(server=second)', 50 ], [ 'preloaded', 1 ], [ 'paused(server=hubspot)', 0 ],
  [ 'outbox_lag_seconds(server=second)', 0 ];
ok($figures->{'hubspot_assoc_sent_bytes_total(server=hubspot)'} > 0, 'bytes');
$session->query($_) foreach q{SELECT count(*) FROM hs_assoc_labels('contacts', 'companies')}, q{SELECT hs_assoc_request('GET', '/crm/v3/objects/contacts')},
  q{SELECT hs_assoc_create_default('contacts', '1', 'companies', '2')};
$figures = figures();
is($figures->{"hubspot_assoc_requests_total(operation=$_ server=hubspot)"}, 1, "a request: $_") foreach qw(labels request);
is($figures->{'hubspot_assoc_requests_total(operation=create_default server=hubspot)'}, $session->query(q{SELECT requests - 2 FROM hs_assoc_stat() WHERE server = 'hubspot'}),
	'one of a single input is not told from one of many');
is($figures->{'hubspot_assoc_inputs_total(operation=labels server=hubspot)'}, undef, 'labels have no inputs');

# failures of one input and of many, and of either kind of create
$session->query($_) foreach map {
	my ($operation, $type, $column) = @$_;
	("SELECT hs_assoc_$operation('contacts', 'x y', 'companies', '9'$type)",
		"SELECT count(*) FROM hs_assoc_batch_$operation('contacts', 'companies', 'SELECT ''x y'' AS from_id, 9 AS to_id$column FROM generate_series(1, 2)')")
  } [ 'create_default', '', '' ], [ 'create', ", type_ids => '{279}'", ', 279 AS type_id' ], [ 'archive', '', '' ];
is(figure("failed_inputs_total(category=INVALID_INPUT operation=$_ server=hubspot)"), 3, "failed: $_") foreach qw(create_default create archive);
is($session->query('SELECT name, labels FROM hs_assoc_metrics() GROUP BY 1, 2 HAVING count(*) > 1'), '', 'none comes twice');

# a row of the outbox whose record is looked up counts as what was to be done, not as its look-up
$session->query(q{SELECT hs_assoc_enqueue('archive', 'contacts:email', 'companies', 'SELECT ''nobody@x.example'' AS from_id, 10 AS to_id');
	SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', 'SELECT ''nobody@x.example'' AS from_id, 9 AS to_id', wait_for_records => '0 s')});
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_dead_letter') == 1 && $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 });
is(figure('failed_inputs_total(category=RECORD_NOT_FOUND operation=create_default server=hubspot)'), 1, 'a record that is not there');
is(figure('confirmed_inputs_total(operation=archive server=hubspot)'), 1, '... need not be removed');
cmp_ok(figure('requests_total(operation=records_read server=hubspot)'), '>', 0, '... after its look-up');
is(figure('inputs_total(operation=records_read server=hubspot)'), 0, '... which has no inputs of its own');
$session->query('SELECT hs_assoc_discard()');

# the outbox: a dead letter, rows that are late, an account that is refused, a pause
$hubspot->objects({ type => 'contacts', missing => ['70100401'] });
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 70100401 AS from_id, 9 AS to_id')});
wait_until(sub { grep { /^hubspot_assoc_dead_letters\(category=\w+ operation=create_default server=hubspot\)$/ } keys %{ figures() } });
is((map { figures()->{$_} } grep { /dead_letters/ } keys %{ figures() })[0], 1, 'a dead letter');
$session->query('SELECT hs_assoc_pause()');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, 8 AS to_id FROM generate_series(1, 10) AS i')});
$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() - interval '100 s' WHERE from_id = '3'});
is(figure('paused(server=hubspot)'), 1, 'it is paused');
cmp_ok(figure('outbox_lag_seconds(server=hubspot)'), '>=', 100, 'how late the oldest row is');
cmp_ok(figure('outbox_lag_seconds(server=hubspot)'), '<', 100 + patience(100), 'and no later');
is(figure('outbox_lag_seconds(server=second)'), 0, 'of each server');
$hubspot->account({ token => 'other' });
$session->query(q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token 'wrong')});
$session->query('SELECT hs_assoc_resume()');
wait_until(sub { defined figure('backoff_seconds(category=INVALID_AUTHENTICATION server=hubspot)') });
pass('an account that is refused');
unlike($session->query('SELECT * FROM hs_assoc_metrics()'), qr/70100401/, 'no record is named');

# a sync
$session->query(q{CREATE TABLE links (a int, b int, PRIMARY KEY (a, b))});
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'a', 'companies', 'b')});
$session->query('ALTER TABLE links DISABLE TRIGGER USER');
is(figure('syncs(server=hubspot)') . figure('inactive_syncs(server=hubspot)') . figure('syncs(server=second)'), '110', 'syncs');

# several of a server, and what workers have found in them, none of which looks by now
$session->query('SELECT hs_assoc_pause()');
$session->query(q{CREATE TABLE links2 (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE links3 (a int, b int, PRIMARY KEY (a, b));
	SELECT hs_assoc_enable_sync('links2', 'contacts', 'a', 'companies', 'b', verify => '1 day'), hs_assoc_enable_sync('links3', 'contacts', 'a', 'companies', 'b', verify => '2 days')});
$session->query(q{DELETE FROM hs_assoc_verify; INSERT INTO hs_assoc_verify (sync, next_at, last_ended_at, all_records, all_differences, all_repaired)
	SELECT id, now() + interval '1 d', now() - interval '10 d', 1000 * rank() OVER (ORDER BY id), 10, 1 FROM hs_assoc_sync_config;
	INSERT INTO hs_assoc_difference (sync, from_id, to_id, removes, category, type_id, pair, state)
	SELECT c.id, i::text, '1', false, '', 0, 0, CASE WHEN i < 1500 THEN 'open' ELSE 'contested' END FROM hs_assoc_sync_config AS c, generate_series(1, 1502) AS i WHERE verify IS NOT NULL});
$figures = figures();
is($figures->{"hubspot_assoc_$$_[0](server=hubspot)"}, $$_[1], "$$_[0] of several syncs") foreach
  [ 'syncs', 3 ], [ 'inactive_syncs', 1 ], [ 'compared_records_total', 6000 ], [ 'differences_total', 30 ], [ 'repaired_differences_total', 3 ],
  [ 'open_differences', 2000 ], [ 'contested_differences', 6 ];
my $late = $figures->{'hubspot_assoc_verify_late_seconds(server=hubspot)'};
cmp_ok($late, '>=', 8 * 86400, 'the one that is the latest');
cmp_ok($late, '<', 8 * 86400 + patience(100), '... by its own period');
is(join(' ', map { $figures->{"hubspot_assoc_$_(server=second)"} } qw(syncs inactive_syncs compared_records_total open_differences verify_late_seconds)), '0 0 0 0 0', 'of each server');

# an account that several roles use; times that are none
$session->query(q{CREATE ROLE etl; INSERT INTO hs_assoc_backoff (server, role, failures, retry_at, since, error_category) VALUES
	('second', 'etl'::regrole, 1, now(), now() - interval '200 s', 'X'), ('second', 'postgres'::regrole, 1, now(), now() - interval '100 s', 'X'), ('gone', 'etl'::regrole, 1, now(), 'infinity', NULL)});
$figures = figures();
cmp_ok($figures->{'hubspot_assoc_backoff_seconds(category=X server=second)'}, '>=', 200, 'the one that waits for the longest');
cmp_ok($figures->{'hubspot_assoc_backoff_seconds(category=X server=second)'}, '<', 200 + patience(90), '... and no longer');
is($figures->{'hubspot_assoc_backoff_seconds(category= server=gone)'}, 0, 'a time that is to come');

# rows that wait for records, of each server and operation
$session->query(q{SELECT hs_assoc_pause(), hs_assoc_pause('second')});
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, waited, wait_for_records)
	SELECT s, 'postgres'::regrole, o, 'contacts:email', 'x' || i, 'companies', '1', w::interval, '1 d'
	FROM unnest('{hubspot,second}'::text[]) AS s, unnest('{create_default,archive}'::text[]) AS o,
		(VALUES (1, '0'), (2, '5 s'), (3, '1 h')) AS v (i, w) WHERE s = 'hubspot' OR o = 'archive' AND i < 3});
is(figure('rows_waiting_for_records(server=hubspot)'), 4, 'rows that wait for records, not those that were not looked up yet');
is(figure('rows_waiting_for_records(server=second)'), 1, '... of each server');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, waited, wait_for_records)
	SELECT 'hubspot', 'postgres'::regrole, 'create_default', 'contacts:email', 'y' || i, 'companies', '1', '1 h', '1 d' FROM generate_series(1, 5000) AS i});
is(figure('rows_waiting_for_records(server=hubspot)'), 1000, '... up to a bound');

# the reference has each of them: its name, its labels, its help
my $page = slurp_file("$FindBin::Bin/../../doc/hubspot_assoc.md");
my %told;
while ($page =~ /^\| `(hubspot_assoc_\w+)` \| (.*)\| (.*) \|$/mg)
{
	my ($name, $labels, $help) = ($1, $2, $3);
	$told{$name} = join('|', join(' ', sort 'database', $labels =~ /`(\w+)`/g), $help);
}
my %found = map { /^(\w+)\|(.*)$/ ? ($1 => $2) : () } split /\n/, $session->query(q{
	SELECT DISTINCT name, (SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(labels) AS key), help FROM hs_assoc_metrics()});
is(join(' ', sort grep { !$found{$_} } keys %told), 'hubspot_assoc_fault_seconds', 'the reference has no other figures, and nothing is lacking here');
is_deeply(\%found, { map { $_ => $told{$_} } keys %found }, 'the reference has each figure, with its labels and its help');

#
# What it costs does not depend on what waits: pages that are read
#
sub pages
{
	$session->query('SELECT count(*) FROM hs_assoc_metrics()');
	my $plan = $session->query('EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT * FROM hs_assoc_metrics()');
	my $pages = 0;

	# of the execution alone
	$plan =~ s/Planning:.*//s;
	$pages += $1 while $plan =~ /(?:hit|read)=(\d+)/g;
	return $pages;
}
$session->query('SELECT hs_assoc_pause()');
my $few = pages();
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, 7 AS to_id FROM generate_series(1, 50000) AS i')});
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, waited, wait_for_records)
	SELECT 'hubspot', 'postgres'::regrole, 'create_default', 'contacts:email', 'z' || i, 'companies', '1', '1 h', '1 d' FROM generate_series(1, 50000) AS i});
$session->query(q{INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts, error_category)
	SELECT 1000000 + i, 'hubspot', 'postgres'::regrole, 'create', 'contacts', '1', 'companies', '1', false, now(), 1, 'C' || i % 3 FROM generate_series(1, 5000) AS i});
my $many = pages();
cmp_ok($many, '<', $few + 400, "with 100,000 rows, half of which wait for records, and 5,000 dead letters, $many pages are read, after $few");
is($session->query(q{SELECT sum(value) FROM hs_assoc_metrics() WHERE name = 'hubspot_assoc_dead_letters' AND labels->>'server' = 'hubspot'}), 1000,
	'dead letters are counted up to a bound');

$session->quit;
done_testing();
