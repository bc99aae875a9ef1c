-- Who may do what: every role of membership, a stranger and an anonymous caller, times every action on every resource.
-- The expected outcome of each cell follows from the least role that the action needs.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE ROLE regress_anonymous;
CREATE ROLE regress_authenticated;
SET client_min_messages = warning;
SELECT taskapi.create_task_api('board', 'board_api', 'regress_anonymous', 'regress_authenticated') \g /dev/null

CREATE TEMP TABLE person (who text PRIMARY KEY, id uuid);
INSERT INTO person
SELECT who, board.create_account(who || '@example.org', CASE WHEN who = 'viewer' THEN 'viewer''s password' END)
FROM unnest(ARRAY['owner', 'editor', 'viewer', 'stranger', 'extra', 'removed']) who;
CREATE FUNCTION pg_temp.id(who text) RETURNS uuid LANGUAGE sql AS 'SELECT p.id FROM pg_temp.person p WHERE p.who = $1';

-- A live project and a deleted one, each with the three roles and a task. What is deleted is deleted through the API.
CREATE TEMP TABLE made (name text PRIMARY KEY, id uuid DEFAULT taskapi.uuidv7());
INSERT INTO made VALUES ('project'), ('gone project'), ('task'), ('gone task'), ('task of gone project');
CREATE FUNCTION pg_temp.made(name text) RETURNS uuid LANGUAGE sql AS 'SELECT m.id FROM pg_temp.made m WHERE m.name = $1';
INSERT INTO board.project (id, name, creator_id) SELECT m.id, m.name, pg_temp.id('owner') FROM made m WHERE m.name LIKE '%project' AND m.name NOT LIKE 'task%';
INSERT INTO board.membership (project_id, account_id, role)
SELECT pg_temp.made(project), pg_temp.id(who), CASE who WHEN 'editor' THEN who ELSE 'viewer' END
FROM unnest(ARRAY['project', 'gone project']) project, unnest(ARRAY['editor', 'viewer', 'extra', 'removed']) who;
INSERT INTO board.task (id, project_id, title)
SELECT m.id, pg_temp.made(CASE m.name WHEN 'task of gone project' THEN 'gone project' ELSE 'project' END), m.name FROM made m WHERE m.name LIKE '%task%';

-- One request: undone, whatever it did. 'rows' or 'nothing', or the name of the problem.
CREATE FUNCTION pg_temp.attempt(who text, method text, statement text, keep bool DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    PERFORM set_config('request.method', method, true),
            set_config('request.jwt.claims', CASE WHEN who = 'anonymous' THEN '' ELSE json_build_object('sub', pg_temp.id(who))::text END, true);
    SELECT replace(replace(statement, '{api}', 'board_api'), '{me}', quote_nullable(pg_temp.id(who))) INTO statement;
    SELECT string_agg(coalesce(quote_literal(pg_temp.id(p)), quote_literal(pg_temp.made(p)), p), '' ORDER BY n)
    INTO statement FROM regexp_split_to_table(statement, '[{}]') WITH ORDINALITY p (p, n);
    BEGIN
        PERFORM set_config('role', CASE WHEN who = 'anonymous' THEN 'regress_anonymous' ELSE 'regress_authenticated' END, true);
        EXECUTE statement;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF keep THEN
            PERFORM set_config('role', 'none', true), set_config('request.method', '', true), set_config('request.jwt.claims', '', true);
            RETURN CASE n WHEN 0 THEN 'nothing' ELSE 'rows' END;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION
        WHEN SQLSTATE 'UNDO0' THEN
            RETURN CASE n WHEN 0 THEN 'nothing' ELSE 'rows' END;
        WHEN OTHERS THEN
            RETURN CASE SQLSTATE WHEN 'PGRST' THEN SQLERRM::json ->> 'code' WHEN '42501' THEN 'denied' ELSE SQLSTATE || ': ' || SQLERRM END;
    END;
END
$$;

SELECT pg_temp.attempt('editor', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {gone task}', true),
       pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {removed}', true),
       pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {gone project}', true) \g /dev/null

-- action: its method and statement, with the ids of the rows above in braces.
-- least: the least role that may. The others who see the row: forbidden, and who do not see it: nothing, except that
-- a create is forbidden to them as well. Anonymous callers lack the privilege.
CREATE TEMP TABLE action (n int GENERATED ALWAYS AS IDENTITY, resource text, action text, kind text, least text, method text, statement text);
INSERT INTO action (resource, action, kind, least, method, statement) VALUES
    ('projects', 'list', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.projects'),
    ('projects', 'read one', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.projects WHERE id = {project}'),
    ('projects', 'page', 'page', 'viewer', 'GET', 'SELECT * FROM {api}.projects_page() p WHERE p.items::text <> ''[]'''),
    ('projects', 'create', 'create', 'stranger', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''new'') RETURNING id'),
    ('projects', 'create without looking', 'create', 'stranger', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''new'')'),
    ('projects', 'update', 'write', 'owner', 'PATCH', 'UPDATE {api}.projects SET name = ''other'' WHERE id = {project}'),
    ('projects', 'delete', 'write', 'owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {project}'),
    ('projects', 'list deleted', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.deleted_projects WHERE id = {gone project}'),
    ('projects', 'restore', 'write', 'owner', 'PATCH', 'UPDATE {api}.deleted_projects SET deleted_at = NULL WHERE id = {gone project}'),
    ('projects', 'purge', 'write', 'owner', 'DELETE', 'DELETE FROM {api}.deleted_projects WHERE id = {gone project}'),
    ('members', 'list', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.members WHERE project_id = {project}'),
    ('members', 'page', 'page', 'viewer', 'GET', 'SELECT * FROM {api}.members_page() p WHERE p.items::text <> ''[]'''),
    ('members', 'create', 'create', 'owner', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {stranger}, ''viewer'')'),
    ('members', 'join', 'create', 'owner', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {removed}, ''owner'') RETURNING role'),
    ('members', 'update', 'write', 'owner', 'PATCH', 'UPDATE {api}.members SET role = ''editor'' WHERE project_id = {project} AND account_id = {extra}'),
    ('members', 'delete', 'write', 'owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {extra}'),
    ('members', 'list deleted', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.deleted_members WHERE project_id = {project}'),
    ('members', 'restore', 'write', 'owner', 'PATCH', 'UPDATE {api}.deleted_members SET deleted_at = NULL WHERE project_id = {project} AND account_id = {removed}'),
    ('members', 'purge', 'write', 'owner', 'DELETE', 'DELETE FROM {api}.deleted_members WHERE project_id = {project} AND account_id = {removed}'),
    ('tasks', 'list', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.tasks'),
    ('tasks', 'read one', 'read', 'viewer', 'GET', 'SELECT *, t.cursor_by_due_date, t.cursor_by_priority, t.cursor_by_updated_at FROM {api}.tasks t WHERE id = {task}'),
    ('tasks', 'page', 'page', 'viewer', 'GET', 'SELECT * FROM {api}.tasks_page() p WHERE p.items::text <> ''[]'''),
    ('tasks', 'my tasks', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.my_tasks()'),
    ('tasks', 'create', 'create', 'editor', 'POST', 'INSERT INTO {api}.tasks (project_id, title) VALUES ({project}, ''new'') RETURNING id'),
    ('tasks', 'update', 'write', 'editor', 'PATCH', 'UPDATE {api}.tasks SET title = ''other'' WHERE id = {task}'),
    ('tasks', 'delete', 'write', 'editor', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {task}'),
    ('tasks', 'list deleted', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.deleted_tasks WHERE id = {gone task}'),
    ('tasks', 'restore', 'write', 'editor', 'PATCH', 'UPDATE {api}.deleted_tasks SET deleted_at = NULL WHERE id = {gone task}'),
    ('tasks', 'purge', 'write', 'editor', 'DELETE', 'DELETE FROM {api}.deleted_tasks WHERE id = {gone task}'),
    ('users', 'list', 'read', 'stranger', 'GET', 'SELECT * FROM {api}.users WHERE id = {me}'),
    ('users', 'read a member', 'read', 'viewer', 'GET', 'SELECT * FROM {api}.users WHERE id = {extra}'),
    ('users', 'page', 'page', 'stranger', 'GET', 'SELECT * FROM {api}.users_page() p WHERE p.items::text <> ''[]'''),
    ('users', 'create', 'nobody', NULL, 'POST', 'INSERT INTO {api}.users (email, display_name) VALUES (''new@example.org'', ''new'')'),
    ('users', 'update oneself', 'write', 'stranger', 'PATCH', 'UPDATE {api}.users SET display_name = ''other'' WHERE id = {me}'),
    ('users', 'update a member', 'write', 'none', 'PATCH', 'UPDATE {api}.users SET display_name = ''other'' WHERE id = {extra}'),
    ('users', 'delete a member', 'write', 'none', 'DELETE', 'DELETE FROM {api}.users WHERE id = {extra}');

CREATE TEMP TABLE cell AS
SELECT a.*, w.who,
       CASE
           WHEN w.who = 'anonymous' OR a.kind = 'nobody' THEN 'denied'
           WHEN w.rank <= l.rank THEN 'rows'
           WHEN a.kind = 'create' THEN 'forbidden'
           WHEN w.who = 'stranger' THEN 'nothing'
           ELSE 'forbidden'
       END AS expected
FROM action a
JOIN (VALUES ('none', 0), ('owner', 1), ('editor', 2), ('viewer', 3), ('stranger', 4)) l (least, rank) ON l.least = coalesce(a.least, 'none')
CROSS JOIN (VALUES ('owner', 1), ('editor', 2), ('viewer', 3), ('stranger', 4), ('anonymous', 5)) w (who, rank);

SELECT plan((SELECT count(*)::int FROM cell));
SELECT is(pg_temp.attempt(who, method, statement), expected, format('%s: %s: %s %s', resource, action, who, expected))
FROM cell ORDER BY n, array_position(ARRAY['owner', 'editor', 'viewer', 'stranger', 'anonymous'], who);
SELECT * FROM finish();
ROLLBACK;
