-- A page of 100 changes.
BEGIN READ ONLY;
SELECT token FROM public.client \gset
:zero
SELECT items, next_page_token FROM taskapi.changes('api.fed', :'token', 100) \gset
:dump
SELECT 1 / (json_array_length(:'items') = 100)::int;
COMMIT;
