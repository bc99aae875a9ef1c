-- The same by hand, with OFFSET.
\set method GET
\set key ''
\set before 'SELECT byhand.pre_request(true);'
\ir goal_begin.psql
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT id, project_id, assignee_id, creator_id, title, status, priority, due_date, version, created_at, updated_at FROM byhand.task WHERE project_id = md5('q0')::uuid AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 50 OFFSET 1000) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer') = 50)::int;
