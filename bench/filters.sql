-- Buffers of docs/filters.md: scripts/psql -X -At -q -f bench/filters.sql
-- 200,000 rows of 1,000 tenants, one of which has 16,000; three of those match. Deterministic but for the rows' places.
CREATE EXTENSION btree_gin;
CREATE EXTENSION pg_trgm;
CREATE ROLE bench_user;
CREATE TABLE doc (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL, title text NOT NULL, labels text[] NOT NULL, created_at timestamptz NOT NULL, words tsvector, body jsonb);
SELECT setseed(0.5) \g /dev/null
INSERT INTO doc (project_id, title, labels, created_at, words, body)
SELECT p, t, l, c, to_tsvector('simple', t), jsonb_build_object('labels', l)
FROM (SELECT CASE WHEN random() < 0.08 THEN md5('big')::uuid ELSE md5((random() * 1000)::int::text)::uuid END AS p,
             'task ' || (random() * 1e6)::int || CASE WHEN random() < 0.0002 THEN ' needle' ELSE '' END AS t,
             CASE WHEN random() < 0.0002 THEN ARRAY['rare'] WHEN random() < 0.3 THEN ARRAY['common', 'b'] ELSE '{}' END AS l,
             timestamptz '2026-01-01' + random() * interval '300 days' AS c
      FROM generate_series(1, 200000)) s;
CREATE INDEX doc_by_created_at ON doc (project_id, created_at, id);
CREATE INDEX doc_labels ON doc USING gin (project_id, labels);
CREATE INDEX doc_title ON doc USING gin (project_id, title gin_trgm_ops);
CREATE INDEX doc_words ON doc USING gin (project_id, words);
CREATE INDEX doc_body ON doc USING gin (project_id, body);
VACUUM ANALYZE doc;
GRANT SELECT ON doc TO bench_user;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON doc FOR SELECT USING (taskapi.one_of(project_id, (SELECT current_setting('app.mine')::uuid[])));
CREATE FUNCTION measure(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) SELECT id FROM doc WHERE ' || condition || ' ORDER BY created_at DESC, id DESC LIMIT 50' INTO plan;
    RETURN format('%-70s %s rows, %s buffers', condition, plan -> 0 -> 'Plan' ->> 'Actual Rows', (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int);
END $$;
SELECT set_config('app.mine', ARRAY[md5('big')::uuid]::text, false) \g /dev/null
SET ROLE bench_user;
SELECT measure(c) FROM unnest(ARRAY['labels @> ''{rare}''', 'taskapi.contains(labels, ''{rare}'')', 'project_id = md5(''big'')::uuid AND taskapi.contains(labels, ''{rare}'')', 'taskapi.matches(words, ''needle'')',
    'taskapi.contains(body, ''{"labels": ["rare"]}'')', 'taskapi.is_like(title, ''%needle%'')', 'labels @> ''{common}''', 'taskapi.contains(labels, ''{common}'')', 'project_id = md5(''big'')::uuid AND labels @> ''{common}''']) c;
RESET ROLE;
SELECT set_config('app.mine', (SELECT array_agg(md5(n::text)::uuid) FROM generate_series(1, 300) n)::text, false) \g /dev/null
SET ROLE bench_user;
SELECT 'of 300 tenants: ' || measure(c) FROM unnest(ARRAY['labels @> ''{rare}''', 'taskapi.contains(labels, ''{rare}'')']) c;
