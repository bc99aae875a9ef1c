-- A token of the change feed expires if what the table's policies answer may have changed, wherever that was: in a function, a view, another table's policies, or a role that reads there.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_feed_reader;
CREATE ROLE regress_feed_definer;
CREATE ROLE regress_feed_staff;
CREATE SCHEMA lookup;
GRANT USAGE ON SCHEMA lookup TO regress_feed_reader, regress_feed_definer;

CREATE TABLE lookup.member (name text, doc int);
CREATE TABLE lookup.seal (doc int);
INSERT INTO lookup.member VALUES ('regress_feed_reader', 1), ('regress_feed_reader', 2);
GRANT SELECT ON lookup.member, lookup.seal TO regress_feed_reader, regress_feed_definer;
ALTER TABLE lookup.member ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON lookup.member FOR SELECT USING (name = 'regress_feed_reader');

-- a policy, that calls a function, that reads a view, that reads a table with policies
CREATE VIEW lookup.mine AS SELECT m.doc FROM lookup.member m;
ALTER VIEW lookup.mine OWNER TO regress_feed_definer;
GRANT SELECT ON lookup.mine TO regress_feed_reader;
CREATE FUNCTION lookup.may_see(doc int) RETURNS boolean LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT EXISTS (SELECT FROM lookup.mine m WHERE m.doc = $1); END;
-- one by an operator, and one whose body is a string
CREATE FUNCTION lookup.is_sealed(doc int, kind text) RETURNS boolean LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN EXISTS (SELECT FROM lookup.seal s WHERE s.doc = $1); END';
CREATE OPERATOR lookup.?! (FUNCTION = lookup.is_sealed, LEFTARG = int, RIGHTARG = text);
CREATE TABLE lookup.doc (id int PRIMARY KEY, note text);
INSERT INTO lookup.doc VALUES (1), (2), (3);
ALTER TABLE lookup.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON lookup.doc FOR SELECT USING ((SELECT lookup.may_see(id)) AND NOT id OPERATOR(lookup.?!) 'wax');
SELECT taskapi.expose('lookup.doc', 'lookup', 'docs', changes => true);
SELECT taskapi.grant_resource('lookup.docs', 'regress_feed_reader', '{read}');

-- The ids that the reader has of a walk from the beginning; the token is kept.
CREATE TABLE lookup.token (token text);
GRANT ALL ON lookup.token TO regress_feed_reader;
CREATE FUNCTION lookup.walk() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page taskapi.changes_result;
BEGIN
    SET ROLE regress_feed_reader;
    page := lookup.docs_changes();
    DELETE FROM lookup.token;
    INSERT INTO lookup.token VALUES (page.next_page_token);
    RESET ROLE;
    RETURN (SELECT string_agg(i ->> 'id', ' ' ORDER BY i ->> 'id') FROM json_array_elements(page.items) i);
END
$$;
-- What the token says after a statement, and what a new walk has then.
CREATE FUNCTION lookup.after(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text := 'goes on';
BEGIN
    EXECUTE statement;
    SET ROLE regress_feed_reader;
    BEGIN
        PERFORM lookup.docs_changes((SELECT t.token FROM lookup.token t));
    EXCEPTION WHEN SQLSTATE 'PT410' THEN
        said := 'expired';
    END;
    RESET ROLE;
    RETURN said || ': ' || coalesce(lookup.walk(), 'nothing');
END
$$;
SELECT lookup.walk();
SELECT value AS before FROM taskapi.stats WHERE name = 'changes_expired' \gset
SELECT statement, lookup.after(statement) FROM (VALUES
    -- the other table's policies, and its row security
    (1, $$ALTER POLICY own ON lookup.member USING (name = 'regress_feed_reader' AND doc = 2)$$),
    (2, $$CREATE POLICY more ON lookup.member FOR SELECT TO regress_feed_staff USING (true)$$),
    -- who reads it there is the view's owner
    (3, $$INSERT INTO lookup.member VALUES ('of the staff', 3)$$),
    (4, $$GRANT regress_feed_staff TO regress_feed_definer$$),
    (5, $$REVOKE regress_feed_staff FROM regress_feed_definer$$),
    (6, $$ALTER ROLE regress_feed_definer BYPASSRLS$$),
    (7, $$ALTER ROLE regress_feed_definer NOBYPASSRLS$$),
    (8, $$ALTER TABLE lookup.member DISABLE ROW LEVEL SECURITY$$),
    (9, $$ALTER TABLE lookup.member ENABLE ROW LEVEL SECURITY$$),
    (10, $$DROP POLICY more ON lookup.member$$),
    (11, $$DROP POLICY own ON lookup.member$$),
    (12, $$CREATE POLICY own ON lookup.member FOR SELECT USING (name = 'regress_feed_reader')$$),
    (13, $$GRANT regress_feed_staff TO regress_feed_definer$$),
    -- the view, and whom it reads for
    (14, $$CREATE OR REPLACE VIEW lookup.mine AS SELECT m.doc FROM lookup.member m WHERE m.doc > 1$$),
    (15, $$ALTER VIEW lookup.mine SET (security_invoker = true)$$),
    (16, $$ALTER VIEW lookup.mine OWNER TO regress_feed_staff$$),
    -- functions
    (17, $$CREATE OR REPLACE FUNCTION lookup.may_see(doc int) RETURNS boolean LANGUAGE sql STABLE RETURN doc < 3$$),
    (18, $$ALTER FUNCTION lookup.may_see(int) SET regress.anything = 1$$),
    (19, $$ALTER FUNCTION lookup.may_see(int) SECURITY DEFINER$$),
    (20, $$CREATE OR REPLACE FUNCTION lookup.is_sealed(doc int, kind text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN doc = 1; END'$$),
    -- what changes no answer
    (21, $$GRANT EXECUTE ON FUNCTION lookup.may_see(int) TO regress_feed_staff$$),
    (22, $$COMMENT ON FUNCTION lookup.may_see(int) IS 'yes'; CREATE FUNCTION lookup.other() RETURNS int LANGUAGE sql RETURN 1$$),
    (23, $$CREATE POLICY all_of_it ON lookup.seal USING (true); ALTER TABLE lookup.member SET (fillfactor = 90)$$),
    (24, $$CREATE POLICY written ON lookup.member FOR INSERT WITH CHECK (true)$$)) AS s (n, statement) ORDER BY n;
-- each is counted
SELECT value - :before AS expired FROM taskapi.stats WHERE name = 'changes_expired';

-- What the string of a body names does not show. The departures cut away, all tokens expire.
CREATE OR REPLACE FUNCTION lookup.is_sealed(doc int, kind text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM lookup.seal s WHERE s.doc = $1); END';
INSERT INTO lookup.seal VALUES (1);
SELECT lookup.walk();
SELECT statement, lookup.after(statement) FROM (VALUES
    (1, $$ALTER TABLE lookup.seal ENABLE ROW LEVEL SECURITY; DROP POLICY all_of_it ON lookup.seal$$),
    (2, $$TRUNCATE lookup.doc_departures$$)) AS s (n, statement) ORDER BY n;

-- A loop ends.
CREATE OR REPLACE FUNCTION lookup.may_see(doc int) RETURNS boolean LANGUAGE sql STABLE
    BEGIN ATOMIC SELECT CASE WHEN $1 > 9 THEN EXISTS (SELECT FROM lookup.doc d WHERE d.id = $1) ELSE true END; END;
SELECT lookup.after('SELECT');

DROP SCHEMA lookup CASCADE;
DROP ROLE regress_feed_reader, regress_feed_definer, regress_feed_staff;
