-- Who may use a resource: what expose() passes on, and grant_resource(). Each statement is run as the owner of what it is about.

-- The grants on a view or function, but those on some columns, as statements.
CREATE FUNCTION taskapi.grants_on(class regclass, object oid, but name[]) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(format('GRANT %s ON %s TO %s%s', g.privilege, g.name, taskapi.grantee_name(g.grantee),
                                         CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
                                  ORDER BY g.name, g.grantee, g.privilege), '{}')
        FROM (SELECT c.oid::regclass::text AS name, a.privilege_type AS privilege, a.grantee, a.is_grantable
              FROM pg_class c, aclexplode(c.relacl) a WHERE $1 = 'pg_class'::regclass AND c.oid = $2 AND a.grantee <> c.relowner
              UNION ALL
              SELECT c.oid::regclass::text, format('%s (%I)', a.privilege_type, t.attname), a.grantee, a.is_grantable
              FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
              WHERE $1 = 'pg_class'::regclass AND c.oid = $2 AND a.grantee <> c.relowner AND t.attname <> ALL ($3)
              UNION ALL
              SELECT 'FUNCTION ' || p.oid::regprocedure, a.privilege_type, a.grantee, a.is_grantable
              FROM pg_proc p, aclexplode(p.proacl) a WHERE $1 = 'pg_proc'::regclass AND p.oid = $2 AND a.grantee <> p.proowner) g;
    END;
COMMENT ON FUNCTION taskapi.grants_on(regclass, oid, name[]) IS
    'Internal: the grants on a view or function as statements, but those on the given columns';

CREATE FUNCTION taskapi.holds(grantee oid, relation regclass, column_number smallint, privilege text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN $1 = 0 THEN coalesce(has_column_privilege('public', $2, $3, $4), has_table_privilege('public', $2, $4))
               ELSE coalesce(has_column_privilege($1, $2, $3, $4), has_table_privilege($1, $2, $4)) END;
    END;
COMMENT ON FUNCTION taskapi.holds(oid, regclass, smallint, text) IS
    'Internal: whether a grantee of aclexplode() has a privilege on a column, or will have on one that is added';

-- Whoever was granted the resource is granted the columns that it shows since this call, as far as it holds the same privilege on
-- some column of before; and readers the column of deletion, if the view asks for it since this call. What was revoked is not
-- given back.
CREATE FUNCTION taskapi.new_column_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH former AS (SELECT taskapi.shown_columns((($1).former).resource) AS shown)
        SELECT format('GRANT %s (%s) ON %s TO %s', g.privilege_type, string_agg(quote_ident(s.name), ', ' ORDER BY s.attnum),
                      ($1).source, taskapi.grantee_name(g.grantee))
        FROM former f, pg_class c, aclexplode(c.relacl) g, taskapi.source_columns($1) s
        WHERE c.oid = (($1).former).resource AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND g.grantee <> c.relowner
          AND s.attnum <> ALL (f.shown)
          AND (s.attnum IN (SELECT v.source_attnum FROM taskapi.view_columns($1, false) v WHERE v.source_attnum IS NOT NULL)
               OR s.name = ($1).deleted_at_column AND ($1).soft_delete AND NOT (($1).former).soft_delete
                  AND g.privilege_type = 'SELECT')
          AND (g.privilege_type = 'SELECT'
               OR NOT s.generated AND NOT (($1).versioned AND s.name IN ('version', 'updated_at')))
          AND EXISTS (SELECT FROM unnest(f.shown) u WHERE taskapi.holds(g.grantee, ($1).source, u, g.privilege_type))
          AND NOT taskapi.holds(g.grantee, ($1).source, s.attnum, g.privilege_type)
        GROUP BY g.privilege_type, g.grantee ORDER BY g.grantee, g.privilege_type;
    END;
COMMENT ON FUNCTION taskapi.new_column_grants(taskapi.wanted_resource) IS
    'Internal: grant the columns that a resource shows since this call to those who were granted the resource';

-- What was granted on the views and the page function, before they are made again; columns by the names that they will have.
CREATE FUNCTION taskapi.remade_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH views AS (
            SELECT v.view, v.place
            FROM (VALUES ((($1).former).resource, 1),
                         (CASE WHEN ($1).soft_delete THEN (($1).former).deleted_resource END, 2)) v (view, place))
        SELECT s.statement
        FROM (SELECT v.place, 0, g.statement
              FROM views v, LATERAL unnest(taskapi.grants_on('pg_class', v.view, ARRAY(
                       SELECT a.attname FROM pg_attribute a WHERE a.attrelid = v.view))) g (statement)
              UNION ALL
              SELECT v.place, 1, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, coalesce(s.name, c.name), v.view,
                                        taskapi.grantee_name(g.grantee), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
              FROM views v JOIN pg_class r ON r.oid = v.view CROSS JOIN LATERAL taskapi.resource_columns(v.view) c
              JOIN pg_attribute a ON a.attrelid = v.view AND a.attname = c.name
              LEFT JOIN taskapi.source_columns($1) s ON s.attnum = c.source_attnum CROSS JOIN LATERAL aclexplode(a.attacl) g
              WHERE c.name <> ALL (($1).leaving) AND g.grantee <> r.relowner
              UNION ALL
              SELECT 3, v.place, g.statement
              FROM views v, LATERAL unnest(taskapi.grants_on('pg_proc', taskapi.page_function_of(v.view), '{}')) g (statement)
             ) s (place, part, statement)
        ORDER BY s.place, s.part, s.statement;
    END;
COMMENT ON FUNCTION taskapi.remade_grants(taskapi.wanted_resource) IS
    'Internal: the grants on the views and the page function of a resource that are made again';

-- Whoever was granted the resource was granted the columns of the table: those that leave the resource are taken back.
CREATE FUNCTION taskapi.revoke_statements(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('REVOKE %s (%I) ON %s FROM %s', t.privilege_type, a.attname, ($1).source, taskapi.grantee_name(t.grantee))
        FROM pg_attribute a, aclexplode(a.attacl) t
        WHERE a.attrelid = ($1).source AND a.attname = ANY (($1).leaving)
          AND coalesce(col_description(a.attrelid, a.attnum), '') LIKE '@private%'
          AND t.grantee IN (SELECT g.grantee FROM pg_class c, aclexplode(c.relacl) g
                            WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND g.grantee <> c.relowner)
        ORDER BY a.attnum, t.grantee, t.privilege_type;
    END;
COMMENT ON FUNCTION taskapi.revoke_statements(taskapi.wanted_resource) IS
    'Internal: take the columns that are private since from those who were granted the resource';

-- What a reader reads of the departures: whatever else stands there is for policies.
CREATE FUNCTION taskapi.told_columns(source regclass, scopes text[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ', taskapi_stamp'
        FROM pg_attribute a
        WHERE a.attrelid = $1 AND (a.attname = ANY (taskapi.key_columns($1))
                                   OR a.attname IN (SELECT taskapi.scope_column(s) FROM unnest($2) s));
    END;
COMMENT ON FUNCTION taskapi.told_columns(regclass, text[]) IS
    'Internal: the columns of a table''s departures that readers are granted, as a list';

-- What each action grants, as statements: a table of docs/security.md. The views run with their caller's privileges, so the same
-- columns are granted of the table. To restore or purge a row one has to be able to name it, which read_deleted lets.
CREATE FUNCTION taskapi.resource_grants(entry taskapi.resource, action text) RETURNS TABLE (relation regclass, privilege text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH list AS (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS shown,
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (
                       WHERE a.attgenerated = '' AND NOT (($1).versioned AND a.attname IN ('version', 'updated_at'))) AS written,
                   -- by which of its names a client may restore
                   (SELECT string_agg(quote_ident(c.name), ', ')
                    FROM taskapi.resource_columns(($1).deleted_resource) c
                    JOIN pg_attribute d ON d.attrelid = ($1).source AND d.attnum = c.source_attnum
                    WHERE d.attname = ($1).deleted_at_column) AS restored
            FROM pg_attribute a
            WHERE a.attrelid = ($1).source AND a.attnum = ANY (taskapi.shown_columns(($1).resource)))
        SELECT g.relation, g.privilege
        FROM list, LATERAL (VALUES
            ('read',         ($1).resource,         'SELECT'),
            ('read',         ($1).source,           format('SELECT (%s)', list.shown)),
            -- which the view of the live rows asks for
            ('read',         ($1).source,           CASE WHEN ($1).soft_delete
                                                    THEN format('SELECT (%I)', ($1).deleted_at_column) END),
            ('read',         ($1).source,           CASE WHEN ($1).changes THEN 'SELECT (changed)' END),
            ('read',         ($1).departures,       CASE WHEN ($1).changes AND ($1).departures IS NOT NULL THEN
                                                    format('SELECT (%s)', taskapi.told_columns(($1).source,
                                                                                               ARRAY[($1).scope])) END),
            ('read_deleted', ($1).deleted_resource, 'SELECT'),
            ('read_deleted', ($1).source,           format('SELECT (%s, %I, deletion_id)', list.shown, ($1).deleted_at_column)),
            ('create',       ($1).resource,         'INSERT'),
            ('create',       ($1).source,           format('INSERT (%s)', list.written)),
            ('update',       ($1).resource,         'UPDATE'),
            ('update',       ($1).source,           format('UPDATE (%s)', list.written)),
            ('delete',       ($1).resource,         'DELETE'),
            ('delete',       ($1).source,           'DELETE'),
            -- to restore needs the right to update the row, though no column that the client could set
            ('restore',      ($1).deleted_resource, format('UPDATE (%s)', list.restored)),
            ('restore',      ($1).source,           format('UPDATE (%I)', CASE WHEN ($1).versioned THEN 'updated_at'
                                                                               ELSE ($1).deleted_at_column END)),
            ('purge',        ($1).deleted_resource, 'DELETE'),
            ('purge',        ($1).source,           'DELETE')) g (action, relation, privilege)
        WHERE g.privilege IS NOT NULL AND (g.action = $2 OR g.action = 'read_deleted' AND $2 IN ('restore', 'purge'));
    END;
COMMENT ON FUNCTION taskapi.resource_grants(taskapi.resource, text) IS
    'Internal: the privileges on tables and views that an action on a resource takes';

-- grant_resource(resource, grantee, actions): grants a role some of read, read_deleted, create, update, delete, restore and purge
-- on a resource, with USAGE of the two schemas. read is of the live rows alone. Policies still apply. The caller must have the
-- rights of the owner of the views and of the table.
CREATE FUNCTION taskapi.grant_resource(resource regclass, grantee regrole, actions text[] DEFAULT '{read,create,update,delete}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry   CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    unknown text;
    owned   name;
    target  record;
BEGIN
    IF entry.resource IS NULL THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    IF grantee IS NULL OR actions IS NULL THEN
        RAISE EXCEPTION 'grantee and actions must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee) THEN
        RAISE EXCEPTION 'role % does not exist', grantee USING ERRCODE = 'undefined_object';
    END IF;
    SELECT a INTO unknown FROM unnest(actions) a
    WHERE a IS NULL OR a NOT IN ('read', 'read_deleted', 'create', 'update', 'delete', 'restore', 'purge') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unrecognized action "%"', coalesce(unknown, 'null')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Actions are read, read_deleted, create, update, delete, restore and purge.';
    END IF;
    IF actions && '{read_deleted,restore,purge}' AND entry.deleted_resource IS NULL THEN
        RAISE EXCEPTION 'resource % has no deleted rows to read, restore or purge', entry.resource
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT c.relname INTO owned FROM pg_class c
    WHERE c.oid IN (entry.resource, entry.source) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'must be owner of %', owned USING ERRCODE = 'insufficient_privilege';
    END IF;

    -- of the table's schema too: statements on the table are parsed as the caller
    FOR target IN
        SELECT DISTINCT n.nspname AS name,
               -- or as the caller, who may have been granted it WITH GRANT OPTION
               CASE WHEN pg_has_role(n.nspowner, 'USAGE') THEN n.nspowner ELSE me.oid END::regrole AS grantor
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles me
        WHERE c.oid IN (entry.resource, entry.source) AND NOT has_schema_privilege(grantee, n.oid, 'USAGE')
          AND me.rolname = current_user
        ORDER BY 1
    LOOP
        PERFORM taskapi.run_as(target.grantor, format('GRANT USAGE ON SCHEMA %I TO %s', target.name, grantee));
    END LOOP;
    FOR target IN
        SELECT DISTINCT g.relation, g.privilege FROM unnest(actions) a, taskapi.resource_grants(entry, a) g ORDER BY 1, 2
    LOOP
        PERFORM taskapi.run_as(taskapi.owner_of(target.relation),
                               format('GRANT %s ON %s TO %s', target.privilege, target.relation, grantee));
    END LOOP;
    FOR target IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner FROM pg_proc p
        WHERE 'read' = ANY (actions) AND p.oid IN (taskapi.page_function_of(entry.resource),
                                                   taskapi.changes_function_of(entry.resource))
           OR actions && '{read_deleted,restore,purge}' AND p.oid = taskapi.page_function_of(entry.deleted_resource)
    LOOP
        PERFORM taskapi.run_as(target.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', target.function, grantee));
    END LOOP;
    IF 'create' = ANY (actions) THEN
        -- Of serial columns, whose default is the caller's to compute. A default may name a sequence of any other role, which
        -- the owner of the table has no say over.
        FOR target IN
            SELECT DISTINCT d.refobjid::regclass AS sequence, c.relowner = taskapi.owner_of(entry.source) AS own
            FROM pg_attrdef a
            JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
            WHERE a.adrelid = entry.source ORDER BY 1
        LOOP
            IF target.own THEN
                PERFORM taskapi.run_as(taskapi.owner_of(entry.source),
                                       format('GRANT USAGE ON SEQUENCE %s TO %s', target.sequence, grantee));
            ELSE
                RAISE NOTICE 'sequence % does not belong to the owner of table %, and is not granted',
                    target.sequence, entry.source
                    USING HINT = format('A default needs the privilege: GRANT USAGE ON SEQUENCE %s TO %s.',
                                        target.sequence, grantee);
            END IF;
        END LOOP;
    END IF;
    -- a layer shows each role what it may do
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.grant_resource(regclass, regrole, text[]) IS
    'Grants a role some of read, read_deleted, create, update, delete, restore, purge on a resource; policies still apply';
