-- Search and labels: every match once in both orders, page by page, of one's own projects only, bounded by an index, and a query that is none is refused.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION btree_gin;
SELECT taskapi.create_task_api('regress_find', 'regress_find_api');
CREATE ROLE regress_anonymous;
CREATE ROLE regress_user;
SELECT regress_find.grant_api('regress_anonymous', 'regress_user');
SELECT regress_find.create_account('ann@example.org') AS ann, regress_find.create_account('bob@example.org') AS bob, regress_find.create_account('eve@example.org') AS eve \gset
CREATE FUNCTION pg_temp.as(id uuid) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.jwt.claims', json_build_object('sub', id)::text, false), set_config('role', 'regress_user', false)
$$;
INSERT INTO regress_find.project (id, name, creator_id) SELECT md5('p' || n)::uuid, 'p' || n, CASE WHEN n < 4 THEN :'ann' ELSE :'bob' END::uuid FROM generate_series(0, 39) n;
SELECT setseed(0.3);
INSERT INTO regress_find.task (id, project_id, title, description, labels, created_at)
SELECT md5('t' || n)::uuid, md5('p' || n % 40)::uuid, 'task ' || n || CASE WHEN n % 97 = 0 THEN ' needle' ELSE '' END, CASE WHEN n % 3 = 0 THEN repeat('login ', n % 5) || 'blank page' END,
    CASE WHEN n % 97 = 0 THEN '{rare,common}'::text[] WHEN n % 2 = 0 THEN '{common}' ELSE '{}' END, '2026-01-01 00:00+00'::timestamptz + n / 3 * interval '1 minute'
FROM generate_series(1, 8000) n;
INSERT INTO regress_find.comment (project_id, task_id, body) SELECT t.project_id, t.id, 'I saw a needle, in the haystack' FROM regress_find.task t WHERE t.title LIKE '%5';
UPDATE regress_find.task SET deleted_at = now(), deletion_id = gen_random_uuid() WHERE title LIKE '%77 needle' OR title LIKE '%25';
VACUUM ANALYZE regress_find.task, regress_find.comment, regress_find.membership;
-- What should be found, as the owner of the tables, with the server's own operators.
CREATE FUNCTION pg_temp.expected(who uuid, words tsquery) RETURNS SETOF uuid LANGUAGE sql AS $$
    SELECT t.id FROM regress_find.task t JOIN regress_find.membership m ON m.project_id = t.project_id AND m.account_id = who
    WHERE t.deleted_at IS NULL AND ((setweight(to_tsvector('simple', t.title), 'A') || setweight(to_tsvector('simple', coalesce(t.description, '')), 'B')) @@ words
        OR EXISTS (SELECT FROM regress_find.comment c WHERE c.task_id = t.id AND c.deleted_at IS NULL AND to_tsvector('simple', c.body) @@ words)) $$;
-- All pages, to the end.
CREATE FUNCTION pg_temp.walk(who uuid, query text, project uuid, by_rank bool, page_size int) RETURNS TABLE (id uuid, rank real, created_at timestamptz, n int) LANGUAGE plpgsql AS $$
DECLARE
    r record; token text := ''; before text;
BEGIN
    PERFORM pg_temp.as(who);
    n := 0;
    LOOP
        before := token;
        FOR r IN SELECT * FROM regress_find_api.tasks_search(query, project, by_rank, page_size, token) LOOP
            id := (r.task).id; rank := r.rank; created_at := (r.task).created_at; n := n + 1;
            token := r.cursor::text;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN token = before OR n > 10000;
    END LOOP;
    RESET ROLE;
END $$;
CREATE TEMP TABLE query (words text, means tsquery);
INSERT INTO query VALUES ('needle', 'needle'), ('NEEDLE', 'needle'), ('need*', 'need:*'), ('login "blank page"', 'login & (blank <-> page)'), ('"page blank"', 'page <-> blank'), ('task -login', 'task & !login'), ('needle or haystack', 'needle | haystack'),
    ('blan* pag*', 'blan:* & pag:*'), ('nothing', 'nothing'), ('task -log*', 'task & !log:*');
SELECT words, by_rank, count(*) > 0 AS found, count(*) FILTER (WHERE w.id IS NULL OR e IS NULL) AS wrong, count(*) - count(DISTINCT w.id) AS twice,
    bool_and(CASE WHEN by_rank THEN (w.rank, w.id) < (w.before_rank, w.before_id) ELSE (w.created_at, w.id) < (w.before_created_at, w.before_id) END) AS in_order
FROM query q CROSS JOIN (VALUES (false), (true)) o (by_rank) CROSS JOIN LATERAL (
    SELECT * FROM (SELECT *, lag(x.rank) OVER y AS before_rank, lag(x.id) OVER y AS before_id, lag(x.created_at) OVER y AS before_created_at FROM pg_temp.walk(:'ann', q.words, NULL, o.by_rank, 7) x WINDOW y AS (ORDER BY x.n)) z
    FULL JOIN pg_temp.expected(:'ann', q.means) e ON e = z.id) w
GROUP BY words, by_rank ORDER BY words COLLATE "C", by_rank;
-- of one project, of another one's project, a stranger's
SELECT (SELECT count(*) FROM pg_temp.walk(:'ann', 'task', md5('p1')::uuid, false, 100)) = (SELECT count(*) FROM regress_find.task WHERE project_id = md5('p1')::uuid AND deleted_at IS NULL) AS own,
    (SELECT count(*) FROM pg_temp.walk(:'ann', 'task', md5('p9')::uuid, false, 100)) AS others, (SELECT count(*) FROM pg_temp.walk(:'eve', 'needle', NULL, false, 100)) AS none, (SELECT count(*) FROM pg_temp.walk(:'eve', 'needle', NULL, true, 100)) AS none_by_rank;
-- words that the parser divides, and quotes: no error, and none of them reaches the query as syntax
SELECT w, regress_find.words_of(w) FROM unnest(ARRAY['it''s*', 'log-in*', 'a\b*', 'x'':* y*', 'a & b | !c*', '-x*', '(a*', 'a@b.example*']) w;
SELECT pg_temp.as(:'ann') \g /dev/null
SELECT * FROM regress_find_api.tasks_search('');
SELECT * FROM regress_find_api.tasks_search(NULL);
SELECT * FROM regress_find_api.tasks_search('* "*" -');
SELECT * FROM regress_find_api.tasks_search(repeat('x', 1001));
SELECT * FROM regress_find_api.tasks_search(repeat('x ', 100));
SELECT * FROM regress_find_api.tasks_search('x', page_size => -1);
SELECT * FROM regress_find_api.tasks_search('x', page_token => 'AAAA');
SELECT * FROM regress_find_api.tasks_search('x', by_rank => true, page_token => taskapi.cursor_encode('created_at DESC, id DESC', now(), gen_random_uuid()));
SELECT * FROM regress_find_api.tasks_search('x', by_rank => false, page_token => taskapi.cursor_encode('rank DESC, id DESC', 1::real, gen_random_uuid()));
SELECT search FROM regress_find.task LIMIT 1;
-- labels as PostgREST asks for them: its search_path, and a value without a type
RESET ROLE;
CREATE FUNCTION pg_temp.buffers(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE query;
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END $$;
CREATE FUNCTION pg_temp.scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ 'Scan|Index Cond' THEN RETURN NEXT regexp_replace(regexp_replace(line, '\(InitPlan \w+\)\.col\d+', '$0', 'g'), '\$\d+', 'value', 'g'); END IF;
    END LOOP;
END $$;
SELECT pg_temp.as(:'ann') \g /dev/null
SET search_path = regress_find_api, public;
PREPARE contains (unknown) AS SELECT tasks.* FROM regress_find_api.tasks WHERE tasks.labels @> $1;
SET plan_cache_mode = force_generic_plan;
SELECT pg_temp.scans($$EXECUTE contains ('{rare}')$$);
SELECT count(*) FROM tasks WHERE labels @> '{rare}';
SELECT count(*) FROM tasks WHERE labels && '{rare,none}';
SELECT count(*) FROM tasks WHERE labels OPERATOR(pg_catalog.@>) '{rare}';
SELECT pg_temp.buffers('SELECT * FROM tasks WHERE labels @> ''{rare}''') * 2 < pg_temp.buffers('SELECT * FROM tasks WHERE labels OPERATOR(pg_catalog.@>) ''{rare}''') AS bounded,
    pg_temp.buffers(format('SELECT * FROM tasks WHERE project_id = %L AND labels @> ''{rare}''', md5('p1')::uuid)) < 20 AS of_one_project,
    pg_temp.buffers('SELECT * FROM regress_find.my_matching_tasks(''needle'', md5(''p1'')::uuid, false, 50, NULL, ''infinity'', ''ffffffff-ffff-ffff-ffff-ffffffffffff'')') < 120 AS search;
RESET ROLE;
RESET search_path;
DROP SCHEMA regress_find, regress_find_api CASCADE;
SELECT taskapi.forget_dropped_resources();
DROP EXTENSION btree_gin;
DROP OWNED BY regress_user, regress_anonymous;
DROP ROLE regress_user, regress_anonymous;
