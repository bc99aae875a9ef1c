-- A resource holds what is written to the CHECK constraints that its table has at that moment, as the table itself does, however these
-- and what they call have changed since the statement before.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA regress_checks;
CREATE SCHEMA regress_checks_api;
SET search_path = regress_checks, public;
CREATE TABLE held (id int PRIMARY KEY, a int CHECK (a > 0), b text CHECK (length(b) <= 3), c varchar(10), d int[]);
CREATE TABLE twin (LIKE held INCLUDING ALL);
SELECT taskapi.expose('regress_checks.held', 'regress_checks_api', soft_delete => false, versioned => false) IS NOT NULL AS exposed;

-- What the table says, and what the resource says, of the same rows; they must agree on which constraint refuses a row.
CREATE FUNCTION answer(target text, a int, b text, c text, d int[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    said text;
BEGIN
    EXECUTE format('INSERT INTO %s (id, a, b, c, d) VALUES (1, $1, $2, $3, $4)', target) USING a, b, c, d;
    EXECUTE format('UPDATE %s SET a = a - 1', target);
    RAISE EXCEPTION USING ERRCODE = 'UNDO0';
EXCEPTION
    WHEN SQLSTATE 'UNDO0' THEN
        RETURN 'taken';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME, said = PG_EXCEPTION_DETAIL;
        RETURN coalesce(substring(replace(name || said, 'twin_', 'held_') FROM '(held_[a-z]+_check|by_[a-z]+)'), 'another error');
END
$$;
CREATE FUNCTION compare(what text) RETURNS text LANGUAGE sql AS $$
    SELECT what || ': ' || coalesce(string_agg(format('%s %s %s %s: %s, %s', a, b, c, d, ours, servers), '; ') FILTER (WHERE ours <> servers), 'same')
           || '; ' || string_agg(DISTINCT servers, ', ')
    FROM (SELECT *, answer('regress_checks_api.held', a, b, c, d) AS ours, answer('twin', a, b, c, d) AS servers
          FROM unnest(ARRAY[-1, 1, 2, 3, 7, 50, NULL]) a, unnest(ARRAY['abc', 'abcd', NULL]) b, unnest(ARRAY['x', 'yyyyy']) c,
               (VALUES ('{1,2}'::int[]), ('{}'), (NULL)) e (d)) r
$$;
CREATE PROCEDURE change(statement text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(statement, 'held');
    EXECUTE format(statement, 'twin');
END
$$;
SELECT compare('as they were made');
CALL change('ALTER TABLE %I ADD CONSTRAINT by_length CHECK (c <> ''yyyyy'')');
SELECT compare('one more');
CALL change('ALTER TABLE %I DROP CONSTRAINT by_length');
SELECT compare('one less');
CALL change('ALTER TABLE %I DROP CONSTRAINT held_a_check, ADD CONSTRAINT by_size CHECK (a < 40)');
SELECT compare('another in place of one');
CALL change('ALTER TABLE %I ADD COLUMN e int DEFAULT 5 CONSTRAINT by_default CHECK (e < 5)');
SELECT compare('a column more');
CALL change('ALTER TABLE %I ALTER e SET DEFAULT 4');
CALL change('ALTER TABLE %I ALTER e TYPE numeric');
SELECT compare('another type');
CALL change('ALTER TABLE %I DROP COLUMN e, ADD CONSTRAINT by_many CHECK (cardinality(d) < 2 AND length(c) < 5) NOT VALID');
SELECT compare('a column less');

-- Functions and domains of others, that change behind the same text
CREATE FUNCTION small(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 5';
CALL change('ALTER TABLE %I ADD CONSTRAINT by_function CHECK (small(a))');
SELECT compare('a function');
CREATE OR REPLACE FUNCTION small(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 2';
SELECT compare('another function');
CREATE DOMAIN size AS int CHECK (VALUE < 30);
CALL change('ALTER TABLE %I DROP CONSTRAINT by_function, ADD CONSTRAINT by_domain CHECK (a::size IS NOT NULL)');
SELECT compare('a domain');
ALTER DOMAIN size ADD CHECK (VALUE < 3);
SELECT compare('another domain');
CALL change('ALTER TABLE %I DROP CONSTRAINT by_domain');

-- In one transaction, and undone
BEGIN;
SELECT compare('before');
SAVEPOINT s;
CALL change('ALTER TABLE %I ADD CONSTRAINT by_now CHECK (a <> 7)');
SELECT compare('in a savepoint');
ROLLBACK TO s;
SELECT compare('undone');
COMMIT;

-- In the middle of a statement: a trigger that alters the constraints of another resource's table
CREATE TABLE outer_ (id int PRIMARY KEY, n int CHECK (n < 100));
SELECT taskapi.expose('regress_checks.outer_', 'regress_checks_api', soft_delete => false, versioned => false) IS NOT NULL AS exposed;
CREATE FUNCTION write_others() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 70 LOOP
        EXECUTE format('ALTER TABLE held DROP CONSTRAINT IF EXISTS by_turn, ADD CONSTRAINT by_turn CHECK (a <> %s)', 1000 + i);
        EXECUTE format('INSERT INTO regress_checks_api.held (id, a, b, c) VALUES (%s, 2, ''b'', ''x'')', NEW.id * 100 + i);
    END LOOP;
    RETURN NEW;
END
$$;
CREATE TRIGGER write_others BEFORE INSERT ON outer_ FOR EACH ROW EXECUTE FUNCTION write_others();
INSERT INTO regress_checks_api.outer_ VALUES (1, 1), (2, 99);
INSERT INTO regress_checks_api.outer_ VALUES (3, 1), (4, 100);
SELECT count(*) FROM outer_;
SELECT count(*) FROM held;

-- More tables than are kept, each with a constraint of its own, twice
DO $$
DECLARE
    n int := 0;
BEGIN
    FOR i IN 1 .. 70 LOOP
        EXECUTE format('CREATE TABLE many%s (id int PRIMARY KEY CHECK (id <> %s))', i, i);
        PERFORM taskapi.expose(format('many%s', i)::regclass, 'regress_checks_api', soft_delete => false, versioned => false);
    END LOOP;
    FOR turn IN 1 .. 2 LOOP
        FOR i IN 1 .. 70 LOOP
            EXECUTE format('INSERT INTO regress_checks_api.many%s SELECT g FROM generate_series(1, 70) g WHERE g <> %s AND g %% 2 = %s', i, i, turn - 1);
            BEGIN
                EXECUTE format('INSERT INTO regress_checks_api.many%s VALUES (%s)', i, i);
            EXCEPTION WHEN OTHERS THEN
                n := n + 1;
            END;
        END LOOP;
    END LOOP;
    RAISE WARNING '% refused', n;
END
$$;

-- Rows are what the constraints are for: who has none to check is not told of them.
CREATE TABLE odd (id int PRIMARY KEY, v int, CHECK (v > 1 / 0));
CREATE TABLE odd_twin (LIKE odd INCLUDING ALL);
SELECT taskapi.expose('odd', 'regress_checks_api', soft_delete => false, versioned => false) IS NOT NULL AS exposed;
UPDATE odd_twin SET v = 1;
UPDATE regress_checks_api.odd SET v = 1;
INSERT INTO odd_twin VALUES (1, 1);
INSERT INTO regress_checks_api.odd VALUES (1, 1);
SET client_min_messages = error;
DROP SCHEMA regress_checks, regress_checks_api CASCADE;
