-- What bench/task_api.sh asks: :tasks tasks in :tasks / 500 projects, of which one in a hundred is ten times as large; one comment and
-- three entries of activity for two tasks; ten members a project. Account 1 owns project 1, a large one, and is a member of 49 others.
-- Rows are written without triggers and before the indexes, as an import would.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION taskapi;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION btree_gin;
CREATE ROLE bench_anonymous;
CREATE ROLE bench_user;
SELECT taskapi.create_task_api('tasks', 'api', 'bench_anonymous', 'bench_user');
UPDATE taskapi.rate_limit_policy SET rate = 1000000, per = '1 second', burst = 1000000;

CREATE SCHEMA bench;
-- 10 more than a multiple of 20, so that no subtask has subtasks
CREATE TABLE bench.size AS SELECT :tasks::bigint AS tasks, greatest(:tasks / 10000, 1) * 20 + 10 AS projects, greatest(:tasks / 200, 100) AS accounts;
-- Ids in order of time, as UUIDs version 7 are, and the project of a task.
CREATE FUNCTION bench.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(1700000000000 + n * 1000), 12, '0') || '7' || substr(md5(kind || n), 1, 3) || '8' || substr(md5(kind || n), 4, 15))::uuid $$;
CREATE FUNCTION bench.project(task bigint, projects bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN task % 10 = 0 THEN 1 + (task / 10) % (1 + projects / 100) ELSE 1 + (task * 7919) % projects END $$;
CREATE FUNCTION bench.words(n bigint, words int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg('word' || abs(hashint8(n * 31 + i)) % 5000, ' ') FROM generate_series(1, words) i $$;

SET session_replication_role = replica;
SET work_mem = '256MB';
-- The indexes that are no constraints are made afterwards.
CREATE TABLE bench.definition AS
SELECT indexname AS name, indexdef AS definition FROM pg_indexes
WHERE schemaname = 'tasks' AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE connamespace = 'tasks'::regnamespace);
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT d.name FROM bench.definition d LOOP
        EXECUTE format('DROP INDEX tasks.%I', name);
    END LOOP;
END
$$;

INSERT INTO tasks.account (id, email, display_name)
SELECT bench.id('account', n), 'a' || n || '@example.org', 'account ' || n FROM bench.size, generate_series(1, accounts) n;
INSERT INTO tasks.project (id, name, creator_id, created_at)
SELECT bench.id('project', n), 'project ' || n, bench.id('account', 1 + n % accounts), timestamptz '2024-01-01 UTC' + n * interval '1 minute'
FROM bench.size, generate_series(1, projects) n;
INSERT INTO tasks.membership (project_id, account_id, role)
SELECT bench.id('project', n), bench.id('account', 2 + (n * 10 + m) * 31 % (accounts - 1)), CASE WHEN m < 3 THEN 'owner' WHEN m < 5 THEN 'viewer' ELSE 'editor' END
FROM bench.size, generate_series(1, projects) n, generate_series(1, 10) m ON CONFLICT DO NOTHING;
INSERT INTO tasks.membership (project_id, account_id, role)
SELECT bench.id('project', 1 + n * projects / 50), bench.id('account', 1), CASE WHEN n % 10 = 0 THEN 'owner' ELSE 'editor' END FROM bench.size, generate_series(0, 49) n
ON CONFLICT DO NOTHING;

INSERT INTO tasks.task (id, project_id, assignee_id, creator_id, parent_id, title, description, status, priority, labels, due_date, position, created_at, updated_at,
                        completed_at, deleted_at, deletion_id)
SELECT bench.id('task', n), bench.id('project', bench.project(n, projects)),
       CASE WHEN n % 50 = 0 AND bench.project(n, projects) = 1 THEN bench.id('account', 1)
            WHEN n % 3 = 0 THEN (SELECT bench.id('account', 2 + (bench.project(n, projects) * 10 + 3 + n % 7) * 31 % (accounts - 1))) END,
       bench.id('account', 1 + n % accounts), CASE WHEN n % 20 = 11 AND n > projects THEN bench.id('task', n - projects) END,
       'Task ' || n || ' ' || bench.words(n, 4), bench.words(-n, 12), CASE WHEN n / 10 % 10 < 6 THEN 'done' WHEN n / 10 % 10 < 9 THEN 'todo' ELSE 'in_progress' END,
       n * 7 % 101, ARRAY['label' || n % 50, 'sprint' || n / 1000], CASE WHEN n % 5 > 1 THEN date '2026-01-01' + (n * 17 % 365)::int END,
       replace(left(bench.id('task', n)::text, 18), '-', '') || 'V', timestamptz '2025-01-01 UTC' + n * interval '1 second',
       timestamptz '2025-01-01 UTC' + (n * 7 % tasks) * interval '1 second',
       CASE WHEN n / 10 % 10 < 6 THEN timestamptz '2026-01-01 UTC' END, d.deleted_at, CASE WHEN d.deleted_at IS NOT NULL THEN bench.id('deletion', n) END
FROM bench.size, generate_series(1, tasks) n, LATERAL (SELECT CASE WHEN n % 50 = 7 OR n % 200 = 0 THEN now() - n % 29 * interval '1 day' END AS deleted_at) d;
INSERT INTO tasks.comment (id, project_id, task_id, author_id, body, created_at, deleted_at, deletion_id)
SELECT bench.id('comment', n), bench.id('project', bench.project(t, projects)), bench.id('task', t), bench.id('account', 1 + n % accounts), bench.words(n + 7, 15),
       timestamptz '2025-01-01 UTC' + n * interval '2 second', d.deleted_at, CASE WHEN d.deleted_at IS NOT NULL THEN bench.id('deletion', -n) END
FROM bench.size, generate_series(1, tasks / 2) n, LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 10 * (1 + projects / 100) ELSE n * 2 END AS t) x,
     LATERAL (SELECT CASE WHEN n % 50 = 7 OR n % 1000 = 500 THEN now() - interval '1 day' END AS deleted_at) d;
INSERT INTO tasks.activity (id, project_id, task_id, resource, row_id, action, changes, actor_id, credential, created_at)
SELECT bench.id('activity', n), bench.id('project', bench.project(t, projects)), bench.id('task', t), 'tasks', bench.id('task', t), CASE n % 3 WHEN 0 THEN 'created' ELSE 'updated' END,
       CASE n % 3 WHEN 0 THEN NULL ELSE '{"status": ["todo", "done"]}'::jsonb END, bench.id('account', 1 + n % accounts), 'session', timestamptz '2025-01-01 UTC' + n * interval '1 second'
FROM bench.size, generate_series(1, tasks * 3 / 2) n, LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 10 * (1 + projects / 100) ELSE 1 + n % tasks END AS t) x;
-- Names for bench/task_api.sql: a large project and a small one, both owned; another; tasks of the large one, the first with many comments.
CREATE TABLE bench.name AS
SELECT 'p' AS name, bench.id('project', 1) AS id FROM bench.size
UNION ALL SELECT 'own', bench.id('project', 1 + 20 * projects / 50) FROM bench.size
UNION ALL SELECT 'q', bench.id('project', 1 + 23 * projects / 50) FROM bench.size
UNION ALL SELECT 'peer', (SELECT m.account_id FROM tasks.membership m WHERE m.project_id = bench.id('project', 1) AND m.account_id <> bench.id('account', 1) LIMIT 1)
UNION ALL SELECT n.name, bench.id('task', 10 * (1 + projects / 100) * n.k) FROM bench.size, (VALUES ('t', 1), ('u', 2), ('parent', 3)) n (name, k);
INSERT INTO bench.name
SELECT 'gone', t.id FROM tasks.task t WHERE t.project_id = (SELECT id FROM bench.name WHERE name = 'p') AND t.deleted_at IS NOT NULL ORDER BY t.id LIMIT 1;
INSERT INTO bench.name
SELECT 'other', p.id FROM tasks.project p
WHERE NOT EXISTS (SELECT FROM tasks.membership m WHERE m.project_id = p.id AND m.account_id = bench.id('account', 1)) ORDER BY p.id LIMIT 1;
UPDATE tasks.task SET deleted_at = NULL, deletion_id = NULL WHERE id IN (SELECT n.id FROM bench.name n WHERE n.name IN ('t', 'u', 'parent'));
UPDATE tasks.task SET parent_id = (SELECT n.id FROM bench.name n WHERE n.name = 'parent')
WHERE id IN (SELECT bench.id('task', 10 * (1 + projects / 100) * n) FROM bench.size, generate_series(11, 50) n);
INSERT INTO tasks.invitation (project_id, email, token_hash, role, inviter_id, project_name, inviter_name, expires_at)
SELECT m.project_id, 'a1@example.org', sha256('token'), 'viewer', m.account_id, 'x', 'x', now() + interval '1 day'
FROM tasks.membership m WHERE m.project_id = (SELECT n.id FROM bench.name n WHERE n.name = 'other') AND m.role = 'owner' ORDER BY m.account_id LIMIT 1;
INSERT INTO tasks.invitation (project_id, account_id, role, inviter_id, project_name, inviter_name, expires_at)
SELECT DISTINCT ON (m.project_id) m.project_id, bench.id('account', 1), 'viewer', m.account_id, 'x', 'x', now() + interval '1 day' FROM tasks.membership m
WHERE m.role = 'owner' AND NOT EXISTS (SELECT FROM tasks.membership o WHERE o.project_id = m.project_id AND o.account_id = bench.id('account', 1))
ORDER BY m.project_id, m.account_id LIMIT 3 ON CONFLICT DO NOTHING;
-- pending ones of others: ten a project
INSERT INTO tasks.invitation (project_id, email, token_hash, role, inviter_id, project_name, inviter_name, expires_at)
SELECT m.project_id, 'i' || n || '@example.org', sha256(convert_to(m.project_id || ' ' || n, 'UTF8')), 'viewer', m.account_id, 'x', 'x', now() + interval '1 day'
FROM (SELECT DISTINCT ON (o.project_id) o.* FROM tasks.membership o WHERE o.role = 'owner' ORDER BY o.project_id, o.account_id) m, generate_series(1, 10) n;
DELETE FROM tasks.membership WHERE account_id = bench.id('account', 50);
DELETE FROM tasks.invitation WHERE inviter_id = bench.id('account', 50);
UPDATE tasks.account SET deleted_at = now() - interval '40 days', deletion_id = bench.id('deletion', 0) WHERE id = bench.id('account', 50);
INSERT INTO tasks.one_time_token
SELECT sha256(convert_to(n::text, 'UTF8')), 'reset_password', bench.id('account', n), 'a' || n || '@example.org', now() + interval '1 day' FROM bench.size, generate_series(2, accounts) n WHERE n <> 50;
INSERT INTO tasks.one_time_token VALUES (sha256('reset'), 'reset_password', bench.id('account', 1), 'a1@example.org', now() + interval '1 day');
RESET session_replication_role;

DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT d.definition FROM bench.definition d LOOP
        EXECUTE definition;
    END LOOP;
END
$$;
VACUUM (FREEZE, ANALYZE);
CHECKPOINT;
