# A generated matrix of faults: each fault with each operation that sends, at
# some moment of it, before or after HubSpot has acted, as a row or an ERROR.
#
# Of the product of all that makes sense one case is drawn for each pair of a
# fault and an operation, in random order; DRAWS=n in the environment draws n
# of each. The seed is printed, and taken from the environment's SEED; CASE=n
# beside it runs that case alone, or several: CASE=3,17,25. CASES=n runs the
# first n; under valgrind these are 1,000, as it takes 30 times as long.
#
# What must hold, whatever happens:
#
# - one row for each input, with its number; ok only if the simulator holds the
#   association afterwards (a removal: holds it no longer); a record that was
#   not read in full is a row that says so, never one with nothing associated
# - a key has its own record or none, and nothing is associated but what was to be
# - what may not be done twice is not sent again once HubSpot may have acted
# - an ERROR has the SQLSTATE of its cause
# - what is sent again succeeds, unless the fault lasts; what lasts fails
# - redirects are not followed, the token is in no message
# - the next call works, in the same session; no descriptor, connection or
#   memory is left beyond what is kept for later requests

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use IO::Select;
use IO::Socket::INET;
use HTTP::Tiny;
use Cpanel::JSON::XS;
use List::Util qw(min shuffle uniq);
use MIME::Base64;
use POSIX ();
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(time);

my ($true, $false) = (Cpanel::JSON::XS::true, Cpanel::JSON::XS::false);
my $token = 'pat-na1-5ec2e7-t0k3n-9f8e7d6c5b4a';
my $secret = substr $token, 8, 16;

# Connections that the session may keep are 64 (src/http/transport.c).
my $kept = 64;

# Besides, libcurl has sockets of its own for what is going on; a leak would soon be
# more. (Files don't count: the server opens those of catalogs as it comes to need them.)
my $others = 16;

my $seed = $ENV{SEED} // int(time * 1000) % 1_000_000;
my $draws = $ENV{DRAWS} // 1;
my $most_cases = $ENV{CASES} // (instrumented() eq 'valgrind' ? 1000 : 1_000_000);
my %only = map { $_ => 1 } split /,/, $ENV{CASE} // '';

#
# The accounts. Where they lead to says what is wrong with them, if anything.
#
my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = do
{
	# What is freed goes back to the kernel at once, as at a process's start: glibc
	# would keep up to 64 MB more after each larger block.
	local @ENV{ 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_' } = (131_072, 131_072);
	start_node('hubspot_assoc.allowed_hosts' => '127.0.0.1, *.example');
};
my $hubspot = start_simulator(token => $token);
my $stranger = start_simulator(make_certificate($dir, 'own'), token => $token);
my $refused = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "bind: $!";
my %odd = start_odd_servers(
	reset => sub { my ($peer) = @_; setsockopt $peer, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 },
	no_http => sub { my ($peer) = @_; sysread $peer, my $request, 1; syswrite $peer, "SSH-2.0-OpenSSH_9.2\r\n" },
	no_tls => sub { my ($peer) = @_; sysread $peer, my $hello, 65536; syswrite $peer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" },
	cut_hello => sub { my ($peer) = @_; sysread $peer, my $hello, 1 });

my $retries = 2;
my %options = (rate_limit => 0, max_retries => $retries, max_retry_delay => '20ms',
	batch_size => 3, concurrency => 2, sent_retention => '1d');
my %accounts = (
	hubspot => {},
	hasty => { max_retries => 1, request_timeout => int(patience(600)) . 'ms' },
	patient => { max_retry_delay => '3s' },
	refused => { base_url => 'http://127.0.0.1:' . $refused->sockport },
	# a label of a name has 63 characters at most, so nobody is asked for this one
	nameless => { base_url => 'https://' . 'x' x 64 . '.example' },
	stranger => { base_url => $stranger->url },
	no_tls => { base_url => "https://127.0.0.1:$odd{no_tls}" },
	reset => { base_url => "http://127.0.0.1:$odd{reset}" },
	no_http => { base_url => "http://127.0.0.1:$odd{no_http}" },
	cut_hello => { base_url => "https://127.0.0.1:$odd{cut_hello}" });
create_account($node, $hubspot, %options, %{ $accounts{$_} }, name => $_, token => $token)
  foreach sort keys %accounts;

#
# The operations. sql, and with it all the other functions, are given a case,
# whose ids are its own.
#
#   path        the request that the operation is about
#   before      requests that go before it: {name of the phase => path}
#   keys        its records are called by keys, which are ids with something after them
#   looks_up    its requests look up keys
#   requests    one, or many
#   raises      choice (on_error), always, or never
#   once        it is not repeatable
#   silent      nothing in its answer names an input
#   holds       given the case, the types of the pair and the row: is it done?
#
my ($objects, $associations) = ('^/crm/objects/2026-03/', '^/crm/associations/2026-03/');
my $batch = "${associations}contacts/companies/batch";
my %lookup = (lookup => "${associations}contacts/companies/labels\$");
my %keep = (keep => "$batch/read\$");

# Keys: e-mails are read, domains are searched for.
my %keyed = (keys => 1, from_type => 'contacts:email', to_type => 'companies:domain',
	before => { read => "${objects}contacts/batch/read\$", search => "${objects}companies/search\$" });

my @operations = (
	{
		name => 'create_default',
		path => "${objects}contacts/.*/associations/default/", inputs => 1,
		sql => sub { single('create_default', $_[0]) },
		holds => sub { $_[1]{default} },
	},
	{
		name => 'create', path => "${objects}contacts/.*/associations/companies/", inputs => 1,
		sql => sub { single('create', $_[0], "type_ids => '{1}'") },
		holds => sub { $_[1]{'HUBSPOT_DEFINED=1'} },
		one_result => 1
	},
	{
		name => 'create, labels', path => "${objects}contacts/.*/associations/companies/", inputs => 1,
		before => \%lookup, labels => 1,
		sql => sub { single('create', $_[0], "labels => '{Partner}'") },
		holds => sub { $_[1]{ $_[0]{partner} } },
		one_result => 1
	},
	{
		name => 'create, keep_labels', path => "${objects}contacts/.*/associations/companies/", inputs => 1,
		before => { %lookup, %keep }, labels => 1, has => 'adviser',
		sql => sub { single('create', $_[0], "labels => '{Partner}', keep_labels => true") },
		holds => sub { $_[1]{ $_[0]{partner} } && $_[1]{ $_[0]{adviser} } },
		one_result => 1
	},
	{
		name => 'batch_create_default', path => "$batch/associate/default\$", inputs => 8,
		sql => sub { many('batch_create_default', $_[0]) },
		holds => sub { $_[1]{default} },
	},
	{
		name => 'batch_create', path => "$batch/create\$", inputs => 8,
		sql => sub { many('batch_create', $_[0], ', 1 AS type_id') },
		holds => sub { $_[1]{'HUBSPOT_DEFINED=1'} },
	},
	{
		name => 'batch_create, labels', path => "$batch/create\$", inputs => 8,
		before => \%lookup, labels => 1,
		sql => sub { many('batch_create', $_[0], ", ''Partner'' AS label") },
		holds => sub { $_[1]{ $_[0]{partner} } },
	},
	{
		name => 'batch_create, keep_labels', path => "$batch/create\$", inputs => 8,
		before => { %lookup, %keep }, labels => 1, has => 'adviser',
		sql => sub { many('batch_create', $_[0], ", ''Partner'' AS label", 'keep_labels => true') },
		holds => sub { $_[1]{ $_[0]{partner} } && $_[1]{ $_[0]{adviser} } },
	},
	{
		name => 'archive', path => "${objects}contacts/.*/associations/companies/", inputs => 1,
		has => 'default', removes => 1, silent => 1,
		sql => sub { single('archive', $_[0]) },
		holds => sub { !%{ $_[1] } },
	},
	{
		name => 'batch_archive', path => "$batch/archive\$", inputs => 8,
		has => 'default', removes => 1, silent => 1,
		sql => sub { many('batch_archive', $_[0]) },
		holds => sub { !%{ $_[1] } },
	},
	{
		name => 'batch_archive_labels', path => "$batch/labels/archive\$", inputs => 8,
		before => \%lookup, labels => 1, has => 'adviser', removes => 1, silent => 1,
		sql => sub { many('batch_archive_labels', $_[0], ", ''Adviser'' AS label") },
		holds => sub { !$_[1]{ $_[0]{adviser} } },
	},
	{
		name => 'outbox, create', path => "$batch/create\$", inputs => 8, raises => 'never',
		before => { %lookup, %keep }, labels => 1, has => 'adviser', max_retries => 1,
		sql => sub { outbox('create', $_[0], ", ''Partner'' AS label", 'keep_labels => true') },
		holds => sub { $_[1]{ $_[0]{partner} } && $_[1]{ $_[0]{adviser} } },
	},
	{
		name => 'outbox, archive', path => "$batch/archive\$", inputs => 8, raises => 'never',
		has => 'default', removes => 1, silent => 1, max_retries => 1,
		sql => sub { outbox('archive', $_[0]) },
		holds => sub { !%{ $_[1] } },
	},
	{
		name => 'list', path => "${objects}contacts/.*/associations/companies\$", inputs => 1,
		many_pages => 1, raises => 'always', reads => 1,
		sql => sub { sprintf q{SELECT %s FROM hs_assoc_list('contacts', %s, 'companies', server => '%s') AS r},
			row_of('read'), $_[0]{from}[0], $_[0]{server} },
	},
	{
		name => 'batch_read', path => "$batch/read\$", inputs => 8, many_pages => 1, reads => 1,
		sql => sub { sprintf q{SELECT %s FROM hs_assoc_batch_read('contacts', 'companies', ARRAY[%s], %s) AS r},
			row_of('read'), join(', ', map { "'$_'" } @{ $_[0]{from} }), ending($_[0]) },
	},
	{
		name => 'create_default, keys', path => "${objects}contacts/.*/associations/default/", inputs => 1, %keyed,
		sql => sub { single('create_default', $_[0]) },
		holds => sub { $_[1]{default} },
	},
	{
		name => 'batch_create_default, keys', path => "$batch/associate/default\$", inputs => 8, %keyed,
		sql => sub { many('batch_create_default', $_[0]) },
		holds => sub { $_[1]{default} },
	},
	{
		name => 'batch_archive, keys', path => "$batch/archive\$", inputs => 8, %keyed,
		has => 'default', removes => 1, silent => 1,
		sql => sub { many('batch_archive', $_[0]) },
		holds => sub { !%{ $_[1] } },
	},
	{
		name => 'batch_read, keys', path => "$batch/read\$", inputs => 8, many_pages => 1, reads => 1, %keyed,
		to_type => 'companies', before => { read => $keyed{before}{read} },
		sql => sub { sprintf q{SELECT %s FROM hs_assoc_batch_read('contacts:email', 'companies', ARRAY[%s], %s) AS r},
			row_of('read', $_[0]), join(', ', map { "'$_\@example.com'" } @{ $_[0]{from} }), ending($_[0]) },
	},
	{
		name => 'outbox, create, keys', path => "$batch/create\$", inputs => 8, raises => 'never', %keyed,
		max_retries => 1,
		sql => sub { outbox('create', $_[0], ', 1 AS type_id') },
		holds => sub { $_[1]{'HUBSPOT_DEFINED=1'} },
	},
	{
		name => 'outbox, archive, keys', path => "$batch/archive\$", inputs => 8, raises => 'never', %keyed,
		has => 'default', removes => 1, silent => 1, max_retries => 1,
		sql => sub { outbox('archive', $_[0]) },
		holds => sub { !%{ $_[1] } },
	},
	{
		name => 'resolve, read', path => $keyed{before}{read}, inputs => 8, %keyed, before => {}, looks_up => 1,
		sql => sub { resolve('contacts:email', 'from', $_[0]) },
		holds => sub { defined $_[2]{fr} },
	},
	{
		name => 'resolve, search', path => $keyed{before}{search}, inputs => 8, %keyed, before => {}, looks_up => 1,
		sql => sub { resolve('companies:domain', 'to', $_[0]) },
		holds => sub { defined $_[2]{tr} },
	},
	{
		name => 'labels', path => "${associations}contacts/companies/labels\$", raises => 'always',
		labels => 1, lists => 1,
		sql => sub { definition('labels', 'type_id', $_[0]) },
		done => sub { my ($case, $types) = @_;
			join(' ', sort @$types) eq join ' ', sort map { $_->{typeId} } @{ labels_now() } },
	},
	{
		name => 'label_create', path => "${associations}contacts/companies/labels\$", raises => 'always',
		once => 1, lists => 1, makes => 1,
		sql => sub { definition('label_create', 'type_id', $_[0], "'Landlord', 'landlord'") },
		done => sub { my ($case, $types) = @_;
			grep { $_->{label} && $_->{label} eq 'Landlord' && grep { $_ } @$types } @{ labels_now() } },
	},
	{
		name => 'label_update', path => "${associations}contacts/companies/labels\$", raises => 'always',
		labels => 1, no_body => 1, silent => 1,
		sql => sub { definition('label_update', 1, $_[0], number($_[0]{partner}) . ", 'Ally'") },
		done => sub { grep { $_->{label} && $_->{label} eq 'Ally' } @{ labels_now() } },
	},
	{
		name => 'label_delete', path => "${associations}contacts/companies/labels/", raises => 'always',
		labels => 1, no_body => 1, silent => 1,
		sql => sub { definition('label_delete', 1, $_[0], number($_[0]{partner})) },
		done => sub { !grep { $_->{label} && $_->{label} eq 'Partner' } @{ labels_now() } },
	},
	{
		name => 'limits', path => "${associations}definitions/configurations/contacts/companies\$",
		raises => 'always', limit => 5, lists => 1,
		sql => sub { definition('limits', 'max_to_ids', $_[0]) },
		done => sub { "@{ $_[1] }" eq '5' },
	},
	{
		name => 'limits of all', path => "${associations}definitions/configurations/all\$",
		raises => 'always', limit => 6, lists => 1,
		sql => sub { "SELECT max_to_ids FROM hs_assoc_limits(server => '$_[0]{server}') AS r" },
		done => sub { "@{ $_[1] }" eq '6' },
	},
	{
		name => 'limit_create', path => "${associations}definitions/configurations/contacts/companies/batch/create\$",
		raises => 'always', once => 1, silent => 1,
		sql => sub { definition('limit_create', 1, $_[0], "'HUBSPOT_DEFINED', 279, 7") },
		done => sub { limit_now() == 7 },
	},
	{
		name => 'limit_update', path => "${associations}definitions/configurations/contacts/companies/batch/update\$",
		raises => 'always', limit => 5, silent => 1,
		sql => sub { definition('limit_update', 1, $_[0], "'HUBSPOT_DEFINED', 279, 8") },
		done => sub { limit_now() == 8 },
	},
	{
		name => 'limit_purge', path => "${associations}definitions/configurations/contacts/companies/batch/purge\$",
		raises => 'always', limit => 5, no_body => 1, silent => 1,
		sql => sub { definition('limit_purge', 1, $_[0], "'HUBSPOT_DEFINED', 279") },
		done => sub { limit_now() == 0 },
	},
	{
		name => 'high_usage_report', path => "${associations}usage/high-usage-report/", raises => 'always', once => 1,
		sql => sub { "SELECT user_id FROM hs_assoc_high_usage_report(42, server => '$_[0]{server}') AS r" },
		done => sub { "@{ $_[1] }" eq '42' },
	},
	{
		name => 'account', path => "^/account-info/2026-03/details\$", raises => 'always', lists => 1,
		sql => sub { "SELECT account_id FROM hs_assoc_account(server => '$_[0]{server}') AS r" },
		done => sub { "@{ $_[1] }" eq '8001' },
	},
	{
		name => 'label_usage', path => "^/crm/limits/2026-03/associations/labels\$", raises => 'always', labels => 1, lists => 1,
		sql => sub { definition('label_usage', 'used', $_[0]) },
		done => sub { "@{ $_[1] }" eq '2' },
	},
	{
		name => 'request, GET', path => "${associations}contacts/companies/labels\$", raises => 'always', passes => 1,
		sql => sub { "SELECT http_status FROM hs_assoc_request('GET', '/crm/associations/2026-03/contacts/companies/labels', "
			  . "server => '$_[0]{server}')" },
	},
	{
		name => 'request, POST', path => "${associations}contacts/companies/labels\$", raises => 'always', passes => 1, once => 1,
		sql => sub { "SELECT http_status FROM hs_assoc_request('POST', '/crm/associations/2026-03/contacts/companies/labels', "
			  . qq{'{"label": "Landlord", "name": "landlord"}', server => '$_[0]{server}')} },
	});

#
# The faults.
#
#   action      what the simulator does: an action of a rule, or a function of
#               the operation, which returns one
#   account     whose requests go there, if not the simulator's usual one: then
#               there is no other moment than always
#   kind        retry: it is sent again; unless the operation is not
#               repeatable, or "unsent" says that HubSpot cannot have acted
#               final: it isn't
#               garbage: likewise, and HubSpot says that it is a success
#               harmless: nothing is wrong with it
#               any: one or the other, the operation decides
#   states      SQLSTATEs that it may lead to
#   acts        0, 1 or both: HubSpot doesn't act, or acts; both if not given
#   partial     it spares some of the inputs
#   keeps_errors  it spares records that the answer says have no associations
#   empty       what names nothing takes it for a success
#   asks_again  keys are asked for again, since it is a list, but not all of it
#   lookup      it is met by look-ups of keys alone
#   lies        it says of a record that is there that it is not: a removal takes that
#               for done
#   any_wire    it depends on what libcurl makes of it
#   moments     these alone
#   halves      a batch that is refused so is sent again in parts
#   only        whether it makes sense for an operation
#
my @faults;

sub fault
{
	my ($name, $kind, $states, %fault) = @_;
	push @faults, { name => $name, kind => $kind, states => [ split ' ', $states ], %fault };
	return;
}

# A success with a body, for those operations as well that have none.
sub with_body
{
	my %action = @_;
	return sub {
		my ($operation) = @_;
		return { $operation->{no_body} ? (status => 200, body => { status => 'COMPLETE', results => [] }) : (), %action };
	};
}

# Connections
fault('reset before the answer', 'retry', '08006', action => { reset => 'before' });
fault('reset after the headers', 'retry', '08006', action => with_body(reset => 'headers'));
fault('reset in mid-body', 'retry', '08006', action => with_body(reset => 'body'));
fault('cut after the status line', 'retry', '08006', action => with_body(cut_head => 24));
fault('cut in the headers', 'retry', '08006', action => with_body(cut_head => 60));
fault('closed before the answer', 'retry', '08006', action => { close => 'before' });
fault('shorter than its Content-Length', 'retry', '08006', action => with_body(truncate => 5));
fault('cut after the headers', 'retry', '08006', action => with_body(truncate => 0));
fault('chunks that end early', 'retry', '08006', action => with_body(truncate => 9, chunked => $true));
fault('chunks without the last one', 'retry', '08006',
	action => with_body(headers => { 'Transfer-Encoding' => 'chunked', 'Content-Length' => undef },
		text => "2\r\n{}\r\n", truncate => 1000, status => 200));
fault('cut, and no length', 'garbage', '08P01', action => with_body(truncate => 5, headers => { 'Content-Length' => undef }));
fault('an answer until the end of the connection', 'harmless', '', action => with_body(headers => { 'Content-Length' => undef }), acts => [1]);
fault('longer than its Content-Length', 'garbage', '08P01', action => with_body(headers => { 'Content-Length' => '7' }));
fault('a Content-Length that is no number', 'garbage', '08P01 08006', account => 'hasty',
	action => with_body(headers => { 'Content-Length' => 'many' }), any_wire => 1);
fault('a connection that is closed after it', 'harmless', '', action => { close_after => $true }, acts => [1]);
fault('a connection that is closed without a word', 'harmless', '', action => { close_after => $true, silent_close => $true }, acts => [1]);
fault('chunks', 'harmless', '', action => { chunked => $true }, acts => [1]);
fault('a slow answer', 'harmless', '', action => { drip => { bytes => 300, interval_ms => 2 } }, acts => [1]);
fault('stall before the headers', 'retry', '08006', action => { hang => $true }, account => 'hasty');
fault('stall in mid-body', 'retry', '08006', action => with_body(delay_body_ms => 3_600_000), account => 'hasty');

# Accounts that lead nowhere
fault('connection refused', 'retry', '08006', account => 'refused', unsent => 1);
fault('no such name', 'retry', '08006', account => 'nameless', unsent => 1);
fault('reset at the start', 'retry', '08006', account => 'reset');
fault('no HTTP', 'final', '08P01', account => 'no_http');
fault('a certificate nobody knows', 'final', '08006', account => 'stranger');
fault('no TLS', 'final', '08006', account => 'no_tls');
fault('a handshake that is cut off', 'retry', '08006', account => 'cut_hello', unsent => 1);

# Statuses
fault($_, 'retry', '38000', action => { status => $_ }) foreach 500, 502, 503, 504, 520 .. 527;
fault('503, Retry-After 0', 'retry', '38000', action => { status => 503, headers => { 'Retry-After' => '0' } });
fault('503, Retry-After 30', 'final', '38000', action => { status => 503, headers => { 'Retry-After' => '30' } });
fault('503, HTML', 'retry', '38000', action => { status => 503, text => '<html>busy</html>', content_type => 'text/html' });
fault('503, empty', 'retry', '38000', action => { status => 503, text => '' });
fault($_, 'final', '38000', action => { status => $_ }) foreach 501, 599;
fault(477, 'retry', '53400', action => { status => 477 }, unsent => 1, acts => [0]);
fault('477, Retry-After 86400', 'final', '53400', action => { status => 477, headers => { 'Retry-After' => '86400' } }, acts => [0]);
fault('423', 'final', '53400', action => { status => 423 }, acts => [0]);
fault('423, waited for', 'retry', '53400', action => { status => 423 }, unsent => 1, acts => [0], account => 'patient',
	moments => ['first'], only => sub { $_[0]{name} =~ /^(create_default|batch_read|label_create)$/ });
fault(429, 'retry', '53400', action => { status => 429 }, unsent => 1, acts => [0]);
fault('429, Retry-After 0', 'retry', '53400', action => { status => 429, headers => { 'Retry-After' => '0' } }, unsent => 1, acts => [0]);
fault('429, Retry-After 30', 'final', '53400', action => { status => 429, headers => { 'Retry-After' => '30' } }, acts => [0]);
fault('429, Retry-After 1, waited for', 'retry', '53400', action => { status => 429, headers => { 'Retry-After' => '1' } },
	unsent => 1, acts => [0], account => 'patient', moments => ['first'],
	only => sub { $_[0]{name} =~ /^(create|batch_archive|limit_create|request, POST)$/ });
fault('429, DAILY', 'final', '53400', acts => [0],
	action => { status => 429, body => { message => 'You have reached your daily limit.', policyName => 'DAILY', category => 'RATE_LIMITS' } });
foreach (qw(TEN_SECONDLY_ROLLING SECONDLY))
{
	fault("429, $_", 'retry', '53400', unsent => 1, acts => [0],
		action => { status => 429, body => { message => 'You have reached your secondly limit.', policyName => $_, category => 'RATE_LIMITS' } });
}
fault('429, HTML', 'retry', '53400', action => { status => 429, text => '<html>slow down</html>' }, unsent => 1, acts => [0]);
fault(401, 'final', '28000', action => { status => 401 }, acts => [0]);
fault(530, 'final', '28000', action => { status => 530 }, acts => [0]);
fault(403, 'final', '42501', action => { status => 403 }, acts => [0]);
fault('400, naming the token', 'final', '22023', acts => [0], halves => 1,
	action => { status => 400, body => { category => 'REFUSED', message => "Authorization: Bearer $token, no", more => [$token] } });
fault($_, 'final', '22023', action => { status => $_ }, acts => [0], halves => scalar(/400|409|413|422|437/))
  foreach 400, 409, 413, 422, 437;
fault($_, 'final', '08P01', action => { status => $_ }, acts => [0]) foreach 402, 405, 407, 410, 414, 415, 431, 451;
fault($_, 'retry', '08P01', action => { status => $_ }) foreach 408, 499;
fault($_, 'retry', '08006', action => { status => $_ }, unsent => 1, acts => [0]) foreach 421, 425;
fault(488, 'final', '28000', action => { status => 488 }, acts => [0]);
fault("$_, HTML", 'final', '08P01', action => { status => $_, text => '<html>no</html>' }, acts => [0]) foreach 400, 403, 409, 422;
# of a removal this is HubSpot's word that it is done
fault('404 of a record', 'final', '22023', action => { status => 404, body => { message => 'Object not found', category => 'OBJECT_NOT_FOUND' } }, acts => [0],
	only => sub { !$_[0]{removes} });
fault('404 of the path', 'final', '08P01', action => { status => 404, body => { message => 'resource not found' } }, acts => [0]);
fault('404, HTML', 'final', '08P01', action => { status => 404, text => '<html>what?</html>' }, acts => [0]);
fault($_, 'final', '08P01', acts => [0],
	action => { status => $_, headers => { Location => '/elsewhere' }, text => '' }) foreach 300, 302, 307, 308;
fault(304, 'final', '08P01', action => { status => 304 }, acts => [0]);
fault('102 and 103 ahead of the answer', 'harmless', '', action => { informational => [ 102, 103 ] }, acts => [1]);
fault("$_ for an answer", 'retry', '08006 08P01', action => { status => $_ }, account => 'hasty', any_wire => 1) foreach 101, 103;
fault('204', 'any', '08P01', action => { status => 204 }, acts => [1], empty => 1);
fault('206', 'harmless', '', action => with_body(status => 206), acts => [1]);
fault('JSON that is called HTML', 'harmless', '', action => with_body(content_type => 'text/html'), acts => [1]);
fault('headers that are too long', 'garbage', '08P01', halves => 1, action => { headers => { 'X-Long' => 'x' x 70_000 } });

# Bodies of a success
fault("body: $_->[0]", 'garbage', '08P01', action => { status => 200, @$_[ 1, 2 ] }, @$_[ 3 .. $#$_ ])
  foreach (
	[ 'HTML', text => '<html>Sign in to our network</html>' ],
	[ 'broken JSON', text => '{"status":"COMPLETE","results":[{"from":' ],
	[ 'two values', text => '{"status":"COMPLETE","results":[]}{}' ],
	[ 'a trailing comma', text => '{"status":"COMPLETE","results":[],}' ],
	[ 'a list', text => '[]' ], [ 'null', text => 'null' ], [ 'a string', text => '"COMPLETE"' ],
	[ 'white space', text => " \r\n\t" ],
	[ 'a NUL byte', base64 => encode_base64("{\"status\":\"COMPLETE\",\0\"results\":[]}", '') ],
	[ 'a NUL escape', text => '{"status":"COMPLETE\u0000","results":[]}', only => sub { !$_[0]{lists} || $_[0]{makes} } ],
	[ 'NUL escapes in ids', text => '{"status":"COMPLETE","results":[{"from":{"id":"1\u0000"},"to":{"id":"\u0000"},"toObjectId":"1\u0000"}]}',
		only => sub { !$_[0]{silent} } ],
	[ 'invalid UTF-8', base64 => encode_base64("{\"status\":\"COMPL\xff\xfeTE\",\"results\":[]}", ''), only => sub { !$_[0]{lists} || $_[0]{makes} } ],
	[ 'invalid UTF-8 in a key', base64 => encode_base64("{\"status\":\"COMPLETE\",\"res\xffults\":[]}", ''), only => sub { !$_[0]{silent} } ],
	[ 'UTF-16', base64 => encode_base64("\xff\xfe{\0}\0", '') ],
	[ 'deep nesting', text => '[' x 200_000 ],
	[ 'deep nesting in an object', text => '{"results":' x 50_000 ],
	[ 'an error with a success', text => '{"status":"error","message":"Internal error","category":"INTERNAL_ERROR"}' ],
	[ 'PENDING', text => '{"status":"PENDING","results":[]}' , only => sub { !$_[0]{lists} || $_[0]{makes} } ],
	[ 'CANCELED', text => '{"status":"CANCELED","results":[],"numErrors":1,"errors":[{"category":"VALIDATION_ERROR","message":"No"}]}',
		only => sub { !$_[0]{lists} || $_[0]{makes} }, states => [qw(08P01 22023)], halves => 1 ]);
# what names nothing is a success of what has nothing to name
fault('body: empty', 'garbage', '08P01', action => { status => 200, text => '' }, empty => 1);
fault('body: an empty object', 'garbage', '08P01', action => { status => 200, text => '{}' }, empty => 1);
fault('body: results that are no list', 'garbage', '08P01', action => { status => 200, text => '{"results":{}}' }, empty => 1);
fault('body: results that are no objects', 'garbage', '08P01', action => { status => 200, text => '{"results":[1,null,"x",[]]}' }, empty => 1, asks_again => 1);
fault('body: larger than 16 MB', 'garbage', '08P01', action => with_body(pad => 17_000_000), halves => 1,
	moments => ['first'], only => sub { $_[0]{name} !~ /outbox/ });

# Results
my $named = sub { ($_[0]{inputs} // 0) > 0 && !$_[0]{silent} && $_[0]{name} ne 'list' };
my $several = sub { $named->(@_) && $_[0]{inputs} > 1 };
fault('results of others', 'garbage', '08P01', keeps_errors => 1, only => $named, acts => [1],
	action => sub { $_[0]{one_result} ? { envelope => { fromObjectId => '77701' } } : { results => ['others'] } });
fault('results of others as well', 'harmless', '', only => $several, action => { results => ['foreign'] }, acts => [1]);
fault('no results', 'garbage', '08P01', keeps_errors => 1, only => $named, acts => [1],
	action => sub { $_[0]{one_result} ? { envelope => { fromObjectId => undef } } : { results => ['empty'] } });
fault('results of half of the inputs', 'garbage', '08P01', only => $several, action => { results => ['drop:2'] }, acts => [1], partial => 1);
fault('results that are there twice', 'harmless', '', only => $several, action => { results => ['double'] }, acts => [1]);
fault('results in another order', 'harmless', '', only => $several, action => { results => ['reverse'] }, acts => [1]);
fault('ids that are numbers', 'harmless', '', action => { results => ['numbers'] }, acts => [1]);
fault('unknown keys', 'harmless', '', action => { results => ['unknown_keys'], nest => 500 }, acts => [1]);
fault('errors that name nobody', 'garbage', '08P01 22023', keeps_errors => 1, only => sub { $named->(@_) && !$_[0]{one_result} }, acts => [1],
	action => { results => ['empty'], status => 207, errors => [ { status => 'error', category => 'X', message => 'Odd' } ] });

# Records
fault('records of others', 'garbage', 'P0002', lookup => 1, lies => 1, asks_again => 1, action => { results => ['others'] });
fault('records of others as well', 'harmless', '', lookup => 1, action => { results => ['foreign'] });
fault('no records', 'garbage', 'P0002 08P01', lookup => 1, lies => 1, asks_again => 1, action => { results => ['empty'] });
fault('records of half of the keys', 'harmless', '', lookup => 1, action => { results => ['drop:2'] });
fault('records that are there twice', 'harmless', '', lookup => 1, action => { results => ['double'] });
fault('records in another order', 'harmless', '', lookup => 1, action => { results => ['reverse'] });
fault('two records of each key', 'garbage', 'P0003', lookup => 1, action => { results => ['twins'] });
fault('further pages', 'garbage', 'P0003', lookup => 1, asks_again => 1, action => { envelope => { paging => { next => { after => '200' } } } });
fault('a total of more', 'garbage', 'P0003', lookup => 1, asks_again => 1, action => { envelope => { total => 10_000 } });
fault('no records, and an error that names nobody', 'garbage', '08P01 22023', lookup => 1, asks_again => 1,
	action => { results => ['empty'], status => 207, errors => [ { status => 'error', category => 'X', message => 'Odd' } ] });
fault('no records, and an error that names others', 'garbage', 'P0002 08P01', lookup => 1, lies => 1, asks_again => 1,
	action => { results => ['empty'], status => 207,
		errors => [ { status => 'error', category => 'OBJECT_NOT_FOUND', message => 'None', context => { ids => ['77700'] } } ] });

#
# The moments of a fault: which requests of the phase it meets, how many
# attempts of one call fail then, and for which operations there is such one.
#
my %moments = (
	always => { match => {}, fails => 1000 },
	first => { match => { first => 1 }, fails => 1 },
	# the attempt before it failed, too
	retry => { match => { nth => 2 }, fails => 2, ahead => 1 },
	later => { match => { nth => 2 }, fails => 1, many => 1 },
	'from the second on' => { match => { after => 1 }, fails => 1000, many => 1 });

my $drawn;
my @cases = draw_cases();
my $session = start_session($node);
my $http = HTTP::Tiny->new(timeout => 30, proxy => undef, keep_alive => 0);
my %bounds;
my $start = time;

note("SEED=$seed, " . @cases . " of $drawn cases: " . @faults . ' faults, ' . @operations . ' operations');
cmp_ok(scalar @cases, '>=', 1000, 'at least 1,000 cases') unless %only || $ENV{CASES};
unless (%only || $ENV{CASES})
{
	my %values;
	foreach my $case (@cases)
	{
		$values{$_}{ $case->{$_} } = 1 foreach qw(phase moment acts on_error server id_form archive_missing);
	}
	is(join('; ', map { "$_: " . join ', ', sort keys %{ $values{$_} } } qw(phase moment acts on_error id_form archive_missing)),
		'phase: keep, lookup, main, read, search; moment: ' . join(', ', sort keys %moments)
		  . '; acts: 0, 1; on_error: raise, row; id_form: mixed, number, string; archive_missing: 204, 404, item',
		'all that a case has to choose is among them');
	is(join(', ', sort keys %{ $values{server} }), join(', ', sort keys %accounts), 'and each account');
}
warm_up();
foreach my $case (@cases)
{
	my @problems = run_case($case);

	ok(!@problems, $case->{name})
	  or diag(join "\n", @problems, "again: SEED=$seed CASE=$case->{number} make test PROVE_TESTS=test/t/260_faults.pl", '');
	next if %only;
	push @{ $bounds{ $case->{number} <= int(@cases / 4) ? 'first' : 'last' } }, anonymous_memory($session->pid);
	if ($case->{number} == int(@cases / 4) || $case->{number} == @cases)
	{
		note(sprintf 'after %d cases: %d s, %d kB, %d sockets, %d connections', $case->{number}, time - $start,
			anonymous_memory($session->pid), descriptors($session->pid, 'socket'), $hubspot->stats->{connections_open});
	}
}

# What is left over when all is done
takes_at_most(min(@{ $bounds{last} }[ -10 .. -1 ]) - min(@{ $bounds{first} }[ -10 .. -1 ]), 2048, 'memory that is left over') || diag("SEED=$seed")
  unless %only;
$session->quit;
foreach my $simulator ($hubspot, $stranger)
{
	ok(eval { wait_until(sub { $simulator->stats->{connections_open} == 0 }) }, 'no connection outlives the session')
	  or diag(encode_json($simulator->stats));
}
my $log = slurp_file($node->logfile);
is(index($log, $secret), -1, 'the token is not in the log');
unlike($log, qr/PANIC|terminated by signal|server process .* exited|\bTRAP\b/, 'nothing crashed');

done_testing();

#
# Cases
#

# Every pair of a fault and an operation with something of all else, in an
# order that depends on the seed alone.
sub draw_cases
{
	my @all;

	srand $seed;
	foreach my $fault (@faults)
	{
		foreach my $operation (@operations)
		{
			next if $fault->{only} && !$fault->{only}->($operation);
			my @choices = choices($fault, $operation);
			push @all, (shuffle @choices)[ 0 .. ($draws < @choices ? $draws : @choices) - 1 ];
		}
	}
	@all = shuffle @all;
	foreach my $number (1 .. @all)
	{
		my $case = $all[ $number - 1 ];

		$case->{number} = $number;
		$case->{name} = join ', ', $case->{operation}{name}, $case->{fault}{name}, $case->{phase}, $case->{moment},
		  $case->{acts} ? 'HubSpot acts' : 'HubSpot does not act', $case->{on_error}, $case->{server};
		$case->{id_form} = (qw(string number mixed))[ rand 3 ];
		$case->{archive_missing} = (204, 404, 'item')[ rand 3 ];
	}
	$drawn = @all;
	return %only ? grep { $only{ $_->{number} } } @all : @all[ 0 .. ($most_cases < @all ? $most_cases : @all) - 1 ];
}

# All cases that make sense of a fault in an operation.
sub choices
{
	my ($fault, $operation) = @_;
	my @phases = ('main', $fault->{action} ? sort keys %{ $operation->{before} // {} } : ());
	my @moments = $fault->{action} ? @{ $fault->{moments} // [ sort keys %moments ] } : ('always');
	my $raises = $operation->{raises} // 'choice';
	my @ways = $raises eq 'choice' ? qw(row raise) : $raises eq 'always' ? 'raise' : 'row';
	my @cases;

	foreach my $phase (@phases)
	{
		# a list of labels is what is read then
		my $reads = $phase ne 'main' || $operation->{looks_up};
		next if $reads && $fault->{only} && $fault->{name} !~ /waited/;
		next if $fault->{lookup} && !looks_up($operation, $phase) || $fault->{lies} && $operation->{removes};

		foreach my $moment (@moments)
		{
			next if $moments{$moment}{many} && !has_many($operation, $phase);
			foreach my $acts (@{ acts($fault, $operation, $reads) })
			{
				push @cases, map {
					{
						fault => $fault, operation => $operation, phase => $phase, moment => $moment,
						acts => $acts, on_error => $_, server => $fault->{account} // 'hubspot'
					}
				} @ways;
			}
		}
	}
	return @cases;
}

# Do the requests of this phase look up keys?
sub looks_up { my ($operation, $phase) = @_; return $phase =~ /^(read|search)$/ || $operation->{looks_up} }

# Are there several requests of this phase?
sub has_many
{
	my ($operation, $phase) = @_;
	return 1 if $operation->{many_pages};

	# the outbox goes in rounds, each of which looks up what it needs
	return ($operation->{inputs} // 1) > 1 && ($phase ne 'lookup' || $operation->{name} =~ /^outbox/);
}

# HubSpot's word that it has done what leaves no trace in an answer is all
# there is, so it isn't made to lie.
sub acts
{
	my ($fault, $operation, $reads) = @_;
	return [1] if $fault->{empty} && ($operation->{silent} || $operation->{passes});
	return [1] if $reads || $operation->{reads} || $operation->{lists} && !$operation->{makes};
	return $fault->{acts} // [ 0, 1 ];
}

#
# Running one
#

# Runs a case; what is wrong.
sub run_case
{
	my ($case) = @_;
	my ($operation, $fault) = @$case{qw(operation fault)};
	my $first = $case->{number} * 100;

	$case->{from} = [ map { $first + $_ } 1 .. $operation->{inputs} // 0 ];
	$case->{to} = [ map { $first + 50 + $_ } 1 .. $operation->{inputs} // 0 ];
	prepare($case);

	my $outcome = perform($case);
	my ($table, $log, $stats) = @{ $hubspot->control('POST', '/batch', [
			[ GET => '/associations/table?from_type=contacts&to_type=companies' ],
			[ GET => '/log/paths' ], [ GET => '/stats' ], [ DELETE => '/rules' ] ])->{replies} };
	$case->{held} = read_table($table);
	$case->{log} = [ grep { $_->[1] !~ m{/deals/} } @{ $log->{requests} } ];

	my @problems = (
		$operation->{inputs} ? check_rows($case, $outcome) : check_done($case, $outcome),
		check_others($case),
		check_error($case, $outcome),
		check_expected($case, $outcome),
		check_requests($case),
		check_session($case, $outcome, $stats));
	push @problems, 'the outcome: ' . substr($outcome->{text}, 0, 3000), 'requests: ' . join ', ', map { join ' ', map { $_ // '-' } @$_ } @{ $case->{log} }
	  if @problems;
	return @problems;
}

# Puts the simulator into the state before the case.
sub prepare
{
	my ($case) = @_;
	my ($operation, $fault) = @$case{qw(operation fault)};
	my @requests = ([ POST => '/reset' ],
		# with a body, which can be cut and changed
		[ POST => '/settings', { id_form => $case->{id_form}, archive_missing => $case->{archive_missing}, archive_status => 200, page_size => 2 } ]);
	my %direction = (from_type => 'contacts', to_type => 'companies');
	my ($partner, $adviser);

	if ($operation->{labels})
	{
		$partner = @requests;
		push @requests, [ POST => '/labels', { %direction, label => 'Partner', name => 'partner' } ];
		$adviser = @requests;
		push @requests, [ POST => '/labels', { %direction, label => 'Adviser', name => 'adviser' } ];
	}
	push @requests, [ POST => '/records', { type => 'contacts', records => [ map { { id => "$_", properties => { email => "$_\@example.com" } } } @{ $case->{from} } ] } ],
	  [ POST => '/records', { type => 'companies', records => [ map { { id => "$_", properties => { domain => "$_.example" } } } @{ $case->{to} } ] } ]
	  if $operation->{keys};
	push @requests, [ POST => '/limits', { category => 'HUBSPOT_DEFINED', type_id => 279, max_to_ids => $operation->{limit} } ]
	  if $operation->{limit};
	if ($operation->{reads})
	{
		# the second one has nothing
		$case->{truth} = [ map { my $n = $_; $n == 1 ? [] : [ map { $case->{to}[0] + $n * 5 + $_ } 1 .. ($n == 0 ? 5 : $n % 4 + 1) ] }
			  0 .. $operation->{inputs} - 1 ];
		push @requests, [ POST => '/associations', { %direction,
				pairs => [ map { my $n = $_; map { [ "$case->{from}[$n]", "$_" ] } @{ $case->{truth}[$n] } } 0 .. $operation->{inputs} - 1 ] } ];
	}
	# each direction of a label has its number, so the second label is 3
	push @requests, [ POST => '/associations', { %direction, pairs => pairs_of($case),
			$operation->{has} eq 'adviser' ? (types => [ { category => 'USER_DEFINED', type_id => 3 }, { category => 'HUBSPOT_DEFINED', type_id => 279 } ]) : () } ]
	  if $operation->{has};
	push @requests, [ POST => '/rules', rules_of($case) ] if $fault->{action};
	my $replies = $hubspot->control('POST', '/batch', \@requests)->{replies};
	$case->{partner} = "USER_DEFINED=$replies->[$partner]{types}[0]{type_id}" if $partner;
	$case->{adviser} = "USER_DEFINED=$replies->[$adviser]{types}[0]{type_id}" if $adviser;
	return;
}

sub pairs_of
{
	my ($case) = @_;
	return [ map { [ "$case->{from}[$_]", "$case->{to}[$_]" ] } 0 .. $#{ $case->{from} } ];
}

sub rules_of
{
	my ($case) = @_;
	my ($operation, $fault) = @$case{qw(operation fault)};
	my $moment = $moments{ $case->{moment} };
	my $action = $fault->{action};
	my $path = $case->{phase} eq 'main' ? $operation->{path} : $operation->{before}{ $case->{phase} };
	my @rules;

	$action = $action->($case->{phase} eq 'main' ? $operation : {}) if ref $action eq 'CODE';
	push @rules, { match => { path => $path, first => 1 }, action => { status => 477 } } if $moment->{ahead};
	push @rules, { match => { path => $path, %{ $moment->{match} } },
		action => { %$action, act => $case->{acts} ? $true : $false } };
	return \@rules;
}

# Runs the statement, and another one that must work.
sub perform
{
	my ($case) = @_;
	my %outcome = (rows => []);

	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_lease, hs_assoc_doubt')
	  if $case->{operation}{name} =~ /^outbox/;
	$session->send($case->{operation}{sql}->($case)
		  . ";\n\\echo next\n"
		  . "SELECT ok FROM hs_assoc_create_default('deals', $case->{number}, 'contacts', 1)");
	my ($out, $err) = $session->finish;
	($outcome{out}, $outcome{next}) = split /^next\n/m, "$out\n", 2;
	$outcome{err} = $err;
	$outcome{text} = "$out\n$err";
	@outcome{qw(state message)} = ($1, $2) if $err =~ /ERROR:  (\w{5}): (.*)/;
	$outcome{rows} = [ map { /^\{/ ? decode_json($_) : $_ } split /\n/, $outcome{out} // '' ];
	return \%outcome;
}

#
# Invariants; each returns what is wrong
#

sub check_rows
{
	my ($case, $outcome) = @_;
	my $operation = $case->{operation};
	my $n = $operation->{inputs};
	my @rows = @{ $outcome->{rows} };
	my @problems;

	return check_kept($case) if $outcome->{state};
	return check_read($case, @rows) if $operation->{reads};
	my %seen;
	foreach my $row (@rows)
	{
		my $i = $row->{n} - 1;

		push @problems, "input $row->{n} has several rows" if $seen{ $row->{n} }++;
		push @problems, "a row that is no input's: $row->{n}" if $i < 0 || $i >= $n;
		push @problems, "input $row->{n} has other ids: $row->{f}, $row->{t}"
		  unless $row->{f} eq ($case->{from}[$i] // '') && $row->{t} eq ($case->{to}[$i] // '');
		push @problems, other_records($case, $row);
		if (!defined $row->{ok})
		{
			push @problems, "input $row->{n}: ok is null";
		}
		elsif ($row->{ok})
		{
			push @problems, "input $row->{n} is ok, but HubSpot has not done it"
			  unless $operation->{holds}->($case, types_of($case, $i), $row);
			push @problems, "input $row->{n} is ok, with an error" if defined $row->{c} || defined $row->{m};
		}
		else
		{
			push @problems, "input $row->{n} failed without a reason" unless defined $row->{c} && defined $row->{m};
		}
	}
	push @problems, scalar(keys %seen) . " of $n inputs have a row" if keys %seen != $n;
	return (@problems, check_kept($case));
}

# Records that were found for keys, and are those of others.
sub other_records
{
	my ($case, $row) = @_;
	my %own = (fr => 'from', tr => 'to');
	return map { "input $row->{n} has another record: $row->{$_}" }
	  grep { defined $row->{$_} && $row->{$_} ne ($case->{ $own{$_} }[ $row->{n} - 1 ] // '') } sort keys %own;
}

# What is associated and was not to be.
sub check_others
{
	my ($case) = @_;
	my %own = map { ("@$_" => 1) } @{ pairs_of($case) };
	my @others;

	return if $case->{operation}{reads};
	foreach my $from (sort keys %{ $case->{held} })
	{
		push @others, grep { !$own{$_} } map { "$from $_" } sort keys %{ $case->{held}{$from} };
	}
	return @others ? 'other records are associated: ' . join ', ', @others : ();
}

# What a pair has besides stays.
sub check_kept
{
	my ($case) = @_;
	my $has = $case->{operation}{has} // '';
	my @problems;

	return unless $has eq 'adviser';
	foreach my $i (0 .. $#{ $case->{from} })
	{
		my $types = types_of($case, $i);
		push @problems, 'a label got lost: ' . join ' ', sort keys %$types
		  unless $types->{default} && ($case->{operation}{removes} || $types->{ $case->{adviser} });
	}
	return @problems;
}

# Of each record either all that is associated to it, or that it failed.
sub check_read
{
	my ($case, @rows) = @_;
	my $operation = $case->{operation};
	my (@problems, @found, @failed);

	foreach my $row (@rows)
	{
		if (defined $row->{t})
		{
			push @{ $found[ $row->{n} - 1 ] }, $row->{t};
			push @problems, "an association of input $row->{n} with an error" if defined $row->{c};
		}
		else
		{
			push @problems, "input $row->{n} failed twice" if $failed[ $row->{n} - 1 ]++;
			push @problems, "input $row->{n} failed without a reason" unless defined $row->{c} && defined $row->{m};
		}
		push @problems, other_records($case, $row);
		push @problems, "input $row->{n} has another id: $row->{f}" unless $row->{f} eq $case->{from}[ $row->{n} - 1 ];
	}
	push @problems, 'a row that is no input\'s' if @found > $operation->{inputs} || @failed > $operation->{inputs};
	foreach my $i (0 .. $operation->{inputs} - 1)
	{
		my @got = sort @{ $found[$i] // [] };
		my @truth = sort @{ $case->{truth}[$i] };

		push @problems, 'input ' . ($i + 1) . ' has associations twice' if uniq(@got) != @got;
		push @problems, 'input ' . ($i + 1) . " has (@got), not (@truth)"
		  if $failed[$i] ? @got > @truth : "@got" ne "@truth";
	}
	$case->{failed} = scalar grep { $_ } @failed;
	return @problems;
}

# Of operations without inputs: was it done, if there is no ERROR?
sub check_done
{
	my ($case, $outcome) = @_;
	my $operation = $case->{operation};

	return if $outcome->{state} || $operation->{passes};
	return 'it succeeds, but HubSpot has not done it, or something else' unless $operation->{done}->($case, $outcome->{rows});
	return;
}

# The ERROR, if there is one, tells of this fault.
sub check_error
{
	my ($case, $outcome) = @_;
	my @problems;

	push @problems, 'the token is told' if index($outcome->{text}, $secret) >= 0;
	if ($outcome->{state})
	{
		# rows come in their order, and the keys of the first may be those that had the 477
		my @states = (@{ $case->{fault}{states} }, $moments{ $case->{moment} }{ahead} && looks_up(@$case{qw(operation phase)}) ? '53400' : ());
		push @problems, "an ERROR with SQLSTATE $outcome->{state}, not @states"
		  unless grep { $_ eq $outcome->{state} } @states;
		push @problems, 'an ERROR although it was to be a row' if $case->{on_error} eq 'row';
		push @problems, 'an ERROR and rows' if grep { length } @{ $outcome->{rows} };
	}
	return @problems;
}

# Does it come out as it must?
sub check_expected
{
	my ($case, $outcome) = @_;
	my $operation = $case->{operation};
	my $expected = expected($case);
	my $inputs = $operation->{inputs} // 1;
	my $ok =
	  $outcome->{state} ? 0
	  : $operation->{passes} ? scalar grep { /^2/ } @{ $outcome->{rows} }
	  : $operation->{reads} ? $inputs - $case->{failed}
	  : $operation->{inputs} ? scalar grep { $_->{ok} } @{ $outcome->{rows} }
	  : 1;

	return "it was to succeed: $ok of $inputs" if $expected eq 'done' && $ok < $inputs;
	return "it was to fail: $ok of $inputs" if $expected eq 'none' && $ok > 0;
	return 'it was to fail at least in part' if $expected eq 'some' && $ok == $inputs;
	return;
}

# done, none (nothing is done), some (not all is done) or any
sub expected
{
	my ($case) = @_;
	my ($operation, $fault) = @$case{qw(operation fault)};
	my $moment = $moments{ $case->{moment} };
	my $many = has_many($operation, $case->{phase});
	my $main = $case->{phase} eq 'main';
	my $kind = $fault->{kind};
	my $most = $operation->{max_retries} // $accounts{ $case->{server} }{max_retries} // $retries;

	# one row that isn't is enough
	my $some = ($operation->{raises} // '') eq 'always' || $case->{on_error} eq 'raise' ? 'none' : 'some';

	return 'any' if $kind eq 'any' && !($operation->{reads} || $operation->{lists});
	# the pause that it asks for is no longer than max_retry_delay, and the next round comes after it
	return 'any' if $operation->{name} =~ /^outbox/ && $fault->{name} =~ /^429/ && $case->{moment} ne 'always';
	return 'any' if $fault->{empty} && $main && $operation->{silent};
	return 'any' if $fault->{any_wire} && ($case->{moment} ne 'always' || $operation->{passes});
	return 'any' if $operation->{passes} && $kind eq 'garbage';
	# before it comes to the fault, 477 must be over
	return 'any' if $moment->{ahead} && ($most < 2 || $many);
	if ($kind eq 'harmless')
	{
		return 'done' if !$moment->{ahead} || $most >= 1;
	}
	if ($kind eq 'retry' && ($fault->{unsent} || !$operation->{once} || !$main))
	{
		return 'done' if $moment->{fails} <= $most;
		return $case->{moment} eq 'always' || !$many ? 'none' : $some;
	}
	my $partial = $fault->{partial} || $fault->{keeps_errors} && $operation->{reads};
	return 'none' if $case->{moment} eq 'always' && !$partial;
	return 'any' if $fault->{halves} && $many;
	return 'any' if $fault->{asks_again} && $many && looks_up($operation, $case->{phase});
	return $many ? $some : 'none';
}

# What may not be done twice is not asked for twice; nobody is redirected.
sub check_requests
{
	my ($case) = @_;
	my $operation = $case->{operation};
	my @main = grep { $_->[1] =~ /$operation->{path}/ } @{ $case->{log} };
	my @problems;

	push @problems, 'a request went elsewhere' if grep { $_->[1] !~ m{^/(crm/(objects|associations|properties|limits)|account-info)/2026-03/} } @{ $case->{log} };
	if ($operation->{once})
	{
		pop @main;
		push @problems, 'sent again, although HubSpot may have acted' if grep { ($_->[2] // 0) !~ /^(421|423|425|429|477)$/ } @main;
	}
	elsif (!has_many($operation, 'main') && $case->{fault}{kind} =~ /final|garbage/ && $case->{moment} eq 'always'
		&& $case->{phase} eq 'main' && !$case->{fault}{any_wire} && $case->{fault}{action})
	{
		push @problems, 'sent ' . @main . ' times' if @main != 1;
	}
	return @problems;
}

# The session works, and holds no more than it may.
sub check_session
{
	my ($case, $outcome, $stats) = @_;
	my @problems;

	push @problems, 'the next call failed' unless ($outcome->{next} // '') =~ /^t$/m;
	push @problems, "$stats->{connections_open} connections are open" if $stats->{connections_open} > $kept;
	my $descriptors = descriptors($session->pid, 'socket');
	push @problems, "$descriptors sockets are open" if $descriptors > $bounds{descriptors} + $kept + $others;
	return @problems;
}

# Until what is kept is there, or most of it
sub warm_up
{
	prepare({ operation => { inputs => 0 }, fault => {}, id_form => 'string', archive_missing => 204 });
	$bounds{descriptors} = descriptors($session->pid, 'socket');
	$session->query("SELECT ok FROM hs_assoc_create_default('deals', 1, 'contacts', 1)");
	return;
}

#
# SQL
#

sub ending { return "on_error => '$_[0]{on_error}', server => '$_[0]{server}'" }

sub row_of
{
	my ($kind, $case) = @_;
	my $ok = $kind eq 'read' ? '' : "'ok', ok, ";
	my $keys = $case && $case->{operation}{keys};
	my ($from, $to) = map { $keys ? digits_of($_) : $_ } qw(from_id to_id);
	my $records = $keys ? "'fr', from_record, 'tr', to_record, " : '';
	return "jsonb_build_object('n', input_no, 'f', $from, 't', $to, ${ok}${records}'c', error_category, 'm', error_message)";
}

# The id that a key begins with.
sub digits_of { return "substring($_[0] from '^[0-9]+')" }

# Keys of one side without a pair; the ids of the other side are only shown.
sub resolve
{
	my ($type, $side, $case) = @_;
	my $end = $side eq 'from' ? '@example.com' : '.example';
	my %shown = map { $_ => '(ARRAY[' . join(', ', map { "'$_'" } @{ $case->{$_} }) . '])[input_no]' } qw(from to);

	$shown{$side} = digits_of('key');
	return sprintf q{SELECT jsonb_build_object('n', input_no, 'f', %s, 't', %s, 'ok', error_category IS NULL, '%s', record_id,
			'c', error_category, 'm', error_message)
		FROM hs_assoc_resolve('%s', ARRAY[%s], %s) AS r},
	  @shown{qw(from to)}, $side eq 'from' ? 'fr' : 'tr', $type, join(', ', map { "'$_$end'" } @{ $case->{$side} }), ending($case);
}

sub single
{
	my ($function, $case, $more) = @_;
	my ($from, $to) = ($case->{from}[0], $case->{to}[0]);
	($from, $to) = ("'$from\@example.com'", "'$to.example'") if $case->{operation}{keys};
	return sprintf q{SELECT %s FROM hs_assoc_%s('%s', %s, '%s', %s, %s) AS r},
	  row_of('write', $case), $function, types($case)->[0], $from, types($case)->[1], $to, join ', ', $more // (), ending($case);
}

sub types { my ($case) = @_; return [ $case->{operation}{from_type} // 'contacts', $case->{operation}{to_type} // 'companies' ] }

sub query_of
{
	my ($case, $columns) = @_;
	return 'SELECT ' . ($case->{operation}{keys} ? q{f || ''@example.com'' AS from_id, t || ''.example'' AS to_id} : 'f AS from_id, t AS to_id') . ($columns // '') . ' FROM (VALUES '
	  . join(', ', map { "($_->[0], $_->[1])" } @{ pairs_of($case) }) . ') AS v (f, t)';
}

sub many
{
	my ($function, $case, $columns, $more) = @_;
	return sprintf q{SELECT %s FROM hs_assoc_%s('%s', '%s', '%s', %s) AS r},
	  row_of('write', $case), $function, @{ types($case) }, query_of($case, $columns), join ', ', $more // (), ending($case);
}

# What becomes of the rows of an outbox: sent, or not. Where there are keys, their records' ids
# have taken their places once they are known.
sub outbox
{
	my ($operation, $case, $columns, $more) = @_;
	my $query = query_of($case, $columns);
	$query =~ s/(AS from_id)/::text $1/;
	$query =~ s/(AS to_id)/::text $1/;
	my ($from, $to) = map { digits_of("coalesce(${_}_key, ${_}_id)") } qw(from to);
	my $rows = 'from_id, from_key, to_id, to_key';
	return sprintf q{
		DO $do$ BEGIN PERFORM hs_assoc_enqueue('%s', '%s', '%s', '%s', %s); END $do$;
		CALL hs_assoc_flush(server => '%s');
		SELECT jsonb_build_object('n', %s::bigint - %d, 'f', %s, 't', %s, 'ok', ok, 'c', c, 'm', m,
			'fr', CASE WHEN from_key IS NOT NULL THEN from_id END, 'tr', CASE WHEN to_key IS NOT NULL THEN to_id END)
		FROM (SELECT %s, true AS ok, null AS c, null AS m FROM hs_assoc_sent
			UNION ALL SELECT %s, false, 'waits', 'waits' FROM hs_assoc_outbox
			UNION ALL SELECT %s, false, error_category, error_message FROM hs_assoc_dead_letter) AS r},
	  $operation, @{ types($case) }, $query, join(', ', $more // (), "server => '$case->{server}'"), $case->{server},
	  $from, $case->{number} * 100, $from, $to, ($rows) x 3;
}

sub definition
{
	my ($function, $column, $case, $more) = @_;
	return "SELECT $column FROM hs_assoc_$function("
	  . join(', ', "'contacts', 'companies'", $more // (), "server => '$case->{server}'") . ') AS r';
}

sub number { return $_[0] =~ /=(\d+)$/ ? $1 : die "no type: $_[0]" }

#
# The simulator
#

# {from}{to}{type}; the plain association also as "default"
sub read_table
{
	my ($table) = @_;
	my %held;

	foreach my $line (split /\n/, $table)
	{
		my ($from, $to, $types) = split /,/, $line, 3;
		$held{$from}{$to} = { map { $_ => 1 } split / /, $types };
		$held{$from}{$to}{default} = 1 if $held{$from}{$to}{'HUBSPOT_DEFINED=279'};
	}
	return \%held;
}

sub types_of
{
	my ($case, $i) = @_;
	return $case->{held}{ $case->{from}[$i] }{ $case->{to}[$i] } // {};
}

# What the API itself lists
sub listed
{
	my ($path) = @_;
	my $reply = $http->get($hubspot->url . "/crm/associations/2026-03/$path", { headers => { Authorization => "Bearer $token" } });
	die "$path: $reply->{status} $reply->{content}" unless $reply->{success};
	return decode_json($reply->{content})->{results};
}

sub labels_now { return listed('contacts/companies/labels') }

sub limit_now
{
	my ($limit) = grep { $_->{typeId} == 279 } @{ listed('definitions/configurations/all') };
	return $limit ? $limit->{userEnforcedMaxToObjectIds} : 0;
}

#
# Servers that are no HubSpot
#

# A process with a port for each of these, which it is handed each connection
# of; afterwards it is closed. It ends with the test.
sub start_odd_servers
{
	my (%servers) = @_;
	my %listeners = map { $_ => IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') || die "listen: $!" } keys %servers;
	my %ports = map { $_ => $listeners{$_}->sockport } keys %listeners;

	pipe my $alive, my $parent or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid)
	{
		our @keep = ($parent);		# closed with the test
		return %ports;
	}
	close $parent;
	my $ready = IO::Select->new($alive, values %listeners);
	while (1)
	{
		foreach my $listener ($ready->can_read)
		{
			POSIX::_exit(0) if $listener == $alive;
			my ($name) = grep { $listeners{$_} == $listener } keys %listeners;
			my $peer = $listener->accept or next;
			$servers{$name}->($peer);
			close $peer;
		}
	}
}
