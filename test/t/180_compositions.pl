# doc/recipes.md: its SQL and its output are those of the regression test
# compositions, word for word.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";

# Tabs here, blanks there: only the words count.
sub words
{
	my ($text) = @_;
	$text =~ s/\s+/ /g;
	return $text;
}

my $recipes = slurp_file("$top/doc/recipes.md");
my $tested = words(slurp_file("$top/expected/compositions.out"));

my $task = '';
my $blocks = 0;

while ($recipes =~ /^## (.*)\n|^```(\w*)\n((?s:.*?))^```\n/gm)
{
	if (defined $1)
	{
		$task = $1;
		next;
	}
	my ($kind, $text) = ($2 || 'output', words($3));
	my ($begin) = $text =~ /^(.{1,50})/;

	ok(index($tested, $text) >= 0, "$task: $kind: $begin");
	$blocks++;
}
cmp_ok($blocks, '>', 15, 'there are so many blocks');

done_testing();
