-- What make demo's story is played on: an API, people, and the packages of the file :packages. scripts/demo_story plays it.
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
CREATE SCHEMA demo;
CREATE TABLE demo.person (name text PRIMARY KEY, id uuid);
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

-- The secret that PostgREST would have too.
\o /dev/null
CREATE TABLE demo.jwt_secret AS SELECT encode(gen_random_bytes(24), 'hex') AS secret;
SELECT taskapi.set_secret('jwt', secret) FROM demo.jwt_secret;
