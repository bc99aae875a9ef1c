-- A purge that is the caller's own DELETE, since that runs nothing, removes and refuses what one with the owner's rights does.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE pp_owner;
CREATE ROLE pp_user;
CREATE SCHEMA pp;
CREATE SCHEMA pp_api;
GRANT USAGE ON SCHEMA pp, pp_api TO pp_owner, pp_user;
-- The same table three times; a trigger that does nothing, or a table that refers to it, makes the purge one with the owner's rights.
CREATE TABLE pp.plain (id int PRIMARY KEY, who text DEFAULT 'pp_user', n int);
CREATE TABLE pp.fires (LIKE pp.plain INCLUDING ALL);
CREATE TABLE pp.referred (LIKE pp.plain INCLUDING ALL);
CREATE TABLE pp.refers (id int PRIMARY KEY, r int REFERENCES pp.referred);
CREATE INDEX ON pp.refers (r);
CREATE FUNCTION pp.pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE TRIGGER pass BEFORE DELETE ON pp.fires FOR EACH ROW EXECUTE FUNCTION pp.pass();
SELECT taskapi.expose('pp.' || t, 'pp_api') FROM unnest('{plain,fires,referred}'::text[]) t \g /dev/null
SELECT taskapi.grant_resource('pp_api.' || t, 'pp_user', '{read,read_deleted,delete,purge}') FROM unnest('{plain,fires,referred}'::text[]) t \g /dev/null
CREATE FUNCTION pp.fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{plain,fires,referred}'::text[] LOOP
        EXECUTE format('DELETE FROM pp.%1$I; INSERT INTO pp.%1$I (id, who, n) SELECT i, CASE WHEN i %% 3 = 0 THEN ''other'' ELSE ''pp_user'' END, i'
            ' FROM generate_series(1, 9) i; UPDATE pp.%1$I SET deleted_at = now(), deletion_id = taskapi.uuidv7() WHERE id < 8', t);
    END LOOP;
END $$;
-- Runs a statement on each of them as a role and reports what came of it; all have to be the same.
CREATE PROCEDURE pp.try(what text, statement text, role text DEFAULT 'pp_user', method text DEFAULT '', headers text DEFAULT '') LANGUAGE plpgsql AS $$
DECLARE
    t text;
    result text;
    results text[] := '{}';
    gone text;
BEGIN
    FOREACH t IN ARRAY '{plain,fires,referred}'::text[] LOOP
        PERFORM pp.fill();
        BEGIN
            PERFORM set_config('request.method', method, true), set_config('request.headers', headers, true), set_config('role', role, true);
            EXECUTE format('WITH d AS (' || statement || ' RETURNING id) SELECT string_agg(id::text, '' '' ORDER BY id) FROM d', t) INTO result;
            result := format('told of %s', coalesce(result, 'none'));
        EXCEPTION WHEN OTHERS THEN
            result := replace(SQLERRM, t, 'x');
        END;
        PERFORM set_config('role', 'none', true), set_config('request.method', '', true), set_config('request.headers', '', true);
        EXECUTE format('SELECT string_agg(id::text, '' '' ORDER BY id) FROM pp.%I', t) INTO gone;
        results := results || format('%s, left: %s', result, gone);
    END LOOP;
    RAISE WARNING '%: %', what, results[1] || CASE WHEN results[1] = results[2] AND results[1] = results[3] THEN '' ELSE format(' BUT %s AND %s', results[2], results[3]) END;
END $$;
CALL pp.try('all', 'DELETE FROM pp_api.deleted_%I');
CALL pp.try('some', 'DELETE FROM pp_api.deleted_%I WHERE id IN (2, 4, 8)');
CALL pp.try('none', 'DELETE FROM pp_api.deleted_%I WHERE id > 7');
CALL pp.try('as DELETE says, with its version', 'DELETE FROM pp_api.deleted_%I WHERE id = 2', method => 'DELETE', headers => '{"if-match": "\"2\""}');
CALL pp.try('and with another', 'DELETE FROM pp_api.deleted_%I WHERE id = 2', method => 'DELETE', headers => '{"if-match": "\"1\""}');
CALL pp.try('twice', 'DELETE FROM pp_api.deleted_%1$I USING generate_series(1, 2) g WHERE id < 4');
CALL pp.try('and of the owner', 'DELETE FROM pp_api.deleted_%I WHERE id = 1', role => 'none');
-- Privileges.
REVOKE DELETE ON pp.plain, pp.fires, pp.referred FROM pp_user;
CALL pp.try('without DELETE on the table', 'DELETE FROM pp_api.deleted_%I');
GRANT DELETE ON pp.plain, pp.fires, pp.referred TO pp_user;
REVOKE SELECT (deleted_at) ON pp.plain, pp.fires, pp.referred FROM pp_user;
CALL pp.try('without SELECT on deleted_at', 'DELETE FROM pp_api.deleted_%I WHERE id = 1');
GRANT SELECT (deleted_at) ON pp.plain, pp.fires, pp.referred TO pp_user;
-- Policies.
ALTER TABLE pp.plain ENABLE ROW LEVEL SECURITY;
ALTER TABLE pp.fires ENABLE ROW LEVEL SECURITY;
ALTER TABLE pp.referred ENABLE ROW LEVEL SECURITY;
CALL pp.try('no policy', 'DELETE FROM pp_api.deleted_%I');
CREATE POLICY sees ON pp.plain FOR SELECT TO pp_user USING (n <> 4);
CREATE POLICY sees ON pp.fires FOR SELECT TO pp_user USING (n <> 4);
CREATE POLICY sees ON pp.referred FOR SELECT TO pp_user USING (n <> 4);
CALL pp.try('rows to read only', 'DELETE FROM pp_api.deleted_%I');
CREATE POLICY deletes ON pp.plain FOR DELETE TO pp_user USING (who = current_user);
CREATE POLICY deletes ON pp.fires FOR DELETE TO pp_user USING (who = current_user);
CREATE POLICY deletes ON pp.referred FOR DELETE TO pp_user USING (who = current_user);
CALL pp.try('own rows', 'DELETE FROM pp_api.deleted_%I');
CALL pp.try('those of others', 'DELETE FROM pp_api.deleted_%I WHERE id %% 3 = 0');
CALL pp.try('one that is not seen', 'DELETE FROM pp_api.deleted_%I WHERE id = 4');
-- A trigger that comes while the rows are purged is asked for by the next row, with the owner's rights as ever.
CREATE FUNCTION pp.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% goes, by %', OLD.id, current_user; RETURN OLD; END $$;
CREATE FUNCTION pp.add(id int) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF id = 1 AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'late') THEN
        CREATE TRIGGER late BEFORE DELETE ON pp.plain FOR EACH ROW EXECUTE FUNCTION pp.note();
    END IF;
    RETURN true;
END $$;
SELECT pp.fill();
CREATE POLICY adds ON pp.plain AS RESTRICTIVE FOR DELETE TO pp_user USING (pp.add(id));
ALTER TABLE pp.plain OWNER TO pp_owner;
GRANT EXECUTE ON FUNCTION pp.note() TO pp_owner;
SET ROLE pp_user;
DELETE FROM pp_api.deleted_plain WHERE id < 3 RETURNING id;
RESET ROLE;
DROP SCHEMA pp_api, pp CASCADE;
DROP ROLE pp_owner, pp_user;
