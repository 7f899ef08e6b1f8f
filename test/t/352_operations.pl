# Every operation of the extension in every version of the API: what is asked, what HubSpot
# holds afterwards, and what the row says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my @versions = qw(v4 2025-09 2026-03 2026-09);

# Functions that send nothing to HubSpot, what an operation is enqueued by, and what asks as others do.
my %others = map { $_ => 1 } qw(hs_assoc_fdw_validator hs_assoc_pair hs_assoc_fold hs_assoc_normal_key hs_assoc_is_bounded hs_assoc_outbox_wake hs_assoc_keep_identity hs_assoc_retry
  hs_assoc_discard hs_assoc_pause hs_assoc_resume hs_assoc_disable_sync hs_assoc_sync_rows hs_assoc_sync_ddl
  hs_assoc_stat hs_assoc_stat_reset hs_assoc_throttle hs_assoc_fault hs_assoc_diagnose hs_assoc_metrics hs_assoc_held hs_assoc_adopt
  hs_assoc_sync_problem hs_assoc_plan hs_assoc_apply hs_assoc_drift hs_assoc_repair hs_assoc_fdw_handler hs_assoc_start hs_assoc_sender hs_assoc_pull hs_assoc_may_commit hs_assoc_keep_locked);

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, api_version => '2026-03');
my $session = start_session($node);
my %called;

# Types in a request's body
sub types
{
	my (@types) = @_;
	return '[' . join(',', map { my ($category, $id) = /^(\w+)=(\d+)$/; qq({"associationCategory":"$category","associationTypeId":$id}) } @types) . ']';
}

sub pair { my ($from, $to, @types) = @_; return qq({"from":{"id":"$from"},"to":{"id":"$to"}) . (@types ? ',"types":' . types(@types) : '') . '}' }
sub inputs { return '{"inputs":[' . join(',', @_) . ']}' }

# What the simulator holds between two object types
sub holds
{
	my ($from_type, $to_type) = @_;
	return join ', ', map { my $a = $_; "$a->{from_id}-$a->{to_id}: " . join(' ', map { "$_->{category}=$_->{type_id}" } @{ $a->{types} }) }
	  @{ $hubspot->associations($from_type, $to_type) };
}

# What a search for a deal by its number asks
sub search
{
	my ($property, $value) = @_;
	return qq({"filterGroups":[{"filters":[{"propertyName":"$property","operator":"IN","values":["$value"]}]}],"properties":["$property"],)
	  . '"sorts":["hs_object_id"],"limit":200,"after":"0"}';
}

# The steps, in their order. O, A, R, P, I, S and U stand for the trees of paths, and each step says:
# its name, the SQL, the requests (method, path, body, status), the rows, and what is held then.
sub steps
{
	my ($version) = @_;
	my $dated = $version ne 'v4';
	my $limit_created = $version =~ /^(v4|2026-03)$/ ? 201 : 200;
	my $removed = $dated ? 200 : 204;
	my $limits = 'A/definitions/configurations';
	my $number = 'number_' . $version =~ tr/-/_/r;
	my @contacts = qw(contacts companies);
	my ($plain, $primary, $manager) = qw(HUBSPOT_DEFINED=279 HUBSPOT_DEFINED=1 USER_DEFINED=1);
	my $look_up = [ 'GET', 'A/contacts/companies/labels', '', 200 ];
	my $written = 'input_no, ok, http_status, labels';

	return (
		[ 'a label', q{SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Manager', 'manager', 'Managed by')},
			[ [ 'POST', 'A/contacts/companies/labels', '{"label":"Manager","name":"manager","inverseLabel":"Managed by"}', 200 ] ],
			"USER_DEFINED|1|Manager|f\nUSER_DEFINED|2|Managed by|f" ],
		[ 'a plain association', q{SELECT * FROM hs_assoc_label_create('2-77', 'companies', '', 'plain')},
			[ [ 'POST', 'A/2-77/companies/labels', '{"label":"","name":"plain"}', 200 ] ], "USER_DEFINED|3||f\nUSER_DEFINED|4||f" ],
		[ 'another name', q{SELECT hs_assoc_label_update('contacts', 'companies', 1, 'Boss', 'Staff')},
			[ [ 'PUT', 'A/contacts/companies/labels', '{"associationTypeId":1,"label":"Boss","inverseLabel":"Staff"}', 204 ] ], '' ],
		[ 'labels', q{SELECT * FROM hs_assoc_labels('contacts', 'companies')},
			[$look_up], "HUBSPOT_DEFINED|279||f\nHUBSPOT_DEFINED|1|Primary|t\nUSER_DEFINED|1|Boss|f" ],
		[ 'labels from the other side', q{SELECT * FROM hs_assoc_labels('companies', 'contacts')},
			[ [ 'GET', 'A/companies/contacts/labels', '', 200 ] ],
			"HUBSPOT_DEFINED|280||f\nHUBSPOT_DEFINED|2|Contact with Primary Company|t\nUSER_DEFINED|2|Staff|f" ],

		[ 'the default', q{SELECT ok, http_status, types FROM hs_assoc_create_default('contacts', '1', 'companies', '11')},
			[ [ 'PUT', 'O/contacts/1/associations/default/companies/11', '', 200 ] ], 't|200|{"(HUBSPOT_DEFINED,279,,f)"}', "1-11: $plain", @contacts ],
		[ 'the default, numbers', q{SELECT ok, http_status, types FROM hs_assoc_create_default('companies', 12, 'contacts', 1)},
			[ [ 'PUT', 'O/companies/12/associations/default/contacts/1', '', 200 ] ], 't|200|{"(HUBSPOT_DEFINED,280,,f)"}', "1-11: $plain, 1-12: $plain", @contacts ],
		[ 'by number', qq{SELECT $written FROM hs_assoc_create('contacts', 1, 'companies', 11, '{1}', 'USER_DEFINED')},
			[ [ 'PUT', 'O/contacts/1/associations/companies/11', types($manager), 201 ] ], '1|t|201|{Boss}', "1-11: $plain $manager, 1-12: $plain", @contacts ],
		[ 'by label', qq{SELECT $written FROM hs_assoc_create('contacts', 1, 'companies', 12, labels => '{Boss}')},
			[ $look_up, [ 'PUT', 'O/contacts/1/associations/companies/12', types($manager), 201 ] ], '1|t|201|{Boss}',
			"1-11: $plain $manager, 1-12: $plain $manager", @contacts ],
		[ 'the primary one', qq{SELECT $written FROM hs_assoc_create('contacts', 1, 'companies', 12, is_primary => true)},
			[ [ 'PUT', 'O/contacts/1/associations/companies/12', types($primary), 201 ] ], '1|t|201|{Primary}',
			"1-11: $plain $manager, 1-12: $primary $plain", @contacts ],
		[ 'besides the labels', qq{SELECT $written FROM hs_assoc_create('contacts', 1, 'companies', 11, '{279}', keep_labels => true)},
			[ [ 'POST', 'A/contacts/companies/batch/read', inputs('{"id":"1"}'), 200 ], [ 'PUT', 'O/contacts/1/associations/companies/11', types($plain, $manager), 201 ] ],
			'1|t|201|{Boss}', "1-11: $plain $manager, 1-12: $primary $plain", @contacts ],
		[ 'a custom object', q{SELECT ok, http_status, types FROM hs_assoc_create_default('2-77', 5, 'companies', 11)},
			[ [ 'PUT', 'O/2-77/5/associations/default/companies/11', '', 200 ] ], 't|200|{"(USER_DEFINED,3,,f)"}', '5-11: USER_DEFINED=3', '2-77', 'companies' ],

		[ 'many, the default', q{SELECT input_no, ok, http_status FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT i AS from_id, 11 AS to_id FROM generate_series(2, 3) i')},
			[ [ 'POST', 'A/contacts/companies/batch/associate/default', inputs(pair(2, 11), pair(3, 11)), 200 ] ], "1|t|200\n2|t|200",
			"1-11: $plain $manager, 1-12: $primary $plain, 2-11: $plain, 3-11: $plain", @contacts ],
		[ 'many, an array', q{SELECT input_no, ok, http_status FROM hs_assoc_batch_create_default('contacts', 'companies', '{"(4,11,,,)"}'::hs_assoc_input[])},
			[ [ 'POST', 'A/contacts/companies/batch/associate/default', inputs(pair(4, 11)), 200 ] ], '1|t|200',
			"1-11: $plain $manager, 1-12: $primary $plain, 2-11: $plain, 3-11: $plain, 4-11: $plain", @contacts ],
		[ 'many, one refused', q{SELECT input_no, ok, http_status, error_category FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 2 AS from_id, i AS to_id FROM unnest(ARRAY[''11'', ''x'']) i')},
			[ [ 'POST', 'A/contacts/companies/batch/associate/default', inputs(pair(2, 11), pair(2, 'x')), 200 ] ], "1|t|200|\n2|f|200|OBJECT_NOT_FOUND" ],
		[ 'many, with types', qq{SELECT $written FROM hs_assoc_batch_create('contacts', 'companies',
				'SELECT * FROM (VALUES (2, 11, NULL, ''Boss'', NULL), (3, 11, 279, NULL, NULL), (4, 11, NULL, NULL, true)) AS v (from_id, to_id, type_id, label, is_primary)')},
			[ $look_up, [ 'POST', 'A/contacts/companies/batch/create', inputs(pair(2, 11, $manager), pair(3, 11, $plain), pair(4, 11, $primary)), 201 ] ],
			"1|t|201|{Boss}\n2|t|201|{}\n3|t|201|{Primary}",
			"1-11: $plain $manager, 1-12: $primary $plain, 2-11: $plain $manager, 3-11: $plain, 4-11: $primary $plain", @contacts ],

		[ 'list', q{SELECT from_id, to_id, category, type_id, label, is_primary FROM hs_assoc_list('contacts', 4, 'companies')},
			[ [ 'GET', 'O/contacts/4/associations/companies?limit=500', '', 200 ] ], "4|11|HUBSPOT_DEFINED|1|Primary|t\n4|11|HUBSPOT_DEFINED|279||f" ],
		[ 'read', q{SELECT input_no, from_id, to_id, category, type_id, label, is_primary, error_category FROM hs_assoc_batch_read('contacts', 'companies', '{2,9,4}'::text[])},
			[ [ 'POST', 'A/contacts/companies/batch/read', inputs('{"id":"2"}', '{"id":"9"}', '{"id":"4"}'), 207 ] ],
			"1|2|11|HUBSPOT_DEFINED|279||f|\n1|2|11|USER_DEFINED|1|Boss|f|\n3|4|11|HUBSPOT_DEFINED|1|Primary|t|\n3|4|11|HUBSPOT_DEFINED|279||f|" ],
		[ 'scan', q{SELECT count(*), count(DISTINCT from_id), count(error_category) FROM hs_assoc_scan('contacts', 'companies')},
			[ [ 'GET', 'R/contacts?limit=100&archived=false&properties=hs_object_id', '', 200 ], [ 'POST', 'A/contacts/companies/batch/read', inputs(map { qq({"id":"$_"}) } 1 .. 4), 200 ] ], '9|4|0' ],

		[ 'keys that can be read', q{SELECT input_no, record_id, error_category FROM hs_assoc_resolve('contacts:email', '{Ann@example.com,bob@example.com}'::text[])},
			[ [ 'POST', 'R/contacts/batch/read?archived=false', '{"idProperty":"email","properties":["email","hs_additional_emails"],"propertiesWithHistory":[],'
					. '"inputs":[{"id":"ann@example.com"},{"id":"bob@example.com"}]}', 207 ] ],
			"1|4|\n2||RECORD_NOT_FOUND" ],
		[ 'keys that are searched for', qq{SELECT record_id, error_category FROM hs_assoc_resolve('deals:$number', '{A-1}'::text[])},
			[ [ 'POST', 'R/deals/batch/read?archived=false', qq({"idProperty":"$number","properties":["$number"],"propertiesWithHistory":[],"inputs":[{"id":"A-1"}]}), 400 ],
				[ 'POST', 'R/deals/search', search($number, 'a-1'), 200 ] ], '21|' ],
		[ 'keys of no property', qq{SELECT record_id, error_message FROM hs_assoc_resolve('deals:x$number', '{A-1}'::text[])},
			[ [ 'POST', 'R/deals/batch/read?archived=false', qq({"idProperty":"x$number","properties":["x$number"],"propertiesWithHistory":[],"inputs":[{"id":"A-1"}]}), 400 ],
				[ 'POST', 'R/deals/search', search("x$number", 'a-1'), 400 ], [ 'GET', 'P/deals', '', 200 ] ],
			qq(|could not look up deals by x$number: there is no property "x$number"; did you mean "$number"?) ],

		[ 'types away', q{SELECT input_no, ok, http_status FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 2 AS from_id, 11 AS to_id, 1 AS type_id, ''USER_DEFINED'' AS category')},
			[ [ 'POST', 'A/contacts/companies/batch/labels/archive', inputs(pair(2, 11, $manager)), $removed ] ], "1|t|$removed",
			"1-11: $plain $manager, 1-12: $primary $plain, 2-11: $plain, 3-11: $plain, 4-11: $primary $plain", @contacts ],
		[ 'the primary type away', q{SELECT input_no, ok, http_status FROM hs_assoc_batch_archive_labels('contacts', 'companies', '{"(4,11,,,)"}'::hs_assoc_input[], is_primary => true)},
			[ [ 'POST', 'A/contacts/companies/batch/labels/archive', inputs(pair(4, 11, $primary)), $removed ] ], "1|t|$removed",
			"1-11: $plain $manager, 1-12: $primary $plain, 2-11: $plain, 3-11: $plain, 4-11: $plain", @contacts ],
		[ 'many pairs away', q{SELECT input_no, ok, http_status FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT * FROM (VALUES (3, 11), (1, 12), (4, 11), (1, 11)) AS v (from_id, to_id)') ORDER BY input_no},
			[ [ 'POST', 'A/contacts/companies/batch/archive',
					inputs('{"from":{"id":"1"},"to":[{"id":"11"},{"id":"12"}]}', '{"from":{"id":"3"},"to":[{"id":"11"}]}', '{"from":{"id":"4"},"to":[{"id":"11"}]}'), $removed ] ],
			join("\n", map { "$_|t|$removed" } 1 .. 4), "2-11: $plain", @contacts ],
		[ 'one pair away', q{SELECT ok, http_status FROM hs_assoc_archive('contacts', '2', 'companies', '11')},
			[ [ 'DELETE', 'O/contacts/2/associations/companies/11', '', 204 ] ], 't|204', '', @contacts ],

		[ 'a limit', q{SELECT hs_assoc_limit_create('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 5)},
			[ [ 'POST', "$limits/contacts/companies/batch/create", inputs('{"category":"HUBSPOT_DEFINED","typeId":279,"maxToObjectIds":5}'), $limit_created ] ], '' ],
		[ 'another limit', q{SELECT hs_assoc_limit_update('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 7)},
			[ [ 'POST', "$limits/contacts/companies/batch/update", inputs('{"category":"HUBSPOT_DEFINED","typeId":279,"maxToObjectIds":7}'), 200 ] ], '' ],
		[ 'limits', q{SELECT * FROM hs_assoc_limits('contacts', 'companies')}, [ [ 'GET', "$limits/contacts/companies", '', 200 ] ], 'contacts|companies|HUBSPOT_DEFINED|279||7' ],
		[ 'all limits', q{SELECT * FROM hs_assoc_limits()}, [ [ 'GET', "$limits/all", '', 200 ] ], '||HUBSPOT_DEFINED|279||7' ],
		[ 'no limit', q{SELECT hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279)},
			[ [ 'POST', "$limits/contacts/companies/batch/purge", inputs('{"category":"HUBSPOT_DEFINED","typeId":279}'), $removed ] ], '' ],
		[ 'no limits', q{SELECT * FROM hs_assoc_limits()}, [ [ 'GET', "$limits/all", '', 200 ] ], '' ],
		[ 'a report', q{SELECT user_id, user_email, enqueue_time IS NOT NULL FROM hs_assoc_high_usage_report(17)},
			[ [ 'POST', 'A/usage/high-usage-report/17', '', 200 ] ], '17|user17@example.com|t' ],
		[ 'the account', q{SELECT * FROM hs_assoc_account()}, [ [ 'GET', 'I/details', '', 200 ] ], '8001|STANDARD|UTC' ],
		[ 'the quota', q{SELECT daily_limit, used > 0 FROM hs_assoc_quota()}, [ [ 'GET', 'I/api-usage/daily/private-apps', '', 200 ] ], '250000|t' ],
		[ 'object types', q{SELECT object_type_id, name FROM hs_assoc_object_types() WHERE object_type_id IN ('0-1', '2-90')},
			[ [ 'GET', 'S/schemas?includePropertyDefinitions=false&includeAssociationDefinitions=false&includeAuditMetadata=false', '', 200 ] ],
			"0-1|contacts\n2-90|p8001_boat" ],
		[ 'use of labels', q{SELECT * FROM hs_assoc_label_usage('contacts', 'companies')},
			[ [ 'GET', 'U/associations/labels?fromObjectTypeId=0-1&toObjectTypeId=0-2', '', 200 ] ], '0-1|0-2|1|50|{Boss}' ],
		[ 'use of all labels', q{SELECT from_type_id, labels FROM hs_assoc_label_usage()},
			[ [ 'GET', 'U/associations/labels', '', 200 ] ], "0-1|{Boss}\n0-2|{Staff}" ],
		[ 'full records', q{SELECT record_id FROM hs_assoc_records_near_limit('contacts', 'companies')},
			[ [ 'GET', 'U/associations/records/0-1/0-2', '', 200 ] ], '' ],
		[ 'any request', q{SELECT http_status, body FROM hs_assoc_request('GET', '/crm/v4/objects/contacts/1/associations/companies')},
			[ [ 'GET', '/crm/v4/objects/contacts/1/associations/companies', '', 200 ] ], '200|{"results": []}' ],

		# the outbox
		[ 'enqueued, the default', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 21 AS from_id, 31 AS to_id'); CALL hs_assoc_flush()},
			[ [ 'POST', 'A/contacts/companies/batch/associate/default', inputs(pair(21, 31)), 200 ] ], 1, "21-31: $plain", @contacts ],
		[ 'enqueued, a label', q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT 21 AS from_id, 31 AS to_id, ''Boss'' AS label', keep_labels => true); CALL hs_assoc_flush()},
			[ $look_up, [ 'POST', 'A/contacts/companies/batch/read', inputs('{"id":"21"}'), 200 ], [ 'POST', 'A/contacts/companies/batch/create', inputs(pair(21, 31, $manager)), 201 ] ],
			1, "21-31: $plain $manager", @contacts ],
		[ 'enqueued, a type away', q{SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies', 'SELECT 21 AS from_id, 31 AS to_id, 279 AS type_id'); CALL hs_assoc_flush()},
			[ [ 'POST', 'A/contacts/companies/batch/labels/archive', inputs(pair(21, 31, $plain)), $removed ] ], 1, "21-31: $manager", @contacts ],
		[ 'enqueued, a pair away', q{SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 21 AS from_id, 31 AS to_id'); CALL hs_assoc_flush()},
			[ [ 'POST', 'A/contacts/companies/batch/archive', inputs('{"from":{"id":"21"},"to":[{"id":"31"}]}'), $removed ] ], 1, '', @contacts ],
		[ 'a table in sync', q{INSERT INTO links VALUES (41, 51); SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true); CALL hs_assoc_flush()},
			[ [ 'POST', 'A/contacts/companies/batch/associate/default', inputs(pair(41, 51)), 200 ] ], 1, "41-51: $plain", @contacts ],
		[ 'its rows away', q{DELETE FROM links; CALL hs_assoc_flush(); SELECT hs_assoc_disable_sync('links')},
			[ [ 'POST', 'A/contacts/companies/batch/archive', inputs('{"from":{"id":"41"},"to":[{"id":"51"}]}'), $removed ] ], 1, '', @contacts ],

		[ 'no label', q{SELECT hs_assoc_label_delete('contacts', 'companies', 1)}, [ [ 'DELETE', 'A/contacts/companies/labels/1', '', 204 ] ], '' ],
		[ 'the labels that are left', q{SELECT type_id, label FROM hs_assoc_labels('contacts', 'companies')}, [$look_up], "279|\n1|Primary" ]);
}

$session->query('CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id))');
foreach my $version (@versions)
{
	my $other = $version eq 'v4' ? 'v3' : $version;
	my %trees = (I => "/account-info/$other", S => "/crm-object-schemas/$other",
		$version eq 'v4' ? (O => '/crm/v4/objects', A => '/crm/v4/associations', R => '/crm/v3/objects', P => '/crm/v3/properties', U => '/crm/v3/limits') :
		  (O => "/crm/objects/$version", A => "/crm/associations/$version", R => "/crm/objects/$version", P => "/crm/properties/$version",
			U => "/crm/limits/$version"));
	my $number = 'number_' . $version =~ tr/-/_/r;

	$hubspot->reset;
	$hubspot->schema({ type => '2-90', name => 'boat', singular => 'Boat', plural => 'Boats' });
	$hubspot->put_records('contacts', [ { id => '4', properties => { email => 'ann@example.com' } } ]);
	$hubspot->property({ type => 'deals', name => $number });
	$hubspot->put_records('deals', [ { id => '21', properties => { $number => 'A-1' } } ]);
	$session->query("ALTER SERVER hubspot OPTIONS (SET api_version '$version')");
	foreach my $step (steps($version))
	{
		my ($name, $sql, $requests, $rows, $holds, @types) = @$step;

		$called{$_} = 1 foreach $sql =~ /\b(hs_assoc_\w+)\(/g;
		is($session->query($sql), $rows, "$version: $name: what the rows say");
		is_deeply(
			[ map { [ $_->{method}, $_->{path} . ($_->{query} ? "?$_->{query}" : ''), $_->{body}, $_->{status} ] } @{ $hubspot->log } ],
			[ map { my ($method, $path, @rest) = @$_; $path =~ s/^([OARPISU])(?=\/)/$trees{$1}/; [ $method, $path, @rest ] } @$requests ],
			"$version: $name: what is asked");
		is(holds(@types), $holds, "$version: $name: what HubSpot holds") if @types;
		$hubspot->clear_log;
	}
	is($session->query('SELECT (SELECT count(*) FROM hs_assoc_outbox), (SELECT count(*) FROM hs_assoc_dead_letter)'), '0|0', "$version: the outbox is empty");
}

# No function is left out.
my @functions = split /\n/, $session->query(q{
	SELECT DISTINCT proname FROM pg_depend JOIN pg_proc AS p ON p.oid = objid
	WHERE classid = 'pg_proc'::regclass AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'hubspot_assoc')});
is(join(' ', sort grep { !$called{$_} && !$others{$_} } @functions), '', 'each function that asks something of HubSpot was called');

#
# A version that lacks an operation: each says so, and none says ok
#
$hubspot->reset;
$hubspot->rules({ action => { status => 404, body => { status => 'error', message => 'resource not found', correlationId => 'c' } } });
foreach my $version ('v4', '2026-09')
{
	$session->query("ALTER SERVER hubspot OPTIONS (SET api_version '$version')");
	foreach my $step (steps($version))
	{
		my ($name, $sql) = @$step;

		next if $sql =~ /hs_assoc_(enqueue|request|enable_sync|disable_sync)/;
		$session->send($sql =~ s/^SELECT .*? FROM hs_assoc_/SELECT * FROM hs_assoc_/r);
		my ($out, $err) = $session->finish;
		if ($err =~ m{ERROR})
		{
			like($err, qr/ERROR:  08P01: could not .*\nDETAIL:  HTTP_404: .*resource not found.*\nHINT:  The answer is not from HubSpot's API, or not about what was sent\. Check the options base_url, api_version/,
				"$version lacks $name: an ERROR");
		}
		else
		{
			like($out, qr/resource not found/, "$version lacks $name: the row says it");
			unlike($out, qr/\|t\|/, "$version lacks $name: and isn't ok");
		}
	}
}

#
# Limits of v4: where the one path leads nowhere, the other one is asked
#
$hubspot->reset;
$hubspot->settings({ v4_limits => 'associations/v4' });
$session->query(q{ALTER SERVER hubspot OPTIONS (SET api_version 'v4')});
foreach my $step (
	[ q{hs_assoc_limit_create('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 5)}, 'POST', 'contacts/companies/batch/create', '' ],
	[ q{hs_assoc_limit_update('contacts', 'companies', 'HUBSPOT_DEFINED', 279, 7)}, 'POST', 'contacts/companies/batch/update', '' ],
	[ q{hs_assoc_limits('contacts', 'companies')}, 'GET', 'contacts/companies', 'contacts|companies|HUBSPOT_DEFINED|279||7' ],
	[ q{hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279)}, 'POST', 'contacts/companies/batch/purge', '' ],
	[ q{hs_assoc_limits()}, 'GET', 'all', '' ])
{
	my ($call, $method, $path, $rows) = @$step;

	$hubspot->clear_log;
	is($session->query("SELECT * FROM $call"), $rows, "v4: $call");
	is_deeply([ map { [ @$_{qw(method path)} ] } @{ $hubspot->log } ],
		[ map { [ $method, "/crm/$_/definitions/configurations/$path" ] } 'v4/associations', 'associations/v4' ], "v4: $call: both paths");
}

# any other refusal is what it is
$hubspot->clear_log;
$hubspot->rules({ match => { path => '^/crm/v4' }, action => { status => 404, body => { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'no such type' } } });
like($session->told(q{SELECT hs_assoc_limit_purge('contacts', 'companies', 'HUBSPOT_DEFINED', 279)}), qr/ERROR:  22023: could not remove the limit.*\nDETAIL:  OBJECT_NOT_FOUND: no such type/, 'v4: what HubSpot says of a limit');
is($hubspot->log_count, 1, 'v4: is asked once');

$session->quit;
done_testing();
