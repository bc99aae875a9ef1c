-- Work that spans transactions: one owner at a time, and the next goes on where the last one stopped.
SET search_path = taskapi, public;
CREATE VIEW public.ledger AS
    SELECT scope, key, status, recovery_point, state, headers, body,
           lease_expires_at = '-infinity' AS released, lease, ttl, expires_at - COALESCE(completed_at, created_at) AS expires_in
    FROM taskapi.idempotency_key ORDER BY scope, key;

-- Acquire, checkpoint, finish, replay.
SELECT outcome, recovery_point, state, status FROM idempotency_acquire('k1', '{"a": 1}', scope => 'alice');
SELECT fencing_token AS t1 FROM idempotency_key WHERE key = 'k1' \gset
SELECT * FROM public.ledger;
SELECT idempotency_checkpoint('k1', :t1, 'ride_created', '{"ride": 7}', 'alice');
SELECT idempotency_checkpoint('k1', :t1, 'charged', scope => 'alice', lease => '1 hour');
SELECT idempotency_checkpoint('k1', :t1, NULL, scope => 'alice');
SELECT * FROM public.ledger;
SELECT lease_expires_at > now() + interval '59 minutes' AS extended FROM idempotency_key;
SELECT idempotency_finish('k1', :t1, 201, '{"ride" : 7}', '{"Location": "/rides/7"}', 'alice');
SELECT * FROM public.ledger;
SELECT * FROM idempotency_acquire('k1', '{"a": 1.0}', scope => 'alice');
SELECT * FROM idempotency_acquire('k1', '{"a": 2}', scope => 'alice');
SELECT * FROM idempotency_begin('k1', '{"a": 1}', 'alice');
SELECT * FROM idempotency_acquire('k1', '{"a": 2}', scope => 'bob') \gset b_
SELECT :'b_outcome' AS outcome, :b_fencing_token > :t1 AS greater;
SELECT idempotency_release('k1', :b_fencing_token, 'bob');

-- One owner at a time. Retry-After tells when the lease ends: in the whole seconds that were left then, between those before and after.
CREATE FUNCTION pg_temp.in_progress(k text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail json;
    before numeric := ceil(extract(epoch FROM (SELECT i.lease_expires_at FROM taskapi.idempotency_key i WHERE i.key = k AND i.scope = 'alice') - clock_timestamp()));
    after  numeric;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN SQLSTATE 'PT409' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    after := ceil(extract(epoch FROM (SELECT i.lease_expires_at FROM taskapi.idempotency_key i WHERE i.key = k AND i.scope = 'alice') - clock_timestamp()));
    RETURN concat_ws(' ', detail ->> 'code', detail ->> 'status',
        CASE WHEN (detail #>> '{headers,Retry-After}')::numeric BETWEEN after AND before THEN 'until it ends' ELSE detail #>> '{headers,Retry-After}' END);
END $$;
SELECT outcome, fencing_token AS t2 FROM idempotency_acquire('k2', '1', '100 s', 'alice') \gset
SELECT idempotency_checkpoint('k2', :t2, 'half', '{"n": 1}', 'alice');
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() + interval '1 day' - interval '1 millisecond' WHERE key = 'k2';
SELECT pg_temp.in_progress('k2', $$SELECT outcome FROM idempotency_acquire('k2', '1', scope => 'alice')$$);
SELECT pg_temp.in_progress('k2', $$SELECT outcome FROM idempotency_begin('k2', '1', scope => 'alice')$$);
SELECT outcome FROM idempotency_acquire('k2', '2', scope => 'alice');

-- A lease that ran out is taken over with recovery point and state; the old owner is a zombie then, and not before.
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = 'k2';
SELECT idempotency_checkpoint('k2', :t2, 'late', '{"n": 2}', 'alice');
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = 'k2';
SELECT outcome FROM idempotency_acquire('k2', '2', scope => 'alice');
SELECT outcome FROM idempotency_begin('k2', '1', scope => 'alice');
SELECT outcome, recovery_point, state, fencing_token > :t2 AS greater FROM idempotency_acquire('k2', '1', scope => 'alice');
SELECT fencing_token AS t3 FROM idempotency_key WHERE key = 'k2' \gset
SELECT idempotency_checkpoint('k2', :t2, 'zombie', '{}', 'alice');
SELECT idempotency_finish('k2', :t2, 200, '"zombie"', scope => 'alice');
SELECT idempotency_release('k2', :t2, 'alice');
SELECT idempotency_checkpoint('k2', :t3 + 1, 'future', '{}', 'alice');
SELECT idempotency_finish('k2', 9223372036854775807, 200, '"future"', scope => 'alice');
SELECT idempotency_release('k2', 0, 'alice');
SELECT idempotency_release('k2', -1, 'alice');
SELECT key, recovery_point, state, status FROM public.ledger WHERE key = 'k2';

-- Released with a recovery point: the next owner goes on from there, for the same request alone.
SELECT idempotency_release('k2', :t3, 'alice');
SELECT idempotency_release('k2', :t3, 'alice');
SELECT idempotency_checkpoint('k2', :t3, 'again', scope => 'alice');
SELECT idempotency_finish('k2', :t3, 200, NULL, scope => 'alice');
SELECT key, released, recovery_point, state FROM public.ledger WHERE key = 'k2';
SELECT outcome FROM idempotency_begin('k2', '1', scope => 'alice');
SELECT outcome FROM idempotency_acquire('k2', '2', scope => 'alice');
SELECT outcome, recovery_point, state FROM idempotency_acquire('k2', '1', scope => 'alice');
SELECT fencing_token AS t4 FROM idempotency_key WHERE key = 'k2' \gset
SELECT :t4 > :t3 AS greater;
SELECT idempotency_finish('k2', :t4, 409, NULL, scope => 'alice');
SELECT idempotency_finish('k2', :t4, 200, NULL, scope => 'alice');
SELECT idempotency_checkpoint('k2', :t4, 'after', scope => 'alice');
SELECT idempotency_release('k2', :t4, 'alice');
SELECT outcome, status, body FROM idempotency_acquire('k2', '1', scope => 'alice');

-- Released without one: as if it had never been used, except that the token still grows.
SELECT fencing_token AS t5 FROM idempotency_acquire('k3', '1', scope => 'alice') \gset
SELECT idempotency_release('k3', :t5, 'alice');
SELECT count(*) FROM idempotency_key WHERE key = 'k3';
SELECT outcome, fencing_token > :t5 AS greater FROM idempotency_acquire('k3', '2', scope => 'alice');

-- All within one transaction, with a rollback half-way.
BEGIN;
SELECT fencing_token AS t6 FROM idempotency_acquire('k4', scope => 'alice') \gset
SAVEPOINT a;
SELECT idempotency_checkpoint('k4', :t6, 'one', scope => 'alice');
SELECT idempotency_checkpoint('k4', :t6, 'two', scope => 'alice');
SELECT idempotency_finish('k4', :t6, 200, '1', scope => 'alice');
ROLLBACK TO a;
SELECT idempotency_finish('k4', :t6, 200, '2', scope => 'alice');
SELECT outcome, body FROM idempotency_acquire('k4', scope => 'alice');
COMMIT;
SELECT outcome, body FROM idempotency_acquire('k4', scope => 'alice');
BEGIN;
SELECT outcome FROM idempotency_acquire('k5', scope => 'alice');
ROLLBACK;
SELECT count(*) FROM idempotency_key WHERE key = 'k5';
SELECT (idempotency_acquire('k5', scope => 'alice')).outcome;
SELECT pg_temp.in_progress('k5', $$SELECT outcome FROM idempotency_acquire('k5', scope => 'alice')$$);

-- begin and acquire do not mix.
BEGIN;
SELECT outcome FROM idempotency_begin('k6', scope => 'alice');
SELECT outcome FROM idempotency_acquire('k6', scope => 'alice');
ROLLBACK;
BEGIN;
SELECT fencing_token AS t7 FROM idempotency_acquire('k6', scope => 'alice') \gset
SELECT idempotency_complete('k6', 200, '1', scope => 'alice');
ROLLBACK;
BEGIN;
SELECT outcome FROM idempotency_begin('k6', scope => 'alice');
SELECT idempotency_complete('k6', 200, '1', scope => 'alice');
COMMIT;
SELECT idempotency_finish('k6', 0, 200, '2', scope => 'alice');
SELECT outcome, body FROM idempotency_acquire('k6', scope => 'alice');

-- The key's ttl: work in progress outlives it while the lease lives, and for good once something was done; it can be found.
SELECT fencing_token AS t8 FROM idempotency_acquire('k7', scope => 'alice', ttl => '1 hour') \gset
SELECT idempotency_checkpoint('k7', :t8, 'p', scope => 'alice');
UPDATE idempotency_key SET expires_at = clock_timestamp() WHERE key = 'k7';
SELECT purge_idempotency_keys();
SELECT idempotency_checkpoint('k7', :t8, 'q', scope => 'alice');
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = 'k7';
SELECT idempotency_checkpoint('k7', :t8, 'r', scope => 'alice');
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = 'k7';
SELECT purge_idempotency_keys();
SELECT key, recovery_point, fencing_token = :t8 AS same FROM idempotency_abandoned('alice') WHERE key = 'k7';
SELECT key FROM idempotency_abandoned('bob');
SELECT count(*) FROM idempotency_abandoned(NULL, 1);
SELECT value > 0 AS counted FROM stats WHERE name = 'idempotency_unfinished';
SELECT outcome, recovery_point FROM idempotency_acquire('k7', '"other"', scope => 'alice', ttl => '2 hours');
SELECT outcome, recovery_point FROM idempotency_acquire('k7', scope => 'alice', ttl => '2 hours');
SELECT key FROM idempotency_abandoned('alice') WHERE key = 'k7';
SELECT fencing_token AS t9 FROM idempotency_key WHERE key = 'k7' \gset
SELECT idempotency_finish('k7', :t9, 200, NULL, scope => 'alice');
SELECT ttl, expires_in FROM public.ledger WHERE key = 'k7';

-- Without anything done, the key is new; with a state alone, it is not. A released lease is found as well.
SELECT fencing_token AS t8 FROM idempotency_acquire('k8', '"one"', scope => 'alice', ttl => '1 hour') \gset
SELECT fencing_token AS t9 FROM idempotency_acquire('k9', '"one"', scope => 'alice', ttl => '1 hour') \gset
SELECT idempotency_checkpoint('k9', :t9, NULL, '{"n": 1}', 'alice'), idempotency_release('k9', :t9, 'alice');
UPDATE idempotency_key SET expires_at = clock_timestamp(), lease_expires_at = least(lease_expires_at, clock_timestamp()) WHERE key IN ('k8', 'k9');
SELECT key, recovery_point, state, lease_expires_at = '-infinity' AS released FROM idempotency_abandoned('alice') WHERE key IN ('k8', 'k9') ORDER BY key;
SELECT purge_idempotency_keys();
SELECT outcome, state FROM idempotency_acquire('k8', '"two"', scope => 'alice');
SELECT outcome, state FROM idempotency_acquire('k9', '"two"', scope => 'alice');
SELECT outcome, state FROM idempotency_acquire('k9', '"one"', scope => 'alice');

-- Purge: what is expired and nothing else, in batches; a token does not come back.
SELECT fencing_token AS t10 FROM idempotency_acquire('p1', scope => 'purge') \gset
SELECT count((idempotency_acquire('p' || i, scope => 'purge')).fencing_token) FROM generate_series(2, 25) i;
UPDATE idempotency_key SET expires_at = clock_timestamp(), lease_expires_at = clock_timestamp() WHERE scope = 'purge' AND key <> 'p9';
SELECT purge_idempotency_keys(10), purge_idempotency_keys(10), purge_idempotency_keys(10), purge_idempotency_keys(10);
SELECT key FROM public.ledger WHERE scope = 'purge';
SELECT idempotency_finish('p1', :t10, 200, NULL, scope => 'purge');
SELECT fencing_token > :t10 AS greater FROM idempotency_acquire('p1', scope => 'purge');
SELECT purge_idempotency_keys(0);
SELECT purge_idempotency_keys(NULL);

-- Tokens that went back, as after a careless ALTER SEQUENCE, are noticed.
UPDATE idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = 'p9';
SELECT last_value AS last FROM idempotency_fencing_token \gset
ALTER SEQUENCE idempotency_fencing_token RESTART 1;
\set VERBOSITY sqlstate
SELECT outcome FROM idempotency_acquire('p9', scope => 'purge');
\set VERBOSITY default
SELECT setval('idempotency_fencing_token', :last) > 1 AS restored;

-- Bad input.
SELECT idempotency_acquire(NULL, scope => 'alice');
SELECT idempotency_acquire('', scope => 'alice');
SELECT idempotency_acquire('k');
SELECT idempotency_acquire('k', lease => NULL, scope => 'alice');
SELECT idempotency_acquire('k', lease => '0', scope => 'alice');
SELECT idempotency_acquire('k', lease => '-1 s', scope => 'alice');
SELECT idempotency_acquire('k', lease => '100 years', scope => 'alice');
SELECT idempotency_acquire('k', ttl => '-1 day', scope => 'alice');
SELECT idempotency_checkpoint('k', NULL, 'p', scope => 'alice');
SELECT idempotency_checkpoint('k', 1, 'p', scope => 'alice');
SELECT idempotency_checkpoint('k', 1, 'p', scope => 'alice', lease => '0');
SELECT idempotency_finish('k', 1, NULL, NULL, scope => 'alice');
SELECT idempotency_finish('k', 1, 99, NULL, scope => 'alice');
SELECT idempotency_finish('k', 1, 200, NULL, '"h"', 'alice');
SELECT idempotency_release('k', 1, 'alice');
SELECT * FROM idempotency_abandoned('alice', 0);
SELECT count(*) FROM idempotency_key WHERE key = 'k';

DROP VIEW public.ledger;
RESET search_path;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
