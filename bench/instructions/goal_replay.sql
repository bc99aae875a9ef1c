-- A replay of a keyed POST, the whole request.
\set method POST
\set key goal-again
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
WITH source AS (INSERT INTO task_api.tasks (project_id, title, priority) VALUES (md5('q0')::uuid, 'A new task', 50) RETURNING *) SELECT coalesce(json_agg(source), '[]') AS answer FROM source \gset
COMMIT;
:dump
SELECT 1 / (count(*) = 1)::int FROM taskapi.idempotency_key WHERE key = 'goal-again';
