# Memory is bounded by what is in flight, not by what is sent or answered.
#
# Measured is what the backend has for itself, sampled while a statement runs.
# The simulator's fast path answers batches of 2,000.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $limit = 32 * 1024;			# in kB, for a batch of any length
my $rows = 200_000;
my $mb = 1024 * 1024;

my $node = start_node();		# work_mem has its default
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, name => 'small', rate_limit => 0, batch_size => 100, max_retries => 0);
create_account($node, $hubspot, name => 'wide', rate_limit => 0, batch_size => 1, concurrency => 16,
	max_retries => 100);

$node->safe_psql('postgres', "CREATE TABLE link AS SELECT i AS from_id, i % 1000 + 1 AS to_id, 279 AS type_id
	FROM generate_series(1, $rows) i");
my $labelled = "SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create('contacts', 'companies',
	'SELECT * FROM link %s')";
my $default = "SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('contacts', 'companies',
	'SELECT from_id, to_id FROM link %s', server => '%s')";

#
# Many rows
#
{
	my $session = warm_session();
	my ($some, $some_peak) = measure($session, sprintf $labelled, 'LIMIT 50000');
	is($some, '50000|50000', '50,000 labelled inputs');
	my ($all, $all_peak) = measure($session, sprintf $labelled, '');
	is($all, "$rows|$rows", "$rows labelled inputs");
	takes_at_most($all_peak, $limit, 'while they are sent');
	takes_at_most($all_peak, $some_peak + 4 * 1024, 'four times the inputs take no more');
	$session->quit;

	$session = warm_session();
	my ($out, $peak) = measure($session, sprintf $default, '', 'hubspot');
	is($out, "$rows|$rows", "$rows inputs with the default type, two results each");
	takes_at_most($peak, $limit, 'while they are sent');
	$session->quit;
}

# Failures are rows like others, but each of these has its own error.
{
	my $session = warm_session();
	$hubspot->objects({ type => 'contacts', missing => [ map { '' . 2 * $_ } 1 .. 10_000 ] });
	my ($out, $peak) = measure($session, sprintf $default, 'ORDER BY from_id LIMIT 20000', 'hubspot');
	is($out, '20000|10000', 'every other input fails');
	takes_at_most($peak, 1.5 * $limit, 'while they are sent');
	$hubspot->objects({ type => 'contacts', missing => [] });
	$session->quit;
}

# From here on the C library gives back at once what is freed, instead of keeping
# tens of megabytes for later, so that nothing but what is in use is measured.
{
	local $ENV{MALLOC_MMAP_THRESHOLD_} = 64 * 1024;
	local $ENV{MALLOC_TRIM_THRESHOLD_} = 64 * 1024;
	$node->restart;
}

{
	my $session = warm_session();
	$session->query(sprintf $labelled, 'LIMIT 100000');
	my (undef, undef, $after) = measure($session, sprintf $labelled, 'LIMIT 100000');
	takes_at_most($after, 2 * 1024, 'another 100,000 inputs leave nothing behind');
	$session->quit;
}

# As many calls as one likes in one statement, and in one function.
{
	my $session = warm_session();
	my $sql = q{SELECT count(*) FILTER (WHERE (hs_assoc_create_default('contacts', i, 'companies', i)).ok)
		FROM generate_series(1, %s) i};
	$session->query(sprintf $sql, 100);
	my ($out, $peak) = measure($session, sprintf $sql, 3000);
	is($out, '3000', '3,000 calls in one statement');
	takes_at_most($peak, 1024, 'take no memory each');
	($out, $peak) = measure($session, q{DO $$ BEGIN
		FOR i IN 1 .. 3000 LOOP
			PERFORM hs_assoc_create_default('contacts', i, 'companies', i);
		END LOOP; END $$});
	takes_at_most($peak, 1024, 'nor do 3,000 in a loop');
	$session->quit;
}

#
# Hostile answers: four at a time, of up to 16 MB each, in buffers that double.
#
{
	my $session = warm_session();
	my $in_flight = 4 * 2 * 16 * 1024;

	foreach my $case (
		[ 'just below the cap', { pad => 15 * $mb }, '2000|2000' ],
		[ 'beyond the cap', { pad => 20 * $mb }, '2000|0' ],
		[ 'deep', { nest => 4 * $mb }, '2000|2000' ],
		[ 'with a header beyond the cap', { headers => { 'X-Long' => 'x' x $mb } }, '2000|0' ])
	{
		my ($name, $action, $expected) = @$case;

		$hubspot->rules({ match => { path => '/batch/' }, action => $action });
		my ($out, $peak, $after) = measure($session, sprintf $default, 'LIMIT 2000', 'small');
		is($out, $expected, "20 answers $name");
		takes_at_most($peak, $in_flight + $limit, "20 answers $name: no more than those in flight");
		takes_at_most($after, 4 * 1024, "20 answers $name: afterwards");
		$hubspot->clear_rules;
	}

	# Refusals of the account that are long: each waits with its answer.
	$hubspot->rules({ match => { first => 48 }, action => { status => 429, headers => { 'Retry-After' => '1' },
				body => { policyName => 'SECONDLY', message => 'x' x $mb } } });
	my ($out, $peak, $after) = measure($session, sprintf $default, 'LIMIT 200', 'wide');
	is($out, '200|200', 'a flood of long 429s');
	takes_at_most($peak, (16 + 2) * 4 * 1024 + $limit, 'a flood of 429s: no more than those that wait');
	takes_at_most($after, 4 * 1024, 'a flood of 429s: afterwards');
	is($hubspot->hits->{rules}[0]{hits}, 48, 'there was a flood');
	$hubspot->clear_rules;
	$session->quit;
}

#
# A cancel frees what it ends.
#
{
	my $session = warm_session();
	my $before = anonymous_memory($session->pid);

	foreach my $way (qw(cancel timeout error))
	{
		my $sql = sprintf $default, $way eq 'error' ? 'WHERE 1 / (2500 - from_id) = 0' : '', 'small';
		my $long = { match => { path => '/batch/', first => 20 }, action => { pad => 15 * $mb } };

		$hubspot->clear_rules;
		$hubspot->rules($way eq 'error' ? $long :
			  [ $long, { match => { path => '/batch/' }, action => { hang => \1 } } ]);
		$session->query('SET statement_timeout = ' . patience(3000)) if $way eq 'timeout';
		$session->send($sql);
		if ($way eq 'cancel')
		{
			wait_until(sub { $hubspot->hits->{rules}[1]{hits} >= 4 });
			$session->cancel;
		}
		my (undef, $err) = $session->finish;
		like($err, qr/ERROR:  (57014|22012)/, "$way: the call ends");
		takes_at_most(anonymous_memory($session->pid) - $before, 4 * 1024, "$way: its memory is free");
		$session->query('RESET statement_timeout');
	}
	$session->quit;
}

done_testing();

# A session that has done each kind of thing once.
sub warm_session
{
	my $session = start_session($node);
	$session->query($_)
	  foreach sprintf($labelled, 'LIMIT 3000'), sprintf($default, 'LIMIT 3000', 'hubspot');
	return $session;
}
