-- The same with the cursor of each task.
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', json_build_object('sub', md5('b1')::uuid)::text, true),
    set_config('role', 'counted_user', true);
:zero
SELECT items AS answer, next_page_token FROM task_api.tasks_page('created_at DESC, id DESC', 50, NULL, jsonb_build_object('project_id', md5('q0')::uuid), fields => '{id,project_id,assignee_id,creator_id,title,status,priority,due_date,version,created_at,updated_at,cursor}') \gset
:dump
SELECT 1 / (json_array_length(:'answer') = 50)::int;
COMMIT;
