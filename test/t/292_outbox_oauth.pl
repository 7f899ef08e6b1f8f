# The outbox of an account whose access tokens come from OAuth: the worker, which
# waits for HubSpot with no transaction open, fetches them, and stores the refresh
# tokens that replace others; also in a database of another encoding.

use strict;
use warnings;
use utf8;

use Encode qw(decode);
use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my $fuse = start_fuse();
my $node = start_node(fuse => $fuse, shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
my %client = (client_id => 'id', client_secret => 'secret-of-client', refresh_token => 'refresh-of-client');

$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0});
foreach my $dbname ('postgres', 'latin')
{
	$hubspot->reset;
	$hubspot->oauth({ %client, expires_in => 1800, rotate => Cpanel::JSON::XS::true });
	create_account($node, $hubspot, dbname => $dbname, rate_limit => 0, max_retries => 0);
	$node->safe_psql($dbname, qq{
		SET log_statement = none;
		DROP USER MAPPING FOR PUBLIC SERVER hubspot;
		CREATE USER MAPPING FOR PUBLIC SERVER hubspot
			OPTIONS (client_id '$client{client_id}', client_secret '$client{client_secret}', refresh_token '$client{refresh_token}')});
	my $session = start_session($node, $dbname);
	my $refresh_token = q{SELECT split_part(o, '=', 2) FROM pg_user_mapping, unnest(umoptions) AS o WHERE o LIKE 'refresh_token=%'};
	my $outbox = 'SELECT count(*) FROM hs_assoc_outbox';
	my $next = 1;
	my $enqueue = sub {
		$session->query(sprintf q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies',
			'SELECT %1$d AS from_id, %1$d AS to_id')}, $next++);
	};

	# Each time the token has run out, and a new refresh token comes with the next.
	my %seen = ($client{refresh_token} => 1);
	foreach my $round (1 .. 3)
	{
		$fuse->ahead(2000);
		$enqueue->();
		wait_until(sub { $session->query($outbox) == 0 });
		is($hubspot->association_count('contacts', 'companies'), $round, "$dbname, round $round: sent");
		wait_until(sub { !$seen{ $session->query($refresh_token) } });
		$seen{ $session->query($refresh_token) } = 1;
		is(scalar keys %seen, 1 + $round, "$dbname, round $round: another refresh token is in the user mapping");
	}
	wait_until(sub { $session->query(q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'hubspot_assoc worker' AND xact_start IS NOT NULL}) == 0 });
	pass("$dbname: no transaction is left open");

	# While it is fetched, and it takes its time
	$fuse->ahead(2000);
	$hubspot->rules({ match => { path => '^/oauth/' }, action => { hold => 1 } });
	$enqueue->();
	wait_until(sub { $hubspot->hits->{rules}[0]{hits} == 1 });
	is($session->query(q{SELECT count(*), count(xact_start), count(backend_xmin)
		FROM pg_stat_activity JOIN hs_assoc_lease ON pid = holder}), '1|0|0', "$dbname: nor while a token is fetched");
	$hubspot->release;
	wait_until(sub { $session->query($outbox) == 0 });
	pass("$dbname: then all is sent");

	# Labels are asked for with no transaction open, too, and come in UTF-8.
	$hubspot->clear_rules;
	$session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', U&'Gr\00f6\00dfe', 'size')});
	my $type_id = $session->query(q{SELECT type_id FROM hs_assoc_labels('contacts', 'companies') WHERE label = U&'Gr\00f6\00dfe'});
	$session->query(sprintf q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies',
		$$SELECT %1$d AS from_id, %1$d AS to_id, U&'Gr\00f6\00dfe' AS label$$)}, $next);
	wait_until(sub { $session->query($outbox) == 0 });
	my ($labelled) = grep { $_->{from_id} == $next } @{ $hubspot->associations('contacts', 'companies') };
	is_deeply([ map { $_->{type_id} } grep { $_->{category} eq 'USER_DEFINED' } @{ $labelled->{types} } ], [$type_id],
		"$dbname: a label that is not ASCII");
	$next++;

	# What HubSpot says of a row is read with no transaction open, too.
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '^/crm' }, action => { status => 400, body => { category => 'ODD', message => 'Größe ungültig' } } });
	$enqueue->();
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_dead_letter') == 1 });
	my $said = $session->query(q{SELECT encode(convert_to(error_message, 'UTF8'), 'hex') FROM hs_assoc_dead_letter});
	is(decode('UTF-8', pack 'H*', $said), 'Größe ungültig', "$dbname: what HubSpot says of a row");

	# A client that HubSpot doesn't know any more is the account's fault, not the rows'.
	$hubspot->clear_rules;
	$fuse->ahead(2000);
	$hubspot->rules({ match => { path => '^/oauth/' },
		action => { status => 400, body => { error => 'invalid_grant', message => "no $client{client_secret}" } } });
	$enqueue->();
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_backoff') == 1 });
	is($session->query($outbox), 1, "$dbname: refused: the row waits");
	is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 1, "$dbname: refused: and is not charged");
	like($session->query('SELECT error_category, error_message FROM hs_assoc_backoff'),
		qr/^NOT_SENT\|could not get an access token: .*\*\*\*/, "$dbname: refused: why, without the secret");
	$hubspot->clear_rules;
	$session->query('SELECT hs_assoc_resume()');
	wait_until(sub { $session->query($outbox) == 0 });
	pass("$dbname: resumed: it is sent");
	$session->quit;
}

done_testing();
