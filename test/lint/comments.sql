-- Every object of the extension that a COMMENT can stand on, and every table, view and function of the task API.
SELECT d.object || ' has no comment'
FROM (
    SELECT pg_describe_object(classid, objid, 0) AS object, classid, objid
    FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'taskapi') AND deptype = 'e'
    UNION ALL
    SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0), 'pg_trigger'::regclass, t.oid
    FROM pg_trigger t JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.tgrelid AND d.deptype = 'e'
    WHERE NOT t.tgisinternal AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'taskapi')
    UNION ALL
    -- the task API's own, and what expose() made
    SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), 'pg_class'::regclass, c.oid
    FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ('tasks', 'api')
    UNION ALL
    SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0), 'pg_proc'::regclass, p.oid
    FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('tasks', 'api')
) d
WHERE NOT EXISTS (SELECT FROM pg_description c WHERE c.classoid = d.classid AND c.objoid = d.objid AND c.objsubid = 0)
    -- the row and array types of tables, and what a type, family or class brings along
    AND NOT EXISTS (SELECT FROM pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid
                        AND (t.typelem <> 0 OR t.typrelid <> 0 AND (SELECT relkind FROM pg_class WHERE oid = t.typrelid) <> 'c'))
    AND d.classid NOT IN ('pg_amop'::regclass, 'pg_amproc'::regclass, 'pg_cast'::regclass)
    AND NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('i', 't', 'S', 'c'))
ORDER BY 1;
