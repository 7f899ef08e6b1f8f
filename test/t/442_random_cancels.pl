# Calls of every public function and procedure, in transactions of all kinds, which are canceled,
# run into time-outs and errors, or whose sessions are terminated, at random moments, while the
# simulator is slow, says 429 or 500, and breaks connections: nothing of them is left behind in
# the session, for other sessions, or in the outbox, and in the end HubSpot has what the tables
# say, and all that was confirmed or committed.
#
# A seed has the library preloaded or not, or no worker at all. What it chooses is repeated with
# it, though not the moments.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $ROUNDS = 18;
my $SESSIONS = 5;

# Connections that a session may keep are 64 (src/http/transport.c).
my $MOST_SOCKETS = 64 + 4;

# What a session keeps of the extension, however many statements it runs: so many of each. There
# are four accounts and three tables in sync; what was read of a table before it was altered stays
# until the next trigger.
my %KEPT = map { ("hubspot_assoc $_->[0]" => $_->[1]) } [ accounts => 1 ], [ tokens => 1 ], [ token => 1 ], [ 'token refusal' => 1 ], [ 'link tables' => 1 ], [ 'link table' => 6 ], [ 'outdated link tables' => 1 ], [ plan => 300 ], [ 'kept keys' => 4 ];

# What another one that waits for the same has to let go of
my $PATIENCE = patience(6) . 's';

# Functions that nobody calls by themselves, but triggers, the parser or other functions of ours
my %CALLED_BY_OTHERS = map { $_ => 1 } qw(hs_assoc_fdw_handler hs_assoc_fdw_validator hs_assoc_outbox_wake hs_assoc_keep_identity hs_assoc_sync_rows hs_assoc_sync_ddl hs_assoc_keep_locked hs_assoc_may_commit);

# What others' DDL does to a statement of PostgreSQL's own, too
my $CONCURRENT = qr/tuple concurrently (?:updated|deleted)/;

# Statements that need, or are, a transaction of their own
my %ALONE = map { $_ => 1 } qw(ddl resync import flush pull repair waits);

# Who a session is within a transaction
my $IS = q{SELECT 'is', current_user, current_setting('search_path')};

my @KINDS = qw(preloaded dynamic flushed);
my @seeds = seeds(2, 3);
my $hubspot = start_simulator();
my (%kind, $node, $monitor, $locker);
my ($first, $unique) = (0, 0);
my (@log, @errors, @sessions, %sent, %enqueued);
my %done = map { $_ => 0 } qw(scripts errors canceled timeouts locked terminated confirmed enqueued checks);

foreach my $token (qw(clean-token limited-token oauth-account))
{
	$hubspot->account({ token => $token });
}
try_seed($_, \&run_seed, sub { return @log }) foreach @seeds;
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{canceled} + $done{timeouts}, '>', $done{scripts} / 20, 'enough of them are hit');
foreach my $kind (sort keys %kind)
{
	is(join("\n", internal_errors($kind{$kind}{node})), '', "$kind: the server's log has no internal error, and nothing that was left");
	is(forgotten($kind{$kind}{monitor}), '', "$kind: each public function is called");
}
done_testing();

sub any { return $_[ rand @_ ] }
sub one_of { my ($from, $to) = @_; return $from + int rand($to - $from + 1) }

sub internal_errors
{
	my ($of) = @_;
	return grep { !/$CONCURRENT/ && /(?:ERROR|WARNING|FATAL):  XX|PANIC:  |TRAP: |(?:server process|worker).* was terminated by signal (?!15)|exited with exit code [^01]|leak|own a lock|still referenced|not closed|unexpected state|cannot abort transaction/ } split /\n/, slurp_file($of->logfile);
}

sub forgotten
{
	my ($session) = @_;
	my $called = join ' ', map { map { $_->() } map { values %$_ } calls() } 1 .. 100;
	my @names = split /\n/, $session->query(q{SELECT DISTINCT p.proname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_proc p ON p.oid = d.objid
		WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'hubspot_assoc' ORDER BY 1});
	return join ' ', grep { !$CALLED_BY_OTHERS{$_} && $called !~ /\b$_\(/ } @names;
}

sub start
{
	my ($kind) = @_;
	my @preload = $kind eq 'preloaded' ? (shared_preload_libraries => 'hubspot_assoc') : ('hubspot_assoc.workers' => $kind eq 'dynamic' ? 2 : 0);
	my $new = start_node(@preload, deadlock_timeout => '100ms', max_connections => 40, log_error_verbosity => 'verbose', max_prepared_transactions => 5, autovacuum => 'off');
	my %usual = (max_retries => 1, max_retry_delay => '50ms', request_timeout => patience(400) . 'ms', batch_size => 20, concurrency => 4);

	create_account($new, $hubspot, %usual, rate_limit => 0);
	create_account($new, $hubspot, %usual, rate_limit => 0, name => 'clean', token => 'clean-token', request_timeout => patience(20) . 's', max_retries => 3);
	create_account($new, $hubspot, %usual, rate_limit => 1000, name => 'limited', token => 'limited-token');
	create_account($new, $hubspot, %usual, rate_limit => 0, name => 'oauth');
	$hubspot->oauth({ client_id => $kind, client_secret => 's3cr3t', refresh_token => "r3fr3sh-$kind", expires_in => 2, token => 'oauth-account' });
	$new->safe_psql('postgres', qq{
		DROP USER MAPPING FOR PUBLIC SERVER oauth;
		CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (client_id '$kind', client_secret 's3cr3t', refresh_token 'r3fr3sh-$kind');
		CREATE ROLE alice LOGIN; GRANT ALL ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER hubspot, clean, limited, oauth TO alice; GRANT pg_monitor, pg_execute_server_program TO alice;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO alice;
		CREATE FOREIGN TABLE enqueuing (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
		CREATE FOREIGN TABLE direct (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', writes 'direct');
		CREATE FOREIGN TABLE keyed (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts:email', to_type 'companies:domain');
		CREATE FOREIGN TABLE whole (from_id text, to_id text) SERVER limited OPTIONS (from_type 'contacts', to_type 'companies', scan 'all');
		IMPORT FOREIGN SCHEMA hubspot LIMIT TO (labels, object_types) FROM SERVER hubspot INTO public;
		GRANT ALL ON ALL TABLES IN SCHEMA public TO alice; CREATE SCHEMA imported; GRANT ALL ON SCHEMA imported TO alice;
		CREATE TABLE other_rows (f int, t int, UNIQUE (f, t)); CREATE TABLE changes (id bigint GENERATED ALWAYS AS IDENTITY, link text, old_row jsonb, new_row jsonb);
		GRANT ALL ON other_rows, changes TO alice;
		ALTER DATABASE postgres SET client_min_messages = error});
	$kind{$kind} = { node => $new, monitor => start_session($new), locker => start_session($new) };
	return;
}

sub run_seed
{
	my ($seed) = @_;
	my $kind = $KINDS[ $seed % @KINDS ];

	@log = @errors = %sent = %enqueued = ();
	start($kind) if !$kind{$kind};
	($node, $monitor, $locker) = @{ $kind{$kind} }{qw(node monitor locker)};
	push @log, $kind;
	start_over();
	@sessions = map { new_session($_) } 1 .. $SESSIONS;
	foreach my $round (1 .. $ROUNDS)
	{
		disturb();
		run_round($round);
		last if @errors;
	}
	settle();
	check_over_all() if !@errors;
	$_->{session}->quit foreach @sessions;
	return @errors;
}

# Tables in sync, empty, and records of their own for each seed
sub start_over
{
	$first += 100_000;
	$hubspot->clear_rules;
	$monitor->query($_) foreach
	  q{SELECT hs_assoc_disable_sync(link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync) AS s},
	  q{DROP TABLE IF EXISTS links, labelled, pulled; TRUNCATE other_rows, changes, hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_doubt},
	  q{SELECT hs_assoc_resume(srvname) FROM pg_foreign_server WHERE srvname IN ('hubspot', 'clean', 'limited', 'oauth')};
	if ($first == 100_000)
	{
		foreach my $token (qw(test-token clean-token limited-token oauth-account))
		{
			$hubspot->put_label('contacts', 'companies', $_, token => $token) foreach qw(Alpha Beta);
		}
		$hubspot->generate_associations('contacts', 'companies', { first_from => 11, count => 30, per_from => 30, first_to => 9_001, to_count => 700 }, token => $_) foreach qw(test-token limited-token oauth-account);
		$hubspot->put_associations('contacts', 'companies', [ [ 7, 8 ] ], token => 'clean-token');
		$hubspot->generate_records(contacts => { count => 300, properties => { email => 'c{n}@example.com' } });
		$hubspot->generate_records(companies => { count => 300, properties => { domain => 'd{n}.example' } });
	}
	$monitor->query(qq{
		CREATE TABLE links (f int, t int, PRIMARY KEY (f, t)); CREATE TABLE labelled (f int, t int, label text, UNIQUE (f, t, label)); CREATE TABLE pulled (f int, t int, PRIMARY KEY (f, t));
		ALTER TABLE labelled OWNER TO alice; GRANT ALL ON links, pulled TO alice; ALTER TABLE pulled OWNER TO alice;
		INSERT INTO links SELECT $first + i / 10, i % 10 + 1 FROM generate_series(0, 59) i;
		INSERT INTO labelled SELECT $first + 100 + i / 10, i % 10 + 1, CASE i % 2 WHEN 0 THEN 'Alpha' ELSE 'Beta' END FROM generate_series(0, 59) i});
	$monitor->query($_) foreach enable('links'), 'SET ROLE alice', enable('labelled'), enable('pulled'), 'RESET ROLE';
	return;
}

sub enable
{
	my ($table) = @_;
	my $more = $table eq 'labelled' ? q{, label_column => 'label'} : $table eq 'links' && rand() < 0.5 ? q{, verify => '1 second', on_drift => 'report'} : '';
	return "SELECT hs_assoc_enable_sync('$table', 'contacts', 'f', 'companies', 't', backfill => true, server => 'hubspot'$more)";
}

# What HubSpot is like from now on, for those whose calls are ended
sub disturb
{
	my @rules;
	my @faults = ({ hang => \1 }, { reset => any('before', 'headers', 'body') }, { drip => { bytes => 40, interval_ms => 10 } }, { status => 429 }, { status => 429, headers => { 'Retry-After' => '1' } },
		{ delay_ms => 60 }, { delay_ms => 20 }, { delay_body_ms => 40 }, { status => 500 }, { status => 503 }, { truncate => 30 }, { close => 'before' }, { late_ms => 30 });

	foreach my $token (qw(test-token limited-token oauth-account))
	{
		push @rules, map { { match => { token => $token, every => one_of(3, 12) }, action => any(@faults) } } 1 .. one_of(0, 4);
	}
	push @rules, { match => { path => 'oauth', every => one_of(1, 3) }, action => any({ delay_ms => 80 }, { delay_ms => 80 }, { status => 500 }, { hang => \1 }, { reset => 'headers' }) } if rand() < 0.7;
	push @rules, { match => { token => $_ }, action => { delay_ms => one_of(2, 25) } } foreach qw(test-token limited-token oauth-account);
	$hubspot->rules(\@rules);
	return;
}

sub new_session
{
	my ($n) = @_;
	my $session = start_session($node);
	my %other = (n => $n, session => $session, role => $n > 3 ? 'alice' : 'postgres');

	$session->query("SET SESSION AUTHORIZATION $other{role}");
	$session->query("SET hubspot_assoc.server = '$_'") foreach any('hubspot', 'limited', 'oauth', 'oauth');
	$session->told('SELECT hs_assoc_sender()');
	$other{is} = state_of($session);
	$other{others} = others($session);
	return \%other;
}

# Who the session is and what is set: the same after each script
sub state_of
{
	my ($session) = @_;
	return $session->query(q{SELECT current_user, session_user, (SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name !~ '^(plpgsql|transaction_isolation)' AND source IN ('session', 'interactive', 'client'))});
}

# Its pipes and sets of what is waited for; some are inherited from this script.
sub others
{
	my ($session) = @_;
	return descriptors($session->pid, 'pipe') + descriptors($session->pid, 'anon_inode');
}

#
# Calls
#
sub f { return $first + int rand 6 }
sub t { return one_of(1, 10) }
sub quoted { my ($text) = @_; return q{'} . $text =~ s/'/''/gr . q{'} }
sub some { my ($from, $count) = @_; return sprintf 'SELECT %d + i AS from_id, i %% 50 + 1 AS to_id FROM generate_series(1, %d) i', $first + $from, $count // one_of(1, 150) }
sub slow { my ($from) = @_; return some($from) . ', pg_sleep(0.001 * (i % 3))' }
sub keys_of { my ($count) = @_; return sprintf q{SELECT 'c' || 1 + (i * 7 + %d) %% 320 || '@example.com' AS from_id, 'd' || 1 + i %% 310 || '.example' AS to_id FROM generate_series(1, %d) i}, rand 300, $count // one_of(1, 120) }
sub pair { return ($first + 50_000 + int rand 1000, one_of(1, 50)) }

# What returns rows, and can be in FROM, in a select list, or a cursor's
sub rows
{
	my ($f, $t) = pair();
	return (
		create_default => sub { "hs_assoc_create_default('contacts', $f, 'companies', $t)" },
		create => sub { "hs_assoc_create('contacts', $f, 'companies', $t, labels => '{" . any('Alpha', 'Beta', '"Alpha","Beta"') . "}', keep_labels => " . any('true', 'false') . ')' },
		archive => sub { "hs_assoc_archive('contacts', $f, 'companies', $t)" },
		by_key => sub { "hs_assoc_create_default('contacts:email', 'c" . one_of(1, 310) . "\@example.com', 'companies:domain', 'd" . one_of(1, 310) . ".example', on_error => '" . any('row', 'raise') . "')" },
		batch_create_default => sub { "hs_assoc_batch_create_default('contacts', 'companies', " . quoted(any(some(51_000), slow(51_000))) . any('', ", on_error => 'raise'", ", server => 'limited'", ", server => 'oauth'") . ')' },
		batch_array => sub { "hs_assoc_batch_create_default('contacts', 'companies', (SELECT array_agg(ROW($f + i, $t, NULL, NULL, NULL)::hs_assoc_input) FROM generate_series(1, 60) i))" },
		batch_create => sub { "hs_assoc_batch_create('contacts', 'companies', " . quoted("SELECT *, 'Alpha' AS label FROM (" . some(52_000) . ') s') . ', keep_labels => ' . any('true', 'false') . ')' },
		batch_archive => sub { "hs_assoc_batch_archive('contacts', 'companies', " . quoted(some(51_000)) . ')' },
		batch_archive_labels => sub { "hs_assoc_batch_archive_labels('contacts', 'companies', " . quoted("SELECT *, 'Alpha' AS label FROM (" . some(52_000) . ') s') . ')' },
		batch_keys => sub { "hs_assoc_batch_create_default('contacts:email', 'companies:domain', " . quoted(keys_of()) . ')' },
		list => sub { "hs_assoc_list('contacts', " . one_of(11, 40) . ", 'companies')" },
		read => sub { "hs_assoc_batch_read('contacts', 'companies', 'SELECT i AS from_id FROM generate_series(1, " . one_of(20, 300) . ") i')" },
		read_array => sub { q{hs_assoc_batch_read('contacts', 'companies', (SELECT array_agg(i::text) FROM generate_series(5, 70) i))} },
		read_keys => sub { "hs_assoc_batch_read('contacts:email', 'companies:domain', " . quoted('SELECT from_id FROM (' . keys_of() . ') s') . ')' },
		scan => sub { "hs_assoc_scan('contacts', 'companies', server => '" . any('hubspot', 'limited') . "')" },
		resolve => sub { any("hs_assoc_resolve('contacts:email', " . quoted('SELECT from_id AS key FROM (' . keys_of() . ') s') . ')', "hs_assoc_resolve('companies:domain', '{d1.example,d2.example,d999.example}'::text[])") },
		labels => sub { q{hs_assoc_labels('contacts', 'companies')} },
		limits => sub { q{hs_assoc_limits()} },
		quota => sub { 'hs_assoc_quota()' },
		account => sub { 'hs_assoc_account()' },
		object_types => sub { 'hs_assoc_object_types()' },
		label_usage => sub { 'hs_assoc_label_usage()' },
		near_limit => sub { q{hs_assoc_records_near_limit('contacts', 'companies')} },
		request => sub { q{hs_assoc_request('GET', '/crm/objects/2026-03/contacts/11/associations/companies')} },
		report => sub { 'hs_assoc_high_usage_report(5)' },
		plan => sub { "hs_assoc_plan('contacts', 'companies', " . quoted(some(53_000, 30)) . ", scope => 'SELECT $first + 53000 + i AS from_id FROM generate_series(1, 30) i')" },
		apply => sub { "hs_assoc_apply('contacts', 'companies', " . quoted(some(53_000, one_of(1, 60))) . ', max_removals => 100)' },
		drift => sub { 'hs_assoc_drift(' . quoted(any('links', 'labelled')) . ')' },
		diagnose => sub { 'hs_assoc_diagnose(' . any('', q{'hubspot'}, q{'oauth'}) . ')' },
		metrics => sub { 'hs_assoc_metrics()' },
		stat => sub { 'hs_assoc_stat()' },
		throttle => sub { 'hs_assoc_throttle()' },
		fault => sub { 'hs_assoc_fault()' });
}

# Statements
sub statements
{
	my ($f, $t) = (f(), t());
	my ($from, $to) = pair();
	my $label = any('Alpha', 'Beta');
	return (
		insert => sub { "INSERT INTO links SELECT $f, i FROM generate_series(1, 10) i ON CONFLICT DO NOTHING" },
		update => sub { "UPDATE links SET t = t % 10 + 1 WHERE f = $f" },
		delete => sub { "DELETE FROM links WHERE t = $t" },
		truncate => sub { 'TRUNCATE ' . any('links', 'labelled') },
		insert_labelled => sub { "INSERT INTO labelled SELECT $f + 100, i, '$label' FROM generate_series(1, 10) i ON CONFLICT DO NOTHING" },
		update_labelled => sub { "UPDATE labelled SET label = '$label' WHERE f = $f + 100 AND t NOT IN (SELECT t FROM labelled WHERE f = $f + 100 AND label = '$label')" },
		delete_labelled => sub { "DELETE FROM labelled WHERE f = $f + 100 AND label = '$label'" },
		ddl => sub { my $table = any(qw(links labelled)); "BEGIN; ALTER TABLE $table ADD COLUMN x int; ALTER TABLE $table RENAME COLUMN t TO u; ALTER TABLE $table RENAME COLUMN u TO t; ALTER TABLE $table DROP COLUMN x; COMMIT" },
		resync => sub { my $table = any(qw(links labelled)); "BEGIN; SELECT hs_assoc_disable_sync('$table'); " . enable($table) . '; COMMIT' },
		changes => sub { "INSERT INTO other_rows SELECT $first + 200 + i, $t FROM generate_series(1, 20) i ON CONFLICT DO NOTHING; INSERT INTO changes (link, new_row) SELECT 'public.pulled', jsonb_build_object('f', $first + 200 + i, 't', $t) FROM generate_series(1, 20) i" },
		scan_table => sub { any("SELECT count(*) FROM direct WHERE from_id IN ('11', '12', '13')", "SELECT count(*) FROM enqueuing e JOIN (SELECT generate_series(11, 40)::text AS id) i ON e.from_id = i.id", "SELECT * FROM keyed WHERE from_id = 'c" . one_of(1, 300) . "\@example.com'", 'SELECT * FROM labels ', 'SELECT count(*) FROM object_types', 'SELECT from_id FROM whole LIMIT 3', 'SELECT count(*) FROM whole', 'ANALYZE whole') },
		write_table => sub { my $table = any(qw(enqueuing direct)); any("INSERT INTO $table (from_id, to_id) SELECT $from + i, $to FROM generate_series(1, 40) i", "INSERT INTO $table (from_id, to_id, label) VALUES ('$from', '$to', 'Alpha') RETURNING *", "UPDATE $table SET label = 'Beta' WHERE from_id = '$from' AND label = 'Alpha'", "DELETE FROM $table WHERE from_id IN ('$from', '@{[ $from + 1 ]}')", "COPY $table (from_id, to_id) FROM PROGRAM 'seq -f \"%.0f\t4\" $from @{[ $from + 50 ]}'") },
		import => sub { 'BEGIN; IMPORT FOREIGN SCHEMA hubspot FROM SERVER hubspot INTO imported; ROLLBACK' },
		enqueue => sub { 'SELECT hs_assoc_enqueue(' . quoted(any(qw(create_default archive))) . ", 'contacts', 'companies', " . quoted(any(some(54_000), slow(54_000))) . any('', ", server => 'limited'", ", server => 'oauth'") . ')' },
		enqueue_keys => sub { q{SELECT hs_assoc_enqueue('create_default', 'contacts:email', 'companies', } . quoted('SELECT from_id, 5 AS to_id FROM (' . keys_of() . ') s') . q{, wait_for_records => '1 second')} },
		flush => sub { 'SELECT hs_assoc_enqueue(' . quoted('create_default') . ", 'contacts', 'companies', " . quoted(some(54_000, 60)) . any('', ", server => 'limited'", ", server => 'oauth'") . '); CALL hs_assoc_flush(' . any('', 'max_rows => 20', q{server => 'hubspot'}, q{server => 'limited'}, q{server => 'oauth'}) . ')' },
		pull => sub { q{CALL hs_assoc_pull('pulled', 'changes', 'public.pulled', } . any(q{all_rows => 'other_rows', may_be_empty => true}, 'max_rows => 7') . ')' },
		repair => sub { 'SELECT hs_assoc_repair(' . quoted(any(qw(links labelled))) . any('', ", mode => 'mirror', max_removals => 1000", ", 'SELECT $f AS from_id'") . ')' },
		label => sub { my $name = 'l' . ++$unique; "SELECT * FROM hs_assoc_label_create('contacts', 'deals', '$name', '$name'); SELECT hs_assoc_label_update('contacts', 'deals', 1, 'x$name'); SELECT hs_assoc_label_delete('contacts', 'deals', (SELECT max(type_id) FROM hs_assoc_labels('contacts', 'deals') WHERE category = 'USER_DEFINED'))" },
		limit => sub { q{SELECT hs_assoc_limit_create('contacts', 'deals', 'HUBSPOT_DEFINED', 4, 100); SELECT hs_assoc_limit_update('contacts', 'deals', 'HUBSPOT_DEFINED', 4, 50); SELECT hs_assoc_limit_purge('contacts', 'deals', 'HUBSPOT_DEFINED', 4)} },
		pause => sub { any(q{SELECT hs_assoc_pause('hubspot'); SELECT hs_assoc_resume('hubspot')}, q{SELECT hs_assoc_resume('hubspot')}) },
		letters => sub { any('SELECT hs_assoc_retry()', q{SELECT hs_assoc_retry(server => 'hubspot')}, 'SELECT hs_assoc_discard(ARRAY[]::bigint[])') },
		origin => sub { 'SELECT hs_assoc_held(), hs_assoc_adopt(), hs_assoc_sender(), hs_assoc_start()' },
		pure => sub { q{SELECT hs_assoc_pair('hubspot', 'contacts', '1', 'companies', '2'), hs_assoc_normal_key('contacts:email', 'A@b.example'), hs_assoc_fold('Ä'), hs_assoc_is_bounded('hubspot', 'archive', 'contacts', '1', 'companies', '2', NULL, NULL, NULL), hs_assoc_sync_problem(1, 'links')} },
		views => sub { 'SELECT * FROM ' . any(qw(hs_assoc_sync hs_assoc_outbox_stat hs_assoc_verify_stat hs_assoc_history hs_assoc_drift_log)) },
		reset => sub { q{SELECT hs_assoc_stat_reset('oauth')} },
		waits => sub { locks() });
}

# A transaction that others wait for
sub locks
{
	my $what = any('LOCK TABLE ' . any(qw(links links labelled labelled pulled hs_assoc_outbox hs_assoc_outbox hs_assoc_lease hs_assoc_dead_letter hs_assoc_sync_config hs_assoc_account_pause)) . ' IN ' . any('ACCESS EXCLUSIVE', 'ACCESS EXCLUSIVE', 'SHARE') . ' MODE',
		q{ALTER USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (SET client_secret 's3cr3t')}, q{ALTER SERVER hubspot OPTIONS (SET batch_size '20')}, 'DELETE FROM hs_assoc_outbox WHERE id % 2 = 0');
	return sprintf "BEGIN; $what; SELECT pg_sleep(%.3f); %s", rand 0.15, $what =~ /DELETE/ ? 'ROLLBACK' : any('COMMIT', 'ROLLBACK');
}

sub calls { return ({ rows() }, { statements() }) }

sub select_of
{
	my ($call) = @_;
	my $rows = any(" LIMIT 2", '', '', '');
	return any("SELECT count(*) FROM $call s", "SELECT * FROM $call s$rows", "SELECT $call$rows", "SELECT ($call).* LIMIT 3", "SELECT count(*) FROM generate_series(1, 3), LATERAL $call s");
}

sub statement
{
	my ($nested) = @_;
	my %rows = rows();
	my %statements = statements();

	if (rand() < 0.5) { my $name = any(sort keys %rows); return select_of($rows{$name}->()) }
	my $name = any(grep { !$nested || !$ALONE{$_} } sort(keys %statements), ('flush') x 10, ('pull') x 2, (qw(insert delete truncate resync enqueue repair letters pause)) x 2);
	return $statements{$name}->();
}

# What is remembered, to be held against HubSpot in the end
sub remembered
{
	my ($other) = @_;
	my $id = $first + 20_000 + ++$unique;
	$other->{remembers}{$id} = any('sent', 'enqueued');
	return "SELECT 'sent', $id, ok FROM hs_assoc_create_default('contacts', $id, 'companies', 3, server => 'hubspot')" if $other->{remembers}{$id} eq 'sent';
	return "SELECT 'enqueued', $id, hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT $id AS from_id, 3 AS to_id', server => 'hubspot') = 1";
}

# Each begins with a mark, after which the session may be hit, and leaves no transaction open.
sub script
{
	my ($other) = @_;
	my $how = rand;
	my ($one, $two) = map { statement(1) } 1, 2;

	return statement(0) if $how < 0.35;
	return remembered($other) if $how < 0.45;
	return "BEGIN; $one; $two; " . any('COMMIT', 'ROLLBACK') if $how < 0.53;
	return "BEGIN; SAVEPOINT a; $one; ROLLBACK TO a; $IS; SAVEPOINT b; $two; ROLLBACK TO a; SELECT 'is', 1; " . any('COMMIT', 'ROLLBACK') if $how < 0.65;
	return 'BEGIN; SAVEPOINT a; ' . $one . any('; SELECT 1/0', '') . '; ROLLBACK TO a; RELEASE a; INSERT INTO links SELECT ' . f() . ', 5 ON CONFLICT DO NOTHING; COMMIT' if $how < 0.7;
	if ($how < 0.85)
	{
		my $body = join ' ', map { "BEGIN EXECUTE $_; EXCEPTION WHEN OTHERS OR query_canceled THEN GET STACKED DIAGNOSTICS said = RETURNED_SQLSTATE; IF said LIKE 'XX%' OR current_user <> '$other->{role}' THEN RAISE LOG 'XX: % as %', said, current_user; END IF; END;" }
		  map { quoted($_) } map { split /; */ } $one, $two;
		return "DO \$do\$ DECLARE said text; BEGIN $body" . any('', ' PERFORM 1/0;') . ' END $do$';
	}
	my %rows = rows();
	my $call = $rows{ any(sort keys %rows) }->();
	return "BEGIN; DECLARE c CURSOR" . any('', ' WITH HOLD') . " FOR " . select_of($call) . "; SAVEPOINT a; FETCH 3 FROM c; SAVEPOINT a; FETCH 5 FROM c; ROLLBACK TO a; $IS; FETCH 2 FROM c; ROLLBACK TO a; " . any('CLOSE c; COMMIT', 'ROLLBACK', 'COMMIT') . '; CLOSE ALL' if $how < 0.95;
	return "SELECT 1/(i - 3), x FROM generate_series(1, 5) i, LATERAL (SELECT count(*) AS x FROM $call s WHERE i > 0) AS s";
}

#
# Rounds
#
sub run_round
{
	my ($round) = @_;

	$locker->send(locks());
	foreach my $other (@sessions)
	{
		my $way = $other->{way} = any('cancel', 'cancel', 'cancel', 'statement_timeout', 'statement_timeout', 'lock_timeout', 'terminate', 'nothing');
		my $script = $other->{script} = script($other);
		my $timeout = $way =~ /timeout/ ? "SET $way = " . one_of(1, 50) . '; ' : '';

		$done{scripts}++;
		push @log, "$round: $other->{n}, $way: " . substr($script, 0, 300);
		$other->{session}->send("$timeout$script;\nRESET statement_timeout; RESET lock_timeout");
	}
	foreach my $moment (1 .. 12)
	{
		sleep 0.04 * rand() ** 2;
		my %active = map { $_ => 1 } split /\n/, $monitor->query(q{SELECT pid FROM pg_stat_activity WHERE state <> 'idle'});
		my @left = grep { $_->{way} =~ /cancel|terminate/ && $active{ $_->{session}->pid } } @sessions;
		foreach my $other (grep { rand() < 0.4 } @left)
		{
			if ($other->{way} eq 'cancel') { $other->{session}->cancel }
			else { $other->{session}->terminate }
		}
		last if !@left;
	}
	$_->{session}->terminate foreach grep { $_->{way} eq 'terminate' } @sessions;
	finish($_) foreach @sessions;
	$locker->finish;

	# the login is nobody's to fetch who fetches it no more
	$hubspot->clear_rules;
	$hubspot->expire_oauth;
	$monitor->query("SET statement_timeout = '$PATIENCE'");
	my $said = eval { $monitor->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 7, 'companies', 8, server => 'oauth')}) } // "$@";
	push @errors, "round $round, by OAuth: $said" if $said ne 't';
	return;
}

sub finish
{
	my ($other) = @_;
	my $session = $other->{session};
	my ($out, $err) = $session->finish;
	my $what = "$other->{n}, $other->{way}, $other->{script}";

	$done{errors}++ if $err =~ /ERROR|FATAL/;
	$done{canceled}++ if $err =~ /57014.*user request/;
	$done{timeouts}++ if $err =~ /57014.*statement timeout/;
	$done{locked}++ if $err =~ /55P03/;
	push @errors, "$what: $err" if $err =~ /XX\d{3}(?!: $CONCURRENT)/ || ($err =~ /25P02/ && $other->{script} !~ /\bBEGIN;/);
	push @errors, map { "$what: within it, it is $_" } grep { $_ ne '1' && $_ ne qq($other->{role}|"\$user", public) } $out =~ /^is\|(.*)$/mg;
	remember($other, $out);
	if ($other->{way} eq 'terminate')
	{
		$done{terminated}++ if $err =~ /57P01/;
		wait_until(sub { !kill 0, $session->pid });
		%$other = %{ new_session($other->{n}) };
		return;
	}
	# a time-out, or a cancel that came late, may have hit what ends it, a COMMIT among others
	wait_until(sub { $session->told('ROLLBACK') eq '' }, patience(5)) if $other->{script} =~ /\bBEGIN;/;
	wait_until(sub { $session->told('RESET statement_timeout; RESET lock_timeout') eq '' }, patience(5)) or push @errors, "$what: cannot be reset";
	push @errors, "$what: $_" foreach left_in($other);
	return;
}

# What was acknowledged: by a row, or by a commit, which a statement of its own is
sub remember
{
	my ($other, $out) = @_;
	foreach my $line ($out =~ /^((?:sent|enqueued)\|.*\|t)$/mg)
	{
		my ($how, $id) = split /\|/, $line;
		$done{ $how eq 'sent' ? 'confirmed' : 'enqueued' }++;
		($how eq 'sent' ? \%sent : \%enqueued)->{$id} = 1;
	}
	return;
}

# What a script has left in its session, which is idle
sub left_in
{
	my ($other) = @_;
	my $session = $other->{session};
	my $pid = $session->pid;
	my @found;

	$done{checks}++;
	my $seen = $monitor->query("SELECT state FROM pg_stat_activity WHERE pid = $pid");
	push @found, "the session is '$seen'" if $seen ne 'idle';
	my $locks = $monitor->query("SELECT string_agg(concat_ws(' ', locktype, mode, classid, objid, relation::regclass), ', ') FROM pg_locks WHERE pid = $pid");
	push @found, "locks: $locks" if $locks ne '';
	push @found, grep { /pgsql_tmp/ } map { readlink($_) // '' } glob "/proc/$pid/fd/*";
	my $sockets = descriptors($pid, 'socket');
	push @found, "$sockets sockets" if $sockets > $MOST_SOCKETS;
	my $others = others($session) - $other->{others};
	push @found, "$others more pipes and sets" if $others > 4;

	my $said = eval { $session->query('SELECT 1') } // "$@";
	push @found, "SELECT 1: $said" if $said ne '1';
	$said = eval { $session->query(q{SELECT ok, to_id FROM hs_assoc_create_default('contacts', 7, 'companies', 8, server => 'clean')}) } // "$@";
	push @found, "a known call: $said" if $said ne 't|8';
	$said = eval { $session->query(q{SELECT string_agg(to_id || ' ' || type_id, ',') FROM hs_assoc_list('contacts', 7, 'companies', server => 'clean')}) } // "$@";
	push @found, "a known list: $said" if $said ne '8 279';
	my $is = eval { state_of($session) } // "$@";
	push @found, "it was $other->{is}, and is $is" if $is ne $other->{is};
	$said = eval { $session->query(q{SELECT name, count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'hubspot_assoc%' GROUP BY name}) } // "$@";
	foreach my $line (split /\n/, $said)
	{
		my ($name, $count) = split /\|/, $line;
		push @found, "memory: $line" if $count > ($KEPT{$name} || 0);
	}
	return @found;
}

#
# In the end
#
sub settle
{
	my $is_flushed = $monitor->query('SHOW hubspot_assoc.workers') == 0;

	$hubspot->clear_rules;
	wait_until(sub { $hubspot->stats->{in_flight} == 0 }, patience(30));
	sleep 0.1;
	try_to($_) foreach
	  # who sends next takes over what is in doubt
	  $is_flushed ? 'CALL hs_assoc_flush()' : 'SELECT hs_assoc_start()',
	  'DELETE FROM hs_assoc_doubt', 'SELECT hs_assoc_retry()',
	  q{SELECT hs_assoc_resume(srvname) FROM pg_foreign_server WHERE srvname IN ('hubspot', 'limited', 'oauth')},
	  q{CALL hs_assoc_pull('pulled', 'changes', 'public.pulled', all_rows => 'other_rows', may_be_empty => true)};
	eval { wait_until(sub { try_to('CALL hs_assoc_flush()') if $is_flushed; $monitor->query('SELECT count(*) FROM hs_assoc_outbox') == 0 }, patience(25)) }
	  or push @errors, 'the outbox is not empty: ' . $monitor->query(q{SELECT string_agg(t::text, ' / ') FROM (SELECT o.*, b.error_message FROM hs_assoc_outbox o LEFT JOIN hs_assoc_backoff b USING (server, role) ORDER BY id LIMIT 3) t}) . ' ' . $monitor->query(q{SELECT string_agg(l::text, ' ') FROM hs_assoc_lease l});
	return;
}

sub try_to
{
	my ($sql) = @_;
	$monitor->query("SET statement_timeout = '" . patience(30) . "s'");
	my $said = $monitor->told($sql);
	push @errors, "$sql: $said" if $said =~ /ERROR/;
	return;
}

# How many requests were sent to an account, by our count and by that of the simulator
sub requests
{
	my ($server) = @_;
	my %token = (oauth => 'oauth-account', hubspot => 'test-token', map { $_ => "$_-token" } qw(limited clean));
	my $seen = $hubspot->stats(token => $token{$server})->{requests};
	return ($monitor->query("SELECT coalesce(sum(requests), 0) FROM hs_assoc_stat() WHERE server = '$server'"), $seen);
}

sub check_over_all
{
	my %wanted = map { $_ => 1 } split /\n/, $monitor->query(q{SELECT f || ' ' || t FROM links UNION SELECT f || ' ' || t FROM pulled UNION SELECT f || ' ' || t || ' ' || label FROM labelled});
	my %held;

	foreach my $pair (@{ $hubspot->associations('contacts', 'companies', token => 'test-token') })
	{
		my $n = $pair->{from_id} - $first;
		my $name = "$pair->{from_id} $pair->{to_id}";
		next if $n < 0;
		if ($n >= 100 && $n < 200) { $held{"$name $_->{label}"} = 1 foreach grep { $_->{category} eq 'USER_DEFINED' } @{ $pair->{types} } }
		elsif ($n < 300) { $held{$name} = 1 }
		else { delete @$_{ $pair->{from_id} } foreach \%sent, \%enqueued }
	}
	push @errors, $monitor->query(q{SELECT concat_ws(' ', 'dead letter:', link_table, operation, from_id, to_id, error_message) FROM hs_assoc_dead_letter WHERE link_table IS NOT NULL LIMIT 3}) || ();
	push @errors, map { "$_ is missing" } grep { !$held{$_} } sort keys %wanted;
	push @errors, map { "$_ should not be there" } grep { !$wanted{$_} } sort keys %held;
	push @errors, map { "$_ was confirmed, and is not there" } sort keys %sent;
	push @errors, map { "$_ was enqueued, and is not there" } sort keys %enqueued;

	# nobody keeps from others what is for all
	my $locks = $monitor->query(q{SELECT string_agg(concat_ws(' ', l.locktype, l.mode, a.backend_type), ', ') FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'client backend' AND l.pid <> pg_backend_pid()});
	push @errors, "locks: $locks" if $locks ne '';
	my $held_back = eval { wait_until(sub { $monitor->query(q{SELECT count(*) FROM hs_assoc_throttle() WHERE free_at IS NOT NULL}) == 0 }, patience(12)); 1 } ? '' : $monitor->query(q{SELECT string_agg(t::text, ' ') FROM hs_assoc_throttle() t});
	push @errors, "the throttle: $held_back" if $held_back ne '';
	foreach my $server (qw(oauth limited hubspot clean))
	{
		my ($counted, $seen) = requests($server);
		my $said = eval { $monitor->query("SELECT count(*) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT i + $first + 60000 AS from_id, 5 AS to_id FROM generate_series(1, 200) i', server => '$server') WHERE ok") } // "$@";
		push @errors, "$server: $said" if $said ne '200';
		my ($counted_now, $seen_now) = requests($server);
		# where connections were broken, libcurl may have sent one again by itself
		push @errors, "$server: " . ($counted_now - $counted) . ' requests are counted, and HubSpot saw ' . ($seen_now - $seen) if $server eq 'clean' && $counted_now - $counted != $seen_now - $seen;
	}
	return;
}
