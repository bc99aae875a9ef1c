-- The endpoints of the task API, as statements that a layer sends for them, each with its bound in shared buffers, hit or read, of an
-- execution that finds its plans and catalogs warm. Sourced by bench/task_api.sh after task_api_data.sql.
--
-- A bound is of the answer: a page of 50 rows may stand on 50 blocks, more for those that the index leads to and deletion or the policy
-- takes away; each index is descended once, 3 to 5 blocks deep; the caller's 50 memberships are read once a statement. None grows
-- with the number of tasks by more than a level of an index.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
GRANT USAGE ON SCHEMA bench TO bench_user, bench_anonymous;
CREATE FUNCTION bench.me() RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT bench.id('account', 1) $$;
CREATE TABLE bench.endpoint (n int GENERATED ALWAYS AS IDENTITY, endpoint text, bound int, statement text, buffers int, ms numeric, indexes text[]);
-- The names in braces stand for the ids of bench.name.
INSERT INTO bench.endpoint (endpoint, bound, statement) VALUES
    ('GET /me', 10, 'SELECT * FROM api.me'),
    ('GET /users', 2000, 'SELECT * FROM api.users ORDER BY created_at, id LIMIT 50'),
    ('GET /users/ID', 1200, 'SELECT * FROM api.users WHERE id = {peer}'),
    ('GET /projects', 250, 'SELECT * FROM api.projects ORDER BY created_at DESC, id DESC LIMIT 50'),
    ('GET /projects/ID', 60, 'SELECT * FROM api.projects WHERE id = {p}'),
    ('GET /projects/ID/members', 80, 'SELECT * FROM api.members WHERE project_id = {p}'),
    ('GET /invitations', 120, 'SELECT * FROM api.invitations'),
    ('GET /projects/ID/tasks, newest first', 150, 'SELECT * FROM api.tasks WHERE project_id = {p} ORDER BY created_at DESC, id DESC LIMIT 50'),
    ('GET /projects/ID/tasks, a page deep below', 150, 'SELECT * FROM api.tasks WHERE project_id = {p} AND cursor > bench.deep(''created_at DESC, id DESC'') ORDER BY created_at DESC, id DESC LIMIT 50'),
    ('GET /projects/ID/tasks, by due date', 150, 'SELECT * FROM api.tasks t WHERE project_id = {p} ORDER BY api.cursor_by_due_date(t) LIMIT 50'),
    ('GET /projects/ID/tasks, by priority', 150, 'SELECT * FROM api.tasks t WHERE project_id = {p} ORDER BY api.cursor_by_priority(t) LIMIT 50'),
    ('GET /projects/ID/tasks, last changed first', 150, 'SELECT * FROM api.tasks t WHERE project_id = {p} ORDER BY api.cursor_by_updated_at(t) LIMIT 50'),
    ('GET /projects/ID/tasks, a column of the board', 150, 'SELECT * FROM api.tasks WHERE project_id = {p} AND status = ''todo'' ORDER BY position, id LIMIT 50'),
    ('GET /projects/ID/tasks?labels=cs.{label}', 400, 'SELECT * FROM api.tasks WHERE project_id = {p} AND labels OPERATOR(api.@>) ''{sprint5}'' ORDER BY created_at DESC, id DESC LIMIT 50'),
    ('GET /tasks?labels=cs.{label}', 400, 'SELECT * FROM api.tasks WHERE labels OPERATOR(api.@>) ''{sprint5}'' ORDER BY created_at DESC, id DESC LIMIT 50'),
    ('GET /tasks/ID', 60, 'SELECT * FROM api.tasks WHERE id = {t}'),
    ('GET /tasks?parent_id=eq.ID', 80, 'SELECT * FROM api.tasks WHERE parent_id = {parent} ORDER BY position, id'),
    ('GET /tasks?assignee_id=eq.ME', 160, 'SELECT * FROM api.tasks WHERE assignee_id = bench.me() ORDER BY created_at, id LIMIT 50'),
    ('GET /rpc/my_tasks', 1200, 'SELECT * FROM api.my_tasks(50)'),
    ('GET /rpc/my_tasks?order_by=due_date&backwards=true', 3000, 'SELECT * FROM api.my_tasks(50, order_by => ''due_date'', backwards => true)'),
    ('GET /rpc/tasks_search, a rare word in a project', 400, 'SELECT * FROM api.tasks_search(''word17'', {p})'),
    ('GET /rpc/tasks_search, a word in all projects', 2000, 'SELECT * FROM api.tasks_search(''word17'')'),
    ('GET /rpc/tasks_page, with a filter', 400, 'SELECT * FROM api.tasks_page(''created_at DESC'', 50, '''', jsonb_build_object(''project_id'', {p}, ''status'', ''todo''))'),
    ('GET /tasks/ID/comments', 120, 'SELECT * FROM api.comments WHERE task_id = {t} ORDER BY created_at, id LIMIT 50'),
    ('GET /comments/ID', 60, 'SELECT * FROM api.comments WHERE id = bench.id(''comment'', 100)'),
    ('GET /activity?task_id=eq.ID', 120, 'SELECT * FROM api.activity WHERE task_id = {t} ORDER BY id DESC LIMIT 50'),
    ('GET /projects/ID/activity', 120, 'SELECT * FROM api.activity WHERE project_id = {p} ORDER BY id DESC LIMIT 50'),
    ('GET /projects/ID/deleted_tasks', 120, 'SELECT * FROM api.deleted_tasks WHERE project_id = {p} ORDER BY deleted_at DESC, id DESC LIMIT 50'),
    ('GET /projects/ID/deleted_comments', 120, 'SELECT * FROM api.deleted_comments WHERE project_id = {p} ORDER BY deleted_at DESC, id DESC LIMIT 50'),
    ('GET /projects/ID/deleted_members', 60, 'SELECT * FROM api.deleted_members WHERE project_id = {p}'),
    ('GET /deleted_projects', 80, 'SELECT * FROM api.deleted_projects ORDER BY deleted_at DESC, id DESC LIMIT 50'),
    ('POST /projects', 250, 'INSERT INTO api.projects (name) VALUES (''new'') RETURNING *'),
    ('PATCH /projects/ID', 120, 'UPDATE api.projects SET name = ''other'' WHERE id = {p} RETURNING *'),
    ('DELETE /projects/ID, with 500 tasks and 300 comments', 100000, 'DELETE FROM api.projects WHERE id = {own}'),
    ('POST /tasks', 300, 'INSERT INTO api.tasks (project_id, title, labels) VALUES ({p}, ''new'', ''{a,b}'') RETURNING *'),
    ('POST /tasks, a subtask', 300, 'INSERT INTO api.tasks (project_id, parent_id, title) VALUES ({p}, {t}, ''new'') RETURNING *'),
    ('PATCH /tasks/ID', 350, 'UPDATE api.tasks SET title = ''other'', assignee_id = bench.me() WHERE id = {t} RETURNING *'),
    ('PATCH /tasks/ID, another parent', 350, 'UPDATE api.tasks SET parent_id = {t} WHERE id = {u} RETURNING *'),
    ('POST /rpc/move_task', 450, 'SELECT * FROM api.move_task({t}, after => {u})'),
    ('DELETE /tasks/ID', 300, 'DELETE FROM api.tasks WHERE id = {u}'),
    ('PATCH /deleted_tasks/ID', 400, 'UPDATE api.deleted_tasks SET deleted_at = NULL WHERE id = {gone}'),
    ('DELETE /deleted_tasks/ID', 400, 'DELETE FROM api.deleted_tasks WHERE id = {gone}'),
    ('POST /comments', 250, 'INSERT INTO api.comments (task_id, body) VALUES ({t}, ''new'') RETURNING *'),
    ('POST /invitations', 250, 'INSERT INTO api.invitations (project_id, email) VALUES ({own}, ''new@example.org'') RETURNING *'),
    ('POST /rpc/accept_invitation', 250, 'SELECT * FROM api.accept_invitation(''token'')'),
    ('DELETE /members, oneself', 2000, 'DELETE FROM api.members WHERE project_id = {q} AND account_id = bench.me()'),
    ('PATCH /users/ID', 3000, 'UPDATE api.users SET email = ''new@example.org'' WHERE id = bench.me()'),
    ('POST /rpc/request_password_reset', 60, 'SELECT api.request_password_reset(''a1@example.org'')'),
    ('POST /rpc/reset_password', 200, 'SELECT api.reset_password(''reset'', ''another'')'),
    ('DELETE /users/ID, oneself', 5000, 'DELETE FROM api.users WHERE id = bench.id(''account'', 100)'),
    ('the purge of an account', 20000, 'DELETE FROM api.deleted_users WHERE id = bench.id(''account'', 50)'),
    ('taskapi.maintain(), a batch of the purge', 25000, 'SELECT taskapi.purge_deleted(''28 days'', 10, pg_snapshot_xmax(pg_current_snapshot()))'),
    ('tasks.maintain(), nothing to delete', 60, 'SELECT FROM tasks.activity WHERE created_at < ''2024-01-01'' LIMIT 10000');

CREATE FUNCTION bench.deep(order_by text) RETURNS taskapi.cursor LANGUAGE sql STABLE AS $$
    SELECT taskapi.cursor_encode(order_by, t.created_at, t.id)::taskapi.cursor FROM tasks.task t
    WHERE t.project_id = (SELECT n.id FROM bench.name n WHERE n.name = 'p') AND t.deleted_at IS NULL ORDER BY t.created_at DESC, t.id DESC OFFSET 1500 LIMIT 1 $$;

-- Run the statement once so that all is warm, and once more; each is undone. Which indexes it read, within triggers and functions too.
CREATE FUNCTION bench.ask(e bench.endpoint) RETURNS bench.endpoint LANGUAGE plpgsql AS $$
DECLARE
    statement text := replace(e.statement, 'bench.deep(''created_at DESC, id DESC'')', quote_literal(bench.deep('created_at DESC, id DESC')));
    before    jsonb;
    plan      json;
BEGIN
    SELECT string_agg(coalesce(quote_literal(n.id) || '::uuid', CASE WHEN place % 2 = 0 THEN '{' || part || '}' ELSE part END), '' ORDER BY place) INTO statement
    FROM regexp_split_to_table(statement, '[{}]') WITH ORDINALITY p (part, place) LEFT JOIN bench.name n ON n.name = part AND place % 2 = 0;
    FOR run IN 1 .. 2 LOOP
        BEGIN
            PERFORM set_config('request.method', CASE WHEN e.endpoint ~ '^[A-Z]+ ' THEN split_part(e.endpoint, ' ', 1) ELSE '' END, true),
                    set_config('request.path', '/x', true),
                    set_config('request.jwt.claims', json_build_object('sub', CASE e.endpoint WHEN 'DELETE /users/ID, oneself' THEN bench.id('account', 100) ELSE bench.me() END)::text, true);
            IF e.endpoint ~ '^[A-Z]+ ' THEN
                PERFORM set_config('role', 'bench_user', true);
            ELSE
                PERFORM set_config('request.jwt.claims', '', true);
            END IF;
            SELECT jsonb_object_agg(c.oid, pg_stat_get_xact_numscans(c.oid)) INTO before FROM pg_class c WHERE c.relkind = 'i' AND c.relnamespace = 'tasks'::regnamespace;
            EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || statement INTO plan;
            e.buffers := (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
            e.ms := round((plan -> 0 ->> 'Execution Time')::numeric, 1);
            SELECT array_agg(c.relname::text ORDER BY c.relname) INTO e.indexes FROM pg_class c
            WHERE c.relkind = 'i' AND c.relnamespace = 'tasks'::regnamespace AND pg_stat_get_xact_numscans(c.oid) > (before ->> c.oid::text)::bigint;
            IF (plan -> 0 -> 'Plan' ->> 'Actual Rows')::bigint = 0 AND e.endpoint ~ '^GET' AND e.endpoint !~ 'invitations|deleted_members|deleted_projects' THEN
                RAISE EXCEPTION 'nothing was found';
            END IF;
            RAISE EXCEPTION USING ERRCODE = 'UNDO0';
        EXCEPTION
            WHEN SQLSTATE 'UNDO0' THEN NULL;
            WHEN OTHERS THEN
                e.buffers := NULL;
                RAISE WARNING '%: % %', e.endpoint, SQLERRM, statement;
        END;
    END LOOP;
    RETURN e;
END
$$;
DO $$
DECLARE
    e bench.endpoint;
BEGIN
    FOR e IN SELECT * FROM bench.endpoint ORDER BY n LOOP
        e := bench.ask(e);
        UPDATE bench.endpoint x SET buffers = e.buffers, ms = e.ms, indexes = e.indexes WHERE x.n = e.n;
    END LOOP;
END
$$;
\echo '| endpoint | buffers | at most | ms | indexes |'
\echo '| --- | --- | --- | --- | --- |'
SELECT format('| `%s` | %s | %s | %s | %s |', endpoint, buffers, bound, ms, array_to_string(indexes, ', ')) FROM bench.endpoint ORDER BY n;
\echo
\echo '| index | size | read by |'
\echo '| --- | --- | --- |'
SELECT format('| `%s` | %s | %s |', c.relname, pg_size_pretty(pg_relation_size(c.oid)),
              (SELECT coalesce(string_agg(format('`%s`', e.endpoint), ', ' ORDER BY e.n), CASE WHEN c.relname ~ '^membership_(of_(viewer|editor|owner)|deleted)$' THEN '`my_project_ids()`' ELSE 'nothing: it keeps them unique' END) FROM (SELECT * FROM bench.endpoint e WHERE c.relname::text = ANY (e.indexes) ORDER BY e.n LIMIT 3) e))
FROM pg_class c WHERE c.relkind = 'i' AND c.relnamespace = 'tasks'::regnamespace AND c.relname !~ '_by_change$|_departures_' ORDER BY c.relname;
\echo
SELECT format('over: %s reads %s buffers, more than %s', endpoint, coalesce(buffers::text, 'unknown'), bound) FROM bench.endpoint WHERE coalesce(buffers > bound, true) ORDER BY n;
-- One that is unique needs no reader; those of memberships are read by taskapi.index_values(), which PostgreSQL does not count; and
-- those of the change feed are docs/feed.md's.
SELECT format('no index is without a use but %s', c.relname) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'tasks'::regnamespace AND NOT i.indisunique AND c.relname NOT IN ('membership_of_viewer', 'membership_of_editor', 'membership_of_owner', 'membership_deleted')
  AND c.relname !~ '_by_change$|_departures_' AND NOT EXISTS (SELECT FROM bench.endpoint e WHERE c.relname::text = ANY (e.indexes));
