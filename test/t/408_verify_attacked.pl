# Comparisons of tables with HubSpot that fail, take long, or are not to be: they stop nobody
# else, hold nothing back, run nobody's code with other rights, and keep to their bounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator();
my $silent = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
create_account($node, $silent, name => 'silent', rate_limit => 0);
create_account($node, $hubspot, name => 'slow', rate_limit => 10);
my $session = start_session($node);
my $other = start_session($node);

sub associate { return $hubspot->put_associations('contacts', 'companies', $_[0]) }
sub held { return join ' ', map { "$_->{from_id},$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } }
sub drain { return wait_for_empty_outbox($session) }
sub stat_of { my ($columns, $table) = @_; return $session->query("SELECT $columns FROM hs_assoc_verify_stat WHERE link_table = '" . ($table // 'links') . "'::regclass") }
sub error { my ($sql) = @_; my (undef, undef, $err) = $node->psql('postgres', $sql); return $err =~ s/^psql:.*?: //mr }
sub passes { my ($table) = @_; my $now = $session->query('SELECT clock_timestamp()'); return wait_until(sub { stat_of("coalesce(last_began_at > '$now', false)", $table) eq 't' }) }

sub make
{
	my ($table, $more, $owner) = @_;
	$session->query(qq{SET client_min_messages = error; @{[ $owner ? "SET ROLE $owner;" : '' ]}
		CREATE TABLE $table (f int, t int, PRIMARY KEY (f, t));
		SELECT hs_assoc_enable_sync('$table', 'contacts', 'f', 'companies', 't', verify => '1 second'@{[ $more ? ", $more" : '' ]}); RESET ROLE});
	return;
}

# Arguments
like(error(q{CREATE TABLE wrong (f int, t int, PRIMARY KEY (f, t)); SELECT hs_assoc_enable_sync('wrong', 'contacts', 'f', 'companies', 't', on_drift => 'add')}), qr/argument "on_drift" needs the argument "verify"/, 'on_drift alone');
like(error(q{SELECT hs_assoc_enable_sync('wrong', 'contacts', 'f', 'companies', 't', verify => '1 day', on_drift => 'all')}), qr/invalid value for argument "on_drift": "all".*"report".*"add".*"mirror"/s, 'another word');
like(error(qq{SELECT hs_assoc_enable_sync('wrong', 'contacts', 'f', 'companies', 't', verify => '$_')}), qr/invalid value for argument "verify": .*from 1 second to 365 days/s, "verify => '$_'") foreach '0', '-1 day', '2 years';

# A table that fails: others are compared, and rows are sent
make('links', q{on_drift => 'mirror'});
make('broken');
$session->query('INSERT INTO links SELECT 100 + i, 200 + i FROM generate_series(1, 8) i; INSERT INTO broken SELECT * FROM links');
drain();
passes($_) foreach qw(links broken);
$session->query('SET session_replication_role = replica; ALTER TABLE broken RENAME f TO g; SET session_replication_role = origin');
is($session->query(q{SELECT from_column FROM hs_assoc_sync WHERE link_table = 'broken'::regclass}), 'g', 'a column with another name is followed');
passes('broken');
$session->query(q{UPDATE hs_assoc_sync_config SET from_column = 'gone' WHERE link_table = 'broken'::regclass});
wait_until(sub { stat_of('failures', 'broken') > 0 });
like(stat_of('sqlstate, error_message', 'broken'), qr/^42703\|column "gone" of table "broken" does not exist/, 'a column that is gone');
$session->query(q{SELECT hs_assoc_archive('contacts', 101, 'companies', 201)});
wait_until(sub { held() =~ /101,201/ });
pass('and another table is put right meanwhile');
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^warning\|table public\.broken cannot\s+be\s+compared/s, 'which a diagnosis says');
$session->query(q{UPDATE hs_assoc_sync_config SET from_column = 'g' WHERE link_table = 'broken'::regclass});
wait_until(sub { stat_of('failures', 'broken') eq '0' }, patience(120));
pass('and it is compared again when it can be');
$session->query('DROP TABLE broken');

# Rights that are lost: of the role, of the owner on the table, by row-level security
$session->query(q{CREATE ROLE owner1; CREATE ROLE stranger; GRANT CREATE ON SCHEMA public TO owner1; GRANT USAGE ON FOREIGN SERVER hubspot, silent, slow TO owner1});
make('theirs', undef, 'owner1');
$session->query('INSERT INTO theirs VALUES (101, 201)');
passes('theirs');
$session->query('REVOKE USAGE ON FOREIGN SERVER hubspot FROM owner1');
wait_until(sub { stat_of('failures', 'theirs') > 0 });
like(stat_of('error_message', 'theirs'), qr/could not use server "hubspot" for the role of sync \d+.*permission denied/, 'a role that may no longer use the server');
$session->query('GRANT USAGE ON FOREIGN SERVER hubspot TO owner1; REVOKE SELECT ON theirs FROM owner1');
wait_until(sub { stat_of('error_message', 'theirs') =~ /permission denied for table theirs/ }, patience(120));
pass('an owner who may not read the table');
$session->query('GRANT SELECT ON theirs TO owner1; ALTER TABLE theirs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY');
wait_until(sub { stat_of('error_message', 'theirs') =~ /row-level security/ }, patience(180));
pass('an owner from whom rows are hidden');
$session->query('GRANT SELECT ON hs_assoc_verify_stat TO stranger');
is($session->query(q{SET ROLE stranger; SELECT error_message IS NULL, failures > 0 FROM hs_assoc_verify_stat WHERE link_table = 'theirs'::regclass; RESET ROLE}), 't|t', 'a stranger sees that, but no words');
$session->query('DROP TABLE theirs');

# An owner's code: an expression in an index, a policy, an operator in the path, a function that acts
$session->query(q{CREATE TABLE stolen (who text);  GRANT INSERT ON stolen TO PUBLIC;
	SET ROLE owner1;
	CREATE FUNCTION spy(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
		IF current_user <> 'owner1' AND current_setting('is_superuser') = 'on' THEN INSERT INTO stolen VALUES (current_user || ' ' || session_user); END IF; RETURN x; END $$;
	CREATE TABLE trap (f int, t int, PRIMARY KEY (f, t)) PARTITION BY RANGE (f);
	CREATE TABLE trap1 PARTITION OF trap DEFAULT;
	ALTER TABLE trap1 ADD CHECK (public.spy(f) > 0);
	CREATE INDEX ON trap1 (public.spy(f));
	CREATE FUNCTION greater(int, bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy($1); RETURN true; END $$;
	CREATE OPERATOR > (LEFTARG = int, RIGHTARG = bigint, FUNCTION = greater);
	INSERT INTO trap VALUES (901, 201), (902, 202);
	SELECT hs_assoc_enable_sync('trap', 'contacts', 'f', 'companies', 't', verify => '1 second', on_drift => 'mirror'); RESET ROLE});
passes('trap');
associate([ [ 901, 205 ] ]);
wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_drift_log WHERE link_table = 'trap'::regclass}) > 0 });
passes('trap');
is($session->query('SELECT count(*) FROM stolen'), 0, 'nothing of the owner\'s runs as a superuser');
$session->query('SELECT hs_assoc_disable_sync(\'trap\'); DROP TABLE trap; SELECT hs_assoc_disable_sync(\'links\')');

# A table that is locked
$session->query(q{SET client_min_messages = error; SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', verify => '1 second', on_drift => 'mirror')});
make('locked');
$session->query('INSERT INTO locked VALUES (101, 201)');
passes('locked');
$other->query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_verify WHERE sqlstate = '55P03'}) > 0 });
passes('links');
my $row = time;
$session->query('INSERT INTO links VALUES (150, 250)');
wait_until(sub { held() =~ /150,250/ });
cmp_ok(time - $row, '<', patience(15), 'a locked table holds up neither others nor what is sent');
$other->query('COMMIT');
$session->query('DROP TABLE locked');

# From now on, reads are not answered until the test says so; so many were asked for.
sub hold_reads { $hubspot->rules({ match => { path => 'batch/read' }, action => { hold => 1 } }); return }
sub wait_for_reads { my ($count) = @_; return wait_until(sub { $hubspot->hits->{rules}[0]{hits} >= $count }) }
sub release_reads { $hubspot->clear_rules; $hubspot->release; return }

# While HubSpot is read, nothing is held: no snapshot, no lock of a table
my $comparing = q{backend_type = 'hubspot_assoc worker' AND query LIKE 'comparing sync %'};
hold_reads();
wait_for_reads(1);
is($session->query(qq{SELECT count(*) FROM pg_stat_activity WHERE $comparing}), 1, 'one process reads');
is($session->query(qq{SELECT count(*) FROM pg_stat_activity AS a WHERE $comparing AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)}), 0, 'no snapshot while HubSpot is read');
is($session->query(qq{SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE $comparing AND l.locktype = 'relation'}), 0, 'and no lock of a table');
$session->query(sprintf q{SET statement_timeout = '%ds'; BEGIN; LOCK TABLE links IN ACCESS EXCLUSIVE MODE; COMMIT; RESET statement_timeout}, patience(30));
release_reads();

# A worker that is cancelled meanwhile ends, and another one goes on
hold_reads();
wait_for_reads(1);
my $pid = $session->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND query LIKE 'comparing sync % with HubSpot, server hubspot'});
is($session->query("SELECT pg_cancel_backend($pid)"), 't', 'it says what it does');
wait_until(sub { $session->query("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") == 0 });
release_reads();
passes('links');
pass('a cancel ends it, and another one goes on');

# What is inserted while HubSpot is read is not removed
hold_reads();
wait_for_reads(1);
associate([ [ 102, 209 ] ]);
$hubspot->release;
wait_for_reads(2);				# which has it
$session->query('INSERT INTO links VALUES (102, 209)');
release_reads();
passes('links') foreach 1 .. 2;
like(held(), qr/102,209/, 'a row that comes meanwhile stays');

# Nothing is put right of a sync that ends meanwhile
hold_reads();
wait_for_reads(1);
associate([ [ 103, 209 ] ]);
$hubspot->release;
wait_for_reads(2);
$session->query(q{SELECT hs_assoc_disable_sync('links')});
release_reads();
wait_until(sub { $hubspot->stats->{in_flight} == 0 });
is($session->query('SELECT count(*) FROM hs_assoc_drift_log'), 0, 'a sync that has ended has no differences');
like(held(), qr/103,209/, 'and nothing more is removed');

# A silent account, and many of them: others have their turns
$silent->rules({ action => { delay_ms => 120_000 } });
$session->query('ALTER SERVER silent OPTIONS (ADD request_timeout \'2s\')');
make("silent$_", q{server => 'silent'}) foreach 1 .. 3;
$session->query("SELECT hs_assoc_pause('silent'); INSERT INTO silent$_ VALUES (101, 201)") foreach 1 .. 3;
make('live', q{on_drift => 'add'});
$session->query('INSERT INTO live VALUES (101, 201)');
$session->query(q{SELECT hs_assoc_resume('silent')});
wait_until(sub { $session->query(q{SELECT count(*) FROM hs_assoc_verify_stat WHERE server = 'silent' AND failures > 0}) > 0 });
passes('live') foreach 1 .. 2;
pass('a silent account stops no other');
$session->query("DROP TABLE silent$_") foreach 1 .. 3;

# A tenth of the rate; a table that takes longer than verify
$session->query(q{DROP TABLE live; CREATE TABLE large (f int PRIMARY KEY, t int); INSERT INTO large SELECT i, 1 FROM generate_series(1, 5000) i;
	SET client_min_messages = error; SELECT hs_assoc_enable_sync('large', 'contacts', 'f', 'companies', 't', verify => '1 second', server => 'slow')});
$hubspot->clear_log;
my $began = time;
wait_until(sub { (grep { $_->{operation} eq 'batch_read' } @{ $hubspot->log }) >= 2 });
my $reads = grep { $_->{operation} eq 'batch_read' } @{ $hubspot->log };
cmp_ok($reads, '<=', 2 + (time - $began) / 10, 'at most a tenth of the rate');
wait_until(sub { $session->query(q{SELECT detail FROM hs_assoc_diagnose('slow') WHERE topic = 'drift'}) =~ /comparing table public\.large takes/ }, patience(60));
pass('a diagnosis says that verify is too short');

# Nobody compares
$session->query(q{DROP TABLE large; SELECT hs_assoc_pause('hubspot')});
make('late');
$session->query(q{UPDATE hs_assoc_sync_config SET enabled_at = now() - interval '1 hour' WHERE link_table = 'late'::regclass});
like($session->query(q{SELECT state, detail FROM hs_assoc_diagnose() WHERE topic = 'drift'}), qr/^warning\|table\s+public\.late\s+has\s+not\s+been\s+compared\s+for\s+1\s+h/s, 'nor that nobody compares');
is($session->query(q{SELECT value > 3000 FROM hs_assoc_metrics() WHERE name = 'hubspot_assoc_verify_late_seconds' AND labels->>'server' = 'hubspot'}), 't', 'as metrics do');
$session->query(q{SELECT hs_assoc_resume('hubspot')});
passes('late');

# Somebody has locked the tables of the comparisons
$other->query('BEGIN; LOCK TABLE hs_assoc_verify IN ACCESS EXCLUSIVE MODE');
my $log = -s $node->logfile;
wait_until(sub { substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $log) =~ /WARNING:  could not compare tables? .*with HubSpot: canceling statement due to lock timeout/ });
$session->query('INSERT INTO late VALUES (777, 888)');
wait_until(sub { held() =~ /777,888/ });
$other->query('COMMIT');
$session->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
passes('late');
pass('what is sent does not wait, and the next worker goes on');

$_->quit foreach $session, $other;
done_testing();
