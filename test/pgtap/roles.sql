-- Who may do what: every role of membership, a stranger and an anonymous caller, times every action on every resource.
-- The expected outcome of each cell follows from the least role that the action needs.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql

-- What is deleted is deleted through the API.
SELECT pg_temp.attempt('editor', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {gone task}', true),
       pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {removed}', true),
       pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {gone project}', true) \g /dev/null

-- Everybody is logged in somewhere, and has an API key. The limits are the same for every cell of the matrix.
UPDATE taskapi.rate_limit_policy SET shadow = true;
SELECT taskapi.create_session(p.id::text), taskapi.create_api_key(p.id::text, 'of ' || p.who) FROM person p \g /dev/null
CREATE TEMP TABLE session_of_extra AS SELECT s.id FROM taskapi.session s WHERE s.subject = pg_temp.id('extra')::text;
GRANT SELECT ON session_of_extra TO PUBLIC;
-- One account is deleted.
SELECT pg_temp.attempt('gone', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}', true) \g /dev/null

-- action: its method and statement, with the ids of the rows above in braces.
-- least: the least role that may. The others who see the row: forbidden, and who do not see it: nothing, except that
-- a create is forbidden to them as well. Anonymous callers lack the privilege.
-- kind: nobody has the privilege; hidden: another's, which is not seen; open: anybody; wrong: anybody, in vain.
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
    ('tasks', 'read one', 'read', 'viewer', 'GET', 'SELECT *, {api}.cursor_by_due_date(t), {api}.cursor_by_priority(t), {api}.cursor_by_updated_at(t) FROM {api}.tasks t WHERE id = {task}'),
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
    ('users', 'delete a member', 'write', 'none', 'DELETE', 'DELETE FROM {api}.users WHERE id = {extra}'),
    ('users', 'list deleted', 'hidden', NULL, 'GET', 'SELECT * FROM {api}.deleted_users'),
    ('users', 'restore another', 'hidden', NULL, 'PATCH', 'UPDATE {api}.deleted_users SET deleted_at = NULL'),
    ('users', 'purge another', 'hidden', NULL, 'DELETE', 'DELETE FROM {api}.deleted_users'),
    ('sessions', 'list', 'read', 'stranger', 'GET', 'SELECT * FROM {api}.sessions'),
    ('sessions', 'log in', 'open', NULL, 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''Viewer@example.org'', ''viewer''''s password'')'),
    ('sessions', 'log in with another password', 'wrong', NULL, 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''viewer@example.org'', ''viewers password'')'),
    ('sessions', 'log out', 'write', 'stranger', 'DELETE', 'DELETE FROM {api}.sessions'),
    ('sessions', 'log another out', 'hidden', NULL, 'DELETE', 'DELETE FROM {api}.sessions WHERE id = (SELECT s.id FROM pg_temp.session_of_extra s)'),
    ('sessions', 'update', 'nobody', NULL, 'PATCH', 'UPDATE {api}.sessions SET expires_at = ''infinity'''),
    ('api_keys', 'list', 'read', 'stranger', 'GET', 'SELECT * FROM {api}.api_keys'),
    ('api_keys', 'create', 'create', 'stranger', 'POST', 'INSERT INTO {api}.api_keys (name) VALUES (''new'') RETURNING secret'),
    ('api_keys', 'update', 'nobody', NULL, 'PATCH', 'UPDATE {api}.api_keys SET name = ''other'''),
    ('api_keys', 'revoke', 'write', 'stranger', 'DELETE', 'DELETE FROM {api}.api_keys'),
    ('api_keys', 'revoke another', 'hidden', NULL, 'DELETE', 'DELETE FROM {api}.api_keys WHERE name = ''of extra''');

CREATE TEMP TABLE cell AS
SELECT a.*, w.who,
       CASE
           WHEN a.kind = 'open' THEN 'rows'
           WHEN a.kind = 'wrong' THEN 'unauthenticated'
           WHEN w.who = 'anonymous' OR a.kind = 'nobody' THEN 'denied'
           WHEN a.kind = 'hidden' THEN 'nothing'
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
