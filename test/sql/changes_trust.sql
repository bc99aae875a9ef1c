-- The change feed takes no value for what it is not: whoever owns the tables may change them while a request looks at them.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_feed_owner;
CREATE ROLE regress_feed_guest;
CREATE SCHEMA trust AUTHORIZATION regress_feed_owner;
GRANT USAGE ON SCHEMA trust TO regress_feed_guest;
SET ROLE regress_feed_owner;

-- What the owner does while a request is under way: the scope's function does it.
CREATE TABLE trust.trick (statement text);
CREATE FUNCTION trust.play() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    tricks text[];
BEGIN
    WITH played AS (DELETE FROM trust.trick RETURNING statement) SELECT array_agg(statement) INTO tricks FROM played;
    FOR i IN 1 .. coalesce(cardinality(tricks), 0) LOOP
        EXECUTE tricks[i];
    END LOOP;
    RETURN true;
END
$$;
CREATE FUNCTION trust.scope() RETURNS int[] LANGUAGE sql VOLATILE SECURITY DEFINER AS $$SELECT CASE WHEN trust.play() THEN '{1}'::int[] END$$;
CREATE FUNCTION trust.asks(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN trust.play(); END';

-- A table for each trick, with a row that has left and one that is there.
CREATE FUNCTION trust.make(name text, scope text, policy text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token text;
BEGIN
    EXECUTE format('CREATE TABLE trust.%I (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), g int NOT NULL DEFAULT 1, n int8 DEFAULT 12345678)', name);
    EXECUTE format('ALTER TABLE trust.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY p ON trust.%I USING (%s)', name, policy);
    PERFORM taskapi.expose(format('trust.%I', name)::regclass, api_schema => 'trust', resource => (name || 's')::name, soft_delete => false,
                           versioned => false, idempotent => false, changes => true, scope => scope);
    PERFORM taskapi.grant_resource(format('trust.%I', name || 's')::regclass, 'regress_feed_guest', '{read}');
    EXECUTE format('GRANT EXECUTE ON FUNCTION trust.%I TO regress_feed_guest', name || 's_changes');
    EXECUTE format('ALTER TABLE trust.%I ADD taskapi_x int8 DEFAULT 12345678', name || '_departures');
    EXECUTE format('GRANT SELECT (taskapi_x) ON trust.%I TO regress_feed_guest', name || '_departures');
    EXECUTE format('INSERT INTO trust.%I DEFAULT VALUES', name);
    EXECUTE format('SELECT (trust.%I()).next_page_token', name || 's_changes') INTO token;
    RETURN token;
END
$$;

-- The key of a departure becomes a number, in the scope.
SELECT trust.make('key', 'g = ANY (trust.scope())', 'true') AS token \gset
DELETE FROM trust.key;
INSERT INTO trust.trick VALUES ('ALTER TABLE trust.key_departures RENAME id TO id_old; ALTER TABLE trust.key_departures RENAME taskapi_x TO id');
SELECT removed FROM trust.keys_changes(:'token');
TABLE trust.trick;
-- The key of a departure is NULL.
SELECT trust.make('nothing', 'g = ANY (trust.scope())', 'true') AS token \gset
DELETE FROM trust.nothing;
ALTER TABLE trust.nothing_departures ALTER id DROP NOT NULL;
UPDATE trust.nothing_departures SET id = NULL;
SELECT removed FROM trust.nothings_changes(:'token');
-- A column of the table becomes a text.
SELECT trust.make('kind', 'g = ANY (trust.scope())', 'true') AS token \gset
INSERT INTO trust.trick VALUES ('ALTER TABLE trust.kind RENAME n TO n_old; ALTER TABLE trust.kind ADD n text DEFAULT ''a text that is longer than a number''');
SELECT items FROM trust.kinds_changes();
DELETE FROM trust.trick;
-- The view gets wider.
SELECT trust.make('wide', 'g = ANY (trust.scope())', 'true') AS token \gset
INSERT INTO trust.trick SELECT format('CREATE OR REPLACE VIEW trust.wides AS SELECT %s, %s FROM trust.wide t',
    (SELECT string_agg(CASE WHEN a.attname IN ('id', 'g', 'n') THEN 't.' || a.attname ELSE format('NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname) END, ', ' ORDER BY attnum)
     FROM pg_attribute a WHERE a.attrelid = 'trust.wides'::regclass AND a.attnum > 0),
    (SELECT string_agg(format('%L::text AS x%s', i, i), ', ') FROM generate_series(1, 900) i));
SELECT left(items::text, 40) FROM trust.wides_changes();
DELETE FROM trust.trick;

-- The same from a policy, whose function the planner calls.
SELECT trust.make('policy', NULL, 'trust.asks(1)') AS token \gset
SET ROLE regress_feed_guest;
SELECT next_page_token AS token FROM trust.policys_changes() \gset
SET ROLE regress_feed_owner;
DELETE FROM trust.policy;
INSERT INTO trust.trick VALUES ('ALTER TABLE trust.policy_departures RENAME id TO id_old; ALTER TABLE trust.policy_departures RENAME taskapi_x TO id');
SET ROLE regress_feed_guest;
SELECT removed FROM trust.policys_changes(:'token');
SET ROLE regress_feed_owner;
DELETE FROM trust.trick;

-- Pruning reads stamps of others' tables.
SELECT trust.make('prune', NULL, 'true') IS NOT NULL AS made;
DELETE FROM trust.prune;
UPDATE trust.prune_departures SET taskapi_departed_at = '2000-01-01';
ALTER TABLE trust.prune_departures RENAME taskapi_stamp TO stamp_old;
ALTER TABLE trust.prune_departures ADD taskapi_stamp text DEFAULT 'a text that is longer than a number';
RESET ROLE;
\set VERBOSITY default
SELECT taskapi.prune_changes();
SET ROLE regress_feed_owner;
CREATE FUNCTION trust.lock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE lock_not_available USING MESSAGE = 'of a row'; END $$;
CREATE TRIGGER lock BEFORE DELETE ON trust.prune_departures FOR EACH ROW EXECUTE FUNCTION trust.lock();
RESET ROLE;
SELECT taskapi.prune_changes();
\set VERBOSITY terse
SET ROLE regress_feed_owner;
DROP TRIGGER lock ON trust.prune_departures;
-- What one owner spoils, and a trigger that leaves a row for each that goes, stop no run of maintain().
ALTER TABLE trust.prune_departures DROP taskapi_departed_at;
SELECT trust.make('again', NULL, 'true') IS NOT NULL AS made;
DELETE FROM trust.again;
UPDATE trust.again_departures SET taskapi_departed_at = '2000-01-01';
CREATE FUNCTION trust.again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO trust.again_departures VALUES (OLD.*); RETURN NULL; END';
CREATE TRIGGER again AFTER DELETE ON trust.again_departures FOR EACH ROW EXECUTE FUNCTION trust.again();
RESET ROLE;
SET statement_timeout = '3min';
SET client_min_messages = error;
CALL taskapi.maintain(1);
RESET statement_timeout;
SET client_min_messages = warning;
SELECT count(*), max(taskapi_stamp::text::numeric) = (SELECT pruned::text::numeric FROM taskapi.change_source WHERE source = 'trust.again'::regclass) AS pruned
    FROM trust.again_departures;
SELECT taskapi.prune_changes();

-- What the catalogs say of one feed is not taken for another's, whose entry stands at the same address: policies of "closed" were
-- altered, so that its departures are nobody's.
SET ROLE regress_feed_owner;
SELECT trust.make('open', NULL, 'g IS NOT NULL') IS NOT NULL AND trust.make('closed', NULL, 'g IS NOT NULL') IS NOT NULL AS made;
INSERT INTO trust.closed (g) VALUES (2), (3);
ALTER POLICY p ON trust.closed USING (g = current_setting('trust.g', true)::int);
\c -
\set VERBOSITY terse
SET trust.g = 1;
SET ROLE regress_feed_guest;
SELECT count(*) FROM trust.closeds;
SELECT count(*) FROM trust.opens_changes();
-- more statements than an entry keeps
\o /dev/null
\set ECHO none
SELECT format('SELECT 1 FROM trust.opens_changes(NULL, NULL, %L)', jsonb_build_object('g', jsonb_build_object(o, 1), 'n', jsonb_build_object(p, 2), 'id', jsonb_build_object(q, '9c2e5a52-7a0e-4c3c-8a5f-3f5c1d1f6a10'::uuid)))
    FROM unnest('{eq,gt,lt,gte,lte,neq}'::text[]) o, unnest('{eq,gt,lt,gte,lte,neq}'::text[]) p, unnest('{gt,lt}'::text[]) q LIMIT 64 \gexec
\set ECHO all
\o
SET ROLE regress_feed_owner;
INSERT INTO trust.opens (g) VALUES (1);
SET ROLE regress_feed_guest;
SELECT next_page_token AS token FROM trust.closeds_changes() \gset
RESET ROLE;
DELETE FROM trust.closed WHERE g = 2;
SET ROLE regress_feed_guest;
SELECT removed FROM trust.closeds_changes(:'token');
RESET ROLE;
SET client_min_messages = warning;

-- What a policy finds in a table that refers to the row goes with the row: then nobody is told, and whoever asks starts over.
SET ROLE regress_feed_owner;
CREATE TABLE trust.doc (id int PRIMARY KEY);
CREATE TABLE trust.hidden (doc_id int PRIMARY KEY REFERENCES trust.doc ON DELETE CASCADE);
GRANT SELECT ON trust.hidden TO regress_feed_guest;
ALTER TABLE trust.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON trust.doc USING (NOT EXISTS (SELECT FROM trust.hidden h WHERE h.doc_id = id));
SELECT taskapi.expose('trust.doc', 'trust', 'docs', soft_delete => false, versioned => false, idempotent => false, changes => true);
SELECT taskapi.grant_resource('trust.docs', 'regress_feed_guest', '{read}');
GRANT EXECUTE ON FUNCTION trust.docs_changes TO regress_feed_guest;
INSERT INTO trust.doc VALUES (1), (2);
INSERT INTO trust.hidden VALUES (2);
SET ROLE regress_feed_guest;
SELECT items::jsonb @> '[{"id":1}]' AS first, items::jsonb @> '[{"id":2}]' AS second, next_page_token AS token FROM trust.docs_changes() \gset
\echo :first :second
SET ROLE regress_feed_owner;
DELETE FROM trust.doc WHERE id = 2;
SET ROLE regress_feed_guest;
SELECT removed FROM trust.docs_changes(:'token');

-- Nor does the table of departures show what left under policies of before, by itself.
SET ROLE regress_feed_owner;
CREATE TABLE trust.note (id int PRIMARY KEY, g int NOT NULL DEFAULT 1);
SELECT taskapi.expose('trust.note', 'trust', 'notes', soft_delete => false, versioned => false, idempotent => false, changes => true);
SELECT taskapi.grant_resource('trust.notes', 'regress_feed_guest', '{read}');
INSERT INTO trust.note VALUES (1), (2);
DELETE FROM trust.note WHERE id = 1;
SET ROLE regress_feed_guest;
SELECT id FROM trust.note_departures;
SET ROLE regress_feed_owner;
ALTER TABLE trust.note ENABLE ROW LEVEL SECURITY;
DELETE FROM trust.note WHERE id = 2;
SET ROLE regress_feed_guest;
SELECT id FROM trust.note_departures;
SET ROLE regress_feed_owner;
CREATE POLICY p ON trust.note USING (g = 1);
SELECT taskapi.expose('trust.note', 'trust', 'notes', soft_delete => false, versioned => false, idempotent => false, changes => true);
RESET ROLE;
SELECT r.departures AS departures FROM taskapi.resource r WHERE r.source = 'trust.note'::regclass \gset
SET ROLE regress_feed_owner;
INSERT INTO trust.note VALUES (3), (4);
DELETE FROM trust.note WHERE id = 3;
SET ROLE regress_feed_guest;
SELECT id FROM :departures;
SET ROLE regress_feed_owner;
ALTER POLICY p ON trust.note USING (g = 2);
DELETE FROM trust.note WHERE id = 4;
SET ROLE regress_feed_guest;
SELECT id FROM :departures;

-- An owner who empties the table of departures ends its history.
SET ROLE regress_feed_owner;
SELECT trust.make('emptied', NULL, 'true') AS token \gset
DELETE FROM trust.emptied;
TRUNCATE trust.emptied_departures;
SELECT removed FROM trust.emptieds_changes(:'token');

-- Without a column for the stamp nothing is written that nobody would be told of; a new one is of another history. Nor does a row leave
-- without a departure.
SELECT trust.make('stamped', NULL, 'true') AS token \gset
ALTER TABLE trust.stamped RENAME COLUMN changed TO before;
UPDATE trust.stamped SET g = 1;
INSERT INTO trust.stamped (g) VALUES (7);
ALTER TABLE trust.stamped RENAME COLUMN before TO changed;
INSERT INTO trust.stamped (g) VALUES (8);
SELECT i ->> 'g' AS g FROM trust.stampeds_changes(:'token') c, json_array_elements(c.items) i;
ALTER TABLE trust.stamped DROP COLUMN changed;
UPDATE trust.stamped SET g = 1;
SELECT taskapi.expose('trust.stamped', 'trust');
SELECT items FROM trust.stampeds_changes(:'token');
UPDATE trust.stamped SET g = 9 WHERE g = 8;
CREATE RULE none AS ON INSERT TO trust.stamped_departures DO INSTEAD NOTHING;
DELETE FROM trust.stamped WHERE g = 9;
RESET ROLE;
DROP SCHEMA trust CASCADE;
SELECT taskapi.forget_dropped_resources();
DROP ROLE regress_feed_owner, regress_feed_guest;
