# Whatever repeats a secret, in an answer of any status and in any usual spelling,
# the secret reaches nobody: tokens, OAuth's secrets, and those that they replaced.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $token = 'pat-na1-5ec2e7/t0k3n+9f8e7d%41"5b4a';
my $new_token = 'pat-na1-n3w0ne/t0k3n+1a2b3c4d5e6f';
my %client = (client_id => 'id-client', client_secret => 's3cr3t/of-the-client', refresh_token => 'r3fr3sh/of-the-client');

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', log_min_messages => 'debug1');
my $hubspot = start_simulator();
$hubspot->account({ token => $_ }) foreach $token, $new_token;
create_account($node, $hubspot, token => $token, rate_limit => 0, max_retries => 0);
my $session = start_session($node);
$session->query($_) foreach 'SET log_statement = none', 'SET log_min_duration_statement = -1',
  'SET log_min_error_statement = panic';
my $shown = '';

sub outcome
{
	my ($sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$shown .= "$out\n$err\n";
	return $out . $err;
}

# The ways in which a text may be written, by name.
sub spellings
{
	my ($text) = @_;
	(my $json = $text) =~ s{(["\\])}{\\$1}g;
	(my $slashes = $json) =~ s{/}{\\/}g;
	my $all = join '', map { sprintf '\u%04x', ord } split //, $text;
	my $some = join '', map { rand() < 0.3 ? sprintf('\u%04X', ord $_) : s/(["\\])/\\$1/r } split //, $text;
	(my $nested = $all) =~ s/\\/\\\\/g;
	my $percent = join '', map { /[-.\w]/ ? $_ : sprintf '%%%02x', ord } split //, $text;
	my $percents = join '', map { sprintf '%%%02X', ord } split //, $text;
	return (
		'as it is' => $json, 'in upper case' => uc $json, 'slashes' => $slashes, 'all escaped' => $all,
		'some escaped' => $some, 'escaped twice' => $nested, 'of a URL' => $percent, 'all of a URL' => $percents,
		'in upper case of a URL' => uc $percent, 'twice' => $json . $json, 'after an escape' => "\\n$json",
		'after a percent sign' => "%$json", 'behind its beginning' => substr($json, 0, 9) . $json);
}

# Does a text have the secret, or most of it, in one of these spellings?
sub has_secret
{
	my ($text, $secret) = @_;

	$text =~ s/\\+u00([0-9a-f]{2})/chr hex $1/gie;
	$text =~ s/%([0-9a-f]{2})/chr hex $1/gie;
	$text =~ s/\\//g;
	return index(lc $text, lc substr $secret, 8, 12) >= 0;
}

sub answer_with
{
	my ($status, $text) = @_;
	my $head = { 'X-Echo' => "Bearer $token" };
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '^/(crm|x)' },
		action => { status => $status, text => $text, content_type => 'application/json', headers => $head } });
	return;
}

#
# Each spelling, where it may come through
#
my %spellings = spellings($token);
foreach my $name (sort keys %spellings)
{
	my $text = $spellings{$name};

	answer_with(200, qq({"a": "$text", "$text": ["x$text"], "b": "kept"}));
	my $out = outcome(q{SELECT * FROM hs_assoc_request('GET', '/x')});
	like($out, qr/^200\|.*"x-echo": "Bearer \*+".*"b": "kept"/s, "$name: an answer that is shown");
	ok(!has_secret($out, $token), "$name: without the token") or diag($out);

	answer_with(400, qq({"category": "C$text", "message": "m $text", "correlationId": "$text", "context": {"$text": ["$text"]}}));
	$out = outcome(q{SELECT * FROM hs_assoc_create_default('contacts', 1, 'companies', 2)});
	like($out, qr/^1\|1\|2\|f\|.*\*{8}/s, "$name: a row");
	ok(!has_secret($out, $token), "$name: without the token") or diag($out);
	$out = outcome(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 2, on_error => 'raise')});
	like($out, qr/ERROR:  22023:.*DETAIL:  C.*m .*\*{8}/s, "$name: an error");
	ok(!has_secret($out, $token), "$name: without the token") or diag($out);
	answer_with(200, qq({"results": [{"category": "USER_DEFINED", "typeId": 7, "label": "L$text"}]}));
	$out = outcome(q{SELECT label FROM hs_assoc_labels('contacts', 'companies')});
	like($out, qr/^L.*\*{8}/s, "$name: a label");
	ok(!has_secret($out, $token), "$name: without the token") or diag($out);
}
answer_with(200, "<html>$token and \\ and %zz and \\u00zz</html>");
like(outcome(q{SELECT body FROM hs_assoc_request('GET', '/x')}), qr/<html>\*+ and /, 'what is no JSON');

# What is no secret stays, next to one, too.
answer_with(200, '{"a": "pat-na1-5ec2e7\/t0k", "b": "\u0070at%70\\\\"}');
is(outcome(q{SELECT body FROM hs_assoc_request('GET', '/x')}) =~ s/\n//gr,
	'{"a": "pat-na1-5ec2e7/t0k", "b": "pat%70\\\\"}', 'parts of it are not touched');

#
# A token that was replaced
#
answer_with(200, qq({"old": "$token", "new": "$new_token"}));
$session->query("ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '$new_token')");
like(outcome(q{SELECT body FROM hs_assoc_request('GET', '/x')}), qr/^\{"new": "\*+", "old": "\*+"\}/, 'a token that was replaced');

#
# OAuth
#
$hubspot->clear_rules;
$hubspot->oauth({ %client, rotate => \1 });
create_account($node, $hubspot, name => 'oauth', rate_limit => 0, max_retries => 0);
$node->safe_psql('postgres', q{SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER oauth;
	CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (} . join(', ', map { "$_ '$client{$_}'" } sort keys %client) . ')');
is(outcome(q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'oauth')}) =~ s/\n.*//sr, 't',
	'a token is fetched');
answer_with(400, '{"message": "' . join(' ', map { (spellings($_))[7] } @client{qw(client_secret refresh_token)}) . '"}');
my $message = outcome(q{SELECT error_message FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'oauth')});
like($message, qr/^\*{20,} \*{20,}/, 'the secrets of OAuth, in any answer');

#
# Dead letters
#
answer_with(400, qq({"message": "$spellings{'all escaped'} $token", "category": "VALIDATION_ERROR"}));
$session->query(qq{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '@{[ $token ]}')});
$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')});
wait_until(sub { outcome('SELECT count(*) FROM hs_assoc_dead_letter') =~ /^1/ });
like(outcome('SELECT d::text FROM hs_assoc_dead_letter d'), qr/\*{8}/, 'a dead letter');

#
# A text that is made to be searched slowly takes as long as another one.
#
$session->query(q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token '} . 'a' x 2000 . q{b')});
foreach my $piece ('a', 'ab', 'b' . 'a' x 1999, '\u0061', '%61', 'a%', '\\\\')
{
	answer_with(200, '{"a": "' . $piece x (4_000_000 / length $piece) . '"}');
	my $before = cpu_time($session->pid);
	like(outcome(q{SELECT http_status FROM hs_assoc_request('GET', '/x')}), qr/^200/, 'a text of 4 MB, all ' . substr $piece, 0, 10);
	my $took = cpu_time($session->pid) - $before;
	cmp_ok($took, '<', patience(5), "does not take long: $took s");
}
$session->quit;

foreach my $secret ($token, $new_token, @client{qw(client_secret refresh_token)})
{
	ok(!has_secret($shown, $secret), 'nobody has seen ' . substr $secret, 0, 3);
	ok(!has_secret(slurp_file($node->logfile), $secret), 'nor has the log');
}
done_testing();
