-- Pages of any table or view, in any order, at the same cost at any depth.

CREATE TYPE taskapi.page_result AS (
    items json,
    next_page_token text,
    previous_page_token text,
    has_next boolean,
    has_previous boolean,
    total_size bigint
);
COMMENT ON TYPE taskapi.page_result IS
    'A page: its rows as a JSON array, and where its neighbours are. An empty next_page_token is the end; the number of'
    ' rows is not';
COMMENT ON COLUMN taskapi.page_result.items IS 'The rows, in page order whichever way the token went';
COMMENT ON COLUMN taskapi.page_result.next_page_token IS 'The page_token of the next page; empty if there is none';
COMMENT ON COLUMN taskapi.page_result.previous_page_token IS 'The page_token of the page before; empty if there is none';
COMMENT ON COLUMN taskapi.page_result.has_next IS 'Whether there is a next page';
COMMENT ON COLUMN taskapi.page_result.has_previous IS 'Whether there is a page before';
COMMENT ON COLUMN taskapi.page_result.total_size IS 'How many rows all pages have, if count asked for it; else NULL';

-- page_token: '' is the first page, 'last' the one that ends with the last row.
-- count: 'exact' reads every row that matches; 'estimated' reads max_page_size rows at most, and beyond that is the planner's
-- estimate. columns: what the items show, in that order; tokens hold the whole position all the same.
-- Not for parallel workers: it reads filter values in a subtransaction and sets response headers.
CREATE FUNCTION taskapi.page(source regclass, order_by text DEFAULT NULL, page_size int DEFAULT NULL,
                             page_token text DEFAULT NULL, filter jsonb DEFAULT NULL, count text DEFAULT NULL,
                             columns text[] DEFAULT NULL)
    RETURNS taskapi.page_result
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'taskapi_page';
COMMENT ON FUNCTION taskapi.page(regclass, text, int, text, jsonb, text, text[]) IS
    'One page of a table or view, as the caller may see it: in order_by (NULL: the key), with a total if count is exact or'
    ' estimated, of some columns or all';

-- soft_delete: there is a view deleted_RESOURCE beside the resource, whose rows show_deleted puts among the others.
CREATE FUNCTION taskapi.resource_page(resource regclass, soft_delete boolean, default_order text, order_by text,
                                      page_size int, page_token text, filter jsonb, count text, columns text[],
                                      show_deleted boolean)
    RETURNS taskapi.page_result
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'taskapi_resource_page';
COMMENT ON FUNCTION taskapi.resource_page(regclass, boolean, text, text, int, text, jsonb, text, text[], boolean) IS
    'Internal: what RESOURCE_page() calls; page() that can show deleted rows among the others, and sets the header Link';

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
    'NULL if an index bounds pages of the filtered rows at every depth; else the CREATE INDEX that would';
