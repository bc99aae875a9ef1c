-- A key has its effect once, and every repetition gets the stored response.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
SET search_path = taskapi, public;

-- The first call is new, and a repetition gets the response byte for byte.
BEGIN;
SELECT * FROM idempotency_begin('k1', '{"amount": 1}', 'alice');
SELECT idempotency_complete('k1', 201, '{ "id" :  7, "id": 8 }', '{"Location": "/charges/7"}', 'alice');
COMMIT;
SELECT * FROM idempotency_begin('k1', '{"amount": 1.0}', 'alice');
SELECT * FROM idempotency_begin('"k1"', '{"amount": 1e0}', 'alice');
SELECT status, expires_at - completed_at AS ttl, completed_at >= created_at AS ordered FROM idempotency_key;

-- Another request, also one without a body, with the same key is refused; the same key of another scope is another key.
SELECT * FROM idempotency_begin('k1', '{"amount": 2}', 'alice');
SELECT * FROM idempotency_begin('k1', NULL, 'alice');
SELECT * FROM idempotency_begin('k1', '{"amount": 2}', 'bob');
SELECT count(*) FROM idempotency_key;

-- Body, headers and request may be absent.
BEGIN;
SELECT outcome FROM idempotency_begin('k2', scope => 'alice');
SELECT idempotency_complete('k2', 204, NULL, scope => 'alice');
COMMIT;
SELECT * FROM idempotency_begin('k2', scope => 'alice');
SELECT * FROM idempotency_begin('k2', '{}', scope => 'alice');

-- What rolls back leaves nothing.
BEGIN;
SELECT outcome FROM idempotency_begin('k3', scope => 'alice');
SELECT idempotency_complete('k3', 200, '1', scope => 'alice');
ROLLBACK;
BEGIN;
SELECT outcome FROM idempotency_begin('k3', scope => 'alice');
COMMIT;
SELECT outcome FROM idempotency_begin('k3', scope => 'alice');
SELECT count(*) FROM idempotency_key WHERE key = 'k3';

-- Calls out of order.
SELECT idempotency_complete('k4', 200, '1', scope => 'alice');
BEGIN;
SELECT outcome FROM idempotency_begin('k4', scope => 'alice');
SELECT idempotency_complete('k4', 200, '1', scope => 'bob');
ROLLBACK;
BEGIN;
SELECT outcome FROM idempotency_begin('k4', scope => 'alice');
SAVEPOINT s;
SELECT outcome FROM idempotency_begin('k4', scope => 'alice');
ROLLBACK TO s;
SELECT idempotency_complete('k4', 200, '1', scope => 'alice');
SAVEPOINT s;
SELECT idempotency_complete('k4', 200, '2', scope => 'alice');
ROLLBACK TO s;
SELECT * FROM idempotency_begin('k4', scope => 'alice');
COMMIT;
SELECT idempotency_complete('k4', 200, '3', scope => 'alice');
SELECT * FROM idempotency_begin('k4', scope => 'alice');

-- Several keys and scopes in one transaction.
BEGIN;
SELECT outcome FROM idempotency_begin('k5', scope => 'alice');
SELECT outcome FROM idempotency_begin('k5', scope => 'bob');
SELECT outcome FROM idempotency_begin('k6', scope => 'alice');
SELECT idempotency_complete('k6', 200, '"k6"', scope => 'alice');
SELECT idempotency_complete('k5', 200, '"bob"', scope => 'bob');
SELECT idempotency_complete('k5', 200, '"alice"', scope => 'alice');
COMMIT;
SELECT (idempotency_begin(k, scope => s)).body FROM (VALUES ('k5', 'alice'), ('k5', 'bob'), ('k6', 'alice')) v(k, s);
BEGIN;
SELECT count(*) FROM (SELECT idempotency_begin('many' || i, scope => 'alice') FROM generate_series(1, 500) i) s;
SELECT count(*) FROM (SELECT idempotency_complete('many' || i, 200, to_json(i), scope => 'alice') FROM generate_series(500, 1, -1) i) s;
COMMIT;
SELECT count(*) FILTER (WHERE (b).outcome = 'replay' AND (b).body::text = i::text)
FROM (SELECT i, idempotency_begin('many' || i, scope => 'alice') AS b FROM generate_series(1, 500) i) s;

-- Subtransactions: what was begun in one that rolled back is not begun, and what was completed in one is begun again.
BEGIN;
SAVEPOINT a;
SELECT outcome FROM idempotency_begin('s1', scope => 'alice');
ROLLBACK TO a;
SELECT idempotency_complete('s1', 200, '1', scope => 'alice');
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT outcome FROM idempotency_begin('s1', scope => 'alice');
ROLLBACK TO a;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SELECT outcome FROM idempotency_begin('s1', scope => 'alice');
SAVEPOINT b;
SAVEPOINT c;
SELECT idempotency_complete('s1', 500, '"lost"', scope => 'alice');
RELEASE c;
ROLLBACK TO b;
SELECT count(*) FROM idempotency_key WHERE key = 's1';
SELECT idempotency_complete('s1', 200, '"kept"', scope => 'alice');
COMMIT;
SELECT outcome, status, body FROM idempotency_begin('s1', scope => 'alice');
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT outcome FROM idempotency_begin('s2', scope => 'alice');
RELEASE b;
RELEASE a;
SELECT idempotency_complete('s2', 200, '"nested"', scope => 'alice');
COMMIT;
SELECT outcome, status, body FROM idempotency_begin('s2', scope => 'alice');
DO $$
BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            PERFORM taskapi.idempotency_begin('s3', scope => 'alice');
            RAISE EXCEPTION 'effect fails';
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
    IF (taskapi.idempotency_begin('s3', scope => 'alice')).outcome = 'new' THEN
        PERFORM taskapi.idempotency_complete('s3', 200, '3', scope => 'alice');
    END IF;
END
$$;
SELECT outcome, body FROM idempotency_begin('s3', scope => 'alice');

-- An expired key is a new key, purged or not.
BEGIN;
SELECT outcome FROM idempotency_begin('e1', '1', 'alice', ttl => '1 hour');
SELECT idempotency_complete('e1', 200, '"first"', scope => 'alice');
COMMIT;
SELECT expires_at - completed_at AS ttl FROM idempotency_key WHERE key = 'e1';
UPDATE idempotency_key SET expires_at = clock_timestamp() WHERE key = 'e1';
BEGIN;
SELECT outcome FROM idempotency_begin('e1', '2', 'alice');
SAVEPOINT a;
ROLLBACK TO a;
SELECT idempotency_complete('e1', 200, '"second"', scope => 'alice');
COMMIT;
SELECT outcome, body FROM idempotency_begin('e1', '2', 'alice');
UPDATE idempotency_key SET expires_at = clock_timestamp() WHERE key = 'e1';
BEGIN;
SELECT outcome FROM idempotency_begin('e1', '3', 'alice');
ROLLBACK;
SELECT body FROM idempotency_key WHERE key = 'e1';

-- The same under a snapshot that is older than the response.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT outcome FROM idempotency_begin('r1', scope => 'alice');
SELECT idempotency_complete('r1', 200, '1', scope => 'alice');
SELECT outcome FROM idempotency_begin('r1', scope => 'alice');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT outcome FROM idempotency_begin('r2', scope => 'alice');
SELECT idempotency_complete('r2', 200, '1', scope => 'alice');
COMMIT;

-- The longest key, quoted keys and what a Structured Field String escapes.
SELECT outcome FROM idempotency_begin(repeat('k', 255), scope => 'alice');
SELECT outcome FROM idempotency_begin('"' || repeat('k', 255) || '"', scope => 'alice');
SELECT outcome FROM idempotency_begin(repeat('é', 255), scope => 'alice');
BEGIN;
SELECT outcome FROM idempotency_begin('"a\"b\\c"', scope => 'alice');
SELECT idempotency_complete('a"b\c', 200, NULL, scope => 'alice');
COMMIT;
SELECT key FROM idempotency_key WHERE key LIKE 'a"%';

-- A scope of any length keeps its own keys.
BEGIN;
SELECT outcome FROM idempotency_begin('k', scope => repeat('s', 10000));
SELECT outcome FROM idempotency_begin('k', scope => repeat('s', 10000) || 't');
SELECT outcome FROM idempotency_begin('k', scope => repeat('é', 10000));
SELECT idempotency_complete('k', 200, '1', scope => repeat('s', 10000));
SELECT idempotency_complete('k', 200, '3', scope => repeat('é', 10000));
COMMIT;
SELECT (idempotency_begin('k', scope => s)).body FROM
    (VALUES (repeat('s', 10000)), (repeat('s', 10000) || 't'), (repeat('é', 10000))) v(s);

-- Bad input: a clear answer each, and the ledger as it was.
CREATE TEMP TABLE before AS SELECT count(*) AS n FROM idempotency_key;
SELECT idempotency_begin(NULL, scope => 'alice');
SELECT idempotency_begin('', scope => 'alice');
SELECT idempotency_begin('   ', scope => 'alice');
SELECT idempotency_begin('""', scope => 'alice');
SELECT idempotency_begin(repeat('k', 256), scope => 'alice');
SELECT idempotency_begin(E'a\tb', scope => 'alice');
SELECT idempotency_begin(E'a\x7f', scope => 'alice');
SELECT idempotency_begin(U&'a\0085', scope => 'alice');
SELECT idempotency_begin(U&'a\200B', scope => 'alice');
SELECT idempotency_begin('"a"b"', scope => 'alice');
SELECT idempotency_begin('"a\b"', scope => 'alice');
SELECT idempotency_begin('"a\"', scope => 'alice');
SELECT idempotency_begin('k', scope => '');
SELECT idempotency_begin('k');
SELECT idempotency_begin('k', scope => 'alice', ttl => '0');
SELECT idempotency_begin('k', scope => 'alice', ttl => '-1 hour');
SELECT idempotency_begin('k', scope => 'alice', ttl => '100 years');
SELECT idempotency_begin('k', scope => 'alice', ttl => '178000000 years');
SELECT idempotency_complete(NULL, 200, NULL, scope => 'alice');
SELECT idempotency_complete('k', NULL, NULL, scope => 'alice');
SELECT idempotency_complete('k', 100, NULL, scope => 'alice');
SELECT idempotency_complete('k', 600, NULL, scope => 'alice');
SELECT idempotency_complete('k', 200, NULL, '[]', scope => 'alice');
SELECT idempotency_complete('k', 200, NULL, '{"a": 1}', scope => 'alice');
\set VERBOSITY sqlstate
SET taskapi.idempotency_ttl = 0;
SET taskapi.idempotency_ttl = -1;
SET taskapi.idempotency_ttl = '367 d';
SET taskapi.idempotency_wait = -1;
\set VERBOSITY default
SELECT n = (SELECT count(*) FROM idempotency_key) AS unchanged FROM before;

-- Not for readers.
BEGIN READ ONLY;
SELECT idempotency_begin('k', scope => 'alice');
ROLLBACK;

-- A body of 10 MB comes back as it was.
BEGIN;
SELECT outcome FROM idempotency_begin('big', scope => 'alice');
SELECT idempotency_complete('big', 200, to_json(repeat(md5('x'), 330000)), scope => 'alice');
COMMIT;
SELECT length(body::text), md5(body::text) = md5(to_json(repeat(md5('x'), 330000))::text) AS same
FROM idempotency_begin('big', scope => 'alice');

-- Inside a request the scope is the caller's, with method and path.
BEGIN;
SELECT set_config('request.method', 'POST', true), set_config('request.path', '/charges', true),
       set_config('request.jwt.claims', '{"sub":"carol"}', true);
SELECT outcome FROM idempotency_begin('h1', '1');
SELECT idempotency_complete('h1', 201, '1');
SELECT scope FROM idempotency_key WHERE key = 'h1';
SELECT outcome FROM idempotency_begin('h1', '1');
SELECT current_setting('response.headers', true);
SELECT outcome FROM idempotency_begin('h1', '1', '["carol","POST","/charges"]');
SELECT set_config('request.path', '/refunds', true);
SELECT outcome FROM idempotency_begin('h1', '1');
SELECT set_config('request.jwt.claims', '{"sub":"dave"}', true), set_config('request.path', '/charges', true);
SELECT outcome FROM idempotency_begin('h1', '1');
SAVEPOINT a;
SELECT set_config('request.jwt.claims', '{}', true);
SELECT outcome FROM idempotency_begin('h2', '1');
ROLLBACK TO a;
SELECT outcome FROM idempotency_begin('h1', '2', '["carol","POST","/charges"]');
ROLLBACK;

-- The application's advisory locks are others: every one of them may be held.
BEGIN;
SELECT outcome FROM idempotency_begin('l1', scope => 'alice');
SELECT objsubid NOT IN (1, 2) AS own_class, mode FROM pg_locks WHERE locktype = 'advisory';
SELECT pg_advisory_unlock_all();
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
COMMIT;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';

-- The caller needs EXECUTE, and no right to the table.
CREATE ROLE regress_idempotency;
GRANT USAGE ON SCHEMA taskapi TO regress_idempotency;
SET ROLE regress_idempotency;
SELECT outcome FROM idempotency_begin('k1', '{"amount": 1}', 'alice');
SELECT * FROM idempotency_key;
RESET ROLE;
GRANT EXECUTE ON FUNCTION idempotency_begin, idempotency_complete TO regress_idempotency;
SET ROLE regress_idempotency;
SELECT outcome FROM idempotency_begin('k1', '{"amount": 1}', 'alice');
BEGIN;
SELECT outcome FROM idempotency_begin('role', scope => 'alice');
SELECT idempotency_complete('role', 200, '1', scope => 'alice');
COMMIT;
SELECT outcome FROM idempotency_begin('role', scope => 'alice');
RESET ROLE;

-- An administrator's index, trigger and column on the table are respected.
CREATE FUNCTION public.ledger_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'stored %', NEW.key; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON idempotency_key FOR EACH ROW EXECUTE FUNCTION public.ledger_trigger();
CREATE INDEX ledger_upper ON idempotency_key (upper(key)) WHERE status = 200;
ALTER TABLE idempotency_key ADD note text DEFAULT 'x';
BEGIN;
SELECT outcome FROM idempotency_begin('adm', scope => 'alice');
SELECT idempotency_complete('adm', 200, '1', scope => 'alice');
COMMIT;
SET enable_seqscan = off;
SELECT key FROM idempotency_key WHERE upper(key) = 'ADM' AND status = 200;
RESET enable_seqscan;
SELECT outcome, body FROM idempotency_begin('adm', scope => 'alice');
DROP FUNCTION public.ledger_trigger() CASCADE;

DROP OWNED BY regress_idempotency;
DROP ROLE regress_idempotency;
RESET search_path;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
