-- Sagas: work of several steps, each in a transaction of its own and maybe in another system, that is done as a whole or
-- compensated. A command to do a step is a message of the outbox whose key is the saga's: so the outbox orders, leases, fences,
-- repeats and buries them, and there is no second engine. What happens next is decided in one place, settle_step(), and
-- published in the same commit. docs/saga.md is for users; the tables are made by create_outbox().
--
-- What touches the tables runs as their owner in a security-restricted operation, through run_as().

CREATE FUNCTION taskapi.require_outbox(OUT schema name, OUT owner regrole) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT l.schema, l.owner INTO schema, owner FROM taskapi.outbox_location() l;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no outbox in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call taskapi.create_outbox().';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.require_outbox() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.require_outbox() IS 'Internal: where the outbox is; an error if there is none';

-- The steps of a saga with their defaults; invalid_value tells what is wrong with them.
CREATE FUNCTION taskapi.saga_steps(steps jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item  record;
    key   text;
    wrong text;
    names text[] := '{}';
    made  jsonb := '[]';
BEGIN
    IF jsonb_typeof(steps) <> 'array' OR jsonb_array_length(steps) NOT BETWEEN 1 AND 100 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'steps must be an array of 1 to 100 steps.');
    END IF;
    FOR item IN SELECT s.value, s.place FROM jsonb_array_elements(steps) WITH ORDINALITY s (value, place) LOOP
        wrong := CASE
            WHEN jsonb_typeof(item.value) <> 'object' THEN 'is no object'
            WHEN jsonb_typeof(item.value -> 'step') IS DISTINCT FROM 'string' THEN 'has no "step", which is its name'
            WHEN jsonb_typeof(item.value -> 'compensation') NOT IN ('string', 'null') THEN 'has a "compensation" that is no name'
            WHEN jsonb_typeof(item.value -> 'timeout') NOT IN ('string', 'null') THEN 'has a "timeout" that is no interval'
            WHEN item.value ? 'attempts' AND coalesce(item.value ->> 'attempts', '') !~ '^[1-9][0-9]{0,3}$'
                THEN 'has "attempts" that are no number from 1 to 9999'
            WHEN item.value - '{step,compensation,timeout,attempts}'::text[] <> '{}'
                THEN 'has a field that is neither "step" nor "compensation", "timeout" or "attempts"' END;
        IF wrong IS NULL AND item.value ->> 'timeout' IS NOT NULL THEN
            BEGIN
                IF (item.value ->> 'timeout')::interval <= interval '0' THEN
                    wrong := 'has a "timeout" that is not positive';
                END IF;
            EXCEPTION WHEN data_exception THEN
                wrong := 'has a "timeout" that is no interval';
            END;
        END IF;
        IF wrong IS NULL THEN
            FOREACH key IN ARRAY array_remove(ARRAY[item.value ->> 'step', item.value ->> 'compensation'], NULL) LOOP
                wrong := CASE WHEN key !~ '^[!-.0-~]{1,100}$'
                              THEN 'has a name that is not 1 to 100 printable characters of ASCII without spaces and slashes'
                              WHEN key = ANY (names) THEN format('has a name that is there already: %s', key) ELSE wrong END;
                names := names || key;
            END LOOP;
        END IF;
        IF wrong IS NOT NULL THEN
            PERFORM taskapi.raise_problem('invalid_value', format('Step %s %s.', item.place, wrong),
                'Give for each: {"step": "charge", "compensation": "refund", "timeout": "30 s", "attempts": 5}.');
        END IF;
        made := made || jsonb_build_array(jsonb_build_object(
            'step', item.value ->> 'step', 'compensation', item.value ->> 'compensation', 'timeout', item.value ->> 'timeout',
            'attempts', coalesce((item.value ->> 'attempts')::int, 10)));
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION taskapi.saga_steps(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.saga_steps(jsonb) IS
    'Internal: the steps of a saga with their defaults; a problem if they are not valid';

-- Publishes the command to do, or to compensate, the step at "position" of a saga; returns its number. What the steps before it
-- returned comes along, so that a worker needs nothing else.
CREATE FUNCTION taskapi.publish_command(saga jsonb, "position" int, compensating boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step    CONSTANT jsonb := saga -> 'steps' -> ("position" - 1);
    outbox  CONSTANT record := taskapi.require_outbox();
    outputs CONSTANT jsonb := taskapi.run_as(outbox.owner, format(
        'SELECT coalesce(pg_catalog.jsonb_object_agg(j.step, j.output), ''{}'') FROM %I.saga_step j'
        ' WHERE j.saga = $1 AND j.outcome = ''done'' AND j.output IS NOT NULL', outbox.schema), saga ->> 'id');
BEGIN
    RETURN taskapi.publish(saga ->> 'name', saga ->> 'id',
        jsonb_build_object('saga', saga ->> 'id',
                           'step', step ->> CASE WHEN compensating THEN 'compensation' ELSE 'step' END,
                           'compensates', CASE WHEN compensating THEN step ->> 'step' END, 'timeout', step ->> 'timeout',
                           'input', saga -> 'input', 'outputs', outputs));
END
$$;
REVOKE ALL ON FUNCTION taskapi.publish_command(jsonb, int, boolean) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.publish_command(jsonb, int, boolean) IS
    'Internal: tells a worker to do, or to compensate, a step of a saga';

-- start_saga(name, id, input, steps)
--
-- Starts a saga in this transaction: its first step is done once that commits. steps are stored with it. The topic of its
-- commands is its name. Errors: invalid_value; already_exists.
CREATE FUNCTION taskapi.start_saga(name text, id text, input jsonb, steps jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox record;
    made   jsonb;
BEGIN
    IF name IS NULL OR id IS NULL OR input IS NULL OR steps IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN name IS NULL THEN 'name' WHEN id IS NULL THEN 'id'
                                                   WHEN input IS NULL THEN 'input' ELSE 'steps' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF id !~ '^[!-~]{1,100}$' THEN
        PERFORM taskapi.raise_problem('invalid_value',
            'The id of a saga must be 1 to 100 printable characters of ASCII without spaces.');
    END IF;
    outbox := taskapi.require_outbox();
    made := jsonb_build_object('id', id, 'name', name, 'input', input, 'steps', taskapi.saga_steps(steps));
    IF taskapi.run_as(outbox.owner, format('INSERT INTO %I.saga (id, name, input, steps, state, position, command, slot)'
            ' VALUES ($1, $2, $3, $4, ''running'', 1, 0, $5) ON CONFLICT (id) DO NOTHING RETURNING true', outbox.schema),
            id, name, input, made -> 'steps', taskapi.outbox_slot(id)) IS NULL THEN
        PERFORM taskapi.raise_problem('already_exists', format('There is already a saga %s.', id));
    END IF;
    PERFORM taskapi.run_as(outbox.owner, format('UPDATE %I.saga s SET command = $2 WHERE s.id = $1', outbox.schema),
                           id, taskapi.publish_command(made, 1, false));
END
$$;
REVOKE ALL ON FUNCTION taskapi.start_saga(text, text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.start_saga(text, text, jsonb, jsonb) IS
    'Starts work of several steps: [{"step", "compensation", "timeout", "attempts"}]. Each is a message of topic name to a'
    ' worker, who tells settle_step() what became of it. Pattern: saga';

-- What comes after an outcome. "position" NULL: nothing is to be done; the same position as before: this step again.
CREATE FUNCTION taskapi.saga_move(steps jsonb, state text, "position" int, outcome text, given_up boolean,
                                  OUT new_state text, OUT new_position int) RETURNS record
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    new_state := state;
    new_position := "position";
    IF state = 'running' THEN
        IF outcome = 'done' THEN
            new_position := "position" + 1;
            IF new_position > jsonb_array_length(steps) THEN
                new_state := 'completed';
                new_position := NULL;
            END IF;
            RETURN;
        ELSIF outcome = 'unknown' AND NOT given_up THEN
            RETURN;
        END IF;
        new_state := 'compensating';
        -- What failed has done nothing. Of what is unknown nobody can say so, so it is compensated first.
        new_position := CASE WHEN outcome = 'failed' THEN "position" - 1 ELSE "position" END;
    ELSIF outcome = 'done' THEN
        new_state := 'compensating';
        new_position := "position" - 1;
    ELSE
        new_state := CASE WHEN given_up THEN 'stuck' ELSE state END;
        RETURN;
    END IF;
    WHILE new_position > 0 AND steps -> (new_position - 1) ->> 'compensation' IS NULL LOOP
        new_position := new_position - 1;
    END LOOP;
    IF new_position = 0 THEN
        new_state := 'compensated';
        new_position := NULL;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.saga_move(jsonb, text, int, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.saga_move(jsonb, text, int, text, boolean) IS 'Internal: what comes after an outcome of a step';

-- settle_step(id, fencing_token, step, outcome, output) -> running | compensating | completed | compensated | retry | stuck
--
-- What became of a step, or of a compensation: it is written down, and what comes next is published, in this transaction. The
-- token is that of the lease under which its message was received. retry and stuck: the message is to be tried again, so it is
-- one of those that settle() is told to have failed; all others: it is done. A step that was settled before changes nothing.
--
-- Errors: lease_lost; not_found; invalid_value for a step that is none of the saga's, or was not handed out.
CREATE FUNCTION taskapi.settle_step(id text, fencing_token bigint, step text, outcome text, output jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox   record;
    lease    jsonb;
    saga     jsonb;
    place    int;
    undoing  boolean;
    current  boolean;
    given_up boolean;
    move     record;
BEGIN
    IF id IS NULL OR fencing_token IS NULL OR step IS NULL OR outcome IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN id IS NULL THEN 'id' WHEN fencing_token IS NULL THEN 'fencing_token'
                                                   WHEN step IS NULL THEN 'step' ELSE 'outcome' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF outcome NOT IN ('done', 'failed', 'unknown') THEN
        PERFORM taskapi.raise_problem('invalid_value', 'outcome must be done, failed or unknown.');
    END IF;
    outbox := taskapi.require_outbox();

    -- The lease first, as settle() does; whoever has it is alone with the saga.
    saga := taskapi.run_as(outbox.owner, format('SELECT pg_catalog.to_jsonb(s) FROM %I.saga s WHERE s.id = $1',
                                                outbox.schema), id);
    IF saga IS NULL THEN
        PERFORM taskapi.raise_problem('not_found', format('There is no saga %s.', id));
    END IF;
    lease := taskapi.run_as(outbox.owner, format(
        'SELECT pg_catalog.to_jsonb(c) || pg_catalog.jsonb_build_object(''max_attempts'', g.max_attempts)'
        ' FROM %1$I.consumer_group g JOIN %1$I.consumer c ON c."group" = g.name AND c.slot = $1'
        ' WHERE c.fencing_token = $2 AND c.owner IS NOT NULL AND (g.topics IS NULL OR $3 = ANY (g.topics)) FOR UPDATE OF c',
        outbox.schema), (saga ->> 'slot')::smallint, fencing_token, saga ->> 'name');
    IF lease IS NULL THEN
        PERFORM taskapi.raise_problem('lease_lost',
            'The lease under which the step was received has ended, or another worker has it.', 'Call taskapi.receive() again.');
    END IF;
    saga := taskapi.run_as(outbox.owner, format('SELECT pg_catalog.to_jsonb(s) FROM %I.saga s WHERE s.id = $1 FOR UPDATE',
                                                outbox.schema), id);

    SELECT s.place, s.value ->> 'compensation' IS NOT DISTINCT FROM settle_step.step INTO place, undoing
    FROM jsonb_array_elements(saga -> 'steps') WITH ORDINALITY s (value, place)
    WHERE settle_step.step IN (s.value ->> 'step', s.value ->> 'compensation');
    IF place IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', format('Saga %s has no step %s.', id, step));
    END IF;
    current := saga ->> 'command' IS NOT NULL AND place = (saga ->> 'position')::int
               AND undoing = (saga ->> 'state' <> 'running');
    IF NOT current AND taskapi.run_as(outbox.owner, format(
           'SELECT true FROM %I.saga_step j WHERE j.saga = $1 AND j.step = $2 LIMIT 1', outbox.schema), id, step) IS NOT NULL
    THEN
        RETURN CASE saga ->> 'state' WHEN 'stuck' THEN 'compensating' ELSE saga ->> 'state' END;
    END IF;
    given_up := taskapi.run_as(outbox.owner, format(
        'SELECT (p.attempts IS NOT NULL AND p.attempts + 1 >= $4 OR p.attempts IS NULL AND $4 = 1)::text'
        ' FROM (SELECT) one LEFT JOIN %I.parked p ON p."group" = $1 AND p.seq = $2'
        ' WHERE p.fencing_token = $3 OR p.seq IS NULL AND $2 > $5 AND $2 <= $6', outbox.schema),
        lease ->> 'group', (saga ->> 'command')::bigint, fencing_token, (lease ->> 'max_attempts')::int,
        (lease ->> 'position')::bigint, (lease ->> 'delivered')::bigint)::boolean;
    IF NOT current OR given_up IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value',
                                      format('Step %s of saga %s was not handed out with this lease.', step, id));
    END IF;

    PERFORM taskapi.run_as(outbox.owner, format(
        'INSERT INTO %1$I.saga_step (saga, n, step, compensates, outcome, output, fencing_token)'
        ' SELECT $1, 1 + (SELECT pg_catalog.count(*) FROM %1$I.saga_step j WHERE j.saga = $1), $2, $3, $4, $5, $6',
        outbox.schema),
        id, step, CASE WHEN undoing THEN saga -> 'steps' -> (place - 1) ->> 'step' END, outcome, output, fencing_token);
    IF outcome = 'unknown' AND NOT undoing THEN
        given_up := given_up OR taskapi.run_as(outbox.owner, format(
            'SELECT pg_catalog.count(*) FROM %I.saga_step j WHERE j.saga = $1 AND j.step = $2 AND j.outcome = ''unknown''',
            outbox.schema), id, step)::int >= (saga -> 'steps' -> (place - 1) ->> 'attempts')::int;
    END IF;
    move := taskapi.saga_move(saga -> 'steps', saga ->> 'state', place, outcome, given_up);
    PERFORM taskapi.run_as(outbox.owner, format(
        'UPDATE %I.saga s SET state = $2, position = coalesce($3, s.position), command = $4, settled_at = pg_catalog.now()'
        ' WHERE s.id = $1', outbox.schema), id, move.new_state, move.new_position,
        CASE WHEN move.new_position IS NULL THEN NULL
             WHEN move.new_position = place AND (move.new_state <> 'running') = undoing THEN (saga ->> 'command')::bigint
             ELSE taskapi.publish_command(saga, move.new_position, move.new_state <> 'running') END);
    RETURN CASE WHEN move.new_state <> 'stuck' AND move.new_position = place AND (move.new_state <> 'running') = undoing
                THEN 'retry' ELSE move.new_state END;
END
$$;
REVOKE ALL ON FUNCTION taskapi.settle_step(text, bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.settle_step(text, bigint, text, text, jsonb) IS
    'Says what became of a step of a saga, done, failed or unknown, and publishes what comes next. Returns the saga''s state, or'
    ' retry: then, and if it is stuck, tell settle() that the message failed. lease_lost if another worker has its slot';
