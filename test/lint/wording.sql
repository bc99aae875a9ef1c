-- Comments, settings and problems whose text has a word of test/lint/words, a contraction, or another form than those of its kind.
LOAD 'taskapi';
WITH texts (kind, name, text) AS (
    SELECT 'comment', pg_catalog.pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description
    FROM pg_catalog.pg_description d, LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) o
    WHERE o.schema IN ('taskapi', 'tasks', 'api') OR o.name IN ('taskapi', 'tasks', 'api')
    UNION ALL
    SELECT 'setting', s.name, s.short_desc FROM pg_catalog.pg_settings s WHERE s.name LIKE 'taskapi.%'
    UNION ALL
    SELECT 'explanation', s.name, s.extra_desc FROM pg_catalog.pg_settings s WHERE s.name LIKE 'taskapi.%' AND s.extra_desc <> ''
    UNION ALL
    SELECT 'problem', p.problem, p.title FROM taskapi.problems() p
), faults AS (
    SELECT t.*, 'has the word ' || substring(t.text, '\m(' || :'words' || ')\M') AS fault FROM texts t
    WHERE t.text ~ ('\m(' || :'words' || ')\M')
    UNION ALL
    SELECT t.*, 'has a contraction' FROM texts t WHERE t.text ~* '\m(\w+n''t|(it|he|there|that)''s|\w+''(ll|ve|re))\M'
    UNION ALL
    SELECT t.*, 'begins with no verb' FROM texts t WHERE t.kind = 'setting' AND t.text !~ '^[A-Z][a-z]+s '
    UNION ALL
    SELECT t.*, 'lacks its full stop' FROM texts t WHERE t.kind IN ('setting', 'explanation') AND t.text !~ '\.$'
    UNION ALL
    SELECT t.*, 'ends with a full stop' FROM texts t
    WHERE (t.kind = 'problem' OR t.kind = 'comment' AND t.text !~ E'\n') AND t.text ~ '[^.]\.$'
)
SELECT f.kind || ' of ' || f.name || ' ' || f.fault || ': ' || f.text FROM faults f ORDER BY 1;
