-- A DELETE of a row that takes 100 others along.
BEGIN;
SELECT public.request('DELETE', '/project', '{}');
:zero
DELETE FROM api.project WHERE id = 100 + :n;
:dump
COMMIT;
SELECT 1 / (count(*) = 100)::int FROM data.item WHERE project_id = 100 + :n AND deleted_at IS NOT NULL;
