-- The order of a key if something fails: no message is tried before an earlier one of its key, or in its own pause, redrive() and
-- discard() included; and a group that holds keys lets nothing of one go on behind its dead letter.
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
SET search_path = regress_messages, public;
CREATE FUNCTION take("group" text, batch int DEFAULT 100) RETURNS SETOF jsonb LANGUAGE plpgsql AS $$
DECLARE m taskapi.message;
BEGIN
    FOR m IN SELECT * FROM taskapi.receive("group", 'w', batch) LOOP
        PERFORM set_config('regress.slot', m.slot::text, false), set_config('regress.token', m.fencing_token::text, false);
        RETURN NEXT m.payload;
    END LOOP;
END $$;
-- a pause ends by soon() only, and not because this machine is slow
CREATE FUNCTION settle("group" text, upto bigint, failed bigint[] DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
    SELECT taskapi.settle("group", current_setting('regress.slot')::int, current_setting('regress.token')::bigint, upto, failed, 'broken');
    UPDATE regress_messages.parked p SET due_at = p.due_at + interval '1 hour' WHERE p.seq = ANY (failed) AND p.due_at < 'infinity';
$$;
CREATE FUNCTION soon() RETURNS void LANGUAGE sql AS $$ UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at < 'infinity' $$;
CREATE VIEW parking AS SELECT payload, attempts, CASE WHEN due_at = 'infinity' THEN 'held' WHEN due_at IS NULL THEN 'behind' WHEN due_at <= now() THEN 'now' ELSE 'later' END AS due FROM parked ORDER BY seq;

-- A dead letter comes back while a later message of its key is handed out, which then fails: the key is tried when the first of it
-- is due, and no sooner; and those behind it not in their own pause.
SELECT taskapi.create_consumer_group('g', max_attempts => 1);
SELECT taskapi.publish('t', 'a', '1') AS m1, taskapi.publish('t', 'a', '2') AS m2, taskapi.publish('t', 'a', '3') AS m3 \gset
SELECT * FROM take('g', 1);
SELECT settle('g', :m1, ARRAY[:m1]);
SELECT * FROM take('g', 1);
SELECT taskapi.create_consumer_group('g', max_attempts => 3);
SELECT taskapi.redrive('g', :m1);
SELECT settle('g', :m2, ARRAY[:m2]);
SELECT * FROM parking;
-- the same, of one that was parked before
SELECT * FROM take('g', 1);
SELECT settle('g', :m1, ARRAY[:m1]);
SELECT * FROM parking;
SELECT soon();
SELECT taskapi.create_consumer_group('g', max_attempts => 2);
SELECT * FROM take('g', 1);
SELECT settle('g', :m1, ARRAY[:m1]);
SELECT * FROM parking;
SELECT * FROM take('g', 1);
SELECT taskapi.create_consumer_group('g', max_attempts => 10);
SELECT taskapi.redrive('g', :m1);
SELECT settle('g', :m2, ARRAY[:m2]);
SELECT * FROM parking;
SELECT * FROM take('g');
SELECT settle('g', :m3, ARRAY[:m1]);
SELECT * FROM parking;
SELECT * FROM take('g');
-- and the second of two dead letters behind the first, which waits for its own time
SELECT soon();
SELECT taskapi.create_consumer_group('g', max_attempts => 1);
SELECT * FROM take('g');
SELECT settle('g', :m3, ARRAY[:m1]);
SELECT soon();
SELECT * FROM take('g');
SELECT settle('g', :m3, ARRAY[:m2]);
SELECT taskapi.create_consumer_group('g', max_attempts => 10);
SELECT taskapi.redrive('g', :m1);
SELECT * FROM take('g', 1);
SELECT settle('g', :m1, ARRAY[:m1]);
SELECT taskapi.redrive('g', :m2);
SELECT * FROM parking;
SELECT * FROM take('g');
SELECT soon();
SELECT * FROM take('g');
SELECT settle('g', :m3);
SELECT * FROM parking;
-- a message that has failed itself keeps its pause, whatever comes before it: others of its key do not take it along
SELECT taskapi.create_consumer_group('g', max_attempts => 1);
SELECT taskapi.publish('t', 'a', '4') AS m4, taskapi.publish('t', 'a', '5') AS m5, taskapi.publish('t', 'a', '6') AS m6 \gset
SELECT * FROM take('g', 1);
SELECT settle('g', :m4, ARRAY[:m4]);
SELECT taskapi.create_consumer_group('g', max_attempts => 10);
SELECT * FROM take('g', 1);
SELECT taskapi.redrive('g', :m4);
SELECT settle('g', :m5, ARRAY[:m5]);
SELECT * FROM take('g');
SELECT settle('g', :m4);
SELECT * FROM parking;
SELECT * FROM take('g');
SELECT soon();
SELECT * FROM take('g');
SELECT settle('g', :m6);
SELECT * FROM parking;
SELECT taskapi.drop_consumer_group('g');

-- A group that holds keys: nothing of the key goes on, old or new, until the dead letter is tried again or discarded. Other keys do.
SELECT taskapi.create_consumer_group('h', max_attempts => 1, hold_key => true);
SELECT taskapi.publish('t', 'a', '11') AS m1, taskapi.publish('t', 'a', '12') AS m2 \gset
SELECT * FROM take('h');
SELECT settle('h', :m2, ARRAY[:m1]);
SELECT taskapi.publish('t', 'b', '13') AS other, taskapi.publish('t', 'a', '14') AS m4 \gset
SELECT * FROM take('h');
SELECT settle('h', :other);
SELECT * FROM take('h');
SELECT * FROM parking;
SELECT payload, attempts, error FROM dead_letter;
SELECT parked, dead FROM taskapi.outbox_lag WHERE parked > 0;
-- tried again, it fails again, and holds its key again
SELECT taskapi.redrive('h', :m1);
SELECT * FROM parking;
SELECT * FROM dead_letter;
SELECT * FROM take('h');
SELECT settle('h', :m4, ARRAY[:m1]);
SELECT * FROM parking;
SELECT payload, attempts FROM dead_letter;
-- discarded, the next goes on
SELECT public.problem(format('SELECT taskapi.discard(''h'', %s)', :m2));
SELECT public.problem('SELECT taskapi.discard(''none'', 1)');
SELECT public.problem('SELECT taskapi.discard(''h'', NULL)');
SELECT taskapi.discard('h', :m1);
SELECT * FROM parking;
SELECT count(*) FROM dead_letter;
SELECT * FROM take('h');
SELECT settle('h', :m4, ARRAY[:m2]);
SELECT * FROM parking;
-- and whoever stops holding keys lets them go
SELECT taskapi.create_consumer_group('h', max_attempts => 1, hold_key => true);
SELECT * FROM take('h');
SELECT taskapi.create_consumer_group('h', max_attempts => 1);
SELECT * FROM parking;
SELECT payload FROM dead_letter;
SELECT * FROM take('h');
SELECT settle('h', :m4);
SELECT * FROM parking;
SELECT public.problem($$SELECT taskapi.create_consumer_group('h', hold_key => NULL)$$);
SELECT taskapi.discard('h', :m2);
SELECT count(*) FROM dead_letter;

-- A dead letter that is held does not come along when an earlier one of its key is tried again.
SELECT taskapi.create_consumer_group('h', max_attempts => 1);
SELECT taskapi.publish('t', 'a', '21') AS m1, taskapi.publish('t', 'a', '22') AS m2, taskapi.publish('t', 'a', '23') AS m3 \gset
SELECT * FROM take('h');
SELECT settle('h', :m3, ARRAY[:m1]);
SELECT taskapi.create_consumer_group('h', max_attempts => 1, hold_key => true);
SELECT * FROM take('h');
SELECT settle('h', :m3, ARRAY[:m2]);
SELECT taskapi.redrive('h', :m1);
SELECT * FROM parking;
SELECT * FROM take('h');
SELECT settle('h', :m1);
SELECT * FROM parking;
SELECT * FROM take('h');

DROP SCHEMA regress_messages CASCADE;
DROP FUNCTION public.problem(text);
