# A copy of a database sends nothing until it is told to, however it was made; and
# what is no copy goes on sending: after a crash, under a new name, restored in its
# place, promoted, at an earlier time.  pg_upgrade is in 421.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $hubspot = start_simulator();
my $dir = PostgreSQL::Test::Utils::tempdir;

sub new_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1, extra => [ '--no-locale', '-E', 'UTF8' ]);
	$node->append_conf('postgresql.conf', q{
		shared_preload_libraries = 'hubspot_assoc'
		hubspot_assoc.poll_interval = '100ms'
		hubspot_assoc.workers = 0
		restart_after_crash = on
	});
	$node->start;
	return $node;
}

sub set
{
	my ($node, %settings) = @_;
	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'") foreach keys %settings;
	$node->reload;
	foreach my $name (keys %settings)
	{
		wait_until(sub { $node->safe_psql('postgres', "LOAD 'hubspot_assoc'; SHOW $name") eq $settings{$name} });
	}
	return;
}

# What was sent of the pairs from these records, in the order of the ids.
sub sent
{
	my ($first, $last) = @_;
	my @ids = map { $_->{body} =~ /"from":\{"id":"(\d+)"/g } grep { $_->{path} =~ /batch/ } @{ $hubspot->log };
	return join ' ', sort { $a <=> $b } grep { $_ >= $first && $_ <= $last } @ids;
}

sub waiting { return $_[0]->safe_psql($_[1], "SELECT string_agg(from_id, ' ' ORDER BY from_id::int) FROM hs_assoc_outbox") }
sub reason { return $_[0]->safe_psql($_[1], 'SELECT hs_assoc_held()') }

# psql's standard output and error
sub psql
{
	my ($node, $db, $sql) = @_;
	my ($status, $out, $err) = $node->psql($db, $sql);
	return ($out, $err);
}

# The database sends what waits, by a flush or a worker.
my $next = 1000;

sub goes_on
{
	my ($node, $db, $name) = @_;
	my ($first, $second) = ($next++, $next++);
	is(reason($node, $db), '', "$name: not held");
	my ($out, $err) = psql($node, $db, "INSERT INTO links VALUES ($first, 1); CALL hs_assoc_flush()");
	unlike($err, qr/ERROR|WARNING/, '... nor a warning');
	wait_until(sub { waiting($node, $db) eq '' });	# a worker may be at it
	is(sent($first, $first), $first, '... what is new, too');
	is($node->safe_psql($db, 'SELECT bool_and(active) FROM hs_assoc_sync'), 't', '... as the sync says');
	return;
}

# Nothing of it is sent, though it is asked for and a worker looks.
sub is_held
{
	my ($node, $db, $reason, $name) = @_;
	my $id = $next++;
	$hubspot->clear_log;
	like(reason($node, $db), $reason, "$name: held");
	my ($out, $err) = psql($node, $db, "INSERT INTO links VALUES ($id, 1); CALL hs_assoc_flush()");
	like($err, qr/^psql:<stdin>:1: WARNING:  nothing is sent from this database until hs_assoc_adopt is called\nDETAIL:  $reason\nHINT:  If it is to send, SELECT public\.hs_assoc_adopt\('send'\), or public\.hs_assoc_adopt\('discard'\)/,
		'... as a flush says');
	like(waiting($node, $db), qr/\b$id$/, '... and what is written waits');
	is($node->safe_psql($db, q{SELECT string_agg(DISTINCT held, '') = hs_assoc_held() FROM hs_assoc_outbox_stat}), 't', '... which the view explains');
	is($hubspot->log_count, 0, '... nothing is sent');
	return;
}

#
# An original with a sync, and what it has waiting
#
my $node = new_node('original');
$node->safe_psql('postgres', 'CREATE DATABASE original');
create_account($node, $hubspot, dbname => 'original', rate_limit => 0);
$node->safe_psql('original', q{
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	BEGIN;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id');
	ROLLBACK});
is($node->safe_psql('original', 'SELECT (SELECT count(*) FROM hs_assoc_identity) + (SELECT count(*) FROM hs_assoc_origin)'),
	0, 'a sync that is rolled back decides nothing');
$node->safe_psql('postgres', 'CREATE DATABASE before_all TEMPLATE original');

my $first = start_session($node, 'original');
my $second = start_session($node, 'original');
my $enqueue = q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT %d AS from_id, 1 AS to_id')};
$_->query('BEGIN') foreach $first, $second;
$first->query(sprintf $enqueue, 1);
$second->query(sprintf $enqueue, 2);
$first->query('COMMIT');
$second->query('COMMIT');
is($node->safe_psql('original', 'SELECT (SELECT count(*) FROM hs_assoc_identity), (SELECT count(*) FROM hs_assoc_origin), hs_assoc_held()'),
	'2|2|', 'two sessions that are the first at the same time wait for neither');
$_->quit foreach $first, $second;
$node->safe_psql('original', q{
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id');
	INSERT INTO links VALUES (3, 1)});
is(waiting($node, 'original'), '1 2 3', 'the original has something waiting');

#
# Copies of all kinds, made while it waits
#
$node->safe_psql('postgres', qq{CREATE DATABASE by_$_ TEMPLATE original STRATEGY $_}) foreach qw(wal_log file_copy);
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", $node->connstr('original') ], 'pg_dump');
my $other = new_node('other');
foreach my $in ($node, $other)
{
	$in->safe_psql('postgres', 'CREATE DATABASE restored');
	$in->command_ok([ 'pg_restore', '-d', $in->connstr('restored'), "$dir/dump" ], 'pg_restore');
}
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
set($_, 'hubspot_assoc.workers' => 4) foreach $node, $other;

#
# What is no copy
#
wait_until(sub { waiting($node, 'original') eq '' });
is(sent(1, 999), '1 2 3', 'a worker of the original sends what waited, once');
goes_on($node, 'original', 'the original');
$node->safe_psql('postgres', 'ALTER DATABASE original RENAME TO production');
goes_on($node, 'production', 'under another name');
$node->safe_psql('production', "VACUUM FULL hs_assoc_$_") foreach qw(identity origin outbox);
goes_on($node, 'production', 'after VACUUM FULL');
$node->stop('immediate');
$node->start;
goes_on($node, 'production', 'after a crash');

$node->safe_psql('production', 'SELECT hs_assoc_pause()');
$node->safe_psql('production', 'INSERT INTO links VALUES (50, 1)');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/own", $node->connstr('production') ], 'pg_dump of a database that sends');
$node->safe_psql('production', 'CALL hs_assoc_flush()');
$node->command_ok([ 'pg_restore', '--clean', '--if-exists', '-d', $node->connstr('production'), "$dir/own" ], 'pg_restore --clean into the same database');
$node->safe_psql('production', 'SELECT hs_assoc_resume()');
goes_on($node, 'production', '... which goes on');
is(sent(50, 50), 50, '... with what was waiting');
is($node->safe_psql('production', 'SELECT count(*) > 0, bool_and(database = (SELECT oid FROM pg_database WHERE datname = current_database())) FROM hs_assoc_identity'),
	't|t', '... and has an identity again, of which the dump knew nothing');

create_account($node, $hubspot, dbname => 'before_all', rate_limit => 0, name => 'other');
my ($out, $err) = psql($node, 'before_all', q{SELECT ok FROM hs_assoc_create_default('contacts', 900, 'companies', 1)});
is("$out$err", 't', 'a copy of a database that never enqueued anything sends');
$node->safe_psql('before_all', q{SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id')});
goes_on($node, 'before_all', '... and syncs');

#
# Copies, whose workers have looked at them all the while
#
my $template = qr/This database was copied from another one, as by CREATE DATABASE \.\.\. TEMPLATE\./;
my $dump = qr/What this database keeps was restored from a dump of another database\./;
is_held($node, "by_$_", $template, "TEMPLATE, strategy $_") foreach qw(wal_log file_copy);
is_held($node, 'restored', $dump, 'a dump, in the same cluster');
is_held($other, 'restored', $dump, 'a dump, in another cluster');
foreach my $in ($node, $other)
{
	# a worker comes by with the commit
	$in->safe_psql('restored', 'INSERT INTO links VALUES (70, 1)');
	wait_until(sub {
		$in->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
			WHERE datname = 'restored' AND backend_type = 'hubspot_assoc worker' AND state = 'idle'}) });
	like(waiting($in, 'restored'), qr/^1 2 3 70 \d+$/, 'a worker leaves what waits');
}
$node->safe_psql('postgres', 'CREATE DATABASE of_copy TEMPLATE by_file_copy');
is_held($node, 'of_copy', $template, 'a copy of a copy');

# rows of another database beside those that are its own
$node->safe_psql('postgres', 'CREATE DATABASE mixed');
create_account($node, $hubspot, dbname => 'mixed');
$node->safe_psql('mixed', q{
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	SELECT hs_assoc_enable_sync('links', 'tickets', 'from_id', 'companies', 'to_id')});
IPC::Run::run([ 'pg_restore', '--data-only', '--disable-triggers', '-d', $node->connstr('mixed'), "$dir/dump" ], '>', \$out, '2>', \$err);
is_held($node, 'mixed', qr/This database has rows of another one beside its own, by a restore or by replication\./, 'a dump that was restored beside other rows');
$node->safe_psql('mixed', 'TRUNCATE hs_assoc_origin');
is_held($node, 'mixed', qr/The table hs_assoc_origin was emptied, so it is not known what is this database's own\./, 'whose origin is gone');

# rows that come without anything that says whose they are, as while a dump is restored
$node->safe_psql('postgres', 'CREATE DATABASE rows');
create_account($node, $hubspot, dbname => 'rows');
$node->safe_psql('rows', q{
	CREATE TABLE links (from_id int, to_id int, PRIMARY KEY (from_id, to_id));
	INSERT INTO hs_assoc_sync_config (link_table, from_type, from_column, to_type, to_column, server, role)
	VALUES ('links', 'contacts', 'from_id', 'companies', 'to_id', 'hubspot', current_user::regrole);
	INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id)
	VALUES ('hubspot', current_user::regrole, 'create_default', 'contacts', '99', 'companies', '1')});
$hubspot->clear_log;
($out, $err) = psql($node, 'rows', 'CALL hs_assoc_flush()');
like($err, qr/DETAIL:  Rows are in the outbox that no function of the extension has enqueued in this database/, 'rows that no function has enqueued');
is($hubspot->log_count, 0, '... are not sent');

#
# What a copy does and what it does not
#
$hubspot->clear_log;
my $held = qr/^psql:<stdin>:1: ERROR:  nothing is sent from this database until hs_assoc_adopt is called\nDETAIL:  $template\nHINT:  /;
my $label = 5;
foreach my $call (
	"SELECT hs_assoc_create_default('contacts', 1, 'companies', 2)", "SELECT hs_assoc_create('contacts', 1, 'companies', 2, ARRAY[1], 'HUBSPOT_DEFINED')",
	"SELECT hs_assoc_archive('contacts', 1, 'companies', 2)",
	(map { "SELECT hs_assoc_$_('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')" } qw(apply batch_create_default batch_archive)),
	(map { "SELECT hs_assoc_$_('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 1 AS type_id')" } qw(batch_create batch_archive_labels)),
	"SELECT hs_assoc_batch_create_default('contacts', 'companies', '{}'::hs_assoc_input[])",
	"SELECT hs_assoc_label_create('contacts', 'companies', 'a', 'b')", "SELECT hs_assoc_label_update('contacts', 'companies', $label, 'a')",
	"SELECT hs_assoc_label_delete('contacts', 'companies', $label)", 'SELECT hs_assoc_high_usage_report(1)',
	"SELECT hs_assoc_limit_create('contacts', 'companies', 'USER_DEFINED', 1, 5)", "SELECT hs_assoc_limit_update('contacts', 'companies', 'USER_DEFINED', 1, 5)",
	"SELECT hs_assoc_limit_purge('contacts', 'companies', 'USER_DEFINED', 1)",
	(map { "SELECT hs_assoc_request($_)" } "'POST', '/crm/v3/objects/contacts', '{}'", "'put', '/x/search'", "'POST', '/x?y=/search', '{}'",
		"'DELETE', '/crm/v3/objects/contacts/1'", "'PATCH', '/x/batch/read'"))
{
	($out, $err) = psql($node, 'by_wal_log', $call);
	like($err, $held, "refused in a copy: $call");
}
is($hubspot->log_count, 0, '... and nothing is sent');
like(($node->psql('by_wal_log', "\\set VERBOSITY verbose\nSELECT hs_assoc_archive('contacts', 1, 'companies', 2)"))[2], qr/ERROR:  55000:/, '... with that SQLSTATE');

foreach my $call ("hs_assoc_list('contacts', 1, 'companies')", "hs_assoc_batch_read('contacts', 'companies', '{1}'::text[])", "hs_assoc_labels('contacts', 'companies')",
	"hs_assoc_limits('contacts', 'companies')", "hs_assoc_resolve('contacts', '{1}'::text[])", "hs_assoc_request('GET', '/crm/v3/objects/contacts')",
	"hs_assoc_request('POST', '/crm/v3/objects/contacts/search?x=1', '{}')", "hs_assoc_request('POST', '/crm/v3/objects/contacts/batch/read', '{}')")
{
	$hubspot->clear_log;
	($out, $err) = psql($node, 'by_wal_log', "SELECT count(*) FROM $call");
	is($err, '', "a read in a copy: $call");
	is($hubspot->log_count, 1, '... is sent');
}

$hubspot->clear_log;
($out, $err) = psql($node, 'by_wal_log', join '; ', map { sprintf $enqueue, $_ } 80, 81);
is(() = $err =~ /WARNING:  nothing is sent from this database until hs_assoc_adopt is called/g, 1, 'what is enqueued in a copy gives a WARNING, once a session');
like(waiting($node, 'by_wal_log'), qr/ 80 81 /, '... and waits');
($out, $err) = psql($node, 'by_wal_log', q{
	CREATE TABLE more (from_id int PRIMARY KEY, to_id int);
	SELECT hs_assoc_enable_sync('more', 'deals', 'from_id', 'companies', 'to_id');
	INSERT INTO more VALUES (5000, 2)});
like($err, qr/^psql:<stdin>:3: WARNING:  nothing is sent from this database until hs_assoc_adopt is called\nDETAIL:  $template/, 'so does enable_sync');
is($node->safe_psql('by_wal_log', 'SELECT count(*) FROM hs_assoc_outbox WHERE link_table = $$more$$::regclass'), 1, '... whose rows wait, too');
is($node->safe_psql('by_wal_log', 'SELECT hs_assoc_disable_sync($$more$$)'), 1, '... and which can be ended');

#
# A copy that is told to send
#
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
like(($node->psql('by_wal_log', 'SET ROLE app; SELECT hs_assoc_adopt($$send$$)'))[2], qr/ERROR:  permission denied for function hs_assoc_adopt/, 'not by everybody');
is($node->safe_psql('by_wal_log', 'SET ROLE app; SELECT hs_assoc_held() IS NOT NULL'), 't', '... who can see why nothing is sent');
like(($node->psql('by_wal_log', 'SELECT hs_assoc_adopt($$sendd$$)'))[2],
	qr/ERROR:  invalid value for argument "waiting": "sendd"\nHINT:  It must be "send" or "discard"\./, 'it is said what becomes of what waits');
my $count = () = waiting($node, 'by_wal_log') =~ /\d+/g;
like(($node->psql('by_wal_log', 'SELECT hs_assoc_adopt()'))[2],
	qr/ERROR:  $count operations wait in the outbox\nDETAIL:  .*\nHINT:  Call hs_assoc_adopt\('send'\) to have .*hs_assoc_adopt\('discard'\)/, '... if something does');
$hubspot->clear_log;
is($node->safe_psql('by_wal_log', 'GRANT EXECUTE ON FUNCTION hs_assoc_adopt(text) TO app; SET ROLE app; SELECT hs_assoc_adopt($$send$$)'), $count,
	'a copy is adopted, by who may');
wait_until(sub { waiting($node, 'by_wal_log') eq '' });
like(sent(1, 100), qr/^1 2 3 80 81$/, '... and a worker sends what waited');
goes_on($node, 'by_wal_log', '... and what comes');
$node->safe_psql('by_wal_log', "SELECT hs_assoc_pause(); INSERT INTO links VALUES (90, 1)");
($out, $err) = psql($node, 'by_wal_log', 'SELECT hs_assoc_adopt($$discard$$)');
is("$out $err", "0 psql:<stdin>:1: NOTICE:  this database sends already, including what waits in its outbox", 'once more, nothing happens');
is(waiting($node, 'by_wal_log'), '90', '... and nothing is deleted');

$node->safe_psql('restored', q{
	INSERT INTO hs_assoc_doubt VALUES ('hubspot', 1, 1, 'infinity');
	INSERT INTO hs_assoc_backoff (server, role, failures, retry_at) VALUES ('hubspot', current_user::regrole, 5, 'infinity')});
$hubspot->clear_log;
$count = () = waiting($node, 'restored') =~ /\d+/g;
is($node->safe_psql('restored', 'SELECT hs_assoc_adopt($$discard$$)'), $count, 'another one without what waits');
is($node->safe_psql('restored', 'SELECT (SELECT count(*) FROM hs_assoc_outbox) + (SELECT count(*) FROM hs_assoc_doubt)'), 0, '... which is gone');
goes_on($node, 'restored', '... and sends what comes');
is(sent(1, 100), '', '... and nothing else');
is($other->safe_psql('restored', q{DELETE FROM hs_assoc_outbox; SELECT hs_assoc_adopt()}), 0, 'where nothing waits, there is nothing to be said');
goes_on($other, 'restored', '... and it sends');
$node->safe_psql('mixed', q{
	SELECT hs_assoc_adopt('discard');
	SELECT hs_assoc_disable_sync('links');
	SELECT hs_assoc_enable_sync('links', 'contacts', 'from_id', 'companies', 'to_id')});
goes_on($node, 'mixed', 'with rows of another database, too');
$node->safe_psql('rows', 'SELECT hs_assoc_adopt($$send$$)');
wait_until(sub { waiting($node, 'rows') eq '' });
is(sent(99, 99), '99', 'and rows that no function has enqueued');

# a copy of what was adopted
$node->safe_psql('postgres', 'CREATE DATABASE again TEMPLATE by_wal_log');
is_held($node, 'again', $template, 'a copy of one that was adopted');

#
# Copies of the data directory: nothing in there tells a clone from a failover
#
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
$_->stop('fast') foreach $node, $other;
$hubspot->clear_log;
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'backup');
$clone->append_conf('postgresql.conf', "hubspot_assoc.workers = 4\nhubspot_assoc.instance = 'clone'");
$clone->start;
is_held($clone, 'original', qr/The setting hubspot_assoc\.instance is "clone", and was "" when this database began to send\./, 'a clone with another name');
($out, $err) = psql($clone, 'original', q{SELECT hs_assoc_archive('contacts', 1, 'companies', 2)});
like($err, qr/nothing is sent from this database/, '... nor does a function send');
set($clone, 'hubspot_assoc.instance' => '');
wait_until(sub { waiting($clone, 'original') eq '' });
like(sent(1, 999), qr/^1 2 3$/, '... until the name is as it was');
set($clone, 'hubspot_assoc.instance' => 'clone');
is_held($clone, 'original', qr/The setting .*/, '... or another one again');
$clone->safe_psql('original', 'SELECT hs_assoc_adopt($$send$$)');
goes_on($clone, 'original', 'a clone that was adopted');
$clone->command_ok([ 'pg_restore', '--clean', '--if-exists', '-d', $clone->connstr('original'), "$dir/dump" ], 'a dump of the original, into a clone');
is_held($clone, 'original', $dump, '... which is another database by now');
foreach my $value ('x' x 64, "\xC3\xA4")
{
	like(($clone->psql('original', "LOAD 'hubspot_assoc'; ALTER SYSTEM SET hubspot_assoc.instance = '$value'"))[2],
		qr/It must consist of at most 63 printable ASCII characters\./, 'a name has bounds');
}
$clone->stop('fast');

$standby->promote;
goes_on($standby, 'production', 'a standby that was promoted');
$standby->stop('fast');

my $earlier = PostgreSQL::Test::Cluster->new('earlier');
$earlier->init_from_backup($node, 'backup');
$earlier->append_conf('postgresql.conf', q{
	restore_command = 'false'
	recovery_target = 'immediate'
	recovery_target_action = 'promote'});
append_to_file($earlier->data_dir . '/recovery.signal', '');
$earlier->start;
wait_until(sub { $earlier->safe_psql('postgres', 'SELECT NOT pg_is_in_recovery()') eq 't' });
goes_on($earlier, 'original', 'a database at an earlier time');

done_testing();
