
# The outbox, while it looks for the rows that HubSpot refuses without a name:
# what is found is kept, and other rows of the account have their turn.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node('max_worker_processes' => 16);
my $hubspot = start_simulator();

my $count = 280;
create_account($node, $hubspot, max_retries => 0, rate_limit => 0, concurrency => 1);
create_account($node, $hubspot, max_retries => 0, rate_limit => 0, concurrency => 2, batch_size => $count / 2, name => 'two');
my $session = start_session($node);
my $other = start_session($node);

my @bad = grep { $_ % 2 } 1 .. $count;

# Every second contact is missing, and each answer takes its time.
sub prepare
{
	my ($server) = @_;
	$hubspot->reset;
	$hubspot->objects({ type => 'contacts', missing => [ map { '' . (1000 + $_) } @bad ] });
	$hubspot->settings({ bad_batch => 'unnamed', latency_ms => 60 });
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter');
	$session->query(qq{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
		'SELECT 1000 + i AS from_id, 9000 + i AS to_id FROM generate_series(1, $count) AS i', server => '@{[ $server // 'hubspot' ]}')});
	return;
}

sub left { return $other->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE from_type = 'contacts'}) }
sub dead { return $other->query('SELECT count(*) FROM hs_assoc_dead_letter') }

# A sender that is ended in the midst has recorded what it has found.
prepare();
$session->send('CALL hs_assoc_flush()');
wait_until(sub { dead() >= 10 });
$session->cancel;
$session->finish;
{
	my $left = left();
	my $dead = dead();

	cmp_ok($left, '>', $count / 4, "ended: $left rows are left");
	cmp_ok($dead, '>=', 10, "ended: $dead were refused");
	cmp_ok($count - $left - $dead, '>=', 5, 'ended: and others done');
	is($other->query('SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id::bigint % 2 = 0'), 0, 'ended: all of them are bad');
}

# Other rows that come meanwhile are sent before all is found.
prepare();
my $start = time;
$session->send('CALL hs_assoc_flush()');
wait_until(sub { dead() >= 1 });
$other->query(q{SELECT hs_assoc_enqueue('create_default', 'deals', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')});
wait_until(sub { $hubspot->association_count('deals', 'companies') == 1 });
my $took = time - $start;
cmp_ok(left(), '>', 0, sprintf 'another lane: sent after %.1f s, while others are left', $took);
cmp_ok($took, '<', patience(25), 'another lane: it did not take long');
like($other->query(q{SELECT string_agg(DISTINCT concat_ws(' ', attempts, error_category, error_message), ';')
	FROM hs_assoc_outbox WHERE from_type = 'contacts' AND error_category IS NOT NULL}),
	qr/^0 NOT_SENT put off, to let others go first: [^;]*$/, 'those that are left were not charged');
$session->finish;

# In one round, each row is done, refused or put off: also what is in flight at that time.
prepare();
$session->query("CALL hs_assoc_flush($count)");
cmp_ok(left(), '>', 0, 'one round: not all is found');
is($other->query(q{SELECT count(*) FROM hs_assoc_outbox WHERE error_category IS DISTINCT FROM 'NOT_SENT'}), 0,
	'one round: all that are left are put off');

# What is refused for the first time only then is not taken apart any more.
prepare('two');
$hubspot->rules({ match => { id => '' . (1000 + $count), first => 1 }, action => { delay_ms => 12_000, status => 400,
	body => { category => 'VALIDATION_ERROR', message => 'No.' } } });
$session->query("CALL hs_assoc_flush($count, 'two')");
is($other->query("SELECT count(*), count(*) FILTER (WHERE error_category = 'NOT_SENT') FROM hs_assoc_outbox
	WHERE from_id::bigint > 1000 + $count / 2"), join('|', ($count / 2) x 2), 'refused later: its rows are put off');
is($other->query("SELECT count(*) > 0 FROM hs_assoc_dead_letter WHERE from_id::bigint <= 1000 + $count / 2"), 't', 'refused later: others were found');
is($other->query("SELECT count(*) FROM hs_assoc_outbox WHERE from_id::bigint <= 1000 + $count / 2 AND error_category IS DISTINCT FROM 'NOT_SENT'"), 0,
	'refused later: and those that are left are put off');

# Those that were put off are not due at the end of that.
prepare();
wait_until(sub {
	$other->query('CALL hs_assoc_flush()');
	left() == 0;
});
is(dead(), scalar @bad, 'in the end: all bad rows are dead letters');
is($other->query('SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id::bigint % 2 = 0'), 0, 'in the end: and no others');
is($hubspot->association_count('contacts', 'companies'), $count - @bad, 'in the end: the others are done');

$_->quit foreach $session, $other;
done_testing();
