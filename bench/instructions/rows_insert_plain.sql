-- An INSERT of 500 rows, as a statement on the table would make it.
BEGIN;
SELECT public.request('POST', '/note', '{}');
:zero
INSERT INTO data.plain (batch, title, priority) SELECT 3, 'note ' || i, i FROM generate_series(1, 500) i;
:dump
ROLLBACK;
