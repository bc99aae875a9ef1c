# Many sessions at once: as many requests are admitted as the limit says, not one more and not one less; and no
# cancelled, terminated or killed backend leaves anything locked.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('ratelimit');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION taskapi');

# The sequence counts admissions, and like them it is not undone.
$node->safe_psql('postgres', 'CREATE SEQUENCE admitted');

sub hammer
{
	my ($clients, $transactions, $script) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir . '/hammer.sql';
	open my $fh, '>', $file or die "$file: $!";
	print $fh $script;
	close $fh;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', 2, '-t', $transactions, '-f', $file, '-p', $node->port, '-h', $node->host, 'postgres' ],
		'>', \$out, '2>', \$err);
	diag($err) unless $ok;
	ok($ok, "$clients clients run through");
	return;
}

sub admitted
{
	return $node->safe_psql('postgres', 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM admitted');
}

sub start_over
{
	$node->safe_psql('postgres', 'ALTER SEQUENCE admitted RESTART');
	return;
}

# The clock stands still for every session: the bound is the burst, exactly.
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET taskapi.test_clock = 1775001600});

hammer(8, 400, q{SELECT nextval('admitted') FROM taskapi.rate_limit('hot', 1000, '1 day') WHERE allowed;});
is(admitted(), 1000, 'one hot key admits exactly its burst');
is($node->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit_peek('hot', 1000, '1 day')}), 0, 'and has nothing left');

start_over();
hammer(8, 300, q{
\set cost random(1, 3)
SELECT nextval('admitted') FROM taskapi.rate_limit('costs', 999, '1 day', cost => :cost), generate_series(1, :cost) WHERE allowed;
});
my $left = $node->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit_peek('costs', 999, '1 day')});
is(admitted() + $left, 999, 'what was admitted and what remains is the burst, with any costs');

# Inside one statement the sessions meet millions of times a second: a decision that is not alone with its key, or two
# sessions that insert one key at once, would show. Each adds up what it was admitted.
$node->safe_psql('postgres', 'CREATE TABLE total (n bigint)');

sub total
{
	my $n = $node->safe_psql('postgres', 'SELECT sum(n) FROM total');
	$node->safe_psql('postgres', 'TRUNCATE total');
	return $n;
}

hammer(4, 1, q{INSERT INTO total SELECT count(*) FROM generate_series(1, 400000) WHERE (taskapi.rate_limit('hottest', 1000000, '1 day')).allowed;});
is(total(), 1000000, 'one key, as fast as can be, admits exactly its burst');

hammer(4, 1, q{INSERT INTO total SELECT count(*) FROM generate_series(1, 150000) i WHERE (taskapi.rate_limit('new ' || i % 50000, 2, '1 day')).allowed;});
is(total(), 100000, 'keys that all sessions insert at once exist once');
is($node->safe_psql('postgres', 'SELECT evicted FROM taskapi.rate_limit_stats'), 0, 'none was evicted');
is($node->safe_psql('postgres', 'SELECT keys FROM taskapi.rate_limit_stats'), 50003, 'the table holds each key once');

# Charging and refunding: nothing is lost in between.
hammer(8, 300, q{SELECT taskapi.rate_limit_refund('refunded', 1000, '1 day') FROM taskapi.rate_limit('refunded', 1000, '1 day') WHERE allowed;});
is($node->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit_peek('refunded', 1000, '1 day')}), 1000, 'charges and refunds cancel out');

# The workers of a parallel query share the limit, and the test clock.
my $parallel = q{
	SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
	%s SELECT count(*) FROM many WHERE (taskapi.rate_limit('parallel', 700, '1 day')).allowed;};
$node->safe_psql('postgres', 'CREATE TABLE many AS SELECT i FROM generate_series(1, 20000) i; ALTER TABLE many SET (parallel_workers = 2); ANALYZE many');
like($node->safe_psql('postgres', sprintf($parallel, 'EXPLAIN')), qr/Gather/, 'a query with a limit may be parallel');
is($node->safe_psql('postgres', sprintf($parallel, '')), 700, 'and its workers admit as many as one would');

# Several policies are one decision. The order in which they are named differs, and their subjects overlap.
$node->safe_psql('postgres', q{
	INSERT INTO taskapi.rate_limit_policy (name, rate, per) VALUES ('a', 700, '1 day'), ('b', 500, '1 day'), ('longer', 100000, '1 day'), ('long', 60000, '1 day');
});
start_over();
hammer(8, 200, q{
\set s random(1, 3)
SELECT nextval('admitted') FROM (SELECT bool_and(allowed) AS allowed FROM taskapi.check_rate_limits(
	jsonb_build_object('a', 'x', 'b', 'x', 'longer', :s::text))) v WHERE allowed;
SELECT nextval('admitted') FROM (SELECT bool_and(allowed) AS allowed FROM taskapi.check_rate_limits('{"b": "x", "a": "x"}')) v WHERE allowed;
});
is(admitted(), 500, 'the tightest policy decides, exactly');
is($node->safe_psql('postgres', q{SELECT string_agg(policy || ' ' || remaining, ', ' ORDER BY policy) FROM taskapi.rate_limit_status('{"a": "x", "b": "x"}')}),
	'a 200, b 0', 'a denial by one policy charged no other');
hammer(4, 1, q{INSERT INTO total SELECT count(*) FROM generate_series(1, 30000) i
	WHERE (SELECT bool_and(allowed) FROM taskapi.check_rate_limits(CASE WHEN i % 2 = 0 THEN '{"longer": "y", "long": "z"}' ELSE '{"long": "z", "longer": "y"}' END::jsonb));});
is(total(), 60000, 'as fast as can be, too');

# Under the real clock: never more than burst + rate * time, and, as it is hammered all the time, hardly less.
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET taskapi.test_clock');
start_over();
$node->safe_psql('postgres', 'CREATE TABLE span AS SELECT clock_timestamp() AS at');
hammer(8, 1000, q{SELECT nextval('admitted') FROM taskapi.rate_limit('live', 200, '1 second', 20) WHERE allowed;});
$node->safe_psql('postgres', 'INSERT INTO span VALUES (clock_timestamp())');
my $admitted = admitted();
my $most = $node->safe_psql('postgres', 'SELECT 20 + floor(200 * extract(epoch FROM max(at) - min(at))) FROM span');
cmp_ok($admitted, '<=', $most, "the real clock admits no more than burst and rate allow ($admitted of at most $most)");
cmp_ok($admitted, '>=', 20, 'and no less than the burst');

# A backend that is cancelled or terminated in the middle leaves no lock behind.
my $busy = q{SELECT count(*) FROM generate_series(1, 100000000), taskapi.rate_limit('interrupted', 1000000) WHERE allowed};
for my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my @sessions = map { IPC::Run::start([ 'psql', '-X', '-q', '-p', $node->port, '-h', $node->host, '-c', $busy, 'postgres' ],
		'>', \my $out, '2>', \my $err) } 1 .. 3;
	$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE '%''interrupted''%' AND pid <> pg_backend_pid()})
	  or die 'the sessions did not start';
	$node->safe_psql('postgres', qq{SELECT $how(pid) FROM pg_stat_activity WHERE query LIKE '%''interrupted''%' AND pid <> pg_backend_pid()});
	$_->finish for @sessions;
	is($node->safe_psql('postgres', q{SET statement_timeout = '3min'; SELECT "limit" FROM taskapi.rate_limit('interrupted', 1000000)}),
		1000000, "$how leaves nothing locked");
}

# kill -9 in the middle of a hammering: the server restarts, and the table starts over, whole.
{
	my @sessions = map { IPC::Run::start([ 'psql', '-X', '-q', '-p', $node->port, '-h', $node->host, '-c', $busy, 'postgres' ],
		'>', \my $out, '2>', \my $err) } 1 .. 3;
	$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE '%''interrupted''%' AND pid <> pg_backend_pid()})
	  or die 'the sessions did not start';
	my $pid = $node->safe_psql('postgres', q{SELECT min(pid) FROM pg_stat_activity WHERE query LIKE '%''interrupted''%' AND pid <> pg_backend_pid()});
	kill 'KILL', $pid or die "cannot kill $pid: $!";
	$_->finish for @sessions;
	# an attempt to connect, without a query: that would be written to a psql which may be gone
	$node->poll_query_until('postgres', undef, '') or die 'the server did not come back';
	is($node->safe_psql('postgres', q{SELECT keys FROM taskapi.rate_limit_stats}), 0, 'after a crash the table is empty');
	$node->safe_psql('postgres', q{ALTER DATABASE postgres SET taskapi.test_clock = 1775001600});
	start_over();
	hammer(8, 100, q{SELECT nextval('admitted') FROM taskapi.rate_limit('interrupted', 500, '1 day') WHERE allowed;});
	is(admitted(), 500, 'and exact again');
}

$node->stop;
done_testing();
