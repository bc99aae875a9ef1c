-- The extension creates on a running server and is gone after DROP.
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
SELECT extversion ~ '^\d+\.\d+\.\d+(-dev)?$' AS version FROM pg_extension WHERE extname = 'taskapi';
-- pg_upgrade refuses a database whose tables hold what its OIDs do not survive.
SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = 'taskapi'::regnamespace AND relkind IN ('r', 'p', 'm', 'i') AND attnum > 0 AND NOT attisdropped
  AND atttypid::regtype::text IN ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure', 'oid');
