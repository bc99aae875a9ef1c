-- What a WITH returns and the statement does not read, or not to the end, is written all the same, as on a table: any number of rows.
SET client_min_messages = warning;
CREATE SCHEMA ru;
CREATE TABLE ru.plain (id int PRIMARY KEY, n int DEFAULT 0);
CREATE TABLE ru.item (LIKE ru.plain INCLUDING ALL);
CREATE TABLE ru.hard (LIKE ru.plain INCLUDING ALL);
SELECT taskapi.expose('ru.item', 'ru_api', soft_delete => true), taskapi.expose('ru.hard', 'ru_api', soft_delete => false) \g /dev/null
-- What is there after a statement whose WITH changes so many rows, of which so many are read.
CREATE FUNCTION ru.run(target text, statement text, changed int, taken int, after text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    DELETE FROM ru.plain;
    DELETE FROM ru.item;
    DELETE FROM ru.hard;
    EXECUTE format('INSERT INTO %s SELECT i, 0 FROM generate_series(1, 5) i', replace(target, 'deleted_', ''));
    IF target ~ 'deleted' THEN
        DELETE FROM ru_api.item;
    END IF;
    EXECUTE format('WITH w AS (' || statement || ' RETURNING id) SELECT FROM w LIMIT %s', target, changed, taken);
    EXECUTE format('SELECT string_agg(id || '':'' || n, '' '' ORDER BY id) FROM %s', after) INTO result;
    RETURN result;
END $$;
SELECT what, count(*), bool_and(ru.run('ru.plain', statement, changed, taken, 'ru.plain') IS NOT DISTINCT FROM ru.run('ru_api.item', statement, changed, taken, 'ru_api.item')) AS soft,
    bool_and(ru.run('ru.plain', statement, changed, taken, 'ru.plain') IS NOT DISTINCT FROM ru.run('ru_api.hard', statement, changed, taken, 'ru_api.hard')) AS hard
FROM (VALUES ('insert', 'INSERT INTO %s SELECT 10 + i, i FROM generate_series(1, %s) i'), ('update', 'UPDATE %s SET n = n + 1 WHERE id <= %s'), ('delete', 'DELETE FROM %s WHERE id <= %s')) s (what, statement),
    generate_series(0, 5) changed, generate_series(0, 3) taken
GROUP BY what ORDER BY what;
SELECT changed, taken, ru.run('ru_api.deleted_item', 'DELETE FROM %s WHERE id <= %s', changed, taken, 'ru.item') AS purged_from,
    ru.run('ru_api.deleted_item', 'UPDATE %s SET deleted_at = NULL WHERE id <= %s', changed, taken, 'ru_api.item') AS restored
FROM generate_series(0, 3) changed, generate_series(0, 2) taken ORDER BY 1, 2;
-- Two of them on one resource.
INSERT INTO ru_api.item SELECT i FROM generate_series(11, 31) i;
WITH a AS (UPDATE ru_api.item SET n = 1 WHERE id BETWEEN 11 AND 13 RETURNING id), b AS (UPDATE ru_api.item SET n = 2 WHERE id BETWEEN 14 AND 20 RETURNING id),
    c AS (DELETE FROM ru_api.item WHERE id BETWEEN 21 AND 23 RETURNING id), d AS (DELETE FROM ru_api.item WHERE id BETWEEN 24 AND 26 RETURNING id) SELECT count(*) FROM a;
SELECT n, min(id), max(id), count(*) FROM ru_api.item WHERE id > 10 GROUP BY n ORDER BY n;
-- An error is told the same, whether it is found in what is read or in what is not.
\set SHOW_CONTEXT never
CREATE DOMAIN ru.positive AS int CHECK (VALUE > 0);
CREATE TABLE ru.checked (id int PRIMARY KEY, n ru.positive);
SELECT taskapi.expose('ru.checked', 'ru_api') \g /dev/null
WITH w AS (INSERT INTO ru_api.checked SELECT i, 3 - i FROM generate_series(1, 3) i RETURNING id) SELECT count(*) FROM w;
WITH w AS (INSERT INTO ru_api.checked SELECT i, 3 - i FROM generate_series(1, 3) i RETURNING id) SELECT FROM w LIMIT 1;
WITH w AS (INSERT INTO ru_api.checked SELECT i, 3 - i FROM generate_series(1, 3) i RETURNING id) SELECT;
WITH w AS (INSERT INTO ru_api.checked SELECT 1, 1 RETURNING 1 / (id - 1)) SELECT;
DROP SCHEMA ru_api, ru CASCADE;
