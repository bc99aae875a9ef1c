-- A GET of the first ten tasks of a project by a member of 50 projects.
BEGIN;
SELECT public.task_request('GET', '/tasks');
:zero
WITH t AS (SELECT id, title, status FROM task_api.tasks WHERE project_id = md5('p40')::uuid ORDER BY created_at, id LIMIT 10) SELECT json_agg(t) AS tasks FROM t \gset
:dump
COMMIT;
SELECT 1 / (json_array_length(:'tasks') = 10)::int;
