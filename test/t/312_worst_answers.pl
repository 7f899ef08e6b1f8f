# Whatever peers answer, however much of it and to how many requests at once: a
# worker's memory has a bound.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $limit = 64 * 1024;			# in kB, over what a worker has that has sent something
my $largest = 4 * 1024 * 1024;	# the answer to a full batch, or to what reads
my $dir = PostgreSQL::Test::Utils::tempdir;

my %certificate = make_certificate($dir, 'peer');

my $node = start_node(
	shared_preload_libraries => 'hubspot_assoc',
	'hubspot_assoc.workers' => 1,
	'hubspot_assoc.poll_interval' => '10min');
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0);
create_account($node, $hubspot, name => 'worst', rate_limit => 0, max_retries => 0, max_attempts => 1, max_retry_delay => '1ms',
	concurrency => 8, request_timeout => patience(60) . 's', ca_file => $certificate{tls_cert});
my $session = start_session($node);
my $worker = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'hubspot_assoc worker'};
my $next = 1;

sub enqueue
{
	my ($count, %more) = @_;
	my ($first, $last) = ($next, $next + $count - 1);
	$next += $count;
	$session->query(sprintf q{SELECT hs_assoc_enqueue('%s', 'contacts', 'companies',
		'SELECT i AS from_id, i AS to_id%s FROM generate_series(%d, %d) i', server => '%s'%s)},
		$more{operation} // 'create_default', $more{columns} // '', $first, $last, $more{server} // 'worst',
		$more{arguments} // '');
	return;
}

sub waiting { return $session->query('SELECT count(*) FROM hs_assoc_outbox') }
sub is_waiting { return $session->query('SELECT EXISTS (SELECT FROM hs_assoc_outbox)') eq 't' }

# What a worker has that has sent something, before any of this.
my $before;
wait_until(sub {
		enqueue(2000, server => 'hubspot');
		wait_until(sub { waiting() == 0 });
		my $pid = $session->query($worker);
		return $before = $pid ? eval { anonymous_memory($pid) } : undef;
	});

# Watches the worker while the condition holds: how much more memory it had at the most.
sub peak
{
	my ($condition) = @_;
	my $peak = 0;
	my $begun = time;
	my $pid;
	for (my $looks = 0; $looks % 5 || $condition->(); $looks++)
	{
		my $now = $pid && eval { anonymous_memory($pid) };
		$peak = $now if $now && $now > $peak;
		$pid = $session->query($worker) unless $now;
		sleep 0.002;
		die 'waited in vain' if time > $begun + $PostgreSQL::Test::Utils::timeout_default;
	}
	return $peak - $before;
}

# A peer of that mode, which the server is then.
sub peer
{
	my ($mode, $tls) = @_;
	my $peer = start_peer($mode, $tls ? %certificate : ());
	$session->query(sprintf q{ALTER SERVER worst OPTIONS (SET base_url '%s')}, $peer->url);
	return $peer;
}

# An answer for the peer to give, of at most so many bytes of a body.
sub write_answer
{
	my ($status, $body, $headers) = @_;
	open my $file, '>', "$dir/answer" or die "$dir/answer: $!";
	print $file "HTTP/1.1 $status Anything\r\n" . ($headers // '') . "Connection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
	close $file;
	return;
}

# So many pieces as go into so many bytes, between two others.
sub full
{
	my ($size, $begin, $piece, $end) = @_;
	my $room = $size - length($begin) - length($end) + 1;
	return $begin . join(',', ($piece) x ($room / (1 + length $piece))) . $end;
}

my $result = '{"from":{"id":"1"},"to":{"id":"1"},"labels":["a","b"],"associationSpec":{"associationCategory":"USER_DEFINED","associationTypeId":1}}';
my $n = 0;
my %bodies = (
	'a string' => sub { full($_[0], '"', 'x' x 1000, '"') },
	'a message' => sub { full($_[0], '{"category":"VALIDATION_ERROR","message":"', 'x' x 1000, '"}') },
	'messages of escapes' => sub { full($_[0], '{', '"message":"' . '\u20ac' x 10_000 . '"', '}') },
	'zeros' => sub { full($_[0], '[', '0', ']') },
	'zeros in results' => sub { full($_[0], '{"results":[', '0', ']}') },
	'depth' => sub { '[' x $_[0] },
	'depth in results' => sub { '{"results":' . '[' x ($_[0] - 100) },
	'errors' => sub { full($_[0], '{"status":"COMPLETE","numErrors":9,"errors":[', '{}', '],"results":[]}') },
	'large errors' => sub { full($_[0], '{"errors":[', '{"message":"' . 'm' x 30_000 . '","context":{"ids":["1","2"]}}', ']}') },
	'contexts' => sub { full($_[0], '{"errors":[', '{"context":{"fromObjectId":["1"],"toObjectId":["1"]}}', ']}') },
	'ids' => sub { full($_[0], '{"category":"VALIDATION_ERROR","context":{"ids":[', '"1"', ']}}') },
	'results' => sub { full($_[0], '{"results":[', $result, ']}') },
	'results of all types' => sub {
		my $pieces = '';
		$pieces .= ($pieces && ',') . $result =~ s/"1"/'"' . (1 + $n++ % 2000) . '"'/ger =~ s/TypeId":1/TypeId":$n/r while length $pieces < $_[0] - 300;
		return "{\"results\":[$pieces]}" });

# Sends rows while the peer gives that answer, and watches until there were so many.
sub watch
{
	my ($name, %case) = @_;
	my $peer = peer("answer=$case{at_once}=$dir/answer", $case{tls});
	enqueue($case{rows}, %{ $case{more} // {} });
	takes_at_most(peak(sub { $peer->begun < $case{requests} && is_waiting() }), $limit, $name);
	cmp_ok($peer->begun, '>=', $case{at_least} // 1, "$name: answered");
	if ($case{endless})
	{
		is(waiting(), $case{rows}, "$name: the rows are there");
		$session->query("SELECT pg_terminate_backend(pid) FROM ($worker) AS w");
	}
	$peer->stop;
	$session->query('SET client_min_messages = error; SELECT hs_assoc_pause()');
	# one that is still at it
	wait_until(sub { $session->query('SELECT count(*) FROM hs_assoc_lease WHERE holder IS NOT NULL') == 0 }) unless $case{endless};
	# not by TRUNCATE, which locks in an order of its own
	$session->query("DELETE FROM $_") foreach qw(hs_assoc_outbox hs_assoc_dead_letter hs_assoc_backoff hs_assoc_lease hs_assoc_doubt);
	$session->query('SELECT hs_assoc_resume()');
	return;
}

#
# As many full batches at once as there are
#
$session->query(q{ALTER SERVER worst OPTIONS (SET concurrency '8', ADD batch_size '2000')});
foreach my $name (sort keys %bodies)
{
	foreach my $status ($name eq 'a message' ? (200, 202, 207, 400, 500) : $name eq 'errors' ? (207, 400) : (200))
	{
		write_answer($status, $bodies{$name}->($largest));
		# one that is refused for some of its rows is taken apart, which is long
		watch("$name, $status, full batches", at_once => 5, rows => 9900, requests => 7, at_least => 5);
	}
}

# The same with headers, and more of an answer than there may be.
my $headers = join '', map { sprintf "x-%05d: %s\r\n", $_, 'h' x 900 } 1 .. 68;
write_answer(200, $bodies{results}->($largest), $headers);
watch('headers', at_once => 5, rows => 9900, requests => 7, at_least => 5);
write_answer(200, $bodies{results}->(4 * $largest));
watch('more than there may be', at_once => 5, rows => 9900, requests => 7, at_least => 5);
write_answer(200, $bodies{results}->($largest), "Content-Encoding: gzip\r\n");
watch('said to be compressed', at_once => 5, rows => 9900, requests => 7, at_least => 5);

# One connection carries all.
write_answer(200, $bodies{results}->($largest));
watch('by HTTP/2', at_once => 5, rows => 9900, requests => 2, tls => 1);

#
# As many small ones as there can be
#
$session->query(q{ALTER SERVER worst OPTIONS (SET concurrency '64', SET batch_size '150')});
foreach my $name ('errors', 'results of all types')
{
	write_answer(200, $bodies{$name}->(256 * 1024 + 150 * 2048));
	watch("$name, 40 at once", at_once => 40, rows => 9900, requests => 66, at_least => 40);
}
write_answer(200, $bodies{results}->(256 * 1024 + 2048), $headers);
$session->query(q{ALTER SERVER worst OPTIONS (SET batch_size '1')});
watch('headers, 64 at once', at_once => 64, rows => 64, requests => 64, at_least => 64);

#
# Answers without an end
#
$session->query(q{ALTER SERVER worst OPTIONS (SET concurrency '4', SET batch_size '2000', SET max_retry_delay '10s')});
write_answer(429, full($largest, '{"policyName":"SECONDLY","message":"', 'x' x 1000, '"}'), "Retry-After: 1\r\n");
watch('429, large ones', at_once => 1, rows => 9900, requests => 20, endless => 1);

# Pages of labels, all of them others; each record has a next one.
my $records = join ',', map {
	my $record = $_;
	sprintf '{"from":{"id":"%d"},"paging":{"next":{"after":"########%s"}},"to":[{"toObjectId":1,"associationTypes":[%s]}]}',
	  $record, 'c' x 800, join ',', map { sprintf '{"typeId":%d,"category":"C"}', $record * 100 + $_ } 1 .. 80
} $next .. $next + 999;
write_answer(200, "{\"results\":[$records]}");
note(sprintf 'pages of %d bytes', length $records);
watch('pages of labels', at_once => 1, rows => 1000, requests => 30, endless => 1,
	more => { operation => 'create', columns => ', 1 AS type_id', arguments => ', keep_labels => true' });

$session->quit;
done_testing();
