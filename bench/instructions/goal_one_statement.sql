-- A GET of one task, the statement alone.
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', json_build_object('sub', md5('b1')::uuid)::text, true),
    set_config('role', 'counted_user', true);
:zero
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT * FROM task_api.tasks WHERE id = md5('goal task 600')::uuid) t \gset
:dump
SELECT 1 / (json_array_length(:'answer') = 1)::int;
COMMIT;
