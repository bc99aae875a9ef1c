-- A row that is referred to is live or refused alike, however its table, its key and their types are made, and changed later.
SET client_min_messages = warning;
CREATE SCHEMA rp;
CREATE SCHEMA rp_api;
CREATE ROLE rp_owner;
GRANT USAGE, CREATE ON SCHEMA rp TO rp_owner;
CREATE DOMAIN rp.id AS int;
-- Parents of 1, which is live, and 2, which is deleted.
CREATE TABLE rp.plain (filler text, id int PRIMARY KEY);
ALTER TABLE rp.plain DROP COLUMN filler;
CREATE TABLE rp.wide (id bigint PRIMARY KEY);
CREATE TABLE rp.word (id varchar(9) PRIMARY KEY);
CREATE TABLE rp.label (id text PRIMARY KEY);
CREATE TABLE rp.of_domain (id rp.id PRIMARY KEY);
CREATE TABLE rp.two (a int, b text, UNIQUE (b, a), id int PRIMARY KEY);
CREATE TABLE rp.parts (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE rp.parts_1 PARTITION OF rp.parts FOR VALUES IN (1);
CREATE TABLE rp.parts_2 PARTITION OF rp.parts FOR VALUES IN (2);
CREATE TABLE rp.above (id int PRIMARY KEY);
CREATE TABLE rp.another_owner (id int PRIMARY KEY);
ALTER TABLE rp.another_owner OWNER TO rp_owner;
SELECT taskapi.expose(format('rp.%I', t)::regclass, 'rp_api')
FROM unnest('{plain,wide,word,label,of_domain,two,parts,above,another_owner}'::name[]) t \g /dev/null
INSERT INTO rp.plain (id) VALUES (1), (2);
INSERT INTO rp.wide VALUES (1), (2);
INSERT INTO rp.word VALUES ('1'), ('2');
INSERT INTO rp.label VALUES ('1'), ('2');
INSERT INTO rp.of_domain VALUES (1), (2);
INSERT INTO rp.two VALUES (1, 'b', 1), (2, 'b', 2);
INSERT INTO rp.parts VALUES (1), (2);
INSERT INTO rp.above VALUES (1), (2);
INSERT INTO rp.another_owner VALUES (1), (2);
SELECT string_agg(format('DELETE FROM rp_api.%I WHERE id = ''2''', t), ';')
FROM unnest('{plain,wide,word,label,of_domain,two,parts,above,another_owner}'::name[]) t \gexec
-- A child of each: NULL but for one reference.
CREATE TABLE rp.child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, plain int REFERENCES rp.plain, wide int REFERENCES rp.wide, word varchar(5) REFERENCES rp.word, label name REFERENCES rp.label,
    of_domain rp.id REFERENCES rp.of_domain, a int, b text, FOREIGN KEY (a, b) REFERENCES rp.two (a, b), parts int REFERENCES rp.parts, part int REFERENCES rp.parts_2,
    above int REFERENCES rp.above, another_owner int REFERENCES rp.another_owner);
SELECT taskapi.expose('rp.child', 'rp_api') \g /dev/null
CREATE FUNCTION rp.refer(assignments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE format('INSERT INTO rp_api.child (%s) VALUES (%s)', split_part(assignments, ' = ', 1), split_part(assignments, ' = ', 2));
    RETURN 'live';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN CASE WHEN detail LIKE '%is deleted%' THEN 'deleted' WHEN detail LIKE '{%' THEN detail::json ->> 'code' ELSE SQLERRM END;
END
$$;
CREATE VIEW rp.answers AS
SELECT t AS reference, rp.refer(t || ' = ''1''') AS live, rp.refer(t || ' = ''2''') AS deleted, rp.refer(t || ' = ''3''') AS missing
FROM unnest('{plain,wide,word,label,of_domain,parts,part,above,another_owner}'::text[]) t
UNION ALL SELECT 'a, b', rp.refer('a, b = 1, ''b'''), rp.refer('a, b = 2, ''b'''), rp.refer('a, b = 1, ''c''');
TABLE rp.answers;
-- The same in a transaction with one snapshot, where what it did itself is seen.
BEGIN ISOLATION LEVEL REPEATABLE READ;
TABLE rp.answers;
ROLLBACK;
BEGIN;
INSERT INTO rp_api.plain (id) VALUES (4);
DELETE FROM rp_api.plain WHERE id = 4;
SELECT rp.refer('plain = 4');
UPDATE rp.plain SET deleted_at = NULL, deletion_id = NULL, id = 5 WHERE id = 4;
SELECT rp.refer('plain = 4'), rp.refer('plain = 5');
ROLLBACK;
-- The tables change: columns come and go, a row is a child's, the index is another, the owner may not read it.
ALTER TABLE rp.plain ADD COLUMN later text DEFAULT 'x';
ALTER TABLE rp.two RENAME COLUMN b TO c;
CREATE TABLE rp.below (CHECK (id > 0)) INHERITS (rp.above);
REINDEX TABLE CONCURRENTLY rp.of_domain;
REVOKE ALL ON rp.another_owner FROM rp_owner;
TABLE rp.answers;
-- Who refers to a row holds it: nobody deletes it meanwhile.
INSERT INTO rp.plain VALUES (9);
ALTER TABLE rp.child DISABLE TRIGGER ALL, ENABLE TRIGGER zz_taskapi_reference;
BEGIN;
SELECT xmax = 0 AS free FROM rp.plain WHERE id = 9;
INSERT INTO rp_api.child (plain) VALUES (9);
SELECT xmax = 0 AS free FROM rp.plain WHERE id = 9;
ROLLBACK;
DROP SCHEMA rp, rp_api CASCADE;
DROP ROLE rp_owner;
