-- A GET of the page behind 1,000 tasks, the whole request.
\set method GET
\set key ''
SELECT created_at AS at, id AS after, taskapi.cursor_encode('created_at DESC, id DESC', created_at, id) AS cursor FROM byhand.task WHERE project_id = md5('q0')::uuid AND deleted_at IS NULL ORDER BY created_at DESC, id DESC OFFSET 999 LIMIT 1 \gset
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT id, project_id, assignee_id, creator_id, title, status, priority, due_date, version, created_at, updated_at, cursor FROM task_api.tasks WHERE project_id = md5('q0')::uuid AND cursor > :'cursor' ORDER BY created_at DESC, id DESC LIMIT 50) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer') = 50)::int;
