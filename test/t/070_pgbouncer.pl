# Behind pgbouncer in transaction mode many clients share few backends, one transaction after the other: nothing of a
# request may be left for the next one, and what all requests share must hold whatever backend serves them.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'there is no program "pgbouncer"' unless $pgbouncer;

my $node = PostgreSQL::Test::Cluster->new('pooled');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nidle_in_transaction_session_timeout = '10min'\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	DELETE FROM taskapi.rate_limit_policy;
	CREATE ROLE anon;
	CREATE ROLE member;
	CREATE ROLE authenticator LOGIN NOINHERIT;
	GRANT anon, member TO authenticator;
	SELECT taskapi.set_api_roles('anon', 'member');
	CREATE SEQUENCE subject;
	GRANT USAGE ON SEQUENCE subject TO authenticator;
	GRANT EXECUTE ON FUNCTION taskapi.idempotency_begin, taskapi.idempotency_complete TO member;
	GRANT EXECUTE ON FUNCTION taskapi.rate_limit TO authenticator, anon;
	ALTER SYSTEM SET taskapi.idempotency_wait = '50ms';
	SELECT pg_reload_conf();
});

# A pool of as many backends as its name says.
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $folder = PostgreSQL::Test::Utils::tempdir;
my $sockets = PostgreSQL::Test::Utils::tempdir_short;
my ($dbhost, $dbport) = ($node->host, $node->port);
append_to_file("$folder/users.txt", qq{"authenticator" ""\n});
append_to_file("$folder/pgbouncer.ini", <<"END");
[databases]
one = host=$dbhost port=$dbport dbname=postgres pool_size=1
two = host=$dbhost port=$dbport dbname=postgres pool_size=2
[pgbouncer]
pool_mode = transaction
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir = $sockets
auth_type = trust
auth_file = $folder/users.txt
logfile = $folder/pgbouncer.log
pidfile = $folder/pgbouncer.pid
query_wait_timeout = 600
END
my $pooler = IPC::Run::start([ $pgbouncer, "$folder/pgbouncer.ini" ], '>', '/dev/null', '2>', '/dev/null');
END { local $?; $pooler->kill_kill if $pooler; }

# client(POOL): a psql that stays connected. It answers with what a statement prints, errors included; without one it
# is killed.
sub client
{
	my ($pool) = @_;
	my ($in, $out) = ('', '');
	my $handle = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'VERBOSITY=terse', '-h', $sockets, '-p', $port, '-U', 'authenticator', '-d', $pool ],
		'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(900));
	return sub {
		my ($sql) = @_;
		return $handle->kill_kill unless defined $sql;
		$out = '';
		$in .= "$sql\n;\n\\echo :END:\n";
		$handle->pump until $out =~ /:END:\n/;
		(my $answer = $out) =~ s/:END:\n//;
		chomp $answer;
		return $answer;
	};
}

# request(CLIENT, SQL, SETTINGS): one transaction, as PostgREST makes it.
sub request
{
	my ($client, $sql, %set) = @_;
	my $begin = begin(%set);
	return $client->("$begin; $sql; COMMIT");
}

sub begin
{
	my (%set) = @_;
	my %setting = (
		role => $set{role} // 'anon',
		'request.method' => $set{method} // 'GET',
		'request.path' => '/tasks',
		'request.headers' => $set{headers} // '{}',
		'request.cookies' => '{}',
		'request.jwt.claims' => $set{claims} // '{"role": "anon"}');
	my $settings = join ', ', map { "set_config('$_', '$setting{$_}', true)" } sort keys %setting;
	return "BEGIN;\n\\o /dev/null\nSELECT $settings; SELECT taskapi.pre_request();\n\\o\n";
}

for (1 .. 1800)
{
	last if -S "$sockets/.s.PGSQL.$port";
	select undef, undef, undef, 0.1;
}

my $who = q{SELECT concat_ws('|', current_user, taskapi.current_subject(), taskapi.request_header('x-note'), nullif(current_setting('response.headers', true), ''))};

# One backend for all.
my ($ann, $bob) = (client('one'), client('one'));
is($ann->('SELECT pg_backend_pid()'), $bob->('SELECT pg_backend_pid()'), 'two clients share a backend');

is( request(
		$ann, q{SELECT taskapi.set_response_header('X-Answer', 'for ann'), taskapi.set_response_status(201); } . $who,
		claims => '{"role": "member", "sub": "ann"}', headers => '{"x-note": "a note"}'),
	'|
anon|ann|a note|[{"X-Answer": "for ann"}]', 'a request knows its subject, its headers and its answer');
is(request($bob, $who), 'anon', 'the next one, of another client, knows nothing of them');
is($bob->($who), 'authenticator', 'nor does a statement outside a request');
is($bob->(q{SELECT current_setting('response.status', true)}), '', 'nor is its status left');

like(
	request($ann, q{SELECT taskapi.raise_problem('forbidden', 'not ann')}, claims => '{"role": "anon", "sub": "ann"}'),
	qr/ERROR:.*forbidden/, 'a request is refused');
is(request($bob, $who), 'anon', 'a refusal leaves nothing behind');
like(
	request($ann, 'SELECT taskapi.current_subject()', claims => '{"role": "anon", "sub": '),
	qr/ERROR:.*unauthenticated/, 'malformed claims are refused');
is(request($bob, $who, claims => '{"role": "anon", "sub": "bob"}'), 'anon|bob', 'and do not trouble the next request');

my $key = $node->safe_psql('postgres', q{SELECT taskapi.create_api_key('carol')});
is(request($ann, $who, headers => qq({"x-api-key": "$key"})), 'member|carol', 'an API key makes a member of the caller');
is(request($bob, $who), 'anon', 'for that request alone');
$node->safe_psql('postgres', q{UPDATE taskapi.api_key SET revoked_at = now()});
like(request($ann, $who, headers => qq({"x-api-key": "$key"})), qr/ERROR:.*unauthenticated/, 'a revoked key is refused by a backend that has met it');

# A client that goes away in the middle of its transaction.
{
	my $gone = client('one');
	$gone->(begin(claims => '{"role": "anon", "sub": "gone"}') . q{; SELECT taskapi.set_response_header('X-Answer', 'gone')});
	$gone->();
}
is(request($bob, $who), 'anon', 'a client that vanished leaves nothing behind');

# Two backends. One client keeps its transaction open, so the other is served by the other backend.
($ann, $bob) = (client('two'), client('two'));
my %ann = (claims => '{"role": "member", "sub": "ann"}', method => 'POST');
my $ann_pid = $ann->(begin(%ann) . '; SELECT pg_backend_pid()');
my $bob_pid = request($bob, 'SELECT pg_backend_pid()');
isnt($ann_pid, $bob_pid, 'two backends serve');

my $token = $ann->(q{SELECT taskapi.cursor_encode('created_at DESC, id', '2026-01-01'::timestamptz, 7)});
is(request($bob, qq{SELECT string_agg(value, ' ' ORDER BY position) FROM taskapi.cursor_decode('$token')} =~ s/value/key/r),
	'created_at id', 'a cursor made by one backend opens in the other');

# A key begun by ann is in progress for her other request, and replayed after she commits.
my $begin = q{SELECT outcome, status, body FROM taskapi.idempotency_begin('k-1', '{"a": 1}', 'shop')};
$ann->('SET LOCAL ROLE member');
is($ann->($begin), 'new||', 'an idempotency key is new');
like(request($bob, "SET LOCAL ROLE member; $begin", %ann), qr/ERROR:.*idempotency_key_in_progress/, 'it is in progress for the other backend');
$ann->(q{SELECT taskapi.idempotency_complete('k-1', 201, '{"id":  7}', NULL, 'shop'); COMMIT});
is(request($bob, "SET LOCAL ROLE member; $begin", %ann), 'replay|201|{"id":  7}', 'and is replayed there once its transaction has ended');

# Limits count over all backends, and a rolled-back request stays charged.
my $limit = q{SELECT allowed, remaining FROM taskapi.rate_limit('pool', 3, '1 day')};
is(request($ann, $limit), 't|2', 'a limit counts');
$ann->('BEGIN');
is($bob->("BEGIN; $limit; ROLLBACK"), 't|1', 'in the other backend');
is($ann->($limit), 't|0', 'on');
is($bob->($limit), 'f|0', 'and denies the fourth request');
$ann->('COMMIT');

# A signing key that is retired is refused by both backends at once.
$node->safe_psql('postgres', q{SELECT taskapi.rotate_secret('cursor'); SELECT taskapi.retire_secret('cursor', 1)});
$ann->('BEGIN');
my $decode = qq{SELECT count(*) FROM taskapi.cursor_decode('$token')};
like($bob->($decode), qr/ERROR:.*cursor/, 'a token of a retired key is refused by one backend');
like($ann->($decode), qr/ERROR:.*cursor/, 'and by the other');
$ann->('ROLLBACK');

# Many clients at once, each with a subject of its own: nobody ever meets another's.
my $script = "$folder/mixed.sql";
append_to_file($script, <<'END');
\set sub random(1, 1000000000000)
\set fail random(0, 1)
BEGIN;
SELECT set_config('role', 'member', true), set_config('request.method', 'POST', true), set_config('request.headers', '{"x-note": ":sub"}', true),
       set_config('request.jwt.claims', json_build_object('role', 'member', 'sub', (:sub)::text)::text, true);
SELECT taskapi.pre_request();
SELECT taskapi.set_response_header('X-Sub', (:sub)::text);
SELECT 1 / (taskapi.current_subject() = (:sub)::text AND current_setting('response.headers') = '[{"X-Sub": "' || :sub || '"}]')::int;
SELECT outcome FROM taskapi.idempotency_begin('k-' || :sub, '{}');
SELECT taskapi.idempotency_complete('k-' || :sub, 200, json_build_object('sub', (:sub)::text));
END;
BEGIN;
SELECT 1 / (taskapi.current_subject() IS NULL AND coalesce(current_setting('response.headers', true), '') = '' AND current_user = 'authenticator')::int;
END;
END
{
	local $ENV{PGUSER} = 'authenticator';
	my ($out, $err) = ('', '');
	ok(IPC::Run::run([ 'pgbench', '-n', '-M', 'simple', '-c', 12, '-j', 2, '-t', 100, '-f', $script, '-h', $sockets, '-p', $port, 'two' ],
			'>', \$out, '2>', \$err, IPC::Run::timeout(900)), 'a mixed load runs through two backends');
	like($out, qr{processed: 1200/1200}, 'every transaction was answered') or diag($out . $err);
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key WHERE scope LIKE '%k-%'}), 0, 'no key got into a scope');
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key WHERE key LIKE 'k-%' AND scope <> 'shop' AND position(body ->> 'sub' IN scope) = 0}),
	0, 'every stored answer is in the scope of its own subject');

# The paths of a real API: the statements of PostgREST over the task API, one client after the other through the same backend, and each
# request of a client through whichever backend is free.
$node->safe_psql('postgres', q{
	SELECT taskapi.create_task_api('tasks', 'api', 'anon', 'member');
	INSERT INTO tasks.account (id, email, display_name) SELECT ('018f0000-0000-7000-8000-0000000000' || n)::uuid, n || '@example.org', 'U' || n FROM generate_series(10, 29) n;
	INSERT INTO tasks.project (id, name, creator_id) SELECT replace(id::text, '018f', '0190')::uuid, 'P of ' || display_name, id FROM tasks.account;
	INSERT INTO tasks.task (project_id, title, due_date) SELECT p.id, 'of ' || p.name || ' ' || n, '2026-01-01'::date + n FROM tasks.project p, generate_series(1, 10) n;
	INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('per_user', 1, '1 hour', 1000);});
sub account { return "018f0000-0000-7000-8000-0000000000$_[0]"; }
sub project { return "01900000-0000-7000-8000-0000000000$_[0]"; }
sub bearer { my ($n, %more) = @_; return (role => 'member', claims => '{"role": "member", "sub": "' . account($n) . '"}', %more); }
my $answered = q{SELECT coalesce(current_setting('response.headers', true), '')};
my $post = sub { my ($n, $title) = @_; return "INSERT INTO api.tasks (project_id, title) VALUES ('" . project($n) . "', '$title') RETURNING id || ' ' || title; $answered"; };
($ann, $bob) = (client('one'), client('one'));

# an idempotent POST, its repetition after another's, and another's with the same key
my %once = (method => 'POST', headers => '{"idempotency-key": "k-10"}');
my $made = request($ann, $post->(10, 'made once'), bearer(10, %once));
like($made, qr/^\S{36} made once\n.*ETag/, 'POST with a key');
unlike(request($bob, $post->(11, 'of bob'), bearer(11, method => 'POST')), qr/Idempotency-Replayed|made once/, 'one of another client without a key');
my $again = request($ann, $post->(10, 'made once'), bearer(10, %once));
is((split /\n/, $again)[0], (split /\n/, $made)[0], 'the first one again is the same task');
like($again, qr/"Idempotency-Replayed": "true"/, 'and says so');
my $bobs = request($bob, $post->(11, 'made once'), bearer(11, %once));
isnt((split /\n/, $bobs)[0], (split /\n/, $made)[0], 'the same key of another client makes a task of his own');
unlike($bobs, qr/Idempotency-Replayed/, 'which is no replay');
like(request($ann, $post->(10, 'something else'), bearer(10, %once)), qr/ERROR:.*idempotency_key_reused/, 'the key with another body');
unlike(request($bob, $answered, bearer(11)), qr/Replayed|ETag/, 'a refusal leaves no header');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tasks.task WHERE title = 'made once'}), 2, 'two tasks of two keys');

# pages: everyone walks his own
my $page = sub { my ($token) = @_; return "SELECT next_page_token, items::jsonb -> 0 ->> 'title' FROM api.tasks_page('due_date', 4, '$token', '{\"due_date\": {\"gte\": \"2026-01-01\"}}')"; };
my %token = map { $_ => '' } 10, 11;
my %titles;
for (1 .. 3)
{
	for my $n (10, 11)
	{
		my ($next, $title) = split /\|/, request($n == 10 ? $ann : $bob, $page->($token{$n}), bearer($n));
		$token{$n} = $next;
		$titles{$n} .= "$title,";
	}
}
is($titles{10}, 'of P of U10 1,of P of U10 5,of P of U10 9,', 'pages of one client');
is($titles{11}, 'of P of U11 1,of P of U11 5,of P of U11 9,', 'between those of another');
($token) = split /\|/, request($ann, $page->(''), bearer(10));
like(request($bob, $page->($token), bearer(11)), qr/\|of P of U11/, "another's token grants nothing: a page of one's own rows");
unlike(request($bob, "SELECT string_agg(title, ',') FROM api.tasks", bearer(11)), qr/U10/, "and none of the first one's");
is(request($bob, 'SELECT count(*) FROM api.tasks', bearer(12)), 10, 'each request sees the rows of its own subject');
like(request($bob, 'SELECT count(*) FROM api.tasks'), qr/ERROR:.*permission denied/, 'one without a subject none');

# PATCH and If-Match
my $patch = sub { my ($n, $set) = @_; return "UPDATE api.tasks SET $set WHERE title = 'made once' AND project_id = '" . project($n) . "' RETURNING version; $answered"; };
like(request($ann, $patch->(10, 'priority = 2'), bearer(10, method => 'PATCH', headers => '{"if-match": "\"1\""}')), qr/^2\n.*"ETag": "\\"2\\""/, 'PATCH with If-Match');
like(request($ann, $patch->(10, 'priority = 3'), bearer(10, method => 'PATCH', headers => '{"if-match": "\"1\""}')), qr/ERROR:.*version_conflict/, 'a stale one');
like(request($bob, $patch->(11, 'priority = 3'), bearer(11, method => 'PATCH')), qr/^2\n/, 'the next client without If-Match is asked for none');
is(request($ann, q{SELECT count(*) FROM api.tasks WHERE priority = 3}, bearer(10)), 0, 'nothing of the stale one was done');
like(request($bob, "DELETE FROM api.tasks WHERE title = 'made once'", bearer(11, method => 'DELETE', headers => '{"if-match": "\"1\""}')), qr/ERROR:.*version_conflict/, 'DELETE with a stale If-Match');
is(request($bob, "DELETE FROM api.tasks WHERE title = 'made once'; SELECT count(*) FROM api.deleted_tasks", bearer(11, method => 'DELETE')), 1, 'DELETE');
is(request($ann, 'SELECT count(*) FROM api.deleted_tasks', bearer(10)), 0, "is the next client's no more than its row");

# An API key, a bearer token and nobody, in turn through one backend.
my %key = map { $_ => $node->safe_psql('postgres', "SELECT taskapi.create_api_key('" . account($_) . "')") } 10, 11;
for my $round (1, 2)
{
	is(request($ann, 'SELECT count(*) FROM api.projects; SELECT name FROM api.projects', headers => qq({"x-api-key": "$key{10}"})), "1\nP of U10", "round $round: an API key");
	like(request($bob, 'SELECT count(*) FROM api.projects', headers => qq({"x-api-key": "$key{11}x"})), qr/ERROR:.*unauthenticated/, "round $round: a wrong one");
	is(request($bob, 'SELECT name FROM api.projects', bearer(11)), 'P of U11', "round $round: a bearer token");
	like(request($ann, 'SELECT name FROM api.projects'), qr/ERROR:.*permission denied/, "round $round: nobody");
}
my $spent = sub { return $node->safe_psql('postgres', q[SELECT 1000 - remaining FROM taskapi.rate_limit_status('{"per_user": "] . account($_[0]) . q["}')]); };
my $before = $spent->(10);
request($ann, 'SELECT 1', bearer(10));
request($bob, 'SELECT 1', bearer(11));
request($bob, 'SELECT 1', headers => qq({"x-api-key": "$key{10}"}));
is($spent->(10) - $before, 2, 'requests are charged to their own subjects, whatever the credential');
$node->safe_psql('postgres', q{UPDATE taskapi.rate_limit_policy SET burst = 3 WHERE name = 'per_user'});
like(join("\n", map { request($ann, 'SELECT 1', bearer(13)) } 1 .. 4), qr/^1\n1\n1\n.*rate_limited/, 'a subject that has used up its limit is denied');
is(request($bob, 'SELECT 1', bearer(14)), 1, 'the next one in that backend is not');
$node->safe_psql('postgres', q{UPDATE taskapi.rate_limit_policy SET burst = 1000 WHERE name = 'per_user'});

# All of it at once, by many clients through two backends. Each looks after every step whether what it sees and is told is its own.
my $api = "$folder/api.sql";
append_to_file($api, <<'END');
\set n random(10, 29)
\set key random(1, 1000000000)
\set what random(1, 4)
\set wrong random(0, 1)
BEGIN;
SELECT set_config('role', 'member', true), set_config('request.path', '/tasks', true), set_config('request.method', 'POST', true), set_config('request.headers', '{"idempotency-key": "' || :key || '"}', true),
       set_config('request.jwt.claims', '{"role": "member", "sub": "018f0000-0000-7000-8000-0000000000' || :n || '"}', true);
SELECT taskapi.pre_request();
INSERT INTO api.tasks (project_id, title) VALUES (('01900000-0000-7000-8000-0000000000' || :n)::uuid, :n || '-' || :key) RETURNING quote_literal(id) AS made \gset
SELECT 1 / (position('Replayed' IN current_setting('response.headers')) = 0)::int;
COMMIT;
BEGIN;
SELECT 1 / (coalesce(current_setting('request.headers', true), '') = '' AND coalesce(current_setting('response.headers', true), '') = '' AND taskapi.current_subject() IS NULL AND current_user = 'authenticator')::int;
COMMIT;
BEGIN;
SELECT set_config('role', 'member', true), set_config('request.path', '/tasks', true), set_config('request.method', 'POST', true), set_config('request.headers', '{"idempotency-key": "' || :key || '"}', true),
       set_config('request.jwt.claims', '{"role": "member", "sub": "018f0000-0000-7000-8000-0000000000' || :n || '"}', true);
SELECT taskapi.pre_request();
INSERT INTO api.tasks (project_id, title) VALUES (('01900000-0000-7000-8000-0000000000' || :n)::uuid, :n || '-' || :key) RETURNING 1 / (id = :made)::int;
SELECT 1 / (position('Replayed' IN current_setting('response.headers')) > 0)::int;
COMMIT;
BEGIN;
SELECT set_config('role', 'member', true), set_config('request.path', '/tasks', true), set_config('request.method', 'PATCH', true), set_config('request.headers', '{"if-match": "\"1\""}', true),
       set_config('request.jwt.claims', '{"role": "member", "sub": "018f0000-0000-7000-8000-0000000000' || :n || '"}', true);
SELECT taskapi.pre_request();
UPDATE api.tasks SET priority = 1 WHERE id = :made RETURNING 1 / (version = 2)::int;
COMMIT;
BEGIN;
SELECT set_config('role', 'member', true), set_config('request.path', '/tasks', true), set_config('request.method', 'GET', true), set_config('request.headers', '{}', true),
       set_config('request.jwt.claims', '{"role": "member", "sub": "018f0000-0000-7000-8000-0000000000' || :n || '"}', true);
SELECT taskapi.pre_request();
SELECT 1 / (count(*) > 0 AND bool_and(e ->> 'project_id' = '01900000-0000-7000-8000-0000000000' || :n))::int FROM api.tasks_page('title', 20, (api.tasks_page('title', 5)).next_page_token), jsonb_array_elements(items::jsonb) e;
SELECT 1 / (count(*) = 1)::int FROM api.tasks WHERE title = :n || '-' || :key;
COMMIT;
END
{
	local $ENV{PGUSER} = 'authenticator';
	my ($out, $err) = ('', '');
	ok(IPC::Run::run([ 'pgbench', '-n', '-M', 'simple', '-c', 8, '-j', 2, '-t', 25, '-f', $api, '-h', $sockets, '-p', $port, 'two' ],
			'>', \$out, '2>', \$err, IPC::Run::timeout(900)), 'the API under a mixed load through two backends');
	like($out, qr{processed: 200/200}, 'every client was answered with what is its own') or diag($out . $err);
}
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT title) FROM tasks.task WHERE title ~ '^\d+-\d+$'}), '200|200', 'each POST was done once');

$pooler->signal('INT');
$node->stop;
done_testing();
