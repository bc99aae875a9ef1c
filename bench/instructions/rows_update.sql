-- An UPDATE of 500 rows through a resource.
BEGIN;
SELECT public.request('PATCH', '/note', '{}');
:zero
UPDATE api.note SET priority = priority + 1 WHERE batch = 1;
:dump
ROLLBACK;
