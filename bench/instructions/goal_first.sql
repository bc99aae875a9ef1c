-- A GET of the first page of a project, 50 tasks, the whole request.
\set method GET
\set key ''
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT id, project_id, assignee_id, creator_id, title, status, priority, due_date, version, created_at, updated_at, cursor FROM task_api.tasks WHERE project_id = md5('q0')::uuid ORDER BY created_at DESC, id DESC LIMIT 50) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer') = 50)::int;
