# Answers that repeat the token, where a session has more tokens than it remembers,
# and where looking for one is slow.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $count = 300;			# more than the 256 that secret.c remembers
my $node = start_node();
my $hubspot = start_simulator();
my $session = start_session($node);

my @tokens = map { sprintf 'pat-na1-%04d-5ec2e7-%04d', $_, $_ * 7 } 1 .. $count;
create_account($node, $hubspot, name => "s$_", token => $tokens[ $_ - 1 ], max_retries => 0, rate_limit => 0) foreach 1 .. $count;
$hubspot->rules({ action => { status => 400, body => { category => 'REFUSED', message => 'no', more => \@tokens } } });

# What the answer to a call by that account says of the tokens
my $told = q{(SELECT r::text FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 's' || i) AS r)};
$session->query(q{CREATE TABLE tokens (i int PRIMARY KEY, token text)});
$session->query(join ', ', 'INSERT INTO tokens VALUES ' . join ', ', map { "($_, '$tokens[$_ - 1]')" } 1 .. $count);
foreach my $round (1, 2)
{
	is($session->query(qq{SELECT count(*) FILTER (WHERE strpos(told, token) > 0), count(*) FILTER (WHERE told ~ '[*]{24}'), count(*)
		FROM (SELECT token, $told AS told FROM tokens ORDER BY i OFFSET 0) AS t}),
		"0|$count|$count", "round $round: each token is hidden in the answer to its own call");
}
is($session->query(qq{SELECT strpos(told, '$tokens[1]') > 0, strpos(told, '$tokens[0]') > 0
	FROM (SELECT $told AS told FROM tokens WHERE i = 1) AS t}),
	't|f', 'the first one, which was forgotten, is hidden again, and nothing else is');
$hubspot->clear_rules;

# Each place of such an answer looks like the token up to its first letter; or, where it
# is looked for by a hyphen, up to its last one.
foreach my $case ([ 'slow', 'b' . 'a' x 200, 'a' ], [ 'slow_mark', '-' x 200 . 'b', '-' ])
{
	my ($name, $slow, $letter) = @$case;
	my $like = $letter x 5000;
	create_account($node, $hubspot, name => $name, token => $slow, max_retries => 0, rate_limit => 0);
	foreach my $text ("$like $slow $like", "$slow $like", "$like $slow", "$like \U$slow")
	{
		$hubspot->rules({ action => { status => 400, body => { category => 'REFUSED', message => 'no', more => ">$text<" } } });
		my $answer = $session->query(qq{SELECT r::text FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => '$name') AS r});
		(my $hidden = ">$text<") =~ s/\Q$slow\E/'*' x 201/ie;
		ok(index($answer, $hidden) >= 0, "$name: a token that is slow to look for is hidden, and what is like it is not");
		$hubspot->clear_rules;
	}
}

# What a token stands for if its escapes are decoded is a few letters, which any text may
# have: only the token itself is hidden.
my $escapes = '%41%42%43';
$hubspot->clear_rules;
create_account($node, $hubspot, name => 'escapes', token => $escapes, max_retries => 0, rate_limit => 0);
$hubspot->rules({ action => { status => 400, body => { category => 'REFUSED', message => 'no', more => "$escapes abc %41bc" } } });
like($session->query(q{SELECT r::text FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'escapes') AS r}),
	qr/[*]{9} abc %41bc/, 'a token of escapes alone is hidden, but not the letters that they are');

done_testing;
