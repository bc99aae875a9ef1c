-- Sagas: each way through the steps ends completed, compensated or stuck; what is settled twice, late or by who lost the lease
-- changes nothing; and each bad input, which changes nothing.
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
SELECT public.problem($$SELECT taskapi.start_saga('order', '1', '{}', '[{"step": "book"}]')$$);
SELECT public.problem($$SELECT taskapi.settle_step('1', 1, 'book', 'done')$$);
SELECT taskapi.create_outbox('regress_messages');
SET search_path = regress_messages, public;
SELECT taskapi.create_consumer_group('worker', ARRAY['order'], max_attempts => 3);
CREATE FUNCTION begin_order(id text) RETURNS void LANGUAGE sql AS $$ SELECT taskapi.start_saga('order', id, '{"room": 7}',
    '[{"step": "book", "compensation": "unbook", "timeout": "30 s"}, {"step": "log"}, {"step": "charge", "compensation": "refund", "attempts": 2}, {"step": "ship"}]') $$;
-- A worker that does what it is told: outcomes by step, each of which is used once; what is not told is done.
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, step text, compensates text, outcome text, then_ text);
CREATE PROCEDURE work(outcomes jsonb DEFAULT '{}', times int DEFAULT 20) LANGUAGE plpgsql AS $$
DECLARE m taskapi.message; step text; outcome text; then_ text;
BEGIN
    TRUNCATE log RESTART IDENTITY;
    FOR i IN 1 .. times LOOP
        COMMIT;
        SELECT * INTO m FROM taskapi.receive('worker', 'w', 1);
        EXIT WHEN NOT FOUND;
        step := m.payload ->> 'step';
        outcome := coalesce(outcomes -> step ->> 0, 'done');
        outcomes := CASE WHEN outcomes ? step THEN jsonb_set(outcomes, ARRAY[step], (outcomes -> step) - 0) ELSE outcomes END;
        then_ := taskapi.settle_step(m.payload ->> 'saga', m.fencing_token, step, outcome, to_jsonb(step || ' ' || outcome));
        PERFORM taskapi.settle('worker', m.slot, m.fencing_token, m.seq, CASE WHEN then_ IN ('retry', 'stuck') THEN ARRAY[m.seq] ELSE '{}' END, outcome);
        UPDATE parked SET due_at = now() - interval '1 s' WHERE due_at > now() AND due_at < 'infinity';
        INSERT INTO log (step, compensates, outcome, then_) VALUES (step, m.payload ->> 'compensates', outcome, then_);
    END LOOP;
END $$;
CREATE VIEW state AS SELECT id, state, position, command IS NOT NULL AS open, (SELECT count(*) FROM saga_step j WHERE j.saga = s.id) AS settled FROM saga s ORDER BY id;

-- all is well; a command has all that the worker needs
SELECT begin_order('1');
SELECT topic, key, payload FROM message;
SELECT steps FROM saga;
CALL work();
TABLE log;
SELECT * FROM state;
SELECT payload FROM message ORDER BY seq DESC LIMIT 1;
SELECT saga, n, step, compensates, outcome, output FROM saga_step ORDER BY n;
-- a step fails: what was done is compensated, the last first; a step that needs none is passed by
SELECT begin_order('2');
CALL work('{"ship": ["failed"]}');
TABLE log;
SELECT * FROM state WHERE id = '2';
-- the first fails: there is nothing to compensate
SELECT begin_order('3');
CALL work('{"book": ["failed"]}');
TABLE log;
SELECT * FROM state WHERE id = '3';
-- unknown is not failed: it is tried again
SELECT begin_order('4');
CALL work('{"charge": ["unknown"]}');
TABLE log;
-- and once given up, as often as the step says, or the group, it is compensated itself
SELECT begin_order('5');
CALL work('{"charge": ["unknown", "unknown"]}');
TABLE log;
SELECT begin_order('6');
CALL work('{"book": ["unknown", "unknown", "unknown"]}');
TABLE log;
SELECT * FROM state WHERE id > '4';
-- a compensation that fails is tried again; in the end it is stuck, as a dead letter, and goes on from there
SELECT begin_order('7');
CALL work('{"ship": ["failed"], "refund": ["failed", "unknown"]}');
TABLE log;
SELECT begin_order('8');
CALL work('{"ship": ["failed"], "refund": ["failed", "failed", "failed"]}');
TABLE log;
SELECT * FROM state WHERE id > '7';
SELECT seq, payload ->> 'step' AS step, error FROM dead_letter;
SELECT name, value FROM taskapi.stats WHERE name ~ '^saga_' ORDER BY name;
SELECT taskapi.redrive('worker', (SELECT max(seq) FROM dead_letter));
CALL work('{"refund": ["failed"]}', 1);
TABLE log;
SELECT * FROM state WHERE id = '8';
CALL work();
TABLE log;
SELECT * FROM state WHERE id = '8';
SELECT count(*) FROM dead_letter;

-- A worker that dies between settle_step() and settle(): the message comes again, and the step that is settled stays so.
SELECT begin_order('9');
SELECT m.seq, m.slot, m.fencing_token AS token FROM taskapi.receive('worker', 'w1', 1, '1 microsecond') m \gset
SELECT taskapi.settle_step('9', :token, 'book', 'done', '"w1"');
SELECT m.seq, m.slot, m.fencing_token AS second FROM taskapi.receive('worker', 'w2', 1) m \gset
SELECT taskapi.settle_step('9', :second, 'book', 'failed', '"w2"');
SELECT * FROM state WHERE id = '9';
-- the one that lost the lease settles nothing
SELECT public.problem(format($$SELECT taskapi.settle_step('9', %s, 'log', 'done')$$, :token));
-- nor does one whose step was not handed out with its lease, though it is the next
SELECT public.problem(format($$SELECT taskapi.settle_step('9', %s, 'log', 'done')$$, :second));
SELECT taskapi.settle('worker', :slot, :second, :seq);
SELECT public.problem(format($$SELECT taskapi.settle_step('9', %s, 'log', 'done')$$, :second)) AS after_settle;
CALL work('{"charge": ["unknown", "unknown"]}', 4);
TABLE log;
-- a late outcome of the step that is being compensated changes nothing
SELECT m.seq, m.slot, m.fencing_token AS token FROM taskapi.receive('worker', 'w', 1) m \gset
SELECT taskapi.settle_step('9', :token, 'charge', 'done');
SELECT * FROM state WHERE id = '9';

-- Bad input.
SELECT public.problem(q) FROM unnest(ARRAY[
    $$SELECT taskapi.start_saga(NULL, 'x', '{}', '[{"step": "a"}]')$$, $$SELECT taskapi.start_saga('order', NULL, '{}', '[{"step": "a"}]')$$,
    $$SELECT taskapi.start_saga('order', 'x', NULL, '[{"step": "a"}]')$$, $$SELECT taskapi.start_saga('order', 'x', '{}', NULL)$$,
    $$SELECT taskapi.start_saga('', 'x', '{}', '[{"step": "a"}]')$$, $$SELECT taskapi.start_saga('order', '', '{}', '[{"step": "a"}]')$$,
    $$SELECT taskapi.start_saga('order', 'ä', '{}', '[{"step": "a"}]')$$, $$SELECT taskapi.start_saga('order', repeat('x', 101), '{}', '[{"step": "a"}]')$$,
    $$SELECT taskapi.start_saga('order', '1', '{}', '[{"step": "a"}]')$$, $$SELECT taskapi.start_saga('order', 'x', to_jsonb(repeat('x', 2000000)), '[{"step": "a"}]')$$,
    $$SELECT taskapi.settle_step(NULL, 1, 'a', 'done')$$, $$SELECT taskapi.settle_step('9', NULL, 'a', 'done')$$, $$SELECT taskapi.settle_step('9', 1, NULL, 'done')$$,
    $$SELECT taskapi.settle_step('9', 1, 'a', NULL)$$, $$SELECT taskapi.settle_step('9', 1, 'a', 'perhaps')$$, $$SELECT taskapi.settle_step('none', 1, 'a', 'done')$$,
    $$SELECT taskapi.settle_step('9', -1, 'book', 'done')$$]) q;
SELECT public.problem(format($$SELECT taskapi.settle_step('9', %s, 'nothing', 'done')$$, :token));
SELECT public.problem(format($$SELECT taskapi.settle_step('1', %s, 'book', 'done')$$, :token)) AS of_another_slot;
SELECT s, public.problem(format('SELECT taskapi.start_saga(''order'', ''x'', ''{}'', %L)', s)) FROM unnest(ARRAY['{}', '[]', '[1]', '[{}]', '[{"step": 1}]', '[{"step": ""}]', '[{"step": "a/b"}]',
    '[{"step": "a"}, {"step": "a"}]', '[{"step": "a", "compensation": "a"}]', '[{"step": "a", "compensation": 5}]', '[{"step": "a", "timeout": 5}]', '[{"step": "a", "timeout": "-1 s"}]',
    '[{"step": "a", "timeout": "soon"}]', '[{"step": "a", "attempts": 0}]', '[{"step": "a", "attempts": null}]', '[{"step": "a", "attempts": 99999}]', '[{"step": "a", "retries": 1}]']) s;
SELECT count(*) FROM saga;
SELECT * FROM state WHERE id = '9';

-- A role with EXECUTE needs nothing of the tables; the owner's triggers find nothing of the caller's.
CREATE ROLE regress_worker;
GRANT EXECUTE ON FUNCTION taskapi.start_saga, taskapi.settle_step TO regress_worker;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.input := to_jsonb(current_user || ' ' || current_setting('search_path')); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON saga FOR EACH ROW EXECUTE FUNCTION note();
SET ROLE regress_worker;
SELECT taskapi.start_saga('order', 'x', '{}', '[{"step": "a"}]');
SELECT public.problem('SELECT count(*) FROM regress_messages.saga');
RESET ROLE;
SELECT replace(input ->> 0, current_user, 'the owner') FROM saga WHERE id = 'x';
REVOKE EXECUTE ON FUNCTION taskapi.start_saga, taskapi.settle_step FROM regress_worker;
DROP ROLE regress_worker;
DROP SCHEMA regress_messages CASCADE;
DROP FUNCTION public.problem(text);
