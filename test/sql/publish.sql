-- expose(publish): each change of a row is one message in its transaction, whoever makes it and however; in the order of the changes;
-- without an outbox or the right to publish it is refused before anything is made.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION public.problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no problem';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
END $$;
CREATE SCHEMA pub;
CREATE SCHEMA pub_api;
CREATE TABLE pub.project (id int PRIMARY KEY, name text);
CREATE TABLE pub.task (id int PRIMARY KEY, project_id int REFERENCES pub.project ON DELETE CASCADE, title text);
SELECT public.problem($$SELECT taskapi.expose('pub.task', 'pub_api', publish => 'task')$$) AS no_outbox;
SELECT public.problem($$SELECT count(*) FROM taskapi.expose_plan('pub.task', 'pub_api', publish => 'task')$$) AS no_outbox;
SELECT taskapi.create_outbox('pub_outbox');
SELECT public.problem($$SELECT taskapi.expose('pub.task', 'pub_api', publish => repeat('t', 1025))$$) AS too_long;
SELECT p FROM taskapi.expose_plan('pub.task', 'pub_api', publish => 'task') p WHERE p LIKE '%publish%';
SELECT taskapi.expose('pub.project', 'pub_api', publish => 'project'), taskapi.expose('pub.task', 'pub_api', publish => 'task');
SELECT p FROM taskapi.expose_plan('pub.task', 'pub_api') p;
SELECT resource, publish FROM taskapi.resources WHERE api_schema = 'pub_api' AND publish IS NOT NULL ORDER BY 1;
-- what was published since the last look
CREATE TABLE pub.seen (seq bigint);
INSERT INTO pub.seen VALUES (0);
CREATE FUNCTION pub.published() RETURNS TABLE (topic text, key text, payload jsonb) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT m.topic, m.key, m.payload FROM pub_outbox.message m, pub.seen s WHERE m.seq > s.seq ORDER BY m.seq;
    UPDATE pub.seen SET seq = (SELECT max(m.seq) FROM pub_outbox.message m);
END $$;

-- through the resource: one message a row, also of a cascade
INSERT INTO pub_api.project (id, name) VALUES (1, 'one'), (2, 'two');
INSERT INTO pub_api.task (id, project_id, title) VALUES (10, 1, 'a'), (11, 1, 'b');
SELECT * FROM pub.published();
UPDATE pub_api.task SET title = 'c' WHERE id = 10;
SELECT * FROM pub.published();
UPDATE pub_api.task SET title = 'c' WHERE id = 10;
SELECT count(*) AS nothing_changed FROM pub.published();
DELETE FROM pub_api.project WHERE id = 1;
SELECT * FROM pub.published();
UPDATE pub_api.deleted_project SET deleted_at = NULL WHERE id = 1;
SELECT * FROM pub.published();
DELETE FROM pub_api.project WHERE id = 1;
SELECT count(*) FROM pub.published();
DELETE FROM pub_api.deleted_project WHERE id = 1;
SELECT * FROM pub.published();
-- round it
INSERT INTO pub.task (id, project_id, title) VALUES (20, 2, 'x'), (21, 2, 'y');
UPDATE pub.task SET title = title || '!';
SELECT * FROM pub.published();
UPDATE pub.task SET deleted_at = now(), deletion_id = gen_random_uuid() WHERE id = 20;
UPDATE pub.task SET title = 'in the trash' WHERE id = 20;
UPDATE pub.task SET deleted_at = NULL, deletion_id = NULL WHERE id = 20;
UPDATE pub.task SET id = 22 WHERE id = 20;
SELECT * FROM pub.published();
DELETE FROM pub.project WHERE id = 2;
SELECT * FROM pub.published();
-- with the transaction, and the savepoint
BEGIN;
INSERT INTO pub.project VALUES (3);
SAVEPOINT s;
INSERT INTO pub.project VALUES (4);
ROLLBACK TO s;
COMMIT;
BEGIN;
INSERT INTO pub.project VALUES (5);
ROLLBACK;
MERGE INTO pub.project p USING (VALUES (3, 'merged'), (6, 'new')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name);
INSERT INTO pub.project (id, name) VALUES (6, 'again') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
COPY pub.project (id, name) FROM stdin;
7	copied
\.
SELECT * FROM pub.published();

-- A trigger that writes the row again: its message comes after, as its version does.
CREATE FUNCTION pub.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE pub.project SET name = 'again' WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER a_again AFTER UPDATE ON pub.project FOR EACH ROW WHEN (NEW.name = 'first') EXECUTE FUNCTION pub.again();
UPDATE pub.project SET name = 'first' WHERE id = 7;
SELECT payload ->> 'version' AS version FROM pub.published();
DROP TRIGGER a_again ON pub.project;

-- Keys of all kinds: of several columns, empty, long; the same text whatever a session is set to.
CREATE TABLE pub.pair (a text, b timestamptz, c numeric, d bytea, PRIMARY KEY (a, b, c, d));
CREATE TABLE pub.moment (at timestamptz PRIMARY KEY, n int);
CREATE TABLE pub.word (word text PRIMARY KEY, n int);
SELECT taskapi.expose('pub.pair', 'pub_api', publish => 'pair', soft_delete => false), taskapi.expose('pub.word', 'pub_api', publish => 'word', soft_delete => false, versioned => false),
    taskapi.expose('pub.moment', 'pub_api', publish => 'moment', soft_delete => false, versioned => false);
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET bytea_output = 'escape';
INSERT INTO pub.pair VALUES ('x"y', '2026-01-01 00:00+00', 1.50, '\x00ff'), ('', '2026-01-01 00:00+00', 'NaN', '');
INSERT INTO pub.moment VALUES ('2026-01-01 00:00+00', 1);
RESET timezone;
RESET datestyle;
RESET bytea_output;
UPDATE pub.moment SET n = 2;
INSERT INTO pub.word VALUES (''), ('word'), (repeat('long', 300));
DELETE FROM pub.word WHERE word IN ('', 'word');
SELECT topic, left(key, 80) AS key, left(payload::text, 100) AS payload FROM pub.published();

-- A partitioned table; a row that moves.
CREATE TABLE pub.part (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE pub.part_a PARTITION OF pub.part FOR VALUES IN ('a');
CREATE TABLE pub.part_b (v int, region text NOT NULL, id int NOT NULL);
ALTER TABLE pub.part ATTACH PARTITION pub.part_b FOR VALUES IN ('b');
SELECT taskapi.expose('pub.part', 'pub_api', publish => 'part', soft_delete => false);
INSERT INTO pub.part (id, region, v) VALUES (1, 'a', 1), (2, 'b', 2);
UPDATE pub.part SET v = v + 1;
UPDATE pub.part SET region = 'b' WHERE id = 1;
SELECT key, payload ->> 'event' AS event FROM pub.published();

-- Two resources of a table with a topic each; then one; then none.
SELECT taskapi.expose('pub.project', 'pub_api', 'projects2', publish => 'two');
UPDATE pub.project SET name = 'both' WHERE id = 7;
SELECT topic, payload ->> 'resource' AS resource FROM pub.published();
SELECT taskapi.unexpose('pub_api.project');
UPDATE pub.project SET name = 'one' WHERE id = 7;
SELECT topic, payload ->> 'resource' AS resource FROM pub.published();
SELECT taskapi.expose('pub.project', publish => 'renamed');
UPDATE pub.project SET name = 'renamed' WHERE id = 7;
SELECT topic, payload ->> 'resource' AS resource FROM pub.published();
SELECT p FROM taskapi.expose_plan('pub.project', publish => '') p WHERE p LIKE '%publish%';
SELECT taskapi.expose('pub.project', publish => '');
UPDATE pub.project SET name = 'none' WHERE id = 7;
SELECT count(*) FROM pub.published();
SELECT tgname FROM pg_trigger WHERE tgrelid = 'pub.project'::regclass AND tgname LIKE '%publish';
SELECT taskapi.expose('pub.project', publish => 'project');
SELECT string_agg(d, E'\n') LIKE '%publish => %project%' AS kept FROM taskapi.resource_ddl('pub_api.projects2') d;
SELECT taskapi.unexpose('pub_api.projects2');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'pub.project'::regclass AND NOT tgisinternal;

-- The trigger off: the resource refuses, and expose() turns it on again.
ALTER TABLE pub.task DISABLE TRIGGER "00_taskapi_publish";
SELECT public.problem($$INSERT INTO pub_api.task (id) VALUES (30)$$);
SELECT taskapi.expose('pub.task');
INSERT INTO pub_api.task (id) VALUES (30);
SELECT payload FROM pub.published();
-- attached to another table it does nothing, and called otherwise it is refused
CREATE TABLE pub.other (i int);
CREATE TRIGGER mine AFTER INSERT ON pub.other FOR EACH ROW EXECUTE FUNCTION taskapi.resource_publish();
INSERT INTO pub.other VALUES (1);
SELECT count(*) FROM pub.published();
CREATE TRIGGER wrong BEFORE INSERT ON pub.other FOR EACH ROW EXECUTE FUNCTION taskapi.resource_publish();
SELECT public.problem('INSERT INTO pub.other VALUES (2)');
ALTER TABLE pub.task DROP CONSTRAINT task_pkey;
SELECT public.problem('INSERT INTO pub.task (id) VALUES (31)');
ALTER TABLE pub.task ADD PRIMARY KEY (id);

-- The owner needs the right to publish, and a writer does not; the writer sees nothing of the outbox.
CREATE ROLE regress_pub_owner;
CREATE ROLE regress_pub_writer;
GRANT ALL ON SCHEMA pub, pub_api TO regress_pub_owner;
GRANT USAGE ON SCHEMA pub TO regress_pub_writer;
CREATE TABLE pub.owned (id int PRIMARY KEY);
ALTER TABLE pub.owned OWNER TO regress_pub_owner;
SET ROLE regress_pub_owner;
GRANT INSERT ON pub.owned TO regress_pub_writer;
SELECT public.problem($$SELECT taskapi.expose('pub.owned', 'pub_api', publish => 'owned')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION taskapi.publish TO regress_pub_owner;
SET ROLE regress_pub_owner;
SELECT taskapi.expose('pub.owned', 'pub_api', publish => 'owned');
SET ROLE regress_pub_writer;
INSERT INTO pub.owned VALUES (1);
SELECT public.problem($$SELECT taskapi.publish('owned', '1', '1')$$);
RESET ROLE;
SELECT * FROM pub.published();
REVOKE EXECUTE ON FUNCTION taskapi.publish FROM regress_pub_owner;
REVOKE CREATE ON SCHEMA pub_api FROM regress_pub_owner;
SET ROLE regress_pub_writer;
SELECT public.problem('INSERT INTO pub.owned VALUES (2)');
RESET ROLE;

-- Purged by maintain(), as its owner.
GRANT EXECUTE ON FUNCTION taskapi.publish TO regress_pub_owner;
UPDATE pub.owned SET deleted_at = now() - interval '1 year', deletion_id = gen_random_uuid();
CALL taskapi.maintain();
SELECT payload FROM pub.published();
REVOKE EXECUTE ON FUNCTION taskapi.publish FROM regress_pub_owner;

-- It is the owner of the table that counts, and not of one of its partitions.
ALTER TABLE pub.part_a OWNER TO regress_pub_writer;
SELECT public.problem($$INSERT INTO pub.part (id, region) VALUES (50, 'a')$$);
SELECT topic, key FROM pub.published();

-- The outbox is gone: writes are refused, until nothing is published any more.
DROP SCHEMA pub_outbox CASCADE;
SELECT public.problem('INSERT INTO pub_api.task (id) VALUES (40)');
SELECT public.problem($$SELECT taskapi.expose('pub.task')$$);
SELECT taskapi.expose('pub.task', publish => '');
INSERT INTO pub_api.task (id) VALUES (40);
DROP SCHEMA pub_api, pub CASCADE;
DROP ROLE regress_pub_owner, regress_pub_writer;
DROP FUNCTION public.problem(text);
