-- An error of a statement that runs with an owner's rights tells the caller no value of a row, whatever raises it.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA errors;
CREATE SCHEMA errors_api;
CREATE ROLE regress_errors;

-- A parent that the caller may write, and children of which it may see nothing. Every value that must not be seen holds "secret".
CREATE DOMAIN errors.word AS text CONSTRAINT short CHECK (length(value) < 30);
CREATE TABLE errors.parent (id int PRIMARY KEY);
CREATE TABLE errors.child (
    id int PRIMARY KEY, parent int REFERENCES errors.parent ON DELETE CASCADE, word errors.word, nullable text DEFAULT 'secret-n',
    during int4range, owed text, deleted_at timestamptz);
CREATE TABLE errors.ledger (word text PRIMARY KEY, child int);
CREATE TABLE errors.mode (kind text, operation text);
INSERT INTO errors.mode VALUES ('none', 'none');
CREATE TABLE errors.audit (word text UNIQUE, checked int CHECK (checked < 5), must text NOT NULL, d errors.word, ref text REFERENCES errors.ledger,
    span int4range, EXCLUDE USING gist (span WITH &&));
INSERT INTO errors.ledger VALUES ('secret-kept', 1);
INSERT INTO errors.audit VALUES ('secret-old', 1, 'x', 'x', 'secret-kept', '[1,5)');

-- Whatever the child's table does when it is changed: one of every kind of violation.
CREATE FUNCTION errors.act() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m errors.mode;
    operation text := CASE WHEN TG_OP = 'DELETE' THEN 'purge' WHEN OLD.deleted_at IS NULL THEN 'delete' WHEN NEW.deleted_at IS NULL THEN 'restore' ELSE 'hand over' END;
BEGIN
    SELECT * INTO m FROM errors.mode;
    IF m.operation = operation THEN
        CASE m.kind
            WHEN 'unique' THEN INSERT INTO errors.audit VALUES ('secret-old', 1, 'x');
            WHEN 'exclusion' THEN INSERT INTO errors.audit (word, must, span) VALUES ('secret-x', 'x', '[2,3)');
            WHEN 'check' THEN INSERT INTO errors.audit VALUES ('secret-c', 7, 'x');
            WHEN 'not null' THEN INSERT INTO errors.audit (word) VALUES ('secret-m');
            WHEN 'domain' THEN INSERT INTO errors.audit VALUES ('secret-d', 1, 'x', repeat('secret', 9));
            WHEN 'foreign key' THEN INSERT INTO errors.audit (word, must, ref) VALUES ('secret-f', 'x', 'secret-gone');
            WHEN 'referenced' THEN DELETE FROM errors.ledger;
            WHEN 'raise' THEN RAISE EXCEPTION 'the word is secret-r' USING DETAIL = 'secret-r', HINT = 'secret-r';
            WHEN 'raise as unique' THEN RAISE unique_violation USING MESSAGE = 'secret-u', DETAIL = 'secret-u', CONSTRAINT = 'secret-u', COLUMN = 'secret-u';
            WHEN 'raise as not null' THEN RAISE not_null_violation USING MESSAGE = 'secret-u', COLUMN = 'secret-u';
            WHEN 'raise as locked' THEN RAISE lock_not_available USING MESSAGE = 'secret-l';
            WHEN 'raise as permission' THEN RAISE insufficient_privilege USING MESSAGE = 'secret-p';
            WHEN 'raise as internal' THEN RAISE internal_error USING MESSAGE = 'secret-i';
            WHEN 'raise as the layer' THEN RAISE SQLSTATE 'PGRST' USING MESSAGE = '{"code":"secret-l"}', DETAIL = '{"status":418,"headers":{}}';
            WHEN 'cast' THEN PERFORM OLD.word::int;
            WHEN 'not there' THEN EXECUTE 'SELECT * FROM errors."secret-table"';
            WHEN 'veto' THEN RETURN NULL;
            ELSE NULL;
        END CASE;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER act BEFORE UPDATE OR DELETE ON errors.child FOR EACH ROW EXECUTE FUNCTION errors.act();
SELECT taskapi.expose('errors.parent', 'errors_api'), taskapi.expose('errors.child', 'errors_api') \g /dev/null
CREATE UNIQUE INDEX child_word ON errors.child (word) WHERE deleted_at IS NULL;
SELECT taskapi.grant_resource('errors_api.parent', 'regress_errors', '{read,create,update,delete,restore,purge}') \g /dev/null
SELECT taskapi.grant_resource('errors_api.parent', 'regress_errors', '{read_deleted}') \g /dev/null

-- What the caller is told: all that an error has. The transaction's effects are taken back.
CREATE FUNCTION errors.told(statement text, method text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text; b text; c text; d text; e text; f text; g text; h text;
BEGIN
    PERFORM set_config('request.method', method, true);
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS a = RETURNED_SQLSTATE, b = MESSAGE_TEXT, c = PG_EXCEPTION_DETAIL, d = PG_EXCEPTION_HINT, e = CONSTRAINT_NAME, f = COLUMN_NAME, g = TABLE_NAME, h = PG_EXCEPTION_CONTEXT;
    RETURN concat_ws(' | ', a, b, c, d, e, f, g, CASE WHEN h LIKE '%secret%' THEN h END);
END
$$;
CREATE FUNCTION errors.all_of(method text, OUT kind text, OUT operation text, OUT told text) RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    FOREACH kind IN ARRAY '{unique,exclusion,check,not null,domain,foreign key,referenced,raise,raise as unique,raise as not null,raise as permission,raise as internal,raise as the layer,cast,not there,veto}'::text[] LOOP
        FOREACH operation IN ARRAY '{delete,restore,purge}'::text[] LOOP
            BEGIN
                INSERT INTO errors.parent VALUES (1), (2);
                INSERT INTO errors.child (id, parent, word) VALUES (1, 1, 'secret-word');
                IF operation <> 'delete' THEN
                    DELETE FROM errors_api.parent WHERE id = 1;
                END IF;
                UPDATE errors.mode SET kind = all_of.kind, operation = all_of.operation;
                SET LOCAL ROLE regress_errors;
                told := errors.told(CASE operation WHEN 'delete' THEN 'DELETE FROM errors_api.parent WHERE id = 1'
                    WHEN 'restore' THEN 'UPDATE errors_api.deleted_parent SET deleted_at = NULL'
                    ELSE 'DELETE FROM errors_api.deleted_parent' END, method);
                RAISE EXCEPTION USING ERRCODE = 'P0002';
            EXCEPTION WHEN no_data_found THEN
                NULL;
            END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
ALTER FUNCTION errors.all_of(text) SECURITY INVOKER;
GRANT USAGE ON SCHEMA errors TO regress_errors;
SELECT kind, operation, told FROM errors.all_of('') ORDER BY kind, operation;
-- The same as problems of the layer, and none of it tells a value.
SELECT count(*) AS told, count(*) FILTER (WHERE told LIKE '%secret%') AS leaks FROM (SELECT * FROM errors.all_of('PATCH') UNION ALL SELECT * FROM errors.all_of('')) t;

-- A key of the child itself, by which a restored row conflicts with a live one; the caller may read neither.
INSERT INTO errors.parent VALUES (1), (2);
INSERT INTO errors.child (id, parent, word) VALUES (1, 1, 'secret-word');
DELETE FROM errors_api.parent WHERE id = 1;
INSERT INTO errors.child (id, parent, word) VALUES (2, 2, 'secret-word');
SET ROLE regress_errors;
UPDATE errors_api.deleted_parent SET deleted_at = NULL;
RESET ROLE;

-- Whoever runs the purge of all tables is told how many could not go, and nothing of them.
UPDATE errors.mode SET kind = 'raise', operation = 'purge';
SET client_min_messages = warning;
SELECT taskapi.purge_deleted('0');
UPDATE errors.mode SET kind = 'raise as locked';
SELECT taskapi.purge_deleted('0');
SET client_min_messages = error;
UPDATE errors.mode SET kind = 'none';
-- The same if the table cannot be read: whether it is to be mended or only locked, and no word of the error.
CREATE FUNCTION errors.calm(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE TABLE errors.unread (id int PRIMARY KEY);
SELECT taskapi.expose('errors.unread', 'errors_api') \g /dev/null
CREATE INDEX ON errors.unread (deleted_at) WHERE errors.calm('x');
CREATE OR REPLACE FUNCTION errors.calm(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'secret-c' USING DETAIL = 'secret-c'; END $$;
\c -
SET client_min_messages = warning;
SELECT taskapi.purge_deleted('0');
CREATE OR REPLACE FUNCTION errors.calm(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE lock_not_available USING MESSAGE = 'secret-c'; END $$;
SELECT taskapi.purge_deleted('0');
SET client_min_messages = error;
DROP TABLE errors.unread CASCADE;

-- A problem that a trigger raises by raise_problem() is written for clients, and reaches them.
CREATE FUNCTION errors.problem() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM taskapi.raise_problem('forbidden', 'Not on a Sunday.'); END $$;
CREATE TRIGGER problem BEFORE UPDATE ON errors.child FOR EACH ROW EXECUTE FUNCTION errors.problem();
SET ROLE regress_errors;
DELETE FROM errors_api.parent WHERE id = 2;
RESET ROLE;

-- A stored answer whose value does not fit any more is not shown by the error that says so.
CREATE TABLE errors.note (id int PRIMARY KEY, word errors.word);
SELECT taskapi.expose('errors.note', 'errors_api') \g /dev/null
SELECT taskapi.grant_resource('errors_api.note', 'regress_errors', '{read,create}') \g /dev/null
GRANT USAGE ON SCHEMA errors TO regress_errors;
SET ROLE regress_errors;
SELECT set_config('request.method', 'POST', false), set_config('request.path', '/note', false), set_config('request.jwt.claims', '{"sub": "ann"}', false),
    set_config('request.headers', '{"idempotency-key": "k"}', false) \g /dev/null
INSERT INTO errors_api.note (id, word) VALUES (1, 'secret-note') RETURNING id;
RESET ROLE;
ALTER DOMAIN errors.word DROP CONSTRAINT short;
ALTER DOMAIN errors.word ADD CONSTRAINT short CHECK (length(value) < 5) NOT VALID;
SET ROLE regress_errors;
INSERT INTO errors_api.note (id, word) VALUES (1, 'abc') RETURNING id;
RESET ROLE;
-- Nor to a caller who may not read the column any more.
ALTER DOMAIN errors.word DROP CONSTRAINT short;
SET ROLE regress_errors;
INSERT INTO errors_api.note (id, word) VALUES (1, 'secret-note') RETURNING id, word;
RESET ROLE;
REVOKE SELECT (word) ON errors.note FROM regress_errors;
SET ROLE regress_errors;
INSERT INTO errors_api.note (id, word) VALUES (1, 'secret-note') RETURNING id, word;
RESET ROLE;

SELECT set_config(s, '', false) FROM unnest('{request.method,request.path,request.jwt.claims,request.headers}'::text[]) s \g /dev/null
DELETE FROM taskapi.idempotency_key;
DROP SCHEMA errors, errors_api CASCADE;
DROP ROLE regress_errors;
