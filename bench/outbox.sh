#!/bin/sh
# bench/outbox.sh: working messages off, beside SKIP LOCKED on a status column, in one run.
#
# Both have the same messages, the same number of workers, the same batch, and no work in between. A message of the table with a
# status column is taken by UPDATE ... FOR UPDATE SKIP LOCKED and deleted when it is done. Each run works off a backlog for some
# seconds; then again while another session holds a snapshot, which keeps VACUUM from removing anything. At last a partition of a
# million messages is dropped while publishers go on: the worst wait of one of them.
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
CREATE TABLE worked (how text, n bigint);
-- one batch of each; how many it was
CREATE PROCEDURE work_outbox(batch int) LANGUAGE plpgsql AS \$\$
DECLARE t record;
BEGIN
    SELECT count(*) AS n, min(slot) AS slot, min(fencing_token) AS token, max(seq) AS last INTO t FROM taskapi.receive('g', 'w', batch);
    COMMIT;
    IF t.n > 0 THEN PERFORM taskapi.settle('g', t.slot, t.token, t.last); END IF;
    INSERT INTO worked VALUES ('outbox', t.n);
END \$\$;
CREATE PROCEDURE work_status(batch int) LANGUAGE plpgsql AS \$\$
DECLARE ids bigint[];
BEGIN
    WITH taken AS (UPDATE job SET status = 'taken' WHERE id = ANY (ARRAY(SELECT id FROM job WHERE status = 'new' ORDER BY id LIMIT batch FOR UPDATE SKIP LOCKED)) RETURNING id)
    SELECT array_agg(id) INTO ids FROM taken;
    COMMIT;
    DELETE FROM job WHERE id = ANY (ids);
    INSERT INTO worked VALUES ('status column', coalesce(cardinality(ids), 0));
END \$\$;
SQL
# fill N: so many messages, and so many rows
fill() {
    psql -q -c "TRUNCATE worked, job" -c "SELECT taskapi.drop_consumer_group('g')" -c "SELECT taskapi.create_consumer_group('g')" -c "SELECT taskapi.extend_outbox()" \
        -c "INSERT INTO outbox.message (seq, slot, topic, key, payload) SELECT nextval('outbox.message_seq'), taskapi.outbox_slot('key ' || i % 5000), 't', 'key ' || i % 5000, jsonb_build_object('event', 'paid', 'id', i) FROM generate_series(1, $1) i" \
        -c "INSERT INTO job (topic, key, payload) SELECT 't', 'key ' || i % 5000, jsonb_build_object('event', 'paid', 'id', i) FROM generate_series(1, $1) i" \
        -c 'VACUUM ANALYZE job' -c 'ANALYZE outbox.message' >/dev/null
}
# work HOW BATCH SECONDS: messages a second
work() {
    echo "CALL work_$(echo "$1" | cut -d' ' -f1)($2);" | as_user tee "$scratch/work.sql" >/dev/null
    psql -q -c 'TRUNCATE worked'
    as_user "$prefix/pgbench" -n -c "$workers" -j 2 -T "$3" -f "$scratch/work.sql" postgres >/dev/null 2>>"$scratch/bench.log" || die "pgbench failed"
    psql -qAt -c "SELECT sum(n) / $3 FROM worked"
}
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
        work "$how" 100 $((hold * 2 / 3)) >/dev/null
        record "$group, batch of 100, a snapshot held for $hold s" "$how" 'a second' "$run" "$(work "$how" 100 $((hold / 3)))"
        wait "$holder"
    done
    # publishers, beside one DROP of a partition of a million messages
    fill 1000000
    psql -q -c "SELECT taskapi.drop_consumer_group('g')" -c "SELECT setval('outbox.message_seq', (SELECT last_value / 1000000 + 1 FROM outbox.message_seq) * 1000000 + 10)" >/dev/null
    echo "SELECT taskapi.publish('t', 'k' || :client_id, '{}');" | as_user tee "$scratch/publish.sql" >/dev/null
    rm -f "$scratch"/wait.*
    (sleep 2; psql -q -c 'CALL taskapi.maintain()') &
    (cd "$scratch" && as_user "$prefix/pgbench" -n -c 4 -j 2 -T 6 -l --log-prefix="$scratch/wait" -f "$scratch/publish.sql" postgres >/dev/null 2>>"$scratch/bench.log")
    wait
    record 'outbox: pruning a million messages' 'publishers' 'worst wait, ms' "$run" "$(cat "$scratch"/wait.* | cut -d' ' -f3 | sort -n | tail -n 1 | awk '{ print $1 / 1000 }')"
    psql -q -c "SELECT taskapi.create_consumer_group('g')" >/dev/null
done
stop_server
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
