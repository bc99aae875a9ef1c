-- The same POST again: answered from the ledger.
BEGIN;
SELECT public.request('POST', '/item', '{"idempotency-key": "replayed"}');
:zero
WITH t AS (INSERT INTO api.item (project_id, title) VALUES (1, 'posted once') RETURNING *) SELECT json_agg(t) AS items FROM t \gset
:dump
COMMIT;
SELECT 1 / (count(*) = 1)::int FROM data.item WHERE title = 'posted once';
