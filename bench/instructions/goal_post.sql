-- A keyed POST of a task, the whole request: bearer token, limit, key, policies, answer. The caller belongs to five projects.
\set method POST
\set key 'goal-' :n
\set before 'SELECT taskapi.pre_request();'
\ir goal_begin.psql
WITH source AS (INSERT INTO task_api.tasks (project_id, title, priority) VALUES (md5('q0')::uuid, 'A new task', 50) RETURNING *) SELECT coalesce(json_agg(source), '[]') AS answer FROM source \gset
COMMIT;
:dump
SELECT 1 / (:'answer' ~ 'A new task')::int;
SELECT 1 / count(*) FROM taskapi.idempotency_key WHERE key = 'goal-' || :n;
