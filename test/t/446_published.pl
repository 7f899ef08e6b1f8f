# A database that publishes all of its tables sends as ever; and one whose outbox a subscription
# fills, as FOR ALL TABLES does, sends nothing of it: not if it has the same OID as the one that
# it comes from, nor if it sends something of its own, nor if only later changes come, nor when
# the subscription is gone.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $hubspot = start_simulator();
my %settings = (shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 2, 'hubspot_assoc.poll_interval' => '100ms', replication_settings());

# A server whose files are not those of a template, that has the account
sub new_node
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--no-locale', '-E', 'UTF8' ]);
	$node->append_conf('postgresql.conf', "$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->start;
	create_account($node, $hubspot, rate_limit => 0);
	return $node;
}

my %node = map { $_ => new_node($_) } qw(blue green);
my %session = map { $_ => start_session($node{$_}) } keys %node;
my ($blue, $green) = @session{qw(blue green)};
is($blue->query('SELECT oid FROM pg_database WHERE datname = current_database()'), $green->query('SELECT oid FROM pg_database WHERE datname = current_database()'),
	'the databases of two servers have the same OID');
# ... and were not made in the same second
my $version = $node{green}->data_dir . '/base/' . $green->query('SELECT oid FROM pg_database WHERE datname = current_database()') . '/PG_VERSION';
utime 1, 1, $version or die "$version: $!";

# Subscribes green to blue, to whatever the publication has.
sub follow
{
	my ($publication, $options) = @_;
	my $connection = $node{blue}->connstr('postgres');
	$blue->query("CREATE PUBLICATION p $publication");
	$green->query("CREATE SUBSCRIPTION s CONNECTION \$\$$connection\$\$ PUBLICATION p" . ($options ? " WITH ($options)" : ''));
	wait_until_copied($green);
	return;
}
sub end_following { $green->query('DROP SUBSCRIPTION s'); $blue->query('DROP PUBLICATION p'); return }

# The pairs that are created from such records, of what HubSpot was sent
sub sent
{
	my @ids = map { $_->{body} =~ /"from":\{"id":"(\d+)"/g } grep { $_->{path} =~ /batch/ } @{ $hubspot->log };
	return join ' ', sort { $a <=> $b } @ids;
}
sub set_workers
{
	my ($count) = @_;
	$green->query("ALTER SYSTEM SET hubspot_assoc.workers = $count");
	$green->query('SELECT pg_reload_conf()');
	return wait_until(sub { $green->query('SHOW hubspot_assoc.workers') == $count && ($count > 0 || $green->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) == 0) });
}
sub waiting { return $_[0]->query('SELECT string_agg(from_id, $$ $$ ORDER BY from_id::int) FROM hs_assoc_outbox') }
sub enqueue { return $_[0]->query(sprintf q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT %d AS from_id, 1 AS to_id')}, $_[1]) }

# Green has that waiting, and nothing of it is sent, though workers look and it is asked for.
sub is_held
{
	my ($waiting, $reason, $name) = @_;
	wait_until(sub { waiting($green) eq $waiting });
	like($green->query('SELECT hs_assoc_held()'), $reason, "$name: held");
	like($green->told('CALL hs_assoc_flush()'), qr/WARNING:  01000: nothing is sent from this database until hs_assoc_adopt is called\n/, '... as a flush says');
	like($green->told(q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 1)}), qr/ERROR:  55000: nothing is sent from this database/, '... and what would be sent at once is an ERROR');
	is(waiting($green), $waiting, '... it waits still');
	is(sent(), '', '... and nothing was sent');
	return;
}

# Blue has something waiting, and its account is paused so that it stays there.
$blue->query('SELECT hs_assoc_pause()');
enqueue($blue, $_) foreach 1, 2;

# Nobody looks as long as there is the subscription
set_workers(0);
follow('FOR ALL TABLES');
end_following();
is($green->query('SELECT hs_assoc_held(), count(*) FROM hs_assoc_identity'), 'What this database keeps was restored from a dump of another database.|0',
	'what a subscription has brought is of another database, though that has the same OID');
is($green->query(q{SELECT hs_assoc_adopt('discard'); DELETE FROM hs_assoc_identity; DELETE FROM hs_assoc_origin; DELETE FROM hs_assoc_account_pause}), 2, '... until it is adopted');
set_workers(2);

# Green is empty
follow('FOR ALL TABLES');
$green->query('DELETE FROM hs_assoc_account_pause');
is_held('1 2', qr/subscription|dump of another database/, 'all tables');
enqueue($blue, 3);
is_held('1 2 3', qr/subscription|dump of another database/, '... and what comes later');
like($green->told(q{SELECT hs_assoc_adopt('send')}), qr/ERROR:  55000: /, '... nor can it be adopted');
end_following();
is_held('1 2 3', qr/subscription|dump of another database/, '... and when the subscription is gone');
is($green->query(q{SELECT hs_assoc_adopt('discard')}), 3, '... until it is adopted');
enqueue($green, 10);
wait_until(sub { waiting($green) eq '' });
is(sent(), 10, '... and then sends its own');
$hubspot->clear_log;

# Green sends, and later changes alone come
$blue->query('TRUNCATE hs_assoc_outbox');
follow('FOR ALL TABLES', 'copy_data = false');
enqueue($blue, 20);
is_held('20', qr/subscription/, 'later changes of all tables');
end_following();
is_held('20', qr/subscription|dump of another database/, '... and when the subscription is gone');
is($green->query(q{SELECT hs_assoc_adopt('discard')}), 1, '... until it is adopted');

# The outbox alone
$blue->query('TRUNCATE hs_assoc_outbox');
enqueue($blue, 30);
follow('FOR TABLE hs_assoc_outbox');
is_held('30', qr/subscription/, 'the outbox alone');
end_following();
is($green->query(q{SELECT hs_assoc_adopt('send')}), 1, 'what came is sent, if that is said');
wait_until(sub { waiting($green) eq '' });
is(sent(), 30, '... and it is');
$hubspot->clear_log;

# Where other tables alone are subscribed to, nothing is held; and what is enqueued first in a
# process that applies changes makes the database one that sends
$_->query('CREATE TABLE links (a int PRIMARY KEY, b int)') foreach $blue, $green;
$green->query(q{
	CREATE FUNCTION enqueue() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
	BEGIN
		PERFORM hs_assoc_enqueue('create_default', 'contacts', 'companies', format('SELECT %s AS from_id, %s AS to_id', NEW.a, NEW.b));
		RETURN NULL;
	END $$;
	CREATE TRIGGER enqueue AFTER INSERT ON links FOR EACH ROW EXECUTE FUNCTION enqueue();
	ALTER TABLE links ENABLE REPLICA TRIGGER enqueue;
	BEGIN;
	DELETE FROM hs_assoc_identity;
	DELETE FROM hs_assoc_origin;
	COMMIT});
follow('FOR TABLE links');
$blue->query('INSERT INTO links VALUES (40, 1)');
wait_until(sub { sent() eq '40' });
is($green->query('SELECT hs_assoc_held(), count(*) FROM hs_assoc_identity'), '|1', 'a subscription to other tables holds nothing');

# ... nor does somebody's who may not write to the outbox
$green->query('CREATE ROLE follower SUPERUSER; ALTER SUBSCRIPTION s OWNER TO follower');
$green->query('ALTER SUBSCRIPTION s SET (password_required = false)') if $node{green}->pg_version >= 16;
$green->query('ALTER ROLE follower NOSUPERUSER');
$blue->query('ALTER PUBLICATION p ADD TABLE hs_assoc_outbox');
$green->query('ALTER SUBSCRIPTION s REFRESH PUBLICATION WITH (copy_data = false)');
is($green->query(q{SELECT hs_assoc_held(), 'hs_assoc_outbox'::regclass IN (SELECT srrelid FROM pg_subscription_rel)}), '|t', 'nor does that of a role which may not write to the outbox');
$green->query('ALTER ROLE follower SUPERUSER');
like($green->query('SELECT hs_assoc_held()'), qr/subscription/, '... until it may');
end_following();

#
# A database that publishes all of its tables sends as ever: PostgreSQL refuses to delete rows
# from a published table in which none can be told from another
#
is($blue->query(q{SELECT string_agg(relname, ', ') FROM pg_class AS c
	WHERE relkind = 'r' AND relname LIKE 'hs\_assoc\_%' AND relreplident <> 'f'
	AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)}), '', 'each table has a key, or is identified by all of its columns');
# as after a restart, senders delete the clock's old readings
$blue->query('CREATE PUBLICATION everything FOR ALL TABLES; TRUNCATE hs_assoc_outbox, hs_assoc_clock; SELECT hs_assoc_resume()');
$hubspot->clear_log;
enqueue($blue, $_) foreach 90 .. 92;
wait_until(sub { waiting($blue) eq '' });
is(sent(), '90 91 92', 'what is enqueued is sent');

done_testing();
