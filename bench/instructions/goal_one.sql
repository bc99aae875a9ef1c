-- A GET of one task, the whole request.
\set method GET
\set key ''
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
SELECT coalesce(json_agg(t), '[]') AS answer FROM (SELECT * FROM task_api.tasks WHERE id = md5('goal task 600')::uuid) t \gset
COMMIT;
:dump
SELECT 1 / (json_array_length(:'answer') = 1)::int;
