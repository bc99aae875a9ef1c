-- Cursors: page order for every type, exact values, tokens, walks.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT setseed(0.25) AS seeded \gset

-- ORDER BY cursor must be ORDER BY key, in all four orders, with ties where the type's own order has them; the value must
-- come back exactly; cursors that are equal must hash alike
CREATE FUNCTION pg_temp.wrong(type text, texts text[], "collation" text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    direction text;
    wrong text[] := '{}';
    n int;
BEGIN
    FOREACH direction IN ARRAY '{ASC NULLS LAST,ASC NULLS FIRST,DESC NULLS FIRST,DESC NULLS LAST}'::text[] LOOP
        EXECUTE format($q$
            WITH source AS (SELECT (t::%1$s) %3$s AS k FROM unnest($1) t),
                 keyed AS (SELECT k, taskapi.cursor('k %2$s', k) AS c, dense_rank() OVER (ORDER BY k %2$s) AS by_key FROM source),
                 ranked AS (SELECT *, dense_rank() OVER (ORDER BY c) AS by_cursor FROM keyed)
            SELECT count(*) FROM ranked WHERE by_key <> by_cursor
                OR taskapi.cursor_value(c, 1, NULL::%1$s)::text IS DISTINCT FROM k::text
                OR taskapi.cursor_value(c::text::taskapi.cursor, 1, NULL::%1$s)::text IS DISTINCT FROM k::text
                OR c <> c::text::taskapi.cursor $q$, type, direction, "collation") INTO n USING texts;
        IF n > 0 THEN wrong := wrong || format('%s: %s', direction, n); END IF;
        EXECUTE format($q$
            WITH c AS (SELECT taskapi.cursor('k %2$s', (t::%1$s) %3$s) AS c FROM unnest($1) t)
            SELECT count(*) FROM c a, c b
            WHERE (a.c = b.c) IS DISTINCT FROM (NOT a.c <> b.c) OR (a.c < b.c) IS DISTINCT FROM (b.c > a.c) OR (a.c <= b.c) IS DISTINCT FROM (NOT b.c < a.c)
               OR (a.c >= b.c) IS DISTINCT FROM (NOT a.c < b.c) OR taskapi.cursor_cmp(a.c, b.c) <> -taskapi.cursor_cmp(b.c, a.c)
               OR a.c = b.c AND (taskapi.cursor_hash(a.c) <> taskapi.cursor_hash(b.c) OR taskapi.cursor_hash_extended(a.c, 7) <> taskapi.cursor_hash_extended(b.c, 7)) $q$,
            type, direction, "collation") INTO n USING texts;
        IF n > 0 THEN wrong := wrong || format('%s: operators disagree %s times', direction, n); END IF;
    END LOOP;
    RETURN CASE WHEN wrong = '{}' THEN 'right' ELSE array_to_string(wrong, ', ') END;
END
$$;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE mood ADD VALUE 'so so' BEFORE 'ok';
CREATE DOMAIN percent AS numeric CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (a int, b text);
SELECT type, pg_temp.wrong(type, texts) FROM (VALUES
    ('bool', '{t,f,NULL}'::text[]),
    ('smallint', '{0,1,-1,255,256,-255,-256,-257,32767,-32768,NULL}'),
    ('int', '{0,1,-1,255,256,65535,65536,16777215,16777216,-256,-65536,-65537,2147483647,-2147483648,NULL,7,7}'),
    ('bigint', '{0,1,-1,127,128,255,256,4294967295,4294967296,-4294967296,-4294967297,9223372036854775807,-9223372036854775808,-9223372036854775807,1099511627776,NULL}'),
    ('oid', '{0,1,2147483647,2147483648,4294967295,NULL}'),
    ('real', '{0,-0,1,-1,1.5,1e-40,-1e-40,3e38,-3e38,Infinity,-Infinity,NaN,NULL,NaN,0.1}'),
    ('double precision', '{0,-0,1,-1,0.1,0.2,0.30000000000000004,5e-324,-5e-324,1.7976931348623157e308,-1.7976931348623157e308,Infinity,-Infinity,NaN,NULL}'),
    ('numeric', '{0,0.0,0.000,1,1.0,1.10,1.1,-1.1,-1.10,10,100,9999,10000,10001,99999999,100000000,0.0001,0.00001,0.00010,12345.678900,-12345.6789,1e100,1e401,-1e401,1e-401,-1e-401,1.5e-900,NaN,Infinity,-Infinity,NULL,5000.0005,5000,50000000}'),
    ('money', '{0,1.10,-1.10,92233720368547758.07,NULL}'),
    ('date', '{2026-01-01,1999-12-31,2000-01-01,0001-01-01,4713-01-01 BC,5874897-12-31,infinity,-infinity,NULL}'),
    ('time', '{00:00,23:59:59.999999,24:00,12:00:00.000001,NULL}'),
    ('timetz', '{00:00+00,12:00+02,10:00+00,12:00-15:59,12:00+15:59,NULL,23:59:59.999999-01}'),
    ('timestamp', '{2026-01-01,2026-01-01 00:00:00.000001,1999-12-31 23:59:59.999999,4713-01-01 BC,294276-12-31,infinity,-infinity,NULL}'),
    ('timestamptz', '{2026-01-01,2026-01-01 00:00:00.000001,2026-01-01 01:00+01,1970-01-01,infinity,-infinity,NULL}'),
    ('interval', '{0,1 month,30 days,29 days 24:00,-1 month,1 mon -30 days,1 day,24:00,-00:00:00.000001,178000000 years,-178000000 years,1 year 00:00:00.5,NULL}'),
    ('uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff,80000000-0000-0000-0000-000000000000,7fffffff-ffff-ffff-ffff-ffffffffffff,NULL}'),
    ('bytea', '{"","\\x00","\\x0000","\\x00ff","\\x0001","\\x01","\\xff","\\xff00","\\xffff","\\xfe",NULL}'),
    ('text', '{"",a,aa,ab,b,A,Z,é,日本,"a ","a\u0001",NULL,a}'),
    ('varchar(20)', '{"",a,aa,B,NULL}'),
    ('char(5)', '{"",a,"a ","a  ",ab,B,NULL}'),
    ('name', '{"",a,aa,B,NULL}'),
    ('"char"', '{a,b,"",é,NULL}'),
    ('macaddr', '{08:00:2b:01:02:03,ff:ff:ff:ff:ff:ff,00:00:00:00:00:00,NULL}'),
    ('macaddr8', '{08:00:2b:01:02:03:04:05,ff:ff:ff:ff:ff:ff:ff:ff,NULL}'),
    ('pg_lsn', '{0/0,0/1,FFFFFFFF/FFFFFFFF,7FFFFFFF/FFFFFFFF,80000000/0,NULL}'),
    ('xid8', '{0,1,18446744073709551615,9223372036854775808,NULL}'),
    ('mood', '{sad,so so,ok,happy,NULL,ok}'),
    ('percent', '{0,100,1.10,1.1,NULL}'),
    ('inet', '{10.0.0.1,10.0.0.1/8,::1,10.0.0.0/8,255.255.255.255,NULL}'),
    ('bit(3)', '{000,001,111,NULL}'),
    ('varbit', '{"",0,00,1,NULL}'),
    ('cidr', '{10.0.0.0/8,10.0.0.0/9,::/0,NULL}'),
    ('tid', '{"(0,1)","(0,2)","(1,1)",NULL}'),
    ('regclass', '{pg_class,pg_type,NULL}'),
    ('regtype', '{int,text,NULL}')) v (type, texts);
-- others are refused while planning, with rows and without: their comparison is not leakproof, or they have none
CREATE FUNCTION pg_temp.refused(type text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('EXPLAIN SELECT taskapi.cursor(''k'', k) FROM (SELECT random()::text::%1$s AS k WHERE false OFFSET 0) s', type);
    RETURN 'not refused';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLERRM::text || (CASE WHEN SQLERRM = 'order_by is not valid' THEN '' ELSE ' ?' END);
END
$$;
SELECT pg_temp.refused(type), count(*), string_agg(type, ', ' ORDER BY type COLLATE "C") FROM unnest(
    '{int[],text[],mood[],jsonb,int4range,int4multirange,tsvector,tsquery,pair,taskapi.cursor,json,xml,point,oidvector,int2vector,xid,cid}'::text[]) type GROUP BY 1;
-- a linguistic collation, and a nondeterministic one
CREATE COLLATION regress_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT pg_temp.wrong('text', '{"",a,A,b,B,é,e,f,Z,"a b",ab,NULL}', 'COLLATE "en-x-icu"'),
       pg_temp.wrong('text', '{"",a,A,b,B,é,e,f,Z,NULL}', 'COLLATE regress_ci'),
       pg_temp.wrong('varchar', '{"",a,A,b,NULL}', 'COLLATE "en-x-icu"'),
       pg_temp.wrong('char(3)', '{"",a,A,"b ",b,NULL}', 'COLLATE "en-x-icu"');
SELECT taskapi.cursor('t', 'a' COLLATE regress_ci) = taskapi.cursor('t', 'A' COLLATE regress_ci) AS ci_equal, taskapi.cursor('t', 'a') = taskapi.cursor('t', 'A') AS c_equal;
SELECT taskapi.cursor('t', 'a' COLLATE regress_ci) = taskapi.cursor('t', 'A');

-- random keys of every encoding
SELECT type, pg_temp.wrong(type, (SELECT array_agg(CASE WHEN random() < 0.05 THEN NULL ELSE value END) FROM
    (SELECT CASE type
        WHEN 'bigint' THEN ((random() - 0.5) * power(2, random() * 63))::bigint::text
        WHEN 'numeric' THEN ((random() - 0.5) * power(10, (random() * 30 - 15)))::numeric(40, 15)::text
        WHEN 'double precision' THEN ((random() - 0.5) * power(10, random() * 600 - 300))::text
        WHEN 'timestamp' THEN ('2000-01-01'::timestamp + (random() - 0.5) * 1e6 * interval '1 hour')::text
        WHEN 'interval' THEN make_interval(months => (random() * 4)::int, days => (random() * 90)::int, secs => (random() * 100000)::int)::text
        WHEN 'bytea' THEN '\x' || substr(md5(random()::text), 1, 2 * (random() * 5)::int)
        WHEN 'text' THEN translate(substr(md5(random()::text), 1, (random() * 5)::int), 'abcdef', 'aaAABé')
        WHEN 'uuid' THEN md5(random()::text)
        END AS value FROM generate_series(1, 120)) s))
FROM unnest('{bigint,numeric,double precision,timestamp,interval,bytea,text,uuid}'::text[]) type;

-- integers of all widths compare, and so do floats; other types of the same order_by do not, and an untyped NULL is one of the other side's type
SELECT taskapi.cursor('a', 5::smallint) < taskapi.cursor('a', 6::bigint) AS int, taskapi.cursor('a', 0.5::real) = taskapi.cursor('a', 0.5::double precision) AS float,
       taskapi.cursor('a', NULL) > taskapi.cursor('a', 6::bigint) AS null_last, taskapi.cursor('a DESC', NULL) < taskapi.cursor('a DESC', 'x') AS null_first, taskapi.cursor('a', NULL) = taskapi.cursor('a', NULL::uuid) AS nulls;
SELECT taskapi.cursor('a', 1) = taskapi.cursor('a', 1.0);
-- page order
SELECT taskapi.cursor('a DESC, b', 1, 1) > taskapi.cursor('a DESC, b', 2, 1) AS after, taskapi.cursor('a DESC, b', 1, 1) > taskapi.cursor('a DESC, b', 1, 2) AS not_after;
-- one order_by, however it is spelled; another one is a mismatch whatever the values, where both are constants
SELECT taskapi.cursor('a DESC, "b"', 1, 1) = taskapi.cursor(' A.desc.nullsfirst , b asc nulls last', 1, 1) AS same;
SELECT taskapi.cursor('a', 1) < taskapi.cursor('b', 2);
SELECT taskapi.cursor('a', 1) = taskapi.cursor('a', 1) OR taskapi.cursor('a', 1) = taskapi.cursor('a DESC', 1) AS not_evaluated;
SELECT taskapi.cursor('a', 1) = taskapi.cursor('a DESC', 1);
SELECT taskapi.cursor('a', 1) = taskapi.cursor('a NULLS FIRST', 1);
SELECT taskapi.cursor('a', 1) = taskapi.cursor('a, b', 1, 1);
-- rows of two orders sort, one order after the other
SELECT count(*) FROM (SELECT taskapi.cursor(o, 1) AS c FROM (VALUES ('a'), ('b')) v (o) ORDER BY c) s;
-- what comes out of a row and makes no cursor is NULL; a constant that makes none is refused
SELECT n, taskapi.cursor(o, n) IS NULL AS null FROM (VALUES (1, '('), (2, NULL), (3, ''), (4, 'a, b'), (5, 'a desc desc'), (6, 'a')) v (n, o) ORDER BY n;
SELECT taskapi.cursor('k', b) IS NULL AS too_large FROM (SELECT convert_to(repeat('x', 17000000), 'SQL_ASCII') AS b OFFSET 0) s;
SELECT taskapi.cursor('(', 1);
SELECT taskapi.cursor(NULL, 1);
SELECT taskapi.cursor('a', n, n) FROM generate_series(1, 0) n;
SELECT taskapi.cursor('a desc desc', n) FROM generate_series(1, 0) n;
CREATE TABLE typo (a int);
CREATE INDEX ON typo (taskapi.cursor('a, b', a));
CREATE INDEX ON typo (taskapi.cursor('a', a::text::json));
DROP TABLE typo;
-- what the planner puts in raises for nothing
SELECT taskapi.cursor_key(c, 'a', 1, NULL::int) AS key, taskapi.cursor_key(c, 'b', 1, NULL::int) IS NULL AS other_order, taskapi.cursor_key(c, '(', 1, NULL::int) IS NULL AS none,
       taskapi.cursor_key(c, 'a', 2, NULL::int) IS NULL AS no_position, taskapi.cursor_key(c, 'a', 1, NULL::text) IS NULL AS other_type,
       taskapi.cursor_key(c, 'a', 1, NULL::smallint) IS NULL AS does_not_fit, taskapi.cursor_key(c, 'a', 1, NULL::percent) IS NULL AS domain
FROM (SELECT taskapi.cursor('a', n) AS c FROM generate_series(70000, 70000) n OFFSET 0) s;
-- and what it checks with
SELECT taskapi.cursor_check(taskapi.cursor('a', 1), 'a', true, NULL::bigint) AS same, taskapi.cursor_check(NULL::taskapi.cursor, 'a', true, NULL::bigint) AS null;
SELECT taskapi.cursor_check(taskapi.cursor('a', 1), 'b', true, NULL::bigint);
SELECT taskapi.cursor_check(taskapi.cursor('a', 1), 'a', true, NULL::text);
SELECT taskapi.cursor_check(taskapi.cursor('a', 70000), 'a', true, NULL::smallint);
SELECT taskapi.cursor_check(taskapi.cursor('a', NULL::int), 'a', false, NULL::int) AS may_be_null;
SELECT taskapi.cursor_check(taskapi.cursor('a', NULL::int), 'a', true, NULL::int);
SELECT taskapi.cursor_check(ARRAY[taskapi.cursor('a', 1), NULL, taskapi.cursor('b', 1)], 'a', false, NULL::int);
SELECT taskapi.cursor_check(taskapi.cursor('a', 1), '(', false, NULL::int);
-- a NULL cursor is NULL
SELECT taskapi.cursor('a', 1) < NULL AS unknown, NULL::taskapi.cursor IS NULL AS null;
-- keys that have no order, or no type
SELECT taskapi.cursor('a', '{}'::json);
SELECT taskapi.cursor('a', point(1, 2));
SELECT taskapi.cursor('a', row(1, 2));
SELECT taskapi.cursor('a', VARIADIC ARRAY[1]);

-- values
SELECT taskapi.cursor_value(c, 1, NULL::timestamptz), taskapi.cursor_value(c, 2, NULL::bigint), taskapi.cursor_value(c, 2, NULL::int) AS int, taskapi.cursor_value(c, 3, 'x'::text) AS text,
       taskapi.cursor_value(c, 4, NULL::percent) AS percent
FROM (SELECT taskapi.cursor('at DESC, id, t, p', '2026-01-01 00:00:00.000001'::timestamptz, 7::bigint, NULL::text, 12.50) AS c) s;
SELECT taskapi.cursor_value(taskapi.cursor('a', 3000000000), 1, NULL::int);
SELECT taskapi.cursor_value(taskapi.cursor('a', 1), 1, NULL::text);
SELECT taskapi.cursor_value(taskapi.cursor('a', 1), 2, NULL::int);
SELECT taskapi.cursor_value(taskapi.cursor('a', 1), 0, NULL::int);
SELECT taskapi.cursor_value(taskapi.cursor('a', 200.0), 1, NULL::percent);
SELECT taskapi.cursor_value(NULL, 1, NULL::int) IS NULL AS null;

-- tokens
SELECT length(taskapi.cursor_encode('created_at DESC, id DESC', now(), '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)) <= 96 AS short,
       length(taskapi.cursor_encode(repeat('x', 63) || ', ' || repeat('y', 63), now(), '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)) <= 96 AS short_for_long_names,
       taskapi.cursor_encode('a', 1) ~ '^[A-Za-z0-9_-]+$' AS url_safe;
SELECT * FROM taskapi.cursor_decode(taskapi.cursor_encode('at DESC NULLS LAST, "Odd, name", price NULLS FIRST, m', '2026-01-01 00:00:00.000001+00'::timestamptz, 'x', NULL::numeric, 'ok'::mood));
-- a token with a digest of its names belongs to the same order_by, and to no other
SELECT taskapi.cursor(o, '2026-01-01'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)::text::taskapi.cursor = taskapi.cursor(o, '2026-01-01'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid) AS same
FROM (VALUES ('a_rather_long_name DESC, another_rather_long_name')) v (o);
SELECT taskapi.cursor_check(taskapi.cursor('a_rather_long_name, another_rather_long_name', '2026-01-01'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)::text::taskapi.cursor,
     'a_rather_long_name, another_rather_long_nama', true, NULL::timestamptz, NULL::uuid);
SELECT taskapi.cursor_check(taskapi.cursor('a_rather_long_name, another_rather_long_name', '2026-01-01'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)::text::taskapi.cursor,
     'a_rather_long_name DESC, another_rather_long_name', true, NULL::timestamptz, NULL::uuid);
-- binary output is the same token
SELECT encode(taskapi.cursor_send(c), 'escape')::taskapi.cursor = c AS same FROM (SELECT taskapi.cursor('a', 1) AS c) s;
-- text travels in the server's encoding, whatever the client's
SELECT taskapi.cursor_encode('t, m', 'é', 'é' COLLATE "en-x-icu") AS utf8 \gset
SET client_encoding = 'LATIN1';
SELECT taskapi.cursor_value(:'utf8'::taskapi.cursor, 1, NULL::text) = chr(233) AS text, taskapi.cursor_value(:'utf8'::taskapi.cursor, 2, NULL::text) = chr(233) AS sent;
SELECT taskapi.cursor_encode('t, m', chr(233), chr(233) COLLATE "en-x-icu") AS latin1 \gset
RESET client_encoding;
SELECT :'latin1'::taskapi.cursor = :'utf8'::taskapi.cursor AS same;

-- every walk over a mixed and nullable order visits every row once, in order: any page size, both ways, turning round
CREATE TABLE walk (id int PRIMARY KEY, a int, b numeric, c text COLLATE "en-x-icu");
INSERT INTO walk SELECT i, CASE WHEN i % 4 > 0 THEN i % 3 END, CASE WHEN i % 5 > 0 THEN (ARRAY[1.0, 1.00, 2, 'NaN', '-Infinity'])[i % 5]::numeric END, CASE WHEN i % 7 > 0 THEN (ARRAY['a', 'B', 'A', 'b', 'é', 'e'])[i % 7] END
    FROM generate_series(1, 40) i;
CREATE FUNCTION pg_temp.walk(a text, b text, c text, id text, size int, forwards boolean) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    token text;
    page int[];
    seen int[] := '{}';
    expr text := format('taskapi.cursor(%L, a, b, c, id)', 'a ' || a || ', b ' || b || ', c ' || c || ', id ' || id);
BEGIN
    LOOP
        EXECUTE format('SELECT array_agg(id ORDER BY n), (array_agg(t ORDER BY n DESC))[1]
                        FROM (SELECT id, %1$s::text AS t, row_number() OVER (ORDER BY %1$s %3$s) AS n FROM walk
                              WHERE $1 IS NULL OR %1$s %2$s $1::taskapi.cursor ORDER BY n LIMIT $2) s',
                       expr, CASE WHEN forwards THEN '>' ELSE '<' END, CASE WHEN forwards THEN 'ASC' ELSE 'DESC' END)
            INTO page, token USING token, size;
        EXIT WHEN page IS NULL;
        seen := seen || page;
    END LOOP;
    RETURN seen;
END
$$;
DO $$
DECLARE
    d text[] := '{ASC NULLS LAST,ASC NULLS FIRST,DESC NULLS FIRST,DESC NULLS LAST}';
    pick text[];
    expected int[];
BEGIN
    FOR round IN 1..25 LOOP
        pick := ARRAY[d[1 + floor(random() * 4)], d[1 + floor(random() * 4)], d[1 + floor(random() * 4)], d[1 + floor(random() * 4)]];
        EXECUTE format('SELECT array_agg(id ORDER BY a %s, b %s, c %s, id %s) FROM walk', VARIADIC pick) INTO expected;
        FOR size IN 1..4 LOOP
            IF pg_temp.walk(pick[1], pick[2], pick[3], pick[4], 1 + (size * size * 3) % 41, true) <> expected THEN
                RAISE EXCEPTION 'forwards, size %, order %', 1 + (size * size * 3) % 41, pick;
            END IF;
            IF pg_temp.walk(pick[1], pick[2], pick[3], pick[4], 1 + (size * size * 3) % 41, false)
               <> (SELECT array_agg(e ORDER BY n DESC) FROM unnest(expected) WITH ORDINALITY u (e, n)) THEN
                RAISE EXCEPTION 'backwards, size %, order %', 1 + (size * size * 3) % 41, pick;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- the rewritten comparison, the operator alone and plain SQL agree, for every anchor
CREATE TABLE uniform (a int NOT NULL, f double precision NOT NULL, t text NOT NULL, n numeric NOT NULL);
INSERT INTO uniform SELECT (random() * 4)::int, (ARRAY[0, '-0', 'NaN', 'Infinity', '-Infinity', 1.5])[1 + floor(random() * 6)], (ARRAY['a', 'B', 'é', ''])[1 + floor(random() * 4)], (ARRAY[1.0, 1.00, 2, 'NaN'])[1 + floor(random() * 4)]
    FROM generate_series(1, 60);
DO $$
DECLARE
    anchor uniform;
    op text;
    direction text;
    rewritten int;
    opaque int;
    plain int;
BEGIN
    FOR anchor IN SELECT * FROM uniform LOOP
        FOREACH op IN ARRAY '{<,<=,=,>=,>}'::text[] LOOP
            FOREACH direction IN ARRAY '{ASC,DESC}'::text[] LOOP
                EXECUTE format('SELECT count(*) FROM uniform WHERE taskapi.cursor(%1$L, a, f, t, n) %2$s taskapi.cursor(%1$L, $1, $2, $3, $4)',
                               format('a %1$s, f %1$s, t %1$s, n %1$s', direction), op) INTO rewritten USING anchor.a, anchor.f, anchor.t, anchor.n;
                EXECUTE format('SELECT count(*) FROM (SELECT taskapi.cursor(%1$L, a, f, t, n) AS c FROM uniform OFFSET 0) s WHERE c %2$s taskapi.cursor(%1$L, $1, $2, $3, $4)',
                               format('a %1$s, f %1$s, t %1$s, n %1$s', direction), op) INTO opaque USING anchor.a, anchor.f, anchor.t, anchor.n;
                EXECUTE format('SELECT count(*) FROM uniform WHERE (a, f, t, n) %s ($1, $2, $3, $4)',
                               CASE WHEN direction = 'ASC' THEN op ELSE translate(op, '<>', '><') END) INTO plain USING anchor.a, anchor.f, anchor.t, anchor.n;
                IF rewritten <> plain OR opaque <> plain THEN
                    RAISE EXCEPTION '% % %: rewritten %, opaque %, plain %', anchor, op, direction, rewritten, opaque, plain;
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;

-- indexes: btree with abbreviated keys and without, unique, hash
CREATE TABLE indexed AS SELECT i, taskapi.cursor('a, i', i % 1000, i) AS c, taskapi.cursor('m, i', (ARRAY['sad', 'ok']::mood[])[1 + i % 2], i) AS raw FROM generate_series(1, 12000) i;
CREATE UNIQUE INDEX ON indexed (c);
CREATE INDEX ON indexed (raw);
CREATE INDEX ON indexed USING hash (c);
SET enable_seqscan = off;
SELECT count(*) FROM indexed WHERE c > taskapi.cursor('a, i', 500, 0);
SELECT i FROM indexed WHERE c = taskapi.cursor('a, i', 7, 1007);
SELECT i FROM indexed WHERE raw > taskapi.cursor('m, i', 'sad'::mood, 11998) ORDER BY raw LIMIT 2;
\set VERBOSITY terse
INSERT INTO indexed VALUES (0, taskapi.cursor('a, i', 7, 1007));
\set VERBOSITY default
INSERT INTO indexed VALUES (0, taskapi.cursor('another', 7));
SELECT count(*) FROM indexed a JOIN indexed b USING (c);
RESET enable_seqscan;
-- what is stored survives a change of the enum's label, and of the type's name
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
ALTER TYPE mood RENAME TO temper;
SELECT i FROM indexed WHERE raw > taskapi.cursor('m, i', 'blue'::temper, 11998) ORDER BY raw LIMIT 2;

-- What is kept of a call is taken for no other of the same order_by, nor an error for a cursor, and more orders come by than are kept.
DO $$
DECLARE
    wrong int := 0;
    good  boolean;
    t     text;
BEGIN
    FOR round IN 1..2 LOOP
        FOR n IN 1..12 LOOP
            FOREACH t IN ARRAY ARRAY['smallint', 'int', 'bigint', 'numeric', 'float8', 'text', 'text COLLATE "C"', 'varchar'] LOOP
                EXECUTE format('SELECT taskapi.cursor_key(taskapi.cursor(%1$L, ''5''::%2$s, %3$s), %1$L, 1, NULL::%4$s) = ''5''
                                AND taskapi.cursor(%1$L, ''5''::%2$s, %3$s) < taskapi.cursor(%1$L, ''4''::%2$s, %3$s)',
                               format('c%s DESC, id', n), t, n, split_part(t, ' ', 1)) INTO good;
                wrong := wrong + (good IS NOT TRUE)::int;
            END LOOP;
            BEGIN
                EXECUTE format('SELECT taskapi.cursor(%L, 5)', format('c%s DESC, id', n));
                wrong := wrong + 1;
            EXCEPTION WHEN invalid_parameter_value THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
    RAISE NOTICE '% wrong', wrong;
END
$$;

DROP TABLE walk, uniform, indexed;
DROP TYPE temper;
DROP DOMAIN percent;
DROP TYPE pair;
DROP COLLATION regress_ci;
