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
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nidle_in_transaction_session_timeout = '1min'\n");
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
query_wait_timeout = 30
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
		'<', \$in, '>', \$out, '2>&1', IPC::Run::timeout(60));
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
		role => 'anon',
		'request.method' => $set{method} // 'GET',
		'request.path' => '/tasks',
		'request.headers' => $set{headers} // '{}',
		'request.cookies' => '{}',
		'request.jwt.claims' => $set{claims} // '{"role": "anon"}');
	my $settings = join ', ', map { "set_config('$_', '$setting{$_}', true)" } sort keys %setting;
	return "BEGIN;\n\\o /dev/null\nSELECT $settings; SELECT taskapi.pre_request();\n\\o\n";
}

for (1 .. 100)
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
			'>', \$out, '2>', \$err, IPC::Run::timeout(120)), 'a mixed load runs through two backends');
	like($out, qr{processed: 1200/1200}, 'every transaction was answered') or diag($out . $err);
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key WHERE scope LIKE '%k-%'}), 0, 'no key got into a scope');
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key WHERE key LIKE 'k-%' AND scope <> 'shop' AND position(body ->> 'sub' IN scope) = 0}),
	0, 'every stored answer is in the scope of its own subject');

$pooler->signal('INT');
$node->stop;
done_testing();
