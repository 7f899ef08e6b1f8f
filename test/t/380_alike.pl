# Rows that go into a tuplestore share most of what they say with those before them; those
# that are given one by one are each made for itself. Both have to say the same.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(work_mem => '64kB');
my $hubspot = start_simulator();
my %options = (rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, %options);
create_account($node, $hubspot, %options, name => 'size_50', batch_size => 50);
my $session = start_session($node);
my $seed = $ENV{SEED} // time;
srand $seed;
note "SEED=$seed";

# Ids of 1 to 18 digits, pairs that come again, labels and types that change now and then,
# in the answers, too, rows without a type, and records that there are not
my @types = map { [ $_->{category}, $_->{type_id} ] } map {
	@{ $hubspot->put_label('contacts', 'companies', "Label $_", name => "label_$_")->{types} }[0]
} 1 .. 3;
push @types, [ 'HUBSPOT_DEFINED', 279 ], [ 'HUBSPOT_DEFINED', 1 ], [ 'HUBSPOT_DEFINED', 'NULL' ];
my $type = 0;
my @lengths = (9, 10);
my @rows = map {
	$type = int rand @types if rand() < 0.1;
	@lengths = map { 1 + int rand 18 } 1, 2 if rand() < 0.05;
	my @ids = map { (1 + int rand 9) . join '', map { int rand 10 } 2 .. $_ } @lengths;
	sprintf "(%d, '%s', '%s', %s, '%s')", $_, @ids, $types[$type][1], $types[$type][0]
} 1 .. 4000;
$session->query('CREATE TABLE rows (n int, from_id text, to_id text, type_id int, category text); INSERT INTO rows VALUES '
	  . join(', ', @rows) . '; UPDATE rows SET (from_id, to_id) = (SELECT from_id, to_id FROM rows AS r WHERE n = 7) WHERE n % 100 = 0');
$hubspot->objects({ type => 'contacts', missing => [ split /\n/, $session->query('SELECT from_id FROM rows WHERE n % 301 = 0 AND n % 100 <> 0') ] });
$hubspot->settings({ bad_batch => 'partial207' });

# What is compared: correlation ids differ, and of what failed the request is named
my $result = q{input_no, from_id, to_id, ok, labels, types, http_status, error_category, error_message};
my $association = q{input_no, from_id, to_id, category, type_id, label, is_primary, error_category, error_message};
foreach my $server (qw(hubspot size_50))
{
	foreach my $order ('n', 'length(from_id), from_id, length(to_id), to_id', 'from_id DESC')
	{
		foreach my $case (
			[ 'hs_assoc_batch_create', 'from_id, to_id, type_id, category', $result ],
			[ 'hs_assoc_batch_create_default', 'from_id, to_id', $result ],
			[ 'hs_assoc_batch_read', 'from_id', $association ])
		{
			my ($function, $columns, $compared) = @$case;
			my $call = "$function('contacts', 'companies', 'SELECT $columns FROM rows ORDER BY $order', server => '$server')";
			$session->query(qq{
				CREATE TEMP TABLE in_from AS SELECT $compared FROM $call;
				CREATE TEMP TABLE one_by_one AS SELECT $compared FROM (SELECT (r).* FROM (SELECT $call AS r OFFSET 0) AS s) AS t});
			is($session->query(q{SELECT count(*) FROM (TABLE in_from EXCEPT ALL TABLE one_by_one) AS a}) . ' '
				  . $session->query(q{SELECT count(*) FROM (TABLE one_by_one EXCEPT ALL TABLE in_from) AS a}),
				'0 0', "$function by $order, $server: the same rows");
			is($session->query(q{SELECT count(DISTINCT input_no) = 4000 FROM in_from}), 't', '... of all inputs')
			  if $function ne 'hs_assoc_batch_read';
			is($session->query(qq{SELECT count(*) FROM in_from AS r LEFT JOIN (SELECT row_number() OVER (ORDER BY $order), * FROM rows) AS i
					ON r.input_no = i.row_number AND r.from_id = i.from_id}
					  . ($function eq 'hs_assoc_batch_read' ? '' : ' AND r.to_id = i.to_id') . ' WHERE i.n IS NULL'),
				'0', '... with their ids')
			  if $order ne 'from_id DESC';
			cmp_ok($session->query('SELECT count(DISTINCT (types::text, labels, error_category)) FROM in_from'), '>=', 5, '... of many kinds')
			  if $function eq 'hs_assoc_batch_create';
			$session->query('DROP TABLE in_from, one_by_one');
		}
	}
}

$session->quit;
done_testing();
