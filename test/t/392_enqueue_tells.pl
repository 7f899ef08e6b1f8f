# What is enqueued by a role that has no user mapping: a WARNING once a statement, with the
# statement that helps, after which the rows are sent. And a server that is renamed while
# something is enqueued for it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
$session->query(q{DROP USER MAPPING FOR PUBLIC SERVER hubspot;
	CREATE ROLE "Ann" LOGIN; CREATE ROLE eve LOGIN; GRANT USAGE ON FOREIGN SERVER hubspot TO "Ann", eve;
	CREATE FOREIGN TABLE pairs (from_id text NOT NULL, to_id text NOT NULL) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
	ALTER TABLE pairs OWNER TO "Ann"; GRANT INSERT ON pairs TO eve;
	CREATE USER MAPPING FOR eve SERVER hubspot OPTIONS (access_token 'test-token')});

# The WARNINGs of a statement of a role
sub warnings
{
	my ($role, $statement) = @_;
	my ($out, $err);
	$node->psql('postgres', $statement, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
	return $err =~ s/^psql:<stdin>:\d+: //mgr;
}

my $enqueue = q{hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')};
my $warning = q{WARNING:  what is enqueued for server "hubspot" cannot be sent yet
DETAIL:  Role "Ann" has no user mapping for server "hubspot".
HINT:  CREATE USER MAPPING FOR "Ann" SERVER hubspot OPTIONS (access_token '...');};
is(warnings('Ann', "SELECT $enqueue"), $warning, 'a role without a user mapping is told');
is(warnings('Ann', "SELECT $enqueue FROM generate_series(1, 3)"), $warning, '... once a statement');
is(warnings('Ann', "DO \$\$ BEGIN PERFORM $enqueue; PERFORM $enqueue; END \$\$"), $warning, '... also where that runs others');
is(warnings('Ann', "SELECT $enqueue; SELECT 1;\nSELECT $enqueue"), "$warning\n$warning", '... and the next one again');
is(warnings('eve', "INSERT INTO pairs VALUES (3, 4), (5, 6)"), $warning, 'who writes to a foreign table is told of its owner');
is(warnings('eve', "SELECT $enqueue"), '', 'nobody else is told');

$session->query(q{CREATE USER MAPPING FOR "Ann" SERVER hubspot});
is(warnings('Ann', "SELECT $enqueue"), q{WARNING:  what is enqueued for server "hubspot" cannot be sent yet
DETAIL:  The user mapping of role "Ann" for server "hubspot" has no login.
HINT:  ALTER USER MAPPING ... SERVER hubspot OPTIONS (ADD access_token '...');}, 'a mapping without a login');
$session->query(q{ALTER USER MAPPING FOR "Ann" SERVER hubspot OPTIONS (ADD access_token 'test-token')});
is(warnings('Ann', "SELECT $enqueue"), '', 'with a login nothing is said');
$session->query('DELETE FROM hs_assoc_backoff; CALL hs_assoc_flush()');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and all is sent');
is($hubspot->association_count('contacts', 'companies'), 3, '... to HubSpot');

# A trigger, or the query, renames the server.
$session->query(q{CREATE FUNCTION rename_to(name) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE old name := (SELECT srvname FROM pg_foreign_server); BEGIN
		EXECUTE format('ALTER SERVER %I RENAME TO %I', old, $1); RETURN 7; END $$;
	CREATE FUNCTION renames() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM rename_to('crm'); RETURN new; END $$;
	CREATE TRIGGER renames BEFORE INSERT ON pairs FOR EACH ROW WHEN (new.to_id = '7') EXECUTE FUNCTION renames();
	CREATE USER MAPPING FOR postgres SERVER hubspot OPTIONS (access_token 'test-token');
	SET client_min_messages = error});
my $servers = 'SELECT string_agg(DISTINCT server, \' \') FROM hs_assoc_outbox';
$session->query(q{INSERT INTO pairs VALUES (6, 7), (7, 8)});
is($session->query($servers), 'crm', 'a trigger renames the server of a foreign table');
$session->query('DELETE FROM hs_assoc_outbox');
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', $$SELECT rename_to('hubspot') AS from_id, 9 AS to_id$$, server => 'crm')});
is($session->query($servers), 'hubspot', '... and a query that of what is enqueued');

done_testing();
