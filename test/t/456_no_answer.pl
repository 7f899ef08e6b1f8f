# What was asked beside something else and not answered says nothing of that: it is not taken
# for an answer.

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

sub outbox { return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', from_id, attempts, error_category), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox}) }
sub dead_letters { return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', from_id, error_category), ', ' ORDER BY id), 'none') FROM hs_assoc_dead_letter}) }

#
# HubSpot refuses to look up keys, and does not say which properties there are
#
my $refused = { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No' } };
$hubspot->property({ type => 'contacts', name => 'story' });
$hubspot->put_records(contacts => [ { id => '101', properties => { story => 'a' } } ]);
$hubspot->put_records(companies => [ { id => '201' } ]);
foreach my $case (
	[ 'an error', { status => 503 } ],
	[ 'a reset', { reset => 'before' } ],
	[ 'a lock', { status => 423 } ])
{
	my ($name, $action) = @$case;
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts:story', 'companies', $$SELECT 'a' AS from_id, 201 AS to_id$$)});
	$hubspot->rules([ { match => { path => 'contacts/(search|batch/read)$' }, action => $refused }, { match => { path => 'properties' }, action => $action } ]);
	$session->query('CALL hs_assoc_flush()');
	is(outbox() . '; ' . dead_letters(), 'a 1 NOT_SENT; none', "$name in place of the properties: the row waits");
	$hubspot->clear_rules;
	$session->query('SELECT hs_assoc_resume(); CALL hs_assoc_flush()');
	is(outbox() . '; ' . dead_letters(), 'empty; none', '... and is sent');
	is($hubspot->association_count('contacts', 'companies'), 1, '... which HubSpot has');
	$session->query(q{SELECT hs_assoc_archive('contacts', 101, 'companies', 201)});
}

# What it would say again counts: the refusal is that of the keys
foreach my $case ([ 'no scope', { status => 403 } ], [ 'no such object type', { status => 404, body => { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'No' } } ])
{
	my ($name, $action) = @$case;
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts:story', 'companies', $$SELECT 'a' AS from_id, 201 AS to_id$$)});
	$hubspot->rules([ { match => { path => 'contacts/(search|batch/read)$' }, action => $refused }, { match => { path => 'properties' }, action => $action } ]);
	$session->query('CALL hs_assoc_flush()');
	is(outbox() . '; ' . dead_letters(), 'empty; a NOT_SENT', "$name: the row is a dead letter");
	$hubspot->clear_rules;
	$session->query('TRUNCATE hs_assoc_dead_letter');
}

$session->quit;
done_testing();
