-- The story of make demo. :packages is the file that scripts/demo wrote.
\set ON_ERROR_STOP on
\pset footer off
\pset null -
\pset format aligned
\pset border 1
\set QUIET on
SET synchronous_commit = off;

\echo
\echo '=== 1. Install, and create the task API ==='
\echo
\echo 'CREATE EXTENSION pgcrypto;                    -- for passwords'
\echo 'CREATE EXTENSION taskapi;'
\echo 'CREATE ROLE anonymous NOLOGIN;'
\echo 'CREATE ROLE authenticated NOLOGIN;'
\echo 'CREATE ROLE authenticator LOGIN NOINHERIT IN ROLE anonymous, authenticated;'
\echo 'SELECT taskapi.create_task_api(anonymous => ''anonymous'', authenticated => ''authenticated'');'
CREATE EXTENSION pgcrypto;
CREATE EXTENSION taskapi;
CREATE ROLE anonymous NOLOGIN;
CREATE ROLE authenticated NOLOGIN;
CREATE ROLE authenticator LOGIN NOINHERIT IN ROLE anonymous, authenticated;
\o /dev/null
SELECT taskapi.create_task_api(anonymous => 'anonymous', authenticated => 'authenticated');
\ir demo_client.sql
\o
\echo
\echo 'Its resources:'
\echo
SELECT c.relname AS resource, split_part(obj_description(c.oid), '. ', 1) AS about FROM pg_class c
WHERE c.relnamespace = 'api'::regnamespace AND c.relkind = 'v' AND c.relname NOT LIKE 'deleted%' ORDER BY 1;

\echo '=== 2. Accounts, and data that nobody wrote for this ==='
\echo
\echo 'Four people with passwords, by tasks.create_account(email, password, name):'
\echo
INSERT INTO demo.person
SELECT name, tasks.create_account(name || '@example.org', name || ' likes paging', initcap(name))
FROM unnest(ARRAY['olivia', 'edith', 'victor', 'sam']) name;
SELECT p.name, CASE p.name WHEN 'olivia' THEN 'will own projects' WHEN 'edith' THEN 'will be an editor' WHEN 'victor' THEN 'will be a viewer'
       ELSE 'a stranger' END AS who, p.id FROM demo.person p ORDER BY p.id;

\echo 'This machine''s package list as a review board: a section is a project, a package a task, its maintainer'
\echo 'a member and the assignee. Installed packages are due 180 days after they came; the others have no due date.'
\echo
CREATE TEMP TABLE package (name text, version text, section text, priority text, maintainer text, address text, installed date, labels text[], about text);
COPY package FROM :'packages';
\o /dev/null
SELECT tasks.create_account(address, NULL, left(min(maintainer), 200)) FROM package GROUP BY address;
INSERT INTO tasks.project (name, description, creator_id)
SELECT section, count(*) || ' packages of section ' || section, (SELECT id FROM demo.person WHERE name = 'olivia')
FROM package GROUP BY section ORDER BY section;
INSERT INTO tasks.membership (project_id, account_id, role)
SELECT DISTINCT p.id, a.id, 'editor' FROM package k JOIN tasks.project p ON p.name = k.section JOIN tasks.account a ON a.email = k.address;
INSERT INTO tasks.task (project_id, assignee_id, creator_id, title, description, priority, labels, due_date, created_at)
SELECT p.id, a.id, p.creator_id, 'Review ' || k.name || ' ' || k.version, k.about,
       CASE k.priority WHEN 'required' THEN 90 WHEN 'important' THEN 70 WHEN 'standard' THEN 50 WHEN 'optional' THEN 20 ELSE 0 END,
       k.labels, k.installed + 180, coalesce(k.installed, date '2025-01-01')
FROM package k JOIN tasks.project p ON p.name = k.section JOIN tasks.account a ON a.email = k.address;
VACUUM ANALYZE;
\o
SELECT (SELECT count(*) FROM tasks.account) AS accounts, (SELECT count(*) FROM tasks.project) AS projects, count(*) AS tasks,
       count(*) FILTER (WHERE due_date IS NULL) AS "without due date", count(DISTINCT created_at) AS "distinct created_at"
FROM tasks.task;

\echo '=== 3. Requests: what PostgREST runs for each, and what the client gets ==='
\t on
\pset format unaligned
\echo
\echo '--- Olivia creates a project, and is its owner'
SELECT demo.request('olivia', 'POST /projects?select=id,name,version', '{"name": "Security review"}', limits => true);
\echo
\echo '                (The RateLimit headers, which every answer has, are left out from here on.)'
SELECT body -> 0 ->> 'id' AS project FROM answer \gset
SELECT id AS edith FROM demo.person WHERE name = 'edith' \gset
SELECT id AS victor FROM demo.person WHERE name = 'victor' \gset
SELECT id AS sam FROM demo.person WHERE name = 'sam' \gset

\echo
\echo '--- Nobody becomes a member without consent: she invites Edith by e-mail, and sends her the token, which is shown this once'
SELECT json_build_object('project_id', :'project', 'account_id', :'edith', 'role', 'editor') AS body \gset
SELECT demo.request('olivia', 'POST /members', :'body');
SELECT json_build_object('project_id', :'project', 'email', 'edith@example.org', 'role', 'editor') AS body \gset
SELECT demo.request('olivia', 'POST /invitations?select=email,role,expires_at,token', :'body');
SELECT body -> 0 ->> 'token' AS token FROM answer \gset
SELECT json_build_object('token', :'token') AS body \gset
SELECT demo.request('sam', 'POST /rpc/accept_invitation', :'body');
SELECT demo.request('edith', 'POST /rpc/accept_invitation?select=account_id,role', :'body');

\echo
\echo '--- Victor, whose account she knows, finds the invitation under /invitations; so does Sam, who declines'
SELECT json_build_array(json_build_object('project_id', :'project', 'account_id', :'victor', 'role', 'viewer'),
                        json_build_object('project_id', :'project', 'account_id', :'sam', 'role', 'viewer')) AS body \gset
SELECT demo.request('olivia', 'POST /invitations?select=account_id,role', :'body');
SELECT demo.request('victor', 'GET /invitations?select=id,project_name,inviter_name,role');
SELECT json_build_object('invitation_id', body -> 0 ->> 'id') AS body FROM answer \gset
SELECT demo.request('victor', 'POST /rpc/accept_invitation?select=account_id,role', :'body');
SELECT demo.request('sam', 'DELETE /invitations?account_id=eq.' || :'sam' || '&select=project_name,role');

\echo
\echo '--- Who am I? And whom do I see: those who share a project with me, and nobody else'
SELECT demo.request('victor', 'GET /me?select=id,email,display_name,credential');
SELECT demo.request('victor', 'GET /users?select=email,display_name');
SELECT demo.request('sam', 'GET /users?select=email,display_name');

\echo
\echo '--- Edith creates a task; sending it again with the same Idempotency-Key creates no second one'
SELECT json_build_object('project_id', :'project', 'title', 'Check the signing keys', 'priority', 80, 'labels', ARRAY['keys', 'apt']) AS body \gset
SELECT demo.request('edith', 'POST /tasks?select=id,title,status,priority,labels,version', :'body', '{"idempotency-key": "board-1"}');
SELECT body -> 0 ->> 'id' AS task FROM answer \gset
SELECT demo.request('edith', 'POST /tasks?select=id,title,status,priority,labels,version', :'body', '{"idempotency-key": "board-1"}');

\echo
\echo '--- Bad input is refused with the constraint''s name, and changes nothing'
SELECT demo.request('edith', 'PATCH /tasks?id=eq.' || :'task', '{"status": "finished"}');

\echo
\echo '--- Lists: the libraries, by due date, undated last. The last row''s cursor is where the next page starts'
SELECT id AS libs FROM tasks.project ORDER BY (SELECT count(*) FROM tasks.task t WHERE t.project_id = project.id) DESC LIMIT 1 \gset
SELECT demo.request('olivia', 'GET /tasks?select=title,due_date,cursor_by_due_date&project_id=eq.' || :'libs' || '&order=cursor_by_due_date&limit=4');
SELECT body -> 3 ->> 'cursor_by_due_date' AS token FROM answer \gset
SELECT demo.request('olivia', 'GET /tasks?select=title,due_date&project_id=eq.' || :'libs' || '&order=cursor_by_due_date&limit=4&cursor_by_due_date=gt.' || :'token');

\echo
\echo '--- All of Olivia''s tasks in all her projects, newest first'
SELECT demo.request('olivia', 'GET /rpc/my_tasks?select=title,created_at,cursor&page_size=4');
SELECT body -> 3 ->> 'cursor' AS token FROM answer \gset
SELECT demo.request('olivia', 'GET /rpc/my_tasks?select=title,created_at&page_size=4&page_token=' || :'token');

\echo
\echo '--- A cursor proves that the server made it: one changed letter, and it is none'
SELECT demo.request('olivia', 'GET /rpc/my_tasks?page_token=' || overlay(:'token' PLACING CASE WHEN substr(:'token', 20, 1) = 'A' THEN 'B' ELSE 'A' END FROM 20 FOR 1));

\echo
\echo '--- Olivia changes the task; Edith, who still has version 1, is refused and loses nothing'
SELECT demo.request('olivia', 'PATCH /tasks?id=eq.' || :'task' || '&select=title,status,version', '{"status": "in_progress"}', '{"if-match": "\"1\""}');
SELECT demo.request('edith', 'PATCH /tasks?id=eq.' || :'task' || '&select=title,status,version', '{"status": "done"}', '{"if-match": "\"1\""}');
SELECT demo.request('edith', 'PATCH /tasks?id=eq.' || :'task' || '&select=title,status,version', '{"status": "done"}', '{"if-match": "\"2\""}');

\echo
\echo '--- Victor, a viewer, sees it and may not touch it; Sam, a stranger, is not told that it is there'
SELECT demo.request('victor', 'GET /tasks?select=title,status&id=eq.' || :'task');
SELECT demo.request('victor', 'PATCH /tasks?id=eq.' || :'task', '{"title": "Mine"}');
SELECT demo.request('victor', 'DELETE /tasks?id=eq.' || :'task');
SELECT demo.request('sam', 'GET /tasks?select=title,status&id=eq.' || :'task');
SELECT demo.request('sam', 'PATCH /tasks?id=eq.' || :'task', '{"title": "Mine"}');
SELECT json_build_object('project_id', :'project', 'title', 'Mine') AS body \gset
SELECT demo.request('sam', 'POST /tasks', :'body');
SELECT demo.request('nobody', 'GET /tasks');

\echo
\echo '--- Edith deletes it: it is gone from tasks and lies in deleted_tasks, from where she restores it'
SELECT demo.request('edith', 'DELETE /tasks?id=eq.' || :'task' || '&select=title,version');
SELECT demo.request('edith', 'GET /tasks?select=title&id=eq.' || :'task');
SELECT demo.request('edith', 'GET /deleted_tasks?select=id,title,deleted_at');
SELECT demo.request('edith', 'PATCH /deleted_tasks?id=eq.' || :'task' || '&select=title,deleted_at', '{"deleted_at": null}');
SELECT demo.request('edith', 'GET /tasks?select=title,status,version&id=eq.' || :'task');

\echo
\echo '--- Olivia deletes a whole project: members and tasks go along, and come back together'
SELECT demo.request('olivia', 'DELETE /projects?id=eq.' || :'project' || '&select=name');
SELECT demo.request('olivia', 'GET /deleted_tasks?select=title&project_id=eq.' || :'project');
SELECT demo.request('edith', 'PATCH /deleted_tasks?id=eq.' || :'task', '{"deleted_at": null}');
SELECT demo.request('olivia', 'PATCH /deleted_projects?id=eq.' || :'project' || '&select=name,deleted_at', '{"deleted_at": null}');
SELECT demo.request('victor', 'GET /tasks?select=title,status&project_id=eq.' || :'project');

\echo
\echo '--- Purge: deleted once more, and then for good'
SELECT demo.request('edith', 'DELETE /tasks?id=eq.' || :'task' || '&select=title');
SELECT demo.request('edith', 'DELETE /deleted_tasks?id=eq.' || :'task' || '&select=title');
SELECT demo.request('edith', 'GET /deleted_tasks?select=title&id=eq.' || :'task');

\echo
\echo '--- Whoever likes leaves, and is assigned to nothing any more; but a project keeps an owner'
SELECT json_build_object('project_id', :'project', 'title', 'Read the report', 'assignee_id', :'victor') AS body \gset
SELECT demo.request('edith', 'POST /tasks?select=title,assignee_id', :'body');
SELECT demo.request('victor', 'DELETE /members?project_id=eq.' || :'project' || '&account_id=eq.' || :'victor' || '&select=role');
SELECT demo.request('edith', 'GET /tasks?select=title,assignee_id&project_id=eq.' || :'project');
SELECT demo.request('victor', 'GET /tasks?select=title');
SELECT id AS olivia FROM demo.person WHERE name = 'olivia' \gset
SELECT demo.request('olivia', 'DELETE /members?project_id=eq.' || :'project' || '&account_id=eq.' || :'olivia');

\echo
\echo '--- Logging in: a session cookie instead of a token'
SELECT demo.request('nobody', 'POST /sessions?select=email,expires_at', '{"email": "edith@example.org", "password": "wrong"}');
SELECT demo.request('nobody', 'POST /sessions?select=email,expires_at', '{"email": "edith@example.org", "password": "edith likes paging"}');
SELECT split_part(h ->> 'Set-Cookie', ';', 1) AS cookie FROM answer, jsonb_array_elements(headers) h WHERE h ? 'Set-Cookie' \gset
SELECT json_build_object('cookie', :'cookie') AS with_cookie \gset
SELECT demo.request('nobody', 'GET /projects?select=name,version', NULL, :'with_cookie');
SELECT demo.request('nobody', 'GET /sessions?select=current,expires_at', NULL, :'with_cookie');
SELECT json_build_object('cookie', :'cookie', 'sec-fetch-site', 'same-origin') AS with_cookie \gset
SELECT demo.request('nobody', 'DELETE /sessions?select=current', NULL, :'with_cookie');
SELECT demo.request('nobody', 'GET /projects?select=name,version', NULL, :'with_cookie');

\echo
\echo '=== 4. A table of your own ==='
\echo
\echo 'CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, total numeric CHECK (total > 0));'
\echo 'SELECT taskapi.expose(''public.orders'');'
\echo 'SELECT taskapi.grant_resource(''api.orders'', ''authenticated'', ''{read,create,update,delete,read_deleted}'');'
CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, total numeric CHECK (total > 0));
\o /dev/null
SELECT taskapi.expose('public.orders');
SELECT taskapi.grant_resource('api.orders', 'authenticated', '{read,create,update,delete,read_deleted}');
\o
SELECT demo.request('sam', 'POST /orders', '[{"customer": "Ada", "total": 12.50}, {"customer": "Grace", "total": 8}]');
SELECT demo.request('sam', 'PATCH /orders?id=eq.1&select=id,customer,total,version', '{"total": 13}', '{"if-match": "\"1\""}');
SELECT demo.request('sam', 'DELETE /orders?id=eq.2&select=id,customer');
SELECT demo.request('sam', 'GET /deleted_orders?select=id,customer,total');

-- For the last part, which scripts/demo prints: a secret that the HTTP layer would have too.
\o /dev/null
CREATE TABLE demo.jwt_secret AS SELECT encode(gen_random_bytes(24), 'hex') AS secret;
SELECT taskapi.set_secret('jwt', secret) FROM demo.jwt_secret;
