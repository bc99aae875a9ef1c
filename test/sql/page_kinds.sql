-- Kinds of keys and views that pages once took for others: NULL composites, domains, moved schemas, views planned apart; and the index advice for them.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA kinds;
SET search_path = kinds, public;

CREATE FUNCTION problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    details text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS details = PG_EXCEPTION_DETAIL;
    RETURN coalesce(CASE WHEN details LIKE '{"code"%' THEN (details::json ->> 'code') || ' (' || SQLSTATE || '): ' || (details::json ->> 'details') END,
                    SQLSTATE || ': ' || SQLERRM || coalesce(' ' || nullif(details, ''), ''));
END $$;
-- All ids in the order of a walk, with | where a page ends
CREATE FUNCTION walk(source regclass, order_by text, size int, filter jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p taskapi.page_result;
    result text := '';
BEGIN
    FOR i IN 1 .. 20 LOOP
        p := taskapi.page(source, order_by, size, p.next_page_token, filter);
        result := result || (SELECT coalesce(string_agg(o ->> 'id', ' ' ORDER BY n), '-') FROM json_array_elements(p.items) WITH ORDINALITY x (o, n)) || '|';
        EXIT WHEN NOT p.has_next;
    END LOOP;
    RETURN result;
END $$;

-- a composite that has a NULL field is not NULL, and one whose fields are all NULL is not NULL either
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN pair_domain AS pair;
CREATE TABLE pairs (id int PRIMARY KEY, p pair, d pair_domain);
INSERT INTO pairs (id, p) VALUES (1, '(1,1)'), (2, '(1,)'), (3, '(2,2)'), (4, '(,)'), (5, NULL), (6, NULL);
UPDATE pairs SET d = p;
SELECT o AS order_by, walk('pairs', o, 1) AS one, walk('pairs', o, 2) AS two, walk('pairs', o, 3) AS three
FROM unnest('{p NULLS LAST,p NULLS FIRST,p DESC,p DESC NULLS LAST,d DESC,d NULLS FIRST}'::text[]) o;
-- IS NULL of a filter is SQL's, which holds for two values of them; an index on it is no constant
CREATE INDEX ON pairs (p, id);
SELECT walk('pairs', 'id', 1, '{"p": {"is": null}}') AS in_order_of_id;

-- operators are found by the parser, as they were meant
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN mood_domain AS mood;
CREATE DOMAIN words AS text[];
CREATE DOMAIN span AS int4range;
CREATE DOMAIN network AS cidr;
CREATE TABLE odd (id int PRIMARY KEY, m mood_domain NOT NULL, w words, s span, n network NOT NULL, c regclass);
INSERT INTO odd SELECT i, (enum_range(NULL::mood))[1 + i % 3], ARRAY['w' || i % 2], int4range(i % 3, 5), ('10.' || i % 4 || '.0.0/16')::cidr,
    (ARRAY['pg_class', 'pg_type', NULL])[1 + i % 3]::regclass FROM generate_series(1, 8) i;
SELECT o AS order_by, walk('odd', o, 3) FROM unnest('{m,m DESC,w,s DESC,n,c DESC,"m, n"}'::text[]) o;
SELECT f AS filter, walk('odd', 'id', 9, f) FROM unnest(ARRAY['{"m": "ok"}', '{"m": {"in": ["ok", "sad"]}}', '{"m": {"gt": "sad"}}', '{"w": {"cs": ["w1"]}}',
    '{"s": {"ov": "[0,1)"}}', '{"s": {"neq": "[0,5)"}}', '{"n": {"in": ["10.1.0.0/16"]}}', '{"c": {"in": ["pg_class"]}}']::jsonb[]) f;

-- what a session keeps follows a schema that is renamed, and a type
CREATE SCHEMA kinds_ext;
CREATE EXTENSION citext SCHEMA kinds_ext;
CREATE TABLE names (id int PRIMARY KEY, n kinds_ext.citext NOT NULL);
INSERT INTO names SELECT i, chr(64 + i) FROM generate_series(1, 5) i;
SELECT walk('names', 'n', 2);
ALTER SCHEMA kinds_ext RENAME TO kinds_moved;
SELECT walk('names', 'n', 2);
ALTER EXTENSION citext SET SCHEMA kinds;
SELECT walk('names', 'n', 2), walk('names', 'id', 2, '{"n": "C"}');
ALTER DOMAIN mood_domain RENAME TO feeling;
SELECT walk('odd', 'm DESC', 3);

-- a type that sends what it does not take goes into a token as the type that compares it
CREATE TABLE trees (id int PRIMARY KEY, a int DEFAULT 1, b int DEFAULT 1 + 1, c int DEFAULT 1 + 1 + 1, t pg_node_tree);
INSERT INTO trees SELECT adnum, 1, 1, 1, adbin FROM pg_attrdef WHERE adrelid = 'trees'::regclass;
SELECT walk('trees', 't', 1) = (SELECT string_agg(id::text, '|' ORDER BY t, id) || '|' FROM trees) AS by_a_tree;

-- an empty order_by is none
SELECT taskapi.page('odd', '', 2)::text = taskapi.page('odd', NULL, 2)::text AS same, walk('odd', '', 8), taskapi.index_advice('odd', '') IS NULL AS served;

-- the row type is another by the time the rows are fetched; whether rows are seen or not
CREATE TABLE retyped (id int PRIMARY KEY, x int, y text);
INSERT INTO retyped VALUES (1, -1, 'y');
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM taskapi.page_rows(NULL::retyped, 'id');
ALTER TABLE retyped ALTER x TYPE oid;
FETCH ALL FROM c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT taskapi.page_rows(NULL::retyped, 'id');
ALTER TABLE retyped DROP y;
FETCH ALL FROM c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM taskapi.page_rows(NULL::retyped, 'id');
ALTER TABLE retyped ALTER x TYPE bigint;
FETCH ALL FROM c;
ROLLBACK;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM taskapi.page_rows(NULL::retyped, 'id');
ALTER TABLE retyped ADD z int DEFAULT 1;
FETCH ALL FROM c;
ROLLBACK;

-- index_advice(): a filter's columns come first, or make the index partial; what it says serves
CREATE TABLE jobs (id int PRIMARY KEY, queue text NOT NULL, state int NOT NULL, due date, done date);
CREATE FUNCTION advice(source regclass, order_by text, filter jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text := taskapi.index_advice(source, order_by, filter);
BEGIN
    IF statement IS NOT NULL THEN
        EXECUTE replace(statement, 'CONCURRENTLY ', '');
        IF taskapi.index_advice(source, order_by, filter) IS NOT NULL THEN
            RAISE 'it does not serve: %', statement;
        END IF;
    END IF;
    RETURN statement;
END $$;
SELECT advice('jobs', 'due', '{"queue": "a"}');
SELECT advice('jobs', 'due', '{"queue": "a"}') IS NULL AS served, taskapi.index_advice('jobs', 'due') IS NULL AS served_for_all;
SELECT advice('jobs', 'due DESC NULLS LAST', '{"queue": "a", "state": 1, "id": {"gt": 5}}');
SELECT advice('jobs', 'due', '{"done": {"is": null}}');
SELECT advice('jobs', 'queue DESC, due DESC, id', '{"queue": "a", "done": {"is": null}}');
SELECT advice('jobs', 'due', '{"due": {"is": null}, "state": 2}');
SELECT advice('jobs', 'queue', '{"queue": "a", "id": 4}') IS NULL AS served_by_the_key;
SELECT problem($$SELECT taskapi.index_advice('kinds.jobs', 'due', '{"nothing": 1}')$$);

-- an index on expressions, at the beginning, behind columns and several of them
CREATE TABLE spelled (id int PRIMARY KEY, s text, k int);
CREATE INDEX ON spelled ((k + 1), (k + 2));
CREATE INDEX ON spelled (k, (lower(s)), (k + 1), s);
SELECT taskapi.index_advice('spelled', 's'), taskapi.index_advice('spelled', 's', '{"k": 1}');
CREATE INDEX ON spelled (k, s, id, (lower(s)), (k + 1));
SELECT taskapi.index_advice('spelled', 's', '{"k": 1}') IS NULL AS served;

-- nor may it promise an index for what the planner plans apart
CREATE VIEW plain AS SELECT * FROM jobs;
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM jobs;
CREATE VIEW ordered AS SELECT * FROM jobs ORDER BY queue;
CREATE VIEW locked AS SELECT * FROM jobs FOR SHARE;
CREATE VIEW volatile AS SELECT *, random() AS r FROM jobs;
CREATE VIEW on_ordered AS SELECT * FROM ordered;
SELECT v, problem(format('SELECT taskapi.index_advice(%L, %L)', 'kinds.' || v, 'id')) FROM unnest('{plain,barrier,ordered,locked,volatile,on_ordered}'::text[]) v;
INSERT INTO jobs SELECT i, 'q' || i % 2, i, NULL, NULL FROM generate_series(1, 5) i;
SELECT walk('on_ordered', 'queue DESC', 2), walk('barrier', 'queue DESC', 2);

-- row-level security keeps an index from use whose comparisons are not leakproof; one on the cursor serves
CREATE TABLE priced (id int PRIMARY KEY, price numeric NOT NULL);
CREATE INDEX ON priced (price, id);
SELECT advice('priced', 'price');
ALTER TABLE priced ENABLE ROW LEVEL SECURITY;
SELECT advice('priced', 'price');

DROP SCHEMA kinds CASCADE;
DROP SCHEMA kinds_moved;
