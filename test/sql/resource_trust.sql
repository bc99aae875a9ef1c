-- An owner who changes a table or a view after expose() gets an error, and no crash, no memory and no row of another type.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA trust;
CREATE SCHEMA trust_api;

-- What comes back of a statement: its SQLSTATE, or the number of rows.
CREATE FUNCTION trust.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- Each kind of change to a table below a parent, then each kind of write, in the session that knows the old table.
CREATE FUNCTION trust.attack(change text, OUT operation text, OUT outcome text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    CREATE TABLE trust.a (id int PRIMARY KEY);
    CREATE TABLE trust.b (id int PRIMARY KEY);
    CREATE TABLE trust.c (id int PRIMARY KEY, a int REFERENCES trust.a ON DELETE CASCADE, b int REFERENCES trust.b ON DELETE CASCADE, n int);
    PERFORM taskapi.expose('trust.a', 'trust_api'), taskapi.expose('trust.b', 'trust_api'), taskapi.expose('trust.c', 'trust_api');
    INSERT INTO trust_api.a VALUES (1), (2), (3);
    INSERT INTO trust_api.b VALUES (1), (2), (3);
    INSERT INTO trust_api.c (id, a, b) VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, NULL, NULL);
    UPDATE trust_api.c SET n = 1;
    DELETE FROM trust_api.a WHERE id = 1;
    DELETE FROM trust_api.c WHERE id = 4;
    EXECUTE change;
    FOR operation IN VALUES
        ('INSERT INTO trust_api.c (id, a, b) VALUES (9, 2, 2)'),
        ('UPDATE trust_api.c SET n = 2 WHERE id = 2'),
        ('DELETE FROM trust_api.a WHERE id = 2'),
        ('DELETE FROM trust_api.b WHERE id = 1'),
        ('UPDATE trust_api.deleted_a SET deleted_at = NULL WHERE id = 1'),
        ('UPDATE trust_api.deleted_c SET deleted_at = NULL WHERE id = 4'),
        ('DELETE FROM trust_api.deleted_a'),
        ('DELETE FROM trust_api.c'),
        ('SELECT taskapi.purge_deleted(''0'')')
    LOOP
        outcome := trust.try(operation);
        RETURN NEXT;
    END LOOP;
    -- none of it is left
    RAISE EXCEPTION USING ERRCODE = 'P0002';
EXCEPTION WHEN no_data_found THEN
    RETURN;
END
$$;

\x
SELECT * FROM trust.attack($$DROP VIEW trust_api.deleted_c CASCADE; ALTER TABLE trust.c DROP COLUMN deletion_id, ADD COLUMN deletion_id int8 DEFAULT 3735928559$$);
SELECT * FROM trust.attack($$DROP VIEW trust_api.deleted_b CASCADE; ALTER TABLE trust.b DROP COLUMN deletion_id, ADD COLUMN deletion_id int8 DEFAULT 3735928559; UPDATE trust.b SET deleted_at = now()$$);
SELECT * FROM trust.attack($$DROP VIEW trust_api.deleted_a CASCADE; ALTER TABLE trust.a ALTER COLUMN deletion_id TYPE text$$);
SELECT * FROM trust.attack($$DROP VIEW trust_api.deleted_c, trust_api.c CASCADE; ALTER TABLE trust.c ALTER COLUMN deleted_at TYPE text$$);
SELECT * FROM trust.attack($$ALTER TABLE trust.c RENAME COLUMN deletion_id TO x$$);
SELECT * FROM trust.attack($$ALTER TABLE trust.c RENAME COLUMN version TO x$$);
SELECT * FROM trust.attack($$DROP VIEW trust_api.deleted_c CASCADE; CREATE OR REPLACE VIEW trust_api.c WITH (security_invoker) AS SELECT c.id, c.a, c.b, c.n, c.version, c.updated_at, taskapi.cursor('id', c.id) AS cursor, o.x
    FROM (VALUES ('x'::bytea)) o (x), trust.c$$);
SELECT * FROM trust.attack($$CREATE OR REPLACE VIEW trust_api.c WITH (security_invoker) AS SELECT c.id, c.a, c.b, c.n, c.version, c.updated_at, taskapi.cursor('id', c.id) AS cursor FROM trust.c$$);
SELECT * FROM trust.attack($$CREATE OR REPLACE VIEW trust_api.c WITH (security_invoker) AS SELECT c.id, c.a, c.b, c.n, c.version, c.updated_at, taskapi.cursor('id', c.id) AS cursor FROM trust.c WHERE c.deleted_at IS NULL AND c.id > 2$$);
SELECT * FROM trust.attack($$ALTER TABLE trust.c DROP CONSTRAINT c_pkey$$);
SELECT * FROM trust.attack($$ALTER TABLE trust.c DISABLE TRIGGER USER$$);
SELECT * FROM trust.attack($$ALTER SCHEMA trust RENAME TO trust2; ALTER SCHEMA trust2 RENAME TO trust$$);
\x

-- No role writes the registry but through expose() and unexpose(): there is no function to call that would. A step of theirs
-- that is called by hand leaves it as it is, after an expose() that failed too.
CREATE ROLE regress_trust_owner;
GRANT CREATE ON SCHEMA trust, trust_api TO regress_trust_owner;
GRANT USAGE ON SCHEMA trust, trust_api TO regress_trust_owner;
SELECT p.oid::regprocedure AS writes_the_registry FROM pg_proc p
WHERE p.pronamespace = 'taskapi'::regnamespace AND has_function_privilege('regress_trust_owner', p.oid, 'EXECUTE')
  AND (p.proname ~ '(register|enter|forget)' AND p.proname <> 'registered_resource' OR p.prosecdef AND p.provolatile = 'v');
SET ROLE regress_trust_owner;
CREATE TABLE trust.mine (id int PRIMARY KEY);
CREATE TABLE trust.no_key (id int);
SELECT taskapi.expose('trust.no_key', 'trust_api');
SELECT taskapi.make_resource('trust.mine', 'trust_api', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) AS entry;
INSERT INTO taskapi.resource VALUES ('trust_api.mine', 'trust.mine', NULL, NULL, 'id', true, true, true);
SELECT taskapi.forget_dropped_resources();
RESET ROLE;
SELECT count(*) FROM taskapi.resource WHERE source = 'trust.mine'::regclass;
DROP VIEW trust_api.mine, trust_api.deleted_mine CASCADE;
SET ROLE regress_trust_owner;
SELECT taskapi.expose('trust.mine', 'trust_api', soft_delete => false);
SELECT taskapi.drop_resource('trust_api.mine'), taskapi.finish_unexpose('trust.mine');
RESET ROLE;
SELECT count(*) FROM taskapi.resource r WHERE r.source = 'trust.mine'::regclass;
SET ROLE regress_trust_owner;
SELECT taskapi.expose('trust.mine', 'trust_api', soft_delete => false);
SELECT taskapi.unexpose('trust_api.mine');
SELECT taskapi.unexpose('trust.mine');
SELECT taskapi.unexpose(NULL);
RESET ROLE;
SELECT count(*) FROM taskapi.resource WHERE source = 'trust.mine'::regclass;
DROP OWNED BY regress_trust_owner;
DROP ROLE regress_trust_owner;

-- An entry that is not true, as in a dump that was changed, is an error where it would be trusted: a pointer would be a
-- version, bytes of anything a deletion's id.
CREATE TABLE trust.t (id int PRIMARY KEY, version text, updated_at timestamptz, deleted_at timestamptz, deletion_id int8 DEFAULT 57005);
INSERT INTO trust.t (id) VALUES (1);
CREATE VIEW trust_api.v AS SELECT * FROM trust.t;
CREATE VIEW trust_api.w AS SELECT id FROM trust.t WHERE deleted_at IS NULL;
CREATE VIEW trust_api.j AS SELECT t.id FROM trust.t, trust.t u;
CREATE MATERIALIZED VIEW trust_api.m AS SELECT id FROM trust.t;
CREATE FUNCTION trust.forge(entry taskapi.resource) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    INSERT INTO taskapi.resource SELECT entry.*;
    IF (SELECT relkind FROM pg_class WHERE oid = entry.resource) = 'v' THEN
        PERFORM taskapi.run_as(current_user::regrole, s) FROM taskapi.trigger_statements(entry.resource, entry.resource::text, '{live}') s;
    END IF;
    outcome := trust.try(format('UPDATE %s SET id = 2', entry.resource)) || E'\n' || trust.try(format('DELETE FROM %s', entry.resource));
    RAISE EXCEPTION USING ERRCODE = 'P0002';
EXCEPTION WHEN no_data_found THEN
    RETURN outcome;
END
$$;
\pset format unaligned
SELECT trust.forge(ROW('trust_api.v', 'trust.t', NULL, NULL, 'id', false, true, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust_api.w', 'trust.t', NULL, NULL, 'id', true, false, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust_api.j', 'trust.t', NULL, NULL, 'id', false, false, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust_api.m', 'trust.t', NULL, NULL, 'id', false, false, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust_api.w', 'trust_api.v', NULL, NULL, 'id', false, false, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust.t', 'trust.t', NULL, NULL, 'id', false, false, false, 'deleted_at', false, NULL, NULL, NULL));
SELECT trust.forge(ROW('trust_api.v', 'trust.t', 'trust_api.w', NULL, 'id', false, false, false, 'deleted_at', false, NULL, NULL, NULL));
\pset format aligned

-- A statement reads the request once, at its start.
CREATE TABLE trust.s (id int PRIMARY KEY, a text);
SELECT taskapi.expose('trust.s', 'trust_api') \g /dev/null
SET request.method = 'POST';
INSERT INTO trust_api.s (id, a) SELECT i, set_config('request.method', CASE i WHEN 1 THEN '' ELSE 'PUT' END, false) FROM generate_series(1, 2) i;
SET request.method = 'PUT';
INSERT INTO trust_api.s (id, a) SELECT i, set_config('request.method', '', false) FROM generate_series(1, 2) i
    ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a RETURNING id, version;
SET request.method = '';

-- A version of null, or one that no row has, names no version that a change could be made from.
SET taskapi.require_if_match = on;
SET request.method = 'PATCH';
UPDATE trust_api.s SET a = 'x', version = NULL;
UPDATE trust_api.s SET a = 'x', version = -1;
UPDATE trust_api.s SET a = 'x', version = -2147483648;
UPDATE trust_api.s SET a = 'x', version = 1 WHERE id = 1 RETURNING version;
SET request.method = 'PUT';
INSERT INTO trust_api.s (id, a) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a;
INSERT INTO trust_api.s (id, a, version) VALUES (1, 'y', -1) ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a;
INSERT INTO trust_api.s (id, a, version) VALUES (1, 'y', 2) ON CONFLICT (id) DO UPDATE SET id = excluded.id, a = excluded.a RETURNING version;
RESET taskapi.require_if_match;
RESET request.method;

-- What is kept is good under any search_path, and for the names that things have now.
CREATE FUNCTION trust.cursor(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'aclitemin';
CREATE TABLE trust.p (id int PRIMARY KEY, a int);
SELECT taskapi.expose('trust.p', 'trust_api') \g /dev/null
SET search_path = taskapi, public;
INSERT INTO trust_api.p (id, a) VALUES (1, 1);
SET search_path = trust, public;
INSERT INTO trust_api.p (id, a) VALUES (2, 1);
RESET search_path;
UPDATE trust_api.p SET a = 2;
DELETE FROM trust_api.p WHERE id = 2;
ALTER SCHEMA trust RENAME TO distrust;
INSERT INTO trust_api.p (id, a) VALUES (3, 1);
UPDATE trust_api.p SET a = 3;
DELETE FROM trust_api.p WHERE id = 1;
UPDATE trust_api.deleted_p SET deleted_at = NULL;
SELECT id, a, version FROM trust_api.p ORDER BY id;

-- A table that another inherits from since then is no resource any more: nothing of ours knows the rows of that one.
CREATE TABLE distrust.q (id int PRIMARY KEY, a int);
SELECT taskapi.expose('distrust.q', 'trust_api') \g /dev/null
INSERT INTO trust_api.q (id, a) VALUES (1, 1);
CREATE TABLE distrust.heir () INHERITS (distrust.q);
INSERT INTO distrust.heir (id, a) VALUES (1, 1);
UPDATE trust_api.q SET a = 2;
DELETE FROM trust_api.q;
DROP TABLE distrust.heir;
UPDATE trust_api.q SET a = 2 RETURNING version;

-- What one owner's trigger raises, be it a cancel, keeps no other table from being purged.
CREATE FUNCTION distrust.cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cancelled' USING ERRCODE = 'query_canceled'; END $$;
DELETE FROM trust_api.p;
DELETE FROM trust_api.q;
CREATE TRIGGER cancel BEFORE DELETE ON distrust.p FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION distrust.cancel();
SELECT taskapi.purge_deleted('0');
SELECT id FROM distrust.p ORDER BY id;

DROP SCHEMA distrust, trust_api CASCADE;
