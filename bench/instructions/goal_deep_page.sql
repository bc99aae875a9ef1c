-- The same of the page behind 1,000 tasks.
\set method GET
\set key ''
\set path /rpc/tasks_page
SELECT jsonb_build_object('project_id', md5('q0')::uuid)::text AS filter \gset
SELECT set_config('request.jwt.claims', json_build_object('sub', md5('b1')::uuid)::text, false), set_config('role', 'counted_user', false);
SELECT next_page_token AS token FROM task_api.tasks_page('created_at DESC, id DESC', 1000, filter => :'filter') \gset
RESET ROLE;
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
SELECT coalesce(json_agg(t) -> 0, 'null') AS answer FROM (SELECT * FROM task_api.tasks_page(order_by := 'created_at DESC, id DESC'::text, page_size := '50'::int, page_token := :'token'::text, filter := :'filter'::jsonb, fields := '{id,project_id,assignee_id,creator_id,title,status,priority,due_date,version,created_at,updated_at}'::text[])) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer'::json -> 'items') = 50)::int;
