-- An INSERT of 500 rows through a resource.
BEGIN;
SELECT public.request('POST', '/note', '{}');
:zero
INSERT INTO api.note (batch, title, priority) SELECT 3, 'note ' || i, i FROM generate_series(1, 500) i;
:dump
ROLLBACK;
