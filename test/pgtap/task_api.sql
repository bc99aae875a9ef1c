-- What the task API promises beyond the matrix of roles.sql.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql
SELECT plan(65);

CREATE FUNCTION pg_temp.does(who text, method text, statement text) RETURNS text LANGUAGE sql AS 'SELECT pg_temp.attempt(who, method, statement, true)';

-- Whoever creates a project is its first owner, whatever they write.
SELECT is(pg_temp.does('stranger', 'POST', 'INSERT INTO {api}.projects (name, creator_id) VALUES (''mine'', {owner}) RETURNING id'), 'rows', 'a stranger creates a project');
SELECT results_eq($$SELECT a.email, m.role FROM board.project p JOIN board.membership m ON m.project_id = p.id JOIN board.account a ON a.id = p.creator_id AND a.id = m.account_id WHERE p.name = 'mine'$$,
    $$VALUES ('stranger@example.org', 'owner')$$, 'and is its creator and only owner, whoever they named');
SELECT is(pg_temp.does('stranger', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''b1''), (''b2'') RETURNING id'), 'rows', 'several at once');
SELECT is((SELECT count(*) FROM board.membership m JOIN board.project p ON p.id = m.project_id WHERE p.name IN ('b1', 'b2') AND m.role = 'owner'), 2::bigint, 'each has its owner');

-- What the server sets is not the caller's to set.
SELECT is(pg_temp.does('editor', 'POST', 'INSERT INTO {api}.tasks (project_id, title, creator_id, created_at, status, completed_at) VALUES ({project}, ''forged'', {owner}, ''2000-01-01'', ''done'', ''2000-01-01'')'), 'rows', 'a task with forged columns');
SELECT results_eq($$SELECT creator_id = pg_temp.id('editor'), created_at = now(), completed_at = now() FROM board.task WHERE title = 'forged'$$, 'VALUES (true, true, true)', 'has the true ones');
SELECT is(pg_temp.does('editor', 'PATCH', 'UPDATE {api}.tasks SET creator_id = {owner}, created_at = ''2000-01-01'', title = ''forged 2'' WHERE title = ''forged'''), 'rows', 'a forging PATCH');
SELECT results_eq($$SELECT creator_id = pg_temp.id('editor'), created_at = now() FROM board.task WHERE title = 'forged 2'$$, 'VALUES (true, true)', 'changes nothing of them');
SELECT is(pg_temp.does('editor', 'PATCH', 'UPDATE {api}.tasks SET id = {gone} WHERE title = ''forged 2'''), 'rows', 'nor of its id');
SELECT is((SELECT count(*) FROM board.task WHERE id = pg_temp.id('gone')), 0::bigint, 'which stays');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.members SET created_at = ''2000-01-01'' WHERE project_id = {project} AND account_id = {extra}'), 'forbidden', 'a member since long ago');
SELECT is((SELECT created_at FROM board.membership WHERE account_id = pg_temp.id('extra') AND project_id = pg_temp.made('project')), now(), 'is one since now');
SELECT is(pg_temp.does('editor', 'PATCH', 'UPDATE {api}.tasks SET status = ''todo'' WHERE title = ''forged 2'''), 'rows', 'a task is opened again');
SELECT is((SELECT completed_at FROM board.task WHERE title = 'forged 2'), NULL, 'and is not completed');

-- A task moves between projects only for who may write in both.
SELECT is(pg_temp.attempt('editor', 'PATCH', 'UPDATE {api}.tasks SET project_id = {gone project} WHERE id = {task}'), 'rows', 'an editor of both projects moves a task');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.members SET role = ''viewer'' WHERE project_id = {gone project} AND account_id = {editor}'), 'rows', 'demoted in one');
SELECT is(pg_temp.attempt('editor', 'PATCH', 'UPDATE {api}.tasks SET project_id = {gone project} WHERE id = {task}'), 'forbidden', 'it is forbidden');

-- A live project keeps an owner.
SELECT is(pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {me}'), 'has_dependents', 'the last owner cannot leave');
SELECT is(pg_temp.attempt('owner', 'PATCH', 'UPDATE {api}.members SET role = ''editor'' WHERE project_id = {project} AND account_id = {me}'), 'has_dependents', 'nor step down');
SELECT is(pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}'), 'has_dependents', 'nor delete the account');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.members SET role = ''owner'' WHERE project_id = {project} AND account_id = {extra}'), 'rows', 'with a second owner');
SELECT throws_ok($$DELETE FROM board.membership WHERE project_id = pg_temp.made('project')$$, 'PT409', NULL, 'not both at once');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.members SET role = ''viewer'' WHERE project_id = {project} AND account_id = {me}'), 'rows', 'the first may step down');
SELECT is(pg_temp.attempt('owner', 'PATCH', 'UPDATE {api}.projects SET name = ''x'' WHERE id = {project}'), 'forbidden', 'and is no owner any more');
SELECT is(pg_temp.does('extra', 'PATCH', 'UPDATE {api}.members SET role = ''owner'' WHERE project_id = {project} AND account_id = {owner}'), 'rows', 'until made one again');

-- A member who was removed sees nothing, and comes back by invitation only.
SELECT is(pg_temp.does('owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {removed}'), 'rows', 'a member is removed');
SELECT is(pg_temp.attempt('removed', 'GET', 'SELECT * FROM {api}.tasks WHERE project_id = {project}'), 'nothing', 'and sees no task');
SELECT is(pg_temp.attempt('removed', 'GET', 'SELECT * FROM {api}.deleted_members WHERE project_id = {project}'), 'nothing', 'nor their removal');
SELECT is(pg_temp.attempt('owner', 'PATCH', 'UPDATE {api}.deleted_members SET deleted_at = NULL'), 'denied', 'which nobody can undo');
SELECT is(pg_temp.attempt('owner', 'POST', 'INSERT INTO {api}.members (project_id, account_id, role) VALUES ({project}, {removed}, ''editor'')'), 'forbidden', 'nobody is added');
SELECT is(pg_temp.does('owner', 'POST', 'INSERT INTO {api}.invitations (project_id, account_id, role) VALUES ({project}, {removed}, ''editor'') RETURNING role'), 'rows', 'but invited');
SELECT is(pg_temp.attempt('removed', 'PATCH', 'UPDATE {api}.tasks SET title = ''x'' WHERE id = {task}'), 'nothing', 'which by itself makes no member');
SELECT is(pg_temp.does('removed', 'POST', 'SELECT a.* FROM {api}.invitations i, {api}.accept_invitation(invitation_id => i.id) a'), 'rows', 'they accept');
SELECT is(pg_temp.attempt('removed', 'PATCH', 'UPDATE {api}.tasks SET title = ''x'' WHERE id = {task}'), 'rows', 'they have the new role');

-- A deleted project: its members still see it, and it comes back whole.
SELECT is(pg_temp.does('editor', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {gone task}'), 'rows', 'a task is deleted by itself');
SELECT is(pg_temp.does('owner', 'DELETE', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {removed}'), 'rows', 'a member is removed by itself');
SELECT is(pg_temp.does('owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {project}'), 'rows', 'the project is deleted');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.projects WHERE id = {project}'), 'nothing', 'it is not among the live ones');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.deleted_projects WHERE id = {project}'), 'rows', 'a viewer sees it among the deleted ones');
SELECT is(pg_temp.attempt('removed', 'GET', 'SELECT * FROM {api}.deleted_projects WHERE id = {project}'), 'nothing', 'the removed member does not');
SELECT is(pg_temp.attempt('editor', 'POST', 'INSERT INTO {api}.tasks (project_id, title) VALUES ({project}, ''late'')'), 'invalid_reference', 'it takes no new task');
SELECT is(pg_temp.attempt('owner', 'POST', 'INSERT INTO {api}.invitations (project_id, account_id) VALUES ({project}, {stranger})'), 'invalid_reference', 'nor an invitation');
SELECT is(pg_temp.attempt('editor', 'PATCH', 'UPDATE {api}.deleted_tasks SET deleted_at = NULL WHERE id = {task}'), 'parent_deleted', 'its task does not come back alone');
SELECT is(pg_temp.attempt('viewer', 'PATCH', 'UPDATE {api}.deleted_projects SET deleted_at = NULL WHERE id = {project}'), 'forbidden', 'a viewer cannot restore it');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.deleted_projects SET deleted_at = NULL WHERE id = {project}'), 'rows', 'its owner can');
SELECT is((SELECT count(*) FROM board.membership WHERE project_id = pg_temp.made('project') AND deleted_at IS NULL), 4::bigint, 'with the members that went along, not the removed one');
SELECT results_eq($$SELECT id FROM board.task WHERE project_id = pg_temp.made('project') AND deleted_at IS NOT NULL$$, $$SELECT pg_temp.made('gone task')$$, 'and the tasks, not the one deleted before');

-- Who deleted their account is a member of nothing any more, whatever is restored, in whatever order.
SELECT lives_ok($$INSERT INTO board.membership (project_id, account_id) VALUES (pg_temp.made('gone project'), pg_temp.id('gone'))$$, 'a member more');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.tasks SET assignee_id = {gone} WHERE id = {task of gone project}'), 'rows', 'with a task');
SELECT is(pg_temp.does('owner', 'DELETE', 'DELETE FROM {api}.projects WHERE id = {gone project}'), 'rows', 'the project is deleted');
SELECT is(pg_temp.does('gone', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}'), 'rows', 'then the account');
SELECT is(pg_temp.attempt('gone', 'PATCH', 'UPDATE {api}.deleted_users SET deleted_at = NULL WHERE id = {me}'), 'unauthenticated', 'the account cannot bring itself back');
SELECT is(pg_temp.does('owner', 'PATCH', 'UPDATE {api}.deleted_projects SET deleted_at = NULL WHERE id = {gone project}'), 'rows', 'the project comes back');
SELECT is(pg_temp.attempt('gone', 'GET', 'SELECT * FROM {api}.tasks'), 'unauthenticated', 'in which who is gone sees nothing');
SELECT results_eq($$SELECT assignee_id FROM board.task WHERE id = pg_temp.made('task of gone project')$$, 'VALUES (NULL::uuid)', 'and is assigned to nothing');
SELECT lives_ok($$UPDATE board_api.deleted_users SET deleted_at = NULL WHERE id = pg_temp.id('gone')$$, 'an administrator restores the account');
SELECT is(pg_temp.attempt('gone', 'GET', 'SELECT * FROM {api}.me'), 'rows', 'which is there');
SELECT is(pg_temp.attempt('gone', 'GET', 'SELECT * FROM {api}.projects'), 'nothing', 'and a member of nothing');
SELECT is(pg_temp.attempt('removed', 'GET', 'SELECT * FROM {api}.projects WHERE id = {project}'), 'nothing', 'nor is who was removed before the project went');

-- A deleted account is gone for the others, and frees its address.
SELECT is(pg_temp.does('viewer', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}'), 'rows', 'a user deletes their account');
SELECT is(pg_temp.attempt('owner', 'GET', 'SELECT * FROM {api}.users WHERE id = {viewer}'), 'nothing', 'it is gone for the others');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.tasks'), 'unauthenticated', 'it sees no task');
SELECT is(pg_temp.attempt('viewer', 'POST', 'INSERT INTO {api}.projects (name) VALUES (''ghost'')'), 'unauthenticated', 'it creates no project');
SELECT lives_ok($$SELECT board.create_account('Viewer@example.org')$$, 'the address is free again');
SELECT throws_ok($$UPDATE board_api.deleted_users SET deleted_at = NULL WHERE id = pg_temp.id('viewer')$$, 'PGRST', NULL, 'and then it does not come back');

SELECT * FROM finish();
ROLLBACK;
