-- What expose() adds to a table, as a graph from the catalog: the table of test/lint/setup.sql, which had two columns, with what it has now.
-- What is added is bold.
WITH relations AS (
    SELECT c.oid, format('%s.%s', c.relnamespace::regnamespace, c.relname) AS name, c.relkind,
           substring(pg_catalog.pg_get_viewdef(c.oid), 'deleted_at IS.*NULL') AS condition
    FROM pg_catalog.pg_class c
    WHERE c.oid IN ('public.orders'::regclass, 'api.orders'::regclass, 'api.deleted_orders'::regclass)
), columns AS (
    SELECT r.oid, string_agg(format(CASE WHEN r.relkind = 'r' AND a.attnum > 2 OR a.attname = 'cursor' THEN '<B>%s</B>' ELSE '%s' END,
                                    a.attname), '<BR/>' ORDER BY a.attnum) AS names
    FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY r.oid
), triggers AS (
    SELECT t.tgrelid, string_agg(format('<B>%s</B>', t.tgname), '<BR/>' ORDER BY t.tgname COLLATE "C") AS names
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid IN (SELECT r.oid FROM relations r) AND NOT t.tgisinternal
    GROUP BY t.tgrelid
), lines AS (
    SELECT format('    "%s" [shape=plain, style=solid, label=<<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="4" COLOR="#52606d" BGCOLOR="#ffffff">'
                  '<TR><TD BGCOLOR="%s">%s</TD></TR><TR><TD ALIGN="LEFT" BALIGN="LEFT">%s<BR/></TD></TR><HR/>'
                  '<TR><TD ALIGN="LEFT" BALIGN="LEFT">triggers<BR/>%s<BR/></TD></TR></TABLE>>]',
                  r.name, CASE r.relkind WHEN 'r' THEN '#e4e7eb' ELSE '#d9f2e3' END,
                  CASE r.relkind WHEN 'r' THEN 'table ' || r.name ELSE format('view <B>%s</B>', r.name) END, c.names, t.names) AS line
    FROM relations r JOIN columns c ON c.oid = r.oid JOIN triggers t ON t.tgrelid = r.oid
    UNION ALL
    SELECT format('    "%s" -> "%s" [label="  %s  ", weight=2]', v.name, t.name, v.condition)
    FROM relations v, relations t
    WHERE v.relkind = 'v' AND t.relkind = 'r'
    UNION ALL
    SELECT format('    "%2$s" [label=<function<BR/><B>%1$s.%2$s()</B>>, fillcolor="#d9f2e3"]' || E'\n    "%2$s" -> "%1$s.%3$s" [label="  pages  "]',
                  p.pronamespace::regnamespace, p.proname, c.relname)
    FROM relations v JOIN pg_catalog.pg_class c ON c.oid = v.oid
                     JOIN pg_catalog.pg_proc p ON p.pronamespace = c.relnamespace AND p.proname = c.relname || '_page'
)
SELECT E'digraph expose {\n    rankdir=LR\n    nodesep=0.3\n    ranksep=0.3' || E'\n' || string_agg(line, E'\n' ORDER BY line COLLATE "C" DESC) || E'\n}'
FROM lines;
