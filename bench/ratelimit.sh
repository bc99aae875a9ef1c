# Rate limits: a check against the same statement without it, against the ways to do it in tables, and against Redis on
# the same machine. Sourced by scripts/bench, with functions ratelimit (through clients) and ratelimit_inside (in one
# statement). BENCH_CLIENTS chooses the numbers of clients.

# cpu_ticks: processor time, in ticks of 10 ms, of the backends that have ended and of what this script has run. That
# is what a request costs whatever else the machine does meanwhile.
cpu_ticks() { awk '{ ticks += $16 + $17 } END { print ticks }' "/proc/$(head -n 1 "$PGDATA/postmaster.pid")/stat" "/proc/$$/stat"; }

# tps_and_latencies GROUP VARIANT RUN CLIENTS FILE: one pgbench run; throughput, the latencies of a sample, and the
# processor time of server and client together.
tps_and_latencies() {
    rm -f "$scratch"/pgbench_rl.*
    ticks=$(cpu_ticks)
    out=$(cd "$scratch" && as_user "$prefix/pgbench" -n -M prepared -c "$4" -j 2 -T "$BENCH_SECONDS" -l --sampling-rate=0.2 \
        --log-prefix="$scratch/pgbench_rl" -f "$5" "${BENCH_DB:-postgres}" 2>>"$scratch/bench.log")
    sleep 0.3
    ticks=$(($(cpu_ticks) - ticks))
    record "$1" "$2" 'per second' "$3" "$(echo "$out" | sed -n 's/^tps = \([0-9.]*\).*/\1/p')"
    record "$1" "$2" 'us of processor time' "$3" "$(echo "$out" | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' | awk -v t="$ticks" '{ print t * 10000 / $1 }')"
    cat "$scratch"/pgbench_rl.* | cut -d' ' -f3 | sort -n | awk -v OFS='\t' -v g="$1" -v n="$2" -v r="$3" '
        { v[NR] = $1 }
        END { if (NR) { print g, n, "p50 ms", r, v[int((NR + 1) / 2)] / 1000; print g, n, "p99 ms", r, v[int(NR * 0.99) + (NR < 100)] / 1000 } }' >>"$results"
    rm -f "$scratch"/pgbench_rl.*
}

# redis_measure GROUP VARIANT RUN CLIENTS RANGE COMMAND...: the same of a Redis command, by its own client.
redis_measure() {
    redis_group=$1 redis_variant=$2 redis_run=$3 redis_clients=$4 range=$5
    shift 5
    # enough requests for about BENCH_SECONDS
    as_user redis-benchmark -s "$scratch/redis.sock" -c "$redis_clients" -n $((BENCH_SECONDS * (redis_clients == 1 ? 15000 : 60000))) -r "$range" --csv "$@" 2>>"$scratch/bench.log" |
        tail -n 1 | awk -F'","' -v OFS='\t' -v g="$redis_group" -v n="$redis_variant" -v r="$redis_run" '{
            print g, n, "per second", r, $2; print g, n, "p50 ms", r, $5; print g, n, "p99 ms", r, $7 + 0 }' >>"$results"
}

ratelimit_setup() {
    dir=$scratch/ratelimit
    as_user mkdir -p "$dir"
    psql -q -d "${BENCH_DB:-postgres}" <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS taskapi;
CREATE SCHEMA IF NOT EXISTS bench;
DROP TABLE IF EXISTS bench.limit_unlogged, bench.limit_logged;
CREATE UNLOGGED TABLE bench.limit_unlogged (key text PRIMARY KEY, tat timestamptz NOT NULL) WITH (fillfactor = 50);
CREATE TABLE bench.limit_logged (key text PRIMARY KEY, tat timestamptz NOT NULL) WITH (fillfactor = 50);
SQL
    # GCRA in one upsert: T, and burst * T, as intervals
    upsert() { printf "INSERT INTO bench.limit_%s AS l VALUES (%s, clock_timestamp() + interval '%s') ON CONFLICT (key) DO UPDATE SET tat = greatest(l.tat, clock_timestamp()) + interval '%s' WHERE greatest(l.tat, clock_timestamp()) + interval '%s' <= clock_timestamp() + interval '%s' RETURNING true;\n" "$1" "$2" "$3" "$3" "$3" "$4"; }
    script() { as_user tee "$dir/$1.sql" >/dev/null; }
    for keys in hot many; do
        if [ $keys = hot ]; then set=''; a="'hot'"; d="'denied'"; else set='\set k random(1, 10000)'; a="'user:' || :k"; d="'denied:' || :k"; fi
        printf '%s\nSELECT %s;\n' "$set" "$a" | script "$keys-select"
        printf '%s\nSELECT taskapi.rate_limit_allowed(%s, 1000);\n' "$set" "$a" | script "$keys-ours"
        printf "%s\nSELECT taskapi.rate_limit_allowed(%s, 1, '1 day');\n" "$set" "$d" | script "$keys-ours-denied"
        { echo "$set"; upsert unlogged "$a" '1 microsecond' '1 second'; } | script "$keys-unlogged"
        { echo "$set"; upsert unlogged "$d" '1 day' '1 day'; } | script "$keys-unlogged-denied"
        { echo "$set"; upsert logged "$a" '1 microsecond' '1 second'; } | script "$keys-logged"
        { echo "$set"; upsert logged "$d" '1 day' '1 day'; } | script "$keys-logged-denied"
        { echo "$set"; echo 'BEGIN;'; echo "SELECT pg_advisory_xact_lock(hashtext($a));"; upsert logged "$a" '1 microsecond' '1 second'; echo 'COMMIT;'; } | script "$keys-advisory"
    done
}

start_redis() {
    stop_redis
    trap stop_redis EXIT     # scripts/bench runs this in a shell of its own, and stops the server itself
    as_user redis-server --port 0 --unixsocket "$scratch/redis.sock" --save '' --appendonly no --daemonize yes --dir "$scratch" \
        --pidfile "$scratch/redis.pid" --logfile "$scratch/redis.log" >/dev/null
    for i in 1 2 3 4 5 6 7 8 9 10; do
        as_user redis-cli -s "$scratch/redis.sock" ping >/dev/null 2>&1 && return 0
        sleep 0.3
    done
    die 'redis-server did not start'
}

stop_redis() { as_user redis-cli -s "$scratch/redis.sock" shutdown nosave >/dev/null 2>&1 || true; }

ratelimit() {
    ratelimit_setup
    start_redis
    fixed_window="local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n"
    for clients in $BENCH_CLIENTS; do
        for keys in hot many; do
            [ $keys = hot ] && label='one key' n=1 || { label='10,000 keys'; n=10000; }
            g="rate limit, $label, $clients clients"
            say "$g"
            for run in $(seq "$BENCH_RUNS"); do
                tps_and_latencies "$g" 'SELECT of the key' "$run" "$clients" "$dir/$keys-select.sql"
                tps_and_latencies "$g" 'rate_limit, allowed' "$run" "$clients" "$dir/$keys-ours.sql"
                tps_and_latencies "$g" 'rate_limit, denied' "$run" "$clients" "$dir/$keys-ours-denied.sql"
                tps_and_latencies "$g" 'UNLOGGED upsert, allowed' "$run" "$clients" "$dir/$keys-unlogged.sql"
                tps_and_latencies "$g" 'UNLOGGED upsert, denied' "$run" "$clients" "$dir/$keys-unlogged-denied.sql"
                tps_and_latencies "$g" 'logged upsert, allowed' "$run" "$clients" "$dir/$keys-logged.sql"
                tps_and_latencies "$g" 'logged upsert, denied' "$run" "$clients" "$dir/$keys-logged-denied.sql"
                tps_and_latencies "$g" 'advisory lock and logged upsert' "$run" "$clients" "$dir/$keys-advisory.sql"
                redis_measure "$g" 'Redis INCR' "$run" "$clients" $n INCR key:__rand_int__
                redis_measure "$g" 'Redis INCR with expiry (script)' "$run" "$clients" $n EVAL "$fixed_window" 1 window:__rand_int__ 1000
            done
        done
    done
    stop_redis
    ratelimit_wal
}

# What 1000 requests write to the WAL.
ratelimit_wal() {
    g='WAL of 1000 requests on one key'
    for run in $(seq "$BENCH_RUNS"); do
        for v in 'rate_limit, allowed:ours' 'rate_limit, denied:ours-denied' 'UNLOGGED upsert, allowed:unlogged' 'logged upsert, allowed:logged' 'logged upsert, denied:logged-denied'; do
            before=$(wal_bytes)
            as_user "$prefix/pgbench" -n -M prepared -t 1000 -f "$dir/hot-${v#*:}.sql" "${BENCH_DB:-postgres}" >/dev/null 2>>"$scratch/bench.log"
            record "$g" "${v%:*}" 'bytes' "$run" $(($(wal_bytes) - before))
        done
    done
}

# How many checks a second one core makes inside a statement, by the processor time of the backend; and the same without
# the check, which is what generate_series and the key cost.
ratelimit_inside() {
    ratelimit_setup
    psql -q -d "${BENCH_DB:-postgres}" -v runs="$BENCH_RUNS" <<'SQL' >>"$results"
\pset format unaligned
\pset tuples_only
\pset fieldsep '\t'
CREATE TEMP TABLE result (variant text, run int, value float8);
CREATE FUNCTION pg_temp.cpu_seconds() RETURNS float8 LANGUAGE sql VOLATILE AS $$
    -- utime and stime, in ticks of 10 ms
    SELECT (f[14]::float8 + f[15]::float8) / 100 FROM string_to_array(pg_read_file('/proc/self/stat'), ' ') f
$$;
SELECT set_config('bench.runs', :'runs', false) \g /dev/null
DO $$
DECLARE
    n constant int := 2000000;
    started float8;
    what text;
    condition text;
BEGIN
    FOR run IN 0 .. current_setting('bench.runs')::int LOOP
        FOR what, condition IN VALUES
            ('no check', 'i > 0'),
            ('one key, allowed', $q$taskapi.rate_limit_allowed('hot', 1000000)$q$),
            ('one key, denied', $q$taskapi.rate_limit_allowed('denied', 1, '1 day')$q$),
            ('10,000 keys, without the check', $q$length((i % 10000)::text) > 0$q$),
            ('10,000 keys, allowed', $q$taskapi.rate_limit_allowed((i % 10000)::text, 1000000)$q$)
        LOOP
            started := pg_temp.cpu_seconds();
            EXECUTE format('SELECT count(*) FROM generate_series(1, %s) i WHERE %s', n, condition);
            INSERT INTO result VALUES (what, run, n / (pg_temp.cpu_seconds() - started) / 1e6);
        END LOOP;
    END LOOP;
END
$$;
-- the first round warms up
SELECT 'checks inside one statement', variant, 'million per second of one core', run, value FROM result WHERE run > 0 ORDER BY run;
SQL
}
