-- A soft DELETE of 500 rows, as a statement on the table would make it.
BEGIN;
SELECT public.request('DELETE', '/note', '{}');
:zero
UPDATE data.plain SET deleted_at = now(), deletion_id = taskapi.uuidv7(), version = version + 1, updated_at = now() WHERE batch = 1;
:dump
ROLLBACK;
