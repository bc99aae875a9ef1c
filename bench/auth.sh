# Sourced by scripts/bench: what authentication costs.
#
# pre_request() is measured inside a procedure that makes each request a transaction of its own, with the settings a
# layer makes and headers that differ from the last ones; only the call itself is on the clock. The baseline is a
# pre-request function that does nothing. jwt_verify() is measured against what is usual without an extension in C, both on
# pgcrypto's hmac() and checking signature, algorithm and times alone: small SQL functions that build on each other and are
# called from PL/pgSQL, and one function in PL/pgSQL that is as short as can be.

auth_data() {
    psql -q -d "$BENCH_DB" <<'SQL'
DROP SCHEMA IF EXISTS bench_auth CASCADE;
CREATE EXTENSION IF NOT EXISTS taskapi;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
CREATE SCHEMA bench_auth;
GRANT USAGE ON SCHEMA bench_auth TO PUBLIC;
CREATE FUNCTION bench_auth.nothing() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE PROCEDURE bench_auth.requests(variant text, n int, headers text, cookies text, claims text, INOUT us float8) LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz;
    total interval := '0';
BEGIN
    FOR i IN 1 .. n LOOP
        PERFORM set_config('role', 'bench_anonymous', true), set_config('request.method', 'GET', true), set_config('request.path', '/tasks', true),
                set_config('request.headers', replace(headers, '@', i::text), true), set_config('request.cookies', cookies, true), set_config('request.jwt.claims', claims, true);
        IF variant = 'nothing' THEN
            before := clock_timestamp();
            PERFORM bench_auth.nothing();
            total := total + (clock_timestamp() - before);
        ELSE
            before := clock_timestamp();
            PERFORM taskapi.pre_request();
            total := total + (clock_timestamp() - before);
        END IF;
        COMMIT;
    END LOOP;
    us := extract(epoch FROM total) * 1e6 / n;
END
$$;

CREATE FUNCTION bench_auth.base64url_decode(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$ SELECT decode(rpad(translate(t, '-_', '+/'), 4 * ((length(t) + 3) / 4), '='), 'base64') $$;
CREATE FUNCTION bench_auth.base64url_encode(b bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT translate(encode(b, 'base64'), E'+/=\n', '-_') $$;
CREATE FUNCTION bench_auth.jwt_verify(token text, secret text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    part text[] := string_to_array(token, '.');
    claims jsonb;
BEGIN
    IF cardinality(part) <> 3
       OR convert_from(bench_auth.base64url_decode(part[1]), 'UTF8')::jsonb ->> 'alg' <> 'HS256'
       OR bench_auth.base64url_encode(public.hmac(part[1] || '.' || part[2], secret, 'sha256')) <> part[3] THEN
        RAISE EXCEPTION 'invalid token';
    END IF;
    claims := convert_from(bench_auth.base64url_decode(part[2]), 'UTF8')::jsonb;
    IF (claims ->> 'exp')::float8 <= extract(epoch FROM now()) OR (claims ->> 'nbf')::float8 > extract(epoch FROM now()) THEN
        RAISE EXCEPTION 'invalid token';
    END IF;
    RETURN claims;
END
$$;
-- In the usual manner: a set-returning SQL function over others, with a cast that cannot fail, called by PL/pgSQL.
CREATE FUNCTION bench_auth.to_number(t text) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN t::float8;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
CREATE FUNCTION bench_auth.signature(signed text, secret text, algorithm text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT bench_auth.base64url_encode(public.hmac(signed, secret, CASE algorithm WHEN 'HS256' THEN 'sha256' WHEN 'HS384' THEN 'sha384' WHEN 'HS512' THEN 'sha512' END)) $$;
CREATE FUNCTION bench_auth.opened(token text, secret text) RETURNS TABLE (header json, claims json, valid boolean) LANGUAGE sql IMMUTABLE AS $$
    SELECT t.header, t.claims, t.signed AND tstzrange(to_timestamp(bench_auth.to_number(t.claims ->> 'nbf')), to_timestamp(bench_auth.to_number(t.claims ->> 'exp'))) @> current_timestamp
    FROM (SELECT convert_from(bench_auth.base64url_decode(p[1]), 'UTF8')::json AS header, convert_from(bench_auth.base64url_decode(p[2]), 'UTF8')::json AS claims,
                 p[3] = bench_auth.signature(p[1] || '.' || p[2], secret, 'HS256') AS signed
          FROM regexp_split_to_array(token, '\.') p) t
$$;
CREATE FUNCTION bench_auth.jwt_verify_by_sql(token text, secret text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    opened record;
BEGIN
    SELECT * INTO opened FROM bench_auth.opened(token, secret);
    IF opened.valid IS NOT TRUE THEN
        RAISE EXCEPTION 'invalid token';
    END IF;
    RETURN opened.claims;
END
$$;
CREATE PROCEDURE bench_auth.verifications(variant text, n int, token text, INOUT us float8) LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz;
BEGIN
    CREATE TEMP TABLE new_token ON COMMIT DROP AS
        SELECT taskapi.jwt_sign(taskapi.jwt_verify(token) || jsonb_build_object('jti', 'token ' || g)) AS token FROM generate_series(1, n) g;
    before := clock_timestamp();
    IF variant = 'SQL functions on pgcrypto, from PL/pgSQL' THEN
        PERFORM bench_auth.jwt_verify_by_sql(token, repeat('s', 32)) FROM generate_series(1, n);
    ELSIF variant = 'one PL/pgSQL function on pgcrypto' THEN
        PERFORM bench_auth.jwt_verify(token, repeat('s', 32)) FROM generate_series(1, n);
    ELSIF variant = 'jwt_verify, a token not seen before' THEN
        PERFORM taskapi.jwt_verify(t.token) FROM new_token t;
    ELSE
        PERFORM taskapi.jwt_verify(token) FROM generate_series(1, n);
    END IF;
    us := extract(epoch FROM clock_timestamp() - before) * 1e6 / n;
END
$$;
SELECT taskapi.set_secret('jwt', repeat('s', 32)) \g /dev/null
-- nobody is to be denied
UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = 1000000, per = '1 second';
DO $$ BEGIN
    CREATE ROLE bench_anonymous;
    CREATE ROLE bench_authenticated;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
SELECT taskapi.set_api_roles('bench_anonymous', 'bench_authenticated') \g /dev/null
SQL
}

auth() {
    say "authentication"
    auth_data
    n=${BENCH_REQUESTS:-20000}
    key=$(psql -qAt -d "$BENCH_DB" -c "SELECT taskapi.create_api_key('018f0001-0000-7000-a000-000000000001')")
    session=$(psql -qAt -d "$BENCH_DB" -c "SELECT taskapi.create_session('018f0001-0000-7000-a000-000000000001')")
    claims='{"sub": "018f0001-0000-7000-a000-000000000001", "role": "bench_anonymous", "exp": 4000000000, "iat": 1700000000, "email": "somebody@example.org"}'
    token=$(psql -qAt -d "$BENCH_DB" -c "SELECT taskapi.jwt_sign('$claims')")
    common='"host": "api.example.org", "accept": "application/json", "accept-encoding": "gzip, deflate, br, zstd", "accept-language": "en-GB,en;q=0.5", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "x-forwarded-for": "198.51.100.7, 192.0.2.1", "x-forwarded-proto": "https", "x-request-id": "req-@", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "connection": "keep-alive", "prefer": "count=exact"'
    for run in $(seq 0 "$BENCH_RUNS"); do
        while IFS='|' read -r variant headers cookies claim; do
            us=$(psql -qAt -d "$BENCH_DB" -c 'SET taskapi.trusted_proxy_hops = 1' -c "CALL bench_auth.requests('$variant', $n, '{$common$headers}', '$cookies', '$claim', NULL)")
            # the first round warms up
            [ "$run" = 0 ] || record 'pre_request() and three policies' "$variant" 'microseconds a request' "$run" "$us"
        done <<LIST
nothing||{}|{"role": "bench_anonymous"}
anonymous||{}|{"role": "bench_anonymous"}
bearer token|, "authorization": "Bearer $token"|{}|$claims
API key|, "x-api-key": "$key"|{}|{"role": "bench_anonymous"}
session cookie||{"__Host-session": "$session"}|{"role": "bench_anonymous"}
LIST
        for variant in 'SQL functions on pgcrypto, from PL/pgSQL' 'one PL/pgSQL function on pgcrypto' 'jwt_verify, a token not seen before' 'jwt_verify, a token seen before'; do
            us=$(psql -qAt -d "$BENCH_DB" -c "CALL bench_auth.verifications('$variant', $n, '$token', NULL)")
            [ "$run" = 0 ] || record 'verifying a JWT' "$variant" 'microseconds a token' "$run" "$us"
        done
    done
}
