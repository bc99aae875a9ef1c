-- Bytes that outlive a session (index keys, tokens, page tokens, fingerprints) are these, bit by bit, in every release.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
BEGIN;
\pset format unaligned
-- known keys, the second of which signs
DELETE FROM taskapi.secret WHERE purpose = 'cursor';
INSERT INTO taskapi.secret (purpose, key_id, secret) VALUES ('cursor', 1, decode(repeat('42', 32), 'hex')), ('cursor', 300, decode(repeat('43', 32), 'hex'));
-- what an index on a cursor holds
CREATE CAST (taskapi.cursor AS bytea) WITHOUT FUNCTION;

CREATE FUNCTION pg_temp.base64url(b bytea) RETURNS text LANGUAGE sql AS $$SELECT translate(encode(b, 'base64'), E'+/=\n', '-_')$$;
CREATE FUNCTION pg_temp.unbase64url(t text) RETURNS bytea LANGUAGE sql AS
    $$SELECT decode(rpad(translate(t, '-_', '+/'), 4 * ((length(t) + 3) / 4), '='), 'base64')$$;
-- RFC 2104 with a key of 32 bytes
CREATE FUNCTION pg_temp.mac(message bytea, key int) RETURNS bytea LANGUAGE sql AS
    $$SELECT substr(sha256(decode(repeat(to_hex(key # 92), 32) || repeat('5c', 32), 'hex') || sha256(decode(repeat(to_hex(key # 54), 32) || repeat('36', 32), 'hex') || message)), 1, 16)$$;
-- A token as it would be had it been issued on 2020-01-01 00:00 UTC: its time, behind a version and a key id of two bytes, is zero.
CREATE FUNCTION pg_temp.at_epoch(token text, purpose text DEFAULT 'cursor') RETURNS text LANGUAGE plpgsql STRICT AS $$
DECLARE
    raw bytea := pg_temp.unbase64url(token);
    body bytea := substr(raw, 1, length(raw) - 16);
BEGIN
    ASSERT pg_temp.mac(purpose::bytea || '\x00' || body, 67) = substr(raw, length(raw) - 15), 'the MAC';
    body := overlay(body PLACING '\x00000000' FROM 4);
    RETURN pg_temp.base64url(body || pg_temp.mac(purpose::bytea || '\x00' || body, 67));
END $$;

-- Every kind of key: the index's bytes in both directions, and the token.
CREATE TABLE pg_temp.golden (n serial, literal text, up taskapi.cursor, down taskapi.cursor);
CREATE FUNCTION pg_temp.add(type text, literals text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    literal text;
    value text;
BEGIN
    FOREACH literal IN ARRAY literals LOOP
        value := format('%L::%s', literal, type);
        EXECUTE format('INSERT INTO pg_temp.golden (literal, up, down) SELECT %L, taskapi.cursor(''k'', %s), taskapi.cursor(''k DESC'', %2$s)', type || ' ' || quote_nullable(literal), value);
    END LOOP;
END $$;
SELECT pg_temp.add(type, literals) FROM (VALUES
    (1, 'bool', '{f,t,NULL}'::text[]), (2, 'int2', '{-32768,-1,0,1,32767}'), (3, 'int4', '{-2147483648,-257,-256,-1,0,1,255,256,2147483647,NULL}'),
    (4, 'int8', '{-9223372036854775808,-4294967297,0,4294967296,9223372036854775807}'), (5, 'oid', '{0,4294967295}'), (6, 'xid8', '{0,18446744073709551615}'),
    (7, 'pg_lsn', '{0/0,16/B374D848}'), (8, 'money', '{-1.50,92233720368547758.07}'), (9, 'date', '{4714-11-24 BC,1999-12-31,2026-02-28,infinity,-infinity}'),
    (10, 'time', '{00:00,23:59:59.999999,24:00}'), (11, 'timetz', '{00:00+15:59,12:34:56.789-08}'), (12, 'timestamp', '{1999-12-31 23:59:59.999999,infinity}'),
    (13, 'timestamptz', '{1999-12-31 23:59:59.999999+00,2026-01-01 12:00+00,-infinity}'), (14, 'interval', '{0,1 mon,30 days,-1 mon 29 days 24:00:00.000001,178000000 years}'),
    (15, 'float4', '{-Infinity,-1.5,-0,0,1e-45,Infinity,NaN}'), (16, 'float8', '{-1e308,-0,0,0.1,NaN}'),
    (17, 'numeric', '{-Infinity,-12345.6700,-1e-20,0,0.00,1.5,1.50,10000,9999.0001,1e200,1e-800,Infinity,NaN}'),
    (18, 'uuid', '{00000000-0000-0000-0000-000000000000,018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d}'), (19, 'macaddr', '{08:00:2b:01:02:03}'), (20, 'macaddr8', '{08:00:2b:01:02:03:04:05}'),
    (21, '"char"', '{a,"\\377"}'), (22, 'bytea', '{"\\x","\\x00","\\x00ff00","\\xdeadbeef",NULL}'), (23, 'text COLLATE "C"', '{"",a,"a b",é,NULL}'),
    (24, 'varchar(9) COLLATE "POSIX"', '{abc}'), (25, 'char(4) COLLATE "C"', '{"","a b",abcd}'), (26, 'name COLLATE "C"', '{"",pg_class}'),
    (27, 'text COLLATE "en-x-icu"', '{"",Zoë,NULL}'), (28, 'inet', '{10.1.2.3,10.0.0.0/8,::1}')) v (n, type, literals) ORDER BY v.n \g /dev/null
SELECT literal, encode(up::bytea, 'hex') AS up, encode(down::bytea, 'hex') AS down FROM pg_temp.golden ORDER BY n;
SELECT literal, pg_temp.at_epoch(up::text) AS up, pg_temp.at_epoch(down::text) AS down FROM pg_temp.golden ORDER BY n;

-- Several terms: directions, NULLS FIRST, NULLs, names in six and in eight bits, and names so long that a digest stands for them.
CREATE TABLE pg_temp.several (n serial, c taskapi.cursor);
INSERT INTO pg_temp.several (c) VALUES
    (taskapi.cursor('created_at DESC, id DESC', '2026-01-01 00:00+00'::timestamptz, '018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d'::uuid)),
    (taskapi.cursor('a NULLS FIRST, b DESC NULLS LAST, c DESC', NULL::int4, NULL::numeric, 7::int2)),
    (taskapi.cursor('due.desc.nullslast, id', 1.50, -0.0::float8)),
    (taskapi.cursor('"Größe", "a ""b"""', 'x'::text COLLATE "C", ''::bytea)),
    (taskapi.cursor('a, b', NULL, 1)),
    (taskapi.cursor('a_name_of_more_than_thirty_characters, another_name_of_more_than_thirty_characters DESC, id', 1, 2, 3)),
    (taskapi.cursor('a', repeat('long ', 60)::text COLLATE "C"));
SELECT encode(c::bytea, 'hex') FROM pg_temp.several ORDER BY n;
SELECT pg_temp.at_epoch(c::text) FROM pg_temp.several ORDER BY n;

-- Each of those tokens opens as what it was made of, but for the names behind a digest; so does one of the older key.
SELECT count(*) FILTER (WHERE pg_temp.at_epoch(up::text)::taskapi.cursor::bytea = up::bytea AND pg_temp.at_epoch(down::text)::taskapi.cursor::bytea = down::bytea), count(*) FROM pg_temp.golden;
SELECT count(*) FILTER (WHERE pg_temp.at_epoch(c::text)::taskapi.cursor::bytea = c::bytea), count(*) FROM pg_temp.several;
SELECT "position", key, type, descending, nulls_first, value FROM taskapi.cursor_decode('AQEAAAAAgSsLcreated_atidgCVcAAAAAAAAAAAAAAAHJgAOVJFH0dgowpjYkCp5Vg');

-- Page tokens: forward, backward, of an empty page; of a table, and of a filter.
CREATE SCHEMA golden;
CREATE TABLE golden.orders (id int PRIMARY KEY, total numeric(10, 2), placed timestamptz NOT NULL, customer text COLLATE "C");
INSERT INTO golden.orders SELECT i, nullif(i % 5, 0), '2026-01-01 00:00+00'::timestamptz + i * interval '1 hour', 'c' || i % 3 FROM generate_series(1, 30) i;
CREATE FUNCTION pg_temp.walk(order_by text, filter jsonb DEFAULT NULL) RETURNS TABLE (step int, next text, previous text) LANGUAGE plpgsql AS $$
DECLARE
    p taskapi.page_result;
    token text := '';
BEGIN
    FOR i IN 1..3 LOOP
        p := taskapi.page('golden.orders', order_by, 4, token, filter);
        RETURN QUERY SELECT i, pg_temp.at_epoch(nullif(p.next_page_token, ''), 'page'), pg_temp.at_epoch(nullif(p.previous_page_token, ''), 'page');
        token := p.next_page_token;
    END LOOP;
    p := taskapi.page('golden.orders', order_by, 4, p.previous_page_token, filter);
    RETURN QUERY SELECT 4, pg_temp.at_epoch(nullif(p.next_page_token, ''), 'page'), pg_temp.at_epoch(nullif(p.previous_page_token, ''), 'page');
END $$;
SELECT * FROM pg_temp.walk(NULL);
SELECT * FROM pg_temp.walk('total DESC NULLS LAST, placed');
SELECT * FROM pg_temp.walk('customer.desc', '{"customer": {"neq": "c9"}, "id": {"gte": 3, "in": [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]}, "total": {"is": "not_null"}}');
SELECT next_page_token AS last FROM taskapi.page('golden.orders', 'id', 29) \gset
DELETE FROM golden.orders WHERE id = 30;
SELECT items, pg_temp.at_epoch(previous_page_token, 'page') FROM taskapi.page('golden.orders', 'id', 29, :'last');

-- Fingerprints, by themselves and as they stand in the ledger.
SELECT encode(taskapi.fingerprint(j), 'hex') FROM (VALUES
    (1, '{"amount": 1.50, "to": ["é", null, true], "note": {}}'::jsonb), (2, '[-1e300, 0.00001, 123456789012345678901234567890.5, false]'), (3, '"x"'), (4, 'null'), (5, '{}'), (6, '[[], ""]')) v (n, j) ORDER BY n;
SELECT set_config('request.jwt.claims', '{"sub": "golden"}', true), set_config('request.method', 'POST', true), set_config('request.path', '/pay', true) \g /dev/null
SELECT outcome FROM taskapi.idempotency_begin('k1', '{"amount": 1.50, "to": ["é", null, true]}');
SELECT outcome FROM taskapi.idempotency_begin('k2', '{}', repeat('scope ', 100));
SELECT taskapi.idempotency_complete('k1', 201, '{}'), taskapi.idempotency_complete('k2', 200, NULL, NULL, repeat('scope ', 100)) \g /dev/null
SELECT scope, key, encode(fingerprint, 'hex') AS fingerprint FROM taskapi.idempotency_key WHERE key IN ('k1', 'k2') ORDER BY key;
-- Of a resource's POST and PATCH, as docs/architecture.md has it.
CREATE TABLE golden.charge (id int PRIMARY KEY, note text, doc jsonb, due date);
SELECT taskapi.expose('golden.charge', 'golden', 'charges') \g /dev/null
SELECT set_config('request.headers', '{"idempotency-key": "k3"}', true) \g /dev/null
INSERT INTO golden.charges (id, note, doc) VALUES (258, 'é', '{"a": 1.0}'), (-1, NULL, '[]');
SELECT set_config('request.method', 'PATCH', true) \g /dev/null
UPDATE golden.charges SET note = 'long', due = '2026-01-02' WHERE id = 258;
SELECT scope, encode(k.fingerprint, 'hex') AS fingerprint, k.fingerprint = CASE k.status
    WHEN 200 THEN sha256('U' || 'note\000v'::bytea || '\x00000004' || 'long' || 'due\000v' || '\x00000004' || date_send('2026-01-02') || 'f' || sha256('id\000=\000258\000'::bytea))
    ELSE sha256('I' || sha256('I' || decode(repeat('00', 32), 'hex') || 'id\000v' || '\x00000004' || '\x00000102' || 'note\000v' || '\x00000002' || '\xc3a9'
                              || 'doc\000v' || taskapi.fingerprint('{"a": 1}'))
                || 'id\000v' || '\x00000004' || '\xffffffff' || 'note\000n' || 'doc\000v' || taskapi.fingerprint('[]')) END AS documented
FROM taskapi.idempotency_key k WHERE key = 'k3' ORDER BY status;
ROLLBACK;
