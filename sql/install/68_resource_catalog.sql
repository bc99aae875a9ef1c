-- What a layer can ask: the resources, as far as the asking role may use them.

-- A view runs with its caller's rights, and takes them for each column of the table that it names, whichever are asked for.
CREATE FUNCTION taskapi.may_read_view(view regclass, source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(has_any_column_privilege($1, 'SELECT') AND has_any_column_privilege($2, 'SELECT'), false)
               AND NOT EXISTS (SELECT FROM pg_rewrite w
                               JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                                   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $2 AND d.refobjsubid > 0
                               WHERE w.ev_class = $1 AND NOT has_column_privilege($2, d.refobjsubid::int2, 'SELECT'));
    END;
COMMENT ON FUNCTION taskapi.may_read_view(regclass, regclass) IS
    'Internal: whether the current role may read a view of a resource, apart from the schema';

-- Row-level security lets nothing be written that no permissive policy is about: every such statement of the role is refused.
-- Which rows a policy is about is not asked.
CREATE FUNCTION taskapi.some_policy(source regclass, command "char") RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT NOT row_security_active($1::oid)
               OR EXISTS (SELECT FROM pg_policy p
                          WHERE p.polrelid = $1 AND p.polpermissive AND p.polcmd IN ('*', $2)
                            AND (0::oid = ANY (p.polroles)
                                 OR EXISTS (SELECT FROM unnest(p.polroles) r (role) WHERE pg_has_role(r.role, 'USAGE'))));
    END;
COMMENT ON FUNCTION taskapi.some_policy(regclass, "char") IS
    'Internal: whether row-level security of a table may let the current role do a (insert), w (update) or d (delete)';

-- What the current role may do with a resource: the actions of grant_resource(), each if it holds the privileges on at least one
-- column, and if a policy is about it.
CREATE FUNCTION taskapi.resource_actions(entry taskapi.resource) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(a.action ORDER BY a.place), '{}')
        FROM (SELECT v.oid AS view, d.oid AS trash, t.oid AS source, a.attnum AS restored, m.attnum AS mark,
                     has_schema_privilege(v.relnamespace, 'USAGE') AS reached,
                     -- a statement on the table is parsed as the caller
                     has_schema_privilege(v.relnamespace, 'USAGE') AND has_schema_privilege(t.relnamespace, 'USAGE') AS written
              FROM pg_class v JOIN pg_class t ON t.oid = ($1).source
              LEFT JOIN pg_class d ON d.oid = ($1).deleted_resource
              LEFT JOIN pg_attribute a ON a.attrelid = t.oid
                  AND a.attname = CASE WHEN ($1).versioned THEN 'updated_at' ELSE ($1).deleted_at_column END
              -- by number: of a name that the owner has changed, PostgreSQL raises an error, for whoever asks for any resource
              LEFT JOIN pg_attribute m ON m.attrelid = d.oid AND m.attname = ($1).deleted_at_column
              WHERE v.oid = ($1).resource AND v.relkind = 'v') r,
        LATERAL (VALUES
            (1, 'read', reached AND taskapi.may_read_view(view, source)),
            (2, 'read_deleted', reached AND taskapi.may_read_view(trash, source)),
            (3, 'create', written AND has_any_column_privilege(view, 'INSERT') AND has_any_column_privilege(source, 'INSERT')
                           AND taskapi.some_policy(source, 'a')),
            (4, 'update', written AND has_any_column_privilege(view, 'UPDATE') AND has_any_column_privilege(source, 'UPDATE')
                           AND taskapi.some_policy(source, 'w')),
            (5, 'delete', written AND has_table_privilege(view, 'DELETE') AND has_table_privilege(source, 'DELETE')
                           AND taskapi.some_policy(source, 'd')),
            (6, 'restore', written AND has_column_privilege(trash, mark, 'UPDATE')
                           AND has_column_privilege(source, restored, 'UPDATE')
                           AND taskapi.some_policy(source, 'w')),
            (7, 'purge', written AND has_table_privilege(trash, 'DELETE') AND has_table_privilege(source, 'DELETE')
                           AND taskapi.some_policy(source, 'd')))
            a (place, action, allowed)
        WHERE a.allowed;
    END;
COMMENT ON FUNCTION taskapi.resource_actions(taskapi.resource) IS
    'Internal: which of read, read_deleted, create, update, delete, restore and purge the current role may do with a resource';

-- The columns of a resource that the current role may read or write, in their order.
CREATE FUNCTION taskapi.describe_columns(entry taskapi.resource) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH resource AS (
            SELECT has_schema_privilege(t.relnamespace, 'USAGE') AS written, taskapi.may_read_view(($1).resource, t.oid) AS shown,
                   taskapi.some_policy(t.oid, 'a') AS made, taskapi.some_policy(t.oid, 'w') AS changed
            FROM pg_class t WHERE t.oid = ($1).source
        ), described AS (
            SELECT v.attnum, v.attname, v.atttypid, v.atttypmod,
                   w.shown AND has_column_privilege(($1).resource, v.attnum, 'SELECT') AS readable,
                   s.attnum IS NULL OR s.attgenerated <> '' OR s.attidentity = 'a'
                       OR ($1).versioned AND s.attname IN ('version', 'updated_at') AS generated,
                   w.written AND w.made AND has_column_privilege(($1).resource, v.attnum, 'INSERT')
                       AND coalesce(has_column_privilege(($1).source, s.attnum, 'INSERT'), false) AS insertable,
                   w.written AND w.changed AND has_column_privilege(($1).resource, v.attnum, 'UPDATE')
                       AND coalesce(has_column_privilege(($1).source, s.attnum, 'UPDATE'), false) AS updatable,
                   s.attnotnull OR y.typnotnull AS never_null,
                   s.atthasdef OR s.attidentity <> '' OR v.atthasdef OR y.typdefault IS NOT NULL AS filled,
                   col_description(($1).resource, v.attnum) AS comment
            FROM resource w, pg_attribute v
            JOIN pg_type y ON y.oid = v.atttypid
            LEFT JOIN pg_attribute s ON s.attrelid = ($1).source AND s.attname = v.attname AND s.attnum > 0
            WHERE v.attrelid = ($1).resource AND v.attnum > 0 AND NOT v.attisdropped)
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', d.attname, 'type', format_type(d.atttypid, d.atttypmod), 'readable', d.readable,
                   'insertable', d.insertable AND NOT d.generated, 'updatable', d.updatable AND NOT d.generated,
                   'required', NOT d.generated AND d.never_null AND NOT d.filled,
                   'generated', d.generated, 'nullable', NOT coalesce(d.never_null, false),
                   'description', d.comment) ORDER BY d.attnum), '[]')
        FROM described d WHERE d.readable OR d.insertable AND NOT d.generated OR d.updatable AND NOT d.generated;
    END;
COMMENT ON FUNCTION taskapi.describe_columns(taskapi.resource) IS
    'Internal: the columns of a resource that the current role may read or write, as a JSON array';

-- A barrier, so that no function in a condition meets a resource that the role may not use. A foreign key is shown if the role
-- may use the resource that it leads to, and if the view has all of its columns.
CREATE VIEW taskapi.resources WITH (security_barrier = true) AS
    WITH usable AS MATERIALIZED (
        SELECT r, n.nspname, c.relname, k.actions
        FROM taskapi.resource r
        JOIN pg_catalog.pg_class c ON c.oid = r.resource
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
        LATERAL (SELECT taskapi.resource_actions(r) AS actions OFFSET 0) k
        WHERE k.actions <> '{}')
    SELECT u.nspname AS api_schema, u.relname AS resource, pg_catalog.obj_description((u.r).resource, 'pg_class') AS description,
           u.actions, taskapi.key_columns((u.r).source) AS key_columns,
           (u.r).order_by, 'cursor'::pg_catalog.name AS cursor_column,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.page_function_of((u.r).resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS page_function,
           (SELECT d.relname FROM pg_catalog.pg_class d WHERE d.oid = t.trash) AS deleted_resource,
           CASE WHEN t.trash IS NOT NULL
                THEN taskapi.deleted_order(taskapi.key_columns((u.r).source), (u.r).deleted_at_column) END AS deleted_order_by,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.page_function_of((u.r).deleted_resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS deleted_page_function,
           taskapi.describe_columns(u.r) AS columns,
           (SELECT coalesce(pg_catalog.jsonb_agg(f.parent ORDER BY f.parent), '[]')
            FROM (SELECT pg_catalog.jsonb_build_object(
                             'api_schema', v.nspname, 'resource', v.relname, 'constraint', f.conname,
                             'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
                                         FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY k (attnum, place)
                                         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
                             'references', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
                                            FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY k (attnum, place)
                                            JOIN pg_catalog.pg_attribute a
                                                ON a.attrelid = f.confrelid AND a.attnum = k.attnum)) AS parent
                  FROM pg_catalog.pg_constraint f
                  JOIN usable v ON (v.r).source = f.confrelid
                  WHERE f.contype = 'f' AND f.conrelid = (u.r).source
                    AND NOT EXISTS (
                        SELECT FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey)
                          AND a.attname NOT IN (SELECT s.attname FROM pg_catalog.pg_attribute s
                                                WHERE s.attrelid = (u.r).resource AND s.attnum > 0))) f) AS parents,
           (u.r).versioned, (u.r).soft_delete, (u.r).idempotent, (u.r).changes, (u.r).scope, (u.r).publish,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.changes_function_of((u.r).resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS changes_function
    FROM usable u,
    LATERAL (SELECT CASE WHEN u.actions && '{read_deleted,restore,purge}' THEN (u.r).deleted_resource END AS trash) t;
COMMENT ON VIEW taskapi.resources IS
    'The resources that the current role may use, for layers that make their routes and descriptions of them';
COMMENT ON COLUMN taskapi.resources.api_schema IS 'The schema of its views and functions';
COMMENT ON COLUMN taskapi.resources.resource IS 'The name of the view of the live rows';
COMMENT ON COLUMN taskapi.resources.description IS 'The comment on that view';
COMMENT ON COLUMN taskapi.resources.actions IS
    'What the role''s privileges let it do, as in grant_resource(), on one column at least, unless no policy of the table is'
    ' about it; the policies pick the rows';
COMMENT ON COLUMN taskapi.resources.key_columns IS 'The primary key, which names a row';
COMMENT ON COLUMN taskapi.resources.order_by IS 'The default order, and that of the cursor: no two rows are equal in it';
COMMENT ON COLUMN taskapi.resources.cursor_column IS 'The column of the position of a row in order_by';
COMMENT ON COLUMN taskapi.resources.page_function IS
    'The function that answers with a page; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.deleted_resource IS
    'The view of the deleted rows; NULL without soft deletion, or if the role may neither read, restore nor purge';
COMMENT ON COLUMN taskapi.resources.deleted_order_by IS 'The default order of the deleted rows, and that of their cursor';
COMMENT ON COLUMN taskapi.resources.deleted_page_function IS
    'The function that answers with a page of the deleted rows; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.columns IS
    'The columns that the role may read or write, in their order: an array of objects with name, type, description and'
    ' the booleans readable, insertable, updatable, required (of an INSERT), generated (by the server) and nullable';
COMMENT ON COLUMN taskapi.resources.parents IS
    'Foreign keys to resources that the role may use: an array of objects with columns, api_schema, resource, references'
    ' and constraint';
COMMENT ON COLUMN taskapi.resources.versioned IS 'Rows have a version, for If-Match';
COMMENT ON COLUMN taskapi.resources.soft_delete IS 'DELETE marks rows as deleted';
COMMENT ON COLUMN taskapi.resources.idempotent IS 'Writes take an Idempotency-Key';
COMMENT ON COLUMN taskapi.resources.changes IS 'Clients can ask what changed since, by RESOURCE_changes()';
COMMENT ON COLUMN taskapi.resources.scope IS 'The expression that says what of it the role may see; NULL if there is none';
COMMENT ON COLUMN taskapi.resources.changes_function IS
    'The function that tells what changed since; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.publish IS 'The topic under which writes are published; NULL if they are not';
