# make dist: an archive with what META.json names and what the tests need, and nothing
# that is built; the list of materials has each file, with its right checksum; and the
# same files give the same bytes. (make package-test has pgxn install it.)

use strict;
use warnings;

use Digest::SHA qw(sha1_hex sha256_hex);
use FindBin;
use Cpanel::JSON::XS;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
chdir $top or die "$top: $!";
my $meta = decode_json(slurp_file('META.json'));
my $name = "$meta->{name}-$meta->{version}";
my $folder = PostgreSQL::Test::Utils::tempdir();

# what other tests make here meanwhile is not to matter
my $tree = "$folder/tree";
system_or_bail('mkdir', $tree);
system_or_bail('sh', '-c', "tar --exclude=./tmp_check --exclude=./results --exclude='./regression.*' -c . | tar -x -C $tree");

sub bytes
{
	my ($file) = @_;
	open my $handle, '<:raw', $file or die "$file: $!";
	local $/;
	return <$handle>;
}

my ($out, $err) = run_command([ "$tree/packaging/archive", "$folder/first" ]);
is($err, '', 'make dist says nothing is wrong');
is($out, "SHA256SUMS\n$name.spdx\n$name.zip", 'and what it has made');
system_or_bail("$tree/packaging/archive", "$folder/second");
is(sha256_hex(bytes("$folder/first/$_")), sha256_hex(bytes("$folder/second/$_")), "$_ is the same a second time")
  foreach ("$name.zip", "$name.spdx");

my %sums = reverse bytes("$folder/first/SHA256SUMS") =~ /^([0-9a-f]{64})  (\S+)$/mg;
is_deeply(\%sums, { map { ($_ => sha256_hex(bytes("$folder/first/$_"))) } "$name.zip", "$name.spdx" }, 'the checksums are right');

system_or_bail('python3', '-m', 'zipfile', '-e', "$folder/first/$name.zip", "$folder/unpacked");
my $root = "$folder/unpacked/$name";
my ($provided) = values %{ $meta->{provides} };
ok(-e "$root/$_", "it has $_")
  foreach qw(META.json Makefile LICENSE README.md hubspot_assoc.control doc/install.md sql/create.sql expected/create.out test/simulator/__main__.py src/hubspot_assoc.c),
  $provided->{file}, $provided->{docfile};
my @files = split /\n/, (run_command([ 'sh', '-c', "cd '$root' && find . -type f | LC_ALL=C sort" ]))[0];
is(join(' ', grep { /\.(o|so|bc|pyc|gcda|gcno)$|\/(results|tmp_check|\.headers|dist|\.git|\.github|\.ci)\// } @files), '', 'and nothing else');

# the list of materials
my $list = bytes("$folder/first/$name.spdx");
my %listed = $list =~ /^FileName: (\S+)\nSPDXID: \S+\nFileChecksum: SHA1: ([0-9a-f]{40})$/mg;
is_deeply(\%listed, { map { ($_ => sha1_hex(bytes("$root/$_"))) } @files }, 'it has each file, with its checksum');
like($list, qr/^PackageVerificationCode: \Q@{[ sha1_hex(join '', sort values %listed) ]}\E$/m, 'and that of all');
like($list, qr/^PackageVersion: \Q$meta->{version}\E$/m, 'of this version');
my ($curl) = bytes('Makefile') =~ /^CURL_VERSION = (\S+)$/m;
like($list, qr/^PackageName: libcurl\nSPDXID: \S+\nPackageVersion: \Q$curl\E or later$/m, 'and the libcurl that it needs');
my @ids = $list =~ /^SPDXID: (\S+)$/mg;
is(scalar(keys %{ { map { ($_ => 1) } @ids } }), scalar(@ids), 'each thing has a name of its own');

done_testing();
