-- Cursors: a position in an order, comparable, and sealed as text.

CREATE TYPE taskapi.cursor;

CREATE FUNCTION taskapi.cursor_in(cstring) RETURNS taskapi.cursor
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_in';
COMMENT ON FUNCTION taskapi.cursor_in(cstring) IS 'Input: opens a token, whose signature and age are checked';

CREATE FUNCTION taskapi.cursor_out(taskapi.cursor) RETURNS cstring
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_out';
COMMENT ON FUNCTION taskapi.cursor_out(taskapi.cursor) IS 'Output: seals a token, with the newest key and the present time';

CREATE FUNCTION taskapi.cursor_recv(internal) RETURNS taskapi.cursor
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_recv';
COMMENT ON FUNCTION taskapi.cursor_recv(internal) IS 'Binary input: the same token';

CREATE FUNCTION taskapi.cursor_send(taskapi.cursor) RETURNS bytea
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_send';
COMMENT ON FUNCTION taskapi.cursor_send(taskapi.cursor) IS 'Binary output: the same token';

CREATE TYPE taskapi.cursor (
    INPUT = taskapi.cursor_in, OUTPUT = taskapi.cursor_out,
    RECEIVE = taskapi.cursor_recv, SEND = taskapi.cursor_send,
    INTERNALLENGTH = VARIABLE, STORAGE = extended
);
COMMENT ON TYPE taskapi.cursor IS
    'A position in an order_by: compares in page order, and is a sealed, URL-safe token as text';

CREATE FUNCTION taskapi.cursor_json(taskapi.cursor) RETURNS json
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_json';
COMMENT ON FUNCTION taskapi.cursor_json(taskapi.cursor) IS
    'The token as a JSON string; the cast that row_to_json() and its like use';

CREATE CAST (taskapi.cursor AS json) WITH FUNCTION taskapi.cursor_json(taskapi.cursor);
COMMENT ON CAST (taskapi.cursor AS json) IS 'The token as a JSON string';

CREATE FUNCTION taskapi.cursor_constructor_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_constructor_support';
COMMENT ON FUNCTION taskapi.cursor_constructor_support(internal) IS
    'Planner support of cursor(): refuses a constant order_by that cannot be parsed, and keys that cannot be in a cursor';

-- The constructor and the operators are leakproof, so that they run, and serve an index, ahead of row-level security. They raise
-- for no argument that a row holds: a NULL cursor is what makes none. What no row decides is refused while planning.
--
-- Costs are in comparisons of numbers. Above ten the planner makes what only the rows of a page need after it has sorted
-- and limited them, as is right for a seal. The cursor itself must stay below: a computed field is not inlined where
-- its argument, a row with a cursor in it, costs more than ten, and then no index serves it.
CREATE FUNCTION taskapi.cursor(order_by text, VARIADIC keys "any") RETURNS taskapi.cursor
    LANGUAGE C IMMUTABLE PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_constructor_support
    AS 'MODULE_PATHNAME', 'taskapi_cursor';
COMMENT ON FUNCTION taskapi.cursor(text, "any") IS
    'The cursor of a row: cursor(''created_at DESC, id DESC'', created_at, id), as many keys as order_by has terms; NULL if'
    ' these make none';

CREATE FUNCTION taskapi.cursor_encode(order_by text, VARIADIC keys "any") RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'taskapi_cursor_encode';
COMMENT ON FUNCTION taskapi.cursor_encode(text, "any") IS 'The token of a row: cursor(...)::text';

CREATE FUNCTION taskapi.cursor_decode(token text, OUT "position" int, OUT key text, OUT type regtype,
                                      OUT descending boolean, OUT nulls_first boolean, OUT value text)
    RETURNS SETOF record
    LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 2 AS 'MODULE_PATHNAME', 'taskapi_cursor_decode';
COMMENT ON FUNCTION taskapi.cursor_decode(text) IS
    'What a token says; its signature is checked first';

CREATE FUNCTION taskapi.cursor_value(taskapi.cursor, "position" int, anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_value';
COMMENT ON FUNCTION taskapi.cursor_value(taskapi.cursor, int, anyelement) IS
    'The value of one key, counted from 1; the last argument says its type: cursor_value(c, 1, NULL::timestamptz)';

CREATE FUNCTION taskapi.cursor_key(taskapi.cursor, order_by text, "position" int, anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_key';
COMMENT ON FUNCTION taskapi.cursor_key(taskapi.cursor, text, int, anyelement) IS
    'Internal: cursor_value() as the planner puts it into a row comparison; NULL for a cursor of another order_by';

CREATE FUNCTION taskapi.cursor_check(taskapi.cursor, order_by text, not_null boolean, VARIADIC keys "any") RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_check';
COMMENT ON FUNCTION taskapi.cursor_check(taskapi.cursor, text, boolean, "any") IS
    'True if the cursor is of this order_by over keys of these types (give NULLs), else an error; with not_null, no key may'
    ' be NULL. The planner puts it into WHERE';

CREATE FUNCTION taskapi.cursor_check(taskapi.cursor[], order_by text, not_null boolean, VARIADIC keys "any") RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_check_array';
COMMENT ON FUNCTION taskapi.cursor_check(taskapi.cursor[], text, boolean, "any") IS
    'The same for every element of an array';

CREATE FUNCTION taskapi.cursor_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_support';
COMMENT ON FUNCTION taskapi.cursor_support(internal) IS
    'Planner support: rewrites a comparison with cursor(...) into a row comparison that an ordinary index serves';

CREATE FUNCTION taskapi.cursor_lt(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_lt';
COMMENT ON FUNCTION taskapi.cursor_lt(taskapi.cursor, taskapi.cursor) IS 'Implementation of < operator';

CREATE FUNCTION taskapi.cursor_le(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_le';
COMMENT ON FUNCTION taskapi.cursor_le(taskapi.cursor, taskapi.cursor) IS 'Implementation of <= operator';

CREATE FUNCTION taskapi.cursor_eq(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_eq';
COMMENT ON FUNCTION taskapi.cursor_eq(taskapi.cursor, taskapi.cursor) IS 'Implementation of = operator';

CREATE FUNCTION taskapi.cursor_ne(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_ne';
COMMENT ON FUNCTION taskapi.cursor_ne(taskapi.cursor, taskapi.cursor) IS 'Implementation of <> operator';

CREATE FUNCTION taskapi.cursor_ge(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_ge';
COMMENT ON FUNCTION taskapi.cursor_ge(taskapi.cursor, taskapi.cursor) IS 'Implementation of >= operator';

CREATE FUNCTION taskapi.cursor_gt(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_gt';
COMMENT ON FUNCTION taskapi.cursor_gt(taskapi.cursor, taskapi.cursor) IS 'Implementation of > operator';

-- In pg_catalog, which is always searched: an HTTP layer writes "cursor" > 'token' with a search_path of its own.
CREATE OPERATOR pg_catalog.< (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_lt,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel);
COMMENT ON OPERATOR pg_catalog.< (taskapi.cursor, taskapi.cursor) IS 'comes before, in page order';
CREATE OPERATOR pg_catalog.<= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_le,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel);
COMMENT ON OPERATOR pg_catalog.<= (taskapi.cursor, taskapi.cursor) IS 'comes before or at the same position, in page order';
CREATE OPERATOR pg_catalog.= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_eq,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR pg_catalog.= (taskapi.cursor, taskapi.cursor) IS 'same position';
CREATE OPERATOR pg_catalog.<> (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_ne,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel);
COMMENT ON OPERATOR pg_catalog.<> (taskapi.cursor, taskapi.cursor) IS 'another position';
CREATE OPERATOR pg_catalog.>= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_ge,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel);
COMMENT ON OPERATOR pg_catalog.>= (taskapi.cursor, taskapi.cursor) IS 'comes after or at the same position, in page order';
CREATE OPERATOR pg_catalog.> (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_gt,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel);
COMMENT ON OPERATOR pg_catalog.> (taskapi.cursor, taskapi.cursor) IS 'comes after, in page order';

CREATE FUNCTION taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor) RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_cmp';
COMMENT ON FUNCTION taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor) IS 'Page order: less than, equal to or greater than 0';

CREATE FUNCTION taskapi.cursor_sortsupport(internal) RETURNS void
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_sortsupport';
COMMENT ON FUNCTION taskapi.cursor_sortsupport(internal) IS 'Sort support, with abbreviated keys';

CREATE FUNCTION taskapi.cursor_hash(taskapi.cursor) RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_hash';
COMMENT ON FUNCTION taskapi.cursor_hash(taskapi.cursor) IS 'Hash support';

CREATE FUNCTION taskapi.cursor_hash_extended(taskapi.cursor, bigint) RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_hash_extended';
COMMENT ON FUNCTION taskapi.cursor_hash_extended(taskapi.cursor, bigint) IS 'Hash support, with a seed';

CREATE OPERATOR CLASS taskapi.cursor_ops DEFAULT FOR TYPE taskapi.cursor USING btree AS
    OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
    FUNCTION 1 taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor),
    FUNCTION 2 taskapi.cursor_sortsupport(internal);
COMMENT ON OPERATOR CLASS taskapi.cursor_ops USING btree IS 'Page order';
COMMENT ON OPERATOR FAMILY taskapi.cursor_ops USING btree IS 'Page order';

CREATE OPERATOR CLASS taskapi.cursor_ops DEFAULT FOR TYPE taskapi.cursor USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 taskapi.cursor_hash(taskapi.cursor),
    FUNCTION 2 taskapi.cursor_hash_extended(taskapi.cursor, bigint);
COMMENT ON OPERATOR CLASS taskapi.cursor_ops USING hash IS 'Same position';
COMMENT ON OPERATOR FAMILY taskapi.cursor_ops USING hash IS 'Same position';
