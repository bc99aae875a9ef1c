-- A POST of one row with an Idempotency-Key, to a table whose changes are told.
\set headers '{"idempotency-key": "post-changes-' :n '"}'
BEGIN;
SELECT public.request('POST', '/fed', :'headers');
:zero
WITH t AS (INSERT INTO api.fed (project_id, title) VALUES (1, 'posted') RETURNING *) SELECT json_agg(t) AS items FROM t \gset
:dump
COMMIT;
SELECT 1 / (json_array_length(:'items') = 1)::int, 1 / count(*) FROM taskapi.idempotency_key WHERE key = 'post-changes-' || :n;
