-- Yours once created; see 10_tables.sql.
--
-- All tasks of all the caller's projects, newest first or in another order, and backwards. Asked of the tasks resource this must
-- read every one of them and sort; here each project is a branch of its own, read from the index of that order, and the branches
-- are merged. Only as many projects can contribute to a page as it has rows, namely those whose first tasks come first, and only
-- what does not come behind the first task of the last one of them. So a page costs one index descent a project, and little
-- else, however many tasks there are and however deep the page is. Fewer projects than the page has rows give no such bound:
-- each is read for as many rows as it can contribute.
--
-- It is linear in projects. What is not: a bound of each project's newest task in the caller's memberships, read from the highest
-- down until it falls below the page's last row (13 of 500 projects, 187 buffers for 1,671). It was not built: a task would
-- write a row for each member of its project whenever the bound moves, once an hour, and hold them; with 1,000 members that is
-- a POST of 1,000 updates. It would serve one order of four.
--
-- The orders are those that an index has for each project. One by title would write 150 bytes of WAL for each task, of 2,650, and
-- be as large as the largest of the others, for a list that page() sorts for one project; statuses are four, and the order by
-- hand is one of each project.
--
-- my_task_ids_by_created_at() and so on, one for each order, are made from one text. A session keeps the plans of statements that
-- stand in a function; to plan them takes twice as long as to read a page of few projects. Who adds an index adds its order
-- here, in my_task_ids() and in my_tasks().

DO $do$
DECLARE
    o     record;
    pages text[];
BEGIN
    FOR o IN
        -- What tells a row's place, what cursor_check() is told of it, and the cursors that no row comes before or behind. If the
        -- index is not of cursors: that a row comes not before, or not behind one; the index's order in both directions.
        SELECT v.*, format('taskapi.cursor(%L, %s)', v.order_by, 't.' || replace(v.keys, ', ', ', t.')) AS place
        FROM (VALUES
            ('created_at', 'created_at DESC, id DESC', 'created_at, id', 'created_at, id', 'true, NULL::timestamptz, NULL::uuid',
             'timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             'timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             '(t.created_at, t.id)'
             ' <= (taskapi.cursor_value(%1$s, 1, NULL::timestamptz), taskapi.cursor_value(%1$s, 2, NULL::uuid))',
             '(t.created_at, t.id)'
             ' >= (taskapi.cursor_value(%1$s, 1, NULL::timestamptz), taskapi.cursor_value(%1$s, 2, NULL::uuid))',
             't.created_at DESC, t.id DESC', 't.created_at, t.id'),
            ('due_date', 'due_date NULLS LAST, id', 'due_date DESC NULLS FIRST, id DESC', 'due_date, id',
             'false, NULL::date, NULL::uuid',
             'date ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             'NULL::date, uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''', NULL, NULL, NULL, NULL),
            ('priority', 'priority DESC, created_at, id', 'priority, created_at DESC, id DESC', 'priority, created_at, id',
             'true, NULL::smallint, NULL::timestamptz, NULL::uuid',
             'smallint ''32767'', timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             'smallint ''-32768'', timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             NULL, NULL, NULL, NULL),
            ('updated_at', 'updated_at DESC, id DESC', 'updated_at, id', 'updated_at, id', 'true, NULL::timestamptz, NULL::uuid',
             'timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             'timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''', NULL, NULL, NULL, NULL)
        ) v (name, order_by, backwards, keys, checked, first, last, not_before, not_behind, forth, back)
    LOOP
        pages := ARRAY(
            SELECT format($page$
        WITH branch AS MATERIALIZED (
            SELECT b.project_id, b.nth, taskapi.cursor(%2$L, %3$s) AS place
            FROM (SELECT p.project_id, first.*, row_number() OVER (ORDER BY %4$s) AS nth
                  FROM unnest(%1$s.my_project_ids()) AS p (project_id)
                  CROSS JOIN LATERAL (
                      SELECT t.%5$s
                      FROM %1$s.task t
                      WHERE t.project_id = p.project_id AND t.deleted_at IS NULL
                        AND %6$s
                        AND %7$s IS DISTINCT FROM after
                      ORDER BY %8$s
                      LIMIT 1) AS first
                  ORDER BY %4$s
                  LIMIT page_size) b
        ), final AS MATERIALIZED (
            SELECT coalesce((SELECT b.place FROM branch b WHERE b.nth = page_size), taskapi.cursor(%2$L, %9$s)) AS place
        )
        SELECT r.id
        FROM (SELECT row.*
              FROM final
              CROSS JOIN branch b
              CROSS JOIN LATERAL (
                  SELECT t.%5$s
                  FROM %1$s.task t
                  WHERE t.project_id = b.project_id AND t.deleted_at IS NULL
                    AND %10$s
                    AND %11$s
                  ORDER BY %8$s
                  LIMIT page_size - b.nth + 1) AS row) r
        ORDER BY %4$s
        LIMIT page_size$page$,
                '@data_in_quotes@', o.order_by, o.keys, w.order_by, replace(o.keys, ', ', ', t.'),
                format(w.from_here, format('coalesce(after, taskapi.cursor(%L, %s))', o.order_by, w.first)),
                o.place, w.sorted, w.last, format(w.from_here, 'b.place'), format(w.to_here, 'final.place'))
            FROM (VALUES
                (1, o.order_by, coalesce(o.not_before, o.place || ' >= %s'), coalesce(o.not_behind, o.place || ' <= %s'),
                 coalesce(o.forth, o.place), o.first, o.last),
                (2, o.backwards, coalesce(o.not_behind, o.place || ' <= %s'), coalesce(o.not_before, o.place || ' >= %s'),
                 coalesce(o.back, o.place || ' DESC'), o.last, o.first)
            ) w (nth, order_by, from_here, to_here, sorted, first, last)
            ORDER BY w.nth);
        EXECUTE format($function$
CREATE FUNCTION %1$s.%2$I(page_size int, after taskapi.cursor, backwards boolean) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.cursor_check(after, %3$L, %4$s);
    IF backwards THEN
        RETURN ARRAY(%6$s);
    END IF;
    RETURN ARRAY(%5$s);
END
$body$ $function$, '@data_in_quotes@', 'my_task_ids_by_' || o.name, o.order_by, o.checked, pages[1], pages[2]);
        EXECUTE format('COMMENT ON FUNCTION %s.%I(int, taskapi.cursor, boolean) IS %L',
                       '@data_in_quotes@', 'my_task_ids_by_' || o.name,
                       format('The first tasks of all the caller''s projects behind a cursor, or before it, in the order %s;'
                              ' for my_task_ids()', o.order_by));
    END LOOP;
END
$do$;

-- The owner's eyes are for these only.
CREATE FUNCTION @data@.my_task_ids(order_by text, page_size int, after taskapi.cursor, backwards boolean) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CASE order_by
        WHEN 'created_at' THEN RETURN @data@.my_task_ids_by_created_at(page_size, after, backwards);
        WHEN 'due_date'   THEN RETURN @data@.my_task_ids_by_due_date(page_size, after, backwards);
        WHEN 'priority'   THEN RETURN @data@.my_task_ids_by_priority(page_size, after, backwards);
        WHEN 'updated_at' THEN RETURN @data@.my_task_ids_by_updated_at(page_size, after, backwards);
    END CASE;
END
$body$;
COMMENT ON FUNCTION @data@.my_task_ids(text, int, taskapi.cursor, boolean) IS
    'The ids of a page of all tasks of all the caller''s projects, in one of four orders or backwards; for my_tasks()';

CREATE FUNCTION @api@.my_tasks(page_size int DEFAULT NULL, page_token text DEFAULT NULL, order_by text DEFAULT NULL,
                               backwards boolean DEFAULT NULL)
    RETURNS SETOF @api@.tasks
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    ordered CONSTANT text := coalesce(nullif(my_tasks.order_by, ''), 'created_at');
    after taskapi.cursor;
    size  int;
    ids   uuid[];
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    IF ordered NOT IN ('created_at', 'due_date', 'priority', 'updated_at') THEN
        PERFORM taskapi.raise_problem('invalid_order_by', 'order_by is created_at, due_date, priority or updated_at.');
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size',true),'50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    -- A cursor of another order: cursor_mismatch. In the statement below the planner would call it once more, to estimate.
    ids := @data@.my_task_ids(ordered, least(size, coalesce(current_setting('taskapi.max_page_size',true),'1000')::int),
                              after, coalesce(backwards, false));
    RETURN QUERY
    SELECT t.*
    FROM unnest(ids) WITH ORDINALITY i (id, nth)
    JOIN @api@.tasks t ON t.id = i.id
    ORDER BY i.nth;
END
$body$;
COMMENT ON FUNCTION @api@.my_tasks(int, text, text, boolean) IS
    'All tasks of all the caller''s projects, newest first, or in the order of due_date, priority or updated_at: '
    '/rpc/my_tasks?page_size=50, then &page_token=CURSOR of the last row: the column cursor, or cursor_by_due_date and so on, '
    'which select=*,cursor_by_due_date adds. With backwards=true the order from its end, or from the cursor to its start. '
    'An empty page is the end; a short one is not, since limits may cut it';
