# access_token_file: read for each statement, and again when what it held is
# refused; only a regular file that others have no access to.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(time);

my $node = start_node('shared_preload_libraries' => 'hubspot_assoc');
my $hubspot = start_simulator();
my $dir = PostgreSQL::Test::Utils::tempdir;
my $file = "$dir/token";
my $output = '';			# all that the client has seen

my ($first, $second, $third) = map { "pat-f1le-5ec2e7-$_" } 1 .. 3;
$hubspot->account({ token => $_ }) foreach $first, $second, $third;

create_account($node, $hubspot, rate_limit => 0, max_retries => 0, concurrency => 4, batch_size => 1);
$node->safe_psql('postgres', qq{DROP USER MAPPING FOR PUBLIC SERVER hubspot;
	CREATE USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (access_token_file '$file')});
my $session = start_session($node);

sub outcome
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$output .= "$out\n$err\n";
	return $err eq '' ? $out : "$out\n$err";
}

sub call
{
	return outcome(q{SELECT ok, http_status, error_category
		FROM hs_assoc_create_default('contacts', 1, 'companies', 2)});
}

# As files of secrets are replaced: by one whose name changes, so that it is
# never there in part.
sub write_file
{
	my ($content, $mode) = @_;
	open my $new, '>:raw', "$file.new" or die "$file.new: $!";
	print $new $content;
	close $new;
	chmod $mode // 0600, "$file.new" or die "chmod: $!";
	rename "$file.new", $file or die "rename: $!";
	return;
}

sub use_file
{
	my ($path) = @_;
	$path =~ s/'/''/g;
	$node->safe_psql('postgres',
		"ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token_file '$path')");
	return;
}

my %count;
sub new_in
{
	my ($token) = @_;
	my $count = $hubspot->association_count('contacts', 'companies', token => $token);
	my $new = $count - ($count{$token} // 0);
	$count{$token} = $count;
	return $new;
}

#
# What a file may hold
#
foreach my $content ($first, "$first\n", "$first\r\n", "$first \t\n\n", $first . ' ' x (4096 - length $first))
{
	write_file($content);
	is(call(), 't|200|', 'a token, with white space after it: ' . length $content);
}
is(new_in($first), 1, 'is the one that is sent');
foreach my $mode (0600, 0400, 0640, 0660, 0700)
{
	write_file($first, $mode);
	is(call(), 't|200|', sprintf 'mode %04o', $mode);
}
symlink $file, "$dir/link" or die "symlink: $!";
use_file("$dir/link");
is(call(), 't|200|', 'a symbolic link to one');
use_file($file);

my @contents = (
	[ '', 'It is empty.' ], [ "\n", 'It is empty.' ], [ " \t\r\n", 'It is empty.' ],
	[ $first . ' ' x (4097 - length $first), 'It is larger than 4096 bytes.' ],
	[ $first x 1000, 'It is larger than 4096 bytes.' ],
	map { [ $_, 'It holds more than a token' ] }
	  " $first", "$first\n$second\n", "$first $second", "$first\0", "\0$first", "$first\0$second", "$first\x7f", "p\xc3\xa4t", "$first\r\nX-Evil: 1");
foreach my $case (@contents)
{
	my ($content, $problem) = @$case;
	write_file($content);
	like(call(), qr/ERROR:  HV00D: invalid access_token_file "\Q$file\E"\nDETAIL:  \Q$problem\E.*\nHINT:  It must be a regular file/,
		"refused: $problem");
}
like(outcome(q{SELECT * FROM hs_assoc_request('GET', '/x')}), qr/ERROR:  HV00D: /, 'by all functions');

#
# What it may be
#
foreach my $mode (0604, 0602, 0601, 0644, 0666, 0777)
{
	write_file($first, $mode);
	like(call(), qr/ERROR:  HV00D: .*DETAIL:  Users other than its owner and its group have access to it\./s, sprintf 'mode %04o', $mode);
}
write_file($first, 0644);
use_file("$dir/link");
like(call(), qr/ERROR:  HV00D: .*DETAIL:  Users other/s, 'a link to one that others can read');

mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
mkdir "$dir/folder", 0700 or die "mkdir: $!";
foreach my $special ("$dir/fifo", "$dir/folder", '/dev/null', '/dev/zero', '/dev/tty')
{
	use_file($special);
	my $begin = time;
	like(call(), qr/ERROR:  (HV00D: invalid access_token_file .*DETAIL:  It is not a regular file\.|\w{5}: could not open access_token_file)/s, $special);
	cmp_ok(time - $begin, '<', patience(10), '... at once');
}
use_file("$dir/none");
like(call(), qr/ERROR:  58P01: could not open access_token_file "\Q$dir\E\/none": No such file.*HINT:  The file must be on the database server/s, 'no file');
use_file("$file/below");
like(call(), qr/ERROR:  \w{5}: could not open access_token_file/, 'a file is no folder');
symlink "$dir/loop", "$dir/loop" or die "symlink: $!";
use_file("$dir/loop");
like(call(), qr/ERROR:  \w{5}: could not open access_token_file/, 'a link to itself');
write_file($first, 0000);
use_file($file);
like(call(), $> == 0 ? qr/^t/ : qr/ERROR:  42501: could not open access_token_file "\Q$file\E": Permission denied/, 'no permission');
use_file("$dir/it's \\ a file");
like(call(), qr/ERROR:  58P01: could not open access_token_file "\Q$dir\E\/it's \\ a file"/, 'an odd name');
use_file($file);

#
# Read anew
#
write_file($first);
is(call(), 't|200|', 'a token');
new_in($_) foreach $first, $second, $third;
write_file("$second\n");
is(call(), 't|200|', 'another one');
is(new_in($second), 1, 'is sent by the next statement');
write_file('pat-wrong');
is(call(), 'f|401|INVALID_AUTHENTICATION', 'a wrong one is refused');
is($hubspot->log(limit => 1)->[0]{status}, 401, 'by HubSpot');

# Changed while requests are in flight that will be refused: the batch begins with a
# token that is revoked, and the file has the next one before the answer comes.
sub rotate_in_flight
{
	my ($new, $count) = @_;
	$hubspot->rules({ match => { first => 4 }, action => { hold => 1 } });
	$hubspot->clear_log;
	$session->send(qq{SELECT string_agg(DISTINCT coalesce(error_category, 'ok'), ', '), count(*)
		FROM hs_assoc_batch_create_default('contacts', 'companies',
			'SELECT i AS from_id, i AS to_id FROM generate_series(1, $count) i')});
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 4 });
	write_file($new) if defined $new;
	$hubspot->release;
	my ($out, $err) = $session->finish;
	$output .= "$out\n$err\n";
	$hubspot->clear_rules;
	my %answers;
	$answers{ $_->{status} }++ foreach @{ $hubspot->log };
	return join '; ', $out, map { "$_: $answers{$_}" } sort keys %answers;
}

write_file('pat-revoked');
is(rotate_in_flight($third, 12), 'ok|12; 200: 12; 401: 4', 'a token that is replaced midway: no row fails');
is(new_in($third), 12, 'all have the new one');
write_file('pat-revoked');
like(rotate_in_flight(undef, 12), qr/^INVALID_AUTHENTICATION, NOT_SENT\|12; 401: 4$/, 'not replaced: refused at once');
like(rotate_in_flight('pat-revoked-too', 12), qr/^INVALID_AUTHENTICATION, NOT_SENT\|12; 401: [5-8]$/,
	'replaced by another wrong one: tried once');
write_file('pat-revoked');
like(rotate_in_flight('', 12), qr/^INVALID_AUTHENTICATION, NOT_SENT\|12; 401: 4$/, 'emptied: the refusal stands');
like(call(), qr/ERROR:  HV00D/, 'and the next statement says what is wrong');
write_file('pat-revoked');
$hubspot->rules({ action => { hold => 1 } });
$session->send(q{SELECT error_category FROM hs_assoc_create_default('contacts', 1, 'companies', 2)});
wait_until(sub { $hubspot->stats->{in_flight} == 1 });
unlink $file or die "$file: $!";
$hubspot->release;
like(($session->finish)[0], qr/^INVALID_AUTHENTICATION$/, 'removed meanwhile: the refusal stands');
$hubspot->clear_rules;
write_file($first);
is(call(), 't|200|', 'all is well again');

#
# Only a superuser may set it
#
$node->safe_psql('postgres', "CREATE ROLE somebody; GRANT USAGE ON FOREIGN SERVER hubspot TO somebody");
$session->query('SET ROLE somebody');
is(call(), 't|200|', 'who uses it need not be one');
like(outcome("CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token_file '$file')"),
	qr/ERROR:  42501: permission denied to set option "access_token_file"\nHINT:  Only a superuser may set it\./, 'who sets it must be one');
is(outcome("CREATE USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (access_token '$first')"), '', 'an own mapping');
like(outcome("ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (DROP access_token, ADD access_token_file '/etc/passwd')"),
	qr/ERROR:  42501/, 'is no way around it');
like(outcome("ALTER USER MAPPING FOR CURRENT_USER SERVER hubspot OPTIONS (DROP access_token, ADD access_token_file 'no path')"),
	qr/ERROR:  42501/, 'nor is it said what would be wrong');
$session->query('RESET ROLE');
like(outcome("ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token_file 'token')"),
	qr/ERROR:  HV00D: invalid value for option "access_token_file": "token"\nHINT:  It must be the absolute path/, 'an absolute path');

#
# Nobody has seen a token
#
$session->quit;
unlike($output, qr/f1le-5ec2e7/, 'the client has not seen a token');
unlike(slurp_file($node->logfile) =~ s/^.*(statement: |STATEMENT: ).*$//mgr, qr/f1le-5ec2e7/, 'nor has the log');

done_testing();
