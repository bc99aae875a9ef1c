-- Filters that an index can bound under row-level security: docs/filters.md.
-- C: src/match/

-- The value as an index is given it: NULL if it is out of bounds, so that nothing matches. Put in by the planner;
-- VOLATILE, so that estimates do not see the value.
CREATE FUNCTION taskapi.match_value(elements anyarray) RETURNS anyarray
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_array';
COMMENT ON FUNCTION taskapi.match_value(anyarray) IS 'Internal: the elements, as they are';

CREATE FUNCTION taskapi.match_value(query tsquery) RETURNS tsquery
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_tsquery';
COMMENT ON FUNCTION taskapi.match_value(tsquery) IS 'Internal: the query, or NULL if it is nested more than 100 levels deep';

CREATE FUNCTION taskapi.match_value(part jsonb) RETURNS jsonb
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_jsonb';
COMMENT ON FUNCTION taskapi.match_value(jsonb) IS 'Internal: the value, or NULL if it is nested more than 100 levels deep';

CREATE FUNCTION taskapi.match_value(pattern text) RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_text';
COMMENT ON FUNCTION taskapi.match_value(text) IS 'Internal: the pattern, or NULL if it is longer than 1000 bytes';

CREATE FUNCTION taskapi.match_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_support';
COMMENT ON FUNCTION taskapi.match_support(internal) IS 'Planner support of contains(), overlaps(), matches() and is_like()';

CREATE FUNCTION taskapi.contains(list text[], elements text[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(text[], text[]) IS
    'list @> elements, by their bytes, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list uuid[], elements uuid[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(uuid[], uuid[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list int[], elements int[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(int[], int[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list bigint[], elements bigint[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(bigint[], bigint[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(document jsonb, part jsonb) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_jsonb_contains';
COMMENT ON FUNCTION taskapi.contains(jsonb, jsonb) IS
    'document @> part, such that a GIN index bounds it under row-level security; NULL if part is nested over 100 levels deep';

CREATE FUNCTION taskapi.overlaps(list text[], elements text[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(text[], text[]) IS
    'list && elements, by their bytes, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list uuid[], elements uuid[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(uuid[], uuid[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list int[], elements int[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(int[], int[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list bigint[], elements bigint[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(bigint[], bigint[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.matches(document tsvector, query tsquery) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_matches';
COMMENT ON FUNCTION taskapi.matches(tsvector, tsquery) IS
    'document @@ query, such that a GIN index bounds it under row-level security; NULL if query is nested over 100 levels deep';

CREATE FUNCTION taskapi.is_like(value text, pattern text) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_is_like';
COMMENT ON FUNCTION taskapi.is_like(text, text) IS
    'value LIKE pattern, by their bytes, such that a GIN index of pg_trgm bounds it under row-level security; NULL if the'
    ' pattern is longer than 1000 bytes or ends with an escape';

-- Who belongs to what, for row-level security: much cheaper than a query. What else makes a member is the index's predicate. As
-- the caller, who must be able to read the table, whole: call it in a SECURITY DEFINER function of the table's owner.
-- Errors: 42809 for anything but a B-tree index whose first two columns are uuid; 42501; 55000 for an index that was made while
-- the transaction ran, over rows that it may still see.
-- C: src/match/index_values.c
CREATE FUNCTION taskapi.index_values(index regclass, key uuid) RETURNS uuid[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_index_values';
COMMENT ON FUNCTION taskapi.index_values(regclass, uuid) IS
    'The values of the second column of an index on (uuid, uuid) for a value of the first one, in their order';
