# Pages through PostgREST: depth against time in the list of one project, as one of its members asks for it. Sourced by scripts/bench,
# after data.sh. It needs a program "postgrest" on PATH, and is skipped without one.

start_postgrest() {
    http_port=$(free_port)
    http_admin=$(free_port)
    as_user tee "$scratch/postgrest.conf" >/dev/null <<END
db-uri = "postgres://bench_http@/postgres?host=$PGHOST&port=$PGPORT"
db-schemas = "api"
db-anon-role = "api_anonymous"
db-pre-request = "taskapi.pre_request"
db-pool = 4
jwt-secret = "$(printf '%032d' 7)"
server-host = "127.0.0.1"
server-port = $http_port
admin-server-host = "127.0.0.1"
admin-server-port = $http_admin
log-level = "error"
END
    rm -f "$scratch/postgrest.pid"
    as_user sh -c 'echo $$ >"$0.pid"; exec postgrest "$0.conf"' "$scratch/postgrest" >"$scratch/postgrest.log" 2>&1 &
    trap stop_postgrest EXIT
    for _ in $(seq 100); do
        perl -MHTTP::Tiny -e 'exit !HTTP::Tiny->new->get("http://127.0.0.1:$ARGV[0]/ready")->{success}' "$http_admin" && return 0
        sleep 0.2
    done
    cat "$scratch/postgrest.log" >&2
    die 'PostgREST did not become ready'
}
stop_postgrest() {
    [ ! -s "$scratch/postgrest.pid" ] || kill "$(cat "$scratch/postgrest.pid")" 2>/dev/null || true
    rm -f "$scratch/postgrest.pid"
}

paging_over_http() {
    command -v postgrest >/dev/null || { say 'paging over HTTP: skipped, there is no program "postgrest" on PATH'; return 0; }
    say 'paging over HTTP'
    psql -q -d "$BENCH_DB" -v secret="$(printf '%032d' 7)" <<'SQL'
SET client_min_messages = warning;
CREATE ROLE bench_http LOGIN NOINHERIT;
GRANT api_anonymous, api_user TO bench_http;
SELECT taskapi.set_secret('jwt', :'secret') \g /dev/null
UPDATE taskapi.rate_limit_policy SET rate = 1000000000, burst = 1000000000, per = '1 second';
SQL
    start_postgrest
    project=$(psql -qAt -d "$BENCH_DB" -c 'SELECT bench.id(2, 1)')
    token=$(psql -qAt -d "$BENCH_DB" -c "SELECT taskapi.jwt_sign(json_build_object('sub', account_id, 'role', 'api_user', 'exp', 4000000000)::jsonb) FROM tasks.membership WHERE project_id = '$project' AND role = 'owner'")
    rows=$(psql -qAt -d "$BENCH_DB" -c "SELECT count(*) FROM tasks.task WHERE project_id = '$project' AND deleted_at IS NULL")
    # Where pages at these depths begin, as a client has it: the cursor of the last row before, and the page token after it, to which
    # there is no way but to walk.
    psql -q -d "$BENCH_DB" -v project="$project" -v rows="$rows" <<'SQL'
CREATE TABLE bench.place AS
    SELECT depth, NULL::text AS after, NULL::text AS token FROM unnest(ARRAY[1000, 10000, 100000, 400000]) depth WHERE depth < :rows - 50;
CREATE PROCEDURE bench.walk(project uuid) LANGUAGE plpgsql AS $$
DECLARE
    page taskapi.page_result;
    at text := '';
BEGIN
    FOR i IN 1 .. (SELECT max(depth) / 1000 FROM bench.place) LOOP
        page := api.tasks_page('created_at DESC, id DESC', 1000, at, jsonb_build_object('project_id', project));
        at := page.next_page_token;
        UPDATE bench.place SET token = at, after = page.items -> 999 ->> 'cursor' WHERE depth = i * 1000;
        COMMIT;
    END LOOP;
END
$$;
CALL bench.walk(:'project');
SQL
    list="project_id=eq.$project&order=created_at.desc,id.desc&limit=50"
    rpc="/rpc/tasks_page?order_by=created_at%20DESC,id%20DESC&page_size=50&filter=%7B%22project_id%22:%22$project%22%7D"
    printf '0\tOFFSET\t%s\n0\tcursor=gt.TOKEN\t%s\n0\t/rpc/tasks_page\t%s\n' "/tasks?$list" "/tasks?$list" "$rpc" >"$scratch/http.in"
    psql -qAt -F "$(printf '\t')" -d "$BENCH_DB" -v list="$list" -v rpc="$rpc" <<'SQL' >>"$scratch/http.in"
SELECT depth, variant, path FROM bench.place, LATERAL (VALUES
    (1, 'OFFSET', '/tasks?' || :'list' || '&offset=' || depth),
    (2, 'cursor=gt.TOKEN', '/tasks?' || :'list' || '&cursor=gt.' || after),
    (3, '/rpc/tasks_page', :'rpc' || '&page_token=' || token)) v(n, variant, path) ORDER BY depth, n;
SQL
    [ "$(wc -l <"$scratch/http.in")" -ge 6 ] || die 'the largest project has too few tasks; BENCH_ROWS is too small'
    for run in $(seq 0 "$BENCH_RUNS"); do
        # a fifth of a second each: they are fifteen
        perl "$top/bench/http.pl" "http://127.0.0.1:$http_port" "$token" 0.2 <"$scratch/http.in" >"$scratch/http.out" || die 'a request failed'
        # all three ways have to answer with the same page
        awk -F'\t' '$6 != 50 || ($1 in first && first[$1] != $5) { bad = 1 } { first[$1] = $5 } END { exit bad }' "$scratch/http.out" || {
            cat "$scratch/http.out" >&2
            die 'the pages differ'
        }
        [ "$run" = 0 ] || awk -F'\t' -v OFS='\t' -v r="$run" '{
            g = "page of 50 of one project through PostgREST, depth " $1
            print g, $2, "p50 ms", r, $3; print g, $2, "p99 ms", r, $4 }' "$scratch/http.out" >>"$results"
    done
    stop_postgrest
}
