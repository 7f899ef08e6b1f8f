# Syncs of types, compared with HubSpot and repaired: of one type or label, and with those in
# a column. What a sync adds and removes is its own types', by their names; what another sync
# wants, and what may be wanted, stays.

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
$session->query(q{SET client_min_messages = error;
	CREATE TABLE links (f int, t int, role text, UNIQUE (f, t));
	CREATE TABLE typed (f int, t int, type bigint, UNIQUE (f, t, type));
	CREATE TABLE others (t text, f text, UNIQUE (t, f))});
my %type;

sub start_over
{
	$hubspot->reset;
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta Gamma);
	%type = (default => 279, split /[|\n]/, $session->query(q{SELECT label, type_id FROM hs_assoc_labels('contacts', 'companies') WHERE category = 'USER_DEFINED'}));
	$session->query(q{SELECT hs_assoc_disable_sync(s.link_table) FROM (SELECT DISTINCT link_table FROM hs_assoc_sync) s;
		TRUNCATE links, typed, others, hs_assoc_outbox, hs_assoc_dead_letter});
	return;
}

sub sync { my ($table, @more) = @_; return $session->query("SELECT hs_assoc_enable_sync('$table', 'contacts', 'f', 'companies', 't', " . join(', ', @more, 'backfill => true') . '); CALL hs_assoc_flush()') }
sub pair { my ($f, $t) = @_; return $session->query("SELECT FROM hs_assoc_create_default('contacts', $f, 'companies', $t)") }
sub label { my ($f, $t, @labels) = @_; return $session->query("SELECT FROM hs_assoc_create('contacts', $f, 'companies', $t, labels => '{" . join(',', @labels) . "}', keep_labels => true)") }
sub unlabel { my ($f, $t, $label) = @_; return $session->query("SELECT FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT $f AS from_id, $t AS to_id, ''$label'' AS label')") }

# Differences, with the names of their types
sub drift
{
	my ($table) = @_;
	my %name = reverse %type;
	return join ', ', map { s/(\d+)$/$name{$1}/r } split /\n/, $session->query("SELECT concat_ws(' ', action, from_id, to_id, type_id) FROM hs_assoc_drift('$table') ORDER BY change_no");
}

# What a repair enqueues, which is then sent
sub repair
{
	my ($table, $mode) = @_;
	$session->query("SELECT hs_assoc_repair('$table', mode => '$mode', max_removals => 100)");
	my $waits = $session->query(q{SELECT string_agg(concat_ws(' ', operation, from_id, to_id, category, type_ids::text, labels::text), ', ' ORDER BY id DESC) FROM hs_assoc_outbox});
	$session->query('CALL hs_assoc_flush()');
	return $waits;
}

sub held
{
	return join ', ', map { my $p = $_; "$p->{from_id} $p->{to_id}: " . join '+', map { $_->{label} // 'default' } @{ $p->{types} } } @{ $hubspot->associations('contacts', 'companies') };
}

# One type, or one label, for all rows
foreach my $how (qw(type label))
{
	start_over();
	my $is = $how eq 'type' ? "USER_DEFINED {$type{Alpha}}" : '{alpha}';
	$session->query(q{INSERT INTO links VALUES (101, 201), (102, 202)});
	sync('links', $how eq 'type' ? "type_id => $type{Alpha}, category => 'USER_DEFINED'" : q{label => 'alpha'});
	is(drift('links'), '', "one $how: what was sent is no drift");
	unlabel(101, 201, 'Alpha');
	pair(102, 209);
	label(102, 209, 'Alpha', 'Beta');
	label(101, 208, 'Beta');
	label(102, 202, 'Gamma');
	is(drift('links'), 'create 101 201 Alpha, remove 102 209 Alpha', '... what its type differs in');
	is(repair('links', 'add'), "create 101 201 $is", '... a repair adds it');
	is(held(), '101 201: Alpha, 101 208: Beta, 102 202: Alpha+Gamma, 102 209: default+Alpha+Beta', '... and keeps the others');
	is(repair('links', 'mirror'), "archive_labels 102 209 $is", '... or takes it away');
	is(held(), '101 201: Alpha, 101 208: Beta, 102 202: Alpha+Gamma, 102 209: default+Beta', '... and nothing else');
	is(drift('links'), '', '... then nothing differs');
}

# Types in a column
foreach my $how (qw(type label))
{
	start_over();
	my $table = $how eq 'type' ? 'typed' : 'links';
	my %value = map { $_ => $how eq 'type' ? $type{$_} : "'" . lc($_) . "'" } keys %type;
	my %is = map { $_ => $how eq 'type' ? "USER_DEFINED {$type{$_}}" : "{$_}" } keys %type;
	$session->query("INSERT INTO $table VALUES (101, 201, $value{Alpha}), (102, 202, $value{Beta})");
	sync($table, $how eq 'type' ? q{type_id_column => 'type', category => 'USER_DEFINED'} : q{label_column => 'role'});
	is(drift($table), '', "a column of ${how}s: what was sent is no drift");
	unlabel(101, 201, 'Alpha');
	label(101, 201, 'Beta');
	pair(102, 209);
	label(102, 209, 'Alpha', 'Beta');
	label(101, 208, 'Gamma', 'Beta');
	label(102, 202, 'Gamma');
	is(drift($table), 'remove 101 201 Beta, remove 101 208 Beta, add 101 201 Alpha, remove 102 209 Alpha, remove 102 209 Beta', '... what differs, of the types that it has');
	is(repair($table, 'add'), "create 101 201 $is{Alpha}", '... a repair adds');
	is(repair($table, 'mirror'), "archive_labels 101 201 $is{Beta}, archive_labels 101 208 $is{Beta}, archive_labels 102 209 $is{Alpha}, archive_labels 102 209 $is{Beta}", '... or removes as well');
	is(held(), '101 201: Alpha, 101 208: Gamma, 102 202: Beta+Gamma, 102 209: default', '... a type at a time');
	is(drift($table), '', '... then nothing differs');
}

# HubSpot's own types in a column: the default one goes with the last of the others, or stays
start_over();
$session->query('INSERT INTO typed VALUES (101, 201, 279), (102, 202, 1), (104, 204, 9999999999)');
sync('typed', q{type_id_column => 'type'});
is($session->query('SELECT from_id, type_ids FROM hs_assoc_dead_letter'), '104|{0}', 'a number that is no type is refused');
is($session->query(q{SELECT action, from_id, type_id FROM hs_assoc_drift('typed')}), 'dead|104|', '... and named as such');
$session->query('DELETE FROM typed WHERE f = 104; CALL hs_assoc_flush(); TRUNCATE hs_assoc_dead_letter');
%type = (default => 279, Primary => 1);
pair(101, $_) foreach 205 .. 208;
pair(103, 205);
label(101, 206, 'Alpha');
label(101, 208, 'Alpha');
$session->query(q{SELECT FROM hs_assoc_create('contacts', 101, 'companies', 205, '{1}', keep_labels => true)});
is(drift('typed'), 'remove 101 205 Primary, remove 101 205 default, remove 101 207 default', 'the default type goes with the last of the others, and stays beside one that does');
is(repair('typed', 'mirror'), 'archive_labels 101 205 HUBSPOT_DEFINED {1}, archive_labels 101 205 HUBSPOT_DEFINED {279}, archive_labels 101 207 HUBSPOT_DEFINED {279}', '... a repair takes them away');
is(held(), '101 201: default, 101 206: default+Alpha, 101 208: default+Alpha, 102 202: Primary, 103 205: default', '... and nothing else, nor from records that are not in the table');
is(drift('typed'), '', '... then nothing differs');

# What other syncs want stays: of the same type, in a column of another table; of the pair, from
# the other side; not what is another account's
start_over();
my $second = start_simulator();
create_account($node, $second, name => 'second', rate_limit => 0, max_retries => 0);
$session->query(q{INSERT INTO links VALUES (101, 201, 'Alpha'), (102, 202, 'Beta')});
sync('links', q{label_column => 'role'});
label(101, $_, 'Alpha') foreach 205 .. 208;
$session->query("INSERT INTO typed VALUES (101, 205, $type{Alpha}), (101, 206, $type{Beta})");
$session->query(q{SELECT hs_assoc_enable_sync('typed', 'contacts', 'f', 'companies', 't', type_id_column => 'type', category => 'USER_DEFINED')});
$session->query(q{INSERT INTO others VALUES ('207', '101'); SELECT hs_assoc_enable_sync('others', 'companies', 't', 'contacts', 'f')});
$session->query(q{CREATE TABLE apart (f int, t int, UNIQUE (f, t)); INSERT INTO apart VALUES (101, 208);
	SELECT hs_assoc_enable_sync('apart', 'contacts', 'f', 'companies', 't', label => 'Alpha', server => 'second')});
is(drift('links'), 'remove 101 206 Alpha, remove 101 208 Alpha', 'what no other sync of the account wants');
is(drift('typed'), 'remove 101 206 Alpha, remove 101 208 Alpha, add 101 206 Beta', '... nor what these want of each other\'s');

# Nothing goes if it is not known what another sync wants
my $other = start_session($node);
$other->query('BEGIN; LOCK TABLE others IN ACCESS EXCLUSIVE MODE');
is(drift('links'), '', 'if its table is locked');
$other->query('ROLLBACK');
is(drift('links'), 'remove 101 206 Alpha, remove 101 208 Alpha', '... until it no longer is');
my @triggers = split /\n/, $session->query(q{SELECT evtname FROM pg_event_trigger WHERE evtname LIKE 'hs_assoc%'});
$session->query("ALTER EVENT TRIGGER $_ DISABLE") foreach @triggers;
$session->query('ALTER TABLE others RENAME COLUMN f TO g');
is(drift('links'), '', 'if a column of its table is not there, since nobody has noticed that it was renamed');
$session->query('DROP TABLE others');
is(drift('links'), '', '... or the table');
$session->query("ALTER EVENT TRIGGER $_ ENABLE ALWAYS") foreach @triggers;
$session->query(q{CREATE TABLE others (t text, f text, UNIQUE (t, f)); DELETE FROM hs_assoc_sync_config AS c WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = c.link_table)});
is(drift('links'), 'remove 101 206 Alpha, remove 101 207 Alpha, remove 101 208 Alpha', '... until it is forgotten');

# Nor if the records' names are not known by which another table has them
$hubspot->put_records(contacts => [ { id => 101, properties => { email => 'c1@example.com' } } ]);
$session->query(q{INSERT INTO others VALUES ('206', 'c1@example.com'); SELECT hs_assoc_enable_sync('others', 'companies', 't', 'contacts:email', 'f')});
$hubspot->rules({ match => { path => 'objects/.*contacts/batch/read' }, action => { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'no' } } });
is(drift('links'), '', 'if names of records cannot be looked up');
$hubspot->clear_rules;
is(drift('links'), 'remove 101 207 Alpha, remove 101 208 Alpha', '... until they can');

# Two accounts, each with its own
start_over();
$second->reset;
$session->query(q{INSERT INTO links VALUES (101, 201), (102, 202), (103, 203);
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', backfill => true, server => s) FROM unnest('{second,hubspot}'::name[]) s});
$session->query('CALL hs_assoc_flush()');
$session->query(q{SELECT hs_assoc_archive('contacts', 101, 'companies', 201, server => 'hubspot'), hs_assoc_archive('contacts', 102, 'companies', 202, server => 'second')});
is($session->query(q{SELECT server, action, from_id FROM hs_assoc_drift('links') d JOIN hs_assoc_sync s ON s.id = d.sync ORDER BY change_no}), "second|create|102\nhubspot|create|101", 'both differ');
is($session->query(q{SELECT hs_assoc_repair('links')}), 2, 'a repair of both');
is($session->query(q{SELECT server, from_id FROM hs_assoc_outbox ORDER BY 1}), "hubspot|101
second|102", '... each with its own');
$session->query('CALL hs_assoc_flush()');
is(drift('links'), '', '... then nothing differs');

# Two dead letters of one pair are one difference, and no repair tries that again
$hubspot->rules({ match => { path => 'associate/default' }, action => { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No such company' } } });
$session->query(q{INSERT INTO links VALUES (101, 299); CALL hs_assoc_flush(); UPDATE links SET t = 298 WHERE t = 299; UPDATE links SET t = 299 WHERE t = 298; CALL hs_assoc_flush()});
$hubspot->clear_rules;
$session->query(q{SELECT hs_assoc_archive('contacts', 103, 'companies', 203, server => 'hubspot')});
is($session->query(q{SELECT count(*), count(DISTINCT to_id) FROM hs_assoc_dead_letter WHERE server = 'hubspot'}), '2|1', 'two dead letters of one pair');
is($session->query(q{SELECT action, from_id, to_id FROM hs_assoc_drift('links') d JOIN hs_assoc_sync s ON s.id = d.sync WHERE server = 'hubspot' ORDER BY change_no}), "dead|101|299\ncreate|103|203", '... are one difference, and the next one is its own');
is($session->query(q{SELECT hs_assoc_repair('links')}), 1, '... and a repair does not try it again');

$other->quit;
$session->quit;
done_testing();
