# What a pull says that cannot do all of its work, of what is written down over there: changes
# that may not be deleted are not applied; a value that does not fit is named with its change;
# and so are columns of other types.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 0);
plan(skip_all => 'postgres_fdw is missing')
  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}) == 0;
my $hubspot = start_simulator();
$node->safe_psql('postgres', 'CREATE DATABASE managed');
create_account($node, $hubspot, rate_limit => 0);
my $managed = start_session($node, 'managed');
my $car = start_session($node);
my $script = "$FindBin::Bin/../../managed/hubspot_changes.sql";
my ($host, $port) = ($node->host, $node->port);

$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'managed', '-f', $script ], 'the script of the managed server');
$car->query('CREATE ROLE puller LOGIN');
$managed->query(q{CREATE TABLE odd (contact_id text NOT NULL, company_id text NOT NULL, PRIMARY KEY (contact_id, company_id));
	SELECT hubspot_changes.follow('odd', 'contact_id', 'company_id');
	GRANT USAGE ON SCHEMA hubspot_changes TO puller; GRANT SELECT, DELETE ON hubspot_changes.changes TO puller; GRANT SELECT ON odd TO puller});
$car->query(qq{CREATE EXTENSION postgres_fdw; CREATE SCHEMA managed;
	CREATE SERVER managed FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'managed');
	CREATE USER MAPPING FOR CURRENT_USER SERVER managed OPTIONS (user 'puller');
	CREATE FOREIGN TABLE managed.changes (id bigint, link text, old_row jsonb, new_row jsonb) SERVER managed OPTIONS (schema_name 'hubspot_changes', table_name 'changes');
	CREATE FOREIGN TABLE managed.odd (contact_id text, company_id text) SERVER managed OPTIONS (schema_name 'public', table_name 'odd');
	CREATE DOMAIN id AS text CHECK (VALUE ~ '^[0-9]+\$');
	CREATE TABLE odd (contact_id varchar(4), company_id id, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('odd', 'contacts', 'contact_id', 'companies', 'company_id')});
my $pull = sub { my ($more) = @_; return $car->told("CALL hs_assoc_pull('odd', 'managed.changes'" . ($more // '') . ')') };
my $rows = sub { return $car->query('SELECT count(*) FROM odd') . ' ' . $managed->query('SELECT count(*) FROM hubspot_changes.changes') };

$managed->query(q{REVOKE DELETE ON hubspot_changes.changes FROM puller; INSERT INTO odd VALUES ('1', '1'), ('2', '1')});
like($pull->($_), qr/ERROR:  42501: permission denied for table changes\n/, 'who may not delete the changes over there' . ($_ && ', with all rows')) foreach '', q{, all_rows => 'managed.odd'};
is($rows->(), '0 2', '... does not apply them either');
$managed->query('GRANT DELETE ON hubspot_changes.changes TO puller; ALTER ROLE puller SET default_transaction_read_only = on');
$car->query('SELECT postgres_fdw_disconnect_all()');
like($pull->(), qr/ERROR:  25006: /, 'nor where nobody can, as on a standby');
is($rows->(), '0 2', '... are they applied');
$managed->query('ALTER ROLE puller RESET default_transaction_read_only');
$car->query('SELECT postgres_fdw_disconnect_all()');
like($pull->(), qr/NOTICE:  00000: pulled 2 changes of public\.odd\n/, '... and then they are');

my $hint = qr/HINT:  Let table odd take it, or correct the row over there and pull with all_rows\. Until then no change of this table is pulled\.\n/;
$managed->query(q{INSERT INTO odd VALUES ('3', '1'), ('12345', '1'), ('4', '1')});
like($pull->(), qr/ERROR:  22001: value too long for type character varying\(4\)\n.*DETAIL:  It is change \d+ of public\.odd: \{"company_id": "1", "contact_id": "12345"\}\n.*$hint/s, 'a value that does not fit, and the change that has it');
is($rows->(), '2 3', '... and nothing is pulled');
$managed->query(q{UPDATE odd SET contact_id = '5' WHERE contact_id = '12345'});
like($pull->(q{, all_rows => 'managed.odd'}), qr/NOTICE:  00000: took all rows of managed\.odd: 3 added, 0 removed\n/, '... as the HINT says');
is($rows->(), '5 0', '... and all is there');
$managed->query(q{UPDATE odd SET company_id = 'x' WHERE contact_id = '5'});
like($pull->(), qr/ERROR:  23514: value for domain id violates check constraint "id_check"\n.*DETAIL:  It is change \d+ of public\.odd: \{"company_id": "1", "contact_id": "5"\} became \{"company_id": "x", "contact_id": "5"\}\n.*$hint/s, 'a domain that refuses one');
$managed->query(q{TRUNCATE odd; INSERT INTO odd VALUES ('6', 'y')});
like($pull->(), qr/DETAIL:  It is change \d+ of public\.odd: \{"company_id": "y", "contact_id": "6"\}\n/, 'what a TRUNCATE has made needless is not named');
$managed->query('DELETE FROM odd');
$pull->(q{, all_rows => 'managed.odd', may_be_empty => true});
$car->query('ALTER TABLE odd ADD CONSTRAINT small CHECK (length(contact_id) < 3)');
$managed->query(q{INSERT INTO odd VALUES ('777', '1')});
like($pull->(), qr/ERROR:  23514: new row for relation "odd" violates check constraint "small"\n.*DETAIL:  Failing row contains \(777, 1\)\.\n/s, 'an ERROR that names the row is as it was');

$car->query(q{SELECT hs_assoc_disable_sync('odd'); ALTER TABLE odd ALTER company_id TYPE int USING company_id::int;
	SELECT hs_assoc_enable_sync('odd', 'contacts', 'contact_id', 'companies', 'company_id')});
like($pull->(q{, all_rows => 'managed.odd'}),
	qr/ERROR:  22023: invalid value for argument "all_rows": "managed\.odd"\n.*DETAIL:  Its values cannot be compared with those of table odd: column .*company_id has type text instead of integer\.\n.*HINT:  Have the same types in both\.\n/s,
	'a foreign table whose types are others');

done_testing();
