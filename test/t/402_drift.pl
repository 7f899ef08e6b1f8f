# What HubSpot holds, against tables in sync: hs_assoc_drift.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);

sub flush { return $session->query('CALL hs_assoc_flush()') }

sub drift
{
	my ($table, $more) = @_;
	return join "\n", split /\n/, $session->query(qq{SET client_min_messages = warning;
		SELECT concat_ws(' ', action, coalesce(from_record, from_id), coalesce(to_record, to_id), type_id, label)
		FROM hs_assoc_drift('$table'} . ($more ? ", $more" : '') . ') ORDER BY change_no; RESET client_min_messages');
}

sub associate
{
	my ($from, $to, $pairs, @types) = @_;
	return $hubspot->put_associations($from, $to, $pairs, @types ? (types => \@types) : ());
}

sub dissociate
{
	my ($from, $to, @pairs) = @_;
	$session->query(qq{SELECT hs_assoc_archive('$from', '$_->[0]', '$to', '$_->[1]')}) foreach @pairs;
	return;
}

sub start_over
{
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com", hs_additional_emails => "also$_\@example.com;more$_\@example.com" } } } 1 .. 9 ]);
	$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. 9 ]);
	$session->query(q{SET client_min_messages = warning;
		DROP TABLE IF EXISTS links, others, leads;
		CREATE TABLE links (contact bigint, company bigint, role text, UNIQUE (contact, company));
		CREATE TABLE others (company text, contact text, PRIMARY KEY (company, contact));
		CREATE TABLE leads (email text, domain text, role text, UNIQUE (email, domain));
		RESET client_min_messages;
		TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter});
	return;
}

# Pairs
start_over();
$session->query(q{INSERT INTO links SELECT 100 + i, 200 + i FROM generate_series(1, 5) i; INSERT INTO links VALUES (106, NULL), (NULL, 207);
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact', 'companies', 'company', backfill => true)});
is(drift('links'), '', 'what waits in the outbox is no drift');
flush();
$hubspot->clear_log;
is(drift('links'), '', 'what was sent is none');
is(join(' ', map { $_->{operation} } @{ $hubspot->log }), 'batch_read', 'one request has read it');
associate('contacts', 'companies', [ [ 101, 209 ], [ 106, 206 ], [ 108, 208 ] ]);
dissociate('contacts', 'companies', [ 103, 203 ]);
is(drift('links'), "archive 101 209\ncreate 103 203", 'made and removed by hand; what has a null, or is not in the table, is nobody\'s');
is(drift('links', q{$$ SELECT 108 AS from_id UNION SELECT 101 $$}), "archive 101 209\narchive 108 208", 'for a scope, also records that are not in the table');
is($session->query(q{SELECT DISTINCT sync = (SELECT id FROM hs_assoc_sync), from_type, to_type, ok FROM hs_assoc_drift('links')}), 't|contacts|companies|', 'the columns beside');
is($session->query(q{SELECT count(*) FROM hs_assoc_outbox}), 0, 'nothing is enqueued');
unlike(join(' ', map { $_->{operation} } @{ $hubspot->log }), qr/create/, 'nor sent');

# A change that waits; one that was sent
$session->query(q{INSERT INTO links VALUES (101, 209); DELETE FROM links WHERE contact = 103});
is(drift('links'), '', 'differences that wait are left out');
flush();
is(drift('links'), '', 'and gone when they were sent');

# A dead letter
$session->query(q{INSERT INTO links VALUES (101, 299)});
$hubspot->rules({ match => { path => 'associate/default' }, action => { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No such company' } } });
flush();
$hubspot->clear_rules;
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 1, 'a row that HubSpot refuses');
is(drift('links'), 'dead 101 299', 'is named as such');
is($session->query(q{SELECT error_category, error_message FROM hs_assoc_drift('links')}), 'VALIDATION_ERROR|No such company', 'with its error');
$session->query(q{INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, died_at, attempts, error_message)
	SELECT -2, server, role, operation, to_type, to_id, from_type, from_id, false, enqueued_at, died_at + '1 s', 1, 'from the other side' FROM hs_assoc_dead_letter});
is($session->query(q{SELECT error_message FROM hs_assoc_drift('links')}), 'No such company', '... not that of the other direction, though it is later');
$session->query('DELETE FROM hs_assoc_dead_letter WHERE id > 0');
is($session->query(q{SELECT error_message FROM hs_assoc_drift('links')}), 'from the other side', '... unless there is no other');
$session->query(q{TRUNCATE hs_assoc_dead_letter; DELETE FROM links WHERE company = 299});
flush();

# What another table says, in the other direction
associate('contacts', 'companies', [ [ 101, 207 ], [ 102, 207 ] ]);
is(drift('links'), "archive 101 207\narchive 102 207", 'two of nobody');
$session->query(q{INSERT INTO others VALUES (' 207 ', '101'), ('207', '102');
	SELECT hs_assoc_enable_sync('others', 'companies', 'company', 'contacts', 'contact')});
is(drift('links'), 'archive 101 207', 'one is wanted by the other table');
is(drift('others'), "unresolved  207  101\narchive 207 101", 'whose other row has no valid id');
$session->query(q{SELECT hs_assoc_disable_sync('others')});

# Types by a column
start_over();
foreach my $label (qw(Alpha Beta Gamma))
{
	$hubspot->put_label('contacts', 'companies', $label);
}
my %type = split /[|\n]/, $session->query(q{SELECT label, type_id FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED'});
$session->query(q{INSERT INTO links VALUES (101, 201, 'Alpha'), (102, 202, 'beta');
	SELECT hs_assoc_enable_sync('links', 'contacts', 'contact', 'companies', 'company', label_column => 'role', backfill => true)});
flush();
is(drift('links'), '', 'labels');
associate('contacts', 'companies', [ [ 101, 201 ], [ 102, 205 ] ], map { { category => 'USER_DEFINED', type_id => $type{$_} + 0 } } qw(Beta Gamma));
is(drift('links'), "remove 101 201 $type{Beta} Beta\nadd 101 201 $type{Alpha} Alpha\nremove 102 205 $type{Beta} Beta", 'a label that the table has is its own, another is not');
$session->query(q{INSERT INTO links VALUES (103, 203, 'Alpha')});
flush();
$session->query(qq{SELECT * FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 103 AS from_id, 203 AS to_id, ''Alpha'' AS label')});
like(drift('links'), qr/^(add|create) 103 203 $type{Alpha} Alpha$/m, 'a label that is gone');

# Keys on both sides
start_over();
$session->query(q{INSERT INTO leads VALUES ('c1@example.com', 'd1.example'), ('also2@example.com', 'D2.example'), ('nobody@example.com', 'd3.example');
	SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain', backfill => true)});
flush();
is(drift('leads'), '', 'keys; one of them waits for its record');
associate('contacts', 'companies', [ [ 101, 209 ], [ 102, 203 ] ]);
dissociate('contacts', 'companies', [ 101, 201 ]);
is(drift('leads'), "archive 101 209\ncreate 101 201\narchive 102 203", 'what differs');
is($session->query(q{SELECT from_id, to_id FROM hs_assoc_drift('leads') WHERE action = 'create'}), 'c1@example.com|d1.example', 'with the keys of the table');
$session->query(q{INSERT INTO others VALUES ('d3.example', 'more2@example.com'), ('209', 'x');
	SELECT hs_assoc_enable_sync('others', 'companies:domain', 'company', 'contacts:email', 'contact')});
is(drift('leads'), "archive 101 209\ncreate 101 201", 'another table calls its records by other names');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 1, 'nothing was enqueued');
$hubspot->rules({ match => { path => 'contacts/(batch/read|search)$' }, action => { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } } });
$hubspot->clear_log;
like(drift('leads'), qr/^unresolved/, 'where keys cannot be looked up, nothing is to be removed');
unlike(drift('leads'), qr/archive/, 'nothing at all');
$hubspot->clear_rules;

# Records of one object type
start_over();
$session->query(q{CREATE TABLE IF NOT EXISTS pairs (a int, b int, UNIQUE (a, b)); TRUNCATE pairs; INSERT INTO pairs VALUES (101, 102), (103, 101);
	SELECT hs_assoc_enable_sync('pairs', 'contacts', 'a', 'contacts', 'b', backfill => true)});
flush();
is(drift('pairs'), '', 'a pair of one object type is wanted from either side');
associate('contacts', 'contacts', [ [ 104, 101 ] ]);
like(drift('pairs'), qr/^archive 101 104$/, 'or not at all');

# Who may, and what is wrong
$session->query(q{CREATE ROLE stranger; CREATE ROLE keeper; GRANT USAGE ON FOREIGN SERVER hubspot TO keeper, stranger;
	CREATE USER MAPPING FOR keeper SERVER hubspot OPTIONS (access_token 'pat-na1-test'); GRANT CREATE ON SCHEMA public TO keeper, stranger});
sub error { my ($sql) = @_; my (undef, undef, $err) = $node->psql('postgres', $sql); return $err =~ s/^psql:.*?: //mr =~ s/\n.*//sr }
like(error(q{SET ROLE stranger; SELECT * FROM hs_assoc_drift('links')}), qr/must be owner of table links/, 'only the owner compares a table');
like(error(q{SELECT * FROM hs_assoc_drift('links')}), qr/table "links" is not kept in sync/, 'which is in sync');
like(error(q{SELECT * FROM hs_assoc_drift(NULL)}), qr/argument "link_table" must not be null/, 'and is named');
$session->query(q{SELECT hs_assoc_enable_sync('links', 'contacts', 'contact', 'companies', 'company')});
like(error(q{SELECT * FROM hs_assoc_drift('links', 'SELECT 1')}), qr/the query has a column "\?column\?"/, 'a scope has from_id');
like(error(q{SELECT * FROM hs_assoc_drift('links', 'DROP TABLE links')}), qr/does not return rows/, 'and returns rows');
$session->query(q{SELECT hs_assoc_enable_sync('links', 'companies', 'company', 'contacts', 'contact')});
like(error(q{SELECT * FROM hs_assoc_drift('links', 'SELECT 1 AS from_id')}), qr/the syncs of the table have several object types/, 'of one object type');
is(drift('links'), '', 'both syncs of a table');

# A scope's query has the caller's rights, and an owner's policy hides nothing unseen
$session->query(q{CREATE TABLE secrets AS SELECT 101 AS from_id});
$session->query(q{SET ROLE keeper; CREATE TABLE kept (f int, t int, UNIQUE (f, t)); SELECT hs_assoc_enable_sync('kept', 'contacts', 'f', 'companies', 't'); RESET ROLE});
$session->query(q{CREATE TABLE one (f int, t int, UNIQUE (f, t)); SELECT hs_assoc_enable_sync('one', 'deals', 'f', 'tickets', 't'); INSERT INTO one VALUES (1, 2)});
flush();
like($session->told(q{SELECT * FROM hs_assoc_drift('one')}), qr/1 record read: 1 association kept, 0 missing, 0 not in the table/, 'one is one');
$session->query(q{SELECT hs_assoc_disable_sync('one')});
like(error(q{SET ROLE keeper; SELECT * FROM hs_assoc_drift('kept', 'SELECT from_id FROM secrets')}), qr/permission denied for table secrets/, 'a scope reads as its caller');
associate('contacts', 'companies', [ [ 101, 208 ] ]);
$session->query(q{INSERT INTO kept VALUES (101, 208); CREATE POLICY nothing ON kept USING (false); ALTER TABLE kept ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY});
like($session->told(q{SELECT hs_assoc_repair('pairs')}), qr/associations kept, \d+ missing(;|\n|$)/, 'a repair that only adds says nothing of what it did not look for');
like(error(q{SET ROLE keeper; SELECT * FROM hs_assoc_drift('kept')}), qr/row-level security policy/, 'an owner whose rows are hidden is told so');
$session->query(q{INSERT INTO links VALUES (101, 201)});
flush();
is(drift('links'), '', 'nobody else, and what is hidden counts');

# Where an index leads to what differs, the table is not searched; each value is found all the same
start_over();
$session->query(q{SELECT hs_assoc_disable_sync('links'), hs_assoc_disable_sync('kept')});
my @wide = map { [ 1000 + $_, 201 ] } 1 .. 3000;
while (my @some = splice @wide, 0, 2000) { associate('contacts', 'companies', \@some) }
associate('contacts', 'companies', [ [ 1001, '1' ], [ 1002, '922337203685477581' ], [ 1003, '9223372036854775806' ] ]);
foreach my $type ('int', 'bigint', 'numeric(25)', 'text', 'varchar(30)', 'text COLLATE "POSIX"', 'char(20)', 'text COLLATE loose')
{
	my $indexed = $type !~ /char\(20|loose/;
	my $largest = $type eq 'int' ? '2147483647' : '9223372036854775807';
	$session->query(qq{SET client_min_messages = error; CREATE COLLATION IF NOT EXISTS loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		DROP TABLE IF EXISTS wide; CREATE TABLE wide (contact $type, company $type, PRIMARY KEY (contact, company));
		INSERT INTO wide SELECT (1000 + i)::text::@{[ $type =~ s/ .*//r ]}, '201' FROM generate_series(1, 3000) AS i;
		INSERT INTO wide VALUES ('$largest', '201');	-- HubSpot does not have that
		ANALYZE wide; SELECT hs_assoc_enable_sync('wide', 'contacts', 'contact', 'companies', 'company');
		LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice; SET client_min_messages = notice});
	$session->send(q{SELECT concat_ws(' ', action, from_id, to_id) FROM hs_assoc_drift('wide') ORDER BY change_no});
	my ($rows, $plans) = $session->finish;
	$session->query('SET auto_explain.log_min_duration = -1');
	is($rows, join("\n", 'archive 1001 1', 'archive 1002 922337203685477581', 'archive 1003 9223372036854775806', "create $largest 201"), "$type: what differs");
	my ($look) = $plans =~ /(Query Text: WITH named AS .*?EXISTS.*?)(?:Query Text|\z)/s;
	if ($indexed) { like($look, qr/Index (Only )?Scan using wide_pkey on wide l\b[^\n]*\n\s*Index Cond: [^\n]*contact = [^\n]*company = /, '... by the index on both') }
	else { like($look, qr/Seq Scan on wide l/, '... without one that can tell') }
}

# Many rows wait, and many were given up: what differs is looked for among them by pair, and what
# went to disk meanwhile is not left behind.
$session->query(q{SET client_min_messages = warning; DROP TABLE wide; SET work_mem = '64kB';
	TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter;
	CREATE TABLE many (contact int PRIMARY KEY, company int);
	INSERT INTO many SELECT 5000 + i, 202 FROM generate_series(1, 1000) i;
	SELECT hs_assoc_enable_sync('many', 'contacts', 'contact', 'companies', 'company');
	SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT i AS from_id, 203 AS to_id FROM generate_series(1, 20000) i');
	INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
		SELECT -i, 'hubspot', 'postgres'::regrole, 'archive', 'contacts', i, 'companies', 203, false, now(), 1 FROM generate_series(1, 20000) i});

sub tuples_read
{
	$session->query('SELECT pg_stat_force_next_flush()');
	return $session->query(q{SELECT sum(pg_stat_get_tuples_returned(indexrelid)) FROM pg_index
		WHERE indrelid IN ('hs_assoc_outbox'::regclass, 'hs_assoc_dead_letter'::regclass)});
}
my $before = tuples_read();
$session->send(q{SELECT count(*) FROM hs_assoc_drift('many')});
is_deeply([ $session->finish ], [ 1000, '' ], 'many rows wait, and many were given up');
my $read = tuples_read() - $before;
cmp_ok($read, '<', 200_000, "... of which $read entries of indexes are read");

$session->quit;
done_testing();
