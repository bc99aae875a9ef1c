-- What the HTTP layer put into GUCs, and what it is to answer.
\set SHOW_CONTEXT never

-- outside a request everything is NULL
SELECT taskapi.request_header('x'), taskapi.request_cookie('x'), taskapi.jwt_claims(), taskapi.current_subject(), taskapi.current_subject_id();
-- so it is after PostgREST's transaction, which leaves empty strings
SELECT set_config('request.headers', '', false), set_config('request.cookies', '', false), set_config('request.jwt.claims', '', false);
SELECT taskapi.request_header('x'), taskapi.request_cookie('x'), taskapi.jwt_claims(), taskapi.current_subject(), taskapi.current_subject_id();

BEGIN;
SET LOCAL request.headers = '{"accept": "*/*", "x-api-key": "k1", "if-match": "\"3\"", "x-null": null, "x-obj": {"a": "b"}}';
SET LOCAL request.cookies = '{"Session": "s1"}';
SELECT taskapi.request_header('Accept'), taskapi.request_header('X-API-KEY'), taskapi.request_header('if-match'),
       taskapi.request_header('x-null') IS NULL AS null_header, taskapi.request_header('x-obj') IS NULL AS no_string, taskapi.request_header('absent') IS NULL AS absent;
SELECT taskapi.request_cookie('Session'), taskapi.request_cookie('session') IS NULL AS other_case;
-- a header sent twice is not taken for one sent once
SET LOCAL request.headers = '{"x-api-key": "k1", "x-api-key": "k2"}';
SELECT taskapi.request_header('x-api-key');
-- each value of the GUC is read anew
SELECT set_config('request.headers', '{"n": "' || n || '"}', true), taskapi.request_header('n') FROM generate_series(1, 3) n;
COMMIT;
SELECT taskapi.request_header('n');

-- the subject
BEGIN;
SET LOCAL request.jwt.claims = '{"sub": "0190A6c4-0000-7000-8000-00000000abcd", "role": "authenticated", "n": 1}';
SELECT taskapi.current_subject(), taskapi.current_subject_id(), taskapi.jwt_claims();
SAVEPOINT s;
SET LOCAL request.jwt.claims = '{"sub": "0190a6c4-0000-7000-8000-000000000002"}';
SELECT taskapi.current_subject_id();
ROLLBACK TO s;
SELECT taskapi.current_subject_id();
COMMIT;
SELECT taskapi.current_subject_id();

-- claims that are none, and subjects that are none: unauthenticated, each time, and no crash
CREATE FUNCTION pg_temp.try(claims text, OUT text_form text, OUT uuid_form text, OUT claims_form text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.jwt.claims', claims, true);
    BEGIN text_form := coalesce(taskapi.current_subject(), '(null)'); EXCEPTION WHEN OTHERS THEN text_form := SQLSTATE; END;
    BEGIN uuid_form := coalesce(taskapi.current_subject_id()::text, '(null)'); EXCEPTION WHEN OTHERS THEN uuid_form := SQLSTATE; END;
    BEGIN claims_form := coalesce(taskapi.jwt_claims()::text, '(null)'); EXCEPTION WHEN OTHERS THEN claims_form := SQLSTATE; END;
END
$$;
SELECT c AS claims, t.* FROM unnest(ARRAY[
    '{}', '{"sub": null}', '{"sub": "bob"}', '{"sub": ""}', '{"sub": 42}', '{"sub": ["a"]}', '{"sub": {"sub": "x"}}', '{"role": "x", "sub": true}',
    '{"sub": "0190a6c4-0000-7000-8000-00000000000"}', '{"sub": "0190a6c4-0000-7000-8000-0000000000011"}', '{"sub": "0190a6c400007000800000000000000001"}',
    '{"sub": "{0190a6c4-0000-7000-8000-00000000001}"}', '{"sub": "0190a6c4-0000-7000-8000-00000000000g"}', '{"sub": "a\u0000b"}',
    '{"sub": "x", "n": 1e1000000}', 'not json', '[]', '"x"', '{"sub": "x"', '{"a": [{"sub": "inner"}]}']) c, pg_temp.try(c) t;
-- the last of two equal claims, as in jsonb
SELECT t.* FROM pg_temp.try('{"sub": "a", "sub": "b"}') t;

-- one identity, however the issuer spells it
SELECT t.text_form, t.uuid_form, t.claims_form FROM unnest(ARRAY[
    '{"sub": "0190A6C4-0000-7000-8000-00000000ABCD"}', '{"sub": "0190a6c400007000800000000000abcd"}', '{"sub": "{0190a6c4-0000-7000-8000-00000000abcd}"}',
    '{"sub": "0190-a6c4-0000-7000-8000-0000-0000-abcd", "n": [1]}', '{"sub": "a", "sub": "{0190a6c400007000800000000000ABCD}"}']) c, pg_temp.try(c) t;
SELECT s, taskapi.canonical_subject(s) FROM unnest(ARRAY['Bob', '0190A6C4-0000-7000-8000-00000000ABCD', '0190A6C4-00007000-8000-00000000ABCD', ' 0190a6c4-0000-7000-8000-00000000abcd',
    '0190a6c4--0000-7000-8000-00000000abcd', '-0190a6c4-0000-7000-8000-00000000abcd', '0190a6c4-0000-7000-8000-00000000abcd-', '{0190a6c4-0000-7000-8000-00000000abcd', '{}']) s;
SELECT taskapi.canonical_subject('');
SELECT taskapi.canonical_subject(repeat('x', 1025));
-- the same grammar as the type's, on spellings that are nearly right
SELECT count(*) FILTER (WHERE (c <> s) IS DISTINCT FROM (u IS NOT NULL AND u <> s)) AS differ, count(u) > 100 AS some_are, count(*) - count(u) > 100 AS some_are_not
FROM (SELECT s, taskapi.canonical_subject(s) AS c, CASE WHEN s ~* '^([0-9a-f]{4}-?){7}[0-9a-f]{4}$|^\{([0-9a-f]{4}-?){7}[0-9a-f]{4}\}$' THEN s::uuid::text END AS u
      FROM (SELECT substr(o, 1, n) || x || substr(o, n + 1 + k) AS s FROM unnest(ARRAY['0190A6c4-0000-7000-8000-00000000abcd', '0190a6c400007000800000000000abcd', '{0190a6c4-0000-7000-8000-00000000abcd}']) o,
            generate_series(0, 38) n, generate_series(0, 1) k, unnest(ARRAY['', '-', '{', '}', 'F', 'g']) x) v WHERE s <> '') w;
-- 1024 bytes are enough
SELECT length(t.text_form), t.uuid_form, t.claims_form <> 'PT401' AS has_claims FROM unnest(ARRAY[1024, 1025]) n, pg_temp.try(json_build_object('sub', repeat('x', n))::text) t;

-- what no text can hold is no header and no cookie, and leaves the others alone; in claims it is unauthenticated
BEGIN;
SET LOCAL request.headers = '{"a": "x\u0000y", "b": "1", "c": "\ud800", "d": "\ud83d\ude00", "e": "\\u0000", "\u0000": "2", "f": ["\u0000"]}';
SET LOCAL request.cookies = '{"a": "x\u0000y", "b": "1"}';
SELECT h, taskapi.request_header(h), taskapi.request_cookie(h) FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e', 'f']) h;
SELECT * FROM pg_temp.try('{"sub": "x", "name": "\ud800"}');
ROLLBACK;

-- headers that are not JSON are a clear problem
BEGIN;
SET LOCAL request.headers = 'accept: x';
SELECT taskapi.request_header('accept');
ROLLBACK;

-- the answer: headers merge, whatever their case; Set-Cookie is added
BEGIN;
SELECT taskapi.set_response_header('ETag', '"1"');
SELECT taskapi.set_response_header('Set-Cookie', 'a=1');
SELECT taskapi.set_response_header('Set-Cookie', 'b=2');
SELECT taskapi.set_response_header('etag', '"2"');
SELECT current_setting('response.headers');
-- what others put there stays
SELECT set_config('response.headers', '[{"X-Mine": "1"}, {"Link": "<a>"}]', true);
SELECT taskapi.set_response_header('Link', '<b>');
SELECT current_setting('response.headers');
SAVEPOINT s;
SELECT taskapi.set_response_header('X-Gone', 'y');
ROLLBACK TO s;
SELECT taskapi.set_response_header('X-Kept', E'tab\t and "quotes"');
SELECT current_setting('response.headers');
SELECT taskapi.set_response_status(201), current_setting('response.status');
COMMIT;
SELECT current_setting('response.headers'), current_setting('response.status');
-- and they work where nothing may be written
BEGIN READ ONLY;
SELECT taskapi.set_response_header('A', 'b'), current_setting('response.headers');
COMMIT;
-- a line break would be a header of somebody else's choice
SELECT taskapi.set_response_header('X', E'a\r\nSet-Cookie: evil=1');
SELECT taskapi.set_response_header(E'X\r\nY', 'a');
SELECT taskapi.set_response_header('', 'a');
BEGIN;
SELECT set_config('response.headers', '[{"X": "a\r\nSet-Cookie: evil=1"}]', true);
SELECT taskapi.set_response_header('Y', 'y');
ROLLBACK;
SELECT taskapi.set_response_status(99);
SELECT taskapi.set_response_status(600);
BEGIN;
SELECT set_config('response.headers', '{"a": "b"}', true);
SELECT taskapi.set_response_header('X', 'y');
ROLLBACK;
BEGIN;
SELECT set_config('response.headers', '[{"a": 1}]', true);
SELECT taskapi.set_response_header('X', 'y');
ROLLBACK;

-- uuid version 7: the vector of RFC 9562, appendix A.6, and of other versions nothing
SELECT taskapi.uuidv7_timestamp('017F22E2-79B0-7CC3-98C4-DC0C0C07398F') = '2022-02-22 19:22:22 UTC'::timestamptz AS rfc_vector;
SELECT taskapi.uuidv7_timestamp('C232AB00-9414-11EC-B3C8-9F6BDECED846'), taskapi.uuidv7_timestamp('919108f7-52d1-4320-9bac-f847db4148a8');
-- it grows with every call, within one millisecond too, and says version 7 and variant 10
WITH ids AS MATERIALIZED (SELECT i, taskapi.uuidv7() AS id FROM generate_series(1, 10000) i)
SELECT count(*) FILTER (WHERE id <= previous) AS not_greater, count(DISTINCT id) AS distinct_ids,
       bool_and(substr(id::text, 15, 1) = '7') AS version_7, bool_and(substr(id::text, 20, 1) IN ('8', '9', 'a', 'b')) AS variant_10,
       bool_and(taskapi.uuidv7_timestamp(id) BETWEEN now() - interval '1 minute' AND clock_timestamp() + interval '1 minute') AS of_now
FROM (SELECT id, lag(id) OVER (ORDER BY i) AS previous FROM ids) s;

-- memory is bounded by what is distinct: by neither how often a header is set nor how often claims are refused
CREATE FUNCTION pg_temp.kept() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(sum(used_bytes), 0)::bigint FROM pg_backend_memory_contexts WHERE name IN ('taskapi request', 'taskapi response') $$;
BEGIN;
SELECT pg_temp.try(format('{"n": 1e999999, "pad": "%s"}', repeat('x', 1000)));
SELECT taskapi.set_response_header('X-Row', repeat('x', 1000));
SELECT pg_temp.kept() AS before \gset
SELECT count(t.*) FROM generate_series(1, 100), pg_temp.try(current_setting('request.jwt.claims')) t;
SELECT count(taskapi.set_response_header('X-Row', repeat(chr(97 + i % 26), 1000 + i % 2))) FROM generate_series(1, 100) i;
SELECT pg_temp.kept() - :before < 10000 AS bounded, pg_temp.kept() > 2000 AS measured;
COMMIT;

-- values within values end before the stack does
SELECT t.text_form, left(t.claims_form, 8) AS claims_form FROM unnest(ARRAY[511, 512, 1000000]) n, pg_temp.try(format('{"sub": "x", "a": %s%s}', repeat('[', n), repeat(']', n))) t;
SELECT t.text_form FROM unnest(ARRAY['{"a": ', '[', '"[[[[\"{{', '"\\']) c, pg_temp.try('{"sub": "x", "a": ' || repeat(c, 1000000)) t;
SELECT t.text_form FROM pg_temp.try(format('{"sub": "x", "a": "%s\"%s"}', repeat('[', 1000), repeat('{', 1000))) t;
BEGIN;
SELECT length(set_config('request.headers', '{"a": ' || repeat('[', 1000000), true));
SELECT taskapi.request_header('a');
ROLLBACK;
