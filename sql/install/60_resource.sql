-- Resources: the registry, and the triggers behind every resource.

CREATE TABLE taskapi.resource (
    resource         regclass PRIMARY KEY,
    source           regclass NOT NULL,
    deleted_resource regclass,
    page_function    name,
    order_by         text NOT NULL,
    soft_delete      boolean NOT NULL,
    versioned        boolean NOT NULL,
    idempotent       boolean NOT NULL,
    deleted_at_column name NOT NULL DEFAULT 'deleted_at',
    changes          boolean NOT NULL DEFAULT false,
    scope            text,
    publish          text,
    departures       regclass
);
REVOKE ALL ON TABLE taskapi.resource FROM PUBLIC;
COMMENT ON TABLE taskapi.resource IS 'Internal: what expose() has made a resource of';
COMMENT ON COLUMN taskapi.resource.resource IS 'The view of the live rows';
COMMENT ON COLUMN taskapi.resource.source IS 'The table';
COMMENT ON COLUMN taskapi.resource.deleted_resource IS 'The view of the deleted rows; NULL without soft_delete';
-- Not regprocedure: pg_upgrade refuses a database with a column of that type.
COMMENT ON COLUMN taskapi.resource.page_function IS
    'RESOURCE_page(), a page of the resource for GET over /rpc; in the schema of the view';
COMMENT ON COLUMN taskapi.resource.order_by IS 'The order of its column cursor, and of its pages unless they say otherwise';
COMMENT ON COLUMN taskapi.resource.soft_delete IS 'DELETE marks rows as deleted';
COMMENT ON COLUMN taskapi.resource.versioned IS 'Rows have a version, for If-Match';
COMMENT ON COLUMN taskapi.resource.idempotent IS 'Writes take an Idempotency-Key';
COMMENT ON COLUMN taskapi.resource.deleted_at_column IS
    'The column of the table that says when a row was deleted; the same for all resources made of the table';
COMMENT ON COLUMN taskapi.resource.changes IS 'Clients can ask what changed since: RESOURCE_changes(), in the schema of the view';
COMMENT ON COLUMN taskapi.resource.scope IS
    'What a reader may see of it, as an expression that the reader runs; NULL if no more than policies say';
COMMENT ON COLUMN taskapi.resource.publish IS 'The topic under which writes are published; NULL if they are not';
COMMENT ON COLUMN taskapi.resource.departures IS 'The table of the rows that left the table, for changes; NULL without them';
-- An entry with a view that was dropped by hand must not come back with a bare OID, which may be another relation then.
-- In an order, so that two dumps of the same are the same.
SELECT pg_catalog.pg_extension_config_dump('taskapi.resource',
    'WHERE resource IN (SELECT oid FROM pg_catalog.pg_class) AND source IN (SELECT oid FROM pg_catalog.pg_class)'
    ' AND (deleted_resource IS NULL OR deleted_resource IN (SELECT oid FROM pg_catalog.pg_class))'
    ' AND (departures IS NULL OR departures IN (SELECT oid FROM pg_catalog.pg_class))'
    ' ORDER BY resource::pg_catalog.text');

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.resource
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
-- also where session_replication_role says that ordinary triggers rest
ALTER TABLE taskapi.resource ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.resource IS 'Every backend reads the table again';

-- Whoever exposes a table creates these triggers, hence EXECUTE for all. On anything that is not a registered resource
-- they raise an error or do nothing.

CREATE FUNCTION taskapi.resource_write() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_write';
COMMENT ON FUNCTION taskapi.resource_write() IS
    'INSTEAD OF trigger of every resource: writes the row to its table, as the caller';

CREATE FUNCTION taskapi.resource_statement() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_statement';
COMMENT ON FUNCTION taskapi.resource_statement() IS
    'BEFORE and AFTER STATEMENT trigger of every resource: what holds for all rows of a write, such as If-Match';

CREATE FUNCTION taskapi.resource_touch() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_touch';
COMMENT ON FUNCTION taskapi.resource_touch() IS
    'BEFORE UPDATE trigger of a versioned table: sets version and updated_at if anything else changes';

CREATE FUNCTION taskapi.resource_reference() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_reference';
COMMENT ON FUNCTION taskapi.resource_reference() IS
    'AFTER INSERT OR UPDATE trigger of an exposed table: no live row begins to refer to a deleted one';

CREATE FUNCTION taskapi.resource_publish() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_publish';
COMMENT ON FUNCTION taskapi.resource_publish() IS
    'AFTER INSERT OR UPDATE OR DELETE trigger of an exposed table: publishes the change of a row to the outbox';

CREATE FUNCTION taskapi.change_stamp() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_change_stamp';
COMMENT ON FUNCTION taskapi.change_stamp() IS
    'BEFORE INSERT OR DELETE OR UPDATE trigger of a table whose changes are told: stamps rows, and records those that leave';

-- The defaults of a resource's columns.

CREATE FUNCTION taskapi.insert_columns_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_insert_columns_support';
COMMENT ON FUNCTION taskapi.insert_columns_support(internal) IS
    'Planner support: puts in the place of insert_columns() what the INSERT says';

CREATE FUNCTION taskapi.insert_columns() RETURNS taskapi.cursor
    LANGUAGE C STABLE PARALLEL SAFE SUPPORT taskapi.insert_columns_support AS 'MODULE_PATHNAME', 'taskapi_insert_columns';
COMMENT ON FUNCTION taskapi.insert_columns() IS
    'Internal: the default of a resource''s column cursor, by which its trigger knows the columns that an INSERT names';

CREATE FUNCTION taskapi.insert_arguments(mark taskapi.cursor, arguments record) RETURNS taskapi.cursor
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_insert_arguments';
COMMENT ON FUNCTION taskapi.insert_arguments(taskapi.cursor, record) IS
    'Internal: adds the values of parameters that stand in ON CONFLICT to what the INSERT says';

CREATE FUNCTION taskapi.insert_conflict(live boolean, version bigint, key record) RETURNS boolean
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_insert_conflict';
COMMENT ON FUNCTION taskapi.insert_conflict(boolean, bigint, record) IS
    'Internal: may the row be changed that ON CONFLICT DO UPDATE of a resource has met?';

CREATE FUNCTION taskapi.table_default_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_table_default_support';
COMMENT ON FUNCTION taskapi.table_default_support(internal) IS
    'Planner support: in an INSERT into a resource that leaves the column out, the table itself makes its value';

CREATE FUNCTION taskapi.table_default(source regclass, attnum smallint, type anyelement) RETURNS anyelement
    LANGUAGE C VOLATILE SUPPORT taskapi.table_default_support AS 'MODULE_PATHNAME', 'taskapi_table_default';
COMMENT ON FUNCTION taskapi.table_default(regclass, smallint, anyelement) IS
    'The default that a column of a table has now, for those who may insert it: the default of a resource''s column';

-- What expose() and its kin, which run as their caller, need of C.

CREATE FUNCTION taskapi.resource_columns(resource regclass, OUT name name, OUT source_attnum smallint) RETURNS SETOF record
    LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'taskapi_resource_columns';
COMMENT ON FUNCTION taskapi.resource_columns(regclass) IS
    'Internal: the columns of a resource, and which column of its table each is; NULL for a computed one';

CREATE FUNCTION taskapi.registered_resource(view regclass) RETURNS taskapi.resource
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r FROM taskapi.resource r WHERE r.resource = $1 OR r.deleted_resource = $1;
    END;
COMMENT ON FUNCTION taskapi.registered_resource(regclass) IS
    'Internal: the registry entry of a resource, by either of its views; NULL for anything else';

CREATE FUNCTION taskapi.page_arguments() RETURNS oidvector
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- element by element, so that a dump of it is parsed to the same again
        SELECT array_to_string(ARRAY['text'::regtype::oid, 'int4'::regtype::oid, 'text'::regtype::oid, 'jsonb'::regtype::oid,
                                     'text'::regtype::oid, 'text[]'::regtype::oid, 'bool'::regtype::oid], ' ')::oidvector;
    END;
COMMENT ON FUNCTION taskapi.page_arguments() IS
    'Internal: the types of the arguments of every RESOURCE_page(): order_by, page_size, page_token, filter, count, fields,'
    ' show_deleted';

CREATE FUNCTION taskapi.key_columns(source regclass) RETURNS name[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(a.attname ORDER BY k.place), '{}')
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
        WHERE i.indrelid = $1 AND i.indisprimary AND k.place <= i.indnkeyatts AND a.attrelid = $1 AND a.attnum = k.attnum;
    END;
COMMENT ON FUNCTION taskapi.key_columns(regclass) IS 'Internal: the columns of the primary key of a table';

CREATE TYPE taskapi.changes_result AS (
    items           json,
    removed         json,
    next_page_token text,
    has_more        boolean
);
COMMENT ON TYPE taskapi.changes_result IS
    'The changes of a resource: rows as they are now, the keys of rows to remove, and the token to ask with next';

CREATE FUNCTION taskapi.changes_arguments() RETURNS oidvector
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT array_to_string(ARRAY['text'::regtype::oid, 'int4'::regtype::oid, 'jsonb'::regtype::oid], ' ')::oidvector;
    END;
COMMENT ON FUNCTION taskapi.changes_arguments() IS
    'Internal: the types of the arguments of every RESOURCE_changes(): page_token, page_size, filter';

CREATE FUNCTION taskapi.changes_function_of(resource regclass) RETURNS regprocedure
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
          AND p.prorettype = 'taskapi.changes_result'::regtype AND p.proargtypes = taskapi.changes_arguments()
          AND right(p.proname, 8) = '_changes'
        ORDER BY p.oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.changes_function_of(regclass) IS
    'Internal: the RESOURCE_changes() of a resource; NULL if there is none';

CREATE FUNCTION taskapi.scope_column(scope text) RETURNS name
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT (parse_ident((regexp_match($1,
            '^\s*("(?:[^"]|"")+"|[[:alpha:]_][\w$]*)\s*=\s*any\s*\(.*\)\s*$', 'i'))[1]))[1]::name;
    END;
COMMENT ON FUNCTION taskapi.scope_column(text) IS
    'Internal: the column of a scope "column = ANY (expression)"; NULL if it names none';

CREATE FUNCTION taskapi.page_function_of(resource regclass) RETURNS regprocedure
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_class c LEFT JOIN taskapi.resource r ON r.resource = c.oid
        JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proargtypes = taskapi.page_arguments()
            AND p.proname = coalesce(r.page_function, c.relname || '_page')
        WHERE c.oid = $1
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid);
    END;
COMMENT ON FUNCTION taskapi.page_function_of(regclass) IS
    'Internal: the RESOURCE_page() of a resource, or that of its view of deleted rows; NULL if there is none';

-- Not to_regclass(), which wants USAGE of the schema.
CREATE FUNCTION taskapi.relation_named(schema name, name name) RETURNS regclass
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2;
    END;
COMMENT ON FUNCTION taskapi.relation_named(name, name) IS
    'Internal: the relation of that name, without a check of privileges; NULL if there is none';

CREATE FUNCTION taskapi.is_own_view(view regclass, source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(d.refobjid = $2), false)
               AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgfoid = 'taskapi.resource_write()'::regprocedure)
        FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind = 'v'
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid <> w.ev_class
        WHERE w.ev_class = $1;
    END;
COMMENT ON FUNCTION taskapi.is_own_view(regclass, regclass) IS
    'Internal: whether a view is one of a resource made of that table: it has the trigger of the extension and reads from'
    ' nothing else';

CREATE FUNCTION taskapi.is_source(source regclass, OUT soft_delete boolean, OUT versioned boolean, OUT published boolean,
                                  OUT changes boolean)
    RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- an entry whose view was dropped counts for nothing
        SELECT bool_or(r.soft_delete), bool_or(r.versioned), bool_or(r.publish IS NOT NULL), bool_or(r.changes)
        FROM taskapi.resource r JOIN pg_class c ON c.oid = r.resource WHERE r.source = $1;
    END;
COMMENT ON FUNCTION taskapi.is_source(regclass) IS
    'Internal: what the resources made of a table need of it; NULLs if there is none';

CREATE FUNCTION taskapi.order_by_columns(order_by text, OUT columns name[], OUT descending boolean[]) RETURNS record
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_columns';
COMMENT ON FUNCTION taskapi.order_by_columns(text) IS
    'Internal: the columns that an order_by names, and which of them are descending';

CREATE FUNCTION taskapi.order_by_canonical(order_by text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_canonical_sql';
COMMENT ON FUNCTION taskapi.order_by_canonical(text) IS 'Internal: the one spelling of all order_bys that mean the same';

CREATE FUNCTION taskapi.order_by_renamed(order_by text, names name[], new_names name[]) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_renamed';
COMMENT ON FUNCTION taskapi.order_by_renamed(text, name[], name[]) IS
    'Internal: an order_by, with columns that have new names';

CREATE FUNCTION taskapi.forget_dropped_resources() RETURNS void
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_forget_dropped_resources';
REVOKE ALL ON FUNCTION taskapi.forget_dropped_resources() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.forget_dropped_resources() IS
    'Internal: deletes the entries of resources whose view or table was dropped by hand, and forgets views of deleted rows';

-- written_before: rows that this transaction or a later one has written are not looked at.
CREATE FUNCTION taskapi.purge_source(source regclass, deleted_before timestamptz, batch int, written_before xid8) RETURNS bigint
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'taskapi_purge_source';
REVOKE ALL ON FUNCTION taskapi.purge_source(regclass, timestamptz, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_source(regclass, timestamptz, int, xid8) IS
    'Internal: removes deletions of one table from before then, with its owner''s rights, each as a whole';

-- A rollback leaves it as it is: so a trigger that holds up a purge until it is cancelled does so once, and then the tables
-- behind it have their turn.
CREATE SEQUENCE taskapi.purge_turn MINVALUE 0 START 0;
REVOKE ALL ON SEQUENCE taskapi.purge_turn FROM PUBLIC;
COMMENT ON SEQUENCE taskapi.purge_turn IS 'The table whose purge began last, by OID; 0 if all that began have ended';

-- The newest first, since a table mostly refers to older ones, whose rows are free to go then; but first those behind the one at
-- which a run was cancelled.
CREATE FUNCTION taskapi.purge_tables() RETURNS regclass[]
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    turn CONSTANT bigint := (SELECT t.last_value FROM taskapi.purge_turn t);
BEGIN
    PERFORM taskapi.forget_dropped_resources();
    RETURN ARRAY(SELECT s.source
                 FROM (SELECT DISTINCT r.source FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source WHERE r.soft_delete) s
                 ORDER BY turn > 0 AND s.source::oid::bigint >= turn, s.source DESC);
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_tables() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_tables() IS 'Internal: the tables whose deleted rows are purged, in the order of their turns';

-- A lock is waited for 5 seconds at most: then the rest of the table waits for the next run.
CREATE FUNCTION taskapi.purge_table(source regclass, older_than interval, batch int, written_before xid8) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
BEGIN
    PERFORM setval('taskapi.purge_turn', source::oid::bigint);
    RETURN taskapi.purge_source(source, now() - older_than, batch, written_before);
EXCEPTION WHEN OTHERS THEN              -- a table that does not fit any more must not keep the others from being purged
    -- the text may tell of rows that whoever runs this cannot read
    RAISE WARNING 'could not purge deleted rows of %', source
        USING ERRCODE = SQLSTATE, DETAIL = format('The error has SQLSTATE %s.', SQLSTATE),
              HINT = CASE WHEN SQLSTATE = '55P03' THEN 'Another session has locked it. The next run tries again.'
                          ELSE 'Call taskapi.expose() again.' END;
    RETURN 0;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_table(regclass, interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_table(regclass, interval, int, xid8) IS
    'Internal: purge_deleted() of one table; a warning if that no longer fits its resource';

-- The unit is a deletion: one row, or a row with all that went along. It goes as a whole or stays as a whole, by its own date.
-- written_before, the xmax of a snapshot, bounds a run of several calls by what was there when it began: rows that a trigger
-- leaves for each one that goes are none of its business. NULL is now.
CREATE FUNCTION taskapi.purge_deleted(older_than interval DEFAULT '30 days', batch int DEFAULT 10000,
                                      written_before xid8 DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    horizon CONSTANT xid8 := coalesce(written_before, pg_snapshot_xmax(pg_current_snapshot()));
    purged bigint := 0;
    table_ regclass;
BEGIN
    IF older_than IS NULL OR older_than < interval '0' THEN
        RAISE EXCEPTION 'older_than must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF batch IS NULL OR batch < 1 THEN
        RAISE EXCEPTION 'batch must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH table_ IN ARRAY taskapi.purge_tables() LOOP
        EXIT WHEN purged >= batch;
        purged := purged + taskapi.purge_table(table_, older_than, (batch - purged)::int, horizon);
    END LOOP;
    PERFORM setval('taskapi.purge_turn', 0);
    RETURN purged;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_deleted(interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_deleted(interval, int, xid8) IS
    'Purges at most batch deletions that are older, of all resources: each whole, and none that a live row refers to or'
    ' that is locked. Returns how many, not counting the rows that were deleted with another. Deletions that only go'
    ' together, since they refer to each other, go in one call, beyond batch too';
