-- Functions that are called once for each Idempotency-Key. C: src/resource/idempotent_function.c

-- The declaration is the function's own setting, so it can as well stand in CREATE FUNCTION ... SET taskapi.idempotent = on. It
-- has to if CREATE OR REPLACE makes the function again. A result whose type only the caller knows (record, without OUT arguments)
-- cannot be stored, and a function that is not VOLATILE has nothing to do twice.
CREATE FUNCTION taskapi.make_idempotent(function regprocedure, idempotent boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found pg_proc := (SELECT p FROM pg_proc p WHERE p.oid = function);
BEGIN
    IF found.oid IS NULL THEN
        RAISE EXCEPTION 'there is no such function' USING ERRCODE = 'undefined_function';
    END IF;
    IF found.prokind <> 'f' THEN
        RAISE EXCEPTION '% is not a function', function USING ERRCODE = 'wrong_object_type';
    END IF;
    IF idempotent AND found.provolatile <> 'v' THEN
        RAISE EXCEPTION 'function % is not VOLATILE, so it has no effect to make once', function
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF idempotent AND found.prorettype = 'record'::regtype
       AND NOT coalesce(found.proargmodes && '{o,b,t}'::"char"[], false) THEN
        RAISE EXCEPTION 'function % returns a record whose columns only its caller defines', function
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Declare them with OUT arguments or RETURNS TABLE.';
    END IF;
    IF idempotent THEN
        EXECUTE format('ALTER FUNCTION %s SET taskapi.idempotent = on', function);
    ELSE
        EXECUTE format('ALTER FUNCTION %s RESET taskapi.idempotent', function);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.make_idempotent(regprocedure, boolean) IS
    'Declares that a function is called once for each Idempotency-Key of its callers: its result is stored and given again. The'
    ' same as ALTER FUNCTION ... SET taskapi.idempotent = on';

CREATE FUNCTION taskapi.statement_returns(view regclass, "column" name) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'taskapi_statement_returns';
COMMENT ON FUNCTION taskapi.statement_returns(regclass, name) IS
    'For an INSTEAD OF INSERT trigger: does the statement that fired it return the column to the client?';
