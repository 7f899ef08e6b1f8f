# What is in the outbox is sent: in order, each change of a pair once, in full
# requests, charged to whom it belongs.  Here by hs_assoc_flush; the worker does
# the same.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node(max_prepared_transactions => 5);
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retry_delay => '20ms');
create_account($node, $hubspot, %options);
my $session = start_session($node);
$session->query('SELECT hs_assoc_adopt()');	# what is put into the outbox by hand is its own
my $other;

# Rows of the outbox as a writer's transaction puts them there.
sub enqueue
{
	my ($operation, $pairs, %row) = @_;
	my $server = $row{server} // 'hubspot';
	my $keep = $row{keep_labels} ? 'true' : 'false';
	my $types = $row{types} // 'null AS type_ids, null AS category, null AS labels';
	my $role = $row{role} // 'postgres';
	$session->query(qq{
		INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, keep_labels, type_ids, category, labels)
		SELECT '$server', '$role', '$operation', 'contacts', f, 'companies', t, $keep,
			types.type_ids::int[], types.category, types.labels::text[]
		FROM (SELECT $types) AS types, ($pairs) AS pairs (f, t)});
	return;
}

sub pairs { return join ' UNION ALL ', map { "SELECT '$_->[0]', '$_->[1]'" } @_ }

sub flush { return $session->query('CALL hs_assoc_flush(' . ($_[0] // '') . ')') }

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_id, to_id), ', ' ORDER BY id), 'empty')
		FROM hs_assoc_outbox});
}

sub dead_letters
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_id, to_id, http_status, error_category), ', ' ORDER BY id), 'none')
		FROM hs_assoc_dead_letter});
}

sub held { return $hubspot->association_table('contacts', 'companies') }

# The requests since the last look: operation and pairs, in the order in which
# they came.
sub requests
{
	my @requests;
	foreach my $entry (@{ $hubspot->log })
	{
		my ($tail) = $entry->{path} =~ m{/(batch/.*)$} or next;
		my @pairs;
		foreach my $input (@{ decode_json($entry->{body})->{inputs} })
		{
			push @pairs, map { "$input->{from}{id}-$_->{id}" }
			  ref $input->{to} eq 'ARRAY' ? @{ $input->{to} } : $input->{to} ? $input->{to} : ();
		}
		push @requests, "$tail " . join(' ', @pairs);
	}
	$hubspot->clear_log;
	return \@requests;
}

sub start_over
{
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_lease, hs_assoc_doubt');
	$hubspot->reset;
	return;
}

#
# Each operation
#
flush();
is(outbox(), 'empty', 'nothing to send');
is($hubspot->log_count, 0, 'nothing is sent');

enqueue('create_default', pairs([ 1, 11 ], [ 2, 12 ], [ 3, 13 ]));
enqueue('create', pairs([ 4, 14 ]), types => q{'{1}' AS type_ids, 'HUBSPOT_DEFINED' AS category, null AS labels});
flush();
is(outbox(), 'empty', 'all are sent');
is(held(), "1,11,HUBSPOT_DEFINED=279\n2,12,HUBSPOT_DEFINED=279\n3,13,HUBSPOT_DEFINED=279\n4,14,HUBSPOT_DEFINED=1\n",
	'HubSpot has them');
is_deeply([ sort @{ requests() } ], [ 'batch/associate/default 1-11 2-12 3-13', 'batch/create 4-14' ], 'in two requests');
enqueue('archive', pairs([ 2, 12 ], [ 1, 11 ], [ 2, 99 ]));
enqueue('archive_labels', pairs([ 4, 14 ]), types => q{'{1}' AS type_ids, 'HUBSPOT_DEFINED' AS category, null AS labels});
flush();
is(held(), "3,13,HUBSPOT_DEFINED=279\n", 'removed');
is_deeply([ sort @{ requests() } ], [ 'batch/archive 1-11 2-12 2-99', 'batch/labels/archive 4-14' ], 'grouped by record');
is($session->query('SELECT count(*) FROM hs_assoc_sent'), 0, 'nothing is kept of it');
is($session->query(q{SELECT server, holder IS NULL, in_flight FROM hs_assoc_lease}), 'hubspot|t|0', 'the lease is free');

# Labels, by name; those that a pair has stay
start_over();
$session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', 'Partner', 'partner');
	SELECT hs_assoc_label_create('contacts', 'companies', 'Adviser', 'adviser')});
enqueue('create', pairs([ 1, 11 ], [ 2, 12 ]), keep_labels => 1, types => q{null AS type_ids, null AS category, '{Partner}' AS labels});
flush();
enqueue('create', pairs([ 1, 11 ]), keep_labels => 1, types => q{null AS type_ids, null AS category, '{Adviser}' AS labels});
enqueue('create', pairs([ 2, 12 ]), types => q{null AS type_ids, null AS category, '{Adviser}' AS labels});
enqueue('create', pairs([ 3, 13 ]), types => q{null AS type_ids, null AS category, '{Advisor}' AS labels});
flush();
is($session->query(q{SELECT string_agg(concat(from_id, '=', label), ' ' ORDER BY from_id, label)
	FROM hs_assoc_batch_read('contacts', 'companies', ARRAY['1', '2']) WHERE label IS NOT NULL}),
	'1=Adviser 1=Partner 2=Adviser', 'labels are kept, or not');
like($session->query('SELECT from_id, error_category, error_message FROM hs_assoc_dead_letter'),
	qr/^3\|INVALID_INPUT\|.*"Advisor".*"Adviser"/, 'a label that there is not');

#
# Order, and changes that cancel each other
#
sub sequence
{
	my ($name, $changes, $requests, $after) = @_;
	start_over();
	foreach my $change (@$changes)
	{
		my ($operation, $type, $pair) = @$change;
		enqueue($operation, pairs($pair // [ 1, 11 ]), keep_labels => $operation eq 'create',
			$type ? (types => "'{$type}' AS type_ids, 'HUBSPOT_DEFINED' AS category, null AS labels") : ());
	}
	$hubspot->clear_log;
	flush();
	my @sent = grep { !/read/ } @{ requests() };
	is_deeply([ sort @sent ], [ sort @$requests ], "$name: requests");
	is_deeply([ grep { /\b1-11\b/ } @sent ], [ grep { /\b1-11\b/ } @$requests ], "$name: in order");
	is(held(), $after, "$name: effect");
	is(outbox(), 'empty', "$name: nothing is left");
	is($hubspot->stats->{max_in_flight}, 1, "$name: one after the other")
	  if @$requests > 1 && !grep { $_->[2] } @$changes;
	return;
}

my $default = "1,11,HUBSPOT_DEFINED=279\n";
my $primary = "1,11,HUBSPOT_DEFINED=1\n";
sequence('create and remove', [ ['create_default'], ['archive'] ], ['batch/archive 1-11'], '');
sequence('remove and create', [ ['archive'], ['create_default'] ], ['batch/associate/default 1-11'], $default);
sequence('to and fro', [ map { [ $_ % 2 ? 'create_default' : 'archive' ] } 1 .. 101 ], ['batch/associate/default 1-11'], $default);
sequence('a type, to and fro', [ [ 'create', 1 ], [ 'archive_labels', 1 ], [ 'create', 1 ] ], ['batch/create 1-11'], $primary);
sequence('two types', [ [ 'create', 1 ], [ 'create', 279 ] ], ['batch/create 1-11'], "1,11,HUBSPOT_DEFINED=1 HUBSPOT_DEFINED=279\n");
sequence('a type, and all of them away', [ [ 'create', 1 ], ['archive'] ], ['batch/archive 1-11'], '');
sequence('all away, then a type', [ ['archive'], [ 'create', 1 ] ], [ 'batch/archive 1-11', 'batch/create 1-11' ], $primary);
sequence('a type goes, the pair stays', [ ['create_default'], [ 'create', 1 ], [ 'archive_labels', 1 ] ],
	[ 'batch/associate/default 1-11', 'batch/labels/archive 1-11' ], $default);
sequence('other pairs go along', [ [ 'archive', undef, [ 1, 11 ] ], [ 'create_default', undef, [ 2, 12 ] ],
		[ 'create', 1, [ 1, 11 ] ], [ 'archive', undef, [ 3, 13 ] ] ],
	[ 'batch/archive 1-11 3-13', 'batch/associate/default 2-12', 'batch/create 1-11' ],
	"${primary}2,12,HUBSPOT_DEFINED=279\n");

sequence('a type goes, all go, the pair comes back', [ [ 'archive_labels', 1 ], ['archive'], ['create_default'] ],
	[ 'batch/labels/archive 1-11', 'batch/associate/default 1-11' ], $default);
sequence('a type comes, all go, the pair comes back', [ [ 'create', 1 ], ['archive'], ['create_default'] ],
	['batch/associate/default 1-11'], $default);

# The reverse of a pair is the same association
start_over();
enqueue('create_default', pairs([ 1, 11 ]));
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	VALUES ('hubspot', 'postgres'::regrole, 'archive', 'companies', 11, 'contacts', 1)});
enqueue('archive', pairs([ 2, 12 ]));
flush();
is_deeply([ grep { !/2-12/ } @{ requests() } ], [ 'batch/associate/default 1-11', 'batch/archive 11-1' ], 'reverse: in order');
is(held(), '', 'reverse: effect');

# What isn't committed isn't sent, and rolls back; a prepared transaction is
# sent when it is committed
start_over();
$session->query(q{BEGIN; INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	VALUES ('hubspot', 'postgres'::regrole, 'create_default', 'contacts', 1, 'companies', 11); PREPARE TRANSACTION 'x'});
flush();
is(held(), '', 'prepared: not sent');
$session->query(q{COMMIT PREPARED 'x'});
flush();
is(held(), $default, 'prepared and committed: sent');

# Full requests
start_over();
enqueue('create_default', 'SELECT i, 1000000 + i FROM generate_series(1, 100000) i');
flush();
is_deeply([ map { $_->{inputs} } @{ $hubspot->log } ], [ (2000) x 50 ], '100,000 pairs: 50 full requests');
is($hubspot->association_count('contacts', 'companies'), 100_000, '100,000 pairs: held');
is(outbox(), 'empty', '100,000 pairs: sent');
start_over();
enqueue($_ % 5 ? 'create_default' : 'archive', 'SELECT i, 1000000 + i FROM generate_series(1, 1000) i') foreach 1 .. 201;
flush();
is($hubspot->stats->{inputs}, 1000, '201,000 changes of 1,000 pairs: 1,000 inputs');
is($hubspot->association_count('contacts', 'companies'), 1000, '201,000 changes: the last one counts');

#
# What HubSpot refuses
#
start_over();
$hubspot->objects({ type => 'companies', missing => [ '12', '14' ] });
enqueue('create_default', pairs([ 1, 11 ], [ 2, 12 ], [ 3, 13 ], [ 4, 14 ], [ 5, 15 ]));
enqueue('create_default', "SELECT 'not an id', 16");
flush();
is(dead_letters(), 'create_default 2 12 200 OBJECT_NOT_FOUND, create_default 4 14 200 OBJECT_NOT_FOUND, create_default not an id 16 INVALID_INPUT',
	'refused: dead letters');
is(outbox(), 'empty', 'refused: nothing is left');
is($hubspot->association_count('contacts', 'companies'), 3, 'refused: the neighbours are there');
is($session->query(q{SELECT error_message <> '' AND error ? 'message' AND correlation_id <> '' AND attempts = 1
		AND died_at >= enqueued_at FROM hs_assoc_dead_letter WHERE from_id = '2'}), 't', 'refused: in HubSpot\'s words');
is($session->query('SELECT waiting, retrying, dead, oldest_age IS NULL FROM hs_assoc_outbox_stat'), '0|0|3|t', 'refused: counted');
$hubspot->objects({ type => 'companies', missing => ['14'] });
is($session->query(q{SELECT hs_assoc_retry(ARRAY(SELECT id FROM hs_assoc_dead_letter WHERE http_status = 200))}), 2, 'two again');
is(outbox(), 'create_default 2 12, create_default 4 14', 'again: enqueued');
flush();
is(dead_letters(), 'create_default 4 14 200 OBJECT_NOT_FOUND, create_default not an id 16 INVALID_INPUT', 'again: one is refused again');
is($session->query(q{SELECT hs_assoc_discard(server => 'other') || ' ' || hs_assoc_discard(server => 'hubspot')}), '0 2', 'discarded');
is(dead_letters(), 'none', 'none is left');

# A dead letter keeps its place: what came later counts
start_over();
$hubspot->objects({ type => 'companies', missing => [ '12', '13' ] });
enqueue('create_default', pairs([ 2, 12 ], [ 3, 13 ]));
flush();
$hubspot->objects({ type => 'companies', missing => [] });
enqueue('archive', pairs([ 2, 12 ], [ 3, 13 ]));
is($session->query('SELECT hs_assoc_retry()'), 2, 'retried before a later removal');
flush();
is(held(), '', 'retried before a later removal: removed');
is_deeply([ map { s/ .*//r } @{ requests() } ], [ 'batch/associate/default', 'batch/archive' ], 'retried before a later removal: not sent');
start_over();
$hubspot->objects({ type => 'companies', missing => [ '12', '13' ] });
enqueue('create_default', pairs([ 2, 12 ], [ 3, 13 ]));
flush();
enqueue('archive', pairs([ 2, 12 ]));
enqueue('create', pairs([ 3, 13 ]), keep_labels => 1, types => q{'{1}' AS type_ids, null AS category, null AS labels});
flush();
is(dead_letters(), 'create_default 3 13 200 OBJECT_NOT_FOUND, create 3 13 207 OBJECT_NOT_FOUND', 'a dead letter ends with a later removal');


# ... also if it doesn't make the earlier one needless in itself, and if the dead
# letter is put back while the later one is in flight
foreach my $in_flight (0, 1)
{
	my $name = $in_flight ? 'put back beside a later one' : 'a later one of another kind';
	start_over();
	$session->query(q{ALTER SERVER hubspot OPTIONS (ADD max_attempts '1')});
	$hubspot->rules({ action => { status => 500 } });
	enqueue('archive', pairs([ 1, 11 ]));
	flush();
	is(dead_letters(), 'archive 1 11 500 UNCONFIRMED', "$name: dead");
	$hubspot->clear_rules;
	$session->query(q{ALTER SERVER hubspot OPTIONS (DROP max_attempts); DELETE FROM hs_assoc_backoff; DELETE FROM hs_assoc_doubt});
	enqueue('create', pairs([ 1, 11 ]), keep_labels => 1, types => q{'{1}' AS type_ids, null AS category, null AS labels});
	if ($in_flight)
	{
		$hubspot->rules({ match => { first => 1 }, action => { hold => 1 } });
		$other = start_session($node);
		$other->send('CALL hs_assoc_flush()');
		wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
		is($session->query('SELECT hs_assoc_retry()'), 1, "$name: retried");
		$hubspot->release;
		$other->finish;
		$hubspot->clear_rules;
	}
	flush();
	is($session->query('SELECT hs_assoc_retry()'), 0, "$name: no longer of use");
	flush();
	is(held(), $primary, "$name: the later one counts");
	is(outbox(), 'empty', "$name: nothing is left");
}

# Rows that somebody has locked hold back no others, and nobody spins
start_over();
enqueue('create_default', pairs([ 1, 11 ]));
enqueue('archive', pairs([ 2, 12 ]));
$other = start_session($node);
$other->query(q{BEGIN; SELECT id FROM hs_assoc_outbox WHERE operation = 'create_default' FOR UPDATE});
flush();
is(outbox(), 'create_default 1 11', 'locked: others are sent');
$other->query('ROLLBACK');
flush();
is(outbox(), 'empty', 'locked: sent later');

# What isn't confirmed is sent again, later, and not for ever
start_over();
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD max_attempts '3')});
$hubspot->rules({ match => { pair => [ '2', '12' ] }, action => { results => ['drop_pair:2:12'] } });
enqueue('create_default', pairs([ 1, 11 ], [ 2, 12 ], [ 3, 13 ]));
foreach my $attempt (1, 2)
{
	flush();
	is($session->query(q{SELECT from_id, attempts, error_category, not_before > now() FROM hs_assoc_outbox}),
		"2|$attempt|UNCONFIRMED|t", "unconfirmed, attempt $attempt: waits");
	$hubspot->clear_log;
	$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() + interval '1 h'});
	flush();
	is($hubspot->log_count, 0, "unconfirmed, attempt $attempt: not sent before its time");
	is($session->query('SELECT waiting, retrying, dead FROM hs_assoc_outbox_stat'), '0|1|0', "unconfirmed, attempt $attempt: counted");
	$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
}
flush();
is($session->query(q{SELECT from_id, attempts, error_category FROM hs_assoc_dead_letter}), '2|3|UNCONFIRMED', 'unconfirmed: given up');
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'unconfirmed: the account is well');

# While a row waits for its next attempt, later ones of its pair wait for it or
# take its place; others don't
start_over();
$hubspot->rules({ match => { pair => [ '2', '12' ] }, action => { results => ['drop_pair:2:12'] } });
enqueue('create_default', pairs([ 1, 11 ], [ 2, 12 ]));
flush();
$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() + interval '1 h'});
$hubspot->clear_rules;
enqueue('create', pairs([ 2, 12 ], [ 3, 13 ]), keep_labels => 1, types => q{'{1}' AS type_ids, null AS category, null AS labels});
$hubspot->clear_log;
flush();
is(outbox(), 'create_default 2 12, create 2 12', 'behind a retry: waits');
is_deeply([ grep { !/read/ } @{ requests() } ], ['batch/create 3-13'], 'behind a retry: others go');
enqueue('archive', pairs([ 2, 12 ]));
$session->query('DELETE FROM hs_assoc_doubt');
flush();
is(outbox(), 'empty', 'instead of a retry');
is_deeply(requests(), ['batch/archive 2-12'], 'instead of a retry: sent');

# A row that makes whole requests fail ends up alone
start_over();
$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_attempts '20')});
$hubspot->rules({ match => { id => '66' }, action => { status => 500 } });
enqueue('create_default', 'SELECT i, 1000 + i FROM generate_series(1, 100) i');
my $rounds = 0;
while ($rounds++ < 15 && $session->query('SELECT count(*) FROM hs_assoc_outbox') > 1)
{
	flush();
	$session->query('UPDATE hs_assoc_outbox SET not_before = now(); DELETE FROM hs_assoc_backoff');
}
is(outbox(), 'create_default 66 1066', 'poison: alone at the end');
is($hubspot->association_count('contacts', 'companies'), 99, 'poison: the others are through');
cmp_ok($rounds, '<=', 12, 'poison: by halves');

#
# What refuses the account is charged to no row, and holds back no other account
#
my $second = start_simulator();
create_account($node, $second, %options, name => 'second');
my %failures = (
	'a wrong token' => [ sub { $hubspot->rules({ action => { status => 401 } }) }, sub { $hubspot->clear_rules }, qr/401/ ],
	'the quota of the day' => [ sub { $hubspot->settings({ rate_limit => { max => 0, interval_ms => 1000, policy => 'DAILY' } }) },
		sub { $hubspot->settings({ rate_limit => undef }) }, qr/429/ ],
	'no user mapping' => [ sub { $session->query('DROP USER MAPPING FOR PUBLIC SERVER hubspot') },
		sub { $session->query(q{CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token 'test-token')}) }, qr/user mapping/ ],
	'no such server' => [ sub { $session->query('ALTER SERVER hubspot RENAME TO elsewhere') },
		sub { $session->query('ALTER SERVER elsewhere RENAME TO hubspot') }, qr/server "hubspot" does not exist/ ],
	'not reachable' => [ sub { $session->query(q{ALTER SERVER hubspot OPTIONS (SET base_url 'http://127.0.0.1:1')}) },
		sub { $session->query(qq{ALTER SERVER hubspot OPTIONS (SET base_url '@{[ $hubspot->url ]}')}) }, qr/could not reach/ ],
	'an outage' => [ sub { $hubspot->rules({ action => { status => 503 } }) }, sub { $hubspot->clear_rules }, qr/503/, 1 ],
);
sub now { return $session->query('SELECT now()') }
foreach my $name (sort keys %failures)
{
	my ($break, $mend, $message, $charged) = @{ $failures{$name} };
	start_over();
	$second->reset;
	$break->();
	enqueue('create_default', pairs([ 1, 11 ], [ 2, 12 ]));
	enqueue('create_default', pairs([ 3, 13 ]), server => 'second');
	my $before = now();
	flush();
	is($second->association_count('contacts', 'companies'), 1, "$name: the other account is served");
	is($session->query(q{SELECT string_agg(DISTINCT server || ' ' || attempts, ',') FROM hs_assoc_outbox}),
		'hubspot ' . ($charged // 0), "$name: who is charged");
	is($session->query(qq{SELECT server, role, failures, retry_at BETWEEN '$before'::timestamptz + '3 s' AND now() + '5 s' FROM hs_assoc_backoff}),
		'hubspot|postgres|1|t', "$name: the account waits");
	like($session->query(q{SELECT concat_ws(' ', http_status, error_category, error_message) FROM hs_assoc_backoff}), $message, "$name: why");
	is($session->query(q{SELECT paused, retry_at IS NOT NULL, error_message IS NOT NULL FROM hs_assoc_outbox_stat}), 'f|t|t', "$name: shown");
	my $count = $hubspot->log_count;
	$session->query(q{UPDATE hs_assoc_backoff SET retry_at = now() + interval '1 h'; UPDATE hs_assoc_outbox SET not_before = now() + interval '1 h'});
	flush();
	is($hubspot->log_count, $count, "$name: not before its time");
	$session->query(q{UPDATE hs_assoc_backoff SET retry_at = now(); UPDATE hs_assoc_outbox SET not_before = now()});
	$before = now();
	flush();
	is($session->query(qq{SELECT failures, retry_at BETWEEN '$before'::timestamptz + '8 s' AND now() + '10 s' FROM hs_assoc_backoff}),
		'2|t', "$name: longer each time") unless $charged;
	$session->query('UPDATE hs_assoc_backoff SET failures = 100, retry_at = now(); UPDATE hs_assoc_outbox SET not_before = now(), attempts = 0');
	$before = now();
	flush();
	is($session->query(qq{SELECT retry_at BETWEEN '$before'::timestamptz + '290 s' AND now() + '300 s' FROM hs_assoc_backoff}), 't', "$name: at most 5 min");
	$mend->();
	$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
	is($session->query('SELECT hs_assoc_resume()'), 'f', "$name: mended");
	flush();
	is($hubspot->association_count('contacts', 'companies'), 2, "$name: all is sent in the end");
	is(outbox() . ' ' . $session->query('SELECT count(*) FROM hs_assoc_backoff'), 'empty 0', "$name: nothing is left");
}

# An account that HubSpot has asked to wait: nobody is charged, others go on
start_over();
$second->reset;
$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_retry_delay '1h')});
$hubspot->rules({ match => { first => 1 }, action => { status => 429, headers => { 'Retry-After' => '' . patience(5) } } });
enqueue('create_default', pairs([ 1, 11 ]));
enqueue('create_default', pairs([ 3, 13 ]), server => 'second');
$other = start_session($node);
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $second->association_count('contacts', 'companies') == 1 });
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'rate-limited: no failure');
$other->finish;
is(held(), $default, 'rate-limited: sent after its time');
is($hubspot->log_count, 2, 'rate-limited: once');
cmp_ok($second->log->[0]{time_ms}, '<', $hubspot->log->[1]{time_ms}, 'rate-limited: the other account is served first');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter}), 0, 'rate-limited: nobody is charged');
$session->query(qq{ALTER SERVER hubspot OPTIONS (SET max_retry_delay '$options{max_retry_delay}')});

# A role without the privilege; two roles on one server, each with its own token
start_over();
$session->query(q{CREATE ROLE alice; CREATE ROLE bob;
	GRANT USAGE ON FOREIGN SERVER hubspot TO alice;
	CREATE USER MAPPING FOR alice SERVER hubspot OPTIONS (access_token 'alice-token')});
$hubspot->account({ token => 'alice-token' });
enqueue('create_default', pairs([ 1, 11 ]), role => 'alice');
enqueue('create_default', pairs([ 2, 12 ]), role => 'bob');
flush();
is($hubspot->association_count('contacts', 'companies', token => 'alice-token'), 1, 'roles: with its own token');
is($hubspot->association_count('contacts', 'companies'), 0, 'roles: and not with another');
like($session->query('SELECT role, error_message FROM hs_assoc_backoff'), qr/^bob\|permission denied for foreign server hubspot$/, 'roles: USAGE is checked');
$session->query('REVOKE USAGE ON FOREIGN SERVER hubspot FROM alice');
enqueue('create_default', pairs([ 3, 13 ]), role => 'alice');
flush();
is($session->query(q{SELECT string_agg(role::text, ' ' ORDER BY role::text) FROM hs_assoc_backoff}), 'alice bob', 'roles: at sending');

# a pair of a role that cannot send: later ones of others make its rows needless,
# or wait for it without being looked at all the time
$session->query(q{UPDATE hs_assoc_backoff SET retry_at = now() + interval '3 min'; DELETE FROM hs_assoc_outbox WHERE role = 'alice'::regrole});
enqueue('create_default', pairs([ 4, 14 ]), role => 'bob');
enqueue('create', pairs([ 2, 12 ]), keep_labels => 1, types => q{'{1}' AS type_ids, null AS category, null AS labels});
enqueue('archive', pairs([ 4, 14 ]));
flush();
is(outbox(), 'create_default 2 12, create 2 12', 'roles: the last operation on a pair counts, whoever sends it');
is($session->query(q{SELECT not_before > now() + interval '2 min' FROM hs_assoc_outbox WHERE operation = 'create'}), 't', 'roles: or waits for the other');
$session->query('DELETE FROM hs_assoc_outbox; DELETE FROM hs_assoc_backoff; DROP USER MAPPING FOR alice SERVER hubspot; DROP ROLE alice; DROP ROLE bob');
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	VALUES ('hubspot', 999999, 'create_default', 'contacts', 1, 'companies', 11)});
flush();
is($session->query('SELECT error_message FROM hs_assoc_backoff'), 'role with OID 999999 does not exist', 'roles: dropped');

# A scope that is missing for some object types holds back no others
start_over();
$hubspot->account({ token => 'test-token', scopes => [qw(crm.objects.contacts.read crm.objects.contacts.write crm.objects.companies.read crm.objects.companies.write)] });
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	SELECT 'hubspot', 'postgres'::regrole, 'create_default', 'deals', 100 + i, 'companies', 10 + i FROM generate_series(1, 3) i});
enqueue('create_default', pairs([ 1, 11 ]));
flush();
is($hubspot->association_count('contacts', 'companies'), 1, 'scopes: others are sent');
is($session->query(q{SELECT from_type, count(*), max(attempts), bool_and(not_before > now() + '4 min'), max(http_status) FROM hs_assoc_outbox GROUP BY 1}),
	'deals|3|0|t|403', 'scopes: these wait');
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'scopes: the account does not');
is($session->query('SELECT from_type, waiting, retrying FROM hs_assoc_outbox_stat'), 'deals|0|3', 'scopes: they were tried');
$hubspot->account({ token => 'test-token' });

#
# Leases
#
start_over();
$hubspot->settings({ latency_ms => 60_000 });
$other = start_session($node);
enqueue('create_default', pairs([ 1, 11 ]));
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
enqueue('create_default', pairs([ 2, 12 ]));
enqueue('create_default', pairs([ 3, 13 ]), server => 'second');
$second->reset;
is($session->query(q{SELECT holder, in_flight, operation, from_type, to_type, role FROM hs_assoc_lease WHERE server = 'hubspot'}),
	$other->pid . '|1|create_default|contacts|companies|postgres', 'lease: who sends what');
is($session->query(q{SELECT waiting, in_flight FROM hs_assoc_outbox_stat WHERE server = 'hubspot'}), '2|1', 'lease: in the statistics');
is($session->query('SELECT backend_xmin IS NULL, backend_xid IS NULL FROM pg_stat_activity WHERE pid = ' . $other->pid), 't|t',
	'lease: nothing is held back while sending');
like($session->query('SELECT query FROM pg_stat_activity WHERE pid = ' . $other->pid), qr/create_default of 1 pairs, contacts to companies, server hubspot/,
	'lease: what it does');
flush();
is(outbox(), 'create_default 1 11, create_default 2 12', 'lease: another one leaves the account alone');
is($second->association_count('contacts', 'companies'), 1, 'lease: and serves others');

# It dies, and another one takes over at once
$other->terminate;
$other->finish;
$hubspot->settings({ latency_ms => 0 });
flush();
is(outbox(), 'empty', 'lease: taken over');
is($hubspot->association_count('contacts', 'companies'), 2, 'lease: sent');

# It is canceled, and lives on: the same
$hubspot->settings({ latency_ms => 60_000 });
$other = start_session($node);
enqueue('create_default', pairs([ 4, 14 ]));
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
$other->cancel;
like(($other->finish)[1], qr/57014/, 'lease: canceled');
$hubspot->settings({ latency_ms => 0 });
flush();
is(outbox(), 'empty', 'lease: taken over from one that lives');
$other->query('SELECT 1');

# It is stopped: nobody can know what it will do when it wakes up, so that account
# waits for it, and no other one
start_over();
$second->reset;
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD batch_size '1', ADD concurrency '1')});
$hubspot->rules({ match => { first => 1 }, action => { hold => 1 } });
enqueue('create_default', pairs(map { [ $_, 10 + $_ ] } 1 .. 3));
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
kill 'STOP', $other->pid;
$hubspot->release;
enqueue('archive', pairs([ 2, 12 ]));
enqueue('create_default', pairs([ 4, 14 ]), server => 'second');
flush();
is($session->query(q{SELECT string_agg(server, ' ') FROM hs_assoc_outbox}), 'hubspot hubspot hubspot hubspot', 'lease: stopped, not taken over');
is($second->association_count('contacts', 'companies'), 1, 'lease: stopped, another account is served');
kill 'CONT', $other->pid;
like(($other->finish)[1], qr/\A\S+ NOTICE:  00000: outbox: \d sent, 0 failed, \d still waiting\n/, 'lease: the one that slept ends well');
flush();
is(outbox(), 'empty', 'lease: nothing is left');
is(held(), "1,11,HUBSPOT_DEFINED=279\n3,13,HUBSPOT_DEFINED=279\n", 'lease: in order');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP batch_size, DROP concurrency)});

#
# Pause, resume, retention, arguments
#
start_over();
is($session->query('SELECT hs_assoc_pause()'), 't', 'paused');
enqueue('create_default', pairs([ 1, 11 ]));
flush();
is(outbox(), 'create_default 1 11', 'paused: not sent');
is($session->query('SELECT paused FROM hs_assoc_outbox_stat'), 't', 'paused: shown');
is($session->query('SELECT hs_assoc_resume()'), 't', 'resumed');
flush();
is(outbox(), 'empty', 'resumed: sent');

$session->query(q{ALTER SERVER hubspot OPTIONS (ADD sent_retention '1h')});
enqueue('create_default', pairs([ 2, 12 ]));
flush();
is($session->query(q{SELECT server, operation, from_id, to_id, attempts, sent_at >= enqueued_at FROM hs_assoc_sent}),
	'hubspot|create_default|2|12|0|t', 'retention: kept');
$session->query(q{UPDATE hs_assoc_sent SET keep_until = now() - interval '1 s'});
enqueue('create_default', pairs([ 3, 13 ]));
flush();
is($session->query('SELECT from_id FROM hs_assoc_sent'), 3, 'retention: forgotten');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP sent_retention)});

start_over();
enqueue('create_default', pairs(map { [ $_, 10 + $_ ] } 1 .. 10));
flush(4);
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 6, 'max_rows');
enqueue('create_default', pairs([ 3, 13 ]), server => 'second');
flush(q{server => 'second'});
is($session->query(q{SELECT count(*), max(server) FROM hs_assoc_outbox}), '6|hubspot', 'one server alone');
sub error_of { my (undef, undef, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n$_[0]"); return $err }
foreach my $case (
	[ 'BEGIN; CALL hs_assoc_flush()', 'in a transaction block' ],
	[ 'DO $$BEGIN CALL hs_assoc_flush(); EXCEPTION WHEN division_by_zero THEN NULL; END$$', 'in a block with EXCEPTION' ],
	[ 'CREATE FUNCTION pg_temp.flushes() RETURNS void LANGUAGE plpgsql AS $$BEGIN CALL hs_assoc_flush(); END$$; SELECT pg_temp.flushes()', 'in a function' ])
{
	like(error_of($case->[0]), qr/ERROR:  2D000: hs_assoc_flush cannot run inside a transaction block or a function\n/, $case->[1]);
}
like(error_of('CALL hs_assoc_flush(0)'), qr/ERROR:  22023: invalid value for argument "max_rows": 0/, 'max_rows 0');
like(error_of(q{CALL hs_assoc_flush(server => 'nowhere')}), qr/ERROR:  42704: server "nowhere" does not exist/, 'no such server');
$session->query('CREATE ROLE carol');
like(error_of('SET ROLE carol; CALL hs_assoc_flush()'), qr/42501: permission denied for procedure hs_assoc_flush/, 'privilege');
like(error_of('SET ROLE carol; SELECT hs_assoc_retry()'), qr/42501/, 'privilege of hs_assoc_retry');
$session->query('GRANT EXECUTE ON PROCEDURE hs_assoc_flush TO carol; SET ROLE carol; CALL hs_assoc_flush(); RESET ROLE');
is(outbox(), 'empty', 'granted: flushed');

# Sessions of other isolation levels
$other = start_session($node);
foreach my $level ('repeatable read', 'serializable')
{
	enqueue('create_default', pairs([ 1, 11 ]));
	$other->query("SET default_transaction_isolation = '$level'; SELECT 1");
	$hubspot->clear_rules;
	$hubspot->rules({ match => { first => 1 }, action => { hold => 1 } });
	$other->send('CALL hs_assoc_flush()');
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
	enqueue('create_default', pairs([ 2, 12 ]));
	$hubspot->release;
	like(($other->finish)[1], qr/\A\S+ NOTICE:  00000: outbox: 2 sent, 0 failed, 0 still waiting\n/, "$level: no error");
	is(outbox(), 'empty', "$level: sent, with what came meanwhile");
}

# An operation that there is not, which only the owner can have inserted
start_over();
enqueue('remove', pairs([ 1, 11 ]));
enqueue('create_default', pairs([ 2, 12 ]));
flush();
is(dead_letters(), 'remove 1 11 INVALID_INPUT', 'no such operation');
is(outbox(), 'empty', 'no such operation: others are sent');

# A database in another encoding, with the extension in another schema
start_over();
$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$node->safe_psql('latin', q{CREATE SCHEMA "Our own"; CREATE EXTENSION hubspot_assoc SCHEMA "Our own"});
create_account($node, $hubspot, %options, dbname => 'latin');
$hubspot->control('POST', '/reset');
my $latin = start_session($node, 'latin');
$latin->query(qq{SET search_path = "Our own"; SET client_encoding = 'UTF8'; SELECT hs_assoc_adopt();
	SELECT hs_assoc_label_create('contacts', 'companies', 'Gesch\xc3\xa4ftsf\xc3\xbchrer', 'boss');
	INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, labels)
	VALUES ('hubspot', 'postgres'::regrole, 'create', 'contacts', 1, 'companies', 11, '{Gesch\xc3\xa4ftsf\xc3\xbchrer}'),
		('hubspot', 'postgres'::regrole, 'create', 'contacts', 2, 'companies', 12, '{Gesch\xc3\xa4ftsfrau}')});
$latin->query('CALL hs_assoc_flush()');
is($latin->query(q{SELECT string_agg(from_id || encode(convert_to(label, 'UTF8'), 'hex'), ' ') FROM hs_assoc_list('contacts', 1, 'companies') WHERE label IS NOT NULL}),
	'1' . unpack('H*', "Gesch\xc3\xa4ftsf\xc3\xbchrer"), 'LATIN1: sent');
like($latin->query('SELECT from_id, error_category FROM hs_assoc_dead_letter'), qr/^2\|INVALID_INPUT/, 'LATIN1: refused');

done_testing();
