# What pg_monitor sees: states and counts, but nothing that may name a record.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN;
	CREATE ROLE monitor LOGIN;
	CREATE ROLE operator LOGIN;
	GRANT pg_monitor TO monitor, operator;
	GRANT app TO operator;
	GRANT USAGE ON FOREIGN SERVER hubspot TO app;
	SET ROLE app;
	SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 70100401 AS from_id, 9001001 AS to_id');
});

# an answer that names the records
$hubspot->rules({ match => { path => 'contacts/companies' },
	action => { status => 401, text => '{"status":"error","category":"EXPIRED_AUTHENTICATION","message":"no access to 70100401"}' } });
$node->safe_psql('postgres', 'CALL hs_assoc_flush()');
like($node->safe_psql('postgres', 'SELECT error_message FROM hs_assoc_backoff'), qr/70100401/, 'the account waits, for a reason that names a record');

my %sessions = map { my $session = start_session($node); $session->query("SET ROLE $_"); ($_ => $session) } qw(monitor operator);

sub told
{
	my ($role, $sql) = @_;
	$sessions{$role}->send($sql);
	my ($out, $err) = $sessions{$role}->finish;
	return $out . $err;
}

my $columns = 'server, role, waiting, retry_at IS NOT NULL, http_status, error_category, error_message';
is(told('monitor', "SELECT $columns FROM hs_assoc_outbox_stat"), 'hubspot|app|1|t|401|EXPIRED_AUTHENTICATION|',
	'pg_monitor sees what waits, and of what kind the reason is');
is(told('operator', "SELECT $columns FROM hs_assoc_outbox_stat"),
	'hubspot|app|1|t|401|EXPIRED_AUTHENTICATION|no access to 70100401', 'who has the role sees its words');
is(told('monitor', 'SELECT server, role, failures, retry_at > since, http_status, error_category FROM hs_assoc_backoff'),
	'hubspot|app|1|t|401|EXPIRED_AUTHENTICATION', 'the account, too');
like(told('monitor', "SELECT $_ FROM hs_assoc_backoff AS b"), qr/ERROR:  42501: permission denied for table hs_assoc_backoff/, "but not: $_")
  foreach 'error_message', '*', 'b', 'to_jsonb(b)';

# The query that the documentation gives for alerts
my ($alert) = slurp_file("$FindBin::Bin/../../doc/operations.md") =~ /^(SELECT 'outbox' AS alert.*?;)$/ms;
$node->safe_psql('postgres', q{UPDATE hs_assoc_backoff SET since = since - '1 hour'::interval});
my $alerts = told('monitor', $alert);
like($alerts, qr/^account\|hubspot\|.*EXPIRED_AUTHENTICATION/m, 'it can be asked what to be alarmed of');
unlike($alerts, qr/70100401|9001001|ERROR/, 'without ids');

# Whatever else it may read, by grants to it or to PUBLIC, as rows or from functions
my @readable = split /\n/, $node->safe_psql('postgres', q{
	SELECT format('SELECT %s FROM %s', string_agg(quote_ident(attname), ', ' ORDER BY attnum), attrelid::regclass)
	FROM pg_attribute JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = attrelid AND d.deptype = 'e'
		JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'v')
	WHERE attnum > 0 AND has_column_privilege('pg_monitor', attrelid, attnum, 'SELECT')
	GROUP BY attrelid
	UNION ALL SELECT format('SELECT * FROM %s()', oid::regproc) FROM pg_proc
	WHERE proname LIKE 'hs\_assoc\_%' AND has_function_privilege('pg_monitor', oid, 'EXECUTE')
		AND EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 'pg_monitor'::regrole)});
is(scalar(@readable), 7, 'all that it may read');
my $rows = join "\n", map { told('monitor', $_) } @readable;
like($rows, qr/EXPIRED_AUTHENTICATION/, 'tells of the failure');
unlike($rows, qr/70100401|9001001|ERROR/, 'not of a record');

done_testing();
