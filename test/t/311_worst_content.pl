# Whatever is in the outbox or comes back, a sender's memory has a bound, and rows that
# cannot be sent become dead letters of a reasonable size.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $limit = 64 * 1024;			# in kB, over what a worker has that has sent something
my $mb = 1024 * 1024;

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 1,
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_attempts => 1);
my $session = start_session($node);
# faster, where the server has it
eval { $session->query('SET default_toast_compression = lz4') };
my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'};

my $next = 1_000_000;			# a pair that nobody has seen

# Runs what enqueues, and watches the worker until nothing is left: how much memory that
# took at the most, and how long, in seconds.
sub watch
{
	my ($sql) = @_;
	my $peak = 0;

	# one that is there already, and has done the same
	my $before;
	wait_until(sub {
			$next++;
			$session->query(qq{SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
				'SELECT $next AS from_id, 1 AS to_id, \$\$Primary\$\$ AS label')});
			wait_for_empty_outbox($session);
			my $pid = $session->query($worker);
			$before = $pid ? eval { anonymous_memory($pid) } : undef;
			return $before;
		});
	$session->query('SELECT hs_assoc_pause()');
	$session->query($sql);
	$session->query('TRUNCATE hs_assoc_dead_letter');
	$session->query(q{SET client_min_messages = error; SELECT hs_assoc_resume()});
	my $begun = time;
	while ($session->query('SELECT count(*) FROM hs_assoc_outbox') > 0)
	{
		my $pid = $session->query($worker);
		my $now = $pid ? eval { anonymous_memory($pid) } // 0 : 0;
		$peak = $now if $now > $peak;
		sleep 0.005;
		die 'waited in vain' if time > $begun + patience(180);
	}
	return ($peak - $before, time - $begun);
}

sub dead_letters
{
	return $session->query(q{SELECT count(*) || '|' || coalesce(string_agg(DISTINCT concat_ws(' ', error_category, left(error_message, 70)), ', '), '')
		FROM hs_assoc_dead_letter});
}

#
# A label that takes 270 MB, in a synced table: its writer is not stopped, nor are
# others. (To lower-case it, four times that was asked for, which is more than there is.)
#
$session->query(q{
	CREATE TABLE link (contact_id bigint, company_id bigint, role text, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('link', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role')});
my ($peak, $time) = watch(q{INSERT INTO link VALUES (10, 1, repeat('x', 270000000)), (11, 1, 'Primary')});
takes_at_most($peak, $limit, 'a label of 270 MB');
like(dead_letters(), qr/^1\|INVALID_INPUT there is no label "xxx/, 'a label of 270 MB: a dead letter');
is((grep { $_->{from_id} == 11 } @{ $hubspot->associations('contacts', 'companies') }), 1, 'a label of 270 MB: the other row is sent');

#
# Rows as the outbox has them if somebody has dropped its bounds
#
my $columns = 'server, role, operation, from_type, from_id, to_type, to_id, category, type_ids, labels';
$session->query('ALTER TABLE hs_assoc_outbox DROP CONSTRAINT hs_assoc_outbox_bounds');
($peak) = watch(qq{INSERT INTO hs_assoc_outbox ($columns)
	SELECT 'hubspot', 'postgres', 'create_default', 'contacts', repeat('1', 4000000) || i, 'companies', '1', null, null, null
	FROM generate_series(1, 60) i});
takes_at_most($peak, $limit, '60 ids of 4 MB');
is(dead_letters(), '60|INVALID_INPUT from_id is longer than 1000 bytes', '60 ids of 4 MB: dead letters');
is($session->query('SELECT min(length(from_id)) FROM hs_assoc_dead_letter'), 4000001, '60 ids of 4 MB: as they were');

foreach my $column (qw(from_id to_id category operation from_type to_type))
{
	my %values = (server => q{'hubspot'}, role => q{'postgres'}, operation => q{'create'}, from_type => q{'contacts'},
		from_id => q{'20'}, to_type => q{'companies'}, to_id => q{'20'}, category => q{'USER_DEFINED'}, type_ids => q{'{1}'}, labels => 'null');
	$values{$column} = q{repeat('X', 10000000)};
	($peak) = watch("INSERT INTO hs_assoc_outbox ($columns) VALUES (" . join(', ', @values{ split /, /, $columns }) . ')');
	takes_at_most($peak, $limit, "10 MB of $column");
	is(dead_letters(), "1|INVALID_INPUT $column is longer than 1000 bytes", "10 MB of $column: a dead letter");
}
foreach my $case (
	[ 'type_ids', q{array_fill(1, ARRAY[20000000])}, 'there are too many type_ids' ],
	[ 'labels', q{array_fill(repeat('x', 1000), ARRAY[30000])}, 'there are too many labels, or they are too long' ])
{
	my ($column, $value, $problem) = @$case;
	($peak) = watch("INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, $column)
		VALUES ('hubspot', 'postgres', 'create', 'contacts', '30', 'companies', '30', $value)");
	takes_at_most($peak, $limit, $problem);
	is(dead_letters(), "1|INVALID_INPUT $problem", "$problem: a dead letter");
}
$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter');

#
# As large as rows may be, and as many as one likes: what cannot be compressed
#
($peak) = watch(qq{INSERT INTO hs_assoc_outbox ($columns)
	SELECT 'hubspot', 'postgres', 'create', 'contacts', i || repeat(md5(i::text), 31), 'companies', i || repeat(md5((i + 1)::text), 31), null, '{1}', null
	FROM generate_series(1, 11000) i});
takes_at_most($peak, $limit, '11,000 rows with long ids');
like(dead_letters(), qr/^11000\|INVALID_INPUT from_id/, '11,000 rows with long ids: dead letters');

($peak, $time) = watch(qq{INSERT INTO hs_assoc_outbox ($columns)
	SELECT 'hubspot', 'postgres', 'create', 'contacts', i, 'companies', i, null, null,
		(SELECT array_agg((SELECT string_agg(md5(random()::text), '') || i || n FROM generate_series(1, 30))) FROM generate_series(1, 100) n)
	FROM generate_series(1, 200) i});
takes_at_most($peak, $limit, '200 rows with 100 long labels each');
like(dead_letters(), qr/^200\|INVALID_INPUT there is no label/, '200 rows with 100 long labels each: dead letters');

#
# Answers
#
my $filling = join('', map { sprintf '%08x', rand 2**32 } 1 .. 300 * 128);
my $page = qq({"status":"error","message":"There is no such record","page":"$filling"});
my $many = q{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, 2000) i')};
$hubspot->rules({ match => { path => '/deals/' }, action => { status => 404, text => $page } });
($peak, $time) = watch($many);
takes_at_most($peak, $limit, 'a page of 300 kB for 2,000 rows');
like(dead_letters(), qr/^2000\|HTTP_404/, 'a page for 2,000 rows: dead letters');
is($session->query(q{SELECT count(*), count(*) FILTER (WHERE length(error #>> '{}') BETWEEN 60000 AND 66000),
		count(*) FILTER (WHERE (error ->> 'see_dead_letter')::bigint = first)
	FROM (SELECT *, min(id) OVER () AS first FROM hs_assoc_dead_letter) AS d}), '2000|1|1999', 'a page for 2,000 rows: the first one has it');
cmp_ok($session->query(q{SELECT sum(pg_column_size(error)) FROM hs_assoc_dead_letter}), '<', $mb, 'a page for 2,000 rows: dead letters are small');
cmp_ok($time, '<', patience(20), 'a page for 2,000 rows: within seconds');

# A smaller one is repeated.
$hubspot->clear_rules;
$hubspot->rules({ match => { path => '/deals/' }, action => { status => 404, text => substr($page, 0, 998) . '"}' } });
watch($many);
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE length(error ->> 'page') > 800}), 2000, 'a page of 1 kB is in each of them');

# Many reasons at once: each row has its own, and a large one is in the first row of its own.
sub errors
{
	my ($size, @numbers) = @_;
	my $errors = join ',', map {
		my $ids = join ',', map { qq("$_") } $size * $_ + 1 .. $size * ($_ + 1);
		sprintf '{"status":"error","category":"OBJECT_NOT_FOUND","message":"reason %d","context":{"fromObjectId":[%s]},"page":"%s"}',
			$_, $ids, $size > 1 ? substr($filling, 0, 9000) : ''
	} @numbers;
	return { match => { path => '/deals/' }, action => { status => 207, text => qq({"status":"COMPLETE","results":[],"errors":[$errors]}) } };
}
foreach my $case ([ 1, 2000 ], [ 500, 4 ])
{
	my ($size, $count) = @$case;
	$session->query('TRUNCATE hs_assoc_dead_letter');
	$hubspot->clear_rules;
	$hubspot->rules(errors($size, 0 .. $count - 1));
	watch($many);
	is($session->query(q{SELECT count(*), count(DISTINCT error_message),
			count(*) FILTER (WHERE error_category = 'OBJECT_NOT_FOUND' AND http_status = 207
				AND substring(error_message, '^reason (\d+)')::int = (from_id::int - 1) / } . $size . q{)
		FROM hs_assoc_dead_letter}), "2000|$count|2000", "$count reasons for 2,000 rows: each row has its own");
}
cmp_ok($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE error ? 'page'}), '<', 20, '4 reasons, large ones: few rows have them');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter AS d WHERE NOT error ? 'page' AND NOT EXISTS (
		SELECT FROM hs_assoc_dead_letter AS f WHERE f.id = (d.error ->> 'see_dead_letter')::bigint
			AND f.error ? 'page' AND f.error_message = d.error_message AND f.id < d.id)}), 0,
	'4 reasons, large ones: the others name one that has theirs, and came before');

# Nobody waits for a row that somebody has locked: it is recorded later, with its reason.
$session->query('TRUNCATE hs_assoc_dead_letter');
$hubspot->clear_rules;
my $held = errors(1, 0 .. 1999);
$held->{match}{first} = 1;
$held->{action}{hold} = 1;
$hubspot->rules([ $held, errors(1, 0 .. 1999) ]);
$hubspot->clear_log;
my $locker = start_session($node);
$session->query($many);
wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
$locker->query(q{BEGIN; SELECT id FROM hs_assoc_outbox WHERE from_id IN ('1', '2') FOR UPDATE});
$hubspot->release;
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_dead_letter') == 1998 });
is($session->query(q{SELECT string_agg(from_id, ',' ORDER BY id) FROM hs_assoc_outbox}), '1,2', 'two rows that somebody has locked stay as they are');
$locker->query('COMMIT');
$locker->quit;
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_dead_letter') == 2000 });
is($session->query(q{SELECT string_agg(substring(error_message, '^reason \d+'), ',' ORDER BY id) FROM hs_assoc_dead_letter WHERE from_id IN ('1', '2')}),
	'reason 0,reason 1', 'and become dead letters later, each with its reason');

# A failure that may pass, and one of the account, are recorded likewise.
$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_attempts '9')});
$hubspot->clear_rules;
$hubspot->rules({ match => { path => '/deals/' }, action => { status => 500, text => $page, content_type => 'text/html' } });
$session->query($many);
wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox WHERE attempts >= 1 AND http_status = 500') == 2000 });
pass('a failed attempt of 2,000 rows');
$session->query(q{TRUNCATE hs_assoc_dead_letter; ALTER SERVER hubspot OPTIONS (SET max_attempts '1'); UPDATE hs_assoc_outbox SET not_before = now(); SELECT hs_assoc_resume()});
wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE error ? 'see_dead_letter'}) > 1000 });
pass('was their last one: dead letters');

$session->quit;
done_testing();
