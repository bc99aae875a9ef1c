#!/bin/sh
# bench/idempotency_table.sh: what keeps the table of idempotency keys small, and the purge fast.
#
# A day in fast motion: keys live for ten seconds, arrive at a steady rate, and are purged in batches of 10000 every
# second. The table is vacuumed where autovacuum would do it, once its dead rows exceed 50 + factor * rows. The
# variants differ in that factor, and in the index that the purge has.
if [ -z "${scratch:-}" ]; then      # by itself; scripts/bench has done all this
    . "$(dirname "$0")/../scripts/common.sh"
    set_up
    build
    . "$top/bench/common.sh"
fi
rate=${BENCH_RATE:-10000}
seconds=${BENCH_DAY:-40}
table=taskapi.idempotency_key
group="idempotency: the table after $seconds s, $rate keys a second, each for 10 s"

start_server bench_table "shared_buffers = 512MB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" "autovacuum = off"

value() { psql -qAtc "$1" | tail -n 1; }
clock() { date +%s%3N; }

# day VARIANT RUN FACTOR SQL: one variant, prepared by SQL; FACTOR in percent.
day() {
    psql -q -c 'SET client_min_messages = warning' -c 'DROP EXTENSION IF EXISTS taskapi' -c 'CREATE EXTENSION taskapi' -c "$4"
    dead=0 rows=0 slowest=0 inserting=0
    for _ in $(seq "$seconds"); do
        next=$(($(clock) + 1000))
        began=$(clock)
        psql -q -c "INSERT INTO $table (created_at, expires_at, fencing_token, status, completed_at, scope, key, fingerprint, body)
            SELECT now(), now() + '10 s', 0, 201, now(), format('[\"%s\",\"POST\",\"/charges\"]', g % 1000), gen_random_uuid(), sha256('x'),
                   json_build_object('id', gen_random_uuid(), 'amount', g, 'note', repeat('x', 150)) FROM generate_series(1, $rate) g"
        inserting=$((inserting + $(clock) - began)) rows=$((rows + rate))
        while began=$(clock); purged=$(value "SELECT taskapi.purge_idempotency_keys(10000)"); [ "$purged" -gt 0 ]; do
            took=$(($(clock) - began))
            [ $took -le $slowest ] || slowest=$took
            dead=$((dead + purged)) rows=$((rows - purged))
        done
        if [ $dead -gt $((50 + rows * $3 / 100)) ]; then
            psql -q -c "VACUUM $table"
            dead=0
        fi
        left=$((next - $(clock)))
        [ $left -le 0 ] || sleep "$(printf '%d.%03d' $((left / 1000)) $((left % 1000)))"
    done
    record "$group" "$1" "table, MB" "$2" "$(value "SELECT round(pg_table_size('$table') / 1e6, 1)")"
    record "$group" "$1" "indexes, MB" "$2" "$(value "SELECT round(pg_indexes_size('$table') / 1e6, 1)")"
    record "$group" "$1" "slowest batch of the purge, ms" "$2" "$slowest"
    record "$group" "$1" "inserting 10000 keys, ms" "$2" "$((inserting * 10000 / rate / seconds))"
}

index=taskapi.idempotency_key_expires_at_idx
for run in $(seq "${BENCH_DAYS:-1}"); do
    day "vacuum at 5 %" "$run" 5 ''
    day "vacuum at 2 %" "$run" 2 ''
    day "vacuum at 20 %" "$run" 20 ''
    day "5 %, BRIN" "$run" 5 "DROP INDEX $index; CREATE INDEX ON $table USING brin (expires_at) WITH (pages_per_range = 32, autosummarize = on)"
    day "5 %, no index" "$run" 5 "DROP INDEX $index"
done
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
