# Records are named by keys in the outbox and in tables in sync: they are looked up when
# rows are sent; what is not there is waited for; and what is of one pair is known by its
# records, whatever its names.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = start_node();
my $hubspot = start_simulator();
my %usual = (rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
create_account($node, $hubspot, %usual);
my $session = start_session($node);

sub start_over
{
	my ($settings) = @_;
	$hubspot->reset;
	$hubspot->settings($settings) if $settings;
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_doubt');
	$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com" } } } 1 .. 5 ]);
	$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. 5 ]);
	$hubspot->clear_log;
	return;
}

sub enqueue
{
	my ($operation, $pairs, $more) = @_;
	return $session->query("SELECT hs_assoc_enqueue('$operation', 'contacts:email', 'companies:domain', \$\$
		SELECT * FROM (VALUES " . join(', ', map { "('$_->[0]', '$_->[1]')" } @$pairs) . ") AS v (from_id, to_id) \$\$" . ($more // '') . ')');
}

sub flush { return $session->query('CALL hs_assoc_flush()') }
sub due { return $session->query('SELECT hs_assoc_resume()') }

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_type, from_id, to_type, to_id, attempts, error_category), ', ' ORDER BY id), 'empty')
		FROM hs_assoc_outbox});
}

sub dead_letters
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_type, from_id, to_type, to_id, attempts, error_category), ', ' ORDER BY id), 'none')
		FROM hs_assoc_dead_letter});
}

sub operations { return join ' ', map { $_->{operation} } @{ $hubspot->log } }

# Pairs that HubSpot holds, without their types
sub held { return join ' ', map { s/,HUBSPOT.*//r } split /\n/, $hubspot->association_table('contacts', 'companies') }
sub state { return held() . '; ' . outbox() . '; ' . dead_letters() }
sub values_of { my ($name) = @_; return $session->query("SELECT coalesce(string_agg(($name)::text, ',' ORDER BY id), '') FROM hs_assoc_outbox") }

# Found, sent, forgotten
start_over();
is(enqueue('create_default', [ [ ' C1@Example.com', 'd1.example' ], [ 'c2@example.com', 'D2.example ' ] ]), 2, 'rows with keys are enqueued');
is(outbox(), 'create_default contacts:email  C1@Example.com companies:domain d1.example 0, create_default contacts:email c2@example.com companies:domain D2.example  0', 'as they are');
flush();
is(state(), '101,201 102,202; empty; none', 'and sent with the ids of their records');
my ($lookups, $sent) = operations() =~ /^(.*) (\S+)$/;
is(join(' ', sort split ' ', $lookups), 'read_records read_records search_records', 'after a look-up of all of them, in any order');
is($sent, 'batch_create_default', '...');
is($session->query(q{SELECT inputs, confirmed, lookups FROM hs_assoc_stat()}), '2|2|3', 'each is counted once');

# All operations, with keys on one side, too
start_over();
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts:email', 'companies', $$SELECT 'c1@example.com' AS from_id, 201 AS to_id, 279 AS type_id$$);
	SELECT hs_assoc_enqueue('create', 'contacts', 'companies:domain', $$SELECT '102' AS from_id, 'd2.example' AS to_id, 1 AS type_id$$, is_primary => false, keep_labels => true)});
flush();
is(state(), '101,201 102,202; empty; none', 'one side has keys, the other ids');
$session->query(q{SELECT hs_assoc_enqueue('archive_labels', 'contacts:email', 'companies:domain', $$SELECT 'c2@example.com' AS from_id, 'd2.example' AS to_id, 1 AS type_id$$)});
enqueue('archive', [ [ 'c1@example.com', 'd1.example' ] ]);
flush();
is(state(), '; empty; none', 'removals');
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD sent_retention '1h')});
enqueue('create_default', [ [ 'C3@example.com', 'd3.example' ] ]);
flush();
is($session->query('SELECT from_type, from_id, from_property, from_key, to_type, to_id, to_property, to_key FROM hs_assoc_sent'),
	'contacts|103|email|C3@example.com|companies|203|domain|d3.example', 'what was sent shows keys and records');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP sent_retention)});

# Records that are not there
start_over();
enqueue('create_default', [ [ 'c9@example.com', 'd1.example' ], [ 'c1@example.com', 'd9.example' ], [ 'c2@example.com', 'd2.example' ] ]);
flush();
is(state(), '102,202; create_default contacts:email c9@example.com companies:domain d1.example 0 RECORD_NOT_FOUND, '
	. 'create_default contacts:email c1@example.com companies:domain d9.example 0 RECORD_NOT_FOUND; none', 'rows wait for them, uncharged');
is(values_of(q{waited BETWEEN '4 s' AND '6 s' AND not_before > now() AND error_message LIKE 'there is no record of %'}), 'true,true', 'for a while');
is($session->query('SELECT waiting, waiting_for_records, retrying, dead FROM hs_assoc_outbox_stat'), '0|2|0|0', 'they are shown as such');
$session->query(q{UPDATE hs_assoc_outbox SET waited = '100 s', not_before = now()});
due();
flush();
is(values_of(q{waited BETWEEN '109 s' AND '111 s'}), 'true,true', 'the longer they have waited, the longer they wait');
$session->query(q{UPDATE hs_assoc_outbox SET waited = '20 h', not_before = now()});
due();
flush();
is(values_of(q{waited BETWEEN '20:59:59' AND '21:00:01'}), 'true,true', 'but an hour at most');
due(), flush() foreach 1 .. 5;
is(values_of(q{waited BETWEEN '20:59:00' AND '21:02:00' AND not_before + wait_for_records - waited BETWEEN now() + interval '3 h 58 min' AND now() + interval '4 h'}), 'true,true',
	'what hs_assoc_resume cuts short has not been waited');
$session->query(q{UPDATE hs_assoc_outbox SET waited = '5 s', not_before = now() + interval '1 h'});
due();
is(values_of(q{waited > '0' AND waited < '1 s' AND not_before <= clock_timestamp()}), 'true,true', 'a row that has waited stays one');
$session->query(q{UPDATE hs_assoc_outbox SET waited = '23 h 59 min', not_before = now()});
due();
flush();
is(values_of(q{waited BETWEEN '23:59:59' AND '24:00:01' AND not_before < now() + interval '2 min'}), 'true,true', 'and not longer than they may');
$hubspot->put_records(contacts => [ { id => 109, properties => { email => 'c9@example.com' } } ]);
$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
flush();
is(state(), '102,202 109,201; empty; create_default contacts:email c1@example.com companies:domain d9.example 1 RECORD_NOT_FOUND', 'what came is sent; the rest is given up');
$hubspot->put_records(companies => [ { id => 209, properties => { domain => 'd9.example' } } ]);
is($session->query('SELECT hs_assoc_retry()'), 1, 'a dead letter goes back');
is(values_of(q{waited || ' ' || wait_for_records}), '00:00:00 1 day', 'and waits anew');
flush();
is(held(), '101,209 102,202 109,201', 'and is sent');

# How long they wait
start_over();
enqueue('create_default', [ [ 'c9@example.com', 'd1.example' ] ], q{, wait_for_records => '0'});
flush();
is(state(), '; empty; create_default contacts:email c9@example.com companies:domain d1.example 1 RECORD_NOT_FOUND', 'rows need not wait');
$hubspot->put_records(contacts => [ { id => 109, properties => { email => 'c9@example.com' } } ]);
enqueue('create_default', [ [ 'C9@example.com', 'd1.example' ] ]);
flush();
is(state(), '109,201; empty; none', 'a later row that is confirmed makes the dead letter of its keys needless');

# What is ambiguous, or no key
start_over();
$hubspot->put_records(companies => [ map { { id => "21$_", properties => { domain => 'two.example' } } } 1, 2 ]);
enqueue('create_default', [ [ 'c1@example.com', 'two.example' ], [ 'c1@example.com', 'd1.example' ] ]);
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, wait_for_records, waited)
	SELECT 'hubspot', 'postgres', 'create_default', 'contacts:email', e, 'companies:domain', 'd1.example', '1 day', '0' FROM unnest(ARRAY['', E'a\nb']) e});
$session->query(q{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, wait_for_records, waited)
	VALUES ('hubspot', 'postgres', 'create_default', 'contacts:E', 'x', 'companies:domain', 'd1.example', '1 day', '0'),
		('hubspot', 'postgres', 'create_default', 'contacts:email', 'c1@example.com', 'companies:D', 'x', '1 day', '0'),
		('hubspot', 'postgres', 'create_default', 'contacts', '102', 'companies', '202', '1 day', '0')});
flush();
is(held(), '101,201 102,202', 'the others are sent, also one that waits for records without having keys');
is($session->query(q{SELECT from_type, from_id, error_category, error_message, error->'candidates' FROM hs_assoc_dead_letter ORDER BY id}),
	join("\n", q{contacts:email|c1@example.com|RECORD_AMBIGUOUS|2 records of companies have domain "two.example": 211, 212|["211", "212"]},
		q{contacts:email||INVALID_INPUT|from_id "" is not valid: it is empty|},
		qq{contacts:email|a\nb|INVALID_INPUT|from_id "a\nb" is not valid: it has a control character|},
		q{contacts:E|x|INVALID_INPUT|from_type "contacts:E" is not valid: the name of the property has capital letters|},
		q{contacts:email|c1@example.com|INVALID_INPUT|to_type "companies:D" is not valid: the name of the property has capital letters|}), 'each with its reason');

# A property that is not there
start_over();
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts:emial', 'companies', $$SELECT 'c1@example.com' AS from_id, '201' AS to_id$$)});
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', $$SELECT '101' AS from_id, '201' AS to_id$$)});
flush();
is(held(), '101,201', 'it does not keep others from being sent');
is($session->query('SELECT from_id, http_status, error_category, error_message FROM hs_assoc_dead_letter'),
	'c1@example.com|400|NOT_SENT|could not look up contacts by emial: there is no property "emial"; did you mean "email"?', 'and says which one was meant');
is($session->query('SELECT count(*) FROM hs_assoc_backoff'), 0, 'the account is not to blame');

# Removals of what is not there
start_over({ search_lag_ms => 0 });
enqueue('archive', [ [ 'c9@example.com', 'd1.example' ] ]);
flush();
is(state(), '; empty; none', 'where there is no record, there is nothing to remove');
enqueue('archive', [ [ 'c1@example.com', 'd9.example' ] ]);
flush();
is(values_of(q{operation || ' ' || (waited = '30 s' OR waited BETWEEN '29 s' AND '31 s')}), 'archive true', 'unless an index says so, which may be late: it is asked once more');
due();
flush();
is(state(), '; empty; none', 'and then believed');

# A later row of the same keys, while one waits
start_over();
my $waits = 'create_default contacts:email c9@example.com companies:domain d1.example 0 RECORD_NOT_FOUND';
enqueue('create_default', [ [ 'c9@example.com', 'd1.example' ] ]);
flush();
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts:email', 'companies:domain',
	$$SELECT 'C9@example.com' AS from_id, 'd1.example' AS to_id, 1 AS type_id$$)});
enqueue('create_default', [ [ 'c1@example.com', 'd1.example' ] ]);
flush();
is(state(), "101,201; $waits, create contacts:email C9\@example.com companies:domain d1.example 0; none", 'what comes later for the pair waits, too, but nothing else');
enqueue('archive', [ [ 'c9@example.com', 'd1.example' ] ]);
flush();
is(state(), '101,201; empty; none', 'unless it makes them needless');

# Two names of one record: the order is that of the rows
start_over();
$hubspot->put_records(contacts => [ { id => 106, properties => { email => 'six@example.com', hs_additional_emails => 'sixth@example.com;6@example.com' } } ]);
foreach my $name ('six@example.com', '6@example.com', 106)
{
	foreach my $other ('sixth@example.com', 'SIX@example.com', 106)
	{
		my @types = map { /@/ ? 'contacts:email' : '0-1' } $name, $other;
		$session->query(qq{BEGIN;
			SELECT hs_assoc_enqueue('create_default', '$types[0]', 'companies:domain', \$\$SELECT '$name' AS from_id, 'd1.example' AS to_id\$\$);
			SELECT hs_assoc_enqueue('archive', '$types[1]', 'companies', \$\$SELECT '$other' AS from_id, 201 AS to_id\$\$);
			COMMIT});
		flush();
		is(state(), '; empty; none', "$name, then $other goes");
		$session->query(qq{BEGIN;
			SELECT hs_assoc_enqueue('archive', '$types[1]', 'companies', \$\$SELECT '$other' AS from_id, 201 AS to_id\$\$);
			SELECT hs_assoc_enqueue('create_default', '$types[0]', 'companies:domain', \$\$SELECT '$name' AS from_id, 'd1.example' AS to_id\$\$);
			COMMIT});
		$hubspot->clear_log;
		flush();
		is(state(), '106,201; empty; none', "$other goes, then $name comes");
		unlike(operations(), qr/archive/, 'without a removal');
	}
}

# An index that learns late of another name
foreach my $retention ('0s', '1h')
{
	start_over();
	$session->query("ALTER SERVER hubspot OPTIONS (ADD sent_retention '$retention')");
	$hubspot->property({ type => 'contacts', name => 'ref' });
	$hubspot->put_records(contacts => [ { id => 106, properties => { ref => 'old' } } ]);
	$hubspot->settings({ search_lag_ms => 60_000 });
	$hubspot->put_records(contacts => [ { id => 106, properties => { ref => 'new' } } ]);
	$session->query(q{BEGIN;
		SELECT hs_assoc_enqueue('archive', 'contacts:ref', 'companies', $$SELECT 'new' AS from_id, 201 AS to_id$$);
		SELECT hs_assoc_enqueue('create_default', 'contacts:ref', 'companies', $$SELECT 'old' AS from_id, 201 AS to_id$$);
		COMMIT});
	flush();
	is(state(), '106,201; archive contacts:ref new companies 201 0 RECORD_NOT_FOUND; none', 'a removal waits, what comes after it does not');
	$hubspot->settings({ search_lag_ms => 0 });
	$hubspot->put_records(contacts => [ { id => 106, properties => { ref => 'new' } } ]);
	due();
	flush();
	is(state(), '106,201; empty; none', 'and takes nothing away once its record is known');
	$session->query('ALTER SERVER hubspot OPTIONS (DROP sent_retention)');
}

# A removal beside one of another transaction: that one alone waits until all keys of its own are
# looked up
start_over();
$session->query(q{SELECT hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 106 + i AS from_id, 201 AS to_id FROM generate_series(0, 1) i')});
$session->query(q{SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 106 AS from_id, 201 AS to_id')});
$session->query(q{BEGIN;
	SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 107 AS from_id, 201 AS to_id');
	SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', $$SELECT 'nobody@example.com' AS from_id, 201 AS to_id$$);
	COMMIT});
$session->query('CALL hs_assoc_flush(2)');
is(held(), '107,201', 'a removal beside one that waits for keys of its transaction');
due();
flush();
is(held(), '', '... which has its turn then');

# Who asks for one row gets no more, also behind one that waits
start_over();
enqueue('create_default', [ [ 'c9@example.com', 'd1.example' ] ]);
flush();
due();
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 100 + i AS from_id, 201 AS to_id FROM generate_series(1, 5) AS i')});
$session->query('CALL hs_assoc_flush(1)');
is($session->query('SELECT count(*) FROM hs_assoc_outbox') >= 5, 1, 'one row at most');
flush();
is(held(), join(' ', map { "10$_,201" } 1 .. 5), 'and then the others');

# The same pair, from its other side
start_over();
$session->query(q{BEGIN;
	SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies:domain', $$SELECT 'c1@example.com' AS from_id, 'd1.example' AS to_id$$);
	SELECT hs_assoc_enqueue('archive', 'companies', 'contacts', $$SELECT 201 AS from_id, 101 AS to_id$$);
	COMMIT});
flush();
is(state(), '; empty; none', 'a later removal from the other side wins');

# More pairs of object types with keys than are told apart
start_over();
my $types = join ', ', map { "('$_')" } qw(contacts companies deals tickets calls emails meetings notes tasks);
$session->query(qq{WITH types (name) AS (VALUES $types)
	INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, wait_for_records, waited)
	SELECT 'hubspot', 'postgres', 'create_default', f.name || ':hs_nothing', 'x', t.name, '1', '0', '0' FROM types AS f, types AS t ORDER BY f.name, t.name DESC});
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', $$SELECT 101 AS from_id, 201 AS to_id$$)});
flush();
is(held(), '101,201', 'a row with ids behind those of 81 pairs of object types');
is($session->query('SELECT count(*) FROM hs_assoc_outbox') . ' ' . $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), '0 81', '... none of which is lost');

done_testing();
