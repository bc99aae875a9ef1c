-- A caller that pre_request() switches to a role runs under that role's settings, as a caller whom the layer switched does, and no other caller does.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_authenticator NOINHERIT;
CREATE ROLE regress_anon;
CREATE ROLE regress_user;
GRANT regress_anon, regress_user TO regress_authenticator;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');
CREATE SCHEMA regress_settings;
GRANT USAGE ON SCHEMA regress_settings TO PUBLIC;
CREATE TABLE regress_settings.secret AS SELECT taskapi.create_api_key('u1') AS key, taskapi.create_session('u1') AS session;
GRANT SELECT ON regress_settings.secret TO PUBLIC;

-- What the layer does first, and then pre_request(): by key, by cookie or by none.
CREATE FUNCTION regress_settings.request(credential text, layer jsonb DEFAULT '{"statement_timeout": "1000000", "lock_timeout": "7s", "shop.tier": "none"}')
    RETURNS TABLE (role name, statement text, lock text, idle text, mem text, zone text, path text, log text, tier text) LANGUAGE plpgsql AS $$
DECLARE
    s regress_settings.secret;
BEGIN
    SELECT * INTO s FROM regress_settings.secret;
    PERFORM set_config(key, value, true) FROM jsonb_each_text(layer);
    PERFORM set_config('request.method', 'GET', true), set_config('request.jwt.claims', '{"role": "regress_anon"}', true),
            set_config('request.headers', CASE credential WHEN 'key' THEN json_build_object('x-api-key', s.key) ELSE '{}' END::text, true),
            set_config('request.cookies', CASE credential WHEN 'cookie' THEN json_build_object('__Host-session', s.session) ELSE '{}' END::text, true),
            set_config('role', 'regress_anon', true);
    PERFORM taskapi.pre_request();
    RETURN QUERY SELECT * FROM regress_settings.now_;
END $$;
CREATE VIEW regress_settings.now_ (role, statement, lock, idle, mem, zone, path, log, tier) AS
SELECT current_user, current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
       current_setting('work_mem'), current_setting('timezone'), current_setting('search_path'), current_setting('log_statement'),
       current_setting('shop.tier', true);
ALTER VIEW regress_settings.now_ SET (security_invoker = true);
GRANT SELECT ON regress_settings.now_ TO PUBLIC;
SELECT format('ALTER ROLE regress_user IN DATABASE %I SET work_mem = ''32MB''', current_database()) \gexec
ALTER ROLE regress_user SET statement_timeout = '500s';
ALTER ROLE regress_user SET work_mem = '64MB';
ALTER ROLE regress_user SET timezone = 'Asia/Tokyo';
ALTER ROLE regress_user SET search_path = regress_settings;
ALTER ROLE regress_user SET log_statement = 'all';
ALTER ROLE regress_user SET default_tablespace = 'gone';
ALTER ROLE regress_user SET role = 'regress_anon';
ALTER ROLE regress_user SET session_authorization = 'regress_anon';
ALTER ROLE regress_user SET default_transaction_isolation = 'serializable';
ALTER ROLE regress_anon SET statement_timeout = '1000s';
ALTER ROLE regress_anon SET lock_timeout = '7000ms';
ALTER ROLE regress_anon SET "shop.tier" = 'none';

SET SESSION AUTHORIZATION regress_authenticator;
SET timezone = 'UTC';
\pset null '(null)'
-- An anonymous caller has what the layer set; one by key and one by cookie has the role's. What only a superuser may set, and
-- what is not good, is passed over. Of the anonymous role's settings none is left.
BEGIN READ ONLY;
SELECT * FROM regress_settings.request('none');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM regress_settings.request('key');
COMMIT;
BEGIN;
SELECT * FROM regress_settings.request('cookie');
SELECT current_user, session_user, current_setting('default_tablespace') AS tablespace, current_setting('transaction_isolation') AS isolation;
COMMIT;
SELECT * FROM regress_settings.now_;

-- It holds against what the session was set to, and ends with the transaction.
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_user SET statement_timeout = '100ms';
SET SESSION AUTHORIZATION regress_authenticator;
SET statement_timeout = '20min';
BEGIN;
SELECT role, statement FROM regress_settings.request('key', '{}');
SELECT pg_sleep(600);
ROLLBACK;
SHOW statement_timeout;

-- What the layer has set on account of this request stays: a time zone that the client prefers, the timeout of a function.
BEGIN;
SELECT role, statement, lock, zone FROM regress_settings.request('key', '{"statement_timeout": "400s", "lock_timeout": "5s", "timezone": "Europe/Rome"}');
ROLLBACK;

-- A change counts from the next request on, in this session as in any other, and in the transaction that makes it.
RESET SESSION AUTHORIZATION;
RESET statement_timeout;
ALTER ROLE regress_user SET statement_timeout = '500s';
BEGIN;
ALTER ROLE regress_user SET statement_timeout = '601s';
SELECT role, statement FROM regress_settings.request('key');
ROLLBACK;
BEGIN;
SELECT role, statement FROM regress_settings.request('key');
COMMIT;
ALTER ROLE regress_user SET statement_timeout = '701s';
BEGIN;
SELECT role, statement FROM regress_settings.request('key');
COMMIT;
GRANT SET ON PARAMETER log_statement TO regress_user;
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN;
SELECT role, log FROM regress_settings.request('key');
COMMIT;
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_user RESET ALL;
SELECT format('ALTER ROLE regress_user IN DATABASE %I RESET ALL', current_database()) \gexec
ALTER ROLE regress_anon RESET ALL;
SET SESSION AUTHORIZATION regress_authenticator;
BEGIN;
SELECT * FROM regress_settings.request('key', '{}');
COMMIT;
RESET SESSION AUTHORIZATION;

DROP SCHEMA regress_settings CASCADE;
DELETE FROM taskapi.api_key;
DELETE FROM taskapi.session;
DELETE FROM taskapi.api_role;
REVOKE SET ON PARAMETER log_statement FROM regress_user;
DROP OWNED BY regress_user;
DROP ROLE regress_authenticator, regress_anon, regress_user;
