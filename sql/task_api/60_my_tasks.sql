-- Yours once created; see 10_tables.sql.
--
-- All tasks of all the caller's projects, newest first. Asked of the tasks resource this must read every one of them
-- and sort; here each project is a branch of its own, read newest first from task_by_created_at, and the branches are
-- merged. Only as many projects can contribute to a page as it has rows, namely those with the newest tasks, and only
-- what is not older than the newest task of the last one of them. So a page costs one index descent a project, and
-- little else, however many tasks there are and however deep the page is.

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

CREATE FUNCTION @api@.my_tasks(page_size int DEFAULT NULL, page_token text DEFAULT NULL) RETURNS SETOF @api@.tasks
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    after taskapi.cursor;
    size  int;
    ids   uuid[];
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size',true),'50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    -- A cursor of another order: cursor_mismatch.
    PERFORM taskapi.cursor_check(after, 'created_at DESC, id DESC', true, NULL::timestamptz, NULL::uuid);
    ids := @data@.my_newest_task_ids(
        least(size, coalesce(current_setting('taskapi.max_page_size',true),'1000')::int),
        coalesce(taskapi.cursor_value(after, 1, NULL::timestamptz), 'infinity'),
        coalesce(taskapi.cursor_value(after, 2, NULL::uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff'));
    RETURN QUERY SELECT * FROM @api@.tasks t WHERE t.id = ANY (ids) ORDER BY t.created_at DESC, t.id DESC;
END
$body$;
COMMENT ON FUNCTION @api@.my_tasks(int, text) IS
    'All tasks of all the caller''s projects, newest first: /rpc/my_tasks?page_size=50, then &page_token=CURSOR, the '
    'column cursor of the last row. An empty page is the end; a short one is not, since limits may cut it';
