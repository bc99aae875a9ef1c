-- The error contract.

CREATE FUNCTION taskapi.raise_problem(problem text, detail text DEFAULT NULL, hint text DEFAULT NULL, headers jsonb DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_raise_problem';
COMMENT ON FUNCTION taskapi.raise_problem(text, text, text, jsonb) IS
    'Raises a problem: as PostgREST wants it inside an HTTP request, with its SQLSTATE and a JSON detail elsewhere';

CREATE FUNCTION taskapi.problems(OUT problem text, OUT status int, OUT sqlstate text, OUT title text)
    RETURNS SETOF record
    LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 25 AS 'MODULE_PATHNAME', 'taskapi_problems';
COMMENT ON FUNCTION taskapi.problems() IS
    'The catalogue of problems: name, HTTP status, SQLSTATE outside HTTP, title';
