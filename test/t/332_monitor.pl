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
my $page = slurp_file("$FindBin::Bin/../../doc/operations.md");
my ($alert) = $page =~ /^(SELECT 'outbox' AS alert.*?;)$/ms;
$node->safe_psql('postgres', q{UPDATE hs_assoc_backoff SET since = since - '1 hour'::interval});
my $alerts = told('monitor', $alert);
like($alerts, qr/^account\|hubspot\|.*EXPIRED_AUTHENTICATION/m, 'it can be asked what to be alarmed of');
unlike($alerts, qr/70100401|9001001|ERROR/, 'without ids');

# And those to watch with, also where a row was skipped and no request was sent yet
$sessions{monitor}->query($_) foreach 'SET ROLE app', q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT NULL::int AS from_id, 1 AS to_id')}, 'SET ROLE monitor';
my ($section) = $page =~ /^## Watch it$(.*?)^## /ms;
my @statements = map { split /(?:;| \\gx)\n+/ } $section =~ /^```sql\n(.*?)^```$/msg;
is(scalar(@statements), 4, 'the statements of the page');
unlike(told('monitor', $_), qr/ERROR/, s/\n.*//sr) foreach @statements;

# Whatever else it may read, by grants to it or to PUBLIC, as rows or from functions
my @readable = split /\n/, $node->safe_psql('postgres', q{
	SELECT format('SELECT %s FROM %s', string_agg(quote_ident(attname), ', ' ORDER BY attnum), attrelid::regclass)
	FROM pg_attribute JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = attrelid AND d.deptype = 'e'
		JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'v')
	WHERE attnum > 0 AND has_column_privilege('pg_monitor', attrelid, attnum, 'SELECT')
	GROUP BY attrelid
	UNION ALL SELECT format('SELECT * FROM %s()', oid::regproc) FROM pg_proc
	WHERE proname LIKE 'hs\_assoc\_%' AND pronargs = 0 AND has_function_privilege('pg_monitor', oid, 'EXECUTE')
		AND EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 'pg_monitor'::regrole)});
is(scalar(@readable), 12, 'all that it may read');
my $rows = join "\n", map { told('monitor', $_) } @readable;
like($rows, qr/EXPIRED_AUTHENTICATION/, 'tells of the failure');
unlike($rows, qr/70100401|9001001|ERROR/, 'not of a record');

# What this server lacks for sending can't be counted on to be written: it is kept in
# shared memory, until something is sent again.
sub faults { return told($_[0], 'SELECT fault_since IS NOT NULL, fault_sqlstate, fault_message FROM hs_assoc_outbox_stat') }

sub lacks_disk
{
	my ($where, $lacks) = @_;
	$where->safe_psql('postgres', $lacks ? q{
		CREATE FUNCTION lack() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE 'could not extend file "70100401": No space left on device %', repeat('x', 1000) USING ERRCODE = 'disk_full'; END $$;
		CREATE TRIGGER lack BEFORE DELETE OR UPDATE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION lack();
		CREATE TRIGGER lack BEFORE INSERT ON hs_assoc_backoff FOR EACH ROW EXECUTE FUNCTION lack();
	} : 'DROP FUNCTION lack() CASCADE');
	return;
}

$hubspot->clear_rules;
$node->safe_psql('postgres', 'SELECT hs_assoc_resume()');
lacks_disk($node, 1);
$node->psql('postgres', 'CALL hs_assoc_flush()', stderr => \my $warnings);
like($warnings, qr/could not send the outbox of server "hubspot": could not extend file/, 'without the library preloaded, a WARNING');
if ($node->pg_version < 17) { is(faults('operator'), 'f||', 'and nothing to be seen') }
else { like(faults('operator'), qr/^t\|53100\|could not extend file/, 'and sessions have shared memory all the same') }
$_->quit foreach values %sessions;

my $preloaded = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 1);
$preloaded->safe_psql('postgres', q{CREATE ROLE app LOGIN; CREATE ROLE monitor LOGIN; CREATE ROLE operator LOGIN; CREATE ROLE reader LOGIN;
	GRANT pg_monitor TO monitor; GRANT pg_monitor, app TO operator});
create_account($preloaded, $hubspot, rate_limit => 0, max_retries => 0);
$preloaded->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER hubspot TO app; GRANT SELECT ON hs_assoc_outbox_stat TO reader');
lacks_disk($preloaded, 1);
$preloaded->safe_psql('postgres', q{SET ROLE app;
	SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 70100401 AS from_id, 9001001 AS to_id')});
%sessions = map { my $session = start_session($preloaded); $session->query("SET ROLE $_"); ($_ => $session) } qw(monitor operator reader);
wait_until(sub { faults('monitor') =~ /^t/ });
is(faults('monitor'), 't|53100|', 'pg_monitor sees since when something is lacking, and of what kind it is');
like(faults('operator'), qr/^t\|53100\|could not extend file "70100401": No space left on device x{400,460}$/, 'who has the role sees the message, with a bound');
is(faults('reader'), 'f||', 'who may read no more than the view sees nothing');
is(told('reader', 'SELECT count(*) FROM hs_assoc_fault()'), '0', 'nor by the function');
my $found = q{SELECT state || ': ' || replace(detail, E'\n', ' ') FROM hs_assoc_diagnose('hubspot') WHERE topic = 'resources'};
like(told('operator', $found), qr/^problem: the last attempt to send has failed with SQLSTATE 53100: could not extend file/, 'hs_assoc_diagnose tells it');
is(told('monitor', $found), 'problem: the last attempt to send has failed with SQLSTATE 53100', '... but not everything to everybody');
is(told('reader', $found), 'ok: nothing that sending needs was lacking', '... or anything');
is($preloaded->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_backoff'), 0, 'nothing could be written');

# Another account, which lacks the same
create_account($preloaded, $hubspot, name => 'second', rate_limit => 0, max_retries => 0);
$preloaded->safe_psql('postgres', q{GRANT USAGE ON FOREIGN SERVER second TO app; SET ROLE app;
	SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 70100402 AS from_id, 9001001 AS to_id', server => 'second')});
wait_until(sub { told('monitor', q{SELECT count(*) FROM hs_assoc_outbox_stat WHERE fault_sqlstate = '53100'}) == 2 });
is(told('operator', q{SELECT string_agg(server || ' ' || fault_sqlstate, ', ' ORDER BY server) FROM hs_assoc_outbox_stat}),
	'hubspot 53100, second 53100', 'each account has its own');
is(told('monitor', q{SELECT string_agg(labels->>'server', ' ' ORDER BY labels->>'server') FROM hs_assoc_metrics() WHERE labels->>'sqlstate' = '53100' AND value >= 0}),
	'hubspot second', 'and its own figure');

# Another role, which lacks the same: one figure for both, of the first one
$preloaded->safe_psql('postgres', q{CREATE ROLE more; GRANT USAGE ON FOREIGN SERVER hubspot TO more; SET ROLE more;
	SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 70100403 AS from_id, 9001001 AS to_id')});
wait_until(sub { $preloaded->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_fault()') == 3 });
is($preloaded->safe_psql('postgres', q{SELECT count(*), bool_and(abs(value - extract(epoch FROM clock_timestamp() - (SELECT min(since) FROM hs_assoc_fault() WHERE server = 'hubspot'))) < 0.5 * extract(epoch FROM (SELECT max(since) - min(since) FROM hs_assoc_fault() WHERE server = 'hubspot')))
	FROM hs_assoc_metrics() WHERE labels->>'sqlstate' = '53100' AND labels->>'server' = 'hubspot'}), '1|t', 'of two roles, the figure of the one that lacks it for longer');

lacks_disk($preloaded, 0);
wait_until(sub { $hubspot->association_count('contacts', 'companies') == 3
	  && $preloaded->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_fault()') eq '0' });
pass('when something is sent again, that is over');
is($preloaded->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox'), 0, 'and all is sent');
my ($context) = PostgreSQL::Test::Utils::slurp_file($preloaded->logfile)
  =~ /WARNING:  could not send the outbox of server "hubspot": could not extend file[^\n]*\n[^\n]*CONTEXT:  ((?:[^\n]*\n)(?:\t[^\n]*\n)*)/;
like($context, qr/database "postgres"$/, 'the log says in which database');
unlike($context, qr/database "postgres".*database "postgres"/s, '... once');
$_->quit foreach values %sessions;

done_testing();
