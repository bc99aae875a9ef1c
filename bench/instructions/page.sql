-- A page of 50 rows in the middle of a walk.
BEGIN READ ONLY;
SELECT next_page_token AS token FROM taskapi.page('data.item', 'created_at DESC, id DESC', 50) \gset
:zero
SELECT items, next_page_token FROM taskapi.page('data.item', 'created_at DESC, id DESC', 50, :'token') \gset
:dump
SELECT 1 / (json_array_length(:'items') = 50)::int;
COMMIT;
