-- A POST of one row with an Idempotency-Key.
\set headers '{"idempotency-key": "post-' :n '"}'
BEGIN;
SELECT public.request('POST', '/item', :'headers');
:zero
WITH t AS (INSERT INTO api.item (project_id, title) VALUES (1, 'posted') RETURNING *) SELECT json_agg(t) AS items FROM t \gset
:dump
COMMIT;
SELECT 1 / (json_array_length(:'items') = 1)::int, 1 / count(*) FROM taskapi.idempotency_key WHERE key = 'post-' || :n;
