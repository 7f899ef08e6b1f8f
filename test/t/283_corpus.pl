# The inputs of the fuzz targets, which make fuzz starts from and adds its findings
# to: given to the same targets, built by the C compiler that there is.

use strict;
use warnings;

use FindBin;
use Test::More;

my $run = "$FindBin::Bin/../fuzz/run";
my $compiler = $ENV{CC} // 'cc';

plan skip_all => "no C compiler: $compiler" if system("$compiler --version >/dev/null 2>&1") != 0;

my @output = `$run --replay 2>&1`;
my $status = $?;
my @results = grep { /^(not )?ok - / } @output;

foreach my $result (@results)
{
	my ($failed, $name) = $result =~ /^(not )?ok - (.*)/;
	ok(!$failed, $name);
}
my ($without) = grep { /has no sanitizers/ } @output;
SKIP:
{
	skip $without =~ s/\n//r, 1 if $without;
	pass('with sanitizers');
}
my @targets = glob "$FindBin::Bin/../fuzz/fuzz_*.c";
is(scalar @results, scalar @targets, 'each target got its corpus');
is($status, 0, 'all of it was read') or diag(@output);

done_testing();
