-- An UPDATE of 500 rows, as a statement on the table would make it.
BEGIN;
SELECT public.request('PATCH', '/note', '{}');
:zero
UPDATE data.plain SET priority = priority + 1, version = version + 1, updated_at = now() WHERE batch = 1;
:dump
ROLLBACK;
