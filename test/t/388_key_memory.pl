# What look-ups take of memory has a bound, though rows need some keys all the time, and
# though records have long values.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

# What is freed goes back to the kernel at once, so that what is kept can be seen.
my $node = do
{
	local @ENV{ 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_' } = (131_072, 131_072);
	start_node();
};
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, batch_size => 100, concurrency => 2);
my $session;
my $count = instrumented() ? 3000 : 40_000;

# Each begins with a process of its own, which has called HubSpot once
sub begin
{
	$session->quit if $session;
	$session = start_session($node);
	$session->query('SET client_min_messages = error');
	$session->query(resolved(q{SELECT 'c1@example.com' AS key}));
	return;
}

sub resolved
{
	my ($query) = @_;
	return qq{SELECT count(*), count((r).record_id), count(*) FILTER (WHERE (r).error_category = 'RECORD_NOT_FOUND')
		FROM (SELECT hs_assoc_resolve('contacts:email', \$\$ $query \$\$) AS r) s};
}

$hubspot->generate_records(contacts => { count => 1000, properties => { email => 'c{n}@example.com' } });

#
# Keys that some row needs at any time, among others that are needed once: one, and many. A row
# needs a key only as long as it has no record, so some have none.
#
foreach my $case ([ 1, 'one key', 'c' ], [ 1000, 'a thousand keys', 'c' ], [ 1, 'one key of nobody', 'n' ], [ 100, 'a hundred keys of nobody', 'n' ])
{
	my ($nkeys, $name, $prefix) = @$case;
	my $found = $prefix eq 'c' ? $count / 4 : 0;
	begin();
	my ($rows, $peak) = measure($session, resolved(qq{SELECT CASE WHEN i % 4 = 0 THEN '$prefix' || 1 + i / 4 * 7919::bigint % $nkeys || '\@example.com'
		ELSE repeat('k', 1000 - length(i::text)) || i END AS key FROM generate_series(1, $count) AS i}));
	is($rows, join('|', $count, $found, $count - $found), "$name in a quarter of the rows");
	takes_at_most($peak, 26 * 1024, "$name, needed all the time");
}

#
# Long keys on both sides, and HubSpot takes its time
#
{
	begin();
	$hubspot->rules({ match => { path => 'batch/read', first => 2 }, action => { delay_ms => 1500 } });
	my ($rows, $peak) = measure($session, q{SELECT count(*), count(from_record), count(*) FILTER (WHERE error_category = 'RECORD_NOT_FOUND')
		FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
		$$ SELECT repeat('k', 990) || i AS from_id, repeat('d', 990) || i AS to_id FROM generate_series(1, 20000) i $$)});
	is($rows, '20000|0|20000', 'long keys, and slow look-ups');
	takes_at_most($peak, 48 * 1024, 'long keys, and slow look-ups');
	$hubspot->clear_rules;
}

#
# Values of records that are long
#
{
	my $n = instrumented() ? 300 : 3000;
	begin();
	$hubspot->generate_records(contacts => { count => $n, properties => { email => 'c{n}@example.com' } });
	$hubspot->property({ type => 'companies', name => 'about' });
	$hubspot->generate_records(companies => { count => $n, properties => { about => ('x' x 20_000) . '{n}' } });
	$session->query(qq{SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, $n) i') WHERE ok});
	my $read = qq{SELECT count(*), count(*) FILTER (WHERE (r).to_id = repeat('x', 20000) || (r).to_record AND (r).to_record = (r).from_id)
		FROM (SELECT hs_assoc_batch_read('contacts', 'companies:about', 'SELECT i AS from_id FROM generate_series(1, $n) i') AS r) s};
	my ($rows, $peak) = measure($session, $read);
	is($rows, "$n|$n", 'long values of records');
	takes_at_most($peak, 40 * 1024, 'long values of records');
}

$session->quit;
done_testing();
