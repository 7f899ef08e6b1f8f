# Calls within calls, subtransactions, cursors, triggers, procedures: whatever
# surrounds a call, it works, and whatever ends it leaves nothing behind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
create_account($node, $hubspot, name => 'small', rate_limit => 0, batch_size => 2);
create_account($node, $hubspot, name => 'hasty', rate_limit => 0, batch_size => 1,
	concurrency => 2, request_timeout => patience(1000) . 'ms', connect_timeout => patience(1000) . 'ms');

# 900xx does not exist; 888888 never answers
$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } 90001 .. 90100 ] });
$hubspot->rules({ match => { id => '888888' }, action => { hang => \1 } });

my $session = start_session($node);

# What the calls before left in this backend. Our own memory contexts are named
# after us; only the accounts' is there for the session.
sub leftovers
{
	return $session->query(q{
		SELECT coalesce(string_agg(name, ', '), 'none') FROM pg_backend_memory_contexts
		WHERE name LIKE 'hubspot_assoc%' AND name <> 'hubspot_assoc accounts'}) . '; '
	  . $session->query('SELECT count(*) FROM pg_cursors') . ' cursors';
}
my $nothing = 'none; 0 cursors';

sub stored { return $hubspot->association_count(@_, 'companies') }

sub fresh
{
	$hubspot->control('DELETE', '/associations');
	$hubspot->clear_log;
	return;
}

# The statement's output, the error's first line, or both.
sub outcome
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$err =~ s/^psql:.*?: //mg;
	my @lines = grep { /^(ERROR|FATAL|PANIC|WARNING):/ } split /\n/, $err;
	return join "\n", grep { length } $out, @lines;
}

#
# The query of a batch calls our functions.
#
fresh();
is(outcome(q{
		SELECT count(*), count(*) FILTER (WHERE ok), count(DISTINCT input_no)
		FROM hs_assoc_batch_create_default('contacts', 'companies', $$
			SELECT (r).from_id, (r).to_id
			FROM (SELECT hs_assoc_create_default('deals', i, 'companies', i + 1000) AS r
				FROM generate_series(1, 50) i OFFSET 0) s $$, server => 'small')}),
	'50|50|50', 'a query that makes a call for each row');
is(stored('contacts'), 50, 'the outer associations are there');
is(stored('deals'), 50, 'and so are the inner ones');

fresh();
is(outcome(q{
		SELECT count(*), count(*) FILTER (WHERE ok), count(DISTINCT input_no)
		FROM hs_assoc_batch_create_default('contacts', 'companies', $$
			SELECT b.from_id, b.to_id FROM generate_series(1, 10) i,
				hs_assoc_batch_create_default('deals', 'companies',
					format('SELECT %s + j AS from_id, j AS to_id FROM generate_series(1, 20) j', i * 100),
					server => 'small') b
			WHERE b.ok $$, server => 'small')}),
	'200|200|200', 'a batch for each row of a batch');
is(stored('contacts') . '|' . stored('deals'), '200|200', 'both are there');

fresh();
is(outcome(q{
		SELECT count(*), count(*) FILTER (WHERE ok)
		FROM hs_assoc_batch_create_default('contacts', 'companies', $o$
			SELECT from_id, to_id FROM hs_assoc_batch_create_default('deals', 'companies', $i$
				SELECT from_id, to_id FROM hs_assoc_batch_create_default('tickets', 'companies',
					'SELECT i AS from_id, i AS to_id FROM generate_series(1, 30) i',
					server => 'small') $i$, server => 'small') $o$, server => 'small')}),
	'30|30', 'three batches within each other');
is(join('|', map { stored($_) } qw(contacts deals tickets)), '30|30|30', 'all are there');
is(leftovers(), $nothing, 'nothing is left of them');

#
# An inner call fails, and is handled, while requests of the outer one are under way.
#
$session->query(q{
	CREATE FUNCTION try(id int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM hs_assoc_create_default('contacts', id + 90000, 'companies', 1, on_error => 'raise');
		RETURN 1;
	EXCEPTION WHEN invalid_parameter_value THEN
		RETURN id;
	END $$});
fresh();
is(outcome(q{
		SELECT count(*), count(*) FILTER (WHERE ok), sum(to_id::int)
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, try(i) AS to_id FROM generate_series(1, 40) i', server => 'small')}),
	'40|40|820', 'inner failures that are caught do not disturb the outer call');
is(stored('contacts'), 40, 'all of the outer call are there');

# The outer one fails because the inner one does.
fresh();
like(outcome(q{
		SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', $$
			SELECT i AS from_id, (hs_assoc_create_default('contacts',
				CASE i WHEN 30 THEN 90001 ELSE i END, 'companies', 5, on_error => 'raise')).to_id
			FROM generate_series(1, 40) i $$, server => 'small')}),
	qr/^ERROR:  22023: could not associate contacts 90001 with companies 5$/,
	'an inner failure ends the outer call with its error');
is(leftovers(), $nothing, 'nothing is left of it');

#
# Exception handlers and savepoints.
#
fresh();
is(outcome(q{
		DO $$
		DECLARE caught int := 0;
		BEGIN
			FOR i IN 1 .. 20 LOOP
				BEGIN
					PERFORM hs_assoc_create_default('contacts', 90000 + i, 'companies', 1, on_error => 'raise');
				EXCEPTION WHEN invalid_parameter_value THEN
					caught := caught + 1;
				END;
				BEGIN
					PERFORM * FROM hs_assoc_batch_create_default('contacts', 'companies',
						'SELECT 90001 AS from_id, j AS to_id FROM generate_series(1, 9) j',
						on_error => 'raise', server => 'small');
				EXCEPTION WHEN OTHERS THEN
					caught := caught + 1;
				END;
				PERFORM hs_assoc_create_default('contacts', i, 'companies', 1, on_error => 'raise');
			END LOOP;
			RAISE WARNING 'caught %, left %', caught, (SELECT count(*) FROM pg_backend_memory_contexts
				WHERE name LIKE 'hubspot_assoc%' AND name NOT LIKE '% accounts');
		END $$}),
	'WARNING:  01000: caught 40, left 0', 'errors are caught, and calls go on');
is(stored('contacts'), 20, 'what was between them is there');

fresh();
is(outcome(q{
		BEGIN;
		SELECT (hs_assoc_create_default('contacts', 1, 'companies', 1)).ok;
		SAVEPOINT s;
		SELECT hs_assoc_create_default('contacts', 90001, 'companies', 1, on_error => 'raise');
		SELECT 'not reached';
		ROLLBACK TO s;
		SELECT (hs_assoc_create_default('contacts', 2, 'companies', 1)).ok;
		SAVEPOINT t;
		SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT 3 AS from_id, 1 / (3 - j) AS to_id FROM generate_series(1, 9) j', server => 'small');
		ROLLBACK TO t;
		RELEASE t;
		SELECT (hs_assoc_create_default('contacts', 4, 'companies', 1)).ok;
		ROLLBACK}),
	join("\n", 't', 't', 't',
		'ERROR:  22023: could not associate contacts 90001 with companies 1',
		'ERROR:  25P02: current transaction is aborted, commands ignored until end of transaction block',
		'ERROR:  22012: division by zero'),
	'savepoints');
cmp_ok(stored('contacts'), '>=', 3, 'what was sent is sent, rolled back or not');
is(outcome(q{SELECT (hs_assoc_create_default('contacts', 5, 'companies', 1)).ok}),
	't', 'a call after a failed transaction');
is(leftovers(), $nothing, 'nothing is left of it');

# A failure while other requests of the call are in flight ends these.
fresh();
is(outcome(q{
		DO $$ BEGIN
			PERFORM * FROM hs_assoc_batch_create_default('contacts', 'companies',
				'SELECT CASE i WHEN 1 THEN 888888 ELSE 90000 + i END AS from_id, 1 AS to_id
				FROM generate_series(1, 20) i', on_error => 'raise', server => 'small');
		EXCEPTION WHEN invalid_parameter_value THEN
			PERFORM hs_assoc_create_default('contacts', 1, 'companies', 1, on_error => 'raise');
			RAISE WARNING 'caught';
		END $$}),
	'WARNING:  01000: caught', 'a failure beside a request in flight is caught');
ok(wait_until(sub { $hubspot->stats->{in_flight} == 0 }), 'the request in flight has ended');
is(leftovers(), $nothing, 'nothing is left of it');

#
# Cursors
#
fresh();
is(outcome(q{
		BEGIN;
		DECLARE c CURSOR FOR
			SELECT (hs_assoc_create_default('contacts', i, 'companies', 1)).ok FROM generate_series(1, 100) i;
		FETCH 2 FROM c;
		CLOSE c;
		DECLARE d CURSOR WITH HOLD FOR
			SELECT from_id FROM hs_assoc_batch_create_default('deals', 'companies',
				'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 7) i', server => 'small')
			ORDER BY input_no;
		COMMIT;
		FETCH 1 FROM d;
		CLOSE d}),
	"t\nt\n1", 'cursors that are closed early');
is(stored('contacts'), 2, 'no more calls are made than rows were fetched');
is(stored('deals'), 7, 'a batch is sent whole');

fresh();
is(outcome(q{
		CREATE FUNCTION links(n int) RETURNS SETOF text LANGUAGE sql AS $$
			SELECT from_id FROM hs_assoc_batch_create_default('contacts', 'companies',
				format('SELECT i AS from_id, 1 AS to_id FROM generate_series(1, %s) i', n), server => 'small')
			ORDER BY input_no $$;
		BEGIN;
		DECLARE c CURSOR FOR SELECT links(n) FROM generate_series(5, 1000) n;
		FETCH 1 FROM c;
		CLOSE c;
		COMMIT;
		SELECT * FROM links(5) LIMIT 1}),
	"1\n1", 'a function in a cursor that is closed early, and a LIMIT');
is(stored('contacts'), 5, 'the batch of the first row was sent, and no other');
is(leftovers(), $nothing, 'nothing is left of them');

fresh();
is(outcome(q{
		DO $$
		DECLARE r record; c refcursor; n int := 0;
		BEGIN
			FOR r IN SELECT ok FROM hs_assoc_batch_create_default('contacts', 'companies',
				'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 9) i', server => 'small')
			LOOP
				n := n + 1;
				EXIT WHEN n = 3;
			END LOOP;
			OPEN c FOR SELECT (hs_assoc_create_default('deals', i, 'companies', 1)).ok
				FROM generate_series(1, 9) i;
			MOVE 4 FROM c;
			CLOSE c;
		END $$}), '', 'loops that are left, and cursors in plpgsql');
is(stored('contacts') . '|' . stored('deals'), '9|4', 'as far as they came');

# The row that a LIMIT doesn't ask for is not sent.
fresh();
is(outcome(q{SELECT (r).ok FROM (SELECT hs_assoc_create_default('contacts', i, 'companies', 1) AS r
		FROM generate_series(1, 100) i) s LIMIT 3}), "t\nt\nt", 'LIMIT over calls');
is($hubspot->log_count, 3, 'sends no more than it shows');

#
# Transactions that end in between
#
$session->query(q{CREATE TABLE link (id int PRIMARY KEY, done boolean)});
$session->query(q{INSERT INTO link SELECT i, false FROM generate_series(1, 9) i});
fresh();
is(outcome(q{
		DO $$
		DECLARE r record;
		BEGIN
			FOR r IN SELECT from_id, ok FROM hs_assoc_batch_create_default('contacts', 'companies',
				'SELECT id AS from_id, 1 AS to_id FROM link ORDER BY id', server => 'small')
			LOOP
				UPDATE link SET done = r.ok WHERE id = r.from_id::int;
				COMMIT;
				PERFORM hs_assoc_create_default('deals', r.from_id, 'companies', '1');
				IF r.from_id = '5' THEN ROLLBACK; END IF;
			END LOOP;
		END $$;
		SELECT count(*) FROM link WHERE done}), '9', 'COMMIT and ROLLBACK in a loop over results');
is(stored('contacts') . '|' . stored('deals'), '9|9', 'all are there');

#
# Triggers, and what a call sees
#
fresh();
is(outcome(q{
		CREATE TABLE pair (a int, b int, ok boolean);
		CREATE FUNCTION send_row() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			NEW.ok := (hs_assoc_create_default('contacts', NEW.a, 'companies', NEW.b)).ok;
			RETURN NEW;
		END $$;
		CREATE FUNCTION send_statement() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM * FROM hs_assoc_batch_create_default('deals', 'companies',
				'SELECT a AS from_id, b AS to_id FROM pair', server => 'small');
			RETURN NULL;
		END $$;
		CREATE TRIGGER r BEFORE INSERT ON pair FOR EACH ROW EXECUTE FUNCTION send_row();
		CREATE TRIGGER s AFTER INSERT ON pair FOR EACH STATEMENT EXECUTE FUNCTION send_statement();
		INSERT INTO pair SELECT i, i FROM generate_series(1, 15) i;
		SELECT count(*) FROM pair WHERE ok}), '15', 'row and statement triggers');
is(stored('contacts') . '|' . stored('deals'), '15|15', 'a batch sees the rows of the statement that fired it');

fresh();
is(outcome(q{
		DO $$ BEGIN
			INSERT INTO link VALUES (10, false);
			IF (SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
				'SELECT id AS from_id, 1 AS to_id FROM link')) <> 10 THEN
				RAISE 'does not see the row';
			END IF;
		END $$}), '', 'a query sees what its transaction did before');

#
# Plans
#
fresh();
is(outcome(q{
		PREPARE one(int) AS SELECT (hs_assoc_create_default('contacts', $1, 'companies', 1)).ok;
		PREPARE many(text) AS SELECT count(*) FROM hs_assoc_batch_create_default('deals', 'companies', $1);
		SET plan_cache_mode = force_generic_plan;
		EXECUTE one(1); EXECUTE one(2); EXECUTE one(2147483647);
		EXECUTE many('SELECT 1 AS from_id, 2 AS to_id');
		EXECUTE many('SELECT ''x'' AS to_id, 2 AS from_id UNION ALL SELECT ''3'', 4');
		ALTER SERVER hubspot OPTIONS (ADD api_version 'v4');
		EXECUTE one(3);
		ALTER SERVER hubspot OPTIONS (DROP api_version);
		DEALLOCATE ALL; RESET plan_cache_mode}),
	join("\n", 't', 't', 't', '1', '2', 't'), 'prepared statements');
is($hubspot->log_count('^/crm/v4/'), 1, 'which see a changed option');

my $parallel = $node->safe_psql('postgres', q{SELECT name FROM pg_settings
	WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
my $settings = qq{SET $parallel = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
	SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 4;};
fresh();
is(outcome(qq{
		CREATE TABLE many AS SELECT i AS id FROM generate_series(1, 5000) i;
		ANALYZE many;
		BEGIN; $settings
		SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT id AS from_id, 1 AS to_id FROM many');
		SELECT count(*) FILTER (WHERE (hs_assoc_create_default('deals', id, 'companies', 1)).ok)
		FROM many WHERE id <= 100;
		COMMIT}), "5000\n100", 'where parallel plans are wanted');
is(stored('contacts') . '|' . stored('deals'), '5000|100', 'each once');

fresh();
is(outcome(q{
		SELECT i, (hs_assoc_batch_create_default('contacts', 'companies',
			format('SELECT j AS from_id, %s AS to_id FROM generate_series(1, 2) j', i))).ok
		FROM generate_series(1, 3) i}),
	join("\n", map { ("$_|t") x 2 } 1 .. 3), 'a batch in the select list');
is(stored('contacts'), 6, 'once for each row');

#
# Rights: a function that runs as its owner uses its owner's mapping.
#
my $definer = start_simulator();
create_account($node, $definer, name => 'owned');
$node->safe_psql('postgres', q{
	DROP USER MAPPING FOR PUBLIC SERVER owned;
	CREATE ROLE owner_role; CREATE ROLE caller_role;
	GRANT CREATE ON SCHEMA public TO owner_role;
	GRANT USAGE ON FOREIGN SERVER owned TO owner_role;
	SET log_statement = none;
	CREATE USER MAPPING FOR owner_role SERVER owned OPTIONS (access_token 'test-token');
	CREATE TABLE secret_link AS SELECT 1 AS from_id, 2 AS to_id;
	ALTER TABLE secret_link OWNER TO owner_role;
	SET ROLE owner_role;
	CREATE FUNCTION as_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER
		SET search_path = pg_catalog, pg_temp AS $$
		SELECT count(*) FILTER (WHERE ok) FROM public.hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT from_id, to_id FROM public.secret_link', server => 'owned') $$});
is(outcome(q{
		SET ROLE caller_role;
		SELECT as_owner();
		SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 1, server => 'owned');
		SELECT as_owner();
		RESET ROLE}),
	"1\n1\nERROR:  42501: permission denied for foreign server owned", 'SECURITY DEFINER');

#
# A query that fails halfway, again and again
#
{
	my $sql = q{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies',
		'SELECT CASE i WHEN 2 THEN 888888 ELSE i END AS from_id, 1 / (20 - i) AS to_id
		FROM generate_series(1, 30) i', server => 'small');};

	fresh();
	is(outcome($sql), 'ERROR:  22012: division by zero', 'a failing query ends the call with its error');
	ok(wait_until(sub { $hubspot->stats->{in_flight} == 0 }), 'what was in flight has ended');
	is(leftovers(), $nothing, 'nothing is left of it');
	outcome($sql x 20);
	my @before = (descriptors($session->pid), anonymous_memory($session->pid));
	is(outcome($sql x 200), join("\n", ('ERROR:  22012: division by zero') x 200), 'and 200 times more');
	my @after = (descriptors($session->pid), anonymous_memory($session->pid));
	# the server opens files of catalogs when it has to; a leak of each call would be 200
	cmp_ok($after[0], '<=', $before[0] + 10, 'without more descriptors');
	takes_at_most($after[1] - $before[1], 1024, 'nor memory');
	ok(wait_until(sub { $hubspot->stats->{in_flight} == 0 }), 'nothing is in flight');
	is(outcome(q{SELECT (hs_assoc_create_default('contacts', 1, 'companies', 1)).ok}), 't',
		'the session works');
}

#
# A query slower than the time limits, while requests are in flight: the
# answers are in the socket, and their time doesn't count.
#
fresh();
$hubspot->settings({ latency_ms => 50 });
is(outcome(sprintf q{
		SELECT count(*), count(*) FILTER (WHERE ok)
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 9) i,
				pg_sleep(CASE WHEN i IN (3, 6, 8) THEN %s ELSE 0 END)', server => 'hasty')}, patience(1.2)),
	'9|9', 'a query that sleeps longer than request_timeout makes no request fail');
is($hubspot->log_count, 9, 'nor has one to be sent again');

# The same where the answer is half read, or takes most of its time.
$hubspot->rules([
	{ match => { id => '5' }, action => { delay_ms => patience(600) } },
	{ match => { id => '6' }, action => { drip => { bytes => 40, interval_ms => 10 } } }]);
fresh();
is(outcome(sprintf q{
		SELECT count(*), count(*) FILTER (WHERE ok)
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 12) i,
				pg_sleep(CASE WHEN i > 8 THEN %s ELSE 0 END)', server => 'hasty')}, patience(1.1)),
	'12|12', 'nor if the answers come slowly');
is($hubspot->log_count, 12, 'nor has one to be sent again');

# A limit is still a limit.
fresh();
$session->query(q{ALTER SERVER hasty OPTIONS (ADD max_retries '0')});
is(outcome(q{
		SELECT count(*) FILTER (WHERE ok), string_agg(DISTINCT error_category, ',')
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT CASE i WHEN 4 THEN 888888 ELSE i END AS from_id, 1 AS to_id FROM generate_series(1, 4) i,
				pg_sleep(0.1)', server => 'hasty')}),
	'3|UNCONFIRMED', 'an answer that does not come is still missed');

is(leftovers(), $nothing, 'at the end nothing is left');
$session->quit;
done_testing();
