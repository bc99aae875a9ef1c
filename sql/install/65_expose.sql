-- expose() and its kin. They run as their caller, who owns the table, and are therefore everybody's to call.

-- Why a table cannot be a resource: raises an error with a reason. Returns the columns of its primary key.
CREATE FUNCTION taskapi.check_exposable(source regclass) RETURNS name[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class pg_class;
    key   name[];
    odd   text;
BEGIN
    SELECT * INTO class FROM pg_class c WHERE c.oid = source;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'source must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF class.relnamespace = 'pg_catalog'::regnamespace OR class.relnamespace = 'information_schema'::regnamespace
       OR class.oid < 16384 THEN
        RAISE EXCEPTION 'cannot expose system table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'cannot expose "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Only tables and partitioned tables can be exposed.';
    END IF;
    IF class.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot expose temporary table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relispartition THEN
        RAISE EXCEPTION 'cannot expose partition "%"', class.relname
            USING ERRCODE = 'wrong_object_type', HINT = 'Expose the partitioned table.';
    END IF;
    SELECT e.extname INTO odd FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = source AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
    IF FOUND THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = format('It belongs to extension %I.', odd);
    END IF;
    IF NOT pg_has_role(class.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', class.relname USING ERRCODE = 'insufficient_privilege';
    END IF;

    SELECT array_agg(a.attname ORDER BY k.place) INTO key
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
    WHERE i.indrelid = source AND i.indisprimary AND i.indimmediate AND k.place <= i.indnkeyatts
      AND a.attrelid = source AND a.attnum = k.attnum;
    IF key IS NULL THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = 'It has no primary key that is checked at once.';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = 'cursor' AND NOT a.attisdropped) THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'duplicate_column', DETAIL = 'A resource has a column cursor of its own, and the table has one too.',
                  HINT = 'Rename the table''s column.';
    END IF;
    RETURN key;
END
$$;
COMMENT ON FUNCTION taskapi.check_exposable(regclass) IS
    'Internal: raises the reason why a table cannot be exposed; else returns the columns of its primary key';

-- The columns that versions and soft deletion need: those that are missing are added, those that are there must fit.
CREATE FUNCTION taskapi.add_resource_columns(source regclass, soft_delete boolean, versioned boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted  record;
    present record;
    actions text[] := '{}';
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            (versioned,   'version',     '{int4,int8}'::regtype[],   true,  'int NOT NULL DEFAULT 1'),
            (versioned,   'updated_at',  '{timestamptz}'::regtype[], true,  'timestamptz NOT NULL DEFAULT now()'),
            (soft_delete, 'deleted_at',  '{timestamptz}'::regtype[], false, 'timestamptz'),
            (soft_delete, 'deletion_id', '{uuid}'::regtype[],        false, 'uuid')) w (needed, name, types, not_null, definition)
        WHERE needed
    LOOP
        SELECT a.atttypid::regtype AS type, a.attnotnull, a.attgenerated, a.attidentity INTO present
        FROM pg_attribute a WHERE a.attrelid = source AND a.attname = wanted.name AND NOT a.attisdropped;
        IF NOT FOUND THEN
            actions := actions || format('ADD COLUMN %I %s', wanted.name, wanted.definition);
        ELSIF NOT present.type = ANY (wanted.types) OR present.attnotnull <> wanted.not_null
              OR present.attgenerated <> '' OR present.attidentity <> '' THEN
            RAISE EXCEPTION 'column "%" of table % does not fit', wanted.name, source
                USING ERRCODE = 'datatype_mismatch', DETAIL = format('It must be %s.', wanted.definition),
                      HINT = 'Rename it, or call taskapi.expose() with versioned or soft_delete set to false.';
        END IF;
    END LOOP;
    -- neither rewrites the table: the defaults are the same for all its rows
    IF actions <> '{}' THEN
        EXECUTE format('ALTER TABLE %s %s', source, array_to_string(actions, ', '));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.add_resource_columns(regclass, boolean, boolean) IS
    'Internal: adds the columns that a resource needs and its table lacks';

-- Create a view, or bring it up to date: what is there keeps its place, so that nothing that depends on it is lost.
CREATE FUNCTION taskapi.make_resource_view(source regclass, api_schema name, name name, order_by text, deleted boolean, soft_delete boolean,
                                           versioned boolean, key name[]) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view     regclass := to_regclass(format('%I.%I', api_schema, name));
    hidden   name[] := CASE WHEN soft_delete AND NOT deleted THEN '{deleted_at,deletion_id}' ELSE '{}' END::name[];
    list     text[] := '{}';
    used     smallint[] := '{}';
    sorted   name[];
    cursor   text;
    has_cursor boolean := false;
    col      record;
BEGIN
    SELECT columns INTO sorted FROM taskapi.order_by_columns(order_by);
    SELECT format('taskapi.cursor(%L, %s) AS cursor', order_by, string_agg(format('t.%I', c), ', ' ORDER BY place)) INTO cursor
    FROM unnest(sorted) WITH ORDINALITY s (c, place);

    IF view IS NOT NULL THEN
        FOR col IN
            SELECT c.name, c.source_attnum, a.attname AS source_name
            FROM taskapi.resource_columns(view) c
            LEFT JOIN pg_attribute a ON a.attrelid = source AND a.attnum = c.source_attnum
        LOOP
            IF col.source_attnum IS NULL THEN
                list := list || cursor;
                has_cursor := true;
                CONTINUE;
            END IF;
            IF col.name <> col.source_name THEN
                EXECUTE format('ALTER VIEW %s RENAME COLUMN %I TO %I', view, col.name, col.source_name);
            END IF;
            list := list || format('t.%I', col.source_name);
            used := used || col.source_attnum;
        END LOOP;
    END IF;
    FOR col IN
        SELECT a.attname, a.attnum FROM pg_attribute a
        WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped AND a.attnum <> ALL (used) AND a.attname <> ALL (hidden)
          AND (a.attname = ANY (key) OR coalesce(col_description(source, a.attnum), '') NOT LIKE '@private%')
        ORDER BY a.attnum
    LOOP
        list := list || format('t.%I', col.attname);
    END LOOP;
    IF NOT has_cursor THEN
        list := list || cursor;
    END IF;

    EXECUTE format('CREATE OR REPLACE VIEW %I.%I WITH (security_invoker = true) AS SELECT %s FROM %s AS t%s',
                   api_schema, name, array_to_string(list, ', '), source,
                   CASE WHEN deleted THEN ' WHERE t.deleted_at IS NOT NULL' WHEN soft_delete THEN ' WHERE t.deleted_at IS NULL' END);
    RETURN format('%I.%I', api_schema, name)::regclass;
END
$$;
COMMENT ON FUNCTION taskapi.make_resource_view(regclass, name, name, text, boolean, boolean, boolean, name[]) IS
    'Internal: creates one of the two views of a resource, or brings it up to date';

-- Defaults, so that PostgreSQL itself fills in what an INSERT leaves out, and comments.
CREATE FUNCTION taskapi.dress_resource_view(view regclass, source regclass, deleted boolean, versioned boolean, order_by text) RETURNS void
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
               CASE WHEN NOT deleted AND s.attgenerated = '' AND NOT (versioned AND s.attname IN ('version', 'updated_at'))
                    THEN pg_get_expr(d.adbin, d.adrelid) END AS default_expression,
               pg_get_expr(vd.adbin, vd.adrelid) AS view_default, col_description(view, v.attnum) AS view_comment
        FROM pg_attribute v
        JOIN pg_attribute s ON s.attrelid = source AND s.attname = v.attname AND NOT s.attisdropped
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
        format('Where the row stands in order_by %s. Next page: /%s?order=%s&limit=50&cursor=gt.TOKEN, with the cursor of the last row; previous page, backwards: /%s?order=%s&limit=50&cursor=lt.TOKEN, with that of the first',
               order_by, name, forth, name, back));
    EXECUTE format('COMMENT ON VIEW %s IS %L', view,
        coalesce(obj_description(source, 'pg_class'), 'Rows of ' || source) || CASE WHEN deleted THEN
            E'\n\nThose that are deleted. PATCH {"deleted_at": null} restores, DELETE purges for good.' ELSE '' END);
END
$$;
COMMENT ON FUNCTION taskapi.dress_resource_view(regclass, regclass, boolean, boolean, text) IS
    'Internal: gives a resource''s view the defaults and comments of its table';

-- The triggers of a table or view that are ours, as pg_get_triggerdef() spells them. What is there already is left alone, since
-- to create a trigger locks a table against writers, and to drop one against readers; what another version called otherwise goes.
-- Those of a table are for writers who go round the resource; their names sort after all other triggers'.
CREATE FUNCTION taskapi.set_resource_triggers(relation regclass, kinds text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted CONSTANT text[] := ARRAY(
        SELECT t.definition
        FROM (VALUES
            ('live',        'taskapi_write INSTEAD OF INSERT OR DELETE OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION taskapi.resource_write()'),
            ('live',        'taskapi_statement_start BEFORE INSERT OR DELETE OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()'),
            ('live',        'taskapi_statement_end AFTER INSERT OR DELETE OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()'),
            ('deleted',     'taskapi_write INSTEAD OF DELETE OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION taskapi.resource_write()'),
            ('deleted',     'taskapi_statement_start BEFORE DELETE OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()'),
            ('deleted',     'taskapi_statement_end AFTER DELETE OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()'),
            ('versioned',   'zz_taskapi_touch BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION taskapi.resource_touch()'),
            ('soft_delete', 'zz_taskapi_soft_delete BEFORE DELETE ON %s FOR EACH ROW EXECUTE FUNCTION taskapi.resource_soft_delete()'),
            ('source',      'zz_taskapi_reference AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION taskapi.resource_reference()')) t (kind, definition)
        WHERE t.kind = ANY (kinds));
    definition text;
    gone       name;
BEGIN
    FOR gone IN
        SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = relation AND NOT t.tgisinternal AND p.pronamespace = 'taskapi'::regnamespace
          AND t.tgname ~ '^(zz_)?taskapi_' AND NOT EXISTS (SELECT FROM unnest(wanted) w WHERE split_part(w, ' ', 1) = t.tgname)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', gone, relation);
    END LOOP;
    FOR definition IN
        SELECT format(w, relation) FROM unnest(wanted) w
        WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = relation AND pg_get_triggerdef(t.oid) = 'CREATE TRIGGER ' || format(w, relation))
    LOOP
        EXECUTE 'CREATE OR REPLACE TRIGGER ' || definition;
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.set_resource_triggers(regclass, text[]) IS
    'Internal: gives a relation those triggers of ours that are of the given kinds, and takes the others of ours away';

CREATE FUNCTION taskapi.set_source_triggers(source regclass) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT taskapi.set_resource_triggers($1, ARRAY[
            CASE WHEN s.versioned THEN 'versioned' END, CASE WHEN s.soft_delete THEN 'soft_delete' END,
            CASE WHEN s.versioned IS NOT NULL THEN 'source' END])
        FROM taskapi.is_source($1) s;
    END;
COMMENT ON FUNCTION taskapi.set_source_triggers(regclass) IS
    'Internal: gives a table the triggers that the resources made of it need, and takes the others of ours away';

CREATE FUNCTION taskapi.expose(source regclass, api_schema name DEFAULT 'api', resource name DEFAULT NULL, order_by text DEFAULT NULL,
                               soft_delete boolean DEFAULT true, versioned boolean DEFAULT true, idempotent boolean DEFAULT true)
    RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
DECLARE
    key          name[];
    name         name := resource;
    deleted_name name;
    view         regclass;
    deleted_view regclass;
    former       taskapi.resource;
    added        text[] := '{}';
    sorted       record;
    page         name;
    last_first   text;
    advice       text;
    missing      text;
    statement    text;
BEGIN
    key := taskapi.check_exposable(source);
    IF api_schema IS NULL OR soft_delete IS NULL OR versioned IS NULL OR idempotent IS NULL THEN
        RAISE EXCEPTION 'api_schema, soft_delete, versioned and idempotent must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF name IS NULL THEN
        name := (SELECT relname FROM pg_class WHERE oid = source);
    END IF;
    IF name = '' OR octet_length(name) > 55 THEN
        RAISE EXCEPTION 'name of resource "%" is empty or too long', name
            USING ERRCODE = 'invalid_name', DETAIL = 'It can have 55 bytes at most, since deleted_ comes before it.';
    END IF;
    deleted_name := 'deleted_' || name;
    IF api_schema IN ('taskapi', 'pg_catalog', 'information_schema') OR api_schema LIKE 'pg\_%' THEN
        RAISE EXCEPTION 'schema "%" cannot hold resources', api_schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF to_regnamespace(quote_ident(api_schema)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', api_schema);
    END IF;

    -- What is there under these names must be ours.
    view := to_regclass(format('%I.%I', api_schema, name));
    former := taskapi.registered_resource(view);
    IF view IS NOT NULL AND (former.source IS DISTINCT FROM source OR former.resource IS DISTINCT FROM view) THEN
        RAISE EXCEPTION 'name "%" is taken in schema "%"', name, api_schema
            USING ERRCODE = 'duplicate_table', DETAIL = format('%s is not a resource made of %s.', view, source),
                  HINT = 'Give the resource another name, or expose it in another schema.';
    END IF;
    deleted_view := to_regclass(format('%I.%I', api_schema, deleted_name));
    IF soft_delete AND deleted_view IS NOT NULL AND former.deleted_resource IS DISTINCT FROM deleted_view THEN
        RAISE EXCEPTION 'name "%" is taken in schema "%"', deleted_name, api_schema
            USING ERRCODE = 'duplicate_table', HINT = 'Give the resource another name, or expose it in another schema.';
    END IF;

    -- The order: every row has its own place in it.
    IF order_by IS NULL THEN
        order_by := former.order_by;
    END IF;
    IF order_by IS NULL THEN
        IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = 'created_at' AND a.attnotnull AND NOT a.attisdropped) THEN
            order_by := 'created_at DESC';
        ELSE
            order_by := (SELECT string_agg(quote_ident(k), ', ' ORDER BY place) FROM unnest(key) WITH ORDINALITY u (k, place));
        END IF;
    END IF;
    SELECT * INTO sorted FROM taskapi.order_by_columns(order_by);
    SELECT string_agg(quote_ident(k) || CASE WHEN sorted.descending[cardinality(sorted.descending)] THEN ' DESC' ELSE '' END, ', ' ORDER BY place) INTO missing
    FROM unnest(key) WITH ORDINALITY u (k, place) WHERE k <> ALL (sorted.columns);
    order_by := taskapi.order_by_canonical(concat_ws(', ', order_by, missing));
    SELECT c INTO missing FROM unnest(sorted.columns) c
    WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped
                          AND coalesce(col_description(source, a.attnum), '') NOT LIKE '@private%');
    IF FOUND AND missing NOT IN ('version', 'updated_at') THEN
        PERFORM taskapi.raise_problem('invalid_order_by', format('Table %s has no column %I to order by.', source, missing));
    END IF;

    PERFORM taskapi.add_resource_columns(source, soft_delete, versioned);

    IF former.soft_delete AND NOT soft_delete AND former.deleted_resource IS NOT NULL THEN
        EXECUTE format('DROP VIEW %s', former.deleted_resource);
        RAISE NOTICE 'rows of % that are deleted show up in % again', source, view;
    END IF;
    view := taskapi.make_resource_view(source, api_schema, name, order_by, false, soft_delete, versioned, key);
    PERFORM taskapi.dress_resource_view(view, source, false, versioned, order_by);
    PERFORM taskapi.set_resource_triggers(view, '{live}');

    deleted_view := NULL;
    IF soft_delete THEN
        last_first := 'deleted_at DESC, ' || (SELECT string_agg(quote_ident(k) || ' DESC', ', ' ORDER BY place)
                                              FROM unnest(key) WITH ORDINALITY u (k, place) WHERE k <> 'deleted_at');
        IF former.deleted_resource IS NULL THEN
            added := added || format('TABLE %I.%I', api_schema, deleted_name);
        END IF;
        deleted_view := taskapi.make_resource_view(source, api_schema, deleted_name, last_first, true, true, versioned, key);
        PERFORM taskapi.dress_resource_view(deleted_view, source, true, versioned, last_first);
        PERFORM taskapi.set_resource_triggers(deleted_view, '{deleted}');
    END IF;

    IF to_regprocedure('taskapi.page(regclass,text,int,text,jsonb)') IS NOT NULL THEN
        page := name || '_page';
        -- An earlier version's with other arguments, or another result, cannot be replaced.
        FOR statement IN
            SELECT format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
            WHERE p.pronamespace = to_regnamespace(quote_ident(api_schema)) AND p.proname = former.page_function
              AND (p.proname, p.proargtypes, p.proargnames, p.prorettype) IS DISTINCT FROM
                  (page, '25 23 25 3802'::oidvector, '{order_by,page_size,page_token,filter}'::text[], 'taskapi.page_result'::regtype::oid)
              AND starts_with(obj_description(p.oid, 'pg_proc'), 'A page of ')
              AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = view)
        LOOP
            EXECUTE statement;
        END LOOP;
        IF to_regprocedure(format('%I.%I(text,int,text,jsonb)', api_schema, page)) IS NULL THEN
            added := added || format('FUNCTION %I.%I(text, int, text, jsonb)', api_schema, page);
        END IF;
        EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL, filter jsonb DEFAULT NULL)'
                       ' RETURNS taskapi.page_result LANGUAGE sql STABLE RETURN taskapi.page(%L::regclass, coalesce(nullif($1, ''''), %L), $2, $3, $4)',
                       api_schema, page, view, order_by);
        EXECUTE format('REVOKE ALL ON FUNCTION %I.%I(text, int, text, jsonb) FROM PUBLIC', api_schema, page);
        EXECUTE format('COMMENT ON FUNCTION %I.%I(text, int, text, jsonb) IS %L', api_schema, page,
            format('A page of %s, in order %s unless told otherwise: GET /rpc/%s_page?page_size=50&page_token=TOKEN', name, order_by, name));
    END IF;
    PERFORM taskapi.register_resource(view, source, deleted_view, page, order_by, soft_delete, versioned, idempotent);
    PERFORM taskapi.set_source_triggers(source);

    -- What a resource has got since is its owner's, whoever calls, and is for those who may read the resource.
    FOR statement IN
        SELECT format('ALTER %s OWNER TO %s', a, c.relowner::regrole) FROM unnest(added) a, pg_class c
        WHERE former.resource IS NOT NULL AND c.oid = view AND c.relowner <> current_user::regrole
          AND (has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
        UNION ALL
        SELECT format('GRANT %s ON %s TO %s', CASE WHEN starts_with(a, 'TABLE') THEN 'SELECT' ELSE 'EXECUTE' END, a,
                      CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
        FROM unnest(added) a, pg_class c, aclexplode(c.relacl) g
        WHERE former.resource IS NOT NULL AND c.oid = view AND g.privilege_type = 'SELECT' AND g.grantee <> c.relowner
    LOOP
        EXECUTE statement;
    END LOOP;
    -- Whoever was granted the resource is granted the columns that it has got since, and those of deletion, which the views ask for.
    FOR statement IN
        SELECT format('GRANT %s (%s) ON %s TO %s', g.privilege_type, string_agg(format('%I', a.attname), ', '), source,
                      CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END)
        FROM pg_class c, aclexplode(c.relacl) g, pg_attribute a
        WHERE c.oid = view AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND g.grantee <> c.relowner
          AND a.attrelid = source
          AND (a.attnum IN (SELECT v.source_attnum FROM taskapi.resource_columns(view) v)
               OR soft_delete AND g.privilege_type = 'SELECT' AND a.attname IN ('deleted_at', 'deletion_id'))
          AND (g.privilege_type = 'SELECT' OR a.attgenerated = '' AND NOT (versioned AND a.attname IN ('version', 'updated_at')))
          AND CASE WHEN g.grantee = 0 THEN has_column_privilege('public', source, key[1], g.privilege_type)
                   ELSE has_column_privilege(g.grantee, source, key[1], g.privilege_type) END
          AND NOT CASE WHEN g.grantee = 0 THEN has_column_privilege('public', source, a.attnum, g.privilege_type)
                       ELSE has_column_privilege(g.grantee, source, a.attnum, g.privilege_type) END
        GROUP BY g.privilege_type, g.grantee
    LOOP
        EXECUTE statement;
    END LOOP;

    -- What cannot be mended from here.
    IF soft_delete AND former.resource IS NULL THEN
        RAISE NOTICE 'code that reads table % itself sees deleted rows, unless it asks for deleted_at IS NULL', source;
    END IF;
    IF soft_delete THEN
        FOR statement, missing IN
            SELECT pg_get_indexdef(i.indexrelid), i.indexrelid::regclass FROM pg_index i
            WHERE i.indrelid = source AND i.indisunique AND NOT i.indisprimary AND i.indpred IS NULL ORDER BY i.indexrelid
        LOOP
            RAISE NOTICE 'deleted rows keep their values in unique index % taken', missing
                USING HINT = format('An index over the live rows alone would not: %s WHERE (deleted_at IS NULL)', statement);
        END LOOP;
    END IF;
    IF to_regprocedure('taskapi.index_advice(regclass,text,jsonb)') IS NOT NULL THEN
        EXECUTE 'SELECT taskapi.index_advice($1, $2)' INTO advice USING view, order_by;
        IF advice IS NOT NULL THEN
            RAISE NOTICE 'no index serves the order of resource %', view USING HINT = advice;
        END IF;
        -- The purge reads them in order of deletion, from whatever index holds no live rows or begins with deleted_at.
        IF soft_delete AND NOT EXISTS (
            SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = source AND a.attname = 'deleted_at'
            WHERE i.indrelid = source AND (i.indkey[0] = a.attnum OR pg_get_expr(i.indpred, source) = '(deleted_at IS NOT NULL)')) THEN
            EXECUTE 'SELECT taskapi.index_advice($1, $2)' INTO advice USING deleted_view, last_first;
            RAISE NOTICE 'no index leads to the deleted rows of %', source USING HINT = advice;
        END IF;
    END IF;
    NOTIFY pgrst, 'reload schema';
    RETURN view;
END
$$;
COMMENT ON FUNCTION taskapi.expose(regclass, name, name, text, boolean, boolean, boolean) IS
    'Makes a table that the caller owns an HTTP resource, or brings the resource up to date; nobody is granted anything';

CREATE FUNCTION taskapi.unexpose(resource regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
DECLARE
    entry  taskapi.resource := taskapi.registered_resource(resource);
    page   regprocedure;
BEGIN
    IF entry.resource IS NULL THEN
        RAISE EXCEPTION '% is not a resource', coalesce(resource::text, 'null') USING ERRCODE = 'wrong_object_type';
    END IF;
    page := taskapi.resource_page_function(entry.resource);
    PERFORM taskapi.unregister_resource(entry.resource);
    IF page IS NOT NULL THEN
        EXECUTE format('DROP FUNCTION %s', page);
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE oid = entry.deleted_resource) THEN
        EXECUTE format('DROP VIEW %s', entry.deleted_resource);
    END IF;
    EXECUTE format('DROP VIEW %s', entry.resource);
    IF EXISTS (SELECT FROM pg_class WHERE oid = entry.source) THEN
        PERFORM taskapi.set_source_triggers(entry.source);
    END IF;
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.unexpose(regclass) IS 'Drops a resource. Its table keeps all its columns and rows, the deleted ones too';

CREATE FUNCTION taskapi.grant_resource(resource regclass, grantee regrole, actions text[] DEFAULT '{read,create,update,delete}') RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry   taskapi.resource := taskapi.registered_resource(resource);
    columns text;
    hidden  text;
    written text;
    page    regprocedure;
    odd     text;
    seq     regclass;
BEGIN
    IF entry.resource IS NULL THEN
        RAISE EXCEPTION '% is not a resource', coalesce(resource::text, 'null') USING ERRCODE = 'wrong_object_type';
    END IF;
    IF grantee IS NULL OR actions IS NULL THEN
        RAISE EXCEPTION 'grantee and actions must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee) THEN
        RAISE EXCEPTION 'role % does not exist', grantee USING ERRCODE = 'undefined_object';
    END IF;
    SELECT a INTO odd FROM unnest(actions) a WHERE a IS NULL OR a NOT IN ('read', 'create', 'update', 'delete', 'restore', 'purge') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unrecognized action "%"', coalesce(odd, 'null')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Actions are read, create, update, delete, restore and purge.';
    END IF;
    IF actions && '{restore,purge}' AND entry.deleted_resource IS NULL THEN
        RAISE EXCEPTION 'resource % has no deleted rows to restore or purge', entry.resource USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

    SELECT c.relname INTO odd FROM pg_class c WHERE c.oid IN (entry.resource, entry.source) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'must be owner of %', odd USING ERRCODE = 'insufficient_privilege';
    END IF;

    -- The views run with their caller's privileges, so the same columns are granted of the table.
    SELECT string_agg(format('%I', a.attname), ', '), string_agg(format('%I', a.attname), ', ')
               FILTER (WHERE a.attgenerated = '' AND NOT (entry.versioned AND a.attname IN ('version', 'updated_at')))
    INTO columns, written
    FROM taskapi.resource_columns(entry.resource) c JOIN pg_attribute a ON a.attrelid = entry.source AND a.attnum = c.source_attnum;
    hidden := CASE WHEN entry.soft_delete THEN ', deleted_at, deletion_id' ELSE '' END;

    -- USAGE of the table's schema too: statements on the table are parsed as the caller.
    FOR odd IN
        SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid IN (entry.resource, entry.source) AND NOT has_schema_privilege(grantee, n.oid, 'USAGE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', odd, grantee);
    END LOOP;
    IF 'read' = ANY (actions) THEN
        EXECUTE format('GRANT SELECT ON %s TO %s', entry.resource, grantee);
        EXECUTE format('GRANT SELECT (%s%s) ON %s TO %s', columns, hidden, entry.source, grantee);
        IF entry.deleted_resource IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON %s TO %s', entry.deleted_resource, grantee);
        END IF;
        page := taskapi.resource_page_function(entry.resource);
        IF page IS NOT NULL THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', page, grantee);
        END IF;
    END IF;
    IF 'create' = ANY (actions) THEN
        EXECUTE format('GRANT INSERT ON %s TO %s', entry.resource, grantee);
        EXECUTE format('GRANT INSERT (%s) ON %s TO %s', written, entry.source, grantee);
        FOR seq IN      -- of serial columns, whose default is the caller's to compute
            SELECT DISTINCT d.refobjid::regclass
            FROM pg_attrdef a JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
            WHERE a.adrelid = entry.source
        LOOP
            EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %s', seq, grantee);
        END LOOP;
    END IF;
    IF 'update' = ANY (actions) THEN
        EXECUTE format('GRANT UPDATE ON %s TO %s', entry.resource, grantee);
        EXECUTE format('GRANT UPDATE (%s) ON %s TO %s', written, entry.source, grantee);
    END IF;
    IF 'delete' = ANY (actions) THEN
        EXECUTE format('GRANT DELETE ON %s TO %s', entry.resource, grantee);
        EXECUTE format('GRANT DELETE ON %s TO %s', entry.source, grantee);
    END IF;
    IF 'restore' = ANY (actions) THEN
        -- to restore needs the right to update the row, though no column that the client could set
        EXECUTE format('GRANT UPDATE (deleted_at) ON %s TO %s', entry.deleted_resource, grantee);
        EXECUTE format('GRANT UPDATE (%s) ON %s TO %s', CASE WHEN entry.versioned THEN 'updated_at' ELSE 'deleted_at' END, entry.source, grantee);
    END IF;
    IF 'purge' = ANY (actions) THEN
        EXECUTE format('GRANT DELETE ON %s TO %s', entry.deleted_resource, grantee);
        EXECUTE format('GRANT DELETE ON %s TO %s', entry.source, grantee);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.grant_resource(regclass, regrole, text[]) IS
    'Grants a role some of read, create, update, delete, restore and purge on a resource, with what they need of its table; policies still apply';
