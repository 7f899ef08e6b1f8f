# What becomes of rows of the outbox where something rare happens: a row is changed while it
# is in flight, a scope is missing midway, rows that went as one input are in doubt, there is
# no such operation, an id is taken, and not even an ERROR can be charged.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, concurrency => 1);
my ($session, $sender) = map { start_session($node) } 1 .. 2;

sub flush { $sender->query('CALL hs_assoc_flush()'); return }
sub outbox { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }
sub held { return $hubspot->association_count('contacts', 'companies') }

sub enqueue
{
	my ($operation, $query, $more) = @_;
	$session->query(qq{SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies', \$\$$query\$\$@{[ $more // '' ]})});
	return;
}

# Each time with pairs that were not sent before, which the damper would have wait.
sub start_over
{
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_doubt, hs_assoc_backoff, hs_assoc_lease');
	$hubspot->reset;
	return;
}

# What was put off is due.
sub hasten { $session->query('UPDATE hs_assoc_outbox SET not_before = now()'); return }

# A row that somebody changes while it is in flight is another version of it, in another
# place, and yet done.
$hubspot->rules({ match => { first => 1 }, action => { hold => 1 } });
enqueue('create_default', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 3) AS i');
$sender->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
$session->query(q{UPDATE hs_assoc_outbox SET attempts = 1 WHERE from_id = '2'});
$hubspot->release;
my (undef, $err) = $sender->finish;
unlike($err, qr/ERROR|WARNING/, 'a row is changed in flight: no error');
is(outbox(), 0, 'it is done');
is(held() . ' ' . $hubspot->log_count('associate'), '3 1', 'and was sent once');

# A request is refused without a name, and the first of the smaller ones for want of a scope: that
# is no fault of the account's or of a row's. All wait, those as well that are not sent.
start_over();
$hubspot->rules([
	{ match => { path => 'associate', nth => 1 }, action => { status => 400 } },
	{ match => { path => 'associate', nth => 2 }, action => { status => 403 } } ]);
enqueue('create_default', 'SELECT i AS from_id, i AS to_id FROM generate_series(11, 18) AS i');
flush();
is($hubspot->log_count('associate'), 2, 'a scope is missing midway: nothing more is sent');
is($session->query(q{SELECT count(*), min(attempts), max(attempts), min(not_before) > now() + interval '1 minute' FROM hs_assoc_outbox}),
	'8|0|0|t', 'all rows wait, without an attempt more');
is($session->query('SELECT (SELECT count(*) FROM hs_assoc_backoff) + (SELECT count(*) FROM hs_assoc_dead_letter)'), 0,
	'neither the account is charged, nor a row given up');
$hubspot->clear_rules;
hasten();
flush();
is(outbox() . ' ' . held(), '0 8', 'with the scope all are sent');

# Labels of one pair go as one input; if that is not confirmed, the pair is in doubt once, by
# the last of them.
start_over();
$session->query(qq{SELECT hs_assoc_label_create('contacts', 'companies', 'Label $_', 'label_$_')}) foreach 1 .. 3;
enqueue('create', q{SELECT 21 AS from_id, 21 AS to_id, 'Label ' || i AS label FROM generate_series(1, 3) AS i}, ', keep_labels => true');
$hubspot->rules({ match => { path => 'batch/create', nth => 1 }, action => { status => 502 } });
flush();
is($session->query('SELECT count(*), min(attempts), max(attempts) FROM hs_assoc_outbox'), '3|1|1', 'labels of a pair are not confirmed: each has failed');
is($session->query('SELECT count(*), bool_and(id = (SELECT max(id) FROM hs_assoc_outbox)) FROM hs_assoc_doubt'), '1|t',
	'the pair is in doubt once, by the last one');

# A name that is no operation's, in more rows than are looked at first
start_over();
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	SELECT 'hubspot', 'postgres', 'frobnicate', 'contacts', i, 'companies', i FROM generate_series(1001, 2200) AS i});
enqueue('create_default', 'SELECT 31 AS from_id, 31 AS to_id');
flush();
is(outbox(), 0, 'rows of no operation do not stay');
is($session->query('SELECT count(*), min(error_message), max(error_message) FROM hs_assoc_dead_letter'),
	'1200|there is no operation "frobnicate"|there is no operation "frobnicate"', 'they are dead letters that say so');
is(held(), 1, 'and the one behind them is sent');

# A dead letter has the id of a row that HubSpot refuses, and somebody has locked it
start_over();
enqueue('create_default', 'SELECT 41 AS from_id, 41 AS to_id');
$session->query(q{INSERT INTO hs_assoc_dead_letter
	SELECT id, server, role, operation, from_type, '42', to_type, to_id, type_ids, category, labels, keep_labels, link_table, enqueued_at, now(), 1
	FROM hs_assoc_outbox; BEGIN; SELECT FROM hs_assoc_dead_letter FOR UPDATE});
$hubspot->rules({ match => { path => 'associate' }, action => { status => 400 } });
flush();
is($session->query(q{SELECT count(*) FILTER (WHERE not_before > now() + interval '30 s'), count(*) FROM hs_assoc_outbox}), '1|1',
	'an id is taken by a dead letter that is locked: the row waits');
$session->query('COMMIT');
hasten();
flush();
is(outbox() . ' ' . $session->query(q{SELECT string_agg(from_id || (id > 0), ', ' ORDER BY from_id) FROM hs_assoc_dead_letter}), '0 41true, 42false',
	'then it is a dead letter, and the other one has made room');

# An ERROR is one of many rows', and that cannot even be noted: the account rests, in place of
# being tried again at once.
start_over();
$session->query(q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
	CREATE TRIGGER refuse BEFORE DELETE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION refuse();
	CREATE TRIGGER refuse BEFORE UPDATE ON hs_assoc_lease FOR EACH ROW WHEN (NEW.holder IS NULL) EXECUTE FUNCTION refuse()});
enqueue('create_default', 'SELECT i AS from_id, i AS to_id FROM generate_series(3001, 3008) AS i');
$sender->send('CALL hs_assoc_flush()');
(undef, $err) = $sender->finish;
like($err, qr/WARNING:.*could not send the outbox of server "hubspot": not now/, 'an ERROR that cannot be charged is told');
is($hubspot->log_count('associate'), 1, 'the account is not tried again at once');
is(outbox(), 8, 'all rows are there');
$session->query('DROP FUNCTION refuse CASCADE');
flush();
is(outbox() . ' ' . held(), '0 8', 'and done when that is over');

$_->quit foreach $session, $sender;
done_testing();
