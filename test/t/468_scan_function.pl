# hs_assoc_scan() goes through a whole account: it has the rows of hs_assoc_batch_read() for
# all records, at a request for each hundred records and one for each thousand; a page that
# fails is asked for again, and what cannot be listed to its end is an error.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $list = 'objects/2026-03/contacts$';
my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 3, max_retry_delay => '20ms');
my $session = start_session($node);
my $all = "SELECT count(*), count(DISTINCT from_id), min(input_no), max(input_no) FROM hs_assoc_scan('contacts', 'companies')";
make(2345);

# Rows and requests
asks($all, '4690|2345|1|2345', 'all records');
requests(24, 3, 'a request for each hundred, and each thousand');
asks(q{SELECT count(*) FROM (
	(SELECT from_id, to_id, category, type_id, label, is_primary FROM hs_assoc_scan('contacts', 'companies')
	 EXCEPT ALL SELECT from_id, to_id, category, type_id, label, is_primary FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 3000) i'))
	UNION ALL
	(SELECT from_id, to_id, category, type_id, label, is_primary FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, 3000) i')
	 EXCEPT ALL SELECT from_id, to_id, category, type_id, label, is_primary FROM hs_assoc_scan('contacts', 'companies'))) AS d}, 0, 'the rows of hs_assoc_batch_read()');
asks("SELECT count(*) FROM hs_assoc_scan('deals', 'companies')", 0, 'no records');
$hubspot->clear_log;
asks("SELECT (hs_assoc_scan('contacts', 'companies')).to_id LIMIT 3", "1\n2\n3", 'one by one');
requests(1, 1, 'whoever has enough soon takes two requests');
asks("SELECT count(*) FROM (SELECT hs_assoc_scan('contacts', 'companies') OFFSET 0) AS s", 4690, 'all of them one by one');
requests(24, 6, 'the first pages are read alone');
fails_with([ { match => { path => 'batch/read$' }, action => { status => 401 } } ], qr/ERROR:  28000: could not list the records of contacts after the first \d{4}\n/, 'the account is refused before all are listed');
$hubspot->put_records(contacts => [ map { { id => "$_", properties => {} } } 9001 .. 9100 ]);
asks($all, '4690|2345|1|2345', 'records that have nothing');
requests(25, 3, '... are asked for');
foreach my $version ('v4', '2027-03')
{
	$session->query("ALTER SERVER hubspot OPTIONS (ADD api_version '$version')");
	asks($all, '4690|2345|1|2345', "API version $version");
	$session->query('ALTER SERVER hubspot OPTIONS (DROP api_version)');
}
$hubspot->settings({ page_size => 7 });
asks("SELECT count(*) FROM hs_assoc_scan('companies', 'contacts')", 4690, 'small pages');
$hubspot->generate_associations('contacts', 'companies', { first_from => 3, per_from => 60, first_to => 20001 });
asks("SELECT count(*) FROM (SELECT hs_assoc_scan('contacts', 'companies') OFFSET 0) AS s", 4750, 'a record with many pages');
$hubspot->settings({ page_size => 500, id_form => 'number' });
asks("SELECT count(*) FROM hs_assoc_scan('contacts', 'companies')", 4750, 'ids that are numbers');

# Names
make(250);
$hubspot->generate_records(contacts => { first_id => 1, count => 120, properties => { email => 'C{n}@Example.com' } });
asks(q{SELECT count(*), count(from_id), count(DISTINCT from_id), count(DISTINCT from_record), min(from_id) FILTER (WHERE from_record = '7') FROM hs_assoc_scan('contacts:email', 'companies')},
	'500|240|120|250|c7@example.com', 'records by their e-mails, and those without one');
$hubspot->put_records(companies => [ { id => '1', properties => { domain => 'one.example' } } ]);
asks(q{SELECT from_id, from_record, to_id, to_record FROM hs_assoc_scan('contacts:email', 'companies:domain') ORDER BY input_no, to_record LIMIT 2}, "c1\@example.com|1|one.example|1\nc1\@example.com|1||2", 'keys on both sides');
$hubspot->property({ type => 'contacts', name => 'story' });
$hubspot->generate_records(contacts => { first_id => 1, count => 250, properties => { story => 'x' x 60_000 . '{n}' } });
asks(q{SELECT count(*), count(DISTINCT from_id), min(length(from_id)) FROM (SELECT (hs_assoc_scan('contacts:story', 'companies')).* OFFSET 0) AS s}, '500|250|60001', 'long values, one by one');
asks(q{SELECT count(*), count(DISTINCT from_id), min(length(from_id)) FROM hs_assoc_scan('contacts:story', 'companies')}, '500|250|60001', 'long values, of which only some are kept');
is($hubspot->log_count('batch/read$'), 2, '... are read in smaller requests');

# A page that fails is asked for again, where the last one has ended
make(350);
$hubspot->rules([
	{ match => { path => $list, nth => 2 }, action => { status => 503 } },
	{ match => { path => $list, nth => 3 }, action => { status => 429, headers => { 'Retry-After' => '0' } } },
	{ match => { path => $list, nth => 4 }, action => { reset => 'before' } },
	{ match => { path => $list, nth => 6 }, action => { truncate => 20 } },
]);
$hubspot->clear_log;
asks($all, '700|350|1|350', 'a page that fails is asked for again');
my @pages = map { $_->{query} // '' } @{ $hubspot->log(path => $list) };
is(scalar @pages, 8, '... by a request each time');
is($pages[1], $pages[$_], '... from the same place on') foreach 2, 3;
is($pages[4], $pages[1], '... from the same place on');
isnt($pages[5], $pages[1], '... and then from the next one');
$hubspot->clear_rules;
asks_with([ { match => { path => 'batch/read$', first => 2 }, action => { status => 502 } } ], $all, '700|350|1|350', 'a read that fails, too');
fails_with([ { match => { path => $list, after => 2 }, action => { status => 503 } } ], qr/ERROR:  38000: could not list the records of contacts after the first 200\n/, 'until there are enough attempts');
fails_with([ { match => { path => $list, nth => 1 }, action => { status => 400 } } ], qr/ERROR:  22023: could not list the records of contacts\n/, 'a refusal is final');
fails_with([ { match => { path => $list, nth => 2 }, action => { status => 401 } } ], qr/ERROR:  28000: could not list the records of contacts after the first 100/, 'a token that is refused');
fails_with([ { match => { path => $list }, action => { status => 403 } } ], qr/ERROR:  42501: could not list the records of contacts\n.*MISSING_SCOPES/s, 'a scope that is missing');
$session->query('SET hubspot_assoc.max_requests = 3');
fails_with([], qr/ERROR:  54000: this takes more requests than the setting hubspot_assoc.max_requests allows/, 'more requests than a statement may send');
$session->query('RESET hubspot_assoc.max_requests');

# What is not a list, or not all of it
my $page = sub { return { status => 200, body => { results => [ map { { id => "$_" } } @{ $_[0] } ], @_ > 1 ? (paging => { next => $_[1] }) : () } } };
foreach my $answer (
	[ 'no JSON', { text => 'hello', status => 200 }, 'not a list of records' ],
	[ 'no results', { body => { total => 3 }, status => 200 }, 'not a list of records' ],
	[ 'results that are null', { body => { results => undef }, status => 200 }, 'not a list of records' ],
	[ 'results that are no records', { body => { results => [ 'x', 'y' ] }, status => 200 }, 'not a list of records' ],
	[ 'a record without an id', { body => { results => [ { id => '1' }, {} ] }, status => 200 }, 'not a list of records' ],
	[ 'an id that cannot be one', $page->([ '1', '..' ]), 'not a list of records' ],
	[ 'errors', { errors => [ { status => 'error', message => 'not all of it', category => 'X' } ] }, 'not a list of records' ],
	[ 'errors that are only counted', { envelope => { numErrors => 1 } }, 'not a list of records' ],
	[ 'an error in its place', { body => { results => [], message => 'no', category => 'NO' }, status => 200 }, 'not a list of records' ],
	[ 'what is not complete', { envelope => { status => 'CANCELED' } }, 'not a list of records' ],
	[ 'a next page that is nowhere', $page->([ '1' ], {}), 'does not say where the next page is' ],
	[ 'a next page at an empty place', $page->([ '1' ], { after => '' }), 'does not say where the next page is' ],
	[ 'a next page that is only linked', $page->([ '1' ], { link => 'x' }), 'does not say where the next page is' ],
	[ 'a next page that is no object', $page->([ '1' ], 'x'), 'does not say where the next page is' ],
	[ 'a cursor without a bound', $page->([ '1' ], { after => 'x' x 1001 }), 'the paging cursor is too long' ],
	[ 'a cursor that repeats', $page->([ '1' ], { after => 'x' }), 'the paging cursor repeats' ])
{
	my ($name, $action, $problem) = @$answer;
	fails_with([ { match => { path => $list }, action => $action } ], qr/ERROR:  08P01: could not list the records of contacts.*\n.*\Q$problem\E/, $name);
}
fails_with([ map { { match => { path => $list, nth => $_ }, action => $page->([ $_ ], { after => 'abc' x ($_ % 3 + 1) }) } } 1 .. 20 ], qr/could not list .* the paging cursor repeats/s, 'cursors that go in a circle');
fails_with([ map { { match => { path => $list, nth => $_ }, action => $page->([ 5 + $_ % 3 ], { after => "c$_" }) } } 1 .. 120 ], qr/could not list .* after the first 3\n.* pages without further records, and no end of them/s, 'new cursors, and the same records');
fails_with([ map { { match => { path => $list, nth => $_ }, action => $page->($_ == 1 ? [ 1 .. 20_005 ] : [ 1, 50_000 + $_ ], { after => "c$_" }) } } 1 .. 2 ], qr/could not list .* record 1 is listed twice/s, '... that were there long ago');
foreach my $call ("hs_assoc_scan('contacts', 'companies')", "(SELECT (hs_assoc_scan('contacts', 'companies')).* OFFSET 0) AS s")
{
	asks_with([ map { { match => { path => $list, nth => $_ }, action => $page->([ [ 1 .. 5, 5 ], [ 5, 1, 6 ], [ 4 .. 6 ], [ 7, 6, 8 ] ]->[$_ - 1], $_ < 4 ? { after => "c$_" } : ()) } } 1 .. 4 ],
		"SELECT count(*), count(DISTINCT from_id), min(input_no), max(input_no) FROM $call", '16|8|1|8', 'pages that shift: each record once');
}
asks_with([ { match => { path => $list, nth => 1 }, action => $page->([ 100_001 .. 109_000, 1, 109_001 .. 118_999 ], { after => 'c1' }) }, { match => { path => $list, nth => 2 }, action => $page->([ 109_001, 118_999, 2 ]) } ],
	"SELECT count(*), count(DISTINCT from_id), max(input_no) FROM hs_assoc_scan('contacts', 'companies')", '4|2|19001', '... by ten thousand records');
fails_with([ map { { match => { path => $list, nth => $_ }, action => $page->([], { after => "c$_" }) } } 1 .. 105 ], qr/could not list .* pages without further records, and no end of them/s, 'pages without records, and no end');
asks_with([ map { { match => { path => $list, nth => $_ }, action => $page->($_ == 5 ? [ 7 ] : [], $_ < 9 ? { after => "c$_" } : ()) } } 1 .. 9 ], $all, '2|1|1|1', 'some pages without records, and an end');
$session->query("SET hubspot_assoc.progress_interval = 0; SET statement_timeout = '60s'");
asks_with([ map { { match => { path => $list, nth => $_ }, action => $page->($_ == 3 ? [ 7 ] : [], $_ < 3 ? { after => "c$_" } : ()) } } 1 .. 3 ],
	"SELECT count(*) FROM (SELECT hs_assoc_scan('contacts', 'companies') OFFSET 0) AS s", 2, '... also one by one, which does not wait for what the first page has');
$session->query('RESET hubspot_assoc.progress_interval; RESET statement_timeout');
asks_with([ { match => { path => $list, nth => 1 }, action => $page->([ 1 .. 250 ]) } ], $all, '500|250|1|250', 'a page that is larger than any');
asks_with([ { match => { path => $list, nth => 1 }, action => { body => { results => [ { id => '1', properties => undef } ], paging => { next => undef } }, status => 200 } } ], $all, '2|1|1|1', 'members that are null');

# Records that cannot be read, or are gone by then
my $bad = { category => 'VALIDATION_ERROR', status => 'error', message => 'no such thing', context => { fromObjectId => ['7'] } };
asks_with([ { match => { id => '7', path => 'batch/read$' }, action => { status => 400, body => { status => 'error', %$bad } } } ],
	q{SELECT count(*), count(DISTINCT from_id), min(input_no) FILTER (WHERE to_id IS NULL), max(error_category) FROM hs_assoc_scan('contacts', 'companies')}, '699|350|7|VALIDATION_ERROR', 'a record that cannot be read is a row');
my $gone = { category => 'OBJECT_NOT_FOUND', status => 'error', message => 'One or more objects not found', context => { ids => ['7'] } };
asks_with([ { match => { id => '7', path => 'batch/read$' }, action => { status => 404, body => $gone } } ],
	q{SELECT count(*), count(DISTINCT from_id), min(input_no) FILTER (WHERE to_id IS NULL), max(error_category) FROM hs_assoc_scan('contacts', 'companies')}, '699|350|7|OBJECT_NOT_FOUND', '... nor is one that is gone an error of the object types');
fails_with([ { match => { id => '7', path => 'batch/read$' }, action => { status => 400, body => { status => 'error', %$bad } } } ], qr/ERROR:  22023: could not read the associations of contacts 7 with companies/, '... or an error', q{SELECT count(*) FROM hs_assoc_scan('contacts', 'companies', on_error => 'raise')});
fails_with([ { match => { id => '7', path => 'batch/read$' }, action => { status => 400, body => { status => 'error', %$bad } } } ], qr/ERROR:  22023: could not read the associations of contacts 7 with companies/, '... also if it has no name', q{SELECT count(*) FROM hs_assoc_scan('contacts:email', 'companies', on_error => 'raise')});
$hubspot->put_records(contacts => [ map { { id => "$_", properties => {} } } 5, 150, 349 ]);
$hubspot->rules([ { match => { path => $list, nth => 4 }, action => { hold => 1 } } ]);
$session->send($all);
wait_until(sub { $hubspot->hits->{rules}[0]{hits} });
$hubspot->delete_records(contacts => (id => "$_")) foreach 5, 150, 349;
$hubspot->release;
is(($session->finish)[0], '694|347|1|350', 'records that are deleted meanwhile have no rows');
$hubspot->clear_rules;

# A property that is not there, which HubSpot passes over
fails_with([], qr/ERROR:  22023: could not list the records of contacts\n.*there is no property "emial"; did you mean "email"\?/s, 'a property that is not there', q{SELECT count(*) FROM hs_assoc_scan('contacts:emial', 'companies')});
fails_with([ { match => { path => '/properties/' }, action => { status => 500 } } ], qr/^(?!.*ERROR)/s, '... unless that cannot be asked for', q{SELECT count(*) FROM hs_assoc_scan('contacts:emial', 'companies')});
$hubspot->property({ type => 'contacts', name => 'nickname' });
asks_with([], q{SELECT count(*), count(from_id) FROM hs_assoc_scan('contacts:nickname', 'companies')}, '694|0', 'one that is, of which nobody has a value');

# An object type that is not there, on the other side: an error at the first answer, not a row for each record
$hubspot->clear_log;
fails_with([], qr/ERROR:  22023: could not read the associations of contacts with nonsense\n.*Unable to infer object type from: nonsense/s, 'an object type that is not there', q{SELECT count(*) FROM hs_assoc_scan('contacts', 'nonsense')});
is($hubspot->log_count('batch/read$'), 1, '... costs one request beside the list');
$hubspot->clear_log;
fails_with([], qr/ERROR:  22023: could not read the associations of contacts with nonsense\n/, '... one by one', q{SELECT count(*) FROM (SELECT hs_assoc_scan('contacts', 'nonsense') OFFSET 0) AS s});
requests(1, 1, '... and then after the first page');
fails_with([], qr/ERROR:  22023: could not read the associations of contacts with companies:nonsense\n.*there is no property "nonsense"/s, '... and a property of the other side', q{SELECT count(*) FROM hs_assoc_scan('contacts', 'companies:nonsense')});

# Progress, cancel, rights
$session->query("SET hubspot_assoc.progress_interval = '50ms'");
$hubspot->settings({ latency_ms => 40 });
like($session->told($all), qr/NOTICE: .*\d+ inputs? read, \d+ confirmed, 0 failed; \d+ requests?/, 'progress is told');
$session->query('RESET hubspot_assoc.progress_interval');
$hubspot->settings({ latency_ms => 0 });
my $stopwatch_node = start_node('log_duration' => 'on', 'log_timezone' => 'UTC');
create_account($stopwatch_node, $hubspot, rate_limit => 0);
my $stopwatch = start_stopwatch($stopwatch_node);
my $other = start_session($stopwatch_node);
$other->query("SELECT count(*) FROM hs_assoc_scan('deals', 'companies')");
foreach my $moment ([ 'a page', $list, 1 ], [ 'a later page', $list, 3 ], [ 'a read', 'batch/read$', 1 ])
{
	my ($name, $path, $nth) = @$moment;
	$hubspot->rules([ { match => { path => $path, nth => $nth }, action => { hang => Cpanel::JSON::XS::true() } } ]);
	$stopwatch->send($other, $all);
	wait_until(sub { $hubspot->stats->{in_flight} > 0 && $hubspot->hits->{rules}[0]{hits} });
	my ($out, $err, $late) = $stopwatch->cancel($other);
	like($err, qr/canceling statement due to user request/, "cancel within $name");
	cmp_ok($late, '<', 0.1, '... at once') unless instrumented();
	$hubspot->clear_rules;
}
$other->send($all);
is(($other->finish)[0], '694|347|1|347', 'and the session goes on');
$other->quit;
$session->query('CREATE ROLE nobody; SET ROLE nobody');
fails($all, qr/ERROR:  42501: permission denied for foreign server hubspot/, 'a role without USAGE');
$session->query('RESET ROLE; GRANT USAGE ON FOREIGN SERVER hubspot TO nobody; SET ROLE nobody');
$session->send($all);
is(($session->finish)[0], '694|347|1|347', '... and with it');
$session->query('RESET ROLE');
fails("SELECT hs_assoc_scan(NULL, 'companies')", qr/ERROR:  22004/, 'no object type');
fails("SELECT hs_assoc_scan('contacts', 'companies', 'rows')", qr/ERROR:  22023/, 'a value of on_error');
$session->quit;

# Memory
$hubspot->reset;
$hubspot->generate_records(contacts => { first_id => 1, count => 200_000, properties => { email => 'c{n}@example.com' } });
my $many = start_session($node);
$many->query("SELECT count(*) FROM hs_assoc_scan('deals', 'companies')");
my $before = peak_memory($many->pid);
is($many->query("SELECT count(*) FROM hs_assoc_scan('contacts:email', 'companies')"), 0, '200,000 records by their names');
takes_at_most(peak_memory($many->pid) - $before, 12 * 1024, '... in bounded memory');
$many->quit;

done_testing();

# An account with so many contacts, with two companies each
sub make { my ($count) = @_; $hubspot->reset; return $hubspot->generate_associations('contacts', 'companies', { count => $count, per_from => 2 }) }

sub asks
{
	my ($sql, $expected, $name) = @_;
	$hubspot->clear_log;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	is($out, $expected, $name) or diag($err);
	return;
}

sub fails { my ($sql, $pattern, $name) = @_; return like($session->told($sql), $pattern, $name) }

sub asks_with
{
	my ($rules, @rest) = @_;
	$hubspot->rules($rules);
	asks(@rest);
	$hubspot->clear_rules;
	return;
}

sub fails_with
{
	my ($rules, $pattern, $name, $sql) = @_;
	$hubspot->rules($rules);
	fails($sql // $all, $pattern, $name);
	$hubspot->clear_rules;
	return;
}

# So many requests were sent since the last query.
sub requests
{
	my ($pages, $reads, $name) = @_;
	is($hubspot->log_count('objects/2026-03/\w+$') . ' and ' . $hubspot->log_count('batch/read$'), "$pages and $reads", $name);
	return;
}
