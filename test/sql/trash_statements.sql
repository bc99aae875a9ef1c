-- One statement deletes, restores or purges rows that belong together, in whatever order it comes to them, and tells of each.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA ts;
CREATE SCHEMA ts_api;
-- A tree by each action; the rows come in the order of "at", up or down.
CREATE FUNCTION ts.make(action text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS ts.tree CASCADE;
    EXECUTE format('CREATE TABLE ts.tree (id int PRIMARY KEY, p int REFERENCES ts.tree ON DELETE %s)', action);
    PERFORM taskapi.expose('ts.tree', 'ts_api');
    -- 1 <- 2 <- 3, 1 <- 4, and 5 by itself
    INSERT INTO ts_api.tree (id, p) VALUES (1, NULL), (2, 1), (3, 2), (4, 1), (5, NULL);
END
$$;
-- Without other plans, so that rows come in the order of the list.
CREATE FUNCTION ts.refused(statement text) RETURNS text LANGUAGE plpgsql SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_material = off SET jit = off AS $$
DECLARE
    detail text;
    n      int;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN coalesce(CASE WHEN detail LIKE '{%' THEN detail::json ->> 'code' END, SQLERRM);
END
$$;
CREATE FUNCTION ts.state() RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN (SELECT string_agg(id || CASE WHEN deleted_at IS NULL THEN '' ELSE 'd' END, ' ' ORDER BY id) || ', ' || count(DISTINCT deletion_id) || ' deletions' FROM ts.tree); END $$;
-- Deletes, restores and purges these rows in this order, or each for itself.
CREATE FUNCTION ts.try(action text, VARIADIC ids int[]) RETURNS TABLE (step text, outcome text, state text) LANGUAGE plpgsql AS $$
DECLARE
    list text := (SELECT string_agg(format('(%s, %s)', n, id), ', ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (id, n));
    each text := '(SELECT * FROM (VALUES ' || list || ') l (n, i) ORDER BY n OFFSET 0) l WHERE id = i';
BEGIN
    PERFORM ts.make(action);
    step := 'delete'; outcome := ts.refused('DELETE FROM ts_api.tree t USING ' || each); state := ts.state(); RETURN NEXT;
    IF state LIKE '%d%' THEN
        step := 'restore'; outcome := ts.refused('UPDATE ts_api.deleted_tree SET deleted_at = NULL FROM ' || each); state := ts.state(); RETURN NEXT;
        outcome := ts.refused('DELETE FROM ts_api.tree t USING ' || each);
        step := 'purge'; outcome := ts.refused('DELETE FROM ts_api.deleted_tree t USING ' || each); state := ts.state(); RETURN NEXT;
    END IF;
END
$$;
SELECT ids, t.* FROM (VALUES ('{1,2,3,4}'::int[]), ('{4,3,2,1}'), ('{3,1,4,2}'), ('{2,1,2}'), ('{2,5}')) v (ids), ts.try('CASCADE', VARIADIC ids) t;
SELECT ids, t.* FROM (VALUES ('{1,2,3,4}'::int[]), ('{4,3,2,1}'), ('{1,2,3}'), ('{3}')) v (ids), ts.try('NO ACTION', VARIADIC ids) t;
SELECT ids, t.* FROM (VALUES ('{1,2,3,4}'::int[]), ('{4,3,2,1}'), ('{1,2,4}')) v (ids), ts.try('RESTRICT', VARIADIC ids) t;
-- With a key that deletes nothing, each row is a deletion.
SELECT ids, t.* FROM (VALUES ('{1,2,3,4}'::int[])) v (ids), ts.try('SET NULL', VARIADIC ids) t;

-- The purge of what is old takes a tree of such deletions in one run, whichever way it went.
SELECT ts.make('NO ACTION') \g /dev/null
DELETE FROM ts_api.tree;
UPDATE ts.tree SET deleted_at = deleted_at - interval '40 days';
SELECT taskapi.purge_deleted(), ts.state();
SELECT ts.make('RESTRICT') \g /dev/null
DELETE FROM ts_api.tree t USING (SELECT * FROM (VALUES (3), (2), (4), (1)) l (i) OFFSET 0) l WHERE id = i;
UPDATE ts.tree SET deleted_at = deleted_at - interval '40 days' WHERE id <> 4;
SELECT taskapi.purge_deleted(), ts.state();
UPDATE ts.tree SET deleted_at = deleted_at - interval '40 days' WHERE id = 4;
SELECT taskapi.purge_deleted(), ts.state();

-- What only a part of the statement could set right stays refused, all of it.
SELECT ts.make('CASCADE');
DELETE FROM ts_api.tree WHERE id = 3;
DELETE FROM ts_api.tree WHERE id = 1;
SELECT ts.state(), ts.refused('UPDATE ts_api.deleted_tree SET deleted_at = NULL WHERE id IN (3, 4)'), ts.state();
SELECT ts.refused('UPDATE ts_api.deleted_tree SET deleted_at = NULL'), ts.state();
-- If-Match holds for what the statement saw, whatever rows took along.
BEGIN;
SET LOCAL request.method = 'DELETE';
SELECT set_config('request.headers', (SELECT json_build_object('if-match', string_agg(DISTINCT format('"%s"', version), ', ')) FROM ts_api.tree)::text, true) \g /dev/null
DELETE FROM ts_api.tree WHERE id < 5 RETURNING id;
SET LOCAL request.method = 'PATCH';
SELECT set_config('request.headers', (SELECT json_build_object('if-match', string_agg(DISTINCT format('"%s"', version), ', ')) FROM ts_api.deleted_tree)::text, true) \g /dev/null
UPDATE ts_api.deleted_tree SET deleted_at = NULL RETURNING id;
ROLLBACK;
-- Parts of one query are one moment too.
CREATE TABLE ts.leaf (id int PRIMARY KEY, tree int REFERENCES ts.tree ON DELETE RESTRICT);
SELECT taskapi.expose('ts.leaf', 'ts_api') \g /dev/null
INSERT INTO ts_api.leaf VALUES (1, 1);
SELECT ts.refused('DELETE FROM ts_api.tree WHERE id = 1');
WITH t AS (DELETE FROM ts_api.tree WHERE id = 1) DELETE FROM ts_api.leaf;
SELECT ts.refused('UPDATE ts_api.deleted_leaf SET deleted_at = NULL');
WITH l AS (UPDATE ts_api.deleted_leaf SET deleted_at = NULL) UPDATE ts_api.deleted_tree SET deleted_at = NULL WHERE id = 1;
SELECT ts.state(), (SELECT count(*) FROM ts_api.leaf) AS leaves;

-- A trigger that brings another row alive while one is restored is no restore of that other row.
CREATE FUNCTION ts.revive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE ts.leaf SET deleted_at = NULL, deletion_id = NULL WHERE deleted_at IS NOT NULL; RETURN NEW; END $$;
WITH t AS (DELETE FROM ts_api.tree WHERE id IN (1, 5)) DELETE FROM ts_api.leaf;
CREATE TRIGGER revive BEFORE UPDATE ON ts.tree FOR EACH ROW WHEN (OLD.id = 5 AND NEW.deleted_at IS NULL) EXECUTE FUNCTION ts.revive();
SELECT ts.refused('UPDATE ts_api.deleted_tree SET deleted_at = NULL WHERE id = 5'), ts.state();
DROP TRIGGER revive ON ts.tree;
-- Nor is a child in a deletion that a trigger has put into another one.
SELECT ts.refused('UPDATE ts_api.deleted_tree SET deleted_at = NULL'), ts.state();
CREATE FUNCTION ts.other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.deletion_id := gen_random_uuid(); RETURN NEW; END $$;
CREATE TRIGGER other BEFORE UPDATE ON ts.tree FOR EACH ROW WHEN (OLD.id = 3 AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION ts.other();
SELECT ts.refused('DELETE FROM ts_api.tree WHERE id = 1'), ts.state();

DROP SCHEMA ts, ts_api CASCADE;
