# Sourced by scripts/bench: what a cursor costs, and what an index on cursors costs to build.
#
# Each figure is one query over BENCH_CURSORS rows (300,000), of which the same query without the call is subtracted,
# in microseconds a row. "typical" is (timestamptz, uuid), what a task is paged by. The index is built on rows in random order,
# beside a text index on strings of the same width that differ as early, in byte order, and one on the two columns. A page is
# timed by the processor time of its backend, which Linux tells, so that what else the machine does counts little.

cursor_data() {
    psql -q -d "$BENCH_DB" -v n="${BENCH_CURSORS:-300000}" -v index_rows="${BENCH_INDEX_ROWS:-1000000}" <<'SQL'
DROP SCHEMA IF EXISTS bench_cursor CASCADE;
CREATE EXTENSION IF NOT EXISTS taskapi;
CREATE SCHEMA bench_cursor;
SET synchronous_commit = off;
CREATE UNLOGGED TABLE bench_cursor.key AS
    SELECT '2026-01-01'::timestamptz + i * interval '1 second' AS created_at, gen_random_uuid() AS id, (i % 5)::smallint AS priority, i * 1.01 AS price, 'title ' || i AS title
    FROM generate_series(1, :n) i;
CREATE UNLOGGED TABLE bench_cursor.token AS
    SELECT taskapi.cursor_encode('created_at DESC, id DESC', created_at, id) AS t, taskapi.cursor('created_at DESC, id DESC', created_at, id) AS c FROM bench_cursor.key;
CREATE UNLOGGED TABLE bench_cursor.indexed AS
    SELECT created_at, id, (random() * 4)::smallint AS p, CASE WHEN random() < 0.6 THEN created_at::date END AS due_date, encode(uuid_send(id), 'hex') || encode(substr(uuid_send(id), 1, 7), 'hex') AS t
    FROM (SELECT '2026-01-01'::timestamptz + (random() * 3e7)::int * interval '1 second' AS created_at, gen_random_uuid() AS id FROM generate_series(1, :index_rows)) s;
VACUUM ANALYZE bench_cursor.key, bench_cursor.token, bench_cursor.indexed;

-- Microseconds a row that "call" adds to counting rows of "source".
CREATE FUNCTION bench_cursor.cost(call text, plain text, source text) RETURNS float8 LANGUAGE plpgsql SET max_parallel_workers_per_gather = 0 SET jit = off AS $$
DECLARE
    started timestamptz;
    with_call interval;
    without interval;
    n bigint;
BEGIN
    started := clock_timestamp();
    EXECUTE format('SELECT count(%s) FROM bench_cursor.%I', plain, source) INTO n;
    without := clock_timestamp() - started;
    started := clock_timestamp();
    EXECUTE format('SELECT count(%s) FROM bench_cursor.%I', call, source) INTO n;
    with_call := clock_timestamp() - started;
    RETURN extract(epoch FROM with_call - without) * 1e6 / n;
END
$$;
-- Microseconds of processor time for a page of 50 rows as JSON, as an HTTP layer asks for it, with more columns.
CREATE UNLOGGED TABLE bench_cursor.task AS
    SELECT id, gen_random_uuid() AS project_id, gen_random_uuid() AS assignee_id, gen_random_uuid() AS creator_id, title, 'Some description of the ' || title AS description, 'todo'::text AS status,
           priority, '{a,b}'::text[] AS labels, created_at::date AS due_date, 1 AS version, created_at, created_at AS updated_at, NULL::timestamptz AS completed_at
    FROM bench_cursor.key LIMIT 1000;
CREATE FUNCTION bench_cursor.processor_time() RETURNS float8 LANGUAGE sql VOLATILE AS $$
    SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1000
$$;
CREATE FUNCTION bench_cursor.page(more text) RETURNS float8 LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    started float8;
    page text;
BEGIN
    EXECUTE format('PREPARE bench_page AS SELECT json_agg(t) FROM (SELECT *%s FROM bench_cursor.task LIMIT 50) t', more);
    EXECUTE 'EXECUTE bench_page' INTO page;
    started := bench_cursor.processor_time();
    FOR i IN 1 .. 500 LOOP EXECUTE 'EXECUTE bench_page' INTO page; END LOOP;
    started := bench_cursor.processor_time() - started;
    DEALLOCATE bench_page;
    RETURN started / 500;
END
$$;
CREATE FUNCTION bench_cursor.bytes(expression text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    bytes float8;
BEGIN
    EXECUTE format('CREATE INDEX sized ON bench_cursor.indexed (%s)', expression);
    bytes := pg_relation_size('bench_cursor.sized') / (SELECT count(*) FROM bench_cursor.indexed)::float8;
    DROP INDEX bench_cursor.sized;
    RETURN bytes;
END
$$;
CREATE FUNCTION bench_cursor.build(expression text) RETURNS float8 LANGUAGE plpgsql SET max_parallel_maintenance_workers = 0 SET maintenance_work_mem = '512MB' AS $$
DECLARE
    started timestamptz := clock_timestamp();
    elapsed float8;
BEGIN
    EXECUTE format('CREATE INDEX built ON bench_cursor.indexed (%s)', expression);
    elapsed := extract(epoch FROM clock_timestamp() - started);
    DROP INDEX bench_cursor.built;
    RETURN elapsed;
END
$$;
SQL
}

# cost GROUP VARIANT RUN CALL PLAIN SOURCE
cursor_cost() {
    value=$(psql -qAt -d "$BENCH_DB" -v call="$4" -v plain="$5" -v source="$6" <<'SQL'
SELECT round(bench_cursor.cost(:'call', :'plain', :'source')::numeric, 3);
SQL
    )
    record "$1" "$2" "microseconds a row" "$3" "$value"
}

cursor_build() {
    record "building an index on cursors" "$1" seconds "$2" "$(psql -qAt -d "$BENCH_DB" -v expression="$3" <<'SQL'
SELECT round(bench_cursor.build(:'expression')::numeric, 3);
SQL
    )"
}

# cursor_page VARIANT RUN COLUMNS
cursor_page() {
    record "a page of 50 as JSON" "$1" "microseconds of processor time" "$2" "$(psql -qAt -d "$BENCH_DB" -v more="$3" <<'SQL'
SELECT round(bench_cursor.page(:'more')::numeric, 1);
SQL
    )"
}

# cursor_bytes VARIANT RUN EXPRESSION
cursor_bytes() {
    record "the size of an index" "$1" "bytes a row" "$2" "$(psql -qAt -d "$BENCH_DB" -v expression="$3" <<'SQL'
SELECT round(bench_cursor.bytes(:'expression')::numeric, 1);
SQL
    )"
}

cursor_bench() {
    say "cursor: data"
    cursor_data
    for run in $(seq "$BENCH_RUNS"); do
        say "cursor: run $run"
        cursor_cost "the cost of a cursor" "construct, typical" "$run" "taskapi.cursor('created_at DESC, id DESC', created_at, id)" "id" key
        cursor_cost "the cost of a cursor" "encode, typical" "$run" "taskapi.cursor_encode('created_at DESC, id DESC', created_at, id)" "id" key
        cursor_cost "the cost of a cursor" "open, typical" "$run" "t::taskapi.cursor" "t" token
        cursor_cost "the cost of a cursor" "compare, typical" "$run" "nullif(c > c, true)" "c" token
        cursor_cost "the cost of a cursor" "encode (smallint, timestamptz, uuid)" "$run" "taskapi.cursor_encode('priority DESC, created_at, id', priority, created_at, id)" "id" key
        cursor_cost "the cost of a cursor" "encode (numeric, uuid)" "$run" "taskapi.cursor_encode('price, id', price, id)" "id" key
        cursor_cost "the cost of a cursor" "encode (text, uuid)" "$run" "taskapi.cursor_encode('title, id', title, id)" "id" key
        cursor_page "without a cursor" "$run" ""
        cursor_page "with a text of 88 characters" "$run" ", repeat('A', 88) AS cursor"
        cursor_page "with the cursor" "$run" ", taskapi.cursor('created_at DESC, id DESC', created_at, id) AS cursor"
        cursor_page "with the cursor as text" "$run" ", taskapi.cursor_encode('created_at DESC, id DESC', created_at, id) AS cursor"
        if [ "$run" = 1 ]; then
            cursor_bytes "(created_at, id)" 1 "created_at, id"
            cursor_bytes "cursor of these" 1 "taskapi.cursor('created_at DESC, id DESC', created_at, id)"
            cursor_bytes "(smallint DESC, created_at, id)" 1 "p DESC, created_at, id"
            cursor_bytes "cursor of those" 1 "taskapi.cursor('p DESC, created_at, id', p, created_at, id)"
            cursor_bytes "(due_date, id), 40 % NULL" 1 "due_date, id"
            cursor_bytes "cursor of due_date NULLS LAST, id" 1 "taskapi.cursor('due_date NULLS LAST, id', due_date, id)"
        fi
        cursor_build "text of the same width" "$run" 't COLLATE "C"'
        cursor_build "cursor" "$run" "taskapi.cursor('created_at DESC, id DESC', created_at, id)"
        cursor_build "the two columns" "$run" "created_at, id"
    done
    psql -q -d "$BENCH_DB" -c 'DROP SCHEMA bench_cursor CASCADE'
}
