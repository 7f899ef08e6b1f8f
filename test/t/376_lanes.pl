# The lanes of an account go side by side: in as few requests as there can be, no more
# of them in flight than the account may have, and never two operations on one pair.
# What fails in one lane is no other's.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(sum);
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query('SELECT hs_assoc_adopt()');	# what is put into the outbox by hand is its own
my $next = 1;

sub option { my ($name, $value) = @_; $session->query("ALTER SERVER hubspot OPTIONS (ADD $name '$value')"); return }
sub no_option { $session->query("ALTER SERVER hubspot OPTIONS (DROP $_[0])"); return }
sub flush { $session->query('CALL hs_assoc_flush()'); return }
sub waiting { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }

sub start_over
{
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff, hs_assoc_doubt, hs_assoc_lease');
	$hubspot->reset;
	return;
}

# Rows that go in turn into so many lanes, each of another pair; operation: of all of them
sub fill_lanes
{
	my ($rows, $lanes, $operation) = @_;
	$session->query(sprintf q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
		SELECT 'hubspot', current_user::regrole, '%s', '2-' || 100 + i %% %d, i, '2-99', i FROM generate_series(%d, %d) AS i ORDER BY i},
		$operation // 'create_default', $lanes, $next, $next + $rows - 1);
	$next += $rows;
	return;
}

# The inputs of each request, and the most requests that were in flight
sub sizes { return map { $_->{inputs} } grep { $_->{inputs} } @{ $hubspot->log } }
sub most { return $hubspot->stats->{max_in_flight} }

#
# Few rows in each of many lanes
#
foreach my $concurrency (1, 3)
{
	start_over();
	option(concurrency => $concurrency);
	$hubspot->settings({ latency_ms => 300 });
	fill_lanes(40, 8);
	flush();
	is(join(' ', sizes()), join(' ', (5) x 8), "$concurrency in flight: a request for each lane");
	is(most(), $concurrency, "$concurrency in flight: so many at a time");
	is(waiting(), 0, "$concurrency in flight: all are sent");
	no_option('concurrency');
}

# Many in each, which a window of rows that are picked would have few of
start_over();
option(batch_size => 100);
fill_lanes(20_000, 40);
flush();
is(sum(sizes()), 20_000, 'many rows: each is sent once');
cmp_ok(scalar(sizes()), '<=', 250, 'many rows: in requests that are full, most of them');
cmp_ok(most(), '<=', 4, 'many rows: no more in flight than with one lane');
is(waiting(), 0, 'many rows: all are sent');
no_option('batch_size');

# One among them that names its record by a key: what comes after it waits for its look-up
start_over();
option(batch_size => 100);
$hubspot->put_records(contacts => [ { id => '101', properties => { email => 'ann@example.com' } } ]);
fill_lanes(6_000, 40);
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT 'ann@example.com' AS from_id, 201 AS to_id$$)});
fill_lanes(6_000, 40);
flush();
is(waiting() . ' ' . $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), '0 0', 'a key among many rows: all are sent');
is($hubspot->association_table('contacts', 'companies') =~ s/,HUBSPOT.*//sr, '101,201', 'a key among many rows: its record is found');
is(sum(map { $_->{inputs} } grep { $_->{operation} =~ /create/ } @{ $hubspot->log }), 12_001, 'a key among many rows: each is sent once');
no_option('batch_size');

# Records are grouped, 100 in a request
start_over();
fill_lanes(4_000, 4, 'archive');
flush();
is(join(' ', sizes()), join(' ', (100) x 40), 'archived: each request is full');

# ... and likewise where no lane has one among the first rows
start_over();
fill_lanes(6_000, 40, 'archive');
flush();
is(sum(sizes()), 6_000, 'archived, many lanes: each is sent once');
cmp_ok(scalar(sizes()), '<=', 90, 'archived, many lanes: in requests that are full, most of them');

# More lanes than are told apart at a time
foreach my $lanes (70, 1_100)
{
	start_over();
	fill_lanes($lanes, $lanes);
	flush();
	is(join(' ', sizes()), join(' ', (1) x $lanes), "$lanes lanes: a request for each");
	is(waiting(), 0, "$lanes lanes: all are sent");
}

# Among many rows, some that are for no lane, or too large
start_over();
$session->query('ALTER TABLE hs_assoc_outbox DROP CONSTRAINT hs_assoc_outbox_bounds');
fill_lanes(300, 3);
fill_lanes(300, 2, 'befriend');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	SELECT 'hubspot', current_user::regrole, 'create_default', repeat('x', i), '1', '2-99', '2' FROM unnest(ARRAY[1001, 9999]) AS i});
fill_lanes(300, 3);
flush();
is($session->query(q{SELECT count(*), count(*) FILTER (WHERE operation = 'befriend') FROM hs_assoc_dead_letter}), '302|300',
	'what cannot be sent: dead letters');
is(sum(sizes()), 600, 'what cannot be sent: all others are');
is(waiting(), 0, 'what cannot be sent: nothing is left');

# ... or stored in such a way that they are not looked at as they are
start_over();
fill_lanes(3_000, 40, 'archive');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, category)
	SELECT 'hubspot', current_user::regrole, 'archive', '2-100', repeat('1', 999) || i, '2-99', repeat('2', 1000), repeat('X', 1000) FROM generate_series(1, 3) AS i});
is($session->query('SELECT count(*) FROM hs_assoc_outbox WHERE pg_column_size(from_id) < 500 AND length(from_id) = 1000'), 3, 'rows that are compressed');
fill_lanes(3_000, 40, 'archive');
flush();
is(sum(sizes()), 6_000, '... keep no others back');
is($session->query('SELECT count(*), min(error_category) FROM hs_assoc_dead_letter'), '3|INVALID_INPUT', '... and are dead letters');
is(waiting(), 0, '... nothing is left');

# Labels of lanes of the same object types are looked up once
start_over();
$session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', 'Partner', 'partner')});
$hubspot->clear_log;
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, labels, keep_labels)
	SELECT 'hubspot', current_user::regrole, 'create', 'contacts', i, 'companies', i, '{Partner}', i % 2 = 0 FROM generate_series(1, 10) AS i});
flush();
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 10) AS i')
	WHERE label = 'Partner'}), 10, 'labels: all rows have theirs');
is(scalar(grep { $_->{path} =~ m{/labels$} } @{ $hubspot->log }), 1, 'labels: looked up once');

# One lane has most of the rows, and the oldest one is of another
start_over();
fill_lanes(1, 1);
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	SELECT 'hubspot', current_user::regrole, 'create_default', 'contacts', i, 'companies', i FROM generate_series(1, 8000) AS i ORDER BY i});
fill_lanes(1, 1);
flush();
is(join(' ', sort { $a <=> $b } sizes()), '2 2000 2000 2000 2000', 'a large lane, and a small one');

#
# What somebody sees meanwhile
#
start_over();
$hubspot->rules({ match => { first => 3 }, action => { hold => 1 } });
fill_lanes(12, 3);
my $other = start_session($node);
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 3 });
is($session->query('SELECT operation, from_type IS NULL, to_type IS NULL, in_flight FROM hs_assoc_lease'),
	'create_default|t|t|12', 'the lease says what they have in common');
is($session->query(q{SELECT string_agg(from_type || ' ' || in_flight, ', ' ORDER BY from_type) FROM hs_assoc_outbox_stat}),
	'2-100 4, 2-101 4, 2-102 4', 'the statistics say how many of each are in flight');
like($session->query("SELECT query FROM pg_stat_activity WHERE pid = $other->{pid}"), qr/^12 pairs of 3 kinds, server hubspot/,
	'so does the activity');
$hubspot->release;
$other->finish;
is($session->query('SELECT sum(in_flight) FROM hs_assoc_lease'), 0, 'nothing is in flight any more');

#
# What fails in one lane
#
start_over();
$hubspot->rules({ match => { path => '/2-101/' }, action => { status => 503 } });
fill_lanes(12, 4);
flush();
is($session->query(q{SELECT string_agg(DISTINCT from_type || ' ' || attempts, ', ') FROM hs_assoc_outbox}), '2-101 1',
	'one lane fails: its rows are charged, the others are done');
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, '... and the account is not');

start_over();
$hubspot->rules({ match => {}, action => { status => 503 } });
fill_lanes(12, 4);
flush();
is($session->query('SELECT count(*), min(attempts), max(attempts) FROM hs_assoc_outbox'), '12|1|1', 'all fail: all rows are charged');
is($session->query('SELECT failures FROM hs_assoc_backoff'), 1, '... and the account backs off');

start_over();
$hubspot->settings({ latency_ms => 50 });
$hubspot->rules({ match => {}, action => { status => 401 } });
fill_lanes(80, 8);
flush();
is($session->query('SELECT count(*), max(attempts) FROM hs_assoc_outbox'), '80|0', 'the account is refused: no row is charged');
cmp_ok($hubspot->log_count, '<=', 4, '... and no other lane tries');

# An operation that there is not
start_over();
fill_lanes(3, 1);
fill_lanes(3, 1, 'befriend');
fill_lanes(3, 1, 'archive');
flush();
is($session->query(q{SELECT count(*), min(operation) FROM hs_assoc_dead_letter}), '3|befriend', 'no such operation: dead letters');
is(join(' ', sizes()), '3 3', '... and the others are sent');

# A row that is an ERROR to be settled: it alone is charged, in whatever lane it is
foreach my $lane (0, 3)
{
	start_over();
	fill_lanes(400, 4);
	my $bad = $session->query("SELECT id FROM hs_assoc_outbox WHERE from_type = '2-10$lane' ORDER BY id OFFSET 50 LIMIT 1");
	$session->query(qq{SET client_min_messages = error;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
			\$\$ BEGIN IF old.id = $bad THEN RAISE 'refused'; END IF; RETURN old; END \$\$;
		CREATE TRIGGER refuse BEFORE DELETE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION refuse()});
	flush() foreach 1 .. 3;
	is($session->query('SELECT string_agg(id::text, chr(32)), max(attempts) FROM hs_assoc_outbox'), "$bad|1",
		"an ERROR of a row of lane $lane: that row is charged");
	is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, '... and nobody else');
	$session->query('DROP FUNCTION refuse() CASCADE; RESET client_min_messages');
}

#
# Operations on the same pairs, in lanes of both directions and of several names, with
# others between them: at any time there is one on a pair at the most, and the last one
# counts.
#
my @kinds = map { my $kind = $_; map { [ $_, @$kind ] } qw(create_default archive) }
  [ 'contacts', 'companies' ], [ 'companies', 'contacts' ], [ '0-1', 'company' ];
my %delay = (associate => 60, archive => 90);

foreach my $seed (map { 0 + ($ENV{LANES_SEED} // time ^ $$ + $_) } 1 .. 3)
{
	srand $seed;
	start_over();
	$hubspot->rules({ match => { path => "batch/$_" }, action => { delay_ms => $delay{$_} } }) foreach keys %delay;
	my (%last, @rows);
	foreach my $number (1 .. 300)
	{
		my $id = 1 + int rand 100;
		my ($operation, $from, $to) = @{ $kinds[ rand @kinds ] };
		my $reverse = $from eq 'companies';
		push @rows, sprintf "('hubspot', current_user::regrole, '%s', '%s', '%s', '%s', '%s')",
		  $operation, $from, $reverse ? 5000 + $id : $id, $to, $reverse ? $id : 5000 + $id;
		$last{$id} = $operation;
	}
	# while some are being sent, others come
	while (my @some = splice @rows, 0, 60)
	{
		$session->query('INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id) VALUES ' . join ', ', @some);
		$other->finish if @rows < 240;
		$other->send('CALL hs_assoc_flush()');
	}
	$other->finish;
	wait_until(sub { flush(); waiting() == 0 });
	my $held = join ' ', map { (split /,/)[0] } split /\n/, $hubspot->association_table('contacts', 'companies');
	is($held, join(' ', sort { $a <=> $b } grep { $last{$_} eq 'create_default' } keys %last), "seed $seed: the last operation on each pair counts");

	my (%until, $together);
	foreach my $request (sort { $a->{time_ms} <=> $b->{time_ms} } @{ $hubspot->log })
	{
		my ($operation) = $request->{path} =~ m{batch/(\w+)} or next;
		foreach my $input (@{ decode_json($request->{body})->{inputs} })
		{
			foreach my $id (map { $input->{from}{id} > 5000 ? $_->{id} : $input->{from}{id} } ref $input->{to} eq 'ARRAY' ? @{ $input->{to} } : $input->{to})
			{
				$together .= " $id" if ($until{$id} // 0) > $request->{time_ms};
				$until{$id} = $request->{time_ms} + $delay{$operation};
			}
		}
	}
	is($together, undef, "seed $seed: no two operations on a pair are in flight together");
}

$other->quit;
$session->quit;
done_testing();
