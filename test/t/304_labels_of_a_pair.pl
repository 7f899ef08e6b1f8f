# Labels of one pair that come, or go, one after the other are sent together, and
# each row is settled by itself.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;
use Time::HiRes qw(time);

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0);
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, sent_retention => '1h');
my $session = start_session($node);
my @labels = map { "Label $_" } 1 .. 10;
my $id = 0;					# each time other pairs, which have not been sent yet

sub flush { $session->query('CALL hs_assoc_flush()'); return }
sub outbox { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }

sub labels
{
	return $session->query(qq{SELECT coalesce(string_agg(label, ', ' ORDER BY length(label), label), '')
		FROM hs_assoc_batch_read('contacts', 'companies', '{$id}'::text[]) WHERE label LIKE 'Label %'});
}

# The writing requests since the last look: what, and how many inputs
sub requests
{
	my @requests = map { $_->{path} =~ m{/(batch/(?!read).*)$} ? "$1 $_->{inputs}" : () } @{ $hubspot->log };
	$hubspot->clear_log;
	return join ', ', @requests;
}

sub start_over
{
	$id += 10;
	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff');
	$hubspot->reset;
	$session->query(qq{SELECT hs_assoc_label_create('contacts', 'companies', '$_', lower(replace('$_', ' ', '_')))}) foreach @labels;
	$hubspot->clear_log;
	return;
}

sub enqueue
{
	my ($operation, $pair, @labels) = @_;
	my $values = join ', ', map { "('$pair->[0]', '$pair->[1]', '$_')" } @labels;
	my $keep = $operation eq 'create' ? 'true' : 'false';
	$session->query(qq{SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies',
		\$\$SELECT * FROM (VALUES $values) AS pairs (from_id, to_id, label)\$\$, keep_labels => $keep)});
	return;
}

start_over();
$session->query(q{
	CREATE TABLE roles (contact_id int, company_id int, role text, PRIMARY KEY (contact_id, company_id, role));
	SELECT hs_assoc_enable_sync('roles', 'contacts', 'contact_id', 'companies', 'company_id', label_column => 'role')});
my $start = time;
$session->query(qq{INSERT INTO roles SELECT $id, 11, 'Label ' || i FROM generate_series(1, 10) AS i});
flush();
cmp_ok(time - $start, '<', patience(3), 'ten labels by one INSERT: sent at once');
is(requests(), 'batch/create 1', '... in one request');
is(labels(), join(', ', @labels), '... all of them');
is($session->query('SELECT count(*) FROM hs_assoc_sent') . outbox(), '100', '... each row is settled');

$start = time;
$session->query(q{DELETE FROM roles WHERE role NOT IN ('Label 3', 'Label 4')});
flush();
cmp_ok(time - $start, '<', patience(3), 'eight go again: at once');
like(requests(), qr{^batch/labels/archive \d+$}, '... in one request');
is(labels(), 'Label 3, Label 4', '... these alone');

# In their order: what is of another kind waits
start_over();
enqueue('create', [ $id, 11 ], @labels[ 0 .. 4 ]);
enqueue('archive_labels', [ $id, 11 ], @labels[ 1, 2 ]);
enqueue('create', [ $id, 11 ], $labels[2], $labels[7]);
enqueue('create', [ $id + 1, 11 ], @labels[ 0, 1 ]);
flush();
like(requests(), qr{^batch/create 2, batch/labels/archive \d, batch/create 1$}, 'come, go, come: in order');
is(labels(), 'Label 1, Label 3, Label 4, Label 5, Label 8', '... to the same end');
is(outbox(), 0, '... all are settled');

# A row that is locked holds up those behind it, of its pair
start_over();
enqueue('create', [ $id, 11 ], @labels);
my $locker = start_session($node);
$locker->query(q{BEGIN; SELECT FROM hs_assoc_outbox WHERE labels = '{Label 4}' FOR UPDATE});
flush();
is(requests() . '|' . outbox(), 'batch/create 1|7', 'one is locked: those before it are sent');
$locker->query('ROLLBACK');
$session->query('UPDATE hs_assoc_outbox SET not_before = now()');
flush();
is(labels() . '|' . outbox(), join(', ', @labels) . '|0', '... and the others later');

# One that there isn't, and one that HubSpot refuses, cost the others nothing
start_over();
enqueue('create', [ $id, 11 ], @labels[ 0, 1 ], 'Nobody', @labels[ 2, 3 ]);
flush();
is(labels(), 'Label 1, Label 2, Label 3, Label 4', 'a label that there is not: the others are sent');
is($session->query('SELECT labels, error_category FROM hs_assoc_dead_letter'), '{Nobody}|INVALID_INPUT', '... and it is a dead letter');
start_over();
$session->query(qq{SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
	\$\$SELECT $id AS from_id, 11 AS to_id, CASE WHEN i = 3 THEN 99999 END AS type_id,
		CASE WHEN i <> 3 THEN 'Label ' || i END AS label, 'USER_DEFINED' AS category FROM generate_series(1, 5) AS i\$\$, keep_labels => true)});
flush();
is($session->query('SELECT type_ids FROM hs_assoc_dead_letter'), '{99999}', 'a type that HubSpot refuses: a dead letter');
is(labels() . '|' . outbox(), 'Label 1, Label 2, Label 4, Label 5|0', '... and the others are sent, one by one');

# More than go into an input
start_over();
$session->query(qq{INSERT INTO hs_assoc_outbox (server, role, operation, from_type, from_id, to_type, to_id, labels)
	SELECT 'hubspot', 'postgres', 'archive_labels', 'contacts', '$id', 'companies', '11', array_fill('Label ' || i % 10 + 1, '{30}')
	FROM generate_series(1, 10) AS i});
flush();
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter') . outbox(), '00', 'more types than an input holds: in several ones');

# What changes all the time is damped as before, by what is new
start_over();
my $sent = 0;
foreach my $i (1 .. 12)
{
	$session->query(sprintf q{SELECT hs_assoc_enqueue('%s', 'contacts', 'companies', 'SELECT 5 AS from_id, 15 AS to_id')},
		$i % 2 ? 'create_default' : 'archive');
	flush();
}
$sent = $hubspot->stats->{inputs};
cmp_ok($sent, '<=', 8, "12 changes of a pair: $sent are sent at once");

done_testing();
