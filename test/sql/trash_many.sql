-- A purge of many rows at once does to each what a purge of that row does: permission, references, triggers, events and answer.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA tm;
CREATE SCHEMA tm_api;
CREATE ROLE tm_client;
SELECT taskapi.create_outbox('tm_outbox') \g /dev/null
GRANT USAGE ON SCHEMA tm, tm_api TO tm_client;
CREATE TABLE tm.box (a int, b text COLLATE "C", owner text NOT NULL DEFAULT 'me', PRIMARY KEY (a, b));
CREATE TABLE tm.thing (id int PRIMARY KEY, a int, b text, FOREIGN KEY (a, b) REFERENCES tm.box DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE tm.label (id int PRIMARY KEY, a int, b text, FOREIGN KEY (b, a) REFERENCES tm.box (b, a) ON DELETE SET NULL);
SELECT taskapi.expose('tm.box', 'tm_api', publish => 'box', changes => true), taskapi.expose('tm.thing', 'tm_api');
SELECT taskapi.grant_resource(r, 'tm_client', '{read,create,update,delete,read_deleted,restore,purge}') FROM unnest('{tm_api.box,tm_api.thing}'::regclass[]) r;
ALTER TABLE tm.box ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON tm.box USING (true);
CREATE POLICY purge ON tm.box AS RESTRICTIVE FOR DELETE USING (owner = 'me');
-- Seven rows in the trash: plain ones, one that a deleted row refers to, one with a label, one that policies keep.
CREATE FUNCTION tm.fill() RETURNS void LANGUAGE sql AS $$
    DELETE FROM tm.thing; DELETE FROM tm.label; DELETE FROM tm.box;
    INSERT INTO tm.box (a, b, owner) SELECT i, 'b' || i, CASE i WHEN 5 THEN 'other' ELSE 'me' END FROM generate_series(1, 7) i;
    INSERT INTO tm.thing VALUES (1, 3, 'b3');
    INSERT INTO tm.label VALUES (1, 4, 'b4');
    UPDATE tm.thing SET deleted_at = now(), deletion_id = taskapi.uuidv7();
    UPDATE tm.box SET deleted_at = now(), deletion_id = taskapi.uuidv7();
    TRUNCATE tm.box_departures;
$$;
-- What AFTER triggers see of the rows that the statement purges: each goes by a statement of its own.
CREATE TABLE tm.seen (a int, left_over bigint);
CREATE FUNCTION tm.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tm.seen VALUES (OLD.a, (SELECT count(*) FROM tm.box)); RETURN NULL; END $$;
CREATE TRIGGER see AFTER DELETE ON tm.box FOR EACH ROW EXECUTE FUNCTION tm.see();
CREATE TABLE tm.mark (seq bigint);
CREATE FUNCTION tm.shown() RETURNS TABLE (boxes text, gone_for_feed text, messages text, seen text) LANGUAGE sql AS $$
    SELECT (SELECT string_agg(a::text, ' ' ORDER BY a) FROM tm.box), (SELECT string_agg(a::text, ' ' ORDER BY a) FROM tm.box_departures),
           (SELECT string_agg(key, ' ' ORDER BY key) FROM tm_outbox.message WHERE seq > (SELECT coalesce(max(seq), 0) FROM tm.mark)),
           (SELECT string_agg(a || ':' || left_over, ' ' ORDER BY a) FROM tm.seen)
$$;
CREATE FUNCTION tm.start() RETURNS void LANGUAGE sql AS $$ SELECT tm.fill(); DELETE FROM tm.seen; INSERT INTO tm.mark SELECT max(seq) FROM tm_outbox.message; $$;

-- The plain rows go; 4 too, and its label loses the reference; 3 waits for what refers to it; 5 is kept by the policy.
SELECT tm.start();
SET ROLE tm_client;
SELECT a, b FROM tm_api.deleted_box ORDER BY a;
DELETE FROM tm_api.deleted_box RETURNING a;
DELETE FROM tm_api.deleted_box WHERE a <> 3 RETURNING a, cursor IS NOT NULL AS whole;
RESET ROLE;
SELECT * FROM tm.shown();
SELECT a, b FROM tm.label;
-- A row twice is one row gone, and told twice, as when rows go one by one; a row of a second batch goes as well.
SELECT tm.start();
SET ROLE tm_client;
WITH t AS (DELETE FROM tm_api.deleted_box d USING (VALUES (1), (2), (1), (6)) v (i) WHERE a = i RETURNING a) SELECT array_agg(a ORDER BY a) FROM t;
WITH t AS (DELETE FROM tm_api.deleted_box WHERE a = 7 OR a = 4 RETURNING a) SELECT count(*) FROM t;
RESET ROLE;
SELECT * FROM tm.shown();
-- All that the policy leaves is refused.
SET ROLE tm_client;
DELETE FROM tm_api.deleted_box WHERE a = 5;
RESET ROLE;
REVOKE DELETE ON tm.box FROM tm_client;
SET ROLE tm_client;
DELETE FROM tm_api.deleted_box WHERE a IN (3, 5);
RESET ROLE;
GRANT DELETE ON tm.box TO tm_client;
-- A trigger of the table that keeps a row keeps it, and is asked once; one for statements is told of each row's.
CREATE FUNCTION tm.keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tm.seen VALUES (CASE TG_LEVEL WHEN 'ROW' THEN OLD.a ELSE 0 END, -1);
    RETURN CASE WHEN TG_LEVEL = 'ROW' AND OLD.a = 2 THEN NULL ELSE OLD END;
END $$;
CREATE TRIGGER keep BEFORE DELETE ON tm.box FOR EACH ROW EXECUTE FUNCTION tm.keep();
SELECT tm.start();
DELETE FROM tm_api.deleted_box WHERE a IN (1, 2, 6) RETURNING a;
SELECT * FROM tm.shown();
DROP TRIGGER keep ON tm.box;
CREATE TRIGGER keep AFTER DELETE ON tm.box FOR EACH STATEMENT EXECUTE FUNCTION tm.keep();
SELECT tm.start();
DELETE FROM tm_api.deleted_box WHERE a IN (1, 2, 6) RETURNING a;
SELECT * FROM tm.shown();
DROP TRIGGER keep ON tm.box;
-- What refers to a row since it was looked at, by its own trigger, is not left behind.
CREATE FUNCTION tm.refer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tm.thing VALUES (OLD.a, OLD.a, OLD.b); RETURN NULL; END $$;
CREATE TRIGGER a_refer AFTER DELETE ON tm.box FOR EACH ROW WHEN (OLD.a = 6) EXECUTE FUNCTION tm.refer();
ALTER TABLE tm.thing DISABLE TRIGGER zz_taskapi_reference;
SELECT tm.start();
DELETE FROM tm_api.deleted_box WHERE a IN (1, 2, 6) RETURNING a;
SELECT * FROM tm.shown();
ALTER TABLE tm.thing ENABLE TRIGGER zz_taskapi_reference;
DROP TRIGGER a_refer ON tm.box;
-- Many rows, and rows of partitions.
DELETE FROM tm.thing;
DELETE FROM tm.box;
INSERT INTO tm.box (a, b) SELECT i, 'x' FROM generate_series(1, 2500) i;
UPDATE tm.box SET deleted_at = now(), deletion_id = taskapi.uuidv7();
DELETE FROM tm.seen;
WITH t AS (DELETE FROM tm_api.deleted_box WHERE a > 1 RETURNING a) SELECT count(*), count(DISTINCT a) FROM t;
SELECT count(*), count(DISTINCT left_over) FROM tm.seen;
SELECT count(*) FROM tm.box;
CREATE TABLE tm.part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE tm.part_1 PARTITION OF tm.part FOR VALUES FROM (1) TO (10);
CREATE TABLE tm.part_2 PARTITION OF tm.part FOR VALUES FROM (10) TO (20);
SELECT taskapi.expose('tm.part', 'tm_api');
INSERT INTO tm_api.part SELECT generate_series(1, 19);
DELETE FROM tm_api.part;
WITH t AS (DELETE FROM tm_api.deleted_part WHERE id % 2 = 1 RETURNING id) SELECT count(*) FROM t;
SELECT count(*), sum(id) FROM tm.part;
-- Several statements on one trash in a query, also within each other, and triggers that the owner of the view adds: what is told to have gone
-- has gone, and nothing else.
DELETE FROM tm.box;
CREATE FUNCTION tm.refill() RETURNS void LANGUAGE sql AS $$
    DELETE FROM tm.box;
    INSERT INTO tm.box (a, b, deleted_at, deletion_id) SELECT i, 'x', now(), taskapi.uuidv7() FROM generate_series(1, 30) i;
$$;
CREATE FUNCTION tm.left_over() RETURNS text LANGUAGE sql AS $$ SELECT count(*) || ', from ' || min(a) FROM tm.box $$;
SELECT tm.refill();
WITH one AS (DELETE FROM tm_api.deleted_box WHERE a <= 15 RETURNING a), other AS (DELETE FROM tm_api.deleted_box WHERE a IN (21, 22) RETURNING a)
SELECT count(DISTINCT one.a), count(DISTINCT other.a) FROM one, other;
SELECT tm.left_over();
SELECT tm.refill();
WITH one AS (DELETE FROM tm_api.deleted_box WHERE a <= 15 RETURNING a), other AS (DELETE FROM tm_api.deleted_box WHERE a IN (21, 22) RETURNING a)
SELECT count(*), count(other.a) FROM one LEFT JOIN other ON other.a - one.a = 20;
SELECT tm.left_over();
SELECT tm.refill();
CREATE FUNCTION tm.within(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('tm.start', '0', true);
    DELETE FROM tm_api.deleted_box WHERE a = i + 20;
    PERFORM set_config('tm.start', '1', true);
    RETURN i;
EXCEPTION WHEN OTHERS THEN
    PERFORM set_config('tm.start', '1', true);
    RETURN i;
END
$$;
DELETE FROM tm_api.deleted_box WHERE a <= 3 AND tm.within(a) < 100;
SELECT tm.left_over();
CREATE TRIGGER a_second BEFORE DELETE ON tm_api.deleted_box FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement();
DELETE FROM tm_api.deleted_box WHERE a <= 6;
SELECT tm.left_over();
DROP TRIGGER a_second ON tm_api.deleted_box;
CREATE OR REPLACE TRIGGER taskapi_statement_start BEFORE DELETE OR UPDATE ON tm_api.deleted_box FOR EACH STATEMENT
    WHEN (current_setting('tm.start', true) IS DISTINCT FROM '0') EXECUTE FUNCTION taskapi.resource_statement();
DELETE FROM tm_api.deleted_box WHERE a <= 9 AND tm.within(a) < 100;
SELECT tm.left_over();
DROP SCHEMA tm_api, tm CASCADE;
DROP SCHEMA tm_outbox CASCADE;
DROP OWNED BY tm_client;
DROP ROLE tm_client;
