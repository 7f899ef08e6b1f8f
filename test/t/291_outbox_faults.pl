# The outbox when what it stands on goes wrong: answers that take long, the
# extension dropped while rows are on their way, workers that end with an error.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);

my $fuse = start_fuse();
my $node = start_node(
	fuse => $fuse,
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 0,
	'log_line_prefix' => '%m [%p] %q%a ');
my $hubspot = start_simulator();
my %options = (rate_limit => 0, request_timeout => '300s');
my $monitor = start_session($node);
my $sender = start_session($node);

my $next = 1;

# So many rows, of pairs that nobody has seen.
sub enqueue
{
	my ($count, $operation, $more, $server) = @_;
	my ($first, $last) = ($next, $next + $count - 1);
	$next += $count;
	$monitor->query(sprintf q{SELECT hs_assoc_enqueue('%s', 'contacts', 'companies',
		$$SELECT i AS from_id, i AS to_id%s FROM generate_series(%d, %d) i$$, server => '%s')},
		$operation // 'create_default', $more // '', $first, $last, $server // 'hubspot');
	return;
}

sub outbox { return $monitor->query('SELECT count(*) FROM hs_assoc_outbox') }
sub held { return $hubspot->association_count('contacts', 'companies') }
sub flight { return wait_until(sub { $hubspot->stats->{in_flight} > 0 }, patience(60)) }

# Answers that take so long that things can happen, the first one until it is released,
# and come in pieces, at each of which the time is looked at.
sub slow_answers
{
	my ($path) = @_;
	my %slow = (drip => { bytes => 20, interval_ms => 100 });
	$path //= '.';
	return $hubspot->rules([
		{ match => { path => $path, first => 1 }, action => { hold => 1, %slow } },
		{ match => { path => $path }, action => {%slow} } ]);
}

sub start_over
{
	$hubspot->reset;
	$monitor->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff, hs_assoc_lease, hs_assoc_doubt');
	return;
}

# A server whose token is slow to come.
sub create_oauth_account
{
	$hubspot->oauth({ client_id => 'id', client_secret => 'secret', refresh_token => 'refresh' });
	$monitor->query(qq{
		SET log_statement = none;
		CREATE SERVER slow FOREIGN DATA WRAPPER hubspot_assoc
			OPTIONS (base_url '@{[ $hubspot->url ]}', rate_limit '0', max_retries '2', max_retry_delay '1ms');
		CREATE USER MAPPING FOR PUBLIC SERVER slow OPTIONS (client_id 'id', client_secret 'secret', refresh_token 'refresh')});
	return;
}

my $label = q{, 'Primary' AS label};

#
# Answers that take long: the lease is the sender's all the time
#
create_account($node, $hubspot, %options);
slow_answers();
enqueue(3);
$sender->send('CALL hs_assoc_flush()');
flight();
$fuse->ahead(75);
$monitor->query('CALL hs_assoc_flush()');
$hubspot->release;
unlike(($sender->finish)[1], qr/ERROR|WARNING/, 'an answer that takes more than a minute: no error');
is(outbox() . '|' . held(), '0|3', 'it is taken');
is($hubspot->log_count('associate/default'), 1, 'and nobody has sent again');

# What is to be sent again, in halves, is sent.
$monitor->query(q{ALTER SERVER hubspot OPTIONS (ADD concurrency '1', ADD batch_size '2')});
start_over();
$hubspot->rules({ match => { first => 1 }, action => {
	status => 400, body => { message => 'No' }, hold => 1 } });
enqueue(2);
$sender->send('CALL hs_assoc_flush()');
flight();
$fuse->ahead(75);
$hubspot->release;
unlike(($sender->finish)[1], qr/ERROR|WARNING/, 'much time has passed: no error');
is($hubspot->log_count('associate/default'), 3, 'the halves are sent');
is(outbox() . '|' . held(), '0|2', 'the rows are where they belong');
$monitor->query(q{ALTER SERVER hubspot OPTIONS (DROP concurrency, DROP batch_size)});
start_over();

#
# The extension is dropped
#
sub drop_extension { $monitor->query('SET client_min_messages = error; DROP EXTENSION hubspot_assoc CASCADE'); return }

sub create_extension
{
	$hubspot->reset;
	create_account($node, $hubspot, %options);
	return;
}

slow_answers();
enqueue(1);
$sender->send('CALL hs_assoc_flush()');
flight();
drop_extension();
$hubspot->release;
unlike(($sender->finish)[1], qr/ERROR|WARNING/, 'dropped while rows are on their way: no error');
$_->query('SET client_min_messages = error; CREATE SCHEMA IF NOT EXISTS elsewhere; SET search_path = elsewhere, public') foreach $monitor, $sender;
$monitor->query('CREATE EXTENSION hubspot_assoc SCHEMA elsewhere');
create_extension();
enqueue(1);
$sender->query('CALL hs_assoc_flush()');
is(outbox() . '|' . held(), '0|1', 'another one, in another schema, works in the same session');

create_oauth_account();
slow_answers('/oauth/');
enqueue(1, 'create', $label, 'slow');
$sender->send(q{CALL hs_assoc_flush(server => 'slow')});
flight();
drop_extension();
$hubspot->release;
unlike(($sender->finish)[1], qr/ERROR|WARNING/, 'dropped while a token is fetched: no error');
is($hubspot->log_count('labels'), 0, 'nothing more is asked for');
create_extension();

#
# Workers that are ended, with an error: the next one comes, later each time
#
$monitor->query(q{
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE query_canceled USING MESSAGE = 'no row leaves'; END $$;
	CREATE TRIGGER refuse BEFORE DELETE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION refuse();
	ALTER SYSTEM SET hubspot_assoc.workers = 1;
	ALTER SYSTEM SET hubspot_assoc.poll_interval = '10min'});
enqueue(1);
my $seen = -s $node->logfile;
$monitor->query('SELECT pg_reload_conf()');

# When they ended, in seconds.
sub failures
{
	my $log = slurp_file($node->logfile, $seen);
	my @times;
	push @times, timegm($6, $5, $4, $3, $2 - 1, $1) + $7 / 1000
	  while $log =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)\.(\d+) .*ERROR:  no row leaves$/mg;
	return @times;
}

wait_until(sub { failures() >= 4 });
my @times = failures();
cmp_ok($times[1] - $times[0], '>=', 0.99, 'a worker has failed: the next one comes after a second');
cmp_ok($times[2] - $times[1], '>=', 1.99, 'after two');
cmp_ok($times[3] - $times[2], '>=', 3.99, 'after four');
is(outbox(), 1, 'the row is there');

# One that has worked for more than a minute begins anew, with a second, not with sixteen.
slow_answers();
my $failed = failures();
flight();
$fuse->ahead(65);
$hubspot->release;
wait_until(sub { failures() > $failed });
@times = failures();
wait_until(sub { failures() > @times });
my @later = failures();
cmp_ok($later[ scalar @times ] - $times[-1], '<', 12, 'one that had worked for long: the next one comes soon');
$monitor->query('DROP TRIGGER refuse ON hs_assoc_outbox');
wait_until(sub { outbox() == 0 }, patience(60));
pass('and the row is sent when nothing is in the way');
is(held(), 1, 'once, for HubSpot');

#
# An account that another process serves: a worker that has waited for it in vain
# ends, and one comes back, lest the rows that the other leaves be forgotten
#
sub workers { return $monitor->query(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'}) }

start_over();
wait_until(sub { workers() == 0 }, patience(60));
$hubspot->rules({ match => { first => 1 }, action => { hang => \1 } });
$monitor->query('ALTER SYSTEM SET hubspot_assoc.workers = 0');
$monitor->query('SELECT pg_reload_conf()');
enqueue(2);
$sender->send('CALL hs_assoc_flush(1)');
flight();
# of two, a new one may come whenever the other one takes long to look
$monitor->query('ALTER SYSTEM SET hubspot_assoc.workers = 1');
$monitor->query('SELECT pg_reload_conf()');
wait_until(sub { workers() == 1 }, patience(60));
pass('a worker looks at what another process sends');
wait_until(sub { workers() == 0 }, patience(60));
pass('and ends');
is(outbox(), 2, 'the rows are there');

# Two that end at the same moment: neither is the last one before the other.
$monitor->query('ALTER SYSTEM SET hubspot_assoc.workers = 2');
$monitor->query('SELECT pg_reload_conf()');
my @two;
wait_until(sub { two_wait() }, patience(180));
kill 'STOP', @two;
$fuse->ahead(10);
kill 'CONT', @two;
wait_until(sub { workers() == 0 }, patience(60));
pass('two workers have ended together');
wait_until(sub { workers() > 0 }, patience(60));
pass('and one has come back');
$sender->terminate;
$sender->finish;
wait_until(sub { outbox() == 0 }, patience(60));
is(held(), 2, 'the other process has ended: a worker has come back and sent them');

$monitor->quit;
done_testing();

# Two workers wait for the account, unless the first one had done so for long enough when the
# second one came: then they have to come again.
sub two_wait
{
	my $locker = start_session($node);
	$locker->query('BEGIN; LOCK TABLE hs_assoc_account_pause');	# a look that takes long gets company
	wait_until(
		sub {
			@two = workers_that('Lock');
			return @two == 2;
		}, patience(60));
	$locker->query('COMMIT');
	$locker->quit;
	wait_until(sub { !workers_that('Lock') }, patience(60));
	return eval { wait_until(sub { workers_that('Extension') == 2 || workers() < 2 }, patience(10)) } && workers_that('Extension') == 2;
}

sub workers_that
{
	my ($wait) = @_;
	return split /\n/, $monitor->query(qq{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker' AND wait_event_type = '$wait'});
}
