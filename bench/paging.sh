# Paging: what a page of 50 costs at a depth of 0, ten thousand, one million and nine million rows, by each way to ask
# for it. Sourced by scripts/bench. Buffers are shared buffers hit or read by the execution, as EXPLAIN (ANALYZE, BUFFERS)
# counts them; times are its planning and execution times in milliseconds, since each statement comes with new literals.

paging() {
    say "paging: indexes and anchors"
    psql -q -d "$BENCH_DB" <<'SQL'
SET maintenance_work_mem = '1GB';
SET client_min_messages = warning;
CREATE INDEX IF NOT EXISTS bench_uniform ON tasks.task (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS bench_mixed ON tasks.task (priority DESC, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS bench_nullable ON tasks.task (due_date, id) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS bench_mixed_cursor ON tasks.task (taskapi.cursor('priority DESC, created_at, id', priority, created_at, id)) WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS bench_nullable_cursor ON tasks.task (taskapi.cursor('due_date NULLS LAST, id', due_date, id)) WHERE deleted_at IS NULL;
VACUUM ANALYZE tasks.task;
CREATE TABLE IF NOT EXISTS bench.anchor (ordering text, depth bigint, created_at timestamptz, id uuid, priority smallint, due_date date, token text, page_token text,
    PRIMARY KEY (ordering, depth));
SQL
    for depth in 0 10000 1000000 9000000; do
        [ $depth -lt $((BENCH_ROWS * 9 / 10 - 100)) ] || depth=$((BENCH_ROWS * 88 / 100))
        for o in "uniform:created_at DESC, id DESC" "mixed:priority DESC, created_at, id" "nullable:due_date, id"; do
            psql -q -d "$BENCH_DB" <<SQL
INSERT INTO bench.anchor (ordering, depth, created_at, id, priority, due_date)
SELECT '${o%%:*}', $depth, created_at, id, priority, due_date FROM tasks.task WHERE deleted_at IS NULL ORDER BY ${o#*:} OFFSET $depth LIMIT 1 ON CONFLICT DO NOTHING;
SQL
        done
    done
    psql -q -d "$BENCH_DB" <<'SQL'
UPDATE bench.anchor SET token = CASE ordering
    WHEN 'uniform' THEN taskapi.cursor_encode('created_at DESC, id DESC', created_at, id)
    WHEN 'mixed' THEN taskapi.cursor_encode('priority DESC, created_at, id', priority, created_at, id)
    ELSE taskapi.cursor_encode('due_date NULLS LAST, id', due_date, id) END;
SQL
    say "paging: $BENCH_RUNS runs"
    psql -q -d "$BENCH_DB" -v runs="$BENCH_RUNS" <<'SQL'
CREATE OR REPLACE PROCEDURE bench.paging(runs int) LANGUAGE plpgsql AS $$
DECLARE
    a bench.anchor;
    g text;
    live CONSTANT text := 'SELECT * FROM tasks.task WHERE deleted_at IS NULL';
BEGIN
    -- the first run warms the cache
    FOR run IN 0 .. runs LOOP
        FOR a IN SELECT * FROM bench.anchor ORDER BY ordering DESC, depth LOOP
            g := format('page of 50, %s order, depth %s', a.ordering, a.depth);
            IF a.ordering = 'uniform' THEN
                PERFORM bench.measure(g, 'row comparison', run, format('%s AND (created_at, id) < (%L, %L) ORDER BY created_at DESC, id DESC LIMIT 50', live, a.created_at, a.id));
                PERFORM bench.measure(g, 'cursor > token', run, format('SELECT * FROM api.tasks WHERE cursor > %L ORDER BY created_at DESC, id DESC LIMIT 50', a.token));
                PERFORM bench.measure(g, 'page_rows()', run, format('SELECT * FROM taskapi.page_rows(NULL::api.tasks, %L, 50, %L)', 'created_at DESC, id DESC', a.token));
                PERFORM bench.measure(g, 'OR', run, format('%s AND (created_at < %2$L OR created_at = %2$L AND id < %3$L) ORDER BY created_at DESC, id DESC LIMIT 50', live, a.created_at, a.id));
                PERFORM bench.measure(g, 'OFFSET', run, format('%s ORDER BY created_at DESC, id DESC OFFSET %s LIMIT 50', live, a.depth + 1));
            ELSIF a.ordering = 'mixed' THEN
                PERFORM bench.measure(g, 'branches by hand', run, format($q$(%1$s AND priority = %2$L AND (created_at, id) > (%3$L, %4$L) ORDER BY created_at, id LIMIT 50)
                    UNION ALL (%1$s AND priority < %2$L ORDER BY priority DESC, created_at, id LIMIT 50) LIMIT 50$q$, live, a.priority, a.created_at, a.id));
                PERFORM bench.measure(g, 'expression index', run, format($q$SELECT * FROM tasks.task WHERE deleted_at IS NULL AND taskapi.cursor('priority DESC, created_at, id', priority, created_at, id) > %L
                    ORDER BY taskapi.cursor('priority DESC, created_at, id', priority, created_at, id) LIMIT 50$q$, a.token));
                PERFORM bench.measure(g, 'page_rows()', run, format('SELECT * FROM taskapi.page_rows(NULL::api.tasks, %L, 50, %L)', 'priority DESC, created_at, id', a.token));
                PERFORM bench.measure(g, 'leading-column hint', run, format('%s AND priority <= %2$L AND (priority < %2$L OR priority = %2$L AND (created_at, id) > (%3$L, %4$L)) ORDER BY priority DESC, created_at, id LIMIT 50', live, a.priority, a.created_at, a.id));
                PERFORM bench.measure(g, 'OR', run, format('%s AND (priority < %2$L OR priority = %2$L AND (created_at > %3$L OR created_at = %3$L AND id > %4$L)) ORDER BY priority DESC, created_at, id LIMIT 50', live, a.priority, a.created_at, a.id));
                PERFORM bench.measure(g, 'OFFSET', run, format('%s ORDER BY priority DESC, created_at, id OFFSET %s LIMIT 50', live, a.depth + 1));
            ELSE
                IF a.due_date IS NOT NULL THEN
                    PERFORM bench.measure(g, 'branches by hand', run, format($q$(%1$s AND due_date = %2$L AND id > %3$L ORDER BY id LIMIT 50)
                        UNION ALL (%1$s AND due_date > %2$L ORDER BY due_date, id LIMIT 50) UNION ALL (%1$s AND due_date IS NULL ORDER BY id LIMIT 50) LIMIT 50$q$, live, a.due_date, a.id));
                    PERFORM bench.measure(g, 'OR', run, format('%s AND (due_date > %2$L OR due_date IS NULL OR due_date = %2$L AND id > %3$L) ORDER BY due_date, id LIMIT 50', live, a.due_date, a.id));
                ELSE
                    PERFORM bench.measure(g, 'branches by hand', run, format('%s AND due_date IS NULL AND id > %L ORDER BY id LIMIT 50', live, a.id));
                    PERFORM bench.measure(g, 'OR', run, format('%s AND (due_date IS NULL AND id > %L) ORDER BY due_date, id LIMIT 50', live, a.id));
                END IF;
                PERFORM bench.measure(g, 'expression index', run, format($q$SELECT * FROM tasks.task WHERE deleted_at IS NULL AND taskapi.cursor('due_date NULLS LAST, id', due_date, id) > %L
                    ORDER BY taskapi.cursor('due_date NULLS LAST, id', due_date, id) LIMIT 50$q$, a.token));
                PERFORM bench.measure(g, 'page_rows()', run, format('SELECT * FROM taskapi.page_rows(NULL::api.tasks, %L, 50, %L)', 'due_date, id', a.token));
                PERFORM bench.measure(g, 'OFFSET', run, format('%s ORDER BY due_date, id OFFSET %s LIMIT 50', live, a.depth + 1));
            END IF;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
CALL bench.paging(:runs);
SQL
    take_measured
}

# The same questions as an ordinary member asks them: one project, and all projects of somebody in 1, 20 and 500.
paging_as_member() {
    say "paging under row-level security"
    psql -q -d "$BENCH_DB" -v runs="$BENCH_RUNS" <<'SQL'
GRANT USAGE ON SCHEMA bench, taskapi, tasks TO api_user;
GRANT ALL ON bench.result TO api_user;
CREATE OR REPLACE PROCEDURE bench.as_member(runs int) LANGUAGE plpgsql AS $$
DECLARE
    p record;
    member uuid;
    who text;
    q text;
BEGIN
    FOR run IN 0 .. runs LOOP
        FOR p IN SELECT t.project_id, count(*) AS n FROM tasks.task t WHERE t.project_id IN (bench.id(2, 1), bench.id(2, 1000)) AND deleted_at IS NULL GROUP BY 1 LOOP
            SELECT account_id INTO member FROM tasks.membership m WHERE m.project_id = p.project_id LIMIT 1;
            q := format('SELECT * FROM api.tasks WHERE project_id = %L ORDER BY created_at DESC, id DESC LIMIT 50', p.project_id);
            PERFORM bench.measure(format('first 50 tasks of a project of %s', p.n), 'as the owner of the table', run, q);
            PERFORM set_config('request.jwt.claims', format('{"sub": "%s"}', member), true);
            SET LOCAL ROLE api_user;
            PERFORM bench.measure(format('first 50 tasks of a project of %s', p.n), 'as a member', run, q);
            RESET ROLE;
        END LOOP;
        FOREACH who IN ARRAY ARRAY['1', '2', '3'] LOOP
            PERFORM set_config('request.jwt.claims', format('{"sub": "%s"}', bench.id(1, who::int)), true);
            SET LOCAL ROLE api_user;
            PERFORM bench.measure('newest 50 tasks of a member of ' || (ARRAY['1', '20', '500'])[who::int] || ' projects', 'my_tasks', run, 'SELECT * FROM api.my_tasks()');
            PERFORM bench.measure('newest 50 tasks of a member of ' || (ARRAY['1', '20', '500'])[who::int] || ' projects', 'plain query', run, 'SELECT * FROM api.tasks ORDER BY created_at DESC, id DESC LIMIT 50');
            RESET ROLE;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
CALL bench.as_member(:runs);
SQL
    take_measured
}
