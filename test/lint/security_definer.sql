-- A SECURITY DEFINER function runs with its owner's rights, so its caller's search_path must not choose what it calls.
SELECT p.oid::regprocedure || ' is SECURITY DEFINER with ' || coalesce(array_to_string(p.proconfig, ', '), 'no search_path')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
ORDER BY 1;
