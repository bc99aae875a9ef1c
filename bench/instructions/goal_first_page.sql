-- A GET of the first page by tasks_page(), the whole request, called as PostgREST calls a function. Its tokens lead on, so no task has a cursor.
\set method GET
\set key ''
\set path /rpc/tasks_page
SELECT jsonb_build_object('project_id', md5('q0')::uuid)::text AS filter \gset
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
SELECT coalesce(json_agg(t) -> 0, 'null') AS answer FROM (SELECT * FROM task_api.tasks_page(order_by := 'created_at DESC, id DESC'::text, page_size := '50'::int, filter := :'filter'::jsonb, fields := '{id,project_id,assignee_id,creator_id,title,status,priority,due_date,version,created_at,updated_at}'::text[])) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer'::json -> 'items') = 50)::int;
