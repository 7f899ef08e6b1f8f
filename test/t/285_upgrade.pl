# Other versions: the SQL of every version works with this library, and becomes
# that of the default version, whatever there is in the outbox and whoever is at
# work.  What the versions are, the files tell; nothing here has to be changed for
# a new one.  A version that is newer than all of them is made here.

use strict;
use warnings;

use Config;
use FindBin;
use lib $FindBin::Bin;
use File::Basename;
use File::Copy;
use File::Path 'make_path';
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my ($sharedir, $libdir) = map { my $path = `pg_config $_`; chomp $path; $path } qw(--sharedir --pkglibdir);

my $node = start_node();
my $hubspot = start_simulator();

# What the extension in a database consists of, and all that it keeps there.
sub objects { return $node->safe_psql($_[0], slurp_file("$top/test/extension.sql")) }
sub state_of { return $node->safe_psql($_[0], "\\set all 1\n" . slurp_file("$top/test/state.sql")) }

sub create_database
{
	my ($name, $version) = @_;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $name");
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION hubspot_assoc' . ($version ? " VERSION '$version'" : ''));
	return;
}

# The lines that two descriptions have not in common, a few of them.
sub difference
{
	my ($a, $b) = map { { map { $_ => 1 } split /\n/, $_ } } @_;
	my @lines = ((map { "- $_" } grep { !$b->{$_} } sort keys %$a), (map { "+ $_" } grep { !$a->{$_} } sort keys %$b));
	return join "\n", @lines[ 0 .. ($#lines < 9 ? $#lines : 9) ];
}

#
# All versions that there are: those that a script begins with or leads to
#
my $found = $node->safe_psql('postgres',
	q{SELECT name FROM pg_settings WHERE name IN ('extension_control_path', 'extension_destdir')});
my $dest = destination();
my $installed = "$dest$sharedir/extension";
my ($default) = slurp_file("$top/hubspot_assoc.control") =~ /^default_version = '(.*)'$/m;
my @scripts = map { basename($_) } glob "$top/hubspot_assoc--*.sql";
my (%versions, @paths);
foreach my $script (@scripts)
{
	my @names = $script =~ /^hubspot_assoc--(.+?)(?:--(.+))?\.sql$/;
	$versions{ $names[1] // $names[0] } = 1;
	push @paths, [ $names[0] ] unless defined $names[1];
}
my @versions = sort keys %versions;

# The shortest way to the default version, as CREATE EXTENSION takes it.
my $path;
while ($path = shift @paths)
{
	my $last = $path->[-1];
	last if $last eq $default;
	push @paths, map { /^hubspot_assoc--\Q$last\E--(.+)\.sql$/ ? [ @$path, $1 ] : () } @scripts;
	die 'there is no way to the default version' if @$path > @scripts;
}
is(join(' ', map { basename($_) } glob "$installed/hubspot_assoc--*.sql"), join(' ', @scripts), 'all scripts are installed');

# Where the extension is: Debian's extension_destdir, or the path of 18, or where
# all are.
sub destination
{
	return '' unless $found;
	foreach my $path (split /:/, $node->safe_psql('postgres', "SHOW $found"))
	{
		$path =~ s/\Q$sharedir\E$//;
		return $path if -e "$path$sharedir/extension/hubspot_assoc.control";
	}
	return '';
}

create_database('fresh');
my $fresh = objects('fresh');
unlike($fresh, qr/^cannot describe/m, 'objects of every kind in the extension can be described');
cmp_ok(scalar(() = $fresh =~ /\n/g), '>', 400, 'and are');

# One call of each topic: the functions in the library take what the SQL of the
# version gives them, and give what it expects.
my @calls = (
	[ q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2)} => 't' ],
	[ q{SELECT ok FROM hs_assoc_create_default('contacts', '3', 'companies', '2')} => 't' ],
	[ q{SELECT ok FROM hs_assoc_create('contacts', 1, 'companies', 2, labels => '{Primary}')} => 't' ],
	[ q{SELECT bool_and(ok) FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id')} => 't' ],
	[ q{SELECT bool_and(ok) FROM hs_assoc_batch_create('contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id, 1 AS type_id', keep_labels => true)} => 't' ],
	[ q{SELECT bool_and(ok) FROM hs_assoc_batch_create('contacts', 'companies', ARRAY[('5', '6', '{1}', NULL, NULL)::hs_assoc_input])} => 't' ],
	[ q{SELECT string_agg(to_id || ' ' || type_id, ', ' ORDER BY type_id) FROM hs_assoc_list('contacts', 1, 'companies')} => '2 1, 2 279' ],
	[ q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT 5 AS from_id')} => 2 ],
	[ q{SELECT ok FROM hs_assoc_archive('contacts', 3, 'companies', 2)} => 't' ],
	[ q{SELECT bool_and(ok) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 5 AS from_id, 6 AS to_id')} => 't' ],
	[ q{SELECT bool_and(ok) FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 1 AS type_id')} => 't' ],
	[ q{SELECT count(*) > 0 FROM hs_assoc_label_create('contacts', 'companies', 'Landlord', 'landlord')} => 't' ],
	[ q{SELECT count(*) FROM hs_assoc_labels('contacts', 'companies') WHERE label = 'Landlord'} => 1 ],
	[ q{SELECT count(*) FROM hs_assoc_limits('contacts', 'companies')} => 0 ],
	[ q{SELECT http_status FROM hs_assoc_request('GET', '/crm/v4/associations/contacts/companies/labels')} => 200 ],
	[ q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 7 AS from_id, 8 AS to_id')} => 1 ],
	[ q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', backfill => true)} => 1 ],
	[ q{SELECT hs_assoc_pause(), hs_assoc_resume()} => 't|t' ],
	[ q{SELECT sum(waiting) FROM hs_assoc_outbox_stat} => 2 ],
	[ q{CALL hs_assoc_flush()} => '' ],
	[ q{SELECT count(*) FROM hs_assoc_outbox} => 0 ],
	[ q{SELECT hs_assoc_retry(), hs_assoc_discard()} => '0|0' ],
	[ q{SELECT requests > 0 FROM hs_assoc_stat() WHERE server = 'hubspot'} => 't' ],
	[ q{SELECT count(*) FROM hs_assoc_throttle()} => 1 ],
	[ q{SELECT hs_assoc_disable_sync('links')} => 1 ]);

foreach my $version (@versions)
{
	create_database('old', $version);
	is($node->safe_psql('old', q{SELECT extversion FROM pg_extension WHERE extname = 'hubspot_assoc'}), $version,
		"version $version can be created");
	is($node->safe_psql('old', q{
			SELECT count(*) > 0, bool_and(fmgr_c_validator(p.oid)::text = ''), string_agg(DISTINCT probin, ' ')
			FROM pg_proc p JOIN pg_language l ON l.oid = prolang JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
				JOIN pg_extension e ON e.oid = d.refobjid
			WHERE lanname = 'c' AND d.classid = 'pg_proc'::regclass AND extname = 'hubspot_assoc'}),
		't|t|hubspot_assoc', 'the library has all of its functions');

	$hubspot->reset;
	$node->safe_psql('old', q{CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
		INSERT INTO links VALUES (9, 10)});
	create_account($node, $hubspot, dbname => 'old', rate_limit => 0);
	my $session = start_session($node, 'old');
	my @wrong;
	foreach my $call (@calls)
	{
		my ($sql, $expected) = @$call;
		$session->send($sql);
		my ($out, $err) = $session->finish;
		push @wrong, "$sql: $out $err" if $out ne $expected || $err =~ /ERROR/;
	}
	is(join("\n", @wrong), '', 'and they work with its SQL');
	$session->quit;

	$node->safe_psql('old', 'ALTER EXTENSION hubspot_assoc UPDATE');
	is(difference(objects('old'), $fresh), '', 'updated, it is the default version in every respect');
}

#
# A library that lacks what the SQL names
#
create_database('old');
$node->safe_psql('old', q{UPDATE pg_proc SET prosrc = 'hs_assoc_gone' WHERE proname IN ('hs_assoc_list', 'hs_assoc_sync_rows')});
my ($status, $out, $err) = $node->psql('old', q{SELECT fmgr_c_validator('hs_assoc_sync_rows'::regproc)});
like($err, qr/could not find function "hs_assoc_gone" in file ".*hubspot_assoc/, 'a function that is gone is missed by the check');
create_account($node, $hubspot, dbname => 'old', rate_limit => 0);
($status, $out, $err) = $node->psql('old', q{SELECT * FROM hs_assoc_list('contacts', 1, 'companies')});
like($err, qr/ERROR:  could not find function "hs_assoc_gone" in file ".*hubspot_assoc/, 'and who calls it is told');
is($node->safe_psql('old', q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2)}), 't', 'the others work');
($status, $out, $err) = $node->psql('old', q{
	CREATE TABLE links (contact_id int PRIMARY KEY, company_id int);
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id');
	INSERT INTO links VALUES (1, 2)});
like($err, qr/ERROR:  could not find function "hs_assoc_gone"/, 'no change of a table in sync gets lost without a word');
is($node->safe_psql('old', 'SELECT count(*) FROM links'), 0, 'nor is made');

#
# A new version, in a folder of its own
#
SKIP: {
	skip 'this server finds extensions in one place only', 1 unless $found;
	pass('extensions can be in another place');
}
if (!$found)
{
	done_testing();
	exit;
}

my $new = PostgreSQL::Test::Utils::tempdir;
my ($scripts, $library) = ("$new$sharedir/extension", "$new$libdir/hubspot_assoc.$Config{so}");
make_path($scripts, dirname($library));
copy($_, $scripts) or die "$_: $!" foreach glob "$installed/hubspot_assoc*";
copy("$dest$libdir/hubspot_assoc.$Config{so}", $library) or die "$library: $!";

# as a package installs it: a new file in place of the old one
sub replace_library
{
	copy($library, "$library.new") or die "$library: $!";
	rename "$library.new", $library or die "$library: $!";
	return;
}

$node->append_conf('postgresql.conf', $found eq 'extension_destdir' ? "extension_destdir = '$new'"
	: "extension_control_path = '$new$sharedir:\$system'");
$node->append_conf('postgresql.conf', "dynamic_library_path = '$new$libdir:\$libdir'");
$node->restart;
create_database('fresh');
is(difference(objects('fresh'), $fresh), '', 'the extension is the same in another place');

my $next = "$default.1";
my $control = slurp_file("$scripts/hubspot_assoc.control");
$control =~ s/^default_version = .*$/default_version = '$next'/m or die 'no default_version';

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return;
}

# An update of all that an update may be about.  Each statement is one that could
# be forgotten.
my @statements = (
	q{ALTER TABLE hs_assoc_outbox ADD COLUMN note text},
	q{ALTER TABLE hs_assoc_dead_letter ADD COLUMN note text DEFAULT 'none'},
	q{ALTER TABLE hs_assoc_sync_config ADD COLUMN note text},
	q{ALTER TABLE hs_assoc_sent ALTER COLUMN attempts SET DEFAULT 0},
	q{ALTER TABLE hs_assoc_lease SET (fillfactor = 60)},
	q{ALTER TABLE hs_assoc_outbox ADD CONSTRAINT attempts_check CHECK (attempts >= 0)},
	q{CREATE INDEX hs_assoc_sent_server_idx ON hs_assoc_sent (server)},
	q{CREATE TABLE hs_assoc_note (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, note text)},
	q{SELECT pg_catalog.pg_extension_config_dump('hs_assoc_note', '')},
	q{ALTER TABLE hs_assoc_note ENABLE ROW LEVEL SECURITY},
	q{CREATE POLICY all_rows ON hs_assoc_note FOR SELECT USING (true)},
	q{GRANT SELECT ON hs_assoc_note TO pg_monitor},
	q{CREATE TRIGGER hs_assoc_outbox_wake AFTER INSERT ON hs_assoc_note FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_outbox_wake()},
	q{ALTER TABLE hs_assoc_note DISABLE TRIGGER hs_assoc_outbox_wake},
	q{CREATE FUNCTION hs_assoc_waiting() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL UNSAFE BEGIN ATOMIC SELECT pg_catalog.count(*) FROM hs_assoc_outbox; END},
	q{COMMENT ON FUNCTION hs_assoc_waiting() IS 'How many rows wait.'},
	q{REVOKE ALL ON FUNCTION hs_assoc_waiting() FROM PUBLIC},
	q{ALTER FUNCTION hs_assoc_pair(text, text, text, text, text) PARALLEL RESTRICTED},
	q{ALTER FUNCTION hs_assoc_stat_reset(name) SECURITY DEFINER},
	q{ALTER FUNCTION hs_assoc_throttle() SET search_path = pg_catalog},
	q{CREATE OR REPLACE VIEW hs_assoc_outbox_stat AS SELECT server, role, operation, from_type, to_type, link_table,
		1::bigint AS waiting, 1::bigint AS in_flight, 1::bigint AS waiting_for_records, 1::bigint AS retrying, 1::bigint AS dead, '1 s'::interval AS oldest_age,
		true AS paused, pg_catalog.now() AS retry_at, 1 AS http_status, ''::text AS error_category, ''::text AS error_message, pg_catalog.now() AS fault_since, ''::text AS fault_sqlstate, ''::text AS fault_message, ''::text AS held, ''::text AS sender,
		1 AS note FROM hs_assoc_outbox},
	q{ALTER TYPE hs_assoc_limit ADD ATTRIBUTE note text},
	q{ALTER EVENT TRIGGER hs_assoc_sync_drop ENABLE},
	q{CREATE EVENT TRIGGER hs_assoc_noted ON ddl_command_start WHEN TAG IN ('CREATE AGGREGATE') EXECUTE FUNCTION hs_assoc_sync_ddl()},
	q{COMMENT ON FOREIGN DATA WRAPPER hubspot_assoc IS 'noted'},
	q{DROP FUNCTION hs_assoc_high_usage_report(bigint, name)});

# The full script of the new version: that of an old one, and all updates since.
my $full = slurp_file("$scripts/hubspot_assoc--$path->[0].sql");
$full .= slurp_file("$scripts/hubspot_assoc--$path->[$_ - 1]--$path->[$_].sql") foreach 1 .. $#$path;
write_file("$scripts/hubspot_assoc.control", $control);
write_file("$scripts/hubspot_assoc--$next.sql", join(";\n", $full, @statements) . ";\n");

sub write_update { return write_file("$scripts/hubspot_assoc--$default--$next.sql", join(";\n", @_) . ";\n") }

write_update(@statements);
$node->safe_psql('postgres', 'CREATE DATABASE next');
$node->safe_psql('next', 'CREATE EXTENSION hubspot_assoc');
my $wanted = objects('next');
my $changed = () = difference($wanted, $fresh) =~ /^[-+]/mg;
cmp_ok($changed, '>', 5, 'the new version differs from the default one');

# Updates with and without each of the statements, as seen by the comparison.
sub updated
{
	return $node->psql('fresh', qq{
		SET client_min_messages = warning;
		\\set ON_ERROR_STOP 1
		BEGIN;
		DROP EXTENSION hubspot_assoc;
		CREATE EXTENSION hubspot_assoc VERSION '$default';
		ALTER EXTENSION hubspot_assoc UPDATE;
	} . slurp_file("$top/test/extension.sql"));
}

($status, $out, $err) = updated();
is(difference($out, $wanted), '', 'an update makes of the old version what the new one is');
my %result = (found => 0, failed => 0);
foreach my $i (0 .. $#statements)
{
	write_update(@statements[ grep { $_ != $i } 0 .. $#statements ]);
	($status, $out, $err) = updated();
	my $result = $status ? 'failed' : difference($out, $wanted) ? 'found' : "not found: $statements[$i]";
	$result{$result}++;
}
# what depends on a table, function or trigger that is forgotten cannot be made
is(join(', ', map { "$_: $result{$_}" } sort keys %result), 'failed: 3, found: ' . (@statements - 3),
	'... and if it forgets anything, that is found');
write_update(@statements);

#
# An update in the middle of it all
#
sub create_live
{
	my (@settings) = @_;
	create_database('live', $default);
	create_account($node, $hubspot, dbname => 'live', rate_limit => 0, batch_size => 50, sent_retention => '1h', @settings);
	create_account($node, $hubspot, dbname => 'live', name => 'another', rate_limit => 0);
	$node->safe_psql('live', q{
		CREATE TABLE links (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
		CREATE TABLE parts (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)) PARTITION BY LIST (contact_id);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
		SELECT hs_assoc_pause('another');
		SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot');
		SELECT hs_assoc_enable_sync('parts', 'deals', 'contact_id', 'companies', 'company_id', server => 'another');
		INSERT INTO parts SELECT 1, i FROM generate_series(1, 20) AS i;
	});
	$hubspot->reset;
	return;
}

# All rows, without the columns that are new.
sub rows
{
	return join "\n", map {
		$node->safe_psql('live', "SELECT '$_', to_jsonb(t) - 'note' FROM $_ AS t ORDER BY (to_jsonb(t) - 'note')::text")
	} qw(hs_assoc_outbox hs_assoc_dead_letter hs_assoc_sent hs_assoc_account_pause hs_assoc_sync_config
	  hs_assoc_lease hs_assoc_backoff hs_assoc_sync);
}

sub pairs_of { return $node->safe_psql('live', "SELECT contact_id || ',' || company_id FROM $_[0] ORDER BY contact_id, company_id") }

sub held
{
	my ($from) = @_;
	return join "\n", map { /^(\d+,\d+),/ } split /\n/, $hubspot->association_table($from, 'companies');
}

# Sessions that have loaded the library go on with it, plans and all.
create_live();
my $old = start_session($node, 'live');
$hubspot->rules({ match => { id => '3' }, action => { status => 400 } });
my @work = (
	q{INSERT INTO links SELECT i, 1 FROM generate_series(%d, %d) AS i},
	q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', 'SELECT i AS from_id, 2 AS to_id, 1 AS type_id FROM generate_series(%d, %d) AS i', server => 'another')},
	q{CALL hs_assoc_flush()},
	q{SELECT bool_and(ok) FROM hs_assoc_batch_create_default('tickets', 'companies', 'SELECT i AS from_id, 3 AS to_id FROM generate_series(%d, %d) AS i', server => 'hubspot')},
	q{SELECT hs_assoc_retry(server => 'hubspot')},
	q{CALL hs_assoc_flush()},
	q{UPDATE links SET company_id = 4 WHERE contact_id = %d});
sub work { my ($session, @range) = @_; $session->query(sprintf $_, @range) foreach @work; return }
work($old, 1, 10);
$hubspot->clear_rules;
$node->safe_psql('live', q{INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels,
		link_table, enqueued_at, attempts, error_message)
	SELECT -i, 'another', 'postgres', 'archive', 'contacts', i, 'companies', i, false, 'links', now(), 20, 'no' FROM generate_series(1, 3) AS i});
my $before = rows();
like($before, qr/^hs_assoc_$_\|/m, "there are rows in hs_assoc_$_") foreach qw(outbox dead_letter sent account_pause sync_config sync);
replace_library();
$node->safe_psql('live', 'ALTER EXTENSION hubspot_assoc UPDATE');
is(rows(), $before, 'an update loses none of them');
is(difference(objects('live') =~ s/^(trigger|table constraint) \| \S+ on public\.(links|parts).*\n//mgr, $wanted), '', 'and is complete');
my $new_session = start_session($node, 'live');
work($old, 11, 20);
work($new_session, 21, 30);
$new_session->query('CALL hs_assoc_flush()');
is(difference(held('contacts'), pairs_of('links')), '', 'a session with the old library and one with the new one go on');
is($node->safe_psql('live', q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'another'}), 50, 'enqueuing');
$node->safe_psql('live', q{INSERT INTO parts VALUES (1, 21); SELECT hs_assoc_resume('another'); DELETE FROM hs_assoc_dead_letter});
$new_session->query('CALL hs_assoc_flush()');
is(difference(held('deals'), pairs_of('parts')), '', 'and what waited during the update is sent');
$_->quit foreach $old, $new_session;

# A worker, in the middle of sending
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'hubspot_assoc'\nhubspot_assoc.workers = 4");
$node->restart;
create_live();
my $offset = -s $node->logfile;
# a request after the other, until it has been looked at: all that waits is many seconds' work
$hubspot->settings({ latency_ms => 1000 });
$old = start_session($node, 'live');
$old->query('INSERT INTO links SELECT i, 1 FROM generate_series(1, 2000) AS i');
wait_until(sub { $hubspot->stats->{in_flight} > 0 && $hubspot->association_count('contacts', 'companies') > 0 });
my ($sender) = $node->safe_psql('live', q{SELECT holder FROM hs_assoc_lease WHERE server = 'hubspot'});
my ($launcher) = $node->safe_psql('live', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc launcher'});
replace_library();
$node->safe_psql('live', 'ALTER EXTENSION hubspot_assoc UPDATE');
cmp_ok($node->safe_psql('live', q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'hubspot'}), '>', 0, 'an update while a worker sends');
$hubspot->settings({ latency_ms => 0 });
$old->query('INSERT INTO links SELECT i, 1 FROM generate_series(2001, 2500) AS i; DELETE FROM links WHERE contact_id <= 100');
wait_until(sub { $node->safe_psql('live', q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'hubspot'}) == 0 }, patience(60));
like($node->safe_psql('live', "SELECT string_agg(backend_type, ', ' ORDER BY backend_type) FROM pg_stat_activity WHERE pid IN ($sender, $launcher)"),
	# of a slow server, the worker may have nothing left to do by now
	instrumented() ? qr/^hubspot_assoc launcher/ : qr/^hubspot_assoc launcher, hubspot_assoc worker$/, 'worker and launcher go on');
unlike(slurp_file($node->logfile, $offset), qr/hubspot_assoc \w+" \(PID \d+\) exited/, 'none of them failed');
is(difference(held('contacts'), pairs_of('links')), '', 'it has sent everything');
is($node->safe_psql('live', q{SELECT count(*) FROM hs_assoc_outbox WHERE server = 'another'}), 20, 'but what was paused');
is($node->safe_psql('live', 'SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was refused');
$old->quit;
unlike(slurp_file($node->logfile, $offset), qr/(ERROR|FATAL|PANIC|WARNING|TRAP):/, 'and there was no complaint');

$node->safe_psql('live', 'DROP EXTENSION hubspot_assoc CASCADE');
is($node->safe_psql('live', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'hs\_assoc\_%'}), 0, 'it can be dropped');

done_testing();
