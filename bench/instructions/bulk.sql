-- A POST of 100 rows.
BEGIN;
SELECT public.request('POST', '/item', '{}');
:zero
WITH t AS (INSERT INTO api.item (project_id, title) SELECT 2, 'bulk ' || i FROM generate_series(1, 100) i RETURNING *) SELECT count(*) AS rows FROM t \gset
:dump
COMMIT;
SELECT 1 / (:rows = 100)::int;
