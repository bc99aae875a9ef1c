-- API keys, sessions, addresses, passwords: made, listed and ended by those whose they are.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never

-- a secret: tag, readable part, random part, check sum; of the secret itself only its hash is kept
SELECT taskapi.create_api_key('u1', 'laptop') AS key \gset
SELECT taskapi.create_session('u1') AS token \gset
SELECT :'key' ~ '^tak_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}$' AS key, :'token' ~ '^tas_[0-9A-Za-z]{49}$' AS token;
SELECT subject, name, prefix = left(:'key', 12) AS prefix, secret_hash = sha256(:'key'::bytea) AS hash, scopes, expires_at, revoked_at, last_used_at FROM taskapi.api_key;
SELECT subject, token_hash = sha256(:'token'::bytea) AS hash, expires_at - created_at AS lasts, revoked_at, user_agent, address FROM taskapi.session;
SELECT count(*) FROM taskapi.api_key k WHERE position(substr(:'key', 14) IN k::text) > 0;
SELECT count(*) FROM taskapi.session s WHERE position(substr(:'token', 5) IN s::text) > 0;
SELECT count(DISTINCT taskapi.create_api_key('many')) FROM generate_series(1, 1000);
SELECT count(DISTINCT prefix) > 990 AS prefixes FROM taskapi.api_key WHERE subject = 'many';
DELETE FROM taskapi.api_key WHERE subject = 'many';
SELECT taskapi.create_api_key('u1', NULL, '{write,read,write}') IS NOT NULL AS made;
SELECT scopes FROM taskapi.api_key ORDER BY id DESC LIMIT 1;
DELETE FROM taskapi.api_key WHERE name IS NULL;

-- what is not made
SELECT taskapi.create_api_key(NULL);
SELECT taskapi.create_api_key('');
SELECT taskapi.create_api_key('u1', scopes => '{}');
SELECT taskapi.create_api_key('u1', scopes => NULL);
SELECT taskapi.create_api_key('u1', scopes => '{admin}');
SELECT taskapi.create_api_key('u1', scopes => '{read,NULL}');
SELECT taskapi.create_api_key('u1', repeat('x', 201));
SELECT taskapi.create_api_key('u1', expires_at => now());
SELECT taskapi.create_session(NULL);
SELECT taskapi.create_session('');
SELECT taskapi.create_session('u1', NULL);
SELECT taskapi.create_session('u1', '0');
SELECT taskapi.create_session('u1', '-1 day');
SELECT taskapi.create_session('u1', '401 days');
SELECT taskapi.new_credential('password');
SELECT count(*) FROM taskapi.api_key;
SELECT count(*) FROM taskapi.session;

-- inside a request the session sets the cookie, and knows where it came from
CREATE FUNCTION regress_request(method text, headers jsonb DEFAULT '{}', claims text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.headers', headers::text, true),
            set_config('request.jwt.claims', claims, true), set_config('response.headers', '', true);
    RETURN method;
END $$;
SET taskapi.trusted_proxy_hops = 1;
BEGIN;
SELECT regress_request('POST', jsonb_build_object('user-agent', 'Browser/1.0 ' || repeat('x', 1000), 'x-forwarded-for', '198.51.100.7, 192.0.2.1'));
SELECT current_setting('response.headers')::jsonb = jsonb_build_array(jsonb_build_object('Set-Cookie', '__Host-session=' || token || '; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Lax')) AS cookie
    FROM (SELECT taskapi.create_session('u2', '30 minutes') AS token OFFSET 0) s;
SELECT left(user_agent, 12) AS user_agent, length(user_agent), address FROM taskapi.session WHERE subject = 'u2';
-- logging in again ends the session that the browser had
SELECT regress_request('POST', '{"sec-fetch-site": "same-origin"}', json_build_object('sub', 'u2', 'session_id', id)::text) FROM taskapi.session WHERE subject = 'u2';
SELECT taskapi.create_session('u2') IS NOT NULL AS made;
SELECT count(*) FILTER (WHERE revoked_at IS NULL) AS live, count(*) FROM taskapi.session WHERE subject = 'u2';
-- but nobody else's
SELECT regress_request('POST', '{}', json_build_object('sub', 'u3', 'session_id', id)::text) FROM taskapi.session WHERE subject = 'u2' AND revoked_at IS NULL;
SELECT taskapi.create_session('u3') IS NOT NULL AS made;
SELECT count(*) FILTER (WHERE revoked_at IS NULL) AS live FROM taskapi.session WHERE subject = 'u2';
-- a page elsewhere logs nobody in
SAVEPOINT s;
SELECT regress_request('POST', '{"sec-fetch-site": "cross-site"}');
SELECT taskapi.create_session('u4');
ROLLBACK TO s;
SELECT regress_request('POST', '{"origin": "https://evil.example", "host": "a.example"}');
SELECT taskapi.create_session('u4');
ROLLBACK TO s;
SELECT regress_request('POST', '{"origin": "https://a.example", "host": "a.example"}');
SELECT taskapi.create_session('u4') IS NOT NULL AS made;
ROLLBACK;
RESET taskapi.trusted_proxy_hops;

-- one's own: u1 and u2 have keys and sessions
SELECT taskapi.create_api_key('u2', 'server', '{read}') AS key2 \gset
SELECT taskapi.create_session('u2') AS token2 \gset
CREATE ROLE regress_auth_anon;
CREATE ROLE regress_auth_user;
CREATE ROLE "regress auth, other";
SELECT taskapi.set_api_roles('regress_auth_anon', 'regress_auth_user');
SELECT id AS id1 FROM taskapi.api_key WHERE subject = 'u1' \gset
SELECT id AS id2 FROM taskapi.api_key WHERE subject = 'u2' \gset
SELECT id AS session1 FROM taskapi.session WHERE subject = 'u1' \gset
SELECT id AS session2 FROM taskapi.session WHERE subject = 'u2' \gset
SET ROLE regress_auth_user;
BEGIN;
SELECT regress_request('GET', '{}', json_build_object('sub', 'u1', 'session_id', :'session1')::text);
SELECT id = :'id1' AS mine, name, prefix = left(:'key', 12) AS prefix, scopes, expires_at, revoked_at, last_used_at FROM taskapi.my_api_keys();
SELECT id = :'session1' AS mine, expires_at > now() AS live, user_agent, address, current FROM taskapi.my_sessions();
-- not the others'
SELECT taskapi.revoke_my_api_key(:'id2'), taskapi.end_my_session(:'session2'), taskapi.revoke_my_api_key('00000000-0000-0000-0000-000000000000'), taskapi.revoke_my_api_key(NULL), taskapi.end_my_session(NULL);
-- a key of one's own
SELECT name, prefix = left(secret, 12) AS prefix, scopes, secret ~ '^tak_' AS secret FROM taskapi.create_my_api_key('phone', '{read}');
SELECT name, scopes FROM taskapi.my_api_keys();
SELECT * FROM taskapi.my_api_keys() WHERE to_jsonb(my_api_keys) ?| '{secret,secret_hash}';
SELECT taskapi.revoke_my_api_key(id) FROM taskapi.my_api_keys() WHERE name = 'phone';
SELECT taskapi.revoke_my_api_key(id) AS again FROM taskapi.my_api_keys() WHERE name = 'phone';
SELECT name, revoked_at IS NOT NULL AS revoked FROM taskapi.my_api_keys();
-- logging out deletes the cookie, ending another session does not
SELECT taskapi.end_my_session(:'session1'), current_setting('response.headers');
SELECT taskapi.end_my_session(:'session1') AS again;
SELECT count(*) FROM taskapi.my_sessions();
SELECT regress_request('DELETE', '{}', '{"sub": "u2"}');
SELECT taskapi.end_my_session(:'session2'), current_setting('response.headers');
ROLLBACK;
-- bad input of a client's is a problem
BEGIN;
SELECT regress_request('POST', '{}', '{"sub": "u1"}');
SAVEPOINT s;
SELECT taskapi.create_my_api_key(scopes => '{root}');
ROLLBACK TO s;
SELECT taskapi.create_my_api_key(expires_at => '2000-01-01');
ROLLBACK TO s;
SELECT taskapi.create_my_api_key(repeat('x', 201));
ROLLBACK TO s;
-- a key makes no key
SELECT regress_request('POST', '{}', json_build_object('sub', 'u1', 'api_key_id', :'id1')::text);
SELECT taskapi.create_my_api_key();
ROLLBACK;
-- nobody has nothing
SELECT * FROM taskapi.my_api_keys();
SELECT * FROM taskapi.my_sessions();
SELECT * FROM taskapi.create_my_api_key();
SELECT taskapi.revoke_my_api_key(:'id1');
SELECT taskapi.end_my_session(:'session1');

-- what the authenticated role may not do, and the anonymous one
SELECT taskapi.create_api_key('u1');
SELECT taskapi.create_session('u1');
SELECT taskapi.new_credential('api_key');
SELECT taskapi.set_api_roles('regress_auth_anon', 'regress_auth_user');
SELECT taskapi.flush_api_key_usage();
SELECT taskapi.purge_sessions();
SELECT taskapi.revoke_credentials('u1');
SELECT taskapi.charge_login('a@example.com');
SELECT taskapi.hash_password('x');
SELECT taskapi.verify_password('x', 'y');
SELECT taskapi.api_key_usage();
SELECT * FROM taskapi.api_key;
SELECT * FROM taskapi.session;
SELECT * FROM taskapi.api_role;
SET ROLE regress_auth_anon;
SELECT * FROM taskapi.my_api_keys();
SELECT taskapi.create_my_api_key();
SELECT taskapi.end_my_session(:'session1');
RESET ROLE;

-- other roles: the former authenticated one loses what it had
SELECT taskapi.set_api_roles('regress_auth_anon', '"regress auth, other"');
SELECT r, has_function_privilege(r, 'taskapi.my_api_keys()', 'EXECUTE') FROM unnest(ARRAY['regress_auth_anon', 'regress_auth_user', 'regress auth, other']) r;
SELECT * FROM taskapi.api_role ORDER BY name;
SELECT taskapi.set_api_roles('regress_auth_anon', 'regress_auth_anon');
SELECT taskapi.set_api_roles(NULL, 'regress_auth_user');

-- addresses
SELECT hops, left(header, 40) AS header, set_config('taskapi.trusted_proxy_hops', hops::text, true) <> '' AND set_config('request.headers', jsonb_build_object('x-forwarded-for', header)::text, true) <> '' AS set, taskapi.client_address()
    FROM (VALUES (0, '192.0.2.1'), (1, '192.0.2.1'), (1, '198.51.100.1, 192.0.2.1'), (1, '198.51.100.1,192.0.2.1 '), (2, '198.51.100.1 ,  192.0.2.1'), (3, '198.51.100.1, 192.0.2.1'), (3, ',198.51.100.1, 192.0.2.1'),
        (1, '192.0.2.1:4711'), (1, '192.0.2.1:'), (1, '192.0.2.1:x'), (1, '192.0.2.01'), (1, '192.0.2'), (1, '192.0.2.1/8'), (1, 'unknown'), (1, ''), (1, ','), (1, '192.0.2.1,'), (1, '_hidden'), (1, '3221225985'), (1, '0x7f.1'),
        (1, '2001:db8:1:2:3:4:5:6'), (1, '[2001:db8:1:2:3:4:5:6]'), (1, '[2001:DB8:1:2::]:443'), (1, '2001:db8::1'), (1, '::1'), (1, '::ffff:192.0.2.1'), (1, '64:ff9b::192.0.2.1'), (1, '[64:FF9B::c000:202]:443'), (1, '64:ff9b::1:192.0.2.1'), (1, '64:ff9b:1::192.0.2.1'), (1, '[::ffff:c000:201]:80'), (1, 'fe80::1%eth0'), (1, '[::1'), (1, '[::1]x'), (1, '[::1]:x'),
        (1, '[192.0.2.1]'), (1, '2001:db8::/64'), (1, ':::'), (1, ':'), (1, '::'), (1, repeat('1', 10000)), (1, '192.0.2.1; DROP TABLE x')) AS v (hops, header);
SELECT set_config('request.headers', '{"x-forwarded-for": "198.51.100.1", "X-Forwarded-For": "192.0.2.1"}', false);
SET taskapi.trusted_proxy_hops = 1;
SELECT taskapi.client_address() AS the_last_of_two_headers;
SET taskapi.trusted_proxy_hops = 33;
RESET request.headers;
SELECT taskapi.client_address() IS NULL AS no_header;
RESET taskapi.trusted_proxy_hops;
-- same_origin() for those who write their own
BEGIN;
SELECT h, regress_request('POST', h) AS method, taskapi.same_origin() FROM unnest(ARRAY['{}', '{"sec-fetch-site": "same-origin"}', '{"sec-fetch-site": "same-site"}', '{"origin": "null"}']::jsonb[]) h;
COMMIT;

-- expired sessions go, batch by batch; live ones stay
INSERT INTO taskapi.session (subject, token_hash, expires_at) SELECT 'gone', sha256(n::text::bytea), now() - interval '1 hour' FROM generate_series(1, 25) n;
SELECT taskapi.purge_sessions(10), taskapi.purge_sessions(10), taskapi.purge_sessions(10), taskapi.purge_sessions(10);
SELECT count(*) FROM taskapi.session;

-- all that somebody has, and nobody else
BEGIN;
SELECT taskapi.create_api_key('u1') IS NOT NULL AS another;
SELECT taskapi.revoke_credentials('u1'), taskapi.revoke_credentials('u1') AS again, taskapi.revoke_credentials('nobody') AS nobody, taskapi.revoke_credentials(NULL) AS none;
SELECT subject, count(*) FILTER (WHERE revoked_at IS NULL) AS live FROM (SELECT subject, revoked_at FROM taskapi.api_key UNION ALL SELECT subject, revoked_at FROM taskapi.session) c GROUP BY 1 ORDER BY 1;
ROLLBACK;

-- attempts to log in are limited by account, whether there is one or not, and by address
UPDATE taskapi.rate_limit_policy SET rate = 3, burst = 3, per = '1000 hours' WHERE name LIKE 'login%';
UPDATE taskapi.rate_limit_policy SET burst = 6 WHERE name = 'login_per_address';
CREATE FUNCTION regress_login(account text, headers jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
BEGIN
    PERFORM regress_request('POST', headers);
    PERFORM taskapi.charge_login(account);
    RETURN 'go on';
EXCEPTION WHEN SQLSTATE 'PGRST' THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    RETURN split_part(message::json ->> 'details', '.', 1);
END $$;
BEGIN;
SELECT n, a, regress_login(a) FROM unnest(ARRAY['a@example.com', 'A@Example.com', 'b@example.com']) a, generate_series(1, 2) n ORDER BY n, a COLLATE "C";
SET LOCAL taskapi.trusted_proxy_hops = 1;
SELECT n, regress_login('c' || n, '{"x-forwarded-for": "2001:db8:1:2::1"}') FROM generate_series(1, 7) n;
SELECT regress_login('d', '{"x-forwarded-for": "2001:db8:1:2:ffff::1"}'), regress_login('d', '{"x-forwarded-for": "2001:db8:1:3::1"}'), regress_login('', '{}'), regress_login(NULL);
COMMIT;

-- passwords: without pgcrypto there are none, and wherever it is, it is found
SELECT taskapi.hash_password('correct horse');
CREATE SCHEMA "regress Crypto";
CREATE EXTENSION pgcrypto WITH SCHEMA "regress Crypto";
CREATE FUNCTION public.crypt(text, text) RETURNS text LANGUAGE sql AS $$ SELECT $2 $$;
SELECT taskapi.hash_password('correct horse') AS hash \gset
SELECT :'hash' ~ '^\$2a\$10\$.{53}$' AS bcrypt, taskapi.hash_password('correct horse') <> :'hash' AS salted;
SELECT taskapi.verify_password('correct horse', :'hash') AS right, taskapi.verify_password('Correct horse', :'hash') AS wrong, taskapi.verify_password('correct horse', NULL) AS nobody,
       taskapi.verify_password('', :'hash') AS empty, taskapi.verify_password(NULL, :'hash') AS none, taskapi.verify_password(repeat('x', 73), taskapi.hash_password(repeat('x', 72))) AS longer, taskapi.verify_password(repeat('x', 72), taskapi.hash_password(repeat('x', 72))) AS longest;
SELECT taskapi.hash_password(''), 1;
SELECT taskapi.hash_password(repeat('é', 37));
SELECT taskapi.hash_password(NULL) IS NULL AS none;
-- imported hashes: the names that other programs have for bcrypt; any other form matches nothing, and is no error
SELECT form, taskapi.verify_password('correct horse', form || substr(:'hash', 4)) AS right, taskapi.verify_password('Correct horse', form || substr(:'hash', 4)) AS wrong
FROM unnest(ARRAY['$2a', '$2b', '$2y', '$2c', '$1']) form;
SELECT h, taskapi.verify_password('correct horse', h) FROM unnest(ARRAY['', '!', '*', '!' || :'hash', 'x', 'correct horse', '$2a$10$', left(:'hash', 59), :'hash' || 'x', '$2a$03$' || substr(:'hash', 8), '$2a$99$' || substr(:'hash', 8),
    '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A', '$6$rounds=5000$salt$hash', '$1$abc$def', '{SSHA}abc', 'SCRAM-SHA-256$4096:x$y:z', repeat('x', 5000)]) h
WHERE taskapi.verify_password('correct horse', h) IS DISTINCT FROM false OR taskapi.verify_password('', h) IS DISTINCT FROM false;
-- for an account that is not there, or has another form of hash, just as many rounds are computed
SET track_functions = 'all';
BEGIN;
SELECT taskapi.verify_password('some password', :'hash') AS somebody, taskapi.verify_password('some password', NULL) AS nobody,
       taskapi.verify_password('some password', '!') AS locked, taskapi.verify_password('some password', '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$iWh0') AS argon2, taskapi.verify_password('', NULL) AS nothing;
SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'crypt';
COMMIT;
RESET track_functions;

-- a shipped policy that nobody has changed gives way to a new row, as when a dump is restored; any other does not
INSERT INTO taskapi.rate_limit_policy VALUES ('per_key', 1, '1 second', 1, false, 'mine');
SELECT rate, description FROM taskapi.rate_limit_policy WHERE name = 'per_key';
INSERT INTO taskapi.rate_limit_policy VALUES ('per_key', 2, '1 second', 1, false, 'mine too');
INSERT INTO taskapi.rate_limit_policy VALUES ('login_per_account', 2, '1 second', 1, false, 'changed above');
SELECT count(*) FROM taskapi.rate_limit_policy;

DROP FUNCTION regress_login(text, jsonb), regress_request(text, jsonb, text), public.crypt(text, text);
DROP EXTENSION pgcrypto;
DROP SCHEMA "regress Crypto";
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
DROP ROLE regress_auth_anon, regress_auth_user, "regress auth, other";
