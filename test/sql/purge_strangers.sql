-- A purge runs no trigger of another role with the rights of the owner of the table, by whichever way it gets there.
SET client_min_messages = warning;
CREATE ROLE regress_strangers_mallory;
CREATE ROLE regress_strangers_client;
CREATE ROLE regress_strangers_eve;
CREATE SCHEMA strangers;
CREATE SCHEMA strangers_api;
CREATE SCHEMA strangers_own AUTHORIZATION regress_strangers_mallory;
CREATE TABLE strangers.account (id int PRIMARY KEY);
SELECT taskapi.expose('strangers.account', 'strangers_api', 'account');
SELECT taskapi.grant_resource('strangers_api.account', 'regress_strangers_client', '{read,create,delete,purge}');
GRANT USAGE ON SCHEMA strangers TO regress_strangers_mallory;
GRANT REFERENCES ON strangers.account TO regress_strangers_mallory;

-- What the trigger can do: whatever the owner of the other table can. It says as whom it ran.
CREATE TABLE strangers.ran (role name, what text);
GRANT INSERT ON strangers.ran TO PUBLIC;
GRANT USAGE ON SCHEMA strangers TO PUBLIC;
SET ROLE regress_strangers_mallory;
CREATE FUNCTION strangers_own.code() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO strangers.ran VALUES (current_user, TG_TABLE_NAME || ' ' || TG_WHEN || ' ' || TG_OP);
    BEGIN
        ALTER ROLE regress_strangers_eve CREATEDB;
    EXCEPTION WHEN insufficient_privilege THEN
    END;
    RETURN NEW;
END $$;
CREATE TABLE strangers_own.cascades (id int PRIMARY KEY, account int REFERENCES strangers.account ON DELETE CASCADE);
CREATE TABLE strangers_own.grandchild (id int PRIMARY KEY, parent int REFERENCES strangers_own.cascades ON DELETE CASCADE);
CREATE TABLE strangers_own.nulls (id int PRIMARY KEY, account int REFERENCES strangers.account ON DELETE SET NULL) PARTITION BY LIST (id);
CREATE TABLE strangers_own.nulls_1 PARTITION OF strangers_own.nulls DEFAULT;
RESET ROLE;

-- One kind of trigger after the other, each by a client's purge and by maintain(), as transactions of their own.
CREATE TABLE strangers.result (n serial, trigger text, way text, result text, ran text, eve boolean);
CREATE FUNCTION strangers.purge(way text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF way = 'client' THEN
        SET LOCAL ROLE regress_strangers_client;
        DELETE FROM strangers_api.deleted_account WHERE id = 1;
        RESET ROLE;
    ELSE
        PERFORM taskapi.purge_deleted('1 day');
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM strangers.account) THEN 'kept' ELSE 'purged' END;
EXCEPTION WHEN insufficient_privilege OR SQLSTATE 'PT403' THEN
    RETURN sqlerrm;
END $$;
CREATE PROCEDURE strangers.try(kind text, make text, forget text) LANGUAGE plpgsql AS $$
DECLARE
    step text;
BEGIN
    FOREACH step IN ARRAY '{client,maintain}'::text[] LOOP
        DELETE FROM strangers_own.cascades;
        DELETE FROM strangers_own.nulls;
        DELETE FROM strangers.account;
        INSERT INTO strangers.account VALUES (1);
        SET ROLE regress_strangers_mallory;
        EXECUTE make;
        INSERT INTO strangers_own.nulls VALUES (1, 1);
        RESET ROLE;
        UPDATE strangers.account SET deleted_at = '2020-01-01', deletion_id = gen_random_uuid();
        DELETE FROM strangers.ran;
        COMMIT;
        INSERT INTO strangers.result (trigger, way, result) VALUES (kind, step, strangers.purge(step));
        COMMIT;
        UPDATE strangers.result SET
            ran = (SELECT string_agg(CASE r.role WHEN 'regress_strangers_mallory' THEN 'mallory' ELSE 'ANOTHER ROLE' END || ' ' || r.what, ', ')
                   FROM strangers.ran r),
            eve = (SELECT rolcreatedb FROM pg_roles WHERE rolname = 'regress_strangers_eve')
        WHERE n = (SELECT max(n) FROM strangers.result);
        SET ROLE regress_strangers_mallory;
        EXECUTE forget;
        RESET ROLE;
    END LOOP;
END $$;
CALL strangers.try('none', 'DO ''BEGIN END''', 'DO ''BEGIN END''');
CALL strangers.try('AFTER UPDATE of SET NULL', 'CREATE TRIGGER t AFTER UPDATE ON strangers_own.nulls FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.nulls');
CALL strangers.try('of a partition', 'CREATE TRIGGER t AFTER UPDATE ON strangers_own.nulls_1 FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.nulls_1');
CALL strangers.try('statement', 'CREATE TRIGGER t AFTER UPDATE ON strangers_own.nulls FOR EACH STATEMENT EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.nulls');
CALL strangers.try('deferred', 'CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON strangers_own.nulls_1 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.nulls_1');
CALL strangers.try('AFTER DELETE of CASCADE', 'CREATE TRIGGER t AFTER DELETE ON strangers_own.cascades FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.cascades');
CALL strangers.try('of a grandchild', 'CREATE TRIGGER t AFTER DELETE ON strangers_own.grandchild FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.grandchild');
-- of a table that a rule writes to, of the partition that a row moves to, of a table that refers to one that is changed
CALL strangers.try('of a rule', 'CREATE TABLE strangers_own.log (id int); CREATE TRIGGER t AFTER INSERT ON strangers_own.log FOR EACH ROW EXECUTE FUNCTION strangers_own.code();
    CREATE RULE r AS ON UPDATE TO strangers_own.nulls DO ALSO INSERT INTO strangers_own.log VALUES (old.id)', 'DROP TABLE strangers_own.log CASCADE');
CALL strangers.try('of a disabled rule', 'CREATE RULE r AS ON UPDATE TO strangers_own.nulls DO ALSO NOTHING; ALTER TABLE strangers_own.nulls DISABLE RULE r', 'DROP RULE r ON strangers_own.nulls');
CALL strangers.try('AFTER INSERT of another partition', 'CREATE TABLE strangers_own.moved (id int, account int REFERENCES strangers.account ON DELETE SET NULL) PARTITION BY LIST (account);
    CREATE TABLE strangers_own.moved_1 PARTITION OF strangers_own.moved FOR VALUES IN (1); CREATE TABLE strangers_own.moved_null PARTITION OF strangers_own.moved DEFAULT;
    INSERT INTO strangers_own.moved VALUES (1, 1);
    CREATE TRIGGER t AFTER INSERT ON strangers_own.moved_null FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TABLE strangers_own.moved');
CALL strangers.try('AFTER INSERT', 'CREATE TABLE strangers_own.plain (id int, account int REFERENCES strangers.account ON DELETE SET NULL);
    CREATE TRIGGER t AFTER INSERT ON strangers_own.plain FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TABLE strangers_own.plain');
CALL strangers.try('AFTER UPDATE of ON UPDATE', 'CREATE TABLE strangers_own.unique (account int UNIQUE REFERENCES strangers.account ON DELETE SET NULL);
    CREATE TABLE strangers_own.follows (account int REFERENCES strangers_own.unique (account) ON UPDATE CASCADE);
    INSERT INTO strangers_own.unique VALUES (1); INSERT INTO strangers_own.follows VALUES (1);
    CREATE TRIGGER t AFTER UPDATE ON strangers_own.follows FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TABLE strangers_own.follows, strangers_own.unique');
-- Not triggers: the expression of an index, which an internal trigger computes again. It conflicts as its owner only.
SET ROLE regress_strangers_mallory;
CREATE FUNCTION strangers_own.ran() RETURNS int LANGUAGE sql AS $$ INSERT INTO strangers.ran VALUES (current_user, 'expression') RETURNING 999 $$;
CREATE FUNCTION strangers_own.expression(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'regress_strangers_mallory' THEN
        RETURN strangers_own.ran();
    END IF;
    RETURN coalesce($1, 0);
END $$;
RESET ROLE;
CALL strangers.try('EXCLUDE of an expression', 'CREATE TABLE strangers_own.excludes (account int REFERENCES strangers.account ON DELETE SET NULL,
    EXCLUDE ((strangers_own.expression(account)) WITH =) DEFERRABLE); INSERT INTO strangers_own.excludes VALUES (1), (NULL)', 'DROP TABLE strangers_own.excludes');
CALL strangers.try('EXCLUDE of a column', 'CREATE TABLE strangers_own.excludes (account int REFERENCES strangers.account ON DELETE SET NULL,
    EXCLUDE (account WITH =) DEFERRABLE); INSERT INTO strangers_own.excludes VALUES (1), (NULL)', 'DROP TABLE strangers_own.excludes');
-- BEFORE triggers run as the owner of their own table.
CALL strangers.try('BEFORE UPDATE', 'CREATE TRIGGER t BEFORE UPDATE ON strangers_own.nulls_1 FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', 'DROP TRIGGER t ON strangers_own.nulls_1');
CALL strangers.try('disabled', 'CREATE TRIGGER t AFTER UPDATE ON strangers_own.nulls FOR EACH ROW EXECUTE FUNCTION strangers_own.code(); ALTER TABLE strangers_own.nulls DISABLE TRIGGER t', 'DROP TRIGGER t ON strangers_own.nulls');

SELECT trigger, way, result, ran, eve FROM strangers.result ORDER BY n;

-- A BEFORE trigger, which runs as its own owner, makes one that would not: for the next row of its table, or of one that waits.
SET ROLE regress_strangers_mallory;
CREATE TABLE strangers_own.late (id int PRIMARY KEY, account int REFERENCES strangers.account);
CREATE FUNCTION strangers_own.make_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'made') THEN
        EXECUTE format('CREATE TRIGGER made AFTER DELETE ON %I.%I FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', TG_TABLE_SCHEMA, TG_ARGV[0]);
    END IF;
    RETURN OLD;
END $$;
RESET ROLE;
SELECT taskapi.expose('strangers_own.late', 'strangers_api', 'late') \g /dev/null
GRANT UPDATE, SELECT, DELETE ON strangers_own.late TO regress_strangers_mallory;
TRUNCATE strangers.ran;
CREATE PROCEDURE strangers.late(on_delete text, made_on text, accounts int[]) LANGUAGE plpgsql AS $$
DECLARE
    result text := 'purged';
BEGIN
    SET LOCAL ROLE regress_strangers_mallory;
    EXECUTE format('ALTER TABLE strangers_own.late DROP CONSTRAINT late_account_fkey,
                    ADD CONSTRAINT late_account_fkey FOREIGN KEY (account) REFERENCES strangers.account %s', on_delete);
    EXECUTE format('CREATE TRIGGER make BEFORE DELETE ON strangers_own.late FOR EACH ROW EXECUTE FUNCTION strangers_own.make_trigger(%L)', made_on);
    RESET ROLE;
    INSERT INTO strangers.account VALUES (101), (102);
    INSERT INTO strangers_own.late VALUES (1, 101), (2, 101), (3, 102), (4, 102);
    UPDATE strangers_own.late SET deleted_at = now() - interval '50 days', deletion_id = '018f0000-0000-7000-8000-000000000001';
    UPDATE strangers.account SET deleted_at = now() - interval '50 days', deletion_id = '018f0000-0000-7000-8000-000000000001' WHERE id > 100;
    BEGIN
        DELETE FROM strangers_api.deleted_account WHERE id = ANY (accounts);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    END;
    RAISE WARNING '%, trigger made on %: %; ran as: %', on_delete, made_on, result, (SELECT string_agg(DISTINCT role, ' ') FROM strangers.ran);
    ROLLBACK;
END $$;
CALL strangers.late('', 'late', '{101}');
CALL strangers.late('ON DELETE CASCADE', 'late', '{101,102}');

-- Between two statements of referential integrity, of two keys that refer to one row: the second would queue it.
SET ROLE regress_strangers_mallory;
CREATE TABLE strangers_own.twice (id int PRIMARY KEY, one int REFERENCES strangers.account ON DELETE CASCADE,
    other int REFERENCES strangers.account ON DELETE CASCADE);
CREATE TRIGGER make BEFORE DELETE ON strangers_own.twice FOR EACH ROW EXECUTE FUNCTION strangers_own.make_trigger('twice');
RESET ROLE;
SELECT taskapi.expose('strangers_own.twice', 'strangers_api', 'twice') \g /dev/null
CREATE PROCEDURE strangers.twice(accounts int[]) LANGUAGE plpgsql AS $$
DECLARE
    result text := 'purged';
BEGIN
    INSERT INTO strangers.account VALUES (103), (104);
    INSERT INTO strangers_own.twice VALUES (1, 103, NULL), (2, NULL, 103);
    UPDATE strangers_own.twice SET deleted_at = now() - interval '50 days';
    UPDATE strangers.account SET deleted_at = now() - interval '50 days' WHERE id > 102;
    BEGIN
        DELETE FROM strangers_api.deleted_account WHERE id = ANY (accounts);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    END;
    RAISE WARNING 'two keys: %; ran as: %; rows left: %', result, (SELECT string_agg(DISTINCT role, ' ') FROM strangers.ran),
        (SELECT count(*) FROM strangers_own.twice);
    ROLLBACK;
END $$;
CALL strangers.twice('{103}');
-- nor if the code that made the trigger catches the refusal
CREATE OR REPLACE FUNCTION strangers_own.make_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'made') THEN
        BEGIN
            EXECUTE format('CREATE TRIGGER made AFTER DELETE ON %I.%I FOR EACH ROW EXECUTE FUNCTION strangers_own.code()', TG_TABLE_SCHEMA, TG_ARGV[0]);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'caught';
        END;
    END IF;
    RETURN OLD;
END $$;
CALL strangers.twice('{103}');
-- nor by putting its function into the place of one of ours, which is queued: then no query need start before it runs
SET ROLE regress_strangers_mallory;
CREATE TABLE strangers_own.first (id int PRIMARY KEY, account int REFERENCES strangers.account ON DELETE SET NULL);
CREATE TABLE strangers_own.second (id int PRIMARY KEY, account int REFERENCES strangers.account ON DELETE SET NULL);
CREATE TRIGGER ours AFTER UPDATE ON strangers_own.first FOR EACH ROW EXECUTE FUNCTION taskapi.resource_publish();
CREATE FUNCTION strangers_own.command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'runs as %', current_user;
    CREATE ROLE regress_strangers_made;
    RETURN NULL;
END $$;
CREATE FUNCTION strangers_own.replace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CREATE OR REPLACE TRIGGER ours AFTER UPDATE ON strangers_own.first FOR EACH ROW EXECUTE FUNCTION strangers_own.command();
    RETURN NEW;
END $$;
CREATE FUNCTION strangers_own.replace_and_catch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        CREATE OR REPLACE TRIGGER ours AFTER UPDATE ON strangers_own.first FOR EACH ROW EXECUTE FUNCTION strangers_own.command();
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'caught';
    END;
    RETURN NEW;
END $$;
RESET ROLE;
CREATE PROCEDURE strangers.replace(by text) LANGUAGE plpgsql AS $$
DECLARE
    result text := 'purged';
BEGIN
    SET LOCAL ROLE regress_strangers_mallory;
    EXECUTE format('CREATE TRIGGER replace BEFORE UPDATE ON strangers_own.second FOR EACH ROW EXECUTE FUNCTION strangers_own.%I()', by);
    RESET ROLE;
    INSERT INTO strangers.account VALUES (105);
    INSERT INTO strangers_own.first VALUES (1, 105);
    INSERT INTO strangers_own.second VALUES (1, 105);
    UPDATE strangers.account SET deleted_at = now() - interval '50 days' WHERE id = 105;
    BEGIN
        DELETE FROM strangers_api.deleted_account WHERE id = 105;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS result = PG_EXCEPTION_DETAIL;
    END;
    RAISE WARNING '%: %; role made: %', by, result, EXISTS (SELECT FROM pg_roles WHERE rolname = 'regress_strangers_made');
    ROLLBACK;
END $$;
CALL strangers.replace('replace');
CALL strangers.replace('replace_and_catch');
-- what is watched has ended with the error
BEGIN;
SELECT count(*) FROM strangers.account;
COMMIT;
SET client_min_messages = error;
DROP SCHEMA strangers_own, strangers_api, strangers CASCADE;
DROP ROLE regress_strangers_mallory, regress_strangers_client, regress_strangers_eve;
