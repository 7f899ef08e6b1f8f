# An outbox that VACUUM has measured when nearly nothing was left of it, and all of it was of one
# pair: our statements are planned as for a long table of many pairs all the same, and look at
# their own rows alone.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
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
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, request_timeout => patience(1000) . 'ms');
my $session = start_session($node);

sub enqueue
{
	my ($operation, $rows, $more, $first) = @_;
	return $session->query("SELECT hs_assoc_enqueue('$operation', 'contacts', 'companies',
		'SELECT i AS from_id, i AS to_id@{[ $more // '' ]} FROM generate_series(@{[ $first // 1 ]}, $rows) i')");
}

# The view, while nothing is known of its tables, is not so dear that it would be compiled.
my $view = decode_json($session->query('EXPLAIN (FORMAT JSON) SELECT * FROM hs_assoc_outbox_stat'))->[0]{Plan}{'Total Cost'};
cmp_ok($view, '<', $session->query('SHOW jit_above_cost'), 'hs_assoc_outbox_stat of a young database is not compiled by JIT');

# Nothing was wanted of the others.
enqueue('create_default', 100_000, '', 70_001);
$session->query("UPDATE hs_assoc_outbox SET from_id = 1, to_id = 1 WHERE id > (SELECT max(id) - 30 FROM hs_assoc_outbox);
	DELETE FROM hs_assoc_outbox WHERE from_id <> '1';
	INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
		SELECT -i, 'none', 'postgres'::regrole, 'archive', 'contacts', least(i, 29971), 'companies', 1, false, now(), 1 FROM generate_series(1, 30000) i;
	DELETE FROM hs_assoc_dead_letter WHERE id > -29971;
	INSERT INTO hs_assoc_doubt (server, pair, id, until) SELECT 'none', i, i, now() FROM generate_series(1, 100000) i;
	DELETE FROM hs_assoc_doubt WHERE id < 100000");
$session->query("VACUUM ANALYZE $_") foreach 'hs_assoc_outbox', 'hs_assoc_dead_letter', 'hs_assoc_doubt';
is($session->query("SELECT bool_and(reltuples <= 30 AND relpages > 300) FROM pg_class
	WHERE relname IN ('hs_assoc_outbox', 'hs_assoc_dead_letter', 'hs_assoc_doubt')"), 't', 'statistics of tables that are nearly empty');
is($session->query("SELECT string_agg(DISTINCT n_distinct::text, ' '), count(*) FROM pg_stats
	WHERE tablename IN ('hs_assoc_outbox_pair_idx', 'hs_assoc_dead_letter_pair_idx')"), '1|2', '... and whose rows are all of one pair');
$session->quit;
$session = start_session($node);

# Rows are confirmed, not confirmed, and in doubt; they override others of their pair, go
# together with them, or wait for them; and they are kept.
$session->query('SET statement_timeout = ' . patience(30_000));
my $start = length slurp_file($node->logfile);
$hubspot->rules({ match => { path => 'associate/default', first => 1 }, action => { hang => Cpanel::JSON::XS::true } });
enqueue('create_default', 3000);
$session->query('CALL hs_assoc_flush()');
# in doubt for longer than the next ones take
$session->query(q{UPDATE hs_assoc_doubt SET until = now() + interval '1 h'; DELETE FROM hs_assoc_backoff; UPDATE hs_assoc_outbox SET not_before = now()});
enqueue('archive', 3000);
$session->query('CALL hs_assoc_flush()');
cmp_ok($session->query('SELECT count(*) FROM hs_assoc_doubt'), '>', 0, 'rows are in doubt');
$session->query("ALTER SERVER hubspot OPTIONS (SET request_timeout '60s', ADD sent_retention '1h')");
$session->query('TRUNCATE hs_assoc_doubt; DELETE FROM hs_assoc_backoff; UPDATE hs_assoc_outbox SET not_before = now()');
enqueue('create', 3000, ', 1 AS type_id');
enqueue('create', 3000, ', 279 AS type_id');
enqueue('archive_labels', 3000, ', 279 AS type_id');
$session->query('CALL hs_assoc_flush()') foreach 1 .. 3;

# What differs from HubSpot is compared with what waits, is in doubt, and was refused.
$session->query(q{SET client_min_messages = error; CREATE TABLE links (f int, t int, PRIMARY KEY (f, t));
	SELECT hs_assoc_enable_sync('links', 'contacts', 'f', 'deals', 't');
	INSERT INTO links SELECT i, i FROM generate_series(1, 3000) i;
	UPDATE hs_assoc_outbox SET from_type = 'tickets' WHERE to_type = 'deals';
	INSERT INTO hs_assoc_dead_letter (id, server, role, operation, from_type, from_id, to_type, to_id, keep_labels, enqueued_at, attempts)
		SELECT 1000000 + i, 'hubspot', current_user::regrole, 'archive', 'contacts', i, 'deals', i + 1, false, now(), 1 FROM generate_series(1, 3000) i;
	INSERT INTO hs_assoc_doubt (server, pair, id, until) SELECT 'hubspot', i, i, now() + interval '1 h' FROM generate_series(1, 3000) i});
is($session->query(q{SELECT count(*) FROM hs_assoc_drift('links')}), 3000, 'all of a table differs');
is($session->query('SELECT hs_assoc_retry(ARRAY[1000001, 1]), hs_assoc_discard(ARRAY[1000002, 1])'), '1|1', 'dead letters by their ids');

# The plans of our own statements, which name their tables with the schema
my %large = map { $_ => 1 } 'hs_assoc_outbox', 'hs_assoc_dead_letter', 'hs_assoc_doubt';
my (%plans, %bad);
my $log = substr slurp_file($node->logfile), $start;
while ($log =~ /duration: [^\n]*plan:\n(\t\{\n.*?^\t\}$)/msg)
{
	my $explained = decode_json($1);
	my $text = $explained->{'Query Text'};
	next unless $text =~ /\bpublic\.hs_assoc_(outbox|dead_letter|doubt)\b/;
	next if $text =~ / AS reason\b/;    # what hs_assoc_flush says of all that waits
	$plans{$text} = 1;
	my @nodes = [ $explained->{Plan}, '' ];
	while (my $entry = shift @nodes)
	{
		my ($node) = @$entry;
		next if $node->{'Actual Loops'} == 0;
		my $relation = $node->{'Relation Name'} // '';
		$bad{$text} = "$node->{'Node Type'} on $relation"
		  if $large{$relation} && $node->{'Node Type'} =~ /Scan/
		  && !grep { $node->{$_} } 'Index Cond', 'TID Cond';
		$bad{$text} = "from a row on: $node->{'Index Cond'}"
		  if $large{$relation} && ($node->{'Index Cond'} // '') =~ /^\((\w+\.)?id [<>]/;
		$bad{$text} = "Join Filter: $node->{'Join Filter'}"
		  if ($node->{'Join Filter'} // '') =~ /\b(ctid|id) = /;
		my $removed = ($node->{'Rows Removed by Filter'} // 0) * $node->{'Actual Loops'};
		$bad{$text} = "$removed rows for nothing by $node->{'Node Type'} on $relation" if $removed > 100_000;
		push @nodes, map { [$_] } @{ $node->{Plans} // [] };
	}
}
foreach my $what ('WHERE ctid = ANY', 'WITH done AS', 'FROM public.hs_assoc_doubt AS d\s+WHERE', 'SKIP LOCKED\) AS w',
	'FROM p WHERE .*_doubt', 'FROM p WHERE .*_outbox', 'FROM p CROSS JOIN .*_dead_letter', 'WITH taken AS', '^DELETE FROM \S+_dead_letter AS d WHERE d')
{
	ok((grep { /$what/ } keys %plans), "a statement with $what was run");
}
is_deeply(\%bad, {}, 'each finds its rows by what it knows of them') or diag(explain(\%bad));

# A table in sync was measured when all of it was of one pair, too. Of rows that go, it is asked
# whether the table has others of their labels, in another case; reading it for each would take minutes.
$session->query(q{
	SET auto_explain.log_min_duration = -1;
	TRUNCATE hs_assoc_outbox;
	CREATE TABLE labelled (contact int, company int, label text, PRIMARY KEY (contact, company, label));
	INSERT INTO labelled SELECT 1, 1, i FROM generate_series(1, 30) i});
$session->query('VACUUM ANALYZE labelled');
$session->query(q{SELECT hs_assoc_enable_sync('labelled', 'contacts', 'contact', 'companies', 'company', label_column => 'label')});
$session->query(q{TRUNCATE labelled; INSERT INTO labelled SELECT i, i, 'Boss' FROM generate_series(1, 100000) i; TRUNCATE hs_assoc_outbox});
$session->query('DELETE FROM labelled WHERE contact > 80000');
is($session->query('SELECT operation, count(*) FROM hs_assoc_outbox GROUP BY operation'), 'archive_labels|20000', 'rows go from a table that has grown');

done_testing();
