-- index_values(): what a query says, whatever the visibility of the rows, of a table that its caller may read whole, and of a fitting index alone.
CREATE SCHEMA regress_values;
SET search_path = regress_values;
CREATE FUNCTION u(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(n::text)::uuid $$;
CREATE TABLE member (who uuid, what uuid, role text, other uuid, n int);
INSERT INTO member SELECT u(n % 10), CASE WHEN n % 7 > 0 THEN u(n) END, CASE WHEN n % 3 = 0 THEN 'owner' ELSE 'viewer' END, u(n), n FROM generate_series(1, 2000) n;
CREATE INDEX by_who ON member (who, what);
CREATE INDEX owners ON member (who, what) WHERE role = 'owner';
CREATE INDEX wide ON member (who, what DESC NULLS FIRST, n) INCLUDE (role);
-- Keys for which an index and a query differ.
CREATE FUNCTION wrong(index regclass, condition text DEFAULT 'true') RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE result bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM generate_series(0, 11) k WHERE (SELECT array_agg(v ORDER BY v) FROM unnest(taskapi.index_values($1, regress_values.u(k))) v)
        IS DISTINCT FROM (SELECT array_agg(m.what ORDER BY m.what) FROM regress_values.member m WHERE m.who = regress_values.u(k) AND m.what IS NOT NULL AND %s)', condition) INTO result USING index;
    RETURN result;
END $$;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner'''), wrong('wide'), taskapi.index_values('by_who', u(99)) AS nobody, taskapi.index_values('by_who', NULL) IS NULL AS of_null;
SELECT taskapi.index_values('by_who', u(3)) = (SELECT array_agg(what ORDER BY what) FROM member WHERE who = u(3) AND what IS NOT NULL) AS in_order;
-- rows that are not visible: deleted, of a rolled back transaction, updated in and out of the predicate, in this transaction and before, vacuumed or not
VACUUM member;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner''');
BEGIN;
DELETE FROM member WHERE n % 5 = 0;
UPDATE member SET role = 'owner' WHERE n % 4 = 0;
UPDATE member SET n = n + 1 WHERE n % 11 = 0;
INSERT INTO member SELECT u(11), u(n), 'owner', u(n), n FROM generate_series(1, 100) n;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner'''), wrong('wide'), cardinality(taskapi.index_values('by_who', u(11))) AS own_rows;
ROLLBACK;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner'''), wrong('wide'), cardinality(taskapi.index_values('by_who', u(11))) AS own_rows;
DELETE FROM member WHERE n % 5 = 0;
UPDATE member SET role = 'viewer' WHERE n % 4 = 0;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner'''), wrong('wide');
VACUUM member;
SELECT wrong('by_who'), wrong('owners', 'role = ''owner'''), wrong('wide');
-- a snapshot of an older transaction is honoured
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT cardinality(taskapi.index_values('by_who', u(3))) > 0 AS some;
COMMIT;
-- no other index, and nothing else
CREATE INDEX hashed ON member USING hash (who);
CREATE INDEX one_column ON member (who);
CREATE INDEX included ON member (who) INCLUDE (what);
CREATE INDEX expression ON member ((coalesce(who, what)), what);
CREATE INDEX text_first ON member (role, what);
CREATE INDEX text_second ON member (who, role);
CREATE TABLE parts (who uuid, what uuid) PARTITION BY HASH (who);
CREATE INDEX of_parts ON parts (who, what);
SELECT taskapi.index_values('hashed', u(1));
SELECT taskapi.index_values('one_column', u(1));
SELECT taskapi.index_values('included', u(1));
SELECT taskapi.index_values('expression', u(1));
SELECT taskapi.index_values('text_first', u(1));
SELECT taskapi.index_values('text_second', u(1));
SELECT taskapi.index_values('of_parts', u(1));
SELECT taskapi.index_values('member', u(1));
\set VERBOSITY sqlstate
SELECT taskapi.index_values(0::regclass, u(1));
\set VERBOSITY default
-- a caller without SELECT, of some columns, under row-level security; in a function of the owner's
CREATE ROLE regress_values_user;
GRANT USAGE ON SCHEMA regress_values TO regress_values_user;
CREATE FUNCTION mine() RETURNS uuid[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT taskapi.index_values('regress_values.by_who', regress_values.u(3)) $$;
SET ROLE regress_values_user;
SELECT taskapi.index_values('by_who', md5('3')::uuid);
RESET ROLE;
GRANT SELECT (who, what) ON member TO regress_values_user;
SET ROLE regress_values_user;
SELECT taskapi.index_values('by_who', md5('3')::uuid);
RESET ROLE;
GRANT SELECT ON member TO regress_values_user;
SET ROLE regress_values_user;
SELECT cardinality(taskapi.index_values('by_who', md5('3')::uuid)) > 0 AS some;
RESET ROLE;
ALTER TABLE member ENABLE ROW LEVEL SECURITY;
SET ROLE regress_values_user;
SELECT taskapi.index_values('by_who', md5('3')::uuid);
SELECT cardinality(mine()) > 0 AS some;
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA regress_values CASCADE;
DROP ROLE regress_values_user;
