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
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'relation' END, c.relname, coalesce(c.relacl, acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner)), n.nspname
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

-- What the two roles need, and nothing else.
CREATE TEMP TABLE expected (schema text, kind text, name text, grantee text, privilege text);
INSERT INTO expected
SELECT 'board', 'column', c.relname || '.' || a.attname, 'regress_authenticated', p.privilege
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
CROSS JOIN (VALUES
    ('SELECT', '{account,project,membership,task}'::text[], '{password_hash}'::text[]),
    ('INSERT', '{project,membership,task}', '{version,updated_at,deleted_at,deletion_id}'),
    ('UPDATE', '{account,project,membership,task}', '{password_hash,version,deleted_at,deletion_id}')) p (privilege, tables, but)
WHERE c.relnamespace = 'board'::regnamespace AND c.relname = ANY (p.tables) AND a.attname <> ALL (p.but);
INSERT INTO expected
SELECT schema, kind, name, grantee, privilege
FROM (VALUES
    ('board_api', 'schema', 'board_api', 'regress_anonymous regress_authenticated', 'USAGE'),
    ('board', 'schema', 'board', 'regress_authenticated', 'USAGE'),
    ('board', 'relation', 'account project membership task', 'regress_authenticated', 'DELETE'),
    ('board', 'function', 'my_project_ids my_peer_ids my_newest_task_ids', 'regress_authenticated', 'EXECUTE'),
    ('board_api', 'relation', 'projects members tasks', 'regress_authenticated', 'SELECT INSERT UPDATE DELETE'),
    ('board_api', 'relation', 'users', 'regress_authenticated', 'SELECT UPDATE DELETE'),
    ('board_api', 'relation', 'deleted_users deleted_projects deleted_members deleted_tasks', 'regress_authenticated', 'SELECT DELETE'),
    ('board_api', 'column', 'deleted_users.deleted_at deleted_projects.deleted_at deleted_members.deleted_at deleted_tasks.deleted_at', 'regress_authenticated', 'UPDATE'),
    ('board_api', 'function', 'users_page projects_page members_page tasks_page', 'regress_authenticated', 'EXECUTE'),
    ('board_api', 'function', 'cursor_by_due_date cursor_by_priority cursor_by_updated_at my_tasks', 'regress_authenticated', 'EXECUTE'),
    ('board_api', 'column', 'sessions.email sessions.password', 'regress_anonymous regress_authenticated', 'INSERT'),
    ('board_api', 'column', 'sessions.id sessions.created_at sessions.expires_at sessions.user_agent sessions.address sessions.current sessions.email sessions.password', 'regress_anonymous', 'SELECT'),
    ('board_api', 'relation', 'sessions api_keys', 'regress_authenticated', 'SELECT DELETE'),
    ('board_api', 'column', 'api_keys.name api_keys.scopes api_keys.expires_at', 'regress_authenticated', 'INSERT'),
    ('taskapi', 'function', 'my_api_keys create_my_api_key revoke_my_api_key my_sessions end_my_session', 'regress_authenticated', 'EXECUTE')
    ) g (schema, kind, names, grantees, privileges),
    string_to_table(names, ' ') name, string_to_table(grantees, ' ') grantee, string_to_table(privileges, ' ') privilege;

SELECT plan(8);
SELECT is_empty($$SELECT schema, kind, name, grantee, privilege FROM privilege WHERE grantee <> 'PUBLIC' EXCEPT TABLE expected$$, 'the two roles have no privilege but those listed');
SELECT is_empty($$TABLE expected EXCEPT SELECT schema, kind, name, grantee, privilege FROM privilege$$, 'and all of those');
SELECT is_empty($$SELECT * FROM privilege WHERE is_grantable$$, 'none that they could pass on');
SELECT is_empty($$SELECT * FROM privilege WHERE grantee = 'PUBLIC' AND schema <> 'taskapi'$$, 'PUBLIC has none in the schemas of the task API');
SELECT is_empty($$SELECT * FROM privilege WHERE grantee = 'PUBLIC' AND kind NOT IN ('function', 'schema')$$, 'nor on a table, a view, a column or a sequence of the library');
SELECT set_eq($$SELECT name FROM privilege p WHERE grantee = 'PUBLIC' AND kind = 'function'
        AND EXISTS (SELECT FROM pg_proc f WHERE f.proname = p.name AND f.pronamespace = 'taskapi'::regnamespace AND f.prosecdef)$$,
    $$VALUES ('registered_resource'), ('page_function_of'), ('is_source'), ('resources_of')$$, 'and runs nothing with the rights of the owner but look-ups of the registry');
SELECT is_empty($$SELECT r FROM unnest('{regress_anonymous,regress_authenticated}'::text[]) r
    WHERE has_column_privilege(r, 'board.account', 'password_hash', 'SELECT') OR has_any_column_privilege(r, 'taskapi.secret', 'SELECT,INSERT,UPDATE')
       OR has_any_column_privilege(r, 'taskapi.session', 'SELECT,INSERT,UPDATE') OR has_any_column_privilege(r, 'taskapi.api_key', 'SELECT,INSERT,UPDATE')
       OR has_function_privilege(r, 'board.create_account(text, text, text)', 'EXECUTE') OR has_function_privilege(r, 'board.grant_api(regrole, regrole)', 'EXECUTE')$$,
    'secrets and hashes are nobody''s, nor is what makes accounts and grants');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'board_api'::regnamespace AND c.relkind = 'v'
    AND c.relname NOT IN ('sessions', 'api_keys') AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false)$$, 'every resource runs with its caller''s rights');
SELECT * FROM finish();
ROLLBACK;
