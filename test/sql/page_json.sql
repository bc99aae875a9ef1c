-- The items of page() are, to the byte, what row_to_json() writes of the same rows: any type, any name, NaN, infinity, domains,
-- types with a cast to json, arrays and rows in columns, columns that were dropped.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_json;
SET search_path = regress_json, public;

-- How its page differs from row_to_json(), if it does
CREATE FUNCTION differs(source regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ours    text := (SELECT items FROM taskapi.page(source, 'id', 1000));
    servers text;
BEGIN
    EXECUTE format('SELECT ''['' || coalesce(string_agg(row_to_json(t)::text, '','' ORDER BY id), '''') || '']'' FROM %s t', source) INTO servers;
    RETURN CASE WHEN ours IS DISTINCT FROM servers THEN ours || ' is not ' || servers END;
END
$$;

-- Every type of the server that a table may have, filled with what its input function takes of these.
CREATE TABLE sample (value text);
INSERT INTO sample VALUES
    ('0'), ('1'), ('-1'), ('1.50'), ('NaN'), ('Infinity'), ('-Infinity'), ('1e300'), ('t'), ('false'), (''), ('a"b\c/'), (E'tab\tnew\nline'),
    (E'\u0001\u007f\u00e9'), ('null'), ('{"a": [1, {"b":null}]}'), ('[1,2]'), ('{1,2,NULL}'), ('{{1,2},{3,4}}'), ('[0:1]={1,2}'), ('{}'), ('{"a","b c"}'),
    ('2024-02-29'), ('2024-02-29 12:34:56.789+02'), ('0044-03-15 BC'), ('infinity'), ('-infinity'), ('12:34:56'), ('12:34:56+05'), ('1 day 02:03'),
    ('[1,5)'), ('empty'), ('[2024-01-01,2024-02-01)'), ('{[1,3),[5,7)}'), ('(1,2)'), ('((1,2),3)'), ('((0,0),(1,1))'), ('{1,2,3}'), ('<(1,2),3>'),
    ('192.168.0.1'), ('192.168.0.0/24'), ('08:00:2b:01:02:03'), ('08:00:2b:01:02:03:04:05'), ('101'), ('\xdeadbeef'),
    ('017f22e2-79b0-7cc3-98c4-dc0c0c07398f'), ('<a>1</a>'), ('pg_class'), ('int4'), ('16/B374D848'), ('10:20:10,14,15'), ('fat & rat'), ('a:1 b:2');
DO $$
DECLARE
    t       record;
    s       record;
    n       int;
    types   int := 0;
    filled  int := 0;
    told    text;
BEGIN
    FOR t IN SELECT p.oid::regtype AS name, p.typname FROM pg_type p
             WHERE p.typnamespace = 'pg_catalog'::regnamespace AND p.typtype IN ('b', 'r', 'm') AND p.typisdefined
                   AND p.typname NOT IN ('aclitem', '_aclitem')
             ORDER BY p.oid
    LOOP
        BEGIN
            EXECUTE format('CREATE TABLE of_type (id int PRIMARY KEY, v %s)', t.name);
        EXCEPTION WHEN OTHERS THEN CONTINUE;
        END;
        types := types + 1;
        EXECUTE 'INSERT INTO of_type VALUES (0, NULL)';
        n := 0;
        FOR s IN SELECT value FROM sample LOOP
            BEGIN
                n := n + 1;
                EXECUTE format('INSERT INTO of_type VALUES (%s, %L)', n, s.value);
                filled := filled + 1;
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END LOOP;
        told := differs('of_type');
        IF told IS NOT NULL THEN
            RAISE WARNING '%: %', t.name, told;
        END IF;
        DROP TABLE of_type;
    END LOOP;
    RAISE WARNING 'enough was compared: %', types > 100 AND filled > 1000;
END
$$;

-- What is made of types, and names.
CREATE DOMAIN dom_number AS numeric CHECK (VALUE <> 7);
CREATE DOMAIN dom_domain AS dom_number NOT NULL;
CREATE DOMAIN dom_json AS jsonb;
CREATE DOMAIN dom_time AS timestamptz;
CREATE DOMAIN dom_list AS int[];
CREATE TYPE pair AS (x int, "y z" text, at timestamptz);
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE DOMAIN dom_pair AS pair;
CREATE TABLE made (
    id int PRIMARY KEY, gone int, "quote""d \ name" text, "é" text, number dom_domain DEFAULT 1.50, document dom_json, at dom_time, list dom_list,
    one pair, many pair[], held dom_pair, feeling mood, feelings mood[], row_of sample, wide text
);
INSERT INTO made VALUES
    (1, 1, 'a', 'b', 'NaN', '{"b": 1, "a": null}', '2024-02-29 12:00+00', '[0:1]={1,2}', ROW (1, 'z', '2024-01-01 00:00+00'),
     ARRAY[ROW (1, NULL, NULL)::pair, NULL], ROW (NULL, 'q"', NULL), 'it''s "ok"', '{sad,NULL}', ROW ('v'), repeat('wide ', 100000)),
    (2, 2, NULL, NULL, 2, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL);
ALTER TABLE made DROP COLUMN gone;
ALTER TABLE made ADD COLUMN late int DEFAULT 5;
SELECT differs('made') IS NULL AS made;
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = 0;
SELECT differs('made') IS NULL AS under_other_settings;
RESET ALL;
SET search_path = regress_json, public;
SET client_min_messages = warning;

-- A type of one's own, before and after it has a cast to json.
CREATE TABLE casts (id int PRIMARY KEY, feeling mood, moods mood[]);
INSERT INTO casts VALUES (1, 'sad', '{sad}'), (2, NULL, NULL);
SELECT items FROM taskapi.page('casts');
CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('mood', $1::text) $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood);
SELECT items FROM taskapi.page('casts');
SELECT differs('casts') IS NULL AS with_a_cast;
-- Among other columns, over many rows, of a domain, and in a language that keeps its state from call to call.
CREATE DOMAIN dom_mood AS mood;
CREATE TABLE many_casts (id int PRIMARY KEY, gone int, feeling mood, n numeric, domain_ dom_mood, moods mood[], place taskapi.cursor);
INSERT INTO many_casts SELECT i, 1, CASE WHEN i % 3 > 0 THEN 'sad'::mood END, i / 7.0, 'sad', '{sad}', taskapi.cursor('id', i) FROM generate_series(1, 200) i;
ALTER TABLE many_casts DROP COLUMN gone;
SELECT differs('many_casts') IS NULL AS many_with_casts;
SELECT items::jsonb = (SELECT jsonb_agg(jsonb_build_object('place', place, 'feeling', feeling, 'id', id) ORDER BY id) FROM many_casts) AS some_columns
FROM taskapi.page('many_casts', 'id', 1000, columns => '{place,feeling,id}');
CREATE OR REPLACE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
        RETURN CASE WHEN $1 IS NOT NULL THEN to_json(ARRAY[$1::text]) END;
    END $$;
SELECT differs('many_casts') IS NULL AS in_another_language;
CREATE OR REPLACE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT NULL::json $$;
\set VERBOSITY sqlstate
SELECT items FROM taskapi.page('casts');
SELECT row_to_json(c) FROM casts c;
\set VERBOSITY terse
DROP CAST (mood AS json);
SELECT items FROM taskapi.page('casts');

-- No row, and no column but the key.
CREATE TABLE nothing (id int PRIMARY KEY);
SELECT items FROM taskapi.page('nothing');
INSERT INTO nothing VALUES (1);
SELECT items FROM taskapi.page('nothing');
CREATE VIEW computed AS SELECT i AS id, i::oid AS o, i::text::name AS n, s FROM generate_series(1, 2) i, sample s WHERE s.value = 'a"b\c/';
SELECT differs('computed') IS NULL AS a_view;
DROP SCHEMA regress_json CASCADE;
