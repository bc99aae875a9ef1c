-- A PATCH of one row with If-Match.
BEGIN;
SELECT public.request('PATCH', '/item', '{"if-match": "\"1\""}');
SELECT public.item(:n) AS id \gset
:zero
WITH t AS (UPDATE api.item SET title = 'patched', priority = 7 WHERE id = :'id' RETURNING *) SELECT json_agg(t) AS items FROM t \gset
:dump
COMMIT;
SELECT 1 / (version = 2)::int FROM data.item WHERE id = :'id';
