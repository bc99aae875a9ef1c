-- What is in the trash and refers to each other goes together, whoever deleted it and by whatever keys; what has to stay keeps only what needs it to go.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA tt;
CREATE SCHEMA tt_api;
CREATE TABLE tt.n (id int PRIMARY KEY, up int REFERENCES tt.n);
CREATE INDEX ON tt.n (up);
CREATE TABLE tt.a (id int PRIMARY KEY, b int);
CREATE TABLE tt.b (id int PRIMARY KEY, a int REFERENCES tt.a ON DELETE RESTRICT);
ALTER TABLE tt.a ADD FOREIGN KEY (b) REFERENCES tt.b;
SELECT taskapi.expose('tt.n', 'tt_api'), taskapi.expose('tt.a', 'tt_api'), taskapi.expose('tt.b', 'tt_api') \g /dev/null
-- Marks all rows by SQL: as one deletion, each as one, or without any, after a round of so many days.
CREATE FUNCTION tt.mark(how text, days int DEFAULT 40) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{n,a,b}'::text[] LOOP
        EXECUTE format('UPDATE tt.%I SET deleted_at = now() - %s * interval ''1 day'', deletion_id = %s', t, days,
                       CASE how WHEN 'one' THEN '''018f0000-0000-7000-8000-000000000001''' WHEN 'each' THEN 'taskapi.uuidv7()' ELSE 'NULL' END);
    END LOOP;
END $$;
CREATE FUNCTION tt.chain(n int, closed boolean) RETURNS void LANGUAGE sql AS $$
    DELETE FROM tt.n;
    INSERT INTO tt.n SELECT i, CASE WHEN i > 1 THEN i - 1 WHEN closed THEN n END FROM generate_series(1, n) i;
$$;
CREATE FUNCTION tt.pairs(n int) RETURNS void LANGUAGE sql AS $$
    DELETE FROM tt.n;
    INSERT INTO tt.a SELECT i FROM generate_series(1, n) i;
    INSERT INTO tt.b SELECT i, i FROM generate_series(1, n) i;
    UPDATE tt.a SET b = id;
$$;
CREATE FUNCTION tt.left_over() RETURNS text LANGUAGE sql AS $$
    SELECT format('n %s, a %s, b %s', (SELECT string_agg(id::text, ' ' ORDER BY id) FROM tt.n), (SELECT string_agg(id::text, ' ' ORDER BY id) FROM tt.a),
                  (SELECT string_agg(id::text, ' ' ORDER BY id) FROM tt.b))
$$;
CREATE FUNCTION tt.refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLERRM || ': ' || detail;
END $$;

-- Chains, cycles, pairs of two tables and rows that refer to themselves, by the purge of what is old.
DO $$
DECLARE
    how text;
    purged bigint;
BEGIN
    FOREACH how IN ARRAY '{one,each,none}'::text[] LOOP
        PERFORM tt.chain(7, false), tt.mark(how);
        COMMIT;
        purged := taskapi.purge_deleted();
        RAISE WARNING '%, chain: % purged, left: %', how, purged, tt.left_over();
        PERFORM tt.chain(7, true), tt.mark(how);
        COMMIT;
        purged := taskapi.purge_deleted();
        RAISE WARNING '%, cycle: % purged, left: %', how, purged, tt.left_over();
        PERFORM tt.chain(1, true), tt.mark(how);
        COMMIT;
        purged := taskapi.purge_deleted();
        RAISE WARNING '%, itself: % purged, left: %', how, purged, tt.left_over();
        PERFORM tt.pairs(2), tt.mark(how);
        COMMIT;
        purged := taskapi.purge_deleted();
        RAISE WARNING '%, pairs: % purged, left: %', how, purged, tt.left_over();
    END LOOP;
END $$;
-- The same by a client's purge, if it names all of them, in any order; or, of one deletion, its first row.
DO $$
DECLARE
    how text;
    done text;
BEGIN
    FOREACH how IN ARRAY '{one,each,none}'::text[] LOOP
        PERFORM tt.chain(7, false), tt.mark(how);
        done := tt.refused('DELETE FROM tt_api.deleted_n WHERE id <> 7');
        done := done || ', then ' || tt.refused('DELETE FROM tt_api.deleted_n');
        RAISE WARNING '%, chain: %, left: %', how, done, tt.left_over();
        PERFORM tt.chain(7, true), tt.mark(how);
        done := tt.refused('DELETE FROM tt_api.deleted_n WHERE id < 6');
        done := done || ', then ' || tt.refused('DELETE FROM tt_api.deleted_n');
        RAISE WARNING '%, cycle: %, left: %', how, done, tt.left_over();
        PERFORM tt.chain(1, true), tt.mark(how);
        done := tt.refused('DELETE FROM tt_api.deleted_n');
        RAISE WARNING '%, itself: %, left: %', how, done, tt.left_over();
    END LOOP;
END $$;
-- A cycle that clients have deleted in one statement.
SELECT tt.chain(3, true);
DELETE FROM tt_api.n;
DELETE FROM tt_api.deleted_n RETURNING id;
SELECT tt.chain(3, true);
DELETE FROM tt_api.n;
SELECT taskapi.purge_deleted('0'), tt.left_over();
-- What is too young, or live, keeps what needs it to go, and nothing else: 5 keeps 1 to 4 of this chain, and the cycle of 11 and 12 goes.
SELECT tt.chain(6, false), tt.mark('each');
UPDATE tt.n SET deleted_at = now() WHERE id = 5;
INSERT INTO tt.n VALUES (11, NULL, 1, now(), now() - interval '40 days', taskapi.uuidv7()), (12, 11, 1, now(), now() - interval '40 days', taskapi.uuidv7());
UPDATE tt.n SET up = 12 WHERE id = 11;
SELECT taskapi.purge_deleted(), tt.left_over();
UPDATE tt.n SET deleted_at = now() - interval '50 days' WHERE id = 5;
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT tt.chain(4, true), tt.mark('each');
ALTER TABLE tt.n DISABLE TRIGGER USER;
UPDATE tt.n SET deleted_at = NULL, deletion_id = NULL WHERE id = 3;
ALTER TABLE tt.n ENABLE TRIGGER USER;
SELECT taskapi.purge_deleted(), tt.left_over();
UPDATE tt.n SET deleted_at = now() - interval '50 days', deletion_id = taskapi.uuidv7() WHERE id = 3;
-- A trigger that keeps one of them keeps all that refer to each other, and says so; triggers fire once for each row and once for all.
CREATE TABLE tt.log (at int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION tt.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        INSERT INTO tt.log (what) VALUES (TG_WHEN || ' ' || OLD.id || ', of ' || (SELECT count(*) FROM tt.n));
        RETURN CASE WHEN TG_WHEN = 'BEFORE' AND OLD.id = current_setting('tt.kept')::int THEN NULL ELSE OLD END;
    END IF;
    IF TG_WHEN = 'AFTER' THEN
        INSERT INTO tt.log (what) SELECT 'all: ' || string_agg(id::text, ' ' ORDER BY id) FROM gone;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_before BEFORE DELETE ON tt.n FOR EACH ROW EXECUTE FUNCTION tt.note();
CREATE TRIGGER note_after AFTER DELETE ON tt.n FOR EACH ROW EXECUTE FUNCTION tt.note();
CREATE TRIGGER note_all AFTER DELETE ON tt.n REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION tt.note();
SET tt.kept = 2;
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT tt.refused('DELETE FROM tt_api.deleted_n');
SET tt.kept = 0;
DELETE FROM tt.log;
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT what FROM tt.log ORDER BY at;
DROP TRIGGER note_before ON tt.n;
DROP TRIGGER note_after ON tt.n;
DROP TRIGGER note_all ON tt.n;
-- Rows that a trigger has kept behind, of the same statement, are not left with a reference to nothing.
CREATE FUNCTION tt.refer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tt.n (id, up) VALUES (OLD.id + 100, OLD.id); RETURN OLD; END $$;
CREATE TRIGGER refer BEFORE DELETE ON tt.n FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION tt.refer();
SELECT tt.chain(3, true), tt.mark('one');
ALTER TABLE tt.n DISABLE TRIGGER zz_taskapi_reference;
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT tt.refused('DELETE FROM tt_api.deleted_n');
DROP TRIGGER refer ON tt.n;
ALTER TABLE tt.n ENABLE TRIGGER zz_taskapi_reference;
-- Keys that cascade and keys that do not, in one: the rows of a cascading cycle go with what refers to it.
CREATE TABLE tt.c (id int PRIMARY KEY, up int REFERENCES tt.c ON DELETE CASCADE, n int REFERENCES tt.n);
SELECT taskapi.expose('tt.c', 'tt_api') \g /dev/null
SELECT tt.chain(2, false);
INSERT INTO tt.c VALUES (1, NULL, 1), (2, 1, 2);
UPDATE tt.c SET up = 2 WHERE id = 1;
UPDATE tt.c SET deleted_at = now() - interval '40 days', deletion_id = '018f0000-0000-7000-8000-000000000001';
SELECT tt.mark('one');
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT count(*) FROM tt.c;
-- Two owners: the code of neither runs with the rights of the other.
CREATE ROLE tt_one;
CREATE ROLE tt_two;
GRANT USAGE ON SCHEMA tt TO tt_one, tt_two;
CREATE FUNCTION tt.who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% of % by %', TG_OP, TG_TABLE_NAME, current_user; RETURN NULL; END $$;
CREATE TRIGGER who AFTER DELETE ON tt.a FOR EACH ROW EXECUTE FUNCTION tt.who();
CREATE TRIGGER who AFTER DELETE ON tt.b FOR EACH ROW EXECUTE FUNCTION tt.who();
SELECT tt.pairs(1), tt.mark('each');
ALTER TABLE tt.a OWNER TO tt_one;
ALTER TABLE tt.b OWNER TO tt_two;
GRANT REFERENCES, SELECT, UPDATE, DELETE ON tt.a TO tt_two;
GRANT REFERENCES, SELECT, UPDATE, DELETE ON tt.b TO tt_one;
SELECT taskapi.purge_deleted(), tt.left_over();
DROP TRIGGER who ON tt.a;
SELECT taskapi.purge_deleted(), tt.left_over();
-- What only goes together goes in one call, whatever the batch, and no more with it: three cycles of four rows.
SELECT tt.chain(0, false);
INSERT INTO tt.n SELECT i, CASE WHEN i % 4 = 1 THEN i + 3 ELSE i - 1 END FROM generate_series(1, 12) i;
SELECT tt.mark('each');
UPDATE tt.n SET deleted_at = deleted_at - id % 4 * interval '1 hour';
SELECT taskapi.purge_deleted(batch => 2), tt.left_over();
SELECT taskapi.purge_deleted(batch => 5), tt.left_over();
-- A long chain, and one that its last row keeps.
SELECT tt.chain(3000, false), tt.mark('none');
SELECT taskapi.purge_deleted(), tt.left_over();
SELECT tt.chain(3000, false), tt.mark('each');
UPDATE tt.n SET deleted_at = now() WHERE id = 3000;
SELECT taskapi.purge_deleted();
SELECT min(id), max(id) FROM tt.n;
-- One that a trigger keeps at the end of a chain, which is as a client has deleted it: it is tried with the whole chain, and then no more.
CREATE TABLE tt.kept (id int PRIMARY KEY, n int REFERENCES tt.n);
SELECT taskapi.expose('tt.kept', 'tt_api') \g /dev/null
CREATE SEQUENCE tt.tries;
CREATE FUNCTION tt.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tt.tries'); RAISE EXCEPTION 'no'; END $$;
SELECT tt.chain(100, false), tt.mark('each');
UPDATE tt.n SET deleted_at = deleted_at - id * interval '1 hour';
INSERT INTO tt.kept VALUES (1, 100, 1, now(), now() - interval '50 days', taskapi.uuidv7());
CREATE TRIGGER keep BEFORE DELETE ON tt.kept FOR EACH ROW EXECUTE FUNCTION tt.keep();
SELECT taskapi.purge_deleted();
SELECT min(id), max(id) FROM tt.n;
SELECT last_value < 20 AS few_tries FROM tt.tries;
DROP SCHEMA tt_api, tt CASCADE;
DROP ROLE tt_one, tt_two;
