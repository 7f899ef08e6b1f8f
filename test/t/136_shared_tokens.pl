# One access token of OAuth for all sessions that log in alike, if the library is
# preloaded: fetched once, taken over from who doesn't finish, renewed once, never
# handed to anybody else, and shown nowhere.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use PostgreSQL::Test::Utils;
use Test::More;

# AddressSanitizer stands in between
my $fuse = instrumented() eq 'AddressSanitizer' ? undef : start_fuse();
my %loud = ('hubspot_assoc.progress_interval' => 0, log_min_messages => 'debug2', log_duration => 'on', log_timezone => 'UTC');
my $node = start_node(%loud, fuse => $fuse, shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0,
	restart_after_crash => 'on');
my $small = start_node(%loud, shared_preload_libraries => 'hubspot_assoc', 'hubspot_assoc.workers' => 0,
	'hubspot_assoc.max_accounts' => 2);
my $alone = start_node(%loud);
my $hubspot = start_simulator();
my $output = '';			# all that clients have seen
my $admin = start_session($node);

sub client
{
	my ($name, %options) = @_;
	my %client = (client_id => "id-$name", client_secret => "s3cr3t-$name", refresh_token => "r3fr3sh-$name");
	$hubspot->oauth({ %client, expires_in => 1800, %options });
	return %client;
}

sub mapping
{
	my ($on, $server, $user, %client) = @_;
	$on->safe_psql('postgres', "SET log_statement = none; CREATE USER MAPPING FOR $user SERVER $server
		OPTIONS (" . join(', ', map { "$_ '$client{$_}'" } sort keys %client) . ')');
	return;
}

# A server with PUBLIC's mapping for a client, by default one of its own.
sub server
{
	my ($on, $name, %client) = @_;
	create_account($on, $hubspot, name => $name, rate_limit => 0, max_retries => 0);
	$on->safe_psql('postgres', "DROP USER MAPPING FOR PUBLIC SERVER $name");
	mapping($on, $name, 'PUBLIC', %client ? %client : client($name));
	$hubspot->clear_log;
	return;
}

sub call
{
	my ($server, $to_type) = @_;
	return sprintf q{SELECT ok, http_status, error_category FROM hs_assoc_create_default('contacts', 1, '%s', 2, server => '%s')},
	  $to_type // 'companies', $server;
}

sub outcome
{
	my ($session) = @_;
	my ($out, $err) = $session->finish;
	$output .= "$out\n$err\n";
	return $err eq '' ? $out : "$out\n$err";
}

sub ask { my ($session, $server) = @_; $session->send(call($server)); return outcome($session) }

# What sessions say that are asked at once: how often.
sub ask_all
{
	my ($server, @sessions) = @_;
	my %seen;
	$_->send(call($server)) foreach @sessions;
	$seen{ outcome($_) }++ foreach @sessions;
	return join ', ', map { "$seen{$_}x $_" } sort keys %seen;
}

sub sessions { my ($on, $count) = @_; return map { start_session($on) } 1 .. $count }

# A new session's.
sub ask_anew
{
	my ($on, $server, $role) = @_;
	my $session = start_session($on);
	$session->query("SET ROLE $role") if $role;
	my $row = ask($session, $server);
	$session->quit;
	return $row;
}

sub fetched
{
	my $count = $hubspot->log_count('^/oauth/');
	$hubspot->clear_log;
	return $count;
}

sub token_rule
{
	my ($action, %match) = @_;
	$hubspot->clear_rules;
	$hubspot->rules({ match => { path => '^/oauth/', %match }, action => $action });
	return;
}

# So many sessions wait, for the network or for each other.
sub wait_for_waiting
{
	my ($count) = @_;
	wait_until(sub { $admin->query(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Extension'}) == $count });
	return;
}

#
# Many sessions at once
#
server($node, 'many');
token_rule({ delay_ms => 500 });
my @many = sessions($node, 30);
is(ask_all('many', @many), '30x t|200|', '30 sessions at once');
is(fetched(), 1, '... fetch one token');
is(ask_all('many', @many), '30x t|200|', '... and go on with it');
is(ask_anew($node, 'many'), 't|200|', '... as does a new one');
is(fetched(), 0, '... without another');
$hubspot->expire_oauth;
is(ask_all('many', @many), '30x t|200|', 'it expires, by HubSpot\'s word');
is(fetched(), 1, '... and one is fetched');
SKIP:
{
	skip 'the clock cannot jump', 2 unless $fuse;
	$fuse->ahead(1800);
	is(ask_all('many', @many), '30x t|200|', 'its time is over');
	is(fetched(), 1, '... and one is fetched');
}
$_->quit foreach splice @many, 5;

# Not preloaded: each by itself.
server($alone, 'each');
token_rule({ delay_ms => 100 });
my @each = sessions($alone, 5);
is(ask_all('each', @each), '5x t|200|', 'without preloading');
is(fetched(), 5, '... each session fetches one');
is(ask_all('each', @each), '5x t|200|', '... which it keeps');
is(fetched(), 0, '... for itself');
$_->quit foreach @each;
$hubspot->clear_rules;

#
# Who may have it
#
$node->safe_psql('postgres', 'CREATE ROLE one; CREATE ROLE two; CREATE ROLE outsider');
create_account($node, $hubspot, name => 'roles', rate_limit => 0, max_retries => 0);
$node->safe_psql('postgres', 'DROP USER MAPPING FOR PUBLIC SERVER roles; GRANT USAGE ON FOREIGN SERVER roles TO one, two, outsider');
$hubspot->account({ token => "account-of-$_" }) foreach qw(one two);
mapping($node, 'roles', $_, client($_, token => "account-of-$_")) foreach qw(one two);
$hubspot->clear_log;
is(ask_anew($node, 'roles', 'one'), 't|200|', 'a role with a mapping of its own');
is(fetched(), 1, '... fetches a token');
is(ask_anew($node, 'roles', 'one'), 't|200|', '... for another session');
is(fetched(), 0, '... of the role');
is(ask_anew($node, 'roles', 'two'), 't|200|', 'another role has another mapping of the same server');
is(fetched(), 1, '... and another token');
is(join(' ', map { $hubspot->association_count('contacts', 'companies', token => "account-of-$_") } qw(one two)), '1 1', '... of its own account');
like(ask_anew($node, 'roles', 'outsider'), qr/ERROR:  42704: user mapping for user "outsider" and server "roles" not found/, 'a role without one has none');
$node->safe_psql('postgres', 'CREATE ROLE same; GRANT USAGE ON FOREIGN SERVER roles TO same');
mapping($node, 'roles', 'same', client('one', token => 'account-of-one'));
fetched();
is(ask_anew($node, 'roles', 'same'), 't|200|', 'the same login in another mapping');
is(fetched(), 1, '... is another one');
server($node, 'twin', client('many'));
is(ask_anew($node, 'twin'), 't|200|', 'or that of another server');
is(fetched(), 1, '... likewise');

# Each part of the login, and of the way.
server($node, 'parts');
is(ask_anew($node, 'parts'), 't|200|', 'a server');
is(fetched(), 1, '... has a token');
foreach my $change (
	[ 'USER MAPPING FOR PUBLIC SERVER', q{SET client_id 'id-other'}, q{SET client_id 'id-parts'}, qr/^f\|400\|NOT_SENT/ ],
	[ 'USER MAPPING FOR PUBLIC SERVER', q{SET client_secret 's3cr3t-wrong'}, q{SET client_secret 's3cr3t-parts'}, qr/^f\|400\|NOT_SENT/ ],
	[ 'USER MAPPING FOR PUBLIC SERVER', q{SET refresh_token 'r3fr3sh-wrong'}, q{SET refresh_token 'r3fr3sh-parts'}, qr/^f\|400\|NOT_SENT/ ],
	[ 'SERVER', q{SET base_url 'http://127.0.0.1:1'}, "SET base_url '@{[ $hubspot->url ]}'", qr/^f\|\|NOT_SENT/ ],
	[ 'SERVER', q{ADD proxy 'http://127.0.0.1:1'}, 'DROP proxy', qr/^f\|\|NOT_SENT/ ])
{
	my ($object, $to, $back, $expected) = @$change;
	$admin->query("SET log_statement = none; ALTER $object parts OPTIONS ($to)");
	like(ask_anew($node, 'parts'), $expected, "no token for who has another option: " . ($to =~ s/ '.*//r));
	$admin->query("ALTER $object parts OPTIONS ($back)");
	fetched();
	is(ask_anew($node, 'parts'), 't|200|', '... but again for who has the right one');
	is(fetched(), 0, '... the one that there was');
}

#
# Who fetches it does not come to an end
#
my ($first, $second, $third) = @many[0 .. 2];
my $watch = start_stopwatch($node);

# The first one's request hangs, and the others wait for it.
sub start_three
{
	my ($name) = @_;
	server($node, $name);
	token_rule({ hang => \1 }, first => 1);
	$first->send(call($name));
	wait_until(sub { $hubspot->log_count('^/oauth/') == 1 });
	$_->send(call($name, $name eq 'impatient' ? 'deals' : undef)) foreach $second, $third;
	wait_for_waiting(3);
	is($hubspot->log_count('^/oauth/'), 1, "$name: one fetches, two wait");
	return;
}

start_three('canceled');
$first->cancel;
like(outcome($first), qr/ERROR:  57014:/, 'the fetch is canceled');
is(outcome($_), 't|200|', '... another one takes it over') foreach $second, $third;
is(fetched(), 2, '... one of them');
is(ask($first, 'canceled'), 't|200|', '... for all');
is(fetched(), 0, '... of them');

start_three('terminated');
$first->terminate;
like(outcome($first), qr/FATAL:  57P01:/, 'the session ends');
is(outcome($_), 't|200|', '... another one takes it over') foreach $second, $third;
is(fetched(), 2, '... one of them');
$first->quit;
$first = start_session($node);

SKIP:
{
	skip 'the clock cannot jump', 8 unless $fuse;
	start_three('stopped');
	kill 'STOP', $first->pid;
	$fuse->ahead(11);
	$node->reload;				# wakes them, to see that they are late
	is(outcome($_), 't|200|', 'the process stands still: after 10 s another one takes it over') foreach $second, $third;
	is(fetched(), 2, '... one of them');
	kill 'CONT', $first->pid;
	$first->cancel;
	like(outcome($first), qr/ERROR:  57014:/, '... and the first one goes on');
	is(ask($_, 'stopped'), 't|200|', '... without harm') foreach $first, $second, $third;
}

# The next one does not, either: the last one waits for 20 s in all.
SKIP:
{
	skip 'the clock cannot jump', 3 unless $fuse;
	start_three('impatient');
	token_rule({ hang => \1 }, first => 1);
	$hubspot->clear_log;
	kill 'STOP', $first->pid;
	$fuse->ahead(11);
	$node->reload;
	wait_until(sub { $hubspot->log_count('^/oauth/') == 1 });
	$fuse->ahead(9);
	$node->reload;
	wait_until(sub { $hubspot->association_count('contacts', 'deals') == 1 });
	wait_for_waiting(2);
	is(fetched(), 2, 'a third one fetches the token, though the second one may still get it');
	kill 'CONT', $first->pid;
	$_->cancel foreach $first, $second, $third;
	my @rows = sort map { outcome($_) } $first, $second, $third;
	like($rows[0], qr/ERROR:  57014:/, '... the others are still at it');
	is($rows[2], 't|200|', '... the third one is done');
}

start_three('waits');
$watch->begin($second->pid);
$watch->from_now($second->pid);
$second->cancel;
like(outcome($second), qr/ERROR:  57014:/, 'who waits can be canceled');
my %ended = $watch->wait($second->pid);
cmp_ok($ended{ $second->pid }{late}, '<', patience(0.1), '... within 100 ms');
$third->terminate;
like(outcome($third), qr/FATAL:  57P01:/, '... or end');
$first->cancel;
outcome($first);
$hubspot->clear_rules;
is(ask($second, 'waits'), 't|200|', '... and leaves nothing behind');
$third->quit;
$third = start_session($node);

# It fails: each asks for itself, and is told why.
server($node, 'refused');
token_rule({ status => 400, delay_ms => 100, body => { error => 'invalid_grant', message => 'No.' } });
is(ask_all('refused', $first, $second, $third), '3x f|400|NOT_SENT', 'no token is given');
is(fetched(), 3, '... which each is told');
token_rule({ status => 500, delay_ms => 100, body => { message => 'Oh.' } });
is(ask_all('refused', $first, $second, $third), '3x f|500|NOT_SENT', 'the endpoint fails');
$hubspot->clear_rules;
fetched();
is(ask_all('refused', $first, $second, $third), '3x t|200|', 'and then it works');
is(fetched(), 1, '... once');

# A token that HubSpot refuses is not handed out again.
server($node, 'revoked');
is(ask_all('revoked', $first, $second), '2x t|200|', 'two sessions have a token');
$hubspot->reset;
client('revoked');
is(ask($first, 'revoked'), 'f|401|INVALID_AUTHENTICATION', '... which is revoked');
$hubspot->clear_log;
is(ask($third, 'revoked'), 't|200|', 'a third one');
is(fetched(), 1, '... has another');
is(ask($second, 'revoked'), 'f|401|INVALID_AUTHENTICATION', 'the second one learns it');
is(ask($second, 'revoked'), 't|200|', '... and has that of the third');
is(ask($first, 'revoked'), 't|200|', '... as the first');
is(fetched(), 0, '... which is the last');

#
# A refresh token that is replaced each time
#
$admin->query('SET log_statement = none');
server($node, 'rotates', client('rotates', rotate => \1));
my $stored = q{SELECT md5(umoptions::text) FROM pg_user_mapping JOIN pg_foreign_server s ON s.oid = umserver WHERE srvname = 'rotates'};
my @sessions = sessions($node, 10);
token_rule({ delay_ms => 300 });
my $before = $admin->query($stored);
is(ask_all('rotates', @sessions), '10x t|200|', 'a refresh token that is replaced');
is(fetched(), 1, '... by one token');
isnt($admin->query($stored), $before, '... is in the mapping');
is(ask_all('rotates', @sessions), '10x t|200|', '... which all read');
is(ask_anew($node, 'rotates'), 't|200|', '... and find the token by');
is(fetched(), 0, '... that there is');
foreach my $round (1 .. 3)
{
	$hubspot->expire_oauth;
	is(ask_all('rotates', @sessions), '10x t|200|', "expired, round $round");
	is(fetched(), 1, '... one token');
	is(ask_anew($node, 'rotates'), 't|200|', '... for all');
	is(fetched(), 0, '... that come');
}
$_->quit foreach @sessions;

#
# Tokens that cannot be shared, and slots
#
foreach my $length (1024, 1025)
{
	my $token = 'access-' . 'x' x ($length - 7);
	server($node, "length$length");
	$hubspot->account({ token => $token });
	token_rule({ status => 200, delay_ms => 100, body => { access_token => $token, expires_in => 1800 } });
	is(ask_all("length$length", $first, $second, $third), '3x t|200|', "a token of $length characters");
	is(fetched(), $length == 1024 ? 1 : 3, '... ' . ($length == 1024 ? 'is shared' : 'is not'));
}
server($node, 'brief', client('brief', expires_in => 0));
token_rule({ status => 200, body => { access_token => 'test-token', expires_in => 0 } });
is(ask_all('brief', $first, $second, $third), '3x t|200|', 'a token that runs out at once');
is(fetched(), 3, '... is not shared');
$hubspot->clear_rules;

server($small, $_) foreach qw(a b c);
is(ask_anew($small, $_), 't|200|', "two slots: server $_") foreach qw(a b c);
is(fetched(), 3, '... each has a token');
is(ask_anew($small, $_), 't|200|', '... the last ones are there') foreach qw(b c);
is(fetched(), 0, '... and are taken');
is(ask_anew($small, 'a'), 't|200|', '... the first one');
is(fetched(), 1, '... had to go');

#
# Nobody sees any of it, not even in what a crash leaves
#
my $views = '';
$views .= $admin->query("SELECT v::text FROM $_ v")
  foreach qw(pg_stat_activity pg_settings pg_foreign_server pg_shmem_allocations pg_backend_memory_contexts
	pg_stat_database hs_assoc_stat() hs_assoc_throttle() information_schema.foreign_server_options);
like($views, qr/hubspot_assoc_tokens/, 'the shared memory has a name');

server($node, 'crash');
token_rule({ hang => \1 }, first => 1);
$first->send(call('crash'));
wait_until(sub { $hubspot->log_count('^/oauth/') == 1 });
$second->send(call('crash'));
wait_for_waiting(2);
kill 'KILL', $first->pid;
outcome($_) foreach $first, $second;
wait_until(sub { $node->psql('postgres', 'SELECT 1') == 0 });
fetched();
my @after = sessions($node, 5);
is(ask_all('crash', @after), '5x t|200|', 'after a crash');
is(fetched(), 1, '... they begin anew');
$_->quit foreach @after;

foreach my $text ([ 'the clients', $output ], [ 'the views', $views ], map { [ 'a log', slurp_file($_->logfile) ] } $node, $small, $alone)
{
	unlike($text->[1], qr/(?:access|refresh)-[0-9a-fx]{32}|s3cr3t-|r3fr3sh-/, "$text->[0]: no token, nor anything of a login");
}

done_testing();
