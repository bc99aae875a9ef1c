-- A bearer token that no layer has verified makes a caller only if it is told to, and then only as it says and as whom the session may become.
\set SHOW_CONTEXT never
CREATE ROLE regress_authenticator NOINHERIT;
CREATE ROLE regress_anon;
CREATE ROLE regress_user;
CREATE ROLE regress_editor;
CREATE ROLE regress_outsider;
GRANT regress_anon, regress_user, regress_editor TO regress_authenticator;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');
ALTER ROLE regress_editor SET work_mem = '77MB';
DELETE FROM taskapi.rate_limit_policy;
INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('per_user', 100, '1 hour', 100), ('per_address', 12, '1 hour', 12);
SET taskapi.trusted_proxy_hops = 1;
CREATE SCHEMA regress_bearer;
GRANT USAGE ON SCHEMA regress_bearer TO PUBLIC;
CREATE TABLE regress_bearer.token AS SELECT name, taskapi.jwt_sign(claims::jsonb) AS token FROM (VALUES
    ('no role', '{"sub": "bearer1", "exp": 4000000000}'), ('user', '{"sub": "bearer1", "role": "regress_user"}'), ('editor', '{"sub": "bearer2", "role": "regress_editor", "scope": "é"}'),
    ('anonymous', '{"role": "regress_anon"}'), ('nobody', '{}'), ('outsider', '{"sub": "bearer1", "role": "regress_outsider"}'),
    ('missing', '{"sub": "bearer1", "role": "regress_missing"}'), ('empty role', '{"sub": "bearer1", "role": ""}'), ('log-in role', '{"sub": "bearer1", "role": "regress_authenticator"}'), ('none', '{"sub": "bearer1", "role": "none"}'), ('number', '{"sub": "bearer1", "role": 10}'),
    ('null', '{"sub": "bearer1", "role": null}'), ('empty subject', '{"sub": ""}'), ('blocked', '{"sub": "bearer3"}'), ('expired', '{"sub": "bearer1", "exp": 1}'),
    ('audience', '{"sub": "bearer1", "aud": "x"}')) t (name, claims);
INSERT INTO regress_bearer.token SELECT 'cut', left(token, -1) FROM regress_bearer.token WHERE name = 'user'
    UNION ALL SELECT 'two', token || ', Bearer ' || token FROM regress_bearer.token WHERE name = 'user'
    UNION ALL SELECT 'other key', taskapi.jwt_sign('{"sub": "bearer1"}', repeat('k', 32)) UNION ALL VALUES ('empty', ''), ('long', repeat('x', 100000)), ('words', 'a b');
GRANT SELECT ON regress_bearer.token TO PUBLIC;
SELECT taskapi.block_subject('bearer3') \g /dev/null
CREATE FUNCTION regress_bearer.call(name text, claims text DEFAULT '', headers jsonb DEFAULT '{}', prefix text DEFAULT 'Bearer ') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text;
BEGIN
    PERFORM set_config('request.method', 'GET', true), set_config('request.jwt.claims', claims, true), set_config('response.headers', '', true), set_config('role', 'regress_anon', true),
        set_config('request.headers', (jsonb_build_object('authorization', prefix || t.token, 'x-forwarded-for', '198.18.0.' || ascii(call.name)) || headers)::text, true)
        FROM regress_bearer.token t WHERE t.name = call.name;
    BEGIN
        PERFORM taskapi.pre_request();
        RETURN concat_ws(', ', current_user, 'sub ' || taskapi.current_subject(), taskapi.jwt_claims() ->> 'scope');
    EXCEPTION WHEN SQLSTATE 'PGRST' THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
        RETURN concat_ws(', ', detail::json ->> 'status', message::json ->> 'details', detail::json -> 'headers' ->> 'WWW-Authenticate');
    END;
END $$;
SET SESSION AUTHORIZATION regress_authenticator;
SET search_path = regress_bearer, pg_catalog;
-- Unless it is told to, none.
BEGIN;
SELECT call('user'), call('user', '{"role": "regress_anon"}'), call('user', '{"role": "regress_anon", "sub": "bearer9"}');
COMMIT;
SET taskapi.verify_bearer = on;
RESET SESSION AUTHORIZATION;
SET taskapi.verify_bearer = on;
SET SESSION AUTHORIZATION regress_authenticator;
SET search_path = regress_bearer, pg_catalog;
BEGIN READ ONLY;
SELECT name, call(name) FROM token ORDER BY ctid;
-- what the header may look like, and what a layer that verifies says goes first
SELECT call('user', prefix => p) FROM unnest(ARRAY['bearer ', 'BEARER   ', E'Bearer\t', 'Basic ', 'Bearer']) p;
SELECT call('user', '{"role": "regress_anon"}'), call('user', '{"role": "regress_anon", "sub": "bearer9"}'), call('cut', '{"role": "regress_anon", "sub": "bearer9"}');
-- a token that is not good is not made good by another credential
SELECT call('cut', headers => '{"x-api-key": "tak_x"}');
COMMIT;
-- Claims and role end with the transaction; the subject is charged, and for a bad token the address.
SELECT current_user, nullif(current_setting('request.jwt.claims'), '') AS claims, current_setting('work_mem') AS work_mem;
BEGIN;
SELECT call('editor'), current_setting('work_mem') AS work_mem;
COMMIT;
BEGIN;
SELECT regexp_replace(call('cut'), '[0-9]+ seconds', 'N seconds') AS call, count(*) FROM generate_series(1, 20) GROUP BY 1 ORDER BY 1;
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT remaining < 100 AS charged FROM taskapi.rate_limit_status('{"per_user": "bearer2"}');
-- A key that is retired verifies nothing, also not what is remembered.
SELECT taskapi.rotate_secret('jwt') \g /dev/null
SELECT taskapi.retire_secret('jwt', min(key_id)) FROM taskapi.secret WHERE purpose = 'jwt' \g /dev/null
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN;
SELECT call('editor');
COMMIT;
RESET SESSION AUTHORIZATION;
RESET ALL;
\set VERBOSITY terse
DROP SCHEMA regress_bearer CASCADE;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
DROP ROLE regress_authenticator, regress_anon, regress_user, regress_editor, regress_outsider;
