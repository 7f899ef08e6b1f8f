# Calls of libcurl and of the system that fail, each of those that a call of ours
# makes: no crash, no false success, nothing left, and the next call works.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Socket qw(AF_INET6 SOCK_STREAM);
use Test::More;

# libcurl's and the system's numbers
use constant {
	CURLE_FAILED_INIT => 2,
	CURLE_OUT_OF_MEMORY => 27,
	CURLE_UNKNOWN_OPTION => 48,
	CURLM_OUT_OF_MEMORY => 3,
	CURLM_INTERNAL_ERROR => 4,
	EIO => 5,
	EMFILE => 24,
};

my $fuse = start_fuse();
# What a session has open is compared: autovacuum would have it read catalogs again.
my $node = start_node(fuse => $fuse, autovacuum => 'off', 'hubspot_assoc.allowed_hosts' => '127.0.0.1, *.invalid');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0);
create_account($node, $hubspot, name => 'named', base_url => 'https://name.invalid', max_retries => 0);

my $call = q{SELECT ok, error_category, error_message
	FROM hs_assoc_create_default('contacts', %d, 'companies', 2, server => '%s')};
my $contact = 0;

# What a session has open when it has made two calls, and none has failed. The
# first session of all fills the server's caches, which has it open more.
my $open;
foreach (1 .. 2)
{
	my $session = start_session($node);
	like($session->query(call()), qr/^t\|/, 'as it should be') foreach 1 .. 2;
	$open = descriptors($session->pid);
}

#
# The libcurl functions, by the error that is to come of each of their calls;
# those that have no influence on the result may succeed.
#
my $memory = qr/ERROR:  53200: /;
my @cases = (
	[ 'curl_global_init', CURLE_FAILED_INIT, qr/${memory}could not initialize libcurl/ ],
	[ 'curl_multi_init', 0, qr/${memory}could not initialize libcurl/ ],
	[ 'curl_multi_setopt', CURLM_OUT_OF_MEMORY, qr/ERROR:  XX000: could not set options of libcurl/ ],
	[ 'curl_easy_init', 0, qr/${memory}out of memory\nDETAIL:  libcurl could not allocate a request/ ],
	[ 'curl_easy_setopt', CURLE_OUT_OF_MEMORY, qr/${memory}out of memory\nDETAIL:  libcurl could not set an option/ ],
	# what a user has said can be what is wrong: then it is the request's
	[ 'curl_easy_setopt', CURLE_UNKNOWN_OPTION, qr/ERROR:  XX000: could not set CURLOPT_\w+: |^f\|\w+\|could not send the request: / ],
	[ 'curl_slist_append', 0, qr/${memory}out of memory\nDETAIL:  libcurl could not allocate a header/ ],
	[ 'curl_multi_add_handle', CURLM_OUT_OF_MEMORY, qr/^f\|\w+\|.*memory/i ],
	[ 'curl_multi_socket_action', CURLM_INTERNAL_ERROR, qr/ERROR:  XX000: could not drive libcurl: / ],
	[ 'socket', EMFILE, qr/^f\|\w+\|/ ],
);
# What watches memory has its own.
push @cases, [ 'malloc', 0, qr/(?!)/ ], [ 'realloc', 0, qr/^f\|\w+\||${memory}out of memory/ ] unless instrumented();

foreach my $case (@cases)
{
	my ($function, $result, $expected) = @$case;
	my $failed = 0;

	# Each time another one, until there are no more.
	while (1)
	{
		my $session = start_session($node);
		my ($happened, $out, $err) = with_failure($session, $function, $failed + 1, $result, call());
		last unless $happened;

		my $name = "$function, call " . ++$failed;
		my $stored = grep { $_->{from_id} == $contact } @{ $hubspot->associations('contacts', 'companies') };
		ok(($out =~ /^t\|/ ? $stored : "$out$err" =~ $expected), "$name: as expected") or diag("$out$err");
		like($session->query(call()), qr/^t\|/, "$name: the next call works");
		is(descriptors($session->pid), $open, "$name: nothing is left open");
	}
	ok($failed > 0, "$function has failed $failed times");
}
ok(eval { wait_until(sub { $hubspot->stats->{in_flight} == 0 }) }, 'nothing is left in flight');

# The sockets that libcurl makes for itself, for a lookup, have to be noted, too. It watches
# none if the lookup is over at once.
SKIP:
{
	skip 'memory is watched', 3 if instrumented();
	my ($session, $happened, $out, $err);
	foreach my $attempt (1 .. 20)
	{
		$session = start_session($node);
		($happened, $out, $err) = with_failure($session, 'realloc', 1, 0, call('named'));
		last if $happened;
		$session->quit;
	}
	ok($happened, 'no memory for a socket of libcurl itself');
	like($err, qr/${memory}out of memory\nDETAIL:  There is no room for another socket to watch/, 'that is said');
	like($session->query(call()), qr/^t\|/, 'and the next call works');
}

#
# No descriptors left for sockets: PostgreSQL keeps a part of what a process may have
# for itself.
#
{
	my $poor = start_node(fuse => $fuse, max_files_per_process => 64, max_connections => 60,
		'hubspot_assoc.allowed_hosts' => '127.0.0.1, localhost, name.invalid');
	my $rows = 60;
	my $outcomes = q{SELECT count(*) FILTER (WHERE ok), string_agg(DISTINCT error_message, ', '), count(*)
		FROM hs_assoc_batch_create_default('deals', 'companies', 'SELECT i AS from_id, 1 AS to_id FROM generate_series(%d, %d) i')};

	$hubspot->rules({ match => { path => '/deals/' }, action => { delay_ms => 500 } });
	create_account($poor, $hubspot, rate_limit => 0, max_retries => 0, concurrency => 60, batch_size => 1);
	create_account($poor, $hubspot, name => 'named', rate_limit => 0, max_retries => 0,
		base_url => 'https://name.invalid');
	my $session = start_session($poor);
	my $held = 0;

	# the second time, with connections that were kept, and a set that watches them
	foreach my $first (1, 1 + $rows)
	{
		my ($ok, $failed, $all) = split /\|/, $session->query(sprintf $outcomes, $first, $first + $rows - 1);
		is($all, $rows, 'no descriptors: a row for each input');
		is($failed, '', 'no descriptors: what has no socket waits for one');
		is($ok, $rows, 'no descriptors: all are sent');
		$held += $ok;
		is($hubspot->association_count('deals', 'companies'), $held, 'no descriptors: and held');
		cmp_ok($hubspot->stats->{max_in_flight} // 0, '<', $rows, 'no descriptors: not all at once');
	}

	# what waits for one goes with its statement
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '/deals/' }, action => { hang => 1 } });
	my $before = $hubspot->stats->{requests};
	$session->send(sprintf $outcomes, 121, 120 + $rows);
	wait_until(sub { $hubspot->stats->{requests} > $before });
	$session->cancel;
	like(($session->finish)[1], qr/ERROR:  57014: /, 'no descriptors: a statement is canceled while requests wait for one');
	wait_until(sub { $hubspot->stats->{in_flight} == 0 });
	cmp_ok($hubspot->stats->{requests} - $before, '<', $rows, 'no descriptors: which are never sent');
	$hubspot->clear_rules;
	is($session->query(sprintf $outcomes, 121, 120 + $rows), "$rows||$rows", 'no descriptors: the next statement sends all of its own');

	# a file of the server's takes another one, and a lookup has the set made anew
	$session->query('CREATE TABLE written ()');
	like($session->query(call('named')), qr/^f\|/, 'no descriptors: a row also where the server takes one');
	is($session->query(call()) =~ /^t\|/, 1, 'no descriptors: the next call works');
	$session->query(q{ALTER SERVER hubspot OPTIONS (SET concurrency '4')});
	is($session->query(sprintf $outcomes, 201, 200 + $rows), "$rows||$rows", 'no descriptors: so do the next ones');

	# Connections that are kept for one host, each of which is busy, leave none for another.
	my $other = start_simulator();
	create_account($poor, $other, name => 'other', rate_limit => 0, max_retries => 0);
	is($session->query(q{SELECT ok FROM hs_assoc_create_default('contacts', 1, 'companies', 2, server => 'other')}), 't', 'no descriptors: kept connections make room');
	like($session->query(q{SELECT hs_assoc_label_create('contacts', 'companies', 'Few', 'few')}), qr/./, 'no descriptors: also for what is sent on one of its own');
	is($session->query(sprintf $outcomes, 301, 300 + $rows), "$rows||$rows", 'no descriptors: and the host has its own again');
	$session->quit;

	# A host has two addresses, the first of which is refused, each time, a moment later:
	# a socket that libcurl closes without a word.
	SKIP:
	{
		skip 'no IPv6', 2 unless socket(my $probe, AF_INET6, SOCK_STREAM, 0);
		create_account($poor, $hubspot, name => 'twofold', rate_limit => 0, max_retries => 0,
			base_url => 'http://localhost:' . $hubspot->port);
		$hubspot->rules({ match => { path => '/contacts/' }, action => { close_after => \1 } });
		$session = start_session($poor);
		$fuse->blow('connect', 1000, 0);
		my @outcomes = map { $session->query(call('twofold')) } 1 .. 100;
		is(scalar(grep { /^t/ } @outcomes), 100, 'the second address is tried')
		  or diag(join "\n", (grep { !/^t/ } @outcomes)[ 0 .. 2 ]);
		is(1000 - $fuse->left, 200, '... after the first');
		$fuse->replace;
		$hubspot->clear_rules;
		$session->quit;
	}

	# All are taken by others, which give one after the other back.
	SKIP:
	{
		skip 'dblink is not installed', 3
		  unless $poor->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'dblink'});
		$session = start_session($poor);
		$session->query('CREATE EXTENSION dblink');
		my $others = $session->query(q{
			DO $$
			BEGIN
				FOR i IN 1 .. 100 LOOP
					PERFORM dblink_connect('other' || i, '} . $poor->connstr('postgres') =~ s/'/''/gr . q{');
				END LOOP;
			-- the other one: from 16 on, dblink waits for it with a descriptor more
			EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection OR internal_error THEN NULL;
			END $$;
			SELECT cardinality(dblink_get_connections())});
		like($session->query(call('named')), qr/^f\|\w+\|could not reach/, 'no descriptors: one to wait for a name');
		my @outcomes = map { $session->query("SELECT dblink_disconnect('other$_')"); $session->query(call()) } 1 .. $others;
		is(scalar(grep { !/^t\|/ && !/^f\|\w+\|could not send the request: no file descriptor is left/ } @outcomes), 0, 'no descriptors: taken by others')
		  or diag(join "\n", @outcomes);
		like(join('', map { substr $_, 0, 1 } @outcomes), qr/^f+t+$/, 'no descriptors: until there is one');
		$session->quit;
	}
}

#
# A file that holds the token.
#
my $file = PostgreSQL::Test::Utils::tempdir . '/token';
append_to_file($file, "test-token\n");
chmod 0600, $file;
$node->safe_psql('postgres', qq{
	CREATE SERVER filed FOREIGN DATA WRAPPER hubspot_assoc
		OPTIONS (base_url '@{[ $hubspot->url ]}', rate_limit '0', max_retries '0');
	CREATE USER MAPPING FOR PUBLIC SERVER filed OPTIONS (access_token_file '$file')});
my $session = start_session($node);
like($session->query(call('filed')), qr/^t\|/, 'a token from a file');
my $before = descriptors($session->pid);
foreach my $case ([ 'fstat', 'Its status cannot be read.' ], [ 'read', 'It cannot be read.' ])
{
	my ($function, $detail) = @$case;
	my ($happened, $out, $err) = with_failure($session, $function, 1, EIO, call('filed'));
	ok($happened, "$function of it fails");
	like($err, qr/ERROR:  HV00D: invalid access_token_file "\Q$file\E"\nDETAIL:  \Q$detail\E/, "$function: that is said");
	like($session->query(call('filed')), qr/^t\|/, "$function: the next call works");
	is(descriptors($session->pid), $before, "$function: nothing is left open");
}

done_testing();

# A call for another contact, each time.
sub call
{
	my ($server) = @_;
	return sprintf $call, ++$contact, $server // 'hubspot';
}

# Runs the statement while that call of the function fails: whether it came to
# that, and what it said.
sub with_failure
{
	my ($session, $function, $number, $result, $sql) = @_;

	$fuse->blow($function, $number, $result);
	$session->send($sql);
	my ($out, $err) = $session->finish;
	my $happened = $fuse->has_blown;
	$fuse->replace;
	return ($happened, $out, $err);
}
