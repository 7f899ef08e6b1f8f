# Reading much: one record with very many associations, very many records, and
# calls within calls; in bounded memory, and to be canceled at any time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(max sum);
use Test::More;

my $limit = 32 * 1024;			# in kB, for any number of records
my $companies = 60_000;
my $contacts = 100_000;

my $node = start_node(log_duration => 'on', log_timezone => 'UTC');		# work_mem has its default
my $hubspot = start_simulator();
my $other = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 2, max_retry_delay => '20ms');
create_account($node, $hubspot, name => 'small', rate_limit => 0, batch_size => 7, max_retries => 0);
create_account($node, $other, name => 'other', rate_limit => 0, batch_size => 50);
create_account($node, $hubspot, name => 'narrow', rate_limit => 0, concurrency => 1, max_retries => 0);

# One contact with very many companies, and the same among others
$hubspot->generate_associations('contacts', 'companies', { per_from => $companies, first_to => 1_000_001 });
{
	my $session = warm_session();
	my $pages = $companies / 500;
	my $expected = "$companies|$companies|1000001|" . (1_000_000 + $companies) . '|1';

	my $columns = 'count(*), count(DISTINCT to_id), min(to_id), max(to_id), count(DISTINCT from_id)';
	$hubspot->clear_log;
	my ($out, $peak) = measure($session, "SELECT $columns FROM hs_assoc_list('contacts', 1, 'companies')");
	is($out, $expected, 'a list of many');
	is($hubspot->log_count, $pages, 'a list of many: pages');
	is(scalar(grep { $_->{query} !~ /^limit=500(&after=[\w%]+)?$/ } @{ $hubspot->log }), 0,
		'a list of many: as long as they can be');
	takes_at_most($peak, $limit, 'a list of many');

	$hubspot->clear_log;
	($out, $peak) = measure($session, "SELECT $columns FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[])");
	is($out, $expected, 'a batch of one with many');
	is($hubspot->log_count, $pages, 'a batch of one with many: pages');
	takes_at_most($peak, $limit, 'a batch of one with many');

	# others come in the requests for its pages
	$hubspot->generate_associations('contacts', 'companies', { first_from => 2, count => 500, per_from => 3 });
	$hubspot->clear_log;
	($out, $peak) = measure($session, q{SELECT count(*), count(*) FILTER (WHERE from_id <> '1'), count(DISTINCT (from_id, to_id))
		FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 501) i', server => 'small')});
	is($out, join('|', $companies + 1500, 1500, $companies + 1500), 'one with many among others');
	my @log = @{ $hubspot->log };
	my @inputs = map { $_->{inputs} } @log;
	is(sum(@inputs), $pages + 500, 'one with many among others: nothing is asked for twice');
	is(max(@inputs), 7, 'one with many among others: requests are full');
	cmp_ok(scalar @log, '<', $pages + 500 / 7, 'one with many among others: in fewer requests than on their own');
	my @mixed = grep { $_->{body} =~ /"after"/ && $_->{body} =~ /\{"id":"\d+"\}/ } @log;
	cmp_ok(scalar @mixed, '>', 0, 'one with many among others: they share requests');
	takes_at_most($peak, $limit, 'one with many among others');
	$session->quit;
}

# Very many records, of which every tenth has nothing
$hubspot->reset;
$hubspot->generate_associations('contacts', 'companies', { count => int($contacts * 0.9), per_from => 3, to_count => 1000 });
{
	my $session = warm_session();
	my $sql = q{SELECT count(*), count(DISTINCT input_no), count(*) FILTER (WHERE error_category IS NOT NULL),
			count(*) FILTER (WHERE to_id IS NULL), bool_and(input_no = from_id::bigint)
		FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(%d, %d) i')};
	my ($some, $some_peak) = measure($session, sprintf $sql, 1, $contacts / 4);
	my $associations = 3 * $contacts / 4;
	is($some, "$associations|" . $contacts / 4 . '|0|0|t', 'many records');
	$hubspot->clear_log;
	my ($out, $peak) = measure($session, sprintf $sql, 1, $contacts);
	$associations = 3 * $contacts * 0.9;
	is($out, "$associations|" . $contacts * 0.9 . '|0|0|t', 'four times as many');
	is($hubspot->log_count, $contacts / 1000, 'many records: requests');
	takes_at_most($peak, $limit, 'many records');
	takes_at_most($peak, $some_peak + 8 * 1024, 'four times as many');
	$session->quit;
}

# Millions of rows for one id that stands in every place
{
	my $session = warm_session();
	$hubspot->clear_log;
	my ($out, $peak) = measure($session, q{SELECT count(*), count(DISTINCT input_no)
		FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT 1 AS from_id FROM generate_series(1, 200000)')});
	is($out, '600000|200000', 'one record very often');
	is($hubspot->log_count, 1, 'one record very often: one request');
	takes_at_most($peak, $limit, 'one record very often');
	$session->quit;
}

#
# A cancel between two pages, and what comes after it
#
# From here on the C library gives back at once what is freed, instead of keeping
# some of it for later, so that nothing but what is in use is measured.
{
	local $ENV{MALLOC_MMAP_THRESHOLD_} = 64 * 1024;
	local $ENV{MALLOC_TRIM_THRESHOLD_} = 64 * 1024;
	$node->restart;
}
$hubspot->reset;
$hubspot->generate_associations('contacts', 'companies', { count => 20, per_from => 5000 });
my $watch = start_stopwatch($node);
foreach my $call (
	q{hs_assoc_list('contacts', 1, 'companies')},
	q{hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 20) i')},
	q{hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 20) i', server => 'small')})
{
	my ($name) = $call =~ /^(\w+)/;
	$name .= ', small' if $call =~ /small/;
	my $session = start_session($node);
	my $sql = "SELECT count(*) FROM $call";
	my (@times, @problems, $memory);

	my $rows = $session->query($sql);
	foreach my $try (1 .. 6)
	{
		# in flight, or between two requests
		my $hangs = $try % 2;
		$hubspot->settings({ latency_ms => $hangs ? 0 : 20 });
		$hubspot->clear_rules;
		# it does not come to its end before it is canceled
		$hubspot->rules([
			{ match => { path => '^/crm', after => $hangs ? 3 : 8 }, action => { hang => Cpanel::JSON::XS::true } },
			{ match => { path => '^/crm', after => 3 }, action => {} } ]);
		$watch->send($session, $sql);
		wait_until(sub { grep { $_->{hits} } @{ $hubspot->hits->{rules} } });
		my ($out, $err, $late) = $watch->cancel($session);
		push @times, $late;
		push @problems, "the client got: $out$err"
		  unless $err =~ /ERROR:  57014: canceling statement due to user request/;
		$hubspot->clear_rules;
		$hubspot->settings({ latency_ms => 0 });
		my $next = $session->query($sql);
		push @problems, "the next call: $next" unless $next eq $rows;
		$memory //= anonymous_memory($session->pid);
	}
	my @sorted = sort { $a <=> $b } @times;
	is_deeply(\@problems, [], "$name: canceled, and the next one is whole");
	cmp_ok($sorted[ @sorted / 2 ], '<', patience(0.1), "$name: within 100 ms");
	takes_at_most(anonymous_memory($session->pid) - $memory, 4 * 1024, "$name: what stays behind");
	is($session->query(q{SELECT count(*) FROM pg_backend_memory_contexts
			WHERE name LIKE 'hubspot_assoc%' AND name <> 'hubspot_assoc accounts'}), '0', "$name: nothing of it is left");
	$session->quit;
}

#
# Answers that are too large: none is kept until the records have been read in parts
#
$hubspot->reset;
$hubspot->generate_associations('contacts', 'companies', { count => 1000, per_from => 2, to_count => 100 });
{
	my $session = warm_session();
	my $large = { pad => 17_000_000 };

	$hubspot->rules({ match => { path => 'batch/read$', first => 8 }, action => $large });
	my ($out, $peak, $after) = measure($session, q{SELECT count(*), count(DISTINCT (from_id, to_id)), count(error_category)
		FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 1000) i', server => 'narrow')});
	is($out, '2000|2000|0', 'answers that are too large');
	is($hubspot->hits->{rules}[0]{hits}, 8, 'answers that are too large: eight of them');
	takes_at_most($peak, 2 * 16 * 1024 + 16 * 1024, 'answers that are too large: one at a time');
	takes_at_most($after, 4 * 1024, 'answers that are too large: afterwards');

	# what has been too large once is not asked for again, with the next page
	$hubspot->settings({ page_size => 1 });
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => 'batch/read$', first => 1 }, action => $large });
	$hubspot->clear_log;
	is($session->query(q{SELECT bool_and(ok), count(*) FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT i AS from_id, 999 AS to_id, 279 AS type_id FROM generate_series(1, 4) i', keep_labels => true)}),
		't|4', 'labels to keep, in an answer that is too large');
	is(join(' ', map { $_->{inputs} } @{ $hubspot->log(path => 'batch/read$') }), '4 2 2 2 2',
		'labels to keep: they are read in parts until the end');
	$session->quit;
}

# Labels to keep, of a record with very many associations, none of them the pair's
$hubspot->reset;
{
	my $session = warm_session();
	my ($pages, $per_page) = (60, 10_000);
	my $to = join ',', map { qq({"toObjectId":$_}) } 1 .. $per_page;

	foreach my $page (1 .. $pages)
	{
		my $next = $page < $pages ? qq({"after":"$page"}) : 'null';
		$hubspot->rules({ match => { path => 'batch/read$', nth => $page },
				action => { status => 200, text => qq({"results":[{"from":{"id":"1"},"paging":{"next":$next},"to":[$to]}]}) } });
	}
	$hubspot->clear_log;
	my ($out, $peak, $after) = measure($session,
		q{SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 999999, '{279}', keep_labels => true)});
	is($out, 't', 'labels to keep, on many pages');
	is($hubspot->log_count('batch/read$'), $pages, 'labels to keep: all pages are read');
	takes_at_most($peak, 8 * 1024, 'labels to keep: a page at a time');
	takes_at_most($after, 1024, 'labels to keep: afterwards');
	$session->quit;
}
$hubspot->reset;
$hubspot->generate_associations('contacts', 'companies', { count => 20, per_from => 5000 });

# A cursor that is closed early
{
	my $session = start_session($node);
	is($session->query(q{
			BEGIN;
			DECLARE c CURSOR FOR SELECT hs_assoc_list('contacts', i, 'companies') FROM generate_series(1, 20) i;
			MOVE 1 FROM c;
			CLOSE c;
			COMMIT;
			SELECT count(*) FROM hs_assoc_list('contacts', 1, 'companies')}), '5000', 'a cursor that is closed early');
	$session->quit;
}

#
# From one account to another, each reading while the other writes
#
$hubspot->reset;
$hubspot->generate_associations('contacts', 'companies', { count => 200, per_from => 10, to_count => 100 });
{
	my $session = start_session($node);
	my $copy = q{
		SELECT count(*), count(*) FILTER (WHERE ok)
		FROM hs_assoc_batch_create_default('contacts', 'companies', $$
			SELECT from_id, to_id FROM hs_assoc_batch_read('contacts', 'companies',
				'SELECT i AS from_id FROM generate_series(1, 250) i', server => 'small') WHERE error IS NULL
			$$, server => 'other')};

	$hubspot->settings({ page_size => 3 });
	is($session->query($copy), '2000|2000', 'copied to another account');
	is($other->association_count('contacts', 'companies'), 2000, 'the other account holds them');
	is_deeply(
		[ map { "$_->{from_id}-$_->{to_id}" } @{ $other->associations('contacts', 'companies') } ],
		[ map { "$_->{from_id}-$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } ],
		'and no others');

	# the reading is the outer one
	is($session->query(q{
			SELECT count(*), count(DISTINCT from_id) FROM hs_assoc_batch_read('contacts', 'companies', $$
				SELECT DISTINCT from_id FROM hs_assoc_batch_create_default('contacts', 'companies',
					'SELECT i AS from_id, 7777 AS to_id FROM generate_series(1, 30) i', server => 'small') WHERE ok
				$$, server => 'small') WHERE to_id = '7777'}),
		'30|30', 'what was just created is read');

	# a list for each row of a batch's query, on both accounts
	is($session->query(q{
			SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create_default('companies', 'contacts', $$
				SELECT l.to_id AS from_id, l.from_id AS to_id FROM generate_series(1, 20) i,
					hs_assoc_list('contacts', i, 'companies', server => CASE i % 2 WHEN 0 THEN 'other' ELSE 'small' END) l
				$$, server => 'other')}),
		'210|210', 'a list for each row of a batch');

	# and the inner one fails
	$hubspot->rules({ match => { after => 3, path => 'batch/read' }, action => { status => 400 } });
	my $failing = $copy =~ s/, server => 'small'\)/, 'raise', 'small')/r;
	$session->send($failing);
	my (undef, $err) = $session->finish;
	like($err, qr/ERROR:  22023: /, 'a failure of the inner call ends the outer one');
	is($session->query(q{SELECT count(*) FROM pg_backend_memory_contexts
			WHERE name LIKE 'hubspot_assoc%' AND name <> 'hubspot_assoc accounts'}), '0', 'nothing is left of them');
	$hubspot->clear_rules;
	is($session->query($copy), '2030|2030', 'the session goes on');
	$session->quit;
}

#
# Faults on the way: each association comes once, whatever had to be asked for again.
#
my %faults = (
	'an error at first' => { status => 502 },
	'a reset before the answer' => { reset => 'before' },
	'a reset in the body' => { reset => 'body' },
	'an end in the body' => { truncate => 1000 },
	'no answer' => { close => 'before' });
foreach my $fault (sort keys %faults)
{
	my $session = start_session($node);

	$hubspot->reset;
	$hubspot->generate_associations('contacts', 'companies', { count => 50, per_from => 10, to_count => 100 });
	$hubspot->settings({ page_size => 4 });
	$hubspot->rules({ match => { every => 3, path => '^/crm' }, action => $faults{$fault} });
	is($session->query(q{SELECT count(*), count(DISTINCT (from_id, to_id)), count(error_category)
			FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 50) i')}),
		'500|500|0', "$fault: each association once");
	is($session->query(q{SELECT count(*), count(DISTINCT to_id) FROM generate_series(1, 5) i, hs_assoc_list('contacts', i, 'companies')}),
		'50|50', "$fault: in lists, too");
	$session->quit;
}

#
# Answers that have more than they should: each type of a pair is a row, once, and of none but
# the records that were asked for.  What was on the page before is recognized, but no more.
#
{
	my $session = start_session($node);
	my %type = (A => '{"category":"USER_DEFINED","typeId":1,"label":"A"}', B => '{"category":"USER_DEFINED","typeId":2,"label":"B"}', C => '{"category":"INTEGRATOR_DEFINED","typeId":1,"label":null}');
	my $record = sub {
		my ($id, $pairs, $after) = @_;
		my $to = join ',', map { my ($other, $types) = /(\d+)(\w*)/; sprintf '{"toObjectId":%s,"associationTypes":[%s]}', $other, join ',', @type{ split //, $types } } split / /, $pairs;
		return sprintf '{"from":{"id":"%s"},"to":[%s]%s}', $id, $to, defined $after ? qq(,"paging":{"next":{"after":"$after"}}) : '';
	};
	my $answer = sub {
		my $n = 0;
		$hubspot->clear_rules;
		$hubspot->clear_log;
		return $hubspot->rules([ map { { match => { path => 'batch/read$', nth => ++$n }, action => { status => 200, text => qq({"status":"COMPLETE","results":[$_]}) } } } @_ ]);
	};
	my $rows = q{SELECT string_agg(concat_ws(' ', from_id, to_id, label, left(nullif(category, 'USER_DEFINED'), 1)), ', ')};
	my $read = sub { return $session->query("$rows FROM hs_assoc_batch_read('contacts', 'companies', '{$_[0]}'::text[])") };
	my @pages = ($record->(1, '11A 12A 11B 11A 12AA', 1) . ',' . $record->(99, '11A'), $record->(1, '12BA 13A 12A', 2), $record->(1, '14A 11A 13AC 12A'));

	$hubspot->reset;
	$session->query(q{
		CREATE FOREIGN TABLE pairs (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
		CREATE FOREIGN TABLE typed (from_id text, to_id text, category text, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies')});
	$answer->(@pages);
	is($read->(1), '1 11 A, 1 11 B, 1 12 A, 1 12 B, 1 13 A, 1 14 A, 1 11 A, 1 13 I', 'pairs that come again, by themselves and on the next page');
	is($hubspot->log_count('batch/read'), 3, '... and no more is asked for');
	$answer->(@pages);
	is($session->query("$rows FROM typed WHERE from_id = '1'"), '1 11 A, 1 11 B, 1 12 A, 1 12 B, 1 13 A, 1 14 A, 1 11 A, 1 13 I', '... in a foreign table');
	$answer->(@pages);
	is($session->query("SELECT string_agg(to_id, ' ') FROM pairs WHERE from_id = '1'"), '11 12 13 14 11', '... and in one of pairs');
	$answer->($record->(2, '12A 11A') . ',' . $record->(1, '12A 11A 12A') . ',' . $record->(3, '11A'));
	is($read->('1,2'), '1 12 A, 1 11 A, 2 12 A, 2 11 A', 'records that nobody has asked for, and an order of their own');
	$answer->($record->(1, join ' ', map { $_ % 7000 . 'A' } 20_000 .. 50_000));
	is($session->query("SELECT count(*), count(DISTINCT to_id) FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[])"), '7000|7000', 'very many, again and again');
	$session->quit;
	$hubspot->clear_rules;
}

#
# Answers that are cut or have one byte wrong: never half of what they say.
#
{
	my $session = start_session($node);
	my $types = '[{"category":"USER_DEFINED","typeId":1,"label":"A \\"b\\""},{"category":"HUBSPOT_DEFINED","typeId":279,"label":null}]';
	my $associations = qq([{"toObjectId":"11","associationTypes":$types},{"toObjectId":12,"associationTypes":$types}]);
	my %bodies = (
		hs_assoc_batch_read => qq({"status":"COMPLETE","results":[{"from":{"id":"1"},"to":$associations}],"startedAt":"x"}),
		hs_assoc_list => qq({"results":$associations}));
	my %calls = (
		hs_assoc_batch_read => q{(SELECT string_agg(coalesce(error_category, to_id || ' ' || type_id), ',' ORDER BY to_id, type_id)
			FROM hs_assoc_batch_read('contacts', 'companies', ARRAY['1', left(i::text, 0)]) WHERE input_no = 1)},
		hs_assoc_list => q{list(i)});
	my $whole = '11 1,11 279,12 1,12 279';

	$session->query(q{CREATE FUNCTION list(i int) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
			RETURN (SELECT string_agg(to_id || ' ' || type_id, ',' ORDER BY to_id, type_id) FROM hs_assoc_list('contacts', 1, 'companies'));
		EXCEPTION WHEN protocol_violation THEN
			RETURN 'UNCONFIRMED';
		END $$});
	srand 1;
	foreach my $function (sort keys %bodies)
	{
		my $body = $bodies{$function};
		my @cut = map { substr $body, 0, $_ } 0 .. length($body);
		my @wrong = map { my $answer = $body; substr($answer, $_, 1) = chr int rand 128; $answer } 0 .. length($body) - 1;
		my $n = 0;

		$hubspot->reset;
		$hubspot->rules([ map { { match => { nth => ++$n }, action => { text => $_ } } } @cut, @wrong ]);
		my @got = split /\n/, $session->query("SELECT coalesce($calls{$function}, 'nothing') FROM generate_series(1, $n) i");
		my @of_cut = splice @got, 0, scalar @cut;
		is(pop @of_cut, $whole, "$function: a whole answer");
		is_deeply([ grep { $_ ne 'UNCONFIRMED' } @of_cut ], [], "$function: no part is an answer");
		is(scalar @got, scalar @wrong, "$function: an outcome for each answer with a wrong byte");
		my %unreadable = map { ($_ => 1) } grep { !eval { Cpanel::JSON::XS->new->decode($wrong[$_]); 1 } } 0 .. $#wrong;
		is_deeply([ grep { $unreadable{$_} && $got[$_] ne 'UNCONFIRMED' } 0 .. $#wrong ], [], "$function: what is no JSON is no answer")
		  or diag(join "\n", map { "$wrong[$_] $got[$_]" } grep { $unreadable{$_} && $got[$_] ne 'UNCONFIRMED' } 0 .. $#wrong);
	}
	is($session->query('SELECT pg_backend_pid()'), $session->pid, 'the session goes on');
	$session->quit;
}

#
# Ids are what ids are, in databases of any encoding
#
$node->safe_psql('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'});
create_account($node, $hubspot, dbname => 'latin', rate_limit => 0, max_retries => 0);
foreach my $id ("9\x{fc}", '9\u00fc', '\ud83d\ude00', "\x{1f600}")
{
	my $session = start_session($node, 'latin');

	$hubspot->reset;
	$hubspot->rules([
		{ match => { method => 'POST' }, action => { text => qq({"results":[{"from":{"id":"1"},"to":[{"toObjectId":"$id"}]}]}) } },
		{ match => { method => 'GET' }, action => { text => qq({"results":[{"toObjectId":"$id"}]}) } } ]);
	is($session->query(q{SELECT to_id, error_category FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[])}),
		'|UNCONFIRMED', 'LATIN1: an id that is none');
	$session->send(q{SELECT to_id FROM hs_assoc_list('contacts', 1, 'companies')});
	my ($out, $err) = $session->finish;
	is($out, '', 'LATIN1: nor in a list');
	like($err, qr/ERROR:  08P01: .*UNCONFIRMED: /s, 'LATIN1: which ends');
	$session->quit;
}

done_testing();

# A session that has done each kind of thing once.
sub warm_session
{
	my $session = start_session($node);
	$session->query("SELECT count(*) FROM hs_assoc_list('deals', 1, 'companies')");
	$session->query(q{SELECT count(*), count(DISTINCT from_id) FROM hs_assoc_batch_read('contacts', 'companies',
		'SELECT i AS from_id FROM generate_series(1, 2000) i')});
	return $session;
}
