# A foreign table and a local one with the same content: random queries give the same rows.
#
# A seed makes associations of some contacts and companies, with labels, the same rows in a
# local table, tables to join with, and queries: conditions on either side, joins of all
# kinds, subqueries, aggregates, NOT IN, CTEs, parameters. A query that cannot be
# answered, since it names no records, is an error; it never has other rows.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max min);
use Test::More;

my $seeds = $ENV{SEED} ? 1 : $ENV{SEEDS} // max(3, int(12 / ($ENV{TEST_SLOWDOWN} // 1)));
my $first = $ENV{SEED} // int(rand(2**31));
my $queries = 25;
my $node = start_node(jit => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my ($answered, $refused) = (0, 0);
$session->query(q{
SET client_min_messages = error;
CREATE SCHEMA f; CREATE SCHEMA here;
CREATE FOREIGN TABLE f.t (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE FOREIGN TABLE f.p (to_id bigint, from_id bigint) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE TABLE here.t (from_id text, to_id text, category text, type_id int, label text);
CREATE VIEW here.p AS SELECT DISTINCT to_id::bigint, from_id::bigint FROM here.t;
CREATE TABLE l (id text, n int, m bigint);
CREATE TABLE few (id text, n int, m bigint);
});

note("SEED=$first ($seeds of them)");
foreach my $seed ($first .. $first + $seeds - 1)
{
	srand $seed;
	my @problems;
	make_content();
	foreach (1 .. $queries)
	{
		my $problem = compare();
		push @problems, $problem if $problem;
	}
	is_deeply(\@problems, [], "seed $seed") or diag("again: SEED=$seed make test PROVE_TESTS=test/t/461_tables_twin.pl");
}
note("$answered answered, $refused refused");
cmp_ok($answered, '>', $refused, 'most queries can be answered');

$session->quit;
done_testing();

sub pick { return $_[ rand @_ ] }
sub some { my ($n, @of) = @_; return map { pick(@of) } 1 .. $n }

sub make_content
{
	$hubspot->reset;
	my $contacts = pick(3, 20, 60);
	my $per = pick(1, 3, 9);
	$session->query(qq{
SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Billing', 'billing');
SELECT FROM hs_assoc_label_create('contacts', 'companies', 'Boss', 'boss', 'Report');
SELECT setseed(@{[ rand() ]});
CREATE TEMP TABLE made AS SELECT DISTINCT (1 + random() * $contacts)::int AS c, (1 + random() * 15)::int AS k FROM generate_series(1, $contacts * $per);
SELECT FROM hs_assoc_batch_create_default('contacts', 'companies', 'SELECT c AS from_id, k AS to_id FROM made');
SELECT FROM hs_assoc_batch_create('contacts', 'companies', \$\$SELECT c AS from_id, k AS to_id, 'Billing' AS label FROM made WHERE c % 3 = 0\$\$, keep_labels => true);
SELECT FROM hs_assoc_batch_create('contacts', 'companies', \$\$SELECT c AS from_id, k AS to_id, 'Boss' AS label FROM made WHERE k % 4 = 1\$\$, keep_labels => true);
TRUNCATE here.t, l, few;
INSERT INTO here.t SELECT from_id, to_id, category, type_id, label FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT DISTINCT c AS from_id FROM made');
INSERT INTO l SELECT CASE WHEN random() < 0.1 THEN NULL ELSE (1 + random() * ($contacts + 5))::int END, (random() * 5)::int, (1 + random() * 20)::int FROM generate_series(1, (random() * 80)::int);
INSERT INTO few SELECT id, n, m FROM l LIMIT 4;
DROP TABLE made;});
	$session->query('ANALYZE l; ANALYZE few') if rand() < 0.7;
	$session->query(sprintf "ALTER SERVER hubspot OPTIONS (%s batch_size '%d')",
		$session->query(q{SELECT CASE WHEN srvoptions::text ~ 'batch_size' THEN 'SET' ELSE 'ADD' END FROM pg_foreign_server}), pick(1, 3, 1000));
	$hubspot->settings({ page_size => pick(1, 2, 7, 500) });
	$session->query("SET $_ = " . pick(qw(on on off))) foreach qw(enable_hashjoin enable_mergejoin enable_nestloop enable_memoize enable_material);
	$session->query("SET work_mem = '" . pick(qw(64kB 4MB)) . "'");
	return;
}

# A condition that names records, of the table with that name
sub records
{
	my ($t, $text) = @_;
	my $side = pick(qw(from_id from_id from_id to_id));
	my $id = sub { my $n = 1 + int rand 25; return $text ? "'$n'" : $n };
	my $key = $text ? 'id' : 'm';
	return pick(
		sub { "$t.$side = " . $id->() },
		sub { "$t.$side IN (" . join(', ', map { $id->() } 1 .. 1 + rand 12) . ")" },
		sub { "$t.$side = ANY (ARRAY(SELECT $key FROM " . pick(qw(l few)) . " WHERE n < " . int(rand 6) . "))" },
		sub { "($t.$side = " . $id->() . " OR $t.$side = " . $id->() . ")" },
		sub { "$t.$side IN (SELECT $key FROM " . pick(qw(l few)) . ")" },
		sub { "$t.$side = (SELECT max($key) FROM few)" })->();
}

sub further
{
	my ($t, $text) = @_;
	return pick('true', 'true', $text ? ("$t.label IS NULL", "$t.label = 'Billing'", "$t.type_id <> 279", "$t.label IN ('Boss', 'Billing')") : (),
		"$t.to_id::int % 2 = 0", "$t.from_id::int > 4", "$t.to_id::text <> ALL (ARRAY['3', '4'])", "$t.from_id IS NOT NULL");
}

sub random_query
{
	my $text = rand() < 0.7;
	my $t = $text ? 't' : 'p';
	my $key = $text ? 'id' : 'm';
	my $l = pick(qw(l few));
	my $side = pick(qw(from_id from_id to_id));
	my $columns = pick("$t.*", "$t.from_id", "$t.to_id", 'count(*)', $text ? ("$t.label", "$t") : ());
	my $more = further($t, $text);
	my $records = records($t, $text);
	return pick(
		sub { "SELECT $columns FROM S.$t WHERE $records AND $more" },
		sub { "SELECT $columns FROM S.$t WHERE " . records($t, $text) . " AND $records" },
		sub { "SELECT $l.n, $t.from_id, $t.to_id FROM $l JOIN S.$t ON $t.$side = $l.$key AND $more" },
		sub { "SELECT $l.n, $t.from_id, " . ($text ? "$t.label" : "$t.to_id") . " FROM $l LEFT JOIN S.$t ON $t.$side = $l.$key AND $more WHERE $l.n < 4" },
		sub { "SELECT $l.* FROM $l WHERE " . pick('', 'NOT ') . "EXISTS (SELECT FROM S.$t WHERE $t.$side = $l.$key AND $more)" },
		sub { "SELECT $l.* FROM $l WHERE $l.$key " . pick('', 'NOT ') . "IN (SELECT $side FROM S.$t WHERE $records AND $more)" },
		sub { "SELECT $l.n, (SELECT count(*) FROM S.$t WHERE $t.$side = $l.$key AND $more) FROM $l" },
		sub { "WITH c AS " . pick('', 'MATERIALIZED ', 'NOT MATERIALIZED ') . "(SELECT * FROM S.$t WHERE $records) SELECT a.from_id, b.to_id FROM c a JOIN c b ON a.to_id = b.to_id" },
		sub { "SELECT a.from_id, b.from_id FROM S.$t a JOIN S.$t b ON a.to_id = b.to_id WHERE " . records('a', $text) },
		sub { "SELECT $t.to_id, count(*), min($t.from_id) FROM S.$t WHERE $records GROUP BY 1 HAVING count(*) > 1" },
		sub { "SELECT $l.n, s.to_id FROM $l, LATERAL (SELECT * FROM S.$t WHERE $t.$side = $l.$key ORDER BY 1, 2 LIMIT 2) s" . ($text ? ' WHERE false' : '') },
		sub { "SELECT $t.to_id FROM S.$t WHERE $records UNION ALL SELECT $t.to_id FROM S.$t WHERE " . records($t, $text) },
		sub { "SELECT x.n, $t.to_id FROM $l x JOIN few y ON x.n = y.n LEFT JOIN S.$t ON $t.$side = y.$key AND $more" },
		sub { "SELECT count(*), count(DISTINCT $t.to_id) FROM S.$t FULL JOIN $l ON $t.from_id = $l.$key WHERE $records" },
		sub { "SELECT $l.n, s.c FROM $l JOIN (SELECT $side AS k, count(*) AS c FROM S.$t GROUP BY $side) s ON s.k = $l.$key" },
		sub { "SELECT $l.n FROM $l WHERE ($l.$key, '7') IN (SELECT from_id" . ($text ? '' : '') . ", to_id::text FROM S.$t WHERE $more)" },
		sub { "SELECT DISTINCT $t.$side FROM S.$t RIGHT JOIN $l ON $t.$side = $l.$key" })->();
}

# A query of both tables.  Returns what is wrong, if anything is.
sub compare
{
	my $query = random_query();
	my %rows;
	foreach my $schema (qw(here f))
	{
		$session->send($query =~ s/\bS\./$schema./gr);
		my ($out, $err) = $session->finish;
		if ($err =~ /ERROR:  0A000: foreign table .* cannot be read without/ && $schema eq 'f')
		{
			$refused++;
			return;
		}
		return "$query\n$err" if $err;
		$rows{$schema} = join "\n", sort split /\n/, $out, -1;
	}
	$answered++;
	return if $rows{f} eq $rows{here};
	return "$query\nforeign:\n$rows{f}\nlocal:\n$rows{here}";
}
