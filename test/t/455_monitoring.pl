# monitoring/: the alerts do what they are for, the dashboard and the alerts name figures that
# there are, and the whole way works: exporters, Prometheus, an alert that fires when HubSpot
# refuses the token, and ends when that is mended.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HTTP::Tiny;
use HubSpotTest;
use IO::Socket::INET;
use Cpanel::JSON::XS ();
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = "$FindBin::Bin/../../monitoring";
my $work = PostgreSQL::Test::Utils::tempdir;
my $patience = patience(60);

sub find_program { my ($name) = @_; return (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0] }

#
# Names: each figure that is drawn or watched is one that there is
#
my %figures = map { $_ => 1 } slurp_file("$FindBin::Bin/../../src/diagnose/figure.c") =~ /\{"(hubspot_assoc_\w+)"/g;
cmp_ok(scalar(keys %figures), '>', 20, 'figures');
sub unknown { my ($text) = @_; return join ' ', grep { !$figures{$_} } $text =~ /\b(hubspot_assoc_\w+)/g }

my $dashboard = Cpanel::JSON::XS::decode_json(slurp_file("$folder/grafana.json"));
my @queries = map { $_->{expr} } map { @{ $_->{targets} } } @{ $dashboard->{panels} };
is(unknown("@queries @{[ map { $_->{definition} // '' } @{ $dashboard->{templating}{list} } ]}"), '', 'the dashboard draws figures that there are');
my %drawn = map { $_ => 1 } map { /\b(hubspot_assoc_\w+)/g } @queries;
is(join(' ', sort grep { !$drawn{$_} && !/preloaded$/ } keys %figures), '', 'and all of them');
is(unknown(join "\n", slurp_file("$folder/alerts.yml") =~ /expr: (.*)/g), '', 'alerts watch figures that there are');

my ($promtool, $prometheus, $sql_exporter, $postgres_exporter) =
  map { find_program($_) } qw(promtool prometheus prometheus-sql-exporter prometheus-postgres-exporter);
SKIP:
{
	skip 'Prometheus or an exporter is not installed, since there is no package of it', 1
	  unless $promtool && $prometheus && $sql_exporter && $postgres_exporter;
	like(`cd '$folder' && '$promtool' test rules alerts_test.yml 2>&1`, qr/SUCCESS/, 'the alerts fire for what they are for');
	is($?, 0, 'all of them');
	try_it();
}
done_testing();

#
# The whole way
#
my (@processes, %ports);

sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "no port: $!";
	return $socket->sockport;
}

# Starts a program in the background; its output goes to a file.
sub start_program
{
	my ($name, @command) = @_;
	my $pid = fork // die "fork: $!";

	if (!$pid)
	{
		open STDOUT, '>', "$work/$name.log" or die $!;
		open STDERR, '>&', \*STDOUT or die $!;
		exec @command or die "$name: $!";
	}
	push @processes, $pid;
	return;
}

sub stop_programs
{
	local $?;
	kill 'KILL', $_ and waitpid $_, 0 foreach splice @processes;
	return;
}
END { stop_programs() }

sub get { my ($name, $path) = @_; my $reply = HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$ports{$name}$path"); return $reply->{success} ? $reply->{content} : '' }

# What a query of Prometheus gives: {labels => value}
sub query
{
	my ($query) = @_;
	my $reply = get('prometheus', '/api/v1/query?query=' . join '', map { sprintf '%%%02X', ord } split //, $query);
	return $reply ? Cpanel::JSON::XS::decode_json($reply)->{data}{result} // [] : [];
}

sub firing
{
	my ($alert) = @_;
	my $reply = get('prometheus', '/api/v1/alerts');
	return $reply ? scalar(grep { $_->{labels}{alertname} eq $alert && $_->{state} eq 'firing' } @{ Cpanel::JSON::XS::decode_json($reply)->{data}{alerts} }) : 0;
}

sub write_file { my ($name, $text) = @_; PostgreSQL::Test::Utils::append_to_file("$work/$name", $text); return }

sub try_it
{
	# the exporters' drivers want a port
	my $node = start_node(shared_preload_libraries => 'hubspot_assoc', listen_addresses => '127.0.0.1');
	my $hubspot = start_simulator();
	create_account($node, $hubspot, rate_limit => 0);
	my $session = start_session($node);
	my $port = $node->port;

	$session->query('CREATE ROLE monitor LOGIN; GRANT pg_monitor TO monitor');
	%ports = map { $_ => free_port() } qw(prometheus sql_exporter postgres_exporter);

	# as they are, but for addresses, and times that a test does not wait for
	my $address = "postgres://monitor\@127.0.0.1:$port/postgres?sslmode=disable";
	my $config = slurp_file("$folder/sql_exporter.yml");
	$config =~ s{"postgres://[^"]*"}{"$address"};
	$config =~ s{interval: "15s"}{interval: "500ms"};
	write_file('sql_exporter.yml', $config);
	start_program('sql_exporter', $sql_exporter, '-config.file', "$work/sql_exporter.yml", '-web.listen-address', "127.0.0.1:$ports{sql_exporter}");
	{
		local $ENV{DATA_SOURCE_NAME} = $address;
		start_program('postgres_exporter', $postgres_exporter, '--disable-default-metrics', '--disable-settings-metrics',
			"--extend.query-path=$folder/postgres_exporter.yml", "--web.listen-address=127.0.0.1:$ports{postgres_exporter}");
	}
	$config = slurp_file("$folder/prometheus.yml");
	$config =~ s/localhost:9237/127.0.0.1:$ports{sql_exporter}/;
	$config =~ s/localhost:9187/127.0.0.1:$ports{postgres_exporter}/;
	write_file('prometheus.yml', "global:\n  scrape_interval: 500ms\n  scrape_timeout: 400ms\n  evaluation_interval: 500ms\n$config");
	my $alerts = slurp_file("$folder/alerts.yml");
	$alerts =~ s/for: \w+/for: 0s/g;
	$alerts =~ s/(backoff_seconds\)) > 60/$1 > 0/;
	write_file('alerts.yml', $alerts);
	start_program('prometheus', $prometheus, "--config.file=$work/prometheus.yml", "--storage.tsdb.path=$work/data",
		"--web.listen-address=127.0.0.1:$ports{prometheus}", '--log.level=error');

	# both exporters give the same figures, under their own names and labels
	foreach my $job (qw(sql_exporter postgres_exporter))
	{
		my $result = [];
		eval { wait_until(sub { $result = query(qq{hubspot_assoc_requests_total{job="$job", operation="create_default"}}); @$result }, $patience) };
		is(scalar(@$result), 1, "$job: a figure arrives")
		  or diag(substr(get($job, '/metrics'), 0, 2000), map { -e "$work/$_.log" ? slurp_file("$work/$_.log") : () } $job, 'prometheus');
		is_deeply({ map { $_ => $result->[0]{metric}{$_} } qw(server database) }, { server => 'hubspot', database => 'postgres' }, "$job: with its labels");
		# nothing is there as long as a look at the exporter has taken too long
		my $names = $session->query('SELECT count(DISTINCT name) FROM hs_assoc_metrics()');
		my $arrived = 0;
		eval { wait_until(sub { $arrived = @{ query(qq{count by (__name__) ({__name__=~"hubspot_assoc_.+", job="$job"})}) }; $arrived == $names }, $patience) };
		is($arrived, $names, "$job: all that there are");
	}
	$session->query(q{SELECT hs_assoc_create_default('contacts', 1, 'companies', 2)});
	ok(eval { wait_until(sub { @{ query('hubspot_assoc_requests_total == 1') } == 2 }, $patience) }, 'they follow what is going on');

	# what the dashboard draws has data; what is drawn of troubles, once there are some
	my $troubles = qr/dead_letters|backoff|fault/;
	has_data($_) foreach grep { !/$troubles/ } @queries;
	is(firing('HubspotAssocAccountRefused'), 0, 'no alert while all is well');
	$session->query(q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token 'revoked')});
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 3 AS from_id, 4 AS to_id')});
	ok(eval { wait_until(sub { firing('HubspotAssocAccountRefused') }, $patience) }, 'an alert fires when the token is refused');
	has_data($_) foreach grep { /backoff/ } @queries;
	$session->query(q{ALTER USER MAPPING FOR PUBLIC SERVER hubspot OPTIONS (SET access_token 'test-token')});
	$session->query('SELECT hs_assoc_resume()');
	ok(eval { wait_until(sub { !firing('HubspotAssocAccountRefused') && !@{ query('ALERTS{alertname="HubspotAssocAccountRefused"}') } }, $patience) }, 'and ends when it is mended');
	wait_for_empty_outbox($session, $patience);
	pass('when all is sent');

	$hubspot->objects({ type => 'contacts', missing => ['5'] });
	$session->query(q{SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 5 AS from_id, 4 AS to_id')});
	has_data($_) foreach grep { /dead_letters/ } @queries;
	$session->query(q{
		CREATE FUNCTION lack() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no space' USING ERRCODE = 'disk_full'; END$$;
		CREATE TRIGGER lack BEFORE DELETE OR UPDATE ON hs_assoc_outbox FOR EACH ROW EXECUTE FUNCTION lack();
		CREATE TRIGGER lack BEFORE INSERT ON hs_assoc_backoff FOR EACH ROW EXECUTE FUNCTION lack();
		SELECT hs_assoc_enqueue('create_default', 'contacts', 'companies', 'SELECT 6 AS from_id, 4 AS to_id')});
	has_data($_) foreach grep { /fault/ } @queries;
	is(scalar(grep { /dead_letters/ } @queries) > 0 && scalar(grep { /backoff/ } @queries) > 0 && scalar(grep { /fault/ } @queries) > 0, 1, 'all of these are drawn');
	$session->quit;
	stop_programs();
	return;
}

# Waits until a query of the dashboard has data, with its variables at "all".
sub has_data
{
	my ($expr) = @_;
	my $query = $expr =~ s/\$__rate_interval/1m/gr =~ s/"\$(database|server)"/".*"/gr;

	ok(eval { wait_until(sub { scalar @{ query($query) } }, $patience) }, "the dashboard has data: $expr");
	return;
}
