# Odd answers: a member that nobody can read is not as good as none. What is not said to be
# done, or all that there is, does not count as that; and what is odd is named.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS;
use Test::More;

my ($true, $false) = (Cpanel::JSON::XS::true, Cpanel::JSON::XS::false);
my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms', key_cache => '0s');
my $session = start_session($node);
$session->query('SET client_min_messages = error');

# Answers a request, or each, with an action.
sub answer { my (@rules) = @_; $hubspot->clear_rules; $hubspot->clear_log; $hubspot->rules(\@rules); return }
sub body { my ($body, $status) = @_; return { status => $status // 200, body => $body } }

# What is told of a statement that fails; or its rows.
sub told
{
	my ($sql) = @_;
	$session->send($sql);
	my ($rows, $told) = $session->finish;
	return $told ne '' ? $told =~ s/^psql:<stdin>:\d+: //r : $rows;
}

# The rows of records that are read, those that HubSpot says twice being one.
sub read_of
{
	my (@ids) = @_;
	return $session->query(sprintf q{SELECT string_agg(concat_ws(' ', from_id, to_id, error_category, error_message), E'\n' ORDER BY input_no, to_id)
		FROM hs_assoc_batch_read('contacts', 'companies', '{%s}'::text[])}, join ',', @ids);
}

sub list_of
{
	my ($id) = @_;
	return told("SELECT string_agg(to_id, ' ' ORDER BY to_id) FROM hs_assoc_list('contacts', $id, 'companies')");
}

sub archived
{
	my ($count) = @_;
	return $session->query(qq{SELECT string_agg(concat_ws(' ', ok, error_category, error_message), E'\\n' ORDER BY input_no)
		FROM hs_assoc_batch_archive('contacts', 'companies', 'SELECT i AS from_id, i AS to_id FROM generate_series(1, $count) i')});
}

my $record = sub { my ($id, $paging, @to) = @_; return { from => { id => "$id" }, to => [ map { { toObjectId => "$_", associationTypes => [] } } @to ], defined $paging ? (paging => $paging) : () } };

#
# Sending ends by the answer to a look-up, or to a list, while requests wait for their turn
#
$hubspot->reset;
create_account($node, $hubspot, name => 'single', rate_limit => 0, max_retries => 0, key_cache => '0s', concurrency => 1, batch_size => 1);
foreach my $status (401, 403, 405, 429, 530)
{
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@example.com" } } } 1 .. 4 ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. 4 ]);
	$hubspot->put_associations('contacts', 'companies', [ map { [ 100 + $_, 200 + $_ ] } 1 .. 4 ]);
	foreach my $nth (1 .. 4)
	{
		my $refused = { status => $status, headers => { 'Retry-After' => '3600' } };

		foreach my $path ('objects/2026-03/contacts/batch/read$', 'companies/(search|batch/read)$')
		{
			answer({ match => { path => $path, nth => $nth }, action => $refused });
			my $rows = $session->query(q{SELECT string_agg(concat_ws(' ', ok, coalesce(error_category, 'done')), ', ' ORDER BY input_no) FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
				$$SELECT format('c%s@example.com', i) AS from_id, format('d%s.example', i) AS to_id FROM generate_series(1, 4) i$$, server => 'single')});
			like($rows, qr/^((^|, )(t done|f \S+)){4}$/, "$status for look-up $nth of $path: a row for each");
			like($rows, qr/f NOT_SENT/, '... some of which were not sent');
			like($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts:email', 'companies:domain', ARRAY['c1@example.com', 'c2@example.com', 'c3@example.com', 'c4@example.com'], server => 'single')}),
				qr/^[4-8]$/, '... a read');
		}
		answer({ match => { path => 'objects/2026-03/contacts$', nth => $nth }, action => $refused }, { match => { path => 'companies/batch/read$', nth => $nth }, action => $refused });
		like(told("SELECT count(*) FROM hs_assoc_scan('contacts:email', 'companies:domain', server => 'single')"), qr/^(ERROR:  \S+: could not |\d+$)/, '... a scan');
	}
	# the property is refused, and then the list of properties
	answer({ match => { path => 'companies/(search|batch/read)$' }, action => { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'No' } } },
		{ match => { path => 'properties' }, action => { status => $status, headers => { 'Retry-After' => '3600' } } });
	like($session->query(q{SELECT string_agg(concat_ws(' ', ok, error_category), ', ' ORDER BY input_no) FROM hs_assoc_batch_create_default('contacts:email', 'companies:domain',
			$$SELECT format('c%s@example.com', i) AS from_id, CASE i WHEN 1 THEN '201' ELSE format('d%s.example', i) END AS to_id FROM generate_series(1, 4) i$$, server => 'single')}),
		qr/^(f \S+(, |$)){4}$/, "$status for the list of properties");
	like($session->query(q{SELECT count(*) FROM hs_assoc_batch_read('contacts', 'companies:domain', '{101,102,103,104}'::text[], server => 'single')}), qr/^[4-8]$/, '... while records are read');
}

$session->quit;
done_testing();
