-- A task API in board and board_api, with a live project and one to be deleted. Included within a transaction.
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE ROLE regress_anonymous;
CREATE ROLE regress_authenticated;
CREATE ROLE regress_login;
SET client_min_messages = warning;
-- Default privileges of every kind, which must leave nothing open.
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO PUBLIC, regress_login, regress_anonymous, regress_authenticated;
SELECT taskapi.create_task_api('board', 'board_api', 'regress_anonymous', 'regress_authenticated') \g /dev/null
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC, regress_login, regress_anonymous, regress_authenticated;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM regress_login, regress_anonymous, regress_authenticated;

CREATE TEMP TABLE person (who text PRIMARY KEY, id uuid);
INSERT INTO person
SELECT who, board.create_account(who || '@example.org', CASE WHEN who = 'viewer' THEN 'viewer''s password' END)
FROM unnest(ARRAY['owner', 'editor', 'viewer', 'stranger', 'invited', 'extra', 'removed', 'gone']) who;
CREATE FUNCTION pg_temp.id(who text) RETURNS uuid LANGUAGE sql AS 'SELECT p.id FROM pg_temp.person p WHERE p.who = $1';

-- Two projects, each with the three roles and a task.
CREATE TEMP TABLE made (name text PRIMARY KEY, id uuid DEFAULT taskapi.uuidv7());
INSERT INTO made VALUES ('project'), ('gone project'), ('task'), ('gone task'), ('task of gone project');
CREATE FUNCTION pg_temp.made(name text) RETURNS uuid LANGUAGE sql AS 'SELECT m.id FROM pg_temp.made m WHERE m.name = $1';
INSERT INTO board.project (id, name, creator_id, created_at) SELECT m.id, m.name, pg_temp.id('owner'), now() - interval '1 day' FROM made m WHERE m.name LIKE '%project' AND m.name NOT LIKE 'task%';
INSERT INTO board.membership (project_id, account_id, role)
SELECT pg_temp.made(project), pg_temp.id(who), CASE who WHEN 'editor' THEN who ELSE 'viewer' END
FROM unnest(ARRAY['project', 'gone project']) project, unnest(ARRAY['editor', 'viewer', 'extra', 'removed']) who;
INSERT INTO board.task (id, project_id, title)
SELECT m.id, pg_temp.made(CASE m.name WHEN 'task of gone project' THEN 'gone project' ELSE 'project' END), m.name FROM made m WHERE m.name LIKE '%task%';
-- A subtask of the task, and a comment of the viewer's on it.
INSERT INTO made VALUES ('subtask'), ('comment');
INSERT INTO board.task (id, project_id, parent_id, title) VALUES (pg_temp.made('subtask'), pg_temp.made('project'), pg_temp.made('task'), 'subtask');
INSERT INTO board.comment (id, project_id, task_id, author_id, body) VALUES (pg_temp.made('comment'), pg_temp.made('project'), pg_temp.made('task'), pg_temp.id('viewer'), 'comment');

-- One request of somebody, undone unless it is to be kept: 'rows' or 'nothing', or the name of the problem; 'denied' is a
-- missing privilege, 'policy' a row that row-level security does not let in. "anonymous" is a request without an account,
-- "capitals" the viewer, whose token spells the id in capital letters, "admin" the owner of the tables, and "login" a role that may do what PUBLIC may; these two write SQL of their own.
-- {api} stands for the schema, {me} for the caller's id, and {owner}, {task} and so on for the ids of the above.
CREATE FUNCTION pg_temp.attempt(who text, method text, statement text, keep bool DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n   bigint;
    sub text := CASE who WHEN 'capitals' THEN upper(pg_temp.id('viewer')::text) ELSE pg_temp.id(who)::text END;
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.headers', '', true), set_config('request.cookies', '', true),
            set_config('request.jwt.claims', CASE WHEN sub IS NULL THEN '' ELSE json_build_object('sub', sub)::text END, true);
    SELECT replace(replace(statement, '{api}', 'board_api'), '{me}', quote_nullable(lower(sub))) INTO statement;
    SELECT string_agg(coalesce(quote_literal(pg_temp.id(part)), quote_literal(pg_temp.made(part)), part), '' ORDER BY place)
    INTO statement FROM regexp_split_to_table(statement, '[{}]') WITH ORDINALITY p (part, place);
    BEGIN
        PERFORM set_config('role', CASE who WHEN 'anonymous' THEN 'regress_anonymous' WHEN 'admin' THEN 'none' WHEN 'login' THEN 'regress_login'
                                            ELSE 'regress_authenticated' END, true);
        IF who NOT IN ('admin', 'login') THEN
            PERFORM taskapi.pre_request();
        END IF;
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
            RETURN CASE WHEN SQLSTATE = 'PGRST' THEN SQLERRM::json ->> 'code'
                        WHEN SQLSTATE = '42501' AND SQLERRM LIKE '%row-level security%' THEN 'policy'
                        WHEN SQLSTATE = '42501' THEN 'denied' ELSE SQLSTATE || ': ' || SQLERRM END;
    END;
END
$$;
