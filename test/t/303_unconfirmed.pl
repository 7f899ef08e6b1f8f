# What HubSpot has not confirmed it may still do, after a later operation on the pair
# was sent and confirmed: that one is sent again when this can't happen any more.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '10ms',
	request_timeout => patience(2500) . 'ms');
my $session = start_session($node);
my $other = start_session($node);

sub enqueue
{
	my ($operation, $id) = @_;
	$session->query(qq{SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies', 'SELECT $id AS from_id, $id AS to_id')});
	return;
}

sub flush { $session->query('DELETE FROM hs_assoc_backoff; SELECT 1'); $session->query('CALL hs_assoc_flush()'); return }

# The rows of a pair, or of all
sub outbox
{
	my $which = $_[0] ? "from_id = '$_[0]'" : 'true';
	return $session->query(qq{SELECT coalesce(string_agg(concat_ws(' ', operation, from_id), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox WHERE $which});
}

sub requests { return $hubspot->log_count("$_[0]\$") }
sub held { return join ' ', map { $_->{from_id} } @{ $hubspot->associations('contacts', 'companies') } }
my $late = patience(4500);

# The first request for the pair is worked on late, and then so many go as they should.
sub be_late
{
	my ($id, %action) = @_;
	$hubspot->rules({ match => { pair => [ "$id", "$id" ], first => 1 }, action => { late_ms => $late, %action } });
	return;
}

# Overridden by a later one, which is confirmed
be_late(1, hang => Cpanel::JSON::XS::true);
enqueue('create_default', 1);
flush();
is($session->query('SELECT attempts, error_category FROM hs_assoc_outbox'), '1|UNCONFIRMED', 'a request times out');
is($session->query('SELECT count(*) FROM hs_assoc_doubt WHERE until > now()'), 1, '... and may still be done');
enqueue('archive', 1);
flush();
is(outbox(1) . '|' . requests('batch/archive'), 'archive 1|1', 'a later operation is sent, and stays');
is($session->query(q{SELECT attempts, not_before > now() + '5 s', error_category IS NULL FROM hs_assoc_outbox}), '0|t|t', '... to be sent again, later');
flush();
is(requests('batch/archive'), 1, '... but not before');

# Sent again and confirmed: the row itself needs nothing more, but what comes later does
be_late(2, hang => Cpanel::JSON::XS::true);
enqueue('create_default', 2);
flush();
$session->query(q{UPDATE hs_assoc_outbox SET not_before = now() WHERE from_id = '2'});
flush();
is(outbox(2), 'empty', 'the same row, confirmed by another attempt: done');
enqueue('archive', 2);
flush();
is(outbox(2), 'archive 2', '... a later one stays');

# Confirmed by another attempt of the same call
$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_retries '1')});
be_late(3, status => 503);
enqueue('create_default', 3);
flush();
is(outbox(3), 'empty', 'confirmed after a retry within the call: done');
enqueue('archive', 3);
flush();
is(outbox(3), 'archive 3', '... a later one stays');
$session->query(q{ALTER SERVER hubspot OPTIONS (SET max_retries '0')});

# Confirmed after libcurl has sent it again by itself, since a kept connection has ended
be_late(8, close => 'before');
$hubspot->clear_log;
enqueue('create_default', 8);
flush();
is(outbox(8) . '|' . requests('associate/default'), 'empty|2', 'confirmed after a kept connection has ended: done');
enqueue('archive', 8);
flush();
is(outbox(8), 'archive 8', '... a later one stays');

# Given up
$session->query(q{ALTER SERVER hubspot OPTIONS (ADD max_attempts '1')});
be_late(4, hang => Cpanel::JSON::XS::true);
enqueue('create_default', 4);
flush();
is($session->query('SELECT from_id, error_category FROM hs_assoc_dead_letter'), '4|UNCONFIRMED', 'given up');
$session->query(q{ALTER SERVER hubspot OPTIONS (DROP max_attempts)});
enqueue('archive', 4);
flush();
is(outbox(4), 'archive 4', '... a later one stays');

# The process ends
$session->query(q{ALTER SERVER hubspot OPTIONS (SET request_timeout '60s')});
be_late(5, hang => Cpanel::JSON::XS::true, late_ms => patience(4500));
enqueue('create_default', 5);
$other->send('CALL hs_assoc_flush()');
wait_until(sub { $hubspot->stats->{in_flight} > 0 });
is($session->query('SELECT sending::text, may_act_for FROM hs_assoc_lease'), $session->query(q{SELECT '{[' || id || ',' || id + 1 || ')}' FROM hs_assoc_outbox WHERE from_id = '5'}) . '|00:01:10',
	'in flight: the table of leases tells which rows');
$session->query(sprintf q{UPDATE hs_assoc_lease SET may_act_for = '%ds'}, patience(9));
$other->terminate;
$other->finish;
$session->query(sprintf q{ALTER SERVER hubspot OPTIONS (SET request_timeout '%dms')}, patience(2500));
enqueue('archive', 5);
flush();
is(outbox(5), 'archive 5', 'a process ends: later operations of what it sent stay');

# Others are not concerned
enqueue($_ % 2 ? 'create_default' : 'archive', 6) foreach 1 .. 3;
flush();
is(outbox(6), 'empty', 'another pair is done at once');

# HubSpot does it
wait_until(sub { held() =~ /5/ });
pass('HubSpot works on what was sent first');
$session->query(q{DELETE FROM hs_assoc_dead_letter});
wait_until(sub { flush(); outbox() eq 'empty' });
is(held(), '6', 'all is as it was last wanted');
enqueue('create_default', 7);
flush();
is($session->query('SELECT count(*) FROM hs_assoc_doubt'), 0, 'nothing is remembered for longer than it takes');

done_testing();
