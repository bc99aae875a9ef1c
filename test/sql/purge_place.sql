-- A purge looks for a row where the statement has read it, but takes it by its key, its state and the caller's rights only.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE pl_user;
CREATE SCHEMA pl;
CREATE SCHEMA pl_api;
GRANT USAGE ON SCHEMA pl, pl_api TO pl_user;
-- The same table twice; of the second a trigger makes the purge one with the owner's rights. Many pages, so that no plan reads the whole table.
CREATE TABLE pl.note (id int PRIMARY KEY, n int, pad text) WITH (fillfactor = 50, autovacuum_enabled = false);
CREATE TABLE pl.fires (LIKE pl.note INCLUDING ALL) WITH (fillfactor = 50, autovacuum_enabled = false);
CREATE FUNCTION pl.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER pass BEFORE DELETE ON pl.fires FOR EACH ROW EXECUTE FUNCTION pl.pass();
SELECT taskapi.expose('pl.' || t, 'pl_api') FROM unnest('{note,fires}'::text[]) t \g /dev/null
SELECT taskapi.grant_resource('pl_api.' || t, 'pl_user', '{read,read_deleted,delete,purge}') FROM unnest('{note,fires}'::text[]) t \g /dev/null
-- 1 to 300 are deleted, 301 to 400 live.
CREATE FUNCTION pl.fill(t text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('TRUNCATE pl.%1$I; INSERT INTO pl.%1$I (id, n, pad, deleted_at, deletion_id)'
        ' SELECT i, i, repeat(''x'', 500), CASE WHEN i <= 300 THEN now() END, CASE WHEN i <= 300 THEN taskapi.uuidv7() END FROM generate_series(1, 400) i', t);
END $$;
SELECT pl.fill(t) FROM unnest('{note,fires}'::text[]) t \g /dev/null
ANALYZE pl.note, pl.fires;
-- What a statement on each of them tells, and leaves, which has to be the same. How often the first looked into the index of the key goes along if asked for.
CREATE PROCEDURE pl.try(what text, statement text, counted boolean DEFAULT false) LANGUAGE plpgsql AS $$
DECLARE
    t text;
    told text;
    left_over text;
    results text[] := '{}';
    before bigint := 0;
    looked bigint;
BEGIN
    FOREACH t IN ARRAY '{note,fires}'::text[] LOOP
        PERFORM pl.fill(t), set_config('role', 'pl_user', true);
        before := pg_stat_get_xact_numscans('pl.note_pkey'::regclass);
        BEGIN
            EXECUTE format('WITH d AS (' || statement || ' RETURNING d.id) SELECT format(''%%s rows, sum %%s'', count(*), sum(id)) FROM d', t) INTO told;
        EXCEPTION WHEN OTHERS THEN
            told := replace(SQLERRM, t, 'x');
        END;
        IF t = 'note' THEN
            looked := pg_stat_get_xact_numscans('pl.note_pkey'::regclass) - before;
        END IF;
        PERFORM set_config('role', 'none', true);
        EXECUTE format('SELECT format(''%%s live, %%s deleted, sum %%s'', count(*) FILTER (WHERE deleted_at IS NULL), count(deleted_at), sum(id)) FROM pl.%I', t)
            INTO left_over;
        results := results || format('%s; left: %s', told, left_over);
    END LOOP;
    RAISE WARNING '%: %', what, results[1] || CASE WHEN results[1] = results[2] THEN '' ELSE ' BUT ' || results[2] END ||
        CASE WHEN counted THEN format('; by the key: %s', looked) ELSE '' END;
END $$;
SET enable_indexscan = off;     -- for the statement itself
SET enable_bitmapscan = off;
CREATE PROCEDURE pl.forms() LANGUAGE plpgsql AS $$
BEGIN
    CALL pl.try('a scan', 'DELETE FROM pl_api.deleted_%I d WHERE n <= 200', true);
    CALL pl.try('a join that gives out the rows of the scan', 'DELETE FROM pl_api.deleted_%I d USING generate_series(1, 200) g WHERE n = g');
END $$;
CALL pl.forms();
RESET enable_indexscan;
RESET enable_bitmapscan;
CREATE INDEX ON pl.note (n) WHERE deleted_at IS NOT NULL;
CREATE INDEX ON pl.fires (n) WHERE deleted_at IS NOT NULL;
SET enable_seqscan = off;
CALL pl.forms();
SET enable_indexscan = off;
CALL pl.forms();
RESET ALL;
SET client_min_messages = warning;
-- The scan that is found has read another row: a deleted one, or a live one.
CREATE PROCEDURE pl.wrong() LANGUAGE plpgsql AS $$
BEGIN
    CALL pl.try('the row after it', 'DELETE FROM pl_api.deleted_%1$I d USING pl_api.deleted_%1$I e WHERE e.n = d.n + 1 AND d.n <= 20');
    CALL pl.try('the row before it', 'DELETE FROM pl_api.deleted_%1$I d USING pl_api.deleted_%1$I e WHERE e.n = d.n - 1 AND e.n <= 20');
    CALL pl.try('a live row', 'DELETE FROM pl_api.deleted_%1$I d USING pl_api.%1$I e WHERE e.n = d.n + 300 AND e.n <= 320');
    CALL pl.try('each with each', 'DELETE FROM pl_api.deleted_%1$I d USING pl_api.deleted_%1$I e WHERE d.n <= 10 AND e.n BETWEEN 5 AND 15');
    CALL pl.try('sorted', 'DELETE FROM pl_api.deleted_%1$I d USING (SELECT n FROM pl_api.deleted_%1$I WHERE n > 50 ORDER BY pad, n DESC LIMIT 20) e WHERE e.n = d.n');
    CALL pl.try('of two', 'DELETE FROM pl_api.deleted_%1$I d WHERE n <= 10 RETURNING id), f AS (DELETE FROM pl_api.deleted_%1$I d WHERE n BETWEEN 6 AND 20');
END $$;
CALL pl.wrong();
SET enable_hashjoin = off;
CALL pl.wrong();
SET enable_mergejoin = off;
CALL pl.wrong();
SET enable_material = off;
SET enable_memoize = off;
CALL pl.wrong();
RESET ALL;
SET client_min_messages = warning;
-- The row has moved, been restored, or come again since it was read, by the statement itself.
CREATE FUNCTION pl.meanwhile(statement text, t text, id int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format(statement, t, id);
    RETURN true;
END $$;
CREATE PROCEDURE pl.meanwhile() LANGUAGE plpgsql AS $$
BEGIN
    CALL pl.try('moved', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('UPDATE pl.%%I SET pad = pad || ''y'' WHERE id = %%s AND id %%%% 2 = 0', '%1$s', id) $s$);
    CALL pl.try('moved, with another n', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('UPDATE pl.%%I SET n = n + 400 WHERE id = %%s AND id %%%% 2 = 0', '%1$s', id) $s$);
    CALL pl.try('restored', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('UPDATE pl.%%I SET deleted_at = NULL, deletion_id = NULL WHERE id = %%s AND id %%%% 2 = 0', '%1$s', id) $s$);
    CALL pl.try('gone', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('DELETE FROM pl.%%I WHERE id = %%s AND id %%%% 2 = 0', '%1$s', id) $s$);
    CALL pl.try('gone and come again', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('WITH gone AS (DELETE FROM pl.%%I WHERE id = %%s AND id %%%% 2 = 0 RETURNING *) SELECT FROM gone; INSERT INTO pl.%%1$I (id, n, deleted_at, deletion_id) SELECT %%2$s, 0, now(), taskapi.uuidv7() WHERE %%2$s %%%% 2 = 0', '%1$s', id) $s$);
    CALL pl.try('the key changed', $s$ DELETE FROM pl_api.deleted_%1$I d WHERE n <= 20 AND pl.meanwhile('UPDATE pl.%%I SET id = id + 1000 WHERE id = %%s AND id %%%% 2 = 0', '%1$s', id) $s$);
END $$;
CALL pl.meanwhile();
-- With the snapshot of the transaction.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM pl_api.deleted_note;
CALL pl.forms();
CALL pl.meanwhile();
ROLLBACK;
-- What a DELETE runs from the second row on.
CREATE FUNCTION pl.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'fires for %', OLD.id; RETURN CASE WHEN OLD.id <> 12 THEN OLD END; END $$;
CREATE PROCEDURE pl.comes(what text) LANGUAGE plpgsql AS $$
BEGIN
    CALL pl.try(what, format($s$ DELETE FROM pl_api.deleted_%%1$I d WHERE n <= 13 AND CASE WHEN id = 11 THEN pl.meanwhile(%L, '%%1$s', id) ELSE true END $s$, replace(what, '%', '%%')));
END $$;
BEGIN;
CALL pl.comes('CREATE TRIGGER late BEFORE DELETE ON pl.%I FOR EACH ROW EXECUTE FUNCTION pl.note()');
ROLLBACK;
BEGIN;
CALL pl.comes('CREATE RULE late AS ON DELETE TO pl.%I DO INSTEAD NOTHING');
ROLLBACK;
BEGIN;
CALL pl.comes('CREATE TABLE pl.refers (r int REFERENCES pl.%I); INSERT INTO pl.refers VALUES (12)');
ROLLBACK;
BEGIN;
CALL pl.comes('ALTER TABLE pl.%I ENABLE ROW LEVEL SECURITY');
ROLLBACK;
BEGIN;
CALL pl.comes('REVOKE DELETE ON pl.%I FROM pl_user');
ROLLBACK;
DROP SCHEMA pl_api, pl CASCADE;
DROP ROLE pl_user;
