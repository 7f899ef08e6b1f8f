# What a diagnosis sends, and what a worker sends to compare a table with HubSpot, has a bound,
# in which access tokens of OAuth count. Wherever it is reached, at a token, a page or a look-up
# of keys, no more is sent for that, what was left out is said, and a table is compared in
# smaller slices.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $node = start_node(shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
my %client = (client_id => 'client', client_secret => 'secret', refresh_token => 'refresh');

create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
$hubspot->oauth(\%client);
$session->query(sprintf q{SET client_min_messages = error;
	CREATE SERVER oauth FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '%s', rate_limit '0', max_retries '0');
	CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (%s)}, $hubspot->url, join ', ', map { "$_ '$client{$_}'" } sort keys %client);

# Each access token has ended as soon as it comes, so each request takes another one.
my $short_lived = { match => { path => '^/oauth/' }, action => { status => 200, body => { access_token => 'test-token', refresh_token => 'refresh', token_type => 'bearer', expires_in => 0 } } };

# Every other request is refused, since its token has expired.
my $expired = { match => { path => '^/(?!oauth/)', every => 2 }, action => { status => 401, body => { status => 'error', category => 'EXPIRED_AUTHENTICATION', message => 'The OAuth token expired.' } } };

sub rules { $hubspot->clear_rules; $hubspot->rules([@_]); $hubspot->clear_log; return }

# What was sent, in order: t, for a token; a, anything else
sub sent { return join '', map { $_->{path} =~ m{^/oauth/} ? 't' : 'a' } @{ $hubspot->log } }

#
# A diagnosis
#
$session->query("CREATE TABLE t$_ (f text, t text, UNIQUE (f, t))") foreach 1 .. 4;
foreach my $case ([ 'tokens that end at once', $short_lived, qr/^(?:ta)+$/ ], [ 'tokens that expire on their way', $expired, qr/^t?a(?:ata)*(?:at?)?$/ ])
{
	my ($name, $rule, $pattern) = @$case;

	foreach my $n (1 .. 4)
	{
		$session->query("SELECT hs_assoc_enable_sync('t$n', 'contacts:email', 'f', '2-$n:name', 't', server => 'oauth')");
		rules($rule);
		my $out = $session->query(q{SELECT string_agg(replace(detail, E'\n', ' '), ' ') FROM hs_assoc_diagnose('oauth')});
		my $sent = sent();
		like($sent, $pattern, "$name, $n tables");
		is(length $sent, 10, '... 10 requests');
		like($out, qr/no more than 10 requests are sent for this/, '... and that there would be more is said') if $n > 1;
	}
	$session->query("SELECT hs_assoc_disable_sync('t$_')") foreach 1 .. 4;
}

#
# Comparisons: what was removed by hand is missing in the end, whatever it takes to find that
#
sub compared
{
	my ($name, $from, $to, $rows, $missing, $server, @rules) = @_;
	my $first = $session->query("SELECT count(*) FROM ($rows) AS r");

	rules(@rules);
	$session->query(qq{CREATE TABLE links (f text, t text, UNIQUE (f, t)); INSERT INTO links $rows;
		SELECT hs_assoc_enable_sync('links', '$from', 'f', '$to', 't', verify => '1 second', server => '$server')});
	wait_until(sub { $session->query('SELECT count(last_ended_at) FROM hs_assoc_verify_stat') });
	is($session->query('SELECT last_missing, last_unknown, failures FROM hs_assoc_verify_stat'), $missing, "$name: $first rows");
	my $sent = sent();
	note("$name: " . length($sent) . " requests");
	$session->query(q{SELECT hs_assoc_disable_sync('links'); DROP TABLE links});
	return $sent;
}

$hubspot->settings({ page_size => 1 });
$hubspot->put_associations('contacts', 'companies', [ map { [ 101, 200 + $_ ] } 1 .. 12 ]);
compared('many pages, and tokens that end at once', 'contacts', 'companies', q{SELECT i, j FROM generate_series(101, 104) AS i, generate_series(201, 213) AS j WHERE (i, j) <> (101, 213)}, '39|1|0', 'oauth', $short_lived);
$hubspot->settings({ page_size => 500 });

# Keys of which a request may hold fewer and fewer
my @keys = map { ('x' x (2 * int($_ / 10))) . $_ } 1 .. 1000;
$hubspot->property({ type => 'contacts', name => 'ref', unique => Cpanel::JSON::XS::true });
$hubspot->put_records('contacts', [ map { { id => 5000 + $_, properties => { ref => $keys[ $_ - 1 ] } } } 1 .. 1000 ]);
$hubspot->settings({ max_body_bytes => 2500 });
compared('look-ups of keys that are too large', 'contacts:ref', 'companies', q{SELECT repeat('x', 2 * (i / 10)) || i, '7' FROM generate_series(1, 1000) AS i}, '1000|0|0', 'hubspot');

$session->quit;
done_testing();
