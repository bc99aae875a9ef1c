-- What expose() says: why a table cannot be a resource as it is, and what it leaves to the owner of the table.

-- All that does not fit about a table, each with what helps: a whole statement, an action of ALTER TABLE, or advice.
CREATE FUNCTION taskapi.table_misfits(wanted taskapi.wanted_resource)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    class  CONSTANT pg_class := (SELECT c FROM pg_class c WHERE c.oid = wanted.source);
    found  record;
BEGIN
    -- A child has neither the triggers nor the key of its parent, and its rows would have no version.
    IF class.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = source) THEN
        RETURN QUERY SELECT 'wrong_object_type', 'Other tables inherit from it.', NULL, NULL,
                            'Partition the table instead, or expose the tables that inherit from it.';
    END IF;
    RETURN QUERY SELECT 'wrong_object_type', format('It has a rule %I.', r.rulename),
                        format('DROP RULE %I ON %s;', r.rulename, source), NULL, 'Make a trigger of the rule.'
                 FROM pg_rewrite r WHERE r.ev_class = source ORDER BY r.rulename;
    RETURN QUERY SELECT m.* FROM taskapi.key_misfits(source) m;
    RETURN QUERY SELECT 'duplicate_column', 'It has a column cursor, and so has every resource.',
                        format('ALTER TABLE %s RENAME COLUMN cursor TO %I;', source, taskapi.free_column(source, 'old_cursor')),
                        NULL, NULL
                 FROM pg_attribute a WHERE a.attrelid = source AND a.attname = 'cursor' AND NOT a.attisdropped;
    RETURN QUERY SELECT m.* FROM taskapi.column_misfits(wanted) m;
    IF class.reloftype <> 0 AND EXISTS (SELECT FROM taskapi.source_columns(wanted) s WHERE s.added) THEN
        RETURN QUERY SELECT 'wrong_object_type', 'It is a typed table, which cannot have more columns than its type.',
                            NULL, 'NOT OF', NULL;
    END IF;
    -- a view has one column more than the table, or two; a table counts those that were dropped
    SELECT max(s.attnum) AS numbers, count(*) + 1
           + CASE WHEN wanted.soft_delete AND wanted.deleted_at_column <> 'deleted_at' THEN 1 ELSE 0 END AS shown
    INTO found FROM taskapi.source_columns(wanted) s;
    IF greatest(found.numbers, found.shown) > 1600 THEN
        RETURN QUERY SELECT 'too_many_columns',
                            format('Its views would have %s columns, and it would have used up %s. The limit is 1600.',
                                   found.shown, found.numbers),
                            NULL, NULL, 'Move columns to another table, into a new table if it had many.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.table_misfits(taskapi.wanted_resource) IS
    'Internal: all that keeps a table from being the resource that is wanted, and what helps';

-- A resource names a row by a primary key that is checked at once, and by equality.
CREATE FUNCTION taskapi.key_misfits(source regclass)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key  record;
    cols text;
BEGIN
    SELECT i.indimmediate AS immediate, i.indisvalid AS valid, i.indisexclusion AS overlaps, k.conname AS name,
           i.indexrelid AS index
    INTO key
    FROM pg_index i JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
    WHERE i.indrelid = source AND i.indisprimary;
    IF NOT FOUND THEN
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place) INTO cols
        FROM (SELECT i.* FROM pg_index i
              WHERE i.indrelid = source AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
                AND i.indexprs IS NULL
                AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND NOT a.attnotnull
                                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
              ORDER BY i.indnkeyatts, i.indexrelid LIMIT 1) i,
             unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, place), pg_attribute a
        WHERE u.place <= i.indnkeyatts AND a.attrelid = source AND a.attnum = u.attnum;
        RETURN QUERY SELECT 'object_not_in_prerequisite_state', 'It has no primary key.', NULL,
                            CASE WHEN cols IS NOT NULL THEN format('ADD PRIMARY KEY (%s)', cols)
                                 ELSE format('ADD COLUMN %I bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
                                             taskapi.free_column(source, 'id')) END, NULL;
        RETURN;
    END IF;
    SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.place) INTO cols
    FROM unnest(taskapi.key_columns(source)) WITH ORDINALITY k (name, place);
    IF NOT key.immediate OR key.overlaps THEN
        RETURN QUERY SELECT 'object_not_in_prerequisite_state',
                            CASE WHEN key.overlaps THEN 'Its primary key is WITHOUT OVERLAPS, which names no row by equality.'
                                 ELSE 'Its primary key is DEFERRABLE: it is not checked at once.' END, NULL,
                            format('DROP CONSTRAINT %I, ADD PRIMARY KEY (%s)', key.name, cols),
                            'Foreign keys that refer to it are to be made again.';
    ELSIF NOT key.valid THEN
        RETURN QUERY SELECT 'object_not_in_prerequisite_state', 'Its primary key is not valid: a partition lacks it.', NULL, NULL,
                            format('Attach an index of each partition to %s.', key.index::regclass);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.key_misfits(regclass) IS
    'Internal: what keeps the primary key of a table from naming the rows of a resource';

-- Columns that are there by a name that versions or soft deletion need, and cannot be taken over.
CREATE FUNCTION taskapi.column_misfits(wanted taskapi.wanted_resource)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    col    record;
    help   text[];
BEGIN
    FOR col IN
        SELECT n.*, a.attnotnull AS is_notnull, a.atttypid = ANY (n.types) AS typed, a.attgenerated <> '' AS generated,
               a.attgenerated = 'v' AS is_virtual,
               a.attidentity <> '' AS identity, a.atthasdef AND a.attgenerated = '' AS has_default,
               pg_get_expr(d.adbin, d.adrelid) AS expression,
               -- how a value of the column becomes one of the type that fits; NULL if only a person can say
               CASE WHEN n.type = 'timestamptz' AND a.atttypid = 'timestamp'::regtype THEN '%I AT TIME ZONE ''UTC'''
                    WHEN n.type = 'timestamptz' AND a.atttypid = 'bool'::regtype THEN 'CASE WHEN %I THEN now() END'
                    WHEN n.type = 'timestamptz' AND a.atttypid = 'date'::regtype
                         OR n.type = 'uuid' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) THEN '%I::' || n.type
                    END AS converted,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                         CASE WHEN a.attgenerated <> '' THEN 'GENERATED' WHEN a.attidentity <> '' THEN 'IDENTITY'
                              WHEN a.atthasdef THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END) AS is
        FROM taskapi.needed_columns(wanted) n
        JOIN pg_attribute a ON a.attrelid = source AND a.attname = n.name
        LEFT JOIN pg_attrdef d ON d.adrelid = source AND d.adnum = a.attnum
        ORDER BY n.place
    LOOP
        IF col.value IS NULL THEN
            CONTINUE WHEN col.typed AND NOT col.is_notnull AND NOT col.has_default AND NOT col.generated AND NOT col.identity;
        ELSE
            CONTINUE WHEN col.typed AND (col.is_notnull OR NOT col.required) AND NOT col.generated AND NOT col.identity;
        END IF;
        misfit := format('Column %I is %s. It must be %s%s.', col.name, col.is, col.fitting,
                         CASE WHEN col.value IS NULL THEN ', and may be NULL, without default'
                              WHEN col.required THEN ', NOT NULL, with default ' || col.value ELSE '' END);
        code := 'datatype_mismatch';
        -- DROP EXPRESSION is not for virtual columns
        IF NOT col.typed AND col.converted IS NULL OR col.is_virtual THEN
            RETURN QUERY SELECT code, misfit, format('ALTER TABLE %s RENAME COLUMN %I TO %I;', source, col.name,
                                                     taskapi.free_column(source, 'old_' || col.name)), NULL::text, NULL::text;
            CONTINUE;
        END IF;
        help := array_remove(ARRAY[
            CASE WHEN col.generated THEN format('ALTER COLUMN %I DROP EXPRESSION', col.name) END,
            CASE WHEN col.identity THEN format('ALTER COLUMN %I DROP IDENTITY', col.name) END,
            CASE WHEN col.has_default AND (col.value IS NULL OR NOT col.typed)
                 THEN format('ALTER COLUMN %I DROP DEFAULT', col.name) END,
            CASE WHEN NOT col.typed
                 THEN format('ALTER COLUMN %I TYPE %s USING ', col.name, col.type) || format(col.converted, col.name) END,
            CASE WHEN col.is_notnull AND col.value IS NULL THEN format('ALTER COLUMN %I DROP NOT NULL', col.name) END,
            CASE WHEN NOT col.is_notnull AND col.required THEN format('ALTER COLUMN %I SET NOT NULL', col.name) END], NULL);
        RETURN QUERY SELECT code, misfit,
            CASE WHEN col.required AND col.typed AND NOT col.is_notnull AND NOT col.generated
                 THEN format('UPDATE %s SET %I = %s WHERE %2$I IS NULL;', source, col.name, col.value) END,
            array_to_string(help, ', '),
            CASE WHEN col.converted LIKE '%AT TIME ZONE%' AND NOT col.typed
                 THEN 'The time zone is the one that the values were written in.'
                 WHEN col.converted LIKE 'CASE %' AND NOT col.typed
                 THEN format('A view, partial index or policy that uses %I stands in its way.', col.name) END;
    END LOOP;
    -- a new column of that name would begin again, and every row of it at the same version
    FOR col IN
        SELECT n.name, a.attname AS present
        FROM taskapi.needed_columns(wanted) n, pg_class v, LATERAL taskapi.resource_columns(v.oid::regclass) c, pg_attribute a
        WHERE v.oid = coalesce((wanted.former).deleted_resource, (wanted.former).resource) AND c.name = n.name
          AND a.attrelid = source AND a.attnum = c.source_attnum
          AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = source AND o.attname = n.name)
        ORDER BY n.place
    LOOP
        code := 'undefined_column';
        RETURN QUERY SELECT code, format('Column %I was called %I.', col.present, col.name),
                            format('ALTER TABLE %s RENAME COLUMN %I TO %I;', source, col.present, col.name),
                            NULL::text, NULL::text;
    END LOOP;
    IF code IS NOT NULL THEN
        RETURN QUERY SELECT code, NULL::text, NULL::text, NULL::text,
                            'Or rename them, or call taskapi.expose() with versioned or soft_delete set to false.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.column_misfits(taskapi.wanted_resource) IS
    'Internal: columns of a table by the names of those that versions and soft deletion need, which do not fit';

-- The statements that make a table fit, in order, and advice.
CREATE FUNCTION taskapi.misfit_cures(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH misfits AS (
            SELECT m.* FROM taskapi.table_misfits($1) WITH ORDINALITY m (code, misfit, statement, action, advice, place))
        SELECT c.cure
        FROM (SELECT 1, m.place, m.statement FROM misfits m WHERE m.statement IS NOT NULL
              UNION ALL
              SELECT 2, 0, format('ALTER TABLE %s %s;', ($1).source, string_agg(m.action, ', ' ORDER BY m.place))
              FROM misfits m WHERE m.action <> '' HAVING count(*) > 0
              UNION ALL
              SELECT 3, min(m.place), m.advice FROM misfits m WHERE m.advice IS NOT NULL GROUP BY m.advice) c (part, place, cure)
        ORDER BY c.part, c.place;
    END;
COMMENT ON FUNCTION taskapi.misfit_cures(taskapi.wanted_resource) IS
    'Internal: the statements, and the advice, that make a table fit';

-- Names that are free: the given one, shortened, with a number if it is taken.
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

CREATE FUNCTION taskapi.free_column(source regclass, name text) RETURNS name
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.candidate
        FROM (SELECT (left($2, 56) || CASE WHEN i > 0 THEN i::text ELSE '' END)::name AS candidate, i
              FROM generate_series(0, 1600) i) n
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = n.candidate)
        ORDER BY n.i LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.free_column(regclass, text) IS 'Internal: a name for a column that is free in a table';

-- What soft deletion means for a table's triggers and keys.
CREATE FUNCTION taskapi.trash_notices(wanted taskapi.wanted_resource) RETURNS TABLE (message text, detail text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    marks  CONSTANT text := quote_ident(wanted.deleted_at_column);
    names  text;
BEGIN
    SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') INTO names FROM pg_trigger t
    WHERE (t.tgrelid = source OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(source) p))
      AND NOT t.tgisinternal AND t.tgtype & 8 <> 0
      AND NOT EXISTS (SELECT FROM taskapi.own_triggers(t.tgrelid) o WHERE o.name = t.tgname);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('triggers of table %s for DELETE fire when a row is purged, not when it is deleted', source),
                            format('They are %s. A deletion is an UPDATE of %s and deletion_id, and so is a restore.',
                                   names, marks), NULL;
    END IF;
    SELECT string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) INTO names FROM pg_policy p
    WHERE p.polrelid = source AND p.polcmd IN ('r', '*')
      AND EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = source AND a.attnum = d.refobjsubid
                  WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
                    AND d.refobjid = source AND a.attname = wanted.deleted_at_column);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('policies of table %s ask for %s: %s', source, marks, names), NULL,
                            'A policy that hides deleted rows hides them from who restores, too. The views see to it.';
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) INTO names
    FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = source AND a.attnum = k.attnum
    WHERE i.indrelid = source AND i.indisprimary AND k.place <= i.indnkeyatts
    HAVING bool_and(a.attidentity = '' AND a.attgenerated = '' AND NOT a.atthasdef);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('deleted rows keep their primary keys in table %s taken', source), NULL,
                            format('Clients choose %s: a key is free again when its row is purged. Let the table make the key '
                                   '(identity), or keep it unique among live rows only, by a partial unique index.', names);
    END IF;
    RETURN QUERY
        SELECT CASE WHEN i.excludes THEN format('deleted rows keep their values in constraint %I taken', i.conname)
                    ELSE format('deleted rows keep their values in unique index %s taken', i.index::regclass) END, NULL,
               CASE WHEN i.contype = 'x'
                    THEN format('One over the live rows would not: ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s.',
                                source, i.conname,
                                regexp_replace(i.definition, '( DEFERRABLE.*)?$', format(' WHERE (%s IS NULL)\1', marks)))
                    WHEN i.excludes THEN format('An exclusion constraint WHERE (%s IS NULL) would not.', marks)
                    ELSE format('An index over the live rows would not: %s WHERE (%s IS NULL); then %s.',
                                regexp_replace(i.definition, '^CREATE UNIQUE INDEX .*? ON ',
                                               format('CREATE UNIQUE INDEX %I ON ',
                                                      taskapi.free_name(i.relname || '_live', i.relnamespace))), marks,
                                CASE WHEN i.conname IS NULL THEN format('DROP INDEX %s', i.index::regclass)
                                     ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', source, i.conname) END) END
        FROM (SELECT i.indexrelid AS index, c.relname, c.relnamespace, k.conname, i.indisexclusion AS excludes, k.contype,
                     CASE WHEN i.indisexclusion THEN pg_get_constraintdef(k.oid)
                          ELSE pg_get_indexdef(i.indexrelid) END AS definition
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = source AND k.contype IN ('u', 'x')
              WHERE i.indrelid = source AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND i.indpred IS NULL) i
        ORDER BY i.index;
END
$$;
COMMENT ON FUNCTION taskapi.trash_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about soft deletion and the triggers, policies and keys of a table';

-- The index that an order needs; of columns that come only now there is none.
CREATE FUNCTION taskapi.order_advice(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    live CONSTANT text := format(' WHERE %I IS NULL', wanted.deleted_at_column);
BEGIN
    IF EXISTS (SELECT FROM taskapi.order_by_columns(wanted.order_by) o, taskapi.source_columns(wanted) s
               WHERE s.added AND s.name = ANY (o.columns)) THEN
        RETURN format('CREATE INDEX %sON %s (%s)%s',
                      CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = wanted.source)
                      WHEN 'r' THEN 'CONCURRENTLY ' ELSE '' END,
                      wanted.source, wanted.order_by, CASE WHEN wanted.soft_delete THEN live ELSE '' END);
    ELSIF NOT wanted.soft_delete THEN
        RETURN taskapi.index_advice(wanted.source, wanted.order_by);
    ELSIF EXISTS (SELECT FROM taskapi.source_columns(wanted) s WHERE NOT s.added AND s.name = wanted.deleted_at_column) THEN
        RETURN taskapi.index_advice(wanted.source, wanted.order_by,
                                    jsonb_build_object(wanted.deleted_at_column, jsonb_build_object('is', NULL)));
    END IF;
    RETURN taskapi.index_advice(wanted.source, wanted.order_by) || live;
END
$$;
COMMENT ON FUNCTION taskapi.order_advice(taskapi.wanted_resource) IS
    'Internal: the index that the order of a resource that is wanted lacks; NULL if one serves';

-- What expose() does not do by itself. Runs as the owner of the table, whose index predicates the planner evaluates.
CREATE FUNCTION taskapi.owner_notices(wanted taskapi.wanted_resource)
    RETURNS TABLE (level text, message text, detail text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source  CONSTANT regclass := wanted.source;
    first   CONSTANT boolean := (wanted.former).resource IS NULL;
    present CONSTANT boolean := EXISTS (SELECT FROM taskapi.source_columns(wanted) s
                                        WHERE s.name = wanted.deleted_at_column AND NOT s.added);
    old     boolean := false;
    readers text;
    advice  text;
BEGIN
    IF wanted.leaving <> '{}' THEN
        RETURN QUERY SELECT 'notice', format('columns of %s leave the resource: %s', source,
                                             array_to_string(wanted.leaving, ', ')), NULL, NULL;
    END IF;
    IF NOT wanted.soft_delete AND EXISTS (SELECT FROM pg_class c WHERE c.oid = (wanted.former).deleted_resource) THEN
        RETURN QUERY SELECT 'notice', format('rows of %s that are deleted show up in %I.%I again', source, wanted.api_schema,
                                             wanted.resource), NULL, NULL;
    END IF;
    IF wanted.soft_delete THEN
        IF present AND (wanted.former).soft_delete IS NOT TRUE
           AND NOT EXISTS (SELECT FROM taskapi.resources_of(source) r WHERE r.soft_delete) THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE t.%I IS NOT NULL)', source, wanted.deleted_at_column) INTO old;
        END IF;
        IF old THEN
            RETURN QUERY SELECT 'warning',
                format('rows of table %s that were deleted before become deleted rows of the resource', source),
                'taskapi.maintain() removes for good what was deleted longer ago than taskapi.deleted_retention.',
                'To keep them, set taskapi.deleted_retention to -1 for the role that runs taskapi.maintain().';
        END IF;
        IF first THEN
            SELECT string_agg(DISTINCT w.ev_class::regclass::text, ', ') INTO readers
            FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = source
              AND NOT EXISTS (SELECT FROM taskapi.own_triggers(w.ev_class::regclass));
            RETURN QUERY SELECT 'notice',
                format('code that reads table %s itself sees deleted rows, unless it asks for %I IS NULL', source,
                       wanted.deleted_at_column), 'So do these views: ' || readers || '.', NULL;
        END IF;
        RETURN QUERY SELECT 'notice', n.* FROM taskapi.trash_notices(wanted) n;
    END IF;
    advice := taskapi.order_advice(wanted);
    IF advice IS NOT NULL THEN
        RETURN QUERY SELECT 'notice', format('no index serves the order of resource %I.%I', wanted.api_schema, wanted.resource),
                            NULL, advice;
    END IF;
    advice := taskapi.changes_advice(wanted);
    IF advice IS NOT NULL THEN
        RETURN QUERY SELECT 'notice', format('no index serves the changes of resource %I.%I', wanted.api_schema, wanted.resource),
                            NULL, advice;
    END IF;
    -- The purge reads them in order of deletion, from an index that holds no live rows or begins with the column.
    IF wanted.soft_delete AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = source AND a.attname = wanted.deleted_at_column
        WHERE i.indrelid = source
          AND (i.indkey[0] = a.attnum
               OR pg_get_expr(i.indpred, source) = format('(%I IS NOT NULL)', wanted.deleted_at_column))) THEN
        RETURN QUERY SELECT 'notice', format('no index leads to the deleted rows of %s', source), NULL,
            format('CREATE INDEX %sON %s (%s) WHERE %I IS NOT NULL',
                   CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = source) WHEN 'r' THEN 'CONCURRENTLY ' ELSE '' END, source,
                   (SELECT string_agg(quote_ident(u.name), ', ' ORDER BY u.place)
                    FROM taskapi.order_by_columns(taskapi.deleted_order(wanted.key, wanted.deleted_at_column)) o,
                         unnest(o.columns) WITH ORDINALITY u (name, place)), wanted.deleted_at_column);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.owner_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about a table, computed as its owner';

CREATE FUNCTION taskapi.resource_notices(wanted taskapi.wanted_resource)
    RETURNS TABLE (level text, message text, detail text, hint text)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.value ->> 'level', n.value ->> 'message', n.value ->> 'detail', n.value ->> 'hint'
        FROM jsonb_array_elements(taskapi.run_as(($1).owner,
                 'SELECT jsonb_agg(n ORDER BY n.place)'
                 ' FROM taskapi.owner_notices($1) WITH ORDINALITY n (level, message, detail, hint, place)', $1)::jsonb)
             WITH ORDINALITY n (value, place)
        ORDER BY n.place;
    END;
COMMENT ON FUNCTION taskapi.resource_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about what it does';

CREATE FUNCTION taskapi.raise_notice(level text, message text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF level = 'warning' THEN
        RAISE WARNING '%', message USING DETAIL = detail, HINT = hint;
    ELSIF detail IS NULL AND hint IS NULL THEN
        RAISE NOTICE '%', message;
    ELSIF hint IS NULL THEN
        RAISE NOTICE '%', message USING DETAIL = detail;
    ELSE
        RAISE NOTICE '%', message USING HINT = hint;
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.raise_notice(text, text, text, text) IS 'Internal: a NOTICE or WARNING of expose()';
