# Every request is counted once, under a route that the database has and with the status that its client sees, whatever ends its transaction, and whether or not the server logs it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nlog_line_prefix = '[%a] '\nmax_prepared_transactions = 2\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE SCHEMA data;
	CREATE TABLE data.tasks (id int PRIMARY KEY, a int CHECK (a > 0), late int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	SELECT taskapi.expose('data.tasks');
	CREATE FUNCTION api.fails(sqlstate text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN RAISE EXCEPTION 'x' USING ERRCODE = sqlstate, DETAIL = '{"headers": {"status": "no", "x": "\"status\": 200"}, "status" : 451}'; END $$;
	CREATE FUNCTION public.no_route() RETURNS void LANGUAGE sql AS '';
	CREATE PROCEDURE data.ends() LANGUAGE plpgsql AS $$ BEGIN PERFORM taskapi.pre_request(); ROLLBACK; END $$;
	CREATE PROCEDURE data.fails_at_commit() LANGUAGE plpgsql AS $$
	BEGIN PERFORM taskapi.pre_request(); INSERT INTO data.tasks VALUES (7, 1, 1), (8, 1, 1); COMMIT; END $$;
	CREATE ROLE app LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor});

# What a request adds to the counts: "method route status: how many", line by line.
my %seen;
sub added
{
	my %now = map { /^(.*)=(\d+)$/ } split /\n/, $node->safe_psql('postgres', q{SELECT concat_ws(' ', method, route, status) || '=' || requests FROM taskapi.request_metrics});
	my $added = join ', ', map { "$_: " . ($now{$_} - ($seen{$_} // 0)) } grep { $now{$_} != ($seen{$_} // 0) } sort keys %now;
	%seen = %now;
	return $added;
}
sub begin
{
	my ($method, $path, %setting) = @_;
	%setting = ('request.method' => $method, 'request.path' => $path, 'search_path' => 'api, public', %setting);
	my $settings = join ', ', map { "set_config('$_', '$setting{$_}', true)" } sort keys %setting;
	return "BEGIN; SELECT $settings;";
}
my @quiet;
sub request
{
	my ($request, $sql) = @_;
	$node->psql('postgres', "$request SELECT taskapi.pre_request(); $sql", on_error_stop => 0, @quiet);
	# a request that ends with its connection is counted when its backend ends, which psql does not wait for
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) or die 'a backend does not end';
	return added();
}

# once as a server is, and once as one that logs nothing
foreach my $quiet (0, 1)
{
	@quiet = (connstr => $node->connstr('postgres') . " options='-c log_min_messages=panic -c client_min_messages=error'") if $quiet;
	my $how = $quiet ? ', though nothing is logged' : '';

	is(request(begin('GET', '/tasks'), 'COMMIT'), 'GET /tasks 2xx: 1', "a page$how");
	is(request(begin('GET', '/tasks/17'), 'COMMIT'), 'GET /tasks/{key} 2xx: 1', "a row$how");
	is(request(begin('GET', '/deleted_tasks'), 'COMMIT'), 'GET /deleted_tasks 2xx: 1', "the trash$how");
	is(request(begin('POST', '/rpc/tasks_page'), 'COMMIT'), 'POST /rpc/tasks_page 2xx: 1', "a function$how");
	is(request(begin('GET', '/t%61sks/'), 'COMMIT'), 'GET /tasks 2xx: 1', "in another spelling$how");
	is(request(begin('POST', '/tasks'), q{SELECT taskapi.set_response_status(304); COMMIT}), 'POST /tasks 3xx: 1', "response.status$how");
	is(request(begin('POST', '/tasks'), q{SELECT taskapi.raise_problem('not_found'); COMMIT}), 'POST /tasks 4xx: 1', "a problem$how");
	is(request(begin('POST', '/tasks'), q{SELECT taskapi.raise_problem('try_again'); COMMIT}), 'POST /tasks 5xx: 1', "a problem of the server's$how");
	is(request(begin('POST', '/tasks'), q{DO $$ BEGIN PERFORM taskapi.raise_problem('try_again'); EXCEPTION WHEN OTHERS THEN NULL; END $$; COMMIT}), 'POST /tasks 2xx: 1', "one that is caught$how");
	is(request(begin('POST', '/tasks'), q{DO $$ BEGIN PERFORM taskapi.raise_problem('try_again'); EXCEPTION WHEN OTHERS THEN PERFORM taskapi.raise_problem('not_found'); END $$; COMMIT}), 'POST /tasks 4xx: 1', "the last of two$how");
	is(request(begin('POST', '/rpc/fails'), q{SELECT api.fails('PGRST'); COMMIT}), 'POST /rpc/fails 4xx: 1', "a layer's own problem$how");
	is(request(begin('POST', '/rpc/fails'), qq{SELECT api.fails('$_->[0]'); COMMIT}), "POST /rpc/fails $_->[1]: 1", "SQLSTATE $_->[0]$how")
	  foreach (['22012', '4xx'], ['23505', '4xx'], ['40001', '5xx'], ['42501', '4xx'], ['53100', '5xx'], ['57014', '5xx'], ['P0001', '4xx'], ['PT404', '4xx'], ['PT503', '5xx'], ['XX000', '5xx']);
	is(request(begin('POST', '/tasks'), 'SELEC'), 'POST /tasks 4xx: 1', "a syntax error$how");
	is(request(begin('POST', '/tasks'), 'SELECT pg_terminate_backend(pg_backend_pid())'), 'POST /tasks 5xx: 1', "the end of the backend$how");
	is(request(begin('POST', '/tasks'), q{\q}), 'POST /tasks 5xx: 1', "the end of the connection$how");
	is(request(begin('POST', '/tasks'), 'ROLLBACK'), 'POST /tasks rolled back: 1', "a rollback by the layer$how");
	is(request(begin('POST', '/tasks'), 'SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; COMMIT'), 'POST /tasks 2xx: 1', "a savepoint$how");
	is(request(begin('POST', '/tasks'), 'INSERT INTO data.tasks VALUES (1, 1, 1), (2, 1, 1); COMMIT'), 'POST /tasks 4xx: 1', "an error at commit$how");
	is(request(begin('POST', '/tasks'), qq{PREPARE TRANSACTION 'p$quiet'}), 'POST /tasks 2xx: 1', "PREPARE$how");
	is(request(begin('POST', '/tasks'), 'SELECT taskapi.pre_request(); COMMIT'), 'POST /tasks 2xx: 1', "pre_request() twice$how");
	$node->psql('postgres', "SET request.method = 'POST'; SET request.path = '/tasks'; CALL data.ends(); SELECT 1", @quiet);
	is(added(), 'POST /tasks rolled back: 1', "a rollback in a procedure$how");
	$node->psql('postgres', "SET request.method = 'POST'; SET request.path = '/tasks'; CALL data.fails_at_commit(); SELECT 1", @quiet);
	like(added(), qr{^POST /tasks (4xx|rolled back): 1$}, "a commit that fails in a procedure$how");
	is(request(begin('GET', '/tasks', 'request.headers' => '{'), 'COMMIT'), 'GET /tasks 4xx: 1', "a refusal by pre_request()$how");
}
is($node->safe_psql('postgres', 'SELECT taskapi.pre_request(); SELECT 1') . added(), "\n1", 'outside a request nothing is counted');

# Routes
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM taskapi.request_series()');
foreach my $path (map { ("/nothing$_", "/rpc/nothing$_", "/nothing$_/tasks") } 1 .. 20)
{
	request(begin('GET', $path), 'COMMIT');
}
foreach my $path ('/rpc/pg_sleep', '/pg_class', '/rpc/', '/', '', '/rpc/tasks_page/x', '/tasks_pkey', '/' . 'x' x 64, '/' . 'x' x 70000, '//tasks', "/\xc3\xa9")
{
	is(request(begin('GET', $path), 'COMMIT'), 'GET other 2xx: 1', 'no route of its own: ' . substr($path, 0, 20));
}
is(request(begin('GET', '/rpc/no_route'), 'COMMIT'), 'GET other 2xx: 1', 'a function of another schema');
is(request(begin('GET', '/rpc/no_route', search_path => 'public'), 'COMMIT'), 'GET /rpc/no_route 2xx: 1', 'which is one where it is shown');
is(request(begin('BREW', '/tasks'), 'COMMIT'), 'other /tasks 2xx: 1', 'a method that there is not');
is($node->safe_psql('postgres', 'SELECT count(*) FROM taskapi.request_series()') - $rows, 3, 'so a client makes no series');

# The histogram
my $sums = $node->safe_psql('postgres', q{SELECT bool_and(buckets[17] = requests AND cardinality(buckets) = cardinality(taskapi.request_buckets()) AND seconds > 0
	AND (SELECT bool_and(a <= b) FROM unnest(buckets, buckets[2:]) u(a, b) WHERE b IS NOT NULL)) FROM taskapi.request_metrics});
is($sums, 't', 'buckets are cumulative, and the last is all of them');
request(begin('DELETE', '/tasks'), 'SELECT pg_sleep(0.3); COMMIT');
is($node->safe_psql('postgres', q{SELECT min(le::float8) BETWEEN 0.3 AND 10 OR min(le) = '+Inf' FROM taskapi.request_duration_buckets WHERE method = 'DELETE' AND requests > 0}), 't', 'a slow request is in a bucket that is as long as it');
is($node->safe_psql('postgres', q{SELECT string_agg(le, ' ') FROM taskapi.request_duration_buckets WHERE method = 'DELETE'}),
	'6.4e-05 0.000128 0.000256 0.000512 0.001024 0.002048 0.004096 0.008192 0.016384 0.032768 0.065536 0.131072 0.262144 0.524288 1.048576 2.097152 +Inf', 'bounds');

$node->safe_psql('template1', 'CREATE EXTENSION taskapi');

# One owner's objects do not take the places of another's. Each of these makes sixteen series.
$node->safe_psql('postgres', q{
	CREATE ROLE hog; CREATE SCHEMA hog AUTHORIZATION hog;
	SET ROLE hog; SELECT format('CREATE VIEW hog.v%s AS SELECT 1 AS a', n) FROM generate_series(1, 150) n \gexec
	RESET ROLE;
	CREATE ROLE tenant; CREATE SCHEMA tenant AUTHORIZATION tenant; SET ROLE tenant; CREATE VIEW tenant.notes AS SELECT 1 AS a});
my $hogging = join "\n", map { my $path = $_; map { begin($_, $path, search_path => 'hog') . ' SELECT taskapi.pre_request(); COMMIT;' } 'BREW', 'GET', 'HEAD', 'POST', 'PATCH', 'PUT', 'DELETE', 'OPTIONS' }
  map { ("/v$_", "/v$_/1") } 1 .. 150;
$node->safe_psql('postgres', $hogging);
my $theirs = $node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.request_metrics WHERE route LIKE '/v%'});
cmp_ok($theirs, '>=', 900, "an owner's objects have many series");
cmp_ok($theirs, '<=', 1024, 'and at most half of them');
is($node->safe_psql('postgres', q{SELECT sum(requests) FROM taskapi.request_metrics WHERE route LIKE '/v%'}), $theirs, 'each of them counted once');
added();
is(request(begin('GET', '/v150', search_path => 'hog'), 'COMMIT'), 'GET other 2xx: 1', 'what is beyond counts as other');
foreach my $method ('GET', 'POST', 'PATCH')
{
	is(request(begin($method, '/notes', search_path => 'tenant'), 'COMMIT'), "$method /notes 2xx: 1", "a route of another owner's has its own: $method");
}
is($node->safe_psql('template1', q{CREATE VIEW public.notes AS SELECT 1 AS a; BEGIN; SET LOCAL request.method = 'GET'; SET LOCAL request.path = '/notes';
	SELECT taskapi.pre_request(); COMMIT; SELECT route FROM taskapi.request_metrics}) =~ s/^\s+//r, '/notes', 'in another database too');

# Under way
my $gauge = q{SELECT concat_ws(' ', method, route, requests, oldest_started_at > now() - interval '1 hour') FROM taskapi.request_gauge};
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe(begin('PATCH', '/tasks') . 'SELECT taskapi.pre_request()');
is($node->safe_psql('postgres', $gauge), 'PATCH /tasks 1 t', 'a request is under way');
is($node->safe_psql('template1', $gauge), '', 'in its database');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
is($node->safe_psql('postgres', $gauge), '', 'and not when its backend was ended');
is(added(), 'PATCH /tasks 5xx: 1', 'which counted');

# Who sees it
foreach my $view ('request_metrics', 'request_duration_buckets', 'request_gauge')
{
	is($node->psql('postgres', "SELECT FROM taskapi.$view", extra_params => [ '-U', 'watcher' ]), 0, "pg_monitor reads $view");
	isnt($node->psql('postgres', "SELECT FROM taskapi.$view", extra_params => [ '-U', 'app' ]), 0, 'which others do not');
}
$node->stop;
done_testing();
