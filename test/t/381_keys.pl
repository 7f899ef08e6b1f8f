# Rows that are called by keys, of generated records: what becomes of each, and what
# HubSpot holds afterwards, is what an oracle says.
#
# A seed makes tables of records (with shared domains, further e-mails, values that
# differ in case alone, merges, changes that a search does not see yet), settings of the
# simulator (how it tells of missing keys, refuses properties that are not unique,
# compares), and statements of all kinds over inputs that mix keys in odd spellings, keys
# of nobody, nulls and what is no key. The oracle knows the simulator's records, and how
# keys are found: by the log, whether they were read or searched for.
#
# Where a record is in the answer for the sake of another key, it may be found by a name
# that HubSpot itself does not find it by; the oracle allows that, but never another
# record.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use List::Util qw(any first max min shuffle uniq);
use Test::More;

my $json = Cpanel::JSON::XS->new->utf8->allow_nonref;
my @seeds = seeds(5, 20);
my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s');
my $session = start_session($node);
$session->query('SET client_min_messages = error');

# The object types with their properties: is it folded, and unique by itself?
my %properties = (
	'contacts:email' => { folds => 1, unique => 1 },
	'companies:domain' => { folds => 1 },
	'contacts:ref' => {},
	'deals:erp' => {},
	'deals:sku' => {});
my @directions = ([qw(contacts companies)], [qw(contacts deals)], [qw(companies deals)], [qw(contacts contacts)], [qw(deals deals)]);
my %labels = ('contacts companies' => 1, 'contacts deals' => 1);

my @email_names = ('ann', 'bob', 'josé', "o'hara", 'q"uote', 'back\\slash', 'with space', '李', 'émile', '😀', 'x{1}', 'a,b', '%', 'ü' x 100);
my @exact_values = ('A-1', 'a-1', 'B2', 'b2', 'Ärger', 'ärger', 'x;y', 'X;Y', '007', '7', '7.0', '"q"', "'q'", '\\', '{}', 'null', 'NULL',
	'%_', 'a  b', "\x{e9}t\x{e9}", "e\x{301}te\x{301}", 'οδος', '李', '😀', 'y' x 1000, 'é' x 500, 'Z' x 999);
my $row_sql = q{jsonb_build_object('n', input_no, 'f', from_id, 't', to_id, 'ok', ok, 'c', error_category, 'm', error_message, 'fr', from_record, 'tr', to_record, 'e', error)};
my (%all, %records, %seen, %unique, $settings, %types, @problems);

try_seed($_, sub { @problems = (); run_seed(); return map { shown($_) } @problems }) foreach @seeds;

# All kinds of outcomes and of answers are among them
is(join(', ', sort keys %{ $all{kinds} }), 'ambiguous, found, invalid, missing, near, not_indexed', 'keys of each kind') unless $ENV{SEED} || @seeds < 20;
note(join ', ', map { "$_: $all{kinds}{$_}" } sort keys %{ $all{kinds} });

#
# Many keys: no more requests than they need, once it is known how to ask
#
$hubspot->reset;
$session->query(q{SELECT FROM hs_assoc_resolve('companies:domain', '{none.example}'::text[])});
$hubspot->reset;
$hubspot->generate_records(contacts => { count => 3000, properties => { email => 'contact{n}@example.com' } });
$hubspot->generate_records(companies => { count => 700, properties => { domain => 'company{n}.example' } });
$session->query('ALTER SERVER hubspot OPTIONS (ADD concurrency \'8\', SET batch_size \'2000\')');
is($session->query(q{SELECT count(*) || ' ' || count(*) FILTER (WHERE ok) || ' ' || count(*) FILTER (WHERE from_record || '@example.com' = lower(btrim(replace(from_id, 'contact', '')))
	AND to_record || '.example' = replace(to_id, 'company', ''))
	FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain', $$
		SELECT CASE i % 3 WHEN 0 THEN ' contact' ELSE 'contact' END || 1 + i * 7919::bigint % 3000 || CASE i % 2 WHEN 0 THEN '@EXAMPLE.com' ELSE '@example.com' END AS from_id,
			'company' || 1 + i * 104729::bigint % 700 || '.example' AS to_id FROM generate_series(1, 20000) AS i $$)}),
	'20000 20000 20000', '20,000 pairs of 3,000 e-mails and 700 domains: each is the right one');
my %counts = map { $_ => $hubspot->stats->{operations}{$_} } qw(read_records search_records);
is($counts{read_records}{inputs}, 3000, 'each e-mail is asked for once') || diag($json->encode(\%counts));
is($counts{search_records}{inputs}, 700, '... and each domain');
cmp_ok($counts{read_records}{requests}, '<=', 33, "... in $counts{read_records}{requests} reads");
cmp_ok($counts{search_records}{requests}, '<=', 8, "... and $counts{search_records}{requests} searches");

$session->quit;
done_testing();

# A problem, what is long in it cut
sub shown { my ($text) = @_; $text =~ s/(.)\1{30,}/$1.../g; return encode_utf8(substr $text, 0, 2500) }
sub pick { return $_[ rand @_ ] }

# A seed: the records, and statements
sub run_seed
{
	$hubspot->reset;
	if (rand() < 0.3)
	{
		# what a session has learned is gone
		$session->quit;
		$session = start_session($node);
		$session->query('SET client_min_messages = error');
	}
	my $batch_size = pick(100, 100, 100, 7, 2);
	$session->query(sprintf q{ALTER SERVER hubspot OPTIONS (%s batch_size '%d')}, $session->query(
		q{SELECT CASE WHEN srvoptions::text ~ 'batch_size' THEN 'SET' ELSE 'ADD' END FROM pg_foreign_server WHERE srvname = 'hubspot'}),
		$batch_size);
	make_records();
	$settings->{batch_size} = $batch_size;
	foreach my $n (1 .. 8)
	{
		my $statement = pick(\&pairs, \&pairs, \&pairs, \&single_pair, \&reads, \&resolves)->();
		last if @problems;
	}
	return;
}

#
# Records
#
sub make_records
{
	%unique = ('contacts:email' => 1, map { $_ => rand() < 0.5 } qw(contacts:ref deals:erp));
	foreach my $property (qw(contacts:ref deals:erp deals:sku))
	{
		my ($type, $name) = split /:/, $property;
		$hubspot->property({ type => $type, name => $name, unique => $unique{$property} ? \1 : \0 });
	}
	my @emails = map { "$_\@example.com" } (shuffle @email_names)[ 0 .. 9 ];
	my @values = shuffle @exact_values;
	my @more = map { "more$_\@home.example" } 1 .. 6;
	my @free = splice @emails, 0, 3;		# nobody's
	my %free;

	put(contacts => 101, { email => $_, maybe(0.3, hs_additional_emails => @more > 2 ? join(';', splice @more, 0, 1 + rand 2) : undef) })
	  foreach @emails;
	put(companies => 201, { domain => pick(grep { !/ ü/ } map { s/@/./r } @emails, @free) }) foreach 1 .. 12;
	if (rand() < 0.1)
	{
		put(companies => 5001, { domain => 'large.example' }) foreach 1 .. 230;
	}
	foreach my $property (qw(contacts:ref deals:erp deals:sku))
	{
		my ($type, $name) = split /:/, $property;
		my @some = shuffle @exact_values;

		foreach my $n (0 .. 9)
		{
			my $value = $unique{$property} ? $some[$n] : pick(@some[ 0 .. 7 ]);
			put($type => { contacts => 150, deals => 301 }->{$type}, { $name => $value });
		}
	}
	%seen = %{ snapshot() };
	$settings = {
		missing_keys => pick(qw(named empties silent)), not_unique => pick(qw(write read context plain)),
		key_case => pick(qw(exact any)), secondary_emails => pick(qw(found missing)), id_form => pick(qw(string number mixed)),
		batch_create_status => pick(200, 201), default_results => pick(qw(both forward)), archive_status => pick(200, 204, undef),
		archive_missing => pick(204, 404, 'item'), single_create_form => pick(qw(bare entity)), unknown_properties => pick(qw(refused ignored)),
		search_lag_ms => rand() < 0.5 ? 0 : 3_600_000 };
	$hubspot->settings($settings);

	# what has changed since
	foreach (1 .. rand 5)
	{
		my $type = pick(qw(contacts companies deals));
		my @ids = map { $_->{id} } @{ $hubspot->records($type) };
		my $kind = rand;
		my ($id, $into) = shuffle @ids;

		if ($kind < 0.6)
		{
			eval { $hubspot->merge_records($type, $id, $into, variant => pick(qw(survivor new vanished))) }
		}
		elsif ($kind < 0.8)
		{
			$hubspot->delete_records($type, id => $id);
		}
		else
		{
			put($type => 401, { $type eq 'contacts' ? (email => pick(@free)) : $type eq 'companies' ? (domain => pick(@free) =~ s/@/./r) : (sku => pick(@exact_values)) });
		}
	}
	%records = %{ snapshot() };
	%seen = %records unless $settings->{search_lag_ms};
	foreach my $direction (map { join ' ', @$_ } @directions)
	{
		my ($from, $to) = split / /, $direction;

		next unless $labels{$direction};
		$types{$direction} = { map {
			my $reply = $hubspot->put_label($from, $to, $_);
			$_ => "USER_DEFINED=$reply->{types}[0]{type_id}"
		} qw(Partner Adviser) };
	}
	return;
}

sub maybe { my ($chance, $name, $value) = @_; return defined $value && rand() < $chance ? ($name => $value) : () }

# A record with the next id; one that cannot be is left out.
sub put
{
	my ($type, $first_id, $values) = @_;
	my $id = 1 + max($first_id - 1, grep { $_ < $first_id + 999 } map { $_->{id} } @{ $hubspot->records($type) });

	eval { $hubspot->put_records($type, [ { id => "$id", properties => $values } ]) };
	return;
}

sub snapshot
{
	return { map { my $type = $_; $type => $hubspot->control('GET', '/records', undef, type => $type) } qw(contacts companies deals) };
}

#
# The oracle
#

# The normal form of what is given, or nothing if that can be no key.
sub normal
{
	my ($property, $given) = @_;
	return unless defined $given;
	$given =~ s/^[ \t-\r\x{a0}]+//;
	$given =~ s/[ \t-\r\x{a0}]+\z//;
	return if $given eq '' || length(encode_utf8($given)) > 1000 || $given =~ /[\x00-\x1f\x7f-\x9f]/;
	return $properties{$property}{folds} ? lc $given : $given;
}

# What may become of a key: a list of [kind, ids...], the first of which is the usual one.
# others are the keys that are asked for in the same statement.
sub resolve
{
	my ($property, $given, $way, @others) = @_;
	my $key = normal($property, $given) // return ['invalid'];
	my ($type, $name) = split /:/, $property;
	my @table = @{ ($way eq 'search' ? \%seen : \%records)->{$type}{records} };
	my @same = grep { lc($_->{properties}{$name} // '') eq lc $key } @table;
	my @exact = grep { $properties{$property}{folds} || $_->{properties}{$name} eq $key } @same;
	my @near = grep { my $record = $_; !any { $_ == $record } @exact } @same;

	return @exact > 1 ? [ 'ambiguous', map { $_->{id} } @exact ] : [ 'found', $exact[0]{id} ] if @exact;
	if ($way eq 'search')
	{
		my @further = map { [ 'found', $_->{id} ] } secondary($type, $name, $key, @table);
		return @near ? [ 'near', map { $_->{id} } @near ] : (['not_indexed'], @further);
	}
	my @further = map { [ 'found', $_->{id} ] } secondary($type, $name, $key, @table);
	return @further if @further && $settings->{secondary_emails} eq 'found';
	return [ 'near', map { $_->{id} } @near ] if @near && $settings->{key_case} eq 'any';
	return (['missing'], @further, @near ? [ 'near', map { $_->{id} } @near ] : ());
}

sub secondary
{
	my ($type, $name, $key, @table) = @_;
	return unless $name eq 'email';
	return grep { any { lc eq $key } split /;/, $_->{properties}{hs_additional_emails} // '' } @table;
}

#
# Inputs
#

# One of a side: of a property, or a plain id.
sub make_input
{
	my ($side) = @_;
	my ($type, $name) = split /:/, $side;
	my $kind = rand;

	if (!$name)
	{
		return pick(undef, '', '..', '.') if $kind < 0.05;
		return pick(map { $_->{id} } @{ $records{$type}{records} }, { id => 900 + int rand 5 });
	}
	return pick(undef, '', "\x{a0} ", 'x' x 1001, 'é' x 501, "a\tb", "a\x{85}b", "a\x{7f}") if $kind < 0.06;
	my @values = map { @{ $_->{properties} }{ $name, "hs_additional_emails" } } @{ $records{$type}{records} }, @{ $seen{$type}{records} };
	my $value = pick(grep { defined } map { split /;/ } grep { defined } @values) // 'x';
	$value = pick(grep { defined } map { $_->{properties}{$name} } @{ $records{$type}{records} }) // 'x' if rand() < 0.7;
	$value = pick(@exact_values, 'nobody' . int(rand 4) . '@example.com', 'ann@example.com') if $kind < 0.2;
	$value = pick(uc $value, lc $value) if $value !~ /ς/ && ($kind < 0.3 && $properties{$side}{folds} || $kind < 0.26);
	$value = join '', map { rand() < 0.3 ? uc : $_ } split //, $value if $properties{$side}{folds} && rand() < 0.3;
	$value = pick(' ', "\t", "\x{a0}", "\r\n", '  ') . $value if rand() < 0.2;
	$value .= pick(' ', "\n", "\x{a0} ", "\x{a0}\x{a0}") if rand() < 0.2;
	return $value;
}

# Two sides, at least one of which has a property
sub make_sides
{
	my $direction = pick(@directions);

	while (1)
	{
		my @sides = map { my $type = $_; pick($type, $type, grep { /^$type:/ } sort keys %properties) } @$direction;
		return ($direction, @sides) if "@sides" =~ /:/;
	}
}

sub quote { my ($text) = @_; return 'NULL' unless defined $text; $text =~ s/'/''/g; return "'$text'" }

# As a query, or as an array: the text of the argument
sub argument
{
	my ($columns, @rows) = @_;

	if (rand() < 0.5)
	{
		return "ARRAY[$1]::text[]" if "@$columns" =~ /^(from_id|key)$/ && join(', ', map { quote($_->[0]) } @rows) =~ /(.*)/s;
		return 'ARRAY[' . join(', ', map { 'ROW(' . quote($_->[0]) . ', ' . quote($_->[1]) . ', NULL, NULL, '
			  . ($_->[2] ? 'ARRAY[' . quote($_->[2]) . ']' : 'NULL') . ')' } @rows) . ']::hs_assoc_input[]';
	}
	my $list = join(', ', map { '(' . join(', ', map { quote($_) . '::text' } @$_) . ')' } @rows);
	return quote('SELECT * FROM (VALUES ' . $list . ') AS v (' . join(', ', @$columns) . ')');
}

# Runs a statement; its rows.
sub run
{
	my ($statement) = @_;
	$hubspot->clear_log;
	$session->send(encode_utf8($statement));
	my ($out, $err) = $session->finish;
	push @problems, decode_utf8($err) . $statement if $err ne '';
	return map { $json->decode($_) } grep { /^\{/ } split /\n/, $out;
}

# By which requests keys were looked up: what is wrong with that, and {property => way}
sub check_requests
{
	my ($statement, %given) = @_;
	my @log = @{ $hubspot->log };
	my %ways;

	foreach my $property (keys %given)
	{
		my ($type, $name) = split /:/, $property;
		my @asked = grep { $_->{path} =~ m{/$type/(batch/read|search)$} && $_->{body} =~ /"(idProperty|propertyName)":"$name"/ } @log;
		my @reads = grep { $_->{operation} eq 'read_records' } @asked;
		my @searches = grep { $_->{operation} eq 'search_records' } @asked;
		my %keys = map { $_ => 1 } grep { defined } map { normal($property, $_) } @{ $given{$property} };
		my $is_unique = $unique{$property};
		my @done = grep { $_->{status} =~ /^2/ } @asked;

		$ways{$property} = @searches ? 'search' : 'read';
		push @problems, "keys are asked for that nobody has given: $property: $statement" if @asked && !%keys;
		push @problems, "$property was not asked for: $statement" if !@done && %keys;
		push @problems, "$statement: keys of $property are refused: " . join ' ', map { "$_->{operation} $_->{status}" } @asked
		  if (grep { $_->{status} == 400 } @reads) > ($is_unique ? 0 : $settings->{batch_size} < 100 ? 6 : 1) || any { $_->{status} !~ /^2/ } @searches;
		push @problems, "$property is unique, and searched for: $statement" if $is_unique && @searches && $property eq 'contacts:email';
		my $inputs = 0;
		$inputs += $_->{inputs} foreach @done;
		push @problems, "$statement: $inputs keys of $property are asked for, not " . keys %keys
		  if ($ways{$property} eq 'read' && $settings->{missing_keys} eq 'named' || $ways{$property} eq 'search' && "@{ $given{$property} }" !~ /large/i)
		  && ($ways{$property} eq 'read' ? $inputs != keys %keys : $inputs != scalar uniq(map { lc } keys %keys))
		  && $settings->{batch_size} == 100;
	}
	return %ways;
}

# The one of the expected outcomes that the row has: [kind, ids...]; or the usual one.
sub chosen
{
	my ($property, $given, $way, $row, $record) = @_;
	my @expected = resolve($property, $given, $way);

	$all{kinds}{ $expected[0][0] }++;
	return $expected[0] if @expected == 1;
	return first { $_->[0] eq 'found' } @expected if defined $record;

	# whose candidates the row lists: these may be the other side's
	my %told = map { $_ => 1 } @{ $row->{e}{candidates} // [] };
	my $near = first { $_->[0] eq 'near' && any { $told{$_} } @$_[ 1 .. $#$_ ] } @expected;
	return $near // $expected[0];
}

# The category that a side gives a row, or ''
sub category
{
	my ($outcome, $removes) = @_;
	my $kind = $outcome->[0];
	return $kind eq 'found' ? '' : $kind eq 'invalid' ? 'INVALID_INPUT' :
	  $kind eq 'missing' ? ($removes ? '' : 'RECORD_NOT_FOUND') : $kind eq 'not_indexed' ? 'RECORD_NOT_FOUND' : 'RECORD_AMBIGUOUS';
}

sub plain { my ($id) = @_; return defined $id && $id =~ /^[!-~]{1,100}$/ && $id !~ /^\.\.?$/ ? [ 'found', $id ] : ['invalid'] }

# The candidates that a row lists are those that the oracle knows.
sub check_candidates
{
	my ($what, $row, $outcome) = @_;
	my ($kind, @ids) = @$outcome;
	my $got = $row->{e}{candidates};

	return unless $kind =~ /ambiguous|near/;
	my @strange = grep { my $id = $_; !any { $_ eq $id } @ids } @{ $got // [] };
	push @problems, "$what: candidates " . $json->encode($row->{e} // 'none') . ", not (@ids)"
	  if !$got || @strange || !@$got || @$got > 20 || $kind eq 'ambiguous' && !$row->{e}{more} && ($row->{e}{total} != @ids || @$got != min(20, scalar @ids));
	return;
}

sub same { my ($a, $b) = @_; return defined $a ? defined $b && $a eq $b : !defined $b }

# What is known of a row's two sides, against the row; whether something is done with
# the pair: [from, to], or nothing
sub check_row
{
	my ($what, $row, $sides, $given, $ways, $removes) = @_;
	my @records = @$row{qw(fr tr)};
	my @outcomes = map {
		$sides->[$_] =~ /:/ ? chosen($sides->[$_], $given->[$_], $ways->{ $sides->[$_] }, $row, $records[$_]) : plain($given->[$_])
	} 0, 1;
	my $invalid = any { $_->[0] eq 'invalid' } @outcomes;
	my ($wrong) = grep { category($_, $removes) ne '' } @outcomes;
	my $category = $invalid ? 'INVALID_INPUT' : $wrong ? category($wrong, $removes) : undef;
	my $text = encode_row($what, $row, $given, \@outcomes);

	push @problems, "$text: the category is not " . ($category // 'null') unless same($row->{c}, $category);
	push @problems, "$text: ok" unless ($row->{ok} ? 1 : 0) == ($category ? 0 : 1);
	push @problems, "$text: other ids" unless same($row->{f}, $given->[0]) && same($row->{t}, $given->[1]);
	foreach my $side (0, 1)
	{
		my $record = !$invalid && $sides->[$side] =~ /:/ && $outcomes[$side][0] eq 'found' ? $outcomes[$side][1] : undef;
		push @problems, "$text: record " . ($record // 'null') unless same($records[$side], $record);
	}
	check_candidates($text, $row, $wrong) if $wrong && !$invalid;
	return if $category || any { $_->[0] ne 'found' } @outcomes;
	return [ map { $_->[1] } @outcomes ];
}

sub encode_row
{
	my ($what, $row, $given, $outcomes) = @_;
	return "$what: " . decode_utf8($json->canonical->encode([ $row, $given, $outcomes ]));
}

#
# Statements
#
sub held
{
	my ($direction) = @_;
	my %held;
	foreach my $line (split /\n/, $hubspot->association_table(@$direction))
	{
		my ($from, $to, $list) = split /,/, $line, 3;
		$held{"$from,$to"} = { map { $_ => 1 } split / /, $list };
	}
	return \%held;
}

sub shown_state { my ($held) = @_; return join "\n", map { "$_: " . join ' ', sort keys %{ $held->{$_} } } grep { %{ $held->{$_} } } sort keys %$held }

# A batch that writes
sub pairs
{
	my ($direction, @sides) = make_sides();
	my $is_labelled = $labels{"@$direction"} && rand() < 0.5;
	my $function = $is_labelled ? pick(qw(batch_create batch_create batch_archive_labels)) : pick(qw(batch_create_default batch_create_default batch_archive));
	my $keep = $function eq 'batch_create' && rand() < 0.5;
	my $n = rand() < 0.05 ? 150 : 1 + int rand 25;

	# in several chunks labels would take the place of each other
	$n = min($n, 25), $session->query(q{ALTER SERVER hubspot OPTIONS (SET batch_size '100')}) if $function eq 'batch_create';
	my @rows = map { [ make_input($sides[0]), make_input($sides[1]), $is_labelled ? pick(qw(Partner Adviser)) : () ] } 1 .. $n;
	push @rows, map { [@$_] } pick(@rows) while rand() < 0.4;
	return write_pairs($direction, \@sides, $function, $keep, \@rows, sprintf q{SELECT %s FROM hs_assoc_%s('%s', '%s', %s%s) AS r},
		$row_sql, $function, @sides, argument([ 'from_id', 'to_id', $is_labelled ? 'label' : () ], @rows), $keep ? ', keep_labels => true' : '');
}

sub single_pair
{
	my ($direction, @sides) = make_sides();
	my $is_labelled = $labels{"@$direction"} && rand() < 0.5;
	my $function = $is_labelled ? 'create' : pick(qw(create_default archive));
	my $keep = $is_labelled && rand() < 0.5;
	my @row = (make_input($sides[0]), make_input($sides[1]), $is_labelled ? pick(qw(Partner Adviser)) : ());
	return write_pairs($direction, \@sides, $function, $keep, [ \@row ], sprintf q{SELECT %s FROM hs_assoc_%s('%s', %s::text, '%s', %s::text%s%s) AS r},
		$row_sql, $function, $sides[0], quote($row[0]), $sides[1], quote($row[1]),
		$is_labelled ? ", labels => '{$row[2]}'" : '', $keep ? ', keep_labels => true' : '');
}

sub write_pairs
{
	my ($direction, $sides, $function, $keep, $inputs, $statement) = @_;
	my $held = held($direction);
	my $removes = $function =~ /archive/;
	my %rows;
	my (%given, %done);

	foreach my $row (run($statement))
	{
		push @problems, "input $row->{n} has several rows: $statement" if $rows{ $row->{n} };
		$rows{ $row->{n} } = $row;
	}
	push @problems, "$statement: " . keys(%rows) . ' rows' if keys %rows != @$inputs || any { !$rows{$_} } 1 .. @$inputs;
	return if @problems;
	foreach my $input (@$inputs)
	{
		my @key = map { $sides->[$_] =~ /:/ ? defined normal($sides->[$_], $input->[$_]) : plain($input->[$_])->[0] eq 'found' } 0, 1;
		next unless $key[0] && $key[1];
		push @{ $given{ $sides->[$_] } }, $input->[$_] foreach grep { $sides->[$_] =~ /:/ } 0, 1;
	}
	my %ways = check_requests($statement, %given);
	foreach my $n (1 .. @$inputs)
	{
		my $pair = check_row($function, $rows{$n}, $sides, $inputs->[ $n - 1 ], \%ways, $removes) // next;
		push @{ $done{"$pair->[0],$pair->[1]"} }, $inputs->[ $n - 1 ][2] // ();
	}
	foreach my $pair (keys %done)
	{
		my @types = map { $types{"@$direction"}{$_} } @{ $done{$pair} };

		if ($function =~ /archive_labels/)
		{
			delete $held->{$pair}{$_} foreach @types;
		}
		elsif ($removes)
		{
			delete $held->{$pair};
			delete $held->{ join ',', reverse split /,/, $pair } if $direction->[0] eq $direction->[1];
		}
		elsif (@types)
		{
			delete @{ $held->{$pair} }{ grep { /^USER/ } keys %{ $held->{$pair} } } unless $keep;
			$held->{$pair}{$_} = 1 foreach @types;
		}
		else
		{
			my $type = $all{defaults}{"@$direction"} //= default_type($direction);
			$held->{$pair}{$type} = 1;
			$held->{ join ',', reverse split /,/, $pair }{$type} = 1 if $direction->[0] eq $direction->[1];
		}
	}
	my ($got, $expected) = map { shown_state($_) } held($direction), $held;
	push @problems, "HubSpot holds\n$got\nnot\n$expected: $statement" if $got ne $expected;
	push @problems, decode_utf8("$statement") if @problems;
	return;
}

# The plain association of a direction, as the simulator's table has it
sub default_type
{
	my ($direction) = @_;
	my $probe = 'probe';
	$hubspot->account({ token => $probe });
	$hubspot->put_associations($direction->[0], $direction->[1], [ [ '1', '2' ] ], token => $probe);
	my ($line) = split /\n/, $hubspot->association_table(@$direction, token => $probe);
	return (split /,/, $line)[2];
}

sub reads
{
	my ($direction, @sides) = make_sides();
	my $from = $sides[0] =~ /:/ ? $sides[0] : pick(grep { /^$direction->[0]:/ } sort keys %properties);
	my $to = pick($direction->[1], $direction->[1], grep { /^$direction->[1]:/ } sort keys %properties);
	my %shown = map { $_->{id} => $to =~ /:(.*)/ ? $_->{properties}{$1} : $_->{id} } @{ $records{ $direction->[1] }{records} };
	my @given = map { make_input($from) } 1 .. 1 + rand 20;
	my $statement = sprintf q{SELECT jsonb_build_object('n', input_no, 'f', from_id, 't', to_id, 'type', category || '=' || type_id, 'c', error_category, 'fr', from_record, 'tr', to_record, 'e', error)
		FROM hs_assoc_batch_read('%s', '%s', %s) AS r}, $from, $to, argument(['from_id'], map { [$_] } @given);
	my $held = held($direction);
	my @rows = run($statement);
	my %ways = check_requests($statement, $from => [ grep { defined normal($from, $_) } @given ]);

	foreach my $n (1 .. @given)
	{
		my @mine = grep { $_->{n} == $n } @rows;
		my $outcome = chosen($from, $given[ $n - 1 ], $ways{$from}, $mine[0] // {}, $mine[0] && $mine[0]{fr});
		my ($kind, $id) = @$outcome;
		my $got = join "\n", sort map { join ' ', map { $_ // '-' } @$_{qw(t type c fr tr)} } @mine;
		my $category = category($outcome, 0);

		# without rows nobody tells which record it was
		($kind, $id, $category) = ('found', undef, '') if !@mine && any { $_->[0] eq 'found' } resolve($from, $given[ $n - 1 ], $ways{$from});
		my @expected = $category ? "- - $category - -" : map {
			my ($f, $t) = split /,/;
			my ($name, $record) = $to =~ /:/ ? ($shown{$t} // '-', $t) : ($t, '-');
			map { "$name $_ - $f $record" } sort keys %{ $held->{$_} }
		} grep { defined $id && /^$id,/ } keys %$held;
		push @problems, encode_row($statement, \@mine, $given[ $n - 1 ], $outcome) if $got ne join "\n", sort @expected;
		push @problems, "another from_id: $statement" if any { !same($_->{f}, $given[ $n - 1 ]) } @mine;
		check_candidates($statement, $mine[0], $outcome) if @mine && $category;
	}
	return;
}

sub resolves
{
	my $property = pick(sort keys %properties);
	my ($type) = split /:/, $property;
	my $plain = rand() < 0.2;
	my @gone = sort map { keys %{ $_->{merged} } } $records{$type};
	my @given = map { $plain ? pick(make_input($type), @gone) : make_input($property) } 1 .. 1 + rand 30;
	my $statement = sprintf q{SELECT jsonb_build_object('n', input_no, 'f', key, 'fr', record_id, 'c', error_category, 'm', error_message, 'e', error, 'l', candidates)
		FROM hs_assoc_resolve('%s', %s) AS r}, $plain ? $type : $property, argument(['key'], map { [$_] } @given);
	my @rows = run($statement);
	my %ways = $plain ? () : check_requests($statement, $property => [ grep { defined normal($property, $_) } @given ]);

	push @problems, "$statement: " . @rows . ' rows' if join(' ', sort { $a <=> $b } map { $_->{n} } @rows) ne join ' ', 1 .. @given;
	foreach my $row (@rows)
	{
		my $given = $given[ $row->{n} - 1 ];
		my $outcome = $plain ? resolve_id($type, $given, $row->{fr}) : chosen($property, $given, $ways{$property}, $row, $row->{fr});
		my $text = encode_row('resolve', $row, [$given], [$outcome]);

		push @problems, "$text: $statement" unless same($row->{f}, $given) && same($row->{c}, category($outcome, 0) || undef)
		  && same($row->{fr}, $outcome->[0] eq 'found' ? $outcome->[1] : undef);
		push @problems, "$text: candidates" unless same($json->encode($row->{l}), $json->encode($row->{e}{candidates} // undef));
		check_candidates($text, $row, $outcome);
	}
	return;
}

sub resolve_id
{
	my ($type, $id, $got) = @_;
	my %there = map { $_->{id} => $_ } @{ $records{$type}{records} };
	return ['invalid'] if plain($id)->[0] eq 'invalid';
	return [ 'found', $id ] if $there{$id};
	my $now = $records{$type}{merged}{$id};
	return [ 'found', $now ] if defined $now && $there{$now};

	# a record that it went into may be in the answer, and say so
	return [ 'found', $got ] if defined $got && $there{$got} && any { $_ eq $id } split /;/, $there{$got}{properties}{hs_merged_object_ids} // '';
	return ['missing'];
}
