-- Nobody is given a table, view, sequence or column by default, but the view that tells each role of what it may use.
SELECT a.privilege_type || ' on ' || c.oid::regclass || ' is PUBLIC''s'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE a.grantee = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT (c.oid = 'taskapi.resources'::regclass AND a.privilege_type = 'SELECT')
UNION ALL
SELECT a.privilege_type || ' on column ' || t.attname || ' of ' || c.oid::regclass || ' is PUBLIC''s'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
WHERE a.grantee = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1;
