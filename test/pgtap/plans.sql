-- Indexes under row-level security, and the merged list of all one's tasks.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql

-- People with 1, 20 and 200 projects of 0 to 199 tasks; many of one creation time, some deleted.
INSERT INTO person SELECT 'with ' || n, board.create_account('with' || n || '@example.org') FROM unnest(ARRAY[1, 20, 200]) n;
CREATE TEMP TABLE crowd AS SELECT n, taskapi.uuidv7() AS id FROM generate_series(1, 250) n;
INSERT INTO board.project (id, name, creator_id) SELECT id, 'p' || n, NULL FROM crowd;
INSERT INTO board.membership (project_id, account_id, role)
SELECT c.id, p.id, 'viewer' FROM crowd c, person p WHERE p.who LIKE 'with %' AND c.n <= split_part(p.who, ' ', 2)::int;
INSERT INTO board.task (id, project_id, title, created_at, due_date, priority, deleted_at, deletion_id)
SELECT taskapi.uuidv7(), c.id, 't' || i, date '2026-01-01' + ((i * c.n) % 50) * interval '1 hour', CASE WHEN i % 3 > 0 THEN date '2026-06-01' + i % 20 END, i % 4,
       CASE WHEN i % 10 = 0 THEN now() END, CASE WHEN i % 10 = 0 THEN taskapi.uuidv7() END
FROM crowd c, LATERAL generate_series(1, (c.n * 7919) % 200) i;
-- Two that come first or last in an order, whatever the other values are, in the project that all three share.
INSERT INTO board.task (id, project_id, title, created_at, updated_at, due_date, priority)
SELECT e.id, c.id, 'extreme', e.time, e.time, e.due_date, e.priority
FROM crowd c, (VALUES (uuid '00000000-0000-0000-0000-000000000000', timestamptz '-infinity', date '4713-01-01 BC', 100),
                      ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'infinity', NULL, 0)) e (id, time, due_date, priority)
WHERE c.n = 1;
ANALYZE board.task, board.project, board.membership, board.account;

-- A statement as somebody, or as the owner: what EXPLAIN tells of it.
CREATE FUNCTION pg_temp.explain(who text, statement text, OUT buffers int, OUT plan json) LANGUAGE plpgsql AS $$
BEGIN
    IF who IS NOT NULL THEN
        PERFORM set_config('request.jwt.claims', json_build_object('sub', pg_temp.id(who))::text, true), set_config('role', 'regress_authenticated', true);
    END IF;
    EXECUTE statement;      -- whatever is read but once a session
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || statement INTO plan;
    PERFORM set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
    buffers := (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END
$$;
CREATE TEMP TABLE list (name text, statement text);
INSERT INTO list VALUES
    ('newest first', 'SELECT * FROM board_api.tasks t WHERE t.project_id = %L ORDER BY t.created_at DESC, t.id DESC LIMIT 50'),
    ('by due date', 'SELECT * FROM board_api.tasks t WHERE t.project_id = %L ORDER BY board_api.cursor_by_due_date(t) LIMIT 50'),
    ('by priority', 'SELECT * FROM board_api.tasks t WHERE t.project_id = %L ORDER BY board_api.cursor_by_priority(t) LIMIT 50'),
    ('by change', 'SELECT * FROM board_api.tasks t WHERE t.project_id = %L ORDER BY board_api.cursor_by_updated_at(t) LIMIT 50'),
    ('a column of the board', 'SELECT * FROM board_api.tasks t WHERE t.project_id = %L AND t.status = ''todo'' ORDER BY t.position, t.id LIMIT 50'),
    ('activity', 'SELECT * FROM board_api.activity a WHERE a.project_id = %L ORDER BY a.id DESC LIMIT 50'),
    ('last deleted first', 'SELECT * FROM board_api.deleted_tasks t WHERE t.project_id = %L ORDER BY t.deleted_at DESC, t.id DESC LIMIT 5');

-- A project so large that sorting it would show, and its pages in every order that the task API has an index for: at the start and deep.
INSERT INTO made VALUES ('large');
INSERT INTO board.project (id, name, creator_id) VALUES (pg_temp.made('large'), 'large', NULL);
INSERT INTO board.membership (project_id, account_id, role) SELECT pg_temp.made('large'), pg_temp.id('extra'), 'viewer';
INSERT INTO board.task (id, project_id, title, created_at, updated_at, due_date, priority)
SELECT taskapi.uuidv7(), pg_temp.made('large'), 't' || i, date '2026-01-01' + (i * 7919 % 10007) * interval '1 minute', date '2026-02-01' + (i * 31 % 10007) * interval '1 minute',
       CASE WHEN i % 5 > 1 THEN date '2026-06-01' + i * 17 % 365 END, i % 4
FROM generate_series(1, 10000) i;
ANALYZE board.task;
CREATE TEMP TABLE page_order (order_by text);
INSERT INTO page_order VALUES ('created_at DESC'), ('due_date'), ('due_date DESC, id DESC'), ('priority DESC, created_at'), ('priority, created_at DESC'), ('updated_at DESC'), ('updated_at');
CREATE FUNCTION pg_temp.token_after(order_by text, pages int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token text := '';
BEGIN
    FOR i IN 1 .. pages LOOP
        token := (taskapi.page('board_api.tasks', order_by, 1000, token, jsonb_build_object('project_id', pg_temp.made('large')))).next_page_token;
    END LOOP;
    RETURN token;
END
$$;
CREATE TEMP TABLE deep_page AS SELECT order_by, pages, pg_temp.token_after(order_by, pages) AS token FROM page_order, unnest(ARRAY[0, 9]) pages;
CREATE FUNCTION pg_temp.page_buffers(who text, order_by text, token text) RETURNS int LANGUAGE sql AS $$
    SELECT buffers FROM pg_temp.explain(who, format('SELECT * FROM taskapi.page(''board_api.tasks'', %L, 50, %L, jsonb_build_object(''project_id'', %L))',
                                                    order_by, token, pg_temp.made('large')))
$$;

-- Every page of all tasks, to the end, or to the start.
CREATE FUNCTION pg_temp.place(t board_api.tasks, order_by text) RETURNS taskapi.cursor LANGUAGE sql AS $$
    SELECT CASE order_by WHEN 'due_date' THEN board_api.cursor_by_due_date(t) WHEN 'priority' THEN board_api.cursor_by_priority(t)
                         WHEN 'updated_at' THEN board_api.cursor_by_updated_at(t) ELSE t.cursor END
$$;
CREATE FUNCTION pg_temp.walk(who text, page_size int, order_by text DEFAULT 'created_at', backwards boolean DEFAULT false) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    seen  uuid[] := '{}';
    page  uuid[];
    token text := '';
BEGIN
    PERFORM set_config('request.jwt.claims', json_build_object('sub', pg_temp.id(who))::text, true), set_config('role', 'regress_authenticated', true);
    LOOP
        SELECT array_agg(t.id ORDER BY n), (array_agg(t.place::text ORDER BY n DESC))[1] INTO page, token
        FROM (SELECT t.id, pg_temp.place(t, order_by) AS place, row_number() OVER () AS n FROM board_api.my_tasks(page_size, token, order_by, backwards) t) t;
        EXIT WHEN page IS NULL OR cardinality(seen) > 100000;
        seen := seen || page;
    END LOOP;
    PERFORM set_config('role', 'none', true), set_config('request.jwt.claims', '', true);
    RETURN seen;
END
$$;
CREATE FUNCTION pg_temp.all_tasks(who text, order_by text DEFAULT 'created_at', backwards boolean DEFAULT false) RETURNS uuid[] LANGUAGE sql AS $$
    SELECT array_agg(t.id ORDER BY t.n * CASE WHEN backwards THEN -1 ELSE 1 END)
    FROM (SELECT t.id, CASE order_by WHEN 'due_date' THEN row_number() OVER (ORDER BY t.due_date NULLS LAST, t.id)
                                     WHEN 'priority' THEN row_number() OVER (ORDER BY t.priority DESC, t.created_at, t.id)
                                     WHEN 'updated_at' THEN row_number() OVER (ORDER BY t.updated_at DESC, t.id DESC)
                                     ELSE row_number() OVER (ORDER BY t.created_at DESC, t.id DESC) END AS n
          FROM board.task t JOIN board.membership m ON m.project_id = t.project_id
          WHERE m.account_id = pg_temp.id(who) AND t.deleted_at IS NULL) t
$$;
-- The cursor of the nth of them.
CREATE FUNCTION pg_temp.place_of(who text, n int, order_by text) RETURNS taskapi.cursor LANGUAGE sql AS $$
    SELECT pg_temp.place(t, order_by) FROM board_api.tasks t WHERE t.id = (SELECT (pg_temp.all_tasks(who, order_by))[n])
$$;

SELECT plan(17 + 52 + (SELECT count(*)::int FROM list) * 2 + (SELECT count(*)::int FROM page_order) * 4);

-- Every foreign key has an index that can serve it, over deleted rows as well.
SELECT is_empty($$
    SELECT c.conname FROM pg_constraint c
    WHERE c.contype = 'f' AND c.connamespace = 'board'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[cardinality(c.conkey)]     -- the project comes first in keys of several columns
          AND coalesce(pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname), true))$$, 'every foreign key has an index');
-- The purge looks for old deleted rows every few minutes, and must not read the live ones for it.
SELECT is_empty($$
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'board'::regnamespace AND c.relkind = 'r'
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'deleted_at') AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.oid AND pg_get_expr(i.indpred, c.oid) = '(deleted_at IS NOT NULL)')$$, 'every table with deleted rows has an index of them');
SELECT alike(plan::text, '%"task_by_deleted_at"%', 'and the purge reads it')
FROM pg_temp.explain(NULL, 'SELECT * FROM board.task t WHERE t.deleted_at < now() - interval ''30 days'' ORDER BY t.deleted_at');
SELECT is_empty($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'board'::regnamespace AND c.relkind = 'r' AND NOT c.relrowsecurity$$, 'every table has row-level security');

-- A member reads what the owner of the tables reads, plus the memberships, once a statement: two descents of an index.
SELECT cmp_ok(m.buffers, '<=', greatest(o.buffers * 3, o.buffers + 9), format('%s: a member reads %s buffers, the owner %s', name, m.buffers, o.buffers))
FROM list, LATERAL pg_temp.explain('with 200', format(statement, (SELECT id FROM crowd WHERE n = 97))) m,
     LATERAL pg_temp.explain(NULL, format(statement, (SELECT id FROM crowd WHERE n = 97))) o;
SELECT unalike(m.plan::text, '%"Sort"%', format('%s: read in order, not sorted', name))
FROM list, LATERAL pg_temp.explain('with 200', format(statement, (SELECT id FROM crowd WHERE n = 97))) m;
SELECT unalike(plan::text, '%"SubPlan%', 'nothing is asked per row') FROM pg_temp.explain('with 20', 'SELECT * FROM board_api.tasks');
SELECT unalike(plan::text, '%"SubPlan%', 'nor of projects') FROM pg_temp.explain('with 20', 'SELECT * FROM board_api.projects');
SELECT unalike(plan::text, '%"Seq Scan"%', 'all tasks without a condition: bounded by the policy') FROM pg_temp.explain('with 20', 'SELECT * FROM board_api.tasks ORDER BY created_at DESC LIMIT 50');

-- page() reads the rows of a page and little else, however deep, for the owner and for a member; 50 rows may stand on 50 blocks.
SELECT cmp_ok(b, '<=', 130, format('page() by %s, after %s pages: %s reads %s buffers', order_by, pages, coalesce(who, 'the owner'), b))
FROM deep_page, unnest(ARRAY[NULL, 'extra']) who, LATERAL pg_temp.page_buffers(who, order_by, token) b;

-- my_tasks() is the list, whole and in order, and backwards.
SELECT is(cardinality(pg_temp.all_tasks('with 200')) > 10000, true, 'there is something to walk');
SELECT is(pg_temp.walk('with ' || n, size), pg_temp.all_tasks('with ' || n), format('all tasks of %s projects, %s a page', n, size))
FROM (VALUES (1, 50), (1, 7), (20, 1), (20, 50), (200, 500), (200, 1000)) t (n, size);
SELECT is(pg_temp.walk('with ' || n, size, order_by, backwards), pg_temp.all_tasks('with ' || n, order_by, backwards),
          format('all tasks of %s projects by %s%s, %s a page', n, order_by, CASE WHEN backwards THEN ' backwards' ELSE '' END, size))
FROM (VALUES (1, 1), (1, 50), (20, 7), (200, 1000)) t (n, size), unnest(ARRAY['created_at', 'due_date', 'priority', 'updated_at']) order_by, unnest(ARRAY[false, true]) backwards;
SELECT cmp_ok(buffers, '<=', 200 * 6 + 50 * 12, format('a page by %s%s of 200 projects, after %s, reads %s buffers: a descent a project', order_by,
                                                       CASE WHEN backwards THEN ' backwards' ELSE '' END, depth, buffers))
FROM unnest(ARRAY['created_at', 'due_date', 'priority', 'updated_at']) order_by, unnest(ARRAY[false, true]) backwards, unnest(ARRAY[0, 10000]) depth,
     LATERAL pg_temp.explain('with 200', format('SELECT board.my_task_ids(%L, 50, %L, %L)', order_by, pg_temp.place_of('with 200', nullif(depth, 0), order_by), backwards));
SELECT is(pg_temp.walk('stranger', 50), '{}', 'a stranger has none');
SELECT is(pg_temp.walk('stranger', 50, 'due_date'), '{}', 'nor by another order');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.my_tasks(5, NULL, ''title'')'), 'invalid_order_by', 'an order that is none');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.my_tasks(5, taskapi.cursor_encode(''created_at DESC, id DESC'', now(), {task}::uuid), ''updated_at'')'), 'cursor_mismatch', 'a cursor of another order of the same types');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.my_tasks(5, taskapi.cursor_encode(''created_at DESC, id DESC'', now(), {task}::uuid), ''due_date'', true)'), 'cursor_mismatch', 'nor backwards');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.my_tasks(-1)'), 'invalid_page_size', 'a negative page size');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.my_tasks(5, taskapi.cursor_encode(''created_at, id'', now(), {task}::uuid))'), 'cursor_mismatch', 'a cursor of another order');
SELECT * FROM finish();
ROLLBACK;
