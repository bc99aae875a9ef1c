-- expose(), expose_plan() and unexpose(). They run as their caller, who has the rights of the table's owner, and are therefore
-- everybody's to call.
--
-- What expose() does is planned first and done then. The plan is read from the catalog and locks nothing: what is wanted
-- (want_resource), why it cannot be (table_misfits, resolve_resource), the statements that are missing (resource_statements) and
-- what they leave to the owner (resource_notices). expose() runs the statements, each as its role, and expose_plan() prints them.

-- A resource that is wanted, with every choice made.
CREATE TYPE taskapi.wanted_resource AS (
    source            regclass,
    owner             regrole,
    creator           regrole,
    api_schema        name,
    resource          name,
    key               name[],
    order_by          text,
    soft_delete       boolean,
    versioned         boolean,
    idempotent        boolean,
    deleted_at_column name,
    changes           boolean,
    scope             text,
    publish           text,
    departures        name,
    former            taskapi.resource,
    adopted           boolean,
    leaving           name[],
    remake            boolean
);
COMMENT ON TYPE taskapi.wanted_resource IS 'Internal: a resource that expose() is to make, or to bring up to date';
COMMENT ON COLUMN taskapi.wanted_resource.creator IS
    'Who creates in the schema: the owner of the table; if that one may not, a superuser, who hands over what it made';
COMMENT ON COLUMN taskapi.wanted_resource.key IS 'The columns of the primary key';
COMMENT ON COLUMN taskapi.wanted_resource.departures IS
    'The table of the rows that left, in the schema of the table; NULL if no resource made of the table tells its changes';
COMMENT ON COLUMN taskapi.wanted_resource.former IS 'The entry of the resource, if it is there already';
COMMENT ON COLUMN taskapi.wanted_resource.adopted IS 'Its views and triggers are there, and no entry: a restore lost it';
COMMENT ON COLUMN taskapi.wanted_resource.leaving IS 'Columns that its views show, and must no longer show';
COMMENT ON COLUMN taskapi.wanted_resource.remake IS 'The views are dropped and made again';

CREATE FUNCTION taskapi.kept_by_citus(source regclass) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_kept_by_citus';
COMMENT ON FUNCTION taskapi.kept_by_citus(regclass) IS
    'Internal: is it a table that Citus keeps on other servers? A resource over it could not promise once';

-- What can be a resource at all: raises the reason if this cannot, or the caller has no rights on it.
CREATE FUNCTION taskapi.check_exposable(source regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class     pg_class;
    extension name;
BEGIN
    SELECT * INTO class FROM pg_class c WHERE c.oid = source;
    IF source IS NULL THEN
        RAISE EXCEPTION 'source must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', source::oid USING ERRCODE = 'undefined_table';
    END IF;
    IF class.relnamespace = 'pg_catalog'::regnamespace OR class.relnamespace = 'information_schema'::regnamespace
       OR class.oid < 16384 THEN
        RAISE EXCEPTION 'cannot expose system table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'cannot expose "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Only tables and partitioned tables can be exposed.',
                  HINT = CASE WHEN class.relkind IN ('v', 'm') THEN 'Pages of a view are read by taskapi.page().'
                         ELSE 'Expose a table.' END;
    END IF;
    IF class.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot expose temporary table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relispartition THEN
        RAISE EXCEPTION 'cannot expose partition "%"', class.relname
            USING ERRCODE = 'wrong_object_type', HINT = 'Expose the partitioned table.';
    END IF;
    SELECT e.extname INTO extension FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = source AND d.refclassid = 'pg_extension'::regclass
      AND d.deptype = 'e';
    IF FOUND THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = format('It belongs to extension %I.', extension);
    END IF;
    IF NOT pg_has_role(class.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', class.relname USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF taskapi.kept_by_citus(source) THEN
        RAISE EXCEPTION 'cannot expose distributed table "%"', class.relname
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its rows are committed on other servers than idempotency keys and messages are, so a request could'
                           ' have its effect twice.',
                  HINT = 'Pages of it are read by taskapi.page(), and rows after a cursor by cursor > TOKEN.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_exposable(regclass) IS
    'Internal: raises the reason why a relation cannot be exposed, apart from its columns and indexes';

CREATE FUNCTION taskapi.resources_of(source regclass) RETURNS SETOF taskapi.resource
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r FROM taskapi.resource r JOIN pg_class c ON c.oid = r.resource WHERE r.source = $1 ORDER BY r.resource;
    END;
COMMENT ON FUNCTION taskapi.resources_of(regclass) IS 'Internal: the registry entries of the resources made of a table';

CREATE FUNCTION taskapi.raise_no_resource(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made CONSTANT text[] := ARRAY(SELECT r.resource::text FROM taskapi.resources_of(relation) r);
BEGIN
    RAISE EXCEPTION '% is not a resource', coalesce(relation::text, 'null')
        USING ERRCODE = 'wrong_object_type',
              HINT = CASE cardinality(made) WHEN 0 THEN 'taskapi.resource lists the resources.'
                                            WHEN 1 THEN format('Its resource is %s.', made[1])
                                            ELSE format('Its resources are %s.', array_to_string(made, ', ')) END;
END
$$;
COMMENT ON FUNCTION taskapi.raise_no_resource(regclass) IS
    'Internal: raises the error that a relation is not a resource, and says which resources are made of it';

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
                  HINT = 'Name the one that is meant, with api_schema and resource.';
    END IF;
    IF meant.resources = 0 AND resource IS NULL THEN
        SELECT string_agg(r.resource::text, ', ' ORDER BY r.resource) INTO others FROM taskapi.resources_of(source) r;
        IF others IS NOT NULL THEN
            RAISE EXCEPTION 'table % is already exposed as %', source, others
                USING ERRCODE = 'duplicate_object', HINT = 'To make another resource of the table, give it a name.';
        END IF;
    END IF;
    api_schema := coalesce(api_schema, meant.schema, 'api');
    resource := coalesce(resource, meant.name, (SELECT c.relname FROM pg_class c WHERE c.oid = source));
    IF api_schema IN ('taskapi', 'pg_catalog', 'information_schema') OR api_schema LIKE 'pg\_%' THEN
        RAISE EXCEPTION 'schema "%" cannot hold resources', api_schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF api_schema = '' THEN
        RAISE EXCEPTION 'name of a schema must not be empty' USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF resource = '' OR octet_length(resource) > 55 THEN
        RAISE EXCEPTION 'name of resource "%" is empty or too long', resource
            USING ERRCODE = 'invalid_name', DETAIL = 'It can have 55 bytes at most, since deleted_ comes before it.';
    END IF;
    IF meant.resources = 1 THEN
        former := taskapi.registered_resource(taskapi.relation_named(api_schema, resource));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.resource_names(regclass, name, name) IS
    'Internal: the schema and name of the resource that expose() is to make or bring up to date, and its registry entry';

-- Views that expose() made, and of which the registry knows nothing: a restore by a role that cannot write the registry brings
-- them so. What they are made of says how they were made. NULL if there are none of this table by that name.
CREATE FUNCTION taskapi.adoptable_resource(source regclass, api_schema name, resource name) RETURNS taskapi.resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    view    CONSTANT regclass := taskapi.relation_named(api_schema, resource);
    trash   CONSTANT regclass := taskapi.relation_named(api_schema, 'deleted_' || resource);
    owner   CONSTANT regrole := taskapi.owner_of(source);
    found   taskapi.resource;
    sorted  text;
    deleted text;
BEGIN
    IF NOT taskapi.is_own_view(view, source) OR taskapi.owner_of(view) <> owner
       OR (taskapi.registered_resource(view)).resource IS NOT NULL THEN
        RETURN NULL;
    END IF;
    sorted := (regexp_match(pg_get_viewdef(view), 'taskapi\.cursor\(''((?:[^'']|'''')*)''::text,'))[1];
    deleted := (regexp_match(pg_get_viewdef(view), 'WHERE \((?:t\.)?("(?:[^"]|"")*"|\w+) IS NULL\);$'))[1];
    IF sorted IS NULL OR deleted IS NULL AND trash IS NOT NULL THEN
        RETURN NULL;
    END IF;
    found.resource := view;
    found.source := source;
    found.page_function := resource || '_page';
    found.order_by := replace(sorted, '''''', '''');
    found.soft_delete := deleted IS NOT NULL;
    found.versioned := EXISTS (SELECT FROM pg_trigger t
                               WHERE t.tgrelid = source AND t.tgfoid = 'taskapi.resource_touch()'::regprocedure);
    found.idempotent := true;
    found.deleted_at_column := coalesce((parse_ident(deleted))[1], 'deleted_at');
    found.changes := EXISTS (SELECT FROM pg_trigger t
                             WHERE t.tgrelid = source AND t.tgfoid = 'taskapi.change_stamp()'::regprocedure);
    IF found.soft_delete AND taskapi.is_own_view(trash, source) AND taskapi.owner_of(trash) = owner THEN
        found.deleted_resource := trash;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION taskapi.adoptable_resource(regclass, name, name) IS
    'Internal: the entry that views of a table would have, which expose() made and the registry does not know';

-- Every choice: what is asked for, else what was chosen before, else the default.
CREATE FUNCTION taskapi.want_resource(source regclass, api_schema name, resource name, order_by text, soft_delete boolean,
                                      versioned boolean, idempotent boolean, changes boolean, scope text, publish text,
                                      deleted_at_column name)
    RETURNS taskapi.wanted_resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names  record;
    wanted taskapi.wanted_resource;
BEGIN
    PERFORM taskapi.check_exposable(source);
    names := taskapi.resource_names(source, api_schema, resource);
    wanted.source := source;
    wanted.owner := taskapi.owner_of(source);
    wanted.api_schema := names.api_schema;
    wanted.resource := names.resource;
    wanted.former := names.former;
    wanted.adopted := false;
    IF (wanted.former).resource IS NULL THEN
        wanted.former := taskapi.adoptable_resource(source, names.api_schema, names.resource);
        wanted.adopted := (wanted.former).resource IS NOT NULL;
    END IF;
    wanted.order_by := order_by;
    wanted.soft_delete := coalesce(soft_delete, (wanted.former).soft_delete, true);
    wanted.versioned := coalesce(versioned, (wanted.former).versioned, true);
    wanted.idempotent := coalesce(idempotent, (wanted.former).idempotent, true);
    wanted.deleted_at_column := taskapi.deletion_column(wanted, deleted_at_column);
    wanted.changes := coalesce(changes, (wanted.former).changes, false);
    wanted.scope := nullif(coalesce(scope, (wanted.former).scope), '');
    wanted.publish := nullif(coalesce(publish, (wanted.former).publish), '');
    wanted.key := taskapi.key_columns(source);
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION taskapi.want_resource(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Internal: the resource that expose() is asked for, with what was chosen before and the defaults';

-- How another column comes to mark the deleted rows. One that does not fit is first made to.
CREATE FUNCTION taskapi.other_deletion_column(wanted taskapi.wanted_resource, asked name, present name) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    cures  text[];
    advice text[];
    there  boolean;
BEGIN
    wanted.deleted_at_column := asked;
    SELECT array_agg(coalesce(m.statement, format('ALTER TABLE %s %s;', source, m.action))), array_agg(m.advice),
           count(m.statement) = 0
    INTO cures, advice, there
    FROM taskapi.column_misfits(wanted) m WHERE starts_with(m.misfit, format('Column %I is ', asked));
    -- of a type that no time can be made of, it was renamed
    IF NOT there OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = asked) THEN
        cures := cures || format('ALTER TABLE %s ADD COLUMN %I timestamptz;', source, asked);
    END IF;
    RETURN concat_ws(' ', array_to_string(cures, ' '),
                     format('UPDATE %s SET %I = %I; call taskapi.expose() with soft_delete => false, and again with'
                            ' soft_delete => true and the column.', source, asked, present),
                     nullif(array_to_string(advice, ' '), ''));
END
$$;
COMMENT ON FUNCTION taskapi.other_deletion_column(taskapi.wanted_resource, name, name) IS
    'Internal: what has to be done so that another column marks the deleted rows of a resource';

-- The column that marks deletion. If it was renamed, the view of the deleted rows tells. All resources made of a table have the
-- same, and rows that are marked in another one would come back to life.
CREATE FUNCTION taskapi.deletion_column(wanted taskapi.wanted_resource, asked name) RETURNS name
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    chosen record;
BEGIN
    IF asked IN ('', 'version', 'updated_at', 'deletion_id', 'cursor')
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = asked AND a.attnum < 0) THEN
        RAISE EXCEPTION 'column "%" cannot mark deleted rows', asked
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'The name is reserved for another purpose.';
    END IF;
    SELECT r.resource, r.deleted_at_column AS name,
           coalesce((SELECT a.attname FROM taskapi.resource_columns(r.deleted_resource) c
                     JOIN pg_attribute a ON a.attrelid = r.source AND a.attnum = c.source_attnum
                     WHERE c.name = r.deleted_at_column), r.deleted_at_column) AS present,
           r.resource IS DISTINCT FROM (wanted.former).resource AS of_another
    INTO chosen
    FROM (SELECT o.* FROM taskapi.resources_of(source) o UNION SELECT (wanted.former).*) r
    WHERE r.soft_delete ORDER BY 4, r.resource LIMIT 1;
    IF NOT FOUND THEN
        RETURN coalesce(asked, (wanted.former).deleted_at_column, 'deleted_at');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = chosen.present) THEN
        RAISE EXCEPTION 'table % lacks column "%", which marks its deleted rows', source, chosen.present
            USING ERRCODE = 'undefined_column',
                  HINT = format('If it was renamed: ALTER TABLE %s RENAME COLUMN its_name_now TO %I.', source, chosen.present);
    END IF;
    IF asked <> chosen.present AND wanted.soft_delete THEN
        RAISE EXCEPTION 'column "%" of table % already marks its deleted rows', chosen.present, source
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Resource %s says so. Rows that it marks would come back to life.', chosen.resource),
                  HINT = CASE WHEN chosen.of_another THEN 'All resources made of a table have the same deleted_at_column.'
                              ELSE taskapi.other_deletion_column(wanted, asked, chosen.present) END;
    END IF;
    RETURN chosen.present;
END
$$;
COMMENT ON FUNCTION taskapi.deletion_column(taskapi.wanted_resource, name) IS
    'Internal: the column that marks the deleted rows of a resource that is wanted';

-- What is there under the names of a resource must belong to it, and what is taken over to no role that could betray it.
CREATE FUNCTION taskapi.check_names(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken record;
BEGIN
    FOR taken IN
        SELECT n.name, taskapi.relation_named(wanted.api_schema, n.name) AS relation, n.own,
               (SELECT t.oid::regtype FROM pg_type t JOIN pg_namespace s ON s.oid = t.typnamespace
                WHERE s.nspname = wanted.api_schema AND t.typname = n.name) AS type
        FROM (VALUES (wanted.resource, (wanted.former).resource),
                     (('deleted_' || wanted.resource)::name, (wanted.former).deleted_resource)) n (name, own)
        WHERE wanted.soft_delete OR n.name = wanted.resource
    LOOP
        IF taken.relation IS DISTINCT FROM taken.own AND taken.relation IS NOT NULL
           OR taken.relation IS NULL AND taken.type IS NOT NULL THEN
            RAISE EXCEPTION 'name "%" is taken in schema "%"', taken.name, wanted.api_schema
                USING ERRCODE = 'duplicate_table',
                      DETAIL = format('%s does not belong to a resource made of %s.',
                                      coalesce(taken.relation::text, taken.type::text), wanted.source),
                      HINT = 'Give the resource another name, or expose it in another schema.';
        END IF;
    END LOOP;
    FOR taken IN
        SELECT p.oid::regprocedure AS function, p.proname AS name, p.proowner::regrole AS owner
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = wanted.api_schema
          AND (p.proname = wanted.resource || '_page'
               OR wanted.changes AND p.proname::text = wanted.resource || '_changes'
               OR wanted.soft_delete AND p.proname::text = 'deleted_' || wanted.resource || '_page')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_class'::regclass
                              AND d.refobjid IN ((wanted.former).resource, (wanted.former).deleted_resource))
          AND (taskapi.is_stranger(p.proowner, wanted.owner)
               OR p.proargtypes IN (taskapi.page_arguments(), taskapi.changes_arguments()))
    LOOP
        RAISE EXCEPTION 'name "%" is taken in schema "%"', taken.name, wanted.api_schema
            USING ERRCODE = 'duplicate_function',
                  DETAIL = format('%s, which belongs to role %s, does not belong to a resource made of %s.',
                                  taken.function, taken.owner, wanted.source),
                  HINT = 'Give the resource another name, or expose it in another schema.';
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.check_names(taskapi.wanted_resource) IS
    'Internal: raises an error if a name that a resource needs is taken';

-- The views and the page function of a resource that belong to another role than its table, which was given away meanwhile. The
-- caller must have the rights of that role to take them away.
CREATE FUNCTION taskapi.owned_by_others(wanted taskapi.wanted_resource) RETURNS TABLE (object text, owner regrole)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT 'VIEW ' || c.oid::regclass, c.relowner::regrole FROM pg_class c
        WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND c.relowner <> ($1).owner
        UNION ALL
        SELECT 'FUNCTION ' || p.oid::regprocedure, p.proowner::regrole FROM pg_proc p
        WHERE p.oid IN (taskapi.page_function_of((($1).former).resource),
                        taskapi.page_function_of((($1).former).deleted_resource),
                        taskapi.changes_function_of((($1).former).resource)) AND p.proowner <> ($1).owner
        ORDER BY 1;
    END;
COMMENT ON FUNCTION taskapi.owned_by_others(taskapi.wanted_resource) IS
    'Internal: what belongs to a resource and not to the owner of its table';

CREATE FUNCTION taskapi.check_owners(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others record;
BEGIN
    SELECT string_agg(DISTINCT o.owner::text, ', ') AS owners,
           string_agg(format('ALTER %s OWNER TO %s;', o.object, wanted.owner), ' ' ORDER BY o.object) AS statements
    INTO others FROM taskapi.owned_by_others(wanted) o WHERE NOT pg_has_role(o.owner, 'USAGE');
    IF others.owners IS NOT NULL THEN
        RAISE EXCEPTION 'resource % belongs to role %', (wanted.former).resource, others.owners
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Table %s belongs to role %s.', wanted.source, wanted.owner),
                  HINT = format('Let a superuser call taskapi.expose(), or run: %s', others.statements);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_owners(taskapi.wanted_resource) IS
    'Internal: raises an error if a resource belongs to a role whose rights the caller does not have';

-- The schema of a resource is created for whoever calls, or must be out of the reach of strangers. Returns the role that is to
-- create in it.
CREATE FUNCTION taskapi.creator_in(api_schema name, owner regrole) RETURNS regrole
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me record;
BEGIN
    SELECT r.oid::regrole AS role, r.rolsuper INTO me FROM pg_roles r WHERE r.rolname = current_user;
    IF to_regnamespace(quote_ident(api_schema)) IS NULL THEN
        IF NOT has_database_privilege(current_database(), 'CREATE') THEN
            RAISE EXCEPTION 'permission denied to create schema "%"', api_schema
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('GRANT CREATE ON DATABASE %I TO %s, or let a superuser create the schema.',
                                    current_database(), me.role);
        END IF;
        RETURN CASE WHEN me.rolsuper AND NOT (SELECT o.rolsuper FROM pg_roles o WHERE o.oid = owner) THEN me.role ELSE owner END;
    END IF;
    PERFORM taskapi.check_schema(api_schema, owner);
    IF has_schema_privilege(owner, api_schema, 'CREATE') THEN
        RETURN owner;
    ELSIF NOT me.rolsuper THEN
        RAISE EXCEPTION 'role % may not create objects in schema "%"', owner, api_schema
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'The objects of a resource belong to the owner of its table.',
                  HINT = format('GRANT CREATE ON SCHEMA %I TO %s.', api_schema, owner);
    END IF;
    RETURN me.role;
END
$$;
COMMENT ON FUNCTION taskapi.creator_in(name, regrole) IS
    'Internal: the role that is to create the views of a resource; an error if strangers can change the schema';

-- The order of a resource, in which every row has its own place: what is asked for, else what was chosen before, by the names
-- that its columns have now, else created_at DESC if that is never NULL, else the key; and the columns of the key that are
-- missing.
CREATE FUNCTION taskapi.resource_order(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sorted     text := wanted.order_by;
    terms      record;
    tiebreaker text;
    unknown    name;
BEGIN
    IF sorted IS NULL AND (wanted.former).resource IS NOT NULL THEN
        SELECT taskapi.order_by_renamed((wanted.former).order_by, array_agg(c.name), array_agg(a.attname)) INTO sorted
        FROM taskapi.resource_columns((wanted.former).resource) c
        JOIN pg_attribute a ON a.attrelid = wanted.source AND a.attnum = c.source_attnum;
    END IF;
    IF sorted IS NULL THEN
        SELECT 'created_at DESC' INTO sorted FROM pg_attribute a
        WHERE a.attrelid = wanted.source AND a.attname = 'created_at' AND a.attnotnull AND NOT a.attisdropped
          AND coalesce(col_description(wanted.source, a.attnum), '') NOT LIKE '@private%';
    END IF;
    IF sorted IS NULL THEN
        SELECT string_agg(quote_ident(k), ', ' ORDER BY place) INTO sorted FROM unnest(wanted.key) WITH ORDINALITY u (k, place);
    END IF;
    SELECT * INTO terms FROM taskapi.order_by_columns(sorted);
    SELECT c INTO unknown FROM unnest(terms.columns) WITH ORDINALITY u (c, place)
    WHERE c NOT IN (SELECT s.name FROM taskapi.source_columns(wanted) s WHERE s.name = ANY (wanted.key) OR NOT s.private)
    ORDER BY place LIMIT 1;
    IF FOUND THEN
        PERFORM taskapi.raise_problem('invalid_order_by',
            format('Table %s has no column %I to order by.', wanted.source, unknown),
            CASE WHEN wanted.order_by IS NULL
                 THEN format('It was exposed in order %s. Name another one with order_by.', sorted) END);
    END IF;
    SELECT string_agg(quote_ident(k) || CASE WHEN terms.descending[cardinality(terms.descending)] THEN ' DESC' ELSE '' END, ', '
                      ORDER BY place)
    INTO tiebreaker FROM unnest(wanted.key) WITH ORDINALITY u (k, place) WHERE k <> ALL (terms.columns);
    sorted := taskapi.order_by_canonical(concat_ws(', ', sorted, tiebreaker));
    -- invalid_order_by, if no cursor can hold a type of it. A domain may refuse NULL, but not as what an array lacks; of an
    -- array, such an element would be one of its own.
    PERFORM taskapi.run_as(wanted.owner, format('SELECT taskapi.cursor(%L, %s)', sorted,
                (SELECT string_agg(format(CASE WHEN t.typtype = 'd' THEN '(NULL::%s[])[1]' ELSE 'NULL::%s' END,
                                          coalesce(format_type(a.atttypid, NULL), n.type)), ', ' ORDER BY u.place)
                 FROM taskapi.order_by_columns(sorted) o, unnest(o.columns) WITH ORDINALITY u (name, place)
                 LEFT JOIN pg_attribute a ON a.attrelid = wanted.source AND a.attname = u.name
                 LEFT JOIN pg_type t ON t.oid = a.atttypid
                 LEFT JOIN taskapi.needed_columns(wanted) n ON n.name = u.name)));
    RETURN sorted;
END
$$;
COMMENT ON FUNCTION taskapi.resource_order(taskapi.wanted_resource) IS
    'Internal: the order of a resource, made total by the key; invalid_order_by if the table lacks a column of it';

-- Raises an error with everything about a table that does not fit, and the statements that help.
CREATE FUNCTION taskapi.check_misfits(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT min(m.code) FILTER (WHERE m.place = 1) AS code, string_agg(m.misfit, E'\n' ORDER BY m.place) AS misfits INTO found
    FROM taskapi.table_misfits(wanted) WITH ORDINALITY m (code, misfit, statement, action, advice, place);
    IF found.misfits IS NOT NULL THEN
        RAISE EXCEPTION 'cannot expose table "%"', (SELECT c.relname FROM pg_class c WHERE c.oid = wanted.source)
            USING ERRCODE = found.code, DETAIL = found.misfits,
                  HINT = (SELECT string_agg(c, E'\n') FROM taskapi.misfit_cures(wanted) c);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_misfits(taskapi.wanted_resource) IS
    'Internal: raises an error with all that does not fit about a table, and the statements that help';

-- Writes would fail without an outbox, or if the table's owner, with whose rights its trigger works, may not publish.
CREATE FUNCTION taskapi.check_publish(topic text, owner regrole) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(topic) > 1024 THEN
        RAISE EXCEPTION 'topic is too long' USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can have 1024 bytes at most.';
    END IF;
    IF NOT EXISTS (SELECT FROM taskapi.outbox_location()) THEN
        RAISE EXCEPTION 'there is no outbox in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call taskapi.create_outbox() before you give publish.';
    END IF;
    IF NOT has_function_privilege(owner, 'taskapi.publish(text, text, jsonb, jsonb)', 'EXECUTE') THEN
        RAISE EXCEPTION 'role % may not publish', owner
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Writes to the table are published with the rights of its owner.',
                  HINT = format('GRANT EXECUTE ON FUNCTION taskapi.publish TO %s.', owner);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_publish(text, regrole) IS
    'Internal: raises the reason why writes to a table of a role cannot be published under a topic';

-- What is left to choose once the table fits, or the reason why it cannot be so.
CREATE FUNCTION taskapi.resolve_resource(wanted taskapi.wanted_resource) RETURNS taskapi.wanted_resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    wanted.creator := taskapi.creator_in(wanted.api_schema, wanted.owner);
    PERFORM taskapi.check_names(wanted), taskapi.check_owners(wanted);
    IF wanted.publish IS NOT NULL THEN
        PERFORM taskapi.check_publish(wanted.publish, wanted.owner);
    END IF;
    wanted.order_by := taskapi.resource_order(wanted);
    PERFORM taskapi.check_changes(wanted);
    wanted.departures := taskapi.wanted_departures(wanted);
    wanted.leaving := taskapi.leaving_columns(wanted);
    wanted.remake := wanted.leaving <> '{}' OR EXISTS (SELECT FROM taskapi.owned_by_others(wanted));
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION taskapi.resolve_resource(taskapi.wanted_resource) IS
    'Internal: a resource that is wanted, with its order, and who creates what';

-- Runs the statements that make a resource, and says what the registry is to hold. It registers nothing.
CREATE FUNCTION taskapi.make_resource(source regclass, api_schema name, resource name, order_by text, soft_delete boolean,
                                      versioned boolean, idempotent boolean, changes boolean, scope text, publish text,
                                      deleted_at_column name) RETURNS taskapi.resource
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted taskapi.wanted_resource := taskapi.want_resource($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
    roles      regrole[];
    statements text[];
    notices    jsonb;
    told       record;
    entry      taskapi.resource;
BEGIN
    PERFORM taskapi.check_misfits(wanted);
    wanted := taskapi.resolve_resource(wanted);
    SELECT array_agg(s.runs_as ORDER BY s.place), array_agg(s.statement ORDER BY s.place) INTO roles, statements
    FROM taskapi.resource_statements(wanted) WITH ORDINALITY s (runs_as, statement, place);
    SELECT jsonb_agg(n ORDER BY n.place) INTO notices
    FROM taskapi.resource_notices(wanted) WITH ORDINALITY n (level, message, detail, hint, place);
    FOR i IN 1 .. cardinality(statements) LOOP
        PERFORM taskapi.run_as(roles[i], statements[i]);
    END LOOP;
    -- afterwards: what cannot get its locks is tried again
    FOR told IN SELECT n.value FROM jsonb_array_elements(notices) WITH ORDINALITY n (value, place) ORDER BY n.place LOOP
        PERFORM taskapi.raise_notice(told.value ->> 'level', told.value ->> 'message', told.value ->> 'detail',
                                     told.value ->> 'hint');
    END LOOP;
    entry.resource := format('%I.%I', wanted.api_schema, wanted.resource)::regclass;
    entry.source := source;
    entry.deleted_resource := CASE WHEN wanted.soft_delete
                              THEN format('%I.%I', wanted.api_schema, 'deleted_' || wanted.resource)::regclass END;
    entry.page_function := wanted.resource || '_page';
    entry.order_by := wanted.order_by;
    entry.soft_delete := wanted.soft_delete;
    entry.versioned := wanted.versioned;
    entry.idempotent := wanted.idempotent;
    entry.deleted_at_column := wanted.deleted_at_column;
    entry.changes := wanted.changes;
    entry.scope := wanted.scope;
    entry.publish := wanted.publish;
    IF wanted.changes THEN
        SELECT taskapi.relation_named(n.nspname, wanted.departures) INTO entry.departures
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = source;
    END IF;
    RETURN entry;
END
$$;
COMMENT ON FUNCTION taskapi.make_resource(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Internal: what expose() does before the resource is in the registry';

-- expose(source, api_schema, resource, order_by, soft_delete, versioned, idempotent, changes, scope, publish, deleted_at_column)
--     -> the view
--
-- Makes a table a resource, or brings the resource up to date with its table and with the extension. NULL keeps what was
-- chosen before; the first time it is schema api, the table's name, created_at DESC if that is never NULL, else the key, true,
-- no changes, no scope, no topic and deleted_at. An empty scope or topic is none. No role is granted anything but what this call
-- adds to a resource that was granted before: columns, and to hear of its changes. The caller must have the rights of the table's
-- owner. The locks are waited for 100 ms at a time, the views' before the table's, and given back before the next try: for
-- 5 seconds in all, while expose_online() goes on for longer. docs/expose.md.
--
-- In C, around the function above, since no role can write the registry: there is no function to call that does.
CREATE FUNCTION taskapi.expose(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                               order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL, versioned boolean DEFAULT NULL,
                               idempotent boolean DEFAULT NULL, changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                               publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL)
    RETURNS regclass
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    SET taskapi.migration_guard = off
    AS 'MODULE_PATHNAME', 'taskapi_expose';
COMMENT ON FUNCTION taskapi.expose(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Makes a table that the caller owns an HTTP resource, or brings the resource up to date; no role is granted anything';

-- A name may hold a line break, which must not end the comment.
CREATE FUNCTION taskapi.sql_comment(comment text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT '-- ' || regexp_replace($1, '[\n\r]', '\&-- ', 'g');
    END;
COMMENT ON FUNCTION taskapi.sql_comment(text) IS 'Internal: a text as a comment of SQL';

-- expose_plan(the arguments of expose()) -> statements and comments, one a row
--
-- What expose() would do: its statements, as they are run, and its NOTICEs and WARNINGs as comments. For a table that does not
-- fit: all that does not, with the statements that help, as comments. Any other error is that of expose(). It changes nothing,
-- takes no lock that a writer waits for, and works in a transaction that is READ ONLY.
CREATE FUNCTION taskapi.expose_plan(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                                    order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL,
                                    versioned boolean DEFAULT NULL, idempotent boolean DEFAULT NULL,
                                    changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                                    publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL)
    RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
AS $$
DECLARE
    wanted taskapi.wanted_resource := taskapi.want_resource($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
    role   regrole := wanted.owner;
    step   record;
BEGIN
    IF EXISTS (SELECT FROM taskapi.table_misfits(wanted)) THEN
        RETURN NEXT taskapi.sql_comment(format('cannot expose table %s', source));
        RETURN QUERY SELECT taskapi.sql_comment(m.misfit) FROM taskapi.table_misfits(wanted) m WHERE m.misfit IS NOT NULL;
        RETURN QUERY SELECT taskapi.sql_comment(c) FROM taskapi.misfit_cures(wanted) c;
        RETURN;
    END IF;
    wanted := taskapi.resolve_resource(wanted);
    FOR step IN SELECT * FROM taskapi.resource_notices(wanted) LOOP
        RETURN NEXT taskapi.sql_comment(concat_ws(E'\n', upper(step.level) || ': ' || step.message, step.detail, step.hint));
    END LOOP;
    FOR step IN SELECT * FROM taskapi.resource_statements(wanted) LOOP
        IF step.runs_as <> role THEN
            role := step.runs_as;
            RETURN NEXT taskapi.sql_comment(format('as role %s', role));
        END IF;
        RETURN NEXT step.statement || ';';
    END LOOP;
    RETURN NEXT taskapi.sql_comment(format('%I.%I is entered into taskapi.resource', wanted.api_schema, wanted.resource));
END
$$;
COMMENT ON FUNCTION taskapi.expose_plan(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'What taskapi.expose() would do with the same arguments: its statements and, as comments, what it would say';

-- Returns the table, or NULL if it is gone. Of a table that lost all its resources only the triggers are left.
CREATE FUNCTION taskapi.drop_resource(resource regclass) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry     CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    source    CONSTANT regclass := (SELECT c.oid FROM pg_class c WHERE c.oid = coalesce(entry.source, resource));
    view      CONSTANT regclass := (SELECT c.oid FROM pg_class c WHERE c.oid = entry.resource);
    statement record;
BEGIN
    IF entry.resource IS NULL
       AND (EXISTS (SELECT FROM taskapi.resources_of(resource))
            OR NOT EXISTS (SELECT FROM taskapi.own_triggers(resource) t
                           WHERE t.function <> 'taskapi.resource_write()'::regprocedure)) THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    IF NOT pg_has_role(taskapi.owner_of(coalesce(view, source)), 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of %', coalesce(view, source) USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR statement IN SELECT s.* FROM taskapi.drop_statements(entry) s LOOP
        PERFORM taskapi.run_as(statement.runs_as, statement.statement);
    END LOOP;
    FOR statement IN
        SELECT d.relowner::regrole AS runs_as, format('DROP TABLE %s', d.oid::regclass) AS statement
        FROM pg_class d
        WHERE (d.oid = entry.departures OR d.oid IN (SELECT taskapi.departures_of(source)))
          AND NOT EXISTS (SELECT FROM taskapi.resources_of(source) r
                          WHERE r.changes AND r.resource IS DISTINCT FROM entry.resource)
    LOOP
        PERFORM taskapi.run_as(statement.runs_as, statement.statement);
    END LOOP;
    RETURN source;
END
$$;
COMMENT ON FUNCTION taskapi.drop_resource(regclass) IS 'Internal: what unexpose() does while the resource is in the registry';

-- Takes away the triggers that the table does not need any more, and says what stays.
CREATE FUNCTION taskapi.finish_unexpose(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text[] := ARRAY(
        SELECT s.s FROM taskapi.is_source(source) i,
             taskapi.source_trigger_statements(source, i.versioned, i.versioned IS NOT NULL, i.published, i.changes) s (s));
    granted    text;
BEGIN
    FOR i IN 1 .. cardinality(statements) LOOP
        PERFORM taskapi.run_as(taskapi.owner_of(source), statements[i]);
    END LOOP;
    SELECT string_agg(format('%s to %s', g.privileges, g.grantee), '; ' ORDER BY g.grantee) INTO granted
    FROM (SELECT taskapi.grantee_name(a.grantee) AS grantee, string_agg(DISTINCT a.privilege_type, ', ') AS privileges
          FROM (SELECT t.grantee, t.privilege_type FROM pg_class c, aclexplode(c.relacl) t
                WHERE c.oid = source AND t.grantee <> c.relowner
                UNION
                SELECT t.grantee, t.privilege_type
                FROM pg_class c JOIN pg_attribute u ON u.attrelid = c.oid, aclexplode(u.attacl) t
                WHERE c.oid = source AND t.grantee <> c.relowner) a
          GROUP BY 1) g;
    IF granted IS NOT NULL THEN
        RAISE NOTICE 'privileges on table % stay: %', source, granted
            USING HINT = 'A DELETE by these roles is now permanent, and deleted rows are visible like any others.';
    END IF;
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.finish_unexpose(regclass) IS 'Internal: what unexpose() does after the entry is gone';

-- unexpose(resource): drops the views and the page function of a resource, as far as they are there, and the triggers that its
-- table no longer needs. Of a table whose resources were dropped by hand, name the table. Columns, rows and privileges of the
-- table stay, and a NOTICE says who has privileges. The caller must have the rights of the owner. Locks as for
-- expose().
CREATE FUNCTION taskapi.unexpose(resource regclass) RETURNS void
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    SET taskapi.migration_guard = off
    AS 'MODULE_PATHNAME', 'taskapi_unexpose';
COMMENT ON FUNCTION taskapi.unexpose(regclass) IS
    'Drops a resource. Its table keeps all its columns and rows, the deleted ones too';
