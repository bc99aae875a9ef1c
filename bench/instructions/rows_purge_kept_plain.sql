-- A purge of 500 rows, as a statement on a table that another one may refer to would make it.
BEGIN;
SELECT public.request('DELETE', '/deleted_kept', '{}');
:zero
DELETE FROM data.kept_plain WHERE batch = 2;
:dump
ROLLBACK;
