-- A POST of a task by a member of 50 projects: the policies of INSERT and of RETURNING.
BEGIN;
SELECT public.task_request('POST', '/tasks');
:zero
WITH t AS (INSERT INTO task_api.tasks (project_id, title) VALUES (md5('p20')::uuid, 'posted') RETURNING *) SELECT json_agg(t) AS tasks FROM t \gset
:dump
COMMIT;
SELECT 1 / (json_array_length(:'tasks') = 1)::int;
