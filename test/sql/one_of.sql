-- one_of(): says what = ANY says, bounds the same scans, and leaves a query its plan.

-- NULL or false, where it is not true: a policy treats them alike
SELECT name, count(*) FILTER (WHERE coalesce(taskapi.one_of(v, e), false) = coalesce(v = ANY (e), false)) AS same, count(*) FILTER (WHERE taskapi.one_of(v, e)) AS true
FROM unnest(ARRAY['00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', NULL]::uuid[]) v,
     (VALUES ('empty', '{}'::uuid[]), ('none', NULL), ('null', '{NULL}'), ('one', '{00000000-0000-0000-0000-000000000001}'),
             ('after null', '{NULL,00000000-0000-0000-0000-000000000002}'),
             ('matrix', '{{00000000-0000-0000-0000-000000000003,NULL},{NULL,00000000-0000-0000-0000-000000000001}}'),
             ('other bounds', array_fill('00000000-0000-0000-0000-000000000002'::uuid, '{20}', '{-3}'))) t (name, e)
GROUP BY name ORDER BY name;
-- many elements, one of which is NULL, each found
WITH t AS (SELECT array_agg(CASE WHEN n <> 13 THEN md5(n::text)::uuid END ORDER BY n) AS e FROM generate_series(1, 500) n)
SELECT count(*) FILTER (WHERE taskapi.one_of(md5(n::text)::uuid, e)) AS found, count(*) FROM t, generate_series(1, 1000) n;

CREATE TABLE regress_one_of (project uuid NOT NULL, n int NOT NULL);
INSERT INTO regress_one_of SELECT md5((n % 500)::text)::uuid, n FROM generate_series(1, 20000) n;
CREATE INDEX regress_one_of_project_n ON regress_one_of (project, n);
CREATE INDEX regress_one_of_n_project ON regress_one_of (n, project);
CREATE INDEX regress_one_of_project ON regress_one_of (project);
VACUUM ANALYZE regress_one_of;
-- the plan below the limit: nodes, indexes, and whether one_of() bounds the scan
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json, COSTS off) ' || query INTO plan;
    RETURN QUERY
    WITH RECURSIVE node AS (
        SELECT plan -> 0 -> 'Plan' AS n
        UNION ALL
        SELECT c FROM node, json_array_elements(node.n -> 'Plans') c WHERE c ->> 'Parent Relationship' <> 'InitPlan'
    )
    SELECT concat_ws(' ', n ->> 'Node Type', n ->> 'Index Name', CASE WHEN n ->> 'Index Cond' LIKE '%project = ANY%' THEN 'bounded' END,
                     CASE WHEN n ->> 'Filter' LIKE '%one_of%' THEN 'filtered' END) FROM node;
END
$$;
-- with a condition of the query's own: the ordered scan, as without a policy, and no sort
SELECT pg_temp.plan('SELECT n FROM regress_one_of WHERE project = md5(''1'')::uuid ORDER BY n LIMIT 3');
SELECT pg_temp.plan('SELECT n FROM regress_one_of WHERE taskapi.one_of(project, (SELECT array_agg(md5(i::text)::uuid) FROM generate_series(1, 3) i)) AND project = md5(''1'')::uuid ORDER BY n LIMIT 3');
SELECT n FROM regress_one_of WHERE taskapi.one_of(project, (SELECT array_agg(md5(i::text)::uuid) FROM generate_series(1, 3) i)) AND project = md5('1')::uuid ORDER BY n LIMIT 3;
SELECT count(*) FROM regress_one_of WHERE taskapi.one_of(project, (SELECT array_agg(md5(i::text)::uuid) FROM generate_series(10, 20) i)) AND project = md5('1')::uuid;
-- without one: bounded by the policy
SET enable_seqscan = off;
SELECT pg_temp.plan('SELECT n FROM regress_one_of WHERE taskapi.one_of(project, (SELECT array_agg(md5(i::text)::uuid) FROM generate_series(1, 3) i)) ORDER BY project, n');
SELECT count(*), bool_and(ordered) FROM (
    SELECT (project, n) > lag((project, n)) OVER () IS NOT false AS ordered FROM (
        SELECT project, n FROM regress_one_of WHERE taskapi.one_of(project, (SELECT array_agg(md5(i::text)::uuid) FROM generate_series(1, 3) i)) ORDER BY project, n) s) t;
-- no index condition on a later column, whose scan would lose the order
SELECT pg_temp.plan('SELECT n FROM regress_one_of WHERE taskapi.one_of(project, ''{00000000-0000-0000-0000-000000000001}'') AND n > 19990 ORDER BY n');
RESET enable_seqscan;
DROP TABLE regress_one_of;
