-- The trash works deletion by deletion: one is purged as a whole or stays as a whole, by its own date, and comes back as it went.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA trash;
CREATE SCHEMA trash_api;
CREATE FUNCTION trash.expose(VARIADIC tables regclass[]) RETURNS void LANGUAGE sql AS $$ SELECT taskapi.expose(t, 'trash_api') FROM unnest(tables) t $$;
-- Everything deleted was deleted that much earlier.
CREATE FUNCTION trash.age(source regclass, by interval DEFAULT '40 days') RETURNS void LANGUAGE plpgsql AS
$$ BEGIN EXECUTE format('UPDATE %s SET deleted_at = deleted_at - $1', source) USING by; END $$;

-- A row that is handed over to a later deletion is kept as long as that one.
CREATE TABLE trash.a (id int PRIMARY KEY);
CREATE TABLE trash.b (id int PRIMARY KEY);
CREATE TABLE trash.c (id int PRIMARY KEY, a int REFERENCES trash.a ON DELETE CASCADE, b int REFERENCES trash.b ON DELETE CASCADE);
CREATE TABLE trash.d (id int PRIMARY KEY, c int REFERENCES trash.c ON DELETE CASCADE);
SELECT trash.expose('trash.a', 'trash.b', 'trash.c', 'trash.d');
INSERT INTO trash_api.a VALUES (1); INSERT INTO trash_api.b VALUES (1); INSERT INTO trash_api.c VALUES (1, 1, 1); INSERT INTO trash_api.d VALUES (1, 1);
DELETE FROM trash_api.a;
SELECT trash.age('trash.a'), trash.age('trash.c'), trash.age('trash.d') \g /dev/null
DELETE FROM trash_api.b;
UPDATE trash_api.deleted_a SET deleted_at = NULL;
SELECT c.deleted_at = b.deleted_at AND d.deleted_at = b.deleted_at AS same_date, c.deletion_id = b.deletion_id AND d.deletion_id = b.deletion_id AS same_deletion
FROM trash.b, trash.c, trash.d;
SELECT taskapi.purge_deleted('30 days');
UPDATE trash_api.deleted_b SET deleted_at = NULL;
SELECT (SELECT count(*) FROM trash_api.c) AS c, (SELECT count(*) FROM trash_api.d) AS d;
-- A row that comes alive round the resource may refer to no deleted one either.
DELETE FROM trash_api.b;
UPDATE trash.c SET deleted_at = NULL, deletion_id = NULL;
UPDATE trash_api.deleted_b SET deleted_at = NULL;
-- Both parents deleted: the child goes with neither before the other may go too.
DELETE FROM trash_api.a; DELETE FROM trash_api.b;
SELECT trash.age('trash.b'), trash.age('trash.c', '0') \g /dev/null
SELECT taskapi.purge_deleted('30 days') AS too_early;
DELETE FROM trash_api.deleted_b;
SELECT trash.age('trash.a'), trash.age('trash.c'), trash.age('trash.d') \g /dev/null
SELECT taskapi.purge_deleted('30 days') > 0 AS now;
SELECT count(*) FROM (SELECT id FROM trash.a UNION ALL SELECT id FROM trash.b UNION ALL SELECT id FROM trash.c UNION ALL SELECT id FROM trash.d) t;

-- A root that has to stay keeps its children, whether a trigger vetoes it or raises an error, and no other deletion.
CREATE TABLE trash.file (id int PRIMARY KEY, hold text);
CREATE TABLE trash.page (id int PRIMARY KEY, file int REFERENCES trash.file ON DELETE CASCADE, hold text);
CREATE FUNCTION trash.hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.hold = 'raise' THEN RAISE EXCEPTION 'on hold'; END IF;
    RETURN CASE WHEN OLD.hold IS NULL THEN OLD END;
END
$$;
SELECT trash.expose('trash.file', 'trash.page');
INSERT INTO trash_api.file SELECT i, CASE i % 100 WHEN 7 THEN 'veto' WHEN 8 THEN 'raise' END FROM generate_series(1, 450) i;
INSERT INTO trash_api.page SELECT i * 10 + j, i, CASE WHEN i % 100 = 9 AND j = 1 THEN 'veto' WHEN i % 100 = 10 AND j = 1 THEN 'raise' END
FROM generate_series(1, 450) i, generate_series(1, 2) j;
DELETE FROM trash_api.file;
CREATE TRIGGER hold BEFORE DELETE ON trash.file FOR EACH ROW EXECUTE FUNCTION trash.hold();
CREATE TRIGGER hold BEFORE DELETE ON trash.page FOR EACH ROW EXECUTE FUNCTION trash.hold();
SELECT trash.age('trash.file'), trash.age('trash.page') \g /dev/null
SELECT taskapi.purge_deleted('30 days');
SELECT count(*), count(*) FILTER (WHERE id % 100 IN (7, 8, 9, 10)) AS held FROM trash.file;
UPDATE trash_api.deleted_file SET deleted_at = NULL;
SELECT count(*) AS files, (SELECT count(*) FROM trash_api.page) AS pages FROM trash_api.file;
DROP TABLE trash.page, trash.file CASCADE;

-- A batch is a number of deletions.
CREATE TABLE trash.box (id int PRIMARY KEY);
CREATE TABLE trash.thing (id int PRIMARY KEY, box int REFERENCES trash.box ON DELETE CASCADE);
SELECT trash.expose('trash.box', 'trash.thing');
INSERT INTO trash_api.box VALUES (1), (2); INSERT INTO trash_api.thing SELECT i, 1 + i % 2 FROM generate_series(1, 10) i;
DELETE FROM trash_api.box;
SELECT taskapi.purge_deleted('0', 1) AS deletions, (SELECT count(*) FROM trash.box) AS boxes_before;
SELECT (SELECT count(*) FROM trash.box) AS boxes, (SELECT count(*) FROM trash.thing) AS things;
SELECT taskapi.purge_deleted('0', 1) AS deletions;
DROP TABLE trash.thing, trash.box CASCADE;

-- A foreign key that refers to a partition, and one of a partition, are foreign keys of the whole.
CREATE TABLE trash.part (id int PRIMARY KEY, a int) PARTITION BY RANGE (id);
CREATE TABLE trash.part_1 (a int, gone int, id int NOT NULL);
ALTER TABLE trash.part_1 DROP COLUMN gone;
ALTER TABLE trash.part ATTACH PARTITION trash.part_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE trash.part_2 PARTITION OF trash.part FOR VALUES FROM (10) TO (20);
CREATE TABLE trash.leaf (id int, p int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE trash.leaf_1 PARTITION OF trash.leaf FOR VALUES FROM (0) TO (10);
CREATE TABLE trash.leaf_2 PARTITION OF trash.leaf FOR VALUES FROM (10) TO (20);
ALTER TABLE trash.leaf_1 ADD FOREIGN KEY (p) REFERENCES trash.part_1 (id) ON DELETE CASCADE;
SELECT trash.expose('trash.part');
INSERT INTO trash_api.part (id, a) VALUES (1, 1), (11, 1);
INSERT INTO trash.leaf VALUES (1, 1), (11, 1);
DELETE FROM trash_api.part WHERE id = 1;
SELECT trash.expose('trash.leaf');
DELETE FROM trash_api.part;
INSERT INTO trash_api.leaf (id, p) VALUES (2, 1);
INSERT INTO trash_api.leaf (id, p) VALUES (12, 1);
SELECT id, p FROM trash_api.leaf ORDER BY id;
UPDATE trash_api.deleted_part SET deleted_at = NULL WHERE id = 1;
SELECT id, p FROM trash_api.leaf ORDER BY id;
DELETE FROM trash_api.part WHERE id = 1;
SELECT taskapi.purge_deleted('0');
SELECT id, p FROM trash.leaf ORDER BY id;
DROP TABLE trash.leaf, trash.part CASCADE;

-- A resource whose view was dropped counts for nothing, and is forgotten.
CREATE TABLE trash.p (id int PRIMARY KEY);
CREATE TABLE trash.k (id int PRIMARY KEY, p int REFERENCES trash.p ON DELETE CASCADE, x int);
SELECT trash.expose('trash.p', 'trash.k');
INSERT INTO trash_api.p VALUES (1);
INSERT INTO trash_api.k VALUES (1, 1);
ALTER TABLE trash.k DROP COLUMN x CASCADE;
DELETE FROM trash_api.p;
SELECT soft_delete FROM taskapi.is_source('trash.k');
SELECT taskapi.expose('trash.k', 'trash_api', soft_delete => false) \g /dev/null
DELETE FROM trash_api.p;
SELECT source, soft_delete FROM taskapi.resource WHERE source IN ('trash.p'::regclass, 'trash.k') ORDER BY 1;
DROP TABLE trash.k, trash.p CASCADE;
SELECT taskapi.purge_deleted();
SELECT count(*) FROM taskapi.resource WHERE source NOT IN (SELECT oid FROM pg_class);

-- Deferred keys, and deferred triggers, keep nothing.
CREATE TABLE trash.p (id int PRIMARY KEY, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE trash.k (id int PRIMARY KEY, p int REFERENCES trash.p (id) DEFERRABLE INITIALLY DEFERRED, q int REFERENCES trash.p (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION trash.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER note AFTER DELETE ON trash.k DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trash.note();
SELECT trash.expose('trash.p', 'trash.k');
INSERT INTO trash_api.p VALUES (1), (2);
INSERT INTO trash_api.k VALUES (1, 1, NULL), (2, NULL, 2);
DELETE FROM trash_api.k WHERE id = 1; DELETE FROM trash_api.p;
SELECT taskapi.purge_deleted('0');
SELECT id, p, q FROM trash.k;
DROP TABLE trash.k, trash.p CASCADE;

-- A trigger that leaves a deleted row for each one that goes does not keep a run going.
CREATE TABLE trash.e (id int PRIMARY KEY, deleted_at timestamptz);
CREATE FUNCTION trash.again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trash.e VALUES (OLD.id + 10, OLD.deleted_at); RETURN NULL; END $$;
CREATE TRIGGER again AFTER DELETE ON trash.e FOR EACH ROW EXECUTE FUNCTION trash.again();
SELECT trash.expose('trash.e');
INSERT INTO trash.e SELECT i, now() - interval '40 days' FROM generate_series(1, 10) i;
SELECT taskapi.purge_deleted('30 days');
CALL taskapi.maintain(3);
SELECT min(id), max(id), count(*) FROM trash.e;
DROP TABLE trash.e CASCADE;

-- One statement may delete a tree, or the two ends of a key ON DELETE NO ACTION, in any order; what is left refers to nothing that went.
CREATE TABLE trash.n (id int PRIMARY KEY, up int REFERENCES trash.n);
SELECT trash.expose('trash.n');
INSERT INTO trash_api.n VALUES (1, NULL), (2, 1), (3, 2);
DELETE FROM trash_api.n WHERE id < 3;
DELETE FROM trash_api.n;
SELECT count(*), count(DISTINCT deletion_id) FROM trash.n WHERE deleted_at IS NOT NULL;
UPDATE trash_api.deleted_n SET deleted_at = NULL WHERE id = 1;
UPDATE trash_api.deleted_n SET deleted_at = NULL WHERE id = 2;
DELETE FROM trash_api.n WHERE id = 1;
DELETE FROM trash_api.n;
SELECT taskapi.purge_deleted('0');
SELECT count(*) FROM trash.n;
DROP TABLE trash.n CASCADE;

-- A chain and a cycle of 2,000 rows go, come back and are purged.
CREATE TABLE trash.n (id int PRIMARY KEY, up int REFERENCES trash.n ON DELETE CASCADE);
CREATE INDEX ON trash.n (up);
SELECT trash.expose('trash.n');
INSERT INTO trash_api.n SELECT i, nullif(i - 1, 0) FROM generate_series(1, 2000) i;
DELETE FROM trash_api.n WHERE id = 1;
UPDATE trash_api.deleted_n SET deleted_at = NULL WHERE id = 1;
SELECT count(*) FROM trash_api.n;
UPDATE trash.n SET up = 2000 WHERE id = 1;
DELETE FROM trash_api.n WHERE id = 77;
SELECT count(*), count(DISTINCT deletion_id) FROM trash.n WHERE deleted_at IS NOT NULL;
UPDATE trash_api.deleted_n SET deleted_at = NULL WHERE id = 77;
DELETE FROM trash_api.n WHERE id = 5;
SELECT taskapi.purge_deleted('0');
SELECT count(*) FROM trash.n;

DROP SCHEMA trash, trash_api CASCADE;
