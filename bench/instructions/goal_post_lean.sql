-- The same by hand, without activity, search, labels and an order by hand.
\set method POST
\set key 'lean-' :n
\set before 'SELECT byhand.pre_request(true);'
\ir goal_begin.psql
WITH source AS (SELECT byhand.create_lean_task('lean-' || :n, json_build_object('project_id', md5('q0')::uuid, 'title', 'A new task', 'priority', 50)::jsonb) AS scalar) SELECT coalesce(json_agg(source.scalar) -> 0, 'null') AS answer FROM source \gset
COMMIT;
:dump
SELECT 1 / (:'answer' ~ 'A new task')::int;
SELECT 1 / count(*) FROM byhand.idempotency WHERE key = 'lean-' || :n;
