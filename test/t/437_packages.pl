# What is installed, without installing it: the versions agree wherever one is given,
# META.json says what PGXN asks for, the Debian package is of what is here, and the
# extension can be built elsewhere than in its source. (make package-test does it all.)

use strict;
use warnings;

use FindBin;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
chdir $top or die "$top: $!";

sub found
{
	my ($file, $pattern) = @_;
	my @found = slurp_file($file) =~ m{$pattern}g;
	die "$file has no $pattern" unless @found;
	return @found;
}

# META.json, as PGXN's specification has it
my $meta = decode_json(slurp_file('META.json'));
foreach my $member (qw(name abstract description version maintainer license provides meta-spec))
{
	ok($meta->{$member}, "META.json: $member");
}
is($meta->{'meta-spec'}{version}, '1.0.0', 'of the version of the specification');
like($meta->{version}, qr/^\d+\.\d+\.\d+$/, 'the version is semantic');
my $version = $meta->{version};
my ($short) = $version =~ /^(\d+\.\d+)/;
my $extension = $meta->{provides}{hubspot_assoc};
is($extension->{version}, $version, 'that of the extension, too');
ok(-e $extension->{$_}, "there is its $_") foreach qw(file docfile);
ok($meta->{prereqs}{runtime}{requires}{PostgreSQL}, 'it needs PostgreSQL');

# Wherever else a version is
is((found('hubspot_assoc.control', qr/^default_version = '(.*)'$/m))[0], $short, 'the control file');
is((found('src/hubspot_assoc.c', qr/^HUBSPOT_MODULE_MAGIC\("hubspot_assoc", "(.*)"\)/m))[0], $short, 'the library');
is((found('src/account/option_table.c', qr/user_agent.*"hubspot_assoc\/(.*?)"/))[0], $short, 'the user agent');
is((found('README.md', qr/^\*\*Status\.\*\* Version (\S+),/m))[0], $version, 'README.md');
is((found('CHANGELOG.md', qr/^## \[(\d\S*)\]/m))[0], $version, 'CHANGELOG.md');
is((found('debian/changelog', qr/^hubspot-assoc \((\S+)-\d+\) /))[0], $version, 'debian/changelog');
like($extension->{file}, qr/--\Q$short\E\.sql$/, 'the script');
my @named = found('doc/install.md', qr/hubspot[-_]assoc[-_](\d[\d.]+\d)\b/);
is("@named", join(' ', ($version) x @named), 'doc/install.md');

# The Debian package
my @words = map { s/^ //r =~ s/^\.$//r =~ s/\s+/ /gr } grep { /^ / } split /\n/, slurp_file('debian/copyright');
my ($license) = found('LICENSE', qr/\n\n(Permission(?s:.*))/);
is(join(' ', grep { $_ ne '' } @words), $license =~ s/\s+/ /gr =~ s/ $//r, 'debian/copyright has the license');
my ($oldest) = found('debian/pgversions', qr/^(\d+)\+$/m);
is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, "$oldest.0.0", 'from the same version of PostgreSQL on');
my ($recommends) = found('debian/control.in', qr/^Recommends: (.*)$/m);
is($recommends, 'ca-certificates', 'it recommends the authorities that are trusted');
foreach my $test (split ' ', join(' ', found('debian/tests/control', qr/^Tests: (.*)$/m)))
{
	ok(-x "debian/tests/$test", "its test $test is there");
}
ok(-x 'debian/rules', 'debian/rules can be run');

# What make would do in another folder
my $elsewhere = PostgreSQL::Test::Utils::tempdir();
my ($out, $err) = run_command([ 'make', '-n', '-B', '-C', $elsewhere, '-f', "$top/Makefile" ]);
my @made = $out =~ /-c -o (\S+\.o)/g;
my @sources = map { s{^\./}{}r =~ s/\.c$/.o/r } glob "src/*.c src/*/*.c";
is(join(' ', sort @made), join(' ', sort @sources), 'make in another folder: each file is compiled') or diag($err);
ok(-d "$elsewhere/src/base", 'and its folder is there');
($out) = run_command([ 'make', '-n', '-C', $elsewhere, '-f', "$top/Makefile", 'install', 'DESTDIR=/nowhere' ]);
like($out, qr{install .* \S*/hubspot_assoc--\Q$short\E\.sql .*'/nowhere}, 'and its files are installed');

# Scripts that only make package-test runs
foreach my $script (grep { slurp_file($_) =~ m{^#!/bin/(?:ba)?sh\n} } glob 'packaging/* test/packages/* debian/tests/*')
{
	my ($said, $complaint) = run_command([ 'bash', '-n', $script ]);
	is($complaint, '', "$script can be read");
}

done_testing();
