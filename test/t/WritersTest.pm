
=pod

=head1 NAME

WritersTest - a table in sync, with random writers, for the tests of what puts it right

=head1 DESCRIPTION

The table links is in sync. Others write to it, and to HubSpot, at random, but never touch
the rows that the table kept has, too; the table names has what records may be called. A
table is of one of three shapes: ids, labels (with a column for one), or keys.

=cut

package WritersTest;

use strict;
use warnings;

use Cpanel::JSON::XS ();
use Exporter 'import';

our @EXPORT = qw(create_writers start_links unequal removed_although_kept);

my $json = Cpanel::JSON::XS->new->utf8;

=head1 FUNCTIONS

=over

=item create_writers($session, statement => ..., hand => ...)

Creates the tables, and the procedures write(steps), which changes links, and by_hand(steps,
labelled), which changes what HubSpot holds. How these pause after each step is SQL.

=cut

sub create_writers
{
	my ($session, %pause) = @_;
	$session->query(qq{
	CREATE TABLE links (f text, t text, label text, UNIQUE (f, t));
	CREATE TABLE kept (f text, t text, label text);
	CREATE TABLE names (n int, f text, t text);
	CREATE PROCEDURE write(steps int) LANGUAGE plpgsql AS \$\$
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
			$pause{statement};
			COMMIT;
		END LOOP;
	END \$\$;
	CREATE PROCEDURE by_hand(steps int, labelled bool) LANGUAGE plpgsql AS \$\$
	DECLARE a text; b text;
	BEGIN
		FOR i IN 1 .. steps LOOP
			a := 101 + floor(random() * 6); b := 201 + floor(random() * 6);
			IF random() < 0.5 THEN PERFORM hs_assoc_archive('contacts', a, 'companies', b);
			ELSIF labelled THEN PERFORM hs_assoc_create('contacts', a, 'companies', b, labels => ARRAY['Beta']);
			ELSE PERFORM hs_assoc_create_default('contacts', a, 'companies', b);
			END IF;
			$pause{hand};
			COMMIT;
		END LOOP;
	END \$\$});
	return;
}

=item start_links($session, $simulator, shape[, more arguments of hs_assoc_enable_sync])

Begins anew: HubSpot has the records, and links its rows, which are in the outbox then.

=cut

sub start_links
{
	my ($session, $hubspot, $shape, $more) = @_;
	my ($f, $t, $from, $to) = $shape eq 'keys' ? (q{'c' || i || '@example.com'}, q{'d' || i || '.example'}, 'contacts:email', 'companies:domain')
	  : ('100 + i', '200 + i', 'contacts', 'companies');
	my $arguments = join ', ', $shape eq 'labels' ? q{label_column => 'label'} : (), 'backfill => true', $more // ();

	$session->query(q{SELECT hs_assoc_disable_sync('links'); TRUNCATE links, kept, names, hs_assoc_outbox, hs_assoc_dead_letter});
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com", hs_additional_emails => "also$_\@example.com" } } } 1 .. 8 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 8 ]);
	$hubspot->put_label('contacts', 'companies', $_) foreach qw(Alpha Beta);
	$session->query(qq{
		INSERT INTO names SELECT i, $f, $t FROM generate_series(1, 8) i;
		UPDATE names SET f = 'also1\@example.com', t = 'D1.Example' WHERE f LIKE 'c1\@%';
		INSERT INTO kept SELECT a.f, b.t, 'Alpha' FROM names a, names b WHERE (a.n * 7 + b.n * 3) % 4 = 0;
		INSERT INTO links SELECT * FROM kept;
		SELECT hs_assoc_enable_sync('links', '$from', 'f', '$to', 't', $arguments)});
	return;
}

# What a table says, as HubSpot has it
sub wanted
{
	my ($session, $table, $shape) = @_;
	my ($f, $t) = $shape eq 'keys' ? ("100 + regexp_replace(f, '[^0-9]', '', 'g')::int", "200 + substring(t, '[0-9]+')::int") : qw(f t);
	my $label = $shape eq 'labels' ? q{ || (CASE label WHEN 'Alpha' THEN ' Alpha' ELSE ' Beta' END)} : '';
	return $session->query("SELECT DISTINCT $f || ' ' || $t$label AS pair FROM $table ORDER BY 1");
}

=item unequal($session, $simulator, shape[, records => 'named'])

In what links and HubSpot differ, or nothing; of records that links names alone, if that is
said.

=cut

sub unequal
{
	my ($session, $hubspot, $shape, %of) = @_;
	my $wanted = wanted($session, 'links', $shape);
	my %named = map { (split / /)[0] => 1 } split /\n/, $wanted;
	my $held = join "\n", sort map {
		my $pair = "$_->{from_id} $_->{to_id}";
		$shape eq 'labels' ? map { "$pair $_->{label}" } grep { $_->{category} eq 'USER_DEFINED' } @{ $_->{types} } : $pair
	} grep { !$of{records} || $named{ $_->{from_id} } } @{ $hubspot->associations('contacts', 'companies') };
	return $wanted eq $held ? () : "wanted:\n$wanted\nheld:\n$held";
}

=item removed_although_kept($session, $simulator, shape)

How many removals the simulator's log has, and what of it was in the table all the time.

=back

=cut

sub removed_although_kept
{
	my ($session, $hubspot, $shape) = @_;
	my %kept = map { s/ Alpha//r => 1 } split /\n/, wanted($session, 'kept', $shape);
	my $alpha = $session->query(q{SELECT type_id FROM hs_assoc_labels('contacts', 'companies') WHERE label = 'Alpha'});
	my $removals = 0;
	my @removed;

	foreach my $entry (grep { $_->{operation} =~ /^batch_archive/ } @{ $hubspot->log })
	{
		foreach my $input (@{ $json->decode($entry->{body})->{inputs} })
		{
			my $types = $input->{types} // [];
			foreach my $to (ref $input->{to} eq 'ARRAY' ? @{ $input->{to} } : $input->{to})
			{
				my $pair = "$input->{from}{id} $to->{id}";
				$removals++;
				next unless $kept{$pair};
				# of a labelled one, only what it should not have may go
				push @removed, "$pair was removed: $entry->{body}" unless @$types && !grep { $_->{associationTypeId} == $alpha } @$types;
			}
		}
	}
	return ($removals, @removed);
}

1;
