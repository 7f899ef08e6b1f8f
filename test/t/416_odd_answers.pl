# Odd answers: a member that nobody can read is not as good as none. What is not said to be
# done, or all that there is, does not count as that; and what is odd is named.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my ($true, $false) = (Cpanel::JSON::XS::true, Cpanel::JSON::XS::false);
my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
$session->query('SET client_min_messages = error');

# Answers a request, or each, with an action.
sub answer { my (@rules) = @_; $hubspot->clear_rules; $hubspot->clear_log; $hubspot->rules(\@rules); return }
sub body { my ($body, $status) = @_; return { status => $status // 200, body => $body } }

# What is told of a statement that fails; or its rows.
sub told
{
	my ($sql) = @_;
	$session->send($sql);
	my ($rows, $told) = $session->finish;
	return $told ne '' ? $told =~ s/^psql:<stdin>:\d+: //r : $rows;
}

# The rows of records that are read, those that HubSpot says twice being one.
sub read_of
{
	my (@ids) = @_;
	return $session->query(sprintf q{SELECT string_agg(concat_ws(' ', from_id, to_id, error_category, error_message), E'\n' ORDER BY input_no, to_id)
		FROM hs_assoc_batch_read('contacts', 'companies', '{%s}'::text[])}, join ',', @ids);
}

sub list_of
{
	my ($id) = @_;
	return told("SELECT string_agg(to_id, ' ' ORDER BY to_id) FROM hs_assoc_list('contacts', $id, 'companies')");
}

sub archived
{
	my ($count) = @_;
	return $session->query(qq{SELECT string_agg(concat_ws(' ', ok, error_category, error_message), E'\\n' ORDER BY input_no)
		FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, $count) i')});
}

my $record = sub { my ($id, $paging, @to) = @_; return { from => { id => "$id" }, to => [ map { { toObjectId => "$_", associationTypes => [] } } @to ], defined $paging ? (paging => $paging) : () } };

#
# Sending ends by the answer to a look-up, or to a list, while requests wait for their turn
#
$hubspot->reset;
create_account($node, $hubspot, name => 'single', rate_limit => 0, max_retries => 0, key_cache => '0s', concurrency => 1, batch_size => 1);
foreach my $status (401, 403, 405, 429, 530)
{
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com" } } } 1 .. 4 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 4 ]);
	$hubspot->put_associations('contacts', 'companies', [ map { [ 100 + $_, 200 + $_ ] } 1 .. 4 ]);
	foreach my $nth (1 .. 4)
	{
		my $refused = { status => $status, headers => { 'Retry-After' => '3600' } };

		foreach my $path ('objects/2026-03/contacts/batch/read$', 'companies/(search|batch/read)$')
		{
			answer({ match => { path => $path, nth => $nth }, action => $refused });
			my $rows = $session->query(q{SELECT string_agg(concat_ws(' ', ok, coalesce(error_category, 'done')), ', ' ORDER BY input_no) FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
				$$SELECT format('c%s@example.com', i) AS from_id, format('d%s.example', i) AS to_id FROM generate_series(1, 4) i$$, server => 'single')});
			like($rows, qr/^((^|, )(t done|f \S+)){4}$/, "$status for look-up $nth of $path: a row for each");
			like($rows, qr/f NOT_SENT/, '... some of which were not sent');
			like($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts:email', 'companies:domain', ARRAY['c1@example.com', 'c2@example.com', 'c3@example.com', 'c4@example.com'], server => 'single')}),
				qr/^[4-8]$/, '... a read');
		}
		answer({ match => { path => 'objects/2026-03/contacts$', nth => $nth }, action => $refused }, { match => { path => 'companies/batch/read$', nth => $nth }, action => $refused });
		like(told("SELECT count(*) FROM hs_assoc_scan('contacts:email', 'companies:domain', server => 'single')"), qr/^(ERROR:  \S+: could not |\d+$)/, '... a scan');
	}
	# the property is refused, and then the list of properties
	answer({ match => { path => 'companies/(search|batch/read)$' }, action => { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No' } } },
		{ match => { path => 'properties' }, action => { status => $status, headers => { 'Retry-After' => '3600' } } });
	like($session->query(q{SELECT string_agg(concat_ws(' ', ok, error_category), ', ' ORDER BY input_no) FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
			$$SELECT format('c%s@example.com', i) AS from_id, CASE i WHEN 1 THEN '201' ELSE format('d%s.example', i) END AS to_id FROM generate_series(1, 4) i$$, server => 'single')}),
		qr/^(f \S+(, |$)){4}$/, "$status for the list of properties");
	like($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies:domain', '{101,102,103,104}'::text[], server => 'single')}), qr/^[4-8]$/, '... while records are read');
}

#
# A next page that nobody can find is no end of the pages
#
my $nowhere = qr/HubSpot's answer does not say where the next page is/;
foreach my $paging ('next', 5, $true, [], [ { next => { after => 'A' } } ], { next => 'A' }, { next => 7 }, { next => $true }, { next => [ { after => 'A' } ] },
	{ next => {} }, { next => { after => '' } }, { next => { after => $true } }, { next => { after => [ 'A' ] } }, { next => { after => { id => 'A' } } })
{
	my $name = encode_json([$paging]);

	answer({ action => body({ results => [ $record->(1, undef, 11), $record->(2, $paging, 21), $record->(3, undef) ] }) });
	like(read_of(1 .. 3), qr/^1 11\n2 UNCONFIRMED $nowhere$/, "paging $name: a record in a batch");
	answer({ action => body({ results => [ { toObjectId => '11', associationTypes => [] } ], paging => $paging }) });
	like(list_of(1), qr/^ERROR:  08P01: .*\nDETAIL:  UNCONFIRMED: $nowhere/, '... a list');
	answer({ match => { path => 'objects/2026-03/contacts$' }, action => body({ results => [ { id => '1' } ], paging => $paging }) });
	like(told("SELECT count(*) FROM hs_assoc_scan('contacts', 'companies')"), qr/^ERROR:  08P01: .*\n.*the answer does not say where the next page is/, '... the list of an account');
}
foreach my $paging ({}, { next => undef }, { next => { after => undef } }, { next => { after => undef, link => '' } }, { prev => { before => 'A' } })
{
	my $name = encode_json([$paging]);

	answer({ action => body({ results => [ $record->(1, $paging, 11) ] }) });
	is(read_of(1), '1 11', "paging $name: there is no further page");
	answer({ action => body({ results => [ { toObjectId => '11', associationTypes => [] } ], paging => $paging }) });
	is(list_of(1), '11', '... of a list');
}

# Nothing is removed, and nothing is planned, by half of what a record has
$hubspot->reset;
$hubspot->put_associations('contacts', 'companies', [ [ 1, 11 ], [ 1, 12 ] ]);
answer({ match => { path => 'batch/read$' }, action => body({ results => [ $record->(1, [], 12) ] }) });
is($session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id, error_category), E'\n') FROM hs_assoc_apply('contacts', 'companies', 'SELECT 1 AS from_id, 11 AS to_id')}),
	'unreadable 1 UNCONFIRMED', 'a plan: the record is not read');
$hubspot->clear_rules;
is($hubspot->association_count('contacts', 'companies'), 2, '... and keeps what it has');

#
# Members of a kind that nobody expects
#
foreach my $status ($true, $false, {}, [], [ 'COMPLETE' ], { is => 'COMPLETE' }, 5, '', 'complete')
{
	answer({ action => body({ status => $status, results => [] }) });
	my $shown = encode_json([$status]) =~ s/^\[(.*)\]$/$1/r =~ s/^"(.*)"$/$1/r;
	is(archived(2), join("\n", ("f UNCONFIRMED not in HubSpot's answer, whose status is $shown") x 2), "status $shown: nothing is removed");
	like(told("SELECT hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279)"), qr/^ERROR:  08P01: .*\nDETAIL:  UNCONFIRMED: the status of the answer is "?\Q$shown\E/, '... nor a limit')
	  unless $shown eq '';
}
foreach my $errors ($true, {}, [], [ 0 ], 'none', '', 0.5, -1)
{
	answer({ action => body({ status => 'COMPLETE', numErrors => $errors, results => [] }) });
	is(archived(2), join("\n", ("f UNCONFIRMED not in HubSpot's answer") x 2), 'numErrors ' . encode_json([$errors]) . ': nothing is removed');
}
foreach my $more ({ status => undef }, { status => 'COMPLETE' }, { status => 'COMPLETE', numErrors => undef }, { status => 'COMPLETE', numErrors => '0' }, { numErrors => 0 })
{
	answer({ action => body({ results => [], %$more }) });
	is(archived(2), "t\nt", encode_json($more) . ': all is removed');
}

# A list that is there, and tells of a failure
foreach my $more ({ status => 'PENDING' }, { status => {} }, { numErrors => 1 }, { numErrors => {} }, { errors => [ 1 ] }, { errors => [ { message => 'Half of it', category => 'X' } ] },
	{ message => 'Half of it' }, { category => 'X' })
{
	answer({ action => body({ results => [ { toObjectId => '11', associationTypes => [] } ], %$more }) });
	like(list_of(1), qr/^ERROR:  (08P01|22023): could not read the associations of contacts 1 with companies\n/, 'a list with ' . encode_json($more) . ': it is not all');
}

#
# What is defined, and how much is used: all of it, or an ERROR that says what is odd
#
$hubspot->reset;
my $partner = { category => 'USER_DEFINED', typeId => 1, label => 'Partner' };
my %lists = (
	"hs_assoc_labels('contacts', 'companies')" => $partner,
	"hs_assoc_limits('contacts', 'companies')" => $partner,
	'hs_assoc_limits()' => $partner,
	'hs_assoc_quota()' => { name => 'private-apps-api-calls-daily', usageLimit => 10, currentUsage => 1 },
	'hs_assoc_object_types()' => { objectTypeId => '2-7', fullyQualifiedName => 'p1_cars' },
	"hs_assoc_label_usage('contacts', 'companies')" => { fromObjectType => { objectTypeId => '0-1' }, toObjectType => { objectTypeId => '0-2' } },
	'(SELECT * FROM labels_of WHERE f = \'contacts\' AND t = \'companies\') AS l' => $partner,
	'object_types' => { objectTypeId => '2-7', fullyQualifiedName => 'p1_cars' });
$session->query(q{CREATE FOREIGN TABLE labels_of (f text OPTIONS (role 'from_type'), t text OPTIONS (role 'to_type'), label text) SERVER hubspot OPTIONS (kind 'labels');
	CREATE FOREIGN TABLE object_types (object_type_id text, name text) SERVER hubspot OPTIONS (kind 'object_types')});
my @odd = (
	[ { paging => { next => { after => 'A' } } }, qr/the answer is the first of several pages/ ],
	[ { paging => 'A' }, qr/the answer is the first of several pages/ ],
	[ { status => 'PENDING' }, qr/the status of the answer is PENDING/ ],
	[ { status => 'error', message => 'Half of it', category => 'X' }, qr/Half of it/ ],
	[ { numErrors => 1 }, qr/HubSpot gave no reason|the answer tells of a failure/ ],
	[ { errors => [ { message => 'Half of it' } ] }, qr/Half of it/ ]);
foreach my $list (sort keys %lists)
{
	answer({ action => body({ results => [ $lists{$list} ], paging => undef, status => undef }) });
	like(told("SELECT count(*) FROM $list"), qr/^\d+$/, "$list: a list");
	foreach my $odd (@odd)
	{
		answer({ action => body({ results => [ $lists{$list} ], %{ $odd->[0] } }) });
		like(told("SELECT count(*) FROM $list"), qr/^ERROR:  (08P01|22023): .*\nDETAIL:  .*$odd->[1]/, '... with ' . encode_json($odd->[0]));
	}
}
answer({ action => body({ limit => 5, totalRecordsAtLimit => 0, totalRecordsNearLimit => 0, atLimitFromRecordSamples => [], nearLimitFromRecordSamples => [], message => 'Half of it' }) });
like(told("SELECT * FROM hs_assoc_records_near_limit('contacts', 'companies')"), qr/^ERROR:  08P01: .*\nDETAIL:  .*Half of it/, 'records near their limit');

# A label that half of a list lacks may be there: no row is charged with that
foreach my $odd (@odd)
{
	my $name = encode_json($odd->[0]);

	answer({ match => { path => 'labels$' }, action => body({ results => [ $partner ], %{ $odd->[0] } }) });
	like($session->query(q{SELECT concat_ws(' ', ok, error_category, error_message) FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => '{Adviser}')}),
		qr/^f NOT_SENT could not look up the labels: .*$odd->[1]/, "$name: a label is not said to be missing");
	is($hubspot->log_count('associations/companies'), 0, '... and nothing is sent');
}
$session->query(q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', $$SELECT 1 AS from_id, 2 AS to_id, 'Adviser' AS label$$)});
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT (SELECT count(*) FROM hs_assoc_outbox), (SELECT count(*) FROM hs_assoc_dead_letter)'), '1|0', 'a row of the outbox waits');
$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_backoff');

# Properties: what is not among half of them may be there
my $refusal = { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No' } };
foreach my $properties ({ results => [ { name => 'phone' } ], paging => { next => { after => 'A' } } }, { results => [ { name => 'phone' }, { label => 'Story' } ] }, { results => [ { name => 'phone' }, 5 ] },
	{ results => [], status => 'COMPLETE' }, { results => [ { name => 'phone' } ], status => 'PENDING' }, { results => [ { name => 'phone' } ], message => 'Half of it' })
{
	answer({ match => { path => 'properties' }, action => body($properties) }, { match => { path => 'objects' }, action => $refusal });
	like($session->query(q{SELECT concat_ws(' ', error_category, error_message) FROM hs_assoc_resolve('contacts:story', '{x}'::text[])}), qr/^NOT_SENT could not look up contacts by story: No$/,
		'properties ' . encode_json($properties) . ': none is said to be missing');
}
answer({ match => { path => 'properties' }, action => body({ results => [ { name => 'phone' } ] }) }, { match => { path => 'objects' }, action => $refusal });
like($session->query(q{SELECT error_message FROM hs_assoc_resolve('contacts:story', '{x}'::text[])}), qr/there is no property "story"/, 'a whole list says so');

#
# What is accepted is not done yet
#
$hubspot->reset;
answer({ action => body({}, 202) });
is(archived(2), join("\n", ("f UNCONFIRMED not in HubSpot's answer") x 2), '202 and nothing more: nothing is said to be removed');
like(told("SELECT hs_assoc_label_delete('contacts', 'companies', 1)"), qr/^ERROR:  08P01: .*\nDETAIL:  UNCONFIRMED: the answer does not confirm it/, '... nor a label');
answer({ action => body({ status => 'COMPLETE', results => [] }, 202) });
is(archived(2), "t\nt", '202 that says that it is complete');

#
# A record is another one's only if the answer is all that there is
#
$hubspot->put_records(contacts => [ { id => 101, properties => {} } ]);
my $other = { id => '999', properties => {} };
foreach my $more ({ results => [ $other, { id => undef } ] }, { results => [ $other, 5 ] }, { results => [ $other ], numErrors => 1 }, { results => [ $other ], status => 'PENDING' },
	{ results => [ $other ], message => 'Half of it' }, { results => [ $other ], paging => { next => { after => 'A' } } })
{
	answer({ action => body($more) });
	like($session->query(q{SELECT concat_ws(' ', record_id, error_category, error_message) FROM hs_assoc_resolve('contacts', '{101}'::text[])}), qr/^NOT_SENT .*the answer does not say whether there is such a record/,
		encode_json($more) . ': nobody knows whose record it is');
}
answer({ action => body({ results => [ $other ] }) });
is($session->query(q{SELECT record_id FROM hs_assoc_resolve('contacts', '{101}'::text[])}), 999, 'the only record: it took the other one in');

#
# That nothing is there is HubSpot's word of what was sent, and nobody else's
#
$hubspot->reset;
my $nothing = { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'Object not found', subCategory => 'crm.associations.NO_ASSOCIATIONS_FOUND' };
foreach my $status (300, 401, 403, 405, 408, 415, 421, 429, 500, 503, 505, 520)
{
	my $name = "$status that says that nothing is there";

	answer({ action => { %{ body($nothing, $status) }, headers => { 'Retry-After' => '30' } } });
	like(read_of(1, 2), qr/^1 \S+ .*\n2 \S+ /, "$name: a read");
	like(list_of(1), qr/^ERROR:  /, '... of one record');
	like(archived(2), qr/^f .*\nf /, '... a removal');
	like($session->query(q{SELECT concat_ws(' ', ok, error_category) FROM hs_assoc_archive('contacts', 1, 'companies', 2)}), qr/^f \S/, '... of one pair');
	$session->query('SELECT hs_assoc_resume()');
}
answer({ action => body($nothing, 404) });
is(list_of(1), '', '404: there is nothing');
is($session->query(q{SELECT concat_ws(' ', ok, error_category) FROM hs_assoc_archive('contacts', 1, 'companies', 2)}), 't', '... to be removed');

# A page after others, which a stranger answers
$hubspot->put_associations('contacts', 'companies', [ map { [ 1, 10 + $_ ] } 1 .. 4 ]);
$hubspot->settings({ page_size => 2 });
answer({ match => { path => 'batch/read$', after => 1 }, action => body($nothing, 405) });
like(read_of(1), qr/^1 (11\n1 12\n1 |)OBJECT_NOT_FOUND /m, 'a record whose second page a stranger answers is not read to the end');
$hubspot->reset;

# Reasons that say nothing
foreach my $message ('', ' ', "\t\n ")
{
	answer({ action => body({ status => 'error', category => '', message => $message, correlationId => '' }, 400) });
	is($session->query(q{SELECT concat_ws(' ', error_category, error_message) FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), 'HTTP_400 HTTP status 400 without a reason', 'a reason that says nothing');
	answer({ action => body({ status => 'COMPLETE', results => [], numErrors => 1, errors => [ { message => $message, category => '', context => { fromObjectId => [ '1' ], toObjectId => [ '2' ] } } ] }, 207) });
	is($session->query(q{SELECT concat_ws(' ', error_category, error_message) FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), 'HTTP_207 HubSpot gave no reason', '... of an item');
}
$hubspot->oauth({ client_id => 'client', client_secret => 'secret', refresh_token => 'refresh' });
$session->query(sprintf q{CREATE SERVER oauth FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '%s', rate_limit '0', max_retries '0');
	CREATE USER MAPPING FOR CURRENT_USER SERVER oauth OPTIONS (client_id 'client', client_secret 'secret', refresh_token 'refresh')}, $hubspot->url);
answer({ match => { path => 'oauth' }, action => body({ message => '', error_description => ' ', error => 'invalid_grant' }, 400) });
like($session->query(q{SELECT error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'oauth')}), qr/^could not get an access token: invalid_grant$/, '... of a token that is refused');

# A removal, where HubSpot answers for a key with a record that does not show it: nobody knows
foreach my $properties ({}, [], { email => undef }, { email => 'other@example.com' }, { email => { value => 'ann@example.com' } })
{
	answer({ match => { path => 'contacts/batch/read$' }, action => body({ results => [ { id => '101', properties => $properties } ] }) });
	like($session->query(q{SELECT concat_ws(' ', ok, error_category, error_message, error->'candidates') FROM hs_assoc_archive('contacts:email', 'ann@example.com', 'companies', '201')}),
		qr/^f RECORD_NOT_FOUND .*HubSpot gives 101, which has another value \["101"\]$/, 'a key whose record has the properties ' . encode_json([$properties]) . ': nothing is said to be removed');
}
answer({ match => { path => 'contacts/batch/read$' }, action => body({ results => [] }) });
is($session->query(q{SELECT ok FROM hs_assoc_archive('contacts:email', 'ann@example.com', 'companies', '201')}), 't', 'no record: nothing is there to be removed');

#
# Pages without an end
#
$hubspot->reset;
sub pages { my ($path, $count, $of) = @_; return answer(map { { match => { path => $path, nth => $_ }, action => body($of->($_)) } } 1 .. $count) }
my $endless = qr/there are pages without further associations, and no end of them/;
foreach my $case ([ 'nothing', sub { () } ], [ 'the same', sub { (11, 12) } ], [ 'the same, after others', sub { my ($n) = @_; $n < 5 ? ($n + 20) : (11, 12) } ],
	[ 'two things in turn', sub { my ($n) = @_; 11 + $n % 2 }, 205 ], [ 'one thing and nothing in turn', sub { my ($n) = @_; $n % 2 ? 11 : () }, 205 ],
	[ 'three things in turn, after others', sub { my ($n) = @_; $n < 20 ? 20 + $n : 11 + $n % 3 }, 350 ])
{
	my ($name, $of, $most) = (@$case, 105);

	pages('batch/read$', $most + 50, sub { my ($n) = @_; return { results => [ $record->(1, { next => { after => "c$n" } }, $of->($n)) ] } });
	like(read_of(1), qr/^(1 \d+\n)*1 UNCONFIRMED $endless$/, "pages with $name, each of which has a next one: a batch");
	cmp_ok($hubspot->log_count('batch/read$'), '<=', $most, '... ends');
	pages('associations/companies', $most + 50, sub { my ($n) = @_; return { results => [ map { { toObjectId => "$_", associationTypes => [] } } $of->($n) ], paging => { next => { after => "c$n" } } } });
	like(list_of(1), qr/^ERROR:  08P01: .*\nDETAIL:  UNCONFIRMED: $endless/, '... a list');
	cmp_ok($hubspot->log_count('associations/companies'), '<=', $most, '... ends');
	pages('batch/read$', $most + 50, sub { my ($n) = @_; return { results => [ $record->(1, { next => { after => "c$n" } }, $of->($n)) ] } });
	like($session->query(q{SELECT string_agg(concat_ws(' ', ok, error_category, error_message), E'\n') FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, 99 AS to_id, 279 AS type_id', keep_labels => true)}),
		qr/^f NOT_SENT could not read the labels that the pair has: $endless$/, '... labels that are kept');
	cmp_ok($hubspot->log_count('batch/read$'), '<=', $most, '... end');
}
pages('batch/read$', 60, sub { my ($n) = @_; return { results => [ $record->(1, $n < 60 ? { next => { after => "c$n" } } : undef, $n == 60 ? 12 : $n == 30 ? 11 : ()) ] } });
is(read_of(1), "1 11\n1 12", 'some pages without anything, and an end');
pages('batch/read$', 150, sub { my ($n) = @_; return { results => [ $record->(1, $n < 150 ? { next => { after => "c$n" } } : undef, 10 + $n) ] } });
is(scalar(split /\n/, read_of(1)), 150, 'many pages, each with another one');

#
# Object types: each once, and by an id that can stand in a path
#
$hubspot->reset;
my $cars = { objectTypeId => '2-7', fullyQualifiedName => 'p1_cars', labels => { plural => 'Cars' } };
answer({ match => { path => 'schemas' }, action => body({ results => [ $cars, { objectTypeId => '2-8' }, $cars, { objectTypeId => '2-8' }, { objectTypeId => '2-7' } ] }) });
is($session->query(q{SELECT string_agg(concat_ws(' ', object_type_id, name), ', ' ORDER BY object_type_id) FROM hs_assoc_object_types() WHERE object_type_id LIKE '2-%'}), '2-7 p1_cars, 2-8', 'object types that are there twice');
is(told('CREATE SCHEMA twice; IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO twice; SELECT count(*) FROM pg_class WHERE relnamespace = $$twice$$::regnamespace AND relname ~ $$^(cars|2-8)_(cars|2-8)$$'), 4, '... are imported once');
foreach my $id (' 2-7', '2-7 ', '2', '2-', '-7', '2-7-1', '2-x', '../x', '2-7:email', 27, $true, '', '2-' . '7' x 200)
{
	answer({ match => { path => 'schemas' }, action => body({ results => [ { objectTypeId => $id, fullyQualifiedName => 'p1_cars' } ] }) });
	like(told('SELECT count(*) FROM hs_assoc_object_types()'), qr/^ERROR:  08P01: .*\nDETAIL:  .*the answer is not a list of object types/, 'an object type whose id is ' . encode_json([$id]) =~ s/7{99,}/7.../r);
	like(told('IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO twice'), qr/^ERROR:  08P01: .*\n.*the answer is not a list of object types/, '... is not imported');
}

#
# Texts without a bound: they are read, and not kept; nor do they stand in requests
#
$hubspot->reset;
my $page = sub { my ($n, $of, $size) = @_; return { match => { path => 'batch/read$', nth => $n }, action => body({ results => [ { from => { id => '1' },
	to => [ { toObjectId => "$n", associationTypes => [ { category => 'USER_DEFINED', typeId => $n, label => 'x' x $size . $n } ] } ], $n < $of ? (paging => { next => { after => "c$n" } }) : () } ] }) } };
my $read = q{SELECT count(*), count(DISTINCT label), min(length(label)) FROM hs_assoc_batch_read('contacts', 'companies', '{1}'::text[])};
answer(map { $page->($_, 3, 1_000_000) } 1 .. 3);
is($session->query($read), '3|3|1000001', 'long labels');
answer(map { $page->($_, 50, 1_000_000) } 1 .. 50);
my ($rows, $peak) = measure($session, $read);
is($rows, '50|50|1000001', 'many of them, on pages of their own');
# kept, they would take twice their size: 100 MB; what the C library holds back differs
takes_at_most($peak, 64 * 1024, 'memory while they are read');
answer({ match => { path => 'labels$' }, action => body({ results => [ { category => 'A' x 101, typeId => 1, label => 'Partner' } ] }) });
is($session->query(q{SELECT DISTINCT ok, error_category, error_message FROM hs_assoc_batch_create('contacts', 'companies', $$SELECT i AS from_id, i AS to_id, 'Partner' AS label FROM generate_series(1, 2000) i$$)}),
	'f|NOT_SENT|could not look up the labels: the answer is not a list of labels', 'a category that would stand in a request two thousand times');
is($hubspot->log_count('batch/create'), 0, '... is not sent');

$session->quit;
done_testing();
