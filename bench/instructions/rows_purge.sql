-- A purge of 500 rows through a resource.
BEGIN;
SELECT public.request('DELETE', '/deleted_note', '{}');
:zero
DELETE FROM api.deleted_note WHERE batch = 2;
:dump
ROLLBACK;
