-- A subject that is a uuid is one subject, however a token, key, limit or scope spells it; and a blocked one is refused with each.
\set SHOW_CONTEXT never
\set id 0190a6c4-0000-7000-8000-00000000abcd
\set capitals 0190A6C4-0000-7000-8000-00000000ABCD
\set bare 0190a6c400007000800000000000abcd
\set braces {0190a6c4-0000-7000-8000-00000000ABCD}
CREATE FUNCTION pg_temp.request(method text, headers jsonb DEFAULT '{}', claims jsonb DEFAULT NULL, cookies jsonb DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.headers', headers::text, true), set_config('request.path', '/x', true),
           set_config('request.jwt.claims', coalesce(claims::text, ''), true), set_config('request.cookies', coalesce(cookies::text, ''), true)
$$;
-- what pre_request() makes of a request
CREATE FUNCTION pg_temp.outcome(headers jsonb DEFAULT '{}', claims jsonb DEFAULT NULL, cookies jsonb DEFAULT NULL, OUT outcome text, OUT cookie text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM pg_temp.request('GET', headers, claims, cookies);
    BEGIN
        PERFORM taskapi.pre_request();
        outcome := coalesce(taskapi.current_subject(), '(anonymous)');
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        outcome := concat_ws(' ', SQLERRM::jsonb ->> 'code', SQLERRM::jsonb ->> 'details');
        cookie := detail::jsonb -> 'headers' ->> 'Set-Cookie';
    END;
    PERFORM pg_temp.request('');
END
$$;

-- Keys and sessions are stored, found, listed and revoked under one spelling.
SELECT taskapi.create_api_key(:'capitals', 'made') AS key \gset
SELECT taskapi.create_session(:'bare') AS session \gset
SELECT subject FROM taskapi.api_key UNION ALL SELECT subject FROM taskapi.session;
\set VERBOSITY terse
INSERT INTO taskapi.api_key (subject, prefix, secret_hash, scopes) VALUES (:'capitals', 'x', sha256('x'), '{read}');
UPDATE taskapi.session SET subject = :'bare';
\set VERBOSITY default
SELECT pg_temp.outcome(jsonb_build_object('x-api-key', :'key')), pg_temp.outcome(cookies => jsonb_build_object('__Host-session', :'session')),
       pg_temp.outcome(claims => jsonb_build_object('sub', :'braces'));
BEGIN;
SELECT pg_temp.request('POST', '{"sec-fetch-site": "same-origin"}', jsonb_build_object('sub', :'capitals')) \g /dev/null
SELECT name FROM taskapi.my_api_keys();
SELECT count(*) AS sessions FROM taskapi.my_sessions();
SELECT name FROM taskapi.create_my_api_key('made with a token in capitals');
SELECT pg_temp.request('GET', '{}', jsonb_build_object('sub', :'id')) \g /dev/null
SELECT name FROM taskapi.my_api_keys() ORDER BY name;
-- and so are scopes of idempotency keys, whether the request's or one that is given
SELECT pg_temp.request('POST', '{}', jsonb_build_object('sub', :'capitals')) \g /dev/null
SELECT outcome FROM taskapi.idempotency_begin('k1'), taskapi.idempotency_complete('k1', 201, '{}');
SELECT pg_temp.request('POST', '{}', jsonb_build_object('sub', :'bare')) \g /dev/null
SELECT outcome FROM taskapi.idempotency_begin('k1');
SELECT outcome FROM taskapi.idempotency_begin('k2', scope => :'bare'), taskapi.idempotency_complete('k2', 201, '{}', scope => :'braces');
SELECT outcome FROM taskapi.idempotency_begin('k2', scope => :'capitals');
ROLLBACK;
-- limits
UPDATE taskapi.rate_limit_policy SET rate = 10, per = '1 day', burst = 10 WHERE name IN ('per_user', 'login_per_account');
SELECT taskapi.reset_rate_limits(jsonb_build_object('per_user', :'id'));
SELECT s, remaining FROM unnest(ARRAY[:'id', :'capitals', :'bare', :'braces']) s, taskapi.check_rate_limits(jsonb_build_object('per_user', s)) ORDER BY remaining DESC;
SELECT remaining FROM taskapi.rate_limit_status(jsonb_build_object('per_user', :'id'));
SELECT taskapi.reset_rate_limits(jsonb_build_object('per_user', :'braces'));
SELECT remaining FROM taskapi.rate_limit_status(jsonb_build_object('per_user', :'id'));
DELETE FROM taskapi.rate_limit_policy;

-- Blocked: a bearer token, a key and a session are unauthenticated, each as one that never was good.
SELECT taskapi.block_subject(:'capitals');
SELECT taskapi.block_subject(:'id');
SELECT subject FROM taskapi.blocked_subject;
SELECT pg_temp.outcome(jsonb_build_object('x-api-key', :'key')) UNION ALL SELECT pg_temp.outcome('{"x-api-key": "tak_none"}');
SELECT pg_temp.outcome(cookies => jsonb_build_object('__Host-session', :'session')) UNION ALL SELECT pg_temp.outcome(cookies => '{"__Host-session": "tas_none"}');
SELECT pg_temp.outcome(claims => jsonb_build_object('sub', s)) FROM unnest(ARRAY[:'id', :'capitals', :'bare', :'braces', 'bob']) s;
SELECT pg_temp.outcome(), pg_temp.outcome(claims => '{"role": "r"}', headers => '{"authorization": "Bearer x"}');
-- a roll-back takes a block back, and an unblocking
BEGIN;
SELECT taskapi.block_subject('bob');
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
SAVEPOINT s;
SELECT taskapi.unblock_subject('bob');
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
ROLLBACK TO s;
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
ROLLBACK;
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
-- more than are kept
SELECT count(*) FILTER (WHERE o.outcome <> 'u' || n) AS wrong FROM generate_series(1, 2500) n, pg_temp.outcome(claims => jsonb_build_object('sub', 'u' || n)) o;
SELECT pg_temp.outcome(claims => jsonb_build_object('sub', :'id'));
-- unblocked, the credentials are good again; unblocking is repeatable
SELECT taskapi.unblock_subject(:'bare'), taskapi.unblock_subject('nobody');
SELECT pg_temp.outcome(jsonb_build_object('x-api-key', :'key')), pg_temp.outcome(claims => jsonb_build_object('sub', :'bare'));
-- what is no subject, and who may
SELECT taskapi.block_subject(NULL);
SELECT taskapi.block_subject('');
SELECT taskapi.block_subject(repeat('x', 1025));
SELECT taskapi.unblock_subject(NULL);
SELECT taskapi.block_subject(repeat('x', 1024));
SELECT pg_temp.outcome(claims => jsonb_build_object('sub', repeat('x', 1024)));
TRUNCATE taskapi.blocked_subject;
SELECT length((pg_temp.outcome(claims => jsonb_build_object('sub', repeat('x', 1024)))).outcome);
CREATE ROLE regress_blocked;
SET ROLE regress_blocked;
SELECT taskapi.block_subject('bob');
SELECT taskapi.unblock_subject('bob');
SELECT count(*) FROM taskapi.blocked_subject;
-- pre_request() looks with no regard to the caller's privileges
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
RESET ROLE;
DROP ROLE regress_blocked;

-- Every table that a backend keeps in a cache tells of every change, also where ordinary triggers rest (A), and where logical replication
-- makes it, which fires row triggers only (R).
SELECT c.relname, coalesce(string_agg(t.tgname || ' ' || t.tgenabled::text, ', ' ORDER BY t.tgname), 'none') AS trigger
FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgfoid = 'taskapi.invalidate_cache()'::regprocedure
WHERE c.relnamespace = 'taskapi'::regnamespace AND c.relkind = 'r'
GROUP BY c.relname ORDER BY c.relname;
SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'taskapi'::regnamespace AND t.tgenabled <> 'A' AND t.tgname <> 'invalidate_cache_replicated' AND t.tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'taskapi'::regnamespace);
INSERT INTO taskapi.rate_limit_policy (name, rate, per) VALUES ('replicated', 100, '1 day');
SELECT "limit" FROM taskapi.check_rate_limits('{"replicated": "x"}');
SET session_replication_role = replica;
UPDATE taskapi.rate_limit_policy SET rate = 7 WHERE name = 'replicated';
SELECT taskapi.block_subject('bob');
SELECT "limit" FROM taskapi.check_rate_limits('{"replicated": "x"}');
SELECT pg_temp.outcome(claims => '{"sub": "bob"}');
RESET session_replication_role;

DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
