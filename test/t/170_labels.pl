# Labels that are kept, whatever fails between reading and writing; and labels
# by name in other encodings.

use strict;
use warnings;
use utf8;

use Encode qw(encode);
use FindBin;
use lib $FindBin::Bin;
use HTTP::Tiny;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

$ENV{PGCLIENTENCODING} = 'UTF8';

my $node = start_node(log_duration => 'on', log_timezone => 'UTC');
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 2, max_retry_delay => '20ms');
create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'once', max_retries => 0);
create_account($node, $hubspot, %options, name => 'small', max_retries => 0, batch_size => 7);
my $session = start_session($node);
my $path = '/crm/associations/2026-03/contacts/companies/labels';

# 60 contacts of one company, of which every other one has the label Manager.
my ($manager, $advisor) = (1, 3);

sub fresh
{
	$hubspot->reset;
	foreach my $label (qw(Manager Advisor))
	{
		$session->query("SELECT hs_assoc_request('POST', '$path', jsonb_build_object('label', '$label', 'name', '$label'))");
	}
	$hubspot->put_associations('contacts', 'companies', [ map { [ $_, 1 ] } 1 .. 60 ]);
	$hubspot->put_associations('contacts', 'companies', [ map { [ 2 * $_, 1 ] } 1 .. 30 ], types => [ { category => 'USER_DEFINED', type_id => $manager } ]);
	$hubspot->clear_log;
	return;
}

# How many pairs have which labels: "Manager Advisor: 30, ..."
sub held
{
	my %count;
	$count{ join(' ', map { $_->{label} // () } @{ $_->{types} }) || 'none' }++ foreach @{ $hubspot->associations('contacts', 'companies') };
	return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

sub outcomes
{
	my ($server) = @_;
	return $session->query(qq{SELECT string_agg(category || ': ' || n, ', ' ORDER BY category)
		FROM (SELECT coalesce(error_category, 'ok') AS category, count(*) AS n
			FROM hs_assoc_batch_create('contacts', 'companies',
				'SELECT i AS from_id, 1 AS to_id, ''Advisor'' AS label FROM generate_series(1, 60) i',
				keep_labels => true, server => '$server') GROUP BY 1) s});
}

fresh();
is(outcomes('hubspot'), 'ok: 60', 'rows');
is(held(), 'Advisor: 30, Manager Advisor: 30', 'labels are kept');
is(join(' ', map { $_->{path} =~ m{(\w+)$} } @{ $hubspot->log }), 'labels read create', 'in three requests');
is(outcomes('hubspot'), 'ok: 60', 'again: rows');
is(held(), 'Advisor: 30, Manager Advisor: 30', 'again: nothing has changed');
fresh();
is(outcomes('small'), 'ok: 60', 'in small batches: rows');
is(held(), 'Advisor: 30, Manager Advisor: 30', 'in small batches: labels are kept');

# A pair whose types lie on two pages, or three: all are kept.  What stands before the last
# pair of a page costs no further request.
{
	my $page = sub {
		my ($after, @pairs) = @_;
		my $to = join ',', map { my ($other, @types) = @$_; sprintf '{"toObjectId":%d,"associationTypes":[%s]}', $other, join ',', map { qq({"category":"USER_DEFINED","typeId":$_,"label":"L$_"}) } @types } @pairs;
		return sprintf '{"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[%s]%s}]}', $to, $after ? qq(,"paging":{"next":{"after":"$after"}}) : '';
	};
	my $whole = sub { return join ' ', sort { $a <=> $b } map { $_->{associationTypeId} } @{ $_[0]{types} } };

	foreach my $case (
		[ 'at the end of a page', 2, '71 72 @', $page->(1, [ 10, 73 ], [ 1, 71 ]), $page->(2, [ 1, 72 ], [ 12, 74 ]) ],
		[ 'through a whole page', 3, '71 72 73 @', $page->(1, [ 1, 71 ]), $page->(2, [ 1, 72 ]), $page->(3, [ 1, 73 ], [ 12, 74 ]) ],
		[ 'at the end of the last page', 1, '71 @', $page->(undef, [ 10, 73 ], [ 1, 71 ]) ],
		[ 'twice, the second time at the end', 2, '71 72 73 @', $page->(1, [ 1, 71 ], [ 10, 73 ], [ 1, 72 ]), $page->(2, [ 1, 73 ], [ 12, 74 ]) ],
		[ 'before others', 1, '71 @', $page->(1, [ 1, 71 ], [ 12, 72 ]) ])
	{
		my ($name, $reads, $expected, @answers) = @$case;
		my $n = 0;

		fresh();
		$hubspot->rules([ map { { match => { path => 'batch/read$', nth => ++$n }, action => { status => 200, text => $_ } } } @answers ]);
		$session->query(q{SELECT ok FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT 1 AS from_id, 1 AS to_id, ''Advisor'' AS label', keep_labels => true)});
		my ($create) = grep { $_->{path} =~ /create$/ } @{ $hubspot->log };
		(my $got = $whole->(decode_json($create->{body})->{inputs}[0])) =~ s/\b[1-6]\b/@/;
		is(join(' ', sort split / /, $got), join(' ', sort split / /, $expected), "a pair $name: its labels are kept");
		is($hubspot->log_count('batch/read$'), $reads, '... and pages are read');
	}
	$hubspot->clear_rules;
}

#
# Faults: while reading or while writing, once or for good
#
my %faults = (
	'500' => { status => 500 },
	'reset in the body' => { reset => 'body' },
	'cut' => { status => 200, truncate => 5 },
	'no JSON' => { text => '<html>', content_type => 'text/html' });
my $unchanged = 'Manager: 30, none: 30';
foreach my $fault (sort keys %faults)
{
	foreach my $when (qw(labels read create))
	{
		my $name = "$fault, $when";
		my $match = { path => "$when\$" };

		if ($fault ne 'no JSON')
		{
			fresh();
			$hubspot->rules({ match => { %$match, first => 2 }, action => $faults{$fault} });
			is(outcomes('hubspot'), 'ok: 60', "$name: sent again");
			is(held(), 'Advisor: 30, Manager Advisor: 30', "$name: labels are kept");
		}

		fresh();
		$hubspot->rules({ match => $match, action => { act => Cpanel::JSON::XS::false, %{ $faults{$fault} } } });
		is(outcomes('once'), $when eq 'create' ? 'UNCONFIRMED: 60' : 'NOT_SENT: 60', "$name: for good");
		is(held(), $unchanged, "$name: nothing is changed");
		is($hubspot->log_count('create$'), $when eq 'create' ? 1 : 0, "$name: nothing is written without having been read");

		# in one of several requests
		next if $when eq 'labels';
		fresh();
		$hubspot->rules({ match => { %$match, nth => 2 }, action => { act => Cpanel::JSON::XS::false, %{ $faults{$fault} } } });
		is(outcomes('small'), ($when eq 'create' ? 'UNCONFIRMED' : 'NOT_SENT') . ': 7, ok: 53', "$name: in one of the requests");
		my %held = map { (split /: /)[ 0, 1 ] } split /, /, held();
		is($held{'Manager Advisor'} + ($held{Manager} // 0), 30, "$name: no label is lost");
		is($held{Advisor} + $held{'Manager Advisor'}, 53, "$name: none is added that isn't reported");
	}
}

# The account is refused while reading, or while writing.
foreach my $when (qw(read create))
{
	fresh();
	$hubspot->rules({ match => { path => "$when\$", after => 2 }, action => { status => 401 } });
	$session->send(q{SELECT count(*) FILTER (WHERE ok), count(*) FILTER (WHERE error_category IN ('INVALID_AUTHENTICATION', 'NOT_SENT')), count(*)
		FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT i AS from_id, 1 AS to_id, ''Advisor'' AS label FROM generate_series(1, 60) i', keep_labels => true, server => 'small')});
	my ($out, $err) = $session->finish;
	my ($ok, $failed, $all) = split /\|/, $out;
	is($ok + $failed, 60, "refused, $when: rows");
	is($all, 60, "refused, $when: all rows");
	cmp_ok($ok, '<=', 14, "refused, $when: no more than was sent before");
	is(scalar(() = $err =~ /WARNING:/g), 1, "refused, $when: one warning");
	my %held = map { (split /: /)[ 0, 1 ] } split /, /, held();
	is(($held{'Manager Advisor'} // 0) + ($held{Manager} // 0), 30, "refused, $when: no label is lost");
}

#
# A cancel, while reading and while writing
#
my $watch = start_stopwatch($node);
foreach my $when (qw(labels read create))
{
	my @times;

	foreach (1 .. 3)
	{
		fresh();
		$hubspot->rules({ match => { path => "$when\$" }, action => { hang => Cpanel::JSON::XS::true } });
		$watch->send($session, q{SELECT count(*) FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT i AS from_id, 1 AS to_id, ''Advisor'' AS label FROM generate_series(1, 60) i', keep_labels => true)});
		wait_until(sub { $hubspot->hits->{rules}[0]{hits} > 0 });
		my (undef, $err, $late) = $watch->cancel($session);
		push @times, $late;
		like($err, qr/57014/, "$when: canceled");
	}
	cmp_ok((sort { $a <=> $b } @times)[1], '<', patience(0.1), "$when: within 100 ms");
	is(held(), $unchanged, "$when: nothing is changed");
	$hubspot->clear_rules;
	is($session->query(q{SELECT count(*) FROM pg_backend_memory_contexts
			WHERE name LIKE 'hubspot_assoc%' AND name <> 'hubspot_assoc accounts'}), '0', "$when: nothing is left");
	is(outcomes('hubspot'), 'ok: 60', "$when: the session goes on");
	is(held(), 'Advisor: 30, Manager Advisor: 30', "$when: labels are kept");
}

#
# Many pairs with labels by name: one look-up, memory as without
#
{
	fresh();
	$session->query(q{SELECT count(*) FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT i AS from_id, 1 AS to_id, ''Advisor'' AS label FROM generate_series(1, 5000) i')});
	my $before = anonymous_memory($session->pid);
	$hubspot->clear_log;
	is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create('contacts', 'companies',
			'SELECT i AS from_id, 1 AS to_id, (ARRAY[''Advisor'', ''Manager'', ''nothing''])[i % 3 + 1] AS label FROM generate_series(1, 60000) i')}),
		'60000|40000', '60,000 rows with labels');
	is($hubspot->log_count('labels$'), 1, '60,000 rows with labels: one look-up');
	cmp_ok($hubspot->log_count('create$'), '<=', 30, '60,000 rows with labels: requests');
	takes_at_most(anonymous_memory($session->pid) - $before, 32 * 1024, '60,000 rows with labels');

	# one contact of very many companies, whose labels are kept
	$hubspot->generate_associations('contacts', 'companies', { first_from => 7, per_from => 5000 }, types => [ { category => 'USER_DEFINED', type_id => $manager } ]);
	$hubspot->clear_log;
	is($session->query(q{SELECT count(*), count(*) FILTER (WHERE ok), min(labels::text), max(labels::text)
			FROM hs_assoc_batch_create('contacts', 'companies',
				'SELECT 7 AS from_id, i AS to_id, ''Advisor'' AS label FROM generate_series(1, 4000) i', keep_labels => true)}),
		'4000|4000|{Advisor,Manager}|{Advisor,Manager}', 'a contact of many companies: labels are kept');
	is($hubspot->log_count('create$'), 2, 'a contact of many companies: requests that write');
	cmp_ok($hubspot->log_count('read$'), '<=', 22, 'a contact of many companies: requests that read');
}

#
# Labels in other encodings: those that the database can hold are found.
#
foreach my $encoding (qw(UTF8 LATIN1 EUC_JP SQL_ASCII))
{
	my $text = $encoding eq 'EUC_JP' ? '部長 "x" \ /' : 'Größe "é" \ /';
	my $other = $encoding eq 'EUC_JP' ? '課長' : 'Ähnliches';
	my $in = $encoding eq 'SQL_ASCII' ? sub { "E'" . join('', map { sprintf '\\x%02x', $_ } unpack 'C*', encode('UTF-8', $_[0])) . "'" } :
	  sub { "convert_from('\\x" . unpack('H*', encode('UTF-8', $_[0])) . "', 'UTF8')" };

	$hubspot->reset;
	$node->safe_psql('postgres',
		"CREATE DATABASE in_$encoding TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	create_account($node, $hubspot, %options, dbname => lc "in_$encoding");
	my $client = start_session($node, lc "in_$encoding");
	my $n = 0;

	foreach my $label ($text, $other, 'Ж 日本 ½ 😀', 'plain')
	{
		my $reply = HTTP::Tiny->new(proxy => undef)->post($hubspot->url . $path, {
				headers => { Authorization => 'Bearer test-token', 'Content-Type' => 'application/json' },
				content => encode_json({ label => $label, name => 'label_' . ++$n }) });
		die $reply->{content} unless $reply->{success};
	}
	my $create = sub { return $client->query("SELECT ok, error_category FROM hs_assoc_create('contacts', $_[1], 'companies', 2, labels => ARRAY[$_[0]])") };
	my $types = sub { return join ' ', map { $_->{type_id} } map { @{ $_->{types} } } @{ $hubspot->associations('contacts', 'companies', from_id => $_[0]) } };

	# SQL_ASCII says of no byte what it means, so what isn't ASCII isn't found there.
	my $found = $encoding eq 'SQL_ASCII' ? 'f|INVALID_INPUT' : 't|';
	is($create->($in->($text), 1), $found, "$encoding: a label");
	is($types->(1), $encoding eq 'SQL_ASCII' ? '' : '1', "$encoding: its type");
	is($create->($in->($other), 2), $found, "$encoding: another one");
	is($create->("'plain'", 3), 't|', "$encoding: one in ASCII");
	is($types->(3), '7', "$encoding: its type");
	is($client->query("SELECT string_agg(coalesce(error_category, 'ok'), ',' ORDER BY input_no)
			FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT i AS from_id, 1 AS to_id, ' || quote_literal(@{[ $in->($text) ]})
				|| ' AS label FROM generate_series(1, 3) i')"),
		join(',', ($encoding eq 'SQL_ASCII' ? 'INVALID_INPUT' : 'ok') x 3), "$encoding: in a batch");
	if ($encoding ne 'SQL_ASCII')
	{
		is($client->query("SELECT count(*) FROM hs_assoc_list('contacts', 1, 'companies') WHERE label = @{[ $in->($text) ]}"), '2',
			"$encoding: read back");
		is($client->query("SELECT strpos(error_message, '\"' || @{[ $in->($text) ]} || '\"') > 0
				FROM hs_assoc_create('contacts', 5, 'companies', 2, labels => ARRAY[@{[ $in->($text) ]} || 'x'])"),
			't', "$encoding: as a candidate");
	}
	$client->quit;
}

$session->quit;
done_testing();
