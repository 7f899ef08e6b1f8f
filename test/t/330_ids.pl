# Ids of the outbox that begin anew: what is kept of earlier operations stays,
# nothing of later ones is lost, and which came first is still known.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, sent_retention => '1h');
my $session = start_session($node);

sub enqueue
{
	my ($operation, @pairs) = @_;
	my $values = join ', ', map { "($_->[0], $_->[1])" } @pairs;
	return $session->query("SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies',
		'SELECT * FROM (VALUES $values) AS v (from_id, to_id)')");
}

sub letters { return $session->query(q{SELECT string_agg(from_id || '-' || to_id, ' ' ORDER BY id) FROM hs_assoc_dead_letter}) }
sub waiting { return $session->query(q{SELECT string_agg(from_id || '-' || to_id, ' ' ORDER BY id) FROM hs_assoc_outbox}) }
sub sent { return $session->query(q{SELECT string_agg(from_id || '-' || to_id, ' ' ORDER BY sent_at, id) FROM hs_assoc_sent}) }

sub refuse_all { $hubspot->rules({ match => { path => 'contacts/companies' }, action => { status => 400 } }); return }

#
# TRUNCATE ... RESTART IDENTITY
#
enqueue('create_default', [ 1, 11 ], [ 2, 12 ]);
$session->query('CALL hs_assoc_flush()');
refuse_all();
enqueue('create_default', [ 3, 13 ], [ 4, 14 ]);
$session->query('CALL hs_assoc_flush()');
is(letters(), '3-13 4-14', 'dead letters');
is(sent(), '1-11 2-12', 'and what was sent');
my $last = $session->query('SELECT max(id) FROM hs_assoc_dead_letter');
enqueue('create_default', [ 5, 15 ]);
$session->query('TRUNCATE hs_assoc_outbox RESTART IDENTITY');
enqueue('create_default', [ 6, 16 ], [ 7, 17 ]);
is($session->query("SELECT min(id) > $last FROM hs_assoc_outbox"), 't', 'ids go on after TRUNCATE ... RESTART IDENTITY');
$session->query('CALL hs_assoc_flush()');
is(letters(), '3-13 4-14 6-16 7-17', 'and no dead letter is lost');

#
# setval, or a restore of one table
#
sub begin_anew { return $session->query(q{SELECT setval('hs_assoc_outbox_id_seq', 1, false)}) }

begin_anew();
enqueue('create_default', map { [ $_, $_ + 10 ] } 21 .. 28);
$session->query('CALL hs_assoc_flush()');
is($session->query('SELECT count(*), count(DISTINCT id), count(DISTINCT from_id) FROM hs_assoc_dead_letter'), '12|12|12',
	'each dead letter has an id of its own');
is($session->query(q{SELECT count(*) FROM hs_assoc_dead_letter WHERE from_id::int > 20 AND id BETWEEN 1 AND 8}), 8, 'later ones their own');
is($session->query(q{SELECT max(id) FROM hs_assoc_dead_letter WHERE from_id::int < 20 AND id <= 8}) < 0, 1, 'earlier ones one below all others');
$hubspot->clear_rules;
begin_anew();
enqueue('create_default', [ 31, 41 ], [ 32, 42 ]);
$session->query('CALL hs_assoc_flush()');
is(sent(), '1-11 2-12 31-41 32-42', 'nothing that was sent is lost');

# A dead letter comes before the later operation that has its id.
$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter');
begin_anew();
refuse_all();
enqueue('create_default', [ 51, 61 ], [ 52, 62 ], [ 53, 63 ]);
$session->query('CALL hs_assoc_flush()');
begin_anew();
enqueue('archive', [ 71, 81 ], [ 51, 61 ]);
is($session->query('SELECT hs_assoc_retry()'), 3, 'dead letters are put back, though their ids are taken');
is(waiting(), '51-61 52-62 71-81 51-61 53-63', 'all of them, before those');
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'and none is left');
$hubspot->reset;
$session->query('CALL hs_assoc_flush()');
is($hubspot->association_table('contacts', 'companies'), "52,62,HUBSPOT_DEFINED=279\n53,63,HUBSPOT_DEFINED=279\n",
	'the later operation on a pair is the last one');

# What is kept of one that was sent is forgotten in its time, not with its namesake.
$session->query('TRUNCATE hs_assoc_sent');
begin_anew();
enqueue('create_default', [ 1, 11 ]);
$session->query('CALL hs_assoc_flush()');
$session->query(q{UPDATE hs_assoc_sent SET keep_until = now() - '1 s'::interval});
begin_anew();
enqueue('create_default', [ 2, 12 ]);
$session->query('CALL hs_assoc_flush()');
$session->query('CALL hs_assoc_flush()');
is(sent(), '2-12', 'the earlier one is forgotten alone');

done_testing();
