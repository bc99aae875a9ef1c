-- Migrations: changes of a table that has resources, while they are served.

-- run_ddl(command, lock_timeout, give_up_after): runs a command that takes strong locks, as the caller and under the caller's
-- settings. A try waits for a lock for lock_timeout, so nobody waits longer behind it; if the lock is not to be had, its
-- transaction is rolled back, which gives back what it locked, and after a pause (up to ten times lock_timeout, of random length)
-- comes the next, until give_up_after has passed. A NOTICE says how many tries it took and how long locks were held.
--
-- Errors: 2D000 in a transaction block or a function, or for BEGIN, COMMIT and their kin; 42601 for none or several commands;
-- 25001 for what cannot run in a transaction, such as CREATE INDEX CONCURRENTLY; 55P03 after the last try. Any other error of
-- the command's ends it at once.
CREATE PROCEDURE taskapi.run_ddl(command text, lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_run_ddl';
COMMENT ON PROCEDURE taskapi.run_ddl(text, interval, interval) IS
    'Runs a command that takes strong locks, in tries that wait for a short time, so that no queue forms behind it';

-- expose_online(source, ..., lock_timeout, give_up_after): expose() as run_ddl() runs it. It has no search_path of its own, since
-- a procedure that has any setting cannot end a transaction.
CREATE PROCEDURE taskapi.expose_online(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                                       order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL,
                                       versioned boolean DEFAULT NULL, idempotent boolean DEFAULT NULL,
                                       changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                                       publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL,
                                       lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE plpgsql
AS $$
BEGIN
    CALL taskapi.run_ddl(
        pg_catalog.format('SELECT taskapi.expose(%s::pg_catalog.oid, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)',
                          source::pg_catalog.oid, api_schema, resource, order_by, soft_delete, versioned, idempotent,
                          changes, scope, publish, deleted_at_column),
        lock_timeout, give_up_after);
END
$$;
COMMENT ON PROCEDURE taskapi.expose_online(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name,
                                           interval, interval) IS
    'expose() for a table that is in use: in tries that wait for locks for a short time, each a transaction of its own';

-- What was taken from the owner of a view or function, who has every privilege on what is made afresh.
CREATE FUNCTION taskapi.revokes_on(class regclass, object oid) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('REVOKE %s ON %s FROM %s', string_agg(d.privilege_type, ', ' ORDER BY d.privilege_type), o.name,
                      taskapi.grantee_name(o.owner))
        FROM (SELECT 'r'::"char" AS kind, c.relowner AS owner, c.relacl AS acl, c.oid::regclass::text AS name
              FROM pg_class c WHERE $1 = 'pg_class'::regclass AND c.oid = $2
              UNION ALL
              SELECT 'f'::"char" AS kind, p.proowner AS owner, p.proacl AS acl, 'FUNCTION ' || p.oid::regprocedure AS name
              FROM pg_proc p WHERE $1 = 'pg_proc'::regclass AND p.oid = $2) o,
             aclexplode(acldefault(o.kind, o.owner)) d
        WHERE o.acl IS NOT NULL AND d.grantee = o.owner
          AND NOT EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = o.owner AND a.privilege_type = d.privilege_type)
        GROUP BY o.name, o.owner;
    END;
COMMENT ON FUNCTION taskapi.revokes_on(regclass, oid) IS
    'Internal: the privileges of its own that the owner of a view or function lacks, as statements';

-- Comments that expose() did not write: it repeats those of the table, and its own begin with the same words.
CREATE FUNCTION taskapi.own_comments(view regclass, source regclass) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('COMMENT ON VIEW %s IS %L', $1, v.comment)
        FROM (SELECT obj_description($1, 'pg_class') AS comment) v
        WHERE NOT starts_with(v.comment, coalesce(obj_description($2, 'pg_class'), 'Rows of ' || $2))
        UNION ALL
        (SELECT format('COMMENT ON COLUMN %s.%I IS %L', $1, a.attname, col_description($1, a.attnum))
         FROM pg_attribute a LEFT JOIN pg_attribute s ON s.attrelid = $2 AND s.attname = a.attname AND NOT s.attisdropped
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
           AND CASE WHEN a.attname = 'cursor' THEN NOT starts_with(col_description($1, a.attnum), 'Where the row stands in ')
                    ELSE col_description($1, a.attnum) IS DISTINCT FROM col_description($2, s.attnum) END
         ORDER BY a.attnum);
    END;
COMMENT ON FUNCTION taskapi.own_comments(regclass, regclass) IS
    'Internal: the comments on a resource''s view that expose() did not write, as statements';

-- The function that answers with pages of a view of a resource; NULL if there is none.
CREATE FUNCTION taskapi.page_function_over(view regclass) RETURNS regprocedure
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_class c JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proargtypes = taskapi.page_arguments()
        WHERE c.oid = $1 AND (p.proname = c.relname || '_page'
                              OR EXISTS (SELECT FROM taskapi.registered_resource($1) r
                                         WHERE r.resource = $1 AND r.page_function = p.proname))
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1)
        ORDER BY p.oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.page_function_over(regclass) IS 'Internal: the page function of one of the two views of a resource';

-- Grants a role, or PUBLIC for NULL, the columns of the table that a resource shows, but those that it lacked before: as
-- expose() grants what a table got since, after a time in which there was no resource.
CREATE FUNCTION taskapi.grant_shown_columns(resource regclass, grantee regrole, privilege text, but name[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    list  text;
BEGIN
    IF entry.resource IS NULL OR but IS NULL OR coalesce(privilege, '') NOT IN ('SELECT', 'INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'a resource, SELECT, INSERT or UPDATE, and a list of columns must be given'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO list
    FROM pg_attribute a
    WHERE a.attrelid = entry.source AND a.attnum = ANY (taskapi.shown_columns(entry.resource)) AND a.attname <> ALL (but)
      AND (privilege = 'SELECT' OR a.attgenerated = '' AND NOT (entry.versioned AND a.attname IN ('version', 'updated_at')))
      AND NOT taskapi.holds(coalesce(grantee::oid, 0), entry.source, a.attnum, privilege);
    IF list IS NOT NULL THEN
        PERFORM taskapi.run_as(taskapi.owner_of(entry.source),
                               format('GRANT %s (%s) ON %s TO %s', privilege, list, entry.source,
                                      taskapi.grantee_name(coalesce(grantee::oid, 0))));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.grant_shown_columns(regclass, regrole, text, name[]) IS
    'Internal: grants a role the columns of its table that a resource shows, but the given ones';

-- Whoever was granted a view holds the same privilege on columns of the table, as statements that hold for any columns.
CREATE FUNCTION taskapi.column_grants_of(entry taskapi.resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('SELECT taskapi.grant_shown_columns(%L, %L, %L, %L)', ($1).resource,
                      CASE WHEN h.grantee <> 0 THEN h.grantee::regrole END, h.privilege, h.lacked)
        FROM (SELECT g.grantee, g.privilege_type AS privilege, count(*) FILTER (WHERE held.held) AS columns,
                     coalesce(array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE NOT held.held), '{}') AS lacked
              FROM pg_class c, aclexplode(c.relacl) g, pg_attribute a,
                   LATERAL (SELECT taskapi.holds(g.grantee, ($1).source, a.attnum, g.privilege_type) AS held) held
              WHERE c.oid = ($1).resource AND g.grantee <> c.relowner
                AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.attrelid = ($1).source
                AND a.attnum = ANY (taskapi.shown_columns(($1).resource))
              GROUP BY g.grantee, g.privilege_type) h
        WHERE h.columns > 0
        ORDER BY h.grantee, h.privilege;
    END;
COMMENT ON FUNCTION taskapi.column_grants_of(taskapi.resource) IS
    'Internal: the privileges on columns that go with those on a resource''s view, as statements';

-- resource_ddl(resource) -> statements
--
-- What makes a resource again, after unexpose() and whatever the table needed: expose() with every choice, then owners,
-- privileges, comments and triggers that were given to its views and functions by hand. Statements end with a semicolon; each
-- holds by itself, so that one about a column that is gone can be left out. Privileges on the table are the table's, and
-- unexpose() leaves them; columns that it gets meanwhile are granted as expose() would have.
-- Errors: 42809 for what is no resource.
CREATE FUNCTION taskapi.resource_ddl(resource regclass) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    entry CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    owner CONSTANT regrole := taskapi.owner_of(entry.source);
    view  record;
    page  regprocedure;
BEGIN
    IF entry.resource IS NULL OR owner IS NULL THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    -- whatever expose() is asked by the name of a column of the registry
    RETURN QUERY
        SELECT format('SELECT taskapi.expose(%L, api_schema => %L, resource => %L%s);', entry.source, n.nspname, c.relname,
                      string_agg(format(', %I => %L', e.key, e.value), '' ORDER BY a.place))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, jsonb_each_text(to_jsonb(entry)) e
        JOIN (SELECT p.arg, p.place FROM pg_proc f, unnest(f.proargnames) WITH ORDINALITY p (arg, place)
              WHERE f.proname = 'expose' AND f.pronamespace = 'taskapi'::regnamespace) a
             ON a.arg = e.key AND a.arg NOT IN ('source', 'resource')
        WHERE c.oid = entry.resource AND e.value IS NOT NULL
        GROUP BY n.nspname, c.relname;
    FOR view IN
        SELECT c.oid::regclass AS name, c.relowner::regrole AS owner
        FROM unnest(ARRAY[entry.resource, entry.deleted_resource]) WITH ORDINALITY v (oid, place) JOIN pg_class c ON c.oid = v.oid
        ORDER BY v.place
    LOOP
        IF view.owner <> owner THEN
            RETURN NEXT format('ALTER VIEW %s OWNER TO %s;', view.name, view.owner);
        END IF;
        RETURN QUERY SELECT s || ';' FROM taskapi.revokes_on('pg_class', view.name) s;
        RETURN QUERY SELECT s || ';' FROM unnest(taskapi.grants_on('pg_class', view.name, '{}')) s;
        RETURN QUERY SELECT s || ';' FROM taskapi.own_comments(view.name, entry.source) s;
        RETURN QUERY
            SELECT pg_get_triggerdef(t.oid) || ';' FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = view.name AND NOT t.tgisinternal AND p.pronamespace <> 'taskapi'::regnamespace ORDER BY t.tgname;
        page := taskapi.page_function_over(view.name);
        CONTINUE WHEN page IS NULL;
        RETURN QUERY
            SELECT format('ALTER FUNCTION %s OWNER TO %s;', page, p.proowner::regrole)
            FROM pg_proc p WHERE p.oid = page AND p.proowner <> owner;
        RETURN QUERY SELECT s || ';' FROM taskapi.revokes_on('pg_proc', page) s;
        RETURN QUERY SELECT s || ';' FROM unnest(taskapi.grants_on('pg_proc', page, '{}')) s;
        RETURN QUERY
            SELECT format('COMMENT ON FUNCTION %s IS %L;', page, obj_description(page, 'pg_proc'))
            WHERE NOT starts_with(obj_description(page, 'pg_proc'), 'A page of ');
    END LOOP;
    RETURN QUERY
        SELECT s || ';' FROM taskapi.changes_function_of(entry.resource) f,
             LATERAL (SELECT taskapi.revokes_on('pg_proc', f)
                      UNION ALL
                      SELECT unnest(taskapi.grants_on('pg_proc', f, '{}'))) g (s)
        WHERE f IS NOT NULL;
    RETURN QUERY SELECT s || ';' FROM taskapi.column_grants_of(entry) s;
END
$$;
COMMENT ON FUNCTION taskapi.resource_ddl(regclass) IS
    'The statements that make a resource again after unexpose(): with its choices, owners, privileges and comments';
