-- A repeated PATCH or DELETE with its key is answered with what it was answered first, whatever its filter finds now.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_replay;
CREATE SCHEMA replay_data;
CREATE SCHEMA replay;
GRANT USAGE ON SCHEMA replay_data, replay TO regress_replay;
CREATE TABLE replay_data.job (id int PRIMARY KEY, owner text NOT NULL DEFAULT 'alice', status text NOT NULL DEFAULT 'todo', n int NOT NULL DEFAULT 0);
ALTER TABLE replay_data.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON replay_data.job USING (owner = taskapi.current_subject());
SELECT taskapi.expose('replay_data.job', 'replay') \g /dev/null
SELECT taskapi.grant_resource('replay.job', 'regress_replay', '{read,create,update,delete,read_deleted,restore}') \g /dev/null
INSERT INTO replay_data.job (id) VALUES (1), (2), (3);
CREATE FUNCTION public.request(method text, key text, headers jsonb DEFAULT '{}', path text DEFAULT '/job') RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true), set_config('request.jwt.claims', '{"sub":"alice"}', true),
           set_config('request.headers', (headers || jsonb_build_object('idempotency-key', key))::text, true), set_config('response.headers', '', true)
$$;
-- What a layer makes of a PATCH: the body is a parameter, the filter another.
PREPARE patch (json, text) AS
    WITH pgrst_source AS (WITH pgrst_payload AS (SELECT $1 AS json_data)
        UPDATE replay.job SET status = pgrst_body.status, n = pgrst_body.n
        FROM (SELECT status, n FROM pgrst_payload, json_to_record(pgrst_payload.json_data) AS _ (status text, n int)) pgrst_body
        WHERE replay.job.status = $2 RETURNING replay.job.*)
    SELECT count(*), json_agg(json_build_array(id, status, n, version) ORDER BY id) AS body, current_setting('response.headers', true) AS headers FROM pgrst_source;
SET ROLE regress_replay;

-- Compare and set: the row does not match any more, and If-Match does not hold any more.
BEGIN;
SELECT public.request('PATCH', 'claim', '{"if-match": "\"1\""}') \g /dev/null
UPDATE replay.job SET status = 'taken' WHERE id = 1 AND status = 'todo' RETURNING id, status, version;
COMMIT;
BEGIN;
SELECT public.request('PATCH', 'claim', '{"if-match": "\"1\""}') \g /dev/null
UPDATE replay.job SET status = 'taken' WHERE id = 1 AND status = 'todo' RETURNING id, status, version;
SELECT current_setting('response.headers');
SAVEPOINT a;
-- another body, though no row matches; another filter; another column
UPDATE replay.job SET status = 'done' WHERE id = 1 AND status = 'todo';
ROLLBACK TO a;
UPDATE replay.job SET status = 'taken' WHERE id = 2 AND status = 'todo';
ROLLBACK TO a;
UPDATE replay.job SET n = 1 WHERE id = 1 AND status = 'todo';
ROLLBACK TO a;
-- what is returned, and how the statement is laid out, is no part of the request
WITH u AS (update replay."job" AS j SET status = 'ta' || 'ken'
    WHERE id = 1 /* the one */ and
          status = 'todo' RETURNING j.*) SELECT id, status, version FROM u;
COMMIT;

-- Rows that meet the filter since are not touched, and those that left it are answered.
BEGIN;
SELECT public.request('PATCH', 'all') \g /dev/null
EXECUTE patch('{"status": "doing", "n": 5}', 'todo');
COMMIT;
RESET ROLE;
INSERT INTO replay_data.job (id) VALUES (4);
UPDATE replay_data.job SET n = 6 WHERE id = 2;
SET ROLE regress_replay;
BEGIN;
SELECT public.request('PATCH', 'all') \g /dev/null
EXECUTE patch('{ "n": 5,  "status": "doing" }', 'todo');
SAVEPOINT a;
EXECUTE patch('{"status": "doing", "n": 6}', 'todo');
ROLLBACK TO a;
EXECUTE patch('{"status": "doing", "n": 5}', 'doing');
ROLLBACK TO a;
COMMIT;
SELECT set_config('request.jwt.claims', '{"sub":"alice"}', false) \g /dev/null
SELECT id, status, n, version FROM replay.job ORDER BY id;

-- The plan that is kept for all values works the same.
SET plan_cache_mode = force_generic_plan;
BEGIN;
SELECT public.request('PATCH', 'all') \g /dev/null
EXECUTE patch('{"status": "doing", "n": 5}', 'todo');
COMMIT;
RESET plan_cache_mode;

-- Nothing matched, and the answer stays so; another body is another request.
BEGIN;
SELECT public.request('PATCH', 'none') \g /dev/null
EXECUTE patch('{"status": "x", "n": 1}', 'nothing like it');
COMMIT;
RESET ROLE;
UPDATE replay_data.job SET status = 'nothing like it' WHERE id = 4;
SET ROLE regress_replay;
BEGIN;
SELECT public.request('PATCH', 'none') \g /dev/null
EXECUTE patch('{"status": "x", "n": 1}', 'nothing like it');
SAVEPOINT a;
EXECUTE patch('{"status": "x", "n": 2}', 'nothing like it');
ROLLBACK;
SELECT status FROM replay.job WHERE id = 4;

-- A row that the caller may not see any more is not shown, nor is one that is gone.
RESET ROLE;
UPDATE replay_data.job SET owner = 'bob' WHERE id = 2;
SET ROLE regress_replay;
BEGIN;
SELECT public.request('PATCH', 'all') \g /dev/null
EXECUTE patch('{"status": "doing", "n": 5}', 'todo');
ROLLBACK;
RESET ROLE;
UPDATE replay_data.job SET owner = 'alice' WHERE id = 2;
SET ROLE regress_replay;

-- Values that depend on the row cannot be known without it: then the filter has to find it.
BEGIN;
SELECT public.request('PATCH', 'relative') \g /dev/null
UPDATE replay.job SET n = n * 0 + 8 WHERE id = 3 RETURNING id, n;
COMMIT;
BEGIN;
SELECT public.request('PATCH', 'relative') \g /dev/null
UPDATE replay.job SET n = n * 0 + 8 WHERE id = 3 RETURNING id, n;
COMMIT;
BEGIN;
SELECT public.request('PATCH', 'relative and gone') \g /dev/null
UPDATE replay.job SET n = n * 0 + 9 WHERE id = 3 AND n = 8 RETURNING id, n;
COMMIT;
BEGIN;
SELECT public.request('PATCH', 'relative and gone') \g /dev/null
UPDATE replay.job SET n = n * 0 + 9 WHERE id = 3 AND n = 8 RETURNING id, n;
ROLLBACK;

-- In a function whose variables say which row: the same.
BEGIN;
SELECT public.request('PATCH', 'variables') \g /dev/null
DO $$ DECLARE k int := 3; BEGIN UPDATE replay.job SET n = 10 WHERE id = k; k := 4; UPDATE replay.job SET n = 10 WHERE id = k; END $$;
ROLLBACK;
BEGIN;
SELECT public.request('PATCH', 'dynamic') \g /dev/null
DO $$ BEGIN EXECUTE 'UPDATE replay.job SET n = 11 WHERE id = 3 AND n = 9'; EXECUTE 'UPDATE replay.job SET n = 11 WHERE id = 3 AND n = 9'; EXECUTE 'UPDATE replay.job SET n = $1 WHERE id = 3 AND n = 9' USING 12; END $$;
ROLLBACK;

-- DELETE: the row is in the trash, where the caller may see it.
BEGIN;
SELECT public.request('DELETE', 'delete', '{"if-match": "*"}') \g /dev/null
DELETE FROM replay.job WHERE status = 'nothing like it' RETURNING id, status;
COMMIT;
BEGIN;
SELECT public.request('DELETE', 'delete', '{"if-match": "*"}') \g /dev/null
DELETE FROM replay.job WHERE status = 'nothing like it' RETURNING id, status;
SELECT current_setting('response.headers');
SAVEPOINT a;
DELETE FROM replay.job WHERE status = 'doing';
ROLLBACK;

-- A restore leaves the trash, and so its filter.
BEGIN;
SELECT public.request('PATCH', 'restore', path => '/deleted_job') \g /dev/null
UPDATE replay.deleted_job SET deleted_at = NULL WHERE id = 4 RETURNING id, status, deleted_at;
COMMIT;
SELECT set_config('request.method', '', false), set_config('request.jwt.claims', '{"sub":"alice"}', false) \g /dev/null
DELETE FROM replay.job WHERE id = 4;
BEGIN;
SELECT public.request('PATCH', 'restore', path => '/deleted_job') \g /dev/null
UPDATE replay.deleted_job SET deleted_at = NULL WHERE id = 4 RETURNING id, status, deleted_at;
COMMIT;
SELECT count(*) FROM replay.job WHERE id = 4;

-- A write on the way takes neither the key nor the precondition: of a db-pre-request, a default or trigger, a function over /rpc.
RESET ROLE;
CREATE TABLE replay_data.audit (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
SELECT taskapi.expose('replay_data.audit', 'replay') \g /dev/null
CREATE FUNCTION public.audit(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO replay.audit (what) VALUES (audit.what);
    UPDATE replay.audit a SET what = a.what || ' ' || a.version WHERE a.id = (SELECT max(id) FROM replay.audit);
    RETURN what;
END $$;
CREATE TABLE replay_data.note (id int PRIMARY KEY, body text DEFAULT public.audit('default'));
CREATE FUNCTION replay_data.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.audit('trigger');
    IF NEW.id < 10 THEN
        INSERT INTO replay.note (id, body) VALUES (NEW.id + 10, 'by the trigger');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE INSERT ON replay_data.note FOR EACH ROW EXECUTE FUNCTION replay_data.note();
SELECT taskapi.expose('replay_data.note', 'replay') \g /dev/null
SELECT public.request('POST', 'x') \g /dev/null
BEGIN;
SELECT public.request('POST', 'note', path => '/note') \g /dev/null
SELECT public.audit('pre-request');
INSERT INTO replay.audit (what) VALUES ('pre-request of a server of one''s own');
INSERT INTO replay.note (id) VALUES (1) RETURNING id, body;
COMMIT;
BEGIN;
SELECT public.request('POST', 'note', path => '/note') \g /dev/null
SELECT public.audit('pre-request');
INSERT INTO replay.note (id) VALUES (1) RETURNING id, body;
COMMIT;
BEGIN;
SELECT public.request('PATCH', 'note', '{"if-match": "\"1\""}', path => '/note') \g /dev/null
SELECT public.audit('pre-request');
UPDATE replay.note SET body = 'patched' WHERE id = 1 RETURNING body, version;
COMMIT;
BEGIN;
SELECT public.request('POST', 'rpc', '{"if-match": "\"7\""}', path => '/rpc/audit') \g /dev/null
SELECT public.audit('rpc');
COMMIT;
SELECT id, body FROM replay.note ORDER BY id;
SELECT what, count(*) FROM replay.audit GROUP BY what ORDER BY what COLLATE "C";
SELECT scope, key FROM taskapi.idempotency_key WHERE scope ~ 'note|audit' ORDER BY 1, 2;

DROP SCHEMA replay, replay_data CASCADE;
DROP FUNCTION public.request, public.audit;
DEALLOCATE patch;
DROP OWNED BY regress_replay;
DROP ROLE regress_replay;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
