-- A table's own triggers see each deletion once: an UPDATE when it is made, the one DELETE when it is purged; and permission is asked as by that DELETE.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA tt;
CREATE SCHEMA tt_api;
CREATE TABLE tt.log (n serial, what text);
GRANT USAGE ON SCHEMA tt, tt_api TO PUBLIC;
-- What the triggers saw since the last look.
CREATE FUNCTION tt.seen() RETURNS SETOF text LANGUAGE sql AS
$$ WITH gone AS (DELETE FROM tt.log RETURNING n, what) SELECT what || CASE WHEN count(*) > 1 THEN ' x' || count(*) ELSE '' END FROM gone GROUP BY what ORDER BY min(n) $$;
CREATE FUNCTION tt.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO tt.log (what) VALUES (concat_ws(' ', TG_TABLE_NAME, TG_WHEN, TG_LEVEL, TG_OP,
        CASE WHEN TG_OP = 'UPDATE' AND TG_LEVEL = 'ROW' THEN CASE WHEN OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN 'deletes'
                                                                  WHEN OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN 'restores' END END,
        CASE WHEN TG_LEVEL = 'ROW' THEN OLD.id END));
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TABLE tt.parent (id int PRIMARY KEY, qty int DEFAULT 0);
CREATE TABLE tt.child (id int PRIMARY KEY, parent int REFERENCES tt.parent ON DELETE CASCADE);
CREATE TABLE tt.parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE tt.low PARTITION OF tt.parted FOR VALUES FROM (0) TO (100);
SELECT taskapi.expose(t, 'tt_api') FROM unnest('{tt.parent,tt.child,tt.parted}'::regclass[]) t;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{parent,child,parted}'::text[] LOOP
        -- names that sort before and after every trigger of ours
        EXECUTE format('CREATE TRIGGER "00" BEFORE UPDATE OR DELETE ON tt.%I FOR EACH ROW EXECUTE FUNCTION tt.note()', t);
        EXECUTE format('CREATE TRIGGER zzzz AFTER UPDATE OR DELETE ON tt.%I FOR EACH ROW EXECUTE FUNCTION tt.note()', t);
        EXECUTE format('CREATE TRIGGER s1 BEFORE DELETE ON tt.%I FOR EACH STATEMENT EXECUTE FUNCTION tt.note()', t);
        EXECUTE format('CREATE TRIGGER s2 AFTER DELETE ON tt.%I FOR EACH STATEMENT EXECUTE FUNCTION tt.note()', t);
    END LOOP;
END
$$;
INSERT INTO tt_api.parent (id) VALUES (1), (2);
INSERT INTO tt_api.child VALUES (10, 1), (11, 1);
INSERT INTO tt_api.parted VALUES (1, 1), (2, 2);
DELETE FROM tt_api.parent WHERE id = 1;
SELECT tt.seen();
UPDATE tt_api.deleted_parent SET deleted_at = NULL WHERE id = 1;
SELECT tt.seen();
DELETE FROM tt_api.parent WHERE id = 1;
SELECT count(*) FROM tt.seen();
DELETE FROM tt_api.deleted_parent WHERE id = 1;
SELECT tt.seen();
-- The same of partitions, and of a purge of what is old.
DELETE FROM tt_api.parted;
SELECT tt.seen();
DELETE FROM tt_api.deleted_parted WHERE id = 1;
SELECT tt.seen();
UPDATE tt.parted SET deleted_at = deleted_at - interval '90 days';
SELECT count(*) FROM tt.seen();
SELECT taskapi.purge_deleted('30 days');
SELECT tt.seen();
-- What is refused, matches nothing, or is no soft deletion is not seen, or seen as what it is.
DO $$ BEGIN DELETE FROM tt_api.deleted_parent WHERE id = 7; DELETE FROM tt_api.parent WHERE id = 7; END $$;
SELECT tt.seen();
DELETE FROM tt.parent WHERE id = 2;
SELECT tt.seen();

-- A trigger that counts counts once: stock comes back when the order goes for good.
CREATE TABLE tt.stock (id int PRIMARY KEY, n int);
CREATE TABLE tt.orders (id int PRIMARY KEY, stock int, n int);
CREATE FUNCTION tt.give_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE tt.stock SET n = n + OLD.n WHERE id = OLD.stock; RETURN OLD; END $$;
CREATE TRIGGER give_back BEFORE DELETE ON tt.orders FOR EACH ROW EXECUTE FUNCTION tt.give_back();
SELECT taskapi.expose('tt.orders', 'tt_api') \g /dev/null
INSERT INTO tt.stock VALUES (1, 10);
INSERT INTO tt_api.orders (id, stock, n) VALUES (1, 1, 2), (2, 1, 5);
DELETE FROM tt_api.orders;
UPDATE tt_api.deleted_orders SET deleted_at = NULL;
DELETE FROM tt_api.orders;
SELECT n FROM tt.stock;
DELETE FROM tt_api.deleted_orders WHERE id = 1;
SELECT n FROM tt.stock;
UPDATE tt.orders SET deleted_at = deleted_at - interval '90 days';
SELECT taskapi.purge_deleted('30 days');
SELECT n FROM tt.stock;
-- One that vetoes is asked once.
CREATE FUNCTION tt.veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tt.log (what) VALUES ('veto ' || OLD.id); RETURN NULL; END $$;
CREATE TRIGGER a_veto BEFORE DELETE ON tt.orders FOR EACH ROW EXECUTE FUNCTION tt.veto();
INSERT INTO tt_api.orders (id, stock, n) VALUES (3, 1, 3);
DELETE FROM tt_api.orders RETURNING id;
SELECT tt.seen();
DELETE FROM tt_api.deleted_orders RETURNING id;
SELECT tt.seen();

-- May a row be deleted?  As on the table itself, for each combination of privileges and policies.
CREATE ROLE tt_client;
CREATE TABLE tt.secret (id int PRIMARY KEY);
INSERT INTO tt.secret SELECT generate_series(1, 20, 3);
CREATE FUNCTION tt.is_secret(i int) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT EXISTS (SELECT FROM tt.secret s WHERE s.id = i) $$;
CREATE TABLE tt.plain (id int PRIMARY KEY, owner text, v int);
CREATE TABLE tt.soft (LIKE tt.plain INCLUDING ALL);
SELECT taskapi.expose('tt.soft', 'tt_api') \g /dev/null
-- The ids of the rows that a role can delete one by one.
CREATE FUNCTION tt.deletes(relation text, as_role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    ids text := '';
    n   int;
BEGIN
    FOR i IN 1..20 LOOP
        BEGIN
            EXECUTE format('SET LOCAL ROLE %I', as_role);
            EXECUTE format('DELETE FROM %s WHERE id = $1', relation) USING i;
            GET DIAGNOSTICS n = ROW_COUNT;
            IF n > 0 THEN ids := ids || ' ' || i; END IF;
            RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ001';
        EXCEPTION
            WHEN SQLSTATE 'ZZ001' THEN NULL;
            -- a row that is seen and cannot be deleted
            WHEN SQLSTATE 'PT403' THEN NULL;
            WHEN insufficient_privilege THEN RETURN 'no privilege';
        END;
    END LOOP;
    RETURN ids;
END
$$;
CREATE FUNCTION tt.compare() RETURNS TABLE (combinations bigint, deletable bigint, different text) LANGUAGE plpgsql AS $$
DECLARE
    select_policies  text[] := ARRAY[NULL, 'true', 'v < 15', 'NOT tt.is_secret(id)'];
    delete_policies  text[] := ARRAY[NULL, 'v % 2 = 0', 'owner = current_user', 'EXISTS (SELECT FROM tt.secret s WHERE s.id = t.id)'];
    restrictive      text[] := ARRAY[NULL, 'id <> 4', 'id IN (SELECT s.id FROM tt.secret s)'];
    privileges       text[] := ARRAY['SELECT, DELETE', 'DELETE', 'SELECT', 'SELECT (id), DELETE'];
    plain text;
    soft  text;
BEGIN
    combinations := 0; deletable := 0;
    FOR s IN 1..4 LOOP FOR d IN 1..4 LOOP FOR r IN 1..3 LOOP FOR p IN 1..4 LOOP
        CONTINUE WHEN s = 1 AND (d + r + p) % 3 > 0;       -- without a SELECT policy nothing is seen
        FOR i IN 1..2 LOOP
            DECLARE
                t text := (ARRAY['plain', 'soft'])[i];
                policy text;
            BEGIN
                FOR policy IN SELECT polname FROM pg_policy WHERE polrelid = ('tt.' || t)::regclass LOOP
                    EXECUTE format('DROP POLICY %I ON tt.%I', policy, t);
                END LOOP;
                EXECUTE format('REVOKE ALL ON tt.%I FROM tt_client; REVOKE ALL (id) ON tt.%1$I FROM tt_client; GRANT UPDATE, %s ON tt.%1$I TO tt_client', t, privileges[p]);
                IF select_policies[s] IS NOT NULL THEN EXECUTE format('CREATE POLICY s ON tt.%I FOR SELECT USING (%s)', t, select_policies[s]); END IF;
                IF delete_policies[d] IS NOT NULL THEN EXECUTE format('CREATE POLICY d ON tt.%I AS PERMISSIVE FOR DELETE USING (%s)', t, replace(delete_policies[d], 't.id', t || '.id')); END IF;
                IF restrictive[r] IS NOT NULL THEN EXECUTE format('CREATE POLICY r ON tt.%I AS RESTRICTIVE FOR DELETE USING (%s)', t, restrictive[r]); END IF;
                EXECUTE format('CREATE POLICY u ON tt.%I FOR UPDATE USING (true)', t);
                EXECUTE format('ALTER TABLE tt.%I ENABLE ROW LEVEL SECURITY', t);
            END;
        END LOOP;
        plain := tt.deletes('tt.plain', 'tt_client');
        soft := tt.deletes('tt_api.soft', 'tt_client');
        combinations := combinations + 1;
        IF plain LIKE ' %' THEN deletable := deletable + 1; END IF;
        -- a view needs SELECT on what it shows, so the column alone is not enough
        IF plain IS DISTINCT FROM soft AND NOT (p IN (2, 4) AND soft = 'no privilege') AND NOT (p = 3 AND soft = '') THEN
            different := concat_ws('; ', different, format('%s/%s/%s/%s: %s, not %s', select_policies[s], delete_policies[d], restrictive[r], privileges[p], soft, plain));
        END IF;
    END LOOP; END LOOP; END LOOP; END LOOP;
    RETURN NEXT;
END
$$;
INSERT INTO tt.plain SELECT i, CASE WHEN i % 3 = 0 THEN 'tt_client' ELSE 'other' END, i FROM generate_series(1, 20) i;
INSERT INTO tt.soft (id, owner, v) SELECT * FROM tt.plain;
GRANT SELECT ON tt.secret TO tt_client;
GRANT EXECUTE ON FUNCTION tt.is_secret(int) TO tt_client;
SELECT taskapi.grant_resource('tt_api.soft', 'tt_client', '{read,delete}');
SELECT * FROM tt.compare();
-- FORCE: the owner too.
CREATE ROLE tt_owner;
GRANT ALL ON SCHEMA tt, tt_api TO tt_owner;
GRANT SELECT ON tt.secret TO tt_owner;
DROP POLICY d ON tt.plain; DROP POLICY d ON tt.soft; DROP POLICY r ON tt.plain; DROP POLICY r ON tt.soft;
CREATE POLICY d ON tt.plain FOR DELETE USING (id < 6); CREATE POLICY d ON tt.soft FOR DELETE USING (id < 6);
ALTER TABLE tt.plain OWNER TO tt_owner; ALTER TABLE tt.soft OWNER TO tt_owner;
ALTER VIEW tt_api.soft OWNER TO tt_owner; ALTER VIEW tt_api.deleted_soft OWNER TO tt_owner;
SELECT tt.deletes('tt.plain', 'tt_owner') AS plain, tt.deletes('tt_api.soft', 'tt_owner') AS soft;
ALTER TABLE tt.plain FORCE ROW LEVEL SECURITY; ALTER TABLE tt.soft FORCE ROW LEVEL SECURITY;
SELECT tt.deletes('tt.plain', 'tt_owner') AS plain, tt.deletes('tt_api.soft', 'tt_owner') AS soft;
-- The same plan, for another role.
GRANT SELECT, DELETE ON tt.plain, tt.soft TO tt_client;
SELECT tt.deletes('tt.plain', 'tt_client') AS plain, tt.deletes('tt_api.soft', 'tt_client') AS soft;
-- Read-only transactions write nothing, and find out first.
BEGIN READ ONLY;
DELETE FROM tt_api.parted;
ROLLBACK;

DROP SCHEMA tt, tt_api CASCADE;
DROP OWNED BY tt_client, tt_owner;
DROP ROLE tt_client, tt_owner;
