# Plans that are too large for memory: records with very many associations, wanted or
# held, beside small ones; changes that are made in several slices; and what is left of a
# plan that is broken off.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(work_mem => '64kB');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query('SET client_min_messages = error');

sub hold
{
	my ($first_from, $count, $per_from, $to_count) = @_;
	$hubspot->generate_associations('contacts', 'companies', { first_from => $first_from, count => $count, per_from => $per_from, to_count => $to_count });
	return;
}

# Rows of a call, by kinds of them
sub kinds
{
	my ($function, $wanted, $arguments) = @_;
	return $session->query(qq{SELECT action, from_id, coalesce(ok::text, '-'), coalesce(error_category, '-'), count(*), min(to_id::int), max(to_id::int)
		FROM $function('contacts', 'companies', \$\$ $wanted \$\$ $arguments) GROUP BY 1, 2, 3, 4 ORDER BY from_id::int, action COLLATE "C"});
}

#
# Records 1 to 3 hold 20,000 each; 1 has as many wanted rows as memory has room for, so
# what comes of the others does not fit, nor what is held.
#
hold(1, 3, 20_000, 20_000);
hold(4, 1000, 2, 20_000);
my %held;
$held{ $_->{from_id} }{ $_->{to_id} } = 1 foreach @{ $hubspot->associations('contacts', 'companies') };
is(scalar(keys %{ $held{2} }), 20_000, 'record 2 holds 20,000');
my $wanted = q{
	SELECT 1 AS from_id, i AS to_id FROM generate_series(101, 599000) AS i
	UNION ALL SELECT 2, i FROM generate_series(19001, 30000) AS i
	UNION ALL SELECT 3, i FROM generate_series(1, 20000) AS i
	UNION ALL SELECT 3, i FROM generate_series(1, 20000) AS i
	UNION ALL SELECT 1000, 7};
my $expected = join "\n", 'archive|1|-|-|100|1|100', 'create|1|-|-|579000|20001|599000',
  'archive|2|-|-|19000|1|19000', 'create|2|-|-|10000|20001|30000';
my $before = anonymous_memory($session->pid);
my $rows = kinds('hs_assoc_plan', $wanted, '');
like($rows, qr/^\Q$expected\E\n/, 'all differences of large records');
unlike($rows, qr/\|3\|/, '... and none of one that is as wanted');
like($rows, qr/^create\|1000\|-\|-\|1\|7\|7$/m, '... and those of a small one behind them');
takes_at_most(anonymous_memory($session->pid) - $before, 24 * 1024, 'such a plan');

# The same, typed, with one that cannot be read to its end, after it did not fit any more
my $typed = $wanted =~ s/AS to_id/AS to_id, 'HUBSPOT_DEFINED' AS category, 279 AS type_id/r;
$typed =~ s/(SELECT [23], i|SELECT 1000, 7)/$1, 'HUBSPOT_DEFINED', 279/g;
$hubspot->rules({ match => { path => 'batch/read', id => '2', after => 20 }, action => { status => 400 } });
my @rows = split /\n/, kinds('hs_assoc_plan', $typed, ", managed => '{HUBSPOT_DEFINED:279}'");
$hubspot->clear_rules;
is(join("\n", sort grep { !/^\w+\|2\|/ } @rows), join("\n", sort grep { !/^\w+\|2\|/ } split /\n/, $rows =~ s/archive/remove/gr), 'the same if types are wanted');
like(join("\n", grep { /^\w+\|2\|/ } @rows), qr/^unreadable\|2\|-\|VALIDATION_ERROR\|1\|\|$/, 'a large record that cannot be read to its end has no other row');

# One with more wanted rows than memory has room for, which cannot be read; or of which a row is not understood
$wanted = 'SELECT 4 AS from_id, i AS to_id FROM generate_series(30001, 930000) AS i';
$hubspot->rules({ match => { path => 'batch/read', id => '4' }, action => { status => 400 } });
is(kinds('hs_assoc_plan', $wanted, ''), 'unreadable|4|-|VALIDATION_ERROR|1||', 'a record with 900,000 wanted rows that cannot be read has no other row');
$hubspot->clear_rules;
is(kinds('hs_assoc_plan', "$wanted UNION ALL SELECT 4, NULL", ''),
	"create|4|-|-|900000|30001|930000\nunresolved|4|-|INVALID_INPUT|1||", 'if one of its rows is not understood, it loses nothing');

# The same, called by its key
$hubspot->put_records(contacts => [ { id => 4, properties => { email => 'c4@x.example' } } ]);
is($session->query(q{SELECT action, from_id, from_record, error_category, count(*), min(to_id), max(to_id) FROM hs_assoc_plan('contacts:email', 'companies',
	'SELECT ''c4@x.example'' AS from_id, i::text AS to_id FROM generate_series(100001, 899999) AS i UNION ALL SELECT ''c4@x.example'', NULL') GROUP BY 1, 2, 3, 4 ORDER BY 1}),
	"create|c4\@x.example|4||799999|100001|899999\nunresolved|c4\@x.example||INVALID_INPUT|1||", '... and so does one that is called by its key');

# ... and if it is the scope that has such a row
is($session->query(q{SELECT action, from_id, to_id, error_category FROM hs_assoc_plan('contacts:email', 'companies', 'SELECT NULL::text AS from_id, NULL::text AS to_id WHERE false',
	scope => 'SELECT * FROM (VALUES (''c4@x.example''), (''nobody@x.example''), (NULL)) AS s (from_id)') ORDER BY from_id, 1, to_id}),
	"archive|c4\@x.example|1|\narchive|c4\@x.example|2|\nunresolved|nobody\@x.example||RECORD_NOT_FOUND\nunresolved|||INVALID_INPUT", 'a scope of keys, with one that nobody has and none at all');

# More records with a row that is not understood than are remembered: then nobody loses anything
is($session->query(q{SELECT action, count(*), count(*) FILTER (WHERE from_id = '4') FROM hs_assoc_plan('contacts', 'companies',
	'SELECT i AS from_id, CASE WHEN i <> 4 THEN NULL ELSE 3 END AS to_id FROM generate_series(4, 100010) AS i') GROUP BY 1 ORDER BY 1}),
	"create|1|1\nunresolved|100006|0", '100,000 rows that are not understood');

#
# More changes of one record than are made at a time
#
$wanted = 'SELECT 2 AS from_id, i AS to_id FROM generate_series(19001, 30000) AS i';
is(kinds('hs_assoc_apply', $wanted, ', max_removals => 19000'), "archive|2|true|-|19000|1|19000\ncreate|2|true|-|10000|20001|30000",
	'19,000 removals and 10,000 additions of a record are made');
is(scalar(@{ $hubspot->associations('contacts', 'companies', from_id => 2) }), 11_000, '... and it holds what is wanted');
is(kinds('hs_assoc_plan', $wanted, ''), '', '... and nothing is left to do');

# If one of the first fails, nothing is added, however many come in between.
$hubspot->rules({ match => { path => 'batch/archive', first => 1 }, action => { status => 500 } });
$rows = kinds('hs_assoc_apply', 'SELECT 3 AS from_id, i AS to_id FROM generate_series(19001, 20010) AS i', ', max_removals => 19000');
like($rows, qr/^archive\|3\|false\|UNCONFIRMED\|\d+\|/m, 'some of 19,000 removals fail');
like($rows, qr/^archive\|3\|true\|-\|\d+\|/m, '... others do not');
like($rows, qr/^create\|3\|false\|NOT_SENT\|10\|20001\|20010$/m, '... and nothing is added');
$hubspot->clear_rules;
is(kinds('hs_assoc_apply', 'SELECT 3 AS from_id, i AS to_id FROM generate_series(19001, 20010) AS i', ', max_removals => 19000')
	  =~ s/\|\d+\|\d+\|\d+$//mgr, "archive|3|true|-\ncreate|3|true|-", 'the next one does the rest');

# Many records
$wanted = 'SELECT i AS from_id, 20000 - i % 7 AS to_id FROM generate_series(4, 1003) AS i UNION ALL SELECT i, 1 FROM generate_series(2001, 12000) AS i';
$hubspot->clear_log;
is($session->query("SELECT count(*), count(*) FILTER (WHERE ok) FROM hs_assoc_apply('contacts', 'companies', \$\$ $wanted \$\$, max_removals => 2000)")
	  =~ s/^(\d+)\|\1$/all/r, 'all', 'the changes of 11,000 records are made');
is($session->query("SELECT count(*) FROM hs_assoc_plan('contacts', 'companies', \$\$ $wanted \$\$)"), '0', '... all of them');
cmp_ok($hubspot->log_count('batch/read'), '<=', 11 + 13 + 11, 'each record was read twice, and once by the plan after it')
  or diag($hubspot->log_count('batch/read'));

# Where the login is refused, nothing more is sent: neither in that slice nor in the next ones,
# whose rows say so
foreach my $path ('associate/default', 'batch/archive', 'batch/read')
{
	my $archives = $path eq 'batch/archive';
	my $plan = q{hs_assoc_%s('contacts', 'companies', 'SELECT i AS from_id, } . ($archives ? '1 AS to_id FROM generate_series(1, 0) i' : '19999 AS to_id FROM generate_series(2001, 11000) i')
	  . q{', scope => 'SELECT i AS from_id FROM generate_series(2001, 11000) i', mode => '} . ($archives ? 'mirror' : 'add') . q{'%s)};
	my $planned = $session->query('SELECT count(*) FROM ' . sprintf $plan, 'plan', '');

	$hubspot->rules({ match => { path => $path, after => $path eq 'batch/read' ? 9 : 2 }, action => { status => 401 } });
	$hubspot->clear_log;
	my ($rows, $done, $unsent) = split /\|/, $session->query('SELECT count(*), count(*) FILTER (WHERE ok), count(*) FILTER (WHERE error_category = \'NOT_SENT\') FROM '
		  . sprintf $plan, 'apply', ', max_removals => 20000');
	my $sent = $hubspot->log_count($path);
	$hubspot->clear_rules;
	is($rows, $planned, "a login that is refused, $path: each of $planned changes has its row");
	cmp_ok($unsent, '>=', 900, "... $unsent of them, since they were not sent") or diag($rows);
	cmp_ok($sent, '<=', ($path eq 'batch/read' ? 9 : 2) + 4, '... no request follows those in flight');
	is($session->query('SELECT count(*) FROM ' . sprintf $plan, 'plan', ''), $planned - $done, "... $done were made");
}

#
# Broken off
#
foreach my $path ('batch/read', 'batch/archive', 'associate/default')
{
	$hubspot->rules({ match => { path => $path, after => $path eq 'batch/read' ? 1 : 0 }, action => { hang => \1 } });
	$session->send(q{SELECT * FROM hs_assoc_apply('contacts', 'companies', 'SELECT 5 AS from_id, 9 AS to_id', max_removals => 10)});
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} });
	$session->cancel;
	my ($out, $err) = $session->finish;
	like($err, qr/57014/, "a cancel during $path");
	$hubspot->clear_rules;
	is($session->query('SELECT 1'), '1', '... leaves the session');
}
$session->send(q{SELECT * FROM hs_assoc_plan('contacts', 'companies', 'SELECT i AS from_id, 1 / (90000 - i) AS to_id FROM generate_series(1, 100000) AS i')});
my ($out, $err) = $session->finish;
like($err, qr/22012/, 'an error of the query');
is($session->query(q{SELECT count(*) FROM pg_ls_tmpdir()}), '0', '... leaves no temporary file');

$session->quit;
done_testing();
