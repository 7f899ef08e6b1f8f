# pg_upgrade of a cluster in which a worker was sending: nothing is sent meanwhile,
# everything is there afterwards, and the rest is sent once.  test/upgrade runs this.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../t";
use File::Basename;
use HubSpotTest;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $old_bin = `$ENV{OLD_PG_CONFIG} --bindir`;
my $new_bin = `pg_config --bindir`;
my $old_lib = `$ENV{OLD_PG_CONFIG} --pkglibdir`;
my $old_share = `$ENV{OLD_PG_CONFIG} --sharedir`;
chomp($old_bin, $new_bin, $old_lib, $old_share);

my $hubspot = start_simulator();

sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, %options);

	# checksums are on from 18, not before
	$node->init(extra => [ '--no-locale', '-E', 'UTF8', $node->pg_version >= 18 ? '--no-data-checksums' : () ]);
	$node->append_conf('postgresql.conf', qq{
		shared_preload_libraries = 'hubspot_assoc'
		max_prepared_transactions = 5
		hubspot_assoc.poll_interval = '1s'
	});
	# from there pg_upgrade loads it, see in_root; a second file is a second library
	$node->append_conf('postgresql.conf', q{dynamic_library_path = '$libdir'}) if $node->pg_version >= 18;
	return $node;
}

sub set_workers { my ($node, $workers) = @_; $node->append_conf('postgresql.conf', "hubspot_assoc.workers = $workers"); return }

# A view that was dumped and restored names a column of a UNION, which has its
# name from elsewhere. Of the row types of tables, nothing is dumped: what the page says
# grants and revokes it anew, but not as what the extension has granted.
sub objects { return $_[0]->safe_psql($_[1], slurp_file("$top/test/extension.sql")) =~ s/ AS timestamptz\b//gr =~ s/^type \| .* \| initial grants \| .*\n?//gmr }
my ($revoke) = slurp_file("$top/doc/install.md") =~ /^(SELECT format\('REVOKE .*?\\gexec)$/ms or die 'doc/install.md lacks it';
sub state_of { return $_[0]->safe_psql($_[1], "\\set all 1\n" . slurp_file("$top/test/state.sql")) }

# The lines that one has and the other hasn't.
sub only
{
	my ($lines, $others) = @_;
	my %others = map { $_ => 1 } split /\n/, $others;
	return join "\n", grep { !$others{$_} } split /\n/, $lines;
}

# "operation from-to" of each input that was sent, sorted; the log is emptied.
sub sent
{
	my @sent;
	foreach my $entry (@{ $hubspot->log })
	{
		my ($operation) = $entry->{path} =~ m{/([^/]+/[^/]+/batch/.*)$} or next;
		foreach my $input (@{ decode_json($entry->{body})->{inputs} })
		{
			next unless $input->{from};
			push @sent, map { "$operation $input->{from}{id}-$_->{id}" }
			  ref $input->{to} eq 'ARRAY' ? @{ $input->{to} } : $input->{to} ? $input->{to} : ();
		}
	}
	$hubspot->clear_log;
	return join "\n", sort @sent;
}

# What waits of an account, as sent() would tell it.
my %path = (
	create_default => 'batch/associate/default', create => 'batch/create',
	archive => 'batch/archive', archive_labels => 'batch/labels/archive');
sub waiting
{
	my ($node, $db, $schema, $server) = @_;
	my @rows = split /\n/, $node->safe_psql($db, qq{
		SELECT operation || ' ' || from_type || '/' || to_type || ' ' || from_id || '-' || to_id
		FROM "$schema".hs_assoc_outbox WHERE server = '$server'});
	return join "\n", sort map { my ($operation, $types, $pair) = split / /; "$types/$path{$operation} $pair" } @rows;
}

sub held { return join "\n", map { /^(\d+,\d+),/ } split /\n/, $hubspot->association_table(@_) }
sub pairs_of { return $_[0]->safe_psql('app', "SELECT contact_id || ',' || company_id FROM $_[1] ORDER BY contact_id, company_id") }

sub wait_for
{
	my ($node, $db, $condition) = @_;
	return wait_until(sub { $node->safe_psql($db, "SELECT $condition") eq 't' }, patience(60));
}

#
# The old cluster
#
my $old;
{
	delete local $ENV{TEMP_CONFIG};			# tells where the new server finds it
	$old = new_node('old', install_path => dirname($old_bin));
}
$old->append_conf('postgresql.conf', qq{
	extension_destdir = '$ENV{OLD_DESTDIR}'
	dynamic_library_path = '$ENV{OLD_DESTDIR}$old_lib:\$libdir'
});
$old->start;
note($old->safe_psql('postgres', 'SELECT version()'));
my $account = "FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '@{[ $hubspot->url ]}', rate_limit '0', batch_size '20', max_retry_delay '50ms', sent_retention '1h')";
my $token = q{OPTIONS (access_token 'test-token')};
$old->safe_psql('postgres', q{CREATE ROLE app LOGIN; CREATE ROLE etl LOGIN; CREATE DATABASE app OWNER app; CREATE DATABASE second});
$old->safe_psql('app', qq{
	CREATE EXTENSION hubspot_assoc;
	GRANT USAGE ON FOREIGN DATA WRAPPER hubspot_assoc TO app;
	GRANT ALL ON SCHEMA public TO app, etl;
	GRANT SELECT ON hs_assoc_outbox TO etl;
	SET ROLE app;
	CREATE SERVER hubspot $account;
	CREATE SERVER "HubSpot EU" $account;
	CREATE SERVER down FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url 'http://127.0.0.1:1', max_retries '0');
	GRANT USAGE ON FOREIGN SERVER hubspot, "HubSpot EU" TO etl;
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot $token;
	CREATE USER MAPPING FOR app SERVER "HubSpot EU" $token;
	CREATE USER MAPPING FOR etl SERVER "HubSpot EU" $token;
	CREATE USER MAPPING FOR PUBLIC SERVER down $token;
	CREATE TABLE links (gone int, contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	ALTER TABLE links DROP gone;
	CREATE TABLE parts (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id)) PARTITION BY RANGE (contact_id);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
	CREATE TABLE parts_2 (company_id int NOT NULL, contact_id int NOT NULL) PARTITION BY LIST (company_id);
	CREATE TABLE parts_2_1 PARTITION OF parts_2 DEFAULT;
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (1000) TO (2000);
	CREATE TABLE roles (contact_id int, company_id int, role text, PRIMARY KEY (contact_id, company_id, role));
	CREATE TABLE broken (contact_id int, company_id int, PRIMARY KEY (contact_id, company_id));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	SELECT hs_assoc_enable_sync('parts', 'deals', 'contact_id', 'companies', 'company_id', server => 'hubspot');
	SELECT hs_assoc_enable_sync('roles', 'tickets', 'contact_id', 'companies', 'company_id', label_column => 'role', server => 'HubSpot EU');
	SELECT hs_assoc_enable_sync('broken', 'contacts', 'contact_id', 'deals', 'company_id', server => 'down');
});
$old->safe_psql('second', qq{
	CREATE SCHEMA "Hub Spot";
	CREATE EXTENSION hubspot_assoc SCHEMA "Hub Spot";
	CREATE SERVER hubspot $account;
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot $token;
	SELECT "Hub Spot".hs_assoc_pause('hubspot');
	SELECT "Hub Spot".hs_assoc_enqueue('create_default', 'tickets', 'deals', 'SELECT i AS from_id, 1 AS to_id FROM generate_series(1, 30) AS i', server => 'hubspot');
});

# some are sent, some refused
$hubspot->rules({ match => { id => '7777' }, action => { status => 400 } });
$old->safe_psql('app', q{
	SET ROLE app;
	INSERT INTO links SELECT i, 1 FROM generate_series(1, 100) AS i;
	INSERT INTO links VALUES (7777, 1);
	INSERT INTO parts SELECT i * 20, 1 FROM generate_series(1, 99) AS i;
	INSERT INTO broken VALUES (1, 1)});
wait_for($old, 'app', q{count(*) = 1 FROM hs_assoc_outbox});
wait_for($old, 'app', q{count(*) = 1 FROM hs_assoc_backoff});
# one account waits; of the other, a worker is in the middle
$old->safe_psql('app', q{
	SELECT hs_assoc_pause('HubSpot EU');
	SET ROLE etl;
	SELECT hs_assoc_enqueue('create', 'contacts', 'companies', $$ SELECT i AS from_id, 2 AS to_id, '{1}'::int[] AS type_ids,
		'HUBSPOT_DEFINED' AS category FROM generate_series(1, 10) AS i $$, keep_labels => true, server => 'HubSpot EU');
	SET ROLE app;
	INSERT INTO roles VALUES (1, 1, 'Primary'), (2, 1, 'It''s "one"')});
$hubspot->settings({ latency_ms => 300 });
$old->safe_psql('app', q{
	SET ROLE app;
	DELETE FROM links WHERE contact_id <= 20;
	INSERT INTO links SELECT i, 2 FROM generate_series(201, 1000) AS i;
	INSERT INTO parts SELECT 1000 + i * 2, 2 FROM generate_series(1, 300) AS i;
	SELECT hs_assoc_enqueue('archive_labels', 'contacts', 'companies', 'SELECT i AS from_id, 5 AS to_id, 1 AS type_id FROM generate_series(1, 40) AS i', server => 'hubspot')});
wait_for($old, 'app', q{EXISTS (SELECT FROM hs_assoc_lease WHERE server = 'hubspot' AND in_flight > 0)});
wait_until(sub { $hubspot->stats->{in_flight} > 0 });

# pg_upgrade wants a clean shutdown; what a worker leaves at its worst, it leaves
# in a crash
$old->stop('immediate');
set_workers($old, 0);
$old->start;
wait_until(sub { $hubspot->stats->{in_flight} == 0 });
$hubspot->settings({ latency_ms => 0 });
$hubspot->clear_log;
my %before = map { $_ => state_of($old, $_) } qw(app second);
like($before{app}, qr/^hs_assoc_$_\|/m, "there are rows in hs_assoc_$_")
  foreach qw(outbox dead_letter sent lease backoff account_pause sync_config);
like($before{app}, qr/^hs_assoc_lease\|hubspot\|\d+\|/m, 'a lease is held by a worker');
my %waiting = (
	hubspot => waiting($old, 'app', 'public', 'hubspot'),
	eu => waiting($old, 'app', 'public', 'HubSpot EU'),
	second => waiting($old, 'second', 'Hub Spot', 'hubspot'));
cmp_ok(scalar(() = $waiting{$_} =~ /^/mg), '>', 10, "there are rows to be sent: $_") foreach sort keys %waiting;
my %held = map { $_ => held($_, 'companies') } qw(contacts deals);
$old->stop;
my $requests = $hubspot->stats->{requests};

#
# With both ways of moving the files; the second one is the old cluster's end
#
foreach my $mode ('--copy', '--link')
{
	my $name = "new$mode" =~ tr/-//dr;
	my $new = new_node($name);
	set_workers($new, 4);
	my $dir = PostgreSQL::Test::Utils::tempdir;
	{
		# it writes its scripts to where it is
		chdir $dir or die "$dir: $!";
		my @flags = $mode eq '--link' ? ('--link') : ();
		command_ok([
			'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bin, '-B', $new_bin,
			'-s', $new->host, '-p', $old->port, '-P', $new->port, @flags ], "pg_upgrade $mode");
		chdir $top or die "$top: $!";
	}
	foreach my $log (glob($new->data_dir . '/pg_upgrade_output.d/*/log/*'))
	{
		note("$log:\n" . slurp_file($log)) if !Test::More->builder->is_passing;
	}
	is($hubspot->stats->{requests}, $requests, 'nothing was sent meanwhile');
	is(join(' ', map { basename($_) } glob "$dir/*.sql"), '', 'it asks for no script to be run');

	# first without workers
	set_workers($new, 0);
	$new->start;
	same_lines(state_of($new, $_), $before{$_}, "all of it is there: $_") foreach qw(app second);
	$new->safe_psql('postgres', 'CREATE DATABASE fresh');
	$new->safe_psql('fresh', 'CREATE EXTENSION hubspot_assoc');
	my $usable = q{SELECT count(*) > 0 FROM pg_type WHERE typname LIKE 'hs\_assoc\_%' AND typrelid::regclass::text LIKE '%outbox%' AND typacl IS NULL};
	is($new->safe_psql($_, $usable), 't', "of row types, nothing is transferred: $_") foreach qw(app second);
	$new->safe_psql($_, $revoke) foreach qw(app second);
	my ($app, $fresh) = (objects($new, 'app'), objects($new, 'fresh'));
	like(only($app, $fresh), qr/^foreign-data wrapper \| hubspot_assoc \| grants \| app=U\/postgres postgres=U\/postgres\ntable \| public\.hs_assoc_outbox \| grants \| etl=r\/postgres postgres=\w+\/postgres$/,
		'the extension is as a new one, but for what was granted');
	is(only($fresh, $app), '', '... and lacks nothing');
	$new->safe_psql('fresh', 'DROP EXTENSION hubspot_assoc; CREATE SCHEMA "Hub Spot"; CREATE EXTENSION hubspot_assoc SCHEMA "Hub Spot"');
	same_lines(objects($new, 'second'), objects($new, 'fresh'), '... also in another schema');
	$new->command_ok([ 'vacuumdb', '--all', '--analyze-in-stages', '-h', $new->host, '-p', $new->port ], 'vacuumdb --analyze-in-stages');
	my ($status, $out, $err) = $new->psql('app', 'ALTER EXTENSION hubspot_assoc UPDATE');
	is($status, 0, 'ALTER EXTENSION UPDATE');
	like($err, qr/NOTICE:  version "\S+" of extension "hubspot_assoc" is already installed/, '... has nothing to do');
	same_lines(state_of($new, 'app'), $before{app}, 'and nothing has changed');
	is($hubspot->stats->{requests}, $requests, 'or was sent');

	# then with them
	$new->safe_psql('postgres', 'ALTER SYSTEM SET hubspot_assoc.workers = 4; SELECT pg_reload_conf()');
	wait_for($new, 'app', q{count(*) = 0 FROM hs_assoc_outbox WHERE server = 'hubspot'});
	same_lines(sent(), $waiting{hubspot}, 'what waited is sent, and nothing else, and once');
	is(waiting($new, 'app', 'public', 'HubSpot EU'), $waiting{eu}, 'but for an account that is paused');
	is(waiting($new, 'second', 'Hub Spot', 'hubspot'), $waiting{second}, '... in each database');
	$hubspot->clear_rules;
	is($new->safe_psql('app', 'SELECT hs_assoc_retry() > 0'), 't', 'dead letters are retried');
	wait_for($new, 'app', q{count(*) = 0 FROM hs_assoc_outbox WHERE server = 'hubspot'});
	same_lines(held('contacts', 'companies'), pairs_of($new, 'links'), 'HubSpot has what the table says');
	same_lines(held('deals', 'companies'), pairs_of($new, 'parts'), '... the partitioned one, too');
	$new->safe_psql('app', q{
		SET ROLE app;
		INSERT INTO links VALUES (5001, 1);
		DELETE FROM links WHERE contact_id = 30;
		ALTER TABLE links RENAME contact_id TO c;
		UPDATE links SET company_id = 9 WHERE c = 31;
		ALTER TABLE links RENAME c TO contact_id;
		CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (2000) TO (3000);
		INSERT INTO parts VALUES (500, 5), (1500, 5), (2500, 5);
		TRUNCATE parts_1});
	wait_for($new, 'app', q{count(*) = 0 FROM hs_assoc_outbox WHERE server = 'hubspot'});
	same_lines(held('contacts', 'companies'), pairs_of($new, 'links'), 'the tables are still in sync');
	same_lines(held('deals', 'companies'), pairs_of($new, 'parts'), '... old partitions and a new one');
	sent();
	$new->safe_psql('second', q{SELECT "Hub Spot".hs_assoc_resume('hubspot')});
	wait_for($new, 'second', q{count(*) = 0 FROM "Hub Spot".hs_assoc_outbox});
	same_lines(sent(), $waiting{second}, 'what was paused is sent when it is resumed');
	$new->safe_psql('app', q{SELECT hs_assoc_resume('HubSpot EU')});
	wait_for($new, 'app', q{count(*) = 0 FROM hs_assoc_outbox WHERE server = 'HubSpot EU'});
	is($new->safe_psql('app', q{SELECT string_agg(concat_ws(' ', role, from_id, labels, error_category), ', ') FROM hs_assoc_dead_letter}),
		q{app 2 {"It's \"one\""} INVALID_INPUT}, '... on behalf of whom it was enqueued');
	($status, $out, $err) = $new->psql('app', 'DROP TABLE links');
	like($err, qr/NOTICE:  table "links" is no longer kept in sync/, 'a table that is dropped is followed');
	$new->safe_psql('app', 'DROP EXTENSION hubspot_assoc CASCADE; DROP TABLE parts');
	$new->stop;
	unlike(slurp_file($new->logfile), qr/PANIC|TRAP:|terminated by signal|cache lookup failed/, 'nothing went wrong');

	# HubSpot as it was
	$hubspot->reset;
	$hubspot->control('POST', '/associations', { from_type => $_, to_type => 'companies', pairs => [ map { [ split /,/ ] } split /\n/, $held{$_} ] })
	  foreach sort keys %held;
	$hubspot->rules({ match => { id => '7777' }, action => { status => 400 } });
	$requests = $hubspot->stats->{requests};
}

done_testing();
