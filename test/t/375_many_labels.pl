# Very many labels of one pair in a synced table: what a statement that changes them reads grows
# as they do, and not as their square; judged by the rows in its plans, not by the time.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use List::Util qw(max sum0);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node(
	'session_preload_libraries' => 'auto_explain',
	'auto_explain.log_min_duration' => 0,
	'auto_explain.log_nested_statements' => 'on',
	'auto_explain.log_analyze' => 'on',
	'auto_explain.log_timing' => 'off',
	'auto_explain.log_format' => 'json',
	'autovacuum' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
my $session = start_session($node);
my ($few, $many) = (300, 1200);

$session->query(q{SET client_min_messages = error;
	CREATE TABLE labels (f int, t int, label text, PRIMARY KEY (f, t, label));
	CREATE TABLE typed (f int, t int, type int, PRIMARY KEY (f, t, type));
	SELECT hs_assoc_enable_sync('labels', 'contacts', 'f', 'companies', 't', label_column => 'label'),
		hs_assoc_enable_sync('typed', 'contacts', 'f', 'deals', 't', type_id_column => 'type', category => 'USER_DEFINED')});

my %labels = (fill => q{INSERT INTO labels SELECT 1, 2, 'L' || i FROM generate_series(1, %d) i}, table => 'labels');
my %types = (fill => q{INSERT INTO typed SELECT 1, 2, i FROM generate_series(1, %d) i}, table => 'typed');
grows('labels that are renamed', 2, q{UPDATE labels SET label = label || 'x'}, %labels);
grows('labels in another case, which are added alone', 1, q{UPDATE labels SET label = lower(label)}, %labels);
grows('labels that are removed', 1, q{DELETE FROM labels}, %labels);
grows('labels that are removed and added again', 0, qq{DELETE FROM labels; $labels{fill}}, %labels);
grows('types that are removed and added again', 0, qq{DELETE FROM typed; $types{fill}}, %types);
grows('types of which some are added again', 1.5, q{DELETE FROM typed; INSERT INTO typed SELECT 1, 2, 2 * i FROM generate_series(1, %d / 2) i}, %types);

# One by one, after very many were removed
{
	my $removed = 3000;
	prepare($types{table}, $types{fill}, $removed);
	my $start = length slurp_file($node->logfile);
	$session->query("BEGIN; DELETE FROM typed; DO \$\$ BEGIN FOR i IN 1 .. 20 LOOP INSERT INTO typed VALUES (1, 2, i); END LOOP; END \$\$");
	is($session->query('SELECT count(*) FROM hs_assoc_outbox'), $removed + 20, 'what is added one by one, where very many were removed, is sent, too');
	$session->query('COMMIT');
	my @rows = map { waiting_rows($_->{Plan}) } grep { $_->{'Query Text'} =~ /\bAS undone\b/ } plans($start);
	is(scalar(@rows), 20, '... each by its statement');
	cmp_ok(max(@rows), '<', 1100, '... which does not look at all that waits');
}

$session->quit;
done_testing();

sub prepare
{
	my ($table, $fill, $rows) = @_;
	$session->query(sprintf "TRUNCATE $table; TRUNCATE hs_assoc_outbox; $fill; TRUNCATE hs_assoc_outbox", $rows);
	return;
}

# Statements on a pair with few labels and with many: how many operations for each label they
# enqueue, and that they read as many rows more as there are labels more
sub grows
{
	my ($name, $operations, $sql, %what) = @_;
	my @work;
	foreach my $rows ($few, $many)
	{
		prepare($what{table}, $what{fill}, $rows);
		my $start = length slurp_file($node->logfile);
		$session->query('BEGIN; ' . $sql =~ s/%d/$rows/gr);
		my $enqueued = $session->query('SELECT count(*) FROM hs_assoc_outbox');
		$session->query('ROLLBACK');
		is($enqueued, $operations * $rows, "$name: $rows of them: operations");
		my @plans = plans($start);
		push @work, sum0(map { work($_->{Plan}) } @plans);
		is_deeply([ grep { /= ANY \(\w+\.types\)/ } map { $_->{'Query Text'} } @plans ], [], '... and none compares each type with all others');
	}
	cmp_ok($work[0], '>', $few, "$name: rows are read");
	cmp_ok($work[1], '<', $work[0] * 1.5 * $many / $few, "$name: four times as many: $work[0] and $work[1] rows are read");
	return;
}

# The plans of our own statements since then
sub plans
{
	my ($start) = @_;
	my $log = substr slurp_file($node->logfile), $start;
	my @plans;
	push @plans, decode_json($1) while $log =~ /duration: [^\n]*plan:\n(\t\{\n.*?^\t\}$)/msg;
	return grep { $_->{'Query Text'} =~ /\bhs_assoc_outbox\b|\bAS added\b/ && $_->{'Query Text'} !~ /^SELECT count/ } @plans;
}

# The rows that the nodes of a plan have read
sub work
{
	my ($plan) = @_;
	my $rows = sum0(map { $plan->{$_} // 0 } 'Actual Rows', 'Rows Removed by Filter', 'Rows Removed by Join Filter', 'Rows Removed by Index Recheck');
	return $rows * $plan->{'Actual Loops'} + sum0(map { work($_) } @{ $plan->{Plans} // [] });
}

# Those of them that are rows of the outbox
sub waiting_rows
{
	my ($plan) = @_;
	my $own = ($plan->{'Relation Name'} // '') eq 'hs_assoc_outbox' && $plan->{'Node Type'} =~ /Scan/ ? ($plan->{'Actual Rows'} + ($plan->{'Rows Removed by Filter'} // 0)) * $plan->{'Actual Loops'} : 0;
	return $own + sum0(map { waiting_rows($_) } @{ $plan->{Plans} // [] });
}
