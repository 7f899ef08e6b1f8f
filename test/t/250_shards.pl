
# The way past one machine: a link table whose rows are spread over two servers,
# each with its outbox, its worker and half of the account's rate; by partitions
# that are foreign tables, and by PL/Proxy.  What is written through the
# coordinator arrives in the one HubSpot.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Test::More;

# HubSpot refuses what is above the rate of the account, so both have to keep
# within their halves together. A busy machine makes the time between two requests
# shorter than it was when they were sent.
my $hubspot = start_simulator();
sub refuse_above { my ($max) = @_; $hubspot->settings({ rate_limit => { max => $max, interval_ms => 8_000, policy => 'TEN_SECONDLY_ROLLING' } }); return }
refuse_above(100);

my $coordinator = start_node();
my %has = map { $_ => 1 } split /\n/, $coordinator->safe_psql('postgres', 'SELECT name FROM pg_available_extensions');

my @shards;
foreach my $number (0, 1)
{
	my $shard = start_node(shared_preload_libraries => 'hubspot_assoc');
	create_account($shard, $hubspot, rate_limit => 50);
	$shard->safe_psql('postgres', q{
		CREATE TABLE link (contact bigint, company bigint, PRIMARY KEY (contact, company));
		SELECT hs_assoc_enable_sync('link', 'contacts', 'contact', 'companies', 'company');
		CREATE TABLE deal_link (contact bigint, deal bigint, PRIMARY KEY (contact, deal));
		SELECT hs_assoc_enable_sync('deal_link', 'contacts', 'contact', 'deals', 'deal')});
	push @shards, $shard;
}
my $session = start_session($coordinator);

sub on_shards
{
	my ($sql) = @_;
	return [ map { $_->safe_psql('postgres', $sql) } @shards ];
}

# The associations when all is sent, as "contact,other" in the order of the ids.
sub held
{
	my ($to_type) = @_;
	wait_until(sub { !grep { $_ } @{ on_shards('SELECT count(*) FROM hs_assoc_outbox') } });
	return $hubspot->association_table('contacts', $to_type) =~ s/,HUBSPOT.*//gr;
}

sub lines { return join '', map { "$_\n" } split /\n/, $session->query($_[0]) }

# Partitions on other servers
subtest 'postgres_fdw' => sub {
	plan skip_all => 'postgres_fdw is not installed' unless $has{postgres_fdw};

	my $links = q{SELECT contact || ',' || company FROM link ORDER BY contact, company};
	$session->query('CREATE EXTENSION postgres_fdw;
		CREATE TABLE link (contact bigint, company bigint) PARTITION BY HASH (contact)');
	foreach my $number (0, 1)
	{
		my $shard = $shards[$number];
		$session->query(qq{
			CREATE SERVER shard$number FOREIGN DATA WRAPPER postgres_fdw
				OPTIONS (host '@{[ $shard->host ]}', port '@{[ $shard->port ]}', dbname 'postgres', batch_size '1000');
			CREATE USER MAPPING FOR CURRENT_USER SERVER shard$number;
			CREATE FOREIGN TABLE link_$number PARTITION OF link FOR VALUES WITH (MODULUS 2, REMAINDER $number)
				SERVER shard$number OPTIONS (table_name 'link')});
	}

	$session->query('INSERT INTO link SELECT i, 1000 + i % 100 FROM generate_series(1, 5000) i');
	is(held('companies'), lines($links), 'inserted');
	cmp_ok($_, '>', 2000, 'a shard has its part') foreach @{ on_shards('SELECT count(*) FROM link') };

	$session->query('UPDATE link SET company = company + 1000 WHERE contact % 3 = 0;
		DELETE FROM link WHERE contact % 7 = 0;
		INSERT INTO link SELECT i, 1500 FROM generate_series(1, 5000, 10) i');
	is(held('companies'), lines($links), 'updated and deleted');

	$session->query('BEGIN; INSERT INTO link SELECT i, 1600 FROM generate_series(1, 100) i;
		DELETE FROM link WHERE contact < 200; ROLLBACK');
	is(held('companies'), lines($links), 'rolled back');

	# flips of few pairs, row by row
	foreach my $i (1 .. 20)
	{
		$session->query($i % 2 ? 'INSERT INTO link SELECT i, 1700 FROM generate_series(1, 10) i'
			: 'DELETE FROM link WHERE company = 1700');
	}
	is(held('companies'), lines($links), 'to and fro');

	# The one goes on when the other is away
	my $contact = $session->query('SELECT min(contact) FROM link_1');
	$shards[0]->stop('immediate');
	$session->query("INSERT INTO link VALUES ($contact, 1800)");
	wait_until(sub { $shards[1]->safe_psql('postgres', 'SELECT count(*) FROM hs_assoc_outbox') == 0 });
	like($hubspot->association_table('contacts', 'companies'), qr/^$contact,1800,/m, 'one shard is down, the other goes on');
	# it knows no more of what it has sent, which was no more than 50
	refuse_above(150);
	$shards[0]->start;
	is(held('companies'), lines($links), 'and up again');

	$session->query('TRUNCATE link');
	is(held('companies'), '', 'truncated');
};

# Functions that run where the row is
subtest 'PL/Proxy' => sub {
	plan skip_all => 'PL/Proxy is not installed' unless $has{plproxy};

	foreach my $shard (@shards)
	{
		$shard->safe_psql('postgres', q{
			CREATE FUNCTION set_link(contact bigint, deal bigint) RETURNS int LANGUAGE sql AS
				'INSERT INTO deal_link VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1';
			CREATE FUNCTION set_links(contacts bigint[], deals bigint[]) RETURNS SETOF bigint LANGUAGE sql AS
				'INSERT INTO deal_link SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING RETURNING contact';
			CREATE FUNCTION move_link(contact bigint, deal bigint, to_deal bigint) RETURNS int LANGUAGE sql AS
				'UPDATE deal_link SET deal = $3 WHERE (contact, deal) = ($1, $2) RETURNING 1';
			CREATE FUNCTION unset_links(deal bigint) RETURNS SETOF bigint LANGUAGE sql AS
				'DELETE FROM deal_link WHERE deal = $1 RETURNING contact';
			CREATE FUNCTION links() RETURNS SETOF deal_link LANGUAGE sql AS 'SELECT * FROM deal_link'});
	}
	my ($first, $second) = map { "host=@{[ $_->host ]} port=@{[ $_->port ]} dbname=postgres" } @shards;
	$session->query(qq{
		CREATE EXTENSION plproxy;
		CREATE SERVER shards FOREIGN DATA WRAPPER plproxy OPTIONS (p0 '$first', p1 '$second');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shards});
	$session->query(q{
		CREATE FUNCTION set_link(contact bigint, deal bigint) RETURNS int LANGUAGE plproxy AS
			$$ CLUSTER 'shards'; RUN ON hashint8(contact); $$;
		CREATE FUNCTION set_links(contacts bigint[], deals bigint[]) RETURNS SETOF bigint LANGUAGE plproxy AS
			$$ CLUSTER 'shards'; SPLIT contacts, deals; RUN ON hashint8(contacts); $$;
		CREATE FUNCTION move_link(contact bigint, deal bigint, to_deal bigint) RETURNS int LANGUAGE plproxy AS
			$$ CLUSTER 'shards'; RUN ON hashint8(contact); $$;
		CREATE FUNCTION unset_links(deal bigint) RETURNS SETOF bigint LANGUAGE plproxy AS
			$$ CLUSTER 'shards'; RUN ON ALL; $$;
		CREATE FUNCTION links(OUT contact bigint, OUT deal bigint) RETURNS SETOF record LANGUAGE plproxy AS
			$$ CLUSTER 'shards'; RUN ON ALL; $$});

	my $links = q{SELECT contact || ',' || deal FROM links() ORDER BY contact, deal};
	is($session->query('SELECT count(*) FROM set_links(ARRAY(SELECT generate_series(1, 5000)::bigint),
		ARRAY(SELECT 1000 + i % 100 FROM generate_series(1, 5000) i)::bigint[])'), 5000, 'inserted');
	is(held('deals'), lines($links), 'sent');
	cmp_ok($_, '>', 2000, 'a shard has its part') foreach @{ on_shards('SELECT count(*) FROM deal_link') };

	$session->query('SELECT set_link(i, 1500) FROM generate_series(1, 100) i;
		SELECT move_link(i, 1000 + i % 100, 1600) FROM generate_series(1, 5000, 50) i');
	is($session->query('SELECT count(*) FROM unset_links(1007)'), 50, 'deleted');
	is(held('deals'), lines($links), 'sent again');
};

is_deeply(on_shards('SELECT rate_limit FROM hs_assoc_throttle()'), [ 50, 50 ], 'each has half of the rate');
is_deeply(on_shards('SELECT rate_limited FROM hs_assoc_stat()'), [ 0, 0 ], 'nothing was refused for it');
is_deeply(on_shards('SELECT count(*) FROM hs_assoc_dead_letter'), [ 0, 0 ], 'no dead letters');

done_testing();
