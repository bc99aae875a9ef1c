# A physical standby serves what a GET needs: cursors, pages, who is asking, limits. What changes on the primary counts there as
# soon as it is replayed, also in backends that have it cached. After promotion everything goes on. A logical subscriber receives the tables.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical');
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE ROLE standby_anonymous; CREATE ROLE standby_user;
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_task_api('tasks', 'api', 'standby_anonymous', 'standby_user');
	INSERT INTO tasks.account (id, email, display_name) VALUES ('018f0000-0000-7000-8000-000000000001', 'a@example.org', 'A'), ('018f0000-0000-7000-8000-000000000002', 'b@example.org', 'B');
	INSERT INTO tasks.project (id, name, creator_id) VALUES ('018f0000-0000-7000-8000-000000000003', 'P', '018f0000-0000-7000-8000-000000000001');
	INSERT INTO tasks.task (project_id, title, due_date, created_at)
		SELECT '018f0000-0000-7000-8000-000000000003', 'Task ' || n, CASE WHEN n % 3 > 0 THEN '2026-01-01'::date + n % 7 END, '2026-01-01'::timestamptz + n % 10 * interval '1 hour' FROM generate_series(1, 100) n;
	SELECT taskapi.set_secret('jwt', 'a secret that is long enough for HS256 to be happy');
	CREATE TABLE public.credential (api_key text, session text, jwt text, token text);
	INSERT INTO public.credential SELECT taskapi.create_api_key('018f0000-0000-7000-8000-000000000001', 'k'), taskapi.create_session('018f0000-0000-7000-8000-000000000001'),
		taskapi.jwt_sign('{"sub": "018f0000-0000-7000-8000-000000000001", "role": "standby_user"}'), (SELECT cursor::text FROM api.tasks ORDER BY created_at DESC, id DESC OFFSET 49 LIMIT 1);
});
my ($api_key, $session, $jwt, $token) = split /\|/, $primary->safe_psql('postgres', 'SELECT * FROM public.credential');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

# A GET as PostgREST makes it of the headers: one READ ONLY transaction, as the anonymous role at first.
sub get
{
	my ($node, $headers, $query, %opt) = @_;
	my ($out, $err) = ('', '');
	$headers =~ s/'/''/g;
	my $cookies = $opt{cookies} // '{}';
	my $rc = $node->psql(
		'postgres', qq{
		BEGIN READ ONLY;
		SET LOCAL ROLE standby_anonymous;
		SET LOCAL request.method = 'GET';
		SET LOCAL request.path = '/tasks';
		SET LOCAL request.headers = '$headers';
		SET LOCAL request.cookies = '$cookies';
		SET LOCAL request.jwt.claims = '{"role": "standby_anonymous"}';
		DO 'BEGIN PERFORM taskapi.pre_request(); END';
		$query;
		COMMIT;}, stdout => \$out, stderr => \$err, on_error_stop => 1);
	return $rc == 0 ? $out : $err =~ /"code": "(\w+)"/ ? $1 : $err;
}
my $key = qq({"x-api-key": "$api_key"});
is(get($standby, $key, 'SELECT current_user, taskapi.current_subject_id()'), 'standby_user|018f0000-0000-7000-8000-000000000001', 'an API key on the standby');
is(get($standby, '{}', 'SELECT current_user', cookies => qq({"__Host-session": "$session"})), 'standby_user', 'a session on the standby');
is($standby->safe_psql('postgres', qq{SELECT taskapi.jwt_verify('$jwt') ->> 'role'}), 'standby_user', 'a JWT on the standby');
is(get($standby, '{"x-api-key": "tak_wrong"}', 'SELECT 1'), 'unauthenticated', 'a wrong API key on the standby');
is(get($standby, $key, 'SELECT count(*) FROM api.tasks'), '100', 'row-level security lets a member see');
is(get($standby, $key, qq{SELECT count(*) FROM api.tasks WHERE cursor > '$token'}), '50', 'a cursor of the primary opens on the standby');
is( get($standby, $key, q{WITH RECURSIVE walk AS (
		SELECT p.* FROM taskapi.page('api.tasks', 'due_date DESC NULLS LAST, created_at', 7) p
		UNION ALL
		SELECT p.* FROM walk w, LATERAL taskapi.page('api.tasks', 'due_date DESC NULLS LAST, created_at', 7, w.next_page_token) p WHERE w.has_next)
	SELECT count(*), count(DISTINCT t ->> 'id') FROM walk, json_array_elements(items) t}), '100|100', 'a walk of pages on the standby visits every row once');
is(get($standby, $key, q{SELECT current_setting('response.headers') LIKE '%RateLimit%'}), 't', 'RateLimit headers on the standby');

# A limit counts on the standby, and denies.
$primary->safe_psql('postgres', q{UPDATE taskapi.rate_limit_policy SET rate = 3, burst = 3, per = '1 day' WHERE name = 'per_key'});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$standby->safe_psql('postgres', q{SELECT taskapi.reset_rate_limits(jsonb_build_object('per_key', id::text)) FROM taskapi.api_key});
my @got = map { get($standby, $key, 'SELECT 1') } 1 .. 5;
is(join(' ', @got), '1 1 1 rate_limited rate_limited', 'a changed policy counts on the standby, and denies exactly after the burst');
$primary->safe_psql('postgres', q{UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = 1000000, per = '1 second'});

# What is revoked on the primary is refused by a backend of the standby that has it cached.
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$standby->safe_psql('postgres', q{SELECT taskapi.reset_rate_limits(jsonb_build_object('per_key', id::text)) FROM taskapi.api_key});
my $backend = $standby->background_psql('postgres', on_error_stop => 0);
my $authenticate = qq{BEGIN READ ONLY; SET LOCAL ROLE standby_anonymous; SET LOCAL request.method = 'GET'; SET LOCAL request.headers = '$key'; SELECT taskapi.pre_request() IS NOT NULL, current_user; ROLLBACK;};
like($backend->query($authenticate), qr/standby_user/, 'the key is in the cache of a backend');
$primary->safe_psql('postgres', 'UPDATE taskapi.api_key SET revoked_at = now()');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
unlike($backend->query($authenticate), qr/standby_user/, 'a key revoked on the primary is refused by it once that is replayed');
$backend->quit;
is(get($standby, $key, 'SELECT 1'), 'unauthenticated', 'and by any other');
$primary->safe_psql('postgres', q{SELECT taskapi.rotate_secret('cursor'); SELECT taskapi.retire_secret('cursor', 1)});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $err;
$standby->psql('postgres', qq{SELECT '$token'::taskapi.cursor}, stderr => \$err);
like($err, qr/cursor is not valid/, 'a token of a key retired on the primary is refused');

# A logical subscriber receives the tables, and soft deletion with them.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;
$subscriber->safe_psql('postgres', q{CREATE EXTENSION taskapi; SELECT taskapi.create_task_api(); CREATE SCHEMA scratch});
my $connstr = $primary->connstr . ' dbname=postgres';
$primary->safe_psql('postgres', 'CREATE PUBLICATION tasks FOR TABLE tasks.account, tasks.project, tasks.membership, tasks.task');
$subscriber->safe_psql('postgres', qq{CREATE SUBSCRIPTION tasks CONNECTION '$connstr' PUBLICATION tasks});
$subscriber->wait_for_subscription_sync($primary, 'tasks');
is($subscriber->safe_psql('postgres', 'SELECT count(*) FROM api.tasks'), '100', 'the subscriber has the rows');
$primary->safe_psql('postgres', q{DELETE FROM api.tasks WHERE title = 'Task 1'; UPDATE api.tasks SET title = 'Changed' WHERE title = 'Task 2'});
$primary->wait_for_catchup('tasks');
is( $subscriber->safe_psql('postgres', q{SELECT (SELECT count(*) FROM api.tasks), (SELECT count(*) FROM api.deleted_tasks), (SELECT string_agg(version::text, ' ') FROM api.tasks WHERE title = 'Changed')}),
	'99|1|2', 'a soft deletion and a change arrive as they were made');

# Promotion.
$primary->stop;
$standby->promote;
is($standby->safe_psql('postgres', q{INSERT INTO api.tasks (project_id, title) SELECT id, 'after promotion' FROM tasks.project RETURNING version}), '1', 'POST after promotion');
is($standby->safe_psql('postgres', q{BEGIN; SELECT outcome FROM taskapi.idempotency_begin('k', scope => 's'); SELECT taskapi.idempotency_complete('k', 200, '{}', scope => 's'); COMMIT}), "new\n", 'an idempotent request after promotion');
is($standby->safe_psql('postgres', q{SELECT body FROM taskapi.idempotency_begin('k', scope => 's')}), '{}', 'and its replay');
$standby->safe_psql('postgres', 'CALL taskapi.maintain()');
pass('maintain() after promotion');

$standby->stop;
$subscriber->stop;
done_testing();
