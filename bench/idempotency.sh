#!/bin/sh
# bench/idempotency.sh: what an idempotency key costs a POST, beside the usual PL/pgSQL pattern.
#
# Three functions do the same POST, a row of a table with two more indexes, and answer with it as JSON:
#   plain     the effect alone
#   ours      idempotency_begin, the effect, idempotency_complete
#   plpgsql   INSERT ... ON CONFLICT DO NOTHING of the key, the effect, UPDATE of the key's row with the response
# And a POST of one row to a resource, in the statements that PostgREST makes of it, without and with an Idempotency-Key.
if [ -z "${scratch:-}" ]; then      # by itself; scripts/bench has done all this
    . "$(dirname "$0")/../scripts/common.sh"
    set_up
    build
    . "$top/bench/common.sh"
fi
scripts=$scratch/idempotency
as_user mkdir -p "$scripts"

start_server bench "fsync = on" "shared_buffers = 512MB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" "autovacuum = off"

reset() {
    psql -q <<'SQL'
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS bench, bench_api CASCADE;
DROP EXTENSION IF EXISTS taskapi;
CREATE EXTENSION taskapi;
CREATE SCHEMA bench;
CREATE TABLE bench.charge (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int NOT NULL, amount int NOT NULL,
    note text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON bench.charge (customer);
CREATE INDEX ON bench.charge (created_at);
CREATE TABLE bench.key (scope text, key text, fingerprint bytea, status int, headers jsonb, body json,
    created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL DEFAULT now() + '24 h', PRIMARY KEY (scope, key));
CREATE INDEX ON bench.key (expires_at);

CREATE FUNCTION bench.plain(key text, request jsonb) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    made bench.charge;
BEGIN
    INSERT INTO bench.charge (customer, amount, note)
    VALUES ((request ->> 'customer')::int, (request ->> 'amount')::int, request ->> 'note') RETURNING * INTO made;
    RETURN to_json(made);
END
$$;

CREATE FUNCTION bench.ours(key text, request jsonb) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    entry taskapi.idempotency_entry;
    made bench.charge;
    response json;
BEGIN
    entry := taskapi.idempotency_begin(key, request, 'bench');
    IF entry.outcome = 'replay' THEN
        RETURN entry.body;
    END IF;
    INSERT INTO bench.charge (customer, amount, note)
    VALUES ((request ->> 'customer')::int, (request ->> 'amount')::int, request ->> 'note') RETURNING * INTO made;
    response := to_json(made);
    PERFORM taskapi.idempotency_complete(key, 201, response, scope => 'bench');
    RETURN response;
END
$$;

CREATE FUNCTION bench.plpgsql(new_key text, request jsonb) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    entry bench.key;
    digest bytea := sha256(convert_to(request::text, 'UTF8'));
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
    INSERT INTO bench.charge (customer, amount, note)
    VALUES ((request ->> 'customer')::int, (request ->> 'amount')::int, request ->> 'note') RETURNING * INTO made;
    response := to_json(made);
    UPDATE bench.key k SET status = 201, body = response WHERE k.scope = 'bench' AND k.key = new_key;
    RETURN response;
END
$$;

CREATE SCHEMA bench_api;
SELECT taskapi.expose('bench.charge', 'bench_api') \g /dev/null

SELECT count(bench.ours('replay' || i, jsonb_build_object('customer', i, 'amount', i, 'note', 'a note of an ordinary length for a charge'))),
       count(bench.plpgsql('replay' || i, jsonb_build_object('customer', i, 'amount', i, 'note', 'a note of an ordinary length for a charge')))
FROM generate_series(1, 10000) i \g /dev/null
VACUUM ANALYZE;
CHECKPOINT;
SQL
}

# left_behind: 'bytes of WAL, dead tuples' so far.
left_behind() {
    psql -qAt -c 'SELECT pg_stat_force_next_flush()' -c "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0') || ' ' ||
        (SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname IN ('bench', 'taskapi'))" | tail -n 1
}

request="jsonb_build_object('customer', :n::int, 'amount', :n::int, 'note', 'a note of an ordinary length for a charge')"
for v in plain ours plpgsql; do
    printf '\\set n random(1, 10000)\nSELECT bench.%s(gen_random_uuid()::text, %s);\n' $v "$request" | as_user tee "$scripts/$v.sql" >/dev/null
    printf '\\set n random(1, 10000)\nSELECT bench.%s(%s, %s);\n' $v "'replay' || :n::int" "$request" | as_user tee "$scripts/$v-replay.sql" >/dev/null
    printf '\\set n 1\nSELECT bench.%s(%s, %s);\n' $v "'replay1'" "$request" | as_user tee "$scripts/$v-one.sql" >/dev/null
done


# resource NAME HEADER KEY: a POST to the resource with one header.
resource() {
    as_user tee "$scripts/$1.sql" >/dev/null <<SQL
\set n random(1, 500)
BEGIN;
SELECT set_config('request.method', 'POST', true), set_config('request.path', '/charge', true),
       set_config('request.headers', json_build_object('$2', $3)::text, true), set_config('request.jwt.claims', '{"sub":"bench"}', true);
WITH source AS (INSERT INTO bench_api.charge (customer, amount, note)
    SELECT customer, amount, note FROM json_to_record(json_build_object('customer', :n::int, 'amount', :n::int, 'note', 'a note of an ordinary length for a charge'))
        AS body (customer int, amount int, note text) RETURNING *)
SELECT json_agg(source) FROM source;
COMMIT;
SQL
}
resource resource-plain x-request-id "gen_random_uuid()"
resource resource-key idempotency-key "gen_random_uuid()"
resource resource-replay idempotency-key "'resource' || :n::int"

for run in $(seq "$BENCH_RUNS"); do
    reset
    for commit in on off; do
        for clients in $BENCH_CLIENTS; do
            for v in plain ours plpgsql; do
                export PGOPTIONS="-c synchronous_commit=$commit"
                tps=$(transactions $clients "$scripts/$v.sql")
                record "idempotency: a new key, synchronous_commit=$commit, clients: $clients" "$v" tps "$run" "$tps"
                [ $v = plain ] || record "idempotency: first call and replay, synchronous_commit=$commit, clients: $clients" "$v, first" tps "$run" "$tps"
                [ $v = plain ] || record "idempotency: first call and replay, synchronous_commit=$commit, clients: $clients" "$v, replay" tps "$run" "$(transactions $clients "$scripts/$v-replay.sql")"
            done
        done
    done
    for commit in on off; do
        export PGOPTIONS="-c synchronous_commit=$commit"
        [ $commit = off ] || as_user "$prefix/pgbench" -n -M prepared -c 1 -t 5000 -f "$scripts/resource-replay.sql" postgres >/dev/null 2>>"$scratch/bench.log"
        for v in plain key replay; do
            record "idempotency: POST to a resource, synchronous_commit=$commit, clients: 8" "$v" tps "$run" "$(transactions 8 "$scripts/resource-$v.sql")"
        done
    done
    for clients in $BENCH_CLIENTS; do
        for v in ours plpgsql; do
            record "idempotency: replays of one key, $v" "clients: $clients" tps "$run" "$(transactions $clients "$scripts/$v-one.sql")"
        done
    done
    unset PGOPTIONS

    # What 1000 calls leave behind: WAL, and rows that are dead or have a dead version.
    reset
    for call in "plain plain" "ours ours" "plpgsql plpgsql" "ours,_replay ours-replay" "plpgsql,_replay plpgsql-replay"; do
        v=$(printf %s "${call% *}" | tr _ ' ')
        # pages that are touched for the first time since the checkpoint are written whole, which is not the call's doing
        as_user "$prefix/pgbench" -n -M prepared -c 1 -t 1000 -f "$scripts/${call#* }.sql" postgres >/dev/null 2>>"$scratch/bench.log"
        before=$(left_behind)
        as_user "$prefix/pgbench" -n -M prepared -c 1 -t 1000 -f "$scripts/${call#* }.sql" postgres >/dev/null 2>>"$scratch/bench.log"
        after=$(left_behind)
        record "idempotency: what a call leaves behind" "$v" "bytes of WAL" "$run" "$(((${after% *} - ${before% *}) / 1000))"
        record "idempotency: what a call leaves behind" "$v" "dead tuples in 1000 calls" "$run" "$((${after#* } - ${before#* }))"
    done
done
[ -n "${BENCH_RESULTS:-}" ] || "$top/bench/report" "$results"
