-- The token: only what we sealed opens, in one spelling, until it is too old or its key is retired.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
-- a known key, so that tokens can be made here by hand
UPDATE taskapi.secret SET secret = decode(repeat('42', 32), 'hex') WHERE purpose = 'cursor';

CREATE FUNCTION pg_temp.base64url(b bytea) RETURNS text LANGUAGE sql AS $$SELECT translate(encode(b, 'base64'), E'+/=\n', '-_')$$;
CREATE FUNCTION pg_temp.unbase64url(t text) RETURNS bytea LANGUAGE sql AS
    $$SELECT decode(rpad(translate(t, '-_', '+/'), 4 * ((length(t) + 3) / 4), '='), 'base64')$$;
-- RFC 2104 with a key of 32 bytes 42
CREATE FUNCTION pg_temp.mac(message bytea) RETURNS bytea LANGUAGE sql AS
    $$SELECT substr(sha256(decode(repeat('1e', 32) || repeat('5c', 32), 'hex') || sha256(decode(repeat('74', 32) || repeat('36', 32), 'hex') || message)), 1, 16)$$;
CREATE FUNCTION pg_temp.seal(payload bytea, issued int DEFAULT 0, head bytea DEFAULT '\x0101', purpose text DEFAULT 'cursor') RETURNS text LANGUAGE sql AS
    $$SELECT pg_temp.base64url(body || pg_temp.mac(purpose::bytea || '\x00' || body)) FROM (SELECT head || int4send(issued) || payload AS body) s$$;
-- what the input function says: NULL where it takes the token
CREATE FUNCTION pg_temp.refusal(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM token::taskapi.cursor::text;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || CASE WHEN detail LIKE '{"code"%' THEN detail::json ->> 'code' ELSE SQLERRM END;
END
$$;
CREATE FUNCTION pg_temp.p(VARIADIC parts bytea[]) RETURNS bytea LANGUAGE sql AS $$SELECT coalesce(string_agg(part, '' ORDER BY n), '') FROM unnest(parts) WITH ORDINALITY u (part, n)$$;

-- in JSON it is a string, written by a cast that need not escape it
SELECT castfunc::regprocedure FROM pg_cast WHERE castsource = 'taskapi.cursor'::regtype AND casttarget = 'json'::regtype;
SELECT to_json(c)::text = '"' || c::text || '"' AS to_json, to_jsonb(c) #>> '{}' = c::text AS to_jsonb, row_to_json(s) ->> 'c' = c::text AS row_to_json,
       jsonb_build_object('c', c) ->> 'c' = c::text AS jsonb_build_object, to_json(ARRAY[c, NULL]) ->> 0 = c::text AS in_an_array
FROM (VALUES (taskapi.cursor('a, b DESC', 1, 'x"y'::text)), (taskapi.cursor('a', NULL::date)), (taskapi.cursor('a', repeat('long ', 200)))) s(c);
SELECT row_to_json(s) FROM (SELECT NULL::taskapi.cursor AS c) s;

-- a key of a large number has a longer header
BEGIN;
UPDATE taskapi.secret SET key_id = 2147483647 WHERE purpose = 'cursor';
SELECT taskapi.cursor_encode('a', 1)::taskapi.cursor = taskapi.cursor('a', 1) AS opened,
       taskapi.cursor_encode('a', 1) = pg_temp.seal(p, i, '\x01ffffffff07') AS as_by_hand
FROM (SELECT substr(b, 11, length(b) - 26) AS p, ('x' || encode(substr(b, 7, 4), 'hex'))::bit(32)::int AS i FROM pg_temp.unbase64url(taskapi.cursor_encode('a', 1)) b) s;
ROLLBACK;

-- the format, byte for byte: version, key, time, number of terms, directions and lengths, names (six bits a character), types, values, MAC
SELECT pg_temp.seal(pg_temp.p('\x81', '\x2b0b', '\x72b79ab5e77f6ad89d', '\x80255c', int8send(0), int4send(7))) AS handmade \gset
SELECT * FROM taskapi.cursor_decode(:'handmade');
SELECT :'handmade'::taskapi.cursor = taskapi.cursor('created_at DESC, id DESC', '2000-01-01 00:00'::timestamptz, 7) AS same;
-- and what is made here has that form
SELECT substr(b, 7, 15) = pg_temp.p('\x812b0b', '\x72b79ab5e77f6ad89d', '\x80255c') AS payload,
       pg_temp.mac('cursor'::bytea || '\x00' || substr(b, 1, length(b) - 16)) = substr(b, length(b) - 15) AS mac
FROM (SELECT t, pg_temp.unbase64url(t) AS b FROM taskapi.cursor_encode('created_at DESC, id DESC', '2026-01-01'::timestamptz, 7) t) s;

-- every change of one bit, one character, one byte at the end, every splice of two tokens is invalid_cursor
SELECT taskapi.cursor_encode('created_at DESC, id DESC', '2026-01-01'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid) AS a,
       taskapi.cursor_encode('created_at DESC, id DESC', '2026-02-03'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-ffffffffffff'::uuid) AS b \gset
SELECT length(:'a') AS length, pg_temp.refusal(:'a') AS a, pg_temp.refusal(:'b') AS b;
SELECT pg_temp.refusal(pg_temp.base64url(set_bit(raw, i, 1 - get_bit(raw, i)))) AS bit, count(*) = 8 * max(length(raw)) AS all
FROM (SELECT pg_temp.unbase64url(:'a') AS raw) s, generate_series(0, 8 * length(raw) - 1) i GROUP BY 1;
SELECT pg_temp.refusal(overlay(:'a' PLACING c FROM i)) AS character, count(*) = length(:'a') * 67 AS all
FROM generate_series(1, length(:'a')) i, regexp_split_to_table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= ', '') c
WHERE c <> substr(:'a', i, 1) GROUP BY 1;
SELECT pg_temp.refusal(left(:'a', i)) AS truncated, count(*) FROM generate_series(0, length(:'a') - 1) i GROUP BY 1;
SELECT pg_temp.refusal(right(:'a', i)) AS beheaded, count(*) FROM generate_series(0, length(:'a') - 1) i GROUP BY 1;
SELECT pg_temp.refusal(:'a' || c) AS extended, count(*)
FROM unnest('{A,AA,AAA,AAAA,=,==," ",-,_,"\n",%3D,.}'::text[]) c GROUP BY 1;
SELECT pg_temp.refusal(c || :'a') AS extended, count(*) FROM unnest('{A,AA,AAA,AAAA,=," ","\n"}'::text[]) c GROUP BY 1;
SELECT pg_temp.refusal(left(:'a', i) || substr(:'b', j)) AS spliced, count(*) > 7000 AS all
FROM generate_series(1, length(:'a') - 1) i, generate_series(2, length(:'b')) j
WHERE left(:'a', i) || substr(:'b', j) NOT IN (:'a', :'b') GROUP BY 1;
SELECT pg_temp.refusal(:'a' || :'b') AS joined, pg_temp.refusal(upper(:'a')) AS upper, pg_temp.refusal('') AS empty, pg_temp.refusal(repeat('A', 1000000)) AS long,
       pg_temp.refusal('é') AS not_ascii, pg_temp.refusal('null') AS word;
-- the same bytes in another spelling: trailing bits that base64 ignores
SELECT pg_temp.refusal(left(:'handmade', -1) || c), count(*)
FROM regexp_split_to_table('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', '') c WHERE c <> right(:'handmade', 1) GROUP BY 1;
-- another version, another key, another purpose
SELECT pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)))) AS good,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x0201')) AS version,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x0102')) AS key,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x0100')) AS key_zero,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x01ffffffffffffffffff01')) AS huge_key,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x0101', 'page')) AS purpose;

-- in the wrong place: it is told where it belongs if its MAC is right there, and nothing otherwise
CREATE FUNCTION pg_temp.details(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM token::taskapi.cursor::text;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail::json ->> 'details';
END
$$;
SELECT purpose, pg_temp.details(token),
       count(*) FILTER (WHERE pg_temp.details(pg_temp.base64url(set_bit(raw, i, 1 - get_bit(raw, i)))) <> 'It is not a token of this database.') AS told
FROM (VALUES ('page'), ('changes'), ('jwt'), ('')) p (purpose),
     LATERAL pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), 0, '\x0101', purpose) token, LATERAL pg_temp.unbase64url(token) raw, LATERAL generate_series(0, 8 * length(raw) - 1) i
GROUP BY 1, 2 ORDER BY 1;
-- were a key to leak, payloads that nobody sealed are still refused, with no other error
SELECT n, pg_temp.refusal(pg_temp.seal(payload)) FROM (VALUES
    (1, ''::bytea), (2, '\x00'), (3, '\x1f'), (4, '\xff'), (5, '\x00ff'), (6, '\x0004'), (7, '\x000461'),
    (8, '\x0004615c'), (9, '\x0004615c00'), (10, '\x0004615c000000'), (11, '\x0004615c0000000000'),                        -- cut short, and too long
    (12, pg_temp.p('\x000461', '\xffffffffffffffffff01')), (13, pg_temp.p('\x000461', '\xffffffffffffffffffff7f')),        -- a type that is none
    (14, pg_temp.p('\x000461', '\x00', '\x0a', 'pg_catalog', '\x04', 'nope')), (15, pg_temp.p('\x000461', '\x00ff')), (16, pg_temp.p('\x000461', '\xa003')),
    (17, pg_temp.p('\x000461', '\xc803', '\x02', '{}')),                                                                   -- json, which has no order
    (18, pg_temp.p('\x000461', '\x65', '\x05', 'ab')), (19, pg_temp.p('\x000461', '\x65', '\x02', '\xff80')), (20, pg_temp.p('\x000461', '\x65', '\x01', '\x00')),   -- text: too short, not UTF-8, a zero byte
    (21, pg_temp.p('\x000461', '\x65', '\xffffffffffffffffff01')),
    (22, pg_temp.p('\x4000', '\x000000000000000000000000000000', '\x5c')), (23, '\x4004'), (24, pg_temp.p('\xc000', '\x00000000000000000000000000000000', '\x5c', int4send(7))),    -- digests
    (25, '\x8004'), (26, '\x80046100'), (27, pg_temp.p('\x200461', '\x5c')),                                              -- packed names, NULLs
    (28, pg_temp.p('\x000461', '\x67', '\x01', 'a')), (29, pg_temp.p('\x000461', '\x67', '\x03', 'nix', '\x05', 'never', '\x01', 'a')),
    (30, pg_temp.p('\x000461', '\xe821', int4send(2147483646))), (31, pg_temp.p('\x000461', '\xec21', int8send(86400000001))), (32, pg_temp.p('\x000461', '\xec21', int8send(-1))),   -- dates and times that there are not
    (33, pg_temp.p('\x000461', '\xc827', int8send(0), int4send(57600 * 2))), (34, pg_temp.p('\x000461', '\xc827', int8send(9223372036854775807), int4send(2147483647))),
    (35, pg_temp.p('\x000461', '\xe822', int8send(9223372036854775806))), (36, pg_temp.p('\x000461', '\x8025', int8send(-9223372036854775807)))) v (n, payload);
SELECT pg_temp.refusal(taskapi.cursor_encode('a, b, c, d, e, f', 'infinity'::date, '-infinity'::timestamptz, '24:00'::time, '00:00+15:59'::timetz, '4714-11-24 BC'::date, '294276-12-31'::timestamp)) IS NULL AS extremes;
-- random payloads, and random damage to a good one
SELECT setseed(0.5) AS seeded \gset
SELECT count(*) FILTER (WHERE refusal = '22P02 invalid_cursor') > 300 AS mostly_refused, count(*) FILTER (WHERE refusal IS NOT NULL AND refusal <> '22P02 invalid_cursor') AS other_errors
FROM (SELECT pg_temp.refusal(pg_temp.seal(decode(left(md5(random()::text) || md5(random()::text), 2 * (random() * 32)::int), 'hex'))) AS refusal FROM generate_series(1, 400)) s;
SELECT count(*) FILTER (WHERE refusal IS NOT NULL AND refusal <> '22P02 invalid_cursor') AS other_errors, count(*) = 1600 AS all
FROM (SELECT pg_temp.refusal(pg_temp.seal(set_byte(good, (random() * (length(good) - 1))::int, (random() * 255)::int))) AS refusal
      FROM (SELECT substr(raw, 7, length(raw) - 22) AS good FROM (SELECT pg_temp.unbase64url(taskapi.cursor_encode('a DESC, b, c, d', 12.34, 'text', NULL::uuid, '10.0.0.1'::inet)) AS raw) s) t, generate_series(1, 1600)) s;

-- a good token's type decides nothing about what is read: an enum that is gone
CREATE TYPE regress_enum AS ENUM ('a', 'b');
SELECT taskapi.cursor_encode('e', 'b'::regress_enum) AS enum_token \gset
SELECT value FROM taskapi.cursor_decode(:'enum_token');
DROP TYPE regress_enum;
SELECT pg_temp.refusal(:'enum_token');
-- made again with other OIDs it is the same type, by name
CREATE TYPE regress_enum AS ENUM ('b', 'c');
SELECT value FROM taskapi.cursor_decode(:'enum_token');
-- a label that is gone is no error of the enum's
ALTER TYPE regress_enum RENAME VALUE 'b' TO 'd';
SELECT pg_temp.refusal(:'enum_token');
DROP TYPE regress_enum;

-- soft errors, where the server has them
DO $$
DECLARE
    valid bool;
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE $q$SELECT pg_input_is_valid('nonsense', 'taskapi.cursor')$q$ INTO valid;
        ASSERT NOT valid;
        EXECUTE $q$SELECT pg_input_is_valid(pg_temp.seal(pg_temp.p('\x000461', '\x5c')), 'taskapi.cursor')$q$ INTO valid;
        ASSERT NOT valid;
        EXECUTE $q$SELECT pg_input_is_valid(taskapi.cursor_encode('a', 1), 'taskapi.cursor')$q$ INTO valid;
        ASSERT valid;
    END IF;
END
$$;

-- without a limit a token holds no time: the same position is the same token at any time, and none once there is a limit
SHOW taskapi.cursor_ttl;
CREATE FUNCTION pg_temp.time_in(token text) RETURNS bytea LANGUAGE sql AS $$ SELECT substr(pg_temp.unbase64url(token), 3, 4) $$;
SELECT taskapi.cursor_encode('a', 1) AS timeless, pg_temp.time_in(taskapi.cursor_encode('a', 1)) AS time \gset
SELECT :'time' AS time, pg_temp.refusal(:'timeless') AS refusal, (SELECT pg_temp.time_in(next_page_token) FROM taskapi.page('pg_catalog.pg_class', 'oid', 1)) AS page;
SET taskapi.cursor_ttl = '1d';
SELECT pg_temp.refusal(:'timeless') AS refusal, pg_temp.time_in(taskapi.cursor_encode('a', 1)) > '\x0a' AS has_time;
-- age: counted in seconds, from the time in the token
SELECT pg_temp.refusal(taskapi.cursor_encode('a', 1)) AS young, pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)))) AS old,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), -1)) AS from_the_future;
SELECT pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), age - 86400)) AS just_old_enough,
       pg_temp.refusal(pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)), age - 86410)) AS a_little_older
FROM (SELECT extract(epoch FROM statement_timestamp() - '2020-01-01')::int AS age) s;
SELECT pg_temp.seal(pg_temp.p('\x000461', '\x5c', int4send(7)))::taskapi.cursor;
\set VERBOSITY sqlstate
SET taskapi.cursor_ttl = -1;
\set VERBOSITY default
RESET taskapi.cursor_ttl;

-- rotation: the old key opens what it signed, the new one signs; retired, it opens nothing
SELECT taskapi.rotate_secret('cursor');
SELECT pg_temp.refusal(:'a') AS old, get_byte(pg_temp.unbase64url(taskapi.cursor_encode('a', 1)), 1) AS signed_by;
BEGIN;
SELECT taskapi.retire_secret('cursor', 1);
SELECT pg_temp.refusal(:'a') AS retired;
ROLLBACK;
SELECT pg_temp.refusal(:'a') AS rolled_back;
SELECT taskapi.retire_secret('cursor', 1);
SELECT pg_temp.refusal(:'a') AS retired;
-- without a key nothing is sealed or opened
DELETE FROM taskapi.secret;
SELECT taskapi.cursor_encode('a', 1);
SELECT pg_temp.refusal(:'a') AS no_key;
-- comparing needs none
SELECT taskapi.cursor('a', 1) < taskapi.cursor('a', 2) AS compared;

-- inside a request it is the problem that the layer answers with
SET request.method = 'GET';
DO $$
BEGIN
    PERFORM 'nonsense'::taskapi.cursor;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE '% %', SQLSTATE, SQLERRM::json ->> 'code';
END
$$;
RESET request.method;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
