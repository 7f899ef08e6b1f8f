# Versions of the API: which are taken, who is told that one ends, and where tokens come from.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;
use Time::Local qw(timegm);

my $node = start_node('hubspot_assoc.version_warnings' => 'on');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, api_version => '2026-03');
my $call = q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2)};

sub session_of
{
	my ($version) = @_;
	$node->safe_psql('postgres', "ALTER SERVER hubspot OPTIONS (SET api_version '$version')");
	return start_session($node);
}

sub told
{
	my ($session, $sql) = @_;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	$err =~ s/^LOCATION:.*\n?//mg;
	return $err;
}

# The first day of the month that is so many months after one.
sub later
{
	my ($version, $months) = @_;
	my ($year, $month) = $version =~ /^(\d+)-(\d+)/;
	my $n = $year * 12 + $month - 1 + $months;
	return sprintf '%04d-%02d-01', int($n / 12), $n % 12 + 1;
}

# How many days from today, of UTC, to a day.
sub days_until
{
	my ($y, $m, $d) = split /-/, $_[0];
	return int(timegm(0, 0, 0, $d, $m - 1, $y) / 86400) - int(time / 86400);
}

#
# A version ends 18 months after its month, v4 on a day that HubSpot has told: half a year
# before, there is a warning. Which versions that are, the calendar says.
#
my %ends = map { $_ => later($_, 18) } map { ("$_-03", "$_-09") } 2026 .. 2040;
$ends{'2025-09'} = later('2025-09', 18);
$ends{v4} = '2027-03-30';
my (%near, %far, %past);
foreach my $version (keys %ends)
{
	my $days = days_until($ends{$version});

	# what a day more or less decides is not for a test that may run at midnight
	next if abs($days - 183) <= 1 || abs($days) <= 1;
	($days < 0 ? \%past : $days < 183 ? \%near : \%far)->{$version} = $ends{$version};
}
ok(keys(%near) + keys(%past) > 0, 'there are versions whose end is near, or that have ended');
ok(keys %far > 0, 'and others');
foreach my $version ((sort keys %far)[ 0, -1 ])
{
	my $session = session_of($version);
	is(told($session, $call), '', "$version: no warning");
	$session->quit;
}
foreach my $version (sort keys %near, sort keys %past)
{
	my $session = session_of($version);
	my $has = $near{$version} ? 'is supported until' : 'was supported until';
	my $warning = told($session, "$call; $call");

	is(() = $warning =~ /WARNING/g, 1, "$version: one warning");
	like($warning, qr/WARNING:  01P01: version "$version" of HubSpot's API, which server "hubspot" uses, $has about $ends{$version}\nHINT:  Set the option api_version of the server to a newer one, such as "\d{4}-0[39]"/,
		"$version: it says when");
	unlike($warning, qr/such as "$version"/, "$version: and not to stay");
	is(told($session, $call), '', "$version: and it is the only one of the session");
	is(told($session, 'BEGIN; ROLLBACK; ' . $call), '', "$version: also after a rollback");
	$session->quit;
}
{
	my ($version) = sort keys %near, sort keys %past;
	my $session = session_of('2040-09');

	# another version of the server, and another server
	is(told($session, $call), '', 'a version of tomorrow');
	$node->safe_psql('postgres', "ALTER SERVER hubspot OPTIONS (SET api_version '$version')");
	like(told($session, $call), qr/WARNING/, 'a version of yesterday');
	create_account($node, $hubspot, name => 'other', api_version => $version);
	like(told($session, $call =~ s/\)$/, server => 'other')/r), qr/WARNING:.*server "other"/, 'another server');
	is(told($session, $call =~ s/\)$/, server => 'other')/r), '', 'once');
	unlike(told($session, "SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id'); CALL hs_assoc_flush()"), qr/WARNING/, 'nor by other functions');
	$session->quit;

	$session = session_of("$version" eq 'v4' ? 'v4' : "$version-beta");
	like(told($session, "SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')"), qr/^$/, 'enqueuing asks for nothing');
	like(told($session, 'CALL hs_assoc_flush()'), qr/WARNING:  01P01/, 'who sends the outbox is told');
	$session->quit;

	$session = session_of($version);
	is(told($session, "SET hubspot_assoc.version_warnings = off; $call"), '', 'whoever does not want it');
	$session->quit;
}

#
# The versions' paths, betas among them
#
foreach my $version ('2025-09', '2026-03', '2026-09', '2026-09-beta')
{
	$hubspot->clear_log;
	my $session = session_of($version);
	$session->query("SET client_min_messages = error");
	is($session->query($call), 't', $version);
	is($hubspot->log->[0]{path}, "/crm/objects/$version/contacts/1/associations/default/companies/2", "$version: the path");
	$session->quit;
}

#
# A version that HubSpot does not have: nothing is ok, and nothing is charged to rows
#
{
	my $session = session_of('2031-03');
	my $refused = 'f|404|HTTP_404|resource not found';
	my $what = 'ok, http_status, error_category, error_message';

	is($session->query("SELECT $what FROM hs_assoc_archive('contacts', 1, 'companies', 2)"), $refused, 'archive: a path that leads nowhere is no success');
	is($session->query("SELECT $what FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')"), $refused, 'nor for a batch');
	is($session->query("SELECT $what FROM hs_assoc_batch_archive_labels('contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id, 1 AS type_id')"), $refused, 'nor for types');
	is($session->query("SELECT $what FROM hs_assoc_create_default('contacts', 1, 'companies', 2)"), $refused, 'create');
	like(told($session, q{SELECT * FROM hs_assoc_list('contacts', 1, 'companies')}), qr/08P01: .*\nDETAIL:  HTTP_404: resource not found.*\nHINT:  .*api_version/, 'list: the hint names the option');
	like(told($session, q{SELECT hs_assoc_label_delete('contacts', 'companies', 1)}), qr/08P01: could not delete label 1/, 'deleting a label, too');
	is(scalar @{ $hubspot->associations('contacts', 'companies') }, 1, 'the pair is still there');
	$session->query(q{SELECT hs_assoc_enqueue('archive', 'contacts', 'companies', 'SELECT 1 AS from_id, 2 AS to_id')});
	$session->query('CALL hs_assoc_flush()');
	is($session->query('SELECT (SELECT count(*) FROM hs_assoc_outbox), (SELECT count(*) FROM hs_assoc_dead_letter), (SELECT error_message FROM hs_assoc_backoff)'),
		'1|0|resource not found', 'the outbox: the account waits');
	$session->quit;
}

#
# OAuth: the token comes from the version's own path, where it has one
#
$hubspot->oauth({ client_id => 'client', client_secret => 'secret', refresh_token => 'refresh' });
$node->safe_psql('postgres', sprintf q{
	CREATE SERVER oauth FOREIGN DATA WRAPPER hubspot_assoc OPTIONS (base_url '%s', rate_limit '0', api_version 'v4');
	CREATE USER MAPPING FOR PUBLIC SERVER oauth OPTIONS (client_id 'client', client_secret 'secret', refresh_token 'refresh')}, $hubspot->url);
foreach my $case ([ 'v4' => 'v3' ], [ '2025-09' => 'v3' ], [ '2026-03' => '2026-03' ], [ '2026-09' => '2026-09' ], [ '2026-09-beta' => '2026-09-beta' ])
{
	my ($version, $path) = @$case;

	$node->safe_psql('postgres', "ALTER SERVER oauth OPTIONS (SET api_version '$version')");
	$hubspot->clear_log;
	my $session = start_session($node);
	$session->query('SET client_min_messages = error');
	is($session->query($call =~ s/\)$/, server => 'oauth')/r), 't', "OAuth with $version");
	is($hubspot->log->[0]{path}, "/oauth/$path/token", "OAuth with $version: the path of the token");
	$session->quit;
}

done_testing();
