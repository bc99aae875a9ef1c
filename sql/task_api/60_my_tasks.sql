-- Yours once created; see 10_tables.sql.
--
-- All tasks of all the caller's projects, newest first or in another order. Asked of the tasks resource this must read every one
-- of them and sort; here each project is a branch of its own, read newest first from task_by_created_at, and the branches are
-- merged. Only as many projects can contribute to a page as it has rows, namely those with the newest tasks, and only
-- what is not older than the newest task of the last one of them. So a page costs one index descent a project, and
-- little else, however many tasks there are and however deep the page is.
--
-- It is linear in projects. What is not: a bound of each project's newest task in the caller's memberships, read from the highest
-- down until it falls below the page's last row (13 of 500 projects, 187 buffers for 1,671). It was not built: a task would
-- write a row for each member of its project whenever the bound moves, once an hour, and hold them; with 1,000 members that is
-- a POST of 1,000 updates. It would serve one order of four.

CREATE FUNCTION @data@.my_newest_task_ids(page_size int, before_created_at timestamptz, before_id uuid) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN ARRAY(
        WITH branch AS MATERIALIZED (
            SELECT p.project_id, newest.created_at, newest.id,
                   row_number() OVER (ORDER BY newest.created_at DESC, newest.id DESC) AS place
            FROM unnest(@data@.my_project_ids()) AS p (project_id)
            CROSS JOIN LATERAL (
                SELECT t.created_at, t.id
                FROM @data@.task t
                WHERE t.project_id = p.project_id AND t.deleted_at IS NULL
                  AND (t.created_at, t.id) < (before_created_at, before_id)
                ORDER BY t.created_at DESC, t.id DESC
                LIMIT 1) AS newest
            ORDER BY newest.created_at DESC, newest.id DESC
            LIMIT page_size
        ), oldest AS MATERIALIZED (
            SELECT coalesce((SELECT b.created_at FROM branch b WHERE b.place = page_size), '-infinity') AS created_at
        )
        SELECT row.id
        FROM oldest
        CROSS JOIN branch b
        CROSS JOIN LATERAL (
            SELECT t.created_at, t.id
            FROM @data@.task t
            WHERE t.project_id = b.project_id AND t.deleted_at IS NULL
              AND (t.created_at, t.id) <= (b.created_at, b.id) AND t.created_at >= oldest.created_at
            ORDER BY t.created_at DESC, t.id DESC
            LIMIT page_size - b.place + 1) AS row
        ORDER BY row.created_at DESC, row.id DESC
        LIMIT page_size);
END
$body$;
COMMENT ON FUNCTION @data@.my_newest_task_ids(int, timestamptz, uuid) IS
    'The newest tasks of all the caller''s projects that come before the given one; for my_tasks()';

-- The same in the other orders whose cursors are indexed by project: the branches are merged by their cursors, which stand
-- here as the indexes have them.

CREATE FUNCTION @data@.my_task_ids_by(order_by text, page_size int, after taskapi.cursor) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    data     CONSTANT text := '@data_in_quotes@';
    term     CONSTANT text := CASE order_by
        WHEN 'due_date NULLS LAST, id' THEN $$taskapi.cursor('due_date NULLS LAST, id', t.due_date, t.id)$$
        WHEN 'priority DESC, created_at, id' THEN
            $$taskapi.cursor('priority DESC, created_at, id', t.priority, t.created_at, t.id)$$
        WHEN 'updated_at DESC, id DESC' THEN $$taskapi.cursor('updated_at DESC, id DESC', t.updated_at, t.id)$$
    END;
    projects uuid[];
    starts   taskapi.cursor[];
    ids      uuid[];
BEGIN
    IF term IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_order_by', 'There is no index for that order.');
    END IF;
    EXECUTE format($query$
        SELECT array_agg(b.project_id ORDER BY b.start), array_agg(b.start ORDER BY b.start)
        FROM (SELECT p.project_id, first.start
              FROM unnest($1) AS p (project_id)
              CROSS JOIN LATERAL (
                  SELECT %1$s AS start
                  FROM %3$s.task t
                  WHERE t.project_id = p.project_id AND t.deleted_at IS NULL %2$s
                  ORDER BY %1$s LIMIT 1) AS first
              ORDER BY first.start LIMIT $2) b $query$,
        term, CASE WHEN after IS NOT NULL THEN format('AND %s > $3', term) END, data)
        INTO projects, starts USING @data@.my_project_ids(), page_size, after;
    EXECUTE format($query$
        SELECT array_agg(r.id ORDER BY r.place)
        FROM (SELECT row.id, row.place
              FROM unnest($1, $2) WITH ORDINALITY AS b (project_id, start, nth)
              CROSS JOIN LATERAL (
                  SELECT t.id, %1$s AS place
                  FROM %3$s.task t
                  WHERE t.project_id = b.project_id AND t.deleted_at IS NULL AND %1$s >= b.start %2$s
                  ORDER BY %1$s LIMIT $3 - b.nth + 1) AS row
              ORDER BY row.place LIMIT $3) r $query$,
        term, CASE WHEN cardinality(projects) = page_size THEN format('AND %s <= $4', term) END, data)
        INTO ids USING projects, starts, page_size, starts[page_size];
    RETURN coalesce(ids, '{}');
END
$body$;
COMMENT ON FUNCTION @data@.my_task_ids_by(text, int, taskapi.cursor) IS
    'The first tasks of all the caller''s projects behind a cursor, in an order that has an index on its cursor';

-- The orders. The owner's eyes are for these only; who adds an index on a cursor adds its order here and above.
CREATE FUNCTION @data@.my_task_ids(order_by text, page_size int, after taskapi.cursor) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CASE order_by
        WHEN 'created_at DESC, id DESC' THEN
            PERFORM taskapi.cursor_check(after, order_by, true, NULL::timestamptz, NULL::uuid);
            RETURN @data@.my_newest_task_ids(page_size, coalesce(taskapi.cursor_value(after, 1, NULL::timestamptz), 'infinity'),
                                             coalesce(taskapi.cursor_value(after, 2, NULL::uuid),
                                                      'ffffffff-ffff-ffff-ffff-ffffffffffff'));
        WHEN 'due_date NULLS LAST, id' THEN
            PERFORM taskapi.cursor_check(after, order_by, false, NULL::date, NULL::uuid);
            RETURN @data@.my_task_ids_by(order_by, page_size, after);
        WHEN 'priority DESC, created_at, id' THEN
            PERFORM taskapi.cursor_check(after, order_by, true, NULL::smallint, NULL::timestamptz, NULL::uuid);
            RETURN @data@.my_task_ids_by(order_by, page_size, after);
        WHEN 'updated_at DESC, id DESC' THEN
            PERFORM taskapi.cursor_check(after, order_by, true, NULL::timestamptz, NULL::uuid);
            RETURN @data@.my_task_ids_by(order_by, page_size, after);
    END CASE;
END
$body$;
COMMENT ON FUNCTION @data@.my_task_ids(text, int, taskapi.cursor) IS
    'The ids of a page of all tasks of all the caller''s projects, in one of four orders; for my_tasks()';

CREATE FUNCTION @api@.my_tasks(page_size int DEFAULT NULL, page_token text DEFAULT NULL, order_by text DEFAULT NULL)
    RETURNS SETOF @api@.tasks
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    ordered CONSTANT text := CASE coalesce(nullif(my_tasks.order_by, ''), 'created_at')
                                 WHEN 'created_at' THEN 'created_at DESC, id DESC'
                                 WHEN 'due_date'   THEN 'due_date NULLS LAST, id'
                                 WHEN 'priority'   THEN 'priority DESC, created_at, id'
                                 WHEN 'updated_at' THEN 'updated_at DESC, id DESC'
                             END;
    after taskapi.cursor;
    size  int;
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    IF ordered IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_order_by', 'order_by is created_at, due_date, priority or updated_at.');
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size',true),'50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    -- A cursor of another order: cursor_mismatch.
    RETURN QUERY
    SELECT t.*
    FROM unnest(@data@.my_task_ids(ordered, least(size, coalesce(current_setting('taskapi.max_page_size',true),'1000')::int),
                                   after)) WITH ORDINALITY i (id, nth)
    JOIN @api@.tasks t ON t.id = i.id
    ORDER BY i.nth;
END
$body$;
COMMENT ON FUNCTION @api@.my_tasks(int, text, text) IS
    'All tasks of all the caller''s projects, newest first, or in the order of due_date, priority or updated_at: '
    '/rpc/my_tasks?page_size=50, then &page_token=CURSOR of the last row: the column cursor, or cursor_by_due_date and so on, '
    'which select=*,cursor_by_due_date adds. An empty page is the end; a short one is not, since limits may cut it';
