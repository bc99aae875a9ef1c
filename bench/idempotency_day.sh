#!/bin/sh
# bench/idempotency_day.sh: a day's idempotency keys, and the purge while requests come in.
#
# A day in fast motion: BENCH_DAY seconds (20) stand for it, and BENCH_KEYS keys (one million) arrive in its 96 quarters of an hour, each
# quarter's at once. They live for six hours, so that three quarters of them are purged before the day ends. Meanwhile two clients POST
# under new keys, 100 times a second; theirs are the latencies. Where the machine cannot keep up the day lasts longer. Variants:
#   ours             taskapi.purge_idempotency_keys() after each quarter of an hour, autovacuum by the ledger's own settings
#   no purge         the same ledger, where the keys pile up
#   by hand          the usual table, by insert-then-update, a DELETE of what has expired, autovacuum by default settings
if [ -z "${scratch:-}" ]; then      # by itself; scripts/bench has done all this
    . "$(dirname "$0")/../scripts/common.sh"
    set_up
    build
    . "$top/bench/common.sh"
fi
day=${BENCH_DAY:-20}
rows=${BENCH_ROWS:-1000000}
keys=${BENCH_KEYS:-$((rows < 1000000 ? rows : 1000000))}
batch=$((keys / 96))
group="a day of $((batch * 96)) idempotency keys"

start_server bench_day "shared_buffers = 1GB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" 'fsync = on' 'autovacuum_naptime = 1s'
BENCH_DB=postgres

prepare() {
    psql -q <<'SQL'
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS bench CASCADE;
DROP EXTENSION IF EXISTS taskapi;
CREATE EXTENSION taskapi;
CREATE SCHEMA bench;
CREATE TABLE bench.charge (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int NOT NULL, amount int NOT NULL);
CREATE TABLE bench.key (scope text, key text, fingerprint bytea, status int, body json, created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + '24 h', PRIMARY KEY (scope, key));
CREATE INDEX ON bench.key (expires_at);

CREATE FUNCTION bench.post_ours(new_key text, customer int) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    entry taskapi.idempotency_entry;
    made bench.charge;
    response json;
BEGIN
    entry := taskapi.idempotency_begin(new_key, jsonb_build_object('customer', customer), 'bench');
    IF entry.outcome = 'replay' THEN
        RETURN entry.body;
    END IF;
    INSERT INTO bench.charge AS c (customer, amount) VALUES (post_ours.customer, 1) RETURNING * INTO made;
    response := to_json(made);
    PERFORM taskapi.idempotency_complete(new_key, 201, response, scope => 'bench');
    RETURN response;
END
$$;
CREATE FUNCTION bench.post_byhand(new_key text, customer int) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    digest bytea := sha256(convert_to(jsonb_build_object('customer', customer)::text, 'UTF8'));
    entry bench.key;
    made bench.charge;
    response json;
BEGIN
    INSERT INTO bench.key (scope, key, fingerprint) VALUES ('bench', new_key, digest) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO entry FROM bench.key k WHERE k.scope = 'bench' AND k.key = new_key;
        IF entry.fingerprint <> digest THEN
            RAISE EXCEPTION 'key reused';
        END IF;
        RETURN entry.body;
    END IF;
    INSERT INTO bench.charge AS c (customer, amount) VALUES (post_byhand.customer, 1) RETURNING * INTO made;
    response := to_json(made);
    UPDATE bench.key k SET status = 201, body = response WHERE k.scope = 'bench' AND k.key = new_key;
    RETURN response;
END
$$;

-- So many keys at once, as the calls would have left them: ours are written once, the others twice.
CREATE VIEW bench.arriving AS
    SELECT g, format('["%s","POST","/charges"]', g % 1000) AS scope, gen_random_uuid()::text AS key, sha256('x') AS fingerprint,
           json_build_object('id', gen_random_uuid(), 'amount', g, 'note', repeat('x', 150)) AS body FROM (SELECT generate_series(1, 1000000) AS g) s;   -- here it makes no more than are taken
CREATE FUNCTION bench.arrive_ours(n int, life interval) RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskapi.idempotency_key (created_at, expires_at, fencing_token, status, completed_at, scope, key, fingerprint, body)
    SELECT now(), now() + life, 0, 201, now(), a.scope, a.key, a.fingerprint, a.body FROM bench.arriving a LIMIT n
$$;
CREATE FUNCTION bench.arrive_byhand(n int, life interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE arriving ON COMMIT DROP AS SELECT * FROM bench.arriving a LIMIT n;
    INSERT INTO bench.key (scope, key, fingerprint, expires_at) SELECT a.scope, a.key, a.fingerprint, now() + life FROM arriving a;
    UPDATE bench.key k SET status = 201, body = a.body FROM arriving a WHERE k.scope = a.scope AND k.key = a.key;
END
$$;

CREATE TABLE bench.purge (purged bigint, took interval);
CREATE FUNCTION bench.purge_ours() RETURNS bigint LANGUAGE sql AS $$ SELECT taskapi.purge_idempotency_keys(100000) $$;
CREATE FUNCTION bench.purge_byhand() RETURNS bigint LANGUAGE sql AS $$ WITH gone AS (DELETE FROM bench.key WHERE expires_at <= statement_timestamp() RETURNING 1) SELECT count(*) FROM gone $$;
CREATE FUNCTION bench.purge_none() RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint $$;
CREATE FUNCTION bench.sample(variant text, ledger regclass, run int, hour int) RETURNS TABLE (grp text, variant text, metric text, run int, value float8) LANGUAGE sql AS $$
    SELECT format('growth with hours: the ledger and its indexes, at %s', hour), variant, 'MB', run, pg_total_relation_size(ledger) / 1e6
$$;
CREATE TABLE bench.began AS SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn() AS wal;
-- Six hours at the pace of the day so far: the clock's, or a slower one where the machine does not keep up.
CREATE FUNCTION bench.life(day interval, quarters_done int) RETURNS interval LANGUAGE sql AS $$
    SELECT greatest(day / 4, (clock_timestamp() - at) * 24 / greatest(quarters_done, 1)) FROM bench.began
$$;
SQL
}

# one_day VARIANT RUN TABLE SIDE PURGE
one_day() {
    prepare
    {
        printf '\\pset format unaligned\n\\pset tuples_only\n\\pset fieldsep \047\t\047\n'
        quarter=1
        while [ $quarter -le 96 ]; do
            echo "SELECT bench.arrive_$4($batch, bench.life('$day s', $((quarter - 1)))) \g /dev/null"
            echo "WITH s AS MATERIALIZED (SELECT clock_timestamp() AS at), p AS MATERIALIZED (SELECT bench.purge_$5() AS purged FROM s) INSERT INTO bench.purge SELECT p.purged, clock_timestamp() - s.at FROM s, p;"
            [ $((quarter % 12)) != 0 ] || [ $quarter -lt 24 ] || echo "SELECT * FROM bench.sample('$1', '$3', $2, $((quarter / 4)));"
            echo "SELECT pg_sleep(greatest(0, extract(epoch FROM at - clock_timestamp()) + $day.0 * $quarter / 96)) FROM bench.began \g /dev/null"
            quarter=$((quarter + 1))
        done
        cat <<SQL
SELECT pg_stat_force_next_flush() \g /dev/null
SELECT '$group', '$1', metric, $2, value FROM (
    SELECT 'table, MB' AS metric, pg_table_size('$3') / 1e6 AS value
    UNION ALL SELECT 'indexes, MB', pg_indexes_size('$3') / 1e6
    UNION ALL SELECT 'dead tuples at the end', n_dead_tup FROM pg_stat_user_tables WHERE relid = '$3'::regclass
    UNION ALL SELECT 'bytes of WAL a key', (pg_current_wal_insert_lsn() - wal) / ($batch * 96.0) FROM bench.began
    UNION ALL SELECT 'microseconds of purge a key', extract(epoch FROM sum(took)) * 1e6 / nullif(sum(purged), 0) FROM bench.purge
    UNION ALL SELECT 'slowest purge, ms', extract(epoch FROM max(took)) * 1e3 FROM bench.purge HAVING sum(purged) > 0
    UNION ALL SELECT 'seconds the day took', extract(epoch FROM clock_timestamp() - at) FROM bench.began) s WHERE value IS NOT NULL;
SQL
    } | as_user tee "$scratch/day.sql" >/dev/null
    printf '\\set n random(1, 1000)\nSELECT bench.post_%s(gen_random_uuid()::text, :n::int);\n' "$4" | as_user tee "$scratch/day_post.sql" >/dev/null
    psql -q -f "$scratch/day.sql" >>"$results" &
    script=$!
    BENCH_SECONDS=$day measure "$group" "$1" "$2" 2 "$scratch/day_post.sql" -R 100
    wait $script
    psql -qAtc "SELECT 'purged ' || sum(purged) FROM bench.purge" >>"$scratch/bench.log"
}

for run in $(seq "$BENCH_RUNS"); do
    say "a day's keys: run $run"
    one_day 'by hand' "$run" bench.key byhand byhand
    one_day 'ours' "$run" taskapi.idempotency_key ours ours
    one_day 'no purge' "$run" taskapi.idempotency_key ours none
done
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
