-- A purge of 500 rows, as a statement on the table would make it.
BEGIN;
SELECT public.request('DELETE', '/deleted_note', '{}');
:zero
DELETE FROM data.plain WHERE batch = 2;
:dump
ROLLBACK;
