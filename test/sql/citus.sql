-- What Citus keeps on other servers takes no writes through a resource; nobody but a superuser can make it look so.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE citus_stranger;
CREATE SCHEMA citus_data;
CREATE SCHEMA citus_api;
CREATE TABLE citus_data.note (id int PRIMARY KEY, text text);
CREATE TABLE citus_data.other (id int PRIMARY KEY, text text);
SELECT taskapi.expose('citus_data.note', 'citus_api', 'notes', soft_delete => false, versioned => false);
INSERT INTO citus_api.notes VALUES (1, 'a');

-- An error, its detail and hint, and what a statement that succeeds says.
CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END
$$;

-- The catalog as Citus has it, in a transaction, so that no other test sees it: its trigger invalidates the table.
BEGIN;
CREATE TABLE citus_data.pg_dist_partition (logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text);
CREATE FUNCTION citus_data.invalidate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE pg_catalog.format('ALTER TABLE %s SET (autovacuum_enabled = true)', coalesce(NEW.logicalrelid, OLD.logicalrelid));
    RETURN NULL;
END
$$;
CREATE TRIGGER dist_partition_cache_invalidate AFTER INSERT OR DELETE ON citus_data.pg_dist_partition
    FOR EACH ROW EXECUTE FUNCTION citus_data.invalidate();
INSERT INTO citus_data.pg_dist_partition VALUES ('citus_data.note', 'h', 'id');
-- of any other schema it is a table like others
SET LOCAL search_path = citus_data, pg_catalog;
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (2, $$b$$)');
SET LOCAL search_path = pg_catalog;
DELETE FROM citus_data.pg_dist_partition;

ALTER TABLE citus_data.pg_dist_partition SET SCHEMA pg_catalog;
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (3, $$c$$)') AS before;
INSERT INTO pg_catalog.pg_dist_partition VALUES ('citus_data.note', 'h', 'id'), ('citus_data.other', 'n', NULL);
SELECT pg_temp.try(s) FROM unnest(ARRAY['INSERT INTO citus_api.notes VALUES (4, $$d$$)', 'UPDATE citus_api.notes SET text = $$x$$',
    'DELETE FROM citus_api.notes', 'INSERT INTO citus_api.notes SELECT WHERE false']) s;
SELECT pg_temp.try('SELECT taskapi.expose(''citus_data.other'', ''citus_api'', ''others'', soft_delete => false)');
SELECT pg_temp.try('SELECT taskapi.expose(''citus_data.note'', ''citus_api'', ''notes'', soft_delete => false, versioned => false)');
-- reads stay, and so do pages
SELECT id, text FROM citus_api.notes ORDER BY id;
SELECT id FROM citus_api.notes n WHERE cursor > (SELECT cursor FROM citus_api.notes WHERE id = 1) ORDER BY id;
SELECT items, has_next FROM taskapi.page('citus_data.note', 'id', 2);
-- the table is given back
DELETE FROM pg_catalog.pg_dist_partition WHERE logicalrelid = 'citus_data.note'::regclass;
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (5, $$e$$)') AS given_back;

-- whoever could make tables in pg_catalog decides about nothing
INSERT INTO pg_catalog.pg_dist_partition VALUES ('citus_data.note', 'h', 'id');
SAVEPOINT s;
ALTER TABLE pg_catalog.pg_dist_partition OWNER TO citus_stranger;
ALTER TABLE citus_data.note SET (autovacuum_enabled = true);
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (6, $$f$$)') AS owned_by_a_stranger;
ROLLBACK TO s;
ALTER TABLE pg_catalog.pg_dist_partition ALTER logicalrelid TYPE oid;
ALTER TABLE citus_data.note SET (autovacuum_enabled = true);
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (7, $$g$$)') AS of_another_type;
ROLLBACK TO s;
ALTER TABLE pg_catalog.pg_dist_partition RENAME TO dist;
CREATE VIEW citus_data.pg_dist_partition AS SELECT * FROM pg_catalog.dist;
ALTER VIEW citus_data.pg_dist_partition SET SCHEMA pg_catalog;
ALTER TABLE citus_data.note SET (autovacuum_enabled = true);
SELECT pg_temp.try('INSERT INTO citus_api.notes VALUES (8, $$h$$)') AS a_view;
ROLLBACK;

SELECT taskapi.unexpose('citus_api.notes');
DROP SCHEMA citus_data, citus_api CASCADE;
DROP ROLE citus_stranger;
