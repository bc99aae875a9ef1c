-- A table that a trigger changes while its rows are purged has none of their values read as another type.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA pch;
CREATE SCHEMA pch_api;
CREATE TABLE pch.n (id int PRIMARY KEY);
CREATE TABLE pch.x (id bigint PRIMARY KEY, n int REFERENCES pch.n, k text NOT NULL UNIQUE);
SELECT taskapi.expose('pch.n', 'pch_api'), taskapi.expose('pch.x', 'pch_api') \g /dev/null
CREATE FUNCTION pch.change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE current_setting('pch.change'); RETURN OLD; END $$;
CREATE TRIGGER change BEFORE DELETE ON pch.n FOR EACH ROW EXECUTE FUNCTION pch.change();
INSERT INTO pch.n VALUES (1);
INSERT INTO pch.x VALUES (1, 1, 'one'), (2, 1, 'two');
UPDATE pch.x SET deleted_at = now() - interval '50 days', deletion_id = '018f0000-0000-7000-8000-000000000001';
UPDATE pch.n SET deleted_at = now() - interval '40 days', deletion_id = '018f0000-0000-7000-8000-000000000001';
CREATE PROCEDURE pch.try(change text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM set_config('pch.change', change, false);
    DELETE FROM pch_api.deleted_n;
    RAISE EXCEPTION 'undo' USING DETAIL = format('purged, %s rows left', (SELECT count(*) FROM pch.n));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RAISE WARNING '%: %', change, CASE SQLERRM WHEN 'undo' THEN detail ELSE SQLERRM END;
END $$;
-- The key by which the rows that wait for their turn are found: of another type, of more columns, another column, none.
CALL pch.try('ALTER TABLE pch.x DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (k)');
CALL pch.try('ALTER TABLE pch.x DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (id, k)');
CALL pch.try('ALTER TABLE pch.x ADD COLUMN id2 bigint; UPDATE pch.x SET id2 = 3 - id; ALTER TABLE pch.x DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (id2)');
CALL pch.try('ALTER TABLE pch.x DROP CONSTRAINT x_pkey');
-- The foreign key, by which it is looked whether rows are left.
CREATE TABLE pch.y (id int PRIMARY KEY, x bigint REFERENCES pch.x, k text);
CALL pch.try('ALTER TABLE pch.y DROP CONSTRAINT y_x_fkey, ADD CONSTRAINT y_x_fkey FOREIGN KEY (k) REFERENCES pch.x (k)');
CALL pch.try('ALTER TABLE pch.y DROP CONSTRAINT y_x_fkey');
DROP TABLE pch.y;
-- What leaves the columns as they are is no obstacle.
CALL pch.try('ALTER TABLE pch.x RENAME k TO kk');
CALL pch.try('ALTER TABLE pch.x ADD COLUMN more int');
CALL pch.try('ALTER TABLE pch.x RENAME TO z');

-- The same for a row that a PUT replaces, if the condition of the client changes the table: it is looked up by the key that it was read by.
CREATE TABLE pch.w (id int PRIMARY KEY, k text NOT NULL UNIQUE, n int);
SELECT taskapi.expose('pch.w', 'pch_api') \g /dev/null
CREATE FUNCTION pch.changes() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN EXECUTE current_setting('pch.change'); RETURN true; END $$;
INSERT INTO pch.w VALUES (1, 'one', 1);
CREATE PROCEDURE pch.put(n int, change text) LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    PERFORM set_config('pch.change', change, false), set_config('request.method', 'PUT', true),
            set_config('request.headers', CASE n WHEN 1 THEN '{"if-match": "\"1\""}' END, true);
    INSERT INTO pch_api.w AS w (id, k, n) VALUES (1, 'one', put.n)
        ON CONFLICT (id) DO UPDATE SET id = excluded.id, k = excluded.k, n = excluded.n WHERE pch.changes() RETURNING w.n::text INTO result;
    RAISE EXCEPTION 'undo' USING DETAIL = format('put, n is %s', result);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    RAISE WARNING '%: %', change, CASE SQLERRM WHEN 'undo' THEN result ELSE SQLERRM END;
END $$;
CALL pch.put(2, 'ALTER TABLE pch.w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (k)');
CALL pch.put(1, 'ALTER TABLE pch.w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (k)');
CALL pch.put(1, 'ALTER TABLE pch.w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (k, id)');
CALL pch.put(2, 'ALTER TABLE pch.w DROP CONSTRAINT w_pkey');
CALL pch.put(2, 'ALTER TABLE pch.w RENAME n TO m');
CALL pch.put(1, 'ALTER TABLE pch.w ADD COLUMN more int');
CALL pch.put(2, 'ALTER TABLE pch.w RENAME TO v');

DROP SCHEMA pch_api, pch CASCADE;
