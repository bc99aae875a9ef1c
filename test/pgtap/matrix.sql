-- Every schema, relation, function and type of the library and of a task API: who may do what, and what comes of it.
-- All of it stands in one table. What is not in the table, is in no schema, or has one privilege more or less, fails.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql

-- What is deleted is deleted through the API.
INSERT INTO made VALUES ('gone comment');
SELECT pg_temp.attempt('editor', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {gone task}', true),
       pg_temp.attempt('viewer', 'POST', 'INSERT INTO {api}.comments (id, task_id, body) VALUES ({gone comment}, {task}, ''x'')', true),
       pg_temp.attempt('viewer', 'DELETE', 'DELETE FROM {api}.comments WHERE id = {gone comment}', true),
       pg_temp.attempt('removed', 'DELETE', 'DELETE FROM {api}.members WHERE account_id = {me}', true),
       pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {gone project}', true) \g /dev/null

-- One account is invited, by its id and by its address. Everybody is logged in somewhere, and has an API key. The limits are
-- the same for every cell of the matrix. One account is deleted.
INSERT INTO made VALUES ('invitation');
INSERT INTO board.invitation (id, project_id, account_id, role, inviter_id, project_name, inviter_name, expires_at)
VALUES (pg_temp.made('invitation'), pg_temp.made('project'), pg_temp.id('invited'), 'editor', pg_temp.id('owner'), 'project', 'owner', now() + interval '1 day');
INSERT INTO board.invitation (project_id, email, token_hash, role, inviter_id, project_name, inviter_name, expires_at)
VALUES (pg_temp.made('project'), 'Invited@example.org', sha256('token'), 'editor', pg_temp.id('owner'), 'project', 'owner', now() + interval '1 day');
UPDATE board.account SET pending_email = 'new' || email WHERE id IN (pg_temp.id('viewer'), pg_temp.id('extra'));
INSERT INTO board.one_time_token VALUES (sha256('token'), 'confirm_email', pg_temp.id('viewer'), 'newviewer@example.org', now() + interval '1 day'),
    (sha256('reset'), 'reset_password', pg_temp.id('viewer'), 'viewer@example.org', now() + interval '1 hour');
-- Rows that left, whose departures are told in another transaction (test/sql/changes_roles.sql).
INSERT INTO board.task_departures (id, project_id, taskapi_stamp) VALUES (pg_temp.made('gone task'), pg_temp.made('project'), '1');
INSERT INTO board.project_departures (id, taskapi_stamp) VALUES (pg_temp.made('project'), '1');
INSERT INTO board.membership_departures (project_id, account_id, taskapi_stamp) VALUES (pg_temp.made('project'), pg_temp.id('removed'), '1');
UPDATE taskapi.rate_limit_policy SET shadow = true;
SELECT taskapi.create_session(p.id::text), taskapi.create_api_key(p.id::text, 'of ' || p.who) FROM person p \g /dev/null
CREATE TEMP TABLE session_of_extra AS SELECT s.id FROM taskapi.session s WHERE s.subject = pg_temp.id('extra')::text;
GRANT SELECT ON session_of_extra TO PUBLIC;
SELECT pg_temp.attempt('gone', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}', true) \g /dev/null

-- Who asks, in the order of the answers below: a request without an account, an account that has nothing to do with the
-- project, one that is invited to it, one that was a member, its members, the owner of the tables, and any role that may connect.
-- The viewer is asked a second time, by a token with the id in capitals; and whose account is deleted is refused everything.
CREATE TEMP TABLE asker (n int, who text, role text, always text);
INSERT INTO asker VALUES
    (1, 'anonymous', 'regress_anonymous', NULL), (2, 'stranger', 'regress_authenticated', NULL), (3, 'invited', 'regress_authenticated', NULL),
    (4, 'removed', 'regress_authenticated', NULL), (5, 'viewer', 'regress_authenticated', NULL), (6, 'editor', 'regress_authenticated', NULL),
    (7, 'owner', 'regress_authenticated', NULL), (8, 'admin', NULL, NULL), (9, 'login', 'public', NULL),
    (5, 'capitals', 'regress_authenticated', NULL), (1, 'gone', NULL, 'unauthenticated');

-- The letters of an answer. With a statement: what it comes to. Without: the privilege.
CREATE TEMP TABLE letter (letter text PRIMARY KEY, answer text);
INSERT INTO letter VALUES ('r', 'rows'), ('n', 'nothing'), ('f', 'forbidden'), ('d', 'denied'), ('p', 'policy'), ('u', 'unauthenticated'),
    ('m', 'not_found'), ('h', 'has_dependents'), ('v', 'view'), ('i', 'invalid_reference'), ('x', 'has the privilege');

-- object: schema.name. Several names with the same answers share a row, and then there is no statement.
-- columns: where the privilege is on these columns only, whose role is regress_authenticated unless another comes before a colon.
CREATE TEMP TABLE rule (n int GENERATED ALWAYS AS IDENTITY, kind text, objects text, privilege text, columns text, what text, method text, statement text, answers text);

-- The task API's resources.                                                                    anonymous stranger invited ex-member viewer editor owner admin login
INSERT INTO rule (kind, objects, privilege, columns, what, method, statement, answers) VALUES
    ('relation', 'board_api.projects', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.projects', 'd n n n r r r r d'),
    ('relation', 'board_api.projects', 'SELECT', NULL, 'read one', 'GET', 'SELECT * FROM {api}.projects WHERE id = {project}', 'd n n n r r r r d'),
    ('relation', 'board_api.projects', 'INSERT', NULL, 'create', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''new'') RETURNING id', 'd r r r r r r r d'),
    ('relation', 'board_api.projects', 'INSERT', NULL, 'create without looking', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''new'')', 'd r r r r r r r d'),
    ('relation', 'board_api.projects', 'UPDATE', NULL, 'update', 'PATCH', 'UPDATE {api}.projects SET name = ''other'' WHERE id = {project}', 'd n n n f f r r d'),
    ('relation', 'board_api.projects', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {project}', 'd n n n f f r r d'),
    ('relation', 'board_api.deleted_projects', 'SELECT', NULL, 'list deleted', 'GET', 'SELECT * FROM {api}.deleted_projects WHERE id = {gone project}', 'd n n n r r r r d'),
    ('relation', 'board_api.deleted_projects', 'INSERT', NULL, 'create deleted', 'POST', NULL, 'd d d d d d d x d'),
    ('relation', 'board_api.deleted_projects', 'UPDATE', 'deleted_at', 'restore', 'PATCH', 'UPDATE {api}.deleted_projects SET deleted_at = NULL WHERE id = {gone project}', 'd n n n f f r r d'),
    ('relation', 'board_api.deleted_projects', 'UPDATE', 'deleted_at', 'change deleted', 'PATCH', 'UPDATE {api}.deleted_projects SET name = ''x'' WHERE false', 'd d d d d d d n d'),
    ('relation', 'board_api.deleted_projects', 'DELETE', NULL, 'purge', 'DELETE', 'DELETE FROM {api}.deleted_projects WHERE id = {gone project}', 'd n n n f f r r d'),

    ('relation', 'board_api.members', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.members WHERE project_id = {project}', 'd n n n r r r r d'),
    ('relation', 'board_api.members', 'INSERT', NULL, 'add another', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {stranger}, ''viewer'')', 'd f f f f f f f d'),
    ('relation', 'board_api.members', 'INSERT', NULL, 'add oneself', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {me}, ''owner'') RETURNING role', 'd f f f f f f f d'),
    ('relation', 'board_api.members', 'INSERT', NULL, 'add an ex-member', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {removed}, ''owner'') RETURNING role', 'd f f f f f f f d'),
    ('relation', 'board_api.members', 'UPDATE', NULL, 'update', 'PATCH', 'UPDATE {api}.members SET role = ''editor'' WHERE project_id = {project} AND account_id = {extra}', 'd n n n f f r r d'),
    ('relation', 'board_api.members', 'UPDATE', NULL, 'raise oneself', 'PATCH', 'UPDATE {api}.members SET role = ''owner'' WHERE project_id = {project} AND account_id = {me}', 'd n n n f f r n d'),
    ('relation', 'board_api.members', 'UPDATE', NULL, 'make it another''s', 'PATCH', 'UPDATE {api}.members SET account_id = {stranger} WHERE project_id = {project} AND account_id = {extra}', 'd n n n f f f r d'),
    ('relation', 'board_api.members', 'DELETE', NULL, 'remove another', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {extra}', 'd n n n f f r r d'),
    ('relation', 'board_api.members', 'DELETE', NULL, 'leave', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {me}', 'd n n n r r h n d'),
    ('relation', 'board_api.deleted_members', 'SELECT', NULL, 'list deleted', 'GET', 'SELECT * FROM {api}.deleted_members', 'd n n n r r r r d'),
    ('relation', 'board_api.deleted_members', 'INSERT', NULL, 'create deleted', 'POST', NULL, 'd d d d d d d x d'),
    ('relation', 'board_api.deleted_members', 'UPDATE', NULL, 'restore', 'PATCH', 'UPDATE {api}.deleted_members SET deleted_at = NULL WHERE false', 'd d d d d d d n d'),
    ('relation', 'board_api.deleted_members', 'DELETE', NULL, 'purge another''s', 'DELETE', 'DELETE FROM {api}.deleted_members WHERE account_id = {extra}', 'd n n n f f r r d'),
    ('relation', 'board_api.deleted_members', 'DELETE', NULL, 'leave a deleted project', 'DELETE', 'DELETE FROM {api}.deleted_members WHERE account_id = {me}', 'd n n n r r r n d'),

    ('relation', 'board_api.invitations', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.invitations', 'd n r n n n r r d'),
    ('relation', 'board_api.invitations', 'INSERT', 'project_id email account_id role expires_at', 'invite an account', 'POST', 'INSERT INTO {api}.invitations (project_id, account_id) VALUES ({project}, {stranger}) RETURNING id', 'd f f f f f r f d'),
    ('relation', 'board_api.invitations', 'INSERT', 'project_id email account_id role expires_at', 'invite an address', 'POST', 'INSERT INTO {api}.invitations (project_id, email, role) VALUES ({project}, ''x@example.org'', ''owner'') RETURNING token', 'd f f f f f r f d'),
    ('relation', 'board_api.invitations', 'INSERT', 'project_id email account_id role expires_at', 'invite oneself', 'POST', 'INSERT INTO {api}.invitations (project_id, account_id, role) VALUES ({project}, {me}, ''owner'')', 'd f f f f f r f d'),
    ('relation', 'board_api.invitations', 'INSERT', 'project_id email account_id role expires_at', 'invite in another''s name', 'POST', 'INSERT INTO {api}.invitations (project_id, account_id, inviter_id) VALUES ({project}, {stranger}, {owner})', 'd d d d d d d f d'),
    ('relation', 'board_api.invitations', 'UPDATE', NULL, 'change', 'PATCH', 'UPDATE {api}.invitations SET role = ''owner''', 'd d d d d d d f d'),
    ('relation', 'board_api.invitations', 'DELETE', NULL, 'revoke or decline', 'DELETE', 'DELETE FROM {api}.invitations WHERE id = {invitation}', 'd n r n n n r r d'),
    ('function', 'board_api.accept_invitation', 'EXECUTE', NULL, 'accept, as the invited account', 'POST', 'SELECT * FROM {api}.accept_invitation(invitation_id => {invitation})', 'd m r m m m m u d'),
    ('function', 'board_api.accept_invitation', 'EXECUTE', NULL, 'accept, with the token', 'POST', 'SELECT * FROM {api}.accept_invitation(''token'')', 'd m r m m m m u d'),

    ('relation', 'board_api.tasks', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.tasks', 'd n n n r r r r d'),
    ('relation', 'board_api.tasks', 'SELECT', NULL, 'read one', 'GET', 'SELECT *, {api}.cursor_by_due_date(t), {api}.cursor_by_priority(t), {api}.cursor_by_updated_at(t) FROM {api}.tasks t WHERE id = {task}', 'd n n n r r r r d'),
    ('relation', 'board_api.tasks', 'INSERT', NULL, 'create', 'POST', 'INSERT INTO {api}.tasks (project_id, title) VALUES ({project}, ''new'') RETURNING id', 'd f f f f r r r d'),
    ('relation', 'board_api.tasks', 'UPDATE', NULL, 'update', 'PATCH', 'UPDATE {api}.tasks SET title = ''other'' WHERE id = {task}', 'd n n n f r r r d'),
    ('relation', 'board_api.tasks', 'UPDATE', NULL, 'assign', 'PATCH', 'UPDATE {api}.tasks SET assignee_id = {extra} WHERE id = {task}', 'd n n n f r r r d'),
    ('relation', 'board_api.tasks', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {task}', 'd n n n f r r r d'),
    ('relation', 'board_api.deleted_tasks', 'SELECT', NULL, 'list deleted', 'GET', 'SELECT * FROM {api}.deleted_tasks WHERE id = {gone task}', 'd n n n r r r r d'),
    ('relation', 'board_api.deleted_tasks', 'INSERT', NULL, 'create deleted', 'POST', NULL, 'd d d d d d d x d'),
    ('relation', 'board_api.deleted_tasks', 'UPDATE', 'deleted_at', 'restore', 'PATCH', 'UPDATE {api}.deleted_tasks SET deleted_at = NULL WHERE id = {gone task}', 'd n n n f r r r d'),
    ('relation', 'board_api.deleted_tasks', 'DELETE', NULL, 'purge', 'DELETE', 'DELETE FROM {api}.deleted_tasks WHERE id = {gone task}', 'd n n n f r r r d'),
    ('relation', 'board_api.tasks', 'UPDATE', NULL, 'make it a subtask', 'PATCH', 'UPDATE {api}.tasks SET parent_id = {task} WHERE id = {subtask}', 'd n n n f r r r d'),
    ('relation', 'board_api.tasks', 'INSERT', NULL, 'create a subtask of another project''s task', 'POST', 'INSERT INTO {api}.tasks (project_id, parent_id, title) VALUES ({gone project}, {task}, ''x'')', 'd f f f f i i i d'),
    ('function', 'board_api.move_task', 'EXECUTE', NULL, 'move', 'POST', 'SELECT * FROM {api}.move_task({subtask}, before => {task}, status => ''done'')', 'd m m m f r r f d'),
    ('function', 'board_api.move_task', 'EXECUTE', NULL, 'move to the end', 'POST', 'SELECT * FROM {api}.move_task({task})', 'd m m m f r r f d'),
    ('function', 'board_api.move_task', 'EXECUTE', NULL, 'move behind another project''s task', 'POST', 'SELECT * FROM {api}.move_task({task}, after => {task of gone project})', 'd m m m f i i f d'),

    ('relation', 'board_api.comments', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.comments WHERE task_id = {task}', 'd n n n r r r r d'),
    ('relation', 'board_api.comments', 'INSERT', NULL, 'comment', 'POST', 'INSERT INTO {api}.comments (task_id, body) VALUES ({task}, ''new'') RETURNING id', 'd f f f r r r r d'),
    ('relation', 'board_api.comments', 'INSERT', NULL, 'comment in another''s name', 'POST', 'WITH c AS (INSERT INTO {api}.comments (task_id, project_id, author_id, body) VALUES ({task}, {gone project}, {owner}, ''x'') RETURNING project_id, author_id) SELECT FROM c WHERE author_id <> {me} OR project_id <> {project}', 'd f f f n n n i d'),
    ('relation', 'board_api.comments', 'INSERT', NULL, 'comment on a deleted task', 'POST', 'INSERT INTO {api}.comments (task_id, body) VALUES ({gone task}, ''x'')', 'd f f f i i i i d'),
    ('relation', 'board_api.comments', 'UPDATE', NULL, 'change one''s own', 'PATCH', 'UPDATE {api}.comments SET body = ''other'' WHERE id = {comment}', 'd n n n r f f r d'),
    ('relation', 'board_api.comments', 'UPDATE', NULL, 'move it elsewhere', 'PATCH', 'WITH c AS (UPDATE {api}.comments SET task_id = {task of gone project}, author_id = {owner} WHERE id = {comment} RETURNING task_id, author_id) SELECT FROM c WHERE task_id <> {task} OR author_id <> {viewer}', 'd n n n n f f i d'),
    ('relation', 'board_api.comments', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM {api}.comments WHERE id = {comment}', 'd n n n r f r r d'),
    ('relation', 'board_api.deleted_comments', 'SELECT', NULL, 'list deleted', 'GET', 'SELECT * FROM {api}.deleted_comments WHERE id = {gone comment}', 'd n n n r r r r d'),
    ('relation', 'board_api.deleted_comments', 'INSERT', NULL, 'create deleted', 'POST', NULL, 'd d d d d d d x d'),
    ('relation', 'board_api.deleted_comments', 'UPDATE', 'deleted_at', 'restore', 'PATCH', 'UPDATE {api}.deleted_comments SET deleted_at = NULL WHERE id = {gone comment}', 'd n n n r f f r d'),
    ('relation', 'board_api.deleted_comments', 'DELETE', NULL, 'purge', 'DELETE', 'DELETE FROM {api}.deleted_comments WHERE id = {gone comment}', 'd n n n r f r r d'),
    ('function', 'board_api.comments_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.comments_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.deleted_comments_page', 'EXECUTE', NULL, 'page of deleted', 'GET', 'SELECT * FROM {api}.deleted_comments_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('relation', 'board_api.activity', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.activity WHERE task_id = {task}', 'd n n n r r r r d'),
    ('relation', 'board_api.activity', 'INSERT', NULL, 'forge', 'POST', 'INSERT INTO {api}.activity (project_id, resource, row_id, action) VALUES ({project}, ''tasks'', {task}, ''created'')', 'd d d d d d d r d'),
    ('relation', 'board_api.activity', 'UPDATE', NULL, 'rewrite', 'PATCH', 'UPDATE {api}.activity SET actor_id = {owner}', 'd d d d d d d r d'),
    ('relation', 'board_api.activity', 'DELETE', NULL, 'forget', 'DELETE', 'DELETE FROM {api}.activity', 'd d d d d d d r d'),
    ('function', 'board_api.activity_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.activity_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),

    ('function', 'board_api.my_tasks', 'EXECUTE', NULL, 'my tasks', 'GET', 'SELECT * FROM {api}.my_tasks()', 'd n n n r r r n d'),
    ('function', 'board_api.my_tasks', 'EXECUTE', NULL, 'my tasks backwards', 'GET', 'SELECT * FROM {api}.my_tasks(order_by => ''due_date'', backwards => true)', 'd n n n r r r n d'),
    ('function', 'board_api.tasks_search', 'EXECUTE', NULL, 'search', 'GET', 'SELECT * FROM {api}.tasks_search(''task'')', 'd n n n r r r n d'),
    ('relation', 'board_api.tasks', 'SELECT', NULL, 'by label', 'GET', 'SELECT * FROM {api}.tasks WHERE taskapi.contains(labels, ARRAY[]::text[])', 'd n n n r r r r d'),
    ('function', 'board_api.tasks_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.tasks_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.projects_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.projects_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.members_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.members_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.deleted_tasks_page', 'EXECUTE', NULL, 'page of deleted', 'GET', 'SELECT * FROM {api}.deleted_tasks_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.deleted_projects_page', 'EXECUTE', NULL, 'page of deleted', 'GET', 'SELECT * FROM {api}.deleted_projects_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.deleted_members_page', 'EXECUTE', NULL, 'page of deleted', 'GET', 'SELECT * FROM {api}.deleted_members_page() p WHERE p.items::text <> ''[]''', 'd n n n r r r r d'),
    ('function', 'board_api.deleted_users_page', 'EXECUTE', NULL, 'page of deleted', 'GET', 'SELECT * FROM {api}.deleted_users_page()', 'd d d d d d d r d'),
    ('function', 'board_api.tasks_page', 'EXECUTE', NULL, 'page with deleted', 'GET', 'SELECT * FROM {api}.tasks_page(show_deleted => true) p WHERE p.items::text LIKE ''%deletion_id%''', 'd n n n r r r r d'),
    ('function', 'board_api.users_page', 'EXECUTE', NULL, 'page with deleted', 'GET', 'SELECT * FROM {api}.users_page(show_deleted => true)', 'd d d d d d d r d'),
    ('function', 'board_api.tasks_changes', 'EXECUTE', NULL, 'changes', 'GET', 'SELECT * FROM {api}.tasks_changes()', 'd r r r r r r r d'),
    ('function', 'board_api.projects_changes', 'EXECUTE', NULL, 'changes', 'GET', 'SELECT * FROM {api}.projects_changes()', 'd r r r r r r r d'),
    ('function', 'board_api.members_changes', 'EXECUTE', NULL, 'changes', 'GET', 'SELECT * FROM {api}.members_changes()', 'd r r r r r r r d'),
    ('function', 'board_api.users_page', 'EXECUTE', NULL, 'page', 'GET', 'SELECT * FROM {api}.users_page() p WHERE p.items::text <> ''[]''', 'd r r r r r r r d'),
    ('function', 'board_api.cursor_by_due_date board_api.cursor_by_priority board_api.cursor_by_updated_at', 'EXECUTE', NULL, 'computed field', NULL, NULL, 'd x x x x x x x d'),

    ('relation', 'board_api.users', 'SELECT', NULL, 'read oneself', 'GET', 'SELECT * FROM {api}.users WHERE id = {me}', 'd r r r r r r n d'),
    ('relation', 'board_api.users', 'SELECT', NULL, 'read a member', 'GET', 'SELECT email FROM {api}.users WHERE id = {extra}', 'd n n n r r r r d'),
    ('relation', 'board_api.users', 'SELECT', NULL, 'read who is no member', 'GET', 'SELECT email FROM {api}.users WHERE id IN ({stranger}, {invited}, {removed}) AND id <> {me}', 'd n n n n n n n d'),
    ('relation', 'board_api.users', 'INSERT', NULL, 'create', 'POST', 'INSERT INTO {api}.users (email, display_name) VALUES (''new@example.org'', ''new'')', 'd d d d d d d r d'),
    ('relation', 'board_api.users', 'UPDATE', NULL, 'rename oneself', 'PATCH', 'UPDATE {api}.users SET display_name = ''other'' WHERE id = {me}', 'd r r r r r r n d'),
    ('relation', 'board_api.users', 'UPDATE', NULL, 'ask for a free address', 'PATCH', 'UPDATE {api}.users SET email = ''free@example.org'' WHERE id = {me}', 'd r r r r r r n d'),
    ('relation', 'board_api.users', 'UPDATE', NULL, 'ask for an address that is taken', 'PATCH', 'UPDATE {api}.users SET email = ''extra@example.org'' WHERE id = {me}', 'd r r r r r r n d'),
    ('relation', 'board_api.users', 'UPDATE', NULL, 'take another id', 'PATCH', 'UPDATE {api}.users SET id = {gone} WHERE id = {me}', 'd f f f f f f n d'),
    ('relation', 'board_api.users', 'UPDATE', NULL, 'rename a member', 'PATCH', 'UPDATE {api}.users SET display_name = ''other'' WHERE id = {extra}', 'd n n n f f f r d'),
    ('relation', 'board_api.users', 'DELETE', NULL, 'delete a member', 'DELETE', 'DELETE FROM {api}.users WHERE id = {extra}', 'd n n n f f f r d'),
    ('relation', 'board_api.users', 'DELETE', NULL, 'delete oneself', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}', 'd r r r r r h n d'),
    ('relation', 'board_api.deleted_users', 'SELECT', NULL, 'list deleted', 'GET', 'SELECT * FROM {api}.deleted_users', 'd d d d d d d r d'),
    ('relation', 'board_api.deleted_users', 'INSERT', NULL, 'create deleted', 'POST', NULL, 'd d d d d d d x d'),
    ('relation', 'board_api.deleted_users', 'UPDATE', NULL, 'restore', 'PATCH', 'UPDATE {api}.deleted_users SET deleted_at = NULL', 'd d d d d d d r d'),
    ('relation', 'board_api.deleted_users', 'DELETE', NULL, 'purge', 'DELETE', 'DELETE FROM {api}.deleted_users', 'd d d d d d d r d'),
    ('relation', 'board_api.me', 'SELECT', NULL, 'who am I', 'GET', 'SELECT * FROM {api}.me WHERE id = {me}', 'd r r r r r r n d'),
    ('relation', 'board_api.me', 'SELECT', NULL, 'who is another', 'GET', 'SELECT * FROM {api}.me WHERE id <> {me}', 'd n n n n n n n d'),
    ('relation', 'board_api.me', 'INSERT UPDATE DELETE', NULL, 'write', NULL, NULL, 'd d d d d d d x d'),
    ('function', 'board_api.confirm_email', 'EXECUTE', NULL, 'confirm', 'POST', 'SELECT * FROM {api}.confirm_email(''token'')', 'd m m m r m m m d'),
    ('function', 'board_api.confirm_email', 'EXECUTE', NULL, 'confirm with a token of another purpose', 'POST', 'SELECT * FROM {api}.confirm_email(''reset'')', 'd m m m m m m m d'),
    ('function', 'board_api.request_email_verification', 'EXECUTE', NULL, 'ask for mail', 'POST', 'SELECT * FROM {api}.request_email_verification()', 'd r r r r r r r d'),
    ('function', 'board_api.request_password_reset', 'EXECUTE', NULL, 'ask for mail to an account', 'POST', 'SELECT * FROM {api}.request_password_reset(''viewer@example.org'')', 'r r r r r r r r d'),
    ('function', 'board_api.request_password_reset', 'EXECUTE', NULL, 'ask for mail to no account', 'POST', 'SELECT * FROM {api}.request_password_reset(''unknown@example.org'')', 'r r r r r r r r d'),
    ('function', 'board_api.reset_password', 'EXECUTE', NULL, 'set another password, with the token', 'POST', 'SELECT * FROM {api}.reset_password(''reset'', ''another'')', 'r r r r r r r r d'),
    ('function', 'board_api.reset_password', 'EXECUTE', NULL, 'with a token of another purpose', 'POST', 'SELECT * FROM {api}.reset_password(''token'', ''another'')', 'm m m m m m m m d'),

    ('relation', 'board_api.sessions', 'SELECT', 'regress_anonymous: id created_at expires_at user_agent address current email password', 'list', 'GET', 'SELECT * FROM {api}.sessions', 'd r r r r r r u d'),
    ('relation', 'board_api.sessions', 'SELECT', NULL, 'list', 'GET', 'SELECT id FROM {api}.sessions', 'd r r r r r r u d'),
    ('relation', 'board_api.sessions', 'INSERT', 'email password', 'log in', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''Viewer@example.org'', ''viewer''''s password'') RETURNING id', 'r r r r r r r r d'),
    ('relation', 'board_api.sessions', 'INSERT', 'regress_anonymous: email password', 'log in with another password', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''viewer@example.org'', ''viewers password'')', 'u u u u u u u u d'),
    ('relation', 'board_api.sessions', 'UPDATE', NULL, 'update', 'PATCH', 'UPDATE {api}.sessions SET expires_at = ''infinity''', 'd d d d d d d u d'),
    ('relation', 'board_api.sessions', 'DELETE', NULL, 'log out', 'DELETE', 'DELETE FROM {api}.sessions', 'd r r r r r r u d'),
    ('relation', 'board_api.sessions', 'DELETE', NULL, 'log another out', 'DELETE', 'DELETE FROM {api}.sessions WHERE id = (SELECT s.id FROM pg_temp.session_of_extra s)', 'd n n n n n n u d'),
    ('relation', 'board_api.api_keys', 'SELECT', NULL, 'list', 'GET', 'SELECT * FROM {api}.api_keys', 'd r r r r r r u d'),
    ('relation', 'board_api.api_keys', 'INSERT', 'name scopes expires_at', 'create', 'POST', 'INSERT INTO {api}.api_keys (name) VALUES (''new'') RETURNING secret', 'd r r r r r r u d'),
    ('relation', 'board_api.api_keys', 'UPDATE', NULL, 'update', 'PATCH', 'UPDATE {api}.api_keys SET name = ''other''', 'd d d d d d d u d'),
    ('relation', 'board_api.api_keys', 'DELETE', NULL, 'revoke', 'DELETE', 'DELETE FROM {api}.api_keys', 'd r r r r r r u d'),
    ('relation', 'board_api.api_keys', 'DELETE', NULL, 'revoke another''s', 'DELETE', 'DELETE FROM {api}.api_keys WHERE name = ''of extra''', 'd n n n n n n u d'),

    -- The tables, which no layer exposes: should one do so all the same, row-level security still holds.
    ('relation', 'board.account', 'SELECT', 'id email display_name version created_at updated_at deleted_at', 'read', 'GET', 'SELECT email FROM board.account WHERE id NOT IN ({owner}, {editor}, {viewer}, {extra}, {me})', 'd n n n n n n n d'),
    ('relation', 'board.account', 'SELECT', NULL, 'read what is private', 'GET', 'SELECT password_hash, pending_email, email_verified_at FROM board.account', 'd d d d d d d r d'),
    ('relation', 'board.account', 'UPDATE', 'email display_name', 'change', 'PATCH', 'UPDATE board.account SET display_name = ''x'' WHERE id = {extra}', 'd n n n n n n r d'),
    ('relation', 'board.account', 'UPDATE', NULL, 'take an address unconfirmed', 'PATCH', 'UPDATE board.account SET pending_email = ''x@y'', deleted_at = NULL', 'd d d d d d d r d'),
    ('relation', 'board.account', 'INSERT', NULL, 'create', NULL, NULL, 'd d d d d d d x d'),
    ('relation', 'board.account', 'DELETE', NULL, 'delete another', 'DELETE', 'DELETE FROM board.account WHERE id = {extra}', 'd n n n n n n r d'),
    ('relation', 'board.one_time_token', 'SELECT INSERT UPDATE DELETE', NULL, 'read and write', NULL, NULL, 'd d d d d d d x d'),
    ('relation', 'board.project', 'SELECT', 'id name description creator_id version created_at updated_at deleted_at deletion_id changed', 'read', 'GET', 'SELECT name FROM board.project WHERE id = {project}', 'd n n n r r r r d'),
    ('relation', 'board.project', 'INSERT', 'id name description creator_id created_at', 'create in another''s name', 'POST', 'INSERT INTO board.project (name, creator_id) VALUES (''x'', {owner})', 'd r r r r r r r d'),
    ('relation', 'board.project', 'UPDATE', 'id name description creator_id created_at updated_at', 'change', 'PATCH', 'UPDATE board.project SET name = ''x'' WHERE id = {project}', 'd n n n n n r r d'),
    ('relation', 'board.project', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM board.project WHERE id = {project}', 'd n n n n n r r d'),
    ('relation', 'board.membership', 'SELECT', 'project_id account_id role version created_at updated_at deleted_at deletion_id changed', 'read', 'GET', 'SELECT role FROM board.membership WHERE project_id = {project}', 'd n n n r r r r d'),
    ('relation', 'board.membership', 'INSERT', NULL, 'create', NULL, NULL, 'd d d d d d d x d'),
    ('relation', 'board.membership', 'UPDATE', 'role', 'raise', 'PATCH', 'UPDATE board.membership SET role = ''owner'' WHERE project_id = {project} AND account_id = {extra}', 'd n n n n n r r d'),
    ('relation', 'board.membership', 'DELETE', NULL, 'remove another', 'DELETE', 'DELETE FROM board.membership WHERE project_id = {project} AND account_id = {extra}', 'd n n n n n r r d'),
    ('relation', 'board.invitation', 'SELECT', 'id project_id email account_id role inviter_id project_name inviter_name created_at expires_at', 'read', 'GET', 'SELECT email FROM board.invitation', 'd n r n n n r r d'),
    ('relation', 'board.invitation', 'SELECT', NULL, 'read hashes', 'GET', 'SELECT token_hash FROM board.invitation', 'd d d d d d d r d'),
    ('relation', 'board.invitation', 'INSERT UPDATE', NULL, 'write', NULL, NULL, 'd d d d d d d x d'),
    ('relation', 'board.invitation', 'DELETE', NULL, 'revoke or decline', 'DELETE', 'DELETE FROM board.invitation WHERE id = {invitation}', 'd n r n n n r r d'),
    ('relation', 'board.task', 'SELECT', 'id project_id assignee_id creator_id parent_id title description status priority labels due_date position version created_at updated_at completed_at deleted_at deletion_id changed', 'read', 'GET', 'SELECT title FROM board.task WHERE id = {task}', 'd n n n r r r r d'),
    ('relation', 'board.task', 'INSERT', 'id project_id assignee_id creator_id parent_id title description status priority labels due_date position created_at completed_at', 'create', 'POST', 'INSERT INTO board.task (project_id, title) VALUES ({project}, ''x'')', 'd p p p p r r r d'),
    ('relation', 'board.task', 'UPDATE', 'id project_id assignee_id creator_id parent_id title description status priority labels due_date position created_at updated_at completed_at', 'change', 'PATCH', 'UPDATE board.task SET title = ''x'' WHERE id = {task}', 'd n n n n r r r d'),
    ('relation', 'board.task', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM board.task WHERE id = {task}', 'd n n n n r r r d'),
    -- What left is seen under the policies of what is there, and nothing but its key.
    ('relation', 'board.task_departures', 'SELECT', 'id project_id taskapi_stamp', 'read', 'GET', 'SELECT id FROM board.task_departures WHERE project_id = {project}', 'd n n n r r r r d'),
    ('relation', 'board.project_departures', 'SELECT', 'id taskapi_stamp', 'read', 'GET', 'SELECT id FROM board.project_departures WHERE id = {project}', 'd n n n r r r r d'),
    ('relation', 'board.membership_departures', 'SELECT', 'project_id account_id taskapi_stamp', 'read', 'GET', 'SELECT account_id FROM board.membership_departures WHERE project_id = {project}', 'd n n n r r r r d'),
    ('relation', 'board.task_departures board.project_departures board.membership_departures', 'INSERT UPDATE DELETE', NULL, 'write', NULL, NULL, 'd d d d d d d x d'),
    ('relation', 'board.comment', 'SELECT', 'id project_id task_id author_id body version created_at updated_at deleted_at deletion_id', 'read', 'GET', 'SELECT body FROM board.comment WHERE id = {comment}', 'd n n n r r r r d'),
    ('relation', 'board.comment', 'INSERT', 'id project_id task_id author_id body created_at', 'create', 'POST', 'INSERT INTO board.comment (project_id, task_id, author_id, body) VALUES ({project}, {task}, {owner}, ''x'')', 'd p p p r r r r d'),
    ('relation', 'board.comment', 'UPDATE', 'id project_id task_id author_id body created_at updated_at', 'change', 'PATCH', 'UPDATE board.comment SET body = ''x'' WHERE id = {comment}', 'd n n n r n n r d'),
    ('relation', 'board.comment', 'DELETE', NULL, 'delete', 'DELETE', 'DELETE FROM board.comment WHERE id = {comment}', 'd n n n r n r r d'),
    ('relation', 'board.activity', 'SELECT', 'id project_id task_id resource row_id action changes actor_id credential credential_id created_at', 'read', 'GET', 'SELECT action FROM board.activity WHERE task_id = {task}', 'd n n n r r r r d'),
    ('relation', 'board.activity', 'INSERT UPDATE DELETE', NULL, 'write', NULL, NULL, 'd d d d d d d x d'),

    -- What policies and lists call; the owner's, and the triggers'.
    ('function', 'board.my_task_ids_by_created_at board.my_task_ids_by_due_date board.my_task_ids_by_priority board.my_task_ids_by_updated_at', 'EXECUTE', NULL, 'ids, for my_task_ids()', NULL, NULL, 'd d d d d d d x d'),
    ('function', 'board.my_project_ids board.my_peer_ids board.my_task_ids board.words_of board.my_matching_tasks board.make_room', 'EXECUTE', NULL, 'own ids', NULL, NULL, 'd x x x x x x x d'),
    ('function', 'board.create_account board.set_password board.create_email_token board.create_password_token board.create_one_time_token board.send_mail board.grant_api board.maintain', 'EXECUTE', NULL, 'administer', NULL, NULL, 'd d d d d d d x d'),
    ('function', 'board.add_first_owner board.keep_an_owner board.keep_member board.end_membership board.end_invitations board.leave_projects board.set_creator board.set_created_at'
        ' board.set_completed_at board.set_pending_email board.end_logins board.come_back_with_an_owner board.log_in board.log_out board.create_api_key board.require_login board.revoke_api_key board.refuse_update'
        ' board.create_invitation board.refuse_member board.keep_acyclic board.set_author board.log_activity board.log_task board.forget_activity board.mail_pending_email', 'EXECUTE', NULL, 'trigger', NULL, NULL, 'd d d d d d d x d'),
    ('function', 'board.position_between board.positions_between board.neighbours board.last_position board.spread_positions', 'EXECUTE', NULL, 'part of make_room()', NULL, NULL, 'd d d d d d d x d'),
    ('schema', 'board_api', 'USAGE', NULL, 'use', NULL, NULL, 'x x x x x x x x d'),
    ('schema', 'board', 'USAGE', NULL, 'use', NULL, NULL, 'd x x x x x x x d'),
    ('schema', 'board board_api taskapi', 'CREATE', NULL, 'create in', NULL, NULL, 'd d d d d d d x d'),
    ('schema', 'taskapi', 'USAGE', NULL, 'use', NULL, NULL, 'x x x x x x x x x');

-- The library. What is everybody's only computes, or tells a caller of its own request, or runs as the caller.
INSERT INTO rule (kind, objects, privilege, what, answers) VALUES
    ('function', 'deletion_column other_deletion_column adoptable_resource want_resource check_owners owned_by_others creator_in check_misfits resolve_resource'
        ' expose_plan sql_comment is_own_view relation_named order_by_renamed needed_columns source_columns column_statements present_view'
        ' view_columns leaving_columns drop_statements trigger_statements own_triggers source_trigger_statements rename_statements'
        ' cursor_comment dress_statements view_statements page_statements schema_statements resource_statements new_column_grants'
        ' revoke_statements remade_grants table_misfits key_misfits column_misfits misfit_cures free_column trash_notices'
        ' order_advice owner_notices resource_notices raise_notice'
        ' column_expression deleted_order describe_columns key_columns may_read_view some_policy resource_actions resource_page insert_columns insert_columns_support insert_arguments insert_conflict table_default table_default_support'
        ' check_exposable check_names check_rate_limit_policy check_schema check_task_api_schema client_address current_subject current_subject_id cursor cursor_check cursor_cmp cursor_constructor_support cursor_decode cursor_encode cursor_eq cursor_ge cursor_gt cursor_hash cursor_hash_extended cursor_in cursor_json cursor_key cursor_le cursor_lt cursor_ne cursor_out cursor_recv cursor_send cursor_sortsupport cursor_support cursor_value'
        ' drop_resource'
        ' expose'
        ' contains overlaps matches is_like match_value index_values json_row json_rows'
        ' fingerprint finish_unexpose'
        ' free_name grant_resource grantee_name grants_on'
        ' holds'
        ' index_advice is_source is_stranger'
        ' jwt_claims jwt_verify kept_by_citus'
        ' make_resource'
        ' objects_in one_of order_by_canonical order_by_columns owner_of'
        ' page page_arguments page_function_of page_rows pre_request problems'
        ' raise_no_resource raise_problem rate_limit_headers read_after registered_resource request_cookie request_header require_subject resource_columns resource_grants resource_names resource_order resource_reference resource_statement resource_touch resource_triggers resource_write resources_of revoke_from_others run_as'
        ' check_publish resource_publish'
        ' same_origin session_cookie set_response_header set_response_status shown_columns'
        ' unexpose uuidv7 uuidv7_timestamp', 'EXECUTE', 'use', 'x x x x x x x x x'),
    ('function', 'run_ddl expose_online resource_ddl revokes_on own_comments page_function_over grant_shown_columns column_grants_of', 'EXECUTE', 'use', 'x x x x x x x x x'),
    ('function', 'changes change_stamp changes_arguments changes_function_of scope_column policy_expression read_policies departure_columns departure_columns_of departures_of'
        ' has_opaque_policy departures_fit departures_legible wanted_scopes check_changes present_departures wanted_departures departures_statements readers_of changes_grants'
        ' changes_statements changes_advice is_stamp told_columns', 'EXECUTE', 'use', 'x x x x x x x x x'),
    ('function', 'next_incarnation prune_changes register_changes', 'EXECUTE', 'administer', 'd d d d d d d x d'),
    ('function', 'make_idempotent statement_returns', 'EXECUTE', 'use', 'x x x x x x x x x'),
    ('function', 'my_api_keys create_my_api_key revoke_my_api_key my_sessions end_my_session', 'EXECUTE', 'use one''s own', 'd x x x x x x x d'),
    ('function', 'add_secret api_key_last_used api_key_usage'
        ' bcrypt block_subject'
        ' canonical_subject charge_login check_rate_limits counters create_api_key create_session create_task_api'
        ' create_consumer_group create_outbox drop_consumer_group enforce_rate_limits extend_lease extend_outbox'
        ' flush_api_key_usage forget_dropped_resources'
        ' hash_password'
        ' idempotency_abandoned idempotency_acquire idempotency_begin idempotency_checkpoint idempotency_complete idempotency_finish idempotency_release insert_api_key invalidate_cache'
        ' jwt_sign lock_subject'
        ' grant_maintain maintain'
        ' new_credential'
        ' match_support one_of_support outbox_lag_rows outbox_location'
        ' json_row_end json_rows_add json_rows_end page_rows_support prune_outbox publish purge_deleted purge_idempotency_keys purge_sessions purge_source purge_table purge_tables'
        ' discard outbox_slot outbox_stats publish_command random_secret receive require_outbox saga_move saga_steps settle_step start_saga redrive register_outbox settle rate_limit rate_limit_allowed rate_limit_denied rate_limit_peek rate_limit_refund rate_limit_reset rate_limit_status rate_limit_table replace_initial_secret replace_shipped_policy reset_rate_limits retire_secret revoke_credentials rotate_secret'
        ' save_rate_limits set_api_roles set_secret shipped_rate_limit_policies'
        ' unblock_subject'
        ' verify_password', 'EXECUTE', 'administer', 'd d d d d d d x d'),
    ('function', 'request_buckets request_series requests_under_way unbounded_page_advice unbounded_page_counts', 'EXECUTE', 'observe', 'd d d d d d d x d'),
    ('function', 'note_maintenance', 'EXECUTE', 'maintain', 'd d d d d d d x d'),
    ('function', 'guard_ddl guard_migrations guard_rewrite', 'EXECUTE', 'guard migrations', 'd d d d d d d x d'),
    ('relation', 'maintenance migration_guard', 'SELECT INSERT UPDATE DELETE', 'read and write', 'd d d d d d d x d'),
    ('relation', 'blocked_subject change_source idempotency_fencing_token purge_turn outbox secret api_key session api_role idempotency_key rate_limit_policy rate_limit_route rate_limit_subject rate_limit_override resource', 'SELECT INSERT UPDATE DELETE', 'read and write', 'd d d d d d d x d'),
    ('relation', 'resources', 'SELECT', 'list what one may use', 'x x x x x x x x x'),
    ('relation', 'resources', 'INSERT UPDATE DELETE', 'write', 'd d d d d d d x d'),
    ('relation', 'stats outbox_lag rate_limit_stats rate_limit_denials request_metrics request_duration_buckets request_gauge unbounded_pages', 'SELECT INSERT UPDATE DELETE', 'read', 'd d d d d d d x d'),
    ('type', 'cursor changes_result page_result idempotency_entry idempotency_lease message rate_limit_verdict wanted_resource', 'USAGE', 'use', 'x x x x x x x x x');
UPDATE rule SET objects = regexp_replace(objects, '(^| )([a-z])', '\1taskapi.\2', 'g') WHERE objects !~ '^board|^taskapi|board';

-- One row for each object, privilege and statement.
CREATE TEMP TABLE cell AS
SELECT r.n, r.kind, o.object, p.privilege, r.columns, r.what, r.method, r.statement, a.who, a.role, coalesce(a.always, l.answer) AS answer
FROM rule r, string_to_table(r.objects, ' ') o (object), string_to_table(r.privilege, ' ') p (privilege),
     string_to_table(r.answers, ' ') WITH ORDINALITY s (letter, place) JOIN asker a ON a.n = s.place JOIN letter l ON l.letter = s.letter
WHERE a.always IS NULL OR r.statement IS NOT NULL;

ANALYZE cell;
SET LOCAL jit = off;

-- What is there to have a rule about.
CREATE TEMP VIEW thing AS
SELECT 'schema' AS kind, n.nspname::text AS object, n.nspname AS schema, p.privilege, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl, n.nspowner AS owner
FROM pg_namespace n, (VALUES ('USAGE'), ('CREATE')) p (privilege)
UNION ALL
SELECT 'relation', n.nspname || '.' || c.relname, n.nspname, p.privilege, coalesce(c.relacl, acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner)), c.relowner
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) p (privilege)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
UNION ALL
SELECT 'function', n.nspname || '.' || f.proname, n.nspname, 'EXECUTE', coalesce(f.proacl, acldefault('f', f.proowner)), f.proowner
FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
UNION ALL
SELECT 'type', n.nspname || '.' || t.typname, n.nspname, 'USAGE', coalesce(t.typacl, acldefault('T', t.typowner)), t.typowner
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c';

-- Every privilege of the two roles and PUBLIC that is not the owner's, with the column where it is on one only.
CREATE TEMP VIEW held AS
SELECT t.kind, t.object, NULL::text AS column, x.privilege_type AS privilege, coalesce(r.rolname, 'public') AS role, x.is_grantable
FROM (SELECT DISTINCT kind, object, schema, acl, owner FROM thing) t, aclexplode(t.acl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE t.schema IN ('taskapi', 'board', 'board_api') AND x.grantee <> t.owner AND (x.grantee = 0 OR r.rolname LIKE 'regress%')
UNION ALL
SELECT 'relation', n.nspname || '.' || c.relname, a.attname, x.privilege_type, coalesce(r.rolname, 'public'), x.is_grantable
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(a.attacl) x LEFT JOIN pg_roles r ON r.oid = x.grantee
WHERE n.nspname IN ('taskapi', 'board', 'board_api') AND (x.grantee = 0 OR r.rolname LIKE 'regress%');

-- What the table says about privileges: who is denied in every row lacks it, and everybody else has it, PUBLIC's as PUBLIC.
CREATE TEMP VIEW due AS
WITH allowed AS (
    SELECT kind, object, privilege, role FROM cell WHERE answer <> 'denied' AND role IS NOT NULL GROUP BY 1, 2, 3, 4
), narrow AS (
    SELECT DISTINCT c.object, c.privilege, CASE WHEN c.columns LIKE '%:%' THEN split_part(c.columns, ':', 1) ELSE 'regress_authenticated' END AS role,
           string_to_table(ltrim(split_part(c.columns, ':', CASE WHEN c.columns LIKE '%:%' THEN 2 ELSE 1 END)), ' ') AS column
    FROM cell c WHERE c.columns IS NOT NULL
)
SELECT a.kind, a.object, n.column, a.privilege, a.role
FROM allowed a LEFT JOIN narrow n USING (object, privilege, role)
WHERE a.role = 'public' OR NOT EXISTS (SELECT FROM allowed p WHERE p.role = 'public' AND (p.kind, p.object, p.privilege) = (a.kind, a.object, a.privilege))
UNION
-- the answer to a log-in is seen, and nothing else: the list asks what an anonymous caller may not execute
SELECT 'relation', n.object, n.column, n.privilege, n.role FROM narrow n WHERE n.role = 'regress_anonymous';

-- Everything in which the database is not what the table says; of one object, or of all.
CREATE FUNCTION pg_temp.deviations(only_object text DEFAULT NULL) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('no row for %s of %s %s', t.privilege, t.kind, t.object)
    FROM (SELECT DISTINCT kind, object, schema, privilege FROM pg_temp.thing) t
    WHERE t.schema IN ('taskapi', 'board', 'board_api') AND (only_object IS NULL OR t.object = only_object)
      AND NOT EXISTS (SELECT FROM pg_temp.cell c WHERE (c.kind, c.object, c.privilege) = (t.kind, t.object, t.privilege))
    UNION ALL
    SELECT DISTINCT format('no object for the row of %s of %s %s', c.privilege, c.kind, c.object)
    FROM pg_temp.cell c WHERE (only_object IS NULL OR c.object = only_object)
      AND NOT EXISTS (SELECT FROM pg_temp.thing t WHERE (c.kind, c.object, c.privilege) = (t.kind, t.object, t.privilege))
    UNION ALL
    SELECT format('%s has %s on %s%s', role, privilege, object, '.' || "column")
    FROM (SELECT kind, object, "column", privilege, role FROM pg_temp.held EXCEPT SELECT kind, object, "column", privilege, role FROM pg_temp.due) h
    WHERE only_object IS NULL OR object = only_object
    UNION ALL
    SELECT format('%s lacks %s on %s%s', role, privilege, object, '.' || "column")
    FROM (SELECT kind, object, "column", privilege, role FROM pg_temp.due EXCEPT SELECT kind, object, "column", privilege, role FROM pg_temp.held) d
    WHERE only_object IS NULL OR object = only_object
    UNION ALL
    SELECT format('%s may pass on %s on %s', role, privilege, object) FROM pg_temp.held WHERE is_grantable AND (only_object IS NULL OR object = only_object)
    UNION ALL
    SELECT format('%s: %s by %s: %s, not %s', c.object, c.what, c.who, a.answer, c.answer)
    FROM pg_temp.cell c, LATERAL pg_temp.attempt(c.who, c.method, c.statement) a (answer)
    WHERE c.statement IS NOT NULL AND only_object IS NOT NULL AND c.object = only_object AND a.answer IS DISTINCT FROM c.answer
$$;

-- A mistake, made for a moment: does the table notice?
CREATE FUNCTION pg_temp.notices(object text, mistake text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        EXECUTE mistake;
        found := (SELECT string_agg(d, '; ') FROM pg_temp.deviations(object) d);
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
        RETURN found;
    END;
END
$$;
CREATE TEMP TABLE mistake (object text, statement text);
INSERT INTO mistake VALUES
    ('board_api.new_view', 'CREATE VIEW board_api.new_view AS SELECT 1 AS one'),
    ('board.new_table', 'CREATE TABLE board.new_table (id int)'),
    ('board_api.new_function', 'CREATE FUNCTION board_api.new_function() RETURNS int LANGUAGE sql AS ''SELECT 1'''),
    ('taskapi.new_function', 'CREATE FUNCTION taskapi.new_function() RETURNS int LANGUAGE sql AS ''SELECT 1'''),
    ('board.new_sequence', 'CREATE SEQUENCE board.new_sequence'),
    ('taskapi.new_type', 'CREATE TYPE taskapi.new_type AS ENUM (''a'')'),
    ('board_api.my_tasks', 'DROP FUNCTION board_api.my_tasks'),
    ('board_api.my_tasks', 'REVOKE EXECUTE ON FUNCTION board_api.my_tasks FROM regress_authenticated'),
    ('board.create_account', 'GRANT EXECUTE ON FUNCTION board.create_account TO PUBLIC'),
    ('taskapi.create_api_key', 'GRANT EXECUTE ON FUNCTION taskapi.create_api_key TO regress_authenticated'),
    ('taskapi.current_subject', 'REVOKE EXECUTE ON FUNCTION taskapi.current_subject FROM PUBLIC'),
    ('taskapi.rate_limit', 'GRANT EXECUTE ON FUNCTION taskapi.rate_limit TO PUBLIC'),
    ('board_api.me', 'DELETE FROM taskapi.blocked_subject'),
    ('taskapi.secret', 'GRANT SELECT (secret) ON taskapi.secret TO regress_anonymous'),
    ('board.account', 'GRANT SELECT (password_hash) ON board.account TO regress_authenticated'),
    ('board.account', 'GRANT REFERENCES ON board.account TO PUBLIC'),
    ('board.task', 'GRANT SELECT (title) ON board.task TO regress_authenticated WITH GRANT OPTION'),
    ('board.membership', 'GRANT UPDATE (account_id) ON board.membership TO regress_authenticated'),
    ('board_api.deleted_users', 'GRANT UPDATE (deleted_at) ON board_api.deleted_users TO regress_authenticated'),
    ('board_api.projects', 'GRANT SELECT ON board_api.projects TO regress_anonymous'),
    ('board', 'GRANT CREATE ON SCHEMA board TO regress_authenticated'),
    ('board_api', 'GRANT USAGE ON SCHEMA board_api TO PUBLIC'),
    ('board_api.tasks', 'ALTER TABLE board.task DISABLE ROW LEVEL SECURITY'),
    ('board_api.tasks', 'ALTER VIEW board_api.tasks SET (security_invoker = false)'),
    ('board_api.users', 'DROP POLICY account_sees_peers ON board.account; CREATE POLICY all_of_them ON board.account FOR SELECT USING (true)'),
    ('board_api.users', 'DROP TRIGGER account_sets_pending_email ON board.account'),
    ('board_api.members', 'DROP POLICY membership_ended_by_owners_and_oneself ON board.membership'),
    ('board_api.members', 'DROP POLICY membership_changed_by_owners ON board.membership; CREATE POLICY change ON board.membership FOR UPDATE USING (taskapi.one_of(project_id, (SELECT board.my_project_ids())))'),
    ('board_api.members', 'DROP TRIGGER membership_keeps_an_owner_on_update ON board.membership'),
    ('board_api.invitations', 'CREATE POLICY others ON board.invitation FOR SELECT USING (taskapi.one_of(project_id, (SELECT board.my_project_ids())))'),
    ('board_api.accept_invitation', 'UPDATE board.invitation SET account_id = pg_temp.id(''stranger'') WHERE account_id IS NOT NULL'),
    ('board_api.me', 'CREATE OR REPLACE VIEW board_api.me WITH (security_barrier) AS SELECT a.id, a.email, a.email_verified_at, a.pending_email, a.display_name, a.version, a.created_at, a.updated_at, ''x'' AS credential, NULL::text[] AS scopes FROM board.account a'),
    ('board_api.comments', 'DROP TRIGGER comment_sets_author ON board.comment'),
    ('board_api.comments', 'DROP POLICY comment_changed_by_author ON board.comment; CREATE POLICY change ON board.comment FOR UPDATE USING (taskapi.one_of(project_id, (SELECT board.my_project_ids())))'),
    ('board_api.deleted_comments', 'DROP POLICY comment_deleted_by_author_and_owners ON board.comment; CREATE POLICY remove ON board.comment FOR DELETE USING (taskapi.one_of(project_id, (SELECT board.my_project_ids())))'),
    ('board_api.activity', 'GRANT DELETE ON board_api.activity TO regress_authenticated; GRANT DELETE ON board.activity TO regress_authenticated'),
    ('board_api.activity', 'DROP TRIGGER task_logs_activity ON board.task; DELETE FROM board.activity'),
    ('board_api.move_task', 'CREATE OR REPLACE FUNCTION board.my_project_ids(minimum_role text DEFAULT ''viewer'') RETURNS uuid[] LANGUAGE sql AS ''SELECT array_agg(id) FROM board.project'''),
    ('board_api.reset_password', 'UPDATE board.one_time_token SET purpose = CASE purpose WHEN ''reset_password'' THEN ''confirm_email'' ELSE ''reset_password'' END, account_id = pg_temp.id(''extra'')'),
    ('board_api.confirm_email', 'UPDATE board.one_time_token SET account_id = pg_temp.id(''extra'') WHERE purpose = ''confirm_email''; UPDATE board.account SET pending_email = ''newviewer@example.org'' WHERE id = pg_temp.id(''extra'')'),
    ('board_api.sessions', 'CREATE OR REPLACE FUNCTION taskapi.verify_password(password text, hash text) RETURNS bool LANGUAGE sql AS ''SELECT true''');

SELECT plan((SELECT count(*)::int FROM cell WHERE statement IS NOT NULL) + (SELECT count(*)::int FROM mistake) + 6);
SELECT is(pg_temp.attempt(who, method, statement), answer, format('%s: %s: %s %s', object, what, who, answer))
FROM cell WHERE statement IS NOT NULL ORDER BY n;
SELECT is_empty('SELECT * FROM pg_temp.deviations()', 'all else is as the table says, and the table about all');
SELECT is_empty($$SELECT who, object FROM cell WHERE statement IS NULL AND role IS NULL AND answer = 'denied'$$, 'the owner lacks nothing');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'board_api'::regnamespace AND c.relkind = 'v'
    AND c.relname NOT IN ('sessions', 'api_keys', 'me') AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false)$$, 'every resource but one''s own runs with its caller''s rights');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'board'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity$$, 'every table has row-level security');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'taskapi'::regnamespace AND p.prosecdef AND has_function_privilege('public', p.oid, 'EXECUTE')
    AND p.proname NOT IN ('registered_resource', 'page_function_of', 'is_source', 'resources_of', 'departures_of', 'check_publish', 'departures_legible')$$, 'PUBLIC runs nothing with the rights of the owner but look-ups of the registry, and the one of whether there is an outbox');
SELECT is_empty($$SELECT d FROM (SELECT DISTINCT object FROM mistake) m, pg_temp.deviations(m.object) d$$, 'without a mistake there is none to notice');
SELECT isnt(pg_temp.notices(object, statement), NULL, 'a mistake is noticed: ' || statement) FROM mistake;
SELECT * FROM finish();
ROLLBACK;
