# Plans: what they say, and what an apply makes of it, is what an oracle in SQL says.
#
# A seed makes associations of all kinds, and rows that are wanted: typed or not, with
# keys on either side, with and without a scope, doubled, with nulls, with what nobody has.
# In half of the seeds nothing goes wrong: then the plan is what the oracle says, row by
# row; the apply makes HubSpot hold that, and nothing else; the next plan is empty but for
# what cannot be resolved.  In the others requests fail, records cannot be read, inputs
# are refused, and somebody else changes associations in the middle: then nothing is
# removed that was not shown, and each difference that is left has its row.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use List::Util qw(any shuffle uniq);
use Test::More;

my $json = Cpanel::JSON::XS->new->utf8->allow_nonref;
my @seeds = seeds(10, 80);
my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s');
my $session = start_session($node);
$session->query('SET client_min_messages = error');
$session->query(q{
	CREATE TABLE given (n int, kind text, f text, t text, label text, category text, type_id int);
	CREATE TABLE known (side text, given text, record text);
	CREATE TABLE labels (label text, category text, type_id int);
	CREATE TABLE managed (category text, type_id int);
	CREATE TABLE held (f text, t text, category text, type_id int, label text)});

# What the records of each type are called; a property that has to be searched for, too
my %types = (
	contacts => { first => 101, property => 'email', value => 'c%d@x.example' },
	companies => { first => 201, property => 'domain', value => 'd%d.example' },
	deals => { first => 301, property => 'erp', value => 'E-%d' });
my @directions = ([qw(contacts companies)], [qw(contacts deals)], [qw(deals companies)], [qw(companies contacts)],
	[qw(contacts contacts)], [qw(companies companies)], [qw(deals deals)]);
my ($case, @problems, %all);

# some more, if they are so many, until all kinds of changes have come
my @kinds = qw(add archive create remove skipped unreadable unresolved);
for (my $i = 0; $i < @seeds || (@seeds >= 60 && $i < 5 * @seeds && grep { !$all{$_} } @kinds); $i++)
{
	try_seed($seeds[0] + $i, sub { @problems = (); run_seed(); return @problems },
		sub { return $json->pretty->canonical->encode($case->{shown} // {}) });
}
note(join ', ', map { "$_: $all{$_}" } sort keys %all);
is(join(' ', grep { !$all{$_} } @kinds), '', 'all kinds of changes are among them')
  unless @seeds < 60;

$session->quit;
done_testing();

sub pick { return $_[ rand @_ ] }
sub maybe { my ($chance) = @_; return rand() < $chance }
sub quote { my ($text) = @_; return 'NULL' unless defined $text; $text =~ s/'/''/g; return "'$text'" }
sub rows { my ($sql) = @_; return map { $json->decode($_) } grep { /^\{/ } split /\n/, $session->query($sql) }

# Puts rows into a table of the oracle's, in place of others.
sub fill
{
	my ($table, @rows) = @_;
	my @texts = map { '(' . join(', ', map { quote($_) } @$_) . ')' } @rows;

	return "TRUNCATE $table;" . (@texts ? "INSERT INTO $table VALUES " . join(', ', @texts) . ';' : '');
}

sub run_seed
{
	make_case();
	$case->{before} = held();
	$session->query(fill('held', map { [ @$_{qw(f t category type_id label)} ] } @{ $case->{before} }));
	return maybe(0.5) ? check_calm() : check_storm();
}

#
# A case
#
sub make_case
{
	my ($from, $to) = @{ pick(@directions) };
	my $typed = maybe(0.5);

	$case = { from => $from, to => $to, symmetric => $from eq $to, typed => $typed, mirrors => maybe(0.8) };
	$case->{from_keys} = maybe(0.3);
	$case->{to_keys} = maybe(0.3);
	$hubspot->reset;
	$hubspot->settings({
		page_size => pick(1, 2, 500), search_rate_limit => undef, id_form => pick(qw(string number mixed)),
		archive_missing => pick(204, 'item'), archive_status => pick(200, 204, undef), bad_batch => pick(qw(partial whole canceled unnamed)),
		missing_keys => pick(qw(named empties silent)) });
	$hubspot->property({ type => 'deals', name => 'erp', unique => \1 });
	make_records($_) foreach uniq($from, $to);
	make_labels() if $typed || maybe(0.5);
	make_held();
	make_given();
	return;
}

sub make_records
{
	my ($type) = @_;
	my $about = $types{$type};
	my @ids = map { $about->{first} + $_ } 0 .. 7;

	$hubspot->put_records($type, [ map { { id => "$_", properties => { $about->{property} => sprintf $about->{value}, $_ } } } @ids ]);
	$case->{ids}{$type} = [ @ids ];
	return;
}

# Labels of the direction, with another one the other way
sub make_labels
{
	$case->{labels} = [ map {
		my $reply = $hubspot->put_label($case->{from}, $case->{to}, $_, inverse_label => "$_ of");
		[ $_, @{ $reply->{types}[0] }{qw(category type_id)} ]
	} qw(Alpha Beta Gamma) ];
	return;
}

sub plain_type
{
	my %plain = ('contacts companies' => 279, 'contacts deals' => 4, 'deals companies' => 341, 'companies contacts' => 280,
		'contacts contacts' => 449, 'companies companies' => 450, 'deals deals' => 451);
	return ('HUBSPOT_DEFINED', $plain{"$case->{from} $case->{to}"});
}

sub make_held
{
	my @types = ([ plain_type() ], map { [ @$_[ 1, 2 ] ] } @{ $case->{labels} // [] });
	my $density = pick(0, 0.1, 0.3, 0.6);

	foreach my $type (@types)
	{
		my @pairs = grep { maybe($density) } pairs();
		$hubspot->put_associations($case->{from}, $case->{to}, [ map { [ map { "$_" } @$_ ] } @pairs ], types => [ { category => $type->[0], type_id => $type->[1] } ]) if @pairs;
	}
	return;
}

sub pairs { return map { my $f = $_; map { [ $f, $_ ] } grep { $_ != $f } @{ $case->{ids}{ $case->{to} } } } @{ $case->{ids}{ $case->{from} } } }

# What is wanted, and of whom
sub make_given
{
	my $density = pick(0, 0.1, 0.3, 0.3, 0.6);
	my @wanted = map { [ @$_ ] } grep { maybe($density) } pairs();
	my @records = grep { maybe(0.6) } @{ $case->{ids}{ $case->{from} } };
	my $has_scope = $case->{has_scope} = maybe(0.4);
	my (@given, %known);

	@wanted = grep { my $f = $_->[0]; any { $_ == $f } @records } @wanted if $has_scope && maybe(0.9);
	push @wanted, map { [ @{ pick(@wanted) } ] } 1 .. rand 3 if @wanted;
	push @wanted, [ pick(@records), undef ] if @records && maybe(0.15);
	push @wanted, [ undef, 201 ] if maybe(0.05);
	push @wanted, [ pick(@records), 'nobody' ] if @records && $case->{to_keys} && maybe(0.2);
	push @wanted, [ 'nobody', pick(@{ $case->{ids}{ $case->{to} } }) ] if $case->{from_keys} && maybe(0.2);
	foreach my $row (shuffle @wanted)
	{
		push @given, [ scalar(@given) + 1, 'wanted', called('from', $row->[0]), called('to', $row->[1]), pick_type() ];
	}
	push @given, map { [ 0, 'scope', called('from', $_), undef, undef, undef, undef ] } @records, maybe(0.1) ? undef : () if $has_scope;
	$case->{by_label} = maybe(0.5);
	$case->{managed} = $case->{typed} && maybe(0.8) ? [ grep { maybe(0.7) } [ undef, plain_type() ], @{ $case->{labels} } ] : undef;
	foreach my $side ('from', 'to')
	{
		my $type = $case->{$side};
		$known{"$side " . called($side, $_)} = [ $side, called($side, $_), $_ ] foreach @{ $case->{ids}{$type} };
	}
	$session->query(fill('given', @given) . fill('known', values %known) . fill('labels', @{ $case->{labels} // [] })
		  . fill('managed', map { [ @$_[ 1, 2 ] ] } @{ $case->{managed} // [] }));
	return;
}

# How a row calls a record
sub called
{
	my ($side, $id) = @_;
	my $about = $types{ $case->{$side} };

	return $id unless defined $id && $case->{"${side}_keys"};
	return sprintf $about->{value}, $id eq 'nobody' ? 999 : $id;
}

# label, category, type_id
sub pick_type
{
	return (undef, undef, undef) unless $case->{typed};
	return (undef, undef, undef) if maybe(0.05);
	return ('Nothing of the kind', 'USER_DEFINED', undef) if maybe(0.03);
	my $type = pick([ undef, plain_type() ], @{ $case->{labels} }, @{ $case->{labels} });
	return @$type;
}

#
# The calls
#
sub call
{
	my ($function, %more) = @_;
	my $columns = !$case->{typed} ? '' : $case->{by_label} ? ', label, CASE WHEN label IS NULL THEN type_id END AS type_id' : ', category, type_id';
	my @arguments = (
		quote($case->{from} . ($case->{from_keys} ? ":$types{ $case->{from} }{property}" : '')),
		quote($case->{to} . ($case->{to_keys} ? ":$types{ $case->{to} }{property}" : '')),
		quote("SELECT f AS from_id, t AS to_id$columns FROM given WHERE kind = 'wanted' ORDER BY n"));

	push @arguments, 'scope => ' . quote(q{SELECT f AS from_id FROM given WHERE kind = 'scope'}) if $case->{has_scope};
	push @arguments, "mode => 'add'" unless $case->{mirrors};
	push @arguments, 'managed => ARRAY[' . join(', ', map { quote(defined $_->[0] && maybe(0.5) ? $_->[0] : "$_->[1]:$_->[2]") } @{ $case->{managed} }) . ']::text[]'
	  if $case->{managed};
	push @arguments, map { "$_ => $more{$_}" } sort keys %more;
	$case->{shown}{$function} = "SELECT * FROM $function(" . join(', ', @arguments) . ')';
	return "SELECT to_jsonb(c) FROM $function(" . join(', ', @arguments) . ') AS c ORDER BY change_no';
}

# The rows of a call, with the records that they mean.
sub changes
{
	my @changes = rows(call(@_));

	foreach my $change (@changes)
	{
		$change->{f} = $case->{from_keys} ? $change->{from_record} : $change->{from_id};
		$change->{t} = $case->{to_keys} ? $change->{to_record} : $change->{to_id};
		$all{ $change->{action} }++;
	}
	return @changes;
}

sub text { my ($change) = @_; return join ' ', map { $_ // '-' } @$change{qw(action f t category type_id)} }
sub place { my ($row) = @_; return join ' ', map { $_ // '-' } @$row{qw(f t category type_id)} }

sub held
{
	return [ map {
		my $row = $_;
		map { { f => $row->{from_id}, t => $row->{to_id}, %$_ } } @{ $row->{types} }
	} @{ $hubspot->associations($case->{from}, $case->{to}) } ];
}

#
# The oracle
#
sub oracle
{
	my ($typed, $mirrors, $symmetric, $by_label) = map { $_ ? 'true' : 'false' } @$case{qw(typed mirrors symmetric by_label)};
	my $scope = $case->{has_scope} ? q{SELECT r.record AS f FROM given JOIN known AS r ON r.side = 'from' AND r.given = f WHERE kind = 'scope'}
	  : 'SELECT f FROM wanted';

	return qq{
	WITH resolved AS (
		SELECT g.*, a.record AS fr, b.record AS tr,
			CASE WHEN $by_label THEN coalesce(l.category, 'HUBSPOT_DEFINED') ELSE coalesce(g.category, 'HUBSPOT_DEFINED') END AS c,
			CASE WHEN $by_label THEN coalesce(l.type_id, CASE WHEN g.label IS NULL THEN g.type_id END) ELSE g.type_id END AS i
		FROM given AS g
			LEFT JOIN known AS a ON a.side = 'from' AND a.given = g.f
			LEFT JOIN known AS b ON b.side = 'to' AND b.given = g.t
			LEFT JOIN labels AS l ON l.label = g.label
		WHERE kind = 'wanted'
	), wanted AS (
		SELECT DISTINCT fr AS f, tr AS t, CASE WHEN $typed THEN c END AS c, CASE WHEN $typed THEN i END AS i FROM resolved
		WHERE fr IS NOT NULL AND tr IS NOT NULL AND (NOT $typed OR i IS NOT NULL)
	), unresolved AS (
		SELECT fr, tr FROM resolved WHERE fr IS NULL OR tr IS NULL OR ($typed AND i IS NULL)
	), spared AS (
		SELECT fr AS r FROM unresolved WHERE fr IS NOT NULL UNION SELECT tr FROM unresolved WHERE $symmetric AND tr IS NOT NULL
	), scope AS (
		SELECT DISTINCT f FROM ($scope) AS s
	), removable AS (
		SELECT h.* FROM held AS h
		WHERE f IN (SELECT f FROM scope) AND $mirrors
			AND NOT ($symmetric AND EXISTS (SELECT FROM wanted AS w WHERE (w.f, w.t) = (h.t, h.f)))
			AND CASE WHEN $typed THEN (category, type_id) IN (SELECT category, type_id FROM managed)
				AND NOT EXISTS (SELECT FROM wanted AS w WHERE (w.f, w.t, w.c, w.i) = (h.f, h.t, h.category, h.type_id))
			ELSE NOT EXISTS (SELECT FROM wanted AS w WHERE (w.f, w.t) = (h.f, h.t)) END
	), removed AS (
		SELECT DISTINCT f, t, CASE WHEN $typed THEN category END AS c, CASE WHEN $typed THEN type_id END AS i FROM removable AS r
		WHERE f NOT IN (SELECT r FROM spared) AND NOT ($symmetric AND t IN (SELECT r FROM spared))
			AND NOT ($typed AND label IS NULL AND (
				EXISTS (SELECT FROM wanted AS w WHERE (w.f, w.t) = (r.f, r.t))
				OR EXISTS (SELECT FROM held AS h WHERE (h.f, h.t) = (r.f, r.t)
					AND NOT EXISTS (SELECT FROM removable AS o WHERE (o.f, o.t, o.category, o.type_id) = (h.f, h.t, h.category, h.type_id)))))
	), added AS (
		SELECT w.*, EXISTS (SELECT FROM held AS h WHERE (h.f, h.t) = (w.f, w.t)) AS there FROM wanted AS w
		WHERE f IN (SELECT f FROM scope)
			AND NOT EXISTS (SELECT FROM held AS h WHERE (h.f, h.t) = (w.f, w.t) AND (NOT $typed OR (h.category, h.type_id) = (w.c, w.i)))
	)
	SELECT to_jsonb(x) FROM (
		SELECT CASE WHEN $typed THEN 'remove' ELSE 'archive' END AS action, f, t, c AS category, i AS type_id FROM removed
		UNION ALL SELECT CASE WHEN there THEN 'add' ELSE 'create' END, f, t, c, i FROM added
		UNION ALL SELECT 'unresolved', NULL, NULL, NULL, NULL FROM unresolved
		UNION ALL SELECT 'unresolved', NULL, NULL, NULL, NULL FROM given WHERE kind = 'scope' AND f IS NULL
		UNION ALL SELECT 'outside', f, NULL, NULL, NULL FROM (SELECT DISTINCT f FROM wanted WHERE f NOT IN (SELECT f FROM scope)) AS o) AS x};
}

sub expected
{
	return rows(oracle());
}

# What cannot be resolved counts by number alone.
sub comparable
{
	return join "\n", sort map { $_->{action} eq 'unresolved' ? 'unresolved' : text($_) } @_;
}

#
# Nothing goes wrong
#
sub check_calm
{
	my @expected = expected();
	my @outside = grep { $_->{action} eq 'outside' } @expected;
	my (@planned, @applied, %state);

	if (@outside)
	{
		$session->send(call('hs_assoc_apply', max_removals => 1000));
		my ($out, $err) = $session->finish;
		problem("a wanted row outside the scope is no error: $out") unless $err =~ /a wanted row is outside the scope/;
		problem('something was changed outside the scope') if same(held(), $case->{before});
		return;
	}
	@planned = changes('hs_assoc_plan');
	compare('the plan', comparable(@planned), comparable(@expected));
	problem('a plan has changed something') if same(held(), $case->{before});
	problem('a plan has ok') if any { defined $_->{ok} } @planned;
	@applied = changes('hs_assoc_apply', max_removals => 1000);
	compare('the rows of the apply', join("\n", map { text($_) } @applied), join("\n", map { text($_) } @planned))
	  unless any { $_->{action} eq 'skipped' } @applied;
	problem('not ok: ' . $json->encode($_)) foreach grep { $_->{action} ne 'unresolved' && !$_->{ok} } @applied;
	problem('ok: ' . $json->encode($_)) foreach grep { $_->{action} eq 'unresolved' && $_->{ok} } @applied;

	%state = map { place($_) => 1 } @{ $case->{before} };
	change_state(\%state, $_) foreach @planned;
	compare('what is held afterwards', join("\n", sort map { place($_) } @{ held() }), join("\n", sort keys %state));
	my @next = changes('hs_assoc_plan');
	compare('the next plan', comparable(@next), comparable(grep { $_->{action} eq 'unresolved' } @planned));
	return;
}

# What a change makes of a state, {place => 1}
sub change_state
{
	my ($state, $change) = @_;
	my ($f, $t) = @$change{qw(f t)};
	my $action = $change->{action};
	my @type = defined $change->{category} ? @$change{qw(category type_id)} : plain_type();

	return if $action eq 'unresolved';
	if ($action eq 'archive')
	{
		delete $state->{$_} foreach grep { /^$f $t / || ($case->{symmetric} && /^$t $f /) } keys %$state;
		return;
	}
	my @places = ("$f $t @type");
	push @places, "$t $f " . join ' ', inverse(@type) if $case->{symmetric};
	foreach (@places)
	{
		delete $state->{$_} if $action eq 'remove';
		$state->{$_} = 1 if $action ne 'remove';
	}
	return;
}

# Labels are made in pairs of numbers.
sub inverse
{
	my ($category, $type_id) = @_;
	return ($category, $type_id) unless $category eq 'USER_DEFINED';
	return ($category, $type_id % 2 ? $type_id + 1 : $type_id - 1);
}

sub same
{
	my ($a, $b) = map { join "\n", sort map { place($_) } @$_ } @_;
	return $a ne $b;
}

sub problem { push @problems, $_[0]; return }

sub compare
{
	my ($what, $got, $wanted) = @_;
	return if $got eq $wanted;
	my %got = map { $_ => 1 } split /\n/, $got;
	my %wanted = map { $_ => 1 } split /\n/, $wanted;
	problem("$what: unexpected: " . join(', ', grep { !$wanted{$_} } sort keys %got) . '; missing: '
		  . join(', ', grep { !$got{$_} } sort keys %wanted) . (join(' ', sort keys %got) eq join(' ', sort keys %wanted) ? ": $got; $wanted" : ''));
	return;
}

#
# Much goes wrong
#
sub check_storm
{
	my @expected = expected();
	my (%touched, @applied, @after, %shown, %before, %after, %failed);

	return if any { $_->{action} eq 'outside' } @expected;
	%touched = make_trouble();
	eval { @applied = changes('hs_assoc_apply', max_removals => 1000); 1 } or do
	{
		# the scope's rows may be among those that could not be looked up
		die $@ unless $@ =~ /outside the scope.*Not all keys could be resolved/s;
		$hubspot->clear_rules;
		problem('something was changed, in spite of an error') if $hubspot->log_count('batch/(archive|labels/archive|create|associate)');
		return;
	};
	$case->{shown}{rows} = [ map { join ' ', text($_), $_->{ok} ? 'ok' : "not ok: $_->{error_category}" } @applied ];
	$hubspot->clear_rules;
	@after = @{ held() };
	%before = map { place($_) => $_ } @{ $case->{before} };
	%after = map { place($_) => $_ } @after;
	foreach my $change (@applied)
	{
		my ($f, $t) = map { $_ // '-' } @$change{qw(f t)};
		my @places = defined $change->{category} ? (place($change)) : ("$f $t");

		if ($case->{symmetric} && $change->{action} =~ /^(archive|remove|skipped)$/)
		{
			push @places, defined $change->{category} ? "$t $f " . join(' ', inverse(@$change{qw(category type_id)})) : "$t $f";
		}
		$shown{$_} = $change->{action} foreach @places;
		$failed{$_} = 1 foreach grep { !$change->{ok} } @places, $change->{action} =~ /^un/ ? ($f, $case->{symmetric} ? $t : ()) : ();
	}
	# a row may be anybody's: of either side, where those of both are alike
	my $anybody = any {
		$_->{action} eq 'unresolved' && $_->{error_category} !~ /NOT_FOUND/
		  && (!defined $_->{f} && ($_->{error_category} ne 'INVALID_INPUT' || $case->{from_keys} && defined $_->{from_id})
			|| !defined $_->{t} && $case->{symmetric} && $case->{to_keys})
	} @applied;
	my $is_shown = sub { my ($place) = @_; my ($pair) = $place =~ /^(\S+ \S+)/; return $shown{$place} // $shown{$pair} };
	my $is_touched = sub { my ($place) = @_; my ($pair) = $place =~ /^(\S+ \S+)/; return $touched{$pair} };

	# nothing is removed that was not shown, nor of a record that something is not known of
	foreach my $place (grep { !$after{$_} && !$is_touched->($_) } sort keys %before)
	{
		my ($f) = $place =~ /^(\S+)/;
		my $action = $is_shown->($place);

		problem("$place is gone, and was not shown") unless defined $action && $action =~ /^(archive|remove)$/;
		problem("$place is gone, of a record that is not known well") if $failed{$f} && !$case->{symmetric};
		problem("$place is gone, with mode add") unless $case->{mirrors};
	}
	# nothing is added that was not shown
	foreach my $place (grep { !$before{$_} && !$is_touched->($_) } sort keys %after)
	{
		my ($f, $t, @type) = split / /, $place;
		my @reverse = $case->{symmetric} ? ("$t $f", "$t $f " . join(' ', inverse(@type))) : ();

		problem("$place has come, and was not shown") unless any { ($shown{$_} // '') =~ /^(create|add)$/ } $place, "$f $t", @reverse;
	}
	# each difference that is left has its row
	foreach my $change (@expected)
	{
		my ($f, $t) = @$change{qw(f t)};

		next if !defined $f || $touched{"$f $t"} || $anybody;
		my $place = defined $change->{category} ? place($change) : "$f $t";
		my $is_there = any { index("$_ ", "$place ") == 0 } keys %after;
		my $is_wanted = $change->{action} =~ /^(create|add)$/;
		next if !$is_there == !$is_wanted || $failed{$place} || $failed{$f} || ($case->{symmetric} && ($failed{$t} || $failed{"$t $f"}));
		problem("$change->{action} $place was neither done nor told");
	}
	# what is said to be done is
	foreach my $change (grep { $_->{ok} && $_->{action} =~ /^(create|add|archive|remove)$/ && !$touched{"$_->{f} $_->{t}"} } @applied)
	{
		my $place = defined $change->{category} ? place($change) : "$change->{f} $change->{t}";
		my $is_there = any { index("$_ ", "$place ") == 0 } keys %after;

		problem("$change->{action} $place is ok, and not done") if !$is_there == ($change->{action} =~ /^(create|add)$/);
	}
	return;
}

# Rules that make requests fail; and the pairs that somebody else changes.
sub make_trouble
{
	my @records = @{ $case->{ids}{ $case->{from} } };
	my (@rules, %touched);

	push @rules, { match => { path => 'associations/.*/batch/read', id => pick(@records) }, action => { status => pick(400, 404, 500, 503) } } if maybe(0.4);
	push @rules, { match => { path => 'associations/.*/batch/read', after => 1, first => 3 }, action => { status => pick(400, 500, 403) } } if maybe(0.15);
	push @rules, { match => { path => 'associations/.*/batch/read', id => pick(@records) }, action => { results => [ pick('drop:1', 'shuffle', 'foreign', 'double') ] } } if maybe(0.3);
	push @rules, { match => { path => 'batch/(archive|labels/archive)', first => int rand 3 }, action => { status => pick(400, 500, 503), maybe(0.3) ? (act => \1) : () } } if maybe(0.4);
	push @rules, { match => { path => 'batch/(create|associate/default)', id => pick(@records) }, action => { status => pick(400, 500, 401) } } if maybe(0.4);
	push @rules, { match => { path => '/search|objects/.*/batch/read', first => 1 }, action => { status => pick(500, 400, 429) } } if maybe(0.15);
	# an answer without a body is whole once its head is there
	push @rules, { match => { every => pick(3, 5) }, action => { pick([ reset => 'before' ], [ reset => 'headers', act => \1 ], [ reset => 'body', act => \1 ])->@* } } if maybe(0.1);
	if (maybe(0.5))
	{
		my @types = ([ plain_type() ], map { [ @$_[ 1, 2 ] ] } @{ $case->{labels} // [] });
		my @changed = (shuffle pairs())[ 0 .. 1 + rand 12 ];
		my @changes = map { [ $case->{from}, "$_->[0]", $case->{to}, "$_->[1]", maybe(0.5) ? [] : [ map { [ $_->[0], 0 + $_->[1] ] } pick(@types) ] ] } @changed;

		unshift @rules, { match => { path => 'associations/.*/batch/read', first => 1 }, action => { meanwhile => \@changes } };
		$touched{"$_->[0] $_->[1]"} = 1, $case->{symmetric} && ($touched{"$_->[1] $_->[0]"} = 1) foreach @changed;
	}
	if (maybe(0.3))
	{
		my $type = $case->{ pick(qw(from to)) };
		my @missing = map { "$_" } (shuffle @{ $case->{ids}{$type} })[ 0, 1 ];

		# it is read as one that has nothing, and is not found by its key
		$hubspot->objects({ type => $type, missing => \@missing });
		$case->{shown}{missing} = [ $type, @missing ];
		foreach my $pair (pairs())
		{
			my ($f, $t) = @$pair;
			$touched{"$f $t"} = 1 if any { $case->{from} eq $type && $f == $_ || $case->{to} eq $type && $t == $_ } @missing;
		}
	}
	$_->{match}{id} = "$_->{match}{id}" foreach grep { defined $_->{match}{id} } @rules;
	$_->{match}{first} ||= 1 foreach grep { exists $_->{match}{first} } @rules;
	$case->{shown}{rules} = \@rules;
	$hubspot->rules(\@rules) if @rules;
	return %touched;
}
