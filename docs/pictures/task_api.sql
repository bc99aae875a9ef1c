-- The tables of the task API as a graph, from the catalog: columns, keys and foreign keys. Left out are the columns that expose() adds
-- and the tables of departures (docs/sync.md), which every resource has alike.
WITH tables AS (
    SELECT c.oid, c.relname
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'tasks'::regnamespace AND c.relkind = 'r' AND c.relname !~ '_departures$'
), columns AS (
    SELECT t.relname, a.attnum, a.attname, pg_catalog.format_type(a.atttypid, NULL) AS type,
           EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS is_key
    FROM tables t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE a.attname NOT IN ('version', 'updated_at', 'deleted_at', 'deletion_id', 'changed')
), nodes AS (
    SELECT format('    %s [shape=plain, style=solid, label=<<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="#52606d" BGCOLOR="#ffffff">'
                  '<TR><TD BGCOLOR="#d9e8f7"><B>%s</B></TD></TR><TR><TD ALIGN="LEFT" BALIGN="LEFT">%s<BR/></TD></TR></TABLE>>]',
                  c.relname, c.relname,
                  string_agg(format(CASE WHEN c.is_key THEN '<U>%s</U>  <FONT POINT-SIZE="10" COLOR="#616e7c">%s</FONT>'
                                    ELSE '%s  <FONT POINT-SIZE="10" COLOR="#616e7c">%s</FONT>' END,
                                    c.attname, replace(c.type, 'timestamp with time zone', 'timestamptz')),
                             '<BR/>' ORDER BY c.attnum)) AS line
    FROM columns c
    GROUP BY c.relname
), edges AS (
    -- from the table that is referred to, so that it stands above; many at the end that refers, none or one at the other
    SELECT format('    %s -> %s [label="  %s  ", dir=both, arrowhead=crow, arrowtail=%s]', f.relname, t.relname,
                  (SELECT string_agg(a.attname, ', ' ORDER BY array_position(k.conkey, a.attnum))
                   FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (k.conkey)),
                  CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                    WHERE a.attrelid = t.oid AND a.attnum = ANY (k.conkey) AND NOT a.attnotnull)
                       THEN 'teeodot' ELSE 'tee' END) AS line
    FROM pg_catalog.pg_constraint k JOIN tables t ON t.oid = k.conrelid JOIN tables f ON f.oid = k.confrelid
    WHERE k.contype = 'f'
), lines AS (
    SELECT 1 AS part, line FROM nodes
    UNION ALL
    SELECT 2, line FROM edges
)
SELECT E'digraph task_api {\n    nodesep=0.35\n    ranksep=0.55' || E'\n' || string_agg(line, E'\n' ORDER BY part, line COLLATE "C") || E'\n}'
FROM lines;
