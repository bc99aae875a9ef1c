-- json_agg() of a resource's rows is, to the byte, what the server writes, however a layer asks for it, all or one; no view or function keeps
-- the aggregate that takes its place; a table alone, and a row of a named type, are the server's.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_json_reader;
CREATE SCHEMA regress_rows;
CREATE SCHEMA regress_rows_api;
GRANT USAGE ON SCHEMA regress_rows, regress_rows_api TO regress_json_reader;
CREATE TYPE regress_rows.pair AS (x int, "y z" text);
CREATE TYPE regress_rows.mood AS ENUM ('sad', 'it''s "ok"');
CREATE DOMAIN regress_rows.numbers AS numeric;
CREATE TABLE regress_rows.item (
    id int PRIMARY KEY, gone int, "quote""d \ name" text, number regress_rows.numbers, document jsonb, text_document json, at timestamptz,
    day date, list int[], one regress_rows.pair, many regress_rows.pair[], feeling regress_rows.mood, key uuid, yes boolean, ratio float8, wide text);
ALTER TABLE regress_rows.item DROP COLUMN gone;
INSERT INTO regress_rows.item VALUES
    (1, E'a"b\\c\n\u0001', 'NaN', '{"a": [1, {"b": null}]}', ' [1 ,2] ', 'infinity', '0044-03-15 BC', '{1,NULL}', '(1,"x y")', '{"(1,2)",NULL}',
     'it''s "ok"', '017f22e2-79b0-7cc3-98c4-dc0c0c07398f', true, 'Infinity', repeat('wide ', 5000)),
    (3, '', 1.50, '1', 'null', '2024-02-29 12:34:56.789+02', '2024-02-29', '{}', '(,)', '{}', 'sad', NULL, false, -0.0, repeat('x', 200));
INSERT INTO regress_rows.item (id) VALUES (2);
SELECT taskapi.expose('regress_rows.item', 'regress_rows_api', 'items');
SELECT taskapi.grant_resource('regress_rows_api.items', 'regress_json_reader');

-- What the server makes of the same rows: row by row, since no aggregate stands there.
CREATE FUNCTION regress_rows.written(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    row record;
    all_rows text[] := '{}';
BEGIN
    FOR row IN EXECUTE query LOOP
        all_rows := all_rows || row_to_json(row)::text;
    END LOOP;
    RETURN '[' || array_to_string(all_rows, E', \n ') || ']';
END
$$;
CREATE FUNCTION regress_rows.is_replaced(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        found := found OR line ~ 'taskapi\.json_rows?\(';
    END LOOP;
    RETURN found;
END
$$;
SET ROLE regress_json_reader;
SELECT json_agg(t)::text = regress_rows.written('SELECT * FROM regress_rows_api.items ORDER BY id') AS same
FROM (SELECT * FROM regress_rows_api.items ORDER BY id) t;
RESET ROLE;
SELECT q.n, regress_rows.is_replaced(q.query) AS replaced FROM (VALUES
    (1, 'SELECT json_agg(t) FROM (SELECT * FROM regress_rows_api.items) t'),
    (2, 'WITH s AS (SELECT id FROM regress_rows_api.items LIMIT 1) SELECT count(t), coalesce(json_agg(t), ''[]'') FROM (SELECT * FROM s) t'),
    (3, 'WITH s AS (INSERT INTO regress_rows_api.items (id) VALUES (9) RETURNING *) SELECT coalesce(json_agg(s), ''[]'') FROM s'),
    (4, 'SELECT i.id, l.inner FROM regress_rows_api.items i LEFT JOIN LATERAL (SELECT json_agg(m) AS inner FROM (SELECT n.id FROM regress_rows_api.items n) m) l ON true'),
    (5, 'SELECT (SELECT json_agg(m) FROM (SELECT n.id FROM regress_rows_api.items n) m) FROM regress_rows_api.items'),
    (6, 'SELECT json_agg(t ORDER BY id) FILTER (WHERE id > 1) FROM (SELECT id, day FROM regress_rows_api.items) t'),
    (7, 'SELECT json_agg(t) FROM (SELECT * FROM regress_rows.item) t'),
    (8, 'SELECT json_agg(i) FROM regress_rows_api.items i'),
    (9, 'SELECT json_agg(id) FROM regress_rows_api.items'),
    (10, 'SELECT jsonb_agg(t) FROM (SELECT * FROM regress_rows_api.items) t'),
    (11, 'SELECT json_agg(t) OVER () FROM (SELECT * FROM regress_rows_api.items) t'),
    (12, 'SELECT coalesce(json_agg(t) -> 0, ''null'') FROM (SELECT * FROM regress_rows_api.items WHERE id = 1) t'),
    (13, 'SELECT coalesce(json_agg(t) -> 0, ''null'') FROM (SELECT * FROM regress_rows_api.items_page(page_size := 2)) t'),
    (14, 'SELECT json_agg(t) -> 0 FROM (SELECT * FROM taskapi.page(''regress_rows.item'')) t'),
    (15, 'SELECT json_agg(t) -> 0 FROM (SELECT * FROM json_to_record(''{}'') AS x (a int)) t')) q (n, query) ORDER BY q.n;

-- Whoever may not execute the aggregate has the server's.
BEGIN;
REVOKE EXECUTE ON FUNCTION taskapi.json_rows(record) FROM PUBLIC;
SET LOCAL ROLE regress_json_reader;
SELECT json_agg(t) AS as_the_server FROM (SELECT id FROM regress_rows_api.items ORDER BY id) t;
ROLLBACK;
-- A plan that is kept is right for whoever runs it next.
BEGIN;
REVOKE EXECUTE ON FUNCTION taskapi.json_rows(record) FROM PUBLIC;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE kept AS SELECT json_agg(t) AS of_another_role FROM (SELECT id FROM regress_rows_api.items ORDER BY id) t;
EXECUTE kept;
SET LOCAL ROLE regress_json_reader;
EXECUTE kept;
ROLLBACK;
DEALLOCATE kept;

-- What may not be executed is not gone around.
BEGIN;
REVOKE EXECUTE ON FUNCTION pg_catalog.json_agg(anyelement) FROM PUBLIC;
SET LOCAL ROLE regress_json_reader;
SELECT json_agg(t) FROM (SELECT id FROM regress_rows_api.items ORDER BY id) t;
ROLLBACK;
BEGIN;
REVOKE EXECUTE ON FUNCTION pg_catalog.json_array_element(json, int) FROM PUBLIC;
SET LOCAL ROLE regress_json_reader;
SELECT json_agg(t) -> 0 FROM (SELECT id FROM regress_rows_api.items ORDER BY id) t;
ROLLBACK;

-- One row, as a layer takes it out of the list.
SELECT json_agg(t) -> 0 AS first, json_agg(t) -> 1 AS second, (json_agg(t) -> 0) ->> 'day' AS day
FROM (SELECT id, day FROM regress_rows_api.items ORDER BY id) t;
SELECT json_agg(t ORDER BY id DESC) -> 0 AS last FROM (SELECT id, day FROM regress_rows_api.items) t;
SELECT json_agg(t) -> 0 AS none, coalesce(json_agg(t) -> 0, 'null') AS none_written FROM (SELECT * FROM regress_rows_api.items WHERE id < 0) t;
SELECT json_agg(t) -> 0 AS of_null FROM regress_rows_api.items i LEFT JOIN (SELECT id FROM regress_rows_api.items WHERE id < 0) t ON t.id = i.id;
SELECT (json_agg(t) -> 0)::text = regress_rows.written('SELECT * FROM regress_rows_api.items_page(page_size := 2)')::json ->> 0 AS same_page
FROM (SELECT * FROM regress_rows_api.items_page(page_size := 2)) t;

-- No row, a row that is null, rows of several types, and none but the server's for a type that can change.
SELECT json_agg(t) AS none, coalesce(json_agg(t), '[]') AS empty FROM (SELECT * FROM regress_rows_api.items WHERE id < 0) t;
SELECT json_agg(t) FROM regress_rows_api.items i LEFT JOIN (SELECT id, feeling FROM regress_rows_api.items WHERE id = 3) t ON t.id = i.id;
SELECT json_agg(CASE WHEN t.id = 2 THEN (SELECT u FROM (SELECT 1 AS one) u) ELSE t END) FROM (SELECT id, day FROM regress_rows_api.items) t;
SELECT json_agg(CASE WHEN t.id = 2 THEN (SELECT u FROM (SELECT 1 AS one) u) ELSE t END)
FROM (SELECT i.id, s FROM regress_rows_api.items i CROSS JOIN generate_series(1, 3) s ORDER BY s, i.id) t \gset other_
SELECT json_array_length(:'other_json_agg') AS of_two_types_in_turn;
CREATE FUNCTION regress_rows.as_record(regress_rows.pair) RETURNS record LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
SELECT json_agg(regress_rows.as_record(row(t.id, 'named')::regress_rows.pair)) FROM (SELECT * FROM regress_rows_api.items ORDER BY id) t;

-- What is stored is the server's aggregate.
CREATE VIEW regress_rows.stored AS SELECT json_agg(t) AS items FROM (SELECT id FROM regress_rows_api.items) t;
CREATE FUNCTION regress_rows.stored() RETURNS json LANGUAGE sql BEGIN ATOMIC SELECT json_agg(t) FROM (SELECT id FROM regress_rows_api.items) t; END;
SELECT count(*) AS dependencies FROM pg_depend WHERE refobjid = 'taskapi.json_rows(record)'::regprocedure AND deptype <> 'e';
SELECT pg_get_viewdef('regress_rows.stored') ~ ' json_agg\(' AS view, regress_rows.is_replaced('SELECT * FROM regress_rows.stored') AS view_read,
       (SELECT items::text FROM regress_rows.stored) = regress_rows.stored()::text AS same;

-- A plan that is kept follows what is done to the columns, and to the resource.
PREPARE list AS SELECT json_agg(t) FROM (SELECT id, feeling FROM regress_rows_api.items WHERE id > 1 ORDER BY id) t;
EXECUTE list;
ALTER TYPE regress_rows.mood RENAME VALUE 'sad' TO 'glad';
EXECUTE list;
CREATE FUNCTION regress_rows.mood_to_json(regress_rows.mood) RETURNS json LANGUAGE sql AS $$ SELECT json_build_object('mood', $1::text) $$;
CREATE CAST (regress_rows.mood AS json) WITH FUNCTION regress_rows.mood_to_json(regress_rows.mood);
EXECUTE list;

-- A cast to json is for whoever may execute it: of rows of a resource, and of a page.
REVOKE EXECUTE ON FUNCTION regress_rows.mood_to_json(regress_rows.mood) FROM PUBLIC;
SET ROLE regress_json_reader;
SELECT json_agg(t) FROM (SELECT id, feeling FROM regress_rows_api.items ORDER BY id) t;
SELECT json_agg(t) FROM (SELECT id, feeling FROM regress_rows_api.items WHERE feeling IS NULL) t;
SELECT items FROM taskapi.page('regress_rows_api.items', columns => '{id,feeling}', filter => '{"id": {"gt": 1}}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION regress_rows.mood_to_json(regress_rows.mood) TO regress_json_reader;
SET ROLE regress_json_reader;
SELECT items FROM taskapi.page('regress_rows_api.items', columns => '{id,feeling}', filter => '{"id": {"gt": 1}}');
RESET ROLE;
DROP VIEW regress_rows.stored;
DROP FUNCTION regress_rows.stored();
SELECT taskapi.unexpose('regress_rows_api.items');
SELECT regress_rows.is_replaced('SELECT json_agg(t) FROM (SELECT * FROM regress_rows.item) t') AS of_no_resource;

DROP SCHEMA regress_rows, regress_rows_api CASCADE;
DROP ROLE regress_json_reader;
