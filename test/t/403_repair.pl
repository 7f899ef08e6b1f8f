# A table is repaired while it is written to: HubSpot and the table are equal in the end, and
# no link that the table held all the time was ever taken away.
#
# A seed makes a table of ids, of labels, or of keys, with links that nobody touches.
# Writers insert, delete and update the others at random, some of them slow to commit; in
# half of the seeds, somebody changes associations by hand; and repairs follow each other, in
# both modes. Without changes by hand, the table and HubSpot are equal once the outbox is
# empty; else after one more repair.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use List::Util qw(max min);
use Test::More;

my $json = Cpanel::JSON::XS->new->utf8;
my $seeds = $ENV{SEED} ? 1 : $ENV{SEEDS} // max(3, int(4 / ($ENV{TEST_SLOWDOWN} // 1)));
my $first = $ENV{SEED} // int(rand(2**31));
my $node = start_node(shared_preload_libraries => 'hubspot_assoc', max_connections => 30);
my $hubspot = start_simulator(latency => 3);
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
my %other = map { $_ => start_session($node) } qw(writer1 writer2 writer3 hand repair);
my %done = map { $_ => 0 } qw(repairs repaired removals);

$session->query('SET client_min_messages = error');
$session->query(q{
	CREATE TABLE links (f text, t text, label text, UNIQUE (f, t));
	CREATE TABLE kept (f text, t text, label text);
	CREATE TABLE names (n int, f text, t text);
	CREATE TABLE finished (yes bool);
	CREATE TABLE repaired (mode text, enqueued bigint);
	CREATE PROCEDURE write(steps int) LANGUAGE plpgsql AS $$
	DECLARE a text; b text; c text; d text; what float8;
	BEGIN
		FOR i IN 1 .. steps LOOP
			SELECT f INTO a FROM names WHERE n <= 6 ORDER BY random() LIMIT 1;
			SELECT t INTO b FROM names WHERE n <= 6 ORDER BY random() LIMIT 1;
			SELECT t INTO c FROM names WHERE n <= 6 ORDER BY random() LIMIT 1;
			SELECT x INTO d FROM unnest(ARRAY['Alpha', 'Beta']) x ORDER BY random() LIMIT 1;
			what := random();
			BEGIN
				IF what < 0.4 THEN INSERT INTO links VALUES (a, b, d) ON CONFLICT DO NOTHING;
				ELSIF what < 0.75 THEN DELETE FROM links AS l WHERE (l.f, l.t) = (a, b) AND NOT EXISTS (SELECT FROM kept AS k WHERE (k.f, k.t) = (a, b));
				ELSE UPDATE links AS l SET t = c, label = d WHERE (l.f, l.t) = (a, b) AND NOT EXISTS (SELECT FROM kept AS k WHERE (k.f, k.t) = (a, b));
				END IF;
			EXCEPTION WHEN unique_violation THEN NULL;
			END;
			IF random() < 0.3 THEN PERFORM pg_sleep(random() * 0.03); END IF;
			COMMIT;
		END LOOP;
	END $$;
	CREATE PROCEDURE by_hand(steps int, labelled bool) LANGUAGE plpgsql AS $$
	DECLARE a text; b text;
	BEGIN
		FOR i IN 1 .. steps LOOP
			a := 101 + floor(random() * 6); b := 201 + floor(random() * 6);
			IF random() < 0.5 THEN PERFORM hs_assoc_archive('contacts', a, 'companies', b);
			ELSIF labelled THEN PERFORM hs_assoc_create('contacts', a, 'companies', b, labels => ARRAY['Beta']);
			ELSE PERFORM hs_assoc_create_default('contacts', a, 'companies', b);
			END IF;
			PERFORM pg_sleep(random() * 0.02);
			COMMIT;
		END LOOP;
	END $$;
	CREATE PROCEDURE repair() LANGUAGE plpgsql AS $$
	DECLARE how text; many bigint;
	BEGIN
		WHILE NOT EXISTS (SELECT FROM finished) LOOP
			how := CASE WHEN random() < 0.3 THEN 'add' ELSE 'mirror' END;
			many := hs_assoc_repair('links', CASE WHEN random() < 0.3 THEN 'SELECT f AS from_id FROM names' END, how, 1000);
			INSERT INTO repaired VALUES (how, many);
			COMMIT;
		END LOOP;
	END $$});

note("SEED=$first ($seeds of them)");
foreach my $i (0 .. $seeds - 1)
{
	my $seed = $first + $i;
	my @problems = eval { run_seed($seed) };
	push @problems, $@ if $@;
	is(join("\n", @problems), '', "seed $seed") or diag("again: SEED=$seed make test PROVE_TESTS=test/t/403_repair.pl");
}
note(join ', ', map { "$_: $done{$_}" } sort keys %done);
cmp_ok($done{removals}, '>', 0, 'some repairs have removed something') unless $seeds < 6;
$_->quit foreach $session, values %other;
done_testing();

sub run_seed
{
	my ($seed) = @_;
	srand $seed;
	my $shape = (qw(ids labels keys))[ rand 3 ];
	my $hand = rand() < 0.5;
	my @problems;

	begin_seed($shape);
	$other{$_}->query("SELECT setseed($seed % 1000000 / 1000000.0)") foreach sort keys %other;
	$other{$_}->query('SET client_min_messages = error') foreach sort keys %other;
	$hubspot->clear_log;
	$other{repair}->send('CALL repair()');
	$other{$_}->send('CALL write(60)') foreach qw(writer1 writer2 writer3);
	$other{hand}->send("CALL by_hand(40, @{[ $shape eq 'labels' ? 'true' : 'false' ]})") if $hand;
	foreach my $name (qw(writer1 writer2 writer3), $hand ? 'hand' : ())
	{
		my (undef, $err) = $other{$name}->finish;
		push @problems, "$name: $err" if $err;
	}
	$session->query('INSERT INTO finished VALUES (true)');
	my (undef, $err) = $other{repair}->finish;
	push @problems, "repair: $err" if $err;
	drain();
	if ($hand)
	{
		$session->query(q{SELECT hs_assoc_repair('links', 'SELECT f AS from_id FROM names', 'mirror', 1000)});
		drain();
	}
	push @problems, equal($shape), gone($shape);
	push @problems, 'dead letters: ' . $session->query('SELECT count(*) FROM hs_assoc_dead_letter') if $session->query('SELECT count(*) FROM hs_assoc_dead_letter') > 0;
	push @problems, 'a drift is left: ' . $session->query(q{SELECT string_agg(concat_ws(' ', action, from_id, to_id, label), ', ') FROM hs_assoc_drift('links', 'SELECT f AS from_id FROM names')})
	  if $session->query(q{SELECT count(*) FROM hs_assoc_drift('links', 'SELECT f AS from_id FROM names')}) > 0;
	my ($repairs, $repaired) = split /\|/, $session->query('SELECT count(*), coalesce(sum(enqueued), 0) FROM repaired');
	$done{repairs} += $repairs;
	$done{repaired} += $repaired;
	return map { "$shape" . ($hand ? ', by hand' : '') . ": $_" } @problems;
}

sub drain
{
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 }) or die 'the outbox does not get empty';
	return;
}

sub begin_seed
{
	my ($shape) = @_;
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com", hs_additional_emails => "also$_\@example.com" } } } 1 .. 8 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 8 ]);
	$hubspot->control('POST', '/labels', { from_type => 'contacts', to_type => 'companies', label => $_, name => lc }) foreach qw(Alpha Beta);
	my ($f, $t, $from, $to) = $shape eq 'keys' ? (q{'c' || i || '@example.com'}, q{'d' || i || '.example'}, 'contacts:email', 'companies:domain')
	  : ('100 + i', '200 + i', 'contacts', 'companies');
	my $typed = $shape eq 'labels' ? q{, label_column => 'label'} : '';

	$session->query(qq{
		SELECT hs_assoc_disable_sync('links');
		TRUNCATE links, kept, names, finished, repaired, hs_assoc_outbox, hs_assoc_dead_letter;
		INSERT INTO names SELECT i, $f, $t FROM generate_series(1, 8) i;
		UPDATE names SET f = 'also1\@example.com', t = 'D1.Example' WHERE f LIKE 'c1\@%';
		INSERT INTO kept SELECT a.f, b.t, 'Alpha' FROM names a, names b WHERE (a.n * 7 + b.n * 3) % 4 = 0;
		INSERT INTO links SELECT * FROM kept;
		SELECT hs_assoc_enable_sync('links', '$from', 'f', '$to', 't'$typed, backfill => true)});
	drain();
	return;
}

sub wanted
{
	my ($table, $shape) = @_;
	my ($f, $t) = $shape eq 'keys' ? ("100 + regexp_replace(f, '[^0-9]', '', 'g')::int", "200 + substring(t, '[0-9]+')::int") : qw(f t);
	my $label = $shape eq 'labels' ? ' || (CASE label WHEN \'Alpha\' THEN \' Alpha\' ELSE \' Beta\' END)' : '';
	return $session->query("SELECT DISTINCT $f || ' ' || $t$label AS pair FROM $table ORDER BY 1");
}

sub equal
{
	my ($shape) = @_;
	my $wanted = wanted('links', $shape);
	my $held = join "\n", sort map {
		my $pair = "$_->{from_id} $_->{to_id}";
		$shape eq 'labels' ? map { "$pair $_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $_->{types} } : $pair
	} @{ $hubspot->associations('contacts', 'companies') };
	return $wanted eq $held ? () : "wanted:\n$wanted\nheld:\n$held";
}

# What the outbox has removed that was in the table all the time
sub gone
{
	my ($shape) = @_;
	my %kept = map { s/ Alpha//r => 1 } split /\n/, wanted('kept', $shape);
	my @gone;

	foreach my $entry (grep { $_->{operation} =~ /^batch_archive/ } @{ $hubspot->log })
	{
		foreach my $input (@{ $json->decode($entry->{body})->{inputs} })
		{
			my $types = $input->{types} // [];
			foreach my $to (ref $input->{to} eq 'ARRAY' ? @{ $input->{to} } : $input->{to})
			{
				my $pair = "$input->{from}{id} $to->{id}";
				$done{removals}++;
				next unless $kept{$pair};
				# of a labelled one, only what it should not have may go
				push @gone, "$pair was removed: $entry->{body}" unless @$types && !grep { $_->{associationTypeId} == alpha() } @$types;
			}
		}
	}
	return @gone;
}

sub alpha { return $session->query(q{SELECT type_id FROM hs_assoc_labels('contacts', 'companies') WHERE label = 'Alpha'}) }
