-- create_task_api(): into any two schemas, twice in one database, refused where it cannot; accounts, constraints and triggers.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set VERBOSITY terse

-- what it refuses, changing nothing
SELECT taskapi.create_task_api('x', 'x');
SELECT taskapi.create_task_api(NULL, 'x');
SELECT taskapi.create_task_api('taskapi', 'api');
SELECT taskapi.create_task_api('tasks', 'pg_api');
SELECT taskapi.create_task_api('a$b', 'api');
SELECT taskapi.create_task_api(anonymous => current_user::regrole);
SELECT count(*) FROM pg_namespace WHERE nspname IN ('x', 'api', 'tasks', 'pg_api', 'a$b');

-- twice in one database, under names that need every kind of quoting
SELECT taskapi.create_task_api();
SELECT taskapi.create_task_api('My "tasks"', 'it''s the API');
SELECT taskapi.create_task_api();
SELECT taskapi.create_task_api('third', 'api');
SELECT to_regnamespace('third');
SELECT n.nspname, count(*), bool_and(c.relrowsecurity) FILTER (WHERE c.relkind = 'r') AS row_security
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('tasks', 'api', 'My "tasks"', 'it''s the API') AND c.relkind IN ('r', 'v') GROUP BY 1 ORDER BY n.nspname COLLATE "C";
SELECT "My ""tasks""".create_account('ann@example.org') IS NOT NULL AS created;
SELECT count(*) FROM "it's the API".users;
SELECT count(*) FROM api.users;
DROP SCHEMA "it's the API", "My ""tasks""" CASCADE;

-- accounts: passwords need pgcrypto, whose schema is found; the address is unique among live accounts
SELECT tasks.create_account('ann@example.org', 'secret');
CREATE SCHEMA regress_crypto;
CREATE EXTENSION pgcrypto SCHEMA regress_crypto;
SELECT tasks.create_account('ann@example.org', 'secret', 'Ann') AS ann \gset
SELECT tasks.create_account('Ann@Example.org');
SELECT tasks.create_account('no address');
SELECT tasks.create_account('x@example.org', '');
SELECT tasks.create_account('x@example.org', repeat('x', 73));
SELECT tasks.create_account('bob@example.org') AS bob \gset
SELECT email, display_name, password_hash ~ '^\$2a\$10\$.{53}$' AS bcrypt FROM tasks.account ORDER BY email;
SELECT tasks.set_password(:'bob', 'of bob');
SELECT taskapi.verify_password('of bob', password_hash) AS set FROM tasks.account WHERE id = :'bob';
SELECT tasks.set_password(:'bob', NULL);
SELECT password_hash FROM tasks.account WHERE id = :'bob';
SELECT tasks.set_password('00000000-0000-7000-8000-000000000000', 'x');
-- logging in: outside a request the account is found, and no answer tells an unknown address from a wrong password
INSERT INTO api.sessions (email, password) VALUES ('ANN@example.org', 'secret') RETURNING email, password, expires_at - created_at AS lasts;
INSERT INTO api.sessions (email, password) VALUES ('ann@example.org', 'Secret');
INSERT INTO api.sessions (email, password) VALUES ('bob@example.org', 'secret');
INSERT INTO api.sessions (email, password) VALUES ('eve@example.org', 'secret');
INSERT INTO api.sessions (email, password) VALUES ('ann@example.org', NULL);
INSERT INTO api.sessions (email, password) VALUES (NULL, NULL);
-- the hash is in no resource
SELECT table_name FROM information_schema.columns WHERE table_schema = 'api' AND column_name = 'password_hash';

-- whoever creates a project owns it; a project keeps an owner
INSERT INTO tasks.project (name, creator_id) VALUES ('one', :'ann') RETURNING id AS project \gset
SELECT role FROM tasks.membership;
UPDATE tasks.membership SET role = 'editor';
DELETE FROM tasks.membership;
INSERT INTO tasks.membership VALUES (:'project', :'bob', 'owner');
DELETE FROM tasks.membership WHERE account_id = :'ann';
UPDATE tasks.membership SET deleted_at = now();
DELETE FROM tasks.account WHERE id = :'bob';
INSERT INTO tasks.membership VALUES (:'project', :'ann', 'boss');
-- a membership that is deleted by itself is gone, one that goes along with the project stays for it
INSERT INTO tasks.membership (project_id, account_id, role) VALUES (:'project', :'ann', 'editor');
INSERT INTO tasks.membership (project_id, account_id, role) VALUES (:'project', :'ann', 'viewer');
UPDATE tasks.membership SET deleted_at = now() WHERE account_id = :'ann';
SELECT role FROM tasks.membership;
BEGIN;
UPDATE tasks.project SET deleted_at = now();
UPDATE tasks.membership SET deleted_at = now();
SELECT role FROM tasks.membership;
ROLLBACK;

-- tasks: what is asked of each column, and completed_at in step with status
CREATE FUNCTION pg_temp.try(columns text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    EXECUTE format('INSERT INTO tasks.task (project_id, title, %s) SELECT id, ''t'', %s FROM tasks.project', columns, value);
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
    RETURN coalesce(nullif(name, ''), SQLSTATE);
END
$$;
SELECT c, v, pg_temp.try(c, v) FROM (VALUES
    ('status', '''todo'''), ('status', '''finished'''), ('status', 'NULL'), ('status', '''Done'''),
    ('priority', '0'), ('priority', '100'), ('priority', '101'), ('priority', '-1'), ('priority', '100000'),
    ('labels', '''{}'''), ('labels', '''{a,b}'''), ('labels', '''{a,NULL}'''), ('labels', '''{{a},{b}}'''), ('labels', 'array_fill(''x''::text, ''{50}'')'), ('labels', 'array_fill(''x''::text, ''{51}'')'), ('labels', 'ARRAY[repeat(''x'', 4999), ''y'']'), ('labels', 'ARRAY[repeat(''x'', 5000), ''y'']'),
    ('due_date', '''2026-02-28'''), ('due_date', '''2026-02-30'''), ('due_date', '''infinity'''),
    ('description', 'repeat(''x'', 20000)'), ('description', 'repeat(''x'', 20001)'),
    ('assignee_id', 'gen_random_uuid()'), ('creator_id', 'gen_random_uuid()')) t (c, v);
DELETE FROM tasks.task;
INSERT INTO tasks.task (project_id, title) VALUES (:'project', '  ');
INSERT INTO tasks.task (project_id, title) VALUES (:'project', repeat('x', 501));
INSERT INTO tasks.task (project_id, title) VALUES (:'project', repeat('ü', 500)) RETURNING status, priority, labels, version, completed_at;
INSERT INTO tasks.task (project_id, title, status, completed_at) VALUES (:'project', 'imported', 'done', '2020-01-01 UTC') RETURNING completed_at = '2020-01-01 UTC' AS kept;
INSERT INTO tasks.task (project_id, title, completed_at) VALUES (:'project', 'not done', now()) RETURNING completed_at;
UPDATE tasks.task SET status = 'done' WHERE title = 'not done' RETURNING completed_at = now() AS set;
UPDATE tasks.task SET completed_at = '2000-01-01' WHERE title = 'not done' RETURNING completed_at < '2001-01-01' AS moved;
UPDATE tasks.task SET status = 'cancelled' WHERE title = 'not done' RETURNING completed_at;
-- deleting a project round the API takes all of it along
DELETE FROM tasks.project;
SELECT (SELECT count(*) FROM tasks.task) AS tasks, (SELECT count(*) FROM tasks.membership) AS members;

-- by a role that is no superuser: told what it needs, and with it, everything works
CREATE ROLE regress_builder;
CREATE ROLE regress_nobody;
CREATE ROLE regress_somebody;
GRANT CREATE ON DATABASE :DBNAME TO regress_builder;
GRANT EXECUTE ON FUNCTION taskapi.create_task_api TO regress_builder;
SET ROLE regress_builder;
\set VERBOSITY default
SELECT taskapi.create_task_api('regress_built', 'regress_built_api');
\set VERBOSITY terse
SELECT regress_built.create_account('bea@example.org') IS NOT NULL AS created;
SELECT regress_built.create_account('ben@example.org', 'secret');
SELECT regress_built.grant_api('regress_nobody', 'regress_somebody');
RESET ROLE;
GRANT EXECUTE ON FUNCTION taskapi.hash_password(text), taskapi.verify_password(text,text), taskapi.charge_login(text), taskapi.revoke_credentials(text), taskapi.block_subject(text), taskapi.unblock_subject(text), taskapi.create_session(text,interval), taskapi.set_api_roles(regrole,regrole) TO regress_builder;
SET ROLE regress_builder;
SELECT regress_built.create_account('ben@example.org', 'secret') AS ben \gset
SELECT regress_built.grant_api('regress_nobody', 'regress_somebody');
RESET ROLE;
SET ROLE regress_nobody;
INSERT INTO regress_built_api.sessions (email, password) VALUES ('ben@example.org', 'secret') RETURNING email;
SELECT * FROM regress_built_api.sessions;
SELECT * FROM regress_built_api.tasks;
RESET ROLE;
BEGIN;
SELECT set_config('request.jwt.claims', json_build_object('sub', :'ben')::text, true) IS NOT NULL AS ben;
SET LOCAL ROLE regress_somebody;
INSERT INTO regress_built_api.projects (name) VALUES ('of ben') RETURNING name, version;
INSERT INTO regress_built_api.tasks (project_id, title) SELECT id, 'first' FROM regress_built_api.projects RETURNING title, creator_id = :'ben' AS by_ben;
DELETE FROM regress_built_api.projects RETURNING name;
SELECT title FROM regress_built_api.deleted_tasks;
UPDATE regress_built_api.deleted_projects SET deleted_at = NULL RETURNING name;
SELECT title FROM regress_built_api.my_tasks();
SELECT current FROM regress_built_api.sessions;
INSERT INTO regress_built_api.api_keys (name) VALUES ('k') RETURNING name, scopes, secret LIKE 'tak\_%' AS secret;
SELECT name, secret FROM regress_built_api.api_keys;
COMMIT;
BEGIN;
SELECT set_config('request.jwt.claims', json_build_object('sub', id)::text, true) IS NOT NULL AS bea FROM regress_built.account WHERE email = 'bea@example.org';
SET LOCAL ROLE regress_somebody;
DELETE FROM regress_built_api.users RETURNING email;
SELECT taskapi.pre_request();
ROLLBACK;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA taskapi FROM regress_builder, regress_somebody;
DROP SCHEMA regress_built, regress_built_api CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_builder;
DROP ROLE regress_builder, regress_nobody, regress_somebody;

-- the tables are the user's: they outlive the extension
INSERT INTO tasks.project (name, creator_id) VALUES ('kept', :'ann');
DROP EXTENSION taskapi CASCADE;
SELECT name FROM tasks.project;
DROP SCHEMA tasks, api, regress_crypto, outbox CASCADE;
CREATE EXTENSION taskapi;
