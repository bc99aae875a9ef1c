# pg_cron as the scheduler of CALL taskapi.maintain(), as docs/operations.md has it: the job runs by itself, commits batch
# by batch, purges what is due and nothing else, and reports success.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $libdir = `pg_config --pkglibdir`;
chomp $libdir;
plan skip_all => 'there is no library "pg_cron"' unless -e "$libdir/pg_cron.so";

my $node = PostgreSQL::Test::Cluster->new('cron');
$node->init;
# Its workers connect by themselves, without a password and without a host of their own.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.use_background_workers = on\ncron.database_name = 'postgres'\n");
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_cron;
	CREATE EXTENSION taskapi;
	INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('cron', 10, '1 day', 10);
	SELECT taskapi.check_rate_limits('{"cron": "a"}');
	SELECT taskapi.create_session('dead'), taskapi.create_session('live');
	UPDATE taskapi.session SET expires_at = now() - interval '1 day' WHERE subject = 'dead';
	CREATE TABLE public.note (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, body text, deleted_at timestamptz);
	SELECT taskapi.expose('public.note', 'public', 'notes');
	INSERT INTO public.note (body, deleted_at) VALUES ('old', now() - interval '31 days'), ('recent', now() - interval '29 days'), ('live', NULL);
});
$node->safe_psql(
	'postgres', q{
	BEGIN;
	SELECT taskapi.idempotency_begin('k', '{}', 'cron');
	SELECT taskapi.idempotency_complete('k', 201, '{}', NULL, 'cron');
	COMMIT;
	UPDATE taskapi.idempotency_key SET expires_at = now() - interval '1 hour';});
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key}), 1, 'an expired key is there');

my $job = $node->safe_psql('postgres', q{SELECT cron.schedule('taskapi', '* * * * *', 'CALL taskapi.maintain(1)')});
my $details = "FROM cron.job_run_details WHERE jobid = $job AND status IN ('succeeded', 'failed')";
$node->poll_query_until('postgres', "SELECT count(*) > 0 $details") or die 'the job did not run';
is($node->safe_psql('postgres', "SELECT status || ' ' || return_message $details ORDER BY runid LIMIT 1"), 'succeeded CALL', 'the job ran');
$node->safe_psql('postgres', q{SELECT cron.unschedule('taskapi')});

is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.idempotency_key}), 0, 'expired keys are gone');
is($node->safe_psql('postgres', q{SELECT string_agg(subject, ' ') FROM taskapi.session}), 'live', 'and expired sessions, and no other');
is($node->safe_psql('postgres', q{SELECT string_agg(body, ' ' ORDER BY body) FROM public.note}), 'live recent', 'and what was deleted longer ago than the retention');
ok(-s $node->data_dir . '/pg_stat/taskapi_rate_limits.snapshot', 'the rate limits are saved');

$node->stop;
done_testing();
