-- What was told of limits, and what a browser may read, stands in every answer of a request, refusals included, and nothing of what is rolled back does.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_anon;
CREATE ROLE regress_user;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');
CREATE SCHEMA regress_refusal;
CREATE TABLE regress_refusal.key AS SELECT taskapi.create_api_key('refused') AS key;
GRANT USAGE ON SCHEMA regress_refusal TO regress_user;
GRANT SELECT ON regress_refusal.key TO regress_user;
GRANT EXECUTE ON FUNCTION taskapi.enforce_rate_limits, taskapi.rate_limit TO regress_user;
UPDATE taskapi.rate_limit_policy SET rate = 100, per = '1000 hours', burst = 100;
INSERT INTO taskapi.rate_limit_policy (name, rate, per) VALUES ('plan, "a;b" \', 3, '1000 hours'), ('month', 9, '1000 hours');

-- One request: pre_request(), then a statement. Its answer: the headers that were set, or those of the refusal.
CREATE FUNCTION regress_refusal.request(headers jsonb, statement text DEFAULT 'SELECT 1') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; answer jsonb;
BEGIN
    PERFORM set_config('request.method', 'GET', true), set_config('request.headers', headers::text, true), set_config('request.cookies', '{}', true),
            set_config('request.jwt.claims', '{}', true), set_config('response.headers', '', true);
    BEGIN
        PERFORM taskapi.pre_request();
        EXECUTE statement;
        answer := (SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}')
                   FROM jsonb_array_elements(nullif(current_setting('response.headers'), '')::jsonb) h, jsonb_each(h) f);
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION
        WHEN SQLSTATE 'PGRST' THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            RETURN NEXT concat_ws(' ', detail::json ->> 'status', message::json ->> 'code');
            answer := detail::jsonb -> 'headers';
        WHEN SQLSTATE 'UNDO0' THEN
            RETURN NEXT 'done';
    END;
    RETURN QUERY SELECT key || ': ' || regexp_replace(value, 't=[1-9][0-9]*', 't=T', 'g') FROM jsonb_each_text(answer) WHERE key <> 'Retry-After' ORDER BY 1;
END $$;
SELECT jsonb_build_object('x-api-key', key) AS plain, jsonb_build_object('x-api-key', key, 'Origin', 'https://app.example') AS browser
FROM regress_refusal.key \gset
\t on

-- A browser of another origin may read them; any other client is not told so.
SELECT regress_refusal.request(:'plain');
SELECT regress_refusal.request(:'browser');
SELECT regress_refusal.request('{"origin": "https://app.example", "x-api-key": "none"}');
-- A refusal: of this library, of a function's own, with a header of its own. A cookie and an ETag are not true of it.
SELECT regress_refusal.request(:'browser', $$SELECT taskapi.set_response_header('Set-Cookie', 'a=b'), taskapi.set_response_header('ETag', '"1"'), taskapi.set_response_header('Link', '<x>'), taskapi.raise_problem('version_conflict')$$);
SELECT regress_refusal.request(:'plain', $$SELECT * FROM taskapi.page('regress_refusal.key', 'nothing')$$);
SELECT regress_refusal.request(:'browser', $$SELECT taskapi.raise_problem('forbidden', headers => '{"ratelimit": "\"mine\";r=0", "ACCESS-control-expose-headers": "X"}')$$);
-- What another has made of response.headers, if that cannot be read, turns no problem into another error.
SELECT n, regress_refusal.request(:'browser', format('SELECT set_config(''response.headers'', %L, true), taskapi.raise_problem(''not_found'')', junk))
FROM (VALUES (1, '{'), (2, '{}'), (3, '[1]'), (4, '[{"a": 1}]'), (5, '[{"RateLimit": "a\nb"}]'), (6, '[{"Rate Limit": "a"}]'), (7, '"RateLimit"'), (8, '[{"ratelimit": "kept"}]')) v (n, junk) ORDER BY n;

-- A second check of the request tells of its policies beside those of the first, and of one that both have as it is now.
SELECT regress_refusal.request(:'plain', $$SELECT taskapi.enforce_rate_limits('{"plan, \"a;b\" \\": "refused", "month": 1}')$$);
SELECT regress_refusal.request(:'plain', $$SELECT taskapi.enforce_rate_limits('{"month": 1}', 2), taskapi.enforce_rate_limits('{"plan, \"a;b\" \\": "refused"}'), taskapi.enforce_rate_limits('{"month": 1}', 0)$$);
SELECT regress_refusal.request(:'plain', $$SELECT taskapi.enforce_rate_limits('{"plan, \"a;b\" \\": "refused"}', 2), 1$$);
SELECT regress_refusal.request(:'plain', $$SELECT taskapi.set_response_header('RateLimit', ' ,,"x";r=1,"y" , z;a="\",";b,'), taskapi.enforce_rate_limits('{"month": 2}')$$);
-- before pre_request() nothing is known
SELECT set_config('response.headers', '', false), set_config('request.method', 'GET', false), set_config('request.headers', '{"origin": "a"}', false) \g /dev/null
SELECT taskapi.raise_problem('not_found');

\t off
RESET request.method;
DROP SCHEMA regress_refusal CASCADE;
DELETE FROM taskapi.api_key;
UPDATE taskapi.rate_limit_policy p SET rate = s.rate, per = s.per, burst = s.burst FROM taskapi.shipped_rate_limit_policies() s WHERE s.name = p.name;
DELETE FROM taskapi.rate_limit_policy p WHERE name NOT IN (SELECT name FROM taskapi.shipped_rate_limit_policies());
DELETE FROM taskapi.api_role;
DROP OWNED BY regress_user;
DROP ROLE regress_anon, regress_user;
