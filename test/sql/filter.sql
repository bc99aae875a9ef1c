-- Filters: every operator on every kind of type against plain SQL, and everything that is no filter.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA f;
SET search_path = f, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE x (
    id int PRIMARY KEY, n int, num numeric(6,2), t text, v varchar(4), bp char(4), b boolean, at timestamptz, d date, u uuid, e mood, p positive,
    tags text[], grid int[], r int4range, mr int4multirange, j jsonb, js json, net inet, pt point, c pair, rc regclass, "$%d" int
);
INSERT INTO x VALUES
    (1, 1, 1.50, 'one', 'a', 'a', true, '2026-01-01 00:00+00', '2026-01-01', '00000000-0000-0000-0000-000000000001', 'sad', 1, '{a,b}', '{{1,2},{3,4}}', '[1,5)', '{[1,5)}', '{"k": 1, "l": [1,2]}', '1', '10.0.0.1', '(1,1)', '(1,2)', 'pg_class', 1),
    (2, 2, -2, 'T%o_', 'ab', 'ab', false, 'infinity', 'infinity', '00000000-0000-0000-0000-000000000002', 'ok', 2, '{b,c}', '{5}', '[5,9)', '{[5,9)}', '"k"', '"k"', '10.0.0.2', '(2,2)', '(1,3)', 'pg_type', 2),
    (3, 3, 'NaN', 'back\slash', 'abc', 'abc', NULL, '2026-06-01 12:00+02', '2026-06-01', '00000000-0000-0000-0000-000000000003', 'happy', 3, '{"with \"quote\"",NULL}', NULL, 'empty', '{}', '[1, 2]', '{}', '::1', '(3,3)', NULL, 'pg_proc', 3),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 5, 1.5, '', '', '', true, '-infinity', '-infinity', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'sad', 5, '{}', '{}', '(,)', '{(,)}', '{}', 'null', '0.0.0.0/0', '(0,0)', '(,)', 'pg_index', 5);

-- A filter beside the condition that it means: rows of both, where they differ
CREATE FUNCTION same(filter jsonb, condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text;
    b text;
BEGIN
    SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), 'none') INTO a FROM taskapi.page_rows(NULL::f.x, 'id', NULL, NULL, filter);
    EXECUTE format('SELECT coalesce(string_agg(id::text, '' '' ORDER BY id), ''none'') FROM f.x WHERE %s', condition) INTO b;
    RETURN CASE WHEN a = b THEN a ELSE 'got ' || a || ', not ' || b END;
END $$;
SELECT filter, same(filter::jsonb, condition) FROM (VALUES
    ('{}', 'true'),
    ('{"n": 2}', 'n = 2'),
    ('{"n": "2"}', 'n = 2'),
    ('{"n": 2.0}', 'n = 2'),
    ('{"n": {"eq": 2}}', 'n = 2'),
    ('{"n": {"neq": 2}}', 'n <> 2'),
    ('{"n": {"gt": 1, "lte": 3}}', 'n > 1 AND n <= 3'),
    ('{"n": {"gte": 2, "lt": 3}, "b": false}', 'n >= 2 AND n < 3 AND NOT b'),
    ('{"n": {"in": [1, "5", 7]}}', 'n IN (1, 5, 7)'),
    ('{"n": {"in": []}}', 'false'),
    ('{"n": {"is": null}}', 'n IS NULL'),
    ('{"n": {"is": "not_null"}}', 'n IS NOT NULL'),
    ('{"n": {"is": "NULL"}}', 'n IS NULL'),
    ('{"b": {"is": true}}', 'b IS TRUE'),
    ('{"b": {"is": false}}', 'b IS FALSE'),
    ('{"b": {"is": "unknown"}}', 'b IS UNKNOWN'),
    ('{"b": true}', 'b'),
    ('{"b": "f"}', 'NOT b'),
    ('{"num": 1.5}', 'num = 1.5'),
    ('{"num": "NaN"}', 'num = ''NaN'''),
    ('{"num": {"gt": 1e5}}', 'num > 1e5'),
    ('{"t": "one"}', 't = ''one'''),
    ('{"t": ""}', 't = '''''),
    ('{"t": "x'' OR true --"}', 'false'),
    ('{"t": {"like": "%n%"}}', 't LIKE ''%n%'''),
    ('{"t": {"ilike": "t\\%O\\_"}}', 't ILIKE ''t\%O\_'''),
    ('{"t": {"like": "back\\\\%"}}', 't LIKE ''back\\%'''),
    ('{"v": "abc"}', 'v = ''abc'''),
    ('{"v": "abcdefgh"}', 'false'),
    ('{"v": {"like": "ab%"}}', 'v LIKE ''ab%'''),
    ('{"bp": "ab "}', 'bp = ''ab'''),
    ('{"bp": {"in": ["a", "abc  "]}}', 'bp IN (''a'', ''abc'')'),
    ('{"at": {"gte": "2026-01-01T00:00:00Z", "lt": "2027-01-01"}}', 'at >= ''2026-01-01 00:00+00'' AND at < ''2027-01-01'''),
    ('{"at": "infinity"}', 'at = ''infinity'''),
    ('{"d": {"lt": "2026-02-28"}}', 'd < ''2026-02-28'''),
    ('{"u": "00000000-0000-0000-0000-000000000002"}', 'u = ''00000000-0000-0000-0000-000000000002'''),
    ('{"e": {"gt": "sad"}}', 'e > ''sad'''),
    ('{"e": {"in": ["sad", "happy"]}}', 'e IN (''sad'', ''happy'')'),
    ('{"p": {"gte": -3}}', 'p >= -3'),
    ('{"tags": {"cs": ["b"]}}', 'tags @> ''{b}'''),
    ('{"tags": {"cs": "{b}"}}', 'tags @> ''{b}'''),
    ('{"tags": {"cs": ["with \"quote\""]}}', 'tags @> ARRAY[''with "quote"'']'),
    ('{"tags": {"cd": ["a", "b", "z"]}}', 'tags <@ ''{a,b,z}'''),
    ('{"tags": {"ov": ["c", "a"]}}', 'tags && ''{a,c}'''),
    ('{"tags": {"ov": []}}', 'false'),
    ('{"tags": {"eq": ["a", "b"]}}', 'tags = ''{a,b}'''),
    ('{"tags": {"eq": ["with \"quote\"", null]}}', 'tags = ARRAY[''with "quote"'', NULL]'),
    ('{"grid": {"eq": [[1, 2], [3, 4]]}}', 'grid = ''{{1,2},{3,4}}'''),
    ('{"grid": {"gt": "{1}"}}', 'grid > ''{1}'''),
    ('{"r": {"cs": "[2,3)"}}', 'r @> ''[2,3)''::int4range'),
    ('{"r": {"cd": "[0,9)"}}', 'r <@ ''[0,9)'''),
    ('{"r": {"ov": "[4,6)"}}', 'r && ''[4,6)'''),
    ('{"mr": {"ov": "{[4,6)}"}}', 'mr && ''{[4,6)}'''),
    ('{"j": {"cs": {"l": [2]}}}', 'j @> ''{"l": [2]}'''),
    ('{"j": {"cs": [1]}}', 'j @> ''[1]'''),
    ('{"j": {"cd": ["x", 1, 2]}}', 'j <@ ''["x", 1, 2]'''),
    ('{"j": "k"}', 'j = ''"k"'''),
    ('{"j": {"eq": {}}}', 'j = ''{}'''),
    ('{"j": {"in": [{}, "k"]}}', 'j IN (''{}'', ''"k"'')'),
    ('{"net": {"gt": "10.0.0.1"}}', 'net > ''10.0.0.1'''),
    ('{"c": {"gte": "(1,3)"}}', 'c >= ''(1,3)''::f.pair'),
    ('{"rc": "pg_type"}', 'rc = ''pg_type''::regclass'),
    ('{"$%d": {"gt": 1}, "n": {"lt": 4}}', '"$%d" > 1 AND n < 4'),
    ('{"id": {"gt": 1, "lt": 5, "neq": 3, "in": [2, 3, 4], "gte": 2, "lte": 9, "is": "not_null"}}', 'id IN (2, 4)')
) AS cases (filter, condition);

-- And what is none
CREATE FUNCTION problem(filter jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    details text;
BEGIN
    PERFORM taskapi.page('f.x', 'id', NULL, NULL, filter);
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS details = PG_EXCEPTION_DETAIL;
    RETURN coalesce(CASE WHEN details LIKE '{"code": "invalid_filter"%' THEN SQLSTATE || ' ' || (details::json ->> 'details') END, SQLSTATE || ' ' || SQLERRM || ' !');
END $$;
SELECT filter, problem(filter::jsonb) FROM unnest('{
    "1", "[]", "null", "\"n\"",
    "{\"n\": [1]}", "{\"n\": null}", "{\"n\": {\"eq\": null}}", "{\"n\": {}}", "{\"n\": {\"in\": 1}}", "{\"n\": {\"in\": null}}", "{\"n\": {\"in\": [null]}}", "{\"n\": {\"in\": [[1]]}}",
    "{\"n\": {\"EQ\": 1}}", "{\"n\": {\"match\": 1}}", "{\"n\": {\"eq\": {}}}", "{\"n\": {\"eq\": [1]}}", "{\"n\": {\"is\": 1}}", "{\"n\": {\"is\": \"set\"}}", "{\"n\": {\"is\": true}}", "{\"n\": {\"is\": [null]}}",
    "{\"m\": 1}", "{\"N\": 1}", "{\"ctid\": \"(0,1)\"}", "{\"\": 1}",
    "{\"n\": \"one\"}", "{\"n\": 1.5}", "{\"n\": 99999999999}", "{\"n\": true}", "{\"n\": \"\"}",
    "{\"b\": 2}", "{\"at\": \"yesterday or so\"}", "{\"d\": \"2026-02-30\"}", "{\"u\": \"1\"}", "{\"e\": \"angry\"}", "{\"e\": {\"in\": [\"ok\", \"angry\"]}}", "{\"tags\": {\"cs\": [[\"a\"], \"b\"]}}", "{\"tags\": {\"cs\": \"{\"}}", "{\"tags\": {\"cs\": 1}}", "{\"r\": {\"cs\": \"[5,1)\"}}", "{\"rc\": \"no_such_relation\"}", "{\"c\": {\"gte\": \"(1\"}}",
    "{\"n\": {\"like\": \"1\"}}", "{\"t\": {\"like\": 1}}", "{\"t\": {\"like\": \"x\\\\\"}}", "{\"t\": {\"ilike\": null}}", "{\"n\": {\"cs\": 1}}", "{\"t\": {\"ov\": \"1\"}}", "{\"j\": {\"ov\": []}}",
    "{\"pt\": \"(1,1)\"}", "{\"pt\": {\"gt\": \"(1,1)\"}}", "{\"js\": {}}", "{\"js\": {\"eq\": 1}}", "{\"grid\": {\"in\": [[1]]}}"}'::text[]) filter;
SELECT problem(jsonb_build_object('t', jsonb_build_object('eq', repeat('x', 100000)))) AS long_value,
       problem(jsonb_build_object(repeat('x', 1000), 1)) LIKE '22023%' AS long_name,
       problem(jsonb_build_object('n', jsonb_build_object('in', (SELECT jsonb_agg(i) FROM generate_series(1, 10000) i)))) AS many_values;
-- a number of 8 bytes is not written out with 131072 digits, wherever it is, and a message is not as long as what it quotes
SELECT filter, problem(filter::jsonb) FROM unnest('{
    "{\"n\": 1e131071}", "{\"t\": {\"gt\": -1e131071}}", "{\"t\": {\"in\": [1, 1e131071]}}", "{\"num\": 1e-16383}", "{\"tags\": {\"cs\": [[1e1000]]}}", "{\"j\": {\"cs\": {\"k\": [{\"l\": 1e1000}]}}}", "{\"m\": 1e1000}",
    "{\"t\": 1e999}", "{\"t\": 12345e996}", "{\"t\": 12345e995}", "{\"t\": -1e-999}", "{\"t\": 1e-1000}", "{\"t\": 12.5e-998}", "{\"j\": {\"cs\": 9e999}}"}'::text[]) filter;
SELECT o, length(problem(jsonb_build_object('n', jsonb_build_object(o, v)))) < 300 AS short FROM (VALUES
    ('gt', to_jsonb(repeat('9', 100000))), ('in', jsonb_build_array(1, repeat('9', 100000))), ('eq', to_jsonb(repeat('é', 100000))), ('lt', to_jsonb(1e999))) x (o, v);
-- a refused value leaves nothing behind, inside a read-only transaction and a function's block too
BEGIN READ ONLY;
SELECT problem('{"e": "angry"}');
SELECT same('{"e": "sad"}', 'e = ''sad''');
COMMIT;
RESET search_path;
DROP SCHEMA f CASCADE;
