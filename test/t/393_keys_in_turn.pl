# Random writers on a table in sync by what people call records, while these have several
# names, appear late, and are found late: in the end HubSpot holds what the table says.
#
# A contact has an e-mail and further ones, a company a domain, in any case. A row of the
# table names a pair, and no two rows name the same one. Transactions insert, delete, and
# rename rows, to other names of the same record and to other records; some go through
# hs_assoc_enqueue, by ids. Between them the outbox is sent, or not, and some contacts come
# to be only then.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

my @seeds = seeds(5, 25);
my $node = start_node();
my $hubspot = start_simulator();
create_account($node, $hubspot, rate_limit => 0, max_retries => 0, max_retry_delay => '20ms');
my $session = start_session($node);
$session->query('SET client_min_messages = error');

my $ncontacts = 6;
my $ncompanies = 3;
my (%exists, %row, @script);

foreach my $seed (@seeds)
{
	@script = ();
	try_seed($seed, sub { return run_seed() || () }, sub { return @script });
}
done_testing();

sub one_of { return $_[ int(rand(@_)) ] }
sub run { my ($sql) = @_; push @script, $sql; return $session->query($sql) }
sub spelled { my ($name) = @_; return one_of($name, $name, uc $name, " $name") }
sub contact_names { my ($n) = @_; return ("c$n\@example.com", "also$n\@example.com", "third$n\@example.com") }
sub contact_name { return spelled(one_of(contact_names($_[0]))) }
sub company_name { return spelled("d$_[0].example") }

sub appear
{
	my ($n) = @_;
	push @script, "-- contact 10$n appears";
	$hubspot->put_records(contacts => [ { id => "10$n", properties => { email => "c$n\@example.com", hs_additional_emails => "also$n\@example.com;third$n\@example.com" } } ]);
	$exists{$n} = 1;
	return;
}

sub flush
{
	run('CALL hs_assoc_flush()');
	return;
}

# A change of one row; the rows are known by their pair
sub change
{
	my $n = 1 + int(rand($ncontacts));
	my $m = 1 + int(rand($ncompanies));
	my $pair = "$n $m";
	if (!$row{$pair})
	{
		$row{$pair} = [ contact_name($n), company_name($m) ];
		return sprintf q{INSERT INTO leads VALUES ('%s', '%s')}, @{ $row{$pair} };
	}
	my @old = @{ delete $row{$pair} };
	my $where = sprintf q{WHERE email = '%s' AND domain = '%s'}, @old;
	my $what = int(rand(3));
	return "DELETE FROM leads $where" if $what == 0;
	if ($what == 1)
	{
		# another name of the same records
		$row{$pair} = [ contact_name($n), one_of($old[1], company_name($m)) ];
		return sprintf q{UPDATE leads SET email = '%s', domain = '%s' %s}, @{ $row{$pair} }, $where;
	}
	my $other = 1 + int(rand($ncontacts));
	if ($row{"$other $m"})
	{
		return "DELETE FROM leads $where";
	}
	$row{"$other $m"} = [ contact_name($other), $old[1] ];
	return sprintf q{UPDATE leads SET email = '%s' %s}, $row{"$other $m"}[0], $where;
}

sub run_seed
{
	%row = %exists = ();
	$hubspot->reset;
	$hubspot->settings({ missing_keys => one_of(qw(named empties silent)), secondary_emails => 'found', latency_ms => 0 });
	$hubspot->put_records(companies => [ map { { id => "20$_", properties => { domain => "d$_.example" } } } 1 .. $ncompanies ]);
	appear($_) foreach grep { rand() < 0.6 } 1 .. $ncontacts;
	run('SELECT setseed(' . rand() . ')');
	run(q{DROP TABLE IF EXISTS leads; TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_doubt;
		CREATE TABLE leads (email text, domain text, PRIMARY KEY (email, domain));
		SELECT hs_assoc_enable_sync('leads', 'contacts:email', 'email', 'companies:domain', 'domain')});
	foreach (1 .. 8 + rand(12))
	{
		my $ops = 1 + int(rand(4));
		my @changes = map { change() } 1 .. $ops;
		my $sql = join "; ", @changes;
		run(one_of(@changes > 1 ? "BEGIN; $sql; COMMIT" : $sql, $sql));
		flush() if rand() < 0.5;
		run(q{UPDATE hs_assoc_outbox SET not_before = now() WHERE random() < 0.5}) if rand() < 0.2;
		appear(one_of(1 .. $ncontacts)) if rand() < 0.15;
	}
	appear($_) foreach grep { !$exists{$_} } 1 .. $ncontacts;
	foreach (1 .. 40)
	{
		run('SELECT hs_assoc_resume()');
		flush();
		last if $session->query('SELECT count(*) FROM hs_assoc_outbox') == 0;
	}
	my $held = join ' ', map { s/,HUBSPOT.*//r } split /\n/, $hubspot->association_table('contacts', 'companies');
	my $wanted = join ' ', sort map { my ($n, $m) = split / /; "10$n,20$m" } keys %row;
	my $left = $session->query('SELECT count(*) FROM hs_assoc_outbox') + $session->query('SELECT count(*) FROM hs_assoc_dead_letter');
	return "left: $left" if $left;
	return $held eq $wanted ? '' : "held $held, wanted $wanted";
}
