# HubSpot refuses the account, or another access token, in the middle of a statement, while
# other requests of it are in flight: they succeed, fail, hang, or come later.
#
# A seed makes a statement of some kind, over ids or keys, the request at which the account is
# refused, and what goes wrong beside that. Each input has one outcome; nothing counts as
# done that HubSpot does not hold, and nothing as not sent that it does; each row that is not
# done names a cause that there was, an ERROR has its SQLSTATE, and after the refusal nothing
# more is sent.
#
# SEED=n runs that seed alone, SEEDS=n so many, from a random one on.

use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use HubSpotTest;
use Cpanel::JSON::XS ();
use List::Util qw(shuffle);
use Test::More;

my $ROWS = 12;
my $json = Cpanel::JSON::XS->new->utf8->allow_nonref;
my @seeds = seeds(10, 60);
my $node = start_node();
my $hubspot = start_simulator();
my %client = (client_id => 'app', client_secret => 's3cr3t-of-the-app', refresh_token => 'r3fr3sh-of-the-app');

# c: with a token; o: with OAuth
foreach my $name (map { ("c$_", "o$_") } 1, 2, 4)
{
	create_account($node, $hubspot, name => $name, rate_limit => 0, max_retries => 1, max_retry_delay => '20ms', key_cache => '0s',
		concurrency => $name =~ s/\D//r, batch_size => 1, request_timeout => int(patience(600)) . 'ms');
	$node->safe_psql('postgres', "SET log_statement = none; DROP USER MAPPING FOR PUBLIC SERVER $name; CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS ("
		  . join(', ', map { "$_ '$client{$_}'" } sort keys %client) . ')') if $name =~ /o/;
}
my $session = start_session($node);
$session->query('SET client_min_messages = error');

sub pick { return $_[ rand @_ ] }
sub maybe { my ($chance) = @_; return rand() < $chance }

#
# Refusals of the account, with what rows say of it and the SQLSTATE of its ERROR
#
sub own { my ($category, %more) = @_; return { status => 'error', category => $category, message => 'It is the refusal', correlationId => 'c-1', %more } }

my @refusals = (
	[ 401, '28000', body => own('INVALID_AUTHENTICATION') ],
	[ 403, '42501', body => own('MISSING_SCOPES') ],
	[ 403, '08P01', text => '<html>No</html>', content_type => 'text/html' ],
	[ 405, '08P01', text => '' ],
	[ 451, '08P01', body => { message => 'It is the refusal' } ],
	[ 302, '08P01', text => '', headers => { Location => 'http://127.0.0.1:1/' } ],
	[ 429, '53400', body => own('RATE_LIMITS', policyName => 'DAILY') ],
	[ 429, '53400', body => own('RATE_LIMITS'), headers => { 'Retry-After' => '3600' } ],
	[ 530, '28000', body => own('X') ]);

# The same of the access token, once another one has expired
my @token_refusals = (
	[ 400, '28000', body => { status => 'BAD_REFRESH_TOKEN', error => 'invalid_grant', error_description => 'It is the refusal', message => 'It is the refusal' } ],
	[ 401, '28000', body => own('INVALID_AUTHENTICATION') ],
	[ 403, '08P01', text => '<html>No</html>', content_type => 'text/html' ],
	[ 429, '53400', body => own('RATE_LIMITS', policyName => 'DAILY') ],
	[ 501, '38000', body => { message => 'It is the refusal' } ]);
my @expired = ('expired', '28000', qr/The token has expired|Authentication credentials/, { status => 401, body => { status => 'error', category => 'EXPIRED_AUTHENTICATION', message => 'The token has expired' } });

# What may go wrong beside that, likewise
my @soft = (
	[ 'busy', '38000', qr/Busy for now/, { status => 503, body => { status => 'error', category => 'X', message => 'Busy for now' } } ],
	[ 'acted, and busy', '38000', qr/Busy for now/, { status => 502, act => \1, body => { message => 'Busy for now' } } ],
	[ 'hangs', '08006', qr/request_timeout has passed/, { hang => \1 } ],
	[ 'acted, and hangs', '08006', qr/request_timeout has passed/, { act => \1, hang => \1 } ],
	[ 'partial', '08P01', qr/not in HubSpot's answer|the answer does not say/, { results => ['drop:1'] } ],
	[ 'closed', '08006', qr/no complete answer|could not reach/, { close => 'before' } ],
	[ 'acted, and cut', '08006', qr/no complete answer/, { truncate => 3 } ],
	[ 'bad', '22023', qr/All of them are bad/, { status => 400, body => { status => 'error', category => 'VALIDATION_ERROR', message => 'All of them are bad' } } ],
	[ 'parked', '53400', qr/Too fast/, { status => 429, body => { message => 'Too fast', policyName => 'TEN_SECONDLY_ROLLING', category => 'RATE_LIMITS' } } ],
	[ 'late', '', undef, { delay_ms => 120 } ],
	[ 'slow', '', undef, { delay_ms => 40 } ]);

# Requests of all kinds, as far as a statement has them
my %paths = (
	from => '/objects/[^/]*/contacts/batch/read$',
	to => '/objects/[^/]*/companies/(search|batch/read)$',
	labels => '/labels$',
	read => '/associations/.*/batch/read$',
	list => '/objects/[^/]*/contacts$',
	write => '/batch/(create|associate/default|archive|labels/archive)$',
	any => '^/crm/');

#
# Statements: keys, what HubSpot holds before, and of which pairs, and whether it is there after
#
my %kinds = (
	create_default => { adds => 1 },
	create => { adds => 1, more => ", 'Partner' AS label", paths => ['labels'] },
	keep => { function => 'create', adds => 1, more => ", 'Partner' AS label", arguments => ', keep_labels => true', has => 1, paths => [ 'labels', 'read' ] },
	archive => { has => 1 },
	archive_labels => { has => 1, more => ", 'Adviser' AS label", paths => ['labels'] },
	read => { has => 1, reads => 1, paths => ['read'] },
	scan => { has => 1, reads => 1, lists => 1, paths => [ 'list', 'read' ] },
	resolve => { resolves => 1 },
	table => { has => 1, reads => 1, raises => 1, paths => ['read'] },
	direct => { adds => 1, raises => 1 },
	outbox => { adds => 1, paths => [ 'labels', 'read' ] },
	drift => { has => 1, plans => 1, paths => ['read'] },
	plan => { has => 1, plans => 1, paths => ['read'] },
	apply => { has => 1, plans => 1, paths => ['read'] });
my ($case, @problems);
my %drawn = map { $_ => 0 } keys %kinds;
my %met = map { $_ => 0 } qw(refused ERROR NOT_SENT UNCONFIRMED done);

check_plans();
check_drifts();
check_labels();
foreach my $seed (@seeds)
{
	try_seed($seed, \&run_seed, \&shown);
}
foreach my $kind (sort keys %drawn)
{
	next if @seeds < 300;
	ok($drawn{$kind}, "$drawn{$kind} times: $kind");
}
note(join ', ', map { "$_ $met{$_}" } sort keys %met);
cmp_ok($met{refused}, '>=', @seeds / 3, "$met{refused} of " . @seeds . ' statements are refused') if @seeds >= 60;
done_testing();

# What was refused while a plan was made is refused for good: it is not carried out, though
# HubSpot would have it by then.
sub check_plans
{
	my $apply = q{SELECT string_agg(concat_ws(' ', action, from_id, to_id, ok, error_category, error_message), E'\n' ORDER BY change_no)
		FROM hs_assoc_apply('contacts%s', 'companies', $$SELECT %s AS from_id, 210 AS to_id FROM generate_series(1, 4) i ORDER BY i$$, max_removals => 9, server => 'c1')};
	my $unsent = q{NOT_SENT not sent after an answer that is not HubSpot's: HTTP status 403 without a reason};

	$session->query(q{ALTER SERVER c1 OPTIONS (SET batch_size '2')});
	start_plan('associations/.*/batch/read$', 2, { status => 403, text => '<html>No</html>' });
	my ($rows, $told) = told(sprintf $apply, '', '100 + i');
	is($rows, join("\n", map({ "$_ f $unsent" } 'archive 101 201', 'create 101 210', 'archive 102 202', 'create 102 210'), map { "unreadable $_ f HTTP_403 HTTP status 403 without a reason" } 103, 104),
		'records are read, and one request is refused: nothing is sent any more');
	like($told, qr/NOTICE: .*: 2 records read: 2 kept, 0 added, 0 removed; 4 changes failed; 2 records could not be read/, '... which is told');
	is(join(' ', map { $_->{path} =~ /(\w+\/\w+)$/ } @{ $hubspot->log }), 'batch/read batch/read', '... and no request follows');

	start_plan('objects/.*/batch/read$', 2, { status => 401, body => { status => 'error', category => 'INVALID_AUTHENTICATION', message => 'Gone' } });
	($rows, $told) = told(sprintf $apply, ':email', q{format('c%s@x.example', i)});
	is($rows =~ s/(unresolved \S+ 210|unreadable \S+) f//gr, join("\n", (' NOT_SENT could not look up contacts by email: Gone') x 2, (" NOT_SENT not sent after HubSpot refused the account's requests: Gone") x 2),
		'keys are looked up, and that is refused: nothing is read') or diag($rows);
	like($told, qr/NOTICE: .*: 0 records read: 0 kept, 0 added, 0 removed; 2 records could not be read; 2 rows could not be resolved/, '... which is told');
	is(join(' ', map { $_->{path} =~ /(\w+\/\w+)$/ } @{ $hubspot->log }), 'batch/read batch/read', '... and no request follows');

	# nor are labels looked up that later rows alone name, which come after all that is read ahead
	my $late = q{CASE WHEN i > 20000 THEN 'Partner' END AS label, CASE WHEN i <= 20000 THEN 279 END AS type_id FROM generate_series(1, 20001) i ORDER BY i};

	foreach my $case (
		[ 'a plan', 'objects/.*/batch/read$', qq{hs_assoc_plan('contacts:email', 'companies', \$\$SELECT format('c%s\@x.example', i) AS from_id, 210 AS to_id, $late\$\$, server => 'c1')} ],
		[ 'a batch', 'batch/create$', qq{hs_assoc_batch_create('contacts', 'companies', \$\$SELECT i AS from_id, 210 AS to_id, $late\$\$, server => 'c1')} ])
	{
		my ($name, $path, $call) = @$case;

		start_plan($path, 1, { status => 401, body => { status => 'error', category => 'INVALID_AUTHENTICATION', message => 'Gone' } });
		is($session->query(qq{SELECT error_category, error_message, count(*) FROM $call WHERE http_status IS NULL GROUP BY 1, 2}),
			"NOT_SENT|not sent after HubSpot refused the account's requests: Gone|19999", "$name is refused, and a late row names a label: it is not sent");
		is(join(' ', map { "$_->{method} $_->{status}" } @{ $hubspot->log }), 'POST 401', '... and labels are not looked up');
	}
	return;
}

# What was refused while a table was compared is refused for what follows: the names of what
# would be removed are not asked for, nor is anything for the table's other syncs.
sub check_drifts
{
	$session->query(q{DROP TABLE IF EXISTS synced;
		CREATE TABLE synced AS SELECT format('c%s@x.example', i) AS f, (210 + i)::text AS t FROM generate_series(1, 4) i; CREATE UNIQUE INDEX ON synced (f, t);
		SELECT hs_assoc_enable_sync('synced', 'contacts:email', 'f', 'companies', 't', server => 'c1')});
	start_plan('associations/.*/batch/read$', 2, { status => 403, text => '<html>No</html>' });
	my ($rows, $told) = told(q{SELECT count(*) FROM hs_assoc_drift('synced')});
	like($told, qr/: 2 records read: 2 associations kept, 2 missing, 0 not in the table; 2 records could not be read; 2 associations stay, since/,
		'a table is compared, and that is refused: what would be removed stays, since its names are not known');
	is(join(' ', map { $_->{path} =~ /(\w+)\/batch\/read$/ } @{ $hubspot->log }), 'contacts contacts companies companies',
		'... and no request follows') or diag($told);

	my $refused = "could not look up contacts by email: Gone\nc1: not sent after HubSpot refused the account's requests: Gone";

	foreach my $other ([ 'Partner', 'c1', "c1: $refused" ], [ 'Adviser', 'c2', "c1: $refused\nc2: " ])
	{
		my ($label, $server, $said) = @$other;

		$session->query("SELECT hs_assoc_enable_sync('synced', 'contacts:email', 'f', 'companies', 't', label => '$label', server => '$server')");
		start_plan('objects/.*/batch/read$', 1, { status => 401, body => { status => 'error', category => 'INVALID_AUTHENTICATION', message => 'Gone' } });
		$hubspot->put_label('contacts', 'companies', 'Adviser');
		($rows, $told) = told(q{SELECT string_agg(DISTINCT format('%s: %s', s.server, d.error_message), E'\n') FROM hs_assoc_drift('synced') AS d JOIN hs_assoc_sync s ON s.id = d.sync});
		is($rows, $said, "one of several syncs is refused: so are those of its account, and $label is of $server") or diag($told);
		is(scalar(@{ $hubspot->log }) > 1, $server eq 'c2', '... and nothing more is sent for them');
	}
	$session->query('DROP TABLE synced');
	return;
}

# The account is refused when labels are looked up: rows without labels are not sent, either.
sub check_labels
{
	my $gone = { status => 401, body => { status => 'error', category => 'INVALID_AUTHENTICATION', message => 'Gone' } };
	my $rows = q{SELECT %s AS from_id, 210 AS to_id, CASE WHEN i = 2 THEN 'Partner' END AS label, CASE WHEN i <> 2 THEN 279 END AS type_id FROM generate_series(1, 4) i ORDER BY i};

	foreach my $case (
		[ 'a batch', '100 + i', q{hs_assoc_batch_create('contacts', 'companies', $$%s$$, server => 'c1')} ],
		[ 'a batch by keys', q{format('c%s@x.example', i)}, q{hs_assoc_batch_create('contacts:email', 'companies', $$%s$$, server => 'c1')} ],
		[ 'a plan', '100 + i', q{hs_assoc_plan('contacts', 'companies', $$%s$$, server => 'c1')} ],
		[ 'a plan by keys', q{format('c%s@x.example', i)}, q{hs_assoc_plan('contacts:email', 'companies', $$%s$$, server => 'c1')} ])
	{
		my ($name, $from_id, $call) = @$case;

		start_plan('/labels$', 1, $gone);
		is($session->query(sprintf "SELECT string_agg(concat_ws(' ', i, error_category, http_status), ', ' ORDER BY i) FROM $call, right(split_part(from_id, '\@', 1), 1) AS i", sprintf $rows, $from_id),
			'1 NOT_SENT, 2 INVALID_AUTHENTICATION 401, 3 NOT_SENT, 4 NOT_SENT',
			"$name: labels are refused");
		is(join(' ', map { $_->{path} =~ /(\w+)$/ } @{ $hubspot->log }), 'labels', '... and nothing more is sent');
	}
	# nor are those of the outbox, which all wait; unless it may be due to the path that the answer is not HubSpot's
	foreach my $case ([ $gone, 'labels', '4|0|could not look up the labels: Gone' ],
		[ { status => 405, text => '' }, 'labels create', '3|0|could not look up the labels: HTTP status 405 without a reason' ])
	{
		my ($action, $sent, $left) = @$case;

		start_plan('/labels$', 1, $action);
		$session->query(sprintf q{SELECT hs_assoc_enqueue('create', 'contacts', 'companies', $$%s$$, server => 'c1')}, sprintf $rows, '100 + i');
		$session->query('CALL hs_assoc_flush()');
		is(join(' ', map { $_->{path} =~ /(\w+)$/ } @{ $hubspot->log }), $sent, "labels of the outbox are refused by $action->{status}: what is sent");
		is($session->query('SELECT count(*), max(attempts), (SELECT error_message FROM hs_assoc_backoff) FROM hs_assoc_outbox'), $left, '... rows wait, uncharged');
		$session->query('TRUNCATE hs_assoc_backoff; CALL hs_assoc_flush()');
		is($session->query('SELECT count(*) FROM hs_assoc_outbox'), '0', '... and are sent once it is in order');
	}

	# a token may lack the scope for them alone
	start_plan('/labels$', 1, { status => 403, body => { status => 'error', category => 'MISSING_SCOPES', message => 'No scope' } });
	is($session->query(sprintf q{SELECT string_agg(concat_ws(' ', from_id, ok, error_category), ', ' ORDER BY from_id) FROM hs_assoc_batch_create('contacts', 'companies', $$%s$$, server => 'c1')}, sprintf $rows, '100 + i'),
		'101 t, 102 f MISSING_SCOPES, 103 t, 104 t', 'a token lacks the scope for labels: rows without any are sent');
	return;
}

sub start_plan
{
	my ($path, $nth, $action) = @_;

	$hubspot->reset;
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@x.example" } } } 1 .. 4 ]);
	$hubspot->put_associations('contacts', 'companies', [ map { [ 100 + $_, 200 + $_ ] } 1 .. 4 ]);
	$hubspot->rules({ match => { path => $path, nth => $nth }, action => $action });
	$hubspot->clear_log;
	return;
}

sub told
{
	my ($sql) = @_;

	$session->query('RESET client_min_messages');
	$session->send($sql);
	my ($rows, $told) = $session->finish;
	$session->query('SET client_min_messages = error');
	chomp $rows;
	return ($rows, $told);
}

sub problem { push @problems, join ' ', @_; return }

sub run_seed
{
	@problems = ();
	$case = {};
	make_case();
	$case->{name} eq 'outbox' ? check_outbox() : $case->{raise} ? check_error() : check_rows();
	check_log();
	$hubspot->release;
	return @problems;
}

sub shown
{
	my @log = map { "$_->{time_ms} $_->{method} $_->{path} $_->{status} rule " . ($_->{rule} // '-') } @{ $hubspot->log };
	return ($case->{sql}, $json->encode($case->{rules}), @log, @{ $case->{said} // [] });
}

sub make_case
{
	my $name = $case->{name} = pick(sort keys %kinds);
	my $kind = $case->{kind} = $kinds{$name};

	$drawn{$name}++;
	$case->{oauth} = maybe(0.25);
	$case->{server} = ($case->{oauth} ? 'o' : 'c') . pick(1, 2, 4);
	$case->{from_keys} = maybe(0.6);
	$case->{to_keys} = maybe(0.6);
	$case->{raise} = $kind->{raises} || !$kind->{plans} && $name ne 'outbox' && maybe(0.3);
	$hubspot->reset;
	$hubspot->oauth({ %client, token => 'test-token' });
	$hubspot->settings({ page_size => pick(1, 500), bad_batch => pick(qw(partial whole canceled unnamed)), missing_keys => pick(qw(named empties silent)) });
	$hubspot->put_records(contacts => [ map { { id => 100 + $_, properties => { email => "c$_\@x.example" } } } 1 .. $ROWS ]);
	$hubspot->put_records(companies => [ map { { id => 200 + $_, properties => { domain => "d$_.example" } } } 1 .. $ROWS ]);
	$hubspot->put_label('contacts', 'companies', 'Partner');
	$case->{adviser} = $hubspot->put_label('contacts', 'companies', 'Adviser')->{types}[0];
	$hubspot->put_associations('contacts', 'companies', [ map { [ 100 + $_, 200 + $_ ] } 1 .. $ROWS ],
		types => [ { category => $case->{adviser}{category}, type_id => $case->{adviser}{type_id} } ]) if $kind->{has};
	$session->query("SET hubspot_assoc.server = '$case->{server}'");
	$session->query("ALTER SERVER $case->{server} OPTIONS (SET batch_size '" . pick(1, 2, 3, 5) . "')");
	$case->{before} = held();
	make_rules();
	make_sql();
	return;
}

sub make_rules
{
	my @paths = ('any', @{ $case->{kind}{paths} // [] }, $case->{from_keys} ? 'from' : (), $case->{to_keys} ? 'to' : (), $case->{kind}{reads} || $case->{kind}{resolves} ? () : 'write');
	my ($status, $state, %action) = @{ $case->{refusal} = pick(@refusals) };
	my $late = maybe(0.3) ? pick(30, 100) : 0;
	my @rules = ({ match => { path => $paths{ pick(@paths) }, nth => 1 + int rand 6 }, action => { status => $status, %action, delay_ms => $late } });

	if ($case->{oauth})
	{
		($status, $state, %action) = @{ $case->{refusal} = pick(@token_refusals) };
		push @{ $case->{soft} }, \@expired;
		@rules = ({ match => { path => '^/oauth/', nth => pick(1, 2, 2) }, action => { status => $status, %action, delay_ms => $late } },
			map { { match => { path => $paths{ pick(@paths) }, nth => 1 + int rand 6 }, action => $expired[3] } } 1 .. 2);
	}

	foreach (1 .. rand 4)
	{
		my $soft = pick(@soft);

		my $path = $paths{ pick(@paths) };

		# what a look-up lacks is not there
		$path = $paths{ $case->{kind}{reads} || $case->{kind}{resolves} ? 'read' : 'write' } if $soft->[0] eq 'partial';
		push @{ $case->{soft} }, $soft;
		push @rules, { match => { path => $path, pick('nth', 'every', 'after', 'first') => 1 + int rand 4 }, action => $soft->[3] };
	}
	$case->{rules} = \@rules;
	$hubspot->rules(\@rules);
	$hubspot->clear_log;
	return;
}

sub make_sql
{
	my ($name, $kind) = @$case{qw(name kind)};
	my ($from, $to) = ('contacts' . ($case->{from_keys} ? ':email' : ''), 'companies' . ($case->{to_keys} ? ':domain' : ''));
	my $from_id = $case->{from_keys} ? q{format('c%s@x.example', i)} : '100 + i';
	my $to_id = $case->{to_keys} ? q{format('d%s.example', i)} : '200 + i';
	my $rows = "FROM generate_series(1, $ROWS) AS i ORDER BY i";
	my $query = "SELECT $from_id AS from_id, $to_id AS to_id@{[ $kind->{more} // '' ]} $rows";
	my $on_error = $kind->{plans} ? '' : ", on_error => '" . ($case->{raise} ? 'raise' : 'row') . "'";
	my $call;

	return make_table($from, $to, "SELECT $from_id AS from_id, $to_id AS to_id $rows") if $kind->{raises};
	return make_outbox($from, $to, $from_id, $to_id) if $name eq 'outbox';
	if ($name eq 'read')
	{
		$call = "hs_assoc_batch_read('$from', '$to', \$\$SELECT $from_id AS from_id $rows\$\$$on_error)";
	}
	elsif ($name eq 'scan')
	{
		$call = "hs_assoc_scan('$from', '$to'$on_error)";
	}
	elsif ($name eq 'resolve')
	{
		$call = "hs_assoc_resolve('$to', ARRAY(SELECT ($to_id)::text $rows)$on_error)";
	}
	elsif ($kind->{plans})
	{
		# wanted are the neighbours: all that is there goes, and as many come
		$to_id =~ s/\bi\b/1 + i % $ROWS/;
		return make_sync($from, $to, "SELECT ($from_id)::text AS f, ($to_id)::text AS t $rows") if $name eq 'drift';
		$call = "hs_assoc_$name('$from', '$to', \$\$SELECT $from_id AS from_id, $to_id AS to_id $rows\$\$" . ($name eq 'apply' ? ', max_removals => 1000' : '') . ')';
	}
	else
	{
		$call = sprintf q{hs_assoc_batch_%s('%s', '%s', $$%s$$%s%s)}, $kind->{function} // $name, $from, $to, $query, $on_error, $kind->{arguments} // '';
	}
	$case->{sql} = "SELECT to_jsonb(r) FROM $call AS r";
	return;
}

sub make_table
{
	my ($from, $to, $query) = @_;

	$session->query(qq{DROP FOREIGN TABLE IF EXISTS links; CREATE FOREIGN TABLE links (from_id text, to_id text) SERVER $case->{server}
		OPTIONS (from_type '$from', to_type '$to', writes 'direct')});
	$case->{sql} = $case->{name} eq 'direct' ? "INSERT INTO links SELECT q.from_id::text, q.to_id::text FROM ($query) AS q"
	  : "SELECT to_jsonb(l) FROM links AS l WHERE from_id = ANY (ARRAY(SELECT q.from_id::text FROM ($query) AS q))";
	return;
}

sub make_sync
{
	my ($from, $to, $query) = @_;

	$session->query(qq{DROP TABLE IF EXISTS synced; CREATE TABLE synced AS $query; CREATE UNIQUE INDEX ON synced (f, t);
		SELECT hs_assoc_enable_sync('synced', '$from', 'f', '$to', 't', server => '$case->{server}')});
	$case->{sql} = q{SELECT to_jsonb(r) || jsonb_build_object('change_no', row_number() OVER ()) FROM hs_assoc_drift('synced') AS r};
	return;
}

# Default associations, and labels that are added, in lanes of their own
sub make_outbox
{
	my ($from, $to, $from_id, $to_id) = @_;
	my $query = sub { "SELECT ($from_id)::text AS from_id, ($to_id)::text AS to_id$_[1] FROM generate_series(1, $ROWS) AS i WHERE i % 2 = $_[0] ORDER BY i" };

	$session->query('TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_backoff, hs_assoc_lease, hs_assoc_doubt');
	$session->query(sprintf q{SELECT hs_assoc_enqueue('create_default', '%s', '%s', $$%s$$); SELECT hs_assoc_enqueue('create', '%s', '%s', $$%s$$, keep_labels => true)},
		$from, $to, $query->(0, ''), $from, $to, $query->(1, ", 'Partner' AS label"));
	$case->{sql} = 'CALL hs_assoc_flush()';
	return;
}

# What is held of each pair, as "from to"
sub held
{
	return { map { ("$_->{from_id} $_->{to_id}" => { map { $_->{type_id} => 1 } @{ $_->{types} } }) } @{ $hubspot->associations('contacts', 'companies') } };
}

sub run
{
	my (@rows, $told);

	$session->send($case->{sql});
	(my $out, $told) = $session->finish;
	@rows = map { $json->decode($_) } grep { /^\{/ } split /\n/, $out;
	$case->{said} = [ $out, $told ];
	$case->{after} = held();
	$case->{refused} = [ grep { defined $_->{rule} && $_->{rule} == $case->{rule} } @{ $hubspot->log } ];
	$met{'no token'}++ if $case->{oauth} && @{ $case->{refused} };
	$met{refused}++ if @{ $case->{refused} };
	$met{ERROR}++ if $told =~ /ERROR/;
	$met{ $_->{error_category} // 'done' }++ foreach @rows;
	return ($told, @rows);
}

# Does a message name the refusal, or something else that went wrong?
sub names_refusal { my ($message) = @_; return $message =~ /It is the refusal|HTTP status $case->{refusal}[0] without a reason/ }
sub names_soft { my ($message) = @_; return grep { $_->[2] && $message =~ $_->[2] } @{ $case->{soft} // [] } }

sub check_cause
{
	my ($what, $message) = @_;

	return if @{ $case->{refused} } && names_refusal($message);
	return if names_soft($message);
	return if $message =~ /^a removal of the same record was not confirmed/;
	problem("$what: no cause is named: $message");
	return;
}

sub check_rows
{
	$case->{rule} = $hubspot->hits->{rules}[0]{id};
	my ($told, @rows) = run();
	my $kind = $case->{kind};

	problem($told) if $told =~ /ERROR/ && !($kind->{plans} || $kind->{lists});
	check_told($told) if $told =~ /ERROR/;
	return if $told =~ /ERROR/;
	my %seen;
	$seen{ $_->{input_no} // $_->{change_no} }++ foreach @rows;
	if (!$kind->{plans} && !$kind->{lists} && join(',', sort { $a <=> $b } keys %seen) ne join(',', 1 .. $ROWS))
	{
		problem('rows: ' . join ',', sort { $a <=> $b } keys %seen);
	}
	problem("number $_ $seen{$_} times") foreach grep { $seen{$_} > 1 } keys %seen;
	check_row($_) foreach @rows;
	return;
}

sub check_row
{
	my ($row) = @_;
	my $kind = $case->{kind};
	my $no = $row->{input_no} // $row->{change_no} // '';
	my $failed = defined $row->{error_category};

	check_cause("row $no", $row->{error_message}) if $failed;
	problem("row $no: no message") if $failed && ($row->{error_message} // '') eq '';
	return if $kind->{resolves} && ($failed || $row->{record_id} == 200 + $no);
	return problem("row $no: another record") if $kind->{resolves};
	return check_change($row) if $kind->{plans};
	if ($kind->{reads})
	{
		problem("row: another record, or none") if !$failed && number($row->{to_id}) != number($row->{from_id});
		return;
	}
	my $pair = (100 + $no) . ' ' . (200 + $no);
	my $done = $kind->{adds} ? is_there($pair) : !is_there($pair);
	problem("row $no: ok, and an error") if $row->{ok} && $failed;
	problem("row $no: it is not done") if $row->{ok} && !$done;
	problem("row $no: it is done, and counts as $row->{error_category}") if !$row->{ok} && $done && $row->{error_category} ne 'UNCONFIRMED' && !may_have_acted();
	return;
}

# The number of a record, by its id or its key
sub number { my ($called) = @_; return $called =~ /^[12](\d\d)$/ ? $1 : ($called // '') =~ /(\d+)/ ? $1 : -1 }

sub is_there
{
	my ($pair) = @_;
	my $types = $case->{after}{$pair} // {};
	my $other = grep { $_ != $case->{adviser}{type_id} } keys %$types;

	# labels that were kept, too
	problem("$pair: its label is gone") if $case->{name} eq 'keep' && !$types->{ $case->{adviser}{type_id} };
	return $case->{kind}{adds} ? $other : $types->{ $case->{adviser}{type_id} };
}

# May a request have acted that another attempt followed, which was refused?
sub may_have_acted { return grep { $_->[0] =~ /acted|partial/ } @{ $case->{soft} // [] } }

sub check_change
{
	my ($row) = @_;
	my $action = $row->{action};
	my $pair = join ' ', map { $_ // '-' } $row->{from_record} // $row->{from_id}, $row->{to_record} // $row->{to_id};
	my ($before, $after) = map { defined $case->{$_}{$pair} } qw(before after);

	if ($case->{name} =~ /plan|drift/)
	{
		problem("change $row->{change_no}: ok") if defined $row->{ok};
		problem("change $row->{change_no}: $action of what is there") if $action eq 'create' && $before;
		problem("change $row->{change_no}: $action of what is not there") if $action eq 'archive' && !$before;
		return;
	}
	return if $action =~ /^un/;
	problem("change $row->{change_no}: it is not done") if $row->{ok} && $action =~ /^(create|archive)$/ && ($action eq 'create') != $after;
	problem("change $row->{change_no}: it is done, and counts as $row->{error_category}")
	  if !$row->{ok} && $action =~ /^(create|archive)$/ && ($action eq 'create') == $after && $row->{error_category} ne 'UNCONFIRMED' && !may_have_acted();
	return;
}

# An ERROR names a cause, and has its SQLSTATE.
sub check_told
{
	my ($told) = @_;
	my ($state) = $told =~ /ERROR:  (\w{5}):/;
	my @states = ((map { $_->[1] } names_soft($told)), @{ $case->{refused} } && names_refusal($told) ? $case->{refusal}[1] : ());

	return problem("no cause is named: $told") unless @states;
	problem("SQLSTATE $state, not one of @states: $told") unless grep { $_ eq $state } @states;
	problem("no hint: $told") unless $told =~ /^HINT: /m;
	return;
}

sub check_error
{
	$case->{rule} = $hubspot->hits->{rules}[0]{id};
	my ($told, @rows) = run();

	if ($told !~ /ERROR/)
	{
		problem('no ERROR after a refusal') if @{ $case->{refused} };
		problem('rows: ' . @rows) if $case->{name} eq 'table' && @rows != $ROWS;
		problem("row $_: it is not done") foreach grep { $case->{name} eq 'direct' && !is_there((100 + $_) . ' ' . (200 + $_)) } 1 .. $ROWS;
		check_row($_) foreach @rows;
		return;
	}
	check_told($told);
	return;
}

# Each row of the outbox has been sent, waits, or is a dead letter; once HubSpot has recovered, those that wait are sent.
sub check_outbox
{
	my $number = q{(substring(coalesce(from_key, from_id) from '\d+')::int - CASE WHEN coalesce(from_key, from_id) ~ '^1\d\d$' THEN 100 ELSE 0 END)};

	$case->{rule} = $hubspot->hits->{rules}[0]{id};
	my ($told) = run();
	problem($told) if $told =~ /ERROR/;
	my @waiting = states("SELECT $number AS no, attempts, error_category, error_message FROM hs_assoc_outbox");
	my @dead = states("SELECT $number AS no, error_category, error_message FROM hs_assoc_dead_letter");
	my %open = map { $_->{no} => 1 } @waiting, @dead;

	problem("row $_: it is neither done nor open") foreach grep { !$open{$_} && !is_there((100 + $_) . ' ' . (200 + $_)) } 1 .. $ROWS;
	check_cause("row $_->{no} waits", $_->{error_message}) foreach grep { defined $_->{error_message} } @waiting;
	check_cause("row $_->{no} is dead", $_->{error_message}) foreach @dead;
	problem("row $_->{no} is dead: $_->{error_message}") foreach grep { names_refusal($_->{error_message}) } @dead;
	check_cause('back-off', $_->{error_message}) foreach states('SELECT error_message FROM hs_assoc_backoff');

	$hubspot->clear_rules;
	$session->query('TRUNCATE hs_assoc_backoff; UPDATE hs_assoc_outbox SET not_before = clock_timestamp()');
	$session->query($case->{sql});
	$case->{after} = held();
	problem('rows still wait: ' . join ', ', map { $json->encode($_) } states("SELECT $number AS no, error_message FROM hs_assoc_outbox"))
	  if $session->query('SELECT count(*) FROM hs_assoc_outbox') > 0;
	my %dead = map { $_->{no} => 1 } @dead;
	problem("row $_: it is not done in the end") foreach grep { !$dead{$_} && !is_there((100 + $_) . ' ' . (200 + $_)) } 1 .. $ROWS;
	return;
}

sub states { my ($sql) = @_; return map { $json->decode($_) } split /\n/, $session->query("SELECT to_jsonb(q) FROM ($sql) AS q") }

# After the refusal nothing more is sent, but for what was on its way.
sub check_log
{
	my ($refused) = @{ $case->{refused} };
	return unless $refused;
	my $delay = ($case->{rules}[0]{action}{delay_ms} // 0) + patience(100);
	return if $case->{name} eq 'outbox';	# other lanes may be allowed
	my @later = grep { $_->{time_ms} > $refused->{time_ms} + $delay } @{ $hubspot->log };

	problem(scalar(@later) . ' requests after the refusal') if @later;
	return;
}
