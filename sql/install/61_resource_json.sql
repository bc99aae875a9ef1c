-- What the planner takes for json_agg() in a query that reads a resource or a page (src/resource/resource_json.h).

CREATE FUNCTION taskapi.json_rows_add(internal, record) RETURNS internal
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_rows_add';
COMMENT ON FUNCTION taskapi.json_rows_add(internal, record) IS 'Internal: transition of json_rows()';

CREATE FUNCTION taskapi.json_rows_end(internal) RETURNS json
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_rows_end';
COMMENT ON FUNCTION taskapi.json_rows_end(internal) IS 'Internal: end of json_rows()';

-- The rows as json_agg() writes them, to the byte. Errors: those of json_agg().
CREATE AGGREGATE taskapi.json_rows(record) (
    SFUNC = taskapi.json_rows_add, STYPE = internal, FINALFUNC = taskapi.json_rows_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE taskapi.json_rows(record) IS
    'Internal: json_agg() of rows of a subquery, which the planner puts in its place if the subquery reads a resource';

CREATE FUNCTION taskapi.json_row_end(internal) RETURNS json
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_row_end';
COMMENT ON FUNCTION taskapi.json_row_end(internal) IS 'Internal: end of json_row()';

-- The first of them, as json_agg(t) -> 0 gives it; NULL if there is none. Errors: those of json_agg(). A string with \u0000 in a
-- column of type json is given, as json_agg(t) gives it; the operator would refuse it.
CREATE AGGREGATE taskapi.json_row(record) (
    SFUNC = taskapi.json_rows_add, STYPE = internal, FINALFUNC = taskapi.json_row_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE taskapi.json_row(record) IS
    'Internal: json_agg() -> 0 of rows of a subquery, which the planner puts in its place if the subquery reads a resource';
