# Rows that a view's CHECK OPTION, or a policy of the partitioned table above, does not let
# through are neither enqueued nor sent, into whatever foreign table they would go.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
my $options = "SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies'";

$session->query(qq{CREATE ROLE joe;
	CREATE TABLE links (from_id bigint, to_id bigint, label text) PARTITION BY RANGE (from_id);
	CREATE TABLE local PARTITION OF links FOR VALUES FROM (0) TO (1000);
	CREATE FOREIGN TABLE remote PARTITION OF links FOR VALUES FROM (1000) TO (2000) $options);
	CREATE FOREIGN TABLE direct PARTITION OF links FOR VALUES FROM (2000) TO (3000) $options, writes 'direct');
	CREATE TABLE parent (from_id bigint, to_id bigint, label text);
	CREATE FOREIGN TABLE child () INHERITS (parent) $options);
	ALTER TABLE links ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON links TO joe USING (true) WITH CHECK (to_id < 100);
	CREATE POLICY placed ON links AS RESTRICTIVE TO joe USING (true) WITH CHECK (tableoid IN ('local'::regclass, 'remote'::regclass, 'direct'::regclass));
	ALTER TABLE parent ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON parent TO joe USING (true) WITH CHECK (label <> 'Boss');
	CREATE VIEW few AS SELECT * FROM direct WHERE to_id < 100 WITH CHECK OPTION;
	GRANT ALL ON links, parent, few TO joe;
	SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss');
	SELECT * FROM hs_assoc_label_create('contacts', 'companies', 'Clerk', 'clerk');
	INSERT INTO local VALUES (1, 1), (2, 200);
	INSERT INTO direct VALUES (2500, 1, 'Clerk')});

sub refused
{
	my ($sql, $name) = @_;
	my $policy = qr/ERROR:  42501: new row violates row-level security policy for table "(links|parent)"\n/;

	$session->query('SET ROLE joe');
	like($session->told($sql), $sql =~ /few/ ? qr/ERROR:  44000: new row violates check option for view "few"\n/ : $policy, "$name: refused");
	$session->query('RESET ROLE');
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and not enqueued');
	is($session->query(q{SELECT string_agg(concat_ws(' ', from_id, to_id, label), ', ') FROM hs_assoc_batch_read('contacts', 'companies', '{1001,2001,2002,2500}'::text[])}),
		'2500 1 Clerk', '... or sent');
	return;
}
refused('INSERT INTO links VALUES (5, 200)', 'a policy, for this database');
refused('INSERT INTO links VALUES (1001, 200)', '... for a partition that is enqueued');
refused('INSERT INTO links VALUES (1001, 1), (1001, 200)', '... for one row of two');
refused('INSERT INTO links VALUES (2001, 200)', '... for one that is sent at once');
refused('UPDATE links SET from_id = 1001 WHERE from_id = 2', '... for a row that moves there');
refused('UPDATE links SET from_id = 2002 WHERE from_id = 2', '... where it is sent at once');
refused(q{UPDATE parent SET label = 'Boss' WHERE from_id = 2500 AND label = 'Clerk'}, '... for another type of a row that is there');
refused('INSERT INTO few VALUES (2001, 200)', 'a CHECK OPTION, for what is sent at once');

$session->query('SET ROLE joe; INSERT INTO links VALUES (1001, 1), (2001, 1); UPDATE links SET from_id = 1002 WHERE from_id = 1; INSERT INTO few VALUES (2002, 1); RESET ROLE');
is($session->query(q{SELECT string_agg(concat_ws(' ', operation, from_id, to_id), ', ' ORDER BY id) FROM hs_assoc_outbox}), 'create_default 1001 1, create_default 1002 1', 'others are enqueued');
is($session->query(q{SELECT string_agg(concat_ws(' ', from_id, to_id), ', ' ORDER BY from_id) FROM hs_assoc_batch_read('contacts', 'companies', '{2001,2002}'::text[])}), '2001 1, 2002 1', '... or sent');

done_testing();
