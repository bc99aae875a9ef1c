-- What the owner of the outbox's tables makes of them: triggers find nothing of the publisher's, sequences that would lose messages
-- are refused by name, and partitions are what their bounds say, whatever they are called.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION public.problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no problem';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, CASE WHEN detail LIKE '{"code"%' THEN concat(detail::json ->> 'code', ': ', detail::json ->> 'details') ELSE detail END, hint);
END $$;
SELECT taskapi.create_outbox('regress_messages');
SELECT taskapi.create_consumer_group('g');
SELECT taskapi.publish('t', 'a', '0');
SELECT seq FROM taskapi.receive('g', 'w', 1, '1 microsecond');

-- A trigger of the owner's runs as the owner. It finds nothing that a publisher or a worker puts into search_path, and what it sets
-- ends with it.
CREATE SCHEMA regress_mine;
CREATE ROLE regress_caller;
GRANT USAGE, CREATE ON SCHEMA regress_mine TO regress_caller;
GRANT EXECUTE ON FUNCTION taskapi.publish, taskapi.receive TO regress_caller;
CREATE TABLE public.ran (what text);
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM my_upper('x');
    INSERT INTO public.ran VALUES ('the caller''s function, as ' || current_user);
    RETURN NULL;
EXCEPTION WHEN undefined_function THEN
    PERFORM set_config('search_path', 'regress_of_the_owner', false), set_config('regress.of_the_owner', 'set', false);
    INSERT INTO public.ran VALUES ('not found');
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON regress_messages.message FOR EACH ROW EXECUTE FUNCTION public.note();
CREATE TRIGGER note AFTER UPDATE ON regress_messages.consumer FOR EACH ROW EXECUTE FUNCTION public.note();
SET ROLE regress_caller;
CREATE FUNCTION regress_mine.my_upper(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
SET search_path = regress_mine, public;
SELECT taskapi.publish('t', 'a', '1');
SELECT count(*) FROM taskapi.receive('g', 'w');
SELECT current_setting('search_path'), current_setting('regress.of_the_owner', true);
RESET search_path;
RESET ROLE;
SELECT what, count(*) FROM public.ran GROUP BY 1;
DROP TRIGGER note ON regress_messages.message;
DROP TRIGGER note ON regress_messages.consumer;
REVOKE EXECUTE ON FUNCTION taskapi.publish, taskapi.receive FROM regress_caller;
DROP SCHEMA regress_mine CASCADE;
DROP ROLE regress_caller;
DROP TABLE public.ran;

-- Numbers that come late would be passed by. Each way to get them is refused, for publishers and for workers; nothing is written.
CREATE FUNCTION public.try(command text) RETURNS TABLE (publisher text, worker text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    publisher := public.problem('SELECT taskapi.publish(''t'', ''a'', ''2'')');
    worker := public.problem('SELECT taskapi.receive(''g'', ''w'')');
    ALTER SEQUENCE regress_messages.message_seq INCREMENT 1 CACHE 1 NO CYCLE;
    ALTER SEQUENCE regress_messages.fencing_token INCREMENT 1 CACHE 1 NO CYCLE;
    RETURN NEXT;
END $$;
\x
SELECT c.*, t.* FROM unnest(ARRAY['ALTER SEQUENCE regress_messages.message_seq CACHE 20', 'ALTER SEQUENCE regress_messages.message_seq INCREMENT 2', 'ALTER SEQUENCE regress_messages.message_seq INCREMENT -1',
    'ALTER SEQUENCE regress_messages.message_seq CYCLE', 'ALTER SEQUENCE regress_messages.fencing_token CACHE 20']) c, public.try(c) t;
\x
SELECT count(*) FROM regress_messages.message;
-- set back: the worker that would wait for ever is told
UPDATE regress_messages.consumer SET lease_expires_at = NULL;
SELECT max(seq) AS last, min(slot) AS slot, min(fencing_token) AS token FROM taskapi.receive('g', 'w') \gset
SELECT taskapi.settle('g', :slot, :token, :last);
SELECT count(*) FROM taskapi.receive('g', 'w');
SELECT setval('regress_messages.message_seq', 2);
SELECT taskapi.publish('t', 'a', '4');
SELECT public.problem('SELECT taskapi.receive(''g'', ''w'')');
SELECT setval('regress_messages.message_seq', :last);
SELECT taskapi.publish('t', 'a', '5') - :last;
SELECT payload FROM taskapi.receive('g', 'w', 100, '1 microsecond');
-- so is the one who would get a token that another lease of the slot has had
UPDATE regress_messages.consumer SET lease_expires_at = NULL;
SELECT taskapi.publish('t', 'a', '5') > 0 AS published;
SELECT last_value AS token FROM regress_messages.fencing_token \gset
SELECT setval('regress_messages.fencing_token', 1) AS set_back;
SELECT public.problem('SELECT taskapi.receive(''g'', ''w'')') ~ '^55000 . the sequence of the outbox.s fencing tokens was set back' AS refused;
SELECT setval('regress_messages.fencing_token', :token) = :token AS set_right;
SELECT count(*) > 0 AS received FROM taskapi.receive('g', 'w', 100, '1 microsecond');

-- What a rule or a trigger of the owner's keeps from being written is an error: else two workers have one slot, or a message is lost.
CREATE FUNCTION public.not_this() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION public.refused(statement text) RETURNS boolean LANGUAGE sql AS
    $$ SELECT public.problem(statement) LIKE '55000 | a trigger or rule keeps rows from being written to the outbox%' $$;
UPDATE regress_messages.consumer SET lease_expires_at = NULL;
SELECT taskapi.publish('t', 'a', '5') > 0 AS published;
CREATE RULE nothing AS ON UPDATE TO regress_messages.consumer DO INSTEAD NOTHING;
SELECT public.refused('SELECT taskapi.receive(''g'', ''w'')');
SELECT public.refused('SELECT taskapi.create_consumer_group(''g'', from_seq => 0)');
DROP RULE nothing ON regress_messages.consumer;
CREATE TRIGGER nothing BEFORE UPDATE ON regress_messages.consumer FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused('SELECT taskapi.receive(''g'', ''w'')');
ALTER TABLE regress_messages.consumer DISABLE TRIGGER nothing;
SELECT min(seq) AS seq, min(slot) AS slot, min(fencing_token) AS token FROM taskapi.receive('g', 'w', 1) \gset
ALTER TABLE regress_messages.consumer ENABLE TRIGGER nothing;
SELECT public.refused(format('SELECT taskapi.settle(''g'', %s, %s, %s)', :slot, :token, :seq));
DROP TRIGGER nothing ON regress_messages.consumer;
CREATE TRIGGER nothing BEFORE INSERT ON regress_messages.parked FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused(format('SELECT taskapi.settle(''g'', %s, %s, %s, ARRAY[%s])', :slot, :token, :seq, :seq));
DROP TRIGGER nothing ON regress_messages.parked;
SELECT taskapi.settle('g', :slot, :token, :seq, ARRAY[:seq]);
-- one of its key that comes later is parked, or refused
UPDATE regress_messages.parked SET due_at = now() + interval '1 h';
SELECT taskapi.publish('t', 'a', '6') > 0 AS published;
CREATE TRIGGER nothing BEFORE INSERT ON regress_messages.parked FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused('SELECT taskapi.receive(''g'', ''w'')');
DROP TRIGGER nothing ON regress_messages.parked;
SELECT count(*) FROM taskapi.receive('g', 'w');
SELECT count(*) FROM regress_messages.parked;
-- and a dead letter
SELECT taskapi.create_consumer_group('g', max_attempts => 1);
UPDATE regress_messages.parked SET due_at = now() WHERE due_at IS NOT NULL;
SELECT min(seq) AS seq, min(slot) AS slot, min(fencing_token) AS token FROM taskapi.receive('g', 'w', 1) \gset
CREATE TRIGGER nothing BEFORE INSERT ON regress_messages.dead_letter FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused(format('SELECT taskapi.settle(''g'', %s, %s, %s, ARRAY[%s])', :slot, :token, :seq, :seq));
DROP TRIGGER nothing ON regress_messages.dead_letter;
SELECT taskapi.settle('g', :slot, :token, :seq, ARRAY[:seq]);
CREATE TRIGGER nothing BEFORE INSERT ON regress_messages.parked FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused(format('SELECT taskapi.redrive(''g'', %s)', :seq));
CREATE TRIGGER nothing BEFORE INSERT ON regress_messages.message FOR EACH ROW EXECUTE FUNCTION public.not_this();
SELECT public.refused('SELECT taskapi.publish(''t'', ''a'', ''7'')');
DROP FUNCTION public.refused(text);
DROP FUNCTION public.not_this() CASCADE;

-- An outbox that is created in the place of another has numbers of its own, in a transaction that has published as well.
BEGIN;
SELECT taskapi.publish('t', 'a', '0') > 1 AS published;
DROP SCHEMA regress_messages CASCADE;
SELECT taskapi.create_outbox('regress_messages');
SELECT taskapi.publish('t', 'a', '0');
ROLLBACK;

-- Partitions. A table of another schema or of another kind with the name of one is none; a partition of ours is one, whatever it is
-- called.
SELECT taskapi.drop_consumer_group('g');
CREATE SCHEMA regress_other;
CREATE TABLE regress_other.message_0 (precious int);
CREATE TABLE regress_messages."message_-7" (LIKE regress_messages.message INCLUDING DEFAULTS);
ALTER TABLE regress_messages.message ATTACH PARTITION regress_messages."message_-7" FOR VALUES FROM (-7000000) TO (-6999999);
CREATE TABLE regress_messages.message_00 (LIKE regress_messages.message INCLUDING DEFAULTS);
ALTER TABLE regress_messages.message ATTACH PARTITION regress_messages.message_00 FOR VALUES FROM (-99) TO (-98);
ALTER TABLE regress_messages.message_0 RENAME TO "old ""ones";
ALTER TABLE regress_messages.message_2 SET SCHEMA regress_other;
CREATE TABLE regress_messages.message_3 (i int);
CREATE VIEW public.partitions AS SELECT i.inhrelid::regclass AS partition, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'regress_messages.message'::regclass ORDER BY substring(pg_get_expr(c.relpartbound, c.oid) FROM '-?\d+')::bigint;
SELECT * FROM public.partitions;
SELECT taskapi.publish('t', 'a', '6') > 0 AS in_a_renamed_partition;
SELECT setval('regress_messages.message_seq', 2000000);
SELECT taskapi.publish('t', 'a', '7') AS in_one_of_another_schema;
SELECT setval('regress_messages.message_seq', 3000000);
SELECT public.problem('SELECT taskapi.publish(''t'', ''a'', ''8'')');
SELECT public.problem('SELECT taskapi.extend_outbox()');
-- maintain() says so and goes on
CALL taskapi.maintain();
SELECT * FROM public.partitions;
SELECT count(*) FROM regress_other.message_0;
DROP TABLE regress_messages.message_3;
SELECT taskapi.publish('t', 'a', '8') > 0 AS published;
-- a range that is wider than ours goes when all of it is read, and not before
CREATE TABLE regress_messages.message_1 (LIKE regress_messages.message INCLUDING DEFAULTS);
ALTER TABLE regress_messages.message ATTACH PARTITION regress_messages.message_1 FOR VALUES FROM (4000000) TO (9000000);
SELECT taskapi.create_consumer_group('g', from_seq => 0);
SELECT setval('regress_messages.message_seq', 5000000);
SELECT taskapi.publish('t', 'a', '9');
SELECT taskapi.drop_consumer_group('g');
CALL taskapi.maintain();
SELECT * FROM public.partitions LIMIT 1;
SELECT payload FROM regress_messages.message;
-- one that cannot be read keeps from nobody what else is watched
BEGIN;
ALTER TABLE regress_messages.parked RENAME TO taken;
SELECT name FROM taskapi.stats WHERE name LIKE 'outbox%';
SELECT count(*) > 10 AS others FROM taskapi.stats;
ROLLBACK;

DROP VIEW public.partitions;
DROP SCHEMA regress_other CASCADE;
DROP SCHEMA regress_messages CASCADE;
DROP FUNCTION public.note(), public.try(text), public.problem(text);
