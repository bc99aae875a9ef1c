-- Subtasks, the order by hand, comments and activity: what each promises to one client after another, and what no client can undo.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT taskapi.create_task_api('regress_tasks', 'regress_tasks_api');
CREATE ROLE regress_anonymous;
CREATE ROLE regress_user;
SELECT regress_tasks.grant_api('regress_anonymous', 'regress_user');
SELECT regress_tasks.create_account('ann@example.org') AS ann, regress_tasks.create_account('bob@example.org') AS bob \gset
CREATE FUNCTION pg_temp.as(id uuid) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.jwt.claims', json_build_object('sub', id)::text, false), set_config('role', 'regress_user', false)
$$;
SELECT pg_temp.as(:'ann') \g /dev/null
SET search_path = regress_tasks_api, pg_temp;
INSERT INTO projects (name) VALUES ('p'), ('q') RETURNING name;
SELECT p.id AS p, q.id AS q FROM projects p, projects q WHERE p.name = 'p' AND q.name = 'q' \gset
INSERT INTO tasks (project_id, title) SELECT :'p', 't' || n FROM generate_series(1, 5) n;
SELECT a.id AS t1, b.id AS t2, c.id AS t3 FROM tasks a, tasks b, tasks c WHERE a.title = 't1' AND b.title = 't2' AND c.title = 't3' \gset

-- what is new stands behind all others, also what a client made up an id for
INSERT INTO tasks (id, project_id, title) VALUES ('00000000-0000-4000-8000-000000000000', :'p', 't6') RETURNING position ~ '^01[0-9a-f]{14}V$' AS made;
SELECT string_agg(title, ' ' ORDER BY position, id) FROM tasks;
SELECT title FROM move_task(:'t3', after => :'t1');
SELECT title FROM move_task(:'t2', before => :'t1');
SELECT title, status, version FROM move_task(:'t1', status => 'done');
SELECT string_agg(title, ' ' ORDER BY position, id) FROM tasks;
INSERT INTO tasks (project_id, title) VALUES (:'p', 't7');
SELECT string_agg(title, ' ' ORDER BY position, id) FROM tasks;
-- refused, and nothing changed
SELECT move_task(:'t1', after => :'t1');
SELECT move_task(:'t1', after => :'t2', before => :'t3');
SELECT move_task(:'t1', after => gen_random_uuid());
SELECT move_task(gen_random_uuid());
SELECT move_task(NULL);
SELECT move_task(:'t1', status => 'finished');
UPDATE tasks SET position = 'a0' WHERE id = :'t1';
UPDATE tasks SET position = '' WHERE id = :'t1';
UPDATE tasks SET position = 'a b' WHERE id = :'t1';
UPDATE tasks SET position = 'ä' WHERE id = :'t1';
UPDATE tasks SET position = repeat('a', 101) WHERE id = :'t1';
UPDATE tasks SET position = NULL WHERE id = :'t1';
SELECT string_agg(title, ' ' ORDER BY position, id) FROM tasks;

-- Against a model: 1,500 moves of every kind, many into one place, and equal and longest keys of a client's own making.
RESET ROLE;
CREATE FUNCTION pg_temp.play(project uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    model   uuid[] := ARRAY(SELECT t.id FROM regress_tasks_api.tasks t WHERE t.project_id = project ORDER BY t.position, t.id);
    moving  uuid;
    anchor  uuid;
    place   int;
    written bigint := 0;
    before  bigint;
BEGIN
    PERFORM setseed(0.5);
    FOR i IN 1 .. 1500 LOOP
        moving := model[1 + floor(random() * cardinality(model))];
        anchor := CASE WHEN i % 3 > 0 THEN model[20] ELSE model[1 + floor(random() * cardinality(model))] END;
        CONTINUE WHEN anchor = moving;
        IF i % 100 = 0 THEN             -- a client's own: as long as can be, and two the same
            UPDATE regress_tasks_api.tasks t SET position = repeat('5', 100) WHERE t.id IN (moving, anchor);
            model := ARRAY(SELECT t.id FROM regress_tasks_api.tasks t WHERE t.project_id = project ORDER BY t.position, t.id);
        END IF;
        before := (SELECT sum(t.version) FROM regress_tasks.task t);
        model := array_remove(model, moving);
        CASE i % 4
            WHEN 0 THEN
                PERFORM regress_tasks_api.move_task(moving, before => anchor);
                place := array_position(model, anchor) - 1;
            WHEN 1 THEN
                PERFORM regress_tasks_api.move_task(moving);
                place := cardinality(model);
            ELSE
                PERFORM regress_tasks_api.move_task(moving, after => anchor);
                place := array_position(model, anchor);
        END CASE;
        model := model[:place] || moving || model[place + 1 :];
        written := written + (SELECT sum(t.version) FROM regress_tasks.task t) - before;
        IF model <> ARRAY(SELECT t.id FROM regress_tasks_api.tasks t WHERE t.project_id = project ORDER BY t.position, t.id) THEN
            RETURN 'move ' || i;
        END IF;
    END LOOP;
    RETURN format('as the model; written for a move: %s; longest key within 40 but for clients'' own: %s', round(written / 1500.0),
                  (SELECT max(length(t.position)) <= 40 FROM regress_tasks.task t WHERE t.position NOT LIKE '5555555%'));
END
$$;
INSERT INTO tasks (project_id, title, status) SELECT :'q', 'q' || n, (ARRAY['todo', 'in_progress', 'done', 'cancelled'])[1 + n % 4] FROM generate_series(1, 60) n;
SELECT pg_temp.play(:'q');
DELETE FROM tasks WHERE project_id = :'q';
SELECT n, regress_tasks.position_between(a, b) FROM (VALUES (1, 'a', 'b'), (2, 'a', 'a1'), (3, 'az', 'b'), (4, NULL, '1'), (5, 'z', NULL), (6, NULL, NULL), (7, '', '1'), (8, 'b', 'a'), (9, 'a', 'a')) v (n, a, b);

-- subtasks: of the same project, no circle, not too deep
SELECT pg_temp.as(:'ann') \g /dev/null
UPDATE tasks SET parent_id = :'t1' WHERE id = :'t2';
UPDATE tasks SET parent_id = :'t2' WHERE id = :'t3';
UPDATE tasks SET parent_id = :'t3' WHERE id = :'t1';
UPDATE tasks SET parent_id = :'t1' WHERE id = :'t1';
UPDATE tasks SET parent_id = gen_random_uuid() WHERE id = :'t1';
INSERT INTO tasks (project_id, parent_id, title) VALUES (:'q', :'t1', 'of another project');
RESET ROLE;
DO $$
DECLARE
    parent uuid := (SELECT id FROM regress_tasks_api.tasks WHERE title = 't3');
BEGIN
    FOR n IN 1 .. 98 LOOP
        INSERT INTO regress_tasks_api.tasks (project_id, parent_id, title) SELECT t.project_id, t.id, 'deep' FROM regress_tasks_api.tasks t WHERE t.id = parent
        RETURNING id INTO parent;
    END LOOP;
    INSERT INTO regress_tasks_api.tasks (project_id, parent_id, title) SELECT t.project_id, t.id, 'too deep' FROM regress_tasks_api.tasks t WHERE t.id = parent;
END
$$;
-- a tree that grows at its root is no deeper than one that grows at its leaves
DO $$
DECLARE
    root  uuid;
    above uuid;
BEGIN
    FOR n IN 0 .. 101 LOOP
        INSERT INTO regress_tasks_api.tasks (project_id, title) SELECT t.project_id, 'root' FROM regress_tasks_api.tasks t WHERE t.title = 't3'
        RETURNING id INTO above;
        IF n = 101 THEN
            RAISE INFO '100 below it';
        END IF;
        UPDATE regress_tasks_api.tasks SET parent_id = above WHERE id = root;
        root := above;
    END LOOP;
END
$$;
SELECT pg_temp.as(:'ann') \g /dev/null
-- comments: in one's own name, on what one sees; with the task into the trash, back, and to another project
INSERT INTO comments (task_id, body, author_id) VALUES (:'t3', 'first', :'bob') RETURNING project_id = :'p' AS project, author_id = :'ann' AS author, version;
INSERT INTO comments (task_id, body) VALUES (:'t3', ' ');
INSERT INTO comments (task_id, body) VALUES (gen_random_uuid(), 'x');
INSERT INTO comments (body) VALUES ('x');
UPDATE comments SET body = 'changed', task_id = :'t1' RETURNING body, task_id = :'t3' AS kept, version;
DELETE FROM tasks WHERE id = :'t1';
SELECT string_agg(title, ' ' ORDER BY title) FROM tasks;
SELECT string_agg(title, ' ' ORDER BY title) AS gone, (SELECT count(*) FROM deleted_comments) AS comments FROM deleted_tasks WHERE project_id = :'p';
UPDATE deleted_tasks SET deleted_at = NULL WHERE id = :'t2';
UPDATE deleted_tasks SET deleted_at = NULL WHERE id = :'t1';
SELECT string_agg(title, ' ' ORDER BY title) FROM tasks;
UPDATE tasks SET project_id = :'q' WHERE id = :'t1';
SELECT string_agg(title, ' ' ORDER BY title) AS moved, (SELECT project_id = :'q' FROM comments) AS comment FROM tasks WHERE project_id = :'q';
UPDATE tasks SET project_id = :'p' WHERE id = :'t2';
UPDATE tasks SET project_id = :'p', parent_id = NULL WHERE id = :'t2';
SELECT string_agg(title, ' ' ORDER BY title) AS moved FROM tasks WHERE project_id = :'q';

-- activity: who changed what from what to what; a move is none; one that changes nothing is none
SELECT pg_temp.as(:'ann') \g /dev/null
INSERT INTO tasks (project_id, title) VALUES (:'p', 'watched') RETURNING id AS watched \gset
UPDATE tasks SET title = 'seen', status = 'done', labels = '{a,b}' WHERE id = :'watched';
UPDATE tasks SET title = 'seen' WHERE id = :'watched';
SELECT title FROM move_task(:'watched');
UPDATE tasks SET assignee_id = :'ann', description = 'd', due_date = '2026-12-24' WHERE id = :'watched';
UPDATE tasks SET description = NULL WHERE id = :'watched';
INSERT INTO comments (task_id, body) VALUES (:'watched', 'well') RETURNING id AS comment \gset
UPDATE comments SET body = 'well done' WHERE id = :'comment';
SELECT set_config('request.jwt.claims', json_build_object('sub', :'ann', 'api_key_id', 'no uuid')::text, false) \g /dev/null
DELETE FROM comments WHERE id = :'comment';
SELECT set_config('request.jwt.claims', json_build_object('sub', :'ann', 'session_id', 's')::text, false) \g /dev/null
DELETE FROM tasks WHERE id = :'watched';
UPDATE deleted_tasks SET deleted_at = NULL WHERE id = :'watched';
SELECT resource, action, replace(changes::text, :'ann', 'ann') AS changes, actor_id = :'ann' AS ann, credential, credential_id FROM activity WHERE task_id = :'watched' ORDER BY id;
DELETE FROM tasks WHERE id = :'watched';
DELETE FROM deleted_tasks WHERE id = :'watched';
RESET ROLE;
RESET request.jwt.claims;
INSERT INTO regress_tasks.membership (project_id, account_id) VALUES (:'p', :'bob');
UPDATE regress_tasks.membership SET role = 'editor' WHERE account_id = :'bob';
SELECT pg_temp.as(:'bob') \g /dev/null
DELETE FROM members WHERE account_id = :'bob';
SELECT pg_temp.as(:'ann') \g /dev/null
UPDATE projects SET name = 'r' WHERE id = :'p';
SELECT resource, action, changes, CASE actor_id WHEN :'ann' THEN 'ann' WHEN :'bob' THEN 'bob' END AS actor FROM activity WHERE project_id = :'p' ORDER BY id DESC LIMIT 7;
-- it is read by members, and written by nobody
SELECT pg_temp.as(:'bob') \g /dev/null
SELECT count(*) FROM activity;
SELECT pg_temp.as(:'ann') \g /dev/null
UPDATE activity SET actor_id = :'bob';
DELETE FROM activity;
INSERT INTO activity (project_id, resource, row_id, action) VALUES (:'p', 'tasks', :'t1', 'created');
-- a project's goes with its purge, and what is old with maintain()
DELETE FROM projects WHERE id = :'p';
DELETE FROM deleted_projects WHERE id = :'p';
RESET ROLE;
SELECT count(*) FILTER (WHERE project_id = :'p') AS of_p, count(*) > 10 AS of_q FROM regress_tasks.activity;
UPDATE regress_tasks.activity SET created_at = now() - interval '500 days' WHERE action = 'created';
CALL regress_tasks.maintain(batch => 7);
SELECT count(*) FILTER (WHERE action = 'created') AS old, count(*) > 10 AS young FROM regress_tasks.activity;
CALL regress_tasks.maintain(NULL);
CALL regress_tasks.maintain(batch => 0);
RESET search_path;
DROP SCHEMA regress_tasks, regress_tasks_api, outbox CASCADE;
DROP OWNED BY regress_anonymous, regress_user;
DROP ROLE regress_anonymous, regress_user;
