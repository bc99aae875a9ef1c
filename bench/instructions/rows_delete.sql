-- A soft DELETE of 500 rows through a resource.
BEGIN;
SELECT public.request('DELETE', '/note', '{}');
:zero
DELETE FROM api.note WHERE batch = 1;
:dump
ROLLBACK;
