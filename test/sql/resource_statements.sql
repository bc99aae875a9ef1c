-- A statement on a resource is one statement to its table: what waits for its end there waits for it here.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA rs;
CREATE SCHEMA rs_api;
CREATE TABLE rs.log (n serial, what text);
CREATE FUNCTION rs.seen() RETURNS SETOF text LANGUAGE sql AS $$ WITH gone AS (DELETE FROM rs.log RETURNING n, what) SELECT what FROM gone ORDER BY n $$;
-- Each table twice: in rs_plain as it is, in rs exposed; "api" is where a statement goes.
CREATE SCHEMA rs_plain;
CREATE FUNCTION rs.make(ddl text, VARIADIC tables text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    EXECUTE replace(ddl, '@', 'rs_plain');
    EXECUTE replace(ddl, '@', 'rs');
    FOREACH t IN ARRAY tables LOOP
        PERFORM taskapi.expose(('rs.' || t)::regclass, 'rs_api', soft_delete => false);
    END LOOP;
END
$$;
-- What a statement does on the table and on the resource: rows that it tells of, or its error; then what is left.
CREATE FUNCTION rs.both(statement text, VARIADIC tables text[]) RETURNS TABLE (place text, outcome text, rows text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    state  text;
    n      int;
    t      text;
    r      text;
BEGIN
    FOR i IN 1..2 LOOP
        place := (ARRAY['table', 'resource'])[i];
        BEGIN
            EXECUTE replace(statement, '@', (ARRAY['rs_plain', 'rs_api'])[i]);
            GET DIAGNOSTICS n = ROW_COUNT;
            outcome := n || ' rows';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE;
            -- 18 has another code for RESTRICT
            outcome := concat_ws(' ', CASE i WHEN 1 THEN left(state, 2) ELSE state END, CASE WHEN detail LIKE '{%' THEN detail::json ->> 'code' END);
        END;
        rows := '';
        FOREACH t IN ARRAY tables LOOP
            EXECUTE format('SELECT %L || coalesce(string_agg((to_jsonb(t) - ''cursor'' - ''version'' - ''updated_at'')::text, '' '' ORDER BY id), '''') FROM %s.%I t',
                           t || ': ', (ARRAY['rs_plain', 'rs_api'])[i], t) INTO r;
            rows := concat_ws('; ', nullif(rows, ''), translate(r, '"{}', ''));
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;

-- References: child first, parent first, and what is still wrong at the end.
SELECT rs.make('CREATE TABLE @.tree (id int PRIMARY KEY, p int REFERENCES @.tree)', 'tree') \g /dev/null
SELECT rs.make('CREATE TABLE @.leaf (id int PRIMARY KEY, p int REFERENCES @.tree ON DELETE RESTRICT)', 'leaf') \g /dev/null
SELECT * FROM rs.both('INSERT INTO @.tree (id, p) VALUES (3, 2), (2, 1), (1, NULL)', 'tree');
SELECT * FROM rs.both('WITH l AS (INSERT INTO @.leaf (id, p) VALUES (1, 7)) INSERT INTO @.tree (id, p) VALUES (7, 7)', 'tree', 'leaf');
SELECT * FROM rs.both('INSERT INTO @.tree (id, p) VALUES (8, 9), (10, 1)', 'tree');
SELECT * FROM rs.both('DELETE FROM @.tree WHERE id IN (1, 2)', 'tree');
SELECT * FROM rs.both('DELETE FROM @.tree WHERE id IN (1, 2, 3)', 'tree');
SELECT * FROM rs.both('DELETE FROM @.tree', 'tree');
SELECT * FROM rs.both('WITH t AS (DELETE FROM @.tree) DELETE FROM @.leaf', 'tree', 'leaf');

-- Unique constraints that can be deferred hold at the end of a statement; others at each row.
SELECT rs.make('CREATE TABLE @.place (id int PRIMARY KEY, at int UNIQUE DEFERRABLE, fixed int UNIQUE)', 'place') \g /dev/null
SELECT * FROM rs.both('INSERT INTO @.place (id, at, fixed) VALUES (1, 1, 1), (2, 2, 2)', 'place');
SELECT * FROM rs.both('UPDATE @.place SET at = 3 - at', 'place');
SELECT * FROM rs.both('UPDATE @.place SET at = 7', 'place');
SELECT * FROM rs.both('UPDATE @.place SET fixed = 3 - fixed', 'place');

-- Statement triggers fire once, transition tables hold all rows, and AFTER triggers see them all.
SELECT rs.make('CREATE TABLE @.item (id int PRIMARY KEY, n int, is_default bool DEFAULT false)', 'item') \g /dev/null
CREATE FUNCTION rs.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rs.log (what) VALUES (concat_ws(' ', CASE TG_TABLE_SCHEMA WHEN 'rs' THEN 'resource' ELSE 'table' END, TG_WHEN, TG_LEVEL, TG_OP, CASE WHEN TG_LEVEL = 'ROW' THEN OLD.id END));
    RETURN NEW;
END
$$;
CREATE FUNCTION rs.note_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rs.log (what) SELECT concat_ws(' ', CASE TG_TABLE_SCHEMA WHEN 'rs' THEN 'resource' ELSE 'table' END, TG_OP, count(*), 'of', sum(n)) FROM new_rows;
    RETURN NULL;
END
$$;
SELECT rs.make('CREATE TRIGGER before BEFORE UPDATE ON @.item FOR EACH STATEMENT EXECUTE FUNCTION rs.note();
    CREATE TRIGGER row AFTER UPDATE ON @.item FOR EACH ROW EXECUTE FUNCTION rs.note();
    CREATE TRIGGER after AFTER UPDATE ON @.item REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION rs.note_rows();
    CREATE TRIGGER made AFTER INSERT ON @.item REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION rs.note_rows()') \g /dev/null
SELECT * FROM rs.both('INSERT INTO @.item (id, n) VALUES (1, 1), (2, 2), (3, 3)', 'item');
SELECT rs.seen();
SELECT * FROM rs.both('UPDATE @.item SET n = n + 1 WHERE id < 3', 'item');
SELECT rs.seen();
SELECT rs.make('DROP TRIGGER before ON @.item; DROP TRIGGER row ON @.item; DROP TRIGGER after ON @.item; DROP TRIGGER made ON @.item') \g /dev/null

-- A trigger that changes siblings is no other request.
CREATE FUNCTION rs.one_default() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I.item SET is_default = false, n = n + 100 WHERE id <> $1 AND is_default', TG_TABLE_SCHEMA) USING NEW.id;
    RETURN NULL;
END
$$;
SELECT rs.make('CREATE TRIGGER one AFTER UPDATE OF is_default ON @.item FOR EACH ROW WHEN (NEW.is_default) EXECUTE FUNCTION rs.one_default()') \g /dev/null
SELECT * FROM rs.both('UPDATE @.item SET is_default = true, n = n + 1', 'item');
SELECT * FROM rs.both('UPDATE @.item SET is_default = true, n = n + 1 WHERE id > 1', 'item');

-- A statement writes a row once, whatever matches it twice.
SELECT * FROM rs.both('UPDATE @.item SET n = v FROM (VALUES (1, 10), (1, 20)) x (i, v) WHERE id = i', 'item');
SELECT * FROM rs.both('UPDATE @.item SET n = v FROM (VALUES (1, 11), (1, 20), (2, 7)) x (i, v) WHERE id = i', 'item');
SELECT * FROM rs.both('WITH a AS (UPDATE @.item SET n = 1) UPDATE @.item SET n = 1 WHERE id = 1', 'item');
SELECT * FROM rs.both('UPDATE @.item SET n = CASE v WHEN 1 THEN 31 ELSE n END, is_default = (v = 2) FROM (VALUES (1), (2)) x (v)', 'item');
SELECT taskapi.expose('rs.item', versioned => false) \g /dev/null
SELECT * FROM rs.both('UPDATE @.item SET n = CASE v WHEN 1 THEN 41 ELSE n END, is_default = (v = 2) FROM (VALUES (1), (2)) x (v)', 'item');
SELECT * FROM rs.both('UPDATE @.item SET n = v FROM (VALUES (1, 10), (1, 20)) x (i, v) WHERE id = i', 'item');
SELECT taskapi.expose('rs.item', versioned => true) \g /dev/null

-- A BEFORE trigger that changes siblings: the table refuses it, the resource writes them all.  With If-Match too, of what the statement saw.
CREATE FUNCTION rs.sibling() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- pg_trigger_depth() counts the trigger of the view
    IF coalesce(current_setting('rs.inside', true), '') = '' THEN
        SET LOCAL rs.inside = on;
        UPDATE rs.item SET n = n + 1000 WHERE id > NEW.id;
        SET LOCAL rs.inside = '';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sibling BEFORE UPDATE ON rs.item FOR EACH ROW EXECUTE FUNCTION rs.sibling();
WITH u AS (UPDATE rs_api.item SET n = id RETURNING id, n) SELECT * FROM u ORDER BY id;
WITH u AS (UPDATE rs_api.item SET is_default = true, n = 10 * id, version = version RETURNING id, n) SELECT * FROM u ORDER BY id;
UPDATE rs_api.item SET n = id FROM (VALUES (2), (2), (3)) x (i) WHERE id = i OR i = 3 AND id = 1;
SELECT id, n, is_default FROM rs_api.item ORDER BY id;
DROP TRIGGER sibling ON rs.item;

-- A trigger that vetoes is asked once, and what it did on the way stays done once.
CREATE FUNCTION rs.veto() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rs.log (what) VALUES (concat_ws(' ', 'veto', TG_TABLE_SCHEMA, TG_OP, OLD.id));
    IF coalesce(current_setting('rs.inside', true), '') = '' THEN
        SET LOCAL rs.inside = on;
        EXECUTE format('UPDATE %I.item SET n = n + 1 WHERE id = 3', TG_TABLE_SCHEMA);
        EXECUTE format('UPDATE %I.item SET n = n + 1 WHERE id = $1', TG_TABLE_SCHEMA) USING OLD.id;
        SET LOCAL rs.inside = '';
        RETURN NULL;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
UPDATE rs.item SET n = id; UPDATE rs_plain.item SET n = id, is_default = true;
SELECT rs.make('CREATE TRIGGER veto BEFORE UPDATE OR DELETE ON @.item FOR EACH ROW EXECUTE FUNCTION rs.veto()') \g /dev/null
SELECT * FROM rs.both('UPDATE @.item SET n = 77 WHERE id = 1', 'item');
SELECT rs.seen();
SELECT * FROM rs.both('DELETE FROM @.item WHERE id = 1', 'item');
SELECT rs.seen();
BEGIN;
SET LOCAL request.method = 'DELETE';
SELECT set_config('request.headers', format('{"if-match": "\"%s\""}', (SELECT version FROM rs_api.item WHERE id = 2)), true) \g /dev/null
DELETE FROM rs_api.item WHERE id = 2;
SELECT rs.seen();
ROLLBACK;
SELECT rs.make('DROP TRIGGER veto ON @.item') \g /dev/null

-- A trigger that sorts after ours changes the row: that counts.
CREATE FUNCTION rs.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n + 1; RETURN NEW; END $$;
CREATE TRIGGER zzz_late BEFORE UPDATE ON rs.item FOR EACH ROW EXECUTE FUNCTION rs.late();
SELECT version AS was FROM rs.item WHERE id = 1 \gset
UPDATE rs.item SET n = n WHERE id = 1 RETURNING version - :was AS moved;
UPDATE rs_api.item SET n = 7 WHERE id = 1 RETURNING version - :was AS moved, n;
DROP TRIGGER zzz_late ON rs.item;
UPDATE rs.item SET n = n WHERE id = 1 RETURNING version - :was AS moved;
UPDATE rs.item SET n = id, is_default = false; UPDATE rs_plain.item SET n = id, is_default = false;

-- An error of such a trigger is a problem as one of a row is, and undoes the statement.
CREATE FUNCTION rs.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n > 1000 THEN PERFORM taskapi.raise_problem('invalid_value', 'Too much.'); END IF; RETURN NULL; END $$;
SELECT rs.make('CREATE TRIGGER refuse AFTER UPDATE ON @.item FOR EACH ROW EXECUTE FUNCTION rs.refuse()') \g /dev/null
SELECT * FROM rs.both('UPDATE @.item SET n = n * 1000', 'item');
SELECT rs.make('DROP TRIGGER refuse ON @.item; DROP TRIGGER one ON @.item') \g /dev/null

-- What such a trigger writes to resources is not what the client asked for: its key, its preconditions and its method are not meant.
CREATE FUNCTION rs.copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rs_api.tree (id) VALUES (NEW.id + 100) ON CONFLICT DO NOTHING;
    UPDATE rs_api.item SET n = n + 1000 WHERE id = NEW.id + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER copy AFTER UPDATE ON rs.item FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION rs.copy();
DELETE FROM rs.tree;
SELECT version FROM rs_api.item ORDER BY id;
BEGIN;
SET LOCAL request.method = 'PATCH';
SELECT set_config('request.headers', format('{"if-match": "\"%s\""}', (SELECT version FROM rs_api.item WHERE id = 1)), true) \g /dev/null
UPDATE rs_api.item SET n = 0 WHERE id = 1 RETURNING id, n;
SELECT current_setting('response.headers', true) LIKE '%ETag%' AS etag;
ROLLBACK;
BEGIN;
SET LOCAL request.method = 'PATCH';
SET LOCAL taskapi.require_if_match = on;
SELECT set_config('request.headers', '{"if-match": "*"}', true) \g /dev/null
UPDATE rs_api.item SET n = 0 WHERE id = 1 RETURNING id, n;
SELECT id, n FROM rs_api.item ORDER BY id;
SELECT id FROM rs_api.tree;
ROLLBACK;
-- In a trigger that catches an error, the statement goes on.
DROP TRIGGER copy ON rs.item;
CREATE FUNCTION rs.try() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rs_api.tree (id, p) VALUES (1, 2), (2, 77);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    INSERT INTO rs.log (what) VALUES ('caught ' || SQLSTATE);
    INSERT INTO rs_api.tree (id, p) VALUES (1, 2), (2, NULL);
    RETURN NULL;
END
$$;
CREATE TRIGGER copy_try AFTER UPDATE ON rs.item FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION rs.try();
WITH u AS (UPDATE rs_api.item SET n = 5 RETURNING id, n) SELECT * FROM u ORDER BY id;
SELECT rs.seen();
SELECT id, p FROM rs_api.tree ORDER BY id;
-- COPY has no end of its own, and does the same.
COPY rs_api.tree (id, p) FROM STDIN;
21	22
22	23
23	\N
\.
SELECT id, p FROM rs_api.tree WHERE id > 20 ORDER BY id;

DROP SCHEMA rs, rs_api, rs_plain CASCADE;
