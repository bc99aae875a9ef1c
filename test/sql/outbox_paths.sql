-- receive() and settle() read plain tables through their indexes, and all others by statements: the same comes out, whatever the
-- owner has made of the tables.
\set VERBOSITY terse
SET client_min_messages = warning;
SET jit = off;
SELECT taskapi.create_outbox('regress_messages');
SET search_path = regress_messages, public;
-- All that there is goes through small batches: topics, a failure in the middle, a batch in two partitions, a slot of which nothing
-- is for the group, a message that comes after an empty receive().
CREATE FUNCTION drain("group" text, batch int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE m taskapi.message; last taskapi.message; failed bigint[]; batches int := 0;
BEGIN
    LOOP
        last := NULL; failed := '{}'; batches := batches + 1;
        FOR m IN SELECT * FROM taskapi.receive("group", 'w', batch) LOOP
            RETURN NEXT format('%s %s %s %s %s', m.key, m.payload, coalesce(m.headers::text, '-'), m.attempts, m.topic);
            last := m;
            IF m.payload = '"poison"' AND m.attempts = 0 THEN failed := failed || m.seq; END IF;
        END LOOP;
        EXIT WHEN last.seq IS NULL OR batches > 1000;
        PERFORM taskapi.settle("group", last.slot, last.fencing_token, last.seq, failed, 'broken');
        UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL;
    END LOOP;
    RETURN NEXT 'behind: ' || (SELECT sum(behind) FROM taskapi.outbox_lag l WHERE l."group" = drain."group");
END $$;
CREATE TABLE got (n bigint GENERATED ALWAYS AS IDENTITY, line text);
CREATE TABLE result (changed text, lines bigint, out_of_order bigint, digest text);
CREATE PROCEDURE tell(what text) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE got, result;
    PERFORM taskapi.create_consumer_group('all'), taskapi.create_consumer_group('two', ARRAY['b', 'c']);
    PERFORM setval('message_seq', ((SELECT last_value FROM message_seq) / 1000000 + 1) * 1000000 - 30);
    PERFORM taskapi.extend_outbox(2);
    PERFORM taskapi.publish(CASE WHEN i % 3 = 0 THEN 'a' ELSE 'b' END, 'k' || i % 7, CASE i WHEN 9 THEN '"poison"' ELSE to_jsonb(i) END,
                            CASE WHEN i % 2 = 0 THEN '{"h": 1}'::jsonb END) FROM generate_series(1, 60) i;
    COMMIT;
    INSERT INTO got (line) SELECT * FROM drain('all', 4);
    INSERT INTO got (line) SELECT * FROM drain('two', 100);
    PERFORM taskapi.publish('a', 'late', '1'), taskapi.publish('c', 'late', '2');
    COMMIT;
    INSERT INTO got (line) SELECT * FROM drain('two', 1);
    INSERT INTO got (line) SELECT * FROM drain('all', 100);
    INSERT INTO result SELECT what, count(*), count(*) FILTER (WHERE payload < before), md5(string_agg(line, '|' ORDER BY line COLLATE "C"))
        FROM (SELECT line, payload, lag(payload) OVER (PARTITION BY key, half ORDER BY n) AS before
              FROM (SELECT n, line, substring(line FROM '^k\d') AS key, substring(line FROM '^k[013456] (\d+) ')::int AS payload,
                           n > (SELECT min(n) FROM got WHERE line ~ '^behind') AS half FROM got) g) g;
    PERFORM taskapi.drop_consumer_group('all'), taskapi.drop_consumer_group('two');
END $$;

CALL tell('nothing');
TABLE result;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON consumer FOR EACH ROW EXECUTE FUNCTION nothing();
CALL tell('a trigger on the positions');
TABLE result;
DROP TRIGGER t ON consumer;
CREATE TABLE fired (name text);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO regress_messages.fired VALUES (TG_NAME); RETURN NULL; END $$;
CREATE TRIGGER by_statement AFTER UPDATE ON consumer FOR EACH STATEMENT EXECUTE FUNCTION fire();
CALL tell('a trigger by statement');
TABLE result;
SELECT name, count(*) > 10 AS often FROM fired GROUP BY 1;
DROP TRIGGER by_statement ON consumer;
ALTER TABLE consumer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON consumer USING (true);
CALL tell('row-level security that binds the owner');
TABLE result;
DROP POLICY p ON consumer;
ALTER TABLE consumer DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
CREATE RULE r AS ON UPDATE TO consumer DO ALSO NOTIFY nothing;
CALL tell('a rule');
TABLE result;
DROP RULE r ON consumer;
ALTER TABLE consumer ADD COLUMN note text DEFAULT 'mine', ADD COLUMN twice bigint GENERATED ALWAYS AS (position * 2) STORED;
CREATE INDEX ON consumer (position, note);
ALTER TABLE consumer ADD CHECK (position >= 0);
CALL tell('columns, an index and a constraint of the owner''s');
TABLE result;
SELECT count(*) FROM consumer WHERE twice <> position * 2 OR note <> 'mine';
ALTER TABLE consumer DROP COLUMN twice, DROP COLUMN note;
DROP INDEX message_by_slot;
CALL tell('no index on the messages');
TABLE result;
CREATE INDEX ON message (slot, seq DESC);
CALL tell('one in another order');
TABLE result;
CREATE INDEX ON message (slot, seq) WHERE topic <> 'b';
CALL tell('one of some messages');
TABLE result;
CREATE INDEX ON message (slot, seq, topic);
CALL tell('one with more columns');
TABLE result;
ALTER TABLE parked ALTER created_at DROP NOT NULL, DROP CONSTRAINT parked_pkey;
ALTER TABLE parked ALTER "group" DROP NOT NULL, ALTER slot DROP NOT NULL, ALTER seq DROP NOT NULL, ADD UNIQUE ("group", seq);
INSERT INTO parked (topic, key, payload) VALUES ('t', 'k', '1');
CALL tell('columns that may be NULL');
TABLE result;
DELETE FROM parked WHERE seq IS NULL;
-- the next partition has its columns in another order
CREATE TABLE other (key text NOT NULL, headers jsonb, more text, created_at timestamptz NOT NULL DEFAULT now(), topic text NOT NULL, payload jsonb NOT NULL, seq bigint NOT NULL, slot smallint NOT NULL);
ALTER TABLE other DROP COLUMN more;
SELECT format('ALTER TABLE message ATTACH PARTITION other FOR VALUES FROM (%s) TO (%s)', (n + 1) * 1000000, (n + 2) * 1000000) FROM (SELECT count(*) - 1 AS n FROM pg_inherits WHERE inhparent = 'message'::regclass) s \gexec
CALL tell('columns in another order');
TABLE result;
SELECT count(*) > 0 AS used FROM other;
CREATE TABLE rest PARTITION OF message DEFAULT;
CALL tell('a default partition');
TABLE result;
DROP TABLE rest;
CREATE TABLE more_parked () INHERITS (parked);
CALL tell('a table below that of the parked');
TABLE result;
RESET search_path;
DROP SCHEMA regress_messages CASCADE;
-- A batch of what was parked and what is new, all of which succeeds, from plain tables: settle() forgets the parked, too.
SELECT taskapi.create_outbox('regress_messages');
SET search_path = regress_messages, pg_catalog;
SELECT taskapi.create_consumer_group('parks');
SELECT taskapi.publish('t', 'k', '1') IS NOT NULL AS published;
DO $$
DECLARE
    m record;
BEGIN
    SELECT slot, fencing_token, max(seq) AS seq INTO m FROM taskapi.receive('parks', 'w') GROUP BY 1, 2;
    PERFORM taskapi.settle('parks', m.slot, m.fencing_token, m.seq, ARRAY[m.seq]);
    UPDATE parked SET due_at = now() - interval '1 minute' WHERE "group" = 'parks';
END
$$;
SELECT taskapi.publish('t', key, '2') IS NOT NULL AS published
FROM (SELECT 'other ' || i AS key FROM generate_series(1, 1000) i WHERE taskapi.outbox_slot('other ' || i) = taskapi.outbox_slot('k') LIMIT 1) k;
CREATE TABLE batch AS SELECT slot, fencing_token, seq, attempts FROM taskapi.receive('parks', 'w');
SELECT count(*), max(attempts) FROM batch;
SELECT taskapi.settle('parks', slot, fencing_token, max(seq)) FROM batch GROUP BY slot, fencing_token;
SELECT count(*) AS left_parked FROM parked WHERE "group" = 'parks';
RESET search_path;
DROP SCHEMA regress_messages CASCADE;
