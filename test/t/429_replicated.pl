# A table in sync that a subscription fills, as beside a managed server: what is applied
# is enqueued in its transaction, once, and as one change; the initial copy, TRUNCATE, row
# filters, partitions, subtransactions; kills of the apply worker and of the server.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(time);

my $soon = patience(60);
my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 2,
	'hubspot_assoc.poll_interval' => '10min',
	replication_settings());
my $hubspot = start_simulator();
$node->safe_psql('postgres', 'CREATE DATABASE managed');
create_account($node, $hubspot, rate_limit => 0);
my $managed = start_session($node, 'managed');
my $car = start_session($node);

sub waiting
{
	return $car->query(q{SELECT coalesce(string_agg(concat_ws(' ', replace(operation, 'create_default', '+'), from_id, to_id, labels[1]), ', '
		ORDER BY operation, from_id, to_id), 'nothing') FROM hs_assoc_outbox}) =~ s/archive(_labels)?/-/gr;
}
# What the subscription has brought by now, and nothing of it any more
sub brought { wait_until_applied($managed); my $waiting = waiting(); $car->query('DELETE FROM hs_assoc_outbox'); return $waiting }
sub state_of { my ($table) = @_; return $car->query("SELECT concat_ws(' ', active, problem) FROM hs_assoc_sync WHERE link_table = '$table'::regclass ORDER BY id LIMIT 1") }

#
# The sync, and its triggers
#
$_->query(q{
	CREATE TABLE links (contact_id int, company_id int, note text, PRIMARY KEY (contact_id, company_id));
	CREATE TABLE labels (contact_id int, company_id int, label text, id int PRIMARY KEY, UNIQUE (contact_id, company_id, label))}) foreach $managed, $car;
$managed->query('INSERT INTO links SELECT i, i % 7 FROM generate_series(1, 1000) AS i; INSERT INTO labels VALUES (1, 1, NULL, 1), (2, 1, $$Boss$$, 2)');
is($car->told(q{SELECT hs_assoc_pause(); SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id')}), '', 'a sync of the usual kind');
is($car->query(q{SELECT hs_assoc_enable_sync('links', 'deals', 'contact_id', 'companies', 'company_id', replicated => true);
	SELECT hs_assoc_enable_sync('labels', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'label', replicated => true)}), "0\n0", 'two that send what a subscription applies');
is($car->query(q{SELECT string_agg(concat_ws(' ', tgname, tgenabled), ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'links'::regclass}),
	'hs_assoc_sync_delete O, hs_assoc_sync_insert O, hs_assoc_sync_replicated R, hs_assoc_sync_truncate A, hs_assoc_sync_update O', 'their triggers');
is(state_of('labels'), 'f No subscription of this database fills table "labels": only what is written here is sent.', 'not active, as long as there is no subscription');
like($car->told(q{CREATE TABLE unfed (LIKE links INCLUDING ALL); SELECT hs_assoc_enable_sync('unfed', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)}),
	qr/NOTICE:  00000: no subscription of this database fills table "unfed" yet\n.*DETAIL:  Until one does, the sync is not active, and only what is written here is sent\.\n.*HINT:  CREATE SUBSCRIPTION \.\.\. CONNECTION '\.\.\.' PUBLICATION \.\.\., which has the table; or, for an existing subscription, ALTER SUBSCRIPTION \.\.\. REFRESH PUBLICATION\.\n/, '... as who enables it is told');
foreach my $case (
	[ q{'contacts', 'companies', 'contact_id', 'company_id'}, qr/ERROR:  42703: column "companies" of table "unfed" does not exist/, 'in the wrong order' ],
	[ q{'deals', 'contact_id', 'companies', 'note'}, qr/ERROR:  55000: table "unfed" has no unique index on columns of the sync alone/, 'columns without a unique index' ])
{
	my $told = $car->told("SELECT hs_assoc_enable_sync('unfed', $case->[0], replicated => true)");
	like($told, $case->[1], "arguments that are an ERROR: $case->[2]");
	unlike($told, qr/NOTICE/, '... and nothing else');
}
$car->query('DROP TABLE unfed');
subscribe($node, $managed, $car, 'links, labels', 'streaming = on');
is($car->query(q{SELECT count(*), count(DISTINCT from_id), min(from_type), max(from_type) FROM hs_assoc_outbox WHERE link_table = 'links'::regclass}), '1000|1000|deals|deals',
	'the initial copy, once, for the sync that is to have it');
is($car->query(q{SELECT concat_ws(' ', operation, from_id, to_id, labels[1]) FROM hs_assoc_outbox WHERE link_table = 'labels'::regclass}), 'create 2 1 Boss', '... without nulls');
is($car->query(q{SELECT skipped FROM hs_assoc_stat() WHERE server = 'hubspot'}), 1, '... which are counted');
is(state_of('links'), 'f Table "links" is filled by a subscription: what that applies fires no trigger.', 'the other one is not active');
is($car->query(q{SELECT replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'triggers'}),
	q{SELECT hs_assoc_disable_sync('public.links') and enable the sync anew, with replicated => true and backfill.}, '... and what to do');
$car->query('SELECT hs_assoc_disable_sync($$links$$)');
is($car->told(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)}), '', 'without a WARNING, as it is replicated');
is(state_of('links') . state_of('labels'), 'tt', 'active');
$car->query('ALTER SUBSCRIPTION s DISABLE');
is(state_of('links'), 'f Subscription "s", which fills table "links", is disabled.', 'a subscription that is disabled');
like($car->query(q{SELECT state || ': ' || replace(detail, E'\n', ' ') || ' ' || replace(advice, E'\n', ' ') FROM hs_assoc_diagnose() WHERE topic = 'triggers'}),
	qr/^problem: changes of table public\.labels are not followed: Subscription "s", which fills table "labels", is disabled\. 1 more: .*See to the subscription that is to fill it\. .*enable the sync anew, with replicated => true\./, '... as hs_assoc_diagnose says');
$car->query('ALTER SUBSCRIPTION s ENABLE');
is(state_of('links'), 't', '... and enabled again');
foreach my $trigger (qw(replicated truncate))
{
	$car->query("ALTER TABLE links DISABLE TRIGGER hs_assoc_sync_$trigger");
	like(state_of('links'), qr/^f A trigger of table "links"/, "$trigger: disabled");
	$car->query('ALTER TABLE links ENABLE ' . ($trigger eq 'truncate' ? 'ALWAYS' : 'REPLICA') . " TRIGGER hs_assoc_sync_$trigger");
}
$car->query('ALTER TABLE links ENABLE TRIGGER hs_assoc_sync_truncate');
is(state_of('links'), 'f A trigger of table "links" that follows what a subscription applies is missing, disabled, or not as hs_assoc_enable_sync makes it.', 'one that does not fire for it');
like($car->told(q{ALTER TABLE links ENABLE TRIGGER hs_assoc_sync_replicated; SELECT hs_assoc_enable_sync('links', 'tickets', 'contact_id', 'companies', 'company_id', replicated => true)}),
	qr/ERROR:  55000: trigger "hs_assoc_sync_replicated" of table "links" is disabled\n.*HINT:  Enable it with ALTER TABLE public.links ENABLE REPLICA TRIGGER hs_assoc_sync_replicated\./s, 'as if disabled');
$car->query('ALTER TABLE links ENABLE ALWAYS TRIGGER hs_assoc_sync_truncate; ALTER TABLE links ENABLE REPLICA TRIGGER hs_assoc_sync_replicated');
is(state_of('links'), 't', 'well again');
$car->query('DELETE FROM hs_assoc_outbox');

#
# What is applied
#
$managed->query('INSERT INTO links VALUES (2001, 1), (2002, 1)');
is(brought(), '+ 2001 1, + 2002 1', 'INSERT');
$managed->query('UPDATE links SET company_id = 2 WHERE contact_id = 2001; UPDATE links SET note = $$x$$ WHERE contact_id = 2002');
is(brought(), '- 2001 1, + 2001 2', 'UPDATE, of the pair alone');
$managed->query('DELETE FROM links WHERE contact_id > 2000');
is(brought(), '- 2001 2, - 2002 1', 'DELETE');
$managed->query('BEGIN; INSERT INTO links VALUES (2001, 1), (2002, 1); DELETE FROM links WHERE contact_id = 2001; UPDATE links SET company_id = 9 WHERE contact_id = 1; UPDATE links SET company_id = 1 WHERE contact_id = 1; COMMIT');
is(brought(), '+ 2002 1', 'what a transaction makes of the table');
$managed->query('BEGIN; INSERT INTO links VALUES (2003, 1); SAVEPOINT a; INSERT INTO links VALUES (2004, 1); ROLLBACK TO a; INSERT INTO links VALUES (2005, 1); COMMIT');
is(brought(), '+ 2003 1, + 2005 1', 'without what was rolled back');
$managed->query('INSERT INTO labels VALUES (5, 1, $$Boss$$, 5); UPDATE labels SET label = $$Clerk$$ WHERE id = 5');
is(brought(), '- 5 1 Boss, + 5 1 Boss, + 5 1 Clerk' =~ s/\+ 5/create 5/gr, 'labels');
$managed->query('DELETE FROM links WHERE contact_id > 3; INSERT INTO links VALUES (4, 1)');
wait_until_applied($managed);
$car->query('DELETE FROM hs_assoc_outbox');
$managed->query('BEGIN; INSERT INTO links VALUES (5, 1); DELETE FROM links WHERE contact_id = 4; TRUNCATE links; INSERT INTO links VALUES (1, 1), (6, 1); COMMIT');
is(brought(), '- 2 2, - 3 3, - 4 1, + 6 1', 'TRUNCATE, with what comes before and after it');
$managed->query('TRUNCATE links');
is(brought(), '- 1 1, - 6 1', '... alone');
$managed->query('TRUNCATE links');
is(brought(), 'nothing', '... of nothing');

# Beside it, somebody writes here
$car->query('INSERT INTO links VALUES (1, 1)');
is(brought(), '+ 1 1', 'what is written here is enqueued as ever');
$car->query('TRUNCATE links');
is(brought(), '- 1 1', '... TRUNCATE, too');

# Many rows, in a transaction that is streamed
$managed->query('SET logical_decoding_work_mem = $$64kB$$; ALTER SYSTEM SET logical_decoding_work_mem = $$64kB$$; SELECT pg_reload_conf()');
$managed->query('BEGIN; INSERT INTO links SELECT i, 1 FROM generate_series(1, 20000) AS i; SAVEPOINT a; UPDATE links SET company_id = 2 WHERE contact_id % 2 = 0; SAVEPOINT b; DELETE FROM links; ROLLBACK TO b; DELETE FROM links WHERE contact_id % 4 = 0; COMMIT');
wait_until_applied($managed);
is($car->query('SELECT count(*), count(DISTINCT (from_id, to_id)), bool_and(operation = $$create_default$$) FROM hs_assoc_outbox'), '15000|15000|t', 'a large transaction, with subtransactions');
is($car->query('SELECT count(*) FROM links AS l FULL JOIN hs_assoc_outbox AS o ON o.from_id = l.contact_id::text AND o.to_id = l.company_id::text WHERE l.contact_id IS NULL OR o.id IS NULL'), 0, '... comes to what the table has');
$car->query('DELETE FROM hs_assoc_outbox');

#
# A row filter, and a partitioned table that a plain one fills
#
$_->query('CREATE TABLE parts (contact_id int, company_id int, live boolean DEFAULT true, PRIMARY KEY (contact_id, company_id))' . ($_ == $car ? ' PARTITION BY RANGE (company_id)' : '; ALTER TABLE parts REPLICA IDENTITY FULL')) foreach $managed, $car;
$car->query(q{CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
	CREATE TABLE parts_2 (live boolean, gone text, company_id int NOT NULL, contact_id int NOT NULL);
	ALTER TABLE parts_2 DROP COLUMN gone;
	SELECT hs_assoc_enable_sync('parts', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true);
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (200)});
like(state_of('parts'), qr/^f No subscription of this database fills table "parts"/, 'a partitioned table');
$managed->query('INSERT INTO parts VALUES (1, 1, true), (2, 1, false); ALTER PUBLICATION p ADD TABLE parts WHERE (live)');
$car->query('ALTER SUBSCRIPTION s REFRESH PUBLICATION');
wait_until_copied($car);
is(brought(), '+ 1 1', 'the initial copy, by the filter');
is(state_of('parts'), 't', '... active, with a partition that came later');
$managed->query('UPDATE parts SET live = NOT live');
is(brought(), '- 1 1, + 2 1', 'rows that come and go by the filter');
$managed->query('UPDATE parts SET company_id = company_id + 100');
is(brought(), '- 2 1, + 2 101', 'a row that changes its partition');
$managed->query('BEGIN; UPDATE parts SET company_id = 1 WHERE live; UPDATE parts SET company_id = 101 WHERE live; COMMIT');
is(brought(), 'nothing', '... there and back');
$managed->query('TRUNCATE parts');
is(brought(), '- 2 101', 'TRUNCATE of all partitions');
$car->query('ALTER TABLE parts DETACH PARTITION parts_2');
is($car->query(q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'parts_2'::regclass}), 0, 'a partition that was detached has no trigger');
$car->query('SELECT hs_assoc_disable_sync($$parts$$)');
is($car->query(q{SELECT count(*) FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'parts%'}), 0, 'nor has any, when the sync ends');

#
# A session that plays the replica
#
sub as_replica { my ($sql) = @_; my $err = $car->told("SET session_replication_role = replica; $sql"); $car->query('ROLLBACK; RESET session_replication_role'); return $err }
as_replica(q{BEGIN; DELETE FROM links WHERE contact_id < 100; SAVEPOINT a; INSERT INTO links VALUES (30001, 1); SAVEPOINT b; INSERT INTO links VALUES (30002, 1); RELEASE b;
	SAVEPOINT c; INSERT INTO links VALUES (30003, 1); ROLLBACK TO c; RELEASE a; SAVEPOINT d; DELETE FROM links; ROLLBACK TO d; INSERT INTO labels VALUES (30004, 1, 'Boss', 30004); COMMIT});
is($car->query(q{SELECT string_agg(DISTINCT operation, ' ' ORDER BY operation) FROM hs_assoc_outbox WHERE from_id::int < 100}), 'archive', 'subtransactions: what was removed');
$car->query('DELETE FROM hs_assoc_outbox WHERE from_id::int < 100');
is(brought(), 'create 30004 1 Boss, + 30001 1, + 30002 1', '... what they have added, and what was rolled back');
as_replica('BEGIN; INSERT INTO links VALUES (30005, 1); ROLLBACK');
is(brought(), 'nothing', 'a transaction that is rolled back');
as_replica(q{BEGIN; INSERT INTO links VALUES (30005, 1); PREPARE TRANSACTION 'p'});
is(waiting(), 'nothing', 'prepared');
$car->query(q{COMMIT PREPARED 'p'});
is(brought(), '+ 30005 1', '... and committed');
as_replica(q{BEGIN; INSERT INTO links VALUES (30006, 1), (30007, 1); SET LOCAL session_replication_role = origin; DELETE FROM links WHERE contact_id = 30006; INSERT INTO links VALUES (30008, 1);
	SET LOCAL session_replication_role = replica; DELETE FROM links WHERE contact_id = 30008; COMMIT});
$car->query('SELECT hs_assoc_resume()');
wait_for_empty_outbox($car, $soon);
is(join(' ', sort grep { /^3000[678]/ } map { /^(\d+,\d+)/ } split /\n/, $hubspot->association_table('contacts', 'companies')), '30007,1', 'both kinds of writers in a transaction: what the table shows');
$car->query('SELECT hs_assoc_pause()');
like(as_replica('BEGIN; INSERT INTO links VALUES (30009, 1); ALTER TABLE links ADD more int; COMMIT'),
	qr/ERROR:  55000: table "links" was altered by the transaction that has changed its rows as a replica\n/, 'a table that is altered in between');
like(as_replica(q{BEGIN; INSERT INTO labels VALUES (30009, 1, 'Boss', 30009); INSERT INTO links VALUES (30009, 1); ALTER TABLE links ALTER note TYPE varchar; COMMIT}),
	qr/ERROR:  55000: table "links" was altered/, '... also behind another one');
$car->query(q{ALTER TABLE hs_assoc_outbox ADD CONSTRAINT none CHECK (from_id <> '30012')});
like(as_replica('INSERT INTO links VALUES (30012, 1)'), qr/ERROR:  23514: /, 'what cannot be enqueued');
$car->query('ALTER TABLE hs_assoc_outbox DROP CONSTRAINT none');
is($car->query('SELECT count(*) FROM links WHERE contact_id = 30012') . waiting(), '0nothing', '... is not in the table either');
as_replica(q{BEGIN; INSERT INTO links VALUES (30010, 1); SELECT hs_assoc_disable_sync('links'); COMMIT});
is(waiting(), 'nothing', 'a sync that ends before the transaction does');
$car->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true);
	CREATE TABLE gone (contact_id int PRIMARY KEY, company_id int); SELECT hs_assoc_enable_sync('gone', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)});
as_replica('BEGIN; INSERT INTO gone VALUES (1, 1); DROP TABLE gone; COMMIT');
is(brought(), 'nothing', 'a table that is dropped before');
$car->query('ALTER TABLE links ENABLE ALWAYS TRIGGER hs_assoc_sync_replicated; INSERT INTO links VALUES (30011, 1)');
is(brought(), '+ 30011 1', 'a trigger of rows that always fires counts nothing twice');
$car->query('ALTER TABLE links ENABLE REPLICA TRIGGER hs_assoc_sync_replicated');

# A key that is stored elsewhere, and gone before it is looked at
$car->query(q{CREATE TABLE keys (email text PRIMARY KEY, company_id int); ALTER TABLE keys ALTER email SET STORAGE external;
	SELECT hs_assoc_enable_sync('keys', 'contacts:email', 'email', 'companies', 'company_id', replicated => true)});
as_replica(q{INSERT INTO keys SELECT repeat('x', 2500) || '@example.com', 1});
is(length $car->query('SELECT from_id FROM hs_assoc_outbox'), 266, 'a large key, cut');
as_replica(q{BEGIN; TRUNCATE keys; INSERT INTO keys VALUES ('a@example.com', 1); COMMIT});
is($car->query(q{SELECT string_agg(operation || ' ' || length(from_id), ', ' ORDER BY id) FROM hs_assoc_outbox}), 'create_default 266, archive 266, create_default 13', '... and removed by a TRUNCATE');
$car->query('DROP TABLE keys; DELETE FROM hs_assoc_outbox');

#
# From commit to request
#
$car->query('SELECT hs_assoc_resume()');
my @times;
foreach my $i (1 .. 20)
{
	my $start = time;
	$managed->query("INSERT INTO links VALUES (@{[ 40000 + $i ]}, 1)");
	wait_until(sub { $hubspot->stats->{requests} > 0 && $hubspot->association_table('contacts', 'companies') =~ /^@{[ 40000 + $i ]},1,/m }, $soon);
	push @times, time - $start;
}
@times = sort { $a <=> $b } @times;
note(sprintf 'from commit to HubSpot: median %.0f ms, slowest %.0f ms', 1000 * $times[9], 1000 * $times[-1]);
cmp_ok($times[9], '<', patience(3), 'applied rows wake a worker');
$car->query('SELECT hs_assoc_pause()');

#
# Exactly once, whoever is killed
#
$managed->query('TRUNCATE links');
wait_until_applied($managed);
$car->query('DELETE FROM hs_assoc_outbox');
$_->quit foreach $managed, $car;		# what they have run is counted only if they end by themselves
($managed, $car) = (start_session($node, 'managed'), start_session($node));
my $next = 50000;
my $written = 0;
sub write_some
{
	foreach (1 .. 30)
	{
		my $last = $next + 49;
		$managed->query("INSERT INTO links SELECT i, 1 FROM generate_series($next, $last) AS i");
		$next = $last + 1;
	}
	return;
}
sub apply_worker { return $car->query(q{SELECT pid FROM pg_stat_subscription WHERE subname = 's' AND relid IS NULL AND pid IS NOT NULL}) }
foreach my $kill (1 .. 12)
{
	my $pid = wait_until(sub { apply_worker() }, $soon);
	write_some();
	if ($kill % 4 == 0)
	{
		$node->stop('immediate');
		$node->start;
		($managed, $car) = (start_session($node, 'managed'), start_session($node));
	}
	else
	{
		kill 'TERM', $pid;
	}
}
wait_until(sub { apply_worker() }, $soon);
wait_until_applied($managed);
is($car->query('SELECT count(*), count(DISTINCT from_id), min(from_id::int), max(from_id::int) FROM hs_assoc_outbox'),
	join('|', (12 * 30 * 50) x 2, 50000, $next - 1), 'each applied row is enqueued exactly once over kills of the apply worker and of the server');

#
# Recovery as the page tells it, without the old slot
#
sub lose_slot
{
	$car->query('ALTER SUBSCRIPTION s DISABLE');
	wait_until(sub { !apply_worker() }, $soon);
	$car->query('ALTER SUBSCRIPTION s SET (slot_name = NONE)');
	$car->query('DROP SUBSCRIPTION s');
	wait_until(sub { $managed->query(q{SELECT active FROM pg_replication_slots WHERE slot_name = 's'}) eq 'f' }, $soon);
	$managed->query(q{SELECT pg_drop_replication_slot('s'); DROP PUBLICATION p});
	return;
}
sub has_all
{
	my ($name) = @_;
	wait_for_empty_outbox($car, $soon);
	is(join("\n", sort map { /^(\d+,\d+)/ } grep { /^[5-9]\d{4},/ } split /\n/, $hubspot->association_table('contacts', 'companies')),
		$managed->query(q{SELECT contact_id || ',' || company_id FROM links ORDER BY (contact_id || ',' || company_id) COLLATE "C"}), $name);
	return;
}
$car->query('SELECT hs_assoc_resume()');
wait_for_empty_outbox($car, $soon);
$car->query('SELECT hs_assoc_pause()');
lose_slot();
$managed->query(q{DELETE FROM links WHERE contact_id < 50010; INSERT INTO links VALUES (90001, 1)});
$car->query('TRUNCATE links, labels');
subscribe($node, $managed, $car, 'links, labels');
$car->query('SELECT hs_assoc_stat_reset()');
$car->query('SELECT hs_assoc_resume()');
has_all('HubSpot has what the table over there has, gone rows and all');
note('to recover, of ' . ($next - 50000) . ' pairs: ' . $car->query('SELECT inputs FROM hs_assoc_stat()') . ' sent');

$car->query('SELECT hs_assoc_disable_sync($$links$$); CREATE TABLE links_before AS TABLE links');
lose_slot();
$managed->query('DELETE FROM links WHERE contact_id IN (50020, 50021); INSERT INTO links VALUES (90002, 1)');
$car->query('TRUNCATE links, labels');
subscribe($node, $managed, $car, 'links, labels');
is($car->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE link_table = 'links'::regclass}), 0, 'while the sync is off, nothing of its table is enqueued');
$car->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', replicated => true)});
is($car->query(q{SELECT hs_assoc_repair('links', scope => 'SELECT contact_id AS from_id FROM links_before UNION SELECT contact_id FROM links', mode => 'mirror', max_removals => 100)}), 3,
	'a repair enqueues only what differs');
has_all('... and so HubSpot has what the table over there has');
$car->query('DROP TABLE links_before');

# How long it takes to collect and enqueue, for the one who applies
$car->query('SELECT hs_assoc_pause()');
my $cpu = cpu_time($car->pid);
$car->query('SET session_replication_role = replica; INSERT INTO links SELECT i, 2 FROM generate_series(100001, 300000) AS i; RESET session_replication_role');
note(sprintf 'rows a second of CPU, applied as a replica and enqueued: %.0f', 200_000 / (cpu_time($car->pid) - $cpu));
is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 200_000, 'many rows of a statement');
$cpu = cpu_time($car->pid);
$car->query('INSERT INTO links SELECT i, 2 FROM generate_series(300001, 500000) AS i');
note(sprintf 'the same by a writer: %.0f', 200_000 / (cpu_time($car->pid) - $cpu));

# Many rows come in the order of the index of pairs, removals first; few as they are
my $out_of_order = q{SELECT count(*) FILTER (WHERE later < earlier) > 0, count(*) > 0 FROM (
	SELECT hs_assoc_pair(server, from_type, from_id, to_type, to_id) AS later, lag(hs_assoc_pair(server, from_type, from_id, to_type, to_id)) OVER w AS earlier
	FROM hs_assoc_outbox WINDOW w AS (PARTITION BY operation ORDER BY id)) AS o};
$car->query('DELETE FROM hs_assoc_outbox; SET session_replication_role = replica; UPDATE links SET company_id = 3 WHERE contact_id > 400000; RESET session_replication_role');
is($car->query($out_of_order), 'f|t', 'many rows are in the order of their pairs');
is($car->query(q{SELECT count(*) FILTER (WHERE operation = 'archive'), count(*), count(DISTINCT (operation, from_id, to_id)),
	max(id) FILTER (WHERE operation = 'archive') < min(id) FILTER (WHERE operation <> 'archive') FROM hs_assoc_outbox}), '100000|200000|200000|t', '... each of them once, removals first');
$car->query('DELETE FROM hs_assoc_outbox; UPDATE links SET company_id = 4 WHERE contact_id BETWEEN 400001 AND 404000');
is($car->query($out_of_order), 't|t', '... and few are not sorted by them');

$car->query('ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE)');
$car->query('DROP SUBSCRIPTION s');

# Rows of other forms than the table has had before, in one transaction: never taken for one another
$car->query(q{DELETE FROM hs_assoc_outbox;
	CREATE TABLE forms (a bigint NOT NULL, b text NOT NULL, UNIQUE (a, b));
	CREATE TABLE grows (a bigint NOT NULL, b bigint NOT NULL, UNIQUE (a, b));
	SELECT hs_assoc_enable_sync('forms', 'contacts', 'a', 'companies', 'b', replicated => true);
	SELECT hs_assoc_enable_sync('grows', 'contacts', 'a', 'companies', 'b', replicated => true)});
my $again = q{SELECT hs_assoc_enable_sync('forms', 'contacts', 'a', 'companies', 'b', replicated => true)};
my $to_bigint = qq{SELECT hs_assoc_disable_sync('forms'); ALTER TABLE forms ALTER b TYPE bigint USING length(b); $again};
foreach my $case (
	[ 'forms', 'another type', "INSERT INTO forms VALUES (1, '8'); $to_bigint; INSERT INTO forms VALUES (2, 12345678); ALTER TABLE forms ALTER b TYPE text" ],
	[ 'forms', 'another type in a subtransaction, and the first one again',
		"INSERT INTO forms VALUES (1, '7'); SAVEPOINT s; $to_bigint; INSERT INTO forms VALUES (2, 42); ALTER TABLE forms ALTER b TYPE text; RELEASE s" ],
	[ 'grows', 'more columns', 'INSERT INTO grows VALUES (1, 7); ALTER TABLE grows ' . join(', ', map({ "ADD c$_ int" } 1 .. 8), 'ADD label text')
		  . q{; CREATE UNIQUE INDEX ON grows (a, b, label); SELECT hs_assoc_enable_sync('grows', 'contacts', 'a', 'deals', 'b', label_column => 'label', replicated => true);
		INSERT INTO grows VALUES (2, 8, 1, 1, 1, 1, 1, 1, 1, 1, 'x')} ])
{
	my ($table, $name, $sql) = @$case;

	like($car->told("BEGIN; SET LOCAL session_replication_role = replica; $sql; COMMIT"), qr/ERROR:  55000: table "$table" was altered by the transaction/, "$name: refused");
	$car->query('ROLLBACK');
	is($car->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and nothing of it is enqueued');
}

done_testing();
