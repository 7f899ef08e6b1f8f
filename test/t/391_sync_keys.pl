# Tables in sync whose columns hold what people call records: e-mails, domains.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
my $session = start_session($node);

sub flush { return $session->query('CALL hs_assoc_flush()') }
sub due { return $session->query('SELECT hs_assoc_resume()') }
sub held { return join ' ', map { s/,HUBSPOT.*//r } split /\n/, $hubspot->association_table('contacts', 'companies') }

sub outbox
{
	return $session->query(q{SELECT coalesce(string_agg(concat_ws(' ', operation, from_type, from_id, to_type, to_id), ', ' ORDER BY id), 'empty') FROM hs_assoc_outbox});
}
sub operations { return join ' ', map { $_->{operation} } @{ $hubspot->log } }

sub start_over
{
	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => "10$_", properties => { email => "c$_\@example.com", hs_additional_emails => "also$_\@example.com" } } } 1 .. 5 ]);
	$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. 5 ]);
	$session->query(q{SET client_min_messages = warning; DROP TABLE IF EXISTS leads;
		CREATE TABLE leads (email text, domain text, role text, PRIMARY KEY (email, domain)); RESET client_min_messages;
		TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter});
	$hubspot->clear_log;
	return;
}

# What the table's rows are
start_over();
$session->query(q{INSERT INTO leads VALUES ('c1@example.com', 'd1.example'), ('C2@example.com ', 'D2.example')});
is($session->query(q{SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain', backfill => true)}), 2, 'rows with keys in sync');
is($session->query('SELECT from_type, to_type, wait_for_records, active FROM hs_assoc_sync'), 'contacts:email|companies:domain|1 day|t', 'are shown so');
flush();
is(held() . '; ' . outbox(), '101,201 102,202; empty', 'and sent');

# Other spellings are no change
$session->query(q{UPDATE leads SET email = lower(btrim(email)), domain = upper(domain)});
is(outbox(), 'empty', 'another spelling of a key is no change');
$session->query(q{UPDATE leads SET domain = 'd3.example' WHERE email = 'c2@example.com'});
is(outbox(), 'archive contacts:email c2@example.com companies:domain D2.EXAMPLE, create_default contacts:email c2@example.com companies:domain d3.example', 'another key is');
flush();
is(held(), '101,201 102,203', 'and sent');
$session->query(q{DELETE FROM leads WHERE email = 'c2@example.com'; INSERT INTO leads VALUES ('c2@example.com', 'd3.example')});
flush();
is(held(), '101,201 102,203', 'a row that goes and comes back');
$session->query(q{BEGIN; TRUNCATE leads; INSERT INTO leads VALUES ('c1@example.com', 'D1.EXAMPLE'), ('c2@example.com', 'd3.example'); COMMIT});
is(outbox(), 'empty', 'a table that is filled anew');

# Another name of the record
$hubspot->clear_log;
$session->query(q{UPDATE leads SET email = 'also2@example.com' WHERE email LIKE 'c2%'});
flush();
is(held(), '101,201 102,203', 'another name of the same record takes nothing away');
unlike(operations(), qr/archive/, 'and nothing is removed on the way');

# Many of them: removals wait until all that comes instead is known
start_over();
my $many = 6000;
$hubspot->generate_records(contacts => { count => $many, properties => { email => 'n{n}@example.com', hs_additional_emails => 'm{n}@example.com' } });
$session->query(qq{INSERT INTO leads SELECT 'n' || i || '\@example.com', 'd1.example' FROM generate_series(1, $many) i;
	SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain', backfill => true)});
flush();
is($hubspot->association_count('contacts', 'companies'), $many, "$many rows");
$hubspot->clear_log;
$session->query(q{UPDATE leads SET email = replace(email, 'n', 'm')});
wait_until(sub { flush(); $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0 });
is($hubspot->association_count('contacts', 'companies'), $many, 'have other names now');
unlike(operations(), qr/archive/, 'and none was ever gone');
is($session->query('SELECT count(*) FROM hs_assoc_dead_letter'), 0, 'nothing has failed');

# Types
start_over();
$session->query(q{SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies', 'domain', is_primary => true, wait_for_records => '1 hour')});
$session->query(q{INSERT INTO leads VALUES ('c1@example.com', '201'), ('', '201'), (repeat('x', 1001), '202')});
flush();
is($hubspot->association_table('contacts', 'companies'), "101,201,HUBSPOT_DEFINED=1\n", 'one side has keys, and there is a type');
is($session->query(q{SELECT left(from_id, 3), right(from_id, 26), regexp_replace(error_message, 'x+', 'x') FROM hs_assoc_dead_letter ORDER BY id}),
	qq{||from_id "" is not valid: it is empty\nxxx|\n... (cut: it is too long)|from_id "x" is not valid: it is longer than 1000 bytes}, 'what is no key is refused');

done_testing();
