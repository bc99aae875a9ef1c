-- pre_request(): who it is, as whom the request goes on, what is charged, and every credential that is not good.
\set SHOW_CONTEXT never
SELECT count(*) AS policies FROM taskapi.rate_limit_policy;
CREATE ROLE regress_authenticator NOINHERIT;
CREATE ROLE regress_anon;
CREATE ROLE regress_user;
CREATE ROLE regress_outsider;
GRANT regress_anon, regress_user TO regress_authenticator;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');

CREATE SCHEMA regress_request;
GRANT USAGE ON SCHEMA regress_request TO PUBLIC;
CREATE TABLE regress_request.secret (name text PRIMARY KEY, secret text);
GRANT SELECT ON regress_request.secret TO PUBLIC;
INSERT INTO regress_request.secret VALUES
    ('key', taskapi.create_api_key('u1', 'laptop')),
    ('reader', taskapi.create_api_key('u1', 'dashboard', '{read}')),
    ('writer', taskapi.create_api_key('u1', 'sensor', '{write}')),
    ('other', taskapi.create_api_key('u2')),
    ('revoked', taskapi.create_api_key('u1')),
    ('expired', taskapi.create_api_key('u1', expires_at => 'infinity')),
    ('deleted', taskapi.create_api_key('u6')),
    ('quoted', taskapi.create_api_key('a "quoted" \ one é')),
    ('session', taskapi.create_session('u3')),
    ('session revoked', taskapi.create_session('u3')),
    ('session expired', taskapi.create_session('u3'));
UPDATE taskapi.api_key SET revoked_at = now() WHERE secret_hash = (SELECT sha256(secret::bytea) FROM regress_request.secret WHERE name = 'revoked');
UPDATE taskapi.api_key SET expires_at = now() WHERE secret_hash = (SELECT sha256(secret::bytea) FROM regress_request.secret WHERE name = 'expired');
DELETE FROM taskapi.api_key WHERE subject = 'u6';
UPDATE taskapi.session SET revoked_at = now() WHERE token_hash = (SELECT sha256(secret::bytea) FROM regress_request.secret WHERE name = 'session revoked');
UPDATE taskapi.session SET expires_at = now() WHERE token_hash = (SELECT sha256(secret::bytea) FROM regress_request.secret WHERE name = 'session expired');

-- one request as the layer makes it; the answer is who goes on, or status, problem, details and headers
CREATE FUNCTION regress_request.call(method text, headers jsonb DEFAULT '{}', cookies jsonb DEFAULT '{}', claims text DEFAULT '{"role": "regress_anon"}') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text;
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.headers', headers::text, true),
            set_config('request.cookies', cookies::text, true), set_config('request.jwt.claims', claims, true),
            set_config('role', 'regress_anon', true), set_config('response.headers', '', true);
    BEGIN
        PERFORM taskapi.pre_request();
        RETURN current_user || ' as ' || coalesce(taskapi.current_subject(), 'nobody') || coalesce(', ' || (taskapi.jwt_claims() ->> 'scope'), '');
    EXCEPTION WHEN SQLSTATE 'PGRST' THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
        -- of the headers those that belong to the problem: refusal_headers.sql is about the others
        RETURN concat_ws(' ', detail::json ->> 'status', message::json ->> 'code', message::json ->> 'details',
            CASE detail::json ->> 'status' WHEN '429' THEN detail::json ->> 'headers'
                ELSE ((detail::jsonb -> 'headers') - '{RateLimit,RateLimit-Policy,Access-Control-Expose-Headers}'::text[])::text END);
    END;
END $$;
CREATE FUNCTION regress_request.key(name text) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT jsonb_build_object('x-api-key', s.secret) FROM regress_request.secret s WHERE s.name = key.name $$;
CREATE FUNCTION regress_request.cookie(name text) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT jsonb_build_object('__Host-session', s.secret) FROM regress_request.secret s WHERE s.name = cookie.name $$;

SET SESSION AUTHORIZATION regress_authenticator;
SET search_path = regress_request, pg_catalog;

-- who
BEGIN READ ONLY;
SELECT call('GET');
SELECT call('GET', '{}', '{}', '');
SELECT call('GET', '{"authorization": "Bearer x"}', '{}', '{"role": "regress_anon", "sub": "u9"}');
SELECT call('GET', key('key'));
SELECT call('GET', key('other'));
SELECT call('GET', key('quoted'));
SELECT taskapi.jwt_claims() ->> 'role' AS role, taskapi.jwt_claims() ->> 'sub' AS sub, taskapi.jwt_claims() ? 'api_key_id' AS key;
SELECT call('GET', '{}', cookie('session'));
SELECT taskapi.jwt_claims() ? 'session_id' AS session, taskapi.jwt_claims() ? 'api_key_id' AS key;
COMMIT;
-- claims and role end with the transaction
SELECT current_user, nullif(current_setting('request.jwt.claims'), '') AS claims;

-- the first credential decides, good or bad
BEGIN READ ONLY;
SELECT call('GET', key('key') || '{"authorization": "Bearer x"}', cookie('session'), '{"role": "regress_anon", "sub": "u9"}');
SELECT call('GET', key('key') || '{"authorization": "bearer x"}', cookie('session'));
SELECT call('GET', key('key'), cookie('session'));
SELECT call('GET', key('revoked'), cookie('session'));
SELECT call('GET', key('key') || '{"authorization": "Basic eDp5"}');
SELECT call('GET', key('key') || '{"authorization": "Bearerx"}');
COMMIT;

-- not good: one answer, whatever is wrong with it
BEGIN READ ONLY;
SELECT name, call('GET', key(name)) FROM unnest(ARRAY['revoked', 'expired', 'deleted', 'session']) name;
SELECT call('GET', jsonb_build_object('x-api-key', k))
    FROM (SELECT secret AS s FROM secret WHERE name = 'key') t,
         unnest(ARRAY['', ' ', 'x', 'tak_', left(s, -1), s || 'x', ' ' || s, s || ' ', upper(s), s || ', ' || s, s || ',' || s, replace(s, 'tak_', 'tas_'),
                      overlay(s placing CASE substr(s, 30, 1) WHEN 'a' THEN 'b' ELSE 'a' END from 30), repeat('x', 100000), '''; DROP TABLE x; --', E'\u00e9', s || E'\n']) k;
SELECT call('GET', '{}', jsonb_build_object('__Host-session', 'tas_x'));
SELECT name, call('GET', '{}', cookie(name)) FROM unnest(ARRAY['session revoked', 'session expired', 'key']) name;
-- what is left of a cookie that was deleted, and a cookie of another name
SELECT call('GET', '{}', '{"__Host-session": ""}');
SELECT call('GET', '{}', '{"session": "x", "__host-session": "x"}');
-- a token that no layer has verified
SELECT call('GET', '{"authorization": "Bearer x"}', '{}', '');
SELECT call('GET', '{"authorization": "Bearer"}', '{}', '');
SELECT call('GET', '{}', '{}', '{"sub": 5}');
SELECT call('GET', '{}', '{}', '{"sub": ""}');
SELECT call('GET', '{}', '{}', '[');
COMMIT;
-- a check sum that is wrong is found out without asking the table
BEGIN READ ONLY;
SELECT idx_scan AS before FROM pg_stat_xact_all_tables WHERE schemaname = 'taskapi' AND relname = 'api_key' \gset
SELECT call('GET', jsonb_build_object('x-api-key', left(secret, -1) || CASE right(secret, 1) WHEN 'a' THEN 'b' ELSE 'a' END)) FROM secret WHERE name = 'deleted';
RESET ROLE;
SELECT idx_scan - :before AS looked_up FROM pg_stat_xact_all_tables WHERE schemaname = 'taskapi' AND relname = 'api_key';
SELECT call('GET', key('deleted'));
RESET ROLE;
SELECT idx_scan - :before AS looked_up FROM pg_stat_xact_all_tables WHERE schemaname = 'taskapi' AND relname = 'api_key';
COMMIT;
-- two headers of the name, as the layer hands them on
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true), set_config('request.jwt.claims', '{"role": "regress_anon"}', true), 'set' AS headers
    FROM (SELECT set_config('request.headers', format('{"x-api-key": "%1$s", "X-API-Key": "%1$s"}', secret), true) FROM secret WHERE name = 'key') t \gset
SELECT count(*) FROM secret WHERE name = 'key' AND set_config('request.headers', format('{"x-api-key": "%1$s", "x-api-key": "%1$s"}', secret), true) <> '';
SELECT taskapi.pre_request();
ROLLBACK;

-- scopes, by the method
BEGIN;
SELECT name, m, call(m, key(name)) FROM unnest(ARRAY['key', 'reader', 'writer']) name, unnest(ARRAY['GET', 'HEAD', 'OPTIONS', 'POST', 'PATCH', 'PUT', 'DELETE', 'get', 'X']) m;
COMMIT;

-- a key that may only read does so in a transaction that can only read, whatever the layer began
BEGIN;
SELECT set_config('request.method', 'GET', true), set_config('request.headers', key('key')::text, true) \g /dev/null
SELECT taskapi.pre_request();
SHOW transaction_read_only;
ROLLBACK;
BEGIN;
SELECT set_config('request.method', 'HEAD', true), set_config('request.headers', key('reader')::text, true) \g /dev/null
SELECT taskapi.pre_request();
SHOW transaction_read_only;
CREATE TEMP TABLE written ();
CREATE TABLE written ();
ROLLBACK;
SHOW transaction_read_only;
BEGIN READ ONLY;
SELECT call('GET', key('reader'));
COMMIT;

-- a cookie on an unsafe method needs our own origin
BEGIN;
SELECT m, h, call(m, h, cookie('session')) FROM unnest(ARRAY['GET', 'POST']) m, unnest(ARRAY[
    '{}', '{"sec-fetch-site": "same-origin"}', '{"sec-fetch-site": "same-site"}', '{"sec-fetch-site": "cross-site"}', '{"sec-fetch-site": "none"}', '{"sec-fetch-site": ""}',
    '{"sec-fetch-site": "same-origin, cross-site"}', '{"sec-fetch-site": "cross-site", "origin": "https://a.example", "host": "a.example"}',
    '{"origin": "https://a.example", "host": "a.example"}', '{"origin": "https://A.example:8443", "host": "a.example:8443"}', '{"origin": "https://a.example:8443", "host": "a.example"}',
    '{"origin": "https://a.example.evil", "host": "a.example"}', '{"origin": "https://evil/a.example", "host": "a.example"}', '{"origin": "https://evil", "host": "a.example"}',
    '{"origin": "http://a.example", "host": "a.example"}', '{"origin": "evil://a.example", "host": "a.example"}', '{"origin": "x://://a.example", "host": "a.example"}',
    '{"origin": "https://a.example", "host": "a.example:443"}', '{"origin": "https://a.example:443", "host": "a.example"}', '{"origin": "https://a.example:80", "host": "a.example"}',
    '{"origin": "http://a.example:443", "host": "a.example:443"}', '{"origin": "https://a.example, https://evil", "host": "a.example"}',
    '{"origin": "http://localhost:3000", "host": "localhost:3000"}', '{"origin": "http://[::1]:3000", "host": "[::1]:3000"}', '{"origin": "http://127.0.0.1", "host": "127.0.0.1:80"}',
    '{"origin": "http://localhost.evil", "host": "localhost.evil"}', '{"origin": "http://localhost:3000", "host": "localhost:4000"}',
    '{"origin": "null", "host": "null"}', '{"origin": "https://", "host": ""}', '{"origin": "a.example", "host": "a.example"}', '{"origin": "https://a.example"}', '{"host": "a.example"}']::jsonb[]) h;
-- a key is no cookie: nobody's browser sends it by itself
SELECT call('POST', key('key') || '{"sec-fetch-site": "cross-site"}');
COMMIT;
RESET SESSION AUTHORIZATION;
SET taskapi.trusted_origins = 'https://app.example, https://b.example';
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN;
SELECT h, call('POST', h, cookie('session')) FROM unnest(ARRAY[
    '{"sec-fetch-site": "same-site", "origin": "https://app.example"}', '{"sec-fetch-site": "same-site", "origin": "https://app.example:443"}', '{"sec-fetch-site": "same-site", "origin": "http://app.example"}', '{"origin": "https://B.example", "host": "a.example"}', '{"sec-fetch-site": "same-site", "origin": "https://c.example"}',
    '{"sec-fetch-site": "cross-site", "origin": "https://app.exampl"}', '{"sec-fetch-site": "cross-site", "origin": ""}', '{"sec-fetch-site": "cross-site", "origin": "https://app.example, https://b.example"}']::jsonb[]) h;
COMMIT;
RESET SESSION AUTHORIZATION;
RESET taskapi.trusted_origins;
-- the cookie's name
SET taskapi.session_cookie = 'a b';
SET taskapi.session_cookie = '';
SET taskapi.session_cookie = 'sid';
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT call('GET', '{}', cookie('session')), call('GET', '{}', jsonb_build_object('sid', secret)) FROM secret WHERE name = 'session';
SELECT call('GET', '{}', '{"sid": "x"}');
COMMIT;
RESET SESSION AUTHORIZATION;
RESET taskapi.session_cookie;

-- a revocation counts at once, also where the key was just used, and for a transaction that began before
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT call('GET', key('other')), call('GET', '{}', cookie('session'));
COMMIT;
RESET SESSION AUTHORIZATION;
UPDATE taskapi.api_key SET revoked_at = now() WHERE subject = 'u2';
UPDATE taskapi.session SET revoked_at = now() WHERE subject = 'u3';
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT call('GET', key('other')), call('GET', '{}', cookie('session'));
COMMIT;
RESET SESSION AUTHORIZATION;
UPDATE taskapi.api_key SET revoked_at = NULL WHERE subject = 'u2';
BEGIN;
SELECT call('GET', key('other'));
RESET ROLE;
DELETE FROM taskapi.api_key WHERE subject = 'u2';
SELECT call('GET', key('other'));
ROLLBACK;
BEGIN;
SELECT call('GET', key('other'));
COMMIT;
-- a key whose creation is rolled back was never one
BEGIN;
SELECT taskapi.create_api_key('u5') AS never \gset
SELECT call('GET', jsonb_build_object('x-api-key', :'never'));
ROLLBACK;
BEGIN;
SELECT call('GET', jsonb_build_object('x-api-key', :'never'));
ROLLBACK;
-- another subject, other scopes, another expiry
UPDATE taskapi.api_key SET subject = 'u7', scopes = '{read}' WHERE subject = 'u2';
BEGIN;
SELECT call('GET', key('other'));
ROLLBACK;
-- the time of the last use alone leaves the cache as it is, and is seen though nothing was written
SELECT name, last_used_at IS NULL AS not_written, taskapi.api_key_last_used(id) > now() - interval '1 hour' AS used FROM taskapi.api_key WHERE name IN ('laptop', 'sensor') ORDER BY name;
SELECT taskapi.flush_api_key_usage() > 0 AS flushed;
SELECT taskapi.flush_api_key_usage();
SELECT name, last_used_at = taskapi.api_key_last_used(id) AS same FROM taskapi.api_key WHERE name IN ('laptop', 'sensor') ORDER BY name;

-- the role: only one that the session's user has, and none where none is on record
UPDATE taskapi.api_role SET role = 'regress_outsider' WHERE name = 'authenticated';
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT call('GET', key('key'));
ROLLBACK;
RESET SESSION AUTHORIZATION;
DELETE FROM taskapi.api_role;
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT call('GET', key('key'));
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');
-- a security definer cannot change the role, and says so
CREATE FUNCTION wrapped() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT taskapi.pre_request() $$;
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN READ ONLY;
SELECT set_config('role', 'regress_anon', true) AS role, set_config('request.headers', key('key')::text, true) <> '' AS headers, set_config('request.method', 'GET', true) AS method;
SELECT wrapped();
ROLLBACK;
RESET SESSION AUTHORIZATION;

-- what is charged; with hours, so that nothing comes back meanwhile
UPDATE taskapi.rate_limit_policy SET rate = 20, burst = 20, per = '1000 hours';
SET taskapi.trusted_proxy_hops = 1;
CREATE VIEW charged AS
    SELECT subjects, string_agg(format('%s %s', policy, "limit" - remaining), ', ' ORDER BY policy) AS charged
    FROM (VALUES ('{"per_address": "192.0.2.1", "per_address_total": "192.0.2.1"}'::jsonb), (jsonb_build_object('per_user', 'u10', 'per_key', (SELECT id FROM taskapi.api_key WHERE subject = 'u10')))) s (subjects),
         taskapi.rate_limit_status(subjects) GROUP BY subjects;
INSERT INTO regress_request.secret VALUES ('tenth', taskapi.create_api_key('u10', NULL, '{read}')), ('tenth session', taskapi.create_session('u10'));
CREATE FUNCTION times(n int, method text, headers jsonb DEFAULT '{}', cookies jsonb DEFAULT '{}', claims text DEFAULT '') RETURNS SETOF text LANGUAGE sql AS
    $$ SELECT answer || ' x' || count(*) FROM (SELECT regexp_replace(regress_request.call($2, $3 || '{"x-forwarded-for": "192.0.2.1"}', $4, $5), 'Try again.*$', '...') AS answer FROM generate_series(1, $1)) t GROUP BY answer ORDER BY answer $$;
-- anonymous: the address; a bad credential and a forged request charge the same, and in the end are told so
BEGIN;
SELECT * FROM times(2, 'GET');
SELECT * FROM times(2, 'GET', key('revoked'));
SELECT * FROM times(2, 'POST', '{"sec-fetch-site": "cross-site"}', cookie('tenth session'));
RESET ROLE;
SELECT charged FROM charged;
-- a key: itself and its subject, and the total of the address; lacking the scope costs as much
SELECT * FROM times(2, 'GET', key('tenth'));
SELECT * FROM times(2, 'POST', key('tenth'));
RESET ROLE;
SELECT charged FROM charged;
-- a token: its subject
SELECT * FROM times(2, 'GET', '{}', '{}', '{"sub": "u10"}');
RESET ROLE;
SELECT charged FROM charged;
-- a token without a subject is limited by the address
SELECT * FROM times(1, 'GET', '{"authorization": "Bearer x"}', '{}', '{"role": "regress_anon"}');
RESET ROLE;
SELECT charged FROM charged;
-- the subject is used up: a denial charges nothing, neither to the key nor to the address
RESET ROLE;
UPDATE taskapi.rate_limit_policy SET burst = 100 WHERE name = 'per_address_total';
SELECT * FROM times(20, 'GET', '{}', '{}', '{"sub": "u10"}');
RESET ROLE;
SELECT charged FROM charged;
SELECT * FROM times(3, 'GET', key('tenth'));
SELECT * FROM times(3, 'POST', key('tenth'));
RESET ROLE;
SELECT charged FROM charged;
-- so is the address: who has a bad credential is told that then
SELECT * FROM times(20, 'GET', key('revoked'));
COMMIT;
-- an ordinary answer has the headers
BEGIN;
SELECT call('GET', '{"x-forwarded-for": "192.0.2.7"}');
SELECT h ->> 'RateLimit' IS NOT NULL AS ratelimit, h ->> 'RateLimit-Policy' AS policy FROM jsonb_array_elements(current_setting('response.headers')::jsonb) h WHERE h ?| '{RateLimit,RateLimit-Policy}' ORDER BY 2;
COMMIT;
-- whoever has no address though there is a proxy, shares one
SELECT * FROM taskapi.rate_limit_status('{"per_address": "unknown"}');
BEGIN;
SELECT call('GET', '{}'), call('GET', '{"x-forwarded-for": "unknown"}');
COMMIT;
SELECT remaining FROM taskapi.rate_limit_status('{"per_address": "unknown"}');
-- without a proxy, none is known and none is limited
SET taskapi.trusted_proxy_hops = 0;
BEGIN;
SELECT call('GET', '{"x-forwarded-for": "192.0.2.1"}');
COMMIT;
-- policies that are not there do not apply
DELETE FROM taskapi.rate_limit_policy;
SET taskapi.trusted_proxy_hops = 1;
BEGIN;
SELECT * FROM times(30, 'GET', key('tenth'));
COMMIT;

RESET taskapi.trusted_proxy_hops;
\set VERBOSITY terse
DROP SCHEMA regress_request CASCADE;
\set VERBOSITY default
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
DROP ROLE regress_authenticator, regress_anon, regress_user, regress_outsider;
