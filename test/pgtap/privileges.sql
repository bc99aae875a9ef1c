-- Every object of the library and of a task API, and who may use it: nothing but what is listed here.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
CREATE ROLE regress_anonymous;
CREATE ROLE regress_authenticated;
SET client_min_messages = warning;
SELECT taskapi.create_task_api('board', 'board_api', 'regress_anonymous', 'regress_authenticated') \g /dev/null

-- Every privilege of PUBLIC and of the two roles, on schemas, relations, columns, functions and types.
CREATE TEMP VIEW privilege AS
WITH object AS (
    SELECT 'schema' AS kind, n.nspname::text AS name, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl, n.nspname AS schema
    FROM pg_namespace n
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'relation' END, c.relname, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END, c.relowner)), n.nspname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'column', c.relname || '.' || a.attname, a.attacl, n.nspname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attacl IS NOT NULL
    UNION ALL
    SELECT 'function', p.proname, coalesce(p.proacl, acldefault('f', p.proowner)), n.nspname
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
)
SELECT o.schema::text, o.kind, o.name, coalesce(r.rolname, 'PUBLIC') AS grantee, a.privilege_type AS privilege, a.is_grantable
FROM object o CROSS JOIN LATERAL aclexplode(o.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE o.schema IN ('taskapi', 'board', 'board_api') AND (a.grantee = 0 OR r.rolname LIKE 'regress%');
