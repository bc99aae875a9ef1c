-- A cursor of another order is told to the client where no row decides it, and by nothing that looks at a column.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET plan_cache_mode = force_generic_plan;
SET constraint_exclusion = on;
CREATE TABLE post (id int PRIMARY KEY, due int);
CREATE TABLE reader (name text PRIMARY KEY, at taskapi.cursor);
INSERT INTO post SELECT i, NULLIF(i % 4, 0) FROM generate_series(1, 10) i;
INSERT INTO reader VALUES ('one', taskapi.cursor('id', 4)), ('two', taskapi.cursor('other', 4));

-- what a query says for a cursor of this order and of another one, how often it checks, and whether an index condition came of it
CREATE FUNCTION pg_temp.says(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
    said text := '';
    n int;
BEGIN
    EXECUTE 'PREPARE says (taskapi.cursor) AS ' || query;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) EXECUTE says (taskapi.cursor(''id'', 4))' LOOP plan := plan || line; END LOOP;
    FOREACH line IN ARRAY ARRAY['id', 'other'] LOOP
        BEGIN
            n := 0;
            FOR n IN EXECUTE format('EXECUTE says (taskapi.cursor(%L, 4))', line) LOOP NULL; END LOOP;
            said := said || coalesce(n::text, 'null') || ', ';
        EXCEPTION WHEN invalid_parameter_value THEN said := said || 'mismatch, ';
        END;
    END LOOP;
    DEALLOCATE says;
    RETURN said || (length(plan) - length(replace(plan, 'cursor_check(', ''))) / length('cursor_check(') || ' checks' ||
        CASE WHEN plan LIKE '%cursor_key(%' THEN ', rewritten' ELSE '' END;
END
$$;

-- in FROM, and in a sub-select among expressions: there the check stands in the query around as well, which no hidden row precedes
SELECT query, pg_temp.says(query) FROM (VALUES
    ('SELECT count(*) FROM post WHERE taskapi.cursor(''id'', id) > $1'),
    ('SELECT count(*) FROM (SELECT id FROM post WHERE taskapi.cursor(''id'', id) > $1 OFFSET 0) p'),
    ('SELECT (SELECT count(*) FROM post WHERE taskapi.cursor(''id'', id) > $1)'),
    ('SELECT count(*) FROM reader WHERE (SELECT count(*) FROM post WHERE taskapi.cursor(''id'', id) > $1) > length(name)'),
    ('SELECT count(*) FROM reader WHERE NOT EXISTS (SELECT FROM post WHERE id::text = name AND taskapi.cursor(''id'', id) > $1)'),
    ('SELECT count(*) FROM reader r, LATERAL (SELECT id FROM post WHERE id > length(r.name) AND taskapi.cursor(''id'', id) > $1 OFFSET 0) p'),
    ('WITH p AS MATERIALIZED (SELECT id FROM post WHERE taskapi.cursor(''id'', id) > $1) SELECT count(*) FROM p'),
    ('WITH p AS MATERIALIZED (SELECT id FROM post WHERE taskapi.cursor(''id'', id) > $1) SELECT (SELECT count(*) FROM p)')) v (query);
-- and if it need not be meant to run, there is none: the operator answers
SELECT query, pg_temp.says(query) FROM (VALUES
    ('SELECT CASE WHEN now() IS NOT NULL THEN (SELECT count(*) FROM post WHERE taskapi.cursor(''id'', id) > $1) END'),
    ('SELECT count(*) FROM reader WHERE name = ''one'' OR EXISTS (SELECT FROM post WHERE taskapi.cursor(''id'', id) > $1)'),
    ('SELECT coalesce(NULL, (SELECT count(*) FROM post WHERE taskapi.cursor(''id'', id) > $1))'),
    ('WITH p AS MATERIALIZED (SELECT id FROM post WHERE taskapi.cursor(''id'', id) > $1) SELECT CASE WHEN now() IS NOT NULL THEN (SELECT count(*) FROM p) END')) v (query);

-- a cursor that is stored, in this query or in the one around it: no error, whether or not the planner makes one query of them
SELECT name, (SELECT count(*) FROM post WHERE taskapi.cursor('id', id) > r.at) FROM reader r ORDER BY name;
SELECT name, n FROM reader r, LATERAL (SELECT count(*) AS n FROM post WHERE taskapi.cursor('id', id) > r.at) p ORDER BY name;
SELECT name, n FROM reader r, LATERAL (SELECT count(*) AS n FROM post WHERE taskapi.cursor('id', id) > r.at OFFSET 0) p ORDER BY name;
SELECT name FROM reader r WHERE EXISTS (SELECT FROM post WHERE taskapi.cursor('id', id) > r.at) ORDER BY name;
SELECT name, count(*) FROM reader r JOIN post ON taskapi.cursor('id', id) > r.at GROUP BY name ORDER BY name;

-- A CHECK is simplified as one over the columns of relation 1, whichever that is: what is looked up there is not beyond its columns,
-- nor of another type, and the CHECK says nothing that it did not.
CREATE TABLE near (a int NOT NULL);
CREATE TABLE wide (c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, c7 text NOT NULL);
CREATE TABLE far (c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, x int, CHECK (taskapi.cursor('x', x) > taskapi.cursor('x', 5)));
CREATE TABLE parent (c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, x int);
CREATE TABLE child (CHECK (taskapi.cursor('x', x) > taskapi.cursor('x', 5))) INHERITS (parent);
INSERT INTO near VALUES (3), (7);
INSERT INTO wide (c1, c7) VALUES (7, 'x');
INSERT INTO far (x) VALUES (7), (NULL);
INSERT INTO child (x) VALUES (7), (NULL);
SELECT count(*) FROM near, far WHERE far.x = near.a AND far.x > 3;
SELECT count(*) FROM wide, far WHERE far.x = wide.c1 AND far.x > 3;
SELECT count(*) FROM wide, far WHERE far.x IS NULL;
SELECT count(*) FROM near, parent WHERE parent.x = near.a AND parent.x > 3;
SELECT count(*) FROM wide, parent WHERE parent.x IS NULL;
ALTER TABLE wide DROP COLUMN c7;
SELECT count(*) FROM wide, far WHERE far.x = wide.c1 AND far.x > 3;

-- keys whose operator class is another type's, NOT NULL and so rewritten: the second page, by the operator, and whether it was
CREATE DOMAIN network AS cidr;
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN domain_pair AS pair;
CREATE FUNCTION pg_temp.second_page(type text, first text, second text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n int;
    line text;
    rewritten text := '';
BEGIN
    EXECUTE format('CREATE TEMP TABLE keyed (id int PRIMARY KEY, k %s NOT NULL)', type);
    EXECUTE format('INSERT INTO keyed VALUES (1, %L), (2, %L)', first, second);
    BEGIN
        EXECUTE format('SELECT count(*) FROM keyed WHERE taskapi.cursor(''k, id'', k, id) > taskapi.cursor(''k, id'', %L::%s, 1)', first, type) INTO n;
        FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT FROM keyed WHERE taskapi.cursor(''k, id'', k, id) > taskapi.cursor(''k, id'', %L::%s, 1)', first, type) LOOP
            IF line LIKE '%ROW(%' THEN rewritten := ', rewritten'; END IF;
        END LOOP;
        DROP TABLE keyed;
        RETURN n || rewritten;
    EXCEPTION WHEN invalid_parameter_value THEN
        GET STACKED DIAGNOSTICS line = PG_EXCEPTION_DETAIL;
        DROP TABLE IF EXISTS keyed;
        RETURN line;
    END;
END
$$;
SELECT type, pg_temp.second_page(type, first, second) FROM (VALUES
    ('inet', '10.0.0.1', '10.0.0.2'), ('cidr', '10.0.0.0/8', '11.0.0.0/8'), ('network', '10.0.0.0/8', '11.0.0.0/8'), ('regclass', 'pg_type', 'pg_class'),
    ('regtype', 'int8', 'int4'), ('regnamespace', 'pg_catalog', 'public'), ('varchar', 'a', 'b'), ('char(3)', 'a', 'b'), ('name', 'a', 'b'),
    ('information_schema.sql_identifier', 'a', 'b'), ('"char"', 'a', 'b'), ('varbit', '0', '1'), ('bit(2)', '00', '11'), ('real', '1.5', '2.5'),
    ('pair', '(1,1)', '(2,1)'), ('domain_pair', '(1,1)', '(2,1)'), ('int[]', '{1}', '{2}'), ('oidvector', '1', '2'), ('int4range', '[1,2)', '[2,3)')) v (type, first, second);

DROP TABLE post, reader, near, wide, far, child, parent;
DROP DOMAIN network, domain_pair;
DROP TYPE pair;
