-- The error contract: one catalogue, two forms.
SELECT * FROM taskapi.problems() ORDER BY status, problem;

-- outside a request: its own SQLSTATE, and a DETAIL that is JSON
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.caught(statement text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END
$$;
\x on
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('version_conflict', 'It is at version 7.', 'Read it again.', '{"ETag": "\"7\""}')$$);
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('not_found')$$);
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('unauthenticated', 'A "quoted" \ detail.')$$);
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('rate_limited', headers => '{"retry-after": "3"}')$$);
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('try_again', headers => '{"retry-after": "3"}')$$);

-- every problem is raised with the SQLSTATE of the catalogue, and names itself and its status
SELECT p.problem, p.sqlstate, c.code, c.detail::jsonb ->> 'code', c.detail::jsonb ->> 'status'
FROM taskapi.problems() p, pg_temp.caught(format('SELECT taskapi.raise_problem(%L)', p.problem)) c
WHERE p.sqlstate <> c.code OR p.problem IS DISTINCT FROM c.detail::jsonb ->> 'code' OR p.status::text IS DISTINCT FROM c.detail::jsonb ->> 'status'
   OR p.title <> c.message;

-- inside a request: as PostgREST wants it, always with an object of headers
SET request.method = 'GET';
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('version_conflict', 'It is at version 7.', 'Read it again.', '{"ETag": "\"7\""}')$$);
SELECT * FROM pg_temp.caught($$SELECT taskapi.raise_problem('not_found')$$);
SELECT p.problem FROM taskapi.problems() p, pg_temp.caught(format('SELECT taskapi.raise_problem(%L)', p.problem)) c
WHERE c.code <> 'PGRST' OR p.problem IS DISTINCT FROM c.message::jsonb ->> 'code'
   OR (p.status::text <> c.detail::jsonb ->> 'status') OR jsonb_typeof(c.detail::jsonb -> 'headers') IS DISTINCT FROM 'object';
-- an empty method, as it is after PostgREST's transaction, is no request
SET request.method = '';
SELECT code FROM pg_temp.caught($$SELECT taskapi.raise_problem('not_found')$$);
\x off

-- misuse
SELECT taskapi.raise_problem('no_such_problem');
SELECT taskapi.raise_problem(NULL);
SELECT taskapi.raise_problem('not_found', headers => '["a"]');
SELECT taskapi.raise_problem('not_found', headers => '{"a": 1}');
-- a line break would be a header of the client's choice
SELECT taskapi.raise_problem('not_found', headers => '{"X": "a\r\nSet-Cookie: evil=1"}');
SELECT taskapi.raise_problem('not_found', headers => '{"X": "a\u0001"}');
SELECT taskapi.raise_problem('not_found', headers => '{"X\r\nY": "a"}');
SELECT taskapi.raise_problem('not_found', headers => '{"": "a"}');
RESET request.method;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
