-- Soft deletion follows the foreign keys, and comes back exactly.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA soft_data;
CREATE FUNCTION soft_data.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    state  text;
BEGIN
    EXECUTE statement;
    RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE;
    RETURN concat_ws(' ', detail::json ->> 'code', state, detail::json ->> 'details');
END
$$;

-- parent <- child (composite, cascade) <- grandchild (cascade, refers to itself too); beside them one table for each
-- other action, and one that is not exposed.
CREATE TABLE soft_data.parent (a int, "B" text, name text, PRIMARY KEY (a, "B"));
ALTER TABLE soft_data.parent ADD COLUMN deleted_at timestamptz;
CREATE UNIQUE INDEX parent_name ON soft_data.parent (name) WHERE deleted_at IS NULL;
CREATE TABLE soft_data.other_parent (id int PRIMARY KEY);
CREATE TABLE soft_data.child (id int PRIMARY KEY, a int, b text, other int REFERENCES soft_data.other_parent ON DELETE CASCADE,
    FOREIGN KEY (a, b) REFERENCES soft_data.parent ON DELETE CASCADE);
CREATE TABLE soft_data.grandchild (id int PRIMARY KEY, child_id int REFERENCES soft_data.child ON DELETE CASCADE,
    next_id int REFERENCES soft_data.grandchild ON DELETE CASCADE);
CREATE TABLE soft_data.restricts (id int PRIMARY KEY, child_id int REFERENCES soft_data.child ON DELETE RESTRICT);
CREATE TABLE soft_data.no_action (id int PRIMARY KEY, child_id int REFERENCES soft_data.child);
CREATE TABLE soft_data.sets_null (id int PRIMARY KEY, child_id int REFERENCES soft_data.child ON DELETE SET NULL);
CREATE TABLE soft_data.unexposed (id int PRIMARY KEY, child_id int REFERENCES soft_data.child ON DELETE CASCADE);
SELECT taskapi.expose(('soft_data.' || t)::regclass, 'soft_api')
FROM unnest('{parent,other_parent,child,grandchild,restricts,no_action,sets_null}'::text[]) t;
CREATE VIEW soft_data.rows AS
    SELECT 'parent' AS what, a AS id, deleted_at, deletion_id FROM soft_data.parent
    UNION ALL SELECT 'child', id, deleted_at, deletion_id FROM soft_data.child
    UNION ALL SELECT 'grandchild', id, deleted_at, deletion_id FROM soft_data.grandchild
    UNION ALL SELECT 'restricts', id, deleted_at, deletion_id FROM soft_data.restricts
    UNION ALL SELECT 'no_action', id, deleted_at, deletion_id FROM soft_data.no_action
    UNION ALL SELECT 'sets_null', id, deleted_at, deletion_id FROM soft_data.sets_null;
INSERT INTO soft_api.parent VALUES (1, 'x', 'one'), (2, 'y', 'two');
INSERT INTO soft_api.other_parent VALUES (1);
INSERT INTO soft_api.child VALUES (1, 1, 'x', 1), (2, 1, 'x', NULL), (3, 2, 'y', NULL);
INSERT INTO soft_api.grandchild VALUES (1, 1, NULL), (2, NULL, 1), (3, NULL, 2), (4, 3, NULL);
UPDATE soft_api.grandchild SET next_id = 3 WHERE id = 1;        -- a cycle
INSERT INTO soft_api.restricts VALUES (1, 2);
INSERT INTO soft_api.no_action VALUES (1, 2);
INSERT INTO soft_api.sets_null VALUES (1, 1);
INSERT INTO soft_data.unexposed VALUES (1, 1);

-- What is in the way, at any level; and nothing is changed.
SELECT soft_data.refused('DELETE FROM soft_api.parent WHERE a = 1');
DELETE FROM soft_data.unexposed;
SELECT soft_data.refused('DELETE FROM soft_api.parent WHERE a = 1');
DELETE FROM soft_api.restricts;
SELECT soft_data.refused('DELETE FROM soft_api.parent WHERE a = 1');
DELETE FROM soft_api.no_action;
SELECT count(*) FROM soft_data.rows WHERE deleted_at IS NOT NULL AND what NOT IN ('restricts', 'no_action');

-- Deleted by itself before: not part of the parent's deletion, nor of its restore.
DELETE FROM soft_api.child WHERE id = 2;
DELETE FROM soft_api.parent WHERE a = 1 RETURNING a;
SELECT what, id, deleted_at IS NOT NULL AS deleted, dense_rank() OVER (ORDER BY deletion_id) AS deletion FROM soft_data.rows ORDER BY what, id;

-- Nobody refers to a deleted row anew, whichever way.
SELECT soft_data.refused($$INSERT INTO soft_api.child VALUES (5, 1, 'x')$$);
SELECT soft_data.refused($$INSERT INTO soft_data.child VALUES (5, 1, 'x')$$);
SELECT soft_data.refused($$UPDATE soft_api.child SET a = 1, b = 'x' WHERE id = 3$$);
SELECT soft_data.refused($$INSERT INTO soft_api.sets_null VALUES (5, 1)$$);
UPDATE soft_api.sets_null SET id = 2 WHERE id = 1;      -- a reference that was there may stay

-- What went along is restored with what took it along.
SELECT soft_data.refused('UPDATE soft_api.deleted_child SET deleted_at = NULL WHERE id = 1');
SELECT soft_data.refused('UPDATE soft_api.deleted_grandchild SET deleted_at = NULL WHERE id = 2');
SELECT soft_data.refused('UPDATE soft_api.deleted_child SET deleted_at = NULL WHERE id = 2');
SELECT soft_data.refused($$UPDATE soft_api.deleted_parent SET name = 'x', deleted_at = NULL$$);
SELECT soft_data.refused($$UPDATE soft_api.deleted_parent SET deleted_at = now() + '1 day'$$);

-- A unique conflict restores nothing.
INSERT INTO soft_api.parent VALUES (7, 'z', 'one');
SELECT soft_data.refused('UPDATE soft_api.deleted_parent SET deleted_at = NULL WHERE a = 1');
SELECT count(*) FROM soft_data.rows WHERE deleted_at IS NOT NULL;
DELETE FROM soft_api.parent WHERE a = 7;

-- Another parent that was deleted since: what would have gone along with that one comes back with that one.
DELETE FROM soft_api.other_parent;
UPDATE soft_api.deleted_parent SET deleted_at = NULL WHERE a = 1 RETURNING a, deleted_at, version;
SELECT what, id, deleted_at IS NOT NULL AS deleted, dense_rank() OVER (ORDER BY deletion_id) AS deletion FROM soft_data.rows ORDER BY what, id;
SELECT soft_data.refused('UPDATE soft_api.deleted_child SET deleted_at = NULL WHERE id = 1');
UPDATE soft_api.deleted_other_parent SET deleted_at = NULL RETURNING id;
SELECT what, id, deleted_at IS NOT NULL AS deleted, deletion_id IS NOT NULL AS in_deletion FROM soft_data.rows ORDER BY what, id;
UPDATE soft_api.deleted_child SET deleted_at = NULL WHERE id = 2 RETURNING id;

-- A cycle, from any of its rows.
DELETE FROM soft_api.grandchild WHERE id = 2;
UPDATE soft_api.deleted_grandchild SET deleted_at = NULL WHERE id = 3 RETURNING id;
SELECT count(*) FROM soft_api.grandchild;

-- Purge: children of the deletion go along, SET NULL has its effect, and nothing live is touched.
DELETE FROM soft_api.child WHERE id = 1;
DELETE FROM soft_api.child WHERE id = 2;
SELECT soft_data.refused('DELETE FROM soft_api.deleted_child WHERE id = 2');
DELETE FROM soft_api.deleted_child WHERE id = 1 RETURNING id;
SELECT what, id, deleted_at IS NOT NULL AS deleted FROM soft_data.rows ORDER BY what, id;
SELECT child_id FROM soft_api.sets_null;
-- A live row below a deleted one, made by hand: it is never taken along.
DELETE FROM soft_api.parent WHERE a = 2;
SET session_replication_role = replica;
UPDATE soft_data.grandchild SET deleted_at = NULL WHERE id = 4;
RESET session_replication_role;
SELECT soft_data.refused('DELETE FROM soft_api.deleted_parent WHERE a = 2');
SELECT taskapi.purge_deleted('1 day');
SELECT taskapi.purge_deleted('0');
SELECT what, id, deleted_at IS NOT NULL AS deleted FROM soft_data.rows ORDER BY what, id;
UPDATE soft_data.grandchild SET deleted_at = now() - interval '40 days';
UPDATE soft_data.parent SET deleted_at = now() - interval '40 days' WHERE a = 2;
SELECT taskapi.purge_deleted(batch => 1), taskapi.purge_deleted();
SELECT what, id, deleted_at IS NOT NULL AS deleted FROM soft_data.rows ORDER BY what, id;
SELECT taskapi.purge_deleted('-1 day');

-- A trigger that keeps a child keeps the parent.
CREATE FUNCTION soft_data.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
INSERT INTO soft_api.child VALUES (10, 1, 'x');
CREATE TRIGGER keep BEFORE UPDATE ON soft_data.child FOR EACH ROW EXECUTE FUNCTION soft_data.keep();
SELECT soft_data.refused('DELETE FROM soft_api.parent WHERE a = 1');
DROP TRIGGER keep ON soft_data.child;
-- A trigger that deletes other rows of the table really deletes them, when the row is purged.
CREATE FUNCTION soft_data.also() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM soft_data.child WHERE id = OLD.id + 1; RETURN OLD; END $$;
CREATE TRIGGER also BEFORE DELETE ON soft_data.child FOR EACH ROW EXECUTE FUNCTION soft_data.also();
INSERT INTO soft_api.child VALUES (11, 1, 'x');
DELETE FROM soft_api.child WHERE id = 10 RETURNING id;
SELECT id, deleted_at IS NOT NULL AS deleted FROM soft_data.child WHERE id >= 10;
DELETE FROM soft_api.deleted_child WHERE id = 10 RETURNING id;
SELECT id, deleted_at IS NOT NULL AS deleted FROM soft_data.child WHERE id >= 10;

DROP SCHEMA soft_api, soft_data CASCADE;
