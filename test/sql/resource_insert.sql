-- An INSERT into a resource asks for no right that the same INSERT on its table would not, and each column that it leaves out gets the table's default of that moment.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
SET client_min_messages = warning;
CREATE SCHEMA insert_data;
CREATE ROLE regress_insert NOLOGIN;
CREATE DOMAIN insert_data.required AS int NOT NULL;
CREATE TABLE insert_data.t (id int PRIMARY KEY, note text DEFAULT 'a', price int DEFAULT 10, since date,
    doubled insert_data.required GENERATED ALWAYS AS (id * 2) STORED);
SELECT taskapi.expose('insert_data.t', 'insert_api') \g /dev/null

-- What is left out, NULL and DEFAULT are three things, in one row, in many, in a WITH of two, in a function, by COPY.
INSERT INTO insert_api.t (id) VALUES (1) RETURNING id, note, price, doubled, version;
ALTER TABLE insert_data.t ALTER note SET DEFAULT 'b', ALTER since SET DEFAULT '2026-01-01';
INSERT INTO insert_api.t (id, note) VALUES (2, NULL), (3, DEFAULT), (4, 'x') RETURNING id, note, since;
INSERT INTO insert_api.t (id, note) VALUES (5, DEFAULT) RETURNING id, note;
WITH a AS (INSERT INTO insert_api.t (id) VALUES (6) RETURNING *), b AS (INSERT INTO insert_api.t (id, note) VALUES (7, NULL) RETURNING *)
SELECT id, note FROM a UNION ALL SELECT id, note FROM b;
CREATE FUNCTION insert_data.two() RETURNS SETOF insert_api.t BEGIN ATOMIC
    INSERT INTO insert_api.t (id, note) VALUES (8, NULL) RETURNING *;
END;
SELECT id, note FROM insert_data.two();
DO $$ BEGIN INSERT INTO insert_api.t (id, note) VALUES (9, NULL); INSERT INTO insert_api.t (id) VALUES (10); END $$;
COPY insert_api.t (id) FROM stdin;
11
\.
SELECT id, note, since FROM insert_api.t WHERE id > 8 ORDER BY id;
-- what a layer asks the catalog for is the default of now
SELECT taskapi.table_default('insert_data.t', 2::smallint, NULL::text), taskapi.table_default('insert_data.t', 1::smallint, NULL::int);
ALTER TABLE insert_data.t ALTER note DROP DEFAULT;
INSERT INTO insert_api.t (id) VALUES (12) RETURNING note;
SELECT taskapi.table_default('insert_data.t', 2::smallint, NULL::text);
SELECT taskapi.table_default('insert_data.t', 99::smallint, NULL::text);
SELECT taskapi.table_default('insert_data.t', 2::smallint, NULL::int);
-- a prepared statement is planned once, and each row still gets the default of its moment
PREPARE make(int) AS INSERT INTO insert_api.t (id) VALUES ($1) RETURNING note;
EXECUTE make(13);
SET plan_cache_mode = force_generic_plan;
EXECUTE make(14);
ALTER TABLE insert_data.t ALTER note SET DEFAULT 'c';
EXECUTE make(15);
RESET plan_cache_mode;

-- A cursor that is sent back is nothing that one writes. Nobody can make a mark of one's own.
INSERT INTO insert_api.t (id, note, cursor) SELECT 16, NULL, cursor FROM insert_api.t WHERE id = 1 RETURNING note;
INSERT INTO insert_api.t (id, note, cursor) VALUES (17, NULL,
    taskapi.cursor('insert_mac, insert_given, insert_returned, insert_conflict', repeat('0', 64), '0'::text, ''::text, 'x'::text))
RETURNING note;
DO $$ BEGIN
    INSERT INTO insert_api.t (id, note, cursor) VALUES (18, NULL,
        taskapi.cursor('insert_mac, insert_given, insert_returned, insert_conflict', repeat('0', 64), '0'::text, ''::text, 'x'::text));
END $$;
SELECT note FROM insert_api.t WHERE id = 18;

-- Privileges on columns.
GRANT USAGE ON SCHEMA insert_data, insert_api TO regress_insert;
GRANT INSERT (id, note) ON insert_api.t, insert_data.t TO regress_insert;
SET ROLE regress_insert;
INSERT INTO insert_api.t (id, note) VALUES (20, 'x');
INSERT INTO insert_api.t (id, note) VALUES (21, 'x') RETURNING 1 AS one;
INSERT INTO insert_api.t (id, price) VALUES (22, 1);
INSERT INTO insert_api.t (id) VALUES (23) RETURNING id;
SELECT taskapi.table_default('insert_data.t', 3::smallint, NULL::int);
RESET ROLE;
GRANT SELECT (id, note) ON insert_api.t TO regress_insert;
GRANT SELECT (id) ON insert_data.t TO regress_insert;
SET ROLE regress_insert;
INSERT INTO insert_api.t (id) VALUES (23) RETURNING id;
INSERT INTO insert_api.t (id) VALUES (24) RETURNING note;
INSERT INTO insert_api.t (id) VALUES (25) RETURNING cursor;
RESET ROLE;
-- the view's privilege is not the table's
REVOKE INSERT (note) ON insert_data.t FROM regress_insert;
SET ROLE regress_insert;
INSERT INTO insert_api.t (id) VALUES (26);
INSERT INTO insert_api.t (id, note) VALUES (27, 'x');
RESET ROLE;
SELECT id, note, price, version FROM insert_api.t WHERE id >= 20 ORDER BY id;

-- Rows that their creator cannot see, with a key as well: what is not returned need not be seen.
CREATE TABLE insert_data.letter (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, recipient name, body text);
ALTER TABLE insert_data.letter ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY send ON insert_data.letter FOR INSERT WITH CHECK (body <> 'spam');
CREATE POLICY read ON insert_data.letter FOR SELECT USING (recipient = current_user);
SELECT taskapi.expose('insert_data.letter', 'insert_api') \g /dev/null
SELECT taskapi.grant_resource('insert_api.letter', 'regress_insert') \g /dev/null
SET ROLE regress_insert;
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'one');
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'two') RETURNING 1 AS one;
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'spam');
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'three') RETURNING body;
INSERT INTO insert_api.letter (recipient, body) VALUES ('regress_insert', 'four') RETURNING body;
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/letter', false),
    set_config('request.jwt.claims', '{"sub": "ann"}', false), set_config('request.headers', '{"idempotency-key": "k"}', false) \g /dev/null
BEGIN;
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'five') RETURNING 1 AS one;
SELECT current_setting('response.headers');
COMMIT;
BEGIN;
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'five') RETURNING 1 AS one;
SELECT current_setting('response.headers');
COMMIT;
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'six');
INSERT INTO insert_api.letter (recipient, body) VALUES ('ann', 'five') RETURNING body;
SELECT set_config(s, '', false) FROM unnest('{request.method,request.path,request.jwt.claims,request.headers}'::text[]) s \g /dev/null
RESET ROLE;
SELECT id, body FROM insert_data.letter ORDER BY id;

-- A box into which one may only drop.
CREATE TABLE insert_data.box (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, body text NOT NULL);
SELECT taskapi.expose('insert_data.box', 'insert_api') \g /dev/null
SELECT taskapi.grant_resource('insert_api.box', 'regress_insert', '{create}') \g /dev/null
SET ROLE regress_insert;
INSERT INTO insert_api.box (body) VALUES ('one'), ('two');
INSERT INTO insert_api.box (id, body) VALUES (DEFAULT, 'three');
INSERT INTO insert_api.box (id, body) VALUES (NULL, 'four');
INSERT INTO insert_api.box (body) VALUES ('five') RETURNING id;
RESET ROLE;
SELECT id, body FROM insert_data.box ORDER BY id;

-- What an INSTEAD OF trigger after ours sees of a row that is not returned is what was sent.
CREATE FUNCTION insert_data.peek() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'id % price %', NEW.id, NEW.price; RETURN NEW; END $$;
CREATE TRIGGER zz_peek INSTEAD OF INSERT ON insert_api.t FOR EACH ROW EXECUTE FUNCTION insert_data.peek();
INSERT INTO insert_api.t (id) VALUES (30);
INSERT INTO insert_api.t (id) VALUES (31) RETURNING price;
-- A default that is not expose()'s own is seen by the view's triggers, and is none of the table's.
ALTER VIEW insert_api.t ALTER price SET DEFAULT 7;
CREATE TRIGGER aa_peek INSTEAD OF INSERT ON insert_api.t FOR EACH ROW EXECUTE FUNCTION insert_data.peek();
INSERT INTO insert_api.t (id) VALUES (32) RETURNING price;
PREPARE make_more(int) AS INSERT INTO insert_api.t (id) VALUES ($1) RETURNING price;
EXECUTE make_more(33);
ALTER VIEW insert_api.t ALTER price SET DEFAULT 8;
EXECUTE make_more(34);
-- Nothing but a transaction is needed to analyze such a statement.
CREATE PROCEDURE insert_data.twice() LANGUAGE plpgsql AS $$ BEGIN
    COMMIT;
    INSERT INTO insert_api.t (id) VALUES (35);
    COMMIT;
END $$;
CALL insert_data.twice();

DELETE FROM taskapi.idempotency_key;
DROP SCHEMA insert_data, insert_api CASCADE;
DROP ROLE regress_insert;
