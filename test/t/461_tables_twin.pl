# A foreign table and a local one with the same content: random queries give the same rows,
# and after random writes, once the outbox is empty, they have the same rows again.
#
# A seed makes associations of some contacts and companies, with labels, the same rows in a
# local table, tables to join with, and queries: conditions on either side, joins of all
# kinds, subqueries, aggregates, NOT IN, CTEs, parameters. A query that cannot be
# answered, since it names no records, is an error; it never has other rows. If the table
# may go through the account (scan 'all'), it always can be. The same holds
# for writes: what HubSpot cannot do, such as to take a label's association away and leave
# the label, is an error, and nothing else is.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use List::Util qw(max min);
use Test::More;

my @seeds = seeds(3, 12);
my $queries = 25;
my $node = start_node(jit => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
my ($answered, $refused) = (0, 0);
my ($written, $not_written) = (0, 0);
my %scan;
my $writes = 12;
my @done;
$session->query(q{
SET client_min_messages = error;
CREATE SCHEMA f; CREATE SCHEMA here;
CREATE FOREIGN TABLE f.t (from_id text, to_id text, category text, type_id int, label text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'keys');
CREATE FOREIGN TABLE f.p (to_id bigint, from_id bigint) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', scan 'keys');
CREATE TABLE here.t (from_id text, to_id text, category text, type_id int, label text, UNIQUE (from_id, to_id, category, type_id));
CREATE VIEW here.p AS SELECT DISTINCT to_id::bigint, from_id::bigint FROM here.t;
CREATE FUNCTION type_of(text) RETURNS int LANGUAGE sql AS $$SELECT type_id FROM hs_assoc_labels('contacts', 'companies') WHERE label = $1$$;
CREATE TABLE l (id text, n int, m bigint);
CREATE TABLE few (id text, n int, m bigint);
});

foreach my $seed (@seeds)
{
	try_seed($seed, sub {
		make_content();
		my @problems = map { compare() // () } 1 .. $queries;
		@done = ();
		return grep { $_ } @problems, map({ write_both() // () } 1 .. $writes), same_content();
	});
}
note("$answered answered, $refused refused");
note("$written writes, $not_written refused");
cmp_ok($answered, '>', $refused, 'most queries can be answered');
cmp_ok($written, '>', $not_written, 'most writes can be done');

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
TRUNCATE here.t, l, few, hs_assoc_outbox, hs_assoc_dead_letter;
INSERT INTO here.t SELECT from_id, to_id, category, type_id, label FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT DISTINCT c AS from_id FROM made');
INSERT INTO l SELECT CASE WHEN random() < 0.1 THEN NULL ELSE (1 + random() * ($contacts + 5))::int END, (random() * 5)::int, (1 + random() * 20)::int FROM generate_series(1, (random() * 80)::int);
INSERT INTO few SELECT id, n, m FROM l LIMIT 4;
DROP TABLE made;});
	$session->query('ANALYZE l; ANALYZE few') if rand() < 0.7;
	$session->query(sprintf "ALTER SERVER hubspot OPTIONS (%s batch_size '%d')",
		$session->query(q{SELECT CASE WHEN srvoptions::text ~ 'batch_size' THEN 'SET' ELSE 'ADD' END FROM pg_foreign_server}), pick(1, 3, 1000));
	$hubspot->settings({ page_size => pick(1, 2, 7, 500) });
	foreach my $table (qw(t p))
	{
		$scan{$table} = pick(qw(keys all));
		$session->query("ALTER FOREIGN TABLE f.$table OPTIONS (SET scan '$scan{$table}')");
		$session->query("ANALYZE f.$table") if $scan{$table} eq 'all' && rand() < 0.5;
	}
	$session->query("SET $_ = " . pick(qw(on on off))) foreach qw(enable_hashjoin enable_mergejoin enable_nestloop enable_memoize enable_material);
	$session->query("SET work_mem = '" . pick(qw(64kB 4MB)) . "'");
	return;
}

# A condition that names records, of the table with that name
sub records
{
	my ($t, $text) = @_;
	return 'true' if $scan{ $text ? 't' : 'p' } eq 'all' && rand() < 0.2;
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
		if ($err =~ /ERROR:  0A000: foreign table f.(.) cannot be read without/ && $schema eq 'f' && $scan{$1} eq 'keys')
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

# Send all that waits: also pairs that were sent in short order, which wait for some time.
sub send_all
{
	my $dead = $session->query(q{CALL hs_assoc_flush(); SELECT string_agg(error_message, ', ') FROM hs_assoc_dead_letter});
	return "dead letters: $dead" if $dead;
	wait_until(sub { $session->query(q{SELECT hs_assoc_resume(); CALL hs_assoc_flush(); SELECT count(*) FROM hs_assoc_outbox}) =~ /^0$/m });
	return;
}

# A type, as an INSERT names it, and as it is then there
sub type_given
{
	my ($billing, $boss) = map { "'USER_DEFINED', type_of('$_'), '$_'" } qw(Billing Boss);
	return pick([ 'NULL, NULL::int, NULL', "'HUBSPOT_DEFINED', 279, NULL" ], [ "NULL, NULL::int, 'Billing'", $billing ],
		[ "NULL, NULL::int, 'Boss'", $boss ], [ $boss, $boss ], [ "'HUBSPOT_DEFINED', 279, NULL", "'HUBSPOT_DEFINED', 279, NULL" ]);
}

# A random write to both tables, and how it is to be done here: what it inserts is there once.
sub random_write
{
	my ($given, $there) = @{ type_given() };
	my ($other_given, $other_there) = @{ type_given() };
	my $which = records('t', 1) . ' AND ' . further('t', 1);
	my $pairs = 'SELECT DISTINCT (1 + i * 7 %% ' . (3 + int rand 20) . ')::text AS a, (1 + i %% ' . (1 + int rand 18) . ')::text AS b FROM generate_series(1, ' . (1 + int rand 30) . ') AS i';
	my $label = pick("'Billing'", "'Boss'", "CASE t.label WHEN 'Boss' THEN 'Billing' ELSE 'Boss' END", "coalesce(t.label, 'Boss')", 't.label');
	$pairs =~ s/%%/%/g;
	return pick(
		sub { [ "INSERT INTO f.t SELECT a, b, $given FROM ($pairs) AS s", "INSERT INTO here.t SELECT a, b, $there FROM ($pairs) AS s ON CONFLICT DO NOTHING" ] },
		sub { [ "INSERT INTO f.p SELECT b::bigint, a::bigint FROM ($pairs) AS s", "INSERT INTO here.t SELECT a, b, 'HUBSPOT_DEFINED', 279 FROM ($pairs) AS s ON CONFLICT DO NOTHING" ] },
		sub { [ "INSERT INTO f.t SELECT m::text, n::text, $given FROM l WHERE m IS NOT NULL AND n > 0", "INSERT INTO here.t SELECT m::text, n::text, $there FROM l WHERE m IS NOT NULL AND n > 0 ON CONFLICT DO NOTHING" ] },
		sub { [ "DELETE FROM f.t AS t WHERE $which", "CREATE TEMP TABLE gone AS SELECT * FROM here.t AS t WHERE $which", '' ] },
		sub { [ "DELETE FROM f.t AS t WHERE $which", "CREATE TEMP TABLE gone AS SELECT * FROM here.t AS t WHERE $which", '' ] },
		sub { [ "DELETE FROM f.t AS t USING l WHERE t.from_id = l.id AND l.n < 3 AND $which", "CREATE TEMP TABLE gone AS SELECT DISTINCT t.* FROM here.t AS t JOIN l ON t.from_id = l.id AND l.n < 3 WHERE $which", '' ] },
		sub { my $some = records('p', 0); [ "DELETE FROM f.p AS p WHERE $some", "CREATE TEMP TABLE gone AS SELECT * FROM here.t AS t WHERE (t.from_id::bigint, t.to_id::bigint) IN (SELECT p.from_id, p.to_id FROM here.p AS p WHERE $some)", '' ] },
		sub { [ "UPDATE f.t AS t SET label = $label WHERE $which", "CREATE TEMP TABLE gone AS SELECT t.*, $label AS new FROM here.t AS t WHERE ($which) AND $label IS DISTINCT FROM t.label", "SELECT from_id, to_id, 'USER_DEFINED', type_of(new), new FROM gone" ] },
		sub { [ "UPDATE f.t AS t SET label = $label WHERE $which AND t.label IS NOT NULL", "CREATE TEMP TABLE gone AS SELECT t.*, $label AS new FROM here.t AS t WHERE ($which) AND t.label IS NOT NULL AND $label IS DISTINCT FROM t.label", "SELECT from_id, to_id, 'USER_DEFINED', type_of(new), new FROM gone" ] },
		sub { [ "WITH d AS (DELETE FROM f.t AS t WHERE $which RETURNING *) INSERT INTO f.t SELECT from_id, to_id, $given FROM d", "CREATE TEMP TABLE gone AS SELECT * FROM here.t AS t WHERE $which", "SELECT from_id, to_id, $there FROM gone" ] })->();
}

# Write to both. Returns what is wrong, if anything is.
sub write_both
{
	my ($there, $here, $new) = @{ random_write() };
	my $removes = defined $new;
	my $end = rand() < 0.15 ? 'ROLLBACK' : 'COMMIT';
	my $problem = $removes ? send_all() : undef;
	return $problem if $problem;
	my $junk = rand() < 0.3 && !$removes ? "SAVEPOINT s; INSERT INTO f.p VALUES (1, 1), (99, 99); ROLLBACK TO s;" : '';
	$session->send("BEGIN; $junk $there");
	my ($out, $err) = $session->finish;
	my $refused = $err =~ /ERROR:  0A000: (the row without a label of .* cannot be removed alone|a row of foreign table .* whose type has no label cannot be changed)/;
	push @done, "$there; " . ($refused ? '-- refused' : $end);
	$session->query($refused || $err ? 'ROLLBACK' : $end);
	return "$there\n$err" if $err && !$refused;

	# What is removed here, and what HubSpot cannot do: an association that goes without all of its labels, or is to be another
	$session->query("DROP TABLE IF EXISTS gone; $here") if $removes;
	my $updates = $there =~ /^UPDATE/ ? 'true' : 'false';
	my $cannot = $removes ? $session->query(qq{SELECT count(*) FROM gone AS g WHERE g.label IS NULL AND
		($updates OR (SELECT count(*) FROM here.t WHERE t.from_id = g.from_id AND t.to_id = g.to_id) <> (SELECT count(*) FROM gone AS o WHERE o.from_id = g.from_id AND o.to_id = g.to_id))}) : 0;
	$refused ? $not_written++ : $written++;
	return "$there\nrefused though it can be done: $err" if $refused && !$cannot;
	return "$there\ndone though it cannot be" if $cannot && !$refused;
	return if $refused || $end eq 'ROLLBACK';
	$session->query($here) unless $removes;
	$session->query('DELETE FROM here.t USING gone AS g WHERE (t.from_id, t.to_id, t.category, t.type_id) = (g.from_id, g.to_id, g.category, g.type_id)') if $removes;
	$session->query("INSERT INTO here.t $new ON CONFLICT DO NOTHING") if $new;

	# a table of pairs knows no labels, and so leaves them to a pair that is made again before this is sent
	return $there =~ /DELETE FROM f\.p/ ? send_all() : undef;
}

# Once all is sent: have both the same rows? Returns what is wrong, if anything is.
sub same_content
{
	my $problem = send_all();
	return $problem if $problem;
	my $all = $scan{t} eq 'all' ? 'true' : 'from_id = ANY (ARRAY(SELECT i::text FROM generate_series(1, 100) AS i))';
	my $differences = $session->query(qq{WITH f AS MATERIALIZED (SELECT * FROM f.t WHERE $all),
		h AS (SELECT * FROM here.t)
		(SELECT 'only there', f.* FROM f EXCEPT ALL SELECT 'only there', h.* FROM h) UNION ALL (SELECT 'only here', h.* FROM h EXCEPT ALL SELECT 'only here', f.* FROM f)});
	return $differences ? join("\n", 'after the writes:', $differences, @done) : undef;
}
