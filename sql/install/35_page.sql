-- Pages of any table or view, in any order, at the same cost at any depth.

CREATE TYPE taskapi.page_result AS (
    items json,
    next_page_token text,
    previous_page_token text,
    has_next boolean,
    has_previous boolean
);
COMMENT ON TYPE taskapi.page_result IS
    'A page: its rows as a JSON array, and where its neighbours are; the token '''' is none';

-- Not for parallel workers: it reads filter values in a subtransaction and sets response headers.
CREATE FUNCTION taskapi.page(source regclass, order_by text DEFAULT NULL, page_size int DEFAULT NULL,
                             page_token text DEFAULT NULL, filter jsonb DEFAULT NULL)
    RETURNS taskapi.page_result
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'taskapi_page';
COMMENT ON FUNCTION taskapi.page(regclass, text, int, text, jsonb) IS
    'One page of a table or view, as the caller may see it; sets the response header Link inside a request';

CREATE FUNCTION taskapi.page_rows_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_page_rows_support';
REVOKE ALL ON FUNCTION taskapi.page_rows_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.page_rows_support(internal) IS 'Planner support: how many rows a page has';

CREATE FUNCTION taskapi.page_rows(row_type anyelement, order_by text DEFAULT NULL, page_size int DEFAULT NULL,
                                  page_token text DEFAULT NULL, filter jsonb DEFAULT NULL)
    RETURNS SETOF anyelement
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 SUPPORT taskapi.page_rows_support AS 'MODULE_PATHNAME', 'taskapi_page_rows';
COMMENT ON FUNCTION taskapi.page_rows(anyelement, text, int, text, jsonb) IS
    'The rows of a page: SELECT * FROM taskapi.page_rows(NULL::public.orders, ''total DESC, id''); takes a row''s own cursor'
    ' as page_token too';

-- Errors: invalid_order_by, invalid_filter; 42809 for a source that no index can help.
CREATE FUNCTION taskapi.index_advice(source regclass, order_by text, filter jsonb DEFAULT NULL) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_index_advice';
COMMENT ON FUNCTION taskapi.index_advice(regclass, text, jsonb) IS
    'NULL if an index bounds the order of the rows that the filter leaves, however deep the page; else the CREATE INDEX that'
    ' would';
