
# Rows one by one: in the select list, in cursors and in loops a function that
# returns many gives each as it is settled, and can be left at any time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = start_node();
my $hubspot = start_simulator();
my %usual = (rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, %usual);
create_account($node, $hubspot, %usual, name => 'small', batch_size => 100, concurrency => 1);
create_account($node, $hubspot, %usual, name => 'tiny', batch_size => 10, concurrency => 2);
create_account($node, $hubspot, %usual, name => 'hasty', batch_size => 100, concurrency => 2,
	request_timeout => patience(2500) . 'ms');
$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } 900_001 .. 900_100 ] });

my $session = start_session($node);
my $warning = 'a batch has ended before the rows of (\d+) of its inputs were fetched';
my $details = 'HubSpot has confirmed (\d+) of these,(?: and)? (\d+) failed'
  . '(?:, and HubSpot may or may not act on (\d+) that were in flight)?\. Nothing else was sent\.';

# A call on the pairs 1 to $last; and a cursor on its rows.
sub call
{
	my ($last, $server, $more) = @_;
	return "hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT i AS from_id, i AS to_id FROM generate_series(1, $last) i',
		server => '" . ($server // 'small') . "'" . ($more // '') . ')';
}

sub rows { return 'SELECT (made).* FROM (SELECT ' . call(@_) . ' AS made) s' }

sub cursor
{
	my ($name, @call) = @_;
	return "DECLARE $name CURSOR FOR SELECT (r).input_no FROM (SELECT " . call(@call) . ' AS r) s';
}

# Standard output, standard error, its errors, and the numbers in its WARNINGs of
# rows that were not fetched.
sub outcome
{
	my ($sql, $who) = @_;
	$who //= $session;
	$who->send($sql);
	my ($out, $err) = $who->finish;
	my @unseen;
	push @unseen, [ $1, $2, $3, $4 // 0 ] while $err =~ /WARNING:.*?$warning\n(?:psql:.*?: )?DETAIL:  $details/g;
	my @errors = $err =~ /((?:ERROR|FATAL|PANIC):  \w+: .*)/g;
	return { out => $out, unseen => \@unseen, errors => join("\n", @errors), err => $err };
}

# What the calls before have left in a backend.
sub leftovers
{
	my ($who) = @_;
	return ($who // $session)->query(q{
		SELECT coalesce(string_agg(name, ', '), 'none') FROM pg_backend_memory_contexts
		WHERE name LIKE 'hubspot_assoc%' AND name NOT LIKE 'hubspot_assoc account%' AND name NOT LIKE 'hubspot_assoc token%'});
}

# As if nothing had been sent.  What is in flight is broken off by now.
sub fresh
{
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	$hubspot->clear_rules;
	$hubspot->control('DELETE', '/associations');
	$hubspot->clear_log;
	return;
}

sub stored { return $hubspot->association_count('contacts', 'companies') }

# All requests but the first ones are never answered, nor acted upon.
sub hang_after
{
	my ($count) = @_;
	return $hubspot->rules({ match => { path => 'associate', after => $count }, action => { hang => \1 } });
}

# A test: that so many confirmed inputs have no row, as a WARNING says, and those of
# the next request.  That is in flight, or not yet, since the first row doesn't wait
# for it to be full.
sub unseen_is
{
	my ($outcome, $confirmed, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $in_flight = $outcome->{unseen}[0][3] ? 100 : 0;
	return is_deeply($outcome->{unseen}, [ [ $confirmed + $in_flight, $confirmed, 0, $in_flight ] ],
		"$name: what has no row is said") || diag($outcome->{err});
}

# A session that is all right: it can call, and has nothing left.
sub works
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	$hubspot->clear_rules;
	is(leftovers() . ', '
		  . $session->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 5, 'companies', 6)}),
		'none, t', "$name: nothing is left, and the next call works");
	return;
}

#
# The first rows come while later ones are not yet sent.
#
fresh();
hang_after(1);
$session->query('BEGIN; ' . cursor('c', 100_000));
is(outcome('FETCH 90 FROM c')->{out}, join("\n", 1 .. 90), 'the rows of the first request, and others hang');
cmp_ok($hubspot->log_count, '<=', 2, 'no more are in flight than may be');
is(stored(), 100, 'and only these rows are there');
unseen_is(outcome('CLOSE c'), 10, 'CLOSE');
$session->query('COMMIT');
works('a cursor that is closed');
cmp_ok($hubspot->log_count, '<=', 3, 'nothing else was sent');

fresh();
hang_after(1);
my $limited = outcome(rows(100_000) . ' LIMIT 30');
is(scalar(split /\n/, $limited->{out}), 30, 'a LIMIT');
unseen_is($limited, 70, 'a LIMIT');
works('a LIMIT');
cmp_ok($hubspot->log_count, '<=', 3, 'a LIMIT sends no more');

fresh();
is(scalar(split /\n/, outcome(rows(100_000, 'hubspot') . ' LIMIT 1')->{out}), 1, 'LIMIT 1 of 100,000 rows');
wait_until(sub { $hubspot->stats->{in_flight} == 0 });
cmp_ok($hubspot->log_count, '<=', 6, 'sends no more requests than are in flight, and two more');
cmp_ok(stored(), '<=', 12_000, 'and so many inputs');

fresh();
is($session->query('SELECT count(*), count(ok), count(to_id) FROM (SELECT (' . call(300) . ').*) s'), '300|300|300', '(...).*');
is($hubspot->log_count, 3, 'is one call');

# In FROM, PostgreSQL collects all rows first.
fresh();
my $from = outcome('SELECT input_no FROM ' . call(1000) . ' LIMIT 1');
is_deeply([ $from->{err}, stored() ], [ '', 1000 ], 'LIMIT 1 in FROM sends all');

# A query that takes its time is left for a row that there is.
fresh();
$session->query('CREATE SEQUENCE read');
$session->query(sprintf q{BEGIN; DECLARE c CURSOR FOR SELECT (hs_assoc_batch_create_default('contacts', 'companies',
	$$SELECT nextval('read') AS from_id, pg_sleep(%s)::text || 1 AS to_id FROM generate_series(1, 1000)$$, server => 'tiny')).*},
	patience(0.08));
$session->query('FETCH 1 FROM c');
my $read = $session->query('SELECT last_value FROM read');
cmp_ok($read, '<', 40, 'a row comes before the query has filled the four requests that there is room for');
$session->query('FETCH 20 FROM c');
cmp_ok($session->query('SELECT last_value FROM read'), '>', $read, 'it goes on then');
$session->query('SET client_min_messages = error; ROLLBACK; RESET client_min_messages; DROP SEQUENCE read');

#
# Memory is bounded, and no temporary file is written.
#
{
	my $other = start_session($node);
	my $count = q{DO $$ DECLARE r record; n int := 0; BEGIN
		FOR r IN SELECT (hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT from_id, to_id FROM many LIMIT %d')).*
		LOOP
			n := n + r.ok::int;
		END LOOP;
		PERFORM set_config('my.count', n::text, false);
		END $$};
	$other->query('CREATE TABLE many AS SELECT i AS from_id, i AS to_id FROM generate_series(1, 300000) i');
	$other->query('SET temp_file_limit = 0');
	$other->query(sprintf $count, 20_000);
	my (undef, $peak) = measure($other, sprintf $count, 300_000);
	is($other->query('SHOW my.count'), 300_000, '300,000 rows through a loop');
	takes_at_most($peak, 16 * 1024, 'while they are fetched');
	$other->quit;
}

#
# Cancel, timeout, termination
#
foreach my $way ('cancel', 'statement_timeout', 'terminate')
{
	my $other = start_session($node);
	my $what = "$way of a FETCH";

	fresh();
	hang_after(1);
	$other->query('BEGIN; ' . cursor('c', 1000));
	$other->query('FETCH 90 FROM c');
	$other->query('SET LOCAL statement_timeout = ' . patience(2000)) if $way eq 'statement_timeout';
	$other->send('FETCH 20 FROM c');
	if ($way ne 'statement_timeout')
	{
		wait_until(sub { $node->safe_psql('postgres',
			"SELECT count(*) FROM pg_stat_activity WHERE pid = @{[ $other->pid ]} AND state = 'active'
				AND wait_event_type = 'Extension'") });
		$other->$way;
	}
	my (undef, $err) = $other->finish;
	like($err, $way eq 'terminate' ? qr/57P01|lost/ : qr/57014/, $what);
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	is($hubspot->log_count, 2, "$what: nothing else is sent");
	if ($way eq 'terminate')
	{
		wait_until(sub { slurp_file($node->logfile) =~ /LOG:  $warning\n.*?DETAIL:  $details/ });
		like(slurp_file($node->logfile), qr/LOG:  .*of 100 of its inputs/, "$what: the log says what was in flight");
		next;
	}
	like($err, qr/WARNING:.* of 100 of its inputs.*\n.*confirmed 0 of these, 0 failed, and HubSpot may or may not act on 100 that/,
		"$what: what was in flight is said");
	$other->query('ROLLBACK');
	is(leftovers($other), 'none', "$what: nothing is left");
	$other->quit;
}

# What counts as in flight: not what is only read, and a batch until all of it is
# answered.
{
	my $timeout = 'SET statement_timeout = ' . patience(1500);
	my $create = "SELECT (hs_assoc_batch_create('contacts', 'companies', 'SELECT i AS from_id, i AS to_id, 279 AS type_id
		FROM generate_series(1, 1000) i', keep_labels => true, server => 'small')).input_no";

	fresh();
	$hubspot->rules({ match => { path => 'batch/read' }, action => { hang => \1 } });
	my $reading = outcome("$timeout; $create; RESET statement_timeout");
	like($reading->{errors}, qr/57014/, 'labels that are read have no answer');
	is_deeply($reading->{unseen}, [], 'nothing is in doubt');
	works('labels that are read');

	fresh();
	$hubspot->rules({ match => { path => 'batch/create' }, action => { hang => \1 } });
	my $creating = outcome("$timeout; $create; RESET statement_timeout");
	is_deeply($creating->{unseen}, [ [ 100, 0, 0, 100 ] ], 'what is sent after that is') or diag($creating->{err});
	works('what is sent after labels were read');

	fresh();
	$hubspot->settings({ bad_batch => 'unnamed' });
	hang_after(2);
	my $split = outcome("$timeout; " . rows(1000) =~ s/i AS from_id/CASE i WHEN 90 THEN 900001 ELSE i END AS from_id/r
		  . '; RESET statement_timeout');
	is_deeply($split->{unseen}, [ [ 100, 0, 0, 100 ] ], 'a batch that is answered in part') or diag($split->{err});
	$hubspot->settings({ bad_batch => 'partial' });
	works('a batch that is answered in part');
}

#
# What ends a cursor, or goes on with it
#
fresh();
my $commit = outcome('BEGIN; ' . cursor('c', 1000) . '; FETCH 10 FROM c; COMMIT');
is($commit->{errors}, '', 'COMMIT with a cursor that is open');
is(@{ $commit->{unseen} }, 1, 'it says that rows were not fetched');
works('COMMIT with a cursor that is open');

# PostgreSQL goes through portals in the order of a hash table.
fresh();
my @names = map { "c$_" } 1 .. 12;
my $many = outcome(join('; ', 'BEGIN', (map { cursor($_, 300) . "; FETCH 2 FROM $_" } @names), 'COMMIT'));
is($many->{errors}, '', 'COMMIT with many cursors that are open');
is(@{ $many->{unseen} }, 12, 'each of them says so');
works('COMMIT with many cursors');

fresh();
my $held = outcome(join '; ', 'BEGIN',
	(map { cursor($_, 300) =~ s/CURSOR/CURSOR WITH HOLD/r . "; FETCH 1 FROM $_" } @names), 'COMMIT',
	(map { "FETCH ALL FROM $_; CLOSE $_" } @names));
is($held->{err}, '', 'cursors WITH HOLD');
is(scalar(split /\n/, $held->{out}), 12 * 300, 'they are read to the end at COMMIT');
works('cursors WITH HOLD');

fresh();
my $scroll = outcome('BEGIN; ' . cursor('c', 300) =~ s/CURSOR/SCROLL CURSOR WITH HOLD/r
	  . '; FETCH 5 FROM c; FETCH BACKWARD 2 FROM c; COMMIT; FETCH NEXT FROM c; FETCH ABSOLUTE 300 FROM c; CLOSE c');
is_deeply([ $scroll->{err}, $scroll->{out} ], [ '', join("\n", 1 .. 5, 4, 3, 4, 300) ], 'a SCROLL cursor');
is($hubspot->log_count, 3, 'sends nothing twice');

fresh();
hang_after(1);
my $savepoint = outcome('BEGIN; SAVEPOINT s; ' . cursor('c', 1000) . '; FETCH 90 FROM c; ROLLBACK TO s');
unseen_is($savepoint, 10, 'a savepoint that is rolled back ends the cursor that it has');
like(outcome('FETCH 1 FROM c')->{errors}, qr/34000/, 'which is gone');
$session->query('ROLLBACK');
works('a savepoint that is rolled back');

fresh();
my $outlives = outcome('BEGIN; ' . cursor('c', 250) . q{; SAVEPOINT s; FETCH 2 FROM c; SELECT 1/0; ROLLBACK TO s;
	FETCH 2 FROM c; SAVEPOINT t; FETCH 100 FROM c; RELEASE t; SAVEPOINT u; FETCH 50 FROM c; ROLLBACK TO u;
	FETCH ALL FROM c; COMMIT});
is($outlives->{out}, join("\n", 1 .. 250), 'a cursor from before goes on over savepoints');
is_deeply($outlives->{unseen}, [], 'and nothing of it is unseen');
works('a cursor over savepoints');

fresh();
my $released = outcome('BEGIN; SAVEPOINT s; ' . cursor('c', 250) . '; FETCH 2 FROM c; RELEASE s; FETCH ALL FROM c; COMMIT');
is($released->{out}, join("\n", 1 .. 250), 'a cursor outlives the savepoint that is released');

#
# Loops
#
fresh();
hang_after(1);
my $body = outcome(q{DO $$ DECLARE r record; BEGIN
	FOR r IN } . rows(1000) . q{ LOOP
		IF r.input_no = 10 THEN RAISE division_by_zero; END IF;
	END LOOP;
	EXCEPTION WHEN division_by_zero THEN RAISE WARNING 'caught';
	END $$});
is($body->{errors}, '', 'an ERROR in the body of a loop is caught');
unseen_is($body, 90, 'an ERROR in the body of a loop');
works('an ERROR in the body of a loop');

fresh();
my $each = outcome(q{DO $$ DECLARE r record; caught int := 0; BEGIN
	FOR r IN } . rows(1000) . q{ LOOP
		BEGIN
			PERFORM 1 / (r.input_no % 2);
		EXCEPTION WHEN division_by_zero THEN caught := caught + 1;
		END;
	END LOOP;
	RAISE WARNING 'caught %', caught;
	END $$});
like($each->{err}, qr/caught 500/, 'errors that are caught for each row');
is_deeply([ $each->{unseen}, stored() ], [ [], 1000 ], 'all rows come, and are there');

fresh();
$session->query('CREATE TABLE seen (input_no bigint)');
$session->query(q{CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
	FOR r IN } . rows(500) . q{ LOOP
		INSERT INTO seen VALUES (r.input_no);
		COMMIT;
	END LOOP;
	END $$});
is(outcome('CALL commits()')->{err}, '', 'COMMIT in a loop');
is($session->query('SELECT count(*), count(DISTINCT input_no) FROM seen') . '|' . stored(), '500|500|500',
	'all rows come, once');
works('COMMIT in a loop');

fresh();
hang_after(1);
my $left = outcome(q{DO $$ DECLARE r record; BEGIN FOR r IN } . rows(1000) . q{ LOOP EXIT; END LOOP; END $$});
unseen_is($left, 99, 'a loop that is left');
works('a loop that is left');

# A set that is begun again for another row, before its end.
fresh();
my $rescan = outcome(q{SELECT g, n FROM generate_series(1, 3) g, LATERAL (SELECT (hs_assoc_batch_create_default(
	'contacts', 'companies', format('SELECT %s AS from_id, i AS to_id FROM generate_series(1, 250) i', g),
	server => 'small')).to_id AS n LIMIT 1) s});
is($rescan->{out}, "1|1\n2|1\n3|1", 'a set for each row, each left early');
is(@{ $rescan->{unseen} }, 3, 'each says so');
works('sets that are left early');

is($session->query(q{SELECT count(*), count(DISTINCT (r).from_id) FROM (SELECT hs_assoc_batch_create_default(
	'contacts', 'companies', format('SELECT %s AS from_id, i AS to_id FROM generate_series(1, %s) i', g, g * 60),
	server => 'small') AS r FROM generate_series(1, 5) g) s}), '900|5', 'a set for each row');

# A function in SQL that is in a select list itself is read as far as is wanted.
fresh();
hang_after(1);
$session->query('CREATE FUNCTION links(n int) RETURNS SETOF bigint LANGUAGE sql AS $$
	SELECT (r).input_no FROM (SELECT hs_assoc_batch_create_default(\'contacts\', \'companies\',
		format(\'SELECT i AS from_id, i AS to_id FROM generate_series(1, %s) i\', n), server => \'small\') AS r) s $$');
my $function = outcome('SELECT links(1000) LIMIT 20');
is($function->{out}, join("\n", 1 .. 20), 'a function in SQL');
unseen_is($function, 80, 'a function in SQL');
works('a function in SQL');

# A read has nothing to be told.
$hubspot->generate_associations('contacts', 'companies', { count => 300, per_from => 2 });
is(outcome(q{SELECT (hs_assoc_batch_read('contacts', 'companies',
	'SELECT i AS from_id FROM generate_series(1, 300) i', server => 'small')).from_id LIMIT 1})->{err}, '',
	'a read that is left early');
works('a read that is left early');

#
# Two at once
#
fresh();
is($session->query('SELECT count((a).ok), sum((a).input_no), count((b).ok), sum((b).input_no)
	FROM (SELECT ' . call(350) . ' AS a, ' . call(120, 'tiny') . ' AS b) s'),
	'350|61425|120|7260', 'two in one list');
my $two = outcome('BEGIN; ' . cursor('c', 250) . '; ' . cursor('d', 250)
	  . '; ' . ('FETCH 60 FROM c; FETCH 60 FROM d;' x 5) . ' COMMIT');
is($two->{err}, '', 'two cursors in turn');
is(join(',', sort { $a <=> $b } split /\n/, $two->{out}), join(',', map { ($_, $_) } 1 .. 250), 'all rows of both');
is($session->query('SELECT count(*) FROM (SELECT (hs_assoc_batch_create_default(\'deals\', \'companies\', $$
	SELECT (r).from_id, (r).to_id FROM (SELECT ' . call(300) . ' AS r) s$$, server => \'tiny\')).ok) s WHERE ok'),
	'300', 'one in the query of another');
works('several at once');

#
# Left open for longer than a request may take
#
fresh();
$session->query('BEGIN; ' . cursor('c', 1000, 'hasty'));
$session->query('FETCH 1 FROM c');
sleep patience(3);
is($session->query(q{SELECT ok FROM hs_assoc_create_default('deals', 5, 'companies', 6)}), 't', 'another call in between');
is(scalar(split /\n/, $session->query('FETCH ALL FROM c; COMMIT')), 999, 'a cursor that was left open');
is($hubspot->log_count('associate'), 10, 'nothing was sent twice');
is(stored(), 1000, 'all is there');

# Answers that never come are not waited for longer for that.
fresh();
$hubspot->rules([ { match => { path => 'associate', nth => 2 }, action => { hang => \1 } },
	{ match => { path => 'associate', nth => 3 }, action => { act => \1, reset => 'headers' } } ]);
$session->query('BEGIN; DECLARE c CURSOR FOR ' . rows(500, 'hasty'));
$session->query('FETCH 1 FROM c');
sleep patience(3);
$session->query('CREATE TEMP TABLE result (LIKE hs_assoc_result)');
$session->query('DO $$ DECLARE c refcursor := \'c\'; r hs_assoc_result; BEGIN
	LOOP FETCH c INTO r; EXIT WHEN NOT FOUND; INSERT INTO result SELECT r.*; END LOOP; END $$; COMMIT');
is($session->query('SELECT ok, error_category, count(*) FROM result GROUP BY 1, 2 ORDER BY 1, 2'),
	"f|UNCONFIRMED|200\nt||299", 'what was not answered meanwhile is not confirmed');
is($session->query(q{SELECT count(*) FROM result WHERE error_message LIKE '%request_timeout%'}), 100,
	'the one that hung has its time after all');
works('a cursor that was left open');

# An access token that has expired meanwhile
{
	my %client = (client_id => 'id', client_secret => 's3cr3t', refresh_token => 'r3fr3sh');
	$hubspot->oauth(\%client);
	create_account($node, $hubspot, %usual, name => 'oauth', batch_size => 100, concurrency => 2);
	$node->safe_psql('postgres', 'SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER oauth;
		CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (' . join(', ', map { "$_ '$client{$_}'" } sort keys %client) . ')');
	fresh();
	$session->query('BEGIN; DECLARE c CURSOR FOR SELECT ok FROM (' . rows(1000, 'oauth') . ') s');
	$session->query('FETCH 1 FROM c');
	$hubspot->expire_oauth;
	is($session->query('FETCH ALL FROM c; COMMIT'), join("\n", ('t') x 999), 'a new access token is fetched');
}

#
# Errors
#
foreach my $arguments (
	q{NULL, 'companies', 'SELECT 1 AS from_id, 2 AS to_id'},
	q{'contacts', 'com panies', 'SELECT 1 AS from_id, 2 AS to_id'},
	q{'contacts', 'companies', NULL::text},
	q{'contacts', 'companies', ''},
	q{'contacts', 'companies', 'SELECT 1 AS from_id'},
	q{'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id; SELECT 1'},
	q{'contacts', 'companies', 'SELECT 1/0 AS from_id, 2 AS to_id'},
	q{'contacts', 'companies', 'DELETE FROM seen'},
	q{'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', on_error => 'maybe'},
	q{'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => 'nowhere'})
{
	my $in_from = outcome("SELECT count(*) FROM hs_assoc_batch_create_default($arguments)");
	my $in_list = outcome("BEGIN; DECLARE c CURSOR FOR SELECT (hs_assoc_batch_create_default($arguments)).*;
		FETCH 1 FROM c; ROLLBACK");
	like($in_list->{errors}, qr/./, "an error: $arguments");
	is($in_list->{errors}, $in_from->{errors}, '... the same as in FROM');
}

fresh();
my $raised = outcome(rows(1000, undef, ", on_error => 'raise'") =~ s/i AS from_id/900000 + i AS from_id/r);
like($raised->{errors}, qr/^ERROR:  22023: could not associate contacts 900001 with companies 1/, 'a failure that is raised');
my $midway = outcome(rows(1000) =~ s{i AS to_id}{1 / (500 - i) AS to_id}r);
like($midway->{errors}, qr/^ERROR:  22012/, 'an ERROR of the query, midway');
works('an ERROR of the query');

# Statements that are no plain SELECT
fresh();
$session->query('TRUNCATE seen; CREATE TABLE link (from_id int, to_id int)');
is($session->query(q{SELECT (r).from_id, (r).ok FROM (SELECT hs_assoc_batch_create_default('contacts', 'companies',
	'INSERT INTO link SELECT i, i FROM generate_series(1, 25) i RETURNING from_id, to_id', server => 'tiny') AS r) s
	ORDER BY (r).input_no LIMIT 2}), "1|t\n2|t", 'INSERT ... RETURNING');
is($session->query('SELECT count(*) FROM link') . '|' . stored(), '25|25', 'it has inserted its rows once');
is($session->query(q{SELECT count(*) FROM (SELECT hs_assoc_batch_archive('contacts', 'companies',
	'WITH d AS (DELETE FROM link RETURNING *) SELECT * FROM d', server => 'tiny') AS r) s WHERE (r).ok}),
	25, 'a WITH that deletes');
is($session->query('SELECT count(*) FROM link') . '|' . stored(), '0|0', 'it has deleted its rows');

# ... whose rows are read while others are answered
create_account($node, $hubspot, %usual, name => 'wide', batch_size => 1000, concurrency => 40);
is($session->query(q{SELECT count(*), count(DISTINCT (r).input_no), bool_and((r).from_id = (r).input_no::text), bool_and((r).ok)
	FROM (SELECT hs_assoc_batch_create_default('contacts', 'companies',
		'INSERT INTO link SELECT i, i FROM generate_series(1, 40000) i RETURNING from_id, to_id', server => 'wide') AS r OFFSET 0) s}),
	'40000|40000|t|t', 'many rows of an INSERT ... RETURNING: each once');
is($session->query('SELECT count(*) FROM link') . '|' . stored(), '40000|40000', 'it has inserted its rows once, too');
fresh();

# What was prepared and runs again
$session->query('PREPARE p(int) AS SELECT count(*) FROM (SELECT hs_assoc_batch_create_default(\'contacts\', \'companies\',
	format(\'SELECT i AS from_id, i AS to_id FROM generate_series(1, %s) i\', $1), server => \'tiny\')) s');
is(join(',', map { $session->query("EXECUTE p($_)") } 1 .. 12), join(',', 1 .. 12), 'a prepared statement');

# How far it is
like(outcome("SET hubspot_assoc.progress_interval = '1ms'; BEGIN; " . cursor('c', 1000)
	  . '; FETCH 10 FROM c; SELECT pg_sleep(0.01); FETCH ALL FROM c; COMMIT; RESET hubspot_assoc.progress_interval')->{err},
	qr/NOTICE:.* inputs? read, /, 'its progress is told');

#
# The same rows as in FROM, for all functions
#
fresh();
$hubspot->generate_associations('contacts', 'companies', { count => 40, per_from => 3 });
$hubspot->put_label('contacts', 'companies', 'Payer', inverse_label => 'Paid by');
$session->query(q{CREATE VIEW pair AS
	SELECT i AS no, CASE WHEN i % 13 = 0 THEN (900000 + i)::text WHEN i % 31 = 0 THEN NULL
		WHEN i % 17 = 0 THEN 'no id' ELSE (i % 90 + 1)::text END AS from_id, (i % 7 + 1)::text AS to_id
	FROM generate_series(1, 400) i});
my $array = q{(SELECT array_agg((from_id, to_id, %s)::hs_assoc_input ORDER BY no) FROM pair)};
my $text = q{'SELECT from_id, to_id%s FROM pair ORDER BY no'};
my $untyped = sprintf $array, 'NULL, NULL, NULL';
my $typed = sprintf $array, q{NULL, NULL, CASE WHEN no % 11 = 0 THEN '{None such}' ELSE '{Payer}' END::text[]};
my $labels = sprintf $text, q{, CASE WHEN no % 11 = 0 THEN ''None such'' ELSE ''Payer'' END AS label};
my $ids = q{'SELECT from_id FROM pair ORDER BY no'};
foreach my $case (
	[ 'hs_assoc_batch_create_default', sprintf($text, '') ], [ 'hs_assoc_batch_create_default', $untyped ],
	[ 'hs_assoc_batch_create', $labels ], [ 'hs_assoc_batch_create', $typed ],
	[ 'hs_assoc_batch_create', $labels, ', keep_labels => true' ],
	[ 'hs_assoc_batch_read', $ids ], [ 'hs_assoc_batch_read', '(SELECT array_agg(from_id ORDER BY no) FROM pair)' ],
	[ 'hs_assoc_batch_archive_labels', $labels ], [ 'hs_assoc_batch_archive_labels', $typed ],
	[ 'hs_assoc_batch_archive', sprintf($text, '') ], [ 'hs_assoc_batch_archive', $untyped ])
{
	my ($function, $inputs, $more) = @$case;

	foreach my $server ('hubspot', 'tiny')
	{
		my $call = "$function('contacts', 'companies', $inputs, server => '$server'" . ($more // '') . ')';
		my $columns = $function =~ /read/ ? 'input_no, from_id, to_id, category, type_id, label, error_category, error_message'
		  : 'input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message';

		# the second time, so that both find the same
		$session->query("SELECT count(*) FROM $call");
		my @found = map { $session->query("SELECT $columns FROM $_ ORDER BY input_no, to_id, category, type_id") =~ s/,type_id//r }
		  map { $function =~ /read/ ? $_ : "(SELECT *, 1 AS category, 1 AS type_id FROM $_) r" }
		  $call, "(SELECT (r).* FROM (SELECT $call AS r) t) s";
		my $name = "$function, " . ($inputs =~ /array_agg/ ? 'array' : 'query') . ($more // '') . ", $server";
		cmp_ok(scalar(split /\n/, $found[0]), '>=', 200, "$name: rows");
		like($found[0], qr/INVALID_INPUT/, "$name: refused ones, too");
		same_lines($found[1], $found[0], "$name: the same as in FROM");
	}
}
is($session->query(q{SELECT count(*) FROM (SELECT (hs_assoc_list('contacts', '33', 'companies')).*) s}),
	$session->query(q{SELECT count(*) FROM hs_assoc_list('contacts', '33', 'companies')}), 'hs_assoc_list: the same as in FROM');
works('all functions');

done_testing();
