-- A value that a deleted row keeps taken is told of: by expose(), and to whoever meets it and may see the trash.
\set SHOW_CONTEXT never
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA tk;
CREATE SCHEMA tk_api;
CREATE ROLE tk_client;
CREATE ROLE tk_blind;
CREATE FUNCTION tk.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint   text;
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    IF SQLERRM LIKE '{%' THEN RETURN concat_ws(' | ', SQLERRM::json ->> 'code', SQLERRM::json ->> 'hint'); END IF;
    RETURN concat_ws(' | ', CASE WHEN detail LIKE '{%' THEN detail::json ->> 'code' ELSE SQLERRM END, nullif(hint, ''));
END
$$;
GRANT USAGE ON SCHEMA tk, tk_api TO tk_client, tk_blind;
-- What expose() says of: a natural key, one that is made, a unique and an exclusion constraint, one of live rows, triggers.
CREATE TABLE tk.likes (who int, post int, PRIMARY KEY (who, post));
CREATE TABLE tk.made (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, deleted_at timestamptz, email text UNIQUE, nick text, room int, during int4range,
    EXCLUDE USING gist (room WITH =, during WITH &&) DEFERRABLE);
CREATE UNIQUE INDEX made_nick ON tk.made (nick) WHERE deleted_at IS NULL;
CREATE FUNCTION tk.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER count_down BEFORE DELETE ON tk.made FOR EACH ROW EXECUTE FUNCTION tk.nothing();
SET client_min_messages = notice;
SELECT taskapi.expose('tk.likes', 'tk_api');
SELECT taskapi.expose('tk.made', 'tk_api');
SET client_min_messages = warning;
SELECT taskapi.grant_resource(r, 'tk_client', '{read,create,update,delete,read_deleted,restore,purge}'), taskapi.grant_resource(r, 'tk_blind', '{read,create}')
FROM unnest('{tk_api.likes,tk_api.made}'::regclass[]) r \g /dev/null

-- The key: a row in the trash, a live row.
INSERT INTO tk_api.likes VALUES (1, 1), (1, 2), (2, 1);
DELETE FROM tk_api.likes WHERE who = 1 AND post = 1;
SET ROLE tk_client;
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (1, 1)');
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (1, 2)');
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (7, 7), (1, 1)'), tk.refused('INSERT INTO tk_api.likes VALUES (1, 1), (1, 2)');
BEGIN;
SET LOCAL request.method = 'PUT';
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (1, 1)');
ROLLBACK;
-- Who may not see the trash is told no more than that it exists.
SET ROLE tk_blind;
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (1, 1)');
RESET ROLE;
ALTER TABLE tk.likes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tk.likes USING (who <> 1) WITH CHECK (true);
SET ROLE tk_client;
SELECT tk.refused('INSERT INTO tk_api.likes (who, post) VALUES (1, 1)');
RESET ROLE;
ALTER TABLE tk.likes DISABLE ROW LEVEL SECURITY;
-- A trigger that clears the way is asked first.
CREATE FUNCTION tk.clear() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ BEGIN DELETE FROM tk.likes l WHERE l.who = NEW.who AND l.post = NEW.post AND l.deleted_at IS NOT NULL; RETURN NEW; END $$;
CREATE TRIGGER clear BEFORE INSERT ON tk.likes FOR EACH ROW EXECUTE FUNCTION tk.clear();
SELECT tk.refused('INSERT INTO tk_api.likes VALUES (1, 1)');

-- Constraints over all rows, of live rows only, deferrable; by POST and PATCH.
INSERT INTO tk_api.made (email, nick, room, during) VALUES ('a', 'a', 1, '[1,5)'), ('b', 'b', 2, '[1,5)');
DELETE FROM tk_api.made WHERE email = 'a';
SET ROLE tk_client;
SELECT tk.refused($$INSERT INTO tk_api.made (email) VALUES ('a')$$);
SELECT tk.refused($$UPDATE tk_api.made SET email = 'a'$$);
SELECT tk.refused($$INSERT INTO tk_api.made (nick) VALUES ('b')$$), tk.refused($$INSERT INTO tk_api.made (nick) VALUES ('a')$$);
SELECT tk.refused($$INSERT INTO tk_api.made (room, during) VALUES (1, '[2,3)')$$);
RESET ROLE;

DROP SCHEMA tk, tk_api CASCADE;
DROP EXTENSION btree_gist;
DROP OWNED BY tk_client, tk_blind;
DROP ROLE tk_client, tk_blind;
