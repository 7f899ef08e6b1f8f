# Repairs that are not to happen: by whom, where, how much, and what becomes of one that is
# killed, or goes on for long when it is done.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_node(shared_preload_libraries => 'hubspot_assoc');
my $hubspot = start_simulator(latency => 2);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);

sub associate { return $hubspot->put_associations('contacts', 'companies', $_[0]) }
sub held { return join ' ', map { "$_->{from_id},$_->{to_id}" } @{ $hubspot->associations('contacts', 'companies') } }
sub drain { return wait_for_empty_outbox($session) }
sub waiting { return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_id, to_id, link_table, id < 0), ', ' ORDER BY operation, from_id), 'nothing') FROM hs_assoc_outbox}) }

sub error
{
	my ($sql, $node_) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $sql);
	return $err =~ s/^psql:.*?: //mr;
}

$session->query(q{SET client_min_messages = error;
	CREATE TABLE links (f int, t int, UNIQUE (f, t)) PARTITION BY LIST (t);
	CREATE TABLE links1 PARTITION OF links FOR VALUES IN (201, 202, 203, 204);
	CREATE TABLE links2 PARTITION OF links DEFAULT;
	INSERT INTO links SELECT 100 + i, 200 + i FROM generate_series(1, 8) i;
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'companies', 't', backfill => true)});
drain();

# The modes, and the guard
$session->query('SELECT hs_assoc_pause()');
my @others = map { [ 101, 210 + $_ ] } 1 .. 3;
associate(\@others);
$session->query(q{SELECT hs_assoc_archive('contacts', 102, 'companies', 202)});
is($session->query(q{SELECT hs_assoc_repair('links')}), 1, 'a repair adds');
is(waiting(), 'create_default 102 202 links t', 'what is missing, on behalf of the table, before all others');
is($session->query(q{SELECT hs_assoc_repair('links')}), 0, 'and not twice');
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror')}), 3, 'or removes as well');
$session->query('SELECT hs_assoc_resume()');
drain();
is(held(), join(' ', map { "10$_,20$_" } 1 .. 8), 'the table is what HubSpot holds');
associate([ map { [ 101, 210 + $_ ] } 1 .. 12 ]);
like(error(q{SELECT hs_assoc_repair('links', mode => 'mirror')}), qr/the plan removes 12 associations.*at most half of the 20.*hs_assoc_drift/s, 'not more than half');
like(error(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 11)}), qr/Argument max_removals allows 11/, 'nor more than is said');
is(waiting(), 'nothing', 'then nothing is enqueued');
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 12)}), 12, 'but that many');
drain();

# Where
like(error(q{BEGIN; SELECT hs_assoc_repair('links')}), qr/cannot run inside a transaction block/, 'not in a transaction block');
like(error(q{SET default_transaction_isolation = 'repeatable read'; SELECT hs_assoc_repair('links')}), qr/in a transaction that is REPEATABLE READ/, 'nor under REPEATABLE READ');
like(error(q{SET default_transaction_isolation = serializable; SELECT hs_assoc_repair('links')}), qr/SERIALIZABLE/, 'nor SERIALIZABLE');
like(error(q{SELECT hs_assoc_repair('links1')}), qr/table "links1" is not kept in sync.*name the whole table "links"/s, 'nor for a partition');
like(error(q{SELECT hs_assoc_repair('links', mode => 'all')}), qr/invalid value for argument "mode": "all"/, 'nor in another mode');
like(error(q{SELECT hs_assoc_repair('links', max_removals => -1)}), qr/invalid value for argument "max_removals"/, 'nor with a negative number');

# By whom
$session->query(q{CREATE ROLE owner1; CREATE ROLE owner2; GRANT CREATE ON SCHEMA public TO owner1, owner2; GRANT USAGE ON FOREIGN SERVER hubspot TO owner1, owner2;
	SET ROLE owner1; CREATE TABLE theirs (f int, t int, UNIQUE (f, t)); SELECT hs_assoc_enable_sync('theirs', 'contacts', 'f', 'companies', 't'); RESET ROLE;
	ALTER TABLE theirs OWNER TO owner2});
like(error(q{SET ROLE owner1; SELECT hs_assoc_repair('theirs')}), qr/must be owner of table theirs/, 'not by who owned the table');
like(error(q{SET ROLE owner2; SELECT hs_assoc_repair('theirs')}), qr/permission denied for sync \d+.*login of role "owner1"/s, 'nor with the login of somebody else');
$session->query('GRANT owner1 TO owner2');
is($session->query(q{SET ROLE owner2; SELECT hs_assoc_repair('theirs'); RESET ROLE}), 0, 'but of a role that one is a member of');
$session->query(q{REVOKE USAGE ON FOREIGN SERVER hubspot FROM owner1});
like(error(q{SET ROLE owner2; SELECT hs_assoc_repair('theirs')}), qr/could not use server "hubspot" for the role of sync \d+/, 'unless that may not use the server');

# What another session writes and has not committed
$session->query('SELECT hs_assoc_pause()');
associate([ [ 103, 209 ] ]);
my $other = start_session($node);
$other->query('BEGIN; INSERT INTO links VALUES (103, 209); DELETE FROM links WHERE f = 104');
$session->query(q{SELECT hs_assoc_archive('contacts', 104, 'companies', 204)});
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror')}), 2, 'a repair does not see it');
$other->query('COMMIT');
$session->query('SELECT hs_assoc_resume()');
drain();
is(held(), '101,201 102,202 103,203 103,209 105,205 106,206 107,207 108,208', 'and yet it wins');

# A record that has no key, and what another one may be called
$hubspot->put_records(contacts => [ map { { id => $_, properties => { email => "c$_\@example.com" } } } 301, 302 ]);
$hubspot->put_records(companies => [ { id => 401, properties => { domain => 'd401.example' } }, { id => 402, properties => {} } ]);
$session->query(q{CREATE TABLE leads (email text, domain text, UNIQUE (email, domain)); INSERT INTO leads VALUES ('c301@example.com', 'd401.example');
	SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain', backfill => true)});
drain();
associate([ [ 301, 402 ] ]);
is($session->query(q{SELECT string_agg(concat_ws(' ', action, from_record, to_record), ', ') FROM hs_assoc_drift('leads')}), 'archive 301 402', 'a record without a key is in no table');
$session->query(q{SELECT hs_assoc_repair('leads', mode => 'mirror', max_removals => 1)});
drain();
is($session->query(q{SELECT count(*) FROM hs_assoc_drift('leads')}), 0, 'and put right by its id');
$hubspot->delete_records(companies => [402]) if $hubspot->can('delete_records');

# DDL meanwhile
$session->query(q{ALTER TABLE links RENAME COLUMN t TO company; ALTER TABLE links DETACH PARTITION links2});
drain();
is($session->query(q{SELECT count(*) FROM hs_assoc_drift('links')}), 0, 'a column with another name, a partition that has gone');

# Who locks a table of their own stops nobody
$session->query(q{SELECT hs_assoc_disable_sync('leads')});
$session->query(q{GRANT USAGE ON FOREIGN SERVER hubspot TO owner1; SET ROLE owner1; CREATE TABLE locked (c int, f int, UNIQUE (c, f)) PARTITION BY LIST (c);
	CREATE TABLE locked1 PARTITION OF locked DEFAULT; INSERT INTO locked VALUES (209, 102);
	SELECT hs_assoc_enable_sync('locked', 'companies', 'c', 'contacts', 'f'); RESET ROLE});
associate([ [ 101, 208 ], [ 102, 209 ] ]);
$other->query('SET ROLE owner1; BEGIN; LOCK TABLE locked1 IN ACCESS EXCLUSIVE MODE');
is($session->query(q{SET statement_timeout = '20s'; SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 2); RESET statement_timeout}), 0, 'then nothing is removed');
$other->query('COMMIT');
is($session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id), ', ') FROM hs_assoc_drift('links')}), 'archive 101 208', 'and what it has is not, later on');
$session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 1); SELECT hs_assoc_disable_sync('locked'); DROP TABLE locked});
drain();

# Nor a sync that comes, or changes, while HubSpot is read: what it wants was not looked up
$session->query('CREATE TABLE late (f int, t int, UNIQUE (f, t)); INSERT INTO late VALUES (101, 208)');
associate([ [ 101, 208 ] ]);
foreach my $change (q{SELECT hs_assoc_enable_sync('late', 'contacts', 'f', 'companies', 't')}, 'ALTER TABLE late RENAME COLUMN t TO company',
	q{SELECT hs_assoc_disable_sync('late'), hs_assoc_enable_sync('late', 'contacts', 'f', 'companies', 'company')})
{
	$hubspot->rules({ match => { path => 'batch/read', first => 1 }, action => { hold => 1 } });
	$hubspot->clear_log;
	$session->send(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 1)});
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
	$other->query("RESET ROLE; $change");
	$hubspot->release;
	is(($session->finish)[0], 0, "$change: then nothing is removed");
	$hubspot->clear_rules;
}
is($session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id), ', ') FROM hs_assoc_drift('links')}), 'archive 102 209', 'nor later on, but what nobody has');
$session->query(q{SELECT hs_assoc_disable_sync('late'); SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 2)});
drain();

# One object type under two names
$session->query(q{CREATE TABLE cars (f int, t int, UNIQUE (f, t)); CREATE TABLE machines (LIKE cars INCLUDING ALL);
	INSERT INTO cars VALUES (101, 901); INSERT INTO machines VALUES (101, 902);
	SELECT hs_assoc_enable_sync('cars', 'contacts', 'f', '2-77', 't'); SELECT hs_assoc_enable_sync('machines', 'contacts', 'f', 'p8001_machine', 't')});
$hubspot->put_associations('contacts', '2-77', [ [ 101, 901 ], [ 101, 902 ], [ 101, 903 ] ]);
is($session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id), ', ') FROM hs_assoc_drift('cars')}), 'archive 101 903', 'what a sync has under another name of the object type stays');
$session->query(q{SELECT hs_assoc_disable_sync('cars'); SELECT hs_assoc_disable_sync('machines')});

# Killed at any moment, a repair has enqueued all or nothing, and nobody is kept from sending
my ($killed, $repaired) = (0, 0);
$session->query('SELECT hs_assoc_repair(\'links\')');
drain();
$session->query(q{INSERT INTO links SELECT 100 + i, 201 FROM generate_series(2, 60) i ON CONFLICT DO NOTHING});
drain();
my $links = $session->query('SELECT count(*) FROM links');
foreach my $i (1 .. 20)
{
	my $victim = start_session($node);

	$session->query(q{SELECT count(*) FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT f AS from_id, company AS to_id FROM links WHERE f > 110')});
	$victim->send(q{SELECT hs_assoc_repair('links', mode => 'mirror')});
	usleep(int(rand(40_000)));
	if ($i % 3 == 0)
	{
		$session->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'});
	}
	else
	{
		$session->query("SELECT pg_terminate_backend(@{[ $victim->pid ]})");
		$killed++;
	}
	eval { $victim->finish };
	my $waits = $session->query('SELECT count(*) FROM hs_assoc_outbox WHERE id < 0');
	fail("part of a repair: $waits") if $i % 3 && $waits % ($links - 9) != 0 && $waits > $links;
	drain() or fail('the outbox is not sent');
	$session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror')});
	drain();
	$repaired++ if $session->query(q{SELECT count(*) FROM hs_assoc_drift('links')}) == 0;
}
is($repaired, 20, "$killed repairs were killed, and then the next one has put all right");
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing was refused');

# A statement that goes on after a repair keeps others' rows from being sent; not for long.
$session->query(q{SELECT hs_assoc_resume()});
associate([ [ 101, 290 ] ]);
{
	my $holder = start_session($node);
	$holder->send(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 1000), pg_sleep(3600)});
	wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) == 1 });
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 102 AS from_id, 202 AS to_id')});
	my $start = time;
	wait_for_empty_outbox($session, patience(30));
	cmp_ok(time - $start, '<', patience(20), 'rows of others wait for its end');
	like(($holder->finish)[1], qr/57P01|server closed the connection/, '... which has come');
	like(slurp_file($node->logfile), qr/a session was ended, since its transaction went on for 10 s after hs_assoc_repair/, '... and is told');
}
is($session->query(q{SELECT hs_assoc_repair('links', mode => 'mirror', max_removals => 1000) >= 1}), 't', 'nothing of it was enqueued');
like(error(q{SELECT hs_assoc_repair(t) FROM unnest('{links, leads}'::regclass[]) t}),
	qr/ERROR:  hs_assoc_repair cannot be called twice in one transaction.*until it has ended.*\\gexec/s,
	'nor are they kept waiting while a second table is read');

$_->quit foreach $session, $other;
done_testing();
