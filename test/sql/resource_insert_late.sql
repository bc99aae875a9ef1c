-- A statement that was planned before the session loaded the library takes no other statement's mark from its rows: what EXPLAIN
-- printed does not let it return columns that the role may not read.
SET client_min_messages = warning;
CREATE ROLE regress_late;
CREATE SCHEMA late;
GRANT USAGE ON SCHEMA late TO regress_late;
CREATE TABLE late.doc (id int PRIMARY KEY, slug text UNIQUE, body text, secret text DEFAULT 'kept from you');
SELECT taskapi.expose('late.doc', 'late', 'docs');
SELECT taskapi.grant_resource('late.docs', 'regress_late');
REVOKE SELECT ON late.doc FROM regress_late;
GRANT SELECT (id, slug, body, deleted_at, version, updated_at) ON late.doc TO regress_late;
INSERT INTO late.doc VALUES (1, 's1', 'b1', 'TOP SECRET');
\c -
SET ROLE regress_late;
CREATE TEMP TABLE row_of_data (LIKE late.docs);
PREPARE p AS INSERT INTO late.docs SELECT * FROM row_of_data RETURNING id, secret;
EXECUTE p;
CREATE TEMP TABLE explained (line text);
CREATE FUNCTION pg_temp.forge() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR r IN EXECUTE $q$EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO late.docs (id, slug, body) VALUES (1, 's1', 'n') ON CONFLICT (id)
        DO UPDATE SET body = 'forged', slug = 's1' WHERE docs.body IS NOT NULL$q$
    LOOP
        INSERT INTO explained VALUES (r."QUERY PLAN");
    END LOOP;
    RETURN (SELECT substring(line FROM '''([A-Za-z0-9_-]{100,})''') FROM explained WHERE line ~ 'Output' LIMIT 1);
END $$;
SELECT length(pg_temp.forge()) > 100 AS printed;
INSERT INTO row_of_data (id, slug, body, cursor) SELECT 1, 's1', 'n', pg_temp.forge()::taskapi.cursor;
EXECUTE p;

-- Nor does one that loads it while it runs.
\c -
SET ROLE regress_late;
CREATE TEMP TABLE explained (line text);
CREATE FUNCTION pg_temp.forge() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    PERFORM taskapi.uuidv7();
    FOR r IN EXECUTE $q$EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO late.docs (id, slug, body) VALUES (1, 's1', 'n') ON CONFLICT (id)
        DO UPDATE SET body = 'forged', slug = 's1' WHERE docs.body IS NOT NULL$q$
    LOOP
        INSERT INTO explained VALUES (r."QUERY PLAN");
    END LOOP;
    RETURN (SELECT substring(line FROM '''([A-Za-z0-9_-]{100,})''') FROM explained WHERE line ~ 'Output' LIMIT 1);
END $$;
INSERT INTO late.docs (id, slug, body, secret, version, updated_at, cursor) SELECT 1, 's1', 'n', NULL, NULL, NULL, pg_temp.forge()::taskapi.cursor RETURNING id, secret;
\c -
SELECT id, body, secret FROM late.doc;
SET client_min_messages = warning;
DROP SCHEMA late CASCADE;
DROP ROLE regress_late;
