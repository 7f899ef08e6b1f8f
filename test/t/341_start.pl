# The SQL of the pages that people begin with is run word for word, in the order
# of the pages, and prints what they show.
#
# README.md has a database of its own, for its start is a start; the pages under
# doc/ share one that is ready. These are the databases of make try (test/try/), so
# what the pages show is to be had there: a server has the simulator's address where
# the page gives it none or one of HubSpot's, the token is in the environment
# variable HUBSPOT_TOKEN, and :'client_id' and the like are variables of psql. What
# else a page leaves to its reader is put in by these rules, and nothing else is:
#
# - "A moment later": before each block, the outbox is waited for.
# - A block that shows how to call psql or the shell (no ```sql) is not run.
#
# What a page shows below a block is what is printed last: the first lines may be
# left out, and blanks don't count. A correlation id may be any.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";

# Sections whose SQL is for several servers, or for another extension.
my %not_run = map { $_ => 1 } 'Past one machine', 'Without preloading';
# Sections that show times, sums, process ids.
my %varies = map { $_ => 1 } 'Watch it';

# what psql is told by make try
my $psqlrc = slurp_file("$top/test/try/psqlrc");
my %variables = $psqlrc =~ /^\\set (\w+) ([\w-]+)$/mg;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.poll_interval' => '1s');
my $hubspot = start_simulator();

# The blocks of a page: { page, line, section, sql, shown }
sub blocks
{
	my ($page) = @_;
	my (@blocks, $section, $fence, $text);
	my $line = 0;

	foreach (split /\n/, slurp_file("$top/$page"))
	{
		$line++;
		if (/^```(\w*)$/)
		{
			if (!defined $fence)
			{
				($fence, $text) = ($1, '');
				next;
			}
			if ($fence eq 'sql')
			{
				push @blocks, { page => $page, line => $line, section => $section, sql => $text };
			}
			elsif ($fence eq '')
			{
				$blocks[-1]{shown} = $text;
			}
			undef $fence;
		}
		elsif (defined $fence)
		{
			$text .= "$_\n";
		}
		elsif (/^#+ (.*)/)
		{
			$section = $1;
		}
	}
	return grep { !$not_run{ $_->{section} } } @blocks;
}

# What counts of a text.
sub words
{
	my ($text) = @_;
	$text =~ s/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/(correlation id)/g;
	$text =~ s/^Asynchronous notification .*\n//mg;		# which comes when it comes, after a LISTEN
	$text =~ s/-{3,}/---/g;		# as wide as that
	$text =~ s/\s+/ /g;
	$text =~ s/^ | $//g;
	return $text;
}

sub psql
{
	my ($database, $script, @options) = @_;
	my $output = '';
	local $ENV{HUBSPOT_TOKEN} = 'test-token';
	local $ENV{PGOPTIONS} = '-c log_statement=none';
	IPC::Run::run(
		[ 'psql', '-Xq', '-P', 'pager=off', '-P', 'footer=off', '-d', $node->connstr($database), @options ],
		'<', \$script, '>&', \$output,
		IPC::Run::timeout(patience(300)));
	return $output;
}

# Runs blocks in one session of a new database, made by a script of test/try; each
# is a test.
sub run_blocks
{
	my ($database, $made_by, @blocks) = @_;
	my $seconds = patience(30);

	$hubspot->reset;
	$hubspot->oauth({ map { $_ => $variables{$_} } qw(client_id client_secret refresh_token) });
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	is(psql($database, '', '-f', "test/try/$made_by.sql", '-v', 'simulator=' . $hubspot->url,
			'-v', 'control=http://127.0.0.1:' . $hubspot->control_port),
		'', "$database: $made_by.sql says nothing");

	my $script = $psqlrc;
	foreach my $i (0 .. $#blocks)
	{
		$script .= "CALL until_sent($seconds);\n\\echo block $i\n$blocks[$i]{sql}";
	}
	my (undef, %printed) = split /^block (\d+)\n/m, psql($database, $script), -1;

	foreach my $i (0 .. $#blocks)
	{
		my $block = $blocks[$i];
		my $name = "$block->{page}:$block->{line}: $block->{section}";
		my $printed = words($printed{$i} // 'ERROR: it was not run');
		my $shown = words($block->{shown} // '');

		if ($shown eq '' || $varies{ $block->{section} })
		{
			unlike($printed, qr/\b(ERROR|FATAL|WARNING): /, $name);
		}
		else
		{
			is(substr($printed, -length $shown), $shown, "$name: shows what it prints");
			unlike($printed, qr/\b(ERROR|FATAL): /, "$name: no error") unless $shown =~ /ERROR: /;
		}
	}
	return;
}

chdir $top or die "$top: $!";		# for \copy

my @readme = blocks('README.md');
run_blocks('readme', 'start', @readme);
$node->safe_psql('postgres', 'DROP DATABASE readme');
$node->safe_psql('postgres', 'DROP ROLE etl');

my @role = grep { $_->{sql} =~ /^CREATE ROLE/m } @readme;
is(scalar(@role), 1, 'the README makes the role in a block');
run_blocks('pages', 'ready', @role, map { blocks("doc/$_.md") } qw(tasks hubspot_assoc compatibility tables sync operations security));

done_testing();
