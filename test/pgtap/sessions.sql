-- DELETE /sessions ends the session that the request came with, and others only where they are asked for.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql
-- However often this runs, it is not the limits that refuse.
UPDATE taskapi.rate_limit_policy SET shadow = true;
SELECT plan(33);

SELECT taskapi.create_session(pg_temp.id('viewer')::text) FROM generate_series(1, 3) \g /dev/null
SELECT taskapi.create_session(pg_temp.id('owner')::text) \g /dev/null
CREATE TEMP TABLE session AS
SELECT s.id, row_number() OVER (ORDER BY s.id) AS n FROM taskapi.session s WHERE s.subject = pg_temp.id('viewer')::text;

-- A statement of the viewer's, who came with the nth session (NULL: with a token); undone. What is live after it, and what was returned.
CREATE FUNCTION pg_temp.after(n int, statement text, OUT live int[], OUT returned int[], OUT cookie text) LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[];
BEGIN
    PERFORM set_config('request.method', 'DELETE', true), set_config('response.headers', '', true),
            set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('viewer'), 'session_id', (SELECT s.id FROM pg_temp.session s WHERE s.n = after.n))::text, true);
    BEGIN
        PERFORM set_config('role', 'regress_authenticated', true);
        EXECUTE 'WITH gone AS (' || statement || ' RETURNING id) SELECT array_agg(id) FROM gone' INTO ids;
        PERFORM set_config('role', 'none', true);
        cookie := (SELECT substring(h ->> 'Set-Cookie' FROM 'Max-Age=[0-9]+') FROM json_array_elements(nullif(current_setting('response.headers'), '')::json) h);
        live := ARRAY(SELECT s.n FROM pg_temp.session s JOIN taskapi.session t USING (id) WHERE t.revoked_at IS NULL ORDER BY 1);
        returned := ARRAY(SELECT s.n FROM pg_temp.session s WHERE s.id = ANY (ids) ORDER BY 1);
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
        NULL;
    END;
END
$$;

SELECT is(a, row('{1,3}'::int[], '{2}'::int[], 'Max-Age=0'::text), 'a plain DELETE ends the current session, and takes its cookie') FROM pg_temp.after(2, 'DELETE FROM board_api.sessions') a;
SELECT is(a, row('{2,3}'::int[], '{1}'::int[], 'Max-Age=0'::text), 'whichever it is') FROM pg_temp.after(1, 'DELETE FROM board_api.sessions') a;
SELECT is(a, row('{2}'::int[], '{1,3}'::int[], NULL::text), 'all others, if asked for') FROM pg_temp.after(2, 'DELETE FROM board_api.sessions WHERE NOT current') a;
SELECT is(live, '{1,2}', 'one other, if asked for') FROM pg_temp.after(2, format('DELETE FROM board_api.sessions WHERE id = %L', (SELECT id FROM session WHERE n = 3)));
SELECT is(live, '{}', 'with a token, all of one''s own') FROM pg_temp.after(NULL, 'DELETE FROM board_api.sessions');
SELECT is(live, '{1,2,3}', 'none of somebody else''s')
FROM pg_temp.after(1, format('DELETE FROM board_api.sessions WHERE id = %L', (SELECT id FROM taskapi.session WHERE subject = pg_temp.id('owner')::text)));
SELECT is((SELECT count(*) FROM taskapi.session WHERE subject = pg_temp.id('owner')::text AND revoked_at IS NULL), 1::bigint, 'which lives on');

-- Logging in: the account is found whatever the case, and a deleted one not at all.
SELECT is(pg_temp.attempt('anonymous', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''VIEWER@example.org'', ''viewer''''s password'') RETURNING email, expires_at', true), 'rows', 'a visitor logs in and sees the answer');
SELECT is((SELECT subject FROM taskapi.session ORDER BY id DESC LIMIT 1), pg_temp.id('viewer')::text, 'as that account');
SELECT is(pg_temp.attempt('owner', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''viewer@example.org'', ''viewer''''s password'')'), 'rows', 'so does somebody who is known already');
SELECT is(pg_temp.attempt('anonymous', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''owner@example.org'', '''')'), 'unauthenticated', 'an account without a password takes none');

-- A request with this key or cookie, as the layer that takes it for anonymous runs it; undone. Whom it speaks for, or the problem.
CREATE FUNCTION pg_temp.by(key text, session text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    subject uuid;
BEGIN
    PERFORM set_config('request.method', 'GET', true), set_config('request.jwt.claims', '', true),
            set_config('request.headers', CASE WHEN key IS NULL THEN '' ELSE json_build_object('x-api-key', key)::text END, true),
            set_config('request.cookies', CASE WHEN session IS NULL THEN '' ELSE json_build_object('__Host-session', session)::text END, true);
    BEGIN
        PERFORM set_config('role', 'regress_anonymous', true);
        PERFORM taskapi.pre_request();
        subject := taskapi.current_subject_id();
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION
        WHEN SQLSTATE 'UNDO0' THEN
            RETURN (SELECT p.who FROM pg_temp.person p WHERE p.id = subject);
        WHEN SQLSTATE 'PGRST' THEN
            RETURN SQLERRM::json ->> 'code';
    END;
END
$$;

-- One account, however a token spells its id: a key that is made with the id in capitals is listed, and ends with the password.
CREATE TEMP TABLE key (name text, secret text);
GRANT ALL ON key TO PUBLIC;
SELECT is(pg_temp.attempt('capitals', 'POST', 'WITH k AS (INSERT INTO {api}.api_keys (name) VALUES (''c'') RETURNING name, secret) INSERT INTO pg_temp.key TABLE k', true), 'rows', 'a key is made with a token in capitals');
SELECT is(pg_temp.by((SELECT secret FROM key), NULL), 'viewer', 'it speaks for the account');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.api_keys WHERE name = ''c'''), 'rows', 'which sees it');
SELECT lives_ok($$SELECT board.set_password(pg_temp.id('viewer'), 'another')$$, 'another password');
SELECT is(pg_temp.by((SELECT secret FROM key), NULL), 'unauthenticated', 'ends it');

-- A deleted account is out at once, with every credential, and cannot come back by itself.
SELECT taskapi.create_api_key(pg_temp.id('viewer')::text) AS key \gset
SELECT set_config('request.method', '', true) \g /dev/null
SELECT taskapi.create_session(pg_temp.id('viewer')::text) AS session \gset
SELECT is(pg_temp.by(:'key', NULL), 'viewer', 'a key');
SELECT is(pg_temp.by(NULL, :'session'), 'viewer', 'and a session');
SELECT is(pg_temp.attempt('viewer', 'DELETE', 'DELETE FROM {api}.users WHERE id = {me}', true), 'rows', 'the account is deleted');
SELECT is(pg_temp.attempt('anonymous', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''viewer@example.org'', ''another'')'), 'unauthenticated', 'and cannot log in');
SELECT is(pg_temp.by(:'key', NULL), 'unauthenticated', 'its key ends');
SELECT is(pg_temp.by(NULL, :'session'), 'unauthenticated', 'and its session');
SELECT is(pg_temp.attempt('viewer', 'POST', 'INSERT INTO {api}.api_keys (name) VALUES (''after death'')'), 'unauthenticated', 'a token makes no key');
SELECT is(pg_temp.attempt('capitals', 'POST', 'INSERT INTO {api}.api_keys (name) VALUES (''after death'')'), 'unauthenticated', 'nor one in capitals');
SELECT is(pg_temp.attempt('viewer', 'PATCH', 'UPDATE {api}.deleted_users SET deleted_at = NULL WHERE id = {me}'), 'unauthenticated', 'nor undoes the deletion');
SELECT is((SELECT count(*) FROM taskapi.session s WHERE s.subject = pg_temp.id('viewer')::text AND s.revoked_at IS NULL) +
          (SELECT count(*) FROM taskapi.api_key k WHERE k.subject = pg_temp.id('viewer')::text AND k.revoked_at IS NULL), 0::bigint, 'no session and no key is left');
SELECT lives_ok($$UPDATE board_api.deleted_users SET deleted_at = NULL WHERE id = pg_temp.id('viewer')$$, 'the owner of the tables restores it');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.me'), 'rows', 'its token is good again');
SELECT is(pg_temp.by(:'key', NULL), 'unauthenticated', 'its key is not');
SELECT is(pg_temp.attempt('viewer', 'GET', 'SELECT * FROM {api}.projects'), 'nothing', 'and it is a member of nothing');
SELECT is(pg_temp.attempt('anonymous', 'POST', 'INSERT INTO {api}.sessions (email, password) VALUES (''viewer@example.org'', ''another'')'), 'rows', 'it can log in');
SELECT lives_ok($$DELETE FROM board.account WHERE id = pg_temp.id('viewer')$$, 'the account is deleted for good');
SELECT is(pg_temp.attempt('capitals', 'GET', 'SELECT * FROM {api}.api_keys'), 'unauthenticated', 'and no token of it is good any more');
SELECT * FROM finish();
ROLLBACK;
