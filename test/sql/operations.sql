-- maintain() purges what has expired and nothing else, and commits batch by batch.
\set SHOW_CONTEXT never
INSERT INTO taskapi.session (subject, token_hash, expires_at)
    SELECT 'gone', sha256(n::text::bytea), now() - interval '1 hour' FROM generate_series(1, 25) n
    UNION ALL SELECT 'stays', sha256((n + 100)::text::bytea), now() + interval '1 hour' FROM generate_series(1, 3) n;
SELECT count(*) FROM generate_series(1, 25) n, taskapi.idempotency_begin('k' || n, scope => 's', ttl => '1 second') e, taskapi.idempotency_complete('k' || n, 200, '{}', scope => 's') c;
SELECT count(*) FROM generate_series(1, 3) n, taskapi.idempotency_begin('live' || n, scope => 's') e, taskapi.idempotency_complete('live' || n, 200, '{}', scope => 's') c;
UPDATE taskapi.idempotency_key SET created_at = created_at - interval '1 day', expires_at = expires_at - interval '1 day' WHERE key LIKE 'k%';

CREATE TABLE note (id int PRIMARY KEY, body text);
SELECT taskapi.expose('note', 'public', 'notes');
INSERT INTO note SELECT n FROM generate_series(1, 28) n;
DELETE FROM notes WHERE id <= 26;
UPDATE note SET deleted_at = now() - interval '31 days' WHERE id <= 25;

CALL taskapi.maintain(10);
SELECT subject, count(*) FROM taskapi.session GROUP BY 1;
SELECT count(*) FROM taskapi.idempotency_key;
SELECT id, deleted_at IS NOT NULL AS deleted FROM note ORDER BY id;
-- a shorter retention takes the last one; -1 takes none
UPDATE note SET deleted_at = now() - interval '1 hour' WHERE id = 26;
SET taskapi.deleted_retention = -1;
CALL taskapi.maintain();
SELECT count(*) FROM note;
SET taskapi.deleted_retention = '30min';
CALL taskapi.maintain();
SELECT count(*) FROM note;
RESET taskapi.deleted_retention;

CALL taskapi.maintain(0);
CALL taskapi.maintain(NULL);
-- it commits, so it refuses to run inside a transaction
BEGIN;
CALL taskapi.maintain();
ROLLBACK;
-- a hostile search_path changes nothing: no unqualified name is looked up in it
CREATE SCHEMA regress_hostile;
CREATE FUNCTION regress_hostile.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
CREATE FUNCTION regress_hostile.purge_sessions(int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
SET search_path = regress_hostile, pg_catalog;
CALL taskapi.maintain();
RESET search_path;

-- what is counted: each name once, and it moves
SELECT count(*) = count(DISTINCT name) AS unique_names, bool_and(value >= 0) AS counted FROM taskapi.stats;
SELECT value AS before FROM taskapi.stats WHERE name = 'rate_limit_denied' \gset
SELECT (taskapi.rate_limit('regress operations ' || clock_timestamp(), 1, cost => 2)).allowed;
SELECT value - :before AS denied_since FROM taskapi.stats WHERE name = 'rate_limit_denied';

-- nobody but a monitor sees it, and nobody runs it
CREATE ROLE regress_operations;
SET ROLE regress_operations;
SELECT count(*) FROM taskapi.stats;
CALL taskapi.maintain();
RESET ROLE;
GRANT pg_monitor TO regress_operations;
SET ROLE regress_operations;
SELECT count(*) > 10 AS sees FROM taskapi.stats;
RESET ROLE;
-- a role for upkeep, and an outbox to be kept up
SELECT taskapi.create_outbox('regress_outbox');
SELECT taskapi.grant_maintain('regress_operations');
SELECT count(*) FROM taskapi.idempotency_begin('late', scope => 's', ttl => '1 second') e, taskapi.idempotency_complete('late', 200, '{}', scope => 's') c;
UPDATE taskapi.idempotency_key SET created_at = created_at - interval '1 day', expires_at = expires_at - interval '1 day' WHERE key = 'late';
UPDATE note SET deleted_at = now() - interval '31 days' WHERE id = 27;
SET ROLE regress_operations;
CALL taskapi.maintain();
SELECT taskapi.rotate_secret('cursor');
SELECT taskapi.grant_maintain('regress_operations');
RESET ROLE;
SELECT count(*) FROM taskapi.idempotency_key WHERE key = 'late';
SELECT count(*) FROM note WHERE id = 27;
SELECT taskapi.grant_maintain(NULL);
DROP OWNED BY regress_operations;
DROP ROLE regress_operations;
-- A trigger that holds up the run until it is cancelled keeps nothing from being done that is not its owner's.
SELECT taskapi.create_api_key('late') AS key \gset
BEGIN;
SELECT set_config('request.method', 'GET', true), set_config('request.headers', json_build_object('x-api-key', :'key')::text, true) \g /dev/null
SELECT taskapi.pre_request();
COMMIT;
CREATE FUNCTION regress_hostile.hang() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_cancel_backend(pg_backend_pid());
    PERFORM pg_sleep(60);
    RETURN OLD;
END $$;
CREATE TABLE regress_hostile.behind (id int PRIMARY KEY);
CREATE TABLE regress_hostile.hangs (id int PRIMARY KEY);
CREATE TABLE regress_hostile.before (id int PRIMARY KEY);
SET client_min_messages = warning;
SELECT taskapi.expose('regress_hostile.' || t, 'regress_hostile', v, changes => t = 'hangs')
    FROM (VALUES ('hangs', 'hang'), ('behind', 'behind_it'), ('before', 'before_it')) x (t, v);
INSERT INTO regress_hostile.hang VALUES (1), (2);
INSERT INTO regress_hostile.behind_it VALUES (1);
INSERT INTO regress_hostile.before_it VALUES (1);
DELETE FROM regress_hostile.hang WHERE id = 2;
DELETE FROM regress_hostile.deleted_hang;
UPDATE regress_hostile.hangs_departures SET taskapi_departed_at = now() - interval '1 year';
DELETE FROM regress_hostile.hang;
DELETE FROM regress_hostile.behind_it;
DELETE FROM regress_hostile.before_it;
CREATE TRIGGER hang BEFORE DELETE ON regress_hostile.hangs FOR EACH ROW EXECUTE FUNCTION regress_hostile.hang();
SET taskapi.deleted_retention = 0;
CALL taskapi.maintain();
SELECT count(*) AS behind, (SELECT count(*) FROM regress_hostile.before) AS before FROM regress_hostile.behind;
-- nor the tables behind it in the next run, nor for good what comes behind the purge: one run in two does that first
CALL taskapi.maintain();
SELECT count(*) AS behind, (SELECT count(*) FROM regress_hostile.hangs) AS hangs FROM regress_hostile.behind;
SELECT 'CALL taskapi.maintain()' FROM generate_series(1, 30) \gexec
SELECT count(*) AS departures FROM regress_hostile.hangs_departures;
RESET taskapi.deleted_retention;
DROP TABLE regress_hostile.hangs, regress_hostile.behind, regress_hostile.before CASCADE;
DROP FUNCTION regress_hostile.hang();
RESET client_min_messages;
SELECT last_used_at IS NOT NULL AS written_down FROM taskapi.api_key WHERE subject = 'late';
DROP SCHEMA regress_hostile CASCADE;
DROP SCHEMA regress_outbox CASCADE;
DROP VIEW IF EXISTS notes CASCADE;
DROP TABLE note CASCADE;
DROP EXTENSION taskapi CASCADE;
CREATE EXTENSION taskapi;
