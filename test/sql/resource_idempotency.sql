-- POST and PATCH through a resource with an Idempotency-Key: once, and the same answer for every repetition.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_alice;
CREATE ROLE regress_bob;
CREATE SCHEMA idem_data;
CREATE SCHEMA idem_api;
GRANT USAGE ON SCHEMA idem_data, idem_api TO regress_alice, regress_bob;
CREATE TABLE idem_data.charge (
    id uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    owner name NOT NULL DEFAULT current_user,
    amount numeric NOT NULL CHECK (amount > 0),
    ratio float8,
    raw bytea,
    doc jsonb,
    labels text[],
    due timestamptz,
    status text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE idem_data.charge ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON idem_data.charge USING (owner = current_user);
SELECT taskapi.expose('idem_data.charge', 'idem_api');
SELECT taskapi.grant_resource('idem_api.charge', 'regress_alice'), taskapi.grant_resource('idem_api.charge', 'regress_bob');

-- A request as the layer makes it: method, key, subject, path; the answer is what RETURNING gives, and a header.
CREATE FUNCTION public.request(method text, key text, subject text DEFAULT 'alice', path text DEFAULT '/charge') RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true),
           set_config('request.headers', json_strip_nulls(json_build_object('idempotency-key', key))::text, true),
           set_config('request.jwt.claims', json_build_object('sub', subject)::text, true);
$$;
CREATE TABLE public.answer (n serial, rows json);
GRANT ALL ON public.answer, public.answer_n_seq TO regress_alice, regress_bob;
CREATE VIEW public.key AS SELECT scope, key, status, json_array_length(body) AS rows FROM taskapi.idempotency_key ORDER BY scope, key;
SELECT set_config('request.method', '', false), set_config('response.headers', '', false) \g /dev/null
SET ROLE regress_alice;

-- One row. The repetition is answered with the row as it was, all types of it, and writes nothing.
BEGIN;
SELECT public.request('POST', 'k1');
WITH made AS (INSERT INTO idem_api.charge (amount, ratio, raw, doc, labels, due)
              VALUES (10.50, 0.1::float8 + 0.2, '\x00ff', '{"a": [1, 2.50]}', '{a,"b c",NULL}', '2026-01-02 03:04:05.678901+00') RETURNING *)
INSERT INTO public.answer (rows) SELECT json_agg(m) FROM made m;
SELECT current_setting('response.headers');
COMMIT;
UPDATE idem_api.charge SET status = 'paid';
BEGIN;
SET LOCAL TimeZone = 'Asia/Tokyo';
SET LOCAL DateStyle = 'German';
SET LOCAL bytea_output = 'escape';
SET LOCAL extra_float_digits = 0;
SET LOCAL quote_all_identifiers = on;
SELECT public.request('POST', '"k1"');
WITH made AS (INSERT INTO idem_api.charge (amount, ratio, raw, doc, labels, due)
              VALUES (10.5, 0.1::float8 + 0.2, '\x00ff', '{"a": [1.0, 2.5]}', '{a,"b c",NULL}', '2026-01-02T03:04:05.678901Z') RETURNING *)
SELECT m.amount, m.status, m.id = (rows -> 0 ->> 'id')::uuid AS same_id, m.ratio = 0.1::float8 + 0.2 AS same_ratio,
       m.raw = '\x00ff' AS same_raw, m.labels, m.due = '2026-01-02T03:04:05.678901Z' AS same_due, m.doc,
       m.created_at = (rows -> 0 ->> 'created_at')::timestamptz AS same_time,
       m.cursor = (rows -> 0 ->> 'cursor')::taskapi.cursor AS same_cursor
FROM made m, public.answer a WHERE n = 1;
SELECT h.key, h.value FROM json_array_elements(current_setting('response.headers')::json) e, json_each_text(e) h ORDER BY 1;
COMMIT;
SELECT count(*), max(status) FROM idem_api.charge;
RESET ROLE;
SELECT * FROM public.key;
SET ROLE regress_alice;

-- Another body under the same key, with one column more, one less, another value, another row.
BEGIN;
SELECT public.request('POST', 'k1');
SAVEPOINT a;
INSERT INTO idem_api.charge (amount, ratio, raw, doc, labels, due)
VALUES (10.51, 0.1::float8 + 0.2, '\x00ff', '{"a": [1, 2.50]}', '{a,"b c",NULL}', '2026-01-02 03:04:05.678901+00');
ROLLBACK TO a;
INSERT INTO idem_api.charge (amount) VALUES (10.50);
ROLLBACK TO a;
INSERT INTO idem_api.charge (amount, ratio, raw, doc, labels, due, status)
VALUES (10.50, 0.1::float8 + 0.2, '\x00ff', '{"a": [1, 2.50]}', '{a,"b c",NULL}', '2026-01-02 03:04:05.678901+00', 'open');
ROLLBACK TO a;
INSERT INTO idem_api.charge (amount, ratio, raw, doc, labels, due)
VALUES (10.50, 0.1::float8 + 0.2, '\x00ff', '{"a": [1, 2.50]}', '{a,"b c",NULL}', '2026-01-02 03:04:05.678901+00'),
       (10.50, 0.1::float8 + 0.2, '\x00ff', '{"a": [1, 2.50]}', '{a,"b c",NULL}', '2026-01-02 03:04:05.678901+00');
ROLLBACK TO a;
INSERT INTO idem_api.charge (amount) SELECT 1 WHERE false;
ROLLBACK;
SELECT count(*) FROM idem_api.charge;

-- A bulk POST is one key for all rows, in their order.
BEGIN;
SELECT public.request('POST', 'bulk');
WITH made AS (INSERT INTO idem_api.charge (amount) SELECT x FROM json_to_recordset('[{"x":3},{"x":1},{"x":2}]') AS j (x numeric) RETURNING *)
INSERT INTO public.answer (rows) SELECT json_agg(m.id) FROM made m;
COMMIT;
BEGIN;
SELECT public.request('POST', 'bulk');
WITH made AS (INSERT INTO idem_api.charge (amount) SELECT x FROM json_to_recordset('[{"x":3},{"x":1},{"x":2}]') AS j (x numeric) RETURNING *)
SELECT json_agg(m.amount), json_agg(m.id)::text = (SELECT rows::text FROM public.answer ORDER BY n DESC LIMIT 1) AS same FROM made m;
SAVEPOINT a;
INSERT INTO idem_api.charge (amount) SELECT x FROM json_to_recordset('[{"x":1},{"x":2},{"x":3}]') AS j (x numeric);
ROLLBACK TO a;
INSERT INTO idem_api.charge (amount) SELECT x FROM json_to_recordset('[{"x":3},{"x":1}]') AS j (x numeric);
ROLLBACK;
SELECT count(*) FROM idem_api.charge;

-- A POST that failed leaves no key behind, and the corrected one works.
BEGIN;
SELECT public.request('POST', 'retry');
INSERT INTO idem_api.charge (amount) VALUES (-1);
ROLLBACK;
BEGIN;
SELECT public.request('POST', 'retry');
INSERT INTO idem_api.charge (amount) VALUES (1) RETURNING amount;
COMMIT;
-- One that wrote nothing is answered with nothing again, and its key takes no other body.
BEGIN;
SELECT public.request('POST', 'nothing');
INSERT INTO idem_api.charge (amount) SELECT 1 WHERE false;
COMMIT;
BEGIN;
SELECT public.request('POST', 'nothing');
INSERT INTO idem_api.charge (amount) SELECT 1 WHERE false RETURNING amount;
SELECT current_setting('response.headers');
INSERT INTO idem_api.charge (amount) VALUES (1);
ROLLBACK;

-- The key is the caller's own.
RESET ROLE;
SET ROLE regress_bob;
BEGIN;
SELECT public.request('POST', 'bulk', 'bob');
INSERT INTO idem_api.charge (amount) VALUES (7) RETURNING owner, amount;
COMMIT;
-- Another role under the same subject may not see the rows, and is not shown them.
BEGIN;
SELECT public.request('POST', 'bulk', 'alice');
INSERT INTO idem_api.charge (amount) SELECT x FROM json_to_recordset('[{"x":3},{"x":1},{"x":2}]') AS j (x numeric) RETURNING *;
ROLLBACK;
RESET ROLE;
SET ROLE regress_alice;

-- Nor is anything shown that was deleted since.
BEGIN;
SELECT public.request('POST', 'gone');
INSERT INTO idem_api.charge (amount) VALUES (99) RETURNING amount;
COMMIT;
DELETE FROM idem_api.charge WHERE amount = 99;
BEGIN;
SELECT public.request('POST', 'gone');
INSERT INTO idem_api.charge (amount) VALUES (99) RETURNING amount;
ROLLBACK;

-- PATCH: key, body and rows. A precondition that held the first time is not asked again.
BEGIN;
SELECT public.request('PATCH', 'p1');
WITH u AS (UPDATE idem_api.charge SET status = 'void' WHERE amount IN (1, 2) RETURNING amount, status, version)
SELECT * FROM u ORDER BY amount;
COMMIT;
UPDATE idem_api.charge SET labels = '{later}' WHERE amount = 2;
BEGIN;
SELECT public.request('PATCH', 'p1');
WITH u AS (UPDATE idem_api.charge SET status = 'void' WHERE amount IN (1, 2) RETURNING amount, status, version, labels)
SELECT * FROM u ORDER BY amount;
SAVEPOINT a;
UPDATE idem_api.charge SET status = 'open' WHERE amount IN (1, 2);
ROLLBACK TO a;
UPDATE idem_api.charge SET labels = NULL WHERE amount IN (1, 2);
ROLLBACK TO a;
UPDATE idem_api.charge SET status = 'void' WHERE amount IN (1, 2, 3);
ROLLBACK TO a;
UPDATE idem_api.charge SET status = 'void' WHERE status = 'nothing like it';
COMMIT;
SELECT amount, status, version, labels FROM idem_api.charge WHERE amount IN (1, 2, 3) ORDER BY amount, version;
BEGIN;
SELECT public.request('PATCH', 'p2');
SELECT set_config('request.headers', '{"idempotency-key": "p2", "if-match": "\"1\""}', true);
UPDATE idem_api.charge SET status = 'held' WHERE amount = 3 RETURNING version;
COMMIT;
BEGIN;
SELECT set_config('request.method', 'PATCH', true), set_config('request.path', '/charge', true), set_config('request.jwt.claims', '{"sub":"alice"}', true),
       set_config('request.headers', '{"idempotency-key": "p2", "if-match": "\"1\""}', true);
UPDATE idem_api.charge SET status = 'held' WHERE amount = 3 RETURNING version;
SELECT h.key, h.value FROM json_array_elements(current_setting('response.headers')::json) e, json_each_text(e) h ORDER BY 1;
COMMIT;

-- Without a key, outside a request, and in a request to a function nothing of all this happens.
BEGIN;
SELECT public.request('POST', NULL);
INSERT INTO idem_api.charge (amount) VALUES (20);
SELECT public.request('DELETE', 'd1');
DELETE FROM idem_api.charge WHERE amount = 20;
SELECT public.request('POST', 'f1');
SELECT set_config('request.path', '/rpc/f', true);
INSERT INTO idem_api.charge (amount) VALUES (21);
INSERT INTO idem_api.charge (amount) VALUES (22);
COMMIT;
INSERT INTO idem_api.charge (amount) VALUES (23);
RESET ROLE;
SELECT * FROM public.key;

-- A statement that a function runs: which columns the client gave is not known, but what changes by itself does not count.
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'in a function');
DO $$ BEGIN INSERT INTO idem_api.charge (amount) VALUES (60); END $$;
DO $$ BEGIN INSERT INTO idem_api.charge (amount) VALUES (60); END $$;
SELECT count(*) FROM idem_api.charge WHERE amount = 60;
SAVEPOINT a;
DO $$ BEGIN INSERT INTO idem_api.charge (amount, status) VALUES (60, 'paid'); END $$;
ROLLBACK TO a;
SELECT public.request('PATCH', 'in a function');
DO $$ BEGIN UPDATE idem_api.charge SET status = 'paid' WHERE amount = 60; END $$;
DO $$ BEGIN UPDATE idem_api.charge SET status = 'paid' WHERE amount = 60; END $$;
SELECT status, version FROM idem_api.charge WHERE amount = 60;
DO $$ BEGIN UPDATE idem_api.charge SET status = 'void' WHERE amount = 60; END $$;
ROLLBACK;

-- Nothing given at all is a request, too.
RESET ROLE;
ALTER TABLE idem_data.charge ALTER amount SET DEFAULT 5;
SELECT taskapi.expose('idem_data.charge', 'idem_api');
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'defaults');
INSERT INTO idem_api.charge DEFAULT VALUES RETURNING amount;
INSERT INTO idem_api.charge DEFAULT VALUES RETURNING amount;
SELECT count(*) FROM idem_api.charge WHERE amount = 5;
COMMIT;
RESET ROLE;

-- Text that looks like JSON, and a stored response that is none of ours.
SET ROLE regress_alice;
\set insert 'INSERT INTO idem_api.charge (amount, status, labels, doc) VALUES (70, $$"}],{"row":\\\n,$$, ARRAY[\']}\', \'\\\\"\'], $$["}", "\\"", {"a": "]"}]$$), (71, $$\\$$, \'{}\', \'{}\') RETURNING status, labels, doc;'
BEGIN;
SELECT public.request('POST', 'text');
:insert
COMMIT;
BEGIN;
SELECT public.request('POST', 'text');
:insert
COMMIT;
RESET ROLE;
SELECT count(*) FROM public.key WHERE key = 'text';
UPDATE taskapi.idempotency_key SET body = '[{"row": 1}]' WHERE key = 'text';
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'text');
:insert
ROLLBACK;
RESET ROLE;

-- The key may be mandatory.
SET taskapi.require_idempotency_key = on;
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', NULL);
SAVEPOINT a;
INSERT INTO idem_api.charge (amount) VALUES (30);
ROLLBACK TO a;
SELECT public.request('POST', '');
INSERT INTO idem_api.charge (amount) VALUES (30);
ROLLBACK TO a;
SELECT public.request('POST', 'anonymous', NULL);
INSERT INTO idem_api.charge (amount) VALUES (30);
ROLLBACK TO a;
SELECT public.request('PATCH', NULL);
UPDATE idem_api.charge SET status = 'x' WHERE amount = 23 RETURNING status;
COMMIT;
INSERT INTO idem_api.charge (amount) VALUES (31);
RESET ROLE;
RESET taskapi.require_idempotency_key;

-- A resource that is exposed without keys has none.
SELECT taskapi.expose('idem_data.charge', 'idem_api', idempotent => false);
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'off');
INSERT INTO idem_api.charge (amount) VALUES (40);
INSERT INTO idem_api.charge (amount) VALUES (41);
COMMIT;
RESET ROLE;
SELECT count(*) FROM public.key WHERE key = 'off';
SELECT taskapi.expose('idem_data.charge', 'idem_api', idempotent => true);

-- Rows of scalars, plain ones and with what JSON has to escape; a type without a binary form is known by its text.
CREATE TYPE idem_data.kind AS ENUM ('one', 'two words');
CREATE DOMAIN idem_data.code AS char(5) CHECK (value <> 'never');
CREATE TABLE idem_data.note (
    id int PRIMARY KEY,
    "a name" text,
    body text,
    kind idem_data.kind,
    code idem_data.code,
    done bool,
    amount numeric(8, 2),
    span int4range,
    grantee aclitem,
    made timestamptz NOT NULL DEFAULT clock_timestamp());
SELECT taskapi.expose('idem_data.note', 'idem_api');
CREATE FUNCTION public.post(key text, n int, grantee aclitem DEFAULT NULL) RETURNS SETOF jsonb LANGUAGE sql AS $$
    SELECT public.request('POST', key, path => '/note');
    INSERT INTO idem_api.note (id, body, kind, code, done, amount, span, grantee)
    SELECT n + i, (ARRAY['plain', '', E'a "b" \\ {,}\n\u00e9', 'null', E'{}\\\n', '[1', NULL])[i], 'two words', 'ab', i > 2, 1.5, '[1,5)', post.grantee
    FROM generate_series(1, 7) i
    RETURNING to_jsonb(note) - 'cursor';
$$;
BEGIN;
CREATE TEMP TABLE first AS SELECT r FROM public.post('scalars', 0) r;
COMMIT;
SELECT r - '{made,updated_at}'::text[] AS r FROM first;
BEGIN;
SELECT count(*), bool_and(r IN (SELECT f.r FROM first f)) AS same FROM public.post('scalars', 0) r;
COMMIT;
BEGIN;
SELECT count(*) FROM public.post('acl', 100, '=r/postgres');
COMMIT;
BEGIN;
SELECT count(*) FROM public.post('acl', 100, '=r/postgres');
SAVEPOINT a;
SELECT count(*) FROM public.post('acl', 100, '=w/postgres');
ROLLBACK;
BEGIN;
SELECT public.request('POST', 'one row', path => '/note');
INSERT INTO idem_api.note (id, body) VALUES (50, 'kept') RETURNING body, code;
COMMIT;
SELECT taskapi.unexpose('idem_api.note');
ALTER TABLE idem_data.note DROP COLUMN kind, ADD COLUMN later text DEFAULT 'x';
SELECT taskapi.expose('idem_data.note', 'idem_api');
BEGIN;
SELECT public.request('POST', 'one row', path => '/note');
INSERT INTO idem_api.note (id, body) VALUES (50, 'kept') RETURNING id, body, code, later;
COMMIT;
ALTER DOMAIN idem_data.code ADD CONSTRAINT given CHECK (value IS NOT NULL) NOT VALID;
BEGIN;
SELECT public.request('POST', 'one row', path => '/note');
INSERT INTO idem_api.note (id, body, code) VALUES (50, 'kept', 'ab') RETURNING id, body, code, later;
ROLLBACK;
SELECT count(*) FROM idem_data.note;
DROP FUNCTION public.post;

-- The table changes between request and repetition.
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'alter');
INSERT INTO idem_api.charge (amount, labels) VALUES (50, '{x}') RETURNING amount, labels;
COMMIT;
BEGIN;
SELECT public.request('POST', 'alter');
INSERT INTO idem_api.charge (amount, labels) VALUES (50, '{x}') RETURNING amount, labels;
COMMIT;
RESET ROLE;
SELECT taskapi.unexpose('idem_api.charge');
ALTER TABLE idem_data.charge DROP COLUMN ratio, ADD COLUMN currency text NOT NULL DEFAULT 'EUR';
SELECT taskapi.expose('idem_data.charge', 'idem_api');
SELECT taskapi.grant_resource('idem_api.charge', 'regress_alice');
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'alter');
INSERT INTO idem_api.charge (amount, labels) VALUES (50, '{x}') RETURNING amount, labels, currency;
COMMIT;
RESET ROLE;

-- A type with a cast of its own to json, as hstore has: the cast makes what the type does not read.
CREATE TYPE idem_data.mood AS ENUM ('low', 'high');
CREATE FUNCTION idem_data.mood_json(idem_data.mood) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('mood', $1::text) $$;
CREATE CAST (idem_data.mood AS json) WITH FUNCTION idem_data.mood_json(idem_data.mood);
CREATE DOMAIN idem_data.moody AS idem_data.mood;
CREATE TABLE idem_data.felt (id int PRIMARY KEY, m idem_data.mood, n idem_data.moody, l idem_data.mood[], none idem_data.mood, at date DEFAULT '2026-01-02');
SELECT taskapi.expose('idem_data.felt', 'idem_api') \g /dev/null
BEGIN;
SELECT public.request('POST', 'felt', path => '/felt') \g /dev/null
INSERT INTO idem_api.felt (id, m, n, l) VALUES (1, 'low', 'high', '{low,high,NULL}') RETURNING id, m, n, l, none, at;
COMMIT;
BEGIN;
SELECT public.request('POST', 'felt', path => '/felt') \g /dev/null
INSERT INTO idem_api.felt (id, m, n, l) VALUES (1, 'low', 'high', '{low,high,NULL}') RETURNING id, m, n, l, none, at;
COMMIT;
-- What is kept of the columns' types ends with them, and with an error.
SELECT taskapi.unexpose('idem_api.charge');
ALTER TABLE idem_data.charge ALTER status DROP DEFAULT, ALTER status TYPE int USING 1, ALTER status SET DEFAULT 1;
SELECT taskapi.expose('idem_data.charge', 'idem_api');
SELECT taskapi.grant_resource('idem_api.charge', 'regress_alice');
SET ROLE regress_alice;
BEGIN;
SELECT public.request('POST', 'fits');
INSERT INTO idem_api.charge (amount) VALUES (51) RETURNING amount, status;
COMMIT;
BEGIN;
SELECT public.request('POST', 'fits');
INSERT INTO idem_api.charge (amount) VALUES (51) RETURNING amount, status;
COMMIT;
BEGIN;
SELECT public.request('POST', 'alter');
INSERT INTO idem_api.charge (amount, labels) VALUES (50, '{x}') RETURNING amount, status;
ROLLBACK;
BEGIN;
SELECT public.request('POST', 'fits');
INSERT INTO idem_api.charge (amount) VALUES (51) RETURNING amount, status;
COMMIT;
RESET ROLE;

DROP VIEW public.key;
DROP TABLE public.answer;
DROP FUNCTION public.request;
DROP SCHEMA idem_api, idem_data CASCADE;
DROP OWNED BY regress_alice, regress_bob;
DROP ROLE regress_alice, regress_bob;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
