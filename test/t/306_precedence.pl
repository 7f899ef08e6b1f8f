# What an operation does to an earlier one on its pair: each cell of the tables of
# src/outbox/PRECEDENCE.md, against what becomes of two such rows.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $precedence = slurp_file("$FindBin::Bin/../../src/outbox/PRECEDENCE.md");

# The tables, each with its lines, and in these its cells
my @tables = map {
	[ map { [ map { s/`//gr } /\| *([^|]*?) *(?=\|)/g ] } grep { !/^\|---/ } split /\n/ ]
} $precedence =~ /((?:^\|.*\n)+)/mg;
is(scalar @tables, 3, 'there are so many tables');
my ($waiting, $failed, $differing) = @tables;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, sent_retention => '1h');
my $session = start_session($node);
# rows are put into a table of a database that has sent nothing
$session->query('SELECT hs_assoc_adopt()');
$session->query("SELECT hs_assoc_label_create('contacts', 'companies', 'Label $_', 'label_" . lc . "')") foreach qw(A B C);

#
# Operations and types
#

# The operations, by what the tables call them
my %operations = (
	'archive' => { operation => 'archive' },
	'create_default' => { operation => 'create_default' },
	'create' => { operation => 'create', typed => 1 },
	'create, keeping' => { operation => 'create', typed => 1, keep => 1 },
	'archive_labels' => { operation => 'archive_labels', typed => 1 });

# Two lists of types, each with labels, type ids and category, and what they have in common
my @types = (
	[ same => '{Label A,Label B}', undef, undef, '{Label A,Label B}', undef, undef ],
	[ same => undef, '{279}', 'HUBSPOT_DEFINED', undef, '{279}', 'HUBSPOT_DEFINED' ],
	[ one => '{Label A,Label B}', undef, undef, '{Label B,Label C}', undef, undef ],
	[ one => '{Label A}', undef, undef, '{LABEL A}', undef, undef ],
	[ one => undef, '{279,1}', undef, undef, '{279}', undef ],
	[ one => undef, '{279}', undef, undef, '{279}', 'HUBSPOT_DEFINED' ],
	[ none => '{Label A}', undef, undef, '{Label B}', undef, undef ],
	[ none => undef, '{1}', undef, undef, '{279}', undef ],
	[ none => undef, '{279}', undef, '{Label A}', undef, undef ]);

# ... the first of which HubSpot would refuse
my @refused_types = ([ none => undef, '{279}', 'USER_DEFINED', undef, '{279}', undef ]);

sub literal { return defined $_[0] ? "'$_[0]'" : 'NULL' }

# A row of a table, of a pair by number; its id
sub put
{
	my ($table, $name, $pair, @types) = @_;
	my $operation = $operations{$name} or die "there is no operation \"$name\"";
	my ($labels, $type_ids, $category) = map { literal($operation->{typed} ? $_ : undef) } @types[ 0 .. 2 ];
	my $keep = $operation->{keep} ? 'true' : 'false';
	my ($more, $values) = $table eq 'hs_assoc_dead_letter' ? (', id, enqueued_at, attempts', ", nextval('hs_assoc_outbox_id_seq'), now(), 1") : ('', '');
	return $session->query(qq{INSERT INTO $table (server, role, operation, from_type, from_id, to_type, to_id, labels, type_ids, category, keep_labels$more)
		VALUES ('hubspot', 'postgres', '$operation->{operation}', 'contacts', '$pair', 'companies', '$pair', $labels, $type_ids, $category, $keep$values)
		RETURNING id});
}

# All pairs of operations of a table, each with all of the types, if both have some
sub cases
{
	my ($table, $what, @types) = @_;
	my ($head, @lines) = @$table;
	my @cases;

	is(join(' | ', sort grep { $_ } @$head), join(' | ', sort keys %operations), "$what: a column for each operation");
	is(join(' | ', sort map { $_->[0] } @lines), join(' | ', sort keys %operations), '... and a line');
	foreach my $line (@lines)
	{
		foreach my $column (1 .. $#$head)
		{
			my ($earlier, $later) = ($line->[0], $head->[$column]);
			my $typed = $operations{$earlier}{typed} && $operations{$later}{typed};
			foreach my $types ($typed ? @types : $types[0])
			{
				my ($common, @both) = @$types;
				push @cases, { earlier => $earlier, later => $later, common => $typed ? $common : 'none', cell => $line->[$column],
					earlier_types => [ @both[ 0 .. 2 ] ], later_types => [ @both[ 3 .. 5 ] ],
					name => "$what: $earlier, then $later" . ($typed ? ', ' . join(' ', map { $_ // '-' } @both[ 0 .. 2 ], 'and', @both[ 3 .. 5 ]) : '') };
			}
		}
	}
	return @cases;
}

# Until nothing waits; what was sent is in hs_assoc_sent.
sub flush_all
{
	foreach (1 .. 20)
	{
		$session->query('UPDATE hs_assoc_outbox SET not_before = now() WHERE not_before > now()');
		$session->query('CALL hs_assoc_flush()');
		return if $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0;
	}
	die 'something is still waiting: ' . $session->query('SELECT string_agg(o::text, E\'\n\') FROM hs_assoc_outbox AS o');
}

my %names = map { $_->{operation} => 1 } values %operations;
my (undef, undef, $error) = $node->psql('postgres', q{SELECT hs_assoc_enqueue('none', 'contacts', 'companies', 'SELECT 1')});
my ($known) = $error =~ /The operations are (.*)\./;
is(join(' ', sort split /, | and /, $known // ''), join(' ', sort keys %names), 'these are all operations that there are');

#
# Neither has been sent
#
my $pair = 0;
my @cases = cases($waiting, 'waiting', @types);
my @followed;

foreach my $case (@cases)
{
	$case->{pair} = ++$pair;
	$case->{ids} = [ put('hs_assoc_outbox', $case->{earlier}, $pair, @{ $case->{earlier_types} }),
		put('hs_assoc_outbox', $case->{later}, $pair, @{ $case->{later_types} }) ];
	next if $case->{cell} ne 'overrides for good';
	my $id = put('hs_assoc_outbox', $case->{earlier}, ++$pair, @{ $case->{earlier_types} });
	put('hs_assoc_outbox', $_, $pair) foreach $case->{later}, 'create_default';
	push @followed, { id => $id, name => "$case->{name}, then create_default" };
}
flush_all();
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'all that was sent was confirmed');

sub was_sent { return $session->query("SELECT count(*) FROM hs_assoc_sent WHERE id = $_[0]") }

# What has become of the two
sub outcome
{
	my ($earlier, $later) = @_;
	return 'the later one was not sent' if !was_sent($later);
	return 'overridden' if !was_sent($earlier);
	return $session->query("SELECT CASE WHEN a.sent_at < b.sent_at THEN 'in order' WHEN a.sent_at = b.sent_at THEN 'together' ELSE 'in wrong order' END
		FROM hs_assoc_sent AS a, hs_assoc_sent AS b WHERE a.id = $earlier AND b.id = $later");
}

foreach my $case (@cases)
{
	my $same = $case->{common} eq 'same';
	my %outcomes = (
		'overrides' => 'overridden',
		'waits' => 'in order',
		'overrides the same' => $same ? 'overridden' : 'in order',
		'overrides the same, joins others' => $same ? 'overridden' : 'together',
		'overrides for good' => 'overridden');
	is(outcome(@{ $case->{ids} }), $outcomes{ $case->{cell} } // 'a cell of the table', $case->{name});
}
cmp_ok(scalar @followed, '>', 0, 'something overrides for good');
is(was_sent($_->{id}), 1, $_->{name}) foreach @followed;

#
# The earlier one is a dead letter
#
@cases = cases($failed, 'a dead letter', @types, @refused_types);
$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_sent');
foreach my $case (@cases)
{
	$case->{id} = put('hs_assoc_dead_letter', $case->{earlier}, ++$pair, @{ $case->{earlier_types} });
	put('hs_assoc_outbox', $case->{later}, $pair, @{ $case->{later_types} });
}
flush_all();
is($session->query('SELECT count(*) FROM hs_assoc_sent'), scalar @cases, 'all later ones were confirmed');
foreach my $case (@cases)
{
	my %outcomes = (
		'outdated' => 0,
		'stays' => 1,
		'outdated by one in common' => $case->{common} eq 'none' ? 1 : 0);
	is($session->query("SELECT count(*) FROM hs_assoc_dead_letter WHERE id = $case->{id}"), $outcomes{ $case->{cell} } // 'a cell of the table', $case->{name});
}

#
# What the two rows differ in
#
$session->query(q{CREATE ROLE alice; CREATE ROLE bob;
	GRANT USAGE ON FOREIGN SERVER hubspot TO alice, bob;
	CREATE USER MAPPING FOR alice SERVER hubspot OPTIONS (access_token 'alice-token')});
$hubspot->account({ token => 'alice-token' });
create_account($node, $hubspot, name => 'other', rate_limit => 0, max_retries => 0, sent_retention => '1h');

# By the words of the table, what is to be changed of the earlier and of the later row,
# in one or more ways
my %differences = (
	'nothing' => [ [ {}, {} ] ],
	q{names of one object type of HubSpot's} => [ [ {}, { from_type => '0-1' } ], [ {}, { to_type => 'company' } ] ],
	'names of object types that may be one' => [ [ { from_type => '2-100' }, { from_type => 'p123_cars' } ] ],
	'the direction' => [
		[ {}, { from_type => 'companies', from_id => '12', to_type => 'contacts', to_id => '11' } ],
		[ { to_type => 'contacts' }, { to_type => 'contacts', from_id => '12', to_id => '11' } ] ],
	'a record' => [ [ {}, { to_id => '13' } ], [ {}, { from_id => '13' } ] ],
	'roles of one login' => [ [ {}, { role => 'bob' } ] ],
	'roles of two logins' => [ [ {}, { role => 'alice' } ] ],
	'the server' => [ [ {}, { server => 'other' } ] ]);

# The two rows, in a table each; more is what else is set of the earlier one. Their ids
sub put_two
{
	my ($difference, $table, $earlier, $later, %more) = @_;
	my @rows = ({ operation => $earlier, %more, %{ $difference->[0] } }, { operation => $later, %{ $difference->[1] } });

	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_doubt');
	$hubspot->reset;
	$hubspot->account({ token => 'alice-token' });
	return map {
		my %row = (server => 'hubspot', role => 'postgres', from_type => 'contacts', from_id => '11', to_type => 'companies', to_id => '12', %$_);
		my @columns = sort keys %row;
		my $id = $session->query(sprintf 'INSERT INTO %s (%s) VALUES (%s) RETURNING id', $_ == $rows[0] ? $table : 'hs_assoc_outbox',
			join(', ', @columns), join(', ', map { $row{$_} =~ /\(/ ? $row{$_} : "'$row{$_}'" } @columns));
		$id
	} @rows;
}

# How many inputs were in requests of a kind
sub inputs
{
	my ($kind) = @_;
	my $inputs = 0;
	$inputs += $_->{inputs} foreach grep { $_->{path} =~ /\Q$kind\E$/ } @{ $hubspot->log };
	return $inputs;
}

my ($head, @lines) = @$differing;
is_deeply([ sort map { $_->[0] } @lines ], [ sort keys %differences ], 'a line for each difference');
foreach my $line (@lines)
{
	my ($words, @cells) = @$line;

	compare($words, $_, @cells) foreach @{ $differences{$words} // [] };
}

# What becomes of two rows that differ so, beside the cells of the table
sub compare
{
	my ($words, $difference, $overrides, $joins, $waits) = @_;

	my ($earlier, $later) = put_two($difference, 'hs_assoc_outbox', 'create_default', 'archive');
	flush_all();
	is(was_sent($earlier) ? 'no' : 'yes', $overrides, "they differ in $words: overrides");
	is(was_sent($later), 1, '... and is sent');

	($earlier, $later) = put_two($difference, 'hs_assoc_dead_letter', 'create_default', 'archive',
		id => q{nextval('hs_assoc_outbox_id_seq')}, keep_labels => 'false', enqueued_at => 'now()', attempts => 1);
	flush_all();
	is($session->query("SELECT count(*) FROM hs_assoc_dead_letter WHERE id = $earlier") ? 'no' : 'yes', $overrides, '... outdates');

	my @typed = map { { %{ $difference->[$_] }, keep_labels => 'true', type_ids => ('{279}', '{1}')[$_] } } 0, 1;
	put_two(\@typed, 'hs_assoc_outbox', 'create', 'create');
	$hubspot->clear_log;
	flush_all();
	my $created = inputs('batch/create');
	is($created == 1 ? 'yes' : 'no', $joins, "... joins ($created inputs)");

	($earlier, $later) = put_two($difference, 'hs_assoc_outbox', 'create', 'create_default',
		not_before => '(now() + interval $$1 d$$)', type_ids => '{279}');
	$session->query('CALL hs_assoc_flush()');
	is(was_sent($later) ? 'no' : 'yes', $waits, '... waits');
	is(was_sent($earlier), 0, '... for one that is not due');
	return;
}

done_testing();
