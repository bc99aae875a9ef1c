-- A purge of 500 rows through a resource, of a table that another one may refer to.
BEGIN;
SELECT public.request('DELETE', '/deleted_kept', '{}');
:zero
DELETE FROM api.deleted_kept WHERE batch = 2;
:dump
ROLLBACK;
