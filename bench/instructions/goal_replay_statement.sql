-- A replay of a keyed POST, the statement alone.
BEGIN;
SELECT set_config('request.method', 'POST', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', json_build_object('sub', md5('b1')::uuid)::text, true),
    set_config('request.headers', '{"idempotency-key": "goal-once"}', true), set_config('role', 'counted_user', true);
:zero
WITH source AS (INSERT INTO task_api.tasks (project_id, title, priority) VALUES (md5('q0')::uuid, 'A new task', 50) RETURNING *) SELECT coalesce(json_agg(source), '[]') AS answer FROM source \gset
:dump
COMMIT;
SELECT 1 / (count(*) = 1)::int FROM taskapi.idempotency_key WHERE key = 'goal-once';
