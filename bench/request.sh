# The whole request: who, how often, row-level security, and a page or an idempotent POST, as a layer sends it: one
# transaction of several statements. Beside it the same API written by hand (byhand.sql). Sourced by scripts/bench, after data.sh.

whole_request() {
    say "the whole request: the API by hand"
    psql -q -d "$BENCH_DB" -f "$scratch/src/bench/byhand.sql"
    psql -q -d "$BENCH_DB" <<'SQL'
CREATE ROLE bench_authenticator LOGIN NOINHERIT;
GRANT api_anonymous, api_user TO bench_authenticator;
VACUUM ANALYZE byhand.task;
CREATE TABLE bench.principal AS
    SELECT n, m.account_id, m.project_id FROM generate_series(1, 500) n,
        LATERAL (SELECT account_id, project_id FROM tasks.membership m WHERE m.project_id = bench.id(2, n) AND m.role = 'owner' LIMIT 1) m;
ALTER TABLE bench.principal ADD secret text;
UPDATE bench.principal SET secret = taskapi.create_api_key(account_id::text);
INSERT INTO byhand.api_key SELECT encode(sha256(secret::bytea), 'hex'), account_id FROM bench.principal ON CONFLICT DO NOTHING;
UPDATE taskapi.rate_limit_policy SET rate = 1000000000, burst = 1000000000, per = '1 second';
GRANT USAGE ON SCHEMA bench TO PUBLIC;
GRANT SELECT ON bench.principal TO PUBLIC;
CREATE INDEX ON bench.principal (n);
VACUUM ANALYZE bench.principal;
SQL
    # A depth of a hundred pages in a project that has them: what a client that walks gets to.
    common='\set n random(1, 500)
SELECT project_id, secret, gen_random_uuid() AS key FROM bench.principal WHERE n = :n \gset'
    begin="BEGIN;
SELECT set_config('request.method', :'method', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', '{\"role\": \"api_anonymous\"}', true),
    set_config('request.headers', json_build_object('x-api-key', :'secret', 'idempotency-key', :'key', 'accept', '*/*', 'host', 'localhost')::text, true), set_config('role', 'api_anonymous', true);"
    write() { as_user tee "$scratch/$1" >/dev/null; }
    { echo "$common" | sed 's/ \\gset/, '"'GET'"' AS method \\gset/'; echo "$begin"; cat <<'SQL'
SELECT taskapi.pre_request();
SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM api.tasks WHERE project_id = :'project_id' ORDER BY created_at DESC, id DESC LIMIT 50) t;
COMMIT;
SQL
    } | write get_ours.sql
    { echo "$common" | sed 's/ \\gset/, '"'GET'"' AS method \\gset/'; echo "$begin"; cat <<'SQL'
SELECT byhand.pre_request();
SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM byhand.task WHERE project_id = :'project_id' AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 50) t;
COMMIT;
SQL
    } | write get_byhand.sql
    { echo "$common" | sed 's/ \\gset/, '"'POST'"' AS method \\gset/'; echo "$begin"; cat <<'SQL'
SELECT taskapi.pre_request();
WITH source AS (INSERT INTO api.tasks (project_id, title, priority) VALUES (:'project_id', 'A new task', 50) RETURNING *) SELECT coalesce(json_agg(source), '[]') FROM source;
COMMIT;
SQL
    } | write post_ours.sql
    { echo "$common" | sed 's/ \\gset/, '"'POST'"' AS method \\gset/'; echo "$begin"; cat <<'SQL'
SELECT byhand.pre_request();
SELECT byhand.create_task(:'key', json_build_object('project_id', :'project_id', 'title', 'A new task', 'priority', 50)::jsonb);
COMMIT;
SQL
    } | write post_byhand.sql

    say "the whole request: $BENCH_RUNS runs"
    for run in $(seq 0 "$BENCH_RUNS"); do
        for what in "get:GET, a page of 50" "post:POST with an idempotency key"; do
            for variant in "byhand:by hand" "ours:taskapi"; do
                # Statements with literals, as the variables of \gset are quoted into them: the layer plans each request, too.
                tps=$(transactions_as bench_authenticator 4 "$scratch/${what%%:*}_${variant%%:*}.sql" -M simple)
                [ "$run" = 0 ] || record "whole request: ${what#*:}" "${variant#*:}" "requests/s" "$run" "$tps"
            done
        done
    done
}
