#!/bin/sh
# bench/resource.sh: what a POST through a resource costs, beside a plain INSERT.
#
# One task with its three foreign keys, checks, indexes and triggers, by one client, synchronous_commit off:
#   plain     INSERT into a copy of the table that has everything but what expose() adds
#   table     INSERT into the exposed table itself, round the resource
#   resource  INSERT into the resource
# each as the owner, and as a member to whom row-level security applies.
if [ -z "${scratch:-}" ]; then      # by itself; scripts/bench has done all this
    . "$(dirname "$0")/../scripts/common.sh"
    set_up
    build
    . "$top/bench/common.sh"
fi
scripts=$scratch/resource
as_user mkdir -p "$scripts"

start_server bench "synchronous_commit = off" "shared_buffers = 512MB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" "autovacuum = off"

psql -q <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION taskapi;
CREATE ROLE bench_anonymous;
CREATE ROLE bench_member;
SELECT taskapi.create_task_api('tasks', 'api', 'bench_anonymous', 'bench_member');
INSERT INTO tasks.account (id, email, display_name) VALUES ('00000000-0000-7000-8000-00000000000a', 'a@example.org', 'a');
INSERT INTO tasks.project (id, name, creator_id) SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(g), 12, '0'))::uuid, 'p', '00000000-0000-7000-8000-00000000000a' FROM generate_series(1, 10) g;

-- The copy: columns, defaults, checks and indexes, then foreign keys, triggers and policies by their own definitions.
CREATE TABLE tasks.plain (LIKE tasks.task INCLUDING ALL);
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER TABLE tasks.plain ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE conrelid = 'tasks.task'::regclass AND contype = 'f'
        UNION ALL
        SELECT replace(pg_get_triggerdef(oid), 'tasks.task', 'tasks.plain') FROM pg_trigger
        WHERE tgrelid = 'tasks.task'::regclass AND NOT tgisinternal AND tgname NOT LIKE 'zz\_taskapi%'
        UNION ALL
        SELECT format('CREATE POLICY %I ON tasks.plain FOR %s %s %s', polname,
                      CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END,
                      'USING (' || pg_get_expr(polqual, polrelid) || ')', 'WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')')
        FROM pg_policy WHERE polrelid = 'tasks.task'::regclass AND polcmd IN ('r', 'w', 'd')
        UNION ALL
        SELECT format('CREATE POLICY %I ON tasks.plain FOR INSERT WITH CHECK (%s)', polname, pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy WHERE polrelid = 'tasks.task'::regclass AND polcmd = 'a'
    LOOP
        EXECUTE statement;
    END LOOP;
    ALTER TABLE tasks.plain ENABLE ROW LEVEL SECURITY;
END
$$;
GRANT SELECT, INSERT ON tasks.plain TO bench_member;
SQL

for target in plain:tasks.plain table:tasks.task resource:api.tasks; do
    for who in owner member; do
        {
            echo '\set p random(1, 9)'
            [ $who = owner ] || printf '%s\n' BEGIN \
                "SELECT set_config('role', 'bench_member', true), set_config('request.method', 'POST', true), set_config('request.jwt.claims', '{\"sub\": \"00000000-0000-7000-8000-00000000000a\"}', true);" | sed 's/^BEGIN$/BEGIN;/'
            echo "INSERT INTO ${target#*:} (project_id, assignee_id, title) VALUES (('00000000-0000-7000-8000-00000000000' || :p::text)::uuid, '00000000-0000-7000-8000-00000000000a', 'a task') RETURNING id, title, version, created_at;"
            [ $who = owner ] || echo 'COMMIT;'
        } | as_user tee "$scripts/$who-${target%%:*}.sql" >/dev/null
    done
done
psql -qAtc 'VACUUM ANALYZE' -c CHECKPOINT
for run in $(seq "$BENCH_RUNS"); do
    for who in owner member; do
        for v in plain table resource; do
            record "resource: POST of a task, as $who" "$v" tps "$run" "$(transactions 1 "$scripts/$who-$v.sql")"
        done
    done
done
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
