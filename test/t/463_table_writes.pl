# Foreign tables are written to by way of the outbox: what each statement enqueues, what
# HubSpot holds when that is sent, with whose rights, and what is refused.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off', 'max_prepared_transactions' => 2, 'log_temp_files' => '-1');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, name => 'other');
my $session = start_session($node);
$session->query(q{
CREATE FOREIGN TABLE t (from_id text, to_id text, category text, type_id int, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE pairs (b bigint OPTIONS (role 'to_id'), a bigint OPTIONS (role 'from_id'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE labels_only (from_id text, to_id text, label text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE ids_only (from_id text, to_id text, type_id int, is_primary boolean)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE keyed (from_id text, to_id text)
	SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies');
CREATE FOREIGN TABLE no_writes (from_id text, to_id text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'off');
CREATE FOREIGN TABLE elsewhere (from_id text, to_id text) SERVER other OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE back (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'company', to_type '0-1');
CREATE TABLE l (id text, n int);
CREATE TABLE log (what text);
INSERT INTO l SELECT i, i % 3 FROM generate_series(1, 9) i;
ANALYZE l;
});

#
# INSERT
#
start_over();
commits("INSERT INTO t VALUES ('1', '11')", 'create_default 1 11', 'a row without a type');
is(sent(), "1|11||279", '... is sent when it is committed');
commits("INSERT INTO t (from_id, to_id, label) VALUES ('1', '11', 'Billing'), ('1', '12', NULL), ('2', '11', 'Boss')",
	'create_default 1 12, create+ 1 11 Billing, create+ 2 11 Boss', 'rows with labels and without');
is(sent(), "1|11|Billing|1\n1|11||279\n1|12||279\n2|11|Boss|3", '... each beside what the pair has');
enqueues("INSERT INTO t (from_id, to_id, type_id) VALUES ('3', '11', 1)", 'create+ 3 11 {1}', 'a type by its number');
enqueues("INSERT INTO ids_only (from_id, to_id, is_primary) VALUES ('3', '11', true), ('3', '12', false)", 'create_default 3 12, create+ 3 11 {1}', '... the primary one');
enqueues("INSERT INTO ids_only VALUES ('3', '11', 1, true), ('3', '12', 279, false)", 'create+ 3 11 {1}, create+ 3 12 {279}', '... and both');
enqueues("INSERT INTO t SELECT from_id, to_id, category, type_id, label FROM t WHERE from_id = '2'", 'create+ 2 11 {3} USER_DEFINED Boss', 'a row as it was read');
enqueues("INSERT INTO pairs SELECT 5000 + i, i FROM generate_series(1, 2500) i", qr/^(create_default \d+ [5-7]\d\d\d(, )?){2500}$/, 'many');
enqueues("INSERT INTO pairs VALUES (11, 4) ON CONFLICT DO NOTHING", 'create_default 4 11', 'ON CONFLICT DO NOTHING');
refuses("INSERT INTO pairs VALUES (11, 4) ON CONFLICT (b) DO NOTHING", qr/42P10/, '... with a target');
refuses("INSERT INTO pairs VALUES (11, 4) ON CONFLICT (b) DO UPDATE SET a = 4", qr/42P10/, '... DO UPDATE');
enqueues("INSERT INTO t (from_id, to_id, label) VALUES ('1', '2', 'X'), ('1', '3', NULL) RETURNING to_id, label, tableoid::regclass", 'create+ 1 2 X, create_default 1 3', 'RETURNING', "2|X|t\n3||t");
enqueues("COPY t (from_id, to_id) FROM PROGRAM 'seq -f \"%.0f\t4\" 1 3'", 'create_default 1 4, create_default 2 4, create_default 3 4', 'COPY');
refuses("INSERT INTO t VALUES ('1', NULL)", qr/23502: null value in column "to_id" of foreign table public\.t/, 'a null');
refuses("INSERT INTO t VALUES ('1', '11'), (' 1', '12')", qr/22023: a row cannot be written to foreign table public\.t: from_id " 1" is not valid/, 'an id');
refuses("INSERT INTO t VALUES ('1', '11', 'USER_DEFINED')", qr/there is neither a type_id nor a label/, 'a category alone');
refuses("INSERT INTO t VALUES ('1', '11', 'mine', 4)", qr/category "mine" is not valid/, 'a category');
refuses("INSERT INTO t VALUES ('1', '11', NULL, 0)", qr/type_id 0 is not valid/, 'a type');
refuses("INSERT INTO t VALUES ('1', '11', NULL, NULL, repeat('x', 1001))", qr/is longer than 1000 bytes/, 'a label');
refuses("INSERT INTO ids_only VALUES ('1', '11', 279, true)", qr/is_primary says something else than type_id 279; the primary type is 1/, 'a type that is not the primary one');
refuses("INSERT INTO keyed VALUES (repeat(' ', 1001) || 'a', '1')", qr/from_id is longer than 1000 bytes, with its blanks/, 'a long key');
$session->query("CREATE FOREIGN TABLE without_primary (from_id text, to_id text, is_primary boolean) SERVER hubspot OPTIONS (from_type 'tickets', to_type 'deals')");
refuses("INSERT INTO without_primary VALUES ('1', '2', true)", qr/is_primary is true, but there is no primary type from tickets to deals/, 'a primary type that is not');

#
# DELETE: a pair of which all types go is archived
#
start_over("('1', '11', ''), ('1', '11', 'Billing'), ('1', '12', ''), ('2', '11', 'Boss'), ('2', '11', 'Billing'), ('2', '12', '')");
enqueues("DELETE FROM t WHERE from_id = '1'", 'archive_labels 1 11 {1} USER_DEFINED, archive 1 11, archive 1 12', 'all of a record: the labels go in any case');
enqueues("DELETE FROM t WHERE from_id = '1' AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED', 'a label');
enqueues("DELETE FROM t WHERE to_id = '11' AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED, archive_labels 2 11 {1} USER_DEFINED', '... from the other side');
enqueues("DELETE FROM t WHERE to_id = '11'", 'archive_labels 1 11 {1} USER_DEFINED, archive_labels 2 11 {1} USER_DEFINED, archive_labels 2 11 {3} USER_DEFINED, archive 1 11, archive 2 11', 'all of a record of the other side');
enqueues("DELETE FROM labels_only WHERE from_id = '2' AND label = 'Boss'", 'archive_labels 2 11 Boss', 'a label, known by its text');
enqueues("DELETE FROM labels_only WHERE from_id = '2' AND label IN ('Boss', 'Billing')", 'archive_labels 2 11 Billing, archive_labels 2 11 Boss, archive 2 11', '... both that there are');
enqueues("DELETE FROM pairs WHERE a = 2", 'archive 2 11, archive 2 12', 'pairs');
enqueues("DELETE FROM t USING l WHERE from_id = id AND n > 0", 'archive_labels 1 11 {1} USER_DEFINED, archive_labels 2 11 {1} USER_DEFINED, archive_labels 2 11 {3} USER_DEFINED, archive 1 11, archive 1 12, archive 2 11, archive 2 12', 'by a join');
enqueues("DELETE FROM t USING generate_series(1, 3) WHERE from_id = '1' AND to_id = '11' AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED', 'three times, by a join');
enqueues("DELETE FROM t WHERE from_id = '2' AND to_id = '11' RETURNING label, t", 'archive_labels 2 11 {1} USER_DEFINED, archive_labels 2 11 {3} USER_DEFINED, archive 2 11', 'RETURNING', "Billing|(2,11,USER_DEFINED,1,Billing)\nBoss|(2,11,USER_DEFINED,3,Boss)");
enqueues("DELETE FROM t WHERE from_id = '7'", 'empty', 'nothing');
enqueues("WITH d AS (DELETE FROM t WHERE from_id = '1' AND to_id = '11' RETURNING *) INSERT INTO t SELECT from_id, to_id, NULL, NULL, 'Boss' FROM d",
	'archive_labels 1 11 {1} USER_DEFINED, archive 1 11, create+ 1 11 Boss, create+ 1 11 Boss', 'what is removed comes before what is inserted');
{
	$session->query("SET enable_material = off; SET work_mem = '64kB'");
	enqueues("DELETE FROM t WHERE from_id IN (SELECT '1' FROM generate_series(1, 2)) AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED', 'by a semijoin');
	enqueues("DELETE FROM t USING l LEFT JOIN LATERAL (VALUES ('1'), ('1')) v(x) ON true WHERE from_id = x AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED', 'rows that were kept');
	$session->query('RESET ALL');
}
refuses("DELETE FROM t WHERE from_id = '1' AND to_id = '11' AND label IS NULL", qr/0A000: the row without a label of 1 and 11 cannot be removed alone from foreign table public\.t.*Remove all rows of the pair/s, 'the association, but not its labels');
refuses("DELETE FROM ids_only WHERE from_id = '2' AND type_id = 1", qr/does not show which type of a pair.*Add columns category and type_id/s, 'a type without its category');
refuses("DELETE FROM t", qr/cannot be read without a condition that names records/, 'all rows');
refuses("TRUNCATE t", qr/cannot truncate foreign table "t"/, 'TRUNCATE');
commits("DELETE FROM t WHERE from_id = '2' AND label = 'Boss'", 'archive_labels 2 11 {3} USER_DEFINED', 'a label that is sent');
is(sent(), "1|11|Billing|1\n1|11||279\n1|12||279\n2|11|Billing|1\n2|12||279", '... is gone');
$session->query("DELETE FROM t WHERE from_id = '1'; INSERT INTO t VALUES ('1', '11')");
is(sent(), "1|11||279\n2|11|Billing|1\n2|12||279", 'a pair that is made again before it was taken apart has lost its labels');

$session->query("CREATE FOREIGN TABLE to_keys (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies:domain')");
$hubspot->put_records(companies => [ { id => '11', properties => {} }, { id => '12', properties => { domain => 'twelve.example' } } ]);
enqueues("DELETE FROM to_keys WHERE from_id = '2' AND to_id = 'twelve.example'", 'archive 2 12', 'a record that is called by a key: it is the one that was read');
enqueues("DELETE FROM to_keys WHERE from_id = '2'", 'archive 2 11, archive 2 12', 'one that has none');

# Keys that several records have: what is removed is what the scan has found
start_over("('1', '11', ''), ('2', '11', ''), ('2', '11', 'Billing'), ('2', '11', 'Boss'), ('2', '12', ''), ('2', '12', 'Billing'), ('3', '11', ''), ('3', '11', 'Boss')");
$hubspot->put_records(companies => [ map { { id => $_, properties => { domain => 'two.example' } } } 11, 12 ]);
$hubspot->put_records(contacts => [ map { { id => $_, properties => { lastname => 'ann' } } } 2, 3 ]);
$session->query(q{
CREATE FOREIGN TABLE to_types (from_id text, to_id text, label text) SERVER hubspot OPTIONS (from_type 'contact', to_type 'companies:domain');
CREATE FOREIGN TABLE from_types (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts:lastname', to_type 'companies');
CREATE FOREIGN TABLE all_from (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts:lastname', to_type 'companies:domain', scan 'all');
});
enqueues("DELETE FROM to_keys WHERE from_id = '2' RETURNING *", 'archive 2 11, archive 2 12', 'pairs of one name', "2|two.example\n2|two.example");
enqueues("DELETE FROM to_types WHERE from_id = '2' AND label = 'Billing'", 'archive_labels 2 11 Billing, archive_labels 2 12 Billing', '... a label of both');
enqueues("DELETE FROM to_types WHERE from_id = '2' AND label = 'Boss'", 'archive_labels 2 11 Boss', '... a label of one');
enqueues("UPDATE to_types SET label = 'Boss' WHERE from_id = '2' AND label = 'Billing'", 'archive_labels 2 11 Billing, archive_labels 2 12 Billing, create+ 2 11 Boss, create+ 2 12 Boss', '... another label in its place');
enqueues("DELETE FROM from_types WHERE to_id = '11' AND label = 'Boss'", 'archive_labels 2 11 {3} USER_DEFINED, archive_labels 3 11 {3} USER_DEFINED', '... on the from side, read from the other one');
enqueues("UPDATE from_types SET label = 'Billing' WHERE to_id = '11' AND label = 'Boss'", 'archive_labels 2 11 {3} USER_DEFINED, archive_labels 3 11 {3} USER_DEFINED, create+ 2 11 Billing, create+ 3 11 Billing', '... and others in their place');
enqueues("DELETE FROM all_from WHERE from_id IS NULL", 'archive 1 11', '... of the whole account: a record without a key');
enqueues("DELETE FROM all_from WHERE from_id || 'e' = 'anne'", 'archive 2 11, archive 2 12, archive 3 11', '... and those of one name');
enqueues("WITH d AS (DELETE FROM to_keys WHERE from_id = '2' RETURNING *) INSERT INTO to_keys SELECT '1', max(to_id) FROM d", 'archive 2 11, archive 2 12, create_default 1 two.example', '... what is inserted is called as it is given');
refuses("UPDATE to_types SET to_id = NULL WHERE from_id = '2'", qr/23502: null value in column "to_id" of foreign table public\.to_types/, 'a key that is taken away');
commits("DELETE FROM to_types WHERE from_id = '2' AND label = 'Billing'", 'archive_labels 2 11 Billing, archive_labels 2 12 Billing', '... committed');
is(sent(), "1|11||279\n2|11|Boss|3\n2|11||279\n2|12||279\n3|11|Boss|3\n3|11||279", '... they are gone, and there is no dead letter');

# ... of more rows than are noted in memory, in another order than they are read
{
	my @ids = 20001 .. 23000;

	start_over();
	$hubspot->put_records(companies => [ map { { id => "$_", properties => { domain => 'one.example' } } } @ids ]);
	$session->query("INSERT INTO pairs SELECT i, 5 FROM generate_series($ids[0], $ids[-1]) i");
	sent();
	$session->query("SET work_mem = '64kB'; SET log_temp_files = '-1'");
	enqueues("DELETE FROM to_keys USING (SELECT k.tableoid AS x FROM to_keys k WHERE k.from_id = '5' LIMIT 1) x WHERE from_id = '5' AND tableoid = x.x", join(', ', map { "archive 5 $_" } @ids), 'many pairs of one name');
	$session->query('RESET ALL');
}

# An answer that has a pair without any types
foreach my $to ('{"toObjectId":"11"}', '{"toObjectId":"11","associationTypes":[]}')
{
	my $answer = { status => 200, text => qq({"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[$to]}]}) };

	$hubspot->rules({ match => { path => 'contacts/companies/batch/read$' }, action => $answer });
	enqueues("DELETE FROM t WHERE from_id = '1'", 'archive 1 11', "a pair of no type: $to");
	refuses("UPDATE t SET label = 'Boss' WHERE from_id = '1'", qr/whose type has no label cannot be changed/, '... which cannot have another one in its place');
	$hubspot->clear_rules;
}

# A pair that comes twice, with different types: in one answer it has all of them, and of two it is not known
{
	my ($label, $default, $other) = map { qq({"toObjectId":"$_->[0]","associationTypes":[{"category":"$_->[1]","typeId":$_->[2],"label":$_->[3]}]}) }
	  ([ 11, 'USER_DEFINED', 1, '"Billing"' ], [ 11, 'HUBSPOT_DEFINED', 279, 'null' ], [ 12, 'HUBSPOT_DEFINED', 279, 'null' ]);
	my $twice = qr/ERROR:  08P01: could not read which types 1 and 11 are associated by\n.*DETAIL:  HubSpot's answers have them twice, with different types\.\n/;

	$session->query("CREATE FOREIGN TABLE whole (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'all')");
	foreach my $case (
		[ 'apart', 'archive_labels 1 11 {1} USER_DEFINED', "$label,$other,$default" ], [ 'at the end of a page', $twice, "$other,$label", $default ], [ 'on another page', $twice, "$label,$other", $default ],
		[ 'the same, again', 'archive_labels 1 11 {1} USER_DEFINED, archive 1 11', "$label,$other", "$label,$other" ])
	{
		my ($name, $expected, @pages) = @$case;
		my @answers = map { qq({"status":"COMPLETE","results":[{"from":{"id":"1"},"to":[$pages[$_]]) . ($_ < $#pages ? qq(,"paging":{"next":{"after":"$_"}}) : '') . '}]}' } 0 .. $#pages;
		my $back = '{"status":"COMPLETE","results":[{"from":{"id":"11"},"to":[{"toObjectId":"1","associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":280,"label":null}]}]}]}';

		foreach my $delete ("t WHERE from_id = '1'", "t WHERE to_id = '11'", 'whole WHERE true')
		{
			my $n = 0;

			$hubspot->clear_rules;
			$hubspot->rules([ { match => { path => 'companies/contacts/batch/read$' }, action => { status => 200, text => $back } },
				{ match => { path => 'objects/[^/]+/contacts$' }, action => { status => 200, text => '{"results":[{"id":"1","properties":{}}]}' } },
				map { { match => { path => 'contacts/companies/batch/read$', nth => ++$n }, action => { status => 200, text => $_ } } } @answers ]);
			my $does = ref $expected ? \&refuses : \&enqueues;
			$does->("DELETE FROM $delete AND label = 'Billing'", $expected, "a pair that comes twice: $name: $delete");
		}
	}
	$hubspot->clear_rules;
	$session->query('DROP FOREIGN TABLE whole');
}

#
# UPDATE: the old type goes, the new one comes
#
start_over("('1', '11', ''), ('1', '11', 'Billing'), ('1', '11', 'Boss'), ('2', '11', 'Boss'), ('2', '12', '')");
enqueues("UPDATE t SET label = 'Boss' WHERE from_id IN ('1', '2') AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED, create+ 1 11 Boss', 'a label');
commits("UPDATE t SET label = CASE label WHEN 'Boss' THEN 'Billing' ELSE 'Boss' END WHERE from_id = '1' AND label IS NOT NULL RETURNING label",
	'archive_labels 1 11 {1} USER_DEFINED, archive_labels 1 11 {3} USER_DEFINED, create+ 1 11 Boss, create+ 1 11 Billing', 'two that are exchanged', "Billing\nBoss");
is(sent(), "1|11|Billing|1\n1|11|Boss|3\n1|11||279\n2|11|Boss|3\n2|12||279", '... are there still');
enqueues("UPDATE t SET type_id = 1, category = 'HUBSPOT_DEFINED', label = 'Primary' WHERE from_id = '2' AND label = 'Boss'",
	'archive_labels 2 11 {3} USER_DEFINED, create+ 2 11 {1} HUBSPOT_DEFINED Primary', 'a type in full');
enqueues("UPDATE t SET label = label WHERE from_id = '2'", 'empty', 'nothing that changes');
enqueues("UPDATE t SET label = 'Billing' FROM generate_series(1, 2) WHERE from_id = '2' AND label = 'Boss'",
	'archive_labels 2 11 {3} USER_DEFINED, create+ 2 11 Billing', 'twice, by a join');
enqueues("UPDATE labels_only SET label = 'Billing' WHERE to_id = '11' AND label = 'Boss' AND from_id = '2'", 'archive_labels 2 11 Boss, create+ 2 11 Billing', 'by a table of labels');
commits("UPDATE ids_only SET is_primary = is_primary WHERE from_id = '2'", 'empty', 'nothing, again');
is(sent(), "1|11|Billing|1\n1|11|Boss|3\n1|11||279\n2|11|Boss|3\n2|12||279", 'nothing was sent of what was undone');
refuses("UPDATE t SET to_id = '12' WHERE from_id = '1' AND label = 'Boss'", qr/0A000: the records of a row of foreign table public\.t cannot be changed by UPDATE.*INSERT another/s, 'a record');
refuses("UPDATE t SET label = 'Boss' WHERE from_id = '2' AND label IS NULL", qr/whose type has no label cannot be changed.*INSERT a row with the label/s, 'the association itself');
refuses("UPDATE t SET label = NULL WHERE from_id = '2' AND label = 'Boss'", qr/does not say which type a row is to have/, 'no type');
enqueues("UPDATE t SET category = 'HUBSPOT_DEFINED' WHERE from_id = '2' AND label = 'Boss'", 'archive_labels 2 11 {3} USER_DEFINED, create+ 2 11 {3} HUBSPOT_DEFINED', 'a category alone');
refuses("UPDATE t SET type_id = -1 WHERE from_id = '2' AND label = 'Boss'", qr/type_id -1 is not valid/, 'no type that could be');
refuses("UPDATE t SET from_id = NULL WHERE from_id = '2' AND label = 'Boss'", qr/23502/, 'no record');
refuses("UPDATE ids_only SET type_id = 1 WHERE from_id = '2' AND type_id = 3", qr/does not show which type/, 'a type that is not known well');
refuses("UPDATE pairs SET a = 3 WHERE a = 2", qr/0A000: foreign table public\.pairs has nothing that UPDATE could change/, 'a table of pairs');

#
# Transactions
#
start_over("('1', '11', '')");
$session->query("BEGIN; INSERT INTO t VALUES ('1', '12'); SAVEPOINT a; INSERT INTO t VALUES ('1', '13'); ROLLBACK TO a; SAVEPOINT b; INSERT INTO t VALUES ('1', '14'); RELEASE b; COMMIT");
is(outbox(), 'create_default 1 12, create_default 1 14', 'savepoints');
is(sent(), "1|11||279\n1|12||279\n1|14||279", '... and what is sent');
$session->query("BEGIN; INSERT INTO t VALUES ('2', '12'); ROLLBACK");
is(outbox(), 'empty', 'a rollback');
$session->query("BEGIN; INSERT INTO t VALUES ('2', '12'); PREPARE TRANSACTION 'p'");
is(sent() . outbox(), "1|11||279\n1|12||279\n1|14||279empty", 'a prepared transaction');
$session->query("COMMIT PREPARED 'p'");
is(sent(), "1|11||279\n1|12||279\n1|14||279\n2|12||279", '... when it is committed');
refuses("BEGIN; INSERT INTO t VALUES ('2', '13'); DELETE FROM t WHERE from_id = '2'", qr/55000: cannot DELETE FROM foreign table public\.t in a transaction that has written to it.*in another transaction/s, 'DELETE after INSERT');
refuses("BEGIN; INSERT INTO back VALUES ('13', '2'); UPDATE t SET label = 'x' WHERE from_id = '2'", qr/cannot UPDATE foreign table public\.t in a transaction/, '... by another table of the same object types');
refuses("BEGIN; SAVEPOINT a; INSERT INTO t VALUES ('2', '13'); RELEASE a; DELETE FROM t WHERE from_id = '2'", qr/in a transaction that has written/, '... in a subtransaction');
enqueues("INSERT INTO elsewhere VALUES ('2', '13'); DELETE FROM t WHERE from_id = '2'", 'create_default 2 13, archive 2 12', '... but not by one of another server');
enqueues("SAVEPOINT a; INSERT INTO t VALUES ('2', '13'); ROLLBACK TO a; DELETE FROM t WHERE from_id = '2'", 'archive 2 12', '... but not in one that was rolled back');
enqueues("INSERT INTO t VALUES ('2', '13'); SAVEPOINT a; INSERT INTO t VALUES ('2', '14'); ROLLBACK TO a; INSERT INTO t VALUES ('2', '15')", 'create_default 2 13, create_default 2 15', 'INSERT after INSERT');
refuses("BEGIN; INSERT INTO t VALUES ('2', '13'); SAVEPOINT a; INSERT INTO t VALUES ('2', '14'); ROLLBACK TO a; DELETE FROM t WHERE from_id = '2'", qr/that has written to it/, '... of which one was rolled back');
enqueues("DELETE FROM t WHERE from_id = '2'; INSERT INTO t VALUES ('2', '12')", 'archive 2 12, create_default 2 12', 'INSERT after DELETE');
refuses("START TRANSACTION READ ONLY; INSERT INTO t VALUES ('1', '2')", qr/25006/, 'a read-only transaction');
$session->query('ROLLBACK');

#
# Triggers
#
start_over("('1', '11', ''), ('1', '11', 'Billing')");
$session->query(q{
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	INSERT INTO log VALUES (concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW::text END));
	IF TG_WHEN = 'BEFORE' AND TG_OP = 'INSERT' THEN NEW.to_id := NEW.to_id || '0'; END IF;
	RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END; END$$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER s AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
});
commits("INSERT INTO t VALUES ('1', '1'), ('1', '2')", 'create_default 1 10, create_default 1 20', 'INSERT with triggers');
is(noted(), 'BEFORE INSERT ROW (1,1,,,), BEFORE INSERT ROW (1,2,,,), AFTER INSERT ROW (1,10,,,), AFTER INSERT ROW (1,20,,,), AFTER INSERT STATEMENT', '... which see the rows');
commits("COPY t (from_id, to_id) FROM PROGRAM 'echo \"1\t3\"'", 'create_default 1 30', 'COPY with triggers');
is(noted(), 'BEFORE INSERT ROW (1,3,,,), AFTER INSERT ROW (1,30,,,), AFTER INSERT STATEMENT', '... likewise');
commits("UPDATE t SET label = 'Boss' WHERE from_id = '1' AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED, create+ 1 11 Boss', 'UPDATE with triggers');
is(noted(), 'BEFORE UPDATE ROW (1,11,USER_DEFINED,1,Billing) (1,11,USER_DEFINED,1,Boss), AFTER UPDATE ROW (1,11,USER_DEFINED,1,Billing) (1,11,USER_DEFINED,1,Boss), AFTER UPDATE STATEMENT', '... likewise');
commits("DELETE FROM t WHERE from_id = '1' AND label = 'Billing'", 'archive_labels 1 11 {1} USER_DEFINED', 'DELETE with triggers');
is(noted(), 'BEFORE DELETE ROW (1,11,USER_DEFINED,1,Billing), AFTER DELETE ROW (1,11,USER_DEFINED,1,Billing), AFTER DELETE STATEMENT', '... likewise');
$session->query(q{CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$});
enqueues("INSERT INTO t VALUES ('1', '1')", 'empty', 'a trigger that skips a row');
enqueues("DELETE FROM t WHERE from_id = '1'", 'empty', '... that is removed');
$session->query('DROP FUNCTION note CASCADE; TRUNCATE hs_assoc_outbox');
enqueues("INSERT INTO t SELECT '1', id FROM l WHERE n = 0", 'create_default 1 3, create_default 1 6, create_default 1 9', 'and without triggers');

#
# Partitions, inheritance, views
#
start_over("('1', '11', ''), ('2', '11', ''), ('1', '12', 'Billing')");
$session->query(q{
CREATE TABLE parent (from_id text, note text, to_id text, label text) PARTITION BY LIST (note);
CREATE TABLE here PARTITION OF parent FOR VALUES IN ('here');
CREATE FOREIGN TABLE there (from_id text, to_id text, label text, note text OPTIONS (role 'category')) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
ALTER TABLE parent ATTACH PARTITION there DEFAULT;
CREATE VIEW v AS SELECT from_id, to_id FROM t WHERE to_id <> '12' WITH CHECK OPTION;
});
enqueues("INSERT INTO parent VALUES ('1', 'here', '2'), ('1', NULL, '3'), ('1', NULL, '4')", 'create_default 1 3, create_default 1 4', 'rows that are routed to a partition');
is($session->query("SELECT count(*) FROM here"), '0', '... and others, which were rolled back');
enqueues("COPY parent (from_id, note, to_id) FROM PROGRAM 'printf \"1\there\t2\n1\t\\\\\\\\N\t3\n1\t\\\\\\\\N\t4\n\"'", 'create_default 1 3, create_default 1 4', '... by COPY');
$session->query("INSERT INTO parent VALUES ('1', 'here', '2'), ('9', 'here', '2')");
enqueues("DELETE FROM parent WHERE from_id = '1'", 'archive_labels 1 12 USER_DEFINED Billing, archive 1 11, archive 1 12', 'DELETE of a partitioned table');
enqueues("DELETE FROM parent WHERE from_id = '1' RETURNING tableoid::regclass, to_id", 'archive_labels 1 12 USER_DEFINED Billing, archive 1 11, archive 1 12', '... RETURNING', "here|2\nthere|11\nthere|12");
enqueues("UPDATE parent SET note = NULL WHERE from_id = '9' RETURNING tableoid::regclass", 'create_default 9 2', 'a row that moves into a foreign partition', 'there');
enqueues("UPDATE here SET label = 'x' WHERE from_id = '1'", 'empty', 'a partition of its own');
enqueues("UPDATE parent SET label = 'Boss' WHERE from_id = '1' AND label = 'Billing'", 'archive_labels 1 12 USER_DEFINED Billing, create+ 1 12 Boss', 'UPDATE of a partitioned table');
$session->query('DROP TABLE parent; CREATE TABLE parent (from_id text, to_id text); CREATE FOREIGN TABLE child (x int OPTIONS (role $$type_id$$), category text) INHERITS (parent) SERVER hubspot OPTIONS (from_type $$contacts$$, to_type $$companies$$); INSERT INTO parent VALUES ($$1$$, $$11$$)');
enqueues("DELETE FROM parent WHERE from_id = '1' RETURNING tableoid::regclass, to_id", 'archive_labels 1 12 {1} USER_DEFINED, archive 1 11, archive 1 12', 'inheritance', "child|11\nchild|12\nparent|11");
enqueues("INSERT INTO v VALUES ('3', '11')", 'create_default 3 11', 'by a view');
refuses("INSERT INTO v VALUES ('3', '12')", qr/44000/, '... that checks');
enqueues("DELETE FROM v WHERE from_id = '1'", 'archive 1 11', '... or DELETE');

#
# What is refused
#
refuses("INSERT INTO no_writes VALUES ('1', '2')", qr/55000: foreign table public\.no_writes is read-only.*ALTER FOREIGN TABLE public\.no_writes OPTIONS \(SET writes 'outbox'\)/s, "writes 'off'");
refuses("DELETE FROM no_writes WHERE from_id = '1'", qr/is read-only/, '... DELETE');
refuses("COPY no_writes FROM PROGRAM 'echo'", qr/55000: foreign table "no_writes" does not allow inserts/, '... COPY');
is($session->query("SELECT string_agg(concat_ws(' ', c::regclass, pg_relation_is_updatable(c, false)), ', ') FROM unnest('{t,pairs,no_writes}'::regclass[]) c"), 't 28, pairs 24, no_writes 0', 'pg_relation_is_updatable');
refuses("CREATE FOREIGN TABLE x (from_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'of')", qr/invalid value for option "writes": "of"/, 'a value of the option');
refuses("MERGE INTO t USING l ON from_id = id WHEN NOT MATCHED THEN INSERT (from_id, to_id) VALUES (id, '1')", qr/cannot execute MERGE on relation "t"/, 'MERGE');
refuses("BEGIN; DECLARE c CURSOR FOR SELECT * FROM t WHERE from_id = '1'; FETCH c; DELETE FROM t WHERE CURRENT OF c", qr/0A000: WHERE CURRENT OF is not supported/, 'WHERE CURRENT OF');

#
# EXPLAIN
#
like($session->query("EXPLAIN (COSTS off) INSERT INTO t VALUES ('1', '2')"), qr/Insert on t\n\s+HubSpot Writes: outbox\n/, 'EXPLAIN of an INSERT');
like($session->query("EXPLAIN (COSTS off) DELETE FROM t WHERE from_id = '1'"), qr/Delete on t\n\s+HubSpot Writes: outbox\n.*HubSpot Records: from_id/s, '... of a DELETE');
like($session->query("BEGIN; EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) DELETE FROM t WHERE from_id = '1'; ROLLBACK"), qr/HubSpot Rows Enqueued: 3\n/, 'ANALYZE of it');
like($session->query("BEGIN; EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) INSERT INTO t VALUES ('1', '2'); ROLLBACK"), qr/HubSpot Rows Enqueued: 1\n/, '... and of an INSERT');
is(outbox(), 'empty', '... and nothing is left');

# EvalPlanQual: a local row that has changed meanwhile is looked at again
start_over("('1', '11', ''), ('2', '12', '')");
{
	my $other = start_session($node);
	$session->query("BEGIN; UPDATE l SET n = 7 WHERE id = '1'");
	$other->send("UPDATE l SET n = n + 10 FROM t WHERE t.from_id = l.id AND l.id IN ('1', '2') AND l.n < 7");
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") eq '1' });
	$session->query('COMMIT');
	$other->finish;
	is($session->query("SELECT string_agg(id || ' ' || n, ', ' ORDER BY id) FROM l WHERE id IN ('1', '2')"), '1 7, 2 12', 'a row that no longer qualifies is left');
	$session->query("UPDATE l SET n = id::int % 3");
	$session->query("BEGIN; UPDATE l SET n = 2 WHERE id = '1'");
	$other->send("DELETE FROM l USING t WHERE t.from_id = l.id AND l.id IN ('1', '2') AND l.n < 7 RETURNING l.n, t.to_id");
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") eq '1' });
	$session->query('COMMIT');
	is(join("\n", sort split /\n/, ($other->finish)[0]), "2|11\n2|12", '... and one that does is taken as it is now');
	$session->query("INSERT INTO l VALUES ('1', 1), ('2', 2); CREATE TABLE la (no int, ids text[]); INSERT INTO la VALUES (1, '{1}'), (2, '{2}')");
	$session->query("BEGIN; UPDATE la SET ids = '{7}' WHERE no = 1");
	$other->send("SET enable_hashjoin = off; UPDATE la SET no = no + 10 FROM t WHERE t.from_id = ANY (la.ids)");
	wait_until(sub { $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") eq '1' });
	$session->query('COMMIT');
	$other->finish;
	is($session->query("SELECT string_agg(no || ' ' || ids::text, ', ' ORDER BY no) FROM la"), '1 {7}, 12 {2}', '... by an array, too');
	$other->quit;
}

#
# Whose rights
#
$session->query(q{
CREATE ROLE owner; CREATE ROLE writer; CREATE ROLE stranger;
CREATE SCHEMA own AUTHORIZATION owner; GRANT USAGE ON SCHEMA own TO PUBLIC;
GRANT USAGE ON FOREIGN SERVER hubspot TO owner;
SET ROLE owner;
CREATE FOREIGN TABLE own.t (from_id text, to_id text, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE VIEW own.v AS SELECT * FROM own.t;
CREATE VIEW own.invoker WITH (security_invoker) AS SELECT * FROM own.t;
GRANT INSERT ON own.t TO writer;
GRANT INSERT ON own.v, own.invoker TO writer, stranger;
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER hubspot;
CREATE USER MAPPING FOR owner SERVER hubspot OPTIONS (access_token 'test-token');
CREATE USER MAPPING FOR writer SERVER hubspot OPTIONS (access_token 'test-token');
});
as(writer => "INSERT INTO own.t VALUES ('1', '2')", 'owner create_default', 'a writer without USAGE writes on behalf of the owner');
as(writer => "SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')", qr/42501: permission denied for foreign server/, '... and can do nothing else');
as(writer => "DELETE FROM own.t WHERE from_id = '1'", qr/42501: permission denied for foreign table t/, '... not even DELETE');
as(writer => "UPDATE own.t SET label = 'x' WHERE from_id = '1'", qr/42501: permission denied for foreign table t/, '... nor UPDATE');
as(stranger => "INSERT INTO own.t VALUES ('1', '2')", qr/42501: permission denied for foreign table t/, 'one without the privilege');
as(stranger => "INSERT INTO own.v VALUES ('1', '2')", 'owner create_default', "by a view, with its owner's privilege and mapping");
as(stranger => "INSERT INTO own.invoker VALUES ('1', '2')", qr/42501/, "... but not if it takes the caller's");
$session->query('GRANT INSERT, DELETE, SELECT, UPDATE ON own.t TO stranger');
as(stranger => "INSERT INTO own.t VALUES ('1', '2')", qr/42704: user mapping for user "stranger" and server "hubspot" not found/, 'one without a user mapping');
$session->query('GRANT pg_execute_server_program TO stranger');
as(stranger => "COPY own.t (from_id, to_id) FROM PROGRAM 'echo \"1\t2\"'", qr/42704: user mapping for user "stranger"/, '... by COPY');
as(stranger => "UPDATE own.t SET label = 'x' WHERE from_id = '1'", qr/42704/, '... by UPDATE');
$session->query('REVOKE USAGE ON FOREIGN SERVER hubspot FROM owner');
as(writer => "INSERT INTO own.t VALUES ('1', '2')", qr/42501: permission denied for foreign server hubspot.*TO owner/s, 'an owner who may no longer use the server');
$session->query('GRANT USAGE ON FOREIGN SERVER hubspot TO owner');
{
	# whoever swaps names on the search path gains nothing
	$session->query(q{GRANT ALL ON SCHEMA own TO writer; SET ROLE writer;
		CREATE TABLE own.hs_assoc_outbox (id bigint, server text, role text, operation text); CREATE FUNCTION own.unnest(anyarray) RETURNS SETOF hs_assoc_input LANGUAGE sql AS 'SELECT NULL::hs_assoc_input'; RESET ROLE});
	$session->query('SET search_path = own, pg_catalog, public');
	as(writer => "INSERT INTO own.t VALUES ('1', '2')", 'owner create_default', 'a search path with other tables');
	$session->query('RESET search_path');
}
$session->query(q{DROP TABLE own.hs_assoc_outbox; CREATE TABLE own.p (from_id text, to_id text, label text) PARTITION BY LIST (label); ALTER TABLE own.p OWNER TO owner;
	ALTER TABLE own.p ATTACH PARTITION own.t DEFAULT; REVOKE ALL ON own.t FROM writer, stranger; GRANT INSERT ON own.p TO writer, stranger});
as(writer => "INSERT INTO own.p VALUES ('1', '2')", 'owner create_default', 'by a partitioned table');
as(stranger => "INSERT INTO own.p VALUES ('1', '2')", qr/42704: user mapping for user "stranger"/, '... needs a mapping, too');

$session->quit;
done_testing();

sub start_over
{
	my ($rows) = @_;
	$hubspot->reset;
	$session->query(q{TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, log;
		SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
		SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss', 'Report')});
	return unless $rows;
	$session->query(qq{INSERT INTO t (from_id, to_id, label) SELECT a, b, nullif(c, '') FROM (VALUES $rows) v(a, b, c)});
	sent();
	return;
}

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation || CASE WHEN keep_labels THEN '+' ELSE '' END, from_id, to_id, type_ids, category, array_to_string(labels, ',')), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox});
}

sub noted
{
	my $noted = $session->query(q{SELECT coalesce(string_agg(what, ', ' ORDER BY ctid), '') FROM log});
	$session->query('TRUNCATE log, hs_assoc_outbox');
	return $noted;
}

# Send all; what HubSpot holds then
sub sent
{
	$session->query('CALL hs_assoc_flush()');
	is($session->query('SELECT count(*) FROM hs_assoc_outbox') + $session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, '... all is sent')
	  or diag($session->query('SELECT operation, from_id, to_id, error_category, error_message FROM hs_assoc_outbox UNION ALL SELECT operation, from_id, to_id, error_category, error_message FROM hs_assoc_dead_letter'));
	return $session->query(q{SELECT from_id, to_id, label, type_id FROM t WHERE from_id = ANY (ARRAY(SELECT generate_series(1, 9)::text)) ORDER BY 1, 2, label COLLATE "C", 4});
}

# A statement enqueues that, and returns these rows; then it is undone, or committed
sub enqueues { return does('ROLLBACK', @_) }
sub commits { return does('COMMIT', @_) }

sub does
{
	my ($end, $sql, $expected, $name, $rows) = @_;
	$session->query('BEGIN');
	$session->send($sql);
	my ($out, $err) = $session->finish;
	my $got = $err =~ /ERROR/ ? $err : outbox();
	ref $expected ? like($got, $expected, $name) : is($got, $expected, $name);
	is(join("\n", sort split /\n/, $out), $rows, "... and its rows: $name") if defined $rows;
	$session->query($end);
	return;
}

sub refuses
{
	my ($sql, $error, $name) = @_;
	$session->send($sql);
	my (undef, $err) = $session->finish;
	like($err, $error, "refused: $name");
	$session->query('ROLLBACK');
	is(outbox(), 'empty', '... and nothing is enqueued');
	return;
}

# As a role, a statement has that enqueued on behalf of whom, or is an error
sub as
{
	my ($role, $sql, $expected, $name) = @_;
	$session->query("BEGIN; SET LOCAL ROLE $role");
	$session->send($sql);
	my ($out, $err) = $session->finish;
	if (ref $expected) { like($err, $expected, $name) }
	else
	{
		is($err, '', $name);
		$session->query('RESET ROLE');
		is($session->query(q{SELECT string_agg(role || ' ' || operation, ', ') FROM public.hs_assoc_outbox}), $expected, '... by the right one');
	}
	$session->query('ROLLBACK');
	return;
}
