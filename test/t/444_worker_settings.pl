# Whatever the owner of a database, who is no superuser, has set for its sessions: workers send,
# look keys up, compare tables with HubSpot and put them right as ever, and call nothing of hers.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Settings that need no superuser, with the value that is worst for whoever relies on another one
my %settings = (
	array_nulls => 'off', backslash_quote => 'off', bytea_output => 'escape', check_function_bodies => 'off', client_encoding => 'SJIS', client_min_messages => 'error',
	constraint_exclusion => 'on', cursor_tuple_fraction => 0, datestyle => 'German, DMY', debug_parallel_query => 'on', default_table_access_method => 'nothing', default_tablespace => 'nothing',
	default_text_search_config => 'pg_catalog.german', default_transaction_deferrable => 'on', default_transaction_isolation => 'serializable', default_transaction_read_only => 'on',
	enable_hashagg => 'off', enable_indexonlyscan => 'off', enable_indexscan => 'off', enable_material => 'off', enable_memoize => 'off', enable_nestloop => 'off',
	enable_partition_pruning => 'off', enable_sort => 'off', exit_on_error => 'on', extra_float_digits => -15, force_parallel_mode => 'on', from_collapse_limit => 1,
	geqo_threshold => 2, gin_fuzzy_search_limit => 1, idle_in_transaction_session_timeout => '1ms', idle_session_timeout => '1ms', intervalstyle => 'sql_standard', jit => 'on', jit_above_cost => 0,
	join_collapse_limit => 1, local_preload_libraries => 'nothing', lock_timeout => '1ms', min_parallel_table_scan_size => 0, parallel_setup_cost => 0, parallel_tuple_cost => 0,
	plan_cache_mode => 'force_generic_plan', quote_all_identifiers => 'on', role => 'olga', row_security => 'off', search_path => 'hers', seq_page_cost => 1000000,
	standard_conforming_strings => 'off', statement_timeout => '1ms', stats_fetch_consistency => 'snapshot', synchronous_commit => 'off', temp_tablespaces => 'nothing', timezone => 'Asia/Kathmandu',
	transaction_timeout => '1ms', transform_null_equals => 'on', work_mem => '64kB', xmloption => 'document',
	'hubspot_assoc.max_requests' => 1, 'hubspot_assoc.progress_interval' => '1ms', 'hubspot_assoc.server' => 'nothing');

foreach my $kind (qw(preloaded dynamic))
{
	my $node = start_node($kind eq 'preloaded' ? (shared_preload_libraries => 'hubspot_assoc') : ('hubspot_assoc.workers' => 1));
	my $hubspot = start_simulator();
	create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
	my $session = start_session($node);
	make_tables($session, $hubspot);
	my @set = set_all($session);
	note(scalar(@set) . ' settings');
	cmp_ok(scalar(@set), '>', 55, "$kind: the owner has set much");
	is($session->query(q{SELECT bool_and(pg_terminate_backend(pid, 10000)) IS NOT false FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}), 't', '... before a worker begins');

	$session->query(q{
		INSERT INTO plain SELECT 300 + i, 400 + j FROM generate_series(1, 6) i, generate_series(1, 6) j;
		INSERT INTO labelled SELECT 100 + i, 200 + j, CASE i % 2 WHEN 0 THEN 'Alpha' ELSE 'Beta' END FROM generate_series(1, 6) i, generate_series(1, 2) j;
		INSERT INTO keyed SELECT 'c' || i || '@example.com', 'd' || i || '.example' FROM generate_series(7, 8) i});
	wait_for_empty_outbox($session);
	is($hubspot->association_count('contacts', 'deals'), 36, 'what the table of ids says is sent');
	is($hubspot->association_count('contacts', 'companies'), 14, '... with labels and keys, too');
	is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, '... and nothing was refused');
	$hubspot->put_associations('contacts', 'deals', [ [ 301, 499 ] ]);
	wait_until(sub { $hubspot->association_table('contacts', 'deals') !~ /^301,499,/m });
	pass('tables are compared, and put right');
	is($session->query('SELECT max(failures) FROM hs_assoc_verify_stat'), 0, '... without a failure');
	my $log = slurp_file($node->logfile);
	unlike($log, qr/ERROR: .*hers was called/, 'no function of the owner is called');
	unlike($log, qr/(?:ERROR|WARNING): .*\n(?:.*(?:DETAIL|HINT): .*\n)*.*CONTEXT:  database "postgres"/, 'no worker has an ERROR or a WARNING');
	$session->quit;
}
done_testing();

# Tables in sync, one of them the owner's, and a schema with what might be taken for others'
sub make_tables
{
	my ($session, $hubspot) = @_;
	my $body = q{LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hers was called'; END $$};

	$session->query('CREATE ROLE olga LOGIN; CREATE SCHEMA hers AUTHORIZATION olga; SET ROLE olga; CREATE TABLE hers.hs_assoc_outbox (id int)');
	$session->query("CREATE FUNCTION hers.$_ $body") foreach 'now() RETURNS timestamptz', 'clock_timestamp() RETURNS timestamptz', 'length(text) RETURNS int', 'octet_length(text) RETURNS int',
	  'equal(text, text) RETURNS bool', 'hs_assoc_outbox_wake() RETURNS trigger';
	$session->query('CREATE OPERATOR hers.= (leftarg = text, rightarg = text, function = hers.equal); RESET ROLE');
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com" } } } 1 .. 8 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 8 ]);
	$session->query(q{
		CREATE TABLE plain (f int, t int, UNIQUE (f, t)); CREATE TABLE labelled (f text, t text, label text, UNIQUE (f, t, label)); CREATE TABLE keyed (f text, t text, UNIQUE (f, t));
		ALTER TABLE plain OWNER TO olga; SET client_min_messages = error;
		SELECT hs_assoc_enable_sync('plain', 'contacts', 'f', 'deals', 't', verify => '1 second', on_drift => 'mirror');
		SELECT hs_assoc_enable_sync('labelled', 'contacts', 'f', 'companies', 't', label_column => 'label', verify => '1 second', on_drift => 'add');
		SELECT hs_assoc_enable_sync('keyed', 'contacts:email', 'f', 'companies:domain', 't')});
	return;
}

# As the owner of the database: the settings that this version has
sub set_all
{
	my ($session) = @_;
	my @names = sort split /\n/, $session->query(q{SELECT name FROM pg_settings WHERE context = 'user'});
	my %known = map { lc $_ => 1 } @names, 'role';

	$session->query('ALTER DATABASE postgres OWNER TO olga; SET ROLE olga');
	my @set = grep { $known{$_} } sort keys %settings;
	$session->query("ALTER DATABASE postgres SET $_ = " . (/search_path|datestyle/ ? $settings{$_} : "'$settings{$_}'")) foreach @set;
	$session->query('RESET ROLE');
	return @set;
}
