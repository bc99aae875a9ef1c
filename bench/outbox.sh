#!/bin/sh
# bench/outbox.sh: working messages off, beside SKIP LOCKED on a status column, in one run.
#
# Both have the same messages, the same number of workers, the same batch, and no work in between. A message of the table with a
# status column is taken by UPDATE ... FOR UPDATE SKIP LOCKED and deleted when it is done. Each run works off a backlog for some
# seconds; then again while another session holds a snapshot, which keeps VACUUM from removing anything. At last a partition of a
# million messages is dropped while publishers go on: how long they wait, beside the same publishers without it. The status column keeps no order of keys; the outbox does.
#
# BENCH_PEERS=FOLDER measures pg-boss and graphile-worker of that folder as well (outbox_peers.js). BENCH_LOAD=600 does only this: so
# many seconds of load on the outbox, and 0.4 of it on the status column, a snapshot held from a tenth of it on; bench/plot draws it. On
# a machine that others use too, the messages of a second of processor tell more than those of a second.
if [ -z "${scratch:-}" ]; then      # by itself; scripts/bench has done all this
    . "$(dirname "$0")/../scripts/common.sh"
    set_up
    build
    . "$top/bench/common.sh"
fi
workers=${BENCH_WORKERS:-4}
backlog=${BENCH_BACKLOG:-1000000}
seconds=${BENCH_OUTBOX_SECONDS:-10}
hold=${BENCH_HOLD:-30}
group="outbox: messages a second, $workers workers"
start_server bench_outbox "shared_buffers = 512MB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" "synchronous_commit = off" "jit = off"

psql -q <<SQL
CREATE EXTENSION taskapi;
SELECT taskapi.create_outbox();
SELECT taskapi.create_consumer_group('g');
CREATE TABLE job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL DEFAULT 'new', topic text, key text, payload jsonb, created_at timestamptz DEFAULT now())
    WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX ON job (id) WHERE status = 'new';
CREATE TABLE worked (how text, n bigint, at timestamptz DEFAULT clock_timestamp());
-- what the processes of the server have had of the processors, in hundredths of a second
CREATE TABLE processor (ticks bigint, at timestamptz DEFAULT clock_timestamp());
-- one batch of each; how many it was
CREATE PROCEDURE work_outbox(batch int) LANGUAGE plpgsql AS \$\$
DECLARE t record;
BEGIN
    SELECT count(*) AS n, min(slot) AS slot, min(fencing_token) AS token, max(seq) AS last INTO t FROM taskapi.receive('g', 'w', batch);
    COMMIT;
    IF t.n > 0 THEN PERFORM taskapi.settle('g', t.slot, t.token, t.last); END IF;
    INSERT INTO worked (how, n) VALUES ('outbox', t.n);
END \$\$;
CREATE PROCEDURE work_status(batch int) LANGUAGE plpgsql AS \$\$
DECLARE ids bigint[];
BEGIN
    WITH taken AS (UPDATE job SET status = 'taken' WHERE id = ANY (ARRAY(SELECT id FROM job WHERE status = 'new' ORDER BY id LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING id)
    SELECT array_agg(id) INTO ids FROM taken;
    COMMIT;
    DELETE FROM job WHERE id = ANY (ids);
    INSERT INTO worked (how, n) VALUES ('status column', coalesce(cardinality(ids), 0));
END \$\$;
-- the same, without an end: a group that has read all begins again, and the other table is filled again
CREATE PROCEDURE load_outbox(batch int) LANGUAGE plpgsql AS \$\$
DECLARE t record;
BEGIN
    SELECT count(*) AS n, min(slot) AS slot, min(fencing_token) AS token, max(seq) AS last INTO t FROM taskapi.receive('g', 'w', batch);
    COMMIT;
    BEGIN
        IF t.n > 0 THEN PERFORM taskapi.settle('g', t.slot, t.token, t.last);
        ELSIF pg_try_advisory_xact_lock(1) THEN PERFORM taskapi.create_consumer_group('g', from_seq => 0);
        END IF;
    EXCEPTION WHEN SQLSTATE 'PT409' THEN NULL;
    END;
    INSERT INTO worked (how, n) VALUES ('outbox', t.n);
END \$\$;
CREATE PROCEDURE load_status(batch int) LANGUAGE plpgsql AS \$\$
BEGIN
    CALL work_status(batch);
    IF NOT EXISTS (SELECT FROM job WHERE status = 'new') AND pg_try_advisory_xact_lock(2) THEN
        INSERT INTO job (topic, key, payload) SELECT 't', 'key ' || i % 5000, jsonb_build_object('event', 'paid', 'id', i) FROM generate_series(1, 100000) i;
    END IF;
END \$\$;
SQL
# fill N: so many messages, and so many rows
fill() {
    psql -q -c "TRUNCATE worked, job" -c "SELECT taskapi.drop_consumer_group('g')" -c "SELECT taskapi.create_consumer_group('g')" -c "SELECT taskapi.extend_outbox()" \
        -c "INSERT INTO outbox.message (seq, slot, topic, key, payload) SELECT nextval('outbox.message_seq'), taskapi.outbox_slot('key ' || i % 5000), 't', 'key ' || i % 5000, jsonb_build_object('event', 'paid', 'id', i) FROM generate_series(1, $1) i" \
        -c "INSERT INTO job (topic, key, payload) SELECT 't', 'key ' || i % 5000, jsonb_build_object('event', 'paid', 'id', i) FROM generate_series(1, $1) i" \
        -c 'VACUUM ANALYZE job' -c 'ANALYZE outbox.message' >/dev/null
}
# work HOW BATCH SECONDS [load]: messages a second
work() {
    echo "CALL ${4:-work}_$(echo "$1" | cut -d' ' -f1)($2);" | as_user tee "$scratch/work.sql" >/dev/null
    psql -q -c 'TRUNCATE worked'
    as_user "$prefix/pgbench" -n -c "$workers" -j 2 -T "$3" -f "$scratch/work.sql" postgres >/dev/null 2>>"$scratch/bench.log" || die "pgbench failed"
    # up to the last one: the backlog may have an end
    psql -qAt -c "SELECT round(sum(n) / extract(epoch FROM max(at) FILTER (WHERE n > 0) - min(at))) FROM worked"
}
# prune RUN: publishers beside one DROP of a partition of a million messages, and without one
prune() {
    fill 1000000
    psql -q -c "SELECT taskapi.drop_consumer_group('g')" -c "SELECT setval('outbox.message_seq', (SELECT last_value / 1000000 + 1 FROM outbox.message_seq) * 1000000 + 10)" >/dev/null
    echo "SELECT taskapi.publish('t', 'k' || :client_id, '{}');" | as_user tee "$scratch/publish.sql" >/dev/null
    for how in without beside; do
        rm -f "$scratch"/wait.*
        [ $how = without ] || (sleep 2; psql -q -c 'CALL taskapi.maintain()') &
        (cd "$scratch" && as_user "$prefix/pgbench" -n -c 4 -j 2 -T 6 -l --log-prefix="$scratch/wait" -f "$scratch/publish.sql" postgres >/dev/null 2>>"$scratch/bench.log")
        wait
        cat "$scratch"/wait.* | cut -d' ' -f3 | sort -n | awk -v OFS='\t' -v how="publishers, $how" -v run="$1" '
            { v[NR] = $1 }
            END {
                print "outbox: pruning a million messages", how, "p99, ms", run, v[int(NR * 0.99) + 1] / 1000
                print "outbox: pruning a million messages", how, "worst, ms", run, v[NR] / 1000
            }' >>"$results"
    done
    psql -q -c "SELECT taskapi.create_consumer_group('g')" >/dev/null
}
# peers: what others make of it, from Node
peers() {
    need_node
    for run in $(seq "$BENCH_RUNS"); do
        psql -q -c 'DROP SCHEMA IF EXISTS pgboss, graphile_worker CASCADE' 2>/dev/null
        fill "$backlog"
        BENCH_PEERS=$BENCH_PEERS as_user node "$top/bench/outbox_peers.js" "$workers" 100 "$seconds" "$((backlog / 4))" >"$scratch/peers.tsv" 2>>"$scratch/bench.log" || die "outbox_peers.js failed"
        while IFS="$(printf '\t')" read -r how rate; do record "outbox: messages a second from Node, $workers workers, batch of 100" "$how" 'a second' "$run" "$rate"; done <"$scratch/peers.tsv"
    done
}
# ticks: of all the server's processes; the first one has those of the processes that have ended
ticks() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v first="$(head -n 1 "$PGDATA/postmaster.pid")" '$1 == first { n += $14 + $15 + $16 + $17 } $4 == first { n += $14 + $15 } END { print n }'; }
# load: what becomes of each while a snapshot is held
load() {
    for how in outbox 'status column'; do
        if [ "$how" = outbox ]; then length=$BENCH_LOAD; else length=$((BENCH_LOAD * 2 / 5)); fi
        fill "$backlog"
        echo "CALL load_$(echo "$how" | cut -d' ' -f1)(100);" | as_user tee "$scratch/work.sql" >/dev/null
        psql -q -c 'TRUNCATE worked, processor' -c 'CHECKPOINT'
        (while psql -q -c "INSERT INTO processor VALUES ($(ticks))" 2>/dev/null; do sleep 10; done) &
        sampler=$!
        (sleep $((BENCH_LOAD / 10)); as_user "$prefix/psql" -qX -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT 1' -c "SELECT pg_sleep($BENCH_LOAD)" postgres >/dev/null 2>&1) &
        as_user "$prefix/pgbench" -n -c "$workers" -j 2 -T "$length" -f "$scratch/work.sql" postgres >/dev/null 2>>"$scratch/bench.log" || die "pgbench failed"
        psql -qAt -F "$(printf '\t')" -c "SELECT 'outbox under load, second ' || s * 10, '$how', 'a second', 1, sum(n) / 10.0 FROM (SELECT floor(extract(epoch FROM at - (SELECT min(at) FROM worked)) / 10)::int AS s, n FROM worked) w WHERE s < $length / 10 GROUP BY s ORDER BY s" >>"$results"
        kill "$sampler"
        psql -qAt -F "$(printf '\t')" -c "
            SELECT 'outbox under load, second ' || round(extract(epoch FROM p.at - min(p.at) OVER ()) / 10) * 10, '$how', 'a processor second', 1,
                   (SELECT sum(w.n) FROM worked w WHERE w.at > p.at AND w.at <= p.next) * 100.0 / (p.next_ticks - p.ticks)
            FROM (SELECT at, ticks, lead(at) OVER (ORDER BY at) AS next, lead(ticks) OVER (ORDER BY at) AS next_ticks FROM processor) p
            WHERE p.next < (SELECT max(w.at) FROM worked w) ORDER BY p.at" >>"$results"
        psql -qAt -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND pid <> pg_backend_pid()" >/dev/null
        wait
    done
}
if [ -n "${BENCH_LOAD:-}" ]; then load; stop_server; exit; fi
for run in $(seq "$BENCH_RUNS"); do
    for batch in 10 100; do
        fill "$backlog"
        for how in outbox 'status column'; do record "$group, batch of $batch" "$how" 'a second' "$run" "$(work "$how" "$batch" "$seconds")"; done
    done
    # a snapshot is held all the time; the last third is what counts
    for how in outbox 'status column'; do
        fill "$backlog"
        as_user "$prefix/psql" -qX -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT 1' -c "SELECT pg_sleep($hold + 5)" postgres >/dev/null &
        holder=$!
        work "$how" 100 $((hold * 2 / 3)) load >/dev/null
        record "$group, batch of 100, a snapshot held for $hold s" "$how" 'a second' "$run" "$(work "$how" 100 $((hold / 3)) load)"
        wait "$holder"
    done
    prune "$run"
done
[ -z "${BENCH_PEERS:-}" ] || peers
stop_server
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
