-- Many rows through a resource: statements that are started once for all of them do to each row what the same statement does on a table.
SET client_min_messages = warning;
CREATE SCHEMA rb;
CREATE SCHEMA rb_api;
CREATE ROLE regress_bulk;
GRANT USAGE ON SCHEMA rb, rb_api TO regress_bulk;
-- the plan of a statement is kept from its second run on
SET plan_cache_mode = force_generic_plan;

CREATE TABLE rb.box (id int PRIMARY KEY, name text NOT NULL DEFAULT 'a box');
CREATE TABLE rb.item (id int PRIMARY KEY, box int NOT NULL REFERENCES rb.box ON DELETE CASCADE, n int NOT NULL DEFAULT 7 CHECK (n < 1000), seen bigint);
CREATE TABLE rb.plain (LIKE rb.item INCLUDING ALL);
SELECT taskapi.expose('rb.box', 'rb_api'), taskapi.expose('rb.item', 'rb_api') \g /dev/null
INSERT INTO rb_api.box SELECT i FROM generate_series(1, 12) i;

-- A BEFORE trigger sees the rows before its own, and keeps some out.
CREATE FUNCTION rb.look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before_it bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM rb.%I WHERE n <> 7', TG_TABLE_NAME) INTO before_it;
    NEW.seen := before_it;
    RETURN CASE WHEN NEW.id % 5 <> 0 THEN NEW END;
END
$$;
CREATE TRIGGER look BEFORE INSERT OR UPDATE ON rb.item FOR EACH ROW EXECUTE FUNCTION rb.look();
CREATE TRIGGER look BEFORE INSERT OR UPDATE ON rb.plain FOR EACH ROW EXECUTE FUNCTION rb.look();
CREATE FUNCTION rb.difference() RETURNS SETOF text LANGUAGE sql AS $$
    (SELECT 'resource ' || i::text FROM (SELECT id, box, n, seen FROM rb_api.item EXCEPT SELECT * FROM rb.plain) i)
    UNION ALL
    (SELECT 'plain ' || i::text FROM (SELECT * FROM rb.plain EXCEPT SELECT id, box, n, seen FROM rb_api.item) i)
$$;
WITH made AS (INSERT INTO rb_api.item (id, box, n) SELECT i, 1 + i % 12, i FROM generate_series(1, 40) i RETURNING *) SELECT count(*), sum(seen) FROM made;
WITH made AS (INSERT INTO rb.plain (id, box, n) SELECT i, 1 + i % 12, i FROM generate_series(1, 40) i RETURNING *) SELECT count(*), sum(seen) FROM made;
SELECT * FROM rb.difference();
WITH made AS (UPDATE rb_api.item SET n = n + 1 WHERE id > 8 RETURNING *) SELECT count(*), sum(seen), min(version), max(version) FROM made;
WITH made AS (UPDATE rb.plain SET n = n + 1 WHERE id > 8 RETURNING *) SELECT count(*), sum(seen) FROM made;
SELECT * FROM rb.difference();
-- defaults, and rows that exist already
INSERT INTO rb_api.item (id, box) SELECT i, 1 FROM generate_series(36, 49) i ON CONFLICT (id) DO UPDATE SET n = item.n + excluded.n;
INSERT INTO rb.plain (id, box) SELECT i, 1 FROM generate_series(36, 49) i ON CONFLICT (id) DO UPDATE SET n = plain.n + excluded.n;
SELECT * FROM rb.difference();
COPY rb_api.item (id, box) FROM stdin;
51	1
52	2
53	3
54	4
\.
SELECT count(*) FROM rb_api.item WHERE id > 50;
DELETE FROM rb.item WHERE id > 50;
DROP TRIGGER look ON rb.item;
DROP TRIGGER look ON rb.plain;

-- An error in the middle undoes the statement, and the next one begins as if there had been none.
INSERT INTO rb_api.item (id, box, n) SELECT i, 1, CASE i WHEN 109 THEN 1000 ELSE i END FROM generate_series(101, 112) i;
INSERT INTO rb_api.item (id, box, n) SELECT i, CASE i WHEN 109 THEN 99 ELSE 1 END, i FROM generate_series(101, 112) i;
DO $$ BEGIN
    FOR k IN 0..3 LOOP
        BEGIN
            INSERT INTO rb_api.item (id, box, n) SELECT i, 1, i * k * k FROM generate_series(101, 112) i;
            UPDATE rb_api.item SET n = n + 1 WHERE id > 100;
            DELETE FROM rb_api.item WHERE id > 100;
            DELETE FROM rb_api.deleted_item WHERE id > 100;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING '%: %', k, SQLERRM;
        END;
    END LOOP;
END $$;
SELECT count(*) FROM rb.item WHERE id > 100;

-- What the write of one row brings about on the way is seen by the next: here a child that goes along.
CREATE FUNCTION rb.bear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.deleted_at IS NOT NULL THEN
        INSERT INTO rb.item (id, box) SELECT 200 + b.id, b.id FROM rb.box b WHERE b.id = NEW.id + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bear BEFORE UPDATE ON rb.box FOR EACH ROW EXECUTE FUNCTION rb.bear();
DELETE FROM rb_api.box;
SELECT count(*), count(DISTINCT deletion_id), count(*) FILTER (WHERE deleted_at IS NULL) FROM rb.item WHERE id > 200;
DROP TRIGGER bear ON rb.box;
-- triggers of statements, with the rows: once for each, as the statements behind a deletion are
CREATE TABLE rb.log (what text, rows bigint);
CREATE FUNCTION rb.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO rb.log SELECT TG_OP, count(*) FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER log AFTER UPDATE ON rb.item REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rb.log();
UPDATE rb_api.deleted_box SET deleted_at = NULL;
SELECT (SELECT count(*) FROM rb.item WHERE deleted_at IS NULL), sum(rows) AS logged FROM rb.log;
DELETE FROM rb.log;
UPDATE rb_api.item SET n = n + 1;
SELECT * FROM rb.log;
DROP TRIGGER log ON rb.item;
-- and of rows
CREATE FUNCTION rb.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO rb.log VALUES (TG_OP, NEW.id);
    RETURN NULL;
END $$;
DELETE FROM rb.log;
CREATE TRIGGER note AFTER UPDATE ON rb.item FOR EACH ROW EXECUTE FUNCTION rb.note();
DELETE FROM rb_api.item WHERE id <= 20;
UPDATE rb_api.deleted_item SET deleted_at = NULL WHERE id <= 20;
SELECT count(*), count(DISTINCT rows) FROM rb.log;
DROP TRIGGER note ON rb.item;

-- A policy is asked for each row anew.
CREATE TABLE rb.mine (item int PRIMARY KEY);
INSERT INTO rb.mine SELECT i FROM generate_series(1, 40, 2) i;
ALTER TABLE rb.item ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON rb.item FOR SELECT USING (true);
CREATE POLICY change ON rb.item FOR UPDATE USING (EXISTS (SELECT FROM rb.mine m WHERE m.item = item.id));
GRANT SELECT ON rb.mine TO regress_bulk;
SELECT taskapi.grant_resource('rb_api.item', 'regress_bulk') \g /dev/null
SET ROLE regress_bulk;
WITH made AS (UPDATE rb_api.item SET n = 500 WHERE id <= 40 RETURNING *) SELECT count(*), array_agg(DISTINCT id % 2) FROM made;
RESET ROLE;
SELECT count(*) FROM rb.item WHERE n = 500;

-- also by a bitmap, which is not to be read with the snapshot of the first row: each row allows the next.
CREATE TABLE rb.chain (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
SELECT taskapi.expose('rb.chain', 'rb_api') \g /dev/null
CREATE FUNCTION rb.allow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO rb.mine VALUES (NEW.id + 1);
    RETURN NEW;
END $$;
CREATE TRIGGER allow BEFORE INSERT ON rb.chain FOR EACH ROW EXECUTE FUNCTION rb.allow();
ALTER TABLE rb.chain ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON rb.chain FOR SELECT USING (true);
CREATE POLICY make ON rb.chain FOR INSERT WITH CHECK (EXISTS (SELECT FROM rb.mine m WHERE m.item = chain.id));
INSERT INTO rb.mine VALUES (101), (201);
SELECT taskapi.grant_resource('rb_api.chain', 'regress_bulk') \g /dev/null
SET ROLE regress_bulk;
INSERT INTO rb_api.chain SELECT i FROM generate_series(101, 112) i;
DISCARD PLANS;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_seqscan = off;
INSERT INTO rb_api.chain SELECT i FROM generate_series(201, 212) i;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_seqscan;
DISCARD PLANS;
RESET ROLE;
SELECT count(*) FROM rb.chain;

-- Rows that a trigger locks, and another vetoes, leave nothing behind for the statement around them to free.
CREATE TABLE rb.outer (id int PRIMARY KEY);
CREATE TABLE rb.inner (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
SELECT taskapi.expose('rb.outer', 'rb_api'), taskapi.expose('rb.inner', 'rb_api') \g /dev/null
INSERT INTO rb_api.outer SELECT i FROM generate_series(1, 12) i;
INSERT INTO rb_api.inner SELECT i FROM generate_series(1, 12) i;
DELETE FROM rb_api.outer;
CREATE FUNCTION rb.veto() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION rb.write_inner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE rb_api.inner SET n = n + 1;
    RETURN OLD;
END $$;
CREATE TRIGGER veto BEFORE UPDATE ON rb.inner FOR EACH ROW EXECUTE FUNCTION rb.veto();
CREATE TRIGGER write_inner BEFORE DELETE ON rb.outer FOR EACH ROW EXECUTE FUNCTION rb.write_inner();
DELETE FROM rb_api.deleted_outer;
SELECT (SELECT count(*) FROM rb.outer) AS left, (SELECT sum(n) FROM rb.inner) AS written;

-- Rows that nobody reads are written at the end of the query, for two resources at once.
WITH a AS (INSERT INTO rb_api.outer SELECT i FROM generate_series(21, 32) i),
    b AS (INSERT INTO rb_api.inner SELECT i FROM generate_series(21, 32) i)
SELECT 1 AS done;
SELECT (SELECT count(*) FROM rb_api.outer), (SELECT count(*) FROM rb_api.inner);

DROP SCHEMA rb, rb_api CASCADE;
DROP ROLE regress_bulk;
