# The pages: each link and anchor leads somewhere, each file that they name is
# there, their lines are wrapped, the first ones are short enough to be read, and the
# reference is whole.

use strict;
use warnings;
use feature 'unicode_strings';

use Encode qw(decode);
use File::Find;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";

# All pages, by their paths from the top.
sub pages
{
	my @pages;
	find({
			no_chdir => 1,
			preprocess => sub { grep { !/^(\.git|tmp_check|results|node_modules)$/ } @_ },
			wanted => sub { push @pages, substr($_, 1 + length $top) if /\.md$/ },
		},
		$top);
	@pages = sort @pages;
	return @pages;
}

# The lines of a page, numbered, without those of blocks of code.
sub prose
{
	my ($page) = @_;
	my (@lines, $fence);
	my $line = 0;

	foreach (split /\n/, decode('UTF-8', slurp_file("$top/$page")))
	{
		$line++;
		if (/^\s*(```+|~~~+)/)
		{
			$fence = !defined $fence ? $1 : $1 eq $fence ? undef : $fence;
			next;
		}
		push @lines, [ $line, $_ ] unless defined $fence;
	}
	return @lines;
}

# GitHub's anchor of a heading: its text in lower case, with hyphens for blanks,
# and no other character than letters, digits, hyphens and underscores.
sub anchor
{
	my ($heading) = @_;
	$heading =~ s/!?\[([^]]*)\]\([^)]*\)/$1/g;
	$heading =~ s/[`*]//g;
	$heading =~ s/\s+$//;
	$heading = lc $heading;
	$heading =~ s/[^\w\- ]//g;
	$heading =~ s/ /-/g;
	return $heading;
}

# The anchors of a page; a heading that comes again has a number.
my %anchors;

sub anchors
{
	my ($page) = @_;
	if (!$anchors{$page})
	{
		my %seen;
		foreach (map { $_->[1] } prose($page))
		{
			next unless /^#{1,6}\s+(.*?)(\s+#+)?$/;
			my $anchor = anchor($1);
			my $again = $seen{$anchor}++;
			$anchors{$page}{ $again ? "$anchor-$again" : $anchor } = 1;
		}
		$anchors{$page} //= {};
	}
	return $anchors{$page};
}

# A path from a page, as one from the top, or undef if it leads out of the tree.
sub from_top
{
	my ($page, $path) = @_;
	my @parts = split m{/}, $page;

	pop @parts;
	foreach (split m{/}, $path)
	{
		next if $_ eq '.' || $_ eq '';
		if ($_ ne '..') { push @parts, $_ }
		elsif (@parts) { pop @parts }
		else { return }
	}
	return join '/', @parts;
}

# What is wrong with the relative links of a page, by lines.
sub wrong_links
{
	my ($page) = @_;
	my @wrong;

	foreach (prose($page))
	{
		my ($line, $text) = @$_;
		$text =~ s/(`+).*?\1//g;
		my @targets = $text =~ /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g;
		push @targets, $text =~ /^\s*\[[^]]+\]:\s+(\S+)/;
		push @targets, $text =~ /\b(?:href|src)="([^"]+)"/g;

		foreach my $target (@targets)
		{
			next if $target =~ /^[a-z][a-z0-9+.-]*:/i;		# somewhere else
			my ($path, $anchor) = $target =~ /^([^#]*)(?:#(.*))?$/;
			my $file = $path eq '' ? $page : from_top($page, $path);

			if (!defined $file || !-e "$top/$file")
			{
				push @wrong, "$page:$line: there is no $target";
			}
			elsif (defined $anchor && !($file =~ /\.md$/ && anchors($file)->{$anchor}))
			{
				push @wrong, "$page:$line: $file has no #$anchor";
			}
		}
	}
	return @wrong;
}

# Files that are made by tests, are another project's, or examples.
my %elsewhere = map { $_ => 1 } qw(hubspot_assoc--1.0--1.1.sql results/options.out
  contrib/postgres_fdw/option.c postgresql.conf postgresql.auto.conf server.log option.c);

# Paths that a page names in backticks and that are not there. A name without a
# folder is that of a file at the top, of a TAP test, beside the page, or, in a table
# whose first line names folders, of one there.
sub missing_paths
{
	my ($page) = @_;
	my (@missing, @folders);

	foreach (prose($page))
	{
		my ($line, $text) = @$_;
		@folders = () if $text =~ /^\s*$/;
		@folders = $1 =~ m{`([\w./-]+/)`}g if $text =~ /^\|([^|]*)\| \|$/ && !@folders;

		foreach my $path ($text =~ /`([^`]+)`/g)
		{
			next if $elsewhere{$path};
			my @places;
			if ($path =~ m{^(src|sql|expected|test|doc|\.github|\.ci)/[\w./-]*$})
			{
				@places = ($path);
			}
			elsif ($path =~ /^[\w-]+\.(c|h|pl|pm|sql|md|svg|json|control)$/ || $path eq 'Makefile')
			{
				@places = ($path, "test/t/$path", "src/$path", from_top($page, $path), map { "$_$path" } @folders);
			}
			else
			{
				next;
			}
			push @missing, "$page:$line: there is no $path" unless grep { -e "$top/$_" } @places;
		}
	}
	return @missing;
}

# The lines of a page that are too wide to be read as text. A row of a table cannot be
# wrapped, and what is indented is code.
sub wide_lines
{
	my ($page) = @_;
	return map { "$page:$_->[0]" } grep { length $_->[1] > 120 && $_->[1] !~ /^(\||    )/ } prose($page);
}

# How many lines a page has.
sub length_of
{
	my ($page) = @_;
	return scalar(() = slurp_file("$top/$page") =~ /\n/g);
}

# GitHub's own rules, by examples
is(anchor('A nightly job under statement_timeout'), 'a-nightly-job-under-statement_timeout', 'anchor: an underscore stays');
is(anchor('Replication, restores and copies'), 'replication-restores-and-copies', 'anchor: a comma goes');
is(anchor('`on_error` => **row**/col'), 'on_error--rowcol', 'anchor: marks go, blanks are hyphens each');
is(anchor("\x{dc}ber [Links](a.md)"), "\x{fc}ber-links", 'anchor: letters of all alphabets stay');

my @pages = pages();
cmp_ok(scalar(@pages), '>', 10, 'there are pages');

foreach my $page (@pages)
{
	my @wrong = wrong_links($page);
	is(scalar(@wrong), 0, "$page: links and anchors") or diag(join "\n", @wrong);
}

my @wide = map { wide_lines($_) } @pages;
is(join("\n", @wide), '', 'lines of text have at most 120 characters');

cmp_ok(length_of('README.md'), '<=', 250, 'README.md has at most 250 lines');
foreach my $page (grep { m{^src/\w+/README\.md$} } @pages)
{
	my $lines = length_of($page);
	ok($lines >= 15 && $lines <= 60, "$page has 15 to 60 lines") or diag("$lines lines");
}

# Each file of a room is in the room's page and on the map.
my $map = slurp_file("$top/ARCHITECTURE.md");
my @unlisted;
foreach my $file (map { s{^\Q$top\E/}{}r } glob "$top/src/*/*.[ch]")
{
	my ($room, $name, $suffix) = $file =~ m{^(src/\w+)/(\w+)\.([ch])$};
	next if $suffix eq 'h' && -e "$top/$room/$name.c";
	push @unlisted, "$room/README.md: $name" if slurp_file("$top/$room/README.md") !~ /`$name(?:\.$suffix)?`/;
	push @unlisted, "ARCHITECTURE.md: $file" if $map !~ /`(?:$room\/)?$name\.$suffix`/;
}
is(join("\n", @unlisted), '', 'the pages know each file of the source');

foreach my $page (qw(ARCHITECTURE.md CONTRIBUTING.md), grep { m{^(doc|src)/} || /^(README|SECURITY)/ } @pages)
{
	my @missing = missing_paths($page);
	is(scalar(@missing), 0, "$page: the files that it names") or diag(join "\n", @missing);
}

# The reference has all that the script makes, and the script says of each no more
# than fits beside it.
my $script = decode('UTF-8', slurp_file("$top/hubspot_assoc--1.0.sql"));
my $reference = decode('UTF-8', slurp_file("$top/doc/hubspot_assoc.md"));
# not for people to call or read
my %internal = map { $_ => 1 } qw(hs_assoc_fdw_validator hs_assoc_fdw_handler
  hs_assoc_outbox_wake hs_assoc_keep_identity hs_assoc_sync_rows hs_assoc_sync_ddl hs_assoc_check_schema hs_assoc_sync_config);
my %made = map { $_ => 1 } $script =~ /^CREATE (?:FUNCTION|PROCEDURE|TYPE|TABLE|VIEW) (\w+)/mg;
my @unknown = grep { !$internal{$_} && $reference !~ /\b$_\b/ } sort keys %made;
is("@unknown", '', 'the reference knows all functions, types, tables and views');
my %source;
find(sub { $source{$_} = slurp_file($_) if /^(option_table|setting)\.c$/ }, "$top/src");
my @options = ($source{'option_table.c'} =~ /^\t(?:SERVER|MAPPING|TABLE)_OPTION\((\w+)/mg, $source{'setting.c'} =~ /"(hubspot_assoc\.\w+)"/g);
cmp_ok(scalar(@options), '>=', 25, 'there are options and settings');
is(join(' ', grep { $reference !~ /`\Q$_\E`/ } @options), '', 'the reference knows all of them');
my @long = grep { length > 130 } $script =~ /^COMMENT ON [^\n]* IS\s+'((?:[^']|'')*)';/mg;
is(join("\n", @long), '', 'comments on objects are short');

done_testing();
