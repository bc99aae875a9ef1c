-- The result of an idempotent function is taken for what it is: its type may be altered while it is called, by the function too.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT taskapi.current_subject(); -- loads the library, whose setting may be anybody's then
CREATE ROLE regress_types_owner;
CREATE SCHEMA types AUTHORIZATION regress_types_owner;
SET ROLE regress_types_owner;
CREATE TYPE types.pair AS (a int8, b int8);
CREATE TABLE types.row (a int8, b int8);
CREATE FUNCTION types.alter(relation text, type text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(CASE relation WHEN 'row' THEN 'ALTER TABLE types.%I ALTER COLUMN a TYPE %s USING NULL' ELSE 'ALTER TYPE types.%I ALTER ATTRIBUTE a TYPE %s' END, relation, type);
    RETURN 1;
END $$;
-- The number is, where a text is expected, the header of one of 1 GB.
CREATE FUNCTION types.pair(type text DEFAULT NULL) RETURNS types.pair LANGUAGE plpgsql SET taskapi.idempotent = on AS $$
DECLARE
    result record;
BEGIN
    PERFORM types.alter('pair', type) WHERE type IS NOT NULL;
    EXECUTE CASE type WHEN 'text' THEN 'SELECT ROW(''a text of some length'', 1)::types.pair AS row' ELSE 'SELECT ROW(8070450532247928828, 2)::types.pair AS row' END INTO result;
    RETURN result.row;
END $$;
CREATE FUNCTION types.row(type text DEFAULT NULL) RETURNS types.row LANGUAGE plpgsql SET taskapi.idempotent = on AS $$
DECLARE
    result record;
BEGIN
    PERFORM types.alter('row', type) WHERE type IS NOT NULL;
    EXECUTE CASE type WHEN 'text' THEN 'SELECT ROW(''a text of some length'', 1)::types.row AS row' ELSE 'SELECT ROW(8070450532247928828, 2)::types.row AS row' END INTO result;
    RETURN result.row;
END $$;
CREATE FUNCTION types.several(behind int DEFAULT 0) RETURNS SETOF types.pair LANGUAGE plpgsql SET taskapi.idempotent = on AS
    $$ BEGIN RETURN QUERY EXECUTE 'SELECT 8070450532247928828, 3::int8 FROM generate_series(1, 2)'; END $$;
CREATE FUNCTION types.next() RETURNS SETOF types.pair LANGUAGE plpgsql SET taskapi.idempotent = on AS $$
DECLARE
    row types.pair;
BEGIN
    row.a := 8070450532247928828;
    RETURN NEXT row;
    PERFORM types.alter('pair', 'text');
END $$;
RESET ROLE;
-- Runs it in a request, again with the same key, and says what came of both.
CREATE FUNCTION public.call(statement text, before text DEFAULT 'SELECT', OUT first text, OUT again text, OUT stored int) LANGUAGE plpgsql AS $$
DECLARE
    sent text := taskapi.uuidv7();
BEGIN
    SET LOCAL ROLE regress_types_owner;
    PERFORM set_config('request.method', 'POST', true), set_config('request.path', '/rpc/' || substring(statement FROM 'types\.(pair|row|several|next|left|all_left|each_left)\('), true), set_config('response.headers', '', true),
        set_config('request.headers', format('{"idempotency-key": "%s"}', sent), true), set_config('request.jwt.claims', '{"sub": "a"}', true), taskapi.current_subject();
    BEGIN
        EXECUTE before;
        EXECUTE statement INTO first;
    EXCEPTION WHEN OTHERS THEN
        first := concat_ws(' ', SQLSTATE, SQLERRM);
    END;
    RESET ROLE;
    stored := (SELECT count(*) FROM taskapi.idempotency_key k WHERE k.key = sent);
    SET LOCAL ROLE regress_types_owner;
    IF stored > 0 THEN
        EXECUTE statement INTO again;
    END IF;
    RESET ROLE;
    PERFORM types.alter('pair', 'int8'), types.alter('row', 'int8');
END $$;
-- As it is.
SELECT * FROM public.call('SELECT types.pair()');
SELECT * FROM public.call('SELECT string_agg(s::text, '' '') FROM types.several() s');
-- By the function.
SELECT * FROM public.call('SELECT types.pair(''text'')');
SELECT * FROM public.call('SELECT types.pair(''int8'')', 'SELECT types.alter(''pair'', ''text'')');
SELECT * FROM public.call('SELECT types.row(''text'')');
SELECT * FROM public.call('SELECT types.row(''int8'')', 'SELECT types.alter(''row'', ''text'')');
SELECT * FROM public.call('SELECT count(*) FROM types.next()');
-- By what the statement calls after it has said of which type rows are expected.
SELECT * FROM public.call('SELECT string_agg(s::text, '' '') FROM types.alter(''pair'', ''text'') x, types.several(x) s');
SELECT * FROM public.call('SELECT string_agg(s::text, '' '') FROM types.alter(''pair'', ''int4'') x, types.several(x) s');
-- A column that was dropped is no other type.
ALTER TYPE types.pair ADD ATTRIBUTE c text, DROP ATTRIBUTE b;
ALTER TABLE types.row DROP COLUMN b, ADD COLUMN c text;
SET ROLE regress_types_owner;
CREATE FUNCTION types.left() RETURNS types.row LANGUAGE sql SET taskapi.idempotent = on AS $$ SELECT 1::int8, 'left' $$;
CREATE FUNCTION types.all_left() RETURNS SETOF types.pair LANGUAGE sql SET taskapi.idempotent = on AS $$ SELECT n, 'left' FROM generate_series(1::int8, 2) n $$;
CREATE FUNCTION types.each_left() RETURNS SETOF types.row LANGUAGE plpgsql SET taskapi.idempotent = on AS $$ BEGIN RETURN QUERY SELECT n, 'left' FROM generate_series(1::int8, 2) n; END $$;
RESET ROLE;
SELECT * FROM public.call('SELECT types.left()');
SELECT * FROM public.call('SELECT string_agg(s::text, '' '') FROM types.all_left() s');
SELECT * FROM public.call('SELECT string_agg(s::text, '' '') FROM types.each_left() s');
SELECT * FROM public.call('SELECT max(s::text) FROM (SELECT types.all_left() AS s) t');
DELETE FROM taskapi.idempotency_key;
DROP SCHEMA types CASCADE;
DROP FUNCTION public.call;
DROP ROLE regress_types_owner;
