-- What a resource is made of: columns of its table, two views, a page function, triggers. Each function here reads the catalog
-- and returns the statements that are missing, with the role that runs each; what is there already keeps its place, so that
-- nothing that depends on it is lost.

-- The columns that versions and soft deletion need, with the types that fit, the one that is added, and its default.
CREATE FUNCTION taskapi.needed_columns(wanted taskapi.wanted_resource)
    RETURNS TABLE (place int, name name, types regtype[], type text, value text, required boolean, fitting text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.place, n.name::name, n.types::regtype[], n.type, n.value, n.required, n.fitting
        FROM (VALUES
                (1, ($1).versioned,   'version',                '{int4,int8,int2}',        'int',         '1',     true,
                 'smallint, int or bigint'),
                (2, ($1).versioned,   'updated_at',             '{timestamptz,timestamp}', 'timestamptz', 'now()', false,
                 'timestamptz or timestamp'),
                (3, ($1).soft_delete, ($1).deleted_at_column,   '{timestamptz}',           'timestamptz', NULL,    false,
                 'timestamptz'),
                (4, ($1).soft_delete, 'deletion_id',            '{uuid}',                  'uuid',        NULL,    false,
                 'uuid'),
                (5, ($1).changes,     'changed',                '{xid8}',                  'xid8',        '''0''', true,
                 'xid8')) n (place, needed, name, types, type, value, required, fitting)
        WHERE n.needed ORDER BY n.place;
    END;
COMMENT ON FUNCTION taskapi.needed_columns(taskapi.wanted_resource) IS
    'Internal: the columns that versions and soft deletion need of a table';

-- A stamp of change_stamp() is nobody's to see.
CREATE FUNCTION taskapi.is_stamp(wanted taskapi.wanted_resource, name name) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT $2 = 'changed'
               AND coalesce((SELECT a.atttypid = 'xid8'::regtype FROM pg_attribute a
                             WHERE a.attrelid = ($1).source AND a.attname = $2), ($1).changes);
    END;
COMMENT ON FUNCTION taskapi.is_stamp(taskapi.wanted_resource, name) IS
    'Internal: whether a column of a table holds the stamps of its changes';

-- The columns that the table will have: those that it has, and those that are added, in that order.
CREATE FUNCTION taskapi.source_columns(wanted taskapi.wanted_resource)
    RETURNS TABLE (attnum smallint, name name, private boolean, generated boolean, comment text, default_expression text,
                   added boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attnum, a.attname, coalesce(d.description, '') LIKE '@private%', a.attgenerated <> '', d.description,
               CASE WHEN e.oid IS NOT NULL AND a.attgenerated = '' OR a.attidentity = 'd' OR t.typtype = 'd'
                    THEN format('taskapi.table_default(%L::regclass, %L::smallint, %s)', ($1).source, a.attnum,
                                -- a domain may refuse NULL, but not as what an array lacks
                                format(CASE WHEN t.typtype = 'd' THEN '(NULL::%s[])[1]' ELSE 'NULL::%s' END,
                                       format_type(a.atttypid, NULL))) END, false
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
        LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        WHERE a.attrelid = ($1).source AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        -- with names for what has none: without, pg_upgrade changes the text
        SELECT (c.relnatts + row_number() OVER (ORDER BY n.place))::smallint AS attnum, n.name, false AS private,
               false AS generated, NULL::text AS comment, NULL::text AS default_expression, true AS added
        FROM taskapi.needed_columns($1) n, pg_class c
        WHERE c.oid = ($1).source
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = n.name)
        ORDER BY 1;
    END;
COMMENT ON FUNCTION taskapi.source_columns(taskapi.wanted_resource) IS
    'Internal: the columns that a table will have as a resource, by number';

-- Columns that are missing are added, and what a client cannot send has a default. None of it rewrites the table: the defaults
-- are the same for all its rows.
CREATE FUNCTION taskapi.column_statements(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('ALTER TABLE %s %s', ($1).source, string_agg(n.action, ', ' ORDER BY n.place))
        FROM (SELECT n.place,
                     CASE WHEN a.attnum IS NULL
                          THEN format('ADD COLUMN %I %s%s', n.name, n.type, ' NOT NULL DEFAULT ' || n.value)
                          WHEN n.value IS NOT NULL AND NOT a.atthasdef
                          THEN format('ALTER COLUMN %I SET DEFAULT %s', n.name,
                                      CASE WHEN a.atttypid = 'timestamp'::regtype THEN '(now() AT TIME ZONE ''UTC'')'
                                           ELSE n.value END) END AS action
              FROM taskapi.needed_columns($1) n
              LEFT JOIN pg_attribute a ON a.attrelid = ($1).source AND a.attname = n.name) n
        WHERE n.action IS NOT NULL HAVING count(*) > 0;
    END;
COMMENT ON FUNCTION taskapi.column_statements(taskapi.wanted_resource) IS
    'Internal: the statement that gives a table the columns and defaults that it lacks as a resource';

CREATE FUNCTION taskapi.shown_columns(view regclass) RETURNS smallint[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(c.source_attnum), '{}') FROM taskapi.resource_columns($1) c WHERE c.source_attnum IS NOT NULL;
    END;
COMMENT ON FUNCTION taskapi.shown_columns(regclass) IS
    'Internal: the columns of its table that a view of a resource shows, by number';

-- The one or the other view of a resource, if it is there; what is to be made again is not.
CREATE FUNCTION taskapi.present_view(wanted taskapi.wanted_resource, deleted boolean) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.oid FROM pg_class c
        WHERE c.oid = CASE WHEN $2 THEN (($1).former).deleted_resource ELSE (($1).former).resource END
          AND ($1).remake IS NOT TRUE;
    END;
COMMENT ON FUNCTION taskapi.present_view(taskapi.wanted_resource, boolean) IS
    'Internal: the view of the live or deleted rows of a resource that is wanted, if it can be kept';

-- The order of the deleted rows of a resource: last deleted first.
CREATE FUNCTION taskapi.deleted_order(key name[], deleted_at_column name) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('%I DESC', $2) || coalesce(string_agg(format(', %I DESC', k.name), '' ORDER BY k.place), '')
        FROM unnest($1) WITH ORDINALITY k (name, place) WHERE k.name <> $2;
    END;
COMMENT ON FUNCTION taskapi.deleted_order(name[], name) IS
    'Internal: the order of the deleted rows of a resource with that primary key';

-- A layer finds relations by the columns of foreign keys that views pass on, and would take the deleted rows for a second table
-- of that name: with a second junction many-to-many is ambiguous, and foreign keys lead to the trash. So the columns that others
-- may refer to hide there where they come from (src/base/simple_view.h); to the planner they are the table's.
CREATE FUNCTION taskapi.column_expression(wanted taskapi.wanted_resource, deleted boolean, name name) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format(CASE WHEN $2 AND ($3 = ANY (($1).key)
                                        OR EXISTS (SELECT FROM pg_constraint f
                                                   JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = ANY (f.confkey)
                                                   WHERE f.contype = 'f' AND f.confrelid = ($1).source AND a.attname = $3))
                           THEN 'CASE WHEN true THEN t.%1$I ELSE t.%1$I END' ELSE 't.%1$I' END, $3);
    END;
COMMENT ON FUNCTION taskapi.column_expression(taskapi.wanted_resource, boolean, name) IS
    'Internal: what a view of the live or deleted rows of a resource shows as a column of its table';

-- The columns that a view will have, in order. Those of a view that is there are bound to the columns of the table by number, and
-- follow their names. The view of the deleted rows shows the column that marks them under the name deleted_at too, by which every
-- client restores, unless the table has another column of that name.
CREATE FUNCTION taskapi.view_columns(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (name name, was name, source_attnum smallint, expression text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH source AS (
            SELECT s.*, s.name IN (($1).deleted_at_column, 'deletion_id') AND ($1).soft_delete AND NOT $2
                        OR taskapi.is_stamp($1, s.name) AS hidden
            FROM taskapi.source_columns($1) s),
        present AS (
            SELECT c.name AS was, c.source_attnum, c.place, s.name,
                   -- the second column that shows the same
                   $2 AND c.name = 'deleted_at' AND s.name = ($1).deleted_at_column
                   AND count(*) OVER (PARTITION BY c.source_attnum) > 1 AS alias
            FROM taskapi.resource_columns(taskapi.present_view($1, $2)) WITH ORDINALITY c (name, source_attnum, place)
            LEFT JOIN source s ON s.attnum = c.source_attnum),
        ordered AS (
            SELECT taskapi.deleted_order(($1).key, ($1).deleted_at_column) AS deleted, ($1).order_by AS live),
        cursor AS (
            SELECT format('taskapi.cursor(%L, %s)', o.order_by,
                          string_agg(format('t.%I', s.c), ', ' ORDER BY s.place)) AS expression
            FROM (SELECT CASE WHEN $2 THEN o.deleted ELSE o.live END AS order_by FROM ordered o) o,
                 taskapi.order_by_columns(o.order_by) t, unnest(t.columns) WITH ORDINALITY s (c, place)
            GROUP BY o.order_by),
        wanted AS (
            SELECT 1 AS part, p.place, p.was, p.source_attnum,
                   CASE WHEN p.source_attnum IS NULL THEN p.was WHEN p.alias THEN 'deleted_at' ELSE p.name END AS name,
                   CASE WHEN p.source_attnum IS NULL THEN c.expression
                        ELSE taskapi.column_expression($1, $2, p.name::name) END AS expression
            FROM present p, cursor c
            UNION ALL
            SELECT 2 AS part, s.attnum AS place, NULL::name AS was, s.attnum AS source_attnum, s.name,
                   taskapi.column_expression($1, $2, s.name::name) AS expression
            FROM source s
            WHERE NOT s.hidden AND (NOT s.private OR s.name = ANY (($1).key))
              AND s.attnum NOT IN (SELECT p.source_attnum FROM present p WHERE p.source_attnum IS NOT NULL)
            UNION ALL
            SELECT 3 AS part, 0 AS place, NULL::name AS was, s.attnum AS source_attnum, 'deleted_at'::name AS name,
                   format('t.%I', s.name) AS expression
            FROM source s
            WHERE $2 AND s.name = ($1).deleted_at_column AND s.name <> 'deleted_at'
              AND NOT EXISTS (SELECT FROM present p WHERE p.alias)
              AND NOT EXISTS (SELECT FROM source o WHERE o.name = 'deleted_at')
            UNION ALL
            SELECT 4 AS part, 0 AS place, NULL::name AS was, NULL::smallint AS source_attnum, 'cursor'::name AS name, c.expression
            FROM cursor c
            WHERE NOT EXISTS (SELECT FROM present p WHERE p.source_attnum IS NULL))
        SELECT w.name::name, w.was::name, w.source_attnum, w.expression FROM wanted w ORDER BY w.part, w.place;
    END;
COMMENT ON FUNCTION taskapi.view_columns(taskapi.wanted_resource, boolean) IS
    'Internal: the columns that the view of the live or deleted rows of a resource will have';

-- Columns that the views of a resource show and that are to leave it: a view cannot lose a column. They are private since, or
-- mark deletion since; or the other name of the column of deletion is one of the table since.
CREATE FUNCTION taskapi.leaving_columns(wanted taskapi.wanted_resource) RETURNS name[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(DISTINCT l.name), '{}')
        FROM (SELECT s.name
              FROM taskapi.source_columns($1) s, pg_class c, LATERAL unnest(taskapi.shown_columns(c.oid::regclass)) u (attnum)
              WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND s.attnum = u.attnum
                AND (s.private AND s.name <> ALL (($1).key)
                     OR ($1).soft_delete AND c.oid = (($1).former).resource
                        AND s.name IN (($1).deleted_at_column, 'deletion_id')
                     OR ($1).changes AND s.name = 'changed')
              UNION ALL
              SELECT c.name
              FROM pg_class v, LATERAL taskapi.resource_columns(v.oid::regclass) c,
                   LATERAL taskapi.resource_columns(v.oid::regclass) o
              WHERE v.oid = (($1).former).deleted_resource AND c.name = 'deleted_at' AND o.name <> 'deleted_at'
                AND o.source_attnum = c.source_attnum
                AND EXISTS (SELECT FROM taskapi.source_columns($1) s WHERE s.name = 'deleted_at')) l;
    END;
COMMENT ON FUNCTION taskapi.leaving_columns(taskapi.wanted_resource) IS
    'Internal: the columns that the views of a resource show and must no longer show';

-- Each as its owner. What is gone is passed by, and so is what a registry entry only claims to be of the resource.
CREATE FUNCTION taskapi.drop_statements(entry taskapi.resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT d.owner::regrole, d.statement
        FROM (SELECT 1, p.proowner, format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
              WHERE p.oid IN (taskapi.page_function_of(($1).resource), taskapi.page_function_of(($1).deleted_resource),
                              taskapi.changes_function_of(($1).resource))
              UNION ALL
              SELECT 2, c.relowner, format('DROP VIEW %s', c.oid::regclass) FROM pg_class c
              WHERE c.oid = ($1).deleted_resource AND taskapi.is_own_view(c.oid, ($1).source)
              UNION ALL
              SELECT 3, c.relowner, format('DROP VIEW %s', c.oid::regclass) FROM pg_class c
              WHERE c.oid = ($1).resource AND c.relkind = 'v') d (place, owner, statement)
        ORDER BY d.place;
    END;
COMMENT ON FUNCTION taskapi.drop_statements(taskapi.resource) IS
    'Internal: drop the views and the page function of a resource';

-- The triggers that are ours, with their bits in pg_trigger.tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 64 instead
-- of. Those of a table are for writers who go round the resource; their names sort after all other triggers', but
-- for the one that publishes: a trigger after it that writes the row again publishes after it.
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
            -- before the touch, to which its stamp is no change
            ('changes',     31, 'zz_taskapi_change',       'BEFORE INSERT OR DELETE OR UPDATE', 'taskapi.change_stamp()'),
            ('versioned',   19, 'zz_taskapi_touch',        'BEFORE UPDATE', 'taskapi.resource_touch()'),
            ('source',      21, 'zz_taskapi_reference',    'AFTER INSERT OR UPDATE', 'taskapi.resource_reference()'),
            ('published',   29, '00_taskapi_publish', 'AFTER INSERT OR DELETE OR UPDATE', 'taskapi.resource_publish()'))
            v (kind, type, name, events, function)
        WHERE v.kind = ANY ($1);
    END;
COMMENT ON FUNCTION taskapi.resource_triggers(text[]) IS 'Internal: the triggers of the extension that are of the given kinds';

CREATE FUNCTION taskapi.own_triggers(relation regclass) RETURNS TABLE (name name, function regprocedure)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.tgname, t.tgfoid::regprocedure FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND p.pronamespace = 'taskapi'::regnamespace
          AND t.tgname ~ '^(zz_|00_)?taskapi_' ORDER BY t.tgname;
    END;
COMMENT ON FUNCTION taskapi.own_triggers(regclass) IS 'Internal: the triggers of the extension on a table or view';

-- What is there already is left alone, since to create a trigger locks a table against writers, and to drop one against readers;
-- what another version called otherwise goes, and one that is disabled is enabled. "relation" is NULL for a view that is made.
CREATE FUNCTION taskapi.trigger_statements(relation regclass, qualified text, kinds text[]) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.statement
        FROM (SELECT 1, o.name, format('DROP TRIGGER %I ON %s', o.name, $2)
              FROM taskapi.own_triggers($1) o WHERE o.name NOT IN (SELECT w.name FROM taskapi.resource_triggers($3) w)
              UNION ALL
              SELECT 2, w.name, format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION %s',
                                       w.name, w.events, $2, w.level, w.function)
              FROM taskapi.resource_triggers($3) w
              WHERE NOT EXISTS (SELECT FROM pg_trigger t
                                WHERE t.tgrelid = $1 AND t.tgname = w.name AND t.tgtype = w.type AND t.tgfoid = w.function
                                  AND t.tgattr = '' AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgconstraint = 0
                                  AND t.tgoldtable IS NULL AND t.tgnewtable IS NULL)
              UNION ALL
              -- one that is ENABLE ALWAYS stays so; of a partitioned table the partitions' are meant too
              SELECT DISTINCT 3, t.tgname, format('ALTER TABLE %s ENABLE TRIGGER %I', $2, t.tgname)
              FROM pg_trigger t JOIN taskapi.resource_triggers($3) w ON t.tgname = w.name AND t.tgfoid = w.function
              WHERE t.tgenabled IN ('D', 'R') AND w.name <> 'zz_taskapi_change'
                AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree($1) p))
              UNION ALL
              -- a subscriber of logical replication stamps with ids of its own
              SELECT 4, w.name, format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', $2, w.name)
              FROM taskapi.resource_triggers($3) w
              WHERE w.name = 'zz_taskapi_change'
                AND (NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgname = w.name)
                     OR EXISTS (SELECT FROM pg_trigger t
                                WHERE t.tgname = w.name AND t.tgfoid = w.function AND t.tgenabled <> 'A'
                                  AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree($1) p))))
             ) s (place, name, statement)
        ORDER BY s.place, s.name;
    END;
COMMENT ON FUNCTION taskapi.trigger_statements(regclass, text, text[]) IS
    'Internal: create the triggers of the given kinds on a relation, and drop the other triggers of the extension';

CREATE FUNCTION taskapi.source_trigger_statements(source regclass, versioned boolean, exposed boolean, published boolean,
                                                  changes boolean)
    RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT taskapi.trigger_statements($1, $1::text, ARRAY[CASE WHEN $2 THEN 'versioned' END, CASE WHEN $3 THEN 'source' END,
                                                              CASE WHEN $4 THEN 'published' END,
                                                              CASE WHEN $5 THEN 'changes' END]);
    END;
COMMENT ON FUNCTION taskapi.source_trigger_statements(regclass, boolean, boolean, boolean, boolean) IS
    'Internal: create the triggers that the resources made of a table need, and drop the other triggers of the extension';

-- Columns that were renamed. Two may have swapped their names: then all take a name that is nobody's first.
CREATE FUNCTION taskapi.rename_statements(wanted taskapi.wanted_resource, deleted boolean, qualified text) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH present AS MATERIALIZED (SELECT v.* FROM taskapi.view_columns($1, $2) v WHERE v.was IS NOT NULL),
        renamed AS (
            SELECT v.was, v.name, row_number() OVER (ORDER BY v.was) AS number,
                   EXISTS (SELECT FROM present o WHERE o.was = v.name) AS taken
            FROM present v WHERE v.was <> v.name)
        SELECT format('ALTER VIEW %s RENAME COLUMN %I TO %I', $3, s.was, s.name)
        FROM (SELECT 1, r.number, r.was::text, 'taskapi ' || r.number FROM renamed r WHERE r.taken
              UNION ALL
              SELECT 2, r.number, CASE WHEN r.taken THEN 'taskapi ' || r.number ELSE r.was END, r.name FROM renamed r
             ) s (place, number, was, name)
        ORDER BY s.place, s.number;
    END;
COMMENT ON FUNCTION taskapi.rename_statements(taskapi.wanted_resource, boolean, text) IS
    'Internal: give the columns of a view of a resource the names that the columns of the table have now';

-- Where the URL of the next page is. In one direction and without NULLs, the columns' own index serves both order and cursor;
-- otherwise one on the cursor does.
CREATE FUNCTION taskapi.cursor_comment(wanted taskapi.wanted_resource, deleted boolean) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    order_by CONSTANT text := CASE WHEN deleted THEN taskapi.deleted_order(wanted.key, wanted.deleted_at_column)
                              ELSE wanted.order_by END;
    name     CONSTANT text := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    sorted   record;
    forth    text := 'cursor';
    back     text := 'cursor.desc';
BEGIN
    SELECT * INTO sorted FROM taskapi.order_by_columns(order_by);
    IF NOT (true = ANY (sorted.descending) AND false = ANY (sorted.descending))
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = wanted.source AND a.attname = ANY (sorted.columns)
                           AND NOT a.attnotnull AND NOT (deleted AND a.attname = wanted.deleted_at_column)) THEN
        SELECT string_agg(c || CASE WHEN sorted.descending[1] THEN '.desc' ELSE '' END, ',' ORDER BY place),
               string_agg(c || CASE WHEN sorted.descending[1] THEN '' ELSE '.desc' END, ',' ORDER BY place)
        INTO forth, back FROM unnest(sorted.columns) WITH ORDINALITY u (c, place);
    END IF;
    RETURN format('Where the row stands in order_by %s. Next page: /%s?order=%s&limit=50&cursor=gt.TOKEN, with the cursor of the'
                  ' last row, until a page is empty; previous page, backwards: /%s?order=%s&limit=50&cursor=lt.TOKEN, with'
                  ' that of the first',
                  order_by, name, forth, name, back);
END
$$;
COMMENT ON FUNCTION taskapi.cursor_comment(taskapi.wanted_resource, boolean) IS
    'Internal: the comment on the column cursor of a view of a resource';

-- Defaults, and comments. The default of a column is the table's at that moment, whatever it becomes later; that of the cursor
-- tells the trigger which columns an INSERT names.
CREATE FUNCTION taskapi.dress_statements(wanted taskapi.wanted_resource, deleted boolean, qualified text) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- each is computed once: a table can have many columns
        WITH view AS MATERIALIZED (
            SELECT taskapi.present_view($1, $2) AS id),
        present AS MATERIALIZED (
            -- a default names no column, and without a relation that is a matter of its length only
            SELECT a.attname AS name, pg_get_expr(d.adbin, 0) AS value, col_description(a.attrelid, a.attnum) AS comment
            FROM view v JOIN pg_attribute a ON a.attrelid = v.id AND a.attnum > 0
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum),
        columns AS MATERIALIZED (
            SELECT c.* FROM taskapi.view_columns($1, $2) WITH ORDINALITY c (name, was, source_attnum, expression, place)),
        source AS MATERIALIZED (
            SELECT s.attnum, s.comment, CASE WHEN NOT $2 AND NOT (($1).versioned AND s.name IN ('version', 'updated_at'))
                                             THEN s.default_expression END AS value
            FROM taskapi.source_columns($1) s),
        shown AS MATERIALIZED (
            SELECT c.name, c.place, s.comment, s.value, p.value AS former_value, p.comment AS former_comment
            FROM columns c JOIN source s ON s.attnum = c.source_attnum LEFT JOIN present p ON p.name = c.was)
        SELECT s.statement
        FROM (SELECT 1, s.place, format('ALTER VIEW %s ALTER COLUMN %I %s', $3, s.name,
                                        coalesce('SET DEFAULT ' || s.value, 'DROP DEFAULT'))
              FROM shown s WHERE s.value IS DISTINCT FROM s.former_value
              UNION ALL
              SELECT 2, 0, format('ALTER VIEW %s ALTER COLUMN cursor SET DEFAULT taskapi.insert_columns()', $3)
              WHERE NOT $2 AND NOT EXISTS (SELECT FROM present p WHERE p.name = 'cursor' AND p.value IS NOT NULL)
              UNION ALL
              SELECT 3, s.place, format('COMMENT ON COLUMN %s.%I IS %L', $3, s.name, s.comment)
              FROM shown s WHERE s.comment IS DISTINCT FROM s.former_comment
              UNION ALL
              SELECT 4, 0, format('COMMENT ON COLUMN %s.cursor IS %L', $3, c.comment)
              FROM taskapi.cursor_comment($1, $2) c (comment)
              WHERE c.comment IS DISTINCT FROM (SELECT p.comment FROM present p WHERE p.name = 'cursor')
              UNION ALL
              SELECT 5, 0, format('COMMENT ON VIEW %s IS %L', $3, c.comment)
              FROM (SELECT coalesce(obj_description(($1).source, 'pg_class'), 'Rows of ' || ($1).source)
                           || CASE WHEN $2 THEN E'\n\nThose that are deleted. PATCH {"deleted_at": null} restores,'
                                                ' DELETE purges for good.' ELSE '' END) c (comment)
              WHERE c.comment IS DISTINCT FROM (SELECT obj_description(v.id, 'pg_class') FROM view v)
             ) s (part, place, statement)
        ORDER BY s.part, s.place;
    END;
COMMENT ON FUNCTION taskapi.dress_statements(taskapi.wanted_resource, boolean, text) IS
    'Internal: give a view of a resource the defaults and comments of its table';

-- A view of a resource: created as the creator, and the owner's from then on.
CREATE FUNCTION taskapi.view_statements(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view      CONSTANT regclass := taskapi.present_view(wanted, deleted);
    name      CONSTANT name := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    qualified CONSTANT text := format('%I.%I', wanted.api_schema, name);
BEGIN
    -- the view of the deleted rows follows that of the live rows
    RETURN QUERY
        SELECT wanted.creator, format('ALTER VIEW %s SET SCHEMA %I', view, wanted.api_schema)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = view AND n.nspname <> wanted.api_schema
        UNION ALL
        SELECT wanted.creator, format('ALTER VIEW %I.%I RENAME TO %I', wanted.api_schema, c.relname, name)
        FROM pg_class c WHERE c.oid = view AND c.relname <> name;
    RETURN QUERY SELECT wanted.creator, s FROM taskapi.rename_statements(wanted, deleted, qualified) s;
    RETURN QUERY
        SELECT wanted.creator,
               format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT %s FROM %s AS t%s', qualified,
                      string_agg(v.expression || CASE WHEN v.expression <> format('t.%I', v.name) THEN format(' AS %I', v.name)
                                                 ELSE '' END, ', ' ORDER BY v.place),
                      wanted.source,
                      CASE WHEN wanted.soft_delete THEN format(' WHERE t.%I IS %s', wanted.deleted_at_column,
                                                               CASE WHEN deleted THEN 'NOT NULL' ELSE 'NULL' END) END)
        FROM taskapi.view_columns(wanted, deleted) WITH ORDINALITY v (name, was, source_attnum, expression, place);
    IF view IS NULL THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER VIEW %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_class'', %L::regclass)', qualified);
    END IF;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.dress_statements(wanted, deleted, qualified) s;
    RETURN QUERY SELECT wanted.owner, s
                 FROM taskapi.trigger_statements(view, qualified, ARRAY[CASE WHEN deleted THEN 'deleted' ELSE 'live' END]) s;
END
$$;
COMMENT ON FUNCTION taskapi.view_statements(taskapi.wanted_resource, boolean) IS
    'Internal: create the view of the live or deleted rows of a resource, or bring it up to date';

-- RESOURCE_page(order_by, page_size, page_token, filter, count, fields, show_deleted), and deleted_RESOURCE_page() with the same
-- arguments, whose rows are deleted in any case; that one is left out if its name would be too long. The columns of a page are
-- called fields here: in a URL, columns is PostgREST's own. One that an earlier version made with other arguments or another
-- result cannot be replaced: it goes, and what roles were granted passes on. A new one is for those who may read the view.
CREATE FUNCTION taskapi.page_statements(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view      CONSTANT text := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    name      CONSTANT text := view || '_page';
    arguments CONSTANT text[] := '{order_by,page_size,page_token,filter,count,fields,show_deleted}';
    qualified CONSTANT text := format('%I.%I(text, int, text, jsonb, text, text[], boolean)', wanted.api_schema, name);
    order_by  CONSTANT text := CASE WHEN deleted THEN taskapi.deleted_order(wanted.key, wanted.deleted_at_column)
                               ELSE wanted.order_by END;
    comment   CONSTANT text := format('A page of %s, in order %s unless told otherwise:'
                                      ' GET /rpc/%s?page_size=50&page_token=TOKEN, until next_page_token is empty',
                                      view, order_by, name);
    former    CONSTANT regclass := CASE WHEN deleted THEN (wanted.former).deleted_resource ELSE (wanted.former).resource END;
    old       record;
    made      regprocedure := CASE WHEN NOT wanted.remake THEN to_regprocedure(qualified) END;
    readers   oid[] := ARRAY(
        SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = former AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner ORDER BY 1);
BEGIN
    IF octet_length(name) > 63 THEN
        RETURN;
    END IF;
    FOR old IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner,
               ARRAY(SELECT DISTINCT a.grantee FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                     WHERE a.grantee NOT IN (0, p.proowner) ORDER BY 1) AS callers
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE NOT wanted.remake
          AND (p.proname = (wanted.former).page_function AND NOT deleted OR p.oid = taskapi.page_function_of(former))
          AND (n.nspname, p.proname, p.proargtypes, p.proargnames, p.prorettype) IS DISTINCT FROM
              (wanted.api_schema, name::name, taskapi.page_arguments(), arguments, 'taskapi.page_result'::regtype::oid)
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'A page of ')
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = former)
    LOOP
        readers := old.callers;
        made := nullif(made, old.function);
        RETURN QUERY SELECT old.owner, format('DROP FUNCTION %s', old.function);
    END LOOP;
    RETURN QUERY SELECT wanted.creator, format(
        'CREATE OR REPLACE FUNCTION %I.%I(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL,'
        ' filter jsonb DEFAULT NULL, count text DEFAULT NULL, fields text[] DEFAULT NULL, show_deleted boolean DEFAULT false)'
        ' RETURNS taskapi.page_result LANGUAGE sql STABLE'
        ' RETURN taskapi.resource_page(%L::regclass, %L::boolean, %L, $1, $2, $3, $4, $5, $6, %s)',
        wanted.api_schema, name, format('%I.%I', wanted.api_schema, view), wanted.soft_delete AND NOT deleted, order_by,
        CASE WHEN deleted THEN 'false' ELSE '$7' END);
    IF made IS NULL THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER FUNCTION %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_proc'', %L::regprocedure)', qualified);
        RETURN QUERY SELECT wanted.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', qualified, taskapi.grantee_name(g))
                     FROM unnest(readers) g WHERE NOT wanted.remake;
    END IF;
    IF made IS NULL OR obj_description(made, 'pg_proc') IS DISTINCT FROM comment THEN
        RETURN QUERY SELECT wanted.owner, format('COMMENT ON FUNCTION %s IS %L', qualified, comment);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.page_statements(taskapi.wanted_resource, boolean) IS
    'Internal: create the function that answers with a page of the live or deleted rows, or bring it up to date';

-- A schema that expose() creates is out of the reach of others.
CREATE FUNCTION taskapi.schema_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regnamespace(quote_ident(wanted.api_schema)) IS NULL THEN
        RETURN QUERY SELECT me.oid::regrole, format('CREATE SCHEMA %I AUTHORIZATION %s', wanted.api_schema, wanted.creator)
                     FROM pg_roles me WHERE me.rolname = current_user;
        RETURN QUERY SELECT wanted.creator,
                            format('SELECT taskapi.revoke_from_others(''pg_namespace'', %L::regnamespace)',
                                   quote_ident(wanted.api_schema));
    END IF;
    IF wanted.creator <> wanted.owner
       AND has_schema_privilege(wanted.owner, to_regnamespace(quote_ident(wanted.api_schema))::oid, 'USAGE') IS NOT TRUE THEN
        RETURN QUERY SELECT wanted.creator, format('GRANT USAGE ON SCHEMA %I TO %s', wanted.api_schema, wanted.owner);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.schema_statements(taskapi.wanted_resource) IS 'Internal: create the schema of a resource';

-- All of it, in the order in which it is run.
CREATE FUNCTION taskapi.resource_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    others record;
BEGIN
    SELECT bool_or(r.versioned) AS versioned, bool_or(r.publish IS NOT NULL) AS published, bool_or(r.changes) AS changes
    INTO others
    FROM taskapi.resources_of(source) r WHERE r.resource IS DISTINCT FROM (wanted.former).resource;
    RETURN QUERY SELECT s.* FROM taskapi.schema_statements(wanted) s;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.column_statements(wanted) s;
    IF wanted.remake THEN
        RETURN QUERY SELECT wanted.owner, s FROM taskapi.revoke_statements(wanted) s;
        RETURN QUERY SELECT s.* FROM taskapi.drop_statements(wanted.former) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.view_statements(wanted, false) s;
    IF wanted.soft_delete THEN
        RETURN QUERY SELECT s.* FROM taskapi.view_statements(wanted, true) s;
    ELSIF NOT wanted.remake THEN
        RETURN QUERY SELECT s.* FROM taskapi.drop_statements(
            ROW(NULL, source, (wanted.former).deleted_resource, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL, NULL, NULL)::taskapi.resource) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.page_statements(wanted, false) s;
    IF wanted.soft_delete THEN
        RETURN QUERY SELECT s.* FROM taskapi.page_statements(wanted, true) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.changes_statements(wanted) s;
    RETURN QUERY SELECT s.* FROM taskapi.departures_statements(wanted) s;
    RETURN QUERY SELECT wanted.owner, s
                 FROM taskapi.source_trigger_statements(source, wanted.versioned OR others.versioned IS TRUE, true,
                                                        wanted.publish IS NOT NULL OR others.published IS TRUE,
                                                        wanted.changes OR others.changes IS TRUE) s;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.changes_grants(wanted) s;
    IF wanted.remake THEN
        RETURN QUERY SELECT wanted.owner, s FROM taskapi.remade_grants(wanted) s;
    END IF;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.new_column_grants(wanted) s;
END
$$;
COMMENT ON FUNCTION taskapi.resource_statements(taskapi.wanted_resource) IS
    'Internal: the statements that make a resource, or bring it up to date, and the role that runs each';
