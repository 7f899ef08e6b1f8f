# Foreign tables whose option on_error is 'row': a record that cannot be read is a row with
# its error; what is not one record's failure, and what is written, is an error all the same.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my $node = start_node('jit' => 'off');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, key_cache => '0s');
my $session = start_session($node);
$session->query(q{
CREATE FOREIGN TABLE t (from_id text, to_id text, type_id int, label text, category text, error_category text, problem text OPTIONS (role 'error_message'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', on_error 'row');
CREATE FOREIGN TABLE keyed (from_id text, to_id text, error_category text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies:domain', on_error 'row');
CREATE FOREIGN TABLE raises (from_id text, to_id text, error_category text, error_message text)
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies');
CREATE TABLE l (id text);
INSERT INTO l VALUES ('1'), ('abc'), ('2');
ANALYZE l;
});
$hubspot->generate_associations('contacts', 'companies', { count => 9, per_from => 2 });
$hubspot->settings({ bad_batch => 'partial' });

asks("SELECT from_id, to_id, error_category, problem IS NOT NULL FROM t WHERE from_id IN ('1', 'abc')", "1|1||f\n1|2||f\nabc||VALIDATION_ERROR|t", 'a record that cannot be read');
asks("SELECT l.id, to_id, error_category FROM l LEFT JOIN t ON from_id = id", "1|1|\n1|2|\n2|3|\n2|4|\nabc||VALIDATION_ERROR", '... in a join');
asks("SELECT l.id, (SELECT count(*) FROM t WHERE from_id = l.id AND error_category IS NULL) FROM l", "1|2\n2|2\nabc|0", '... in a subquery');
asks("SELECT count(*), count(to_id) FROM l a CROSS JOIN LATERAL (SELECT * FROM t WHERE from_id = 'abc' OFFSET 0) s", '3|0', '... again and again', 'SET enable_material = off');
asks("SELECT count(*), count(error_category), count(problem) FROM raises r(from_id, to_id, error_category, problem) WHERE from_id = '1'", '2|0|0', 'a table that raises has nulls there');
fails("SELECT * FROM raises WHERE from_id IN ('1', 'abc')", qr/ERROR:.*could not read the associations of contacts abc/, '... and raises');
$hubspot->put_records(companies => [ { id => '1', properties => { domain => 'one.example' } }, { id => '2', properties => { domain => 'dup.example' } }, { id => '3', properties => { domain => 'dup.example' } } ]);
asks("SELECT * FROM keyed WHERE to_id IN ('one.example', 'dup.example', 'none.example')", "1|one.example|\n|dup.example|RECORD_AMBIGUOUS", 'keys of one record, of two, and of none');

# Object types and properties that HubSpot does not know: each record that is named is a row
$session->query(q{
CREATE FOREIGN TABLE wrong_to (from_id text, to_id text, label text, error_category text, problem text OPTIONS (role 'error_message'))
	SERVER hubspot OPTIONS (from_type 'contacts', to_type 'widgets', on_error 'row');
CREATE FOREIGN TABLE wrong_from (from_id text, to_id text, error_category text) SERVER hubspot OPTIONS (from_type 'widgets', to_type 'companies', on_error 'row');
CREATE FOREIGN TABLE wrong_key (from_id text, to_id text, error_category text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies:doman', on_error 'row');
CREATE FOREIGN TABLE wrong_all (from_id text, to_id text, error_category text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'widgets', on_error 'row', scan 'all');
});
asks("SELECT from_id, to_id, label, error_category, problem IS NOT NULL FROM wrong_to WHERE from_id IN ('1', '2')", "1|||HTTP_400|t\n2|||HTTP_400|t", 'a to_type that is not there');
asks("SELECT * FROM wrong_from WHERE from_id = '1'", '1||HTTP_400', '... a from_type');
asks("SELECT * FROM wrong_from WHERE to_id = '1'", '|1|HTTP_400', '... from the other side');
asks("SELECT * FROM wrong_key WHERE to_id IN ('a', 'b')", "|a|NOT_SENT\n|b|NOT_SENT", '... a property');
asks("SELECT count(*), count(DISTINCT from_id), count(error_category), count(to_id) FROM wrong_to WHERE from_id = ANY (ARRAY(SELECT i::text FROM generate_series(1, 9000) i))", '9000|9000|9000|0', '... of very many');
asks("SELECT l.id, error_category FROM l LEFT JOIN wrong_to ON from_id = id WHERE id <> 'abc'", "1|HTTP_400\n2|HTTP_400", '... in a join');
fails("SELECT * FROM wrong_all", qr/ERROR:.*could not read the associations of contacts with widgets/, '... but if none is named, it is an error');
fails("SELECT label FROM wrong_to WHERE to_id = '1'", qr/ERROR/, '... and if they are read forward');

# What is an error all the same
fails("SELECT label FROM t WHERE to_id IN ('1', 'abc')", qr/ERROR:.*could not read the associations of companies abc/, 'what is read forward');
asks("SELECT from_id, error_category FROM t WHERE to_id IN ('1', 'abc')", "1|\n|VALIDATION_ERROR", '... but not what need not be');
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 500 } });
fails("SELECT * FROM t WHERE from_id = '1'", qr/ERROR:  38000: could not read the associations of contacts 1/, "a failure of HubSpot's");
$hubspot->clear_rules;
$hubspot->rules({ match => { path => 'batch/read' }, action => { status => 401 } });
fails("SELECT * FROM t WHERE from_id = '1'", qr/ERROR:  28000/, 'a token that is refused');
$hubspot->clear_rules;
fails("DELETE FROM t WHERE from_id IN ('1', 'abc')", qr/ERROR:.*could not read the associations of contacts abc/, 'DELETE by what cannot be read');
fails("UPDATE t SET label = 'x' WHERE from_id IN ('abc')", qr/ERROR:.*could not read the associations of contacts abc/, 'UPDATE');
fails("INSERT INTO t (from_id, to_id, error_category) VALUES ('1', '2', 'x')", qr/0A000: columns for errors of foreign table public\.t cannot be written/, 'INSERT of an error');
fails("UPDATE t SET problem = 'x' WHERE from_id = '1'", qr/cannot be written/, 'UPDATE to an error');
is($session->query('SELECT count(*) FROM hs_assoc_outbox'), 0, '... and nothing is enqueued');
fails("CREATE FOREIGN TABLE x (from_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', on_error 'rows')", qr/invalid value for option "on_error": "rows"/, 'a value of the option');
$session->query("CREATE FOREIGN TABLE x (from_id text, to_id text) SERVER hubspot OPTIONS (from_type 'contacts', to_type 'companies', on_error 'row')");
fails("SELECT FROM x WHERE from_id = '1'", qr/HV005: foreign table public\.x has no column for error_category/, 'a table that cannot show errors');

$session->quit;
done_testing();

sub asks
{
	my ($sql, $expected, $name, $before) = @_;
	$session->query($before) if $before;
	$session->send($sql);
	my ($out, $err) = $session->finish;
	is(join("\n", sort split /\n/, $out), join("\n", sort split /\n/, $expected), $name) or diag($err);
	return;
}

sub fails { my ($sql, $error, $name) = @_; return like($session->told($sql), $error, $name) }
