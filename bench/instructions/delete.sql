-- A DELETE of one row, which is a soft one.
BEGIN;
SELECT public.request('DELETE', '/item', '{}');
SELECT public.item(1000 + :n) AS id \gset
:zero
WITH t AS (DELETE FROM api.item WHERE id = :'id' RETURNING *) SELECT json_agg(t) AS items FROM t \gset
:dump
COMMIT;
SELECT 1 / (deleted_at IS NOT NULL)::int FROM data.item WHERE id = :'id';
