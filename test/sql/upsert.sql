-- INSERT ... ON CONFLICT on a resource does what it does on the table, whatever request it was planned for; PUT.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE upsert_user;
CREATE SCHEMA upsert_data;
CREATE TABLE upsert_data.item (
    id int PRIMARY KEY, code text UNIQUE, title text NOT NULL DEFAULT 'untitled', n int NOT NULL DEFAULT 0 CHECK (n < 100),
    tags int[] NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(), made_by text NOT NULL DEFAULT current_user);
-- the same without us, to compare with
CREATE TABLE upsert_data.plain (LIKE upsert_data.item INCLUDING ALL);
SELECT taskapi.expose('upsert_data.item', 'upsert_api', 'items');
SET search_path = upsert_data, upsert_api, public;

CREATE FUNCTION upsert_data.problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
    code    text;
    rows    bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN rows || ' rows';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    IF code = 'PGRST' THEN
        RETURN concat_ws(' | ', detail::json ->> 'status', message::json ->> 'code',
                         -- minor versions differ in what they look at first
                         CASE WHEN message::json ->> 'code' <> 'forbidden' THEN message::json ->> 'details' END, message::json ->> 'hint');
    END IF;
    RETURN concat_ws(' | ', code, message, CASE WHEN detail LIKE '{%' THEN detail::json ->> 'details' ELSE detail END, nullif(hint, ''));
END
$$;

-- The same statements on the resource and on the table: the rows that they return, and what is there afterwards.
CREATE FUNCTION upsert_data.compare(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ours   text;
    theirs text;
    answer text;
BEGIN
    FOREACH answer IN ARRAY '{items,plain}'::text[] LOOP
        BEGIN
            EXECUTE format('WITH source AS (%s RETURNING id, code, title, n, tags)
                            SELECT coalesce(string_agg(source::text, '' '' ORDER BY id), ''nothing'') FROM source', replace(statement, 'THIS', answer))
            INTO theirs;
        EXCEPTION WHEN OTHERS THEN
            theirs := SQLSTATE;
        END;
        ours := coalesce(ours, theirs);
    END LOOP;
    IF ours <> theirs THEN
        RETURN format('DIFFERS: %s and %s', ours, theirs);
    END IF;
    IF EXISTS ((SELECT id, code, title, n, tags FROM items EXCEPT SELECT id, code, title, n, tags FROM plain)
               UNION ALL (SELECT id, code, title, n, tags FROM plain EXCEPT SELECT id, code, title, n, tags FROM items)) THEN
        RETURN 'DIFFERS afterwards';
    END IF;
    RETURN ours;
END
$$;
SELECT compare($$INSERT INTO THIS (id, code, n) VALUES (1, 'a', 1), (2, 'b', 2) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT compare($$INSERT INTO THIS (id, code, n) VALUES (1, 'x', 10), (3, 'c', 3) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT compare($$INSERT INTO THIS AS t (id, code, n) VALUES (1, 'a', 5) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n, title = upper(t.title)$$);
SELECT compare($$INSERT INTO THIS AS t (id, n) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE t.n < excluded.n$$);
SELECT compare($$INSERT INTO THIS AS t (id, n) VALUES (1, 55) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE t.n < excluded.n$$);
SELECT compare($$INSERT INTO THIS AS t (id, code) VALUES (9, 'a') ON CONFLICT (code) DO UPDATE SET title = 'by code ' || excluded.id || t.id$$);
SELECT compare($$INSERT INTO THIS AS t (id) VALUES (2) ON CONFLICT (id) DO UPDATE SET tags[2] = 7, title = DEFAULT$$);
SELECT compare($$INSERT INTO THIS (id, title) VALUES (1, 'z'), (4, 'z') ON CONFLICT (id) DO NOTHING$$);
SELECT compare($$INSERT INTO THIS (id, code) VALUES (5, 'a'), (6, 'f') ON CONFLICT DO NOTHING$$);
SELECT compare($$INSERT INTO THIS (id, code) VALUES (7, 'g'), (7, 'h') ON CONFLICT (id) DO NOTHING$$);
SELECT compare($$INSERT INTO THIS (id, n) VALUES (1, 100) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$) <> '';
SELECT compare($$INSERT INTO THIS (id, n) SELECT g, g FROM generate_series(1, 20) g ON CONFLICT (id) DO UPDATE SET n = excluded.n * 2, title = NULLIF(excluded.title, 'q')$$);
SELECT compare($$INSERT INTO THIS (id, n) SELECT g, g FROM generate_series(1, 20) g ON CONFLICT (id) DO UPDATE SET n = excluded.n * 2$$);
-- a row that the statement itself has written
SELECT compare($$INSERT INTO THIS (id, n) VALUES (30, 1), (30, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT compare($$INSERT INTO THIS (id, n) VALUES (1, 1), (31, 1), (1, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);

-- Refused by name, or left to the server: nothing is dropped in silence.
SELECT problem($$INSERT INTO items (id, title) VALUES (1, 'x') ON CONFLICT (title) DO UPDATE SET title = excluded.title$$);
SELECT problem($$INSERT INTO items (id, title) VALUES (1, 'x') ON CONFLICT (id, title) DO NOTHING$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = (SELECT max(n) FROM items)$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET title = excluded::text$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET title = excluded.cursor::text$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT (id COLLATE "C") DO NOTHING$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET version = 7$$);
SELECT problem($$INSERT INTO items (id) VALUES (1) ON CONFLICT ON CONSTRAINT item_pkey DO NOTHING$$);

-- What the server writes is the server's: a row that was read can be sent back, and its version is a precondition.
SELECT id, n, version FROM items WHERE id IN (1, 2) ORDER BY id;
WITH r AS (SELECT * FROM items WHERE id = 1)
INSERT INTO items SELECT (jsonb_populate_record(NULL::items, to_jsonb(r) || '{"n": 50}')).* FROM r
ON CONFLICT (id) DO UPDATE SET id = excluded.id, n = excluded.n, version = excluded.version, updated_at = excluded.updated_at,
    cursor = excluded.cursor RETURNING id, n, version;
SELECT problem($$INSERT INTO items (id, n, version) VALUES (1, 51, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n, version = excluded.version$$);
SELECT problem($$INSERT INTO items (id, n, version) VALUES (1, 51, NULL) ON CONFLICT (id) DO UPDATE SET n = excluded.n, version = excluded.version$$);
SELECT problem($$INSERT INTO items (id, n, version) VALUES (41, 51, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n, version = excluded.version$$);
-- a change that is none is no new version
INSERT INTO items (id, n) VALUES (1, 50) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n, version;

-- A deleted row in the way.
DELETE FROM items WHERE id = 2;
SELECT problem($$INSERT INTO items (id, n) VALUES (2, 1) ON CONFLICT (id) DO UPDATE SET n = excluded.n$$);
SELECT problem($$INSERT INTO items (id, n) VALUES (2, 1) ON CONFLICT (id) DO NOTHING$$);
SELECT id, n, deleted_at IS NOT NULL AS deleted FROM item WHERE id = 2;
-- unless a unique index holds for live rows only
ALTER TABLE item DROP CONSTRAINT item_code_key;
CREATE UNIQUE INDEX item_code_live ON item (code) WHERE deleted_at IS NULL;
INSERT INTO items (id, code) VALUES (60, 'b') ON CONFLICT (code) DO UPDATE SET n = excluded.n RETURNING id, code, n;
INSERT INTO items (id, code, n) VALUES (61, 'b', 61) ON CONFLICT (code) DO UPDATE SET n = excluded.n RETURNING id, code, n;
-- and unique indexes over expressions
CREATE UNIQUE INDEX item_title_live ON item (lower(title)) WHERE deleted_at IS NULL AND n > 90;
INSERT INTO items (id, title, n) VALUES (62, 'Lower', 91) ON CONFLICT (lower(title)) WHERE n > 90 DO UPDATE SET n = 98 RETURNING id, title, n;
INSERT INTO items (id, title, n) VALUES (63, 'LOWER', 92) ON CONFLICT (lower(title)) WHERE n > 90 DO UPDATE SET n = 98 RETURNING id, title, n;

-- Parameters, in plans for their values and in one for any.
PREPARE add (int, int, text) AS INSERT INTO items AS t (id, n) VALUES ($1, $2)
    ON CONFLICT (id) DO UPDATE SET n = t.n + $2, title = $3 WHERE t.title IS DISTINCT FROM $3 RETURNING id, n, title;
EXECUTE add(70, 1, 'one');
EXECUTE add(70, 2, 'two');
EXECUTE add(70, 2, 'two');
SET plan_cache_mode = force_generic_plan;
EXECUTE add(70, 3, 'three');
EXECUTE add(70, 4, NULL);
EXECUTE add(70, 5, 'five');
EXECUTE add(71, 5, 'five');
RESET plan_cache_mode;
DEALLOCATE add;

-- What a plan was made for is what it does, in whatever request.
PREPARE put AS INSERT INTO items (id, n) VALUES (80, 8) ON CONFLICT (id) DO UPDATE SET id = excluded.id, n = excluded.n RETURNING id, n, title, version;
PREPARE other AS INSERT INTO items (id, n) VALUES (80, 9) ON CONFLICT (id) DO UPDATE SET title = 'other' RETURNING id, n, title, version;
PREPARE none AS INSERT INTO items (id, n) VALUES (80, 10) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE items.title = 'nobody' RETURNING id, n, title, version;
SET plan_cache_mode = force_generic_plan;
INSERT INTO items (id, n, title) VALUES (80, 1, 'kept');
SET request.method = 'POST';
EXECUTE put;
SET request.method = 'PUT';
EXECUTE other;
EXECUTE none;
EXECUTE put;
SET request.method = 'POST';
UPDATE items SET title = 'kept', n = 0 WHERE id = 80;
EXECUTE put;
EXECUTE none;
SET request.method = 'PUT';
SELECT problem('INSERT INTO items (id) VALUES (80)');
DEALLOCATE ALL;
RESET request.method;
RESET plan_cache_mode;

-- PUT keeps what the body leaves out if its default is made for each row, or if its comment says so.
COMMENT ON COLUMN item.n IS '@kept: a counter';
INSERT INTO items (id, title, n, created_at, made_by) VALUES (90, 'put', 9, '2000-01-01', 'somebody');
SET request.method = 'PUT';
INSERT INTO items (id) VALUES (90) ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id, title, n, created_at, made_by;
INSERT INTO items (id, created_at, n) VALUES (90, '2001-01-01', 4) ON CONFLICT (id) DO UPDATE SET id = excluded.id, created_at = excluded.created_at, n = excluded.n
RETURNING id, title, n, created_at, made_by;
INSERT INTO items (id) VALUES (91) ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id, title, n, created_at = now() AS now, made_by = current_user AS self;
DELETE FROM items WHERE id = 91;
SELECT problem($$INSERT INTO items (id) VALUES (91) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT problem($$INSERT INTO items (id, version) VALUES (90, NULL) ON CONFLICT (id) DO UPDATE SET id = excluded.id, version = excluded.version$$);
SELECT problem($$INSERT INTO items (id, version) VALUES (90, -3) ON CONFLICT (id) DO UPDATE SET id = excluded.id, version = excluded.version$$);
RESET request.method;

-- What only the table can make, in a body.
CREATE TABLE upsert_data.made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int NOT NULL, double int GENERATED ALWAYS AS (a * 2) STORED);
SELECT taskapi.expose('upsert_data.made', 'upsert_api', 'made');
INSERT INTO upsert_api.made (a) VALUES (1);
SET request.method = 'PUT';
SELECT problem($$INSERT INTO upsert_api.made (id, a) VALUES (500, 1) ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a$$);
INSERT INTO upsert_api.made (id, a, double, version) VALUES (1, 5, 2, 1)
ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a, double = excluded.double, version = excluded.version RETURNING id, a, double, version;
SET request.method = 'POST';
SELECT problem($$INSERT INTO upsert_api.made (a, double) VALUES (1, 5)$$);
RESET request.method;

-- Rights and policies of both INSERT and UPDATE.
CREATE TABLE upsert_data.owned (id int PRIMARY KEY, owner text NOT NULL DEFAULT current_user, note text);
ALTER TABLE upsert_data.owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY sees ON upsert_data.owned FOR SELECT USING (owner = current_user OR note = 'public');
CREATE POLICY makes ON upsert_data.owned FOR INSERT WITH CHECK (owner = current_user);
CREATE POLICY changes ON upsert_data.owned FOR UPDATE USING (owner = current_user) WITH CHECK (note <> 'forbidden');
SELECT taskapi.expose('upsert_data.owned', 'upsert_api', 'owned');
SELECT taskapi.grant_resource('upsert_api.owned', 'upsert_user', '{read,create,update}');
GRANT USAGE ON SCHEMA upsert_data TO upsert_user;
INSERT INTO upsert_data.owned VALUES (1, 'somebody', 'hidden'), (2, 'somebody', 'public'), (3, 'upsert_user', 'own');
SET request.method = 'POST';
SET ROLE upsert_user;
SELECT i, note, problem(format('INSERT INTO upsert_api.owned (id, note) VALUES (%s, %L) ON CONFLICT (id) DO UPDATE SET note = excluded.note', i, note))
FROM (VALUES (1, 'x'), (2, 'x'), (3, 'x'), (3, 'forbidden'), (4, 'new')) v (i, note);
SELECT i, problem(format('INSERT INTO upsert_api.owned (id, note) VALUES (%s, %L) ON CONFLICT (id) DO NOTHING', i, 'y')) FROM generate_series(1, 5) i;
-- a precondition does not tell what is in a row that is hidden; of one that is seen and not theirs, servers ask first for the
-- policy or first for the condition
SET request.headers = '{"if-none-match": "*"}';
SELECT i, problem(format('INSERT INTO upsert_api.owned (id, note) VALUES (%s, %L) ON CONFLICT (id) DO UPDATE SET note = excluded.note', i, 'z'))
FROM (VALUES (1), (3), (6)) v (i);
SET request.headers = '{"if-match": "\"2\""}';
SELECT i, problem(format('INSERT INTO upsert_api.owned (id, note) VALUES (%s, %L) ON CONFLICT (id) DO UPDATE SET note = excluded.note', i, 'z'))
FROM (VALUES (1), (3), (7)) v (i);
SET request.headers = '{}';
SET taskapi.require_if_match = on;
SELECT problem($$INSERT INTO upsert_api.owned (id, note) VALUES (3, 'blind') ON CONFLICT (id) DO UPDATE SET note = excluded.note$$);
SELECT problem($$INSERT INTO upsert_api.owned (id, note) VALUES (8, 'new') ON CONFLICT (id) DO UPDATE SET note = excluded.note$$);
RESET taskapi.require_if_match;
RESET ROLE;
RESET request.headers;
RESET request.method;
SELECT id, owner, note, version FROM upsert_data.owned ORDER BY id;
REVOKE UPDATE ON upsert_data.owned, upsert_api.owned FROM upsert_user;
SET ROLE upsert_user;
SELECT problem($$INSERT INTO upsert_api.owned (id, note) VALUES (3, 'no') ON CONFLICT (id) DO UPDATE SET note = excluded.note$$);
SELECT problem($$INSERT INTO upsert_api.owned (id, note) VALUES (3, 'no') ON CONFLICT (id) DO NOTHING$$);
RESET ROLE;

-- Triggers of the table see what they see on a table, and what they change is what conflicts.
CREATE FUNCTION upsert_data.trace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'ROW' AND TG_WHEN = 'BEFORE' THEN
        IF NEW.title = 'veto' THEN
            RETURN NULL;
        END IF;
        NEW.title := lower(NEW.title);
    END IF;
    RAISE NOTICE '% % %', TG_WHEN, TG_OP, TG_LEVEL;
    RETURN NEW;
END
$$;
CREATE UNIQUE INDEX item_title ON item (title) WHERE id > 200;
CREATE TRIGGER a_trace BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION trace();
CREATE TRIGGER a_trace_after AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION trace();
SET client_min_messages = notice;
INSERT INTO items (id, title) VALUES (201, 'Two') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING id, title;
INSERT INTO items (id, title) VALUES (202, 'TWO') ON CONFLICT (title) WHERE id > 200 DO UPDATE SET code = excluded.title RETURNING id, title, code;
INSERT INTO items (id, title) VALUES (203, 'veto') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING id, title;
SET request.method = 'PUT';
INSERT INTO items (id, title) VALUES (203, 'veto') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING id, title;
INSERT INTO items (id, title) VALUES (201, 'veto') ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING id, title;
RESET request.method;
SET client_min_messages = warning;

-- insert_conflict() is nobody's to call.
SELECT problem('SELECT taskapi.insert_conflict(true, 1, ROW(1))');
-- A view of the user's over the resource, and EXPLAIN, which prints what is planned.
CREATE VIEW upsert_data.mine AS SELECT id, n FROM upsert_api.items;
INSERT INTO mine VALUES (80, 77) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n;
SELECT count(*) > 0 AS explained FROM (SELECT problem('EXPLAIN (VERBOSE) INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO NOTHING')) e;

RESET search_path;
DROP SCHEMA upsert_api, upsert_data CASCADE;
DROP ROLE upsert_user;
