-- The same by hand, called as PostgREST calls a function that returns one value.
\set method POST
\set key 'goal-' :n
\set before 'SELECT byhand.pre_request(true);'
\ir goal_begin.psql
WITH source AS (SELECT byhand.create_task('goal-' || :n, json_build_object('project_id', md5('q0')::uuid, 'title', 'A new task', 'priority', 50)::jsonb) AS scalar) SELECT coalesce(json_agg(source.scalar) -> 0, 'null') AS answer FROM source \gset
COMMIT;
:dump
SELECT 1 / (:'answer' ~ 'A new task')::int;
SELECT 1 / count(*) FROM byhand.idempotency WHERE key = 'goal-' || :n;
