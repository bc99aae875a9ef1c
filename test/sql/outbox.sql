-- The outbox: order by key, parking, backoff, dead letters, groups, topics, partitions and pruning; and each bad input, which
-- changes nothing.
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

-- Without one.
SELECT public.problem('SELECT taskapi.publish(''t'', ''k'', ''1'')');
SELECT public.problem('SELECT taskapi.receive(''g'', ''w'')');
SELECT * FROM taskapi.outbox_lag;
SELECT taskapi.prune_outbox();
SELECT public.problem('SELECT taskapi.create_outbox(NULL)');
SELECT public.problem('SELECT taskapi.create_outbox(''pg_outbox'')');

SELECT taskapi.create_outbox('regress "out" box''s');
SELECT public.problem('SELECT taskapi.create_outbox(''another'')');
ALTER SCHEMA "regress ""out"" box's" RENAME TO regress_messages;
SET search_path = regress_messages, public;
-- what is taken, without times and tokens
CREATE VIEW positions AS SELECT "group", slot, position, delivered, owner, lease_expires_at IS NOT NULL AS leased FROM consumer WHERE slot = 63 ORDER BY 1;
CREATE VIEW parking AS SELECT "group", seq, key, payload, attempts, due_at IS NOT NULL AS due, error, fencing_token IS NOT NULL AS taken FROM parked ORDER BY 1, 2;
CREATE FUNCTION take("group" text, batch int DEFAULT 100) RETURNS TABLE (seq bigint, topic text, key text, payload jsonb, attempts int) LANGUAGE plpgsql AS $$
DECLARE m taskapi.message;
BEGIN
    FOR m IN SELECT * FROM taskapi.receive("group", 'w', batch) LOOP
        PERFORM set_config('regress.slot', m.slot::text, false), set_config('regress.token', m.fencing_token::text, false);
        seq := m.seq; topic := m.topic; key := m.key; payload := m.payload; attempts := m.attempts;
        RETURN NEXT;
    END LOOP;
END $$;
-- a pause ends by an UPDATE only, and not because this machine is slow
CREATE FUNCTION settle("group" text, upto bigint, failed bigint[] DEFAULT '{}', error text DEFAULT NULL, pause interval DEFAULT '1 hour') RETURNS void LANGUAGE sql AS $$
    SELECT taskapi.settle("group", current_setting('regress.slot')::int, current_setting('regress.token')::bigint, upto, failed, error);
    UPDATE regress_messages.parked p SET due_at = p.due_at + pause WHERE p.seq = ANY (failed) AND p.due_at < 'infinity';
$$;

-- A group that is there from the start, one of a topic, and one that comes later. The slot of a key never changes: that of a is 63.
SELECT taskapi.create_consumer_group('all'), taskapi.create_consumer_group('t2', ARRAY['two']);
SELECT taskapi.publish('one', 'a', '1'), taskapi.publish('two', 'a', '2', '{"h": "v"}'), taskapi.publish('one', 'a', '3');
SELECT seq, slot, topic, key, payload, headers FROM message;
SELECT taskapi.create_consumer_group('late');
SELECT * FROM take('all');
SELECT * FROM take('all');
SELECT * FROM positions;
SELECT settle('all', 3);
SELECT * FROM positions;
SELECT * FROM take('t2');
SELECT settle('t2', 2);
SELECT * FROM take('t2');
SELECT * FROM take('late');
SELECT * FROM positions;
SELECT * FROM taskapi.outbox_lag WHERE behind > 0 OR owner IS NOT NULL;

-- In parts: what is not settled comes again.
SELECT taskapi.publish('one', 'a', to_jsonb(i)) FROM generate_series(4, 8) i;
SELECT * FROM take('all', 3);
SELECT settle('all', 5);
SELECT * FROM take('all', 2);
SELECT settle('all', 7);
SELECT * FROM take('all');
SELECT settle('all', 8);

-- A failure parks the message and what follows of its key, which was handed out in vain; another key of the slot goes on.
CREATE TABLE of_slot AS SELECT k AS key, (SELECT m.slot FROM message m WHERE m.key = 'a' LIMIT 1) AS slot FROM (VALUES ('a')) v(k);
DO $$
DECLARE n bigint;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        n := taskapi.publish('other', 'key' || i, 'null');
        IF (SELECT m.slot FROM message m WHERE m.seq = n) = (SELECT slot FROM of_slot WHERE key = 'a') THEN
            INSERT INTO of_slot SELECT 'key' || i, slot FROM of_slot WHERE key = 'a';
            EXIT;
        END IF;
    END LOOP;
END $$;
SELECT key AS b FROM of_slot WHERE key <> 'a' \gset
SELECT taskapi.create_consumer_group('f', ARRAY['f'], max_attempts => 3);
SELECT taskapi.publish('f', 'a', '"a1"') AS a1, taskapi.publish('f', :'b', '"b1"') AS b1, taskapi.publish('f', 'a', '"a2"') AS a2, taskapi.publish('f', :'b', '"b2"') AS b2 \gset
SELECT payload, attempts FROM take('f');
SELECT settle('f', :b2, ARRAY[:a1], 'a1 is broken');
SELECT seq - :a1 AS seq, payload, attempts, due, error, taken FROM parking;
SELECT payload, attempts FROM take('f');
-- a new one of the key waits behind them, the other key does not
SELECT taskapi.publish('f', 'a', '"a3"') AS a3, taskapi.publish('f', :'b', '"b3"') AS b3 \gset
SELECT payload, attempts FROM take('f');
SELECT seq - :a1 AS seq, payload, due FROM parking;
SELECT settle('f', :b3);
-- its time comes: it and all behind it, in order; the second fails now
UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL;
SELECT payload, attempts FROM take('f');
SELECT settle('f', :a3, ARRAY[:a2], 'a2 is broken');
SELECT seq - :a1 AS seq, payload, attempts, due, error FROM parking;
-- until it is a dead letter, and the next goes on
UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL;
SELECT payload, attempts FROM take('f', 1);
SELECT settle('f', :a2, ARRAY[:a2], 'again');
UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL;
SELECT payload, attempts FROM take('f', 1);
SELECT settle('f', :a2, ARRAY[:a2], 'for good');
SELECT seq - :a1 AS seq, payload, attempts, error FROM dead_letter;
SELECT parked, dead FROM taskapi.outbox_lag WHERE parked > 0;
SELECT name, CASE WHEN name ~ 'oldest' THEN (value BETWEEN 0 AND 60)::int ELSE value END AS value FROM taskapi.stats WHERE name ~ '^(outbox|saga)_' ORDER BY name;
SELECT id, aggregatetype, aggregateid, type, payload FROM debezium ORDER BY id LIMIT 2;
SELECT payload, attempts FROM take('f');
-- redrive puts it before what waits of its key
SELECT public.problem(format('SELECT taskapi.redrive(''f'', %s)', :a1));
SELECT public.problem('SELECT taskapi.redrive(''none'', 1)');
SELECT taskapi.redrive('f', :a2);
SELECT seq - :a1 AS seq, payload, attempts, due, taken FROM parking;
UPDATE consumer SET lease_expires_at = now() - interval '1 s' WHERE owner IS NOT NULL;
SELECT payload, attempts FROM take('f');
SELECT settle('f', :a3);
SELECT * FROM parking;
SELECT count(*) FROM dead_letter;
SELECT * FROM take('f');

-- Backoff grows, with jitter, up to an hour and a half.
SELECT taskapi.create_consumer_group('slow', ARRAY['slow'], max_attempts => 1000);
SELECT taskapi.publish('slow', 'k', '1') AS s \gset
SELECT seq = :s AS first FROM take('slow');
SELECT clock_timestamp() AS before \gset
SELECT settle('slow', :s, ARRAY[:s], pause => '0');
SELECT due_at BETWEEN :'before'::timestamptz + interval '0.5 s' AND clock_timestamp() + interval '1.5 s' AS about_a_second FROM parked;
UPDATE parked SET due_at = now(), attempts = 500;
SELECT seq = :s AS again FROM take('slow');
SELECT settle('slow', :s, ARRAY[:s], pause => '0');
SELECT due_at - now() BETWEEN interval '29 min' AND interval '91 min' AS about_an_hour FROM parked;
SELECT taskapi.drop_consumer_group('slow');
SELECT count(*) FROM parked;

-- Bad input. Nothing of it changes anything.
SELECT taskapi.publish('f', 'a', '9') AS n \gset
SELECT * FROM take('all', 10000) \g /dev/null
SELECT seq = :n AS handed_out FROM take('f');
CREATE TABLE before AS SELECT * FROM consumer;
SELECT public.problem(q) FROM unnest(ARRAY[
    $$SELECT taskapi.publish(NULL, 'k', '1')$$, $$SELECT taskapi.publish('t', NULL, '1')$$, $$SELECT taskapi.publish('t', 'k', NULL)$$,
    $$SELECT taskapi.publish('', 'k', '1')$$, $$SELECT taskapi.publish('t', '', '1')$$, $$SELECT taskapi.publish(repeat('t', 1025), 'k', '1')$$,
    $$SELECT taskapi.publish('t', 'k', '1', '[]')$$, $$SELECT taskapi.publish('t', 'k', to_jsonb(repeat('x', 1100000)))$$,
    $$SELECT taskapi.create_consumer_group(NULL)$$, $$SELECT taskapi.create_consumer_group('')$$, $$SELECT taskapi.create_consumer_group(repeat('g', 64))$$,
    $$SELECT taskapi.create_consumer_group('x', '{}')$$, $$SELECT taskapi.create_consumer_group('x', '{NULL}')$$, $$SELECT taskapi.create_consumer_group('x', from_seq => -1)$$,
    $$SELECT taskapi.create_consumer_group('x', from_seq => 1000000000)$$, $$SELECT taskapi.create_consumer_group('x', max_attempts => 0)$$,
    $$SELECT taskapi.drop_consumer_group('none')$$,
    $$SELECT * FROM taskapi.receive('none', 'w')$$, $$SELECT * FROM taskapi.receive('f', '')$$, $$SELECT * FROM taskapi.receive('f', NULL)$$,
    $$SELECT * FROM taskapi.receive('f', 'w', 0)$$, $$SELECT * FROM taskapi.receive('f', 'w', 10001)$$,
    $$SELECT * FROM taskapi.receive('f', 'w', 1, '-1 s')$$, $$SELECT * FROM taskapi.receive('f', 'w', 1, '0')$$, $$SELECT * FROM taskapi.receive('f', 'w', 1, '2 days')$$,
    $$SELECT taskapi.extend_lease('f', 1, 1)$$, $$SELECT taskapi.extend_lease('f', 64, 1)$$, $$SELECT taskapi.extend_lease('none', 1, 1)$$,
    $$SELECT taskapi.extend_lease('f', 1, 1, '-1 s')$$,
    $$SELECT taskapi.settle('f', current_setting('regress.slot')::int, 0, 1)$$, $$SELECT taskapi.settle('none', 1, 0, 1)$$, $$SELECT taskapi.settle('f', -1, 0, 1)$$,
    $$SELECT settle('f', 1)$$, $$SELECT settle('f', 1000000)$$, $$SELECT settle('f', NULL)$$, $$SELECT settle('f', -5)$$]) q;
SELECT public.problem(format('SELECT settle(''f'', %s, ''{1}'')', :n));
SELECT public.problem(format('SELECT settle(''f'', %s, ''{NULL}'')', :n));
SELECT public.problem(format('SELECT settle(''f'', %s, ''{%s}'')', :n, :n + 1));
SELECT public.problem(format('SELECT settle(''f'', %s, NULL)', :n));
SELECT * FROM consumer EXCEPT SELECT * FROM before;
SELECT settle('f', :n);
SELECT public.problem(format('SELECT settle(''f'', %s)', :n)) AS twice;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT public.problem($$SELECT * FROM taskapi.receive('f', 'w')$$);
ROLLBACK;
BEGIN READ ONLY;
SELECT public.problem($$SELECT * FROM taskapi.receive('f', 'w')$$);
ROLLBACK;

-- A lease is extended by its owner.
SELECT taskapi.publish('f', 'a', '10') AS n \gset
SELECT seq = :n AS handed_out FROM take('f');
SELECT taskapi.extend_lease('f', current_setting('regress.slot')::int, current_setting('regress.token')::bigint, '2 hours');
SELECT lease_expires_at > now() + interval '1 hour' AS extended FROM consumer WHERE owner IS NOT NULL AND "group" = 'f';
SELECT settle('f', :n);

-- Partitions: publish() makes the one that it needs; what all groups have read goes; what is too old goes all the same, and the
-- group that has not read it is told.
SELECT relname FROM pg_class WHERE relname LIKE 'message\_%' AND relkind = 'r' AND relnamespace = 'regress_messages'::regnamespace ORDER BY 1;
SELECT setval('message_seq', 4999999);
SELECT taskapi.publish('f', 'a', '11');
SELECT relname FROM pg_class WHERE relname LIKE 'message\_%' AND relkind = 'r' AND relnamespace = 'regress_messages'::regnamespace ORDER BY 1;
SELECT taskapi.prune_outbox() AS unread;
SELECT taskapi.drop_consumer_group('all'), taskapi.drop_consumer_group('t2'), taskapi.drop_consumer_group('late');
SELECT taskapi.prune_outbox();
SELECT taskapi.prune_outbox();
SELECT taskapi.prune_outbox();
SELECT taskapi.prune_outbox() AS the_one_in_use;
SELECT min(position), max(position) FROM consumer;
SELECT payload FROM take('f');
SELECT settle('f', 5000000);
SELECT taskapi.create_consumer_group('lazy', from_seq => 0);
SELECT setval('message_seq', 5999999);
SELECT taskapi.publish('f', 'a', '12');
SELECT taskapi.prune_outbox() AS unread;
SET taskapi.outbox_retention = 0;
SELECT taskapi.prune_outbox() AS too_old;
RESET taskapi.outbox_retention;
SELECT public.problem($$SELECT * FROM taskapi.receive('lazy', 'w')$$);
SELECT payload FROM take('f');
SELECT taskapi.create_consumer_group('lazy', from_seq => 0);
SELECT payload FROM take('lazy');

-- A trigger of its owner's that keeps the row of a group from being written is an error, and not a look at memory that is not there.
CREATE FUNCTION veto() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER veto BEFORE INSERT ON consumer_group FOR EACH ROW EXECUTE FUNCTION veto();
SELECT public.problem($$SELECT taskapi.create_consumer_group('vetoed')$$);
DROP TRIGGER veto ON consumer_group;

-- The tables are the caller's: other roles have nothing of them, and they outlive the extension.
SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'regress_messages'::regnamespace AND a.grantee <> c.relowner;
CREATE ROLE regress_publisher;
GRANT EXECUTE ON FUNCTION taskapi.publish TO regress_publisher;
SET ROLE regress_publisher;
SELECT taskapi.publish('f', 'a', '13') > 0 AS may_publish;
SELECT public.problem('SELECT count(*) FROM regress_messages.message');
SELECT public.problem($$SELECT taskapi.receive('f', 'w')$$);
SELECT public.problem('SELECT * FROM taskapi.outbox_lag');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION taskapi.publish FROM regress_publisher;
DROP ROLE regress_publisher;
DROP TABLE message CASCADE;
SELECT public.problem($$SELECT taskapi.publish('t', 'k', '1')$$);
DROP SCHEMA regress_messages CASCADE;
RESET search_path;
SELECT taskapi.create_outbox('regress_messages');
SELECT taskapi.publish('t', 'k', '1');
DROP SCHEMA regress_messages CASCADE;
DROP FUNCTION public.problem(text);
