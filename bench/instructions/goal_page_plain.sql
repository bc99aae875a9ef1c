-- The same by json_agg(), without cursors.
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', json_build_object('sub', md5('b1')::uuid)::text, true),
    set_config('role', 'counted_user', true);
:zero
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT id, project_id, assignee_id, creator_id, title, status, priority, due_date, version, created_at, updated_at FROM task_api.tasks WHERE project_id = md5('q0')::uuid ORDER BY created_at DESC, id DESC LIMIT 50) t \gset
:dump
SELECT 1 / (json_array_length(:'answer') = 50)::int;
COMMIT;
