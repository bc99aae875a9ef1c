-- Default privileges give PUBLIC nothing of ours (90_privileges.sql names what is everybody's), and what runs with the rights of
-- its owner is PUBLIC's only if it looks something up.
SELECT p.oid::regprocedure || ' may be executed by PUBLIC'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE has_function_privilege('public', p.oid, 'EXECUTE')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                        AND d.refobjid <> (SELECT oid FROM pg_extension WHERE extname = 'taskapi'))
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND (n.nspname <> 'taskapi'
         OR p.prosecdef AND p.proname NOT IN ('registered_resource', 'page_function_of', 'is_source', 'resources_of', 'departures_of', 'departures_legible',
                                               'check_publish'))
ORDER BY 1;
