# Removing much: as few requests as the limit allows, whatever the order of the
# pairs; and what fails on the way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node(work_mem => '64kB', log_duration => 'on', log_timezone => 'UTC');		# sorts go to files
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 2, max_retry_delay => '20ms');
create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'once', max_retries => 0);
create_account($node, $hubspot, %options, name => 'small', batch_size => 5);
create_account($node, $hubspot, %options, name => 'hasty', max_retries => 1, request_timeout => patience(2500) . 'ms');
my $session = start_session($node);

# So many contacts with so many companies each, all of them others.
sub hold
{
	my ($count, $each, $first) = @_;
	$hubspot->reset;
	$hubspot->generate_associations('contacts', 'companies', { first_from => $first // 1, count => $count, per_from => $each });
	return;
}

sub held { return $hubspot->association_count('contacts', 'companies') }

sub leftovers
{
	return $session->query(q{SELECT coalesce(string_agg(name, ', '), 'none') FROM pg_backend_memory_contexts
		WHERE name LIKE 'hubspot_assoc%' AND name <> 'hubspot_assoc accounts'});
}

#
# 100,000 pairs of 1,000 contacts, in the worst order: those of a contact are as
# far from each other as can be.
#
$session->query(q{CREATE TABLE link AS
	SELECT f AS from_id, 100 * (f - 1) + t AS to_id FROM generate_series(1, 1000) f, generate_series(1, 100) t});
foreach my $order ('to_id % 100, from_id', 'random()', 'from_id DESC, to_id')
{
	hold(1000, 100);
	is(held(), 100_000, "by $order: there are 100,000");
	$hubspot->clear_log;
	is($session->query("SELECT count(*), count(DISTINCT input_no), count(*) FILTER (WHERE ok), min(input_no), max(input_no)
			FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT * FROM link ORDER BY $order')"),
		'100000|100000|100000|1|100000', "by $order: a row for each");
	my @log = @{ $hubspot->log };
	is(scalar @log, 10, "by $order: 10 requests");
	is_deeply([ map { $_->{inputs} } @log ], [ (100) x 10 ], "by $order: of 100 contacts each");
	is(held(), 0, "by $order: all are removed");
}
is($session->query(q{SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY from_id DESC, to_id) AS no, * FROM link) l
		JOIN hs_assoc_batch_archive('contacts', 'companies', 'SELECT * FROM link ORDER BY from_id DESC, to_id') r
		ON r.input_no = l.no AND r.from_id = l.from_id::text AND r.to_id = l.to_id::text AND ok}),
	'100000', 'a number is that of the row in the query');

# Only those asked for
hold(100, 10);
is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('contacts', 'companies',
		'SELECT f AS from_id, 10 * (f - 1) + t AS to_id FROM generate_series(1, 100) f, generate_series(1, 10, 2) t ORDER BY t, f')}),
	'500|500', 'every other one: rows');
is_deeply([ grep { $_->{to_id} % 2 } @{ $hubspot->associations('contacts', 'companies') } ], [], 'every other one: removed');
is(held(), 500, 'every other one: the others are there');

# One contact with more than a request should hold, and memory for it
{
	my $before = anonymous_memory($session->pid);
	hold(1, 200_000);
	is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('contacts', 'companies',
			'SELECT 1 AS from_id, i AS to_id FROM generate_series(1, 200000) i')}),
		'200000|200000', 'a contact with very many: rows');
	is(held(), 0, 'a contact with very many: removed');
	takes_at_most(anonymous_memory($session->pid) - $before, 64 * 1024, 'a contact with very many');
}

#
# Faults: archiving is repeated, and a row says what is sure.
#
my $call = q{hs_assoc_batch_archive('contacts', 'companies',
	'SELECT f AS from_id, 3 * (f - 1) + t AS to_id FROM generate_series(1, 40) f, generate_series(1, 3) t ORDER BY t, f'};
my %faults = (
	'500' => { status => 500 },
	'503, done' => { status => 503, act => Cpanel::JSON::XS::true },
	'reset before' => { reset => 'before' },
	'reset before, done' => { reset => 'before', act => Cpanel::JSON::XS::true },
	'reset in the headers' => { reset => 'headers', act => Cpanel::JSON::XS::true },
	'reset in the body' => { reset => 'body', act => Cpanel::JSON::XS::true },
	'cut' => { truncate => 5 },
	'closed' => { close => 'before', act => Cpanel::JSON::XS::true });
foreach my $operation (
	[ 'single', q{hs_assoc_archive('contacts', 1, 'companies', 1}, 1 ],
	[ 'batch', $call, 120 ],
	[ 'labels', q{hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT f AS from_id, 3 * (f - 1) + t AS to_id, 279 AS type_id
		FROM generate_series(1, 40) f, generate_series(1, 3) t'}, 120 ])
{
	my ($kind, $sql, $rows) = @$operation;

	foreach my $fault (sort keys %faults)
	{
		my $name = "$fault, $kind";

		hold(40, 3);
		$hubspot->settings({ archive_status => 200 });
		$hubspot->rules({ match => { path => '^/crm', first => 2 }, action => $faults{$fault} });
		is($session->query("SELECT count(*), count(*) FILTER (WHERE ok) FROM $sql)"), "$rows|$rows", "$name: sent again");
		is(held(), 120 - $rows, "$name: removed");

		hold(40, 3);
		$hubspot->settings({ archive_status => 200 });
		$hubspot->rules({ match => { path => '^/crm' }, action => $faults{$fault} });
		is($session->query("SELECT count(*), count(*) FILTER (WHERE ok), string_agg(DISTINCT error_category, ',')
				FROM $sql, server => 'once')"),
			"$rows|0|UNCONFIRMED", "$name: nobody knows");
	}
}

# No answer
hold(40, 3);
$hubspot->rules({ match => { path => '^/crm', first => 1 }, action => { hang => Cpanel::JSON::XS::true } });
is($session->query("SELECT count(*), count(*) FILTER (WHERE ok) FROM $call, server => 'hasty')"), '120|120', 'no answer: sent again');
is(held(), 0, 'no answer: removed');

# A request too many
hold(40, 3);
$hubspot->rules({ match => { path => '^/crm', nth => 2 }, action => { status => 429, body => { policyName => 'SECONDLY' } } });
is($session->query(q{ALTER SERVER small OPTIONS (SET max_retry_delay '5s', ADD concurrency '1')}), '', 'patience');
is($session->query("SELECT count(*), count(*) FILTER (WHERE ok) FROM $call, server => 'small')"), '120|120', 'a 429 is waited for');
is(held(), 0, 'a 429: removed');

# Refused midway
hold(40, 3);
$hubspot->rules({ match => { path => '^/crm', after => 3 }, action => { status => 401 } });
$session->send("SELECT count(*) FILTER (WHERE ok), count(*) FILTER (WHERE error_category = 'INVALID_AUTHENTICATION'),
	count(*) FILTER (WHERE error_category = 'NOT_SENT') FROM $call, server => 'small')");
my ($out, $err) = $session->finish;
is($out, '45|15|60', 'a token that is refused midway: rows');
is(scalar(() = $err =~ /WARNING:/g), 1, 'a token that is refused midway: one warning');
is(held(), 75, 'a token that is refused midway: what was done is done');
is($hubspot->log_count('^/crm'), 4, 'a token that is refused midway: no more requests');

# A bad one among many: contact 1017, or its company 50
foreach my $bad ({ id => '1017' }, { pair => [ '1017', '50' ] })
{
	my ($what) = keys %$bad;

	hold(40, 3, 1001);
	$hubspot->rules({ match => { %$bad, path => '^/crm' }, action => { status => 400 } });
	is($session->query(q{SELECT string_agg(from_id || '-' || to_id, ' ' ORDER BY to_id)
			FROM hs_assoc_batch_archive('contacts', 'companies',
				'SELECT 1000 + f AS from_id, 3 * (f - 1) + t AS to_id FROM generate_series(1, 40) f, generate_series(1, 3) t ORDER BY t, f')
			WHERE NOT ok}),
		$what eq 'id' ? '1017-49 1017-50 1017-51' : '1017-50', "a bad $what: only its rows fail");
	is(held(), $what eq 'id' ? 3 : 1, "a bad $what: all others are removed");
	cmp_ok($hubspot->log_count('^/crm'), '<=', 24, "a bad $what: in some more requests");
}

#
# A cancel, while it sorts, and while requests are in flight
#
hold(40, 3);
my $watch = start_stopwatch($node);
foreach my $phase ('sorting', 'in flight')
{
	my @times;

	foreach (1 .. 3)
	{
		if ($phase eq 'sorting')
		{
			$watch->send($session, q{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies',
				'SELECT i AS from_id, CASE i WHEN 100000 THEN 1 + length(pg_sleep(3600)::text) ELSE i END AS to_id
				FROM generate_series(1, 100000) i')});
			wait_until(sub { $node->safe_psql('postgres',
					"SELECT wait_event FROM pg_stat_activity WHERE pid = @{[ $session->pid ]}") eq 'PgSleep' });
		}
		else
		{
			$hubspot->clear_rules;
			$hubspot->rules({ match => { path => '^/crm' }, action => { hang => Cpanel::JSON::XS::true } });
			$watch->send($session, "SELECT count(*) FROM $call)");
			wait_until(sub { $hubspot->hits->{rules}[0]{hits} > 0 });
		}
		my (undef, $err, $late) = $watch->cancel($session);
		push @times, $late;
		like($err, qr/57014/, "$phase: canceled");
		is(leftovers(), 'none', "$phase: nothing is left");
	}
	cmp_ok((sort { $a <=> $b } @times)[1], '<', patience(0.1), "$phase: within 100 ms");
}
is(held(), 120, 'what was canceled was not done');
$hubspot->clear_rules;
is($session->query("SELECT count(*) FILTER (WHERE ok) FROM $call)"), '120', 'the session goes on');
is(held(), 0, 'and removes them');

# The query of one removes, too, or reads what is to be removed
hold(40, 3);
is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('contacts', 'companies', $$
			SELECT from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies',
				'SELECT i AS from_id FROM generate_series(1, 40) i', server => 'small') WHERE to_id::int % 3 = 0 $$)}),
	'40|40', 'what is removed is read: rows');
is(held(), 80, 'what is removed is read: removed');
is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_archive('companies', 'contacts', $$
			SELECT to_id AS from_id, from_id AS to_id FROM hs_assoc_batch_archive('contacts', 'companies',
				'SELECT i AS from_id, 3 * i - 1 AS to_id FROM generate_series(1, 40) i', server => 'small') $$, server => 'small')}),
	'40|40', 'one within another: rows');
is(held(), 40, 'one within another: removed');

$session->quit;
done_testing();
