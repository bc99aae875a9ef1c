-- Asking whether anything changed, when nothing has.
BEGIN READ ONLY;
SELECT next_page_token AS token FROM taskapi.changes('api.fed', 'latest') \gset
:zero
SELECT items FROM taskapi.changes('api.fed', :'token', 100) \gset
:dump
SELECT 1 / (json_array_length(:'items') = 0)::int;
COMMIT;
