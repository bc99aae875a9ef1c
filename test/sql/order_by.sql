-- The order_by grammar, as the constructor sees it: both spellings, defaults, quoting, and what is refused.
\set SHOW_CONTEXT never
\set VERBOSITY default
-- canonical forms, read back from a token
CREATE FUNCTION pg_temp.terms(order_by text, VARIADIC keys int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token text;
BEGIN
    EXECUTE format('SELECT taskapi.cursor_encode($1, %s)', array_to_string(keys, ', ')) INTO token USING order_by;
    RETURN (SELECT string_agg(key || CASE WHEN descending THEN ' DESC' ELSE ' ASC' END ||
                              CASE WHEN nulls_first THEN ' FIRST' ELSE ' LAST' END, ', ' ORDER BY position)
            FROM taskapi.cursor_decode(token));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS token = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || (token::json ->> 'code') || ': ' || (token::json ->> 'details');
END
$$;
SELECT o, pg_temp.terms(o, 1) FROM (VALUES
    ('a'), ('a asc'), ('a DESC'), ('a Nulls First'), ('a ASC NULLS LAST'), ('a desc nulls last'), ('a DESC NULLS FIRST'),
    ('a.asc'), ('a.desc'), ('a.nullsfirst'), ('a.nullslast'), ('a.asc.nullsfirst'), ('a.DESC.NULLSLAST'), ('a.desc.nullsfirst'),
    (E'  a \t\n DESC \r NULLS \f LAST \x0b '), ('Created_At'), ('"Created_At"'), ('"a ""quoted"" name, with a comma" desc'), ('_x$1'), ('été'), ('"desc" desc'), ('desc desc'),
    (repeat('x', 63))) v (o);
SELECT pg_temp.terms('a.desc, B nulls first,"c"', 1, 2, 3);
-- refused
SELECT o, pg_temp.terms(o, 1) FROM (VALUES
    (''), (' '), (','), ('a,'), (',a'), ('a b'), ('a DESC ASC'), ('a ASC DESC'), ('a NULLS'), ('a NULLS MIDDLE'), ('a FIRST'), ('a DESC NULLS FIRST LAST'),
    ('a.'), ('a.down'), ('a.desc.'), ('a.desc.first'), ('a.desc desc'), ('a .desc'), ('a. desc'), ('a.nullsfirst.desc'), ('a desc.nullslast'), ('schema.a'),
    ('"'), ('"a'), ('""'), ('"a"b'), ('1a'), ('a; DROP TABLE x'), ('a--'), ('a/*b*/'), ('''a'''), ('a''b'), ('$1'), ('(a)'), ('lower(a)'), ('a COLLATE "C"'), ('a USING >'),
    (repeat('x', 64)), ('"' || repeat('x', 64) || '"'), ('a' || chr(1))) v (o);
SELECT pg_temp.terms('a, b, A', 1, 2, 3);
SELECT pg_temp.terms('a, b', 1);
SELECT pg_temp.terms('a', 1, 2);
SELECT pg_temp.terms((SELECT string_agg('c' || i, ',') FROM generate_series(1, 32) i), VARIADIC (SELECT array_agg(i) FROM generate_series(1, 32) i)) LIKE '%, c32 ASC LAST' AS thirty_two;
SELECT pg_temp.terms((SELECT string_agg('c' || i, ',') FROM generate_series(1, 33) i), VARIADIC (SELECT array_agg(i) FROM generate_series(1, 33) i));
SELECT taskapi.cursor(NULL, 1);
-- an order_by out of a row does not show in the error
CREATE TEMP TABLE word AS SELECT 'secret word' AS o;
SELECT taskapi.cursor(o, 1) FROM word;
