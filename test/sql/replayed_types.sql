-- A replay is, byte by byte, what was answered first: every type that can hold a value, by itself, in arrays with bounds, domains, composites and ranges.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA kinds;
CREATE SCHEMA extras;
CREATE EXTENSION hstore SCHEMA extras;
CREATE EXTENSION citext SCHEMA extras;
CREATE EXTENSION isn SCHEMA extras;
CREATE EXTENSION seg SCHEMA extras;
CREATE EXTENSION cube SCHEMA extras;
CREATE EXTENSION ltree SCHEMA extras;
CREATE TYPE kinds.mood AS ENUM ('low', 'so so');
CREATE TYPE kinds.pair AS (a int, "b c" text, gone text, d numeric[]);
ALTER TYPE kinds.pair DROP ATTRIBUTE gone;
CREATE TABLE kinds.target (id int);
CREATE TABLE kinds.sample (type regtype, literal text);
INSERT INTO kinds.sample VALUES
    ('bool', 't'), ('bytea', '\x00ff22'), ('"char"', '\377'), ('"char"', ''), ('name', 'a "b"'), ('int8', '-9223372036854775808'), ('int2', '-1'), ('int4', '2147483647'),
    ('int2vector', '1 2'), ('oidvector', '3 4'), ('regproc', 'pg_catalog.now'), ('text', E'a "b" \\ {,}(\n\té\x01'), ('text', ''), ('text', repeat(E'\x02', 100)), ('text', 'null'),
    ('oid', '4294967295'), ('tid', '(4294967295,65535)'), ('xid', '7'), ('cid', '8'), ('json', E'{ "a" :  1.50,\n "a": [null ] }'), ('json', ' null '), ('json', 'null'), ('json', '"\u00e9\ud83d\ude00"'), ('xml', '<a b="c">d</a> e'),
    ('xid8', '18446744073709551615'), ('point', '(0.1,-1e-300)'), ('lseg', '[(1,2),(3,4)]'), ('path', '[(1,2),(3,4)]'), ('box', '(3,4),(1,2)'),
    ('polygon', '((1,2),(3,4),(5,6))'), ('line', '{1,-1,0.3}'), ('float4', '0.1'), ('float4', 'NaN'), ('float8', '0.30000000000000004'), ('float8', '-Infinity'), ('float8', '-0'), ('circle', '<(1,2),3>'), ('money', '-12345.67'),
    ('macaddr', '08:00:2b:01:02:03'), ('macaddr8', '08:00:2b:01:02:03:04:05'), ('inet', '10.1.2.3/8'), ('cidr', '10.0.0.0/8'), ('aclitem', 'pg_monitor=r*/pg_monitor'), ('bpchar', 'a  '), ('varchar', '  b '),
    ('date', '4714-11-24 BC'), ('date', 'infinity'), ('time', '24:00:00'), ('timestamp', '1999-12-31 23:59:59.999999'), ('timestamptz', '2026-01-02 03:04:05.678901+00'), ('timestamptz', '0044-03-15 12:00:00+00 BC'),
    ('interval', '@ 1 year 2 mons -3 days 4 hours 5 mins 6.000007 secs'), ('interval', '@ 178000000 years ago'), ('timetz', '12:34:56.789-08:30'), ('bit', '1'), ('varbit', '10101'), ('numeric', '1.500'), ('numeric', '-Infinity'), ('numeric', '1e-200'),
    ('refcursor', 'c'), ('regprocedure', 'pg_catalog.abs(double precision)'), ('regoper', 'pg_catalog.||/'), ('regoperator', 'pg_catalog.+(integer,integer)'), ('regclass', 'kinds.target'), ('regcollation', 'pg_catalog."C"'), ('regtype', 'kinds.pair'),
    ('regrole', 'pg_monitor'), ('regnamespace', 'kinds'), ('uuid', '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'), ('pg_lsn', '16/B374D848'), ('tsvector', '''a b'':1A,2 ''it''''s'''), ('tsquery', '''a b'' & !c:*'), ('gtsvector', NULL),
    ('regconfig', 'simple'), ('regdictionary', 'simple'), ('jsonb', '{"a": [1.50, null, "\"é"]}'), ('jsonb', 'null'), ('jsonb', '"null"'), ('jsonpath', '$."a b"[*] ? (@ > 1)'), ('txid_snapshot', '10:20:10,14'), ('pg_snapshot', '10:20:10,14'),
    ('int4range', '[1,5)'), ('int4range', 'empty'), ('numrange', '(,1.50]'), ('tsrange', '["2026-01-02 03:04:05",infinity)'), ('tstzrange', '["2026-01-02 03:04:05+00",)'), ('daterange', '[2026-01-02,2026-01-05)'), ('int8range', '(,)'),
    ('int4multirange', '{[1,3),[5,)}'), ('nummultirange', '{}'), ('tsmultirange', '{["2026-01-02 03:04:05",)}'), ('tstzmultirange', '{["2026-01-02 03:04:05+00",)}'), ('datemultirange', '{[2026-01-02,)}'), ('int8multirange', '{(,)}'),
    ('kinds.mood', 'so so'), ('kinds.pair', '(1,"a ""b"" (,)\\","{1.50,NULL}")'), ('kinds.pair', '(,,)'), ('kinds.target', '(3)'),
    ('extras.hstore', '"a b"=>"1", "c"=>NULL, "d\"e"=>"null"'), ('extras.citext', 'AbC'), ('extras.isbn', '0-393-04002-X'), ('extras.ean13', '220500896110-2'), ('extras.seg', '1.50 .. 3'), ('extras.cube', '(1,2),(3,4)'), ('extras.ltree', 'a.b'), ('extras.lquery', '*.a|b{1,2}.c');
-- Values of the first types that follow can only be computed, and no input function reads them; a gtsvector is none to be stored.
SELECT t.oid::regtype AS "a type without a sample" FROM pg_type t
WHERE t.typtype IN ('b', 'r', 'm') AND t.typnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND t.typname <> ALL ('{pg_node_tree,pg_ndistinct,pg_dependencies,pg_mcv_list,pg_brin_bloom_summary,pg_brin_minmax_multi_summary,regdatabase,oid8,jsonpath_tz}')
  AND NOT EXISTS (SELECT FROM kinds.sample s WHERE s.type = t.oid) ORDER BY 1;

-- The forms. A column has the name of its form and number.
CREATE TABLE kinds.value AS SELECT row_number() OVER (ORDER BY type::text COLLATE "C", literal COLLATE "C") AS n, type, format('%L::%s', literal, type) AS value
    FROM kinds.sample WHERE literal IS NOT NULL;
\set ECHO none
SELECT format('CREATE DOMAIN kinds.domain_%s AS %s', n, type) FROM kinds.value ORDER BY n \gexec
SELECT format('CREATE DOMAIN kinds.list_%s AS %s[]', n, type) FROM kinds.value ORDER BY n \gexec
SELECT format('CREATE TYPE kinds.row_%s AS (one %s, "many of" %2$s[], dom kinds.domain_%1$s, list kinds.list_%1$s, none int)', n, type) FROM kinds.value ORDER BY n \gexec
SELECT format('CREATE TYPE kinds.range_%s AS RANGE (SUBTYPE = %s)', n, type) FROM kinds.value v
    WHERE EXISTS (SELECT FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod WHERE a.amname = 'btree' AND o.opcintype = v.type AND opcdefault) ORDER BY n \gexec
\set ECHO all
CREATE TABLE kinds.col AS
    SELECT n, 'plain' AS form, type::text AS type, value FROM kinds.value
    UNION ALL SELECT n, 'bounds', type || '[]', format('array_fill(%s, ''{2}'', ''{5}'')', value) FROM kinds.value
    UNION ALL SELECT n, 'nested', type || '[]', format('ARRAY[[%s, NULL], [NULL, %1$s]]', value) FROM kinds.value
    UNION ALL SELECT n, 'domain', format('kinds.domain_%s', n), value FROM kinds.value
    UNION ALL SELECT n, 'list', format('kinds.list_%s', n), format('array_fill(%s, ''{1,1}'', ''{-3,4}'')', value) FROM kinds.value
    UNION ALL SELECT n, 'row', format('kinds.row_%s', n), format('ROW(%s, ARRAY[NULL, %1$s], %1$s, array_fill(%1$s, ''{1}'', ''{0}''), NULL)', value) FROM kinds.value
    UNION ALL SELECT n, 'rows', format('kinds.row_%s[]', n), format('array_fill(ROW(%s, NULL, %1$s, NULL, 1)::kinds.row_%s, ''{2}'', ''{7}'')', value, n) FROM kinds.value
    UNION ALL SELECT n, 'range', format('kinds.range_%s', n), format('kinds.range_%s(%s, NULL, ''[)'')', n, value) FROM kinds.value WHERE to_regtype(format('kinds.range_%s', n)) IS NOT NULL;
\set ECHO none
SELECT format('CREATE TABLE kinds."%s table" (id int PRIMARY KEY, %s)', form, string_agg(format('%s_%s %s', form, n, type), ', ' ORDER BY n)) FROM kinds.col GROUP BY form ORDER BY form \gexec
\set ECHO all
SET search_path = pg_catalog, public, extras;
CREATE SCHEMA kinds_api;
SELECT taskapi.expose(format('kinds."%s table"', form)::regclass, 'kinds_api') FROM (SELECT DISTINCT form FROM kinds.col) f ORDER BY form \g /dev/null

-- What the table has is what was answered, and replays say the same under settings by which values are written in another way.
CREATE TABLE public.answer (what text, form text, n bigint, value text, json text);
CREATE FUNCTION public.say(what text, method text DEFAULT 'POST') RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, false), set_config('request.headers', '{"idempotency-key": "types"}', false),
           set_config('request.jwt.claims', '{"sub": "alice"}', false), set_config('test.what', what, false)
$$;
CREATE FUNCTION public.settings(odd boolean) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('datestyle', CASE WHEN odd THEN 'SQL, DMY' ELSE 'ISO, MDY' END, false), set_config('intervalstyle', CASE WHEN odd THEN 'sql_standard' ELSE 'postgres' END, false),
           set_config('extra_float_digits', CASE WHEN odd THEN '-3' ELSE '1' END, false), set_config('bytea_output', CASE WHEN odd THEN 'escape' ELSE 'hex' END, false),
           set_config('timezone', CASE WHEN odd THEN 'Asia/Kathmandu' ELSE 'UTC' END, false), set_config('xmloption', CASE WHEN odd THEN 'document' ELSE 'content' END, false),
           set_config('search_path', CASE WHEN odd THEN 'kinds, kinds_api, pg_catalog' ELSE 'pg_catalog, public, extras' END, false), set_config('quote_all_identifiers', odd::text, false)
$$;
-- values that were made once, so that settings play no part in what is sent
CREATE TABLE kinds.sent AS SELECT form FROM (SELECT DISTINCT form FROM kinds.col) f;
\set ECHO none
SELECT format('CREATE TABLE kinds."sent %s" AS SELECT %s', form, string_agg(format('(%s)::%s AS %s_%s', value, type, form, n), ', ' ORDER BY n)) FROM kinds.col GROUP BY form ORDER BY form \gexec
\set ECHO all
CREATE VIEW kinds.statement AS
    SELECT form, format('WITH a AS (INSERT INTO kinds_api."%s table" (id, %s) SELECT 1, %2$s FROM kinds."sent %1$s" RETURNING *) '
                        'INSERT INTO public.answer SELECT pg_catalog.current_setting(''test.what''), %1$L, v.* FROM a, LATERAL (VALUES %3$s) v', form,
                        string_agg(format('%s_%s', form, n), ', ' ORDER BY n),
                        string_agg(format('(%s, a.%s_%1$s::text, pg_catalog.to_json(a.%2$s_%1$s)::text)', n, form), ', ' ORDER BY n)) AS post,
           format('INSERT INTO public.answer SELECT pg_catalog.current_setting(''test.what''), %1$L, v.* FROM kinds."%1$s table" a, LATERAL (VALUES %2$s) v', form,
                  string_agg(format('(%s, a.%s_%1$s::text, pg_catalog.to_json(a.%2$s_%1$s)::text)', n, form), ', ' ORDER BY n)) AS look
    FROM kinds.col GROUP BY form;
\set ECHO none
SELECT public.settings(true), public.say('first') \g /dev/null
SELECT post FROM kinds.statement ORDER BY form \gexec
SELECT public.say('replay, odd') \g /dev/null
SELECT post FROM kinds.statement ORDER BY form \gexec
SELECT public.say('table, odd', '') \g /dev/null
SELECT look FROM kinds.statement ORDER BY form \gexec
SELECT public.settings(false), public.say('replay') \g /dev/null
SELECT post FROM kinds.statement ORDER BY form \gexec
SELECT public.say('table', '') \g /dev/null
SELECT look FROM kinds.statement ORDER BY form \gexec
\set ECHO all
SELECT set_config('request.headers', '', false), set_config('request.jwt.claims', '', false), set_config('response.headers', '', false) \g /dev/null
SELECT what, count(*) = (SELECT count(*) FROM kinds.col) AS complete, count(*) > 700 AS many FROM public.answer GROUP BY what ORDER BY what;
SELECT r.what, r.form, v.type, v.value, r.value AS replayed, t.value AS first
FROM public.answer r JOIN public.answer t ON (t.form, t.n) = (r.form, r.n) JOIN kinds.value v ON v.n = r.n
WHERE (r.what, t.what) IN (('replay', 'table'), ('replay, odd', 'table, odd'), ('first', 'table, odd')) AND (r.value, r.json) IS DISTINCT FROM (t.value, t.json)
ORDER BY 1, 2, v.n;
SELECT form, count(*) FROM (SELECT 'every key' AS form FROM taskapi.idempotency_key WHERE key = 'types') k GROUP BY form;

DROP TABLE public.answer;
DROP FUNCTION public.say, public.settings;
DROP SCHEMA kinds, kinds_api CASCADE;
DROP SCHEMA extras CASCADE;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
