-- JSON Web Tokens: signed and verified, and every way to be refused.
CREATE EXTENSION pgcrypto WITH SCHEMA public;
\set SHOW_CONTEXT never
SET taskapi.jwt_leeway = 0;

-- an implementation of its own to compare with, and to make tokens that ours would not
CREATE FUNCTION regress_base64url(bytea) RETURNS text LANGUAGE sql AS
    $$ SELECT translate(encode($1, 'base64'), E'+/=\n', '-_') $$;
CREATE FUNCTION regress_token(header bytea, payload bytea, secret bytea DEFAULT repeat('k', 32)::bytea) RETURNS text LANGUAGE sql AS
    $$ SELECT s || '.' || regress_base64url(public.hmac(s::bytea, secret, 'sha256'))
       FROM (SELECT regress_base64url(header) || '.' || regress_base64url(payload) AS s) t $$;
CREATE FUNCTION regress_token(header text, payload text, secret text DEFAULT repeat('k', 32)) RETURNS text LANGUAGE sql AS
    $$ SELECT regress_token(convert_to(header, 'UTF8'), convert_to(payload, 'UTF8'), convert_to(secret, 'UTF8')) $$;
-- what a caller is told
CREATE FUNCTION regress_verify(token text, secret text DEFAULT repeat('k', 32)) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    RETURN taskapi.jwt_verify(token, secret);
EXCEPTION WHEN SQLSTATE 'PT401' THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN detail::json ->> 'details';
END $$;

-- the other implementation of the MAC is right (RFC 4231, test cases 2 and 6)
SELECT public.hmac('what do ya want for nothing?', 'Jefe', 'sha256') = '\x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843' AS case_2,
       public.hmac('Test Using Larger Than Block-Size Key - Hash Key First'::bytea, decode(repeat('aa', 131), 'hex'), 'sha256') = '\x60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54' AS case_6;

-- there and back, and as others do it
SELECT taskapi.jwt_sign('{"sub": "u1", "role": "member", "n": [1, {"a": null}]}', repeat('k', 32)) =
       regress_token('{"alg":"HS256","typ":"JWT"}', '{"n": [1, {"a": null}], "sub": "u1", "role": "member"}') AS same_as_pgcrypto;
SELECT taskapi.jwt_verify(taskapi.jwt_sign('{"sub": "u1", "role": "member", "n": [1, {"a": null}], "ü": "\u00e9€"}', repeat('k', 32)), repeat('k', 32));
SELECT count(*) FILTER (WHERE taskapi.jwt_sign('{"sub": "u1"}', repeat('s', n)) = regress_token('{"alg":"HS256","typ":"JWT"}', '{"sub": "u1"}', repeat('s', n))) AS same, count(*)
    FROM generate_series(32, 200) n;
SELECT count(*) FILTER (WHERE taskapi.jwt_verify(taskapi.jwt_sign(jsonb_build_object('sub', repeat('x', n)), repeat('k', 32)), repeat('k', 32)) ->> 'sub' = repeat('x', n)) AS same, count(*)
    FROM generate_series(0, 99) n;
SELECT regress_verify(regress_token('{"typ":"jwt", "alg":"HS256", "kid":"7"}', '{}'));
SELECT regress_verify(regress_token('{"alg":"HS256"}', '{}'));
SELECT regress_verify(regress_token('{"alg":"HS256","typ":"application/JWT"}', '{}'));

-- the server's own keys: the newest signs, all that are not retired verify
SELECT taskapi.jwt_verify(taskapi.jwt_sign('{"sub": "u1"}'));
SELECT taskapi.jwt_sign('{"sub": "u1"}') AS old_token \gset
SELECT taskapi.set_secret('jwt', repeat('shared by the HTTP layer too ', 2)) AS key \gset
SELECT taskapi.jwt_sign('{"sub": "u1"}') = taskapi.jwt_sign('{"sub": "u1"}', repeat('shared by the HTTP layer too ', 2)) AS newest_signs;
SELECT regress_verify(:'old_token', NULL);
SELECT taskapi.retire_secret('jwt', :key - 1);
SELECT regress_verify(:'old_token', NULL);
SELECT regress_verify(taskapi.jwt_sign('{"sub": "u1"}'), NULL);

-- a token that was good a moment ago is asked again for its time and its audience
SELECT taskapi.jwt_sign(jsonb_build_object('sub', 'u1', 'aud', 'us', 'exp', floor(extract(epoch FROM clock_timestamp())) - 5)) AS short_token \gset
SET taskapi.jwt_leeway = '1h';
SET taskapi.jwt_audience = 'us';
SELECT taskapi.jwt_verify(:'short_token') - 'exp' AS first, taskapi.jwt_verify(:'short_token') - 'exp' AS again;
SET taskapi.jwt_audience = 'them';
SELECT regress_verify(:'short_token', NULL);
SET taskapi.jwt_audience = 'us';
SET taskapi.jwt_leeway = 0;
SELECT regress_verify(:'short_token', NULL);
RESET taskapi.jwt_audience;
-- and its signature, if a byte differs
SELECT taskapi.jwt_sign('{"sub": "u1"}') AS good_token \gset
SELECT regress_verify(:'good_token', NULL), regress_verify(overlay(:'good_token' placing CASE right(left(:'good_token', -1), 1) WHEN 'A' THEN 'B' ELSE 'A' END from length(:'good_token') - 1), NULL), regress_verify(:'good_token', NULL);
-- and whose secret verified it
SELECT taskapi.jwt_sign('{"sub": "u1"}', repeat('k', 32)) AS given_token \gset
SELECT regress_verify(:'given_token'), regress_verify(:'given_token') AS again, regress_verify(:'given_token', repeat('K', 32)) AS another, regress_verify(:'given_token', repeat('k', 33)) AS longer, regress_verify(:'given_token', NULL) AS ours, regress_verify(:'given_token') AS again;
SELECT regress_verify(:'good_token') AS given, regress_verify(:'good_token', NULL) AS ours;

-- RFC 7515, appendix A.1: the key is bytes, and the token expired in 2011. That is found out after its signature.
INSERT INTO taskapi.secret (purpose, key_id, secret)
    SELECT 'jwt', :key + 1, decode(translate('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', '-_', '+/') || '==', 'base64');
SELECT regress_verify('eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', NULL);
SELECT regress_verify('eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl', NULL) AS trailing_bits,
       regress_verify('eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg', NULL) AS last_bit;
-- RFC 7515, appendix A.5: no algorithm
SELECT regress_verify('eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.', NULL);

-- every changed, cut or added byte
SELECT taskapi.jwt_sign('{"sub": "u1", "role": "member"}', repeat('k', 32)) AS token \gset
SELECT count(*) AS changed, count(*) FILTER (WHERE regress_verify(overlay(:'token' placing c from n)) LIKE 'The token is not%') AS refused
    FROM generate_series(1, length(:'token')) n, unnest(ARRAY['A', 'z', '-', '.', '+', '=']) c WHERE substr(:'token', n, 1) <> c;
SELECT count(*) AS cut, count(*) FILTER (WHERE regress_verify(left(:'token', n)) LIKE 'The token is not%') AS refused FROM generate_series(0, length(:'token') - 1) n;
SELECT count(*) AS removed, count(*) FILTER (WHERE regress_verify(overlay(:'token' placing '' from n for 1)) LIKE 'The token is not%') AS refused FROM generate_series(1, length(:'token')) n;
SELECT c, regress_verify(:'token' || c) FROM unnest(ARRAY['.', '=', ' ', E'\n', 'A', '.A', '..']) c;
SELECT c, regress_verify(c || :'token') FROM unnest(ARRAY['.', ' ', 'A', 'Bearer ']) c;
-- base64 that is not URL-safe, padded, or has bits that count for nothing
SELECT regress_verify(replace(replace(regress_token('{"alg":"HS256"}', '{"a":"???>>>"}'), '_', '/'), '-', '+'));
SELECT regress_verify(s || '.' || regress_base64url(public.hmac(s, repeat('k', 32), 'sha256')))
    FROM unnest(ARRAY['eyJhbGciOiJIUzI1NiJ9.e30=', 'eyJhbGciOiJIUzI1NiJ9.e31', 'eyJhbGciOiJIUzI1NiJ9.e3', 'eyJhbGciOiJIUzI1NiJ9.e', 'eyJhbGciOiJIUzI1NiJ9.', '.e30',
        'eyJhbGciOiJIUzI1NiJ9. e30', 'eyJhbGciOiJIUzI1NiJ9.e30', 'e30', 'eyJhbGciOiJIUzI1NiJ9.e30.e30']) s;

-- signed by the right key, yet not as it must be
SELECT h, regress_verify(regress_token(h, '{"sub": "u1"}')) FROM unnest(ARRAY[
    '{"alg":"none","typ":"JWT"}', '{"alg":"None"}', '{"alg":"HS384","typ":"JWT"}', '{"alg":"HS512"}', '{"alg":"RS256"}', '{"alg":"hs256"}', '{"alg":"HS256 "}', '{"alg":"HS256\u0000"}',
    '{"alg":["HS256"]}', '{"alg":null}', '{"typ":"JWT"}', '{}', '{"alg":"none","alg":"HS256"}', '{"alg":"HS256","alg":"HS256"}',
    '{"alg":"HS256","typ":"at+jwt"}', '{"alg":"HS256","typ":"JWE"}', '{"alg":"HS256","typ":1}', '{"alg":"HS256","typ":""}',
    '{"alg":"HS256","crit":["exp"]}', '{"alg":"HS256","crit":[]}', '{"alg":"HS256","crit":["b64"],"b64":false}',
    '[]', '"HS256"', 'null', '', '{"alg":"HS256"', '{"alg":"HS256"}{}', '{alg:"HS256"}']) h;
SELECT p, regress_verify(regress_token('{"alg":"HS256","typ":"JWT"}', p)) FROM unnest(ARRAY[
    '[]', '"x"', 'null', '1', '', ' ', '{', '{}{}', '{"sub":"u1","sub":"u1"}', '{"exp":4000000000,"exp":1}', '{"sub":"u1","s\u0075b":"u2"}', '{"role":"a","role":"b"}',
    '{"sub":1}', '{"sub":null}', '{"sub":["u1"]}', '{"iss":1}', '{"jti":{}}', '{"exp":"4000000000"}', '{"exp":null}', '{"exp":true}', '{"exp":[4000000000]}', '{"exp":1e400}', '{"nbf":"1"}', '{"iat":{}}', '{"aud":1}', '{"aud":null}', '{"aud":{}}',
    '{"x":"\u0000"}', '{"x":"\ud800"}', '{"x":1e1000000}', '{"x":01}']) p;
SELECT regress_verify(regress_token('{"alg":"HS256"}'::bytea, p::bytea)) FROM unnest(ARRAY[
    '\x7b2278223a22ff227d', '\x7b2278223a22c080227d', '\x7b2278223a22eda080227d', '\x7b2278223a2200227d', '\x7b7d00', '\xefbbbf7b7d', '\x7b007d00']) p;
SELECT regress_verify(regress_token('\x7b22616c67223a22485332353600227d'::bytea, '{}'::bytea));
-- names that are equal only further down are no claims
SELECT regress_verify(regress_token('{"alg":"HS256"}', '{"a":{"sub":1},"b":{"sub":2,"exp":"x"}}'));

-- a swapped header: the signature covers it
SELECT regress_verify(regress_base64url('{"alg":"HS256"}') || substr(:'token', strpos(:'token', '.')));
-- the wrong key
SELECT regress_verify(:'token', repeat('K', 32)), regress_verify(:'token', repeat('k', 33));

-- time, in seconds, whole or not
SELECT claim, offs, regress_verify(taskapi.jwt_sign(jsonb_build_object(claim, floor(extract(epoch FROM clock_timestamp())) + offs), repeat('k', 32))) LIKE '{%' AS accepted
    FROM unnest(ARRAY['exp', 'nbf', 'iat']) claim, unnest(ARRAY[-3600, -1, 0, 3600]) offs ORDER BY 1, 2;
SET taskapi.jwt_leeway = '30s';
SELECT claim, offs, regress_verify(taskapi.jwt_sign(jsonb_build_object(claim, floor(extract(epoch FROM clock_timestamp())) + offs), repeat('k', 32))) LIKE '{%' AS accepted
    FROM unnest(ARRAY['exp', 'nbf', 'iat']) claim, unnest(ARRAY[-31, -20, 20, 3600]) offs ORDER BY 1, 2;
SET taskapi.jwt_leeway = 0;
SELECT regress_verify(regress_token('{"alg":"HS256"}', p)) FROM unnest(ARRAY['{"exp":4e9}', '{"exp":4000000000.5}', '{"exp":-1}', '{"exp":0}', '{"nbf":-1}', '{"nbf":4e9}', '{"iat":4e9}', '{"exp":4000000000,"nbf":4000000000}']) p;

-- for whom
SELECT aud, regress_verify(taskapi.jwt_sign(jsonb_build_object('aud', aud), repeat('k', 32)))
    FROM unnest(ARRAY['"us"', '["us", "them"]', '[]']::jsonb[]) aud;
SET taskapi.jwt_audience = 'us';
SELECT aud, regress_verify(taskapi.jwt_sign(jsonb_build_object('aud', aud), repeat('k', 32)))
    FROM unnest(ARRAY['"us"', '["us"]', '["them", "us"]', '"them"', '["them"]', '[]', '""', '"US"', '"us "', '[1, "us"]', '[["us"]]', '[{"us": "us"}]', '[null]']::jsonb[]) aud;
SELECT regress_verify(taskapi.jwt_sign('{"sub": "u1"}', repeat('k', 32)));
RESET taskapi.jwt_audience;

-- long tokens: the longest that is signed is verified, one byte more is neither, and 1 MB is not even read
SELECT length(t), taskapi.jwt_verify(t, repeat('k', 32)) ->> 'x' = repeat('x', 6074) AS verified FROM (SELECT taskapi.jwt_sign(jsonb_build_object('x', repeat('x', 6074)), repeat('k', 32)) AS t) s;
SELECT taskapi.jwt_sign(jsonb_build_object('x', repeat('x', 6075)), repeat('k', 32));
SELECT regress_verify(regress_token('{"alg":"HS256","typ":"JWT"}', '{"x": "' || repeat('x', 6075) || '"}'));
SELECT regress_verify(repeat('a', 1024 * 1024)), regress_verify(:'token' || repeat('.', 1024 * 1024));

-- what is not signed
SELECT taskapi.jwt_sign('[]', repeat('k', 32));
SELECT taskapi.jwt_sign('"sub"', repeat('k', 32));
SELECT taskapi.jwt_sign('{"exp": "tomorrow"}', repeat('k', 32));
SELECT taskapi.jwt_sign('{"sub": 1}', repeat('k', 32));
SELECT taskapi.jwt_sign('{"sub": "u1"}', repeat('k', 31));
SELECT taskapi.jwt_sign('{"sub": "u1"}', '');
SELECT taskapi.jwt_verify(:'token', repeat('k', 31));
SELECT taskapi.jwt_sign(NULL) IS NULL AS nothing;
SELECT taskapi.jwt_verify(NULL);

-- the refusal as a driver sees it, and as the layer does; neither holds the token
DO $$
DECLARE
    state text; message text; detail text;
BEGIN
    PERFORM taskapi.jwt_verify('a.b.c');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RAISE INFO '% | % | %', state, message, detail;
END $$;
BEGIN;
SET LOCAL request.method = 'GET';
DO $$
DECLARE
    state text; message text; detail text;
BEGIN
    PERFORM taskapi.jwt_verify('a.b.c');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RAISE INFO '% | % | %', state, message, detail;
END $$;
COMMIT;

-- A secret of any bytes: RFC 7515, appendix A.1, whose token is good and has expired; with one bit more it is not good.
\set a1 eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk
SELECT decode(translate('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', '-_', '+/') || '==', 'base64') AS k \gset
SELECT taskapi.jwt_verify(:'a1', :'k'::bytea);
SELECT taskapi.jwt_verify(:'a1', set_bit(:'k'::bytea, 0, 0));
SELECT taskapi.jwt_verify(taskapi.jwt_sign('{"sub": "u1"}', '\x00ff80'::bytea || :'k'::bytea), '\x00ff80'::bytea || :'k'::bytea);
SELECT taskapi.jwt_sign('{}', '\x00ff80'::bytea);
BEGIN;
SELECT taskapi.set_secret('jwt', :'k'::bytea);
SELECT taskapi.jwt_sign('{"sub": "u1"}') = taskapi.jwt_sign('{"sub": "u1"}', :'k'::bytea) AS signed_with_it;
SELECT taskapi.jwt_verify(:'a1');
ROLLBACK;
-- text where nothing says which
SELECT taskapi.jwt_verify(taskapi.jwt_sign('{"sub": "u1"}', repeat('k', 32)), 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk');
SELECT taskapi.set_secret('jwt', '\x00');

-- verifying is anybody's, signing is not
CREATE ROLE regress_jwt_caller;
SET ROLE regress_jwt_caller;
SELECT taskapi.jwt_verify(:'token', repeat('k', 32));
SELECT taskapi.jwt_sign('{"sub": "u1"}');
SELECT taskapi.jwt_sign('{"sub": "u1"}', '\x00'::bytea);
SELECT taskapi.set_secret('jwt', '\x00'::bytea);
SET taskapi.jwt_leeway = 3600;
RESET ROLE;
DROP ROLE regress_jwt_caller;

DROP FUNCTION regress_verify(text, text), regress_token(text, text, text), regress_token(bytea, bytea, bytea), regress_base64url(bytea);
DROP EXTENSION pgcrypto;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
