# What answers to look-ups say of keys, and what they leave open: nobody is missing, and
# nothing is gone, unless HubSpot says so.

use strict;
use warnings;
use utf8;

use Encode qw(encode_utf8);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s');
my $session = start_session($node);
$session->query('SET client_min_messages = error');

my ($reads, $searches) = ('/batch/read$', '/search$');

sub answer { my ($path, %action) = @_; $hubspot->clear_rules; $hubspot->rules({ match => { path => $path }, action => \%action }); return }

sub start_over
{
	$hubspot->reset;
	$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'ann@example.com' } }, { id => 102, properties => { email => 'bob@example.com' } } ]);
	$hubspot->put_records(companies => [ { id => 201, properties => { domain => 'acme.example' } } ]);
	return;
}

sub resolve
{
	my ($type, @keys) = @_;
	return $session->query(encode_utf8(sprintf q{SELECT string_agg(concat_ws(' ', record_id, candidates, error_category, substring(error_message for 100)), E'\n' ORDER BY input_no)
		FROM hs_assoc_resolve('%s', '{%s}'::text[])}, $type, join ',', @keys));
}

sub operations { my $log = join ' ', map { "$_->{operation} $_->{status}" } @{ $hubspot->log }; $hubspot->clear_log; return $log }

#
# An error that names nobody
#
start_over();
my @oops = (status => 207, body => { status => 'COMPLETE', results => [], numErrors => 1,
		errors => [ { status => 'error', category => 'INTERNAL_ERROR', message => 'Oops' } ] });
answer($reads, @oops);
is(resolve('contacts:email', 'ann@example.com'), 'NOT_SENT could not look up contacts by email: Oops', 'an error that names nobody: a key is not missing');
is(resolve('contacts:email', 'ann@example.com', 'bob@example.com'), join("\n", ('NOT_SENT could not look up contacts by email: Oops') x 2), '... nor are two');
is(resolve('contacts', 101), 'NOT_SENT could not look up contacts: Oops', '... nor is an id');
$hubspot->put_associations('contacts', 'companies', [ [ '101', '201' ] ]);
is($session->query(q{SELECT ok, error_category FROM hs_assoc_archive('contacts:email', 'ann@example.com', 'companies', '201')}), 'f|NOT_SENT',
	'... and nothing is said to be removed');
answer($searches, @oops, body => { %{ $oops[3] }, total => 0 });
is(resolve('companies:domain', 'acme.example', 'none.example'), join("\n", ('NOT_SENT could not look up companies by domain: Oops') x 2), '... nor is what is searched for');
answer($reads, status => 207, body => { status => 'COMPLETE', results => [], numErrors => 1, errors => [ { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'None' } ] });
is(resolve('contacts:email', 'ann@example.com'), q{RECORD_NOT_FOUND there is no record of contacts with email "ann@example.com"}, 'one that says of the only key that nothing is there: it is missing');
answer($reads, status => 207, body => { status => 'COMPLETE', results => [], numErrors => 2, errors => [ { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'None',
				context => { ids => ['other@example.com'] } } ] });
like(resolve('contacts:email', 'ann@example.com'), qr/^NOT_SENT /, 'errors that are not all there say nothing');

#
# Errors that name keys, and more
#
my %named = (status => 'error', category => 'VALIDATION_ERROR', message => 'Not allowed',
	context => { ids => ['ann@example.com'], objectType => ['CONTACT'], associationSpec => ['USER_DEFINED=3'] });
answer($reads, status => 207, body => { status => 'COMPLETE', results => [ { id => '102', properties => { email => 'bob@example.com' } } ], numErrors => 1, errors => [ \%named ] });
like(resolve('contacts:email', 'ann@example.com', 'bob@example.com'), qr/\ANOT_SENT could not look up contacts by email: Not allowed \(.*\n102\z/,
	'an error that names a key is that of this key alone');
my @strangers = map { { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'None', context => { ids => ["x$_\@example.com"] } } } 1 .. 300;
my %missing = (status => 'error', category => 'OBJECT_NOT_FOUND', message => 'None', context => { ids => ['ann@example.com'] });
answer($reads, status => 207, body => { status => 'COMPLETE', results => [], numErrors => 300, errors => [ @strangers[ 0 .. 298 ], \%missing ] });
like(resolve('contacts:email', 'ann@example.com'), qr/^RECORD_NOT_FOUND /, 'the last of 300 errors is read');
answer($reads, status => 207, body => { status => 'COMPLETE', results => [], numErrors => 301, errors => [ @strangers, \%missing ] });
is(resolve('contacts:email', 'ann@example.com'), 'NOT_SENT could not look up contacts by email: the answer does not say whether there is such a record',
	'what comes after 300 errors is not, and nothing is said to be missing');
answer($reads, status => 207, body => { status => 'COMPLETE', results => [], numErrors => 'some', errors => [ $strangers[0] ] });
like(resolve('contacts:email', 'ann@example.com'), qr/^NOT_SENT /, 'a number of errors that is none says nothing');
answer($searches, status => 200, body => { total => 'all', results => [ { id => '201', properties => { domain => 'acme.example' } } ] });
like(resolve('companies:domain', 'acme.example'), qr/^\{201\} RECORD_AMBIGUOUS /, '... nor does such a number of records');

#
# Records that are there twice, that have other ids, and whose values are too long for a key
#
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ map { { id => $_, properties => { email => 'ann@example.com' } } } 101, 101 ] });
is(resolve('contacts:email', 'ann@example.com'), 101, 'one record twice is one');
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ map { { id => $_, properties => { email => 'ann@example.com' } } } 101, 102, 101, 102 ] });
like(resolve('contacts:email', 'ann@example.com'), qr/^\{101,102\} RECORD_AMBIGUOUS /, '... and two are two');
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ { id => '555', properties => {} } ] });
is(resolve('contacts', 101), 555, 'who asks for one id, and gets another one, has a record that was merged');
like(resolve('contacts', 101, 102), qr/\A555\n555\z/, '... also of two, after both were asked for alone');
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ { id => '7', properties => { email => 'x' x 5000 } } ] });
like(resolve('contacts:email', 'ann@example.com', 'bob@example.com'), qr/\A\{7\} RECORD_NOT_FOUND .*\n\{7\} RECORD_NOT_FOUND /, 'a value that is too long for a key is none');

#
# Answers that are none
#
foreach my $text ('<html>Sign in</html>', '{}', '{"status":"COMPLETE"}', '{"status":"error","message":"Internal error"}', '[]', '')
{
	answer($reads, status => 200, text => $text);
	is($session->query(q{SELECT DISTINCT ok, error_category, error_message FROM hs_assoc_batch_create_default('contacts:email', 'companies',
			'SELECT * FROM (VALUES (''ann@example.com'', 1), (''bob@example.com'', 1)) AS v (from_id, to_id)')}),
		'f|NOT_SENT|could not look up contacts by email: the answer is not a list of records', "an answer of '$text': nothing was sent");
}

#
# How keys are found is learned from what HubSpot does
#
start_over();
$hubspot->property({ type => 'deals', name => 'sku' });
$hubspot->put_records(deals => [ map { { id => 300 + $_, properties => { sku => "S$_" } } } 1 .. 3 ]);
$hubspot->settings({ not_unique => 'plain' });
answer($reads, status => 200, text => '<html>Sign in</html>');
like(resolve('deals:sku', 'S1'), qr/^NOT_SENT/, 'somebody else answers');
$hubspot->clear_rules;
operations();
is(resolve('deals:sku', 'S1', 'S2', 'S3'), "301\n302\n303", '... from whom nothing is learned');
is(operations(), 'read_records 400 search_records 200', '... and no more is asked than need be');
is(resolve('deals:sku', 'S1') . ' ' . operations(), '301 search_records 200', 'it is remembered');

start_over();
$hubspot->property({ type => 'deals', name => 'erp', unique => \1 });
$hubspot->put_records(deals => [ map { { id => 300 + $_, properties => { erp => "E$_" } } } 1 .. 3 ]);
is(resolve('deals:erp', 'E1') . ' ' . operations(), '301 read_records 200', 'a unique property is read');
foreach my $words (qw(plain write read context))
{
	start_over();
	$hubspot->property({ type => 'deals', name => "p_$words", unique => \1 });
	$hubspot->put_records(deals => [ map { { id => 300 + $_, properties => { "p_$words" => "E$_" } } } 1 .. 3 ]);
	is(resolve("deals:p_$words", 'E1'), 301, 'a property that is unique');
	start_over();
	$hubspot->settings({ not_unique => $words });
	$hubspot->property({ type => 'deals', name => "p_$words" });
	$hubspot->put_records(deals => [ map { { id => 300 + $_, properties => { "p_$words" => "E$_" } } } 1 .. 3 ]);
	operations();
	is(resolve("deals:p_$words", 'E1', 'E2', 'E3') . ' ' . operations(), "301\n302\n303 read_records 400 search_records 200", "... and is no longer ($words): it is searched for");
}

#
# A search for one key that finds something else tells of that
#
answer($searches, status => 200, body => { total => 1, results => [ { id => '77', properties => { sku => 'T' } } ] });
like(resolve('deals:sku', 'S1'), qr/^\{77\} RECORD_NOT_FOUND .*HubSpot's search/, 'a search for one key that finds another record: it is a candidate');
like(resolve('deals:sku', 'S1', 'S2'), qr/\ARECORD_NOT_FOUND [^{]*\nRECORD_NOT_FOUND [^{]*\z/, '... of two keys it is not');

#
# A property that there is not is refused once, wherever it is named
#
start_over();
$hubspot->generate_associations('contacts', 'companies', { count => 100, per_from => 5, to_count => 500 });
$hubspot->put_records(companies => [ map { { id => $_, properties => { domain => "d$_.example" } } } 1 .. 500 ]);
my $shown = q{SELECT error_category, error_message, count(*), count(to_record), count(to_id) FROM hs_assoc_batch_read('contacts', 'companies:%s',
	'SELECT i AS from_id FROM generate_series(1, 100) AS i') GROUP BY 1, 2 ORDER BY 1};
my $companies = 'objects/2026-03/companies/batch/read$';
my @no = (status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No' });
operations();
is($session->query(sprintf $shown, 'doman'), 'NOT_SENT|could not look up companies: there is no property "doman"; did you mean "domain"?|500|500|0',
	'a property that there is not, to show records by');
cmp_ok(scalar(() = operations() =~ /\d+/g), '<=', 13, '... is not asked for over and over');
$hubspot->rules({ match => { path => $companies, first => 1 }, action => {@no} });
is($session->query(sprintf $shown, 'domain'), '||500|500|500', 'one that there is: a refusal is about something else');
answer($companies, @no);
is($session->query(sprintf $shown =~ s/100/2/r, 'domain'), 'NOT_SENT|could not look up companies: No|10|10|0', '... also if nobody is told');
$hubspot->put_associations('contacts', 'companies', [ [ '900', '1' ] ]);
is($session->query(q{SELECT to_id, to_record, error_category, error_message FROM hs_assoc_batch_read('contacts', 'companies:domain', '{900}'::text[])}),
	'|1|NOT_SENT|could not look up companies: No', '... of one record that is refused');
$hubspot->clear_rules;
operations();
is(scalar(() = resolve('companies:doman', map { "d$_" } 1 .. 300) =~ /NOT_SENT could not .*did you mean "domai/g), 300, 'one to find records by');
is(operations(), 'read_records 400 search_records 400 list_properties 200', '... is asked for once');
is($session->query(q{SELECT error_category, count(*), count(DISTINCT error_message) FROM hs_assoc_batch_create_default('companies:doman', 'contacts',
	'SELECT ''d'' || i AS from_id, i AS to_id FROM generate_series(1, 20000) i') GROUP BY 1}), 'NOT_SENT|20000|1', '... also for rows that come after it was refused');
is(operations(), 'read_records 400 search_records 400 list_properties 200', '... likewise');
answer($reads, status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'idProperty is missing' });
is(resolve('companies', 1 .. 5), join("\n", ('NOT_SENT could not look up companies: idProperty is missing') x 5), 'ids that are refused because HubSpot wants a property');
is(scalar @{ $hubspot->log }, 1, '... are asked for once, too');
$hubspot->clear_rules;

#
# A request that is not full goes when no row can go on
#
operations();
is($session->query(q{SELECT count(*) FROM hs_assoc_batch_create_default('companies:domain', 'contacts',
	'SELECT ''d7.example'' AS from_id, i AS to_id FROM generate_series(1, 40000) i') WHERE ok AND from_record = '7'}), 40_000, 'one key of many rows');
is(scalar(() = operations() =~ /search_records/g), 1, '... is asked for once');

#
# Small letters stay as they are
#
start_over();
$hubspot->put_records(companies => [ { id => 202, properties => { name => 'Παπαδόπουλος' } }, { id => 203, properties => { name => 'ſ' } }, { id => 204, properties => { domain => 'νίκος.example' } } ]);
is(resolve('companies:name', 'Παπαδόπουλος', 'ſ'), "202\n203", 'letters that are small already are searched for as they are');
is(resolve('companies:domain', 'νίκος.example', 'ΝΊΚΟς.EXAMPLE'), "204\n204", '... also where case counts for nothing');

#
# What was given is in the rows
#
is($session->query(q{SELECT from_id = '', to_id = '201' FROM hs_assoc_create_default('contacts:email', '', 'companies', '201')}), 't|t', 'an empty key is told as that');

#
# Answers that are larger than any that was asked for
#
start_over();
my @many = map { "more$_\@home.example" } 1 .. 100_000;
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ { id => '7', properties => { email => 'x', hs_additional_emails => join ';', @many } } ] });
is(resolve('contacts:email', 'MORE99999@home.example', 'more5@home.example'), "7\n7", 'a record with 100,000 further e-mails');
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ map { { id => "$_", properties => { email => 'ann@example.com' } } } 1 .. 100_000 ] });
my ($row, $peak) = measure($session, q{SELECT cardinality(candidates), error_category, error -> 'total', length(error_message) < 500 FROM hs_assoc_resolve('contacts:email', '{ann@example.com}'::text[])});
is($row, '20|RECORD_AMBIGUOUS|100000|t', '100,000 records with one e-mail');
takes_at_most($peak, 48 * 1024, '... take no more than their answer, a few times');
answer($reads, status => 200, body => { status => 'COMPLETE', results => [ map { { id => "$_", properties => { email => "x$_" } } } 1 .. 100_000 ] });
like(resolve('contacts:email', 'ann@example.com'), qr/^\{1,2,3,.*,20\} RECORD_NOT_FOUND /, '100,000 records with others');
foreach my $id ('9' x 101, '..', '', "7\n", 'ä')
{
	answer($reads, status => 200, body => { status => 'COMPLETE', results => [ { id => $id, properties => { email => 'ann@example.com' } } ] });
	like(resolve('contacts:email', 'ann@example.com'), qr/^NOT_SENT /, 'a record whose id cannot be one: "' . (encode_utf8(substr $id, 0, 5) =~ s{\n}{\\n}r) . '"');
}
foreach my $properties ('null', '[]', '7', '{"email":null}', '{"email":["x"]}', '{"email":{"value":"ann@example.com"}}', '{"hs_additional_emails":";;;"}', '{"email":"ann@example.com\\u0000"}')
{
	answer($reads, status => 200, text => qq({"status":"COMPLETE","results":[{"id":"7","properties":$properties}]}));
	like(resolve('contacts:email', 'ann@example.com'), qr/^\{7\} RECORD_NOT_FOUND /, "properties that do not have it: $properties");
}

#
# A property that exists, and keys that are refused without a name
#
start_over();
$hubspot->property({ type => 'deals', name => 'sku' });
$hubspot->put_records(deals => [ map { { id => 300 + $_, properties => { sku => "s$_" } } } 1 .. 60 ]);
$hubspot->rules({ match => { path => $searches, id => 's13' }, action => {@no} });
my $found = resolve('deals:sku', map { "s$_" } 1 .. 60);
is(scalar(() = $found =~ /^3\d\d$/mg), 59, 'one key of 60 is refused: the others are found');
like($found, qr/^NOT_SENT could not look up deals by sku: No$/m, '... and it says so');
$session->query('ALTER SERVER hubspot OPTIONS (ADD concurrency \'1\')');
$hubspot->clear_rules;
$hubspot->clear_log;
answer($searches, @no);
is(resolve('deals:sku', map { "s$_" } 1 .. 60), join("\n", ('NOT_SENT could not look up deals by sku: No') x 60), 'all are refused: each says so');
cmp_ok(scalar @{ $hubspot->log }, '<=', 40, '... after ' . @{ $hubspot->log } . ' requests');
$session->query('ALTER SERVER hubspot OPTIONS (DROP concurrency)');
$hubspot->clear_rules;

#
# The account is refused while keys of another type are still to be asked for
#
start_over();
$hubspot->property({ type => 'companies', name => 'vat' });
$hubspot->rules({ match => { path => '/contacts/batch/read$' }, action => { status => 451, body => { message => 'Not in this country' } } });
$hubspot->rules({ match => { path => '/companies/batch/read$' }, action => { status => 400, delay_ms => 300, body => { status => 'error',
			category => 'VALIDATION_ERROR', message => 'by non-unique property vat' } } });
$hubspot->clear_log;
is($session->query(q{SELECT ok, error_category, error_message FROM hs_assoc_create_default('companies:vat', 'x1', 'contacts:email', 'ann@example.com')}),
	q{f|NOT_SENT|not sent after an answer that is not HubSpot's: Not in this country}, 'a look-up that is not sent after a refusal of the account says which one');
is(join(' ', sort map { "$_->{path} $_->{status}" =~ m{(\w+/batch/read \d+)$} } @{ $hubspot->log }), 'companies/batch/read 400 contacts/batch/read 451', '... and is not sent');
my $refused = $session->told(q{SELECT hs_assoc_create_default('companies:vat', 'x1', 'contacts:email', 'ann@example.com', on_error => 'raise')});
like($refused, qr/ERROR:  08P01: .*\nDETAIL:  NOT_SENT: not sent after an answer that is not HubSpot's: Not in this country/m, '... and an ERROR has its SQLSTATE')
  or diag($refused);
$hubspot->clear_rules;

#
# Answers that are far too large: what is made of them has a bound
#
start_over();
my @cases = map { my $n = $_; my $i = 0; join '', map { $n & (1 << $i++) ? uc $_ : $_ } split //, 'abcdefg' } 0 .. 99;
my %large = (
	'100,000 records that have it in another case' => join(',', map { qq({"id":"$_","properties":{"sku":"ABCDEFg"}}) } 1 .. 100_000),
	'a record that has it 200,000 times' => '{"id":"7","properties":{' . join(',', ('"sku":"abcdefg"') x 200_000) . '}}');
foreach my $what (sort keys %large)
{
	my $text = qq({"total":1,"results":[$large{$what}]});
	answer('/deals/batch/read', status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'by non-unique property sku' });
	$hubspot->rules({ match => { path => $searches }, action => { status => 200, text => $text } });
	my ($rows, $peak) = measure($session, sprintf q{SELECT error_category FROM hs_assoc_resolve('deals:sku', '{%s}'::text[])}, join ',', @cases);
	is(scalar(split /\n/, $rows), 100, "$what: a row for each key");
	takes_at_most($peak, 80 * 1024, '... and little memory');
}

$session->quit;
done_testing();
