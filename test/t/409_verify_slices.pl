# A table is gone through slice by slice, whatever its columns are: each record is compared
# once in a pass, by all of its rows, with few requests.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
my $session = start_session($node);

sub stat_of { my ($columns, $table) = @_; return $session->query("SELECT $columns FROM hs_assoc_verify_stat WHERE link_table = '" . ($table // 'links') . "'::regclass") }

# A pass that begins from now on, to its end; its figures, and how many reads it took
sub figures
{
	my ($table) = @_;
	my $now = $session->query('SELECT clock_timestamp()');
	wait_until(sub { stat_of("coalesce(last_began_at > '$now', false)", $table) eq 't' });
	my ($began, $ended) = split /\|/, stat_of('extract(epoch FROM last_began_at), extract(epoch FROM last_ended_at)', $table);
	return stat_of('last_records, last_missing, last_extra, last_unknown, failures', $table);
}

sub found { return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', action, from_id, to_id), ', ' ORDER BY from_id::bigint, to_id), 'nothing') FROM hs_assoc_drift_log}) }

sub associate
{
	my @pairs = @_;
	while (my @some = splice @pairs, 0, 2000)
	{
		$hubspot->put_associations('contacts', 'companies', \@some);
	}
	return;
}

sub make
{
	my ($f, $t, $key, $rows, $more) = @_;
	$session->query(qq{SET client_min_messages = error; DROP TABLE IF EXISTS links; CREATE TABLE links (f $f, t $t, UNIQUE ($key)); INSERT INTO links $rows;
		SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', verify => '1 second'@{[ $more ? ", $more" : '' ]})});
	return;
}

# 2,500 records of several rows each, in all kinds of columns; three differences at the ends of slices
my @pairs = map { my $i = $_; map { [ 10000 + $i, 500 + $_ ] } 1 .. 1 + $i % 3 } 1 .. 2500;
associate(@pairs);
associate([ 10001, 900 ], [ 11000, 900 ], [ 12500, 900 ]);
my $rows = 'SELECT CAST(10000 + i AS %s), CAST(500 + j AS %s) FROM generate_series(1, 2500) i, generate_series(1, 1 + i %% 3) j ORDER BY random()';
$session->query(q{CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE DOMAIN id AS bigint CHECK (value > 0);
	CREATE TYPE word AS ENUM (); DO $$ BEGIN FOR i IN REVERSE 12500 .. 10001 LOOP EXECUTE format('ALTER TYPE word ADD VALUE %L', i); END LOOP; END $$});
foreach my $case (
	[ 'int', 'int', 'f, t' ], [ 'bigint', 'int', 't, f' ], [ 'smallint', 'int', 'f, t' ], [ 'numeric(20)', 'numeric(20)', 'f, t' ], [ 'text', 'text', 'f, t' ],
	[ 'varchar(20)', 'int', 'f, t' ], [ 'char(12)', 'int', 'f, t' ], [ 'text COLLATE loose', 'text', 'f, t' ], [ 'id', 'id', 'f, t' ], [ 'name', 'text', 'f, t' ], [ 'word', 'int', 'f, t' ])
{
	my ($f, $t, $key) = @$case;
	make($f, $t, $key, sprintf $rows, map { $_ eq 'word' ? 'text) AS word' : s/ COLLATE.*//r } $f eq 'word' ? 'text' : $f, $t) unless $f eq 'word';
	make($f, $t, $key, 'SELECT (10000 + i)::text::word, 500 + j FROM generate_series(1, 2500) i, generate_series(1, 1 + i % 3) j ORDER BY random()') if $f eq 'word';
	is(figures() . ' ' . found(), '2500|0|3|0|0 archive 10001 900, archive 11000 900, archive 12500 900', "$f, an index on $key");
}

# Few requests
make('int', 'int', 'f, t', sprintf $rows, 'int', 'int');
figures();
my $compared = stat_of('(SELECT all_records FROM hs_assoc_verify)');
$hubspot->clear_log;
figures() foreach 1 .. 2;
my $reads = grep { $_->{operation} eq 'batch_read' } @{ $hubspot->log };
my $passes = (stat_of('(SELECT all_records FROM hs_assoc_verify)') - $compared) / 2500;
# one was under way before, one is after
cmp_ok($reads, '<=', 3 * ($passes + 2), "three reads for a pass of 2,500 records ($reads for $passes)");

# Keys take look-ups, a hundred in one, and no more reads than ids
$hubspot->put_records(contacts => [ map { { id => 20_000 + $_, properties => { email => "c$_\@example.com" } } } 1 .. 1000 ]);
$hubspot->put_records(companies => [ map { { id => 800 + $_, properties => { domain => "d$_.example" } } } 1 .. 100 ]);
associate(map { [ 20_000 + $_, 801 + $_ % 100 ] } 1 .. 1000);
$session->query(q{SET client_min_messages = error; DROP TABLE IF EXISTS links; CREATE TABLE links (f text, t text, PRIMARY KEY (f, t));
	INSERT INTO links SELECT format('c%s@example.com', i), format('d%s.example', 1 + i % 100) FROM generate_series(1, 1000) i;
	SELECT hs_assoc_enable_sync('links', 'contacts:email', 'f', 'companies:domain', 't', verify => '2 seconds')});
is(figures(), '1000|0|0|0|0', 'a table of keys');
$hubspot->clear_log;
$compared = stat_of('(SELECT all_records FROM hs_assoc_verify)');
figures() foreach 1 .. 2;
my @requests = map { $_->{path} } @{ $hubspot->log };
$passes = (stat_of('(SELECT all_records FROM hs_assoc_verify)') - $compared) / 1000;
$reads = grep { m{/associations/} } @requests;
cmp_ok($reads, '<=', $passes + 2, "one read for a pass of 1,000 records with keys ($reads for $passes)");
cmp_ok(@requests - $reads, '<=', 20 * ($passes + 2), '... and its look-ups');

# Uuids and empty texts are no ids of records
make('uuid', 'int', 'f, t', 'SELECT gen_random_uuid(), i FROM generate_series(1, 5) i');
is(figures(), '0|0|0|5|0', 'values that are no ids are unknown');
is($session->query(q{SELECT concat_ws(': ', state, replace(detail, E'\n', ' '), replace(advice, E'\n', ' ')) FROM hs_assoc_diagnose() WHERE topic = 'drift'}),
	q{warning: records or rows of table public.links that the last pass could not compare: 5: SELECT * FROM hs_assoc_drift('public.links') WHERE action IN ('unreadable', 'unresolved') says which, and why.},
	'... and hs_assoc_diagnose does not call that well');
make('text', 'text', 'f, t', q{VALUES ('', '501'), ('x', '501'), (repeat('9', 1001), '501'), ('10001', ''), (NULL, '501'), ('10002', NULL), ('10003', '501')});
is(figures() =~ s/\|.*//r, '1', 'nor are empty and long ones, and nulls are of nobody');

# A record with more rows than a slice, among others
associate(map { [ 10001, 100_000 + $_ ] } 1 .. 10_500);
make('int', 'int', 'f, t', 'SELECT 10001, 100000 + i FROM generate_series(1, 10500) i UNION ALL SELECT 10000 + i, 501 FROM generate_series(2, 20) i');
like(figures(), qr/^(19|20)\|0\|\d+\|[0-9]+\|0$/, 'a record with many rows');
is(stat_of('last_missing'), 0, 'nothing is missing');

# Records with more pages than there are requests
$hubspot->settings({ page_size => 2 });
$session->query('DELETE FROM links WHERE f = 10001');
associate(map { [ 10005, 600 + $_ ] } 1 .. 40);
$session->query('INSERT INTO links VALUES (10005, 999)');
wait_until(sub { stat_of('last_unknown') > 0 });
like(figures(), qr/^18\|.*\|1\|0$/, 'one whose pages are too many is unknown, and the others are read');
is($session->query(q{SELECT count(*) FROM hs_assoc_drift_log WHERE from_id = '10005'}), 0, 'and nothing is said of it');
$hubspot->settings({ page_size => 500 });
wait_until(sub { stat_of('last_unknown') eq '0' });
is($session->query(q{SELECT count(*) FROM hs_assoc_drift_log WHERE from_id = '10005' AND action = 'archive'}), 42, 'until it can be read');

# One that HubSpot refuses, alone and among others
$hubspot->rules({ match => { path => 'batch/read', id => '10007' }, action => { status => 503 } });
wait_until(sub { stat_of('failures') > 1 });
like(stat_of('error_message'), qr/^could not read records from HubSpot: /, 'what HubSpot does not answer is tried again');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/WARNING:  could not compare table "links" with HubSpot: could not read records from HubSpot$/m, '... and the log says it once');
$hubspot->clear_rules;
wait_until(sub { stat_of('failures') eq '0' }, patience(120));
pass('and goes on');

# The extension goes while HubSpot is read
$hubspot->rules({ match => { path => 'batch/read' }, action => { hold => 1 } });
wait_until(sub { $hubspot->hits->{rules}[0]{hits} });
$session->query('SET client_min_messages = error; DROP EXTENSION hubspot_assoc CASCADE');
$hubspot->clear_rules;
$hubspot->release;
$session->query('SET client_min_messages = error; DROP TABLE links; CREATE EXTENSION hubspot_assoc');
create_account($node, $hubspot, rate_limit => 0);
make('int', 'int', 'f, t', 'SELECT 10002, 501');
like(figures(), qr/^1\|0\|/, 'it comes and goes');

$session->quit;
done_testing();
