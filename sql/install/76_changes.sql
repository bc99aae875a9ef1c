-- The change feed: what happened to the rows of a resource since a client asked last. C: src/feed/

-- One row for each table whose changes are told. incarnation stands in the upper 16 bits of its stamps; the first write that
-- finds another system identifier, after a restore into another cluster, begins the next (src/feed/feed_state.h).
CREATE TABLE taskapi.change_source (
    source            regclass PRIMARY KEY,
    incarnation       int      NOT NULL CHECK (incarnation BETWEEN 0 AND 65535),
    system_identifier bigint   NOT NULL,
    pruned            xid8     NOT NULL DEFAULT '0'
);
REVOKE ALL ON TABLE taskapi.change_source FROM PUBLIC;
COMMENT ON TABLE taskapi.change_source IS 'The tables whose changes are told';
COMMENT ON COLUMN taskapi.change_source.source IS 'The table';
COMMENT ON COLUMN taskapi.change_source.incarnation IS 'The upper 16 bits of its stamps of now';
COMMENT ON COLUMN taskapi.change_source.system_identifier IS 'The cluster whose transaction ids these stamps hold';
COMMENT ON COLUMN taskapi.change_source.pruned IS 'The newest stamp of a departure that was pruned';
SELECT pg_catalog.pg_extension_config_dump('taskapi.change_source',
    'WHERE source IN (SELECT oid FROM pg_catalog.pg_class) ORDER BY source::pg_catalog.text');

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.change_source
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.change_source ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.change_source IS 'Every backend reads the table again';

-- changes(resource, page_token, page_size, filter) -> (items, removed, next_page_token, has_more)
--
-- What happened to the rows of a resource since the token: items are rows as they are now, as page() gives them, removed the keys
-- of rows that are deleted, that the caller does not see any more, or that do not match the filter. No token is the beginning;
-- 'latest' asks for nothing but a token. The order is that of the changes' transactions, and each row comes once. Once has_more
-- is false, the caller has what the database held when that walk began; the next call tells what happened since. A token is for
-- one resource, filter and caller. Works in a transaction that is READ ONLY, and on a standby. docs/sync.md
--
-- Errors: 55000 for what does not tell its changes; invalid_filter, invalid_page_size, invalid_cursor; cursor_mismatch for the
-- token of another resource, filter or caller; cursor_expired (410) if the client must start over without a token; try_again.
CREATE FUNCTION taskapi.changes(resource regclass, page_token text DEFAULT NULL, page_size int DEFAULT NULL,
                                filter jsonb DEFAULT NULL)
    RETURNS taskapi.changes_result
    LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'taskapi_changes';
COMMENT ON FUNCTION taskapi.changes(regclass, text, int, jsonb) IS
    'The changes of the rows of a resource since a token, as the caller may see them';

-- Policies.

CREATE FUNCTION taskapi.policy_expression(policy oid, alias name) RETURNS text
    LANGUAGE C STABLE STRICT SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS 'MODULE_PATHNAME', 'taskapi_policy_expression';
COMMENT ON FUNCTION taskapi.policy_expression(oid, name) IS
    'Internal: what a policy asks of a row that is there, as of a table with another name';

CREATE FUNCTION taskapi.read_policies(relation regclass, alias name)
    RETURNS TABLE (name name, permissive boolean, roles text, expression text)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.polname, p.polpermissive,
               (SELECT string_agg(taskapi.grantee_name(r), ', ' ORDER BY r) FROM unnest(p.polroles) r),
               coalesce(taskapi.policy_expression(p.oid, $2), 'true')
        FROM pg_policy p WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*') ORDER BY p.polname;
    END;
COMMENT ON FUNCTION taskapi.read_policies(regclass, name) IS
    'Internal: the policies of a table that are asked when it is read, as those of a table with another name';

-- What a departure has to keep: the key, the scope's column, what policies test.
CREATE FUNCTION taskapi.departure_columns(source regclass, scopes text[]) RETURNS TABLE (name name, definition text, key boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attname, format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attcollation <> t.typcollation
                                  THEN (SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                                        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                        WHERE l.oid = a.attcollation) ELSE '' END,
               a.attname = ANY (taskapi.key_columns($1))
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
          AND (a.attname = ANY (taskapi.key_columns($1))
               OR a.attname IN (SELECT taskapi.scope_column(s) FROM unnest($2) s)
               OR EXISTS (SELECT FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum
                          WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*')))
        ORDER BY a.attnum;
    END;
COMMENT ON FUNCTION taskapi.departure_columns(regclass, text[]) IS
    'Internal: the columns that the departures of a table have to keep';

-- A policy that takes the row as a whole, a system column or the table itself cannot be asked of a departure. Nor can one that
-- looks into a table with a foreign key to this one: what it finds there of a row goes with the row, and the answer is another
-- once that is gone.
CREATE FUNCTION taskapi.has_opaque_policy(source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT EXISTS (SELECT FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                           AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
                       WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*')
                         AND (d.refobjid = $1 AND d.refobjsubid <= 0
                              OR EXISTS (SELECT FROM pg_constraint f
                                         WHERE f.contype = 'f' AND f.conrelid = d.refobjid AND f.confrelid = $1
                                           AND f.conrelid <> f.confrelid)));
    END;
COMMENT ON FUNCTION taskapi.has_opaque_policy(regclass) IS
    'Internal: whether a policy of a table asks more of a row than some of its columns';

CREATE FUNCTION taskapi.departure_columns_of(departures regclass) RETURNS TABLE (name name, definition text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attname, format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attcollation <> t.typcollation
                                  THEN (SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                                        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                        WHERE l.oid = a.attcollation) ELSE '' END
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped;
    END;
COMMENT ON FUNCTION taskapi.departure_columns_of(regclass) IS 'Internal: the columns of a table of departures';

-- Can departures be read as the table is: with its columns, under its policies?
CREATE FUNCTION taskapi.departures_fit(source regclass, departures regclass, scopes text[] DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(
            s.relowner = d.relowner AND d.relrowsecurity AND NOT d.relforcerowsecurity AND d.relkind = 'r'
            AND s.relrowsecurity = NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = $2 AND p.polname = 'taskapi_all')
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = $2 AND p.polname = 'taskapi_fit')
            AND NOT taskapi.has_opaque_policy($1)
            AND NOT EXISTS (SELECT FROM taskapi.departure_columns($1, coalesce($3,
                                            (SELECT array_agg(r.scope) FROM taskapi.resources_of($1) r WHERE r.changes))) c
                            WHERE NOT EXISTS (SELECT FROM taskapi.departure_columns_of($2) p
                                              WHERE p.name = c.name AND p.definition = c.definition))
            AND NOT EXISTS ((SELECT p.* FROM taskapi.read_policies($1, d.relname) p
                             EXCEPT SELECT p.* FROM taskapi.read_policies($2, d.relname) p)
                            UNION ALL
                            (SELECT p.* FROM taskapi.read_policies($2, d.relname) p
                             WHERE p.name NOT IN ('taskapi_fit', 'taskapi_all')
                             EXCEPT SELECT p.* FROM taskapi.read_policies($1, d.relname) p))), false)
        FROM pg_class s, pg_class d WHERE s.oid = $1 AND d.oid = $2;
    END;
COMMENT ON FUNCTION taskapi.departures_fit(regclass, regclass, text[]) IS
    'Internal: whether a table of departures has the columns and policies that its source has now';

-- Asked by a policy of the departures: whoever reads them round the feed gets none that policies of another time are for.
CREATE FUNCTION taskapi.departures_legible(departures regclass) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(taskapi.departures_fit(r.source, $1)), false)
        FROM (SELECT DISTINCT r.source FROM taskapi.resource r WHERE r.departures = $1) r;
    END;
COMMENT ON FUNCTION taskapi.departures_legible(regclass) IS
    'Internal: whether a table of departures can be read as its source is';

-- What expose() does about changes. The scopes are those of all resources made of the table that tell their changes.

CREATE FUNCTION taskapi.wanted_scopes(wanted taskapi.wanted_resource) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(s.scope), '{}')
        FROM (SELECT ($1).scope WHERE ($1).changes
              UNION
              SELECT r.scope FROM taskapi.resources_of(($1).source) r
              WHERE r.changes AND r.resource IS DISTINCT FROM (($1).former).resource) s (scope);
    END;
COMMENT ON FUNCTION taskapi.wanted_scopes(taskapi.wanted_resource) IS
    'Internal: the scopes of the resources made of a table that tell its changes; an empty array if none does';

CREATE FUNCTION taskapi.check_changes(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope_column CONSTANT name := taskapi.scope_column(wanted.scope);
BEGIN
    IF wanted.changes AND (SELECT c.relpersistence <> 'p' FROM pg_class c WHERE c.oid = wanted.source) THEN
        RAISE EXCEPTION 'cannot track changes of unlogged table %', wanted.source
            USING ERRCODE = 'feature_not_supported', DETAIL = 'A crash empties it.';
    END IF;
    IF wanted.scope IS NULL THEN
        RETURN;
    END IF;
    IF scope_column IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = wanted.source AND a.attname = scope_column AND a.attnum > 0) THEN
        RAISE EXCEPTION 'scope names column "%", which table % does not have', scope_column, wanted.source
            USING ERRCODE = 'undefined_column';
    END IF;
    -- as its owner, and without a row to run it for
    PERFORM taskapi.run_as(wanted.owner, CASE WHEN scope_column IS NULL THEN format('SELECT (%s) LIMIT 0', wanted.scope)
                                         ELSE format('SELECT t.%s FROM %s AS t LIMIT 0', wanted.scope, wanted.source) END);
END
$$;
COMMENT ON FUNCTION taskapi.check_changes(taskapi.wanted_resource) IS
    'Internal: raises the reason why a resource that is wanted cannot tell its changes';

-- The present departures. Those of a table whose resources were dropped by hand are known by their owner, their columns and their
-- name, with or without the number that free_name() gives.
CREATE FUNCTION taskapi.departures_of(source regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH registered AS (
            SELECT DISTINCT d.oid FROM taskapi.resource r JOIN pg_class d ON d.oid = r.departures WHERE r.source = $1)
        SELECT r.oid::regclass FROM registered r
        UNION ALL
        SELECT d.oid::regclass
        FROM pg_class s JOIN pg_class d ON d.relnamespace = s.relnamespace AND d.relowner = s.relowner AND d.relkind = 'r'
        WHERE s.oid = $1 AND rtrim(d.relname::text, '0123456789') = left(s.relname::text, 45) || '_departures'
          AND NOT EXISTS (SELECT FROM registered)
          AND NOT EXISTS (SELECT FROM taskapi.resource r WHERE r.departures = d.oid)
          AND (SELECT count(*) FROM pg_attribute a
               WHERE a.attrelid = d.oid AND a.attname IN ('taskapi_departed_at', 'taskapi_stamp')) = 2;
    END;
COMMENT ON FUNCTION taskapi.departures_of(regclass) IS 'Internal: the tables of the rows that left a table';

-- One of them, if it can be kept.
CREATE FUNCTION taskapi.present_departures(wanted taskapi.wanted_resource) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT d FROM taskapi.departures_of(($1).source) d
        WHERE taskapi.departures_fit(($1).source, d, taskapi.wanted_scopes($1)) ORDER BY d::oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.present_departures(taskapi.wanted_resource) IS
    'Internal: the table of departures of a table, if it fits; else NULL';

CREATE FUNCTION taskapi.wanted_departures(wanted taskapi.wanted_resource) RETURNS name
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN taskapi.wanted_scopes($1) <> '{}'
               THEN coalesce((SELECT d.relname FROM pg_class d WHERE d.oid = taskapi.present_departures($1)),
                             taskapi.free_name(left(s.relname, 45) || '_departures', s.relnamespace)) END
        FROM pg_class s WHERE s.oid = ($1).source;
    END;
COMMENT ON FUNCTION taskapi.wanted_departures(taskapi.wanted_resource) IS
    'Internal: the name of the table of departures that a table has, or will have';

-- Made again if columns or policies of the table changed: what left under other policies must not be read under these. The lock
-- lets nobody write to the table until what it writes is recorded in the new one.
CREATE FUNCTION taskapi.departures_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scopes    CONSTANT text[] := taskapi.wanted_scopes(wanted);
    present   CONSTANT regclass := taskapi.present_departures(wanted);
    source    CONSTANT pg_class := (SELECT c FROM pg_class c WHERE c.oid = wanted.source);
    creator   CONSTANT regrole := CASE WHEN has_schema_privilege(wanted.owner, source.relnamespace, 'CREATE') THEN wanted.owner
                                  ELSE (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) END;
    qualified CONSTANT text := format('%I.%I', (SELECT n.nspname FROM pg_namespace n WHERE n.oid = source.relnamespace),
                                      coalesce(wanted.departures, ''));
    keys      CONSTANT text := (SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.place)
                                FROM unnest(taskapi.key_columns(wanted.source)) WITH ORDINALITY k (name, place));
BEGIN
    IF scopes = '{}' OR present IS NULL THEN
        RETURN QUERY SELECT c.relowner::regrole, format('DROP TABLE %s', d)
                     FROM taskapi.departures_of(wanted.source) d JOIN pg_class c ON c.oid = d;
    END IF;
    IF scopes = '{}' OR present IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT wanted.owner, format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', wanted.source);
    RETURN QUERY SELECT creator, format(
        'CREATE TABLE %s (%s, taskapi_stamp xid8 NOT NULL, taskapi_departed_at timestamptz NOT NULL DEFAULT now())',
        qualified, string_agg(format('%I %s%s', c.name, c.definition, CASE WHEN c.key THEN ' NOT NULL' END), ', '))
        FROM taskapi.departure_columns(wanted.source, scopes) c;
    IF creator <> wanted.owner THEN
        RETURN QUERY SELECT creator, format('ALTER TABLE %s OWNER TO %s', qualified, wanted.owner);
    END IF;
    RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_class'', %L::regclass)', qualified);
    RETURN QUERY SELECT wanted.owner, format('COMMENT ON TABLE %s IS %L', qualified, format('Rows that left %s', wanted.source));
    RETURN QUERY SELECT DISTINCT wanted.owner, format('CREATE INDEX ON %s (%staskapi_stamp, %s)', qualified,
                                                      quote_ident(taskapi.scope_column(s)) || ', ', keys) FROM unnest(scopes) s
                 WHERE taskapi.scope_column(s) IS NOT NULL;
    RETURN QUERY SELECT wanted.owner, format('CREATE INDEX ON %s (taskapi_stamp, %s)', qualified, keys);
    RETURN QUERY SELECT wanted.owner, format('CREATE INDEX ON %s (taskapi_departed_at)', qualified);
    RETURN QUERY SELECT wanted.owner, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', qualified);
    -- asked once a statement, and only if it comes upon a row
    RETURN QUERY SELECT wanted.owner, format(
        'CREATE POLICY taskapi_fit ON %s AS RESTRICTIVE FOR SELECT USING (CASE WHEN taskapi_stamp OPERATOR(pg_catalog.>=)'
        ' ''0''::pg_catalog.xid8 THEN (SELECT taskapi.departures_legible(%L::pg_catalog.regclass)) ELSE false END)',
        qualified, qualified);
    IF NOT source.relrowsecurity THEN
        RETURN QUERY SELECT wanted.owner, format('CREATE POLICY taskapi_all ON %s FOR SELECT USING (true)', qualified);
    END IF;
    -- one that cannot be asked of a departure is missing: nobody is told, and whoever asks has to start over
    RETURN QUERY SELECT wanted.owner, format('CREATE POLICY %I ON %s AS %s FOR SELECT TO %s USING (%s)', p.name, qualified,
                                             CASE WHEN p.permissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, p.roles,
                                             p.expression)
                 FROM taskapi.read_policies(wanted.source, wanted.departures) p
                 WHERE NOT taskapi.has_opaque_policy(wanted.source);
END
$$;
COMMENT ON FUNCTION taskapi.departures_statements(taskapi.wanted_resource) IS
    'Internal: create the table of the rows that left, or make it again';

-- Whoever may read a resource may hear of its changes.
CREATE FUNCTION taskapi.readers_of(resource regclass) RETURNS SETOF oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = $1 AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION
        SELECT a.grantee FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE c.oid = $1 AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner;
    END;
COMMENT ON FUNCTION taskapi.readers_of(regclass) IS 'Internal: who was granted to read a view or some of its columns';

-- Those of a resource that tells its changes since this call, and of the others if the departures are made again.
CREATE FUNCTION taskapi.changes_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH feeds AS (
            SELECT r.resource, r.scope, r.changes AS former FROM taskapi.resources_of(($1).source) r
            WHERE r.changes AND r.resource IS DISTINCT FROM (($1).former).resource
            UNION ALL
            SELECT (($1).former).resource, ($1).scope, (($1).former).changes WHERE ($1).changes),
        readers AS (
            SELECT f.scope, f.former, r.grantee FROM feeds f, LATERAL taskapi.readers_of(f.resource) r (grantee)),
        fit AS (
            SELECT taskapi.present_departures($1) IS NOT NULL AS present, n.nspname
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ($1).source)
        SELECT format('GRANT SELECT (changed) ON %s TO %s', ($1).source, taskapi.grantee_name(r.grantee))
        FROM (SELECT DISTINCT r.grantee FROM readers r WHERE NOT r.former) r
        UNION ALL
        SELECT format('GRANT SELECT (%s) ON %I.%I TO %s', taskapi.told_columns(($1).source, ARRAY[r.scope]), f.nspname,
                      ($1).departures, taskapi.grantee_name(r.grantee))
        FROM readers r, fit f WHERE NOT r.former OR NOT f.present;
    END;
COMMENT ON FUNCTION taskapi.changes_grants(taskapi.wanted_resource) IS
    'Internal: let those who may read a resource hear of its changes';

-- RESOURCE_changes(page_token, page_size, filter), for GET over /rpc. What roles were granted on one that has to be made again
-- passes on.
CREATE FUNCTION taskapi.changes_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name      CONSTANT text := wanted.resource || '_changes';
    qualified CONSTANT text := format('%I.%I(text, int, jsonb)', wanted.api_schema, name);
    comment   CONSTANT text := format('What happened to %s since: GET /rpc/%s?page_token=TOKEN, with the next_page_token of the'
                                      ' call before; at first without. docs/sync.md', wanted.resource, name);
    present   CONSTANT regprocedure := taskapi.changes_function_of((wanted.former).resource);
    kept      CONSTANT boolean := NOT wanted.remake AND present IS NOT DISTINCT FROM to_regprocedure(qualified);
    grantees  oid[];
BEGIN
    IF present IS NOT NULL AND NOT wanted.remake AND (NOT wanted.changes OR NOT kept) THEN
        RETURN QUERY SELECT p.proowner::regrole, format('DROP FUNCTION %s', present) FROM pg_proc p WHERE p.oid = present;
    END IF;
    IF NOT wanted.changes THEN
        RETURN;
    END IF;
    IF present IS NULL THEN
        grantees := ARRAY(SELECT r FROM taskapi.readers_of((wanted.former).resource) r ORDER BY 1);
    ELSE
        grantees := ARRAY(SELECT DISTINCT a.grantee FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                          WHERE p.oid = present AND a.grantee <> p.proowner ORDER BY 1);
    END IF;
    RETURN QUERY SELECT wanted.creator, format(
        'CREATE OR REPLACE FUNCTION %I.%I(page_token text DEFAULT NULL, page_size int DEFAULT NULL, filter jsonb DEFAULT NULL)'
        ' RETURNS taskapi.changes_result LANGUAGE sql STABLE RETURN taskapi.changes(%L::regclass, $1, $2, $3)',
        wanted.api_schema, name, format('%I.%I', wanted.api_schema, wanted.resource));
    IF present IS NULL OR NOT kept THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER FUNCTION %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_proc'', %L::regprocedure)', qualified);
        RETURN QUERY SELECT wanted.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', qualified, taskapi.grantee_name(g))
                     FROM unnest(grantees) g;
    END IF;
    IF present IS NULL OR NOT kept OR obj_description(present, 'pg_proc') IS DISTINCT FROM comment THEN
        RETURN QUERY SELECT wanted.owner, format('COMMENT ON FUNCTION %s IS %L', qualified, comment);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.changes_statements(taskapi.wanted_resource) IS
    'Internal: create the function that tells what changed, or bring it up to date';

-- The index that pages of changes are ranges of; NULL if there is one.
CREATE FUNCTION taskapi.changes_advice(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH columns AS (
            SELECT array_agg(c.name ORDER BY c.place) AS names
            FROM (SELECT 1, taskapi.scope_column(($1).scope) WHERE taskapi.scope_column(($1).scope) IS NOT NULL
                  UNION ALL
                  SELECT 2, 'changed'::name
                  UNION ALL
                  SELECT 2 + k.place::int, k.name FROM unnest(($1).key) WITH ORDINALITY k (name, place)
                  WHERE k.name IS DISTINCT FROM taskapi.scope_column(($1).scope)) c (place, name))
        SELECT format('CREATE INDEX %sON %s (%s)', CASE WHEN t.relkind = 'r' THEN 'CONCURRENTLY ' ELSE '' END, ($1).source,
                      (SELECT string_agg(quote_ident(n), ', ' ORDER BY place) FROM unnest(c.names) WITH ORDINALITY u (n, place)))
        FROM columns c, pg_class t
        WHERE t.oid = ($1).source AND ($1).changes
          AND NOT EXISTS (
              SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
              WHERE i.indrelid = ($1).source AND m.amname = 'btree' AND i.indpred IS NULL AND i.indisvalid
                AND (SELECT array_agg(a.attname ORDER BY k.place)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE k.place <= cardinality(c.names)) = c.names);
    END;
COMMENT ON FUNCTION taskapi.changes_advice(taskapi.wanted_resource) IS
    'Internal: the index that the changes of a resource lack; NULL if one serves';

-- Called by expose() when all is made, as the owner of the registry. Stamps that are there already may be those of another
-- cluster: they are an incarnation of their own.
CREATE FUNCTION taskapi.register_changes(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM taskapi.change_source s
    WHERE NOT EXISTS (SELECT FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source WHERE r.source = s.source AND r.changes);
    IF EXISTS (SELECT FROM taskapi.resource r WHERE r.source = $1 AND r.changes)
       AND NOT EXISTS (SELECT FROM taskapi.change_source s WHERE s.source = $1) THEN
        INSERT INTO taskapi.change_source (source, incarnation, system_identifier)
        VALUES ($1, taskapi.next_incarnation($1), (SELECT system_identifier FROM pg_control_system()));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.register_changes(regclass) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.register_changes(regclass) IS 'Internal: brings taskapi.change_source up to date with the registry';

CREATE FUNCTION taskapi.next_incarnation(source regclass) RETURNS int
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'taskapi_next_incarnation';
REVOKE ALL ON FUNCTION taskapi.next_incarnation(regclass) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.next_incarnation(regclass) IS
    'Internal: an incarnation above those of all stamps in a table, which is locked against writers until the transaction ends';

-- prune_changes(older_than, batch, written_before): forgets departures of longer ago, at most that many, and remembers up to
-- which stamp. Whoever asks with a token from before that starts over. Returns how many. A table whose departures its owner has
-- spoilt, or keeps locked for 5 seconds, is a WARNING. written_before, the xmax of a snapshot, bounds a run of several calls by
-- what was there when it began; NULL is now.
CREATE FUNCTION taskapi.prune_changes(older_than interval DEFAULT '30 days', batch int DEFAULT 10000,
                                      written_before xid8 DEFAULT NULL) RETURNS bigint
    LANGUAGE C VOLATILE SET lock_timeout = '5s' AS 'MODULE_PATHNAME', 'taskapi_prune_changes';
REVOKE ALL ON FUNCTION taskapi.prune_changes(interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.prune_changes(interval, int, xid8) IS
    'Forgets at most batch departures of rows that left longer ago than that; returns how many';
