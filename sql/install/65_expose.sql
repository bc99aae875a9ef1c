-- expose() and unexpose(). They run as their caller, who has the rights of the table's owner, and are therefore everybody's to
-- call. Each step that can run code of the owner's, such as a default or the predicate of an index, is done as the owner.

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
    -- A child has neither the triggers nor the key of its parent, and its rows would have no version.
    IF class.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = source) THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Other tables inherit from it.',
                  HINT = 'Partition the table instead, or expose the tables that inherit from it.';
    END IF;
    SELECT string_agg(quote_ident(r.rulename), ', ' ORDER BY r.rulename) INTO odd FROM pg_rewrite r WHERE r.ev_class = source;
    IF odd IS NOT NULL THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = format('It has rules: %s.', odd),
                  HINT = 'Drop them, or make triggers of them.';
    END IF;
    SELECT e.extname INTO odd FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = source AND d.refclassid = 'pg_extension'::regclass
      AND d.deptype = 'e';
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
            USING ERRCODE = 'duplicate_column',
                  DETAIL = 'A resource has a column cursor of its own, and the table has one too.',
                  HINT = 'Rename the table''s column.';
    END IF;
    RETURN key;
END
$$;
COMMENT ON FUNCTION taskapi.check_exposable(regclass) IS
    'Internal: raises the reason why a table cannot be exposed; else returns the columns of its primary key';

CREATE FUNCTION taskapi.resources_of(source regclass) RETURNS SETOF taskapi.resource
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r FROM taskapi.resource r JOIN pg_class c ON c.oid = r.resource WHERE r.source = $1 ORDER BY r.resource;
    END;
COMMENT ON FUNCTION taskapi.resources_of(regclass) IS 'The registry entries of the resources made of a table';

-- Which resource of a table is meant. What is not said is as it was; a second resource over one table is asked for by name.
CREATE FUNCTION taskapi.resource_names(source regclass, INOUT api_schema name, INOUT resource name, OUT former taskapi.resource)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    meant record;
    others text;
BEGIN
    SELECT count(*) AS resources, min(n.nspname::text) AS schema, min(c.relname::text) AS name,
           string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) AS list
    INTO meant
    FROM taskapi.resources_of(source) r JOIN pg_class c ON c.oid = r.resource JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = coalesce(resource_names.api_schema, n.nspname) AND c.relname = coalesce(resource_names.resource, c.relname);
    IF meant.resources > 1 THEN
        RAISE EXCEPTION 'table % has several resources', source
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s.', meant.list),
                  HINT = 'Say which one is meant, by api_schema and resource.';
    END IF;
    IF meant.resources = 0 AND resource IS NULL THEN
        SELECT string_agg(r.resource::text, ', ' ORDER BY r.resource) INTO others FROM taskapi.resources_of(source) r;
        IF others IS NOT NULL THEN
            RAISE EXCEPTION 'table % is exposed already, as %', source, others
                USING ERRCODE = 'duplicate_object', HINT = 'To make another resource of it, give that one a name.';
        END IF;
    END IF;
    api_schema := coalesce(api_schema, meant.schema, 'api');
    resource := coalesce(resource, meant.name, (SELECT c.relname FROM pg_class c WHERE c.oid = source));
    IF api_schema = '' THEN
        RAISE EXCEPTION 'name of a schema must not be empty' USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF resource = '' OR octet_length(resource) > 55 THEN
        RAISE EXCEPTION 'name of resource "%" is empty or too long', resource
            USING ERRCODE = 'invalid_name', DETAIL = 'It can have 55 bytes at most, since deleted_ comes before it.';
    END IF;
    IF meant.resources = 1 THEN
        former := taskapi.registered_resource(to_regclass(format('%I.%I', api_schema, resource)));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.resource_names(regclass, name, name) IS
    'Internal: the schema and name of the resource that expose() is to make or bring up to date, and its registry entry';

-- The schema of a resource is created for whoever calls, or must be out of the reach of strangers. Returns the role that is to
-- create in it: the owner of the table; if that one may not, a superuser does, and hands over what it made.
CREATE FUNCTION taskapi.make_api_schema(api_schema name, owner regrole) RETURNS regrole
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me record;
BEGIN
    SELECT r.oid::regrole AS role, r.rolsuper INTO me FROM pg_roles r WHERE r.rolname = current_user;
    IF api_schema IN ('taskapi', 'pg_catalog', 'information_schema') OR api_schema LIKE 'pg\_%' THEN
        RAISE EXCEPTION 'schema "%" cannot hold resources', api_schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF to_regnamespace(quote_ident(api_schema)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I AUTHORIZATION %s', api_schema, CASE WHEN me.rolsuper THEN me.role ELSE owner END);
        PERFORM taskapi.revoke_from_others('pg_namespace', to_regnamespace(quote_ident(api_schema)));
    END IF;
    PERFORM taskapi.check_schema(api_schema, owner);
    IF has_schema_privilege(owner, api_schema, 'CREATE') THEN
        RETURN owner;
    ELSIF NOT me.rolsuper THEN
        RAISE EXCEPTION 'role % may not create objects in schema "%"', owner, api_schema
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'What belongs to a resource belongs to the owner of its table.',
                  HINT = format('GRANT CREATE ON SCHEMA %I TO %s.', api_schema, owner);
    ELSIF NOT has_schema_privilege(owner, api_schema, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', api_schema, owner);
    END IF;
    RETURN me.role;
END
$$;
COMMENT ON FUNCTION taskapi.make_api_schema(name, regrole) IS
    'Internal: creates the schema of a resource, or checks it, and returns the role that is to create in it';

-- What is there under the names of a resource must belong to it, and to nobody who could betray it.
CREATE FUNCTION taskapi.check_names(source regclass, api_schema name, resource name, soft_delete boolean, former taskapi.resource)
    RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner CONSTANT regrole := taskapi.owner_of(source);
    taken record;
BEGIN
    FOR taken IN
        SELECT n.name, to_regclass(n.qualified) AS relation, to_regtype(n.qualified) AS type, n.own
        FROM (VALUES (resource, format('%I.%I', api_schema, resource), former.resource),
                     ('deleted_' || resource, format('%I.%I', api_schema, 'deleted_' || resource), former.deleted_resource))
             n (name, qualified, own)
        WHERE soft_delete OR n.name = resource
    LOOP
        IF taken.relation IS DISTINCT FROM taken.own AND taken.relation IS NOT NULL
           OR taken.relation IS NULL AND taken.type IS NOT NULL THEN
            RAISE EXCEPTION 'name "%" is taken in schema "%"', taken.name, api_schema
                USING ERRCODE = 'duplicate_table',
                      DETAIL = format('%s does not belong to a resource made of %s.',
                                      coalesce(taken.relation::text, taken.type::text), source),
                      HINT = 'Give the resource another name, or expose it in another schema.';
        END IF;
        IF taken.relation IS NOT NULL AND taskapi.is_stranger(taskapi.owner_of(taken.relation), owner) THEN
            RAISE EXCEPTION 'view % belongs to role %', taken.relation, taskapi.owner_of(taken.relation)
                USING ERRCODE = 'insufficient_privilege', HINT = format('ALTER VIEW %s OWNER TO %s.', taken.relation, owner);
        END IF;
    END LOOP;
    FOR taken IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner, p.proargtypes = taskapi.page_arguments() AS same,
               EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = former.resource) AS own
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = api_schema AND p.proname = resource || '_page'
    LOOP
        IF taskapi.is_stranger(taken.owner, owner) OR taken.same AND NOT taken.own THEN
            RAISE EXCEPTION 'name "%_page" is taken in schema "%"', resource, api_schema
                USING ERRCODE = 'duplicate_function',
                      DETAIL = format('%s, which belongs to role %s, does not belong to a resource made of %s.',
                                      taken.function, taken.owner, source),
                      HINT = 'Give the resource another name, or expose it in another schema.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.check_names(regclass, name, name, boolean, taskapi.resource) IS
    'Internal: raises an error if a name that a resource needs is taken';

-- The order of a resource, in which every row has its own place: what is asked for, else created_at DESC if that is never
-- NULL, else the key; and the columns of the key that are missing.
CREATE FUNCTION taskapi.resource_order(source regclass, key name[], order_by text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted     text := order_by;
    terms      record;
    tiebreaker text;
    unknown    name;
BEGIN
    IF wanted IS NULL THEN
        SELECT 'created_at DESC' INTO wanted FROM pg_attribute a
        WHERE a.attrelid = source AND a.attname = 'created_at' AND a.attnotnull AND NOT a.attisdropped
          AND coalesce(col_description(source, a.attnum), '') NOT LIKE '@private%';
    END IF;
    IF wanted IS NULL THEN
        SELECT string_agg(quote_ident(k), ', ' ORDER BY place) INTO wanted FROM unnest(key) WITH ORDINALITY u (k, place);
    END IF;
    SELECT * INTO terms FROM taskapi.order_by_columns(wanted);
    SELECT c INTO unknown FROM unnest(terms.columns) WITH ORDINALITY u (c, place)
    WHERE c <> ALL (key) AND c NOT IN ('version', 'updated_at')
      AND NOT EXISTS (SELECT FROM pg_attribute a
                      WHERE a.attrelid = source AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped
                        AND coalesce(col_description(source, a.attnum), '') NOT LIKE '@private%')
    ORDER BY place LIMIT 1;
    IF FOUND THEN
        PERFORM taskapi.raise_problem('invalid_order_by', format('Table %s has no column %I to order by.', source, unknown));
    END IF;
    SELECT string_agg(quote_ident(k) || CASE WHEN terms.descending[cardinality(terms.descending)] THEN ' DESC' ELSE '' END, ', '
                      ORDER BY place)
    INTO tiebreaker FROM unnest(key) WITH ORDINALITY u (k, place) WHERE k <> ALL (terms.columns);
    RETURN taskapi.order_by_canonical(concat_ws(', ', wanted, tiebreaker));
END
$$;
COMMENT ON FUNCTION taskapi.resource_order(regclass, name[], text) IS
    'Internal: the order of a resource, made total by the key; invalid_order_by if the table lacks a column of it';

-- A name that no relation of a schema bears: the given one, shortened, with a number if it is taken.
CREATE FUNCTION taskapi.free_name(name text, schema oid) RETURNS name
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.candidate
        FROM (SELECT (left($1, 56) || CASE WHEN i > 0 THEN i::text ELSE '' END)::name AS candidate, i
              FROM generate_series(0, 999) i) n
        WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = $2 AND c.relname = n.candidate)
        ORDER BY n.i LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.free_name(text, oid) IS 'Internal: a name for a relation that is free in a schema';

-- What soft deletion means for a table's triggers and keys: it says so.
CREATE FUNCTION taskapi.report_trash_gaps(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    index record;
    names text;
BEGIN
    SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') INTO names FROM pg_trigger t
    WHERE (t.tgrelid = source OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(source) p))
      AND NOT t.tgisinternal AND t.tgtype & 8 <> 0;
    IF names IS NOT NULL THEN
        RAISE NOTICE 'triggers of table % for DELETE fire when a row is purged, not when it is deleted', source
            USING DETAIL = format('They are %s. A deletion is an UPDATE of deleted_at and deletion_id, and so is a restore.', names);
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) INTO names
    FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = source AND a.attnum = k.attnum
    WHERE i.indrelid = source AND i.indisprimary AND k.place <= i.indnkeyatts
    HAVING bool_and(a.attidentity = '' AND a.attgenerated = '' AND NOT a.atthasdef);
    IF names IS NOT NULL THEN
        RAISE NOTICE 'deleted rows keep their primary keys in table % taken', source
            USING HINT = format('Clients choose %s: a key is free again when its row is purged. A key that the table makes, '
                                'and a unique index on the live rows'' %1$s, would free it at once.', names);
    END IF;
    FOR index IN
        SELECT i.indexrelid::regclass AS name, c.relname, c.relnamespace, k.conname, i.indisexclusion AS excludes, k.contype,
               CASE WHEN i.indisexclusion THEN pg_get_constraintdef(k.oid) ELSE pg_get_indexdef(i.indexrelid) END AS definition
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = source AND k.contype IN ('u', 'x')
        WHERE i.indrelid = source AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND i.indpred IS NULL
        ORDER BY i.indexrelid
    LOOP
        IF index.excludes THEN
            RAISE NOTICE 'deleted rows keep their values in constraint % taken', quote_ident(index.conname)
                USING HINT = CASE index.contype
                    WHEN 'x' THEN format('One over the live rows would not: '
                                         'ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s.', source, index.conname,
                                         regexp_replace(index.definition, '( DEFERRABLE.*)?$', ' WHERE (deleted_at IS NULL)\1'))
                    ELSE 'An exclusion constraint WHERE (deleted_at IS NULL) would not.' END;
            CONTINUE;
        END IF;
        RAISE NOTICE 'deleted rows keep their values in unique index % taken', index.name
            USING HINT = format('An index over the live rows would not: %s WHERE (deleted_at IS NULL); then %s.',
                                regexp_replace(index.definition, '^CREATE UNIQUE INDEX .*? ON ',
                                               format('CREATE UNIQUE INDEX %I ON ',
                                                      taskapi.free_name(index.relname || '_live', index.relnamespace))),
                                CASE WHEN index.conname IS NULL THEN format('DROP INDEX %s', index.name)
                                     ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', source, index.conname) END);
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.report_trash_gaps(regclass) IS
    'Internal: NOTICEs for the triggers and keys of a table that soft deletion concerns';

-- What expose() cannot change: it says so. Runs as the owner of the table, whose index predicates the planner evaluates.
CREATE FUNCTION taskapi.report_gaps(source regclass, view regclass, deleted_view regclass, order_by text, last_first text,
                                    first_time boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    advice text := taskapi.index_advice(view, order_by);
BEGIN
    IF deleted_view IS NOT NULL THEN
        IF first_time THEN
            RAISE NOTICE 'code that reads table % itself sees deleted rows, unless it asks for deleted_at IS NULL', source;
        END IF;
        PERFORM taskapi.report_trash_gaps(source);
    END IF;
    IF advice IS NOT NULL THEN
        RAISE NOTICE 'no index serves the order of resource %', view USING HINT = advice;
    END IF;
    -- The purge reads them in order of deletion, from an index that holds no live rows or begins with deleted_at.
    IF deleted_view IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = source AND a.attname = 'deleted_at'
        WHERE i.indrelid = source
          AND (i.indkey[0] = a.attnum OR pg_get_expr(i.indpred, source) = '(deleted_at IS NOT NULL)')) THEN
        advice := taskapi.index_advice(deleted_view, last_first);
        RAISE NOTICE 'no index leads to the deleted rows of %', source USING HINT = advice;
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.report_gaps(regclass, regclass, regclass, text, text, boolean) IS
    'Internal: NOTICEs for what a resource lacks and its owner can add';

-- Makes the views, the page function and the columns of a resource, and says what the registry is to hold. It registers nothing.
CREATE FUNCTION taskapi.make_resource(source regclass, api_schema name, resource name, order_by text, soft_delete boolean,
                                      versioned boolean, idempotent boolean, OUT entry taskapi.resource,
                                      OUT former taskapi.resource, OUT shown smallint[], OUT kept_grants text[],
                                      OUT last_first text)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key          CONSTANT name[] := taskapi.check_exposable(source);
    owner        CONSTANT regrole := taskapi.owner_of(source);
    names        CONSTANT record := taskapi.resource_names(source, api_schema, resource);
    creator      regrole;
    view         regclass;
    deleted_view regclass;
    page         name;
BEGIN
    former := names.former;
    api_schema := names.api_schema;
    resource := names.resource;
    soft_delete := coalesce(soft_delete, former.soft_delete, true);
    versioned := coalesce(versioned, former.versioned, true);
    idempotent := coalesce(idempotent, former.idempotent, true);

    creator := taskapi.make_api_schema(api_schema, owner);
    PERFORM taskapi.check_names(source, api_schema, resource, soft_delete, former);
    order_by := taskapi.resource_order(source, key, coalesce(order_by, former.order_by));
    last_first := taskapi.deleted_order(key);

    IF soft_delete AND former.soft_delete IS NOT TRUE AND EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = 'deleted_at' AND NOT a.attisdropped)
       AND NOT EXISTS (SELECT FROM taskapi.resources_of(source) r WHERE r.soft_delete)
       AND taskapi.run_as(owner, format('SELECT EXISTS (SELECT FROM %s t WHERE t.deleted_at IS NOT NULL)', source)) = 't'
    THEN
        RAISE WARNING 'rows of table % that were deleted before become deleted rows of the resource', source
            USING DETAIL = 'taskapi.maintain() removes for good what was deleted longer ago than taskapi.deleted_retention.',
                  HINT = 'To keep them, set taskapi.deleted_retention to -1 for the role that runs taskapi.maintain().';
    END IF;
    PERFORM taskapi.run_as(owner, 'SELECT taskapi.add_resource_columns($1, $2, $3)', source, soft_delete, versioned);
    shown := taskapi.shown_columns(former.resource);
    kept_grants := taskapi.hide_private_columns(former, key);
    view := taskapi.make_live_view(creator, source, api_schema, resource, order_by, soft_delete, versioned, key);
    deleted_view := taskapi.make_deleted_view(creator, source, api_schema, resource, last_first, soft_delete, versioned, key,
                                              former);
    page := taskapi.make_page_function(creator, view, api_schema, resource, order_by, former);
    entry := ROW(view, source, deleted_view, page, order_by, soft_delete, versioned, idempotent,
                 coalesce(former.deleted_at_column, 'deleted_at'));
END
$$;
COMMENT ON FUNCTION taskapi.make_resource(regclass, name, name, text, boolean, boolean, boolean) IS
    'Internal: what expose() does before the resource is in the registry';

CREATE FUNCTION taskapi.finish_resource(entry taskapi.resource, former taskapi.resource, shown smallint[], kept_grants text[],
                                        last_first text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner CONSTANT regrole := taskapi.owner_of(entry.source);
BEGIN
    PERFORM taskapi.run_as(owner, 'SELECT taskapi.set_source_triggers($1)', entry.source);
    PERFORM taskapi.grant_again(owner, kept_grants);
    PERFORM taskapi.grant_new_columns(entry.resource, shown, former);
    PERFORM taskapi.run_as(owner, 'SELECT taskapi.report_gaps($1, $2, $3, $4, $5, $6)', entry.source, entry.resource,
                           entry.deleted_resource, entry.order_by, last_first, former.resource IS NULL);
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.finish_resource(taskapi.resource, taskapi.resource, smallint[], text[], text) IS
    'Internal: what expose() does after the resource is in the registry';

-- expose(source, api_schema, resource, order_by, soft_delete, versioned, idempotent) -> the view
--
-- Makes a table a resource, or brings the resource up to date with its table and with the extension. NULL keeps what was
-- chosen before; the first time it is schema api, the table's name, created_at DESC if that is never NULL, else the key, and
-- true. No role is granted anything but the columns that this call adds to a resource that was granted before. The caller must
-- have the rights of the table's owner. The locks are waited for 100 ms at a time, the views' before the table's, and given back
-- before the next try: for 5 seconds in all, while expose_online() goes on for longer.
--
-- In C, between the two functions above, since no role can write the registry: there is no function to call that does.
CREATE FUNCTION taskapi.expose(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                               order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL, versioned boolean DEFAULT NULL,
                               idempotent boolean DEFAULT NULL)
    RETURNS regclass
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS 'MODULE_PATHNAME', 'taskapi_expose';
COMMENT ON FUNCTION taskapi.expose(regclass, name, name, text, boolean, boolean, boolean) IS
    'Makes a table that the caller owns an HTTP resource, or brings the resource up to date; nobody is granted anything';

-- Returns the table, or NULL if it is gone.
CREATE FUNCTION taskapi.drop_resource(resource regclass) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry CONSTANT taskapi.resource := taskapi.registered_resource(resource);
BEGIN
    IF entry.resource IS NULL THEN
        RAISE EXCEPTION '% is not a resource', coalesce(resource::text, 'null') USING ERRCODE = 'wrong_object_type';
    END IF;
    IF NOT pg_has_role(taskapi.owner_of(entry.resource), 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of view %', entry.resource USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM taskapi.drop_resource_views(entry);
    RETURN (SELECT c.oid FROM pg_class c WHERE c.oid = entry.source);
END
$$;
COMMENT ON FUNCTION taskapi.drop_resource(regclass) IS 'Internal: what unexpose() does while the resource is in the registry';

CREATE FUNCTION taskapi.finish_unexpose(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF source IS NOT NULL THEN
        PERFORM taskapi.run_as(taskapi.owner_of(source), 'SELECT taskapi.set_source_triggers($1)', source);
    END IF;
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.finish_unexpose(regclass) IS 'Internal: what unexpose() does after the entry is gone';

-- unexpose(resource): drops the views and the page function of a resource, and the triggers that its table no longer needs.
-- Columns, rows and privileges of the table stay. The caller must have the rights of the owner. Locks as for expose().
CREATE FUNCTION taskapi.unexpose(resource regclass) RETURNS void
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'taskapi_unexpose';
COMMENT ON FUNCTION taskapi.unexpose(regclass) IS
    'Drops a resource. Its table keeps all its columns and rows, the deleted ones too';
