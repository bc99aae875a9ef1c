# What a layer costs: CPU time a request of the layer and of its database connections, for one row, a page of 50 and a POST under a key,
# over one connection. The gateway beside PostgREST, if there is one on PATH. Sourced by scripts/bench, with a server of its own.

start_server layers "shared_buffers = '512MB'" 'jit = off' 'taskapi.trusted_proxy_hops = 1'
need_node
BENCH_DB=postgres
psql -q <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION taskapi;
CREATE ROLE api_anonymous;
CREATE ROLE api_user;
CREATE ROLE bench_gateway LOGIN NOINHERIT IN ROLE api_anonymous, api_user;
CREATE ROLE bench_postgrest LOGIN NOINHERIT IN ROLE api_anonymous, api_user;
SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user') \g /dev/null
SELECT taskapi.set_secret('jwt', repeat('7', 32)) \g /dev/null
UPDATE taskapi.rate_limit_policy SET rate = 1000000000, burst = 1000000000, per = '1 second';
SELECT tasks.create_account('ann@example.org') \g /dev/null
INSERT INTO tasks.project (name, creator_id) SELECT 'project ' || n, id FROM tasks.account, generate_series(1, 20) n;
INSERT INTO tasks.task (project_id, title, description, created_at)
    SELECT p.id, 'task ' || n, repeat('words ', 20), now() - n * interval '1 minute' FROM tasks.project p, generate_series(1, 1000) n;
VACUUM ANALYZE;
SQL
token=$(psql -qAtc "SELECT taskapi.jwt_sign(json_build_object('sub', id, 'role', 'api_user', 'exp', 4000000000)::jsonb) FROM tasks.account")
project=$(psql -qAtc 'SELECT id FROM tasks.project ORDER BY id LIMIT 1')
task=$(psql -qAtc "SELECT id FROM tasks.task WHERE project_id = '$project' ORDER BY id LIMIT 1")

# start LAYER COMMAND...: in the background, as the user, until its URL answers; sets $pid.
start_layer() {
    name=$1 url=$2
    shift 2
    rm -f "$scratch/layer.pid"
    # shellcheck disable=SC2016 # the inner shell's
    as_user sh -c 'echo $$ >"$0"; exec "$@"' "$scratch/layer.pid" "$@" >"$scratch/layers-$name.log" 2>&1 </dev/null &
    for _ in $(seq 200); do
        ! perl -MHTTP::Tiny -e 'exit !HTTP::Tiny->new->get($ARGV[0])->{success}' "$url" || { pid=$(cat "$scratch/layer.pid"); return 0; }
        sleep 0.1
    done
    cat "$scratch/layers-$name.log" >&2
    die "$name did not become ready"
}

layers=gateway pids=
! command -v postgrest >/dev/null || layers="postgrest gateway"
trap '[ -z "$pids" ] || kill $pids 2>/dev/null; stop_server' EXIT
for layer in $layers; do
    port=$(free_port) admin=$(free_port)
    case $layer in
        gateway)
            start_layer gateway "http://127.0.0.1:$port/readyz" env PGUSER=bench_gateway PGDATABASE=postgres PORT="$port" WORKERS=1 DB_POOL=4 node "$scratch/src/examples/gateway/gateway.js"
            gateway_port=$port gateway_pid=$pid ;;
        postgrest)
            printf '%s\n' "db-uri = \"postgres://bench_postgrest@/postgres?host=$PGHOST&port=$PGPORT\"" 'db-schemas = "api"' 'db-anon-role = "api_anonymous"' 'db-pool = 4' \
                'db-pre-request = "taskapi.pre_request"' "jwt-secret = \"$(printf '7%.0s' $(seq 32))\"" "server-port = $port" 'server-host = "127.0.0.1"' "admin-server-port = $admin" 'log-level = "error"' |
                as_user tee "$scratch/layers.conf" >/dev/null
            start_layer postgrest "http://127.0.0.1:$admin/ready" postgrest "$scratch/layers.conf"
            postgrest_port=$port postgrest_pid=$pid ;;
    esac
    pids="$pids $pid"
done

# ticks PID...: CPU time of these processes so far, in hundredths of a second, with their threads.
ticks() { for p in "$@"; do sed 's/.*) //' "/proc/$p/stat" 2>/dev/null; done | awk '{ n += $12 + $13 } END { print n + 0 }'; }
# database_ticks LAYER: "pid ticks" of each of its connections. One that ended meanwhile takes its time along.
database_ticks() { for p in $(psql -qAtc "SELECT pid FROM pg_stat_activity WHERE usename = 'bench_$1'"); do echo "$p $(ticks "$p")"; done; }

n=${BENCH_REQUESTS:-2000}
for run in $(seq 0 "$BENCH_RUNS"); do
    for operation in 'one row' 'page of 50' 'POST under a key'; do
        for layer in $layers; do
            eval "port=\$${layer}_port pid=\$${layer}_pid"
            layer_before=$(ticks "$pid")
            database_ticks "$layer" >"$scratch/ticks"
            perl "$top/bench/layers.pl" "$layer" "http://127.0.0.1:$port" "$token" "$project" "$task" "$operation" "$n" "$run" || die "$layer: $operation failed"
            layer_ms=$((($(ticks "$pid") - layer_before) * 10))
            database_ms=$(database_ticks "$layer" | awk 'NR == FNR { before[$1] = $2; next } { n += $2 - before[$1] } END { print n * 10 }' "$scratch/ticks" -)
            # run 0 opens connections and prepares
            [ "$run" = 0 ] || {
                record "CPU a request, $operation" "$layer" 'layer ms' "$run" "$(awk "BEGIN { print $layer_ms / $n }")"
                record "CPU a request, $operation" "$layer" 'database ms' "$run" "$(awk "BEGIN { print $database_ms / $n }")"
                record "CPU a request, $operation" "$layer" 'both ms' "$run" "$(awk "BEGIN { print ($layer_ms + $database_ms) / $n }")"
            }
        done
    done
done
