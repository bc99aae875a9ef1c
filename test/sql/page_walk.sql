-- Every row exactly once, in order: walks over random tables in random orders, against a sort in plain SQL.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA page_walk;
SET search_path = page_walk, public;
DO $$
BEGIN
    CREATE COLLATION linguistic (provider = icu, locale = 'en-u-kn-true');
EXCEPTION WHEN feature_not_supported THEN
    CREATE COLLATION linguistic FROM "C";   -- a server without ICU
END $$;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN score AS numeric;

-- Few different values a column, so that ties and NULLs are everywhere, and the values where equality is not sameness.
CREATE TABLE pool (name text PRIMARY KEY, type text, vals text[]);
INSERT INTO pool VALUES
    ('i2', 'smallint', '{-32768,0,1,32767,NULL}'),
    ('i4', 'int', '{-2147483648,-1,0,1,2147483647,NULL}'),
    ('i8', 'bigint', '{-9223372036854775808,0,9223372036854775807}'),
    ('f4', 'real', '{-Infinity,-1.5,-0,0,1e-40,Infinity,NaN,NULL}'),
    ('f8', 'double precision', '{-Infinity,-1e308,-0,0,5e-324,0.1,0.30000000000000004,Infinity,NaN,NULL}'),
    ('num', 'numeric', '{-Infinity,-1.10,-1.1,0,0.00,1e-30,1.1,1.10,1.100,1e40,Infinity,NaN,NULL}'),
    ('dom', 'page_walk.score', '{1,1.0,2,NULL}'),
    ('ts', 'timestamptz', '{-infinity,"2026-01-01 00:00:00.000001+00","2026-01-01 00:00:00.000002+00","2026-01-01 00:00:00+00",infinity,NULL}'),
    ('d', 'date', '{-infinity,2026-01-01,2026-02-28,infinity,NULL}'),
    ('tz', 'timetz', '{"10:00+00","11:00+01","12:00+01",NULL}'),
    ('iv', 'interval', '{"1 month","30 days","29 days 24 hours","-1 day",NULL}'),
    ('c', 'text COLLATE "C"', '{"",a,A,"a b",ä,"a\u0001b",NULL}'),
    ('t', 'text COLLATE page_walk.linguistic', '{a2,a10,A2,ä,b,"",NULL}'),
    ('v', 'varchar(10) COLLATE "C"', '{x,xy,"",NULL}'),
    ('bp', 'char(3) COLLATE "C"', '{"a","a  ",ab,"",NULL}'),
    ('b', 'boolean', '{t,f,NULL}'),
    ('e', 'page_walk.mood', '{sad,ok,happy,NULL}'),
    ('u', 'uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,7fffffff-0000-0000-0000-000000000001,NULL}'),
    ('by', 'bytea', '{"\\x","\\x00","\\x0000","\\xff",NULL}'),
    ('ia', 'int[]', '{"{}","{1}","{1,NULL}","{1,2}","{{1,2}}",NULL}'),
    ('ta', 'text[]', '{"{}","{a}","{a,b}",NULL}'),
    ('net', 'inet', '{10.0.0.1,10.0.0.0/8,"::1",NULL}'),
    ('r', 'int4range', '{empty,"[1,5)","[1,)","(,)",NULL}'),
    ('j', 'jsonb', '{1,1.0,"\"a\"","[]","{}",null,NULL}');

-- A pseudo-random number below n, the same on every machine.
CREATE SEQUENCE draw;
CREATE FUNCTION random_below(seed int, n int) RETURNS int LANGUAGE sql VOLATILE AS $$
    SELECT (('x' || substr(md5(seed || ':' || nextval('page_walk.draw')), 1, 7))::bit(28)::int % n)
$$;

CREATE FUNCTION ids(items json) RETURNS int[] LANGUAGE sql AS $$ SELECT coalesce(array_agg((i ->> 'id')::int ORDER BY n), '{}') FROM json_array_elements(items) WITH ORDINALITY x(i, n) $$;

CREATE TABLE walk (run int, kind text, problem text);

-- A table of n rows with k columns of the pool, and maybe an index; returns the order_by.
CREATE FUNCTION make_table(seed int, n int, OUT order_by text, OUT sort text) LANGUAGE plpgsql AS $$
DECLARE
    k int := 1 + random_below(seed, 4);
    cols pool[];
    col pool;
    defs text := '';
    vals text := '';
    word text;
    terms text[] := '{}';
    sorts text[] := '{}';
    last_descending bool;
    nullable bool;
BEGIN
    cols := ARRAY(SELECT p FROM pool p ORDER BY md5(seed || p.name) LIMIT k);
    FOREACH col IN ARRAY cols LOOP
        nullable := random_below(seed, 3) > 0 AND array_position(col.vals, NULL) IS NOT NULL;
        defs := defs || format(', %I %s%s', col.name, col.type, CASE WHEN nullable THEN '' ELSE ' NOT NULL' END);
        IF NOT nullable THEN
            col.vals := array_remove(col.vals, NULL);
        END IF;
        vals := vals || format(', (%L::text[])[1 + random_below(%s, %s)]::%s', col.vals, seed, cardinality(col.vals), col.type);
        last_descending := random_below(seed, 2) = 1;
        word := format('%I', col.name) || CASE WHEN last_descending THEN ' DESC' ELSE '' END ||
            (ARRAY['', ' NULLS FIRST', ' NULLS LAST'])[1 + random_below(seed, 3)];
        terms := terms || word;
    END LOOP;
    EXECUTE format('DROP TABLE IF EXISTS w; CREATE TABLE w (id int PRIMARY KEY%s)', defs);
    EXECUTE format('INSERT INTO w SELECT i%s FROM generate_series(1, %s) i', vals, n);
    order_by := array_to_string(terms, ', ');
    -- page() appends id itself, in the direction of the last term; half of the time it is given, in any direction
    IF random_below(seed, 2) = 1 THEN
        word := 'id' || (ARRAY['', ' DESC'])[1 + random_below(seed, 2)];
        order_by := order_by || ', ' || word;
        sort := order_by;
    ELSE
        sort := order_by || ', id' || CASE WHEN last_descending THEN ' DESC' ELSE '' END;
    END IF;
    IF random_below(seed, 2) = 1 THEN
        EXECUTE format('CREATE INDEX ON w (%s)', sort);
    END IF;
    -- and indexes that are almost right: other directions, other places for NULLs
    FOR i IN 1 .. random_below(seed, 4) LOOP
        word := '';
        FOREACH col IN ARRAY cols LOOP
            word := word || format('%I', col.name) || (ARRAY['', ' DESC'])[1 + random_below(seed, 2)] || (ARRAY['', ' NULLS FIRST', ' NULLS LAST'])[1 + random_below(seed, 3)] || ', ';
        END LOOP;
        EXECUTE format('CREATE INDEX ON w (%sid%s)', word, (ARRAY['', ' DESC'])[1 + random_below(seed, 2)]);
    END LOOP;
    ANALYZE w;
END $$;

-- The same with an index on the cursor alone, of the order or of its opposite, which runs up or down.
CREATE FUNCTION make_table_with_cursor_index(seed int, n int, OUT order_by text, OUT sort text) LANGUAGE plpgsql AS $$
DECLARE
    flip bool := random_below(seed, 2) = 1;
    token text;
    named text;
    keys text;
    statement text;
    doomed regclass;
BEGIN
    SELECT * INTO order_by, sort FROM make_table(seed, n);
    FOR doomed IN SELECT indexrelid FROM pg_index WHERE indrelid = 'w'::regclass AND NOT indisprimary LOOP
        EXECUTE format('DROP INDEX %s', doomed);
    END LOOP;
    EXECUTE format('SELECT taskapi.cursor_encode(%L%s)', sort, repeat(', NULL', cardinality(string_to_array(sort, ',')))) INTO token;
    SELECT string_agg(format('%I %s NULLS %s', key, CASE WHEN descending <> flip THEN 'DESC' ELSE 'ASC' END,
                             CASE WHEN nulls_first <> flip THEN 'FIRST' ELSE 'LAST' END), ', ' ORDER BY position),
           string_agg(format('%I', key), ', ' ORDER BY position)
    INTO named, keys FROM taskapi.cursor_decode(token);
    statement := format('CREATE INDEX ON w (taskapi.cursor(%L, %s)%s%s)', named, keys, (ARRAY['', ' DESC'])[1 + random_below(seed, 2)],
                        (ARRAY['', ' NULLS FIRST', ' NULLS LAST'])[1 + random_below(seed, 3)]);
    ANALYZE w;
    -- arrays, ranges and jsonb cannot be in a cursor
    IF keys ~ '\m(ia|ta|r|j)\M' THEN
        RETURN;
    END IF;
    EXECUTE statement;
    IF taskapi.index_advice('w', order_by) IS NOT NULL THEN
        INSERT INTO walk VALUES (seed, 'an index on the cursor does not serve', format('%s: %s', order_by, named));
    END IF;
END $$;

-- Where a token leads when only the rows of "left_over" exist, which is an empty page; then where that page's way back leads when all exist again.
CREATE FUNCTION inclusive(order_by text, token text, left_over int[]) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    p taskapi.page_result;
BEGIN
    BEGIN
        DELETE FROM w WHERE id <> ALL (left_over);
        p := taskapi.page('w', order_by, 3, token);
        RAISE EXCEPTION 'back to all rows';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    RETURN CASE WHEN p.items::text = '[]' AND (p.next_page_token = '') <> (p.previous_page_token = '') AND p.has_next = (p.next_page_token <> '') AND p.has_previous = (p.previous_page_token <> '')
        THEN ids((taskapi.page('w', order_by, 1000, p.next_page_token || p.previous_page_token)).items) END;
END $$;

-- Forward to the end, back to the start, every page size; turning after each page.
CREATE FUNCTION walk_both_ways(run int, source regclass, order_by text, sort text, sizes int[], filter jsonb DEFAULT NULL, condition text DEFAULT 'true')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    expected int[];
    size int;
    p taskapi.page_result;
    back taskapi.page_result;
    seen int[];
    pages int;
    here int[];
    before int[];
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(id ORDER BY %s), ''{}'') FROM %s WHERE %s', sort, source, condition) INTO expected;
    FOREACH size IN ARRAY sizes LOOP
        seen := '{}'; pages := 0; before := NULL; p := NULL;
        LOOP
            p := taskapi.page(source, order_by, size, p.next_page_token, filter);
            pages := pages + 1;
            here := ids(p.items);
            seen := seen || here;
            IF p.has_next <> (cardinality(seen) < cardinality(expected)) OR p.has_next <> (p.next_page_token <> '') OR
               p.has_previous <> (pages > 1) OR p.has_previous <> (p.previous_page_token <> '') THEN
                INSERT INTO walk VALUES (run, 'flags', format('%s by %s, page %s', order_by, size, pages));
            END IF;
            IF pages > 1 THEN
                -- turn: the page before, then forward again
                back := taskapi.page(source, order_by, size, p.previous_page_token, filter);
                IF ids(back.items) IS DISTINCT FROM before OR back.has_previous <> (pages > 2) OR NOT back.has_next THEN
                    INSERT INTO walk VALUES (run, 'turn back', format('%s by %s, page %s: %s, not %s', order_by, size, pages, ids(back.items), before));
                END IF;
                back := taskapi.page(source, order_by, size, back.next_page_token, filter);
                IF ids(back.items) IS DISTINCT FROM here THEN
                    INSERT INTO walk VALUES (run, 'turn forward', format('%s by %s, page %s', order_by, size, pages));
                END IF;
            END IF;
            IF filter IS NULL AND p.has_next AND run % 2 = 0 THEN
                -- a page that is empty, since everything behind the anchor is gone for a moment, leads back to the anchor and all before
                IF inclusive(order_by, p.next_page_token, seen) IS DISTINCT FROM seen THEN
                    INSERT INTO walk VALUES (run, 'empty, back', format('%s by %s, page %s: %s, not %s', order_by, size, pages, inclusive(order_by, p.next_page_token, seen), seen));
                END IF;
            END IF;
            IF filter IS NULL AND p.has_previous AND run % 2 = 1 THEN
                IF inclusive(order_by, p.previous_page_token, expected[cardinality(seen) - cardinality(here) + 1:]) IS DISTINCT FROM expected[cardinality(seen) - cardinality(here) + 1:] THEN
                    INSERT INTO walk VALUES (run, 'empty, forward', format('%s by %s, page %s', order_by, size, pages));
                END IF;
            END IF;
            before := here;
            EXIT WHEN p.next_page_token = '' OR pages > cardinality(expected) + 2;
        END LOOP;
        IF seen <> expected THEN
            INSERT INTO walk VALUES (run, 'forward', format('%s by %s: %s, not %s', order_by, size, seen, expected));
        END IF;

        -- all the way back, by another page size
        seen := here; pages := 0;
        WHILE p.previous_page_token <> '' AND pages < cardinality(expected) + 2 LOOP
            p := taskapi.page(source, order_by, size % 3 + 1, p.previous_page_token, filter);
            seen := ids(p.items) || seen;
            pages := pages + 1;
            IF p.has_previous <> (cardinality(seen) < cardinality(expected)) OR NOT p.has_next THEN
                INSERT INTO walk VALUES (run, 'flags back', format('%s by %s', order_by, size));
            END IF;
        END LOOP;
        IF seen <> expected THEN
            INSERT INTO walk VALUES (run, 'backward', format('%s by %s: %s, not %s', order_by, size, seen, expected));
        END IF;
    END LOOP;
END $$;

-- Rows come and go between the pages, the anchor too; those that stay are seen once and in order.
CREATE FUNCTION walk_while_changing(run int, order_by text, sort text, size int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    seed CONSTANT int := run;
    stay int[];
    expected int[];
    p taskapi.page_result;
    seen int[] := '{}';
    here int[];
    columns text;
    victim int;
    i int := 0;
    backward bool := random_below(seed, 2) = 1;
BEGIN
    -- odd rows stay, even ones come and go
    EXECUTE format('SELECT array_agg(id ORDER BY %s) FROM w WHERE id %% 2 = 1', sort) INTO expected;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
        FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 1 AND NOT attisdropped;
    IF backward THEN
        -- begin with the last page
        p := taskapi.page('w', order_by, (SELECT count(*)::int - 1 FROM w));
        p := taskapi.page('w', order_by, 1, p.next_page_token);
        seen := ids(p.items);
    END IF;
    LOOP
        p := taskapi.page('w', order_by, size, CASE WHEN backward THEN p.previous_page_token ELSE p.next_page_token END);
        here := ids(p.items);
        IF backward THEN seen := here || seen; ELSE seen := seen || here; END IF;
        i := i + 1;
        EXIT WHEN i > 200 OR (CASE WHEN backward THEN p.previous_page_token ELSE p.next_page_token END) = '';
        -- the anchor goes if it may, and some others
        DELETE FROM w WHERE id % 2 = 0 AND (id = here[CASE WHEN backward THEN 1 ELSE cardinality(here) END] OR random_below(seed, 4) = 0);
        -- new rows like old ones
        EXECUTE format('INSERT INTO w SELECT 2 * (1000 + %s * 10 + row_number() OVER ()), %s FROM (SELECT * FROM w WHERE id %% 2 = 1 ORDER BY md5(id || %L) LIMIT 2) x', i, columns, seed::text || i);
    END LOOP;
    seen := ARRAY(SELECT x FROM unnest(seen) WITH ORDINALITY u(x, n) WHERE x % 2 = 1 ORDER BY n);
    IF seen <> expected THEN
        INSERT INTO walk VALUES (run, CASE WHEN backward THEN 'changing, backward' ELSE 'changing' END,
                                 format('%s by %s: %s, not %s', order_by, size, seen, expected));
    END IF;
END $$;

DO $$
DECLARE
    o record;
    n int;
BEGIN
    FOR run IN 1 .. 60 LOOP
        PERFORM setval('page_walk.draw', 1);
        n := random_below(run, 14);
        SELECT * INTO o FROM make_table(run, n);
        PERFORM walk_both_ways(run, 'w', o.order_by, o.sort, ARRAY(SELECT generate_series(1, n + 1)));
        PERFORM walk_both_ways(run, 'w', o.order_by, o.sort, '{2,5}', '{"id": {"gt": 3, "neq": 5, "in": [4,5,6,7,8,9,12]}}', 'id > 3 AND id <> 5 AND id IN (4,5,6,7,8,9,12)');
    END LOOP;
    FOR run IN 101 .. 150 LOOP
        PERFORM setval('page_walk.draw', 1);
        SELECT * INTO o FROM make_table(run, 30);
        PERFORM walk_while_changing(run, o.order_by, o.sort, 1 + random_below(run, 5));
    END LOOP;
    FOR run IN 201 .. 240 LOOP
        PERFORM setval('page_walk.draw', 1);
        n := random_below(run, 14);
        SELECT * INTO o FROM make_table_with_cursor_index(run, n);
        PERFORM walk_both_ways(run, 'w', o.order_by, o.sort, ARRAY(SELECT generate_series(1, n + 1, 2)));
        PERFORM walk_both_ways(run, 'w', o.order_by, o.sort, '{2,5}', '{"id": {"gt": 3, "neq": 5, "in": [4,5,6,7,8,9,12]}}', 'id > 3 AND id <> 5 AND id IN (4,5,6,7,8,9,12)');
    END LOOP;
    FOR run IN 301 .. 320 LOOP
        PERFORM setval('page_walk.draw', 1);
        SELECT * INTO o FROM make_table_with_cursor_index(run, 30);
        PERFORM walk_while_changing(run, o.order_by, o.sort, 1 + random_below(run, 5));
    END LOOP;
END $$;
SELECT kind, count(*), min(problem) FROM walk GROUP BY kind ORDER BY kind;

-- Behind the last row there is an empty page once that row is all that was left; it leads back to the rows that are there.
CREATE TABLE w2 (id int PRIMARY KEY, n int);
INSERT INTO w2 SELECT i, nullif(i % 3, 0) FROM generate_series(1, 9) i;
SELECT next_page_token AS t FROM taskapi.page('w2', 'n DESC', 6) \gset
BEGIN;
DELETE FROM w2 WHERE n = 1;
SELECT items, next_page_token = '' AS no_next, has_next, has_previous, previous_page_token AS p FROM taskapi.page('w2', 'n DESC', 6, :'t') \gset e_
\echo :e_items :e_no_next :e_has_next :e_has_previous
SELECT ids(items), has_next, has_previous FROM taskapi.page('w2', 'n DESC', 6, :'e_p');
DELETE FROM w2;
-- and from there the same the other way round
SELECT items, previous_page_token = '' AS no_previous, has_next, has_previous, next_page_token AS n FROM taskapi.page('w2', 'n DESC', 6, :'e_p') \gset b_
\echo :b_items :b_no_previous :b_has_next :b_has_previous
INSERT INTO w2 SELECT i, nullif(i % 3, 0) FROM generate_series(1, 9) i;
SELECT ids(items), has_next, has_previous FROM taskapi.page('w2', 'n DESC', 6, :'b_n');
ROLLBACK;

DROP SCHEMA page_walk CASCADE;
