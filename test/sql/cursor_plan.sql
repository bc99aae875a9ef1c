-- Planner support: a comparison with cursor(...) bounds an ordinary index, and where it cannot, the operator gives the same answer.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET timezone = 'UTC';
\set SHOW_CONTEXT never
-- the same key everywhere, so that no test depends on chance
UPDATE taskapi.secret SET secret = decode(repeat('42', 32), 'hex') WHERE purpose = 'cursor';


-- EXPLAIN without the tokens, which hold the time, and what 18 says of disabled nodes
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        CONTINUE WHEN line ~ 'Disabled: true';
        RETURN NEXT regexp_replace(line, '''AQ[A-Za-z0-9_-]+''', '''TOKEN''', 'g');
    END LOOP;
END
$$;

CREATE TABLE post (
    id         int PRIMARY KEY,
    tenant     int NOT NULL,
    created_at timestamp NOT NULL,
    title      varchar(40) NOT NULL COLLATE "C",
    price      numeric NOT NULL,
    due        date
);
INSERT INTO post
    SELECT i, i % 50, '2026-01-01'::timestamp + make_interval(hours => i / 4), 'title ' || i % 50, i % 7 + i / 100.0, CASE WHEN i % 5 > 0 THEN '2026-01-01'::date + i % 30 END
    FROM generate_series(1, 1000) i;
CREATE INDEX post_created ON post (created_at, id);
CREATE INDEX post_tenant ON post (tenant, created_at, id);
CREATE INDEX post_title ON post (title, id);
CREATE INDEX post_price ON post (price, id);
ANALYZE post;

SELECT taskapi.cursor('created_at DESC, id DESC', created_at, id) AS token FROM post WHERE id = 500 \gset
SELECT taskapi.cursor('created_at, id', created_at, id) AS asc_token FROM post WHERE id = 500 \gset
SELECT taskapi.cursor('id', id) AS id_token FROM post WHERE id = 500 \gset
SELECT taskapi.cursor('title, id', title, id) AS title_token FROM post WHERE id = 500 \gset
SELECT taskapi.cursor('price, id', price, id) AS price_token FROM post WHERE id = 500 \gset

-- a literal: the index is bounded, and gives the order
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'token' ORDER BY created_at DESC, id DESC LIMIT 3;
SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'token' ORDER BY created_at DESC, id DESC LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) < :'token' ORDER BY created_at, id LIMIT 3;
SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) < :'token' ORDER BY created_at, id LIMIT 3;
-- every operator, both sides, both spellings
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at.asc,id.asc', created_at, id) >= :'asc_token';
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at, id', created_at, id) <= :'asc_token';
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at, id', created_at, id) = :'asc_token';
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE :'asc_token' < taskapi.cursor('created_at, id', created_at, id);
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE :'asc_token' >= taskapi.cursor('created_at, id', created_at, id);
-- one key is a plain comparison
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('id', id) > :'id_token' ORDER BY id LIMIT 3;
-- leading columns held equal
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE tenant = 1 AND taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'token' ORDER BY created_at DESC, id DESC LIMIT 3;
-- varchar
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('title, id', title, id) > :'title_token' ORDER BY title, id LIMIT 3;

-- prepared: a custom plan and a generic one
PREPARE page (taskapi.cursor) AS
    SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > $1 ORDER BY created_at DESC, id DESC LIMIT 3;
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE page (:'token');
EXECUTE page (:'token');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE page (:'token');
EXECUTE page (:'token');
EXECUTE page (NULL);
EXECUTE page (:'asc_token');
EXECUTE page (taskapi.cursor('created_at DESC, id DESC', NULL, 500));
RESET plan_cache_mode;
DEALLOCATE page;

-- what PostgREST sends: a security_invoker view under row-level security, another search_path
CREATE SCHEMA regress_api;
CREATE VIEW regress_api.posts WITH (security_invoker) AS
    SELECT p.*, taskapi.cursor('created_at DESC, id DESC', p.created_at, p.id) AS cursor FROM post p;
CREATE FUNCTION regress_api.by_id(regress_api.posts) RETURNS taskapi.cursor LANGUAGE sql STABLE AS $$SELECT taskapi.cursor('id', $1.id)$$;
ALTER TABLE post ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON post USING (tenant = current_setting('regress.tenant')::int);
CREATE ROLE regress_cursor_reader;
GRANT SELECT ON post, regress_api.posts TO regress_cursor_reader;
GRANT USAGE ON SCHEMA regress_api TO regress_cursor_reader;
SET regress.tenant = 2;
SET ROLE regress_cursor_reader;
SET search_path = regress_api;
PREPARE page (unknown) AS
    WITH source AS (SELECT "regress_api"."posts".* FROM "regress_api"."posts"
                    WHERE "regress_api"."posts"."cursor" > $1
                    ORDER BY "regress_api"."posts"."created_at" DESC, "regress_api"."posts"."id" DESC LIMIT 3)
    SELECT id FROM source;
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE page (:'token');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE page (:'token');
EXECUTE page (:'token');
RESET plan_cache_mode;
DEALLOCATE page;
-- a computed field is inlined
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE by_id(posts) > :'id_token' ORDER BY id LIMIT 3;
-- numeric's comparison is not leakproof: the cursor's own operator stays
SELECT pg_temp.plan(format($q$SELECT id FROM posts WHERE taskapi.cursor('price, id', price, id) > %L ORDER BY price, id LIMIT 3$q$, :'price_token'));
-- where the leading key's is leakproof, that one bounds the scan
EXPLAIN (COSTS OFF) SELECT id FROM posts WHERE taskapi.cursor('created_at, price', created_at, price) > taskapi.cursor('created_at, price', '2026-01-05'::timestamp, 1.5) ORDER BY created_at LIMIT 3;
RESET search_path;
RESET ROLE;
SELECT pg_temp.plan(format($q$SELECT id FROM post WHERE taskapi.cursor('price, id', price, id) > %L ORDER BY price, id LIMIT 3$q$, :'price_token'));

-- a security barrier lets the comparison in, since it is leakproof: then it must not become one that is not
CREATE VIEW regress_api.barrier WITH (security_barrier) AS
    SELECT p.*, taskapi.cursor('created_at DESC, id DESC', p.created_at, p.id) AS cursor, taskapi.cursor('price, id', p.price, p.id) AS by_price FROM post p WHERE tenant = 7;
EXPLAIN (COSTS OFF) SELECT id FROM regress_api.barrier WHERE cursor > :'token';
SELECT pg_temp.plan(format($q$SELECT id FROM regress_api.barrier WHERE by_price > %L$q$, :'price_token'));

-- an expression index on the cursor: mixed directions and NULLs, also under row-level security
CREATE INDEX post_due ON post (taskapi.cursor('due NULLS LAST, id DESC', due, id));
CREATE VIEW regress_api.due_posts WITH (security_invoker) AS
    SELECT p.*, taskapi.cursor('due NULLS LAST, id DESC', p.due, p.id) AS cursor FROM post p;
GRANT SELECT ON regress_api.due_posts TO regress_cursor_reader;
SELECT taskapi.cursor('due NULLS LAST, id DESC', due, id) AS due_token FROM post WHERE id = 1000 \gset
SET ROLE regress_cursor_reader;
SELECT pg_temp.plan(format($q$SELECT id FROM regress_api.due_posts WHERE cursor > %L ORDER BY cursor LIMIT 3$q$, :'due_token'));
SELECT id, due FROM regress_api.due_posts WHERE cursor > :'due_token' ORDER BY cursor LIMIT 3;
SET plan_cache_mode = force_generic_plan;
PREPARE page (unknown) AS SELECT id FROM regress_api.due_posts WHERE cursor > $1 ORDER BY cursor LIMIT 3;
EXPLAIN (COSTS OFF) EXECUTE page (:'due_token');
DEALLOCATE page;
RESET plan_cache_mode;
RESET ROLE;

-- an expression index of a uniform order serves ORDER BY cursor; the ordinary one serves ORDER BY its columns
CREATE INDEX post_created_cursor ON post (taskapi.cursor('created_at DESC, id DESC', created_at, id));
SELECT pg_temp.plan(format($q$SELECT id FROM regress_api.posts WHERE cursor > %L ORDER BY cursor LIMIT 3$q$, :'token'));
EXPLAIN (COSTS OFF) SELECT id FROM regress_api.posts WHERE cursor > :'token' ORDER BY created_at DESC, id DESC LIMIT 3;
DROP INDEX post_created_cursor;

-- declined: NULLs in the column or in the cursor, mixed directions, outer joins, expressions, an order_by that is no constant
SELECT pg_temp.plan($q$SELECT id FROM post WHERE taskapi.cursor('due, price', due, price) > taskapi.cursor('due, price', '2026-01-01'::date, 1.0)$q$);
SELECT pg_temp.plan($q$SELECT id FROM post WHERE taskapi.cursor('created_at, id DESC', created_at, id) > taskapi.cursor('created_at, id DESC', '2026-01-01'::timestamp, 1)$q$);
SELECT pg_temp.plan($q$SELECT id FROM post WHERE taskapi.cursor('created_at, id', created_at, id) > taskapi.cursor('created_at, id', NULL, 1)$q$);
SELECT pg_temp.plan(format($q$SELECT t.tenant FROM (VALUES (7)) t (tenant) LEFT JOIN post p USING (tenant) WHERE (taskapi.cursor('id', p.id) > %L) IS NOT TRUE$q$, :'id_token'));
SELECT pg_temp.plan(format($q$SELECT id FROM post WHERE taskapi.cursor('id', id + 1) > %L$q$, :'id_token'));
EXPLAIN (COSTS OFF) SELECT a.id FROM post a JOIN post b ON taskapi.cursor('id', a.id) > taskapi.cursor('id', b.id) AND b.id = 3;
SELECT count(*) FROM post WHERE taskapi.cursor('created_at, id', created_at, id) > taskapi.cursor('created_at, id', NULL, 1);
SELECT count(*) FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > taskapi.cursor('created_at DESC, id DESC', NULL, 1);
SELECT id FROM post WHERE id < 3 GROUP BY GROUPING SETS ((id), (created_at)) HAVING taskapi.cursor('id', id) > taskapi.cursor('id', 1) ORDER BY 1;

-- a cursor of another order_by is refused with and without rows, rewritten or not
SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'asc_token';
EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'asc_token';
SELECT id FROM post WHERE false AND taskapi.cursor('created_at DESC, id DESC', created_at, id) > :'asc_token';
SELECT id FROM post WHERE id < 0 AND taskapi.cursor('due, id', due, id) > :'asc_token';
SELECT id FROM post WHERE taskapi.cursor('created_at, id', created_at, id) > taskapi.cursor('created_at, id', '2026-01-01'::date, 1);
-- an integer that does not fit the column is refused, not clamped
SELECT id FROM post WHERE taskapi.cursor('id', id) > taskapi.cursor('id', 5000000000);

-- inheritance: a child may lack its parent's NOT NULL, so its NULLs are not lost
CREATE TABLE parent (a int, b int NOT NULL);
CREATE TABLE child () INHERITS (parent);
DO $$
BEGIN
    ALTER TABLE ONLY parent ALTER COLUMN a SET NOT NULL;
EXCEPTION WHEN OTHERS THEN NULL;    -- 18 does not let it come to that
END
$$;
INSERT INTO parent VALUES (1, 1);
INSERT INTO child VALUES (2, 2), (NULL, 3);
SELECT a FROM parent WHERE taskapi.cursor('a, b', a, b) > taskapi.cursor('a, b', 1, 0) ORDER BY a;
DROP TABLE parent CASCADE;

-- partitions: the leading key is compared by itself too, and prunes
CREATE TABLE event (at date NOT NULL, id int NOT NULL, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
INSERT INTO event SELECT '2026-01-01'::date + i % 90, i FROM generate_series(1, 900) i;
SELECT taskapi.cursor('at, id', '2026-02-27'::date, 57) AS event_token \gset
EXPLAIN (COSTS OFF) SELECT * FROM event WHERE taskapi.cursor('at, id', at, id) > :'event_token' ORDER BY at, id LIMIT 3;
SELECT * FROM event WHERE taskapi.cursor('at, id', at, id) > :'event_token' ORDER BY at, id LIMIT 3;
EXPLAIN (COSTS OFF) SELECT * FROM event WHERE taskapi.cursor('at, id', at, id) < :'event_token' ORDER BY at DESC, id DESC LIMIT 3;
-- ordered by the cursor itself, an expression index of the partitions serves
CREATE INDEX event_cursor ON event (taskapi.cursor('at, id', at, id));
SELECT pg_temp.plan(format($q$SELECT * FROM event WHERE taskapi.cursor('at, id', at, id) > %L ORDER BY taskapi.cursor('at, id', at, id) LIMIT 3$q$, :'event_token'));
SELECT * FROM event WHERE taskapi.cursor('at, id', at, id) > :'event_token' ORDER BY taskapi.cursor('at, id', at, id) LIMIT 3;
-- a view over UNION ALL
CREATE VIEW regress_api.both_posts AS SELECT id, taskapi.cursor('id', id) AS cursor FROM post UNION ALL SELECT id, taskapi.cursor('id', id) FROM event_1;
SELECT pg_temp.plan(format($q$SELECT id FROM regress_api.both_posts WHERE cursor > %L$q$, :'id_token'));
DROP VIEW regress_api.both_posts;
DROP TABLE event;

-- tokens are sealed after the sort, for the rows of the page alone
EXPLAIN (VERBOSE, COSTS OFF) SELECT id, taskapi.cursor('id', id) AS cursor, taskapi.cursor_encode('id', id) AS token FROM post ORDER BY tenant % 7, id LIMIT 3;

DROP SCHEMA regress_api CASCADE;
DROP TABLE post;
DROP ROLE regress_cursor_reader;
