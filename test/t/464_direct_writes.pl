# Foreign tables whose option writes is 'direct': what is sent, by how many requests, what
# an error leaves behind, and with whose login.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query(q{
CREATE FOREIGN TABLE t (from_id text, to_id text, category text, type_id int, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
CREATE FOREIGN TABLE pairs (b bigint OPTIONS (role 'to_id'), a bigint OPTIONS (role 'from_id'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
CREATE FOREIGN TABLE labels_only (from_id text, to_id text, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
CREATE FOREIGN TABLE keyed (from_id text, to_id text)
	SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies', writes 'direct');
});

start_over();
does("INSERT INTO t VALUES ('1', '11'), ('1', '12')", 1, "1|11||279\n1|12||279", 'two rows are a request');
does("INSERT INTO t (from_id, to_id, label) VALUES ('1', '11', 'Billing'), ('2', '11', NULL)", undef, "1|11|Billing|1\n1|11||279\n1|12||279\n2|11||279", 'labels and none');
does("INSERT INTO pairs SELECT 100 + i, 10 + i FROM generate_series(1, 2500) i", 3, undef, 'many rows are a thousand a request');
is($hubspot->association_count('contacts', 'companies'), 2503, '... and all are there');
does("COPY pairs (a, b) FROM PROGRAM 'seq -f \"%.0f\t7\" 3001 5500'", undef, undef, 'COPY');
is($hubspot->association_count('contacts', 'companies'), 5003, '... and all of these are');
cmp_ok($hubspot->stats->{requests}, '<', 40, '... by few requests');
start_over();
does("INSERT INTO t VALUES ('1', '11'), ('1', '12') RETURNING to_id", 2, "1|11||279\n1|12||279", 'with RETURNING, each row is a request', "11\n12");
does("BEGIN; INSERT INTO t VALUES ('2', '11'); ROLLBACK", 1, "1|11||279\n1|12||279\n2|11||279", 'what is sent does not roll back');
does("DELETE FROM t WHERE from_id = '1'", 2, "2|11||279", 'DELETE');
does("BEGIN; INSERT INTO t VALUES ('1', '11'); DELETE FROM t WHERE from_id = '1'; COMMIT", 3, "2|11||279", 'DELETE of what was inserted: it is read');
$session->query("INSERT INTO t (from_id, to_id, label) VALUES ('2', '11', 'Boss')");
does("UPDATE t SET label = 'Billing' WHERE from_id = '2' AND label = 'Boss'", undef, "2|11|Billing|1\n2|11||279", 'UPDATE');
does("UPDATE labels_only SET label = 'Boss' WHERE from_id = '2' AND label = 'Billing'", undef, "2|11|Boss|3\n2|11||279", '... of a table of labels');
does("DELETE FROM labels_only WHERE from_id = '2' AND label = 'Boss'", undef, "2|11||279", 'DELETE of a label');
does("WITH d AS (DELETE FROM t WHERE from_id = '2' RETURNING *) INSERT INTO t SELECT from_id, '12' FROM d", undef, "2|12||279", 'both');
$hubspot->put_records(contacts => [ { id => '7', properties => { email => 'ann@example.com' } } ]);
does("INSERT INTO keyed VALUES ('Ann\@Example.com', '11')", undef, "2|12||279\n7|11||279", 'keys');
$session->query("CREATE FOREIGN TABLE to_keys (from_id text, to_id text, label text) SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies:domain', writes 'direct')");
$hubspot->put_records(companies => [ map { { id => $_, properties => { domain => 'two.example' } } } 11, 13 ]);
$session->query("INSERT INTO t VALUES ('7', '13'); INSERT INTO t (from_id, to_id, label) VALUES ('7', '13', 'Boss'), ('7', '11', 'Billing')");
does("UPDATE to_keys SET label = 'Boss' WHERE from_id = 'ann\@example.com' AND label = 'Billing'", undef, "2|12||279\n7|11|Boss|3\n7|11||279\n7|13|Boss|3\n7|13||279", 'UPDATE of one of two records with one key');
does("DELETE FROM to_keys WHERE from_id = 'ann\@example.com' AND label = 'Boss'", undef, "2|12||279\n7|11||279\n7|13||279", 'DELETE of labels of both');
does("DELETE FROM to_keys WHERE from_id = 'ann\@example.com' AND to_id = 'two.example'", undef, "2|12||279", '... and of both');
does("INSERT INTO keyed VALUES ('Ann\@Example.com', '11')", undef, "2|12||279\n7|11||279", '... one is made again');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, 'nothing goes to the outbox');

# Errors
fails("INSERT INTO t (from_id, to_id, label) VALUES ('1', '11', 'Bos')", qr/22023: a row cannot be written to foreign table public\.t: .*Bos/, 0, 'a label that is not there');
fails("INSERT INTO t (from_id, to_id, type_id, category, label) VALUES ('1', '11', 3, 'USER_DEFINED', 'Billing')", qr/label "Billing" is of type_id 1, not 3/, 0, "another type's label");
fails("UPDATE t SET label = 'Bos' WHERE from_id = '2' AND label IS NULL", qr/whose type has no label/, undef, 'UPDATE of the association itself');
$session->query("INSERT INTO t (from_id, to_id, label) VALUES ('2', '12', 'Boss')");
fails("UPDATE t SET label = 'Bos' WHERE from_id = '2' AND label = 'Boss'", qr/22023.*Bos/, undef, 'UPDATE to a label that is not there');
is(held(), "2|12|Boss|3\n2|12||279\n7|11||279", '... which has removed nothing');
fails("INSERT INTO keyed VALUES ('nobody\@example.com', '11')", qr/P0002|02000|could not associate/, undef, 'a key without a record');
$hubspot->rules({ match => { path => 'batch/associate/default' }, action => { status => 500 } });
fails("INSERT INTO t VALUES ('1', '11')", qr/38000: could not associate contacts 1 with companies 11|38000: could not associate 1 with 11/, undef, 'a failure');
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'batch' }, action => { hang => 1 } });
$session->send("INSERT INTO t VALUES ('1', '11')");
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
$session->cancel;
like(($session->finish)[1], qr/57014/, 'a statement in flight is canceled');
$hubspot->clear_rules;

# Partitions
$session->query(q{
CREATE TABLE parent (from_id text, label text, to_id text) PARTITION BY LIST (to_id);
CREATE TABLE here PARTITION OF parent FOR VALUES IN ('11');
CREATE FOREIGN TABLE there PARTITION OF parent DEFAULT SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
});
does("INSERT INTO parent VALUES ('3', NULL, '11'), ('3', NULL, '12'), ('4', NULL, '12')", 1, "2|12|Boss|3\n2|12||279\n3|12||279\n4|12||279\n7|11||279", 'rows that are routed');
fails("UPDATE parent SET to_id = '13' WHERE from_id = '3'", qr/0A000: rows cannot be moved into foreign table public\.there, which the same UPDATE changes/, undef, 'a row that moves into a partition that may change, too');

# EXPLAIN
like($session->query("EXPLAIN (COSTS off) INSERT INTO t VALUES ('1', '2')"), qr/HubSpot Writes: direct\n/, 'EXPLAIN');
like($session->query("EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) INSERT INTO t VALUES ('1', '2')"), qr/HubSpot Write Requests: 1\n/, '... ANALYZE');

# Whose login
$session->query(q{
CREATE ROLE owner; CREATE ROLE writer;
CREATE SCHEMA own AUTHORIZATION owner; GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER hubspot TO owner;
SET ROLE owner;
CREATE FOREIGN TABLE own.t (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
GRANT INSERT ON own.t TO writer;
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER hubspot;
CREATE USER MAPPING FOR owner SERVER hubspot OPTIONS (access_token 'test-token');
SET ROLE writer;
});
fails("INSERT INTO own.t VALUES ('8', '2')", qr/42704: user mapping for user "writer"/, 0, 'a writer without a mapping');
$session->query("RESET ROLE; CREATE USER MAPPING FOR writer SERVER hubspot OPTIONS (access_token 'test-token'); SET ROLE writer");
$session->query("INSERT INTO own.t VALUES ('8', '2')");
$session->query('RESET ROLE; REVOKE USAGE ON FOREIGN SERVER hubspot FROM owner; SET ROLE writer');
fails("INSERT INTO own.t VALUES ('8', '3')", qr/42501: permission denied for foreign server hubspot/, 0, 'an owner who may no longer use the server');
$session->query("RESET ROLE");
is($hubspot->association_count('contacts', 'companies'), 6, 'one of them was written');

$session->quit;
done_testing();

sub start_over
{
	$hubspot->reset;
	$session->query(q{SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
		SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss', 'Report')});
	return;
}

# What HubSpot holds
sub held { return $session->query(q{SELECT from_id, to_id, label, type_id FROM t WHERE from_id = ANY (ARRAY(SELECT generate_series(1, 9)::text)) ORDER BY 1, 2, label COLLATE "C", 4}) }

sub does
{
	my ($sql, $requests, $held, $name, $rows) = @_;
	my $count = $hubspot->stats->{requests};
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$count = $hubspot->stats->{requests} - $count;
	is($err, '', $name);
	is($count, $requests, "... $requests requests") if defined $requests;
	is($out, $rows, '... and its rows') if defined $rows;
	is(held(), $held, '... and what is there') if defined $held;
	return;
}

sub fails
{
	my ($sql, $error, $requests, $name) = @_;
	my $before = $hubspot->association_table('contacts', 'companies');
	$session->send($sql);
	my (undef, $err) = $session->finish;
	like($err, $error, "fails: $name");
	is($hubspot->association_table('contacts', 'companies'), $before, '... and changes nothing');
	return;
}
