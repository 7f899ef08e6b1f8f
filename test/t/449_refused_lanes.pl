# HubSpot refuses an account in a round that has several lanes of it: for a look-up of labels, or
# a request of one lane. Then nothing more is sent of any, it costs no row an attempt, and all of
# them are sent later. What may be due to one lane alone stops no other.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
my $healthy = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 1);
create_account($node, $healthy, name => 'healthy', rate_limit => 0);
my $session = start_session($node);
my $next = 1;
$session->query('SELECT hs_assoc_adopt()');	# what is put into the outbox by hand is its own

# Rows of an object type, which makes them a lane of their own; each is of a new pair
sub rows
{
	my ($type, $count, $label) = @_;
	my $operation = $label ? 'create' : 'create_default';
	my $labels = $label ? "'{$label}'" : 'NULL';

	$session->query(qq{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, labels)
		SELECT 'hubspot', current_user::regrole, '$operation', '2-$type', $next + i, '2-99', $next + i, $labels FROM generate_series(1, $count) AS i});
	$next += $count;
	return;
}

sub start_over
{
	my (@rules) = @_;
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_backoff, hs_assoc_doubt, hs_assoc_lease');
	$hubspot->reset;
	$hubspot->rules([@rules]) if @rules;
	return;
}

# How many requests of each lane there were, and of look-ups
sub sent
{
	my %sent;
	foreach my $request (@{ $hubspot->log })
	{
		my ($type) = $request->{path} =~ m{/2-(\d+)/};
		$sent{ $request->{path} =~ /labels$/ ? 'labels' : $type }++;
	}
	return join ' ', map { "$_:$sent{$_}" } sort keys %sent;
}

# What is left costs nothing, and goes once HubSpot accepts the account again.
sub goes_later
{
	my ($name, $failed) = @_;
	is($session->query('SELECT sum(attempts), (SELECT count(*) FROM hs_assoc_dead_letter) FROM hs_assoc_outbox'), ($failed // 0) . '|0', "$name: no row pays for it");
	$hubspot->clear_rules;
	$session->query(q{TRUNCATE hs_assoc_backoff; UPDATE hs_assoc_outbox SET not_before = now(); CALL hs_assoc_flush()});
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and all go later');
	return;
}

sub flush { return $session->query('CALL hs_assoc_flush()') }

# A look-up of labels is refused, for the account or for the want of a scope
foreach my $case ([ 401, 'labels:1' ], [ 403, '104:1 105:1 labels:3' ])
{
	my ($status, $sent) = @$case;
	start_over({ match => { path => 'labels$' }, action => { status => $status } });
	$hubspot->put_label("2-$_", '2-99', 'Boss') foreach 101 .. 103;
	rows($_, 2, 'Boss') foreach 101 .. 103;
	rows($_, 2) foreach 104, 105;
	flush();
	is(sent(), $sent, "$status for labels: what was sent");
	is($session->query('SELECT error_message FROM hs_assoc_backoff') =~ /^could not look up the labels: /, $status == 401, '... and whether the account waits for that reason');
	goes_later("$status for labels");
}

# A request of one lane is refused, while one of another lane waits for its second attempt
sub refused_beside
{
	my ($status, %more) = @_;
	return ({ match => { path => '/2-101/' }, action => { status => $status, delay_ms => 300, %more } },
		{ match => { path => '/2-102/', first => 1 }, action => { status => 503, headers => { 'Retry-After' => '1' } } });
}

foreach my $case ([ 401, 1 ], [ 403, 2 ], [ 302, 2 ])
{
	my ($status, $requests) = @$case;
	start_over(refused_beside($status));
	rows($_, 1) foreach 101, 102;
	flush();
	is(sent(), "101:1 102:$requests", "$status in one lane: the other one had $requests");
	goes_later("$status in one lane", 2 - $requests);
}
$session->quit;

# HubSpot asks for a long pause in one lane: the only worker goes on with other accounts at once
$node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 1);
create_account($node, $hubspot, rate_limit => 0, max_retries => 1, max_retry_delay => patience(120) . 's');
create_account($node, $healthy, name => 'healthy', rate_limit => 0);
$session = start_session($node);
$session->query('SELECT hs_assoc_adopt()');
$hubspot->reset;
$hubspot->rules([ refused_beside(429, headers => { 'Retry-After' => '3600' }) ]);
$session->query('BEGIN');
rows($_, 1) foreach 101, 102;
$session->query('COMMIT');
wait_until(sub { ($session->query(q{SELECT parked_until IS NOT NULL FROM hs_assoc_throttle() WHERE server = 'hubspot'})) eq 't' });
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id', server => 'healthy')});
ok(eval { wait_until(sub { $healthy->association_count('contacts', 'companies') == 1 }, patience(40)); 1 }, '429 in one lane: other accounts have the worker at once');
is($session->query(q{SELECT sum(attempts), (SELECT count(*) FROM hs_assoc_dead_letter), (SELECT count(*) FROM hs_assoc_backoff) FROM hs_assoc_outbox}), '1|0|0', '... and the row that failed before that has an attempt');

$session->quit;
done_testing();
