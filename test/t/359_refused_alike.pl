
# Refusals that name nobody: where all inputs of a statement are refused alike, few
# requests show it, and no more are sent; and where some are not, each of those is done.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $seed = $ENV{SEED} // int rand 1_000_000;
srand $seed;
note("SEED=$seed");

my $node = start_node();
my $hubspot = start_simulator();
my %options = (max_retries => 0, rate_limit => 0);

create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'small', batch_size => 100);
create_account($node, $hubspot, %options, name => 'alone', concurrency => 1);
create_account($node, $hubspot, %options, name => 'one', concurrency => 1, batch_size => 100);
create_account($node, $hubspot, %options, name => 'wide', concurrency => 16, batch_size => 100);
my $session = start_session($node);

$session->query('CREATE TABLE rows (n int PRIMARY KEY, from_id bigint, to_id bigint, type_id int)');

# What was said of rows that were not sent alone
my $alike = qr/ \(HubSpot refused all (\d+) inputs of a request in these words, and each of the (\d+) of them that were sent alone\)$/;

# Of those that were not sent at all, if they have types, and if they don't
my $unsent = qr/^not sent after HubSpot refused all inputs (?:with its types|before it): One or more associations are invalid$/;

sub prepare
{
	my ($missing, %settings) = @_;
	$hubspot->reset;
	$hubspot->objects({ type => 'contacts', missing => [ map { "$_" } @$missing ] }) if @$missing;
	$hubspot->settings(\%settings);
	return;
}

# Sends so many rows; the type of each is what the sub says of its number (default: none).
sub send_rows
{
	my ($count, %how) = @_;
	my $type = $how{type} ? 'type_id' : 'NULL';
	my $operation = $how{type} ? 'hs_assoc_batch_create' : 'hs_assoc_batch_create_default';
	my $columns = $how{type} ? ', type_id' : '';
	my $more = join '', map { ", $_" } $how{more} // ();

	$session->query("TRUNCATE rows; INSERT INTO rows SELECT i, 100000 + i, 500000 + i, "
		  . ($how{type} // 'NULL') . " FROM generate_series(1, $count) AS i");
	return @{
		decode_json(
			$session->query(
				"SELECT coalesce(jsonb_agg(jsonb_build_object('n', input_no, 'ok', ok, 'from', from_id, 'to', to_id,
					'category', error_category, 'message', error_message) ORDER BY input_no), '[]')
				FROM $operation('contacts', 'companies', 'SELECT from_id, to_id$columns FROM rows ORDER BY n',
					server => '@{[ $how{server} // 'hubspot' ]}'$more)"))
	};
}

# The requests for single pairs
sub sent_alone
{
	return grep { $_->{inputs} == 1 } @{ $hubspot->log };
}

# All of so many rows are refused, in no more than so many requests.
sub all_refused
{
	my ($name, $count, $most, %how) = @_;
	my @rows = send_rows($count, %how);
	my $requests = $hubspot->log_count;
	my @told = grep { ($_->{message} // '') =~ $alike } @rows;

	is(scalar(grep { !$_->{ok} && $_->{category} eq 'VALIDATION_ERROR' } @rows), $count, "$name: all rows have failed");
	cmp_ok($requests, '<=', $most, "$name: $requests requests");
	is(scalar(@rows) - @told, scalar(sent_alone()), "$name: those that don't say that they were not sent alone were sent alone");
	is($hubspot->association_count('contacts', 'companies'), 0, "$name: nothing was done");
	return @rows;
}

# Likewise of many batches: their rows are refused, or after a while not sent.
sub some_refused
{
	my ($name, $count, $most, %how) = @_;
	my @rows = send_rows($count, %how);
	my $requests = $hubspot->log_count;
	my @refused = grep { $_->{category} eq 'VALIDATION_ERROR' } @rows;
	my @not_sent = grep { $_->{category} eq 'NOT_SENT' } @rows;

	is(scalar(grep { !$_->{ok} } @rows), $count, "$name: all rows have failed");
	cmp_ok($requests, '<=', $most, "$name: $requests requests");
	is(@refused + @not_sent, $count, "$name: they were refused, or not sent");
	cmp_ok(scalar @refused, '>=', $how{refused}, "$name: so many were refused");
	cmp_ok(scalar @not_sent, '>=', $how{not_sent}, "$name: so many were not sent");
	is(scalar(grep { $_->{message} !~ $unsent } @not_sent), 0, "$name: these say why");
	is(scalar(grep { $_->{message} !~ $alike } @refused), scalar(sent_alone()), "$name: those that don't say that they were not sent alone were sent alone");
	is($hubspot->association_count('contacts', 'companies'), 0, "$name: nothing was done");
	return @rows;
}

# The types are of the other direction, or the records aren't there
foreach my $mode (qw(unnamed canceled-unnamed))
{
	foreach my $count (21, 33, 500, 2000)
	{
		prepare([], bad_batch => $mode);
		my @rows = all_refused("$mode, $count of the wrong type", $count, 40, type => '280');
		like($rows[1]{message}, qr/^One or more associations are invalid/, "$mode, $count: HubSpot's words");
		$rows[1]{message} =~ $alike and is("$1 $2", "$count 32", "$mode, $count: how many were tried") if $count > 100;

		prepare([ map { 100000 + $_ } 1 .. $count ], bad_batch => $mode);
		all_refused("$mode, $count missing", $count, 40);
	}
}
prepare([], bad_batch => 'unnamed');
all_refused('one request at a time', 500, 40, type => '280', server => 'alone');

# The answer has another correlation id each time, also in its message
prepare([]);
$hubspot->rules([ map { { match => { nth => $_ }, action => { status => 400, body => {
	status => 'error', category => 'VALIDATION_ERROR', correlationId => "c0ffee-$_", subCategory => 'associations.X',
	message => "invalid from object type 0-8 (c0ffee-$_)"
} } } } 1 .. 100 ]);
all_refused('an object type', 2000, 40);

# Several batches of one statement
prepare([], bad_batch => 'unnamed');
all_refused('10,000 in five batches', 10_000, 40, type => '280');
foreach my $typed (0, 1)
{
	my %how = $typed ? (type => '280') : ();
	my $missing = $typed ? [] : [ map { 100000 + $_ } 1 .. 20_000 ];
	my $name = $typed ? 'of the wrong type' : 'missing';

	prepare($missing, bad_batch => 'unnamed');
	some_refused("3,000 in thirty batches $name", 3000, 40, %how, server => 'small', refused => 500, not_sent => 2300);
	prepare($missing, bad_batch => 'canceled-unnamed');
	some_refused("1,000 in ten batches $name", 1000, 40, %how, server => 'small', refused => 500, not_sent => 300);
	prepare($missing, bad_batch => 'unnamed');
	some_refused("20,000 in ten batches $name", 20_000, 40, %how, refused => 10_000, not_sent => 6000);
	prepare($missing, bad_batch => 'unnamed');
	some_refused("3,000 $name one after the other", 3000, 40, %how, server => 'one', refused => 200, not_sent => 2500);

	# those that are in flight before anybody knows are refused each
	prepare($missing, bad_batch => 'unnamed');
	some_refused("5,000 $name, sixteen in flight", 5000, 18 + 2 + 16 + 17 + 5, %how, server => 'wide', refused => 1700, not_sent => 2500);
}

# Once a statement it is said
prepare([], bad_batch => 'unnamed');
{
	$session->send("SELECT count(*) FILTER (WHERE error_category = 'NOT_SENT') > 0
		FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id, 280 AS type_id FROM generate_series(1, 3000) AS i', server => 'small')");
	my ($out, $err) = $session->finish;

	is($out, 't', 'a warning: rows were not sent');
	is(() = $err =~ /WARNING/g, 1, 'a warning: once');
	like($err, qr/WARNING:  22023: HubSpot refuses all inputs of one kind; no more of them are sent\nDETAIL:  NOT_SENT: not sent after .*One or more associations are invalid\.\nHINT: .* NOT_SENT\.$/m, 'a warning: its words');
}

# The labels that pairs have are read before; but not of those that are not sent then.
prepare([], bad_batch => 'unnamed');
some_refused('with the labels of the pairs', 3000, 40 + 6 + 5 * 6, type => '280', server => 'small',
	more => 'keep_labels => true', refused => 500, not_sent => 2000);

# The first ones are all bad: some later one shows that it isn't so with all. A batch of
# both is halved, 2 * 100 - 1 requests; and where four are in flight, up to three whole bad
# ones, too, if a good one that was sent after them is answered first.
foreach my $server (qw(one small))
{
	foreach my $bad (450, 600, 700, 900, 1250)
	{
		my $name = "the first $bad are bad, server $server";
		my $halved = ($bad % 100 ? 1 : 0) + ($server eq 'one' ? 0 : 3);

		prepare([ map { 100000 + $_ } 1 .. $bad ], bad_batch => 'unnamed');
		my @rows = send_rows(3000, server => $server);
		my @failed = grep { !$_->{ok} } @rows;
		my @wronged = grep { $_->{n} > $bad } @failed;

		is($hubspot->association_count('contacts', 'companies'), 3000 - @failed, "$name: ok is what is held");
		cmp_ok(scalar @failed, '>=', $bad, "$name: they have failed");
		is(scalar(grep { $_->{category} ne 'NOT_SENT' } @wronged), 0, "$name: no other is said to be refused");
		cmp_ok(scalar @wronged, '<=', $bad, "$name: of the others, so many were not sent: " . @wronged);
		cmp_ok($hubspot->log_count, '<=', 40 + 30 + ($bad < 500 ? 2 * $bad : 199 * $halved), "$name: requests");
	}
}

# Two kinds, in each batch: those that are not sent cost the others nothing.
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(3000, type => 'CASE WHEN i % 2 = 0 THEN 279 ELSE 280 END', server => 'small');
	is_deeply([ grep { $_->{ok} xor $_->{n} % 2 == 0 } @rows ], [], 'thirty batches of two types: those of the right one are done');
	cmp_ok(scalar(grep { $_->{category} // '' eq 'NOT_SENT' } @rows), '>', 1000, 'thirty batches of two types: most of the others are not sent');
	my $requests = $hubspot->log_count;
	cmp_ok($requests, '<=', 30 + 6 + 40, "thirty batches of two types: $requests requests");
}
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(3000, type => '(ARRAY[280, 9999])[1 + i % 2]', server => 'small');
	is(scalar(grep { !$_->{ok} } @rows), 3000, 'thirty batches of two wrong types: all have failed');
	my $requests = $hubspot->log_count;
	cmp_ok($requests, '<=', 2 * 40, "thirty batches of two wrong types: $requests requests");
}

# What is accepted tells the others: several types, interleaved
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(500, type => 'CASE WHEN i % 2 = 0 THEN 279 ELSE 280 END');
	is_deeply([ grep { $_->{ok} xor $_->{n} % 2 == 0 } @rows ], [], 'two types: those of the right one are done');
	cmp_ok($hubspot->log_count, '<=', 40, 'two types: requests');
	is($hubspot->association_count('contacts', 'companies'), 250, 'two types: held');
}
prepare([], bad_batch => 'unnamed');
{
	my @rows = send_rows(500, type => '(ARRAY[279, 280, 1, 281, 9999])[1 + i % 5]');
	is_deeply([ grep { $_->{ok} xor ($_->{n} % 5 == 0 || $_->{n} % 5 == 2) } @rows ], [], 'five types: those that fit are done');
	cmp_ok($hubspot->log_count, '<=', 3 * 40, 'five types: requests');
}

# One good row of 500: found if it was accepted once; else the others' errors say what was tried.
foreach my $good (1, 500)
{
	prepare([ map { 100000 + $_ } grep { $_ != $good } 1 .. 500 ], bad_batch => 'unnamed');
	my @rows = send_rows(500);
	is_deeply([ map { $_->{n} } grep { $_->{ok} } @rows ], [$good], "all but row $good");
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), 0, "all but row $good: each was sent alone");
}
# Which of the others are tried alone is left to chance.
foreach my $good (250, 333)
{
	prepare([ map { 100000 + $_ } grep { $_ != $good } 1 .. 500 ], bad_batch => 'unnamed');
	my @rows = send_rows(500);
	my @done = map { $_->{n} } grep { $_->{ok} } @rows;
	my $tried = @done > 0;
	is_deeply(\@done, [$good], "all but row $good, which was tried") if $tried;
	like($rows[ $good - 1 ]{message}, $alike, "all but row $good, which was not tried: its error says so") if !$tried;
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), $tried ? 0 : 500 - 32, "all but row $good: so do all errors of those that were not, or none");
	cmp_ok($hubspot->log_count, '<=', $tried ? 1200 : 40, "all but row $good: requests");
}

# A batch before it was accepted: then it is a matter of the rows
prepare([ map { 100000 + $_ } 101 .. 200 ], bad_batch => 'unnamed');
{
	my @rows = send_rows(200, server => 'small');
	is(scalar(grep { $_->{ok} } @rows), 100, 'after a batch that was accepted');
	is(scalar(grep { ($_->{message} // '') =~ $alike } @rows), 0, 'after a batch that was accepted: each was sent alone');
}

# Words that differ from row to row
prepare([]);
$hubspot->rules([ map {
	{ match => { id => "" . (100000 + $_) }, action => { status => 400, body => {
		category => 'VALIDATION_ERROR', message => "there is something about $_" } } }
} 1 .. 60 ]);
{
	my @rows = send_rows(60);
	is_deeply([ map { $_->{message} } @rows ], [ map { "there is something about $_" } 1 .. 60 ], 'each has its own words');
}

# What is asked before labels are replaced is refused, for all records
prepare([]);
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 400, body => {
	category => 'VALIDATION_ERROR', message => 'not readable' } } });
{
	my @rows = send_rows(500, type => '279', more => 'keep_labels => true');
	is(scalar(grep { !$_->{ok} && $_->{message} =~ /not readable/ } @rows), 500, 'labels cannot be read: all rows have failed');
	cmp_ok($hubspot->log_count, '<=', 40, 'labels cannot be read: requests');
}

#
# The outbox: those that are not sent wait, longer and longer, and hold up nobody.
#
sub enqueue
{
	my ($operation, $from_type, $query, $server) = @_;
	return $session->query("SELECT hs_assoc_enqueue('$operation', '$from_type', 'companies', '$query', server => '$server')");
}

sub outbox { return $session->query("SELECT count(*), count(*) FILTER (WHERE $_[0]) FROM hs_assoc_outbox") }

foreach my $case ([ 'hubspot', 20_000, 8000 ], [ 'small', 3000, 400 ])
{
	my ($server, $count, $refused) = @$case;
	my $name = "outbox, $count rows";

	prepare([], bad_batch => 'unnamed');
	enqueue('create', 'contacts', "SELECT 100000 + i AS from_id, i AS to_id, 280 AS type_id FROM generate_series(1, $count) AS i", $server);
	enqueue('create', 'contacts', 'SELECT 7 AS from_id, 8 AS to_id, 279 AS type_id', $server);
	$session->query("CALL hs_assoc_flush(server => '$server')");
	my $requests = $hubspot->log_count;
	my $dead = $session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE error_category = 'VALIDATION_ERROR'});

	# one is that of the good row
	cmp_ok($requests, '<=', 41, "$name: $requests requests");
	cmp_ok($dead, '>=', $refused, "$name: $dead dead letters");
	is($hubspot->association_count('contacts', 'companies'), 1, "$name: the good one is done");
	is(outbox(q{attempts = 0 AND error_category = 'NOT_SENT' AND error_message LIKE 'not sent after HubSpot refused all inputs with its types: One or more%'
		AND not_before BETWEEN now() AND now() + interval '15 s'}), ($count - $dead) . '|' . ($count - $dead), "$name: the others wait");

	# Nobody looks at them before they are due.
	$hubspot->clear_log;
	$session->query("CALL hs_assoc_flush(server => '$server')");
	is($hubspot->log_count, 0, "$name: nothing is sent then");

	# They wait for as long as they have.
	foreach my $case ([ '90 s', 60, 100 ], [ '3 days', 3500, 3600 ])
	{
		my ($waited, $least, $most) = @$case;

		$session->query(qq{UPDATE hs_assoc_outbox SET not_before = clock_timestamp(), enqueued_at = clock_timestamp() - interval '$waited'});
		$hubspot->clear_log;
		$session->query("CALL hs_assoc_flush(server => '$server')");
		cmp_ok($hubspot->log_count, '<=', 5, "$name, after $waited: hardly anything is sent");
		my $left = $session->query('SELECT count(*) FROM hs_assoc_outbox');
		is(outbox(qq{not_before BETWEEN now() + interval '$least s' AND now() + interval '$most s'}), "$left|$left", "$name, after $waited: they wait");
	}
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter');
}

# That it is refused no longer is found out by one of them, or by a process that doesn't know.
foreach my $case ([ 'hubspot', 12_000 ], [ 'small', 3000 ])
{
	my ($server, $count) = @$case;
	my $sender = $server eq 'small' ? start_session($node) : $session;
	my $name = "mended, $count rows";

	prepare([ map { 100000 + $_ } 1 .. $count ], bad_batch => 'unnamed');
	enqueue('create_default', 'contacts', "SELECT 100000 + i AS from_id, i AS to_id FROM generate_series(1, $count) AS i", $server);
	$session->query("CALL hs_assoc_flush(server => '$server')");
	my $left = $session->query('SELECT count(*) FROM hs_assoc_outbox');

	cmp_ok($left, '>', $count / 4, "$name: $left wait");
	$hubspot->reset;
	foreach (1, 2)
	{
		$session->query("SELECT hs_assoc_resume('$server')");
		$sender->query("CALL hs_assoc_flush(server => '$server')");
	}
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, "$name: none waits any more");
	is($hubspot->association_count('contacts', 'companies'), $left, "$name: they are done");
	$session->query('TRUNCATE hs_assoc_dead_letter');
	$sender->quit if $sender != $session;
}

# The same of thirty batches: once that is known, no more is asked.
prepare([]);
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 400, body => {
	category => 'VALIDATION_ERROR', message => 'not readable' } } });
{
	my @rows = send_rows(3000, type => '279', more => 'keep_labels => true', server => 'small');
	my $requests = $hubspot->log_count;
	is(scalar(grep { !$_->{ok} && $_->{message} =~ /not readable/ } @rows), 3000, 'labels cannot be read, thirty batches: all rows have failed');
	cmp_ok(scalar(grep { $_->{category} eq 'NOT_SENT' } @rows), '>', 2300, 'labels cannot be read, thirty batches: most are not sent');
	cmp_ok($requests, '<=', 40, "labels cannot be read, thirty batches: $requests requests");
}

# Any sets of bad rows: of the rows with one type, either none was accepted, or each good one.
foreach my $round (1 .. ($ENV{ROUNDS} // 40))
{
	my $count = 1 + int rand 250;
	my $share = (0, 0.02, 0.1, 0.5, 0.7, 0.9, 0.97, 1)[ int rand 8 ];
	my $typed = rand() < 0.4;
	my @bad = grep { rand() < $share } 1 .. $count;
	# all together, or in a few stretches
	@bad = grep { int($_ / 20) % 3 != 1 } 1 .. $count if rand() < 0.25;
	my %bad = map { $_ => 1 } @bad;
	my $server = (qw(hubspot hubspot small alone))[ int rand 4 ];
	my $name = sprintf 'round %d, %d of %d bad%s, %s', $round, scalar @bad, $count, $typed ? ', two types' : '', $server;

	prepare([ map { 100000 + $_ } @bad ], bad_batch => (qw(unnamed canceled-unnamed))[ rand 2 ]);
	my @rows = send_rows($count, server => $server, $typed ? (type => 'CASE WHEN i % 3 = 0 THEN 1 ELSE 279 END') : ());
	my %held = map { $_->{from_id} - 100000 => 1 } @{ $hubspot->associations('contacts', 'companies') };
	my $ok = is_deeply([ map { $_->{n} } @rows ], [ 1 .. $count ], "$name: a row for each");

	$ok &= is_deeply([ grep { ($_->{ok} xor $held{ $_->{n} }) || $_->{ok} && $bad{ $_->{n} } } @rows ], [], "$name: ok is what is held");
	foreach my $third (0, 1)
	{
		my @same = grep { !$typed || ($_->{n} % 3 == 0) == $third } @rows;
		my @wronged = grep { !$_->{ok} && !$bad{ $_->{n} } } @same;
		my @accepted = grep { $_->{ok} } @same;

		# with one batch there is no answer that comes too late
		next if $count > 100 && $server eq 'small' && $share > 0.8;
		$ok &= ok(!@wronged || !@accepted, "$name: each good row is done, where one was accepted");
		$ok &= is(scalar @wronged, 0, "$name: each good row is done") if $share <= 0.7;
		$ok &= is(scalar(grep { $_->{message} !~ $alike } @wronged), 0, "$name: who was not sent alone is told");
	}
	diag("SEED=$seed") unless $ok;
}

$session->quit;
done_testing();
