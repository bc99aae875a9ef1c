-- 50 rows behind a cursor, each with its own, as PostgREST asks for them.
BEGIN READ ONLY;
SELECT public.request('GET', '/item', '{}');
SELECT cursor AS token FROM api.item ORDER BY created_at DESC, id DESC OFFSET 100 LIMIT 1 \gset
:zero
SELECT count(*) AS rows, coalesce(json_agg(t), '[]') AS items FROM (SELECT id, title, cursor FROM api.item WHERE cursor > :'token' ORDER BY created_at DESC, id DESC LIMIT 50) t \gset
:dump
SELECT 1 / (:rows = 50)::int;
COMMIT;
