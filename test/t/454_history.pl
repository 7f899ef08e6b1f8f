# The history: who had what associated, when, and what came of it, if the server's option
# asks for it; whom it is for, how long it is kept, and that no row of it stops others.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
$hubspot->objects({ type => 'contacts', missing => ['666'] });

sub history
{
	my ($columns, $where) = @_;
	$where //= 'true';
	return $session->query("SELECT $columns FROM hs_assoc_history WHERE $where ORDER BY enqueued_at, from_id::bigint, id, settled_at");
}
sub flush { $session->query('CALL hs_assoc_flush()'); return }

# an operation of that contact's
sub enqueue
{
	my ($who, $from, $to) = @_;
	$who->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $from AS from_id, $to AS to_id')});
	return;
}

#
# Off
#
enqueue($session, 1, 1);
is($session->query('SELECT count(*) FROM hs_assoc_outbox WHERE enqueued_by IS NULL AND application_name IS NULL AND history_for IS NULL'), 1,
	'nobody is noted without the option');
flush();
is($session->query('SELECT count(*) FROM hs_assoc_history'), 0, 'nor is anything kept');

#
# The option
#
foreach my $value ('12 months', '4000d', '5', '-1d', 'x')
{
	my (undef, undef, $err) = $node->psql('postgres', "ALTER SERVER hubspot OPTIONS (ADD history_retention '$value')");
	like($err, qr/invalid value for option "history_retention": "\Q$value\E"\nHINT:  It must be a number with a unit \(s, min, h, d\), from 0s to 3660d\./, "$value is refused");
}
enqueue($session, 2, 1);
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD history_retention '365d')});
flush();
is($session->query('SELECT count(*) FROM hs_assoc_history'), 0, 'what was enqueued before is not in it');

#
# Who, when, what, and what came of it
#
$session->query(q{CREATE ROLE etl LOGIN; CREATE ROLE ann LOGIN; GRANT etl TO ann; CREATE ROLE bob LOGIN;
	GRANT USAGE ON FOREIGN SERVER hubspot TO etl, bob; GRANT SELECT ON hs_assoc_history TO etl, bob;
	CREATE TABLE links (a bigint, b bigint, PRIMARY KEY (a, b)); GRANT ALL ON links TO bob});
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'a', 'companies', 'b')});
my $ann = start_session($node);
$ann->query(q{SET SESSION AUTHORIZATION ann});
$ann->query(q{SET application_name = 'nightly job'});
$ann->query('SET ROLE etl');
my $bob = start_session($node);
$bob->query(q{SET SESSION AUTHORIZATION bob});
$bob->query(q{SET application_name = 'first'});
$bob->query('INSERT INTO links VALUES (20, 1), (21, 1)');
$bob->query(q{SET application_name = 'second'});
$bob->query('DELETE FROM links WHERE a = 21');
enqueue($ann, 666, 7);
enqueue($ann, 30, 7);
flush();
is(history('enqueued_by, role, application_name, operation, from_type, from_id, to_type, to_id, link_table, outcome, attempts, http_status, error_category'), join("\n",
		'bob|postgres|first|create_default|contacts|20|companies|1|links|confirmed|0||',
		'bob|postgres|second|archive|contacts|21|companies|1|links|confirmed|0||',
		'ann|etl|nightly job|create_default|contacts|666|companies|7||dead_letter|1|200|OBJECT_NOT_FOUND',
		'ann|etl|nightly job|create_default|contacts|30|companies|7||confirmed|0||'),
	'who, by which program, on whose behalf, what, and what came of it; what was overridden is not in it');
is($session->query(q{SELECT count(*) FROM hs_assoc_history WHERE keep_until - settled_at = '365 d' AND settled_at BETWEEN enqueued_at AND now()}), 4, 'when, and for how long');

# a second time
$session->query('SELECT hs_assoc_retry()');
is($session->query('SELECT enqueued_by, application_name, history_for FROM hs_assoc_outbox'), "ann|nightly job|8760:00:00", 'hs_assoc_retry: who it was');
flush();
is(history('outcome', q{from_id = '666'}), "dead_letter\ndead_letter", '... and each outcome');
$session->query('SELECT hs_assoc_discard()');

# with what was sent
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD sent_retention '1d')});
enqueue($session, 40, 1);
flush();
is($session->query(q{SELECT (SELECT count(*) FROM hs_assoc_sent WHERE from_id = '40'), (SELECT count(*) FROM hs_assoc_history WHERE from_id = '40')}), '1|1', 'both are kept');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP sent_retention)});

# types, labels and keys
$hubspot->put_records('contacts', [ { id => '70100401', properties => { email => 'ann@example.com' } } ]);
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts:email', 'companies', 'SELECT ''Ann@example.com'' AS from_id, 9001019 AS to_id, 279 AS type_id, ''HUBSPOT_DEFINED'' AS category', keep_labels => true)});
flush();
is(history('from_type, from_id, from_property, from_key, type_ids, category, keep_labels', q{from_id = '70100401'}),
	'contacts|70100401|email|Ann@example.com|{279}|HUBSPOT_DEFINED|t', 'types, and the key by which a record was named');
$hubspot->put_records('companies', [ { id => '9001031', properties => { domain => 'acme.example' } } ]);
$session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', name, name) FROM unnest('{Boss,Decider}'::text[]) AS name;
	SELECT hs_assoc_enqueue('create', 'contacts', 'companies:domain', 'SELECT 70100410 + i AS from_id, ''acme.example'' AS to_id,
		CASE i % 3 WHEN 0 THEN ''Boss'' WHEN 1 THEN ''Decider'' END AS label, CASE i % 3 WHEN 2 THEN 279 END AS type_id FROM generate_series(1, 6) AS i')});
flush();
is(history('from_id, to_property, to_key, type_ids, labels', q{to_id = '9001031'}), join("\n", map {
			"7010041$_|domain|acme.example|" . ('|{Boss}', '|{Decider}', '{279}|')[ $_ % 3 ] } 1 .. 6), 'labels of some, types of others');

#
# Whom it is for
#
is($bob->query('SELECT count(*) FROM hs_assoc_history'), 0, 'a role does not see the others\'');
is($ann->query('SELECT DISTINCT role FROM hs_assoc_history'), 'etl', '... but its own');
foreach my $what ('SELECT FROM hs_assoc_history_batch', 'DELETE FROM hs_assoc_history_batch', q{UPDATE hs_assoc_history_batch SET outcome = 'x'}, 'TRUNCATE hs_assoc_history_batch')
{
	$ann->send($what);
	my (undef, $err) = $ann->finish;
	like($err, qr/42501: permission denied for table hs_assoc_history_batch/, "may not: $what");
}

#
# How long it is kept
#
$session->query(q{UPDATE hs_assoc_history_batch SET keep_until = now() - interval '1 s' WHERE '20' = ANY (from_ids)});
flush();
is($session->query(q{SELECT count(*) FILTER (WHERE from_id = '20'), count(*) > 0 FROM hs_assoc_history}), '0|t', 'it is forgotten when its time is over');
$session->query(q{INSERT INTO hs_assoc_history_batch SELECT h.* FROM hs_assoc_history_batch AS h, generate_series(1, 2500) WHERE from_ids = '{40}'});
$session->query(q{UPDATE hs_assoc_history_batch SET keep_until = now() - interval '1 s' WHERE from_ids = '{40}'});
flush() foreach 1 .. 3;
is($session->query(q{SELECT count(*) FROM hs_assoc_history WHERE from_id = '40'}), 0, 'much of it, piece by piece');

#
# A row that cannot be put into it
#
$session->query(q{ALTER TABLE hs_assoc_history_batch ADD CONSTRAINT mine CHECK ('55' <> ALL (from_ids))});
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, 1 AS to_id FROM generate_series(51, 59) AS i')});
$session->query('SELECT hs_assoc_resume()') while (flush(), $session->query('SELECT count(*) FROM hs_assoc_outbox') > 1);
is(history('from_id', q{from_id BETWEEN '51' AND '59' AND length(from_id) = 2}), join("\n", 51 .. 54, 56 .. 59), 'one row does not stop the others');
is($session->query('SELECT from_id, attempts > 0 FROM hs_assoc_outbox'), '55|t', '... and is charged for it');
$session->query('ALTER TABLE hs_assoc_history_batch DROP CONSTRAINT mine');
$session->query('SELECT hs_assoc_resume()');
flush();
is(history('count(*)', q{from_id = '55' GROUP BY enqueued_at, from_id, id, settled_at}), 1, '... until it can be');

# texts that somebody has put into the outbox
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, enqueued_by, application_name, history_for)
	VALUES ('hubspot', 'postgres'::regrole, 'create_default', 'contacts', '60', 'companies', '1', repeat('x', 1000000), repeat('y', 1000000), '1 d')});
flush();
is(history('length(enqueued_by), length(application_name)', q{from_id = '60'}), '63|63', 'texts are bounded');

$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, from_property, from_key, history_for)
	SELECT 'hubspot', 'postgres'::regrole, 'create_default', 'contacts', '61', 'companies', i::text, repeat('p', 1500), repeat(k, 1500), '1 d'
	FROM (VALUES (1, 'k'), (2, 'k'), (3, NULL)) AS v (i, k)});
flush();
is(history('length(from_property), length(from_key), to_key', q{from_id = '61'}), "1000|1000|\n1000|1000|\n1000||", '... of any kind, and may be missing');

# those that differ in anything else are apart, in whatever order they come
$session->query(q{CREATE ROLE carl LOGIN; GRANT USAGE ON FOREIGN SERVER hubspot TO carl});
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, type_ids, category, labels, keep_labels, enqueued_by, application_name, link_table, history_for)
	SELECT 'hubspot', 'postgres'::regrole, 'create', 'contacts', (2000 + i)::text, 'companies', '1', CASE WHEN i / 2 % 2 = 0 THEN '{279}'::int[] END,
		CASE WHEN i / 2 % 2 = 0 THEN 'HUBSPOT_DEFINED' END, CASE WHEN i / 2 % 2 = 1 THEN ARRAY['L' || i % 2] END, true,
		CASE i % 3 WHEN 0 THEN 'x' WHEN 1 THEN 'y' END, 'a' || i % 2, CASE i % 2 WHEN 0 THEN 'links'::regclass END, CASE WHEN i % 5 = 0 THEN '1 d' WHEN i % 5 < 4 THEN '2 d' END::interval
	FROM generate_series(1, 60) AS i});
$session->query(q{CREATE TEMP TABLE given AS SELECT id, from_id, type_ids, category, labels, enqueued_by, application_name, link_table, enqueued_at, history_for FROM hs_assoc_outbox WHERE from_id ~ '^20..$'});
$session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', 'L' || i, 'l' || i) FROM generate_series(0, 1) AS i});
flush();
is($session->query(q{SELECT count(*) FROM hs_assoc_outbox}), 0, 'rows of many kinds');
is($session->query(q{SELECT count(*) FROM hs_assoc_history WHERE from_id ~ '^20..$'}), 48, '... those of which it is to be kept');
is($session->query(q{SELECT count(*) FROM given AS g JOIN hs_assoc_history AS h USING (id, from_id, enqueued_at) WHERE (g.type_ids, g.category, g.labels, g.enqueued_by, g.application_name, g.link_table, g.history_for)
	IS NOT DISTINCT FROM (h.type_ids, h.category, h.labels, h.enqueued_by, h.application_name, h.link_table, h.keep_until - h.settled_at)}), 48, '... each as it was');
is($session->query(q{SELECT count(*) FROM hs_assoc_history_batch AS b WHERE '2000' < ALL (from_ids) AND '2060' >= ALL (from_ids) AND from_ids[1] ~ '^20..$'}),
	$session->query(q{SELECT count(DISTINCT (type_ids, category, labels, enqueued_by, application_name, link_table, history_for)) FROM given WHERE history_for IS NOT NULL}), '... and those alike together');

# what others do to rows while they are on their way
$hubspot->rules({ match => { path => 'batch/' }, action => { hold => 1 } });
enqueue($session, $_, 1) foreach 80 .. 84;
my $sender = start_session($node);
$sender->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->hits->{rules}[0]{hits} });
$hubspot->clear_rules;
$bob->query('RESET SESSION AUTHORIZATION');
$bob->query('BEGIN');
$bob->query(q{SELECT FROM hs_assoc_outbox WHERE from_id = '81' FOR UPDATE});
$session->query(q{UPDATE hs_assoc_outbox SET not_before = not_before WHERE from_id = '82'; DELETE FROM hs_assoc_outbox WHERE from_id = '83'});
$hubspot->release;
$sender->finish;
is($session->query('SELECT from_id FROM hs_assoc_outbox'), 81, 'a row that is locked stays');
is(history('from_id, outcome', q{from_id ~ '^8.$'}), join("\n", map { "$_|confirmed" } 80, 82 .. 84), '... and is not settled; what HubSpot has confirmed of others is known, whatever became of the rows');
$bob->query('COMMIT');
$session->query('SELECT hs_assoc_resume()');
flush();
is(history('from_id, outcome', q{from_id ~ '^8.$'}), join("\n", map { "$_|confirmed" } 80 .. 84), '... until it is sent again');
$bob->query('SET SESSION AUTHORIZATION bob');
$sender->quit;

# what was enqueued at a time is together, but not without end
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, 1 AS to_id FROM generate_series(100001, 105000) AS i')});
flush();
is($session->query(q{SELECT count(*), count(DISTINCT from_id) FROM hs_assoc_history WHERE from_id LIKE '10____'}), '5000|5000', 'many rows');
is($session->query('SELECT max(cardinality(ids)) FROM hs_assoc_history_batch'), 2000, '... in few');

# what is rolled back
$bob->query('BEGIN');
$bob->query('INSERT INTO links VALUES (70, 1)');
$bob->query('ROLLBACK');
is($session->query(q{SELECT count(*) FROM hs_assoc_history WHERE from_id = '70'}), 0, 'what is rolled back never was');

# how a record is found
$session->query('ANALYZE hs_assoc_history_batch');
like($ann->query(q{BEGIN; SET LOCAL enable_seqscan = off; EXPLAIN SELECT * FROM hs_assoc_history WHERE from_id = '100001' AND settled_at > now() + interval '1 h'; COMMIT}),
	qr/Index Cond: \(+settled_at >/, 'a time bounds what is read of the history');
my ($page) = slurp_file("$FindBin::Bin/../../doc/operations.md") =~ /^( +SELECT b\.settled_at.*?;)$/ms;
$page =~ s/70100401/100001/g;
is($session->query($page), history('settled_at, operation, outcome, to_id', q{from_id = '100001'}), '... and its owner finds a record below the view');

#
# Dumps
#
my $before = history('*');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, $node->connstr('copy') ], '... restored');
same_lines($node->safe_psql('copy', 'SELECT * FROM hs_assoc_history ORDER BY enqueued_at, from_id::bigint, id, settled_at'), $before, '... has the history');

$_->quit foreach $session, $ann, $bob;
done_testing();
