-- What a resource is made of: columns of its table, two views, a page function, triggers. Steps of expose(), which says as whom
-- each is done.

-- The columns that versions and soft deletion need: those that are missing are added, those that are there must fit. All that do
-- not fit are told at once, with the ALTERs that help. One that is never NULL and has no default is given one, since a client
-- cannot send its value.
CREATE FUNCTION taskapi.add_resource_columns(source regclass, soft_delete boolean, versioned boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted  record;
    actions text[] := '{}';
    misfits text[] := '{}';
    cures   text[] := '{}';
    before  text := '';
BEGIN
    FOR wanted IN
        SELECT w.*, a.attnum IS NOT NULL AS present, a.attnotnull, a.atthasdef, a.atttypid = ANY (w.types) AS typed,
               a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity,
               -- how a value of the column becomes one of the type that fits; NULL if only a person can say
               CASE WHEN w.type = 'timestamptz' AND a.atttypid = 'timestamp'::regtype THEN '%I AT TIME ZONE ''UTC'''
                    WHEN w.type = 'timestamptz' AND a.atttypid = 'bool'::regtype THEN 'CASE WHEN %I THEN now() END'
                    WHEN w.type = 'timestamptz' AND a.atttypid = 'date'::regtype
                         OR w.type = 'int' AND a.atttypid = 'int2'::regtype
                         OR w.type = 'uuid' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) THEN '%I::' || w.type
                    END AS converted,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                         CASE WHEN a.attgenerated <> '' THEN 'GENERATED' WHEN a.attidentity <> '' THEN 'IDENTITY' END) AS is
        FROM (VALUES
                (1, versioned,   'version',     '{int4,int8}'::regtype[],   'int',         '1',     'int or bigint'),
                (2, versioned,   'updated_at',  '{timestamptz}'::regtype[], 'timestamptz', 'now()', 'timestamptz'),
                (3, soft_delete, 'deleted_at',  '{timestamptz}'::regtype[], 'timestamptz', NULL,    'timestamptz'),
                (4, soft_delete, 'deletion_id', '{uuid}'::regtype[],        'uuid',        NULL,    'uuid'))
             w (place, needed, name, types, type, value, fitting)
        LEFT JOIN pg_attribute a ON a.attrelid = source AND a.attname = w.name AND NOT a.attisdropped
        WHERE w.needed
        ORDER BY w.place
    LOOP
        IF NOT wanted.present THEN
            actions := actions || format('ADD COLUMN %I %s%s', wanted.name, wanted.type,
                                         ' NOT NULL DEFAULT ' || wanted.value);
        ELSIF NOT wanted.typed OR wanted.attnotnull <> (wanted.value IS NOT NULL) OR wanted.generated OR wanted.identity THEN
            misfits := misfits || format('Column %I is %s. It must be %s%s.', wanted.name, wanted.is, wanted.fitting,
                                         coalesce(', NOT NULL, with default ' || wanted.value, ', and may be NULL'));
            IF wanted.typed AND NOT wanted.attnotnull AND wanted.value IS NOT NULL AND NOT wanted.generated THEN
                before := before || format(E'UPDATE %s SET %I = %s WHERE %2$I IS NULL;\n', source, wanted.name, wanted.value);
            END IF;
            IF NOT wanted.typed AND wanted.converted IS NULL THEN
                before := before || format(E'ALTER TABLE %s RENAME COLUMN %I TO %I;\n', source, wanted.name,
                                           'old_' || wanted.name);
                CONTINUE;
            END IF;
            cures := cures || array_remove(ARRAY[
                CASE WHEN wanted.generated THEN format('ALTER COLUMN %I DROP EXPRESSION', wanted.name) END,
                CASE WHEN wanted.identity THEN format('ALTER COLUMN %I DROP IDENTITY', wanted.name) END,
                CASE WHEN NOT wanted.typed
                     THEN format('ALTER COLUMN %I TYPE %s USING ', wanted.name, wanted.type)
                          || format(wanted.converted, wanted.name) END,
                CASE WHEN wanted.attnotnull AND wanted.value IS NULL
                     THEN format('ALTER COLUMN %I DROP NOT NULL', wanted.name) END,
                CASE WHEN NOT wanted.attnotnull AND wanted.value IS NOT NULL
                     THEN format('ALTER COLUMN %I SET NOT NULL', wanted.name) END], NULL);
        ELSIF wanted.value IS NOT NULL AND NOT wanted.atthasdef THEN
            actions := actions || format('ALTER COLUMN %I SET DEFAULT %s', wanted.name, wanted.value);
        END IF;
    END LOOP;
    IF misfits <> '{}' THEN
        RAISE EXCEPTION 'table % has columns that do not fit', source
            USING ERRCODE = 'datatype_mismatch', DETAIL = array_to_string(misfits, E'\n'),
                  HINT = before
                         || CASE WHEN cures <> '{}' THEN format(E'ALTER TABLE %s %s;\n', source, array_to_string(cures, ', '))
                                 ELSE '' END
                         || CASE WHEN array_to_string(cures, '') LIKE '%AT TIME ZONE%'
                                 THEN E'The time zone is the one that the values were written in.\n' ELSE '' END
                         || 'Or rename them, or call taskapi.expose() with versioned or soft_delete set to false.';
    END IF;
    -- none of these rewrites the table: the defaults are the same for all its rows
    IF actions <> '{}' THEN
        EXECUTE format('ALTER TABLE %s %s', source, array_to_string(actions, ', '));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.add_resource_columns(regclass, boolean, boolean) IS
    'Internal: adds the columns that a resource needs and its table lacks';

CREATE FUNCTION taskapi.shown_columns(view regclass) RETURNS smallint[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(c.source_attnum), '{}') FROM taskapi.resource_columns($1) c WHERE c.source_attnum IS NOT NULL;
    END;
COMMENT ON FUNCTION taskapi.shown_columns(regclass) IS
    'Internal: the columns of its table that a view of a resource shows, by number';

-- Columns are bound to those of the table by number. What was renamed since is renamed through a name that is nobody's, so that
-- two columns may have swapped names.
CREATE FUNCTION taskapi.rename_view_columns(view regclass, source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renamed CONSTANT jsonb := (
        SELECT jsonb_object_agg(c.name, a.attname)
        FROM taskapi.resource_columns(view) c JOIN pg_attribute a ON a.attrelid = source AND a.attnum = c.source_attnum
        WHERE a.attname <> c.name);
    col     record;
BEGIN
    FOR col IN SELECT key AS was, 'taskapi ' || row_number() OVER () AS meanwhile FROM jsonb_object_keys(renamed) key LOOP
        EXECUTE format('ALTER VIEW %s RENAME COLUMN %I TO %I', view, col.was, col.meanwhile);
    END LOOP;
    FOR col IN
        SELECT 'taskapi ' || row_number() OVER () AS meanwhile, renamed ->> key AS becomes FROM jsonb_object_keys(renamed) key
    LOOP
        EXECUTE format('ALTER VIEW %s RENAME COLUMN %I TO %I', view, col.meanwhile, col.becomes);
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.rename_view_columns(regclass, regclass) IS
    'Internal: gives the columns of a resource''s view the names that the columns of the table have now';

-- Create a view, or bring it up to date: what is there keeps its place, so that nothing that depends on it is lost.
CREATE FUNCTION taskapi.make_resource_view(source regclass, api_schema name, name name, order_by text, deleted boolean,
                                           soft_delete boolean, key name[]) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view   regclass := to_regclass(format('%I.%I', api_schema, name));
    fresh  CONSTANT boolean := view IS NULL;
    hidden CONSTANT name[] := CASE WHEN soft_delete AND NOT deleted THEN '{deleted_at,deletion_id}' ELSE '{}' END;
    cursor text;
    list   text[] := '{}';
    shown  smallint[] := '{}';
BEGIN
    SELECT format('taskapi.cursor(%L, %s) AS cursor', order_by, string_agg(format('t.%I', c), ', ' ORDER BY place)) INTO cursor
    FROM taskapi.order_by_columns(order_by) o, unnest(o.columns) WITH ORDINALITY s (c, place);

    IF NOT fresh THEN
        PERFORM taskapi.rename_view_columns(view, source);
        shown := taskapi.shown_columns(view);
        SELECT array_agg(CASE WHEN c.source_attnum IS NULL THEN cursor ELSE format('t.%I', c.name) END ORDER BY c.place) INTO list
        FROM taskapi.resource_columns(view) WITH ORDINALITY c (name, source_attnum, place);
    END IF;
    list := list || ARRAY(
        SELECT format('t.%I', a.attname) FROM pg_attribute a
        WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attnum <> ALL (shown) AND a.attname <> ALL (hidden)
          AND (a.attname = ANY (key) OR coalesce(col_description(source, a.attnum), '') NOT LIKE '@private%')
        ORDER BY a.attnum);
    IF cursor <> ALL (list) THEN
        list := list || cursor;
    END IF;
    EXECUTE format('CREATE OR REPLACE VIEW %I.%I WITH (security_invoker = true) AS SELECT %s FROM %s AS t%s',
                   api_schema, name, array_to_string(list, ', '), source,
                   CASE WHEN deleted THEN ' WHERE t.deleted_at IS NOT NULL'
                        WHEN soft_delete THEN ' WHERE t.deleted_at IS NULL' END);
    view := format('%I.%I', api_schema, name)::regclass;
    IF fresh THEN
        PERFORM taskapi.revoke_from_others('pg_class', view);
    END IF;
    RETURN view;
END
$$;
COMMENT ON FUNCTION taskapi.make_resource_view(regclass, name, name, text, boolean, boolean, name[]) IS
    'Internal: creates one of the two views of a resource, or brings it up to date';

-- Defaults, and comments. The default of a column is the table's at that moment, whatever it becomes later; that of the cursor
-- tells the trigger which columns an INSERT names.
CREATE FUNCTION taskapi.dress_resource_view(view regclass, source regclass, deleted boolean, versioned boolean, order_by text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    col     record;
    name    name := (SELECT relname FROM pg_class WHERE oid = view);
    sorted  record;
    forth   text := 'cursor';
    back    text := 'cursor.desc';
BEGIN
    FOR col IN
        SELECT v.attname, v.atthasdef, col_description(source, s.attnum) AS comment,
               CASE WHEN NOT deleted AND NOT (versioned AND s.attname IN ('version', 'updated_at'))
                         AND (d.oid IS NOT NULL AND s.attgenerated = '' OR s.attidentity = 'd' OR t.typtype = 'd')
                    THEN format('taskapi.table_default(%L::regclass, %L::smallint, %s)', source, s.attnum,
                                -- a domain may refuse NULL, but not as what an array lacks
                                format(CASE WHEN t.typtype = 'd' THEN '(NULL::%s[])[1]' ELSE 'NULL::%s' END,
                                       format_type(s.atttypid, NULL))) END AS default_expression,
               pg_get_expr(vd.adbin, vd.adrelid) AS view_default, col_description(view, v.attnum) AS view_comment
        FROM pg_attribute v
        JOIN pg_attribute s ON s.attrelid = source AND s.attname = v.attname AND NOT s.attisdropped
        JOIN pg_type t ON t.oid = s.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = source AND d.adnum = s.attnum
        LEFT JOIN pg_attrdef vd ON vd.adrelid = view AND vd.adnum = v.attnum
        WHERE v.attrelid = view AND v.attnum > 0
        ORDER BY v.attnum
    LOOP
        IF col.default_expression IS DISTINCT FROM col.view_default THEN
            EXECUTE format('ALTER VIEW %s ALTER COLUMN %I %s', view, col.attname,
                           coalesce('SET DEFAULT ' || col.default_expression, 'DROP DEFAULT'));
        END IF;
        IF col.comment IS DISTINCT FROM col.view_comment THEN
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', view, col.attname, col.comment);
        END IF;
    END LOOP;
    IF NOT deleted AND NOT EXISTS (SELECT FROM pg_attrdef vd JOIN pg_attribute v ON v.attrelid = vd.adrelid AND v.attnum = vd.adnum
                                   WHERE vd.adrelid = view AND v.attname = 'cursor') THEN
        EXECUTE format('ALTER VIEW %s ALTER COLUMN cursor SET DEFAULT taskapi.insert_columns()', view);
    END IF;
    -- In one direction and without NULLs, the columns' own index serves both order and cursor; otherwise one on the cursor does.
    SELECT * INTO sorted FROM taskapi.order_by_columns(order_by);
    IF NOT (true = ANY (sorted.descending) AND false = ANY (sorted.descending))
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = ANY (sorted.columns)
                           AND NOT a.attnotnull AND NOT (deleted AND a.attname = 'deleted_at')) THEN
        SELECT string_agg(c || CASE WHEN sorted.descending[1] THEN '.desc' ELSE '' END, ',' ORDER BY place),
               string_agg(c || CASE WHEN sorted.descending[1] THEN '' ELSE '.desc' END, ',' ORDER BY place)
        INTO forth, back FROM unnest(sorted.columns) WITH ORDINALITY u (c, place);
    END IF;
    EXECUTE format('COMMENT ON COLUMN %s.cursor IS %L', view,
        format('Where the row stands in order_by %s. Next page: /%s?order=%s&limit=50&cursor=gt.TOKEN, with the cursor of the'
               ' last row; previous page, backwards: /%s?order=%s&limit=50&cursor=lt.TOKEN, with that of the first',
               order_by, name, forth, name, back));
    EXECUTE format('COMMENT ON VIEW %s IS %L', view,
        coalesce(obj_description(source, 'pg_class'), 'Rows of ' || source) || CASE WHEN deleted THEN
            E'\n\nThose that are deleted. PATCH {"deleted_at": null} restores, DELETE purges for good.' ELSE '' END);
END
$$;
COMMENT ON FUNCTION taskapi.dress_resource_view(regclass, regclass, boolean, boolean, text) IS
    'Internal: gives a resource''s view the defaults and comments of its table';

-- The triggers of a table or view that are ours, with their bits in pg_trigger.tgtype: 1 row, 2 before, 4 insert, 8 delete,
-- 16 update, 64 instead of. What is there already is left alone, since to create a trigger locks a table against writers, and to
-- drop one against readers; what another version called otherwise goes, and one that is disabled is enabled. Those of a table
-- are for writers who go round the resource; their names sort after all other triggers'.
CREATE FUNCTION taskapi.resource_triggers(kinds text[])
    RETURNS TABLE (name name, type smallint, events text, level text, function regprocedure)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT v.name, v.type, v.events, CASE WHEN v.type & 1 = 1 THEN 'ROW' ELSE 'STATEMENT' END, v.function::regprocedure
        FROM (VALUES
            ('live',        93, 'taskapi_write',           'INSTEAD OF INSERT OR DELETE OR UPDATE', 'taskapi.resource_write()'),
            ('live',        30, 'taskapi_statement_start', 'BEFORE INSERT OR DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('live',        28, 'taskapi_statement_end',   'AFTER INSERT OR DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('deleted',     89, 'taskapi_write',           'INSTEAD OF DELETE OR UPDATE', 'taskapi.resource_write()'),
            ('deleted',     26, 'taskapi_statement_start', 'BEFORE DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('deleted',     24, 'taskapi_statement_end',   'AFTER DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('versioned',   19, 'zz_taskapi_touch',        'BEFORE UPDATE', 'taskapi.resource_touch()'),
            ('source',      21, 'zz_taskapi_reference',    'AFTER INSERT OR UPDATE', 'taskapi.resource_reference()'))
            v (kind, type, name, events, function)
        WHERE v.kind = ANY ($1);
    END;
COMMENT ON FUNCTION taskapi.resource_triggers(text[]) IS 'Internal: the triggers of ours that are of the given kinds';

CREATE FUNCTION taskapi.set_resource_triggers(relation regclass, kinds text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    gone   name;
BEGIN
    FOR gone IN
        SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = relation AND NOT t.tgisinternal AND p.pronamespace = 'taskapi'::regnamespace
          AND t.tgname ~ '^(zz_)?taskapi_' AND t.tgname NOT IN (SELECT w.name FROM taskapi.resource_triggers(kinds) w)
        ORDER BY t.tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', gone, relation);
    END LOOP;
    FOR wanted IN
        SELECT w.* FROM taskapi.resource_triggers(kinds) w
        WHERE NOT EXISTS (SELECT FROM pg_trigger t
                          WHERE t.tgrelid = relation AND t.tgname = w.name AND t.tgtype = w.type AND t.tgfoid = w.function
                            AND t.tgattr = '' AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgconstraint = 0
                            AND t.tgoldtable IS NULL AND t.tgnewtable IS NULL)
        ORDER BY w.name
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION %s',
                       wanted.name, wanted.events, relation, wanted.level, wanted.function);
    END LOOP;
    -- one that is ENABLE ALWAYS stays so; of a partitioned table the partitions' are meant too
    FOR wanted IN
        SELECT DISTINCT t.tgname AS name
        FROM pg_trigger t JOIN taskapi.resource_triggers(kinds) w ON t.tgname = w.name AND t.tgfoid = w.function
        WHERE t.tgenabled IN ('D', 'R')
          AND (t.tgrelid = relation OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(relation) p))
        ORDER BY t.tgname
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', relation, wanted.name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.set_resource_triggers(regclass, text[]) IS
    'Internal: gives a relation those triggers of ours that are of the given kinds, and takes the others of ours away';

CREATE FUNCTION taskapi.set_source_triggers(source regclass) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT taskapi.set_resource_triggers($1, ARRAY[
            CASE WHEN s.versioned THEN 'versioned' END, CASE WHEN s.versioned IS NOT NULL THEN 'source' END])
        FROM taskapi.is_source($1) s;
    END;
COMMENT ON FUNCTION taskapi.set_source_triggers(regclass) IS
    'Internal: gives a table the triggers that the resources made of it need, and takes the others of ours away';

-- The view is created as the given role and belongs to the owner of the table, as whom defaults are set: to parse the default of
-- a column may run code of its owner's, such as the CHECK of a domain.
CREATE FUNCTION taskapi.finish_view(creator regrole, view regclass, source regclass, deleted boolean, versioned boolean,
                                    order_by text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner CONSTANT regrole := taskapi.owner_of(source);
BEGIN
    IF taskapi.owner_of(view) <> owner THEN
        PERFORM taskapi.run_as(creator, format('ALTER VIEW %s OWNER TO %s', view, owner));
    END IF;
    PERFORM taskapi.run_as(owner, 'SELECT taskapi.dress_resource_view($1, $2, $3, $4, $5)',
                           view, source, deleted, versioned, order_by);
    PERFORM taskapi.run_as(owner, 'SELECT taskapi.set_resource_triggers($1, $2)', view,
                           ARRAY[CASE WHEN deleted THEN 'deleted' ELSE 'live' END]);
END
$$;
COMMENT ON FUNCTION taskapi.finish_view(regrole, regclass, regclass, boolean, boolean, text) IS
    'Internal: gives a new view of a resource its owner, defaults, comments and triggers';

CREATE FUNCTION taskapi.make_live_view(creator regrole, source regclass, api_schema name, resource name, order_by text,
                                       soft_delete boolean, versioned boolean, key name[]) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view CONSTANT regclass := taskapi.run_as(creator, 'SELECT taskapi.make_resource_view($1, $2, $3, $4, $5, $6, $7)::oid',
                                             source, api_schema, resource, order_by, false, soft_delete, key)::oid;
BEGIN
    PERFORM taskapi.finish_view(creator, view, source, false, versioned, order_by);
    RETURN view;
END
$$;
COMMENT ON FUNCTION taskapi.make_live_view(regrole, regclass, name, name, text, boolean, boolean, name[]) IS
    'Internal: the view of the live rows of a resource';

-- NULL without soft deletion, and one that was there goes.
CREATE FUNCTION taskapi.make_deleted_view(creator regrole, source regclass, api_schema name, resource name, order_by text,
                                          soft_delete boolean, versioned boolean, key name[], former taskapi.resource)
    RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view regclass;
BEGIN
    IF soft_delete THEN
        view := taskapi.run_as(creator, 'SELECT taskapi.make_resource_view($1, $2, $3, $4, $5, $6, $7)::oid',
                               source, api_schema, 'deleted_' || resource, order_by, true, true, key)::oid;
        PERFORM taskapi.finish_view(creator, view, source, true, versioned, order_by);
    ELSIF EXISTS (SELECT FROM pg_class c WHERE c.oid = former.deleted_resource) THEN
        PERFORM taskapi.run_as(taskapi.owner_of(former.deleted_resource), format('DROP VIEW %s', former.deleted_resource));
        RAISE NOTICE 'rows of % that are deleted show up in %.% again', source, quote_ident(api_schema), quote_ident(resource);
    END IF;
    RETURN view;
END
$$;
COMMENT ON FUNCTION taskapi.make_deleted_view(regrole, regclass, name, name, text, boolean, boolean, name[], taskapi.resource) IS
    'Internal: the view of the deleted rows of a resource';

-- RESOURCE_page(order_by, page_size, page_token, filter). One that an earlier version made with other arguments or another result
-- cannot be replaced: it goes, and what roles were granted passes on. A new one is for those who may read the resource.
CREATE FUNCTION taskapi.make_page_function(creator regrole, view regclass, api_schema name, resource name, order_by text,
                                           former taskapi.resource) RETURNS name
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name    CONSTANT name := resource || '_page';
    owner   CONSTANT regrole := taskapi.owner_of(view);
    readers oid[] := ARRAY(
        SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = view AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner ORDER BY 1);
    old     record;
    made    regprocedure;
    grantee oid;
BEGIN
    FOR old IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner,
               ARRAY(SELECT DISTINCT a.grantee FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                     WHERE a.grantee NOT IN (0, p.proowner) ORDER BY 1) AS callers
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = api_schema AND p.proname = former.page_function
          AND (p.proname, p.proargtypes, p.proargnames, p.prorettype) IS DISTINCT FROM
              (name, taskapi.page_arguments(), '{order_by,page_size,page_token,filter}'::text[],
               'taskapi.page_result'::regtype::oid)
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'A page of ')
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = view)
    LOOP
        readers := old.callers;
        PERFORM taskapi.run_as(old.owner, format('DROP FUNCTION %s', old.function));
    END LOOP;
    made := to_regprocedure(format('%I.%I(text, int, text, jsonb)', api_schema, name));
    PERFORM taskapi.run_as(creator, format(
        'CREATE OR REPLACE FUNCTION %I.%I(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL,'
        ' filter jsonb DEFAULT NULL) RETURNS taskapi.page_result'
        ' LANGUAGE sql STABLE RETURN taskapi.resource_page(%L::regclass, false, %L, $1, $2, $3, $4, NULL, NULL, NULL)',
        api_schema, name, view, order_by));
    IF made IS NULL THEN
        made := format('%I.%I(text, int, text, jsonb)', api_schema, name);
        PERFORM taskapi.run_as(creator, format('ALTER FUNCTION %s OWNER TO %s', made, owner));
        PERFORM taskapi.run_as(owner, 'SELECT taskapi.revoke_from_others($1, $2)', 'pg_proc'::regclass, made);
        FOREACH grantee IN ARRAY readers LOOP
            PERFORM taskapi.run_as(owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', made, taskapi.grantee_name(grantee)));
        END LOOP;
    END IF;
    PERFORM taskapi.run_as(owner, format('COMMENT ON FUNCTION %s IS %L', made,
        format('A page of %s, in order %s unless told otherwise: GET /rpc/%s?page_size=50&page_token=TOKEN',
               resource, order_by, name)));
    RETURN name;
END
$$;
COMMENT ON FUNCTION taskapi.make_page_function(regrole, regclass, name, name, text, taskapi.resource) IS
    'Internal: the function that answers with a page of a resource';

-- Each as its owner. An entry of the registry whose view is gone counts for nothing, and expose() and unexpose() delete it.
CREATE FUNCTION taskapi.drop_resource_views(entry taskapi.resource) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    page CONSTANT regprocedure := taskapi.page_function_of(entry.resource);
BEGIN
    IF page IS NOT NULL THEN
        PERFORM taskapi.run_as((SELECT p.proowner FROM pg_proc p WHERE p.oid = page), format('DROP FUNCTION %s', page));
    END IF;
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = entry.deleted_resource) THEN
        PERFORM taskapi.run_as(taskapi.owner_of(entry.deleted_resource), format('DROP VIEW %s', entry.deleted_resource));
    END IF;
    PERFORM taskapi.run_as(taskapi.owner_of(entry.resource), format('DROP VIEW %s', entry.resource));
END
$$;
COMMENT ON FUNCTION taskapi.drop_resource_views(taskapi.resource) IS
    'Internal: drops the views and the page function of a resource';

-- A view cannot lose a column: if one that it shows is @private now, the views and the page function are dropped, to be made
-- again without it. Returns the grants to repeat then; NULL if there is nothing to hide. What depends on the views refuses that.
CREATE FUNCTION taskapi.hide_private_columns(former taskapi.resource, key name[]) RETURNS text[]
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    deleted_view regclass := (SELECT c.oid FROM pg_class c WHERE c.oid = former.deleted_resource);
    private      name[];
    grants       text[];
    revoke       text;
BEGIN
    IF former.resource IS NULL THEN
        RETURN NULL;
    END IF;
    private := ARRAY(
        SELECT a.attname FROM pg_attribute a
        WHERE a.attrelid = former.source AND a.attname <> ALL (key) AND col_description(former.source, a.attnum) LIKE '@private%'
          AND a.attnum = ANY (taskapi.shown_columns(former.resource) || coalesce(taskapi.shown_columns(deleted_view), '{}'))
        ORDER BY a.attnum);
    IF private = '{}' THEN
        RETURN NULL;
    END IF;
    grants := taskapi.grants_on('pg_class', former.resource, private) || taskapi.grants_on('pg_class', deleted_view, private)
              || taskapi.grants_on('pg_proc', taskapi.page_function_of(former.resource), '{}');
    -- whoever was granted the resource was granted the columns of the table
    FOR revoke IN
        SELECT format('REVOKE %s (%I) ON %s FROM %s', t.privilege_type, a.attname, former.source, taskapi.grantee_name(t.grantee))
        FROM pg_attribute a, aclexplode(a.attacl) t
        WHERE a.attrelid = former.source AND a.attname = ANY (private)
          AND t.grantee IN (SELECT g.grantee FROM pg_class c, aclexplode(c.relacl) g
                            WHERE c.oid IN (former.resource, deleted_view) AND g.grantee <> c.relowner)
    LOOP
        PERFORM taskapi.run_as(taskapi.owner_of(former.source), revoke);
    END LOOP;
    PERFORM taskapi.drop_resource_views(former);
    RAISE NOTICE 'columns of % that are @private leave the resource: %', former.source, array_to_string(private, ', ');
    RETURN grants;
END
$$;
COMMENT ON FUNCTION taskapi.hide_private_columns(taskapi.resource, name[]) IS
    'Internal: takes a resource away that shows columns which are @private now, and returns the grants to repeat';
