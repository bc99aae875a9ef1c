-- unbounded_pages: an order without an index is counted, by source and order, and one with an index is not.
CREATE SCHEMA regress_unbounded;
CREATE TABLE regress_unbounded.t (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c numeric NOT NULL);
CREATE INDEX ON regress_unbounded.t (a, id);
CREATE INDEX ON regress_unbounded.t (c, id);
INSERT INTO regress_unbounded.t SELECT n, n, n, n FROM generate_series(1, 100) n;
-- what is counted for certain: an entry that had to make room for this one is its error
CREATE VIEW regress_unbounded.counted AS
    SELECT source, order_by, pages - error AS pages, last_at > now() - interval '1 hour' AS lately FROM taskapi.unbounded_pages
    WHERE source::text LIKE 'regress_unbounded.%';

-- other tests' tables, which are dropped by now, make room at the first look
SELECT count(*) FROM regress_unbounded.counted;

SELECT count(*) FROM taskapi.page('regress_unbounded.t', NULL, 10);
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'a DESC', 10);
TABLE regress_unbounded.counted;

SELECT next_page_token AS token FROM taskapi.page('regress_unbounded.t', 'b', 10) \gset
SELECT count(*) FROM taskapi.page('regress_unbounded.t', ' "b"  asc, id', 10, :'token');
SELECT count(*) FROM taskapi.page_rows(NULL::regress_unbounded.t, 'b DESC', 10);
TABLE regress_unbounded.counted ORDER BY order_by;

-- it counts from the page on that has no index any more, and the order it tells is one that index_advice() takes
DROP INDEX regress_unbounded.t_a_id_idx;
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'a', 10);
SELECT order_by, taskapi.index_advice(source, order_by) FROM regress_unbounded.counted WHERE order_by LIKE 'a%';
CREATE INDEX ON regress_unbounded.t (a, id);
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'a', 10);
SELECT order_by, pages FROM regress_unbounded.counted WHERE order_by LIKE 'a%';

-- under row-level security an index whose comparisons are not leakproof bounds nothing
CREATE ROLE regress_unbounded_reader;
GRANT USAGE ON SCHEMA regress_unbounded TO regress_unbounded_reader;
GRANT SELECT ON regress_unbounded.t TO regress_unbounded_reader;
ALTER TABLE regress_unbounded.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON regress_unbounded.t USING (true);
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'c', 10);
SET ROLE regress_unbounded_reader;
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'c', 10);
SELECT count(*) FROM taskapi.unbounded_pages;
RESET ROLE;
SELECT order_by, pages FROM regress_unbounded.counted WHERE order_by LIKE 'c%';

-- advice: to each reader what index_advice() says, and no error, whatever the source, the order or the reader's rights are
CREATE VIEW regress_unbounded.grouped AS SELECT b AS id, count(*) AS n FROM regress_unbounded.t GROUP BY b;
SELECT count(*) FROM taskapi.page('regress_unbounded.grouped', 'id, n', 10);
GRANT pg_monitor TO regress_unbounded_reader;
SELECT order_by, advice, advice IS NOT DISTINCT FROM taskapi.index_advice(source, order_by) AS same FROM taskapi.unbounded_pages
WHERE source = 'regress_unbounded.t'::regclass ORDER BY order_by;
SELECT order_by, advice FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded.grouped'::regclass;
SET ROLE regress_unbounded_reader;
SELECT order_by, advice FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded.t'::regclass ORDER BY order_by;
SELECT order_by, advice FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded.grouped'::regclass;
RESET ROLE;
REVOKE SELECT ON regress_unbounded.t FROM regress_unbounded_reader;
SET ROLE regress_unbounded_reader;
SELECT count(*), count(advice) FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded.t'::regclass;
RESET ROLE;

-- a rollback takes no count back
BEGIN;
SELECT count(*) FROM taskapi.page('regress_unbounded.t', 'c DESC, b', 10);
ROLLBACK;
SELECT order_by, pages FROM regress_unbounded.counted WHERE order_by LIKE 'c DESC%';

-- clients choose orders: memory is bounded, and an order that is asked for most stays, once it is
DO $$
BEGIN
    FOR i IN 1 .. 500 LOOP
        PERFORM taskapi.page('regress_unbounded.t', 'b', 10);
        EXECUTE format('ALTER TABLE regress_unbounded.t RENAME c TO c%s', i);
        PERFORM taskapi.page('regress_unbounded.t', format('c%s, b', i), 10);
        EXECUTE format('ALTER TABLE regress_unbounded.t RENAME c%s TO c', i);
    END LOOP;
END $$;
SELECT count(*) <= 128 AS bounded, sum(pages) FILTER (WHERE order_by = 'b, id') >= 450 AS kept,
       bool_and(pages > 0) AS exact
FROM regress_unbounded.counted;

-- what was dropped is no line
DROP SCHEMA regress_unbounded CASCADE;
SELECT count(*) FROM taskapi.unbounded_pages p WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = p.source);

-- and takes no room: orders fill all places, are asked for often and go with their table. Who comes next may have been there before,
-- and had to make room; but it does not take the place, and the count, of what was dropped.
CREATE TABLE regress_unbounded_gone (id int PRIMARY KEY, a int, b int, c int, d int, e int, f int, g int, h int);
DO $$
DECLARE
    columns text;
BEGIN
    FOR columns IN SELECT concat_ws(', ', x, y, z) FROM unnest('{a,b,c,d,e,f,g,h}'::text[]) x, unnest('{a,b,c,d,e,f,g,h}'::text[]) y,
                   unnest('{a,b,c,d,e,f,g,h}'::text[]) z WHERE x <> y AND y <> z AND x <> z LOOP
        PERFORM taskapi.page('regress_unbounded_gone', columns, 10);
    END LOOP;
    FOR columns IN SELECT order_by FROM taskapi.unbounded_pages, generate_series(1, 30)
                   WHERE source = 'regress_unbounded_gone'::regclass ORDER BY order_by LOOP
        PERFORM taskapi.page('regress_unbounded_gone', columns, 10);
    END LOOP;
END $$;
SELECT min(pages) AS gone FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded_gone'::regclass \gset
DROP TABLE regress_unbounded_gone;
SELECT count(*) FROM taskapi.unbounded_pages p WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = p.source);
CREATE TABLE regress_unbounded_next (id int PRIMARY KEY, a int, b int, c int);
DO $$
DECLARE
    columns text;
BEGIN
    FOREACH columns IN ARRAY ARRAY['a', 'b', 'c', 'a, b', 'b, a', 'a, c', 'c, a', 'b, c'] LOOP
        PERFORM taskapi.page('regress_unbounded_next', columns, 10);
    END LOOP;
END $$;
SELECT count(*), sum(pages - error) AS certain, min(error) > 0 AS may_have_been_there, max(error) < :gone AS takes_no_place
FROM taskapi.unbounded_pages WHERE source = 'regress_unbounded_next'::regclass;
DROP TABLE regress_unbounded_next;
DROP ROLE regress_unbounded_reader;
